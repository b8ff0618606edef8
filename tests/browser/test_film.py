"""A film in a real browser."""

import pytest
from toy_branches import branches

from dreamer_core.viz.film import LEAD, film


def test_a_film_plays_from_disk(page, tmp_path):
    made = branches(starts=(10,), steps=20)[0]
    path = tmp_path / "film.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{film(made).data}", encoding="utf-8")
    page.goto(path.as_uri())
    video = page.locator("video")
    if not video.evaluate("(video) => video.canPlayType('video/mp4; codecs=\"avc1.64001F\"')"):
        pytest.skip("this browser was built without H.264")
    page.wait_for_function("document.querySelector('video').readyState >= 2")
    assert video.evaluate("(video) => [video.videoWidth, video.videoHeight]") == [720, 440]
    assert video.evaluate("(video) => video.duration") == pytest.approx((LEAD + 21) / 10, abs=0.11)
    video.evaluate("(video) => void video.play()")
    page.wait_for_function("document.querySelector('video').currentTime > 0.3")
    assert page.get_by_role("img").evaluate("(image) => image.naturalWidth") > 300
    assert page.errors == []

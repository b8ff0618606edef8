"""Slides in a real browser: they can be leafed through from disk, without a network."""

import importlib.util

import pytest

from dreamer_core.classroom.slides import ROOT, page

MISSING = [name for name in ("latex2mathml", "mistune", "sphinx_revealjs") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"the extra slides is not installed: {', '.join(MISSING)}")


def test_every_slide_fits_the_screen_and_asks_for_nothing(launch, tmp_path):
    path = tmp_path / "slides.html"
    path.write_text(page(next((ROOT / "notebooks").glob("07_*.ipynb"))), encoding="utf-8")
    browser = launch()
    view, asked, wrong = browser.new_page(viewport={"width": 1280, "height": 800}), [], []
    view.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
    view.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.goto(path.as_uri())
    number = view.evaluate("Reveal.getTotalSlides()")
    assert number > 10
    for slide in range(number):
        view.evaluate(f"Reveal.slide({slide})")
        height = view.evaluate("Reveal.getCurrentSlide().scrollHeight")
        assert height <= 800, f"slide {slide + 1} is {height} pixels high and the screen 800"
    browser.close()
    assert not asked and not wrong, f"asked for {asked}; errors {wrong}"

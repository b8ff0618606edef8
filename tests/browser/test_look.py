"""A run's page in a real browser, from disk."""

import dataclasses

from runs import tiny, train

from dreamer_core.look import page as pages


def test_the_page_opens_from_disk_without_a_request_or_an_error(launch, tmp_path, monkeypatch):
    for name, value in {"FIT": 2, "TEST": 1, "STEPS": 8, "DREAMS": 4, "LATER": 1, "PLACES": 3, "FAR": 6}.items():
        monkeypatch.setattr(pages, name, value)
    train(dataclasses.replace(tiny(), env="Pendulum-v1"), tmp_path / "run")
    path = tmp_path / pages.PAGE
    path.write_text(pages.page(tmp_path / "run"), encoding="utf-8")
    browser = launch()
    view, asked, wrong = browser.new_page(viewport={"width": 390, "height": 800}), [], []
    view.on("request", lambda request: asked.append(request.url) if not request.url.startswith(("file:", "data:", "blob:")) else None)
    view.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    view.on("pageerror", lambda error: wrong.append(str(error)))
    view.goto(path.as_uri())
    view.wait_for_function("document.querySelector('video').readyState > 0 || document.querySelector('video').error")
    broken = view.evaluate("[...document.images].filter(image => !image.naturalWidth).length")
    explorers = view.evaluate("[...document.querySelectorAll('.dream-explorer')].filter(place => place.shadowRoot).length")
    browser.close()
    assert not asked and not wrong, f"asked for {asked}; errors {wrong}"
    assert broken == 0 and explorers == 1, "a picture does not open, or the explorer is not there"

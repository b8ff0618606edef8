"""The dream explorer in a real browser: from disk as an exported notebook, and in JupyterLab."""

import json
import math
import re

import nbformat
import numpy as np
import pytest
from toy_branches import NAMES, branches

from dreamer_core.viz.explorer import explorer
from dreamer_core.viz.frames import error_picture
from dreamer_core.viz.show import BLUE

CELL = 'from IPython.display import HTML\nHTML(open("page.html", encoding="utf-8").read())'

FRAME_MS = 100  # of the player

IDLE = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
    return session?.isReady && session.session?.kernel?.status === 'idle';
}"""


@pytest.fixture(scope="module")
def made():
    return branches()


@pytest.fixture(scope="module")
def fragment(made):
    return explorer(made, NAMES).data


def notebook(*fragments):
    """A notebook whose outputs are these fragments, as after a run."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    for number, fragment in enumerate(fragments, 1):
        output = nbformat.v4.new_output("execute_result", {"text/html": fragment, "text/plain": "HTML"}, execution_count=number)
        book.cells.append(nbformat.v4.new_code_cell(CELL, execution_count=number, outputs=[output]))
    return book


@pytest.fixture(scope="module")
def exported(fragment, tmp_path_factory):
    """The file of an exported notebook that holds two explorers."""
    exporter = pytest.importorskip("nbconvert", reason="nbconvert is not installed").HTMLExporter()
    # These would be fetched for other people's cells: widgets, formulas and diagrams.
    exporter.require_js_url = exporter.mathjax_url = exporter.jquery_url = exporter.jupyter_widgets_base_url = ""
    body, _ = exporter.from_notebook_node(notebook(fragment, fragment))
    body = re.sub(r'<script type="module">.*?</script>', "", body, flags=re.DOTALL)  # mermaid
    path = tmp_path_factory.mktemp("exported") / "notebook.html"
    path.write_text(body, encoding="utf-8")
    return path


@pytest.fixture
def from_disk(page, exported):
    """A page that shows it, with both explorers alive."""
    page.goto(exported.as_uri())
    page.wait_for_function("document.querySelectorAll('.dream-explorer[data-ready]').length === 2")
    return page


def row(explorer, label):
    """The numbers of one row of the table: real, posterior, dream."""
    cells = explorer.locator(f"tbody tr:has(th:text-is({json.dumps(label)})) td").all_text_contents()[:3]
    return [float(text) if text != "–" else None for text in cells]


def shows(explorer, step):
    explorer.locator(".step").filter(has_text=re.compile(rf"^step {step} of")).wait_for()


def test_keys_scrub_through_an_exported_page(from_disk, made):
    page = from_disk
    explorer = page.locator(".dream-explorer").first
    slider = explorer.get_by_role("slider", name="step of the episode")
    slider.focus()
    shows(explorer, 5)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    shows(explorer, 8)
    branch = made[0]
    expected = [branch.world.observation[8, 2], branch.world.posterior.observation[8, 2], branch.dreams.observation[0, 3, 2]]
    assert row(explorer, "velocity (rad/s)") == pytest.approx(expected, abs=0.006)
    rewards = [branch.world.reward[8], branch.world.posterior.reward[8], branch.dreams.reward[0, 3]]
    assert row(explorer, "reward") == pytest.approx(rewards, abs=0.011)
    page.keyboard.press("Shift+ArrowRight")
    shows(explorer, 18)
    page.keyboard.press("ArrowLeft")
    shows(explorer, 17)
    assert slider.get_attribute("aria-valuetext").startswith("step 17, eyes closed, off by ")
    page.keyboard.press("End")
    shows(explorer, 85)
    assert row(explorer, "reward")[2] is None  # the first dream ended at 45
    page.keyboard.press("Home")
    shows(explorer, 0)
    assert row(explorer, "reward")[0] is None  # no reward comes with a first row
    assert page.errors == []


def test_branches_switch_and_explorers_do_not_disturb_each_other(from_disk, made):
    page = from_disk
    first, second = page.locator(".dream-explorer").all()
    first.get_by_role("slider").focus()
    page.keyboard.press("a")
    page.keyboard.press("a")
    assert first.locator(".actions").input_value() == "every action +1"
    page.keyboard.press("s")
    assert first.locator(".start").input_value() == "25"
    shows(first, 25)
    page.keyboard.press("ArrowRight")
    branch = next(b for b in made if (b.start, b.actions) == (25, "every action +1"))
    expected = [branch.world.observation[1, 2], branch.world.posterior.observation[1, 2], branch.dreams.observation[0, 1, 2]]
    assert row(first, "velocity (rad/s)") == pytest.approx(expected, abs=0.006)
    first.locator(".actions").select_option("recorded actions")
    assert row(first, "velocity (rad/s)")[0] == pytest.approx(made[0].world.observation[26, 2], abs=0.006)
    shows(second, 5)
    assert second.locator(".start").input_value() == "5"
    assert page.errors == []


def test_it_plays_and_pauses(from_disk):
    """The page's clock is ours here: how fast this machine is does not matter."""
    page = from_disk
    explorer = page.locator(".dream-explorer").first
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    explorer.get_by_role("button", name="play").click()
    shows(explorer, 5)
    page.clock.run_for(2 * FRAME_MS)
    shows(explorer, 7)
    explorer.get_by_role("button", name="pause").click()
    page.clock.run_for(10 * FRAME_MS)
    shows(explorer, 7)
    explorer.get_by_role("button", name="play").click()
    page.clock.run_for(200 * FRAME_MS)
    shows(explorer, 85)  # the last one: it stops by itself
    assert explorer.get_by_role("button", name="play").is_visible()
    assert page.errors == []


def test_a_click_in_the_lines_goes_to_that_step(from_disk):
    """The axis runs from 100 pixels on to 10 before the end."""
    page = from_disk
    explorer = page.locator(".dream-explorer").first
    canvas = explorer.locator(".traces")
    box = canvas.bounding_box()
    canvas.click(position={"x": 100 + (box["width"] - 110) * 40 / 85, "y": 30})
    shows(explorer, 40)
    page.keyboard.press("ArrowRight")  # the slider has the focus now
    shows(explorer, 41)


def test_the_rod_is_drawn_where_the_angle_says(from_disk, made):
    """At 0.8 of a rod from the pivot, up at 0 and to the left at 90 degrees; nothing on the other side."""
    page = from_disk
    explorer = page.locator(".dream-explorer").first
    explorer.get_by_role("slider").focus()
    look = """(canvas, [x, y]) => {
        const middle = canvas.width / 2, reach = 0.8 * canvas.width / 2.7;
        return [...canvas.getContext("2d").getImageData(middle + x * reach, middle - y * reach, 1, 1).data];
    }"""
    blue = [int(BLUE[n : n + 2], 16) for n in (1, 3, 5)]
    for step in (6, 7, 8):
        page.keyboard.press("ArrowRight")
        shows(explorer, step)
        cosine, sine = made[0].world.observation[step, :2]
        canvas = explorer.locator(".drawn canvas").first
        assert canvas.evaluate(look, [-sine, cosine])[:3] == blue
        assert canvas.evaluate(look, [sine, -cosine])[3] == 0
    assert math.isclose(np.hypot(cosine, sine), 1)


@pytest.mark.parametrize("width", [1400, 1000, 700])
def test_no_column_of_the_table_is_cut_off(from_disk, width):
    """Beside the rods if there is room, below them if not."""
    from_disk.set_viewport_size({"width": width, "height": 900})
    wide, seen = from_disk.locator(".dream-explorer .scene > div").first.evaluate("box => [box.scrollWidth, box.clientWidth]")
    assert wide <= seen, f"in a window of {width} pixels the table needs {wide} and has {seen}"


def test_without_scripts_the_picture_is_there(browser, fragment, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{fragment}", encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.get_by_role("img", name=re.compile("Pendulum-v1: what really happens")).is_visible()
    assert page.get_by_role("slider").count() == 0
    context.close()


def test_it_works_in_jupyterlab(page, lab, fragment):
    address, root = lab
    (root / "page.html").write_text(fragment, encoding="utf-8")
    nbformat.write(notebook(fragment), root / "explore.ipynb")
    page.goto(f"{address}/lab/tree/explore.ipynb", wait_until="commit")
    # A notebook that was not run here is not trusted: no script, but the picture.
    page.wait_for_selector(".jp-OutputArea img[alt^='Pendulum-v1: what really happens']")
    assert page.locator(".dream-explorer[data-ready]").count() == 0
    page.wait_for_function(IDLE)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
    page.wait_for_selector(".dream-explorer[data-ready]")
    explorer = page.locator(".dream-explorer")
    explorer.get_by_role("slider").focus()
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    for key in ("ArrowRight", "ArrowRight", "a", "a"):  # in a notebook, a inserts a cell
        page.keyboard.press(key)
    shows(explorer, 7)
    assert explorer.locator(".actions").input_value() == "every action +1"
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    # While the theme changes, everything is hidden for a moment; then the lines must be there again, on white.
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
    page.wait_for_timeout(1000)
    page.wait_for_function("""() => {
        const canvases = [...document.querySelector('.dream-explorer').shadowRoot.querySelectorAll('canvas')];
        return canvases.length > 2 && canvases.every((canvas) => canvas.width > 100);
    }""")
    assert explorer.locator(".explorer").evaluate("(part) => getComputedStyle(part).backgroundColor") == "rgb(255, 255, 255)"
    assert page.errors == []


def test_of_pictures_it_also_shows_where_the_dream_is_wrong(page, tmp_path):
    """Each pixel of that canvas has the colour which the film gives it."""
    (branch, *_) = branches(starts=(2,), steps=4, count=2, env="dreamer/PixelPendulum-v0")
    path = tmp_path / "pictures.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{explorer([branch], ()).data}", encoding="utf-8")
    page.goto(path.as_uri())
    explored = page.locator(".dream-explorer")
    for _ in range(3):
        explored.get_by_role("button", name="one step on").click()
    shows(explored, 5)
    assert explored.locator(".drawn canvas").count() == 4
    told, real = branch.dreams.observation[0, 3], branch.world.observation[5]
    wrong = error_picture(np.rint(np.clip(told, 0, 255)), real)
    found = explored.locator(".wrong canvas").evaluate(
        """canvas => {
            const pen = canvas.getContext("2d"), side = canvas.width / 32;
            return Array.from({ length: 32 }, (_, row) => Array.from({ length: 32 }, (_, column) =>
                [...pen.getImageData(Math.floor((column + 0.5) * side), Math.floor((row + 0.5) * side), 1, 1).data].slice(0, 3)));
        }"""
    )
    assert abs(wrong.astype(int) - 255).max() > 20, "nothing is wrong here, so nothing is tested"
    np.testing.assert_allclose(found, wrong, atol=2)

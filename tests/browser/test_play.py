"""The play widget in a real JupyterLab: run all, press keys, and the dream moves."""

import base64
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from browser.conftest import LIMIT, PATIENCE

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
NOTEBOOK = NOTEBOOKS / "00_play_in_a_dream.ipynb"
READY = """() => {
    const session = window.jupyterapp?.shell.currentWidget?.context?.sessionContext;
    return session?.isReady && session.session?.kernel?.status === 'idle';
}"""
HARMLESS = ("favicon", "/lsp/", "Failed to load resource: the server responded with a status of 404")  # JupyterLab's own


@pytest.fixture
def widget(page, lab):
    """The widget, alive, in a notebook that was run from end to end."""
    address, root = lab
    copy_notebook(root)
    page.goto(f"{address}/lab/tree/play.ipynb?reset", wait_until="commit")
    page.wait_for_function(READY)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
    widget = page.locator(".dream-play")
    widget.wait_for(state="visible")
    widget.scroll_into_view_if_needed()
    until(lambda: "Frozen" in widget.get_by_role("status").inner_text())  # the first scene has come from the kernel
    return widget


def copy_notebook(folder):
    """The course's own notebook, without its outputs, and what it loads."""
    notebook = nbformat.read(NOTEBOOK, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / "play.ipynb")
    shutil.copytree(NOTEBOOKS / "assets", folder / "assets", dirs_exist_ok=True)


def data(widget, name):
    """A number of the newest frame: its step, the speed, or the first coordinate of world or dream."""
    return float((widget.get_attribute(f"data-{name}") or "nan").split()[0])


def reach(widget, step):
    """Wait for a step of the game; a machine with much else to do may take a while."""
    until(lambda: data(widget, "step") >= step, lambda: f"waited for step {step}, still at step {data(widget, 'step')}")


def until(condition, complaint=lambda: "waited in vain"):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, complaint()
        time.sleep(0.05)


def test_keys_drive_the_dream(page, widget):
    """Everything is done with the keyboard, from the first push to the branch."""
    status = widget.get_by_role("status")
    assert data(widget, "step") == 0
    start = data(widget, "dream"), data(widget, "world")

    widget.locator(".stage").focus()
    page.keyboard.down("ArrowLeft")
    reach(widget, 25)
    print(f"\nsteps per second: {data(widget, 'speed')}")
    assert "+2.0" in widget.locator(".numbers").inner_text()
    page.keyboard.up("ArrowLeft")
    assert (data(widget, "dream"), data(widget, "world")) != start

    page.keyboard.press("Space")
    until(lambda: "Frozen" in status.inner_text())
    frozen = data(widget, "step")
    page.keyboard.down("ArrowRight")  # a push lets time run again
    reach(widget, frozen + 6)
    page.keyboard.up("ArrowRight")
    page.keyboard.press("b")
    until(lambda: data(widget, "step") == frozen)
    assert widget.get_by_text("the other branch", exact=True).is_visible()

    page.keyboard.press("a")
    reach(widget, frozen + 6)
    assert "The actor drives" in status.inner_text()
    assert "Reward of the first" in widget.locator(".compare").inner_text()
    page.keyboard.press("ArrowLeft")
    until(lambda: "You drive" in status.inner_text())

    page.keyboard.press("r")
    until(lambda: data(widget, "step") == 0)
    until(lambda: (data(widget, "dream"), data(widget, "world")) == start)
    assert [error for error in page.errors if not any(word in error for word in HARMLESS)] == []


def test_buttons_and_sliders_do_the_same(page, widget):
    """The start row, the torque and the actor, each from its own control, reached with Tab."""
    status = widget.get_by_role("status")
    widget.get_by_label("Start from row").focus()
    page.keyboard.press("End")
    rows = int(widget.get_by_label("Start from row").get_attribute("max"))
    until(lambda: f"{rows} of {rows}" in widget.inner_text())
    widget.get_by_label("Torque").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    widget.get_by_role("button", name="Go on").click()
    reach(widget, 3)
    assert "−0.4" in widget.locator(".numbers").inner_text()  # 4 of 20 steps to the right: clockwise, a fifth of 2 N m
    widget.get_by_role("button", name="Freeze").click()
    until(lambda: "Frozen" in status.inner_text())
    widget.get_by_role("button", name="Branch").click()
    until(lambda: data(widget, "step") > 0)
    widget.get_by_role("button", name="Start again").click()
    until(lambda: data(widget, "step") == 0)
    assert widget.get_by_label("Start from row").input_value() == str(rows)
    names = widget.locator("button, input, [tabindex]").evaluate_all(
        "all => all.map(one => one.ariaLabel || one.labels?.[0]?.innerText || one.innerText)"
    )
    assert len(names) == 7 and all(names)


def test_an_exported_page_shows_the_filmstrip(page, tmp_path):
    """Executed without a browser and opened from disk, the picture is there, with its text."""
    copy_notebook(tmp_path)
    command = [sys.executable, "-m", "jupyter", "nbconvert", "--to", "html", "--execute", "play.ipynb"]
    command += [f"--ExecutePreprocessor.startup_timeout={PATIENCE}"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=LIMIT)
    page.goto((tmp_path / "play.html").as_uri(), wait_until="commit")
    picture = page.get_by_alt_text("Filmstrip of")
    picture.wait_for(state="visible")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 300")
    source = picture.get_attribute("src").removeprefix("data:image/png;base64,")
    assert base64.b64decode(source).startswith(b"\x89PNG")
    assert "Traceback" not in page.content()
    # Such a page asks the network for mathematics and widgets, and is refused here: it is whole all the same.

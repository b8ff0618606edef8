"""The course's notebooks as data, and a kernel to run them in."""

import os
import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STUB = re.compile(r'^@exercise\("([0-9]+\.[0-9]+)"\)\ndef (\w+)\(', re.MULTILINE)

# Every attempt to reach another machine is noted. The kernel itself talks through zmq, which does not pass here.
WATCH = """
import sys as _sys
_reached = []
_sys.addaudithook(lambda event, args: _reached.append((event, str(args[1]))) if event in ("socket.connect", "socket.sendto") else None)

# What a reader of a figure cannot read is noted as well.
import dreamer_core.viz.show as _show
from figures import complaints as _complaints
_unreadable, _png = [], _show.png
def _noting(figure, *args, **kwargs):
    _unreadable.extend(_complaints(figure))
    return _png(figure, *args, **kwargs)
_show.png = _noting
"""
REPORT = "print('reached', _reached, 'unreadable', _unreadable)"


def book(number: int) -> Path:
    """The notebook of that number; between numbers there may be gaps."""
    (path,) = (path for path in PATHS if path.name.startswith(f"{number:02d}_"))
    return path


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def prose(path: Path) -> str:
    """All Markdown cells, one after the other."""
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


# How fast somebody reads who is new to all this: words a minute, and minutes for a displayed equation and a cell of code.
READING = {"words": 80, "equation": 1.5, "cell": 0.6}


def reading_minutes(path: Path) -> float:
    """How long a newcomer reads a notebook; collapsed answers are not counted, nor builds: the minutes of those hold their reading."""
    text = re.sub(r"<details>.*?</details>|^## Build it: .*?(?=^## )", "", prose(path), flags=re.DOTALL | re.MULTILINE)
    equations = re.findall(r"\$\$.+?\$\$", text, re.DOTALL)
    words = re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL).split()
    return len(words) / READING["words"] + READING["equation"] * len(equations) + READING["cell"] * len(code_cells(path))


def stubs(path: Path) -> dict[str, str]:
    """Exercises of a notebook: number -> name of the function to write."""
    return {number: name for cell in code_cells(path) for number, name in STUB.findall(cell.source)}


def run(notebook: nbformat.NotebookNode, ledger: Path, **settings: str) -> list[nbformat.NotebookNode]:
    """Run a notebook as it is, in the quick profile, and return its code cells with outputs.

    Raises:
        AssertionError: it reached out to another machine, or a figure has small text or a legend over a curve.
    """
    for cell in notebook.cells:
        cell.get("metadata", {}).pop("execution", None)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(WATCH))
    notebook.cells.append(nbformat.v4.new_code_cell(REPORT))
    environment = {
        "DREAMER_LEDGER": str(ledger),
        "DREAMER_KEY": str(ledger.with_name("key")),
        "DREAMER_QUICK": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    } | settings
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        NotebookClient(notebook, timeout=600, startup_timeout=600, resources={"metadata": {"path": str(ROOT / "notebooks")}}).execute()
    finally:
        os.environ.clear()
        os.environ.update(before)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert text(cells[-1]).strip() == "reached [] unreadable []", text(cells[-1])
    return cells[1:-1]


def text(cell: nbformat.NotebookNode) -> str:
    """Everything a cell printed."""
    return "".join(output.get("text", "") for output in cell.outputs)

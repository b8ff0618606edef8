"""A learner who solves everything: every exercise of every notebook, in order, with one ledger.

The answers are not the reference but functions written differently. Strict mode turns an answer
that is not accepted into a failure. By notebook 09 every part of the agent is the learner's.
"""

import importlib
import re

import nbformat
import pytest

from dreamer_core.classroom.lesson import EXERCISES
from notebooks.books import PATHS, STUB, read, run, stubs, text


def solved(path) -> nbformat.NotebookNode:
    """The notebook with every stub replaced by an answer, under the name the notebook goes on with."""
    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code" and (found := STUB.findall(cell.source)):
            ((number, name),) = found
            module = f"dreamer_core.classroom.right_answers.nb{path.name[:2]}"
            cell.source = f'from {module} import RIGHT\n\n{name} = exercise("{number}")(RIGHT["{number}"][0])'
    return notebook


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return tmp_path_factory.mktemp("solved") / "answers.json"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_solving_everything_from_first_to_last(path, ledger):
    answers = importlib.import_module(f"dreamer_core.classroom.right_answers.nb{path.name[:2]}").RIGHT
    assert list(answers) == list(stubs(path))
    cells = run(solved(path), ledger, DREAMER_STRICT="1")
    warned = {n: output.text for n, cell in enumerate(cells, 1) for output in cell.outputs if output.get("name") == "stderr"}
    assert not warned, f"right answers, and these cells wrote to stderr: {warned}"
    printed = "".join(map(text, cells))
    for number in answers:
        assert f"✓ {number} " in printed
    assert "does not pass here" not in printed and "counts in this notebook only" not in printed and "stopped with" not in printed
    if path.name.startswith("09"):
        parts = sum(exercise.in_v1 for exercise in EXERCISES.values())
        earlier = sum(e.in_v1 and not e.id.startswith("9.") for e in EXERCISES.values())
        assert f"your own code: {earlier} of {parts}" in printed
        # What the default settings do not call, the tiny agents of this notebook do: as the learner's own.
        ran = {number for line in re.findall(r"of these yours: (.*)", printed) for number in line.split(", ")}
        seven = {"3.5", "3.6", "4.3", "6.2", "8.3", "8.4", "8.5"}
        assert seven <= ran, f"no agent of notebook 09 ran the learner's {', '.join(sorted(seven - ran))}"

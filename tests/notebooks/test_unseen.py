"""Nothing in a notebook can fail unseen; and each way of doing so is noticed."""

import nbformat
import pytest

from notebooks.books import PATHS, code_cells
from notebooks.unseen import unseen


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_cell_can_fail_unseen(path):
    found = {number: reasons for number, cell in enumerate(code_cells(path), 1) if (reasons := unseen(cell))}
    assert not found, f"cells of {path.name} that could fail and pass all the same: {found}"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_cell_left_a_warning(path):
    """What is written to stderr stops nothing: a warning, or the error of a thread."""
    outputs = [(number, output) for number, cell in enumerate(code_cells(path), 1) for output in cell.outputs]
    found = {number: output.text for number, output in outputs if output.get("name") == "stderr"}
    assert not found, f"cells of {path.name} that wrote to stderr: {found}"


@pytest.mark.parametrize(
    "source, word",
    [
        ("%no_such_magic\n1 / 0", "'%no_such_magic'"),
        ("%%no_such_magic\n1 / 0", "'%%no_such_magic'"),
        ("if True:\n    %no_such_magic", "'    %no_such_magic'"),
        ("found = %no_such_magic", "'found = %no_such_magic'"),
        ("x = 1\n!false", "'!false'"),
        ("found = !false", "'found = !false'"),
        ("nothing?", "'nothing?'"),
        ("?nothing", "'?nothing'"),
        (">>> 1 / 0", "'>>> 1 / 0'"),
        ("get_ipython().run_line_magic('no_such_magic', '')", "'get_ipython'"),
        ("import os\nos.system('false')", "'os.system'"),
        ("import os\nos.popen('false')", "'os.popen'"),
        ("import subprocess\nsubprocess.run(['false'])", "'subprocess'"),
        ("from subprocess import call", "'subprocess'"),
        ("from threading import Thread\nThread(target=lambda: 1 / 0).start()", "'threading'"),
        ("import asyncio", "'asyncio'"),
        ("exit()", "'exit'"),
        ("quit()", "'quit'"),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass", "except: pass"),
        ("# NBVAL_SKIP\n1 / 0", "'# NBVAL_SKIP'"),
        ("1\n  ## NBVAL_RAISES_EXCEPTION", "'## NBVAL_RAISES_EXCEPTION'"),
    ],
)
def test_what_would_pass_is_noticed(source, word):
    reasons = unseen(nbformat.v4.new_code_cell(source))
    assert any(reason.startswith(word) or word in reason for reason in reasons), f"not noticed in {source!r}: {word}; only {reasons}"


@pytest.mark.parametrize("tag", ["raises-exception", "nbval-skip", "nbval-raises-exception", "skip-execution"])
def test_tags_that_excuse_a_cell_are_noticed(tag):
    assert unseen(nbformat.v4.new_code_cell("1", metadata={"tags": ["other", tag]})), f"not noticed: {tag}"


@pytest.mark.parametrize(
    "source",
    [
        "rest = 7 % 3\nsame = 1 != 2",
        "x = (\n    7\n    % 3\n)",
        'text = """\n%not a magic\n!nor a shell line\nwhat is it?\n"""',
        "x = 1  # is it one?",
        "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    print(error)",
        "import os\nos.path.exists('.')",
        "system = exit_code = 1",
        "",
        "\n\nx = 1;\n",
    ],
)
def test_plain_python_is_left_alone(source):
    assert unseen(nbformat.v4.new_code_cell(source, metadata={"tags": ["hide-input"]})) == []

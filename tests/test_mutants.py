"""The table of mutants fits the code, its runner counts rightly, and tests of the core say in words what broke."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from mutants.run import TESTS, Outcome, attempt, chosen, kind, path_of, report
from mutants.table import MUTANTS, ROWS, Mutant

ROOT = Path(__file__).parents[1]
CORE = ROOT / "dreamer_core"


# --- the table ------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", MUTANTS)
def test_every_mutant_finds_its_place_once_and_is_python(file):
    text = (CORE / file).read_text(encoding="utf-8")
    lost = [mutant.breaks for mutant in MUTANTS[file] if text.count(mutant.before) != 1]
    assert not lost, f"the text before is not found just once in {file}; mend or remove in tests/mutants/table.py: {lost}"
    for mutant in MUTANTS[file]:
        assert mutant.before != mutant.after, f"{mutant.breaks}: nothing is changed"
        compile(text.replace(mutant.before, mutant.after), f"{file}, {mutant.breaks}", "exec")


def test_every_mutant_belongs_to_a_row_and_is_listed_once():
    everything = [(file, mutant) for file, mutants in MUTANTS.items() for mutant in mutants]
    counts = Counter(mutant.row for _, mutant in everything)
    assert counts.keys() <= ROWS.keys(), f"rows that are not explained: {counts.keys() - ROWS.keys()}"
    few = [row for row in ROWS if counts[row] < 5]
    assert not few, f"rows with hardly any mutant: {few}"
    twice = [name for name, count in Counter((file, mutant.breaks) for file, mutant in everything).items() if count > 1]
    twice += [pair for pair, count in Counter((file, mutant.before, mutant.after) for file, mutant in everything).items() if count > 1]
    assert not twice, f"listed twice: {twice}"


def test_every_file_of_the_core_has_mutants_and_tests_that_exist():
    without = {"__init__.py", "errors.py", "paper/__init__.py"}  # nothing there decides anything
    files = {path.relative_to(CORE).as_posix() for folder in (CORE, CORE / "paper") for path in folder.glob("*.py")}
    assert MUTANTS.keys() == files - without, "files of the core, or of its room for the paper's pieces, without mutants"
    assert TESTS.keys() == MUTANTS.keys(), "files without tests to run"
    missing = [name for names in TESTS.values() for name in names if not (ROOT / path_of(name)).exists()]
    assert not missing, f"tests that do not exist: {missing}"


# --- the runner -----------------------------------------------------------------------------------


def test_mutants_are_chosen_by_file_row_or_words():
    everything = [(file, mutant) for file, mutants in MUTANTS.items() for mutant in mutants]
    assert chosen([]) == everything, "without a text, all"
    assert {file for file, _ in chosen(["rssm.py"])} == {"rssm.py"}, "by file"
    assert {mutant.row for _, mutant in chosen(["z cut"])} == {"z cut"}, "by row"


@pytest.mark.parametrize(
    "name, said, expected",
    [
        ("AssertionError", "the agent forgets", "words"),
        ("Failed", "DID NOT RAISE <class 'ValueError'>", "words"),
        ("AssertionError", "assert [1] == [2]", "numbers"),
        ("AssertionError", "assert False\n +  where False = all(...)", "bare"),
        ("AssertionError", "assert not True", "bare"),
        ("AttributeError", "'NoneType' object has no attribute 'tolist'", "crash"),
    ],
)
def test_how_a_failure_speaks(name, said, expected):
    assert kind(name, said) == expected


def test_the_report_counts_each_row_and_lists_what_needs_a_second_look():
    cut, again, alike = (Mutant("z cut", words, "a", "b", same) for words, same in [("one", ""), ("two", ""), ("three", "no number moves")])
    said = report(
        [
            ("rssm.py", cut, Outcome("bare", "test_a", "assert False")),
            ("rssm.py", again, Outcome("survived", "", "")),
            ("rssm.py", alike, Outcome("survived", "", "")),
        ]
    )
    assert f"| z cut: {ROWS['z cut']} | 1 | 2 | 1 |" in said, said
    assert "Killed: 50.0%." in said, said
    assert "## Survivors\n\n- rssm.py, z cut: two\n" in said, said
    assert "- rssm.py, z cut: one: bare in test_a: assert False" in said, said
    assert "- rssm.py, z cut: three (no number moves)" in said, said


@pytest.mark.parametrize(
    "body, expected",
    [("assert 1 == 1", "survived"), ("assert [] , 'nothing is there'", "words"), ("None.x", "crash"), ("import os; os._exit(3)", "crash")],
)
def test_a_change_is_tried_in_a_process_of_its_own(body, expected, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_toy.py").write_text(f"def test_toy():\n    {body}\n", encoding="utf-8")
    assert attempt(tmp_path, ["tests/test_toy.py"]).how == expected


# --- failures in words ----------------------------------------------------------------------------

SILENT = {"all", "any", "isinstance", "same", "equal", "allclose", "array_equal", "isfinite", "requires_grad"}


def silent(test: ast.expr) -> bool:
    """Whether a condition that fails shows nothing but "assert False": no two values side by side."""
    if isinstance(test, ast.BoolOp):
        return any(silent(part) for part in test.values)
    if isinstance(test, ast.Compare):
        return any(
            isinstance(side, ast.Call) and getattr(side.func, "attr", getattr(side.func, "id", "")) in SILENT
            for side in (test.left, *test.comparators)
        )
    return True


@pytest.mark.parametrize("name", sorted({name for names in TESTS.values() for name in names} | {"mutants"}))
def test_tests_of_the_core_say_in_words_what_broke(name):
    tree = ast.parse((ROOT / path_of(name)).read_text(encoding="utf-8"))
    bare = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert) and node.msg is None and silent(node.test)]
    assert not bare, f"{path_of(name)}, lines {bare}: a failure would read 'assert False', so say behind the condition what broke"

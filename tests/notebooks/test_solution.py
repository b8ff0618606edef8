"""What `solution()` prints can be pasted into the cell: it passes with what the notebook itself has imported by then."""

import ast

import pytest

from dreamer_core.classroom.judge import judge
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.classroom.paste import pasteable
from notebooks.books import STUB, book, code_cells


def imported(path, number: str) -> tuple[dict, str]:
    """The names that the notebook's import lines have made before the cell of an exercise, and the name of its stub."""
    names: dict = {}
    for cell in code_cells(path):
        tree = ast.parse("\n".join(line for line in cell.source.splitlines() if not line.startswith(("%", "!"))))
        lines = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        exec(compile(ast.Module(lines, []), "<imports>", "exec"), names)
        for found, name in STUB.findall(cell.source):
            if found == number:
                return names, name
    raise AssertionError(f"{path.name} has no stub for {number}")


@pytest.mark.parametrize("number", EXERCISES)
def test_the_solution_passes_in_the_notebooks_cell(number):
    names, stub = imported(book(int(number.split(".")[0])), number)
    exec(pasteable(EXERCISES[number], names), names)
    verdict = judge(EXERCISES[number], names[stub])
    assert verdict.right, f"pasted, the solution of {number} fails: {verdict.message}"

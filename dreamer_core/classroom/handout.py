"""The command: what a teacher hands out, `make handout`.

    python -m dreamer_core.classroom.handout --out build/handout

It writes two folders:

* `student/`, the notebooks without outputs, with their assets: what students get, who need the package as well;
* `nbgrader/`, a course for nbgrader: one assignment for each notebook, with the course's own answers between the marks that nbgrader
  takes out, a locked test cell below each exercise, and a configuration. In a folder where nbgrader is installed:

      cd build/handout/nbgrader
      nbgrader generate_assignment 03_rssm
      nbgrader autograde 03_rssm
      nbgrader generate_feedback 03_rssm

  A blank counts 0. Right answers count the exercise's importance, those that are partly right up to half of it.

Students may hand in either kind; `python -m dreamer_core.classroom.grade` reads both.
"""

import argparse
import ast
import copy
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.classroom.paste import pasteable
from dreamer_core.classroom.spec import Exercise
from dreamer_core.errors import ConfigError, DreamerError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
STUB = re.compile(r'^@exercise\("(\d+\.\d+)"\)$', re.MULTILINE)
GAP = re.compile(r"^    \.\.\.(  # .*)?$", re.MULTILINE)
OWN = ("my_answers*", ".*", "__pycache__")  # what never leaves the teacher's folder
Cell = dict[str, Any]

CONFIG = '''"""nbgrader's settings for the course. Answers are judged in processes of their own; no cell of a submission is run."""

from nbgrader.preprocessors import AssignLatePenalties, CheckCellMetadata, IgnorePattern, LimitOutput, SaveAutoGrades

from dreamer_core.grading.autograde import Judge

c = get_config()  # noqa: F821
c.CourseDirectory.course_id = "dreamer"
c.ClearSolutions.code_stub = {"python": "..."}
c.Autograde.autograde_preprocessors = [Judge, IgnorePattern, LimitOutput, SaveAutoGrades, AssignLatePenalties, CheckCellMetadata]
c.Judge.seed = 0  # of the inputs: change it for each grading that counts
'''


def bare(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook without outputs, counts and the times of its runs."""
    book = copy.deepcopy(notebook)
    for cell in book["cells"]:
        cell["metadata"].pop("execution", None)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return book


def assignment(notebook: dict[str, Any]) -> dict[str, Any]:
    """The same as a source for nbgrader: solutions inside, and a test cell below each exercise."""
    book, cells = bare(notebook), []
    for cell in book["cells"]:
        cells.append(cell)
        found = STUB.findall(text_of(cell)) if cell["cell_type"] == "code" else []
        if found:
            asked = EXERCISES[found[0]]
            cell["source"] = solved(text_of(cell), asked)
            cell["metadata"]["nbgrader"] = marks_of(f"exercise-{asked.id.replace('.', '-')}", solution=True)
            cells.append(test_cell(asked))
    return book | {"cells": cells}


def text_of(cell: Cell) -> str:
    """A cell's source, which may be a list of lines."""
    return "".join(cell["source"])


def marks_of(name: str, solution: bool, points: int | None = None) -> dict[str, Any]:
    """nbgrader's metadata of a cell."""
    kind = {"grade": points is not None, "solution": solution, "locked": points is not None, "task": False}
    return kind | {"schema_version": 3, "grade_id": name, "cell_type": "code"} | ({} if points is None else {"points": points})


def test_cell(asked: Exercise) -> Cell:
    """The locked cell below an exercise."""
    name = f"points-{asked.id.replace('.', '-')}"
    source = f'from dreamer_core.grading.points import points\n\npoints("{asked.id}")'
    metadata = {"nbgrader": marks_of(name, solution=False, points=asked.importance), "tags": ["nbgrader"]}
    return {"cell_type": "code", "id": name, "metadata": metadata, "source": source, "outputs": [], "execution_count": None}


def solved(stub: str, asked: Exercise) -> str:
    """An exercise's cell with the course's own answer in its gap, between nbgrader's marks."""
    gap = GAP.search(stub)
    if gap is None:
        raise ConfigError(f"the cell of exercise {asked.id} has no line `...`: nothing can be put in its place")
    told = [f"    #{gap[1].split('#', 1)[1]}"] if gap[1] else []
    lines = ["    ### BEGIN SOLUTION", *body_of(stub, asked), "    ### END SOLUTION"]
    return stub[: gap.start()] + "\n".join(told + lines) + stub[gap.end() :]


def body_of(stub: str, asked: Exercise) -> list[str]:
    """The lines of the course's own answer, for a function with the stub's names and without decorators."""
    text = pasteable(asked, {})
    own, theirs = ast.parse(text).body[0], ast.parse(stub).body[-1]
    body = own.body[1:] if ast.get_docstring(own) is not None else own.body
    first = next(line for line in body if not isinstance(line, (ast.Import, ast.ImportFrom)))  # what it needs is imported before it
    rows = text.splitlines()
    imports, lines = rows[body[0].lineno - 1 : first.lineno - 1], rows[first.lineno - 1 : own.end_lineno]
    for mark in own.decorator_list:
        lines = [f"    with {ast.unparse(mark)}:", *(f"    {line}" if line else line for line in lines)]
    names = zip((part.arg for part in own.args.args), (part.arg for part in theirs.args.args))
    return [*imports, *(f"    {mine} = {other}" for mine, other in names if mine != other), *lines]


def write(notebook: dict[str, Any], path: Path) -> None:
    """As Jupyter writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def hand_out(source: Path, out: Path, numbers: list[str] | None = None) -> list[str]:
    """Write both folders; returns the names of the notebooks in them.

    Args:
        numbers: of the notebooks to hand out, as "03"; None for all.

    Raises:
        ConfigError: there are no such notebooks, or the folder cannot be written.
    """
    paths = sorted(path for path in source.glob("[0-9][0-9]_*.ipynb") if not numbers or path.name[:2] in numbers)
    missing = sorted(set(numbers or []) - {path.name[:2] for path in paths})
    if missing or not paths:
        raise ConfigError(f"there is no notebook {', '.join(missing) or 'at all'} in {source}: run this where the course lies")
    try:
        for kind in ("student", "nbgrader/source"):
            shutil.rmtree(out / kind, ignore_errors=True)
        shutil.copytree(source / "assets", out / "student" / "assets", ignore=shutil.ignore_patterns(*OWN))
        for path in paths:
            book = json.loads(path.read_text(encoding="utf-8"))
            write(bare(book), out / "student" / path.name)
            folder = out / "nbgrader" / "source" / path.stem
            shutil.copytree(source / "assets", folder / "assets", ignore=shutil.ignore_patterns(*OWN))
            write(assignment(book), folder / path.name)
        (out / "nbgrader" / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{error.filename} could not be read or written ({error.strerror})") from None
    return [path.stem for path in paths]


def main(words: list[str] | None = None) -> None:
    """Run the command line; exits with 2 and one sentence for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m dreamer_core.classroom.handout", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("build/handout"), metavar="DIR", help="folder to write (default: build/handout)")
    parser.add_argument("--notebook", metavar="NN", action="append", help="only this notebook; may be given several times (default: all)")
    asked = parser.parse_args(words)
    try:
        names = hand_out(NOTEBOOKS, asked.out, asked.notebook)
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"{len(names)} notebooks for students in {asked.out / 'student'}, and as nbgrader assignments in {asked.out / 'nbgrader'}")


if __name__ == "__main__":
    main()

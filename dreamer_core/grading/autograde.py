"""nbgrader's marks from this judge: a preprocessor that takes the place of running the notebook.

In nbgrader_config.py (the one that `make handout` writes has it):

    from dreamer_core.grading.autograde import Judge
    c.Autograde.autograde_preprocessors = [Judge, ...]

No cell of a submission is run in a kernel. The answers are judged as `dreamer_core.classroom.grade` judges them, and each test cell
gets its points, with a line that gives the reason, as its output.
"""

import re
from typing import Any

from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader import utils
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Float, Integer

from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.grading.marks import mark
from dreamer_core.grading.notebook import Taken, book_of
from dreamer_core.grading.points import rooms, said
from dreamer_core.grading.remote import Limits

TEST = re.compile(r'^points\("(\d+\.\d+)"\)$', re.MULTILINE)


class Judge(NbGraderPreprocessor):
    """Fills the test cells."""

    seconds = Float(Limits().seconds, help="Seconds of computing that one answer may take").tag(config=True)
    memory = Integer(Limits().memory // 2**20, help="Megabytes that one answer may take").tag(config=True)
    seed = Integer(0, help="Of the inputs: change it for each grading that counts").tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Judge every answer that a test cell asks for.

        Raises:
            CellExecutionError: there is a test cell that is not the course's, which only running the notebook could grade.
        """
        book = book_of([cell.source for cell in nb.cells if cell.cell_type == "code" and not utils.is_grade(cell)])
        for cell in nb.cells:
            if cell.cell_type != "code" or not utils.is_grade(cell) or utils.is_solution(cell):
                continue
            asked = TEST.findall(cell.source)
            if len(asked) != 1 or asked[0] not in EXERCISES:
                name = cell.metadata.nbgrader.grade_id
                raise CellExecutionError(f"{name} is not a test cell of the course: grade it by hand, or use nbgrader's Execute", "", "")
            self.fill(cell, asked[0], book.answers.get(asked[0]))
        return nb, resources

    def fill(self, cell: NotebookNode, number: str, taken: Taken | None) -> None:
        """The output of one test cell. nbgrader takes the number as its points."""
        text, points = f"{number}: there is no such exercise in the notebook.", 0.0
        if taken is not None:
            found = mark(EXERCISES[number], taken, rooms(), Limits(self.seconds, self.memory * 2**20), f" {self.seed}")
            text, points = said(found), found.points * float(cell.metadata.nbgrader.points) / found.out_of
        result = new_output("execute_result", {"text/plain": f"{points:g}"}, execution_count=1)
        cell.outputs = [new_output("stream", name="stdout", text=text + "\n"), result]
        cell.execution_count = 1

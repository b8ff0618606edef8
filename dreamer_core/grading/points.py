"""Points in a notebook: what stands in the test cells of an nbgrader assignment.

    from dreamer_core.grading.points import points
    points("3.2")

The text of the answer is taken from the cells that were run, and judged in a process of its own. A blank counts 0, and stops nothing.
This cell runs in the student's own kernel, which a student can change: for marks, `dreamer_core.grading.autograde`
judges without any kernel, and puts its own outputs here.
"""

import functools
import secrets
import sys

from dreamer_core.classroom.lesson import EXERCISES, find
from dreamer_core.grading.marks import Mark, mark
from dreamer_core.grading.notebook import book_of
from dreamer_core.grading.remote import Rooms


@functools.cache
def rooms() -> Rooms:
    """The warm process that this one judges with, made when it is first needed."""
    return Rooms()


def points(number: str) -> float:
    """The points for an exercise as it stands in this notebook's cells; says in a line what they are for.

    Args:
        number: the exercise, as "3.2".
    """
    if find(number) is None:
        return 0.0
    cells = [str(cell) for cell in getattr(sys.modules["__main__"], "In", [])]
    taken = book_of(cells).answers.get(number)
    if taken is None:
        print(f"{number}: no cell with this exercise has been run in this notebook.")
        return 0.0
    found = mark(EXERCISES[number], taken, rooms(), salt=secrets.token_hex(4))
    print(said(found))
    return found.points


def said(found: Mark) -> str:
    """A mark in a line."""
    heading = EXERCISES[found.exercise].heading
    return f"{heading} {found.points:g} of {found.out_of} points. {found.sentence or 'Right.'}"

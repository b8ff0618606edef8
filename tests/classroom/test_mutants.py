"""The checks themselves are tested: each reference is changed in one place after the other, and what passes is a hole.

What passes because it *is* right is listed in `equivalent/`, each with its reason.
"""

import importlib

import pytest

from dreamer_core.classroom.exercises import collect
from dreamer_core.classroom.judge import passes
from dreamer_core.classroom.lesson import notebook_of
from dreamer_core.classroom.mutants import mutants

EXERCISES = collect()
EQUIVALENT = {
    number: reasons
    for name in sorted({notebook_of(number) for number in EXERCISES})
    for number, reasons in importlib.import_module(f"classroom.equivalent.nb{name}").EQUIVALENT.items()
}


def survivors(exercise) -> tuple[list[str], int]:
    """The mutants that pass, in words, and how many were made."""
    made = list(mutants(exercise.reference, gradients=exercise.gradients))
    return [mutant.name for mutant in made if passes(exercise, mutant.function)], len(made)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
def test_the_check_notices_every_change_that_matters(exercise):
    passed, count = survivors(exercise)
    assert count >= 10, f"only {count} mutants were made of {exercise.id}"
    known = EQUIVALENT.get(exercise.id, {})
    holes = [what for what in passed if what not in known]
    assert not holes, f"the check of {exercise.id} lets pass an answer in which: " + "; ".join(holes)
    stale = set(known) - set(passed)
    assert not stale, f"listed as equivalent for {exercise.id}, but caught or no longer made: {stale}"
    assert all(len(reason) > 10 for reason in known.values()), f"a mutant of {exercise.id} is listed without a reason"

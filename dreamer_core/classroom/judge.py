"""Is this function right, and if not, what is the mistake?

The learner's function may return nothing or garbage, change its inputs, print, crash or never
come back. None of this may reach the learner as a traceback of ours: every call goes through
`guarded`, what was wrong comes out as one sentence, and what was done to the process is undone
(`contain`).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from dreamer_core.classroom import second_look
from dreamer_core.classroom.call import ROUNDING, Complaint, equal, guarded, one_line, plain
from dreamer_core.classroom.contain import GRACE, Lost, OutOfTime, apart, contained, quiet, time_limit
from dreamer_core.classroom.diagnosis import Found, diagnose, drawn_again, in_some_cases, is_mistake, shown
from dreamer_core.classroom.second_look import cases, sight
from dreamer_core.classroom.spec import Exercise, Observations

Result = TypeVar("Result")
SECONDS = 20  # a check takes a fifth of a second: whatever runs for this long will not end
BROKEN_OFF = "Your function does not give what it should, and it broke off the search for the reason."
PATIENCE = 15  # for the search after the kind of a difference; without it there are still the numbers
REST = 4  # for naming the cases in which it is right, after that; together less than SECONDS, after which the process is killed


class Verdict(NamedTuple):
    """What came of an attempt."""

    right: bool
    message: str = ""
    """One or two sentences on what is wrong; empty if nothing is."""
    mistake: str = ""
    """The name of the mistake, if it has one."""
    printed: str = ""
    """What the function printed while it was checked."""
    stopped: str = ""
    """The error it stopped with and the line, if it stopped with one."""
    kind: str = ""
    """What kind of difference it is, where no named mistake fits."""


class CourseFault(Exception):
    """The check itself is broken. Never the learner's fault."""


def judge(exercise: Exercise, function: Callable) -> Verdict:
    """Observe the function, compare with the truth, and name the mistake if there is one; all of it where it can do no harm.

    Raises:
        CourseFault: not even the reference gets through the check.
        KeyboardInterrupt: the learner stopped it.
    """
    try:
        return apart(lambda: look_and_compare(exercise, function), SECONDS + GRACE)
    except Lost as lost:
        return Verdict(False, still_running() if lost.late else str(lost))


def look_and_compare(exercise: Exercise, function: Callable) -> Iterator[Verdict]:
    """What `judge` says; before the search for a reason, what it says if the function does not let that end.

    Raises:
        CourseFault: not even the reference gets through the check.
    """
    watched = contained(function)
    with quiet() as printed, np.errstate(all="ignore"):
        try:
            with time_limit(SECONDS):
                seen = outcome(exercise, watched)
                found = [Found(case, sight(exercise, watched, case), second_look.truth(exercise, case)) for case in cases(exercise)]
            yield Verdict(False, BROKEN_OFF, printed=printed.getvalue())
            verdict = compare(exercise, watched, seen, found)
        except OutOfTime:
            verdict = Verdict(False, still_running())
        except (CourseFault, KeyboardInterrupt):
            raise
        except BaseException as error:
            if not accepts_reference(exercise):
                raise CourseFault(f"the check of {exercise.id} broke: {one_line(error)}") from None
            verdict = Verdict(False, f"What your function returned could not be used further: {one_line(error)}.", stopped=one_line(error))
    yield verdict._replace(printed=printed.getvalue())


def still_running() -> str:
    """What is said when time is up."""
    return f"Your function was still running after {SECONDS} seconds, on a few small numbers: is there a loop that does not end?"


def accepts_reference(exercise: Exercise) -> bool:
    """Whether the course's own answer gets through the check."""
    try:
        reference, truth = outcome(exercise, exercise.reference), exercise.expected()
        return not isinstance(reference, Complaint) and not first_difference(reference, truth)
    except Exception:
        return False


def compare(exercise: Exercise, function: Callable, seen: Observations | Complaint, found: list[Found]) -> Verdict:
    """Hold what was seen of a function against the truth and against the reference; if it is wrong, say how.

    Args:
        seen: on the hand-made inputs. found: in every case of the second look.

    Raises:
        CourseFault: not even the reference gets through the check.
    """
    with torch.random.fork_rng(devices=[]):
        truth = exercise.expected()
    difference = str(seen) if isinstance(seen, Complaint) else first_difference(seen, truth)
    if not difference and all(each.right for each in found):
        return Verdict(True)
    if not accepts_reference(exercise):
        raise CourseFault(f"the check of {exercise.id} does not accept the course's own answer")
    complaints = [each for each in (seen, *(each.seen for each in found)) if isinstance(each, Complaint)]
    stopped = next((each.stopped for each in complaints if each.stopped), "")
    example = difference or shown(exercise, found)
    for mistake in exercise.mistakes:
        if alike(seen, outcome(exercise, mistake.wrong)) and is_mistake(exercise, mistake, found):
            numbers = "" if isinstance(seen, Complaint) else f" {example}"
            return Verdict(False, f"{mistake.message}{numbers}", mistake.name, stopped=stopped)
    wrong = [each for each in found if not each.right]
    kind = (in_time(lambda: diagnose(exercise, function, found), PATIENCE) or "") if wrong else ""
    if wrong and not kind:
        more = in_time(lambda: [*found, *drawn_again(exercise, function)], REST) or found
        if kind := in_some_cases(exercise, more):
            example = shown(exercise, more)  # of the inputs that the sentence speaks of
    if not kind and all(each.case.look.within for each in wrong):
        kind = example  # what is drawn by chance is compared by measures that have telling names
    said = next((str(each) for each in complaints if not all(part in ("form", "unusable") for part in each.kind[1:2])), "")
    return Verdict(False, " ".join(dict.fromkeys(filter(None, (kind, example)))), stopped=stopped, kind=kind or said)


def in_time(search: Callable[[], Result], seconds: float) -> Result | None:
    """What a search finds; None if it takes too long."""
    try:
        with quiet(), time_limit(seconds):
            return search()
    except OutOfTime:
        return None


def passes(exercise: Exercise, function: Callable) -> bool:
    """Whether a function is right, without a word on why not: quick, for the tests of the checks."""
    with np.errstate(all="ignore"):
        if next(second_look.differing(exercise, function), None) is not None:
            return False
        seen = outcome(exercise, function)
    return not isinstance(seen, Complaint) and not first_difference(seen, exercise.expected())


def outcome(exercise: Exercise, function: Callable) -> Observations | Complaint:
    """What the exercise observes of this function, always with the same random numbers; or what a call did wrong."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        try:
            return exercise.observe(guarded(exercise, function))
        except Complaint as complaint:
            return complaint
        except Exception as error:  # its result passed the guard, and yet could not be used
            return Complaint(f"What your function returned could not be used further: {one_line(error)}.", "unusable", one_line(error))


def alike(a: Observations | Complaint, b: Observations | Complaint) -> bool:
    """Whether two functions behaved in the same way."""
    if isinstance(a, Complaint) or isinstance(b, Complaint):
        return isinstance(a, Complaint) and isinstance(b, Complaint) and a.kind == b.kind
    return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)


def first_difference(seen: Observations, truth: Observations) -> str:
    """One sentence with the first number that is not as it should be, or nothing.

    Raises:
        CourseFault: what was observed and what is known do not go by the same names.
    """
    if seen.keys() != truth.keys():
        raise CourseFault(f"observed {list(seen)}, but the truth names {list(truth)}")
    for name, value in seen.items():
        wanted = truth[name]
        if equal(value, wanted):
            continue
        where = ""
        if isinstance(value, Tensor) and isinstance(wanted, Tensor) and value.shape == wanted.shape and value.dim():
            wrong = ~torch.isclose(value.detach().double(), wanted.detach().double(), **ROUNDING)
            index = tuple(wrong.nonzero()[0].tolist())
            where = f", entry {index[0] if len(index) == 1 else index}"
            value, wanted = value[index], wanted[index]
        return f"Look at {name}{where}: yours is {plain(value)}, it should be {plain(wanted)}."
    return ""

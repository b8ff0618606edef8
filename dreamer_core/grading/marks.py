"""Points for one answer, and the reason.

**Points.** An exercise counts as many points as its importance, 1 to 3.

**Partial credit.** Inputs of the second look come in kinds ("a single row", "a mask in the last row"), and each kind
asks for two things: the numbers, and the gradients to the inputs, where there are any. An answer that is not right gets
half of the points times the share of these that hold. So what is right but for one kind of input gets nearly half, what has right
numbers and no gradient a quarter, and what is right nowhere nothing. A crash in every call, a blank, and an answer by
unfair means get nothing.
"""

import ast
import warnings
from typing import NamedTuple

import numpy as np

from dreamer_core.classroom.call import Complaint
from dreamer_core.classroom.contain import quiet
from dreamer_core.classroom.diagnosis import Found, slopes, values_right
from dreamer_core.classroom.judge import CourseFault, Verdict, compare, first_difference, outcome
from dreamer_core.classroom.paste import pasteable
from dreamer_core.classroom.second_look import cases, close, sight, truth
from dreamer_core.classroom.spec import Exercise, Observations
from dreamer_core.grading.notebook import Taken
from dreamer_core.grading.remote import Answer, Ended, Limits, Rooms, Unread

PART = 0.5  # of the points, for an answer all of whose properties but none of whose wholes hold
LONG = 3  # statements from which on it is no accident that two people write the same
MOST = 600  # characters of a sentence


class Mark(NamedTuple):
    """What came of one answer."""

    exercise: str
    state: str
    """"right", "partly", "wrong", "blank", "missing", "unfair" (means that earn nothing) or "fault" (the course's own)."""
    points: float
    out_of: int
    sentence: str = ""
    """What is wrong, to the student; empty if nothing is."""
    mistake: str = ""
    """The name of the mistake, if it has one."""
    own: str = ""
    """The student's function."""
    printed: str = ""
    remark: str = ""
    """What the teacher should know, and the student need not be told."""


def mark(exercise: Exercise, taken: Taken, rooms: Rooms, limits: Limits | None = None, salt: str = "") -> Mark:
    """Judge one answer in a room of its own.

    Args:
        salt: makes the inputs of the second look others than those of the course.
    """
    if taken.state != "answer":
        states = {"begun": "blank", "unreadable": "wrong"}
        return Mark(exercise.id, states.get(taken.state, taken.state), 0.0, exercise.importance, taken.sentence, own=taken.own)
    blank = Mark(exercise.id, "wrong", 0.0, exercise.importance, own=taken.own)
    try:
        with rooms.started() as process, warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            answer = Answer(process, exercise, taken.source, taken.name, limits or Limits(), taken.imports)
            try:
                verdict, share = examined(exercise, answer, salt)
            finally:
                answer.restore()
            printed = answer.printed
    except Unread as error:
        return blank._replace(sentence=str(error))
    except Ended as ended:
        return blank._replace(state="unfair" if ended.unfair else "wrong", sentence=ended.sentence)
    except CourseFault as fault:
        told = f"{fault}. This is a fault of the course, not of the answer"
        return blank._replace(state="fault", sentence=f"{told}.", remark=f"{exercise.id}: {told}: look at it yourself.")
    points = exercise.importance * (1.0 if verdict.right else PART * share)
    state = "right" if verdict.right else "partly" if share else "wrong"
    sentence = verdict.message if len(verdict.message) <= MOST else verdict.message[:MOST] + " …"
    same = "its text is the course's own" if verdict.right and is_course_text(exercise, taken.own) else ""
    return blank._replace(
        state=state,
        points=round(points, 2),
        sentence=sentence,
        mistake=verdict.mistake,
        printed=printed,
        remark=same and f"{exercise.id}: {same}.",
    )


def examined(exercise: Exercise, answer: Answer, salt: str) -> tuple[Verdict, float]:
    """The verdict on a function, and the share of its properties that hold.

    Raises:
        Ended: its process is gone, or had to go, before it had shown what it does; or it did at any time what it must not.
        CourseFault: not even the reference gets through the check.
    """
    with quiet():
        seen = outcome(exercise, answer.function)
        found = [Found(case, sight(exercise, answer.function, case), truth(exercise, case)) for case in cases(exercise, salt=salt)]
        if answer.ended is not None:
            raise answer.ended
        answer.restore()
        verdict = compare(exercise, answer.function, seen, found)
        if answer.ended is not None and answer.ended.unfair:
            raise answer.ended
    return verdict, share_of(exercise, seen, found)


def share_of(exercise: Exercise, seen: Observations | Complaint, found: list[Found]) -> float:
    """The share of an answer's properties that hold, 0 to 1. An exercise without a second look has what is observed by hand."""
    if not found:
        wanted = exercise.expected()
        held = [] if isinstance(seen, Complaint) else [not first_difference({name: seen[name]}, {name: wanted[name]}) for name in wanted]
        return sum(held) / len(wanted) if wanted else 0.0
    held = [fact for look in exercise.looks for fact in facts([each for each in found if each.case.look is look])]
    return sum(held) / len(held)


def facts(found: list[Found]) -> list[bool]:
    """Of one kind of input: whether the numbers are right, and whether the gradients are, where there are any."""
    if any(isinstance(each.wanted, Complaint) or isinstance(each.seen, Complaint) for each in found):
        sights = [each.wanted for each in found if not isinstance(each.wanted, Complaint)]
        return [all(each.right for each in found)] * (
            1 + any(bool(slope.any()) for wanted in sights for slope in wanted.gradients.values())
        )
    numbers = [all(values_right(each) for each in found)] if any(each.wanted.values for each in found) else []
    names = {name for each in found for name, slope in each.wanted.gradients.items() if bool(slope.any())}
    right = all(close(*slopes(each, name), each.case.look.within) for each in found for name in each.wanted.gradients)
    return [*numbers, *([right] if names else [])] or [all(each.right for each in found)]


# --- whose text is it? -------------------------------------------------------------------------------------


def is_course_text(exercise: Exercise, own: str) -> bool:
    """Whether an answer of some length is the course's own, as `solution` prints it."""
    return bool(body_of(own)) and body_of(own) == body_of(pasteable(exercise, {}))


def body_of(text: str) -> str:
    """What a function does, without comments, spaces, imports and docstring; nothing for one of less than LONG statements."""
    try:
        tree = ast.parse(text).body[0]
    except (SyntaxError, IndexError):
        return ""
    if not isinstance(tree, ast.FunctionDef):
        return ""
    body = [line for line in tree.body if not isinstance(line, (ast.Import, ast.ImportFrom)) and not is_docstring(line)]
    long = sum(isinstance(node, ast.stmt) for line in body for node in ast.walk(line)) >= LONG
    return "\n".join(map(ast.unparse, body)) if long else ""


def is_docstring(line: ast.stmt) -> bool:
    """Whether a statement is a text alone."""
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and isinstance(line.value.value, str)


def shared_texts(answers: dict[str, dict[str, str]]) -> dict[str, list[str]]:
    """Remarks for students who share an answer of some length with others, to the letter.

    Args:
        answers: by student, the text of each exercise's answer.
    """
    owners: dict[tuple[str, str], list[str]] = {}
    for student, texts in answers.items():
        for number, text in texts.items():
            if body := body_of(text):
                owners.setdefault((number, body), []).append(student)
    found: dict[str, list[str]] = {}
    for (number, _), students in owners.items():
        for student in students if len(students) > 1 else []:
            others = [other for other in students if other != student]
            names = ", ".join(others[:3]) + (f" and {len(others) - 3} more" if len(others) > 3 else "")
            found.setdefault(student, []).append(f"{number}: the same text as {names}.")
    return found

"""Whose code the agent runs: the course's, or the learner's.

A learner's function takes the place of the core's everywhere inside `dreamer_core`, under every
name it was imported by. So it is called by the same lines that called the reference.
"""

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dreamer_core.classroom.call import code_of, one_line
from dreamer_core.classroom.spec import Exercise
from dreamer_core.rssm import RSSM

installed: dict[str, Exercise] = {}


class Part(NamedTuple):
    """One part of the agent that a learner can build."""

    id: str
    title: str
    target: str
    mine: bool
    """Whether the learner's own function runs there now."""


def place(exercise: Exercise) -> tuple[object, str]:
    """Where the target lives: a module or class, and the name in it."""
    module, path = exercise.target.split(":")
    *outer, name = path.split(".")
    return functools.reduce(getattr, outer, importlib.import_module(module)), name


def current(exercise: Exercise) -> Callable:
    """What the agent runs now; for an exercise that is no part of the agent, its reference."""
    return getattr(*place(exercise)) if exercise.target else exercise.reference


def swap(exercise: Exercise, function: Callable) -> None:
    """Put a function in the target's place, in every module of the package that knows it."""
    owner, name = place(exercise)
    old = getattr(owner, name)
    setattr(owner, name, function)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("dreamer_core.") and not module_name.startswith("dreamer_core.classroom"):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, function)


@contextlib.contextmanager
def knows_itself(function: Callable) -> Iterator[None]:
    """For this block, a function that calls itself by its name reaches itself, and not what else bears that name."""
    code, names = code_of(function), globals_of(function)
    if code is None or names is None or code.co_name not in code.co_names:
        yield
        return
    missing = object()
    before = names.get(code.co_name, missing)
    names[code.co_name] = function
    try:
        yield
    finally:
        if before is missing:
            names.pop(code.co_name, None)
        else:
            names[code.co_name] = before


def globals_of(function: Callable) -> dict[str, Any] | None:
    """The names that a function knows, below its decorators; None for what is no function."""
    try:
        names = getattr(inspect.unwrap(function), "__globals__", None)
    except Exception:  # whatever stands under the decorator, it may answer in any way
        return None
    return names if isinstance(names, dict) else None


def install(exercise: Exercise, function: Callable) -> None:
    """Let the agent run the learner's function from here on.

    Should it fail on something the check did not show it, the agent goes on with the reference
    and says so: a run of minutes is not lost to a line.
    """
    if exercise.target is None:
        return

    @functools.wraps(exercise.reference)
    def part(*args, **kwargs):
        try:
            with knows_itself(function):
                return function(*args, **kwargs)
        except Exception as error:
            result = exercise.reference(*args, **kwargs)  # if this fails too, the inputs are to blame
            remove(exercise)
            print(f"Your {exercise.id} ({exercise.title}) stopped with {one_line(error)}. The course's version goes on in its place.")
            return result

    swap(exercise, part)
    installed[exercise.id] = exercise
    RSSM.batched = not any(each.plain_loop for each in installed.values())


def remove(exercise: Exercise) -> None:
    """Back to the course's version."""
    if installed.pop(exercise.id, None):
        swap(exercise, exercise.reference)
        RSSM.batched = not any(each.plain_loop for each in installed.values())

"""Whose code the agent runs: the course's, or the learner's.

A learner's function takes the place of the core's everywhere inside `dreamer_core`, under every
name it was imported by. So it is called by the same lines that called the reference. A class does so
too: whoever makes an object of it from then on makes the learner's.
"""

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from dreamer_core.agent import Dreamer
from dreamer_core.classroom.build import Build
from dreamer_core.classroom.call import code_of, one_line
from dreamer_core.classroom.spec import Exercise
from dreamer_core.rssm import RSSM

installed: dict[str, Exercise] = {}
built: dict[str, tuple[Build, Callable]] = {}  # the learner's classes and functions that answer a build
courses: dict[type, type] = {}  # class that chooses -> the course's own, which it stands before


class Part(NamedTuple):
    """One part of the agent that a learner can build."""

    id: str
    title: str
    target: str
    mine: bool
    """Whether the learner's own function runs there now."""


def place(exercise: Exercise | Build) -> tuple[object, str]:
    """Where the target lives: a module or class (the course's own), and the name in it."""
    module, path = exercise.target.split(":")
    *outer, name = path.split(".")
    owner = functools.reduce(getattr, outer, importlib.import_module(module))
    return courses.get(owner, owner) if inspect.isclass(owner) else owner, name


def current(exercise: Exercise) -> Callable:
    """What the agent runs now; for an exercise that is no part of the agent, its reference."""
    return getattr(*place(exercise)) if exercise.target else exercise.reference


def swap(exercise: Exercise | Build, function: Callable) -> None:
    """Put a function or class in the target's place, in every module of the package that knows it, by a name or in a table."""
    owner, name = place(exercise)
    old = getattr(owner, name)
    setattr(owner, name, function)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("dreamer_core.") and not module_name.startswith("dreamer_core.classroom"):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, function)
                elif isinstance(value, dict) and not key.startswith("__"):
                    value.update({each: function for each, entry in value.items() if entry is old})


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


# --- builds -------------------------------------------------------------------------------------------


def install_build(build: Build, made: Callable) -> None:
    """Let the agent run the learner's class or function from here on, wherever it suits the configuration."""
    if build.target is not None:
        built[build.id] = (build, made)
        put(build)


def remove_build(build: Build) -> None:
    """Back to the course's version."""
    if built.pop(build.id, None):
        put(build)


def put(build: Build) -> None:
    """Put before a build's target whatever the learner has built for it; nothing if that is nothing."""
    mine = [pair for pair in built.values() if pair[0].target == build.target]
    own = next((each.reference for each in installed.values() if each.target == build.target), build.reference)
    swap(build, chooser(build, mine) if mine and build.is_class else first_that_suits(own, mine) if mine else own)
    Dreamer.load = classmethod(LOAD if not any(each.is_class for each, _ in built.values()) else load_either)


def first_that_suits(own: Callable, mine: list[tuple[Build, Callable]]) -> Callable:
    """A function that calls the learner's where it suits the arguments, and the course's elsewhere and after a failure."""

    @functools.wraps(own)
    def part(*args, **kwargs):
        for build, made in mine:
            if build.suits(*args, **kwargs):
                try:
                    with knows_itself(made):
                        return made(*args, **kwargs)
                except Exception as error:
                    result = own(*args, **kwargs)  # if this fails too, the inputs are to blame
                    remove_build(build)
                    print(f"Your {build.id} ({build.title}) stopped with {one_line(error)}. The course's version goes on in its place.")
                    return result
        return own(*args, **kwargs)

    return part


def chooser(build: Build, mine: list[tuple[Build, Callable]]) -> type:
    """A class like the course's, an object of which is one of the learner's class wherever that suits."""
    ((_, made),) = mine

    def new(cls: type, *args: Any, **kwargs: Any) -> Any:
        if cls is chosen and build.suits(*args, **kwargs):
            try:
                return made(*args, **kwargs)
            except Exception as error:
                course = build.reference(*args, **kwargs)  # if this fails too, the arguments are to blame
                remove_build(build)
                print(f"Your {build.id} ({build.title}) could not be made: {one_line(error)}. The course's version goes on in its place.")
                return course
        return build.reference.__new__(cls)

    chosen = type(build.reference.__name__, (build.reference,), {"__new__": new, "__doc__": build.reference.__doc__})
    chosen.__module__ = build.reference.__module__
    courses[chosen] = build.reference
    return chosen


LOAD = Dreamer.load.__func__


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """For this block, nothing that was built is in the agent."""
    kept = list(built.values())
    for build, _ in kept:
        remove_build(build)
    try:
        yield
    finally:
        for build, made in kept:
            install_build(build, made)


@functools.wraps(LOAD)
def load_either(cls: type[Dreamer], *args: Any, **kwargs: Any) -> Dreamer:
    """`Dreamer.load` of an agent that has the learner's classes, or else the course's: their weights have other names and shapes."""
    try:
        return LOAD(cls, *args, **kwargs)
    except (RuntimeError, KeyError, AttributeError):
        with aside():
            agent = LOAD(cls, *args, **kwargs)
    own = ", ".join(f"{build.id} ({build.title})" for build, _ in built.values() if build.is_class)
    print(f"This stored agent was trained with the course's classes, so it runs those; agents that you make run yours: {own}.")
    return agent

"""Which properties of a built class or loop hold? Each gets a line; nothing the answer does reaches the notebook."""

import ast
import functools
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from dreamer_core.classroom.answer import methods_left, source_of
from dreamer_core.classroom.build import Build, Property, Wrong
from dreamer_core.classroom.call import crash, one_line
from dreamer_core.classroom.contain import GRACE, Lost, OutOfTime, apart, kept, quiet, time_limit
from dreamer_core.classroom.spec import Mistake

SECONDS = 20  # for one property, which takes a second
PATIENCE = 15  # for the search for a named mistake


class Line(NamedTuple):
    """How one property stands."""

    name: str
    state: str
    """"holds", "fails" or "waits" (for a method that is not written yet)."""
    sentence: str = ""
    kind: str = ""
    """What kind of wrong it is, where it fails."""


class Finding(NamedTuple):
    """What came of an attempt."""

    lines: tuple[Line, ...] = ()
    message: str = ""
    """What the named mistake says, if it is one."""
    mistake: str = ""
    printed: str = ""

    @property
    def right(self) -> bool:
        """Whether every property holds."""
        return bool(self.lines) and all(line.state == "holds" for line in self.lines)


def judge_build(build: Build, made: Any) -> Finding:
    """Check every property of an answer, and name the mistake if there is one; all of it where it can do no harm.

    Args:
        made: the learner's class or function.

    Raises:
        KeyboardInterrupt: the learner stopped it.
    """
    return judge_text(build, lambda: made)


def judge_text(build: Build, read: Callable[[], Any]) -> Finding:
    """The same for an answer that is first read from its text, which runs what stands in its head.

    Raises:
        KeyboardInterrupt: the learner stopped it.
    """
    prepare()
    try:
        finding = apart(lambda: checked(build, read), SECONDS + GRACE)
    except Lost as lost:
        sentence = f"It was still running after {SECONDS} seconds." if lost.late else str(lost)
        finding = Finding((Line(build.properties[0].name, "fails", sentence, "lost"),))
    missing = len(build.properties) - len(finding.lines)
    if missing and len(finding.lines) and finding.lines[-1].kind != "lost":  # the child ended while the next one was checked
        at = build.properties[len(finding.lines)]
        late = Line(at.name, "fails", "Your code ended the process in which it was checked, or never came back.", "lost")
        finding = finding._replace(lines=(*finding.lines, late))
    return finding


@functools.cache
def prepare() -> None:
    """Have torch import what it puts off until the first optimiser is made: seconds, which else each child would need anew."""
    torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)


def checked(build: Build, read: Callable[[], Any]) -> Iterator[Finding]:
    """The finding after each property, and at last with its message."""
    with quiet() as printed, np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = read()
        except (KeyboardInterrupt, OutOfTime):
            raise
        except BaseException as error:
            yield Finding((Line(build.properties[0].name, "fails", f"It stopped with {one_line(error)}.", "text"),))
            return
        gaps = unwritten(build, made)
        lines: tuple[Line, ...] = ()
        for each in build.properties:
            lines = (*lines, line_of(each, made, gaps))
            yield Finding(lines, printed=printed.getvalue())
        finding = Finding(lines, printed=printed.getvalue())
        if not finding.right and not gaps:
            found = named(build, lines)
            if found is not None:
                finding = finding._replace(message=found.message, mistake=found.name)
    yield finding


def unwritten(build: Build, made: Any) -> dict[str, str]:
    """Methods that properties need and that are not there, with the reason."""
    if not build.is_class:
        return {}
    idle = methods_left(source_of(build.reference))  # a method that does nothing in the course's own may do nothing
    gaps = {name: f"`{name}` is still `...`" for name in methods_left(source_of(made)) if name not in idle}
    for name in dict.fromkeys(name for each in build.properties for name in each.needs):
        if name not in gaps and not hasattr(made, name) and name not in assigned(made):
            gaps[name] = f"there is no `{name}`"
    return gaps


def assigned(made: Any) -> set[str]:
    """What a class's text, or that of a class it inherits from, assigns as `self.NAME = ...`: as good as a method."""
    own = [each for each in made.__mro__ if each.__module__.partition(".")[0] not in ("torch", "builtins")]
    nodes = [node for each in own for node in ast.walk(ast.parse(source_of(each)))]
    stores = [node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    return {node.attr for node in stores if isinstance(node.value, ast.Name)}


def line_of(asked: Property, made: Any, gaps: dict[str, str] | None = None) -> Line:
    """How one property of an answer stands."""
    waits = [reason for name, reason in (gaps or {}).items() if name in asked.needs]
    if waits:
        return Line(asked.name, "waits", f"waits: {waits[0]}.")
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), kept():
        torch.manual_seed(0)
        try:
            with time_limit(SECONDS):
                asked.check(made)
        except Wrong as wrong:
            return Line(asked.name, "fails", str(wrong), wrong.kind)
        except OutOfTime:
            return Line(asked.name, "fails", f"It was still running after {SECONDS} seconds: is there a loop that does not end?", "late")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too
            return Line(asked.name, "fails", stopped(error, made), f"crash {type(error).__name__}")
    return Line(asked.name, "holds", asked.asks)


def stopped(error: BaseException, made: Any) -> str:
    """An error in a sentence: in the learner's own line, or in what was done with what their code gave."""
    where = crash(error, made)
    return f"It stopped with {where}." if where != one_line(error) else f"What it gave could not be used further: {where}."


def named(build: Build, lines: tuple[Line, ...]) -> Mistake | None:
    """The named mistake that fails in the same properties and ways; None if there is none, or the search takes too long."""
    try:
        with time_limit(PATIENCE):
            return next((each for each in build.mistakes if fails_alike(build, each.wrong, lines)), None)
    except OutOfTime:
        return None


def fails_alike(build: Build, made: Any, lines: tuple[Line, ...]) -> bool:
    """Whether an answer stands in every property as these lines say, and is wrong in the same way where it fails."""
    telling = sorted(zip(build.properties, lines), key=lambda pair: pair[1].state == "holds")  # what fails tells most of them apart
    found = ((line_of(each, made), line) for each, line in telling)
    return all((one.state, one.kind) == (other.state, other.kind) for one, other in found)


def told(build: Build, finding: Finding) -> str:
    """The list of properties that a learner reads."""
    marks = {"holds": "✓", "fails": "✗", "waits": "·"}
    width = max(len(each.name) for each in build.properties)
    said, failed = [], set()
    for line in finding.lines:
        again = line.state == "fails" and line.sentence in failed  # one slip, as a tensor of a wrong shape, can stop every check
        said.append(f"  {marks[line.state]} {line.name:<{width}}  {'the same again.' if again else line.sentence}")
        failed |= {line.sentence} if line.state == "fails" else set()
    return "\n".join(said)


def takes_class(build: Build, made: Any) -> str:
    """A sentence if a function is offered where a class is asked for, or the other way round."""
    if build.is_class and not inspect.isclass(made):
        return f"{build.heading} a class is asked for (class {build.reference.__name__} ...)."
    if not build.is_class and (inspect.isclass(made) or not callable(made)):
        return f"{build.heading} a function is asked for (def {build.reference.__name__} ...)."
    if build.is_class and issubclass(made, build.reference):
        return f"{build.heading} your class inherits from the course's own {build.reference.__name__}: build it without that."
    return ""

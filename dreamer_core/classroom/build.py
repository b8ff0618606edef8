"""What a build exercise is made of: a whole class or loop, judged by what it does.

A build is longer than an exercise and optional. Its answer may have any internal layout and any names of
parameters; nothing but its public methods is called. So it is not compared with the reference: each
*property* (shapes, gradients, time, ...) is checked for itself, against a truth that the answer itself or
arithmetic provides. Each property has a line of its own, so that a learner sees what stands already.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dreamer_core.classroom.call import ROUNDING, equal, form, plain
from dreamer_core.classroom.spec import Mistake


class Wrong(Exception):
    """A property that does not hold.

    Args:
        kind: a short identifier of what is wrong; two answers that are wrong in the same way have the same.
        sentence: what is wrong, to the learner.
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class Property:
    """One thing that must hold of an answer."""

    name: str
    """One or two words: "shapes", "time", "the ring's seam"."""
    asks: str
    """What holds, in a sentence; it stands in the learner's list once it does."""
    check: Callable[[Any], None]
    """Called with the answer (the class or function); raises `Wrong` where it does not hold. Seeded, and done within a second."""
    needs: tuple[str, ...] = ()
    """The methods that the check calls; while one of them is not written yet, the property waits."""


def always(*args: Any, **kwargs: Any) -> bool:
    """A build that serves every configuration."""
    return True


@dataclass(frozen=True)
class Build:
    """One build exercise: what is asked, how it is judged, and which part of the agent it becomes."""

    id: str
    """Notebook and letter, as "3.A"."""
    title: str
    """A few words for the table of progress."""
    minutes: int
    """How long a learner takes who has read the notebook up to here."""
    difficulty: int
    """1 to 3, among builds."""
    importance: int
    """1 to 3, among builds."""
    reference: Callable
    """The course's own: the core's class or function."""
    target: str | None
    """What it replaces, "module:Class", "module:function" or "module:Class.method"; None if it stands alone."""
    properties: tuple[Property, ...]
    """In the order in which a learner builds."""
    hints: tuple[str, ...]
    """Mildest first."""
    mistakes: tuple[Mistake, ...]
    """Wrong answers on purpose, each with a message of its own."""
    suits: Callable[..., bool] = always
    """Whether the answer serves what the core calls it with: the constructor's arguments for a class, the arguments for a function.
    Elsewhere (a piece of the paper is configured, say) the course's own runs."""
    runs_with: str = ""
    """The setting with which the agent runs this part, where its default does not."""

    @property
    def heading(self) -> str:
        """Number and title, as a sentence begins with them."""
        return f"{self.id} {self.title}:"

    @property
    def in_agent(self) -> bool:
        """Whether it becomes a part of the agent itself, not of its pictures or of nothing."""
        return self.target is not None and not self.target.startswith("dreamer_core.viz")

    @property
    def is_class(self) -> bool:
        """Whether a class is asked for."""
        return inspect.isclass(self.reference)


# --- what checks are written with -----------------------------------------------------------------------


def hold(true: bool, kind: str, sentence: str) -> None:
    """Nothing if true.

    Raises:
        Wrong: it is not.
    """
    if not true:
        raise Wrong(kind, sentence)


def shaped(value: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The value, if it is a finite tensor of this shape.

    Args:
        what: what it is, as a sentence begins: "`step` of 5 rows", "the first part of what `sample` returns".

    Raises:
        Wrong: kind "nothing", "type", "shape" or "finite".
    """
    hold(value is not None, "nothing", f"{what} gives None. Is there a `return` at its end?")
    hold(isinstance(value, Tensor), "type", f"{what} gives {form(value)}, where a tensor {shape} is expected.")
    hold(tuple(value.shape) == shape, "shape", f"{what} has the shape {tuple(value.shape)}, it should be {shape}.")
    hold(not value.is_floating_point() or bool(value.detach().isfinite().all()), "finite", f"{what} holds NaN or an infinite number.")
    return value


def agrees(value: Any, wanted: Any, kind: str, sentence: str, within: float = 0.0) -> None:
    """Nothing if two numbers, tensors or lists are equal up to rounding, or to `within`.

    Args:
        sentence: what is wrong if not; the first numbers that differ are added to it.

    Raises:
        Wrong: of this kind.
    """
    if isinstance(value, Tensor) and isinstance(wanted, Tensor):
        value, wanted = value.detach(), wanted.detach()
        if value.shape == wanted.shape:
            tolerance = ROUNDING | ({"atol": within} if within else {})
            off = ~torch.isclose(value.double(), wanted.double(), **tolerance)
            if not off.any():
                return
            index = tuple(off.nonzero()[0].tolist())
            where = f" at {index[0] if len(index) == 1 else index}" if index else ""
            raise Wrong(kind, f"{sentence} Yours is {plain(value[index])}{where}, it should be {plain(wanted[index])}.")
    elif equal(value, wanted) or (within and isinstance(value, (int, float)) and abs(value - wanted) <= within):
        return
    raise Wrong(kind, f"{sentence} Yours is {plain(value)}, it should be {plain(wanted)}.")


def slope(loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """d loss / d inputs, with zeros where the loss does not depend on one."""
    if not loss.requires_grad:
        return tuple(map(torch.zeros_like, inputs))
    found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found))

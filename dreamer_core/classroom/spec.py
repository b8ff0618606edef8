"""What an exercise is made of.

A check never reads the learner's text. It *observes* what a function does on small inputs and
compares that with a truth that does not come from the reference: hand numbers, brute force, a
numeric integral, finite differences. Where the two differ, the same is observed of each *named
mistake*, a wrong function written on purpose: whichever behaves like the learner's names the error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Observations = dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """A way to be wrong that is worth a message of its own."""

    name: str
    """A short identifier, for tests."""
    wrong: Callable
    """A function with the exercise's signature that makes exactly this mistake."""
    message: str
    """One or two sentences that name the mistake and say where to look."""


@dataclass(frozen=True)
class Exercise:
    """One exercise: what is asked, how it is judged, and which part of the agent it becomes."""

    id: str
    """Notebook and number, as "3.2"."""
    title: str
    """A few words for the table of progress."""
    minutes: int
    """How long a learner takes who has read the text before it."""
    difficulty: int
    """1 (a line) to 3 (think first)."""
    importance: int
    """1 (nice to know) to 3 (the course stands on it)."""
    reference: Callable
    """The course's own answer: the core's function itself wherever there is one."""
    target: str | None
    """What the learner's function replaces, "module:function" or "module:Class.method"; None if it stands alone."""
    observe: Callable[[Callable], Observations]
    """Calls the function on small inputs and names what came out."""
    expected: Callable[[], Observations]
    """The truth for the same names, not computed by the reference."""
    mistakes: tuple[Mistake, ...]
    """Named wrong answers; no two may behave alike."""
    hints: tuple[str, ...]
    """Mildest first."""
    plain_loop: bool = False
    """The batched unroll of the RSSM goes around this part: with a learner's part the agent runs the plain loop."""
    inplace: bool = False
    """The function is meant to change its inputs."""

    @property
    def heading(self) -> str:
        """Number and title, as a sentence begins with them."""
        return f"{self.id} {self.title}" + ("" if self.title.endswith("?") else ":")

    @property
    def in_agent(self) -> bool:
        """Whether it becomes a part of the agent itself, not of its pictures or of nothing."""
        return self.target is not None and not self.target.startswith("dreamer_core.viz")


def gradient(loss: Tensor, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
    """d loss / d inputs, with zeros where the loss does not depend on an input. One input gives one tensor, several a tuple."""
    if not loss.requires_grad:
        found = [None] * len(inputs)
    else:
        found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    filled = tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found))
    return filled[0] if len(filled) == 1 else filled

"""What an exercise is made of.

A check never reads the learner's text. It *observes* what a function does on small inputs and
compares that with a truth that does not come from the reference: hand numbers, brute force, a
numeric integral, finite differences. Then it takes a *second look*: the function is compared with
the reference on seeded random inputs that tell every argument, axis and entry apart. Where anything
differs, the same is observed of each *named mistake*, a wrong function written on purpose: whichever
behaves like the learner's in everything names the error.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Observations = dict[str, Any]

DIFFICULTY = {1: "easy", 2: "medium", 3: "hard"}
IMPORTANCE = {1: "nice to know", 2: "important", 3: "central"}
"""The words for an exercise's two numbers: a screen reader cannot read a row of dots."""


@dataclass(frozen=True)
class Mistake:
    """A way to be wrong that is worth a message of its own."""

    name: str
    """A short identifier, for tests."""
    wrong: Callable
    """A function with the exercise's signature that makes exactly this mistake."""
    message: str
    """One or two sentences that name the mistake and say where to look."""


def whole(result: Any) -> Any:
    """The result as it is."""
    return result


@dataclass(frozen=True)
class Look:
    """Inputs for the second look.

    Gradients are compared to every float tensor among the inputs (also inside tuples, lists, dicts and
    modules), to those that `Draw.leaf` made, and nothing that is handed in may come back changed.
    """

    name: str
    """What is special about these inputs, as it follows "with ...": "a single row", "a mask in the last row"."""
    inputs: Callable[["Draw"], tuple]
    """The arguments, made of seeded random numbers: no two sizes equal, no two entries equal."""
    draws: int = 2
    """How many times, each with other numbers."""
    read: Callable[[Any], Any] = whole
    """What of the result is compared; all of it, unless some of it is free, or random."""
    within: float = 0.0
    """How far from the reference's numbers these may lie; for a result that is random and compared in law."""


class Draw:
    """Seeded random inputs: the same seed draws the same inputs again.

    Attributes:
        leaves: tensors made by `leaf`, by name: gradients to them are compared too.
        recorded: tensors made by `data`: whether a gradient reaches them is nobody's concern.
    """

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.leaves: dict[str, Tensor] = {}
        self.recorded: list[Tensor] = []

    def normal(self, *shape: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Normal numbers."""
        return mean + std * torch.randn(shape, generator=self.generator)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Numbers between low and high."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers from low to high - 1."""
        return torch.randint(low, high, shape, generator=self.generator)

    def order(self, count: int) -> Tensor:
        """The numbers 0 .. count - 1 in a random order."""
        return torch.randperm(count, generator=self.generator)

    def mask(self, *shape: int, share: float = 0.4) -> Tensor:
        """Zeros and ones (as floats), about `share` of them ones."""
        return (torch.rand(shape, generator=self.generator) < share).float()

    def one_hot(self, *shape: int) -> Tensor:
        """One-hot codes over the last axis."""
        return torch.nn.functional.one_hot(self.integers(0, shape[-1], *shape[:-1]), shape[-1]).float()

    def number(self, low: float, high: float) -> float:
        """One number between low and high."""
        return float(self.uniform(low, high))

    def data(self, tensor: Tensor) -> Tensor:
        """The tensor, marked as recorded data: gradients to it are not compared."""
        self.recorded.append(tensor)
        return tensor

    def leaf(self, name: str, tensor: Tensor) -> Tensor:
        """The tensor, marked so that gradients to it are compared under this name: for what is hidden inside an input."""
        self.leaves[name] = tensor.detach().requires_grad_()
        return self.leaves[name]


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
    """1 (nice to know) to 3 (central)."""
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
    runs_with: str = ""
    """The setting with which the agent runs this part, where its default does not."""
    inplace: bool = False
    """The function is meant to change its inputs."""
    looks: tuple[Look, ...] = ()
    """The second look: inputs on which the function must behave as the reference does."""
    gradients: bool = True
    """Whether inputs of the second look carry gradients; off where the function works on recorded data."""
    value_is_free: bool = False
    """Only the gradients count, as for a loss that is only ever differentiated."""

    @property
    def heading(self) -> str:
        """Number and title, as a sentence begins with them."""
        return f"{self.id} {self.title}" + ("" if self.title.endswith("?") else ":")

    @property
    def in_agent(self) -> bool:
        """Whether it becomes a part of the agent itself, not of its pictures or of nothing."""
        return self.target is not None and not self.target.startswith(("dreamer_core.viz", "dreamer_core.worlds"))

    @property
    def in_v1(self) -> bool:
        """Whether it becomes a part of v1, by its defaults or a switch: no piece of the paper that it cut, no eye for pictures."""
        return self.in_agent and not self.target.startswith(("dreamer_core.paper", "dreamer_core.senses"))


def argument_names(exercise: Exercise, args: tuple) -> list[str]:
    """The reference's names for these positional arguments."""
    names = list(inspect.signature(exercise.reference).parameters)
    return (names + [f"argument {number}" for number in range(len(names), len(args))])[: len(args)]


def gradient(loss: Tensor, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
    """d loss / d inputs, with zeros where the loss does not depend on an input. One input gives one tensor, several a tuple."""
    if not loss.requires_grad:
        found = [None] * len(inputs)
    else:
        found = torch.autograd.grad(loss, inputs, allow_unused=True, retain_graph=True)
    filled = tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, found))
    return filled[0] if len(filled) == 1 else filled

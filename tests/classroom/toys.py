"""A few exercises whose right and wrong answers are plain to see."""

import torch

from dreamer_core import latents, nets
from dreamer_core.classroom.spec import Exercise, Mistake, gradient

PROBS, ONE_HOT = [[0.2, 0.8]], [[1.0, 0.0]]


def observe_straight_through(f):
    probs, one_hot = torch.tensor(PROBS, requires_grad=True), torch.tensor(ONE_HOT)
    out = f(probs, one_hot)
    return {"the value": out.detach(), "the gradient that reaches probs": gradient((out * torch.tensor([[1.0, 3.0]])).sum(), probs)}


STRAIGHT = Exercise(
    id="9.1",
    title="A sample with a gradient",
    minutes=5,
    difficulty=2,
    importance=3,
    reference=latents.straight_through,
    target="dreamer_core.latents:straight_through",
    observe=observe_straight_through,
    expected=lambda: {"the value": torch.tensor(ONE_HOT), "the gradient that reaches probs": torch.tensor([[1.0, 3.0]])},
    mistakes=(
        Mistake("no gradient", lambda probs, one_hot: one_hot, "A one-hot code alone has no gradient."),
        Mistake("the probabilities", lambda probs, one_hot: probs + 0 * one_hot, "These are the probabilities, not the sample."),
        Mistake("a sum", lambda probs, one_hot: one_hot.sum(), "One number is too little."),
    ),
    hints=("mild", "stronger", "nearly"),
)

ERROR = Exercise(
    id="9.2",
    title="Half the squared error",
    minutes=3,
    difficulty=1,
    importance=2,
    reference=nets.squared_error,
    target="dreamer_core.nets:squared_error",
    observe=lambda f: {"the error": f(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]]))},
    expected=lambda: {"the error": torch.tensor([2.5])},
    mistakes=(Mistake("no half", lambda a, b: (a - b).square().sum(-1), "One half is missing."),),
    hints=("square it",),
)


def double(x):
    """Twice x."""
    return 2 * x


LOOSE = Exercise(
    id="9.3",
    title="Twice",
    minutes=1,
    difficulty=1,
    importance=1,
    reference=double,
    target=None,
    observe=lambda f: {"twice 3": f(3.0)},
    expected=lambda: {"twice 3": 6.0},
    mistakes=(Mistake("the square", lambda x: x**2, "That is the square."),),
    hints=("add it to itself",),
)

ALL = {exercise.id: exercise for exercise in (STRAIGHT, ERROR, LOOSE)}

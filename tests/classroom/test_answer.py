"""Reading a learner's text: what counts as attempted, and what can be taken along."""

import textwrap

import pytest
import torch

from classroom.toys import STRAIGHT
from dreamer_core.classroom.answer import attempted, revive, source_of


def untouched(x):
    """Say what it does."""
    ...  # your code, about 1 line


def passed(x):
    pass


def half_done(x):
    y = ...  # your code
    return y


def returned(x):
    return ...


def sliced(x):
    return x[..., 0]


def no_doc(x): ...


@pytest.mark.parametrize("function, done", [(untouched, 0), (passed, 0), (half_done, 0), (returned, 0), (no_doc, 0), (sliced, 1)])
def test_a_gap_that_is_left_means_not_attempted(function, done):
    assert attempted(function) == bool(done)


def test_without_its_text_an_empty_function_is_still_seen_as_untouched():
    names = {}
    exec('def f(x):\n    "doc"\n    ...\ndef g(x): return x', names)
    assert source_of(names["f"]) == "" and not attempted(names["f"]) and attempted(names["g"])


def exercise(number):
    return lambda function: function


@exercise("9.1")
@torch.no_grad()
def decorated(x):
    # a remark
    return 2 * x


def test_the_text_comes_without_the_exercise_line_but_with_other_decorators():
    wanted = "@torch.no_grad()\ndef decorated(x):\n    # a remark\n    return 2 * x"
    assert source_of(decorated.__wrapped__) == source_of(decorated) == wanted
    assert not revive(STRAIGHT, wanted)(torch.ones(1, requires_grad=True)).requires_grad


def test_a_function_comes_back_from_its_text_with_the_usual_names():
    text = textwrap.dedent(
        """
        def mine(probs: Tensor, one_hot):
            return probs + (one_hot - probs).detach() + 0 * F.relu(torch.zeros(())) * math.pi * float(np.ones(()))
        """
    ).strip()
    assert revive(STRAIGHT, text)(2 * STRAIGHT.reference.__globals__["torch"].ones(1, 2), 3).tolist() == [[3, 3]]
    with pytest.raises(SyntaxError):
        revive(STRAIGHT, "def mine(:")

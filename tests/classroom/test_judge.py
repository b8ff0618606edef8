"""The judge: right answers pass, mistakes get their names, and nothing a learner writes gets through as a traceback."""

import dataclasses
import sys

import numpy as np
import pytest
import torch

from classroom.toys import ERROR, LOOSE, STRAIGHT
from dreamer_core.classroom import contain
from dreamer_core.classroom import judge as judging
from dreamer_core.classroom.call import equal, misfit
from dreamer_core.classroom.judge import CourseFault, judge


def test_the_reference_and_another_right_answer_pass():
    assert judge(STRAIGHT, STRAIGHT.reference).right
    assert judge(STRAIGHT, lambda probs, one_hot: probs + (one_hot - probs).detach()).right


@pytest.mark.parametrize("mistake", STRAIGHT.mistakes, ids=lambda mistake: mistake.name)
def test_each_mistake_is_named(mistake):
    verdict = judge(STRAIGHT, mistake.wrong)
    assert (verdict.right, verdict.mistake) == (False, mistake.name)
    assert verdict.message.startswith(mistake.message)


def test_a_mistake_is_known_by_what_it_does_not_by_how_it_is_written():
    assert judge(STRAIGHT, lambda probs, one_hot: one_hot.clone()).mistake == "no gradient"
    assert judge(ERROR, lambda a, b: ((a - b) ** 2)[:, 0] + ((a - b) ** 2)[:, 1]).mistake == "no half"


def test_the_message_shows_the_first_number_that_is_wrong():
    verdict = judge(STRAIGHT, lambda probs, one_hot: one_hot + 2 * (probs - probs.detach()))
    assert verdict.message == "Look at the gradient that reaches probs, entry (0, 0): yours is 2, it should be 1."


def boom(probs, one_hot):
    return probs / undefined_name  # noqa: F821


def change(probs, one_hot):
    one_hot[0, 0] = 5
    return probs


FAULTS = {
    "returned None": lambda probs, one_hot: None,
    "a str, where a tensor of shape (1, 2)": lambda probs, one_hot: "hello",
    "a float, where a tensor": lambda probs, one_hot: 1.5,
    "a numpy array of shape (1, 2)": lambda probs, one_hot: one_hot.numpy(),
    "a tuple of 2": lambda probs, one_hot: (probs, one_hot),
    "shape (1,), where a tensor of shape (1, 2)": lambda probs, one_hot: probs.sum(1),
    "float64, where float32": lambda probs, one_hot: probs.double(),
    "NaN": lambda probs, one_hot: probs * float("nan"),
    "an infinite number": lambda probs, one_hot: probs / 0,
    "NameError: name 'undefined_name' is not defined, in `return probs / undefined_name": boom,
    "changed its input `one_hot`": change,
    "SystemExit": lambda probs, one_hot: sys.exit(1),
    "RecursionError": lambda probs, one_hot: (again := lambda n: again(n))(1),
    "takes 1 positional argument but 2 were given": lambda probs: probs,
    "a function, where": lambda probs, one_hot: boom,
}


@pytest.mark.parametrize("expected", FAULTS)
def test_a_fault_gets_one_sentence(expected):
    verdict = judge(STRAIGHT, FAULTS[expected])
    assert not verdict.right and expected in verdict.message, verdict.message
    assert "\n" not in verdict.message and "Traceback" not in verdict.message


@pytest.mark.parametrize(
    "inputs, change",
    [
        ([torch.ones(2), torch.zeros(1)], lambda inputs: inputs[1].add_(1)),
        ({"a": torch.ones(2)}, lambda inputs: inputs.update(b=inputs["a"])),
        (np.ones(2), lambda inputs: inputs.fill(3)),
    ],
    ids=["list", "dict", "array"],
)
def test_a_change_is_noticed_inside_of_containers_and_arrays(inputs, change):
    exercise = dataclasses.replace(
        STRAIGHT, reference=lambda inputs: 1.0, observe=lambda f: {"it": f(inputs)}, expected=lambda: {"it": 1.0}, mistakes=()
    )
    assert judge(exercise, lambda inputs: 1.0).right
    assert "changed its input `inputs`" in judge(exercise, lambda inputs: change(inputs) and None or 1.0).message


def test_parts_of_a_result_are_counted_from_one():
    whole = torch.zeros(3)
    assert "as part 2 of 2, numbers of type bool" in misfit((whole, whole.bool()), (whole, whole), "Your function returned")


def test_a_crash_tells_the_shapes_that_were_given():
    assert judge(STRAIGHT, boom).message.endswith("It was given probs (1, 2); one_hot (1, 2).")


def test_a_method_speaks_of_the_name_that_the_learner_wrote():
    exercise = dataclasses.replace(STRAIGHT, reference=lambda self, one_hot: STRAIGHT.reference(self, one_hot))
    verdict = judge(exercise, lambda model, one_hot: model / undefined_name)  # noqa: F821
    assert verdict.message.endswith("It was given model (1, 2); one_hot (1, 2).")


def test_a_dict_with_wrong_keys_is_told_by_its_keys():
    assert misfit({"a": 1}, {"a": 1, "total": 1}, "You returned") == "You returned a dict with a, where a dict with a, total is expected."
    assert "a dict with nothing in it" in misfit({}, {"a": 1}, "You returned")
    assert "a float, where a dict with a is expected" in misfit(1.0, {"a": 1}, "You returned")


def test_a_result_that_is_cut_from_the_graph_counts_as_gradient_zero():
    assert judge(STRAIGHT, lambda probs, one_hot: one_hot.detach()).mistake == "no gradient"


def test_what_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(judging, "SECONDS", 0.2)

    def forever(probs, one_hot):
        while True:
            try:
                sum(range(1000))
            except Exception:
                pass

    assert "still running" in judge(STRAIGHT, forever).message


def test_stopping_the_kernel_reaches_the_caller():
    def interrupted(probs, one_hot):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(STRAIGHT, interrupted)


def test_prints_are_kept_in_bounds(capsys):
    def talk(probs, one_hot):
        for _ in range(10_000):
            print("talk")
        return one_hot + probs - probs.detach()

    verdict = judge(STRAIGHT, talk)
    assert verdict.right and verdict.printed.startswith("talk\n") and len(verdict.printed) <= contain.PRINTED
    assert capsys.readouterr().out == ""


def test_random_numbers_outside_are_not_disturbed():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    judge(STRAIGHT, lambda probs, one_hot: torch.rand(1, 2))
    assert torch.equal(torch.rand(2), wanted)


def test_a_broken_check_is_the_courses_fault():
    def broken(f):
        f(*[torch.ones(1, 2)] * 2)
        raise ZeroDivisionError

    with pytest.raises(CourseFault):
        judge(dataclasses.replace(STRAIGHT, observe=broken), STRAIGHT.reference)
    with pytest.raises(CourseFault):
        judge(dataclasses.replace(ERROR, expected=lambda: {"the error": torch.tensor([7.0])}), lambda a, b: a.sum(-1))
    with pytest.raises(CourseFault):
        judge(dataclasses.replace(ERROR, expected=lambda: {"another name": 1.0}), ERROR.reference)


def test_plain_numbers_are_judged_as_well():
    assert judge(LOOSE, lambda x: x + x).right and judge(LOOSE, lambda x: 6).right
    assert judge(LOOSE, lambda x: x * x).mistake == "the square"
    assert (
        judge(LOOSE, lambda x: np.where(x > 0, 6.0, 0.0)).right and judge(LOOSE, lambda x: torch.tensor(6.0)).right
    )  # one number is one number
    assert "a tensor of shape (1,)" in judge(LOOSE, lambda x: torch.tensor([6.0])).message
    assert "a str" in judge(LOOSE, lambda x: "6").message


@pytest.mark.parametrize(
    "result, wanted, fits",
    [
        ((1.0, torch.ones(2)), (2.0, torch.zeros(2)), True),
        ([1.0, torch.ones(2)], (2.0, torch.zeros(2)), True),
        ((1.0,), (2.0, 3.0), False),
        ({"a": 1.0}, {"a": 2.0}, True),
        ({"b": 1.0}, {"a": 2.0}, False),
        (np.ones(3), np.zeros(3), True),
        (np.ones(3), np.zeros(2), False),
        (True, False, True),
        (1, False, False),
        (None, None, True),
        (0, None, True),  # a value, and the wrong one
        ("0", None, False),
    ],
)
def test_form_is_compared_all_the_way_down(result, wanted, fits):
    assert (misfit(result, wanted, "It is") == "") == fits


def test_equality_allows_rounding_and_nothing_more():
    assert equal(torch.tensor([1.0]), torch.tensor([1.000001])) and not equal(torch.tensor([1.0]), torch.tensor([1.001]))
    assert not equal(torch.ones(2), torch.ones(2, 1)) and not equal(True, 1) and equal("a", "a") and not equal("a", 1)
    assert equal((1, torch.ones(1)), [1.0, torch.ones(1)]) and not equal((1,), (1, 2))

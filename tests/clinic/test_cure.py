"""What counts as a cure: the core's own function and none that has the fault, for every fault."""

import pytest
import torch

from dreamer_core.clinic.cure import TRIALS, judge_cure
from dreamer_core.clinic.faults import ALL, FAULTS, right_function

SLOW_TO_NAME = ("seam_ignored",)  # refused as fast as the others, and then the search for words takes its whole time


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_the_right_function_cures_and_the_wrong_one_does_not(fault):
    right = right_function(fault.target)
    verdict = judge_cure(fault, right)
    assert verdict.right, f"the core's own function is refused: {verdict.message}"
    if fault.name not in SLOW_TO_NAME:
        verdict = judge_cure(fault, fault.wrong(right))
        assert not verdict.right and verdict.message, "the fault itself counts as a cure"


@pytest.mark.parametrize("target", TRIALS)
def test_where_no_exercise_judges_the_fault_is_named(target):
    for fault in ALL:
        if fault.target == target:
            verdict = judge_cure(fault, fault.wrong(right_function(target)))
            assert verdict.mistake == fault.name and fault.sentence in verdict.message


def test_a_cure_in_another_style_counts():
    def make_optimizer(groups, config=None):
        kind = right_function("dreamer_core.optimize:make_optimizer")
        return kind([dict(group) for group in groups], config)

    def window(replay, start, length):
        rows = torch.tensor([[(int(first) + step) % replay.config.capacity for step in range(length)] for first in start])
        cut = right_function("dreamer_core.replay:LatentReplay.window")(replay, start, length)
        return cut._replace(reward=replay.data["reward"][rows] / replay.reward_unit)

    assert judge_cure(FAULTS["model_rate_large"], make_optimizer).right
    assert judge_cure(FAULTS["reward_row_early"], window).right


def test_a_function_that_stops_is_told_with_its_own_line():
    def descend(loss, optimizer, clip_norm):
        loss.backward()
        return optimizer.steps()

    verdict = judge_cure(FAULTS["gradients_pile_up"], descend)
    assert not verdict.right and "steps" in verdict.message and "\n" not in verdict.message

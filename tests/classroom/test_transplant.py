"""A learner's function inside the agent."""

import dataclasses

import pytest
import torch

from classroom.toys import ERROR, LOOSE, STRAIGHT
from dreamer_core import latents, nets, world_model
from dreamer_core.classroom import transplant
from dreamer_core.classroom.spec import Exercise
from dreamer_core.rssm import RSSM


def test_every_module_that_imported_it_runs_the_learners_function():
    """`world_model` calls nets.squared_error; a stand-in module imported it by name."""
    world_model.imported_by_name = nets.squared_error
    try:
        transplant.install(ERROR, lambda a, b: torch.tensor(42.0))
        assert nets.squared_error(1, 2) == world_model.imported_by_name(1, 2) == 42
        transplant.remove(ERROR)
        assert nets.squared_error is world_model.imported_by_name is ERROR.reference
    finally:
        del world_model.imported_by_name


def test_a_better_answer_replaces_an_earlier_one():
    transplant.install(ERROR, lambda a, b: 1)
    transplant.install(ERROR, lambda a, b: 2)
    assert nets.squared_error(0, 0) == 2
    transplant.remove(ERROR)
    assert nets.squared_error is ERROR.reference


def test_a_method_can_be_replaced():
    exercise = dataclasses.replace(LOOSE, reference=RSSM.initial, target="dreamer_core.rssm:RSSM.initial")
    transplant.install(exercise, lambda rssm, batch: ("mine", batch))
    assert RSSM.initial(None, 3) == ("mine", 3)
    transplant.remove(exercise)
    assert RSSM.initial is exercise.reference


def test_a_function_that_fails_later_gives_way_to_the_courses(capsys):
    def fragile(probs, one_hot):
        if len(probs) > 1:
            raise ValueError("only one row, please")
        return one_hot + probs - probs.detach()

    transplant.install(STRAIGHT, fragile)
    two = torch.eye(2)
    torch.testing.assert_close(latents.straight_through(two / 2, two), two)
    assert "only one row, please" in capsys.readouterr().out
    assert latents.straight_through is STRAIGHT.reference and not transplant.installed


def test_bad_inputs_are_not_blamed_on_the_learner(capsys):
    transplant.install(STRAIGHT, lambda probs, one_hot: one_hot + probs - probs.detach())
    with pytest.raises(TypeError):
        latents.straight_through(torch.ones(2), "text")
    assert capsys.readouterr().out == "" and "9.1" in transplant.installed


def test_a_part_that_the_batched_unroll_goes_around_turns_it_off():
    part = dataclasses.replace(STRAIGHT, plain_loop=True)
    transplant.install(part, STRAIGHT.reference)
    assert not RSSM.batched
    transplant.install(ERROR, ERROR.reference)
    assert not RSSM.batched
    transplant.remove(part)
    assert RSSM.batched


def test_an_exercise_that_is_no_part_of_the_agent_installs_nothing():
    transplant.install(LOOSE, lambda x: 0)
    assert not transplant.installed and isinstance(LOOSE, Exercise)
    assert transplant.current(LOOSE) is LOOSE.reference

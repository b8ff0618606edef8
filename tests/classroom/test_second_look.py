"""The second look: what is compared, what must come back as it was, and randomness in law."""

import numpy as np
import pytest
import torch

from dreamer_core.agent import Carry
from dreamer_core.classroom.exercises import collect
from dreamer_core.classroom.judge import judge, passes
from dreamer_core.classroom.second_look import aftermath, alike, cases, flat, numeric, sight
from dreamer_core.classroom.spec import Draw
from dreamer_core.trajectories import Trajectories

EXERCISES = collect()


def handed_back(change):
    """A right answer to 3.1 that does something to the RSSM it was handed."""

    def dream_step(rssm, h, z, action, noise):
        change(rssm)
        return EXERCISES["3.1"].reference(rssm, h, z, action, noise)

    return dream_step


def scale_a_weight(rssm):
    with torch.no_grad():
        rssm.cell.weight_hh.mul_(1.5)


MEDDLING = {
    "a weight of a module": (scale_a_weight, "changed its input"),
    "the mode of a module": (lambda rssm: rssm.eval(), "between training and evaluation"),
    "whether a module learns": (lambda rssm: rssm.requires_grad_(False), "carries a gradient"),
    "a weight, to the same numbers": (lambda rssm: rssm.cell.weight_hh.detach().add_(0), "in place"),
}


@pytest.mark.parametrize("what", MEDDLING)
def test_modules_come_back_as_they_were(what):
    change, words = MEDDLING[what]
    verdict = judge(EXERCISES["3.1"], handed_back(change))
    assert not verdict.right and words in verdict.message, verdict.message


def test_arrays_and_dicts_come_back_as_they_were():
    def clips_its_input(action, low, high):
        action[0] = action[0] * 1.0 + 1e-3
        return EXERCISES["1.4"].reference(action - 1e-3 * np.eye(len(action))[0], low, high)

    def adds_to_its_input(rows, weights):
        found = EXERCISES["5.2"].reference(rows, weights)
        weights["total"] = 1.0
        return found

    assert "changed its input `action`" in judge(EXERCISES["1.4"], clips_its_input).message
    assert "changed its input `weights`" in judge(EXERCISES["5.2"], adds_to_its_input).message


def one_noise_for_all_steps(model, actor, h, z, weight, horizon):
    noise = model.rssm.latent.noise(len(h))
    model_noise, model.rssm.latent.noise = model.rssm.latent.noise, lambda *shape, device="cpu": noise.expand(*shape, noise.shape[-1])
    try:
        return EXERCISES["7.1"].reference(model, actor, h, z, weight, horizon)
    finally:
        model.rssm.latent.noise = model_noise


def one_noise_for_all_dreams(model, actor, h, z, weight, horizon):
    original = model.rssm.latent.noise
    model.rssm.latent.noise = lambda *shape, device="cpu": original(*(1 if size == len(h) else size for size in shape)).expand(*shape, -1)
    try:
        return EXERCISES["7.1"].reference(model, actor, h, z, weight, horizon)
    finally:
        model.rssm.latent.noise = original


def smaller_noise(model, actor, h, z, weight, horizon):
    original = model.rssm.latent.noise
    model.rssm.latent.noise = lambda *shape, device="cpu": 0.7 * original(*shape)
    try:
        return EXERCISES["7.1"].reference(model, actor, h, z, weight, horizon)
    finally:
        model.rssm.latent.noise = original


@pytest.mark.parametrize("wrong", [one_noise_for_all_steps, one_noise_for_all_dreams, smaller_noise])
def test_dreams_are_compared_in_law(wrong):
    assert not passes(EXERCISES["7.1"], wrong), f"{wrong.__name__} passes as a rollout"


def test_chance_may_be_drawn_in_any_order():
    """The last dreams first, then the first one: other numbers, the same law."""

    def last_ones_first(model, actor, h, z, weight, horizon):
        parts = [slice(1, None), slice(0, 1)] if len(h) > 1 else [slice(None)]
        found = [EXERCISES["7.1"].reference(model, actor, h[part], z[part], weight[part], horizon) for part in parts]
        return Trajectories(*(torch.cat(columns) for columns in zip(*found[::-1])))

    assert judge(EXERCISES["7.1"], last_ones_first).right


def test_acting_shares_no_chance_between_environments():
    def shared(model, actor, carry, observation, first, explore):
        if len(carry.h) == 1 or bool((carry.h != carry.h[:1]).any()):
            return EXERCISES["9.1"].reference(model, actor, carry, observation, first, explore)
        one = Carry(*(part[:1] for part in carry))
        found = EXERCISES["9.1"].reference(model, actor, one, observation[:1], first[:1], explore)
        return Carry(*(part.expand(len(observation), -1) for part in found))

    assert not passes(EXERCISES["9.1"], shared), "one draw for all environments passes"


def test_the_same_case_shows_the_same_again():
    for number in ("2.6", "5.4", "7.1"):
        exercise = EXERCISES[number]
        for case in cases(exercise):
            assert alike(sight(exercise, exercise.reference, case), sight(exercise, exercise.reference, case)), (
                f"{number}, {case.look.name}"
            )


def test_draws_repeat_and_differ():
    one, other, third = (Draw(seed) for seed in (1, 1, 2))
    first = one.normal(3, 2)
    assert torch.equal(first, other.normal(3, 2)) and not torch.equal(first, third.normal(3, 2))
    assert set(one.mask(200).tolist()) == {0.0, 1.0} and one.one_hot(5, 3).sum(-1).eq(1).all()
    assert sorted(one.order(6).tolist()) == list(range(6)) and 2 <= one.number(2, 3) <= 3


def test_parts_of_a_result_have_names():
    nested = {"a": (torch.zeros(2), torch.ones(1)), "b": 3.0}
    assert list(flat(nested)) == ["a, part 1 of 2", "a, part 2 of 2", "b"]
    assert list(flat(Carry(*torch.zeros(3, 1)))) == ["h", "z", "action"]
    assert numeric(None) == "None" and numeric("x") == "x" and torch.equal(numeric(True), torch.tensor(1.0).double())
    assert list(aftermath(["x"], (torch.zeros(2),))) == ["`x`'s x", "whether `x`'s x still learns"]

"""The world worked out by hand: it offers what the real one does, and does what its description says."""

import inspect

import pytest
import torch

from dreamer_core.classroom.toy import ToyActor, ToyLatent, ToyModel, ToyRSSM, reading_by_hand, step_by_hand
from dreamer_core.latents import GaussianLatent
from dreamer_core.rssm import RSSM
from dreamer_core.sac import Actor
from dreamer_core.world_model import WorldModel


@pytest.mark.parametrize("toy, real", [(ToyLatent, GaussianLatent), (ToyRSSM, RSSM), (ToyModel, WorldModel), (ToyActor, Actor)])
def test_what_it_offers_is_called_as_in_the_real_one(toy, real):
    for name, method in vars(toy).items():
        if not inspect.isfunction(method) or name in ("__init__", "prior"):  # the real prior is a network, made when an RSSM is
            continue
        other = real.forward if name == "__call__" else getattr(real, name)
        assert list(inspect.signature(method).parameters) == list(inspect.signature(other).parameters), name


def test_tensors_and_floats_tell_the_same():
    model, actor = ToyModel(), ToyActor()
    h, z, action = torch.tensor([[0.5, -0.2]]), torch.tensor([[0.3]]), torch.tensor([[-0.4]])
    assert model.rssm.step(h, z, action)[0].tolist() == pytest.approx(step_by_hand((0.5, -0.2), 0.3, -0.4))
    state, told = torch.cat([h, z], -1), reading_by_hand((0.5, -0.2), 0.3)
    assert model.predict_reward(state)[0].item() == pytest.approx(told.reward)
    assert torch.sigmoid(model.predict_continue(state)).item() == pytest.approx(told.cont)
    assert actor(state)[0].item() == pytest.approx(told.mean)
    assert actor.draw(state).item() == pytest.approx(told.mean + 0.5)

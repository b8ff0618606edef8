"""Every shape in the glossary, against the tensors of an agent that runs."""

import sys

import numpy as np
import pytest
import torch
from runs import tiny

from dreamer_core.classroom.glossary import ENTRIES, SIZES, glossary
from dreamer_core.imagine import imagine
from dreamer_core.paper.actor_critic import DreamerV3ActorCritic
from dreamer_core.paper.twohot import twohot_mean
from dreamer_core.returns import alive_weight
from dreamer_core.sac import soft_baseline
from dreamer_core.trainer import Trainer

# All sizes differ, so that no two can be mistaken for each other.
SECTIONS = {
    "model": dict(deter=7, stoch=5, units=11),
    "replay": dict(batch=4, length=6),
    "imagination": dict(horizon=3, starts=9),
}


@pytest.fixture(scope="module")
def names():
    trainer = Trainer(tiny(env_steps=60, **SECTIONS))
    list(trainer.run())
    config, agent = trainer.config, trainer.agent
    model, sac, replay = agent.model, agent.sac, agent.replay
    window = replay.sample(config.replay.batch, config.replay.length)
    losses, beliefs = model.loss(window)
    prior = model.rssm.prior(beliefs.h)
    kl_dyn, kl_rep = model.rssm.latent.both_kl(beliefs.posterior, prior)
    h, z = beliefs.h[:, :3].flatten(0, 1)[:9], beliefs.z[:, :3].flatten(0, 1)[:9]
    batch = imagine(model, sac.actor, h.detach(), z.detach(), torch.ones(9), config.imagination.horizon)
    many = batch.state[:, :-1].expand(4, *batch.state[:, :-1].shape)  # four actions at each state
    action = sac.actor.sample(many)
    q, log_prob, alpha = sac.q_target(many, torch.tanh(action.pre_tanh)), action.log_prob, sac.alpha
    return locals() | {
        "embed": model.encode(window.observation),
        "actor": sac.actor,
        "update": agent.grad_steps,
        "alive_weight": alive_weight,
        "soft_baseline": soft_baseline,
        "torch": torch,
        "paper": DreamerV3ActorCritic(config.dreamerv3, model.rssm.features, 1),
        "twohot_mean": twohot_mean,
    }


@pytest.fixture(scope="module")
def sizes(names):
    rssm = names["model"].rssm
    return dict(B=4, T=6, N=9, H=3, R=len(names["replay"]), O=2, A=1, D=7, Z=5, F=12, E=11, P=rssm.latent.params)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.symbol)
def test_a_shape_is_what_the_running_agent_has(entry, names, sizes):
    assert tuple(np.shape(eval(entry.name, names))) == eval(entry.shape, sizes), entry.name


def test_every_size_is_explained_and_used():
    used = {letter for entry in ENTRIES for letter in entry.shape if letter.isalpha()}
    assert used == set(SIZES)


def test_every_notebook_has_a_table_of_its_own(capsys):
    for number in range(14):
        rows = [entry for entry in ENTRIES if f"{number:02d}" in entry.notebooks]
        assert 3 <= len(rows) <= 20, number
        assert len({entry.symbol for entry in rows}) == len(rows)


def test_the_table_shows_the_rows_and_explains_the_sizes(monkeypatch):
    shown = []
    monkeypatch.setattr(sys.modules["dreamer_core.classroom.glossary"], "display", lambda content: shown.append(content.data))
    glossary("08")
    assert r"| $\gamma$ | discount per step | `config.sac.gamma` | () |" in shown[0]
    assert "N = trajectories" in shown[0] and "B = " not in shown[0]

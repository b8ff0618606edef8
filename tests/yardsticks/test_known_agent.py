"""The agent beside the best controller: both must meet the very same chances."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dreamer_core.config import from_dict
from dreamer_core.trainer import Trainer
from dreamer_core.yardsticks.known_agent import agent_config, costs
from dreamer_core.yardsticks.known_answer import LQG
from dreamer_core.yardsticks.known_world import World

WORLD = World()
KEPT = json.loads((Path(__file__).parents[2] / "notebooks" / "assets" / "known_world.json").read_text(encoding="utf-8"))


class Puppet:
    """An agent that acts by a function of the step and the observations (B, 2)."""

    device = torch.device("cpu")

    def __init__(self, act):
        self.act, self.t = act, 0

    def initial(self, batch):
        return self

    def policy(self, carry, observation, first, explore):
        assert not explore
        self.action = torch.from_numpy(self.act(self.t, observation.numpy().astype(float))).float().unsqueeze(-1)
        self.t += 1
        return self


def test_the_best_controller_as_an_agent_exceeds_itself_by_nothing():
    found = costs(Puppet(LQG(WORLD, 20)), range(100, 120))
    assert np.allclose(found.agent, found.best, rtol=1e-4)
    assert found.excess == pytest.approx(0, abs=1e-5) and found.excess_error < 1e-5


def test_an_agent_that_does_nothing_costs_what_doing_nothing_costs():
    found = costs(Puppet(lambda t, observation: np.zeros(len(observation))), range(7, 27))
    assert np.allclose(found.agent, found.nothing, rtol=1e-5)
    assert found.excess > 0.5 and found.best.mean() < found.nothing.mean() < found.random.mean()
    difference = found.agent - found.best
    assert found.excess == pytest.approx(difference.mean() / found.best.mean())
    assert found.excess_error == pytest.approx(difference.std(ddof=1) / np.sqrt(20) / found.best.mean())


def test_the_agents_settings_fit_the_world():
    """Windows are whole episodes, and the reading's standard deviation in its ELBO is between half the sensor's and the sensor's own."""
    config = agent_config(3)
    assert config.seed == 3 and config.replay.length == WORLD.steps
    assert WORLD.sensor_std / 2 < config.model.kl_scale**0.5 < WORLD.sensor_std
    trainer = Trainer(config)
    for _ in range(WORLD.steps + 1):
        trainer._act()
    assert trainer.episode == 1 and len(trainer.agent.replay) == WORLD.steps + 2


def test_half_of_the_dreams_start_from_a_single_reading():
    """As an episode does: h is 0 and z has seen one observation. In the buffer itself only one row in 61 is like that."""
    trainer = Trainer(agent_config(0))
    for _ in range(5 * (WORLD.steps + 1)):
        trainer._act()
    start = torch.cat([trainer.agent.dream().state[:, 0] for _ in range(5)])
    fresh = (start[:, : trainer.config.model.deter] == 0).all(-1).float().mean()
    assert fresh == pytest.approx(0.5, abs=0.1)


def test_the_kept_results_belong_to_these_settings():
    """A change here needs `python tests/benchmarks/known_world.py --keep`: the README's numbers would be another agent's."""
    assert from_dict(KEPT["settings"]["agent"]) == agent_config(0)


def test_the_kept_results_meet_the_targets_in_every_seed():
    assert len(KEPT["agent"]) == len(KEPT["gaussian"]) == len(KEPT["categorical"]) == 3
    assert all(row["excess"] <= 0.05 for row in KEPT["agent"])
    for row in KEPT["gaussian"]:
        assert row["visible"] <= 0.03 and row["blind"] <= 0.05 and 0.95 <= row["spread"] <= 1.10
    assert all(row["visible"] <= 0.15 for row in KEPT["categorical"])
    assert all(row["cpu_s"] <= 60 for part in ("gaussian", "categorical") for row in KEPT[part])

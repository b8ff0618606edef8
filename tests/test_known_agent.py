"""The agent beside the best controller: both must meet the very same chances."""

import numpy as np
import pytest
import torch

from dreamer_core.known_agent import costs
from dreamer_core.known_answer import LQG
from dreamer_core.known_world import World

WORLD = World()


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

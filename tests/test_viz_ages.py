"""One dream by an agent of several ages."""

import numpy as np
import pytest
from figures import assert_readable
from minds import pendulum_agent, without_chance
from runs import finish, tiny

from dreamer_core import envs
from dreamer_core.errors import CheckpointError, DreamerError
from dreamer_core.trainer import Trainer
from dreamer_core.viz.ages import agents_of, ages_figure, dreams_by_age
from dreamer_core.viz.dream import act_out, dream, held_actions

NAMES = ["cos", "sin", "velocity"]


def test_the_agents_of_a_run_come_youngest_first(tmp_path):
    with Trainer(tiny(keep_agents=20), tmp_path / "run") as trainer:
        finish(trainer)
    found = agents_of(tmp_path / "run")
    assert list(found) == [40, 60, 80, 100], "an agent for each 20 steps since learning began"
    with pytest.raises(CheckpointError, match="keeps no agents of several ages: make a run with --keep-agents"):
        agents_of(tmp_path)


def test_each_agent_dreams_of_the_same_with_its_own_model():
    agents = {400: without_chance(pendulum_agent()), 600: without_chance(pendulum_agent())}
    episode = act_out(envs.make_for(agents[400].config), 3, held_actions(20, 1, 4, 0))
    dreams = dreams_by_age(agents, episode, 4, 10, 2)
    for age, agent in agents.items():
        assert np.allclose(dreams[age], dream(agent, episode, 4, 10, 2, act=False), atol=1e-6), (
            f"the agent of {age} dreams of something else"
        )
    assert not np.allclose(dreams[400], dreams[600])


def test_the_figure_tells_when_each_departs():
    real = np.random.default_rng(0).normal(size=(30, 3)).cumsum(0)
    good = real[None, 5:21] + np.random.default_rng(1).normal(0, 0.1, (40, 16, 3))
    bad = good + 9.0 * (np.arange(16) >= 6)[:, None]
    figure = ages_figure(real, {400: bad, 1000: good}, 5, NAMES, "ages")
    assert "400 steps: departs after 6; 1,000 steps: does not depart" in figure.alt
    assert len(figure.axes) == 6
    assert_readable(figure)


def test_too_many_ages_and_too_few_names_are_told():
    real, dreams = np.zeros((20, 3)), {age: np.zeros((4, 8, 3)) for age in range(7)}
    with pytest.raises(DreamerError, match="^7 ages cannot be shown beside one another: choose 1 to 6 of them$"):
        ages_figure(real, dreams, 2, NAMES)
    with pytest.raises(DreamerError, match="2 labels were given for 3 observations"):
        ages_figure(real, {1: dreams[0]}, 2, NAMES[1:])

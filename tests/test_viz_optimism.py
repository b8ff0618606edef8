"""Imagined against real return, with rewards that can be added up by hand."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from minds import pendulum_agent, without_chance

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.viz.dream import Episode, act_out, believe, dream_on, held_actions
from dreamer_core.viz.optimism import Returns, imagined_and_real, optimism_figure


def constant(head, value):
    """Make a network put out `value`, whatever it reads."""
    with torch.no_grad():
        head[-1].weight.zero_()
        head[-1].bias.copy_(torch.tensor(value))


def ramp():
    env = envs.make("Pendulum-v1", WrapperConfig())
    return act_out(env, 0, held_actions(30, 1, 4, 0))._replace(reward=np.arange(30, dtype=np.float32))


def test_constant_rewards_add_up_in_the_environments_units():
    agent = pendulum_agent(sac=dict(reward_scale=0.1))
    constant(agent.model.reward, [-0.3, 0.0])  # -3 in the environment's units
    constant(agent.model.cont, [30.0])
    found = imagined_and_real(agent, [ramp(), ramp()], [0, 10], steps=4, count=3)
    assert np.allclose(found.imagined, -12, atol=1e-4)
    assert found.real.tolist() == [0 + 1 + 2 + 3, 10 + 11 + 12 + 13] * 2  # action t brings reward[t]
    assert found.gap == pytest.approx(-12 - 26, abs=1e-4)


@pytest.mark.parametrize("units", [dict(reward_scale=10.0), dict(reward_offset=5.0), dict(reward_scale=0.1, reward_offset=-2.0)])
def test_returns_are_the_worlds_own_whatever_the_agent_is_given(units):
    """The model predicts what the agent is given for -3, and so does the episode hold it."""
    agent = pendulum_agent(wrappers=units)
    given = units.get("reward_scale", 1) * -3 + units.get("reward_offset", 0)
    constant(agent.model.reward, [given * agent.config.sac.reward_scale, 0.0])
    constant(agent.model.cont, [30.0])
    found = imagined_and_real(agent, [ramp()._replace(reward=np.full(30, given, np.float32))], [0], steps=4, count=3)
    assert found.imagined == pytest.approx([-12], abs=1e-4), "the imagined return"
    assert found.real == pytest.approx([-12], abs=1e-4), "the real return"


def test_rewards_count_as_far_as_the_dream_still_runs():
    agent = pendulum_agent()
    constant(agent.model.reward, [1.0, 0.0])
    constant(agent.model.cont, [0.0])  # half of the dreams end at each step
    assert np.allclose(imagined_and_real(agent, [ramp()], [0], 4, 3).imagined, 1 + 1 / 2 + 1 / 4 + 1 / 8)


def test_a_discount_that_the_model_has_learned_is_not_counted():
    """The continue head says 0.75, of which 0.9 is discount and 5/6 the chance that it goes on."""
    agent = pendulum_agent(model=dict(discount_horizon=10))
    constant(agent.model.reward, [1.0, 0.0])
    constant(agent.model.cont, [np.log(3.0)])
    chance = 0.75 / 0.9
    assert np.allclose(imagined_and_real(agent, [ramp()], [0], 3, 2).imagined, 1 + chance + chance**2)


def test_a_reward_is_read_from_the_state_that_an_action_leads_to():
    """A dream of one step collects the reward of the state reached, not of the one it starts from."""
    agent, episode = without_chance(pendulum_agent()), ramp()
    constant(agent.model.cont, [30.0])
    state = dream_on(agent, believe(agent, episode), [5], 1)[0, 0]  # (2, F)
    here, there = agent.model.reward(state)[:, 0].tolist()
    found = imagined_and_real(agent, [episode], [5], steps=1, count=2)
    assert found.imagined == pytest.approx([there], abs=1e-6) and abs(here - there) > 1e-4


def test_a_comparison_past_the_end_is_turned_away():
    with pytest.raises(ValueError, match="go past its end"):
        imagined_and_real(pendulum_agent(), [ramp()], [27], 4, 3)


def test_the_figure():
    figure = optimism_figure(Returns(np.array([1.0, 5.0]), np.array([2.0, 2.0])), 10)
    assert "+1.0 on average, -1.0 to +3.0" in figure.alt
    assert_readable(figure)
    short = Episode(np.zeros((6, 3), np.float32), np.zeros((5, 1), np.float32), np.zeros(5, np.float32))
    assert_readable(optimism_figure(imagined_and_real(pendulum_agent(), [short], [0, 1], 4, 2), 4))

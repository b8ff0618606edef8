"""Fans: several courses of action from one state, imagined and real."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from minds import pendulum_agent, without_chance

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dream import act_out, dream, held_actions
from dreamer_core.viz.fan import fan, fan_figure, real_futures
from dreamer_core.yardsticks import ceiling

NAMES = ["cos", "sin", "velocity"]
PUSHES = {"left": np.full((8, 1), -1, np.float32), "right": np.full((8, 1), 1, np.float32)}


@pytest.fixture
def env():
    return envs.make("Pendulum-v1", WrapperConfig())


def test_the_branch_that_was_taken_is_the_episode_itself(env):
    episode = act_out(env, 5, held_actions(30, 1, 4, 5))
    branch = {"taken": episode.action[10:20]}
    assert np.array_equal(real_futures(env, 5, episode, 10, branch)["taken"], episode.observation[10:21])
    agent = without_chance(pendulum_agent())
    assert np.allclose(fan(agent, episode, 10, branch, 3)["taken"], dream(agent, episode, 10, 10, 3, act=False), atol=1e-6)


def test_real_futures_obey_the_equations_of_motion(env):
    episode = act_out(env, 5, held_actions(30, 1, 4, 5))
    cosine, sine, velocity = episode.observation[10].astype(float)
    angle = np.arctan2(sine, cosine)
    futures = real_futures(env, 5, episode, 10, PUSHES)
    for push, torque in (("left", -2), ("right", 2)):
        a, v = angle, velocity
        for row in futures[push][1:]:
            a, v, _ = ceiling.dynamics(a, v, torque)
            assert np.allclose(row, [np.cos(a), np.sin(a), v], atol=1e-4)


def test_real_futures_are_those_of_the_age_that_is_named():
    world = envs.make("dreamer/ChangingPendulum-v0", WrapperConfig())
    episode = act_out(world, 3, np.ones((20, 1), np.float32), 1500)
    futures = real_futures(world, 3, episode, 10, {"taken": episode.action[10:]}, 1500)
    assert np.array_equal(futures["taken"], episode.observation[10:]), "the branch that was taken is not the episode itself"


def test_branches_share_their_first_state_and_part_by_their_actions_alone(env):
    agent = pendulum_agent()
    episode = act_out(env, 5, held_actions(30, 1, 4, 5))
    torch.manual_seed(0)
    dreams = fan(agent, episode, 10, PUSHES, 4)
    assert dreams["left"].shape == (4, 9, 3)
    assert np.array_equal(dreams["left"][:, 0], dreams["right"][:, 0])
    assert not np.allclose(dreams["left"][:, -1], dreams["right"][:, -1])


def test_the_figure(env):
    agent, episode = pendulum_agent(), act_out(env, 5, held_actions(30, 1, 4, 5))
    dreams = fan(agent, episode, 10, PUSHES, 4)
    figure = fan_figure(dreams, NAMES, real_futures(env, 5, episode, 10, PUSHES), "fan")
    assert len(figure.get_axes()) == 3 and all(len(axis.lines) == 4 for axis in figure.get_axes())
    assert_readable(figure)
    assert_readable(fan_figure(dreams, NAMES))
    with pytest.raises(ValueError, match="6 branches cannot be told apart"):
        fan_figure({str(number): dreams["left"] for number in range(6)}, NAMES)


def test_a_fan_needs_a_name_for_each_observation():
    with pytest.raises(DreamerError, match="^2 labels were given for 3 observations: give one for each$"):
        fan_figure({"left": np.zeros((4, 9, 3))}, NAMES[1:])

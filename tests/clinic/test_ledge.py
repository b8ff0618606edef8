"""The table with an edge, step by step by hand."""

import gymnasium as gym
import numpy as np
import pytest

from dreamer_core.clinic import ledge  # noqa: F401 (registers the world)
from dreamer_core.clinic.ledge import Ledge
from dreamer_core.worlds.scene import Circle


def test_two_steps_by_hand():
    world = Ledge()
    world.reset(seed=0)
    world.position, world.velocity = 0.5, 0.0
    observation, reward, terminated, truncated, _ = world.step(np.array([1.0]))
    assert observation == pytest.approx([0.53, 0.3]) and reward == pytest.approx(1.53) and not terminated and not truncated
    observation, reward, *_ = world.step(np.array([-2.0]))  # clipped to -1
    assert observation == pytest.approx([0.53 + 0.1 * (0.27 - 0.3), -0.03], abs=1e-6) and reward == pytest.approx(1.527)


@pytest.mark.parametrize("side", [-1, 1])
def test_whoever_is_beyond_an_edge_has_fallen_for_good(side):
    world = Ledge()
    world.reset(seed=0)
    world.position, world.velocity = 0.99 * side, 0.0
    *_, terminated, truncated, _ = world.step(np.array([1.0 * side]))
    assert terminated and not truncated


def test_it_never_leaves_its_bounds_and_stops_after_its_time():
    env = gym.make("dreamer_core.clinic.ledge:Ledge-v0", disable_env_checker=True)
    for push in (-1.0, 1.0):
        observation, _ = env.reset(seed=1)
        for _ in range(100):
            assert env.observation_space.contains(observation)
            observation, _, terminated, truncated, _ = env.step(np.array([push], np.float32))
            if terminated:
                break
        assert env.observation_space.contains(observation) and terminated
    env.reset(seed=1)
    ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(100)]
    assert ends[-1] == (False, True) and not any(any(end) for end in ends[:-1])


def test_the_puck_is_drawn_where_it_is():
    puck = [part for part in Ledge().scene(np.array([0.25, 1.0])).parts if isinstance(part, Circle)]
    assert puck[0].x == 0.25

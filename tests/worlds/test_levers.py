"""What there is to push in a world."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box

from dreamer_core import envs, worlds
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import EnvError
from dreamer_core.worlds.levers import Lever, levers


class Crane(gym.Env):
    """Two entries, in units of its own."""

    observation_space, action_space = Box(-1, 1, (1,)), Box(np.float32([0, -5]), np.float32([10, 5]))

    def reset(self, *, seed=None, options=None):
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {}


class Named(Crane):
    """One that says what they are."""

    levers = (Lever("winch", "N"), Lever("trolley", "m/s"))


class Wrong(Crane):
    """One that forgot one of them."""

    levers = (Lever("winch"),)


class Worded(Crane):
    """One that gives words where its actions are no choices."""

    levers = ("winch", "trolley")


for kind in (Crane, Named, Wrong, Worded):
    gym.register(f"{kind.__name__}-v0", kind)


def found(name, **changes):
    return levers(envs.make(name, WrapperConfig(**changes), discrete=True))


def test_a_world_that_says_nothing_has_numbered_levers_in_its_own_units():
    one, two = found("Crane-v0").entries
    assert (one.name, two.name) == ("action 1", "action 2") and (one.low, one.high, two.low, two.high) == (0, 10, -5, 5)
    assert not one.turns and one.unit == ""


def test_a_world_names_its_levers():
    one, two = found("Named-v0").entries
    assert one == Lever("winch", "N", False, 0.0, 10.0) and two == Lever("trolley", "m/s", False, -5.0, 5.0)


@pytest.mark.parametrize("name", ["Wrong-v0", "Worded-v0"])
def test_wrong_levers_get_a_sentence(name):
    with pytest.raises(EnvError, match=f"{name} has the levers .* for actions of 2 entries: give one Lever for each entry"):
        found(name)


def test_gymnasiums_own_by_hand():
    """Pendulum's torque is in [-2, 2] and counts anticlockwise; CartPole has two choices; one that nobody described has numbers."""
    assert found("Pendulum-v1").entries == (Lever("torque", "N·m", True, -2.0, 2.0),)
    assert found("CartPole-v1").choices == ("push left", "push right") and found("CartPole-v1").entries == ()
    assert found("Acrobot-v1").choices == ("action 1", "action 2", "action 3")


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_every_world_of_the_suite_names_its_levers(name):
    assert all(lever.name and "action" not in lever.name for lever in found(f"dreamer/{name}-v0", action_repeat=2).entries)

"""Environments: what is accepted and in which units, and what is turned away with which sentence."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import ConfigError, EnvError

FLAT = Box(-1, 1, (3,))


class Scripted(gym.Env):
    """Returns what it is told to return; `seen` lists the actions that reached it."""

    def __init__(self, observation_space=FLAT, action_space=FLAT, observations=None, rewards=(), last=99):
        self.observation_space, self.action_space = observation_space, action_space
        self.observations, self.rewards, self.last, self.seen = observations, list(rewards), last, []

    def _observe(self):
        if self.observations is None:
            return np.zeros(self.observation_space.shape)
        return np.asarray(self.observations[min(self.t, len(self.observations) - 1)])

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return self._observe(), {}

    def step(self, action):
        self.t += 1
        self.seen.append(np.array(action))
        reward = self.rewards[self.t - 1] if self.t <= len(self.rewards) else 0.0
        return self._observe(), reward, self.t == self.last, False, {}


@pytest.fixture
def scripted():
    """Makes a `Scripted` environment through gymnasium's registry, as a user's own would be."""
    gym.register("Scripted-v0", Scripted, max_episode_steps=50)

    def make(config=None, **script):
        gym.registry["Scripted-v0"].kwargs = script
        return envs.make("Scripted-v0", config or WrapperConfig())

    yield make
    del gym.registry["Scripted-v0"]


# --- accepted -------------------------------------------------------------------------------------


def test_actions_are_rescaled_from_unit_to_the_environments_own(scripted):
    env = scripted(action_space=Box(np.array([-2, 0], np.float32), np.array([2, 10], np.float32)))
    assert env.action_space == Box(-1, 1, (2,))
    env.reset(seed=0)
    for action in ([-1, -1], [0, 0], [1, 0.5]):
        env.step(np.array(action, np.float32))
    assert np.allclose(env.unwrapped.seen, [[-2, 0], [0, 5], [2, 7.5]])


@pytest.mark.parametrize("limit", [1, 2, 3, 0.4])
def test_symmetric_actions_are_rescaled_as_gymnasium_does_to_the_last_bit(scripted, limit):
    space = Box(-limit, limit, (3,))
    ours = scripted(action_space=space)
    theirs = gym.wrappers.RescaleAction(Scripted(action_space=space), np.float32(-1), np.float32(1))
    actions = np.random.default_rng(0).uniform(-1, 1, (100, 3)).astype(np.float32)
    for env in (ours, theirs):
        env.reset(seed=0)
        for action in actions:
            env.step(action)
    assert np.array_equal(ours.unwrapped.seen, theirs.unwrapped.seen)
    assert ours.unwrapped.seen[0].dtype == np.float32


def test_observations_arrive_as_float32_in_their_own_units(scripted):
    largest = np.finfo(np.float32).max  # how some environments write "no bound"
    space = Box(np.array([-8, 0, -np.inf, -largest, 0]), np.array([8, 10, np.inf, largest, np.inf]), dtype=np.float64)
    env = scripted(observation_space=space, observations=[[-8, 10, 3, 3, 3]])
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [-8, 10, 3, 3, 3] and observation.dtype == np.float32
    assert env.observation_space.dtype == np.float32


def test_hidden_entries_are_gone():
    full, hidden = envs.make("Pendulum-v1", WrapperConfig()), envs.make("Pendulum-v1", WrapperConfig(hide=(2,)))
    assert hidden.observation_space.shape == (2,)
    assert np.array_equal(hidden.reset(seed=3)[0], full.reset(seed=3)[0][:2])


def test_a_repeated_action_sums_rewards_and_stops_at_the_end(scripted):
    env = scripted(WrapperConfig(action_repeat=3), rewards=[1, 2, 3, 4, 5], last=5)
    env.reset(seed=0)
    assert env.step(np.zeros(3, np.float32))[1:4] == (6, False, False)
    assert env.step(np.zeros(3, np.float32))[1:4] == (9, True, False)


def test_a_time_limit_is_truncation(scripted):
    env = scripted()
    env.reset(seed=0)
    endings = [env.step(np.zeros(3, np.float32))[2:4] for _ in range(50)]
    assert endings == [(False, False)] * 49 + [(False, True)]


def test_rewards_are_plain_floats(scripted):
    env = scripted(rewards=[np.float32(0.1), np.array([2.0])[0], 3])
    env.reset(seed=0)
    assert [type(env.step(np.zeros(3, np.float32))[1]) for _ in range(3)] == [float] * 3


# --- turned away ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spaces, sentence",
    [
        (dict(action_space=Discrete(2)), r"has discrete actions \(Discrete\(2\)\), but v1's SAC is continuous: its actor is"),
        (dict(action_space=MultiDiscrete([2, 2])), "has discrete actions"),
        (dict(action_space=MultiBinary(2)), "has discrete actions"),
        (dict(action_space=Box(-1, 1, (2, 2))), "v1 needs a flat, bounded Box of floating-point numbers"),
        (dict(action_space=Box(0, 5, (2,), np.int64)), "v1 needs a flat, bounded Box of floating-point numbers"),
        (dict(action_space=Tuple([FLAT])), "v1 needs a flat, bounded Box of floating-point numbers"),
        (dict(action_space=Box(-1, np.inf, (2,))), "has infinite action bounds: tanh actions need a finite range"),
        (dict(observation_space=Box(0, 255, (64, 64, 3), np.uint8)), r"image observations of shape \(64, 64, 3\), which are not supported"),
        (dict(observation_space=Box(0, 255, (64, 64), np.uint8)), "image observations"),
        (dict(observation_space=Dict(a=FLAT)), "has dict observations, which are not supported yet: v1 reads one flat vector of numbers"),
        (dict(observation_space=Discrete(4)), r"has the observation space Discrete\(4\): v1 reads one flat vector of numbers"),
        (dict(observation_space=Tuple([FLAT])), "has the observation space Tuple"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(*value.values()),
)  # fmt: skip
def test_spaces_that_v1_does_not_handle(scripted, spaces, sentence):
    with pytest.raises(EnvError, match=f"^Scripted-v0 [^\n]*{sentence}[^\n]*$"):
        scripted(**spaces)


@pytest.mark.parametrize(
    "name, reason",
    [("Pendulum-v9", "version"), ("Nowhere-v0", "doesn't exist"), ("No/Where-v0", "Namespace No not found"), ("??", "Malformed")],
)
def test_unknown_environments(name, reason):
    with pytest.raises(EnvError, match=f"^there is no environment '[^\n]*': [^\n]*{reason}"):
        envs.make(name, WrapperConfig())


@pytest.mark.parametrize(
    "error",
    [
        gym.error.DependencyNotInstalled("boxes are missing, run `pip install boxes`.\nMore."),
        ImportError("No module named 'boxes'"),
        ModuleNotFoundError("No module named 'boxes'"),
    ],
)
def test_a_missing_package(error):
    def fail():
        raise error

    gym.register("Boxes-v0", fail)
    try:
        with pytest.raises(EnvError, match="^Boxes-v0 needs an optional package that is not installed: [^\n`]*boxes[^\n`]*$"):
            envs.make("Boxes-v0", WrapperConfig())
    finally:
        del gym.registry["Boxes-v0"]


def test_an_environment_in_a_module_that_is_not_there():
    with pytest.raises(EnvError, match="needs an optional package that is not installed: No module named 'no_such_module'"):
        envs.make("no_such_module:Thing-v0", WrapperConfig())


ZERO, WRONG = [0, 0, 0], [0, np.nan, np.inf]


@pytest.mark.parametrize(
    "script, sentence",
    [
        (dict(observations=[WRONG]), "returned nan as entry 1 of the observation at step 0 of the episode with reset seed 5"),
        (dict(observations=[ZERO, ZERO, WRONG]), "returned nan as entry 1 of the observation at step 2 of the episode with reset seed 5"),
        (dict(observations=[ZERO, [0, 0, -np.inf]]), "returned -inf as entry 2 of the observation at step 1 of"),
        (dict(rewards=[0, 1, np.nan]), "returned nan as the reward at step 3 of the episode with reset seed 5"),
        (dict(rewards=[-np.inf]), "returned -inf as the reward at step 1 of"),
        (dict(observations=[ZERO, [0, 0]]), r"returned an observation of shape \(2,\) where its space says \(3,\) at step 1 of"),
    ],
)
def test_numbers_that_cannot_be_learned_from(scripted, script, sentence):
    env = scripted(WrapperConfig(hide=(1,)), **script)  # also where the agent would not have seen it

    def play():
        for seed in (4, 5):  # a first episode passes without trouble
            env.unwrapped.observations, env.unwrapped.rewards = (
                (script.get("observations"), script.get("rewards", [])) if seed == 5 else (None, [])
            )
            env.reset(seed=seed)
            for _ in range(3):
                env.step(np.zeros(3, np.float32))

    with pytest.raises(EnvError, match=f"^Scripted-v0 {sentence}[^\n]*mend the environment$"):
        play()


def test_an_action_that_is_not_a_number_is_blamed_on_the_agent(scripted):
    env = scripted()
    env.reset(seed=5)
    with pytest.raises(
        EnvError, match="^the agent chose the action .*nan.* at step 1 .*: its learning has diverged, so lower a learning rate$"
    ):
        env.step(np.full(3, np.nan, np.float32))


@pytest.mark.parametrize(
    "hide, sentence", [((3,), "names entry 3, but the observation has entries 0 to 2"), ((0, 1, 2), "hides the whole observation")]
)
def test_hiding_what_is_not_there_or_everything(hide, sentence):
    with pytest.raises(ConfigError, match=f"wrappers.hide {sentence}"):
        envs.make("Pendulum-v1", WrapperConfig(hide=hide))

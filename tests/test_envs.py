"""Environments: what is accepted and in which units, and what is turned away with which sentence."""

import sys

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from dreamer_core import envs
from dreamer_core.config import WrapperConfig, from_dict
from dreamer_core.errors import ConfigError, EnvError

FLAT = Box(-1, 1, (3,))


class Scripted(gym.Env):
    """Returns what it is told to return; `seen` lists the actions that reached it, `closed` counts what was closed."""

    closed = 0

    def __init__(self, observation_space=FLAT, action_space=FLAT, observations=None, rewards=(), last=99):
        self.observation_space, self.action_space = observation_space, action_space
        self.observations, self.rewards, self.last, self.seen = observations, list(rewards), last, []

    def _observe(self):
        if self.observations is None:
            return np.zeros(self.observation_space.shape)
        found = self.observations[min(self.t, len(self.observations) - 1)]
        return np.asarray(found) if isinstance(found, list) else found

    def close(self):
        Scripted.closed += 1

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
    assert np.allclose(env.unwrapped.seen, [[-2, 0], [0, 5], [2, 7.5]]), f"the actions that reached the environment: {env.unwrapped.seen}"


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
    assert np.array_equal(ours.unwrapped.seen, theirs.unwrapped.seen), "another action than gymnasium's own rescaling gives"
    assert ours.unwrapped.seen[0].dtype == np.float32


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("low, high", [(-0.1, 0.2), (-0.7, 0.1), (0.1, 0.3), (-1e9, 1e-3), (2.0, 2.0), (-3.0, 5.0)])
def test_rescaled_actions_stay_within_the_bounds_in_the_environments_own_type(scripted, kind, low, high):
    """The least action of Box(-0.1, 0.2) used to leave it by a rounding; and where both bounds are equal, that is the action."""
    if kind == np.float16 and abs(low) > 6e4:
        pytest.skip("no such number")
    space = Box(np.array([low], kind), np.array([high], kind), dtype=kind)
    env = scripted(action_space=space)
    env.reset(seed=0)
    for action in (-1, -1 + 1e-7, -0.3, 0, 0.9, 1 - 1e-7, 1):
        env.step(np.array([action], np.float32))
    assert all(space.contains(given) for given in env.unwrapped.seen), f"{env.unwrapped.seen} are not all in {space}"
    ends = np.array([env.unwrapped.seen[0], env.unwrapped.seen[-1]], float)[:, 0]
    assert ends == pytest.approx([low, high], rel=1e-3, abs=2e-3 * (high - low))


def test_an_action_may_be_overwritten_by_the_environment(scripted):
    """Neither the agent's own nor, where it is repeated, the next one changes."""
    env = scripted(WrapperConfig(action_repeat=3), action_space=Box(-2, 2, (3,)))
    real = env.unwrapped.step

    def greedy(action):
        answer = real(action)
        action[:] = 77
        return answer

    env.unwrapped.step = greedy
    env.reset(seed=0)
    action = np.full(3, 0.5, np.float32)
    env.step(action)
    assert action.tolist() == [0.5] * 3
    assert np.array_equal(env.unwrapped.seen, np.ones((3, 3))), "the repeated action is not the one that was chosen"


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_observation_that_is_one_array_written_anew_is_copied(scripted, kind):
    state = np.zeros(3, kind)
    env = scripted()
    env.unwrapped.observations = [state]
    first, _ = env.reset(seed=0)
    state += 1
    second, *_ = env.step(np.zeros(3, np.float32))
    state += 1
    assert (first.tolist(), second.tolist()) == ([0, 0, 0], [1, 1, 1]), "an observation changed after it was seen"


@pytest.mark.parametrize("seen", [[1, 0, 1], np.array([True, False, True]), np.array([1, 0, 1], np.uint8), torch.tensor([1.0, 0, 1])])
def test_observations_of_other_kinds_of_numbers_are_read(scripted, seen):
    env = scripted(observations=[seen])
    assert env.reset(seed=0)[0].tolist() == [1, 0, 1]


def test_observations_arrive_as_float32_in_their_own_units(scripted):
    largest = np.finfo(np.float32).max  # how some environments write "no bound"
    space = Box(np.array([-8, 0, -np.inf, -largest, 0]), np.array([8, 10, np.inf, largest, np.inf]), dtype=np.float64)
    env = scripted(observation_space=space, observations=[[-8, 10, 3, 3, 3]])
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [-8, 10, 3, 3, 3] and observation.dtype == np.float32
    assert env.observation_space.dtype == np.float32
    assert env.observation_space.low.tolist() == [-8, 0, -np.inf, -largest, 0] and env.observation_space.high[4] == np.inf


def test_bounds_that_are_no_numbers(scripted):
    """On observations they mean none; on actions there must be some."""
    observations, actions = Box(-1, 1, (3,)), Box(-1, 1, (3,))
    observations.low[1] = observations.high[2] = actions.high[1] = np.nan
    env = scripted(observation_space=observations)
    assert env.observation_space.low[1] == -np.inf and env.observation_space.high[2] == np.inf and env.observation_space.high[1] == 1
    with pytest.raises(EnvError, match="has infinite action bounds"):
        scripted(action_space=actions)


def test_hidden_entries_are_gone():
    full, hidden = envs.make("Pendulum-v1", WrapperConfig()), envs.make("Pendulum-v1", WrapperConfig(hide=(2,)))
    assert hidden.observation_space.shape == (2,)
    assert np.array_equal(hidden.reset(seed=3)[0], full.reset(seed=3)[0][:2]), "not the observation without the hidden entry"


def test_a_repeated_action_sums_rewards_and_stops_at_the_end(scripted):
    env = scripted(WrapperConfig(action_repeat=3), rewards=[1, 2, 3, 4, 5], last=5)
    env.reset(seed=0)
    assert env.step(np.zeros(3, np.float32))[1:4] == (6, False, False)
    assert env.step(np.zeros(3, np.float32))[1:4] == (9, True, False)


def test_a_world_ages_by_each_repetition():
    """After 10 chosen actions of 3 steps it is 30 steps old, and the next episode goes on from there."""
    env = envs.make("dreamer/ChangingPendulum-v0", WrapperConfig(action_repeat=3))
    envs.reset(env, 0, 0)
    for _ in range(10):
        env.step(np.zeros(1, np.float32))
    assert env.unwrapped.age == 30
    envs.reset(env, 1, 10)
    assert env.unwrapped.age == 30, "its age fell back to the number of chosen actions"


def test_a_repeated_action_stops_at_a_time_limit(scripted):
    """The limit is 50 steps, which 3 does not divide: the last action lasts two."""
    env = scripted(WrapperConfig(action_repeat=3), rewards=[1] * 60)
    env.reset(seed=0)
    told = [env.step(np.zeros(3, np.float32))[1:4] for _ in range(17)]
    assert told[-2:] == [(3, False, False), (2, False, True)], "a repeated action goes on after a time limit"


def test_a_time_limit_is_truncation(scripted):
    env = scripted()
    env.reset(seed=0)
    endings = [env.step(np.zeros(3, np.float32))[2:4] for _ in range(50)]
    assert endings == [(False, False)] * 49 + [(False, True)]


def test_rewards_are_plain_floats(scripted):
    env = scripted(rewards=[np.float32(0.5), np.array([2.0])[0], 3, np.array(4), torch.tensor(5.0), True])
    env.reset(seed=0)
    rewards = [env.step(np.zeros(3, np.float32))[1] for _ in range(6)]
    assert rewards == [0.5, 2, 3, 4, 5, 1] and {type(reward) for reward in rewards} == {float}


def test_the_same_world_in_other_units(scripted):
    """Rewards of each chosen action, here of two steps, times 10 and less 1; observations times 100, of those that are not hidden."""
    changes = WrapperConfig(hide=(1,), action_repeat=2, observation_scale=100, reward_scale=10, reward_offset=-1)
    space = Box(np.array([-1, 0, -np.inf]), np.array([2, 9, np.inf]), dtype=np.float64)
    env = scripted(changes, observation_space=space, observations=[[1, 9, 3]], rewards=[1, 2, 3, 4])
    assert env.observation_space == Box(np.float32([-100, -np.inf]), np.float32([200, np.inf]))
    observation, _ = env.reset(seed=0)
    assert observation.tolist() == [100, 300] and observation.dtype == np.float32, "the first observation"
    observation, reward, *_, info = env.step(np.zeros(3, np.float32))
    assert observation.tolist() == [100, 300] and observation.dtype == np.float32
    assert (reward, info["own_reward"]) == (10 * 3 - 1, 3), "the agent's reward, and the world's own"
    assert env.step(np.zeros(3, np.float32))[1] == 10 * 7 - 1


def test_nothing_is_scaled_by_default(scripted):
    assert not isinstance(scripted(), envs.Scaled), "a default that changes units"


def test_the_suites_worlds_are_found_where_nothing_has_imported_them(monkeypatch):
    for name in [name for name in gym.registry if name.startswith("dreamer/")]:
        monkeypatch.delitem(gym.registry, name)
    monkeypatch.delitem(sys.modules, "dreamer_core.worlds", raising=False)
    assert envs.make("dreamer/Recall-v0", WrapperConfig()).observation_space.shape == (2,)


class Grown(Scripted):
    """Tells with its first observation what its reset was told."""

    def reset(self, *, seed=None, options=None):
        super().reset()
        return np.full(3, -1.0 if options is None else options["age"]), {}


def test_a_world_that_ages_is_told_its_age_and_no_other_is():
    gym.register("Grown-v0", Grown)
    try:
        env = envs.make("Grown-v0", WrapperConfig())
        assert envs.reset(env, 3, age=70).tolist() == [-1] * 3, "options were passed to a world that did not ask for them"
        env.unwrapped.ages = True
        assert envs.reset(env, 3, age=70).tolist() == [70] * 3
    finally:
        del gym.registry["Grown-v0"]


# --- one of several actions -----------------------------------------------------------------------


def run_in(env="Scripted-v0", actor="auto", **changes):
    """The environment of a run with DreamerV3's actor-critic."""
    return envs.make_for(from_dict(dict(env=env, actor_critic="dreamerv3", dreamerv3=dict(actor=actor)) | changes))


@pytest.fixture
def choosing():
    """Registers a `Scripted` environment whose wrappers are the user's own: choosing(wrap, **script)."""

    def register(wrap=lambda env: env, **script):
        gym.register("Scripted-v0", lambda: wrap(Scripted(**script)), max_episode_steps=50)

    yield register
    gym.registry.pop("Scripted-v0", None)


@pytest.mark.parametrize("start", [0, 5, -1])
def test_the_largest_entry_is_the_action_that_is_chosen(choosing, start):
    """Counted from where the environment's own actions start; the largest one is told as 1 among zeros, or as any larger number."""
    choosing(action_space=Discrete(3, start=start))
    env = run_in()
    assert envs.is_discrete(env) and env.action_space == Box(-1, 1, (3,)), "an environment with three actions"
    env.reset(seed=0)
    for action in ([1, 0, 0], [0, 1, 0], [0, 0, 1], [-0.9, -0.1, -0.5]):
        env.step(np.array(action, np.float32))
    given = env.unwrapped.seen
    assert [int(action) for action in given] == [start, start + 1, start + 2, start + 1], "the actions that reached the environment"
    assert all(env.unwrapped.action_space.contains(action[()]) for action in given), "an action outside the environment's own space"


def test_a_chosen_action_is_repeated_and_observations_are_scaled_as_any(choosing):
    choosing(action_space=Discrete(2), observations=[[1, 2, 3]])
    env = run_in(wrappers=dict(action_repeat=3, hide=[0], observation_scale=10))
    assert env.reset(seed=0)[0].tolist() == [20, 30]
    env.step(np.array([0, 1], np.float32))
    assert [int(action) for action in env.unwrapped.seen] == [1, 1, 1]
    assert envs.is_discrete(env), "repeated choices count as a Box"


def test_cartpole_can_be_played():
    env = run_in("CartPole-v1")
    observation, _ = env.reset(seed=0)
    assert observation.dtype == np.float32 and env.action_space.shape == (2,)
    assert envs.is_discrete(env), "CartPole's choices count as a Box"
    velocity = [env.step(np.eye(2, dtype=np.float32)[choice])[0][1] for choice in (0, 1, 1)]
    assert velocity[0] < observation[1] < velocity[2], "the first action does not push to the left, or the second to the right"


def discretized(env):
    """A Box of one entry as two choices."""
    return gym.wrappers.TransformAction(env, lambda choice: np.array([2.0 * choice - 1], np.float32), Discrete(2))


def smoothed(env):
    """Two choices as a Box of one entry."""
    return gym.wrappers.TransformAction(env, lambda action: int(action[0] > 0), Box(-1, 1, (1,)))


def test_what_a_wrapper_of_the_users_makes_of_the_actions_is_what_counts(choosing):
    """A Box that was turned into choices is chosen among; choices that were turned into a Box are a Box, for either agent."""
    choosing(discretized, action_space=Box(-1, 1, (1,)))
    env = run_in()
    env.reset(seed=0)
    env.step(np.array([0, 1], np.float32))
    assert envs.is_discrete(env) and env.unwrapped.seen == [1], "a Box turned into two choices"
    del gym.registry["Scripted-v0"]
    choosing(smoothed, action_space=Discrete(2))
    for env in (run_in(), envs.make("Scripted-v0", WrapperConfig())):
        env.reset(seed=0)
        env.step(np.array([0.3], np.float32))
        assert not envs.is_discrete(env) and env.action_space.shape == (1,) and env.unwrapped.seen[-1] == 1, "choices turned into a Box"


def test_continuous_actions_are_as_they_were(choosing):
    choosing(action_space=Box(-2, 2, (3,)))
    for actor in ("auto", "normal"):
        env = run_in(actor=actor)
        env.reset(seed=0)
        env.step(np.full(3, 0.5, np.float32))
        assert not envs.is_discrete(env) and env.unwrapped.seen[-1].tolist() == [1, 1, 1], f"continuous actions with actor = {actor}"


@pytest.mark.parametrize("env, actor, kind", [("Pendulum-v1", "categorical", "continuous"), ("CartPole-v1", "normal", "discrete")])
def test_an_actor_that_does_not_fit_the_actions_is_refused(env, actor, kind):
    with pytest.raises(ConfigError, match=f"^dreamerv3.actor is {actor}, but the actions of {env} are {kind}: leave it at auto$"):
        run_in(env, actor)


@pytest.mark.parametrize("changes", [dict(actor_critic="sac"), dict(agent="sac")], ids=str)
def test_whoever_cannot_choose_is_refused_where_actions_are_discrete(changes):
    """And is told who can."""
    with pytest.raises(
        EnvError, match=r"^CartPole-v1 has discrete actions \(Discrete\(2\)\), [^\n]* or --preset dreamerv3, whose actor can choose"
    ):
        run_in("CartPole-v1", **changes)


@pytest.mark.parametrize("space", [MultiDiscrete([2, 2]), MultiBinary(2)], ids=str)
def test_several_choices_at_once_are_refused_without_a_false_promise(choosing, space):
    choosing(action_space=space)
    with pytest.raises(EnvError, match="^Scripted-v0 has discrete actions") as error:
        run_in()
    assert "dreamerv3" not in str(error.value), "a preset is named that cannot choose there either"


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
        (dict(action_space=Box(-1, 1, (0,))), "has the action space .* without a single entry"),
        (dict(action_space=Box(np.finfo(np.float32).min, np.finfo(np.float32).max, (2,))), r"has action bounds beyond 1e\+15"),
        (dict(action_space=Box(-1e300, 1e300, (2,), np.float64)), r"has action bounds beyond 1e\+15"),
        (dict(action_space=None), "has the action space None: v1 needs a flat, bounded Box"),
        (dict(observation_space=None), "has the observation space None: v1 reads one flat vector of numbers"),
        (dict(observation_space=Box(-1, 1, (0,))), "has the observation space .*, with at least one entry"),
        (dict(observation_space=Box(-1, 1, ())), "has the observation space .*, with at least one entry"),
        (dict(observation_space=Box(0, 255, (64, 64), np.uint8)), r"image observations of shape \(64, 64\), uint8: v1 reads one picture"),
        (dict(observation_space=Box(0, 255, (48, 48, 3), np.uint8)), r"shape \(48, 48, 3\), uint8: .* shrink a large one"),
        (dict(observation_space=Box(0, 255, (64, 32, 3), np.uint8)), "image observations"),
        (dict(observation_space=Box(0, 255, (3, 64, 64), np.uint8)), "image observations"),
        (dict(observation_space=Box(0, 255, (32, 32, 2), np.uint8)), "image observations"),
        (dict(observation_space=Box(0, 1, (32, 32, 1), np.float32)), r"shape \(32, 32, 1\), float32: .* bytes \(uint8\)"),
        (dict(observation_space=Box(0, 255, (4, 32, 32, 1), np.uint8)), "image observations .* remembers by itself, so stack nothing"),
        (dict(observation_space=Dict(a=FLAT)), "has dict observations, which are not supported yet: v1 reads one flat vector of numbers"),
        (dict(observation_space=Discrete(4)), r"has the observation space Discrete\(4\): v1 reads one flat vector of numbers"),
        (dict(observation_space=Tuple([FLAT])), "has the observation space Tuple"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(*value.values()),
)  # fmt: skip
def test_spaces_that_v1_does_not_handle(scripted, spaces, sentence):
    before = Scripted.closed
    with pytest.raises(EnvError, match=f"^Scripted-v0 [^\n]*{sentence}[^\n]*$"):
        scripted(**spaces)
    assert Scripted.closed == before + 1, "what was made to be looked at is not closed"


def test_an_environment_that_does_not_tell_its_spaces(own):
    def broken(self):
        raise RuntimeError("the motor is not there yet")

    for space in ("observation_space", "action_space"):
        with pytest.raises(
            EnvError, match=r"^Own-v0 does not tell its spaces, it raised RuntimeError \(the motor is not there yet\): mend the"
        ):
            own(**{space: property(broken)})
    gym.register("Bare-v0", type("Bare", (gym.Env,), {}))
    try:
        with pytest.raises(EnvError, match="^Bare-v0 does not tell its spaces, it raised AttributeError [^\n]*: mend the environment$"):
            envs.make("Bare-v0", WrapperConfig())
    finally:
        del gym.registry["Bare-v0"]


def test_a_space_with_many_bounds_is_told_in_one_line(scripted):
    bounds = np.arange(100.0)
    with pytest.raises(EnvError, match=r"^Scripted-v0 has action bounds beyond 1e\+15 \(Box[^\n]{10,80}\), as good as none[^\n]*$"):
        scripted(action_space=Box(-1e20 - bounds, 1e20 + bounds, dtype=np.float64))


def actions(space, change):
    return lambda env: gym.wrappers.TransformAction(env, change, space)


@pytest.mark.parametrize(
    "spaces, remedy",
    [
        (dict(action_space=Discrete(3)), actions(Box(-1, 1, (3,)), lambda action: int(action.argmax()))),
        (dict(action_space=MultiBinary(3)), actions(Box(-1, 1, (3,)), lambda action: (action > 0).astype(np.int8))),
        (dict(action_space=Box(0, 5, (2,), np.int64)), actions(Box(0, 5, (2,)), lambda action: action.round().astype(np.int64))),
        (dict(action_space=Box(-1, 1, (2, 2))), actions(Box(-1, 1, (4,)), lambda action: action.reshape(2, 2))),
        (dict(action_space=Box(-np.inf, np.inf, (2,))), actions(Box(-3, 3, (2,)), lambda action: action)),
        (dict(action_space=Tuple([FLAT])), actions(FLAT, lambda action: (action,))),
        (dict(observation_space=Tuple([FLAT, FLAT])), gym.wrappers.FlattenObservation),
        (dict(observation_space=Dict(a=FLAT)), gym.wrappers.FlattenObservation),
        (dict(observation_space=Discrete(4)), gym.wrappers.FlattenObservation),
        (dict(observation_space=MultiDiscrete([2, 3])), gym.wrappers.FlattenObservation),
        (dict(observation_space=Box(0, 255, (4, 4, 3), np.uint8)), gym.wrappers.FlattenObservation),
    ],
    ids=lambda value: str(*value.values()) if isinstance(value, dict) else "",
)
def test_the_remedy_that_a_sentence_names_works(spaces, remedy):
    """Refused as it is with a word for the wrapper and for registering; wrapped and registered, it can be played."""

    def raw():
        env = Scripted(**spaces)
        env._observe = env.observation_space.sample
        return env

    gym.register("Raw-v0", raw)
    gym.register("Wrapped-v0", lambda: remedy(raw()))
    try:
        with pytest.raises(EnvError, match="(TransformAction|FlattenObservation).*register the wrapped environment under an id of its own"):
            envs.make("Raw-v0", WrapperConfig())
        env = envs.make("Wrapped-v0", WrapperConfig())
        observation, _ = env.reset(seed=0)
        observation, *_ = env.step(np.zeros(env.action_space.shape, np.float32))
        assert observation.ndim == 1 and observation.dtype == np.float32
        assert spaces.get("action_space", FLAT).contains(env.unwrapped.seen[0]), "an action outside the environment's own space"
    finally:
        del gym.registry["Raw-v0"], gym.registry["Wrapped-v0"]


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
        (dict(observations=[WRONG]), "returned nan as entry 1 of the observation at step 0 of"),
        (dict(observations=[ZERO, ZERO, WRONG]), "returned nan as entry 1 of the observation at step 2 of"),
        (dict(observations=[ZERO, [0, 0, -np.inf]]), "returned -inf as entry 2 of the observation at step 1 of"),
        (dict(rewards=[0, 1, np.nan]), "returned nan as the reward at step 3 of"),
        (dict(rewards=[-np.inf]), "returned -inf as the reward at step 1 of"),
        (dict(observations=[ZERO, [0, 0]]), r"returned an observation of shape \(2,\) where its space says \(3,\) at step 1 of"),
        (dict(observations=[[0, 1e39, 0]]), r"returned 1e\+39 as entry 1 of the observation at step 0 of"),
        (dict(observations=[ZERO, [0, 0, -1e25]]), r"returned -1e\+25 as entry 2 of the observation at step 1 of"),
        (dict(observations=[ZERO, np.array([0, 0, -(2**63)])]), "returned -9223372036854775808 as entry 2 of the observation at step 1 of"),
        (
            dict(observations=[[0, None, 0]]),
            r"returned array\(\[0, None, 0\], dtype=object\) as the observation \(it must be an array of real",
        ),
        (dict(observations=[ZERO, ["a", "b", "c"]]), "returned array.* as the observation"),
        (dict(observations=[[0, 1j, 0]]), "returned array.*1.j.* as the observation"),
        (dict(observations=[{"a": 1}]), "returned {'a': 1} as the observation"),
        (dict(observations=[None]), "returned None as the observation"),
        (dict(observations=[(1, (2, 3), 4)]), r"returned \(1, \(2, 3\), 4\) as the observation"),
        (dict(observations=[torch.ones(3, requires_grad=True)]), "returned tensor.* as the observation"),
        (dict(observations=[ZERO, 3.0]), r"returned an observation of shape \(\) where its space says \(3,\) at step 1 of"),
        (dict(rewards=[1e39]), r"returned 1e\+39 as the reward at step 1 of"),
        (dict(rewards=[0, np.array([-1.0])]), r"returned array\(\[-1.\]\) as the reward \(it must be one real number\) at step 2 of"),
        (dict(rewards=["-1.0"]), r"returned '-1.0' as the reward \(it must be one real number\) at step 1 of"),
        (dict(rewards=[None]), "returned None as the reward"),
        (dict(rewards=[1 + 2j]), r"returned \(1\+2j\) as the reward"),
        (dict(rewards=[np.zeros((2, 2))]), "returned array.* as the reward"),
        (dict(rewards=[{"r": 1}]), "returned {'r': 1} as the reward"),
        (dict(rewards=[10**400]), "returned 1000.* as the reward"),
    ],
    ids=str,
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

    with pytest.raises(EnvError, match=f"^Scripted-v0 {sentence}[^\n]* the episode with reset seed 5: [^\n]*mend the environment$"):
        play()


class Own(gym.Env):
    """Spaces for environments that are written in place."""

    observation_space = action_space = FLAT

    def reset(self, *, seed=None, options=None):
        return np.zeros(3), {}

    def step(self, action):
        return np.zeros(3), 0.0, False, False, {}


@pytest.fixture
def own():
    """Makes an environment from functions that replace its own."""

    def make(limit=50, **functions):
        gym.registry.pop("Own-v0", None)
        gym.register("Own-v0", type("Mine", (Own,), functions), max_episode_steps=limit)
        return envs.make("Own-v0", WrapperConfig())

    yield make
    gym.registry.pop("Own-v0", None)


def play(env):
    env.reset(seed=5)
    for _ in range(3):
        env.step(np.zeros(3, np.float32))


FROM_STEP = "returned .* from step"


@pytest.mark.parametrize("limit", [None, 50], ids=["", "with a time limit"])
@pytest.mark.parametrize(
    "functions, sentence",
    [
        (dict(reset=lambda self: np.zeros(3)), "raised TypeError .*unexpected keyword argument 'seed'.* in its reset at step 0"),
        (dict(reset=lambda self, seed=None: (np.zeros(3), {})), "raised TypeError .*'options'.* in its reset at step 0"),
        (dict(reset=lambda self, seed=None, options=None: np.zeros(3)), r"returned array\(\[0., 0., 0.\]\) from reset at step 0"),
        (dict(reset=lambda self, seed=None, options=None: (1.0, 2.0)), r"returned \(1.0, 2.0\) from reset at step 0"),
        (dict(reset=lambda self, seed=None, options=None: None), "returned nothing from reset at step 0"),
        (dict(reset=lambda self, seed=None, options=None: (np.zeros(3), {}, 0)), r"returned \(array.* from reset at step 0"),
        (dict(step=lambda self, action: (np.zeros(3), 0.0, False, {})), f"({FROM_STEP}|raised ValueError .*expected 5, got 4.*) at step 1"),
        (dict(step=lambda self, action: (np.zeros(3), 0.0, False, False, {}, 1)), f"({FROM_STEP}|raised ValueError .*expec.*) at step 1"),
        (dict(step=lambda self, action: None), "(returned nothing from step|raised TypeError .*None.* in its step) at step 1"),
        (dict(step=lambda self: None), "raised TypeError .* in its step at step 1"),
    ],
)  # fmt: skip
def test_an_environment_of_another_interface(own, limit, functions, sentence):
    """With a time limit it is gymnasium's own wrapper that stumbles: the sentence says all the same what is expected."""
    env = own(limit, **functions)
    with pytest.raises(EnvError, match=f"^Own-v0 {sentence} of the episode with reset seed 5: [^\n]*terminated, truncated, info[^\n]*$"):
        play(env)


@pytest.mark.parametrize("value", ["False", "", None, np.array([True]), np.zeros(0), 2, -1, np.nan, [], {}, 1j, ...], ids=repr)
@pytest.mark.parametrize("flag", ["terminated", "truncated"])
def test_a_flag_is_true_or_false(own, flag, value):
    def step(self, action):
        return np.zeros(3), 0.0, *((value, False) if flag == "terminated" else (False, value)), {}

    env = own(None, step=step)
    with pytest.raises(EnvError, match=rf"^Own-v0 returned [^\n]* as {flag} \(it must be True or False\) at step 1 of [^\n]*$"):
        play(env)


@pytest.mark.parametrize("value", [False, np.bool_(False), np.array(False), 0, 0.0, np.int8(0)], ids=repr)
def test_flags_of_other_kinds_are_read(own, value):
    env = own(step=lambda self, action: (np.zeros(3), 0.0, value, value, {}))
    env.reset(seed=0)
    assert [flag is False for flag in env.step(np.zeros(3, np.float32))[2:4]] == [True, True]


RAISED = [
    ValueError("the motor is hot\nand more"), RuntimeError(), KeyError("joint"), AssertionError("x > 0"), StopIteration(), SystemExit(3),
    OSError(98, "Address already in use"), gym.error.ResetNeeded("reset first"),
]  # fmt: skip


@pytest.mark.parametrize("error", RAISED, ids=repr)
@pytest.mark.parametrize("where, step", [("reset", 0), ("step", 2)])
def test_an_environment_that_raises_is_named_with_the_step_and_its_own_error(own, where, step, error):
    def fail(self, *args, **kwargs):
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == max(step, 1):
            raise error
        return np.zeros(3), 0.0, False, False, {}

    env = own(**{where: fail})
    with pytest.raises(
        EnvError, match=f"^Own-v0 raised {type(error).__name__}[^\n]* in its {where} at step {step} of .* seed 5: mend it$"
    ) as caught:
        play(env)
    assert caught.value.__cause__ is error
    assert str(error).split("\n")[0].rstrip(".") in str(caught.value)


@pytest.mark.parametrize("error", RAISED, ids=repr)
def test_an_environment_that_cannot_be_made(own, error):
    def fail(self):
        raise error

    with pytest.raises(
        EnvError, match=f"^Own-v0 could not be made, it raised {type(error).__name__}[^\n]*: mend the environment$"
    ) as caught:
        own(__init__=fail)
    assert caught.value.__cause__ is error


def test_the_users_own_interruption_is_not_the_environments():
    gym.register("Own-v0", type("Mine", (Own,), dict(reset=lambda self, **how: (_ for _ in ()).throw(KeyboardInterrupt()))))
    try:
        with pytest.raises(KeyboardInterrupt):
            envs.make("Own-v0", WrapperConfig()).reset(seed=0)
    finally:
        del gym.registry["Own-v0"]


@pytest.mark.parametrize(
    "entry, reason", [(lambda: 3, "TypeError .*must inherit from the gymnasium.Env"), ("test_envs:Nothing", "AttributeError")]
)
def test_an_id_behind_which_there_is_no_environment(entry, reason):
    gym.register("Empty-v0", entry)
    try:
        with pytest.raises(EnvError, match=f"^Empty-v0 could not be made, it raised {reason}[^\n]*$"):
            envs.make("Empty-v0", WrapperConfig())
    finally:
        del gym.registry["Empty-v0"]


def test_closing_goes_on_after_one_that_fails(scripted, own):
    def fail(self):
        raise OSError("the simulator does not answer")

    before, said = Scripted.closed, []
    envs.close([scripted(), own(close=fail), scripted()], said.append)
    assert Scripted.closed == before + 2
    assert len(said) == 1 and said[0].startswith("Own-v0 raised OSError (the simulator does not answer) while it was closed"), (
        f"said: {said}"
    )


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
def test_hiding_what_is_not_there_or_everything(scripted, hide, sentence):
    before = Scripted.closed
    with pytest.raises(ConfigError, match=f"wrappers.hide {sentence}"):
        scripted(WrapperConfig(hide=hide))
    assert Scripted.closed == before + 1


# --- pictures -------------------------------------------------------------------------------------


class Camera(gym.Env):
    """A picture whose pixels are all alike: brighter by one a step, or whatever it is told to show."""

    action_space = Box(-1, 1, (1,))

    def __init__(self, side=32, channels=3, show=None):
        self.observation_space, self.show = Box(0, 255, (side, side, channels), np.uint8), show

    def _look(self):
        return np.full(self.observation_space.shape, self.bright, np.uint8) if self.show is None else self.show

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.bright = 100
        return self._look(), {}

    def step(self, action):
        self.bright += 1
        return self._look(), 1.0, False, False, {}


@pytest.fixture
def camera():
    """Makes a registered `Camera` behind the wrappers."""

    def make(wrappers=None, **settings):
        gym.register("Camera-v0", Camera, max_episode_steps=20, kwargs=settings)
        return envs.make("Camera-v0", wrappers or WrapperConfig())

    yield make
    gym.registry.pop("Camera-v0", None)


@pytest.mark.parametrize("side, channels", [(32, 1), (32, 3), (64, 1), (64, 3)])
def test_pictures_come_through_as_bytes(camera, side, channels):
    env = camera(side=side, channels=channels)
    first, _ = env.reset(seed=0)
    second, *_ = env.step(np.zeros(1, np.float32))
    assert env.observation_space == Box(0, 255, (side, side, channels), np.uint8), "the space of pictures has changed"
    assert first.dtype == second.dtype == np.uint8, "a picture has become something else than bytes"
    assert (first == 100).all() and (second == 101).all() and first.shape == (side, side, channels), (
        "a picture's bytes changed, or its shape"
    )


def test_rewards_may_have_another_unit_where_pictures_are_shown(camera):
    env = camera(WrapperConfig(reward_scale=3.0))
    assert env.reset(seed=0)[0].dtype == np.uint8
    observation, reward, *_, info = env.step(np.zeros(1, np.float32))
    assert (reward, info["own_reward"]) == (3.0, 1.0) and observation.dtype == np.uint8 and (observation == 101).all(), (
        "the reward or the picture was not scaled as asked"
    )


@pytest.mark.parametrize(
    "wrappers, sentence",
    [
        (dict(hide=(2,)), "^wrappers.hide hides entries of a vector, but Camera-v0 shows pictures: leave it empty$"),
        (dict(observation_scale=2.0), "^wrappers.observation_scale changes the units of a vector, but Camera-v0 shows pictures of bytes"),
    ],
)
def test_settings_about_entries_are_refused_where_pictures_are_shown(camera, wrappers, sentence):
    with pytest.raises(ConfigError, match=sentence):
        camera(WrapperConfig(**wrappers))


@pytest.mark.parametrize("wrong", [0.5, -1, 256])
def test_a_picture_of_other_numbers_than_bytes_is_refused(camera, wrong):
    with pytest.raises(
        EnvError, match=r"^Camera-v0 returned a picture of type \w+ that does not consist of bytes at step 0 of the episode"
    ):
        camera(show=np.full((32, 32, 3), wrong)).reset(seed=4)


def test_sac_on_real_steps_reads_no_pictures():
    with pytest.raises(
        ConfigError, match="^dreamer/PixelPendulum-v0 shows pictures, which SAC on real steps cannot read: leave agent at dreamer"
    ):
        envs.make_for(from_dict({"env": "dreamer/PixelPendulum-v0", "agent": "sac"}))


def test_what_gymnasium_renders_can_be_learned_from():
    """Any environment that renders: its pictures, shrunk, and registered under an id of its own."""
    from dreamer_core.worlds.pixels import Shrunk

    class Drawn(gym.Env):
        metadata, render_mode = {"render_modes": ["rgb_array"], "render_fps": 10}, "rgb_array"
        action_space, observation_space = Box(-1, 1, (1,)), Box(-1, 1, (2,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(2, np.float32), {}

        def step(self, action):
            return np.zeros(2, np.float32), 0.0, False, False, {}

        def render(self):
            picture = np.zeros((100, 150, 3), np.uint8)
            picture[:50, :, 0] = 200  # the upper half is red
            return picture

    gym.register("Seen-v0", lambda: Shrunk(gym.wrappers.AddRenderObservation(Drawn(), render_only=True)), max_episode_steps=5)
    try:
        observation, _ = envs.make("Seen-v0", WrapperConfig()).reset(seed=0)
    finally:
        del gym.registry["Seen-v0"]
    assert observation.shape == (32, 32, 3) and observation.dtype == np.uint8
    assert (observation[:16, :, 0] == 200).all() and not observation[17:].any() and not observation[..., 1:].any(), (
        "the shrunk picture is not the mean of its patches"
    )

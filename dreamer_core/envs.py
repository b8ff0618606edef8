"""Gymnasium environments as the agent wants them: float32 vectors or small pictures of bytes in, actions in [-1, 1] out.

Any environment with a flat Box observation, or pictures of 32 x 32 or 64 x 64 pixels, and a bounded Box action works unchanged. Everything
else is turned away with one sentence, and so is an environment that breaks its promises later.
"""

import reprlib
from collections.abc import Callable, Iterable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

from dreamer_core.config import Config, WrapperConfig
from dreamer_core.errors import ConfigError, DreamerError, EnvError
from dreamer_core.senses import CHANNELS, SIDES

LARGEST = 1e15  # squares of larger numbers, summed over a buffer, are more than a float32 holds
SUITE = "dreamer_core.worlds"  # the module that registers the ids under dreamer/; gymnasium imports it when one is asked for
INTERFACE = "reset(seed, options) returns (observation, info), and step(action) (observation, reward, terminated, truncated, info)"
SHORT = reprlib.Repr()
SHORT.maxother = 80  # letters
NUMBERS = {1: np.float32, 3: np.uint8}  # what an observation is made of, by the number of its axes: a vector, a picture
THEIR_OWN = (Exception, SystemExit)  # what an environment may raise; a KeyboardInterrupt is the user's


def make_for(config: Config) -> gym.Env:
    """The environment of a run, as `make` makes it; one with discrete actions if the run's agent can choose among them.

    Raises:
        EnvError, ConfigError: as `make`, or because the actor asked for does not fit the actions.
    """
    can_choose, actor = config.agent == "dreamer" and config.actor_critic == "dreamerv3", config.dreamerv3.actor
    env = make(config.env, config.wrappers, discrete=can_choose)
    fitting, kind = ("categorical", "discrete") if is_discrete(env) else ("normal", "continuous")
    if config.agent == "sac" and len(env.observation_space.shape) == 3:
        close([env], warn=lambda sentence: None)
        raise ConfigError(f"{config.env} shows pictures, which SAC on real steps cannot read: leave agent at dreamer, whose model can")
    if can_choose and actor not in ("auto", fitting):
        close([env], warn=lambda sentence: None)
        raise ConfigError(f"dreamerv3.actor is {actor}, but the actions of {config.env} are {kind}: leave it at auto")
    return env


def is_discrete(env: gym.Env) -> bool:
    """Whether an environment made here has actions that are one of several: one-hot vectors.

    What lies inside does not tell: a wrapper of the user's own may have turned a Box into choices, or choices into a Box.
    """
    while isinstance(env, gym.Wrapper):
        if isinstance(env, OneHot):
            return True
        env = env.env
    return False


def make(name: str, config: WrapperConfig, discrete: bool = False, render_mode: str | None = None) -> gym.Env:
    """The environment `name` behind a `Guard`, with repeated actions, hidden entries and other units as configured.

    Args:
        discrete: whether Discrete actions are welcome too; they are taken as one-hot vectors then (`OneHot`).
        render_mode: as gymnasium's: "rgb_array" where its own pictures are wanted.

    Raises:
        EnvError: unknown id, missing optional package, spaces v1 does not handle, or an error of its own.
        ConfigError: `config.hide` names an observation that is not there.
    """
    try:
        # `Guard` checks what matters here, without warnings
        known = f"{SUITE}:{name}" if name.startswith("dreamer/") else name
        env = gym.make(known, disable_env_checker=True, **({"render_mode": render_mode} if render_mode else {}))
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise EnvError(f"{name} needs an optional package that is not installed: {first_line(error)}") from error
    except THEIR_OWN as error:
        if isinstance(error, gym.error.Error) and name.rpartition(":")[2] not in gym.registry:
            raise EnvError(f"there is no environment {name!r}: {first_line(error)}") from None
        raise EnvError(f"{name} could not be made, it raised {told(error)}: mend the environment") from error
    try:
        if discrete and isinstance(env.action_space, Discrete):
            env = OneHot(env)
        check_spaces(name, env)
        check_units(name, env, config)
        env = Guard(env, name)
        if config.action_repeat > 1:
            env = ActionRepeat(env, config.action_repeat)
        if config.hide:
            env = Hide(env, config.hide)
        other_units = (config.observation_scale, config.reward_scale, config.reward_offset) != (1, 1, 0)
        return Scaled(env, config) if other_units else env
    except BaseException:
        close([env], warn=lambda sentence: None)  # what is wrong with it is said already
        raise


def close(environments: Iterable[gym.Env], warn: Callable[[str], None]) -> None:
    """Close every environment; `warn` is called with a sentence for each that fails to."""
    for env in environments:
        try:
            env.close()
        except THEIR_OWN as error:
            name = env.spec.id if env.spec else env
            warn(f"{name} raised {told(error)} while it was closed: a process of its own may have been left behind")


def rescale(action: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The agent's action in [-1, 1] in the environment's own units, [low, high]; all (A,). -1 becomes low, 0 the middle, 1 high."""
    slope = 2 / (high - low)  # of the way back; dividing by it is gymnasium's own arithmetic (RescaleAction) to the last bit
    return (low + high) / 2 + action / slope


def first_line(error: BaseException) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".").replace("`", "")


def told(error: BaseException) -> str:
    """An error's name and what it says, in a few words."""
    return type(error).__name__ + (f" ({first_line(error)})" if str(error).strip() else "")


def short(value: Any) -> str:
    """A value in one short line."""
    return " ".join(SHORT.repr(value).split())


def check_spaces(name: str, env: gym.Env) -> None:
    """Turn away what v1 cannot handle.

    Raises:
        EnvError: saying what is not supported, and what to do about it.
    """
    try:
        observation, action = env.observation_space, env.action_space
    except THEIR_OWN as error:
        raise EnvError(f"{name} does not tell its spaces, it raised {told(error)}: mend the environment") from error
    register = "and register the wrapped environment under an id of its own"
    turn = f"wrap it with gymnasium.wrappers.TransformAction, which turns a flat, bounded Box into the action it wants, {register}"
    flatten = f"v1 reads one flat vector of numbers, so wrap it with gymnasium.wrappers.FlattenObservation first, {register}"
    choose = "or --preset dreamerv3, whose actor can choose, " if isinstance(action, Discrete) else ""
    if isinstance(action, (Discrete, MultiDiscrete, MultiBinary)):
        raise EnvError(
            f"{name} has discrete actions ({short(action)}), but v1's SAC is continuous: its actor is a squashed Gaussian and its gradient "
            f"runs through the action, so choose an environment with a bounded Box action, {choose}or {turn}"
        )
    if not isinstance(action, Box) or len(action.shape) != 1 or not np.issubdtype(action.dtype, np.floating):
        raise EnvError(f"{name} has the action space {short(action)}: v1 needs a flat, bounded Box of floating-point numbers, so {turn}")
    if action.shape == (0,):
        raise EnvError(f"{name} has the action space {short(action)} without a single entry: v1 needs at least one action to choose")
    bounds = np.array([action.low, action.high], float)
    if not np.isfinite(bounds).all():
        raise EnvError(
            f"{name} has infinite action bounds: tanh actions need a finite range, so give its Box a lowest and a highest value, or {turn}"
        )
    if np.abs(bounds).max() > LARGEST:
        raise EnvError(
            f"{name} has action bounds beyond {LARGEST:.0e} ({short(action)}), as good as none: tanh actions need a range, so {turn}"
        )
    if not isinstance(observation, Box):
        kind = (
            "dict observations, which are not supported yet"
            if isinstance(observation, Dict)
            else f"the observation space {short(observation)}"
        )
        raise EnvError(f"{name} has {kind}: {flatten}")
    if len(observation.shape) >= 2 and not is_picture(observation):
        raise EnvError(
            f"{name} has image observations of shape {observation.shape}, {observation.dtype}: v1 reads one picture of bytes (uint8) "
            f"a step, (32, 32, C) or (64, 64, C) with C = 1 or 3, and remembers by itself, so stack nothing, shrink a large one with "
            f"dreamer_core.worlds.pixels.Shrunk, or make a vector of a tiny one with gymnasium.wrappers.FlattenObservation, {register}"
        )
    if observation.shape in [(), (0,)]:
        raise EnvError(
            f"{name} has the observation space {short(observation)}: v1 reads one flat vector of numbers, with at least one entry"
        )


def is_picture(space: Box) -> bool:
    """Whether observations are pictures that the model can read: squares of bytes, grey or in colours, the channel last."""
    height, width, channels = space.shape if len(space.shape) == 3 else (0, 0, 0)
    return space.dtype == np.uint8 and height == width and height in SIDES and channels in CHANNELS


def check_units(name: str, env: gym.Env, config: WrapperConfig) -> None:
    """Turn away settings that speak of an observation's entries where it is a picture.

    Raises:
        ConfigError: naming the setting.
    """
    if len(env.observation_space.shape) == 3 and config.hide:
        raise ConfigError(f"wrappers.hide hides entries of a vector, but {name} shows pictures: leave it empty")
    if len(env.observation_space.shape) == 3 and config.observation_scale != 1:
        raise ConfigError(f"wrappers.observation_scale changes the units of a vector, but {name} shows pictures of bytes: leave it at 1")


def numbers(value: Any) -> np.ndarray | None:
    """A value as an array of real numbers; None if it is something else: text, objects, complex numbers, lists of unequal length."""
    try:
        array = np.asarray(value)
    except Exception:  # whatever stands in the way of being an array
        return None
    return array if array.dtype.kind in "biuf" else None


class Guard(gym.Wrapper):
    """Between agent and environment: actions in [-1, 1] go in rescaled, observations come out as float32 (pictures as bytes),
    rewards as plain floats.

    Stops at the first thing that cannot be learned from, and says where it came up: the place is
    given as a step of an episode and that episode's reset seed, so that it can be found again
    without the agent. What comes out is copied, so an environment may go on writing into its own
    arrays, and into the action that it was given.
    """

    def __init__(self, env: gym.Env, name: str) -> None:
        super().__init__(env)
        self.name, self.steps, self.seed = name, 0, None
        self.own = env.action_space.dtype
        self.low, self.high = (
            bound.astype(np.result_type(self.own, np.float32)) for bound in (env.action_space.low, env.action_space.high)
        )
        self.action_space = Box(-1, 1, self.low.shape, self.own)
        space, self.kept = env.observation_space, NUMBERS[len(env.observation_space.shape)]
        with np.errstate(over="ignore"):  # a bound beyond float32, or one that is no number, is no bound
            low, high = np.where(np.isnan(space.low), -np.inf, space.low), np.where(np.isnan(space.high), np.inf, space.high)
            self.observation_space = Box(low.astype(self.kept), high.astype(self.kept), dtype=self.kept)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.steps, self.seed = 0, seed
        returned = self._ask("reset", lambda: self.env.reset(seed=seed, options=options))
        if returned is None:
            self._refuse("nothing from reset", f"end it with return observation, info, since in gymnasium {INTERFACE}")
        if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict)):
            self._refuse(f"{short(returned)} from reset", f"it was written for another version of gymnasium, where {INTERFACE}")
        return self._observation(returned[0]), returned[1]

    def step(self, action):
        self.steps += 1
        if not np.isfinite(action).all():
            raise EnvError(f"the agent chose the action {action} at {self._place()}: its learning has diverged, so lower a learning rate")
        with np.errstate(divide="ignore"):  # where both bounds are one number, it is the only action
            inside = np.clip(rescale(action, self.low, self.high), self.low, self.high)  # a rounding may have led out
        given = inside.astype(self.own)  # a new array at each step, which the environment may write into
        returned = self._ask("step", lambda: self.env.step(given))
        if returned is None:
            self._refuse(
                "nothing from step", f"end it with return observation, reward, terminated, truncated, info, since in gymnasium {INTERFACE}"
            )
        if not (isinstance(returned, tuple) and len(returned) == 5):
            self._refuse(f"{short(returned)} from step", f"in gymnasium {INTERFACE}")
        observation, reward, terminated, truncated, info = returned
        return (
            self._observation(observation),
            self._reward(reward),
            self._flag("terminated", terminated),
            self._flag("truncated", truncated),
            info,
        )

    def _ask(self, method: str, question: Callable[[], Any]) -> Any:
        """What the environment answers, or one sentence about the error it raises."""
        try:
            return question()
        except DreamerError:
            raise
        except THEIR_OWN as error:
            advice = f"in gymnasium {INTERFACE}" if isinstance(error, (TypeError, ValueError)) and in_gymnasium(error) else "mend it"
            raise EnvError(f"{self.name} raised {told(error)} in its {method} at {self._place()}: {advice}") from error

    def _observation(self, value: Any) -> np.ndarray:
        array = numbers(value)
        if array is None:
            self._refuse(f"{short(value)} as the observation (it must be an array of real numbers)")
        if array.shape != self.observation_space.shape:
            self._refuse(f"an observation of shape {array.shape} where its space says {self.observation_space.shape}")
        wrong = np.flatnonzero(~(np.abs(array.astype(float)) <= LARGEST))  # also finds nan
        if len(wrong):
            self._refuse(f"{array[wrong[0]]} as entry {wrong[0]} of the observation")
        kept = array.astype(self.kept)  # a copy in any case
        if self.kept == np.uint8 and not np.array_equal(kept, array):
            self._refuse(f"a picture of type {array.dtype} that does not consist of bytes")
        return kept

    def _reward(self, value: Any) -> float:
        array = numbers(value)
        if array is None or array.shape != ():
            self._refuse(f"{short(value)} as the reward (it must be one real number)")
        if not abs(reward := float(array)) <= LARGEST:
            self._refuse(f"{reward} as the reward")
        return reward

    def _flag(self, name: str, value: Any) -> bool:
        array = numbers(value)
        if array is None or array.shape != () or array not in (0, 1):
            self._refuse(f"{short(value)} as {name} (it must be True or False)")
        return bool(array)

    def _refuse(self, what: str, advice: str = "nothing can be learned from that, so mend the environment") -> None:
        raise EnvError(f"{self.name} returned {what} at {self._place()}: {advice}")

    def _place(self) -> str:
        return f"step {self.steps} of the episode with reset seed {self.seed}"


def in_gymnasium(error: BaseException) -> bool:
    """Whether gymnasium's own wrappers stumbled over what an environment takes or returns."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    return trace.tb_frame.f_globals.get("__name__", "").startswith(("gymnasium.core", "gymnasium.wrappers"))


class OneHot(gym.ActionWrapper):
    """Discrete actions as vectors with an entry for each: the largest entry is chosen."""

    def __init__(self, env: gym.Env) -> None:
        super().__init__(env)
        self.start = env.action_space.start
        self.action_space = Box(0, 1, (int(env.action_space.n),), np.float32)

    def action(self, action):
        return self.start + np.argmax(action)


class ActionRepeat(gym.Wrapper):
    """Applies each action several times and sums the rewards; an age told to `reset` counts chosen actions, as whoever acts does."""

    def __init__(self, env: gym.Env, times: int) -> None:
        super().__init__(env)
        self.times = times

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        if options and "age" in options:
            options = options | {"age": self.times * options["age"]}
        return self.env.reset(seed=seed, options=options)

    def step(self, action):
        total = 0.0
        for _ in range(self.times):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += reward
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class Hide(gym.ObservationWrapper):
    """Removes entries of the observation, so that the agent has to remember."""

    def __init__(self, env: gym.Env, entries: tuple[int, ...]) -> None:
        super().__init__(env)
        size = env.observation_space.shape[0]
        if max(entries) >= size:
            raise ConfigError(f"wrappers.hide names entry {max(entries)}, but the observation has entries 0 to {size - 1}")
        self.keep = np.setdiff1d(np.arange(size), entries)
        if len(self.keep) == 0:
            raise ConfigError("wrappers.hide hides the whole observation: leave at least one entry")
        self.observation_space = Box(env.observation_space.low[self.keep], env.observation_space.high[self.keep], dtype=np.float32)

    def observation(self, observation):
        return observation[self.keep]


class Scaled(gym.Wrapper):
    """The same world in other units; `info["own_reward"]` keeps the reward in the world's own."""

    def __init__(self, env: gym.Env, config: WrapperConfig) -> None:
        super().__init__(env)
        self.config, self.factor = config, np.float32(config.observation_scale)
        space = env.observation_space
        self.observation_space = Box(self._seen(space.low), self._seen(space.high), dtype=space.dtype)

    def _seen(self, observation: np.ndarray) -> np.ndarray:
        return (self.factor * observation).astype(observation.dtype)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        observation, info = self.env.reset(seed=seed, options=options)
        return self._seen(observation), info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        scaled = self.config.reward_scale * reward + self.config.reward_offset
        return self._seen(observation), scaled, terminated, truncated, info | {"own_reward": reward}


def own_reward(reward: Any, config: WrapperConfig) -> Any:
    """Rewards that `Scaled` gave, numbers or an array or a tensor of them, in the world's own units again."""
    return (reward - config.reward_offset) / config.reward_scale


def reset(env: gym.Env, seed: int, age: int) -> np.ndarray:
    """The first observation (O,) of an episode; a world that changes with its `age` (`ages = True`) is told it, in steps of `env`."""
    ages = getattr(env.unwrapped, "ages", False)
    return env.reset(seed=seed, options={"age": age} if ages else None)[0]

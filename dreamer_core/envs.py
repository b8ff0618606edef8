"""Gymnasium environments as the agent wants them: float32 vectors in, actions in [-1, 1] out.

Any environment with a flat Box observation and a bounded Box action works unchanged. Everything
else is turned away with one sentence.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete

from dreamer_core.config import WrapperConfig
from dreamer_core.errors import ConfigError, EnvError


def make(name: str, config: WrapperConfig) -> gym.Env:
    """The environment `name` with checks, repeated and rescaled actions, and a float32 observation.

    Raises:
        EnvError: unknown id, missing optional package, or spaces v1 does not handle.
        ConfigError: `config.hide` names an observation that is not there.
    """
    try:
        env = gym.make(name)
    except gym.error.DependencyNotInstalled as error:
        raise EnvError(
            f"{name} needs an optional package that is not installed ({first_sentence(error)}): "
            f"for MuJoCo tasks run pip install -e '.[mujoco]'"
        ) from None
    except (gym.error.UnregisteredEnv, gym.error.DeprecatedEnv, gym.error.Error) as error:
        raise EnvError(f"there is no environment {name!r}: {first_sentence(error)}") from None
    except ImportError as error:
        raise EnvError(f"{name} needs a package that is not installed: {first_sentence(error)}") from None
    check_spaces(name, env.observation_space, env.action_space)
    env = Guard(env, name)
    if config.action_repeat > 1:
        env = ActionRepeat(env, config.action_repeat)
    env = gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))
    env = UnitScale(env, config.unit_scale)
    return Hide(env, config.hide) if config.hide else env


def first_sentence(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".").replace("`", "")


def check_spaces(name: str, observation: gym.Space, action: gym.Space) -> None:
    """Raise an `EnvError` that says what v1 cannot handle, and what it can."""
    if isinstance(action, (Discrete, MultiDiscrete, MultiBinary)):
        raise EnvError(
            f"{name} has discrete actions ({action}), but v1's SAC is continuous: its actor is a squashed "
            f"Gaussian and its gradient runs through the action, so choose an environment with a bounded Box action"
        )
    if not isinstance(action, Box) or len(action.shape) != 1:
        raise EnvError(f"{name} has the action space {action}: v1 needs a flat, bounded Box")
    if not (np.isfinite(action.low).all() and np.isfinite(action.high).all()):
        raise EnvError(
            f"{name} has infinite action bounds: tanh actions need a finite range, so wrap the environment "
            f"with gymnasium.wrappers.RescaleAction or clip its action space first"
        )
    if isinstance(observation, Dict):
        raise EnvError(
            f"{name} has dict observations, which are not supported yet: v1 reads one flat vector of numbers, "
            f"so wrap it with gymnasium.wrappers.FlattenObservation first"
        )
    if isinstance(observation, Box) and len(observation.shape) >= 2:
        raise EnvError(
            f"{name} has image observations of shape {observation.shape}, which are not supported yet: "
            f"v1 reads one flat vector of numbers"
        )
    if not isinstance(observation, Box) or len(observation.shape) != 1:
        raise EnvError(f"{name} has the observation space {observation}: v1 reads one flat vector of numbers (a Box)")


class Guard(gym.Wrapper):
    """Stops at the first observation or reward that is not a finite number, and says where."""

    def __init__(self, env: gym.Env, name: str) -> None:
        super().__init__(env)
        self.name, self.steps = name, 0

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        self._check("observation", observation)
        return observation, info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.steps += 1
        self._check("observation", observation)
        self._check("reward", reward)
        return observation, reward, terminated, truncated, info

    def _check(self, field: str, value) -> None:
        value = np.atleast_1d(np.asarray(value, np.float64))
        if not np.isfinite(value).all():
            at = int(np.flatnonzero(~np.isfinite(value))[0])
            entry = f"entry {at} of the observation" if field == "observation" else "the reward"
            raise EnvError(
                f"{self.name} returned {value[at]} as {entry} at environment step {self.steps}: "
                f"nothing can be learned from that, so mend the environment"
            )


class ActionRepeat(gym.Wrapper):
    """Applies each action several times and sums the rewards."""

    def __init__(self, env: gym.Env, times: int) -> None:
        super().__init__(env)
        self.times = times

    def step(self, action):
        total = 0.0
        for _ in range(self.times):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


class UnitScale(gym.ObservationWrapper):
    """float32 observations, the bounded ones mapped linearly to [-1, 1].

    v1 trains its decoder on plain squared error, so the units decide what the model attends to:
    Pendulum's raw velocity (up to 8) would outweigh its angle (cos, sin up to 1) sixty-fold.
    """

    def __init__(self, env: gym.Env, enabled: bool) -> None:
        super().__init__(env)
        low, high = (bound.astype(np.float32) for bound in (env.observation_space.low, env.observation_space.high))
        bounded = np.isfinite(low) & np.isfinite(high) & (high > low) & enabled
        with np.errstate(invalid="ignore", over="ignore"):
            self.centre = np.where(bounded, (low + high) / 2, 0).astype(np.float32)
            self.scale = np.where(bounded, (high - low) / 2, 1).astype(np.float32)
            self.observation_space = Box((low - self.centre) / self.scale, (high - self.centre) / self.scale, dtype=np.float32)

    def observation(self, observation):
        return ((observation - self.centre) / self.scale).astype(np.float32)


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

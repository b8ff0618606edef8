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
        env = gym.make(name, disable_env_checker=True)  # `Guard` checks what matters here, without warnings
    except (gym.error.DependencyNotInstalled, ImportError) as error:
        raise EnvError(f"{name} needs an optional package that is not installed: {first_line(error)}") from None
    except gym.error.Error as error:
        raise EnvError(f"there is no environment {name!r}: {first_line(error)}") from None
    check_spaces(name, env.observation_space, env.action_space)
    env = Guard(env, name)
    if config.action_repeat > 1:
        env = ActionRepeat(env, config.action_repeat)
    low, high = env.action_space.low, env.action_space.high
    unit = Box(-1, 1, low.shape, env.action_space.dtype)
    env = gym.wrappers.TransformAction(env, lambda action: rescale(action, low, high), unit)
    space = env.observation_space
    space = Box(space.low.astype(np.float32), space.high.astype(np.float32))
    env = gym.wrappers.TransformObservation(env, lambda observation: np.asarray(observation, np.float32), space)
    return Hide(env, config.hide) if config.hide else env


def rescale(action: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The agent's action in [-1, 1] in the environment's own units, [low, high]; all (A,). -1 becomes low, 0 the middle, 1 high."""
    slope = 2 / (high - low)  # of the way back; dividing by it is gymnasium's own arithmetic (RescaleAction) to the last bit
    return (low + high) / 2 + action / slope


def first_line(error: Exception) -> str:
    """The first line of an error's text, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".").replace("`", "")


def check_spaces(name: str, observation: gym.Space, action: gym.Space) -> None:
    """Turn away what v1 cannot handle.

    Raises:
        EnvError: saying what is not supported, and what is.
    """
    if isinstance(action, (Discrete, MultiDiscrete, MultiBinary)):
        raise EnvError(
            f"{name} has discrete actions ({action}), but v1's SAC is continuous: its actor is a squashed "
            f"Gaussian and its gradient runs through the action, so choose an environment with a bounded Box action"
        )
    if not isinstance(action, Box) or len(action.shape) != 1 or not np.issubdtype(action.dtype, np.floating):
        raise EnvError(f"{name} has the action space {action}: v1 needs a flat, bounded Box of floating-point numbers")
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
            f"{name} has image observations of shape {observation.shape}, which are not supported yet: v1 reads one flat vector of numbers"
        )
    if not isinstance(observation, Box) or len(observation.shape) != 1:
        raise EnvError(f"{name} has the observation space {observation}: v1 reads one flat vector of numbers (a Box)")


class Guard(gym.Wrapper):
    """Stops at the first number that cannot be learned from, and says where it came up.

    The place is given as a step of an episode and that episode's reset seed, so that it can be
    found again without the agent. Rewards leave as plain floats.
    """

    def __init__(self, env: gym.Env, name: str) -> None:
        super().__init__(env)
        self.name, self.steps, self.seed = name, 0, None

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.steps, self.seed = 0, seed
        observation, info = self.env.reset(seed=seed, options=options)
        self._check_observation(observation)
        return observation, info

    def step(self, action):
        self.steps += 1
        if not np.isfinite(action).all():
            raise EnvError(f"the agent chose the action {action} at {self._place()}: its learning has diverged, so lower a learning rate")
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._check_observation(observation)
        reward = float(reward)
        if not np.isfinite(reward):
            self._refuse(f"{reward} as the reward")
        return observation, reward, bool(terminated), bool(truncated), info

    def _check_observation(self, observation) -> None:
        if np.shape(observation) != self.observation_space.shape:
            self._refuse(f"an observation of shape {np.shape(observation)} where its space says {self.observation_space.shape}")
        wrong = np.flatnonzero(~np.isfinite(observation))
        if len(wrong):
            self._refuse(f"{observation[wrong[0]]} as entry {wrong[0]} of the observation")

    def _refuse(self, what: str) -> None:
        raise EnvError(f"{self.name} returned {what} at {self._place()}: nothing can be learned from that, so mend the environment")

    def _place(self) -> str:
        return f"step {self.steps} of the episode with reset seed {self.seed}"


class ActionRepeat(gym.Wrapper):
    """Applies each action several times and sums the rewards."""

    def __init__(self, env: gym.Env, times: int) -> None:
        super().__init__(env)
        self.times = times

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

"""A pendulum beside channels of noise that mean nothing.

What it demands: to leave out. Each channel is smooth enough to be foretold a few steps ahead, so
reconstruction spends the latent's capacity on it, although no reward depends on it.

Every channel is n' = 0.9 n + 0.1 * 5 u with u uniform in [-1, 1]: stationary, bounded by 5, nearly
Gaussian with a standard deviation of 0.66 (the pendulum's cosine and sine have 0.7), and forgotten
in some ten steps.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from dreamer_core.worlds.pendulum import NAMES, PLANE, REACH, UNITS, Pendulum, observe, pendulum_scene
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Line, Scene

KEPT, BOUND = 0.9, 5.0
PAST = (1 - KEPT) * KEPT ** np.arange(200)  # weights of the last 200 steps, all that counts in float32


class Distractors(Pendulum):
    """Pendulum-v1 with `distractors` channels of noise after its three observations: (3 + distractors,). 200 steps."""

    def __init__(self, distractors: int = 8) -> None:
        super().__init__()
        self.distractors = distractors
        self.names = NAMES + tuple(f"noise {number}" for number in range(1, distractors + 1))
        self.units = UNITS + ("",) * distractors
        high = np.append(self.observation_space.high, np.full(distractors, BOUND, np.float32))
        self.observation_space = Box(-high, high)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        observation, info = super().reset(seed=seed, options=options)
        self.noise = PAST @ self._fresh(len(PAST))
        return self._beside(observation), info

    def step(self, action: np.ndarray):
        observation, *rest = super().step(action)
        self.noise = KEPT * self.noise + (1 - KEPT) * self._fresh(1)[0]
        return self._beside(observation), *rest

    def _fresh(self, steps: int) -> np.ndarray:
        return self.np_random.uniform(-BOUND, BOUND, (steps, self.distractors))

    def _beside(self, observation: np.ndarray) -> np.ndarray:
        return np.append(observation, self.noise).astype(np.float32)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (3 + distractors,) looks like: the pendulum, and beside it a bar for each channel."""
        (left, bottom, right, top), parts = pendulum_scene(observation[:3])
        places = np.linspace(REACH + 0.2, REACH + 1.2, self.distractors)
        seen = [(float(x), float(n) / 2) for x, n in zip(places, observation[3:]) if not np.isnan(n)]
        bars = [Line(x, 0, x, height, "mark", 3) for x, height in seen]
        return Scene((left, bottom, REACH + 1.4, top), (*parts, *bars))

    def plane(self) -> Plane:
        """The pendulum's angle and velocity; of the noise the plane says nothing."""
        return PLANE._replace(observation=None, before=None, state=self._put)

    @staticmethod
    def _put(env: gym.Env, place: np.ndarray) -> np.ndarray:
        own = env.unwrapped
        own.state = np.array(place, float)
        return own._beside(observe(own.state))

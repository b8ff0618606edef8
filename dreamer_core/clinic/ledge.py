"""A puck on a table, paid for being near the edge: the patients' world in which an episode can truly end.

In one step of 0.1 s

    velocity' = 0.9 velocity + 0.3 push,     position' = position + 0.1 velocity'
    reward'   = 1 + position'

and whoever is beyond either edge, at -1 m or 1 m, has fallen: the episode is over, and nothing more is paid.
So it pays to go as near to the right edge as one dares, and to stay. An agent that ignores ends runs over it.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from dreamer_core.worlds.levers import Lever
from dreamer_core.worlds.scene import Circle, Line, Rectangle, Scene

DT, KEPT, PUSH, EDGE = 0.1, 0.9, 0.3, 1.0
FASTEST = PUSH / (1 - KEPT)  # m/s, under a push for ever
FURTHEST = EDGE + DT * FASTEST  # m: where one can be on the row that has just fallen


class Ledge(gym.Env):
    """100 steps at most, from rest near the middle. Observation (2,): position in m, velocity in m/s. Action (1,): push, [-1, 1]."""

    metadata = {"render_modes": []}
    names, units = ("position", "velocity"), ("m", "m/s")
    seconds = DT
    levers = (Lever("push"),)
    action_space = Box(-1.0, 1.0, (1,))
    observation_space = Box(np.float32([-FURTHEST, -FASTEST]), np.float32([FURTHEST, FASTEST]))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.position, self.velocity = float(self.np_random.uniform(-0.5, 0.5)), 0.0
        return self._look(), {}

    def step(self, action: np.ndarray):
        self.velocity = KEPT * self.velocity + PUSH * float(np.clip(action[0], -1, 1))
        self.position += DT * self.velocity
        return self._look(), 1 + self.position, abs(self.position) > EDGE, False, {}

    def _look(self) -> np.ndarray:
        return np.array([self.position, self.velocity], np.float32)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (2,) looks like: the table, its edges, and the puck on it."""
        position, _ = map(float, observation)
        table = Rectangle(-EDGE, -0.2, EDGE, 0.0)
        edges = [Line(side, -0.2, side, 0.3, "mark") for side in (-EDGE, EDGE)]
        return Scene((-1.4, -0.5, 1.4, 0.6), (table, *edges, Circle(position, 0.1, 0.1)))


gym.register("Ledge-v0", Ledge, max_episode_steps=100)

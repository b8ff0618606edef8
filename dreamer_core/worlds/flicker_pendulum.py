"""A pendulum that is seen only half of the time.

What it demands: belief. The blank observation says nothing, so that a state must be carried along
by the model: where the pendulum is, and how fast, given what was seen last and what was done since.

Source of the idea: Hausknecht and Stone, Deep Recurrent Q-Learning for Partially Observable MDPs, arXiv 1507.06527.
"""

import numpy as np

from dreamer_core.worlds.pendulum import PLANE, Pendulum, pendulum_scene, place
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Scene, Text

BLANK = 0.2  # rod lengths: what is shorter is taken for a blank


class FlickerPendulum(Pendulum):
    """Pendulum-v1, each of whose observations, the first too, is blank (three zeros) with probability `blank`. 200 steps.

    No pendulum is where cosine and sine are both 0, so that a blank is known for one.
    """

    def __init__(self, blank: float = 0.5) -> None:
        super().__init__()
        self.blank = blank

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        observation, info = super().reset(seed=seed, options=options)
        return self._flicker(observation), info

    def step(self, action: np.ndarray):
        observation, *rest = super().step(action)
        return self._flicker(observation), *rest

    def _flicker(self, observation: np.ndarray) -> np.ndarray:
        return observation * np.float32(self.np_random.random() >= self.blank)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (3,) looks like; a blank one is called so."""
        if not np.hypot(*observation[:2]) <= BLANK:  # so what is hidden is not taken for a blank
            return pendulum_scene(observation)
        view, parts = pendulum_scene(observation)
        return Scene(view, (parts[0], Text(0, 0.4, "blank", "mark")))

    def plane(self) -> Plane:
        """The pendulum's angle and velocity; a blank has no place."""
        return PLANE._replace(place=lambda seen: np.where(np.hypot(seen[..., :1], seen[..., 1:2]) <= BLANK, np.nan, place(seen)))

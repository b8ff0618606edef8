"""A pendulum that is paid for standing upright, and for nothing else.

What it demands: credit over time. On the way up nothing tells good from bad, and rewards are of two
kinds, 0 and 1, which a model of the mean alone cannot tell from one half.
"""

import numpy as np

from dreamer_core.worlds.pendulum import Pendulum

UPRIGHT = np.radians(15)  # to either side


def upright(angle: np.ndarray) -> np.ndarray:
    """Whether angles in radians, 0 at the top, lie within 15 degrees of it."""
    return np.cos(angle) >= np.cos(UPRIGHT)


class SparsePendulum(Pendulum):
    """Pendulum-v1 with the reward 1 that arrives with an observation of less than 15 degrees from upright, else 0. 200 steps."""

    def step(self, action: np.ndarray):
        observation, _, terminated, truncated, info = super().step(action)
        return observation, float(upright(self.state[0])), terminated, truncated, info

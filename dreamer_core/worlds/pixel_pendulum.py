"""Pendulum-v1 seen as one picture a step, 32 x 32 pixels of grey.

What it demands: to see, and to remember. Nobody says where the rod is, nor even that there is one; and its
velocity is in no picture, so the model must carry it along from one to the next.
"""

import numpy as np

from dreamer_core.worlds.pendulum import Pendulum, pendulum_scene
from dreamer_core.worlds.pixels import PixelWorld
from dreamer_core.worlds.scene import Scene


class PixelPendulum(PixelWorld, Pendulum):
    """Pendulum-v1 with pictures (32, 32, 1) for observations, in which the bar of the velocity is missing. 200 steps."""

    def picture(self, observation: np.ndarray) -> Scene:
        return pendulum_scene(observation[:2])

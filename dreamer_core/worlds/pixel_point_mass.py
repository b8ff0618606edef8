"""PointMass seen as one picture a step, 32 x 32 pixels of grey: the room, its wall, the goal and the point.

What it demands: to see something small. The point covers some seven of the 1,024 pixels, and everything else never moves. (It is drawn
larger than PointMass draws itself; how it moves and where it stops is the same.)
"""

import numpy as np

from dreamer_core.worlds.pixels import PixelWorld
from dreamer_core.worlds.point_mass import PointMass
from dreamer_core.worlds.scene import Circle, Scene

RADIUS = 0.1  # m


class PixelPointMass(PixelWorld, PointMass):
    """PointMass with pictures (32, 32, 1) for observations. 100 steps."""

    def picture(self, observation: np.ndarray) -> Scene:
        view, parts = super().picture(observation)
        return Scene(view, tuple(part._replace(radius=RADIUS) if isinstance(part, Circle) else part for part in parts))

"""PointMass seen as one picture a step, 32 x 32 pixels of grey: the room, its wall, the goal and the point.

What it demands: to see something small. The point covers three or four of the 1,024 pixels, and everything else never moves.
"""

from dreamer_core.worlds.pixels import PixelWorld
from dreamer_core.worlds.point_mass import PointMass


class PixelPointMass(PixelWorld, PointMass):
    """PointMass with pictures (32, 32, 1) for observations. 100 steps."""

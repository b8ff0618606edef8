"""What gymnasium's Pendulum and the worlds made of it have in common: names, units, and the drawing of an observation.

The angle is 0 upright and grows counter-clockwise, as in gymnasium's own picture.
"""

import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from dreamer_core.worlds.scene import Circle, Line, Scene

NAMES, UNITS = ("cos θ", "sin θ", "velocity"), ("", "", "rad/s")
FASTEST = 8.0  # rad/s
REACH = 1.35  # half the width of the drawing, in rod lengths


def pendulum_scene(observation: np.ndarray) -> Scene:
    """A pendulum from (O,) cosine, sine and, where it is there, velocity: the rod, and under it how fast it turns.

    A decoder need not stay on the circle: the rod is drawn as long as it says.
    """
    cosine, sine = map(float, observation[:2])
    parts = [Circle(0, 0, 1, "fixed", filled=False), Line(0, 0, -sine, cosine), Circle(0, 0, 0.06, "fixed")]
    for velocity in observation[2:3]:  # a bar to the left turns the rod to the left
        parts.append(Line(0, -1.22, -float(velocity) / FASTEST, -1.22, "mark", width=4))
    return Scene((-REACH, -REACH, REACH, REACH), tuple(parts))


class Pendulum(PendulumEnv):
    """gymnasium's Pendulum-v1: 200 steps of 0.05 s, reward -(θ² + 0.1 velocity² + 0.001 torque²), torque in [-2, 2] N m.

    The observation is cos θ, sin θ and the velocity in rad/s. It is drawn by `scene` alone, without pygame.
    """

    metadata = {"render_modes": []}
    names, units = NAMES, UNITS

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (O,) looks like."""
        return pendulum_scene(observation)

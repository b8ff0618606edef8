"""What gymnasium's Pendulum and the worlds made of it have in common: names, units, and the drawing of an observation.

The angle is 0 upright and grows counter-clockwise, as in gymnasium's own picture.
"""

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from dreamer_core.worlds.levers import Lever
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Circle, Line, Scene

NAMES, UNITS = ("cos θ", "sin θ", "velocity"), ("", "", "rad/s")
FASTEST, STEP, GRAVITY = 8.0, 0.05, 10.0  # rad/s, s, m/s²; the rod is 1 m long
REACH = 1.35  # half the width of the drawing, in rod lengths


def pendulum_scene(observation: np.ndarray) -> Scene:
    """A pendulum from (O,) cosine, sine and, where it is there and known, velocity: the rod, and under it how fast it turns.

    A decoder need not stay on the circle: the rod is drawn as long as it says.
    """
    cosine, sine = map(float, observation[:2])
    parts = [Circle(0, 0, 1, "fixed", filled=False), Line(0, 0, -sine, cosine), Circle(0, 0, 0.06, "fixed")]
    for velocity in observation[2:3][~np.isnan(observation[2:3])]:  # a bar to the left turns the rod to the left
        parts.append(Line(0, -1.22, -float(velocity) / FASTEST, -1.22, "mark", width=4))
    return Scene((-REACH, -REACH, REACH, REACH), tuple(parts))


def angle(observation: np.ndarray) -> np.ndarray:
    """Where the rod points, in radians: (..., O) -> (...) in (-pi, pi], 0 upright, growing counter-clockwise."""
    return np.arctan2(observation[..., 1], observation[..., 0])


def place(observation: np.ndarray) -> np.ndarray:
    """Angle in (-pi, pi] and velocity (..., 2) of observations (..., O) that begin with cosine, sine and velocity."""
    return np.stack([angle(observation), observation[..., 2]], -1)


def observe(place: np.ndarray) -> np.ndarray:
    """The way back: (..., 2) -> (..., 3)."""
    return np.stack([np.cos(place[..., 0]), np.sin(place[..., 0]), place[..., 1]], -1)


def put(env: gym.Env, place: np.ndarray) -> np.ndarray:
    """Put a pendulum at (angle, velocity); returns the observation (3,) from there."""
    env.unwrapped.state = np.array(place, float)
    return observe(np.asarray(place, float))


def rewind(place: np.ndarray) -> np.ndarray:
    """Where (..., 2) a pendulum was one step earlier, had no torque been applied: the inverse of its step within the speed limit."""
    before = place[..., 0] - place[..., 1] * STEP
    return np.stack([before, place[..., 1] - 3 * GRAVITY / 2 * np.sin(before) * STEP], -1)


PLANE = Plane(
    names=("angle", "velocity"),
    units=("rad", "rad/s"),
    low=(-np.pi, -FASTEST),
    high=(np.pi, FASTEST),
    periodic=(True, False),
    place=place,
    observation=observe,
    state=put,
    before=rewind,
)


class Pendulum(PendulumEnv):
    """gymnasium's Pendulum-v1: 200 steps of 0.05 s, reward -(θ² + 0.1 velocity² + 0.001 torque²), torque in [-2, 2] N m.

    The observation is cos θ, sin θ and the velocity in rad/s. It is drawn by `scene` alone, without pygame.
    """

    metadata = {"render_modes": []}
    names, units, seconds = NAMES, UNITS, STEP
    levers = (Lever("torque", "N·m", turns=True),)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (O,) looks like."""
        return pendulum_scene(observation)

    def plane(self) -> Plane:
        """Angle and velocity, which say all there is."""
        return PLANE

"""What gymnasium's Pendulum and the worlds made of it have in common: names, units, and the drawing of an observation.

The angle is 0 upright and grows counter-clockwise, as in gymnasium's own picture.
"""

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv

from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Circle, Line, Scene

NAMES, UNITS = ("cos θ", "sin θ", "velocity"), ("", "", "rad/s")
FASTEST, STEP = 8.0, 0.05  # rad/s, s
REACH = 1.35  # half the width of the drawing, in rod lengths
BLANK = 0.2  # rod lengths: shorter than this it is no pendulum


def pendulum_scene(observation: np.ndarray) -> Scene:
    """A pendulum from (O,) cosine, sine and, where it is there and known, velocity: the rod, and under it how fast it turns.

    A decoder need not stay on the circle: the rod is drawn as long as it says.
    """
    cosine, sine = map(float, observation[:2])
    parts = [Circle(0, 0, 1, "fixed", filled=False), Line(0, 0, -sine, cosine), Circle(0, 0, 0.06, "fixed")]
    for velocity in observation[2:3][~np.isnan(observation[2:3])]:  # a bar to the left turns the rod to the left
        parts.append(Line(0, -1.22, -float(velocity) / FASTEST, -1.22, "mark", width=4))
    return Scene((-REACH, -REACH, REACH, REACH), tuple(parts))


def place(observation: np.ndarray) -> np.ndarray:
    """Angle in [-pi, pi] and velocity (..., 2) of observations (..., O) that begin with cosine, sine and velocity.

    NaN where there is no pendulum: where cosine and sine are both about 0.
    """
    cosine, sine, velocity = np.moveaxis(observation[..., :3], -1, 0)
    seen = np.where(np.hypot(cosine, sine) > BLANK, 1.0, np.nan)
    return np.stack([np.arctan2(sine, cosine) * seen, velocity * seen], -1)


def observe(place: np.ndarray) -> np.ndarray:
    """The way back: (..., 2) -> (..., 3)."""
    return np.stack([np.cos(place[..., 0]), np.sin(place[..., 0]), place[..., 1]], -1)


def put(env: gym.Env, place: np.ndarray) -> np.ndarray:
    """Put a pendulum at (angle, velocity); returns the observation (3,) from there."""
    env.unwrapped.state = np.array(place, float)
    return observe(np.asarray(place, float))


PLANE = Plane(
    names=("angle", "velocity"),
    units=("rad", "rad/s"),
    low=(-np.pi, -FASTEST),
    high=(np.pi, FASTEST),
    periodic=(True, False),
    place=place,
    observation=observe,
    state=put,
)


class Pendulum(PendulumEnv):
    """gymnasium's Pendulum-v1: 200 steps of 0.05 s, reward -(θ² + 0.1 velocity² + 0.001 torque²), torque in [-2, 2] N m.

    The observation is cos θ, sin θ and the velocity in rad/s. It is drawn by `scene` alone, without pygame.
    """

    metadata = {"render_modes": []}
    names, units, seconds = NAMES, UNITS, STEP

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (O,) looks like."""
        return pendulum_scene(observation)

    def plane(self) -> Plane:
        """Angle and velocity, which say all there is."""
        return PLANE

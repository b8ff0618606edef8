"""How some of gymnasium's own worlds look, which do not say so themselves.

Each is drawn from an observation alone. So what a model dreams of is drawn alike, and no renderer is
needed: neither pygame nor MuJoCo. Numbers are those of gymnasium's files (1.x).
"""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core.worlds import pendulum
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Circle, Line, Rectangle, Scene

STRIPES = 24  # straight pieces of the hill


class Portrait(NamedTuple):
    """What a world says about the observations it gives, (O,): what their entries are, and how they look."""

    names: tuple[str, ...]  # O of them
    units: tuple[str, ...]  # O of them; "" where there is none
    scene: Callable[[np.ndarray], Scene] | None  # None: bars
    plane: Plane | None
    seconds: float | None  # of one step


# --- MountainCar ------------------------------------------------------------------------------------

LEFT_END, RIGHT_END, TOP_SPEED = -1.2, 0.6, 0.07


def hill(x: np.ndarray | float) -> np.ndarray | float:
    """The height of the hill at x, as gymnasium draws it."""
    return 0.45 * np.sin(3 * x) + 0.55


def mountain_car_scene(goal: float) -> Callable[[np.ndarray], Scene]:
    """How (position, velocity) look where the flag stands at `goal`: the hill, the flag and the car."""
    x = np.linspace(LEFT_END, RIGHT_END, STRIPES + 1)
    ground = [Line(*map(float, ends), "fixed", 1.5) for ends in zip(x[:-1], hill(x[:-1]), x[1:], hill(x[1:]))]
    foot = float(hill(goal))
    flag = Line(goal, foot, goal, foot + 0.22, "mark", 2), Rectangle(goal, foot + 0.14, goal + 0.11, foot + 0.22, "mark")

    def scene(observation: np.ndarray) -> Scene:
        position = float(observation[0])
        tilt = np.arctan(1.35 * np.cos(3 * position))  # of the hill
        along, across = np.array([np.cos(tilt), np.sin(tilt)]), np.array([-np.sin(tilt), np.cos(tilt)])
        place = np.array([position, hill(position)])
        ends = [*(place - 0.07 * along + 0.06 * across), *(place + 0.07 * along + 0.06 * across)]
        wheels = [Circle(*map(float, place + side * along + 0.03 * across), 0.03) for side in (-0.055, 0.055)]
        return Scene((-1.25, -0.3, 0.65, 1.45), (*ground, *flag, *wheels, Line(*map(float, ends), width=7)))

    return scene


def put_car(env: gym.Env, place: np.ndarray) -> np.ndarray:
    """Put a MountainCar at (position, velocity); returns the observation (2,)."""
    env.unwrapped.state = np.array(place, np.float32)
    return env.unwrapped.state


def roll_back(place: np.ndarray) -> np.ndarray:
    """Where (..., 2) a MountainCar was one step earlier, had it not been pushed: the inverse of its step away from the limits."""
    before = place[..., 0] - place[..., 1]
    return np.stack([before, place[..., 1] + 0.0025 * np.cos(3 * before)], -1)


def mountain_car(goal: float) -> Portrait:
    """MountainCar with the flag at `goal`; its position has no unit, and neither has its time beyond the step."""
    names = ("position", "velocity")
    plane = Plane(
        names=names,
        units=("", ""),
        low=(LEFT_END, -TOP_SPEED),
        high=(RIGHT_END, TOP_SPEED),
        periodic=(False, False),
        place=lambda observation: observation,
        observation=lambda place: place,
        state=put_car,
        before=roll_back,
    )
    return Portrait(names, ("", ""), mountain_car_scene(goal), plane, 1 / 30)  # it renders 30 steps a second


# --- a pole on a cart ---------------------------------------------------------------------------------


def cart_scene(x: float, angle: float, half: float, pole: float, cart: tuple[float, float]) -> Scene:
    """A cart at `x` on a rail from -half to half, and on it a pole that leans to the right by `angle` (rad); lengths in m."""
    wide, high = cart
    rail = Line(-half, 0, half, 0, "fixed", 1.5)
    ends = [Line(side, -0.1 * half, side, 0.1 * half, "mark", 2) for side in (-half, half)]
    body = Rectangle(x - wide / 2, -high / 2, x + wide / 2, high / 2, "body")
    rod = Line(x, 0.0, float(x + pole * np.sin(angle)), float(pole * np.cos(angle)))
    return Scene((-1.1 * half, -0.95 * half, 1.1 * half, 1.25 * half), (rail, *ends, body, rod))


def pole_plane(angle: int, velocity: int, state: Callable[[gym.Env, np.ndarray], np.ndarray] | None) -> Plane:
    """Angle and velocity of a pole, which are these entries of the observation."""
    return Plane(
        names=("pole angle", "pole velocity"),
        units=("rad", "rad/s"),
        low=(-0.3, -3.0),
        high=(0.3, 3.0),
        periodic=(False, False),
        place=lambda observation: observation[..., [angle, velocity]],
        state=state,
    )


def put_pole(env: gym.Env, place: np.ndarray) -> np.ndarray:
    """Put the pole of CartPole at (angle, velocity), over a cart at rest in the middle; returns the observation (4,)."""
    env.unwrapped.state = np.array([0.0, 0.0, *place])
    env.unwrapped.steps_beyond_terminated = None
    return env.unwrapped.state.astype(np.float32)


CART_POLE = Portrait(
    names=("cart position", "cart velocity", "pole angle", "pole velocity"),
    units=("m", "m/s", "rad", "rad/s"),
    scene=lambda observation: cart_scene(float(observation[0]), float(observation[2]), 2.4, 1.0, (0.5, 0.3)),
    plane=pole_plane(2, 3, put_pole),
    seconds=0.02,
)
INVERTED_PENDULUM = Portrait(
    names=("cart position", "pole angle", "cart velocity", "pole velocity"),
    units=("m", "rad", "m/s", "rad/s"),
    scene=lambda observation: cart_scene(float(observation[0]), float(observation[1]), 1.0, 0.6, (0.3, 0.15)),
    plane=pole_plane(1, 3, None),
    seconds=0.04,
)

# --- Reacher ------------------------------------------------------------------------------------------

UPPER, FORE = 0.1, 0.11  # m, from shoulder to elbow, and from there to the fingertip
ARENA = 0.3  # m from the middle to each side


def reacher_scene(observation: np.ndarray) -> Scene:
    """A two-jointed arm from above, and the target; lengths in m.

    The arm is drawn from the cosines and sines of its joints. The observation also says where the
    fingertip is: in a dream the two may disagree.
    """
    cos0, cos1, sin0, sin1, x, y = map(float, observation[:6])
    elbow = UPPER * cos0, UPPER * sin0
    tip = elbow[0] + FORE * (cos0 * cos1 - sin0 * sin1), elbow[1] + FORE * (sin0 * cos1 + cos0 * sin1)
    sides = [Line(*ends, "fixed", 1.5) for ends in square(ARENA)]
    arm = Line(0, 0, *elbow), Line(*elbow, *tip), Circle(*tip, 0.013)
    return Scene((-0.33, -0.33, 0.33, 0.33), (*sides, Circle(x, y, 0.02, "mark"), *arm, Circle(0, 0, 0.012, "fixed")))


def square(half: float) -> list[tuple[float, float, float, float]]:
    """The four sides of a square around the middle: (x0, y0, x1, y1) each."""
    return [(-half, -half, half, -half), (half, -half, half, half), (half, half, -half, half), (-half, half, -half, -half)]


REACHER = Portrait(
    names=(
        "cos shoulder",
        "cos elbow",
        "sin shoulder",
        "sin elbow",
        "target x",
        "target y",
        "shoulder velocity",
        "elbow velocity",
        "tip - target x",
        "tip - target y",
    ),
    units=("", "", "", "", "m", "m", "rad/s", "rad/s", "m", "m"),
    scene=reacher_scene,
    plane=Plane(
        names=("fingertip x", "fingertip y"),
        units=("m", "m"),
        low=(-ARENA, -ARENA),
        high=(ARENA, ARENA),
        periodic=(False, False),
        place=lambda observation: observation[..., [4, 5]] + observation[..., [8, 9]],
    ),
    seconds=0.02,
)

OWN: dict[str, Portrait] = {  # by the class that gymnasium makes them of, whatever the id
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": Portrait(
        pendulum.NAMES, pendulum.UNITS, pendulum.pendulum_scene, pendulum.PLANE, pendulum.STEP
    ),
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": mountain_car(0.5),
    "gymnasium.envs.classic_control.continuous_mountain_car:Continuous_MountainCarEnv": mountain_car(0.45),
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": CART_POLE,
    "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv": INVERTED_PENDULUM,
    "gymnasium.envs.mujoco.reacher_v5:ReacherEnv": REACHER,
}
"""The worlds that are drawn by this file."""

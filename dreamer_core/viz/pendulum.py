"""Drawing Pendulum-v1 from what is observed or decoded: cos, sin and whatever comes after.

The angle is 0 upright and grows counter-clockwise, as in gymnasium's own picture.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from dreamer_core.errors import EnvError
from dreamer_core.viz.show import GREY
from dreamer_core.worlds.pendulum import angle

NAME = "Pendulum-v1"
REACH = 1.35  # half the width of the drawing, in rod lengths


class AnotherWorld(EnvError, ValueError):
    """A picture of the pendulum was asked for, and this is none."""


def is_pendulum(observation: np.ndarray, env: str | None = None) -> bool:
    """Whether real observations (..., O), of `env` if that is known, are a pendulum's: they begin with cosine and sine of an angle."""
    on_circle = observation.shape[-1] in (2, 3) and bool(np.allclose(np.square(observation[..., :2]).sum(-1), 1, atol=1e-3))
    return on_circle and env in (None, NAME)


def check_pendulum(what: str, observation: np.ndarray, env: str | None = None) -> None:
    """Raises:
    AnotherWorld: these real observations are no pendulum's.
    """
    if not is_pendulum(observation, env):
        where = f" ({env})" if env else ""
        raise AnotherWorld(
            f"{what} draws a pendulum, whose observations begin with cos and sin of its angle, and these{where} are another world's: "
            f"use dreamer_core.viz.explorer, which draws lines for any environment"
        )


def tip(observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the rod ends, pivot at (0, 0), x to the right and y up: (..., O) -> (...), (...).

    A decoder need not stay on the circle: the rod is drawn as long as it says.
    """
    return -observation[..., 1], observation[..., 0]


def angle_and_velocity(observation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pendulum's (..., 3) cosine, sine and velocity -> angle in (-pi, pi], upright 0, and velocity, each (...)."""
    return angle(observation), observation[..., 2]


def stage(axis: Axes) -> None:
    """Prepare an axis: equal scales, the circle the tip runs on, and the pivot."""
    axis.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xticks=[], yticks=[], aspect="equal")
    circle = np.linspace(0, 2 * np.pi, 100)
    axis.plot(np.cos(circle), np.sin(circle), color=GREY, linewidth=0.6, alpha=0.5)
    axis.plot(0, 0, "o", color="black", markersize=5, zorder=4)


class Rod:
    """A rod on a stage, moved to wherever an observation says."""

    def __init__(self, axis: Axes, colour: str, width: float = 6, alpha: float = 1) -> None:
        self.line: Line2D = axis.plot([0, 0], [0, 1], color=colour, linewidth=width, solid_capstyle="round", alpha=alpha, zorder=3)[0]

    def move(self, observation: np.ndarray) -> None:
        """Draw observation (O,) from now on."""
        x, y = tip(observation)
        self.line.set_data([0, x], [0, y])

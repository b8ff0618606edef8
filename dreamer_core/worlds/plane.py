"""The plane that a world's states are shown on: two coordinates, such as an angle and a velocity."""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium as gym
import numpy as np


class Plane(NamedTuple):
    """The two coordinates that span a world's states, or say most about them.

    What cannot be done in a world is None: where the plane does not say all that an observation
    holds there is no `observation`, and where its simulator cannot be put anywhere there is no `state`.
    """

    names: tuple[str, str]
    units: tuple[str, str]  # "" where there is none
    low: tuple[float, float]  # the part that is shown
    high: tuple[float, float]
    periodic: tuple[bool, bool]  # an angle wraps around: `high` is the same place as `low`
    place: Callable[[np.ndarray], np.ndarray]  # observations (..., O) -> (..., 2); NaN for one that has no place
    observation: Callable[[np.ndarray], np.ndarray] | None = None  # places (..., 2) -> observations (..., O)
    state: Callable[[gym.Env, np.ndarray], np.ndarray] | None = None
    """Put a simulator, which was reset before, at a place (2,); returns the observation (O,) from there."""

    @property
    def labels(self) -> tuple[str, str]:
        """The coordinates with their units: "angle (rad)"."""
        first, second = labelled(self.names, self.units)
        return first, second


def labelled(names: tuple[str, ...], units: tuple[str, ...]) -> tuple[str, ...]:
    """Names with their units, for the axes of a figure: "velocity (rad/s)"."""
    return tuple(f"{name} ({unit})" if unit else name for name, unit in zip(names, units))

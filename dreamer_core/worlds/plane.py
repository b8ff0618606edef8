"""The plane that a world's states are shown on: two coordinates, such as an angle and a velocity."""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core.errors import EnvError


class NoPlane(EnvError, ValueError):
    """A picture over a world's plane was asked for, and it cannot be drawn."""


class Plane(NamedTuple):
    """The two coordinates that span a world's states, or say most about them.

    What cannot be done in a world is None: where the plane does not say all that an observation holds
    there is no `observation` and no `before`, and where its simulator cannot be put anywhere there is no `state`.
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
    before: Callable[[np.ndarray], np.ndarray] | None = None  # (..., 2) -> (..., 2), one step earlier, if nothing was done

    @property
    def labels(self) -> tuple[str, str]:
        """The coordinates with their units: "angle (rad)"."""
        first, second = labelled(self.names, self.units)
        return first, second

    def grid(self, shape: tuple[int, int]) -> np.ndarray:
        """Places (*shape, 2), evenly spaced; a coordinate that wraps around has its middle among them, and only one of its ends."""
        both = zip(self.low, self.high, self.periodic, shape)
        lines = [
            (low + high) / 2 + (np.arange(size) - size // 2) * ((high - low) / size) if around else np.linspace(low, high, size)
            for low, high, around, size in both
        ]
        return np.stack(np.meshgrid(*lines, indexing="ij"), -1)

    def read(self, values: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Values (A, B) on the grid, interpolated at places (N, 2): (N,). Beyond an end the end counts."""
        lows, highs, parts = [], [], []
        for low, high, around, size, at in zip(self.low, self.high, self.periodic, values.shape, np.asarray(place, float).T):
            if around:
                index = (at - (low + high) / 2) * size / (high - low) + size // 2
                below = np.floor(index).astype(int)
                lows.append(below % size)
                highs.append((below + 1) % size)
            else:
                index = np.clip((at - low) * (size - 1) / (high - low), 0, size - 1)
                below = np.minimum(np.floor(index).astype(int), size - 2)
                lows.append(below)
                highs.append(below + 1)
            parts.append(index - below)
        (a, b), (c, d), (up, right) = lows, highs, parts
        return (1 - up) * ((1 - right) * values[a, b] + right * values[a, d]) + up * ((1 - right) * values[c, b] + right * values[c, d])


def labelled(names: tuple[str, ...], units: tuple[str, ...]) -> tuple[str, ...]:
    """Names with their units, for the axes of a figure: "velocity (rad/s)"."""
    return tuple(f"{name} ({unit})" if unit else name for name, unit in zip(names, units))

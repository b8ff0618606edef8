"""How far a dream is off, in the unit in which its world is best told."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dreamer_core.viz.error_growth import rms_error
from dreamer_core.worlds.drawing import Drawing


class Measure(NamedTuple):
    """A distance between observations, and its words."""

    label: str  # of an axis
    unit: str  # as it follows a number
    digits: str  # how a number is written
    most: float | None  # the largest there is
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]  # real and other (..., O) -> (...); NaN where one of them has no place
    words: str  # what the unit means, a sentence, where it does not speak for itself

    def told(self, value: float) -> str:
        """A distance in words."""
        return f"{value:{self.digits}}{self.unit}" if np.isfinite(value) else "?"


def measure(drawing: Drawing, scale: np.ndarray) -> Measure:
    """Degrees or another unit of the world's plane, where it gives one (`Drawing.gap`); else the model's unit.

    Args:
        scale: (O,), the model's unit of each entry.
    """
    match drawing.gap:
        case None:
            words = "1 sd: root mean square over all entries, each in its standard deviation over the first, random steps."
            return Measure("error (sd)", " sd", ".2f", None, lambda real, other: rms_error(other, real, scale), words)
        case gap if gap.unit == "°":
            return Measure("error (degrees)", "°", ".0f", gap.most, gap.between, "")
        case gap if gap.unit == "%":
            words = "%: root mean square over all pixels, as a share of the way from black to white."
            return Measure("error (%)", " %", ".2g", gap.most, gap.between, words)
        case gap:
            return Measure(f"error ({gap.unit})", f" {gap.unit}", ".2g", gap.most, gap.between, "")

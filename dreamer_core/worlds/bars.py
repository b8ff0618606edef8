"""Bars with names: how an observation is drawn whose world has no drawing of its own."""

from collections.abc import Sequence

import numpy as np

from dreamer_core.worlds.scene import Line, Scene, Text

VIEW = (-1.15, -1.15, 1.15, 1.15)
NAMED = 8  # bars with names that fit below one another
LONGEST = 22  # letters of a name


def bars_scene(observation: np.ndarray, names: Sequence[str], low: np.ndarray, high: np.ndarray) -> Scene:
    """A bar for each entry of an observation (O,), from zero to the left or to the right, its name and value above it.

    Args:
        names: O of them; where there are more than fit, one line says how many bars there are.
        low, high: (O,), the ends of each bar's track. Where an entry has no bounds the track has none
            either: a bar of value v is v / (1 + |v|) long, so that 1 is in the middle and nothing is off the track.
    """
    tracks, bars, words = [], [], []  # in this order: what stands still lies below
    named = len(names) <= NAMED
    room = (2.2 if named else 2.0) / len(names)
    if not named:
        words.append(Text(0, 1.06, f"{len(names)} entries, from the top"))
    for number, (name, value) in enumerate(zip(names, map(float, observation))):
        y = (1.1 if named else 0.95) - room * (number + (0.72 if named else 0.5))
        left, right = float(low[number]), float(high[number])
        bounded = np.isfinite([left, right]).all() and right > left
        end = along(value, left, right) if bounded else value / (1 + abs(value))
        zero = along(min(max(0.0, left), right), left, right) if bounded else 0.0
        tracks += [Line(-1, y, 1, y, "fixed", 1), Line(zero, y - 0.2 * room, zero, y + 0.2 * room, "fixed", 1.5)]
        bars.append(Line(zero, y, end, y, "body", 5 if named else 3))
        if named:
            short = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
            words.append(Text(0, y + 0.5 * room, f"{short}: {value:.2g}".replace("-", "−")))
    return Scene(VIEW, (*tracks, *bars, *words))


def along(value: float, low: float, high: float) -> float:
    """Where a value lies on a track from -1 (low) to 1 (high); what is beyond an end lies a little beyond it."""
    return min(max(2 * (value - low) / (high - low) - 1, -1.08), 1.08)

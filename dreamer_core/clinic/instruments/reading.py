"""What an instrument is, what it returns, and how a reading is drawn."""

import math
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from dreamer_core.clinic.subject import Subject
from dreamer_core.viz.show import BLUE, GREEN, RED, describe

Range = tuple[float, float]
POSITIVE: Range = (1e-6, math.inf)  # of what must be there, whatever its size


def exactly(value: float, within: float = 1e-3) -> Range:
    """The range of a number that is known on paper; `within` is left for rounding."""
    return value - within, value + within


class Reading(NamedTuple):
    """What an instrument found in one subject."""

    numbers: dict[str, float]
    """Named, comparable between subjects; empty where nothing could be measured."""
    healthy: dict[str, Range]
    """For each number the range in which a healthy agent lies: from an exact truth where there is one, else from measured spread."""
    figure: Callable[[], Figure] | None
    """Draws it; None where there is nothing to draw."""
    says: str
    """One sentence."""
    unknown: tuple[str, ...] = ()
    """What could not be told of this subject, in sentences."""

    @property
    def off(self) -> dict[str, str]:
        """The numbers that no healthy agent has, each with its side: "low", "high", or "none" if it is no number."""
        found = {}
        for name, value in self.numbers.items():
            low, high = self.healthy[name]
            if not low <= value <= high:
                found[name] = "none" if math.isnan(value) else "low" if value < low else "high"
        return found


@dataclass(frozen=True)
class Instrument:
    """One way to look at a subject."""

    name: str
    """What it is called."""
    quick: bool
    """Whether it takes seconds; a slow one takes up to a minute."""
    sentence: str
    """What it measures."""
    excludes: str
    """What a healthy reading rules out."""
    cannot: str
    """What it cannot tell."""
    measure: Callable[[Subject], Reading]
    """Measures it."""


@contextmanager
def apart(subject: Subject) -> Iterator[None]:
    """A block in which the core runs as in this subject, from the seed of its settings: torch's generator is left as it was found."""
    with subject.at_work(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(subject.config.seed)
        yield


def numbers_reading(says: dict[str, str], healthy: dict[str, Range], numbers: dict[str, float], unknown: tuple[str, ...] = ()) -> Reading:
    """A reading whose figure is its numbers beside their ranges, and whose sentence names what is off.

    Args:
        says: for each number what it is, in words.
        healthy: its range. numbers: the numbers that could be measured.
    """
    healthy = {name: healthy[name] for name in numbers}
    reading = Reading(numbers, healthy, None, "", unknown)
    off = reading.off
    told = "; ".join(f"{says[name]}: {numbers[name]:.3g}, healthy {in_words(healthy[name])}" for name in off)
    sentence = f"Not as in a healthy agent: {told}." if off else "As in a healthy agent." if numbers else "Nothing could be measured."
    return reading._replace(says=sentence, figure=(lambda: numbers_figure(reading, says)) if numbers else None)


def in_words(healthy: Range) -> str:
    """A range as it stands in a sentence."""
    low, high = healthy
    if math.isinf(high):
        return "above 0" if 0 <= low < 1e-3 else f"above {low:.3g}"
    if math.isinf(low):
        return f"below {high:.3g}"
    middle = (low + high) / 2
    return f"{middle:.3g}" if high - low <= 0.05 * max(1.0, abs(middle)) else f"{low:.3g} to {high:.3g}"


def numbers_figure(reading: Reading, says: dict[str, str]) -> Figure:
    """Each number on a line of its own, with its range as a band."""
    count = len(reading.numbers)
    figure, axes = plt.subplots(count, 1, figsize=(8, 0.7 * count + 0.4), layout="constrained", squeeze=False)
    told = []
    for axis, (name, value) in zip(axes[:, 0], reading.numbers.items()):
        low, high = reading.healthy[name]
        marks = [mark for mark in (low, high, value, 0.0) if math.isfinite(mark)]
        pad = 0.1 * max(max(marks) - min(marks), 0.5)  # so that 0.000001 is not drawn as far from 0
        left, right = min(marks) - pad, max(marks) + pad
        thin = 0.006 * (right - left)  # so that a range of one number can be seen
        axis.axvspan(max(left, low - thin), min(right, high + thin), color=GREEN, alpha=0.3, linewidth=0)
        if math.isfinite(value):
            axis.plot(value, 0, "o" if name not in reading.off else "X", color=BLUE if name not in reading.off else RED, markersize=8)
        axis.set(xlim=(left, right), ylim=(-1, 1), yticks=[])
        axis.set_ylabel(textwrap.fill(says[name], 44), rotation=0, ha="right", va="center", fontsize=9)
        axis.tick_params(labelsize=9)
        axis.spines[["left", "right", "top"]].set_visible(False)
        told.append(f"{says[name]} {value:.3g}, healthy {in_words(reading.healthy[name])}")
    return describe(
        figure,
        alt=f"{count} numbers beside the ranges of healthy agents. {'; '.join(told)}.",
        caption="Green: where a healthy agent lies. A blue dot lies there, a red cross does not.",
    )

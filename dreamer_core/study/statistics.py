"""What can honestly be said from a few seeds: Agarwal et al., Deep Reinforcement Learning at the Edge of the Statistical Precipice,
arXiv 2108.13264. The definitions are those of the authors' library, `rliable`.

Scores come as one array for each world (a stratum), with an entry for each run. A statistic is a
function of an array (..., M) that reduces its last axis.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Statistic = Callable[[np.ndarray], np.ndarray]
REPEATS = 10_000  # samples of a bootstrap
LEVEL = 0.95  # of its intervals
DIGITS = 3  # of a score after its point: two that differ by less are told as the same


class Estimate(NamedTuple):
    """A statistic of some runs, with its bootstrap interval of 95 %; its ends are nan where a world has a single run."""

    value: float
    low: float
    high: float
    runs: int


def told(score: float | np.ndarray, digits: int = DIGITS) -> float | np.ndarray:
    """A score, or a difference of scores, as it is told: rounded, and nothing is never less than nothing."""
    return np.round(score, digits) + 0.0


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """The mean without the lowest and the highest quarter (..., M) -> (...,); each quarter rounded down to whole runs.

    With fewer than four runs nothing is left out. Source: arXiv 2108.13264, section 4.3.
    """
    count = scores.shape[-1]
    cut = count // 4
    return np.sort(scores, -1)[..., cut : count - cut].mean(-1)


def median(scores: np.ndarray) -> np.ndarray:
    """(..., M) -> (...,)."""
    return np.median(scores, -1)


def mean(scores: np.ndarray) -> np.ndarray:
    """(..., M) -> (...,)."""
    return scores.mean(-1)


def resampled(strata: Sequence[np.ndarray], repeats: int = REPEATS, seed: int = 0) -> np.ndarray:
    """Bootstrap samples (repeats, M): from each world as many runs as it has, drawn with replacement; M runs in all.

    Stratified, so that every sample holds every world as often as the study does. Source: arXiv 2108.13264, section 4.1.
    """
    random = np.random.default_rng(seed)
    return np.concatenate([stratum[random.integers(len(stratum), size=(repeats, len(stratum)))] for stratum in strata], -1)


def estimate(strata: Sequence[np.ndarray], statistic: Statistic, repeats: int = REPEATS, seed: int = 0) -> Estimate:
    """A statistic of all runs together, and the percentiles of it over bootstrap samples.

    Raises:
        ValueError: there are no runs.
    """
    strata = [np.asarray(stratum, float) for stratum in strata if len(stratum)]
    if not strata:
        raise ValueError("there are no runs to take a statistic of")
    pooled = np.concatenate(strata)
    low = high = float("nan")
    if min(map(len, strata)) > 1:  # one run says nothing about how runs differ
        low, high = np.quantile(statistic(resampled(strata, repeats, seed)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(statistic(pooled)), float(low), float(high), len(pooled))


def profile(strata: Sequence[np.ndarray], thresholds: np.ndarray, repeats: int = 2000, seed: int = 0) -> np.ndarray:
    """The share of runs whose score is above each threshold, with pointwise intervals: rows share, low, high, (3, thresholds).

    Source: arXiv 2108.13264, section 4.2 (run-score distribution).
    """
    above = [(np.asarray(stratum, float)[None, :] > thresholds[:, None]) for stratum in strata if len(stratum)]  # (L, M_k) each
    points = [estimate([world[number] for world in above], mean, repeats, seed) for number in range(len(thresholds))]
    return np.array([[point.value for point in points], [point.low for point in points], [point.high for point in points]])


def first_at(curve: np.ndarray, mark: float) -> float:
    """The steps of the first evaluation at or above a mark, in a curve of rows (steps, return); infinite if there is none."""
    reached = curve[curve[:, 1] >= mark, 0]
    return float(reached[0]) if len(reached) else float("inf")

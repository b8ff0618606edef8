"""The statistics, against their definitions written out in plain Python and against numbers by hand."""

import itertools
import math
import random
import statistics as plain

import numpy as np
import pytest

from dreamer_core.study.statistics import estimate, first_at, interquartile_mean, mean, median, profile, resampled


def trimmed(values):
    """rliable's `aggregate_iqm`: scipy's trim_mean with a quarter cut at either end, int(0.25 n) values each."""
    values = sorted(values)
    cut = int(0.25 * len(values))
    kept = values[cut : len(values) - cut]
    return sum(kept) / len(kept)


def test_interquartile_mean_by_hand():
    assert interquartile_mean(np.array([100.0, 1, 2, 3, 4, 5, 16, -100])) == (2 + 3 + 4 + 5) / 4
    assert interquartile_mean(np.array([0.0, 1, 5])) == 2, "with three runs nothing may be left out"


@pytest.mark.parametrize("count", range(1, 14))
def test_interquartile_mean_is_the_trimmed_mean_of_the_library(count):
    draw = random.Random(count)
    values = [draw.gauss(0, 1) for _ in range(count)]
    assert interquartile_mean(np.array(values)) == pytest.approx(trimmed(values))
    rows = np.array([values, values[::-1]])
    assert interquartile_mean(rows) == pytest.approx([trimmed(values)] * 2), "only the last axis may be reduced"


def test_a_bootstrap_sample_draws_from_each_world_as_many_runs_as_it_has():
    samples = resampled([np.array([1.0, 2, 3]), np.array([10.0, 20])], 500)
    assert samples.shape == (500, 5)
    assert set(samples[:, :3].flat) == {1, 2, 3} and set(samples[:, 3:].flat) == {10, 20}, "a world took another's place"
    assert {len(set(row)) for row in samples[:, :3]} == {1, 2, 3}, "runs are drawn with replacement"


def every_resample(strata):
    """All stratified bootstrap samples, each as likely as any other."""
    choices = [list(itertools.product(stratum, repeat=len(stratum))) for stratum in strata]
    return [sum(parts, ()) for parts in itertools.product(*choices)]


def percentile(values, share):
    """The smallest value that at least this share of all values does not exceed."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


@pytest.mark.parametrize("ours, theirs", [(interquartile_mean, trimmed), (mean, plain.mean), (median, plain.median)])
def test_an_interval_holds_the_middle_95_of_100_of_all_resamples(ours, theirs):
    strata = [(0.1, 0.47, 0.93, 0.55), (0.2, 0.83, 0.36)]
    every = [theirs(sample) for sample in every_resample(strata)]
    found = estimate([np.array(stratum) for stratum in strata], ours, repeats=40_000)
    assert found.value == pytest.approx(theirs(sum(strata, ()))) and found.runs == 7
    assert found.low == pytest.approx(percentile(every, 0.025), abs=0.01)
    assert found.high == pytest.approx(percentile(every, 0.975), abs=0.01)


def test_one_run_in_a_world_gives_no_interval_rather_than_one_of_no_width():
    found = estimate([np.array([0.5]), np.array([0.1, 0.2])], mean)
    assert math.isnan(found.low) and math.isnan(found.high) and found.runs == 3


def test_the_same_runs_give_the_same_interval_twice_and_none_give_none():
    strata = [np.array([0.1, 0.5, 0.2])]
    assert estimate(strata, mean) == estimate(strata, mean)
    with pytest.raises(ValueError, match="no runs"):
        estimate([np.array([])], mean)


def test_a_profile_is_the_share_of_runs_above_each_score():
    share, low, high = profile([np.array([0.2, 0.4]), np.array([0.4, 0.9])], np.array([0.0, 0.2, 0.4, 0.95]))
    assert share.tolist() == [1, 0.75, 0.25, 0], "a run at the threshold is not above it"
    assert (low <= share).all() and (share <= high).all() and low[1] == 0.5 and high[1] == 1


def test_the_first_evaluation_at_or_above_a_mark():
    curve = np.array([[20, -3.0], [40, -1.0], [60, -2.0], [80, 0.0]])
    assert [first_at(curve, mark) for mark in (-1, -0.5, -9, 1)] == [40, 80, 20, math.inf]

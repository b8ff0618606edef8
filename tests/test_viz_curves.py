"""Learning curves: the median, and nothing left out."""

import numpy as np
import pytest
from figures import assert_readable, lines

from dreamer_core.viz.curves import learning_curve, median_curve

RUNS = [[(100, -5.0), (200, -1.0), (300, 0.0)], [(100, -3.0), (200, -3.0)], [(100, -9.0), (200, -2.0), (250, -2.0)]]


def test_the_median_is_taken_where_every_seed_was_measured():
    assert median_curve(RUNS).tolist() == [[100, -5], [200, -2]]
    assert median_curve([[(100, -5.0)], [(200, -3.0)]]).shape == (0, 2)


def test_the_figure_draws_every_run_and_the_ceiling():
    figure = learning_curve({"ours": RUNS, "theirs": RUNS[:1]}, live=[(100, -7.0), (150, -6.0)], ceiling=-0.5, steps=400)
    (axis,) = figure.get_axes()
    drawn = lines(axis)
    assert np.allclose(drawn["ours (median of 3 seeds)"], [[100, 200], [-5, -2]])
    assert "theirs (1 seed)" in drawn and "this run" in drawn
    assert np.allclose(drawn["best possible (-0)"][1], -0.5)
    assert len(axis.lines) == 3 + 1 + 1 + 1 + 1 + 1
    low, high = axis.get_ylim()
    assert low < -9 and high > 0  # the worst seed is not cut off
    assert "ours stands at -2 after 200 steps" in figure.alt
    assert_readable(figure)


def test_a_run_that_has_just_begun_can_be_drawn():
    assert_readable(learning_curve({}, live=[(100, -7.0)], ceiling=-1.0))


def test_more_methods_than_colours_are_turned_away():
    with pytest.raises(ValueError, match="6 methods cannot be told apart"):
        learning_curve({str(number): RUNS for number in range(6)})

"""The belief ribbon: what is marked as dark, and what is drawn."""

import numpy as np

from dreamer_core.viz.belief import belief_figure, blackouts
from dreamer_core.viz.show import png


def test_blackouts_by_hand():
    assert blackouts(np.array([1, 1, 0, 0, 1, 0])) == [(2, 3), (5, 5)]
    assert blackouts(np.array([0, 1.0])) == [(0, 0)]
    assert blackouts(np.ones(4)) == []


def test_the_ribbon_shows_both_answers_and_describes_itself():
    rows = np.arange(12.0)
    visible = np.r_[np.ones(5), np.zeros(4), np.ones(3)]
    exact, model = (np.sin(rows), 0.3 + 0.1 * (visible == 0)), (np.cos(rows), 0.4 + 0.1 * (visible == 0))
    figure = belief_figure(np.sin(rows), visible, model, exact, title="a title")
    top, bottom = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in top.lines}
    assert np.array_equal(lines["world model, mean ± 2 sd"], model[0])
    assert np.array_equal(lines["exact (Kalman filter), mean ± 2 sd"], exact[0])
    assert len(lines["reading, seen"]) == 8 and len(lines["reading, not seen"]) == 4
    assert np.array_equal(bottom.lines[0].get_ydata(), model[1]) and np.array_equal(bottom.lines[1].get_ydata(), exact[1])
    assert top.get_ylabel() and bottom.get_ylabel() and bottom.get_xlabel()
    assert "rows 5 to 8" in figure.alt and f"{np.mean(model[1] / exact[1]):.2f} times" in figure.alt and figure.caption
    assert png(figure)[:4] == b"\x89PNG"

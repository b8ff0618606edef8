"""Angles of a pendulum, by hand."""

import numpy as np
import pytest

from dreamer_core.viz.pendulum import angle, apart


@pytest.mark.parametrize("cos, sin, degrees", [(1, 0, 0), (0, 1, 90), (0, -1, -90), (-1, 0, 180), (0.5, 0.5, 45), (-2, -2, -135)])
def test_an_angle_by_hand(cos, sin, degrees):
    assert np.degrees(angle(np.array([cos, sin, 7.0]))) == pytest.approx(degrees)


def test_angles_keep_the_leading_axes():
    assert angle(np.ones((2, 5, 3))).shape == (2, 5)


@pytest.mark.parametrize("one, other, degrees", [(10, 30, 20), (30, 10, 20), (170, -170, 20), (-10, 350, 0), (0, 180, 180), (725, 0, 5)])
def test_the_short_way_round(one, other, degrees):
    assert apart(one, other) == degrees
    assert apart(np.array([one, other]), other).tolist() == [degrees, 0]

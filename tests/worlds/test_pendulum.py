"""Angles of a pendulum and its plane, by hand and against the ceiling's own step."""

import numpy as np
import pytest

from dreamer_core.worlds.pendulum import PLANE, angle, rewind
from dreamer_core.yardsticks import ceiling


@pytest.mark.parametrize("cos, sin, degrees", [(1, 0, 0), (0, 1, 90), (0, -1, -90), (-1, 0, 180), (0.5, 0.5, 45), (-2, -2, -135)])
def test_an_angle_by_hand(cos, sin, degrees):
    assert np.degrees(angle(np.array([cos, sin, 7.0]))) == pytest.approx(degrees)


def test_angles_keep_the_leading_axes():
    assert angle(np.ones((2, 5, 3))).shape == (2, 5)


def test_the_angle_is_measured_from_the_top():
    assert np.allclose(PLANE.place(np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -3.0]])), [[0, 3], [np.pi / 2, -3]])


def test_a_place_and_its_observation_are_each_others_inverse():
    places = np.random.default_rng(0).uniform([-3, -8], [3, 8], (50, 2))
    assert np.allclose(PLANE.place(PLANE.observation(places)), places), "a place that comes back as another"


def test_rewinding_undoes_a_step_without_torque():
    places = np.random.default_rng(0).uniform([-3, -5], [3, 5], (50, 2))
    after = np.stack(ceiling.dynamics(*places.T, 0)[:2], -1)
    assert np.allclose(rewind(after), places), "one step back and one step on end elsewhere"


def test_the_planes_grid_is_the_ceilings():
    for shape in ((24, 17), (25, 16)):
        expected = np.stack(np.broadcast_arrays(*ceiling.grid(shape)), -1)
        assert np.allclose(PLANE.grid(shape), expected), f"exact values of the grid {shape} would stand in the wrong places"

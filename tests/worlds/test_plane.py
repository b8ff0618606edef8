"""A world's plane: its grid, and reading values off it."""

import numpy as np

from dreamer_core.worlds import pendulum
from dreamer_core.worlds.plane import Plane, labelled
from dreamer_core.yardsticks import ceiling

FLAT = Plane(("x", "y"), ("m", ""), (0.0, -1.0), (4.0, 1.0), (False, False), lambda seen: seen[..., :2])


def test_labels_tell_units_where_there_are_any():
    assert FLAT.labels == ("x (m)", "y") and labelled(("a", "b", "c"), ("", "s", "")) == ("a", "b (s)", "c")


def test_the_grid_holds_both_ends_of_a_line_and_one_end_of_a_circle():
    assert FLAT.grid((5, 3))[:, 0, 0].tolist() == [0, 1, 2, 3, 4] and FLAT.grid((5, 3))[0, :, 1].tolist() == [-1, 0, 1]
    around = FLAT._replace(periodic=(True, False))
    assert around.grid((4, 3))[:, 0, 0].tolist() == [0, 1, 2, 3], "4 is the same place as 0"


def test_values_are_read_between_the_points_of_the_grid():
    """A sum of the coordinates is linear, so that interpolation is exact; beyond an end the end counts."""
    values = FLAT.grid((5, 3)).sum(-1)
    assert np.allclose(FLAT.read(values, np.array([[0.25, -0.5], [3.5, 0.75], [4.0, 1.0], [9.0, 0.0]])), [-0.25, 4.25, 5.0, 4.0])


def test_between_the_last_point_and_the_first_a_circle_goes_on():
    around = FLAT._replace(periodic=(True, False))
    values = np.array([0.0, 10.0, 20.0, 30.0])[:, None] * np.ones(3)
    assert np.allclose(around.read(values, np.array([[3.5, 0.0], [-0.5, 0.0], [4.0, 0.0], [7.0, 0.0]])), [15, 15, 0, 30])


def test_on_a_pendulums_plane_it_reads_what_the_ceiling_reads():
    random = np.random.default_rng(0)
    values, places = random.normal(size=(24, 17)), random.uniform([-9, -8], [9, 8], (100, 2))
    assert np.allclose(pendulum.PLANE.read(values, places), ceiling.Corners(*places.T, values.shape)(values))

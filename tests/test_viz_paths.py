"""Dreams as paths over a plane."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import assert_readable
from toys import small

from dreamer_core.errors import DreamerError
from dreamer_core.viz.paths import paths_figure, spread, unbroken
from dreamer_core.viz.show import GREY, PURPLE, RED
from dreamer_core.worlds.drawing import drawing
from dreamer_core.worlds.plane import NoPlane

ROOM = drawing(small(env="dreamer/PointMass-v0"))
TURN = drawing(small(env="Pendulum-v1")).plane


def straight(way, count=5, length=8):
    """Dreams that go a straight way from (0, 0), each a little beside the others."""
    places = np.linspace(0, 1, length)[None, :, None] * np.array(way) + np.linspace(-0.01, 0.01, count)[:, None, None]
    return np.concatenate([places, np.zeros_like(places)], -1)


def test_every_plan_has_one_colour_and_every_dream_a_path():
    dreams = {"right": straight((0.8, 0)), "up": straight((0, 0.8)), "both": straight((0.5, 0.5))}
    real = {"right": straight((0.3, 0), 3)[1]}
    figure = paths_figure(dreams, ROOM.plane, real, ROOM.scene(np.zeros(4)), "plans")
    axis = figure.axes[0]
    thin = [line for line in axis.lines if line.get_linewidth() == 0.8 and len(line.get_xdata()) == 8 and line.get_alpha()]
    assert [line.get_color() for line in thin] == [RED] * 5 + [PURPLE] * 5 + [GREY] * 5, "one colour for each plan, in order"
    assert np.allclose(thin[7].get_xydata(), dreams["up"][2][:, :2]), "a path is not that of its dream"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x (m)", "y (m)") and axis.get_aspect() == 1
    assert axis.patches, "the wall is missing"
    assert "right: half of the dreams end within" in figure.alt and "0.5 from where the world leads" in figure.alt
    assert_readable(figure)
    assert_readable(paths_figure({"right": dreams["right"]}, ROOM.plane))
    plt.close("all")


def test_a_path_that_wraps_around_is_broken_there():
    angles = np.array([2.9, 3.1, -3.1, -2.9])
    path = unbroken(np.stack([angles, np.zeros(4)], 1), TURN)
    assert np.array_equal(np.isnan(path[:, 0]), [False, False, True, False, False]), "a line would cross the whole plane"
    assert np.array_equal(path[[0, 1, 3, 4], 0], angles)
    free = np.array([[-0.9, 0.0], [0.9, 0.0]])
    assert np.array_equal(unbroken(free, ROOM.plane), free), "a room does not wrap around"


def test_a_blank_row_has_no_place_and_the_last_that_has_one_counts():
    real = straight((0.3, 0), 3)[1]
    real[-1, 0] = np.nan
    figure = paths_figure({"right": straight((0.8, 0))}, ROOM.plane, {"right": real})
    gap = 6 / 7 * (0.8 - 0.3)
    assert f"and {gap:.2g} from where the world leads" in figure.alt, figure.alt


def test_no_distance_is_told_where_the_coordinates_have_different_units():
    turning = np.stack([np.cos([0.1, 0.2]), np.sin([0.1, 0.2]), [1.0, 2.0]], -1)[None]
    alt = paths_figure({"push": turning, "pull": turning}, TURN).alt
    assert alt.endswith("from one state: push, pull.") and "within" not in alt, alt


def test_half_of_the_ends_lie_within_the_spread():
    ends = np.array([[0, 0], [0, 0], [0, 0], [3, 4], [30, 40]], float)
    assert spread(ends) == 0
    assert spread(ends[2:]) == 5


def test_no_plane_and_too_many_plans_are_told():
    with pytest.raises(NoPlane, match="^there is no plane that could be told from what the agent sees"):
        paths_figure({"one": straight((1, 1))}, None)
    for number in (0, 5):
        with pytest.raises(DreamerError, match=f"^{number} plans cannot be told apart in one figure: give 1 to 4$"):
            paths_figure({str(n): straight((1, 1)) for n in range(number)}, ROOM.plane)

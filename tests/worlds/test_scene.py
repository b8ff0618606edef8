"""Scenes: what an observation looks like, and how it is drawn."""

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dreamer_core import worlds
from dreamer_core.worlds.pendulum import pendulum_scene
from dreamer_core.worlds.scene import INKS, Circle, Line, Rectangle, Scene, Text, draw


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    yield axis
    plt.close(figure)


def scene(name, observation, **settings):
    return gym.make(f"dreamer/{name}-v0", **settings).unwrapped.scene(np.array(observation, np.float32))


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_every_world_draws_its_observations_within_view(name, axis):
    env = gym.make(f"dreamer/{name}-v0")
    seen = [env.reset(seed=0)[0]] + [env.step(env.action_space.high)[0] for _ in range(20)]
    for observation in [*seen, np.zeros_like(seen[0]), 3 * seen[0]]:  # a dreamt one may be anything
        axis.clear()
        found = env.unwrapped.scene(observation)
        assert found.parts and all(part.ink in INKS for part in found.parts)
        assert all(type(number) is not np.float32 for part in found.parts for number in part), "numbers that JSON cannot write"
        assert len(draw(axis, found)) == len(found.parts)
        assert (*axis.get_xlim(), *axis.get_ylim()) == tuple(found.view[place] for place in (0, 2, 1, 3)), "what is in view"
    moved = [env.unwrapped.scene(observation) for observation in seen]
    assert "Recall" in name or len(set(moved)) > 5, f"{name} looks the same in every row"


def test_a_pendulum_by_hand():
    """A quarter turn counter-clockwise: the rod points to the left, and what turns it further is a bar to the left."""
    found = pendulum_scene(np.array([0.0, 1.0, 4.0]))
    rod, bar = (part for part in found.parts if isinstance(part, Line))
    assert (rod.x0, rod.y0, rod.x1, rod.y1) == (0, 0, -1, 0) and bar.x1 == -0.5
    assert len(pendulum_scene(np.array([1.0, 0.0])).parts) == len(found.parts) - 1, "a hidden velocity has no bar"


def test_a_point_by_hand():
    found = scene("PointMass", [0.5, -0.25, 1, 1])
    (point,) = (part for part in found.parts if part.ink == "body")
    (goal,) = (part for part in found.parts if part.ink == "mark")
    assert (point.x, point.y) == (0.5, -0.25) and (goal.x, goal.y) == (0.6, -0.6)
    assert Rectangle(-0.15, -1.0, 0.15, 0.3) in found.parts, "the wall"


def test_tanks_by_hand():
    """The upper one hangs above the lower one's rim; each stands as full as it says, and the mark where it is wanted."""
    found = scene("WaterTanks", [4, 16, 10])
    upper, lower = (part for part in found.parts if part.ink == "body")
    assert (upper.top - upper.bottom, lower.top - lower.bottom) == (4, 16), "how full they stand"
    assert lower.bottom == 0 and upper.bottom > 25, "the tanks overlap"
    (mark,) = (part for part in found.parts if part.ink == "mark")
    assert mark.y0 == mark.y1 == 10 and mark.x0 < lower.left and mark.x1 > lower.right


def test_blank_cue_and_question():
    words = [part.words for part in scene("FlickerPendulum", [0, 0, 0]).parts if isinstance(part, Text)]
    assert words == ["blank"]
    assert not [part for part in scene("FlickerPendulum", [0.6, 0.8, 0]).parts if isinstance(part, Text)]
    right, left, silent = (scene("Recall", [cue, 0]).parts for cue in (1, -1, 0))
    assert [part.x for part in right if part.ink == "body"] == [0.6] and [part.x for part in left if part.ink == "body"] == [-0.6]
    assert not [part for part in silent if part.ink != "fixed"], "something is lit in a row that shows nothing"
    assert [part.words for part in scene("Recall", [0, 1]).parts if isinstance(part, Text)] == ["which?"]


def test_a_bar_for_each_distractor():
    found = scene("Distractors", [1, 0, 0, 2.0, -1.0, 0.5], distractors=3)
    bars = [part.y1 for part in found.parts if isinstance(part, Line) and part.x0 == part.x1 > 1.35]
    assert bars == [1.0, -0.5, 0.25]


def test_parts_are_drawn_where_they_are_and_in_the_colours_asked_for(axis):
    parts = Line(0, 0, 1, 2, width=3), Circle(1, 1, 0.5), Circle(1, 1, 0.5, "fixed", False), Rectangle(0, 0, 2, 1), Text(0.5, 0.5, "here")
    line, disc, edge, box, text = draw(axis, Scene((-1, -2, 3, 4), parts), {"body": "#CC7A00"})
    assert np.array_equal(line.get_data(), [[0, 1], [0, 2]]) and line.get_color() == "#CC7A00" and line.get_linewidth() == 3
    assert np.hypot(*(disc.get_xy() - 1).T) == pytest.approx(0.5) and np.hypot(*(np.transpose(edge.get_data()) - 1).T) == pytest.approx(0.5)
    assert box.get_extents() is not None and sorted({tuple(corner) for corner in box.get_xy().tolist()}) == [(0, 0), (0, 1), (2, 0), (2, 1)]
    assert (text.get_text(), text.get_position()) == ("here", (0.5, 0.5))
    assert axis.get_aspect() == 1 and not len(axis.get_xticks())

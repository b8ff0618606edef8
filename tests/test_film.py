"""Films: what is drawn where, how far off it says it is, and that the MP4 holds every picture."""

import tempfile
from pathlib import Path

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
import pytest

from dreamer_core.errors import DreamerError
from dreamer_core.viz.branches import Branch, States, World
from dreamer_core.viz.film import describe, errors, film, filmstrip, frames, mp4, tell
from dreamer_core.viz.pendulum import REACH, Rod, angle_error, check_pendulum, is_pendulum, stage, tip
from dreamer_core.viz.show import BLUE, GREEN, ORANGE

RED_GREEN_BLUE = {name: np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) for name, colour in zip("rpd", (BLUE, GREEN, ORANGE))}


def at(degrees):
    """Pendulum observations (..., 3) at these angles."""
    angle = np.radians(np.asarray(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], -1)


def states(degrees):
    observation = at(degrees)
    lead = observation.shape[:-1]
    return States(np.zeros((*lead, 4)), np.zeros((*lead, 2)), observation, np.zeros(lead))


def branch(start=10, steps=6, begin=0, rows=None):
    """The real pendulum turns one degree a row; the posterior is 2 degrees ahead, dream k is 10 (k + 1) degrees behind."""
    rows = start + steps + 1 - begin if rows is None else rows
    row = np.arange(begin, begin + rows)
    world = World(begin, at(row), np.zeros(rows), np.zeros((rows, 1)), states(row + 2))
    dreamt = np.arange(start, start + steps + 1) - 10 * np.array([[1], [2]])
    return Branch("recorded actions", start, world, states(dreamt), np.zeros((2, steps, 1)))


@pytest.mark.parametrize(
    ("degrees", "place"), [(0, (0, 1)), (90, (-1, 0)), (180, (0, -1)), (270, (1, 0)), (30, (-0.5, 0.8660254))], ids=str
)
def test_the_rod_points_up_at_0_and_to_the_left_at_90_degrees(degrees, place):
    np.testing.assert_allclose(tip(at(degrees)), place, atol=1e-7)


def drawn(degrees):
    """A 200 x 200 picture whose frame is the whole stage."""
    figure = plt.figure(figsize=(2, 2), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    stage(axis)
    rod = Rod(axis, BLUE)
    rod.move(at(degrees))
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3].astype(int)
    plt.close(figure)
    return picture


@pytest.mark.parametrize(("degrees", "pixel"), [(0, (100, 26)), (90, (26, 100)), (180, (100, 174)), (270, (174, 100))], ids=str)
def test_the_rods_end_is_drawn_at_the_pixel_found_by_hand(degrees, pixel):
    """The centre is 100, 100; one rod length is 100 / 1.35 = 74 pixels."""
    assert REACH == 1.35
    column, row = pixel
    picture = drawn(degrees)
    blue = RED_GREEN_BLUE["r"]
    np.testing.assert_array_equal(picture[row, column], blue)
    opposite = picture[199 - row, 199 - column]
    assert np.abs(opposite - blue).sum() > 100


def test_the_drawing_turns_the_same_way_as_gymnasiums():
    pytest.importorskip("pygame", reason="gymnasium draws with pygame")
    import gymnasium as gym

    env = gym.make("Pendulum-v1", render_mode="rgb_array")
    env.reset(seed=0)
    for degrees in (40, 130, 250, 300):
        env.unwrapped.state, env.unwrapped.last_u = np.array([np.radians(degrees), 0.0]), None
        theirs = env.render().astype(int)
        rows, columns = np.nonzero((theirs[..., 0] > 150) & (theirs[..., 1] < 120))  # the red rod
        middle = (np.array([columns.mean(), rows.mean()]) - 250) / 250
        x, y = tip(at(degrees))
        assert np.sign(middle[0]) == np.sign(x) and np.sign(-middle[1]) == np.sign(y)
        assert abs(np.arctan2(-middle[1], middle[0]) - np.arctan2(y, x)) < 0.1
    env.close()


@pytest.mark.parametrize(("one", "other", "off"), [(0, 0, 0), (10, 350, 20), (0, 180, 180), (100, 300, 160), (-20, 15, 35)])
def test_the_error_is_the_shorter_way_round(one, other, off):
    np.testing.assert_allclose(angle_error(at(one), at(other)), off, atol=1e-5)
    np.testing.assert_allclose(angle_error(at(one), 0.5 * at(other)), off, atol=1e-5)  # a short rod has an angle too


def test_a_film_begins_with_open_eyes():
    """Start 10: rows 2 to 16; up to row 10 the dream is the posterior, then the first dream."""
    told = tell(branch())
    assert (told.begin, told.start, len(told.real), len(told.posterior), len(told.dream)) == (2, 10, 15, 15, 15)
    np.testing.assert_allclose(errors(told)["posterior"], 2, atol=1e-9)
    np.testing.assert_allclose(errors(told)["dream"], [2] * 9 + [10] * 6, atol=1e-9)
    assert "at most 10°" in describe(told) and "after step 10" in describe(told)


def test_a_film_of_another_world_begins_where_that_world_does():
    told = tell(branch(begin=10))
    assert (told.begin, len(told.real)) == (10, 7)
    np.testing.assert_allclose(errors(told)["dream"], [2] + [10] * 6, atol=1e-9)


def test_a_film_stops_where_the_real_episode_does():
    told = tell(branch(rows=14))  # rows 0 to 13, though the dream goes on to 16
    assert [len(part) for part in told[2:]] == [12, 12, 12]


def test_each_picture_shows_three_pendulums_and_the_error_so_far():
    pictures = [picture.astype(int) for picture in frames(tell(branch()))]
    assert len(pictures) == 15 and {picture.shape for picture in pictures} == {(420, 720, 3)}
    counts = []
    for picture in pictures:
        panels = [picture[40:235, left : left + 200] for left in (68, 285, 503)]
        for panel, colour in zip(panels, RED_GREEN_BLUE.values()):
            assert 300 < (np.abs(panel - colour).sum(-1) < 30).sum() < 1500  # 76 pixels long, 8 wide
        counts.append((np.abs(picture[265:372] - RED_GREEN_BLUE["d"]).sum(-1) < 30).sum())
    assert counts[-1] > counts[9] > counts[2]  # the orange line grows


def decoded(film_bytes):
    """Frame size, codec, and all frames of an MP4."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        path.write_bytes(film_bytes)
        reader = imageio_ffmpeg.read_frames(str(path))
        meta = next(reader)
        width, height = meta["size"]
        return meta, [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]


def test_the_mp4_holds_every_picture_in_order():
    """Pictures of one grey each come back with that grey."""
    greys = np.arange(20, 240, 20)
    made = mp4((np.full((64, 96, 3), grey, np.uint8) for grey in greys), fps=5)
    meta, back = decoded(made)
    assert meta["size"] == (96, 64) and meta["fps"] == 5 and meta["codec"] == "h264" and "yuv420p" in meta["pix_fmt"]
    assert len(back) == len(greys)
    np.testing.assert_allclose([picture.mean() for picture in back], greys, atol=3)
    assert made.index(b"moov") < made.index(b"mdat")  # playable while it loads


def test_a_film_without_pictures_is_refused():
    with pytest.raises(DreamerError, match="at least one picture"):
        mp4([], fps=10)


def test_the_strip_has_a_column_for_each_moment():
    figure = filmstrip(tell(branch()), moments=5)
    assert len(figure.axes) == 15
    assert [axis.get_title() for axis in figure.axes[:5]] == ["step 2", "step 6", "step 9", "step 12", "step 16"]
    plt.close(figure)


def test_the_page_holds_a_film_with_controls_and_a_strip_with_words():
    page = film(branch()).data
    assert "<video controls" in page and "data:video/mp4;base64," in page and "http" not in page
    assert page.count('alt="A real pendulum') == 1 and page.count('aria-label="A real pendulum') == 1
    assert len(page) < 150_000


def test_the_page_says_how_fast_the_film_runs():
    """A step of Pendulum-v1 lasts 1/20 s."""
    assert "The film shows 10 steps a second: 50% of the pendulum's own speed." in film(branch()).data
    assert "20 steps a second: 100% of" in film(branch(), fps=20).data


def test_what_is_no_pendulum_is_refused_in_one_sentence():
    assert is_pendulum(at([0, 50, 200])) and is_pendulum(at([0, 50, 200])[:, :2]), "a pendulum, its velocity seen or hidden"
    assert not is_pendulum(np.ones((4, 3))) and not is_pendulum(np.ones((4, 1)))
    assert not is_pendulum(np.concatenate([at([0, 9]), at([0, 9])], 1)), "two angles"
    with pytest.raises(DreamerError, match="explorer"):
        check_pendulum("a film", np.ones((4, 3)))
    other = branch()
    with pytest.raises(DreamerError, match="a film draws a pendulum"):
        tell(other._replace(world=other.world._replace(observation=np.ones((17, 3)))))
    assert len(tell(other._replace(world=other.world._replace(env="Pendulum-v1"))).real)
    with pytest.raises(DreamerError, match=r"a film draws a pendulum.* and these \(Compass-v0\) are another world's: use .*explorer"):
        tell(other._replace(world=other.world._replace(env="Compass-v0")))  # which shows the cosine and sine of a heading

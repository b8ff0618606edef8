"""Films: what is drawn where, how far off it says it is, and that the MP4 holds every picture."""

import tempfile
from pathlib import Path

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import complaints
from matplotlib.colors import to_rgb

from dreamer_core.config import Config, from_dict
from dreamer_core.errors import DreamerError
from dreamer_core.viz.branches import Branch, States, World
from dreamer_core.viz.film import LINGER, errors, film, filmstrip, frames, instants, mp4, standing, strip, tell, words
from dreamer_core.viz.show import BLUE, GREEN, ORANGE, RED
from dreamer_core.worlds.drawing import drawing
from dreamer_core.worlds.pendulum import REACH
from dreamer_core.worlds.scene import Line, Rectangle, Scene, draw

PENDULUM = drawing(Config())
LIGHT_WORDS = "Orange is light that is not there, purple light that is missing."
RED_GREEN_BLUE = {name: np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) for name, colour in zip("rpd", (BLUE, GREEN, ORANGE))}


def at(degrees):
    """Pendulum observations (..., 3) at these angles."""
    angle = np.radians(np.asarray(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], -1)


def states(degrees):
    observation = at(degrees)
    lead = observation.shape[:-1]
    return States(np.zeros((*lead, 4)), np.zeros((*lead, 2)), observation, np.zeros(lead))


def branch(start=10, steps=6, begin=0, rows=None, looks=PENDULUM, moment=12):
    """The real pendulum turns one degree a row; the posterior is 2 degrees ahead, dream k is 10 (k + 1) degrees behind.

    Row `moment` surprises most. Row 0 does even more, and does not count.
    """
    rows = start + steps + 1 - begin if rows is None else rows
    row = np.arange(begin, begin + rows)
    world = World(
        begin,
        at(row),
        np.zeros(rows),
        np.zeros((rows, 1)),
        states(row + 2),
        looks,
        np.full(3, 0.5),
        np.where(row == moment, 3.0, 0.5) + 9 * (row == 0),
    )
    dreamt = np.arange(start, start + steps + 1) - 10 * np.array([[1], [2]])
    return Branch("recorded actions", start, world, states(dreamt), np.zeros((2, steps, 1)))


def drawn(degrees):
    """A 200 x 200 picture whose frame is the whole stage."""
    figure = plt.figure(figsize=(2, 2), dpi=100)
    axis = figure.add_axes((0, 0, 1, 1))
    draw(axis, PENDULUM.scene(at(degrees)), {"body": BLUE})
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
        x, y = next(part[2:4] for part in PENDULUM.scene(at(degrees)).parts if isinstance(part, Line))
        assert np.sign(middle[0]) == np.sign(x) and np.sign(-middle[1]) == np.sign(y)
        assert abs(np.arctan2(-middle[1], middle[0]) - np.arctan2(y, x)) < 0.1
    env.close()


def test_a_film_begins_with_open_eyes():
    """Start 10: rows 2 to 16; up to row 10 the dream is the posterior, then the first dream."""
    told = tell(branch())
    assert (told.begin, told.start, len(told.real), len(told.posterior), len(told.dream)) == (2, 10, 15, 15, 15)
    np.testing.assert_allclose(errors(told)["posterior"], 2, atol=1e-9)
    np.testing.assert_allclose(errors(told)["dream"], [2] * 9 + [10] * 6, atol=1e-9)
    assert "at most 10°" in words(told) and "after step 10" in words(told)


def test_a_film_of_another_world_begins_where_that_world_does():
    told = tell(branch(begin=10))
    assert (told.begin, len(told.real)) == (10, 7)
    np.testing.assert_allclose(errors(told)["dream"], [2] + [10] * 6, atol=1e-9)


def test_a_film_stops_where_the_real_episode_does():
    told = tell(branch(rows=14))  # rows 0 to 13, though the dream goes on to 16
    assert [len(part) for part in told[2:5]] == [12, 12, 12]


def test_each_picture_shows_three_pendulums_and_the_error_so_far():
    pictures = [picture.astype(int) for picture in frames(tell(branch()))]
    assert len(pictures) == 15 and {picture.shape for picture in pictures} == {(440, 720, 3)}
    counts = []
    for picture in pictures:
        panels = [picture[40:235, left : left + 200] for left in (68, 285, 503)]
        for panel, colour in zip(panels, RED_GREEN_BLUE.values()):
            assert 300 < (np.abs(panel - colour).sum(-1) < 30).sum() < 1500  # 76 pixels long, 8 wide
        counts.append((np.abs(picture[288:390] - RED_GREEN_BLUE["d"]).sum(-1) < 30).sum())
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


def test_the_moment_of_surprise_stands_in_the_strip():
    """Red above its column and around its posterior; an evenly spaced column makes room for it, unless that is the first or the last."""
    assert instants(15, 5, 9) == [0, 4, 7, 9, 14] and instants(15, 5, 1) == [0, 1, 7, 10, 14] and instants(2, 5, 1) == [0, 1]
    figure = filmstrip(tell(branch(moment=11)), moments=5)
    heads = {axis.get_title(): axis.title.get_color() for axis in figure.axes[:5]}
    assert heads["step 11"] == RED and list(heads.values()).count(RED) == 1, f"the heads are {heads}"
    framed = [n for n, axis in enumerate(figure.axes) if axis.spines["left"].get_edgecolor()[:3] == to_rgb(RED)]
    assert framed == [5 + list(heads).index("step 11")], f"the pictures {framed} have a red frame"
    plt.close(figure)


def test_the_moment_of_surprise_is_marked_on_the_frame_and_on_the_time_axis():
    """Row 9 surprises most: the posterior has a red frame there and in the next pictures; the dashes stand there in all of them."""
    red = np.array([int(RED[n : n + 2], 16) for n in (1, 3, 5)])
    told = tell(branch(moment=9))
    assert told.moment == 9 and "Red marks step 9, at which what it sees surprises the posterior most (3 nats)." in words(told)
    framed, dashes = [], []
    for picture in frames(told):
        near = np.abs(picture.astype(int) - red).sum(-1) < 40
        panel = near[45:245, 284:484]
        framed.append(bool(panel.any(0).all() or panel.any(1).all()))
        reddish = picture[290:385].astype(int) @ [1, -1, 0] > 60  # a thin line is paler than its ink; no other line is red
        orange = np.abs(picture[290:385].astype(int) - RED_GREEN_BLUE["d"]).sum(-1) < 120
        columns = np.nonzero((reddish & ~orange).sum(0) > 30)[0]
        assert len(columns), "there is no red line on the time axis"
        dashes.append(float(columns.mean()))
    assert framed == [9 <= row < 9 + LINGER for row in range(2, 17)], f"the red frame is there in {framed}"
    assert max(dashes) - min(dashes) < 1 and abs((dashes[0] - 65) / 641 - 7 / 14) < 0.02, f"the line stands at pixel {dashes[0]}"


def test_an_episodes_first_row_surprises_nobody():
    """Nothing was expected there. A film that begins later counts its own first row."""
    assert tell(branch(start=5, moment=0)).moment != 0
    assert tell(branch(begin=10, moment=10)).moment == 10


def pixels(steps=12, channels=1):
    """A dot on black, which goes to the right; the posterior sees it where it is, half as bright, and dreams leave it where it was."""
    looks = drawing(from_dict({"env": "dreamer/PixelPendulum-v0"}))
    real = np.zeros((steps + 11, 32, 32, channels), np.uint8)
    for row, picture in enumerate(real):
        picture[10, row] = 200
    believed = States(np.zeros((len(real), 4)), np.zeros((len(real), 2)), real / 2.0, np.zeros(len(real)))
    world = World(0, real, np.zeros(len(real)), np.zeros((len(real), 1)), believed, looks, np.full(1024, 255.0), np.arange(len(real)) / 9)
    dreamt = np.repeat(real[None, 10:11] / 1.0, steps + 1, 1)
    return Branch("recorded actions", 10, world, States(believed.h, believed.z, dreamt, dreamt[..., 0, 0, 0]), np.zeros((1, steps, 1)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_of_pictures_shows_them_and_where_the_dream_is_wrong(channels):
    """One film for all worlds: with pictures it has a fourth panel, in which a light that is missing is purple and one too many orange."""
    told = tell(pixels(channels=channels))
    made = list(frames(told))
    assert len(made) == len(told.real) == 21 and {one.shape for one in made} == {(440, 960, 3)}
    assert LIGHT_WORDS in words(told) and "way from black to white" in words(told)
    strip_of_it = filmstrip(told, moments=4)
    assert [axis.get_ylabel() for axis in strip_of_it.axes[::4]] == ["real", "posterior", "dream", "wrong"]
    wrong = strip_of_it.axes[15].images[0].get_array()
    assert wrong[10, 22].tolist() != [255, 255, 255] and wrong[10, 10].tolist() != [255, 255, 255] and wrong[0, 0].tolist() == [255] * 3
    assert wrong[10, 22, 2] > wrong[10, 22, 1] and wrong[10, 10, 2] < wrong[10, 10, 1], "the dot that is missing is not purple"
    assert errors(told)["dream"][-1] == pytest.approx(100 * np.sqrt(2 * (200 / 255) ** 2 / 1024)), "share of white, over all pixels"
    plt.close(strip_of_it)


def test_a_strip_shows_any_tellings_of_any_world():
    """Scenes of a world with a drawing; pictures, with the errors of those that are judged."""
    row = np.arange(12)
    figure = strip(PENDULUM, {"real": at(row), "another": at(row + 90)}, [0, 5, 10], start=5, title="two")
    assert [axis.get_title() for axis in figure.axes[:3]] == ["step 0", "step 5", "+5"]
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["real", "another"]
    rod = next(line.get_xydata() for line in figure.axes[5].lines if len(line.get_xydata()) == 2)
    np.testing.assert_allclose(rod[1], [-np.sin(np.radians(100)), np.cos(np.radians(100))], atol=1e-6)
    assert not complaints(figure) and "real, another" in figure.alt
    one = pixels()
    tellings = {"real": one.world.observation, "shown": one.world.observation, "believed": one.world.posterior.observation}
    figure = strip(one.world.drawing, tellings, [1, 2], judged=["believed"], first=40)
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["real", "shown", "believed", "believed,\nwrong"]
    assert [axis.get_title() for axis in figure.axes[:2]] == ["step 41", "step 42"] and "believed is off by 1.2 %" in figure.alt, figure.alt
    plt.close("all")


def test_a_wide_world_is_shown_from_the_top_down():
    """A river five times as wide as high: its pictures would be too flat side by side."""
    river = PENDULUM._replace(scene=lambda seen: Scene((-5, -1, 5, 1), (Rectangle(float(seen[1]), -0.3, float(seen[1]) + 1, 0.3, "body"),)))
    told = tell(branch(looks=river))
    made = list(frames(told))
    assert len(made) == 15 and {one.shape for one in made} == {(600, 720, 3)}
    figure = filmstrip(told, moments=5)
    assert [axis.get_title() for axis in figure.axes[:3]] == ["real", "posterior", "dream"]
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["step 2", "step 6", "step 9", "step 12", "step 16"]
    plt.close(figure)


def test_the_page_holds_a_film_with_controls_and_a_strip_with_words():
    page = film(branch()).data
    assert "<video controls" in page and "data:video/mp4;base64," in page and "http" not in page
    assert page.count('alt="Pendulum-v1: what') == 1 and page.count('aria-label="Pendulum-v1: what') == 1
    assert len(page) < 150_000


def test_the_page_says_how_fast_the_film_runs():
    """A step of Pendulum-v1 lasts 1/20 s."""
    assert "The film shows 10 steps a second: 50% of the world's own speed." in film(branch()).data
    assert "20 steps a second: 100% of" in film(branch(), fps=20).data


def test_without_degrees_the_error_is_in_the_models_unit():
    """Half a unit is one sd; cosines 1 and 0 and velocities 0 and 1 apart, sines alike: the root of a third of 2 times 2 squared."""
    told = tell(branch(looks=PENDULUM._replace(gap=None)))
    other = told._replace(real=np.array([[1.0, 0, 0]]), posterior=np.array([[0.0, 0, 1]]), dream=np.array([[1.0, 0, 0]]))
    assert errors(other)["posterior"] == pytest.approx(np.sqrt(2 * 4 / 3)) and errors(other)["dream"] == 0
    assert " sd, the dream by" in words(told) and words(told).endswith("its standard deviation over the first, random steps.")


def test_a_world_without_time_has_no_speed_and_a_slow_one_is_many_times_as_fast():
    assert "The film shows 10 steps a second. The strip" in film(branch(looks=PENDULUM._replace(seconds=None))).data
    assert "10 steps a second: 10 times the world's own speed." in film(branch(looks=PENDULUM._replace(seconds=1.0))).data


def test_where_there_is_nothing_to_compare_there_is_a_question_mark():
    """A blank has no place on the plane."""
    seen = branch(looks=drawing(from_dict({"env": "dreamer/FlickerPendulum-v0"})))
    seen.world.observation[12:] = 0
    told = tell(seen)
    assert np.isnan(errors(told)["dream"][-5:]).all() and "A question mark stands" in words(told) and "At step 11 the" in words(told)
    strip = filmstrip(told)
    assert strip.axes[-1].get_xlabel() == "off ?" and "nan" not in words(told)
    plt.close(strip)
    assert len(list(frames(told))) == 15


def test_what_moves_is_drawn_in_every_picture_and_what_stands_still_in_all():
    """A box that steps to the right from row to row, in front of a wall: the first parts that never change are drawn once."""
    wall, roof = Rectangle(-2, -2, 2, -1), Rectangle(-2, 1, 2, 2, "mark")
    looks = PENDULUM._replace(
        scene=lambda seen: Scene((-2, -2, 2, 2), (wall, Rectangle(float(seen[1]), 0, float(seen[1]) + 1, 1, "body"), roof))
    )
    told = tell(branch(looks=looks, steps=40))
    scenes = [looks.scene(seen) for seen in told.real]
    assert standing(scenes) == 1, "the roof lies in front of the box: it is drawn after it, each time"
    blue = [
        np.nonzero((np.abs(picture[50:240, 68:268].astype(int) - RED_GREEN_BLUE["r"]).sum(-1) < 30).any(0))[0] for picture in frames(told)
    ]
    lefts = [columns.min() for columns in blue]
    assert lefts == sorted(lefts) and lefts[-1] > lefts[0] + 10, f"the box stands at {lefts}"
    assert max(np.ptp(columns) for columns in blue) < 60, "a box of an earlier picture was left behind"


def test_a_world_without_a_drawing_shows_its_own_pictures_on_the_real_side():
    """Grey pictures that grow lighter, one for each row; where it makes none, bars stand there too."""
    bare = PENDULUM._replace(real=False, renders=True)
    made = branch(looks=bare)
    shots = np.stack([np.full((30, 40, 3), 10 * row, np.uint8) for row in range(17)])
    told = tell(made._replace(world=made.world._replace(pictures=lambda: shots)))
    assert told.pictures[0, 0, 0].tolist() == [20, 20, 20] and len(told.pictures) == 15, "rows 2 to 16"
    seen = [picture[140, 160].tolist() for picture in frames(told)]
    assert seen == [[10 * row] * 3 for row in range(2, 17)]
    assert "What really happens is shown in its own pictures." in words(told) and "from the top cos θ, sin θ, velocity" in words(told)
    assert tell(made).pictures is None and "own pictures" not in words(tell(made))
    assert tell(branch()._replace(world=made.world._replace(drawing=PENDULUM, pictures=lambda: shots))).pictures is None, "it has a drawing"

"""The explorer's page: what it holds, that it is whole, and that it stands alone."""

import base64
import json
import re
from itertools import chain

import numpy as np
import pytest
from test_viz_canvas import unpacked_scenes
from toy_branches import NAMES, branches

from dreamer_core import worlds
from dreamer_core.errors import DreamerError
from dreamer_core.viz.canvas import plain
from dreamer_core.viz.explorer import BAND, contents, explorer, packed, rounded
from dreamer_core.worlds.scene import outline


def stored(page):
    """The data in a page, as a browser would read it."""
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def unpacked(part):
    """The arrays behind the bytes."""
    steps = np.frombuffer(base64.b64decode(part["data"]), np.int8).reshape(part["shape"])
    return steps / 127 * part["reach"]


def numbers(nested):
    return np.array(nested, float)  # null becomes nan


def close(nested, array):
    """Equal to four significant digits, with null for nan."""
    np.testing.assert_allclose(numbers(nested), array, rtol=5e-4)


@pytest.fixture(scope="module")
def made():
    return branches()


@pytest.fixture(scope="module")
def page(made):
    return explorer(made, NAMES).data


def test_the_page_holds_the_arrays(made, page):
    data = stored(page)
    assert data["names"] == NAMES and data["count"] == 12
    assert len(data["branches"]) == 12 and len(data["worlds"]) == 7  # the recorded one, and two more for each start
    for kept, branch in zip(data["branches"], made):
        assert (kept["start"], kept["actions"]) == (branch.start, branch.actions)
        close(kept["dream"]["observation"], branch.dreams.observation[0])
        close(kept["dream"]["reward"], branch.dreams.reward[0])
        close(kept["action"], branch.action[0])
        np.testing.assert_allclose(unpacked(kept["dream"]["h"]), branch.dreams.h[0], atol=0.5 / 127 + 1e-6)
        reach = kept["dream"]["z"]["reach"]
        np.testing.assert_allclose(unpacked(kept["dream"]["z"]), branch.dreams.z[0], atol=reach * 0.51 / 127)
        there = data["worlds"][kept["world"]]
        assert there["begin"] == branch.world.begin
        close(there["observation"], branch.world.observation)
        close(there["reward"], branch.world.reward)
        close(there["action"], branch.world.action)
        close(there["posterior"]["observation"], branch.world.posterior.observation)
        close(there["posterior"]["reward"], branch.world.posterior.reward)
        np.testing.assert_allclose(unpacked(there["posterior"]["h"]), branch.world.posterior.h, atol=0.5 / 127 + 1e-6)


def test_nine_of_ten_dreams_lie_in_the_band():
    """With 101 dreams valued 0 to 100 the band is 5 to 95."""
    (branch,) = branches(starts=(5,), steps=3, count=101)[:1]
    ladder = np.broadcast_to(np.arange(101.0)[:, None], (101, 4))
    dreams = branch.dreams._replace(reward=ladder, observation=np.repeat(ladder[..., None], 3, -1))
    band = contents([branch._replace(dreams=dreams)], NAMES)["branches"][0]["band"]
    assert BAND == (0.05, 0.95)
    np.testing.assert_allclose(band["reward"], [[5] * 4, [95] * 4])
    np.testing.assert_allclose(numbers(band["observation"])[:, 2], [[5] * 3, [95] * 3])


def test_numbers_are_short_and_bytes_are_clipped():
    assert rounded(np.array([[1.23456789, -0.000123456], [np.nan, 0.0]])) == [[1.235, -0.0001235], [None, 0.0]]
    kept = packed(np.array([[-5.0, -1.0, 0.0, 0.5, 2.0]]), 2.0)
    np.testing.assert_allclose(unpacked(kept), [[-2, -1, 0, 0.5, 2]], atol=0.01)


def test_the_page_stands_alone(page):
    """No address, no module, no file: nothing to fetch."""
    assert not re.search(r"https?:|//[a-z]+\.|\bimport\b|\bfetch\b|XMLHttpRequest|<link|src=\"(?!data:)", page)


def test_the_page_stays_small(page):
    assert len(page.encode()) < 300_000


def test_nothing_in_the_data_can_close_its_script(made):
    page = explorer(made[:1], ["</script><b>", "sin", "velocity"]).data
    assert "</script><b>" not in page
    assert stored(page)["names"][0] == "</script><b>"


def test_a_picture_with_words_waits_for_the_script(page):
    """It comes first, so that it is what a page shows that runs no script."""
    image = re.search(r'<img alt="[^"]{40,}" [^>]*src="data:image/png;base64,', page)
    assert image and image.start() < page.index("<script")
    assert page.count("<script") == page.count("</script>") == 2


def alike(scenes, observations, look):
    """Whether stored scenes are those of observations (R, O), to a thousandth of the view."""
    found = unpacked_scenes(scenes)
    assert len(found) == len(observations)
    for one, seen in zip(found, observations):
        scene = plain(look(seen))
        assert one["view"] == scene["view"] and len(one["parts"]) == len(scene["parts"]), "another picture"
        wide = one["view"][2] - one["view"][0]
        for mine, expected in zip(chain(*one["parts"]), chain(*scene["parts"]), strict=True):
            same = mine == expected if isinstance(expected, (str, bool)) else abs(mine - expected) < 2e-3 * wide
            assert same, f"{mine} is drawn where {expected} is said"


SUITE = [f"dreamer/{name}-v0" for name in worlds.WORLDS if not name.startswith("Pixel")]  # pictures have a test of their own


@pytest.mark.parametrize("env", ["Pendulum-v1", "CartPole-v1", "MountainCarContinuous-v0", *SUITE])
def test_every_world_is_drawn_beside_its_lines(env):
    """What really happened, the posterior, the dream and other dreams, each as its world's scene."""
    made = branches(starts=(2,), steps=4, count=4, env=env)
    looks = made[0].world.drawing
    page = explorer(made, looks.labels).data
    data = stored(page)
    assert 'alt="Lines of a real' not in page and looks.world.removeprefix("dreamer/") in re.search(r'alt="([^"]*)"', page)[1]
    assert len(data["levers"]["entries"]) + len(data["levers"]["choices"]) == made[0].action.shape[-1]
    for kept, branch in zip(data["branches"], made):
        alike(kept["dream"]["scenes"], branch.dreams.observation[0], looks.scene)
        assert len(kept["ghosts"]) == 3
        for ghost, dream in zip(kept["ghosts"], branch.dreams.observation[1:]):
            alike(ghost, dream, lambda seen: outline(looks.scene(seen)))
        there = data["worlds"][kept["world"]]
        alike(there["scenes"], branch.world.observation, looks.scene)
        alike(there["thin"], branch.world.observation, lambda seen: outline(looks.scene(seen)))
        alike(there["posterior"]["scenes"], branch.world.posterior.observation, looks.scene)


def test_a_world_without_a_drawing_gets_bars_and_lines():
    """And no other dreams over them: of bars, they cannot be told apart."""
    made = branches(starts=(2,), steps=5, env="Acrobot-v1")
    looks = made[0].world.drawing
    page = explorer(made, looks.labels).data
    data = stored(page)
    assert not looks.real and all(branch["ghosts"] == [] for branch in data["branches"])
    alike(data["branches"][0]["dream"]["scenes"], made[0].dreams.observation[0], looks.scene)
    assert 'alt="Lines of a real episode' in page


def test_hidden_entries_are_not_drawn():
    made = branches(starts=(2,), steps=5, wrappers={"hide": (2,)})
    data = stored(explorer(made, NAMES[:2]).data)
    (first, *_) = unpacked_scenes(data["worlds"][0]["scenes"])
    assert [part[0] for part in first["parts"]] == ["circle", "line", "circle"], "the bar of the hidden velocity is there"


def test_how_far_a_telling_is_off_stands_in_words(made):
    """Degrees, by hand from the cosines and sines."""
    data = contents(made, NAMES)
    for kept, branch in zip(data["branches"], made):
        real, dream = branch.world.observation[branch.start - branch.world.begin :], branch.dreams.observation[0]
        turns = [np.arctan2(a * d - b * c, a * c + b * d) for (a, b, _), (c, d, _) in zip(real, dream)]
        assert kept["off"] == [f"{abs(degrees):.0f}°" for degrees in np.degrees(turns)]


@pytest.mark.parametrize(("cut", "names", "words"), [(slice(0), NAMES, "at least one branch"), (slice(2, None), NAMES, "row 0")])
def test_what_cannot_be_explored_is_refused(made, cut, names, words):
    with pytest.raises(DreamerError, match=words):
        explorer(made[cut], names)


def test_every_observation_needs_a_label(made):
    with pytest.raises(DreamerError, match="2 labels were given for 3 observations"):
        explorer(made, NAMES[:2])


def test_pictures_are_shown_as_they_are_and_their_line_is_how_far_they_are_off():
    """The frames byte by byte; the error by hand: root mean square over all pixels, as a share of 255."""
    made = branches(starts=(2,), steps=4, count=4, env="dreamer/PixelPendulum-v0")
    data = stored(explorer(made, ()).data)
    assert data["pictures"] and data["names"] == ["error (%)"]
    for kept, branch in zip(data["branches"], made, strict=True):
        real, dreams = (
            branch.world.observation[branch.start - branch.world.begin :][:5].astype(float),
            branch.dreams.observation.astype(float),
        )
        for stored_scene, frame in zip(unpacked_scenes(kept["dream"]["scenes"]), dreams[0], strict=True):
            ((kind, *_, pixels, _),) = stored_scene["parts"]
            seen = np.frombuffer(base64.b64decode(pixels["data"]), np.uint8).reshape(pixels["shape"])
            assert kind == "picture" and np.array_equal(seen, np.rint(np.clip(frame, 0, 255))), "another picture"
        off = 100 * np.sqrt(np.square((dreams[:, : len(real)] - real) / 255).mean((2, 3, 4)))
        close(kept["dream"]["observation"], off[0][:, None])
        close(kept["band"]["observation"], np.quantile(off, BAND, axis=0)[..., None])
        assert kept["off"] == [f"{value:.2g} %" for value in off[0]]
        assert kept["ghosts"] == [], "many pictures over one another show nothing"
    own = numbers(data["worlds"][0]["observation"])
    assert own.shape[1] == 1 and np.isnan(own).all(), "what happens is not off from itself"


def test_a_dream_of_pictures_that_outlasts_the_episode_has_no_error_there():
    (branch, *_) = branches(starts=(2,), steps=4, count=2, env="dreamer/PixelPendulum-v0")
    world = branch.world
    short = world._replace(**{name: getattr(world, name)[:5] for name in ("observation", "reward", "action", "surprise")})
    short = short._replace(posterior=type(world.posterior)(*(part[:5] for part in world.posterior)))
    found = contents([branch._replace(world=short)], ())["branches"][0]
    assert [value is None for (value,) in found["dream"]["observation"]] == [False, False, False, True, True]
    assert len(found["off"]) == 3

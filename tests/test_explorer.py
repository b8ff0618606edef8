"""The explorer's page: what it holds, that it is whole, and that it stands alone."""

import base64
import json
import re

import numpy as np
import pytest
from toy_branches import NAMES, branches

from dreamer_core.errors import DreamerError
from dreamer_core.viz.explorer import BAND, GHOSTS, contents, explorer, packed, rounded


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
    assert data["names"] == NAMES and data["pendulum"] is True and data["count"] == 12
    assert len(data["branches"]) == 12 and len(data["worlds"]) == 7  # the recorded one, and two more for each start
    for kept, branch in zip(data["branches"], made):
        assert (kept["start"], kept["actions"]) == (branch.start, branch.actions)
        close(kept["dream"]["observation"], branch.dreams.observation[0])
        close(kept["dream"]["reward"], branch.dreams.reward[0])
        close(kept["action"], branch.action[0])
        np.testing.assert_allclose(unpacked(kept["dream"]["h"]), branch.dreams.h[0], atol=0.5 / 127 + 1e-6)
        reach = kept["dream"]["z"]["reach"]
        np.testing.assert_allclose(unpacked(kept["dream"]["z"]), branch.dreams.z[0], atol=reach * 0.51 / 127)
        np.testing.assert_allclose(unpacked(kept["ghosts"]), branch.dreams.observation[1 : GHOSTS + 1, :, :2], atol=0.01)
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


def test_other_environments_get_lines_without_rods():
    made = branches(starts=(2,), steps=5, observation=4)
    worlds = {id(branch.world): branch.world._replace(observation=branch.world.observation + 1) for branch in made}
    made = [branch._replace(world=worlds[id(branch.world)]) for branch in made]
    page = explorer(made, ["a", "b", "c", "d"]).data
    data = stored(page)
    assert data["pendulum"] is False and all(branch["ghosts"] is None for branch in data["branches"])
    assert 'alt="Lines of a real episode' in page


@pytest.mark.parametrize(("cut", "names", "words"), [(slice(0), NAMES, "at least one branch"), (slice(2, None), NAMES, "row 0")])
def test_what_cannot_be_explored_is_refused(made, cut, names, words):
    with pytest.raises(DreamerError, match=words):
        explorer(made[cut], names)


def test_a_world_that_only_looks_like_a_pendulum_is_drawn_as_lines(made):
    """A compass shows cosine and sine of a heading too; its branches know the name of their world."""
    worlds = {id(b.world): b.world._replace(drawing=b.world.drawing._replace(world="Compass-v0")) for b in made}
    other = [b._replace(world=worlds[id(b.world)]) for b in made]
    assert contents(made, NAMES)["pendulum"] and not contents(other, NAMES)["pendulum"]
    assert "One panel for each observation".lower() in explorer(other, NAMES).data.lower()


def test_every_observation_needs_a_label(made):
    with pytest.raises(DreamerError, match="2 labels were given for 3 observations"):
        explorer(made, NAMES[:2])

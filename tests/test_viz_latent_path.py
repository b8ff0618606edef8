"""The dream's way through the latent map, the belief's way, and where they part."""

import numpy as np
import pytest
from figures import assert_readable
from minds import pendulum_agent, without_chance

from dreamer_core import envs
from dreamer_core.viz.dream import act_out, believe, held_actions
from dreamer_core.viz.latent_path import LatentPath, latent_path, latent_path_figure


@pytest.fixture
def setting():
    agent = without_chance(pendulum_agent())
    env = envs.make_for(agent.config)
    return agent, [act_out(env, seed, held_actions(30, 1, 4, seed)) for seed in (1, 2, 3)]


@pytest.mark.parametrize("part", ["h", "z"])
def test_both_ways_begin_in_one_place_and_the_belief_is_that_of_the_filter(setting, part):
    agent, episodes = setting
    path = latent_path(agent, episodes[:2], episodes[2], 5, 12, 3, part)
    assert path.real.shape == (13, 2) and path.dreams.shape == (3, 13, 2)
    assert np.allclose(path.dreams[:, 0], path.real[0], atol=1e-5), "dream and belief must start from the same state"
    ground = np.concatenate([getattr(believe(agent, other), part)[0].numpy() for other in episodes[:2]])
    watched = getattr(believe(agent, episodes[2]), part)[0, 5:18].numpy()
    # Whatever the directions: lengths along two orthogonal ones are never longer than the way itself, and the map is linear.
    way = np.linalg.norm(np.diff(watched, axis=0), axis=1)
    assert (np.linalg.norm(np.diff(path.real, axis=0), axis=1) <= way + 1e-5).all(), "the map stretches the belief's way"
    centred = np.cov((ground - ground.mean(0)).T)
    assert np.isclose(path.ground.var(0, ddof=1)[0], np.linalg.eigvalsh(centred)[-1], rtol=1e-4), "direction 1 is not that of most variance"


def test_the_first_step_of_h_needs_no_eyes(setting):
    """h one step on follows from what was known: only from the second step on can the dream's h differ."""
    agent, episodes = setting
    path = latent_path(agent, episodes[:2], episodes[2], 5, 12, 3, "h")
    assert np.allclose(path.dreams[:, 1], path.real[1], atol=1e-5), "h after one step does not depend on an observation"
    assert not np.allclose(path.dreams[:, 2], path.real[2], atol=1e-7)


def made(jump):
    """Dreams that stand still at 0, and a belief that leaves and stays away at step `jump`."""
    real = np.where(np.arange(20) >= jump, 1.0, 0.0)[:, None] * np.ones(2)
    ground = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    return LatentPath(ground, real, np.random.default_rng(1).normal(0, 0.01, (9, 20, 2)), np.array([0.6, 0.3]))


def test_they_part_where_the_belief_leaves_the_dreams():
    assert made(7).parted == 7 and made(50).parted is None


def test_the_typical_dream_is_one_of_them_and_no_outlier():
    path = made(7)
    dreams = np.concatenate([path.dreams[:2] + 50, np.zeros((1, 20, 2)), path.dreams[2:] + 0.02])
    assert path._replace(dreams=dreams).typical >= 3, "the dream nearest to all others lies among the many"


def test_the_figure_says_where_they_part():
    figure = latent_path_figure({"h": made(7), "z": made(50)}, "ways")
    assert "in h they part after 7 steps" in figure.alt and "in z they do not part in 19 steps" in figure.alt
    labels = [[line.get_label() for line in axis.lines] for axis in figure.axes]
    assert ["here they part" in found for found in labels] == [True, False]
    assert_readable(figure)


def test_a_part_that_is_none_is_refused(setting):
    agent, episodes = setting
    with pytest.raises(ValueError, match="^a latent state has no part 's': choose h or z$"):
        latent_path(agent, episodes[:2], episodes[2], 5, 12, 3, "s")

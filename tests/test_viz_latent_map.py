"""Latent maps: directions and probes on data whose answer is known; codes of a categorical z."""

import numpy as np
import pytest
from figures import assert_readable
from minds import pendulum_agent
from toys import small

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dream import act_out, held_actions
from dreamer_core.viz.latent_map import (
    Rows,
    code_figure,
    codes,
    latent_figure,
    latent_map,
    principal_axes,
    probe,
    r_squared,
    read_latents,
    readable,
)
from dreamer_core.worlds.pendulum import PLANE


def rows(h, places):
    """Rows with this h, and with it as z too."""
    return Rows(h, h, places, PLANE)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_the_principal_axes_of_a_stretched_cloud(random):
    turn, _ = np.linalg.qr(random.normal(size=(4, 4)))
    cloud = random.normal(size=(20_000, 4)) * [3, 2, 1, 0] @ turn.T + 5
    directions, share = principal_axes(cloud)
    assert np.allclose(np.abs(directions.T @ turn), [[1, 0, 0, 0], [0, 1, 0, 0]], atol=0.02)
    assert np.allclose(share, [9 / 14, 4 / 14], atol=0.01)


def test_r_squared_by_hand():
    truth = np.array([0.0, 1.0, 2.0])
    assert r_squared(truth, truth) == 1
    assert r_squared(np.ones(3), truth) == 0
    assert r_squared(np.array([0.0, 1.0, 3.0]), truth) == pytest.approx(1 - 1 / 2)
    assert r_squared(2 - truth, truth) == -3
    both = np.stack([truth, 10 * truth], 1)
    assert r_squared(both + [[0, 0], [0, 0], [0, 1]], both) == pytest.approx(1 - 1 / 202)
    with pytest.raises(ValueError, match="never changes"):
        r_squared(truth, np.ones(3))


def test_a_linear_probe_reads_what_is_linear_and_nothing_else(random):
    x, weights = random.normal(size=(2000, 5)) + 3, random.normal(size=(5, 2))
    y = x @ weights + 7
    assert np.allclose(probe(x[:1000], y[:1000], x[1000:], ridge=0.0), y[1000:])
    assert r_squared(probe(x[:1000], y[:1000], x[1000:]), y[1000:]) > 0.999
    squares = (x[:, :1] - 3) ** 2
    assert abs(r_squared(probe(x[:1000], squares[:1000], x[1000:]), squares[1000:])) < 0.05


def test_a_probe_is_judged_on_rows_it_was_not_fitted_on(random):
    """60 numbers can explain 61 rows of pure noise; held-out rows show that nothing was learned."""
    x, y = random.normal(size=(200, 60)), random.normal(size=(200, 2))
    found = latent_map(rows(x[:61], y[:61]), rows(x[61:], y[61:]), "h")
    assert r_squared(probe(x[:61], y[:61], x[:61]), y[:61]) > 0.8
    assert max(found.r2) < 0


def test_a_latent_that_is_the_truth_is_mapped_as_such(random):
    places = np.stack([random.uniform(-np.pi, np.pi, 600), random.normal(size=600)], 1)
    truth = PLANE.observation(places)
    found = latent_map(rows(truth[:300] * 2, places[:300]), rows(truth[300:] * 2, places[300:]), "h")
    assert min(found.r2) > 0.999
    assert found.points.shape == (300, 2) and found.share.sum() < 1
    noisy = truth + [0, 0, 1] * random.normal(size=(600, 3))  # half of the velocity's variance is noise
    half = latent_map(rows(noisy[:300], places[:300]), rows(noisy[300:], places[300:]), "h")
    assert half.r2[0] > 0.99 and half.r2[1] == pytest.approx(0.5, abs=0.1)


def test_a_coordinate_that_wraps_around_is_read_as_cosine_and_sine():
    """A clock from 0 to 12: at 3 it is a quarter round. What does not wrap around is read as it is."""
    clock = PLANE._replace(low=(0.0, -8.0), high=(12.0, 8.0))
    truth = np.array([[0.0, 5.0], [3.0, 6.0], [6.0, 7.0]])
    assert np.allclose(readable(truth, clock, 0), [[1, 0], [0, 1], [-1, 0]]) and readable(truth, clock, 1).tolist() == [[5], [6], [7]]


def episodes(**wrappers):
    env = envs.make("Pendulum-v1", WrapperConfig(**wrappers))
    return [act_out(env, seed, held_actions(steps, 1, 4, seed)) for seed, steps in ((0, 12), (1, 20))]


def test_latents_are_read_row_by_row():
    rows = read_latents(pendulum_agent(), episodes())
    assert rows.h.shape == (34, 6) and rows.z.shape == (34, 3)
    assert (rows.h[[0, 13]] == 0).all() and (rows.h[1:13] != 0).any(1).all()  # h is 0 where an episode starts
    assert np.allclose(rows.truth, PLANE.place(np.concatenate([episode.observation for episode in episodes()])))


def test_the_truth_may_hold_more_than_the_agent_sees():
    full = [episode.observation for episode in episodes()]
    rows = read_latents(pendulum_agent(wrappers=dict(hide=(2,))), episodes(hide=(2,)), full)
    assert np.allclose(rows.truth, PLANE.place(np.concatenate(full))) and rows.h.shape == (34, 6)


def test_what_the_agent_sees_in_other_units_has_the_same_places():
    agent = pendulum_agent(wrappers=dict(observation_scale=10))
    assert np.allclose(
        read_latents(agent, episodes(observation_scale=10)).truth, read_latents(pendulum_agent(), episodes()).truth, atol=1e-5
    )


def test_the_map_can_be_drawn():
    rows = read_latents(pendulum_agent(), episodes())
    figure = latent_figure({name: latent_map(rows, rows, name) for name in "hz"}, rows)
    assert "$R^2$" in figure.get_axes()[0].get_title() and "coloured by the true angle and velocity" in figure.alt
    assert_readable(figure)


def test_another_worlds_latents_are_coloured_by_its_own_plane():
    agent = Dreamer(small(env="dreamer/PointMass-v0"), 4, 2)
    env = envs.make_for(agent.config)
    seen = [act_out(env, seed, held_actions(12, 2, 4, seed)) for seed in range(2)]
    rows = read_latents(agent, seen)
    assert np.array_equal(rows.truth, np.concatenate([episode.observation[:, :2] for episode in seen]))
    figure = latent_figure({"h": latent_map(rows, rows, "h")}, rows)
    assert [axis.get_ylabel() for axis in figure.get_axes()[2:]] == ["x (m)", "y (m)"] and "the true x and y" in figure.alt
    assert_readable(figure)


def test_rows_without_a_place_are_left_out():
    """FlickerPendulum's blanks."""
    agent = Dreamer(small(env="dreamer/FlickerPendulum-v0"), 3, 1)
    episode = act_out(envs.make_for(agent.config), 1, held_actions(20, 1, 4, 1))
    seen = np.abs(episode.observation).sum(1) > 0
    rows = read_latents(agent, [episode])
    assert 3 < seen.sum() < 18 and np.allclose(rows.truth, PLANE.place(episode.observation[seen])) and len(rows.h) == seen.sum()


def test_what_has_no_plane_is_told_so():
    """A world without one; a hidden velocity, which the truth would tell; a truth that is not whole, or of other rows."""
    recall = Dreamer(small(env="dreamer/Recall-v0"), 2, 1)
    with pytest.raises(
        ValueError, match="^there is no plane of dreamer/Recall-v0 .* give plane.. to the world, or look at its latents with prin"
    ):
        read_latents(recall, [])
    blind, hidden = pendulum_agent(wrappers=dict(hide=(2,))), episodes(hide=(2,))
    with pytest.raises(DreamerError, match="^there is no plane of Pendulum-v1 .* give truth=, each episode's whole observations, or"):
        read_latents(blind, hidden)
    for wrong in ([e.observation for e in hidden], [e.observation[1:] for e in episodes()]):
        with pytest.raises(
            DreamerError, match=r"^this truth has the shape .* Pendulum-v1 shows cos θ, sin θ, velocity: give a row for each"
        ):
            read_latents(blind, hidden, wrong)


def test_a_code_figure_needs_a_name_for_each_observation():
    with pytest.raises(DreamerError, match="^2 labels were given for 3 observations: give one for each"):
        code_figure(np.ones((5, 2, 4)) / 4, np.ones((5, 3)), ["cos", "sin"])


def test_codes_are_probabilities_of_each_class():
    agent = pendulum_agent(model=dict(latent="categorical"))
    (episode, _) = episodes()
    probs = codes(agent, episode)
    assert probs.shape == (13, 3, 4)
    assert np.allclose(probs.sum(-1), 1, atol=1e-5) and probs.min() >= 0.01 / 4 - 1e-6
    figure = code_figure(probs, episode.observation, ["cos", "sin", "velocity"])
    assert np.array_equal(figure.get_axes()[1].images[0].get_array()[5], probs[:, 1, 1])  # group 1, class 1 is line 1 * 4 + 1
    assert_readable(figure)


def test_the_words_count_the_classes_in_use():
    probs = np.zeros((5, 2, 4))
    probs[:, 0, 3] = 1  # one group never changes
    probs[[0, 1, 2, 3, 4], 1, [0, 1, 2, 2, 2]] = 1  # the other changes twice in four steps
    alt = code_figure(probs, np.arange(5.0)[:, None], ["x"]).alt
    assert "4 of 8 classes are ever the likely one" in alt and "in 25% of the steps" in alt


def test_a_gaussian_z_has_no_classes():
    with pytest.raises(ValueError, match="Gaussian"):
        codes(pendulum_agent(), episodes()[0])

"""Latent maps: directions and probes on data whose answer is known; codes of a categorical z."""

import numpy as np
import pytest
from figures import assert_readable
from minds import pendulum_agent

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dream import act_out, held_actions
from dreamer_core.viz.latent_map import code_figure, codes, latent_figure, latent_map, principal_axes, probe, r_squared, read_latents


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
    x, y = random.normal(size=(200, 60)), random.normal(size=(200, 3))
    found = latent_map(x[:61], y[:61], x[61:], y[61:])
    assert r_squared(probe(x[:61], y[:61], x[:61]), y[:61]) > 0.8
    assert found.r2_angle < 0 and found.r2_velocity < 0


def test_a_latent_that_is_the_truth_is_mapped_as_such(random):
    angle, velocity = random.uniform(-np.pi, np.pi, 600), random.normal(size=600)
    truth = np.stack([np.cos(angle), np.sin(angle), velocity], 1)
    found = latent_map(truth[:300] * 2, truth[:300], truth[300:] * 2, truth[300:])
    assert found.r2_angle > 0.999 and found.r2_velocity > 0.999
    assert found.points.shape == (300, 2) and found.share.sum() < 1
    noisy = truth + [0, 0, 1] * random.normal(size=(600, 3))  # half of the velocity's variance is noise
    half = latent_map(noisy[:300], truth[:300], noisy[300:], truth[300:])
    assert half.r2_angle > 0.99 and half.r2_velocity == pytest.approx(0.5, abs=0.1)


def episodes(**wrappers):
    env = envs.make("Pendulum-v1", WrapperConfig(**wrappers))
    return [act_out(env, seed, held_actions(steps, 1, 4, seed)) for seed, steps in ((0, 12), (1, 20))]


def test_latents_are_read_row_by_row():
    rows = read_latents(pendulum_agent(), episodes())
    assert rows.h.shape == (34, 6) and rows.z.shape == (34, 3)
    assert (rows.h[[0, 13]] == 0).all() and (rows.h[1:13] != 0).any(1).all()  # h is 0 where an episode starts
    assert np.array_equal(rows.truth, np.concatenate([episode.observation for episode in episodes()]))


def test_the_truth_may_hold_more_than_the_agent_sees():
    full = [episode.observation for episode in episodes()]
    rows = read_latents(pendulum_agent(wrappers=dict(hide=(2,))), episodes(hide=(2,)), full)
    assert rows.truth.shape == (34, 3) and rows.h.shape == (34, 6)


def test_the_map_can_be_drawn():
    rows = read_latents(pendulum_agent(), episodes())
    figure = latent_figure(
        {name: latent_map(getattr(rows, name), rows.truth, getattr(rows, name), rows.truth) for name in "hz"}, rows.truth
    )
    assert "$R^2$" in figure.get_axes()[0].get_title()
    assert_readable(figure)


@pytest.mark.parametrize("env", ["PointMass-v0", "MountainCarContinuous-v0"])
def test_another_worlds_latents_are_not_coloured_by_an_angle(env):
    agent = pendulum_agent()
    agent.config.env = env
    with pytest.raises(DreamerError, match=f"^the map of angle and velocity is Pendulum-v1's, but this agent was made for {env}: give one"):
        read_latents(agent, episodes())


def test_a_truth_that_holds_no_angle_is_refused(random):
    """A point mass's position and velocity; an angle without its velocity; and whole rows, as they should be."""
    rows = read_latents(pendulum_agent(), episodes())
    maps = {"h": latent_map(rows.h, rows.truth, rows.h, rows.truth)}
    for wrong in (random.normal(size=(34, 3)), rows.truth[:, :2], np.concatenate([rows.truth, rows.truth], 1)):
        with pytest.raises(DreamerError, match="this truth does not hold cosine, sine and velocity: give Pendulum's whole observation"):
            latent_figure(maps, wrong)
    with pytest.raises(DreamerError, match="this truth does not hold cosine, sine and velocity"):  # which the agent did not see either
        read_latents(pendulum_agent(wrappers=dict(hide=(2,))), episodes(hide=(2,)))


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

"""Pictures beside pictures: errors in colour, covered parts, shares of an error, surprise, and what stands in a strip and a film."""

import re

import numpy as np
import pytest
import torch
from figures import complaints
from runs import tiny

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import WrapperConfig
from dreamer_core.latents import gaussian_stats
from dreamer_core.viz import frames
from dreamer_core.viz.dream import act_out, believe, dream, held_actions, reconstruct

PIXELS = tiny(env="dreamer/PixelPendulum-v0", model=dict(channels=3))


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    return Dreamer(PIXELS, (32, 32, 1), 1)


@pytest.fixture(scope="module")
def env():
    return envs.make("dreamer/PixelPendulum-v0", WrapperConfig())


@pytest.fixture(scope="module")
def episode(env):
    return act_out(env, 3, held_actions(20, 1, 4, seed=0))


def test_orange_is_too_much_light_and_purple_too_little():
    real = np.full((1, 3, 1), 100, np.uint8)
    told = np.array([[[100.0], [355.0], [-155.0]]])
    right, more, less = frames.error_picture(told, real)[0]
    assert right.tolist() == [255, 255, 255], "what is right is not white"
    assert more.tolist() == [0xCC, 0x7A, 0x00] and less.tolist() == [0xC4, 0x6B, 0xA0], f"too much is {more}, too little {less}"
    half = frames.error_picture(np.array([[[227.5]]]), np.array([[[100]]], np.uint8))[0, 0]
    assert np.abs(half - (np.array([255, 255, 255]) + [0xCC, 0x7A, 0x00]) / 2).max() <= 1, "half an error is not half as dark"


def test_numbers_beyond_the_bytes_are_drawn_as_the_nearest():
    seen = frames.as_seen(np.array([[[-20.0], [99.6], [300.0]]]))
    assert seen.dtype == np.uint8 and seen.tolist() == [[[0] * 3, [100] * 3, [255] * 3]]


def test_surprise_is_the_kl_of_posterior_from_prior(agent, episode):
    """Of one filtering whose luck is known, with torch's own divergence of Normals."""
    torch.manual_seed(4)
    found = frames.surprise(agent, episode, count=3)
    torch.manual_seed(4)
    beliefs, latent = believe(agent, episode, 3), agent.model.rssm.latent
    with torch.no_grad():
        pair = beliefs.posterior, agent.model.rssm.prior(beliefs.h)
        normals = [torch.distributions.Normal(*gaussian_stats(params, latent.min_std)) for params in pair]
    wanted = torch.distributions.kl_divergence(*normals).sum(-1).mean(0)
    assert found.shape == (21,)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_true_states_are_those_that_were_painted(env, episode):
    """The light of each picture lies in the direction of its state's angle."""
    states = frames.true_states(env, 3, episode)
    light, place = episode.observation[..., 0].astype(float), np.arange(32) - 15.5
    seen = np.arctan2(-(light * place).sum((1, 2)), -(light * place[:, None]).sum((1, 2)))
    off = np.degrees(abs(np.angle(np.exp(1j * (seen - states[:, 0])))))
    assert states.shape == (21, 2) and off.max() < 2, f"the light is off by up to {off.max():.1f} degrees"


def test_an_episode_of_pictures_is_filtered_and_dreamt_in_its_own_shape(agent, episode):
    assert reconstruct(agent, episode).shape == episode.observation.shape
    assert dream(agent, episode, 5, 10, 4, act=False).shape == (4, 11, 32, 32, 1)


def tellings(episode):
    real = episode.observation
    return {"real": real, "dream": np.clip(real + 40.0, 0, 255)}


def test_a_strip_shows_each_telling_and_where_it_is_wrong(episode):
    figure = frames.strip(tellings(episode), [0, 5, 10], start=5, title="a strip")
    heads = [axis.get_title() for axis in figure.axes if axis.get_title()]
    sides = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert heads == ["step 0", "step 5", "+5"], "what is dreamt is not told from what was seen"
    assert sides == ["real", "dream", "dream,\nwrong"]
    drawn = [axis.images[0].get_array() for axis in figure.axes]
    assert np.array_equal(drawn[1][..., 0], episode.observation[5, ..., 0]), "the second column is not step 5"
    assert not complaints(figure) and "40.0 grey levels" not in figure.alt and "grey levels" in figure.alt


def test_a_film_has_a_frame_a_step_and_words(episode):
    shown = list(frames.screens(tellings(episode), start=5))
    height, width, _ = shown[0].shape
    assert len(shown) == 21 and height % 2 == width % 2 == 0
    film = frames.film(tellings(episode), 5, [0, 10]).data
    assert re.search(r"<video [^>]*aria-label=\"[^\"]{20,}\"", film) and re.search(r'<img alt="[^"]{20,}"', film)


def test_surprise_is_drawn_with_its_highest_value():
    curve = np.full(30, 0.5)
    curve[12] = 7.25
    figure = frames.surprise_figure({"nothing covered": curve, "covered": 2 * curve}, (10, 15), "surprise")
    assert "7.2 nats at most, at step 12" in figure.alt or "7.3 nats at most, at step 12" in figure.alt, figure.alt
    assert "covered from step 10 to 14" in figure.alt and not complaints(figure)

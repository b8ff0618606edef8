"""Frames as arrays: errors in colour, and pictures that keep their shape on the way through the model."""

import numpy as np
import pytest
import torch
from runs import tiny

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import WrapperConfig
from dreamer_core.viz import frames
from dreamer_core.viz.dream import act_out, dream, held_actions, reconstruct, true_states

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


def test_true_states_are_those_that_were_painted(env, episode):
    """The light of each picture lies in the direction of its state's angle."""
    states = true_states(env, 3, episode)
    light, place = episode.observation[..., 0].astype(float), np.arange(32) - 15.5
    seen = np.arctan2(-(light * place).sum((1, 2)), -(light * place[:, None]).sum((1, 2)))
    off = np.degrees(abs(np.angle(np.exp(1j * (seen - states[:, 0])))))
    assert states.shape == (21, 2) and off.max() < 2, f"the light is off by up to {off.max():.1f} degrees"


def test_an_episode_of_pictures_is_filtered_and_dreamt_in_its_own_shape(agent, episode):
    assert reconstruct(agent, episode).shape == episode.observation.shape
    assert dream(agent, episode, 5, 10, 4, act=False).shape == (4, 11, 32, 32, 1)

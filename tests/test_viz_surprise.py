"""Surprise: the KL along an episode, its greatest moment, and a world that is moved by hand."""

import numpy as np
import pytest
import torch
from figures import assert_readable, complaints, lines
from minds import pendulum_agent, without_chance
from toys import small

from dreamer_core import envs
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dream import act_out, held_actions
from dreamer_core.viz.surprise import covered_figure, meddled, surprise, surprise_figure
from dreamer_core.worlds.drawing import whole
from dreamer_core.worlds.plane import NoPlane

NAMES = ["cos", "sin", "velocity"]
STILL = {"deter": 4, "stoch": 2}


@pytest.fixture
def env():
    return envs.make_for(pendulum_agent().config)


def bare():
    """An agent whose prior is N(0, 2) and whose posterior is N(e, 1) for each of two entries, with e the first two observations."""
    agent = without_chance(pendulum_agent(model=STILL))
    rssm = agent.model.rssm

    def bell(mean, std):
        """Parameters of a Normal: a mean, and what softplus and the least width make `std` of."""
        return torch.cat([mean, torch.full_like(mean, float(np.log(np.expm1(std - rssm.config.min_std))))], -1)

    rssm.prior.forward = lambda h: bell(torch.zeros(*h.shape[:-1], 2), 2.0)
    rssm.posterior = lambda h, embed: bell(embed[..., :2], 1.0)
    agent.model.encode = lambda observation: observation
    return agent


def test_the_surprise_is_the_textbooks_kl(env):
    """KL[N(m, 1) || N(0, 2)] = ln 2 + (1 + m^2) / 8 - 1/2, summed over both entries; cos^2 + sin^2 = 1 in every row."""
    episode, wide = act_out(env, 3, held_actions(12, 1, 4, 0)), 2 * (np.log(2) + 1 / 8 - 1 / 2)
    found = surprise(bare(), episode, count=3)
    assert np.allclose(found.kl, wide + 1 / 8, atol=1e-5), "the surprise is not the KL of the posterior from the prior, in nats"
    far = episode._replace(observation=episode.observation * np.where(np.arange(13) == 7, 3, 1)[:, None].astype(np.float32))
    found = surprise(bare(), far, count=3)
    assert found.moment == 7 and np.isclose(found.kl[7], wide + 9 / 8, atol=1e-4), "at row 7 it is three times as far"


def test_expected_is_the_prior_decoded_and_believed_the_posterior(env):
    agent = bare()
    agent.model.decode = lambda state: state[..., -2:]  # z itself
    episode = act_out(env, 3, held_actions(12, 1, 4, 0))
    found = surprise(agent, episode, count=2)
    assert np.allclose(found.expected, 0), "expected must be a draw of the prior, whose mean is 0 here"
    assert np.allclose(found.believed, episode.observation[:, :2], atol=1e-6), "believed must be the posterior, the observation here"


def test_the_first_row_is_never_the_moment_of_surprise(env):
    episode = act_out(env, 3, held_actions(12, 1, 4, 0))
    episode.observation[0] *= 50
    assert surprise(bare(), episode, count=1).moment > 0, "nothing was expected of row 0, so nothing there can surprise"


def test_a_hand_changes_one_row_and_what_follows_from_it(env):
    config = pendulum_agent().config
    actions = held_actions(20, 1, 4, 0)
    plain, moved = act_out(env, 5, actions), meddled(env, config, 5, actions, 8, (1.0, -2.0))
    assert np.array_equal(plain.observation[:8], moved.observation[:8]), "rows before the hand changed"
    assert np.allclose(moved.observation[8], [np.cos(1), np.sin(1), -2], atol=1e-6), "the world is not where the hand put it"
    envs.reset(env, 5, 0)
    whole(config).plane.state(env, np.array([1.0, -2.0]))
    assert np.allclose(env.step(actions[8])[0], moved.observation[9], atol=1e-6), "what follows does not follow from there"


def test_a_hidden_entry_stays_hidden_when_a_hand_changes_it():
    config = pendulum_agent(wrappers={"hide": (2,)}).config
    hidden, actions = envs.make_for(config), held_actions(20, 1, 4, 0)
    plain = act_out(hidden, 5, actions)
    angle = np.arctan2(*plain.observation[8][::-1])
    moved = meddled(hidden, config, 5, actions, 8, (angle, 6.0))
    assert np.allclose(moved.observation[:9], plain.observation[:9], atol=1e-6), (
        "the velocity is hidden: nothing shows in the row of the kick"
    )
    assert not np.allclose(moved.observation[9], plain.observation[9], atol=1e-2), "one row later it must show"


def test_a_world_that_cannot_be_moved_and_a_row_outside_are_told(env):
    config, actions = pendulum_agent().config, held_actions(20, 1, 4, 0)
    with pytest.raises(NoPlane, match="^the simulator of dreamer/Recall-v0 cannot be put at a place"):
        meddled(env, small(env="dreamer/Recall-v0"), 5, actions, 8, (0, 0))
    with pytest.raises(ValueError, match="^a hand cannot move the world at row 20 of an episode of 20 steps"):
        meddled(env, config, 5, actions, 20, (0, 0))


@pytest.mark.parametrize("latent", ["gaussian", "categorical"])
def test_the_figure_marks_the_moment_in_every_panel(env, latent):
    agent = pendulum_agent(model={"latent": latent})
    found = surprise(agent, act_out(env, 3, held_actions(12, 1, 4, 0)), count=4)
    figure = surprise_figure(found, NAMES, "surprise")
    assert len(figure.axes) == 5
    assert all(any(line.get_xdata()[0] == found.moment == line.get_xdata()[1] for line in axis.lines) for axis in figure.axes)
    assert f"greatest at step {found.moment}" in figure.alt
    assert_readable(figure)
    with pytest.raises(DreamerError, match="2 labels were given for 3 observations"):
        surprise_figure(found, NAMES[1:])


def test_the_surprise_of_several_ways_of_seeing_is_drawn_with_its_highest_value():
    """Not that of step 0, at which nothing was expected."""
    curve = np.full(30, 0.5)
    curve[0], curve[12] = 99, 7.25
    figure = covered_figure({"nothing covered": curve, "covered": 2 * curve}, (10, 15), "surprise")
    assert "nothing covered: 7.2 nats at most, at step 12; covered: 14.5 nats at most, at step 12." in figure.alt, figure.alt
    assert "covered from step 10 to 14" in figure.alt and not complaints(figure)
    assert {label: x[0] for label, (x, _) in lines(figure.axes[0]).items()} == {"nothing covered": 1, "covered": 1}

"""Dreams beside real episodes: when they depart, what they are shown, and that nothing leaks from the future."""

import numpy as np
import pytest
import torch
from figures import assert_readable, lines
from minds import pendulum_agent, without_chance

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dream import (
    Episode,
    act_out,
    believe,
    departure,
    dream,
    dream_figure,
    dream_on,
    following,
    held_actions,
    play,
    reconstruct,
)

NAMES = ["cos", "sin", "velocity"]


@pytest.fixture
def env():
    return envs.make("Pendulum-v1", WrapperConfig())


def episode(env, steps=20, seed=3):
    return act_out(env, seed, held_actions(steps, 1, 4, seed))


# --- departure, by hand ---------------------------------------------------------------------------


def outside(*rows):
    """Real rows of two entries that lie in the band [-1, 1], but for (row, entry) in rows, which lie at 2."""
    real = np.zeros((10, 2))
    for row in rows:
        real[row] = 2
    return real, -np.ones((10, 2)), np.ones((10, 2))


def test_a_dream_that_holds_never_departs():
    assert departure(*outside()) is None


def test_three_rows_outside_are_a_departure_and_two_are_not():
    assert departure(*outside((1, 0), (2, 0), (5, 0), (6, 0), (7, 0), (8, 0))) == 5
    assert departure(*outside((1, 0), (2, 0), (4, 0), (5, 0))) is None
    assert departure(*outside((1, 0), (2, 0)), patience=2) == 1


def test_it_must_be_the_same_entry_throughout():
    assert departure(*outside((3, 0), (4, 1), (5, 0))) is None
    assert departure(*outside((3, 1), (4, 1), (5, 1))) == 3


def test_below_counts_as_much_as_above_and_the_last_rows_count_too():
    real, low, high = outside((7, 1), (8, 1), (9, 1))
    assert departure(-real, low, high) == 7


def test_a_miss_within_the_margin_does_not_count():
    real, low, high = outside((3, 1), (4, 1), (5, 1))
    assert departure(real, low, high, margin=np.array([0.0, 1.1])) is None
    assert departure(real, low, high, margin=np.array([1.1, 0.9])) == 3
    assert departure(-real, low, high, margin=1.1) is None and departure(-real, low, high, margin=0.9) == 3


def test_too_short_a_dream_cannot_depart():
    real, low, high = outside((0, 0), (1, 0))
    assert departure(real[:2], low[:2], high[:2]) is None


# --- beliefs and dreams ---------------------------------------------------------------------------


def test_filtering_an_episode_gives_the_beliefs_held_while_it_was_played(env):
    agent = without_chance(pendulum_agent())
    played = play(agent, env, seed=1)
    carry, first, held = agent.initial(1), torch.ones(1), []
    for observation in played.observation:
        carry = agent.policy(carry, torch.from_numpy(observation)[None], first, explore=False)
        first = torch.zeros(1)
        held.append(carry)
    beliefs = believe(agent, played, count=2)
    assert beliefs.h.shape == (2, 201, 6)
    for number in range(2):
        torch.testing.assert_close(beliefs.h[number], torch.cat([c.h for c in held]))
        torch.testing.assert_close(beliefs.z[number], torch.cat([c.z for c in held]))
    torch.testing.assert_close(torch.from_numpy(reconstruct(agent, played)), agent.model.decode(beliefs.features)[0])


def test_an_episode_is_played_in_the_world_of_the_age_that_is_named():
    """The pendulum of step 1,500 on moves otherwise under the same torques, and under the same agent."""
    world, agent = envs.make("dreamer/ChangingPendulum-v0", WrapperConfig()), pendulum_agent()
    torques = held_actions(20, 1, 4, 0)
    for young, old in (
        [act_out(world, 3, torques, age) for age in (0, 1500)],
        [play(agent, world, 3, age) for age in (0, 1500)],
    ):
        assert np.array_equal(young.observation[0], old.observation[0])
        assert not np.allclose(young.observation[1], old.observation[1], atol=1e-3), "the changed pendulum moves as it did before"


def test_a_dream_follows_the_model_step_by_step(env):
    agent = without_chance(pendulum_agent())
    real = episode(env)
    beliefs = believe(agent, real)
    dreams = dream(agent, real, start=5, steps=4, count=3, act=False)
    h, z, expected = beliefs.h[0, 5], beliefs.z[0, 5], []
    for t in range(5, 10):
        expected.append(agent.model.decode(torch.cat([h, z])).detach().numpy())
        if t < 9:
            h = agent.model.rssm.step(h[None], z[None], torch.from_numpy(real.action[t])[None])[0]
            z = agent.model.rssm.latent.mode(agent.model.rssm.prior(h))
    assert dreams.shape == (3, 5, 3)
    assert np.allclose(dreams, np.array(expected), atol=1e-6)


def test_the_actor_can_act_in_the_dream(env):
    agent = without_chance(pendulum_agent())
    real = episode(env)
    states = dream_on(agent, believe(agent, real), [5], 3)[0, 0]  # (4, F)
    for t in range(3):
        h, z = states[t, :6], states[t, 6:]
        following_h = agent.model.rssm.step(h[None], z[None], agent.sac.actor.mode(states[t])[None])[0]
        torch.testing.assert_close(states[t + 1, :6], following_h)


def test_nothing_after_the_start_is_seen(env):
    agent = pendulum_agent()
    real = episode(env)
    changed = Episode(real.observation.copy(), real.action.copy(), real.reward.copy())
    changed.observation[6:] += 100
    changed.reward[:] = 0
    dreams = []
    for shown in (real, changed):
        torch.manual_seed(1)
        dreams.append(dream(agent, shown, start=5, steps=10, count=4, act=False))
    assert np.array_equal(*dreams)
    changed.observation[5] += 100
    torch.manual_seed(1)
    assert not np.allclose(dream(agent, changed, start=5, steps=10, count=4, act=False), dreams[0])


def test_dreams_from_many_starts_are_the_dreams_from_each(env):
    agent = without_chance(pendulum_agent())
    real = episode(env)
    starts, steps = [0, 7, 12], 6
    together = agent.model.decode(dream_on(agent, believe(agent, real, 2), starts, steps, following(real, starts, steps))).detach().numpy()
    assert together.shape == (2, 3, 7, 3)
    for number, start in enumerate(starts):
        assert np.allclose(together[:, number], dream(agent, real, start, steps, 2, act=False), atol=1e-6)


def test_dreams_that_cannot_be_are_turned_away(env):
    agent = pendulum_agent()
    real = episode(env, steps=20)
    assert dream(agent, real, 15, 5, 2, act=False).shape == (2, 6, 3)
    with pytest.raises(ValueError, match="go past its end"):
        dream(agent, real, 16, 5, 2, act=False)
    with pytest.raises(ValueError, match="rows 0 to 20"):
        dream(agent, real, 21, 5, 2, act=True)
    with pytest.raises(ValueError, match="cannot start at row -1"):
        dream(agent, real, -1, 5, 2, act=True)
    with pytest.raises(ValueError, match="needs as many actions"):
        dream_on(agent, believe(agent, real), [0], 5, np.zeros((1, 4, 1), np.float32))


# --- acting it out --------------------------------------------------------------------------------


def test_acting_out_an_episode_again_gives_the_same_episode(env):
    played = play(pendulum_agent(), env, seed=4)
    again = act_out(env, 4, played.action)
    assert all(np.array_equal(a, b) for a, b in zip(played, again))


def test_acting_out_stops_where_the_episode_ends(env):
    found = act_out(env, 0, np.zeros((300, 1), np.float32))
    assert [len(part) for part in found[:3]] == [201, 200, 200]


def test_held_choices_are_one_hot_and_held():
    actions = held_actions(2000, 3, 4, seed=0, discrete=True)
    assert np.array_equal(np.sort(actions, -1), np.tile([0, 0, 1], (2000, 1))), "a choice that is not one-hot"
    assert actions.mean(0) == pytest.approx([1 / 3] * 3, abs=0.1), "how often each action is chosen"
    assert (actions[1:] != actions[:-1]).any(-1).mean() == pytest.approx(1 / 4 * 2 / 3, abs=0.04), "how often another one is chosen"


def test_held_actions_are_held():
    actions = held_actions(20_000, 2, hold=5, seed=0)
    assert actions.shape == (20_000, 2) and actions.dtype == np.float32
    assert np.abs(actions).max() <= 1 and abs(actions.mean()) < 0.05
    changes = (np.diff(actions[:, 0]) != 0).mean()
    assert changes == pytest.approx(1 / 5, rel=0.05)
    assert np.array_equal(actions, held_actions(20_000, 2, 5, 0)) and not np.array_equal(actions, held_actions(20_000, 2, 5, 1))


# --- the figure -----------------------------------------------------------------------------------


def test_the_figure_marks_the_departure():
    real = np.zeros((12, 3))
    real[:, 0] = np.arange(12)
    dreams = np.repeat(real[None, 2:], 5, 0)
    dreams[:, 4:, 1] = 1.0  # from the dream's row 4 on, the second entry is wrong
    figure = dream_figure(real, dreams, 2, NAMES, "title", posterior=real + 0.1)
    for axis in figure.get_axes():
        assert np.allclose(lines(axis)["departs after 4 steps"][0], 6)
        assert {"real", "median dream (prior)", "filtered (posterior)"} <= lines(axis).keys()
    assert "departs from the band 4 steps later" in figure.alt
    assert_readable(figure)


def test_a_faithful_dream_is_not_marked():
    real = np.random.default_rng(0).normal(size=(12, 3))
    figure = dream_figure(real, np.repeat(real[None, 2:], 5, 0), 2, NAMES)
    assert not [label for axis in figure.get_axes() for label in lines(axis) if "departs" in label]
    assert "does not depart" in figure.alt
    assert_readable(figure)


def test_a_dream_may_outlast_the_episode():
    real = np.random.default_rng(0).normal(size=(6, 3))
    assert_readable(dream_figure(real, np.zeros((5, 20, 3)), 2, NAMES))


def test_long_names_of_neighbours_do_not_overlap():
    """Four panels are the lowest, and a world of one's own may have words of any length."""
    names = ("across (m)", "velocity across (m/s)", "velocity along (m/s)", "angular velocity of the load (rad/s)")
    figure = dream_figure(np.zeros((20, 4)), np.zeros((4, 10, 4)), 5, names, "title")
    figure.canvas.draw()
    labels = [axis.yaxis.label.get_window_extent() for axis in figure.get_axes()]
    assert all(lower.y1 < upper.y0 for upper, lower in zip(labels, labels[1:])), labels
    assert figure.get_axes()[0].get_ylabel() == names[0], "a short name is changed"
    assert_readable(figure)


def test_a_figure_needs_a_name_for_each_observation():
    """One too few, and a name would stand beside another curve; one too many, and there would be no curve."""
    for names in (NAMES[1:], [*NAMES, "torque"]):
        with pytest.raises(DreamerError, match=f"^{len(names)} labels were given for 3 observations: give one for each$"):
            dream_figure(np.zeros((20, 3)), np.zeros((4, 10, 3)), 5, names)

"""Age and staleness of the stored states: zero when nothing changed, and what the numbers say otherwise."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from minds import pendulum_agent, without_chance
from toys import fill, numbers, same

from dreamer_core import envs
from dreamer_core.errors import NotEnoughData
from dreamer_core.viz.dream import act_out, held_actions
from dreamer_core.viz.staleness import kl_by_row, live_through, relative_l2, rerun, staleness, staleness_figure


def test_the_distance_by_hand():
    stored = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    fresh = torch.tensor([[0.0, 4.0], [1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    assert relative_l2(stored, fresh).tolist() == [0.75, 0, 0, np.inf]


def test_nothing_is_stale_while_nothing_has_changed():
    agent = fill(without_chance(pendulum_agent()), rows=40, episode=8)
    found = staleness(agent)
    assert found.row.tolist() == list(range(40)) and found.left_out == 0
    assert found.error.max() < 1e-5 and found.floor.max() == 0 and found.age.max() == 0


def test_chance_in_z_is_a_floor_and_not_staleness():
    found = staleness(fill(pendulum_agent(), rows=400, episode=20))
    inside = found.row % 20 > 0  # where an episode starts, h is 0
    assert (found.floor[inside] > 0).all()
    assert np.median(found.error) == pytest.approx(np.median(found.floor), rel=0.2)


def test_a_changed_model_makes_old_states_wrong_and_only_those():
    agent = fill(without_chance(pendulum_agent()), rows=16, episode=8)
    with torch.no_grad():
        agent.model.rssm.cell.weight_hh.add_(0.5)
        agent.model.rssm.cell.bias_ih.add_(0.5)
    agent.grad_steps = 7
    found = staleness(fill(agent, rows=16, episode=8))
    old, start = found.row < 16, found.row % 8 == 0
    assert (found.error[old & ~start] > 0.01).all()
    assert found.error[~old].max() < 1e-5 and found.error[start].max() == 0
    assert (found.age[old] == 7).all() and (found.age[~old] == 0).all()


def test_written_back_states_are_young():
    agent = fill(without_chance(pendulum_agent()), rows=16, episode=8)
    window = agent.replay.window(torch.tensor([0]), 5)
    agent.replay.write_back(window.index, torch.zeros(1, 5, 6), torch.zeros(1, 5, 3), update=4)
    agent.grad_steps = 6
    found = staleness(agent)
    assert found.age.tolist() == [6, 2, 2, 2, 2] + 11 * [6]
    assert np.allclose(found.error[1:5], 1, atol=1e-6)  # a stored zero is as far away as h is long


def test_rows_whose_episode_start_is_gone_are_counted_as_left_out():
    agent = fill(without_chance(pendulum_agent()), rows=130, episode=8)  # the buffer keeps 100: rows 30 to 129
    found = staleness(agent)
    assert found.left_out == 2 and found.row.tolist() == list(range(32, 130))
    assert found.error.max() < 1e-5
    assert "2 (ring)" in staleness_figure({"ring": found}).caption


def test_a_buffer_without_any_episode_start_is_turned_away():
    agent = fill(pendulum_agent(replay=dict(capacity=6)), rows=20, episode=40)
    with pytest.raises(NotEnoughData, match="first row"):
        staleness(agent)


def test_a_rerun_starts_every_episode_from_zero_and_leaves_out_no_row():
    found = rerun(fill(without_chance(pendulum_agent()), rows=20, episode=8))
    assert found.row.tolist() == list(range(20))
    assert (found.fresh[[0, 8, 16]] == 0).all() and (found.fresh[[1, 9, 17]] != 0).any(1).all()
    assert torch.equal(found.fresh, found.again)
    torch.testing.assert_close(found.stored, found.fresh, rtol=1e-4, atol=1e-5)


def test_the_kl_of_every_row_averages_to_what_the_loss_reports():
    agent = fill(pendulum_agent(), rows=40, episode=8)
    window = agent.replay.sample(6, 5)
    torch.manual_seed(3)
    kl = kl_by_row(agent, window)
    torch.manual_seed(3)
    losses, _ = agent.model.loss(window)
    assert kl.shape == (6, 5) and kl.mean() == pytest.approx(losses["stat_kl"].item(), rel=1e-5)


def test_living_through_an_episode_stores_it_as_the_training_loop_would():
    """Rows, rewards that arrive one row later, no action at the end; learning after the random steps and then every few rows."""
    schedule = dict(prefill=10, every=5, pretrain_model=2, pretrain_both=0, model_updates=3, agent_updates=0)
    agent = pendulum_agent(schedule=schedule)
    env = envs.make("Pendulum-v1", agent.config.wrappers)
    episodes = [act_out(env, seed, held_actions(10, 1, 4, seed)) for seed in (1, 2)]
    before = numbers(agent.sac)
    rounds = list(live_through(agent, episodes))
    assert len(rounds) == 3 and agent.grad_steps == 2 + 3 + 3  # at rows 10, 15 and 20
    replay = agent.replay
    assert len(replay) == 22 and replay.data["first"][:22].nonzero().flatten().tolist() == [0, 11]
    for start, episode in zip((0, 11), episodes):
        window = replay.window(torch.tensor([start]), 11)
        assert np.array_equal(window.observation[0], episode.observation)
        assert np.array_equal(window.action[0, :10], episode.action) and window.action[0, 10] == 0
        assert window.reward[0, 0] == 0 and np.allclose(window.reward[0, 1:], episode.reward)
    assert same(numbers(agent.sac), before)


def test_the_figure():
    found = staleness(fill(pendulum_agent(), rows=40, episode=8))
    assert_readable(staleness_figure({"free windows": found, "fixed chunks": found}, "stale"))
    assert_readable(staleness_figure({"free windows": found}))

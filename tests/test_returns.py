"""Returns as pure functions, and trajectories as plain data."""

import math

import pytest
import torch
from toys import random_trajectories

from dreamer_core.returns import alive_weight, backup, hoped_value, lambda_return, one_step_spread, soft_value
from dreamer_core.trajectories import Trajectories

DOUBLE = torch.float64


def row(*numbers):
    return torch.tensor([numbers], dtype=DOUBLE)


def test_soft_value_by_hand():
    """Q = 3, log pi = -2, alpha = 0.5: 3 + 0.5 * 2 = 4."""
    assert soft_value(torch.tensor(3.0), torch.tensor(-2.0), 0.5).item() == 4


def test_soft_value_averages_to_q_plus_alpha_entropy():
    policy = torch.distributions.Normal(torch.tensor(0.3), torch.tensor(0.7))
    action = policy.sample((200_000,))
    mean = soft_value(action.square(), policy.log_prob(action), 0.2).mean().item()
    assert mean == pytest.approx(0.3**2 + 0.7**2 + 0.2 * policy.entropy().item(), abs=0.01)


def test_backup_by_hand():
    """An ordinary step, one into a terminal state, one that may be the last: 1 + 0.9 * 10, -2, 0.9 * 0.5 * 8."""
    torch.testing.assert_close(backup(row(1, -2, 0), row(1, 0, 0.5), row(10, 30, 8), 0.9), row(10, -2, 3.6))


def test_the_spread_of_one_step_returns_by_hand():
    """One end in four steps: v = 1 / (1 - 0.5 * 0.75) = 1.6, backups 1.8, 1.8, 1.8, 1. No end: v = 1 / (1 - 0.5) = 2, backups 1 and 3."""
    assert one_step_spread(row(1, 1, 1, 1)[0], row(1, 1, 1, 0)[0], 0.5) == pytest.approx(math.sqrt(0.12), rel=1e-12)
    assert one_step_spread(row(0, 2)[0], row(1, 1)[0], 0.5) == pytest.approx(1, rel=1e-12)


def test_the_spread_follows_the_units_of_rewards_and_not_a_constant_that_is_added():
    reward, cont = torch.randn(50, dtype=DOUBLE), torch.ones(50, dtype=DOUBLE)
    spread = one_step_spread(reward, cont, 0.9)
    assert one_step_spread(100 * reward, cont, 0.9) == pytest.approx(100 * spread, rel=1e-9), "in other units"
    assert one_step_spread(reward + 5, cont, 0.9) == pytest.approx(spread, rel=1e-9), "a constant added"
    cont[::7] = 0
    spread = one_step_spread(reward, cont, 0.9)
    assert one_step_spread(100 * reward, cont, 0.9) == pytest.approx(100 * spread, rel=1e-9), "the same where episodes end"


def test_returns_that_are_all_alike_have_no_spread():
    """0.7 has no exact float, so the mean of 24 of them is not quite that; and with gamma = 1 no more than all rewards are added up."""
    assert one_step_spread(torch.full((24,), 0.7), torch.ones(24), 0.9) == 0, "rewards of 0.7"
    assert one_step_spread(torch.zeros(7), torch.ones(7), 0.9) == 0, "no rewards at all"
    assert one_step_spread(torch.full((8,), 3.0), torch.ones(8), 1.0) == 0, "without a discount"


def test_the_value_that_is_hoped_for_by_hand():
    """The best of: 1 for ever, 1 / (1 - 0.5); 3 and an end. Then with a larger one that goes on, and without a discount."""
    assert hoped_value(row(1, 3)[0], row(1, 0)[0], 0.5) == 3
    assert hoped_value(row(1, 3, 2)[0], row(1, 0, 1)[0], 0.5) == 4
    assert hoped_value(row(-1, -3)[0], row(1, 1)[0], 0.5) == -2, "the least bad"
    assert hoped_value(row(2, 1)[0], row(1, 1)[0], 1.0) == 4, "no more than the two rewards there are"


def test_one_step_target_by_hand():
    """lambda = 0: r_t + gamma c_t v_{t+1}; the bonus plays no part."""
    got = lambda_return(row(1, 2, 3), row(1, 0.5, 1), row(10, 20, 30), row(100, 100, 100), 0.9, 0.0)
    torch.testing.assert_close(got, row(1 + 9, 2 + 0.9 * 0.5 * 20, 3 + 27))


def test_whole_return_by_hand():
    """lambda = 1, gamma = 0.5, no bonus: 1 + (2 + (3 + 40 / 2) / 2) / 2, and from each later step."""
    got = lambda_return(row(1, 2, 3), row(1, 1, 1), row(-7, -7, 40), row(0, 0, 0), 0.5, 1.0)
    torch.testing.assert_close(got, row(7.75, 13.5, 23))


def test_whole_return_is_a_discounted_sum():
    """Rewards and bonuses on the way, each discounted and weighted by being alive, then one value at the end."""
    n, horizon, gamma = 4, 6, 0.9
    reward, cont, value, bonus = torch.rand(4, n, horizon, dtype=DOUBLE)
    got = lambda_return(reward, cont, value, bonus, gamma, 1.0)
    for i in range(n):
        for start in range(horizon):
            total, scale = 0.0, 1.0
            for t in range(start, horizon):
                total += scale * reward[i, t]
                scale *= gamma * cont[i, t]
                total += scale * (bonus[i, t] if t < horizon - 1 else value[i, t])
            torch.testing.assert_close(got[i, start], total)


@pytest.mark.parametrize("lam", [0.0, 0.3, 0.95, 1.0])
def test_lambda_return_is_a_mix_of_n_step_returns(lam):
    """(1 - lam) sum_n lam^(n-1) G_n, with all weight that is left on the longest."""
    horizon, gamma = 5, 0.9
    reward, cont, value, bonus = torch.rand(4, 1, horizon, dtype=DOUBLE)

    def n_step(start, n):
        total, scale = 0.0, 1.0
        for t in range(start, start + n):
            total += scale * reward[0, t]
            scale *= gamma * cont[0, t]
            if t < start + n - 1:
                total += scale * bonus[0, t]
        return total + scale * value[0, start + n - 1]

    got = lambda_return(reward, cont, value, bonus, gamma, lam)
    for start in range(horizon):
        left = horizon - start
        mix = sum((1 - lam) * lam ** (n - 1) * n_step(start, n) for n in range(1, left)) + lam ** (left - 1) * n_step(start, left)
        torch.testing.assert_close(got[0, start], mix)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_the_last_bonus_is_never_read(lam):
    """The last state's entropy is in its value already."""
    reward, cont, value, bonus = torch.rand(4, 2, 5)
    other = bonus.clone()
    other[:, -1] = 1e9
    assert torch.equal(lambda_return(reward, cont, value, bonus, 0.9, lam), lambda_return(reward, cont, value, other, 0.9, lam)), (
        "the last bonus is read: the last state's entropy counts twice"
    )


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_nothing_counts_after_the_end(lam):
    """cont = 0 after the second step: its reward still counts, what follows does not."""
    reward, value, bonus = torch.rand(3, 1, 4, dtype=DOUBLE)
    cont = row(1, 0, 1, 1)
    before = lambda_return(reward, cont, value, bonus, 0.9, lam)
    reward[:, 2:] += 100
    value[:, 1:] += 100
    bonus[:, 1:] += 100
    after = lambda_return(reward, cont, value, bonus, 0.9, lam)
    assert torch.equal(before[:, :2], after[:, :2]), "what comes after a certain end is counted"
    assert before[0, 1] == reward[0, 1]


def test_one_step_of_horizon():
    torch.testing.assert_close(lambda_return(row(1), row(0.5), row(10), row(7), 0.9, 1.0), row(5.5))


def test_alive_weight_by_hand():
    """The first action is always taken; each later one only if all steps before it went on."""
    torch.testing.assert_close(alive_weight(row(0.5, 0.5, 0.1, 0.9)), row(1, 0.5, 0.25, 0.025))
    torch.testing.assert_close(alive_weight(row(0.3)), row(1))


# --- trajectories ----------------------------------------------------------------------------


def test_steps_by_hand():
    """Two trajectories of two steps are four of one step, each weighted by being reached."""
    data = Trajectories(
        state=torch.tensor([[[0.0], [1], [2]], [[10], [11], [12]]]),
        pre_tanh=torch.tensor([[[0.5], [1.5]], [[10.5], [11.5]]]),
        reward=torch.tensor([[1.0, 2], [11, 12]]),
        cont=torch.tensor([[0.25, 0.5], [0, 1]]),
        weight=torch.tensor([1.0, 0.5]),
    )
    steps = data.steps()
    assert steps.state[..., 0].tolist() == [[0, 1], [1, 2], [10, 11], [11, 12]]
    assert steps.pre_tanh.flatten().tolist() == [0.5, 1.5, 10.5, 11.5]
    assert steps.pre_tanh.shape == (4, 1, 1)
    assert steps.reward.tolist() == [[1], [2], [11], [12]]
    assert steps.cont.tolist() == [[0.25], [0.5], [0], [1]]
    assert steps.weight.tolist() == [1, 0.25, 0.5, 0]


def test_steps_with_numbers_are_those_of_all_steps():
    """Step number n * H + t is that of trajectory n at time t; in any order, also twice."""
    data = random_trajectories(5, horizon=3)
    rows = torch.tensor([14, 0, 4, 4, 9, 3])
    some, whole = data.steps(rows), data.steps()
    for name, part, all_of_them in zip(data._fields, some, whole):
        assert part.shape == (6, *all_of_them.shape[1:]), f"the shape of {name}"
        assert torch.equal(part, all_of_them[rows]), f"{name} of other steps than those that were asked for"
    for row, state, u, weight in zip(rows.tolist(), some.state, some.pre_tanh, some.weight):
        n, t = divmod(row, 3)
        assert torch.equal(state, data.state[n, t : t + 2]), f"step {row} is not the pair of states {t}, {t + 1} of trajectory {n}"
        assert torch.equal(u[0], data.pre_tanh[n, t]), f"the action of step {row}"
        assert weight.item() == pytest.approx(data.weight[n].item() * data.cont[n, :t].prod().item()), f"the weight of step {row}"


def test_split_keeps_every_trajectory_in_order():
    data = random_trajectories(7)
    parts = data.split(3)
    assert [len(part.weight) for part in parts] == [3, 3, 1], "the sizes of the batches"
    for whole, *pieces in zip(data, *parts):
        assert torch.equal(torch.cat(pieces), whole), "batches put together again are not the whole"


def test_take_picks_whole_trajectories():
    data = random_trajectories(5)
    picked = data.take(torch.tensor([3, 0, 3]))
    for whole, part in zip(data, picked):
        assert torch.equal(part, torch.stack([whole[3], whole[0], whole[3]])), "not the trajectories that were asked for"

"""DreamerV3's actor-critic: policies by integrals and counts, losses by hand, and problems with a known answer."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from toys import fill, gradients, numbers, random_trajectories, same, small

from dreamer_core.agent import Dreamer
from dreamer_core.paper.actor_critic import (
    CategoricalActor,
    DreamerV3ActorCritic,
    NormalActor,
    bounded_normal,
    last_rows,
    normal_entropy,
    normal_log_prob,
    policy_loss,
    replay_returns,
    value_loss,
)
from dreamer_core.paper.twohot import twohot, twohot_mean
from dreamer_core.trajectories import Replayed, Trajectories

DOUBLE = torch.float64


def settings(**changes):
    return small(dreamerv3=changes).dreamerv3


def make(features=9, action=2, folded=False, **changes):
    """With a critic that is not 0 any more."""
    made = DreamerV3ActorCritic(settings(**changes), features, action, folded)
    for critic in (made.v, made.v_slow):
        torch.nn.init.normal_(critic[-1].weight, std=0.3)
    return made


def nothing_replayed(number, features=9):
    """A single row each, which has no reward after it."""
    return Replayed(torch.zeros(number, 1, features), *(torch.zeros(number, 1) for _ in range(3)))


# --- policies -------------------------------------------------------------------------------------


def test_the_spread_of_a_policy_is_bounded_and_starts_wide():
    """sigma = 0.1 + 0.9 sigmoid(raw + 2): 0.893 at 0."""
    raw = torch.tensor([-100.0, 0, 100])
    mean, std = bounded_normal(raw, raw)
    assert mean.tolist() == pytest.approx([-1, 0, 1]), "the mean is tanh of what the network writes"
    assert std.tolist() == pytest.approx([0.1, 0.1 + 0.9 / (1 + math.exp(-2)), 1])
    assert bounded_normal(raw, raw, 0.3, 0.5)[1][[0, 2]].tolist() == pytest.approx([0.3, 0.5]), "bounds of one's own"


@pytest.mark.parametrize("mean, std", [(0.0, 1.0), (0.9, 0.1), (-0.5, 0.4)])
def test_log_prob_is_a_density_and_entropy_its_mean(mean, std):
    """Over all actions a: pi integrates to 1, and -pi log pi to the entropy."""
    a = torch.linspace(-9, 9, 200_001, dtype=DOUBLE)[:, None]
    mean, std = torch.tensor([mean], dtype=DOUBLE), torch.tensor([std], dtype=DOUBLE)
    log_prob = normal_log_prob(mean, std, a)
    assert torch.trapezoid(log_prob.exp(), a[:, 0]).item() == pytest.approx(1, rel=1e-6), "pi is no density"
    entropy = -torch.trapezoid(log_prob.exp() * log_prob, a[:, 0]).item()
    assert normal_entropy(std).item() == pytest.approx(entropy, rel=1e-6), "the entropy is not that of this density"


def test_log_prob_and_entropy_of_several_entries_match_torch():
    mean, a = torch.randn(2, 50, 3, dtype=DOUBLE)
    std = 0.1 + torch.rand(50, 3, dtype=DOUBLE)
    theirs = Independent(Normal(mean, std), 1)
    torch.testing.assert_close(normal_log_prob(mean, std, a), theirs.log_prob(a))
    torch.testing.assert_close(normal_entropy(std), theirs.entropy())


def test_a_normal_actor_draws_what_it_says():
    actor, state = NormalActor(settings(std_min=0.2, std_max=0.6), 4, 2), torch.randn(1, 4).expand(60_000, 4)
    with torch.no_grad():
        drawn, (mean, std) = actor.draw(state), actor(state[:1])
        log_prob, entropy = actor.log_prob_and_entropy(state, drawn)
    assert drawn.mean(0).tolist() == pytest.approx(mean[0].tolist(), abs=0.01), "the mean of samples"
    assert drawn.std(0).tolist() == pytest.approx(std[0].tolist(), rel=0.02), "the spread of samples"
    assert (std > 0.2).all() and (std < 0.6).all(), "std_min and std_max do not bound the policy"
    assert -log_prob.mean().item() == pytest.approx(entropy[0].item(), abs=0.02), "the entropy is not the mean of -log pi"
    assert torch.equal(actor.mode(state[:1]), mean), "the action for evaluation is not the mean"


def test_entries_of_an_action_are_drawn_apart():
    actor = NormalActor(settings(std_min=0.5, std_max=0.6), 4, 2)
    with torch.no_grad():
        drawn = actor.draw(torch.zeros(10_000, 4))
    assert abs(torch.corrcoef(drawn.T)[0, 1].item()) < 0.05, "one entry of an action tells another one"


def test_what_is_drawn_beyond_the_bounds_is_clipped_for_the_world_and_kept_for_the_loss():
    """No tanh: log pi is that of the sample itself, also where the world sees 1."""
    actor, drawn = NormalActor(settings(), 4, 2), torch.tensor([[1.7, -0.2]])
    assert actor.squash(drawn).tolist() == [[1.0, pytest.approx(-0.2)]]
    with torch.no_grad():
        mean, std = actor(torch.ones(1, 4))
        found, _ = actor.log_prob_and_entropy(torch.ones(1, 4), drawn)
    assert found.item() == pytest.approx(Independent(Normal(mean, std), 1).log_prob(drawn).item(), rel=1e-5)


def test_a_categorical_actor_draws_each_action_as_often_as_it_says():
    actor, state = CategoricalActor(settings(out_scale=10.0), 4, 5), torch.randn(1, 4).expand(50_000, 4)
    with torch.no_grad():
        probs = torch.softmax(actor.net(state[0]), -1)
        drawn = actor.draw(state)
        log_prob, entropy = actor.log_prob_and_entropy(state, drawn)
    assert ((drawn == 0) | (drawn == 1)).all() and (drawn.sum(-1) == 1).all(), "what is drawn is not one-hot"
    assert drawn.mean(0).tolist() == pytest.approx(probs.tolist(), abs=0.012), "how often each action is drawn"
    assert (actor.mode(state) == torch.eye(5)[probs.argmax()]).all(), "the action for evaluation is not the most likely one"
    assert torch.equal(actor.squash(drawn), drawn), "a one-hot action is not handed over as it is"
    by_hand = [math.log(probs[choice]) for choice in drawn[:20].argmax(-1).tolist()]
    assert log_prob[:20].tolist() == pytest.approx(by_hand, rel=1e-4), "log pi of what was drawn"
    assert entropy[0].item() == pytest.approx(-sum(p * math.log(p) for p in probs.tolist()), rel=1e-4), "the entropy"


def test_no_uniform_share_is_mixed_in():
    """An action of vanishing probability has its own log pi, not that of a floor."""
    actor = CategoricalActor(settings(), 1, 2)
    actor.net = torch.nn.Linear(1, 2)
    with torch.no_grad():
        actor.net.weight.zero_()
        actor.net.bias.copy_(torch.tensor([0.0, -50.0]))
    assert actor.log_prob_and_entropy(torch.ones(1, 1), torch.tensor([[0.0, 1.0]]))[0].item() == pytest.approx(-50)


@pytest.mark.parametrize("kind", [NormalActor, CategoricalActor])
def test_a_policy_starts_nearly_the_same_everywhere(kind):
    """`out_scale` times the last weights, and no bias: 0 is the same policy in all states."""
    state = 100 * torch.randn(20, 9)
    torch.manual_seed(1)
    plain = kind(settings(out_scale=1.0), 9, 3).net
    torch.manual_seed(1)
    shrunk = kind(settings(out_scale=0.01), 9, 3).net
    torch.testing.assert_close(shrunk(state), 0.01 * (plain(state) - plain[-1].bias), rtol=1e-4, atol=1e-6)
    assert torch.equal(shrunk[0].weight, plain[0].weight), "another layer than the last was made smaller"
    assert kind(settings(out_scale=0.0), 9, 3).net(state).std(0).max() == 0, "with out_scale 0 the policy still depends on the state"


def test_every_layer_of_actor_and_critic_has_a_norm():
    """Before each SiLU, as in the paper, whatever `model.norm` is."""
    nets = {kind.__name__: kind(settings(layers=3), 9, 2).net for kind in (NormalActor, CategoricalActor)} | {"critic": make(layers=3).v}
    for name, net in nets.items():
        kinds = [type(layer).__name__ for layer in net]
        assert kinds == ["Linear", "RMSNorm", "SiLU"] * 3 + ["Linear"], f"the layers of {name}"


# --- losses ---------------------------------------------------------------------------------------


def test_the_policy_loss_by_hand():
    """Advantage (7 - 4) / 2, entropy 0.5 at a price of 0.1, half the weight."""
    found = policy_loss(*(torch.tensor([x]) for x in (-1.2, 0.5, 7.0, 4.0)), torch.tensor(2.0), torch.tensor([0.5]), 0.1)
    assert found.item() == pytest.approx(-0.5 * (-1.2 * 1.5 + 0.1 * 0.5))


def test_the_actor_hears_of_returns_values_and_ranges_as_numbers_only():
    log_prob, entropy, returns, value, weight = (torch.randn(3, 4, requires_grad=True) for _ in range(5))
    scale = torch.tensor(2.0, requires_grad=True)
    loss = policy_loss(log_prob, entropy, returns, value, scale, weight, 0.1).sum()
    pulls = gradients(loss, [log_prob, entropy, returns, value, scale, weight])
    torch.testing.assert_close(pulls[0], (-weight * (returns - value) / scale).detach())
    torch.testing.assert_close(pulls[1], (-0.1 * weight).detach())
    assert not any(pull.any() for pull in pulls[2:]), "the actor's loss has a gradient in what it should take as a number"


def test_the_value_loss_by_hand():
    """Cross-entropy to R and, `slow_scale` times, to the slow critic's mean; w weighs both."""
    bins = torch.tensor([-2.0, 0, 2])
    logits, returns, slow = torch.randn(2, 3), torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.5])
    log_p = torch.log_softmax(logits, -1)
    first = -(0.5 * log_p[0, 1] + 0.5 * log_p[0, 2]) - 0.7 * log_p[0, 1]
    second = -log_p[1, 0] - 0.7 * (0.75 * log_p[1, 1] + 0.25 * log_p[1, 2])
    found = value_loss(logits, returns, slow, torch.tensor([1.0, 0.5]), bins, 0.7)
    assert found.tolist() == pytest.approx([first.item(), 0.5 * second.item()])
    assert twohot(returns, bins).tolist() == [[0, 0.5, 0.5], [1, 0, 0]]


def test_the_critic_hears_of_its_targets_as_numbers_only():
    bins = torch.tensor([-2.0, 0, 2])
    logits, returns, slow, weight = torch.randn(4, 3, requires_grad=True), *(torch.rand(4, requires_grad=True) for _ in range(3))
    pulls = gradients(value_loss(logits, returns, slow, weight, bins).sum(), [logits, returns, slow, weight])
    assert pulls[0].any(), "the critic does not learn"
    assert not any(pull.any() for pull in pulls[1:]), "the critic's loss has a gradient in what it should take as a number"


def test_returns_along_replayed_rows_by_recursion():
    """Each row's by its own formula, from the last one back; nothing leads past a row where an episode ended."""
    number, rows, gamma, lam = 5, 6, 0.9, 0.8
    reward, dreamt = torch.randn(2, number, rows, dtype=DOUBLE)
    last = (torch.rand(number, rows) < 0.3).double()
    terminal = last * (torch.rand(number, rows) < 0.5)

    def worth(n, k):
        if k == rows - 1:
            return dreamt[n, k]
        mix = lam * (1 - last[n, k + 1])
        return reward[n, k + 1] + gamma * (1 - terminal[n, k + 1]) * ((1 - mix) * dreamt[n, k + 1] + mix * worth(n, k + 1))

    expected = torch.stack([torch.stack([worth(n, k) for k in range(rows - 1)]) for n in range(number)])
    torch.testing.assert_close(replay_returns(reward, last, terminal, dreamt, gamma, lam), expected)


def test_replayed_rewards_by_hand():
    """Rows 0, 1, 2 | 3, 4: the episode truly ends in row 2. R_1 = 5, and R_0 = 1 + 0.5 * 5 at lambda 1."""
    reward, last = torch.tensor([[9.0, 1, 5, 0, 2]]), torch.tensor([[0.0, 0, 1, 0, 0]])
    dreamt = torch.tensor([[7.0, 7, 100, 7, 8]])
    found = replay_returns(reward, last, last, dreamt, 0.5, 1.0)
    assert found[0, [0, 1, 3]].tolist() == pytest.approx([3.5, 5.0, 2 + 0.5 * 8])
    cut_short = replay_returns(reward, last, torch.zeros_like(last), dreamt, 0.5, 1.0)
    assert cut_short[0, 1].item() == pytest.approx(5 + 0.5 * 100), "past a time limit, what the dream there returned counts"


def test_an_episodes_last_row_is_the_one_before_the_next_episode():
    """Or a terminal one; the window's own end is none."""
    first, terminal = torch.tensor([[1.0, 0, 0, 1, 0]]), torch.tensor([[0.0, 0, 0, 0, 1]])
    assert last_rows(first, terminal).tolist() == [[0, 0, 1, 0, 1]]
    assert last_rows(first, torch.zeros(1, 5)).tolist() == [[0, 0, 1, 0, 0]]


# --- one update -----------------------------------------------------------------------------------


def random_replayed(number=5, rows=3, features=9):
    """Windows of noise, with a time limit in the first and an end in the second."""
    first, terminal = torch.zeros(number, rows), torch.zeros(number, rows)
    first[0, 2] = terminal[1, 1] = first[1, 2] = 1
    return Replayed(torch.randn(number, rows, features), torch.randn(number, rows), first, terminal)


def update_by_hand(ac, dream, replayed):
    """What one update reports, from loops over dreams and steps."""
    config, bins = ac.config, ac.v.bins
    gamma = ac.dream_discount
    value = (torch.softmax(ac.v(dream.state), -1) * bins).sum(-1).detach()
    slow = (torch.softmax(ac.v_slow(dream.state), -1) * bins).sum(-1)
    log_prob, entropy = ac.actor.log_prob_and_entropy(dream.state[:, :-1], dream.pre_tanh)
    number, horizon = dream.reward.shape
    returns, weight = torch.zeros(number, horizon), torch.zeros(number, horizon)
    for n in range(number):
        ahead = value[n, horizon]
        for t in reversed(range(horizon)):
            mixed = (1 - config.lam) * value[n, t + 1] + config.lam * ahead
            returns[n, t] = ahead = dream.reward[n, t] + gamma * dream.cont[n, t] * mixed
            weight[n, t] = dream.weight[n] * math.prod(gamma * float(dream.cont[n, k]) for k in range(t))
    low, high = config.range_rate * torch.quantile(returns.flatten(), torch.tensor([0.05, 0.95]))
    scale = max(config.range_floor, float(high - low))

    def cross(logits, target):
        return -(twohot(target, bins) * torch.log_softmax(logits, -1)).sum(-1)

    logits = ac.v(dream.state[:, :-1])
    critic = weight * (cross(logits, returns) + config.slow_scale * cross(logits, slow[:, :-1]))
    actor = -weight * (log_prob * (returns - value[:, :-1]) / scale + config.entropy_scale * entropy)
    dreamt = returns[:, 0].reshape(replayed.reward.shape)
    last = last_rows(replayed.first, replayed.terminal)
    real = replay_returns(replayed.reward, last, replayed.terminal, dreamt, ac.discount, config.lam)
    state = replayed.state[:, :-1]
    there = (torch.softmax(ac.v_slow(state), -1) * bins).sum(-1)
    replay = (1 - last[:, :-1]) * (cross(ac.v(state), real) + config.slow_scale * cross(ac.v(state), there))
    return {
        "critic_loss": critic.mean(), "replay_loss": replay.mean(), "actor_loss": actor.mean(), "value_mean": value.mean(),
        "return_mean": returns.mean(), "return_range": torch.tensor(scale), "entropy": entropy.mean(),
    }  # fmt: skip


def modest(ac):
    """Bins that reach to 100 alone, so that float32 sums of values are exact enough to compare."""
    kept = ac.v.bins.abs() < 100
    for critic in (ac.v, ac.v_slow):
        with torch.no_grad():
            critic[-1].bias[~kept] = -1e4
    return ac


@pytest.mark.parametrize("folded", [False, True])
def test_an_update_by_hand(folded):
    """Fast critic in the returns, slow one as second target, weights that fade, the range moved before it is read."""
    ac, dream, replayed = modest(make(folded=folded)), random_trajectories(15), random_replayed()
    with torch.no_grad():
        expected = update_by_hand(ac, dream, replayed)
    metrics = ac.update(dream, replayed, ac.make_optimizer())
    assert set(metrics) == {*expected, "actor_grad_norm", "critic_grad_norm"}, "the names of the metrics"
    for name, value in expected.items():
        assert metrics[name].item() == pytest.approx(value.item(), rel=1e-3, abs=1e-4), name
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values()), "a metric that is no plain number"
    assert int(ac.updates) == 1


def test_each_part_gets_the_gradient_of_its_own_loss():
    """One backward pass: the actor's loss does not pull the critic, nor the other way round; replayed rewards pull the critic, at 0.3."""
    ac, dream, replayed = modest(make(lam=1.0)), random_trajectories(15), random_replayed()
    expected = update_by_hand(ac, dream, replayed)
    actor = gradients(expected["actor_loss"], ac.actor.parameters())
    critic = gradients(expected["critic_loss"] + 0.3 * expected["replay_loss"], ac.v.parameters())
    ac.update(dream, replayed, ac.make_optimizer())
    for name, mine, pulls in (("actor", ac.actor, actor), ("critic", ac.v, critic)):
        for param, pull in zip(mine.parameters(), pulls, strict=True):
            torch.testing.assert_close(param.grad, pull, rtol=2e-3, atol=1e-5, msg=lambda told, name=name: f"pull on the {name}: {told}")


def told(change=lambda ac: None, **changes):
    """The metrics of one update of the same agent on the same data, after a change to it."""
    torch.manual_seed(4)
    ac, dream, replayed = modest(make(**changes)), random_trajectories(15), random_replayed()
    with torch.no_grad():
        change(ac)
    return {name: value.item() for name, value in ac.update(dream, replayed, ac.make_optimizer()).items()}


def shaken(critic):
    critic[0].weight.add_(torch.randn(critic[0].weight.shape))


def test_returns_read_the_fast_critic_and_the_slow_one_is_a_second_target():
    plain, slow, fast = told(), told(lambda ac: shaken(ac.v_slow)), told(lambda ac: shaken(ac.v))
    for name in ("return_mean", "value_mean", "actor_loss", "return_range"):
        assert slow[name] == plain[name], f"{name} depends on the slow critic"
    assert slow["critic_loss"] != plain["critic_loss"] and slow["replay_loss"] != plain["replay_loss"], "no loss reads the slow critic"
    assert fast["return_mean"] != plain["return_mean"], "returns do not read the fast critic"
    off, shaken_off = told(slow_scale=0.0), told(lambda ac: shaken(ac.v_slow), slow_scale=0.0)
    assert off == shaken_off, "with slow_scale 0 the slow critic still has a say"


def test_the_slow_critic_starts_as_a_copy_and_follows_at_its_rate():
    ac = DreamerV3ActorCritic(settings(slow_rate=0.1), 9, 2)
    assert same(numbers(ac.v), numbers(ac.v_slow)), "the slow critic does not start as a copy"
    optimizer, before = ac.make_optimizer(), numbers(ac.v_slow)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in (*ac.actor.parameters(), *ac.v.parameters())}, "weights that the optimiser holds"
    assert not any(p.requires_grad for p in ac.v_slow.parameters()), "the slow critic asks for gradients"
    ac.update(random_trajectories(), nothing_replayed(5), optimizer)
    after, fast = numbers(ac.v_slow), numbers(ac.v)
    for name in before:
        expected = 0.9 * before[name] + 0.1 * fast[name]
        torch.testing.assert_close(after[name], expected, msg=lambda told, name=name: f"{name} of the slow critic after an update: {told}")
    assert not same(before, after), "the slow critic stands still"


def test_values_start_at_exactly_zero():
    ac = DreamerV3ActorCritic(settings(), 9, 2)
    assert (ac.value(100 * torch.randn(50, 9)) == 0).all(), "a critic that has learned nothing knows a value"


def test_a_discount_that_is_folded_into_continues_counts_as_one_that_is_not():
    """The same dream told both ways: continues of 0.9 c and no discount of its own, or c and 0.9. Weights and returns agree."""
    dream, replayed = random_trajectories(15), random_replayed()
    outcomes = []
    for folded in (False, True):
        torch.manual_seed(4)
        ac = modest(make(folded=folded, horizon=10))
        cont = dream.cont * (0.9 if folded else 1)
        metrics = ac.update(dream._replace(cont=cont), replayed, ac.make_optimizer())
        outcomes.append({name: value.item() for name, value in metrics.items()})
    assert outcomes[0] == pytest.approx(outcomes[1], rel=1e-4), "folded and explicit discounts teach something else"
    short, long = told(folded=True, horizon=2), told(folded=True, horizon=3)
    for name in ("return_mean", "actor_loss", "critic_loss"):
        assert short[name] == long[name], f"with a folded discount the horizon has a say in {name}"


def test_each_norm_is_that_of_its_own_gradient():
    """Dreams without weight leave the actor no gradient; replayed rewards still teach the critic."""
    ac, dream = make(), random_trajectories(15)._replace(weight=torch.zeros(15))
    metrics = ac.update(dream, random_replayed(), ac.make_optimizer())
    assert metrics["actor_grad_norm"] == 0, "the actor's norm is not that of the actor's gradient"
    assert metrics["critic_grad_norm"] > 0, "the critic's norm is not that of the critic's gradient"


def test_a_dream_that_left_an_end_teaches_nothing():
    ac, dream = make(replay_scale=0.0), random_trajectories()._replace(weight=torch.zeros(5))
    before = numbers(ac.actor) | numbers(ac.v)
    metrics = ac.update(dream, nothing_replayed(5), ac.make_optimizer())
    assert metrics["actor_loss"] == metrics["critic_loss"] == 0
    assert same(before, numbers(ac.actor) | numbers(ac.v)), "dreams that left an end have moved the actor or the critic"


def test_learning_takes_several_updates_on_the_whole_dream():
    one, other = (torch.manual_seed(1) and make() for _ in range(2))
    dream, replayed = random_trajectories(), nothing_replayed(5)
    optimizers = one.make_optimizer(), other.make_optimizer()
    metrics = one.learn(dream, replayed, optimizers[0], 3)
    for _ in range(3):
        last = other.update(dream, replayed, optimizers[1])
    assert metrics == last and int(one.updates) == 3
    assert same(numbers(one), numbers(other)), "three updates in one call lead elsewhere than three calls"


def test_new_units_of_rewards_move_the_range_and_leave_the_critic():
    """The bins hold every unit; the range is a number in one of them."""
    ac = make()
    ac.range.percentiles.copy_(torch.tensor([-4.0, 6.0]))
    before = numbers(ac.v)
    ac.restate_values(0.5, 1.0)
    assert ac.range.percentiles.tolist() == [-1, 4]
    assert same(before, numbers(ac.v)), "another unit of rewards has moved the critic"


# --- problems with a known answer -----------------------------------------------------------------


def fit(ac, play, updates, replayed=None):
    optimizer = ac.make_optimizer()
    for _ in range(updates):
        dream = play(ac)
        ac.update(dream, replayed or nothing_replayed(len(dream.weight), dream.state.shape[-1]), optimizer)
    return ac


CHAIN = torch.eye(4)  # three states in a row, and the one after the end


def walked(ac):
    """Dreams along the chain with rewards 1, 10 and 100, after which it ends."""
    state = CHAIN.expand(8, 4, 4)
    reward, cont = torch.tensor([1.0, 10, 100]).expand(8, 3), torch.tensor([1.0, 1, 0]).expand(8, 3)
    return Trajectories(state, torch.zeros(8, 3, 1), reward, cont, torch.ones(8))


@pytest.mark.parametrize("lam", [0.0, 0.95, 1.0])
def test_the_critic_learns_the_values_of_a_chain(lam):
    """At a discount of 1/2: 100, 10 + 50 = 60 and 1 + 30 = 31, whatever lambda."""
    ac = fit(DreamerV3ActorCritic(settings(lam=lam, horizon=2, lr=1e-2, slow_rate=0.1, units=16), 4, 1), walked, 400)
    with torch.no_grad():
        assert ac.value(CHAIN)[:3].tolist() == pytest.approx([31, 60, 100], rel=0.04), "values along the chain"
        slow = twohot_mean(ac.v_slow(CHAIN[:3]), ac.v.bins)
    assert slow.tolist() == pytest.approx([31, 60, 100], rel=0.06), "the slow critic has not followed"


def test_a_folded_discount_leads_to_the_same_values():
    """Continues of 1/2 where the chain goes on, and a horizon that says something else."""

    def folded(ac):
        return walked(ac)._replace(cont=torch.tensor([0.5, 0.5, 0]).expand(8, 3))

    ac = fit(DreamerV3ActorCritic(settings(horizon=1000, lr=1e-2, units=16), 4, 1, folded=True), folded, 400)
    assert ac.value(CHAIN)[:3].tolist() == pytest.approx([31, 60, 100], rel=0.04), "values along the chain"


def test_replayed_rewards_teach_the_values_too():
    """The dreams count nothing here; real rows of the chain do."""
    ac = DreamerV3ActorCritic(settings(lam=1.0, horizon=2, lr=1e-2, units=16, replay_scale=1.0), 4, 1)
    reward, terminal = torch.tensor([[0.0, 1, 10, 100]]).expand(2, 4), torch.tensor([[0.0, 0, 0, 1]]).expand(2, 4)
    real = Replayed(CHAIN.expand(2, 4, 4), reward, torch.zeros(2, 4), terminal)
    fit(ac, lambda ac: walked(ac)._replace(weight=torch.zeros(8)), 400, real)
    assert ac.value(CHAIN)[:3].tolist() == pytest.approx([31, 60, 100], rel=0.04), "values learned from real rewards"


def bandit(reward, number=256):
    """One step, then the end; the reward is a function of the action, which the policy draws."""

    def play(ac):
        state = torch.ones(number, 2, 1)
        with torch.no_grad():
            drawn = ac.actor.draw(state[:, :1])
        return Trajectories(state, drawn, reward(ac.actor.squash(drawn)), torch.zeros(number, 1), torch.ones(number))

    return play


def test_it_solves_a_continuous_bandit():
    """E[-(a - 0.3)^2] + 0.1 H is largest for a Normal of mean 0.3 and variance 0.1 / 2."""
    config = settings(units=16, entropy_scale=0.1, lr=1e-2)
    ac = fit(DreamerV3ActorCritic(config, 1, 1), bandit(lambda a: -(a - 0.3).square().squeeze(-1)), 400)
    mean, std = ac.actor(torch.ones(1, 1))
    assert mean.item() == pytest.approx(0.3, abs=0.06), "where the policy acts"
    assert std.item() == pytest.approx(math.sqrt(0.05), rel=0.15), "how wide it acts"
    assert ac.value(torch.ones(1)).item() == pytest.approx(-0.05, abs=0.02), "what that is worth, the entropy not counted"


def categorical(**changes):
    return DreamerV3ActorCritic(settings(actor="categorical", units=16, lr=1e-2, **changes), 1, 3)


def test_it_solves_a_categorical_bandit():
    """Rewards 0, 1 and 1/2 at a price of entropy of 1/2: pi is proportional to exp(2 r)."""
    pays = torch.tensor([0.0, 1.0, 0.5])
    ac = fit(categorical(entropy_scale=0.5), bandit(lambda a: (a * pays).sum(-1)), 400)
    expected = torch.softmax(2 * pays, -1)
    probs = torch.softmax(ac.actor.net(torch.ones(1)), -1)
    assert probs.tolist() == pytest.approx(expected.tolist(), abs=0.04), "how often each action is chosen"
    assert ac.value(torch.ones(1)).item() == pytest.approx((expected * pays).sum().item(), abs=0.05), "what the policy earns"


@pytest.mark.parametrize("factor", [1e-2, 1.0, 1e4])
def test_entropy_has_its_price_in_ranges_of_the_returns(factor):
    """Rewards of any size are worth the same entropy; noise keeps their range wide. Below the floor, less."""
    pays = torch.tensor([0.0, 1.0, 0.5])

    def noisy(action):
        return factor * ((action * pays).sum(-1) + 2 * torch.rand(action.shape[:-1]) - 1)

    ac = fit(categorical(entropy_scale=0.2, range_rate=0.2), bandit(noisy, 512), 300)
    scale = ac.range.scale().item()
    assert scale == 1 if factor < 1 else 1.8 < scale / factor < 2.6, f"a range of {scale} for rewards times {factor}"
    probs = torch.softmax(ac.actor.net(torch.ones(1)), -1).tolist()
    assert probs == pytest.approx(torch.softmax(factor * pays / (0.2 * scale), -1).tolist(), abs=0.08), (
        f"choices for rewards times {factor}"
    )


# --- in the agent ---------------------------------------------------------------------------------


def dreamer(**changes):
    sections = dict(actor_critic="dreamerv3", imagination=dict(starts=6, start_rows=4, last=3, horizon=4))
    return fill(Dreamer(small(**sections | changes), 3, 2))


def test_every_size_is_the_one_that_was_set():
    ac = dreamer(dreamerv3=dict(units=7, layers=3, lr=0.017)).sac
    shapes = [
        [tuple(p.shape) for p in net.modules() if isinstance(p, torch.nn.Linear) for p in (p.weight,)] for net in (ac.actor.net, ac.v)
    ]
    assert shapes == [[(7, 9), (7, 7), (7, 7), (4, 7)], [(7, 9), (7, 7), (7, 7), (255, 7)]], "the layers of actor and critic"
    assert sum(isinstance(part, torch.nn.RMSNorm) for part in ac.v) == 3, "norms of the critic"
    assert [group["lr"] for group in ac.make_optimizer().param_groups] == [0.017, 0.017]


@pytest.mark.parametrize("horizon, folded", [(0, False), (50, True)])
def test_the_agent_tells_it_whether_the_model_has_learned_the_discount(horizon, folded):
    ac = dreamer(model=dict(discount_horizon=horizon), dreamerv3=dict(horizon=10)).sac
    assert ac.dream_discount == (1.0 if folded else 0.9) and ac.discount == 0.9, "the discounts of dreams and of real rewards"


def test_the_continue_head_learns_the_discount_with_the_ends():
    """Rows that go on have the target 1 - 1/50, ends 0: the best constant answer is the share of rows that go on times that."""
    agent = dreamer(model=dict(discount_horizon=50))
    logit = torch.zeros((), requires_grad=True)
    agent.model.predict_continue = lambda features: logit.expand(features.shape[:-1])
    window = agent.replay.window(torch.arange(0, 32), 8)
    share = 0.98 * (1 - window.terminal.mean().item())
    with torch.no_grad():
        logit.fill_(math.log(share / (1 - share)))
    loss = agent.model.loss(window)[0]["continue"]
    assert gradients(loss, logit)[0].item() == pytest.approx(0, abs=1e-6), "the loss is not least where the discount is learned"
    assert agent.model.folded == 0.98


def test_dreams_start_from_the_last_rows_whose_rewards_the_critic_learns_from():
    """Dream n * K + k left row k of window n: 6 windows of 4 rows, the last 3 of each."""
    agent, seen = dreamer(), {}
    look, real = agent.look_back, agent.sac.learn
    agent.look_back = lambda: seen.setdefault("windows", look())
    agent.sac.learn = lambda dream, replayed, *rest: seen.update(dream=dream, replayed=replayed) or real(dream, replayed, *rest)
    agent.learn_policy()
    (window, beliefs), dream, replayed = seen["windows"], seen["dream"], seen["replayed"]
    assert dream.state.shape == (18, 5, 9) and replayed.state.shape == (6, 3, 9)
    assert torch.equal(dream.state[:, 0].view(6, 3, 9), replayed.state), "dreams left other rows than those whose rewards are learned"
    assert torch.equal(replayed.state, beliefs.features[:, -3:]), "replayed states are not the beliefs of the last rows"
    for name in ("reward", "first", "terminal"):
        assert torch.equal(getattr(replayed, name), getattr(window, name)[:, -3:]), f"{name} of the replayed rows"
    assert torch.equal(dream.weight.view(6, 3), 1 - window.terminal[:, -3:]), "a dream that left an end counts"


def test_more_rows_than_are_filtered_cannot_be_left():
    agent = dreamer(imagination=dict(starts=5, start_rows=2, last=9, horizon=3))
    assert agent.dream().state.shape == (10, 4, 9)
    agent.learn_policy()


def test_gradients_of_agent_and_world_model_never_meet():
    """Neither a weight moves nor a gradient is left in the other part."""
    agent = dreamer(model=dict(discount_horizon=20, reward_head="twohot", detach_z=False))
    model, ac = numbers(agent.model), numbers(agent.sac)
    agent.learn_policy()
    assert same(numbers(agent.model), model) and not same(numbers(agent.sac), ac), (
        "the agent's update moved the world model, or not the agent"
    )
    assert all(p.grad is None for p in agent.model.parameters()), "the agent's update left a gradient in the world model"
    ac = numbers(agent.sac)
    for p in agent.sac.parameters():
        p.grad = None
    agent.learn_model()
    assert same(numbers(agent.sac), ac) and not same(numbers(agent.model), model), "the model's update moved the agent, or not the model"
    assert all(p.grad is None for p in agent.sac.parameters()), "the model's update left a gradient in actor or critic"


@pytest.mark.parametrize("actor", ["normal", "categorical"])
def test_what_it_dreams_is_what_its_actor_chooses(actor):
    """The state after each action follows from it as the world model says: clipped, or one-hot."""
    agent = dreamer(dreamerv3=dict(actor=actor))
    torch.manual_seed(1)
    dream = agent.dream()
    drawn, h, z = dream.pre_tanh, dream.state[:, :-1, :6], dream.state[:, :-1, 6:]
    chosen = drawn.clamp(-1, 1) if actor == "normal" else drawn
    if actor == "normal":
        assert (drawn.abs() > 1).any(), "no action lies beyond the bounds, so this shows nothing"
    else:
        assert torch.equal(drawn.sort(-1).values, torch.tensor([0.0, 1]).expand_as(drawn)), "an action that is not one-hot"
    expected = agent.model.rssm.step(*(part.flatten(0, 1) for part in (h, z, chosen)))
    torch.testing.assert_close(dream.state[:, 1:, :6].flatten(0, 1), expected, msg=lambda told: f"h after an action: {told}")
    assert not any(part.requires_grad for part in dream), "a dream carries a gradient"

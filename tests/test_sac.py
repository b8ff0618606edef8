"""Soft actor-critic: the policy, the critics, their targets, and both ways to climb."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import TanhTransform
from toys import gradients, numbers, random_trajectories, sac_config, same

from dreamer_core.returns import alive_weight
from dreamer_core.sac import (
    SAC,
    Action,
    Actor,
    TwinQ,
    descend,
    ema_update,
    pathwise_actor_loss,
    score_actor_loss,
    soft_advantage,
    soft_baseline,
    squashed_sample,
    tanh_normal_log_prob,
    twin_critic_loss,
)
from dreamer_core.trajectories import Trajectories

DOUBLE = torch.float64


def make(features=9, action=2, dtype=torch.float32, **changes):
    return SAC(sac_config(**changes), features, action).to(dtype)


def both_q(twin, state, action):
    """Both critics, layer by layer, one at a time."""
    out = []
    for half in range(2):
        x = torch.cat([state, action], -1)
        for number, layer in enumerate(twin.layers):
            x = x @ layer.weight[half] + layer.bias[half, 0]
            if number < len(twin.layers) - 1:
                x = x * torch.sigmoid(x)
        out.append(x[..., 0])
    return out


# --- the policy ------------------------------------------------------------------------------


def density(a, mean, log_std):
    """pi(a) of a one-dimensional action, for many a."""
    u = torch.atanh(a)[:, None]
    return torch.exp(tanh_normal_log_prob(torch.tensor([mean], dtype=DOUBLE), torch.tensor([log_std], dtype=DOUBLE), u))


@pytest.mark.parametrize("mean, log_std", [(0.0, 0.0), (0.8, -1.0), (-1.5, 0.3)])
def test_log_prob_is_a_density_over_actions(mean, log_std):
    """pi(a) integrates to 1 over (-1, 1), and its mean is that of many samples."""
    edge = 1 - 1e-9
    a = torch.linspace(-edge, edge, 400_001, dtype=DOUBLE)
    pi = density(a, mean, log_std)
    assert torch.trapezoid(pi, a).item() == pytest.approx(1, abs=2e-3)
    samples = torch.tanh(mean + math.exp(log_std) * torch.randn(200_000, dtype=DOUBLE))
    assert torch.trapezoid(a * pi, a).item() == pytest.approx(samples.mean().item(), abs=5e-3)


def test_log_prob_matches_torch_in_two_dimensions():
    mean, log_std, u = torch.randn(3, 50, 2, dtype=DOUBLE)
    squashed = TransformedDistribution(Independent(Normal(mean, torch.exp(log_std)), 1), [TanhTransform()])
    torch.testing.assert_close(tanh_normal_log_prob(mean, log_std, u), squashed.log_prob(torch.tanh(u)), rtol=1e-6, atol=1e-6)


def test_log_prob_survives_saturated_actions():
    """At u = 30 tanh(u) is 1 in floating point; log(1 - tanh^2) = 2 log 2 - 2 |u| all the same."""
    u = torch.tensor([[30.0], [-30.0]])
    got = tanh_normal_log_prob(u, torch.zeros(2, 1), u)
    expected = -0.5 * math.log(2 * math.pi) - (2 * math.log(2) - 60)
    assert got.tolist() == pytest.approx([expected] * 2, rel=1e-6)


def test_actor_samples_are_reparameterised():
    """u = mean + std * noise: the gradient of u reaches the actor; the log-prob belongs to that u."""
    actor = Actor(sac_config(), 9, 2)
    state = torch.randn(5, 9)
    torch.manual_seed(1)
    u, log_prob = actor.sample(state)
    torch.manual_seed(1)
    mean, log_std = actor(state)
    torch.testing.assert_close(u, mean + torch.exp(log_std) * torch.randn(5, 2))
    torch.testing.assert_close(log_prob, Independent(Normal(mean, log_std.exp()), 1).log_prob(u) - (1 - torch.tanh(u) ** 2).log().sum(-1))
    torch.testing.assert_close(actor.log_prob(state, u), log_prob)
    assert u.requires_grad and log_prob.shape == (5,), "u carries no gradient, or log pi is not one number for each state"


def test_squashed_sample_is_mean_plus_scaled_noise():
    """Nothing in it is random: u = 0.5 + 2 * 0.25, and log pi is that of the u it returns."""
    mean, log_std, noise = torch.tensor([[0.5]]), torch.tensor([[math.log(2)]]), torch.tensor([[0.25]])
    u, log_prob = squashed_sample(mean, log_std, noise)
    assert u.item() == pytest.approx(1)
    torch.testing.assert_close(log_prob, tanh_normal_log_prob(mean, log_std, u))


def test_draw_is_the_action_of_sample():
    actor = Actor(sac_config(), 9, 2)
    state = torch.randn(5, 9)
    torch.manual_seed(1)
    u = actor.draw(state)
    torch.manual_seed(1)
    assert torch.equal(u, actor.sample(state).pre_tanh), "draw and sample disagree on u"


def test_mode_is_tanh_of_the_mean():
    actor = Actor(sac_config(), 9, 2)
    state = torch.randn(5, 9)
    torch.testing.assert_close(actor.mode(state), torch.tanh(actor.net(state)[:, :2]))


def test_log_std_is_clamped():
    actor = Actor(sac_config(log_std_min=-2.0, log_std_max=0.5), 9, 2)
    _, log_std = actor(torch.randn(500, 9) * 1000)
    assert log_std.min() == -2.0 and log_std.max() == 0.5


def test_mean_limit_is_soft():
    """limit * tanh(mean / limit): never beyond the limit, and near 0 the mean itself."""
    free, bound = (Actor(sac_config(mean_limit=limit), 9, 2) for limit in (0.0, 3.0))
    bound.load_state_dict(free.state_dict())
    state = torch.randn(200, 9) * 100
    mean, limited = free(state)[0], bound(state)[0]
    assert mean.abs().max() > 3 > limited.abs().max() - 1e-5
    torch.testing.assert_close(limited, 3 * torch.tanh(mean / 3))


def test_actor_out_scale_shrinks_the_last_layer_only():
    torch.manual_seed(1)
    plain = Actor(sac_config(), 9, 2)
    torch.manual_seed(1)
    shrunk = Actor(sac_config(actor_out_scale=0.01), 9, 2)
    state = torch.randn(5, 9)
    torch.testing.assert_close(shrunk.net(state), 0.01 * plain.net(state))
    assert torch.equal(shrunk.net[0].weight, plain.net[0].weight), "another layer than the last was shrunk"


# --- the critics -----------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [(5,), (5, 4), (3, 5, 4)])
def test_twin_q_is_two_networks_on_state_and_action(lead):
    twin = TwinQ(sac_config(), 9, 2).double()
    state, action = torch.randn(*lead, 9, dtype=DOUBLE), torch.randn(*lead, 2, dtype=DOUBLE)
    got = twin(state, action)
    assert got.shape == (2, *lead)
    for half, expected in enumerate(both_q(twin, state, action)):
        torch.testing.assert_close(got[half], expected)


def test_target_q_starts_as_a_copy_that_no_gradient_trains():
    sac = make()
    assert all(torch.equal(p, q) and p is not q for p, q in zip(sac.q.parameters(), sac.q_target.parameters())), (
        "the target Q does not start as a copy of its own"
    )
    assert not any(p.requires_grad for p in sac.q_target.parameters()), "the target Q asks for gradients"
    held = {id(p) for group in sac.make_optimizer().param_groups for p in group["params"]}
    assert held == {id(p) for p in (*sac.actor.parameters(), *sac.q.parameters())}


def test_ema_update_by_hand():
    target, source = nn.Linear(1, 1), nn.Linear(1, 1)
    with torch.no_grad():
        for p, value in zip((*target.parameters(), *source.parameters()), (1.0, 2.0, 11.0, -8.0)):
            p.fill_(value)
    ema_update(target, source, 0.9)
    assert [p.item() for p in target.parameters()] == pytest.approx([2.0, 1.0])
    assert [p.item() for p in source.parameters()] == [11.0, -8.0]


def test_alpha_schedule():
    """From 0.5 to 0.1 in a straight line over ten updates, then flat."""
    sac = make(alpha=0.5, alpha_final=0.1, alpha_updates=10)
    seen = []
    for update in (0, 5, 10, 1000):
        sac.updates.fill_(update)
        seen.append(sac.alpha)
    assert seen == pytest.approx([0.5, 0.3, 0.1, 0.1])
    optimizer = sac.make_optimizer()
    sac.updates.fill_(0)
    for _ in range(5):
        sac.update(random_trajectories(), optimizer)
    assert sac.alpha == pytest.approx(0.3)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_every_use_of_alpha_follows_the_schedule(lam):
    """Half way from 0.5 to 0.1, returns and both actor losses are those of a constant 0.3, and of no other."""

    def everything(**alphas):
        torch.manual_seed(3)
        sac = make(lam=lam, **alphas)
        sac.updates.fill_(5)
        batch, weight = random_trajectories(), torch.rand(5, 4)
        fixed = torch.randn(5, 4)
        torch.manual_seed(4)
        seen = {"returns": sac.returns(batch), "pathwise loss": sac.pathwise_loss(batch.state[:, :-1], weight)[0]}
        zero_value = sac.score_loss(batch, fixed, weight)[0]
        return seen | {"score loss": zero_value}

    scheduled = everything(alpha=0.5, alpha_final=0.1, alpha_updates=10)
    for name, value in everything(alpha=0.3, alpha_final=0.3).items():
        torch.testing.assert_close(scheduled[name], value, msg=lambda told, name=name: f"{name} at another alpha than now's: {told}")
    for other in (0.5, 0.1):
        for name, value in everything(alpha=other, alpha_final=other).items():
            assert not torch.allclose(scheduled[name], value), f"{name} does not depend on alpha"


@pytest.mark.parametrize("kind", ["soft value at the end", "bonus on the way", "baseline", "advantage", "pathwise"])
def test_alpha_follows_the_schedule_in_each_place_alone(kind):
    """A policy of known density, Q = 0 and no reward: what is left is alpha times entropies, with alpha as it is now."""
    alphas = dict(alpha=0.5, alpha_final=0.1, alpha_updates=10)
    sac = make(1, 1, dtype=DOUBLE, lam=1.0, gamma=1.0, **alphas)
    sac.q_target = Flat()
    sac.updates.fill_(5)
    batch = random_trajectories(3, 2, 1, 1, DOUBLE)._replace(reward=torch.zeros(3, 2, dtype=DOUBLE), cont=torch.ones(3, 2, dtype=DOUBLE))
    with torch.no_grad():
        taken = sac.actor.log_prob(batch.state[:, :-1], batch.pre_tanh)  # (N, H)
    torch.manual_seed(1)
    if kind in ("soft value at the end", "bonus on the way"):
        got = sac.returns(batch)[:, 1 if kind.startswith("soft") else 0]
        torch.manual_seed(1)
        expected = -0.3 * sac.actor.sample(batch.state[:, -1:]).log_prob[:, 0]
        expected = expected - (0.3 * taken[:, 1] if kind.startswith("bonus") else 0)
    elif kind == "pathwise":
        got, log_prob = sac.pathwise_loss(batch.state[:, :-1], torch.ones(3, 2, dtype=DOUBLE))
        expected = 0.3 * log_prob
    else:
        weight = torch.tensor([[1.0, 0], [0, 0], [0, 0]], dtype=DOUBLE)  # the very first step alone
        got = -6 * sac.score_loss(batch, torch.zeros(3, 2, dtype=DOUBLE), weight)[0] / taken[0, 0]
        torch.manual_seed(1)
        drawn = sac.actor.sample(batch.state[:, :-1].expand(4, 3, 2, 1)).log_prob[:, 0, 0].mean()
        if kind == "baseline":
            got, expected = got + 0.3 * taken[0, 0], 0.3 * drawn
        else:
            got, expected = got - 0.3 * drawn, -0.3 * taken[0, 0]
    torch.testing.assert_close(got, expected, msg=lambda told: f"{kind}: not the alpha of now, 0.3: {told}")


def test_critic_loss_is_the_sum_of_two_weighted_errors():
    """Both critics regress on the same returns, averaged over all steps."""
    sac = make(dtype=DOUBLE)
    batch = random_trajectories(dtype=DOUBLE)
    returns, weight = torch.randn(5, 4, dtype=DOUBLE), torch.rand(5, 4, dtype=DOUBLE)
    loss, q_mean = sac.critic_loss(batch, returns, weight)
    expected = 0.0
    for n in range(5):
        for t in range(4):
            qs = both_q(sac.q, batch.state[n, t], torch.tanh(batch.pre_tanh[n, t]))
            expected += sum(weight[n, t] * (q - returns[n, t]) ** 2 for q in qs) / 20
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(q_mean, sac.q(batch.state[:, :-1], torch.tanh(batch.pre_tanh)).mean())


def test_twin_critic_loss_by_hand():
    """Errors 1 and 2, -1 and 0, weights 1 and 1/2: (1 + 2) / 2 + 1 / 2; and returns take no gradient."""
    q, returns = torch.tensor([[[2.0, 5.0]], [[0.0, 3.0]]]), torch.tensor([[1.0, 3.0]], requires_grad=True)
    q.requires_grad_()
    loss = twin_critic_loss(q, returns, torch.tensor([[1.0, 0.5]]))
    assert loss.item() == pytest.approx(2)
    loss.backward()
    assert returns.grad is None and q.grad.flatten().tolist() == pytest.approx([1, 1, -1, 0])


# --- what the critics regress on -------------------------------------------------------------


def hand_returns(sac, batch, action, lam, soft):
    """The lambda-return of every step by recursion, given the bootstrap actions drawn at s_1 .. s_H (or at s_H alone)."""
    config, number, horizon = sac.config, *batch.reward.shape
    out = torch.zeros(number, horizon, dtype=DOUBLE)
    for n in range(number):
        for t in reversed(range(horizon)):
            at = t if action.pre_tanh.shape[1] == horizon else 0
            u, log_prob = action.pre_tanh[n, at], action.log_prob[n, at]
            value = min(both_q(sac.q_target, batch.state[n, t + 1], torch.tanh(u))) - soft * config.alpha * log_prob
            if t < horizon - 1:
                taken = sac.actor.log_prob(batch.state[n, t + 1], batch.pre_tanh[n, t + 1])
                value = (1 - lam) * value + lam * (out[n, t + 1] - soft * config.alpha * taken)
            out[n, t] = batch.reward[n, t] + config.gamma * batch.cont[n, t] * value
    return out.detach()


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_returns_by_hand(lam, soft):
    """One sampled action per bootstrap, the smaller target Q, and the entropy once per step (or never)."""
    sac = make(dtype=DOUBLE, lam=lam, soft=soft)
    with torch.no_grad():  # the target differs from the fast Q
        for p in sac.q_target.parameters():
            p.add_(torch.randn_like(p) * 0.5)
    batch = random_trajectories(dtype=DOUBLE)
    torch.manual_seed(1)
    got = sac.returns(batch)
    torch.manual_seed(1)
    reached = batch.state[:, -1:] if lam == 1 else batch.state[:, 1:]
    torch.testing.assert_close(got, hand_returns(sac, batch, sac.actor.sample(reached), lam, soft))
    assert not got.requires_grad, "returns carry a gradient"


def test_returns_of_a_single_step_are_the_same_for_every_lambda():
    """With H = 1 there is nothing to mix."""
    sac = make()
    batch = random_trajectories(horizon=1)
    seen = []
    for lam in (0.0, 0.5, 1.0):
        sac.config.lam = lam
        torch.manual_seed(1)
        seen.append(sac.returns(batch))
    torch.testing.assert_close(seen[0], seen[1])
    torch.testing.assert_close(seen[0], seen[2])


# --- what the actor climbs -------------------------------------------------------------------


class Flat(nn.Module):
    """Critics to whom everything is worth 0."""

    def forward(self, state, action):
        return torch.zeros(2, *state.shape[:-1], dtype=state.dtype)


class Quadratic(nn.Module):
    """A known pair of critics: Q(s, a) = -(a - 0.4)^2, and one that is better by 0.5."""

    def forward(self, state, action):
        q = -(action - 0.4).square().sum(-1)
        return torch.stack([q + 0.5, q])


def gradient(loss, sac):
    sac.zero_grad()
    loss.backward()
    return sac.actor.net[-1].bias.grad.clone()


def true_gradient(sac, state, alpha):
    """d/d(mean, log std) of E[Q(tanh u) - alpha log pi], by a numeric integral over u."""
    mean, log_std = (x.detach().double().requires_grad_() for x in sac.actor(state))
    u = torch.linspace(-12, 12, 20_001, dtype=DOUBLE)[:, None]
    log_pi = tanh_normal_log_prob(mean, log_std, u)
    normal = torch.exp(Normal(mean, torch.exp(log_std)).log_prob(u)).squeeze(-1)
    soft_q = -(torch.tanh(u).squeeze(-1) - 0.4).square() - alpha * log_pi
    value = torch.trapezoid(normal * soft_q, u.squeeze(-1))
    return torch.cat(gradients(value, (mean, log_std))).flatten().float()


def one_state_problem(**changes):
    sac = make(features=1, action=1, alpha=0.2, alpha_final=0.2, **changes)
    sac.q_target = Quadratic()
    return sac, torch.ones(1, 1)


@pytest.mark.parametrize("baseline_samples", [1, 4])
def test_both_actor_gradients_are_the_true_one_on_average(baseline_samples):
    """On one state with a known Q: pathwise, score function and a numeric integral agree."""
    sac, state = one_state_problem(baseline_samples=baseline_samples)
    truth = true_gradient(sac, state, 0.2)
    number = 100_000
    many = state.expand(number, 2, 1)
    pathwise, _ = sac.pathwise_loss(many[:, :1], torch.ones(number, 1))
    torch.testing.assert_close(-gradient(pathwise, sac), truth, rtol=0.02, atol=0.01)
    u = sac.actor.sample(many[:, :1]).pre_tanh.detach()
    batch = Trajectories(many, u, torch.zeros(number, 1), torch.zeros(number, 1), torch.ones(number))
    returns = -(torch.tanh(u).squeeze(-1) - 0.4).square()
    score, _ = sac.score_loss(batch, returns, torch.ones(number, 1))
    torch.testing.assert_close(-gradient(score, sac), truth, rtol=0.03, atol=0.015)
    assert truth.abs().min() > 0.05


def test_baseline_makes_the_score_gradient_quieter():
    """The mean does not move with the baseline, but the spread over batches does: a baseline near E[R] shrinks it."""
    spread = {}
    for offset in (0.0, 10.0):
        sac, state = one_state_problem()
        many = state.expand(64, 2, 1)
        grads = []
        for _ in range(60):
            u = sac.actor.sample(many[:, :1]).pre_tanh.detach()
            batch = Trajectories(many, u, torch.zeros(64, 1), torch.zeros(64, 1), torch.ones(64))
            returns = offset - (torch.tanh(u).squeeze(-1) - 0.4).square()
            grads.append(gradient(sac.score_loss(batch, returns, torch.ones(64, 1))[0], sac))
        spread[offset] = torch.stack(grads).std(0).mean().item()
    assert spread[10.0] > 5 * spread[0.0]


def test_soft_baseline_by_hand():
    """The smaller critic at each of two actions is 1 and 2; with 0.5 times the surprise 1.5 and 3.5; on average 2.5."""
    q = torch.tensor([[1.0, 5.0], [3.0, 2.0]])
    assert soft_baseline(q, torch.tensor([-1.0, -3.0]), 0.5).item() == 2.5


def test_soft_advantage_by_hand_and_without_a_gradient():
    """5 - 0.5 * (-2) - 4 = 2."""
    log_prob = torch.tensor([-2.0], requires_grad=True)
    advantage = soft_advantage(torch.tensor([5.0]), log_prob, torch.tensor([4.0]), 0.5)
    assert advantage.tolist() == [2.0] and not advantage.requires_grad, "not 5 - 0.5 * (-2) - 4, or it carries a gradient"


def test_score_actor_loss_by_hand():
    """-(2 * (-1) * 1 + 3 * 4 * 0.5) / 2 = -2, and the gradient is -A w / 2."""
    log_prob = torch.tensor([-1.0, 4.0], requires_grad=True)
    loss = score_actor_loss(torch.tensor([2.0, 3.0]), log_prob, torch.tensor([1.0, 0.5]))
    loss.backward()
    assert loss.item() == -2 and log_prob.grad.tolist() == [-1.0, -0.75]


def test_pathwise_actor_loss_lets_the_gradient_through_the_action():
    """Q = -(a - 0.4)^2 at u = 0: -0.16, and d(-Q)/du = 2 (0 - 0.4) * 1 = -0.8; the entropy's gradient is alpha."""
    u, log_prob = torch.zeros(1, 1, requires_grad=True), torch.tensor([-2.0], requires_grad=True)
    loss = pathwise_actor_loss(Quadratic(), torch.ones(1, 1), Action(u, log_prob), 0.5, torch.ones(1))
    loss.backward()
    assert loss.item() == pytest.approx(0.16 - 1.0)
    assert u.grad.item() == pytest.approx(-0.8) and log_prob.grad.item() == pytest.approx(0.5)


def test_pathwise_loss_by_hand():
    """-(weight * (min Qbar(s, a~) - alpha log pi(a~ | s))), averaged."""
    sac = make(dtype=DOUBLE)
    state, weight = torch.randn(5, 4, 9, dtype=DOUBLE), torch.rand(5, 4, dtype=DOUBLE)
    torch.manual_seed(1)
    loss, log_prob = sac.pathwise_loss(state, weight)
    torch.manual_seed(1)
    action = sac.actor.sample(state)
    q = torch.minimum(*both_q(sac.q_target, state, torch.tanh(action.pre_tanh)))
    torch.testing.assert_close(loss, -(weight * (q - 0.1 * action.log_prob)).mean())
    torch.testing.assert_close(log_prob, action.log_prob.mean())


def test_score_loss_by_hand():
    """-mean[w (R_t - alpha log pi(a_t | s_t) - b(s_t)) log pi(a_t | s_t)], everything at the state the action leaves."""
    sac = make(dtype=DOUBLE, baseline_samples=3)
    with torch.no_grad():
        for p in sac.q_target.parameters():
            p.add_(torch.randn_like(p))
    batch = random_trajectories(dtype=DOUBLE)
    returns, weight = torch.randn(5, 4, dtype=DOUBLE), torch.rand(5, 4, dtype=DOUBLE)
    torch.manual_seed(1)
    loss, log_prob = sac.score_loss(batch, returns, weight)
    torch.manual_seed(1)
    drawn = sac.actor.sample(batch.state[:, :-1].expand(3, 5, 4, 9))
    expected = mean = 0.0
    for n in range(5):
        for t in range(4):
            state = batch.state[n, t]
            worth = [
                min(both_q(sac.q_target, state, torch.tanh(drawn.pre_tanh[k, n, t]))) - 0.1 * drawn.log_prob[k, n, t] for k in range(3)
            ]
            taken = sac.actor.log_prob(state, batch.pre_tanh[n, t])
            advantage = (returns[n, t] - 0.1 * taken - sum(worth) / 3).detach()
            expected = expected - weight[n, t] * advantage * taken / 20
            mean = mean + taken.detach() / 20
    torch.testing.assert_close(loss, expected, msg=lambda told: f"the loss: {told}")
    torch.testing.assert_close(log_prob, mean, msg=lambda told: f"the mean log pi of the actions taken: {told}")
    grads = [gradients(value, sac.actor.net[-1].weight)[0] for value in (loss, expected)]
    torch.testing.assert_close(*grads, msg=lambda told: f"the gradient: {told}")


@pytest.mark.parametrize("samples", [1, 5])
def test_the_baseline_asks_about_as_many_actions_as_the_setting_says(samples):
    """At each state K different actions of its own."""
    sac = make(baseline_samples=samples)
    asked, q = [], sac.q_target.forward
    sac.q_target.forward = lambda state, action: asked.append(action) or q(state, action)
    sac.score_loss(random_trajectories(), torch.zeros(5, 4), torch.ones(5, 4))
    assert [tuple(action.shape) for action in asked] == [(samples, 5, 4, 2)], "(actions, N, H, A) that the critics were asked about"
    assert len(asked[0].unique()) == samples * 5 * 4 * 2, "an action that is used twice"


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_weight_zero_means_not_seen(grad):
    """Steps after a certain end, and trajectories of weight 0, train nothing."""
    batch = random_trajectories(number=6, horizon=3)
    batch.cont[:2, 0] = 0  # the dream ends after the first step
    batch.weight[2:4] = 0
    poisoned = batch._replace(state=batch.state.clone(), pre_tanh=batch.pre_tanh.clone(), reward=batch.reward.clone())
    poisoned.state[:2, 2:] += 3
    poisoned.pre_tanh[:2, 1:] -= 1
    poisoned.reward[:2, 1:] += 5
    poisoned.state[2:4] -= 2
    poisoned.reward[2:4] += 7
    after = []
    for data in (batch, poisoned):
        torch.manual_seed(1)
        sac = make(actor_grad=grad, lam=1.0)
        sac.update(data, sac.make_optimizer())
        after.append(numbers(sac))
    assert same(*after), "steps of weight 0 train something"


def test_certain_steps_weigh_more_than_unlikely_ones():
    """A step reached with probability 1/4 has a quarter of the pull."""
    sac = make(dtype=DOUBLE)
    batch = random_trajectories(number=1, horizon=2, dtype=DOUBLE)._replace(weight=torch.ones(1, dtype=DOUBLE))
    batch.cont[:] = 0.25
    seen = {}
    real = sac.critic_loss
    sac.critic_loss = lambda data, returns, weight: seen.update(weight=weight) or real(data, returns, weight)
    sac.update(batch, sac.make_optimizer())
    torch.testing.assert_close(seen["weight"], torch.tensor([[1, 0.25]], dtype=DOUBLE))


def test_normalised_advantage_divides_by_a_running_std():
    """The first batch sets the scale; later ones move it by a twentieth; rewards ten times as large change no gradient."""
    sac = make(actor_grad="score", normalize_advantage=True)
    sac.q_target = Quadratic()
    batch = random_trajectories(number=200, action=2)
    losses = []
    for scale in (1e5, 1e6):
        sac.updates.zero_()
        torch.manual_seed(1)
        losses.append(sac.score_loss(batch, scale * batch.reward, torch.ones(200, 4))[0].item())
        assert sac.advantage_std.item() == pytest.approx(scale * batch.reward.std().item(), rel=0.05)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    before = sac.advantage_std.item()
    sac.updates.fill_(1)
    sac.score_loss(batch, 0 * batch.reward, torch.ones(200, 4))
    assert sac.advantage_std.item() == pytest.approx(0.95 * before, rel=0.01)


def test_a_normalised_advantage_is_the_plain_one_divided_by_its_scale_and_nothing_else():
    """Not centred as well; and where all advantages are one number, their scale counts as 0.001."""
    batch, returns, weight = random_trajectories(), torch.randn(5, 4) + 3, torch.rand(5, 4)
    losses = []
    for normalize in (False, True):
        torch.manual_seed(1)
        sac = make(actor_grad="score", normalize_advantage=normalize)
        losses.append(sac.score_loss(batch, returns, weight)[0].item())
    assert losses[1] * sac.advantage_std.item() == pytest.approx(losses[0], rel=1e-4), "the loss times the scale"
    one = random_trajectories(1, 1)
    losses = []
    for normalize in (False, True):
        torch.manual_seed(1)
        sac = make(actor_grad="score", normalize_advantage=normalize)
        losses.append(sac.score_loss(one, torch.ones(1, 1), torch.ones(1, 1))[0].item())
    assert losses[1] == pytest.approx(1000 * losses[0], rel=1e-4), "the loss of a single step, whose advantage has no spread"


# --- one update ------------------------------------------------------------------------------


def test_descend_clips_the_norm_and_reports_it():
    """A gradient (30, 40) has norm 50; plain descent with clip 1 then moves by (0.6, 0.8)."""
    x = nn.Parameter(torch.zeros(2))
    (norm,) = descend((x * torch.tensor([30.0, 40.0])).sum(), torch.optim.SGD([x], 1.0), 1.0)
    assert norm.item() == pytest.approx(50)
    assert x.tolist() == pytest.approx([-0.6, -0.8], rel=1e-4)


def test_descend_clips_each_group_by_itself():
    """The critics' long gradient does not shorten the actor's."""
    x, y = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    norm, other = descend((0.5 * x + 80 * y).sum(), torch.optim.SGD([{"params": [x]}, {"params": [y]}], 1.0), 1.0)
    assert (x.item(), y.item()) == pytest.approx((-0.5, -1.0), rel=1e-4)
    assert (norm.item(), other.item()) == pytest.approx((0.5, 80))


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_an_update_clips_actor_and_critics_at_sacs_own_setting(grad):
    """Both gradients are longer than clip_norm; what reaches Adam has just that length, in either half."""
    sac = make(actor_grad=grad, clip_norm=1e-3)
    metrics = sac.update(random_trajectories(), sac.make_optimizer())
    for half, name in ((sac.actor, "actor"), (sac.q, "critic")):
        before = metrics[f"{name}_grad_norm"].item()
        left = torch.cat([p.grad.flatten() for p in half.parameters()]).norm().item()
        assert before > 2e-3, f"the gradient of the {name} is short, so clipping is not tested"
        assert left == pytest.approx(1e-3, rel=1e-3), f"the norm of the gradient that the {name} descends"


def test_descend_leaves_short_gradients_alone_and_starts_from_zero():
    x = nn.Parameter(torch.zeros(2))
    x.grad = torch.full((2,), 99.0)  # left over from somewhere else
    descend((x * torch.tensor([0.3, 0.4])).sum(), torch.optim.SGD([x], 1.0), 1.0)
    assert x.tolist() == pytest.approx([-0.3, -0.4])


def test_adam_step_by_hand():
    """Adam's first step has the length of the learning rate, whatever the gradient's scale."""
    sac = make(actor_lr=0.01, critic_lr=0.02)
    before = numbers(sac)
    sac.update(random_trajectories(), sac.make_optimizer())
    after = numbers(sac)
    for name, lr in [("actor.net.2.weight", 0.01), ("q.layers.1.weight", 0.02)]:
        moved = (after[name] - before[name]).abs()
        assert moved.max().item() == pytest.approx(lr, rel=1e-3)
        assert moved.median().item() == pytest.approx(lr, rel=0.05)


def test_three_updates_are_adams_with_its_usual_constants():
    """From the gradients that each update leaves behind: betas 0.9 and 0.999, epsilon 1e-8, no decay, each half at its own rate."""
    sac = make(actor_lr=0.01, critic_lr=0.02)
    optimizer, weights = sac.make_optimizer(), [*sac.actor.parameters(), *sac.q.parameters()]
    rates = [0.01] * len(list(sac.actor.parameters())) + [0.02] * len(list(sac.q.parameters()))
    expected = [p.detach().double() for p in weights]
    m, v = ([torch.zeros_like(p) for p in expected] for _ in range(2))
    for step in (1, 2, 3):
        sac.update(random_trajectories(), optimizer)
        for i, p in enumerate(weights):
            g = p.grad.double()
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g * g
            expected[i] = expected[i] - rates[i] * (m[i] / (1 - 0.9**step)) / ((v[i] / (1 - 0.999**step)).sqrt() + 1e-8)
            assert torch.allclose(p.detach().double(), expected[i], rtol=1e-3, atol=2e-5), f"weights after update {step} are not Adam's"


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_one_backward_pass_serves_both_halves(grad):
    """In an update the actor gets the gradient of the actor's loss alone, the critics that of theirs alone."""
    sac = make(actor_grad=grad, lam=1.0)
    batch = random_trajectories()
    weight = batch.weight[:, None] * torch.cumprod(torch.cat([torch.ones(5, 1), batch.cont[:, :-1]], 1), 1)
    torch.manual_seed(1)
    returns = sac.returns(batch)
    critic_loss, _ = sac.critic_loss(batch, returns, weight)
    actor_loss, _ = sac.pathwise_loss(batch.state[:, :-1], weight) if grad == "pathwise" else sac.score_loss(batch, returns, weight)
    alone = [*gradients(actor_loss, list(sac.actor.parameters())), *gradients(critic_loss, list(sac.q.parameters()))]
    torch.manual_seed(1)
    metrics = sac.update(batch, sac.make_optimizer())
    together = [p.grad for p in (*sac.actor.parameters(), *sac.q.parameters())]
    for left, right in zip(alone, together, strict=True):
        torch.testing.assert_close(left, right)
    assert metrics["actor_loss"].item() == pytest.approx(actor_loss.item(), rel=1e-5)
    assert metrics["critic_loss"].item() == pytest.approx(critic_loss.item(), rel=1e-5)


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_update_moves_the_target_by_the_ema_of_the_new_critic(grad):
    sac = make(actor_grad=grad, polyak=0.9)
    before = [p.clone() for p in sac.q_target.parameters()]
    metrics = sac.update(random_trajectories(), sac.make_optimizer())
    for old, target, fast in zip(before, sac.q_target.parameters(), sac.q.parameters()):
        torch.testing.assert_close(target, 0.9 * old + 0.1 * fast)
        assert not torch.equal(target, old), "the target Q stands still"
    assert set(metrics) == {"critic_loss", "actor_loss", "q_mean", "return_mean", "entropy", "actor_grad_norm", "critic_grad_norm"}
    assert all(value.ndim == 0 and not value.requires_grad for value in metrics.values()), "a metric that is no plain number"
    assert int(sac.updates) == 1


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_metrics_are_those_of_the_update(grad):
    """Losses, Q and returns as they were before the step, and the entropy -log pi, averaged over the actions of the actor's loss."""
    torch.manual_seed(2)
    sac, batch = make(actor_grad=grad, lam=1.0), random_trajectories()
    weight = batch.weight[:, None] * alive_weight(batch.cont)
    torch.manual_seed(1)
    returns = sac.returns(batch)
    critic_loss, q_mean = sac.critic_loss(batch, returns, weight)
    actor_loss, log_prob = sac.pathwise_loss(batch.state[:, :-1], weight) if grad == "pathwise" else sac.score_loss(batch, returns, weight)
    expected = {"critic_loss": critic_loss, "actor_loss": actor_loss, "q_mean": q_mean, "return_mean": returns.mean(), "entropy": -log_prob}
    for half, loss, parameters in (("actor", actor_loss, sac.actor.parameters()), ("critic", critic_loss, sac.q.parameters())):
        expected[f"{half}_grad_norm"] = torch.cat([grad.flatten() for grad in gradients(loss, parameters)]).norm()
    torch.manual_seed(1)
    metrics = sac.update(batch, sac.make_optimizer())
    assert metrics.keys() == expected.keys(), "the names of the metrics"
    for name, value in expected.items():
        assert metrics[name].item() == pytest.approx(value.item(), rel=1e-4), name


# --- problems with a known answer ------------------------------------------------------------


def bandit(number):
    """One step, then the end: the reward of action a is -(a - 0.4)^2. Actions come from the caller."""

    def play(sac):
        state = torch.ones(number, 2, 1)
        with torch.no_grad():
            u = sac.actor.sample(state[:, :1]).pre_tanh
        reward = -(torch.tanh(u).squeeze(-1) - 0.4).square()
        return Trajectories(state, u, reward, torch.zeros(number, 1), torch.ones(number))

    return play


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_solves_a_one_step_bandit(grad):
    """The best action is 0.4; the best soft policy is proportional to exp(r(a) / alpha), and its spread is known."""
    alpha = 0.05
    sac = make(1, 1, actor_grad=grad, units=16, alpha=alpha, alpha_final=alpha, actor_lr=1e-2, critic_lr=1e-2)
    optimizer, play = sac.make_optimizer(), bandit(128)
    for _ in range(300):
        sac.update(play(sac), optimizer)
    a = torch.linspace(-1, 1, 2001, dtype=DOUBLE)
    best = torch.exp(-(a - 0.4).square() / alpha)
    best /= torch.trapezoid(best, a)
    mean = torch.trapezoid(a * best, a)
    std = torch.trapezoid((a - mean).square() * best, a).sqrt()
    action = torch.tanh(sac.actor.sample(torch.ones(4000, 1)).pre_tanh.detach())
    assert sac.actor.mode(torch.ones(1, 1)).item() == pytest.approx(0.4, abs=0.12)
    assert action.mean().item() == pytest.approx(mean.item(), abs=0.1)
    assert action.std().item() == pytest.approx(std.item(), rel=0.25)
    with torch.no_grad():
        near = torch.linspace(0.2, 0.6, 5)  # where it acts
        q = sac.q(torch.ones(5, 1), near[:, None])
    torch.testing.assert_close(q, -(near - 0.4).square().expand(2, 5), atol=0.06, rtol=0)


def test_critic_learns_a_discounted_sum():
    """A reward of 1 for ever, gamma = 0.5, no entropy: Q = 2; if the first step is the last, Q = 1."""
    for cont, value in [(1.0, 2.0), (0.0, 1.0)]:
        sac = make(1, 1, gamma=0.5, alpha=0.0, alpha_final=0.0, critic_lr=1e-2, polyak=0.9)
        optimizer = sac.make_optimizer()
        for _ in range(250):
            batch = Trajectories(torch.ones(32, 2, 1), torch.randn(32, 1, 1), torch.ones(32, 1), torch.full((32, 1), cont), torch.ones(32))
            sac.update(batch, optimizer)
        q = sac.q_target(torch.ones(50, 1), torch.rand(50, 1) - 0.5)
        assert q.mean().item() == pytest.approx(value, abs=0.1)


def test_alive_weight_is_one_for_single_steps():
    """Steps already weighted by `steps()` are not weighted twice."""
    steps = random_trajectories().steps()
    assert (alive_weight(steps.cont) == 1).all(), "single steps are weighted twice"


def test_without_a_schedule_the_entropy_weight_stays_what_it_was():
    sac = make(alpha=0.5, alpha_final=0.1, alpha_updates=0)
    assert sac.alpha == 0.5
    sac.updates += 100
    assert sac.alpha == 0.5


# --- pieces of the paper that SAC can have too ---------------------------------------------------


def test_with_zero_init_every_critic_starts_at_exactly_zero():
    """The targets too, so that the first returns are rewards and entropy alone; and it learns from there."""
    sac, state, action = make(zero_init=True), 100 * torch.randn(50, 9), torch.rand(50, 2) * 2 - 1
    for name, critics in (("fast", sac.q), ("target", sac.q_target)):
        assert (critics(state, action) == 0).all(), f"a {name} critic that has learned nothing knows a value"
    assert sac.q.layers[0].weight.any(), "more than the output layer was set to 0"
    optimizer = sac.make_optimizer()
    for _ in range(2):
        sac.update(random_trajectories(), optimizer)
    assert (sac.q(state, action) != 0).all() and (sac.q_target(state, action) != 0).all(), "a critic that started at 0 stays there"


def ranged(low, high, **changes):
    """An agent whose returns have had this range."""
    torch.manual_seed(3)
    sac = make(return_range=True, **changes)
    sac.range.percentiles.copy_(torch.tensor([low, high]))
    return sac


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_with_a_return_range_entropy_is_weighed_in_ranges(lam):
    """alpha 0.3 at a range of 4 is alpha 1.2 in every place: returns, baseline, advantage and the pathwise objective."""
    torch.manual_seed(3)
    plain, batch, weight = make(alpha=1.2, alpha_final=1.2, lam=lam), random_trajectories(), torch.rand(5, 4)
    found = []
    for sac in (plain, ranged(-1.0, 3.0, alpha=0.3, alpha_final=0.3, lam=lam)):
        sac.load_state_dict(plain.state_dict(), strict=False)
        assert sac.alpha == pytest.approx(1.2), "the weight of the entropy"
        torch.manual_seed(4)
        returns = sac.returns(batch)
        found.append([returns, sac.pathwise_loss(batch.state[:, :-1], weight)[0], sac.score_loss(batch, returns, weight)[0]])
    for name, ours, expected in zip(("returns", "pathwise loss", "score loss"), found[1], found[0]):
        torch.testing.assert_close(ours, expected, msg=lambda told, name=name: f"{name} with a return range: {told}")


def test_both_actors_climb_returns_over_their_range_plus_alpha_times_entropy():
    """Losses over S: the advantage is (R - E[Q]) / S - alpha (log pi - its mean), the pathwise value Q / S - alpha log pi."""
    sac, batch, alpha, scale = ranged(-1.0, 3.0, alpha=0.3, alpha_final=0.3, baseline_samples=2), random_trajectories(), 0.3, 4.0
    state, returns, weight = batch.state[:, :-1], torch.randn(5, 4), torch.rand(5, 4)
    with torch.no_grad():
        log_prob = sac.actor.log_prob(state, batch.pre_tanh)
        torch.manual_seed(4)
        drawn = sac.actor.sample(state.expand(2, *state.shape))
        q = sac.q_target(state.expand(2, *state.shape), torch.tanh(drawn.pre_tanh)).amin(0)
        advantage = (returns - q.mean(0)) / scale - alpha * (log_prob - drawn.log_prob.mean(0))
        torch.manual_seed(4)
        score = sac.score_loss(batch, returns, weight)[0] / scale
        torch.manual_seed(4)
        action = sac.actor.sample(state)
        climbed = sac.q_target(state, torch.tanh(action.pre_tanh)).amin(0) / scale - alpha * action.log_prob
        torch.manual_seed(4)
        pathwise = sac.pathwise_loss(state, weight)[0] / scale
    torch.testing.assert_close(score, -(weight * advantage * log_prob).mean(), msg=lambda told: f"score loss over S: {told}")
    torch.testing.assert_close(pathwise, -(weight * climbed).mean(), msg=lambda told: f"pathwise loss over S: {told}")


def test_each_update_moves_the_range_by_its_returns():
    """A hundredth of the way to the 5th and the 95th percentile of what the critics regress on."""
    sac, batch = ranged(-100.0, 300.0, alpha=0.0, alpha_final=0.0, lam=1.0), random_trajectories()
    torch.manual_seed(4)
    returns = sac.returns(batch)
    torch.manual_seed(4)
    sac.update(batch, sac.make_optimizer())
    low, high = torch.quantile(returns.flatten(), torch.tensor([0.05, 0.95])).tolist()
    assert sac.range.percentiles.tolist() == pytest.approx([-99 + 0.01 * low, 297 + 0.01 * high])


def test_small_ranges_count_as_one_and_no_range_as_none():
    assert ranged(0.0, 0.2, alpha=0.3, alpha_final=0.3).alpha == pytest.approx(0.3), "a range below 1"
    assert make().range is None and not any(name.startswith("range") for name in make().state_dict()), "a range that nobody asked for"


def test_new_units_of_rewards_move_the_range_with_the_values():
    """Q becomes 0.5 Q + 3, and so do the percentiles of returns: entropy keeps its price."""
    sac, state, action = ranged(-2.0, 8.0, alpha=0.1, alpha_final=0.1), torch.randn(5, 9), torch.rand(5, 2)
    before = sac.q(state, action)
    sac.restate_values(0.5, 3.0)
    torch.testing.assert_close(sac.q(state, action), 0.5 * before + 3)
    assert sac.range.percentiles.tolist() == pytest.approx([2, 7]) and sac.alpha == pytest.approx(0.5)

"""Soft actor-critic: squashed Gaussian actor, twin Q, EMA targets.

One class for real and imagined data. Differences from Spinning Up's SAC (PyTorch version):

* v1 never reads the fast Q. It is fitted and feeds the EMA; the bootstrap, the baseline and the
  actor read the *target* Q.
* The critic's target may look further than one step (`lam`), and the actor may follow the score
  function instead of the pathwise gradient (`actor_grad`).
"""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core.config import OptimizerConfig, SACConfig
from dreamer_core.nets import TwinLinear, mlp
from dreamer_core.optimize import descend, make_optimizer
from dreamer_core.paper.return_range import ReturnRange
from dreamer_core.returns import alive_weight, lambda_return, soft_value
from dreamer_core.trajectories import Replayed, Trajectories, minibatch


class Action(NamedTuple):
    """A sampled action a = tanh(u)."""

    pre_tanh: Tensor  # u, (..., A)
    log_prob: Tensor  # log pi(a | s), (...)


def tanh_normal_log_prob(mean: Tensor, log_std: Tensor, pre_tanh: Tensor) -> Tensor:
    """log pi of a = tanh(u), u ~ N(mean, std) diagonal: all (..., A) -> (...).

    log N(u) minus the log-determinant of tanh, sum_i log(1 - tanh(u_i)^2), in the form that does
    not underflow: 2 (log 2 - u - softplus(-2u)). Source: Spinning Up, sac/core.py.
    """
    return squashed_log_prob((pre_tanh - mean) * torch.exp(-log_std), log_std, pre_tanh)


def squashed_log_prob(noise: Tensor, log_std: Tensor, pre_tanh: Tensor) -> Tensor:
    """log pi of a = tanh(u) from the noise (u - mean) / std, which a fresh sample knows: all (..., A) -> (...)."""
    normal = -0.5 * noise.square() - log_std - (0.5 * math.log(2 * math.pi) + 2 * math.log(2))
    return (normal + 2 * (pre_tanh + F.softplus(-2 * pre_tanh))).sum(-1)


def squashed_sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
    """The action that `noise` ~ N(0, I) makes of a policy: u = mean + std * noise, and log pi of tanh(u).

    All (..., A). Nothing here is random, so the gradient of both parts reaches mean and log std: the
    reparameterisation of Kingma and Welling (arXiv 1312.6114, section 2.4). u is kept and not
    tanh(u), since atanh of a saturated action is infinite.
    """
    pre_tanh = mean + torch.exp(log_std) * noise
    return Action(pre_tanh, squashed_log_prob(noise, log_std, pre_tanh))


def twin_critic_loss(q: Tensor, returns: Tensor, weight: Tensor) -> Tensor:
    """Sum over both critics of their weighted mean squared error: (2, N, H), (N, H), (N, H) -> scalar.

    Each critic regresses on the same returns; the minimum of the two is in the returns already.
    Returns are data: no gradient reaches them. Source: Spinning Up, sac.py (there, weights are 1).
    """
    return ((q - returns.detach()).square() * weight).mean((1, 2)).sum()


def ema_update(target: nn.Module, source: nn.Module, polyak: float) -> None:
    """target <- polyak * target + (1 - polyak) * source, parameter by parameter, in place."""
    with torch.no_grad():  # p.lerp_(s, 1 - polyak) for every pair of parameters, in one call
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), 1 - polyak)


def soft_baseline(q: Tensor, log_prob: Tensor, alpha: float) -> Tensor:
    """b(s) = E_a[min_i Qbar_i(s, a) - alpha log pi(a | s)], estimated from K actions drawn at each state.

    v1's soft value E[Q] + alpha H stands where DreamerV3 (arXiv 2301.04104v2) subtracts v(s).

    Args:
        q: (2, K, ...), both target critics at the sampled actions. log_prob: (K, ...), of the same actions.
        alpha: entropy weight.

    Returns:
        (...), one number for each state.
    """
    return soft_value(q.amin(0), log_prob, alpha).mean(0)


def soft_advantage(returns: Tensor, log_prob: Tensor, baseline: Tensor, alpha: float) -> Tensor:
    """A = R - alpha log pi(a | s) - b(s): how much better the action taken was than the policy's average. All (...).

    R holds the entropy of the *later* steps; that of this one is added here, so that it is counted
    once, as in the baseline. The advantage is a number, not a function of the actor: it carries no
    gradient.
    """
    return (returns - alpha * log_prob - baseline).detach()


def score_actor_loss(advantage: Tensor, log_prob: Tensor, weight: Tensor) -> Tensor:
    """-mean[w A log pi(a | s)], whose gradient is the score-function estimate (REINFORCE): all (...) -> scalar.

    The entropy is in the advantage already: there is no bonus to add.
    """
    return -(advantage * log_prob * weight).mean()


def pathwise_actor_loss(q: Callable[[Tensor, Tensor], Tensor], state: Tensor, action: Action, alpha: float, weight: Tensor) -> Tensor:
    """-mean[w (min_i Qbar_i(s, a~) - alpha log pi(a~ | s))], differentiated through a~ = tanh(u~) and the critics.

    Source: Spinning Up, sac/sac.py, with the target Q in the place of the fast one.

    Args:
        q: both target critics, (..., F), (..., A) -> (2, ...). state: (..., F).
        action: a reparameterised sample, so that u~ and its log-probability carry the actor's gradient.
        alpha: entropy weight. weight: (...), how much each state counts.

    Returns:
        A scalar.
    """
    value = soft_value(q(state, torch.tanh(action.pre_tanh)).amin(0), action.log_prob, alpha)
    return -(value * weight).mean()


class Actor(nn.Module):
    """pi(a | s): a diagonal Gaussian squashed by tanh."""

    def __init__(self, config: SACConfig, features: int, action: int) -> None:
        super().__init__()
        self.config = config
        self.net = mlp(features, config.units, config.layers, 2 * action)
        with torch.no_grad():
            self.net[-1].weight.mul_(config.actor_out_scale)
            self.net[-1].bias.mul_(config.actor_out_scale)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """(..., F) -> mean and log std of u, each (..., A)."""
        mean, log_std = self.net(state).chunk(2, -1)
        limit = self.config.mean_limit
        if limit > 0:
            mean = limit * torch.tanh(mean / limit)
        return mean, log_std.clamp(self.config.log_std_min, self.config.log_std_max)

    def sample(self, state: Tensor) -> Action:
        """A reparameterised sample and its log-probability: gradients reach the actor through both."""
        mean, log_std = self(state)
        return squashed_sample(mean, log_std, torch.randn_like(mean))

    def draw(self, state: Tensor) -> Tensor:
        """Only u of a sample, for acting and dreaming: (..., F) -> (..., A)."""
        mean, log_std = self(state)
        return mean + torch.exp(log_std) * torch.randn_like(mean)

    def log_prob(self, state: Tensor, pre_tanh: Tensor) -> Tensor:
        """log pi of a given action: (..., F), (..., A) -> (...)."""
        return tanh_normal_log_prob(*self(state), pre_tanh)

    def mode(self, state: Tensor) -> Tensor:
        """The action for evaluation, tanh(mean): (..., F) -> (..., A)."""
        return torch.tanh(self(state)[0])

    @staticmethod
    def squash(pre_tanh: Tensor) -> Tensor:
        """The action that u stands for: tanh(u), (..., A)."""
        return torch.tanh(pre_tanh)


class TwinQ(nn.Module):
    """Two critics side by side, default torch initialisation (v1: not zeros)."""

    def __init__(self, config: SACConfig, features: int, action: int) -> None:
        super().__init__()
        sizes = [features + action] + [config.units] * config.layers + [1]
        self.layers = nn.ModuleList(TwinLinear(a, b) for a, b in zip(sizes, sizes[1:]))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """(..., F), (..., A) -> both Q values (2, ...)."""
        lead, features = state.shape[:-1], state.shape[-1]
        first = self.layers[0]
        # State and action apart: neither is copied, and a gradient for the action alone makes no product for the state.
        x = torch.baddbmm(first.bias, both(state), first.weight[:, :features])
        x = torch.baddbmm(x, both(action), first.weight[:, features:])
        for layer in self.layers[1:]:
            x = layer(F.silu(x))
        return x.reshape(2, *lead)

    @torch.no_grad()
    def restate(self, factor: float, shift: float) -> None:
        """Every Q becomes factor * Q + shift, as `SAC.restate_values` says."""
        self.layers[-1].weight.mul_(factor)
        self.layers[-1].bias.mul_(factor).add_(shift)


def both(x: Tensor) -> Tensor:
    """The same rows for both critics: (..., F) -> (2, M, F), without a copy."""
    return x.reshape(1, -1, x.shape[-1]).expand(2, -1, -1)


class SAC(nn.Module):
    """Actor, critics and their optimisers.

    Args:
        config: sizes, rates and switches.
        features: size F of a state. action: size A.
    """

    RATES = "sac.actor_lr, sac.critic_lr"  # the settings of its learning rates

    def __init__(self, config: SACConfig, features: int, action: int) -> None:
        super().__init__()
        self.config = config
        self.actor = Actor(config, features, action)
        self.q = TwinQ(config, features, action)
        self.q_target = copy.deepcopy(self.q).requires_grad_(False)
        self.range = ReturnRange() if config.return_range else None
        if config.zero_init:
            self.restate_values(0.0, 0.0)
        self.register_buffer("advantage_std", torch.ones(()))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def make_optimizer(self, config: OptimizerConfig | None = None) -> torch.optim.Optimizer:
        """One optimiser, plain Adam if no other is configured, with a rate for each half; it holds no world-model parameter."""
        groups = [
            {"params": list(self.actor.parameters()), "lr": self.config.actor_lr},
            {"params": list(self.q.parameters()), "lr": self.config.critic_lr},
        ]
        return make_optimizer(groups, config)

    @property
    def alpha(self) -> float:
        """The entropy weight now: linear from `alpha` to `alpha_final` over `alpha_updates`; 0 of them keeps `alpha`.

        With `return_range` it counts in ranges of the returns: (R - b) / S + alpha H and R - b + alpha S H want the same.
        """
        config = self.config
        done = min(1.0, int(self.updates) / config.alpha_updates) if config.alpha_updates else 0.0
        alpha = config.alpha + (config.alpha_final - config.alpha) * done
        return alpha * float(self.range.scale()) if self.range else alpha

    @torch.no_grad()
    def restate_values(self, factor: float, shift: float) -> None:
        """Every Q, fast and target, becomes factor * Q + shift: the same predictions in another unit.

        Source: PopArt (van Hasselt et al., arXiv 1602.07714), "preserving outputs precisely".
        """
        for critics in (self.q, self.q_target):
            critics.restate(factor, shift)
        if self.range:
            self.range.restate(factor, shift)

    def target_value(self, state: Tensor, action: Action) -> Tensor:
        """min of the two *target* Q at a sampled action, in soft form: (..., F) -> (...)."""
        return soft_value(self.q_target(state, torch.tanh(action.pre_tanh)).amin(0), action.log_prob, self.alpha)

    @torch.no_grad()
    def returns(self, batch: Trajectories) -> Tensor:
        """What the critic regresses on, (N, H): one-step, H-step or between, bootstrapped with one sample."""
        config = self.config
        reached = batch.state[:, 1:]  # (N, H, F)
        if config.lam == 1:  # only the last state's value is read
            reached = reached[:, -1:]
        action = self.actor.sample(reached)
        if config.soft:
            value = self.target_value(reached, action)
        else:
            value = self.q_target(reached, torch.tanh(action.pre_tanh)).amin(0)
        value = value.expand(*batch.reward.shape)
        bonus = torch.zeros_like(batch.reward)
        if config.soft and config.lam > 0 and batch.reward.shape[1] > 1:
            bonus[:, :-1] = -self.alpha * self.actor.log_prob(batch.state[:, 1:-1], batch.pre_tanh[:, 1:])
        return lambda_return(batch.reward, batch.cont, value, bonus, config.gamma, config.lam)

    def critic_loss(self, batch: Trajectories, returns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Sum over both critics of the weighted mean squared error to `returns` (N, H); and the mean Q."""
        q = self.q(batch.state[:, :-1], torch.tanh(batch.pre_tanh))  # (2, N, H)
        return twin_critic_loss(q, returns, weight), q.detach().mean()

    def pathwise_loss(self, state: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What the actor descends under `actor_grad="pathwise"`, for states (..., F) and weights (...); and the mean log pi."""
        action = self.actor.sample(state)
        return pathwise_actor_loss(self.q_target, state, action, self.alpha, weight), action.log_prob.detach().mean()

    def score_loss(self, batch: Trajectories, returns: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What the actor descends under `actor_grad="score"`, for returns and weights (N, H); and the mean log pi."""
        state = batch.state[:, :-1]
        log_prob = self.actor.log_prob(state, batch.pre_tanh)  # (N, H)
        with torch.no_grad():
            many = state.expand(self.config.baseline_samples, *state.shape)
            action = self.actor.sample(many)
            q = self.q_target(many, torch.tanh(action.pre_tanh))  # (2, K, N, H)
            baseline = soft_baseline(q, action.log_prob, self.alpha)
        advantage = soft_advantage(returns, log_prob, baseline, self.alpha)
        if self.config.normalize_advantage:
            self.advantage_std.lerp_(advantage.detach().std(unbiased=False), 0.05 if self.updates else 1.0)
            advantage = advantage / self.advantage_std.clamp(min=1e-3)
        return score_actor_loss(advantage, log_prob, weight), log_prob.detach().mean()

    def learn(self, dream: Trajectories, replayed: Replayed, optimizer: torch.optim.Optimizer, updates: int) -> dict[str, Tensor]:
        """Several updates on one dream, each on steps drawn anew; metrics of the last. What was replayed before it is not used."""
        config = self.config
        if config.lam == 0 and config.batch > 0:
            # One-step targets need no order: any minibatch of steps will do. All are drawn at once.
            rows = torch.randint(dream.reward.numel(), (updates * config.batch,), device=dream.reward.device)
            batches = dream.steps(rows).split(config.batch)
        else:
            batches = [minibatch(dream, config.batch) for _ in range(updates)]
        metrics = {}
        for batch in batches:
            metrics = self.update(batch, optimizer)
        return metrics

    def update(self, batch: Trajectories, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """One step of both critics and of the actor, then of the target Q.

        One backward pass serves both halves: the critics' loss holds no actor gradient, and the
        actor's loss reads the target Q only, so neither can reach the other.

        Returns metrics as scalars: "critic_loss", "actor_loss", "q_mean", "return_mean", "entropy",
        and the norms of both gradients before clipping, "actor_grad_norm" and "critic_grad_norm".
        """
        config = self.config
        weight = batch.weight[:, None] * alive_weight(batch.cont)
        returns = self.returns(batch)
        if self.range:
            self.range.update(returns)
        critic_loss, q_mean = self.critic_loss(batch, returns, weight)
        if config.actor_grad == "pathwise":
            actor_loss, log_prob = self.pathwise_loss(batch.state[:, :-1], weight)
        else:
            actor_loss, log_prob = self.score_loss(batch, returns, weight)
        actor_norm, critic_norm = descend(critic_loss + actor_loss, optimizer, config.clip_norm)
        ema_update(self.q_target, self.q, config.polyak)
        self.updates += 1
        return {
            "critic_loss": critic_loss.detach(),
            "actor_loss": actor_loss.detach(),
            "q_mean": q_mean,
            "return_mean": returns.mean(),
            "entropy": -log_prob,
            "actor_grad_norm": actor_norm,
            "critic_grad_norm": critic_norm,
        }

"""Right answers to notebook 02, written differently from the core's."""

import math

import torch
from torch.nn import functional as F

from dreamer_core.sac import Action, squashed_log_prob


def term_by_term(noise, log_std, pre_tanh):
    normal = -(noise**2) / 2 - log_std - math.log(2 * math.pi) / 2
    slope = 2 * (math.log(2) - pre_tanh - F.softplus(-2 * pre_tanh))
    return normal.sum(dim=-1) - slope.sum(dim=-1)


def with_distributions(noise, log_std, pre_tanh):
    density = torch.distributions.Normal(torch.zeros_like(noise), torch.ones_like(noise)).log_prob(noise) - log_std
    log_cosh = torch.logaddexp(pre_tanh, -pre_tanh) - math.log(2)  # 1 - tanh^2 = 1 / cosh^2
    return torch.einsum("...a->...", density + 2 * log_cosh)


def sample_with_the_normal_of_u(mean, log_std, noise):
    std = log_std.exp()
    u = torch.addcmul(mean, std, noise)
    log_prob = torch.distributions.Normal(mean, std).log_prob(u).sum(-1) - (2 * (math.log(2) - u - F.softplus(-2 * u))).sum(-1)
    return Action(pre_tanh=u, log_prob=log_prob)


def sample_in_two_lines(mean, log_std, noise):
    u = noise * torch.exp(log_std) + mean
    return Action(u, squashed_log_prob(noise, log_std, u))


def soft_value_by_surprise(q, log_prob, alpha):
    surprise = -log_prob
    return q + alpha * surprise


def backup_where(reward, cont, value, gamma):
    future = gamma * value
    return reward + future * cont


def critic_loss_one_by_one(q, returns, weight):
    goal = returns.detach()
    first, second = q.unbind(0)
    return (weight * (first - goal) ** 2).mean() + (weight * (second - goal) ** 2).mean()


def critic_loss_expanded(q, returns, weight):
    with torch.no_grad():
        goal = returns.clone().expand_as(q)
    squared = F.mse_loss(q, goal, reduction="none")
    return 2 * (squared * weight).mean()


def ema_mul_add(target, source, polyak):
    with torch.no_grad():
        for p, s in zip(target.parameters(), source.parameters()):
            p.mul_(polyak).add_(s, alpha=1 - polyak)


def ema_data(target, source, polyak):
    for p, s in zip(target.parameters(), source.parameters()):
        p.data.copy_(polyak * p.data + (1 - polyak) * s.data)


RIGHT = {
    "2.1": [term_by_term, with_distributions],
    "2.2": [sample_with_the_normal_of_u, sample_in_two_lines],
    "2.3": [soft_value_by_surprise],
    "2.4": [backup_where],
    "2.5": [critic_loss_one_by_one, critic_loss_expanded],
    "2.6": [ema_mul_add, ema_data],
}

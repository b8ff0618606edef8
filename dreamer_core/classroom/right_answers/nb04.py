"""Right answers to notebook 04, written differently from the reference."""

import torch
from torch.nn import functional as F


def pairs_by_index(state, reward):
    rows = torch.arange(reward.shape[1])
    return state[:, rows + 1], reward[:, rows]


def pairs_by_split(state, reward):
    _, after = state.split([1, state.shape[1] - 1], 1)
    return after, reward.clone()


def nll_by_distribution(mean, std, target):
    return -torch.distributions.Normal(mean, std).log_prob(target)


def nll_by_variance(mean, std, target):
    variance = std**2
    return 0.5 * ((target - mean) ** 2 / variance + torch.log(2 * torch.pi * variance))


def positive_by_logsumexp(raw, floor):
    return floor + torch.logaddexp(raw, torch.zeros_like(raw))


def positive_by_log1p(raw, floor):
    return torch.log1p(torch.exp(-raw.abs())) + raw.clamp(min=0) + floor


def coverage_by_loop(mean, std, reward, widths):
    return torch.stack([((mean - w * std <= reward) & (reward <= mean + w * std)).double().mean().float() for w in widths])


def loss_by_where(mean, std, reward, first):
    each = -torch.distributions.Normal(mean, std).log_prob(reward)
    return torch.where(first.bool(), torch.zeros_like(each), each).sum() / each.numel()


def loss_by_selection(mean, std, reward, first):
    kept = first == 0
    each = ((reward[kept] - mean[kept]) / std[kept]) ** 2 / 2 + torch.log(std[kept]) + 0.9189385332
    return each.sum() / first.numel()


def coin_by_softplus(logit, target):
    return target * F.softplus(-logit) + (1 - target) * F.softplus(logit)


def coin_short(logit, target):
    return F.softplus(logit) - target * logit


RIGHT = {
    "4.1": [pairs_by_index, pairs_by_split],
    "4.2": [nll_by_distribution, nll_by_variance],
    "4.3": [positive_by_logsumexp, positive_by_log1p],
    "4.4": [coverage_by_loop],
    "4.5": [loss_by_where, loss_by_selection],
    "4.6": [coin_by_softplus, coin_short],
}

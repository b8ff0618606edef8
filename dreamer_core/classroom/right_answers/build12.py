"""A right answer to the build of notebook 12, written differently from the course's."""

import torch
from torch import nn
from torch.nn import functional as F


class ByHand(nn.Module):
    """Its own bins, its own two-hot weights, one weight matrix without nn.Linear."""

    def __init__(self, config, features):
        super().__init__()
        wide = config.units
        self.first = nn.Parameter(torch.randn(features, wide) / features**0.5)
        self.offset = nn.Parameter(torch.zeros(wide))
        self.norm = nn.LayerNorm(wide)
        self.last = nn.Parameter(torch.zeros(wide, 255))
        self.free = nn.Parameter(torch.zeros(255))
        self.second = config.slow_scale
        places = torch.linspace(0, 20, 128)[1:]
        self.register_buffer("positive", torch.exp(places) - 1)

    def forward(self, state):
        return F.relu(self.norm(state @ self.first + self.offset)) @ self.last + self.free

    def value(self, logits):
        p = logits.softmax(dim=-1)
        return ((p[..., 128:] - p[..., :127].flip(-1)) * self.positive).sum(dim=-1)

    def loss(self, logits, returns, slow_mean, weight):
        bins = torch.cat([-self.positive.flip(0), torch.zeros_like(self.positive[:1]), self.positive])
        log_p = F.log_softmax(logits, dim=-1)

        def cross(target):
            target = target.detach().clamp(bins[0], bins[-1])
            low = (torch.bucketize(target, bins, right=True) - 1).clamp(0, 253)
            share = (target - bins[low]) / (bins[low + 1] - bins[low])
            there, above = (log_p.gather(-1, at.unsqueeze(-1)).squeeze(-1) for at in (low, low + 1))
            return -(1 - share) * there - share * above

        return (cross(returns) + self.second * cross(slow_mean)) * weight.detach()


RIGHT = {"12.A": [ByHand]}

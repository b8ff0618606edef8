"""A right answer to the build of notebook 11, written differently from the course's."""

import torch
from torch import nn
from torch.nn import functional as F


class HalfTheBins(nn.Module):
    """Keeps the positive bins alone, makes the weights of both bins itself, and has no nn.Linear."""

    def __init__(self, config, features):
        super().__init__()
        wide = config.units
        self.read = nn.Parameter(torch.randn(features, wide) / features**0.5)
        self.norm = nn.LayerNorm(wide)
        self.write = nn.Parameter(torch.zeros(wide + 1, 255))
        self.register_buffer("positive", torch.exp(torch.linspace(0, 20, 128)[1:]) - 1)

    def all_bins(self):
        return torch.cat([-self.positive.flip(0), self.positive.new_zeros(1), self.positive])

    def forward(self, features):
        inner = torch.tanh(self.norm(features @ self.read))
        return torch.cat([inner, torch.ones_like(inner[..., :1])], dim=-1) @ self.write

    def stats(self, raw):
        p = raw.softmax(dim=-1)
        mean = (p[..., 128:] - p[..., :127].flip(-1)) @ self.positive
        away = self.all_bins() - mean[..., None]
        return mean, torch.sqrt(torch.einsum("...k,...k->...", p, away * away))

    def nll(self, raw, reward):
        bins = self.all_bins()
        reward = torch.minimum(torch.maximum(reward, bins[0]), bins[-1])
        low = (torch.bucketize(reward, bins, right=True) - 1).clamp(0, 253)
        share = (reward - bins[low]) / (bins[low + 1] - bins[low])
        log_p = F.log_softmax(raw, dim=-1)
        there, above = (log_p.gather(-1, at.unsqueeze(-1)).squeeze(-1) for at in (low, low + 1))
        return torch.lerp(-there, -above, share)

    def loss(self, raw, reward, first):
        prices = torch.where(first > 0, torch.zeros_like(reward), self.nll(raw, reward))
        return prices.sum() / prices.numel()

    def restate(self, factor, shift):
        """Bins of every size are there already."""


RIGHT = {"11.A": [HalfTheBins]}

"""How far returns spread: a running average over *numbers*, the 5th and the 95th percentile of imagined returns.

DreamerV3's slow critic is one over parameters, as v1's target critics are; the optimiser has others, over gradients.
Source: DreamerV3 (arXiv 2301.04104v2), "Actor learning"; official code, embodied/jax/utils.py (Normalize, "perc").
The text averages the range, the code each end of it, which comes to the same.
"""

import torch
from torch import Tensor, nn


def moved(percentiles: Tensor, returns: Tensor, shares: Tensor, rate: float) -> Tensor:
    """Running percentiles one step on: (2,), returns of any shape, (2,) -> (1 - rate) percentiles + rate * those of these returns, (2,)."""
    return torch.lerp(percentiles, torch.quantile(returns.flatten(), shares), rate)


def spread(percentiles: Tensor, floor: float) -> Tensor:
    """S = max(floor, high - low): (2,) -> ()."""
    low, high = percentiles
    return (high - low).clamp(min=floor)


class ReturnRange(nn.Module):
    """A running range of returns, from one percentile to another.

    Both percentiles start at 0 and are not freed of that start (`debias: False` in the official settings),
    so the first updates see a range that is too small, and divide by `floor` at least.

    Args:
        rate: how far both move at each update. low, high: the percentiles, as fractions.
        floor: what smaller ranges count as.
    """

    def __init__(self, rate: float = 0.01, low: float = 0.05, high: float = 0.95, floor: float = 1.0) -> None:
        super().__init__()
        self.rate, self.floor = rate, floor
        self.register_buffer("shares", torch.tensor([low, high]), persistent=False)
        self.register_buffer("percentiles", torch.zeros(2))

    @torch.no_grad()
    def update(self, returns: Tensor) -> None:
        """Move towards the percentiles of these returns, of any shape."""
        self.percentiles.copy_(moved(self.percentiles, returns, self.shares, self.rate))

    @torch.no_grad()
    def restate(self, factor: float, shift: float) -> None:
        """The same returns in another unit: each is factor * return + shift there."""
        self.percentiles.mul_(factor).add_(shift)

    def scale(self) -> Tensor:
        """S = max(floor, high - low), ()."""
        return spread(self.percentiles, self.floor)

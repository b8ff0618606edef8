"""A number as a distribution over fixed bins: what the paper predicts rewards and values with.

A Normal can say "3, more or less"; bins can say "0 or 100, and rarely 100". The bins lie evenly in
symlog, so that a few of them reach from -4.9e8 to 4.9e8, and the size of the gradient does not depend
on the size of the number. Source: DreamerV3 (arXiv 2301.04104v2), "Robust predictions";
official code, embodied/jax/outs.py (TwoHot) and heads.py (symexp_twohot). Since v2 the two bins are
weighted in the units of the number itself; the code of 2023 did it in symlog units.
"""

import torch
from torch import Tensor, nn

from dreamer_core import nets
from dreamer_core.config import WorldModelConfig
from dreamer_core.paper.symlog import symexp


def symexp_bins(count: int = 255) -> Tensor:
    """Bins symexp(-20) ... 0 ... symexp(20), (K,) with K odd; the upper half mirrors the lower one to the last bit."""
    half = symexp(torch.linspace(-20, 0, count // 2 + 1))
    return torch.cat([half, -half[:-1].flip(0)])


def twohot(target: Tensor, bins: Tensor) -> Tensor:
    """Targets as weights of the two bins around each: (...), (K,) -> (..., K).

    The nearer bin weighs more, so that the mean of both is the target; one beyond the ends gets the last bin alone.
    """
    above = torch.searchsorted(bins, target.contiguous(), right=True).clamp(1, len(bins) - 1)  # the first larger bin
    low, high = bins[above - 1], bins[above]
    share = (target.clamp(bins[0], bins[-1]) - low) / (high - low)
    weights = share.new_zeros(*target.shape, len(bins))
    weights.scatter_(-1, above.unsqueeze(-1) - 1, 1 - share.unsqueeze(-1))
    return weights.scatter_(-1, above.unsqueeze(-1), share.unsqueeze(-1))


def twohot_loss(logits: Tensor, target: Tensor, bins: Tensor) -> Tensor:
    """Cross-entropy from the target's two bins to the predicted distribution: (..., K), (...), (K,) -> (...) in nats."""
    return -(twohot(target, bins) * torch.log_softmax(logits, -1)).sum(-1)


def twohot_mean(logits: Tensor, bins: Tensor) -> Tensor:
    """The mean of the predicted distribution: (..., K), (K,) with K odd -> (...).

    Each bin is added to its mirror image first, so that equal weights give exactly 0: from one end to
    the other, the rounding of numbers like 4.9e8 would be left over.
    """
    parts = torch.softmax(logits, -1) * bins
    middle = len(bins) // 2
    return parts[..., middle] + (parts[..., :middle].flip(-1) + parts[..., middle + 1 :]).sum(-1)


def zero_(layer: nn.Linear) -> nn.Linear:
    """Set a layer to 0, so that bins start with equal weights and a mean of exactly 0."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class TwoHotReward(nn.Sequential):
    """The reward head over bins; it answers as `world_model.GaussianReward` does.

    Its last layer starts at 0: random logits, however small, would be rewards of many thousands.

    Args:
        config: widths and layers. features: size F of a state.
    """

    def __init__(self, config: WorldModelConfig, features: int) -> None:
        bins = symexp_bins()
        super().__init__(*nets.mlp(features, config.units, config.head_layers, len(bins), config.norm))
        zero_(self[-1])
        self.register_buffer("bins", bins, persistent=False)

    def stats(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (...) and standard deviation (...) of the distribution with logits (..., K)."""
        mean = twohot_mean(raw, self.bins)
        return mean, (torch.softmax(raw, -1) * (self.bins - mean.unsqueeze(-1)).square()).sum(-1).sqrt()

    def nll(self, raw: Tensor, reward: Tensor) -> Tensor:
        """Cross-entropy (...) of logits (..., K) to rewards (...)."""
        return twohot_loss(raw, reward, self.bins)

    def loss(self, raw: Tensor, reward: Tensor, first: Tensor) -> Tensor:
        """The mean over all rows, as `world_model.reward_loss` takes it: (B, T, K), (B, T), (B, T) -> ()."""
        return ((1 - first) * self.nll(raw, reward)).mean()

    def restate(self, factor: float, shift: float) -> None:
        """Nothing: the bins hold every unit of rewards, and which of them are likely is learned again."""

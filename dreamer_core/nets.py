"""Building blocks: multilayer perceptrons and the log-likelihoods of the heads.

Everything is small on purpose. At these sizes (64 units, a few hundred rows) a layer costs
about as much to *call* as to compute, so the code counts calls, not multiplications.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# What stands between a linear layer and its SiLU, by the name that `model.norm` gives. 1e-4 is the paper's (official code, nets.py).
NORMS: dict[str, Callable[[int], list[nn.Module]]] = {"none": lambda units: [], "rms": lambda units: [nn.RMSNorm(units, eps=1e-4)]}


def layer(inputs: int, units: int, norm: str = "none") -> nn.Sequential:
    """A linear layer, a norm if one is named, and SiLU: (..., inputs) -> (..., units)."""
    return nn.Sequential(nn.Linear(inputs, units), *NORMS[norm](units), nn.SiLU())


def mlp(inputs: int, units: int, layers: int, outputs: int, norm: str = "none") -> nn.Sequential:
    """`layers` hidden layers of `units` with SiLU, then a linear layer: (..., inputs) -> (..., outputs)."""
    modules: list[nn.Module] = []
    for _ in range(layers):
        modules += layer(inputs, units, norm)
        inputs = units
    return nn.Sequential(*modules, nn.Linear(inputs, outputs))


class TwinLinear(nn.Module):
    """Two independent linear layers computed in one call: (2, M, inputs) -> (2, M, outputs).

    Each half has its own weights and torch's default `nn.Linear` initialisation.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        halves = [nn.Linear(inputs, outputs) for _ in range(2)]
        self.weight = nn.Parameter(torch.stack([half.weight.detach().T for half in halves]))  # (2, in, out)
        self.bias = nn.Parameter(torch.stack([half.bias.detach()[None] for half in halves]))  # (2, 1, out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


def squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the squared error, *summed* over the last axis: (..., O), (..., O) -> (...).

    A sum, not a mean: it is the negative log-likelihood of a unit Normal up to a constant, so
    its weight against the KL does not shrink when the observation grows.
    """
    return 0.5 * (prediction - target).square().sum(-1)


def positive(raw: Tensor, floor: float) -> Tensor:
    """A standard deviation from an unbounded number: softplus(raw) + floor, elementwise.

    Smooth, above `floor` everywhere, and about `raw` itself where that is large.
    """
    return F.softplus(raw) + floor


def gaussian_nll(mean: Tensor, std: Tensor, target: Tensor) -> Tensor:
    """-log N(target; mean, std), elementwise. All shapes broadcast."""
    return 0.5 * ((target - mean) / std).square() + torch.log(std) + 0.5 * math.log(2 * math.pi)


def normal_entropy(std: Tensor) -> Tensor:
    """Differential entropy of a diagonal Normal, in nats: (..., A) -> (...)."""
    return (torch.log(std) + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)


def bernoulli_nll(logit: Tensor, target: Tensor) -> Tensor:
    """-log Bernoulli(target; sigmoid(logit)), elementwise."""
    return F.binary_cross_entropy_with_logits(logit, target, reduction="none")

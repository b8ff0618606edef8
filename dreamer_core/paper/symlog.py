"""Symlog: large numbers pressed together, small ones and signs kept.

`model.symlog` sets it between the world and the world model: the encoder reads symlog(o), and the
decoder is trained towards it. Source: DreamerV3 (arXiv 2301.04104v2), "Robust predictions"; official
code, embodied/jax/nets.py.
"""

import torch
from torch import Tensor


def symlog(x: Tensor) -> Tensor:
    """sign(x) log(1 + |x|), elementwise: nearly x near 0, a logarithm far from it."""
    return torch.sign(x) * torch.log1p(torch.abs(x))


def symexp(x: Tensor) -> Tensor:
    """The inverse: sign(x) (exp|x| - 1), elementwise."""
    return torch.sign(x) * torch.expm1(torch.abs(x))

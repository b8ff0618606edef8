"""Adaptive gradient clipping: a tensor's gradient may be no longer than a share of the tensor itself.

Source: Brock et al. (arXiv 2102.06171), equation 3, there for each unit of a layer; in DreamerV3 (arXiv
2301.04104v2), "Optimizer", for each tensor; official code, embodied/jax/opt.py (`clip_by_agc`).
"""

from collections.abc import Iterable

import torch
from torch import Tensor


def agc_factor(grad_norm: Tensor, weight_norm: Tensor, clip: float = 0.3, floor: float = 1e-3) -> Tensor:
    """What a gradient is multiplied by, so that its norm is clip * max(floor, weight_norm) at most: elementwise, 1 where it is already.

    Args:
        clip: the share. floor: what a tensor near 0 counts as, so that biases, which start there, can leave it.
    """
    return (clip * weight_norm.clamp(min=floor) / grad_norm).clamp(max=1)


@torch.no_grad()
def clip_by_agc(params: Iterable[Tensor], clip: float = 0.3, floor: float = 1e-3) -> Tensor:
    """Scale the gradient of every parameter by its `agc_factor`, in place; those without a gradient are passed over.

    Returns:
        The norm of all gradients together before that, ().
    """
    params = [param for param in params if param.grad is not None]
    grads = [param.grad for param in params]
    norms = torch.stack(torch._foreach_norm(grads))
    torch._foreach_mul_(grads, list(agc_factor(norms, torch.stack(torch._foreach_norm(params)), clip, floor).unbind()))
    return norms.norm()

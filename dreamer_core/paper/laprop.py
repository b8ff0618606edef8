"""LaProp: divide each gradient by its usual size first, and average the results then.

Adam averages first, so that what it divides and what it divides by may remember for different times: with
a momentum longer than its divisor's memory, its steps have no bound. Here each gradient is divided by the
size known when it came. While that size is steady a step is about as long as the learning rate lr, and none
is longer than lr / sqrt(1 - beta2) (32 lr), whatever the gradients and the momentum. Sources: Ziyin et al.
(arXiv 2002.04839), algorithm 1; official DreamerV3 code, embodied/jax/opt.py (scale_by_rms, scale_by_momentum), with
beta2 = 0.999; the text of DreamerV3's v2 says 0.99.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def laprop_step(
    grad: Tensor, square: Tensor, mean: Tensor, step: int, beta2: float = 0.999, momentum: float = 0.9, eps: float = 1e-20
) -> tuple[Tensor, Tensor, Tensor]:
    """The direction of step number `step` (1, 2, ...), and what is remembered: all of a parameter's shape.

        square <- beta2 square + (1 - beta2) grad^2
        mean   <- momentum mean + (1 - momentum) grad / (sqrt(square / (1 - beta2^step)) + eps)

    Args:
        square, mean: as the step before left them, at first 0; the divisions by 1 - beta^step free both of that start.

    Returns:
        direction mean / (1 - momentum^step), square, mean: new tensors.
    """
    square = beta2 * square + (1 - beta2) * grad.square()
    size = (square / (1 - beta2**step)).sqrt() + eps
    mean = momentum * mean + (1 - momentum) * grad / size
    return mean / (1 - momentum**step), square, mean


class LaProp(torch.optim.Optimizer):
    """Steps of -lr times the direction of `laprop_step`.

    Args:
        params: tensors or groups of them, as any torch optimiser takes. lr: learning rate.
        beta2, momentum, eps: see `laprop_step`.
    """

    def __init__(self, params: Iterable[Any], lr: float = 4e-5, beta2: float = 0.999, momentum: float = 0.9, eps: float = 1e-20) -> None:
        super().__init__(params, dict(lr=lr, beta2=beta2, momentum=momentum, eps=eps))

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        """One step for every parameter that has a gradient. (The argument is torch's and is not used.)"""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                state = self.state[param]
                if not state:
                    state |= {"step": torch.zeros(()), "square": torch.zeros_like(param), "mean": torch.zeros_like(param)}
                state["step"] += 1
                direction, state["square"], state["mean"] = laprop_step(
                    param.grad, state["square"], state["mean"], int(state["step"]), group["beta2"], group["momentum"], group["eps"]
                )
                param.sub_(direction, alpha=group["lr"])

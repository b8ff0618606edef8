"""LaProp: divide each gradient by its usual size first, and average the results then.

Adam averages first. After a long calm a single large gradient makes Adam's average long-lasting and its
divisor late; in LaProp no step can be longer than about the learning rate. Sources: Ziyin et al. (arXiv
2002.04839), algorithm 1; official DreamerV3 code, embodied/jax/opt.py (scale_by_rms, scale_by_momentum).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class LaProp(torch.optim.Optimizer):
    """Steps -lr * mean of [gradient / its root mean square], both running means freed of their start at 0.

    Args:
        params: tensors or groups of them, as any torch optimiser takes. lr: learning rate.
        beta2: how much of the mean square is kept at each step. momentum: how much of the mean step.
        eps: added to the divisor.
    """

    def __init__(self, params: Iterable[Any], lr: float = 4e-5, beta2: float = 0.999, momentum: float = 0.9, eps: float = 1e-20) -> None:
        super().__init__(params, dict(lr=lr, beta2=beta2, momentum=momentum, eps=eps))

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        """One step for every parameter that has a gradient. (The argument is torch's and is not used.)"""
        for group in self.param_groups:
            params = [param for param in group["params"] if param.grad is not None]
            grads = [param.grad for param in params]
            for param in params:
                state = self.state[param]
                if not state:
                    state["step"] = torch.zeros(())
                    state["square"], state["mean"] = torch.zeros_like(param), torch.zeros_like(param)
                state["step"] += 1
            square, mean = [self.state[param]["square"] for param in params], [self.state[param]["mean"] for param in params]
            torch._foreach_mul_(square, group["beta2"])
            torch._foreach_addcmul_(square, grads, grads, 1 - group["beta2"])
            steps = [float(self.state[param]["step"]) for param in params]
            size = torch._foreach_div(square, [1 - group["beta2"] ** step for step in steps])
            torch._foreach_sqrt_(size)
            torch._foreach_add_(size, group["eps"])
            torch._foreach_lerp_(mean, torch._foreach_div(grads, size), 1 - group["momentum"])
            torch._foreach_add_(params, torch._foreach_mul(mean, [-group["lr"] / (1 - group["momentum"] ** step) for step in steps]))

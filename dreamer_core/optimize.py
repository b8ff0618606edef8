"""Who turns gradients into steps: v1's Adam with norm clipping, or the paper's LaProp with adaptive clipping."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dreamer_core.config import OptimizerConfig
from dreamer_core.paper.agc import clip_by_agc
from dreamer_core.paper.laprop import LaProp

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": partial(torch.optim.Adam, fused=True), "laprop": LaProp}


def clip_to_norm(params: list[Tensor], clip_norm: float, config: OptimizerConfig | None = None) -> Tensor:
    """Scale all gradients together down to the norm `clip_norm` where theirs is longer, in place; returns what it was, ()."""
    return nn.utils.clip_grad_norm_(params, clip_norm, foreach=True)


def clip_each(params: list[Tensor], clip_norm: float, config: OptimizerConfig) -> Tensor:
    """Scale each tensor's gradient down by the norm of its weights (`clip_by_agc`), whatever `clip_norm` is."""
    return clip_by_agc(params, config.agc)


CLIPS: dict[str, Callable[[list[Tensor], float, OptimizerConfig], Tensor]] = {"norm": clip_to_norm, "agc": clip_each}


def make_optimizer(groups: list[dict[str, Any]], config: OptimizerConfig | None = None) -> torch.optim.Optimizer:
    """The optimiser of one part of the agent, v1's if no configuration is given.

    Args:
        groups: "params" and "lr" each. Each also learns how its gradients are clipped: "clip", called with
            the parameters and the largest norm allowed.
    """
    config = config or OptimizerConfig()
    return OPTIMIZERS[config.kind]([group | {"clip": partial(CLIPS[config.clip], config=config)} for group in groups])


def descend(loss: Tensor, optimizer: torch.optim.Optimizer, clip_norm: float) -> list[Tensor]:
    """One step with each group's gradient clipped; returns the norm of each group before clipping.

    An optimiser that was not made here clips by the norm.
    """
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norms = [group.get("clip", clip_to_norm)(group["params"], clip_norm) for group in optimizer.param_groups]
    optimizer.step()
    return norms

"""The paper's KL: one term that trains the prior and one that trains the posterior, each with a weight and free nats of its own.

Source: DreamerV3 (arXiv 2301.04104v2), "World model learning"; official code, dreamerv3/rssm.py (`loss`).
"""

import torch
from torch import Tensor


def paper_kl(dyn: Tensor, rep: Tensor, free: float = 1.0, dyn_scale: float = 1.0, rep_scale: float = 0.1) -> Tensor:
    """dyn_scale max(free, KL[sg(q) || p]) + rep_scale max(free, KL[q || sg(p)]), elementwise (...).

    Below `free` nats a term is a constant: it pushes nothing. The weights are 1 and 0.1 since v2 of the
    paper; in 2023 they were 0.5 and 0.1.

    Args:
        dyn, rep: the same KL with its gradient stopped on the posterior's and on the prior's side.
    """
    return dyn_scale * torch.clamp(dyn, min=free) + rep_scale * torch.clamp(rep, min=free)

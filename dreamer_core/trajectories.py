"""What SAC trains on: trajectories as plain data, imagined or real."""

from typing import NamedTuple

import torch
from torch import Tensor

from dreamer_core.returns import alive_weight


class Trajectories(NamedTuple):
    """N trajectories of H steps. A real transition is the case H = 1.

    No tensor here carries a gradient, so whoever trains on them cannot reach whoever made them.
    """

    state: Tensor  # (N, H + 1, F), features s_0 .. s_H
    pre_tanh: Tensor  # (N, H, A), u_t with a_t = tanh(u_t): atanh of a saturated action would break log pi
    reward: Tensor  # (N, H), arriving with s_{t+1}
    cont: Tensor  # (N, H), probability that the episode goes on after s_{t+1}
    weight: Tensor  # (N,), 0 for a start from which nothing can follow

    def steps(self) -> "Trajectories":
        """The same steps as N * H trajectories of one step, weighted by how likely each is reached."""
        pairs = torch.stack([self.state[:, :-1], self.state[:, 1:]], 2)  # (N, H, 2, F)
        weight = self.weight[:, None] * alive_weight(self.cont)  # (N, H)
        parts = (pairs, self.pre_tanh.unsqueeze(2), self.reward.unsqueeze(2), self.cont.unsqueeze(2), weight)
        return Trajectories(*(part.flatten(0, 1) for part in parts))

    def take(self, rows: Tensor) -> "Trajectories":
        """The trajectories with these numbers."""
        return Trajectories(*(part[rows] for part in self))

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

    def steps(self, rows: Tensor | None = None) -> "Trajectories":
        """Steps as trajectories of one step, weighted by how likely each is reached: all N * H, or those numbered `rows`."""
        horizon = self.reward.shape[1]
        if rows is None:
            rows = torch.arange(self.reward.numel(), device=self.reward.device)
        n, t = (rows // horizon).unsqueeze(1), (rows % horizon).unsqueeze(1)  # (M, 1)
        weight = self.weight[:, None] * alive_weight(self.cont)  # (N, H)
        pairs = self.state[n, torch.cat([t, t + 1], 1)]  # (M, 2, F): gathered, so that no other pair is ever made
        return Trajectories(pairs, self.pre_tanh[n, t], self.reward[n, t], self.cont[n, t], weight[n, t].squeeze(1))

    def split(self, size: int) -> "list[Trajectories]":
        """Batches of `size` trajectories."""
        return [Trajectories(*parts) for parts in zip(*(part.split(size) for part in self))]

    def take(self, rows: Tensor) -> "Trajectories":
        """The trajectories with these numbers."""
        return Trajectories(*(part[rows] for part in self))


def minibatch(data: Trajectories, size: int) -> Trajectories:
    """`size` trajectories drawn without order; 0 takes all of them."""
    if size == 0 or size >= len(data.weight):
        return data
    return data.take(torch.randint(len(data.weight), (size,), device=data.weight.device))


class Replayed(NamedTuple):
    """The K rows of each of N real windows from which dreams started, as plain data: dream n * K + k left row k of window n."""

    state: Tensor  # (N, K, F), features of the beliefs there
    reward: Tensor  # (N, K), arriving with each row
    first: Tensor  # (N, K), 1 where an episode starts
    terminal: Tensor  # (N, K), 1 where one truly ended

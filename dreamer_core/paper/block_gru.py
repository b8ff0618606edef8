"""The paper's recurrence: h, z and a embedded apart, and a GRU whose large matrix is block-diagonal.

A GRU's cost grows with D^2. Cut into G blocks that see only their own slice of h, it grows with D^2 / G,
so h can be wide; what blocks must tell each other goes through the embedding of h, which all of them read.
Source: DreamerV3 (arXiv 2301.04104v2), "Networks"; official code, dreamerv3/rssm.py (`_core`) and
embodied/jax/nets.py (BlockLinear).
"""

import torch
from torch import Tensor, nn

from dreamer_core import nets
from dreamer_core.config import WorldModelConfig
from dreamer_core.errors import ConfigError
from dreamer_core.rssm import RSSM


def block_product(x: Tensor, weight: Tensor) -> Tensor:
    """x times a block-diagonal matrix: (..., I), (G, I / G, O / G) -> (..., O).

    Block g of the inputs meets weight[g] alone and makes block g of the outputs.
    """
    apart = x.reshape(-1, len(weight), weight.shape[1]).transpose(0, 1)  # (G, M, I / G)
    return torch.bmm(apart, weight).transpose(0, 1).reshape(*x.shape[:-1], -1)


def gated(h: Tensor, reset: Tensor, candidate: Tensor, update: Tensor) -> Tensor:
    """The next h from the three gates' raw numbers, all (..., D).

    h' = u tanh(r c) + (1 - u) h with r = sigmoid(reset) and u = sigmoid(update - 1): the -1 keeps most of h at first.
    """
    candidate = torch.tanh(torch.sigmoid(reset) * candidate)
    return torch.lerp(h, candidate, torch.sigmoid(update - 1))


class BlockLinear(nn.Module):
    """A linear layer whose matrix is block-diagonal: (..., inputs) -> (..., outputs).

    Block g of the inputs reaches block g of the outputs alone.

    Args:
        inputs, outputs: sizes, multiples of `blocks`.
    """

    def __init__(self, inputs: int, outputs: int, blocks: int) -> None:
        super().__init__()
        layers = [nn.Linear(inputs // blocks, outputs // blocks) for _ in range(blocks)]
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]))  # (G, in / G, out / G)
        self.bias = nn.Parameter(torch.cat([layer.bias.detach() for layer in layers]))  # (outputs,)

    def forward(self, x: Tensor) -> Tensor:
        return block_product(x, self.weight) + self.bias


class BlockGRU(nn.Module):
    """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): (N, D), (N, Z), (N, A) -> (N, D).

    Args:
        deter, stoch, action: sizes D, Z, A. units: width of the three embeddings.
        blocks: G. layers: block-diagonal layers before the gates.
    """

    def __init__(self, deter: int, stoch: int, action: int, units: int, blocks: int, layers: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.from_h, self.from_z, self.from_a = (nets.layer(inputs, units, "rms") for inputs in (deter, stoch, action))
        widths = [deter + 3 * units * blocks] + [deter] * layers
        self.hidden = nn.ModuleList(
            nn.Sequential(BlockLinear(inputs, deter, blocks), *nets.NORMS["rms"](deter), nn.SiLU()) for inputs in widths[:-1]
        )
        self.gates = BlockLinear(widths[-1], 3 * deter, blocks)

    def forward(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        action = action / action.detach().abs().clamp(min=1)
        seen = torch.cat([self.from_h(h), self.from_z(z), self.from_a(action)], -1)  # (N, 3U), read by every block
        own = h.unflatten(-1, (self.blocks, -1))  # (N, G, D / G)
        x = torch.cat([own, seen.unsqueeze(-2).expand(*own.shape[:-1], -1)], -1).flatten(-2)
        for layer in self.hidden:
            x = layer(x)
        gates = self.gates(x).unflatten(-1, (self.blocks, 3, -1))  # (N, G, 3, D / G)
        return gated(h, *(gate.flatten(-2) for gate in gates.unbind(-2)))


class BlockRSSM(RSSM):
    """The RSSM with this recurrence. It runs the plain loop: the faster unroll is made for one GRU cell.

    Raises:
        ConfigError: the blocks cannot share h equally.
    """

    batched = False

    def make_recurrence(self, config: WorldModelConfig, action: int) -> None:
        if config.deter % config.blocks:
            raise ConfigError(
                f"model.deter is {config.deter}, which {config.blocks} blocks cannot share equally: "
                f"choose a multiple of model.blocks, such as {config.blocks * max(1, round(config.deter / config.blocks))}"
            )
        self.core = BlockGRU(config.deter, self.latent.size, action, config.units, config.blocks, config.recurrence_layers)

    def step(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): (B, D), (B, Z), (B, A) -> (B, D)."""
        return self.core(h, z, action)

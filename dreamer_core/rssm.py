"""The recurrent state-space model: s_t = (h_t, z_t).

    h_t = f(h_{t-1}, z_{t-1}, a_{t-1})        what must follow from the past   (GRU)
    z_t ~ q(z | h_t, e_t)                     posterior: the past and this observation
    z_t ~ p(z | h_t)                          prior: the past alone, the dream

Row t holds o_t, and the action a_t that leaves it:

    row        t-1              t              t+1
             o  r  a  --f-->  o  r  a  --f-->  o  r  a
    state   s_{t-1}          s_t              s_{t+1}

A `first` flag starts an episode: h_t is 0 there, whatever came before.

v1 cuts (the notebooks name each): one embedding layer and one GRU cell, where DreamerV3 has a
block-diagonal GRU with input norms; and z_{t-1} carries no gradient into f, so a later loss
reaches an earlier row through the h chain alone.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core.config import WorldModelConfig
from dreamer_core.latents import CategoricalLatent, GaussianLatent
from dreamer_core.nets import mlp


class Beliefs(NamedTuple):
    """What `observe` returns for a window."""

    h: Tensor  # (B, T, D)
    z: Tensor  # (B, T, Z), a posterior sample that keeps its gradient
    posterior: Tensor  # (B, T, P), parameters of q(z | h, e)

    @property
    def features(self) -> Tensor:
        """s = (h, z), (B, T, D + Z): what every head reads."""
        return torch.cat([self.h, self.z], -1)


def gru_gates(gi: Tensor, gh: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One GRU update from its two linear maps.

    gi = W_i x + b_i (..., 3D), gh = W_h h + b_h (..., 3D), h (..., D).
    Returns h', reset gate r, update gate u, candidate n, each (..., D), with torch's convention
    h' = (1 - u) n + u h.
    """
    size = h.shape[-1]
    r, u = torch.sigmoid(gi[..., : 2 * size] + gh[..., : 2 * size]).chunk(2, -1)
    n = torch.tanh(torch.addcmul(gi[..., 2 * size :], r, gh[..., 2 * size :]))
    return torch.lerp(n, h, u), r, u, n


class _HChain(torch.autograd.Function):
    """The backward pass of the h recurrence, for states that were already computed.

    Forward returns the kept h_1..h_{T-1} unchanged. Backward walks the chain once and makes the
    gradient of the recurrent matrix in one product instead of T - 1 small ones.
    """

    @staticmethod
    def forward(ctx, gi, h0, weight, bias, kept):  # gi (T-1, B, 3D), h0 (B, D)
        h, gates, keep = kept  # (T, B, D), (T-1, 4, B, D), (T-1, B, 1)
        ctx.save_for_backward(weight, h, gates, keep)
        return h[1:].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out):  # (T-1, B, D)
        weight, h, gates, keep = ctx.saved_tensors
        r, u, n, gh_n = gates.unbind(1)
        # dL/dh_t times these gives the gradient before each gate's nonlinearity.
        to_n = keep * (1 - u) * (1 - n * n)
        to_u = keep * u * (1 - u) * (h[:-1] - n)
        n_to_r = gh_n * r * (1 - r)
        carry = keep * u
        # [r, u, n] before the nonlinearity: stacked so that one product gives dL/dh_{t-1}.
        size = h.shape[-1]
        grad_gh = h.new_empty(*r.shape[:2], 3 * size)
        grad_n = torch.empty_like(r)
        grad_h = torch.zeros_like(h[0])
        for t in range(len(r) - 1, -1, -1):
            grad_h = grad_h + grad_out[t]
            gr, gu, gn = grad_gh[t].split(size, -1)
            torch.mul(grad_h, to_n[t], out=grad_n[t])
            torch.mul(grad_n[t], n_to_r[t], out=gr)
            torch.mul(grad_h, to_u[t], out=gu)
            torch.mul(grad_n[t], r[t], out=gn)
            grad_h = torch.addmm(grad_h * carry[t], grad_gh[t], weight)
        grad_gi = torch.cat([grad_gh[..., : 2 * size], grad_n], -1)
        flat = grad_gh.flatten(0, 1)
        return grad_gi, grad_h, flat.T @ h[:-1].flatten(0, 1), flat.sum(0), None


class RSSM(nn.Module):
    """h and z, one step at a time or over a whole window.

    Args:
        config: sizes and the kind of z.
        embed: size of the encoder's output e_t.
        action: size A of the action.
    """

    def __init__(self, config: WorldModelConfig, embed: int, action: int) -> None:
        super().__init__()
        self.config = config
        if config.latent == "gaussian":
            self.latent = GaussianLatent(config.stoch, config.min_std)
        else:
            self.latent = CategoricalLatent(config.stoch, config.classes, config.unimix)
        self.deter = config.deter
        self.input = nn.Sequential(nn.Linear(self.latent.size + action, config.units), nn.SiLU())
        self.cell = nn.GRUCell(config.units, config.deter)
        self.prior = mlp(config.deter, config.units, config.head_layers, self.latent.params)
        self.posterior_h = nn.Linear(config.deter, config.units)
        self.posterior_e = nn.Linear(embed, config.units, bias=False)
        self.posterior_out = nn.Linear(config.units, self.latent.params)

    @property
    def features(self) -> int:
        """Size of s = (h, z)."""
        return self.deter + self.latent.size

    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        """The state before anything was seen: zeros (B, D), (B, Z)."""
        like = self.cell.bias_hh
        return like.new_zeros(batch, self.deter), like.new_zeros(batch, self.latent.size)

    def step(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): (B, D), (B, Z), (B, A) -> (B, D)."""
        return self.cell(self.input(torch.cat([z, action], -1)), h)

    def posterior(self, h: Tensor, embed: Tensor) -> Tensor:
        """Parameters of q(z | h, e): (..., D), (..., E) -> (..., P). One hidden layer on (h, e)."""
        return self.posterior_out(F.silu(self.posterior_h(h) + self.posterior_e(embed)))

    def dream_step(self, h: Tensor, z: Tensor, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step without an observation: the next h, and z from the prior."""
        h = self.step(h, z, action)
        return h, self.latent.sample(self.prior(h), noise)

    def observe(self, h1: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor | None = None) -> Beliefs:
        """Beliefs over a window, with full backpropagation through the h chain.

        Args:
            h1: (B, D), the recurrent state of the window's first row (zeroed where `first`).
            embed: (B, T, E), encoder outputs.
            action: (B, T, A), the action leaving each row (the last is not used).
            first: (B, T), 1 where an episode starts.
            noise: (B, T, ...) for the samples of z; drawn here if None.
        """
        if noise is None:
            noise = self.latent.noise(*embed.shape[:2], device=embed.device)
        batched = self.config.detach_z and self.config.batched_unroll and torch.is_grad_enabled() and embed.shape[1] > 1
        unroll = self._observe_batched if batched else self._observe_plain
        return unroll(h1, embed, action, first, noise)

    def _observe_plain(self, h1: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor) -> Beliefs:
        """The definition, row by row."""
        keep = 1 - first.unsqueeze(-1)  # (B, T, 1)
        h = h1 * keep[:, 0]
        hs, zs, posteriors = [], [], []
        for t in range(embed.shape[1]):
            if t > 0:
                z_in = zs[-1].detach() if self.config.detach_z else zs[-1]  # v1: no gradient through z
                h = self.step(h, z_in, action[:, t - 1]) * keep[:, t]
            posterior = self.posterior(h, embed[:, t])
            hs.append(h)
            zs.append(self.latent.sample(posterior, noise[:, t]))
            posteriors.append(posterior)
        return Beliefs(torch.stack(hs, 1), torch.stack(zs, 1), torch.stack(posteriors, 1))

    def _observe_batched(self, h1: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor) -> Beliefs:
        """The same numbers and the same gradients as `_observe_plain`, faster.

        Because z is detached between rows, only h links one row to the next. So: find all states
        without gradient, then recompute everything but the h chain as one batch of B * T rows.
        """
        h, z, gates, keep = self._unroll(h1, embed, action, first, noise)
        gi = F.linear(self.input(torch.cat([z[:-1], action[:, :-1].transpose(0, 1)], -1)), self.cell.weight_ih, self.cell.bias_ih)
        h_first = h1 * keep[0]
        chain = _HChain.apply(gi, h_first, self.cell.weight_hh, self.cell.bias_hh, (h, gates, keep[1:]))
        h = torch.cat([h_first[None], chain]).transpose(0, 1)  # (B, T, D)
        posterior = self.posterior(h, embed)
        return Beliefs(h, self.latent.sample(posterior, noise), posterior)

    @torch.no_grad()
    def _unroll(self, h1, embed, action, first, noise):
        """All states of a window and the GRU's gates, time first, without gradient."""
        keep = (1 - first).T.unsqueeze(-1)  # (T, B, 1)
        linear, cell = self.input[0], self.cell
        w_z = linear.weight[:, : self.latent.size]
        from_action = F.linear(action.transpose(0, 1), linear.weight[:, self.latent.size :], linear.bias)  # (T, B, U)
        from_embed = F.linear(embed.transpose(0, 1), self.posterior_e.weight, self.posterior_h.bias)  # (T, B, U)
        noise = noise.transpose(0, 1)
        h = h1 * keep[0]
        hs, zs, gates = [h], [], []
        for t in range(len(from_embed)):
            if t > 0:
                x = F.silu(torch.addmm(from_action[t - 1], zs[-1], w_z.T))
                gi = F.linear(x, cell.weight_ih, cell.bias_ih)
                gh = F.linear(h, cell.weight_hh, cell.bias_hh)
                h, r, u, n = gru_gates(gi, gh, h)
                h = h * keep[t]
                hs.append(h)
                gates.append(torch.stack([r, u, n, gh[:, 2 * self.deter :]]))
            hidden = F.silu(torch.addmm(from_embed[t], h, self.posterior_h.weight.T))
            zs.append(self.latent.sample(self.posterior_out(hidden), noise[t]))
        return torch.stack(hs), torch.stack(zs), torch.stack(gates), keep

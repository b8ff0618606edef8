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

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core.config import WorldModelConfig
from dreamer_core.latents import CategoricalLatent, GaussianLatent
from dreamer_core.nets import NORMS, layer, mlp


class Beliefs(NamedTuple):
    """What `observe` returns for a window."""

    h: Tensor  # (B, T, D)
    z: Tensor  # (B, T, Z), a posterior sample that keeps its gradient
    posterior: Tensor  # (B, T, P), parameters of q(z | h, e)

    @property
    def features(self) -> Tensor:
        """s = (h, z), (B, T, D + Z): what every head reads."""
        return torch.cat([self.h, self.z], -1)


class _HChain(torch.autograd.Function):
    """The backward pass of the h recurrence, for states that were already computed.

    Forward returns the kept h_1..h_{T-1} unchanged. Backward walks the chain once and makes the
    gradients of both matrices of the GRU in one product each, instead of T - 1 small ones.
    """

    @staticmethod
    def forward(ctx, x, h0, w_i, w_h, b_i, b_h, kept):  # x (T-1, B, U), h0 (B, D)
        ctx.save_for_backward(x, w_i, w_h, *kept)
        return kept[0][1:].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_out):  # (T-1, B, D)
        # (T, B, D), (T-1, B, 2D), (T-1, B, D), (T-1, B, D), (T-1, B, 1)
        x, w_i, w_h, h, ru, n, gh_n, keep = ctx.saved_tensors
        r, u = ru.chunk(2, -1)
        # dL/dh_t times these gives the gradient before each gate's nonlinearity, on the recurrent side: [r, u, n].
        to_n = keep * (1 - u) * (1 - n * n)
        to_gh = torch.stack([to_n * gh_n * r * (1 - r), keep * u * (1 - u) * (h[:-1] - n), to_n * r], 2)  # (T-1, B, 3, D)
        carry = (keep * u).unbind(0)
        grad_h = torch.empty_like(n)
        grad_gh = torch.empty_like(to_gh)
        flat = grad_gh.flatten(2)  # (T-1, B, 3D)
        grad = grad_out[-1]
        steps = zip(carry, grad_h, to_gh, grad_gh, flat, [h.new_zeros(()), *grad_out[:-1]])
        for u_t, kept_grad, to_t, gh_t, flat_t, before in reversed(list(steps)):
            kept_grad.copy_(grad)
            torch.mul(grad.unsqueeze(1), to_t, out=gh_t)
            grad = torch.addcmul(before, grad, u_t).addmm_(flat_t, w_h)
        grad_gi = torch.cat([flat[..., : 2 * n.shape[-1]], grad_h * to_n], -1).flatten(0, 1)
        flat = flat.flatten(0, 1)
        return (
            (grad_gi @ w_i).view_as(x),
            grad,
            grad_gi.T @ x.flatten(0, 1),
            flat.T @ h[:-1].flatten(0, 1),
            grad_gi.sum(0),
            flat.sum(0),
            None,
        )


class RSSM(nn.Module):
    """h and z, one step at a time or over a whole window.

    Args:
        config: sizes and the kind of z.
        embed: size of the encoder's output e_t.
        action: size A of the action.
    """

    batched: ClassVar[bool] = True
    """Off, every RSSM runs the plain loop, whatever its config says: the fast unroll goes around `step` and `posterior`."""

    def __init__(self, config: WorldModelConfig, embed: int, action: int) -> None:
        super().__init__()
        self.config = config
        if config.latent == "gaussian":
            self.latent = GaussianLatent(config.stoch, config.min_std)
        else:
            self.latent = CategoricalLatent(config.stoch, config.classes, config.unimix)
        self.deter = config.deter
        self.make_recurrence(config, action)
        self.prior = mlp(config.deter, config.units, config.head_layers, self.latent.params, config.norm)
        self.posterior_h = nn.Linear(config.deter, config.units)
        self.posterior_e = nn.Linear(embed, config.units, bias=False)
        self.posterior_act = nn.Sequential(*NORMS[config.norm](config.units), nn.SiLU())
        self.posterior_out = nn.Linear(config.units, self.latent.params)

    def make_recurrence(self, config: WorldModelConfig, action: int) -> None:
        """What `step` is made of."""
        self.input = layer(self.latent.size + action, config.units, config.norm)
        self.cell = nn.GRUCell(config.units, config.deter)

    @property
    def features(self) -> int:
        """Size of s = (h, z)."""
        return self.deter + self.latent.size

    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        """The state before anything was seen: zeros (B, D), (B, Z)."""
        like = self.posterior_out.bias
        return like.new_zeros(batch, self.deter), like.new_zeros(batch, self.latent.size)

    def step(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        """h_t = f(h_{t-1}, z_{t-1}, a_{t-1}): (B, D), (B, Z), (B, A) -> (B, D)."""
        return self.cell(self.input(torch.cat([z, action], -1)), h)

    def posterior(self, h: Tensor, embed: Tensor) -> Tensor:
        """Parameters of q(z | h, e): (..., D), (..., E) -> (..., P). One hidden layer on (h, e)."""
        return self.posterior_out(self.posterior_act(self.posterior_h(h) + self.posterior_e(embed)))

    def dream_step(self, h: Tensor, z: Tensor, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step without an observation: the next h, and z from the prior."""
        h = self.step(h, z, action)
        return h, self.latent.sample(self.prior(h), noise)

    def observe(self, h0: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor | None = None) -> Beliefs:
        """Beliefs over a window, with full backpropagation through the h chain.

        Args:
            h0: (B, D), the recurrent state of the window's first row (zeroed where `first`).
            embed: (B, T, E), encoder outputs.
            action: (B, T, A), the action leaving each row (the last is not used).
            first: (B, T), 1 where an episode starts.
            noise: (B, T, ...) for the samples of z; drawn here if None.
        """
        if noise is None:
            noise = self.latent.noise(*embed.shape[:2], device=embed.device)
        plain_layers = self.config.norm == "none"
        asked = self.batched and plain_layers and self.config.detach_z and self.config.batched_unroll
        batched = asked and torch.is_grad_enabled() and embed.shape[1] > 1
        unroll = self._observe_batched if batched else self.observe_plain
        return unroll(h0, embed, action, first, noise)

    def observe_plain(self, h0: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor) -> Beliefs:
        """The definition of `observe`, row by row; its arguments, with the noise given."""
        keep = 1 - first.unsqueeze(-1)  # (B, T, 1)
        h = h0 * keep[:, 0]
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

    def _observe_batched(self, h0: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor) -> Beliefs:
        """The same numbers and the same gradients as `observe_plain`, faster.

        Because z is detached between rows, only h links one row to the next. So: find all states
        without gradient, then recompute everything but the h chain as one batch of B * T rows.
        """
        from_embed = self.posterior_e(embed)  # (B, T, U)
        z, kept = self._unroll(h0, from_embed.detach(), action, first, noise)
        x = self.input(torch.cat([z[:-1], action[:, :-1].transpose(0, 1)], -1))  # (T-1, B, U)
        h_first = h0 * kept[-1][0]
        cell = self.cell
        chain = _HChain.apply(x, h_first, cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh, kept[:-1] + (kept[-1][1:],))
        h = torch.cat([h_first[None], chain]).transpose(0, 1)  # (B, T, D)
        posterior = self.posterior_out(F.silu(self.posterior_h(h) + from_embed))
        return Beliefs(h, self.latent.attach(posterior, noise, z.transpose(0, 1)), posterior)

    @torch.no_grad()
    def _unroll(self, h0, from_embed, action, first, noise):
        """All states of a window and the GRU's gates, time first, without gradient."""
        keep = (1 - first).T.unsqueeze(-1)  # (T, B, 1)
        linear, cell, size, units = self.input[0], self.cell, self.deter, self.config.units
        # Contiguous transposes are worth a copy: each is used T times. One product serves posterior and GRU.
        w_z = linear.weight[:, : self.latent.size].T.contiguous()
        w_i, w_out = cell.weight_ih.T.contiguous(), self.posterior_out.weight.T.contiguous()
        w_h = torch.cat([self.posterior_h.weight, cell.weight_hh]).T.contiguous()
        b_h = torch.cat([self.posterior_h.bias, cell.bias_hh])
        from_action = F.linear(action.transpose(0, 1), linear.weight[:, self.latent.size :], linear.bias)  # (T, B, U)
        steps, batch = from_action.shape[:2]
        from_embed, noise = from_embed.transpose(0, 1), noise.transpose(0, 1)
        hs, ru = h0.new_empty(steps, batch, size), h0.new_empty(steps - 1, batch, 2 * size)
        n, gh_n = h0.new_empty(steps - 1, batch, size), h0.new_empty(steps - 1, batch, size)
        h = torch.mul(h0, keep[0], out=hs[0])
        zs = []
        seam = first.any(0).tolist()
        for t in range(steps):
            hidden, gh = torch.addmm(b_h, h, w_h).split([units, 3 * size], -1)
            z = self.latent.sample(torch.addmm(self.posterior_out.bias, F.silu(hidden + from_embed[t]), w_out), noise[t])
            zs.append(z)
            if t == steps - 1:
                break
            gi = torch.addmm(cell.bias_ih, F.silu(torch.addmm(from_action[t], z, w_z)), w_i)
            torch.sigmoid(gi[:, : 2 * size] + gh[:, : 2 * size], out=ru[t])
            r, u = ru[t].split(size, -1)
            gh_n[t] = gh[:, 2 * size :]
            torch.tanh(torch.addcmul(gi[:, 2 * size :], r, gh[:, 2 * size :]), out=n[t])
            h = torch.lerp(n[t], h, u, out=hs[t + 1])
            if seam[t + 1]:
                h.mul_(keep[t + 1])
        return torch.stack(zs), (hs, ru, n, gh_n, keep)

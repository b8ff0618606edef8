"""The random half of the state: z, as a diagonal Gaussian or as groups of categoricals.

A network writes *parameters* (..., P); the functions here turn them into a sample z (..., Z),
a KL and an entropy. Noise is passed in, so that a sample is a pure function of its inputs and
two implementations can be compared number for number.

Sources: unimix and the straight-through sample as in DreamerV3 (arXiv 2301.04104v2, section
"World model learning"); Gaussian z as in PlaNet and Dreamer (arXiv 1811.04551, 1912.01603).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamer_core.nets import normal_entropy

# --- diagonal Gaussian -----------------------------------------------------------------------


def gaussian_stats(params: Tensor, min_std: float) -> tuple[Tensor, Tensor]:
    """(..., 2Z) -> mean (..., Z), std (..., Z) = softplus + min_std."""
    mean, raw = params.chunk(2, -1)
    return mean, F.softplus(raw) + min_std


def gaussian_sample(mean: Tensor, std: Tensor, noise: Tensor) -> Tensor:
    """The reparameterised sample mean + std * noise, noise ~ N(0, 1). All (..., Z)."""
    return mean + std * noise


def gaussian_kl(mean_q: Tensor, std_q: Tensor, mean_p: Tensor, std_p: Tensor) -> Tensor:
    """KL[q || p] of two diagonal Gaussians in nats, summed over the last axis: (..., Z) -> (...)."""
    ratio = (std_q / std_p).square()
    shift = ((mean_q - mean_p) / std_p).square()
    return 0.5 * (ratio + shift - 1 - torch.log(ratio)).sum(-1)


# --- categorical -----------------------------------------------------------------------------


def unimix_probs(logits: Tensor, unimix: float) -> Tensor:
    """(..., S, K) -> probabilities, `unimix` of them uniform so that no class ever has probability 0."""
    # torch.softmax is slow over a few classes: these four calls take a sixth of its time.
    odds = torch.exp(logits - logits.detach().amax(-1, keepdim=True))
    return odds * ((1 - unimix) / odds.sum(-1, keepdim=True)) + unimix / logits.shape[-1]


def straight_through(probs: Tensor, one_hot: Tensor) -> Tensor:
    """A tensor equal to `one_hot` whose gradient is that of `probs`. Both (..., S, K)."""
    return one_hot + probs - probs.detach()


def categorical_sample(probs: Tensor, noise: Tensor) -> Tensor:
    """Straight-through one-hot sample by the Gumbel-max trick; noise ~ Gumbel(0, 1). Both (..., S, K)."""
    index = (torch.log(probs.detach()) + noise).max(-1, keepdim=True).indices
    return straight_through(probs, torch.zeros_like(probs).scatter_(-1, index, 1.0))


def categorical_kl(probs_q: Tensor, probs_p: Tensor) -> Tensor:
    """KL[q || p] in nats, summed over groups: (..., S, K), (..., S, K) -> (...)."""
    return (probs_q * (torch.log(probs_q) - torch.log(probs_p))).sum((-2, -1))


# --- what training asks of either kind --------------------------------------------------------


def balanced_kl(kl_dyn: Tensor, kl_rep: Tensor, balance: float, free_nats: float) -> Tensor:
    """balance * max(free, dyn) + (1 - balance) * max(free, rep), clipped per row: (B, T) -> (B, T).

    `kl_dyn` = KL[sg(q) || p] trains the prior, `kl_rep` = KL[q || sg(p)] trains the posterior.
    Below `free_nats` a row gives neither a gradient.
    """
    return balance * kl_dyn.clamp(min=free_nats) + (1 - balance) * kl_rep.clamp(min=free_nats)


class GaussianLatent:
    """z is `size` independent Normals. Parameters: means and raw scales, P = 2 * size."""

    def __init__(self, size: int, min_std: float) -> None:
        self.min_std = min_std
        self.size, self.params = size, 2 * size

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Standard normal noise (*shape, Z)."""
        return torch.randn(*shape, self.size, device=device)

    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """(..., P), (..., Z) -> z (..., Z), differentiable in `params`."""
        return gaussian_sample(*gaussian_stats(params, self.min_std), noise)

    def attach(self, params: Tensor, noise: Tensor, z: Tensor) -> Tensor:
        """A sample z (..., Z) drawn from the same numbers without gradient, now differentiable in `params`."""
        return self.sample(params, noise)

    def mode(self, params: Tensor) -> Tensor:
        """(..., P) -> the mean (..., Z)."""
        return params[..., : self.size]

    def kl(self, q: Tensor, p: Tensor) -> Tensor:
        """(..., P), (..., P) -> KL[q || p] in nats (...)."""
        return gaussian_kl(*gaussian_stats(q, self.min_std), *gaussian_stats(p, self.min_std))

    def both_kl(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """KL[sg(q) || p], which trains p, and KL[q || sg(p)], which trains q: (..., P), (..., P) -> (...), (...)."""
        q, p = gaussian_stats(q, self.min_std), gaussian_stats(p, self.min_std)
        return gaussian_kl(*(x.detach() for x in q), *p), gaussian_kl(*q, *(x.detach() for x in p))

    def entropy(self, params: Tensor) -> Tensor:
        """(..., P) -> differential entropy in nats (...)."""
        _, std = gaussian_stats(params, self.min_std)
        return normal_entropy(std)


class CategoricalLatent:
    """z is `groups` one-hot vectors of `classes`, laid flat: Z = P = groups * classes."""

    def __init__(self, groups: int, classes: int, unimix: float) -> None:
        self.groups, self.classes, self.unimix = groups, classes, unimix
        self.size = self.params = groups * classes

    def probs(self, params: Tensor) -> Tensor:
        """(..., P) -> probabilities (..., S, K)."""
        return unimix_probs(params.unflatten(-1, (self.groups, self.classes)), self.unimix)

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Gumbel noise (*shape, S, K)."""
        uniform = torch.rand(*shape, self.groups, self.classes, device=device)
        return -torch.log(-torch.log(uniform.clamp(1e-20, 1 - 1e-7)))

    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """(..., P), (..., S, K) -> z (..., Z), straight-through in `params`."""
        return categorical_sample(self.probs(params), noise).flatten(-2)

    def attach(self, params: Tensor, noise: Tensor, z: Tensor) -> Tensor:
        """A sample z (..., Z) drawn from the same numbers without gradient, now differentiable in `params`.

        The code itself is kept, not drawn again: rounding must not turn a near-tie the other way.
        """
        return straight_through(self.probs(params), z.unflatten(-1, (self.groups, self.classes))).flatten(-2)

    def mode(self, params: Tensor) -> Tensor:
        """(..., P) -> the most likely one-hot code (..., Z)."""
        return self.sample(params, torch.zeros((), device=params.device))

    def kl(self, q: Tensor, p: Tensor) -> Tensor:
        """(..., P), (..., P) -> KL[q || p] in nats (...)."""
        return categorical_kl(self.probs(q), self.probs(p))

    def both_kl(self, q: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        """KL[sg(q) || p], which trains p, and KL[q || sg(p)], which trains q: (..., P), (..., P) -> (...), (...)."""
        q, p = self.probs(q), self.probs(p)
        return categorical_kl(q.detach(), p), categorical_kl(q, p.detach())

    def entropy(self, params: Tensor) -> Tensor:
        """(..., P) -> entropy in nats (...)."""
        probs = self.probs(params)
        return -(probs * torch.log(probs)).sum((-2, -1))

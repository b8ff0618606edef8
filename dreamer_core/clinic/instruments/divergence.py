"""Which way round the KL is taken, and whom it trains, on two distributions made by hand.

The truth comes from torch.distributions. Both ways round are known, so a value says where it lies between them.
"""

import torch
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence
from torch.nn import functional as F

from dreamer_core import world_model
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.recurrence import reach
from dreamer_core.clinic.instruments.specimen import specimen
from dreamer_core.clinic.subject import Subject
from dreamer_core.config import WorldModelConfig

SAYS = {
    "direction": "the measured KL, where KL[q || p] is 1 and KL[p || q] is 0",
    "prior from its term": "gradient of the prior's term in the prior, over that of the true KL",
    "posterior from its term": "the same for the posterior's term and the posterior",
    "crossed": "gradient of either term in the other's parameters",
    "push on the prior": "how hard a KL above the free nats pushes the prior, over what the settings say",
    "push on the posterior": "the same for the posterior",
    "push when free": "how hard a KL below the free nats pushes",
}
HEALTHY: dict[str, Range] = {name: exactly(1) for name in SAYS} | {name: exactly(0, 1e-6) for name in ("crossed", "push when free")}


def measure(subject: Subject) -> Reading:
    """The KL of two hand-made distributions, its gradients, and what the loss makes of KLs of known size."""
    config = subject.config.model
    with apart(subject):
        latent = specimen(subject).model.rssm.latent
        q, p = (torch.randn(7, latent.params).requires_grad_() for _ in range(2))
        dyn, rep = latent.both_kl(q, p)
        forward, backward = true_kl(q, p, config), true_kl(p, q, config)  # (7,)
        numbers = {
            "direction": direction((dyn + rep) / 2, forward, backward),
            "prior from its term": reach(dyn, p) / reach(forward, p),
            "posterior from its term": reach(rep, q) / reach(forward, q),
            "crossed": reach(dyn, q) + reach(rep, p),
        }
        free, weights = free_and_weights(config)
        for name, number in (("push on the prior", 0), ("push on the posterior", 1)):
            if weights[number] > 0:
                numbers[name] = push(config, 4 * max(1.0, free))[number] / weights[number]
        if free > 0:
            numbers["push when free"] = sum(push(config, free / 2))
    return numbers_reading(SAYS, HEALTHY, numbers)


def direction(value: Tensor, forward: Tensor, backward: Tensor) -> float:
    """Where values lie between the KL one way round, 0, and the other, 1: the least-squares answer over all rows."""
    gap = forward - backward
    return float(((value - backward) * gap).sum().detach() / gap.square().sum().detach())


def free_and_weights(config: WorldModelConfig) -> tuple[float, tuple[float, float]]:
    """The free nats, and the weights with which a KL trains prior and posterior."""
    if config.kl == "paper":
        return config.kl_free, (config.kl_dyn, config.kl_rep)
    return config.free_nats, (config.kl_balance * config.kl_scale, (1 - config.kl_balance) * config.kl_scale)


def push(config: WorldModelConfig, nats: float) -> tuple[float, float]:
    """The gradient of the KL's loss in the prior's term and in the posterior's, where both are so many nats."""
    dyn, rep = (torch.tensor(nats, requires_grad=True) for _ in range(2))
    loss, scale = world_model.KLS[config.kl](dyn, rep, config)
    return scale * reach(loss, dyn), scale * reach(loss, rep)


def true_kl(q: Tensor, p: Tensor, config: WorldModelConfig) -> Tensor:
    """KL[q || p] of parameters (..., P) by torch.distributions: (...)."""
    if config.latent == "categorical":

        def distribution(params: Tensor) -> Categorical:
            probs = F.softmax(params.unflatten(-1, (config.stoch, config.classes)), -1)
            return Categorical(probs=(1 - config.unimix) * probs + config.unimix / config.classes)

    else:

        def distribution(params: Tensor) -> Normal:
            mean, raw = params.chunk(2, -1)
            return Normal(mean, F.softplus(raw) + config.min_std)

    return kl_divergence(distribution(q), distribution(p)).sum(-1)


DIVERGENCE = Instrument(
    name="divergence",
    quick=True,
    sentence="The KL of two distributions made by hand: its value, which way round it is, and how hard it pushes prior and posterior.",
    excludes="a KL the wrong way round, free nats that free everything, and a balance that trains the wrong side",
    cannot="whether prior and posterior are good ones",
    measure=measure,
)

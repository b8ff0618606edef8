"""Agents for the tests of the figures: small, untrained, and where asked without chance."""

from types import SimpleNamespace

import torch
from toys import small

from dreamer_core.agent import Dreamer
from dreamer_core.rssm import Beliefs


def pendulum_agent(**changes):
    """A small Dreamer for Pendulum-v1."""
    config = small(env="Pendulum-v1", **changes)
    return Dreamer(config, 3 - len(config.wrappers.hide), 1)


def without_chance(agent):
    """Take the sampling noise of z away: a sample is then the most likely z."""
    noise = agent.model.rssm.latent.noise
    agent.model.rssm.latent.noise = lambda *shape, **kwargs: torch.zeros_like(noise(*shape, **kwargs))
    return agent


class LinearMind:
    """A stand-in for an agent, with an answer that can be worked out: it believes that x' = rate * x, whatever is done."""

    def __init__(self, rate, scale=1.0):
        empty = SimpleNamespace(noise=lambda *shape: torch.zeros(*shape, 0))
        self.model = SimpleNamespace(
            scale=torch.tensor([scale]),
            encode=lambda observation: observation,
            decode=lambda features: features,
            rssm=SimpleNamespace(
                latent=empty,
                initial=lambda batch: (torch.zeros(batch, 1), torch.zeros(batch, 0)),
                observe=lambda h, embed, action, first, noise=None: Beliefs(embed, embed[..., :0], embed[..., :0]),
                dream_step=lambda h, z, action, noise: (rate * h, z),
            ),
        )
        self.sac = SimpleNamespace(actor=None)

"""A right answer to the build of notebook 03, written differently from the core's."""

import torch
from torch import nn

from dreamer_core.latents import CategoricalLatent, GaussianLatent
from dreamer_core.rssm import Beliefs


class GatesByHand(nn.Module):
    """The GRU written out, all of its gates in one matrix, with other names and another prior."""

    def __init__(self, config, embed, action):
        super().__init__()
        kinds = {
            "gaussian": lambda: GaussianLatent(config.stoch, config.min_std),
            "categorical": lambda: CategoricalLatent(config.stoch, config.classes, config.unimix),
        }
        self.latent = kinds[config.latent]()
        self.deter, wide = config.deter, config.units
        self.squeeze_in = nn.Sequential(nn.Linear(self.latent.size + action, wide), nn.Tanh())
        self.gates = nn.Linear(wide + config.deter, 2 * config.deter)
        self.candidate = nn.Linear(wide + config.deter, config.deter)
        self.guess = nn.Sequential(nn.Linear(config.deter, wide), nn.ReLU(), nn.Linear(wide, self.latent.params))
        self.correct = nn.Sequential(nn.Linear(config.deter + embed, wide), nn.ReLU(), nn.Linear(wide, self.latent.params))

    @property
    def features(self):
        return self.deter + self.latent.size

    def initial(self, batch):
        device = self.gates.weight.device
        return torch.zeros(batch, self.deter, device=device), torch.zeros(batch, self.latent.size, device=device)

    def step(self, h, z, action):
        x = self.squeeze_in(torch.cat((z, action), dim=-1))
        reset, update = torch.sigmoid(self.gates(torch.cat((x, h), dim=-1))).chunk(2, dim=-1)
        return update * h + (1 - update) * torch.tanh(self.candidate(torch.cat((x, reset * h), dim=-1)))

    def prior(self, h):
        return self.guess(h)

    def posterior(self, h, embed):
        return self.correct(torch.cat((h, embed), dim=-1))

    def dream_step(self, h, z, action, noise):
        following = self.step(h, z, action)
        return following, self.latent.sample(self.prior(following), noise)

    def observe(self, h0, embed, action, first, noise=None):
        if noise is None:
            noise = self.latent.noise(embed.shape[0], embed.shape[1])
        rows = []
        for t, (seen, starts, chance) in enumerate(zip(embed.unbind(1), first.unbind(1), noise.unbind(1))):
            h = h0 if t == 0 else self.step(rows[-1][0], rows[-1][1].detach(), action[:, t - 1])
            h = torch.where(starts[:, None] > 0, torch.zeros_like(h), h)
            parameters = self.posterior(h, seen)
            rows.append((h, self.latent.sample(parameters, chance), parameters))
        return Beliefs(*(torch.stack(part, dim=1) for part in zip(*rows)))


RIGHT = {"3.A": [GatesByHand]}

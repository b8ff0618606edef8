"""Right answers to the builds of notebook 02, written differently from the core's."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from dreamer_core.returns import alive_weight
from dreamer_core.sac import Action, squashed_sample


class TwoHeads(nn.Module):
    """A trunk with a head for the mean and one for log std, and all densities written out."""

    def __init__(self, config, features, action):
        super().__init__()
        self.bounds = (config.log_std_min, config.log_std_max)
        widths = [features, *([config.units] * config.layers)]
        self.trunk = nn.ModuleList(nn.Linear(one, other) for one, other in zip(widths, widths[1:]))
        self.where = nn.Linear(config.units, action)
        self.how_wide = nn.Linear(config.units, action)

    def forward(self, state):
        for hidden in self.trunk:
            state = F.elu(hidden(state))
        low, high = self.bounds
        return self.where(state), torch.minimum(torch.maximum(self.how_wide(state), torch.tensor(low)), torch.tensor(high))

    @staticmethod
    def of_noise(eps, log_std, u):
        gauss = -eps.pow(2) / 2 - log_std - math.log(math.sqrt(2 * math.pi))
        tanh_slope = math.log(4) - 2 * torch.logaddexp(u, -u)  # log(1 - tanh^2) = -2 log cosh
        return torch.sum(gauss - tanh_slope, dim=-1)

    def sample(self, state):
        mu, log_std = self.forward(state)
        eps = torch.randn(mu.shape)
        u = torch.addcmul(mu, log_std.exp(), eps)
        return Action(pre_tanh=u, log_prob=self.of_noise(eps, log_std, u))

    def draw(self, state):
        return self.sample(state).pre_tanh

    def log_prob(self, state, pre_tanh):
        mu, log_std = self.forward(state)
        return self.of_noise((pre_tanh - mu) * torch.exp(-log_std), log_std, pre_tanh)

    def mode(self, state):
        return self.squash(self.forward(state)[0])

    def squash(self, pre_tanh):
        return pre_tanh.tanh()


class TwoTowers(nn.Module):
    """Two networks side by side, each split into what it makes of the state and what of the action."""

    def __init__(self, config, features, action):
        super().__init__()

        def tower():
            parts = nn.ModuleDict({"s": nn.Linear(features, config.units), "a": nn.Linear(action, config.units, bias=False)})
            parts["deep"] = nn.Sequential(
                *(m for _ in range(config.layers - 1) for m in (nn.Linear(config.units, config.units), nn.Mish()))
            )
            parts["out"] = nn.Linear(config.units, 1)
            return parts

        self.left, self.right = tower(), tower()

    @staticmethod
    def climb(tower, state, action):
        x = F.mish(tower["s"](state) + tower["a"](action))
        return tower["out"](tower["deep"](x))[..., 0]

    def forward(self, state, action):
        return torch.stack((self.climb(self.left, state, action), self.climb(self.right, state, action)), dim=0)

    def restate(self, factor, shift):
        for out in (self.left["out"], self.right["out"]):
            out.weight.data *= factor
            out.bias.data.mul_(factor)
            out.bias.data += shift


def halves_apart(self, batch, optimizer):
    """Two backward passes, clipping and averaging by hand, noise drawn here."""
    settings, alpha = self.config, self.alpha
    here, there = batch.state[:, :-1], batch.state[:, 1:]
    counts = alive_weight(batch.cont) * batch.weight.unsqueeze(1)

    def soft_q(critics, state):
        mean, log_std = self.actor(state)
        u, log_prob = squashed_sample(mean, log_std, torch.randn(mean.shape))
        one, other = critics(state, u.tanh())
        return torch.minimum(one, other) - alpha * log_prob, log_prob

    with torch.no_grad():
        goal = batch.reward + settings.gamma * batch.cont * soft_q(self.q_target, there)[0]
    one, other = self.q(here, batch.pre_tanh.tanh())
    fit = (counts * (one - goal) ** 2).mean() + (counts * (other - goal) ** 2).mean()
    wish, log_prob = soft_q(self.q_target, here)
    regret = (-wish * counts).mean()

    optimizer.zero_grad()
    regret.backward()
    fit.backward()
    norms = [torch.nn.utils.clip_grad_norm_(list(part.parameters()), settings.clip_norm) for part in (self.actor, self.q)]
    optimizer.step()
    for slow, fast in zip(self.q_target.parameters(), self.q.parameters()):
        slow.data.add_((1 - settings.polyak) * (fast.data - slow.data))
    self.updates.add_(1)
    return {
        "critic_loss": fit.detach(),
        "actor_loss": regret.detach(),
        "q_mean": (one + other).detach().mean() / 2,
        "return_mean": goal.mean(),
        "entropy": -log_prob.detach().mean(),
        "actor_grad_norm": norms[0],
        "critic_grad_norm": norms[1],
    }


RIGHT = {"2.A": [TwoHeads], "2.B": [TwoTowers], "2.C": [halves_apart]}

"""A world model, an actor and a world that are worked out with a pencil: what dreams and policies are checked on.

Sizes D = 2, Z = 1, A = 1, O = 1. Every function is linear, so that an expected number is a line of
arithmetic; *chance* is always the number 1, so that the order in which a learner draws it does not matter.

    h' = (h_0 / 2 + a + 0.1,  z - h_1 / 4)       prior: mean h_0 - h_1, std 0.3     actor: mean 0.3 h_0 - 0.2 z + 0.1, std 0.5
    reward = h_0 + 2 h_1 + 3 z                   posterior: mean h_0 / 2 + 2 o, std 0.2     continue logit = h_1 - z
"""

import math
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from dreamer_core.classroom.spec import Draw
from dreamer_core.config import SACConfig, WorldModelConfig
from dreamer_core.latents import GaussianLatent
from dreamer_core.rssm import RSSM
from dreamer_core.sac import Action, Actor, squashed_sample
from dreamer_core.world_model import WorldModel

PRIOR_STD, POSTERIOR_STD, ACTOR_STD = 0.3, 0.2, 0.5


class ToyLatent:
    """z with one entry; its parameters are mean and std."""

    size, params = 1, 2

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Chance, which is always 1: (*shape, 1)."""
        return torch.ones(*shape, 1)

    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """(..., 2), (..., 1) -> (..., 1)."""
        return params[..., :1] + params[..., 1:] * noise

    def mode(self, params: Tensor) -> Tensor:
        """(..., 2) -> (..., 1)."""
        return params[..., :1]


class ToyRSSM(RSSM):
    """h and z by hand; `half` carries a gradient, so that a rollout which keeps it can be told."""

    batched, deter = False, 2

    def __init__(self) -> None:
        nn.Module.__init__(self)  # it has no networks
        self.config = WorldModelConfig()
        self.latent = ToyLatent()
        self.half = torch.tensor(0.5, requires_grad=True)

    def initial(self, batch: int) -> tuple[Tensor, Tensor]:
        """Zeros (B, 2), (B, 1)."""
        return torch.zeros(batch, 2), torch.zeros(batch, 1)

    def step(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        """(..., 2), (..., 1), (..., 1) -> (..., 2)."""
        return torch.cat([self.half * h[..., :1] + action + 0.1, z - h[..., 1:] / 4], -1)

    def prior(self, h: Tensor) -> Tensor:
        """(..., 2) -> (..., 2)."""
        mean = h[..., :1] - h[..., 1:]
        return torch.cat([mean, torch.full_like(mean, PRIOR_STD)], -1)

    def posterior(self, h: Tensor, embed: Tensor) -> Tensor:
        """(..., 2), (..., 1) -> (..., 2)."""
        mean = self.half * h[..., :1] + embed
        return torch.cat([mean, torch.full_like(mean, POSTERIOR_STD)], -1)

    def dream_step(self, h: Tensor, z: Tensor, action: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step without an observation."""
        h = self.step(h, z, action)
        return h, self.latent.sample(self.prior(h), noise)


class ToyModel(WorldModel):
    """What a world model offers to those who dream in it, and to those who filter a window with it."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.rssm = ToyRSSM()

    def encode(self, observation: Tensor) -> Tensor:
        """(..., 1) -> (..., 1)."""
        return 2 * observation

    def predict_reward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 3) -> mean (...), std (...)."""
        mean = 2 * self.rssm.half * features[..., 0] + 2 * features[..., 1] + 3 * features[..., 2]
        return mean, torch.ones_like(mean)

    def predict_continue(self, features: Tensor) -> Tensor:
        """(..., 3) -> logit (...)."""
        return features[..., 1] - features[..., 2]

    def decode(self, features: Tensor) -> Tensor:
        """(..., 3) -> (..., 1)."""
        return features[..., :1] / 4 + features[..., 2:]


class ToyActor:
    """What an actor offers to those who act with it."""

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 3) -> mean (..., 1), log std (..., 1)."""
        mean = 0.3 * state[..., :1] - 0.2 * state[..., 2:] + 0.1
        return mean, torch.full_like(mean, math.log(ACTOR_STD))

    def draw(self, state: Tensor) -> Tensor:
        """u before tanh, with chance: (..., 3) -> (..., 1)."""
        return self(state)[0] + ACTOR_STD

    def sample(self, state: Tensor) -> Action:
        """The same, with its log-probability."""
        mean, log_std = self(state)
        return Action(mean + ACTOR_STD, (-0.5 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1))

    def mode(self, state: Tensor) -> Tensor:
        """tanh(mean): (..., 3) -> (..., 1)."""
        return torch.tanh(self(state)[0])

    @staticmethod
    def squash(pre_tanh: Tensor) -> Tensor:
        """The action that u stands for: tanh(u), (..., 1)."""
        return torch.tanh(pre_tanh)


# --- the same world for one dream at a time, in plain floats -------------------------------------


def step_by_hand(h: tuple[float, float], z: float, action: float) -> tuple[float, float]:
    """The next h."""
    return h[0] / 2 + action + 0.1, z - h[1] / 4


def reading_by_hand(h: tuple[float, float], z: float) -> SimpleNamespace:
    """What the heads and the actor read from a state: reward, cont (a probability) and the actor's mean."""
    return SimpleNamespace(reward=h[0] + 2 * h[1] + 3 * z, cont=1 / (1 + math.exp(z - h[1])), mean=0.3 * h[0] - 0.2 * z + 0.1)


# --- real networks, small, for the second look ---------------------------------------------------


class SteadyLatent(GaussianLatent):
    """A Gaussian z whose chance is the same number everywhere, so that the order in which it is drawn does not matter."""

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """(*shape, Z)."""
        return torch.full((*shape, self.size), 0.7)


class SteadyActor(Actor):
    """An actor whose chance is the same number everywhere."""

    def draw(self, state: Tensor) -> Tensor:
        """u before tanh: (..., F) -> (..., A)."""
        return self.sample(state).pre_tanh

    def sample(self, state: Tensor) -> Action:
        """The same, with its log-probability."""
        mean, log_std = self(state)
        return squashed_sample(mean, log_std, torch.full_like(mean, -0.4))


def small_model(d: Draw, observation: int, action: int, deter: int, stoch: int, steady: bool = True) -> tuple[WorldModel, Actor]:
    """A world model and an actor with seeded random weights; their chance is steady, or the usual one."""
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
        model = WorldModel(WorldModelConfig(deter=deter, units=5, stoch=stoch), observation, action)
        features = model.rssm.features
        actor = (SteadyActor if steady else Actor)(SACConfig(units=6), features, action)
    if steady:
        model.rssm.latent = SteadyLatent(stoch, model.rssm.latent.min_std)
    with torch.no_grad():
        for parameter in [*model.parameters(), *actor.parameters()]:
            parameter.copy_(d.normal(*parameter.shape, std=0.6))
    return model, actor

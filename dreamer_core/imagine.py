"""Rollouts in the dream, handed over as plain data.

Trajectories are made under `no_grad`: no gradient flows through an imagined action or state, and
whoever trains on them cannot tell them from recorded experience.
"""

import torch
from torch import Tensor

from dreamer_core.sac import Actor
from dreamer_core.trajectories import Trajectories
from dreamer_core.world_model import WorldModel


@torch.no_grad()
def imagined_return(model: WorldModel, actor: Actor, observation: Tensor, steps: int) -> Tensor:
    """The undiscounted return the agent expects of an episode of which it sees the first observation alone.

    It dreams `steps` steps with its most likely actions and adds the predicted rewards, each weighted
    by the probability that the episode is still running. Where this lies far above the real return,
    the actor has learned to exploit the model's mistakes.

    Args:
        observation: (E, O), first observations.

    Returns:
        (E,), in the agent's units of reward.
    """
    rssm = model.rssm
    h, _ = rssm.initial(len(observation))
    z = rssm.latent.mode(rssm.posterior(h, model.encode(observation)))
    total, alive = torch.zeros_like(h[:, 0]), torch.ones_like(h[:, 0])
    for _ in range(steps):
        h, z = rssm.dream_step(h, z, actor.mode(torch.cat([h, z], -1)), rssm.latent.noise(len(h), device=h.device))
        state = torch.cat([h, z], -1)
        total += alive * model.predict_reward(state)[0]
        alive *= torch.sigmoid(model.predict_continue(state))
    return total


@torch.no_grad()
def imagine(model: WorldModel, actor: Actor, h: Tensor, z: Tensor, weight: Tensor, horizon: int) -> Trajectories:
    """Dream `horizon` steps from N states, acting by the actor's own samples.

    Args:
        h, z: (N, D), (N, Z), start states.
        weight: (N,), 1 for a start that can be left, 0 for a terminal one.
    """
    states, actions = [torch.cat([h, z], -1)], []
    noise = model.rssm.latent.noise(horizon, len(h), device=h.device)
    for t in range(horizon):
        pre_tanh = actor.draw(states[-1])
        h, z = model.rssm.dream_step(h, z, actor.squash(pre_tanh), noise[t])
        states.append(torch.cat([h, z], -1))
        actions.append(pre_tanh)
    state = torch.stack(states)  # (H + 1, N, F): time first, so that the heads read it without a copy
    reward, _ = model.predict_reward(state[1:])
    cont = torch.sigmoid(model.predict_continue(state[1:]))
    return Trajectories(state.transpose(0, 1), torch.stack(actions, 1), reward.T, cont.T, weight)

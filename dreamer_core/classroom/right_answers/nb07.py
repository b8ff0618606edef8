"""Right answers to notebook 07, written otherwise than the course's own."""

import numpy as np
import torch

from dreamer_core.trajectories import Trajectories


def imagine_step_by_step(model, actor, h, z, weight, horizon):
    """Heads read inside the loop, z drawn from the prior by hand, the dream detached at the end; chance in the course's order."""
    rssm = model.rssm
    noise = rssm.latent.noise(horizon, len(h))
    states, actions, rewards, conts = [torch.cat((h, z), dim=-1)], [], [], []
    for t in range(horizon):
        u = actor.draw(states[-1])
        h = rssm.step(h, z, actor.squash(u))
        z = rssm.latent.sample(rssm.prior(h), noise[t])
        s = torch.cat((h, z), dim=-1)
        mean, _ = model.predict_reward(s)
        states.append(s)
        actions.append(u)
        rewards.append(mean)
        conts.append(model.predict_continue(s).sigmoid())
    parts = [torch.stack(part, dim=1).detach() for part in (states, actions, rewards, conts)]
    return Trajectories(*parts, weight)


def imagine_preallocated(model, actor, h, z, weight, horizon):
    """Filled into tensors made beforehand."""
    with torch.no_grad():
        state = torch.zeros(len(h), horizon + 1, h.shape[1] + z.shape[1])
        state[:, 0] = torch.cat([h, z], -1)
        pre_tanh, reward, cont = None, torch.zeros(len(h), horizon), torch.zeros(len(h), horizon)
        for t in range(horizon):
            u = actor.draw(state[:, t])
            pre_tanh = u[:, None] if pre_tanh is None else torch.cat([pre_tanh, u[:, None]], 1)
            h, z = model.rssm.dream_step(h, z, actor.squash(u), model.rssm.latent.noise(len(h)))
            state[:, t + 1] = torch.cat([h, z], -1)
            reward[:, t] = model.predict_reward(state[:, t + 1])[0]
            cont[:, t] = torch.sigmoid(model.predict_continue(state[:, t + 1]))
    return Trajectories(state=state, pre_tanh=pre_tanh, reward=reward, cont=cont, weight=weight)


def alive_weight_loop(cont):
    """One column after the other."""
    columns = [torch.ones(len(cont))]
    for t in range(cont.shape[1] - 1):
        columns.append(columns[-1] * cont[:, t])
    return torch.stack(columns, dim=1)


def alive_weight_products(cont):
    """Each column as a product of its own."""
    return torch.stack([cont[:, :t].prod(1) for t in range(cont.shape[1])], 1)


def imagined_return_collected(model, actor, observation, steps):
    """Rewards and continues collected first, weighted afterwards."""
    with torch.no_grad():
        rssm = model.rssm
        h, _ = rssm.initial(observation.shape[0])
        z = rssm.latent.mode(rssm.posterior(h, model.encode(observation)))
        rewards, conts = [], [torch.ones(len(h))]
        for _ in range(steps):
            mean, _ = actor(torch.cat([h, z], -1))
            h = rssm.step(h, z, mean.tanh())
            z = rssm.latent.sample(rssm.prior(h), rssm.latent.noise(len(h)))
            rewards.append(model.predict_reward(torch.cat([h, z], -1))[0])
            conts.append(model.predict_continue(torch.cat([h, z], -1)).sigmoid())
        return (torch.stack(rewards) * torch.stack(conts[:-1]).cumprod(0)).sum(0)


def rms_error_norm(prediction, real, scale):
    """As the length of a vector."""
    return np.linalg.norm(prediction / scale - real / scale, axis=-1) / len(scale) ** 0.5


def departure_counters(real, low, high, margin=0.0, patience=3):
    """A counter for each entry, set back whenever the entry is inside."""
    counters = np.zeros(real.shape[1], int)
    for row in range(len(real)):
        outside = (real[row] < low[row] - margin) | (real[row] > high[row] + margin)
        counters = np.where(outside, counters + 1, 0)
        if counters.max() >= patience:
            return row - patience + 1


RIGHT = {
    "7.1": [imagine_step_by_step, imagine_preallocated],
    "7.2": [alive_weight_loop, alive_weight_products],
    "7.3": [departure_counters],
    "7.4": [rms_error_norm],
    "7.5": [imagined_return_collected],
}

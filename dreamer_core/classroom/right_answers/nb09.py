"""Right answers to notebook 09, written otherwise than the course's own."""

import torch

from dreamer_core.agent import Carry


def see_and_act_where(model, actor, carry, observation, first, explore):
    """h chosen by torch.where, and both halves of the choice in one branch each."""
    rssm = model.rssm
    h = rssm.step(carry.h, carry.z, carry.action)
    h = torch.where(first[:, None] > 0, torch.zeros_like(h), h)
    params = rssm.posterior(h, model.encode(observation))
    if explore:
        z = rssm.latent.sample(params, rssm.latent.noise(h.shape[0]))
        action = actor.squash(actor.draw(torch.cat([h, z], dim=1)))
    else:
        z = rssm.latent.mode(params)
        action = actor.mode(torch.cat([h, z], dim=1))
    return Carry(h=h, z=z, action=action)


@torch.no_grad()
def see_and_act_by_a_window(model, actor, carry, observation, first, explore):
    """The row as a window of one row."""
    rssm = model.rssm
    h = rssm.step(carry.h, carry.z, carry.action)
    seen = rssm.observe(h, model.encode(observation)[:, None], carry.action[:, None], first[:, None])
    h, z = seen.h[:, 0], seen.z[:, 0] if explore else rssm.latent.mode(seen.posterior[:, 0])
    state = torch.cat([h, z], -1)
    return Carry(h, z, actor.squash(actor.draw(state)) if explore else actor.mode(state))


def dream_starts_select(h, z, terminal):
    """By index, and the weight from a comparison."""
    last = h.shape[1] - 1
    return h.select(1, last), z.select(1, last), (terminal[:, last] == 0).float()


def turns_zip(models, agents):
    """By zipping, the missing ones left out."""
    from itertools import zip_longest  # inside, so that the function can be taken along

    return [part for pair in zip_longest(["model"] * models, ["agent"] * agents) for part in pair if part]


def rate_factor_fraction(grad_steps, halving):
    """As one fraction."""
    if halving == 0:
        return 1.0
    return halving / (halving + grad_steps)


RIGHT = {
    "9.1": [see_and_act_where, see_and_act_by_a_window],
    "9.2": [dream_starts_select],
    "9.3": [turns_zip],
    "9.4": [rate_factor_fraction],
}

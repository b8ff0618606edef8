"""Right answers of notebook 05, written in other ways than the course's own."""

import numpy as np
import torch

from dreamer_core.rssm import Beliefs


def squared_error(prediction, target):
    difference = prediction - target
    return torch.einsum("...i,...i->...", difference, difference) / 2


def one_loss(rows, weights):
    losses, total = {}, 0.0
    for name in rows:
        loss = rows[name].mean()
        if name in weights:
            loss = loss * weights[name]
        losses[name] = loss
        total = total + loss
    losses["total"] = total
    return losses


def observation_units(rows):
    centre = rows.sum(0) / len(rows)
    unit = ((rows - centre) ** 2).sum(0).div(len(rows) - 1).sqrt()
    unit[unit < 1e-6] = 1.0
    return centre, unit


def observe_plain(rssm, h1, embed, action, first, noise):
    batch, length = first.shape
    h, z, posterior = torch.where(first[:, :1] == 1, torch.zeros_like(h1), h1), None, None
    found = []
    for t in range(length):
        if t:
            entering = z
            if rssm.config.detach_z:
                entering = entering.detach()
            moved = rssm.step(h, entering, action[:, t - 1])
            h = torch.where(first[:, t : t + 1] == 1, torch.zeros_like(moved), moved)
        posterior = rssm.posterior(h, embed[:, t])
        z = rssm.latent.sample(posterior, noise[:, t])
        found.append((h, z, posterior))
    return Beliefs(*(torch.stack(part, dim=1) for part in zip(*found)))


def clip_by_norm(gradients, limit):
    length = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    if length <= limit:
        return [gradient.clone() for gradient in gradients]
    return [gradient / length * limit for gradient in gradients]


def r_squared(prediction, truth):
    error = ((prediction - truth) ** 2).mean()
    spread = ((truth - truth.mean(axis=0)) ** 2).mean()
    return 1.0 - float(error) / float(spread)


def r_squared_by_variance(prediction, truth):
    return float(1 - np.sum((truth - prediction) ** 2) / np.sum(np.var(truth, axis=0) * len(truth)))


RIGHT = {
    "5.1": [squared_error],
    "5.2": [one_loss],
    "5.3": [observation_units],
    "5.4": [observe_plain],
    "5.5": [clip_by_norm],
    "5.6": [r_squared, r_squared_by_variance],
}

"""How far a trained world model's belief is from the exact one, in nats.

The world model is trained on recorded episodes of the known world, then asked before every row:
what will the sensor show? The Kalman filter is asked the same. Its answer is the true
probability of a reading given the past, so no other answer can be better on average, and

    gap = mean of [ -log p_model(o_t | past) + log p_exact(o_t | past) ]  >=  0   (in expectation).

The model's answer is a mixture: S runs of the posterior over the past, K prior samples of z from
each, and a Normal around each decoded reading,

    p_model(o_t | past)  =  1 / (S K) sum_s sum_k N(o_t; decode(h_s, z_sk), sigma).

That is a density of the past alone, so the comparison is fair. Decoding at the *posterior* mean
would peek at o_t itself and come out better than the exact answer, which is impossible.

Whether the sensor sees is a chance of its own, which the filter is given and need not foresee. So
the model is given it too, at two places. The encoder sees (reading or 0, visible_t), so that a
blind 0 is not taken for a reading. And f gets it as a second action entry (a_t, visible_t), for
then the network that reads z_t knows whether it holds news. h_t does not know visible_t: the same
(h, z) answers "what would be seen?" at blind rows and at seen ones.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core.config import WorldModelConfig
from dreamer_core.nets import gaussian_nll
from dreamer_core.replay import Window
from dreamer_core.sac import descend
from dreamer_core.world_model import WorldModel
from dreamer_core.yardsticks.known_answer import kalman
from dreamer_core.yardsticks.known_world import Episodes, World

AT_ONCE = 10  # episodes for which the mixture is held in memory


def small_model(latent: Literal["gaussian", "categorical"]) -> WorldModel:
    """A world model for observations (reading or 0, visible) and "actions" (a, visible), in the world's own units."""
    kind = {"gaussian": dict(stoch=6), "categorical": dict(stoch=8, classes=8, unimix=0.001)}[latent]
    config = WorldModelConfig(latent=latent, deter=48, units=64, standardize=False, **kind)
    return WorldModel(config, observation=2, action=2)


def decoder_std(world: World, model: WorldModel) -> float:
    """The fixed sigma around a decoded reading, for what z does not carry.

    Half the sensor's with a Gaussian z, so that z has to pass on most of a reading. Classes are
    coarser: theirs is 3/4 of it, since a sigma finer than the code makes the belief too sure of itself.
    """
    return world.sensor_std * (0.5 if model.config.latent == "gaussian" else 0.75)


def as_window(model: WorldModel, episodes: Episodes) -> Window:
    """Whole episodes as the world model reads them, (N, T + 1, ...); no action leaves the last row."""
    count, rows = episodes.reading.shape
    action = np.pad(episodes.action, ((0, 0), (0, 1)))
    first = torch.zeros(count, rows)
    first[:, 0] = 1
    return Window(
        observation=torch.from_numpy(episodes.observation).float(),
        action=torch.from_numpy(np.stack([action, episodes.visible], -1)).float(),
        reward=torch.from_numpy(episodes.reward).float(),
        first=first,
        terminal=torch.zeros(count, rows),
        h=model.rssm.initial(count)[0],
        index=torch.arange(count * rows).view(count, rows),
    )


def negative_elbo(model: WorldModel, window: Window, sigma: float) -> dict[str, Tensor]:
    """The plain negative ELBO in nats per row: how badly readings are explained, plus the whole KL.

    Two things set it apart from `WorldModel.loss`. A reading that was not taken counts nothing
    (the agent's own loss explains the 0 that stands in its place, and the mask). And nothing is weighted: no
    free nats, KL weight 1, prior and posterior each get all of their gradient.
    """
    beliefs = model.observe(window)
    reading, visible = window.observation.unbind(-1)
    decoded = model.decode(beliefs.features)[..., 0]  # (B, T); the mask is given, not foreseen
    error = visible * gaussian_nll(decoded, torch.tensor(sigma), reading)
    kl = model.rssm.latent.kl(beliefs.posterior, model.rssm.prior(beliefs.h))
    return {"error": error.mean(), "kl": kl.mean(), "total": (error + kl).mean()}


def fit(
    world: World,
    model: WorldModel,
    episodes: Episodes,
    updates: int,
    batch: int = 16,
    lr: float = 8e-3,
    on_update: Callable[[dict[str, Tensor]], None] | None = None,
) -> None:
    """Train the model in place on batches of whole episodes; Adam's learning rate falls to 0 along a cosine.

    `on_update` is called with the losses of each update. Random numbers come from torch's global generator.
    """
    window, sigma = as_window(model, episodes), decoder_std(world, model)
    trained = [*model.encoder.parameters(), *model.rssm.parameters(), *model.decoder.parameters()]
    optimizer = torch.optim.Adam(trained, lr, fused=True)
    for update in range(updates):
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * update / updates))
        rows = torch.randint(len(window.first), (batch,))
        losses = negative_elbo(model, Window(*(part[rows] for part in window)), sigma)
        descend(losses["total"], optimizer, model.config.clip_norm)
        if on_update is not None:
            on_update(losses)


class Foreseen(NamedTuple):
    """What is expected of each row's reading just before it is taken, blind rows as if the sensor saw."""

    mean: np.ndarray  # (N, T + 1)
    std: np.ndarray  # (N, T + 1)
    nll: np.ndarray  # (N, T + 1), minus the log density of the true reading, in nats


def exact(world: World, episodes: Episodes) -> Foreseen:
    """The Kalman filter's answer, which cannot be improved."""
    mean, std = kalman(world, episodes).reading(world)
    nll = 0.5 * ((episodes.reading - mean) / std) ** 2 + np.log(std * math.sqrt(2 * math.pi))
    return Foreseen(mean, std, nll)


@torch.no_grad()
def foresee(world: World, model: WorldModel, episodes: Episodes, chains: int = 30, samples: int = 30) -> Foreseen:
    """The model's answer: the mixture over S = `chains` times K = `samples` decoded readings at each row.

    With few samples the sum misses the true reading and the density comes out too low, with one
    by several nats: that would be a fault of the measurement, not of the model.
    """
    sigma, parts = decoder_std(world, model), []
    for start in range(0, len(episodes.reading), AT_ONCE):
        part = Episodes(*(rows[start : start + AT_ONCE] for rows in episodes))
        decoded = _decode_prior(model, part, chains, samples)  # (N, T + 1, S * K)
        reading = torch.from_numpy(part.reading).float().unsqueeze(-1)
        each = gaussian_nll(decoded, torch.tensor(sigma), reading)
        nll = math.log(chains * samples) - torch.logsumexp(-each, -1)
        std = (decoded.var(-1, correction=0) + sigma**2).sqrt()
        parts.append(Foreseen(decoded.mean(-1).numpy(), std.numpy(), nll.numpy()))
    return Foreseen(*(np.concatenate(rows) for rows in zip(*parts)))


def _decode_prior(model: WorldModel, episodes: Episodes, chains: int, samples: int) -> Tensor:
    """Readings (N, T + 1, S * K) decoded from K prior samples in each of S posterior runs over the rows before."""
    latent = model.rssm.latent
    window = Window(*(part.repeat_interleave(chains, 0) for part in as_window(model, episodes)))  # (N * S, ...)
    h = model.observe(window).h  # (N * S, T + 1, D)
    prior = model.rssm.prior(h).unsqueeze(2).expand(-1, -1, samples, -1)  # (N * S, T + 1, K, P)
    z = latent.sample(prior, latent.noise(*prior.shape[:3]))
    features = torch.cat([h.unsqueeze(2).expand(-1, -1, samples, -1), z], -1)
    decoded = model.decode(features)[..., 0].unflatten(0, (-1, chains))  # (N, S, T + 1, K)
    return decoded.transpose(1, 2).flatten(2)


def compare(model: Foreseen, truth: Foreseen, visible: np.ndarray) -> dict[str, float]:
    """The gap in nats per step, and the ratio of spreads. `visible` is (N, T + 1).

    "visible" is over rows where the sensor saw, "reappearance" over those of them that end a
    blackout, "blind" over rows where it did not see. A spread is the standard deviation of the
    foreseen reading; "spread" is the mean ratio over all rows, "spread_blind" over blind ones.
    """
    seen = visible == 1
    back = seen & np.pad(~seen, ((0, 0), (1, 0)))[:, :-1]
    gap, ratio = model.nll - truth.nll, model.std / truth.std
    return {
        "visible": float(gap[seen].mean()),
        "blind": float(gap[~seen].mean()),
        "reappearance": float(gap[back].mean()),
        "spread": float(ratio.mean()),
        "spread_blind": float(ratio[~seen].mean()),
    }

"""What dreams are made of: their noise, found out from the states, and where they start."""

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core import imagine
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import scripted_window, specimen
from dreamer_core.clinic.subject import Subject
from dreamer_core.config import WorldModelConfig
from dreamer_core.paper.actor_critic import CategoricalActor, NormalActor
from dreamer_core.rssm import Beliefs
from dreamer_core.viz.show import COLOURS, describe

COPIES, STEPS = 512, 4

NOISE_SAYS = {
    "spread": "standard deviation of z's noise between dreams from one start",
    "memory": "correlation of z's noise between two steps",
    "action spread": "standard deviation of the action's noise between them",
    "actions remembered": "correlation of the action's noise between two steps",
    "step off": "how far a dreamt h is from that of its state and action",
    "reward row off": "how far a dreamt reward is from that of the state it arrives with",
}
# 512 dreams: a correlation by chance is 0.04 at most in one entry (one standard deviation), less in several.
NOISE_HEALTHY: dict[str, Range] = {
    "spread": (0.85, 1.15),
    "memory": (-0.2, 0.2),
    "action spread": (0.85, 1.15),
    "actions remembered": (-0.25, 0.25),
    "step off": exactly(0, 1e-4),
    "reward row off": exactly(0, 1e-4),
}


def measure_noise(subject: Subject) -> Reading:
    """Dream many times from one start, and solve each state for the noise that made it."""
    with apart(subject), torch.no_grad():
        agent = specimen(subject)
        rssm, actor = agent.model.rssm, agent.sac.actor
        h, z = (torch.randn(1, size).expand(COPIES, -1) for size in (rssm.deter, rssm.latent.size))
        dream = imagine.imagine(agent.model, actor, h, z, torch.ones(COPIES), STEPS)
        hs, zs = dream.state.split([rssm.deter, rssm.latent.size], -1)  # (N, H + 1, ...)
        noise = centred(noise_of(zs[:, 1:], rssm.prior(hs[:, 1:]), subject.config.model))  # (N, H, Z)
        steps = [rssm.step(hs[:, t], zs[:, t], actor.squash(dream.pre_tanh[:, t])) - hs[:, t + 1] for t in range(STEPS)]
        reward = agent.model.predict_reward(dream.state[:, 1:])[0]
        actions = centred(action_noise(actor, dream.state[:, :-1], dream.pre_tanh))  # (N, H, A)
        numbers = {
            "spread": float(noise[:, 0].square().mean().sqrt()),
            "memory": correlation(noise[:, 0], noise[:, 1]),
            "action spread": float(actions[:, 0].square().mean().sqrt()),
            "actions remembered": correlation(actions[:, 0], actions[:, 1]),
            "step off": float(torch.stack(steps).abs().max()),
            "reward row off": float((reward - dream.reward).abs().max()),
        }
        paths = agent.model.decoder(dream.state[:24])[..., 0]
    return numbers_reading(NOISE_SAYS, NOISE_HEALTHY, numbers)._replace(figure=lambda: noise_figure(noise, paths))


def noise_of(z: Tensor, prior: Tensor, config: WorldModelConfig) -> Tensor:
    """The noise with which z was drawn, in standard deviations of its prior: (..., Z), (..., P) -> (..., Z)."""
    if config.latent == "categorical":
        probs = F.softmax(prior.unflatten(-1, (config.stoch, config.classes)), -1).flatten(-2)
        return (z - probs) / (probs * (1 - probs)).sqrt()
    mean, raw = prior.chunk(2, -1)
    return (z - mean) / (F.softplus(raw) + config.min_std)


def action_noise(actor: nn.Module, state: Tensor, drawn: Tensor) -> Tensor:
    """The noise with which samples of an actor were drawn, in standard deviations of its policy: (..., F), (..., A) -> (..., A)."""
    if isinstance(actor, CategoricalActor):
        probs = F.softmax(actor.net(state), -1)
        return (drawn - probs) / (probs * (1 - probs)).sqrt()
    mean, spread = actor(state)
    return (drawn - mean) / (spread if isinstance(actor, NormalActor) else torch.exp(spread))


def centred(x: Tensor) -> Tensor:
    """(N, ...) less its mean over dreams: what differs between dreams from one start is chance."""
    return x - x.mean(0)


def correlation(a: Tensor, b: Tensor) -> float:
    """Of centred samples: 0 where one of them does not vary."""
    size = a.norm() * b.norm()
    return float((a * b).sum() / size) if size > 1e-6 else 0.0


def noise_figure(noise: Tensor, paths: Tensor) -> Figure:
    """Left, dreams from one start; right, the noise of one step against that of the step before."""
    figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
    axes[0].plot(paths.T, color=COLOURS["dream"], linewidth=1, alpha=0.6)
    axes[0].set(xlabel="step of the dream", ylabel="a decoded entry", title="Dreams from one start", xticks=range(paths.shape[1]))
    axes[1].plot(noise[:, 0, 0], noise[:, 1, 0], ".", color=COLOURS["dream"], markersize=4)
    axes[1].set(xlabel="noise of z in step 1", ylabel="noise of z in step 2", title="One step after the other", xlim=(-4, 4), ylim=(-4, 4))
    for axis in axes:
        axis.grid(alpha=0.25)
    return describe(
        figure,
        alt=f"{len(paths)} dreams from one start, and the noise of z in two steps of {len(noise)} dreams: standard deviation "
        f"{float(noise[:, 0].std()):.2f}, correlation {correlation(noise[:, 0], noise[:, 1]):.2f}.",
        caption="Left: the agent is untrained, so the shape means nothing, but dreams must part. Right: a round cloud is fresh noise; a "
        "line is the same noise again; a point is none.",
    )


STARTS_SAYS = {
    "weight after an end": "weight of dreams that start where the episode is over",
    "weight elsewhere": "weight of dreams that start anywhere else",
    "start off": "how far a dream's first state is from the belief it starts from",
}
STARTS_HEALTHY: dict[str, Range] = {
    "weight after an end": exactly(0),
    "weight elsewhere": exactly(1),
    "start off": exactly(0, 1e-6),
}


def measure_starts(subject: Subject) -> Reading:
    """Let the agent dream from windows some of which stop at an end."""
    with apart(subject), torch.no_grad():
        agent = specimen(subject)
        window = scripted_window(agent, batch=6)
        window.terminal[::2, -1] = 1
        window.terminal[1, 2], window.first[1, 3] = 1, 1  # an end in the middle does not end what comes after it
        beliefs = Beliefs(*(part.detach() for part in agent.model.observe(window)))
        dream = agent.dream((window, beliefs))
        rows = window.first.shape[1]
        last = min(agent.config.imagination.last, rows)
        over = window.terminal[:, rows - last :].flatten() == 1
        start = beliefs.features[:, rows - last :].flatten(0, 1)
        numbers = {
            "weight after an end": float(dream.weight[over].mean()),
            "weight elsewhere": float(dream.weight[~over].mean()),
            "start off": float((dream.state[:, 0] - start).abs().max()),
        }
    return numbers_reading(STARTS_SAYS, STARTS_HEALTHY, numbers)


NOISE = Instrument(
    name="noise",
    quick=True,
    sentence="Many dreams from one start: the noise that made each z, its size, and whether it is drawn anew.",
    excludes="dreams without chance, with the same chance in every step, and rewards read from a wrong row of a dream",
    cannot="whether the prior has the right width: that is calibration",
    measure=measure_noise,
)
STARTS = Instrument(
    name="starts",
    quick=True,
    sentence="Dreams from windows that stop at an episode's end: where they start and what they weigh.",
    excludes="dreams after an end that count, and dreams that start from another row",
    cannot="which windows are drawn: that is what the instrument served is for",
    measure=measure_starts,
)

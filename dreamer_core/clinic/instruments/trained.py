"""What a trained agent believes, beside what its own rows and dreams say: noisy, and never exact.

The ranges are wider than what twelve healthy agents gave: v1's two presets in the small sizes of `subject.small`, in the
three worlds of the patients, two seeds each, after 600 steps. In another world, or after another time, a healthy agent may lie outside.
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from dreamer_core import imagine
from dreamer_core.agent import Dreamer
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, numbers_reading
from dreamer_core.clinic.subject import Subject
from dreamer_core.viz.calibration import calibration_figure, coverage
from dreamer_core.viz.dream import Episode
from dreamer_core.viz.error_growth import Growth, error_growth, error_growth_figure
from dreamer_core.viz.show import GREY, PURPLE, describe

EMPTY = "This agent has an empty replay buffer (a saved agent keeps none), so there are no rows to compare with."
ENOUGH = 64  # rows of experience
AHEAD = 5  # steps dreamt

CALIBRATION_SAYS = {
    "within one": "share of z that lies within one standard deviation of its prior's mean (0.683 if the prior is right)",
    "within two": "share within two (0.954 if the prior is right)",
}
CALIBRATION_HEALTHY: dict[str, Range] = {"within one": (0.55, 0.85), "within two": (0.85, 1.0)}


def measure_calibration(subject: Subject) -> Reading:
    """Does z of the posterior fall where the prior said, a row before it was seen?"""
    agent = subject.agent()
    if len(agent.replay) < ENOUGH:
        return numbers_reading(CALIBRATION_SAYS, CALIBRATION_HEALTHY, {}, (EMPTY,))
    if agent.config.model.latent != "gaussian":
        return numbers_reading(CALIBRATION_SAYS, CALIBRATION_HEALTHY, {}, ("Only a Gaussian z has standard deviations to count in.",))
    with apart(subject), torch.no_grad():
        window = agent.replay.sample(128, min(16, len(agent.replay)))
        beliefs = agent.model.observe(window)
        inside = window.first[:, 1:] == 0
        mean, raw = agent.model.rssm.prior(beliefs.h[:, 1:][inside]).chunk(2, -1)
        z = beliefs.z[:, 1:][inside]
    mean, std, z = mean.flatten(), (F.softplus(raw) + agent.config.model.min_std).flatten(), z.flatten()
    within = coverage(mean, std, z, torch.tensor([1.0, 2.0]))
    numbers = {"within one": float(within[0]), "within two": float(within[1])}
    reading = numbers_reading(CALIBRATION_SAYS, CALIBRATION_HEALTHY, numbers)
    return reading._replace(figure=lambda: calibration_figure({"z under its prior": (mean, std)}, z))


FORESIGHT_SAYS = {
    "one step": "error of a dream of one step, over that of 'nothing changes'",
    "five steps": "the same for five steps",
    "seeing": "error of decoding what is seen, over that of 'nothing changes' for five steps",
}
FORESIGHT_HEALTHY: dict[str, Range] = {"one step": (0.0, 3.0), "five steps": (0.0, 2.0), "seeing": (0.0, 0.8)}


def segments(agent: Dreamer, rows: int) -> list[Episode]:
    """Stretches of so many rows of one episode each out of the buffer, at most 40, spread evenly; row 0 brings no reward."""
    replay = agent.replay
    starts = []
    for start in range(replay.count - len(replay), replay.count - rows + 1, rows):
        at = torch.arange(start, start + rows)
        if not replay.read("first", at[1:]).any():
            starts.append(at)
    chosen = [starts[n] for n in np.unique(np.linspace(0, len(starts) - 1, min(40, len(starts))).round().astype(int))]
    parts = [(replay.read("observation", at), replay.read("action", at[:-1]), replay.read("reward", at[1:])) for at in chosen]
    return [Episode(*(part.numpy() for part in each)) for each in parts]


def measure_foresight(subject: Subject) -> Reading:
    """Dream along recorded actions from rows in the middle of recorded episodes."""
    agent = subject.agent()
    rows = 16 + AHEAD
    found = segments(agent, rows) if len(agent.replay) >= rows and len(agent.model.shape) == 1 else []
    if not found:
        why = EMPTY if len(agent.model.shape) == 1 else "Dreams of pictures are not compared entry by entry."
        return numbers_reading(FORESIGHT_SAYS, FORESIGHT_HEALTHY, {}, (why,))
    with apart(subject):
        growth: Growth = error_growth(agent, found, [8, 11, 15], AHEAD, 16)
    dream, still, seen = (np.median(part, 0) for part in growth)
    numbers = {"one step": dream[1] / still[1], "five steps": dream[AHEAD] / still[AHEAD], "seeing": seen[AHEAD] / still[AHEAD]}
    numbers = {name: float(value) for name, value in numbers.items()}
    reading = numbers_reading(FORESIGHT_SAYS, FORESIGHT_HEALTHY, numbers)
    return reading._replace(figure=lambda: error_growth_figure(growth))


FROZEN_SAYS = {
    "bias": "mean of the critic's value minus the discounted sum of the dream, in spreads of those sums",
    "correlation": "correlation of both over start states",
}
FROZEN_HEALTHY: dict[str, Range] = {"bias": (-4.0, 12.0), "correlation": (0.3, 1.0)}  # values start from hope, so short runs lie above
STARTS, DREAMS, LONGEST = 64, 8, 150


def measure_frozen(subject: Subject) -> Reading:
    """The critic's value of states in the buffer beside what long dreams from there add up to, with everything held still."""
    agent = subject.agent()
    if len(agent.replay) < ENOUGH:
        return numbers_reading(FROZEN_SAYS, FROZEN_HEALTHY, {}, (EMPTY,))
    with apart(subject), torch.no_grad():
        valued, summed = value_and_sum(agent)
    spread = max(float(summed.std()), 1e-6)
    numbers = {"bias": float((valued - summed).mean()) / spread, "correlation": float(np.corrcoef(valued, summed)[0, 1])}
    reading = numbers_reading(FROZEN_SAYS, FROZEN_HEALTHY, numbers)
    return reading._replace(figure=lambda: frozen_figure(valued, summed))


def value_and_sum(agent: Dreamer) -> tuple[Tensor, Tensor]:
    """Of states in the buffer: what the critic says of the dreams that leave them, and what these add up to: (STARTS,) each."""
    config, model, parts = agent.config, agent.model, agent.sac
    window, beliefs = agent.look_back()
    alive = window.terminal[:, -1] == 0
    h, z = (part[alive][:STARTS, -1].repeat_interleave(DREAMS, 0) for part in (beliefs.h, beliefs.z))
    own = config.actor_critic == "dreamerv3"
    gamma = parts.discount if own else config.sac.gamma
    steps = LONGEST if gamma >= 1 else min(LONGEST, math.ceil(math.log(0.02) / math.log(gamma))) if gamma > 0 else 1
    dream = imagine.imagine(model, parts.actor, h, z, torch.ones(len(h)), steps)
    discount = parts.dream_discount if own else gamma
    if own:
        value = parts.value(dream.state)  # (N, L + 1)
        bonus = torch.zeros_like(value)
    else:
        value = parts.q_target(dream.state[:, :-1], torch.tanh(dream.pre_tanh)).amin(0)  # (N, L), of the actions taken
        bonus = -parts.alpha * float(config.sac.soft) * parts.actor.log_prob(dream.state[:, :-1], dream.pre_tanh)
    total = value[:, -1]
    for t in reversed(range(value.shape[1] - 1)):
        total = dream.reward[:, t] + discount * dream.cont[:, t] * (bonus[:, t + 1] + total)
    return value[:, 0].unflatten(0, (-1, DREAMS)).mean(1), total.unflatten(0, (-1, DREAMS)).mean(1)


def frozen_figure(valued: Tensor, summed: Tensor) -> Figure:
    """The critic's value against the sum of the dream, one point for each start."""
    figure, axis = plt.subplots(figsize=(5.2, 4.4), layout="constrained")
    ends = [float(min(valued.min(), summed.min())), float(max(valued.max(), summed.max()))]
    axis.plot(ends, ends, color=GREY, linestyle="--", linewidth=1, label="value = sum")
    axis.scatter(summed, valued, color=PURPLE, s=18, alpha=0.7, linewidth=0, label=f"{len(valued)} states")
    axis.set(xlabel="discounted sum of the dreams", ylabel="value that the critic promises")
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", fontsize=9, ncols=2)
    return describe(
        figure,
        alt=f"The critic's value against the discounted sum of long dreams, for {len(valued)} states; on average the value is "
        f"{float((valued - summed).mean()):+.2f} away from the sum.",
        caption="The dream is held still, so the sum is what the value should be. Above the line the critic promises more than the "
        "dream pays.",
    )


CALIBRATION = Instrument(
    name="calibration",
    quick=True,
    sentence="Where z of the posterior falls in what the prior foretold a row before: does the prior promise the right width?",
    excludes="a prior that is far too sure or was never trained",
    cannot="which of many reasons made it so; a number within the range may still be wrong by a little",
    measure=measure_calibration,
)
FORESIGHT = Instrument(
    name="foresight",
    quick=True,
    sentence="Dreams along recorded actions beside what really came, and beside the guess that nothing changes.",
    excludes="a world model that does not foretell",
    cannot="why it does not: too little training looks like a fault",
    measure=measure_foresight,
)
FROZEN = Instrument(
    name="frozen",
    quick=True,
    sentence="The critic's value beside what long dreams add up to, with model, actor and critics held still.",
    excludes="a critic that is far from the dream it learns from",
    cannot="whether the dream is true; a critic that is still learning lags behind",
    measure=measure_frozen,
)

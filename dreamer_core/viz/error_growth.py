"""How fast a dream goes wrong: its error against how far it looks ahead."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.viz.dream import Episode, believe, dream_on, following
from dreamer_core.viz.show import COLOURS, GREY, describe


class Growth(NamedTuple):
    """Errors k = 0 .. L steps after the last row shown, from N starts."""

    dream: np.ndarray  # (N, L + 1), of the mean dream
    persistence: np.ndarray  # (N, L + 1), of "nothing will change"
    posterior: np.ndarray  # (N, L + 1), of the model that goes on seeing: what decoding alone costs


def rms_error(prediction: np.ndarray, real: np.ndarray | float, scale: np.ndarray) -> np.ndarray:
    """Root mean square over the entries of an observation, each in its unit: (..., O), (..., O), (O,) -> (...)."""
    return np.sqrt(np.square((prediction - real) / scale).mean(-1))


@torch.no_grad()
def error_growth(agent: Dreamer, episodes: Sequence[Episode], starts: Sequence[int], steps: int, count: int) -> Growth:
    """Dream from every start in every episode, with the actions that were really taken.

    Errors are in the model's units, about one standard deviation of what the random steps saw, so
    that an angle and a velocity can be averaged. A prediction is the mean of `count` dreams, or of as many runs with open eyes.

    Raises:
        ValueError: a dream would go past the end of its episode.
    """
    model, found = agent.model, []
    rows = np.array(starts)[:, None] + np.arange(steps + 1)  # (S, L + 1)
    for episode in episodes:
        action = following(episode, starts, steps)
        beliefs = believe(agent, episode, count)
        dreamt = model.decode(dream_on(agent, beliefs, starts, steps, action)).mean(0).numpy()  # (S, L + 1, O)
        seen, real = model.decode(beliefs.features).mean(0).numpy()[rows], episode.observation[rows]
        found.append([rms_error(guess, real, model.scale.numpy()) for guess in (dreamt, real[:, :1], seen)])
    return Growth(*np.concatenate(found, 1))


def overtaken(growth: Growth) -> int | None:
    """The first horizon at which the median dream, having been better than persistence, no longer is; None if it never is or stays so."""
    better = np.median(growth.dream, 0) < np.median(growth.persistence, 0)
    lost = np.flatnonzero(better[:-1] & ~better[1:])
    return int(lost[0]) + 1 if len(lost) else None


def error_growth_figure(growth: Growth, title: str = "") -> Figure:
    """Median error against the horizon, with the middle half of the starts as a band."""
    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    horizon = np.arange(growth.dream.shape[1])
    lines = [("dream (prior)", growth.dream, COLOURS["dream"], "-"), ("nothing changes", growth.persistence, GREY, "--")]
    lines.append(("goes on seeing (posterior)", growth.posterior, COLOURS["posterior"], ":"))
    for label, errors, colour, style in lines:
        low, middle, high = np.quantile(errors, [0.25, 0.5, 0.75], axis=0)
        axis.fill_between(horizon, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(horizon, middle, color=colour, linestyle=style, linewidth=2, label=label)
    crossing = overtaken(growth)
    if crossing is not None:
        axis.axvline(crossing, color="black", linewidth=1, linestyle="-.", label=f"no better than no change: {crossing} steps")
    axis.set(xlabel="steps after the last observation", ylabel="error (standard deviations)", title=title)
    axis.set(xlim=(0, len(horizon) - 1), ylim=(0, None))
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", fontsize=9, ncols=2)
    last = {label: np.median(errors[:, -1]) for label, errors, *_ in lines}
    return describe(
        figure,
        alt=f"Error against horizon, median of {len(growth.dream)} starts; after {horizon[-1]} steps: "
        + ", ".join(f"{label} {value:.2f}" for label, value in last.items())
        + " standard deviations.",
        caption="A dream is worth something where its error lies below 'nothing changes'. Bands hold the middle half of "
        f"{len(growth.dream)} starts.",
    )

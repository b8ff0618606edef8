"""The same dream by one agent at several ages: what learning has changed in its model."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dreamer_core import checkpoint
from dreamer_core.agent import Dreamer
from dreamer_core.errors import CheckpointError, DreamerError
from dreamer_core.viz.dream import BAND, MARGIN, Episode, departure, dream
from dreamer_core.viz.show import BLUE, ORANGE, RED, check_names, describe

MOST = 6  # ages beside one another in one figure


def agents_of(folder: Path | str) -> dict[int, Dreamer]:
    """The agents that a run with the setting `keep_agents` has kept: environment steps -> agent, youngest first.

    Raises:
        CheckpointError: it has kept none, or one of them is damaged.
    """
    kept = checkpoint.kept_agents(Path(folder))
    if not kept:
        raise CheckpointError(f"{folder} keeps no agents of several ages: make a run with --keep-agents, for instance --keep-agents 200")
    return {step: Dreamer.load(path) for step, path in kept.items()}


def dreams_by_age(agents: Mapping[int, Dreamer], episode: Episode, start: int, steps: int, count: int) -> dict[int, np.ndarray]:
    """Each agent watches the episode up to row `start` and then dreams on, given the same recorded actions: age -> (count, steps + 1, O).

    Raises:
        ValueError: the episode is too short.
    """
    return {age: dream(agent, episode, start, steps, count, act=False) for age, agent in agents.items()}


def ages_figure(real: np.ndarray, dreams: Mapping[int, np.ndarray], start: int, names: Sequence[str], title: str = "") -> Figure:
    """A column for each age, a row for each observation; the step at which a dream departs is marked.

    Args:
        real: (T, O), what happened.
        dreams: age in environment steps -> (K, L, O), dreams of rows start .. start + L - 1.
        names: O axis labels.

    Raises:
        DreamerError: no agent, or more than fit beside one another, or the names are not as many as the observations.
    """
    check_names(names, real.shape[-1])
    if not 1 <= len(dreams) <= MOST:
        raise DreamerError(f"{len(dreams)} ages cannot be shown beside one another: choose 1 to {MOST} of them")
    size = (1.6 + 2.1 * len(dreams), 1.5 * len(names) + 1.0)
    figure, axes = plt.subplots(len(names), len(dreams), figsize=size, sharex=True, sharey="row", layout="constrained", squeeze=False)
    told = []
    for column, (age, dreamt) in zip(axes.T, dreams.items()):
        low, middle, high = np.quantile(dreamt, BAND, axis=0)
        happened = real[start : start + len(low)]
        both, steps = len(happened), np.arange(len(low))
        gone = departure(happened, low[:both], high[:both], MARGIN * np.ptp(real, 0))
        told.append(f"{age:,} steps: " + (f"departs after {gone}" if gone is not None else "does not depart"))
        for number, axis in enumerate(column):
            axis.fill_between(steps, low[:, number], high[:, number], color=ORANGE, alpha=0.3, linewidth=0, label="90 % of dreams")
            axis.plot(steps, middle[:, number], color=ORANGE, linewidth=2, label="median dream")
            axis.plot(happened[:, number], color=BLUE, linewidth=1.5, label="real")
            if gone is not None:
                axis.axvline(gone, color=RED, linestyle="--", linewidth=1.3, label="departs")
            axis.grid(alpha=0.25)
        column[0].set_title(f"{age:,} steps old", fontsize=10)
    for axis, name in zip(axes[:, 0], names):
        axis.set_ylabel(name)
    for axis in axes[-1]:
        axis.set(xlabel="steps dreamt", xlim=(0, len(low) - 1))
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True, prune="upper"))  # or it would run into the next column's first number
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=9, ncols=4)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return describe(
        figure,
        alt=f"The same dream by one agent at {len(dreams)} ages, {', '.join(names)} against the steps dreamt. {'; '.join(told)}.",
        caption="From left to right the agent grows older; what it watched before and the actions are the same for all. A narrow orange "
        "band away from the blue line is a model that is sure and wrong; a wide one knows that it does not know.",
    )

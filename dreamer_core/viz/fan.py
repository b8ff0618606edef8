"""A fan of futures: one state, several courses of action, many dreams of each."""

from collections.abc import Mapping, Sequence

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.viz.dream import BAND, Episode, act_out, believe, dream_on
from dreamer_core.viz.show import GREY, PURPLE, RED, beside, check_names, describe, stack

COLOURS = [RED, PURPLE, GREY, "black"]  # of courses of action, so not those of real, posterior and dream


@torch.no_grad()
def fan(agent: Dreamer, episode: Episode, start: int, branches: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """Dreams of each branch from row `start`, decoded: name -> (count, L + 1, O).

    Args:
        branches: name -> actions (L, A) in [-1, 1].
    """
    beliefs = believe(agent, episode, count)
    return {
        name: agent.model.decode(dream_on(agent, beliefs, [start], len(action), action[None])[:, 0]).numpy()
        for name, action in branches.items()
    }


def real_futures(
    env: gym.Env, seed: int, episode: Episode, start: int, branches: Mapping[str, np.ndarray], age: int = 0
) -> dict[str, np.ndarray]:
    """What the real environment does on each branch: name -> (L + 1, O).

    The environment is brought to row `start` by repeating the episode from its reset seed (and `age`,
    where the world changes with it), which works wherever these and the actions decide everything.
    """
    return {
        name: act_out(env, seed, np.concatenate([episode.action[:start], action]), age).observation[start:]
        for name, action in branches.items()
    }


def fan_figure(
    dreams: Mapping[str, np.ndarray], names: Sequence[str], real: Mapping[str, np.ndarray] | None = None, title: str = ""
) -> Figure:
    """A band and a median for each branch, one panel for each observation.

    Args:
        dreams: branch -> (K, L + 1, O).
        names: O axis labels, such as those of the world's drawing (`drawing(config).labels`).
        real: branch -> (L + 1, O), what truly follows; drawn dotted.

    Raises:
        ValueError: more branches than there are colours. DreamerError: the names are not as many as the observations.
    """
    check_names(names, next(iter(dreams.values())).shape[-1])
    if len(dreams) > len(COLOURS):
        raise ValueError(f"{len(dreams)} branches cannot be told apart in one figure: draw at most {len(COLOURS)}")
    real = real or {}
    figure, axes = stack(len(names), 1.7, "steps after the branch")
    for (branch, dreamt), colour in zip(dreams.items(), COLOURS):
        low, middle, high = np.quantile(dreamt, BAND, axis=0)
        for number, axis in enumerate(axes):
            axis.fill_between(np.arange(len(low)), low[:, number], high[:, number], color=colour, alpha=0.2, linewidth=0)
            axis.plot(middle[:, number], color=colour, linewidth=2, label=branch)
            if branch in real:
                axis.plot(real[branch][:, number], color=colour, linewidth=1.8, linestyle=":")
    for axis, name in zip(axes, names):
        axis.set_ylabel(beside(name))
        axis.grid(alpha=0.25)
    handles, labels = axes[0].get_legend_handles_labels()
    if real:
        handles.append(plt.Line2D([], [], color="black", linestyle=":", linewidth=1.8))
        labels.append("what truly follows")
    figure.legend(handles, labels, loc="outside lower center", fontsize=9, ncols=len(labels))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    count, length, _ = next(iter(dreams.values())).shape
    axes[-1].set(xlim=(0, length - 1))
    ends = "; ".join(f"{branch}: {', '.join(f'{value:.2g}' for value in np.median(dreamt[:, -1], 0))}" for branch, dreamt in dreams.items())
    return describe(
        figure,
        alt=f"{len(dreams)} imagined futures of {length - 1} steps from one state, by what is done ({', '.join(dreams)}). "
        f"Median of {', '.join(names)} at the end: {ends}.",
        caption=f"One state, {len(dreams)} courses of action, {count} dreams of each: the line is their median, the band holds 90 %."
        + (" Dotted: what the real environment does." if real else ""),
    )

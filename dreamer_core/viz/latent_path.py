"""The way of a dream through the map of latent states, beside the way of the belief that goes on watching."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.viz.dream import BAND, MARGIN, PATIENCE, Episode, believe, departure, dream_on, following
from dreamer_core.viz.latent_map import principal_axes
from dreamer_core.viz.show import BLUE, GREY, ORANGE, RED, describe


class LatentPath(NamedTuple):
    """Two ways through h or z from the same state, seen along two directions of largest variance."""

    ground: np.ndarray  # (N, 2), rows of other episodes, which the directions were fitted on
    real: np.ndarray  # (L + 1, 2), the belief that sees every row, mean of K filterings
    dreams: np.ndarray  # (K, L + 1, 2)
    share: np.ndarray  # (2,), of the variance of `ground` along each direction

    @property
    def parted(self) -> int | None:
        """The step from which the belief stays outside the band of the dreams for some steps, as in `dream.departure`; None if never."""
        low, _, high = np.quantile(self.dreams, BAND, axis=0)
        return departure(self.real, low, high, MARGIN * np.ptp(self.ground, 0))

    @property
    def typical(self) -> int:
        """The dream that lies nearest to all others, step by step: one that was dreamt, where a median of dreams that differ is none."""
        apart = np.linalg.norm(self.dreams[:, None] - self.dreams[None], axis=-1)  # (K, K, L + 1)
        return int(apart.mean((1, 2)).argmin())


@torch.no_grad()
def latent_path(
    agent: Dreamer, others: Sequence[Episode], episode: Episode, start: int, steps: int, count: int = 32, part: str = "h"
) -> LatentPath:
    """Dream `count` times from row `start`, with the recorded actions, and watch the same rows besides.

    Args:
        others: episodes that show where the latent can be; the directions are fitted on them. part: "h" or "z".

    Raises:
        ValueError: the episode is too short, or there is no such part.
    """
    if part not in ("h", "z"):
        raise ValueError(f"a latent state has no part {part!r}: choose h or z")
    ground = np.concatenate([getattr(believe(agent, other), part)[0].numpy() for other in others])
    directions, share = principal_axes(ground)
    beliefs = believe(agent, episode, count)
    dreamt = dream_on(agent, beliefs, [start], steps, following(episode, [start], steps))[:, 0]  # (K, L + 1, F)
    deter = agent.model.rssm.deter
    dreamt = dreamt[..., :deter] if part == "h" else dreamt[..., deter:]
    watched = getattr(beliefs, part)[:, start : start + steps + 1].mean(0)
    flat = [(x - ground.mean(0)) @ directions for x in (ground, watched.numpy(), dreamt.numpy())]
    return LatentPath(*flat, share)


def latent_path_figure(paths: Mapping[str, LatentPath], title: str = "") -> Figure:
    """One map for each part of the state: where the latent can be, the dream's way, the belief's way, and where they part.

    Args:
        paths: "h" or "z" -> its path.
    """
    figure, axes = plt.subplots(1, len(paths), figsize=(5.4 * len(paths), 5.0), layout="constrained", squeeze=False)
    told = []
    for axis, (name, path) in zip(axes[0], paths.items()):
        typical = path.dreams[path.typical]
        axis.plot(*path.ground.T, ".", color=GREY, markersize=2, alpha=0.3, zorder=1, label="rows of other episodes")
        for single in path.dreams:
            axis.plot(*single.T, color=ORANGE, linewidth=0.5, alpha=0.35, zorder=2)
        axis.plot(*typical.T, color=ORANGE, linewidth=2, marker="o", markersize=3, zorder=3, label="a typical dream (thin: the others)")
        axis.plot(*path.real.T, color=BLUE, linewidth=2, marker="o", markersize=3, zorder=4, label="belief that watches")
        axis.plot(*path.real[0], "s", color="black", fillstyle="none", markersize=11, markeredgewidth=2, zorder=5, label="the eyes close")
        steps = len(path.real) - 1
        if path.parted is not None:
            ends = np.stack([path.real[path.parted], typical[path.parted]])
            axis.plot(*ends.T, color=RED, linewidth=1.6, marker="D", markersize=6, zorder=6, label="here they part")
        told.append(
            f"in {name} " + (f"they part after {path.parted} steps" if path.parted is not None else f"they do not part in {steps} steps")
        )
        axis.set(xlabel=f"{name}, direction 1 ({path.share[0]:.0%})", ylabel=f"{name}, direction 2 ({path.share[1]:.0%})")
        axis.set_title(told[-1], fontsize=10)
    handles = {label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=9, ncols=2 if len(paths) == 1 else 3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return describe(
        figure,
        alt=f"Paths through the latent state along its two directions of largest variance, one of a dream and one of the belief that goes "
        f"on watching, for {steps} steps from the same state: {'; '.join(told)}.",
        caption=f"Grey: where the latent has been in other episodes. The same actions lead both ways. They part where the blue path stays "
        f"outside 90 % of {len(path.dreams)} dreams for {PATIENCE} steps. Percentages: share of the variance.",
    )

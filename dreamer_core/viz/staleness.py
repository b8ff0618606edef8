"""How old the states in the replay buffer are, and how wrong that makes them."""

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.errors import NotEnoughData
from dreamer_core.viz.show import BLUE, ORANGE, describe


class Staleness(NamedTuple):
    """The stored h of R rows, oldest first, held against what the model says now."""

    row: np.ndarray  # (R,), row number
    age: np.ndarray  # (R,), gradient steps since it was computed
    error: np.ndarray  # (R,), relative L2 distance to h re-run from the episode's start
    floor: np.ndarray  # (R,), the same distance between two re-runs: what the sampling of z alone does
    left_out: int  # oldest rows whose episode start was overwritten, so that nothing can be re-run


def relative_l2(stored: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """||stored - fresh|| / ||fresh||, rows of (R, D) -> (R,); 0 where both are 0, as in an episode's first row."""
    distance, size = np.linalg.norm(stored - fresh, axis=-1), np.linalg.norm(fresh, axis=-1)
    return np.divide(distance, size, out=np.where(distance > 0, np.inf, 0.0).astype(distance.dtype), where=size > 0)


@torch.no_grad()
def staleness(agent: Dreamer) -> Staleness:
    """Re-run every episode in the buffer through today's model, twice, and compare with what is stored.

    Raises:
        NotEnoughData: the buffer holds no episode from its start.
    """
    replay = agent.replay
    index = torch.arange(replay.count - len(replay), replay.count)
    starts = replay.data["first"][index % replay.config.capacity].nonzero()
    if len(starts) == 0:
        raise NotEnoughData("the replay buffer holds no episode from its first row on, so nothing can be re-run: use a larger capacity")
    left_out = int(starts[0])
    # One long window: the `first` flags start h anew at each episode.
    window = replay.window(index[left_out : left_out + 1], len(index) - left_out)
    stored = replay.data["h"][window.index[0] % replay.config.capacity].cpu().numpy()
    fresh, again = (agent.model.observe(window).h[0].cpu().numpy() for _ in range(2))
    age = replay.age(agent.grad_steps)[left_out:].cpu().numpy()
    return Staleness(window.index[0].numpy(), age, relative_l2(stored, fresh), relative_l2(again, fresh), left_out)


def staleness_figure(runs: Mapping[str, Staleness], title: str = "") -> Figure:
    """One column for each run: age (above) and error (below) of every row, oldest first.

    Args:
        runs: name, such as the layout of the buffer -> what `staleness` found.
    """
    figure, axes = plt.subplots(
        2, len(runs), figsize=(4.6 * len(runs) + 0.6, 4.8), sharex="col", sharey="row", layout="constrained", squeeze=False
    )
    for (above, below), (name, found) in zip(axes.T, runs.items()):
        above.plot(found.row, found.age, ".", color=BLUE, markersize=2)
        above.set_title(name, fontsize=10)
        below.plot(found.row, found.error, ".", color=BLUE, markersize=2, label="stored h")
        below.axhline(np.median(found.floor), color=ORANGE, linewidth=2, label="sampling of z alone (median)")
        below.set_title(f"median {np.median(found.error):.2f}, sampling of z alone {np.median(found.floor):.2f}", fontsize=9)
        below.set_xlabel("row of the buffer, oldest first")
        for axis in (above, below):
            axis.grid(alpha=0.25)
    axes[0, 0].set_yscale("symlog", linthresh=10)  # most rows are young, a few as old as the run
    axes[0, 0].set(ylabel="age (gradient steps)", ylim=(0, 2 * max(10, *(found.age.max() for found in runs.values()))))
    axes[1, 0].set(ylabel="relative L2 error of h", ylim=(0, None))
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=2, markerscale=4)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    told = "; ".join(
        f"{name}: median age {np.median(found.age):.0f} steps, median error {np.median(found.error):.2f}, worst tenth above "
        f"{np.quantile(found.error, 0.9):.2f}, floor {np.median(found.floor):.2f}"
        for name, found in runs.items()
    )
    left = ", ".join(f"{found.left_out} ({name})" for name, found in runs.items() if found.left_out)
    return describe(
        figure,
        alt=f"Age and error of the stored recurrent states. {told}.",
        caption="Error: distance of a stored h to h re-run from its episode's start with today's model, relative to its length. The orange "
        "line is the distance of two re-runs, so nothing can lie below it for long."
        + (f" Not shown: rows whose episode start was overwritten, {left}." if left else ""),
    )

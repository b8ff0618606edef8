"""How old the states in the replay buffer are, how wrong that makes them, and what it does to training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dreamer_core.agent import Dreamer
from dreamer_core.errors import NotEnoughData
from dreamer_core.replay import Window
from dreamer_core.viz.dream import Episode
from dreamer_core.viz.show import RED, describe


class Staleness(NamedTuple):
    """The stored h of R rows, oldest first, held against what the model says now."""

    row: np.ndarray  # (R,), row number
    age: np.ndarray  # (R,), gradient steps since it was computed
    error: np.ndarray  # (R,), relative L2 distance to h re-run from the episode's start
    floor: np.ndarray  # (R,), the same distance between two re-runs: what the sampling of z alone does
    left_out: int  # oldest rows whose episode start was overwritten, so that nothing can be re-run


def relative_l2(stored: Tensor, fresh: Tensor) -> Tensor:
    """||stored - fresh|| / ||fresh||, rows of (R, D) -> (R,); 0 where both are 0, as in an episode's first row."""
    distance, size = (stored - fresh).norm(dim=-1), fresh.norm(dim=-1)
    return torch.where(distance > 0, distance / size, 0.0)


class Rerun(NamedTuple):
    """The R rows of the buffer whose episode is stored from its start, oldest first."""

    row: Tensor  # (R,), row number
    stored: Tensor  # (R, D), the h in the buffer
    fresh: Tensor  # (R, D), h re-run from the episode's start with today's model
    again: Tensor  # (R, D), the same with other samples of z


@torch.no_grad()
def rerun(agent: Dreamer) -> Rerun:
    """Filter every episode in the buffer again from its first row, twice.

    Raises:
        NotEnoughData: the buffer holds no episode from its start.
    """
    replay = agent.replay
    index = torch.arange(replay.count - len(replay), replay.count)
    starts = replay.read("first", index).nonzero()
    if len(starts) == 0:
        raise NotEnoughData("the replay buffer holds no episode from its first row on, so nothing can be re-run: use a larger capacity")
    left_out = int(starts[0])
    # One long window: the `first` flags start h anew at each episode.
    window = replay.window(index[left_out : left_out + 1], len(index) - left_out)
    stored = replay.read("h", window.index[0])
    return Rerun(window.index[0], stored, *(agent.model.observe(window).h[0] for _ in range(2)))


def staleness(agent: Dreamer) -> Staleness:
    """Compare what is stored with a re-run of every episode through today's model.

    Raises:
        NotEnoughData: the buffer holds no episode from its start.
    """
    found = rerun(agent)
    left_out = len(agent.replay) - len(found.row)
    age = agent.replay.age(agent.grad_steps)[left_out:]
    error, floor = relative_l2(found.stored, found.fresh), relative_l2(found.again, found.fresh)
    return Staleness(*(part.cpu().numpy() for part in (found.row, age, error, floor)), left_out)


@torch.no_grad()
def kl_by_row(agent: Dreamer, window: Window) -> np.ndarray:
    """KL[q || p] in nats at every row of B windows: (B, T). Where a window starts from a wrong h, its first rows show it."""
    beliefs = agent.model.observe(window)
    rssm = agent.model.rssm
    return rssm.latent.kl(beliefs.posterior, rssm.prior(beliefs.h)).cpu().numpy()


def live_through(agent: Dreamer, episodes: Sequence[Episode]) -> Iterator[dict[str, Tensor]]:
    """Let an agent live through recorded episodes: it believes, remembers and learns as in training, but others chose the actions.

    So agents that differ in one setting can be given the same experience. Set `schedule.pretrain_both`
    and `schedule.agent_updates` to 0 for a world model without actor and critics.

    Yields:
        The metrics of each round of learning.
    """
    for episode in episodes:
        carry, last = agent.initial(1), len(episode.action)
        for t, observation in enumerate(torch.from_numpy(episode.observation)):
            carry = agent.live(carry, observation, float(episode.reward[t - 1]) if t else 0.0, t == 0, False)
            if t < last:
                carry = carry._replace(action=torch.from_numpy(episode.action[t : t + 1]))
                agent.replay.set_action(carry.action[0])
            metrics = agent.learn_after(agent.replay.count)
            if metrics:
                yield metrics


def staleness_figure(runs: Mapping[str, Staleness], title: str = "") -> Figure:
    """One column for each run: age (above) and error (below) of every row, oldest first.

    Args:
        runs: name, such as the layout of the buffer -> what `staleness` found.
    """
    figure, axes = plt.subplots(
        2, len(runs), figsize=(4.6 * len(runs) + 0.6, 4.8), sharex="col", sharey="row", layout="constrained", squeeze=False
    )
    for (above, below), (name, found) in zip(axes.T, runs.items()):
        above.plot(found.row, found.age, ".", color="black", markersize=2)
        above.set_title(name, fontsize=10)
        below.plot(found.row, found.error, ".", color="black", markersize=2, label="stored h")
        below.axhline(np.median(found.floor), color=RED, linewidth=2, label="sampling of z alone (median)")
        below.set_title(f"median {np.median(found.error):.2f}, sampling of z alone {np.median(found.floor):.2f}", fontsize=9)
        below.set_xlabel("row of the buffer, oldest first")
        for axis in (above, below):
            axis.grid(alpha=0.25)
    axes[0, 0].set_yscale("symlog", linthresh=10)  # most rows are young, a few as old as the run
    axes[0, 0].set(ylabel="age (updates)", ylim=(0, 2 * max(10, *(found.age.max() for found in runs.values()))))
    axes[1, 0].set(ylabel="relative L2 error of h", ylim=(0, None))
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=2, markerscale=4)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    told = "; ".join(
        f"{name}: median age {np.median(found.age):.0f} updates, median error {np.median(found.error):.2f}, worst tenth above "
        f"{np.quantile(found.error, 0.9):.2f}, floor {np.median(found.floor):.2f}"
        for name, found in runs.items()
    )
    left = ", ".join(f"{found.left_out} ({name})" for name, found in runs.items() if found.left_out)
    return describe(
        figure,
        alt=f"Age and error of the stored recurrent states. {told}.",
        caption="Error: distance of a stored h to h re-run from its episode's start with today's model, relative to its length. The red "
        "line is the distance of two re-runs, so nothing can lie below it for long."
        + (f" Not shown: rows whose episode start was overwritten, {left}." if left else ""),
    )

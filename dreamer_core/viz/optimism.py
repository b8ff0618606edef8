"""Does the agent get what it imagines? Its imagined return beside the real one.

An agent that trains in its model may learn to please the model: it steers to states of which the
model has too high an opinion. Then the imagined return exceeds the real one.
"""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.returns import alive_weight
from dreamer_core.trainer import AsMeasured
from dreamer_core.viz.dream import Episode, believe, dream_on, following
from dreamer_core.viz.show import COLOURS, GREY, PURPLE, describe


class Returns(NamedTuple):
    """The rewards of the next L steps, summed without discount, in the world's own units, from N starts."""

    imagined: np.ndarray  # (N,), mean of many dreams
    real: np.ndarray  # (N,)

    @property
    def gap(self) -> float:
        """Mean of imagined minus real: above 0 the agent expects too much."""
        return float((self.imagined - self.real).mean())


@torch.no_grad()
def imagined_and_real(agent: Dreamer, episodes: Sequence[Episode], starts: Sequence[int], steps: int, count: int) -> Returns:
    """What the agent expects to collect in `steps` steps from each start, and what it did collect.

    The agent acts deterministically in its dreams, as it did in the `episodes`, which `play` must
    have made with the same agent. A reward counts as far as the dream is expected to be running still.

    Raises:
        ValueError: an episode is too short for a start.
    """
    model, wrappers = AsMeasured(agent.model, 0.0), agent.config.wrappers
    imagined, real = [], []
    for episode in episodes:
        following(episode, starts, steps)  # refuses starts too near to the end
        reached = dream_on(agent, believe(agent, episode, count), starts, steps)[:, :, 1:]  # (K, S, L, F)
        alive = alive_weight(torch.sigmoid(model.predict_continue(reached)).flatten(0, 1)).unflatten(0, reached.shape[:2])  # (K, S, L)
        reward = envs.own_reward(agent.in_world_units(model.predict_reward(reached)[0]), wrappers)  # (K, S, L)
        imagined.extend((alive * reward).sum(2).mean(0).tolist())
        real.extend(float(envs.own_reward(episode.reward[start : start + steps], wrappers).sum()) for start in starts)
    return Returns(np.array(imagined), np.array(real))


def optimism_figure(returns: Returns, steps: int, title: str = "") -> Figure:
    """Imagined against real return, one point for each start; on the diagonal the agent gets what it expects."""
    figure, axis = plt.subplots(figsize=(5.2, 4.6), layout="constrained")
    ends = [min(map(np.min, returns)), max(map(np.max, returns))]
    axis.plot(ends, ends, color="black", linewidth=1, linestyle="--", label="imagined = real")
    axis.scatter(returns.real, returns.imagined, color=PURPLE, s=18, alpha=0.7, linewidth=0, label=f"{len(returns.real)} starts")
    axis.set(xlabel=f"real reward of {steps} steps", ylabel=f"imagined reward of {steps} steps", title=title)
    axis.grid(alpha=0.25)
    words = dict(title=f"mean imagined - real: {returns.gap:+.1f}", title_fontsize=9)
    figure.legend(loc="outside lower center", fontsize=9, ncols=2, **words)
    return describe(
        figure,
        alt=f"Imagined against real reward of {steps} steps from {len(returns.real)} starts; imagined minus real is "
        f"{returns.gap:+.1f} on average, {(returns.imagined - returns.real).min():+.1f} to {(returns.imagined - returns.real).max():+.1f}.",
        caption="Points above the dashed line: the agent expects more than it gets, so it may be exploiting its model's mistakes.",
    )


def exploitation_figure(rows: Sequence[tuple[int, float, float]], title: str = "") -> Figure:
    """What an agent expects and what it gets, while it practises in a model that is not corrected.

    Args:
        rows: (rounds of practice, imagined return, real return), one for each evaluation.
    """
    practice, imagined, real = np.array(rows).T
    figure, axis = plt.subplots(figsize=(8, 3.8), layout="constrained")
    axis.fill_between(practice, real, imagined, color=GREY, alpha=0.15, linewidth=0, label="the gap")
    axis.plot(practice, imagined, color=COLOURS["dream"], marker="o", linewidth=2, label="imagined: what the agent expects")
    axis.plot(practice, real, color=COLOURS["real"], marker="s", linewidth=2, label="real: what it gets")
    axis.set(xlabel="dreams practised in (batches)", ylabel="mean return of an episode", title=title)
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", fontsize=9, ncols=3)
    return describe(
        figure,
        alt=f"Imagined and real return against practice. At the start {imagined[0]:.0f} and {real[0]:.0f}; at the end the agent "
        f"expects {imagined[-1]:.0f} and gets {real[-1]:.0f}.",
        caption="Both are means over the same start states. Where the orange line leaves the blue one, the actor has learned to please the "
        "model, not the world.",
    )

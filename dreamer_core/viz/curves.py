"""Learning curves: what was reached after how much experience."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.viz.show import BLUE, GREEN, GREY, ORANGE, PURPLE, RED

Run = Sequence[Sequence[float]]  # rows of (env_steps, ..., mean return); the last column is the return


def learning_curve(
    runs: Mapping[str, Sequence[Run]], live: Run = (), ceiling: float | None = None, steps: int | None = None, title: str = ""
) -> Figure:
    """Return against environment steps: thin lines are single seeds, thick lines their median.

    Args:
        runs: for each method, the runs of all its seeds; each run has rows (env_steps, return).
        live: a run in progress, rows (env_steps, return).
        ceiling: the best possible mean return, drawn as a line.
        steps: right end of the axis.
    """
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for (name, seeds), colour in zip(runs.items(), [BLUE, ORANGE, GREEN, PURPLE, GREY]):
        for run in seeds:
            axis.plot(*np.array(run).T, color=colour, linewidth=0.7, alpha=0.35)
        shared = sorted(set.intersection(*({row[0] for row in run} for run in seeds)))
        middle = [np.median([dict(map(tuple, run))[step] for run in seeds]) for step in shared]
        axis.plot(shared, middle, color=colour, linewidth=2.2, label=f"{name} (median of {len(seeds)} seeds)")
    if len(live):
        axis.plot(*np.array(live).T, color=RED, linewidth=2.2, marker="o", markersize=4, label="this run")
    if ceiling is not None:
        axis.axhline(ceiling, color="black", linestyle="--", linewidth=1, label=f"best possible ({ceiling:.0f})")
    axis.set(xlabel="environment steps", ylabel="mean return of 50 episodes", title=title, ylim=(-1750, 0))
    if steps is not None:
        axis.set_xlim(0, steps)
    axis.grid(alpha=0.25)
    axis.legend(loc="lower right", fontsize=9)
    return figure

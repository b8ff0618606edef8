"""Learning curves: what was reached after how much experience."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.viz.show import BLUE, GREY, ORANGE, PURPLE, RED, describe

Run = Sequence[Sequence[float]]  # rows of (env_steps, return)
COLOURS = [BLUE, PURPLE, GREY, "black", ORANGE]  # all of these returns are real


def median_curve(seeds: Sequence[Run]) -> np.ndarray:
    """Rows (env_steps, median return over the seeds), at the steps where every seed was measured: (M, 2)."""
    shared = sorted(set.intersection(*({row[0] for row in run} for run in seeds)))
    return np.array([(step, np.median([dict(map(tuple, run))[step] for run in seeds])) for step in shared]).reshape(-1, 2)


def of_seeds(number: int) -> str:
    """How to say what a line is made of."""
    return "1 seed" if number == 1 else f"median of {number} seeds"


def learning_curve(
    runs: Mapping[str, Sequence[Run]], live: Run = (), ceiling: float | None = None, steps: int | None = None, title: str = ""
) -> Figure:
    """Return against environment steps: thin lines are single seeds, thick lines their median.

    Args:
        runs: for each method, the runs of all its seeds; each run has rows (env_steps, return).
        live: a run in progress, rows (env_steps, return).
        ceiling: the best possible mean return, drawn as a line.
        steps: right end of the axis.

    Raises:
        ValueError: more methods than there are colours to tell them apart.
    """
    if len(runs) > len(COLOURS):
        raise ValueError(f"{len(runs)} methods cannot be told apart in one figure: draw at most {len(COLOURS)}")
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    reached = []
    for (name, seeds), colour in zip(runs.items(), COLOURS):
        for run in seeds:
            axis.plot(*np.array(run).T, color=colour, linewidth=0.7, alpha=0.35)
        middle = median_curve(seeds)
        axis.plot(*middle.T, color=colour, linewidth=2.2, label=f"{name} ({of_seeds(len(seeds))})")
        if len(middle):
            reached.append(f"{name} stands at {middle[-1, 1]:.0f} after {middle[-1, 0]:.0f} steps ({of_seeds(len(seeds))})")
    if len(live):
        axis.plot(*np.array(live).T, color=RED, linewidth=2.2, marker="o", markersize=4, label="this run")
        reached.append(f"this run stands at {live[-1][1]:.0f} after {live[-1][0]:.0f} steps")
    if ceiling is not None:
        axis.axhline(ceiling, color="black", linestyle="--", linewidth=1, label=f"best possible ({ceiling:.0f})")
        reached.append(f"the best possible return is {ceiling:.0f}")
    axis.set(xlabel="environment steps", ylabel="mean return of an evaluation", title=title)
    if steps is not None:
        axis.set_xlim(0, steps)
    axis.grid(alpha=0.25)
    if axis.get_legend_handles_labels()[1]:
        figure.legend(loc="outside lower center", fontsize=9, ncols=2)  # inside it would hide a curve in one run or another
    return describe(
        figure,
        alt=f"Learning curves, return against environment steps: {'; '.join(reached)}.",
        caption="Thin lines are single seeds, thick lines their median. Look at how soon a line rises, how close it comes to the "
        "best possible, and whether it stays there.",
    )

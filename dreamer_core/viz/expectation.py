"""What an agent expects and what it gets, while it trains: exploitation grows in the dream and is corrected by the world."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.errors import DreamerError
from dreamer_core.viz.dashboard import Row, series
from dreamer_core.viz.show import COLOURS, GREY, ORANGE, describe


def expectation_figure(rows: Sequence[Row], title: str = "") -> Figure:
    """Imagined and real return of each evaluation of a run, and their difference below.

    Evaluations before the first gradient step are left out: nothing has been learned there that could be wrong.

    Args:
        rows: the metrics of a run, as `Trainer.run` yields them or `dashboard.read_metrics` reads them.

    Raises:
        DreamerError: no row tells both returns (a run without a world model imagines none, nor does one that has not learned yet).
    """
    rows = [row for row in rows if "imagined_return_mean" in row and row.get("grad_steps", 1) > 0]
    if not rows:
        raise DreamerError(
            "no evaluation here tells an imagined return: give the metrics of a run with a world model that has begun to learn"
        )
    steps, imagined = series(rows, "imagined_return_mean").T
    real = series(rows, "eval_return_mean")[:, 1]
    gap = imagined - real
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5.4), height_ratios=[2, 1], sharex=True, layout="constrained")
    above.plot(steps, imagined, color=COLOURS["dream"], marker="o", linewidth=2, label="imagined: what the agent expects")
    above.plot(steps, real, color=COLOURS["real"], marker="s", linewidth=2, label="real: what it gets")
    above.set_ylabel("mean return of an episode")
    below.axhline(0, color="black", linewidth=1)
    for mask, colour, words in ((gap > 0, ORANGE, "it expects too much"), (gap <= 0, GREY, "it expects too little")):
        below.vlines(steps[mask], 0, gap[mask], color=colour, linewidth=5, label=words)
    below.set(xlabel="environment steps", ylabel="imagined - real")
    for axis in (above, below):
        axis.grid(alpha=0.25)
    handles = {label: handle for axis in (above, below) for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=9, ncols=2)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    most = int(np.abs(gap).argmax())
    return describe(
        figure,
        alt=f"Imagined and real return at {len(rows)} evaluations of one training. They lie furthest apart at step {steps[most]:.0f}, "
        f"{imagined[most]:.0f} and {real[most]:.0f}; at the end they are {imagined[-1]:.0f} and {real[-1]:.0f}.",
        caption="Both are means over the same start states. While a bar is orange, the actor pleases its model more than the world. Each "
        "round of new real steps shows the model where it was wrong.",
    )

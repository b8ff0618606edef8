"""A world model's belief beside the exact one, through a blackout and out of it."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.viz.show import BLUE, GREY, ORANGE, describe


def blackouts(visible: np.ndarray) -> list[tuple[int, int]]:
    """Rows (first, last) of each blind stretch in visible (T,)."""
    edges = np.diff(np.concatenate([[0], visible == 0, [0]]).astype(int))
    return [(int(first), int(end) - 1) for first, end in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1))]


def belief_figure(
    reading: np.ndarray, visible: np.ndarray, model: tuple[np.ndarray, np.ndarray], exact: tuple[np.ndarray, np.ndarray], title: str = ""
) -> Figure:
    """What model and filter expect of each reading just before it is taken, and how sure they are.

    Args:
        reading: (T,), what the sensor showed, or would have shown while blind.
        visible: (T,), 1 where the sensor saw.
        model, exact: mean and standard deviation, (T,) each, of the world model and of the Kalman filter.
    """
    rows, seen = np.arange(len(reading)), np.asarray(visible) == 1
    figure, (axis, spread) = plt.subplots(
        2, 1, figsize=(8.5, 5.4), sharex=True, layout="constrained", gridspec_kw={"height_ratios": [2.2, 1]}
    )
    dark = blackouts(visible)
    for panel in (axis, spread):
        for number, (first, last) in enumerate(dark):
            panel.axvspan(first - 0.5, last + 0.5, color=GREY, alpha=0.13, linewidth=0, label="blackout" if number == 0 else None)
        panel.grid(alpha=0.25)
    mean, std = model
    axis.fill_between(rows, mean - 2 * std, mean + 2 * std, color=ORANGE, alpha=0.35, linewidth=0)
    axis.plot(rows, mean, color=ORANGE, linewidth=2, label="world model, mean ± 2 sd")
    mean, std = exact
    axis.plot(rows, mean, color=BLUE, linestyle="--", linewidth=2, label="exact (Kalman filter), mean ± 2 sd")
    for edge in (mean - 2 * std, mean + 2 * std):
        axis.plot(rows, edge, color=BLUE, linestyle="--", linewidth=1.2)
    axis.plot(rows[seen], reading[seen], "o", color="black", markersize=3.5, label="reading, seen")
    axis.plot(rows[~seen], reading[~seen], "o", color="black", markersize=4, markerfacecolor="white", label="reading, not seen")
    axis.set(ylabel="position", title=title)
    spread.plot(rows, model[1], color=ORANGE, linewidth=2)
    spread.plot(rows, exact[1], color=BLUE, linewidth=1.6, linestyle="--")
    spread.set(xlabel="step", ylabel="sd foreseen", ylim=(0, None), xlim=(0, len(rows) - 1))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=3)
    ratio = np.mean(model[1] / exact[1])
    told = "; ".join(f"rows {first} to {last}: exact sd from {exact[1][first]:.2f} to {exact[1][last]:.2f}" for first, last in dark)
    return describe(
        figure,
        alt=f"Expected reading with a band of two standard deviations over {len(rows)} steps, world model over Kalman filter. "
        f"Blackouts: {told or 'none'}. The model's sd is {ratio:.2f} times the exact one on average.",
        caption="While the sensor is blind (grey) the ribbon widens; with the first reading afterwards it snaps back. No belief can be "
        "better than the dashed one.",
    )

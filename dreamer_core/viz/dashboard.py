"""The loss dashboard: everything a run logged, so that a fault can be read off its curves."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.errors import CheckpointError
from dreamer_core.viz.show import COLOURS, GREY, PURPLE, RED, describe

Row = Mapping[str, float]  # the metrics of one evaluation, as `Trainer.run` yields them
STEP = "env_steps"
# Panel: y-axis label, and which metrics it draws with their names in the legend.
PANELS: dict[str, tuple[str, dict[str, str]]] = {
    "Return": ("mean return", {"eval_return_mean": "real", "imagined_return_mean": "imagined"}),
    "Reconstruction": ("half squared error\n(model's units)", {"model/observation": "observation"}),
    "Reward head": ("half squared error\n(agent's unit)", {"model/stat_reward_error": "reward"}),
    "KL": ("nats per row", {"model/stat_kl": "KL[q || p]"}),
    "Entropy of z": ("nats", {"model/stat_prior_entropy": "prior", "model/stat_posterior_entropy": "posterior"}),
    "Gradient norms": (
        "norm before clipping",
        {"model/grad_norm": "model", "agent/actor_grad_norm": "actor", "agent/critic_grad_norm": "critic"},
    ),
    "Q": ("agent's unit\nof reward", {"agent/q_mean": "Q of the batch", "agent/return_mean": "its target"}),
    "Imagined minus real": ("return", {"imagined_minus_real": "imagined - real"}),
    "Policy entropy": ("nats", {"agent/entropy": "entropy"}),
}
# The same for DreamerV3's actor-critic, which has v(s) and counts advantages in ranges of returns.
VALUE_PANELS = {name: panel for name, panel in PANELS.items() if name != "Q"} | {
    "Value": ("agent's unit\nof reward", {"agent/value_mean": "v(s) of dreams", "agent/return_mean": "its target"}),
    "Range of returns": ("agent's unit\nof reward", {"agent/return_range": "range"}),
}
# What is neither real nor posterior nor dream has colours of its own.
ROLES = {
    "eval_return_mean": COLOURS["real"],
    "imagined_return_mean": COLOURS["dream"],
    "model/stat_prior_entropy": COLOURS["dream"],
    "model/stat_posterior_entropy": COLOURS["posterior"],
}
OTHERS = [PURPLE, GREY, "black"]
# The same for a world model that is trained alone, where there is room for one part more.
MODEL_PANELS = {
    panel: (label, {name: legend for name, legend in metrics.items() if name.startswith("model/")})
    for panel, (label, metrics) in PANELS.items()
    if any(name.startswith("model/") for name in metrics)
} | {"Dreams inside the window": ("weighted loss", {"model/overshoot": "overshoot"})}


def read_metrics(folder: Path | str) -> list[dict[str, float]]:
    """The rows of a run's metrics.jsonl. A last line without its end, as a run at work may leave it, does not count.

    Raises:
        CheckpointError: there is no such file, or a line of it is damaged.
    """
    path = Path(folder) / "metrics.jsonl"
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError:
        raise CheckpointError(f"there is no run in {folder}, since it holds no metrics.jsonl: name the folder of a run") from None
    return [row_of(line, path, number) for number, line in enumerate(lines, 1) if line.endswith(b"\n")]


def row_of(line: bytes, path: Path, number: int) -> dict[str, float]:
    """One line of metrics, or a sentence about it."""
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise CheckpointError(f"line {number} of {path} is damaged: delete that line, or make the run anew")
    return row


def series(rows: Sequence[Row], name: str, step: str = STEP) -> np.ndarray:
    """(M, 2): step and value, for the rows that hold the metric `name`."""
    return np.array([(row[step], row[name]) for row in rows if name in row], float).reshape(-1, 2)


def difference(row: Row) -> Row:
    """What the agent expects of an episode minus what it gets, where a row holds both."""
    if "imagined_return_mean" not in row:
        return {}
    return {"imagined_minus_real": row["imagined_return_mean"] - row["eval_return_mean"]}


def omissions(rows: Sequence[Row], panels: Mapping[str, tuple[str, dict[str, str]]] = PANELS, step: str = STEP) -> list[str]:
    """Sentences that say what the dashboard of these rows cannot show: metrics never logged, never drawn, or not finite."""
    names = {name for row in rows for name in row}
    drawn = {metric for _, metrics in panels.values() for metric in metrics}
    broken = [
        f"{name} is not finite at step {values[wrong[0], 0]:.0f}" + (f" and {len(wrong) - 1} more" if len(wrong) > 1 else "")
        for name in sorted(names & drawn)
        if len(wrong := np.flatnonzero(~np.isfinite((values := series(rows, name, step))[:, 1])))
    ]
    missing, others = sorted(drawn - names), sorted(names - drawn - {step})
    return (
        ([f"Not logged: {', '.join(missing)}."] if missing else [])
        + ([f"Logged but not drawn: {', '.join(others)}."] if others else [])
        + ([f"Broken: {'; '.join(broken)}."] if broken else [])
    )


def panels_of(rows: Sequence[Row]) -> dict[str, tuple[str, dict[str, str]]]:
    """The panels for whoever logged these rows: a world model with SAC, or with DreamerV3's actor-critic."""
    return VALUE_PANELS if any("agent/value_mean" in row for row in rows) else PANELS


def fitting_scale(values: np.ndarray) -> str:
    """Logarithmic for positive values that span more than a factor of ten, else linear; what is not finite does not count."""
    values = np.asarray(values, float)[np.isfinite(values)]
    return "log" if len(values) and values.min() > 0 and values.max() > 10 * values.min() else "linear"


def dashboard(
    rows: Sequence[Row],
    free_nats: float | None = None,
    title: str = "",
    asked: Mapping[str, tuple[str, dict[str, str]]] | None = None,
    step: str = STEP,
    label: str = "environment steps",
) -> Figure:
    """One panel for each part of the agent; what cannot be drawn is written below.

    Args:
        rows: metrics, oldest first; a metric may begin late.
        free_nats: `config.model.free_nats`, drawn as a line in the KL panel.
        asked: the panels, such as `MODEL_PANELS` for a world model alone; None asks for those of the run (`panels_of`).
        step, label: which entry of a row counts its steps, and what to call it.

    Raises:
        ValueError: no row holds any metric that a panel draws.
    """
    rows = [row | difference(row) for row in rows]
    asked = panels_of(rows) if asked is None else asked
    names = {name for row in rows for name in row}
    panels = {panel: parts for panel, parts in asked.items() if names & set(parts[1])}
    if not panels:
        raise ValueError("these rows hold no metric of a run: pass the rows that Trainer.run yields, or read_metrics(folder)")
    height = -(-len(panels) // 3)
    figure, axes = plt.subplots(height, 3, figsize=(9.5, 2.3 * height + 0.6), sharex=True, layout="constrained", squeeze=False)
    for axis, (panel, (unit, metrics)) in zip(axes.flat, panels.items()):
        for (name, legend), colour in zip(metrics.items(), OTHERS):
            if name in names:
                axis.plot(
                    *series(rows, name, step).T, color=ROLES.get(name, colour), linewidth=1.6, marker="o", markersize=2.5, label=legend
                )
        if panel == "KL" and free_nats is not None:
            axis.axhline(free_nats, color=RED, linestyle="--", linewidth=1.2, label=f"free nats ({free_nats:g})")
        if panel == "Imagined minus real":
            axis.axhline(0, color="black", linewidth=0.8)
        told = len(axis.get_legend_handles_labels()[1]) > 1
        axis.set_title(panel, fontsize=10, pad=20 if told else 6)
        axis.set(ylabel=unit, yscale=fitting_scale(np.concatenate([line.get_ydata() for line in axis.lines])))
        axis.grid(alpha=0.25)
        if told:  # above the panel, where it hides no curve
            place = dict(loc="lower center", bbox_to_anchor=(0.5, 0.97), borderpad=0.2, handlelength=1.2, columnspacing=1.0)
            axis.legend(fontsize=9, frameon=False, ncols=3, **place).set_in_layout(False)  # or it would narrow the panels
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis in axes.flat[max(0, len(panels) - 3) : len(panels)]:
        axis.set_xlabel(label)
        axis.tick_params(labelbottom=True)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    notes = omissions(rows, asked, step)
    figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=9, wrap=True)
    last = [f"{panel} {series(rows, name, step)[-1, 1]:.3g}" for panel, parts in panels.items() for name in parts[1] if name in names]
    return describe(
        figure,
        alt=f"Dashboard of a run with {len(panels)} panels against {label}; last values: {', '.join(last)}.",
        caption="Each point is the newest batch at that step. A KL below the free-nats line gives no gradient; "
        + "".join(f"{name} should follow its target without running away; " for name in ("Q", "Value") if name in panels)
        + "the reward head is judged by its mean alone, without its weight and without what a Normal pays for its width. "
        + " ".join(notes),
    )

"""A run of the subject beside one of its healthy twin: the same settings and the same seed, without a fault."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, numbers_reading
from dreamer_core.clinic.subject import STEPS, Run, Subject
from dreamer_core.viz.dashboard import PANELS, fitting_scale
from dreamer_core.viz.show import GREEN, RED, describe

POINTS = 30  # of each curve
END = 10  # the last of so many parts of a curve is its end: one point at least
SHOWN = {
    metric: (f"{panel}: {legend}" if len(legends) > 1 else panel, unit)
    for panel, (unit, legends) in PANELS.items()
    for metric, legend in legends.items()
    if metric != "imagined_minus_real"
}
INFINITE: Range = (-float("inf"), float("inf"))


def series(run: Run, metric: str) -> np.ndarray:
    """A curve of a run: means over equally many updates each, or its evaluations as they are."""
    rows = run.updates if any(metric in update for update in run.updates) else run.rows
    values = np.array([row[metric] for row in rows if metric in row], float)
    return np.array([part.mean() for part in np.array_split(values, min(POINTS, max(1, len(values))))])


def ending(curve: np.ndarray) -> float:
    """Where a curve ends: the mean of its last tenth, or its last point if it has few."""
    return curve[-max(1, len(curve) // END) :].mean()


def measure(subject: Subject) -> Reading:
    """Train both, and compare where their curves end."""
    run, healthy = subject.run(STEPS), Subject.healthy(subject.config).run(STEPS)
    says, numbers = {}, {}
    for metric, (name, _) in SHOWN.items():
        mine, other = series(run, metric), series(healthy, metric)
        if len(mine) and len(other):
            says[name] = f"{name}, at the end, minus the twin's"
            numbers[name] = float(ending(mine) - ending(other))
    reading = numbers_reading(says, dict.fromkeys(numbers, INFINITE), numbers)
    return reading._replace(
        says="Each number is where this agent ends, minus where its twin ends. Both runs are drawn. "
        "Two healthy runs differ as well: trust what is large.",
        figure=lambda: beside_figure(run, healthy),
    )


def beside_figure(run: Run, healthy: Run) -> Figure:
    """Every curve of both runs."""
    shown = {metric: words for metric, words in SHOWN.items() if np.isfinite(series(run, metric)).any()}
    rows = -(-len(shown) // 4)
    figure, axes = plt.subplots(rows, 4, figsize=(12, 2.0 * rows + 0.7), layout="constrained", squeeze=False)
    told = []
    for axis, (metric, (name, unit)) in zip(axes.flat, shown.items()):
        pair = series(healthy, metric), series(run, metric)
        for values, colour, label in zip(pair, (GREEN, RED), ("healthy twin", "this agent")):
            axis.plot(np.linspace(0, 1, len(values)), values, color=colour, linewidth=1.8, label=label)
        axis.set_title(name, fontsize=9)
        axis.set(yscale=fitting_scale(np.concatenate(pair)))
        axis.set_ylabel(unit, fontsize=9)
        axis.grid(alpha=0.25)
        told.append(f"{name} {pair[1][-1]:.3g}, twin {pair[0][-1]:.3g}")
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis in axes.flat[max(0, len(shown) - 4) : len(shown)]:
        axis.set_xlabel("share of the run")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False, fontsize=10)
    return describe(
        figure,
        alt=f"Curves of an agent and of its healthy twin. At the end: {'; '.join(told)}.",
        caption="Red: this agent. Green: the same settings and the same seed without a fault. Two healthy runs part as well, so look for "
        "what differs by far, and ask which part could make it so.",
    )


TWIN = Instrument(
    name="twin",
    quick=False,
    sentence="A short run beside the same run of a healthy agent, every curve of both.",
    excludes="nothing: it is the place to begin",
    cannot="small differences, since two healthy runs differ too; and faults that no curve shows",
    measure=measure,
)

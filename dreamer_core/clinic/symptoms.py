"""What each fault does to the curves of a short run, measured and stored.

    python -m dreamer_core.clinic.symptoms

trains a small agent with each fault, and healthy ones of several seeds, in the world of the table's edge
(`ledge.py`), and writes what their runs logged to `symptoms.json`, a few points for each curve. Broken off, it goes
on where it was.

A curve shows a fault if its last third lies outside those of all healthy seeds by more than these lie apart. One run
with each fault is little evidence for how far it goes, and enough to say where to look first.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.clinic.faults import ALL, FAULTS, Fault
from dreamer_core.clinic.subject import Run, Subject, small
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dashboard import PANELS, difference, fitting_scale
from dreamer_core.viz.show import GREEN, ORANGE, PURPLE, RED, describe

STORED = Path(__file__).with_name("symptoms.json")
WORLD, STEPS, POINTS, SEED, HEALTHY_SEEDS = "dreamer_core.clinic.ledge:Ledge-v0", 1000, 30, 0, (0, 1, 2, 3)


# What a dashboard draws: metric -> panel, unit, and its name in the panel.
METRICS = {metric: (panel, unit, legend) for panel, (unit, legends) in PANELS.items() for metric, legend in legends.items()}
Stored = dict[str, dict[str, Any]]  # curves by their names, for each case


class Case(NamedTuple):
    """One run: a fault or none, a preset and a seed."""

    fault: Fault | None
    preset: str
    seed: int

    @property
    def name(self) -> str:
        """As it is stored."""
        return f"{self.fault.name if self.fault else 'healthy'} {self.preset} {self.seed}"

    @property
    def subject(self) -> Subject:
        """To be run."""
        config = small(WORLD, self.preset, self.seed, evaluation=dict(every=100, episodes=8))
        return Subject.with_fault(self.fault, config) if self.fault else Subject.healthy(config)


def cases() -> list[Case]:
    """Healthy runs of both presets, then one run with each fault."""
    healthy = [Case(None, preset, seed) for preset in ("dropin", "advantage") for seed in HEALTHY_SEEDS]
    return healthy + [Case(fault, fault.presets[0], SEED) for fault in ALL]


def curves(run: Run) -> dict[str, list[float]]:
    """Every curve of a run, by the name of its metric: means over equally many updates each, and evaluations as they are."""
    found = {}
    for name in sorted({name for update in run.updates for name in update}):
        values = np.array([update[name] for update in run.updates if name in update])
        found[name] = [float(f"{part.mean():.4g}") for part in np.array_split(values, min(POINTS, len(values)))]
    for name in ("env_steps", "eval_return_mean", "imagined_return_mean"):
        found[name] = [float(f"{row[name]:.4g}") for row in run.rows]
    return found


def stored() -> Stored:
    """What was recorded: the curves of each case by its name, or the sentence with which it broke off."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


# --- what a curve shows ---------------------------------------------------------------------------


def curve(case: dict[str, Any], metric: str) -> np.ndarray:
    """A stored curve; empty where the run broke off or has no such metric."""
    if metric == "imagined_minus_real":
        names = ("eval_return_mean", "imagined_return_mean")
        pairs = zip(*(case.get(name, []) for name in names))
        return np.array([difference(dict(zip(names, pair)))[metric] for pair in pairs])
    return np.array(case.get(metric, []), float)


def level(values: np.ndarray) -> float:
    """The mean of a curve's last third."""
    return float(values[-max(1, len(values) // 3) :].mean()) if len(values) else float("nan")


def healthy_curves(found: Stored, preset: str, metric: str) -> np.ndarray:
    """(seeds, points) of the healthy runs of a preset."""
    return np.array([curve(found[Case(None, preset, seed).name], metric) for seed in HEALTHY_SEEDS])


def departure(found: Stored, fault: Fault, metric: str) -> float:
    """How far a fault's curve ends outside the healthy ones, in widths of their range; below 0 if it ends under them, 0 inside.

    0 also where there is no such curve.
    """
    preset = fault.presets[0]
    sick = level(curve(found.get(Case(fault, preset, SEED).name, {}), metric))
    healthy = [level(values) for values in healthy_curves(found, preset, metric)]
    low, high = min(healthy), max(healthy)
    width = max(high - low, 1e-6)
    if np.isnan(sick):
        return 0.0
    return (sick - high) / width if sick > high else min(0.0, (sick - low) / width)


class Symptom(NamedTuple):
    """A curve that ends above or below those of healthy runs, and the faults that make it do so."""

    metric: str
    side: int  # 1 above, -1 below
    causes: dict[str, float]  # name of a fault -> how far, in widths of the healthy range; furthest first

    @property
    def words(self) -> str:
        """As one would say it in front of the dashboard."""
        panel, _, legend = METRICS[self.metric]
        return f"{panel} ({legend}) ends {'above' if self.side > 0 else 'below'} healthy runs"


def symptoms(found: Stored) -> list[Symptom]:
    """Every symptom that was seen, in the order of the dashboard's panels."""
    seen = []
    for metric in METRICS:
        far = {name: departure(found, fault, metric) for name, fault in FAULTS.items()}
        for side in (-1, 1):
            causes = {name: abs(value) for name, value in sorted(far.items(), key=lambda pair: -abs(pair[1])) if side * value > 1}
            if causes:
                seen.append(Symptom(metric, side, causes))
    return seen


def unseen(found: Stored) -> list[str]:
    """The faults that no curve shows."""
    shown = {name for symptom in symptoms(found) for name in symptom.causes}
    recorded = {fault.name for fault in ALL if "env_steps" in found.get(Case(fault, fault.presets[0], SEED).name, {})}
    return [name for name in FAULTS if name in recorded - shown]


def symptoms_figure(found: Stored, shown: list[Symptom], most: int = 3, title: str = "") -> Figure:
    """A panel for each symptom: the band of healthy runs, and the curves of the faults that leave it furthest.

    Args:
        most: how many curves a panel draws.
    """
    rows = -(-len(shown) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(10, 2.5 * rows + 0.5), layout="constrained", squeeze=False)
    told = []
    for axis, symptom in zip(axes.flat, shown):
        panel, unit, legend = METRICS[symptom.metric]
        for name, colour in zip(list(symptom.causes)[:most], (RED, ORANGE, PURPLE)):
            values = curve(found[Case(FAULTS[name], FAULTS[name].presets[0], SEED).name], symptom.metric)
            axis.plot(np.linspace(0, 1, len(values)), values, color=colour, linewidth=1.8, label=name)
        healthy = healthy_curves(found, FAULTS[next(iter(symptom.causes))].presets[0], symptom.metric)
        share = np.linspace(0, 1, healthy.shape[1])
        axis.fill_between(share, healthy.min(0), healthy.max(0), color=GREEN, alpha=0.3, linewidth=0, label="healthy runs")
        everything = np.concatenate([healthy.ravel(), *(line.get_ydata() for line in axis.lines)])
        axis.set(ylabel=unit, yscale=fitting_scale(everything))
        axis.set_title(f"{panel}: {legend}" if legend.lower() not in panel.lower() else panel, fontsize=10, pad=34)
        axis.legend(loc="lower center", bbox_to_anchor=(0.5, 0.98), ncols=2, fontsize=9, frameon=False, borderpad=0.1).set_in_layout(False)
        axis.grid(alpha=0.25)
        told.append(f"{symptom.words} with {', '.join(list(symptom.causes)[:most])}")
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis in axes.flat[max(0, len(shown) - 2) : len(shown)]:
        axis.set_xlabel("share of the run")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return describe(
        figure,
        alt=f"{len(shown)} symptoms: {'; '.join(told)}.",
        caption="The band holds the healthy runs of all stored seeds. The lines are single runs, one for each fault: where a line ends "
        "outside the band, this curve is worth a look. The same curve is left by several faults.",
    )


# --- the command ----------------------------------------------------------------------------------


def main() -> None:
    """Record what is missing."""
    found = stored()
    for case in cases():
        if case.name not in found:
            try:
                found[case.name] = curves(case.subject.run(STEPS))
            except DreamerError as error:
                found[case.name] = {"stopped": str(error)}
            STORED.write_text(
                json.dumps(found, indent=0).replace(",\n", ",").replace("[\n", "[").replace("\n]", "]") + "\n", encoding="utf-8"
            )
            print(case.name, found[case.name].get("eval_return_mean", found[case.name].get("stopped")), flush=True)


if __name__ == "__main__":
    main()

"""Turn raw benchmark results into a table, figures and one small file to keep.

python tests/benchmarks/report.py --out build/bench
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import readme
from learning import OUT, ROOT, SUITES

from dreamer_core.viz.show import BLUE, GREY, PURPLE, RED, SMALLEST

# As in the notebooks' learning curves: all of these returns are real.
LOOKS = {
    "dropin": (BLUE, "-", "v1, drop-in"),
    "advantage": (PURPLE, "-", "v1, advantage"),
    "sac": (GREY, "-", "same SAC, real steps"),
    "sb3": ("black", "-", "stable-baselines3 SAC"),
    "cut": (BLUE, "-", "v1, z cut between steps"),
    "uncut": (PURPLE, "-", "the same, z not cut"),
    "raw units": (RED, "-", "v1, raw units"),
}
TITLES = {
    "pendulum": "Pendulum-v1",
    "hidden": "Pendulum-v1, velocity hidden",
    "departures": "Pendulum-v1, each departure from v1's notes undone",
    "inverted": "InvertedPendulum-v5",
    "curves": "Two harder tasks, one run each",
}
GOALS = {"pendulum": (-200, -150), "hidden": (-200, -160), "departures": (-200, -150), "inverted": (950,), "curves": ()}
Groups = dict[tuple[str, str, int], list[dict[str, Any]]]  # the runs of each (suite, variant, cores)


def load(out: Path) -> Groups:
    """All stored runs by (suite, variant, cores), seeds in order."""
    groups: Groups = defaultdict(list)
    for file in sorted((out / "runs").glob("*.json")):
        run = json.loads(file.read_text(encoding="utf-8"))
        groups[run["suite"], run["variant"], run["cores"]].append(run)
    order = {(suite, variant): number for number, (suite, variant) in enumerate((s, v) for s in SUITES for v in SUITES[s])}
    known = sorted((key for key in groups if key[:2] in order), key=lambda key: (list(SUITES).index(key[0]), key[2], order[key[:2]]))
    return {key: sorted(groups[key], key=lambda run: run["seed"]) for key in known}


def crossing(curve: Sequence[Sequence[float]], goal: float) -> tuple[float, float]:
    """Environment steps and wall seconds of the first evaluation at or above the goal; infinite if there is none."""
    for steps, wall, mean, _ in curve:
        if mean >= goal:
            return steps, wall
    return math.inf, math.inf


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median (smallest..largest); a run that never got there counts as infinitely late."""

    def show(value: float) -> str:
        return "never" if math.isinf(value) else f"{value:.{digits}f}"

    if len(values) == 1:
        return show(values[0])
    return f"**{show(median(values))}** ({show(min(values))}..{show(max(values))})"


def last_mean(curve: Sequence[Sequence[float]], count: int) -> float:
    """Mean return of the last `count` evaluations."""
    return sum(point[2] for point in curve[-count:]) / len(curve[-count:])


def learning_table(groups: Groups, suite: str) -> list[str]:
    """One row per variant and number of cores; median (smallest..largest) over seeds."""
    goals = GOALS[suite]
    head = ["agent", "cores", "seeds"]
    for goal in goals:
        head += [f"steps to {goal}", f"seconds to {goal}", f"never {goal}"]
    head += ["run length", "seconds in all", "mean of last 5", "final mean"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for (_, variant, cores), runs in ((key, value) for key, value in groups.items() if key[0] == suite):
        curves = [run["curve"] for run in runs]
        row = [LOOKS.get(variant, (0, 0, variant))[2], str(cores), str(len(runs))]
        for goal in goals:
            crossed = [crossing(curve, goal) for curve in curves]
            never = sum(math.isinf(steps) for steps, _ in crossed)
            row += [spread([c[0] for c in crossed]), spread([c[1] for c in crossed], 1), f"{never} of {len(runs)}"]
        lengths = sorted({curve[-1][0] for curve in curves})
        row += [
            "..".join(map(str, lengths)),
            spread([curve[-1][1] for curve in curves]),
            spread([last_mean(curve, 5) for curve in curves], 1),
            spread([last_mean(curve, 1) for curve in curves], 1),
        ]
        lines.append("| " + " | ".join(row) + " |")
    return lines


def speed_table(speed: dict[str, Any]) -> list[str]:
    """Updates per second by part, beside the same matrix products alone."""
    lines = ["| size | part | threads | updates/s | its matrix products alone | share of that roof |", "|---|---|---|---|---|---|"]
    for row in speed["parts"]:
        share = f"{100 * row['per_s'] / row['roof_per_s']:.0f} %" if row["roof_per_s"] else ""
        roof = f"{row['roof_per_s']:.1f}" if row["roof_per_s"] else ""
        lines.append(f"| {row['size']} | {row['part']} | {row['threads']} | {row['per_s']:.1f} | {roof} | {share} |")
    return lines


def markdown(groups: Groups, ceiling: dict[str, Any] | None, speed: dict[str, Any] | None, notes: list[str]) -> str:
    """The whole report."""
    lines = ["# Benchmark", ""]
    runs = [run for group in groups.values() for run in group]
    if runs:
        some = runs[0]["settings"]["evaluation"]
        lines += [
            f"{len(runs)} runs, torch {runs[0]['torch']}, {runs[0]['cpus']} CPU cores. Every evaluation: deterministic actions, one "
            f"episode from each of the {some['episodes']} reset seeds from {some['seed']} on; evaluation time is left out of all "
            "seconds. Entries are **median** (smallest..largest) over seeds, none left out; "
            '"to" means the first evaluation at or above the number, and a run that never got there counts as "never".',
            "",
        ]
    if ceiling:
        lines += [
            f"The best that any controller can do on Pendulum-v1's {len(ceiling['returns'])} episodes, by dynamic programming: "
            f"**{ceiling['mean']:.1f}** (worst episode {min(ceiling['returns']):.0f}).",
            "",
        ]
    for suite in SUITES:
        if any(key[0] == suite for key in groups):
            lines += [f"## {TITLES[suite]}", "", *learning_table(groups, suite), ""]
    if speed:
        lines += ["## Updates per second", "", *speed_table(speed), "", *[f"* {note}" for note in speed["notes"]], ""]
    lines += [f"* {note}" for note in notes + doubts(groups)]
    return "\n".join(lines).rstrip() + "\n"


def doubts(groups: Groups) -> list[str]:
    """What a reader must know before comparing these numbers."""
    found = []
    ours = [run for group in groups.values() for run in group if "library" not in run["settings"]]
    if len({run["code"] for run in ours}) > 1:
        found.append("These runs were made with more than one version of the agent's code: measure again with --fresh.")
    for (suite, variant, cores), runs in groups.items():
        if len({json.dumps({**run["settings"], "seed": 0}, sort_keys=True) for run in runs}) > 1:
            found.append(f"The runs of {suite} / {variant} on {cores} core(s) differ in their settings: measure again with --fresh.")
    if any(run["pinned"] not in (None, run["cores"]) for group in groups.values() for run in group):
        found.append("Some runs could not be pinned to their number of cores.")
    return found


# --- figures -----------------------------------------------------------------------------------


def middle(curves: list[list[list[float]]], column: int) -> list[float]:
    """The median of a column over seeds, evaluation by evaluation (as far as all seeds went)."""
    return [median(curve[i][column] for curve in curves) for i in range(min(map(len, curves)))]


def draw(ax, groups: Groups, suite: str, cores: int, x: int) -> None:
    """Thin lines for seeds, a thick one for the median; x is 0 for steps, 1 for seconds."""
    for (which, variant, number), runs in groups.items():
        if which != suite or number != cores:
            continue
        colour, style, label = LOOKS[variant]
        curves = [run["curve"] for run in runs]
        for curve in curves:
            ax.plot([p[x] for p in curve], [p[2] for p in curve], color=colour, linewidth=0.6, alpha=0.35)
        ax.plot(middle(curves, x), middle(curves, 2), color=colour, linestyle=style, linewidth=2.4, label=label, zorder=3)
    ax.set_xlim(left=0)
    ax.grid(color="0.9", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


def level(ax, value: float, text: str, style: str = ":") -> None:
    """A horizontal line with its name at the right end, outside of the curves' way."""
    ax.axhline(value, color="0.35", linewidth=1, linestyle=style, zorder=1)
    where = {"xycoords": ("axes fraction", "data"), "annotation_clip": False}
    ax.annotate(text, (1.01, value), va="center", fontsize=SMALLEST, color="0.25", **where)


def legend(fig, axes, columns: int = 4) -> None:
    """One legend for all panels, below them."""
    entries: dict[str, Any] = {}
    for ax in axes:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles))
    fig.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, frameon=False, fontsize=SMALLEST)


def figure(groups: Groups, ceiling: float | None, path: Path) -> None:
    """Pendulum-v1: whole curves above, the last stretch below; against steps and against seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    measured = sorted(key[2] for key in groups if key[0] == "pendulum")
    if not measured:
        return
    cores = measured[0]
    fig, axes = plt.subplots(2, 2, figsize=(10, 7), layout="constrained", sharex="col", sharey="row")
    seeds = sorted({len(runs) for key, runs in groups.items() if key[0] == "pendulum" and key[2] == cores})
    where = f"Pendulum-v1 on {cores} core{'s' * (cores > 1)}"
    fig.suptitle(f"{where}: thin lines are single seeds ({'..'.join(map(str, seeds))} each), thick lines their median", fontsize=11)
    for row in range(2):
        for column in range(2):
            ax = axes[row, column]
            draw(ax, groups, "pendulum", cores, column)
            if row == 1:
                ax.set_ylim(-320, -115)
                level(ax, -200, "-200")
                level(ax, -150, "-150")
                ax.set_xlabel(["environment steps", "seconds of acting and learning"][column])
            if ceiling is not None:
                level(ax, ceiling, f"{ceiling:.0f}, best possible", "--")
    axes[0, 0].set_ylabel("mean return of 50 episodes")
    axes[1, 0].set_ylabel("the same, enlarged")
    legend(fig, axes.flat)
    fig.savefig(path, dpi=110, facecolor="white")
    plt.close(fig)


def figure_more(groups: Groups, ceiling: float | None, path: Path) -> None:
    """The other tasks, a panel each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = [suite for suite in ("hidden", "inverted") if any(key[0] == suite for key in groups)]
    panels += [key[1] for key in groups if key[0] == "curves"]
    if not panels:
        return
    width = min(2, len(panels))
    height = math.ceil(len(panels) / width)
    fig, axes = plt.subplots(height, width, figsize=(5.2 * width, 3.3 * height), layout="constrained", squeeze=False)
    for ax, panel in zip(axes.flat, panels):
        if panel in TITLES:
            cores = min(key[2] for key in groups if key[0] == panel)
            draw(ax, groups, panel, cores, 0)
            seeds = max(len(runs) for key, runs in groups.items() if key[0] == panel)
            ax.set_title(f"{TITLES[panel]} ({seeds} seed{'s' * (seeds > 1)})", fontsize=10)
        else:
            runs = next(value for key, value in groups.items() if key[:2] == ("curves", panel))
            draw(ax, {("curves", "dropin", 1): runs}, "curves", 1, 0)
            ax.set_title(f"{panel} (one seed)", fontsize=10)
        if panel == "hidden":
            lines = [line.get_ydata() for line in ax.get_lines()]
            if any(max(line) > -300 for line in lines):  # else there is nothing to enlarge
                ax.set_ylim(-320, -115)
            level(ax, -160, "-160")
            if ceiling is not None:
                level(ax, ceiling, f"{ceiling:.0f}, best possible", "--")
        if panel == "inverted":
            level(ax, 950, "solved")
        if panel == "MountainCarContinuous-v0":
            level(ax, 90, "solved")
        ax.set_xlabel("environment steps")
        ax.set_ylabel("mean return of 50 episodes")
    for ax in list(axes.flat)[len(panels) :]:
        ax.set_visible(False)
    legend(fig, axes.flat, columns=3)
    fig.savefig(path, dpi=110, facecolor="white")
    plt.close(fig)


# --- a small file to keep --------------------------------------------------------------------------


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """A row with one digit after the point."""
    return {key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()}


def compact(groups: Groups, ceiling: dict[str, Any] | None, speed: dict[str, Any] | None) -> dict[str, Any]:
    """Rounded curves, the ceiling and the speeds: what notebooks and README quote."""
    runs = [run for group in groups.values() for run in group]
    curves = {}
    for (suite, variant, cores), group in groups.items():
        curves[f"{suite}/{variant}/{cores}"] = {
            "seeds": [run["seed"] for run in group],
            "env_steps": [point[0] for point in max((run["curve"] for run in group), key=len)],
            "wall_s": [[round(point[1], 1) for point in run["curve"]] for run in group],
            "mean": [[round(point[2], 1) for point in run["curve"]] for run in group],
        }
    return {
        "torch": runs[0]["torch"] if runs else None,
        "cpu_cores": runs[0]["cpus"] if runs else None,
        "ceiling": None if ceiling is None else round(ceiling["mean"], 2),
        "ceiling_returns": None if ceiling is None else [round(value, 1) for value in ceiling["returns"]],
        "curves": curves,
        "speed": None if speed is None else [rounded(row) for row in speed["parts"]],
    }


def read(path: Path) -> dict[str, Any] | None:
    """A JSON file, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def write(out: Path, assets: Path | None = None, notes: list[str] | None = None) -> str:
    """Write report.md and the figures from all stored results; with `assets`, also the copies to keep. Returns the report."""
    groups, ceiling, speed = load(out), read(out / "ceiling.json"), read(out / "speed.json")
    text = markdown(groups, ceiling, speed, notes or [])
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(text, encoding="utf-8")
    best = None if ceiling is None else ceiling["mean"]
    for folder in [out] if assets is None else [out, assets]:
        folder.mkdir(parents=True, exist_ok=True)
        figure(groups, best, folder / "learning.png")
        figure_more(groups, best, folder / "learning_more.png")
    if assets is not None:
        kept = json.dumps(compact(groups, ceiling, speed), indent=None, separators=(",", ":"))
        (assets / "bench.json").write_text(kept.replace('],"', '],\n"') + "\n", encoding="utf-8")
        readme.write()
    return text


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results (default: build/bench)")
    parser.add_argument("--keep", action="store_true", help="also write notebooks/assets/bench.json and the figures beside it")
    arguments = parser.parse_args()
    print(write(arguments.out, ROOT / "notebooks" / "assets" if arguments.keep else None))


if __name__ == "__main__":
    main()

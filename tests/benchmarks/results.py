"""Keep what was measured, and write it into README.md and RESULTS.md.

    python tests/benchmarks/results.py

Copies the reports of the studies in build/studies to notebooks/assets/studies, where they have been made, and writes both texts and the
README's figure from what is kept in notebooks/assets. What has not been measured yet is left out, with a sentence. A test holds both
texts against the same files, so that no number in them can be out of date or typed by hand.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.errors import DreamerError
from dreamer_core.study import stored
from dreamer_core.study.report import at_a_time, grid, shown, steps
from dreamer_core.study.statistics import Estimate
from dreamer_core.viz.curves import COLOURS
from dreamer_core.viz.show import SMALLEST, png

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "studies"
ASSETS = ROOT / "notebooks" / "assets"
BEGIN, END = "<!-- measured: written by tests/benchmarks/results.py -->", "<!-- end of measured -->"
STUDIES = {
    "suite": "The small worlds: v1 beside SAC on real steps",
    "suite_long": "Worlds of ten thousand steps, or of MuJoCo: v1 beside SAC on real steps",
    "readings": "What v1's notes leave open",
    "departures": "Each departure from v1's notes undone, and some other settings",
    "units": "The same world in other units",
    "paper": "What each piece of the paper buys when it is added to v1",
    "paper_less": "What each piece of the paper buys when it is taken out of all of them",
    "pixels": "A world seen as pictures",
    "pixels_less": "What the preset for pictures is for",
}
FIGURES = ("differences", "scores", "curves", "profiles")
SUITE, FIRST = "suite", "Pendulum-v1"  # the study of the README's block, and the world of its figure
LABELS = {"default": "v1", "sac": "our SAC", "sb3_sac": "stable-baselines3's SAC", "sb3_sac, 3 x the steps": "the same, 3 times the steps"}
DRAWN = {"default": "v1", "sac": "our SAC on real steps", "sb3_sac, 3 x the steps": "stable-baselines3's SAC"}
MISSING = "has not been measured yet: `make bench` does it."


# --- keeping -----------------------------------------------------------------------------------


def keep(build: Path = BUILD) -> list[str]:
    """Copy the reports and figures of the studies that were made; returns a sentence for each run that is not finished."""
    stored.FOLDER.mkdir(parents=True, exist_ok=True)
    told = []
    for study in STUDIES:
        if not (build / study / "report.json").exists():
            continue
        for name, place in {"report.json": f"{study}.json", "report.md": f"{study}.md"}.items():
            (stored.FOLDER / place).write_bytes((build / study / name).read_bytes())
        for name in FIGURES:
            if (build / study / f"{name}.png").exists():
                (stored.FOLDER / f"{study}-{name}.png").write_bytes((build / study / f"{name}.png").read_bytes())
        told += [f"{study}: {run['run']} is not finished ({run['state']})" for run in stored.report(study)["unfinished"]]
    return told


def read(path: Path) -> dict[str, Any] | None:
    """A JSON file, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


# --- the README's block ------------------------------------------------------------------------


def block() -> str:
    """The text between the README's two marks: one table, three sentences, one figure."""
    try:
        suite = stored.report(SUITE)
    except DreamerError:
        return f"The suite of worlds {MISSING} The long page is [RESULTS.md](RESULTS.md)."
    made = ", ".join(f"torch {version}" for version in sorted({one["torch"] for one in suite["made_with"]}))
    return "\n".join(
        [
            worlds_table(suite),
            "",
            "A score is 0 for random actions and 1 for the best return that is known: the interquartile mean over the seeds, in brackets",
            "its bootstrap interval of 95 % and the number of seeds; none is left out, and one that never solves its world counts as",
            "infinitely late. Our SAC is the agent's own class on real steps instead of imagined ones, and stable-baselines3's has that",
            f"library's defaults ({made}{at_a_time(suite['workers'])}). [RESULTS.md](RESULTS.md) has the curves of all seeds, the seconds,",
            "what each setting does, the speed, and a world with a known answer; `make bench` measures all of it anew.",
            *(
                ["", f"![Learning curves of {FIRST}, all seeds, against steps and seconds](notebooks/assets/learning.png)"]
                if drawn()
                else []
            ),
        ]
    )


def worlds_table(suite: dict[str, Any]) -> str:
    """A row for each world: v1 in detail, and the scores of the others."""
    cells = {(cell["world"], cell["label"]): cell for cell in suite["cells"]}
    rows = []
    for world, place in suite["worlds"].items():
        ours, *others = (cells[world, label] for label in LABELS)
        rows.append([world, f"{place['env_steps']:,}", score(ours), *returns(ours), *map(score, others)])
    head = [
        "world",
        "steps",
        "score of v1",
        "its return: median",
        "seeds that solved it",
        "after steps: median",
        *list(LABELS.values())[1:],
    ]
    return signed(grid(head, rows))


def score(cell: dict[str, Any]) -> str:
    """The score of a cell with its interval and its number of seeds."""
    return shown(estimate(cell["score"]), digits=2) if cell["seeds"] else "no run"


def returns(cell: dict[str, Any]) -> tuple[str, str, str]:
    """The median return of a cell, how many seeds solved their world, and the median of their steps."""
    if not cell["seeds"]:
        return "", "", ""
    late = [np.inf if number is None else number for number in cell["steps_to_solve"]]
    solved = (f"{sum(map(np.isfinite, late))} of {len(late)}", steps(float(np.median(late)))) if late else ("no mark", "")
    return f"{np.median(cell['returns']):,.1f}", *solved


def estimate(found: dict[str, Any]) -> Estimate:
    """An estimate as JSON holds it."""
    low, high = (np.nan if found[end] is None else found[end] for end in ("low", "high"))
    return Estimate(found["value"], low, high, found["runs"])


def signed(text: str) -> str:
    """The same with true minus signs."""
    return re.sub(r"(?<![\w-])-(?=\d)", "−", text)


def drawn() -> list[str]:
    """The labels that the README's figure can show."""
    return [label for label in DRAWN if next(cell for cell in stored.report(SUITE)["cells"] if found(cell, label))["seeds"]]


def found(cell: dict[str, Any], label: str) -> bool:
    """Whether this cell is that of a label in the figure's world."""
    return (cell["world"], cell["label"]) == (FIRST, label)


def figure() -> Figure:
    """Thin lines for seeds, a thick one for their median; against steps, and against seconds of training."""
    drawing, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", sharey=True)
    for label, colour in zip(drawn(), COLOURS):
        runs = stored.runs(SUITE, FIRST, label)
        seeds = f"{len(runs)} seed" + "s" * (len(runs) > 1)
        middle = np.median([run[: min(map(len, runs))] for run in runs], 0)  # evaluation by evaluation, as far as all seeds went
        for axis, column in zip(axes, (0, 2)):
            for run in runs:
                axis.plot(run[:, column], run[:, 1], color=colour, linewidth=0.6, alpha=0.35)
            axis.plot(middle[:, column], middle[:, 1], color=colour, linewidth=2.4, label=f"{DRAWN[label]} ({seeds})", zorder=3)
    place = stored.report(SUITE)["worlds"][FIRST]
    for axis, name in zip(axes, ("environment steps", "seconds of acting and learning")):
        for value, word in ((place["best"], "best"), (place["random"], "random")):
            axis.axhline(value, color="0.35", linewidth=0.9, linestyle="--" if word == "best" else ":", zorder=1)
        axis.set_xlim(left=0)
        axis.set_xlabel(name)
        axis.grid(color="0.9", linewidth=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=SMALLEST)
    for value, word in ((place["best"], "best"), (place["random"], "random")):
        axes[1].annotate(word, (1.01, value), xycoords=("axes fraction", "data"), va="center", fontsize=SMALLEST, color="0.25")
    axes[0].set_ylabel("mean return of an evaluation")
    drawing.suptitle(f"{FIRST}: thin lines are single seeds, thick lines their median", fontsize=11)
    handles, labels = axes[0].get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=SMALLEST)
    return drawing


def readme(text: str) -> str:
    """A README with the block between its two marks.

    Raises:
        ValueError: the marks are missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md lacks the lines {BEGIN} and {END}: put them around the measured block")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{block()}\n{END}{rest.split(END)[1]}"


# --- RESULTS.md --------------------------------------------------------------------------------


def page() -> str:
    """The whole of RESULTS.md."""
    parts = [
        "# Results, measured",
        "Written by `tests/benchmarks/results.py`, at the end of `make bench`, from what is kept in "
        "[notebooks/assets](notebooks/assets). The studies are those of [studies](studies): what each report says of scores, seeds and "
        "intervals is explained at its beginning, and no seed is left out of it.",
    ]
    for study, title in STUDIES.items():
        parts += [f"## {title}", study_part(study)]
    parts += ["## Speed", speed_part(read(ASSETS / "speed.json"))]
    parts += ["## A world with a known answer", known_part(read(ASSETS / "known_world.json") or {})]
    return "\n\n".join(parts) + "\n"


def study_part(study: str) -> str:
    """The report of a study, without its title and one level deeper, with the figures that are kept."""
    report = stored.FOLDER / f"{study}.md"
    if not report.exists():
        return f"The study [{study}](studies/{study}.yaml) {MISSING}"
    _, _, text = report.read_text(encoding="utf-8").partition("\n\n")
    text = re.sub(r"^## ", "### ", text, flags=re.MULTILINE)
    text = re.sub(r"\]\((\w+)\.png\)", rf"](notebooks/assets/studies/{study}-\1.png)", text)
    return f"From [{study}.yaml](studies/{study}.yaml): {signed(text).rstrip()}"


def speed_part(speed: dict[str, Any] | None) -> str:
    """Updates per second, and what the sizes and parts are."""
    if speed is None:
        return f"The speed {MISSING}"
    notes = "\n".join(f"* {note}" for note in speed["notes"])
    return f"On {speed['cpus']} CPUs, torch {speed['torch']} (`tests/benchmarks/speed.py`).\n\n{speed_table(speed['parts'])}\n\n{notes}"


def speed_table(parts: Sequence[dict[str, Any]]) -> str:
    """Updates per second by part, beside the same matrix products alone."""
    head = ["size", "part", "threads", "updates per second", "its matrix products alone", "share of that roof"]
    return grid(
        head,
        [
            [row["size"], row["part"], str(row["threads"]), f"{row['per_s']:.1f}", f"{row['roof_per_s']:.1f}",
             f"{100 * row['per_s'] / row['roof_per_s']:.0f} %"]
            for row in parts
        ],
    )  # fmt: skip


def known_part(known: dict[str, Any]) -> str:
    """What belief and agent lack to the best there is. One row per seed: no mean hides a bad one."""
    parts = []
    beliefs = [(part, seed, row) for part in ("gaussian", "categorical") for seed, row in enumerate(known.get(part, []))]
    if beliefs:
        head = ["z", "seed", "gap, seen", "gap, blind", "gap, reappearance", "spread", "spread, blind", "CPU s"]
        names = ("visible", "blind", "reappearance", "spread", "spread_blind")
        rows = [[part, str(seed), *(f"{row[name]:.3f}" for name in names), f"{row['cpu_s']:.0f}"] for part, seed, row in beliefs]
        parts += [grid(head, rows), "Gaps in nats per step over the exact belief; spreads are ratios of standard deviations."]
    if known.get("agent"):
        head = ["agent, seed", "cost", "LQG's", "excess", "doing nothing", "at random", "CPU s"]
        rows = []
        for seed, row in enumerate(known["agent"]):
            excess = f"{100 * row['excess']:.1f} ± {100 * row['error']:.1f} %"
            numbers = [f"{row[name]:.1f}" for name in ("nothing", "random")]
            rows.append([str(seed), f"{row['agent']:.2f}", f"{row['best']:.2f}", excess, *numbers, f"{row['cpu_s']:.0f}"])
        lqg = known["lqg"]
        parts += [
            grid(head, rows),
            f"Costs per episode, mean of the same {lqg['episodes']} for everyone; ± is one standard error of the paired difference.\n"
            f"LQG: expected {lqg['exact']:.2f} without a bound on actions; at the bound in {100 * lqg['clipped']:.2f} % of steps.",
        ]
    if not parts:
        return f"It {MISSING}"
    told = "Each row is one seed on one core (`tests/benchmarks/known_world.py`)."
    return "\n\n".join([told, *parts])


# --- writing -----------------------------------------------------------------------------------


def write() -> None:
    """Write the README's figure and block, and RESULTS.md."""
    if (stored.FOLDER / f"{SUITE}.json").exists() and drawn():
        (ASSETS / "learning.png").write_bytes(png(figure(), dpi=110))
    path = ROOT / "README.md"
    path.write_text(readme(path.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "RESULTS.md").write_text(page(), encoding="utf-8")


def main() -> None:
    """Keep, write, and say what is missing."""
    matplotlib.use("Agg")
    unfinished = keep()
    write()
    print("\n".join([*unfinished, f"written: {ROOT / 'README.md'} and {ROOT / 'RESULTS.md'}, from {ASSETS}"]))


if __name__ == "__main__":
    main()

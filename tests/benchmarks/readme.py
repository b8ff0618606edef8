"""Write the measured tables of the README from notebooks/assets/bench.json and known_world.json.

python tests/benchmarks/readme.py

A test holds the README against the same files, so no number in it can be out of date or typed by hand.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- measured: written by tests/benchmarks/readme.py -->", "<!-- end of measured -->"
NAMES = {
    "dropin": "v1 `dropin`",
    "advantage": "v1 `advantage`",
    "sac": "our SAC on real steps",
    "sb3": "stable-baselines3 SAC",
    "cut": "z cut (v1)",
    "uncut": "z not cut (`--model.detach-z False`)",
}
Curves = dict[str, dict[str, Any]]


def number(value: float, digits: int = 0) -> str:
    """A number with thousands separated and a true minus sign; infinity is "never"."""
    return "never" if math.isinf(value) else f"{value:,.{digits}f}".replace("-", "−")


def spread(values: Sequence[float], digits: int = 0) -> str:
    """Median (smallest to largest)."""
    return f"{number(median(values), digits)} ({number(min(values), digits)} to {number(max(values), digits)})"


def crossings(group: dict[str, Any], goal: float) -> tuple[list[float], list[float]]:
    """For each seed the steps, and the seconds, of the first evaluation at or above the goal; infinite if there is none."""
    steps, seconds = [], []
    for curve, wall in zip(group["mean"], group["wall_s"]):
        at = next((i for i, value in enumerate(curve) if value >= goal), None)
        steps.append(math.inf if at is None else group["env_steps"][at])
        seconds.append(math.inf if at is None else wall[at])
    return steps, seconds


def table(curves: Curves, suite: str, cores: int, goals: Sequence[float], first: str) -> list[str]:
    """One row per variant of a suite."""
    heads = [first, "length"]
    for goal in goals:
        heads += [f"reach {number(goal)}", "steps", "seconds"]
    heads.append("mean of the last five evaluations")
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for key, group in curves.items():
        if key.split("/")[0] != suite or int(key.split("/")[2]) != cores:
            continue
        name = key.split("/")[1]
        row = [NAMES.get(name, name), number(group["env_steps"][-1])]
        for goal in goals:
            steps, seconds = crossings(group, goal)
            row += [f"{sum(map(math.isfinite, steps))} of {len(steps)}", spread(steps), spread(seconds)]
        row.append(spread([mean(curve[-5:]) for curve in group["mean"]], 1))
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, ""]


def speed_table(parts: list[dict[str, Any]]) -> list[str]:
    """Updates per second on one thread, beside the bare matrix products."""
    lines = ["| one thread, updates per second | measured | its matrix products alone |", "|---|---|---|"]
    for row in parts:
        if row["threads"] == 1:
            lines.append(f"| {row['size']}: {row['part']} | {number(row['per_s'], 1)} | {number(row['roof_per_s'], 1)} |")
    return [*lines, ""]


def known_tables(known: dict[str, Any]) -> list[str]:
    """The world with a known answer: what belief and agent lack to the best there is. One row per seed: no mean hides a bad one."""
    lines = []
    beliefs = [(part, seed, row) for part in ("gaussian", "categorical") for seed, row in enumerate(known.get(part, []))]
    if beliefs:
        lines += ["| z | seed | gap, seen | gap, blind | gap, reappearance | spread | spread, blind | CPU s |", "|---" * 8 + "|"]
        for part, seed, row in beliefs:
            numbers = [f"{row[name]:.3f}" for name in ("visible", "blind", "reappearance", "spread", "spread_blind")]
            lines.append(f"| {part} | {seed} | {' | '.join(numbers)} | {row['cpu_s']:.0f} |")
        lines += ["", "Gaps in nats per step over the exact belief; spreads are ratios of standard deviations.", ""]
    if known.get("agent"):
        lines += ["| agent, seed | cost | LQG's | excess | doing nothing | at random | CPU s |", "|---" * 7 + "|"]
        for seed, row in enumerate(known["agent"]):
            numbers = [f"{row[name]:.1f}" for name in ("nothing", "random")]
            excess = f"{100 * row['excess']:.1f} ± {100 * row['error']:.1f} %"
            lines.append(f"| {seed} | {row['agent']:.2f} | {row['best']:.2f} | {excess} | {' | '.join(numbers)} | {row['cpu_s']:.0f} |")
        lqg = known["lqg"]
        lines += [
            "",
            f"Costs per episode, mean of the same {lqg['episodes']} for everyone; ± is one standard error of the paired difference.",
            f"LQG: expected {lqg['exact']:.2f} without a bound on actions; at the bound in {100 * lqg['clipped']:.2f} % of steps.",
        ]
    return lines


def measured(bench: dict[str, Any], known: dict[str, Any]) -> str:
    """The text between the two marks."""
    curves = bench["curves"]
    lines = [
        "Each entry is the median over the seeds, with the smallest and largest in brackets and no seed left out. Steps and seconds",
        "count to the first evaluation at or above the mark. Every evaluation is the mean of the same 50 episodes (reset seeds 20000",
        "to 20049), one every 200 steps; its time is not counted. The best that *any* controller can reach on these episodes is",
        f"**{number(bench['ceiling'], 1)}** (`python -m dreamer_core.yardsticks.ceiling`). "
        f"torch {bench['torch']}, {bench['cpu_cores']} cores.",
        "",
        "**Pendulum-v1, one core**",
        "",
        *table(curves, "pendulum", 1, (-200, -150), "agent"),
    ]
    if any(key.endswith("/2") for key in curves):
        lines += ["**Pendulum-v1, two cores**", "", *table(curves, "pendulum", 2, (-200, -150), "agent")]
    lines += [
        "**Velocity hidden** (observations cos and sin), so that memory matters; only that and the cut of z's gradient change:",
        "",
        *table(curves, "hidden", 1, (-200, -160), "one core"),
        "**Each departure from v1's notes undone**, one at a time:",
        "",
        *table(curves, "departures", 1, (-200, -150), "one core"),
        "**InvertedPendulum-v5**, the same settings, and one departure undone (1,000 is the most there is):",
        "",
        *table(curves, "inverted", 1, (950, 1000), "one core"),
    ]
    hard = {key.split("/")[1]: group for key, group in curves.items() if key.startswith("curves/")}
    if hard:
        ends = [f"{name} ends at {number(group['mean'][0][-1])}" for name, group in hard.items()]
        lines += [f"Two harder tasks, one seed and {number(next(iter(hard.values()))['env_steps'][-1])} steps each: {'; '.join(ends)}.", ""]
    if bench["speed"]:
        lines += ["**Speed** (the sizes are explained in [tests/benchmarks/speed.py](tests/benchmarks/speed.py)):", ""]
        lines += speed_table(bench["speed"])
    if tables := known_tables(known):
        lines += ["**A world with a known answer**, each row one seed, one core (`tests/benchmarks/known_world.py`):", "", *tables]
    return "\n".join(lines).rstrip()


def filled(text: str, bench: dict[str, Any], known: dict[str, Any]) -> str:
    """A README with the measured tables between its two marks.

    Raises:
        ValueError: the marks are missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"README.md lacks the lines {BEGIN} and {END}: put them around the measured tables")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{measured(bench, known)}\n{END}{rest.split(END)[1]}"


def write() -> None:
    """Fill the README in."""
    path = ROOT / "README.md"
    path.write_text(filled(path.read_text(encoding="utf-8"), *kept()), encoding="utf-8")


def kept() -> tuple[dict[str, Any], dict[str, Any]]:
    """The results that the benchmarks left in notebooks/assets: bench.json, known_world.json."""
    return tuple(
        json.loads((ROOT / "notebooks" / "assets" / name).read_text(encoding="utf-8")) for name in ("bench.json", "known_world.json")
    )


if __name__ == "__main__":
    write()

"""The report of a study: report.md for people, report.json for programs, and figures beside them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dreamer_core.errors import DreamerError
from dreamer_core.study.figures import curves, differences, profiles, scores
from dreamer_core.study.plan import Plan, count
from dreamer_core.study.results import Pair, Results, doubts
from dreamer_core.study.statistics import DIGITS, Estimate, estimate, interquartile_mean, median, told
from dreamer_core.viz.show import png

FEW = 5  # seeds, below which a bootstrap interval is too narrow to be believed
PAGE = "look.html"  # in a run's folder, where `dreamer_core.look` writes it
SOLVING = ("solved", "steps to solve: median (fastest to slowest)", "seconds to solve: median")
FIGURES = {
    "differences": lambda results: differences(results.pairs(), results.readings[0].label),
    "scores": scores,
    "curves": curves,
    "profiles": profiles,
}


def write(results: Results) -> str:
    """Write everything into the study's folder; returns the text of report.md.

    Raises:
        DreamerError: the folder cannot be written to.
    """
    text = markdown(results)
    files = {"report.md": text.encode(), "report.json": as_json(results.data()).encode()}
    files |= {f"{name}.png": png(draw(results), dpi=110) for name, draw in FIGURES.items() if f"]({name}.png)" in text}
    try:
        for name, content in files.items():
            (results.out / name).write_bytes(content)
    except OSError as error:
        raise DreamerError(
            f"could not write the report to {results.out} ({error.strerror or error}); the runs are kept: make room and start again"
        ) from None
    return text


def as_json(data: dict[str, Any]) -> str:
    """JSON with a line for each entry of a list, as for each world and arm: small, and its changes can be read."""

    def lines(value: Any) -> str:
        entries = [json.dumps(entry, separators=(",", ":"), ensure_ascii=False) for entry in value] if isinstance(value, list) else []
        return "[\n " + ",\n ".join(entries) + "\n]" if entries else json.dumps(value, separators=(",", ":"), ensure_ascii=False)

    return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(value)}" for key, value in data.items()) + "\n}\n"


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [f"# Study: {results.plan.name}", opening(results), *unfinished(results)]
    if any(cell.seeds for cell in results.cells.values()):
        parts += ["## Which is better?", *verdicts(results)]
        if len(results.plan.worlds) > 1:
            parts += ["## All worlds together", together(results)]
        parts += ["![Scores of every arm in every world, with intervals](scores.png)"]
        for world in results.plan.worlds:
            parts += [f"## {world}", about(results, world), table(results, world)]
        parts += ["## Learning curves", "![Learning curves of all seeds](curves.png)"]
        parts += ["## Performance profiles", "![The share of runs above each score](profiles.png)"]
    parts += ["## The arms", arms(results), *looked_at(results), "## To be known", *known(results)]
    return "\n\n".join(parts) + "\n"


def opening(results: Results) -> str:
    """What was compared, and how."""
    plan = results.plan
    done = len(results.runs) - len(results.unfinished())
    size = ", ".join(count(len(things), name) for things, name in ((plan.arms, "arm"), (plan.worlds, "world"), (results.runs, "run")))
    return (
        f"{size}, of which {done} are finished. "
        f"A score is 0 for random actions and 1 for the best return that is known. *Score* is the interquartile mean of all runs (the mean "
        f"without the lowest and the highest quarter; with fewer than four runs nothing is left out). In brackets: the stratified "
        f"bootstrap interval of 95 %, and the number of runs behind it. Definitions: Agarwal et al., arXiv 2108.13264."
    )


def unfinished(results: Results) -> list[str]:
    """The runs whose numbers are not in the report, if there are any."""
    runs = results.unfinished()
    if not runs:
        return []
    rows = []
    for run in runs:
        reached = int(run.curve[-1, 0]) if len(run.curve) else 0
        what = "not finished" if run.state == "missing" else f"failed: {run.state}"
        rows.append(f"* {run.job.name}: step {reached} of {run.job.env_steps}, {what}")
    return ["## Not finished", "The tables leave these runs out. Start the study again to try them again.", "\n".join(rows)]


def verdicts(results: Results) -> list[str]:
    """A sentence for each arm, and the table of its differences from the first."""
    pairs, first = results.pairs(), results.readings[0].label
    if len(results.readings) == 1:
        return ["There is one arm, and nothing to hold it against."]
    if not pairs:
        return [f"No arm has a finished seed in common with {first}, so that nothing can be compared yet."]
    overall = {pair.label: pair for pair in pairs if pair.world == "" or len(results.plan.worlds) == 1}
    lines = [f"* {judged(results, reading.label, overall.get(reading.label))}" for reading in results.readings[1:]]
    rows = [
        [pair.label, pair.world or "all worlds", shown(pair.difference, sign=True), f"{pair.better} of {pair.difference.runs}"]
        for pair in pairs
    ]
    head = ["arm", "world", f"score less that of {first}, same seed: mean", "pairs in which it is better"]
    return ["\n".join(lines), "![Differences from the first arm, arms down and worlds across](differences.png)", grid(head, rows)]


def judged(results: Results, label: str, overall: Pair | None) -> str:
    """The verdict on an arm, and the worlds that have no part in it because nothing can be paired there."""
    first = results.readings[0].label
    if overall is None:
        return f"**{label}** against **{first}**: no seed is finished in both, so that they cannot be compared."
    apart = results.unpaired(label)
    left_out = f" Left out: {', '.join(apart)}, where no seed is finished in both." if apart else ""
    return verdict(overall, first) + left_out


def verdict(pair: Pair, first: str) -> str:
    """One honest line: is it better?"""
    value, low, high = map(told, pair.difference[:3])
    runs = pair.difference.runs
    pairs = f"{runs} pair{'s' * (runs != 1)} of runs with the same seed"
    if np.isnan(low):
        return f"**{pair.label}** against **{first}**: one run says nothing about how runs differ; run more seeds ({value:+.3f}, {pairs})."
    word = "better" if low > 0 else "worse" if high < 0 else "not told apart"
    few = f" Fewer than {FEW} seeds in a world: do not trust this interval." if pair.fewest < FEW else ""
    return (
        f"**{pair.label}** against **{first}**: {word}. The difference of their scores is {value:+.3f} "
        f"(interval {low:+.3f} to {high:+.3f}; {pairs}, better in {pair.better}).{few}"
    )


def together(results: Results) -> str:
    """A row for each reading over all worlds, which names those that it has no run in."""
    rows = []
    for reading in results.readings:
        strata = results.strata(reading.label)
        if not sum(map(len, strata)):
            rows.append([reading.label, "no run finished", "", "", ""])
            continue
        cells = [results.cells[world, reading.label] for world in results.plan.worlds]
        lowest = min((float(cell.scores.min()), world, cell.seeds[int(cell.scores.argmin())])
                     for world, cell in zip(results.plan.worlds, cells) if cell.seeds)  # fmt: skip
        missing = [world for world, cell in zip(results.plan.worlds, cells) if not cell.seeds]
        name = f"{reading.label} (without {', '.join(missing)})" if missing else reading.label
        marked = [cell.solved for cell in cells]
        solved = f"{sum(int(np.isfinite(steps).sum()) for steps in marked)} of {sum(map(len, marked))}"
        score, middle = estimate(strata, interquartile_mean), estimate(strata, median)
        rows.append([name, shown(score), shown(middle), f"{lowest[0]:.3f} ({lowest[1]}, seed {lowest[2]})", solved])
    return grid(["arm", "score", "median", "worst run", "runs that solved their world"], rows)


def about(results: Results, world: str) -> str:
    """What the world is and how it was measured."""
    place, measure = results.plan.worlds[world], results.plan.measures[world]
    changed = f" with {', '.join(f'{name} {value}' for name, value in place.wrappers.items())}" if place.wrappers else ""
    solved = f", solved at {place.solved:g}" if place.solved is not None else ""
    result = f"the mean of its last {measure.last} evaluations" if measure.last > 1 else "its last evaluation"
    return (
        f"{place.env}{changed}, {place.env_steps:,} steps. Returns: random {place.random:g}, best known {place.best:g}{solved}. "
        f"The result of a run is {result}; "
        f"there is one of {count(measure.episodes, 'episode')} every {measure.every} steps."
    )


def table(results: Results, world: str) -> str:
    """A row for each reading in one world."""
    rows = []
    for reading in results.readings:
        cell = results.cells[world, reading.label]
        seeds = f"{len(cell.seeds)} of {len(results.plan.seeds_of(world, reading.arm))}"
        if not cell.seeds:
            rows.append([reading.label, "no run finished", "", "", "", "", "", "", seeds])
            continue
        worst = int(cell.scores.argmin())
        rows.append(
            [
                reading.label,
                shown(estimate([cell.scores], interquartile_mean)),
                shown(estimate([cell.scores], median)),
                shown(estimate([cell.returns], interquartile_mean), digits=1),
                f"{cell.scores[worst]:.3f} (seed {cell.seeds[worst]}, return {cell.returns[worst]:.1f})",
                *solving(cell.solved, cell.seconds),
                seeds,
            ]
        )
    head = ["arm", "score", "median score", "return", "worst seed", *SOLVING, "seeds"]
    return grid(head, rows)


def solving(solved: np.ndarray, seconds: np.ndarray) -> tuple[str, str, str]:
    """How many runs solved their world, after how many steps and seconds; one that never did counts as infinitely late."""
    if not len(solved):
        return "no mark", "", ""
    middle, low, high = np.median(solved), solved.min(), solved.max()
    spread = f"{steps(middle)} ({steps(low)} to {steps(high)})"
    return f"{int(np.isfinite(solved).sum())} of {len(solved)}", spread, steps(np.median(seconds))


def steps(number: float) -> str:
    """A number of steps or of seconds, or that it was never reached."""
    return f"{number:,.0f}" if np.isfinite(number) else "never"


def shown(value: Estimate, digits: int = DIGITS, sign: bool = False) -> str:
    """An estimate with its interval and its number of runs; never without them."""
    form = f"{'+' if sign else ''}.{digits}f"
    middle, low, high = (told(number, digits) for number in value[:3])
    between = "no interval" if np.isnan(low) else f"{low:{form}} to {high:{form}}"
    return f"{middle:{form}} ({between}; {value.runs})"


def grid(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def arms(results: Results) -> str:
    """What each arm sets."""
    settings = {}
    for name, arm in results.plan.arms.items():
        times = {"times": arm.times} if arm.times > 1 else {}
        seeds = {"seeds": list(arm.seeds)} if arm.seeds else {}
        settings[name] = times | seeds | arm.settings or "the defaults"
    return f"```yaml\n{yaml.safe_dump(settings, sort_keys=False, default_flow_style=None).strip()}\n```"


def looked_at(results: Results) -> list[str]:
    """Links to the pages of runs that somebody looked at (`python -m dreamer_core.look RUN`)."""
    pages = [(run.job.name, Path(run.job.path) / PAGE) for run in results.runs]
    lines = [f"* [{name}]({page.relative_to(results.out.absolute()).as_posix()})" for name, page in pages if page.exists()]
    return ["## Pages of runs", "\n".join(lines)] if lines else []


def known(results: Results) -> list[str]:
    """What a reader must know before quoting these numbers."""
    plan = results.plan
    lines = [f"* Seeds of {world}: {', '.join(map(str, plan.seeds[world]))}{fewer(plan, world)}." for world in plan.worlds]
    made = results.made_with()
    lines += [f"* {world}: {sentence}." for world in plan.worlds for sentence in doubts(plan, world)]
    lines += [f"* Made with torch {one['torch']} and the agent's code {one['code']}." for one in made]
    if len({one["code"] for one in made}) > 1:
        lines.append("* These runs were made with more than one version of the agent's code: make the study anew in another folder.")
    lines.append(f"* Seconds: training time alone, evaluations not counted{at_a_time(results.workers())}.")
    by_world = [[len(plan.seeds_of(world, arm)) for arm in plan.arms] for world in plan.worlds]
    if min(map(min, by_world)) < FEW:
        lines.append(f"* With fewer than {FEW} seeds in a world bootstrap intervals are too narrow: take them as a hint.")
    if any(len(set(numbers)) > 1 for numbers in zip(*by_world)):
        lines.append("* The worlds have unequal numbers of seeds; over all worlds every run counts alike.")
    if any(len(set(numbers)) > 1 for numbers in by_world):
        lines.append(
            "* The arms have unequal numbers of seeds, so that their scores are over different runs: "
            "compare arms by their differences, which take only the seeds that both have."
        )
    lines += [f"* {', '.join(names)}: {sentence}." for sentence, names in results.warnings().items()]
    return ["\n".join(lines)]


def fewer(plan: Plan, world: str) -> str:
    """The arms that have not all of a world's seeds, and those that they have, as the end of a sentence; empty if there are none."""
    own = {arm: plan.seeds_of(world, arm) for arm in plan.arms}
    return "".join(f"; of {arm} only {', '.join(map(str, seeds))}" for arm, seeds in own.items() if seeds != plan.seeds[world])


def at_a_time(workers: list[int]) -> str:
    """With how many workers a study was made, as the end of a sentence; empty if that is not known."""
    return f"; {' or '.join(map(str, workers))} run{'s' * (workers != [1])} at a time" if workers else ""

"""The reports of studies that are kept with the course, for those who quote them: notebooks, README.md and RESULTS.md.

    stored.curves("suite", "Pendulum-v1", "sac")      a run for each seed, as `viz.curves.learning_curve` draws them

`make bench` makes the studies and keeps their reports. A label is an arm's name, or "NAME, 3 x the steps" for one that runs longer.
"""

import json
from typing import Any

import numpy as np

from dreamer_core.assets import ASSETS
from dreamer_core.errors import DreamerError
from dreamer_core.study.results import Pair
from dreamer_core.study.statistics import Estimate, first_at

FOLDER = ASSETS / "studies"


def report(study: str) -> dict[str, Any]:
    """What the report.json of a study holds (`Results.data`).

    Raises:
        DreamerError: no report of this study is kept.
    """
    try:
        return json.loads((FOLDER / f"{study}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DreamerError(f"no report of the study {study} is kept in {FOLDER}: make it with `make bench`") from None


def cell(study: str, world: str, label: str) -> dict[str, Any]:
    """Everything about one label in one world.

    Raises:
        DreamerError: no report of this study is kept, or it has no such world or label, or no run of them.
    """
    cells = {(found["world"], found["label"]): found for found in report(study)["cells"]}
    if (world, label) not in cells:
        known = "; ".join(f"{label} in {world}" for world, label in cells)
        raise DreamerError(f"the study {study} has no {label} in {world}: choose from {known}")
    if not cells[world, label]["seeds"]:
        raise DreamerError(f"the study {study} has no finished run of {label} in {world}: make it with `make bench`")
    return cells[world, label]


def runs(study: str, world: str, label: str) -> list[np.ndarray]:
    """The evaluations of each seed: rows of steps, mean return and seconds of training, (M, 3) each."""
    return [np.array(run, float) for run in cell(study, world, label)["curves"]]


def curves(study: str, world: str, label: str) -> list[np.ndarray]:
    """The learning curve of each seed: rows of steps and mean return, (M, 2) each."""
    return [run[:, :2] for run in runs(study, world, label)]


def reached(study: str, world: str, label: str, mark: float) -> list[float]:
    """For each seed the steps of its first evaluation at or above a mark; infinite if there is none."""
    return [first_at(run, mark) for run in runs(study, world, label)]


def seconds(study: str, world: str, label: str) -> list[float]:
    """For each seed the seconds of training, evaluations not counted."""
    return [float(run[-1, 2]) for run in runs(study, world, label)]


def pairs(study: str) -> list[Pair]:
    """The differences of every arm from the first, in each world and in all together, as `figures.differences` draws them."""
    found = []
    for one in report(study)["against_the_first"]:
        value, low, high, runs = (one["difference"][name] for name in ("value", "low", "high", "runs"))
        ends = [float("nan") if end is None else end for end in (low, high)]
        found.append(Pair(one["world"] or "", one["label"], Estimate(value, *ends, runs), one["better"], one["fewest"]))
    return found

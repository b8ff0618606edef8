"""What the run folders of a study say, as scores and returns: everything that the report is made of."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dreamer_core.config import WrapperConfig
from dreamer_core.study import earlier
from dreamer_core.study.job import Job, failure, finished, history, jobs, measured, steps_done
from dreamer_core.study.plan import Plan, Reading
from dreamer_core.study.statistics import Estimate, estimate, first_at, interquartile_mean, mean, median, told
from dreamer_core.yardsticks import scales


class Run(NamedTuple):
    """One run as far as it went."""

    job: Job
    curve: np.ndarray  # (M, 3), rows of steps, mean return and seconds of training
    state: str  # "finished", "missing", or the sentence with which it failed
    history: list[dict[str, Any]]


class Cell(NamedTuple):
    """All runs of a reading in a world that reached its length; S of them, seeds in order."""

    seeds: list[int]
    curves: list[np.ndarray]  # (M, 3) each, rows as in `Run`, cut at the reading's length
    returns: np.ndarray  # (S,), the result of each run in the world's units
    scores: np.ndarray  # (S,)
    solved: np.ndarray  # (S,), steps until it was solved, infinite if never; empty where the world has no such mark
    seconds: np.ndarray  # as `solved`, in seconds of training: acting and learning, without evaluations


class Pair(NamedTuple):
    """A reading held against the first one, seed by seed."""

    world: str  # "" for all worlds together
    label: str
    difference: Estimate  # the mean of the differences of scores; `runs` counts pairs
    better: int  # pairs in which it is the better one
    fewest: int  # pairs in the world that has the fewest


class Results:
    """The results of a study.

    Args:
        plan: the study. out: its folder.

    Attributes:
        runs: every run, as far as it went. cells: by (world, label of a reading).
    """

    def __init__(self, plan: Plan, out: Path) -> None:
        self.plan, self.out, self.readings = plan, out, plan.readings()
        self.runs = [Run(job, curve(Path(job.path)), state(job), history(job)) for job in jobs(plan, out)]
        self.cells = {(world, reading.label): self._cell(world, reading) for world in plan.worlds for reading in self.readings}

    def _cell(self, world: str, reading: Reading) -> Cell:
        place, measure = self.plan.worlds[world], self.plan.measures[world]
        length = place.env_steps * reading.times
        chosen = [run for run in self.runs if (run.job.world, run.job.arm) == (world, reading.arm)]
        whole = {run.job.seed: run.curve[run.curve[:, 0] <= length] for run in chosen if (run.curve[:, 0] >= length).any()}
        seeds = sorted(whole)
        curves = [whole[seed] for seed in seeds]
        returns = np.array([one[-measure.last :, 1].mean() for one in curves])
        solved = [] if place.solved is None else [first_at(one, place.solved) for one in curves]
        seconds = [seconds_at(one, steps) for one, steps in zip(curves, solved)]
        return Cell(seeds, curves, returns, place.scale.score(returns), np.array(solved), np.array(seconds))

    def strata(self, label: str) -> list[np.ndarray]:
        """Scores of a reading, an array for each world."""
        return [self.cells[world, label].scores for world in self.plan.worlds]

    def unfinished(self) -> list[Run]:
        """The runs that are missing or failed."""
        return [run for run in self.runs if run.state != "finished"]

    def pairs(self) -> list[Pair]:
        """Each reading against the first, in each world, and in all together where there are several."""
        found = []
        for reading in self.readings[1:]:
            by_world = {world: self._differences(world, reading.label) for world in self.plan.worlds}
            groups = {world: [values] for world, values in by_world.items()} | ({"": list(by_world.values())} if len(by_world) > 1 else {})
            for world, strata in groups.items():
                if sum(map(len, strata)):
                    better = sum(int((told(values) > 0).sum()) for values in strata)
                    fewest = min(len(values) for values in strata if len(values))
                    found.append(Pair(world, reading.label, estimate(strata, mean), better, fewest))
        return found

    def unpaired(self, label: str) -> list[str]:
        """The worlds in which a reading and the first have no finished seed in common."""
        return [world for world in self.plan.worlds if not len(self._differences(world, label))]

    def _differences(self, world: str, label: str) -> np.ndarray:
        """Scores less those of the first reading, at the seeds that both have."""
        one, other = self.cells[world, label], self.cells[world, self.readings[0].label]
        first = dict(zip(other.seeds, other.scores))
        return np.array([score - first[seed] for seed, score in zip(one.seeds, one.scores) if seed in first])

    def data(self) -> dict[str, Any]:
        """Everything as plain data, for JSON; a number that is not there is null."""
        cells = [self._cell_data(world, reading) for world in self.plan.worlds for reading in self.readings]
        together = [
            {"label": reading.label, "score": plain(estimate(strata, interquartile_mean)), "median": plain(estimate(strata, median))}
            for reading in self.readings
            if sum(map(len, strata := self.strata(reading.label)))
        ]
        pairs = [{"world": pair.world or None, "label": pair.label, "against": self.readings[0].label, "better": pair.better,
                  "fewest": pair.fewest, "difference": plain(pair.difference)} for pair in self.pairs()]  # fmt: skip
        return {
            "name": self.plan.name,
            "defaults": earlier.defaults(),
            "arms": {name: {"times": arm.times, "seeds": arm.seeds and list(arm.seeds), **earlier.arm_told(self.plan, name)}
                     for name, arm in self.plan.arms.items()},
            "worlds": {name: {"random": place.random, "best": place.best, "solved": place.solved, "env_steps": place.env_steps,
                              "last": self.plan.measures[name].last, **earlier.world_told(self.plan, name),
                              "doubts": doubts(self.plan, name)} for name, place in self.plan.worlds.items()},
            "cells": cells,
            "all_worlds": together,
            "against_the_first": pairs,
            "unfinished": [{"run": run.job.name, "steps": steps_done(run.job), "state": run.state} for run in self.unfinished()],
            "made_with": self.made_with(),
            "workers": self.workers(),
        }  # fmt: skip

    def _cell_data(self, world: str, reading: Reading) -> dict[str, Any]:
        cell, planned = self.cells[world, reading.label], len(self.plan.seeds_of(world, reading.arm))
        found = {"world": world, "label": reading.label, "planned": planned, "seeds": cell.seeds}
        if not cell.seeds:
            return found
        return found | {
            "score": plain(estimate([cell.scores], interquartile_mean)),
            "median": plain(estimate([cell.scores], median)),
            "scores": cell.scores.round(4).tolist(),
            "returns": cell.returns.round(3).tolist(),
            "steps_to_solve": [None if np.isinf(steps) else int(steps) for steps in cell.solved],
            "seconds_to_solve": [None if np.isinf(seconds) else significant(seconds, 4) for seconds in cell.seconds],
            "curves": [[[int(steps), significant(value), significant(seconds, 4)] for steps, value, seconds in one] for one in cell.curves],
        }

    def made_with(self) -> list[dict[str, str]]:
        """The versions of code and of torch that runs were made with."""
        found = {(line["code"], line["torch"]) for run in self.runs for line in run.history if "code" in line}
        return [{"code": code, "torch": version} for code, version in sorted(found)]

    def workers(self) -> list[int]:
        """How many runs were made at a time, for each number that there was; empty where it is not known."""
        return sorted({line["workers"] for run in self.runs for line in run.history if line.get("workers")})

    def warnings(self) -> dict[str, list[str]]:
        """What runs warned of, and the runs that did."""
        found: dict[str, list[str]] = {}
        for run in self.runs:
            for sentence in dict.fromkeys(line["warned"] for line in run.history if "warned" in line):
                found.setdefault(sentence, []).append(run.job.name)
        return found


def doubts(plan: Plan, world: str) -> list[str]:
    """Why a world's scale is not quite its own; empty where it is, or where the study gives a scale."""
    place, measure = plan.worlds[world], plan.measures[world]
    wrappers = WrapperConfig(**place.wrappers)
    first = place.env_steps - (measure.last - 1) * measure.every
    starts = range(measure.seed, measure.seed + measure.episodes)
    return scales.doubts(place.env, place.scale, wrappers, starts, first * wrappers.action_repeat)


def curve(folder: Path) -> np.ndarray:
    """The evaluations in a run folder: rows of steps, mean return and seconds of training, (M, 3).

    Raises:
        CheckpointError: a line is damaged.
    """
    try:
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return np.array([measured(line, folder, "env_steps", "eval_return_mean", "wall_s") for line in lines], float).reshape(-1, 3)


def seconds_at(curve: np.ndarray, steps: float) -> float:
    """The seconds of training up to the evaluation at these steps; infinite if they are."""
    return float(curve[curve[:, 0] == steps, 2][0]) if np.isfinite(steps) else float("inf")


def state(job: Job) -> str:
    """How a run stands."""
    return "finished" if finished(job) else failure(job) or "missing"


def significant(value: float, digits: int = 5) -> float:
    """So many significant digits; five are enough for a return, and make a small file."""
    return float(f"{value:.{digits}g}")


def plain(value: Estimate) -> dict[str, Any]:
    """An estimate for JSON."""
    low, high = (None if np.isnan(end) else float(told(end, 4)) for end in (value.low, value.high))
    return {"value": float(told(value.value, 4)), "low": low, "high": high, "runs": value.runs}

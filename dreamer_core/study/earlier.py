"""Runs that an earlier report of the study tells of, taken over so that they need not be made again.

    python -m dreamer_core.study studies/suite.yaml --out build/suite --earlier notebooks/assets/studies/suite.json

So a study can grow over weeks and machines, though its folder of runs is long gone: the report of the whole has the old seeds beside the
new ones. What is taken over are the evaluations of finished runs; there is no agent to go on with, so a run that is to be longer now is
made anew. The new report names the code of both.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from dreamer_core import checkpoint
from dreamer_core import config as configs
from dreamer_core.config import Config
from dreamer_core.errors import ConfigError
from dreamer_core.study import job as jobs_of
from dreamer_core.study.job import Job, changed
from dreamer_core.study.plan import OF_THE_STUDY, Plan
from dreamer_core.trainer import lookup


def take(plan: Plan, out: Path, report: Path) -> list[Job]:
    """Write a run folder for each run that the report has and `out` has not; whoever calls this holds the folder.

    Returns:
        The runs that were taken over.

    Raises:
        ConfigError: it is no report, or the runs that it shares with the study were made with other settings.
    """
    found = read(report)
    check(plan, found, report)
    told = curves(found, report)
    taken = []
    for job in jobs_of.jobs(plan, out):
        curve = told.get((job.world, job.arm, job.seed), [])
        if (Path(job.path) / "config.json").exists() or not curve or curve[-1][0] < job.env_steps:
            continue
        write(job, [line for line in curve if line[0] <= job.env_steps], found)
        taken.append(job)
    return taken


def read(path: Path) -> dict[str, Any]:
    """A report.json.

    Raises:
        ConfigError: the file cannot be read, or is no report that tells with what its runs were made.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the earlier report {path} cannot be read ({error.strerror}): check the path") from None
    except (ValueError, RecursionError):
        found = None
    kinds = {"defaults": dict, "arms": dict, "worlds": dict, "cells": list, "made_with": list, "workers": list}
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in kinds.items()):
        raise ConfigError(f"{path} is no report of a study that could be gone on with: give the report.json of one")
    return found


def check(plan: Plan, found: dict[str, Any], path: Path) -> None:
    """Raises:
    ConfigError: the report's runs are other ones than the plan's of the same name.
    """
    try:
        arms = [name for name in plan.arms if name in found["arms"]]
        worlds = [name for name in plan.worlds if name in found["worlds"]]
        where = f"the earlier report {path} has"
        usual = defaults()
        names = changed(found["defaults"], usual) if arms and worlds else []
        if names:
            was, now = (lookup(tree, names[0]) for tree in (found["defaults"], usual))
            raise ConfigError(f"{where} runs with the default {names[0]} {was!r}, which is {now!r} now: make them anew")
        for kind, shared, ours in (("arm", arms, arm_told), ("world", worlds, world_told)):
            for name in shared:
                was, now = found[f"{kind}s"][name], plain(ours(plan, name))
                for key, value in now.items():
                    if was[key] != value:
                        raise ConfigError(
                            f"{where} the {kind} {name} with {key} {was[key]!r}, the study has {value!r}: put it back, or rename the {kind}"
                        )
    except (KeyError, TypeError, AttributeError) as error:
        raise damaged(path, error) from None


def arm_told(plan: Plan, name: str) -> dict[str, Any]:
    """What a report tells of an arm, as far as it decides runs."""
    return {"settings": plan.arms[name].settings}


def world_told(plan: Plan, name: str) -> dict[str, Any]:
    """What a report tells of a world, as far as it decides runs and how they are measured."""
    place, measure = plan.worlds[name], plan.measures[name]
    return {
        "env": place.env,
        "wrappers": place.wrappers,
        "evaluation": {"every": measure.every, "episodes": measure.episodes, "seed": measure.seed},
    }


def defaults() -> dict[str, Any]:
    """The settings of an arm that sets nothing."""
    return plain({key: value for key, value in configs.to_dict(Config()).items() if key not in OF_THE_STUDY})


def plain(tree: Any) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(tree))


def curves(found: dict[str, Any], path: Path) -> dict[tuple[str, str, int], list[list[float]]]:
    """The longest curve of each run: rows of steps, mean return and seconds.

    Raises:
        ConfigError: the report is damaged.
    """
    told: dict[tuple[str, str, int], list[list[float]]] = {}
    try:
        for cell in found["cells"]:
            arm = next(name for name in found["arms"] if cell["label"] in (name, f"{name}, {found['arms'][name]['times']} x the steps"))
            for seed, curve in zip(cell["seeds"], cell.get("curves", [])):
                rows = [[int(steps), float(value), float(seconds)] for steps, value, seconds in curve]
                key = (cell["world"], arm, int(seed))
                told[key] = max(told.get(key, []), rows, key=len)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise damaged(path, error) from None
    return told


def damaged(path: Path, error: Exception) -> ConfigError:
    """The sentence for a report whose parts do not fit."""
    return ConfigError(f"the earlier report {path} is damaged ({type(error).__name__}: {error}): restore it, or go on without it")


def write(job: Job, curve: list[list[float]], found: dict[str, Any]) -> None:
    """The folder of a run that is finished and has no agent."""
    place = Path(job.path)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    lines = [json.dumps({"env_steps": steps, "eval_return_mean": value, "wall_s": seconds}) for steps, value, seconds in curve]
    (place / "metrics.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    for line in [*found["made_with"], *({"workers": number} for number in found["workers"])]:
        jobs_of.remember(place, line)
    checkpoint.write_atomic(place / "config.json", json.dumps(job.settings, indent=1).encode())
    checkpoint.write_atomic(place / jobs_of.EARLIER, json.dumps({"env_steps": job.env_steps}).encode())

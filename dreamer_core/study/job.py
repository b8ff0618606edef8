"""A job of a study: one arm in one world with one seed, which is an ordinary run folder.

A run folder of a study holds two more files: `history.jsonl`, a line for each time that the run was
begun or continued and for each warning, and `failed.txt` while the last attempt ended by an error. One
that was taken over from an earlier report (`earlier.py`) has `earlier.json` instead of a checkpoint.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
import traceback
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dreamer_core import config as configs
from dreamer_core import envs
from dreamer_core.envs import short, told
from dreamer_core.errors import CheckpointError, DreamerError, InUse
from dreamer_core.study import peer
from dreamer_core.study.plan import Plan, folder
from dreamer_core.trainer import Trainer, differences, lookup, pick_device

ALONE = threading.Lock()  # torch's random numbers are the process's, so that two runs at a time in it would share them
TAIL = 8192  # bytes; longer than a line of metrics.jsonl
EARLIER = "earlier.json"  # in a run folder: how many steps of it an earlier report told
PATIENCE = 1.0  # seconds between two looks whether a folder has become free


class Job(NamedTuple):
    """One run."""

    world: str
    arm: str
    seed: int
    path: str  # of the run folder
    settings: dict[str, Any]  # all of them, as plain data that any worker can read

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.arm} in {self.world}, seed {self.seed}"

    @property
    def env_steps(self) -> int:
        """Steps to run."""
        return self.settings["env_steps"]


def jobs(plan: Plan, out: Path) -> list[Job]:
    """All runs of a study in folder `out`, seed by seed, so that one which is broken off early is a fair comparison."""
    every = [(world, arm, seed) for world in plan.worlds for arm in plan.arms for seed in plan.seeds_of(world, arm)]
    every.sort(key=lambda one: plan.seeds[one[0]].index(one[2]))  # stable: worlds and arms stay in order
    return [
        Job(world, arm, seed, str(place(out, world, arm, seed)), configs.to_dict(plan.config(world, arm, seed)))
        for world, arm, seed in every
    ]


def place(out: Path, world: str, arm: str, seed: int) -> Path:
    """The folder of a run."""
    return out.absolute() / "runs" / folder(world) / folder(arm) / str(seed)


# --- what a folder tells -----------------------------------------------------------------------


def begun(out: Path, world: str, arm: str, seed: int) -> bool:
    """Whether the run made its first step."""
    return (place(out, world, arm, seed) / "config.json").exists()


def finished(job: Job) -> bool:
    """Whether the run reached its last step, here (its checkpoint is what a run writes last) or in an earlier report."""
    return (Path(job.path) / "checkpoint" / f"{job.env_steps:08d}.json").exists() or told_earlier(Path(job.path)) >= job.env_steps


def told_earlier(folder: Path) -> int:
    """The steps of a run that was taken over from an earlier report; 0 for one that was made here."""
    try:
        return int(json.loads((folder / EARLIER).read_bytes())["env_steps"])
    except (OSError, ValueError, LookupError, TypeError):
        return 0


def steps_done(job: Job) -> int:
    """Environment steps up to the newest evaluation.

    Raises:
        CheckpointError: its line is damaged.
    """
    if told_earlier(Path(job.path)):
        return job.env_steps if finished(job) else 0
    try:
        with open(Path(job.path) / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return 0
    return min(job.env_steps, int(measured(lines[-2], Path(job.path), "env_steps")[0])) if len(lines) > 1 else 0


def measured(line: str | bytes, path: Path, *names: str) -> list[float]:
    """Numbers of an evaluation, from its line of metrics.jsonl in the run folder `path`.

    Raises:
        CheckpointError: the line is damaged.
    """
    try:
        found = json.loads(line)
        return [float(found[name]) for name in names]
    except (ValueError, LookupError, TypeError, RecursionError):
        where = path / "metrics.jsonl"
        raise CheckpointError(
            f"{where} has a line that cannot be read ({short(line)}): restore it, or move the folder away: the run is then made anew"
        ) from None


def failure(job: Job) -> str:
    """The sentence with which the last attempt failed; empty if it did not."""
    try:
        text = (Path(job.path) / "failed.txt").read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    return text.partition("\n")[0] or "what went wrong could not be written down, as on a full disk"


def history(job: Job) -> list[dict[str, Any]]:
    """What happened to the run besides learning, oldest first."""
    try:
        text = (Path(job.path) / "history.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):  # a full disk may have broken off a line
            found.append(json.loads(line))
    return found


@cache
def code_version() -> str:
    """A fingerprint of the agent's source, so that results of different code can be told apart."""
    core = Path(configs.__file__).parent
    files = sorted([*core.glob("*.py"), *core.glob("paper/*.py")])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Dotted names of settings that decide the first steps of a run and differ.

    One that `old` was written without does not count, nor one that is "auto" now: the run has written down what that was.
    """
    names = [name for name in differences(old, new) if name not in ("env_steps", "device") and lookup(new, name) != "auto"]
    return [name for name in names if lookup(old, name) is not None or lookup(new, name) is None]


# --- what this machine can make ----------------------------------------------------------------


def check_world(settings: dict[str, Any]) -> None:
    """Raises:
    DreamerError: the world of these settings cannot be made on this machine.
    """
    envs.close([envs.make(settings["env"], configs.WrapperConfig(**settings["wrappers"]))], warn=lambda sentence: None)


def check_arm(settings: dict[str, Any]) -> None:
    """Raises:
    DreamerError: the agent of these settings lacks a library or a device on this machine.
    """
    peer.library() if settings["agent"] == peer.AGENT else pick_device(configs.from_dict(settings))


# --- running -----------------------------------------------------------------------------------


def run(job: Job, workers: int, look: Callable[[], None] = lambda: None) -> None:
    """Begin the run or continue it, to its last step. An error ends in the folder's `failed.txt`, with its traceback, and nowhere else.

    Args:
        workers: how many of the study's runs are made at a time; the run's history keeps it, since its seconds depend on it.
        look: called after each evaluation.
    """
    path = Path(job.path)
    with ALONE:
        try:
            path.mkdir(parents=True, exist_ok=True)
            while True:
                try:
                    if not finished(job):  # another worker, thought lost, may have finished it
                        train(job, path, workers, look)
                    break
                except InUse:  # by a worker that was thought lost, or by one whose study was stopped
                    time.sleep(PATIENCE)
        except Exception as error:
            sentence = " ".join(str(error).split()) if isinstance(error, DreamerError) else f"it raised {told(error)}"
            fail(job, sentence, traceback.format_exc())


def fail(job: Job, sentence: str, details: str) -> None:
    """Leave word in the run's folder that it failed."""
    with contextlib.suppress(OSError):  # the disk may be what it failed for; then the run is merely missing
        Path(job.path).mkdir(parents=True, exist_ok=True)
        (Path(job.path) / "failed.txt").write_text(f"{sentence}\n\n{details}", encoding="utf-8")


def try_again(job: Job) -> None:
    """Forget that an earlier attempt failed."""
    (Path(job.path) / "failed.txt").unlink(missing_ok=True)


def train(job: Job, path: Path, workers: int, look: Callable[[], None]) -> None:
    """`run` without its safeguards.

    Raises:
        InUse: another run is at work in the folder. DreamerError: anything else that a person can mend.
    """
    if (path / EARLIER).exists():  # it is to be longer than it was, and there is no agent to go on with
        for name in (EARLIER, "config.json", "metrics.jsonl", "history.jsonl"):
            (path / name).unlink(missing_ok=True)
    goes_on = (path / "config.json").exists()
    if goes_on:
        names = changed(json.loads((path / "config.json").read_bytes()), job.settings)
        if names:
            raise CheckpointError(f"the run was begun with another {names[0]} than the study has now: choose another folder (out)")

    def warn(sentence: str) -> None:
        remember(path, {"warned": sentence})

    if job.settings["agent"] == peer.AGENT:
        remember(path, started(0, workers))
        return peer.train(peer.PeerConfig.from_dict(job.settings), path, warn, look)
    config = configs.from_dict(job.settings)
    with Trainer.resume(path, config.env_steps, warn) if goes_on else Trainer(config, path, warn) as trainer:
        remember(path, started(trainer.step, workers))
        for _ in trainer.run():
            look()


def started(step: int, workers: int) -> dict[str, Any]:
    """The line of history with which a run is begun or continued."""
    return {"from_step": step, "code": code_version(), "torch": torch.__version__, "pid": os.getpid(), "workers": workers}


def remember(path: Path, line: dict[str, Any]) -> None:
    """Append a line to the run's history."""
    with open(path / "history.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")

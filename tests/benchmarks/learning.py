"""How fast each agent learns, measured honestly.

    python tests/benchmarks/learning.py --suite pendulum --seeds 10 --cores 1 2

Every run is a process of its own, pinned to one core or to two, and leaves one JSON file in
build/bench/runs. A file that fits the present settings is not measured again, so an interrupted
benchmark goes on where it stopped. Every agent is evaluated in the same way: deterministic
actions, one episode from each of the same 50 reset seeds, the clock stopped meanwhile.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "bench"

DROPIN = {"preset": "dropin"}
# suite -> variant -> what it changes in the default configuration (or the settings of another library).
SUITES: dict[str, dict[str, dict[str, Any]]] = {
    "pendulum": {
        "dropin": {**DROPIN, "env_steps": 3000},
        "advantage": {"preset": "advantage", "env_steps": 3000},
        "sac": {**DROPIN, "agent": "sac", "env_steps": 4000},
        "sb3": {"library": "stable_baselines3", "env": "Pendulum-v1", "env_steps": 4000, "lr": 1e-3},
    },
    "hidden": {
        "cut": {**DROPIN, "wrappers": {"hide": [2]}, "model": {"detach_z": True}, "env_steps": 2500},
        "uncut": {**DROPIN, "wrappers": {"hide": [2]}, "model": {"detach_z": False}, "env_steps": 2500},
    },
    "departures": {
        "default": {**DROPIN, "env_steps": 2000},
        "raw units": {**DROPIN, "model": {"standardize": False}, "env_steps": 2000},
        "every window from the stored h": {**DROPIN, "replay": {"start": "stored"}, "env_steps": 2000},
        "every window from h = 0": {**DROPIN, "replay": {"start": "zero"}, "env_steps": 2000},
        "random episodes of full length": {**DROPIN, "schedule": {"prefill_episode": 400}, "env_steps": 2000},
        "constant learning rates": {**DROPIN, "schedule": {"halving": 0}, "env_steps": 2000},
    },
    "inverted": {
        "dropin": {**DROPIN, "env": "InvertedPendulum-v5", "env_steps": 2000},
        "raw units": {**DROPIN, "env": "InvertedPendulum-v5", "model": {"standardize": False}, "env_steps": 2000},
    },
    "curves": {
        "HalfCheetah-v5": {**DROPIN, "env": "HalfCheetah-v5", "env_steps": 6000, "evaluation": {"every": 500}},
        "MountainCarContinuous-v0": {**DROPIN, "env": "MountainCarContinuous-v0", "env_steps": 6000, "evaluation": {"every": 500}},
    },
}
FIRST_SEED = 2000  # nothing was tuned on this seed or on those that follow it
FEWER = {"curves": 1, "departures": 5}  # suites of which at most so many seeds are run
SECOND_CORE = {"pendulum": 3}  # suites that are run on more than one core as well, with at most so many seeds
NEEDS = {"sb3": "stable_baselines3", "inverted": "mujoco", "HalfCheetah-v5": "mujoco"}  # suite or variant -> package


@dataclass(frozen=True)
class Run:
    """One run of one variant."""

    suite: str
    variant: str
    cores: int
    seed: int
    env_steps: int | None = None
    """Instead of the suite's own length, for a quick trial."""

    @property
    def path(self) -> str:
        """Where the result lies, relative to the output folder."""
        return f"runs/{self.suite}-{self.variant}-{self.cores}core-seed{self.seed}.json"

    def settings(self) -> dict[str, Any]:
        """The complete settings as plain data: what a stored result must agree with."""
        from dreamer_core import config as configs

        changes = dict(SUITES[self.suite][self.variant])
        changes |= {} if self.env_steps is None else {"env_steps": self.env_steps}
        if "library" in changes:
            return {**changes, "seed": self.seed, "threads": self.cores, "evaluation": configs.to_dict(configs.Config())["evaluation"]}
        config = configs.to_dict(configs.preset(changes.pop("preset")))
        return configs.to_dict(configs.from_dict(merge(config, {**changes, "seed": self.seed, "threads": self.cores})))


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with `changes` laid over it, nested dicts too."""
    both = dict(base)
    for key, value in changes.items():
        both[key] = merge(both[key], value) if isinstance(value, dict) and isinstance(both.get(key), dict) else value
    return both


def code_version() -> str:
    """A fingerprint of the agent's source, so that results of different code can be told apart."""
    files = sorted((ROOT / "dreamer_core").glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


# --- one run, in a process of its own ----------------------------------------------------------


def train_ours(settings: dict[str, Any]) -> list[tuple[int, float, float, float]]:
    """Train with this package; a list of (env_steps, wall_s, mean, std)."""
    from dreamer_core import config as configs
    from dreamer_core.trainer import Trainer

    trainer = Trainer(configs.from_dict(settings), out=None)
    return [(m["env_steps"], m["wall_s"], m["eval_return_mean"], m["eval_return_std"]) for m in trainer.run()]


def train_sb3(settings: dict[str, Any]) -> list[tuple[int, float, float, float]]:
    """Train stable-baselines3's SAC, its defaults but for the learning rate; evaluated in the same way."""
    import gymnasium as gym
    import numpy as np
    import torch
    from stable_baselines3 import SAC
    from stable_baselines3.common.callbacks import BaseCallback

    evaluation = settings["evaluation"]
    environments = [gym.make(settings["env"]) for _ in range(evaluation["episodes"])]

    def measure(model: SAC) -> np.ndarray:
        observation = np.stack([env.reset(seed=evaluation["seed"] + i)[0] for i, env in enumerate(environments)])
        total, running = np.zeros(len(environments)), list(range(len(environments)))
        while running:
            action, _ = model.predict(observation, deterministic=True)
            for i in list(running):
                observation[i], reward, terminated, truncated, _ = environments[i].step(action[i])
                total[i] += reward
                if terminated or truncated:
                    running.remove(i)
        return total

    class Clock(BaseCallback):
        """Evaluates every so many steps and leaves that time out."""

        def __init__(self) -> None:
            super().__init__()
            self.curve: list[tuple[int, float, float, float]] = []
            self.wall_s, self.since = 0.0, time.perf_counter()

        def _on_step(self) -> bool:
            if self.num_timesteps % evaluation["every"] == 0:
                self.wall_s += time.perf_counter() - self.since
                returns = measure(self.model)
                self.curve.append((self.num_timesteps, round(self.wall_s, 3), float(returns.mean()), float(returns.std())))
                self.since = time.perf_counter()
            return True

    torch.set_num_threads(settings["threads"])
    model = SAC("MlpPolicy", gym.make(settings["env"]), learning_rate=settings["lr"], seed=settings["seed"], device="cpu")
    clock = Clock()
    model.learn(settings["env_steps"], callback=clock)
    return clock.curve


def do_one(run: Run, file: Path) -> None:
    """Train one variant and write its result, whole or not at all."""
    import torch

    settings = run.settings()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    curve = (train_sb3 if "library" in settings else train_ours)(settings)
    result = {
        **asdict(run),
        "settings": settings,
        "code": code_version(),
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
        "pinned": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_before": load,
        "curve": curve,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result), encoding="utf-8")
    os.replace(part, file)


# --- many runs -----------------------------------------------------------------------------------


def plan(suites: list[str], seeds: int, cores: list[int], variants: list[str] | None, env_steps: int | None) -> tuple[list[Run], list[str]]:
    """The runs to make, seed by seed so that a partial benchmark is a fair one; and a line for each thing left out."""
    runs, skipped = [], []
    for suite in suites:
        for variant in SUITES[suite]:
            if variants and variant not in variants:
                continue
            missing = [NEEDS[key] for key in (suite, variant) if key in NEEDS and importlib.util.find_spec(NEEDS[key]) is None]
            if missing:
                skipped.append(f"{suite} / {variant}: not measured, the package {missing[0]} is not installed")
                continue
            for core in cores:
                most = FEWER.get(suite, seeds) if core == 1 else SECOND_CORE.get(suite, 0)
                runs += [Run(suite, variant, core, FIRST_SEED + number, env_steps) for number in range(min(seeds, most))]
    runs.sort(key=lambda run: (run.cores, suites.index(run.suite), run.seed))  # stable: variants stay in order
    return runs, skipped


def stored(run: Run, out: Path) -> bool:
    """Is there a result made with exactly these settings?"""
    try:
        return json.loads((out / run.path).read_text(encoding="utf-8"))["settings"] == run.settings()
    except (OSError, ValueError, KeyError):
        return False


def command(run: Run, out: Path, cpus: list[int]) -> subprocess.CompletedProcess:
    """Make one run in a new process on the given CPUs; thread pools are limited before anything is imported."""
    threads = str(run.cores)
    limits = {name: threads for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")}
    words = [sys.executable, __file__, "--one", json.dumps(asdict(run)), "--out", str(out), "--cpus", *map(str, cpus)]
    return subprocess.run(words, env={**os.environ, **limits}, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")


def pin(cpus: list[int]) -> None:
    """Stay on these CPUs, where the system can do that."""
    if hasattr(os, "sched_setaffinity") and cpus:
        os.sched_setaffinity(0, cpus)


def available_cpus() -> list[int]:
    """The CPUs this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def measure(runs: list[Run], out: Path, jobs: int, fresh: bool = False) -> list[str]:
    """Make all runs that are not stored yet, `jobs` at a time on separate CPUs; returns a line per failure."""
    todo = [run for run in runs if fresh or not stored(run, out)]
    print(f"{len(runs)} runs, {len(runs) - len(todo)} of them stored already", flush=True)
    cpus, failures, done = available_cpus(), [], 0
    for cores in sorted({run.cores for run in todo}):
        waiting: queue.Queue[Run] = queue.Queue()
        for run in todo:
            if run.cores == cores:
                waiting.put(run)
        workers = max(1, min(jobs, len(cpus) // cores))

        def work(number: int, waiting: queue.Queue = waiting, cores: int = cores) -> None:
            nonlocal done
            while True:
                try:
                    run = waiting.get_nowait()
                except queue.Empty:
                    return
                started = time.perf_counter()
                result = command(run, out, cpus[number * cores : (number + 1) * cores])
                done += 1
                line = f"[{done}/{len(todo)}] {run.suite} / {run.variant}, {run.cores} core(s), seed {run.seed}"
                if result.returncode:
                    reason = (result.stderr.strip().splitlines() or ["no message"])[-1]
                    failures.append(f"{run.suite} / {run.variant}, {run.cores} core(s), seed {run.seed} failed: {reason}")
                    print(f"{line}: failed: {reason}", flush=True)
                    continue
                steps, wall, mean, _ = json.loads((out / run.path).read_text(encoding="utf-8"))["curve"][-1]
                elapsed = time.perf_counter() - started
                print(f"{line}: {mean:.1f} after {steps} steps, {wall:.1f} s ({elapsed:.0f} s with evaluation)", flush=True)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return failures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags that `run.py` shares with this script."""
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results (default: build/bench)")
    parser.add_argument("--suite", nargs="+", choices=list(SUITES), default=list(SUITES), help="what to measure (default: all)")
    parser.add_argument("--variants", nargs="+", help="only these variants of the suites")
    parser.add_argument("--seeds", type=int, default=10, help=f"seeds {FIRST_SEED}, {FIRST_SEED + 1}, ... per variant (default: 10)")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="cores to measure on, one after the other (default: 1 2)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, each on CPUs of its own (default: 1, the cleanest timing)")
    parser.add_argument("--env-steps", type=int, help="another length for every run, for a quick trial")
    parser.add_argument("--fresh", action="store_true", help="measure again what is stored already")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--cpus", type=int, nargs="*", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        pin(arguments.cpus)
        run = Run(**json.loads(arguments.one))
        do_one(run, arguments.out / run.path)
        return
    runs, skipped = plan(arguments.suite, arguments.seeds, arguments.cores, arguments.variants, arguments.env_steps)
    failures = measure(runs, arguments.out, arguments.jobs, arguments.fresh)
    print("\n".join(skipped + failures))
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()

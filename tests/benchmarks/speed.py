"""Updates per second by part, beside the matrix products those parts are made of.

    python tests/benchmarks/speed.py --cores 1 2 --rounds 5

The roof is practical, not theoretical: the matrix products that an update really makes are
recorded (shapes and strides, forward and backward), and then made alone, nothing else. The gap
between an update and its roof is everything that is not a matrix product.

Machines are noisy, so everything is interleaved: a round measures every part in turn, in a new
process pinned to one core, then to two; the medians over all rounds are reported. Results go to
notebooks/assets/speed.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cpus

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "notebooks" / "assets" / "speed.json"
# About the size at which other implementations were measured: see the notes below.
MATCHED = {
    "model": {"deter": 200, "latent": "categorical", "stoch": 8, "classes": 8, "units": 200},
    "replay": {"batch": 16, "length": 32, "start": "stored", "burn_in": 0},
    "imagination": {"starts": 512, "start_rows": 1, "horizon": 15},
    "sac": {"units": 200, "batch": 0},
    "schedule": {"sac_updates": 1},
}
# The same size with v1's own agent update: some minibatches of imagined steps, not all of them at once.
MINIBATCHES = {**MATCHED, "sac": {"units": 200}, "schedule": {}}
SIZES: dict[str, dict[str, Any]] = {"course": {}, "matched": MATCHED, "matched, minibatches": MINIBATCHES}
PARTS = ("world model", "world model, plain loop", "imagination", "agent", "whole")
PARTS_OF = {"matched, minibatches": ("agent", "whole")}  # the rest is the same work
BUDGET = 0.2  # seconds per sample


def notes() -> list[str]:
    """What the parts are, in words that follow the configuration."""
    from dreamer_core import config as configs

    lines = []
    for size, changes in SIZES.items():
        c = configs.from_dict(changes)
        z = f"{c.model.stoch} Normals" if c.model.latent == "gaussian" else f"{c.model.stoch} x {c.model.classes} classes"
        taken = "all imagined steps" if c.sac.batch == 0 else f"{c.sac.batch} imagined steps"
        lines.append(
            f"{size}: world model on {c.replay.batch} windows of {c.replay.length} rows, h of {c.model.deter}, z of {z}, layers of "
            f"{c.model.units}; imagination of {c.imagination.horizon} steps from {c.imagination.starts} states; agent is "
            f"{c.schedule.sac_updates} update(s) of actor and critics, each on {taken}. A whole update is one of each: "
            "one world-model update, one imagination, and that agent update."
        )
    lines.append("Drawing from the replay buffer, writing states back, and computing metrics are part of every number but the roof.")
    lines.append("The plain loop is the reference unroll of the world model, which gives the same numbers row by row.")
    return lines


# --- in a process of its own ---------------------------------------------------------------------


def build(changes: dict[str, Any], plain: bool = False):
    """An agent with Pendulum's sizes and a buffer of made-up rows."""
    import torch

    from dreamer_core import config as configs
    from dreamer_core.agent import Dreamer

    config = configs.from_dict(changes)
    config.model.batched_unroll = not plain
    agent = Dreamer(config, 3, 1)
    carry = agent.initial(1)
    for row in range(2000):
        carry = carry._replace(h=0.1 * torch.randn_like(carry.h), action=2 * torch.rand_like(carry.action) - 1)
        agent.remember(carry, torch.randn(3), -1.0, row % 200 == 0, False)
        agent.replay.set_action(carry.action[0])
    return agent


def parts(size: str) -> dict[str, Callable[[], Any]]:
    """What is measured, by name."""
    agent, plain, awake = build(SIZES[size]), build(SIZES[size], plain=True), build(SIZES[size])
    seen = awake.look_back()
    dream = awake.dream(seen)
    awake.look_back, awake.dream = lambda: seen, lambda seen: dream  # the agent's update alone, on a dream made once
    calls = {
        "world model": agent.learn_model,
        "world model, plain loop": plain.learn_model,
        "imagination": agent.dream,
        "agent": awake.learn_policy,
        "whole": lambda: (agent.learn_model(), agent.learn_policy()),
    }
    return {part: calls[part] for part in PARTS_OF.get(size, PARTS)}


def products(work: Callable[[], Any]) -> Callable[[], None]:
    """A function that makes the matrix products which `work` makes, and does nothing else."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    aten = torch.ops.aten
    plain, with_sum = (aten.mm.default, aten.bmm.default), (aten.addmm.default, aten.baddbmm.default, aten.addmm_.default)
    calls: list[tuple] = []

    class Record(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function in plain + with_sum:
                pair = args[:2] if function in plain else args[1:3]
                calls.append(tuple((tuple(x.shape), x.stride()) for x in pair))
            return function(*args, **(kwargs or {}))

    with Record():
        work()
    operands: dict[tuple, torch.Tensor] = {}

    def operand(layout: tuple, role: int) -> torch.Tensor:
        shape, stride = layout
        if (layout, role) not in operands:
            extent = 1 + sum((n - 1) * s for n, s in zip(shape, stride))
            operands[layout, role] = torch.randn(extent).as_strided(shape, stride)
        return operands[layout, role]

    program = []
    for left, right in calls:
        a, b = operand(left, 0), operand(right, 1)
        program.append((torch.mm if a.dim() == 2 else torch.bmm, a, b, torch.empty(*a.shape[:-1], b.shape[-1])))

    @torch.no_grad()
    def run() -> None:
        for function, a, b, out in program:
            function(a, b, out=out)

    return run


def sample(work: Callable[[], Any]) -> float:
    """Calls per second, over about `BUDGET` seconds."""
    calls, started = 0, time.perf_counter()
    while calls < 2 or time.perf_counter() - started < BUDGET:
        work()
        calls += 1
    return calls / (time.perf_counter() - started)


def one_round(threads: int, repeats: int) -> list[tuple[str, str, float, float]]:
    """Samples (size, part, per second, roof per second), interleaved."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    work = {(size, part): call for size in SIZES for part, call in parts(size).items()}
    for call in work.values():
        call()  # first calls allocate
    roofs = {key: products(call) for key, call in work.items()}
    for roof in roofs.values():
        roof()
    return [(*key, sample(call), sample(roofs[key])) for _ in range(repeats) for key, call in work.items()]


# --- many rounds -------------------------------------------------------------------------------------


def measure(cores: list[int], rounds: int) -> dict[str, Any]:
    """Measure on each number of cores in turn, `rounds` times."""
    import torch

    samples: dict[tuple[str, str, int], list[tuple[float, float]]] = defaultdict(list)
    own = cpus.available()
    for number in range(rounds):
        for threads in cores:
            print(f"speed: round {number + 1} of {rounds}, {threads} thread(s)", flush=True)
            words = [sys.executable, __file__, "--one", str(threads), "--cpus", *map(str, own[:threads])]
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
            result = subprocess.run(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8")
            for size, part, per_s, roof in json.loads(result.stdout):
                samples[size, part, threads].append((per_s, roof))
    rows = []
    for size in SIZES:
        for part in PARTS_OF.get(size, PARTS):
            for threads in cores:
                taken = samples[size, part, threads]
                rates = [median(column) for column in zip(*taken)]
                rows.append({"size": size, "part": part, "threads": threads, "per_s": round(rates[0], 1), "roof_per_s": round(rates[1], 1)})
    ratios = []
    for size in (size for size in SIZES if size not in PARTS_OF):
        for threads in cores:
            fast, slow = ([rate for rate, _ in samples[size, part, threads]] for part in PARTS[:2])
            ratios.append({"size": size, "threads": threads, "batched_over_plain": median(a / b for a, b in zip(fast, slow))})
    told = [
        f"Batched unroll against the plain loop, {row['size']} size, {row['threads']} thread(s): "
        f"{row['batched_over_plain']:.2f} times as many world-model updates (median of neighbouring samples)."
        for row in ratios
    ]
    return {"torch": torch.__version__, "cpus": len(own), "parts": rows, "notes": notes() + told}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go (default: notebooks/assets/speed.json)")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2], help="cores and threads to measure with (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default: 5)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--cpus", type=int, nargs="*", default=[], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        cpus.pin(arguments.cpus)
        print(json.dumps(one_round(arguments.one, repeats=3)))
        return
    import results

    found = measure(arguments.cores, arguments.rounds)
    arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(results.speed_part(found))


if __name__ == "__main__":
    main()

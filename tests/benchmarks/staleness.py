"""What stale states do to a world model, and what cures them, over seeds.

    python tests/benchmarks/staleness.py                       all of it: about half an hour on one core
    python tests/benchmarks/staleness.py --parts Pendulum      world models alone, on Pendulum

All variants of one seed live through the same recorded episodes of held random pushes, with the
default settings but for the replay buffer's, and are measured on episodes none of them has seen.
What whole agents reach with them, the study `departures` measures.
Results go to notebooks/assets/staleness.json, which notebook 06 reads; what is there is not
measured again, unless with --fresh.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import Config, from_dict
from dreamer_core.replay import Window
from dreamer_core.viz.dream import Episode, act_out, held_actions
from dreamer_core.viz.error_growth import error_growth
from dreamer_core.viz.staleness import Rerun, kl_by_row, live_through, relative_l2, rerun, staleness

OUT = Path(__file__).resolve().parents[2] / "notebooks" / "assets" / "staleness.json"
# variant -> what it changes in the replay buffer's default settings
VARIANTS: dict[str, dict[str, Any]] = {
    "fixed chunks": {"layout": "chunks"},
    "fixed chunks, burn-in 4": {"layout": "chunks", "burn_in": 4},
    "free windows, no write-back": {"write_back": False},
    "free windows (v1)": {},
    "all from zero": {"start": "zero"},
    "half from zero": {"start": "mixed"},
    "half from zero, not stored": {"start": "mixed", "write_back_zero": False},
}
WORLDS: dict[str, dict[str, Any]] = {"Pendulum": {}, "Pendulum, velocity hidden": {"hide": [2]}}
EPISODES, LENGTH, HELD_OUT = 10, 200, 4
AHEAD = 15  # steps of the held-out dreams


def experience(config: Config, seed: int, episodes: int) -> list[Episode]:
    """Real episodes of random pushes, each held for `schedule.hold` steps on average; seed s and s + 1 share none."""
    env, numbers = envs.make(config.env, config.wrappers), range(50_000 + 1000 * seed, 50_000 + 1000 * seed + episodes)
    return [act_out(env, number, held_actions(LENGTH, 1, config.schedule.hold, number)) for number in numbers]


def whole(window: Window) -> Window:
    """Those windows of a batch that hold no episode's start: there h is 0 and nothing can be stale."""
    keep = (window.first == 0).all(1)
    return Window(*(part[keep] for part in window))


def quantiles(values: np.ndarray) -> list[float]:
    """Median and ninth decile."""
    return [round(float(np.quantile(values, q)), 4) for q in (0.5, 0.9)]


@torch.no_grad()
def trained_on(agent: Dreamer, found: Rerun, batch: int = 600) -> tuple[list[float], list[float]]:
    """Of windows as the loss gets them: the error of the h they start from (median, ninth decile), and the mean KL at each row."""
    config = agent.config.replay
    window = whole(agent.model.warm_up(agent.replay.sample(batch, config.burn_in + config.length), config.burn_in))
    right = found.fresh[window.index[:, 0] - int(found.row[0])]
    return quantiles(relative_l2(window.h, right).numpy()), [round(float(kl), 3) for kl in kl_by_row(agent, window).mean(0)]


def measure(agent: Dreamer) -> dict[str, Any]:
    """Error and age of what is stored, and of what training starts from."""
    found, stored = rerun(agent), staleness(agent)
    inside = stored.floor > 0  # not where an episode starts
    first, kl = trained_on(agent, found)
    return {
        "updates": agent.grad_steps,
        "error": quantiles(stored.error[inside]),
        "floor": quantiles(stored.floor[inside]),
        "age": quantiles(stored.age[inside]),
        "h1": first,
        "kl": kl,
    }


def points(agent: Dreamer, episodes: list[Episode]) -> Iterator[dict[str, Any]]:
    """What is measured along the way: after every second episode."""
    for _ in live_through(agent, episodes):
        if agent.replay.count % (2 * LENGTH) == 0:
            yield measure(agent)


def world_model(world: str, variant: str, seed: int) -> dict[str, Any]:
    """Train one world model on a growing buffer and measure it."""
    schedule = {"pretrain_both": 0, "agent_updates": 0}
    config = from_dict({"seed": seed, "wrappers": WORLDS[world], "replay": VARIANTS[variant], "schedule": schedule})
    episodes = experience(config, seed, EPISODES)
    torch.manual_seed(seed)
    agent = Dreamer(config, episodes[0].observation.shape[1], 1)
    curve = list(points(agent, episodes))
    unseen = experience(config, seed + 500, HELD_OUT)
    growth = error_growth(agent, unseen, range(10, 180, 10), AHEAD, 16)
    return {"curve": curve, "dream_error": [round(float(error), 4) for error in np.median(growth.dream, 0)]}


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds per variant (default: 5)")
    parser.add_argument("--parts", nargs="+", choices=WORLDS, default=list(WORLDS), help="what to measure (default: all)")
    parser.add_argument("--fresh", action="store_true", help="measure again what is stored already")
    parser.add_argument("--out", type=Path, default=OUT, help="where the results go")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = json.loads(arguments.out.read_text(encoding="utf-8")) if arguments.out.exists() and not arguments.fresh else {}
    jobs = [(world, variant, seed) for world in arguments.parts for seed in range(arguments.seeds) for variant in VARIANTS]
    for number, job in enumerate(jobs):
        name = "/".join(map(str, job))
        if name in found:
            continue
        found[name] = world_model(*job)
        part = arguments.out.with_suffix(".part")
        part.write_text(
            "{" + ",\n".join(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in found.items()) + "}\n",
            encoding="utf-8",
        )
        os.replace(part, arguments.out)
        last = found[name]["curve"][-1]
        print(f"[{number + 1}/{len(jobs)}] {name}: error {last['error']}, floor {last['floor']}, h_1 {last['h1']}", flush=True)


if __name__ == "__main__":
    main()

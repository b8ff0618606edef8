"""A world with a known answer: how far belief and agent are from the best there is.

    python tests/benchmarks/known_world.py                            everything, 3 seeds each: about 50 minutes on a free core
    python tests/benchmarks/known_world.py --parts gaussian --seeds 1  a part of it
    python tests/benchmarks/known_world.py --keep                     also keep numbers and ribbon in notebooks/assets

Everything runs on one core, one thing after the other. Each finished run leaves a JSON file in
build/known and is not measured again, unless settings changed or --fresh is given. The
test episodes (400, seed 1000000) and the agent's test chances (500, reset seeds 30000 to 30499)
are the same for all runs and never trained or tuned on; no seed is left out.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import cpus
import numpy as np
import results
import torch

from dreamer_core import config as configs
from dreamer_core.trainer import Trainer
from dreamer_core.yardsticks.belief_gap import compare, exact, fit, foresee, small_model
from dreamer_core.yardsticks.known_agent import agent_config, costs
from dreamer_core.yardsticks.known_answer import LQG, lqg_cost
from dreamer_core.yardsticks.known_world import World, noise_of, random_episodes, simulate

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "build" / "known"
WORLD = World()
EPISODES = 20_000  # recorded for training
UPDATES = {"gaussian": 4000, "categorical": 2500}  # as many as fit into 60 s on one free core
TEST = random_episodes(WORLD, np.random.default_rng(1_000_000), 400)
CHANCES = range(30_000, 30_500)
KEPT = ROOT / "notebooks" / "assets" / "known_world.json"


def settings(part: str, seed: int) -> dict[str, Any]:
    """What a stored result must agree with."""
    if part == "agent":
        return configs.to_dict(agent_config(seed))
    return configs.to_dict(small_model(part).config) | {"seed": seed, "episodes": EPISODES, "updates": UPDATES[part]}


def train_belief(latent: str, seed: int):
    """A world model trained on this seed's episodes, from this seed's weights."""
    torch.manual_seed(seed)
    data = random_episodes(WORLD, np.random.default_rng(seed), EPISODES)
    model = small_model(latent)
    clock, cpu = time.perf_counter(), time.process_time()
    fit(WORLD, model, data, UPDATES[latent])
    return model, {"wall_s": time.perf_counter() - clock, "cpu_s": time.process_time() - cpu}


def measure_belief(latent: str, seed: int, out: Path) -> dict[str, float]:
    """Train, compare with the filter on the test episodes, and draw one of them."""
    from dreamer_core.viz.belief import belief_figure
    from dreamer_core.viz.show import png

    model, times = train_belief(latent, seed)
    torch.manual_seed(0)
    found, truth = foresee(WORLD, model, TEST), exact(WORLD, TEST)
    shown = int(np.argmax(blackout_in_the_middle(TEST.visible)))
    title = f"Belief of a world model with {latent} z, seed {seed}, beside the exact one"
    rows = ((answer.mean[shown], answer.std[shown]) for answer in (found, truth))
    (out / f"{latent}-seed{seed}.png").write_bytes(png(belief_figure(TEST.reading[shown], TEST.visible[shown], *rows, title=title)))
    return times | compare(found, truth, TEST.visible)


def blackout_in_the_middle(visible: np.ndarray) -> np.ndarray:
    """(N,): whether the sensor is blind exactly at rows 20 to 33, and nowhere else, as nearly as the episodes offer."""
    wanted = np.ones(visible.shape[1])
    wanted[20:34] = 0
    return (visible == wanted).sum(1)


def measure_agent(seed: int) -> dict[str, Any]:
    """Train the agent and let it and LQG meet the same chances."""
    trainer = Trainer(agent_config(seed))
    reference = costs_of_lqg(trainer.config.evaluation)
    cpu = time.process_time()
    curve = [(metrics["env_steps"], -metrics["eval_return_mean"] / reference - 1) for metrics in trainer.run()]
    found = costs(trainer.agent, CHANCES)
    means = {name: float(values.mean()) for name, values in found._asdict().items()}
    return means | {
        "excess": found.excess, "error": found.excess_error, "curve": curve, "wall_s": trainer.wall_s, "cpu_s": time.process_time() - cpu,
    }  # fmt: skip


def costs_of_lqg(evaluation: configs.EvaluationConfig) -> float:
    """LQG's mean cost on the episodes of a training run's evaluations."""
    noise = noise_of(WORLD, range(evaluation.seed, evaluation.seed + evaluation.episodes))
    return float(simulate(WORLD, noise, LQG(WORLD, evaluation.episodes)).cost.mean())


def measure_lqg() -> dict[str, float]:
    """The best controller itself: exact and measured cost, and how often it meets the bound on its action."""
    noise = noise_of(WORLD, CHANCES)
    played = simulate(WORLD, noise, LQG(WORLD, len(CHANCES)))
    return {
        "episodes": len(CHANCES),
        "exact": float(lqg_cost(WORLD, noise.visible).mean()),
        "measured": float(played.cost.mean()),
        "clipped": float((np.abs(played.action) == 1).mean()),
    }


def run(part: str, seed: int, out: Path, fresh: bool) -> dict[str, Any]:
    """One run, or its stored result."""
    file = out / f"{part}-seed{seed}.json"
    wanted = settings(part, seed)
    if file.exists() and not fresh and (stored := json.loads(file.read_text(encoding="utf-8")))["settings"] == wanted:
        return stored["result"]
    result = measure_agent(seed) if part == "agent" else measure_belief(part, seed, out)
    file.write_text(json.dumps({"settings": wanted, "load": os.getloadavg()[0], "result": result}, indent=1), encoding="utf-8")
    print(f"{part}, seed {seed}: {json.dumps({key: round(value, 4) for key, value in result.items() if key != 'curve'})}", flush=True)
    return result


def keep(found: dict[str, Any]) -> None:
    """Put results (without learning curves) and what they were made with beside those kept of other parts, and into RESULTS.md."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    made_with = kept.setdefault("settings", {})
    for part, rows in found.items():
        if part == "lqg":
            kept[part] = rows
            continue
        kept[part] = [{name: value for name, value in row.items() if name != "curve"} for row in rows]
        made_with[part] = settings(part, 0)
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    results.write()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = [*UPDATES, "agent"]
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results (default: build/known)")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="what to measure (default: all)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... (default: 3)")
    parser.add_argument("--fresh", action="store_true", help="measure again what is stored already")
    parser.add_argument(
        "--keep", action="store_true", help="also write notebooks/assets/known_world.json and belief.png, the first Gaussian seed's ribbon"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    cpus.pin(cpus.available()[:1])
    torch.set_num_threads(1)
    found: dict[str, Any] = {
        part: [run(part, seed, arguments.out, arguments.fresh) for seed in range(arguments.seeds)] for part in arguments.parts
    }
    found["lqg"] = measure_lqg()
    print(results.known_part(found))
    if arguments.keep:
        keep(found)
        if "gaussian" in arguments.parts:
            (KEPT.parent / "belief.png").write_bytes((arguments.out / "gaussian-seed0.png").read_bytes())


if __name__ == "__main__":
    main()

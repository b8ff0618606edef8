"""An agent in which every build is a second, independently written answer, trained beside the course's own.

    python tests/benchmarks/built.py                    three seeds of both, 1,200 steps of Pendulum-v1: about ten minutes on two cores
    python tests/benchmarks/built.py --seeds 3 4        other seeds, added to what is there

The answers are those of `dreamer_core.classroom.right_answers.buildNN`: other layouts, other names, other style. Each is judged first, as a
learner's would be. Returns are means over 20 evaluation episodes, every 200 steps. Results go to notebooks/assets/built.json. A run that is
there already is not made again; no seed is left out.
"""

import argparse
import importlib
import json
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

OUT = Path(__file__).resolve().parents[2] / "notebooks" / "assets" / "built.json"
AGENTS = ("built", "course")
STEPS = 1200


def install_everything() -> str:
    """Put a right answer in the place of every exercise and build, and say how much of the agent that is.

    Raises:
        SystemExit: one of them is not accepted.
    """
    from dreamer_core.classroom import transplant
    from dreamer_core.classroom.build_judge import judge_build, told
    from dreamer_core.classroom.lesson import BUILDS, EXERCISES, notebook_of
    from dreamer_core.classroom.lines import lines_of_the_agent

    for number, asked in EXERCISES.items():
        transplant.install(asked, importlib.import_module(f"dreamer_core.classroom.right_answers.nb{notebook_of(number)}").RIGHT[number][0])
    for number, asked in BUILDS.items():
        made = importlib.import_module(f"dreamer_core.classroom.right_answers.build{notebook_of(number)}").RIGHT[number][0]
        finding = judge_build(asked, made)
        if not finding.right:
            raise SystemExit(f"{asked.heading} not accepted:\n{told(asked, finding)}")
        transplant.install_build(asked, made)
    lines = lines_of_the_agent(EXERCISES, BUILDS)
    return f"{lines.replaced} of {lines.all}"


def run(agent: str, seed: int) -> dict:
    """One run: returns by step, and whose lines they were."""
    import torch

    from dreamer_core.config import Config
    from dreamer_core.trainer import Trainer

    torch.set_num_threads(1)
    lines = install_everything() if agent == "built" else ""
    config = Config()
    config.seed, config.env_steps, config.evaluation.every, config.evaluation.episodes = seed, STEPS, 200, 20
    rows = [(row["env_steps"], round(row["eval_return_mean"], 1)) for row in Trainer(config).run()]
    return {"returns": dict(rows), "lines": lines}


def main() -> None:
    """Make the runs that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    kept = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {agent: {} for agent in AGENTS}
    missing = [(agent, seed) for seed, agent in product(asked.seeds, AGENTS) if str(seed) not in kept[agent]]
    with ProcessPoolExecutor(os.cpu_count(), max_tasks_per_child=1) as workers:
        for (agent, seed), future in {job: workers.submit(run, *job) for job in missing}.items():
            kept[agent][str(seed)] = future.result()
            OUT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
            print(agent, seed, kept[agent][str(seed)], flush=True)


if __name__ == "__main__":
    main()

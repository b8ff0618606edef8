"""Stable-baselines3's SAC, unmodified, inside a frozen dream of Pendulum, and what it is worth in the real world.

    python tests/benchmarks/dream_env.py                              everything: about two hours on a free core
    python tests/benchmarks/dream_env.py --dreams stored 1 --arms "sb3, latent"   a part of it
    python tests/benchmarks/dream_env.py --keep                       also put what is asked for into notebooks/assets/dream_env.json

It needs the extra `bench`. The dreams: "stored" is that of notebooks/assets/pendulum.safetensors, whose rows to start from are lived
anew (`collect`); 1, 2, ... are those of agents trained here with that seed, and start from their own replay buffers. No model
learns any more. The arms, each with fresh networks:

* sb3, decoded     stable-baselines3's SAC in `DreamEnv(observation="decoded")`, which acts in the real world as it is;
* sb3, latent      the same in `DreamEnv(observation="latent")`, which acts there through `FilteredEnv`;
* v1, decoded      v1's own SAC class without a model, in the same environment: as many dream steps, as many updates but those of prefill;
* v1, latent       the same with latent observations;
* v1, batches      v1's SAC as it learns in a Dreamer, from batches of short dreams: as many updates, many more dream steps;
* sb3, real        stable-baselines3's SAC with as many real steps and no dream.

Measured every 1,000 steps: "real" is the mean return of 50 real episodes, the reset seeds 20000 to 20049, and "promised" that of as
many dreams of 200 steps which begin with the same first observations. The agent's own actor is measured likewise ("agent").
The library's SAC has its defaults but for the learning rate, 0.001. No seed is left out. Each finished run leaves a
JSON file in build/dream_env and is not made again unless --fresh is given.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from dreamer_core import envs
from dreamer_core.agent import Carry, Dreamer
from dreamer_core.config import Config, from_dict, to_dict
from dreamer_core.dream_env import DreamEnv, DreamVectorEnv, FilteredEnv, collect, first_starts
from dreamer_core.study.peer import library
from dreamer_core.trainer import Trainer, evaluate

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "notebooks" / "assets"
KEPT = ASSETS / "dream_env.json"
OUT = ROOT / "build" / "dream_env"
DREAMS = ("stored", "1", "2", "3", "4", "5")
MODEL_STEPS = 2000  # real steps of the agents trained here
COLLECTED = 1000  # real steps from which the stored agent's dreams start, in episodes of
CUT = 50  # steps
STEPS, EVERY = 4000, 1000  # dream steps of a student, and between two measurements
EPISODES, SEED, LONG = 50, 20_000, 200  # real episodes, the reset seed of the first, and their length
RATE = 1e-3  # stable-baselines3's learning rate: its default of 0.0003 learns Pendulum more slowly
SIZES = (1, 8, 64, 256)  # dreams side by side, for the speed
Act = Callable[[np.ndarray], np.ndarray]  # observations (B, ...) -> actions (B, A)


class Acting:
    """A function from observations to actions in the place of an agent, as `evaluate` asks for one."""

    device = torch.device("cpu")

    def __init__(self, act: Act) -> None:
        self.act = act

    def initial(self, batch: int) -> Carry:
        """It remembers nothing."""
        empty = torch.zeros(batch, 0)
        return Carry(empty, empty, empty)

    def policy(self, carry: Carry, observation: torch.Tensor, first: torch.Tensor, explore: bool) -> Carry:
        """Actions (B, A) for observations (B, O)."""
        return carry._replace(action=torch.from_numpy(self.act(observation.numpy())))


class Measure:
    """What a policy of one kind of observation gets in the real world, and in its dream."""

    def __init__(self, agent: Dreamer, observation: str) -> None:
        real = [envs.make_for(agent.config) for _ in range(EPISODES)]
        first = torch.from_numpy(np.stack([envs.reset(env, SEED + number, 0) for number, env in enumerate(real)]))
        self.real = real if observation == "decoded" else [FilteredEnv(agent, env) for env in real]
        self.dream = DreamVectorEnv(agent, EPISODES, observation, first_starts(agent, first), LONG)
        self.rows: dict[str, list] = {"steps": [], "real": [], "promised": []}

    def __call__(self, steps: int, act: Act) -> None:
        """Measure a policy that has practised `steps` steps."""
        self.rows["steps"].append(steps)
        self.rows["real"].append(round(float(evaluate(Acting(act), self.real, SEED).returns.mean()), 2))
        self.rows["promised"].append(round(self.promised(act), 2))

    def promised(self, act: Act) -> float:
        """The mean return of the dreams, each counted to its end."""
        (seen, _), total, alive = self.dream.reset(seed=SEED), np.zeros(EPISODES), np.ones(EPISODES, bool)
        for _ in range(LONG):
            seen, reward, terminated, truncated, _ = self.dream.step(act(seen))
            total += alive * reward
            alive &= ~(terminated | truncated)
        return float(total.mean())


def dreamer(name: str, out: Path) -> Dreamer:
    """The agent whose dream it is, with rows to start from."""
    if name == "stored":
        agent = Dreamer.load(ASSETS / "pendulum.safetensors")
        collect(agent, COLLECTED, seed=0, episode=CUT)
        return agent
    folder = out / f"model-{name}"
    config = from_dict({"env_steps": MODEL_STEPS, "seed": int(name), "evaluation": {"every": MODEL_STEPS}})
    with Trainer.resume(folder) if (folder / "config.json").exists() else Trainer(config, folder) as trainer:
        for _ in trainer.run():
            pass
    return Dreamer.load(folder, replay=True)


def sb3(agent: Dreamer, world: Callable[[], gym.Env], seed: int, measure: Measure) -> dict[str, int]:
    """Stable-baselines3's SAC in an environment."""
    SAC, BaseCallback = library()

    class Look(BaseCallback):
        def _on_step(self) -> bool:
            if self.num_timesteps % EVERY == 0:
                measure(self.num_timesteps, lambda seen: student.predict(seen, deterministic=True)[0])
            return True

    student = SAC("MlpPolicy", world(), learning_rate=RATE, seed=seed, device="cpu")
    student.learn(STEPS, callback=Look())
    return {"dream_steps": STEPS, "updates": student._n_updates}


def v1(agent: Dreamer, world: Callable[[], gym.Env], seed: int, measure: Measure) -> dict[str, int]:
    """V1's SAC class without a model, by the course's own training loop, in an environment registered for it."""
    name = f"dream/Student{seed}-v0"
    gym.register(name, entry_point=world)
    config = from_dict({"agent": "sac", "env": name, "env_steps": STEPS, "seed": seed, "evaluation": {"every": STEPS, "episodes": 1}})

    def look(trainer: Trainer) -> None:
        if trainer.step % EVERY == 0:
            measure(trainer.step, lambda seen: trainer.agent.sac.actor.mode(torch.from_numpy(seen)).detach().numpy())

    with Trainer(config, warn=lambda sentence: None) as trainer:
        for _ in trainer.run(on_step=look):
            pass
        updates = int(trainer.agent.sac.updates)
    del gym.registry[name]
    return {"dream_steps": STEPS, "updates": updates}


def batches(agent: Dreamer, world: Callable[[], gym.Env], seed: int, measure: Measure) -> dict[str, int]:
    """V1's SAC as in a Dreamer: batches of short dreams, several updates on each."""
    torch.manual_seed(seed)
    student = Dreamer(agent.config, len(agent.model.centre), agent.action)
    student.model, student.replay = agent.model, agent.replay  # read, never trained
    config, dreamt = student.config, 0
    while (done := int(student.sac.updates)) < STEPS:
        student.learn_policy()
        dreamt += config.imagination.starts * config.imagination.horizon
        if (done + config.schedule.sac_updates) % EVERY == 0:
            measure(int(student.sac.updates), lambda seen: student.sac.actor.mode(torch.from_numpy(seen)).detach().numpy())
    return {"dream_steps": dreamt, "updates": int(student.sac.updates)}


# arm -> (who learns, what is observed, whether in the real world)
ARMS: dict[str, tuple[Callable[..., dict[str, int]], str, bool]] = {
    "sb3, decoded": (sb3, "decoded", False),
    "sb3, latent": (sb3, "latent", False),
    "v1, decoded": (v1, "decoded", False),
    "v1, latent": (v1, "latent", False),
    "v1, batches": (batches, "latent", False),
    "sb3, real": (sb3, "decoded", True),
}


def student(agent: Dreamer, arm: str, seed: int) -> dict[str, Any]:
    """One arm in one dream."""
    learn, observation, real = ARMS[arm]
    measure, cpu = Measure(agent, observation), time.process_time()
    found = learn(agent, (lambda: envs.make_for(agent.config)) if real else lambda: DreamEnv(agent, observation), seed, measure)
    return measure.rows | found | {"seed": seed, "cpu_s": round(time.process_time() - cpu, 1)}


def itself(agent: Dreamer) -> dict[str, Any]:
    """What the agent's own actor gets, and promises itself."""
    measure = Measure(agent, "latent")
    measure(0, lambda seen: agent.sac.actor.mode(torch.from_numpy(seen)).detach().numpy())
    return {name: measure.rows[name][0] for name in ("real", "promised")} | {"rows": len(agent.replay)}


def speed(agent: Dreamer, seconds: float = 2.0) -> dict[str, float]:
    """Dream steps per second of one core's time, by how many dreams are side by side."""
    found = {}
    for size in SIZES:
        world = DreamVectorEnv(agent, size)
        world.reset(seed=0)
        action, steps, start = world.action_space.sample(), 0, time.process_time()
        while (spent := time.process_time() - start) < seconds:
            world.step(action)
            steps += size
        found[str(size)] = round(steps / spent)
    return found


def run(name: str, arguments: argparse.Namespace, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A result, or the one that is stored."""
    file = arguments.out / f"{name}.json"
    if arguments.fresh or not file.exists():
        file.write_text(json.dumps(make(), indent=1), encoding="utf-8")
        print(f"{name}: {file.read_text(encoding='utf-8')}".replace("\n", ""), flush=True)
    return json.loads(file.read_text(encoding="utf-8"))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the results (default: build/dream_env)")
    parser.add_argument("--dreams", nargs="+", choices=DREAMS, default=DREAMS, help="whose dreams (default: all)")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="who learns (default: all)")
    parser.add_argument("--fresh", action="store_true", help="measure again what is stored already")
    parser.add_argument("--keep", action="store_true", help="also write notebooks/assets/dream_env.json")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    found: dict[str, Any] = {"settings": settings(), "dreams": {}}
    for name in arguments.dreams:
        agent = dreamer(name, arguments.out)
        seed = 0 if name == "stored" else int(name)
        work: dict[str, Callable[[], dict[str, Any]]] = {"agent": partial(itself, agent)}
        work |= {arm: partial(student, agent, arm, seed) for arm in arguments.arms}
        found["dreams"][name] = {part: run(f"{name}, {part}", arguments, make) for part, make in work.items()}
        if name == "stored":
            found["speed"] = run("speed", arguments, partial(speed, agent))
    if arguments.keep:
        keep(found)


def keep(found: dict[str, Any]) -> None:
    """Put results beside those kept of other dreams and arms, unless they were made with other settings."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if kept.get("settings") != found["settings"]:
        kept = {"settings": found["settings"], "dreams": {}}
    for name in DREAMS:
        rows = kept["dreams"].pop(name, {}) | found["dreams"].get(name, {})
        if rows:
            kept["dreams"][name] = {part: rows[part] for part in ("agent", *ARMS) if part in rows}
    KEPT.write_text(json.dumps(found | kept, indent=1) + "\n", encoding="utf-8")


def settings() -> dict[str, Any]:
    """What the results were made with."""
    return {
        "steps": STEPS, "every": EVERY, "model_steps": MODEL_STEPS, "collected": COLLECTED, "cut": CUT, "episodes": EPISODES,
        "seed": SEED, "learning_rate": RATE, "sac": to_dict(Config())["sac"], "torch": torch.__version__,
    }  # fmt: skip


if __name__ == "__main__":
    main()

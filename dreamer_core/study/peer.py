"""Stable-baselines3's SAC as an arm: the same run folder, the same evaluations.

It needs the extra `bench`. A run that was stopped half-way begins again, since its state is not kept
between evaluations; the same seed gives the same numbers.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import field
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dreamer_core import checkpoint, envs
from dreamer_core import config as configs
from dreamer_core.agent import Carry
from dreamer_core.config import STRICT, Count, EvaluationConfig, Fraction, Positive, Seed, WrapperConfig
from dreamer_core.errors import ConfigError
from dreamer_core.trainer import evaluate

AGENT = "sb3_sac"  # its name among agents


@dataclass(config=STRICT)
class PeerConfig:
    """The settings of stable-baselines3's SAC under the library's own names and with its defaults, and those of a run."""

    agent: Literal["sb3_sac"] = AGENT
    env: str = "Pendulum-v1"
    env_steps: Count = 3000
    seed: Seed = 0
    threads: Count = 1
    wrappers: WrapperConfig = field(default_factory=WrapperConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    learning_rate: Positive = 3e-4
    buffer_size: Count = 1_000_000
    learning_starts: Count = 100
    batch_size: Count = 256
    tau: Fraction = 0.005
    gamma: Fraction = 0.99
    train_freq: Count = 1
    gradient_steps: Count = 1

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "PeerConfig":
        """Settings from plain data; what is missing takes its default.

        Raises:
            ConfigError: naming the first setting that does not exist, or has a wrong type or range.
        """
        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            raise ConfigError(configs.explain(error)) from None

    def of_the_library(self) -> dict[str, Any]:
        """The arguments of stable-baselines3's SAC."""
        own = ("learning_rate", "buffer_size", "learning_starts", "batch_size", "tau", "gamma", "train_freq", "gradient_steps", "seed")
        return {name: getattr(self, name) for name in own}


class Aging(gym.Wrapper):
    """Tells a world that changes with its age how many steps were taken in it, as the course's own training loop does."""

    steps = 0

    def step(self, action: np.ndarray) -> tuple:
        self.steps += 1
        return self.env.step(action)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple:
        ages = getattr(self.env.unwrapped, "ages", False)
        return self.env.reset(seed=seed, options={"age": self.steps} if ages else options)


class Policy:
    """The library's model in the place of an agent, as `trainer.evaluate` asks for one."""

    device = torch.device("cpu")

    def __init__(self, model: Any) -> None:
        self.model = model

    def initial(self, batch: int) -> Carry:
        """It remembers nothing."""
        empty = torch.zeros(batch, 0)
        return Carry(empty, empty, empty)

    def policy(self, carry: Carry, observation: torch.Tensor, first: torch.Tensor, explore: bool) -> Carry:
        """Actions (B, A) for observations (B, O), without noise."""
        action, _ = self.model.predict(observation.numpy(), deterministic=not explore)
        return carry._replace(action=torch.from_numpy(action))


def library() -> tuple[type, type]:
    """Stable-baselines3's SAC and the base of its callbacks.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from stable_baselines3 import SAC
        from stable_baselines3.common.callbacks import BaseCallback
    except ImportError:
        raise ConfigError(f"the agent {AGENT} is stable-baselines3's, which is not installed: pip install -e '.[bench]'") from None
    return SAC, BaseCallback


def train(config: PeerConfig, folder: Path, warn: Callable[[str], None], look: Callable[[], None]) -> None:
    """A whole run from its first step on; writes config.json, metrics.jsonl and, at the end, a checkpoint of the policy.

    Args:
        look: called after each evaluation.

    Raises:
        ConfigError: the library is not installed. CheckpointError: another run is at work in the folder.
        EnvError: the environment cannot be used.
    """
    SAC, BaseCallback = library()

    class Evaluations(BaseCallback):
        """Evaluates every so many steps and leaves that time out."""

        def __init__(self, copies: list, file: Any) -> None:
            super().__init__()
            self.copies, self.file = copies, file
            self.wall_s, self.since = 0.0, time.perf_counter()

        def _on_step(self) -> bool:
            if self.num_timesteps % config.evaluation.every == 0 or self.num_timesteps == config.env_steps:
                self.wall_s += time.perf_counter() - self.since
                returns = evaluate(Policy(self.model), self.copies, config.evaluation.seed, age=self.num_timesteps).returns
                self.file.write(json.dumps(self.line(returns)) + "\n")
                self.file.flush()
                look()
                self.since = time.perf_counter()
            return True

        def line(self, returns: np.ndarray) -> dict[str, Any]:
            """An evaluation as `Trainer` writes it."""
            return {
                "env_steps": self.num_timesteps,
                "wall_s": round(self.wall_s, 3),
                "eval_return_mean": float(returns.mean()),
                "eval_return_std": float(returns.std()),
                "eval_episodes": len(returns),
            }

    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    opened: list[Any] = []
    with checkpoint.lock(folder / "metrics.jsonl"), open(folder / "metrics.jsonl", "w", encoding="utf-8") as file:
        try:
            for _ in range(1 + config.evaluation.episodes):
                opened.append(envs.make(config.env, config.wrappers))
            model = SAC("MlpPolicy", Aging(opened[0]), device="cpu", **config.of_the_library())
            # Only now, as in `Trainer`: a run whose world cannot be made was never begun.
            checkpoint.write_atomic(folder / "config.json", json.dumps(configs.to_dict(config), indent=1).encode())
            model.learn(config.env_steps, callback=Evaluations(opened[1:], file))
            os.fsync(file.fileno())
        finally:
            envs.close(opened, warn)
        weights = {f"agent.{name}": value for name, value in model.policy.state_dict().items()}
        checkpoint.save(folder / "checkpoint", config.env_steps, weights, {"config": configs.to_dict(config), "step": config.env_steps})

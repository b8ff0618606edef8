"""The training loop: act, remember, learn, evaluate, and survive being killed. `train.py` is its command.

A run is exactly reproducible and resumable because it has one source of randomness (torch's
global generator, saved in each checkpoint) and because an environment's state is never pickled:
every episode is reset with a seed of its own, and a resumed run replays the running episode's
actions. So this works for any environment that is deterministic given its seed and its actions.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from dreamer_core import checkpoint, envs
from dreamer_core import config as configs
from dreamer_core.agent import Agent, Dreamer, ModelFree, under
from dreamer_core.config import Config
from dreamer_core.errors import CheckpointError, ConfigError, Diverged, DreamerError, EnvError, NotEnoughData
from dreamer_core.imagine import imagined_return

LONGEST = 10_000  # steps of an evaluation episode; an environment that never ends one would be waited for forever


def pick_device(config: Config) -> torch.device:
    """The device a configuration asks for.

    Raises:
        ConfigError: it asks for an accelerator that is not there.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    name = config.device
    if name == "auto":
        # A hundred small operations a step are bound by call overhead, where a CPU wins.
        name = "cuda" if available["cuda"] and config.model.units >= 512 else "cpu"
    if not available[name]:
        raise ConfigError(f"the setting device is {name!r}, but torch finds no such device here: use --device cpu")
    return torch.device(name)


def check_windows(config: Config) -> None:
    """Notice before the first step that learning would start with too little data.

    Windows may cross from one episode into the next, so what counts is rows, not episodes. Chunks
    lie on a fixed grid: a ring of rows surely holds a whole one if it is two chunks long, less a row.

    Raises:
        NotEnoughData: the random steps, or the whole buffer, are fewer than one window needs.
    """
    rows = config.replay.burn_in + config.replay.length
    kept = 2 * rows - 1 if config.replay.layout == "chunks" else rows
    settings = {"schedule.prefill": (config.schedule.prefill, rows), "replay.capacity": (config.replay.capacity, kept)}
    for setting, (held, needed) in settings.items():
        if config.agent == "dreamer" and needed > held:
            raise NotEnoughData(
                f"the world model learns from windows of {rows} rows (replay.burn_in + replay.length), but {setting} "
                f"provides only {held}: raise {setting} to {needed} or shorten the windows"
            )


def ending(terminated: bool, truncated: bool) -> tuple[bool, bool]:
    """What the two flags of a step mean: (the episode is over, nothing can follow).

    The first says when to reset. Only the second is stored as `terminal`: a time limit stops the
    recording and not the world, so what would have followed still counts. Both flags may be up in
    the same step, and then it is an end. Source: Pardo et al., Time Limits in Reinforcement
    Learning, arXiv 1712.00378 ("partial-episode bootstrapping").
    """
    return terminated or truncated, terminated


class Evaluation(NamedTuple):
    """One real episode in each of E environments."""

    returns: np.ndarray  # (E,), undiscounted
    start: np.ndarray  # (E, O), first observations
    steps: int  # length of the longest episode


def evaluate(agent: Agent, environments: list, seed: int) -> Evaluation:
    """One deterministic episode in each environment, reset with seed, seed + 1, ...

    All episodes advance together, so that the policy is called once per step for all of them. No
    random number is drawn: evaluating more or less often changes nothing else.

    Raises:
        EnvError: an episode does not end.
    """
    start = np.stack([env.reset(seed=seed + number)[0] for number, env in enumerate(environments)])
    observation = start.copy()
    carry, first = agent.initial(len(environments)), torch.ones(len(environments), device=agent.device)
    total = np.zeros(len(environments))
    running = list(range(len(environments)))
    for step in range(LONGEST):
        carry = agent.policy(carry, torch.from_numpy(observation).to(agent.device), first, explore=False)
        first = torch.zeros_like(first)
        actions = carry.action.cpu().numpy()
        for number in list(running):
            observation[number], reward, terminated, truncated, _ = environments[number].step(actions[number])
            total[number] += reward
            if terminated or truncated:
                running.remove(number)
        if not running:
            return Evaluation(total, start, step + 1)
    raise EnvError(f"an evaluation episode is still running after {LONGEST} steps: register the environment with max_episode_steps")


class Trainer:
    """One run: an environment, an agent, and where they are.

    Args:
        config: the whole tree.
        out: folder for metrics, configuration and checkpoints; None keeps everything in memory.

    Raises:
        ConfigError: `out` already holds a run, or the device is missing.
        EnvError: the environment cannot be used.
        NotEnoughData: learning would start before a window of rows is there.
        DreamerError: `out` cannot be written to.
    """

    def __init__(self, config: Config, out: Path | str | None = None) -> None:
        check_windows(config)
        self.config = config
        self.env = envs.make(config.env, config.wrappers)
        self.evaluation_envs = [envs.make(config.env, config.wrappers) for _ in range(config.evaluation.episodes)]
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        kind = {"dreamer": Dreamer, "sac": ModelFree}[config.agent]
        sizes = self.env.observation_space.shape[0], self.env.action_space.shape[0]
        self.agent: Agent = kind(config, *sizes, pick_device(config))
        self.step = 0  # environment steps taken
        self.wall_s = 0.0  # seconds of acting and learning, evaluation not counted
        self.episode = -1
        self.actions: list[np.ndarray] = []  # of the running episode, to rebuild the environment's state
        self.held = torch.zeros(sizes[1])  # the random action that is being held
        self.metrics: dict[str, torch.Tensor | float] = {}  # of the newest updates
        self.written = 0  # bytes of metrics.jsonl
        self.out: Path | None = None
        self._start_episode()
        if out is not None:
            self._claim(Path(out))

    def _claim(self, out: Path) -> None:
        """Make `out` the folder of this run. config.json comes last: a folder with one can be resumed, whenever it was killed."""
        self.out = out
        with explained(out, "choose another --out"):
            if (out / "config.json").exists() or (out / "metrics.jsonl").exists():
                raise ConfigError(f"{out} already holds a run: choose another --out, or continue it with --resume {out}")
            out.mkdir(parents=True, exist_ok=True)
            self.save()
            self._write_config()

    def _write_config(self) -> None:
        checkpoint.write_atomic(self.out / "config.json", json.dumps(configs.to_dict(self.config), indent=1).encode())

    def _start_episode(self) -> None:
        self.episode += 1
        self.actions = []
        self.observation, _ = self.env.reset(seed=self._episode_seed())
        self.reward, self.first = 0.0, True
        self.carry = self.agent.initial(1)

    def _episode_seed(self) -> int:
        return int(np.random.SeedSequence((self.config.seed, self.episode)).generate_state(1)[0])

    # --- the loop ----------------------------------------------------------------------------

    def run(
        self, on_step: Callable[["Trainer"], None] = lambda trainer: None, on_pretrain: Callable[[float], None] = lambda share: None
    ) -> Iterator[dict[str, Any]]:
        """Train to `config.env_steps`; yields the metrics of each evaluation.

        Args:
            on_step: called after every environment step.
            on_pretrain: called with the share done during the learning that follows the random
                steps, which takes seconds without a step.

        Raises:
            Diverged: a loss is no longer a number.
        """
        config = self.config
        while self.step < config.env_steps:
            started = time.perf_counter()
            self._act()
            self.metrics |= self.agent.learn_after(self.step, on_pretrain)
            self.wall_s += time.perf_counter() - started
            on_step(self)
            due = self.step % config.evaluation.every == 0 or self.step == config.env_steps
            if due:
                metrics = self.evaluate()
                self._log(metrics)
            if self.out is not None and (self.step % config.checkpoint_every == 0 or self.step == config.env_steps):
                with explained(self.out, self._keep_going()):
                    self.save()
            if due:
                yield metrics

    def _act(self) -> None:
        """One environment step: update the belief, choose an action, store the row, move on."""
        self.carry = self.agent.live(self.carry, torch.from_numpy(self.observation), self.reward, self.first, False)
        if self.step < self.config.schedule.prefill:
            self.carry = self.carry._replace(action=self._random_action()[None].to(self.agent.device))
        self.agent.replay.set_action(self.carry.action[0])
        action = self.carry.action[0].cpu().numpy()
        self.actions.append(action)
        self.observation, self.reward, terminated, truncated, _ = self.env.step(action)
        self.first = False
        self.step += 1
        if self.step <= self.config.schedule.prefill and len(self.actions) == self.config.schedule.prefill_episode:
            truncated = True
        over, terminal = ending(terminated, truncated)
        if over:  # the last row brings the last reward; no action leaves it
            self.agent.live(self.carry, torch.from_numpy(self.observation), self.reward, False, terminal)
            self._start_episode()

    def _random_action(self) -> torch.Tensor:
        """Uniform in [-1, 1], kept for `hold` steps on average (a geometric number of them)."""
        if self.step == 0 or torch.rand(()) < 1 / self.config.schedule.hold:
            self.held = 2 * torch.rand(len(self.held)) - 1
        return self.held

    def evaluate(self) -> dict[str, Any]:
        """Measure the agent now; not counted in `wall_s`.

        Raises:
            Diverged: a loss is no longer a number.
        """
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"learning diverged: {name} is {float(value)} at step {self.step}; start again with a lower learning rate "
                    f"(model.lr, sac.actor_lr, sac.critic_lr) or a smaller clip_norm"
                )
        real = evaluate(self.agent, self.evaluation_envs, self.config.evaluation.seed)
        returns, imagined = real.returns, {}
        if isinstance(self.agent, Dreamer):
            kind = self.agent.device.type
            with torch.random.fork_rng([] if kind == "cpu" else None, device_type=kind):  # so that evaluating changes nothing else
                start = torch.from_numpy(real.start).to(self.agent.device)
                expected = imagined_return(self.agent.model, self.agent.sac.actor, start, real.steps)
            imagined = {"imagined_return_mean": float(expected.mean()) / self.config.sac.reward_scale}
        return {
            "env_steps": self.step,
            "grad_steps": self.agent.grad_steps,
            "wall_s": round(self.wall_s, 3),
            "eval_return_mean": float(returns.mean()),
            "eval_return_std": float(returns.std()),
            "eval_episodes": len(returns),
            **imagined,
        } | {name: float(value) for name, value in self.metrics.items()}

    def _log(self, metrics: dict[str, Any]) -> None:
        """Append a line; on disk before the checkpoint that counts on it."""
        if self.out is None:
            return
        with explained(self.out, self._keep_going()), open(self.out / "metrics.jsonl", "ab") as file:
            self.written += file.write((json.dumps(metrics) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def _keep_going(self) -> str:
        return f"the last good checkpoint is kept, so make room there and continue with --resume {self.out}"

    # --- stopping and going on -----------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint of everything that decides what comes next."""
        agent = self.agent
        tensors = {"rng": torch.get_rng_state(), "held": self.held, "observation": torch.from_numpy(self.observation)}
        if agent.device.type != "cpu":
            tensors["rng_device"] = getattr(torch, agent.device.type).get_rng_state()
        tensors["actions"] = torch.from_numpy(np.array(self.actions, np.float32).reshape(len(self.actions), len(self.held)))
        tensors |= {f"carry.{name}": value for name, value in self.carry._asdict().items()}
        tensors |= {f"agent.{name}": value for name, value in agent.state_dict().items()}
        state = {
            "config": configs.to_dict(self.config),
            "step": self.step,
            "wall_s": self.wall_s,
            "episode": self.episode,
            "reward": self.reward,
            "first": self.first,
            "metrics": {name: float(value) for name, value in self.metrics.items()},
            "written": self.written,
        }
        checkpoint.save(self.out / "checkpoint", self.step, tensors, state)

    @classmethod
    def resume(cls, out: Path | str, env_steps: int | None = None, warn: Callable[[str], None] = print) -> "Trainer":
        """Continue the run in `out` from its newest whole checkpoint, to `env_steps` if given.

        `warn` is called with a sentence for each damaged checkpoint that is passed over.

        Raises:
            CheckpointError: nothing to resume, another configuration or version, a shortened
                metrics.jsonl, or an environment that no longer repeats itself.
            ConfigError: the run is already past `env_steps`.
        """
        out = Path(out)
        config = read_config(out)
        tensors, state = checkpoint.load_newest(out / "checkpoint", warn)
        different = [name for name in differences(configs.to_dict(config), state["config"]) if name != "env_steps"]
        if different:
            raise CheckpointError(
                f"the checkpoint in {out} was made with another {different[0]} than {out / 'config.json'} says: "
                f"restore that setting, or start a new run"
            )
        if env_steps is not None:
            config.env_steps = env_steps
        if config.env_steps < state["step"]:
            raise ConfigError(f"the run in {out} is already at step {state['step']}: ask for more than that with --env-steps")
        trainer = cls(config)
        trainer.out = out
        trainer._restore(tensors, state)
        with explained(out, trainer._keep_going()):
            trainer._write_config()
            trainer._rewind_metrics()
        return trainer

    def _restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
        self.step, self.wall_s, self.written = state["step"], state["wall_s"], state["written"]
        self.episode = state["episode"] - 1
        self._start_episode()
        self._replay_episode(tensors["actions"].numpy(), tensors["observation"].numpy())
        self.reward, self.first, self.metrics = state["reward"], state["first"], state["metrics"]
        self.held = tensors["held"]
        self.carry = type(self.carry)(**{name: value.to(self.agent.device) for name, value in under(tensors, "carry.").items()})
        self.agent.load_state_dict(under(tensors, "agent."))
        if "rng_device" in tensors:
            getattr(torch, self.agent.device.type).set_rng_state(tensors["rng_device"])
        torch.set_rng_state(tensors["rng"])

    def _replay_episode(self, actions: np.ndarray, observation: np.ndarray) -> None:
        """Bring the environment to where it was: same reset seed, same actions (steps, A), which must lead to observation (O,)."""
        for action in actions:
            self.actions.append(action)
            self.observation, *_ = self.env.step(action)
        if not np.array_equal(self.observation, observation):
            raise CheckpointError(
                f"{self.config.env} did not repeat itself from the same seed and actions, so this run cannot be "
                f"continued exactly: start a new run"
            )

    def _rewind_metrics(self) -> None:
        """Drop the lines, and the part of a line, written after the checkpoint: they will be written again."""
        with open(self.out / "metrics.jsonl", "ab") as file:
            if file.tell() < self.written:
                raise CheckpointError(f"{file.name} is shorter than when the checkpoint was made: restore it, or start a new run")
            file.truncate(self.written)


def read_config(out: Path) -> Config:
    """The configuration of the run in folder `out`.

    Raises:
        CheckpointError: config.json is missing or not JSON. ConfigError: a setting in it is wrong.
    """
    try:
        return configs.from_dict(json.loads((out / "config.json").read_bytes()))
    except FileNotFoundError:
        raise CheckpointError(f"{out} holds no run to resume (it has no config.json): start a new one with --out") from None
    except (OSError, ValueError):
        raise CheckpointError(f"{out / 'config.json'} cannot be read: restore it, or start a new run") from None


def differences(a: dict[str, Any], b: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the settings in which two configurations differ."""
    names = []
    for key in sorted(a.keys() | b.keys()):
        left, right = a.get(key), b.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            names += differences(left, right, f"{prefix}{key}.")
        elif left != right:
            names.append(prefix + key)
    return names


@contextmanager
def explained(out: Path, advice: str) -> Iterator[None]:
    """Turn a failed write under `out` into one sentence that ends in `advice`."""
    try:
        yield
    except OSError as error:
        raise DreamerError(f"could not write to {out} ({error.strerror or error}): {advice}") from None

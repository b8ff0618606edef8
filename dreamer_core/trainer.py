"""The training loop: act, remember, learn, evaluate, and survive being killed. `train.py` is its command.

A run is exactly reproducible and resumable because it has one source of randomness (torch's
global generator, saved in each checkpoint) and because an environment's state is never pickled:
every episode is reset with a seed of its own, and a resumed run replays the running episode's
actions. So this works for any environment that is deterministic given its seed and its actions. One
that carries something over from one episode to the next (a curriculum) is not: it is refused where
the running episode shows that it differs, and where that shows nothing, it goes unnoticed.
"""

import json
import math
import os
import re
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import gymnasium as gym
import numpy as np
import torch

from dreamer_core import checkpoint, envs
from dreamer_core import config as configs
from dreamer_core.agent import Agent, Carry, Dreamer, ModelFree, under
from dreamer_core.config import Config
from dreamer_core.errors import CheckpointError, ConfigError, Diverged, DreamerError, EnvError, NotEnoughData
from dreamer_core.imagine import imagined_return
from dreamer_core.world_model import WorldModel

CHANGEABLE = ("env_steps", "device", "threads")  # what a resumed run may set anew
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
        raise ConfigError(f"the setting device is {name!r}, but torch finds no such device here: set device to cpu")
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


def check_threads(config: Config) -> None:
    """Refuse threads that could only wait for one another.

    Raises:
        ConfigError: naming how many there may be.
    """
    most = max(2, os.cpu_count() or 1)
    if config.threads > most:
        raise ConfigError(f"the setting threads is {config.threads}, but this machine has cores for {most}: set threads to {most} or fewer")


def first_learning(config: Config) -> int:
    """The environment step at which learning starts."""
    schedule = config.schedule
    if config.agent == "dreamer" and schedule.pretrain_model + schedule.pretrain_both > 0:
        return schedule.prefill
    return (schedule.prefill // schedule.every + 1) * schedule.every


class Evaluation(NamedTuple):
    """E real episodes."""

    returns: np.ndarray  # (E,), undiscounted
    start: np.ndarray  # (E, O), first observations
    steps: int  # length of the longest episode


def evaluate(agent: Agent, environments: list, seed: int, episodes: int | None = None, age: int = 0) -> Evaluation:
    """Deterministic episodes, reset with seed, seed + 1, ...: one in each environment, or as many as asked for, by turns.

    Returns are in the environment's own units, whatever `WrapperConfig` makes of them for the agent.
    `age` is told to a world that changes with it.

    As many as there are environments advance together, so that the policy is called once per step
    for all of them. No random number is drawn: evaluating more or less often changes nothing else.

    Raises:
        EnvError: an episode does not end.
    """
    episodes, many = episodes or len(environments), len(environments)
    turns = [side_by_side(agent, environments[: episodes - done], seed + done, age) for done in range(0, episodes, many)]
    returns, start, steps = zip(*turns)
    return Evaluation(np.concatenate(returns), np.concatenate(start), max(steps))


def side_by_side(agent: Agent, environments: list, seed: int, age: int) -> Evaluation:
    """One turn of `evaluate`: an episode in each environment."""
    start = np.stack([envs.reset(env, seed + number, age) for number, env in enumerate(environments)])
    observation = start.copy()
    carry, first = agent.initial(len(environments)), torch.ones(len(environments), device=agent.device)
    total = np.zeros(len(environments))
    running = list(range(len(environments)))
    for step in range(LONGEST):
        carry = agent.policy(carry, torch.from_numpy(observation).to(agent.device), first, explore=False)
        first = torch.zeros_like(first)
        actions = carry.action.cpu().numpy()
        for number in list(running):
            observation[number], reward, terminated, truncated, info = environments[number].step(actions[number])
            total[number] += info.get("own_reward", reward)
            if terminated or truncated:
                running.remove(number)
        if not running:
            return Evaluation(total, start, step + 1)
    raise EnvError(f"an evaluation episode is still running after {LONGEST} steps: register the environment with max_episode_steps")


class AsMeasured:
    """A world model whose predicted rewards are lower by an offset and whose episodes go on without a discount, as real returns count."""

    def __init__(self, model: WorldModel, offset: float) -> None:
        self.model, self.offset = model, offset

    def predict_reward(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation (...) of the reward that arrives with states (..., F)."""
        mean, std = self.model.predict_reward(state)
        return mean - self.offset, std

    def predict_continue(self, state: torch.Tensor) -> torch.Tensor:
        """The logit (...) that the episode goes on after states (..., F), whatever discount is folded into what the model learns."""
        logit = self.model.predict_continue(state)
        if self.model.folded == 1:
            return logit
        return torch.logit((torch.sigmoid(logit) / self.model.folded).clamp(max=1 - 1e-6))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


class Trainer:
    """One run: an environment, an agent, and where they are.

    Close it when you are done (`close`, or `with Trainer(...) as trainer:`), since an environment
    may be a program of its own. It is closed as well by an error or an interruption in `run`, when
    it is dropped, and when Python ends.

    Args:
        config: the whole tree.
        out: folder for metrics, configuration and checkpoints; None keeps everything in memory.
        warn: called with a sentence for what is no error but should be known.

    Raises:
        ConfigError: `out` already holds a run, or the machine lacks the device, the cores or the memory.
        EnvError: the environment cannot be used.
        NotEnoughData: learning would start before a window of rows is there.
        DreamerError: `out` cannot be written to, or another run is at work in it.
    """

    def __init__(self, config: Config, out: Path | str | None = None, warn: Callable[[str], None] = warnings.warn) -> None:
        self._begin()
        with self._closed_on_error():
            self._prepare(config, warn)
            self._start_episode()
            self.evaluation_envs = self._open_copies(warn)
            if out is not None:
                self._claim(Path(out))

    def _begin(self) -> None:
        """What is needed before anything is opened."""
        self.opened = ExitStack()  # environments, and the folder's lock
        self.close_once = weakref.finalize(self, self.opened.close)
        self.lock: BinaryIO | None = None

    def _prepare(self, config: Config, warn: Callable[[str], None]) -> None:
        """Everything but the first episode."""
        check_windows(config)
        check_threads(config)
        if config.env_steps < (learns := first_learning(config)):
            warn(f"learning starts at step {learns}, so {config.env_steps} steps teach nothing: raise env_steps or lower schedule.prefill")
        if config.keep_agents and config.agent != "dreamer":
            raise ConfigError(
                f"keep_agents keeps agents that can dream, and --agent {config.agent} has no world model: set keep_agents to 0"
            )
        device = pick_device(config)
        self.config = config
        self.env = envs.make_for(config)
        self.opened.callback(envs.close, [self.env], warn)
        self.discrete = envs.is_discrete(self.env)
        if config.actor_critic == "dreamerv3" and config.dreamerv3.actor == "auto":
            actor = "categorical" if self.discrete else "normal"
            self.config = config = replace(config, dreamerv3=replace(config.dreamerv3, actor=actor))
        self.evaluation_envs: list[gym.Env] = []
        self.displaced = False  # whether evaluating has led `env` away from the running episode
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        kind = {"dreamer": Dreamer, "sac": ModelFree}[config.agent]
        sizes = self.env.observation_space.shape, self.env.action_space.shape[0]
        with enough_memory("an agent of these sizes"):
            self.agent: Agent = kind(config, *sizes, device)
        self.step = 0  # environment steps taken
        self.wall_s = 0.0  # seconds of acting and learning, evaluation not counted
        self.episode = -1
        self.actions: list[np.ndarray] = []  # of the running episode, to rebuild the environment's state
        self.held = torch.zeros(sizes[1])  # the random action that is being held
        self.metrics: dict[str, torch.Tensor | float] = {}  # of the newest updates
        self.written = 0  # bytes of metrics.jsonl
        self.out: Path | None = None

    def _open_copies(self, warn: Callable[[str], None]) -> list[gym.Env]:
        """An environment for each evaluation episode; fewer if so many cannot exist, or else the one that trains."""
        copies = []
        try:
            while len(copies) < self.config.evaluation.episodes:
                with ExitStack() as on_error:
                    copy = envs.make_for(self.config)
                    on_error.callback(envs.close, [copy], warn)
                    copy.reset(seed=self.config.evaluation.seed)  # some start only now what can exist but once
                    copies.append(copy)
                    self.opened.push(on_error.pop_all())
        except EnvError as error:
            turns = f"{len(copies)} at a time" if copies else "one after the other in the one that trains, which then repeats its episode"
            warn(f"there can be no more than {len(copies)} copies for evaluation ({error}), so its episodes are played {turns}")
        return copies or [self.env]

    # --- closing -----------------------------------------------------------------------------

    def close(self) -> None:
        """Close the environments and let go of the folder. To close again does nothing; the agent stays."""
        self.close_once()

    def __enter__(self) -> "Trainer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except GeneratorExit:  # whoever breaks off a loop over `run` may go on later
            raise
        except BaseException:
            self.close()
            raise

    def _check_open(self) -> None:
        if not self.close_once.alive:
            advice = "make a new one" if self.out is None else f"continue its run with Trainer.resume({str(self.out)!r})"
            raise DreamerError(f"this trainer is closed, by close() or by an error: {advice}")

    # --- a folder of its own -----------------------------------------------------------------

    def _claim(self, out: Path) -> None:
        """Make `out` the folder of this run. config.json comes last: a folder with one can be resumed, whenever it was killed."""
        self.out = out
        with explained(out, "choose another folder (out)"):
            out.mkdir(parents=True, exist_ok=True)
            self._lock(out)
            if (out / "config.json").exists() or (out / "metrics.jsonl").stat().st_size:
                raise ConfigError(f"{out} already holds a run: choose another folder (out), or continue it with {resuming(out)}")
            self.save()
            self._write_config()

    def _lock(self, out: Path) -> None:
        """Keep other runs out of the folder, until it is closed or at its end."""
        self.lock = self.opened.enter_context(checkpoint.lock(out / "metrics.jsonl"))

    def _lock_again(self) -> None:
        """The same for a run that goes on after its end, unless another has gone on in the folder meanwhile."""
        if self.out is not None and self.lock.closed:
            with explained(self.out, self._keep_going()):
                self._lock(self.out)
                if (self.out / "metrics.jsonl").stat().st_size != self.written:
                    raise CheckpointError(f"another run has gone on in {self.out}: continue it with Trainer.resume({str(self.out)!r})")

    def _write_config(self) -> None:
        checkpoint.write_atomic(self.out / "config.json", json.dumps(configs.to_dict(self.config), indent=1).encode())

    # --- the loop ----------------------------------------------------------------------------

    def _start_episode(self) -> None:
        self.episode += 1
        self.actions = []
        self.observation = envs.reset(self.env, self._episode_seed(), self.step)
        self.reward, self.first = 0.0, True
        self.carry = self.agent.initial(1)

    def _episode_seed(self) -> int:
        return int(np.random.SeedSequence((self.config.seed, self.episode)).generate_state(1)[0])

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
            EnvError: the environment broke a promise. DreamerError: the disk is full, or the trainer is closed.
        """
        self._check_open()
        with self._closed_on_error():
            self._lock_again()
            while self.step < self.config.env_steps:
                if self.displaced:
                    self._repeat_episode(EnvError, "so it cannot be evaluated in the middle of one: set evaluation.every to env_steps")
                started = time.perf_counter()
                self._act()
                with enough_memory("learning from batches of these sizes"):
                    self.metrics |= self.agent.learn_after(self.step, on_pretrain)
                self.wall_s += time.perf_counter() - started
                on_step(self)
                at_end = self.step == self.config.env_steps
                due = self.step % self.config.evaluation.every == 0 or at_end
                if due:
                    metrics = self.evaluate()
                    self._log(metrics)
                self._keep_agent()
                if self.out is not None and (self.step % self.config.checkpoint_every == 0 or at_end):
                    with explained(self.out, self._keep_going()):
                        self.save()
                if due:
                    yield metrics
        if self.lock is not None:
            self.lock.close()

    def _keep_agent(self) -> None:
        """Where it is due, write the trained agent of this step to a file of its own."""
        every, learned = self.config.keep_agents, self.agent.grad_steps > 0
        if self.out is not None and every and learned and self.step % every == 0:
            path = checkpoint.kept_agent(self.out, self.step)
            with explained(self.out, self._keep_going()):
                path.parent.mkdir(exist_ok=True)
                self.agent.save(path)

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
        """Uniform in [-1, 1], or any of the discrete ones, kept for `hold` steps on average (a geometric number of them)."""
        if self.step == 0 or torch.rand(()) < 1 / self.config.schedule.hold:
            drawn = torch.rand(len(self.held))
            self.held = torch.eye(len(drawn))[drawn.argmax()] if self.discrete else 2 * drawn - 1
        return self.held

    def evaluate(self) -> dict[str, Any]:
        """Measure the agent now; not counted in `wall_s`.

        Raises:
            Diverged: a loss is no longer a number. DreamerError: the trainer is closed.
        """
        self._check_open()
        for name, value in self.metrics.items():
            if not math.isfinite(value):
                raise Diverged(
                    f"learning diverged: {name} is {float(value)} at step {self.step}; start again with a lower learning rate "
                    f"(model.lr, {self.agent.sac.RATES}) or a smaller clip_norm"
                )
        self.displaced = self.displaced or self.evaluation_envs[0] is self.env
        real = evaluate(self.agent, self.evaluation_envs, self.config.evaluation.seed, self.config.evaluation.episodes, self.step)
        returns, imagined = real.returns, {}
        if isinstance(self.agent, Dreamer):
            kind = self.agent.device.type
            with torch.random.fork_rng([] if kind == "cpu" else None, device_type=kind):  # so that evaluating changes nothing else
                start = torch.from_numpy(real.start).to(self.agent.device)
                model = AsMeasured(self.agent.model, self.agent.in_own_units(self.config.wrappers.reward_offset))
                expected = imagined_return(model, self.agent.sac.actor, start, real.steps) / self.config.wrappers.reward_scale
            imagined = {"imagined_return_mean": self.agent.in_world_units(float(expected.mean()))}
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
        return f"the last good checkpoint is kept, so make room there and continue with {resuming(self.out)}"

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
    def resume(
        cls,
        out: Path | str,
        env_steps: int | None = None,
        warn: Callable[[str], None] = print,
        device: str | None = None,
        threads: int | None = None,
    ) -> "Trainer":
        """Continue the run in `out` from its newest whole checkpoint, to `env_steps` if given.

        On another device or number of threads it goes on as well, with other numbers than if it had
        stayed. `warn` is called with a sentence for that, for each damaged checkpoint that is passed
        over, and for settings that the run was written without.

        Raises:
            CheckpointError: nothing to resume, another configuration or version, a shortened
                metrics.jsonl, an environment that no longer repeats itself, or a run at work in `out`.
            ConfigError: the run is already past `env_steps`, or this machine has no such device.
        """
        out = Path(out)
        trainer = cls.__new__(cls)
        trainer._begin()
        with trainer._closed_on_error():
            config = read_config(out, warn)
            with explained(out, f"make it writable, and continue with {resuming(out)}"):
                trainer._lock(out)
            tensors, state = checkpoint.load_newest(out / "checkpoint", warn)
            saved = configs.from_dict(state["config"])
            different = [name for name in differences(configs.to_dict(config), configs.to_dict(saved)) if name not in CHANGEABLE]
            if different:
                raise CheckpointError(
                    f"the checkpoint in {out} was made with another {different[0]} than {out / 'config.json'} says: "
                    f"restore that setting, or start a new run"
                )
            asked = {"env_steps": env_steps, "device": device, "threads": threads}
            config = configs.from_dict(configs.to_dict(config) | {name: value for name, value in asked.items() if value is not None})
            if config.env_steps < state["step"]:
                raise ConfigError(f"the run in {out} is already at step {state['step']}: ask for more than that (env_steps)")
            trainer._prepare(config, warn)
            trainer.out = out
            trainer._restore(tensors, state, saved, warn)
            with explained(out, trainer._keep_going()):
                trainer._write_config()
                trainer._rewind_metrics()
                trainer._rewind_agents()
        return trainer

    def _restore(self, tensors: dict[str, torch.Tensor], state: dict[str, Any], saved: Config, warn: Callable[[str], None]) -> None:
        self.step, self.wall_s, self.written = state["step"], state["wall_s"], state["written"]
        self.episode, self.reward, self.first, self.metrics = state["episode"], state["reward"], state["first"], state["metrics"]
        self.actions, self.observation, self.held = list(tensors["actions"].numpy()), tensors["observation"].numpy(), tensors["held"]
        self.carry = Carry(**{name: value.to(self.agent.device) for name, value in under(tensors, "carry.").items()})
        self.agent.load_state_dict(under(tensors, "agent."))
        self._repeat_episode(CheckpointError, "so this run cannot be continued exactly: start a new run")
        here, there = self.agent.device.type, "cpu"
        if "rng_device" in tensors:
            there = "cuda" if saved.device == "auto" else saved.device
            if here == there:
                getattr(torch, here).set_rng_state(tensors["rng_device"])
        if (here, self.config.threads) != (there, saved.threads):
            warn(
                f"the run in {self.out} was made on {there} with {saved.threads} thread(s): on {here} with {self.config.threads} "
                f"its numbers will differ from those of a run that stayed there"
            )
        self.evaluation_envs = self._open_copies(warn)
        torch.set_rng_state(tensors["rng"])

    def _repeat_episode(self, refusal: type[DreamerError], consequence: str) -> None:
        """Bring the environment to where the running episode is: same reset seed, same actions.

        What it returns must be what it returned before, in every row of the episode that the replay
        buffer still holds and in what came last; else `refusal` is raised.
        """
        rows, over = [(envs.reset(self.env, self._episode_seed(), self.step - len(self.actions)), 0.0)], False
        for action in self.actions:
            observation, reward, terminated, truncated, _ = self.env.step(action)
            rows.append((observation, reward))
            over = over or terminated or truncated
        observations, rewards = (np.array(part) for part in zip(*rows))  # (steps + 1, O), (steps + 1,)
        kept = min(len(self.actions), len(self.agent.replay))
        past = slice(len(self.actions) - kept, len(self.actions))
        stored, scaled = self.agent.replay.newest(kept)
        same = np.array_equal(observations[past], stored) and np.array_equal(
            np.float32(rewards * self.config.sac.reward_scale)[past], scaled
        )
        if over or not same or not np.array_equal(observations[-1], self.observation) or rewards[-1] != self.reward:
            raise refusal(f"{self.config.env} did not repeat itself from the same seed and actions, {consequence}")
        self.displaced = False

    def _rewind_metrics(self) -> None:
        """Drop the lines, and the part of a line, written after the checkpoint: they will be written again."""
        with open(self.out / "metrics.jsonl", "ab") as file:
            if file.tell() < self.written:
                raise CheckpointError(f"{file.name} is shorter than when the checkpoint was made: restore it, or start a new run")
            file.truncate(self.written)

    def _rewind_agents(self) -> None:
        """Drop the agents that were kept after the checkpoint: they will be kept again."""
        for step, path in checkpoint.kept_agents(self.out).items():
            if step > self.step:
                path.unlink()


def read_config(out: Path, warn: Callable[[str], None] = lambda sentence: None) -> Config:
    """The configuration of the run in folder `out`; settings that it was written without take their defaults, and `warn` is told.

    Raises:
        CheckpointError: config.json is missing or not JSON. ConfigError: a setting in it is wrong.
    """
    try:
        data = json.loads((out / "config.json").read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{out} holds no run to resume (it has no config.json): start a new one") from None
    except (OSError, ValueError, RecursionError):
        raise CheckpointError(f"{out / 'config.json'} cannot be read: restore it, or start a new run") from None
    config = configs.from_dict(data)
    new = differences(data, configs.to_dict(config))
    if new:
        warn(f"the run in {out} was written before there were the settings {', '.join(new)}: they take their defaults")
    return config


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


def lookup(tree: Any, name: str) -> Any:
    """The setting of a dotted name; None if it is not there."""
    for part in name.split("."):
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Turn a failed allocation into one sentence about what did not fit."""
    try:
        yield
    except (MemoryError, RuntimeError, TypeError, OverflowError) as error:
        if not isinstance(error, MemoryError) and not re.search("memory|overflow", str(error), re.IGNORECASE):
            raise
        raise ConfigError(
            f"the memory here does not hold {what} ({envs.first_line(error)}): lower them (units, deter, batch, starts)"
        ) from error


def resuming(out: Path) -> str:
    """What continues a run, in the words of the command and of Python."""
    return f"--resume {out} (in Python: Trainer.resume({str(out)!r}))"


@contextmanager
def explained(out: Path, advice: str) -> Iterator[None]:
    """Turn a failed write under `out` into one sentence that ends in `advice`."""
    try:
        yield
    except OSError as error:
        raise DreamerError(f"could not write to {out} ({error.strerror or error}): {advice}") from None

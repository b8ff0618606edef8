"""Tiny training runs, a toy environment, and processes that are killed, for the tests of the training loop."""

import json
import multiprocessing
import os
import signal
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box
from toys import small

from dreamer_core import checkpoint
from dreamer_core.config import PRESETS, from_dict, to_dict
from dreamer_core.trainer import Trainer
from dreamer_core.worlds.changing_pendulum import ChangingPendulum


class Buoy(gym.Env):
    """A buoy in noisy waves. Rewards are float32 on purpose."""

    observation_space = Box(np.array([-2, -np.inf]), np.array([2, np.inf]), dtype=np.float64)
    action_space = Box(-3, 3, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.v = self.np_random.uniform(-1, 1, 2)
        return np.array([self.x, self.v]), {}

    def step(self, action):
        self.v += 0.1 * (action[0] - self.x + self.np_random.normal())
        self.x += 0.3 * self.v
        return np.array([self.x, self.v]), np.float32(-0.1 * self.x**2), False, False, {}


gym.register("Buoy-v0", Buoy, max_episode_steps=20)  # checkpoint 60 falls on the start of an episode, 30 and 90 do not
gym.register("Changing-v0", ChangingPendulum, max_episode_steps=20, kwargs={"after": 25})  # in the episode of checkpoint 30, before it

# Evaluations, checkpoints and rounds of learning fall on different steps, so that each also happens without the others.
SCHEDULE = dict(
    prefill=40, hold=2, pretrain_model=2, pretrain_both=1, every=10, model_updates=2, agent_updates=2, sac_updates=2, real_updates=3
)
TINY = dict(env="Buoy-v0", env_steps=100, checkpoint_every=30, schedule=SCHEDULE, evaluation=dict(every=20, episodes=2, seed=7))


def tiny(**changes):
    """A configuration that trains for a fraction of a second; sections given as dicts are merged into the small ones."""
    return small(
        **{name: TINY[name] | value if isinstance(value, dict) and name in TINY else value for name, value in (TINY | changes).items()}
    )


# Sizes for the paper's pieces that a fraction of a second trains.
SMALL_PIECES = dict(
    model=dict(deter=6, stoch=3, classes=4, blocks=2, units=8, lr=1e-3), imagination=dict(starts=3, start_rows=4, last=4, horizon=3),
    optimizer=dict(warmup=6), schedule=dict(sac_updates=1), dreamerv3=dict(actor="auto"),
)  # fmt: skip


def paper(**changes):
    """What to tell `tiny` for all of the paper's pieces: what the preset sets, at tiny sizes, and the changes."""
    merged = {"preset": "dreamerv3"}
    for tree in (PRESETS["dreamerv3"], SMALL_PIECES, changes):
        for name, value in tree.items():
            merged[name] = merged.get(name, {}) | value if isinstance(value, dict) else value
    return merged


def words(config, **changes):
    """The command line, without a folder, that asks for `config`; words(config, seed=3) changes top-level settings."""

    def flatten(tree, prefix):
        for name, value in tree.items():
            name = prefix + name.replace("_", "-")
            if isinstance(value, dict):
                yield from flatten(value, name + ".")
            elif value != []:
                yield from [f"--{name}", *map(str, value if isinstance(value, list) else [value])]

    return [*flatten(to_dict(config) | changes, "")]


def finish(trainer):
    """Train to the end; the metrics of every evaluation."""
    return list(trainer.run())


def train(config, out):
    """A whole run, never killed."""
    trainer = Trainer(config, out)
    finish(trainer)
    return trainer


def metrics(out):
    """The lines of metrics.jsonl, without the wall time, which no two runs share."""
    lines = [json.loads(line) for line in (Path(out) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name != "wall_s"} for line in lines]


def final_state(out):
    """Every tensor of the newest checkpoint (weights, optimisers, replay, randomness), and the rest of it but the wall time."""
    tensors, state = checkpoint.load(max((Path(out) / "checkpoint").glob("*.json")))
    return tensors, {name: value for name, value in state.items() if name not in ("wall_s", "written", "tensors")}


def assert_same_run(a, b):
    """Bit for bit: the same metrics and the same final state."""
    assert metrics(a) == metrics(b)
    (tensors_a, state_a), (tensors_b, state_b) = final_state(a), final_state(b)
    assert state_a == state_b
    assert tensors_a.keys() == tensors_b.keys()
    different = [name for name in tensors_a if not torch.equal(tensors_a[name], tensors_b[name])]
    assert different == []


# --- processes that die ---------------------------------------------------------------------------


def die():
    """End this process as `kill -9` does: no handler, no clean-up, no flush."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_write(number):
    """Die just before this process touches the disk for the number-th time: a flush, a rename or a removal."""
    left = [number]

    def counted(function):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                die()
            return function(*args, **kwargs)

        return call

    os.fsync, os.replace, Path.unlink = counted(os.fsync), counted(os.replace), counted(Path.unlink)


def life(out, config, step, write):
    """One life of a run: start it, or resume it if it can be, and die at a step or a write, if it comes to that."""
    torch.set_num_threads(1)
    if write:
        die_at_write(write)
    out = Path(out)
    trainer = Trainer.resume(out) if (out / "config.json").exists() else Trainer(from_dict(config), out)
    for _ in trainer.run(on_step=lambda trainer: die() if trainer.step == step else None):
        pass


def live(out, config, step=None, write=None):
    """Run `life` in a process of its own; True if it was killed, False if the run came to its end."""
    process = start_life(out, config, step, write)
    process.join(600)
    assert process.exitcode in (0, -signal.SIGKILL), "a life ended by an error"
    return process.exitcode != 0


def start_life(out, config, step=None, write=None):
    """The process of `live`, running. It is forked from a server that has imported everything, which saves seconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["dreamer_core.trainer", "torch._dynamo"])  # torch imports the latter at its first optimiser
    process = context.Process(target=life, args=(str(out), to_dict(config), step, write))
    process.start()
    return process

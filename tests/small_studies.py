"""A tiny study, and worlds that end a process, raise an error or cannot be made, for the tests of the study room."""

import os
import signal
from pathlib import Path

import gymnasium as gym
from runs import Buoy, tiny

from dreamer_core import config as configs
from dreamer_core.study import conduct, plan, report
from dreamer_core.study.results import Results

MARK = "STUDY_TEST_MARK"  # environment variable: a file that stands for "it has happened"


class Deadly(Buoy):
    """A buoy whose 75th step in a process ends it as `kill -9` does, until the marker file is there."""

    steps = 0

    def step(self, action):
        Deadly.steps += 1
        if Deadly.steps == 75 and not Path(os.environ[MARK]).exists():
            Path(os.environ[MARK]).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class Broken(Buoy):
    """A buoy that raises in its 30th step while the marker file is not there."""

    steps = 0

    def step(self, action):
        Broken.steps += 1
        if Broken.steps > 30 and not Path(os.environ[MARK]).exists():
            raise OverflowError("the wave is too high")
        return super().step(action)


def lacking():
    """The maker of a world whose package is missing."""
    raise gym.error.DependencyNotInstalled("waves is not installed, run `pip install waves`")


def halting():
    """The maker of a world that raises."""
    raise ValueError("no water")


gym.register("Lacking-v0", lacking)
gym.register("Halting-v0", halting)
gym.register("Deadly-v0", Deadly, max_episode_steps=20)
gym.register("Broken-v0", Broken, max_episode_steps=20)

# As `module:id`, so that a process which knows nothing of this file finds them.
BUOY = dict(env="runs:Buoy-v0", name="buoy", env_steps=80, random=-2.0, best=0.0)


def flat(tree, prefix=""):
    """Settings by dotted names."""
    for name, value in tree.items():
        yield from flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(prefix + name, value)]


SETTINGS = {name: value for name, value in flat(configs.to_dict(tiny())) if name.partition(".")[0] not in plan.OF_THE_STUDY}


def small(**changes):
    """What the YAML file of a study of two arms, one world and two seeds holds."""
    arms = {"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False}}
    return dict(name="small", arms=arms, worlds=[BUOY], seeds=[3, 4], evaluation=dict(every=20, episodes=2, seed=7, last=2)) | changes


def make(data, out, workers=0, scheduler=None):
    """A whole study; its results."""
    made = plan.from_dict(data)
    with conduct.held(made, out):
        conduct.make(made, out, workers, scheduler, lambda steps, note: None, print)
        results = Results(made, out)
        report.write(results)
    return results

"""A world and an agent that follow a script and write down every call: what a training loop is judged by.

Every number they give occurs once, so that it can be found again wherever a loop has put it.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from dreamer_core.agent import Carry
from dreamer_core.classroom.build import hold
from dreamer_core.classroom.call import form

OBSERVATION, ACTION = 3, 2


class Shown(NamedTuple):
    """What the world showed at one row."""

    observation: tuple[float, ...]
    reward: float
    """What arrived with it; 0 at an episode's start."""
    first: bool
    terminated: bool
    truncated: bool

    @property
    def over(self) -> bool:
        """Whether this is its episode's last row."""
        return self.terminated or self.truncated


class Asked(NamedTuple):
    """One call of the agent's policy."""

    before: Carry
    """The carry that was handed in."""
    observation: tuple[float, ...]
    first: float
    explore: bool
    after: Carry
    """The carry that was given back."""


class Remembered(NamedTuple):
    """One row that was given to the agent to keep."""

    carry: Carry
    observation: tuple[float, ...]
    reward: float
    first: bool
    terminal: bool


class ScriptedWorld:
    """Plays episodes of given lengths and endings, and refuses what no world of gymnasium would bear.

    Args:
        episodes: for each the number of steps and how it ends: "terminated", "truncated" or "both". After the last they begin again.

    Attributes:
        shown: every row so far. actions: every action taken. left: for each of them the number of the row it left.
        seeds: the seed of every reset. early: how often an episode was left before its end.
    """

    def __init__(self, episodes: Sequence[tuple[int, str]]) -> None:
        self.script = list(episodes)
        self.action_space = gym.spaces.Box(-1, 1, (ACTION,), np.float32)
        self.observation_space = gym.spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float32)
        self.shown: list[Shown] = []
        self.actions: list[tuple[float, ...]] = []
        self.left: list[int] = []
        self.seeds: list[int | None] = []
        self.early, self.row = 0, 0

    def show(self, reward: float, first: bool, terminated: bool, truncated: bool) -> np.ndarray:
        """A new observation, which names its episode and its row."""
        observation = np.array([len(self.seeds), self.row, len(self.shown) / 8], np.float32)
        self.shown.append(Shown(tuple(observation.tolist()), reward, first, terminated, truncated))
        return observation

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """The next episode of the script."""
        self.early += bool(self.shown) and not self.shown[-1].over
        self.seeds.append(seed)
        self.row = 0
        return self.show(0.0, True, False, False), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One row on; each reward is another one.

        Raises:
            Wrong: the action is no numpy array (A,), or there is no episode.
        """
        hold(bool(self.shown), "no reset", "`env.step` is called before `env.reset`.")
        hold(not self.shown[-1].over, "stepped on", "`env.step` is called after the episode's end: `env.reset` comes first.")
        fits = isinstance(action, np.ndarray) and action.shape == (ACTION,)
        what = f"`env.step` was given {form(action)}; a world takes one numpy array of shape {(ACTION,)}: carry.action[0].numpy()."
        hold(fits, "form of the action", what)
        self.left.append(len(self.shown) - 1)
        self.actions.append(tuple(float(x) for x in action))
        length, ends = self.script[(len(self.seeds) - 1) % len(self.script)]
        self.row += 1
        over, reward = self.row == length, len(self.actions) + 0.25
        terminated, truncated = over and ends in ("terminated", "both"), over and ends in ("truncated", "both")
        return self.show(reward, False, terminated, truncated), reward, terminated, truncated, {}


class ScriptedAgent:
    """Offers what `Dreamer` offers to a loop, learns nothing, and keeps a record.

    Args:
        world: whose steps are the clock of the record.

    Attributes:
        asked: the calls of `policy`. rows: what was remembered. stored: by the number of a row the action kept with it.
        lessons: (name, steps taken by then) of `pretrain` and `learn`. device: as a `Dreamer` has one. action: size A.
    """

    def __init__(self, world: ScriptedWorld) -> None:
        self.world, self.device, self.action = world, torch.device("cpu"), ACTION
        self.asked: list[Asked] = []
        self.rows: list[Remembered] = []
        self.stored: dict[int, tuple[float, ...]] = {}
        self.lessons: list[tuple[str, int]] = []
        self.replay = self  # what it is asked for there is `set_action` alone

    def initial(self, batch: int) -> Carry:
        """Zeros."""
        return Carry(torch.zeros(batch, 2), torch.zeros(batch, 1), torch.zeros(batch, ACTION))

    def policy(self, carry: Carry, observation: Tensor, first: Tensor, explore: bool) -> Carry:
        """A belief and an action that occur nowhere else.

        Raises:
            Wrong: the inputs do not have the form that the agent needs.
        """
        for name, value, shape in (("observation", observation, (1, OBSERVATION)), ("first", first, (1,))):
            fits = isinstance(value, Tensor) and tuple(value.shape) == shape and value.dtype == torch.float32
            told = f"`policy` was given {form(value)} as `{name}`, where a tensor of float32 and of shape {shape} is expected: B is 1 here."
            hold(fits, f"form of {name}", told)
        whole = isinstance(carry, Carry) and all(len(part) == 1 for part in carry)
        hold(whole, "form of the carry", f"`policy` was given {form(carry)} as `carry`; it takes a Carry of one environment.")
        number = len(self.asked) + 1
        action = torch.tensor([[0.9 * math.sin(number), 0.9 * math.cos(number)]])
        after = Carry(torch.full((1, 2), 1.0 * number), torch.full((1, 1), -1.0 * number), action)
        self.asked.append(Asked(copied(carry), tuple(observation[0].tolist()), float(first), bool(explore), copied(after)))
        return after

    def remember(self, carry: Carry, observation: Tensor, reward: float, first: bool, terminal: bool) -> None:
        """Keep a row.

        Raises:
            Wrong: the observation is not one row of numbers.
        """
        fits = isinstance(observation, Tensor) and tuple(observation.shape) == (OBSERVATION,)
        told = f"`remember` was given {form(observation)} as `observation`, where a tensor of shape {(OBSERVATION,)} is expected."
        hold(fits, "form of a row", told)
        whole = isinstance(carry, Carry)
        hold(whole, "form of the carry", f"`remember` was given {form(carry)} as `carry`; it takes what `policy` gave.")
        self.rows.append(Remembered(copied(carry), tuple(observation.tolist()), float(reward), bool(first), bool(terminal)))

    def live(self, carry: Carry, observation: Tensor, reward: float, first: bool, terminal: bool) -> Carry:
        """`policy` and `remember` in one."""
        carry = self.policy(carry, observation[None], torch.full((1,), float(first)), explore=True)
        self.remember(carry, observation, reward, first, terminal)
        return carry

    def set_action(self, action: Tensor) -> None:
        """The action that leaves the newest row.

        Raises:
            Wrong: it has another form.
        """
        fits = isinstance(action, Tensor) and tuple(action.shape) == (ACTION,)
        told = f"`set_action` was given {form(action)}, where a tensor of shape {(ACTION,)} is expected: carry.action[0]."
        hold(fits, "form of the stored action", told)
        self.stored[len(self.rows) - 1] = tuple(action.tolist())

    def pretrain(self, report: Any = None) -> dict[str, Tensor]:
        """Notes when."""
        self.lessons.append(("pretrain", len(self.world.actions)))
        return {}

    def learn(self) -> dict[str, Tensor]:
        """Notes when."""
        self.lessons.append(("learn", len(self.world.actions)))
        return {}


class Pushes:
    """Random actions that are none: each call gives another one, and they are counted.

    Attributes:
        drawn: the actions so far.
    """

    def __init__(self) -> None:
        self.drawn: list[tuple[float, ...]] = []

    def __call__(self) -> Tensor:
        """The next action (A,)."""
        number = len(self.drawn) + 1
        action = torch.tensor([1 / (number + 1), -1 / (number + 2)])
        self.drawn.append(tuple(action.tolist()))
        return action


def copied(carry: Carry) -> Carry:
    """The numbers of a carry as they are now."""
    return Carry(*(part.detach().clone() for part in carry))

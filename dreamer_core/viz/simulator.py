"""The true world, which can be brought back to a moment that it has left."""

import copy
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core import envs
from dreamer_core.errors import EnvError
from dreamer_core.viz.dream import Episode


class Sight(NamedTuple):
    """What the true world shows after a step."""

    observation: np.ndarray  # (O,)
    reward: float  # nan where none arrived
    over: bool  # whether it truly ended (terminated); a time limit ends nothing here


class Bookmark(NamedTuple):
    """A moment to come back to."""

    row: int
    taken: int  # steps since that row
    sight: Sight
    env: gym.Env | None  # a copy of the world at that moment; None where it cannot be copied


class Simulator:
    """An environment that starts from any row of a recorded episode, goes on by hand, and comes back.

    A row is reached by a reset with the episode's seed and its actions, so nothing of this knows the
    world. A bookmark holds a copy of the environment, luck and all. Where that cannot be copied (a
    process of its own, a window), the way back is the same reset and all actions since, which takes
    longer the longer the way was.

    Args:
        env: made by `envs.make` for the agent that the episode was recorded with.
        episode: as `viz.dream.play` records it.

    Raises:
        EnvError: the episode does not say which reset it began with.
    """

    def __init__(self, env: gym.Env, episode: Episode) -> None:
        if episode.seed is None:
            raise EnvError(
                "this episode does not say which reset it began with, so the true world cannot be brought to its rows: record it with "
                "dreamer_core.viz.dream.play(agent, env, seed)"
            )
        self.env, self.episode = env, episode
        self.copies = can_be_copied(env, episode)
        self.start(0)

    def start(self, row: int) -> Sight:
        """Bring the world to a row of the episode.

        Raises:
            EnvError: the same seed and the same actions lead somewhere else this time.
        """
        episode = self.episode
        found = Sight(envs.reset(self.env, episode.seed, episode.age), float("nan"), over=False)
        for action in episode.action[:row]:
            found = self._sight(action)
        if not same_place(found.observation, episode.observation[row]):
            raise EnvError(
                f"row {row} of this episode cannot be found again: reset seed {episode.seed} and the same actions lead to another "
                f"observation. Give an episode that was recorded in this very world, and seed all of the world's luck in its reset"
            )
        self.row, self.taken, self.sight = row, [], found
        return found

    def step(self, action: np.ndarray) -> Sight:
        """One step with an action (A,); a world that is over stays as it is, and gives nothing."""
        self.taken.append(action)
        self.sight = self.sight._replace(reward=float("nan")) if self.sight.over else self._sight(action)
        return self.sight

    def bookmark(self) -> Bookmark:
        """This moment."""
        return Bookmark(self.row, len(self.taken), self.sight, copy.deepcopy(self.env) if self.copies else None)

    def back(self, to: Bookmark) -> None:
        """Bring the world back to a moment of this same way: no start from a row may lie between."""
        taken = self.taken[: to.taken]
        if to.env is not None:
            self.env = copy.deepcopy(to.env)  # the bookmark may be needed again
        else:
            self.start(to.row)
            for action in taken:
                self.step(action)
        self.taken, self.sight = taken, to.sight

    def _sight(self, action: np.ndarray) -> Sight:
        observation, reward, terminated, _, _ = self.env.step(action)
        return Sight(observation, reward, terminated)


def same_place(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two observations (O,) or (H, W, C) are alike to about six digits."""
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-5, atol=1e-5 * (1 + float(np.abs(other).max()))))


def can_be_copied(env: gym.Env, episode: Episode) -> bool:
    """Whether a copy of an environment goes its own way, found out by trying: it is stepped, and the original must not have noticed."""
    envs.reset(env, episode.seed, episode.age)
    steps = episode.action[:3]
    try:
        other = copy.deepcopy(env)
        there = [other.step(action)[:4] for action in steps]
    except Exception:  # whatever stands in the way of a copy
        return False
    here = [env.step(action)[:4] for action in steps]
    return all(np.array_equal(one[0], two[0]) and one[1:] == two[1:] for one, two in zip(here, there))

"""The best possible return where states fill a box: dynamic programming on a grid of any number of dimensions.

As in `ceiling.py`, whose states go round in the angle, values are computed backwards on a grid and
interpolated between its points; then a controller that looks one step ahead with them plays in the
real world, so that the return it collects was truly reached. The grid's own value at the same starts
(`promised`) errs to either side; the distance between the two says how coarse the grid is.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core.worlds import point_mass, water_tanks
from dreamer_core.yardsticks.ceiling import backwards


class Task(NamedTuple):
    """A world whose state (D,) fills a box and is known from the observation."""

    name: str
    steps: int
    axes: tuple[np.ndarray, ...]  # of the grid, one for each of the D dimensions, evenly spaced
    actions: np.ndarray  # (M, A), tried in every grid state
    choice: np.ndarray  # (C, A), tried by the controller
    move: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
    """States (..., D), actions (..., A) -> next states, rewards (...), and whether the episode goes on (...)."""


class Corners:
    """Multilinear interpolation at fixed points (..., D) of a grid, found once for many different values."""

    def __init__(self, axes: Sequence[np.ndarray], points: np.ndarray) -> None:
        self.low = np.zeros(points.shape[:-1], np.int32)
        self.folds = []  # for each axis: how far its neighbour lies in the flat array, and how near the point is to it
        stride = int(np.prod([len(axis) for axis in axes]))
        for axis, x in zip(axes, np.moveaxis(points, -1, 0)):
            place = np.clip((x - axis[0]) / (axis[1] - axis[0]), 0, len(axis) - 1)
            left = np.minimum(place.astype(np.int32), len(axis) - 2)
            stride //= len(axis)
            self.low += left * stride
            self.folds.append((stride, (place - left).astype(np.float32)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Interpolate values, one for each grid point, at the points: (...)."""
        flat = np.ascontiguousarray(values, np.float32).reshape(-1)

        def between(low: np.ndarray, folds: list) -> np.ndarray:
            if not folds:
                return flat[low]
            (stride, share), *rest = folds
            below = between(low, rest)
            return below + share * (between(low + stride, rest) - below)

        return between(self.low, self.folds)


def solve(task: Task) -> np.ndarray:
    """The optimal values (steps + 1, *grid)."""
    states = np.stack(np.meshgrid(*task.axes, indexing="ij"), -1)
    moves = []
    for action in task.actions:
        following, reward, lasts = task.move(states, np.broadcast_to(action, (*states.shape[:-1], len(action))))
        corners = Corners(task.axes, following)
        moves.append((reward, lambda values, corners=corners, lasts=lasts: lasts * corners(values)))
    return backwards(moves, task.steps, states.shape[:-1])


def best_returns(task: Task, values: np.ndarray, seeds: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """What the controller collects in the real world, and what the grid promised at each start: (N,), (N,)."""
    collected, promised = [], []
    env = gym.make(task.name)
    for seed in seeds:
        env.reset(seed=seed)
        promised.append(Corners(task.axes, state(env)[None])(values[0])[0])
        total = 0.0
        for ahead in values[1:]:
            following, reward, lasts = task.move(np.broadcast_to(state(env), (len(task.choice), len(task.axes))), task.choice)
            best = (reward + lasts * Corners(task.axes, following)(ahead)).argmax()
            _, reward, terminated, truncated, _ = env.step(task.choice[best].astype(np.float32))
            total += reward
            if terminated or truncated:
                break
        collected.append(total)
    env.close()
    return np.array(collected), np.array(promised)


def state(env: gym.Env) -> np.ndarray:
    """The state (D,) in double precision."""
    return np.asarray(env.unwrapped.state, float)


def pushes(count: int) -> np.ndarray:
    """A square of pushes in m/s²: (count², 2)."""
    line = np.linspace(-point_mass.MAX_PUSH, point_mass.MAX_PUSH, count)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)


def point_mass_task(places: int = 41, speeds: int = 17) -> Task:
    """PointMass on a grid. Its walls lie on grid lines if `places` is 1 more than a multiple of 40, so that no value leaks through."""

    def move(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        following, reward = point_mass.move(states, actions)
        return following, reward, np.ones(reward.shape)

    place, speed = (np.linspace(-end, end, count) for end, count in ((point_mass.ROOM, places), (point_mass.FASTEST, speeds)))
    return Task("dreamer/PointMass-v0", 100, (place, place, speed, speed), pushes(3), pushes(21), move)


def water_tanks_task(wanted: float, lines: int = 8) -> Task:
    """WaterTanks for one wanted level, with about so many grid lines a cm.

    One of the lines is the wanted level, where the reward has its kink, and one of the flows tried is
    that under which both tanks stay there, so that what is at rest is worth exactly 0.
    """

    def move(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        following, reward = water_tanks.move(states, wanted, actions)
        return following, reward, np.ones(reward.shape)

    under = round(lines * wanted)
    level = wanted / under * np.arange(np.ceil(water_tanks.RIM * under / wanted) + 1)
    rest = water_tanks.HOLE * wanted**0.5
    tried, choice = (np.append(np.linspace(0, water_tanks.MAX_PUMP, count), rest)[:, None] for count in (33, 513))
    return Task("dreamer/WaterTanks-v0", 100, (level, level), tried, choice, move)


def mountain_car_task(places: int = 241, speeds: int = 181) -> Task:
    """MountainCarContinuous-v0: 100 at the goal, where the episode ends, and -0.1 action² at every step."""

    def move(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x, v = np.moveaxis(states, -1, 0)
        v = np.clip(v + 0.0015 * actions[..., 0] - 0.0025 * np.cos(3 * x), -0.07, 0.07)
        x = np.clip(x + v, -1.2, 0.6)
        v = np.where((x == -1.2) & (v < 0), 0.0, v)
        there = (x >= 0.45) & (v >= 0)
        return np.stack([x, v], -1), 100.0 * there - 0.1 * actions[..., 0] ** 2, 1.0 - there

    axes = np.linspace(-1.2, 0.6, places), np.linspace(-0.07, 0.07, speeds)
    line = np.linspace(-1, 1, 21)[:, None]
    return Task("MountainCarContinuous-v0", 999, axes, line, np.linspace(-1, 1, 201)[:, None], move)

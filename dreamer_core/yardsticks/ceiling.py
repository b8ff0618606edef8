"""The best possible return on Pendulum-v1, by dynamic programming.

    python -m dreamer_core.yardsticks.ceiling

No agent can do better than the optimal controller that knows the dynamics exactly. With two state
variables, angle and velocity, that controller can be computed: lay a grid over the states, and go
backwards from the last step, asking at each grid point which torque leads to the best sum of this
step's reward and the value of where it ends up,

    V_t(s) = max_u [ r(s, u) + V_{t+1}(f(s, u)) ],     V_200 = 0.

f(s, u) falls between grid points, so V_{t+1} is interpolated there. To measure the result, a
controller looks one step ahead with these values in the *real* environment: what it collects is
a return that was truly reached, not an estimate. Worlds made of the same pendulum are solved alike,
each by its own `step`.
"""

from collections.abc import Callable, Iterable, Sequence

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike

STEPS = 200  # of an episode
MAX_SPEED, MAX_TORQUE = 8.0, 2.0
GRAVITY, MASS, LENGTH, DT = 10.0, 1.0, 1.0, 0.05
Step = Callable[[ArrayLike, ArrayLike, ArrayLike], tuple[np.ndarray, np.ndarray, np.ndarray]]


def dynamics(
    angle: ArrayLike, velocity: ArrayLike, torque: ArrayLike, mass: float = MASS, length: float = LENGTH
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pendulum-v1's own step for arrays that broadcast: next angle, next velocity and reward. Upright is angle 0."""
    wrapped = (np.asarray(angle) + np.pi) % (2 * np.pi) - np.pi
    reward = -(wrapped**2 + 0.1 * np.square(velocity) + 0.001 * np.square(torque))
    acceleration = 3 * GRAVITY / (2 * length) * np.sin(angle) + 3 / (mass * length**2) * np.asarray(torque)
    velocity = np.clip(velocity + acceleration * DT, -MAX_SPEED, MAX_SPEED)
    return angle + velocity * DT, velocity, reward


class Corners:
    """Bilinear interpolation at fixed points of a grid that is periodic in the angle.

    Finds the four corners and their weights once, so that `Corners(...)(values)` is cheap for
    many different values. The grid covers angles (A) in [-pi, pi) and velocities (V) in [-8, 8].

    Args:
        angle, velocity: points of any shape. shape: (A, V).
    """

    def __init__(self, angle: np.ndarray, velocity: np.ndarray, shape: tuple[int, int]) -> None:
        angles, velocities = shape
        row = angle * angles / (2 * np.pi) + angles // 2
        column = (velocity + MAX_SPEED) * (velocities - 1) / (2 * MAX_SPEED)
        low = np.floor(row)
        left = np.clip(np.floor(column), 0, velocities - 2)
        self.up, self.right = row - low, column - left
        low = low.astype(np.int64) % angles * velocities
        high = (low + velocities) % (angles * velocities)
        self.low, self.high = low + left.astype(np.int64), high + left.astype(np.int64)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Interpolate values (A, V) at the points."""
        flat = np.ascontiguousarray(values).reshape(-1)
        below = flat[self.low] * (1 - self.right) + flat[self.low + 1] * self.right
        above = flat[self.high] * (1 - self.right) + flat[self.high + 1] * self.right
        return below + self.up * (above - below)


def grid(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Angles (A, 1) and velocities (1, V) of the grid; upright at rest is one of its points if V is odd."""
    angles, velocities = shape
    angle = (np.arange(angles) - angles // 2) * (2 * np.pi / angles)
    return angle[:, None], np.linspace(-MAX_SPEED, MAX_SPEED, velocities)[None]


def solve(steps: int = STEPS, shape: tuple[int, int] = (360, 321), torques: int = 41, step: Step = dynamics) -> np.ndarray:
    """The optimal value V_t of every grid state with steps - t steps to go: (steps + 1, A, V).

    The full size takes some twenty seconds on one core, and 300 MB.
    """
    angle, velocity = grid(shape)
    moves = []
    for torque in np.linspace(-MAX_TORQUE, MAX_TORQUE, torques):
        next_angle, next_velocity, reward = step(angle, velocity, torque)
        moves.append((reward, Corners(next_angle, next_velocity, shape)))
    return backwards(moves, steps, shape)


def backwards(moves: Sequence[tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]], steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """The optimal values (steps + 1, *shape), from the last step to the first.

    Args:
        moves: for each action its reward and where it leads, in every grid state: (*shape,), and what
            interpolates values (*shape,) there.
    """
    values = np.zeros((steps + 1, *shape), np.float32)
    value = np.zeros(shape)
    for t in reversed(range(steps)):
        best = np.full(shape, -np.inf)
        for reward, corners in moves:  # one torque at a time: its arrays fit into the cache
            np.maximum(best, reward + corners(value), out=best)
        values[t] = value = best
    return values


def best_torque(following: np.ndarray, angle: np.ndarray, velocity: np.ndarray, torques: int = 201, step: Step = dynamics) -> np.ndarray:
    """The torques (N,) that maximise reward + following value (A, V), looking one step ahead from N states."""
    choice = np.linspace(-MAX_TORQUE, MAX_TORQUE, torques)
    next_angle, next_velocity, reward = step(angle[:, None], velocity[:, None], choice)  # (N, U)
    return choice[(reward + Corners(next_angle, next_velocity, following.shape)(following)).argmax(1)]


def best_returns(
    seeds: Iterable[int] = range(20_000, 20_050),
    values: np.ndarray | None = None,
    name: str = "Pendulum-v1",
    step: Step = dynamics,
    options: dict | None = None,
) -> np.ndarray:
    """Returns (N,) that the optimal controller collects in a real pendulum, one episode per reset seed.

    It knows the state from the first observation on that is not blank (all zeros); before, it applies no torque.
    """
    values = solve(step=step) if values is None else values
    seeds = list(seeds)
    environments = [gym.make(name) for _ in seeds]
    seen = np.array([env.reset(seed=seed, options=options)[0].any() for env, seed in zip(environments, seeds)])
    total = np.zeros(len(environments))
    for following in values[1:]:
        angle, velocity = np.array([env.unwrapped.state for env in environments]).T
        torque = np.where(seen, best_torque(following, angle, velocity, step=step), 0.0)
        answers = [env.step(u[None].astype(np.float32)) for env, u in zip(environments, torque)]
        total += [reward for _, reward, *_ in answers]
        seen |= [observation.any() for observation, *_ in answers]
    for env in environments:
        env.close()
    return total


if __name__ == "__main__":
    found = best_returns()
    print(f"best possible mean return over reset seeds 20000..20049: {found.mean():.1f} (worst episode {found.min():.0f})")

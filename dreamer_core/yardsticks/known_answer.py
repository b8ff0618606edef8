"""The exact answers in the linear-Gaussian world: the Kalman filter's belief and LQG's return.

No belief beats the filter's and no controller beats LQG's: what a world model or an agent lacks
to these two is its own doing, not the world's.

Sources: Kalman (1960), "A new approach to linear filtering and prediction problems"; for LQG and
the separation of estimation and control, Anderson and Moore, "Optimal Control: Linear Quadratic
Methods" (1990), chapter 8.
"""

from typing import NamedTuple

import numpy as np

from dreamer_core.yardsticks.known_world import Episodes, World


class Belief(NamedTuple):
    """N(mean, cov) over the state at each row, given the readings of the rows *before* it, and the actions."""

    mean: np.ndarray  # (N, T + 1, 2)
    cov: np.ndarray  # (N, T + 1, 2, 2)

    def reading(self, world: World) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (N, T + 1) of each row's reading, foreseen just before it is taken."""
        return self.mean[..., 0], np.sqrt(self.cov[..., 0, 0] + world.sensor_std**2)


def start(world: World, episodes: int) -> tuple[np.ndarray, np.ndarray]:
    """The belief before anything was seen: mean (N, 2), cov (N, 2, 2)."""
    return np.zeros((episodes, 2)), np.tile(world.start_std**2 * np.eye(2), (episodes, 1, 1))


def see(world: World, mean: np.ndarray, cov: np.ndarray, reading: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The belief after a row's readings (N,); where `visible` (N,) is 0 it stays as it is."""
    gain = visible[:, None] * cov[:, :, 0] / (cov[:, 0, 0] + world.sensor_std**2)[:, None]  # (N, 2)
    surprise = reading - mean[:, 0]
    return mean + gain * surprise[:, None], cov - gain[:, :, None] * cov[:, None, 0, :]


def go(world: World, mean: np.ndarray, cov: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The belief one step later, after actions (N,)."""
    F, G = world.transition, world.disturbance
    return mean @ F.T + action[:, None] * world.push, F @ cov @ F.T + np.outer(G, G)


def kalman(world: World, episodes: Episodes) -> Belief:
    """The exact belief before each row of whole episodes. Blind readings are not used."""
    mean, cov = start(world, len(episodes.reading))
    means, covs = [mean], [cov]
    for t in range(episodes.action.shape[1]):
        mean, cov = see(world, mean, cov, episodes.reading[:, t], episodes.visible[:, t])
        mean, cov = go(world, mean, cov, episodes.action[:, t])
        means.append(mean)
        covs.append(cov)
    return Belief(np.stack(means, 1), np.stack(covs, 1))


def riccati(world: World, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Backwards from the last step: gains K (T, 2) and costs to go S (T + 1, 2, 2).

    With the state known, a_t = -K_t x_t is best, and costs x_t' S_t x_t from there on, besides
    what chance adds.
    """
    F, B = world.transition, world.push
    cost = np.zeros((2, 2))
    gains, costs = [], [cost]
    for _ in range(world.steps if steps is None else steps):
        ahead = cost + np.eye(2)  # the next state is paid for on arrival
        gain = B @ ahead @ F / (world.action_cost + B @ ahead @ B)
        cost = F.T @ ahead @ F - np.outer(F.T @ ahead @ B, gain)
        gains.append(gain)
        costs.append(cost)
    return np.stack(gains[::-1]), np.stack(costs[::-1])


class LQG:
    """The best controller that sees what an agent sees: the filter's mean in place of the state. For `simulate`."""

    def __init__(self, world: World, episodes: int) -> None:
        self.world, self.gains = world, riccati(world)[0]
        self.mean, self.cov = start(world, episodes)

    def __call__(self, t: int, observation: np.ndarray) -> np.ndarray:
        """Observations (N, 2) of row t -> actions (N,). To be called once for each row, in order."""
        mean, cov = see(self.world, self.mean, self.cov, observation[:, 0], observation[:, 1])
        action = np.clip(-mean @ self.gains[t], -1.0, 1.0)
        self.mean, self.cov = go(self.world, mean, cov, action)
        return action


def lqg_cost(world: World, visible: np.ndarray) -> np.ndarray:
    """The smallest expected cost (N,) given when the sensor sees, `visible` (N, T + 1), were actions not bounded.

    What the start costs, what each chance push adds, and what each action loses by not knowing
    the state. A bound can only raise it.
    """
    gains, costs = riccati(world, visible.shape[1] - 1)
    F, G, B = world.transition, world.disturbance, world.push
    mean, cov = start(world, len(visible))
    total = np.full(len(visible), world.start_std**2 * np.trace(costs[0]))
    for t, gain in enumerate(gains):
        ahead = costs[t + 1] + np.eye(2)
        mean, cov = see(world, mean, cov, np.zeros(len(visible)), visible[:, t])
        total += G @ ahead @ G + (world.action_cost + B @ ahead @ B) * (gain @ cov @ gain)
        cov = F @ cov @ F.T + np.outer(G, G)
    return total

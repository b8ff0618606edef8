"""The best soft value on a pendulum's state plane, and the torque that reaches it.

An agent's critic estimates a discounted *soft* value: rewards, plus an entropy bonus for every action.
Dynamic programming for the undiscounted return (`ceiling.py`) answers another question. So here
the soft Bellman equation itself is solved on a grid, with the agent's own discount and entropy
weight (Haarnoja et al., Soft Q-learning, arXiv 1702.08165v2, theorem 1):

    V(s) = tau log  integral_{-1}^{1} exp([r(s, a) + gamma V(f(s, a))] / tau) da

in the environment's units of reward, with tau = alpha in these units (`Agent.in_world_units`). tau = 0 is the maximum: no bonus.
"""

import numpy as np

from dreamer_core.yardsticks.ceiling import MAX_TORQUE, Corners, Step, best_torque, dynamics, grid
from dreamer_core.yardsticks.scales import sparse

SHAPE = (180, 121)  # angles, velocities
EXACT: dict[str, Step] = {"Pendulum-v1": dynamics, "dreamer/SparsePendulum-v0": sparse}
"""Worlds whose soft value is known: the step of each."""


def soft_bellman(
    gamma: float, tau: float, shape: tuple[int, int] = SHAPE, torques: int = 21, steps: int = 250, step: Step = dynamics
) -> np.ndarray:
    """The best soft value (A, V) with `steps` steps to go; some three seconds on one core.

    Args:
        gamma: discount; with .97 what lies beyond 250 steps counts one part in two thousand.
        tau: entropy weight in the environment's units; 0 for the plain maximum.
        torques: points of the trapezoidal rule over the action.
    """
    angle, velocity = grid(shape)
    moves = []
    for torque in np.linspace(-MAX_TORQUE, MAX_TORQUE, torques):
        next_angle, next_velocity, reward = step(angle, velocity, torque)
        moves.append((reward, Corners(next_angle, next_velocity, shape)))
    weights = np.full(torques, 2 / (torques - 1))  # the integral runs over a in [-1, 1]
    weights[[0, -1]] /= 2
    value = np.zeros(shape)
    for _ in range(steps):
        best = np.full(shape, -np.inf)
        for (reward, corners), weight in zip(moves, weights):
            q = reward + gamma * corners(value)
            best = np.maximum(best, q) if tau == 0 else np.logaddexp(best, q / tau + np.log(weight))
        value = best if tau == 0 else tau * best
    return value


def best_action(value: np.ndarray, gamma: float, step: Step = dynamics) -> np.ndarray:
    """The action in [-1, 1] (A, V) that is best where what follows is worth `value` (A, V), in each point of the grid."""
    angle, velocity = (part.ravel() for part in np.broadcast_arrays(*grid(value.shape)))
    return best_torque(gamma * value, angle, velocity, step=step).reshape(value.shape) / MAX_TORQUE

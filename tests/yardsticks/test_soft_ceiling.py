"""The best soft value: against the ceiling's, integrals and hand numbers."""

import numpy as np
import torch

from dreamer_core.yardsticks import ceiling
from dreamer_core.yardsticks.soft_ceiling import EXACT, best_action, soft_bellman

COARSE = (24, 17)


def at_rest():
    return np.broadcast_arrays(*ceiling.grid(COARSE))


def test_without_discount_and_entropy_it_is_the_ceilings_value():
    assert np.allclose(soft_bellman(1.0, 0.0, COARSE, 21, 30), ceiling.solve(30, COARSE, 21)[0], atol=1e-3)


def test_a_vanishing_entropy_weight_gives_the_maximum():
    hard, soft = soft_bellman(0.9, 0.0, COARSE, 21, 30), soft_bellman(0.9, 1e-4, COARSE, 21, 30)
    assert np.allclose(hard, soft, atol=0.02)


def test_one_step_to_go_is_the_reward_and_a_gaussian_integral():
    """V = -cost + tau log of the integral of exp(-0.004 a^2 / tau) over [-1, 1], which the error function gives."""
    angle, velocity = at_rest()
    tau = 0.003
    width = np.sqrt(0.004 / tau)
    integral = np.sqrt(np.pi) / width * float(torch.erf(torch.tensor(width, dtype=torch.float64)))
    expected = -(angle**2) - 0.1 * velocity**2 + tau * np.log(integral)
    assert np.allclose(soft_bellman(0.9, tau, COARSE, 201, 1), expected, atol=1e-6)


def test_the_second_step_is_discounted():
    """Against the best of many torques, with the exact value of the last step."""
    angle, velocity = (part[..., None] for part in at_rest())
    a, v, reward = ceiling.dynamics(angle, velocity, np.linspace(-2, 2, 41))
    wrapped = (a + np.pi) % (2 * np.pi) - np.pi
    expected = (reward + 0.5 * (-(wrapped**2) - 0.1 * v**2)).max(-1)
    found = soft_bellman(0.5, 0.0, (360, 321), 41, 2)
    at = ceiling.Corners(*(part[..., 0].astype(float) for part in (angle, velocity)), found.shape)
    inside = np.abs(angle[..., 0]) < 2.5  # the squared angle has a kink at the bottom, which a grid rounds off
    assert np.allclose(at(found)[inside], expected[inside], atol=2e-3)


def test_the_entropy_bonus_of_idle_torque_is_log_two_a_step():
    """A weight so large that every action is as good: then each step is worth tau log 2 more, discounted."""
    tau, steps = 1e6, 5
    bonus = tau * np.log(2) * (1 - 0.9**steps) / (1 - 0.9)
    assert np.allclose(soft_bellman(0.9, tau, COARSE, 21, steps) / bonus, 1, atol=1e-3)


def test_the_best_action_looks_one_step_ahead():
    """With nothing to come only this step's reward counts, and torque costs; where a larger angle is worth more, it is full torque."""
    assert np.allclose(best_action(np.zeros(COARSE), 0.9), 0), "torque that buys nothing"
    uphill = np.broadcast_to(ceiling.grid((360, 17))[0] * 1000, (360, 17))  # worth more the further round
    inside = np.abs(ceiling.grid((360, 17))[0][:, 0]) < 2
    assert np.allclose(best_action(uphill, 0.9)[inside, 4:-4], 1), "away from the speed limit, full torque"


def test_a_sparse_reward_is_worth_at_most_one_a_step():
    value = soft_bellman(0.5, 0.0, (60, 41), 5, 30, EXACT["dreamer/SparsePendulum-v0"])
    assert value.min() >= 0 and value.max() <= 2 and value[30, 20] > 1.99, "upright at rest, 1 + 1/2 + 1/4 + ... is 2"

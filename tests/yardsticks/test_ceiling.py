"""The ceiling, held against gymnasium itself, brute force, optimal linear control and a controller made by hand."""

import gymnasium as gym
import numpy as np
import pytest

from dreamer_core.yardsticks import ceiling

COARSE = (120, 81)


@pytest.fixture(scope="module")
def values():
    """A whole episode on a coarse grid."""
    return ceiling.solve(shape=COARSE, torques=21)


def at(values, angle, velocity):
    return ceiling.Corners(np.asarray(angle, float), np.asarray(velocity, float), values.shape)(values)


def test_the_dynamics_are_gymnasiums_own():
    env = gym.make("Pendulum-v1").unwrapped
    rng = np.random.default_rng(0)
    env.reset(seed=0)
    for _ in range(500):
        state = rng.uniform([-9, -8], [9, 8])  # more than one turn, and fast enough to be clipped
        torque = rng.uniform(-2, 2)
        env.state = state.copy()
        _, reward, *_ = env.step(np.array([torque]))
        angle, velocity, ours = ceiling.dynamics(*state, torque)
        assert np.allclose([angle, velocity], env.state, atol=1e-6)
        assert ours == pytest.approx(reward, abs=1e-6)


def test_interpolation_is_exact_for_a_bilinear_function_and_periodic():
    angle, velocity = ceiling.grid(COARSE)
    values = (1 + angle) * (2 - velocity)
    rng = np.random.default_rng(1)
    a, v = rng.uniform(-3, 3, 100), rng.uniform(-8, 8, 100)
    assert np.allclose(at(values, a, v), (1 + a) * (2 - v))
    wave = np.cos(angle) + 0 * velocity
    assert np.allclose(at(wave, a, v), at(wave, a + 4 * np.pi, v))
    assert np.allclose(at(wave, [np.pi, -np.pi], [0, 0]), -1)
    assert np.allclose(at(values, [0.5, 0.5], [8, -8]), [1.5 * -6, 1.5 * 10])  # the edges themselves


def test_upright_at_rest_is_worth_nothing_and_everything_else_less(values):
    angle, velocity = ceiling.grid(COARSE)
    top = np.argwhere((angle == 0) & (velocity == 0))
    assert len(top) == 1
    assert (values[:, *top[0]] == 0).all()
    others = np.delete(values[0].reshape(-1), np.ravel_multi_index(top[0], COARSE))
    assert (others < 0).all()


def test_fewer_steps_to_go_cost_less(values):
    assert (np.diff(values, axis=0) >= -1e-4).all()


def test_one_step_to_go_is_the_reward_without_torque():
    values = ceiling.solve(steps=1, shape=COARSE)
    angle, velocity = ceiling.grid(COARSE)
    assert np.allclose(values[0], -(angle**2) - 0.1 * velocity**2, atol=1e-5)
    assert (values[1] == 0).all()


def test_two_steps_to_go_equal_brute_force():
    """Both torques searched in the real environment; only the interpolation between grid points may differ."""
    values = ceiling.solve(steps=2, torques=41)
    env = gym.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    torques = np.linspace(-2, 2, 41)

    def step(state, torque):
        env.state = np.array(state)
        _, reward, *_ = env.step(np.array([torque]))
        return env.state, reward

    for state in ([0.3, -1.0], [-2.5, 4.0], [2.0, 7.9], [1.0, -6.0]):
        best = -np.inf
        for torque in torques:
            reached, first = step(state, torque)
            best = max(best, first + step(reached, 0.0)[1])  # a torque in the last step only costs
        assert at(values[0], *state) == pytest.approx(best, abs=0.01)


def test_near_the_top_it_is_the_optimal_linear_controller():
    """Where the torque's limit does not matter, Riccati's equation gives the answer without any grid."""
    a = np.array([[1 + 15 * 0.05**2, 0.05], [15 * 0.05, 1.0]])
    b = np.array([[3 * 0.05**2], [3 * 0.05]])
    q, r = np.diag([1, 0.1]), np.array([[0.001]])
    p = np.zeros((2, 2))
    for _ in range(200):
        gain = np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a)
        p = q + a.T @ p @ (a - b @ gain)
    values = ceiling.solve(steps=60, shape=(180, 161), torques=21)
    for start in np.array([[0.2, -0.6], [0.25, -0.8], [0.15, -0.75], [-0.15, 0.3]]):
        best = -start @ p @ start
        assert abs(gain @ start) < 2
        (angle, velocity), collected = start[:, None], 0.0
        for following in values[1:]:
            angle, velocity, reward = ceiling.dynamics(angle, velocity, ceiling.best_torque(following, angle, velocity))
            collected += reward[0]
        assert 1.05 * best <= collected <= best + 1e-3  # close, and never better
        assert at(values[0], *start) == pytest.approx(best, rel=0.2)


def by_hand(angle, velocity):
    """Pump energy until the pendulum is near the top, then hold it there."""
    angle = (angle + np.pi) % (2 * np.pi) - np.pi
    energy = velocity**2 / 2 + 15 * (np.cos(angle) - 1)  # 0 at the top at rest
    pump = np.where(energy < 0, 2 * np.sign(velocity), -2 * np.sign(velocity) * (energy > 1))
    near = (abs(angle) < 0.5) & (abs(velocity) < 3)
    return np.clip(np.where(near, -10 * angle - 2.5 * velocity, pump), -2, 2)


def collect(start, controller):
    """What controllers collect from many starts: `controller(t, angle, velocity)` chooses the torques."""
    (angle, velocity), total = start, 0
    for t in range(ceiling.STEPS):
        angle, velocity, reward = ceiling.dynamics(angle, velocity, controller(t, angle, velocity))
        total = total + reward
    return total


def test_no_controller_made_by_hand_does_better(values):
    start = np.random.default_rng(2).uniform([-np.pi, -1], [np.pi, 1], (200, 2)).T
    hand = collect(start, lambda t, angle, velocity: by_hand(angle, velocity))
    best = collect(start, lambda t, angle, velocity: ceiling.best_torque(values[t + 1], angle, velocity))
    value = at(values[0], *start)
    assert hand.mean() > -600  # it does swing up, so the comparison means something
    assert (hand <= best + 2).mean() > 0.98  # the grid is coarse: near a tie it may choose the second best
    assert hand.mean() < best.mean() - 5
    assert hand.mean() < value.mean()
    assert np.median(abs(best - value)) < 5


def test_the_real_environment_pays_what_the_values_promise(values):
    seeds = range(20_000, 20_010)
    returns = ceiling.best_returns(seeds, values)
    env = gym.make("Pendulum-v1")
    starts = []
    for seed in seeds:
        env.reset(seed=seed)
        starts.append(env.unwrapped.state)
    promised = at(values[0], *np.array(starts).T)
    assert returns.mean() == pytest.approx(promised.mean(), abs=10)
    assert returns.min() > -450

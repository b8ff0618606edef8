"""The known world: its simulator, its exact belief and its best controller, each held against another way to get the same numbers."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dreamer_core import envs
from dreamer_core.config import WrapperConfig
from dreamer_core.yardsticks.known_answer import LQG, go, kalman, lqg_cost, riccati, see, start
from dreamer_core.yardsticks.known_world import ENV, KnownWorld, Noise, World, draw, move, noise_of, random_episodes, simulate

WORLD = World()


def rng(seed=0):
    return np.random.default_rng(seed)


# --- the world -------------------------------------------------------------------------------------


def test_one_step_by_hand():
    world = World(dt=0.5, stiffness=2.0, damping=0.1, gain=3.0, process_std=0.4, action_cost=0.25)
    state, reward = move(world, np.array([[1.0, -2.0]]), np.array([0.5]), np.array([-1.0]))
    velocity = -2.0 + 0.5 * (-2.0 * 1.0 - 0.1 * -2.0 + 3.0 * 0.5) + 0.4 * -1.0  # -2.55
    assert np.allclose(state, [[1.0 + 0.5 * velocity, velocity]])
    assert np.allclose(reward, -((1.0 + 0.5 * velocity) ** 2 + velocity**2 + 0.25 * 0.5**2))


def test_the_environment_and_the_simulator_agree_step_by_step():
    actions = rng().uniform(-1.5, 1.5, (3, WORLD.steps))  # some beyond the bound
    episodes = simulate(WORLD, noise_of(WORLD, range(40, 43)), lambda t, _: actions[:, t])
    env = gym.make(ENV)
    for number in range(3):
        observation, info = env.reset(seed=40 + number)
        for t in range(WORLD.steps + 1):
            assert np.allclose(observation, episodes.observation[number, t])
            assert np.allclose(info["state"], episodes.state[number, t])
            assert info["reading"] == pytest.approx(episodes.reading[number, t])
            if t < WORLD.steps:
                observation, reward, terminated, truncated, info = env.step(actions[number, t : t + 1])
                assert reward == pytest.approx(episodes.reward[number, t + 1])
                assert not terminated and truncated == (t == WORLD.steps - 1)


@pytest.mark.filterwarnings("ignore:.*A Box observation space")
def test_gymnasiums_own_checks_pass_and_the_course_can_make_it():
    check_env(KnownWorld(), skip_render_check=True)
    env = envs.make(ENV, WrapperConfig())
    assert env.observation_space.shape == (2,) and env.action_space.shape == (1,)


def test_blackouts_are_as_long_and_as_frequent_as_the_markov_chain_says():
    visible = draw(World(steps=400), rng(), 500).visible
    assert (visible[:, 0] == 1).all()
    blind = visible == 0
    assert blind[:, 100:].mean() == pytest.approx(0.04 / 0.16, abs=0.01)  # start / (start + end)
    ends = blind[:, :-1] & ~blind[:, 1:]
    assert blind[:, :-1].sum() / ends.sum() == pytest.approx(1 / 0.12, rel=0.03)  # mean of a geometric length
    long = blind[:, :-8] & ~np.roll(blind, 1, 1)[:, :-8]  # those that start here ...
    lasts = np.all([blind[:, lag : lag + long.shape[1]] for lag in range(8)], 0)[long].mean()
    assert lasts == pytest.approx(0.88**7, abs=0.02)  # ... last eight steps or more


def test_random_actions_are_held_and_bounded():
    action = random_episodes(WORLD, rng(), 50, hold=4).action.reshape(50, 15, 4)
    assert (action == action[:, :, :1]).all()
    assert (np.diff(action[:, :, 0]) != 0).all() and abs(action).max() <= 1


def test_blind_readings_never_reach_the_observation():
    episodes = random_episodes(WORLD, rng(), 50)
    assert (episodes.observation[episodes.visible == 0] == 0).all()
    seen = episodes.visible == 1
    assert (episodes.observation[seen][:, 0] == episodes.reading[seen]).all()
    assert np.allclose(episodes.cost, -episodes.reward[:, 1:].sum(1)) and (episodes.reward[:, 0] == 0).all()


def test_a_constant_out_of_range_is_refused_by_name():
    with pytest.raises(ValueError, match="blind_end"):
        World(blind_end=1.5)
    with pytest.raises(ValueError, match="sensor_std"):
        World(sensor_std=0.0)


# --- the exact belief --------------------------------------------------------------------------------


def joint_gaussian(world, action):
    """Mean and covariance of all states and readings of one episode at once, built from its noise by superposition."""
    steps = len(action)
    sources = 2 + steps + steps + 1  # start, pushes, sensor

    def rows(noise):  # (M, sources) -> (M, all states and readings)
        split = Noise(noise[:, :2], noise[:, 2 : 2 + steps], noise[:, 2 + steps :], np.ones((len(noise), steps + 1)))
        split = split._replace(start=world.start_std * split.start)
        episodes = simulate(world, split, lambda t, _: np.full(len(noise), action[t]))
        return np.concatenate([episodes.state.reshape(len(noise), -1), episodes.reading], 1)

    mean = rows(np.zeros((1, sources)))[0]
    linear = rows(np.eye(sources)) - mean  # the effect of each unit of noise
    return mean, linear.T @ linear


def test_the_filter_is_the_conditional_of_one_joint_gaussian():
    world = World(steps=25)
    episodes = random_episodes(world, rng(3), 4)
    belief = kalman(world, episodes)
    assert (episodes.visible == 0).any(1).sum() >= 2  # blackouts are among them
    rows = world.steps + 1
    for number in range(4):
        mean, cov = joint_gaussian(world, episodes.action[number])
        for t in (0, 1, 7, 13, world.steps):
            state = [2 * t, 2 * t + 1]
            past = 2 * rows + np.flatnonzero(episodes.visible[number, :t])
            readings = episodes.reading[number, past - 2 * rows]
            weights = np.linalg.solve(cov[np.ix_(past, past)], cov[np.ix_(past, state)]).T if len(past) else np.zeros((2, 0))
            assert np.allclose(belief.mean[number, t], mean[state] + weights @ (readings - mean[past]), atol=1e-12, rtol=0)
            assert np.allclose(belief.cov[number, t], cov[np.ix_(state, state)] - weights @ cov[np.ix_(past, state)], atol=1e-12, rtol=0)


def one_blackout(seed):
    """The chances of one episode that is blind at rows 20 to 33."""
    noise = draw(WORLD, rng(seed), 1)
    noise.visible[:] = 1
    noise.visible[0, 20:34] = 0
    return noise


def test_the_filter_agrees_with_a_particle_filter():
    action = rng(4).uniform(-1, 1, WORLD.steps)
    episodes = simulate(WORLD, one_blackout(4), lambda t, _: action[t : t + 1])
    belief, chance, count = kalman(WORLD, episodes), rng(5), 50_000
    particles = chance.standard_normal((count, 2))
    for t in range(WORLD.steps + 1):
        std = np.sqrt(np.diag(belief.cov[0, t]))
        assert (abs(particles.mean(0) - belief.mean[0, t]) < 0.1 * std).all()
        assert np.allclose(np.cov(particles.T) / np.outer(std, std), belief.cov[0, t] / np.outer(std, std), atol=0.1)
        if t == WORLD.steps:
            break
        if episodes.visible[0, t]:
            weight = np.exp(-0.5 * ((episodes.reading[0, t] - particles[:, 0]) / WORLD.sensor_std) ** 2)
            places = (np.arange(count) + chance.random()) / count
            particles = particles[np.searchsorted(np.cumsum(weight / weight.sum()), places).clip(max=count - 1)]
        particles, _ = move(WORLD, particles, np.full(count, action[t]), chance.standard_normal(count))


def test_the_belief_grows_through_a_blackout_and_snaps_back():
    _, std = kalman(WORLD, simulate(WORLD, one_blackout(0), lambda t, _: np.zeros(1))).reading(WORLD)
    assert (np.diff(std[0, 20:35]) > 0).all()  # row 34 is seen again, but foreseen from the dark
    assert std[0, 34] > 1.8 * std[0, 20]
    assert std[0, 36] < 1.1 * std[0, 20]


def test_the_filters_own_spread_is_the_spread_of_its_errors():
    episodes = random_episodes(WORLD, rng(6), 4000)
    mean, std = kalman(WORLD, episodes).reading(WORLD)
    for rows in (episodes.visible == 1, episodes.visible == 0):
        assert np.mean(((episodes.reading - mean) / std)[rows] ** 2) == pytest.approx(1.0, abs=0.03)


def test_blind_readings_do_not_move_the_filter():
    episodes = random_episodes(WORLD, rng(7), 5)
    spoilt = episodes._replace(reading=np.where(episodes.visible == 1, episodes.reading, 1e6))
    assert np.array_equal(kalman(WORLD, episodes).mean, kalman(WORLD, spoilt).mean)


# --- the best controller ---------------------------------------------------------------------------------


def test_without_chance_the_gains_give_the_best_action_sequence_of_all():
    """Least squares over all actions at once: no dynamic programming in it."""
    world = World(steps=12, process_std=0.0, action_cost=0.7)
    gains, costs = riccati(world)
    x0 = np.array([0.8, -0.5])
    powers = [np.linalg.matrix_power(world.transition, n) for n in range(world.steps + 1)]
    effect = np.zeros((world.steps, 2, world.steps))  # of action s on position and velocity at t + 1
    for s in range(world.steps):
        for t in range(s, world.steps):
            effect[t, :, s] = powers[t - s] @ world.push
    effect = effect.reshape(-1, world.steps)
    free = np.concatenate([powers[t] @ x0 for t in range(1, world.steps + 1)])
    wanted = np.concatenate([-free, np.zeros(world.steps)])
    best, residual, *_ = np.linalg.lstsq(np.concatenate([effect, np.sqrt(0.7) * np.eye(world.steps)]), wanted)
    x, chosen = x0, []
    for gain in gains:
        chosen.append(-gain @ x)
        x = world.transition @ x + world.push * chosen[-1]
    assert np.allclose(chosen, best) and x0 @ costs[0] @ x0 == pytest.approx(residual[0])


def linear_cost(world, visible, gains):
    """Exact expected cost of a_t = -gains_t (filter mean), from second moments of state and mean together."""
    F, B, G = world.transition, world.push, world.disturbance
    moment = np.zeros((4, 4))  # of (state, mean)
    moment[:2, :2] = world.start_std**2 * np.eye(2)
    _, cov = start(world, 1)
    total = 0.0
    for t, gain in enumerate(gains):
        weight = visible[t] * cov[0, :, 0] / (cov[0, 0, 0] + world.sensor_std**2)
        correct = np.block([[np.eye(2), np.zeros((2, 2))], [np.outer(weight, [1, 0]), np.eye(2) - np.outer(weight, [1, 0])]])
        moment = correct @ moment @ correct.T
        moment[2:, 2:] += world.sensor_std**2 * np.outer(weight, weight)
        _, cov = see(world, np.zeros((1, 2)), cov, np.zeros(1), visible[t : t + 1])
        total += world.action_cost * gain @ moment[2:, 2:] @ gain
        onward = np.block([[F, -np.outer(B, gain)], [np.zeros((2, 2)), F - np.outer(B, gain)]])
        moment = onward @ moment @ onward.T
        moment[:2, :2] += np.outer(G, G)
        total += moment[0, 0] + moment[1, 1]
        _, cov = go(world, np.zeros((1, 2)), cov, np.zeros(1))
    return total


def test_the_least_cost_is_what_the_gains_cost_and_every_other_gain_costs_more():
    visible = draw(WORLD, rng(8), 3).visible
    gains, _ = riccati(WORLD)
    change = rng(9).standard_normal((6, *gains.shape))
    for row, least in zip(visible, lqg_cost(WORLD, visible)):
        assert linear_cost(WORLD, row, gains) == pytest.approx(least, rel=1e-10)
        for step in change:
            up, down = (linear_cost(WORLD, row, gains + size * step) for size in (0.1, -0.1))
            assert min(up, down) > least + 1e-3
            up, down = (linear_cost(WORLD, row, gains + size * step) for size in (1e-4, -1e-4))
            assert abs(up - down) / 2e-4 < 1e-5  # flat: a stationary point


def test_measured_cost_agrees_with_the_exact_one_and_the_bound_hardly_matters():
    noise = draw(WORLD, rng(10), 6000)
    played = simulate(WORLD, noise, LQG(WORLD, 6000))
    surplus = played.cost - lqg_cost(WORLD, noise.visible)
    error = surplus.std() / np.sqrt(len(surplus))
    assert abs(surplus.mean()) < 4 * error and error < 0.01 * played.cost.mean()
    assert (abs(played.action) == 1).mean() < 0.01
    nothing = simulate(WORLD, noise, lambda t, o: np.zeros(len(o)))
    assert nothing.cost.mean() > 2.5 * played.cost.mean()


def test_the_best_of_a_grid_of_actions_for_one_step_of_brute_force():
    """One step to go, belief held: try many actions against many states."""
    world = World(steps=1)
    mean, cov = np.array([[0.6, -0.9]]), np.array([[[0.2, 0.05], [0.05, 0.3]]])
    states = rng(11).multivariate_normal(mean[0], cov[0], 20_000)
    choices = np.linspace(-1, 1, 401)
    costs = [-move(world, states, np.full(len(states), a), np.zeros(len(states)))[1].mean() for a in choices]
    assert choices[np.argmin(costs)] == pytest.approx(-riccati(world)[0][0] @ mean[0], abs=0.01)

"""Dynamic programming on a box, held against brute force, gymnasium itself and controllers made by hand."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

from dreamer_core.worlds import point_mass
from dreamer_core.yardsticks import box_grid, scales
from dreamer_core.yardsticks.box_grid import Corners, Task


def test_interpolation_is_exact_for_a_multilinear_function():
    axes = np.linspace(-1, 2, 7), np.linspace(0, 1, 3), np.linspace(5, 9, 5)

    def value(x, y, z):
        return (1 + x) * (2 - y) * z + 3 * y

    values = value(*np.meshgrid(*axes, indexing="ij"))
    rng = np.random.default_rng(0)
    points = rng.uniform([-1, 0, 5], [2, 1, 9], (4, 50, 3))
    assert np.allclose(Corners(axes, points)(values), value(*np.moveaxis(points, -1, 0)), atol=1e-4), "within the box"
    edges = np.array(list(itertools.product([-1, 2], [0, 1], [5, 9])), float)
    assert np.allclose(Corners(axes, edges)(values), value(*edges.T)), "the corners of the box itself"
    assert Corners(axes, np.array([[7.0, 0, 5]]))(values) == pytest.approx(value(2, 0, 5)), "what lies outside counts as the edge"


def test_a_line_of_five_places_by_brute_force():
    """One step left, right or none; each place pays its own price, the last but one ends the episode."""
    pay = np.array([0.0, 1.0, -2.0, 5.0, 3.0])

    def move(states, actions):
        following = np.clip(states + actions, 0, 4)
        place = following[..., 0].astype(int)
        return following, pay[place] - 0.1 * abs(actions[..., 0]), 1.0 * (place != 3)

    actions = np.array([[-1.0], [0.0], [1.0]])
    task = Task("", 4, (np.arange(5.0),), actions, actions, move)
    values = box_grid.solve(task)

    def best(place, steps):
        if not steps:
            return 0.0
        tried = [move(np.array([float(place)]), action) for action in actions]
        return max(reward + (best(int(there[0]), steps - 1) if lasts else 0) for there, reward, lasts in tried)

    for left in range(5):
        expected = [best(place, left) for place in range(5)]
        assert values[4 - left] == pytest.approx(expected, abs=1e-5), f"values with {left} steps to go"


def test_the_mountain_cars_dynamics_are_gymnasiums_own():
    env = gym.make("MountainCarContinuous-v0").unwrapped
    env.reset(seed=0)
    move, rng = box_grid.mountain_car_task(5, 5).move, np.random.default_rng(0)
    ends = 0
    for _ in range(2000):
        state, action = rng.uniform([-1.2, -0.07], [0.6, 0.07]), rng.uniform(-1, 1, 1)
        env.state = state.copy()
        observation, reward, terminated, *_ = env.step(action)
        following, ours, lasts = move(state, action)
        assert observation == pytest.approx(following, abs=1e-6) and ours == pytest.approx(reward) and lasts == 1 - terminated
        ends += terminated
    assert ends > 20, "no episode ended, so that ends were not compared"


def test_the_grid_of_the_point_has_the_walls_on_its_lines():
    place = box_grid.point_mass_task().axes[0]
    for wall in (point_mass.WALL, -point_mass.WALL, point_mass.WALL_TOP):
        assert abs(place - wall).min() < 1e-12, f"a value would leak through the wall at {wall}"


def by_hand(name, controller, steps, seeds=scales.SEEDS):
    """What a controller made by hand, which is shown the world itself, collects from each start: (N,)."""
    env, returns = gym.make(name), []
    for seed in seeds:
        env.reset(seed=seed)
        returns.append(sum(env.step(controller(env.unwrapped))[1] for _ in range(steps)))
    return np.array(returns)


def around(room):
    """Over the wall, then to the goal."""
    x, y = room.state[:2]
    aim = point_mass.GOAL if x > 0.15 else (0.4, 0.3) if y > 0.3 else (-0.15, 0.5)
    return np.clip(20 * (np.array(aim) - room.state[:2]) - 4 * room.state[2:], -2, 2)


def test_in_the_room_no_controller_made_by_hand_does_better():
    """On a grid so coarse that it takes seconds; the walls still lie on its lines."""
    task = box_grid.point_mass_task(41, 7)._replace(steps=40, choice=box_grid.pushes(9))
    found, promised = box_grid.best_returns(task, box_grid.solve(task), range(6))
    hand = by_hand("dreamer/PointMass-v0", around, 40, range(6))
    assert (found > hand).all(), f"{found} against {hand} by hand"
    assert np.mean(hand) > -50, "the controller made by hand does not arrive, so the comparison means nothing"
    assert promised == pytest.approx(found, rel=0.25), f"promised {promised}, collected {found}"


def test_the_points_best_is_better_than_a_controller_made_by_hand_and_not_by_far():
    """Over the wall and then to the goal, from all stored starts."""
    hand = by_hand("dreamer/PointMass-v0", around, 100)
    best = scales.read()["dreamer/PointMass-v0"].best
    assert np.mean(hand) < best < 0.85 * np.mean(hand), f"{np.mean(hand):.2f} by hand, {best} stored"


@pytest.mark.parametrize("wanted", [5.0, 7.77, 20.0])
def test_tanks_at_rest_are_worth_nothing_less(wanted):
    task = box_grid.water_tanks_task(wanted, lines=1)._replace(steps=30)
    (level, _), rest = task.axes, [[wanted, wanted]]
    assert abs(level - wanted).min() < 1e-12 and level[0] == 0 and level[-1] >= 25, f"grid lines {level}"
    values = box_grid.solve(task)
    assert Corners(task.axes, np.array(rest))(values[0]) == pytest.approx(0, abs=1e-5), "both at the wanted level cannot be kept there"
    assert (values <= 0).all() and values[0].min() < -20, "a reward above 0, or none below"


def pumping(tanks):
    """The further the lower tank has to go, the further the upper one is to stand beyond the wanted level."""
    upper, lower = tanks.state
    return np.clip([16 * (tanks.wanted + 3 * (tanks.wanted - lower) - upper) + 8 * upper**0.5], 0, 64)


def test_the_tanks_best_is_better_than_a_controller_made_by_hand_and_hardly():
    hand, best = by_hand("dreamer/WaterTanks-v0", pumping, 100).mean(), scales.read()["dreamer/WaterTanks-v0"].best
    assert hand < best < 0.98 * hand, f"{hand:.2f} by hand, {best} stored"


def test_the_tanks_best_from_each_start_is_no_worse_than_by_hand():
    """On a coarse grid; what it promised is near what was collected, from each start."""
    seeds = scales.SEEDS[:6]
    for seed, hand in zip(seeds, by_hand("dreamer/WaterTanks-v0", pumping, 100, seeds)):
        found = scales.water_tanks([seed], lines=2)
        assert found.best > hand - 2 and found.slack <= 3, f"{seed}: {found}, {hand} by hand"


def test_the_mountain_is_climbed_on_a_coarse_grid():
    task = box_grid.mountain_car_task(81, 61)._replace(steps=200, actions=np.linspace(-1, 1, 5)[:, None])
    found, _ = box_grid.best_returns(task, box_grid.solve(task), range(3))
    assert found.min() > 85, f"returns {found}"

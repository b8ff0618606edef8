"""The state plane: the soft Bellman equation against the ceiling's, integrals and hand numbers; the agent's against a rigged agent."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from minds import pendulum_agent

from dreamer_core.errors import DreamerError
from dreamer_core.viz.pendulum import angle_and_velocity
from dreamer_core.viz.plane import Plane, agent_plane, exact_plane, plane_figure, rewind, soft_bellman
from dreamer_core.yardsticks import ceiling

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


def test_the_exact_plane_speaks_the_agents_terms(monkeypatch):
    asked = {}

    def watched(gamma, tau, shape):
        asked.update(gamma=gamma, tau=tau)
        return np.zeros(shape)

    monkeypatch.setattr("dreamer_core.viz.plane.soft_bellman", watched)
    exact_plane(pendulum_agent(sac=dict(gamma=0.8, alpha=0.3, alpha_final=0.3, reward_scale=0.1)), COARSE)
    assert asked == {"gamma": 0.8, "tau": pytest.approx(3.0)}
    exact_plane(pendulum_agent(sac=dict(soft=False)), COARSE)
    assert asked["tau"] == 0


def test_the_best_torque_points_up():
    """Just beside the top at rest, the exact policy pushes back."""
    torque = exact_plane(pendulum_agent(sac=dict(gamma=0.95, alpha=0.02, alpha_final=0.02, reward_scale=0.1)), (60, 41)).torque
    top, rest = 30, 20
    assert torque[top + 2, rest] < -0.5 and torque[top - 2, rest] > 0.5
    assert abs(torque[top, rest]) < 0.2


def test_who_does_not_look_ahead_saves_torque():
    """With a discount of 0 only this step's reward counts, and torque costs."""
    assert np.allclose(exact_plane(pendulum_agent(sac=dict(gamma=0.0)), COARSE).torque, 0)


def test_rewinding_undoes_a_step_without_torque():
    random = np.random.default_rng(0)
    angle, velocity = random.uniform(-3, 3, 50), random.uniform(-5, 5, 50)
    after = ceiling.dynamics(angle, velocity, 0)[:2]
    assert np.allclose(rewind(*after), (angle, velocity))


def test_the_angle_is_measured_from_the_top():
    angle, velocity = angle_and_velocity(np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -3.0]]))
    assert np.allclose(angle, [0, np.pi / 2]) and velocity.tolist() == [3, -3]


@pytest.mark.parametrize("hide", [(), (2,)])
def test_the_agent_is_shown_free_fall_that_ends_in_each_state(hide):
    agent = pendulum_agent(wrappers=dict(hide=hide), sac=dict(reward_scale=0.1), imagination=dict(start_rows=3))
    shown, encode = [], agent.model.encode
    agent.model.encode = lambda observation: shown.append(observation) or encode(observation)
    agent.sac.target_value = lambda state, action: torch.full(state.shape[:-1], -3.0)
    agent.sac.actor.mode = lambda state: torch.full((len(state), 1), 0.25)
    plane = agent_plane(agent, COARSE, samples=2)
    assert np.allclose(plane.value, -30, atol=1e-4)  # in the environment's units
    assert np.allclose(plane.torque, 0.5)  # in newton metres
    angle, velocity = (part.ravel() for part in at_rest())
    rows = shown[0].numpy().astype(float)
    keep = [0, 1] if hide else [0, 1, 2]
    assert rows.shape == (24 * 17, 3, len(keep))
    assert np.allclose(rows[:, -1], np.stack([np.cos(angle), np.sin(angle), velocity], -1)[:, keep], atol=1e-6)
    if not hide:
        for t in range(2):
            a, v = angle_and_velocity(rows[:, t])
            slow = np.abs(v) < 6  # at the speed limit the past cannot be told
            a, v, _ = ceiling.dynamics(a, v, 0)
            assert np.allclose(np.stack([np.cos(a), np.sin(a), v], -1)[slow], rows[slow, t + 1], atol=1e-4)


@pytest.mark.parametrize("plane", [agent_plane, exact_plane])
def test_another_environment_has_no_such_plane(plane):
    agent = pendulum_agent()
    agent.config.env = "MountainCarContinuous-v0"
    with pytest.raises(ValueError, match="^the state plane is Pendulum-v1's, but this agent was made for MountainCarContinuous-v0"):
        plane(agent, COARSE)


@pytest.mark.parametrize("plane", [agent_plane, exact_plane])
def test_an_agent_without_a_soft_value_has_no_such_plane(plane):
    with pytest.raises(ValueError, match="^the state plane shows a soft value, .* give one trained with actor_critic sac$"):
        plane(pendulum_agent(actor_critic="dreamerv3"), COARSE)


@pytest.mark.parametrize("units", [dict(observation_scale=2), dict(reward_scale=0.1), dict(reward_offset=1)])
def test_an_agent_that_sees_other_units_has_no_such_plane(units):
    with pytest.raises(ValueError, match="^the state plane is Pendulum-v1's in its own units, but this agent sees it in others: give one"):
        agent_plane(pendulum_agent(wrappers=units), COARSE)


@pytest.mark.parametrize("plane", [agent_plane, exact_plane])
def test_an_agent_that_repeats_its_actions_lives_in_another_world_than_the_plane(plane):
    with pytest.raises(DreamerError, match="^the state plane .* each action of this agent lasts 2 steps"):
        plane(pendulum_agent(wrappers=dict(action_repeat=2)), COARSE)


def test_the_figure():
    random = np.random.default_rng(0)
    exact = Plane(random.normal(size=COARSE), random.uniform(-2, 2, COARSE))
    ours = Plane(exact.value - 7, -exact.torque)
    visited = random.uniform(-1, 1, (30, 2))
    figure = plane_figure(ours, exact, visited, "plane")
    assert "where the agent has been, values correlate 1.00 and the agent's differ by -7 on average (standard deviation 0)" in figure.alt
    assert "same sign in 0 %" in figure.alt
    assert_readable(figure)
    assert_readable(plane_figure(ours, exact))

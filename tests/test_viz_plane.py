"""Values over a world's plane: the exact ones in the agent's terms, the agent's against a rigged agent."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from minds import pendulum_agent
from toys import small

from dreamer_core.agent import Dreamer
from dreamer_core.errors import DreamerError
from dreamer_core.viz.plane import OnPlane, agent_plane, exact_plane, plane_figure
from dreamer_core.worlds.pendulum import PLANE
from dreamer_core.yardsticks import ceiling

COARSE = (24, 17)


def test_the_exact_plane_speaks_the_agents_terms(monkeypatch):
    asked = {}

    def watched(gamma, tau, shape, step):
        asked.update(gamma=gamma, tau=tau)
        return np.zeros(shape)

    monkeypatch.setattr("dreamer_core.viz.plane.soft_bellman", watched)
    exact_plane(pendulum_agent(sac=dict(gamma=0.8, alpha=0.3, alpha_final=0.3, reward_scale=0.1)), COARSE)
    assert asked == {"gamma": 0.8, "tau": pytest.approx(3.0)}
    exact_plane(pendulum_agent(sac=dict(soft=False)), COARSE)
    assert asked["tau"] == 0


def test_the_best_torque_points_up():
    """Just beside the top at rest, the exact policy pushes back."""
    action = exact_plane(pendulum_agent(sac=dict(gamma=0.95, alpha=0.02, alpha_final=0.02, reward_scale=0.1)), (60, 41)).action
    top, rest = 30, 20
    assert action[top + 2, rest] < -0.25 and action[top - 2, rest] > 0.25
    assert abs(action[top, rest]) < 0.1


def test_who_does_not_look_ahead_saves_torque():
    """With a discount of 0 only this step's reward counts, and torque costs."""
    assert np.allclose(exact_plane(pendulum_agent(sac=dict(gamma=0.0)), COARSE).action, 0)


@pytest.mark.parametrize(("hide", "scale"), [((), 1), ((2,), 1), ((), 10)])
def test_the_agent_is_shown_free_fall_that_ends_in_each_state(hide, scale):
    wrappers = dict(hide=hide, observation_scale=scale)
    agent = pendulum_agent(wrappers=wrappers, sac=dict(reward_scale=0.1), imagination=dict(start_rows=3))
    shown, encode = [], agent.model.encode
    agent.model.encode = lambda observation: shown.append(observation) or encode(observation)
    agent.sac.target_value = lambda state, action: torch.full(state.shape[:-1], -3.0)
    agent.sac.actor.mode = lambda state: torch.full((len(state), 1), 0.25)
    plane = agent_plane(agent, COARSE, samples=2)
    assert np.allclose(plane.value, -30, atol=1e-4)  # in the environment's units
    assert np.allclose(plane.action, 0.25)
    rows = shown[0].numpy().astype(float) / scale
    keep = [0, 1] if hide else [0, 1, 2]
    assert rows.shape == (24 * 17, 3, len(keep))
    assert np.allclose(rows[:, -1], PLANE.observation(PLANE.grid(COARSE).reshape(-1, 2))[:, keep], atol=1e-6)
    if not hide:
        for t in range(2):
            a, v = PLANE.place(rows[:, t]).T
            slow = np.abs(v) < 6  # at the speed limit the past cannot be told
            a, v, _ = ceiling.dynamics(a, v, 0)
            assert np.allclose(np.stack([np.cos(a), np.sin(a), v], -1)[slow], rows[slow, t + 1], atol=1e-4)


def made_for(env, observations, **changes):
    return Dreamer(small(env=env, **changes), observations, 1)


def test_another_world_with_a_plane_that_says_all_has_the_agents_values_alone():
    """MountainCar's: in each place of its own plane, under its own names; the exact values are not known, and that is said."""
    agent = made_for("MountainCarContinuous-v0", 2)
    found = agent_plane(agent, (6, 5), samples=2)
    assert found.plane.names == ("position", "velocity") and found.value.shape == (6, 5)
    figure = plane_figure(found, visited=np.array([[-0.5, 0.0]]))
    assert [axis.get_xlabel() for axis in figure.axes[:2]] == ["", "position"] and figure.alt.startswith(
        "Value and action over position and"
    )
    assert_readable(figure)
    with pytest.raises(
        DreamerError, match="^the exact values of MountainCarContinuous-v0 are not known .they are of Pendulum-v1, .*draw the"
    ):
        exact_plane(agent, COARSE)


@pytest.mark.parametrize("plane", [agent_plane, exact_plane])
@pytest.mark.parametrize(
    ("env", "size", "what"),
    [("dreamer/Recall-v0", 2, "no plane"), ("dreamer/WaterTanks-v0", 3, "a plane of upper level and lower level, which does not say all")],
)
def test_a_world_whose_plane_does_not_say_all_has_no_such_plane(plane, env, size, what):
    with pytest.raises(ValueError, match=f"^{env} has {what}.* so value and policy cannot be drawn over it: choose a world"):
        plane(made_for(env, size), COARSE)


@pytest.mark.parametrize("plane", [agent_plane, exact_plane])
def test_an_agent_without_a_soft_value_has_no_such_plane(plane):
    with pytest.raises(ValueError, match="^the plane shows a soft value, .* give one trained with actor_critic sac$"):
        plane(pendulum_agent(actor_critic="dreamerv3"), COARSE)


@pytest.mark.parametrize("units", [dict(reward_scale=0.1), dict(reward_offset=1)])
def test_an_agent_that_gets_other_rewards_has_no_such_plane(units):
    with pytest.raises(
        ValueError, match="^the plane shows the rewards of Pendulum-v1 in its own units, but this agent gets others: give one"
    ):
        agent_plane(pendulum_agent(wrappers=units), COARSE)


@pytest.mark.parametrize("plane", [agent_plane, exact_plane])
def test_an_agent_that_repeats_its_actions_lives_in_another_world_than_the_plane(plane):
    with pytest.raises(DreamerError, match="^the plane .* each action of this agent lasts 2 steps"):
        plane(pendulum_agent(wrappers=dict(action_repeat=2)), COARSE)


def test_the_figure():
    random = np.random.default_rng(0)
    exact = OnPlane(PLANE, random.normal(size=COARSE), random.uniform(-1, 1, COARSE))
    ours = OnPlane(PLANE, exact.value - 7, -exact.action)
    visited = random.uniform(-1, 1, (30, 2))
    figure = plane_figure(ours, exact, visited, "plane")
    assert "where the agent has been, values correlate 1.00 and the agent's differ by -7 on average (standard deviation 0)" in figure.alt
    assert "same sign in 0 %" in figure.alt
    assert_readable(figure)
    assert_readable(plane_figure(ours, exact))

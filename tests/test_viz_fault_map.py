"""The map of faults: counting steps, real copies, dreams from a place, and the density of data."""

import numpy as np
import pytest
import torch
from figures import assert_readable
from minds import pendulum_agent, without_chance
from toys import small

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.trainer import Trainer
from dreamer_core.viz.assets import ASSETS, NAME
from dreamer_core.viz.dream import act_out, believe, dream_on, held_actions
from dreamer_core.viz.fault_map import density, dreams_from, fault_figure, fault_map, holds, real_runs
from dreamer_core.worlds.drawing import whole
from dreamer_core.worlds.plane import NoPlane
from dreamer_core.yardsticks import ceiling


def test_steps_are_counted_until_the_error_is_too_large():
    nan = np.nan
    errors = np.array([[0, 1, 2, 3], [9, 0, 0, 0], [0, 0, 0, 0], [0, nan, 0, 0], [2, 2, 2, 2]], float)
    assert holds(errors, 2).tolist() == [3, 0, 4, 1, 4], "steps before the first error above the tolerance"


def test_real_runs_obey_the_equations_of_motion():
    agent = pendulum_agent()
    env, plane = envs.make_for(agent.config), whole(agent.config).plane
    plans = np.stack([np.ones((6, 1)), -np.ones((6, 1))]).astype(np.float32)
    places = np.array([[0.3, 1.0], [-2.0, -4.0]])
    found = real_runs(env, plane, places, plans, agent.config)
    assert found.shape == (2, 2, 7, 3)
    for rows, place in zip(found, places):
        for run, torque in zip(rows, (2, -2)):
            angle, velocity = place
            for row in run:
                assert np.allclose(row, [np.cos(angle), np.sin(angle), velocity], atol=1e-4), "not what the physics say"
                angle, velocity, _ = ceiling.dynamics(angle, velocity, torque)


def test_dreams_from_a_place_are_those_of_an_episode_that_ends_there():
    agent = without_chance(pendulum_agent())
    env = envs.make_for(agent.config)
    episodes = [act_out(env, seed, np.zeros((4, 1), np.float32)) for seed in (1, 2, 3)]
    plans = np.stack([held_actions(6, 1, 2, seed) for seed in (7, 8)])
    found = dreams_from(agent, torch.from_numpy(np.stack([episode.observation for episode in episodes])), plans, 2)
    assert found.shape == (3, 2, 2, 7, 3)
    for number, episode in enumerate(episodes):
        for plan in range(2):
            expected = agent.model.decode(dream_on(agent, believe(agent, episode), [4], 6, plans[plan][None])[0, 0]).detach().numpy()
            assert np.allclose(found[number, plan], expected, atol=1e-5), "places or plans are mixed up"


def test_the_worlds_own_instability_lies_where_it_is_known_to_lie():
    """Two pendulums very close together part near the top, and stay together for as long where they hang."""
    agent = pendulum_agent()
    env = envs.make_for(agent.config)
    found = fault_map(agent, env, (9, 5), steps=24, plans=2, count=2, hair=0.02)
    angles = found.plane.grid((9, 5))[:, 0, 0]
    top, hanging = found.world[np.abs(angles).argmin(), 2], found.world[np.abs(np.abs(angles) - np.pi).argmin(), 2]
    assert hanging == 24 > top, f"copies hold {hanging} steps where they hang and {top} at the top"
    assert np.array_equal(found.dream, fault_map(agent, env, (9, 5), steps=24, plans=2, count=2, hair=0.02).dream), "the same seed"
    assert found.tolerance == 20 and found.measure.unit == "°"
    assert found.dream.max() < 24, "an untrained model holds nowhere"
    figure = fault_figure(found, found.plane.grid((4, 4)).reshape(-1, 2), "faults")
    assert_readable(figure)
    assert "where there are none" in figure.alt


def test_a_perfect_model_has_no_fault(monkeypatch):
    agent = pendulum_agent()
    env, plane = envs.make_for(agent.config), whole(agent.config).plane
    places = plane.grid((3, 3)).reshape(-1, 2)
    monkeypatch.setattr(
        "dreamer_core.viz.fault_map.dreams_from",
        lambda agent, seen, plans, count: np.repeat(real_runs(env, plane, places, plans, agent.config)[:, :, None], count, 2),
    )
    assert (fault_map(agent, env, (3, 3), steps=10, plans=2, count=2).dream == 10).all(), "what truly happens holds to the end"


def test_data_are_counted_at_the_nearest_place_and_an_angle_wraps_around():
    plane = whole(small(env="Pendulum-v1")).plane
    grid = plane.grid((4, 4))
    visited = np.array([*grid.reshape(-1, 2), grid[1, 2] + 0.01, [np.pi - 1e-3, -8.0], [0.0, 99.0]])
    counts = density(plane, visited, (4, 4))
    expected = np.ones((4, 4))
    expected[1, 2] += 1
    assert np.isclose(grid[0, 0, 0], -np.pi)  # the other name of pi
    expected[0, 0] += 1
    assert np.array_equal(counts, expected), f"the data are counted as\n{counts}"


@pytest.mark.parametrize(("env", "words"), [("Reacher-v5", "a plane of fingertip x and fingertip y"), ("dreamer/Recall-v0", "no plane")])
def test_a_world_without_a_plane_that_can_be_entered_is_told(monkeypatch, env, words):
    agent = pendulum_agent()
    agent.config.env = env
    with pytest.raises(NoPlane, match=f"^{env} has {words}.*so there is no map of faults"):
        fault_map(agent, None, (3, 3))


def test_the_stored_data_are_those_that_the_stored_agent_was_trained_on():
    """Its first random steps, made again from its own settings."""
    config = Dreamer.load(ASSETS / f"{NAME}.safetensors").config
    stored = np.load(ASSETS / f"{NAME}_seen.npy").astype(np.float32)
    config.env_steps, config.evaluation.every, config.evaluation.episodes = 60, 60, 1
    trainer = Trainer(config, warn=lambda sentence: None)  # that nothing is learned here is meant
    list(trainer.run())
    seen = trainer.agent.replay.data["observation"][:60].numpy()
    assert np.allclose(stored[:60], seen, rtol=1e-3, atol=1e-3), "the stored data are not what the agent saw: make assets"
    assert len(stored) > 2000, "a row for every step"

"""The suite of worlds: what all promise, and each one's own dynamics by hand."""

import json
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from dreamer_core import envs, worlds
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import EnvError
from dreamer_core.worlds import changing_pendulum, distractors, point_mass, recall, sparse_pendulum

IDS = [f"dreamer/{name}-v0" for name in worlds.WORLDS]


def episode(env, seed, actions=None, options=None):
    """A whole episode under random actions, or these: observations, rewards, and the flags of the last step."""
    observation, _ = env.reset(seed=seed, options=options)
    rng = np.random.default_rng(seed)
    observations, rewards, terminated, truncated = [observation], [], False, False
    while not (terminated or truncated):
        action = rng.uniform(env.action_space.low, env.action_space.high) if actions is None else actions(observations)
        observation, reward, terminated, truncated, _ = env.step(np.asarray(action, env.action_space.dtype))
        observations.append(observation)
        rewards.append(reward)
    return np.array(observations), np.array(rewards), terminated, truncated


# --- what all worlds promise ----------------------------------------------------------------------


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_own_checker_finds_nothing(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the checker's advice to have actions in [-1, 1] apart: they are in physical units here
        warnings.filterwarnings("ignore", ".*For Box action spaces, we recommend.*")
        check_env(gym.make(name).unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_an_episode_keeps_to_its_spaces_and_ends(name):
    env = gym.make(name)
    space = env.observation_space
    assert space.dtype == np.float32 and np.isfinite(space.low).all() and np.isfinite(space.high).all(), f"{name}: bounds {space}"
    for seed in range(3):
        observations, rewards, terminated, truncated = episode(env, seed)
        outside = [row for row, observation in enumerate(observations) if observation not in space]
        assert not outside, f"{name}: the observations of rows {outside} lie outside {space}"
        assert np.isfinite(rewards).all()
        assert (terminated, truncated) == ((True, False) if "Recall" in name else (False, True)), f"{name} ends by {terminated, truncated}"
        assert "Recall" in name or len(rewards) == env.spec.max_episode_steps


@pytest.mark.parametrize("name", IDS)
def test_a_seed_decides_an_episode(name):
    first, again, other = (episode(gym.make(name), seed) for seed in (5, 5, 6))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1]), f"{name} differs under the same seed and actions"
    assert not np.array_equal(first[0][0], other[0][0]) or "Recall" in name, f"{name}: two seeds, one start"
    used = gym.make(name)
    episode(used, 9)
    assert np.array_equal(episode(used, 5)[0], first[0]), f"{name}: an earlier episode changes a later one"


@pytest.mark.parametrize("name", IDS)
def test_nothing_random_is_drawn_elsewhere(name):
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    episode(gym.make(name), 0)
    assert np.random.get_state()[1].tolist() == before, f"{name} draws from numpy's global generator"


@pytest.mark.parametrize("name", IDS)
def test_names_and_units_are_one_for_each_entry(name):
    env = gym.make(name)
    own = env.unwrapped
    assert len(own.names) == len(own.units) == env.observation_space.shape[0], f"{name}: {own.names} and {own.units}"
    assert len(set(own.names)) == len(own.names) and all(own.names), f"{name}: names {own.names}"


@pytest.mark.parametrize("name", IDS)
def test_the_command_finds_each_by_its_id_in_a_process_that_has_not_imported_it(name):
    code = f"from dreamer_core import envs, config; e = envs.make({name!r}, config.WrapperConfig()); print(e.reset(seed=1)[0].tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == gym.make(name).reset(seed=1)[0].tolist()


def test_gymnasium_finds_them_by_module_and_id():
    env = gym.make("dreamer_core.worlds:dreamer/PointMass-v0")
    assert env.spec.id == "dreamer/PointMass-v0" and isinstance(env.unwrapped, point_mass.PointMass)


def test_a_world_that_is_not_there():
    with pytest.raises(EnvError, match="^there is no environment 'dreamer/PointMess-v0': .*PointMess.* doesn't exist in namespace dreamer"):
        envs.make("dreamer/PointMess-v0", WrapperConfig())


# --- PointMass ------------------------------------------------------------------------------------


def go(position, velocity, push=(0, 0), steps=1):
    state = np.array([*position, *velocity], float)
    for _ in range(steps):
        state, reward = point_mass.move(state, np.array(push, float))
    return state, reward


def test_a_free_push_by_hand():
    """velocity 0.4 + 0.1 (2 - 1.25 * 0.4) = 0.55, so position -0.6 + 0.055; the goal is then 1.145 and 0.6 m away."""
    state, reward = go((-0.6, 0.0), (0.4, 0.0), push=(2, 0))
    assert state == pytest.approx([-0.545, 0, 0.55, 0])
    assert reward == pytest.approx(-np.hypot(1.145, 0.6))


@pytest.mark.parametrize(
    "position, velocity, after",
    [
        ((-0.2, 0.0), (1, 0.4), (-0.15, 0.035, 0, 0.35)),  # 0.875 to the right would end at -0.1125: within the wall
        ((0.2, 0.0), (-1, 0), (0.15, 0, 0, 0)),
        ((0.0, 0.35), (0.4, -1), (0.035, 0.3, 0.35, 0)),  # lands on its top
        ((-0.95, 0.0), (-1, 0), (-1, 0, 0, 0)),
        ((0.95, -0.95), (1, -1), (1, -1, 0, 0)),
        ((-0.2, 0.5), (1, 0), (-0.1125, 0.5, 0.875, 0)),  # above it the way is free
    ],
)
def test_what_stands_in_the_way_stops_the_velocity_across_it_alone(position, velocity, after):
    assert go(position, velocity)[0] == pytest.approx(after, abs=1e-12)


def test_nothing_gets_through_the_wall():
    """From every place and with every velocity, the next place is not in the wall, nor beyond it below its top."""
    rng = np.random.default_rng(0)
    state = rng.uniform([-1, -1, -1.6, -1.6], [-0.15, 1, 1.6, 1.6], (20_000, 4))
    new, _ = point_mass.move(state, rng.uniform(-2, 2, (20_000, 2)))
    inside = (abs(new[:, 0]) < point_mass.WALL) & (new[:, 1] < point_mass.WALL_TOP)
    beyond = (new[:, 0] >= point_mass.WALL) & (state[:, 1] < point_mass.WALL_TOP)
    assert not inside.any() and not beyond.any(), f"{inside.sum()} in the wall, {beyond.sum()} through it"


def test_many_points_move_as_one_does():
    rng = np.random.default_rng(1)
    states, pushes = rng.uniform(-1, 1, (2, 3, 4)), rng.uniform(-2, 2, (2, 3, 2))
    together, rewards = point_mass.move(states, pushes)
    for place in np.ndindex(2, 3):
        alone, reward = point_mass.move(states[place], pushes[place])
        assert np.array_equal(together[place], alone) and rewards[place] == reward


def test_the_way_to_the_goal_leads_round_the_wall():
    """Straight at the goal the point is held by the wall; over the top it arrives."""
    env = gym.make(IDS[0])

    def straight(observations):
        return 2 * np.sign(point_mass.GOAL - observations[-1][:2])

    def round_it(observations):
        x, y, vx, vy = observations[-1]
        aim = point_mass.GOAL if x > 0.15 else (0.3, 0.6) if y > 0.35 else (-0.3, 0.7)
        return np.clip(8 * (np.array(aim) - (x, y)) - 4 * np.array([vx, vy]), -2, 2)

    held, _, *_ = episode(env, 0, straight)
    there, rewards, *_ = episode(env, 0, round_it)
    assert held[-1][:2] == pytest.approx([-0.15, -0.6], abs=0.05) or held[-1][0] <= -0.15
    assert there[-1][:2] == pytest.approx(point_mass.GOAL, abs=0.05), f"ended at {there[-1]}"


# --- pendulums ------------------------------------------------------------------------------------


def same_torques(name, seed=3, **how):
    """An episode of a pendulum, and of Pendulum-v1 from the same seed under the same torques."""
    return episode(gym.make(name), seed, **how), episode(gym.make("Pendulum-v1"), seed)


def test_sparse_is_the_same_pendulum_with_rewards_of_0_and_1():
    (observations, rewards, *_), (theirs, *_) = same_torques("dreamer/SparsePendulum-v0")
    assert np.array_equal(observations, theirs), "not Pendulum's own motion"
    assert rewards.tolist() == [float(cosine >= np.cos(np.radians(15))) for cosine in observations[1:, 0]]


@pytest.mark.parametrize("angle, reward", [(0, 1), (0.25, 1), (-0.25, 1), (0.28, 0), (np.pi, 0), (2 * np.pi + 0.2, 1), (-2 * np.pi, 1)])
def test_upright_is_within_15_degrees(angle, reward):
    assert sparse_pendulum.upright(np.array(angle)) == reward


def test_flicker_hides_half_and_changes_nothing():
    (observations, rewards, *_), (theirs, their_rewards, *_) = same_torques("dreamer/FlickerPendulum-v0")
    blank = ~observations.any(1)
    assert np.array_equal(observations[~blank], theirs[~blank]) and np.array_equal(rewards, their_rewards), "not Pendulum's own motion"
    env = gym.make("dreamer/FlickerPendulum-v0")
    many = np.concatenate([~episode(env, seed)[0].any(1) for seed in range(10)])
    assert many.mean() == pytest.approx(0.5, abs=0.045), "the share of blanks"  # 4 standard errors of 2,010 coins
    assert np.mean(many[1:] == many[:-1]) == pytest.approx(0.5, abs=0.045), "blanks come in runs"
    first = [env.reset(seed=seed)[0].any() for seed in range(40)]
    assert 8 < sum(first) < 32, "the first observation flickers too"


def test_the_share_of_blanks_is_a_setting():
    assert not episode(gym.make("dreamer/FlickerPendulum-v0", blank=1.0), 0)[0].any()
    assert episode(gym.make("dreamer/FlickerPendulum-v0", blank=0.0), 0)[0].any(1).all()


def test_changing_is_pendulum_until_it_changes_and_another_after():
    """Twice the length at half the mass: both accelerations are halved."""
    before, theirs = same_torques("dreamer/ChangingPendulum-v0")
    assert np.array_equal(before[0], theirs[0]) and np.array_equal(before[1], theirs[1]), "not Pendulum before the change"
    env = gym.make("dreamer/ChangingPendulum-v0", after=10).unwrapped
    env.reset(seed=0, options={"age": 7})
    found = []
    for _ in range(6):
        env.state = np.array([0.5, 0.0])
        env.step(np.array([1.0], np.float32))
        found.append(env.state[1])
    first, second = (0.05 * (15 * np.sin(0.5) + 3), 0.05 * (7.5 * np.sin(0.5) + 1.5))
    assert found == pytest.approx([first] * 3 + [second] * 3), "velocities after one step, the change at the tenth of its life"


def test_a_changed_pendulums_age_comes_with_its_reset():
    env = gym.make("dreamer/ChangingPendulum-v0")
    old, young = (episode(env, 4, options={"age": age})[0] for age in (1500, 1299))
    assert np.array_equal(young, episode(gym.make("Pendulum-v1"), 4)[0]), "changed before its 1,500th step"
    assert not np.array_equal(old, young)
    assert np.array_equal(episode(env, 4)[0], young), "an age from an earlier episode was kept"
    assert (changing_pendulum.LENGTH, changing_pendulum.MASS) == (2, 0.5)


def test_the_noise_of_distractors_is_stationary_bounded_and_forgotten():
    (observations, rewards, *_), (theirs, their_rewards, *_) = same_torques("dreamer/Distractors-v0")
    assert np.array_equal(observations[:, :3], theirs) and np.array_equal(rewards, their_rewards), "not Pendulum's own motion"
    env = gym.make("dreamer/Distractors-v0", distractors=50)
    noise = np.stack([episode(env, seed)[0][:, 3:] for seed in range(10)])  # (10, 201, 50)
    expected = distractors.BOUND * np.sqrt(0.1 / 1.9 / 3)  # of n' = 0.9 n + 0.1 * 5 u, u uniform
    assert noise[:, 0].std() == pytest.approx(expected, rel=0.1), "spread at the start"
    assert noise[:, -1].std() == pytest.approx(expected, rel=0.1), "spread at the end"
    assert abs(noise).max() <= distractors.BOUND
    for steps in (1, 5):
        got = np.mean(noise[:, steps:] * noise[:, :-steps]) / np.mean(noise**2)
        assert got == pytest.approx(0.9**steps, abs=0.03), f"correlation after {steps} steps"
    assert abs(np.corrcoef(noise.reshape(-1, 50).T) - np.eye(50)).max() < 0.35, "two channels go together"


# --- Recall ---------------------------------------------------------------------------------------


def test_recall_pays_the_cue_at_the_question_alone():
    env = gym.make("dreamer/Recall-v0")
    lengths, waits = set(), set()
    for seed in range(300):
        observations, rewards, terminated, truncated = episode(env, seed, lambda seen: [0.5])
        cue, asked = observations[0, 0], np.flatnonzero(observations[:, 1])
        assert observations[:3, 0].tolist() == [cue] * 3 and not observations[3:, 0].any() and abs(cue) == 1
        assert asked.tolist() == list(range(asked[0], asked[0] + 5)), f"the question is asked in rows {asked}"
        assert rewards.tolist() == [0.0] * asked[0] + [0.5 * cue] * 5, "what an action is paid that leaves each row"
        assert terminated and not truncated and len(rewards) == asked[-1] + 1
        lengths.add(len(rewards))
        waits.add(asked[0] - 2)
    assert waits == set(range(20, 41)), f"rows from the cue's last to the question's first: {sorted(waits)}"
    assert (min(lengths), max(lengths)) == (27, 47)


def test_recall_is_worth_5_to_a_memory_and_nothing_on_average_without():
    env = gym.make("dreamer/Recall-v0")
    assert {episode(env, seed, lambda seen: [seen[0][0]])[1].sum() for seed in range(20)} == {5.0}
    assert np.mean([episode(env, seed, lambda seen: [1.0])[1].sum() for seed in range(300)]) == pytest.approx(0, abs=1.2)
    assert recall.SHOWN == 3

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
from dreamer_core.worlds import changing_pendulum, distractors, point_mass, recall, sparse_pendulum, water_tanks

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
    assert (
        space.dtype == (np.uint8 if "Pixel" in name else np.float32) and np.isfinite(space.low).all() and np.isfinite(space.high).all()
    ), f"{name}: bounds {space}"
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
    entries = 0 if "Pixel" in name else env.observation_space.shape[0]  # a pixel has no name
    assert len(own.names) == len(own.units) == entries, f"{name}: {own.names} and {own.units}"
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


# --- WaterTanks -----------------------------------------------------------------------------------


def run(levels, pump, steps=1, wanted=10.0, **how):
    """Levels after some steps under one flow, and the last reward."""
    levels = np.array(levels, float)
    for _ in range(steps):
        levels, reward = water_tanks.move(levels, wanted, np.array([pump], float), **how)
    return levels, reward


@pytest.mark.parametrize(
    "levels, pump, after, reward",
    [
        ((16, 9), 48, (17, 9.5), -0.5),  # 48 come and 32 go: + 16/16; 32 come and 24 go: + 8/16
        ((16, 16), 32, (16, 16), -6),  # at rest
        ((4, 9), 0, (3, 8.5), -1.5),
        ((0.04, 4), 16, (1, 3.04), -6.96),  # 1.6 would go in a second, 0.64 are there; 0.64 come and 16 go
        ((25, 25), 64, (25, 25), -15),  # 24 spill
        ((24.01, 0), 64, (25, 2.45), -7.55),  # to 25.56 but for the rim
        ((0, 0), 0, (0, 0), -10),
    ],
)
def test_tanks_by_hand(levels, pump, after, reward):
    found, paid = run(levels, pump)
    assert found == pytest.approx(after, abs=1e-12), f"levels {found} from {levels} under {pump} cm³/s"
    assert paid == pytest.approx(reward), "the distance of the lower level after the step from the wanted one"


def test_a_tank_drains_as_torricelli_says():
    """Without a pump the root of the level falls by 8 / (2 * 16) each second: from 16 cm it is empty after 16 s."""
    half, empty = (run((16, 0), 0, steps, seconds=0.001)[0][0] for steps in (8_000, 16_000))
    assert half == pytest.approx(4, abs=0.005) and empty == pytest.approx(0, abs=1e-4)
    coarse = run((16, 0), 0, 8)[0][0]
    assert coarse == pytest.approx(4, abs=0.5), f"{coarse} cm after 8 steps of a second, where 4 are left"
    assert water_tanks.HOLE == pytest.approx(0.18 * np.sqrt(2 * 981), rel=0.01), "not a hole of 0.18 cm²"


@pytest.mark.parametrize("wanted", [5.0, 12.0, 20.0])
def test_every_wanted_level_is_held_by_some_flow(wanted):
    rest = 8 * wanted**0.5
    assert rest < water_tanks.MAX_PUMP
    for start in ((0, 0), (25, 25), (0, 20)):
        levels, reward = run(start, rest, 400, wanted)
        assert levels == pytest.approx([wanted, wanted], abs=1e-3) and reward == pytest.approx(0, abs=1e-3), f"from {start} to {levels}"


def test_the_lower_level_follows_the_pump_late():
    """Nothing after a step, and two thirds of a small change after 20 steps low down and 40 high up."""
    late = {}
    for wanted in (5.0, 20.0):
        levels, more = np.array([wanted, wanted]), 1.01 * 8 * wanted**0.5  # which holds 2 % more
        assert run(levels, more)[0][1] == pytest.approx(wanted), "the pump is felt in its own step"
        late[wanted] = next(steps for steps in range(1, 200) if run(levels, more, steps)[0][1] > wanted * (1 + 0.0201 * 2 / 3))
    assert late == {5.0: pytest.approx(20, abs=2), 20.0: pytest.approx(40, abs=2)}, f"steps to two thirds, by level: {late}"


def test_no_water_is_made_or_lost_between_the_tanks():
    rng = np.random.default_rng(0)
    levels, pump = rng.uniform(0, 20, (3, 4, 2)), rng.uniform(0, 64, (3, 4, 1))
    together, rewards = water_tanks.move(levels, 10.0, pump)
    for place in np.ndindex(3, 4):
        alone, reward = water_tanks.move(levels[place], 10.0, pump[place])
        assert np.array_equal(together[place], alone) and rewards[place] == reward, "many tanks do not fill as one does"
    gone = np.minimum(0.5 * np.sqrt(levels[..., 1]), levels[..., 1])
    assert together.sum(-1) == pytest.approx(levels.sum(-1) + pump[..., 0] / 16 - gone)


def test_the_wanted_level_stays_and_is_drawn_with_the_start():
    env = gym.make("dreamer/WaterTanks-v0")
    starts = []
    for seed in range(200):
        observations, rewards, *_ = episode(env, seed)
        assert (observations[:, 2] == observations[0, 2]).all(), "the wanted level changes within an episode"
        assert rewards == pytest.approx(-abs(observations[1:, 1] - observations[1:, 2]), abs=1e-5)
        starts.append(observations[0])
    low, high = np.min(starts, 0), np.max(starts, 0)
    assert low == pytest.approx([0, 0, 5], abs=0.5) and high == pytest.approx([20, 20, 20], abs=0.5), f"starts from {low} to {high}"
    assert abs(np.corrcoef(np.transpose(starts)) - np.eye(3)).max() < 0.25, "levels and the wanted one are drawn together"


def test_a_flow_beyond_what_the_pump_can_do_is_what_it_can():
    env = gym.make("dreamer/WaterTanks-v0").unwrapped
    for asked, given in ((100, 64), (-5, 0)):
        after = []
        for flow in (asked, given):
            env.reset(seed=0)
            after.append(env.step(np.array([flow], np.float32))[0].tolist())
        assert after[0] == after[1], f"{asked} cm³/s leads to {after[0]}, {given} to {after[1]}"


def foreseeing(seen):
    """A controller made by hand: the flow after which the upper tank lets the lower one be as wanted in two steps."""
    upper, lower, wanted = map(float, seen[-1])
    then = lower + 0.5 * (upper**0.5 - lower**0.5)
    aim = max(2 * (wanted - then) + then**0.5, 0) ** 2
    return np.clip([16 * (aim - upper) + 8 * upper**0.5], 0, 64)


def test_a_pump_that_looks_at_the_lower_level_alone_overshoots():
    """Full until the level is reached, then none: the lower tank goes on filling, again and again."""
    env = gym.make("dreamer/WaterTanks-v0")
    seen, *_ = episode(env, 1, lambda seen: [64 * (seen[-1][1] < seen[-1][2])])
    assert (seen[30:, 1] - seen[30:, 2]).max() > 1.5 and (seen[30:, 1] - seen[30:, 2]).min() < 0, "no overshoot"
    ahead, *_ = episode(env, 1, foreseeing)
    assert abs(ahead[30:, 1] - ahead[30:, 2]).max() < 0.1, "the upper level is not enough to know what comes"

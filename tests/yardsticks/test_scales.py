"""Random and best returns: the stored numbers against short computations, and what a score is."""

import re
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from dreamer_core import worlds
from dreamer_core.config import EvaluationConfig, WrapperConfig
from dreamer_core.errors import ConfigError
from dreamer_core.worlds import changing_pendulum
from dreamer_core.yardsticks import ceiling, scales

COARSE = dict(shape=(120, 81), torques=11)
FEW = range(20_000, 20_010)


def test_a_score_is_the_share_of_the_way_from_random_to_best():
    scale = scales.Scale(-1200.0, 5.0, -200.0, 1.0, "by hand")
    assert scale.score(np.array([-1200, -700, -200, -100])).tolist() == [0, 0.5, 1, 1.1]
    with pytest.raises(ConfigError, match=r"^no best return is known for this world \(not known\): give a best return of your own$"):
        scale._replace(best=None, how="not known").score(0.0)


def test_every_world_of_the_suite_has_a_stored_scale_of_its_own():
    stored = scales.read()
    assert stored.keys() == scales.BEST.keys()
    for name in (f"dreamer/{world}-v0" for world in worlds.WORLDS):
        assert stored[name].best > stored[name].random + 10 * stored[name].random_error, f"{name}: {stored[name]}"
        assert stored[name].slack < 0.05 * (stored[name].best - stored[name].random), f"{name} is not known well: {stored[name]}"


def test_the_readmes_table_of_worlds_is_what_is_stored():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(dreamer/\S+)` \| .* \| (\S+) \| (\S+)(?: ± (\S+))? \|$", readme, re.MULTILINE)
    assert [name for name, *_ in rows] == [f"dreamer/{world}-v0" for world in worlds.WORLDS]
    stored = scales.read()
    for name, *told in rows:
        scale = stored[name]
        random, best, slack = (float(number.replace(",", "").replace("−", "-")) for number in [*told[:2], told[2] or "0"])
        assert abs(random - scale.random) <= 0.05, f"{name}: {random} at random in the README, {scale.random:.3f} stored"
        assert (best, slack) == (round(scale.best, 1), round(scale.slack, 1)), f"{name}: {best} ± {slack} in the README, stored {scale}"


def test_scales_are_measured_where_agents_are():
    config = EvaluationConfig()
    assert list(scales.SEEDS) == list(range(config.seed, config.seed + config.episodes))


@pytest.mark.parametrize("name", [name for name in scales.BEST if "/" in name or name == "Pendulum-v1"])
def test_a_few_random_episodes_agree_with_the_stored_mean(name):
    options = scales.AFTER if "Changing" in name else None
    returns = scales.random_returns(name, range(20_000, 20_050, 5), repeats=4, options=options)
    error = returns.mean(1).std(ddof=1) / 10**0.5  # 10 starts, which differ more than chance within one does
    stored = scales.read()[name].random
    assert abs(returns.mean() - stored) < 4 * error + 0.5, f"{returns.mean():.2f} ± {error:.2f}, stored {stored}"


def test_random_episodes_repeat_themselves_and_differ_among_themselves():
    one, again = (scales.random_returns("dreamer/PointMass-v0", FEW[:2], repeats=2) for _ in range(2))
    assert np.array_equal(one, again) and len(np.unique(one)) == 4


def test_the_steps_of_other_pendulums_are_those_of_their_worlds():
    rng = np.random.default_rng(0)
    for name, step, options in (
        ("dreamer/SparsePendulum-v0", scales.sparse, None),
        ("dreamer/ChangingPendulum-v0", scales.changed, scales.AFTER),
    ):
        env = gym.make(name).unwrapped
        env.reset(seed=0, options=options)
        for _ in range(300):
            state, torque = rng.uniform([-3, -8], [3, 8]), rng.uniform(-2, 2)
            env.state = state.copy()
            _, reward, *_ = env.step(np.array([torque]))
            angle, velocity, ours = step(*state, torque)
            assert np.allclose([angle, velocity], env.state, atol=1e-9) and ours == pytest.approx(reward, abs=1e-9), f"{name} from {state}"


@pytest.mark.parametrize(
    "name, step, options",
    [
        ("dreamer/SparsePendulum-v0", scales.sparse, None),
        ("dreamer/ChangingPendulum-v0", scales.changed, scales.AFTER),
        ("dreamer/Distractors-v0", ceiling.dynamics, None),
    ],
)
def test_a_coarse_grid_comes_near_the_stored_best(name, step, options):
    """The same starts, a ninth of the grid: a worse controller, but not by much."""
    best = scales.by_grid(name, step, options, **COARSE)
    stored = scales.read()[name]
    assert best.best == pytest.approx(stored.best, abs=0.03 * (stored.best - stored.random)), f"{best}, stored {stored}"


def test_coarse_grids_come_near_the_stored_best_of_the_tanks():
    """All starts, a sixty-fourth of each grid."""
    best, stored = scales.water_tanks(lines=1), scales.read()["dreamer/WaterTanks-v0"]
    assert best.best == pytest.approx(stored.best, abs=0.01 * (stored.best - stored.random)), f"{best}, stored {stored}"


def test_one_sight_of_a_flickering_pendulum_is_enough():
    stored, seeing = scales.read()["dreamer/FlickerPendulum-v0"], scales.read()["Pendulum-v1"]
    assert stored.best <= seeing.best and stored.best + stored.slack == pytest.approx(seeing.best, abs=0.01)
    coarse = scales.flickering(**COARSE)
    assert coarse.best == pytest.approx(stored.best, abs=8) and coarse.slack > 0


def test_the_controller_looks_ahead_with_the_step_of_its_own_world():
    values, asked = ceiling.solve(shape=(24, 21), torques=3), []
    ceiling.best_returns([5], values, step=lambda *state: asked.append(np.shape(state[2])) or scales.sparse(*state))
    assert len(asked) == 200, f"its step was asked {len(asked)} times in 200 steps"


def test_before_the_first_sight_no_torque_is_applied(monkeypatch):
    """In a world that stays blank, the best controller's return is that of letting it swing."""
    values = ceiling.solve(shape=(24, 21), torques=3)
    gym.register("Blank-v0", "dreamer_core.worlds.flicker_pendulum:FlickerPendulum", max_episode_steps=200, kwargs={"blank": 1.0})
    try:
        found = ceiling.best_returns([5], values, "Blank-v0")
    finally:
        del gym.registry["Blank-v0"]
    env = gym.make("Pendulum-v1")
    env.reset(seed=5)
    assert found == pytest.approx(sum(env.step(np.zeros(1, np.float32))[1] for _ in range(200)))


def test_the_changed_pendulum_is_the_one_measured():
    assert scales.AFTER["age"] >= gym.make("dreamer/ChangingPendulum-v0").unwrapped.after
    assert scales.changed.keywords == {"mass": changing_pendulum.MASS, "length": changing_pendulum.LENGTH}


def test_the_command_stores_what_it_measures_and_keeps_the_rest(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(scales, "FILE", tmp_path / "scales.json")
    monkeypatch.setattr(scales, "SEEDS", FEW[:2])
    monkeypatch.setattr(scales, "random_returns", lambda name, options: np.array([[0.0, 1.0], [2.0, 3.0]]))
    scales.main(["dreamer/Recall-v0"])
    scales.main(["Reacher-v5"])
    assert scales.read() == {
        "dreamer/Recall-v0": scales.Scale(1.5, 0.5, 5.0, 0.0, "by hand: the cue at every question"),
        "Reacher-v5": scales.Scale(1.5, 0.5, None, None, "not known"),
    }

    def missing(name, options):
        raise gym.error.DependencyNotInstalled("no joints")

    monkeypatch.setattr(scales, "random_returns", missing)
    scales.main(["Reacher-v5"])
    assert "Reacher-v5 is left as it is: no joints" in capsys.readouterr().out and scales.read()["Reacher-v5"].random == 1.5


@pytest.mark.parametrize("name", ["--help", "PointMass", "dreamer/PointMess-v0"])
def test_a_world_without_a_scale_is_named_with_those_that_have_one(name, monkeypatch, tmp_path):
    monkeypatch.setattr(scales, "FILE", tmp_path / "scales.json")
    with pytest.raises(ConfigError, match=f"^no scale is computed for '{name}': name worlds among Pendulum-v1, dreamer/PointMass-v0"):
        scales.main(["dreamer/Recall-v0", name])
    assert not scales.FILE.exists()


def test_numbers_that_cannot_be_stored_are_told_all_the_same(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(scales, "FILE", tmp_path)  # a folder
    monkeypatch.setattr(scales, "read", dict)
    monkeypatch.setattr(scales, "random_returns", lambda name, options: np.zeros((1, 2)))
    with pytest.raises(ConfigError, match="cannot be written .*, so nothing was stored: the numbers are those above$"):
        scales.main(["dreamer/Recall-v0"])
    assert "dreamer/Recall-v0 Scale(random=0.0" in capsys.readouterr().out


def test_every_wrapper_was_thought_of():
    """Of `WrapperConfig` two settings change what can be reached, and three are units alone."""
    plain, pendulum = WrapperConfig(), scales.read()["Pendulum-v1"]
    changed = dict(hide=(2,), action_repeat=2, observation_scale=2.0, reward_scale=2.0, reward_offset=1.0)
    assert changed.keys() == plain.__dataclass_fields__.keys(), "does the new setting change what can be reached? Then `doubts` must say so"
    numbers = {key: len(scales.doubts("Pendulum-v1", pendulum, WrapperConfig(**{key: changed[key]}), scales.SEEDS, 0)) for key in changed}
    assert numbers == dict(hide=1, action_repeat=2, observation_scale=0, reward_scale=0, reward_offset=0)


@pytest.mark.parametrize("name", scales.CHANGES)
def test_a_world_that_changes_is_the_measured_one_from_its_change_on(name):
    env = gym.make(name)
    for age, same in ((scales.CHANGES[name], True), (scales.CHANGES[name] - 1, False)):
        pendulums = []
        for told in (age, scales.AFTER["age"]):
            env.reset(seed=0, options={"age": told})
            pendulums.append((env.unwrapped.l, env.unwrapped.m))
        assert (pendulums[0] == pendulums[1]) is same, f"at age {age}: {pendulums}"


def test_no_doubt_where_nothing_is_stored():
    scale = scales.Scale(-2.0, 0.0, 0.0, None, "the study says so")
    assert scales.doubts("own/World-v0", scale, WrapperConfig(hide=(0,), action_repeat=2), range(3), 0) == []

"""Stable-baselines3's SAC as an arm."""

import importlib.util
import json

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from small_studies import BUOY, make, small

from dreamer_core import config as configs
from dreamer_core import envs
from dreamer_core.errors import ConfigError
from dreamer_core.study.job import begun
from dreamer_core.study.peer import Aging, PeerConfig, Policy
from dreamer_core.trainer import evaluate

needed = pytest.mark.skipif(importlib.util.find_spec("stable_baselines3") is None, reason="the extra bench is not installed")
PEER = {"agent": "sb3_sac", "learning_starts": 30, "batch_size": 8, "buffer_size": 200}


class Pusher:
    """A model in the library's manner: pushes with the number it was given, and harder with noise."""

    def __init__(self, push):
        self.push = push

    def predict(self, observation, deterministic):
        assert isinstance(observation, np.ndarray), "the library reads arrays"
        return np.full((len(observation), 1), self.push if deterministic else 2 * self.push, np.float32), None


def test_a_model_of_the_library_is_evaluated_like_an_agent():
    environments = [envs.make("Pendulum-v1", configs.WrapperConfig()) for _ in range(2)]
    returns = evaluate(Policy(Pusher(0.25)), environments, seed=5).returns
    expected = []
    for seed in (5, 6):
        env = envs.make("Pendulum-v1", configs.WrapperConfig())
        env.reset(seed=seed)
        expected.append(sum(env.step(np.array([0.25], np.float32))[1] for _ in range(200)))
    assert returns == pytest.approx(expected)
    carry = Policy(Pusher(0.25)).policy(Policy(None).initial(1), torch.zeros(1, 2), torch.ones(1), explore=True)
    assert carry.action.tolist() == [[0.5]]


class Watch(gym.Env):
    """A world that ages, and writes down what it is told at each reset."""

    ages = True
    observation_space = action_space = Box(-1, 1, (1,))

    def __init__(self):
        self.told = []

    def reset(self, *, seed=None, options=None):
        self.told.append(options)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, False, False, {}


def test_a_world_that_ages_is_told_the_steps_taken_in_it():
    env = Aging(Watch())
    env.reset()
    for _ in range(3):
        env.step(np.zeros(1))
    env.reset()
    assert env.unwrapped.told == [{"age": 0}, {"age": 3}]


def test_without_the_library_the_arm_fails_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "stable_baselines3", None)
    results = make(small(arms={"peer": PEER}, seeds=[3]), tmp_path)
    assert results.runs[0].state == ("the agent sb3_sac is stable-baselines3's, which is not installed: pip install -e '.[bench]'")


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="^the setting gamma is 2: input should be less than or equal to 1"):
        PeerConfig.from_dict({"gamma": 2})


@needed
def test_its_runs_lie_in_ordinary_folders_and_repeat_themselves(tmp_path):
    made = [make(small(arms={"peer": PEER}, seeds=[3]), tmp_path / name) for name in "ab"]
    assert [results.unfinished() for results in made] == [[], []]
    assert made[0].runs[0].curve[:, 0].tolist() == [20, 40, 60, 80]
    one, other = (results.runs[0].curve[:, :2] for results in made)
    assert np.array_equal(one, other), "the same seed gave other numbers"
    folder = tmp_path / "a/runs/buoy/peer/3"
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["batch_size"] == 8
    assert (folder / "checkpoint/00000080.safetensors").exists()


@needed
def test_more_steps_begin_it_again_with_the_same_first_steps(tmp_path):
    before = make(small(arms={"peer": PEER}, seeds=[3], worlds=[BUOY | {"env_steps": 40}]), tmp_path).runs[0].curve
    after = make(small(arms={"peer": PEER}, seeds=[3]), tmp_path).runs[0].curve
    assert len(after) == 4 and np.array_equal(after[:2, :2], before[:, :2])


@needed
def test_a_run_whose_world_cannot_be_made_was_never_begun(tmp_path):
    results = make(small(arms={"peer": PEER}, worlds=[BUOY | {"env": "runs:Boy-v0"}], seeds=[3]), tmp_path)
    assert results.runs[0].state.startswith("there is no environment 'runs:Boy-v0'")
    assert not begun(tmp_path, "buoy", "peer", 3), "a run that made no step counts as begun, so that its world cannot be corrected"

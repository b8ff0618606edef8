"""Numbers that the notebooks' prose quotes: computed again here, and looked for in the words as they stand."""

import json

import pytest

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.viz.branches import recorded
from dreamer_core.viz.dream import play
from notebooks.books import PATHS, ROOT, prose

CURVES = json.loads((ROOT / "notebooks" / "assets" / "bench.json").read_text())["curves"]
WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def reached(name, mark):
    """For each seed the first evaluated step at or above `mark`, or infinity."""
    steps = CURVES[name]["env_steps"]
    return [next((step for step, value in zip(steps, run) if value >= mark), float("inf")) for run in CURVES[name]["mean"]]


def minus(value):
    return f"−{-round(value)}"


def test_notebook_09_quotes_the_benchmark():
    text = prose(PATHS[9])
    free = reached("pendulum/sac/1", -200) + reached("pendulum/sb3/1", -200)
    assert f"Model-free SAC needs {min(free):,} to {max(free):,} steps for this task" in text
    early = sum(step <= 600 for step in reached("pendulum/dropin/1", -200))
    assert f"{WORDS[early]} of the ten stored seeds of `dropin` reach −200 by step 600" in text
    assert min(map(min, CURVES["pendulum/dropin/1"]["mean"])) >= -1300 and "none of the benchmark's ten seeds fell below −1300" in text
    ours = CURVES["pendulum/sac/1"]
    last = [run[-1] for run in ours["mean"]]
    assert f"{minus(max(last))} to {minus(min(last))} in all ten seeds" in text
    at = [run[ours["env_steps"].index(1400)] for run in ours["mean"]]
    assert f"stand between {minus(min(at))} and {minus(max(at))} at step 1400" in text


def test_notebook_00_counts_dreams_that_tip_over():
    """The stored agent's film, dreamt 400 times: tipped over is more than a right angle away from the real rod, which stands."""
    agent = Dreamer.load(ROOT / "notebooks" / "assets" / "pendulum.safetensors")
    episode = play(agent, envs.make(agent.config.env, agent.config.wrappers), seed=20_003)
    seen = recorded(agent, episode, start=8, steps=60, count=400)
    real = episode.observation[8:69]
    apart = (seen.dreams.observation[..., :2] * real[:, :2]).sum(-1) < 0  # the cosine of the angle between the rods, up to a length
    tipped = apart.any(1)
    seconds = apart[tipped].argmax(1).mean() / 20
    assert tipped.mean() == pytest.approx(0.9, abs=0.05) and seconds == pytest.approx(1.5, abs=0.15)
    assert "of 400 that we drew, nine in ten tipped over, on average after a second and a half" in prose(PATHS[0])

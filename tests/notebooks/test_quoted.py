"""Numbers that prose quotes from the stored benchmark: computed again here, and looked for in the words as they stand."""

import json

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

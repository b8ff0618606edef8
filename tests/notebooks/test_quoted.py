"""Numbers that the notebooks' prose quotes: computed again here, and looked for in the words as they stand."""

import json
from statistics import median

import pytest

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.viz.branches import recorded
from dreamer_core.viz.dream import play
from notebooks.books import PATHS, ROOT, code_cells, prose

ASSETS = ROOT / "notebooks" / "assets"
CURVES = json.loads((ASSETS / "bench.json").read_text(encoding="utf-8"))["curves"]
ASIDES = json.loads((ASSETS / "asides.json").read_text(encoding="utf-8"))
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
    agent = Dreamer.load(ASSETS / "pendulum.safetensors")
    episode = play(agent, envs.make(agent.config.env, agent.config.wrappers), seed=20_003)
    seen = recorded(agent, episode, start=8, steps=60, count=400)
    real = episode.observation[8:69]
    apart = (seen.dreams.observation[..., :2] * real[:, :2]).sum(-1) < 0  # the cosine of the angle between the rods, up to a length
    tipped = apart.any(1)
    seconds = apart[tipped].argmax(1).mean() / 20
    assert tipped.mean() == pytest.approx(0.9, abs=0.05) and seconds == pytest.approx(1.5, abs=0.15)
    assert "of 400 that we drew, nine in ten tipped over, on average after a second and a half" in prose(PATHS[0])


def test_notebook_05_quotes_the_probe_of_six_seeds():
    text = prose(PATHS[5])
    for name, words in (
        ("z cut", "found {:.2f} in the median with the cut ({:.2f} to {:.2f})"),
        ("z not cut", "{:.2f} without it ({:.2f} to {:.2f})"),
    ):
        found = [row[name] for row in ASIDES["probe"].values()]
        assert len(found) == 6 and words.format(median(found), min(found), max(found)) in text
    assert sum(row["z cut"] < row["z not cut"] for row in ASIDES["probe"].values()) >= 4 and "worse more often than not" in text


def test_notebook_08_quotes_the_race_in_six_worlds():
    text, worlds = prose(PATHS[8]), ASIDES["race"]
    five = [worlds[str(number)] for number in range(1, 6)]

    def row(learner, mark):
        return ", ".join(minus(world[learner]["0"][mark]) for world in five)

    for learner, marks in (("A", (0, 1)), ("B", (0,)), ("C", (0, 1))):
        for mark in marks:
            assert f" | {row(learner, mark)} |" in text
    assert all(world["C"]["0"][0] < world["A"]["0"][0] - 500 for world in five)  # far behind after 200 rounds
    figure = worlds["0"]
    late = [minus(run[1]) for run in figure["C"].values()]
    assert f"its two seeds stood at {' and '.join(late)} after 400 rounds; of the five others none came as near" in text
    assert all(run["C"]["0"][0] < run["C"]["0"][1] < min(run[1] for run in figure["C"].values()) for run in five)
    short = [minus(run[0]) for run in figure["C, dreams of 5"].values()]
    assert f"C came to {short[0]}, {short[1]} and {short[2]} in three seeds (300 rounds)" in text
    assert f"{WORDS[sum(world['B']['0'][0] < -300 for world in five)]} of its five was not there after 300 rounds" in text
    large = [minus(run[0]) for run in figure["C, all dreams"].values()]
    assert f"C stood at {' and '.join(large)} in two seeds after 240 rounds" in text
    mixed, plain = ([minus(run[0]) for run in figure[name].values()] for name in ("C, lambda 0.95", "C"))
    assert f"{mixed[0]}, {mixed[1]} and {mixed[2]} in 200 rounds, where C stood at {' and '.join(plain)}" in text


def test_notebook_08_shows_the_race_that_is_run_again():
    """The page's own world and seeds, to the point: what the script repeats is what the reader sees."""
    shown = "".join(output.get("text", "") for cell in code_cells(PATHS[8]) for output in cell.outputs)
    for learner in "ABC":
        ends = ", ".join(str(run[0]) for run in ASIDES["race"]["0"][learner].values())
        assert f"seed by seed: {ends}\n" in shown


def test_notebook_02_tells_what_its_proposals_do():
    text = prose(PATHS[2])

    def tried(start):
        """The runs of one proposal, or of the notebook as it is."""
        return [run for key, run in ASIDES["sac"].items() if key.startswith(start)]

    plain, raw, fast, single, greedy, ended = map(tried, ("as it is/", "1, ", "2, ", "3, ", "4, ", "5, "))
    assert all(len(runs) == 3 for runs in (plain, raw, fast, single, greedy, ended))

    def arrived(run):
        """Number of the first evaluation at -200 or better."""
        return next((number for number, value in enumerate(run["returns"]) if value >= -200), 99)

    assert all(run["returns"][-1] > -155 for run in raw + single + greedy)
    assert all(-3.6 < run["entropy"] < -2.9 for run in raw) and all(-1.1 < run["entropy"] < -0.7 for run in plain)
    assert "1 learned all the same, with an entropy near −3 instead of −1" in text
    factors = [run["lowest_q"] / usual["lowest_q"] for run, usual in zip(fast, plain)]
    assert -700 < max(max(run["returns"]) for run in fast) < -600 and (round(min(factors)), round(max(factors))) == (3, 10)
    assert "Every run stayed below −600, and $Q$ fell three to ten times as low" in text
    assert sum(arrived(run) > max(map(arrived, plain)) for run in greedy) == 2 and "4 learned too, in two of three seeds late." in text
    lowest, highest = (minus(pick(run["entropy"] for run in greedy)) for pick in (min, max))
    assert f"Its entropy fell to between {highest} and {lowest}" in text
    assert all(arrived(run) > max(map(arrived, plain)) for run in ended)
    last = [run["returns"][-1] for run in ended]
    assert f"5 was slower with every seed, and stood between {minus(max(last))} and {minus(min(last))} at the end" in text


def test_units_decide_on_inverted_pendulum():
    full = {name: sum(run[-1] == 1000 for run in CURVES[f"inverted/{name}/1"]["mean"]) for name in ("dropin", "raw units")}
    assert full == {"dropin": 8, "raw units": 0} and len(CURVES["inverted/raw units/1"]["mean"]) == 10
    assert CURVES["inverted/dropin/1"]["env_steps"][-1] == 2000
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert "eight of ten seeds reach its limit at step 2,000, and in raw units none" in readme
    assert "at step 2,000 eight of ten seeds hold the pole for a whole episode, and in raw units none does" in prose(PATHS[5])

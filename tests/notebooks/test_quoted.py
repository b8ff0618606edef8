"""Numbers that the notebooks' prose quotes: computed again here, and looked for in the words as they stand."""

import json
from functools import cache
from statistics import median

import gymnasium as gym
import numpy as np
import pytest
import torch

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import Config, preset
from dreamer_core.returns import alive_weight
from dreamer_core.viz.branches import recorded
from dreamer_core.viz.dream import act_out, play
from dreamer_core.viz.fan import fan
from dreamer_core.viz.pendulum import angle
from dreamer_core.yardsticks import ceiling
from notebooks.books import PATHS, ROOT, code_cells, prose

ASSETS = ROOT / "notebooks" / "assets"
BENCH = json.loads((ASSETS / "bench.json").read_text(encoding="utf-8"))
CURVES, BEST = BENCH["curves"], BENCH["ceiling"]
ASIDES = json.loads((ASSETS / "asides.json").read_text(encoding="utf-8"))
STUDY = json.loads((ASSETS / "staleness.json").read_text(encoding="utf-8"))
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
    ours = CURVES["pendulum/sac/1"]
    last = [run[-1] for run in ours["mean"]]
    assert f"{minus(max(last))} to {minus(min(last))} in all ten seeds" in text
    at = [run[ours["env_steps"].index(1400)] for run in ours["mean"]]
    assert f"stand between {minus(min(at))} and {minus(max(at))} at step 1400" in text


def test_notebook_09_states_the_settings():
    text, v1 = prose(PATHS[9]), Config()
    model, schedule, dreams = v1.model, v1.schedule, v1.imagination
    assert f"One environment step is 1/{round(1 / ceiling.DT)} of a second" in text
    assert f"the agent's lesson {dreams.starts} short windows of {dreams.start_rows} rows" in text
    assert f"Every {schedule.every} real steps there is a *round*" in text
    agent = Dreamer(v1, 3, 1)
    size = sum(weight.numel() for half in (agent.model, agent.sac.actor, agent.sac.q) for weight in half.parameters())
    assert f"About {round(size, -4):,} numbers" in text
    ours, rest = f"{model.kl_balance:g}", f"{1 - model.kl_balance:.1g}"
    assert f"*balanced* ({ours} of its gradient moves the prior, {rest} the posterior)" in text
    assert f"ignored below the *free nats* ({model.free_nats} here); $\\beta$ is {model.kl_scale:g}" in text
    assert f"one KL term of weight {model.kl_scale:g}: {ours} of it moves the prior, {rest} the posterior" in text
    assert f"both idle below {model.free_nats} nats" in text and f"here with {ours} and {rest})" in text
    assert f"$z$ is {model.stoch} Gaussians by default" in text and f"no longer divided by {1 / v1.sac.reward_scale:g}: down" in text
    assert f"the first comes after {v1.evaluation.every} random steps" in text
    assert f"{schedule.prefill} random steps come first" in text and f"short episodes of {schedule.prefill_episode} steps" in text
    assert f"the model takes {schedule.pretrain_model} steps alone, and {schedule.pretrain_both} more in turn" in text
    steps = gym.spec("Pendulum-v1").max_episode_steps
    assert f"reach on these {v1.evaluation.episodes} episodes, found by dynamic programming over the {steps} steps" in text
    assert f"the best controller there is about {minus(BEST)}.)" in text
    (shown,) = [line for cell in code_cells(PATHS[7]) for line in stdout(cell) if line.startswith("perfect player of the agent's")]
    assert f"even a perfect player of this objective gets {minus(float(shown.split()[-1]))})" in text


def stdout(cell):
    """The lines that a stored cell printed."""
    return "".join(output.get("text", "") for output in cell.outputs).splitlines()


def test_notebook_09_counts_the_cuts_that_a_switch_takes_back():
    text = prose(PATHS[9])
    switches = [line.rsplit("`", 2)[1] for line in text.splitlines() if line.startswith("|") and "here a switch, `" in line]
    for switch in switches:
        section, name = switch.split(".")
        assert hasattr(getattr(Config(), section), name), switch
    assert f"{WORDS[len(switches)]} of them can be taken back by a switch" in text


def test_notebook_09_quotes_what_its_proposals_did():
    text = prose(PATHS[9])
    assert Config().evaluation.every == 200  # the third evaluation comes after 600 steps, the last after 1,400

    def told(name, evaluation):
        first, second, third = (minus(run[evaluation]) for key, run in ASIDES["dreamer"].items() if key.startswith(f"{name}/"))
        return f"{first}, {second} and {third}"

    arrived = sum(step <= 600 for step in reached("pendulum/dropin/1", -200))
    nats, raw = "free nats 1", "rewards as they come"
    usual = f"where {WORDS[arrived]} of ten seeds of the default have arrived"
    assert f"three seeds stood at {told(nats, 2)} after 600 steps, {usual}, and at {told(nats, -1)} after 1,400" in text
    assert f"three seeds stood at {told(raw, 2)} after 600 steps and at {told(raw, -1)} after 1,400" in text


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


def test_notebook_06_states_the_settings():
    text, v1 = prose(PATHS[6]), Config()
    replay, schedule, dreams = v1.replay, v1.schedule, v1.imagination
    rounds = f"{schedule.model_updates} updates for every {schedule.every} rows"
    assert f"as in training: {schedule.prefill} rows, then {schedule.pretrain_model} updates, then {rounds}" in text
    assert f"has 201 rows, a window {replay.length}" in text and f"with T = {replay.length}, every sixteenth row" in text
    assert f"a window of rows 0 to {replay.length - 1} becomes a window of rows 4 to {replay.length - 1}" in text
    assert f"chunks of `burn_in` + {replay.length} rows" in text and f"at a fixed grid of {replay.length} rows | the stored" in text
    assert f"| fixed chunks, burn-in 4 | at a fixed grid of {replay.length + 4} rows, 4 of them for burn-in" in text
    assert f"fewer than the {schedule.model_updates} that follow every {schedule.every} new rows" in text
    assert f"v1 draws again: {dreams.starts} windows of {dreams.start_rows} rows" in text


def study(world, variant, value):
    """One number of each run of notebook 06's study, seeds in order."""
    return [value(run) for key, run in STUDY.items() if key.startswith(f"{world}/{variant}/")]


def test_notebook_06_tells_what_the_study_of_stale_states_found():
    text, plain, hidden = prose(PATHS[6]), "Pendulum", "Pendulum, velocity hidden"
    variants = list(dict.fromkeys(key.split("/")[1] for key in STUDY if key.startswith(f"{plain}/")))
    dreams = {world: {v: study(world, v, lambda run: run["dream_error"][15]) for v in variants} for world in (plain, hidden)}
    assert f"here are {WORDS[len(variants)]} variants, {WORDS[len(dreams[plain]['fixed chunks'])]} seeds of each" in text
    assert "looks 15 steps ahead with its eyes closed" in text

    def ahead(world, one, other):
        return sum(a < b for a, b in zip(dreams[world][one], dreams[world][other]))

    for variant in ("free windows", "fixed chunks, burn-in 4", "free windows, no write-back"):
        assert ahead(hidden, variant, "fixed chunks") == 5
    assert "Free windows and burn-in dream better than fixed chunks in all five seeds, free windows with about half the error" in text
    assert "Free windows *without* write-back dream better than the chunks with the velocity hidden, too, in all five seeds" in text
    middle = {world: {v: median(values) for v, values in found.items()} for world, found in dreams.items()}
    assert 0.4 < middle[hidden]["free windows"] / middle[hidden]["fixed chunks"] < 0.6
    assert middle[hidden]["half from zero (v1)"] > middle[hidden]["fixed chunks"] and "v1's half is no better than stale chunks" in text
    usual = [value for variant, value in middle[plain].items() if variant != "all from zero"]
    assert max(usual) < middle[plain]["all from zero"] and "Only *all from zero* seems to fall behind" in text
    assert max(usual) - min(usual) < median(max(found) - min(found) for found in dreams[plain].values())  # seeds differ more
    both = [(world, n) for world in (plain, hidden) for n in range(5)]
    sealed, v1 = "half from zero, not stored", "half from zero (v1)"
    gains = sum(dreams[world][sealed][n] < dreams[world][v1][n] for world, n in both)
    assert f"The dream is better in {WORDS[gains]} of the ten runs and worse in the other {WORDS[10 - gains]}" in text
    for world in (plain, hidden):
        last = {v: study(world, v, lambda run: run["curve"][-1]) for v in variants}
        over = {v: [run["error"][1] / run["floor"][1] for run in runs] for v, runs in last.items()}
        assert all(1.6 < ratio < 2.5 for ratio in over[v1]) and max(over[sealed]) < 1.25
        assert all(a["age"][0] > b["age"][0] for a, b in zip(last[sealed], last[v1]))
        assert all(run["error"][1] > 0.9 for run in last["free windows, no write-back"]) and "the worst tenth is above 0.9" in text
        burnt, chunks = last["fixed chunks, burn-in 4"], last["fixed chunks"]
        assert all(a["error"][1] > b["error"][1] and a["h1"][1] < b["h1"][1] for a, b in zip(burnt, chunks))
        assert min(run["kl"][0] for run in chunks) > 1.5 * max(run["kl"][0] for run in burnt)  # stale chunks pay at row 0
        assert min(run["kl"][0] for run in last[v1]) > median(run["kl"][0] for run in chunks)  # and zero starts pay more


def test_notebook_06_says_of_four_more_seeds_what_a_wrong_start_costs():
    assert len(
        ASIDES["starts"]
    ) == 4 and "With four other seeds, of the episodes and of the first weights, all of this was the same" in prose(PATHS[6])
    for seed in ASIDES["starts"].values():
        stored, rerun, zero = (seed["trained on fixed chunks"][start] for start in ("stored h", "re-run h", "zero"))
        assert stored[0] > 3 * rerun[0] and zero[0] > 1.5 * stored[0] and stored[2] < 1.25 * rerun[2]
        stored, rerun, zero = (seed["trained on free windows"][start] for start in ("stored h", "re-run h", "zero"))
        assert all(0.75 < a / b < 1.25 for a, b in zip(stored, rerun)) and zero[0] > 10 * stored[0] and zero[5] > 2 * stored[5]


def test_notebook_06_tells_when_whole_agents_arrive():
    runs = [run for key, run in STUDY.items() if key.startswith("returns/fixed chunks/")]
    first = [next((s for s, mean in zip(run["env_steps"], run["mean"]) if mean >= -200), float("inf")) for run in runs]
    others = [f"departures/{name}/1" for name in ("every window from the stored h", "every window from h = 0", "default")]
    assert max(median(first), *(median(reached(name, -200)) for name in others)) == 800
    assert "half of the seeds are there within 800 steps" in prose(PATHS[6])


def test_notebook_07_states_the_settings_and_the_pendulums_own_numbers():
    text, v1 = prose(PATHS[7]), Config()
    assert f"(`reward_scale` = {v1.sac.reward_scale:g}, from notebook 02)" in text
    assert f"$\\gamma = {v1.sac.gamma}$ times the one before" in text and f"$\\gamma = {v1.sac.gamma}$ counts a reward" in text
    weights = ", ".join(f"{float(w):.4g}" for w in alive_weight(torch.tensor([[0.5, 0.5, 0.1, 0.9]]))[0])
    assert f"for `cont` = (0.5, 0.5, 0.1, 0.9): $w$ = ({weights}). The last 0.9 is never used" in text
    assert f"A pendulum's episode is cut off after {gym.spec('Pendulum-v1').max_episode_steps} steps" in text
    assert f"a second is {round(1 / ceiling.DT)} steps" in text and f"velocities here reach {ceiling.MAX_SPEED:g}" in text
    assert f"makes a torque of −{ceiling.MAX_TORQUE:g} to {ceiling.MAX_TORQUE:g} N m of it" in text
    assert 1 / 6 == pytest.approx(v1.sac.gamma**60, abs=0.01) and "at a sixth of its worth ($0.97^{60}$)" in text


@cache
def pushed_while_upright():
    """Notebook 07's action +1 from step 30: degrees from upright in the world, and the cosine in the median dream."""
    agent = Dreamer.load(ASSETS / "pendulum.safetensors")
    env = envs.make(agent.config.env, agent.config.wrappers)
    episode, full = play(agent, env, seed=20_003), np.ones((25, 1), np.float32)
    real = act_out(env, 20_003, np.concatenate([episode.action[:30], full])).observation[30:]
    return np.degrees(np.abs(angle(real))), np.median(fan(agent, episode, 30, {"+1": full}, 48)["+1"], 0)[:, 0]


def test_notebook_07_quotes_the_stored_agent():
    text = prose(PATHS[7])
    log = [json.loads(line) for line in (ASSETS / "pendulum.jsonl").read_text(encoding="utf-8").splitlines()]
    late = [abs(row["imagined_return_mean"] - row["eval_return_mean"]) for row in log if row["env_steps"] >= 800]
    assert max(late) < 20 and "from step 800 on the two differ by less than 20" in text
    episodes, collects = Config().evaluation.episodes, minus(log[-1]["eval_return_mean"])
    assert f"Over the {episodes} evaluation episodes of this course the agent collects {collects} on average" in text
    assert f"along *its* training, over the {episodes} evaluation episodes" in text
    assert (
        f"any controller can do there is {minus(json.loads((ASSETS / 'bench.json').read_text(encoding='utf-8'))['ceiling'])} (`ceiling.py`)"
        in text
    )
    off, dreamt = pushed_while_upright()
    assert off[10] == pytest.approx(50, abs=5) and np.argmax(off > 90) == 13
    assert "some 50 degrees off after ten steps and past horizontal after thirteen" in text
    assert dreamt[20] > 0.5 and "In the dream it is still up after twenty" in text


def test_notebook_07_quotes_what_frozen_dreams_promised():
    text = prose(PATHS[7])

    def gaps(steps):
        """Of each seed, how much more the dream promised than the world gave."""
        return [run["imagined"] - run["real"] for key, run in ASIDES["exploit"].items() if key.startswith(f"{steps}/")]

    usual, few, many = gaps(300), gaps(100), gaps(1000)
    assert "We take **300 random steps**" in text and len(usual) == 6 and "We ran this with six seeds" in text
    assert sum(gap > 600 for gap in usual) == 3 and "In three of them the dream promised over 600 more at the end" in text
    assert sum(abs(gap) <= 60 for gap in usual) == 3
    assert "in the other three the 300 steps happened to show what matters, and the gap stayed within 60" in text
    assert len(few) == len(many) == 3 and sum(gap > 500 for gap in few) == 2 and sum(abs(gap) < 100 for gap in few) == 1
    assert "with 100 steps two of three seeds promised over 500 too much" in text and "expected as little as it got, within 100" in text
    assert sum(abs(gap) < 100 for gap in many) == 2 and sum(gap > 600 for gap in many) == 1
    assert "With 1,000 steps two of three seeds were right within 100, and one promised over 600 too much" in text
    assert "Practise in a frozen dream of 1,000 random steps" in text and "No: see above, three of six." in text


def test_notebook_08_states_the_settings():
    text, dropin, advantage = prose(PATHS[8]), preset("dropin"), preset("advantage")
    dreams = dropin.imagination
    assert f"exactly as in training: {dreams.starts} dreams of $H = {dreams.horizon}$ steps, so {dreams.horizon + 1} states each" in text
    assert f"here {dropin.sac.polyak:g} (`dropin`) and {advantage.sac.polyak:g} (`advantage`)" in text
    code = " ".join("".join(cell.source for cell in code_cells(PATHS[8])).split())
    starts, horizon, batch, whole, short = 64, 15, 255, 17, 5
    setting = f'imagination={{"horizon": {horizon}, "starts": {starts}}}'
    assert f'{setting}, sac={{"batch": {batch}}}' in code and f'{setting}, sac={{"batch": {whole}, "lam": 1.0}}' in code
    lessons = {1: "one update", 4: "four updates"}
    both = f"In A and C that is {starts} dreams and {lessons[dropin.schedule.sac_updates]}"
    assert f"{both}, in B {advantage.imagination.starts} dreams and {lessons[advantage.schedule.sac_updates]}" in text
    assert f"with dreams of {horizon} steps instead of {dreams.horizon}" in text and f"minibatches of {batch} steps" in text
    assert f"H-step returns (H = {advantage.imagination.horizon})" in text and batch == whole * horizon
    assert f"A's {whole * horizon} steps in each minibatch ({whole} dreams of {horizon} steps)" in text
    assert f"C's {whole * horizon} steps come as {whole} whole dreams" in text
    assert f"With all {starts} dreams, {starts * horizon} steps, in every update" in text
    assert f'"horizon": {short}, "starts": {starts}' in text
    assert f"With dreams of **{short}** steps" in text and f"C with dreams of {short} steps" in text


def test_notebook_08_quotes_what_critics_know():
    text, worlds = prose(PATHS[8]), ASIDES["slopes"]
    pairs = [(world, seed) for world in worlds for seed in worlds[world]["A"]]
    assert len(worlds) == 6 and len(pairs) == 7 and "here it is for seven learners of each kind" in text
    found = {row: list(zip(*(worlds[w][row[0]][s][str(row[1])] for w, s in pairs))) for row in (("A", 200), ("C", 200), ("C", 400))}
    for (learner, rounds), (alike, right) in found.items():
        slopes, values = ", ".join(f"{100 * share:.0f}" for share in right), ", ".join(f"{value:.2f}" for value in alike)
        assert f"| {learner}, {rounds} rounds | {slopes} % | {values} |" in text
    (early, usual), (known, poor), (late, still) = found.values()
    assert all(c < a for a, c in zip(usual, poor)) and all(c < a for a, c in zip(usual, still)) and min(late) > max(early)
    ahead = sum(c > a for a, c in zip(early, known))
    told = f"while its values are better in {WORDS[ahead]} and worse in {WORDS[7 - ahead]}"
    assert f"After 200 rounds C's slope is right less often than A's in all seven pairs, {told}" in text
    assert "After 400 rounds C knows values better than A did in any of them" in text


def test_notebook_08_says_what_lag_did():
    ends = [end for world in ASIDES["lag"].values() for end in world.values()]
    assert len(ASIDES["lag"]) == 3 and len(ends) == 4 and max(ends) < -1600
    assert "after 200 rounds it stood below −1600 in each of four seeds in three worlds" in prose(PATHS[8])


def test_notebook_08_quotes_the_race_in_six_worlds():
    text, worlds = prose(PATHS[8]), ASIDES["race"]
    five = [worlds[str(number)] for number in range(1, 6)]

    def row(learner, mark):
        return ", ".join(minus(world[learner]["0"][mark]) for world in five)

    for learner, marks in (("A", (200, 400)), ("B", (300,)), ("C", (200, 400))):
        for mark, rounds in enumerate(marks):
            assert f" | {rounds} | {row(learner, mark)} |" in text
    assert (
        all(world["C"]["0"][0] < world["A"]["0"][0] - 500 for world in five) and "After 200 rounds C is far behind A in every world" in text
    )
    assert "So we went on to 400 rounds" in text
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

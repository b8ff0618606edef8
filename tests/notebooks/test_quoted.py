"""Numbers that the notebooks' prose quotes: computed again here, and looked for in the words as they stand."""

import functools
import json
import math
import re
from functools import cache
from statistics import median

import gymnasium as gym
import numpy as np
import pytest
import torch

from dreamer_core import envs, senses
from dreamer_core.agent import Dreamer
from dreamer_core.classroom import own_world
from dreamer_core.classroom.exercises import nb14
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.clinic.patient import A_LOOK, A_MISS, FULL
from dreamer_core.config import Config, WorldModelConfig, preset
from dreamer_core.paper.twohot import symexp_bins
from dreamer_core.returns import alive_weight
from dreamer_core.study import plan, stored
from dreamer_core.viz.branches import recorded
from dreamer_core.viz.dream import act_out, play
from dreamer_core.viz.fan import fan
from dreamer_core.viz.game import DreamGame
from dreamer_core.worlds.pendulum import angle
from dreamer_core.yardsticks import ceiling, ladder, scales
from dreamer_core.yardsticks.known_world import World
from notebooks.books import PATHS, ROOT, book, code_cells, prose

ASSETS = ROOT / "notebooks" / "assets"
BEST = scales.read()["Pendulum-v1"].best
ASIDES = json.loads((ASSETS / "asides.json").read_text(encoding="utf-8"))
STUDY = json.loads((ASSETS / "staleness.json").read_text(encoding="utf-8"))
PENDULUM = gym.make("Pendulum-v1").unwrapped
WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def minus(value):
    return f"{round(value)}" if value > 0 else f"−{-round(value)}"


def returns_at(study, label, step, world="Pendulum-v1"):
    """The return of each seed in its evaluation at a step; -1 is the last one's."""
    runs = stored.curves(study, world, label)
    return [float(run[-1, 1] if step == -1 else run[run[:, 0] == step, 1][0]) for run in runs]


def counted(number, what):
    """A number in words, and what is counted: one seed, two seeds."""
    return f"{WORDS[number]} {what}{'s' if number != 1 else ''}"


def needed(steps):
    """How many steps seeds needed, in words; infinite for one that did not arrive."""
    return f"{min(steps):,.0f} to {max(steps):,.0f} steps" if np.isfinite(max(steps)) else f"{min(steps):,.0f} steps or more"


def test_notebook_09_quotes_the_stored_studies():
    suite, v1 = functools.partial(returns_at, "suite"), stored.reached("suite", "Pendulum-v1", "default", -200)
    ours, theirs = (stored.reached("suite", "Pendulum-v1", label, -200) for label in ("sac", "sb3_sac, 3 x the steps"))
    end, medians = int(stored.curves("suite", "Pendulum-v1", "sac")[0][-1, 0]), [median(suite(arm, -1)) for arm in ("default", "sac")]
    at, number = suite("sac", 1200), WORDS[len(ours)]
    assert len(v1) == len(ours)
    cut, uncut = (stored.reached("readings", "Pendulum-v1 hidden", arm, -160) for arm in ("default", "uncut"))
    arrived = [WORDS[sum(np.isfinite(found))] for found in (cut, uncut)]
    hidden = int(stored.curves("readings", "Pendulum-v1 hidden", "default")[0][-1, 0])
    says(
        9,
        f"Model-free SAC needs {needed(ours + theirs)} for this task ({counted(len(ours), 'seed')} of ours, and "
        f"{counted(len(theirs), 'seed')} of stable-baselines3)",
        f"{WORDS[len(v1) // 2 + 1]} of the {number} stored seeds of `dropin` reach −200 within {sorted(v1)[len(v1) // 2]:,.0f} steps",
        f"After {end:,} steps the median of {number} seeds is {minus(medians[0])} for v1 and {minus(medians[1])} for our SAC",
        f"the {number} stored seeds of our SAC stand between {minus(min(at))} and {minus(max(at))} at step 1200",
        f"has {WORDS[len(cut)]} seeds of both ([RESULTS.md](../RESULTS.md)): with the cut {arrived[0]} of them reached "
        f"−160 in {hidden:,} steps, without it {arrived[1]}",
    )


def test_notebooks_08_and_09_judge_the_stored_studies_rightly():
    text, mark = prose(PATHS[9]), ("suite", "Pendulum-v1")
    ends = [median(returns_at("suite", arm, -1)) for arm in ("default", "sac")]
    assert "both head for the same line" in text and "a little below the ceiling" in text
    assert all(BEST - 30 < end < BEST for end in ends), f"v1 and our SAC end at {ends}"
    v1, ours, theirs = (median(stored.reached(*mark, label, -200)) for label in ("default", "sac", "sb3_sac, 3 x the steps"))
    assert v1 < min(ours, theirs) and "Dreaming needs fewer **real** steps" in text, "steps to -200"
    slow, fast = (median(stored.seconds(*mark, arm)) for arm in ("default", "sac"))
    assert fast < slow / 2 and "Our SAC takes a fraction of the seconds" in text, f"{fast:.0f} s and {slow:.0f} s"
    dropin, advantage = (median(stored.seconds("readings", "Pendulum-v1", arm)) for arm in ("default", "advantage"))
    assert dropin < advantage and "It takes longer per step" in text and "it needs fewer seconds" in prose(PATHS[8])


def test_notebook_09_states_the_settings():
    text, v1 = prose(PATHS[9]), Config()
    model, schedule, dreams = v1.model, v1.schedule, v1.imagination
    assert f"One environment step is 1/{round(1 / ceiling.DT)} of a second" in text
    assert f"the agent's lesson {dreams.starts} short windows of {dreams.start_rows} rows" in text
    assert f"Every {schedule.every} real steps there is a *round*" in text
    assert f"The reward is one number beside all that is seen, and the agent lives by it: $w_r$ is {model.reward_scale:g}" in text
    assert f"in noiseless dreams of {WORDS[model.overshoot]} rows inside the window" in text and f"$w_d$ is {model.overshoot_scale}" in text
    agent = Dreamer(v1, 3, 1)
    size = sum(weight.numel() for half in (agent.model, agent.sac.actor, agent.sac.q) for weight in half.parameters())
    assert f"About {round(size, -4):,} numbers" in text
    ours, rest = f"{model.kl_balance:g}", f"{1 - model.kl_balance:.1g}"
    assert f"*balanced* ({ours} of its gradient moves the prior, {rest} the posterior)" in text
    assert f"ignored below the *free nats* ({model.free_nats} here); $\\beta$ is {model.kl_scale:g}" in text
    assert f"one KL term of weight {model.kl_scale:g}: {ours} of it moves the prior, {rest} the posterior" in text
    assert f"both idle below {model.free_nats} nats" in text and f"here with {ours} and {rest})" in text
    assert f"$z$ is {model.stoch} Gaussians by default" in text
    worst = -(math.pi**2 + 0.1 * PENDULUM.max_speed**2 + 0.001 * PENDULUM.max_torque**2)
    unit = unit_of_the_stored_agent()
    assert f"not in the agent's unit, which is about {round(unit)}. That is down to {minus(worst)} a step, with an entropy weight" in text
    assert round(unit) == 10 and "chosen for a tenth of it" in text
    assert f"the first comes after {v1.evaluation.every} random steps" in text
    assert f"{schedule.prefill} random steps come first" in text and f"short episodes of {schedule.prefill_episode} steps" in text
    assert f"an error of the reward counts {model.reward_scale:g} times" in text and f"dreams of {model.overshoot} rows inside each" in text
    assert f"random episodes are cut off after {schedule.prefill_episode} steps" in text
    assert f"the model takes {schedule.pretrain_model} steps alone, and {schedule.pretrain_both} more in turn" in text
    steps = gym.spec("Pendulum-v1").max_episode_steps
    assert f"reach on these {v1.evaluation.episodes} episodes, found by dynamic programming over the {steps} steps" in text
    assert f"the best controller there is about {minus(BEST)}.)" in text
    (shown,) = [line for cell in code_cells(PATHS[7]) for line in stdout(cell) if line.startswith("perfect player of the agent's")]
    assert f"even a perfect player of this objective gets {minus(float(shown.split()[-1]))})" in text


def stdout(cell):
    """The lines that a stored cell printed."""
    return "".join(output.get("text", "") for output in cell.outputs).splitlines()


def test_notebook_09_trains_loads_and_draws():
    """What the words promise of a run's folder, as the stored page shows it."""
    lines = [line for cell in code_cells(PATHS[9]) for line in stdout(cell)]
    assert "the loaded model has the weights of the one above: True" in lines
    assert "`Dreamer.load` takes that folder: **train, load, draw**" in prose(PATHS[9])


def test_notebook_09_runs_every_part():
    lines = [line for cell in code_cells(PATHS[9]) for line in stdout(cell)]
    usual = next(int(line.split()[3]) for line in lines if line.startswith("as it is "))
    parts = sum(exercise.in_v1 for exercise in EXERCISES.values())
    assert f"{parts} of {parts} parts have run in one agent or another." in map(str.strip, lines)
    assert f"{WORDS[parts - usual].capitalize()} of these parts do not run in v1 as it is set by default" in prose(PATHS[9])


def test_notebook_09_counts_the_cuts_that_a_switch_takes_back():
    text = prose(PATHS[9])
    switches = [line.rsplit("`", 2)[1] for line in text.splitlines() if line.startswith("|") and "here a switch, `" in line]
    for switch in switches:
        section, name = switch.split(".")
        assert hasattr(getattr(Config(), section), name), switch
    assert f"{WORDS[len(switches)]} of them can be taken back by a switch" in text


def test_notebook_09_quotes_what_its_proposals_did():
    def told(name, step):
        found = returns_at("departures", name, step)
        return minus(min(found)), minus(max(found))

    for name, then in (("free nats 1", "Below one nat"), ("rewards as they come", "Larger rewards")):
        runs = stored.curves("departures", "Pendulum-v1", name)
        (low, high), (usual_low, usual_high) = told(name, 600), told("default", 600)
        late, usual = (" to ".join(told(arm, -1)) for arm in (name, "default"))
        says(
            9,
            f"After 600 steps {WORDS[len(runs)]} seeds stood between {low} and {high}, where those of the default stood between "
            f"{usual_low} and {usual_high}; after {runs[0][-1, 0]:,.0f}, at {late} (the default: {usual}). {then}",
        )


def test_notebook_09_tells_what_the_studies_are_made_of():
    suite, departures = (plan.read(ROOT / "studies" / f"{name}.yaml") for name in ("suite", "departures"))
    assert f"How far one setting of v1 gets in {WORDS[len(suite.worlds)]} small worlds" in prose(PATHS[9])
    (world,) = departures.worlds
    number = WORDS[len(departures.seeds_of(world, "default"))]
    assert world == "Pendulum-v1" and f"undoes them one at a time on Pendulum, with {number} seeds each" in prose(PATHS[9])


def test_notebook_09_names_a_study_arm_for_everything_that_v1_adds():
    """Each setting of its table "What v1 adds" is undone in an arm of its own."""
    table = prose(PATHS[9]).split("## What v1 adds")[1].split("The study `departures`")[0]
    settings = re.findall(r"^\|[^|]*\| `([\w.]+)` \|", table, re.MULTILINE)
    arms = plan.read(ROOT / "studies" / "departures.yaml").arms.values()
    assert len(settings) == 6
    for setting in settings:
        section, name = setting.split(".")
        usual = getattr(getattr(Config(), section), name)
        undone = [arm.settings[section][name] for arm in arms if name in arm.settings.get(section, {})]
        assert undone and usual not in undone, f"no arm of the study departures undoes {setting}"


def test_notebook_00_counts_dreams_that_fall_away():
    """The stored agent's film, dreamt 400 times: fallen away is more than a right angle away from the real rod, which comes to stand."""
    agent = Dreamer.load(ASSETS / "pendulum.safetensors")
    episode = play(agent, envs.make(agent.config.env, agent.config.wrappers), seed=20_003)
    seen = recorded(agent, episode, start=8, steps=60, count=400)
    real = episode.observation[8:69]
    apart = (seen.dreams.observation[..., :2] * real[:, :2]).sum(-1) < 0  # the cosine of the angle between the rods, up to a length
    assert apart.any(1).all(), f"{(~apart.any(1)).sum()} of 400 dreams stayed with the real rod"
    assert apart.argmax(1).mean() / 20 == pytest.approx(1.0, abs=0.15)
    told = "of 400 that we drew, all fell away from the real rod near the top, where small errors grow, on average after a second"
    assert told in prose(PATHS[0])


@functools.cache
def drives_of_notebook_00() -> tuple[list[float], list[bool], list[tuple[float, float]]]:
    """Three episodes and three seeds of the dreams, from row 20.

    Returns: after how many seconds dream and world part without a push; of each drive at full speed, whether the drift came before the
    spread; and in which shares of the last steps the real and the dreamt rod are up, with the agent acting.
    """
    agent = Dreamer.load(ASSETS / "pendulum.safetensors")
    env = envs.make(agent.config.env, agent.config.wrappers)
    games = [DreamGame(agent, play(agent, env, seed=number), seed=luck) for number in range(20_003, 20_006) for luck in range(3)]

    def drive(game, push, steps):
        game.reset(20)
        game.resume()
        return [game.step(push) for _ in range(steps)]

    def reached(frames, what):
        return next((frame.step for frame in frames if getattr(frame, what) > 0.5), np.inf)

    parted = [reached(drive(game, 0.0, 60), "drift") / 20 for game in games]
    first, up = [], []
    for game in games:
        for push in (1.0, -1.0):
            frames = drive(game, push, 100)
            first.append(reached(frames, "drift") < reached(frames, "uncertainty"))
        drive(game, 0.0, 40)
        game.actor = True
        seen = np.array([(frame.world, frame.dreams[0]) for frame in [game.step(0.0) for _ in range(200)][-100:]])
        game.actor = False
        up.append(tuple((abs(np.degrees(angle(seen))) < 30).mean(0)))
    return parted, first, up


def test_notebook_00_tells_how_drives_go():
    """What its answers say."""
    parted, first, up = drives_of_notebook_00()
    told = f"without a push, dream and world part after {sorted(parted)} seconds"
    assert 0.5 < min(parted) and median(parted) < 3 and max(parted) == np.inf, told
    assert "After half a second to three, if at all" in prose(PATHS[0])
    assert f"the drift came first in {sum(first)} of {len(first)} drives of ours" in prose(PATHS[0]), "how often the spread warned"
    for real, dream in up:
        assert dream == 1 and real < 0.5, f"at the end the dreamt rod is up in {dream:.0%} of the steps, the real one in {real:.0%}"
    assert "**The dreamt one**" in prose(PATHS[0])


def test_notebook_05_quotes_the_probe_of_six_seeds():
    text = prose(PATHS[5])
    for name, words in (
        ("z cut", "found {:.2f} in the median with the cut ({:.2f} to {:.2f})"),
        ("z not cut", "{:.2f} without it ({:.2f} to {:.2f})."),
    ):
        found = [row[name]["h"] for row in ASIDES["probe"].values()]
        assert len(found) == 6 and words.format(median(found), min(found), max(found)) in text
    worse = sum(row["z cut"]["h"] < row["z not cut"]["h"] for row in ASIDES["probe"].values())
    assert worse >= 4 and f"The cut was worse in {WORDS[worse]} of the six pairs, but not by much" in text


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

    v1, half, sealed = "free windows (v1)", "half from zero", "half from zero, not stored"
    assert ahead(plain, v1, "fixed chunks") == ahead(hidden, v1, "fixed chunks") == ahead(hidden, "fixed chunks", "all from zero") == 5
    assert "Free windows dream better than fixed chunks in all five seeds of both worlds" in text
    assert "*All from zero* dreams worse than stale chunks in all five." in text
    burnt = WORDS[ahead(hidden, "fixed chunks, burn-in 4", "fixed chunks")]
    assert f"Burn-in dreams better than the chunks in {burnt} of five seeds, so it cannot be told whether it helps" in text
    never = "free windows, no write-back"
    told = f"*without* write-back dream better than the chunks in {WORDS[ahead(hidden, never, 'fixed chunks')]} of five seeds"
    assert ahead(hidden, v1, never) == 5 and f"{told}, and worse than free windows *with* it in all five" in text
    middle = {world: {v: median(values) for v, values in found.items()} for world, found in dreams.items()}
    assert 0.4 < middle[hidden][v1] / middle[hidden]["fixed chunks"] < 0.6 and "with the velocity hidden, with about half the error" in text
    worse = [WORDS[ahead(world, v1, half)] for world in (plain, hidden)]
    told = f"in {worse[0]} of five seeds on Pendulum as it is, and in {worse[1]} of five with the velocity hidden"
    assert f"*Half from zero* dreams worse than *free windows* {told}" in text
    assert middle[hidden][half] > middle[hidden]["fixed chunks"] and "where it is no better than stale chunks" in text
    usual = [value for variant, value in middle[plain].items() if variant != "all from zero"]
    assert max(usual) < middle[plain]["all from zero"] and "Only *all from zero* seems to fall behind" in text
    assert max(usual) - min(usual) < median(max(found) - min(found) for found in dreams[plain].values())  # seeds differ more
    both = [(world, n) for world in (plain, hidden) for n in range(5)]
    gains = sum(dreams[world][sealed][n] < dreams[world][half][n] for world, n in both)
    assert f"The dream is better in {WORDS[gains]} of the ten runs and worse in the other {WORDS[10 - gains]}" in text
    for world in (plain, hidden):
        last = {v: study(world, v, lambda run: run["curve"][-1]) for v in variants}
        over = {v: [run["error"][1] / run["floor"][1] for run in runs] for v, runs in last.items()}
        assert all(1.7 < ratio < 3.3 for ratio in over[half]) and max(over[sealed]) < 1.3
        assert all(a["age"][0] > b["age"][0] for a, b in zip(last[sealed], last[half]))
        assert all(run["error"][1] > 0.9 for run in last["free windows, no write-back"]) and "the worst tenth is above 0.9" in text
        burnt, chunks = last["fixed chunks, burn-in 4"], last["fixed chunks"]
        assert all(a["error"][1] > b["error"][1] and a["h1"][1] < b["h1"][1] for a, b in zip(burnt, chunks))
        assert min(run["kl"][0] for run in chunks) > 1.5 * max(run["kl"][0] for run in burnt)  # stale chunks pay at row 0
        assert min(run["kl"][0] for run in last[half]) > median(run["kl"][0] for run in chunks)  # and zero starts pay more


def test_notebook_06_says_of_four_more_seeds_what_a_wrong_start_costs():
    assert len(
        ASIDES["starts"]
    ) == 4 and "With four other seeds, of the episodes and of the first weights, all of this was the same" in prose(PATHS[6])
    for seed in ASIDES["starts"].values():
        stored, rerun, zero = (seed["trained on fixed chunks"][start] for start in ("stored h", "re-run h", "zero"))
        assert stored[0] > 5 * rerun[0] and zero[0] > 1.5 * stored[0] and stored[3] < 1.25 * rerun[3]
        stored, rerun, zero = (seed["trained on free windows"][start] for start in ("stored h", "re-run h", "zero"))
        assert all(0.75 < a / b < 1.25 for a, b in zip(stored, rerun)) and zero[0] > 10 * stored[0] and zero[5] > 2 * stored[5]


def test_notebook_06_tells_when_whole_agents_arrive():
    arms = ("fixed chunks", "default", "half of the windows from h = 0", "every window from h = 0")
    found = [stored.reached("departures", "Pendulum-v1", arm, -200) for arm in arms]
    assert all(len(steps) == 2 for steps in found)
    assert f"with each, both seeds are there within {max(map(max, found)):,.0f} steps" in prose(PATHS[6])


@cache
def unit_of_the_stored_agent():
    """How much of Pendulum's reward the agent that the notebooks load counts as 1."""
    return Dreamer.load(ASSETS / "pendulum.safetensors").in_world_units(1.0)


def test_notebook_07_states_the_settings_and_the_pendulums_own_numbers():
    text, v1 = prose(PATHS[7]), Config()
    model = v1.model
    assert f"here with $D = {model.deter}$ and $Z = {model.stoch}$" in text and f"$F = {model.deter + model.stoch}$ numbers" in text
    assert f"counts rewards in the agent's unit, which is about {round(unit_of_the_stored_agent())} of Pendulum's (notebook 04)" in text
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
    gaps = {row["env_steps"]: abs(row["imagined_return_mean"] - row["eval_return_mean"]) for row in log}
    assert gaps[Config().schedule.prefill] > 100 and "after the random steps the two are far apart" in text
    assert max(gap for step, gap in gaps.items() if step >= 600) < 30 and "from step 600 on they differ by less than 30" in text
    episodes, collects = Config().evaluation.episodes, minus(log[-1]["eval_return_mean"])
    assert f"Over the {episodes} evaluation episodes of this course the agent collects {collects} on average" in text
    assert f"along *its* training, over the {episodes} evaluation episodes" in text
    assert f"any controller can do there is {minus(BEST)} (`ceiling.py`)" in text
    off, dreamt = pushed_while_upright()
    assert off[10] == pytest.approx(50, abs=5) and np.argmax(off > 90) == 13
    assert "some 50 degrees off after ten steps and past horizontal after thirteen" in text
    assert dreamt[15] > 0.5 and "In the dream it is still up after fifteen" in text


def test_notebook_07_quotes_what_frozen_dreams_promised():
    text = prose(PATHS[7])

    def gaps(steps):
        """Of each seed, how much more the dream promised than the world gave."""
        return [run["imagined"] - run["real"] for key, run in ASIDES["exploit"].items() if key.startswith(f"{steps}/")]

    usual, few, many = gaps(300), gaps(100), gaps(1000)
    assert "We take **300 random steps**" in text and len(usual) == 6 and "We ran this with six seeds" in text
    assert sum(gap > 450 for gap in usual) == 3 and "In three of them the dream promised over 450 more at the end" in text
    assert sum(abs(gap) <= 100 for gap in usual) == 3 and "in the other three the gap stayed within 100" in text
    assert len(few) == len(many) == 3 and sum(gap > 350 for gap in few) == 2 and min(few) < 0
    assert "with 100 steps two of three seeds promised over 350 too much" in text and "expected less than it got" in text
    assert sum(abs(gap) < 150 for gap in many) == 2 and sum(gap > 300 for gap in many) == 1
    assert "With 1,000 steps two of three seeds were right within 150, and one promised over 300 too much" in text
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
    assert all(c < a for a, c in zip(usual, poor)) and min(late) > max(early)
    ahead = sum(c > a for a, c in zip(early, known))
    told = f"while its values are better in {WORDS[ahead]} and worse in {WORDS[7 - ahead]}"
    assert f"After 200 rounds C's slope is right less often than A's in all seven pairs, {told}" in text
    worse = WORDS[sum(c < a for a, c in zip(usual, still))]
    told = f"and still its slopes are worse than A's were in {worse} of the seven"
    assert f"After 400 rounds C knows values better than A did in any of them, {told}" in text


def test_notebook_08_says_what_lag_did():
    ends = [end for world in ASIDES["lag"].values() for end in world.values()]
    assert len(ASIDES["lag"]) == 3 and len(ends) == 4 and max(ends) < -1600
    assert "after 200 rounds it stood below −1600 in each of four seeds in three worlds" in prose(PATHS[8])


def test_notebook_08_tells_what_others_learned_in_the_dream():
    """From the stored results of tests/benchmarks/dream_env.py."""
    kept = json.loads((ASSETS / "dream_env.json").read_text(encoding="utf-8"))
    settings, dreams = kept["settings"], kept["dreams"]
    shown = ("sb3, decoded", "sb3, latent", "v1, decoded", "v1, latent")
    assert list(dreams)[0] == "stored" and all(arm in found for found in dreams.values() for arm in shown)
    ends = {(name, arm): [dreams[name][arm][what][-1] for what in ("real", "promised")] for name in dreams for arm in shown}
    assert all(dreams[name][arm]["steps"][-1] == settings["steps"] for name, arm in ends) and settings["learning_rate"] == 1e-3
    says(
        8,
        f"learning_rate=1e-3).learn({settings['steps']})",
        f"Each student takes {settings['steps']:,} dream steps and no real one",
        "Both students that read $(h, z)$ in the stored agent's dream (the first line of each) did so; those that read what",
    )
    for library in ("sb3", "v1"):
        found = [real for (_, arm), (real, _) in ends.items() if arm.startswith(library)]
        assert sum(real > -250 for real in found) > len(found) / 2, "most students can swing up the real pendulum"
    gaps = {place: promised - real for place, (real, promised) in ends.items()}
    assert sum(abs(gap) < 60 for gap in gaps.values()) > len(gaps) / 2, "mostly the world pays about what the dream promised"
    assert min(gaps["stored", arm] for arm in shown if "latent" in arm) > 150, "both students of (h, z) were promised too much"
    assert max(gaps["stored", arm] for arm in shown if "decoded" in arm) < 60, "and the two others were not"
    assert any(max(row["real"][:-1]) > row["real"][-1] + 50 for found in dreams.values() for arm, row in found.items() if arm in shown)


def test_notebook_08_quotes_the_race_in_six_worlds():
    text, worlds = prose(PATHS[8]), ASIDES["race"]
    five = [worlds[str(number)] for number in range(1, 6)]

    def row(learner, mark):
        return ", ".join(minus(world[learner]["0"][mark]) for world in five)

    for learner, marks in (("A", (200, 400)), ("B", (300,)), ("C", (200, 400))):
        for mark, rounds in enumerate(marks):
            assert f" | {rounds} | {row(learner, mark)} |" in text
    behind = [world["A"]["0"][0] - world["C"]["0"][0] for world in five]
    assert sum(gap >= 350 for gap in behind) == 4 and sum(abs(gap) < 10 for gap in behind) == 1
    assert "After 200 rounds C was behind A by 350 or more in four of the five worlds, and level with it in the fifth" in text
    assert "So we went on to 400 rounds" in text
    figure = worlds["0"]
    late = [minus(run[1]) for run in figure["C"].values()]
    there = WORDS[sum(world["C"]["0"][1] > -200 for world in five)]
    assert f"After 400 rounds {there} of the five stood above −200, and the two seeds of the figure at {' and '.join(late)}." in text
    short = [minus(run[0]) for run in figure["C, dreams of 5"].values()]
    assert f"C came to {short[0]}, {short[1]} and {short[2]} in three seeds (300 rounds)" in text
    assert f"{WORDS[sum(world['B']['0'][0] < -300 for world in five)]} of its five were not there after 300 rounds" in text
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
    assert "It learned all the same, with an entropy near −3 instead of −1" in text
    factors = [run["lowest_q"] / usual["lowest_q"] for run, usual in zip(fast, plain)]
    assert -700 < max(max(run["returns"]) for run in fast) < -600 and (round(min(factors)), round(max(factors))) == (3, 10)
    assert "Every run stayed below −600, and $Q$ fell three to ten times as low" in text
    assert sum(arrived(run) > max(map(arrived, plain)) for run in greedy) == 2 and "It learned too, in two of three seeds late." in text
    lowest, highest = (minus(pick(run["entropy"] for run in greedy)) for pick in (min, max))
    assert f"Its entropy fell to between {highest} and {lowest}" in text
    assert all(arrived(run) > max(map(arrived, plain)) for run in ended)
    last = [run["returns"][-1] for run in ended]
    assert f"It was slower with every seed, and stood between {minus(max(last))} and {minus(min(last))} at the end" in text


def span(values, form="{:.2f}"):
    """The smallest and the largest, as the notebooks write them."""
    values = list(values)
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low} to {high}"


def minus_span(values):
    """A range that may lie below 0, with the sign that the notebooks use."""
    return span(values, "{:.1f}").replace("-", "−")


def percent(values):
    return span([100 * value for value in values], "{:.0f}") + " %"


def seeds(part, name, number):
    """The results of one aside, seed by seed; none left out."""
    rows = [row[name] for row in ASIDES[part].values()]
    assert len(rows) == number, f"asides.json holds {len(rows)} seeds of {part}, the notebooks speak of {number}"
    return rows


def column(rows, key):
    return [row[key] for row in rows]


def says(number, *sentences):
    """These sentences stand in the words of a notebook."""
    text = prose(book(number))
    gone = [sentence for sentence in sentences if sentence not in text]
    assert not gone, f"notebook {number:02d} does not say (any more): {gone}"


def test_notebook_03_quotes_the_coins_of_six_seeds():
    normal, wide = seeds("coin", "gaussian, free nats 0.05", 6), seeds("coin", "gaussian, free nats 2.0", 6)
    classes, one, two = (seeds("coin", f"categorical, free nats {free}", 6) for free in (0.05, 1.0, 2.0))
    largest = span(column(normal, "largest"), "{:.1f}")
    says(
        3,
        f"near tails (within 0.25) lay {percent(column(normal, 'tails'))} of the dreams, near heads {percent(column(normal, 'heads'))}, "
        f"and the largest was {largest}",
        f"over six seeds {percent(column(one, 'tails'))} of the dreams were tails",
        f"the prior's gradient was *exactly zero* in {percent(column(one, 'still'))} of the updates",
        f"over six seeds {percent(column(two, 'neither'))} of the dreamt tosses were neither 0 nor 1",
        f"In six seeds its KL ended at {span(column(wide, 'kl'), '{:.1f}')} nats, and it was without a gradient in "
        f"{percent(column(wide, 'still'))} of the updates",
        f"{percent(column(wide, 'neither'))} of them were neither, and {percent(column(normal, 'neither'))} at free nats of 0.05",
    )
    assert all(1.8 < a / b < 2.5 for a, b in zip(column(normal, "kl"), column(classes, "kl"))), "a Normal pays about twice the nats"
    assert all(abs(value - math.log(2)) < 0.08 for value in column(classes, "kl")), "the classes need about log 2"
    assert min(column(two, "still")) > 0.95, "with 2 the prior hears next to nothing"
    assert min(min(row["tails"], row["heads"]) for row in one) > math.exp(-1) - 0.06, "each face is pushed to about 0.37"
    assert max(column(one, "neither")) < 0.05


def test_notebook_03_computes_by_hand():
    says(
        3,
        f"= {math.log(2):.2f}$ nats: what the toss told",
        f"$\\log 2 = {math.log(2):.2f}$ nats for it",
        f"one toss tells {math.log(2):.2f} nats",
        f"$p(\\text{{heads}}) \\ge e^{{-1}} = {math.exp(-1):.2f}$",
        f"Where both faces have {math.exp(-1):.2f}",
        f"$e^{{-2}} = {math.exp(-2):.2f}$",
        f"= ({0.5 * 0.9 / 0.5:.1f},\\ {0.5 * 0.1 / 0.5:.1f})",
        f"at Bayes' answer, {0.5 * 0.9 / (0.5 * 0.9 + 0.5 * 0.1):.1f}, and nowhere else",
    )


def test_notebook_03_quotes_the_spring():
    kept = json.loads((ASSETS / "known_world.json").read_text(encoding="utf-8"))
    runs, made = kept["gaussian"], kept["settings"]["gaussian"]
    as_it_is, longer, classes = (seeds("spring", name, 3) for name in ("as it is", "longer", "classes"))
    assert len(runs) == 3
    says(
        3,
        f"({made['updates']:,} updates, {made['episodes']:,} episodes of {World().steps} steps)",
        f"in three seeds to {span(column(runs, 'visible'), '{:.3f}')} nats where the sensor sees, {span(column(runs, 'blind'), '{:.3f}')} "
        f"in the dark, and there to a standard deviation {span(column(runs, 'spread_blind'))} times the exact one",
        f"In the dark, {span(column(as_it_is, 'blind'))} nats became {span(column(longer, 'blind'))}; at the end of a blackout, "
        f"{span(column(as_it_is, 'reappearance'))} became {span(column(longer, 'reappearance'))} (three seeds)",
        f"{span(column(classes, 'visible'))} nats where the sensor sees, in place of {span(column(as_it_is, 'visible'))} (three seeds)",
    )
    assert max(column(as_it_is, "visible")) < 0.06, "a few hundredths of a nat"
    assert all(3 < row["blind"] / row["visible"] < 10 for row in as_it_is), "several times as large in the dark"
    assert min(column(as_it_is, "spread_blind")) > 1.1, "too unsure in the dark"


def test_notebook_04_quotes_the_heads_of_six_seeds():
    fixed, floor, free = (seeds("heads", name, 6) for name in ("fixed 1", "learned, floor 0.05", "learned, floor 0.0001"))
    toy, stiff = seeds("heads", "noisy toy, floor 0.05", 6), seeds("heads", "noisy toy, floor 0.3", 6)
    says(
        4,
        f"over six seeds its $\\sigma$ ended at {span(column(free, 'sigma'))}, and its miss at {span(column(free, 'miss'))} "
        f"(with the floor: {span(column(floor, 'miss'))}, fixed: {span(column(fixed, 'miss'))})",
        f"so it was with each of six seeds, {percent(column(toy, '|x| < 0.3'))}",
        f"{percent(column(stiff, '|x| < 0.3'))} in six seeds",
        f"{percent(column(stiff, '|x| > 0.7'))} at the ends",
        "the gradient that arrives at the *states* is hundreds of times longer",
        "and nearly without a floor thousands of times",
    )
    assert min(column(toy, "|x| < 0.3")) > 0.68
    assert all(abs(row["sigma"] - 0.05) < 0.001 for row in floor), "the head runs straight into its floor"
    assert all(100 < row["gradient"] / plain["gradient"] < 1000 for row, plain in zip(floor, fixed)), "hundreds of times"
    assert all(1000 < row["gradient"] / plain["gradient"] < 10_000 for row, plain in zip(free, fixed)), "thousands of times"


def test_notebook_05_quotes_its_world_model_of_six_seeds():
    cut, uncut = seeds("probe", "z cut", 6), seeds("probe", "z not cut", 6)
    fell = [row["observation"] / row["observation_100"] for row in cut]
    says(
        5,
        f"In six seeds the error became {span(fell, '{:.0f}')} times smaller in the first hundred updates, and the KL went up to "
        f"{span(column(cut, 'kl_highest'), '{:.0f}')} nats before it came down to {span(column(cut, 'kl_end'), '{:.1f}')}",
        f"{minus_span(column(uncut, 'entropy_end'))} nats in place of {span(column(cut, 'entropy_end'), '{:.1f}')}",
    )
    assert all(row["entropy"] > row["entropy_end"] > row["entropy_lowest"] + 0.2 for row in cut), "the entropy falls, and later rises"
    assert max(column(cut, "longest")) < 20, "gradients stay far below the limit of 100"
    assert max(column(cut, "z")) < 0, "z holds no velocity that a linear probe finds"


def test_notebook_05_counts_who_arrives_with_the_cut_and_without():
    cut, uncut = (stored.reached("readings", "Pendulum-v1 hidden", arm, -160) for arm in ("default", "uncut"))
    arrived = [WORDS[sum(np.isfinite(found))] for found in (uncut, cut)]
    number = WORDS[len(cut)]
    told = f"Uncut, {arrived[0]} of {number} seeds get there in these 2,400 steps; cut, {arrived[1]} of {number}"
    says(5, f"{told}. **{number.capitalize()} seeds cannot tell whether the cut costs the agent anything.**")


def test_notebook_05_quotes_the_weights_of_the_kl():
    rows = {factor: seeds("sweep", str(factor), 3) for factor in (1, 3, 60, 64 * 64 * 3)}
    one, sixty, image = rows[1], rows[60], rows[64 * 64 * 3]
    says(5, f"many times larger ({span([a['error'] / b['error'] for a, b in zip(sixty, one)], '{:.0f}')} times in three seeds)")
    says(5, f"in three colours it is {64 * 64 * 3:,}", f"by {64 * 64 * 3:,}: at which factor")
    assert max(column(rows[3], "error")) < 0.01 and min(column(image, "error")) > 0.8 and max(column(image, "kl")) < 0.05


def test_notebook_05_quotes_what_dreams_inside_the_window_buy():
    found = {n: [column(seeds("overshoot", name, 6), f"ahead_{n}") for name in ("dreams", "single steps")] for n in (1, 5, 15, 25)}
    better = {n: sum(a < b for a, b in zip(*both)) for n, both in found.items()}
    five, fifteen = ([span(errors) for errors in found[n]] for n in (5, 15))
    code_says(5, "def ahead(agent, steps=25)")
    says(
        5,
        "25 steps ahead from many rows of the held-out",
        "And 25 steps ahead?",
        f"The error five steps ahead was {five[0]} with dreams inside the window and {five[1]} without; fifteen steps ahead {fifteen[0]} "
        f"with them and {fifteen[1]} without",
        f"in {WORDS[better[1]]} of six seeds one step ahead, in {WORDS[better[5]]} of six five steps ahead, in {WORDS[better[15]]} of six "
        f"fifteen and in {WORDS[better[25]]} of six 25 steps ahead",
    )
    assert all(1 < won < 5 for won in better.values()), "it is no longer as likely as not: the words speak of chance"
    assert all(abs(median(a) - median(b)) < max(a) - min(a) for a, b in found.values()), "seeds no longer differ more than the losses"


def test_notebook_05_tells_what_its_proposals_do():
    plain, sighted, classes, clipped = (seeds("tries", name, 3) for name in ("as it is", "sighted", "classes", "clipped"))
    says(
        5,
        f"Yes: an $R^2$ of {span(column(sighted, 'z'))} in three seeds",
        f"after {600} updates it was {span([a['observation_end'] / b['observation_end'] for a, b in zip(classes, plain)], '{:.1f}')} "
        "times as large in three seeds",
        f"In three seeds the reconstruction error ended at {span(column(clipped, 'observation_end'), '{:.4f}')}, and at "
        f"{span(column(plain, 'observation_end'), '{:.4f}')} without; $h$ knew the velocity just as well",
    )
    assert all(abs(a - b) < 0.05 for a, b in zip(column(clipped, "h"), column(plain, "h")))


def code_says(number, *pieces):
    """These pieces stand in a notebook's code, where its words name their numbers."""
    code = "\n".join(cell.source for cell in code_cells(book(number)))
    gone = [piece for piece in pieces if piece not in code]
    assert not gone, f"the code of notebook {number:02d} does not hold {gone} any more: look at what its words say"


def test_notebook_03_quotes_its_settings():
    model, balance = WorldModelConfig(), WorldModelConfig().kl_balance
    assert PENDULUM.max_speed == 2 * 4 and balance == 4 / 5
    code_says(3, "default_rng(0), 300), random_episodes(clear, np.random.default_rng(1), 200)", "World(steps=40)", "default_rng(0), 5000)")
    code_says(3, "state = np.array([2.0, velocity])", "velocities = np.linspace(-4, 4, 9)", "budget(1500, quick=60)", "free in (1.0, 2.0)")
    says(
        3,
        f"All hang at the same angle, {np.degrees(2.0):.0f} degrees from upright",
        "Their velocities lie between −4 and 4 rad/s, half of what is possible",
        "least squares on 300 episodes, tested on 200 others",
        f"the raw width of {model.stoch} Normals",
        f"the size of $h$ (here {model.deter}) and $Z$ the size of $z$ (here {model.stoch})",
        f"numbers, ours has {model.deter}.",
        f"\\mathrm{{softplus}}(x) + {model.min_std}$: never below {model.min_std}",
        f"v1 weighs the KL with {model.kl_scale} (`model.kl_scale`)",
        f"of width $\\sqrt{{{model.kl_scale}}} = {math.sqrt(model.kl_scale):.1f}$ in place of 1",
        f"v1 gives {balance} to $\\mathrm{{kl}}_{{\\text{{dyn}}}}$ and {1 - balance:.1f} to $\\mathrm{{kl}}_{{\\text{{rep}}}}$",
        f"With {balance} the prior walks four fifths of the way",
        f"${1 - model.unimix}\\,\\mathrm{{softmax}} + {model.unimix}/K$",
        f"v1 uses {model.free_nats} per row",
        f"After {ladder.STEPS} random steps we read off",
        f"dream {ladder.COPIES} tosses of each",
        "live on 5,000 recorded episodes of 40 steps",
        "Train the spring for 4,000 updates instead of 1,500",
        f"reads {1**2}, {2**2} or {4**2}",
        f"are {1**2}, {2**2} and {4**2}. Does straight-through",
    )


def test_notebook_04_computes_by_hand():
    bins = [math.copysign(math.expm1(abs(x)), x) for x in np.linspace(-20, 20, 255)]
    above = next(value for value in bins if value > 1)
    below = max(value for value in bins if value <= 1)
    share = (1 - below) / (above - below)
    one, two = (math.erf(width / math.sqrt(2)) for width in (1, 2))  # what a Normal holds within so many sigmas
    gamma = 0.9
    v = 1 / (1 - gamma * 3 / 4)  # of four steps that pay 1, the last of which ends; three of four are worth gamma v more than that one
    says(
        4,
        f"$1 - \\frac13 - \\frac14 \\approx {1 - 1 / 3 - 1 / 4:.2f}$",
        f"a Normal has {100 * one:.0f} % of its draws within one $\\sigma$ of its mean, so {100 * one:.0f} of 100",
        f"(Honest bells: {one:.2f} and {two:.2f} for widths of 1 and 2.)",
        f"is above {100 * one:.0f} %;",
        f"more than {100 * one:.0f} % within one $\\sigma$",
        f"is {100 * one:.0f} % within one of it, everywhere?",
        f"0.5 for a reward at the mean, {(1 + one) / 2:.2f} one $\\sigma$ above",
        f"1 lies between {below:.2f} and {above:.2f}, with weights {1 - share:.2f} and {share:.2f}",
        f"$1 - 1/333 = {1 - 1 / 333:.3f}$",
        f"The third line asks for {1 - 1 / 333:.3f} in the first three rows",
        f"By hand, for $\\gamma = {gamma}$ and four steps that pay 1",
        f"so $v = 1 / (1 - {gamma} \\cdot \\frac34) = {v:.2f}$.",
        f"Three steps come to $1 + {gamma} \\cdot {v:.2f} = {1 + gamma * v:.2f}$, the last one to 1.",
        f"The standard deviation of these four is {gamma * v * math.sqrt(3) / 4:.2f}. That of the rewards is 0.",
        f"$1/0.05^2 = {1 / 0.05**2:.0f}$",
    )


def test_notebook_04_quotes_its_settings():
    config = preset("dropin")
    lowest = -(math.pi**2 + 0.1 * PENDULUM.max_speed**2 + 0.001 * PENDULUM.max_torque**2)
    unit = unit_of_the_stored_agent()
    scaled = f"−{-lowest / unit:.1f}"
    code_says(4, "for n in range(20)]", "for n in range(6)]", "for floor in (0.05, 0.0001)", "0.1 + 0.4 * x", "-20, 20, 255")
    says(
        4,
        f"| `sac.reward_scale` | {config.sac.reward_scale} |",
        f"so in the unit returns are spread by {config.sac.reward_scale}.",
        f"Pendulum's unit is about {round(unit)}: {minus(lowest)} to 0 becomes {scaled} to 0",
        f"| `model.reward_scale` | {config.model.reward_scale:g} |",
        f"counts as one of 1 in each of {config.model.reward_scale:g} entries of the observation",
        f"Dividing rewards by {round(unit)} while $\\sigma$ stays 1",
        f"and `model.reward_scale` gives back a factor of {config.model.reward_scale:g}:",
        f"Who finds the {round(unit)}? In notebook 02 we did",
        f"let it watch {20 + 6} episodes",
        f"(`reward_min_std`, {config.model.reward_min_std})",
        f"With a floor of {config.model.reward_min_std} the head runs",
        f"on rewards between {scaled} and 0 promises nothing",
        f"$\\gamma = {config.sac.gamma}$ is a setting of the critic",
        f"nothing comes after {gym.spec('Pendulum-v1').max_episode_steps} steps of Pendulum",
        "with $\\sigma(x) = 0.1 + 0.4\\,|x|$",
        "for $x$ from −20 to 20",
    )


def test_notebook_05_quotes_its_settings():
    model, curve = WorldModelConfig(), stored.curves("readings", "Pendulum-v1 hidden", "default")[0]
    nats = 0.5 * math.log(2 * math.pi)
    lowest = nats * model.reward_scale * (1 + model.overshoot_scale)
    assert model.reward_std == 1
    code_says(5, "gradient_flow", "replay.sample(128, 8)", "budget(200, quick=10)", "factors = [1, 3, 60, 12_288]", "start=10, steps=40")
    code_says(5, ">= -160")
    says(
        5,
        "Take a window of **8 rows**, 0 to 7",
        "*Of the 8 encoder outputs",
        "And of the 8 recurrent states",
        f"$w_r = {model.reward_scale:g}$ | `model.reward_scale`",
        f"$\\beta = {model.kl_scale}$ | `model.kl_scale`",
        f"$w_d = {model.overshoot_scale}$ | `model.overshoot_scale`",
        f"With {model.reward_scale:g}, a reward that is wrong by one unit costs as much as {WORDS[round(model.reward_scale)]} entries",
        f"*after* its weight: the KL has been multiplied by {model.kl_scale}",
        f"\\log 2\\pi \\approx {nats:.2f}$ nats in each row",
        f"With the weight of {model.reward_scale:g} that makes {nats * model.reward_scale:.1f}",
        f"with theirs, another {nats * model.reward_scale * model.overshoot_scale:.1f}. So a total near {lowest:.0f} is as low",
        f"it dreams K = {model.overshoot} rows on (`model.overshoot`)",
        f"| the total seems to stand still near {lowest:.0f} |",
        f"our KL weight is {model.kl_scale}. Multiply it by 3, by 60",
        "For Pendulum's 3 entries that is a factor of 3",
        "Each model trains for 200 updates",
        f"its range (−{PENDULUM.max_speed} to {PENDULUM.max_speed})",
        "Look at step 10",
        f"angles that are 1/{1 / PENDULUM.dt:.0f} second apart",
        f"We count who reaches a return of −160; the best controller there is gets about {minus(BEST)}",
        f"in these {curve[-1, 0]:,.0f} steps",
    )


def test_notebook_12_states_the_settings():
    text, code = prose(book(12)), "\n".join(cell.source for cell in code_cells(book(12)))
    paper, v1, ends = preset("dreamerv3"), preset("dropin").sac, symexp_bins()
    actor_critic, kept = paper.dreamerv3, 1 - paper.dreamerv3.slow_rate
    assert f"$-{float(ends[-1]) / 1e8:.1f}\\cdot10^8$ to ${float(ends[-1]) / 1e8:.1f}\\cdot10^8$" in text
    assert f"with λ = {actor_critic.lam} and H = {paper.imagination.horizon}" in text and f"even at $\\lambda = {actor_critic.lam}$" in text
    assert f"\\leftarrow {kept:.2f}\\,\\bar\\theta + {actor_critic.slow_rate:.2f}\\,\\theta" in text
    assert f"p\\big) + {actor_critic.slow_scale:.1f}\\cdot" in text
    assert f"weights of both $q$ | {v1.polyak} (preset `dropin`)" in text and f"weights of $v$ | {kept:.2f} |" in text
    assert f"the 5th and the 95th percentile of the returns | {1 - actor_critic.range_rate:.2f} |" in text
    assert f"start at 0 and follow at {actor_critic.range_rate}" in text and f"with weight {actor_critic.replay_scale}, on" in text
    assert f"{actor_critic.std_min} \\le \\sigma \\le {actor_critic.std_max:.0f}" in text
    assert f"with bounds of {actor_critic.std_min} and {actor_critic.std_max:.0f}" in text
    assert "believe(count)" in code and "count, copies, steps = 32, 16, budget(300" in code
    assert "From 32 states it dreams 300 steps, 16 times each" in text
    assert "randn(total, 32)" in code and "change, total = 200" in code
    assert "each update brings 32 noisy returns around 0. After 200 updates" in text
    assert "normal_entropy(std), paid, value, scale, torch.ones(256), 0.01)" in code and "$\\eta = 0.01$ here" in text
    assert "episodes=25, length=17" in code and "the same 400 random steps" in text and 25 * (17 - 1) == 400


def test_notebook_14_computes_by_hand():
    """The ferry lies at 0 m, the jetty at 3 m; three pushes."""
    jetty, pushes, position, velocity, rows = 3, (1.5, 1.0, 0.0), 0.0, 0.0, []
    for number, push in enumerate(pushes, 1):
        before = velocity
        position, velocity = nb14.glide(position, velocity, push)
        force = "0.5 · (−0.24)" if push == 0 else f"({push:g} + 0.5 · {1 - before:.1g})"
        start = f"{before:.4g} + " if before else "0 + "
        rows.append(
            f"| {number} | {push:g} | {start}0.4 · {force} = {velocity:.4g} | {position:.5g} | {jetty - position:.5g} |",
        )
        assert push or 1 - before == pytest.approx(-0.24), "the third row's difference between current and velocity"
    says(
        14,
        f"A step lasts {nb14.STEP} s. The water flows at {nb14.CURRENT:g} m/s. It drags at the ferry with {nb14.DRAG} m/s² for each m/s",
        f"v' = v + {nb14.STEP}\\,\\big(\\text{{push}} + {nb14.DRAG}\\,(1 - v)\\big), \\qquad x' = x + {nb14.STEP}\\,v'",
        f"The ferry lies at 0 m, the jetty at {jetty} m. We push with {pushes[0]}, then with 1, then not at all",
        *rows,
        f"Then the first reward would be {jetty} m off",
    )
    code_says(14, "actions=[1.5, 1.0, 0.0], rewards=by_hand", '"places": (0.0, 3.0)')


def test_notebook_14_counts_the_checks():
    text = prose(book(14))
    assert len(own_world.CHECKS) == 10 and "The course asks ten questions more" in text and "Ten marks." in text


def test_notebooks_00_to_02_tell_pendulum_as_it_is():
    steps, world = gym.spec("Pendulum-v1").max_episode_steps, gym.make("Pendulum-v1").unwrapped
    second = round(1 / world.dt)
    moments = Dreamer.load(ASSETS / "pendulum.safetensors").config.env_steps
    start, rows, sac = prose(PATHS[0]), prose(PATHS[1]), prose(PATHS[2])
    assert f"pendulum for {moments:,} moments of 1/{second} second: {moments // second} seconds in" in start
    assert f"dreams alone: {moments:,} real steps" in start and f"| *episode* | {steps} steps from" in start
    assert f"guess above ({second} steps are a second)" in start and f"last look; {second} steps are a second" in start
    assert f"over an episode of {steps} steps," in rows and f"| after {steps} steps |" in rows
    torque = round(float(world.max_torque))
    assert f"motor takes −{torque} to {torque} newton" in rows and f"$\\Delta t = {world.dt}$ s" in rows
    assert f"One step is 1/{second} of a second, an episode has {steps} steps." in sac and f"ends; after {steps} steps somebody" in sac
    worst = np.pi**2 + 0.1 * world.max_speed**2 + 0.001 * torque**2
    assert f"reaches {minus(-int(worst))} in one step" in sac


def test_notebook_01_computes_what_it_says():
    text, gamma, steps = prose(PATHS[1]), 0.9, 8
    assert f"$1 / (1 - {gamma}) = {1 / (1 - gamma):.0f}$. We watch it **{steps} steps at a time**" in text
    believed = 1 / (1 - gamma * (1 - 1 / steps))
    assert f"\\frac{{1}}{{1 - {gamma} \\cdot \\tfrac78}} \\approx {believed:.1f} . $$" in text
    noise, dt = 0.01, ceiling.DT
    error = noise * np.sqrt(2) / dt
    assert (
        f"An error of {noise} becomes about {error:.2f}: times {1 / dt:.0f}, for the division by {dt}, and times {np.sqrt(2):.1f}," in text
    )
    assert f"each kept for {Config().schedule.hold:.0f} steps on average" in text


def test_notebook_02_computes_what_it_says():
    text, sac = prose(PATHS[2]), preset("dropin").sac
    assert f"2 \\approx {np.log(2):.1f}$. $\\alpha$" in text and f"upper end, {np.log(2):.2f} for one action" in text
    factor = 0.1  # set by hand in the code, since it does on Pendulum what the agent's unit does
    code_says(2, f"config.reward_scale = {factor}  # by hand")
    assert factor == pytest.approx(1 / unit_of_the_stored_agent(), rel=0.15) and f"multiply rewards by {factor} by hand" in text
    assert f"(`config.reward_scale = {factor}`)" in text and f"$\\alpha = {sac.alpha}$ fixed. Here" in text
    assert f"is then a price of {sac.alpha / factor:.1f} per nat." in text
    shrinks = 1 - np.tanh(2.0) ** 2
    assert f"$u = 2$ it is {shrinks:.2f}, and the density goes up {1 / shrinks:.0f}-fold" in text
    assert torch.tanh(torch.tensor(9.1)) == 1 and "$\\tanh(9.1)$ *is* 1." in text
    forever = -1 / (1 - sac.gamma)
    assert f"With $\\gamma = {sac.gamma}$ every state is worth" in text
    assert f"two answers, {minus(forever)} and −1, and" in text and f"(about {1 / (1 - sac.gamma):.0f} steps ahead)" in text
    assert f"takes $\\rho = {sac.polyak}$" in text and f"It arrives later, {100 * (1 - sac.polyak):.0f} % at a time" in text
    assert f"$e^{{-1}} \\approx {np.exp(-1):.2f}$" in text
    learning = "\n".join(cell.source for cell in code_cells(PATHS[2]))
    assert "budget(400, quick=200)" in learning and "the agent takes 400 random steps" in text
    assert "if step % 20 == 0:" in learning and "for _ in range(20)]" in learning and "every 20 steps, 20 updates." in text


def test_notebook_02_tells_how_earlier_runs_began():
    begun, later = returns_at("suite", "sac", Config().evaluation.every), returns_at("suite", "sac", 600)
    assert all(after < before for before, after in zip(begun, later))
    assert f"so did all {WORDS[len(later)]} earlier runs, at step 600" in prose(PATHS[2])


def test_notebook_10_tells_what_a_look_and_a_wrong_answer_cost():
    says(10, f"A right one brings {FULL} points, less {A_LOOK} for each look after the first and {A_MISS} for each wrong answer before it")
    says(10, f"but at least {A_LOOK}.")


def test_notebook_11_computes_by_hand():
    kept = [1 - 1 / (1 + math.exp(bias)) for bias in (0, 1)]
    root = math.sqrt((3**2 + 4**2) / 2)
    outermost = math.expm1(20) / 255
    says(
        11,
        f"${100_000:,} / {16 * 16} \\approx {100_000 / 256:.0f}$ updates".replace(",", "{,}", 1),
        f"after those {100_000 / 256:.0f} updates",
        f"keeps $1 - \\sigma(0) = {kept[0]:.1f}$ of $h$ at each step, this one $1 - \\sigma(-1) = {kept[1]:.2f}$",
        f"weights of norm {2} and a gradient of norm {10}. It may be {0.3 * 2:.1f} long, so the factor is {0.3 * 2 / 10:.2f}",
        f"$1 \\to \\ln 2 \\approx {math.log(2):.2f}$, $1000 \\to \\ln 1001 \\approx {math.log(1001):.2f}$",
        f"a 255th of it {WORDS[round(outermost / 1e6)]} million",
        f"$\\sqrt{{{root**2:.1f}}} \\approx {root:.2f}$ and becomes $({3 / root:.2f}, {4 / root:.2f})$",
    )
    assert 4.5e8 < math.expm1(20) < 5.5e8, "half a billion"
    assert math.expm1(0.1) == pytest.approx(0.1, abs=0.01), "an error of 0.1 in symlog is a tenth of the number"


def test_notebook_11_quotes_its_settings():
    model, replay, paper = WorldModelConfig(), Config().replay, preset("dreamerv3")
    prior, rest = model.kl_balance, 1 - model.kl_balance
    code_says(11, "shift : r.stop - shift]", "observation_units=(1.0, 1.0, 1000.0)", "budget(200, quick=15)", "spiked[calm] = 100.0")
    says(
        11,
        f"cut into windows of {replay.length} rows",
        f"A batch holds {replay.batch * replay.length} rows",
        f"v1, with an $h$ of {model.deter} numbers",
        f"v1's clip of the global norm (at {model.clip_norm:.0f})",
        f"The course's preset takes {paper.optimizer.warmup}.",
        f"| paper of 2024 (v2), current code | {paper.model.kl_dyn} | {paper.model.kl_rep} | {paper.model.kl_free:.0f} |",
        f"one weight {model.kl_scale}, balanced {prior} to {rest:.1f} | {model.kl_scale * prior:.3f} | {model.kl_scale * rest:.3f} | "
        f"{model.free_nats} |",
        f"{paper.model.kl_dyn / paper.model.kl_rep:.0f} to 1 since 2024",
        f"{prior / rest:.0f} to 1 in v1",
        f"one nat each for free, {paper.model.kl_dyn} and {paper.model.kl_rep} since 2024",
    )


def test_notebook_13_describes_the_world_in_pixels_and_the_nets_that_read_it():
    config, env = preset("pixels").model, gym.make("dreamer/PixelPendulum-v0")
    (side, _, channels), grid = env.observation_space.shape, senses.GRID
    centre, scale = senses.PICTURE.unit
    patch, large = side // grid, senses.SIDES[-1]
    model = Dreamer(preset("pixels"), env.observation_space.shape, 1).model
    assert model.decoder.patch == patch and model.encoder.out[0].out_features == config.units
    assert config.observation_scale == 0.1 and not config.detach_z and scale == 255 and channels == 1
    says(
        13,
        f"{side} × {side} bytes of grey, and no names",
        f"| encoder | a layer of {config.units} units | two convolutions with strides, then a layer of {config.units} units |",
        f"| replay buffer | {senses.VECTOR.stored.itemsize} bytes a number | {senses.PICTURE.stored.itemsize} byte a pixel |",
        f"\\mu_o = {centre},\\quad \\sigma_o = {scale:.0f}",
        f"a grid of {grid} × {grid} **places**",
        f"write the {patch} × {patch} pixels of its own **patch**",
        f"stand the {patch**2} numbers of its patch, row by row (with three channels, first the {patch**2} of the first)",
        f"a probe of {side**2:,} pixels finds chance",
        f"pictures of {large} × {large} in colours are {WORDS_TO_TWELVE[3 * large**2 // side**2]} times as large",
        "error counts a tenth (`model.observation_scale`)",
    )


WORDS_TO_TWELVE = [*WORDS, "eleven", "twelve"]


def test_notebook_13_tells_what_pictures_cost():
    pictures = stored.curves("pixels", "dreamer/PixelPendulum-v0", "pixels")
    vectors = stored.curves("suite", "Pendulum-v1", "default")
    ends = [curve[-1][1] for curve in pictures]
    short = sum(end < -200 for end in ends)
    says(
        13,
        f"{WORDS[short]} of the {WORDS[len(ends)]} ended below −200",
        f"{WORDS[len(ends)]} seeds with pictures and {WORDS[len(vectors)]} with numbers",
    )
    assert median(ends) == pytest.approx(median(curve[-1][1] for curve in vectors), abs=30), "in the median they do not end near each other"
    seen, told = (median(next(step for step, value in curve if value > -250) for curve in curves) for curves in (pictures, vectors))
    assert seen > 2 * told, "the rise does not come later"
    assert np.std(ends) > 2 * np.std([curve[-1][1] for curve in vectors]), "its seeds do not differ more"


def test_notebook_13_tells_how_many_pixels_the_ball_covers():
    """Its light on black, in pixels: the difference of two pictures, one with the ball elsewhere."""
    env = gym.make("dreamer/PixelPointMass-v0").unwrapped
    env.reset(seed=0)
    pictures = []
    for place in (-0.6, 0.6):
        env.state = np.array([-0.5, place, 0.0, 0.0])
        pictures.append(env.step(np.zeros(2))[0].astype(float))
    light = np.clip(pictures[0] - pictures[1], 0, None).sum() / 255
    says(13, f"It covers {WORDS[round(light)]} or so of the {pictures[0].size:,} pixels")

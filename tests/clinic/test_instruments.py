"""Every instrument: exact on healthy agents, right about the fault that it must see, and without a trace afterwards."""

import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch

from dreamer_core.agent import Dreamer
from dreamer_core.classroom import transplant
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.clinic.examine import PATTERNS, WHERE
from dreamer_core.clinic.faults import ALL, FAULTS, suffering
from dreamer_core.clinic.instruments import EXACT, INSTRUMENTS, RUNS, TRAINED, critic, reading, replay, rows, runs, steps
from dreamer_core.clinic.instruments.reading import Reading, exactly, in_words, numbers_reading
from dreamer_core.clinic.subject import Subject, small
from dreamer_core.config import Config, from_dict

LEDGE = "dreamer_core.clinic.ledge:Ledge-v0"
KINDS: dict[str, Config] = {
    "dropin": small(LEDGE),
    "advantage": small("dreamer/PointMass-v0", "advantage"),
    "categorical": small(LEDGE, model=dict(latent="categorical", stoch=4, classes=5)),
    "chunks, zero": small(LEDGE, replay=dict(layout="chunks", start="zero", write_back_zero=False, burn_in=2)),
    "raw units": small(LEDGE, model=dict(standardize=False, detach_z=False)),
    "pixels": from_dict(dict(preset="pixels", env=LEDGE)),
    "dreamerv3": from_dict(dict(preset="dreamerv3", env=LEDGE)),
    "discrete": from_dict(dict(preset="dreamerv3", env="CartPole-v1")),
}


def sick_config(name: str) -> Config:
    """Small settings that run the wrong function."""
    return small(LEDGE, FAULTS[name].presets[0])


@pytest.fixture(scope="module")
def readings() -> dict[str, dict[str, Reading]]:
    """What the instruments that a fault's pattern names find in one with the fault."""
    found = {}
    for fault in ALL:
        subject = Subject.with_fault(fault, sick_config(fault.name))
        asked = {number.split(":")[0] for number in PATTERNS[fault.name]}
        found[fault.name] = {name: INSTRUMENTS[name].measure(subject) for name in asked}
    return found


# --- healthy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_exact_instruments_find_every_kind_of_agent_healthy(kind):
    for name, instrument in EXACT.items():
        found = instrument.measure(Subject.healthy(KINDS[kind]))
        assert found.numbers or found.unknown, f"{name} measures nothing in {kind}, and does not say why"
        assert not found.off, f"{name} accuses a healthy agent ({kind}): {found.says}"


@pytest.mark.parametrize("name", ["served", "noise", "density", "objective", "reach"])
def test_instruments_that_draw_numbers_are_right_for_many_seeds(name):
    for seed in range(12):
        found = EXACT[name].measure(Subject.healthy(replace(KINDS["dropin"], seed=1000 + seed)))
        assert not found.off, f"{name} accuses a healthy agent with seed {1000 + seed}: {found.says}"


def test_a_reading_is_the_same_again():
    one, other = (EXACT["noise"].measure(Subject.healthy(KINDS["dropin"])).numbers for _ in range(2))
    assert one == other


def test_instruments_leave_the_generator_and_the_agent_as_they_were():
    agent = Dreamer(KINDS["dropin"], 2, 1)
    before, chance = agent.state_dict(), torch.get_rng_state()
    for instrument in EXACT.values():
        instrument.measure(Subject.of(agent))
    assert torch.equal(chance, torch.get_rng_state()), "an instrument drew from the generator that everybody uses"
    after = agent.state_dict()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert not changed, f"an instrument changed the agent: {changed}"


def test_instruments_look_at_the_agents_own_class():
    class Forgetful(Dreamer):
        def policy(self, carry, observation, first, explore):
            return super().policy(carry, observation, torch.ones_like(first), explore)

    found = EXACT["seen"].measure(Subject.of(Forgetful(KINDS["dropin"], 2, 1)))
    assert "h off" in found.off, "an agent that starts an episode at each step was not noticed"


# --- sick -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [fault.name for fault in ALL])
def test_the_pattern_of_a_fault_shows(readings, name):
    for number, side in PATTERNS[name].items():
        instrument, what = number.split(": ")
        found = readings[name][instrument]
        if what in found.numbers:  # the rates of a given agent are not there
            assert found.off.get(what) == side, f"{name} should show in {number} ({side}), which is {found.numbers[what]}"


def test_noise_of_a_categorical_z_is_told_as_well():
    """Without chance each z is the likeliest class: there is no spread between dreams from one start."""
    found = {
        name: EXACT["noise"].measure(Subject.with_fault(FAULTS[name], KINDS["categorical"])).off for name in ("no_chance", "same_noise")
    }
    assert found["no_chance"].get("spread") == "low", found
    assert found["same_noise"] == {"memory": "high"}, found


def test_what_a_fault_does_to_a_number_is_what_paper_says(readings):
    right = {
        ("reward_row_early", "rows", "reward rows late"): -1,
        ("limit_is_end", "rows", "time limits stored as ends"): 1,
        ("written_one_row_early", "refreshed", "rows late"): -1,
        ("mean_over_entries", "losses", "observation"): 1 / 3,  # of three entries
        ("heads_read_data", "reach", "heads to the encoder"): 0,
        ("kl_reversed", "divergence", "direction"): 0,
        ("all_is_free", "divergence", "push on the prior"): 0,
        ("same_noise", "noise", "memory"): 1,
        ("no_chance", "noise", "spread"): 0,
        ("also_after_the_end", "starts", "weight after an end"): 1,
        ("target_never_moves", "target", "share of the way"): 0,
        ("target_copied", "target", "share of the way"): 1 / (1 - 0.98),
        ("past_the_end", "returns", "worth after an end"): 1,
        ("entropy_twice", "objective", "weight of the entropy"): 2,
        ("actor_rate_small", "steps", "actor step"): 0.01,
        ("model_rate_large", "steps", "model step"): 100,
    }
    for (fault, instrument, number), value in right.items():
        found = readings[fault][instrument].numbers[number]
        assert found == pytest.approx(value, rel=0.02, abs=0.02), f"{number} of {fault} is {found} and not {value}"


def test_a_density_of_u_has_too_little_probability(readings):
    """E[1 - tanh(u)^2] of a Normal u, by another integral than the instrument's."""
    with suffering(FAULTS["of_u_alone"]):
        whole = readings["of_u_alone"]["density"].numbers["whole"]
    u = np.random.default_rng(0).normal(size=(200_000, 2))
    assert whole == pytest.approx(np.mean(np.prod(1 - np.tanh(u) ** 2, 1)), rel=0.35), "with a deviation near 1, as an untrained actor has"
    assert whole < 0.7


def test_every_instrument_is_in_the_tables():
    assert set(WHERE) | {"twin"} == set(INSTRUMENTS) == set(EXACT | TRAINED | RUNS)
    for instrument in INSTRUMENTS.values():
        assert instrument.sentence and instrument.excludes and instrument.cannot, instrument.name


# --- the parts of single instruments ----------------------------------------------------------------


@pytest.mark.parametrize("late", [-2, -1, 0, 1, 2])
def test_rows_late_finds_the_shift(late):
    true = np.random.default_rng(0).normal(size=40)
    number = np.arange(5, 35)
    assert rows.rows_late(true[number - late], number, true, np.full(40, True)) == late


def test_rows_that_fit_no_shift_are_no_number():
    number = np.arange(5, 35)
    assert math.isnan(rows.rows_late(np.zeros(30), number, np.arange(40.0), np.full(40, True)))


@pytest.mark.parametrize(
    ("wrong", "number"),
    [
        (lambda terminated, truncated: (terminated, terminated), "episodes that go on"),
        (lambda terminated, truncated: (terminated or truncated, terminated and not truncated), "ends stored as ends"),
        (lambda terminated, truncated: (terminated or truncated, truncated), "time limits stored as ends"),
    ],
    ids=["limit ignored", "limit wins", "flags exchanged"],
)
def test_wrong_endings_are_told_apart(monkeypatch, wrong, number):
    from dreamer_core import trainer

    monkeypatch.setattr(trainer, "ending", wrong)
    assert number in EXACT["rows"].measure(Subject.healthy(KINDS["dropin"])).off


def test_a_wrong_action_row_and_a_lost_start_are_seen(monkeypatch):
    from dreamer_core.replay import LatentReplay

    right = LatentReplay.window

    def other(self, start, length):
        window = right(self, start, length)
        return window._replace(action=window.action.roll(1, 1), first=torch.zeros_like(window.first))

    monkeypatch.setattr(LatentReplay, "window", other)
    found = EXACT["rows"].measure(Subject.of(Dreamer(KINDS["dropin"], 2, 1)))
    assert found.numbers["action rows late"] == 1
    assert found.off["starts marked"] == "low"


def test_weights_that_forget_earlier_ends_and_units_that_are_squares_are_seen(monkeypatch):
    from dreamer_core import trajectories, world_model

    monkeypatch.setattr(trajectories, "alive_weight", lambda cont: torch.cat([torch.ones_like(cont[:, :1]), cont[:, :-1]], 1))
    assert list(EXACT["returns"].measure(Subject.healthy(KINDS["dropin"])).off) == ["weights off"]
    monkeypatch.setattr(world_model, "observation_units", lambda rows: (rows.mean(0), rows.var(0)))
    assert list(EXACT["seen"].measure(Subject.healthy(KINDS["dropin"])).off) == ["unit of observations"]


@pytest.mark.parametrize(
    ("target", "name", "accused"),
    [
        ("dreamer_core.agent:dream_starts", "any_end", "starts: weight elsewhere"),
        ("dreamer_core.sac:twin_critic_loss", "weight_ignored", "returns: critic loss"),
        ("dreamer_core.rssm:RSSM.observe_plain", "posterior_of_the_old_h", "recurrence: posterior off"),
        ("dreamer_core.agent:see_and_act", "not_squashed", "seen: beyond the bounds"),
        ("dreamer_core.latents:gaussian_kl", "half_log", "divergence: direction"),
    ],
)
def test_learners_mistakes_that_are_no_fault_of_the_list_are_seen(target, name, accused):
    (exercise,) = (each for each in EXERCISES.values() if each.target == target)
    (mistake,) = (each for each in exercise.mistakes if each.name == name)
    instrument, number = accused.split(": ")
    right = transplant.current(exercise)
    transplant.swap(exercise, mistake.wrong)
    try:
        found = EXACT[instrument].measure(Subject.healthy(KINDS["dropin"]))
    finally:
        transplant.swap(exercise, right)
    assert number in found.off, f"{name} in {target} was not seen: {found.numbers}"


def test_a_dream_that_acts_without_chance_is_seen(monkeypatch):
    from dreamer_core.sac import Actor

    monkeypatch.setattr(Actor, "draw", lambda self, state: self(state)[0])
    assert EXACT["noise"].measure(Subject.healthy(KINDS["dropin"])).off == {"action spread": "low"}


def test_a_target_that_wanders_is_seen(monkeypatch):
    from dreamer_core import sac

    def astray(target, source, polyak):
        with torch.no_grad():
            for param in target.parameters():
                param += 0.01 * torch.randn_like(param)

    monkeypatch.setattr(sac, "ema_update", astray)
    assert "aside" in EXACT["target"].measure(Subject.healthy(KINDS["dropin"])).off


def test_returns_are_added_up_as_on_paper():
    """Two steps, lambda 1/2: R_1 = 2 + .9 * .5 * 4 = 3.8, R_0 = 1 + .9 * [.5 * 3 + .5 * (.2 + 3.8)] = 4.15."""
    reward, cont = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.5]])
    value, bonus = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.2, 9.0]])
    assert critic.added_up(reward, cont, value, bonus, 0.9, 0.5)[0].tolist() == pytest.approx([4.15, 3.8])


def test_the_script_says_what_it_does():
    world = gym.make("ClinicScript-v0").unwrapped
    world.reset()
    ends = [world.step(np.zeros(2))[1:4] for _ in range(5)]
    assert ends == [(1.0, False, False), (2.0, False, False), (3.0, False, False), (4.0, False, False), (5.0, True, False)]
    world.reset()
    assert [world.step(np.zeros(2))[2:4] for _ in range(7)] == [(False, False)] * 6 + [(False, True)]
    world.reset()
    assert [world.step(np.zeros(2))[2:4] for _ in range(6)] == [(False, False)] * 5 + [(True, True)]


def test_a_given_agents_own_rates_count():
    agent = Dreamer(KINDS["dropin"], 2, 1)
    agent.optimizers["model"].param_groups[0]["lr"] *= 30
    assert EXACT["steps"].measure(Subject.of(agent)).off == {"model rate": "high"}
    agent = Dreamer(KINDS["dropin"], 2, 1)
    agent.grad_steps = 5000  # rates have fallen, as the schedule says
    agent.anneal()
    assert not EXACT["steps"].measure(Subject.of(agent)).off


def test_a_part_that_no_optimiser_holds_has_no_rate():
    agent = Dreamer(KINDS["dropin"], 2, 1)
    assert math.isnan(steps.began_with(agent, torch.nn.Linear(1, 1), "model"))


# --- readings ---------------------------------------------------------------------------------------


def test_a_reading_names_what_is_off_and_on_which_side():
    says = dict.fromkeys("abcd", "a number")
    healthy = {"a": exactly(1), "b": (0.0, 2.0), "c": (0.0, 2.0), "d": exactly(1)}
    found = numbers_reading(says, healthy, {"a": 1.0, "b": -1.0, "c": 3.0, "d": math.nan})
    assert found.off == {"b": "low", "c": "high", "d": "none"}
    assert found.says.startswith("Not as in a healthy agent")
    assert numbers_reading(says, healthy, {"a": 1.0}).says == "As in a healthy agent."
    assert numbers_reading(says, healthy, {}).figure is None


def test_ranges_in_words():
    assert [in_words(each) for each in ((0.999, 1.001), reading.POSITIVE, (0.5, 1.6), (-math.inf, 3.0))] == [
        "1",
        "above 0",
        "0.5 to 1.6",
        "below 3",
    ]


@pytest.mark.parametrize("name", EXACT)
def test_figures_have_words_and_show_every_number(name):
    found = EXACT[name].measure(Subject.healthy(KINDS["dropin"]))
    figure = found.figure()
    assert figure.alt and figure.caption
    if len(figure.axes) == len(found.numbers) > 1 and name not in ("rows", "served", "noise", "density"):
        assert all(len(axis.lines) for axis in figure.axes), "a number is not drawn"


def test_the_figure_of_what_is_served_counts_rows():
    figure = replay.served_figure(torch.tensor([0, 3, 5, 5]))
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0, 3, 5, 5]
    assert "1 rows never" in figure.alt


def test_the_ladder_does_not_ask_dreamerv3():
    found = RUNS["ladder"].measure(Subject.healthy(KINDS["dreamerv3"]))
    assert not found.numbers and found.unknown


def test_the_figure_of_the_ladder_marks_failed_rungs():
    figure = runs.ladder_figure({"constant": 0.2, "memory": 3.0})
    assert "failed: memory" in figure.alt


def test_trained_instruments_say_why_they_have_nothing_to_look_at():
    for name, instrument in TRAINED.items():
        found = instrument.measure(Subject.of(Dreamer(KINDS["dropin"], 2, 1)))
        assert not found.numbers and "empty" in found.unknown[0], name

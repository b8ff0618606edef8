"""`examine`: never a false alarm, and the fault among the first two suspects."""

import sys
from dataclasses import replace

import pytest
import torch

from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.classroom import transplant
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.clinic import examine
from dreamer_core.clinic.examine import PATTERNS, Report, suspects
from dreamer_core.clinic.faults import ALL, FAULTS, suffering
from dreamer_core.clinic.instruments import RUNS, Reading
from dreamer_core.clinic.subject import small
from dreamer_core.config import Config, from_dict, preset
from dreamer_core.errors import DreamerError

LEDGE = "dreamer_core.clinic.ledge:Ledge-v0"
WHOLE: dict[str, tuple[Config, int, int]] = {
    "dropin": (preset("dropin"), 3, 1),
    "advantage": (preset("advantage"), 3, 1),
    "dreamerv3": (from_dict(dict(preset="dreamerv3", env=LEDGE)), 2, 1),
    "PointMass": (from_dict(dict(env="dreamer/PointMass-v0")), 4, 2),
}


@pytest.mark.parametrize("seed", [11, 12, 13])
@pytest.mark.parametrize("name", WHOLE)
def test_there_is_no_false_alarm(name, seed):
    config, observation, action = WHOLE[name]
    report = examine(Dreamer(replace(config, seed=seed), observation, action))
    assert report.healthy and not report.suspects and not report.remarks, str(report)


@pytest.fixture(scope="module")
def reports():
    """What is found in an untrained agent while each fault is in place."""
    found = {}
    for fault in ALL:
        with suffering(fault):
            found[fault.name] = examine(Dreamer(small(LEDGE, fault.presets[0]), 2, 1))
    return found


def test_faults_are_among_the_first_two_suspects(reports):
    missed = {name: report.suspects[:3] for name, report in reports.items() if name not in report.suspects[:2]}
    assert not missed, f"faults that are not among the first two suspects: {missed}"
    second = [name for name, report in reports.items() if report.suspects[0] != name]
    assert not second, f"another fault is suspected first: {second}"


def test_a_report_says_what_accuses_and_where_to_look(reports):
    text = " ".join(str(reports["target_copied"]).split())
    assert "Something is not as in a healthy agent" in text
    assert "share of the way 50 (healthy: 1)" in text
    assert "ema_update" in text and FAULTS["target_copied"].sentence in text
    assert not reports["target_copied"].healthy


def test_no_two_patterns_are_the_same():
    patterns = [tuple(sorted(pattern.items())) for pattern in PATTERNS.values()]
    assert len(set(patterns)) == len(patterns)
    assert PATTERNS.keys() == FAULTS.keys()


def test_the_better_fit_is_suspected_first():
    whole = dict(PATTERNS["entropy_twice"])
    assert suspects(whole)[0] == "entropy_twice"
    assert suspects(dict(PATTERNS["advantage_with_gradient"]))[0] == "advantage_with_gradient"
    assert suspects({"losses: observation": "high"}) == [], "the other side is another fault"


def test_a_learners_wrong_part_is_found_as_it_is():
    exercise = next(each for each in EXERCISES.values() if each.target == "dreamer_core.latents:balanced_kl")
    transplant.install(exercise, lambda kl_dyn, kl_rep, balance, free_nats: kl_dyn + kl_rep)
    try:
        report = examine(Dreamer(small(LEDGE), 2, 1))
    finally:
        transplant.remove(exercise)
    assert not report.healthy and "divergence: push on the prior" in report.accusing
    assert examine(Dreamer(small(LEDGE), 2, 1)).healthy


def test_an_instrument_that_stops_does_not_stop_the_others():
    class Broken(Dreamer):
        def dream(self, seen=None):
            raise ValueError("no dream today")

    report = examine(Broken(small(LEDGE), 2, 1))
    assert not report.healthy
    assert "no dream today" in report.stopped["starts"] and "rows" in report.readings
    assert "no dream today" in str(report)


def test_numbers_that_are_none_accuse():
    agent = Dreamer(small(LEDGE), 2, 1)
    with torch.no_grad():
        agent.sac.actor.net[-1].bias.fill_(torch.nan)
    report = examine(agent)
    assert not report.healthy and report.accusing == {"steps: broken weights": "high"}, str(report)


def test_an_agent_without_a_world_model_is_turned_away():
    with pytest.raises(DreamerError, match="world model"):
        examine(ModelFree(small(LEDGE), 2, 1))


def test_what_could_not_be_told_is_told():
    report = examine(Dreamer(small(LEDGE), 2, 1))
    assert any("empty replay buffer" in sentence for sentence in report.unknown)
    assert any("No training run" in sentence for sentence in report.unknown)


def test_runs_are_made_if_asked_for(monkeypatch):
    """The two runs, in the place of which something quick stands here; the twin is no use to an agent of one's own."""
    asked = []

    def pretend(name):
        return replace(RUNS[name], measure=lambda subject: asked.append(name) or Reading({"x": 9.0}, {"x": (0.0, 1.0)}, None, "Off."))

    monkeypatch.setattr(sys.modules[Report.__module__], "RUNS", {name: pretend(name) for name in RUNS})
    report = examine(Dreamer(small(LEDGE), 2, 1), runs=True)
    assert asked == ["dashboard", "ladder"]
    assert report.healthy, "a noisy number accuses nobody"
    assert report.remarks == ["dashboard: x", "ladder: x"] and "A remark, since this number is noisy" in str(report)
    assert not any("No training run" in sentence for sentence in report.unknown)


def test_a_world_that_is_not_here_is_no_illness():
    agent = Dreamer(small(LEDGE), 2, 1)
    agent.config.env = "NoSuchWorld-v0"
    report = examine(agent)
    assert report.healthy, str(report)
    assert any("No episode could be played" in sentence for sentence in report.unknown)

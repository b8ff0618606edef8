"""Each fault changes what it says, nothing else, and is undone."""

import re
from pathlib import Path

import pytest
import torch

from clinic.probes import PROBES
from dreamer_core import clinic, optimize
from dreamer_core.classroom import transplant
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.clinic.faults import ALL, FAULTS, GRADES, ORGANS, suffering
from dreamer_core.rssm import RSSM

ROOM = Path(clinic.__file__).parent


def test_the_clinic_imports_the_other_rooms_and_none_of_them_the_clinic():
    for path in ROOM.parent.rglob("*.py"):
        if ROOM not in path.parents:
            found = re.search(
                r"^\s*(?:from|import) dreamer_core\.clinic|^\s*from dreamer_core import .*clinic",
                path.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
            assert not found, f"{path.relative_to(ROOM.parent)} imports the clinic: {found[0].strip()}"


def answers():
    """What the core says now to every question."""
    return {name: probe.ask() for name, probe in PROBES.items()}


def test_there_are_enough_of_them_with_words_for_each():
    assert len(FAULTS) == len(ALL) >= 16, "two faults share a name, or there are too few"
    assert {fault.organ for fault in ALL} == set(ORGANS) and {fault.grade for fault in ALL} == set(GRADES)
    for fault in ALL:
        for words in (fault.sentence, fault.symptom, fault.cure_hint, fault.seen):
            assert words.endswith("."), f"{fault.name}: {words!r} is no sentence"


def test_a_healthy_core_answers_as_worked_out_by_hand():
    assert answers() == {name: probe.healthy for name, probe in PROBES.items()}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_changes_what_it_says_and_leaves_everything_else(name):
    expected = {other: probe.healthy for other, probe in PROBES.items()} | {name: PROBES[name].sick}
    for other, probe in PROBES.items():
        if probe.ask is PROBES[name].ask:
            expected[other] = PROBES[name].sick
    with suffering(FAULTS[name]):
        found = answers()
    wrong = {other: (found[other], expected[other]) for other in PROBES if found[other] != expected[other]}
    assert not wrong, f"with {name}, these are not as expected (found, expected): {wrong}"
    assert answers() == {other: probe.healthy for other, probe in PROBES.items()}, f"{name} is still there afterwards"


def everything_that_runs():
    """Every function at a target, and under which names the package knows it."""
    return {name: transplant.current(fault) for name, fault in FAULTS.items()}


@pytest.mark.parametrize("name", FAULTS)
def test_afterwards_the_very_same_functions_run(name):
    before, batched = everything_that_runs(), RSSM.batched
    with suffering(FAULTS[name]):
        assert transplant.current(FAULTS[name]) is not before[name]
    with pytest.raises(ZeroDivisionError), suffering(FAULTS[name]):
        1 / 0  # noqa: B018
    after = everything_that_runs()
    assert all(after[other] is before[other] for other in FAULTS), f"something else runs after {name}"
    assert RSSM.batched is batched


def test_a_learners_own_part_comes_back(capsys):
    """The learner's EMA runs before and after; during the fault the course's own does, with the fault."""
    exercise = next(each for each in EXERCISES.values() if each.target == FAULTS["target_copied"].target)
    calls = []

    def mine(target, source, polyak):
        calls.append(polyak)
        return exercise.reference(target, source, polyak)

    transplant.install(exercise, mine)
    try:
        probe = PROBES["target_copied"]
        with suffering(FAULTS["target_copied"]):
            assert probe.ask() == probe.sick
        assert calls == [], "the learner's function was called with the fault's arguments"
        assert probe.ask() == probe.healthy and calls == [0.9], "the learner's function did not come back"
    finally:
        transplant.remove(exercise)


def test_one_inside_another_counts_and_then_the_outer_again():
    never, copied = PROBES["target_never_moves"], PROBES["target_copied"]
    with suffering(FAULTS["target_never_moves"]):
        with suffering(FAULTS["target_copied"]):
            assert copied.ask() == copied.sick
            with suffering(None):
                assert copied.ask() == copied.healthy
        assert never.ask() == never.sick
        with suffering(FAULTS["target_never_moves"]):
            assert never.ask() == never.sick, "a fault within itself was applied twice, or taken out"
        assert never.ask() == never.sick
    assert never.ask() == never.healthy


def test_a_fault_that_the_fast_unroll_would_go_around_turns_it_off():
    with suffering(FAULTS["seam_ignored"]):
        assert not RSSM.batched
    assert RSSM.batched


def test_gradients_that_pile_up_are_those_after_clipping():
    """Slope 3, clipped to 1: the second step adds 3 to the 1 that was kept, and is clipped again."""
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([param], lr=0.1)
    with suffering(FAULTS["gradients_pile_up"]):
        norms = [float(optimize.descend((3 * param).sum(), optimizer, 1.0)[0]) for _ in range(2)]
    assert norms == pytest.approx([3.0, 4.0], rel=1e-4)

"""Every exercise of the course: its truth, its answers right and wrong, and its place in the agent."""

import inspect
from collections import Counter

import numpy as np
import pytest
import torch
from runs import paper, tiny

from dreamer_core.classroom import right_answers, transplant
from dreamer_core.classroom.answer import attempted
from dreamer_core.classroom.exercises import collect
from dreamer_core.classroom.judge import judge
from dreamer_core.classroom.lesson import notebook_of
from dreamer_core.config import preset
from dreamer_core.trainer import Trainer

EXERCISES = collect()
RIGHT = {number: right_answers.of(number) for number in EXERCISES}
each = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
MISTAKES = [(exercise, mistake) for exercise in EXERCISES.values() for mistake in exercise.mistakes]


@each
def test_the_reference_passes(exercise):
    verdict = judge(exercise, exercise.reference)
    assert verdict.right, verdict.message


@each
def test_right_answers_written_differently_pass(exercise):
    assert RIGHT[exercise.id]
    for answer in RIGHT[exercise.id]:
        verdict = judge(exercise, answer)
        assert verdict.right, verdict.message
        assert inspect.getsource(answer) != inspect.getsource(exercise.reference)


@pytest.mark.parametrize("exercise, mistake", MISTAKES, ids=[f"{e.id}-{m.name}" for e, m in MISTAKES])
def test_a_wrong_answer_gets_the_message_of_its_mistake(exercise, mistake):
    """Its own, not that of another mistake which looks the same."""
    verdict = judge(exercise, mistake.wrong)
    assert not verdict.right and verdict.mistake == mistake.name, verdict
    assert verdict.message.startswith(mistake.message)


@each
def test_it_says_what_a_learner_and_a_teacher_need(exercise):
    assert 3 <= len(exercise.mistakes) <= 10 and len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes)
    assert len(exercise.hints) >= 2 and all(len(hint) > 15 for hint in exercise.hints)
    assert exercise.difficulty in (1, 2, 3) and exercise.importance in (1, 2, 3) and 1 <= exercise.minutes <= 30
    assert 5 < len(exercise.title) <= 43
    for mistake in exercise.mistakes:
        assert mistake.message.endswith((".", "?", "`.")) and len(mistake.message) < 400


@each
def test_the_target_is_the_reference(exercise):
    """So the learner re-implements the very function that the agent runs."""
    assert transplant.current(exercise) is exercise.reference
    assert inspect.signature(exercise.reference).parameters and attempted(exercise.reference)
    assert inspect.getdoc(exercise.reference)


def test_each_notebook_has_three_to_seven_exercises_of_all_difficulties():
    """More would tire."""
    counts = Counter(map(notebook_of, EXERCISES))
    assert len(counts) >= 11 and all(3 <= count <= 7 for count in counts.values()) and counts.total() >= 40, counts
    assert [exercise.difficulty for exercise in EXERCISES.values()].count(3) >= 4
    numbers = [tuple(map(int, number.split("."))) for number in EXERCISES]
    assert numbers == sorted(numbers)


AGENTS = {
    "gaussian": {},
    "categorical": {"model": {"latent": "categorical"}},
    "advantage": {
        "preset": "advantage",
        "imagination": {"horizon": 3, "starts": 16},
        "sac": {"actor_grad": "score", "lam": 1.0, "batch": 0, "normalize_advantage": True},
    },
    "dreamerv3": paper(),
    "chunks": {"replay": {"layout": "chunks", "burn_in": 2}},
    "learned reward": {"model": {"reward_std": 0.0}},
    "standard units": {"model": {"standardize": True}},
    "sac": {"agent": "sac"},
    "pictures": {"env": "dreamer/PixelPendulum-v0"},
}


def short_run(name: str, steps: int = 90) -> list[dict]:
    """The evaluations of a tiny training run."""
    return list(Trainer(tiny(env_steps=steps, **AGENTS[name])).run())


CORE = [exercise for exercise in EXERCISES.values() if exercise.in_agent]


def called_parts(name: str) -> set[str]:
    """The parts that a tiny run of this kind calls."""
    calls = {exercise.id: 0 for exercise in CORE}

    def counting(exercise):
        def call(*args, **kwargs):
            calls[exercise.id] += 1
            return exercise.reference(*args, **kwargs)

        return call

    for exercise in CORE:
        transplant.install(exercise, counting(exercise))
    short_run(name)
    return {number for number, count in calls.items() if count}


WITH = {  # what runs_with says -> which of the agents above
    "": "standard units",
    'model.latent = "categorical"': "categorical",
    "a learned reward deviation (model.reward_std = 0)": "learned reward",
    'replay.layout = "chunks"': "chunks",
    'the preset "advantage"': "advantage",
    'the preset "dreamerv3"': "dreamerv3",
    "pictures for observations": "pictures",
}


def test_every_part_is_called_by_the_agent_that_is_said_to_run_it():
    """A part nobody calls would be no part. Whoever solves one is told which setting runs it, where the default does not."""
    assert preset("dropin").model.standardize, "the default agent measures its units"
    called = {told: called_parts(name) for told, name in WITH.items()}
    for exercise in CORE:
        assert exercise.id in called[exercise.runs_with], f"no agent with {exercise.runs_with or 'the defaults'} runs {exercise.id}"
        assert not exercise.runs_with or exercise.id not in called[""], f"the default agent runs {exercise.id} as well"


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_made_of_other_right_answers_learns_the_same(name):
    """All parts swapped for differently written ones: the same numbers, up to rounding, and no part has given up.

    An answer to one of v1's parts may name v1's GRU cell, or its actor; so the paper's agent is given the paper's pieces. Of that
    agent the model's numbers are compared: its critic's bins reach 4.9e8, and until the far ones have lost their weight, the last
    digit of a logit moves a value.
    """
    wanted = short_run(name)
    swapped = [exercise for exercise in CORE if exercise.in_v1 == (name != "dreamerv3")]
    for exercise in swapped:
        transplant.install(exercise, RIGHT[exercise.id][0])
    got = short_run(name)
    assert set(transplant.installed) == {exercise.id for exercise in swapped}
    for one, other in zip(wanted, got):
        for key in (key for key in one if key != "wall_s" and (name != "dreamerv3" or key.startswith("model/"))):
            np.testing.assert_allclose(other[key], one[key], rtol=0.02, atol=1e-3, err_msg=key)


def test_checks_leave_no_trace():
    """Judging every reference changes neither the random state nor what the agent runs."""
    state, grad = torch.get_rng_state(), torch.is_grad_enabled()
    for exercise in EXERCISES.values():
        judge(exercise, exercise.reference)
    assert torch.equal(torch.get_rng_state(), state) and torch.is_grad_enabled() == grad and not transplant.installed

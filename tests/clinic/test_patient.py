"""A patient keeps its secret, asks for a hypothesis before each further look, counts points, and can be cured."""

import sys

import pytest
from toys import SMALL

from dreamer_core.clinic.faults import ALL, FAULTS, right_function
from dreamer_core.clinic.patient import Patient, admitted, patient
from dreamer_core.clinic.subject import Subject, change_fault, fault_of, small
from dreamer_core.errors import ConfigError, Diverged

room = sys.modules[Patient.__module__]  # `dreamer_core.clinic.patient` is the function of that name


@pytest.fixture
def tools(monkeypatch):
    """Instruments that need no agent: one that reads, one whose run breaks down, one that stops."""

    class Reading:
        numbers, healthy, off = {"share": 0.5}, {"share": (0.0, 0.1)}, {"share": "high"}
        figure, says = None, "Half of it is gone."

    class Tool:
        quick, sentence, excludes, cannot = True, "A share.", "Nothing.", "Everything."

        def __init__(self, measure):
            self.measure = measure

    def diverges(subject):
        raise Diverged("learning diverged: the loss is nan")

    def stops(subject):
        raise ValueError("in past_the_end, of all places")

    monkeypatch.setattr(room, "INSTRUMENTS", {"scale": Tool(lambda subject: Reading()), "run": Tool(diverges), "odd": Tool(stops)})


def with_fault(name):
    someone = Patient(small())
    change_fault(someone, FAULTS[name] if name else None)
    return someone


def test_the_same_number_is_the_same_patient_and_another_another():
    one, again = patient(3), patient(3)
    assert one.config == again.config and fault_of(one) is fault_of(again)
    many = [patient(seed) for seed in range(60)]
    found = {fault.name if (fault := fault_of(each)) else "healthy" for each in many}
    assert len(found) > 15 and "healthy" in found, "sixty patients are too much alike"
    assert len({(each.config.env, each.config.model.deter, each.config.seed) for each in many}) > 50
    assert {each.config.env for each in many} == set(room.WORLDS)


def test_a_grade_can_be_asked_for():
    for grade in room.GRADES:
        faults = [fault_of(patient(seed, grade)) for seed in range(20)]
        assert {fault.grade for fault in faults if fault} == {grade}
    with pytest.raises(ConfigError, match="misleading"):
        patient(0, "hard")


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_patient_is_sick_of_what_it_has(fault):
    """Its preset runs the wrong function, and where only ends show the fault, its world has ends."""
    for seed in range(5):
        config = admitted(fault, seed).config
        assert config.preset in fault.presets
        assert not fault.ends or config.env == room.ENDS


@pytest.mark.parametrize("name", [*FAULTS, None])
def test_nothing_about_a_patient_tells_its_fault(name):
    someone = with_fault(name)
    told = repr(someone) + str(someone) + repr(vars(someone)) + repr([getattr(someone, each) for each in dir(someone) if each != "points"])
    for fault in ALL:
        assert fault.name not in told and fault.sentence not in told
    assert repr(someone) == repr(with_fault(None))


def test_the_first_look_is_free_and_each_further_one_needs_a_hypothesis(tools, capsys):
    someone = with_fault(None)
    assert someone.look("scale").says == "Half of it is gone."
    assert "not as in healthy agents" in capsys.readouterr().out
    assert someone.look("scale") is None
    assert "write down what you think" in capsys.readouterr().out
    someone.hypothesis("the scale is off", predicts="the share is large")
    assert someone.look("scale") is not None
    assert "the scale is off. Then: the share is large." in capsys.readouterr().out
    assert someone.look("scale") is None, "one hypothesis opened two instruments"
    assert [entry.kind for entry in someone.chart] == ["look", "hypothesis", "look"]


@pytest.mark.parametrize("text, predicts", [("", "x"), ("x", " "), (None, "x"), ("x", 3)])
def test_an_empty_hypothesis_opens_nothing(tools, capsys, text, predicts):
    someone = with_fault(None)
    someone.look("scale")
    someone.hypothesis(text, predicts)
    assert someone.look("scale") is None
    assert "A hypothesis has two parts" in capsys.readouterr().out


def test_an_instrument_that_fails_says_so_without_telling_where(tools, capsys):
    someone = with_fault("past_the_end")
    assert someone.look("run") is None
    assert "the loss is nan" in capsys.readouterr().out
    someone.hypothesis("a", "b")
    someone.look("odd")
    out = capsys.readouterr().out
    assert "Traceback" not in out and "ValueError" in out
    assert [entry.kind for entry in someone.chart].count("look") == 2, "a look that failed was no look"


def test_an_instrument_that_does_not_exist_costs_nothing(tools, capsys):
    someone = with_fault(None)
    assert someone.look("scales") is None
    assert "did you mean 'scale'" in capsys.readouterr().out
    assert someone.chart == [] and someone.points == 100


def test_points_fall_with_looks_and_with_wrong_answers(tools, capsys):
    someone = with_fault("target_copied")
    assert someone.points == 100
    someone.look("scale")
    assert someone.points == 100, "the first look is free"
    someone.hypothesis("a", "b")
    someone.look("scale")
    assert someone.points == 90
    assert not someone.diagnose("critic", "past_the_end")
    assert someone.points == 70
    assert "The organ is right" in capsys.readouterr().out
    assert not someone.diagnose("replay", "few_rows")
    assert someone.diagnose("critic", "target_copied")
    assert "Right, 50 points" in capsys.readouterr().out
    assert someone.points == 50


def test_a_right_cause_counts_whatever_organ_was_named():
    assert with_fault("limit_is_end").diagnose("acting and evaluating", "limit_is_end")


def test_a_healthy_patient_is_recognised_and_a_sick_one_is_not_healthy(capsys):
    assert with_fault(None).diagnose("healthy")
    assert not with_fault(None).diagnose("critic", "past_the_end")
    assert not with_fault("past_the_end").diagnose("healthy")
    assert "past_the_end" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "answer, words", [(("critics", "x"), "did you mean 'critic'"), (("critic", "past_end"), "did you mean 'past_the_end'")]
)
def test_a_misspelt_answer_costs_nothing(capsys, answer, words):
    someone = with_fault(None)
    assert not someone.diagnose(*answer)
    assert words in capsys.readouterr().out and someone.points == 100


def test_what_was_told_brings_no_points(capsys):
    someone = with_fault("same_noise")
    someone.reveal()
    out = capsys.readouterr().out
    assert FAULTS["same_noise"].sentence in out and "dreamer_core.imagine:imagine" in out
    assert someone.points == 0 and not someone.diagnose("dream", "same_noise")


def test_a_cure_needs_a_diagnosis_and_a_right_function(capsys):
    from dreamer_core import sac

    someone, probe = with_fault("target_never_moves"), right_function(FAULTS["target_never_moves"].target)

    def ema_update(target, source, polyak):
        for mine, other in zip(target.parameters(), source.parameters()):
            mine.data.mul_(polyak).add_((1 - polyak) * other.data)

    assert not someone.cure(ema_update)
    assert "Diagnose first" in capsys.readouterr().out
    someone.diagnose("critic", "target_never_moves")
    assert not someone.cure(FAULTS["target_never_moves"].wrong(probe))
    assert "still sick" in capsys.readouterr().out
    assert someone.cure(ema_update)
    assert "The patient is healthy" in capsys.readouterr().out
    with someone.at_work():
        assert sac.ema_update.__wrapped__ is probe and sac.ema_update is not probe, "the learner's function does not run"
    assert sac.ema_update is probe


def quick_config():
    sections = {name: dict(fields) for name, fields in SMALL.items()}
    sections["schedule"] |= dict(prefill=20, every=10, pretrain_model=2, pretrain_both=2)
    return small(**sections, evaluation=dict(every=20, episodes=1))


def test_a_run_is_made_at_work_once_and_leaves_the_random_numbers_alone():
    import torch

    sick = Subject.with_fault(FAULTS["actor_rate_small"], quick_config())
    before = torch.get_rng_state()
    run = sick.run(40)
    assert torch.equal(torch.get_rng_state(), before)
    assert sick.run(40) is run
    assert run.agent.optimizers["sac"].param_groups[0]["initial_lr"] == pytest.approx(1e-5)
    assert [row["env_steps"] for row in run.rows] == [20, 40]
    assert {name.split("/")[0] for update in run.updates for name in update} == {"model", "agent"}
    assert len(run.updates) == 2 + 2 * 2 + 2 * 2 * 2, "updates of the pretraining and of two rounds"


def test_the_process_as_it_is_counts_for_an_agent_of_ones_own():
    from dreamer_core import sac
    from dreamer_core.agent import Dreamer
    from dreamer_core.clinic.faults import suffering

    agent = Dreamer(quick_config(), 3, 1)
    subject = Subject.of(agent)
    assert subject.agent() is agent
    with suffering(FAULTS["target_copied"]):
        sick = sac.ema_update
        with subject.at_work():
            assert sac.ema_update is sick, "a healthy core was put under somebody's own agent"
        with Subject.healthy(quick_config()).at_work():
            assert sac.ema_update is not sick

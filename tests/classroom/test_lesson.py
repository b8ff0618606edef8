"""What a learner sees: the whole protocol of an exercise."""

import itertools
import json
import random

import numpy as np
import pytest
import torch

from classroom import toys
from classroom.toys import ERROR, STRAIGHT
from dreamer_core import latents, nets
from dreamer_core.classroom import ledger, transplant
from dreamer_core.classroom.lesson import Unsolved


def untouched(probs, one_hot):
    """To be written."""
    ...


def right(probs, one_hot):
    return probs + (one_hot - probs).detach()


def wrong(probs, one_hot):
    return one_hot.clone()


def test_not_attempted_says_so_quietly_and_binds_the_reference(toy_lesson, capsys):
    assert toy_lesson.exercise("9.1")(untouched) is STRAIGHT.reference
    out = capsys.readouterr().out
    assert "not attempted" in out and len(out.splitlines()) <= 2
    assert ledger.load()[0] == {} and not transplant.installed


def test_right_becomes_part_of_the_agent_and_is_written_down(toy_lesson, capsys):
    assert toy_lesson.exercise("9.1")(right) is right
    assert "right. The agent runs your version from here on." in capsys.readouterr().out
    assert latents.straight_through is not STRAIGHT.reference
    entry = ledger.load()[0]["9.1"]
    assert entry["state"] == "right" and entry["source"][0] == "def right(probs, one_hot):"


def test_wrong_names_the_mistake_and_goes_on_with_the_reference(toy_lesson, capsys):
    assert toy_lesson.exercise("9.1")(wrong) is STRAIGHT.reference
    out = capsys.readouterr().out
    assert "A one-hot code alone has no gradient." in out and 'hint("9.1")' in out
    assert ledger.load()[0]["9.1"] == {"state": "wrong"}


def test_a_new_kernel_runs_the_earlier_answer(toy_lesson, capsys):
    toy_lesson.exercise("9.1")(right)
    transplant.remove(STRAIGHT)
    toy_lesson.states.clear()
    toy_lesson.begin("09")
    assert "your own code: 1 of 2" in capsys.readouterr().out
    assert latents.straight_through is not STRAIGHT.reference
    assert toy_lesson.exercise("9.1")(untouched) is latents.straight_through  # the earlier answer, not the reference


def test_a_later_mistake_does_not_take_away_what_was_right(toy_lesson, capsys):
    toy_lesson.exercise("9.1")(right)
    toy_lesson.exercise("9.1")(wrong)
    assert "your earlier version stays" in capsys.readouterr().out
    assert ledger.load()[0]["9.1"]["state"] == "right" and "9.1" in transplant.installed


def test_an_earlier_answer_that_no_longer_passes_is_left_out(toy_lesson, capsys):
    for source in (["def f(probs, one_hot):", "    return one_hot"], ["def f(:"], ["1 / 0"], ["import sys; sys.exit()"]):
        ledger.record("9.1", state="right", source=source)
        toy_lesson.begin("09")
        assert "does not pass here" in capsys.readouterr().out
        assert latents.straight_through is STRAIGHT.reference


def test_entries_of_exercises_that_are_gone_do_no_harm(toy_lesson, capsys):
    ledger.record("77.7", state="right", source=["def f(): pass"])
    toy_lesson.begin("09")
    toy_lesson.progress()
    assert "does not pass" not in capsys.readouterr().out


def test_an_answer_that_leans_on_the_notebook_counts_here_alone(toy_lesson, capsys):
    toy_lesson.exercise("9.1")(leaning)
    out = capsys.readouterr().out
    assert "right" in out and "name 'helper' is not defined" not in out.split("On its own")[0] and "counts in this notebook only" in out
    assert "On its own it stops with NameError: name 'helper_of_this_file' is not defined, in `return helper_of_this_file(" in out
    assert ledger.load()[0]["9.1"] == {"state": "right", "source": []}


def leaning(probs, one_hot):
    return helper_of_this_file(probs, one_hot)


def helper_of_this_file(probs, one_hot):
    return right(probs, one_hot)


def test_strict_mode_stops_with_one_sentence(toy_lesson, monkeypatch):
    monkeypatch.setenv("DREAMER_STRICT", "1")
    for function, expected in ((untouched, "not attempted"), (wrong, "no gradient")):
        with pytest.raises(Unsolved, match=expected) as caught:
            toy_lesson.exercise("9.1")(function)
        assert caught.value._render_traceback_() == [str(caught.value)]
    assert toy_lesson.exercise("9.1")(right) is right


def test_hints_come_in_order_and_begin_again(toy_lesson, capsys):
    for _ in range(4):
        toy_lesson.hint("9.1")
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == ["mild", "stronger", "nearly", "mild"]


def test_the_solution_is_the_cores_function_even_after_it_was_replaced(toy_lesson, capsys):
    toy_lesson.exercise("9.1")(right)
    capsys.readouterr()
    toy_lesson.solution("9.1")
    assert "return one_hot + probs - probs.detach()" in capsys.readouterr().out


def test_progress_lists_all_and_can_begin_anew(toy_lesson, capsys, ledger_file):
    toy_lesson.exercise("9.1")(right)
    toy_lesson.exercise("9.2")(lambda a, b: 2 * nets.squared_error(a, b))
    capsys.readouterr()
    toy_lesson.progress()
    lines = capsys.readouterr().out.splitlines()
    assert [line[:5] for line in lines[:3]] == ["✓ 9.1", "✗ 9.2", "· 9.3"] and lines[3].startswith("1 of 3 solved")
    toy_lesson.progress(reset=True)
    assert "kept as answers.old1.json" in capsys.readouterr().out
    assert latents.straight_through is STRAIGHT.reference
    toy_lesson.progress()
    assert "0 of 3 solved" in capsys.readouterr().out


@pytest.mark.parametrize("call", ["hint", "solution"])
def test_an_unknown_number_gets_a_sentence(toy_lesson, capsys, call):
    getattr(toy_lesson, call)("9.9")
    getattr(toy_lesson, call)(9.1)  # a number instead of a text is understood
    assert "There is no exercise '9.9'" in capsys.readouterr().out
    assert toy_lesson.exercise("9.9")(right) is right


def test_a_fault_of_the_check_is_not_blamed_on_the_learner(toy_lesson, capsys, monkeypatch):
    import dataclasses

    broken = dataclasses.replace(
        STRAIGHT, expected=lambda: {"the value": torch.zeros(1), "the gradient that reaches probs": torch.zeros(1)}
    )
    monkeypatch.setitem(toy_lesson.EXERCISES, "9.1", broken)
    assert toy_lesson.exercise("9.1")(wrong) is STRAIGHT.reference
    out = capsys.readouterr().out
    assert "fault of the course, not yours" in out and ledger.load()[0] == {}


def test_stopping_the_kernel_during_a_check_goes_on(toy_lesson, capsys):
    def stopped(probs, one_hot):
        raise KeyboardInterrupt

    assert toy_lesson.exercise("9.1")(stopped) is STRAIGHT.reference
    assert "you stopped the check" in capsys.readouterr().out


def test_the_decorator_above_something_else(toy_lesson, capsys):
    assert toy_lesson.exercise("9.1")(3) is STRAIGHT.reference
    assert "stands above a function" in capsys.readouterr().out


class Strange:
    """Answers every question with an error."""

    def __getattribute__(self, name):
        raise RuntimeError("strange")


class Silent(Exception):
    def __str__(self):
        raise ValueError("no words")


def nasty_values():
    yield from (
        None,
        "",
        "text",
        b"bytes",
        0,
        -1.5,
        float("nan"),
        float("inf"),
        10**400,
        1j,
        True,
        (),
        [],
        {},
        {1: 2},
        set(),
        object(),
        int,
    )
    yield from (np.zeros(0), np.array("a"), np.array([None]), torch.zeros(0), torch.tensor(True), torch.zeros(1, 2, dtype=torch.complex64))
    yield from (
        torch.zeros(1, 2).to_sparse(),
        torch.zeros(1, 2, device="meta"),
        torch.zeros(1, 2).requires_grad_(),
        Strange(),
        print,
        iter([]),
    )
    yield (x for x in "generator")
    nested = []
    nested.append(nested)
    yield nested


def raiser(error):
    def fail(*_):
        raise error

    return fail


def nasty_functions():
    for value in nasty_values():
        yield lambda *_, value=value: value
        yield lambda *_, value=value: (value, value)
    for error in (Silent(), SystemExit(), GeneratorExit(), StopIteration(), MemoryError(), Warning(), OSError(), BaseException("bare")):
        yield raiser(error)
    yield lambda: 0
    yield lambda *_, needed: 0
    yield lambda probs, one_hot: probs.resize_(4, 4)
    yield lambda probs, one_hot: probs.requires_grad_(False)
    yield lambda probs, one_hot: torch.set_grad_enabled(False) or one_hot
    yield lambda probs, one_hot: torch.set_default_dtype(torch.float64) or one_hot
    yield print
    yield int
    yield Strange
    yield torch.nn.Linear(2, 2)


@pytest.mark.filterwarnings("ignore")
def test_nothing_a_learner_writes_ends_in_a_traceback(toy_lesson, capsys):
    """Garbage of every kind, against every kind of exercise; afterwards the check works as before."""
    for function, number in itertools.product(nasty_functions(), toy_lesson.EXERCISES):
        toy_lesson.exercise(number)(function)
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        out = capsys.readouterr().out
        assert "✗" in out or "·" in out, out
        assert "Traceback" not in out and "fault of the course" not in out, out
    assert toy_lesson.exercise("9.1")(right) is right


@pytest.mark.filterwarnings("ignore")
def test_random_little_programs_never_end_in_a_traceback(toy_lesson, capsys):
    """Two hundred functions put together at random from things learners write."""
    chance = random.Random(0)
    pieces = [
        "probs",
        "one_hot",
        "None",
        "1.0",
        "torch",
        "probs.sum()",
        "probs[0]",
        "probs.T",
        "undefined",
        "probs.detach()",
        "[probs]",
        "{}",
    ]
    forms = ["{} + {}", "{} @ {}", "{}[{}]", "({}, {})", "{}({})", "{}.backward({})", "torch.cat([{}, {}])", "{}.add_({})", "{} / {}"]
    for _ in range(200):
        names = {"torch": torch}
        expression = chance.choice(forms).format(chance.choice(pieces), chance.choice(pieces))
        exec(f"def f(probs, one_hot):\n    return {expression}", names)
        toy_lesson.exercise("9.1")(names["f"])
        out = capsys.readouterr().out
        assert out and "Traceback" not in out and "fault of the course" not in out, (expression, out)


def test_other_exercises_are_checked_with_the_learners_parts_in_place(toy_lesson, capsys):
    toy_lesson.exercise("9.2")(lambda a, b: ((a - b) ** 2).sum(-1) / 2)
    toy_lesson.exercise("9.1")(right)
    assert capsys.readouterr().out.count("✓") == 2 and set(transplant.installed) == {"9.1", "9.2"}
    assert ERROR.reference is not nets.squared_error


STRANGE = ["def double(x):", "    return 2 * x", "import os, pathlib", "pathlib.Path(os.environ['STRANGE_MARK']).touch()"]


@pytest.fixture
def mark(tmp_path, monkeypatch):
    """The file that a stranger's answer makes when it is run."""
    monkeypatch.setenv("STRANGE_MARK", str(tmp_path / "a stranger was here"))
    return tmp_path / "a stranger was here"


def stored(number, source, state="right", signed=False):
    """An entry as somebody else's notebook, or one's own, has left it."""
    ledger.record(number, state=state, source=source)
    if not signed:
        file = ledger.path()
        data = json.loads(file.read_text(encoding="utf-8"))
        data["exercises"][number]["signature"] = "0" * 64
        file.write_text(json.dumps(data), encoding="utf-8")


def test_a_strangers_answer_is_listed_and_not_run(toy_lesson, capsys, mark):
    stored("9.3", STRANGE)
    toy_lesson.begin("09")
    out = capsys.readouterr().out
    assert "did not write on this computer: 9.3" in out and "trust=True" in out and not mark.exists()
    toy_lesson.progress()
    out = capsys.readouterr().out
    assert "? 9.3" in out and "0 of 3 solved" in out
    toy_lesson.begin("09", trust=True)
    out = capsys.readouterr().out
    assert "signed as yours" in out and "solved 1 of 3" in out and mark.exists()
    toy_lesson.begin("09")
    assert "did not write" not in capsys.readouterr().out


def test_an_answer_marked_wrong_is_never_run(toy_lesson, mark):
    stored("9.3", STRANGE, state="wrong", signed=True)
    toy_lesson.begin("09")
    assert not mark.exists()


def test_only_what_passes_now_is_called_solved(toy_lesson, capsys):
    stored("9.3", ["def double(x):", "    return 3 * x"], signed=True)
    ledger.record("9.2", state="right", source=[])  # solved in one notebook only: its text could not be kept
    toy_lesson.begin("09")
    assert "9.3 (Twice) does not pass here" in capsys.readouterr().out
    toy_lesson.progress()
    out = capsys.readouterr().out
    assert "? 9.2" in out and "? 9.3" in out and "0 of 3 solved" in out and "not seen to pass in this one" in out
    toy_lesson.exercise("9.3")(lambda x: 2 * x)
    toy_lesson.progress()
    assert "1 of 3 solved" in capsys.readouterr().out


def test_a_stored_answer_that_does_not_end_is_stopped(toy_lesson, capsys, monkeypatch):
    monkeypatch.setattr(toy_lesson, "SECONDS", 0.3)
    stored("9.3", ["def double(x, n=sum(range(10**12))):", "    return 2 * x"], signed=True)
    toy_lesson.begin("09")
    assert "does not pass here" in capsys.readouterr().out


def test_a_gap_that_is_left_is_named(toy_lesson, capsys):
    @toy_lesson.exercise("9.3")
    def double(x):
        return 2 * x
        ...  # your code

    assert "a `...` is left in your function" in capsys.readouterr().out and double is toys.double

    @toy_lesson.exercise("9.3")
    def double(x):
        ...
        y = x + x
        return y

    assert "a `...` is left in your function" in capsys.readouterr().out


def test_exercise_without_its_number_says_so(toy_lesson, capsys):
    @toy_lesson.exercise
    def double(x):
        return 2 * x

    assert 'nothing was checked: write @exercise("9.3")' in capsys.readouterr().out and double(3) == 6

    @toy_lesson.exercise()
    def something_else(x):
        return x

    assert "nothing was checked" in capsys.readouterr().out and something_else(3) == 3


def test_a_function_that_calls_itself_is_judged_as_itself(toy_lesson, capsys):
    """Its name may be free, or still mean the course's version of the run before."""
    names = {"exercise": toy_lesson.exercise, "other": toys.double}
    code = 'def double(x):\n    return 0 if x == 0 else double(x - 1) + 2\ndouble = exercise("9.3")(double)'
    for _ in range(2):
        exec(code, names)
        assert "✓ 9.3" in capsys.readouterr().out
    assert names["double"](4) == 8
    broken = 'def double(x):\n    return double(x) if x else 0\ndouble = exercise("9.3")(double)'
    exec(broken, names)
    assert "RecursionError" in capsys.readouterr().out, "it is its own body that is judged, not the right one of before"


def test_the_setting_that_runs_a_part_is_told(capsys):
    from dreamer_core.classroom import lesson, right_answers

    lesson.exercise("3.6")(right_answers.of("3.6")[0])
    assert 'An agent with model.latent = "categorical" runs your version' in capsys.readouterr().out
    lesson.exercise("3.3")(right_answers.of("3.3")[0])
    assert "The agent runs your version from here on" in capsys.readouterr().out


def test_progress_shows_this_notebook_and_the_rest_on_request(capsys):
    from dreamer_core.classroom import lesson

    lesson.begin("03")
    capsys.readouterr()
    lesson.progress()
    out = capsys.readouterr().out
    assert "3.1" in out and "2.1" not in out and "progress(all=True)" in out
    lesson.progress(all=True)
    out = capsys.readouterr().out
    assert "2.1" in out and "9.4" in out and "progress(all=True)" not in out

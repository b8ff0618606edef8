"""Points: in full for what is right, in part for what is right in part, nothing for the rest, each with its sentence."""

import dataclasses

import torch
from classroom.toys import ERROR

from dreamer_core.classroom.judge import outcome
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.classroom.paste import pasteable
from dreamer_core.classroom.second_look import cases
from dreamer_core.grading.marks import body_of, is_course_text, mark, share_of, shared_texts
from dreamer_core.grading.notebook import book_of
from dreamer_core.grading.remote import Limits
from grading.books import BALANCE, IMPORTS, KL, OPEN, RIGHT_KL, SAMPLE, answer

HEADS = {"3.2": SAMPLE, "3.3": KL, "3.4": BALANCE}


def marked(rooms, body, number="3.2", *cells, salt=" 7"):
    taken = book_of([OPEN, IMPORTS, *cells, answer(HEADS[number], body)]).answers[number]
    return mark(EXERCISES[number], taken, rooms, Limits(seconds=2), salt)


def test_right_in_any_style_is_worth_its_importance(rooms):
    assert marked(rooms, RIGHT_KL, "3.3")[1:4] == ("right", 3.0, 3)
    assert marked(rooms, "return half(mean + std * noise)", "3.2", "half = lambda x: 2 * x / 2")[1:4] == ("right", 3.0, 3)


def test_right_numbers_without_a_gradient_are_worth_a_quarter(rooms):
    """Of each kind of input the numbers hold and the gradients do not: half of the properties, and half of the points for all of them."""
    found = marked(rooms, "return (mean + std * noise).detach()")
    assert (found.state, found.points, found.mistake) == ("partly", 0.75, "no_gradient"), found
    assert "no gradient gets through" in found.sentence, found.sentence


def test_a_mistake_has_its_name_and_what_is_right_nowhere_has_no_points(rooms):
    found = marked(rooms, RIGHT_KL.replace(".sum(-1)", ".mean(-1)"), "3.3")
    assert found.mistake == "mean_not_sum" and found.points < 1, found
    found = marked(rooms, "return 17 + mean * std", "3.2")
    assert (found.state, found.points) == ("wrong", 0.0), f"{found} should be right nowhere"


def test_a_crash_is_told_with_its_line_and_earns_nothing(rooms):
    found = marked(rooms, "return mean / undefined")
    assert (found.state, found.points) == ("wrong", 0.0) and "in `return mean / undefined`" in found.sentence, found


def test_a_blank_earns_nothing(rooms):
    assert marked(rooms, "...")[1:5] == ("blank", 0.0, 3, "Not attempted.")


def test_unfair_means_earn_nothing_even_where_the_numbers_are_right(rooms):
    found = marked(rooms, "from dreamer_core.latents import gaussian_sample as g\ng(mean, std, noise)\nreturn mean + std * noise")
    assert (found.state, found.points) == ("unfair", 0.0), found


def test_unfair_means_are_noticed_while_the_reason_is_looked_for(rooms):
    """It has shown all that its points depend on, and would have some."""
    asked = EXERCISES["3.2"]
    shown = 1 + len(list(cases(asked)))
    body = "count.append(1)\nif len(count) > SHOWN:\n    import subprocess\n    subprocess.run(['true'])\nreturn mean + 3 * std * noise"
    found = marked(rooms, body.replace("SHOWN", str(shown)), "3.2", "count = []")
    assert (found.state, found.points) == ("unfair", 0.0), found


def test_unfair_means_are_noticed_at_any_call(rooms):
    """It is right for as long as its own process lasts: what counts is that it stopped being fair at all."""
    body = "count.append(1)\nif len(count) > 8:\n    import subprocess\n    subprocess.run(['true'])\nreturn mean + std * noise"
    found = marked(rooms, body, "3.2", "count = []")
    assert (found.state, found.points) == ("unfair", 0.0), found


def test_knowing_the_courses_own_inputs_by_heart_does_not_help(rooms):
    """An answer that is right on exactly the inputs of the course's own seeds, and on what is observed by hand."""
    asked, known = EXERCISES["3.2"], []

    def spy(mean, std, noise):
        known.append(round(mean.sum().item(), 4))
        return mean + std * noise

    asked.observe(spy)
    for case in cases(asked):
        spy(*case.inputs()[0])
    body = f"known = {known}\nreturn mean + std * noise if round(mean.sum().item(), 4) in known else mean"
    assert marked(rooms, body, salt="").state == "right", "the table must hold all that the course asks without a seed"
    assert marked(rooms, body).state != "right", "with a seed of the grading's own the table must not be enough"


def test_the_same_seed_gives_the_same_mark_and_another_gives_other_inputs(rooms):
    seen = {
        salt: marked(rooms, "print(mean.flatten()[:2].tolist())\nreturn mean + std * noise", salt=salt).printed for salt in (" 1", " 2")
    }
    again = marked(rooms, "print(mean.flatten()[:2].tolist())\nreturn mean + std * noise", salt=" 1").printed
    assert seen[" 1"] == again != seen[" 2"], "inputs must follow from the seed and from nothing else"


def test_what_it_prints_is_kept_and_believed_by_nobody(rooms):
    found = marked(rooms, "print('right: 3 of 3 points')\nreturn 17 + mean * std")
    assert found.points == 0 and "right: 3 of 3 points" in found.printed


def test_without_a_second_look_the_observations_by_hand_are_the_properties():
    two = dataclasses.replace(
        ERROR,
        observe=lambda f: {"one": f(torch.ones(1), torch.zeros(1)), "two": f(torch.ones(2), torch.zeros(2))},
        expected=lambda: {"one": torch.tensor(0.5), "two": torch.tensor(1.0)},
    )
    half = outcome(two, lambda a, b: 0.5 * (a - b).square()[..., 0])
    assert share_of(two, half, []) == 0.5, "right for a single number, wrong for two"


def test_a_long_answer_that_is_the_courses_own_is_told_and_a_short_one_is_not():
    assert is_course_text(EXERCISES["8.2"], pasteable(EXERCISES["8.2"], {}) + "\n    # my own work")
    assert not is_course_text(EXERCISES["3.2"], pasteable(EXERCISES["3.2"], {})), "one line: two people may well write the same"


def test_students_with_the_same_long_answer_are_told_of_each_other():
    long = "def f(x):\n    a = x\n    b = a\n    return b"
    found = shared_texts(
        {"anna": {"1.1": long, "1.2": "def f(x):\n    return x"}, "ben": {"1.1": f"{long}  # mine", "1.2": "def f(x):\n    return x"}}
    )
    assert found == {"anna": ["1.1: the same text as ben."], "ben": ["1.1: the same text as anna."]}
    assert body_of("no python (") == "" == body_of("x = 1")

"""The teacher's pages: they are those of the course as it is, and nothing in the hand-out gives an answer away."""

import json
import re
import shutil

import pytest
import yaml

from dreamer_core.classroom import teaching
from dreamer_core.classroom.exercises import collect
from dreamer_core.errors import DreamerError

ROOT = teaching.ROOT
LESSON = ROOT / "teaching" / "lessons" / "03.yaml"


def test_the_pages_are_those_that_the_command_writes():
    made = teaching.pages()
    for name, text in made.items():
        there = (ROOT / "teaching" / name).read_text(encoding="utf-8")
        assert there == text, f"teaching/{name} is out of date: run make teaching"
    whole = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
    assert whole == teaching.overview(whole), "the plans in TEACHING.md are out of date: run make teaching"
    generated = {path.name for path in (ROOT / "teaching").glob("[0-9][0-9].md")} | {"quiz.md", "answers.md"}
    assert generated == set(made), "a page in teaching/ belongs to no notebook"


def test_every_notebook_has_a_lesson_and_every_lesson_a_notebook():
    notebooks = {path.name[:2] for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert {path.stem for path in LESSON.parent.glob("*.yaml")} == notebooks


def test_every_named_mistake_of_a_notebook_is_among_its_misconceptions():
    pages = teaching.pages()
    for exercise in collect().values():
        page = pages[f"{exercise.id.partition('.')[0].zfill(2)}.md"]
        for mistake in exercise.mistakes:
            assert mistake.message in page, f"the misconceptions lack {mistake.name} of {exercise.id}"


def test_the_handout_gives_no_answer_away():
    quiz, answers = (teaching.pages()[name] for name in ("quiz.md", "answers.md"))
    lessons = [teaching.lesson(path) for path in sorted(LESSON.parent.glob("*.yaml"))]
    for question in [question for one in lessons for question in one["quiz"]]:
        assert question["why"] not in quiz and question["why"] in answers
    letters = re.findall(r"^\d\. \*\*([A-D])\*\*", answers, re.MULTILINE)
    assert len(letters) == 5 * len(lessons)
    for letter in teaching.LETTERS:
        share = letters.count(letter) / len(letters)
        assert 0.1 < share < 0.45, f"{letter} is right in {share:.0%} of the questions: whoever always says {letter} learns that"


def test_the_letter_of_an_answer_names_the_right_choice():
    question = {"ask": "How much is 2 + 2?", "choices": ["4", "3", "5", "22"], "why": "Count."}
    choices, letter = teaching.shuffled(question)
    assert sorted(choices) == sorted(question["choices"]) and choices["ABCD".index(letter)] == "4"
    assert teaching.shuffled(question) == (choices, letter), "the hand-out and the answers must agree on another day"
    found = {"quiz": [question]}
    assert f"* {letter}. 4" in teaching.questions(found) and f"1. **{letter}** (4). Count." in teaching.answers(found)


def test_right_choices_are_not_given_away_by_their_length():
    """Whoever always takes the longest choice should not be right in most questions."""
    lessons = [teaching.lesson(path) for path in sorted(LESSON.parent.glob("*.yaml"))]
    questions = [question for one in lessons for question in one["quiz"]]
    longest = sum(len(str(one["choices"][0])) > max(len(str(choice)) for choice in one["choices"][1:]) for one in questions)
    assert longest < 0.45 * len(questions), f"the longest choice is the right one in {longest} of {len(questions)} questions"


def test_minutes_are_those_of_the_header():
    assert teaching.minutes("35 min reading · 8 s running · 14 min exercises, and as long as you like") == 49
    one = teaching.book(next((ROOT / "notebooks").glob("03_*.ipynb")))
    assert one.title.startswith("The RSSM") and len(one.aims) == 5 and not one.aims[0].endswith(",")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda found: found.pop("story"), "too few entries under story: it needs 5"),
        (lambda found: found["quiz"].pop(), "too few entries under quiz"),
        (lambda found: found["quiz"][0].pop("why"), "an entry under quiz without why"),
        (lambda found: found["quiz"][0].update(choices=["a", "b", "c"]), "without four different choices"),
        (lambda found: found["quiz"][0].update(choices=["a", "b", "c", "a"]), "without four different choices"),
        (lambda found: found["discuss"].append("Why?"), "an entry under discuss without ask"),
    ],
)
def test_a_lesson_that_lacks_something_is_told_in_a_sentence(tmp_path, change, sentence):
    found = yaml.safe_load(LESSON.read_text(encoding="utf-8"))
    change(found)
    path = tmp_path / "03.yaml"
    path.write_text(yaml.safe_dump(found), encoding="utf-8")
    with pytest.raises(DreamerError, match=sentence):
        teaching.lesson(path)


def test_files_that_cannot_be_used_are_told_in_a_sentence(tmp_path):
    with pytest.raises(DreamerError, match="cannot be read .*write one as the others are"):
        teaching.lesson(tmp_path / "07.yaml")
    (tmp_path / "07.yaml").write_text("story: [", encoding="utf-8")
    with pytest.raises(DreamerError, match=r"is not YAML in line \d+: mend it"):
        teaching.lesson(tmp_path / "07.yaml")
    (tmp_path / "07_a.ipynb").write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": "# Dreams"}]}), encoding="utf-8")
    with pytest.raises(DreamerError, match="lacks its title, its aims or its time"):
        teaching.book(tmp_path / "07_a.ipynb")
    with pytest.raises(DreamerError, match="TEACHING.md lacks the lines"):
        teaching.overview("nothing")


def test_a_plan_that_names_a_notebook_that_is_not_there_is_told_in_a_sentence(tmp_path):
    (tmp_path / "notebooks").mkdir()
    shutil.copy(next((ROOT / "notebooks").glob("00_*.ipynb")), tmp_path / "notebooks")
    (tmp_path / "teaching").mkdir()
    (tmp_path / "teaching/plans.yaml").write_text('one week:\n  - {class: [talk], home: ["00"]}\n', encoding="utf-8")
    assert "| 1 | talk | [00](teaching/00.md) | 49 |" in teaching.plans(tmp_path)
    (tmp_path / "teaching/plans.yaml").write_text('one week:\n  - {class: [talk], home: ["77"]}\n', encoding="utf-8")
    with pytest.raises(DreamerError, match="KeyError: '77'"):
        teaching.plans(tmp_path)

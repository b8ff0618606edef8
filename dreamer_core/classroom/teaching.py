"""The teacher's pages, written from what teachers wrote and from what the course knows of itself.

    python -m dreamer_core.classroom.teaching

`teaching/lessons/NN.yaml` holds the story of a notebook, the predictions that go wrong, questions to discuss, what to show, and a quiz.
This command adds the aims and minutes of the notebook's own header and the named mistakes of its exercises, and writes

* `teaching/NN.md`, a page for whoever teaches it,
* `teaching/quiz.md`, the questions alone, to hand out, and `teaching/answers.md`, with the answers and why,
* the plans of whole courses, `teaching/plans.yaml`, into TEACHING.md, with the minutes of their notebooks.

A test holds the pages against this command, so that they cannot drift from the course.
"""

import json
import random
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dreamer_core.classroom.exercises import collect
from dreamer_core.errors import DreamerError

ROOT = Path(__file__).parents[2]
KEYS = {"story": 5, "predictions": 1, "discuss": 3, "projector": 1, "quiz": 5}  # of a lesson, and how many entries at least
INNER = {"predictions": ("ask", "wrong", "shown"), "discuss": ("ask", "good"), "quiz": ("ask", "choices", "why")}
LETTERS = "ABCD"
BEGIN, END = "<!-- plans: written by python -m dreamer_core.classroom.teaching from teaching/plans.yaml -->", "<!-- end of plans -->"
MADE = "<!-- written by python -m dreamer_core.classroom.teaching; change teaching/lessons, the notebook or its exercises instead -->"


class Book(NamedTuple):
    """What a notebook says of itself in its first cell."""

    number: str
    file: str
    title: str  # without the number
    aims: list[str]
    time: str


def books(folder: Path) -> list[Book]:
    """The notebooks of a course, in reading order.

    Raises:
        DreamerError: one has no header of the course's kind.
    """
    return [book(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


def book(path: Path) -> Book:
    """One notebook, from its first cell.

    Raises:
        DreamerError: it has no header of the course's kind.
    """
    head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    title = re.search(r"^# (\d\d) · (.+)$", head, re.MULTILINE)
    time = re.search(r"^\*\*Time\*\* (.+)$", head, re.MULTILINE)
    aims = re.findall(r"^\* (.+?)[,.]?$", head.partition("**Needs**")[0], re.MULTILINE)
    if not (title and time and aims):
        raise DreamerError(f"{path.name} lacks its title, its aims or its time in the first cell: write it as the other notebooks do")
    return Book(title[1], path.name, title[2], aims, time[1])


def lesson(path: Path) -> dict[str, Any]:
    """What a teacher wrote about a notebook.

    Raises:
        DreamerError: the file is missing, is no YAML, or lacks a part.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DreamerError(f"the lesson {path} cannot be read ({error.strerror}): write one as the others are") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        raise DreamerError(f"the lesson {path} is not YAML{f' in line {where.line + 1}' if where else ''}: mend it") from None
    for key, least in KEYS.items():
        entries = found.get(key) if isinstance(found, dict) else None
        if not isinstance(entries, list) or len(entries) < least:
            raise DreamerError(f"the lesson {path} has too few entries under {key}: it needs {least} at least")
        for entry in entries:
            missing = [name for name in INNER.get(key, ()) if not (isinstance(entry, dict) and entry.get(name))]
            if missing:
                raise DreamerError(f"the lesson {path} has an entry under {key} without {missing[0]}: {entry!r}")
    for question in found["quiz"]:
        if len(question["choices"]) != len(LETTERS) or len(set(map(str, question["choices"]))) != len(LETTERS):
            raise DreamerError(f"the lesson {path} asks {question['ask']!r} without four different choices, the right one first")
    return found


def shuffled(question: dict[str, Any]) -> tuple[list[str], str]:
    """The choices in an order that depends on the question alone, and the letter of the right one."""
    choices = list(map(str, question["choices"]))
    right = choices[0]
    random.Random(question["ask"]).shuffle(choices)
    return choices, LETTERS[choices.index(right)]


def questions(found: dict[str, Any]) -> str:
    """A quiz without its answers."""
    parts = []
    for number, question in enumerate(found["quiz"], 1):
        choices, _ = shuffled(question)
        parts.append("\n".join([f"{number}. {question['ask']}", *(f"   * {letter}. {text}" for letter, text in zip(LETTERS, choices))]))
    return "\n\n".join(parts)


def answers(found: dict[str, Any]) -> str:
    """Letters, the choices they stand for, and why."""
    lines = []
    for number, question in enumerate(found["quiz"], 1):
        lines.append(f"{number}. **{shuffled(question)[1]}** ({question['choices'][0]}). {question['why']}")
    return "\n".join(lines)


def mistakes(number: str) -> str:
    """The named mistakes of a notebook's exercises, in the words that a learner reads."""
    parts = []
    for exercise in collect().values():
        if exercise.id.partition(".")[0].zfill(2) == number:
            head = f"**{exercise.id} {exercise.title}** ({exercise.minutes} min)"
            parts.append("\n".join([head, "", *(f"* {mistake.message}" for mistake in exercise.mistakes)]))
    return "\n\n".join(parts)


def guide(one: Book, found: dict[str, Any]) -> str:
    """The page of one notebook."""
    predictions = [f"* *{entry['ask']}* Expect: {entry['wrong']} What comes: {entry['shown']}" for entry in found["predictions"]]
    discuss = [f"* **{entry['ask']}** {entry['good']}" for entry in found["discuss"]]
    parts = [
        f"# For the teacher: {one.number} · {one.title}",
        MADE,
        f"[The notebook](../notebooks/{one.file}) · [all plans](../TEACHING.md) · **Time** {one.time}",
        "## Afterwards they can",
        "\n".join(f"* {aim}" for aim in one.aims),
        "## The story in five sentences",
        " ".join(found["story"]),
        "## Predictions that go wrong",
        "\n".join(predictions),
        "## On the projector",
        "\n".join(f"* {entry}" for entry in found["projector"]),
        "## To discuss",
        "\n".join(discuss),
        "## Misconceptions",
        "Each exercise knows these wrong answers by name, and says this to whoever gives one.",
        mistakes(one.number),
        "## Exit quiz",
        questions(found),
        "The answers are in [answers.md](answers.md), which is not handed out.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def pages(root: Path = ROOT) -> dict[str, str]:
    """Every page by its name in `teaching`.

    Raises:
        DreamerError: a notebook or a lesson cannot be used.
    """
    every = [(one, lesson(root / "teaching" / "lessons" / f"{one.number}.yaml")) for one in books(root / "notebooks")]
    made = {f"{one.number}.md": guide(one, found) for one, found in every}
    asked = [f"## {one.number} · {one.title}\n\n{questions(found)}" for one, found in every]
    told = [f"## {one.number} · {one.title}\n\n{answers(found)}" for one, found in every]
    made["quiz.md"] = "\n\n".join(["# Exit quizzes", MADE, "One answer of each four is right.", *asked]) + "\n"
    made["answers.md"] = "\n\n".join(["# Answers to the exit quizzes", MADE, "Keep this page from the hand-out.", *told]) + "\n"
    return made


def minutes(time: str) -> int:
    """Reading and exercises together, from a notebook's own line of times."""
    return sum(int(found) for found in re.findall(r"(\d+) min (?:reading|exercises)", time))


def plans(root: Path = ROOT) -> str:
    """A table for each course in teaching/plans.yaml.

    Raises:
        DreamerError: a notebook or the file of plans cannot be used, or a plan names a notebook that does not exist.
    """
    times = {one.number: minutes(one.time) for one in books(root / "notebooks")}
    parts = []
    try:
        found = yaml.safe_load((root / "teaching" / "plans.yaml").read_text(encoding="utf-8"))
        for name, weeks in found.items():
            rows = []
            for number, week in enumerate(weeks, 1):
                home = ", ".join(f"[{one}](teaching/{one}.md)" for one in week["home"])
                rows.append(f"| {number} | {'; '.join(week['class'])} | {home} | {sum(times[one] for one in week['home']) or ''} |")
            head = ["| week | in class | at home | minutes at home |", "|---|---|---|---|"]
            parts.append("\n".join([f"**{name[0].upper()}{name[1:]}**", "", *head, *rows]))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DreamerError(
            f"teaching/plans.yaml cannot be used ({type(error).__name__}: {error}): write weeks with class and home"
        ) from None
    return "\n\n".join(parts)


def overview(text: str, root: Path = ROOT) -> str:
    """TEACHING.md with the plans between its two marks.

    Raises:
        DreamerError: the marks are missing, or the plans cannot be used.
    """
    if BEGIN not in text or END not in text:
        raise DreamerError(f"TEACHING.md lacks the lines {BEGIN} and {END}: put them around the plans")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{plans(root)}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write all pages."""
    path = ROOT / "TEACHING.md"
    try:
        made, whole = pages(), overview(path.read_text(encoding="utf-8"))
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for name, text in made.items():
        (ROOT / "teaching" / name).write_text(text, encoding="utf-8")
    path.write_text(whole, encoding="utf-8")
    print(f"written: TEACHING.md and {len(made)} pages in {ROOT / 'teaching'}")


if __name__ == "__main__":
    main()

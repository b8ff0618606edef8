"""What is handed out: nothing of the teacher's for the students, and an nbgrader course in which a blank counts nothing."""

import csv
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dreamer_core.classroom import handout
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.grading import points as pointing
from dreamer_core.grading.marks import mark
from dreamer_core.grading.notebook import read
from dreamer_core.grading.remote import Limits, Rooms

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handout")
    handout.main(["--out", str(folder)])
    return folder


@pytest.fixture(scope="module")
def rooms():
    with Rooms() as made:
        yield made


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_students_get_every_notebook_without_outputs_and_with_its_assets(out):
    given = sorted(path.name for path in (out / "student").glob("*.ipynb"))
    assert given == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    for name in given:
        code = [cell for cell in cells(out / "student" / name) if cell["cell_type"] == "code"]
        assert not any(cell["outputs"] or cell["execution_count"] or "execution" in cell["metadata"] for cell in code), (
            f"{name} has outputs"
        )
    assert (out / "student" / "assets" / "pendulum.safetensors").stat().st_size == (
        ROOT / "notebooks" / "assets" / "pendulum.safetensors"
    ).stat().st_size
    assert not list(out.rglob("my_answers*")), "the teacher's own answers went along"


def test_a_student_gets_no_solution(out):
    texts = [path.read_text(encoding="utf-8") for path in (out / "student").glob("*.ipynb")]
    assert not any("BEGIN SOLUTION" in text for text in texts)


def test_every_exercise_has_one_test_cell_worth_its_importance(out):
    found = {}
    for path in (out / "nbgrader" / "source").glob("*/*.ipynb"):
        for cell in cells(path):
            marks = cell["metadata"].get("nbgrader", {})
            if marks.get("grade"):
                (number,) = re.findall(r'points\("([\d.]+)"\)', cell["source"])
                assert number not in found and marks["locked"] and not marks["solution"]
                found[number] = marks["points"]
    assert found == {number: each.importance for number, each in EXERCISES.items()}


AWKWARD = ["2.2", "3.1", "5.4", "6.6", "7.1", "9.3"]  # imports in front, `self` by another name, decorators, and an ordinary one


def test_every_answer_in_the_source_is_found_whole(out):
    texts = [read(path) for path in (out / "nbgrader" / "source").glob("*/*.ipynb")]
    states = {number: taken.state for book in texts for number, taken in book.answers.items()}
    assert states == dict.fromkeys(EXERCISES, "answer"), states


@pytest.mark.parametrize("number", AWKWARD)
def test_an_answer_in_the_source_is_right(out, rooms, number):
    """The course's own text in the stub's place: the judge of a class accepts it."""
    (path,) = (out / "nbgrader" / "source").glob(f"{number.split('.')[0].zfill(2)}_*/*.ipynb")
    taken = read(path).answers[number]
    found = mark(EXERCISES[number], taken, rooms, Limits(60), " 11")
    assert found.state == "right", f"{number}: {found.sentence}\n{taken.source}"


def test_points_in_a_notebook_are_those_of_the_cells_that_were_run(rooms, monkeypatch, capsys):
    ran = ["", '@exercise("3.2")\ndef gaussian_sample(mean, std, noise):\n    return mean + std * noise']
    monkeypatch.setattr(sys.modules["__main__"], "In", ran, raising=False)
    monkeypatch.setattr(pointing, "rooms", lambda: rooms)
    assert [pointing.points(number) for number in ("3.2", "3.3", "9.99")] == [3.0, 0.0, 0.0]
    said = capsys.readouterr().out
    assert "3.2 A sample that a gradient can pass: 3 of 3 points. Right." in said and "There is no exercise '9.99'" in said


def test_a_notebook_that_is_not_there_is_a_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        handout.main(["--out", str(tmp_path), "--notebook", "77"])
    assert ended.value.code == 2 and "there is no notebook 77" in capsys.readouterr().err


GIVEN = {
    "anna": {"3.2": "return mean + std * noise"},
    "ben": {"3.2": "return (mean + std * noise).detach()", "3.3": "import os; os._exit(0)"},
    "dan": {},
}


@pytest.mark.skipif(importlib.util.find_spec("nbgrader") is None, reason="nbgrader is not installed: pip install -e '.[nbgrader]'")
def test_a_round_trip_through_nbgrader(tmp_path):
    """Assignment, submissions, marks and feedback, by nbgrader's own commands."""
    handout.main(["--out", str(tmp_path), "--notebook", "03"])
    course = tmp_path / "nbgrader"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}

    def nbgrader(*words):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *words], cwd=course, env=environment, capture_output=True, text=True, encoding="utf-8"
        )
        assert done.returncode == 0, f"nbgrader {' '.join(words)} failed:\n{done.stderr[-3_000:]}"

    nbgrader("generate_assignment", "03_rssm")
    release = course / "release" / "03_rssm" / "03_rssm.ipynb"
    text = release.read_text(encoding="utf-8")
    assert "SOLUTION" not in text and "std * noise" not in text.split("def gaussian_sample")[1][:300], "a solution was handed out"
    for student, answers in GIVEN.items():
        book = json.loads(text)
        for cell in book["cells"]:
            for number in re.findall(r'^@exercise\("([\d.]+)"\)', "".join(cell["source"]), re.MULTILINE):
                cell["source"] = "".join(cell["source"]).replace("    ...", f"    {answers.get(number, '...')}")
        path = course / "submitted" / student / "03_rssm" / "03_rssm.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(book), encoding="utf-8")
    nbgrader("autograde", "03_rssm")
    nbgrader("generate_feedback", "03_rssm")
    nbgrader("export")
    rows = csv.DictReader((course / "grades.csv").open(encoding="utf-8"))
    scores = {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in rows}
    whole = float(sum(each.importance for number, each in EXERCISES.items() if number.startswith("3.")))
    assert scores == {"anna": (3.0, whole), "ben": (0.75, whole), "dan": (0.0, whole)}, "blank means zero, half a quarter"
    feedback = (course / "feedback" / "ben" / "03_rssm" / "03_rssm.html").read_text(encoding="utf-8")
    assert "no gradient gets through it" in feedback and "ended the whole process" in feedback, "the reasons did not reach the student"

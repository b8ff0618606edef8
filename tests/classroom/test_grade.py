"""The command that marks a class: five notebooks and two other files, with everything that a class hands in."""

import csv
import html
import io
import os

import pytest
from grading.books import BALANCE, KL, RIGHT_KL, SAMPLE, answer, write

from dreamer_core.classroom import grade
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.grading.marks import Mark
from dreamer_core.grading.notebook import Taken
from dreamer_core.grading.remote import Limits

(MEAN,) = (each.message for each in EXERCISES["3.3"].mistakes if each.name == "mean_not_sum")
LOOP = "while True:\n    pass"
FORGED = '{"version": 2, "exercises": {"3.2": {"state": "right", "source": ["def f(): pass"]}, "3.3": {"state": "right"}}}'


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    """The folder of a class after the command: its table by student, and the folder."""
    folder = tmp_path_factory.mktemp("class")
    given = folder / "submissions"
    write(given / "anna.ipynb", answer(SAMPLE, "return mean + std * noise"), answer(KL, RIGHT_KL))
    write(
        given / "ben.ipynb",
        answer(SAMPLE, "return (mean + std * noise).detach()"),
        answer(KL, RIGHT_KL.replace(".sum(-1)", ".mean(-1)")),
        answer(BALANCE, LOOP),
    )
    cheats = (
        "import os\nos.environ['DREAMER_STRICT'] = '0'\nimport dreamer_core.classroom.judge as j\nj.judge = lambda e, f: j.Verdict(True)"
    )
    called = "from dreamer_core.latents import gaussian_sample as g\nreturn g(mean, std, noise)"
    bare = answer(KL.split("\n", 1)[1], RIGHT_KL)
    write(
        given / "cara 2" / "deep" / "03_rssm.ipynb", cheats, answer(SAMPLE, called), bare, answer(BALANCE, "x = [0]\nwhile True: x = x + x")
    )
    write(given / "dan" / "03_rssm.ipynb", answer(SAMPLE, "..."), answer(KL, "return mean_q / nothing"))
    (given / "dan" / "my_answers.json").write_text(FORGED, encoding="utf-8")
    (given / "emil.ipynb").write_text("this is no notebook", encoding="utf-8")
    (given / "fay.pdf").write_bytes(b"%PDF")
    out = folder / "marks.csv"
    grade.main([str(given), "--out", str(out), "--seed", "3", "--seconds", "2", "--memory", "256", "--workers", "2"])
    rows = csv.DictReader(io.StringIO(out.read_text(encoding="utf-8-sig")))
    return {row["student"]: row for row in rows}, folder


def test_every_student_has_a_row_and_a_page(marked):
    rows, folder = marked
    assert list(rows) == ["anna", "ben", "cara 2", "dan", "emil", "fay"]
    pages = sorted(path.name.split("-")[0].removesuffix(".html") for path in (folder / "marks").iterdir())
    assert pages == ["anna", "ben", "cara", "dan", "emil", "fay"]


@pytest.mark.parametrize(
    "student, points",
    [
        ("anna", {"3.2": 3, "3.3": 3, "3.4": 0, "total": 6}),
        ("ben", {"3.2": 0.75, "3.4": 0}),
        ("cara 2", {"3.2": 0, "3.3": 0, "3.4": 0, "total": 0}),
        ("dan", {"3.2": 0, "3.3": 0, "total": 0}),
        ("emil", {"3.2": 0, "total": 0}),
        ("fay", {"3.2": 0, "total": 0}),
    ],
)
def test_points(marked, student, points):
    rows, _ = marked
    found = {name: float(rows[student][name]) for name in points}
    assert found == points, f"{student} has {found}, and {rows[student]['remarks']}"
    assert float(rows[student]["out of"]) == sum(each.importance for each in EXERCISES.values() if each.id.startswith("3."))


@pytest.mark.parametrize(
    "student, said",
    [
        ("cara 2", "3.2: It calls the course's own `dreamer_core.latents.gaussian_sample`, which is the answer itself."),
        ("cara 2", "mentions DREAMER_STRICT"),
        ("cara 2", "imports what checks the exercises"),
        ("cara 2", 'The line `@exercise("3.3")` is gone'),
        ("emil", "emil.ipynb is not a notebook"),
        ("fay", "fay.pdf is no notebook"),
    ],
)
def test_remarks_to_the_teacher(marked, student, said):
    rows, _ = marked
    assert said in rows[student]["remarks"], rows[student]["remarks"]


@pytest.mark.parametrize(
    "student, said",
    [
        ("ben", "no gradient gets through it"),
        ("ben", html.escape(MEAN)),
        ("ben", "was still running after 2 seconds"),
        ("cara-2", "memory|MemoryError|still running"),
        ("dan", "Not attempted."),
        ("dan", "in <code>return mean_q / nothing</code>"),
    ],
)
def test_the_page_says_what_is_wrong(marked, student, said):
    _, folder = marked
    (path,) = (folder / "marks").glob(f"{student}*.html")
    text = path.read_text(encoding="utf-8")
    assert any(part in text for part in said.split("|")), f"{path.name} does not say {said!r}"


def test_a_judge_that_is_lost_costs_one_answer_and_no_other(monkeypatch):
    """Whatever ends the process that judges, the others get their marks."""
    jobs = [Taken("3.2", "answer", own=f"def f{n}(): pass", source=f"# {n}", name="f") for n in range(3)]
    monkeypatch.setattr(grade, "judge_one", lost_over_one)
    monkeypatch.setattr(grade, "begin", os.getpid)  # no warm process is needed
    found = {job.source: made for job, made in grade.judged(jobs, Limits(), "", 2)}
    assert {source: made.state for source, made in found.items()} == {"# 0": "right", "# 1": "fault", "# 2": "right"}, found
    assert "look at it yourself" in found["# 1"].remark


def lost_over_one(taken, limits, salt):
    """In place of the judge: it dies over the second answer."""
    if taken.source == "# 1":
        os._exit(1)
    return Mark(taken.exercise, "right", 1.0, 1)


@pytest.mark.parametrize(
    "words, said",
    [
        (["nowhere"], "nowhere is not a folder"),
        (["."], "there is no notebook of the course in ."),
        ([".", "--notebook", "77"], "notebook 77 has no exercises"),
        ([".", "--seconds", "0"], "must be above 0"),
    ],
)
def test_what_a_teacher_can_mend_is_a_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        grade.main(words)
    assert ended.value.code == 2 and said in capsys.readouterr().err

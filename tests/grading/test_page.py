"""The table and the pages: every number in its place, and no text of a student's that does anything."""

import csv
import io
import re

from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.grading.marks import Mark
from dreamer_core.grading.page import Report, file_name, page, summary, table

ASKED = [EXERCISES["3.1"], EXERCISES["3.2"]]
EVIL = '=HYPERLINK("http://x")<script>alert(1)</script>'


def report(student="anna", **fields):
    marks = {
        "3.1": Mark("3.1", "right", 3.0, 3),
        "3.2": Mark("3.2", "partly", 0.75, 3, "No gradient.", "no_gradient")._replace(**fields),
    }
    return Report(student, marks, ["She asked a question."])


def test_a_row_for_each_student_and_a_column_for_each_exercise():
    rows = list(csv.reader(io.StringIO(table([report()], ASKED))))
    assert rows == [["student", "3.1", "3.2", "total", "out of", "remarks"], ["anna", "3", "0.75", "3.75", "6", "She asked a question."]]


def test_no_name_becomes_a_formula_or_a_second_row():
    (_, row) = csv.reader(io.StringIO(table([report(EVIL + "\n=2")], ASKED)))
    assert row[0].startswith("'=") and "\n" not in row[0]


def test_a_page_needs_nothing_else_and_runs_nothing():
    text = page(report(EVIL, own=f"def f():\n    '''{EVIL}'''", printed=EVIL, sentence=EVIL), ASKED, 7)
    assert "<script" not in text, "a student's text came into the page as it is"
    assert not re.search(r"(src|href)=", text) and "@import" not in text, "the page asks for another file"
    assert text.count("&lt;script&gt;") == 5, "title, heading, sentence, print and function show the text"
    assert "0.75 of 3" in text and "3.75</strong> of 6" in text and "seed 7" in text


def test_names_of_pages_are_plain_and_all_different():
    names = ["anna", "Anna Ö. (2)", "Anna Ö. <2>", "../../etc/passwd", "=cmd", "", "x" * 300]
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names) and all(re.fullmatch(r"[\w-]+\.html", name) and len(name) < 90 for name in files), files


def test_the_summary_counts_the_class_and_its_mistakes():
    lines = summary([report("anna"), report("ben"), report("cara", state="blank", mistake="")], ASKED).splitlines()
    assert lines[0].startswith("3.1  One step of a dream") and "3 right of   3 tried" in lines[0]
    assert lines[1].endswith("0 right of   2 tried  mistakes: no_gradient (2)"), lines[1]

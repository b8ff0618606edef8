"""What a grading leaves behind: a table for the teacher, and one page for each student that needs no other file."""

import csv
import html
import io
import re
import zlib
from collections import Counter
from typing import NamedTuple

from dreamer_core.classroom.spec import IMPORTANCE, Exercise
from dreamer_core.grading.marks import Mark

WORDS = {
    "right": "right",
    "partly": "partly right",
    "wrong": "not right",
    "blank": "not attempted",
    "missing": "not found",
    "unfair": "not counted",
    "fault": "could not be judged",
}
SIGNS = {"right": "✓", "partly": "◐", "wrong": "✗", "blank": "·", "missing": "·", "unfair": "✗", "fault": "?"}


class Report(NamedTuple):
    """All that is said about one student."""

    student: str
    marks: dict[str, Mark]
    """By exercise; one that is not there was not asked of this student."""
    remarks: list[str]
    """To the teacher."""

    @property
    def total(self) -> float:
        return round(sum(each.points for each in self.marks.values()), 2)

    @property
    def out_of(self) -> int:
        return sum(each.out_of for each in self.marks.values())


def table(reports: list[Report], exercises: list[Exercise]) -> str:
    """marks.csv: one row for each student, a column for each exercise; points, their sum, what was possible, and remarks."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["student", *(each.id for each in exercises), "total", "out of", "remarks"])
    for report in reports:
        points = [plain(report.marks[each.id].points) if each.id in report.marks else "" for each in exercises]
        possible = sum(each.importance for each in exercises)
        rows.writerow([safe(report.student), *points, plain(report.total), possible, safe(" ".join(report.remarks))])
    return file.getvalue()


def plain(points: float) -> str:
    """1.5, and 2 for 2.0."""
    return f"{points:g}"


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula: names of files are chosen by students."""
    text = re.sub(r"[\x00-\x1f\x7f]", " ", text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def file_name(student: str) -> str:
    """The name of a student's page: letters, digits and dashes alone; names that look alike in them get a number."""
    plain_name = re.sub(r"[^\w-]+", "-", student).strip("-")[:60] or "student"
    return f"{plain_name}.html" if plain_name == student else f"{plain_name}-{zlib.crc32(student.encode()):08x}.html"


def summary(reports: list[Report], exercises: list[Exercise]) -> str:
    """How the class did, one line for each exercise, with the mistakes that more than one student made."""
    lines = []
    for each in exercises:
        marks = [report.marks[each.id] for report in reports if each.id in report.marks]
        right, tried = sum(mark.state == "right" for mark in marks), sum(mark.state not in ("blank", "missing") for mark in marks)
        common = [
            f"{name} ({count})" for name, count in Counter(mark.mistake for mark in marks if mark.mistake).most_common(3) if count > 1
        ]
        told = f"  mistakes: {', '.join(common)}" if common else ""
        lines.append(f"{each.id:<5}{each.title:<46}{right:>3} right of {tried:>3} tried{told}")
    return "\n".join(lines)


# --- a student's page ---------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --text: #1a1a1a; --soft: #595959; --line: #d0d0d0; --back: #ffffff; --code: #f4f4f4;
  --right: #0b6b3a; --partly: #8a5a00; --wrong: #a3262a; --none: #595959; }
@media (prefers-color-scheme: dark) { :root { --text: #ececec; --soft: #b0b0b0; --line: #4a4a4a; --back: #161616; --code: #242424;
  --right: #6fcf97; --partly: #f2b84b; --wrong: #ff8a8a; --none: #b0b0b0; } }
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; }
h2 { font-size: 1.1rem; margin: 0; }
.total { font-size: 1.2rem; margin: 0 0 1.5rem; }
.soft { color: var(--soft); font-size: 0.9rem; }
section { border-top: 1px solid var(--line); padding: 1rem 0; }
header { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; align-items: baseline; justify-content: space-between; }
.state { font-weight: 600; white-space: nowrap; }
.right { color: var(--right); } .partly { color: var(--partly); } .wrong, .unfair { color: var(--wrong); }
.blank, .missing, .fault { color: var(--none); }
p { margin: 0.5rem 0; overflow-wrap: anywhere; }
code { background: var(--code); padding: 0 0.2rem; }
pre { background: var(--code); padding: 0.7rem; overflow-x: auto; font-size: 0.85rem; line-height: 1.4; margin: 0.5rem 0; }
summary { cursor: pointer; color: var(--soft); font-size: 0.9rem; }
"""


def page(report: Report, exercises: list[Exercise], seed: int) -> str:
    """A student's page."""
    name = html.escape(report.student)
    asked = [each for each in exercises if each.id in report.marks]
    sections = "\n".join(section(each, report.marks[each.id]) for each in asked)
    none = "" if asked else "<p>No notebook of the course was found.</p>"
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Marks of {name}</title>
<style>{STYLE}</style></head>
<body>
<h1>{name}</h1>
<p class="total"><strong>{plain(report.total)}</strong> of {report.out_of} points</p>
{none}{sections}
<p class="soft">An exercise counts as many points as its importance. An answer that is not right gets up to half of them, by
the share of the kinds of input on which its numbers, and its gradients, are right. Graded with seed {seed}.</p>
</body>
</html>
"""


def section(exercise: Exercise, mark: Mark) -> str:
    """One exercise of a page."""
    importance = f'<span class="soft">importance: {IMPORTANCE[exercise.importance]}</span>'
    state = f'<span class="state {mark.state}">{SIGNS[mark.state]} {WORDS[mark.state]}: {plain(mark.points)} of {mark.out_of}</span>'
    said = f"<p>{coded(mark.sentence)}</p>" if mark.sentence else ""
    printed = f"<p>Your function printed:</p><pre>{html.escape(mark.printed)}</pre>" if mark.printed.strip() else ""
    own = f"<details><summary>your function</summary><pre>{html.escape(mark.own)}</pre></details>" if mark.own.strip() else ""
    return f"""<section>
<header><h2>{exercise.id} {html.escape(exercise.title)}</h2>{state}</header>
{importance}{said}{printed}{own}
</section>"""


def coded(sentence: str) -> str:
    """A sentence whose `names` are shown as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(sentence))

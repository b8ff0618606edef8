"""The command: marks for a class, out of the notebooks that students handed in.

    python -m dreamer_core.classroom.grade submissions --out marks.csv
    python -m dreamer_core.classroom.grade submissions --out marks.csv --notebook 03 --seed 7

SUBMISSIONS is a folder with one notebook for each student (`anna.ipynb`, or `anna_03_rssm.ipynb`), or with one folder
for each, whatever lies deeper inside. Of each notebook the functions below @exercise are taken, with the imports and helpers
that they need; nothing else in it is run, and files of answers beside it are not read. Each function is judged in a process
of its own, with limits of time and memory and with inputs that nobody has seen: they follow from a seed that is drawn anew for
each grading. The same seed gives the same marks again.

Beside the table come a page for each student, and a line for each exercise on how the class did. How points
are counted stands in `dreamer_core.grading.marks`, what the processes keep out and what they do not in `dreamer_core.grading`.
"""

import argparse
import multiprocessing
import os
import secrets
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from dreamer_core.classroom.lesson import EXERCISES, notebook_of
from dreamer_core.errors import ConfigError, DreamerError
from dreamer_core.grading import page
from dreamer_core.grading.marks import Mark, mark, shared_texts
from dreamer_core.grading.notebook import NoNotebook, Submission, Taken, read, submissions
from dreamer_core.grading.page import Report
from dreamer_core.grading.remote import Limits, Rooms


class Class(NamedTuple):
    """What a class handed in, read."""

    students: list[Submission]
    answers: dict[str, dict[str, Taken]]
    """By student and exercise."""
    remarks: dict[str, list[str]]
    asked: list[str]
    """The exercises that count, in reading order."""


def arguments(words: list[str] | None) -> argparse.Namespace:
    """The command line.

    Raises:
        ConfigError: a folder that is none, a notebook without exercises, or a limit that is no limit.
    """
    parser = argparse.ArgumentParser(
        prog="python -m dreamer_core.classroom.grade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS", help="folder of what students handed in")
    parser.add_argument("--out", type=Path, default=Path("marks.csv"), metavar="FILE", help="the table (default: marks.csv)")
    parser.add_argument("--pages", type=Path, metavar="DIR", help="folder of the students' pages (default: beside the table)")
    parser.add_argument("--notebook", metavar="NN", action="append", help="only the exercises of this notebook; may be given several times")
    parser.add_argument("--seed", type=int, help="of the inputs (default: a new one)")
    parser.add_argument(
        "--seconds", type=float, default=Limits().seconds, help="of computing that one answer may take (default: %(default)g)"
    )
    parser.add_argument(
        "--memory", type=int, default=Limits().memory // 2**20, metavar="MB", help="that one answer may take (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="answers judged at once (default: one per core)"
    )
    asked = parser.parse_args(words)
    if not asked.submissions.is_dir():
        raise ConfigError(f"{asked.submissions} is not a folder: name the one with the students' notebooks")
    known = sorted({notebook_of(number) for number in EXERCISES})
    strange = [number for number in asked.notebook or [] if number.zfill(2) not in known]
    if strange:
        raise ConfigError(f"notebook {strange[0]} has no exercises; these have: {', '.join(known)}")
    if min(asked.seconds, asked.memory, asked.workers) <= 0:
        raise ConfigError("--seconds, --memory and --workers must be above 0")
    return asked


# --- reading -------------------------------------------------------------------------------------------------


def gather(folder: Path, notebooks: list[str] | None) -> Class:
    """Read what a class handed in.

    Args:
        notebooks: only these count; None for every notebook that somebody handed in.

    Raises:
        ConfigError: there is nothing to grade.
    """
    students = submissions(folder)
    answers: dict[str, dict[str, Taken]] = {each.student: {} for each in students}
    remarks: dict[str, list[str]] = {each.student: [] for each in students}
    for each in students:
        numbers: dict[str, str] = {}
        for path in each.books:
            try:
                book = read(path)
            except NoNotebook as error:
                remarks[each.student].append(f"{error}.")
                continue
            if not book.number:
                remarks[each.student].append(f"{path.name} is no notebook of the course.")
            elif book.number in numbers:
                remarks[each.student].append(
                    f"There are two notebooks {book.number}: {path.name} is graded, {numbers[book.number]} is not."
                )
            numbers[book.number] = path.name
            answers[each.student] |= book.answers
            remarks[each.student] += book.remarks
        remarks[each.student] += [f"{name} is no notebook." for name in each.strange[:3]]
        if not each.books and not each.strange:
            remarks[each.student].append("The folder is empty.")
    wanted = {number.zfill(2) for number in notebooks or []} or {notebook_of(number) for row in answers.values() for number in row}
    asked = [number for number in EXERCISES if notebook_of(number) in wanted]
    if not students or not asked:
        raise ConfigError(f"there is no notebook of the course in {folder}: put one .ipynb, or one folder, for each student there")
    for row in answers.values():  # a notebook that was not handed in: every one of its exercises is missing
        row |= {number: Taken(number, "missing", "The notebook was not handed in.") for number in asked if number not in row}
    return Class(students, answers, remarks, asked)


# --- judging -------------------------------------------------------------------------------------------------

rooms: Rooms | None = None  # of this worker


def begin() -> None:
    """Make a process one that judges: one thread, and a warm room."""
    global rooms
    torch.set_num_threads(1)
    rooms = Rooms()


def judge_one(taken: Taken, limits: Limits, salt: str) -> Mark:
    """One answer, in this worker."""
    return mark(EXERCISES[taken.exercise], taken, rooms, limits, salt)


def pool_of(workers: int) -> ProcessPoolExecutor:
    """Processes that judge."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=begin)


def judged(jobs: list[Taken], limits: Limits, salt: str, workers: int) -> Iterator[tuple[Taken, Mark]]:
    """The marks of different answers, as they come. A judge that is lost costs the answer it was at, which is said, and no other."""
    waiting = deque(job for job in jobs if job.state == "answer")
    for job in jobs:
        if job.state != "answer":
            yield job, mark(EXERCISES[job.exercise], job, None)
    while waiting:
        suspects = yield from side_by_side(waiting, limits, salt, workers)
        for job in suspects:
            yield job, alone(job, limits, salt)


def side_by_side(waiting: deque[Taken], limits: Limits, salt: str, workers: int) -> Iterator[tuple[Taken, Mark]]:
    """Marks until nothing is waiting, or a judge is lost; returns the answers that were being judged then."""
    suspects: list[Taken] = []
    running: dict[Future, Taken] = {}
    whole = True
    with pool_of(min(workers, len(waiting))) as pool:
        while running or (waiting and whole):
            while waiting and whole and len(running) < workers:
                try:
                    asked = pool.submit(judge_one, waiting[0], limits, salt)
                except BrokenProcessPool:
                    whole = False
                else:
                    running[asked] = waiting.popleft()
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for each in ready:
                job = running.pop(each)
                try:
                    yield job, each.result()
                except BrokenProcessPool:
                    whole = False
                    suspects.append(job)
    return suspects


def alone(job: Taken, limits: Limits, salt: str) -> Mark:
    """The mark of an answer over which a judge may have been lost."""
    try:
        with pool_of(1) as pool:
            return pool.submit(judge_one, job, limits, salt).result()
    except BrokenProcessPool:
        remark = f"{job.exercise}: the process that judges was lost over it: look at it yourself."
        return Mark(job.exercise, "fault", 0.0, EXERCISES[job.exercise].importance, "It could not be judged.", own=job.own, remark=remark)


def reports(handed_in: Class, limits: Limits, seed: int, workers: int) -> list[Report]:
    """Judge every answer, with a bar. Answers whose texts are the same are judged once."""
    salt = f" {seed}"
    jobs = list(dict.fromkeys(handed_in.answers[each.student][number] for number in handed_in.asked for each in handed_in.students))
    found: dict[Taken, Mark] = {}
    with tqdm(total=len(jobs), unit="answer", dynamic_ncols=True) as bar:
        for job, made in judged(jobs, limits, salt, workers):
            found[job] = made
            bar.update()
    right = {
        student: {number: taken.own for number, taken in row.items() if number in handed_in.asked and found[taken].state == "right"}
        for student, row in handed_in.answers.items()
    }
    shared = shared_texts(right)
    made = []
    for each in handed_in.students:
        marks = {number: found[handed_in.answers[each.student][number]] for number in handed_in.asked}
        unfair = [f"{number}: {mark.sentence}" for number, mark in marks.items() if mark.state == "unfair"]
        gone = [f"{number}: {mark.sentence}" for number, mark in marks.items() if mark.state == "missing" and "is gone" in mark.sentence]
        own = [mark.remark for mark in marks.values() if mark.remark]
        made.append(Report(each.student, marks, [*handed_in.remarks[each.student], *unfair, *gone, *own, *shared.get(each.student, [])]))
    return made


def main(words: list[str] | None = None) -> None:
    """Run the command line; exits with 2 and one sentence for what a user can mend."""
    try:
        asked = arguments(words)
        seed = secrets.randbelow(10**9) if asked.seed is None else asked.seed
        handed_in = gather(asked.submissions, asked.notebook)
        found = reports(handed_in, Limits(asked.seconds, asked.memory * 2**20), seed, asked.workers)
        pages = asked.pages or asked.out.with_suffix("")
        exercises = [EXERCISES[number] for number in handed_in.asked]
        try:
            pages.mkdir(parents=True, exist_ok=True)
            asked.out.parent.mkdir(parents=True, exist_ok=True)
            asked.out.write_text(page.table(found, exercises), encoding="utf-8-sig")  # the mark lets spreadsheets read it as what it is
            for report in found:
                (pages / page.file_name(report.student)).write_text(page.page(report, exercises, seed), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"the marks could not be written to {error.filename} ({error.strerror})") from None
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped; nothing was written", file=sys.stderr)
        raise SystemExit(130) from None
    print(page.summary(found, exercises))
    print(f"{asked.out}: {len(found)} students, seed {seed}; their pages are in {pages}")


if __name__ == "__main__":
    main()

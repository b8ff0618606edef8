"""The Makefile's commands, from wherever the course lies: python is replaced by a recorder, so nothing is installed or run."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scripts import script

from dreamer_core.study.plan import read

ROOT = Path(__file__).parents[1]
STUDIES = ["suite", "suite_long", "readings", "departures", "units", "paper", "paper_less", "pixels", "pixels_less"]
OWN = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR", "PIP_CACHE_DIR")
RECORDER = """import json, os, sys
with open(os.environ["RECORD"], "a", encoding="utf-8") as file:
    file.write(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}) + "\\n")
sys.exit(int(os.environ.get("STUDY_ENDS", 0)) if "dreamer_core.study" in sys.argv else 0)
"""

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def course(tmp_path):
    """A folder with an awkward name and an environment that is ready, whose python only records how it is called."""
    folder = tmp_path / "a learner's  course, $HOME (2)"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (tmp_path / "recorder.py").write_text(RECORDER, encoding="utf-8")
    program(folder / ".venv/bin/python", f'exec "{sys.executable}" "{tmp_path / "recorder.py"}" "$@"')
    (folder / ".venv/.ready").write_text(f"{folder}\n", encoding="utf-8")
    return folder


def program(path, script):
    """An executable file."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def make(folder, target, python=sys.executable, fails=False, **environment):
    """Run `make target`; every call of the environment's python as (arguments, environment)."""
    record = folder.parent / "record"
    record.write_text("", encoding="utf-8")
    outer = {name: value for name, value in os.environ.items() if name not in (*OWN, "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "JOBS")}
    command = ["make", f"PYTHON={python}", target]
    environment = outer | {"RECORD": str(record)} | environment
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode != 0) == fails, f"make {target} failed in {folder}:\n{done.stdout}\n{done.stderr}"
    calls = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    return [(call["arguments"], call["environment"]) for call in calls]


def test_a_path_with_spaces_reaches_every_tool_whole(course):
    (lint, _), (style, _), (tests, _), (books, environment) = make(course, "test")
    assert [lint, style] == [["-m", "ruff", "check", "."], ["-m", "ruff", "format", "--check", "."]]
    assert tests[:2] == books[:2] == ["-m", "pytest"] and tests[-1] == "tests" and books[-1] == "notebooks"
    assert environment["DREAMER_LEDGER"] == str(course / "build/test_answers.json")
    ((lab, _),) = make(course, "lab")
    assert lab[:2] == ["-m", "jupyterlab"] and lab[-1] == "notebooks/00_play_in_a_dream.ipynb"


@pytest.mark.parametrize(
    "target, options",
    [
        ("test", ["--nbval-cell-timeout", "--nbval-kernel-startup-timeout"]),
        ("notebooks", ["--ExecutePreprocessor.timeout", "--ExecutePreprocessor.startup_timeout"]),
    ],
)
def test_nothing_is_stopped_on_a_busy_machine(course, target, options):
    """The longest cell takes half a minute on two idle cores; ten jobs beside it may make that many minutes."""
    *_, (words, _) = make(course, target)
    limits = dict(word.split("=") for word in words if "=" in word)
    for option in options:
        assert float(limits.get(option, 0)) >= 600, f"make {target} says {option}={limits.get(option)}"


@pytest.mark.parametrize("status", [0, 1])
def test_bench_makes_the_studies_and_writes_the_texts_though_runs_failed(course, status):
    (course / ".venv/.bench-ready").touch()
    calls = [words for words, _ in make(course, "bench", STUDY_ENDS=str(status))]
    studies = [["-m", "dreamer_core.study", f"studies/{name}.yaml", "--out", f"build/studies/{name}"] for name in STUDIES]
    assert calls == [*studies, ["tests/benchmarks/speed.py"], ["tests/benchmarks/results.py"]], calls


def test_bench_ends_where_a_study_was_stopped(course):
    (course / ".venv/.bench-ready").touch()
    assert len(make(course, "bench", fails=True, STUDY_ENDS="130")) == 1, "a study that was stopped did not end it"


def test_every_study_that_is_kept_is_made():
    assert list(script("results").STUDIES) == STUDIES
    for name in STUDIES:
        assert read(ROOT / f"studies/{name}.yaml").name == name


@pytest.mark.parametrize("target", ["lab", "test"])
def test_without_a_home_that_can_be_written_all_is_kept_in_the_environment(course, target):
    for _, environment in make(course, target, HOME="/nowhere/at all"):
        for name in OWN:
            place = environment.get(name, f"{name} is not set")
            assert place.startswith(str(course / ".venv/home/")), f"{name}: {place}"


def test_one_place_below_home_that_cannot_be_written_is_enough(course, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("nothing is closed to root")
    closed = tmp_path / "home/.jupyter"
    closed.mkdir(parents=True, mode=0o500)
    ((_, environment),) = make(course, "lab", HOME=str(closed.parent))
    assert environment.get("JUPYTER_CONFIG_DIR", "").startswith(str(course / ".venv/home/"))


def test_a_home_that_can_be_written_keeps_the_users_own_settings(course, tmp_path):
    (tmp_path / "home").mkdir()
    ((_, environment),) = make(course, "lab", HOME=str(tmp_path / "home"))
    assert not [name for name in OWN if name in environment]


def test_a_folder_that_was_moved_is_set_up_again_and_only_once(course):
    """The installed package is found by its full path: in a copy, the notebooks would run the original's code."""
    moved = course.rename(course.with_name("moved"))
    *setup, (lab, _) = make(moved, "lab")
    assert ["-m", "pip"] in [arguments[:2] for arguments, _ in setup], "nothing was installed after the move"
    assert lab[:2] == ["-m", "jupyterlab"]
    assert len(make(moved, "lab")) == 1, "the second run installs again"


def test_an_environment_that_was_left_half_made_is_made_anew(course, tmp_path):
    """Debian's python3 without python3-venv makes a folder with a python that has no pip, and so does an interruption."""
    recorder = (course / ".venv/bin/python").rename(tmp_path / "recorder")
    program(course / ".venv/bin/python", "echo No module named pip; exit 1")
    (course / ".venv/.ready").unlink()
    python = tmp_path / "python 3"
    program(python, f'test "$*" != "-m venv --clear .venv" || cp "{recorder}" .venv/bin/python')
    *setup, (lab, _) = make(course, "lab", python)
    assert ["-m", "pip", "install"] in [arguments[:3] for arguments, _ in setup], "nothing was installed"
    assert lab[:2] == ["-m", "jupyterlab"]


def test_the_hand_out_is_written_where_the_readme_says(course):
    ((words, _),) = make(course, "handout")
    assert words == ["-m", "dreamer_core.classroom.handout", "--out", "build/handout"]

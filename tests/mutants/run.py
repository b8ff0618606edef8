"""Break the core in every way that `table.py` lists, one at a time, and see whether the tests notice.

python tests/mutants/run.py                     all of them (about an hour)
python tests/mutants/run.py rssm.py "z cut"     those whose file, row or words contain one of the given texts
python tests/mutants/run.py --machine 20        20 from each file of those that a machine makes (an argument left out, another sign ...)

Those made by a machine are drawn with a seed; they are no part of the table, since not every one of
them is a mistake that somebody would make, and some change nothing.

Works on a copy, one change after the other. torch is loaded once: each change is tried in a fork of
this process. The tests of a file are those that mirror it and those of the specification (`TESTS`).
Writes build/mutants/report.md: killed / all for each row of the specification, the survivors, and
those that were killed without a word about what broke.
"""

import argparse
import ast
import copy
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from mutants.table import MUTANTS, ROWS, Mutant  # noqa: E402 (a script finds its package only now)

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "build" / "mutants" / "report.md"
KILLERS = REPORT.with_name("killers.json")  # which test noticed a change the last time: it is asked first
LIMIT = 900  # seconds until a change counts as noticed because nothing comes to an end any more
HEAVY = ("gymnasium", "numpy", "pydantic.dataclasses", "safetensors.torch", "torch", "torch._dynamo", "tqdm", "tyro")
CORE = ("spec", "agent")
TESTS = {
    "latents.py": ("latents", "rssm", "world_model", *CORE, "settings"),
    "nets.py": ("nets", "paper/vectors", "sac", "world_model", *CORE, "settings"),
    "rssm.py": ("rssm", "world_model", "paper/block_gru", "settings", *CORE),
    "senses.py": ("senses", "world_model", "paper/symlog", *CORE, "settings"),
    "dream_env.py": ("dream_env",),
    "world_model.py": (
        "world_model",
        "paper/symlog",
        "paper/twohot",
        "paper/kl",
        "paper/block_gru",
        "paper/actor_critic",
        *CORE,
        "settings",
    ),
    "returns.py": ("returns", "sac", "spec"),
    "trajectories.py": ("returns", "agent", "sac"),
    "optimize.py": ("sac", "paper/optimizers", *CORE, "settings"),
    "sac.py": ("sac", "paper/return_range", "paper/optimizers", "settings", *CORE),
    "imagine.py": ("imagine", *CORE),
    "replay.py": ("replay", "paper/online_queue", *CORE, "settings", "trainer"),
    "agent.py": ("agent", "imagine", "paper/optimizers", "paper/online_queue", "paper/actor_critic", "spec", "settings", "trainer"),
    "config.py": ("config", "settings", "spec", "train"),
    "trainer.py": ("trainer", "imagine", "settings", "train"),
    "checkpoint.py": ("checkpoint", "agent", "trainer"),
    "envs.py": ("envs", "trainer", "settings"),
    "board.py": ("board",),
    "train.py": ("train",),
    "paper/symlog.py": ("paper/symlog", "paper/vectors"),
    "paper/twohot.py": ("paper/twohot", "paper/vectors", "settings"),
    "paper/kl.py": ("paper/kl", "paper/vectors"),
    "paper/block_gru.py": ("paper/block_gru", "paper/vectors", "settings"),
    "paper/laprop.py": ("paper/optimizers", "paper/vectors"),
    "paper/agc.py": ("paper/optimizers", "paper/vectors"),
    "paper/online_queue.py": ("paper/online_queue",),
    "paper/return_range.py": ("paper/return_range", "paper/vectors"),
    "paper/actor_critic.py": ("paper/actor_critic", "paper/vectors", "paper/optimizers", "settings"),
}


def path_of(name: str) -> str:
    """Where the tests of this name in `TESTS` stand, from the root of the project."""
    folder, _, last = name.rpartition("/")
    return str(Path("tests", folder, f"test_{last}.py"))


class Outcome(NamedTuple):
    """What became of one change."""

    how: str  # "words", "numbers", "bare", "crash", "time": killed so; "survived"
    test: str
    said: str


class Recorder:
    """A plugin of pytest that keeps the first failure."""

    def __init__(self) -> None:
        self.found = Outcome("survived", "", "")

    def pytest_exception_interact(self, node, call, report) -> None:
        if self.found.how == "survived":
            said = str(call.excinfo.value).strip() or call.excinfo.typename
            self.found = Outcome(kind(call.excinfo.typename, said), node.nodeid, said.splitlines()[0][:200])


def kind(name: str, said: str) -> str:
    """How a failure speaks: in words, by numbers side by side, not at all ("assert False"), or as an error of its own."""
    if name not in ("AssertionError", "Failed"):
        return "crash"
    if not said.startswith("assert "):
        return "words"
    return "bare" if said.startswith(("assert False", "assert not ", "assert (False", "assert True")) else "numbers"


def attempt(folder: Path, tests: list[str], keep: bool = False) -> Outcome:
    """Run tests, named as pytest names them, in a fork of this process and in a copy of the project.

    `keep` leaves compiled files behind, which later attempts read: only for the unchanged project.
    """
    result = folder / "outcome.json"
    result.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os.chdir(folder)
            sys.path.insert(0, str(folder))
            os.environ |= {"PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
            sys.dont_write_bytecode = not keep
            os.environ["PYTHONDONTWRITEBYTECODE"] = "" if keep else "1"
            log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            recorder = Recorder()
            code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests], [recorder])
            found = recorder.found
            if code != 0 and found.how == "survived":
                found = Outcome("crash", "", f"pytest ended with {code}")
            result.write_text(json.dumps(found), encoding="utf-8")
        finally:
            os._exit(0)
    deadline = time.monotonic() + LIMIT
    while os.waitpid(child, os.WNOHANG) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    ended = time.monotonic() < deadline
    try:
        os.killpg(child, signal.SIGKILL)  # and whatever its tests have left running
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass
    if not ended:
        return Outcome("time", "", f"not done after {LIMIT} seconds")
    return Outcome(*json.loads(result.read_text(encoding="utf-8"))) if result.exists() else Outcome("crash", "", "the process ended")


def attempt_all(folder: Path, file: str, killer: str = "") -> Outcome:
    """Run the tests of a file of the core, before them the one that noticed this change the last time."""
    found = attempt(folder, [killer]) if killer else Outcome("survived", "", "")
    if found.how == "survived" or not found.test:  # the test is gone, or no longer notices
        found = attempt(folder, [path_of(name) for name in TESTS[file]])
    return found


def copy_project(folder: Path) -> None:
    """What the tests of the core need."""
    hidden = shutil.ignore_patterns("__pycache__")
    for name in ("dreamer_core", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=hidden)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "notebooks").symlink_to(ROOT / "notebooks")


def chosen(texts: list[str]) -> list[tuple[str, Mutant]]:
    """The mutants, with their files, whose file, row or words contain one of the texts; all of them if there is none."""
    everything = [(file, mutant) for file, mutants in MUTANTS.items() for mutant in mutants]
    return [pair for pair in everything if not texts or any(text in part for text in texts for part in (pair[0], *pair[1][:2]))]


def by_machine(count: int, texts: list[str]) -> list[tuple[str, Mutant]]:
    """Up to `count` changes of each file by the editor that makes wrong answers for the exercises, drawn with a seed."""
    edits = importlib.import_module("dreamer_core.classroom.mutants")
    found = []
    for file in (file for file in MUTANTS if not texts or file in texts):
        text = (ROOT / "dreamer_core" / file).read_text(encoding="utf-8")
        made = [mutant for node in functions(ast.parse(text)) for mutant in of_function(edits, text, node)]
        found += [(file, mutant) for mutant in random.Random(0).sample(made, min(count, len(made)))]
    return found


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions and methods of a module, not those inside of others."""
    for node in tree.body:
        yield from (part for part in (node.body if isinstance(node, ast.ClassDef) else [node]) if isinstance(part, ast.FunctionDef))


def of_function(edits: ModuleType, text: str, node: ast.FunctionDef) -> Iterator[Mutant]:
    """Every change of one function that the machine can make."""
    lines = text.splitlines(keepends=True)
    start = min([node.lineno, *(part.lineno for part in node.decorator_list)]) - 1
    before = "".join(lines[start : node.end_lineno])
    node = copy.deepcopy(node)
    node.body = node.body[ast.get_docstring(node) is not None :] or [ast.Pass()]
    for edit in edits.edits(node):
        changed = edits.apply(node, edit)
        if changed is not None and "_first_value" not in (after := ast.unparse(ast.fix_missing_locations(changed))):
            yield Mutant("by machine", f"{node.name}: {edit.what}", before, textwrap.indent(after, " " * node.col_offset) + "\n")


def report(found: list[tuple[str, Mutant, Outcome]]) -> str:
    """Killed / all for each row, then what needs a second look."""
    judged = [entry for entry in found if entry[1].same]
    counted = [entry for entry in found if not entry[1].same]
    lines = ["# Mutants of the core", "", "| row | killed | all | changes nothing (judged) |", "|---|---|---|---|"]
    for row, meaning in (ROWS | {"by machine": "one edit of any function"}).items():
        outcomes = [outcome.how for _, mutant, outcome in counted if mutant.row == row]
        alike = sum(mutant.row == row for _, mutant, _ in judged)
        if outcomes or alike:
            lines.append(f"| {row}: {meaning} | {sum(how != 'survived' for how in outcomes)} | {len(outcomes)} | {alike} |")
    killed = sum(outcome.how != "survived" for *_, outcome in counted)
    lines.append(f"| **all** | **{killed}** | **{len(counted)}** | **{len(judged)}** |")
    if counted:
        lines += ["", f"Killed: {killed / len(counted):.1%}."]
    hows = {how: sum(outcome.how == how for *_, outcome in counted) for how in ("words", "numbers", "bare", "crash", "time")}
    lines += ["", "How: " + ", ".join(f"{count} {how}" for how, count in hows.items()) + "."]
    parts = {
        "Survivors": [entry for entry in counted if entry[2].how == "survived"],
        "Judged to change nothing, but noticed": [entry for entry in judged if entry[2].how != "survived"],
        "Killed without words": [entry for entry in counted if entry[2].how in ("bare", "crash", "time")],
        "Judged to change nothing": judged,
    }
    for title, entries in parts.items():
        lines += ["", f"## {title}", ""]
        lines += [
            f"- {file}, {mutant.row}: {mutant.breaks}"
            + (f" ({mutant.same})" if mutant.same else "")
            + (f": {how} in {test}: {said}" if test else "")
            for file, mutant, (how, test, said) in entries
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", help="files, rows or words of those to try")
    parser.add_argument("--machine", type=int, default=0, metavar="N", help="try N by machine from each file instead of the table's")
    words = parser.parse_args()
    mutants = by_machine(words.machine, words.texts) if words.machine else chosen(words.texts)
    for file, mutant in mutants:
        if (ROOT / "dreamer_core" / file).read_text(encoding="utf-8").count(mutant.before) != 1:
            sys.exit(f"{mutant.breaks}: the text before is not found just once in {file}: {mutant.before}")
    for name in HEAVY:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)
    found, killers = [], json.loads(KILLERS.read_text(encoding="utf-8")) if KILLERS.exists() else {}
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder)
        needed = dict.fromkeys(path_of(name) for file, _ in mutants for name in TESTS[file])
        whole = attempt(folder, list(needed), keep=True)
        if whole.how != "survived":
            sys.exit(f"the tests fail without any change: {whole.test}: {whole.said}")
        for number, (file, mutant) in enumerate(mutants, 1):
            path, started = folder / "dreamer_core" / file, time.monotonic()
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")
            outcome = attempt_all(folder, file, killers.get(f"{file}: {mutant.breaks}", ""))
            path.write_text(text, encoding="utf-8")
            found.append((file, mutant, outcome))
            took = time.monotonic() - started
            print(f"{number}/{len(mutants)} {took:.0f} s {file}: {mutant.breaks}: {outcome.how} {outcome.test}: {outcome.said}", flush=True)
            killers[f"{file}: {mutant.breaks}"] = outcome.test
            KILLERS.write_text(json.dumps(killers, indent=1), encoding="utf-8")
            REPORT.write_text(report(found), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

"""A study from a notebook."""

import ast
import re
from pathlib import Path

import pytest
from small_studies import BUOY, SETTINGS

from dreamer_core import trainer
from dreamer_core.errors import ConfigError
from dreamer_core.study.notebook import study

EVALUATION = dict(every=20, episodes=2, seed=7, last=2)


def test_a_study_in_a_cell_shows_its_report_and_says_which_is_better(tmp_path):
    arms = {"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False}}
    found = study(arms, [BUOY], range(3, 5), tmp_path, workers=0, evaluation=EVALUATION)
    assert found.verdict.startswith("* **uncut** against **cut**: ") and "2 pairs of runs with the same seed" in found.verdict
    shown = found._repr_mimebundle_()
    assert shown["text/plain"] == found.verdict
    assert shown["text/markdown"].count("data:image/png;base64,") == 4 and ".png)" not in shown["text/markdown"]
    assert found.text == (tmp_path / "report.md").read_text(encoding="utf-8")
    assert found.results.cells["buoy", "cut"].seeds == [3, 4]


def test_with_no_workers_functions_that_were_replaced_take_part(tmp_path, monkeypatch):
    whole = trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", lambda *args: (real := whole(*args))._replace(returns=real.returns + 1000))
    found = study({"cut": SETTINGS}, [BUOY], [3], tmp_path, workers=0, evaluation=EVALUATION)
    assert found.results.cells["buoy", "cut"].returns[0] > 900


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(seeds=True), "the study has True among its seeds: write whole numbers from 0 on"),
        (dict(seeds=None), "the study has None among its seeds: write whole numbers from 0 on"),
        (dict(arms=["cut"]), r"the study has arms: \['cut'\]: write for example"),
        (dict(arms=None), "the study names no arms: write for example"),
        (dict(worlds=BUOY), "the study has worlds: {'env': 'runs:Buoy-v0', .*: write for example"),
        (dict(worlds="Pendulum-v1"), "the study has worlds: 'Pendulum-v1': write for example"),
        (dict(workers=-1), "the number of workers is -1: give 0 to work in this process, or a number of processes"),
        (dict(workers="2"), "the number of workers is '2': give 0 to work in this process"),
        (dict(workers=0, scheduler="tcp://127.0.0.1:1"), "workers are processes here and a scheduler has those of a cluster: give one"),
    ],
)
def test_what_is_wrong_with_a_call_is_said_in_one_sentence(tmp_path, changes, sentence):
    with pytest.raises(ConfigError, match=f"^{sentence}"):
        study(**dict(arms={"cut": SETTINGS}, worlds=[BUOY], seeds=[3], out=tmp_path, evaluation=EVALUATION) | changes)
    assert not list(tmp_path.iterdir()), "a folder was begun for a study that cannot be"


def test_one_seed_may_be_a_number(tmp_path):
    assert study({"cut": SETTINGS}, [BUOY], 3, tmp_path, workers=0, evaluation=EVALUATION).results.runs[0].job.seed == 3


def test_what_is_missing_says_so_in_one_sentence(tmp_path):
    with pytest.raises(
        Exception, match="^the world buoy lacks random, the mean return of random actions, and none is known for runs:Buoy-v0: write"
    ):
        study({"cut": {}}, [{key: value for key, value in BUOY.items() if key != "random"}], [0], tmp_path)


def test_a_world_that_is_not_known_here_is_told_before_anything_starts(tmp_path):
    with pytest.raises(
        ConfigError, match="^no run of the world boy can be made here, so none was begun: there is no environment 'runs:Boy-v0'"
    ):
        study({"cut": SETTINGS}, [BUOY | {"env": "runs:Boy-v0", "name": "boy"}], [3], tmp_path / "out", workers=0, evaluation=EVALUATION)
    assert not (tmp_path / "out").exists(), "a folder was begun for a study that cannot be"


def test_a_folder_of_another_study_is_refused_in_words_that_a_notebook_has(tmp_path):
    study({"cut": SETTINGS}, [BUOY], [3], tmp_path, workers=0, evaluation=EVALUATION)
    with pytest.raises(ConfigError, match=r"has the arm cut, which the plan has no more: choose another folder \(out\), or put it back$"):
        study({"kut": SETTINGS}, [BUOY], [3], tmp_path, workers=0, evaluation=EVALUATION)


def test_no_sentence_of_what_a_notebook_calls_advises_a_flag_that_only_a_command_has():
    package = Path(trainer.__file__).parent
    commands = {file for file in package.rglob("*.py") if "ArgumentParser(" in file.read_text(encoding="utf-8")} | {package / "train.py"}
    for file in set(package.rglob("*.py")) - commands:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
                found = re.search(r"--(out|workers|scheduler|env[-_]steps|device|threads|help to)\b", node.value)
                assert not found, f"{file.name}:{node.lineno} advises {found[0]}, which a notebook does not have: {node.value!r}"

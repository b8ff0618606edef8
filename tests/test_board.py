"""A run's numbers for TensorBoard, read back from the event files."""

import importlib.util
import sys

import numpy as np
import pytest
from runs import metrics, tiny, words

from dreamer_core.train import main

installed = pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="the extra tensorboard is not installed")


def events(folder):
    """What TensorBoard shows of a folder: tag -> [(step, value), ...], and the texts."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder))
    read.Reload()
    tags = read.Tags()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in tags["scalars"]}, tags["tensors"]


def assert_holds(folder, rows):
    """The curves are those of the rows of metrics.jsonl, but for `wall_s`, which these rows leave out."""
    found, texts = events(folder)
    for name in {name for row in rows for name in row} - {"env_steps"}:
        wanted = [(row["env_steps"], row[name]) for row in rows if name in row]
        assert [step for step, _ in found[name]] == [step for step, _ in wanted], f"{name} stands at other steps"
        assert np.allclose([value for _, value in found[name]], [value for _, value in wanted], rtol=1e-6), f"{name} has other values"
    assert set(found) == {name for row in rows for name in row} - {"env_steps"} | {"wall_s"}
    assert any("config" in text for text in texts), "the settings are missing"


@installed
def test_the_curves_are_those_of_the_run(tmp_path):
    main([*words(tiny()), "--out", str(tmp_path / "run"), "--tensorboard", str(tmp_path / "board")])
    assert_holds(tmp_path / "board", metrics(tmp_path / "run"))


@installed
def test_a_run_that_goes_on_shows_every_evaluation_once(tmp_path):
    run, board = str(tmp_path / "run"), str(tmp_path / "board")
    main([*words(tiny(env_steps=60)), "--out", run, "--tensorboard", board])
    main(["--resume", run, "--env-steps", "100", "--tensorboard", board])
    assert_holds(tmp_path / "board", metrics(run))
    main(["--resume", run, "--env-steps", "120", "--tensorboard", str(tmp_path / "late")])
    assert_holds(tmp_path / "late", metrics(run))


@installed
def test_a_folder_that_cannot_be_written_is_told_and_the_run_is_closed(tmp_path, capsys):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        main([*words(tiny()), "--tensorboard", str(tmp_path / "file" / "board")])
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: could not write to") and said.endswith("choose another folder (tensorboard)"), said


def test_without_the_package_one_sentence_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SystemExit) as ended:
        main([*words(tiny()), "--tensorboard", str(tmp_path / "board")])
    assert ended.value.code == 2
    assert "error: --tensorboard needs the package tensorboard, which is not installed" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()), "nothing may be left behind"

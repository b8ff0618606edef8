"""The dashboard draws what was logged and says what was not."""

import json

import numpy as np
import pytest
from figures import assert_readable, lines
from runs import finish, paper, tiny

from dreamer_core.errors import CheckpointError
from dreamer_core.trainer import Trainer
from dreamer_core.viz.dashboard import MODEL_PANELS, PANELS, VALUE_PANELS, dashboard, fitting_scale, omissions, read_metrics, series

EVERYTHING = {metric for _, metrics in PANELS.values() for metric in metrics}


def full(step, **changes):
    return {"env_steps": step} | {name: 0.1 * step for name in EVERYTHING} | changes


def test_a_metric_may_begin_late():
    rows = [{"env_steps": 100}, {"env_steps": 200, "a": 1.0}, {"env_steps": 300, "a": 3.0}]
    assert series(rows, "a").tolist() == [[200, 1], [300, 3]]
    assert series(rows, "b").shape == (0, 2)


def test_nothing_is_left_out_silently():
    rows = [full(100), full(200, odd=1.0)]
    for row in rows:
        del row["agent/q_mean"]
    rows[1]["model/stat_kl"] = float("nan")
    assert omissions(rows) == [
        "Not logged: agent/q_mean.",
        "Logged but not drawn: odd.",
        "Broken: model/stat_kl is not finite at step 200.",
    ]
    figure = dashboard(rows)
    for sentence in omissions(rows):
        assert sentence in figure.caption
        assert sentence in figure._supxlabel.get_text()


def test_every_broken_value_is_counted():
    rows = [full(100, **{"agent/entropy": float("inf")}), full(200), full(300, **{"agent/entropy": float("nan")})]
    assert omissions(rows) == ["Broken: agent/entropy is not finite at step 100 and 1 more."]


def test_a_full_set_of_rows_fills_every_panel():
    rows = [full(100), full(200)]
    assert omissions(rows) == []
    figure = dashboard(rows, free_nats=0.25)
    assert [axis.get_title() for axis in figure.get_axes()] == list(PANELS)
    kl = lines(figure.get_axes()[3])
    assert np.allclose(kl["KL[q || p]"], [[100, 200], [10, 20]])
    assert np.allclose(kl["free nats (0.25)"][1], 0.25)
    assert_readable(figure)


def test_panels_without_data_are_not_drawn_empty():
    figure = dashboard([{"env_steps": 100, "model/observation": 2.0, "agent/entropy": -1.0}])
    assert [axis.get_title() for axis in figure.get_axes()] == ["Reconstruction", "Policy entropy"]
    assert_readable(figure)


def test_a_world_model_alone_is_not_asked_for_what_an_agent_logs():
    rows = [{"updates": n} | {name: 0.1 * n for _, metrics in MODEL_PANELS.values() for name in metrics} for n in (1, 2)]
    assert omissions(rows, MODEL_PANELS, "updates") == []
    figure = dashboard(rows, asked=MODEL_PANELS, step="updates", label="world-model updates")
    assert [axis.get_title() for axis in figure.get_axes()] == list(MODEL_PANELS) and "Q" not in MODEL_PANELS
    assert figure.get_axes()[-1].get_xlabel() == "world-model updates" and "Q should" not in figure.caption
    assert_readable(figure)


def test_rows_of_something_else_are_turned_away():
    with pytest.raises(ValueError, match="no metric of a run"):
        dashboard([{"env_steps": 100, "accuracy": 1.0}])


def test_the_training_loop_logs_what_is_drawn(tmp_path):
    """And the dashboard's own difference is of this row's two returns."""
    rows = finish(Trainer(tiny(), tmp_path))
    assert read_metrics(tmp_path) == json.loads(json.dumps(rows))
    names = {name for row in rows for name in row}
    assert EVERYTHING - names == {"imagined_minus_real"}
    gap = lines(next(axis for axis in dashboard(rows).get_axes() if axis.get_title() == "Imagined minus real"))["imagined - real"]
    assert np.allclose(gap[1], [row["imagined_return_mean"] - row["eval_return_mean"] for row in rows])


@pytest.mark.parametrize("broken", ['{"env_steps": 2', "7", "\x00\x00", ""])
def test_a_damaged_line_is_named(tmp_path, broken):
    (tmp_path / "metrics.jsonl").write_text(f'{{"env_steps": 1}}\n{broken}\n{{"env_steps": 3}}\n', encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"line 2 of .*metrics.jsonl is damaged: delete that line, or make the run anew"):
        read_metrics(tmp_path)


def test_a_line_that_is_being_written_does_not_count(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"env_steps": 1}\n{"env_st', encoding="utf-8")
    assert read_metrics(tmp_path) == [{"env_steps": 1}]


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"there is no run in .*, since it holds no metrics.jsonl: name the folder of a run"):
        read_metrics(tmp_path)


def test_a_run_of_dreamerv3_has_panels_of_its_own():
    """v(s) where SAC has Q, and the range of returns; nothing that is drawn is missing."""
    rows = finish(Trainer(tiny(**paper())))
    figure = dashboard(rows)
    assert [axis.get_title() for axis in figure.get_axes()] == list(VALUE_PANELS)
    assert not any("Not logged" in sentence for sentence in omissions([row | {"imagined_minus_real": 0} for row in rows], VALUE_PANELS))
    value = lines(next(axis for axis in figure.get_axes() if axis.get_title() == "Value"))
    assert value["v(s) of dreams"][1].tolist() == [row["agent/value_mean"] for row in rows if "agent/value_mean" in row]
    assert_readable(figure)


def test_the_scale_fits_the_values():
    assert fitting_scale([1, 9]) == "linear"
    assert fitting_scale([1, 11, np.nan, np.inf]) == "log"
    assert fitting_scale([0, 100]) == fitting_scale([-1, 100]) == fitting_scale([]) == fitting_scale([np.nan]) == "linear"

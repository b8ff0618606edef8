"""What an agent expects over its training, and what it gets."""

import numpy as np
import pytest
from figures import assert_readable, lines

from dreamer_core.errors import DreamerError
from dreamer_core.viz.expectation import expectation_figure

ROWS = [
    {"env_steps": 200, "grad_steps": 0, "eval_return_mean": -1000.0, "imagined_return_mean": 0.0},
    {"env_steps": 400, "grad_steps": 100, "eval_return_mean": -700.0, "imagined_return_mean": -300.0},
    {"env_steps": 600, "grad_steps": 200, "eval_return_mean": -200.0, "imagined_return_mean": -250.0},
]


def test_the_gap_has_its_sign_and_what_was_not_learned_is_left_out():
    figure = expectation_figure(ROWS, "a run")
    above, below = figure.axes
    drawn = lines(above)
    assert drawn["imagined: what the agent expects"][1].tolist() == [-300, -250], "the row before any learning must be left out"
    assert drawn["real: what it gets"][1].tolist() == [-700, -200]
    bars = {found.get_label(): [segment[:, 1].tolist() for segment in found.get_segments()] for found in below.collections}
    assert bars == {"it expects too much": [[0, 400]], "it expects too little": [[0, -50]]}, f"the bars are {bars}"
    assert "furthest apart at step 400, -300 and -700; at the end they are -250 and -200" in figure.alt
    assert_readable(figure)


def test_a_run_without_a_world_model_imagines_nothing():
    rows = [{name: value for name, value in row.items() if name != "imagined_return_mean"} for row in ROWS]
    for told in (rows, ROWS[:1], []):
        with pytest.raises(DreamerError, match="^no evaluation here tells an imagined return"):
            expectation_figure(told)


def test_one_row_is_enough():
    assert_readable(expectation_figure(ROWS[1:2]))
    assert np.isfinite(expectation_figure(ROWS[2:]).axes[1].get_ylim()).all()

"""The reports that are kept, read back."""

import numpy as np
import pytest
from small_studies import make, small

from dreamer_core.errors import DreamerError
from dreamer_core.study import stored
from dreamer_core.viz.curves import learning_curve, median_curve


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny study: two arms, seeds 3 and 4, an evaluation every 20 of 80 steps."""
    return make(small(), tmp_path_factory.mktemp("made"))


@pytest.fixture
def kept(made, tmp_path, monkeypatch):
    """Its report, kept under the name small."""
    monkeypatch.setattr(stored, "FOLDER", tmp_path)
    (tmp_path / "small.json").write_bytes((made.out / "report.json").read_bytes())
    return made


def test_curves_are_those_of_the_runs_seed_by_seed(kept):
    found = stored.curves("small", "buoy", "uncut")
    for curve, whole in zip(found, kept.cells["buoy", "uncut"].curves, strict=True):
        assert curve.shape == (4, 2) and curve[:, 0].tolist() == [20, 40, 60, 80]
        assert curve == pytest.approx(whole[:, :2], rel=1e-4), "a kept curve is not that of its run"


def test_learning_curve_draws_them_as_they_are(kept):
    found = stored.curves("small", "buoy", "cut")
    figure = learning_curve({"cut": found})
    assert "cut stands at" in figure.alt and "after 80 steps (median of 2 seeds)" in figure.alt
    assert median_curve(found)[-1].tolist() == [80, np.median([curve[-1, 1] for curve in found])]


def test_marks_and_seconds(kept):
    best = [curve[:, 1].max() for curve in stored.curves("small", "buoy", "cut")]
    assert stored.reached("small", "buoy", "cut", max(best) + 1) == [np.inf, np.inf]
    assert stored.reached("small", "buoy", "cut", min(best) - 1e9) == [20, 20]
    whole = [curve[-1, 2] for curve in kept.cells["buoy", "cut"].curves]
    assert stored.seconds("small", "buoy", "cut") == pytest.approx(whole, rel=1e-4) and min(whole) > 0


def test_differences_are_those_of_the_study(kept):
    for one, other in zip(stored.pairs("small"), kept.pairs(), strict=True):
        assert (one.world, one.label, one.better, one.fewest) == (other.world, other.label, other.better, other.fewest)
        assert one.difference == pytest.approx(other.difference, abs=1e-4, nan_ok=True), "a kept difference is not that of the runs"


def test_what_is_not_kept_is_told_in_a_sentence(kept, tmp_path):
    with pytest.raises(DreamerError, match=r"^no report of the study large is kept in .*: make it with `make bench`$"):
        stored.curves("large", "buoy", "cut")
    with pytest.raises(DreamerError, match=r"^the study small has no kut in buoy: choose from cut in buoy; uncut in buoy$"):
        stored.curves("small", "buoy", "kut")
    text = (tmp_path / "small.json").read_text(encoding="utf-8")
    assert '"label":"cut","planned":2,"seeds":[3,4]' in text
    emptied = text.replace('"label":"cut","planned":2,"seeds":[3,4]', '"label":"cut","planned":2,"seeds":[]')
    (tmp_path / "small.json").write_text(emptied, encoding="utf-8")
    with pytest.raises(DreamerError, match=r"^the study small has no finished run of cut in buoy: make it with `make bench`$"):
        stored.curves("small", "buoy", "cut")

"""What curves show: bands of healthy runs, and what leaves them."""

import numpy as np
import pytest

from dreamer_core.clinic import symptoms
from dreamer_core.clinic.faults import ALL, FAULTS
from dreamer_core.clinic.subject import Run
from dreamer_core.clinic.symptoms import HEALTHY_SEEDS, METRICS, Case, departure, level


@pytest.fixture
def found():
    """Healthy runs end between 10 and 12 in every metric; so do all faults, but for three."""
    curves = {metric: [0.0, 0.0, 10.0] for metric in METRICS} | {"env_steps": [1, 2, 3]}
    made = {}
    for case in symptoms.cases():
        made[case.name] = dict(curves)
        if case.fault is None:
            made[case.name] = {metric: [0.0, 0.0, 10.0 + 2 * case.seed / max(HEALTHY_SEEDS)] for metric in METRICS}
    for name, end in (("few_rows", 5.0), ("raw_units", 7.0), ("kl_reversed", 13.0)):
        made[Case(FAULTS[name], "dropin", 0).name]["model/observation"] = [0.0, 0.0, end]
    made[Case(FAULTS["model_rate_large"], "dropin", 0).name] = {"stopped": "learning diverged"}
    return made


def test_how_far_a_curve_ends_outside_is_counted_in_widths_of_the_band(found):
    far = {name: departure(found, FAULTS[name], "model/observation") for name in ("few_rows", "raw_units", "kl_reversed", "same_noise")}
    assert far == pytest.approx({"few_rows": -2.5, "raw_units": -1.5, "kl_reversed": 0.5, "same_noise": 0.0})
    assert departure(found, FAULTS["model_rate_large"], "model/observation") == 0.0


def test_a_symptom_lists_its_causes_furthest_first(found):
    (low,) = symptoms.symptoms(found)
    assert (low.metric, low.side, list(low.causes)) == ("model/observation", -1, ["few_rows", "raw_units"])
    assert low.words == "Reconstruction (observation) ends below healthy runs"


def test_what_no_curve_shows_is_told_and_what_broke_off_is_not_among_it(found):
    unseen = symptoms.unseen(found)
    assert "kl_reversed" in unseen and "few_rows" not in unseen and "model_rate_large" not in unseen


def test_the_figure_draws_the_band_and_the_causes(found):
    figure = symptoms.symptoms_figure(found, symptoms.symptoms(found))
    axis = figure.axes[0]
    assert [line.get_label() for line in axis.lines] == ["few_rows", "raw_units"]
    band = axis.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == 12 and (axis.lines[0].get_ydata() == [0, 0, 5]).all()
    assert "few_rows" in figure.alt


def test_a_run_is_kept_as_few_points():
    updates = [{"model/kl": float(number)} for number in range(300)] + [{"agent/entropy": 1.0}]
    rows = [{"env_steps": 100, "eval_return_mean": 1.23456, "imagined_return_mean": 2.0}]
    kept = symptoms.curves(Run(rows, updates, None, None))
    assert len(kept["model/kl"]) == symptoms.POINTS and kept["model/kl"][0] == pytest.approx(np.mean(range(10)))
    assert kept["agent/entropy"] == [1.0] and kept["eval_return_mean"] == [1.235]


def test_the_last_third_counts():
    assert level(np.array([0.0, 0.0, 0.0, 0.0, 3.0, 5.0])) == 4.0
    assert level(np.array([7.0])) == 7.0 and np.isnan(level(np.array([])))


def test_every_case_is_stored():
    missing = {case.name for case in symptoms.cases()} - set(symptoms.stored())
    assert not missing, f"python -m dreamer_core.clinic.symptoms records what is missing: {missing}"


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_grade_says_what_the_stored_return_shows(fault):
    """Visible: the return ends clearly below healthy ones. Invisible: it does not."""
    found = symptoms.stored()
    broke = "stopped" in found[Case(fault, fault.presets[0], symptoms.SEED).name]
    far = departure(found, fault, "eval_return_mean")
    if fault.grade == "visible":
        assert broke or far < -1, f"graded visible, and the return ends {far:.1f} widths from healthy ones"
    if fault.grade == "invisible":
        assert not broke and far >= -1, f"graded invisible, and the return ends {far:.1f} widths below healthy ones"

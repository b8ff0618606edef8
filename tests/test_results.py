"""What tests/benchmarks/results.py makes of the reports that are kept; and that README.md and RESULTS.md are what it makes of them now."""

import json
from pathlib import Path

import pytest
from figures import complaints
from PIL import Image
from scripts import script
from small_studies import make, small

from dreamer_core.study import stored

ROOT = Path(__file__).parents[1]
SCALE = {"random": -100.0, "best": 0.0, "solved": -30.0, "env_steps": 400, "last": 1}


def cell(world, label, score, returns, solved, curves=None):
    """A cell of a report, of two seeds."""
    low, high = (None, None) if score == 0.5 else (score - 0.125, score + 0.125)
    one = {"value": score, "low": low, "high": high, "runs": 2}
    curves = curves or [[[200, -90.0, 1.5], [400, value, 3.0]] for value in returns]
    return {"world": world, "label": label, "seeds": [0, 1], "score": one, "returns": returns, "steps_to_solve": solved, "curves": curves}


def suite():
    """A report of two worlds; the second has no mark, and nothing was finished in it but v1."""
    long = [[[200, -90.0, 1.5], [400, -80.0, 3.0], [600, -60.0, 4.5]]] * 2
    cells = [
        cell("Pendulum-v1", "default", 0.75, [-20.0, -30.5], [400, None]),
        cell("Pendulum-v1", "sac", 0.25, [-75.0, -75.0], [None, None]),
        cell("Pendulum-v1", "sb3_sac", -0.25, [-125.0, -125.0], [None, None]),
        cell("Pendulum-v1", "sb3_sac, 3 x the steps", 0.5, [-60.0, -60.0], [None, None], long),
        cell("sea", "default", 0.5, [-1234.56, -1234.56], []),
    ]
    cells += [{"world": "sea", "label": label, "seeds": []} for label in ("sac", "sb3_sac", "sb3_sac, 3 x the steps")]
    made = [{"code": "c", "torch": "2.9"}]
    return {"worlds": {"Pendulum-v1": SCALE, "sea": SCALE}, "cells": cells, "unfinished": [], "made_with": made, "workers": [2]}


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The script, in a project of its own in which nothing was measured."""
    module = script("results")
    (tmp_path / "notebooks/assets/studies").mkdir(parents=True)
    (tmp_path / "README.md").write_text(f"before\n{module.BEGIN}\nold\n{module.END}\nafter\n", encoding="utf-8")
    monkeypatch.setattr(stored, "FOLDER", tmp_path / "notebooks/assets/studies")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "ASSETS", tmp_path / "notebooks/assets")
    return module


def test_the_readme_and_the_long_page_are_those_of_the_kept_reports():
    """Neither can be typed by hand, or left behind by a measurement."""
    results = script("results")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == results.readme(text), "README.md is not what was measured: python tests/benchmarks/results.py"
    page = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    assert page == results.page(), "RESULTS.md is not what was measured: python tests/benchmarks/results.py"


def test_what_was_not_measured_is_left_out_with_a_sentence(results, tmp_path):
    results.write()
    text, page = ((tmp_path / name).read_text(encoding="utf-8") for name in ("README.md", "RESULTS.md"))
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "The suite of worlds has not been measured yet: `make bench` does it." in text and "learning.png" not in text
    for study in results.STUDIES:
        assert f"The study [{study}](studies/{study}.yaml) has not been measured yet" in page
    assert "The speed has not been measured yet" in page and "It has not been measured yet" in page
    assert not (tmp_path / "notebooks/assets/learning.png").exists()


def test_a_readme_without_its_marks_is_refused(results):
    with pytest.raises(ValueError, match="^README.md lacks the lines .*: put them around the measured block$"):
        results.readme("no marks")


def test_each_world_has_a_row_with_v1_in_detail_and_the_scores_of_the_others(results, tmp_path):
    (tmp_path / "notebooks/assets/studies/suite.json").write_text(json.dumps(suite()), encoding="utf-8")
    results.write()
    lines = (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
    (pendulum,) = [line for line in lines if line.startswith("| Pendulum-v1")]
    assert pendulum == (
        "| Pendulum-v1 | 400 | 0.75 (0.62 to 0.88; 2) | −25.2 | 1 of 2 | never | 0.25 (0.12 to 0.38; 2) | −0.25 (−0.38 to −0.12; 2) | "
        "0.50 (no interval; 2) |"
    )
    (sea,) = [line for line in lines if line.startswith("| sea")]
    assert sea == "| sea | 400 | 0.50 (no interval; 2) | −1,234.6 | no mark |  | no run | no run | no run |"
    text = "\n".join(lines)
    assert "(torch 2.9; 2 runs at a time)" in text and "(notebooks/assets/learning.png)" in text
    assert Image.open(tmp_path / "notebooks/assets/learning.png").width > 800


def test_the_readmes_figure_holds_every_seed_against_steps_and_seconds(results, tmp_path):
    (tmp_path / "notebooks/assets/studies/suite.json").write_text(json.dumps(suite()), encoding="utf-8")
    drawn = results.figure()
    assert complaints(drawn) == []
    for axis, ends in zip(drawn.axes, ([400, 400, 600], [3.0, 3.0, 4.5])):
        thin = [line for line in axis.lines if line.get_linewidth() == 0.6]
        assert len(thin) == 6, "a seed is not drawn"
        assert [line.get_xdata()[-1] for line in axis.lines if line.get_linewidth() == 2.4] == ends
    assert [text.get_text() for text in drawn.legends[0].get_texts()][0] == "v1 (2 seeds)"


def test_the_report_of_a_study_is_kept_and_stands_in_the_long_page_with_its_figures(results, tmp_path, monkeypatch):
    made = make(small(), tmp_path / "build/readings")
    assert results.keep(tmp_path / "build") == []
    assert stored.report("readings") == made.data()
    page = results.page()
    part = page.split("## What v1's notes leave open")[1].split("\n## ")[0]
    assert "From [readings.yaml](studies/readings.yaml): 2 arms, 1 world, 4 runs, of which 4 are finished." in part
    assert "### Which is better?" in part and "\n# " not in part and "### buoy" in part
    for name in results.FIGURES:
        assert f"](notebooks/assets/studies/readings-{name}.png)" in part
        assert (tmp_path / f"notebooks/assets/studies/readings-{name}.png").exists()


def test_a_run_that_is_not_finished_is_named_when_reports_are_kept(results, tmp_path):
    make(small(worlds=[dict(small()["worlds"][0], env="Nowhere-v0")], seeds=[3]), tmp_path / "build/suite")
    told = results.keep(tmp_path / "build")
    assert len(told) == 2 and told[0].startswith("suite: cut in buoy, seed 3 is not finished (there is no environment"), told


def test_speed_stands_beside_its_roof(results):
    row = {"size": "course", "part": "whole", "threads": 1, "per_s": 25.0, "roof_per_s": 100.0}
    part = results.speed_part({"torch": "2.9", "cpus": 2, "parts": [row], "notes": ["course: small"]})
    assert part.startswith("On 2 CPUs, torch 2.9 ") and "| course | whole | 1 | 25.0 | 100.0 | 25 % |" in part
    assert part.endswith("* course: small")


@pytest.mark.parametrize(
    "text, signed", [("-0.5 (-1 to -0.2)", "−0.5 (−1 to −0.2)"), ("Pendulum-v1, x-2", "Pendulum-v1, x-2"), ("| --- |", "| --- |")]
)
def test_only_numbers_get_a_minus_sign(results, text, signed):
    assert results.signed(text) == signed

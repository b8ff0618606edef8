"""A study that grows from its report alone."""

import json

import pytest
import yaml
from runs import train
from small_studies import BUOY, SETTINGS, make, small

from dreamer_core.errors import ConfigError
from dreamer_core.study import conduct, earlier, job
from dreamer_core.study.__main__ import main
from dreamer_core.study.plan import from_dict
from dreamer_core.study.results import Results


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The report of the small study, seeds 3 and 4; its runs are gone."""
    out = tmp_path_factory.mktemp("earlier")
    make(small(), out)
    kept = tmp_path_factory.mktemp("kept") / "report.json"
    kept.write_bytes((out / "report.json").read_bytes())
    return kept


def take(plan, out, path):
    with conduct.held(plan, out):
        return earlier.take(plan, out, path)


def made_here(out):
    """The seeds whose runs have an agent."""
    return sorted({int(path.parents[1].name) for path in out.glob("runs/*/*/*/checkpoint/*.json")})


def test_a_study_in_a_new_folder_makes_only_what_the_report_has_not(report, tmp_path, capsys):
    plan = from_dict(small(seeds=[3, 4, 5]))
    taken = take(plan, tmp_path, report)
    assert [one.name for one in taken] == [f"{arm} in buoy, seed {seed}" for seed in (3, 4) for arm in ("cut", "uncut")]
    assert conduct.steps(plan, tmp_path) == (320, 480), "four of six runs of 80 steps are done already"
    found = make(small(seeds=[3, 4, 5]), tmp_path)
    assert made_here(tmp_path) == [5], "a run of the report was made again"
    whole = make(small(seeds=[3, 4, 5]), tmp_path / "whole")
    for key, cell in whole.cells.items():
        assert found.cells[key].seeds == [3, 4, 5]
        for one, other in zip(found.cells[key].curves, cell.curves):
            assert one[:, :2] == pytest.approx(other[:, :2], rel=1e-4), "the report keeps five digits of each return"


def test_the_next_report_can_be_gone_on_with_in_its_turn(report, tmp_path):
    plan = from_dict(small())
    take(plan, tmp_path / "one", report)
    first = Results(plan, tmp_path / "one").data()
    again = tmp_path / "again.json"
    again.write_text(json.dumps(first), encoding="utf-8")
    take(plan, tmp_path / "two", again)
    assert Results(plan, tmp_path / "two").data() == first, "a report that is taken over twice is another one"
    assert first["made_with"] == json.loads(report.read_text(encoding="utf-8"))["made_with"], "the code that made the runs must stay named"


def test_a_run_that_is_to_be_longer_is_made_anew(report, tmp_path):
    take(from_dict(small()), tmp_path, report)
    longer = small(worlds=[BUOY | {"env_steps": 100}])
    assert conduct.steps(from_dict(longer), tmp_path)[0] == 0, "a run without an agent cannot be gone on with"
    found = make(longer, tmp_path)
    assert made_here(tmp_path) == [3, 4]
    assert all(len(curve) == 5 for cell in found.cells.values() for curve in cell.curves)


def test_a_run_that_was_begun_here_stays(report, tmp_path):
    plan = from_dict(small())
    begun = job.jobs(plan, tmp_path)[0]
    with conduct.held(plan, tmp_path):
        train(job.configs.from_dict(begun.settings), begun.path)
    assert begun.name not in [one.name for one in take(plan, tmp_path, report)]
    assert not job.told_earlier(tmp_path / begun.path), "a run of this folder was replaced by one without an agent"


def test_the_settings_of_what_was_taken_over_may_not_change(report, tmp_path):
    take(from_dict(small()), tmp_path, report)
    changed = from_dict(small(arms={"cut": SETTINGS | {"model.deter": 12}, "uncut": SETTINGS | {"model.detach_z": False}}))
    with pytest.raises(ConfigError, match="model.deter"), conduct.held(changed, tmp_path):
        pass


CHANGES = {
    "the arm uncut with settings": {"arms": {"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False, "model.free_nats": 0.5}}},
    "the world buoy with wrappers": {"worlds": [BUOY | {"wrappers": {"reward_scale": 2.0}}]},
    "the world buoy with evaluation": {"evaluation": dict(every=20, episodes=3, seed=7, last=2)},
}


@pytest.mark.parametrize("sentence", CHANGES)
def test_runs_of_another_study_are_refused_with_a_sentence(report, tmp_path, sentence):
    with pytest.raises(ConfigError, match=sentence):
        take(from_dict(small(**CHANGES[sentence])), tmp_path, report)
    assert not (tmp_path / "runs").exists(), "nothing may be taken over from a report that does not fit"


def test_another_default_is_refused_with_a_sentence(report, tmp_path):
    found = json.loads(report.read_text(encoding="utf-8"))
    found["defaults"]["sac"]["alpha"] = 0.5
    other = tmp_path / "other.json"
    other.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"default sac\.alpha 0\.5, which is .* now: make them anew"):
        take(from_dict(small()), tmp_path / "out", other)


def test_a_report_from_before_a_setting_existed_still_fits(report, tmp_path):
    found = json.loads(report.read_text(encoding="utf-8"))
    del found["defaults"]["sac"]["alpha"]
    older = tmp_path / "older.json"
    older.write_text(json.dumps(found), encoding="utf-8")
    assert len(take(from_dict(small()), tmp_path / "out", older)) == 4


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read .*check the path"),
        ("{", "is no report of a study"),
        ("[1]", "is no report of a study"),
        ('{"arms": {}, "worlds": {}, "cells": []}', "is no report of a study"),
        (lambda found: found["cells"][0].pop("label"), "is damaged .KeyError"),
        (lambda found: found["cells"][0].update(curves=[["high"]]), "is damaged .ValueError"),
        (lambda found: found["worlds"]["buoy"].pop("env"), "is damaged .KeyError"),
    ],
)
def test_what_is_no_report_is_told_in_a_sentence(report, tmp_path, content, sentence):
    path = tmp_path / "report.json"
    if callable(content):
        found = json.loads(report.read_text(encoding="utf-8"))
        content(found)
        content = json.dumps(found)
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=sentence):
        take(from_dict(small()), tmp_path / "out", path)


def test_the_command_takes_an_earlier_report(report, tmp_path, capsys):
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small()), encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "small.yaml"), "--out", str(tmp_path / "out"), "--workers", "0", "--earlier", str(report)])
    assert ended.value.code == 0
    assert "4 runs taken over from" in capsys.readouterr().err
    assert not made_here(tmp_path / "out")

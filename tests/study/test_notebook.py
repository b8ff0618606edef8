"""A study from a notebook."""

import pytest
from small_studies import BUOY, SETTINGS

from dreamer_core import trainer
from dreamer_core.study.notebook import study

EVALUATION = dict(every=20, episodes=2, seed=7, last=2)


def test_a_study_in_a_cell_shows_its_report_and_says_which_is_better(tmp_path):
    arms = {"cut": SETTINGS, "uncut": SETTINGS | {"model.detach_z": False}}
    found = study(arms, [BUOY], range(3, 5), tmp_path, workers=0, evaluation=EVALUATION)
    assert found.verdict.startswith("* **uncut** against **cut**: ") and "2 pairs of runs with the same seed" in found.verdict
    shown = found._repr_mimebundle_()
    assert shown["text/plain"] == found.verdict
    assert shown["text/markdown"].count("data:image/png;base64,") == 3 and ".png)" not in shown["text/markdown"]
    assert found.text == (tmp_path / "report.md").read_text(encoding="utf-8")
    assert found.results.cells["buoy", "cut"].seeds == [3, 4]


def test_with_no_workers_functions_that_were_replaced_take_part(tmp_path, monkeypatch):
    whole = trainer.evaluate
    monkeypatch.setattr(trainer, "evaluate", lambda *args: (real := whole(*args))._replace(returns=real.returns + 1000))
    found = study({"cut": SETTINGS}, [BUOY], [3], tmp_path, workers=0, evaluation=EVALUATION)
    assert found.results.cells["buoy", "cut"].returns[0] > 900


def test_what_is_missing_says_so_in_one_sentence(tmp_path):
    with pytest.raises(
        Exception, match="^the world buoy lacks random, the mean return of random actions, and none is known for runs:Buoy-v0: write"
    ):
        study({"cut": {}}, [{key: value for key, value in BUOY.items() if key != "random"}], [0], tmp_path)

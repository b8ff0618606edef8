import pytest

from classroom import toys
from dreamer_core.classroom import build_judge, diagnosis, judge, lesson, transplant


@pytest.fixture(autouse=True)
def ledger_file(tmp_path, monkeypatch):
    """A ledger of this test's own; whatever was installed is taken out again."""
    file = tmp_path / "answers.json"
    monkeypatch.setenv("DREAMER_LEDGER", str(file))
    monkeypatch.setenv("DREAMER_KEY", str(tmp_path / "own" / "key"))
    monkeypatch.delenv("DREAMER_STRICT", raising=False)
    monkeypatch.setattr(lesson, "states", {})
    monkeypatch.setattr(lesson, "hints_given", {})
    yield file
    for exercise in list(transplant.installed.values()):
        transplant.remove(exercise)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """What is found does not depend on how busy the machine is: the number of tries alone ends a search."""
    monkeypatch.setattr(diagnosis, "SEARCH", 200)
    for judging in (judge, build_judge):
        monkeypatch.setattr(judging, "PATIENCE", 200)
        monkeypatch.setattr(judging, "SECONDS", 300)


@pytest.fixture
def toy_lesson(monkeypatch):
    monkeypatch.setattr(lesson, "EXERCISES", toys.ALL)
    monkeypatch.setattr(lesson, "BUILDS", {})
    return lesson

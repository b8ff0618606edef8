"""The file of answers: readable, and safe whatever happened to it."""

import json
import os

import pytest

from dreamer_core.classroom import ledger


def test_an_entry_comes_back(ledger_file):
    assert ledger.record("3.2", state="right", source=["def f(x):", "    return 'ä'"]) == ""
    assert ledger.record("1.1", state="wrong") == ""
    entries, trouble = ledger.load()
    assert entries == {"1.1": {"state": "wrong"}, "3.2": {"state": "right", "source": ["def f(x):", "    return 'ä'"]}} and trouble == ""
    assert "ä" in ledger_file.read_text(encoding="utf-8")  # a person can read it


def test_two_notebooks_write_to_one_file(ledger_file):
    ledger.record("1.1", state="right")
    data = json.loads(ledger_file.read_text(encoding="utf-8"))
    data["exercises"]["2.1"] = {"state": "right"}  # the other notebook
    ledger_file.write_text(json.dumps(data), encoding="utf-8")
    ledger.record("1.1", state="wrong")
    assert ledger.load()[0] == {"1.1": {"state": "wrong"}, "2.1": {"state": "right"}}


BROKEN = [
    "",
    "{",
    "[]",
    "null",
    "7",
    '{"version": 0, "exercises": {}}',
    '{"version": 1}',
    '{"version": 1, "exercises": []}',
    '{"version": 1, "exercises": {"1.1": 3}}',
    '{"version": 1, "exercises": {"1.1": {"state": "maybe"}}}',
    '{"version": 1, "exercises": {"1.1": {"state": "right", "source": "text"}}}',
    '{"version": 1, "exercises": {"1.1": {"state": "right", "source": [1]}}}',
    "[" * 100_000,
    "\udcff",
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_or_old_file_is_put_aside_and_kept(ledger_file, text):
    ledger_file.write_bytes(text.encode("utf-8", "surrogateescape"))
    entries, trouble = ledger.load()
    assert entries == {} and "is kept as answers.old1.json" in trouble
    assert not ledger_file.exists()
    assert ledger_file.with_name("answers.old1.json").read_bytes() == text.encode("utf-8", "surrogateescape")
    assert ledger.record("1.1", state="right") == ""


def test_putting_aside_twice_overwrites_nothing(ledger_file):
    for text in ("first", "second"):
        ledger_file.write_text(text, encoding="utf-8")
        ledger.load()
    assert [ledger_file.with_name(f"answers.old{n}.json").read_text(encoding="utf-8") for n in (1, 2)] == ["first", "second"]


def test_a_place_that_cannot_be_written_costs_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DREAMER_LEDGER", str(tmp_path / "file" / "answers.json"))
    assert "could not be saved" in ledger.record("1.1", state="right")


def test_writing_that_fails_halfway_leaves_the_old_file(ledger_file, monkeypatch):
    ledger.record("1.1", state="right")
    monkeypatch.setattr(os, "replace", None)
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "No space left" in ledger.record("1.1", state="wrong")
    assert ledger.load()[0] == {"1.1": {"state": "right"}}


def test_reset_keeps_the_old_answers(ledger_file):
    assert "nothing to forget" in ledger.reset()
    ledger.record("1.1", state="right")
    assert "kept as answers.old1.json" in ledger.reset()
    assert ledger.load() == ({}, "")


def test_the_file_lies_beside_the_notebooks(monkeypatch, tmp_path):
    monkeypatch.delenv("DREAMER_LEDGER")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path)
    assert ledger.path() == tmp_path / "notebooks" / "my_answers.json"
    monkeypatch.chdir(tmp_path / "notebooks")
    assert ledger.path() == tmp_path / "notebooks" / "my_answers.json"

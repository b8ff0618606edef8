"""The file of answers: readable, and safe whatever happened to it."""

import json
import os
import subprocess
import sys
import threading

import pytest

from dreamer_core.classroom import ledger


def test_an_entry_comes_back(ledger_file):
    assert ledger.record("3.2", state="right", source=["def f(x):", "    return 'ä'"]) == ""
    assert ledger.record("1.1", state="wrong") == ""
    entries, trouble = ledger.load()
    assert entries["3.2"].pop("signature") and trouble == ""
    assert entries == {"1.1": {"state": "wrong"}, "3.2": {"state": "right", "source": ["def f(x):", "    return 'ä'"]}}
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
    '{"version": 3, "exercises": {}}',
    '{"version": 1}',
    '{"version": 1, "exercises": []}',
    "[" * 100_000,
    "\udcff",
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_record_is_put_aside_and_kept(ledger_file, text):
    ledger_file.write_bytes(text.encode("utf-8", "surrogateescape"))
    entries, trouble = ledger.load()
    assert entries == {} and "is kept as answers.old1.json" in trouble
    assert not ledger_file.exists()
    assert ledger_file.with_name("answers.old1.json").read_bytes() == text.encode("utf-8", "surrogateescape")
    assert ledger.record("1.1", state="right") == ""


BAD = [
    3,
    None,
    {"state": "maybe"},
    {"source": []},
    {"state": "right", "source": "text"},
    {"state": "right", "source": [1]},
    {"state": "right", "source": [], "signature": 7},
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_damaged_entry_costs_itself_alone(ledger_file, bad):
    text = json.dumps({"version": 2, "exercises": {"1.1": bad, "2.1": {"state": "wrong"}}})
    ledger_file.write_text(text, encoding="utf-8")
    entries, trouble = ledger.load()
    assert entries == {"2.1": {"state": "wrong"}} and "damaged" in trouble and "1.1" in trouble
    assert ledger_file.read_text(encoding="utf-8") == text, "reading changes nothing"
    assert ledger.record("3.1", state="wrong") == ""
    assert set(ledger.load()[0]) == {"2.1", "3.1"}
    assert ledger_file.with_name("answers.old1.json").read_text(encoding="utf-8") == text, "what was damaged is kept beside"


def test_a_mark_that_some_editors_put_at_the_start_is_no_damage(ledger_file):
    ledger.record("1.1", state="wrong")
    ledger_file.write_bytes(b"\xef\xbb\xbf" + ledger_file.read_bytes())
    assert ledger.load() == ({"1.1": {"state": "wrong"}}, "")


def test_a_file_that_cannot_be_read_is_left_alone(ledger_file, monkeypatch):
    ledger.record("1.1", state="right", source=["def f(): return 1"])
    before, read_bytes = ledger_file.read_bytes(), type(ledger_file).read_bytes

    def refused(self):
        if self.name == ledger_file.name:
            raise PermissionError(13, "Permission denied")
        return read_bytes(self)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", refused)
        entries, trouble = ledger.load()
        assert entries == {} and "could not be read" in trouble and "left alone" in trouble
        assert "counts until the kernel stops" in ledger.record("2.1", state="right", source=["def g(): return 2"])
        assert "could not be read" in ledger.trust()
    assert ledger_file.read_bytes() == before


def test_a_link_stays_a_link(ledger_file, tmp_path):
    (tmp_path / "cloud").mkdir()
    real = tmp_path / "cloud" / "mine.json"
    ledger_file.symlink_to(real)
    ledger.record("1.1", state="wrong")
    assert ledger_file.is_symlink() and set(json.loads(real.read_text(encoding="utf-8"))["exercises"]) == {"1.1"}
    real.write_text("broken", encoding="utf-8")
    ledger.load()
    ledger.record("2.1", state="wrong")
    assert ledger_file.is_symlink() and (tmp_path / "cloud" / "mine.old1.json").read_text(encoding="utf-8") == "broken"


WRITER = """
import sys
from dreamer_core.classroom import ledger
for number in range(40):
    told = ledger.record(f"{sys.argv[1]}.{number}", state="right", source=[f"def f(): return {number}"])
    assert told == "", told
"""


def test_kernels_that_write_at_once_lose_nothing(ledger_file):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(n)], stderr=subprocess.PIPE) for n in (1, 2, 3)]
    for writer in writers:
        _, error = writer.communicate(timeout=120)
        assert writer.returncode == 0, error.decode()
    entries, trouble = ledger.load()
    assert trouble == "" and len(entries) == 120 and all(ledger.is_own(number, entry) for number, entry in entries.items())


def test_only_the_users_own_answers_are_theirs(ledger_file, tmp_path, monkeypatch):
    ledger.record("1.1", state="right", source=["def f(): return 1"])
    entry = ledger.load()[0]["1.1"]
    assert ledger.is_own("1.1", entry)
    assert not ledger.is_own("1.2", entry), "a signature holds for one exercise"
    assert not ledger.is_own("1.1", entry | {"source": ["def f(): return 2"]}) and not ledger.is_own("1.1", {"source": entry["source"]})
    monkeypatch.setenv("DREAMER_KEY", str(tmp_path / "somebody else"))
    assert not ledger.is_own("1.1", entry)
    assert "signed as yours" in ledger.trust()
    assert ledger.is_own("1.1", ledger.load()[0]["1.1"])


def test_the_key_is_kept_private_and_is_the_same_for_all(tmp_path):
    first, told = ledger.key()
    assert told == "" and ledger.key()[0] == first and len(first) == 32
    if os.name == "posix":
        assert ledger.key_file().stat().st_mode & 0o077 == 0, "nobody else may read it"


def test_a_key_is_kept_where_there_are_no_hard_links(ledger_file, monkeypatch):
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(OSError(1, "Operation not permitted")))
    first, told = ledger.key()
    assert told == "" and ledger.key_file().read_bytes() == first == ledger.key()[0]
    assert [file.name for file in ledger.key_file().parent.iterdir()].count(ledger.key_file().name) == 1


def test_a_key_that_cannot_be_kept_serves_this_session(ledger_file, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DREAMER_KEY", str(tmp_path / "file" / "key"))
    assert "will list them and not run them" in ledger.record("1.1", state="right", source=["def f(): return 1"])
    assert ledger.is_own("1.1", ledger.load()[0]["1.1"])
    monkeypatch.setattr(ledger, "own_key", b"of another process" * 2)
    assert not ledger.is_own("1.1", ledger.load()[0]["1.1"])


def test_a_file_without_signatures_is_understood_and_trusted_by_nobody(ledger_file):
    old = {"version": 1, "exercises": {"1.1": {"state": "right", "source": ["def f(): return 1"]}, "1.2": {"state": "wrong"}}}
    ledger_file.write_text(json.dumps(old), encoding="utf-8")
    entries, trouble = ledger.load()
    assert entries == old["exercises"] and trouble == "" and not ledger.is_own("1.1", entries["1.1"])


def test_a_writer_that_does_not_end_costs_a_sentence(ledger_file, monkeypatch):
    monkeypatch.setattr(ledger, "PATIENCE", 0.1)
    with ledger.locked() as free:
        assert free
        told = {}
        other = threading.Thread(target=lambda: told.update(record=ledger.record("1.1", state="right")))
        other.start()
        other.join()
    assert "Another notebook is writing" in told["record"] and ledger.load()[0] == {}


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

"""Checkpoints: whole or refused, never half, and nothing in them that can run code."""

import errno
import json
import os
import random

import pytest
import torch
from runs import tiny, train

from dreamer_core import checkpoint
from dreamer_core.errors import CheckpointError, DamagedCheckpoint

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "empty": torch.zeros(0, 2),
    "count": torch.tensor(7),
    "bytes": torch.tensor([1, 255], dtype=torch.uint8),
}
STATE = {"reward": 0.1 + 0.2, "first": True, "config": {"env": "A", "hide": [1, 2]}}


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of steps 10 and 20, which differ in one number."""
    for step in (10, 20):
        checkpoint.save(tmp_path / "checkpoint", step, TENSORS | {"step": torch.tensor(step)}, STATE)
    return tmp_path / "checkpoint"


def newest(folder):
    """The step of the checkpoint that would be resumed, and the sentences about others."""
    said = []
    tensors, _ = checkpoint.load_newest(folder, said.append)
    return int(tensors["step"]), said


def test_what_is_saved_comes_back_bit_for_bit(folder):
    tensors, state = checkpoint.load(folder / "00000010.json")
    assert all(torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in TENSORS.items()), (
        "a tensor came back changed"
    )
    assert all(state[name] == value for name, value in STATE.items()), "an entry of the state came back changed"


def test_shared_and_strided_tensors_are_saved(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    checkpoint.save(tmp_path, 1, {"a": shared, "b": shared[0], "turned": shared.T}, {})
    tensors, _ = checkpoint.load(tmp_path / "00000001.json")
    assert torch.equal(tensors["b"], shared[0]) and torch.equal(tensors["turned"], shared.T), "tensors that share memory came back changed"


def test_the_newest_two_are_kept(folder):
    checkpoint.save(folder, 30, TENSORS, STATE)
    assert sorted(path.name for path in folder.iterdir()) == [
        f"000000{step}.{kind}" for step in (20, 30) for kind in ("json", "safetensors")
    ]


def test_checkpoints_of_an_abandoned_future_and_leftovers_are_removed(folder):
    (folder / "00000015.json.tmp").write_text("half a file", encoding="utf-8")
    (folder / "00000012.safetensors").write_text("its JSON was never written", encoding="utf-8")
    (folder / "notes.txt").write_text("not ours", encoding="utf-8")
    checkpoint.save(folder, 15, TENSORS, STATE)  # a resumed run, which had fallen back to step 10
    assert sorted(path.name for path in folder.glob("*.json*")) == ["00000010.json", "00000015.json"]
    assert len(list(folder.iterdir())) == 5


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_truncated_or_missing_file_is_refused_and_the_one_before_it_used(kind, folder):
    path = folder / f"00000020.{kind}"
    data = path.read_bytes()
    for keep in (0, 1, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:keep])
        with pytest.raises(DamagedCheckpoint, match="^the checkpoint .*00000020.json is damaged: [^.]*$"):
            checkpoint.load(folder / "00000020.json")
        step, said = newest(folder)
        assert step == 10 and len(said) == 1 and said[0].endswith("trying the one before it"), (
            f"not step 10 and one sentence about the damaged checkpoint, but step {step} and {said}"
        )
    path.unlink()
    assert newest(folder)[0] == 10


@pytest.mark.parametrize("kind", ["json", "safetensors"])
def test_a_flipped_bit_anywhere_is_refused(kind, folder):
    path = folder / f"00000020.{kind}"
    data = path.read_bytes()
    numbers = random.Random(0)
    for number in [numbers.randrange(8 * len(data)) for _ in range(300)]:
        flipped = bytearray(data)
        flipped[number // 8] ^= 1 << number % 8
        path.write_bytes(flipped)
        assert newest(folder)[0] == 10, f"bit {number} of {path.name}"
    path.write_bytes(data)
    assert newest(folder) == (20, [])


def test_a_changed_version_number_is_damage_but_another_version_is_not(folder, monkeypatch):
    path = folder / "00000020.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"version": 1', '"version": 2'), encoding="utf-8")
    assert newest(folder)[0] == 10
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    checkpoint.save(folder, 20, TENSORS, STATE)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format version 2, this program reads version 1: use the program that wrote it"):
        newest(folder)


def test_with_no_whole_checkpoint_there_is_nothing_to_resume(folder, tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume in .*: no checkpoint is there, so start a new run"):
        newest(tmp_path / "elsewhere")
    for path in folder.glob("*.json"):
        path.write_text("[]", encoding="utf-8")
    with pytest.raises(CheckpointError, match="nothing to resume in .*: every checkpoint there is damaged"):
        newest(folder)


@pytest.mark.parametrize("function", ["fsync", "replace"])
@pytest.mark.parametrize("file", [1, 2])
def test_a_full_disk_leaves_the_last_good_checkpoint(function, file, folder, monkeypatch):
    real, calls = getattr(os, function), []

    def full(*args):
        calls.append(args)
        if len(calls) == file:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    monkeypatch.setattr(os, function, full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(folder, 30, TENSORS, STATE)
    monkeypatch.undo()
    assert newest(folder) == (20, [])
    assert not list(folder.glob("*.tmp")), "half a file was left behind"


def test_a_reader_never_sees_a_part(tmp_path, monkeypatch):
    path = tmp_path / "file"
    checkpoint.write_atomic(path, b"old")
    real, seen = os.fsync, []

    def look(*args):
        seen.append(path.read_bytes())
        return real(*args)

    monkeypatch.setattr(os, "fsync", look)
    checkpoint.write_atomic(path, b"new")
    assert seen == [b"old"] and path.read_bytes() == b"new"


def test_a_run_folder_holds_json_and_safetensors_only(tmp_path):
    """No pickle (which runs code when read), and no zip, in which torch.save hides one."""
    train(tiny(), tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".jsonl", ".safetensors"}
    for path in files:
        data = path.read_bytes()
        if path.suffix == ".safetensors":  # eight bytes of length, then a JSON header of that length, then plain numbers
            size = int.from_bytes(data[:8], "little")
            entries = json.loads(data[8 : 8 + size])
            assert len(data) == 8 + size + max(entry["data_offsets"][1] for name, entry in entries.items() if name != "__metadata__")
        else:
            for line in data.splitlines() if path.suffix == ".jsonl" else [data]:
                json.loads(line)


def test_a_checkpoint_nested_too_deeply_is_damaged_like_any_other(folder):
    (folder / "00000020.json").write_text("[" * 10**5 + "]" * 10**5, encoding="utf-8")
    step, said = newest(folder)
    assert step == 10 and "00000020.json is damaged" in said[0], said

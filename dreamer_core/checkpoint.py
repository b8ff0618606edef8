"""Checkpoints: safetensors for numbers, JSON for the rest, nothing that can run code.

A checkpoint at step 800 is two files, `00000800.safetensors` and `00000800.json`. Each is
written under another name, flushed to disk and then renamed, the JSON last: whenever the process
dies, every checkpoint whose JSON exists is whole. The JSON carries checksums of both, so a
damaged one is noticed. The newest two are kept, so that there is one to fall back to.
"""

import hashlib
import json
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import safetensors
import safetensors.torch
from torch import Tensor, contiguous_format

from dreamer_core.errors import CheckpointError, DamagedCheckpoint, InUse

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

VERSION = 1
KEEP = 2
LOCKED: weakref.WeakSet[BinaryIO] = weakref.WeakSet()  # files that `lock` has opened
if hasattr(os, "register_at_fork"):  # a simulator that was forked, and survives us, must not keep the lock
    os.register_at_fork(after_in_child=lambda: [file.close() for file in LOCKED])


def write_atomic(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a reader sees the old file or the whole new one, never a part.

    Raises:
        OSError: the disk is full or read-only; what was at `path` is untouched.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def lock(path: Path) -> BinaryIO:
    """Keep others out for as long as the file that is returned stays open; it is made if missing, and not changed.

    The system holds the lock and drops it when the process ends, however it ends. Where a file
    system knows no locks, there is none.

    Raises:
        InUse: it is locked already.
        OSError: it cannot be written to.
    """
    open(path, "ab").close()
    for mode in ("rb", "ab"):  # to read is enough, but for network folders
        file = open(path, mode)
        try:
            if os.name == "nt":
                file.seek(2**40)  # far behind the end: a locked byte cannot be read there
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except (BlockingIOError, PermissionError):
            file.close()
            raise InUse(f"another run is at work in {path.parent}: wait until it ends or close it, or choose another folder") from None
        except OSError:
            continue
    LOCKED.add(file)
    return file


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checksum(state: dict[str, Any]) -> str:
    return _digest(json.dumps(state, sort_keys=True).encode())


def save(folder: Path, step: int, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write a checkpoint of `step` and drop all but the newest two.

    Args:
        folder: made if missing.
        tensors: named tensors. state: anything JSON can hold.

    Raises:
        OSError: the disk is full or read-only; earlier checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Copies, because safetensors refuses tensors that share memory or lie in it with gaps.
    data = safetensors.torch.save({name: value.detach().cpu().clone(memory_format=contiguous_format) for name, value in tensors.items()})
    state = json.loads(json.dumps(state)) | {"version": VERSION, "tensors": _digest(data)}
    write_atomic(folder / f"{step:08d}.safetensors", data)
    write_atomic(folder / f"{step:08d}.json", json.dumps({"checksum": _checksum(state), "state": state}, indent=1).encode())
    # A later step than this one is left over from a future that a resumed run is writing anew.
    keep = sorted(path.stem for path in folder.glob("*.json") if path.stem <= f"{step:08d}")[-KEEP:]
    for old in sorted(folder.glob("[0-9]" * 8 + ".*")):  # sorted: .json goes before its .safetensors
        if old.stem not in keep:
            old.unlink()


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The checkpoint whose JSON file is `path`: tensors and state.

    Raises:
        DamagedCheckpoint: it is truncated or altered.
        CheckpointError: it is of another version.
    """
    try:
        content = json.loads(path.read_bytes())
        state, checksum = content["state"], content["checksum"]
        data = path.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DamagedCheckpoint(f"the checkpoint {path} is damaged: a part of it is missing or cannot be read") from None
    if _checksum(state) != checksum or _digest(data) != state.get("tensors"):
        raise DamagedCheckpoint(f"the checkpoint {path} is damaged: its contents do not match their checksum")
    if state["version"] != VERSION:  # checked second: a flipped bit in this number is damage, not another version
        raise CheckpointError(
            f"the checkpoint {path} has format version {state['version']}, this program reads version {VERSION}: "
            f"use the program that wrote it, or start a new run"
        )
    return safetensors.torch.load(data), state


def load_newest(folder: Path, warn: Callable[[str], None]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The newest checkpoint that is whole; `warn(sentence)` is called for each damaged one passed over.

    Raises:
        CheckpointError: there is none, or the newest is of another version.
    """
    paths = sorted(folder.glob("*.json"), reverse=True)
    for path in paths:
        try:
            return load(path)
        except DamagedCheckpoint as error:
            warn(f"{error}; trying the one before it")
    reason = "no checkpoint is there" if not paths else "every checkpoint there is damaged"
    raise CheckpointError(f"nothing to resume in {folder}: {reason}, so start a new run")


def is_of_a_run(path: Path) -> bool:
    """Whether a path names one of the two files of a checkpoint of a run."""
    return path.stem.isdigit() and path.suffix in (".json", ".safetensors")


def load_of_a_run(path: Path, warn: Callable[[str], None]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The newest whole checkpoint of the run in a folder, or the one that a file belongs to: tensors and state.

    Raises:
        CheckpointError: none is there, or it is damaged or of another version.
    """
    if not path.is_dir():
        if not path.exists():
            raise CheckpointError(f"there is no trained agent at {path}: check the path")
        return load(path.with_suffix(".json"))
    folder = path / "checkpoint" if (path / "checkpoint").is_dir() else path
    if not any(is_of_a_run(file) for file in folder.glob("*.json")):
        raise CheckpointError(f"{path} holds no trained agent: name the folder of a run, one of its checkpoints, or a file of `save`")
    return load_newest(folder, warn)


def kept_agent(folder: Path, step: int) -> Path:
    """Where the run in `folder` keeps the agent of a step (`keep_agents`)."""
    return folder / "agents" / f"step_{step:08d}.safetensors"


def kept_agents(folder: Path) -> dict[int, Path]:
    """The agents that the run in `folder` has kept: environment steps -> file of `save_one`, youngest first."""
    files = (folder / "agents").glob("step_" + "[0-9]" * 8 + ".safetensors")
    return {int(path.stem.removeprefix("step_")): path for path in sorted(files)}


def save_one(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """One small file with tensors and state, for a trained agent that is handed on rather than trained on.

    Raises:
        OSError: the disk is full or read-only.
    """
    tensors = {name: value.detach().cpu().clone(memory_format=contiguous_format) for name, value in tensors.items()}
    text = json.dumps(state | {"version": VERSION}, sort_keys=True)
    digest = _digest(text.encode() + safetensors.torch.save(tensors))
    write_atomic(path, safetensors.torch.save(tensors, {"state": text, "checksum": digest}))


def load_one(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The inverse of `save_one`.

    Raises:
        CheckpointError: there is no such file, or it is damaged or of another version.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no trained agent at {path}: check the path, or make it again with `make assets`")
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        tensors = safetensors.torch.load_file(path)
        text = metadata["state"]
        whole = _digest(text.encode() + safetensors.torch.save(tensors)) == metadata["checksum"]
    except (OSError, ValueError, KeyError, safetensors.SafetensorError):
        whole = False
    if not whole:
        raise DamagedCheckpoint(f"the trained agent at {path} is damaged: fetch it again, or make it again with `make assets`")
    state = json.loads(text)
    if state["version"] != VERSION:
        raise CheckpointError(
            f"the trained agent at {path} has format version {state['version']}, this program reads version {VERSION}: "
            f"make it again with `make assets`"
        )
    return tensors, state

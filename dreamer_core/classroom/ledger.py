"""What a learner has solved, in a small readable file next to the notebooks.

Each entry keeps the learner's own source, so that a right answer is still theirs after the kernel
was restarted. That source is run when the next notebook begins, so it is signed, as Jupyter signs
notebooks: with a key that lies in the user's own data folder and nowhere else. What somebody else
wrote is listed, and not run until the learner says so.

Nothing is ever lost: two notebooks may write at once, a file that cannot be read is left alone, one
that is not understood is moved aside, and damaged entries are copied before they go.
"""

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from jupyter_core.paths import jupyter_data_dir

NAME = "my_answers.json"
KEY = "dreamer_answers.key"
VERSION = 2  # 1 had no signatures
PATIENCE = 10  # seconds that another notebook may take to write
Entry = dict[str, Any]

own_key = secrets.token_bytes(32)  # of this process, where no other can be kept


class Unreadable(Exception):
    """The file is there and cannot be read; its text is one sentence."""


class Content(NamedTuple):
    """What a file of answers holds."""

    entries: dict[str, Entry]
    damaged: tuple[str, ...] = ()
    """The entries that are not what they should be, by their names; they are not among `entries`."""
    trouble: str = ""
    """A sentence, if the file had to be put aside."""


def path() -> Path:
    """The file: what DREAMER_LEDGER names, or `my_answers.json` beside the notebooks."""
    if named := os.environ.get("DREAMER_LEDGER"):
        return Path(named)
    inside = Path.cwd() / "notebooks"
    return (inside if inside.is_dir() else Path.cwd()) / NAME


def target() -> Path:
    """Where the file really lies: a link stays a link, and what it leads to is written."""
    return Path(os.path.realpath(path()))


# --- reading -----------------------------------------------------------------------------------------


def load() -> tuple[dict[str, Entry], str]:
    """All entries by exercise, and a sentence if something is wrong with the file."""
    try:
        content = read()
    except Unreadable as error:
        return {}, f"{error}, so this session starts without your earlier answers. The file is left alone."
    if content.damaged:
        names = ", ".join(content.damaged)
        return content.entries, f"In {path().name} these entries are damaged and count for nothing: {names}. The others stand."
    return content.entries, content.trouble


def read() -> Content:
    """The file's content; one that is no record at all is put aside.

    Raises:
        Unreadable: the system does not let it be read.
    """
    try:
        text = target().read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Content({})
    except OSError as error:
        raise Unreadable(f"{path().name} could not be read ({error.strerror})") from None
    try:
        data = json.loads(text.decode("utf-8-sig"))  # some editors put a mark at the start
        if data["version"] not in (1, VERSION):
            raise ValueError("another version")
        found = {str(number): entry for number, entry in data["exercises"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Content({}, trouble=put_aside())
    good = {number: entry for number, entry in found.items() if is_whole(entry)}
    return Content(good, tuple(number for number in found if number not in good))


def is_whole(entry: Any) -> bool:
    """Whether an entry's fields are what they should be."""
    if not isinstance(entry, dict) or entry.get("state") not in ("right", "wrong"):
        return False
    lines = entry.get("source", [])
    return isinstance(lines, list) and all(isinstance(line, str) for line in lines) and isinstance(entry.get("signature", ""), str)


def put_aside() -> str:
    """Rename a file that is not understood, so that a new one can begin; returns a sentence about it."""
    try:
        return f"{path().name} was not a record this version understands. It is kept as {renamed().name}, and a new one begins."
    except OSError as error:
        return f"{path().name} is not a record this version understands, and it could not be renamed ({error.strerror}): move it away."


def spare() -> Path:
    """The first `.old` number that is free."""
    return next(name for number in range(1, 10_000) if not (name := target().with_suffix(f".old{number}.json")).exists())


def renamed() -> Path:
    """The file's new name."""
    return target().rename(spare())


# --- whose is it? --------------------------------------------------------------------------------------


def key_file() -> Path:
    """Where the user's key lies: what DREAMER_KEY names, or Jupyter's own data folder."""
    return Path(os.environ.get("DREAMER_KEY") or Path(jupyter_data_dir()) / KEY)


def key() -> tuple[bytes, str]:
    """The user's key, made at the first call; and a sentence if it could not be kept, so that it serves this process alone."""
    file = key_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():  # written whole under another name first: nobody ever reads half a key
            part = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as new:
                new.write(secrets.token_bytes(32))
            with contextlib.suppress(FileExistsError):  # another notebook was faster
                place(part, file)
            part.unlink(missing_ok=True)
        kept = file.read_bytes()
        if len(kept) >= 32:
            return kept, ""
        reason = "it is too short: remove it, and a new one is made"
    except OSError as error:
        reason = error.strerror or str(error)
    told = f"The key that signs your answers could not be kept in {file} ({reason}), so the next session will list them and not run them."
    return own_key, told


def place(part: Path, file: Path) -> None:
    """Give a file its name, unless there is one of that name.

    Raises:
        FileExistsError: there is.
        OSError: the system does not allow it.
    """
    try:
        os.link(part, file)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.rename(file)


def signature(number: str, source: list[str]) -> str:
    """What only this user can write under an answer."""
    return hmac.new(key()[0], "\n".join([number, *source]).encode(), hashlib.sha256).hexdigest()


def is_own(number: str, entry: Entry) -> bool:
    """Whether this user wrote an entry's source, or has said that it may be run."""
    return hmac.compare_digest(entry.get("signature", "").encode(), signature(number, entry.get("source", [])).encode())


def trust() -> str:
    """Sign every answer that is stored, whoever wrote it; returns a sentence."""
    with locked() as free:
        if not free:
            return BUSY
        try:
            content = read()
        except Unreadable as error:
            return f"{error}, so nothing was signed."
        for number, entry in content.entries.items():
            if entry.get("source"):
                entry["signature"] = signature(number, entry["source"])
        return save(content) or key()[1] or "The stored answers are signed as yours, and run from now on."


# --- writing -------------------------------------------------------------------------------------------


BUSY = f"Another notebook is writing to the file of answers and did not end within {PATIENCE} seconds: run the cell again."


@contextlib.contextmanager
def locked() -> Iterator[bool]:
    """Keeps other notebooks from writing meanwhile; gives False if one did not end. Where no lock can be made, there is none."""
    lock = FileLock(target().with_name(f".{target().name}.lock"), timeout=PATIENCE)
    try:
        target().parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        yield False
        return
    except (OSError, NotImplementedError):  # a read-only folder: then nobody writes
        yield True
        return
    try:
        yield True
    finally:
        lock.release()


def save(content: Content) -> str:
    """Write all entries, completely or not at all; returns a sentence if that was not possible."""
    file = target()
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if content.damaged:
            shutil.copy2(file, spare())
        entries = dict(sorted(content.entries.items()))
        part.write_text(json.dumps({"version": VERSION, "exercises": entries}, indent=1, ensure_ascii=False), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        return f"Your progress could not be saved to {path()} ({error.strerror}); it counts until the kernel stops."
    return ""


def record(number: str, **fields: Any) -> str:
    """Change one entry in the file as it is now (another notebook may have written to it); returns a sentence if something went wrong."""
    with locked() as free:
        if not free:
            return BUSY
        try:
            content = read()
        except Unreadable as error:
            return f"{error}, so it is left alone: this counts until the kernel stops."
        entry = {"state": "wrong"} | content.entries.get(number, {}) | fields
        told = ""
        if fields.get("source"):
            entry["signature"], told = signature(number, fields["source"]), key()[1]
        elif "source" in fields:
            entry.pop("signature", None)
        content.entries[number] = entry
        return save(content) or content.trouble or told


def reset() -> str:
    """Begin anew; the old file is kept under another name. Returns a sentence."""
    if not target().exists():
        return "There is nothing to forget yet."
    try:
        return f"Your progress begins anew. What was there is kept as {renamed().name}."
    except OSError as error:
        return f"{path().name} could not be renamed ({error.strerror}): your progress stays as it is."

"""What a learner has solved, in a small readable file next to the notebooks.

Each entry keeps the learner's own source, so that a right answer is still theirs after the kernel
was restarted. Nothing is ever lost: a file that cannot be read is moved aside, not overwritten.
"""

import json
import os
from pathlib import Path
from typing import Any

NAME = "my_answers.json"
VERSION = 1
Entry = dict[str, Any]


def path() -> Path:
    """The file: what DREAMER_LEDGER names, or `my_answers.json` beside the notebooks."""
    if named := os.environ.get("DREAMER_LEDGER"):
        return Path(named)
    inside = Path.cwd() / "notebooks"
    return (inside if inside.is_dir() else Path.cwd()) / NAME


def load() -> tuple[dict[str, Entry], str]:
    """All entries by exercise, and a sentence if the file had to be put aside."""
    file = path()
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise ValueError("another version")
        entries = {str(key): checked(entry) for key, entry in data["exercises"].items()}
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"{file.name} could not be read ({error.strerror}), so this session starts without your earlier answers."
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, put_aside(file)
    return entries, ""


def checked(entry: Entry) -> Entry:
    """The entry, if its fields are what they should be.

    Raises:
        ValueError: they are not.
    """
    lines = entry.get("source", [])
    if entry["state"] not in ("right", "wrong") or not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ValueError("a damaged entry")
    return entry


def put_aside(file: Path) -> str:
    """Rename a file that is not understood, so that a new one can begin; returns a sentence about it."""
    try:
        return f"{file.name} was not a record this version understands. It is kept as {renamed(file).name}, and a new one begins."
    except OSError as error:
        return f"{file.name} is not a record this version understands, and it could not be renamed ({error.strerror}): move it away."


def renamed(file: Path) -> Path:
    """The file's new name, the first `.old` number that is free."""
    spare = next(name for number in range(1, 10_000) if not (name := file.with_suffix(f".old{number}.json")).exists())
    return file.rename(spare)


def save(entries: dict[str, Entry]) -> str:
    """Write all entries, completely or not at all; returns a sentence if that was not possible."""
    file = path()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps({"version": VERSION, "exercises": entries}, indent=1, ensure_ascii=False), encoding="utf-8")
        part.replace(file)
    except OSError as error:
        return f"Your progress could not be saved to {file} ({error.strerror}); it counts until the kernel stops."
    return ""


def record(exercise: str, **fields: Any) -> str:
    """Change one entry in the file as it is now (another notebook may have written to it); returns a sentence if something went wrong."""
    entries, trouble = load()
    entries[exercise] = {"state": "wrong"} | entries.get(exercise, {}) | fields
    return save(dict(sorted(entries.items()))) or trouble


def reset() -> str:
    """Begin anew; the old file is kept under another name. Returns a sentence."""
    file = path()
    if not file.exists():
        return "There is nothing to forget yet."
    try:
        return f"Your progress begins anew. What was there is kept as {renamed(file).name}."
    except OSError as error:
        return f"{file.name} could not be renamed ({error.strerror}): your progress stays as it is."

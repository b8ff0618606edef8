"""The numbers of the official implementation in vectors.json, as tensors; vectors.py says where they come from."""

import functools
import json
from pathlib import Path
from typing import Any

import torch

FILE = Path(__file__).with_name("vectors.json")


@functools.cache
def content() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def tensors(value: Any) -> Any:
    """Lists as tensors: float32, int64 or bool, as their numbers are written. Everything else as it is."""
    if isinstance(value, dict):
        return {name: tensors(part) for name, part in value.items()}
    return torch.tensor(value) if isinstance(value, list) else value


def vectors(name: str) -> dict[str, Any]:
    """One entry of the file: inputs, settings and results by name, fresh tensors at each call."""
    return tensors(content()[name])

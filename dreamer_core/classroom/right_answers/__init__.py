"""Right answers in other styles than the course's: a check must pass them all, and their changed versions help to name a mistake."""

import importlib
from collections.abc import Callable


def of(exercise: str) -> list[Callable]:
    """Right answers to an exercise, as "3.2"; an exercise that is not the course's has none."""
    try:
        module = importlib.import_module(f"{__name__}.nb{int(exercise.split('.')[0]):02d}")
    except ModuleNotFoundError:
        return []
    return module.RIGHT.get(exercise, [])

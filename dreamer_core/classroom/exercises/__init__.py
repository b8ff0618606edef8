"""The exercises of each notebook, one module a notebook."""

import importlib
import pkgutil

from dreamer_core.classroom.spec import Exercise


def collect() -> dict[str, Exercise]:
    """All exercises by number, in reading order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {exercise.id: exercise for module in modules for exercise in module.EXERCISES}

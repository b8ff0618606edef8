"""Notebook 10 has patients in the place of exercises."""

from collections.abc import Callable

RIGHT: dict[str, tuple[Callable, ...]] = {}

"""Mutants of notebook 03's references that behave as the reference does, and why."""

EQUIVALENT: dict[str, dict[str, str]] = {}

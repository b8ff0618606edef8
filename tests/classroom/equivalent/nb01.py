"""Mutants of notebook 01's references that behave as the reference does, and why."""

EQUIVALENT: dict[str, dict[str, str]] = {}

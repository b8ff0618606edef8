"""How many lines of the agent are the learner's?

A line of the agent is a line of code in one of its modules: no comment, no docstring, no blank. A line is
replaced where the function or class it stands in is one that the learner wrote. Configuration, environments
and what keeps a run on disk are not counted: they are nobody's exercise.
"""

import ast
import importlib
import inspect
import io
import tokenize
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from dreamer_core.classroom import transplant
from dreamer_core.classroom.build import Build
from dreamer_core.classroom.spec import Exercise

AGENT = ("nets", "latents", "rssm", "world_model", "replay", "trajectories", "imagine", "returns", "sac", "optimize", "agent")


class Lines(NamedTuple):
    """Counted lines of code."""

    replaced: int
    """Lines of the core in whose place the learner's code runs."""
    all: int
    """Lines of the core's agent."""


def code_lines(text: str) -> set[int]:
    """The numbers of the lines (from 1) that hold code; docstrings and comments do not."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", [])
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            told |= set(range(body[0].lineno, body[0].end_lineno + 1))
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            found |= set(range(token.start[0], token.end[0] + 1))
    return found - told


@cache
def core_lines(module: str) -> frozenset[int]:
    """The code lines of a module of the core."""
    return frozenset(code_lines(inspect.getsource(importlib.import_module(f"dreamer_core.{module}"))))


def lines_of(reference: Callable) -> set[int]:
    """The code lines of its module that a class or function of the core takes."""
    lines, start = inspect.getsourcelines(inspect.unwrap(reference))
    return set(range(start, start + len(lines)))


def lines_of_the_agent(exercises: dict[str, Exercise], builds: dict[str, Build]) -> Lines:
    """Count, as things stand in this kernel."""
    answered = [exercises[number] for number in transplant.installed] + [builds[number] for number in transplant.built]
    replaced: dict[str, set[int]] = {module: set() for module in AGENT}
    for reference in (each.reference for each in answered):
        module = inspect.unwrap(reference).__module__.removeprefix("dreamer_core.")
        if module in replaced:
            replaced[module] |= lines_of(reference) & core_lines(module)
    return Lines(sum(map(len, replaced.values())), sum(len(core_lines(module)) for module in AGENT))

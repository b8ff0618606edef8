"""A learner's function as text: is it attempted at all, and can it be taken to another notebook?"""

import ast
import inspect
import linecache
import math
import textwrap
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from dreamer_core.classroom.call import code_of
from dreamer_core.classroom.spec import Exercise


def source_of(function: Callable) -> str:
    """The text of a `def` without its @exercise line; empty where there is none to be had."""
    try:
        text = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(text).body[0]
        own = [f"@{ast.get_source_segment(text, mark)}" for mark in node.decorator_list if not is_exercise(mark)]
    except Exception:  # whatever stands under the decorator, it may answer in any way
        return ""
    return "\n".join(own + text.splitlines()[node.lineno - 1 : node.end_lineno]) if isinstance(node, ast.FunctionDef) else ""


def is_exercise(mark: ast.expr) -> bool:
    """Whether a decorator is @exercise(...)."""
    return isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "exercise"


def attempted(function: Callable) -> bool:
    """Whether every `...` that stands for "your code" has been replaced.

    `x[..., 0]` is code, not a gap.
    """
    source = source_of(function)
    if not source:
        code = code_of(function)
        return code is None or code.co_code != empty.__code__.co_code
    body = ast.parse(source).body[0].body
    if all(gap(statement) for statement in body):
        return False
    return not any(isinstance(value, ast.Constant) and value.value is ... for value in map(whole_value, ast.walk(ast.Module(body, []))))


def begun(function: Callable) -> bool:
    """Whether there is code of the learner's beside the `...` that is left."""
    source = source_of(function)
    return bool(source) and not all(gap(statement) for statement in ast.parse(source).body[0].body)


def empty() -> None:
    """What an untouched function compiles to."""
    ...


def gap(statement: ast.stmt) -> bool:
    """A docstring, `...` or `pass`: nothing that does anything."""
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def whole_value(node: ast.AST) -> ast.AST | None:
    """The value of a statement that is nothing but a value: `...`, `x = ...`, `return ...`."""
    return node.value if isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Return)) else None


def revive(exercise: Exercise, source: str) -> Callable:
    """The function again, from its text, with what the reference's module knows and the usual short names.

    Raises:
        Exception: whatever the text raises when it is run.
    """
    names = dict(vars(inspect.getmodule(exercise.reference)))
    names |= {"torch": torch, "Tensor": torch.Tensor, "nn": torch.nn, "F": F, "np": np, "math": math}
    # A name of its own, so that its lines can be shown where it fails.
    file = f"<your answer to {exercise.id}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
    wanted = ast.parse(source).body[0].name
    return names[wanted]

"""A learner's function or class as text: is it attempted at all, and can it be taken to another notebook?"""

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
    """The text of a `def` or a `class` without its @exercise or @build line; empty where there is none to be had."""
    try:
        text = class_text(function) if inspect.isclass(function) else textwrap.dedent(inspect.getsource(function))
        node = ast.parse(text).body[0]
        own = [f"@{ast.get_source_segment(text, mark)}" for mark in node.decorator_list if not is_exercise(mark)]
    except Exception:  # whatever stands under the decorator, it may answer in any way
        return ""
    return (
        "\n".join(own + text.splitlines()[node.lineno - 1 : node.end_lineno]) if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else ""
    )


def class_text(made: type) -> str:
    """The text of a class, found through the lines of its first method: `inspect` does not find one that a notebook's cell makes.

    Raises:
        Exception: there is none to be had.
    """
    code = code_of(made)
    lines = linecache.getlines(code.co_filename)
    around = [
        node
        for node in ast.walk(ast.parse("".join(lines)))
        if isinstance(node, ast.ClassDef) and node.name == made.__name__ and node.lineno <= code.co_firstlineno <= node.end_lineno
    ]
    node = around[-1]
    start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
    return textwrap.dedent("".join(lines[start - 1 : node.end_lineno]))


def is_exercise(mark: ast.expr) -> bool:
    """Whether a decorator is @exercise(...) or @build(...)."""
    return isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id in ("exercise", "build")


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


def methods_left(source: str) -> list[str]:
    """The methods of a class's text that hold nothing but `...`; of a stub, all of them."""
    try:
        body = ast.parse(source).body[0].body
    except (SyntaxError, IndexError):
        return []
    return [each.name for each in body if isinstance(each, ast.FunctionDef) and all(gap(statement) for statement in each.body)]


def untouched(made: Callable) -> bool:
    """Whether the answer to a build still is its stub: a function or a class without any code in it."""
    source = source_of(made)
    if not source:
        return not inspect.isclass(made) and not attempted(made)
    body = ast.parse(source).body[0].body
    methods = [each for each in body if isinstance(each, ast.FunctionDef)]
    rest = [statement for each in methods for statement in each.body] if inspect.isclass(made) else body
    others = [each for each in body if each not in methods] if inspect.isclass(made) else []
    return all(map(gap, [*rest, *others]))


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
    """The function or class again, from its text, with what the reference's module knows and the usual short names.

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

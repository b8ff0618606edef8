"""The course's own answer as a text that can be pasted into the notebook's cell, and passes there."""

import ast
import builtins
import inspect
import textwrap
import types
from typing import Any

from dreamer_core.classroom.build import Build
from dreamer_core.classroom.spec import Exercise


def pasteable(exercise: Exercise, known: dict[str, Any]) -> str:
    """The reference's text without annotations; what it needs and the notebook lacks is imported in its first lines.

    Args:
        known: the names of the notebook, by which things it knows them.
    """
    text = textwrap.dedent(inspect.getsource(exercise.reference)).rstrip()
    names = inspect.unwrap(exercise.reference).__globals__
    text = without_annotations(text, names)
    tree = ast.parse(text).body[0]
    needed = [name for name in free_names(tree) if name in names and known.get(name) is not names[name]]
    lines = text.splitlines()
    first = tree.body[1] if ast.get_docstring(tree) is not None and len(tree.body) > 1 else tree.body[0]
    indent = " " * first.col_offset
    return "\n".join([*lines[: first.lineno - 1], *(indent + statement(name, names[name]) for name in needed), *lines[first.lineno - 1 :]])


def cell_of(build: Build, known: dict[str, Any]) -> str:
    """The whole cell that answers a build with the course's own: imports, the mark, and the text.

    Args:
        known: the names of the notebook, by which things it knows them.
    """
    text = textwrap.dedent(inspect.getsource(build.reference)).rstrip()
    names = vars(inspect.getmodule(build.reference))
    read = [node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    own = build.reference.__name__
    needed = [name for name in dict.fromkeys(read) if name in names and name != own and known.get(name) is not names[name]]
    room = inspect.getmodule(build.reference).__name__
    imports = "\n".join(
        f"from {room} import {name}" if isinstance(names[name], (dict, list, tuple, float, int)) else statement(name, names[name])
        for name in needed
    )
    return f'{imports}\n\n\n@build("{build.id}")\n{text}' if imports else f'@build("{build.id}")\n{text}'


def without_annotations(text: str, names: dict[str, Any]) -> str:
    """The text of a `def` without its annotations, and with the values of constants for its defaults."""
    tree = ast.parse(text).body[0]
    cuts: list[tuple[int, int, str]] = []
    for argument in tree.args.args:
        if argument.annotation is not None:
            name_end = place(text, argument.lineno, argument.col_offset) + len(argument.arg)
            cuts.append((name_end, place(text, argument.annotation.end_lineno, argument.annotation.end_col_offset), ""))
    for default in tree.args.defaults:
        if isinstance(default, ast.Name):
            where = place(text, default.lineno, default.col_offset), place(text, default.end_lineno, default.end_col_offset)
            cuts.append((*where, repr(names[default.id])))
    if tree.returns is not None:
        end = place(text, tree.returns.end_lineno, tree.returns.end_col_offset)
        cuts.append((text.rindex("->", 0, place(text, tree.returns.lineno, tree.returns.col_offset)) - 1, end, ""))
    for start, end, instead in sorted(cuts, reverse=True):
        text = text[:start] + instead + text[end:]
    return text


def place(text: str, line: int, column: int) -> int:
    """Where a line and a column (in bytes) of a syntax tree lie in the text."""
    lines = text.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) + len(lines[line - 1].encode()[:column].decode())


def free_names(tree: ast.FunctionDef) -> list[str]:
    """The names that a function's body reads and does not make, in the order of their first use."""
    body = ast.Module(tree.body, [])
    made = {node.id for node in ast.walk(body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    made |= {argument.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for argument in node.args}
    read = [node for node in ast.walk(body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    ordered = sorted(read, key=lambda node: (node.lineno, node.col_offset))
    return [name for name in dict.fromkeys(node.id for node in ordered) if name not in made and not hasattr(builtins, name)]


def statement(name: str, value: Any) -> str:
    """The line that makes a name mean this."""
    if isinstance(value, types.ModuleType):
        room, _, last = value.__name__.rpartition(".")
        start = f"from {room} import {last}" if room else f"import {last}"
        return start if name == last else f"{start} as {name}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"from {value.__module__} import {value.__name__}" + ("" if name == value.__name__ else f" as {name}")
    return f"{name} = {value!r}"

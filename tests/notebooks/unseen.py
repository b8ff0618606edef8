"""What would fail in a cell without anybody seeing it: a run of the notebooks passes, whatever it does."""

import ast

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbval.plugin import comment_markers, metadata_tags

from dreamer_core.classroom.elsewhere import OLD_GUARD

SKIP = "skip-execution"  # nbclient's own tag
NAMES = {
    "get_ipython": "an unknown magic and a failing shell line pass",
    "exit": "the kernel ends, and the cell passes",
    "quit": "the kernel ends, and the cell passes",
}
MODULES = {
    "subprocess": "a command may fail, and the cell passes",
    "threading": "a thread may raise, and the cell passes",
    "asyncio": "a task may raise, and the cell passes",
}
SHELLS = {"os.system", "os.popen"}


def unseen(cell: nbformat.NotebookNode) -> list[str]:
    """For each thing in a code cell that could fail unseen: what it is, and why. The lines for Colab are tested in test_wheel."""
    source = OLD_GUARD.sub("", cell.source)
    plain = TransformerManager().transform_cell(source)
    changed = [line for line in source.strip().splitlines() if line not in plain.splitlines()]
    if changed:
        return marks(cell) + [f"{changed[0]!r}: not Python but IPython's own; what is unknown or fails there passes"]
    return marks(cell) + [reason for node in ast.walk(ast.parse(plain)) for reason in hidden(node)]


def marks(cell: nbformat.NotebookNode) -> list[str]:
    """Tags and comments that tell those who run the cell to skip it, or to expect an error."""
    tags = [tag for tag in cell.metadata.get("tags", []) if tag in {*metadata_tags, SKIP}]
    comments = [line.strip() for line in cell.source.splitlines() if line.strip().startswith("#")]
    return [f"{mark!r}: the cell is not held to anything" for mark in tags + [c for c in comments if c.lstrip("# ") in comment_markers]]


def hidden(node: ast.AST) -> list[str]:
    """What one node of a cell's syntax tree hides."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        return [f"{name!r}: {MODULES[name]}" for name in modules if name in MODULES]
    if isinstance(node, ast.Name) and node.id in NAMES:
        return [f"{node.id!r}: {NAMES[node.id]}"]
    if isinstance(node, ast.Attribute) and ast.unparse(node) in SHELLS:
        return [f"{ast.unparse(node)!r}: a command may fail, and the cell passes"]
    if isinstance(node, ast.ExceptHandler) and all(isinstance(line, ast.Pass) for line in node.body):
        return ["'except: pass': an error passes"]
    return []

"""The course's symbols: what each means, what it is called in the code, and its shape.

The one source: every notebook shows its rows from here, and a test holds each shape against the
tensors of a running agent.
"""

from typing import NamedTuple

from IPython.display import Markdown, display

SIZES = {
    "B": "windows in a batch",
    "T": "rows in a replay window",
    "H": "imagined steps",
    "N": "imagined trajectories",
    "D": "size of h",
    "Z": "size of z",
    "A": "size of an action",
    "O": "size of an observation",
    "F": "size of a state s = (h, z), D + Z",
}


class Entry(NamedTuple):
    """One symbol."""

    symbol: str  # as TeX, without dollar signs
    meaning: str
    name: str  # in the code
    shape: str  # "(B, T, O)", "()" for a number
    notebooks: tuple[str, ...]


ENTRIES = (
    Entry("o_t", "observation", "window.observation", "(B, T, O)", ("01", "03", "05")),
    Entry("a_t", "action that leaves row t, in [-1, 1]", "window.action", "(B, T, A)", ("01", "02", "03", "05")),
    Entry("r_t", "reward that arrives with row t", "window.reward", "(B, T)", ("01", "04", "05")),
)


def glossary(notebook: str) -> None:
    """Show the symbols a notebook uses, with the sizes its shapes are made of.

    Args:
        notebook: its number, as "03".
    """
    rows = [entry for entry in ENTRIES if notebook in entry.notebooks]
    table = ["| symbol | meaning | in the code | shape |", "|---|---|---|---|"]
    table += [f"| ${entry.symbol}$ | {entry.meaning} | `{entry.name}` | {entry.shape} |" for entry in rows]
    used = [size for size in SIZES if any(size in entry.shape for entry in rows)]
    sizes = "; ".join(f"{size} = {SIZES[size]}" for size in used)
    display(Markdown("\n".join(table) + (f"\n\n{sizes}." if sizes else "")))

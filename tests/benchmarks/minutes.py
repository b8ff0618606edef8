"""How long every notebook runs, held against the time its first cell states.

    python tests/benchmarks/minutes.py             all notebooks, one after the other: about seven minutes
    python tests/benchmarks/minutes.py --only 03   one of them

Each runs in a kernel of its own, untouched, with nobody's answers. What counts is the time its cells
take, without the kernel's start. Results go to notebooks/assets/minutes.json, and a test holds the
notebooks against them. On a busy machine times say nothing: then nothing is measured, unless with --anyway.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "notebooks" / "assets" / "minutes.json"
STATED = re.compile(r"\*\*Time\*\*.* (\d+) s running")
BUSY = 0.5  # jobs of others, on average over the last minute
NOTEBOOK, CELL = 180, 60  # the longest that a notebook, or one cell of it, may run, in seconds


class Times(NamedTuple):
    """What the cells of one notebook took, in seconds: all of them, and the longest."""

    all: float
    longest: float


def stated(notebook: nbformat.NotebookNode) -> int:
    """The seconds that a notebook's first cell promises.

    Raises:
        ValueError: it promises none.
    """
    found = STATED.search(notebook.cells[0].source)
    if found is None:
        raise ValueError("the first cell states no running time; it must hold a line '**Time** ... · 30 s running · ...'")
    return int(found[1])


def times(notebook: nbformat.NotebookNode) -> Times:
    """What an executed notebook's cells took, by the kernel's own clock."""
    spent = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            clock = cell.metadata["execution"]
            begun, ended = (datetime.fromisoformat(clock[name]) for name in ("iopub.execute_input", "shell.execute_reply"))
            spent.append((ended - begun).total_seconds())
    return Times(round(sum(spent), 1), round(max(spent), 1))


def complaints(promised: int, measured: Times) -> list[str]:
    """What is wrong with a notebook's running time; a promise may be wrong by a factor of two."""
    found = []
    if not measured.all / 2 <= promised <= 2 * measured.all:
        found.append(f"states {promised} s, runs {measured.all:.0f} s")
    if measured.all > NOTEBOOK:
        found.append(f"runs {measured.all:.0f} s, more than {NOTEBOOK} s")
    if measured.longest > CELL:
        found.append(f"has a cell that runs {measured.longest:.0f} s, more than {CELL} s")
    return found


def measure(path: Path) -> Times:
    """Run a notebook in the folder it lies in; nothing is written."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, startup_timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    return times(notebook)


def stored() -> dict[str, Times]:
    """What was measured: notebook -> times. Empty before the first measurement."""
    if not OUT.exists():
        return {}
    return {name: Times(**row) for name, row in json.loads(OUT.read_text(encoding="utf-8"))["notebooks"].items()}


def store(measured: Mapping[str, Times], load: float) -> None:
    """Write the times, with the number of cores and the machine's load before the measurement."""
    rows = {name: row._asdict() for name, row in sorted(measured.items())}
    content = {"cores": os.cpu_count(), "load": round(load, 2), "notebooks": rows}
    OUT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the command line; the exit status is 1 if a notebook does not keep its promise."""
    paths = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=paths, default=list(paths), help="numbers of notebooks (default: all)")
    parser.add_argument("--anyway", action="store_true", help="measure on a busy machine, too")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    if load > BUSY and not arguments.anyway:
        sys.exit(f"the machine is busy (load {load:.1f}): wait until it is below {BUSY}, or measure all the same with --anyway")
    measured, wrong = stored(), 0
    with tempfile.TemporaryDirectory() as folder:
        for name in [name for name in os.environ if name.startswith("DREAMER_")]:
            del os.environ[name]
        os.environ["DREAMER_LEDGER"] = str(Path(folder) / "answers.json")
        for number in arguments.only:
            spent = measured[number] = measure(paths[number])
            found = complaints(stated(nbformat.read(paths[number], as_version=4)), spent)
            wrong += bool(found)
            print(f"{number}: {spent.all:.0f} s, longest cell {spent.longest:.0f} s; {'; '.join(found) or 'as stated'}", flush=True)
            store(measured, load)
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()

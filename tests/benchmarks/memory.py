"""What one student asks of a machine: the memory of each notebook, and of the server in front of it.

    python tests/benchmarks/memory.py             all notebooks, one after the other: about ten minutes on a quiet machine
    python tests/benchmarks/memory.py --only 03   one of them
    python tests/benchmarks/memory.py --write     nothing is measured: write teaching/hub.md anew from what is stored

Each notebook runs in a kernel of its own, untouched, with nobody's answers, on at most two cores. Results go to
notebooks/assets/memory.json and into the table of teaching/hub.md, which a test holds against it.

* kernel_mb: the kernel's largest resident memory, as the system kept it (getrusage), in MiB.
* children_mb: the most that processes below the kernel held for themselves, looked at ten times a second. One of them writes a film, or
  judges an answer.
* server_mb: resident memory of the JupyterLab server with one kernel.

A busy machine changes none of these, but it does change times. Those of the page come from `minutes.py`, which waits for a quiet one.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cpus
import minutes
import nbformat
import psutil
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "notebooks" / "assets" / "memory.json"
PAGE = ROOT / "teaching" / "hub.md"
BEGIN, END = "<!-- measured: written by python tests/benchmarks/memory.py -->", "<!-- end of measured -->"
MIB = 2**20
PATIENCE = 3600  # seconds for a cell or a kernel: on a busy machine they take many times their own
CORES = 2  # of the machine that the course promises to run on
SYSTEM_MB = 2048  # left to the system, the hub and its proxy
MACHINES = (8, 16, 32, 64)  # GiB
CROWD = 8  # students who share a core in the page's example
ASK = """
import resource as _resource, sys as _sys
print("peak", _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss * (1 if _sys.platform == "darwin" else 1024))
"""


class Use(NamedTuple):
    """What one notebook took at most: MiB of its kernel, MiB of the processes below it."""

    kernel_mb: int
    children_mb: int


class Watch(threading.Thread):
    """Looks ten times a second at the processes below a kernel; `most` is the largest sum, in bytes."""

    def __init__(self, kernel: int):
        super().__init__(daemon=True)
        self.kernel, self.most, self.over = psutil.Process(kernel), 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            self.most = max(self.most, sum(map(private, descendants(self.kernel))))

    def stop(self) -> int:
        """End the watch; returns the most that was seen."""
        self.over.set()
        self.join()
        return self.most


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """The processes below one; none once it has ended."""
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def private(process: psutil.Process) -> int:
    """The memory that would be free again if this process ended, in bytes: what a fork shares with its parent is not counted twice."""
    try:
        return process.memory_full_info().uss
    except psutil.Error:  # it has just ended
        return 0


def measure(path: Path) -> Use:
    """Run a notebook in the folder it lies in; nothing is written."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(ASK))
    client = NotebookClient(notebook, timeout=PATIENCE, startup_timeout=PATIENCE, resources={"metadata": {"path": str(path.parent)}})
    watches = []

    def started(**_: Any) -> None:
        if not watches:
            watches.append(Watch(client.km.provisioner.pid))
            watches[0].start()

    client.on_cell_execute = started
    client.execute()
    peak = int("".join(output.text for output in notebook.cells[-1].outputs).split()[-1])  # a line may come in two parts
    return Use(round(peak / MIB), round(watches[0].stop() / MIB))


def server() -> int:
    """Resident memory of a JupyterLab server that has given out its page and runs one kernel, in MiB; the kernel is not counted."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", f"--ServerApp.root_dir={folder}"]
        command += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True", "--allow-root", "--LabApp.news_url="]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            address = f"http://127.0.0.1:{port}"
            answer(f"{address}/lab")
            answer(f"{address}/api/kernels", b"{}")
            time.sleep(5)
            return round(psutil.Process(process.pid).memory_info().rss / MIB)
        finally:
            process.terminate()
            process.wait(30)


def answer(address: str, body: bytes | None = None, patience: float = 120) -> bytes:
    """What a server says, once it listens.

    Raises:
        OSError: it does not in that many seconds.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return urllib.request.urlopen(urllib.request.Request(address, data=body), timeout=30).read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def stored() -> tuple[dict[str, Use], int]:
    """What was measured: notebook -> use, and the server's MiB. Empty and 0 before the first measurement."""
    if not OUT.exists():
        return {}, 0
    content = json.loads(OUT.read_text(encoding="utf-8"))
    return {name: Use(**row) for name, row in content["notebooks"].items()}, content["server_mb"]


def store(measured: Mapping[str, Use], server_mb: int) -> None:
    """Write the numbers, with the number of cores they were measured on."""
    rows = {name: row._asdict() for name, row in sorted(measured.items())}
    OUT.write_text(json.dumps({"cores": CORES, "server_mb": server_mb, "notebooks": rows}, indent=1) + "\n", encoding="utf-8")


def student_mb(measured: Mapping[str, Use], server_mb: int) -> int:
    """The memory of one student in MiB: the server and the hungriest notebook with all that runs below it."""
    return server_mb + max(use.kernel_mb + use.children_mb for use in measured.values())


def limit_gb(measured: Mapping[str, Use], server_mb: int) -> float:
    """The limit to set for one student in GiB: room for a second open notebook, up to the next half."""
    needed = student_mb(measured, server_mb) + max(use.kernel_mb for use in measured.values())
    return -(-needed // 512) / 2


def students(gib: int, measured: Mapping[str, Use], server_mb: int) -> int:
    """How many work at the same time on a machine of so many GiB, each in the hungriest notebook."""
    return max(0, (gib * 1024 - SYSTEM_MB) // student_mb(measured, server_mb))


def table(measured: Mapping[str, Use], server_mb: int, times: Mapping[str, minutes.Times]) -> str:
    """What teaching/hub.md shows of it; `times` are those of `minutes.py`."""
    rows = ["| notebook | kernel, MiB | processes below it, MiB | seconds of computing |", "|---|---|---|---|"]
    rows += [f"| {name} | {use.kernel_mb} | {use.children_mb} | {times[name].all:.0f} |" for name, use in sorted(measured.items())]
    longest = max(times, key=lambda name: times[name].all)
    whole = sum(each.all for each in times.values())
    machines = ["| machine's memory | students at the same time |", "|---|---|"]
    machines += [f"| {gib} GiB | {students(gib, measured, server_mb)} |" for gib in MACHINES]
    missing = ", ".join(sorted(times.keys() - measured.keys()))
    return "\n\n".join(
        [
            "\n".join(rows),
            *([f"Not measured yet: {missing}. The numbers below may grow."] if missing else []),
            f"The JupyterLab server of one student takes {server_mb} MiB. **One student needs {student_mb(measured, server_mb)} MiB** in "
            f"the hungriest notebook. A limit of **{limit_gb(measured, server_mb):g} GiB** leaves room for a second notebook that was "
            "left open.",
            "\n".join(machines),
            f"{SYSTEM_MB // 1024} GiB are left to the system and the hub in this table.",
            f"Notebook {longest} computes longest, {times[longest].all:.0f} seconds; all notebooks together take {whole / 60:.0f} minutes. "
            f"With {CROWD} students to a core who all run {longest} at the same moment, each waits "
            f"{CROWD * times[longest].all / 60:.0f} minutes. They rarely do: most of a lesson is reading and writing.",
        ]
    )


def page(text: str) -> str:
    """teaching/hub.md with the numbers between its two marks."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table(*stored(), minutes.stored())}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Run the command line."""
    paths = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=paths, default=list(paths), help="numbers of notebooks (default: all)")
    parser.add_argument("--write", action="store_true", help="write teaching/hub.md from what is stored, and measure nothing")
    arguments = parser.parse_args()
    if not arguments.write:
        cpus.pin(cpus.available()[:CORES])
        measured, _ = stored()
        with tempfile.TemporaryDirectory() as folder:
            for name in [name for name in os.environ if name.startswith("DREAMER_")]:
                del os.environ[name]
            os.environ["DREAMER_LEDGER"] = str(Path(folder) / "answers.json")
            own = server()
            print(f"server: {own} MiB", flush=True)
            for number in arguments.only:
                use = measured[number] = measure(paths[number])
                print(f"{number}: kernel {use.kernel_mb} MiB, below it {use.children_mb} MiB", flush=True)
                store(measured, own)
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

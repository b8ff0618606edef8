"""Which instrument sees which fault: measured, stored, drawn.

    python -m dreamer_core.clinic.table             all instruments (an hour)
    python -m dreamer_core.clinic.table rows steps  these

uses instruments on healthy agents of several seeds and on one agent with each fault, and writes their numbers to
`table.json`; broken off, it goes on where it was. All agents live in the world with an edge (`ledge.py`), where
every fault can do harm.

An instrument sees a fault if one of its numbers lies outside the range that the instrument calls healthy, and outside
what the healthy agents here gave by more than they lie apart among themselves.
"""

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from dreamer_core.clinic.faults import ALL
from dreamer_core.clinic.instruments import INSTRUMENTS
from dreamer_core.clinic.symptoms import Case, cases
from dreamer_core.errors import DreamerError
from dreamer_core.viz.show import RED, describe

STORED = Path(__file__).with_name("table.json")
EXACT = 1e-6  # numbers nearer to each other than this share of their size are the same
BROKE = "broke off"  # the number of an instrument that did not come to an end

# Of one subject: for each instrument its numbers by name, and which of them it calls healthy in no agent.
Found = dict[str, dict[str, Any]]


def stored() -> dict[str, Found]:
    """What was measured, by the name of the case."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def measured(case: Case, known: Found, names: Iterable[str]) -> Found:
    """What these instruments find, where it is not known yet."""
    subject, found = case.subject, dict(known)
    for name in names:
        if name not in found:
            try:
                reading = INSTRUMENTS[name].measure(subject)
                numbers = {key: float(f"{float(value):.6g}") for key, value in reading.numbers.items()}
                found[name] = {"numbers": numbers, "off": list(reading.off)}
            except (DreamerError, ValueError, ArithmeticError):  # numbers that are none any more are a symptom too
                found[name] = {"numbers": {BROKE: 1.0}, "off": [BROKE]}
    return found


def apart(value: float, healthy: list[float]) -> int:
    """-1 or 1 if a number lies below or above what healthy agents gave by more than they lie apart, else 0; NaN lies above."""
    low, high = min(healthy), max(healthy)
    room = (high - low) + EXACT * max(1.0, abs(high), abs(low))
    if math.isnan(value):
        return 1
    return int(value > high + room) - int(value < low - room)


def seen(sick: Found, healthy: list[Found]) -> dict[str, dict[str, int]]:
    """For each instrument the numbers that tell this agent from healthy ones, with their side; one that none of these gives is above."""
    found = {}
    for instrument, reading in sick.items():
        known = {
            name: [each[instrument]["numbers"][name] for each in healthy if name in each[instrument]["numbers"]] for name in reading["off"]
        }
        sides = {name: apart(reading["numbers"][name], values) if values else 1 for name, values in known.items()}
        found[instrument] = {name: side for name, side in sides.items() if side}
    return found


def table() -> dict[str, dict[str, dict[str, int]]]:
    """For each fault, what `seen` says of the stored measurements."""
    known, by_case = stored(), cases()
    healthy = {
        preset: [known[case.name] for case in by_case if case.fault is None and case.preset == preset and case.name in known]
        for preset in ("dropin", "advantage")
    }
    return {
        case.fault.name: seen(known[case.name], healthy[case.preset]) for case in by_case if case.fault is not None and case.name in known
    }


def look_alike(found: dict[str, dict[str, dict[str, int]]]) -> list[tuple[str, str]]:
    """Pairs of faults that differ in no instrument: the same numbers lie apart, on the same sides."""
    names = list(found)
    return [(one, two) for at, one in enumerate(names) for two in names[at + 1 :] if found[one] == found[two]]


def table_figure(found: dict[str, dict[str, dict[str, int]]], title: str = "") -> Figure:
    """Faults down, instruments that were used on all across: a filled cell is one that sees the fault, with how many numbers."""
    faults = [fault for fault in ALL if fault.name in found]
    names = [name for name in INSTRUMENTS if all(name in readings for readings in found.values())]
    counts = np.array([[len(found[fault.name].get(name, {})) for name in names] for fault in faults])
    figure, axis = plt.subplots(figsize=(2.6 + 0.52 * len(names), 1.6 + 0.27 * len(faults)), layout="constrained")
    axis.imshow(np.where(counts > 0, 1.0, 0.0), cmap="Reds", vmin=0, vmax=2.2, aspect="auto")
    for row, column in zip(*np.nonzero(counts)):
        axis.text(column, row, counts[row, column], ha="center", va="center", fontsize=9)
    axis.set_xticks(range(len(names)), names, rotation=55, ha="right", fontsize=9)
    axis.set_yticks(range(len(faults)), [fault.name for fault in faults], fontsize=9)
    for at, (one, two) in enumerate(zip(faults, faults[1:])):
        if one.organ != two.organ:
            axis.axhline(at + 0.5, color=RED, linewidth=0.8)
    axis.set_xlabel("instrument")
    axis.set_ylabel("fault")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    told = "; ".join(f"{fault.name} by {', '.join(name for name in names if found[fault.name].get(name)) or 'none'}" for fault in faults)
    return describe(
        figure,
        alt=f"A table of {len(faults)} faults and the instruments that see them: {told}.",
        caption="A filled cell: this instrument's numbers lie outside those of healthy agents by more than these lie apart. The digit "
        "counts the numbers. Lines part the organs. Read along a row to see which instruments confirm a suspicion, and down a column "
        "to see what an instrument cannot tell apart.",
    )


def main(names: list[str]) -> None:
    """Measure what is missing; exits with 2 and a sentence if there is no such instrument."""
    unknown = [name for name in names if name not in INSTRUMENTS]
    if unknown:
        print(f"error: there is no instrument {unknown[0]!r}; there are: {', '.join(INSTRUMENTS)}", file=sys.stderr)
        raise SystemExit(2)
    found, names = stored(), names or list(INSTRUMENTS)
    for case in cases():
        known = found.get(case.name, {})
        if set(names) - known.keys():
            found[case.name] = measured(case, known, names)
            STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{case.name}: measured with {len(found[case.name])} instruments", flush=True)
    for one, two in look_alike(table()):
        print(f"{one} and {two} look alike under all instruments")


if __name__ == "__main__":
    main(sys.argv[1:])

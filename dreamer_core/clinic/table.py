"""Which instrument sees which fault: measured, stored, drawn.

    python -m dreamer_core.clinic.table

uses every instrument on healthy agents of several seeds and on one agent with each fault, and writes their
numbers to `table.json`; broken off, it goes on where it was. All agents live in the world with an edge
(`ledge.py`), where every fault can do harm.

An instrument sees a fault if one of its numbers lies outside what healthy agents of the same preset gave, by more
than they lie apart among themselves. Numbers that are the same in every healthy agent, such as a gradient that is
exactly 0, may not change at all.
"""

import json
import math
from pathlib import Path

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

Numbers = dict[str, dict[str, float]]  # of one subject, by instrument and by name


def stored() -> dict[str, Numbers]:
    """What was measured, by the name of the case."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def measured(case: Case, known: Numbers) -> Numbers:
    """The numbers of every instrument that are not known yet."""
    subject, found = case.subject, dict(known)
    for name, instrument in INSTRUMENTS.items():
        if name not in found:
            try:
                numbers = instrument.measure(subject).numbers
            except (DreamerError, ValueError, ArithmeticError):  # numbers that are none any more are a symptom too
                numbers = {"broke off": 1.0}
            found[name] = {key: float(f"{float(value):.6g}") for key, value in numbers.items()}
    return found


def apart(value: float, healthy: list[float]) -> int:
    """-1 or 1 if a number lies below or above what healthy agents gave by more than they lie apart, else 0; NaN lies above."""
    low, high = min(healthy), max(healthy)
    room = (high - low) + EXACT * max(1.0, abs(high), abs(low))
    if math.isnan(value):
        return 1
    return int(value > high + room) - int(value < low - room)


def seen(numbers: Numbers, healthy: list[Numbers]) -> dict[str, dict[str, int]]:
    """What is not as in healthy agents: for each instrument its numbers that lie apart, with their side.

    A number that healthy agents do not give at all (the instrument broke off) lies above.
    """
    found = {}
    for instrument, values in numbers.items():
        sides = {}
        for name, value in values.items():
            known = [each[instrument][name] for each in healthy if name in each.get(instrument, {})]
            sides[name] = apart(value, known) if known else 1
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
    """Faults down, instruments across: a filled cell is an instrument that sees the fault, with how many of its numbers."""
    faults = [fault for fault in ALL if fault.name in found]
    names = list(INSTRUMENTS)
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


def main() -> None:
    """Measure what is missing."""
    found = stored()
    for case in cases():
        known = found.get(case.name, {})
        if INSTRUMENTS.keys() - known.keys():
            found[case.name] = measured(case, known)
            STORED.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{case.name}: measured with {len(found[case.name])} instruments", flush=True)
    for one, two in look_alike(table()):
        print(f"{one} and {two} look alike under all instruments")


if __name__ == "__main__":
    main()

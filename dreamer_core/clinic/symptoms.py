"""What each fault does to the curves of a short run, measured and stored.

    python -m dreamer_core.clinic.symptoms

trains a small agent with each fault, and healthy ones of several seeds, in the world of the table's edge
(`ledge.py`), and writes what their runs logged to `symptoms.json`, a few points for each curve. Broken off, it goes
on where it was.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dreamer_core.clinic.faults import ALL, Fault
from dreamer_core.clinic.subject import Run, Subject, small
from dreamer_core.errors import DreamerError

STORED = Path(__file__).with_name("symptoms.json")
WORLD, STEPS, POINTS, SEED, HEALTHY_SEEDS = "dreamer_core.clinic.ledge:Ledge-v0", 1000, 30, 0, (0, 1, 2, 3)


class Case(NamedTuple):
    """One run: a fault or none, a preset and a seed."""

    fault: Fault | None
    preset: str
    seed: int

    @property
    def name(self) -> str:
        """As it is stored."""
        return f"{self.fault.name if self.fault else 'healthy'} {self.preset} {self.seed}"

    @property
    def subject(self) -> Subject:
        """To be run."""
        config = small(WORLD, self.preset, self.seed, evaluation=dict(every=100, episodes=8))
        return Subject.with_fault(self.fault, config) if self.fault else Subject.healthy(config)


def cases() -> list[Case]:
    """Healthy runs of both presets, then one run with each fault."""
    healthy = [Case(None, preset, seed) for preset in ("dropin", "advantage") for seed in HEALTHY_SEEDS]
    return healthy + [Case(fault, fault.presets[0], SEED) for fault in ALL]


def curves(run: Run) -> dict[str, list[float]]:
    """Every curve of a run, by the name of its metric: means over equally many updates each, and evaluations as they are."""
    found = {}
    for name in sorted({name for update in run.updates for name in update}):
        values = np.array([update[name] for update in run.updates if name in update])
        found[name] = [float(f"{part.mean():.4g}") for part in np.array_split(values, min(POINTS, len(values)))]
    for name in ("env_steps", "eval_return_mean", "imagined_return_mean"):
        found[name] = [float(f"{row[name]:.4g}") for row in run.rows]
    return found


def stored() -> dict[str, Any]:
    """What was recorded: the curves of each case by its name, or the sentence with which it broke off."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}


def main() -> None:
    """Record what is missing."""
    found = stored()
    for case in cases():
        if case.name not in found:
            try:
                found[case.name] = curves(case.subject.run(STEPS))
            except DreamerError as error:
                found[case.name] = {"stopped": str(error)}
            STORED.write_text(
                json.dumps(found, indent=0).replace(",\n", ",").replace("[\n", "[").replace("\n]", "]") + "\n", encoding="utf-8"
            )
            print(case.name, found[case.name].get("eval_return_mean", found[case.name].get("stopped")), flush=True)


if __name__ == "__main__":
    main()

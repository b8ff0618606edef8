"""A patient: an agent that is healthy or has one fault, and a chart of what was thought and seen.

    someone = patient(7)
    someone.look("dashboard")                                # the first instrument is free
    someone.hypothesis("the target critics stand still", "their distance to the fast ones only grows")
    someone.look("target")                                   # every further one needs a hypothesis and what it predicts
    someone.diagnose("critic", "target_never_moves")
    someone.cure(ema_update)                                 # a function written by you, in the place of the sick one

What a patient suffers from stands in no attribute of it; `diagnose` answers, and `reveal` tells.
"""

import difflib
import textwrap
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from dreamer_core.classroom.call import one_line
from dreamer_core.clinic.cure import judge_cure
from dreamer_core.clinic.faults import ALL, FAULTS, GRADES, ORGANS, Fault
from dreamer_core.clinic.instruments import INSTRUMENTS, Reading
from dreamer_core.clinic.instruments.reading import in_words
from dreamer_core.clinic.subject import Subject, change_fault, fault_of, small
from dreamer_core.config import Config
from dreamer_core.errors import ConfigError, Diverged, DreamerError
from dreamer_core.viz.show import show

HEALTHY = "healthy"
WORLDS = ("Pendulum-v1", "dreamer/PointMass-v0", "dreamer_core.clinic.ledge:Ledge-v0")
ENDS = WORLDS[2]  # the one in which episodes can truly end
MINUTES = 12  # that a learner takes for one of the patients in notebook 10
FULL, A_LOOK, A_MISS = 100, 10, 20  # points: for a diagnosis, and what each look after the first and each wrong answer costs


class Entry(NamedTuple):
    """A line of a chart."""

    kind: str  # "hypothesis", "look", "diagnosis", "cure" or "reveal"
    text: str


class Patient(Subject):
    """One agent to be examined: see the head of this file.

    Attributes:
        config: its sizes, its world, its seed. chart: what was done, in order.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.chart: list[Entry] = []

    # --- evidence --------------------------------------------------------------------------------

    def hypothesis(self, text: str, predicts: str) -> None:
        """Write down what you think is wrong, and what the next instrument will then show. Both in your own words."""
        if not (isinstance(text, str) and text.strip() and isinstance(predicts, str) and predicts.strip()):
            print("A hypothesis has two parts: what you think is wrong, and what the next instrument will show if you are right.")
            return
        self.chart.append(Entry("hypothesis", f"{sentence(text)} Then: {sentence(predicts)}"))

    def look(self, instrument: str, draw: bool = True) -> Reading | None:
        """Use an instrument and print what it says; returns its reading, or None if it could not be used.

        Args:
            instrument: its name (`tools()` lists them). draw: show its figure, if it has one.
        """
        if instrument not in INSTRUMENTS:
            print(f"There is no instrument {instrument!r}{meant(instrument, INSTRUMENTS)}. There are: {', '.join(INSTRUMENTS)}.")
            return None
        seen = [entry.kind for entry in self.chart if entry.kind in ("hypothesis", "look")]
        if seen and seen[-1] == "look":
            print(
                "Before the next instrument opens, write down what you think now and what you will then see: "
                'hypothesis("...", predicts="...") of this patient.'
            )
            return None
        predicted = next((entry.text for entry in reversed(self.chart) if entry.kind == "hypothesis"), None) if seen else None
        reading, says = self._measured(instrument)
        self.chart.append(Entry("look", f"{instrument}: {says}"))
        if predicted:
            print(f"You thought: {predicted}")
        print(says if reading is None else told(reading))
        if draw and reading is not None and reading.figure is not None:
            show(reading.figure())
        return reading

    def _measured(self, instrument: str) -> tuple[Reading | None, str]:
        """The reading and what it says. An error says what it is and not where: the place would tell the fault."""
        try:
            reading = INSTRUMENTS[instrument].measure(self)
        except Diverged as error:
            return None, f"There is no reading, since learning broke down, which is a symptom: {error}."
        except DreamerError as error:
            return None, f"There is no reading: {error}."
        except Exception as error:
            return None, f"There is no reading: the agent stopped with {one_line(error)}."
        return reading, reading.says

    @property
    def points(self) -> int:
        """What a right diagnosis is worth now: the fewer instruments and wrong answers, the more; 0 once the answer was told."""
        kinds = [entry.kind for entry in self.chart]
        if "reveal" in kinds:
            return 0
        looks, wrong = kinds.count("look"), sum(entry.kind == "diagnosis" and not entry.text.startswith("right") for entry in self.chart)
        return max(A_LOOK, FULL - A_LOOK * max(0, looks - 1) - A_MISS * wrong)

    # --- the answer ------------------------------------------------------------------------------

    def diagnose(self, organ: str, fault: str = "") -> bool:
        """Name the sick organ and the cause, or `diagnose("healthy")`; says whether that is right, and returns it.

        Args:
            organ: one of those that `causes()` lists, or "healthy". fault: the name of a cause.
        """
        if self._diagnosed or self._told:
            print("This patient's answer is known already: take another one.")
            return self._diagnosed
        if organ != HEALTHY and organ not in ORGANS:
            print(f"There is no organ {organ!r}{meant(organ, (*ORGANS, HEALTHY))}. There are: {', '.join(ORGANS)}; or say {HEALTHY!r}.")
            return False
        if organ != HEALTHY and fault not in FAULTS:
            print(f"There is no cause {fault!r}{meant(fault, FAULTS)}: causes() lists them by their organs.")
            return False
        true, points = fault_of(self), self.points
        named = organ if organ == HEALTHY else f"{organ}, {fault}"
        right = true is None if organ == HEALTHY else true is not None and fault == true.name
        self.chart.append(Entry("diagnosis", f"{'right' if right else 'wrong'}: {named}"))
        if right:
            follows = "There is nothing to cure." if true is None else f"{true.sentence} To cure it, write {true.cure_hint}"
            print(f"Right, {points} points. {follows}")
        elif true is None or organ == HEALTHY:
            print(f"No. {self.points} points are left.")
        elif organ == true.organ:
            print(f"The organ is right, the cause is another one. {self.points} points are left.")
        else:
            print(f"No: that organ is sound, or is not where it begins. {self.points} points are left.")
        return right

    def cure(self, function: Callable) -> bool:
        """Put your function in the place of the sick one, judge it, and say whether the patient is healthy; returns it."""
        true = fault_of(self)
        if not (self._diagnosed or self._told):
            print("Diagnose first: a cure before a diagnosis would only be a guess at the place.")
            return False
        if true is None:
            print("This patient is healthy: there is nothing to cure.")
            return True
        verdict = judge_cure(true, function)
        self.chart.append(Entry("cure", "right" if verdict.right else f"wrong: {verdict.message}"))
        if not verdict.right:
            print(f"The patient is still sick. {verdict.message}")
            return False
        change_fault(self, replace(true, wrong=lambda right: function))
        print("The patient is healthy: your function does what the core's own does, and runs in its place. Instruments look at it now.")
        return True

    def reveal(self) -> None:
        """Tell the answer; a diagnosis brings no more points then."""
        self.chart.append(Entry("reveal", ""))
        true = fault_of(self)
        if true is None:
            print("This patient is healthy.")
            return
        print(f"{true.organ}, {true.name}: {true.sentence}")
        for label, text in (("In a plot", true.symptom), ("Where", true.target), ("Met", true.seen), ("Cure", true.cure_hint)):
            print(textwrap.fill(f"{label}: {text}", 110, initial_indent="  ", subsequent_indent="    "))

    @property
    def _diagnosed(self) -> bool:
        return any(entry.kind == "diagnosis" and entry.text.startswith("right") for entry in self.chart)

    @property
    def _told(self) -> bool:
        return any(entry.kind == "reveal" for entry in self.chart)


def patient(seed: int, grade: str | None = None) -> Patient:
    """A patient of your own: healthy in one of eight, else with one fault; world, sizes and seed vary as well.

    Args:
        seed: another number, another patient; the same number, the same patient.
        grade: only faults of this grade, "visible", "misleading" or "invisible"; still healthy in one of eight.

    Raises:
        ConfigError: there is no such grade.
    """
    if grade is not None and grade not in GRADES:
        raise ConfigError(f"there is no grade {grade!r}: choose {', '.join(GRADES)}, or leave it out")
    draw = np.random.default_rng([seed, 0xC11])
    sick = draw.random() >= 1 / 8
    faults = [fault for fault in ALL if grade in (None, fault.grade)]
    fault = faults[draw.integers(len(faults))] if sick else None
    return admitted(fault, seed)


def admitted(fault: Fault | None, seed: int) -> Patient:
    """A patient with this fault, with variations that do it no harm: drawn from the seed."""
    draw = np.random.default_rng([seed, 0xC12])
    world = WORLDS[draw.integers(len(WORLDS))]
    presets = fault.presets if fault is not None else ("dropin", "advantage")
    preset = presets[draw.integers(len(presets))]
    units = int(draw.choice([40, 48, 56]))
    config = small(
        ENDS if fault is not None and fault.ends else world,
        preset,
        seed=int(draw.integers(1_000_000)),
        model=dict(deter=int(draw.choice([28, 32, 40])), units=units),
        sac=dict(units=units),
        replay=dict(batch=int(draw.choice([14, 16, 18]))),
        imagination=dict(horizon=int(draw.choice([4, 5, 6]))),
    )
    someone = Patient(config)
    change_fault(someone, fault)
    return someone


# --- words ----------------------------------------------------------------------------------------


def causes() -> None:
    """Print every cause that a diagnosis can name, by its organ."""
    for organ in ORGANS:
        print(organ)
        for fault in ALL:
            if fault.organ == organ:
                print(f"  {fault.name:<24} {fault.sentence}")


def tools() -> None:
    """Print every instrument: what it measures, what a healthy reading rules out, and what it cannot tell."""
    for name, instrument in INSTRUMENTS.items():
        print(f"{name:<14} {'quick' if instrument.quick else 'slow'}: {instrument.sentence}")
        for label, text in (("rules out", instrument.excludes), ("cannot tell", instrument.cannot)):
            print(textwrap.fill(f"{label}: {text}", 110, initial_indent=" " * 15, subsequent_indent=" " * 17))


def told(reading: Reading) -> str:
    """A reading as text: each number beside the range of healthy agents, then what it says."""
    rows = []
    for name, value in reading.numbers.items():
        low, high = reading.healthy[name]
        known = f"healthy {in_words((low, high))}" if np.isfinite([low, high]).any() else ""
        rows.append(f"  {name:<32} {value:>10.3g}   {known}{'  <- not as in healthy agents' if name in reading.off else ''}".rstrip())
    return "\n".join([*rows, reading.says])


def sentence(text: str) -> str:
    """A learner's words, with a full stop where they have no end."""
    text = text.strip()
    return text if text[-1] in ".!?" else f"{text}."


def meant(name: Any, known: Any) -> str:
    """The likeliest of the known names, as a question; nothing if none is near."""
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f" (did you mean {near[0]!r}?)" if near else ""

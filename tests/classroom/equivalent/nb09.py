"""Mutants of notebook 09's references that behave as the reference does, and why."""

LAST_AXIS = "the tensors have two axes, so axis 1 is axis -1"
DATA = "the flag is recorded data: no gradient of it is used anywhere"
FLAG = "the flag is 0 or 1, which neither a square nor an absolute value changes"
ROUNDS = "a round in which neither part has an update left adds nothing"

EQUIVALENT: dict[str, dict[str, str]] = {
    "9.1": {
        "`cat` runs over axis 1, where -1 is right": LAST_AXIS,
        "`device` is left at its default": "the checks run on the CPU, which is the default",
        "an absolute value is taken of `first`": FLAG,
        "`first` is squared": FLAG,
        "`first.unsqueeze(1)` stands where `first.unsqueeze(-1)` belongs": "`first` has one axis, so a new axis 1 is a new axis -1",
    },
    "9.2": {
        "an absolute value is taken of `terminal`": FLAG,
        "`terminal` is squared": FLAG,
    },
    "9.3": {
        "a loop goes one round too far": ROUNDS,
        "`models` and `agents` are swapped in a call of `max`": "a maximum does not ask which comes first",
        "`models` is one too large at one place": ROUNDS,
        "`models` is squared": ROUNDS,
        "`agents` is one too large at one place": ROUNDS,
        "`agents` is squared": ROUNDS,
    },
    "9.4": {
        "the result is an absolute value": "the factor is never negative",
        "`halving` is squared": "only whether it is 0 is asked there",
    },
}

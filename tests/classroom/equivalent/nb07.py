"""Mutants of notebook 07's references that behave as the reference does, and why."""

NO_GRADIENT = "the whole runs without gradient"
LAST_AXIS = "the tensors have two axes, so axis 1 is axis -1"
NOT_NEGATIVE = "a probability is never negative"
CPU = "the checks run on the CPU, which is the default"
SPARE = "noise that is drawn for more steps than are dreamt is never used, and chance has the same law"

EQUIVALENT: dict[str, dict[str, str]] = {
    "7.1": {
        "`h` is detached": NO_GRADIENT,
        "`z` is detached": NO_GRADIENT,
        "`weight` is detached": NO_GRADIENT,
        "`device` is left at its default": CPU,
        "`weight` is detached on its way into `Trajectories`": "it is recorded data",
        "`horizon` is one too large at one place": SPARE,
        "`horizon` is squared": SPARE,
        "`h` is detached on its way into `dream_step`": NO_GRADIENT,
        "`z` is detached on its way into `dream_step`": NO_GRADIENT,
        "`h` and `z` is detached on its way into `append`": NO_GRADIENT,
        "`0` and `1` are swapped in a call of `transpose`": "two axes are exchanged, whichever is named first",
        "`stack` runs over axis -2, where 1 is right": "the result has three axes, so axis 1 is axis -2",
        "an absolute value is taken of `weight`": "a weight is a probability, never negative",
        "`cat` runs over axis 1, where -1 is right": LAST_AXIS,
        "`cat` runs over axis 1, where -1 is right (2)": LAST_AXIS,
        "`h` is detached where it should not be": NO_GRADIENT,
        "`h` is detached where it should not be (2)": NO_GRADIENT,
        "`z` is detached where it should not be": NO_GRADIENT,
        "`z` is detached where it should not be (2)": NO_GRADIENT,
    },
    "7.2": {
        "an absolute value is taken of `cont`": NOT_NEGATIVE,
        "the result is an absolute value": NOT_NEGATIVE,
        "`cumprod` runs over axis -1, where 1 is right": LAST_AXIS,
        "`cat` runs over axis -1, where 1 is right": LAST_AXIS,
    },
    "7.3": {
        "`any` runs over axis 1, where -1 is right": LAST_AXIS,
        "`patience` is one too small at one place": "where there is no window nothing is found, either way",
        "`sliding_window_view` runs over axis -2, where 0 is right": "the recording has two axes, so axis 0 is axis -2",
    },
    "7.4": {
        "`prediction` and `real` are swapped": "a squared difference has no sign",
        "the result is an absolute value": "a root is never negative",
        "`prediction` and `real` are the wrong way round": "a squared difference has no sign",
    },
    "7.5": {
        "`observation` is detached": NO_GRADIENT,
        "the result is detached": NO_GRADIENT,
        "`observation` is detached on its way into `mode`": NO_GRADIENT,
        "`observation` is detached on its way into `posterior`": NO_GRADIENT,
        "`cat` runs over axis 1, where -1 is right": LAST_AXIS,
        "`cat` runs over axis 1, where -1 is right (2)": LAST_AXIS,
        "`observation` is detached on its way into `encode`": NO_GRADIENT,
        "`device` is left at its default": CPU,
    },
}

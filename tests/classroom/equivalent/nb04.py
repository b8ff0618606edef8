"""Mutants of notebook 04's references that behave as the reference does, and why."""

SQUARE = "a squared difference does not ask which side comes first"
POSITIVE = "a standard deviation and a width are positive"
NOT_NEGATIVE = "it is never negative"
DATA = "it is recorded data: no gradient of it is used anywhere"
FLAG = "the flag is 0 or 1, which neither a square nor an absolute value changes"

EQUIVALENT: dict[str, dict[str, str]] = {
    "4.2": {
        "`mean` and `target` are swapped": SQUARE,
        "an absolute value is taken of `std`": POSITIVE,
        "an absolute value is taken of `std` (2)": POSITIVE,
        "`target` and `mean` are the wrong way round": SQUARE,
    },
    "4.3": {"the result is an absolute value": NOT_NEGATIVE},
    "4.4": {
        "`mean` and `reward` are swapped": SQUARE,
        "the result is an absolute value": NOT_NEGATIVE,
        "`mean` runs over axis -1, where 1 is right": "the comparison has two axes, so axis 1 is axis -1",
        "`reward` and `mean` are the wrong way round": "a distance does not ask which end comes first",
        "an absolute value is taken of `std`": POSITIVE,
        "an absolute value is taken of `widths`": POSITIVE,
    },
    "4.5": {
        "`mean` and `reward` are swapped": SQUARE,
        "`reward` is detached": DATA,
        "`first` is detached": DATA,
        "`reward` is detached on its way into `gaussian_nll`": DATA,
        "`first` is detached where it should not be": DATA,
        "an absolute value is taken of `first`": FLAG,
        "`first` is squared": FLAG,
        "an absolute value is taken of `std`": POSITIVE,
    },
    "4.6": {
        "`target` is detached": DATA,
        "the result is an absolute value": NOT_NEGATIVE,
        "`target` is detached on its way into `binary_cross_entropy_with_logits`": DATA,
        "an absolute value is taken of `target`": "a target is a probability, never negative",
    },
}

"""Mutants of notebook 14's references that behave as the reference does, and why."""

SAME_NEAREST = "divided by the number of entries, the nearest row is the same"
BOTH_WAYS = "two rows are as far apart as each is from the other"
BROADCAST = "a row of numbers is spread over the rows of a table without being told"
SQUARED = "a difference that is squared has no sign"

EQUIVALENT: dict[str, dict[str, str]] = {
    "14.3": {
        "`mean` stands where `sum` belongs": SAME_NEAREST,
        "`float` is missing at `reward`": "a number of numpy's is as good as a float",
        "`argmin` runs over axis 0, where 1 is right": BOTH_WAYS,
        "`argmin` runs over axis -1, where 1 is right": "of two axes, the last one is axis 1",
        "`argmin` runs over axis -2, where 1 is right": BOTH_WAYS,
        "no entry is picked, the whole is used": BROADCAST,
        "no entry is picked, the whole is used (2)": BROADCAST,
        "`observation` and `observation` are the wrong way round": SQUARED,
        "`reward` and `guess` are the wrong way round": SQUARED,
        "`reward` and `reward` are the wrong way round (2)": SQUARED,
    },
}

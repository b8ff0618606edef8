"""Mutants of notebook 13's references that behave as the reference does, and why."""

TWO_AXES = "the tensors have two axes, so axis 0 is axis -2"
CENTRED = "the rows of x add up to 0, so a number added to y changes nothing"
SAME_SQUARE = "a difference and its negative have the same square"

EQUIVALENT: dict[str, dict[str, str]] = {
    "13.1": {
        "`pixels.permute(0, 1, 4, 2, 5, -3)` stands where `pixels.permute(0, 1, 4, 2, 5, 3)` belongs": "of six axes, axis 3 is axis -3",
    },
    "13.2": {
        "`told` and `real` are swapped": SAME_SQUARE,
        "`told` and `real` are the wrong way round": SAME_SQUARE,
        "the result is an absolute value": "a share is never negative",
        "`float` is missing at `part`": "a number of numpy's is a number too",
        "`mean` stands where `sum` belongs": "a mean over the channels makes every number smaller by the same factor",
    },
    "13.3": {
        "`mean` runs over axis -2, where 0 is right": TWO_AXES,
        "`mean` runs over axis -2, where 0 is right (2)": TWO_AXES,
        "a plus stands between `y` and `mean`, where a minus belongs": CENTRED,
        "`x.T @ y` stands where `x.T @ (y - mean)` belongs": CENTRED,
    },
    "13.4": {"the result is an absolute value": "bytes are never negative"},
}

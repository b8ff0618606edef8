"""Mutants of notebook 02's references that behave as the reference does, and why."""

SQUARE = "it enters by its square alone"
PRODUCT = "a product does not ask which factor comes first"
NOT_NEGATIVE = "it is never negative"
DATA = "it is recorded data: no gradient of it is used anywhere"
TWICE = "the returns are detached anyway"

EQUIVALENT: dict[str, dict[str, str]] = {
    "2.1": {"an absolute value is taken of `noise`": SQUARE},
    "2.2": {"an absolute value is taken of `noise` (2)": SQUARE},
    "2.3": {"`log_prob` and `alpha` are swapped": PRODUCT},
    "2.4": {
        "an absolute value is taken of `cont`": NOT_NEGATIVE,
        "`cont` and `value` are swapped": PRODUCT,
        "`cont` and `gamma` are swapped": PRODUCT,
        "`value` and `gamma` are swapped": PRODUCT,
    },
    "2.5": {
        "`q` is read in the reverse order": "a sum over the critics does not ask which comes first",
        "`returns` is detached": TWICE,
        "`weight` is detached": DATA,
        "the result is an absolute value": NOT_NEGATIVE,
        "`weight` is detached where it should not be": DATA,
        "an absolute value is taken of `weight`": "a weight is a probability, never negative",
        "`q` and `returns` are the wrong way round": SQUARE,
        "`returns` is detached where it should not be": TWICE,
    },
}

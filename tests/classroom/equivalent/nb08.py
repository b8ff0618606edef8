"""Mutants of notebook 08's references that behave as the reference does, and why."""

LAST_AXIS = "the tensors have two axes, so axis 1 is axis -1"
PRODUCT = "a product does not ask which factor comes first"
DATA = "it is recorded data: no gradient of it is used anywhere"
NOT_NEGATIVE = "a probability is never negative"
TWICE = "the whole is detached anyway"

EQUIVALENT: dict[str, dict[str, str]] = {
    "8.1": {
        "an absolute value is taken of `cont`": NOT_NEGATIVE,
    },
    "8.2": {
        "an absolute value is taken of `cont`": NOT_NEGATIVE,
        "`stack` runs over axis -1, where 1 is right": LAST_AXIS,
        "`cont` and `future` are swapped in a call of `backup`": PRODUCT,
        "`future` and `gamma` are swapped in a call of `backup`": PRODUCT,
    },
    "8.3": {
        "`log_prob` and `alpha` are swapped": PRODUCT,
        "`log_prob` and `alpha` are swapped in a call of `soft_value`": PRODUCT,
        "`q` is read in the reverse order": "a minimum does not ask which critic comes first",
        "`log_prob` is read in the reverse order": "log_prob enters by its mean over the actions alone",
    },
    "8.4": {
        "`log_prob` and `alpha` are swapped": PRODUCT,
        "`returns` is detached": TWICE,
        "`log_prob` is detached": TWICE,
        "`baseline` is detached": TWICE,
        "the result is detached": TWICE,
        "`baseline` is detached where it should not be": TWICE,
        "`returns` is detached where it should not be": TWICE,
        "`log_prob` is detached where it should not be": TWICE,
    },
    "8.5": {
        "`advantage` and `log_prob` are swapped": PRODUCT,
        "`advantage` and `weight` are swapped": PRODUCT,
        "`log_prob` and `weight` are swapped": PRODUCT,
        "`advantage` is detached": DATA,
        "`weight` is detached": DATA,
        "`advantage` is detached where it should not be": DATA,
        "`weight` is detached where it should not be": DATA,
        "an absolute value is taken of `weight`": "a weight is a probability, never negative",
    },
    "8.6": {
        "`state` is detached": DATA,
        "`weight` is detached": DATA,
        "`action` and `alpha` are swapped in a call of `soft_value`": PRODUCT,
        "`state` is detached on its way into `q`": DATA,
        "`weight` is detached where it should not be": DATA,
        "an absolute value is taken of `weight`": "a weight is a probability, never negative",
    },
}

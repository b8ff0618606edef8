"""Mutants of notebook 12's references that behave as the reference does, and why."""

PRODUCT = "a product does not ask which factor comes first"
TWICE = "it is detached anyway"
DATA = "bins are fixed numbers: no gradient of them is used anywhere"
NOT_NEGATIVE = "a weight, a share, a spread and a range are never negative"
NUMBER = "it is a single number"
FLAG = "it is 0 or 1"

EQUIVALENT: dict[str, dict[str, str]] = {
    "12.1": {
        "`returns` is detached": TWICE,
        "`slow_mean` is detached": TWICE,
        "`weight` is detached": TWICE,
        "`bins` is detached": DATA,
        "the result is an absolute value": "neither a cross-entropy nor a weight is ever negative",
        "`returns` is detached on its way into `twohot_loss`": TWICE,
        "`slow_mean` is detached on its way into `twohot_loss`": TWICE,
        "`bins` is detached on its way into `twohot_loss`": DATA,
        "`bins` is detached on its way into `twohot_loss` (2)": DATA,
        "`weight` is detached where it should not be": TWICE,
        "an absolute value is taken of `weight`": NOT_NEGATIVE,
    },
    "12.2": {
        "`returns` is read in the reverse order": "percentiles do not ask which return comes first",
        "an absolute value is taken of `shares`": NOT_NEGATIVE,
    },
    "12.3": {
        "the result is an absolute value": NOT_NEGATIVE,
    },
    "12.5": {
        "`mean` and `action` are swapped": "only how far they lie apart counts",
        "an absolute value is taken of `std`": NOT_NEGATIVE,
    },
    "12.6": {
        "`entropy` and `entropy_scale` are swapped": PRODUCT,
        "`returns` is detached": TWICE,
        "`value` is detached": TWICE,
        "`scale` is detached": TWICE,
        "`weight` is detached": TWICE,
        "`scale` is read in the reverse order": NUMBER,
        "`returns` is detached where it should not be": TWICE,
        "`value` is detached where it should not be": TWICE,
        "`scale` is detached where it should not be": TWICE,
        "`weight` is detached where it should not be": TWICE,
        "an absolute value is taken of `scale`": NOT_NEGATIVE,
        "an absolute value is taken of `weight`": NOT_NEGATIVE,
    },
    "12.7": {
        "`stack` runs over axis -1, where 1 is right": "the tensors have two axes, so axis 1 is axis -1",
        "`terminal` and `ahead` are swapped in a call of `backup`": PRODUCT,
        "`ahead` and `discount` are swapped in a call of `backup`": PRODUCT,
        "an absolute value is taken of `last`": FLAG,
        "`last` is squared": FLAG,
        "an absolute value is taken of `terminal`": FLAG,
        "`terminal` is squared": FLAG,
    },
}

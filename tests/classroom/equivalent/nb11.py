"""Mutants of notebook 11's references that behave as the reference does, and why."""

AT_THE_OLDEST = "where both are equal, no chunk is passed over either way"
ORDER = "the larger, or the smaller, of several numbers does not ask which comes first"
NOT_NEGATIVE = "a square, an average of squares and a norm are never negative"
DATA = "the bins are data: no gradient of them is used anywhere"

EQUIVALENT: dict[str, dict[str, str]] = {
    "11.1": {
        "`<=` stands where `<` belongs": AT_THE_OLDEST,
        "`served` is one too small at one place": AT_THE_OLDEST,
        "`oldest` is one too large at one place": AT_THE_OLDEST,
        "`0` and `most`, `length`, `count` and `served` are swapped in a call of `max`": ORDER,
        "`most` and `length`, `count` and `served` are swapped in a call of `min`": ORDER,
    },
    "11.2": {
        "`0` and `1` are swapped in a call of `transpose`": "to swap two axes is the same from either side",
        "`0` and `1` are swapped in a call of `transpose` (2)": "to swap two axes is the same from either side",
    },
    "11.3": {
        "an absolute value is taken of `square`": NOT_NEGATIVE,
        "an absolute value is taken of `square` (2)": NOT_NEGATIVE,
        "an absolute value is taken of `square` (3)": NOT_NEGATIVE,
        "an absolute value is taken of `grad` (2)": "it is squared there",
    },
    "11.4": {
        "the result is an absolute value": NOT_NEGATIVE,
        "an absolute value is taken of `grad_norm`": NOT_NEGATIVE,
        "an absolute value is taken of `weight_norm`": NOT_NEGATIVE,
    },
    "11.5": {
        "half of `x` stands where the whole belongs": "half a number has the sign of the whole",
        "twice `x` stands where `x` belongs": "twice a number has the sign of the whole",
        "an absolute value is taken of `x` (2)": "its absolute value is taken there anyway",
    },
    "11.6": {
        "the result is an absolute value": "a weight is never negative",
        "`right` is left at its default": "a target that is a bin has the weights 1 and 0 with either pair of bins",
        "False stands where True belongs": "a target that is a bin has the weights 1 and 0 with either pair of bins",
    },
    "11.7": {
        "`bins` is detached": DATA,
        "`bins` is detached where it should not be": DATA,
        "`len(bins) // -2` stands where `len(bins) // 2` belongs": "counted from the end, the middle of an odd number is the same one",
    },
}

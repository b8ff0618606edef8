"""Mutants of notebook 06's references that behave as the reference does, and why."""

NOT_NEGATIVE = "row numbers, ages and lengths are never negative"
CUT_ANYWAY = "h and z are detached anyway"
WHOLE = "row numbers carry no gradient"
LAST_AXIS = "the tensors have two axes, so axis 1 is axis -1"
ONE_ROW_MORE = "a row more than is needed is looked at, and not used"

EQUIVALENT: dict[str, dict[str, str]] = {
    "6.1": {
        "the result is an absolute value": NOT_NEGATIVE,
        "an absolute value is taken of `draw`": NOT_NEGATIVE,
    },
    "6.2": {"the result is an absolute value": NOT_NEGATIVE},
    "6.3": {
        "`index` is cut off in place (`detach_`)": WHOLE,
        "`index` is detached": WHOLE,
        "`h` is detached": CUT_ANYWAY,
        "`z` is detached": CUT_ANYWAY,
        "part 1 of the result is detached": WHOLE,
        "part 2 of the result is detached": CUT_ANYWAY,
        "part 3 of the result is detached": CUT_ANYWAY,
        "`index` is detached where it should not be": WHOLE,
        "an absolute value is taken of `index`": NOT_NEGATIVE,
        "`h` is detached where it should not be": CUT_ANYWAY,
        "`z` is detached where it should not be": CUT_ANYWAY,
    },
    "6.4": {
        "the result is an absolute value": NOT_NEGATIVE,
        "`0` and `count` are swapped in a call of `max`": "a maximum does not ask which comes first",
        "an absolute value is taken of `written`": NOT_NEGATIVE,
    },
    "6.5": {
        "the result is an absolute value": NOT_NEGATIVE,
        "`norm` runs over axis 1, where -1 is right": LAST_AXIS,
        "`norm` runs over axis 1, where -1 is right (2)": LAST_AXIS,
        "`stored` and `fresh` are the wrong way round": "a distance does not ask which end comes first",
        "an absolute value is taken of `fresh`": "a norm is that of the absolute values",
    },
    "6.6": {
        "`rows` is squared": ONE_ROW_MORE,
        "`rows` is squared (2)": ONE_ROW_MORE,
        "`rows` is one too large at one place (2)": ONE_ROW_MORE,
        "`rows + 2` stands where `rows + 1` belongs": ONE_ROW_MORE,
    },
}

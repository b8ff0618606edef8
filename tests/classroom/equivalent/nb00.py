"""Mutants of notebook 00's references that behave as the reference does, and why."""

NOT_NEGATIVE = "it is never negative"
EITHER_WAY = "how far apart two directions are does not ask which comes first"

EQUIVALENT: dict[str, dict[str, str]] = {
    "0.2": {
        "`one` and `other` are swapped": EITHER_WAY,
        "the result is an absolute value": NOT_NEGATIVE,
        "`one` and `other` and `180` are the wrong way round": "180 - x and x - 180 are equally large",
        "a minus stands between `one` and `other` and `180`, where a plus belongs": "modulo a whole turn, + 180 and - 180 are the same",
        "`one` and `other` are the wrong way round": EITHER_WAY,
        "`one - other + -180` stands where `one - other + 180` belongs": "modulo a whole turn, 180 and -180 are the same",
    },
    "0.3": {"the result is an absolute value": NOT_NEGATIVE},
}

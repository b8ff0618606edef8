"""Mutants of notebook 01's references that behave as the reference does, and why."""

LENGTH = "only the number of observations counts"
LAST = "of two entries, the last one is entry 1"

EQUIVALENT: dict[str, dict[str, str]] = {
    "1.1": {
        "`observation` plays no part: 0 stands in its place": LENGTH,
        "`observation` plays no part: 1 stands in its place": LENGTH,
        "`observation` is read in the reverse order": LENGTH,
        "3 stands where 2 belongs": "a spare row of flags is never read",
        "4 stands where 2 belongs": "a spare row of flags is never read",
        "`float` is missing at `terminated`": "torch makes 0.0 and 1.0 of False and True",
        "-1 stands where 1 belongs (3)": LAST,
        "-1 stands where 1 belongs (4)": LAST,
    },
    "1.5": {
        "a minus stands between `turn` and `math.pi`, where a plus belongs": "modulo a whole turn, pi and -pi are the same",
        "-1 stands where 1 belongs": LAST,
        "-1 stands where 1 belongs (2)": LAST,
    },
}

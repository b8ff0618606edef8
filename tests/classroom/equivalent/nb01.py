"""Mutants of notebook 01's references that behave as the reference does, and why."""

LENGTH = "only the number of observations counts"
LAST = "of two entries, the last one is entry 1"

EQUIVALENT: dict[str, dict[str, str]] = {
    "1.1": {
        "`observation` plays no part: 0 stands in its place": LENGTH,
        "`observation` plays no part: 1 stands in its place": LENGTH,
        "`observation` is read in the reverse order": LENGTH,
        "`torch.zeros(3, len(observation))` stands where `torch.zeros(2, len(observation))` belongs": "a spare row of flags is never read",
        "`torch.zeros(4, len(observation))` stands where `torch.zeros(2, len(observation))` belongs": "a spare row of flags is never read",
        "`float` is missing at `terminated`": "torch makes 0.0 and 1.0 of False and True",
        "`flags[-1]` stands where `flags[1]` belongs": LAST,
        "`flags[-1, -1]` stands where `flags[1, -1]` belongs": LAST,
    },
    "1.5": {
        "a minus stands between `turn` and `math.pi`, where a plus belongs": "modulo a whole turn, pi and -pi are the same",
        "`after[..., -1]` stands where `after[..., 1]` belongs": LAST,
        "`before[..., -1]` stands where `before[..., 1]` belongs": LAST,
    },
}

"""Exercises of notebook 00: an angle, how far apart two of them are, and for how long a dream holds."""

import numpy as np
import torch

from dreamer_core.classroom.spec import Exercise, Look, Mistake, Observations
from dreamer_core.worlds.drawing import apart
from dreamer_core.worlds.pendulum import angle

# --- 0.1 ---------------------------------------------------------------------------------------

AT = np.radians([0.0, 30.0, 120.0, -150.0, -60.0])  # all four quarters, and upright


def pendulums(angles: np.ndarray) -> np.ndarray:
    """Observations (..., 3) of pendulums at these angles; the velocity is nonsense, and must not be read."""
    return np.stack([np.cos(angles), np.sin(angles), np.full_like(angles, 5.0)], -1)


def observe_angle(f) -> Observations:
    names = ("upright", "30 degrees to the left", "120 degrees to the left", "150 degrees to the right", "60 degrees to the right")
    found = {f"the angle of a pendulum that points {name}": float(f(pendulums(AT[n : n + 1]))[0]) for n, name in enumerate(names)}
    grid = torch.as_tensor(f(pendulums(np.array([[0.1, 0.2], [0.3, 0.4]]))), dtype=torch.float64)
    return found | {"the angles of 2 x 2 pendulums": grid}


def expected_angle() -> Observations:
    return {
        "the angle of a pendulum that points upright": 0.0,
        "the angle of a pendulum that points 30 degrees to the left": 0.523599,
        "the angle of a pendulum that points 120 degrees to the left": 2.094395,
        "the angle of a pendulum that points 150 degrees to the right": -2.617994,
        "the angle of a pendulum that points 60 degrees to the right": -1.047198,
        "the angles of 2 x 2 pendulums": torch.tensor([[0.1, 0.2], [0.3, 0.4]], dtype=torch.float64),
    }


ANGLE = Exercise(
    id="0.1",
    title="Where does the rod point?",
    minutes=4,
    difficulty=1,
    importance=2,
    reference=angle,
    target="dreamer_core.worlds.pendulum:angle",
    observe=observe_angle,
    expected=expected_angle,
    gradients=False,
    looks=(
        Look("9 pendulums in all directions", lambda d: (pendulums(d.uniform(-3.1, 3.1, 9).double().numpy()),)),
        Look("a single pendulum", lambda d: (pendulums(np.asarray(d.number(-3, 3))),)),
        Look("4 x 2 x 5 pendulums", lambda d: (pendulums(d.uniform(-3.1, 3.1, 4, 2, 5).double().numpy()),)),
        Look("angles near pi and -pi", lambda d: (pendulums(np.array([3.1, -3.1, 3.14, -3.14])),), draws=1),
        Look("a pendulum exactly to the left and right", lambda d: (np.array([[0.0, 1.0, 3.0], [0.0, -1.0, 2.0]]),), draws=1),
        Look("a pendulum that hangs, exactly", lambda d: (np.array([[-1.0, 0.0, 2.0], [-1.0, 0.0, -1.0]]),), draws=1),
    ),
    mistakes=(
        Mistake(
            "swapped",
            lambda o: np.arctan2(o[..., 0], o[..., 1]),
            "The two arguments of arctan2 are the wrong way round: it takes the sine first, then the cosine.",
        ),
        Mistake(
            "arccos",
            lambda o: np.arccos(np.clip(o[..., 0], -1, 1)),
            "The cosine alone cannot tell left from right: 60 and -60 degrees have the same one. You need the sine too (arctan2).",
        ),
        Mistake(
            "arcsin",
            lambda o: np.arcsin(np.clip(o[..., 1], -1, 1)),
            "The sine alone cannot tell up from down: 30 and 150 degrees have the same one. You need the cosine too (arctan2).",
        ),
        Mistake(
            "arctan",
            lambda o: np.arctan(o[..., 1] / o[..., 0]),
            "In sin / cos two minus signs cancel, so opposite directions give the same angle. arctan2 takes sine and cosine separately.",
        ),
        Mistake(
            "degrees",
            lambda o: np.degrees(np.arctan2(o[..., 1], o[..., 0])),
            "These are degrees. The angle is asked for in radians, which is what arctan2 gives.",
        ),
        Mistake(
            "clockwise",
            lambda o: np.arctan2(-o[..., 1], o[..., 0]),
            "The sign is turned round: a positive sine is a positive angle.",
        ),
    ),
    hints=(
        "Cosine and sine are the two sides of a right triangle. Which function goes back to the angle, in all four quarters?",
        "np.arctan2(y, x) does. Here the sine is y and the cosine is x.",
        "The entries are observation[..., 0] (cosine) and observation[..., 1] (sine). The answer is one line: np.arctan2(sine, cosine).",
    ),
)

# --- 0.2 ---------------------------------------------------------------------------------------

PAIRS = {"10 and 30": (10, 30), "30 and 10": (30, 10), "170 and -170": (170, -170), "0 and 180": (0, 180), "725 and 0": (725, 0)}


def observe_apart(f) -> Observations:
    single = {f"the angle between {name} degrees": float(f(*map(float, pair))) for name, pair in PAIRS.items()}
    many = f(np.array([[0.0, 90.0], [-179.0, 350.0]]), np.array([[0.0, -90.0], [179.0, -15.0]]))
    return single | {"the angles of 2 x 2 pairs": torch.as_tensor(many, dtype=torch.float64)}


def expected_apart() -> Observations:
    by_hand = dict(zip(PAIRS, (20.0, 20.0, 20.0, 180.0, 5.0)))
    single = {f"the angle between {name} degrees": value for name, value in by_hand.items()}
    return single | {"the angles of 2 x 2 pairs": torch.tensor([[0.0, 180.0], [2.0, 5.0]], dtype=torch.float64)}


ONE_TURN_ONLY = "This is right up to a difference of one turn. A pendulum that went round twice needs the modulo: 725 degrees is 5."

APART = Exercise(
    id="0.2",
    title="How far apart are two angles?",
    minutes=5,
    difficulty=2,
    importance=2,
    reference=apart,
    target="dreamer_core.worlds.drawing:apart",
    observe=observe_apart,
    expected=expected_apart,
    gradients=False,
    looks=(
        Look("two directions", lambda d: (d.number(-180, 180), d.number(-180, 180)), draws=6),
        Look("directions after many turns", lambda d: (d.number(-2000, 2000), d.number(-2000, 2000)), draws=6),
        Look("7 pairs", lambda d: (d.uniform(-180, 180, 7).double().numpy(), d.uniform(-180, 180, 7).double().numpy())),
        Look("3 x 4 pairs after many turns", lambda d: tuple(d.uniform(-900, 900, 3, 4).double().numpy() for _ in range(2))),
        Look("5 directions and one", lambda d: (d.uniform(-180, 180, 5).double().numpy(), d.number(-180, 180))),
        Look("one direction and 5", lambda d: (d.number(-180, 180), d.uniform(-180, 180, 5).double().numpy())),
        Look("opposite directions", lambda d: (90.0, -90.0), draws=1),
        Look("the same direction", lambda d: (77.0, 77.0), draws=1),
        Look("a whole turn between them", lambda d: (np.array([10.0, 370.0, -350.0]), np.array([370.0, 10.0, 370.0])), draws=1),
    ),
    mistakes=(
        Mistake(
            "no_wrap",
            lambda one, other: np.abs(one - other),
            "This goes the long way round: 170 and -170 degrees are neighbours, only 20 degrees apart. The difference must be wrapped.",
        ),
        Mistake(
            "signed",
            lambda one, other: (one - other + 180) % 360 - 180,
            "This still has a sign. How far apart two things are is never negative: take the absolute value at the end.",
        ),
        Mistake(
            "one_way_round",
            lambda one, other: (one - other) % 360,
            "This always measures in the same direction, up to 360 degrees. Two directions differ by half a turn, 180 degrees, at most.",
        ),
        Mistake(
            "absolute_then_modulo",
            lambda one, other: np.abs(one - other) % 360,
            "Full turns are gone, but the way round is still the long one where it is more than 180 degrees.",
        ),
        Mistake(
            "modulo_180",
            lambda one, other: np.abs(one - other) % 180,
            "Modulo 180 makes opposite directions equal: 0 and 180 degrees are half a turn apart, not 0.",
        ),
        Mistake(
            "one_turn_only",
            lambda one, other: np.minimum(np.abs(one - other), np.abs(360 - np.abs(one - other))),
            ONE_TURN_ONLY,
        ),
        Mistake("one_turn_only_signed", lambda one, other: np.minimum(np.abs(one - other), 360 - np.abs(one - other)), ONE_TURN_ONLY),
    ),
    hints=(
        "First try 170 and -170 on paper: the difference is 340, the answer 20. What has to happen to 340?",
        "Bring the difference into [-180, 180) first. In Python, x % 360 lies in [0, 360) for negative x too.",
        "Add 180, take modulo 360, subtract 180: then take the absolute value with np.abs.",
    ),
)

# --- 0.3 ---------------------------------------------------------------------------------------

STEPS_PER_SECOND = 20  # of Pendulum-v1


def seconds_true(off: np.ndarray, limit: float) -> float:
    """Seconds until a dream is first more than `limit` degrees off: off (L,), one number a step, off[0] at the last look.

    A dream that never is has held for all of its L steps.
    """
    too_far = np.flatnonzero(off > limit)
    return (too_far[0] if len(too_far) else len(off)) / STEPS_PER_SECOND


CASES = {
    "a dream that is too far off from step 4 on": ([0, 1, 2, 9, 31, 50, 80, 120], 0.2),
    "a dream that is too far off, and comes back by luck": ([0, 5, 40, 60, 10, 5, 2, 1, 0, 0], 0.1),
    "a dream of 10 steps that is never too far off": ([0, 1, 2, 3, 4, 5, 4, 3, 2, 1], 0.5),
    "a dream that is wrong at the last look already": ([90, 10, 10, 10], 0.0),
    "a dream that is exactly at the limit for a while": ([0, 30, 30, 30, 30, 30, 30.5, 31], 0.3),
}


def observe_seconds(f) -> Observations:
    return {f"the seconds for {name}": float(f(np.array(off, float), 30.0)) for name, (off, _) in CASES.items()}


def expected_seconds() -> Observations:
    return {f"the seconds for {name}": seconds for name, (_, seconds) in CASES.items()}


def last_time(off: np.ndarray, limit: float) -> float:
    """The last step that is still near."""
    return (np.flatnonzero(off <= limit).max(initial=-1) + 1) / STEPS_PER_SECOND


SECONDS = Exercise(
    id="0.3",
    title="For how many seconds does a dream hold?",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=seconds_true,
    target=None,
    observe=observe_seconds,
    expected=expected_seconds,
    gradients=False,
    looks=(
        Look("17 steps that drift away", lambda d: (d.uniform(0, 5, 17).cumsum(0).double().numpy(), d.number(5, 40)), draws=5),
        Look("steps that come and go", lambda d: (d.uniform(0, 100, 23).double().numpy(), d.number(60, 99)), draws=5),
        Look("a limit that is never reached", lambda d: (d.uniform(0, 50, 14).double().numpy(), 60.0)),
        Look("a limit of 0", lambda d: (np.array([0.0, 0.0, 0.0, 1.0, 2.0]), 0.0), draws=1),
        Look("a dream that is wrong from the start", lambda d: (d.uniform(30, 90, 6).double().numpy(), 20.0)),
        Look("a dream that is wrong at its last step alone", lambda d: (np.array([1.0, 2.0, 3.0, 2.0, 50.0]), 12.0), draws=1),
        Look("a single step", lambda d: (np.array([5.0]), 12.0), draws=1),
        Look("a single step that is too far off", lambda d: (np.array([50.0]), 12.0), draws=1),
        Look("a step exactly at the limit", lambda d: (np.array([1.0, 7.0, 6.0, 7.0, 8.0, 1.0]), 7.0), draws=1),
        Look("nothing but steps exactly at the limit", lambda d: (np.full(8, 9.0), 9.0), draws=1),
    ),
    mistakes=(
        Mistake(
            "never_is_zero",
            lambda off, limit: float(np.argmax(off > limit)) / STEPS_PER_SECOND,
            "argmax of nothing but False is 0, so a dream that never fails seems to fail at once. That case needs a line of its own.",
        ),
        Mistake(
            "in_steps",
            lambda off, limit: seconds_true(off, limit) * STEPS_PER_SECOND,
            "These are steps. A second has 20 of them.",
        ),
        Mistake(
            "counts_all_near_steps",
            lambda off, limit: float((off <= limit).sum()) / STEPS_PER_SECOND,
            "You count every step that is near, also those after the dream had been lost. What comes back is luck: stop at the first miss.",
        ),
        Mistake(
            "last_near_step",
            last_time,
            "You looked for the last step that is near. A dream that was lost and comes near again is still lost: look for the first miss.",
        ),
        Mistake(
            "one_step_late",
            lambda off, limit: min(seconds_true(off, limit) + 1 / STEPS_PER_SECOND, len(off) / STEPS_PER_SECOND),
            "You are one step late: off[0] belongs to the last look, after 0 seconds, and off[1] to the first dreamt step.",
        ),
        Mistake(
            "never_is_one_step_less",
            lambda off, limit: min(seconds_true(off, limit), (len(off) - 1) / STEPS_PER_SECOND),
            "A dream that is never too far off has held for all of its L steps: that counts as len(off) / 20, not one step less.",
        ),
        Mistake(
            "limit_included",
            lambda off, limit: seconds_true(off, limit - 1e-9),
            "Exactly at the limit is not yet *more* than the limit: the test is >, not >=.",
        ),
        Mistake(
            "the_worst_step",
            lambda off, limit: float(np.argmax(off)) / STEPS_PER_SECOND,
            "This is the step at which the dream is furthest off. Asked for is the first one at which it is more than `limit` off.",
        ),
    ),
    hints=(
        "Go through the steps from the start, and return as soon as one of them is more than limit off.",
        "for step in range(len(off)): if off[step] > limit: return step / 20. And what if the loop comes to its end?",
        "After the loop: return len(off) / 20. (Without a loop: np.flatnonzero(off > limit) lists the steps that are too far off.)",
    ),
)

EXERCISES = [ANGLE, APART, SECONDS]

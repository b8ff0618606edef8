"""Exercises of notebook 14: a law of motion, how good a return is, and whether a reward can be seen."""

import numpy as np

from dreamer_core.classroom.own_world import explained
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations

# --- 14.1 --------------------------------------------------------------------------------------

STEP, DRAG, CURRENT = 0.4, 0.5, 1.0  # s, 1/s, m/s


def glide(position: float, velocity: float, push: float) -> tuple[float, float]:
    """One step of 0.4 s of the ferry: position (m), velocity (m/s) and push (m/s^2) -> the next position and velocity.

    The water flows at 1 m/s and drags at the ferry with 0.5 m/s^2 for each m/s between the two. First the velocity changes; with the
    new velocity the ferry moves.
    """
    velocity = velocity + STEP * (push + DRAG * (CURRENT - velocity))
    return position + STEP * velocity, velocity


STATES = {
    "a ferry that lies still, without a push": (0.0, 0.0, 0.0),
    "a ferry that drifts with the water": (2.0, 1.0, 0.0),
    "a ferry that holds against the current": (-1.0, 0.0, -0.5),
    "a fast ferry that is pushed on": (1.0, 2.0, 1.5),
}


def observe_glide(f) -> Observations:
    found = {}
    for name, state in STATES.items():
        position, velocity = f(*state)
        found |= {f"the velocity of {name}": float(velocity), f"the position of {name}": float(position)}
    return found


def expected_glide() -> Observations:
    by_hand = dict(zip(STATES, ((0.08, 0.2), (2.4, 1.0), (-1.0, 0.0), (1.96, 2.4))))
    found = {}
    for name, (position, velocity) in by_hand.items():
        found |= {f"the velocity of {name}": velocity, f"the position of {name}": position}
    return found


def wrong_glide(force=lambda velocity, push: push + DRAG * (CURRENT - velocity), step=STEP, old=False, swapped=False):
    """A wrong answer: another force or step, the old velocity for the move, or the results the wrong way round."""

    def wrong(position, velocity, push):
        after = velocity + step * force(velocity, push)
        moved = position + STEP * (velocity if old else after), after
        return moved[::-1] if swapped else moved

    return wrong


GLIDE = Exercise(
    id="14.1",
    title="One step on the river",
    minutes=6,
    difficulty=1,
    importance=2,
    reference=glide,
    target=None,
    observe=observe_glide,
    expected=expected_glide,
    gradients=False,
    looks=(
        Look("a ferry anywhere", lambda d: (d.number(-5, 5), d.number(-3, 4), d.number(-1.5, 1.5)), draws=5),
        Look("no push", lambda d: (d.number(-5, 5), d.number(-3, 4), 0.0)),
        Look("a ferry at rest", lambda d: (d.number(-5, 5), 0.0, d.number(-1.5, 1.5))),
        Look("a ferry at the origin", lambda d: (0.0, d.number(-3, 4), d.number(-1.5, 1.5))),
        Look("a fast ferry", lambda d: (d.number(-5, 5), d.number(4, 9), d.number(-1.5, 1.5))),
        Look("a ferry that goes upstream fast", lambda d: (d.number(-5, 5), d.number(-9, -4), d.number(-1.5, 1.5))),
    ),
    mistakes=(
        Mistake(
            "old_velocity",
            wrong_glide(old=True),
            "The ferry moves with the velocity it had before. First the velocity changes, and with the new one it moves.",
        ),
        Mistake(
            "drag_from_the_bank",
            wrong_glide(lambda velocity, push: push - DRAG * velocity),
            "Your drag is against the bank. It is against the water, so what counts is the difference between current and velocity.",
        ),
        Mistake(
            "current_on_top",
            wrong_glide(lambda velocity, push: push + CURRENT - DRAG * velocity),
            "You add the current as it is. The drag is 0.5 times the difference between current and velocity.",
        ),
        Mistake(
            "drag_drives",
            wrong_glide(lambda velocity, push: push - DRAG * (CURRENT - velocity)),
            "The sign of the drag is turned round: water that is faster than the ferry pulls it along.",
        ),
        Mistake(
            "no_time_step",
            wrong_glide(step=1.0),
            "An acceleration changes the velocity by so much in a whole second, and a step is 0.4 s: multiply by it.",
        ),
        Mistake(
            "push_not_in_time",
            lambda position, velocity, push: wrong_glide(lambda v, u: u / STEP + DRAG * (CURRENT - v))(position, velocity, push),
            "The push counts for a whole second in yours. It is an acceleration, too: it acts for 0.4 s.",
        ),
        Mistake("swapped", wrong_glide(swapped=True), "The two results have changed places: first the position, then the velocity."),
    ),
    hints=(
        "What accelerates the ferry? Two things: the push, and the water that flows past it.",
        "The acceleration is push + 0.5 * (1 - velocity). How long does it act?",
        "velocity = velocity + 0.4 * (push + 0.5 * (1 - velocity)); then position + 0.4 * velocity, with the new velocity.",
    ),
)

# --- 14.2 --------------------------------------------------------------------------------------


def share(value: float, random: float, best: float) -> float:
    """Where a return lies between random play (0) and the best that is known (1); below and above are allowed."""
    return (value - random) / (best - random)


CASES = {
    "-50, random -100, best 0": (-50.0, -100.0, 0.0),
    "-30, random -90, best -10": (-30.0, -90.0, -10.0),
    "8, random 2, best 6": (8.0, 2.0, 6.0),
    "-120, random -100, best -20": (-120.0, -100.0, -20.0),
}


def observe_share(f) -> Observations:
    return {f"the share of {name}": float(f(*case)) for name, case in CASES.items()}


def expected_share() -> Observations:
    return {f"the share of {name}": value for name, value in zip(CASES, (0.5, 0.75, 1.5, -0.25))}


SHARE = Exercise(
    id="14.2",
    title="How good is that?",
    minutes=4,
    difficulty=1,
    importance=2,
    reference=share,
    target=None,
    observe=observe_share,
    expected=expected_share,
    gradients=False,
    looks=(
        Look("a return between the two", lambda d: (d.number(-60, -40), d.number(-100, -80), d.number(-20, -5)), draws=4),
        Look("rewards above 0", lambda d: (d.number(40, 50), d.number(5, 10), d.number(60, 90)), draws=3),
        Look("a return better than the best that is known", lambda d: (d.number(95, 120), d.number(5, 10), d.number(60, 90))),
        Look("a return worse than random play", lambda d: (d.number(-150, -120), d.number(-100, -80), d.number(-20, -5))),
        Look("random play that earns nothing", lambda d: (d.number(1, 4), 0.0, d.number(5, 9))),
        Look("a best return of 0", lambda d: (d.number(-60, -40), d.number(-100, -80), 0.0)),
    ),
    mistakes=(
        Mistake(
            "share_of_the_best",
            lambda value, random, best: value / best if best else 0.0,
            "You divide by the best return, so random play counts for something, and negative returns are turned over. Start from random.",
        ),
        Mistake(
            "not_from_random",
            lambda value, random, best: value / (best - random),
            "The distance is right, the start is not: count the return from random play too.",
        ),
        Mistake(
            "from_the_best",
            lambda value, random, best: (best - value) / (best - random),
            "This is what is still missing: 1 for random play and 0 for the best. The other way round is meant.",
        ),
        Mistake(
            "clipped",
            lambda value, random, best: min(max((value - random) / (best - random), 0.0), 1.0),
            "You cut off below 0 and above 1. An agent that is worse than random play, or better than your own controller, is news.",
        ),
        Mistake(
            "in_percent",
            lambda value, random, best: 100 * (value - random) / (best - random),
            "These are percent. A share of 1 is meant for the best.",
        ),
    ),
    hints=(
        "Two numbers make a ruler: random play is its 0, the best that is known its 1.",
        "How far is the return from random play? How far is the best one? Divide.",
        "(value - random) / (best - random).",
    ),
)

# --- 14.3 --------------------------------------------------------------------------------------

# Three episodes of two rows each. The nearest row of another episode is worked out on paper.
ROWS = np.array([[0.0, 0.0], [5.0, 0.0], [0.5, 0.0], [5.0, 1.5], [20.0, 0.0], [0.0, 2.5]])
EPISODE = np.array([0, 0, 1, 1, 2, 2])


def observe_explained(f) -> Observations:
    return {
        "the share where similar rows have the same reward": float(f(ROWS, np.array([1.0, 3, 1, 3, 3, 1]), EPISODE)),
        "the share where the reward is the episode's alone": float(f(ROWS, np.array([1.0, 1, 2, 2, 6, 6]), EPISODE)),
        "the share where most rewards are guessed": float(f(ROWS, np.array([1.0, 3, 2, 3, 5, 4]), EPISODE)),
    }


def expected_explained() -> Observations:
    """Nearest rows elsewhere: 0 -> 2, 1 -> 3, 2 -> 0, 3 -> 1, 4 -> 3 (15.07 against 15), see below."""
    # Row 4 (20, 0): row 1 is 15 away, row 3 is 15.07 away. Row 5 (0, 2.5): row 0 is 2.5 away, row 2 is 2.55 away.
    # Rewards 1 3 2 3 5 4, guesses 2 3 1 3 3 1: misses 1 0 1 0 4 9 = 15; mean 3: 4 0 1 0 4 1 = 10.
    # Rewards 1 1 2 2 6 6, guesses 2 2 1 1 1 1: misses 1 1 1 1 25 25 = 54; mean 3: 4 4 1 1 9 9 = 28.
    return {
        "the share where similar rows have the same reward": 1.0,
        "the share where the reward is the episode's alone": 1 - 54 / 28,
        "the share where most rewards are guessed": -0.5,
    }


def guessing(measure=lambda difference: (difference**2).sum(-1), others=True, itself=False, score=None):
    """A wrong answer: another distance, rows of the same episode or the row itself asked, another way to judge the guess."""

    def wrong(observation, reward, episode):
        apart = measure(observation[:, None] - observation[None]).astype(float)
        if others:
            apart[episode[:, None] == episode[None]] = np.inf
        elif not itself:
            np.fill_diagonal(apart, np.inf)
        guess = reward[apart.argmin(1)]
        missed, spread = ((reward - guess) ** 2).sum(), ((reward - reward.mean()) ** 2).sum()
        return float(score(reward, guess) if score else 1 - missed / spread)

    return wrong


def walks(d: Draw, episodes: int, rows: int, size: int, shared: float = 0.5) -> tuple:
    """Recorded episodes in which neighbours in time look alike, and whose rewards have a part that is the episode's own."""
    steps = d.normal(episodes, rows, size).double().numpy()
    observation = (0.4 * np.cumsum(steps, 1) + d.normal(episodes, 1, size).double().numpy()).reshape(-1, size)
    own = np.repeat(d.normal(episodes).double().numpy(), rows)
    reward = observation.sum(-1) + shared * own + 0.1 * d.normal(episodes * rows).double().numpy()
    return observation, reward, np.repeat(np.arange(episodes), rows)


def mixed(d: Draw, recorded: tuple) -> tuple:
    """The same rows in another order."""
    order = d.order(len(recorded[1])).numpy()
    return tuple(part[order] for part in recorded)


EXPLAINED = Exercise(
    id="14.3",
    title="Can the reward be seen?",
    minutes=12,
    difficulty=3,
    importance=3,
    reference=explained,
    target=None,
    observe=observe_explained,
    expected=expected_explained,
    gradients=False,
    looks=(
        Look("4 episodes of 5 rows", lambda d: walks(d, 4, 5, 3), draws=3),
        Look("2 episodes of 7 rows", lambda d: walks(d, 2, 7, 2)),
        Look("9 episodes of one row", lambda d: walks(d, 9, 1, 3)),
        Look("one entry in the observation", lambda d: walks(d, 3, 6, 1)),
        Look("rows in any order", lambda d: mixed(d, walks(d, 4, 5, 3)), draws=2),
        Look("rewards far from 0", lambda d: (lambda o, r, e: (o, r + 40, e))(*walks(d, 4, 4, 2))),
        Look("a reward that is the episode's own", lambda d: walks(d, 5, 4, 2, shared=9.0)),
    ),
    mistakes=(
        Mistake(
            "itself",
            guessing(others=False, itself=True),
            "The most similar row of all is the row itself, and it knows its own reward: your guess is always right. Leave it out.",
        ),
        Mistake(
            "same_episode",
            guessing(others=False),
            "You ask rows of the same episode, which share whatever is hidden in it. The most similar row of *another* episode is meant.",
        ),
        Mistake(
            "most_different",
            guessing(lambda difference: -(difference**2).sum(-1)),
            "Your guess is the reward of the row that is most different: argmin finds the nearest.",
        ),
        Mistake(
            "signed_distance",
            guessing(lambda difference: difference.sum(-1)),
            "Differences have signs, and their plain sum can be far below 0 for rows that are far apart: square them first.",
        ),
        Mistake(
            "first_entry",
            guessing(lambda difference: difference[..., 0] ** 2),
            "You compare the first entry alone. All entries count: sum the squares over the last axis.",
        ),
        Mistake(
            "share_missed",
            guessing(score=lambda reward, guess: ((reward - guess) ** 2).sum() / ((reward - reward.mean()) ** 2).sum()),
            "This is the share that the guess misses. What it explains is 1 minus that.",
        ),
        Mistake(
            "spread_from_zero",
            guessing(score=lambda reward, guess: 1 - ((reward - guess) ** 2).sum() / (reward**2).sum()),
            "You count the spread of the rewards from 0. A guess must beat the mean: subtract it before you square.",
        ),
        Mistake(
            "correlation",
            guessing(score=lambda reward, guess: np.corrcoef(reward, guess)[0, 1] ** 2 if guess.std() else 0.0),
            "This is a squared correlation. It forgives a guess that is wrong by a factor or turned round; compare squared misses.",
        ),
    ),
    hints=(
        "Three steps: how far apart are all pairs of rows; which is the nearest of another episode; how good is its reward as a guess?",
        "observation[:, None] - observation[None] is (N, N, O). Square, sum over the last axis, and set np.inf where "
        "episode[:, None] == episode[None].",
        "guess = reward[apart.argmin(1)]. Then 1 - (squared misses, summed) / (squared distances of the rewards from their mean, summed).",
    ),
)

EXERCISES = [GLIDE, SHARE, EXPLAINED]

"""Exercises of notebook 01: rows, returns, endings, action units, and a velocity from two looks."""

import math

import numpy as np
import torch
from torch import Tensor

from dreamer_core import envs, trainer
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations
from dreamer_core.viz.timeline import as_rows

# --- 1.1 ---------------------------------------------------------------------------------------

PARTS = ("the rewards r_t", "the flags first_t", "the flags terminal_t", "the actions a_t")


def recording() -> tuple[Tensor, Tensor, Tensor]:
    """Observations (4, 2), actions (3, 2) and rewards (3,) whose digits say which step they belong to."""
    return torch.arange(8.0).reshape(4, 2), torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), torch.tensor([10.0, 20.0, 30.0])


def observe_rows(f) -> Observations:
    ended = dict(zip((f"{part} of an episode that terminated" for part in PARTS), f(*recording(), True)))
    cut = dict(zip((f"{part} of an episode cut off by a time limit" for part in PARTS), f(*recording(), False)))
    return ended | cut


def expected_rows() -> Observations:
    found = {}
    for ending, last in (("that terminated", 1.0), ("cut off by a time limit", 0.0)):
        values = (
            torch.tensor([0.0, 10.0, 20.0, 30.0]),
            torch.tensor([1.0, 0.0, 0.0, 0.0]),
            torch.tensor([0.0, 0.0, 0.0, last]),
            torch.tensor([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6], [0.0, 0.0]]),
        )
        found |= {f"{part} of an episode {ending}": value for part, value in zip(PARTS, values)}
    return found


def rows_with(**changes):
    """A wrong answer that is right but for some parts: name=function of (observation, action, reward, terminated)."""

    def wrong(observation, action, reward, terminated):
        names = ("reward", "first", "terminal", "action")
        right = dict(zip(names, as_rows(observation, action, reward, terminated)))
        return tuple((right | {name: change(observation, action, reward, terminated) for name, change in changes.items()}).values())

    return wrong


def at(row: int, value: float = 1.0):
    """Flags that are 0 but in one row."""

    def flags(observation, action, reward, terminated):
        made = torch.zeros(len(observation))
        made[row] = value
        return made

    return flags


def leaving_reward(observation, action, reward, terminated):
    return torch.cat([reward, torch.zeros(1)])


def arriving_action(observation, action, reward, terminated):
    return torch.cat([torch.zeros_like(action[:1]), action])


def flags_before_reward(observation, action, reward, terminated):
    reward, first, terminal, action = as_rows(observation, action, reward, terminated)
    return first, terminal, reward, action


def coming_back(recording: tuple) -> tuple:
    """The same, but the first observation is seen again in the middle: a row is the first by its place, not by its looks."""
    observation, *rest = recording
    observation[3] = observation[0]
    return observation, *rest


def random_recording(d: Draw, steps: int, observation: int, action: int, terminated: bool) -> tuple:
    """A recorded episode."""
    return d.normal(steps + 1, observation), d.normal(steps, action), d.normal(steps), terminated


ROWS = Exercise(
    id="1.1",
    title="From a recording to rows",
    minutes=10,
    difficulty=2,
    importance=3,
    reference=as_rows,
    target=None,
    observe=observe_rows,
    expected=expected_rows,
    gradients=False,
    looks=(
        Look("an episode of 6 steps that ended", lambda d: random_recording(d, 6, 3, 2, True)),
        Look("an episode of 6 steps that was cut off", lambda d: random_recording(d, 6, 3, 2, False)),
        Look("an episode of one step", lambda d: random_recording(d, 1, 4, 3, True)),
        Look("more entries in the action than in the observation", lambda d: random_recording(d, 5, 2, 4, False)),
        Look("one entry each", lambda d: random_recording(d, 7, 1, 1, True)),
        Look("an observation that comes back", lambda d: coming_back(random_recording(d, 6, 2, 1, True))),
    ),
    mistakes=(
        Mistake(
            "reward_leaves",
            rows_with(reward=leaving_reward),
            "Your rewards stand in the row the action left. A reward arrives with the observation it led to, one row later.",
        ),
        Mistake(
            "action_arrives",
            rows_with(action=arriving_action),
            "Your actions stand in the row they led to. a_t is the action that leaves row t, so the last row has none.",
        ),
        Mistake(
            "both_shifted",
            rows_with(reward=leaving_reward, action=arriving_action),
            "Rewards and actions have changed places: actions belong to the row they leave, rewards to the row they arrive in.",
        ),
        Mistake(
            "always_terminal",
            rows_with(terminal=at(-1)),
            "Your last row is terminal whatever happened. After a time limit the world would have gone on: then terminal is 0.",
        ),
        Mistake(
            "terminal_one_early",
            rows_with(terminal=lambda *recorded: at(-2, float(recorded[3]))(*recorded)),
            "terminal belongs to the row in which the episode ended, the last one, not to the row of the last action.",
        ),
        Mistake(
            "first_is_last",
            rows_with(first=at(-1)),
            "first marks the row where the episode begins (what reset() returned), and you marked where it ends.",
        ),
        Mistake(
            "first_after_first_action",
            rows_with(first=at(1)),
            "first belongs to row 0, the one with the observation from reset(), not to the row after the first action.",
        ),
        Mistake(
            "order_of_the_picture",
            flags_before_reward,
            "These are the right columns in the order of the picture. Return them as the text has them: reward, first, terminal, action.",
        ),
    ),
    hints=(
        "Three steps make four rows. Rewards and actions both lack one number: rewards lack it at one end, actions at the other.",
        "reward: a 0 in front. action: a row of zeros, shape (1, A), behind. torch.cat([a, b]) joins two tensors.",
        "first and terminal start as torch.zeros(len(observation)); set first[0] = 1 and terminal[-1] = float(terminated).",
    ),
)

# --- 1.2 ---------------------------------------------------------------------------------------


def discounted_returns(reward: Tensor, gamma: float) -> Tensor:
    """The return after each row: reward (T,) with r_1 .. r_T -> (T,) with G_0 .. G_{T-1}; G_t = r_{t+1} + gamma G_{t+1}, G_T = 0."""
    following, found = 0.0, []
    for arriving in reward.tolist()[::-1]:
        following = arriving + gamma * following
        found.append(following)
    return torch.tensor(found[::-1])


def observe_returns(f) -> Observations:
    return {
        "the returns for rewards 1, 2, 1, 2 and gamma 0.5": f(torch.tensor([1.0, 2.0, 1.0, 2.0]), 0.5),
        "the returns for rewards 0, 0, -8 and gamma 0.5": f(torch.tensor([0.0, 0.0, -8.0]), 0.5),
        "the returns for rewards 1, 2, 3 and gamma 1": f(torch.tensor([1.0, 2.0, 3.0]), 1.0),
        "the returns for rewards 4, 5, 6 and gamma 0": f(torch.tensor([4.0, 5.0, 6.0]), 0.0),
    }


def expected_returns() -> Observations:
    return {
        "the returns for rewards 1, 2, 1, 2 and gamma 0.5": torch.tensor([2.5, 3.0, 2.0, 2.0]),
        "the returns for rewards 0, 0, -8 and gamma 0.5": torch.tensor([-2.0, -4.0, -8.0]),
        "the returns for rewards 1, 2, 3 and gamma 1": torch.tensor([6.0, 5.0, 3.0]),
        "the returns for rewards 4, 5, 6 and gamma 0": torch.tensor([4.0, 5.0, 6.0]),
    }


def discounted_from_the_start(reward: Tensor, gamma: float) -> Tensor:
    """Weights counted from row 0 for every row."""
    weighted = reward * gamma ** torch.arange(len(reward))
    return weighted.flip(0).cumsum(0).flip(0)


def forward_sum(reward: Tensor, gamma: float) -> Tensor:
    """Adds up the past."""
    past, found = 0.0, []
    for arriving in reward.tolist():
        past = arriving + gamma * past
        found.append(past)
    return torch.tensor(found)


def mean_of_the_rest(reward: Tensor, gamma: float) -> Tensor:
    """Divides by the number of rewards."""
    return discounted_returns(reward, gamma) / torch.arange(len(reward), 0, -1)


RETURNS = Exercise(
    id="1.2",
    title="Discounted returns",
    minutes=7,
    difficulty=1,
    importance=3,
    reference=discounted_returns,
    target=None,
    observe=observe_returns,
    expected=expected_returns,
    gradients=False,
    looks=(
        Look("7 rewards", lambda d: (d.normal(7), d.number(0.5, 0.99)), draws=4),
        Look("a single reward", lambda d: (d.normal(1), 0.9)),
        Look("two rewards", lambda d: (d.normal(2), 0.8)),
        Look("gamma = 0", lambda d: (d.normal(5), 0.0)),
        Look("gamma = 1", lambda d: (d.normal(6), 1.0)),
        Look("40 rewards", lambda d: (d.normal(40), 0.97)),
        Look("300 rewards, and a gamma whose high powers are too small for a number", lambda d: (d.normal(300), d.number(0.4, 0.6))),
    ),
    mistakes=(
        Mistake(
            "gamma_on_the_first",
            lambda reward, gamma: gamma * discounted_returns(reward, gamma),
            "The first reward that arrives counts in full. You multiplied it by gamma as well, and everything after it once too often.",
        ),
        Mistake(
            "off_by_one",
            lambda reward, gamma: torch.cat([discounted_returns(reward, gamma)[1:], torch.zeros(1)]),
            "You are one row late: G_t begins with r_{t+1}, the reward that arrives next, and yours leaves it out.",
        ),
        Mistake(
            "not_discounted",
            lambda reward, gamma: reward.flip(0).cumsum(0).flip(0),
            "This is the plain sum of the rewards to come: gamma does nothing.",
        ),
        Mistake(
            "weights_from_the_start",
            discounted_from_the_start,
            "You count the delay from row 0 for every row. Seen from row t, the next reward is never delayed: its weight is 1.",
        ),
        Mistake(
            "the_past",
            forward_sum,
            "You add up the rewards that came before. A return looks forward: go through the rewards from the last to the first.",
        ),
        Mistake(
            "turned_round",
            lambda reward, gamma: discounted_returns(reward, gamma).flip(0),
            "The numbers are right and stand in the wrong order: you went backwards and did not turn the result round again.",
        ),
        Mistake(
            "a_mean",
            mean_of_the_rest,
            "A return is a sum, not a mean: do not divide by the number of rewards.",
        ),
    ),
    hints=(
        "What is the return after the last action? Only one reward is left. And one row before that?",
        "Go backwards: each return is the reward that arrives next, in full, plus gamma times the return you have just worked out.",
        "Start with g = 0. For r in reversed order: g = r + gamma * g, and keep g. Then turn the list round and make a tensor of it.",
    ),
)

# --- 1.3 ---------------------------------------------------------------------------------------

FLAGS = {
    "an ordinary step": (False, False),
    "a step that terminated": (True, False),
    "a step cut off by a time limit": (False, True),
    "a step with both flags up": (True, True),
}


def observe_ending(f) -> Observations:
    found = {}
    for name, flags in FLAGS.items():
        over, terminal = f(*flags)
        found |= {f"`over` after {name}": bool(over), f"`terminal` after {name}": bool(terminal)}
    return found


def expected_ending() -> Observations:
    truth = ((False, False), (True, True), (True, False), (True, True))
    found = {}
    for name, (over, terminal) in zip(FLAGS, truth):
        found |= {f"`over` after {name}": over, f"`terminal` after {name}": terminal}
    return found


ENDING = Exercise(
    id="1.3",
    title="Over, or truly ended?",
    minutes=4,
    difficulty=1,
    importance=3,
    reference=trainer.ending,
    target="dreamer_core.trainer:ending",
    observe=observe_ending,
    expected=expected_ending,
    gradients=False,
    looks=tuple(
        Look(f"terminated {one} and truncated {other}", lambda d, a=one, b=other: (a, b), draws=1)
        for one in (True, False)
        for other in (True, False)
    ),
    mistakes=(
        Mistake(
            "limit_is_death",
            lambda terminated, truncated: (terminated or truncated, terminated or truncated),
            "You treat a time limit as an end of the world. After it more would have followed, so `terminal` must be False.",
        ),
        Mistake(
            "limit_ignored",
            lambda terminated, truncated: (terminated, terminated),
            "You never reset after a time limit: the episode is over then too, although nothing has truly ended.",
        ),
        Mistake(
            "swapped",
            lambda terminated, truncated: (terminated, terminated or truncated),
            "The two answers have changed places: first whether the episode is over, then whether nothing can follow.",
        ),
        Mistake(
            "limit_wins",
            lambda terminated, truncated: (terminated or truncated, terminated and not truncated),
            "If the world ends in the very step in which the time is up, it has ended all the same: `terminal` must be True.",
        ),
        Mistake(
            "terminal_is_truncated",
            lambda terminated, truncated: (terminated or truncated, truncated),
            "You mark as terminal what was only cut off, and the true ends you do not mark.",
        ),
        Mistake(
            "continue_flag",
            lambda terminated, truncated: (terminated or truncated, not terminated),
            "This is the opposite flag: 1 where the world goes on. `terminal` is True where it does not.",
        ),
        Mistake(
            "end_ignored",
            lambda terminated, truncated: (truncated, terminated),
            "After a true end nothing can follow, so the episode is over as well: `over` is True for either flag.",
        ),
        Mistake(
            "both_needed",
            lambda terminated, truncated: (terminated and truncated, terminated),
            "Either flag alone ends the episode. You wait until both are up.",
        ),
    ),
    hints=(
        "Two questions. Do I have to call reset() now? And: could anything still have followed?",
        "The first answer is True for either flag. The second one does not care about the time limit at all.",
        "Only `or` is needed, once. The second answer is one of the inputs, unchanged.",
    ),
)

# --- 1.4 ---------------------------------------------------------------------------------------

BOXES = {
    "Pendulum's motor (-2 to 2)": ([-2.0], [2.0]),
    "a heater (0 to 10)": ([0.0], [10.0]),
    "a box of two actions (-1 to 3, and 5 to 6)": ([-1.0, 5.0], [3.0, 6.0]),
}


def observe_rescale(f) -> Observations:
    found = {}
    for name, (low, high) in BOXES.items():
        low, high = np.array(low, np.float32), np.array(high, np.float32)
        for value in (-1.0, 0.0, 0.5, 1.0):
            action = f(np.full_like(low, value), low, high)
            found[f"the action {value:g} for {name}"] = torch.as_tensor(np.asarray(action), dtype=torch.float32)
    return found


def expected_rescale() -> Observations:
    by_hand = {
        "Pendulum's motor (-2 to 2)": ([-2.0], [0.0], [1.0], [2.0]),
        "a heater (0 to 10)": ([0.0], [5.0], [7.5], [10.0]),
        "a box of two actions (-1 to 3, and 5 to 6)": ([-1.0, 5.0], [1.0, 5.5], [2.0, 5.75], [3.0, 6.0]),
    }
    return {
        f"the action {value:g} for {name}": torch.tensor(values[number])
        for name, values in by_hand.items()
        for number, value in enumerate((-1.0, 0.0, 0.5, 1.0))
    }


def bounded(d: Draw, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An action and bounds that are not symmetric."""
    low = d.uniform(-5, 3, size).double().numpy()
    return d.uniform(-1, 1, size).double().numpy(), low, low + d.uniform(0.5, 6, size).double().numpy()


RESCALE = Exercise(
    id="1.4",
    title="Actions in the world's own units",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=envs.rescale,
    target="dreamer_core.envs:rescale",
    observe=observe_rescale,
    expected=expected_rescale,
    gradients=False,
    looks=(
        Look("an action of 3 entries", lambda d: bounded(d, 3), draws=3),
        Look("an action of one entry", lambda d: bounded(d, 1), draws=2),
        Look("an action at its bounds", lambda d: (np.array([-1.0, 1.0, 0.0, 1.0]), *bounded(d, 4)[1:])),
        Look("bounds around 0", lambda d: (d.uniform(-1, 1, 2).double().numpy(), np.array([-2.0, -0.5]), np.array([2.0, 0.5]))),
        Look("bounds far from 0", lambda d: (d.uniform(-1, 1, 2).double().numpy(), np.array([100.0, -60.0]), np.array([104.0, -59.0]))),
    ),
    mistakes=(
        Mistake(
            "times_high",
            lambda action, low, high: action * high,
            "Multiplying by `high` fits only a range that is symmetric around 0. A heater has no negative power.",
        ),
        Mistake(
            "from_zero_to_one",
            lambda action, low, high: low + action * (high - low),
            "This takes actions from 0 to 1. Yours begin at -1, so -1 must become `low` and 0 the middle.",
        ),
        Mistake(
            "clipped",
            lambda action, low, high: np.clip(action, low, high),
            "Clipping only cuts off what is outside. The whole of [-1, 1] must be stretched over the whole of [low, high].",
        ),
        Mistake(
            "inverse",
            lambda action, low, high: 2 * (action - low) / (high - low) - 1,
            "This is the way back, from the world's units to [-1, 1].",
        ),
        Mistake(
            "no_shift",
            lambda action, low, high: action * (high - low) / 2,
            "The width is right and the place is not: add the middle of the range.",
        ),
        Mistake(
            "too_wide",
            lambda action, low, high: (low + high) / 2 + action * (high - low),
            "Your range is twice as wide as it should be: from -1 to 1 is already a width of 2.",
        ),
        Mistake(
            "no_stretch",
            lambda action, low, high: (low + high) / 2 + action,
            "The middle is right and the width is not: stretch the action by half of (high - low).",
        ),
        Mistake(
            "begins_at_zero",
            lambda action, low, high: (action + 1) * (high - low) / 2,
            "The width is right, but your range always begins at 0: -1 must become `low`. The middle is (low + high) / 2, with a plus.",
        ),
    ),
    hints=(
        "Three points settle it: -1 becomes low, 0 the middle (low + high) / 2, and 1 high. In between it is a straight line.",
        "A straight line: middle + action * (how much one unit of action is worth).",
        "One unit of action is worth half the range, (high - low) / 2.",
    ),
)

# --- 1.5 ---------------------------------------------------------------------------------------


def velocity(before: Tensor, after: Tensor, dt: float) -> Tensor:
    """Velocity between two looks dt seconds apart, the short way round: before, after (..., 2) cosine and sine -> (...) in rad/s."""
    turn = torch.atan2(after[..., 1], after[..., 0]) - torch.atan2(before[..., 1], before[..., 0])
    return ((turn + math.pi) % (2 * math.pi) - math.pi) / dt


TURNS = {
    "from 0.1 to 0.3 rad in 0.05 s": (0.1, 0.3, 0.05),
    "from 0.3 to 0.1 rad in 0.05 s": (0.3, 0.1, 0.05),
    "from 0.5 to 0.5 rad in 0.05 s": (0.5, 0.5, 0.05),
    "from 3.1 to -3.1 rad in 0.1 s (past the lowest point)": (3.1, -3.1, 0.1),
    "from -3.0 to 3.0 rad in 0.1 s (past the lowest point)": (-3.0, 3.0, 0.1),
}


def looks(angles: list) -> Tensor:
    """Cosine and sine of angles, (..., 2)."""
    angles = torch.tensor(angles)
    return torch.stack([angles.cos(), angles.sin()], -1)


def observe_velocity(f) -> Observations:
    single = {f"the velocity {name}": float(f(looks([start]), looks([end]), dt)[0]) for name, (start, end, dt) in TURNS.items()}
    return single | {"the velocities of 2 x 2 pairs": f(looks([[0.0, 1.0], [2.0, -2.0]]), looks([[0.1, 0.9], [2.2, -2.0]]), 0.5)}


def expected_velocity() -> Observations:
    by_hand = dict(zip(TURNS, (4.0, -4.0, 0.0, 0.831853, -2.831853)))
    single = {f"the velocity {name}": value for name, value in by_hand.items()}
    return single | {"the velocities of 2 x 2 pairs": torch.tensor([[0.2, -0.2], [0.4, 0.0]])}


def angles_of(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    return torch.atan2(before[..., 1], before[..., 0]), torch.atan2(after[..., 1], after[..., 0])


def not_wrapped(before: Tensor, after: Tensor, dt: float) -> Tensor:
    start, end = angles_of(before, after)
    return (end - start) / dt


def one_way_round(before: Tensor, after: Tensor, dt: float) -> Tensor:
    start, end = angles_of(before, after)
    return ((end - start) % (2 * math.pi)) / dt


def looks_at(d: Draw, *shape: int) -> Tensor:
    """Cosine and sine of random angles."""
    angle = d.uniform(-3.1, 3.1, *shape)
    return torch.stack([angle.cos(), angle.sin()], -1)


def near(d: Draw, count: int) -> tuple[Tensor, Tensor, float]:
    """Pairs of looks all round the circle that differ by up to half a radian, some across the seam at pi."""
    angle = torch.linspace(-3.1, 3.1, count)
    after = angle + d.uniform(-0.5, 0.5, count)
    return torch.stack([angle.cos(), angle.sin()], -1), torch.stack([after.cos(), after.sin()], -1), 0.05


VELOCITY = Exercise(
    id="1.5",
    title="A velocity from two looks",
    minutes=8,
    difficulty=2,
    importance=2,
    reference=velocity,
    target=None,
    observe=observe_velocity,
    expected=expected_velocity,
    gradients=False,
    looks=(
        Look("12 pairs of looks", lambda d: (looks_at(d, 12), looks_at(d, 12), d.number(0.02, 0.3)), draws=4),
        Look("a single pair", lambda d: (looks_at(d), looks_at(d), 0.05), draws=4),
        Look("3 x 5 pairs", lambda d: (looks_at(d, 3, 5), looks_at(d, 3, 5), 0.1)),
        Look("dt = 1", lambda d: (looks_at(d, 6), looks_at(d, 6), 1.0)),
        Look("looks that differ by little, in all directions", lambda d: near(d, 16)),
        Look("a rod that does not move", lambda d: (lambda x: (x, x.clone(), 0.05))(looks_at(d, 4))),
    ),
    mistakes=(
        Mistake(
            "not_wrapped",
            not_wrapped,
            "Where the rod passes its lowest point the angle jumps from pi to -pi, and your velocity with it: wrap the difference first, "
            "to [-pi, pi). These are radians: a wrap made for degrees changes nothing.",
        ),
        Mistake(
            "backwards",
            lambda before, after, dt: -velocity(before, after, dt),
            "The sign is turned round. It is after minus before, and atan2 takes the sine first: either one swapped turns the sign.",
        ),
        Mistake(
            "no_time",
            lambda before, after, dt: velocity(before, after, 1.0),
            "This is how far it turned. Divide by dt, the seconds between the looks, to get a velocity.",
        ),
        Mistake(
            "times_dt",
            lambda before, after, dt: velocity(before, after, 1.0) * dt,
            "You multiplied by dt. A velocity is an angle *divided* by a time.",
        ),
        Mistake(
            "one_way_round",
            one_way_round,
            "Your difference is never negative: a small turn to the right became nearly a full turn to the left. Wrap it to [-pi, pi).",
        ),
        Mistake(
            "wrapped_too_late",
            lambda before, after, dt: (not_wrapped(before, after, dt) + math.pi) % (2 * math.pi) - math.pi,
            "You wrapped the velocity. Only the angle jumps by full turns: wrap the difference first, then divide by dt.",
        ),
        Mistake(
            "speed",
            lambda before, after, dt: velocity(before, after, dt).abs(),
            "This is a speed without direction. Which way it swings is the very thing one look does not tell: keep the sign.",
        ),
        Mistake(
            "sine_only",
            lambda before, after, dt: (after[..., 1] - before[..., 1]) / dt,
            "The sine changes as fast as the angle only near upright. Turn cosine and sine into an angle first.",
        ),
    ),
    hints=(
        "First two angles (torch.atan2), then their difference, then a division. One thing goes wrong between the second and the third.",
        "The difference must lie between -pi and pi: the rod never turns more than half a turn in one step.",
        "turn = (after_angle - before_angle + pi) % (2 * pi) - pi, and the answer is turn / dt. torch.atan2 takes the sine first.",
    ),
)

EXERCISES = [ROWS, RETURNS, ENDING, RESCALE, VELOCITY]

"""Exercises of notebook 04, the reward model."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dreamer_core import nets, world_model
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations, gradient
from dreamer_core.viz import calibration

# --- 4.1 which state a reward is read from ---------------------------------------------------------


def pair_up(state: Tensor, reward: Tensor) -> tuple[Tensor, Tensor]:
    """s_0 .. s_T and r_1 .. r_T -> the states that the rewards are read from, and those rewards: (B, T + 1, F), (B, T)."""
    return state[:, 1:], reward


def observe_pairs(f) -> Observations:
    """Two episodes of three steps; state (b, t) holds 10 b + t, and the reward that step t + 1 returned 100 b + t + 1."""
    state = torch.tensor([[[0.0], [1], [2], [3]], [[10], [11], [12], [13]]])
    states, rewards = f(state, torch.tensor([[1.0, 2, 3], [101, 102, 103]]))
    return {"the numbers of the states": states[..., 0], "the rewards": rewards}


def expected_pairs() -> Observations:
    """Written out: the reward of the first step arrives with s_1."""
    return {
        "the numbers of the states": torch.tensor([[1.0, 2, 3], [11, 12, 13]]),
        "the rewards": torch.tensor([[1.0, 2, 3], [101, 102, 103]]),
    }


def late(reward: Tensor) -> Tensor:
    """Each reward one place later, 0 in front."""
    return F.pad(reward[:, :-1], (1, 0))


PAIRS = Exercise(
    id="4.1",
    title="Which state a reward is read from",
    minutes=5,
    difficulty=1,
    importance=3,
    reference=pair_up,
    target=None,
    observe=observe_pairs,
    expected=expected_pairs,
    looks=(
        Look("3 episodes of 5 steps", lambda d: (d.normal(3, 6, 4), d.normal(3, 5))),
        Look("7 episodes of 3 steps", lambda d: (d.normal(7, 4, 2), d.normal(7, 3))),
        Look("2 episodes of 21 steps", lambda d: (d.normal(2, 22, 3), d.normal(2, 21)), draws=1),
        Look("a single episode", lambda d: (d.normal(1, 5, 2), d.normal(1, 4))),
        Look("episodes of one step", lambda d: (d.normal(4, 2, 3), d.normal(4, 1))),
        Look("states of one number", lambda d: (d.normal(2, 7, 1), d.normal(2, 6))),
    ),
    mistakes=(
        Mistake(
            "state_that_was_left",
            lambda state, reward: (state[:, :-1], reward),
            "You pair each reward with the state its action left. In that state the action has not been taken yet, so a head could "
            "only learn an average over actions: r_{t+1} arrives with s_{t+1}.",
        ),
        Mistake(
            "reward_one_late",
            lambda state, reward: (state[:, 1:], late(reward)),
            "Every reward sits one row too late. The list starts with r_1 already, and r_1 belongs to s_1: it needs no 0 in front "
            "once s_0 has been dropped.",
        ),
        Mistake(
            "reward_one_early",
            lambda state, reward: (state[:, 1:], F.pad(reward[:, 1:], (0, 1))),
            "You dropped the first reward, r_1, and moved all others up. It is the *state* of row 0 that has no partner: no reward "
            "arrives with a reset.",
        ),
        Mistake(
            "first_state_kept",
            lambda state, reward: (state[:, :-1], late(reward)),
            "You paired s_0 with a made-up reward of 0 and left out s_T. No reward arrives with a reset, so row 0 has nothing to "
            "teach; and the last row's reward is real.",
        ),
    ),
    hints=(
        "Write the row numbers under both lists: states 0, 1, .., T; rewards 1, .., T.",
        "One list is longer by one. Which entry of it has no partner?",
        "The states without the first of them, along axis 1; the rewards as they are.",
    ),
)

# --- 4.2 the negative log-likelihood of a Normal ----------------------------------------------------

MEAN, STD, TARGET = [[0.0, 1.0, -2.0], [0.5, 3.0, 0.0]], [[1.0, 0.5, 2.0], [0.05, 1.5, 4.0]], [[0.0, 2.0, 1.0], [0.6, 3.0, -6.0]]


def observe_gaussian(f) -> Observations:
    """Six rewards in a (B, T) table, from far off to dead on."""
    mean = torch.tensor(MEAN, requires_grad=True)
    std = torch.tensor(STD, requires_grad=True)
    nll = f(mean, std, torch.tensor(TARGET))
    slope_mean, slope_std = gradient(nll.sum(), mean, std)
    return {"the value": nll.detach(), "the gradient in mean": slope_mean, "the gradient in std": slope_std}


def log_density(mean: float, std: float, target: float) -> float:
    """log N by brute force: the bell exp(-x^2 / 2 std^2) is divided by its own area, a sum over thin strips."""
    x = np.linspace(-12 * std, 12 * std, 20_001)
    area = np.exp(-0.5 * (x / std) ** 2).sum() * (x[1] - x[0])
    return -0.5 * ((target - mean) / std) ** 2 - math.log(area)


def expected_gaussian() -> Observations:
    """The bell normalised by a numeric integral; slopes by central differences."""
    rows = np.stack([MEAN, STD, TARGET], -1).reshape(-1, 3)
    small = 1e-5
    table = {
        "the value": [-log_density(m, s, r) for m, s, r in rows],
        "the gradient in mean": [(log_density(m - small, s, r) - log_density(m + small, s, r)) / (2 * small) for m, s, r in rows],
        "the gradient in std": [(log_density(m, s - small, r) - log_density(m, s + small, r)) / (2 * small) for m, s, r in rows],
    }
    return {name: torch.tensor(values, dtype=torch.float32).view(2, 3) for name, values in table.items()}


HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)

GAUSSIAN = Exercise(
    id="4.2",
    title="The price of a surprise (Gaussian)",
    minutes=8,
    difficulty=1,
    importance=3,
    reference=nets.gaussian_nll,
    target="dreamer_core.nets:gaussian_nll",
    observe=observe_gaussian,
    expected=expected_gaussian,
    looks=(
        Look("4 x 5 numbers", lambda d: (d.normal(4, 5), d.uniform(0.3, 3, 4, 5), d.normal(4, 5))),
        Look("6 numbers", lambda d: (d.normal(6), d.uniform(0.3, 3, 6), d.normal(6))),
        Look("one std for all", lambda d: (d.normal(3, 4), d.uniform(0.3, 3), d.normal(3, 4))),
        Look("a std for each column", lambda d: (d.normal(3, 4), d.uniform(0.3, 3, 4), d.normal(3, 4))),
        Look("one mean for all", lambda d: (d.normal(), d.uniform(0.3, 3, 5, 2), d.normal(5, 2))),
        Look("a std below and above 1", lambda d: (d.normal(7), torch.tensor([0.01, 0.1, 0.5, 1.0, 2.0, 10.0, 100.0]), d.normal(7))),
        Look("large misses", lambda d: (30 * d.normal(4, 3), d.uniform(0.5, 2, 4, 3), d.normal(4, 3))),
    ),
    mistakes=(
        Mistake(
            "no_log_std",
            lambda mean, std, target: 0.5 * ((target - mean) / std).square() + HALF_LOG_TAU,
            "The log std is missing. Without it a wider bell costs nothing, so a learned std would grow without end.",
        ),
        Mistake(
            "std_for_variance",
            lambda mean, std, target: 0.5 * (target - mean).square() / std + 0.5 * torch.log(std) + HALF_LOG_TAU,
            "You treat std as if it were the variance. The miss is divided by std *before* it is squared.",
        ),
        Mistake(
            "std_not_squared",
            lambda mean, std, target: 0.5 * (target - mean).square() / std + torch.log(std) + HALF_LOG_TAU,
            "The squared miss is divided by std, but needs std squared: divide the miss by std first, then square.",
        ),
        Mistake(
            "no_constant",
            lambda mean, std, target: 0.5 * ((target - mean) / std).square() + torch.log(std),
            "The constant log(2 pi) / 2 is missing. It changes no gradient, but without it exp(-nll) is no density, and a loss in nats "
            "cannot be compared with any other.",
        ),
        Mistake(
            "sign",
            lambda mean, std, target: -nets.gaussian_nll(mean, std, target),
            "The sign is turned round: this is the log-likelihood, and minimising it would drive the mean away from the reward.",
        ),
        Mistake(
            "no_half",
            lambda mean, std, target: ((target - mean) / std).square() + torch.log(std) + HALF_LOG_TAU,
            "The 1/2 in front of the squared miss is missing.",
        ),
        Mistake(
            "log_of_variance",
            lambda mean, std, target: 0.5 * ((target - mean) / std).square() + 2 * torch.log(std) + HALF_LOG_TAU,
            "The log of the *variance* is charged in full. It is log std, or half the log of the variance.",
        ),
        Mistake(
            "constant_not_halved",
            lambda mean, std, target: 0.5 * ((target - mean) / std).square() + torch.log(std) + 2 * HALF_LOG_TAU,
            "The constant is twice what it should be: *half* of log(2 pi).",
        ),
    ),
    hints=(
        "The right side of the equation above, term by term. torch.log takes a tensor, np.log a number.",
        "Three terms: half the squared miss in units of std, the log of std, and a constant, half of log(2 pi).",
        "0.5 * ((target - mean) / std) ** 2 + torch.log(std) + ... : the constant is 0.5 * np.log(2 * np.pi).",
    ),
)

# --- 4.3 a std with a floor -------------------------------------------------------------------------

RAW = [[-60.0, -3.0, 0.5], [1.0, 5.0, 80.0]]


def observe_positive(f) -> Observations:
    """Raw outputs of a net from -60 to 80, and two floors."""
    raw = torch.tensor(RAW, requires_grad=True)
    std = f(raw, 0.05)
    return {
        "the std with a floor of 0.05": std.detach(),
        "its gradient in raw": gradient(std.sum(), raw),
        "the std with a floor of 1": f(torch.tensor(RAW), 1.0),
    }


def expected_positive() -> Observations:
    """log(1 + e^raw) in double precision, entry by entry; its slope is the logistic function."""
    soft = torch.tensor([[math.log1p(math.exp(raw)) for raw in row] for row in RAW])
    slope = torch.tensor([[1 / (1 + math.exp(-raw)) for raw in row] for row in RAW])
    return {"the std with a floor of 0.05": soft + 0.05, "its gradient in raw": slope, "the std with a floor of 1": soft + 1}


POSITIVE = Exercise(
    id="4.3",
    title="A standard deviation with a floor",
    minutes=4,
    difficulty=1,
    importance=2,
    reference=nets.positive,
    target="dreamer_core.nets:positive",
    runs_with="a learned reward deviation (model.reward_std = 0)",
    observe=observe_positive,
    expected=expected_positive,
    looks=(
        Look("3 x 4 numbers", lambda d: (2 * d.normal(3, 4), 0.1)),
        Look("a single number", lambda d: (d.normal(1), 0.25)),
        Look("a floor of 0", lambda d: (d.normal(5), 0.0)),
        Look("a floor of 2", lambda d: (d.normal(5), 2.0)),
        Look("very large numbers", lambda d: (torch.tensor([30.0, 100.0, 400.0, 1e4]) + d.normal(4), 0.1), draws=1),
        Look("very negative numbers", lambda d: (-torch.tensor([30.0, 100.0, 400.0, 1e4]) + d.normal(4), 0.1), draws=1),
    ),
    mistakes=(
        Mistake(
            "no_floor",
            lambda raw, floor: F.softplus(raw),
            "The floor is missing: far below 0 softplus comes as close to 0 as it likes.",
        ),
        Mistake(
            "clamped",
            lambda raw, floor: F.softplus(raw).clamp(min=floor),
            "You cut off at the floor instead of adding it. Below the cut the gradient is exactly 0, so a std that got there could "
            "never grow again.",
        ),
        Mistake(
            "exponential",
            lambda raw, floor: torch.exp(raw) + floor,
            "That is exp, not softplus. A raw output of 5 would mean a std of 148: exp turns small steps into leaps.",
        ),
        Mistake(
            "floor_inside",
            lambda raw, floor: F.softplus(raw + floor),
            "The floor is added inside softplus. There it only shifts raw a little; it must be added to the result.",
        ),
        Mistake(
            "relu",
            lambda raw, floor: F.relu(raw) + floor,
            "That is relu, not softplus: for every negative raw its gradient is 0, and the std is stuck at the floor.",
        ),
    ),
    hints=(
        "A smooth function that turns every number into a positive one: log(1 + e^x). torch has it under the name softplus.",
        "The result must lie above `floor` everywhere and still have a gradient: add, do not cut.",
        "F.softplus(raw) plus the floor.",
    ),
)

# --- 4.4 coverage -----------------------------------------------------------------------------------

ROWS = [(0.0, 1.0, 0.5), (0.0, 2.0, -1.1), (5.0, 0.5, 5.8), (-1.0, 0.2, -1.1), (2.0, 3.0, -5.0), (1.0, 1.5, 1.2), (0.0, 0.4, -0.9)]
WIDTHS = [0.3, 1.0, 2.0]


def observe_coverage(f) -> Observations:
    """Seven rewards, each with its own mean and std."""
    return {"the shares": f(*torch.tensor(ROWS).unbind(1), torch.tensor(WIDTHS))}


def expected_coverage() -> Observations:
    """Counted one by one."""
    counts = [sum(mean - width * std <= reward <= mean + width * std for mean, std, reward in ROWS) for width in WIDTHS]
    return {"the shares": torch.tensor([count / len(ROWS) for count in counts])}


COVERAGE = Exercise(
    id="4.4",
    title="Does the interval keep its promise?",
    minutes=8,
    difficulty=2,
    importance=2,
    reference=calibration.coverage,
    target=None,
    observe=observe_coverage,
    expected=expected_coverage,
    gradients=False,
    looks=(
        Look(
            "40 rewards and 5 widths",
            lambda d: (d.normal(40), d.uniform(0.3, 3, 40), d.normal(40), torch.tensor([0.3, 0.9, 1.4, 2.0, 3.5])),
        ),
        Look("a single width", lambda d: (d.normal(25), d.uniform(0.3, 3, 25), d.normal(25), torch.tensor([1.0]))),
        Look("a single reward", lambda d: (d.normal(1), d.uniform(0.3, 3, 1), d.normal(1), torch.tensor([0.1, 0.7, 4.0]))),
        Look("widths in no order", lambda d: (d.normal(30), d.uniform(0.3, 3, 30), d.normal(30), torch.tensor([2.0, 0.5, 3.0, 1.0]))),
        Look(
            "rewards exactly on the border",
            lambda d: (torch.zeros(4), torch.ones(4), torch.tensor([1.0, -1.0, 2.0, 0.5]), torch.tensor([1.0, 2.0])),
        ),
        Look("as many widths as rewards", lambda d: (d.normal(6), d.uniform(0.3, 3, 6), d.normal(6), d.uniform(0.2, 2, 6))),
    ),
    mistakes=(
        Mistake(
            "one_sided",
            lambda mean, std, reward, widths: (reward <= mean + widths[:, None] * std).float().mean(1),
            "Only the upper end is checked: a reward far *below* the mean counts as inside. Take the absolute value of the miss.",
        ),
        Mistake(
            "half_as_wide",
            lambda mean, std, reward, widths: ((reward - mean).abs() <= widths[:, None] * std / 2).float().mean(1),
            "Your interval is half as wide: it reaches `width` standard deviations to *each* side of the mean.",
        ),
        Mistake(
            "variance",
            lambda mean, std, reward, widths: ((reward - mean).abs() <= widths[:, None] * std.square()).float().mean(1),
            "You measure the miss in variances. The interval is a number of standard deviations.",
        ),
        Mistake(
            "one_std_for_all",
            lambda mean, std, reward, widths: ((reward - mean).abs() <= widths[:, None] * std.mean()).float().mean(1),
            "You use one std for all rows. Each reward is held against the std that was predicted for *it*.",
        ),
        Mistake(
            "no_std",
            lambda mean, std, reward, widths: ((reward - mean).abs() <= widths[:, None]).float().mean(1),
            "The std is not used: a width of 1 means one *standard deviation* to either side, not a reward of 1.",
        ),
        Mistake(
            "outside",
            lambda mean, std, reward, widths: ((reward - mean).abs() > widths[:, None] * std).float().mean(1),
            "That is the share *outside* the interval.",
        ),
        Mistake(
            "counts",
            lambda mean, std, reward, widths: ((reward - mean).abs() <= widths[:, None] * std).float().sum(1),
            "You count the rewards inside. A share is that count divided by their number.",
        ),
    ),
    hints=(
        "How many of its own standard deviations is each reward away from its mean, whichever side?",
        "`widths[:, None]` is (W, 1): compared with a tensor (N,), it gives a table (W, N) of true and false.",
        "((reward - mean) / std).abs() <= widths[:, None], as floats, averaged over axis 1.",
    ),
)

# --- 4.5 the masked loss ------------------------------------------------------------------------------


def nll_table() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two windows of four rows: one begins with an episode, in the other a new episode begins on row 2."""
    mean = torch.tensor([[0.5, 1.0, 0.0, -1.0], [2.0, 0.0, 0.7, 1.0]], requires_grad=True)
    std = torch.tensor([[1.0, 0.5, 2.0, 1.0], [1.0, 1.5, 1.0, 0.8]])
    reward = torch.tensor([[0.2, 2.0, 0.5, -1.0], [1.0, 0.3, -0.4, 3.0]])
    first = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    return mean, std, reward, first


def observe_reward_loss(f) -> Observations:
    """The loss, what reaches each row's mean, and the loss of a batch without any first row."""
    mean, std, reward, first = nll_table()
    loss = f(mean, std, reward, first)
    return {
        "the loss": loss.detach(),
        "the gradient in mean": gradient(loss, mean),
        "the loss where no episode starts": f(mean.detach(), std, reward, torch.zeros_like(first)),
    }


def expected_reward_loss() -> Observations:
    """Row by row in plain Python, with the log density found by brute force."""
    parts = [part.detach().double().flatten().tolist() for part in nll_table()]
    rows = [(-log_density(mean, std, reward), (mean - reward) / std**2, first) for mean, std, reward, first in zip(*parts)]
    return {
        "the loss": torch.tensor(sum(nll for nll, _, first in rows if not first) / len(rows)),
        "the gradient in mean": torch.tensor([0.0 if first else slope / len(rows) for _, slope, first in rows]).view(2, 4),
        "the loss where no episode starts": torch.tensor(sum(nll for nll, _, _ in rows) / len(rows)),
    }


def kept_rows_mean(mean: Tensor, std: Tensor, reward: Tensor, first: Tensor) -> Tensor:
    """The mean over the rows that count."""
    keep = 1 - first
    return (keep * nets.gaussian_nll(mean, std, reward)).sum() / keep.sum()


def flagged(d: Draw, row: int) -> tuple:
    """Arguments in which every window has a first row in this place."""
    first = torch.zeros(3, 5)
    first[:, row] = 1.0
    return d.normal(3, 5), d.uniform(0.3, 3, 3, 5), d.data(d.normal(3, 5)), d.data(first)


REWARD_LOSS = Exercise(
    id="4.5",
    title="The reward loss of a window",
    minutes=6,
    difficulty=2,
    importance=3,
    reference=world_model.reward_loss,
    target="dreamer_core.world_model:reward_loss",
    observe=observe_reward_loss,
    expected=expected_reward_loss,
    looks=(
        Look("4 windows of 5 rows", lambda d: (d.normal(4, 5), d.uniform(0.3, 3, 4, 5), d.data(d.normal(4, 5)), d.data(d.mask(4, 5)))),
        Look("7 windows of 3 rows", lambda d: (d.normal(7, 3), d.uniform(0.3, 3, 7, 3), d.data(d.normal(7, 3)), d.data(d.mask(7, 3)))),
        Look("a single row", lambda d: (d.normal(1, 1), d.uniform(0.3, 3, 1, 1), d.data(d.normal(1, 1)), d.data(torch.zeros(1, 1)))),
        Look(
            "2 windows of 21 rows",
            lambda d: (d.normal(2, 21), d.uniform(0.3, 3, 2, 21), d.data(d.normal(2, 21)), d.data(d.mask(2, 21))),
            draws=1,
        ),
        Look("no first row", lambda d: (d.normal(3, 4), d.uniform(0.3, 3, 3, 4), d.data(d.normal(3, 4)), d.data(torch.zeros(3, 4)))),
        Look(
            "nothing but first rows", lambda d: (d.normal(3, 4), d.uniform(0.3, 3, 3, 4), d.data(d.normal(3, 4)), d.data(torch.ones(3, 4)))
        ),
        Look(
            "a model that is sure and right",
            lambda d: (d.data(torch.zeros(3, 4)), d.uniform(0.01, 0.05, 3, 4), d.data(torch.zeros(3, 4)), d.data(d.mask(3, 4))),
        ),
        Look("a first row at each window's start", lambda d: flagged(d, 0)),
        Look("a first row at each window's end", lambda d: flagged(d, -1)),
        Look("large misses", lambda d: (20 * d.normal(2, 6), d.uniform(0.3, 3, 2, 6), d.data(d.normal(2, 6)), d.data(d.mask(2, 6)))),
    ),
    mistakes=(
        Mistake(
            "mask_ignored",
            lambda mean, std, reward, first: nets.gaussian_nll(mean, std, reward).mean(),
            "First rows count too. Whatever is stored there is no reward: none arrives with a reset, and the head would learn it as one.",
        ),
        Mistake(
            "mean_over_kept_rows",
            kept_rows_mean,
            "You divide by the number of rows that are left. That is a sound loss as well, but not v1's: v1 divides by *all* rows, so "
            "that a row weighs the same in every batch, however many episodes start in it.",
        ),
        Mistake(
            "mask_turned_round",
            lambda mean, std, reward, first: (first * nets.gaussian_nll(mean, std, reward)).mean(),
            "The mask is turned round: `first` is 1 exactly where nothing should be learned.",
        ),
        Mistake(
            "target_masked",
            lambda mean, std, reward, first: nets.gaussian_nll(mean, std, (1 - first) * reward).mean(),
            "You set the *reward* of first rows to 0 and then train on it. The row's loss must be 0, not its target.",
        ),
        Mistake(
            "inputs_masked",
            lambda mean, std, reward, first: nets.gaussian_nll((1 - first) * mean, std, (1 - first) * reward).mean(),
            "You set mean *and* reward of first rows to 0. Their miss is 0 then, but log std and the constant are charged all the same: "
            "mask the loss, not what goes into it.",
        ),
        Mistake(
            "sign",
            lambda mean, std, reward, first: -((1 - first) * nets.gaussian_nll(mean, std, reward)).mean(),
            "One minus too many: `gaussian_nll` is *minus* the log already. It is the whole bracket.",
        ),
        Mistake(
            "sum",
            lambda mean, std, reward, first: ((1 - first) * nets.gaussian_nll(mean, std, reward)).sum(),
            "You add the rows up. v1 takes the mean over all rows, so that the loss does not grow with the batch.",
        ),
        Mistake(
            "everything_after_row_0",
            lambda mean, std, reward, first: nets.gaussian_nll(mean, std, reward)[:, 1:].mean(),
            "You leave out row 0 of each *window*. A window may begin in mid-episode, and an episode may begin in mid-window: ask `first`.",
        ),
    ),
    hints=(
        "First `nets.gaussian_nll`, one number for every row. Then make 0 of those where `first` is 1.",
        "`1 - first` is 1 where a row counts. Multiply with it, and take the mean of the whole table.",
        "((1 - first) * nets.gaussian_nll(...)).mean()",
    ),
)

# --- 4.6 the negative log-likelihood of a coin ----------------------------------------------------------

LOGIT, GOES_ON = [[0.0, 2.0, -1.5], [2.0, 100.0, -100.0], [4.0, 100.0, -100.0]], [[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.997, 0.0, 1.0]]


def observe_bernoulli(f) -> Observations:
    """Nine rows from doubt to certainty, some of them certainly wrong, one with a target between 0 and 1."""
    sure = f(torch.tensor([20.0]), torch.zeros(1))  # by itself: by way of a probability this is infinite, by way of e^20 it is not
    logit = torch.tensor(LOGIT, requires_grad=True)
    nll = f(logit, torch.tensor(GOES_ON))
    return {
        "the value for a logit of 20 and a target of 0": sure,
        "the value": nll.detach(),
        "the gradient in logit": gradient(nll.sum(), logit),
    }


def expected_bernoulli() -> Observations:
    """-log of both probabilities in plain Python, weighted by the target; the slope is probability minus target."""

    def surprise(logit: float) -> float:  # -log p with p = 1 / (1 + e^-logit)
        return math.log(1 + math.exp(-logit))

    pairs = [list(zip(*row)) for row in zip(LOGIT, GOES_ON)]
    return {
        "the value for a logit of 20 and a target of 0": torch.tensor([surprise(-20.0)]),
        "the value": torch.tensor([[c * surprise(logit) + (1 - c) * surprise(-logit) for logit, c in row] for row in pairs]),
        "the gradient in logit": torch.tensor([[1 / (1 + math.exp(-logit)) - c for logit, c in row] for row in pairs]),
    }


def by_probability(logit: Tensor, target: Tensor, small: float = 0.0) -> Tensor:
    """The textbook formula, by way of the probability."""
    p = torch.sigmoid(logit)
    return -(target * torch.log(p + small) + (1 - target) * torch.log(1 - p + small))


BERNOULLI = Exercise(
    id="4.6",
    title="The price of a surprise (a coin)",
    minutes=8,
    difficulty=2,
    importance=3,
    reference=nets.bernoulli_nll,
    target="dreamer_core.nets:bernoulli_nll",
    observe=observe_bernoulli,
    expected=expected_bernoulli,
    looks=(
        Look("4 x 5 coins", lambda d: (2 * d.normal(4, 5), d.data(d.mask(4, 5)))),
        Look("a single coin", lambda d: (d.normal(1), d.data(d.mask(1, share=0.5)))),
        Look("targets between 0 and 1", lambda d: (d.normal(3, 4), d.data(d.uniform(0, 1, 3, 4)))),
        Look(
            "very large logits", lambda d: (torch.tensor([40.0, 100.0, 300.0, 90.0]), d.data(torch.tensor([1.0, 0.0, 1.0, 0.0]))), draws=1
        ),
        Look(
            "very negative logits",
            lambda d: (-torch.tensor([40.0, 100.0, 300.0, 90.0]), d.data(torch.tensor([1.0, 0.0, 1.0, 0.0]))),
            draws=1,
        ),
        Look("nothing but ones", lambda d: (d.normal(6), d.data(torch.ones(6)))),
        Look("nothing but zeros", lambda d: (d.normal(6), d.data(torch.zeros(6)))),
    ),
    mistakes=(
        Mistake(
            "sigmoid_twice",
            lambda logit, target: nets.bernoulli_nll(torch.sigmoid(logit), target),
            "The logit went through a sigmoid twice: once by you and once by the function you called. Then no probability can leave "
            "the range from 0.5 to 0.73.",
        ),
        Mistake(
            "target_flipped",
            lambda logit, target: nets.bernoulli_nll(logit, 1 - target),
            "Target and its opposite are exchanged: with a target of 1, a large logit must be cheap.",
        ),
        Mistake(
            "unstable",
            by_probability,
            "Right on paper, but at a logit of 20 the sigmoid rounds to exactly 1, and the log of 1 - 1 is -inf. Work with the logit "
            "itself: -log sigmoid(x) = softplus(-x).",
        ),
        Mistake(
            "overflow",
            lambda logit, target: target * torch.log(1 + torch.exp(-logit)) + (1 - target) * torch.log(1 + torch.exp(logit)),
            "Right on paper, but e^100 is too large for 32 bits: it becomes inf, and 0 * inf is NaN. F.softplus(x) is the same "
            "log(1 + e^x), computed in a way that holds.",
        ),
        Mistake(
            "patched",
            lambda logit, target: by_probability(logit, target, 1e-8),
            "A small number inside the logarithm avoids the NaN, but a certain mistake then costs at most some 18 nats, and its "
            "gradient is 0 just where it is needed most. Work with the logit: -log sigmoid(x) = softplus(-x).",
        ),
        Mistake(
            "sign",
            lambda logit, target: -nets.bernoulli_nll(logit, target),
            "The sign is turned round: a loss must be large where the outcome was thought unlikely.",
        ),
        Mistake(
            "only_ones",
            lambda logit, target: target * F.softplus(-logit),
            "Rows with a target of 0 cost nothing. Their share, (1 - target), pays -log(1 - p), with p = sigmoid(logit).",
        ),
        Mistake(
            "target_all_or_nothing",
            lambda logit, target: torch.where(target == 1, F.softplus(-logit), F.softplus(logit)),
            "Every target but 1 is treated as a 0. A target of 0.997 is 0.997 of the one price and 0.003 of the other.",
        ),
    ),
    hints=(
        "The loss above with softplus in place of both logs. The first is softplus(-x). For the second: what is 1 - 1 / (1 + e^-x)?",
        "1 - sigmoid(x) = sigmoid(-x), so -log(1 - sigmoid(x)) = softplus(x). No probability is ever formed.",
        "target * F.softplus(-logit) + (1 - target) * ...",
    ),
)

EXERCISES = [PAIRS, GAUSSIAN, POSITIVE, COVERAGE, REWARD_LOSS, BERNOULLI]

"""The exercises of notebook 12: the paper's critic, its range of returns, its policy, and what replayed rewards teach."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations, gradient
from dreamer_core.paper import actor_critic, return_range
from dreamer_core.paper.twohot import symexp_bins, twohot_loss, twohot_mean

WITH = 'the preset "dreamerv3"'

# --- 12.1 one critic, two targets ----------------------------------------------------------------

BINS = (-2.0, -1.0, 0.0, 1.0, 2.0)
SHARES = (1 / 16, 1 / 8, 1 / 16, 1 / 4, 1 / 2)  # what the critic believes of them


def observe_value_loss(f) -> Observations:
    logits = torch.tensor(SHARES).log().repeat(2, 1).requires_grad_()
    returns, slow = torch.tensor([0.5, 2.0], requires_grad=True), torch.tensor([-1.25, 0.5], requires_grad=True)
    weight = torch.tensor([1.0, 0.5], requires_grad=True)
    found = f(logits, returns, slow, weight, torch.tensor(BINS), 1.0)
    pulled = gradient(found.sum(), logits, returns, slow, weight)
    return {
        "the loss of two states": found.detach(),
        "the loss where the slow critic counts a half": f(logits, returns, slow, weight, torch.tensor(BINS), 0.5).detach(),
        "the gradient that reaches the logits": pulled[0],
        "the gradient that reaches the returns": pulled[1],
        "the gradient that reaches the slow critic's mean": pulled[2],
        "the gradient that reaches the weight": pulled[3],
    }


def expected_value_loss() -> Observations:
    log_2 = math.log(2)
    towards = {0.5: (0, 0, 0.5, 0.5, 0), 2.0: (0, 0, 0, 0, 1), -1.25: (0.25, 0.75, 0, 0, 0)}
    pull = torch.tensor(
        [
            [2 * p - a - b for p, a, b in zip(SHARES, towards[0.5], towards[-1.25])],
            [0.5 * (2 * p - a - b) for p, a, b in zip(SHARES, towards[2.0], towards[0.5])],
        ]
    )
    return {
        # 0.5: half of ln 16 and half of ln 4. -1.25: a quarter of ln 16 and three of ln 8. 2: ln 2.
        "the loss of two states": torch.tensor([(3 + 3.25) * log_2, 0.5 * (1 + 3) * log_2]),
        "the loss where the slow critic counts a half": torch.tensor([(3 + 3.25 / 2) * log_2, 0.5 * (1 + 3 / 2) * log_2]),
        "the gradient that reaches the logits": pull,
        "the gradient that reaches the returns": torch.zeros(2),
        "the gradient that reaches the slow critic's mean": torch.zeros(2),
        "the gradient that reaches the weight": torch.zeros(2),
    }


def value_inputs(d: Draw, *rows: int, scale: float = 0.7, spread: float = 2.0, weight: Tensor | None = None) -> tuple:
    """Logits over 11 bins, both targets, weights, the bins, and the slow critic's scale."""
    bins = d.data(symexp_bins(11) / 1e8 + torch.linspace(-5, 5, 11))  # -9.9 to 9.9, unevenly
    weight = d.uniform(0, 1, *rows) if weight is None else weight
    return d.normal(*rows, 11), d.normal(*rows, std=spread), d.normal(*rows, std=spread), weight, bins, scale


VALUE_LOSS = Exercise(
    id="12.1",
    title="One critic, two targets",
    minutes=10,
    difficulty=2,
    importance=3,
    reference=actor_critic.value_loss,
    target="dreamer_core.paper.actor_critic:value_loss",
    runs_with=WITH,
    observe=observe_value_loss,
    expected=expected_value_loss,
    looks=(
        Look("3 dreams of 5 steps", lambda d: value_inputs(d, 3, 5)),
        Look("7 dreams of 4 steps", lambda d: value_inputs(d, 7, 4)),
        Look("a single state", lambda d: value_inputs(d, 1)),
        Look("states in three axes", lambda d: value_inputs(d, 2, 3, 4)),
        Look("steps that do not count", lambda d: value_inputs(d, 4, 6, weight=d.mask(4, 6))),
        Look("a slow critic that counts nothing", lambda d: value_inputs(d, 3, 4, scale=0.0)),
        Look("a slow critic that counts twice", lambda d: value_inputs(d, 3, 4, scale=2.0)),
        Look("targets beyond the last bins", lambda d: value_inputs(d, 5, 4, spread=20.0)),
    ),
    mistakes=(
        Mistake(
            "slow_left_out",
            lambda logits, returns, slow, weight, bins, scale: weight.detach() * twohot_loss(logits, returns.detach(), bins),
            "The slow critic plays no part yet: the loss has two terms, one towards the return and one towards the slow critic's mean.",
        ),
        Mistake(
            "one_target_in_between",
            lambda logits, returns, slow, weight, bins, scale: (
                weight.detach() * (1 + scale) * twohot_loss(logits, ((returns + scale * slow) / (1 + scale)).detach(), bins)
            ),
            "The two targets were averaged first. Then the critic learns one number between both, in bins that neither of them named: "
            "take a cross-entropy to each, and add these.",
        ),
        Mistake(
            "squared_error",
            lambda logits, returns, slow, weight, bins, scale: (
                weight.detach()
                * ((twohot_mean(logits, bins) - returns.detach()).square() + scale * (twohot_mean(logits, bins) - slow.detach()).square())
            ),
            "That is a squared error of the mean, as for a critic that is one number. This one is a distribution over bins: its loss is "
            "`twohot_loss`, the cross-entropy to the two bins around the target.",
        ),
        Mistake(
            "slow_scale_on_the_returns",
            lambda logits, returns, slow, weight, bins, scale: (
                weight.detach() * (scale * twohot_loss(logits, returns.detach(), bins) + twohot_loss(logits, slow.detach(), bins))
            ),
            "slow_scale multiplies the wrong term: it says how much the slow critic counts, beside a return that counts 1.",
        ),
        Mistake(
            "weight_on_one_term",
            lambda logits, returns, slow, weight, bins, scale: (
                weight.detach() * twohot_loss(logits, returns.detach(), bins) + scale * twohot_loss(logits, slow.detach(), bins)
            ),
            "The weight reaches the first term alone. A step that the dream hardly reaches counts little altogether: it multiplies the "
            "sum.",
        ),
        Mistake(
            "no_weight",
            lambda logits, returns, slow, weight, bins, scale: (
                twohot_loss(logits, returns.detach(), bins) + scale * twohot_loss(logits, slow.detach(), bins)
            ),
            "The weight plays no part yet: steps after a dream's likely end should count little.",
        ),
        Mistake(
            "targets_not_stopped",
            lambda logits, returns, slow, weight, bins, scale: (
                weight * (twohot_loss(logits, returns, bins) + scale * twohot_loss(logits, slow, bins))
            ),
            "The numbers are right, but a gradient leaves through the targets or the weight: the critic could make its loss small by "
            "moving "
            "what it is measured against. Detach returns, slow_mean and weight.",
        ),
        Mistake(
            "averaged",
            lambda logits, returns, slow, weight, bins, scale: actor_critic.value_loss(logits, returns, slow, weight, bins, scale).mean(),
            "All states became one number. The loss is asked for elementwise, one number for each state: who calls it takes the mean.",
        ),
    ),
    hints=(
        "`twohot_loss(logits, target, bins)` is the cross-entropy to one target. How many targets are there, and who weighs what?",
        "Add the loss to the returns and slow_scale times the loss to slow_mean; multiply the sum by the weight. Three tensors are only "
        "data.",
        "both = twohot_loss(logits, returns.detach(), bins) + slow_scale * twohot_loss(logits, slow_mean.detach(), bins); "
        "return weight.detach() * both",
    ),
)


# --- 12.2 running percentiles --------------------------------------------------------------------


def observe_moved(f) -> Observations:
    hundred = torch.arange(101.0).flip(0)  # its percentiles are 5 and 95
    ends, shares = torch.tensor([0.0, 10.0]), torch.tensor([0.05, 0.95])
    few, quarters = torch.tensor([[4.0, -8.0], [0.0, 1.0]]), torch.tensor([0.25, 0.5])
    return {
        "the percentiles after one small step": f(ends.clone(), hundred, shares.clone(), 0.01),
        "the percentiles after a step of a half": f(ends.clone(), hundred.clone(), shares.clone(), 0.5),
        "a quarter and the half of four returns": f(torch.zeros(2), few, quarters, 1.0),
        "the percentiles where nothing moves": f(torch.tensor([-3.0, 7.0]), few.clone(), shares.clone(), 0.0),
    }


def expected_moved() -> Observations:
    return {
        "the percentiles after one small step": torch.tensor([0.05, 10.85]),  # 0.01 * 5; 0.99 * 10 + 0.01 * 95
        "the percentiles after a step of a half": torch.tensor([2.5, 52.5]),
        "a quarter and the half of four returns": torch.tensor([-2.0, 0.5]),  # of -8, 0, 1, 4: a quarter below 0; between 0 and 1
        "the percentiles where nothing moves": torch.tensor([-3.0, 7.0]),
    }


def step_towards(new, percentiles, rate):
    """The running average, for the mistakes."""
    return (1 - rate) * percentiles + rate * new


def percentile_inputs(d: Draw, *rows: int, rate: float | None = None, spread: float = 1.0, shares: tuple[float, float] = (0.1, 0.8)):
    return d.normal(2), d.normal(*rows, std=spread), torch.tensor(shares), d.number(0.1, 0.4) if rate is None else rate


MOVED = Exercise(
    id="12.2",
    title="Percentiles that follow slowly",
    minutes=6,
    difficulty=1,
    importance=2,
    reference=return_range.moved,
    target="dreamer_core.paper.return_range:moved",
    runs_with=WITH,
    observe=observe_moved,
    expected=expected_moved,
    gradients=False,
    looks=(
        Look("3 dreams of 5 steps", lambda d: percentile_inputs(d, 3, 5)),
        Look("7 dreams of 4 steps", lambda d: percentile_inputs(d, 7, 4)),
        Look("returns without rows", lambda d: percentile_inputs(d, 9)),
        Look("a single return", lambda d: percentile_inputs(d, 1, 1)),
        Look("the paper's percentiles", lambda d: percentile_inputs(d, 16, 15, shares=(0.05, 0.95))),
        Look("large returns", lambda d: percentile_inputs(d, 6, 5, spread=1000.0)),
        Look("rate = 0", lambda d: percentile_inputs(d, 4, 5, rate=0.0)),
        Look("rate = 1", lambda d: percentile_inputs(d, 4, 5, rate=1.0)),
    ),
    mistakes=(
        Mistake(
            "rate_swapped",
            lambda percentiles, returns, shares, rate: step_towards(torch.quantile(returns.flatten(), shares), percentiles, 1 - rate),
            "rate and 1 - rate are swapped: at rate 0.01 a hundredth of the new percentiles comes in, and 0.99 of the old ones stay.",
        ),
        Mistake(
            "no_memory",
            lambda percentiles, returns, shares, rate: torch.quantile(returns.flatten(), shares),
            "These are the percentiles of the newest returns alone. They should only be moved towards: a share `rate` of the way.",
        ),
        Mistake(
            "least_and_largest",
            lambda percentiles, returns, shares, rate: step_towards(torch.stack([returns.amin(), returns.amax()]), percentiles, rate),
            "The least and the largest return were taken. A single lucky dream would set the range: take the percentiles that `shares` "
            "names.",
        ),
        Mistake(
            "mean_and_spread",
            lambda percentiles, returns, shares, rate: step_towards(
                torch.stack([returns.mean() - returns.std(correction=0), returns.mean() + returns.std(correction=0)]), percentiles, rate
            ),
            "The mean minus and plus a standard deviation was taken. Percentiles are asked for: `torch.quantile` of all returns, at "
            "`shares`.",
        ),
        Mistake(
            "of_the_sizes",
            lambda percentiles, returns, shares, rate: step_towards(torch.quantile(returns.flatten().abs(), shares), percentiles, rate),
            "The percentiles are those of |R|. Signs count: returns from -3 to 5 have a range of 8.",
        ),
        Mistake(
            "nearest_return",
            lambda percentiles, returns, shares, rate: step_towards(
                torch.quantile(returns.flatten(), shares, interpolation="nearest"), percentiles, rate
            ),
            "A percentile between two returns was rounded to the nearer one. `torch.quantile` as it comes draws a straight line between "
            "both.",
        ),
        Mistake(
            "mean_of_the_dreams",
            lambda percentiles, returns, shares, rate: step_towards(
                torch.quantile(returns.reshape(len(returns), -1), shares, dim=-1).mean(1), percentiles, rate
            ),
            "The percentiles were taken in each row, and these averaged. All returns count as one set: flatten them first.",
        ),
    ),
    hints=(
        "Two parts: the percentiles of these returns, and a running average of them.",
        "`torch.quantile(returns.flatten(), shares)` gives both at once, (2,). Then move a share `rate` of the way towards them.",
        "new = torch.quantile(returns.flatten(), shares); return (1 - rate) * percentiles + rate * new",
    ),
)


# --- 12.3 the range, and its floor ---------------------------------------------------------------


def observe_spread(f) -> Observations:
    return {
        "the range from -3 to 5": f(torch.tensor([-3.0, 5.0]), 1.0),
        "the range from 10 to 10.25": f(torch.tensor([10.0, 10.25]), 1.0),
        "the range from 10 to 10.25 with a floor of 0.01": f(torch.tensor([10.0, 10.25]), 0.01),
        "the range from 0 to 0": f(torch.zeros(2), 1.0),
        "the range from -7 to -2": f(torch.tensor([-7.0, -2.0]), 3.0),
    }


def expected_spread() -> Observations:
    return {
        "the range from -3 to 5": torch.tensor(8.0),
        "the range from 10 to 10.25": torch.tensor(1.0),
        "the range from 10 to 10.25 with a floor of 0.01": torch.tensor(0.25),
        "the range from 0 to 0": torch.tensor(1.0),
        "the range from -7 to -2": torch.tensor(5.0),
    }


def ends(d: Draw, low: float, width: float) -> Tensor:
    """Two percentiles, some `width` apart."""
    start = d.number(low, low + 1)
    return torch.tensor([start, start + width * d.number(0.8, 1.2)])


SPREAD = Exercise(
    id="12.3",
    title="A range with a floor",
    minutes=3,
    difficulty=1,
    importance=3,
    reference=return_range.spread,
    target="dreamer_core.paper.return_range:spread",
    runs_with=WITH,
    observe=observe_spread,
    expected=expected_spread,
    gradients=False,
    looks=(
        Look("a wide range", lambda d: (ends(d, -3, 5.0), 1.0)),
        Look("a range below the floor", lambda d: (ends(d, -3, 0.2), 1.0)),
        Look("two negative percentiles", lambda d: (ends(d, -9, 4.0), 2.0)),
        Look("a tiny floor", lambda d: (ends(d, 4, 0.1), 1e-3)),
        Look("a large floor", lambda d: (ends(d, -50, 90.0), 200.0)),
    ),
    mistakes=(
        Mistake(
            "no_floor",
            lambda percentiles, floor: percentiles[1] - percentiles[0],
            "There is no floor yet: where all returns are nearly alike, dividing by their range would blow their noise up.",
        ),
        Mistake(
            "floor_added",
            lambda percentiles, floor: percentiles[1] - percentiles[0] + floor,
            "The floor is added. It is a bound: the larger of floor and range.",
        ),
        Mistake(
            "ceiling",
            lambda percentiles, floor: (percentiles[1] - percentiles[0]).clamp(max=floor),
            "The smaller of floor and range comes out, so that large returns are hardly divided at all. Take the larger one.",
        ),
        Mistake(
            "low_minus_high",
            lambda percentiles, floor: (percentiles[0] - percentiles[1]).clamp(min=floor),
            "The ends are the wrong way round: high - low. As it is, the floor always wins.",
        ),
        Mistake(
            "largest_size",
            lambda percentiles, floor: percentiles.abs().amax().clamp(min=floor),
            "The largest size came out. Returns between 100 and 101 are large, and yet differ by no more than 1: the range is high - low.",
        ),
        Mistake(
            "floor_on_each",
            lambda percentiles, floor: percentiles[1].clamp(min=floor) - percentiles[0].clamp(min=floor),
            "Each percentile was bounded by itself. Subtract first, then take the larger of floor and range.",
        ),
    ),
    hints=(
        "What should divide an advantage if all returns lie between 10 and 10.25?",
        "low, high = percentiles; and `.clamp(min=floor)` keeps a tensor above a number.",
        "low, high = percentiles; return (high - low).clamp(min=floor)",
    ),
)


# --- 12.4 a bounded Normal -----------------------------------------------------------------------

RAW = (-50.0, -2.0, 0.0, 1.0, 50.0)


def observe_bounded_normal(f) -> Observations:
    mean, std = f(torch.tensor(RAW), torch.tensor(RAW))
    other, narrow = f(torch.tensor([0.5, -0.25]), torch.tensor([-1.0, 3.0]), 0.2, 0.6)
    return {
        "the means": mean,
        "the standard deviations": std,
        "the means with other bounds": other,
        "the standard deviations between 0.2 and 0.6": narrow,
    }


def expected_bounded_normal() -> Observations:
    def std(raw: float, low: float, high: float) -> float:
        return low + (high - low) / (1 + math.exp(-raw - 2))

    return {
        "the means": torch.tensor([math.tanh(raw) for raw in RAW]),
        "the standard deviations": torch.tensor([std(raw, 0.1, 1.0) for raw in RAW]),
        "the means with other bounds": torch.tensor([math.tanh(0.5), math.tanh(-0.25)]),
        "the standard deviations between 0.2 and 0.6": torch.tensor([std(-1.0, 0.2, 0.6), std(3.0, 0.2, 0.6)]),
    }


BOUNDED_NORMAL = Exercise(
    id="12.4",
    title="A bounded Normal",
    minutes=6,
    difficulty=1,
    importance=3,
    reference=actor_critic.bounded_normal,
    target="dreamer_core.paper.actor_critic:bounded_normal",
    runs_with=WITH,
    observe=observe_bounded_normal,
    expected=expected_bounded_normal,
    looks=(
        Look("5 states and actions of 2 numbers", lambda d: (d.normal(5, 2), d.normal(5, 2))),
        Look("3 dreams of 4 steps", lambda d: (d.normal(3, 4, 2), d.normal(3, 4, 2, mean=-2.0))),
        Look("a single number", lambda d: (d.normal(1), d.normal(1))),
        Look("bounds of its own", lambda d: (d.normal(4, 3), d.normal(4, 3), 0.3, 0.7)),
        Look("a lower bound of 0", lambda d: (d.normal(4, 3), d.normal(4, 3), 0.0, 2.0)),
        Look("large raw numbers", lambda d: (d.normal(6, 2, std=5.0), d.normal(6, 2, std=5.0))),
    ),
    mistakes=(
        Mistake(
            "starts_half_way",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (torch.tanh(mean_raw), low + (high - low) * torch.sigmoid(std_raw)),
            "The 2 is missing: a raw 0 should give a spread near the upper bound, so that a new policy explores. Take sigmoid(std_raw + "
            "2).",
        ),
        Mistake(
            "mean_unbounded",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (mean_raw, low + (high - low) * torch.sigmoid(std_raw + 2)),
            "The mean is not bounded: an action lies in [-1, 1], and so does tanh(mean_raw).",
        ),
        Mistake(
            "over_the_top",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (torch.tanh(mean_raw), low + high * torch.sigmoid(std_raw + 2)),
            "The spread reaches low + high. Between low and high there is room for high - low.",
        ),
        Mistake(
            "no_lower_bound",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (torch.tanh(mean_raw), high * torch.sigmoid(std_raw + 2)),
            "The spread can fall to 0: `low` holds nothing. It starts at low, and adds up to high - low.",
        ),
        Mistake(
            "exponential",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (torch.tanh(mean_raw), torch.exp(std_raw).clamp(low, high)),
            "The spread is an exponential that was cut off, as if std_raw were a log standard deviation. At the bounds such a spread has "
            "no "
            "gradient; a sigmoid between them has one everywhere.",
        ),
        Mistake(
            "sigmoid_of_the_mean",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (torch.sigmoid(mean_raw), low + (high - low) * torch.sigmoid(std_raw + 2)),
            "The mean lies between 0 and 1: half of all actions are out of reach. tanh reaches from -1 to 1.",
        ),
        Mistake(
            "parts_swapped",
            lambda mean_raw, std_raw, low=0.1, high=1.0: (low + (high - low) * torch.sigmoid(std_raw + 2), torch.tanh(mean_raw)),
            "The two parts are right and stand in the wrong order: mean first, then standard deviation.",
        ),
    ),
    hints=(
        "Which function maps any number into (-1, 1)? Which one into (0, 1), to be stretched to (low, high)?",
        "tanh for the mean; for the spread low + (high - low) * sigmoid(...). Mind the 2 inside.",
        "return torch.tanh(mean_raw), low + (high - low) * torch.sigmoid(std_raw + 2)",
    ),
)


# --- 12.5 the log-probability of what was drawn ----------------------------------------------------


def observe_normal_log_prob(f) -> Observations:
    zero, one = torch.zeros(1), torch.ones(1)
    grid = torch.linspace(-9, 9, 3601).unsqueeze(-1)
    density = f(torch.full_like(grid, 0.9), torch.full_like(grid, 0.7), grid).exp()
    mean, std, action = torch.tensor([[0.5, -0.5]]), torch.tensor([[0.5, 0.1]]), torch.tensor([[1.5, -0.4]])
    return {
        "the log-probability at the mean of a standard Normal": f(zero, one, zero.clone()),
        "the log-probability of an action of two numbers": f(mean, std, action),
        "the area under the density": torch.trapezoid(density, grid[:, 0]).reshape(()),
    }


def expected_normal_log_prob() -> Observations:
    constant = 0.5 * math.log(2 * math.pi)
    two = -0.5 * 4 - math.log(0.5) - 0.5 * 1 - math.log(0.1) - 2 * constant  # two and one standard deviations away
    return {
        "the log-probability at the mean of a standard Normal": torch.tensor(-constant),
        "the log-probability of an action of two numbers": torch.tensor([two]),
        "the area under the density": torch.tensor(1.0),
    }


def log_normal(mean, std, action):
    """log N entry by entry, for the mistakes."""
    return -0.5 * ((action - mean) / std).square() - torch.log(std) - 0.5 * math.log(2 * math.pi)


def policy_inputs(d: Draw, *rows: int, spread: float = 1.0, std: float = 0.1) -> tuple:
    return d.uniform(-0.9, 0.9, *rows), d.uniform(std, 1, *rows), d.normal(*rows, std=spread)


NORMAL_LOG_PROB = Exercise(
    id="12.5",
    title="How likely was what was drawn?",
    minutes=6,
    difficulty=1,
    importance=3,
    reference=actor_critic.normal_log_prob,
    target="dreamer_core.paper.actor_critic:normal_log_prob",
    runs_with=WITH,
    observe=observe_normal_log_prob,
    expected=expected_normal_log_prob,
    looks=(
        Look("5 states and actions of 2 numbers", lambda d: policy_inputs(d, 5, 2)),
        Look("3 dreams of 4 steps", lambda d: policy_inputs(d, 3, 4, 2)),
        Look("actions of a single number", lambda d: policy_inputs(d, 6, 1)),
        Look("a single state", lambda d: policy_inputs(d, 1, 3)),
        Look("no rows at all", lambda d: policy_inputs(d, 4)),
        Look("actions far outside", lambda d: policy_inputs(d, 4, 3, spread=4.0, std=0.4)),
    ),
    mistakes=(
        Mistake(
            "tanh_correction",
            lambda mean, std, action: (log_normal(mean, std, action) - 2 * (math.log(2) - action - F.softplus(-2 * action))).sum(-1),
            "The correction for a tanh is in it, as in SAC. There is no tanh around this sample: what was drawn is the action itself, "
            "and its "
            "density is that of the Normal.",
        ),
        Mistake(
            "clipped_first",
            lambda mean, std, action: log_normal(mean, std, action.clamp(-1, 1)).sum(-1),
            "The action was clipped before it was looked up. The world clips; the policy drew the number as it is, and that is what "
            "becomes "
            "more or less likely.",
        ),
        Mistake(
            "variance_for_std",
            lambda mean, std, action: (-0.5 * (action - mean).square() / std - 0.5 * torch.log(std) - 0.5 * math.log(2 * math.pi)).sum(-1),
            "std was read as a variance. It is the standard deviation: the miss is counted in units of std and then squared.",
        ),
        Mistake(
            "no_log_std",
            lambda mean, std, action: (-0.5 * ((action - mean) / std).square() - 0.5 * math.log(2 * math.pi)).sum(-1),
            "log(std) is missing. Without it a wide policy seems to make every action likely.",
        ),
        Mistake(
            "constant_once",
            lambda mean, std, action: (-0.5 * ((action - mean) / std).square() - torch.log(std)).sum(-1) - 0.5 * math.log(2 * math.pi),
            "The constant log(2 pi) / 2 counts once for each number of the action, and here once in all: it belongs inside the sum.",
        ),
        Mistake(
            "mean_over_the_action",
            lambda mean, std, action: log_normal(mean, std, action).mean(-1),
            "The numbers of an action were averaged. They are drawn independently, so their log-probabilities add up.",
        ),
        Mistake(
            "not_summed",
            lambda mean, std, action: log_normal(mean, std, action),
            "Each number of the action has its own log-probability. One is asked for the whole action: sum over the last axis.",
        ),
        Mistake(
            "sign",
            lambda mean, std, action: -log_normal(mean, std, action).sum(-1),
            "The sign is turned round: that is the surprise, the negative log-likelihood of exercise 4.2.",
        ),
    ),
    hints=(
        "Exercise 4.2 was the negative of nearly this, for one number.",
        "-(z squared) / 2 - log(std) - log(2 pi) / 2 with z = (action - mean) / std, and the sum over the last axis.",
        "z = (action - mean) / std; return (-0.5 * z**2 - torch.log(std) - 0.5 * math.log(2 * math.pi)).sum(-1)",
    ),
)


# --- 12.6 the policy's loss ----------------------------------------------------------------------


def observe_policy_loss(f) -> Observations:
    log_prob = torch.tensor([[-1.0, 0.5]], requires_grad=True)
    entropy = torch.tensor([[2.0, -1.0]], requires_grad=True)
    returns, value = torch.tensor([[7.0, 1.0]], requires_grad=True), torch.tensor([[3.0, 3.0]], requires_grad=True)
    scale, weight = torch.tensor(4.0, requires_grad=True), torch.tensor([[1.0, 0.5]], requires_grad=True)
    found = f(log_prob, entropy, returns, value, scale, weight, 0.1)
    pulled = gradient(found.sum(), log_prob, entropy, returns, value, scale, weight)
    names = ("log pi", "the entropy", "the returns", "the values", "the range", "the weight")
    return {"the loss of two steps": found.detach()} | {f"the gradient that reaches {name}": part for name, part in zip(names, pulled)}


def expected_policy_loss() -> Observations:
    # Advantages of (7 - 3) / 4 = 1 and (1 - 3) / 4 = -1/2.
    return {
        "the loss of two steps": torch.tensor([[-(-1.0 * 1 + 0.1 * 2), -0.5 * (0.5 * -0.5 + 0.1 * -1)]]),
        "the gradient that reaches log pi": torch.tensor([[-1.0, 0.25]]),
        "the gradient that reaches the entropy": torch.tensor([[-0.1, -0.05]]),
        "the gradient that reaches the returns": torch.zeros(1, 2),
        "the gradient that reaches the values": torch.zeros(1, 2),
        "the gradient that reaches the range": torch.tensor(0.0),
        "the gradient that reaches the weight": torch.zeros(1, 2),
    }


def climb(log_prob, advantage, entropy, weight, entropy_scale):
    """The loss with its free places, for the mistakes."""
    return -weight.detach() * (log_prob * advantage.detach() + entropy_scale * entropy)


def step_inputs(d: Draw, *rows: int, scale: float = 2.5, weight: Tensor | None = None, entropy_scale: float = 0.3) -> tuple:
    weight = d.uniform(0, 1, *rows) if weight is None else weight
    numbers = (d.normal(*rows), d.normal(*rows), d.normal(*rows, std=3.0), d.normal(*rows, std=3.0))
    return *numbers, torch.tensor(scale), weight, entropy_scale


POLICY_LOSS = Exercise(
    id="12.6",
    title="The policy's loss",
    minutes=10,
    difficulty=2,
    importance=3,
    reference=actor_critic.policy_loss,
    target="dreamer_core.paper.actor_critic:policy_loss",
    runs_with=WITH,
    observe=observe_policy_loss,
    expected=expected_policy_loss,
    looks=(
        Look("3 dreams of 5 steps", lambda d: step_inputs(d, 3, 5)),
        Look("7 dreams of 4 steps", lambda d: step_inputs(d, 7, 4)),
        Look("a single dream", lambda d: step_inputs(d, 1, 6)),
        Look("dreams of 1 step", lambda d: step_inputs(d, 5, 1)),
        Look("steps that do not count", lambda d: step_inputs(d, 4, 6, weight=d.mask(4, 6))),
        Look("a range of 1", lambda d: step_inputs(d, 3, 4, scale=1.0)),
        Look("a wide range", lambda d: step_inputs(d, 3, 4, scale=40.0)),
        Look("the paper's entropy scale", lambda d: step_inputs(d, 3, 4, entropy_scale=3e-4)),
        Look("no entropy", lambda d: step_inputs(d, 3, 4, entropy_scale=0.0)),
    ),
    mistakes=(
        Mistake(
            "advantage_not_stopped",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: (
                -weight * (log_prob * (returns - value) / scale + entropy_scale * entropy)
            ),
            "The numbers are right, but a gradient leaves through returns, value, scale or weight. They are marks for the action, and no "
            "way "
            "to improve: detach the advantage and the weight.",
        ),
        Mistake(
            "entropy_over_the_range",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: climb(
                log_prob, (returns - value) / scale, entropy / scale.detach(), weight, entropy_scale
            ),
            "The entropy is divided by the range as well. Then nothing is gained: the range makes the advantage comparable to the entropy, "
            "which has the same units in every world.",
        ),
        Mistake(
            "no_range",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: climb(
                log_prob, returns - value, entropy, weight, entropy_scale
            ),
            "The range plays no part yet: divide the advantage by `scale`, so that one entropy scale fits small rewards and large ones.",
        ),
        Mistake(
            "no_value",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: climb(
                log_prob, returns / scale, entropy, weight, entropy_scale
            ),
            "The value is not taken away. The gradient would be right on average, and far noisier: what counts is R - v(s).",
        ),
        Mistake(
            "sign",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: (
                -climb(log_prob, (returns - value) / scale, entropy, weight, entropy_scale)
            ),
            "The sign is turned round: an optimiser goes down, so what should grow enters the loss with a minus.",
        ),
        Mistake(
            "entropy_sign",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: climb(
                log_prob, (returns - value) / scale, entropy, weight, -entropy_scale
            ),
            "The entropy has the wrong sign, so the policy is rewarded for being sure. Both terms stand inside the same bracket, with a "
            "plus.",
        ),
        Mistake(
            "entropy_without_weight",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: (
                climb(log_prob, (returns - value) / scale, 0 * entropy, weight, entropy_scale) - entropy_scale * entropy
            ),
            "The weight reaches the advantage alone. A step that the dream hardly reaches counts little altogether, entropy included.",
        ),
        Mistake(
            "entropy_left_out",
            lambda log_prob, entropy, returns, value, scale, weight, entropy_scale: climb(
                log_prob, (returns - value) / scale, 0 * entropy, weight, entropy_scale
            ),
            "The entropy plays no part yet: entropy_scale times it is added to the first term.",
        ),
    ),
    hints=(
        "How much better than expected was the return, in units of the range? And what must not carry a gradient?",
        "advantage = (returns - value) / scale, detached. Inside the bracket: log_prob * advantage + entropy_scale * entropy.",
        "advantage = ((returns - value) / scale).detach(); return -weight.detach() * (log_prob * advantage + entropy_scale * entropy)",
    ),
)


# --- 12.7 what replayed rewards teach ------------------------------------------------------------


def observe_replay_returns(f) -> Observations:
    reward, dreamt = torch.tensor([[9.0, 1.0, 2.0, 4.0]]), torch.tensor([[90.0, 10.0, 20.0, 40.0]])

    def of(last: list[float], terminal: list[float], lam: float = 0.5) -> Tensor:
        return f(reward.clone(), torch.tensor([last]), torch.tensor([terminal]), dreamt.clone(), 0.5, lam)

    on = [0.0, 0.0, 0.0, 0.0]
    return {
        "the returns where the episode goes on": of(on, on),
        "the returns where it truly ends in row 2": of([0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0]),
        "the returns where a time limit cuts it in row 2": of([0.0, 0.0, 1.0, 0.0], on),
        "the returns where it ends in the first row": of([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]),
        "the returns at lam = 0": of(on, on, 0.0),
        "the returns at lam = 1": of(on, on, 1.0),
    }


def expected_replay_returns() -> Observations:
    # Row 2: 4 + 40 / 2 = 24. Row 1: 2 + (20 + 24) / 4 = 13. Row 0: 1 + (10 + 13) / 4 = 6.75.
    return {
        "the returns where the episode goes on": torch.tensor([[6.75, 13.0, 24.0]]),
        "the returns where it truly ends in row 2": torch.tensor([[4.0, 2.0, 24.0]]),  # 2 alone; 1 + (10 + 2) / 4
        "the returns where a time limit cuts it in row 2": torch.tensor([[6.5, 12.0, 24.0]]),  # 2 + 20 / 2; 1 + (10 + 12) / 4
        "the returns where it ends in the first row": torch.tensor([[6.75, 13.0, 24.0]]),
        "the returns at lam = 0": torch.tensor([[6.0, 12.0, 24.0]]),
        "the returns at lam = 1": torch.tensor([[1 + 0.5 * 14, 14.0, 24.0]]),
    }


def back_through(reward, last, terminal, dreamt, discount, lam, end=None, shift=0):
    """The backward pass with its free places, for the mistakes: what follows the last row, and which row's end is asked."""
    found = [dreamt[:, -1] if end is None else end]
    for k in reversed(range(1, reward.shape[1])):
        mix = lam * (1 - last[:, k - shift])
        ahead = (1 - mix) * dreamt[:, k] + mix * found[-1]
        found.append(reward[:, k] + discount * (1 - terminal[:, k - shift]) * ahead)
    return torch.stack(found[:0:-1], 1)


def replayed(d: Draw, rows: int, count: int, share: float = 0.3, discount: float = 0.9, lam: float = 0.6) -> tuple:
    """Windows in which episodes end, half of them truly."""
    last = d.mask(rows, count, share=share)
    return d.normal(rows, count), last, last * d.mask(rows, count, share=0.5), d.normal(rows, count, std=3.0), discount, lam


REPLAY_RETURNS = Exercise(
    id="12.7",
    title="Returns along replayed rows",
    minutes=15,
    difficulty=3,
    importance=2,
    reference=actor_critic.replay_returns,
    target="dreamer_core.paper.actor_critic:replay_returns",
    runs_with=WITH,
    observe=observe_replay_returns,
    expected=expected_replay_returns,
    gradients=False,
    looks=(
        Look("3 windows of 5 rows", lambda d: replayed(d, 3, 5), draws=4),
        Look("7 windows of 4 rows", lambda d: replayed(d, 7, 4), draws=4),
        Look("a single window", lambda d: replayed(d, 1, 8)),
        Look("windows of 2 rows", lambda d: replayed(d, 6, 2)),
        Look("an episode that goes on", lambda d: replayed(d, 4, 6, share=0.0)),
        Look("ends everywhere", lambda d: replayed(d, 4, 6, share=1.0)),
        Look("lambda = 0", lambda d: replayed(d, 3, 5, lam=0.0)),
        Look("lambda = 1", lambda d: replayed(d, 3, 5, lam=1.0)),
        Look("no discount", lambda d: replayed(d, 3, 5, discount=1.0)),
    ),
    mistakes=(
        Mistake(
            "reaches_into_the_next_episode",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(reward, 0 * last, terminal, dreamt, discount, lam),
            "`last` plays no part yet: after a time limit the next row belongs to another episode, and its rewards are nobody's "
            "consequence. "
            "Where last is 1 the mix is 0, so that only the dream from that row counts.",
        ),
        Mistake(
            "time_limit_taken_for_an_end",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(reward, last, last, dreamt, discount, lam),
            "A time limit counts as a true end. The world did not stop there, only the recording did: what follows is cut by "
            "`terminal`, "
            "the mix by `last`.",
        ),
        Mistake(
            "end_ignored",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(reward, last, 0 * terminal, dreamt, discount, lam),
            "`terminal` plays no part yet: where an episode truly ended, nothing follows the reward of that row.",
        ),
        Mistake(
            "ends_one_row_late",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(reward, last, terminal, dreamt, discount, lam, shift=1),
            "last and terminal were read one row too early: R_k asks whether row k + 1, the one it reaches, was an end. "
            "reward, last, terminal and dreamt of one row belong together.",
        ),
        Mistake(
            "reward_of_its_own_row",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(
                torch.cat([reward[:, :1], reward[:, :-1]], 1), last, terminal, dreamt, discount, lam
            ),
            "The reward of row k itself was counted in R_k. It arrived with that row, for what was done before: R_k begins with r_{k+1}.",
        ),
        Mistake(
            "lam_swapped",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(reward, last, terminal, dreamt, discount, 1 - lam),
            "lam and 1 - lam are swapped: at lam = 0 only the dream from the next row counts, at lam = 1 all recorded rewards.",
        ),
        Mistake(
            "nothing_after_the_window",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(
                reward, last, terminal, dreamt, discount, lam, end=torch.zeros_like(dreamt[:, -1])
            ),
            "After the last row comes nothing here. The window ends there, not the world: begin with the dream from that row, "
            "R_{K-1} = d_{K-1}.",
        ),
        Mistake(
            "time_reversed",
            lambda reward, last, terminal, dreamt, discount, lam: back_through(reward, last, terminal, dreamt, discount, lam).flip(1),
            "The numbers are right, but in the wrong order: the list was filled from the end, so it has to be turned round.",
        ),
    ),
    hints=(
        "It is the lambda-return of 8.2 once more. What takes the place of the value? And which of the two ends does what?",
        "Begin with dreamt[:, -1]. Backwards over k = K - 1 .. 1: mix = lam * (1 - last[:, k]), and 1 - terminal[:, k] in the place of "
        "cont.",
        "For each k: ahead = (1 - mix) * dreamt[:, k] + mix * found[-1]; append reward[:, k] + discount * (1 - terminal[:, k]) * ahead. "
        "Return torch.stack(found[:0:-1], 1): turned round, and without the one you began with.",
    ),
)

EXERCISES = [VALUE_LOSS, MOVED, SPREAD, BOUNDED_NORMAL, NORMAL_LOG_PROB, POLICY_LOSS, REPLAY_RETURNS]

"""Exercises of notebook 02: the parts of soft actor-critic.

Truths come from outside the code: the density of tanh(u) is the slope of its distribution function
(a finite difference of the error function), gradients are worked out on paper, the rest are hand
numbers.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core import returns, sac
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations, gradient
from dreamer_core.sac import Action, squashed_log_prob

# --- 2.1 log-probability -----------------------------------------------------------------------


def slope_of_the_distribution(mean: float, log_std: float, pre_tanh: float) -> float:
    """log pi(a) at a = tanh(u): the slope of P(action < a) = Phi((atanh a - mean) / std), by a central difference."""
    a, step = math.tanh(pre_tanh), 1e-6

    def below(x: float) -> float:
        return 0.5 * (1 + math.erf((math.atanh(x) - mean) / math.exp(log_std) / math.sqrt(2)))

    return math.log((below(a + step) - below(a - step)) / (2 * step))


MEAN = [[0.3, -0.4], [0.0, 0.5], [-1.0, 0.2]]
LOG_STD = [[-0.5, 0.2], [0.0, -1.0], [0.3, -0.2]]
NOISE = [[1.0, -0.6], [0.2, 0.4], [-0.3, 1.5]]
PRE_TANH = [[m + math.exp(s) * e for m, s, e in zip(*row)] for row in zip(MEAN, LOG_STD, NOISE)]


def truth_of_density() -> Tensor:
    """Two independent dimensions: the densities multiply, so their logarithms add."""
    return torch.tensor([sum(slope_of_the_distribution(*dim) for dim in zip(*row)) for row in zip(MEAN, LOG_STD, PRE_TANH)])


def observe_log_prob(f) -> Observations:
    noise, log_std, pre_tanh = (torch.tensor(rows, requires_grad=True) for rows in (NOISE, LOG_STD, PRE_TANH))
    out = f(noise, log_std, pre_tanh)
    by_noise, by_log_std, by_pre_tanh = gradient(out.sum(), noise, log_std, pre_tanh)
    # One dimension, mean 0.5, std 0.8: weights of the trapezoidal rule over u, da = (1 - tanh(u)^2) du.
    u = torch.linspace(-4.5, 5.5, 401)[:, None]
    pi = torch.exp(f((u - 0.5) / 0.8, torch.full_like(u, math.log(0.8)), u))
    total = torch.trapezoid(pi * (1 - torch.tanh(u).square()).squeeze(-1), u.squeeze(-1))
    saturated = f(torch.zeros(1, 1), torch.zeros(1, 1), torch.tensor([[15.0]]))
    return {
        "log pi of three actions in two dimensions": out.detach(),
        "the probability of all actions together": total.detach(),
        "log pi at u = 15, where tanh(u) rounds to 1": saturated.detach(),
        "the shape for a (4, 5, 2) batch": tuple(f(*torch.zeros(3, 4, 5, 2)).shape),
        "d log pi / d noise": by_noise,
        "d log pi / d log_std": by_log_std,
        "d log pi / d pre_tanh": by_pre_tanh,
    }


def expected_log_prob() -> Observations:
    return {
        "log pi of three actions in two dimensions": truth_of_density(),
        "the probability of all actions together": torch.tensor(1.0),
        # 1 - tanh(u)^2 is 4 exp(-2u) to within exp(-4u).
        "log pi at u = 15, where tanh(u) rounds to 1": torch.tensor([-0.5 * math.log(2 * math.pi) - (math.log(4) - 30)]),
        "the shape for a (4, 5, 2) batch": (4, 5),
        "d log pi / d noise": -torch.tensor(NOISE),
        "d log pi / d log_std": -torch.ones(3, 2),
        "d log pi / d pre_tanh": torch.tensor([[2 * math.tanh(u) for u in row] for row in PRE_TANH]),
    }


def normal(noise: Tensor, log_std: Tensor) -> Tensor:
    return -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)


def log_slope(pre_tanh: Tensor) -> Tensor:
    return 2 * (math.log(2) - pre_tanh - F.softplus(-2 * pre_tanh))


LOG_PROB = Exercise(
    id="2.1",
    title="The log-probability of a squashed action",
    minutes=12,
    difficulty=3,
    importance=3,
    reference=sac.squashed_log_prob,
    target="dreamer_core.sac:squashed_log_prob",
    observe=observe_log_prob,
    expected=expected_log_prob,
    looks=(
        Look("4 x 5 actions of 3 numbers", lambda d: (d.normal(4, 5, 3), d.normal(4, 5, 3, std=0.5), d.normal(4, 5, 3))),
        Look("6 actions of 2 numbers", lambda d: (d.normal(6, 2), d.normal(6, 2), d.normal(6, 2))),
        Look("actions of one number", lambda d: (d.normal(7, 1), d.normal(7, 1), d.normal(7, 1))),
        Look("a single action", lambda d: (d.normal(4), d.normal(4), d.normal(4))),
        Look("actions that are saturated", lambda d: (d.normal(5, 2), d.normal(5, 2), 40 * torch.sign(d.normal(5, 2)) + d.normal(5, 2))),
        Look(
            "narrow and wide policies",
            lambda d: (d.normal(4, 2), torch.tensor([[-6.0, 2.0], [-3.0, 1.0], [2.0, -5.0], [0.0, 0.5]]), d.normal(4, 2)),
        ),
    ),
    mistakes=(
        Mistake(
            "no_tanh_term",
            lambda noise, log_std, pre_tanh: normal(noise, log_std).sum(-1) + 0 * pre_tanh.sum(-1),
            "This is the density of u, not of a = tanh(u): the term for the slope of tanh is missing. "
            "Squeezing the line into (-1, 1) makes the density higher wherever tanh is flat.",
        ),
        Mistake(
            "sign_of_the_correction",
            lambda noise, log_std, pre_tanh: (normal(noise, log_std) + log_slope(pre_tanh)).sum(-1),
            "The slope of tanh is added where it must be subtracted: where tanh is flat, actions crowd together, "
            "and the density goes up, not down.",
        ),
        Mistake(
            "forgot_log_std",
            lambda noise, log_std, pre_tanh: (normal(noise, torch.zeros_like(log_std)) - log_slope(pre_tanh)).sum(-1) + 0 * log_std.sum(-1),
            "log_std has no influence: a Normal half as wide is twice as high, so log N(u) contains -log_std.",
        ),
        Mistake(
            "noise_divided_again",
            lambda noise, log_std, pre_tanh: (normal(noise * torch.exp(-log_std), log_std) - log_slope(pre_tanh)).sum(-1),
            "The noise is divided by the standard deviation once too often: it is (u - mean) / std already.",
        ),
        Mistake(
            "no_constant",
            lambda noise, log_std, pre_tanh: (normal(noise, log_std) + 0.5 * math.log(2 * math.pi) - log_slope(pre_tanh)).sum(-1),
            "The constant of the Normal, -0.5 log(2 pi) for each dimension, is missing: the density does not integrate to 1.",
        ),
        Mistake(
            "no_sum",
            lambda noise, log_std, pre_tanh: normal(noise, log_std) - log_slope(pre_tanh),
            "There is one number for each action dimension, and one for the whole action is wanted: "
            "the dimensions are independent, so their densities multiply and their logarithms are summed.",
        ),
        Mistake(
            "log_of_zero",
            lambda noise, log_std, pre_tanh: (normal(noise, log_std) - torch.log(1 - torch.tanh(pre_tanh).square())).sum(-1),
            "An infinite number came out. log(1 - tanh(u)^2) is the logarithm of 0 as soon as tanh(u) rounds to 1: "
            "use the equal form 2 (log 2 - u - softplus(-2u)), which does not underflow.",
        ),
        Mistake(
            "epsilon_in_the_log",
            lambda noise, log_std, pre_tanh: (normal(noise, log_std) - torch.log(1 - torch.tanh(pre_tanh).square() + 1e-6)).sum(-1),
            "An epsilon inside log(1 - tanh(u)^2) prevents the infinity, but it caps the term near 14: a saturated action looks less "
            "probable than it is. The form 2 (log 2 - u - softplus(-2u)) is exact.",
        ),
    ),
    hints=(
        "Per dimension: the Normal density of u, written with the noise, and the slope of tanh at u. Then join the dimensions.",
        "log N(u) = -noise^2 / 2 - log_std - log(2 pi) / 2. Subtract log(1 - tanh(u)^2), written as 2 (log 2 - u - softplus(-2u)).",
        "(-0.5 * noise**2 - log_std - 0.5 * math.log(2 * math.pi) - 2 * (math.log(2) - pre_tanh - F.softplus(-2 * pre_tanh))).sum(-1)",
    ),
)

# --- 2.2 a sample as a pure function -------------------------------------------------------------


def observe_sample(f) -> Observations:
    mean, log_std = torch.tensor(MEAN, requires_grad=True), torch.tensor(LOG_STD, requires_grad=True)
    action = f(mean, log_std, torch.tensor(NOISE))
    by_mean, by_log_std = gradient(action.pre_tanh.sum(), mean, log_std)
    log_prob_by_mean, log_prob_by_log_std = gradient(action.log_prob.sum(), mean, log_std)
    batch = f(*torch.zeros(3, 4, 5, 2))
    return {
        "pre_tanh": action.pre_tanh.detach(),
        "log_prob": action.log_prob.detach(),
        "d pre_tanh / d mean": by_mean,
        "d pre_tanh / d log_std": by_log_std,
        "d log_prob / d mean": log_prob_by_mean,
        "d log_prob / d log_std": log_prob_by_log_std,
        "the shapes for a (4, 5, 2) batch": (tuple(batch.pre_tanh.shape), tuple(batch.log_prob.shape)),
    }


def expected_sample() -> Observations:
    """u = m + exp(s) e, so du/dm = 1 and du/ds = exp(s) e; log pi = -e^2/2 - s - log(1 - tanh(u)^2) + const, with e fixed."""
    std_noise = torch.tensor([[math.exp(s) * e for s, e in zip(*row)] for row in zip(LOG_STD, NOISE)])
    twice_tanh = torch.tensor([[2 * math.tanh(u) for u in row] for row in PRE_TANH])
    return {
        "pre_tanh": torch.tensor(PRE_TANH),
        "log_prob": truth_of_density(),
        "d pre_tanh / d mean": torch.ones(3, 2),
        "d pre_tanh / d log_std": std_noise,
        "d log_prob / d mean": twice_tanh,
        "d log_prob / d log_std": twice_tanh * std_noise - 1,
        "the shapes for a (4, 5, 2) batch": ((4, 5, 2), (4, 5)),
    }


def sample_from(mean: Tensor, log_std: Tensor, noise: Tensor, std: Tensor) -> Action:
    pre_tanh = mean + std * noise
    return Action(pre_tanh, squashed_log_prob(noise, log_std, pre_tanh))


def squashed_twice(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
    pre_tanh = mean + torch.exp(log_std) * noise
    return Action(torch.tanh(pre_tanh), squashed_log_prob(noise, log_std, pre_tanh))


def cut_sample(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
    pre_tanh = (mean + torch.exp(log_std) * noise).detach()
    return Action(pre_tanh, squashed_log_prob(noise, log_std, pre_tanh))


def cut_log_prob(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
    pre_tanh = mean + torch.exp(log_std) * noise
    return Action(pre_tanh, squashed_log_prob(noise, log_std, pre_tanh).detach())


def log_prob_of_the_action(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
    pre_tanh = mean + torch.exp(log_std) * noise
    return Action(pre_tanh, squashed_log_prob(noise, log_std, torch.tanh(pre_tanh)))


def noise_of_its_own(draw: Callable[[torch.distributions.Normal], Tensor]) -> Callable:
    """A sample whose noise `draw` takes from a Normal itself, whatever was handed in."""

    def wrong(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
        pre_tanh = draw(torch.distributions.Normal(mean, torch.exp(log_std)))
        return Action(pre_tanh, squashed_log_prob(noise, log_std, pre_tanh))

    return wrong


def noise_is_pre_tanh(mean: Tensor, log_std: Tensor, noise: Tensor) -> Action:
    pre_tanh = mean + torch.exp(log_std) * noise
    return Action(pre_tanh, squashed_log_prob(pre_tanh, log_std, pre_tanh))


SAMPLE = Exercise(
    id="2.2",
    title="A sample that a gradient can pass",
    minutes=6,
    difficulty=1,
    importance=3,
    reference=sac.squashed_sample,
    target="dreamer_core.sac:squashed_sample",
    observe=observe_sample,
    expected=expected_sample,
    looks=(
        Look("4 x 5 actions of 3 numbers", lambda d: (d.normal(4, 5, 3), d.normal(4, 5, 3, std=0.5), d.normal(4, 5, 3))),
        Look("6 actions of 2 numbers", lambda d: (d.normal(6, 2), d.normal(6, 2), d.normal(6, 2))),
        Look("actions of one number", lambda d: (d.normal(7, 1), d.normal(7, 1), d.normal(7, 1))),
        Look("a single action", lambda d: (d.normal(4), d.normal(4), d.normal(4))),
        Look("means far from 0", lambda d: (9 * d.normal(5, 2), d.normal(5, 2), d.normal(5, 2))),
        Look(
            "narrow and wide policies",
            lambda d: (d.normal(4, 2), torch.tensor([[-4.0, 2.0], [-3.0, 1.0], [2.0, -5.0], [0.0, 0.5]]), d.normal(4, 2)),
        ),
    ),
    mistakes=(
        Mistake(
            "log_std_as_std",
            lambda mean, log_std, noise: sample_from(mean, log_std, noise, log_std),
            "The noise is multiplied by log_std itself: the standard deviation is exp(log_std), which is never negative.",
        ),
        Mistake(
            "noise_of_its_own",
            noise_of_its_own(lambda normal: normal.rsample()),
            "A noise of its own is drawn inside (as Normal(...).rsample() does). Use the one that is handed in: "
            "the same noise must make the same action.",
        ),
        Mistake(
            "noise_of_its_own_cut",
            noise_of_its_own(lambda normal: normal.sample()),
            "Normal(...).sample() draws a noise of its own, and no gradient passes it. Build u from the noise that is handed in.",
        ),
        Mistake(
            "tanh_already_applied",
            squashed_twice,
            "pre_tanh holds tanh(u): return u itself. Whoever acts applies tanh, and from a saturated tanh(u) nobody gets u back.",
        ),
        Mistake(
            "sample_without_gradient",
            cut_sample,
            "The value is right, but no gradient reaches mean and log_std through u. The actor learns through this very path: "
            "no detach, no no_grad, no Normal(...).sample().",
        ),
        Mistake(
            "log_prob_without_gradient",
            cut_log_prob,
            "The log-probability is right, but it carries no gradient: the actor could not learn to be more varied.",
        ),
        Mistake(
            "log_prob_of_tanh",
            log_prob_of_the_action,
            "squashed_log_prob wants u as its third argument, not tanh(u).",
        ),
        Mistake(
            "pre_tanh_for_noise",
            noise_is_pre_tanh,
            "squashed_log_prob wants the standard-normal noise as its first argument, not u.",
        ),
    ),
    hints=(
        "Scale and shift the noise, then ask squashed_log_prob about it.",
        "u = mean + std * noise with std = exp(log_std). Return Action(u, log pi).",
        "pre_tanh = mean + torch.exp(log_std) * noise; return Action(pre_tanh, squashed_log_prob(noise, log_std, pre_tanh))",
    ),
)

# --- 2.3 the soft value --------------------------------------------------------------------------

Q, LOG_PI = [[3.0, -1.0], [0.5, 2.0]], [[-2.0, 0.5], [1.0, -0.25]]


def observe_soft_value(f) -> Observations:
    q, log_prob = torch.tensor(Q, requires_grad=True), torch.tensor(LOG_PI, requires_grad=True)
    out = f(q, log_prob, 0.5)
    by_q, by_log_prob = gradient(out.sum(), q, log_prob)
    return {
        "the soft value with alpha = 0.5": out.detach(),
        "the soft value with alpha = 0": f(torch.tensor(Q), torch.tensor(LOG_PI), 0.0),
        "d value / d Q": by_q,
        "d value / d log pi": by_log_prob,
    }


SOFT_VALUE = Exercise(
    id="2.3",
    title="The soft value of one action",
    minutes=3,
    difficulty=1,
    importance=3,
    reference=returns.soft_value,
    target="dreamer_core.returns:soft_value",
    observe=observe_soft_value,
    expected=lambda: {
        "the soft value with alpha = 0.5": torch.tensor([[4.0, -1.25], [0.0, 2.125]]),
        "the soft value with alpha = 0": torch.tensor(Q),
        "d value / d Q": torch.ones(2, 2),
        "d value / d log pi": torch.full((2, 2), -0.5),
    },
    looks=(
        Look("3 x 4 values", lambda d: (d.normal(3, 4), d.normal(3, 4), d.number(0.1, 0.9))),
        Look("a single value", lambda d: (d.normal(1), d.normal(1), 0.3)),
        Look("2 x 3 x 5 values", lambda d: (d.normal(2, 3, 5), d.normal(2, 3, 5), 1.7)),
        Look("alpha = 0", lambda d: (d.normal(6), d.normal(6), 0.0)),
        Look("alpha = 1", lambda d: (d.normal(6), d.normal(6), 1.0)),
        Look("alpha as a tensor", lambda d: (d.normal(5), d.normal(5), d.data(d.uniform(0.1, 0.9)))),
    ),
    mistakes=(
        Mistake(
            "sign",
            lambda q, log_prob, alpha: q + alpha * log_prob,
            "The entropy term has the wrong sign: a surprising action (log pi very negative) must make the value *larger*.",
        ),
        Mistake(
            "no_alpha",
            lambda q, log_prob, alpha: q - log_prob,
            "alpha has no influence: it is the price of entropy in units of reward.",
        ),
        Mistake(
            "no_entropy",
            lambda q, log_prob, alpha: q + 0 * log_prob,
            "The entropy is missing: this is the plain value, which has no reason to prefer a varied policy.",
        ),
        Mistake(
            "alpha_on_everything",
            lambda q, log_prob, alpha: alpha * (q - log_prob),
            "alpha multiplies Q as well: it weighs the entropy only.",
        ),
        Mistake(
            "average_entropy",
            lambda q, log_prob, alpha: q - alpha * log_prob.mean(),
            "log pi is averaged over the batch: each action's value takes the surprise of that action. "
            "The mean over actions comes by itself, from sampling.",
        ),
        Mistake(
            "weighted_by_the_density",
            lambda q, log_prob, alpha: q - alpha * torch.exp(log_prob) * log_prob,
            "log pi is multiplied by pi once more. The action was drawn from pi: likely ones come more often, "
            "and that is their weight already.",
        ),
        Mistake(
            "detached_entropy",
            lambda q, log_prob, alpha: q - alpha * log_prob.detach(),
            "The value is right, but log pi is cut off: the actor climbs this very number, and must feel the pull of the entropy.",
        ),
    ),
    hints=(
        "Entropy is the average surprise, and the surprise of one action is -log pi.",
        "Q plus alpha times the surprise.",
        "q - alpha * log_prob",
    ),
)

# --- 2.4 the one-step target ---------------------------------------------------------------------

# Four transitions: an ordinary one, one into a terminal state, one at a time limit, and one that goes on with probability 0.5.
REWARD, CONT, NEXT_VALUE = [1.0, -2.0, 0.5, 0.0], [1.0, 0.0, 1.0, 0.5], [10.0, 30.0, -4.0, 8.0]


def observe_backup(f) -> Observations:
    reward, cont, value = torch.tensor(REWARD), torch.tensor(CONT), torch.tensor(NEXT_VALUE)
    out = f(reward, cont, value, 0.9)
    names = ("an ordinary step", "a step into a terminal state", "a step that meets the time limit", "a step that may be the last")
    shape = tuple(f(*torch.ones(3, 4, 5), 0.9).shape)
    return {f"the target of {name}": number for name, number in zip(names, out)} | {"the shape for a (4, 5) batch": shape}


BACKUP = Exercise(
    id="2.4",
    title="The one-step target",
    minutes=5,
    difficulty=1,
    importance=3,
    reference=returns.backup,
    target="dreamer_core.returns:backup",
    observe=observe_backup,
    expected=lambda: {
        "the target of an ordinary step": torch.tensor(10.0),  # 1 + 0.9 * 10
        "the target of a step into a terminal state": torch.tensor(-2.0),
        "the target of a step that meets the time limit": torch.tensor(-3.1),  # 0.5 - 0.9 * 4
        "the target of a step that may be the last": torch.tensor(3.6),  # 0.9 * 0.5 * 8
        "the shape for a (4, 5) batch": (4, 5),
    },
    gradients=False,
    looks=(
        Look("3 x 4 steps", lambda d: (d.normal(3, 4), d.uniform(0, 1, 3, 4), d.normal(3, 4), d.number(0.5, 0.95))),
        Look("7 x 3 steps", lambda d: (d.normal(7, 3), d.uniform(0, 1, 7, 3), d.normal(7, 3), d.number(0.5, 0.95))),
        Look("steps that end", lambda d: (d.normal(7), d.mask(7, share=0.5), d.normal(7), 0.9)),
        Look("a single step", lambda d: (d.normal(1), d.uniform(0, 1, 1), d.normal(1), 0.8)),
        Look("nothing but ends", lambda d: (d.normal(5), torch.zeros(5), d.normal(5), 0.9)),
        Look("no end", lambda d: (d.normal(5), torch.ones(5), d.normal(5), 0.9)),
        Look("gamma = 0", lambda d: (d.normal(6), d.uniform(0, 1, 6), d.normal(6), 0.0)),
        Look("gamma = 1", lambda d: (d.normal(6), d.uniform(0, 1, 6), d.normal(6), 1.0)),
    ),
    mistakes=(
        Mistake(
            "done_ignored",
            lambda reward, cont, value, gamma: reward + gamma * value + 0 * cont,
            "cont has no influence: after a terminal state nothing more is earned, so its value must not be added.",
        ),
        Mistake(
            "reward_discounted",
            lambda reward, cont, value, gamma: gamma * (reward + cont * value),
            "The reward is discounted as well: it arrives with this very step. Only what comes *after* counts gamma times.",
        ),
        Mistake(
            "no_gamma",
            lambda reward, cont, value, gamma: reward + cont * value,
            "gamma has no influence: the future must count a little less than the present, or a sum without end has no value.",
        ),
        Mistake(
            "cont_is_not_done",
            lambda reward, cont, value, gamma: reward + gamma * (1 - cont) * value,
            "cont is read as `done`: it is 1 where the episode goes *on*. Multiply by cont, not by 1 - cont.",
        ),
        Mistake(
            "last_reward_lost",
            lambda reward, cont, value, gamma: cont * (reward + gamma * value),
            "cont multiplies the reward too: the reward of the last step was earned. Only what follows is lost.",
        ),
        Mistake(
            "likely_is_taken_for_sure",
            lambda reward, cont, value, gamma: torch.where(cont > 0, reward + gamma * value, reward),
            "cont is read as yes or no, so any chance of going on counts in full. It may be a probability: multiply by it.",
        ),
        Mistake(
            "only_sure_counts",
            lambda reward, cont, value, gamma: torch.where(cont > 0.5, reward + gamma * value, reward),
            "cont is read as yes or no, so going on with probability 1/2 counts for nothing. It may be a probability: multiply by it.",
        ),
        Mistake(
            "gamma_on_the_reward_only",
            lambda reward, cont, value, gamma: gamma * reward + cont * value,
            "gamma is on the reward instead of on the value: the present counts fully, the future gamma times.",
        ),
    ),
    hints=(
        "What you get now, plus what the place you reached is worth, if there is anything left to come.",
        "Two factors in front of the value: gamma, because it is a step away, and cont, because the episode may be over.",
        "reward + gamma * cont * value",
    ),
)

# --- 2.5 the critics' loss -----------------------------------------------------------------------

# Two critics, two trajectories of two steps.
Q_BOTH = [[[1.0, 2.0], [0.0, -1.0]], [[3.0, 2.0], [1.0, 0.0]]]
TARGET, WEIGHT = [[2.0, 2.0], [1.0, 1.0]], [[1.0, 0.5], [0.25, 0.75]]


def observe_critic_loss(f) -> Observations:
    q, goal = torch.tensor(Q_BOTH, requires_grad=True), torch.tensor(TARGET, requires_grad=True)
    loss = f(q, goal, torch.tensor(WEIGHT))
    by_q, by_returns = gradient(loss, q, goal)
    return {
        "the loss": loss.detach(),
        "the loss if every weight is 1": f(torch.tensor(Q_BOTH), torch.tensor(TARGET), torch.ones(2, 2)),
        "d loss / d q": by_q,
        "d loss / d returns": by_returns,
    }


def expected_critic_loss() -> Observations:
    """Errors q - returns: critic 0 (-1, 0, -1, -2), critic 1 (1, 0, 0, -1). Four entries each."""
    return {
        "the loss": torch.tensor((1 + 0.25 + 3) / 4 + (1 + 0.75) / 4),
        "the loss if every weight is 1": torch.tensor(6 / 4 + 2 / 4),
        "d loss / d q": torch.tensor([[[-0.5, 0.0], [-0.125, -0.75]], [[0.5, 0.0], [0.0, -0.375]]]),  # 2 * weight * error / 4
        "d loss / d returns": torch.zeros(2, 2),
    }


CRITIC_LOSS = Exercise(
    id="2.5",
    title="The loss of both critics",
    minutes=8,
    difficulty=2,
    importance=3,
    reference=sac.twin_critic_loss,
    target="dreamer_core.sac:twin_critic_loss",
    observe=observe_critic_loss,
    expected=expected_critic_loss,
    looks=(
        Look("3 dreams of 5 steps", lambda d: (d.normal(2, 3, 5), d.normal(3, 5), d.data(d.uniform(0, 1, 3, 5)))),
        Look("7 dreams of 4 steps", lambda d: (d.normal(2, 7, 4), d.normal(7, 4), d.data(d.uniform(0, 1, 7, 4)))),
        Look("a single dream", lambda d: (d.normal(2, 1, 4), d.normal(1, 4), d.data(d.uniform(0, 1, 1, 4)))),
        Look("dreams of one step", lambda d: (d.normal(2, 6, 1), d.normal(6, 1), d.data(d.uniform(0, 1, 6, 1)))),
        Look("2 dreams of 2 steps", lambda d: (d.normal(2, 2, 2), d.normal(2, 2), d.data(d.uniform(0, 1, 2, 2)))),
        Look("steps that do not count", lambda d: (d.normal(2, 4, 6), d.normal(4, 6), d.data(d.mask(4, 6)))),
        Look("large misses", lambda d: (30 * d.normal(2, 3, 4), d.normal(3, 4), d.data(d.uniform(0, 1, 3, 4)))),
    ),
    mistakes=(
        Mistake(
            "mean_over_critics",
            lambda q, returns, weight: ((q - returns.detach()).square() * weight).mean(),
            "The loss is half as large as it should be: average over trajectories and steps, but *sum* over the two critics "
            "(and no factor 1/2). So each learns as if the other were not there.",
        ),
        Mistake(
            "gradient_into_returns",
            lambda q, returns, weight: ((q - returns).square() * weight).mean((1, 2)).sum(),
            "The loss is right, but its gradient reaches the returns: they are the answer to be learned, "
            "and would be bent towards the critic. Detach them.",
        ),
        Mistake(
            "weight_ignored",
            lambda q, returns, weight: (q - returns.detach()).square().mean((1, 2)).sum(),
            "The weight has no influence: a step that is probably never reached should hardly count.",
        ),
        Mistake(
            "weight_squared",
            lambda q, returns, weight: ((q - returns.detach()) * weight).square().mean((1, 2)).sum(),
            "The weight is squared together with the error: square the error first, then weigh it.",
        ),
        Mistake(
            "minimum_in_the_loss",
            lambda q, returns, weight: ((q.amin(0) - returns.detach()).square() * weight).mean(),
            "Only the smaller of the two critics is trained at each entry. The minimum belongs into the *target*; "
            "here both regress on the same number.",
        ),
        Mistake(
            "sum_over_everything",
            lambda q, returns, weight: ((q - returns.detach()).square() * weight).sum(),
            "The squared errors are summed over trajectories and steps as well, so the loss grows with the batch: "
            "average over those two axes.",
        ),
        Mistake(
            "divided_by_the_weights",
            lambda q, returns, weight: (((q - returns.detach()).square() * weight).sum((1, 2)) / weight.sum()).sum(),
            "The loss is divided by the sum of the weights: then a batch of nearly impossible steps would pull as hard as any other. "
            "Divide by the number of entries (a plain mean).",
        ),
        Mistake(
            "nothing_to_learn_from",
            lambda q, returns, weight: ((q - returns).square() * weight).mean((1, 2)).sum().detach(),
            "The loss is right, but no gradient reaches q, so the critics cannot learn. Cut off the returns alone: "
            "returns.detach(), and no torch.no_grad() around the rest.",
        ),
    ),
    hints=(
        "returns and weight are (N, H), q is (2, N, H): broadcasting repeats them for both critics.",
        "Square, weigh, mean over the axes N and H, sum over the critics. The returns are data: no gradient may reach them.",
        "((q - returns.detach()).square() * weight).mean((1, 2)).sum()",
    ),
)

# --- 2.6 the moving average ----------------------------------------------------------------------


def small_net(weight: float, bias: float) -> nn.Linear:
    net = nn.Linear(1, 1)
    with torch.no_grad():
        net.weight.fill_(weight)
        net.bias.fill_(bias)
    return net


def numbers(net: nn.Linear) -> Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def observe_ema(f) -> Observations:
    target, source = small_net(1.0, 2.0).requires_grad_(False), small_net(11.0, -8.0)
    f(target, source, 0.9)
    once, kept = numbers(target), numbers(source)
    tracked = any(p.requires_grad for p in target.parameters())
    with torch.no_grad():
        source.weight.fill_(21.0)  # the source moves on
    meanwhile = numbers(target)
    f(target, source, 0.9)
    return {
        "the target's weight and bias after one update": once,
        "the source after the update": kept,
        "whether the target carries a gradient": tracked,
        "the target after the source moved on, before the next update": meanwhile,
        "the target after a second update": numbers(target),
    }


def with_graph(target: nn.Module, source: nn.Module, polyak: float) -> None:
    for old, new in zip(target.parameters(), source.parameters()):
        old.mul_(polyak).add_((1 - polyak) * new)


def in_place(change):
    """`change(old, new, polyak)` for every pair of parameters, without a graph."""

    @torch.no_grad()
    def update(target: nn.Module, source: nn.Module, polyak: float) -> None:
        for old, new in zip(target.parameters(), source.parameters()):
            change(old, new, polyak)

    return update


def alias(old: Tensor, new: Tensor, polyak: float) -> None:
    old.data = new.data


def drag_source(old: Tensor, new: Tensor, polyak: float) -> None:
    old.mul_(polyak).add_(new.mul_(1 - polyak))


def network(d: Draw, sizes: tuple[int, ...] = (4, 3, 5, 2)) -> nn.Module:
    """Layers with seeded weights."""
    with torch.random.fork_rng(devices=[]):
        layers = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])))
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.copy_(d.normal(*parameter.shape))
    return layers


EMA = Exercise(
    id="2.6",
    title="A target that follows slowly",
    minutes=6,
    difficulty=2,
    importance=2,
    reference=sac.ema_update,
    target="dreamer_core.sac:ema_update",
    observe=observe_ema,
    expected=lambda: {
        "the target's weight and bias after one update": torch.tensor([2.0, 1.0]),  # 0.9 * 1 + 0.1 * 11, 0.9 * 2 - 0.1 * 8
        "the source after the update": torch.tensor([11.0, -8.0]),
        "whether the target carries a gradient": False,
        "the target after the source moved on, before the next update": torch.tensor([2.0, 1.0]),
        "the target after a second update": torch.tensor([3.9, 0.1]),  # 0.9 * 2 + 0.1 * 21, 0.9 * 1 - 0.1 * 8
    },
    looks=(
        Look("two networks of three layers", lambda d: (network(d), network(d), d.number(0.5, 0.99))),
        Look("polyak = 0", lambda d: (network(d), network(d), 0.0)),
        Look("polyak = 1", lambda d: (network(d), network(d), 1.0)),
        Look("single layers", lambda d: (network(d, (3, 2)), network(d, (3, 2)), 0.3)),
        Look("a target that does not learn", lambda d: (network(d).requires_grad_(False), network(d), 0.9)),
    ),
    mistakes=(
        Mistake(
            "swapped_polyak",
            in_place(lambda old, new, polyak: old.lerp_(new, polyak)),
            "The two weights are swapped: polyak (near 1) is the share of the *old* target that stays, "
            "and 1 - polyak the share of the source.",
        ),
        Mistake(
            "nothing_happens",
            lambda target, source, polyak: None,
            "The target did not change. `p = polyak * p + ...` only gives the name p a new tensor: "
            "write into the parameter, with p.mul_(...), p.lerp_(...) or p.copy_(...).",
        ),
        Mistake(
            "plain_copy",
            in_place(lambda old, new, polyak: old.copy_(new)),
            "The target is a copy of the source: then it moves as fast as the critic that chases it. "
            "Move only a part of the way, 1 - polyak.",
        ),
        Mistake(
            "shared_memory",
            in_place(alias),
            "The target now shares its memory with the source: it moves whenever the source does. Copy numbers, not tensors.",
        ),
        Mistake(
            "source_dragged_along",
            in_place(drag_source),
            "The source was changed too: s.mul_(...) writes into s, while s * (...) leaves it as it is. "
            "The fast critic belongs to its optimiser; only the target may move here.",
        ),
        Mistake(
            "source_instead_of_target",
            in_place(lambda old, new, polyak: new.lerp_(old, 1 - polyak)),
            "The roles are exchanged: the source was moved towards the target. The first argument is the one to change.",
        ),
        Mistake(
            "adds_without_shrinking",
            in_place(lambda old, new, polyak: old.add_((1 - polyak) * new)),
            "A share of the source is added, but the old target is not shrunk: multiply it by polyak first, or it grows for ever.",
        ),
        Mistake(
            "with_graph",
            with_graph,
            "The numbers are right, but the target now carries the graph of every update so far: memory grows with each one, "
            "and gradients reach the source through it. Work under torch.no_grad().",
        ),
    ),
    hints=(
        "Walk through both lists of parameters side by side (zip) and change the target's in place.",
        "Under torch.no_grad(): p becomes polyak * p + (1 - polyak) * s. In-place methods end with an underscore.",
        "with torch.no_grad(): for p, s in zip(target.parameters(), source.parameters()): p.mul_(polyak).add_(s, alpha=1 - polyak)",
    ),
    inplace=True,
)

EXERCISES = [LOG_PROB, SAMPLE, SOFT_VALUE, BACKUP, CRITIC_LOSS, EMA]

"""The paper's 255 bins, as both builds that predict with them are judged: the reward head (11.A) and the critic (12.A).

Truths come from the formula of the bins alone, and not from `dreamer_core.paper.twohot`. The checks and the
slips that both builds have in common stand here, too.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamer_core.classroom.build import agrees, hold
from dreamer_core.paper.symlog import symexp

BINS = 255

# --- truths -------------------------------------------------------------------------------------------


def bin_at(number: int) -> float:
    """The bin of that number, 127 in the middle, by the formula alone."""
    place = (number - 127) * 20 / 127
    return math.copysign(math.expm1(abs(place)), place)


def sure_of(*numbers: int) -> Tensor:
    """Logits (K,) of a distribution that is shared equally by these bins."""
    logits = torch.full((BINS,), -200.0)
    logits[list(numbers)] = 0.0
    return logits


def weights_of(number: float) -> Tensor:
    """The two-hot weights (K,) of a number, by a search from bin to bin."""
    bins, weights = [bin_at(each) for each in range(BINS)], torch.zeros(BINS)
    number = min(max(number, bins[0]), bins[-1])
    low = max(each for each in range(BINS - 1) if bins[each] <= number or each == 0)
    share = (number - bins[low]) / (bins[low + 1] - bins[low])
    weights[low], weights[low + 1] = 1 - share, share
    return weights


def price_of(logits: Tensor, numbers: Tensor) -> Tensor:
    """Cross-entropy of each row of logits (N, K) to the two bins around its number (N,): (N,) in nats."""
    return -(torch.stack([weights_of(float(each)) for each in numbers]) * torch.log_softmax(logits, -1)).sum(-1)


# --- checks -------------------------------------------------------------------------------------------


def starts_at_zero(logits: Tensor, mean: Tensor, who: str, what: str) -> None:
    """Before any learning every bin is equally likely, and the mean is 0.

    Args:
        who: whose logits: "critic". what: what the mean is called: "value".
    """
    told = f"A fresh {who}'s logits differ by up to {float(logits.max() - logits.min()):.2g}: its last layer starts at 0, weights and bias."
    hold(float(logits.max() - logits.min()) < 1e-6, "start", told)
    largest = float(mean.abs().max())
    told = f"With equal logits the {what} is {largest:.3g}, and should be 0: each bin is as likely as its mirror image."
    hold(largest < 1e4, "not 0", told)
    told = (
        f"With equal logits the {what} is {largest:.3g}, and should be 0. The bins reach to 4.9e8: added from end to end, rounding is "
        f"left over. Add each bin to its mirror image first (exercise 11.7)."
    )
    hold(largest < 1e-3, "rounding", told)


def is_mean_of_bins(mean: Callable[[Tensor], Tensor], what: str) -> None:
    """The mean over the bins is in the world's units, by hand.

    Args:
        mean: logits (K,) -> (). what: what it is called: "value".
    """
    for number in (127, 128, 140, 100):
        told = f"All weight on bin {number} (counted from 0) is a {what} of symexp of its place, {bin_at(number):.4g}."
        agrees(mean(sure_of(number)), torch.tensor(bin_at(number)), "a bin", told, within=1e-3 * (1 + abs(bin_at(number))))
    wanted = (bin_at(130) + bin_at(150)) / 2
    said = float(mean(sure_of(130, 150)))
    told = (
        f"Half of the weight on bin 130, half on bin 150: the mean is {wanted:.4g}, yours is {said:.4g}. Take the mean of the "
        f"bins themselves, not of their places before symexp."
    )
    hold(abs(said - wanted) < 1e-3 * wanted, "mean", told)


# --- wrong on purpose ---------------------------------------------------------------------------------


def mean_of_places(logits: Tensor) -> Tensor:
    """The mean in symlog units, stretched afterwards, as in the code of 2023: (..., K) -> (...)."""
    return symexp(torch.softmax(logits, -1) @ torch.linspace(-20, 20, BINS))


def nearest_bin_price(logits: Tensor, target: Tensor, bins: Tensor) -> Tensor:
    """Cross-entropy to the nearest bin alone: (..., K), (...), (K,) -> (...)."""
    nearest = (target[..., None] - bins).abs().argmin(-1)
    return -torch.log_softmax(logits, -1).gather(-1, nearest[..., None]).squeeze(-1)


def endless_price(logits: Tensor, target: Tensor, bins: Tensor) -> Tensor:
    """Cross-entropy with two-hot weights that are not clamped beyond the ends: (..., K), (...), (K,) -> (...)."""
    above = torch.searchsorted(bins, target.contiguous(), right=True).clamp(1, BINS - 1)
    share = (target - bins[above - 1]) / (bins[above] - bins[above - 1])
    two = F.one_hot(above - 1, BINS) * (1 - share)[..., None] + F.one_hot(above, BINS) * share[..., None]
    return -(two * torch.log_softmax(logits, -1)).sum(-1)

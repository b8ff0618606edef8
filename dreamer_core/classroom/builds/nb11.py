"""Notebook 11: the paper's reward head. It answers as the head of 4.A does, so what both have in common is checked by the same lines."""

import math
import statistics
from typing import Any

import torch
from torch import Tensor, nn

from dreamer_core.classroom.bins import (
    BINS,
    bin_at,
    endless_price,
    is_mean_of_bins,
    mean_of_places,
    nearest_bin_price,
    price_of,
    starts_at_zero,
    sure_of,
    weights_of,
)
from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.builds.nb04 import BATCH, FEATURES, ROWS, pays_mean_of_rows, restate, shaken, trains_its_rows
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import WorldModelConfig
from dreamer_core.paper.symlog import symlog
from dreamer_core.paper.twohot import TwoHotReward, symexp_bins, twohot_loss, twohot_mean


def small(made: type) -> Any:
    """A fresh reward head of the learner's class for states of F = 5 entries."""
    return made(WorldModelConfig(units=8, reward_head="twohot"), FEATURES)


def stats(head: Any, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (...) that a head gives for logits (..., K)."""
    gives = head.stats(logits)
    hold(isinstance(gives, tuple) and len(gives) == 2, "pair", "`stats` gives two tensors: the mean and the standard deviation.")
    for name, part in zip(("mean", "standard deviation"), gives):
        shaped(part, tuple(logits.shape[:-1]), f"The {name} of `stats` for logits {tuple(logits.shape)}")
    return gives


def check_parts(made: type) -> None:
    """Logits for each state, and the numbers of the table for logits, whatever axes come first."""
    head = shaken(small(made))
    for lead in ((BATCH, ROWS), (6,), (2, 3, 4)):
        logits = shaped(head(torch.randn(*lead, FEATURES)), (*lead, BINS), f"What your head gives for states {(*lead, FEATURES)}")
        stats(head, logits)
        shaped(head.nll(logits, torch.randn(lead)), lead, f"`nll` of logits {(*lead, BINS)} and rewards {lead}")
    x = torch.randn(6, FEATURES)
    logits = head(x)
    agrees(head(x), logits, "random", "Asked twice about the same states, your head gives other logits: nothing here is random.")
    agrees(head(x[:1]), logits[:1], "rows mix", "The logits of a state depend on the other states that are asked about with it.")
    hold(not torch.allclose(logits, logits[:1]), "blind", "The logits are the same whatever the state is.")


def check_start(made: type) -> None:
    """Before any learning every bin is equally likely, and every mean 0."""
    head = small(made)
    logits = shaped(head(3 * torch.randn(6, FEATURES)), (6, BINS), "What your head gives for 6 states")
    starts_at_zero(logits, stats(head, logits)[0], "head", "mean")


def check_mean(made: type) -> None:
    """The mean is that of the bins, in the world's units."""
    head = small(made)
    is_mean_of_bins(lambda logits: stats(head, logits)[0], "mean")


def check_deviation(made: type) -> None:
    """How far the bins spread around their mean, by hand."""
    head = small(made)
    for numbers in ((140,), (127, 128), (130, 150), (100, 154), (90, 127, 140)):
        wanted = statistics.pstdev(map(bin_at, numbers))
        said = float(stats(head, sure_of(*numbers))[1])
        called = f"All weight on bin {numbers[0]}" if len(numbers) == 1 else f"The weight shared equally by the bins {numbers}"
        squared = len(numbers) > 1 and abs(said - wanted**2) < 1e-2 * wanted**2
        hold(not squared, "variance", f"{called}: you give the mean of (bin - mean)², {said:.4g}. The deviation is its root, {wanted:.4g}.")
        told = f"{called}: the deviation is the root of the mean of (bin - mean)², {wanted:.4g}. Yours is {said:.4g}."
        hold(abs(said - wanted) < 1e-2 * (wanted + 1e-2 * abs(bin_at(numbers[0]))), "deviation", told)


def check_price(made: type) -> None:
    """`nll` is the cross-entropy to the two bins around the reward. How it shares them is read from its gradient, p - w."""
    head = small(made)
    cost = shaped(head.nll(torch.zeros(3, BINS), torch.tensor([3.3, -70.0, 2e4])), (3,), "`nll` of 3 rewards")
    hold(not bool((cost < 0).all()), "sign", "`nll` is below 0. A cross-entropy has a minus before its sum, and a better guess costs less.")
    told = f"If all {BINS} bins are equally likely, every reward costs log({BINS}) nats, whatever its size: no error is measured in units."
    agrees(cost, torch.full((3,), math.log(BINS)), "no cross-entropy", told, 1e-3)
    logits = torch.randn(4, BINS, requires_grad=True)
    p = torch.softmax(logits, -1).detach()
    for reward in (3.3, -70.0, 2e4):
        weights = (p - slope(head.nll(logits, torch.full((4,), reward)).sum(), logits)[0])[0]
        used = (weights.abs() > 1e-3).nonzero().flatten().tolist()
        told = f"A reward of {reward:g} lies between two bins, and they share its weight. You give weight to {len(used)} of the bins."
        hold(len(used) == 2, "not two", told)
        mean = sum(float(weights[each]) * bin_at(each) for each in used)
        ends = sum(bin_at(each) for each in used)
        pressed = math.copysign(math.log1p(abs(reward)), reward)
        told = (
            f"The bins that you give a reward of {reward:g} have the mean {mean:.4g}, which is its symlog. The bins are stretched already."
        )
        hold(abs(mean - pressed) > 1e-2 * abs(pressed), "symlog", told)
        told = f"The two bins of a reward of {reward:g} have each other's weight: the nearer one gets more."
        hold(abs(mean - (ends - reward)) > 1e-3 * abs(reward), "swapped", told)
        told = f"The bins that you give a reward of {reward:g} have the mean {mean:.4g}. Share its weight so that the mean is {reward:g}."
        hold(abs(mean - reward) < 1e-2 * abs(reward), "shares", told)
    for number in (127, 140, 100):
        cost = shaped(head.nll(logits, torch.full((4,), bin_at(number))), (4,), "`nll` of 4 rewards")
        told = f"A reward that is bin {number} itself, {bin_at(number):.4g}, does not cost -log of this bin's probability."
        agrees(cost, -p[:, number].log(), "at a bin", told, 1e-3)
    rewards = torch.tensor([0.0, 3.3, -70.0, 2.0e4])
    agrees(head.nll(logits, rewards), price_of(logits, rewards), "price", "`nll` is not the cross-entropy to the reward's two bins.", 1e-3)


def check_far(made: type) -> None:
    """Rewards beyond the last bins count as the last bin."""
    head, logits = small(made), torch.randn(2, BINS)
    ends = -torch.log_softmax(logits, -1)[[0, 1], [-1, 0]]
    for far in (1e9, 1e12):
        cost = shaped(head.nll(logits, torch.tensor([far, -far])), (2,), f"`nll` of rewards of {far:g} and {-far:g}")
        told = f"A reward of {far:g} lies beyond the last bin (4.9e8), and all of its weight belongs on that bin."
        agrees(cost, ends, "beyond", told, 1e-3)


def check_loss(made: type) -> None:
    """One number, the mean over all rows, those without a reward counted 0."""
    pays_mean_of_rows(shaken(small(made)))


def check_gradients(made: type) -> None:
    """The loss trains the right states; what arrives at a row's logits is p - w, however large its reward is."""
    head = shaken(small(made))
    _, _, first = trains_its_rows(head)
    logits = torch.randn(BATCH, ROWS, BINS, requires_grad=True)
    for size in (0.1, 1e5):
        reward = size * (1 + torch.rand(BATCH, ROWS))
        (found,) = slope(head.loss(logits, reward, first), logits)
        weights = torch.stack([weights_of(float(each)) for each in reward.flatten()]).view_as(found)
        wanted = (1 - first)[..., None] * (torch.softmax(logits, -1) - weights) / first.numel()
        told = f"With rewards of about {size:g} the gradient at a row's logits is not (p - w) / BT, w being the weights of its two bins."
        agrees(found, wanted, "gradient", told, 1e-4)


def check_restate(made: type) -> None:
    """No new unit and no learning moves the bins."""
    head, logits, rewards = shaken(small(made)), torch.randn(4, BINS), torch.tensor([0.0, 3.3, -70.0, 2.0e4])

    def says() -> Tensor:
        return torch.stack([*stats(head, logits), head.nll(logits, rewards)]).detach()

    before, weights = says(), [each.detach().clone() for each in head.parameters()]
    restate(head, 0.5, 3.0)
    same = all(torch.equal(a, b) for a, b in zip(weights, head.parameters()))
    hold(same, "weights restated", "`restate` changes parameters. A factor on logits is no factor on rewards: leave them as they are.")
    told = "After `restate` the same logits mean another reward. The bins hold every unit already: `restate` has nothing to do."
    hold(torch.equal(says(), before), "bins restated", told)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.5)
    told = "After the parameters have changed, the same logits mean another reward. The bins are fixed: make them a buffer, no parameter."
    hold(torch.equal(says(), before), "bins learned", told)


def check_learns(made: type) -> None:
    """It learns rewards of very different sizes, and one that is either 0 or 100."""
    torch.manual_seed(1)
    head = made(WorldModelConfig(units=16, reward_head="twohot"), FEATURES)
    x, reward = torch.eye(FEATURES)[:4].expand(2, 4, FEATURES), torch.tensor([[0.5, -40.0, 3000.0, 0.0], [0.5, -40.0, 3000.0, 100.0]])
    optimizer = torch.optim.Adam(head.parameters(), 3e-2)
    for _ in range(200):
        optimizer.zero_grad()
        head.loss(head(x), reward, torch.zeros(2, 4)).backward()
        optimizer.step()
    logits = head(x[0]).detach()
    wanted, said = reward.mean(0), stats(head, logits)[0].detach()
    told = "Trained on four states with four rewards, it says the same of all. Only the last layer starts at 0; those before it do not."
    hold(not torch.allclose(said, said[:1]), "all alike", told)
    near = bool(((said - wanted).abs() < 1.5 + 0.3 * wanted.abs()).all())
    told = (
        "Trained on rewards of 0.5, of -40, of 3000, and of 0 or 100 in turn, its means are "
        f"{', '.join(f'{each:.4g}' for each in said.tolist())}."
    )
    hold(near, "does not learn", told)
    low, middle, high = (float(head.nll(logits[3], torch.tensor(each))) for each in (0.0, 50.0, 100.0))
    told = f"Trained on rewards of 0 or 100 it pays {low:.2g} nats for 0, {high:.2g} for 100 and {middle:.2g} for 50, which never came."
    hold(max(low, high) < 1.5 < middle, "one hill", told)


# --- wrong on purpose ---------------------------------------------------------------------------------


class Plain(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, features):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, config.units), nn.SiLU())
        self.out = self.last(nn.Linear(config.units, BINS))
        self.keep(symexp_bins())

    def last(self, layer):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    def keep(self, bins):
        self.register_buffer("bins", bins, persistent=False)

    def forward(self, features):
        return self.out(self.body(features))

    def mean(self, logits):
        return twohot_mean(logits, self.bins)

    def stats(self, logits):
        mean = self.mean(logits)
        return mean, (torch.softmax(logits, -1) * (self.bins - mean[..., None]).square()).sum(-1).sqrt()

    def nll(self, logits, reward):
        return twohot_loss(logits, reward, self.bins)

    def loss(self, logits, reward, first):
        return ((1 - first) * self.nll(logits, reward)).mean()

    def restate(self, factor, shift):
        pass


class RandomStart(Plain):
    def last(self, layer):
        return layer


class FromEndToEnd(Plain):
    def mean(self, logits):
        return (torch.softmax(logits, -1) * self.bins).sum(-1)


class MeanOfPlaces(Plain):
    def stats(self, logits):
        return mean_of_places(logits), super().stats(logits)[1]


class Variance(Plain):
    def stats(self, logits):
        mean, std = super().stats(logits)
        return mean, std.square()


class NearestBin(Plain):
    def nll(self, logits, reward):
        return nearest_bin_price(logits, reward, self.bins)


class Swapped(Plain):
    def nll(self, logits, reward):
        reward = reward.clamp(self.bins[0], self.bins[-1])
        above = torch.searchsorted(self.bins, reward.contiguous(), right=True).clamp(1, BINS - 1)
        return twohot_loss(logits, self.bins[above - 1] + self.bins[above] - reward, self.bins)


class SharesOfPlaces(Plain):
    def nll(self, logits, reward):
        return twohot_loss(logits, symlog(reward), symlog(self.bins))


class SymlogFirst(Plain):
    def nll(self, logits, reward):
        return twohot_loss(logits, symlog(reward), self.bins)


class SquaredError(Plain):
    def nll(self, logits, reward):
        return (self.mean(logits) - reward).square()


class BinsWithoutEnd(Plain):
    def nll(self, logits, reward):
        return endless_price(logits, reward, self.bins)


class FirstCounted(Plain):
    def loss(self, logits, reward, first):
        return self.nll(logits, reward).mean()


class MeanOfTheOthers(Plain):
    def loss(self, logits, reward, first):
        return ((1 - first) * self.nll(logits, reward)).sum() / (1 - first).sum()


class BinsRestated(Plain):
    def restate(self, factor, shift):
        self.bins.mul_(factor).add_(shift)


class WeightsRestated(Plain):
    def restate(self, factor, shift):
        with torch.no_grad():
            self.out.weight *= factor
            self.out.bias *= factor
            self.out.bias += shift


class BinsLearned(Plain):
    def keep(self, bins):
        self.bins = nn.Parameter(bins)


REWARD_HEAD = Build(
    id="11.A",
    title="The paper's reward head",
    minutes=40,
    difficulty=2,
    importance=2,
    reference=TwoHotReward,
    target="dreamer_core.paper.twohot:TwoHotReward",
    runs_with="model.reward_head=twohot",
    properties=(
        Property("shapes", "Logits for each state, and one number a row from the rest.", check_parts, ("forward", "stats", "nll")),
        Property("start", "A fresh head says exactly 0 everywhere.", check_start, ("forward", "stats")),
        Property("mean", "It is the mean over the bins, in the world's units.", check_mean, ("stats",)),
        Property("deviation", "It is how far the bins spread around their mean.", check_deviation, ("stats",)),
        Property("two bins", "A reward costs the cross-entropy to the two bins around it.", check_price, ("nll",)),
        Property("far rewards", "Beyond the last bin everything counts as the last bin.", check_far, ("nll",)),
        Property("loss", "The mean over all rows; where an episode starts, a row counts 0.", check_loss, ("forward", "nll", "loss")),
        Property("gradients", "p - w at the logits, however large the reward is.", check_gradients, ("forward", "loss")),
        Property("restate", "No new unit and no learning moves the bins.", check_restate, ("stats", "nll", "restate")),
        Property("learning", "It learns 0.5, -40, 3000, and a reward of 0 or 100.", check_learns, ("forward", "stats", "nll", "loss")),
    ),
    hints=(
        (
            "Begin with __init__ and `forward`: an MLP from F to 255, whose last layer you set to 0 with nn.init.zeros_, weights and bias. "
            'Keep the bins as a buffer: self.register_buffer("bins", symexp_bins(), persistent=False).'
        ),
        (
            "`stats`: the mean is twohot_mean(logits, bins) of 11.7. The deviation is the root of the sum of p times (bins - mean)²; the "
            "mean (...) needs one more axis beside the bins (K,): mean.unsqueeze(-1)."
        ),
        (
            "`nll` is twohot_loss(logits, reward, bins), or minus the sum of twohot(reward, bins) (11.6) times "
            "torch.log_softmax(logits, -1). `loss` is ((1 - first) * nll).mean(), as in 4.A. `restate` may stay as it is in the stub."
        ),
    ),
    mistakes=(
        Mistake(
            "random_start",
            RandomStart,
            "The last layer starts as torch makes it. Small random logits are rewards of millions here: set its weights and its bias to 0.",
        ),
        Mistake(
            "from_end_to_end",
            FromEndToEnd,
            "Your mean adds the bins from one end to the other. With equal logits rounding is left over: add mirror images first (11.7).",
        ),
        Mistake(
            "mean_of_places",
            MeanOfPlaces,
            "The mean is symexp of the mean place, as in 2023. It belongs to the bins themselves: half on 0 and half on 100 is 50.",
        ),
        Mistake("variance", Variance, "The second part of `stats` is the variance. A standard deviation is its root, in units of reward."),
        Mistake(
            "nearest_bin",
            NearestBin,
            "A reward is put on the nearest bin alone. Far out, bins lie far apart: share its weight between the two around it (two-hot).",
        ),
        Mistake(
            "swapped",
            Swapped,
            "The two bins have each other's weight. The upper bin's share is (reward - lower bin) / (upper bin - lower bin).",
        ),
        Mistake(
            "shares_of_places",
            SharesOfPlaces,
            "You share a reward's weight in symlog units, as in 2023. Take its distance to both bins in units of the reward itself.",
        ),
        Mistake(
            "symlog_first",
            SymlogFirst,
            "You press the reward by symlog before you look for its bins. The bins are stretched already, so the reward stays as it is.",
        ),
        Mistake(
            "squared_error",
            SquaredError,
            "`nll` is the squared error of the mean. This head learns a distribution: cross-entropy to two bins.",
        ),
        Mistake(
            "bins_without_end",
            BinsWithoutEnd,
            "A reward beyond the last bin gets a weight above 1, and its neighbour one below 0. Clamp the reward to the ends first.",
        ),
        Mistake(
            "first_counted",
            FirstCounted,
            "`first` plays no part in your loss. The 0 that stands in an episode's first row is no reward, so that row must not teach.",
        ),
        Mistake(
            "mean_of_the_others",
            MeanOfTheOthers,
            "Your mean leaves first rows out of the count, too. They count 0, but they are rows of the batch: divide by all B * T.",
        ),
        Mistake(
            "bins_restated",
            BinsRestated,
            "`restate` moves the bins. Then they no longer mirror each other, and equal logits are no 0 any more: leave them as they are.",
        ),
        Mistake(
            "weights_restated",
            WeightsRestated,
            "`restate` changes the last layer, as in 4.A. There its output was a reward; here it is logits, so there is nothing to do.",
        ),
        Mistake(
            "bins_learned",
            BinsLearned,
            "Your bins are a parameter, so training would move them. They are fixed: register_buffer keeps them with the module.",
        ),
    ),
)

BUILDS = [REWARD_HEAD]

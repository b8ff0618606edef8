"""Notebook 12: the paper's critic."""

import copy
from typing import Any

import torch
from torch import nn

from dreamer_core.classroom.bins import (
    BINS,
    endless_price,
    is_mean_of_bins,
    mean_of_places,
    nearest_bin_price,
    price_of,
    starts_at_zero,
    weights_of,
)
from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import DreamerV3Config
from dreamer_core.paper.actor_critic import Critic
from dreamer_core.paper.twohot import symexp_bins, twohot_loss, twohot_mean
from dreamer_core.sac import ema_update

FEATURES = 5


def small(made: type, slow_scale: float = 1.0) -> Any:
    """A critic of the learner's class for states of F = 5 numbers."""
    return made(DreamerV3Config(units=8, layers=1, slow_scale=slow_scale), FEATURES)


def check_parts(made: type) -> None:
    """Logits, value and loss have the shapes of the table."""
    critic = small(made)
    hold(
        isinstance(critic, nn.Module),
        "no module",
        "Your critic is no nn.Module: inherit from nn.Module, and call super().__init__() first.",
    )
    hold(
        any(each.requires_grad for each in critic.parameters()),
        "no parameters",
        "Your critic has no parameters: make its layers in __init__.",
    )
    for rows in ((), (3,), (3, 4)):
        logits = shaped(
            critic(torch.randn(*rows, FEATURES)), (*rows, BINS), f"What your critic gives for states of shape {(*rows, FEATURES)}"
        )
        shaped(critic.value(logits), rows, f"`value` of logits {(*rows, BINS)}")
        numbers = torch.randn(rows), torch.randn(rows), torch.rand(rows)
        shaped(critic.loss(logits, *numbers), rows, f"`loss` of logits {(*rows, BINS)}, before any mean,")


def check_start(made: type) -> None:
    """Before any learning every value is 0, and every bin equally likely."""
    state = 3 * torch.randn(6, FEATURES)
    critic = small(made)
    logits = critic(state)
    starts_at_zero(logits, critic.value(logits), "critic", "value")


def check_value(made: type) -> None:
    """The value is the mean over the bins, in the world's units."""
    is_mean_of_bins(small(made).value, "value")


def check_targets(made: type) -> None:
    """The loss is the cross-entropy to both targets, each as two bins."""
    logits = torch.randn(4, BINS)
    returns, slow = torch.tensor([0.0, 3.3, -70.0, 2.0e4]), torch.tensor([1.5, -0.2, 30.0, -900.0])
    for scale in (0.0, 1.0, 0.25):
        critic = small(made, scale)
        to_return, to_slow = price_of(logits, returns), price_of(logits, slow)
        found = critic.loss(logits, returns, slow, torch.ones(4))
        if scale == 0.0:
            agrees(found, to_return, "return", "With slow_scale = 0 the loss is not the cross-entropy to the two bins around R.", 1e-3)
            continue
        if scale == 1.0:
            forgot = torch.allclose(found, to_return, atol=1e-3)
            hold(not forgot, "one target", "The loss has one target: the slow critic's mean is the second one, by the same cross-entropy.")
        told = f"With slow_scale = {scale:g} the loss is not CE(R) + {scale:g} x CE(slow mean)."
        agrees(found, to_return + scale * to_slow, f"both {scale:g}", told, 1e-3)


def check_weight(made: type) -> None:
    """Each state counts as much as its weight says, in both targets."""
    critic, logits = small(made), torch.randn(3, BINS)
    returns, slow = torch.tensor([4.0, -2.0, 0.5]), torch.tensor([1.0, 7.0, -3.0])
    plain = critic.loss(logits, returns, slow, torch.ones(3))
    weight = torch.tensor([0.0, 0.5, 2.0])
    found = critic.loss(logits, returns, slow, weight)
    hold(not torch.allclose(found, plain), "weight unused", "The loss is the same whatever `weight` is.")
    told = "The loss of a state is not `weight` times what it is with weight 1: weight both targets."
    agrees(found, weight * plain, "weight", told)


def check_data(made: type) -> None:
    """Targets and weights are data: a gradient reaches the logits, and nothing else."""
    critic = small(made)
    logits = torch.randn(3, BINS, requires_grad=True)
    given = [torch.tensor([4.0, -2.0, 0.5], requires_grad=True) for _ in range(3)]
    found = slope(critic.loss(logits, *given).sum(), logits, *given)
    hold(bool(found[0].any()), "no gradient", "The loss gives the logits no gradient, so nothing is learned.")
    for name, gradient in zip(("returns", "slow_mean", "weight"), found[1:]):
        told = f"A gradient reaches `{name}`: it is a target, or a weight, and no prediction. Hand it on with .detach()."
        hold(not gradient.any(), f"gradient to {name}", told)
    p = torch.softmax(logits, -1).detach()
    wanted = 4.0 * (2 * p[:1] - weights_of(4.0) - weights_of(4.0))
    told = "The gradient at the logits is not weight x (2 p - both targets): that of a cross-entropy is p minus its target."
    agrees(found[0][:1], wanted, "gradient", told, 1e-3)


def check_far(made: type) -> None:
    """Numbers beyond the last bins count as the last bin."""
    critic, logits = small(made), torch.randn(2, BINS)
    for far in (1e9, 1e12):
        ends = torch.tensor([far, -far])
        found = shaped(critic.loss(logits, ends, ends, torch.ones(2)), (2,), f"`loss` of returns of {far:g}")
        log_p = torch.log_softmax(logits, -1)
        told = f"A return of {far:g} lies beyond the last bin (4.9e8), and all of its weight belongs on that bin."
        agrees(found, -2 * torch.stack([log_p[0, -1], log_p[1, 0]]), "beyond", told, 1e-3)


def check_copy(made: type) -> None:
    """A copy is a critic of its own: the slow one."""
    critic = small(made)
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.normal_(std=0.3)
    slow, state = copy.deepcopy(critic).requires_grad_(False), torch.randn(4, FEATURES)
    before = critic(state).detach()
    agrees(slow(state), before, "copy", "A deep copy of your critic gives other logits than the critic itself: is something in it random?")
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.add_(0.5)
    agrees(slow(state), before, "shared", "The critic has learned, and its copy has changed with it: they share something.")
    now = critic(state).detach()
    ema_update(slow, critic, 0.0)
    told = "A slow copy that takes over all parameters gives other logits: something that counts is no parameter (nn.Linear)."
    agrees(slow(state), now, "not parameters", told)


def check_learns(made: type) -> None:
    """It learns values of very different sizes."""
    torch.manual_seed(1)
    critic = made(DreamerV3Config(units=16, layers=1), FEATURES)
    state, wanted = torch.eye(FEATURES)[:3], torch.tensor([0.5, -40.0, 3000.0])
    optimizer = torch.optim.Adam(critic.parameters(), 3e-2)
    for _ in range(200):
        logits = critic(state)
        loss = critic.loss(logits, wanted, wanted, torch.ones(3)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    said = critic.value(critic(state)).detach()
    near = bool(((said - wanted).abs() < 1.5 + 0.3 * wanted.abs()).all())
    told = f"Trained on returns of 0.5, -40 and 3000 it says {', '.join(f'{each:.4g}' for each in said.tolist())}."
    hold(near, "does not learn", told)


# --- wrong on purpose ---------------------------------------------------------------------------------


class Plain(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, features):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, config.units), nn.SiLU())
        self.out = self.last(nn.Linear(config.units, 255))
        self.slow_scale = config.slow_scale
        self.register_buffer("bins", symexp_bins(), persistent=False)

    def last(self, layer):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    def forward(self, state):
        return self.out(self.body(state))

    def value(self, logits):
        return twohot_mean(logits, self.bins)

    def towards(self, logits, target):
        return twohot_loss(logits, target, self.bins)

    def loss(self, logits, returns, slow_mean, weight):
        returns, slow_mean = returns.detach(), slow_mean.detach()
        return weight.detach() * (self.towards(logits, returns) + self.slow_scale * self.towards(logits, slow_mean))


class RandomStart(Plain):
    def last(self, layer):
        return layer


class MeanOfPlaces(Plain):
    def value(self, logits):
        return mean_of_places(logits)


class NearestBin(Plain):
    def towards(self, logits, target):
        return nearest_bin_price(logits, target, self.bins)


class SquaredError(Plain):
    def towards(self, logits, target):
        return (self.value(logits) - target).square()


class OneTarget(Plain):
    def loss(self, logits, returns, slow_mean, weight):
        return weight.detach() * self.towards(logits, returns.detach())


class TargetsCarryGradient(Plain):
    def loss(self, logits, returns, slow_mean, weight):
        return weight * (self.towards(logits, returns) + self.slow_scale * self.towards(logits, slow_mean))


class NoWeight(Plain):
    def loss(self, logits, returns, slow_mean, weight):
        return super().loss(logits, returns, slow_mean, torch.ones_like(weight))


class OneTargetWeighted(Plain):
    def loss(self, logits, returns, slow_mean, weight):
        first = weight.detach() * self.towards(logits, returns.detach())
        return first + self.slow_scale * self.towards(logits, slow_mean.detach())


class BinsWithoutEnd(Plain):
    def towards(self, logits, target):
        return endless_price(logits, target, self.bins)


CRITIC = Build(
    id="12.A",
    title="The paper's critic",
    minutes=45,
    difficulty=2,
    importance=2,
    reference=Critic,
    target="dreamer_core.paper.actor_critic:Critic",
    runs_with="actor_critic=dreamerv3",
    properties=(
        Property("shapes", "Logits, value and loss have the shapes of the table.", check_parts, ("forward", "value", "loss")),
        Property("start", "A fresh critic says exactly 0 everywhere.", check_start, ("forward", "value")),
        Property("value", "It is the mean over the bins, in the world's units.", check_value, ("value",)),
        Property("targets", "The loss is the cross-entropy to R and, weighted, to the slow critic's mean.", check_targets, ("loss",)),
        Property("weight", "Each state counts as much as its weight says.", check_weight, ("loss",)),
        Property("data", "A gradient reaches the logits, and no target.", check_data, ("loss",)),
        Property("far numbers", "Beyond the last bin everything counts as the last bin.", check_far, ("loss",)),
        Property("slow copy", "A copy of it is a critic of its own.", check_copy, ("forward",)),
        Property("learning", "It learns 0.5, -40 and 3000 at once.", check_learns, ("forward", "value", "loss")),
    ),
    hints=(
        (
            "Begin with __init__ and `forward`: an MLP from F to 255, whose last layer you set to 0 with nn.init.zeros_, weights and bias. "
            'Keep config.slow_scale for later, and the bins as a buffer: self.register_buffer("bins", symexp_bins(), persistent=False).'
        ),
        "`value`: softmax over the last axis, times the bins, added from mirror images. twohot_mean(logits, bins) of 11.7 does it.",
        (
            "`loss`: weight.detach() * (CE(R) + slow_scale * CE(slow mean)), both targets detached. twohot_loss(logits, target, bins) is a "
            "CE; value_loss of exercise 12.1 is the whole."
        ),
    ),
    mistakes=(
        Mistake(
            "random_start",
            RandomStart,
            "The last layer starts as torch makes it. Small random logits are values of millions here: set its weights and its bias to 0.",
        ),
        Mistake(
            "mean_of_places",
            MeanOfPlaces,
            "The value is symexp of the mean place. The mean belongs to the bins themselves: half on 0 and half on 100 is 50.",
        ),
        Mistake(
            "nearest_bin",
            NearestBin,
            "A target is put on the nearest bin alone. Far out, bins lie far apart: share its weight between the two around it (two-hot).",
        ),
        Mistake(
            "squared_error",
            SquaredError,
            "The loss is the squared error of the value. The paper's critic learns a distribution: cross-entropy to two bins.",
        ),
        Mistake("one_target", OneTarget, "The slow critic's mean plays no part. It is the second target, with the weight slow_scale."),
        Mistake(
            "targets_carry_gradient",
            TargetsCarryGradient,
            "Targets and weight carry a gradient. They are data here: detach all three, or the actor's dream is bent to please the critic.",
        ),
        Mistake("no_weight", NoWeight, "The weight is not used: a step that a dream hardly reaches counts as much as its first."),
        Mistake(
            "one_target_weighted", OneTargetWeighted, "The weight stands before the first target alone. It belongs to the whole state."
        ),
        Mistake(
            "bins_without_end",
            BinsWithoutEnd,
            "A return beyond the last bin gets a weight above 1, and its neighbour one below 0. Clamp the target to the ends first.",
        ),
    ),
)

BUILDS = [CRITIC]

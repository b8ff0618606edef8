"""Notebook 02: the actor, both critics, and an update of SAC."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions.transforms import TanhTransform
from torch.nn import functional as F

from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import SACConfig
from dreamer_core.returns import alive_weight
from dreamer_core.sac import SAC, Action, Actor, TwinQ, ema_update, squashed_log_prob
from dreamer_core.trajectories import Trajectories

FEATURES, MOTORS = 5, 2
LEADS = ((6,), (3, 4), (1,), ())  # what may stand before the last axis


def network(made: type, motors: int = MOTORS, std: float | None = 0.7, **settings: Any) -> Any:
    """An actor or critics of the learner's class for F = 5; unless `std` is None, with weights large enough that everything shows."""
    net = made(SACConfig(**({"units": 8, "layers": 2} | settings)), FEATURES, motors)
    name = "Actor" if hasattr(net, "sample") else "class"
    hold(isinstance(net, nn.Module), "no module", f"Your {name} is no nn.Module: inherit from it, and call super().__init__() first.")
    hold(
        any(True for _ in net.parameters()),
        "no parameters",
        f"Your {name} has no parameters. Make the layers in __init__ and keep them as attributes, several of them in an nn.ModuleList.",
    )
    if std is not None:
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.normal_(std=std)
    return net


def stored_whole(made: type, ask: Any) -> None:
    """Everything that is learned is in the state dict: with the same one, two objects answer the same."""
    one, other = network(made), network(made)
    other.load_state_dict(one.state_dict())
    agrees(
        ask(other),
        ask(one),
        "not registered",
        "After load_state_dict of another object's weights the answers differ: some layer is not registered, so nobody trains or "
        "saves it. Keep layers as attributes, or in an nn.ModuleList: a plain list hides them.",
    )


# --- 2.A the actor ----------------------------------------------------------------------------------


def density(mean: Tensor, log_std: Tensor, pre_tanh: Tensor) -> Tensor:
    """log pi of tanh(u) by torch's own distributions: all (..., A) -> (...)."""
    normal = torch.distributions.Normal(mean, log_std.exp()).log_prob(pre_tanh)
    return (normal - TanhTransform().log_abs_det_jacobian(pre_tanh, torch.tanh(pre_tanh))).sum(-1)


def policy(actor: Any, state: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log std as the learner's `forward` gives them."""
    gives = actor(state)
    hold(isinstance(gives, tuple) and len(gives) == 2, "pair", "`forward` gives two tensors: the mean and log std of u.")
    shape = (*state.shape[:-1], MOTORS)
    rows = f"of a state {tuple(state.shape)}"
    return shaped(gives[0], shape, f"The mean {rows}"), shaped(gives[1], shape, f"The log std {rows}")


def sampled(actor: Any, state: Tensor) -> Action:
    """What the learner's `sample` gives, if it has the form of an Action."""
    action = actor.sample(state)
    whole = hasattr(action, "pre_tanh") and hasattr(action, "log_prob")
    hold(whole, "no action", "`sample` gives Action(pre_tanh, log_prob), as exercise 2.2 does.")
    return action


def check_actor_network(made: type) -> None:
    """Shapes of `forward`, every input counts, rows stay apart, nothing is random."""
    actor = network(made)
    for lead in LEADS:
        policy(actor, torch.randn(*lead, FEATURES))
    state = torch.randn(40, FEATURES, requires_grad=True)
    mean, log_std = policy(actor, state)
    agrees(policy(actor, state)[0], mean, "random", "`forward` gives another mean when it is called again: nothing in it is random.")
    for name, value in (("mean", mean), ("log std", log_std)):
        (reached,) = slope(value.sum(), state)
        hold(
            bool(reached.any(0).all()), f"blind {name}", f"The {name} is the same whatever the state is, or whatever one of its numbers is."
        )
    alone = torch.cat([torch.cat(policy(actor, row[None]), -1) for row in state[:3]])
    agrees(alone, torch.cat([mean, log_std], -1)[:3], "rows mix", "The policy of a state depends on the other rows of the batch.")
    stored_whole(made, lambda net: torch.cat(policy(net, state), -1))


def check_sizes(made: type) -> None:
    """`config.units` and `config.layers` are heeded."""

    def count(units: int, layers: int) -> int:
        return sum(each.numel() for each in network(made, units=units, layers=layers).parameters())

    hold(count(8, 2) < count(16, 2), "units ignored", "`config.units` is not heeded: hidden layers are that wide.")
    hold(count(8, 1) < count(8, 3), "layers ignored", "`config.layers` is not heeded: that many hidden layers.")


def check_limits(made: type) -> None:
    """log std stays between its limits, the mean is free, and a young policy is undecided."""
    for low, high in ((-1.0, 0.5), (-4.0, -2.5)):
        actor = network(made, std=2.0, log_std_min=low, log_std_max=high)
        mean, log_std = (each.detach() for each in policy(actor, 5 * torch.randn(200, FEATURES)))
        hold(
            low - 1e-5 <= float(log_std.min()) and float(log_std.max()) <= high + 1e-5,
            "log std free",
            f"log std reaches {float(log_std.min()):.1f} and {float(log_std.max()):.1f}; it stays between config.log_std_min = {low} and "
            f"config.log_std_max = {high}.",
        )
        hold(
            float(mean.abs().max()) > 1.5,
            "mean squashed",
            "The mean never leaves -1 to 1. It is the mean of u, before tanh: leave it free. tanh comes once, when u becomes an action.",
        )
    young = network(made, std=None, units=64)
    mean, log_std = (float(each.detach().mean()) for each in map(torch.abs, policy(young, torch.randn(200, FEATURES))))
    hold(
        log_std < 1 and mean < 1,
        "start",
        f"Before it has learned, its mean is about {mean:.2g} in size and its log std {log_std:.2g}. A young policy tries everything: "
        "with torch's usual first weights both are near 0.",
    )


def check_density(made: type) -> None:
    """log_prob is a density over actions."""
    actor = network(made, log_std_min=-1.5, log_std_max=0.7)
    for lead in LEADS:
        state = torch.randn(*lead, FEATURES)
        shaped(
            actor.log_prob(state, torch.randn(*lead, MOTORS)),
            lead,
            f"`log_prob` of a state {tuple(state.shape)}: one number for all motors,",
        )
    state, u = torch.randn(50, FEATURES), 1.5 * torch.randn(50, MOTORS)
    mean, log_std = policy(actor, state)
    mine = actor.log_prob(state, u)
    plain = torch.distributions.Normal(mean, log_std.exp()).log_prob(u).sum(-1)
    hold(
        not torch.allclose(mine, plain, atol=1e-3),
        "no tanh",
        "`log_prob` is the density of u. The density of a = tanh(u) has a term for the slope of tanh: exercise 2.1.",
    )
    agrees(mine, density(mean, log_std, u), "density", "`log_prob` is not the density of tanh(u) under your own mean and log std.")
    far = torch.full((50, MOTORS), 12.0)
    shaped(actor.log_prob(state, far), (50,), "`log_prob` of u = 12, where tanh(u) rounds to 1,")
    agrees(
        actor.log_prob(state, far),
        density(*(each.double() for each in policy(actor, state)), far.double()).float(),
        "saturated",
        "`log_prob` is wrong where tanh(u) rounds to 1: work with u, not with tanh(u).",
    )


def check_sample(made: type) -> None:
    """sample and draw follow the policy's law."""
    actor = network(made, log_std_min=0.2, log_std_max=0.3)
    for lead in LEADS:
        state = torch.randn(*lead, FEATURES)
        action = sampled(actor, state)
        shaped(action.pre_tanh, (*lead, MOTORS), f"The pre_tanh of `sample` for a state {tuple(state.shape)}")
        shaped(action.log_prob, lead, f"The log_prob of `sample` for a state {tuple(state.shape)}: one number for all motors,")
    state = torch.randn(FEATURES).expand(8000, FEATURES)
    action = sampled(actor, state)
    law(action.pre_tanh.detach(), *policy(actor, state), "The pre_tanh of `sample`")
    hold(
        not torch.equal(sampled(actor, state).pre_tanh, action.pre_tanh),
        "same again",
        "`sample` draws the same noise whenever it is called: is a seed set in it, or the noise kept?",
    )
    agrees(
        action.log_prob,
        density(*policy(actor, state), action.pre_tanh),
        "own log prob",
        "The log_prob of `sample` is not log pi of the action that was drawn.",
    )


def check_draw(made: type) -> None:
    """draw gives u, with the same law."""
    actor = network(made, log_std_min=0.2, log_std_max=0.3)
    for lead in LEADS:
        shaped(actor.draw(torch.randn(*lead, FEATURES)), (*lead, MOTORS), "`draw`")
    state = torch.randn(FEATURES).expand(8000, FEATURES)
    u = actor.draw(state)
    law(u.detach(), *policy(actor, state), "`draw`")
    hold(not torch.equal(actor.draw(state), u), "same again", "`draw` draws the same noise whenever it is called: is a seed set in it?")


def law(u: Tensor, mean: Tensor, log_std: Tensor, what: str) -> None:
    """8,000 samples of one policy: mean, spread and independence."""
    mean, std = mean[0].detach(), log_std[0].detach().exp()
    hold(float(u.std(0).min()) > 1e-6, "not random", f"{what} is the same in 8,000 equal rows: each row draws noise of its own.")
    hold(float(u.abs().max()) > 1, "squashed", f"{what} never leaves -1 to 1: u is wanted, before tanh.")
    off = float(((u.mean(0) - mean) / std).abs().max())
    hold(off < 0.08, "law mean", f"The mean of 8,000 samples lies {off:.2f} standard deviations beside your own mean ({what} is to blame).")
    wide = float((u.std(0) / std - 1).abs().max())
    hold(
        wide < 0.06,
        "law std",
        f"{what} spreads by {plain_list(u.std(0))}, and the standard deviations are {plain_list(std)}: u = mean + exp(log std) * noise.",
    )
    noise = (u - mean) / std
    hold(
        abs(float((noise[:, 0] * noise[:, 1]).mean())) < 0.08,
        "one noise",
        f"{what} uses one noise for both motors: the policy's covariance is diagonal, so each motor draws its own.",
    )


def plain_list(values: Tensor) -> str:
    """Numbers as one reads them."""
    return " and ".join(f"{value:.2f}" for value in values.tolist())


def check_actor_gradients(made: type) -> None:
    """Gradients run through the sample: through mean and log std, into both parts."""
    actor = network(made, log_std_min=-1.5, log_std_max=0.7)
    state = torch.randn(30, FEATURES, requires_grad=True)
    action = sampled(actor, state)
    mean, log_std = policy(actor, state)
    noise = ((action.pre_tanh - mean) / log_std.exp()).detach()
    u = mean + log_std.exp() * noise  # the same sample, with the gradient that it must have
    (mine,), (wanted,) = slope(action.pre_tanh.sum(), state), slope(u.sum(), state)
    hold(
        bool(mine.any()),
        "sample cut",
        "The pre_tanh of `sample` carries no gradient: draw the noise apart and compute u = mean + std * noise, outside of no_grad.",
    )
    agrees(
        mine, wanted, "sample gradient", "The gradient of `sample`'s pre_tanh is not that of mean + std * noise, with the noise held.", 1e-3
    )
    (mine,), (wanted,) = slope(action.log_prob.sum(), state), slope(density(mean, log_std, u).sum(), state)
    hold(bool(mine.any()), "log prob cut", "The log_prob of `sample` carries no gradient: the actor could not raise its entropy.")
    agrees(
        mine,
        wanted,
        "log prob gradient",
        "The gradient of `sample`'s log_prob is off: u moves with mean and std, and log pi follows u as well.",
        1e-3,
    )


def check_given_gradients(made: type) -> None:
    """log_prob of an action that was given: the gradient reaches the policy."""
    actor = network(made, log_std_min=-1.5, log_std_max=0.7)
    state, u = torch.randn(30, FEATURES, requires_grad=True), torch.randn(30, MOTORS)
    (mine,) = slope(actor.log_prob(state, u).sum(), state)
    (wanted,) = slope(density(*policy(actor, state), u).sum(), state)
    hold(bool(mine.any()), "given cut", "`log_prob` carries no gradient to the actor. The score function of notebook 08 lives from it.")
    agrees(mine, wanted, "given gradient", "The gradient of `log_prob` is not that of the density, with u held.", 1e-3)


def check_mode(made: type) -> None:
    """The action for evaluation."""
    actor = network(made)
    for lead in LEADS:
        shaped(actor.mode(torch.randn(*lead, FEATURES)), (*lead, MOTORS), "`mode`")
    state, u = torch.randn(20, FEATURES), 2 * torch.randn(3, MOTORS)
    agrees(actor.mode(state), actor.mode(state), "random", "`mode` gives another action when it is called again: nothing in it is random.")
    mean = policy(actor, state)[0]
    hold(not torch.allclose(actor.mode(state), mean), "mode before tanh", "`mode` gives the mean of u. An action is wanted: tanh of it.")
    agrees(actor.mode(state), torch.tanh(mean), "mode", "`mode` is tanh of your own mean.")
    agrees(actor.squash(u), torch.tanh(u), "squash", "`squash` makes an action of u: tanh(u).")


def check_actor_learns(made: type) -> None:
    """It climbs: 120 steps of Adam, and its samples are where they earn most."""
    torch.manual_seed(1)
    actor = network(made, motors=1, std=None, units=16)
    optimizer = torch.optim.Adam(actor.parameters(), lr=2e-2)
    off = torch.ones(())
    for _ in range(120):
        state = torch.randn(64, FEATURES)
        off = (torch.tanh(sampled(actor, state).pre_tanh[:, 0]) - 0.6 * torch.sign(state[:, 0])).square().mean()
        hold(off.requires_grad, "no gradient", "A loss on `sample`'s pre_tanh has no gradient, so nothing can be learned through it.")
        optimizer.zero_grad()
        off.backward()
        optimizer.step()
    hold(
        float(off.detach()) < 0.15,
        "does not learn",
        f"Taught to push right where the first number of the state is positive and left elsewhere, it is off by {float(off.detach()):.2f} "
        "(squared; a policy that ignores the state has 0.36 at best).",
    )


class PlainActor(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, features, action):
        super().__init__()
        sizes = [features] + [config.units] * config.layers
        hidden = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), nn.SiLU())]
        self.body = nn.Sequential(*hidden, nn.Linear(sizes[-1], 2 * action))
        self.low, self.high = config.log_std_min, config.log_std_max

    def forward(self, state):
        mean, log_std = self.body(state).chunk(2, -1)
        return self.centre(mean), self.limited(log_std)

    def centre(self, mean):
        return mean

    def limited(self, log_std):
        return log_std.clamp(self.low, self.high)

    def noise(self, mean):
        return torch.randn_like(mean)

    def sample(self, state):
        mean, log_std = self(state)
        noise = self.noise(mean)
        return Action(mean + log_std.exp() * noise, squashed_log_prob(noise, log_std, mean + log_std.exp() * noise))

    def draw(self, state):
        mean, log_std = self(state)
        return mean + log_std.exp() * self.noise(mean)

    def log_prob(self, state, pre_tanh):
        mean, log_std = self(state)
        return squashed_log_prob((pre_tanh - mean) / log_std.exp(), log_std, pre_tanh)

    def mode(self, state):
        return torch.tanh(self(state)[0])

    def squash(self, pre_tanh):
        return torch.tanh(pre_tanh)


class MeanSquashed(PlainActor):
    def centre(self, mean):
        return torch.tanh(mean)


class LogStdFree(PlainActor):
    def limited(self, log_std):
        return log_std


class SampleCut(PlainActor):
    def sample(self, state):
        with torch.no_grad():
            u = self.draw(state)
        return Action(u, self.log_prob(state, u))


class ActionOfDraw(PlainActor):
    def draw(self, state):
        return torch.tanh(super().draw(state))


class MeanAsMode(PlainActor):
    def mode(self, state):
        return self(state)[0]


class DensityOfU(PlainActor):
    def sample(self, state):
        u = self.draw(state)
        return Action(u, self.log_prob(state, u))

    def log_prob(self, state, pre_tanh):
        mean, log_std = self(state)
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(pre_tanh).sum(-1)


class OneNoiseForAll(PlainActor):
    def noise(self, mean):
        return torch.randn_like(mean[..., :1]).expand_as(mean)


class StdForLogStd(PlainActor):
    def draw(self, state):
        mean, log_std = self(state)
        return mean + log_std * self.noise(mean)


class ForgottenByLogProb(PlainActor):
    def log_prob(self, state, pre_tanh):
        return super().log_prob(state, pre_tanh).detach()


ACTOR = Build(
    id="2.A",
    title="The actor",
    minutes=35,
    difficulty=1,
    importance=3,
    reference=Actor,
    target="dreamer_core.sac:Actor",
    suits=lambda config, features, action: config.mean_limit == 0 and config.actor_out_scale == 1,
    properties=(
        Property(
            "network", "`forward` gives a mean and a log std for each motor, out of the whole state.", check_actor_network, ("forward",)
        ),
        Property("sizes", "The hidden layers are as many and as wide as the configuration says.", check_sizes),
        Property("limits", "log std keeps its limits, the mean is free, and a young policy is undecided.", check_limits, ("forward",)),
        Property("density", "`log_prob` is the density of tanh(u), also far out.", check_density, ("forward", "log_prob")),
        Property("sample", "`sample` draws from the policy, each motor for itself, with its log pi.", check_sample, ("forward", "sample")),
        Property("draw", "`draw` gives u of such a sample.", check_draw, ("forward", "draw")),
        Property("pathwise", "A gradient passes through the sample and its log pi.", check_actor_gradients, ("forward", "sample")),
        Property(
            "score", "A gradient reaches the policy through `log_prob` of a given action.", check_given_gradients, ("forward", "log_prob")
        ),
        Property("mode", "`mode` is tanh of the mean, and `squash` is tanh.", check_mode, ("forward", "mode", "squash")),
        Property("learning", "It learns what to do in which state.", check_actor_learns, ("sample",)),
    ),
    hints=(
        (
            "Begin with __init__ and `forward`: a few hidden layers, then one linear layer with 2 A outputs. The first half is the "
            "mean, the second half log std (`chunk(2, -1)`). Run the cell: two or three lines hold already, the others wait."
        ),
        (
            "`forward` clamps log std to config.log_std_min and config.log_std_max. `sample` calls `self(state)`, draws "
            "noise = torch.randn_like(mean), and hands all three to squashed_sample of exercise 2.2. `draw` does without log pi."
        ),
        (
            "`log_prob` of a given u: the noise that would have made it is (u - mean) / std; then squashed_log_prob(noise, log_std, u). "
            "`mode` is torch.tanh(self(state)[0]). `squash` is torch.tanh."
        ),
    ),
    mistakes=(
        Mistake(
            "mean_squashed",
            MeanSquashed,
            "The mean goes through tanh in `forward`, and u goes through tanh again later. The mean belongs to u: leave it as it is.",
        ),
        Mistake(
            "log_std_free",
            LogStdFree,
            "log std has no limits. One bad update can make exp(log std) infinite: clamp it to the configuration's two numbers.",
        ),
        Mistake(
            "sample_cut",
            SampleCut,
            "`sample` draws u without gradient, so the critic's slope cannot reach the actor: u = mean + std * noise keeps both attached.",
        ),
        Mistake("action_of_draw", ActionOfDraw, "`draw` gives tanh(u). It gives u itself; whoever needs the action calls `squash`."),
        Mistake("mean_as_mode", MeanAsMode, "`mode` gives the mean of u. The world needs an action between -1 and 1: tanh of the mean."),
        Mistake(
            "density_of_u",
            DensityOfU,
            "Both log-probabilities are those of u. The term for the slope of tanh is missing: use squashed_log_prob of exercise 2.1.",
        ),
        Mistake(
            "one_noise_for_all",
            OneNoiseForAll,
            "All motors share one noise, so they always err together. The covariance is diagonal: torch.randn_like(mean) has one for each.",
        ),
        Mistake("std_for_log_std", StdForLogStd, "`draw` multiplies the noise by log std. The standard deviation is exp(log std)."),
        Mistake(
            "forgotten_by_log_prob",
            ForgottenByLogProb,
            "`log_prob` of a given action is cut from the actor. u is data, but mean and log std are the actor's and keep their gradient.",
        ),
    ),
)


# --- 2.B both critics -------------------------------------------------------------------------------


def opinions(critics: Any, state: Tensor, action: Tensor) -> Tensor:
    """Both Q values, (2, ...)."""
    return shaped(
        critics(state, action), (2, *state.shape[:-1]), f"`forward` of a state {tuple(state.shape)} and an action {tuple(action.shape)}"
    )


def somewhere(rows: int = 40) -> tuple[Tensor, Tensor]:
    """States and actions."""
    return torch.randn(rows, FEATURES), 2 * torch.rand(rows, MOTORS) - 1


def check_critic_shapes(made: type) -> None:
    """(2, ...) for whatever stands before the last axis, also for views that repeat a row."""
    critics = network(made)
    for lead in LEADS:
        opinions(critics, torch.randn(*lead, FEATURES), torch.rand(*lead, MOTORS))
    state, action = somewhere(4)
    repeated = opinions(critics, state.expand(3, 4, FEATURES), action.expand(3, 4, MOTORS))
    agrees(repeated[:, 2], opinions(critics, state, action), "rows mix", "Q of a state and an action depends on what stands in other rows.")
    stored_whole(made, lambda net: opinions(net, state, action))


def check_critic_inputs(made: type) -> None:
    """Every number of state and action counts, for both, and not in a straight line."""
    critics = network(made)
    state, action = (each.requires_grad_() for each in somewhere())
    q = opinions(critics, state, action)
    agrees(opinions(critics, state, action), q, "random", "`forward` gives another Q when it is called again: nothing in it is random.")
    for number, one in enumerate(q, 1):
        to_state, to_action = slope(one.sum(), state, action)
        hold(bool(to_state.any(0).all()), "state ignored", f"Critic {number} does not look at the state, or not at all of it.")
        hold(
            bool(to_action.any(0).all()),
            "action ignored",
            f"Critic {number} does not look at the action, or not at all of it: Q(s, a) needs it.",
        )
    with torch.no_grad():
        low, middle, high = (critics(state, action + push) for push in (-1.0, 0.0, 1.0))
    hold(
        not torch.allclose(low + high, 2 * middle, atol=1e-4),
        "straight line",
        "Q is a straight line in the action: is there a nonlinearity (SiLU) after each hidden layer?",
    )


def check_two(made: type) -> None:
    """Two critics that share no weight."""
    critics = network(made)
    state, action = somewhere()
    q = opinions(critics, state, action)
    hold(
        not torch.allclose(q[0], q[1], atol=1e-5),
        "one critic",
        "Both Q are the same number: two networks are wanted, each with its own weights.",
    )
    weights = list(critics.parameters())
    first, second = slope(q[0].sum(), *weights), slope(q[1].sum(), *weights)
    shared = any(bool(((a != 0) & (b != 0)).any()) for a, b in zip(first, second))
    hold(
        not shared,
        "shared weights",
        "Some weight belongs to both critics: their errors would be alike, and the smaller of two would protect from nothing. "
        "Build two networks that share nothing.",
    )


def check_critic_start(made: type) -> None:
    """A young critic's opinion is small, random and not the other's."""
    critics = network(made, std=None, units=64)
    q = opinions(critics, *somewhere(300)).detach()
    hold(
        float(q.std(1).min()) > 1e-3,
        "zero start",
        "A fresh critic says the same everywhere. v1 begins with torch's usual random weights, in the last layer as well.",
    )
    hold(
        float(q.abs().max()) < 5,
        "large start",
        f"A fresh critic says {float(q.abs().max()):.0f} somewhere. torch's usual first weights give numbers below 1.",
    )
    hold(
        not torch.allclose(q[0], q[1], atol=1e-4),
        "equal start",
        "Both critics begin with the same weights, so they would stay the same for ever.",
    )


def check_slope(made: type) -> None:
    """The slope in the action, which the actor climbs, also where the weights are fixed."""
    critics = network(made, std=0.4)
    target = copy.deepcopy(critics).requires_grad_(False)
    state, action = somewhere()
    action.requires_grad_()
    (climbs,) = slope(opinions(target, state, action).sum(), action)
    hold(
        bool(climbs.any()),
        "action cut",
        "With fixed weights, as a target has them, Q gives the action no gradient: then an actor cannot climb it.",
    )
    with torch.no_grad():
        step = torch.zeros(MOTORS)
        step[0] = 1e-2
        rise = (critics(state, action + step) - critics(state, action - step)).sum(0) / 2e-2
    agrees(climbs[:, 0], rise, "slope", "The gradient for the action is not the slope of Q, found by pushing a little up and down.", 5e-2)


def check_restate(made: type) -> None:
    """Every Q becomes factor * Q + shift, in place, and goes on learning."""
    critics = network(made)
    before = list(critics.parameters())
    state, action = somewhere()
    for factor, shift in ((0.5, 3.0), (2.0, -1.0), (1.0, 0.25)):
        old = opinions(critics, state, action).detach()
        critics.restate(factor, shift)
        new = opinions(critics, state, action).detach()
        half = [torch.allclose(new[i], factor * old[i] + shift, atol=1e-3) for i in range(2)]
        hold(half[0] == half[1], "one restated", "`restate` changes one critic as it should, and the other not.")
        agrees(new, factor * old + shift, "restate", f"After restate({factor}, {shift}) every Q is {factor} * Q + {shift}.", 1e-3)
    hold(
        all(a is b and a.requires_grad for a, b in zip(before, critics.parameters())) and len(before) == len(list(critics.parameters())),
        "replaced",
        "`restate` makes new parameters, or changes whether they learn. The optimiser holds the old ones: change them in place, under "
        "torch.no_grad() (mul_, add_).",
    )
    twin = network(made)
    twin.load_state_dict(critics.state_dict())
    agrees(
        opinions(twin, state, action),
        opinions(critics, state, action),
        "not stored",
        "After `restate`, a saved and loaded critic says something else: factor and shift must go into the weights.",
    )
    critics.restate(0.0, -2.0)
    q = opinions(critics, state, action)
    agrees(q, torch.full_like(q, -2.0), "restate to one number", "After restate(0, -2) every Q is -2.")
    moves = slope(q.square().sum(), *critics.parameters())
    different = sum(float((move != 0).sum()) for move in moves)
    hold(
        different > 2, "dead", "After restate(0, -2) no weight but a bias gets a gradient: the critic could never learn states apart again."
    )


def check_follows(made: type) -> None:
    """A deep copy can follow as an average of weights."""
    critics = network(made)
    target = copy.deepcopy(critics).requires_grad_(False)
    state, action = somewhere()
    agrees(
        opinions(target, state, action), opinions(critics, state, action), "copy", "A copy.deepcopy of your critics says something else."
    )
    with torch.no_grad():
        for parameter in critics.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    ema_update(target, critics, 0.0)
    agrees(
        opinions(target, state, action),
        opinions(critics, state, action),
        "does not follow",
        "With polyak = 0 the target takes over every parameter of the fast critics, and yet it says something else: something that "
        "decides about Q is no parameter.",
    )


def check_critic_learns(made: type) -> None:
    """Both can learn what an action is worth, also far from 0."""
    torch.manual_seed(2)
    critics = network(made, std=None, units=32)
    optimizer = torch.optim.Adam(critics.parameters(), lr=2e-2)
    error = torch.ones(2)
    for _ in range(150):
        state, action = somewhere(64)
        worth = 4 - 3 * (action[:, 0] - 0.5 * torch.sign(state[:, 0])).square()
        error = F.mse_loss(opinions(critics, state, action), worth.expand(2, -1), reduction="none").mean(1)
        optimizer.zero_grad()
        error.sum().backward()
        optimizer.step()
    hold(
        float(error.detach().max()) < 2,
        "does not learn",
        f"Taught values from -3 to 4 that hang on state and action, the critics' squared errors stay at {plain_list(error.detach())} (6 is "
        "knowing nothing). Is the output free, without tanh or SiLU after the last layer, and does each critic get a gradient?",
    )


class PlainTwin(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, features, action):
        super().__init__()
        self.critics = nn.ModuleList(self.one(config, features + action) for _ in range(2))

    def one(self, config, inputs):
        sizes = [inputs] + [config.units] * config.layers
        hidden = [part for a, b in zip(sizes, sizes[1:]) for part in (nn.Linear(a, b), self.bend())]
        return nn.Sequential(*hidden, nn.Linear(sizes[-1], 1))

    def bend(self):
        return nn.SiLU()

    def forward(self, state, action):
        x = torch.cat([state, action], -1)
        return torch.stack([critic(x).squeeze(-1) for critic in self.critics])

    @torch.no_grad()
    def restate(self, factor, shift):
        for critic in self.critics:
            critic[-1].weight.mul_(factor)
            critic[-1].bias.mul_(factor).add_(shift)


class OneAndTheSame(PlainTwin):
    def forward(self, state, action):
        x = torch.cat([state, action], -1)
        return torch.stack([self.critics[0](x).squeeze(-1)] * 2)


class SharedBody(PlainTwin):
    def __init__(self, config, features, action):
        super().__init__(config, features, action)
        for first, second in list(zip(*self.critics))[:-1]:
            if isinstance(first, nn.Linear):
                second.weight, second.bias = first.weight, first.bias


class ZeroStart(PlainTwin):
    def __init__(self, config, features, action):
        super().__init__(config, features, action)
        self.restate(0.0, 0.0)


class StartAlike(PlainTwin):
    def __init__(self, config, features, action):
        super().__init__(config, features, action)
        self.critics = nn.ModuleList([self.critics[0], copy.deepcopy(self.critics[0])])


class AxisLeft(PlainTwin):
    def forward(self, state, action):
        x = torch.cat([state, action], -1)
        return torch.stack([critic(x) for critic in self.critics])


class NoAction(PlainTwin):
    def forward(self, state, action):
        return super().forward(state, 0 * action)


class NoBend(PlainTwin):
    def bend(self):
        return nn.Identity()


class Bounded(PlainTwin):
    def forward(self, state, action):
        return torch.tanh(super().forward(state, action))

    @torch.no_grad()
    def restate(self, factor, shift):
        for critic in self.critics:
            critic[-1].weight.mul_(factor)
            critic[-1].bias.mul_(factor).add_(shift)


class ShiftAlone(PlainTwin):
    @torch.no_grad()
    def restate(self, factor, shift):
        for critic in self.critics:
            critic[-1].weight.mul_(factor)
            critic[-1].bias.add_(shift)


class Unregistered(PlainTwin):
    def __init__(self, config, features, action):
        super().__init__(config, features, action)
        self.hidden = [critic[:-1] for critic in self.critics]
        self.critics = nn.ModuleList(critic[-1:] for critic in self.critics)

    def forward(self, state, action):
        x = torch.cat([state, action], -1)
        return torch.stack([critic(hidden(x)).squeeze(-1) for hidden, critic in zip(self.hidden, self.critics)])


CRITICS = Build(
    id="2.B",
    title="Both critics",
    minutes=25,
    difficulty=1,
    importance=2,
    reference=TwinQ,
    target="dreamer_core.sac:TwinQ",
    properties=(
        Property(
            "shapes", "Two numbers for each state and action, whatever stands before the last axis.", check_critic_shapes, ("forward",)
        ),
        Property("sizes", "The hidden layers are as many and as wide as the configuration says.", check_sizes),
        Property("inputs", "Every number of state and action counts, and not in a straight line.", check_critic_inputs, ("forward",)),
        Property("two", "The critics share no weight.", check_two, ("forward",)),
        Property("start", "They begin at random: small, not zero, and different.", check_critic_start, ("forward",)),
        Property("slope", "The action gets a gradient, also where the weights are fixed.", check_slope, ("forward",)),
        Property("restate", "factor * Q + shift goes into the weights, in place.", check_restate, ("forward", "restate")),
        Property("average", "A copy can follow parameter by parameter.", check_follows, ("forward",)),
        Property("learning", "Both learn what an action is worth.", check_critic_learns, ("forward",)),
    ),
    hints=(
        (
            "Each critic is an ordinary network: state and action side by side go in, one number comes out. Make two of them, keep "
            "both in an nn.ModuleList, and stack what they say."
        ),
        (
            "x = torch.cat([state, action], -1); each critic: hidden linear layers with SiLU after them, then nn.Linear(units, 1), then "
            "squeeze(-1); torch.stack of both along axis 0."
        ),
        (
            "`restate`: Q is the last layer's weight times something, plus its bias. So factor multiplies weight and bias, and shift is "
            "added to the bias. In place: layer.weight.mul_(factor), layer.bias.mul_(factor).add_(shift), under @torch.no_grad()."
        ),
    ),
    mistakes=(
        Mistake(
            "one_and_the_same",
            OneAndTheSame,
            "One network is asked twice. The smaller of two equal numbers protects from nothing: make two.",
        ),
        Mistake(
            "shared_body",
            SharedBody,
            "The hidden layers belong to both critics. Then their errors are alike; give each critic hidden layers of its own.",
        ),
        Mistake(
            "zero_start",
            ZeroStart,
            "The last layers begin at 0. That is DreamerV3's way; v1 keeps torch's random weights, so that the two begin apart.",
        ),
        Mistake(
            "start_alike",
            StartAlike,
            "The second critic begins as a copy of the first. Trained on the same rows, they stay equal: start both anew.",
        ),
        Mistake("axis_left", AxisLeft, "The last axis, of size 1, is left. One number for each state: squeeze(-1)."),
        Mistake("no_action", NoAction, "The action plays no part, so this is a value of states. Q(s, a) says what an *action* is worth."),
        Mistake(
            "no_bend",
            NoBend,
            "There is nothing between the linear layers, so together they are one linear layer: put SiLU after each hidden one.",
        ),
        Mistake(
            "bounded",
            Bounded,
            "The output goes through tanh. Values are sums of many rewards and know no such bound: end with a linear layer.",
        ),
        Mistake("shift_alone", ShiftAlone, "`restate` adds the shift to the bias and forgets to multiply the bias by the factor first."),
        Mistake(
            "unregistered",
            Unregistered,
            "Layers in a plain Python list are no part of the module: no optimiser, no target and no file sees them. Use nn.ModuleList.",
        ),
    ),
)


# --- 2.C the update ---------------------------------------------------------------------------------

NARROW = -9.0  # a log std so small that a sample is its mean, but for a ten-thousandth: then every step can be foretold
NAMES = ("critic_loss", "actor_loss", "q_mean", "return_mean", "entropy", "actor_grad_norm", "critic_grad_norm")


class Scene(NamedTuple):
    """A small SAC whose weights are all different, rows to learn from, and an optimiser whose step is the gradient itself."""

    sac: SAC
    batch: Trajectories
    optimizer: torch.optim.Optimizer


def scene(rows: int = 8, horizon: int = 1, **settings: Any) -> Scene:
    """Plain SAC with settings of its own; no entropy and hardly any chance, unless they are asked for."""
    usual = {"units": 8, "layers": 1, "gamma": 0.9, "polyak": 0.75, "clip_norm": 1e9, "alpha": 0.0}
    config = SACConfig(**(usual | {"log_std_min": NARROW, "log_std_max": NARROW, "alpha_final": settings.get("alpha", 0.0)} | settings))
    sac = SAC(config, FEATURES, MOTORS)
    with torch.no_grad():
        for parameter in sac.parameters():
            parameter.normal_(std=0.5)
    return Scene(sac, some_rows(rows, horizon), gradient_itself(sac))


def even(at: Scene) -> Scene:
    """The same, in which every trajectory counts alike."""
    return at._replace(batch=at.batch._replace(weight=torch.ones_like(at.batch.weight)))


def some_rows(rows: int, horizon: int) -> Trajectories:
    """N trajectories of H steps in which no two numbers are alike."""
    cont, weight = 0.3 + 0.7 * torch.rand(rows, horizon), 0.5 + torch.rand(rows)
    state, pre_tanh = torch.randn(rows, horizon + 1, FEATURES), 0.8 * torch.randn(rows, horizon, MOTORS)
    return Trajectories(state, pre_tanh, torch.randn(rows, horizon), cont, weight)


def gradient_itself(sac: SAC) -> torch.optim.Optimizer:
    """Gradient descent with the rate 1, in the two groups that `SAC.make_optimizer` makes."""
    return torch.optim.SGD([{"params": list(sac.actor.parameters())}, {"params": list(sac.q.parameters())}], lr=1.0)


class Step(NamedTuple):
    """What an update has done: steps downhill (before less after), the target as it is now, and the report."""

    actor: Tensor
    critics: Tensor
    target: Tensor
    report: dict


def flat(module: nn.Module) -> Tensor:
    """All weights in a row."""
    return torch.cat([each.detach().flatten() for each in module.parameters()])


def done(made: Callable, at: Scene) -> Step:
    """One call of the learner's update."""
    sac = at.sac
    actor, critics = flat(sac.actor), flat(sac.q)
    report = made(sac, at.batch, at.optimizer)
    hold(report is not None, "nothing", "The update gives None. It returns its metrics, a dict.")
    hold(
        isinstance(report, dict),
        "no dict",
        f"The update gives a {type(report).__name__}. It returns its metrics, a dict from name to number.",
    )
    return Step(actor - flat(sac.actor), critics - flat(sac.q), flat(sac.q_target), report)


def uphill(loss: Tensor, module: nn.Module) -> Tensor:
    """The gradient of a loss for all weights of a module, in a row."""
    return torch.cat([each.flatten() for each in slope(loss, *module.parameters())])


def alike(one: Tensor, other: Tensor) -> bool:
    """Equal but for the chance that is left."""
    return float((one - other).norm()) <= 0.02 * float(other.norm()) + 1e-5


def is_step(step: Tensor, wanted: Tensor, others: dict[str, tuple[Tensor, str]], kind: str, sentence: str) -> None:
    """Nothing if a step is the wanted one; else the first of the other steps that it is.

    Args:
        others: by kind, steps that are wrong in a known way, with a sentence.

    Raises:
        Wrong: it is another.
    """
    if not alike(step, wanted):
        for name, (other, said) in others.items():
            hold(not alike(step, other), name, said)
        hold(False, kind, sentence)


def smaller(q: Tensor) -> Tensor:
    """The smaller of two critics."""
    return q.amin(0)


def expected_log_prob(mean: Tensor, log_std: Tensor) -> Tensor:
    """E[log pi] of a narrow policy: at its mean, less 1/2 for each motor's squared noise."""
    return density(mean, log_std, mean) - 0.5 * MOTORS


@torch.no_grad()
def one_step_target(
    at: Scene,
    critics: nn.Module | None = None,
    pick: Callable = smaller,
    alpha: float = 0.0,
    gamma: float = 0.9,
    squash: Callable = torch.tanh,
) -> Tensor:
    """r + gamma c V in the states reached, (N, H), by the learner's own policy."""
    reached = at.batch.state[:, 1:]
    mean, log_std = at.sac.actor(reached)
    value = pick((critics or at.sac.q_target)(reached, squash(mean))) - alpha * expected_log_prob(mean, log_std)
    return at.batch.reward + gamma * at.batch.cont * value


def whole_weight(batch: Trajectories) -> Tensor:
    """(N, H)."""
    return batch.weight[:, None] * alive_weight(batch.cont)


def critics_step(at: Scene, target: Tensor, weight: Tensor | None = None, squash: Callable = torch.tanh) -> Tensor:
    """The gradient that fits both fast critics to a target."""
    weight = whole_weight(at.batch) if weight is None else weight
    q = at.sac.q(at.batch.state[:, :-1], squash(at.batch.pre_tanh))
    return uphill(((q - target).square() * weight).mean((1, 2)).sum(), at.sac.q)


def left_open(u: Tensor) -> Tensor:
    """What stands in the place of tanh where it was forgotten."""
    return u


def climb(
    at: Scene,
    critics: nn.Module | None = None,
    pick: Callable = smaller,
    alpha: float = 0.0,
    weight: Tensor | None = None,
    squash: Callable = torch.tanh,
) -> Tensor:
    """What a narrow policy descends: -mean[w (min Q(s, tanh(mean)) - alpha log pi)]."""
    state, weight = at.batch.state[:, :-1], whole_weight(at.batch) if weight is None else weight
    mean, log_std = at.sac.actor(state)
    value = pick((critics or at.sac.q_target)(state, squash(mean))) - alpha * density(mean, log_std, mean)
    return -(value * weight).mean()


def check_target(made: Callable) -> None:
    """What the fast critics regress on, without entropy."""
    at = even(scene())
    sac, unended = at.sac, at._replace(batch=at.batch._replace(cont=torch.ones_like(at.batch.cont)))
    others = {
        "fast bootstrap": (
            one_step_target(at, sac.q),
            "The target asks the fast critics. v1 asks the target critics, self.q_target, and them alone.",
        ),
        "larger": (
            one_step_target(at, pick=lambda q: q.amax(0)),
            "The target takes the larger of both values. It is the smaller one that counts.",
        ),
        "mean": (
            one_step_target(at, pick=lambda q: q.mean(0)),
            "The target takes the mean of both values. It is the smaller one that counts.",
        ),
        "cont": (one_step_target(unended), "`batch.cont` plays no part in the target: what ended has no future."),
        "gamma": (one_step_target(at, gamma=1.0), "The future in the target is not discounted by config.gamma."),
        "target of u": (one_step_target(at, squash=left_open), "The target asks for u. Critics are asked for the action, tanh(u)."),
        "reward alone": (at.batch.reward, "The target is the reward alone: what follows is missing."),
    }
    right = critics_step(at, one_step_target(at))
    steps = {kind: (critics_step(at, target), said) for kind, (target, said) in others.items()}
    of_u = critics_step(at, one_step_target(at), squash=left_open)
    steps["critics of u"] = (
        of_u,
        "The fast critics are asked for u, which `batch.pre_tanh` holds. Critics are asked for the action, tanh(u).",
    )
    steps["reached"] = (
        right + uphill(climb(at, sac.q), sac.q),
        "The actor's loss moves the fast critics as well: it asks self.q, and shall ask self.q_target.",
    )
    steps["still"] = (torch.zeros_like(right), "The critics do not move at all.")
    is_step(
        done(made, at).critics,
        right,
        steps,
        "critic step",
        "The fast critics do not step towards the one-step target. Write it out: one action in each state reached, the smaller "
        "target critic, backup; then twin_critic_loss of exercise 2.5.",
    )


def check_soft_target(made: Callable) -> None:
    """The same with entropy: once, with its sign."""
    at = even(scene(rows=1500, alpha=0.5))
    others = {
        "no entropy": (0.0, "The target holds no entropy: V is the *soft* value, exercise 2.3."),
        "entropy sign": (-0.5, "The target's entropy has the wrong sign: a less likely action is worth more, Q - alpha log pi."),
        "entropy twice": (1.0, "The target counts the entropy of the state reached twice."),
    }
    right = critics_step(at, one_step_target(at, alpha=0.5))
    steps = {kind: (critics_step(at, one_step_target(at, alpha=alpha)), said) for kind, (alpha, said) in others.items()}
    sentence = "With an entropy weight of 0.5 the critics step elsewhere than towards the soft target. See first that `target` holds."
    is_step(done(made, at).critics, right, steps, "soft target", sentence)
    at = even(scene(rows=1500, alpha=0.0, alpha_final=1.0, alpha_updates=4))
    at.sac.updates.fill_(2)
    right, fixed = (critics_step(at, one_step_target(at, alpha=alpha)) for alpha in (0.5, 0.0))
    steps = {"alpha fixed": (fixed, "The entropy weight is config.alpha for ever. It may move while the agent learns: use self.alpha.")}
    is_step(done(made, at).critics, right, steps, "alpha", "The entropy weight of the target is not self.alpha.")


def check_actor_step(made: Callable) -> None:
    """What the actor climbs."""
    at = even(scene(alpha=0.5))
    right = uphill(climb(at, alpha=0.5), at.sac.actor)
    others = {
        "actor still": (torch.zeros_like(right), "The actor does not move: its sample carries no gradient, or its loss is not in the sum."),
        "downhill": (-right, "The actor goes the wrong way: the loss is *minus* what it wants more of."),
        "fast actor": (
            uphill(climb(at, at.sac.q, alpha=0.5), at.sac.actor),
            "The actor climbs the fast critics. In v1 it climbs self.q_target.",
        ),
        "actor larger": (
            uphill(climb(at, pick=lambda q: q.amax(0), alpha=0.5), at.sac.actor),
            "The actor climbs the larger of both values. It is the smaller one that counts.",
        ),
        "actor mean": (
            uphill(climb(at, pick=lambda q: q.mean(0), alpha=0.5), at.sac.actor),
            "The actor climbs the mean of both values. It is the smaller one that counts.",
        ),
        "actor of u": (
            uphill(climb(at, alpha=0.5, squash=left_open), at.sac.actor),
            "The actor asks the critics for u. Critics are asked for the action, tanh(u).",
        ),
        "actor without entropy": (uphill(climb(at), at.sac.actor), "The actor does not care for its entropy: it climbs Q - alpha log pi."),
        "actor entropy sign": (
            uphill(climb(at, alpha=-0.5), at.sac.actor),
            "The actor's entropy has the wrong sign: it climbs Q - alpha log pi, so a less likely action counts more.",
        ),
    }
    is_step(
        done(made, at).actor,
        right,
        others,
        "actor step",
        "The actor's step is not the gradient of min Q - alpha log pi, at an action drawn anew in each state.",
    )


def check_weights(made: Callable) -> None:
    """How much each step counts, for critics and actor, where the target is the reward alone."""
    at = scene(horizon=3, gamma=0.0)
    batch = at.batch
    wrong = {
        "unweighted": (
            torch.ones_like(batch.cont),
            "`batch.weight` and the chance that a trajectory still runs play no part in the {}' loss.",
        ),
        "alive alone": (alive_weight(batch.cont), "`batch.weight` plays no part in the {}' loss."),
        "weight alone": (
            batch.weight[:, None].expand_as(batch.cont),
            "The {}' loss counts steps after the end as well: alive_weight(batch.cont) is missing.",
        ),
    }
    target, whole = batch.reward, whole_weight(batch)
    critics = {f"critics {kind}": (critics_step(at, target, weight), said.format("critics")) for kind, (weight, said) in wrong.items()}
    critics["critics divided"] = (
        critics_step(at, target, whole / whole.mean()),
        "The critics' loss is divided by the sum of the weights. The mean is the plain one, as in exercise 2.5.",
    )
    actor = {
        f"actor {kind}": (uphill(climb(at, weight=weight), at.sac.actor), said.replace("{}' loss", "actor's loss"))
        for kind, (weight, said) in wrong.items()
    }
    right = critics_step(at, target), uphill(climb(at), at.sac.actor)
    step = done(made, at)
    is_step(
        step.critics,
        right[0],
        critics,
        "critics weights",
        "With trajectories of three steps the critics' step is not the weighted one. See first that `target` holds.",
    )
    is_step(
        step.actor,
        right[1],
        actor,
        "actor weights",
        "With trajectories of three steps the actor's step is not the weighted one. See first that `actor` holds.",
    )


def check_descent(made: Callable, make: Callable[..., Scene]) -> None:
    """Old gradients are forgotten, each half is clipped for itself, and the rows stay as they are."""
    at = make()
    before = [each.clone() for each in at.batch]
    spoilt = at._replace(sac=copy.deepcopy(at.sac))
    spoilt = spoilt._replace(optimizer=gradient_itself(spoilt.sac))
    for group in spoilt.optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.full_like(parameter, 3.0)
    clean, other = done(made, at), done(made, spoilt)
    unchanged = all(torch.equal(a, b) for a, b in zip(before, at.batch))
    hold(unchanged, "rows changed", "The update changes its batch in place. Other updates still need it.")
    hold(
        alike(clean.critics, other.critics) and alike(clean.actor, other.actor),
        "old gradients",
        "Gradients of an earlier update are added to those of this one: call optimizer.zero_grad() first (descend does).",
    )
    at = make(clip_norm=0.05)
    step = done(made, at)
    sizes = float(step.actor.norm()), float(step.critics.norm())
    hold(min(sizes) > 0, "no step", f"The {'actor' if sizes[0] == 0 else 'critics'} did not step at all.")
    hold(
        max(sizes) < 0.0501,
        "not clipped",
        f"With clip_norm = 0.05 the steps have the norms {sizes[0]:.3g} (actor) and {sizes[1]:.3g} (critics): gradients are not clipped.",
    )
    hold(
        min(sizes) > 0.0499,
        "clipped together",
        f"With clip_norm = 0.05 the steps have the norms {sizes[0]:.3g} (actor) and {sizes[1]:.3g} (critics). Each half is clipped for "
        "itself: a large gradient of the critics must not shrink the actor's.",
    )


def check_average(made: Callable, make: Callable[..., Scene]) -> None:
    """The target follows, after the step."""
    at = make()
    old, fast = flat(at.sac.q_target), flat(at.sac.q)
    step = done(made, at)
    new = fast - step.critics
    others = {
        "no average": (old, "The target critics stay as they were: ema_update is missing, or has nothing to do."),
        "average too early": (0.75 * old + 0.25 * fast, "The target critics follow before the fast ones have taken their step."),
        "average turned": (0.25 * old + 0.75 * new, "polyak is how much of the *target* stays: 0.75 stays here, and 0.25 is new."),
        "copied": (new, "The target critics are a copy of the fast ones. They follow slowly: ema_update with config.polyak."),
    }
    is_step(
        step.target, 0.75 * old + 0.25 * new, others, "average", "The target critics do not follow by config.polyak, once in each update."
    )


def check_report(made: Callable) -> None:
    """The metrics, and the counter, where the target is the reward alone."""
    at = scene(rows=1500, alpha=0.3, gamma=0.0)
    clipped = at._replace(sac=copy.deepcopy(at.sac))
    clipped.sac.config.clip_norm = 0.05
    with torch.no_grad():
        q = at.sac.q(at.batch.state[:, :-1], torch.tanh(at.batch.pre_tanh)).mean()
        entropy = -expected_log_prob(*at.sac.actor(at.batch.state[:, :-1])).mean()
    step = done(made, at)
    report = step.report
    has_names(report)
    counted(at.sac, 1)
    agrees(float(report["q_mean"]), float(q), "q_mean", "`q_mean` is the mean of both fast critics before the step.", 1e-3)
    agrees(float(report["return_mean"]), float(at.batch.reward.mean()), "return_mean", "`return_mean` is the mean of the targets.", 1e-3)
    sentence = "`entropy` is minus the mean of log pi of the actions drawn for the actor's loss."
    agrees(float(report["entropy"]), float(entropy), "entropy", sentence, 0.2)
    check_norms(step, done(made, clipped._replace(optimizer=gradient_itself(clipped.sac))))


def check_norms(step: Step, clipped: Step) -> None:
    """The norms reported are those before clipping: of the whole step that is taken without."""
    for name, whole in (("actor_grad_norm", step.actor.norm()), ("critic_grad_norm", step.critics.norm())):
        for report in (step.report, clipped.report):
            off = abs(float(report[name]) - float(whole))
            said = f"`{name}` is the norm of that gradient before clipping, {float(whole):.3g} here. Yours is {float(report[name]):.3g}."
            hold(off < 0.05 * float(whole) + 1e-6, name, said)


def has_names(report: dict) -> None:
    """All metrics are there, one number each."""
    missing = [name for name in NAMES if name not in report]
    hold(not missing, "names", f"The metrics lack {', '.join(map(repr, missing))}.")
    for name in NAMES:
        shaped(report[name], (), f"The metric {name!r}")
        hold(
            not getattr(report[name], "requires_grad", False),
            "attached",
            f"The metric {name!r} still carries a gradient, and would keep all of this update's tensors alive: detach it.",
        )


def counted(sac: SAC, before: int) -> None:
    """`self.updates` has risen by one."""
    hold(
        isinstance(sac.updates, Tensor) and int(sac.updates) == before,
        "counter",
        f"After one update `self.updates` is {sac.updates}, it should be {before} in a tensor: self.updates += 1. self.alpha reads it.",
    )


def check_bandit(made: Callable) -> None:
    """A hundred and twenty updates on a world of one step: the best action is 0.5 and 0.5."""
    torch.manual_seed(4)
    sac = SAC(SACConfig(units=16, layers=1, polyak=0.7, alpha=0.01, alpha_final=0.01, actor_lr=5e-2, critic_lr=5e-2), FEATURES, MOTORS)
    optimizer = sac.make_optimizer()
    for _ in range(120):
        batch = some_rows(64, 1)
        away = (torch.tanh(batch.pre_tanh) - 0.5).square().sum(-1)
        made(sac, batch._replace(reward=-away, cont=torch.zeros(64, 1)), optimizer)
    with torch.no_grad():
        off = float((sac.actor.mode(torch.randn(50, FEATURES)) - 0.5).abs().mean())
    hold(off < 0.2, "does not learn", f"After 120 updates in a world of one step, whose best action is 0.5, the actor is off by {off:.2f}.")


def updating(
    bootstrap: str = "q_target",
    climbs: str = "q_target",
    entropy: bool = True,
    cont: bool = True,
    pick: Callable = smaller,
    attached: bool = True,
    weighted: bool = True,
    together: bool = False,
    forgets: bool = True,
    average: str = "after",
    counts: bool = True,
) -> Callable:
    """An update that is right but for what the arguments say."""

    def update(self, batch, optimizer):
        weight = batch.weight[:, None] * alive_weight(batch.cont) if weighted else torch.ones_like(batch.cont)
        with torch.no_grad():
            reached = batch.state[:, 1:]
            following = self.actor.sample(reached)
            value = pick(getattr(self, bootstrap)(reached, torch.tanh(following.pre_tanh)))
            value = value - self.alpha * following.log_prob if entropy else value
            target = batch.reward + self.config.gamma * (batch.cont if cont else 1) * value
        q = self.q(batch.state[:, :-1], torch.tanh(batch.pre_tanh))
        critic_loss = ((q - target).square() * weight).mean((1, 2)).sum()
        state = batch.state[:, :-1]
        with torch.set_grad_enabled(attached):
            action = self.actor.sample(state)
        best = pick(getattr(self, climbs)(state, torch.tanh(action.pre_tanh))) - self.alpha * action.log_prob
        actor_loss = -(best * weight).mean()
        if forgets:
            optimizer.zero_grad()
        (critic_loss + actor_loss).backward()
        halves = [list(self.actor.parameters()), list(self.q.parameters())]
        norms = [torch.cat([each.grad.flatten() for each in half if each.grad is not None] or [torch.zeros(1)]).norm() for half in halves]
        for group in [halves[0] + halves[1]] if together else halves:
            nn.utils.clip_grad_norm_(group, self.config.clip_norm)
        if average == "before":
            ema_update(self.q_target, self.q, self.config.polyak)
        optimizer.step()
        if average == "after":
            ema_update(self.q_target, self.q, self.config.polyak)
        if counts:
            self.updates += 1
        numbers = critic_loss, actor_loss, q.mean(), target.mean(), -action.log_prob.mean(), *norms
        return {name: number.detach() for name, number in zip(NAMES, numbers)}

    return update


def clips_by_norm(optimizer: torch.optim.Optimizer) -> bool:
    """Whether gradients are clipped as v1 does, and not by the paper's rule."""
    return all(group["clip"].keywords["config"].clip == "norm" for group in optimizer.param_groups if "clip" in group)


def plain_sac(self: SAC, batch: Trajectories, optimizer: torch.optim.Optimizer) -> bool:
    """Whether SAC learns from one soft step and climbs the critic's slope."""
    config = self.config
    one_step = config.actor_grad == "pathwise" and config.lam == 0 and config.soft
    return one_step and not config.return_range and clips_by_norm(optimizer)


UPDATE = Build(
    id="2.C",
    title="The whole update",
    minutes=45,
    difficulty=2,
    importance=3,
    reference=SAC.update,
    target="dreamer_core.sac:SAC.update",
    suits=plain_sac,
    properties=(
        Property("target", "The fast critics step towards r + gamma c min Q of the target critics.", check_target),
        Property("entropy", "The target is soft, with the entropy weight of now.", check_soft_target),
        Property("actor", "The actor climbs min Q - alpha log pi of the target critics.", check_actor_step),
        Property("weights", "Each step counts by its weight and by the chance that it is reached.", check_weights),
        Property("descent", "Old gradients are forgotten, each half is clipped for itself.", partial(check_descent, make=scene)),
        Property("average", "The target critics follow after the step.", partial(check_average, make=scene)),
        Property("report", "The metrics are right, and the update is counted.", check_report),
        Property("learning", "It learns.", check_bandit),
    ),
    hints=(
        (
            "It is the notebook's own update_on_rows with other names. The rows are a batch (N, H) now: state[:, :-1] is where the actions "
            "were taken, state[:, 1:] what they reached; pre_tanh is u. Begin with the target and the critics' loss."
        ),
        (
            "Under torch.no_grad(): following = self.actor.sample(batch.state[:, 1:]); value = soft_value(self.q_target(..., "
            "torch.tanh(following.pre_tanh)).amin(0), following.log_prob, self.alpha); target = backup(batch.reward, batch.cont, value, "
            "gamma). The weight is batch.weight[:, None] * alive_weight(batch.cont)."
        ),
        (
            "The actor: action = self.actor.sample(state), with gradient; value as above at self.q_target; loss -(value * weight).mean(). "
            "Then actor_norm, critic_norm = descend(critic_loss + actor_loss, optimizer, self.config.clip_norm); ema_update(self.q_target, "
            "self.q, self.config.polyak); self.updates += 1; and a dict of seven numbers, each detached."
        ),
    ),
    mistakes=(
        Mistake(
            "fast_bootstrap",
            updating(bootstrap="q"),
            "The target is made of the fast critics. v1 reads the target critics, here and everywhere.",
        ),
        Mistake(
            "fast_actor",
            updating(climbs="q"),
            "The actor climbs the fast critics, and so its loss also bends *them*, towards praising what it does. It climbs self.q_target.",
        ),
        Mistake("hard_target", updating(entropy=False), "The target leaves the entropy out. V is the soft value: Q - alpha log pi."),
        Mistake(
            "cont_ignored",
            updating(cont=False),
            "`cont` plays no part. Where the world truly ended nothing follows: multiply the future by it.",
        ),
        Mistake(
            "larger_of_two",
            updating(pick=lambda q: q.amax(0)),
            "The larger of both critics counts, so every error upward is believed: amin, not amax.",
        ),
        Mistake(
            "actor_cut",
            updating(attached=False),
            "The actor's own action is drawn without gradient, so nothing reaches the actor. Only the target's action is data.",
        ),
        Mistake(
            "unweighted",
            updating(weighted=False),
            "No step is weighted. Multiply by batch.weight[:, None] * alive_weight(batch.cont) in both losses.",
        ),
        Mistake(
            "clipped_together",
            updating(together=True),
            "Both halves are clipped as one. Clip the actor's gradient and the critics' apart: descend does, group by group.",
        ),
        Mistake("old_gradients", updating(forgets=False), "optimizer.zero_grad() is missing: each update repeats all earlier ones."),
        Mistake(
            "average_before", updating(average="before"), "The target critics follow before the step, so they are always one update late."
        ),
        Mistake(
            "no_average",
            updating(average="never"),
            "The target critics never move. Then Q learns about one step, and never about the next.",
        ),
        Mistake("not_counted", updating(counts=False), "self.updates stays where it is: add 1, for the schedule of alpha reads it."),
    ),
)

BUILDS = [ACTOR, CRITICS, UPDATE]

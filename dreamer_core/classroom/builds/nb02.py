"""Notebook 02: the actor, both critics, and an update of SAC."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions.transforms import TanhTransform
from torch.nn import functional as F

from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import SACConfig
from dreamer_core.sac import Action, Actor, TwinQ, ema_update, squashed_log_prob

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

BUILDS = [ACTOR, CRITICS]

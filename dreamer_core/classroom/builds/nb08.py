"""Notebook 08: the update of the preset `advantage`, whole."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dreamer_core.classroom.build import Build, Property, agrees, hold
from dreamer_core.classroom.builds.nb02 import (
    FEATURES,
    MOTORS,
    NAMES,
    Scene,
    check_average,
    check_descent,
    check_norms,
    clips_by_norm,
    counted,
    critics_step,
    density,
    done,
    even,
    gradient_itself,
    has_names,
    is_step,
    smaller,
    some_rows,
    uphill,
    whole_weight,
)
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import SACConfig
from dreamer_core.returns import alive_weight, lambda_return
from dreamer_core.sac import SAC, ema_update
from dreamer_core.trajectories import Trajectories

# --- a world in which every step can be foretold ------------------------------------------------------


class OfStates(nn.Module):
    """Two critics that know the state alone, so that it makes no difference which action is drawn; `push` adds as much for each motor."""

    def __init__(self, push: float = 0.0) -> None:
        super().__init__()
        self.lines, self.push, self.asked = nn.Linear(FEATURES, 2), push, 0

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """(..., F), (..., A) -> (2, ...)."""
        q = self.lines(state) + self.push * action.sum(-1, keepdim=True)
        self.asked += q[..., 0].numel()
        return q.movedim(-1, 0)


def dream(rows: int = 8, horizon: int = 3, push: float = 0.0, **settings: Any) -> Scene:
    """SAC under the score function, with critics of states; no entropy unless it is asked for."""
    usual = {"units": 8, "layers": 1, "gamma": 0.9, "polyak": 0.75, "clip_norm": 1e9, "actor_grad": "score", "lam": 1.0, "alpha": 0.0}
    limits = {"log_std_min": -1.0, "log_std_max": 0.5, "alpha_final": settings.get("alpha", 0.0)}
    sac = SAC(SACConfig(**(usual | limits | settings)), FEATURES, MOTORS)
    sac.q = OfStates(push)
    sac.q_target = copy.deepcopy(sac.q).requires_grad_(False)
    with torch.no_grad():
        for parameter in sac.parameters():
            parameter.normal_(std=0.5)
    return Scene(sac, some_rows(rows, horizon), gradient_itself(sac))


@torch.no_grad()
def mixed_return(at: Scene, lam: float, critics: nn.Module | None = None, pick: Callable = smaller, ends: bool = True) -> Tensor:
    """The lambda-return by its definition, (N, H): the mix of all n-step returns, each added up forwards. Without entropy."""
    batch, gamma = at.batch, at.sac.config.gamma
    horizon = batch.reward.shape[1]
    cont = batch.cont if ends else torch.ones_like(batch.cont)
    value = pick((critics or at.sac.q_target)(batch.state[:, 1:], torch.zeros(len(cont), horizon, MOTORS)))

    def looking(t: int, steps: int) -> Tensor:
        total, goes_on = torch.zeros(len(cont)), torch.ones(len(cont))
        for k in range(t, t + steps):
            total, goes_on = total + goes_on * batch.reward[:, k], goes_on * gamma * cont[:, k]
        return total + goes_on * value[:, t + steps - 1]

    def mix(t: int) -> Tensor:
        most = horizon - t
        return sum((1 - lam) * lam ** (n - 1) * looking(t, n) for n in range(1, most)) + lam ** (most - 1) * looking(t, most)

    return torch.stack([mix(t) for t in range(horizon)], 1)


def scored(at: Scene, advantage: Tensor, weight: Tensor | None = None) -> Tensor:
    """The actor's step for given advantages: the gradient of -mean[w A log pi]."""
    log_prob = density(*at.sac.actor(at.batch.state[:, :-1]), at.batch.pre_tanh)
    weight = whole_weight(at.batch) if weight is None else weight
    return uphill(-(advantage.detach() * log_prob * weight).mean(), at.sac.actor)


def ground(at: Scene, critics: nn.Module | None = None, pick: Callable = smaller) -> Tensor:
    """What these critics say of the states in which actions were taken, (N, H)."""
    return pick((critics or at.sac.q_target)(at.batch.state[:, :-1], torch.zeros_like(at.batch.pre_tanh))).detach()


# --- properties ---------------------------------------------------------------------------------------


def check_returns(made: Callable) -> None:
    """What the critics regress on, without entropy: every lambda."""
    for lam in (1.0, 0.6, 0.0):
        at = even(dream(lam=lam))
        sac = at.sac
        others = {
            "fast bootstrap": (
                mixed_return(at, lam, sac.q),
                "The returns end in a value of the fast critics. v1 asks self.q_target alone.",
            ),
            "larger": (
                mixed_return(at, lam, pick=lambda q: q.amax(0)),
                "The returns take the larger of both values: it is the smaller one.",
            ),
            "cont": (mixed_return(at, lam, ends=False), "`batch.cont` plays no part in the returns: what ended has no future."),
            "one step": (
                mixed_return(at, 0.0),
                f"The returns look one step ahead, and config.lam is {lam}: lambda_return of exercise 8.2.",
            ),
            "H steps": (mixed_return(at, 1.0), f"The returns always look to the dream's end, and config.lam is {lam}."),
        }
        right = mixed_return(at, lam)
        wanted = critics_step(at, right)
        steps = {kind: (critics_step(at, returns), said) for kind, (returns, said) in others.items() if not torch.allclose(returns, right)}
        evenly = critics_step(at, right, torch.ones_like(right))
        steps["unweighted"] = (evenly, "The returns are right, but each step of the dream counts alike: the property `weights` says more.")
        steps["critics still"] = (torch.zeros_like(wanted), "The critics do not move at all.")
        sentence = f"With lambda = {lam} the critics do not step towards the lambda-return of exercise 8.2, bootstrapped by self.q_target."
        is_step(done(made, at).critics, wanted, steps, "critic step", sentence)


def check_entropy(made: Callable) -> None:
    """Where the values are exact, lambda cannot matter: each later step's entropy counts once."""
    for lam in (0.0, 0.5, 1.0):
        at = dream(rows=2000, horizon=4, lam=lam, alpha=0.0, alpha_final=2.0, alpha_updates=4, log_std_min=-0.7, log_std_max=-0.7)
        at.sac.updates.fill_(2)  # so that the entropy weight of now is 1
        with torch.no_grad():
            for parameter in at.sac.parameters():
                parameter.zero_()
            u = drawn(at, at.batch.state[:, :-1])
            entropy = -float(density(*at.sac.actor(at.batch.state[:, :-1]), u).mean())
            for critics in (at.sac.q, at.sac.q_target):
                critics.lines.bias.fill_(0.9 * entropy / (1 - 0.9))
        for_ever = at.batch._replace(pre_tanh=u, reward=torch.zeros(2000, 4), cont=torch.ones(2000, 4))
        got, wanted = float(done(made, at._replace(batch=for_ever)).report["return_mean"]), 0.9 * entropy / (1 - 0.9)
        world = f"In a world that pays nothing but the entropy {entropy:.2f} of each step, every lambda gives the return {wanted:.2f}. "
        lost, what = ("value not soft", "the soft value of the state reached") if lam == 0 else ("entropy lost", "some step on the way")
        hold(got > wanted - 0.3, lost, f"{world}Yours, with lambda = {lam}, is {got:.2f}: the entropy of {what} is left out.")
        hold(got < wanted + 0.3, "entropy twice", f"{world}Yours, with lambda = {lam}, is {got:.2f}: some step's entropy is counted twice.")


@torch.no_grad()
def drawn(at: Scene, state: Tensor) -> Tensor:
    """u of one sample in each state."""
    mean, log_std = at.sac.actor(state)
    return mean + log_std.exp() * torch.randn_like(mean)


def check_advantage(made: Callable) -> None:
    """What the actor follows, without entropy."""
    at = even(dream(horizon=1, gamma=0.0))
    returns, sac = at.batch.reward, at.sac
    right = scored(at, returns - ground(at))
    others = {
        "actor still": (torch.zeros_like(right), "The actor does not move: log pi of the actions *taken* must carry its gradient."),
        "downhill": (-right, "The actor goes the wrong way: the loss is *minus* advantage times log pi."),
        "no baseline": (scored(at, returns), "No baseline is subtracted: the actor follows the returns themselves."),
        "fast baseline": (scored(at, returns - ground(at, sac.q)), "The baseline asks the fast critics. v1 asks self.q_target alone."),
        "larger baseline": (
            scored(at, returns - ground(at, pick=lambda q: q.amax(0))),
            "The baseline takes the larger critic, not the smaller.",
        ),
        "mean baseline": (
            scored(at, returns - ground(at, pick=lambda q: q.mean(0))),
            "The baseline takes the mean of both critics, not the smaller.",
        ),
    }
    sentence = "The actor's step is not the gradient of -mean[A log pi], with A = R - b(s) and the smaller target critic in b."
    is_step(done(made, at).actor, right, others, "actor step", sentence)


def check_baseline(made: Callable) -> None:
    """The baseline is a mean over K actions drawn anew."""
    at = dream(rows=5, horizon=3, baseline_samples=7)
    at.sac.q_target.asked = 0
    done(made, at)
    asked = at.sac.q_target.asked
    hold(
        asked >= 7 * 15,
        "samples",
        f"With config.baseline_samples = 7 and 15 steps, the baseline asks about 105 actions. self.q_target was asked for {asked} in all.",
    )
    at = even(dream(rows=30, horizon=1, push=1.0, baseline_samples=4000, gamma=0.0))
    state = at.batch.state[:, :-1]
    with torch.no_grad():
        many = torch.tanh(drawn(at, state.expand(4000, *state.shape))).sum(-1).mean(0)
        taken = torch.tanh(at.batch.pre_tanh).sum(-1)
    right, of_the_taken = (scored(at, at.batch.reward - ground(at) - pushed) for pushed in (many, taken))
    steps = {
        "taken": (of_the_taken, "The baseline asks for the action that was taken. It is what the policy gets *on average*: draw anew.")
    }
    is_step(done(made, at).actor, right, steps, "baseline", "The baseline is not the mean value of actions drawn from the policy.")


def check_own_entropy(made: Callable) -> None:
    """This step's entropy is in the advantage once, and the advantage is a number."""
    at = even(dream(rows=6000, horizon=1, alpha=1.0))
    state = at.batch.state[:, :-1]
    with torch.no_grad():
        for parameter in at.sac.q_target.parameters():
            parameter.zero_()
    nothing = torch.zeros_like(at.batch.cont)
    at = at._replace(batch=at.batch._replace(pre_tanh=drawn(at, state), reward=nothing, cont=nothing))
    mean, log_std = at.sac.actor(state.expand(4, *state.shape))
    wanted = uphill(density(mean, log_std, mean + log_std.exp() * torch.randn_like(mean)).mean(), at.sac.actor)
    share = float(done(made, at).actor @ wanted / wanted.square().sum())
    told = f"Where nothing is paid, the actor can only raise its entropy. It does so with {share:.1f} times the right step. "
    hold(
        share > 0.6, "no own entropy", f"{told}This step's -alpha log pi belongs to the advantage, as it is in the baseline (exercise 8.4)."
    )
    hold(
        share < 1.5,
        "own entropy twice",
        f"{told}Either a bonus is added beside the advantage, or the advantage carries a gradient: it is a number (exercise 8.4).",
    )


def check_weights(made: Callable) -> None:
    """How much each step counts, for critics and actor, where the returns are the rewards alone."""
    at = dream(gamma=0.0)
    batch, whole = at.batch, whole_weight(at.batch)
    wrong = {
        "unweighted": (torch.ones_like(batch.cont), "`batch.weight` and the chance that the dream still runs play no part in {} loss."),
        "alive alone": (alive_weight(batch.cont), "`batch.weight` plays no part in {} loss."),
        "weight alone": (batch.weight[:, None].expand_as(batch.cont), "After its end the dream still counts in {} loss: use alive_weight."),
        "divided": (whole / whole.mean(), "The weighted mean is divided by the weights in {} loss. It is the plain mean, as in 8.5."),
    }
    advantage = batch.reward - ground(at)
    fit, follow = critics_step(at, batch.reward), scored(at, advantage)
    critics = {
        f"critics {kind}": (critics_step(at, batch.reward, weight), said.format("the critics'")) for kind, (weight, said) in wrong.items()
    }
    actor = {f"actor {kind}": (scored(at, advantage, weight), said.format("the actor's")) for kind, (weight, said) in wrong.items()}
    step = done(made, at)
    is_step(
        step.critics,
        fit,
        critics,
        "critics weights",
        "In dreams of three steps the critics' step is not the weighted one. See first that `returns` holds.",
    )
    is_step(
        step.actor,
        follow,
        actor,
        "actor weights",
        "In dreams of three steps the actor's step is not the weighted one. See first that `advantage` holds.",
    )


def check_spread(made: Callable) -> None:
    """With normalize_advantage, advantages are divided by a running standard deviation."""
    for before, kept in ((0, None), (3, 2.0)):
        at = even(dream(rows=60, horizon=1, gamma=0.0, normalize_advantage=True))
        at.sac.updates.fill_(before)
        advantage = at.batch.reward - ground(at)
        own = advantage.std(unbiased=False)
        spread = own if kept is None else 0.95 * kept + 0.05 * own
        if kept is not None:
            at.sac.advantage_std.fill_(kept)
        others = {
            "not divided": (
                scored(at, advantage),
                "With config.normalize_advantage the advantage is divided by its running spread; yours is not.",
            ),
            "own spread": (
                scored(at, advantage / own),
                "Each batch is divided by its own spread: after the first, only a twentieth of it is new.",
            ),
            "centred": (
                scored(at, (advantage - advantage.mean()) / spread),
                "The mean of the advantages is subtracted. They are only divided.",
            ),
            "old spread": (
                scored(at, advantage / (kept or 1.0)),
                "The spread is renewed after it was used: this batch's part goes in first, the whole of it in the first update.",
            ),
        }
        if kept is None:
            del others["own spread"]
        right = scored(at, advantage / spread)
        is_step(
            done(made, at).actor,
            right,
            others,
            "spread",
            "The advantage is not divided by its running spread. See first that `advantage` holds.",
        )
        sentence = "self.advantage_std holds the running spread, for the next update."
        agrees(float(at.sac.advantage_std), float(spread), "spread not kept", sentence, 0.02)
    at = dream(gamma=0.0, normalize_advantage=True)
    alike = at._replace(batch=at.batch._replace(reward=ground(at)))
    finite = bool(done(made, alike).actor.isfinite().all())
    hold(finite, "no spread", "Where all advantages are 0, their spread is 0 and the step is NaN: divide by 0.001 at least.")


def check_report(made: Callable) -> None:
    """The metrics, and the counter, where the returns are the rewards alone."""
    at = dream(rows=40, gamma=0.0)
    clipped = at._replace(sac=copy.deepcopy(at.sac))
    clipped.sac.config.clip_norm = 0.05
    with torch.no_grad():
        q = at.sac.q(at.batch.state[:, :-1], torch.tanh(at.batch.pre_tanh)).mean()
        entropy = -density(*at.sac.actor(at.batch.state[:, :-1]), at.batch.pre_tanh).mean()
    step = done(made, at)
    has_names(step.report)
    counted(at.sac, 1)
    agrees(float(step.report["q_mean"]), float(q), "q_mean", "`q_mean` is the mean of both fast critics before the step.", 1e-3)
    agrees(
        float(step.report["return_mean"]), float(at.batch.reward.mean()), "return_mean", "`return_mean` is the mean of the returns.", 1e-3
    )
    agrees(float(step.report["entropy"]), float(entropy), "entropy", "`entropy` is minus the mean of log pi of the actions taken.", 1e-3)
    check_norms(step, done(made, clipped._replace(optimizer=gradient_itself(clipped.sac))))


def check_bandit(made: Callable) -> None:
    """A hundred and twenty updates in a dream of one step: the best action is 0.5 and 0.5."""
    torch.manual_seed(4)
    config = SACConfig(
        units=16, layers=1, polyak=0.7, alpha=0.01, alpha_final=0.01, actor_lr=3e-2, critic_lr=5e-2, actor_grad="score", lam=1.0
    )
    sac = SAC(config, FEATURES, MOTORS)
    optimizer = sac.make_optimizer()
    for _ in range(120):
        state = torch.randn(128, 2, FEATURES)
        with torch.no_grad():
            u = sac.actor.draw(state[:, :-1])
        away = (torch.tanh(u) - 0.5).square().sum(-1)
        made(sac, Trajectories(state, u, -away, torch.zeros(128, 1), torch.ones(128)), optimizer)
    with torch.no_grad():
        off = float((sac.actor.mode(torch.randn(50, FEATURES)) - 0.5).abs().mean())
    hold(off < 0.25, "does not learn", f"After 120 updates in dreams of one step, whose best action is 0.5, the actor is off by {off:.2f}.")


# --- wrong on purpose ---------------------------------------------------------------------------------


def scoring(
    lam: float | None = None,
    bootstrap: str = "q_target",
    on_the_way: float = 1.0,
    soft_end: float = 1.0,
    baseline: str = "drawn",
    own: bool = True,
    attached: bool = False,
    weighted: bool = True,
    divided: bool = True,
    average: bool = True,
    counts: bool = True,
) -> Callable:
    """An update that is right but for what the arguments say."""

    def update(self, batch, optimizer):
        config, alpha, state = self.config, self.alpha, batch.state[:, :-1]
        weight = batch.weight[:, None] * alive_weight(batch.cont) if weighted else torch.ones_like(batch.cont)
        log_prob = self.actor.log_prob(state, batch.pre_tanh)
        with torch.no_grad():
            reached = batch.state[:, 1:]
            action = self.actor.sample(reached)
            critics = getattr(self, bootstrap)
            value = smaller(critics(reached, torch.tanh(action.pre_tanh))) - soft_end * alpha * action.log_prob
            bonus = torch.zeros_like(batch.reward)
            bonus[:, :-1] = -on_the_way * alpha * log_prob[:, 1:]
            returns = lambda_return(batch.reward, batch.cont, value, bonus, config.gamma, config.lam if lam is None else lam)
            many = state.expand(config.baseline_samples, *state.shape)
            action = self.actor.sample(many)
            value = smaller(self.q_target(many, torch.tanh(action.pre_tanh))) - alpha * action.log_prob
            if baseline == "taken":
                value = smaller(self.q_target(state, torch.tanh(batch.pre_tanh)))[None] - alpha * log_prob
            base = value.mean(0) if baseline != "none" else 0.0
        advantage = returns - (alpha * log_prob if own else 0.0) - base
        advantage = advantage if attached else advantage.detach()
        if config.normalize_advantage and divided:
            self.advantage_std.lerp_(advantage.detach().std(unbiased=False), 0.05 if self.updates else 1.0)
            advantage = advantage / self.advantage_std.clamp(min=1e-3)
        q = self.q(state, torch.tanh(batch.pre_tanh))
        critic_loss = ((q - returns).square() * weight).mean((1, 2)).sum()
        actor_loss = -(advantage * log_prob * weight).mean()
        optimizer.zero_grad()
        (critic_loss + actor_loss).backward()
        norms = [nn.utils.clip_grad_norm_(list(half.parameters()), config.clip_norm) for half in (self.actor, self.q)]
        optimizer.step()
        if average:
            ema_update(self.q_target, self.q, config.polyak)
        if counts:
            self.updates += 1
        numbers = critic_loss, actor_loss, q.mean(), returns.mean(), -log_prob.mean(), *norms
        return {name: number.detach() for name, number in zip(NAMES, numbers)}

    return update


def scores(self: SAC, batch: Trajectories, optimizer: torch.optim.Optimizer) -> bool:
    """Whether SAC follows the score function, with soft returns of any lambda."""
    config = self.config
    return config.actor_grad == "score" and config.soft and not config.return_range and clips_by_norm(optimizer)


UPDATE: Build = Build(
    id="8.A",
    title="The update of `advantage`",
    minutes=60,
    difficulty=3,
    importance=2,
    reference=SAC.update,
    target="dreamer_core.sac:SAC.update",
    suits=scores,
    runs_with='preset("advantage")',
    properties=(
        Property("returns", "The critics step towards the lambda-return, for every lambda.", check_returns),
        Property("entropy", "The entropy of each later step counts once.", check_entropy),
        Property("advantage", "The actor follows advantage times log pi, with the smaller target critic in the baseline.", check_advantage),
        Property("baseline", "The baseline is a mean over actions drawn anew.", check_baseline),
        Property("own entropy", "This step's entropy is in the advantage once, and the advantage is a number.", check_own_entropy),
        Property("weights", "Each step counts by its weight and by the chance that it is reached.", check_weights),
        Property("spread", "With normalize_advantage, advantages are divided by their running spread.", check_spread),
        Property("descent", "Old gradients are forgotten, each half is clipped for itself.", partial(check_descent, make=dream)),
        Property("average", "The target critics follow after the step.", partial(check_average, make=dream)),
        Property("report", "The metrics are right, and the update is counted.", check_report),
        Property("learning", "It learns.", check_bandit),
    ),
    hints=(
        (
            "The cell under exercise 8.4 computes returns, baseline and advantage of a batch of dreams already. Begin with it: `dreams` is "
            "`batch`, `sac` is `self`, 1.0 is config.lam, 4 is config.baseline_samples. log_prob needs its gradient: out of no_grad."
        ),
        (
            "Under torch.no_grad(): bonus = zeros, bonus[:, :-1] = -alpha * log_prob[:, 1:]; value = self.target_value(reached, "
            "self.actor.sample(reached)); lambda_return; then K actions in each state for soft_baseline. Outside: soft_advantage, "
            "score_actor_loss, and twin_critic_loss of self.q(state, torch.tanh(batch.pre_tanh))."
        ),
        (
            "With config.normalize_advantage: self.advantage_std.lerp_(advantage.std(unbiased=False), 0.05 if self.updates else 1.0), then "
            "advantage / self.advantage_std.clamp(min=1e-3). At last descend(critic_loss + actor_loss, optimizer, config.clip_norm), "
            "ema_update, self.updates += 1, and the seven numbers, each detached."
        ),
    ),
    mistakes=(
        Mistake(
            "one_step_always",
            scoring(lam=0.0),
            "Returns look one step ahead whatever config.lam says. The preset `advantage` looks to the dream's end.",
        ),
        Mistake(
            "fast_bootstrap",
            scoring(bootstrap="q"),
            "The returns end in values of the fast critics. v1 reads the target critics, here and everywhere.",
        ),
        Mistake(
            "no_bonus",
            scoring(on_the_way=0.0),
            "The steps on the way earn no entropy: the bonus of the action taken at s_{t+1} stands in column t.",
        ),
        Mistake(
            "hard_end",
            scoring(soft_end=0.0),
            "The values that the returns end in are not soft: subtract alpha log pi of the action drawn there.",
        ),
        Mistake(
            "no_baseline",
            scoring(baseline="none"),
            "No baseline is subtracted. Its mean effect is nothing, and its effect on the noise is large.",
        ),
        Mistake(
            "baseline_of_the_taken",
            scoring(baseline="taken"),
            "The baseline asks for the action that was taken. Draw K actions anew in each state.",
        ),
        Mistake(
            "own_entropy_forgotten",
            scoring(own=False),
            "The advantage leaves out this step's -alpha log pi. The baseline holds it: so must the return.",
        ),
        Mistake(
            "advantage_attached",
            scoring(attached=True),
            "The advantage carries the actor's gradient, through its log pi. It is a mark, as in school: detach it.",
        ),
        Mistake(
            "unweighted",
            scoring(weighted=False),
            "No step is weighted. Multiply by batch.weight[:, None] * alive_weight(batch.cont) in both losses.",
        ),
        Mistake("never_divided", scoring(divided=False), "config.normalize_advantage is not heeded, and the preset `advantage` sets it."),
        Mistake("no_average", scoring(average=False), "The target critics never move, so returns end in the opinion of a beginner."),
        Mistake("not_counted", scoring(counts=False), "self.updates stays where it is: add 1. The spread and alpha's schedule read it."),
    ),
)

BUILDS = [UPDATE]

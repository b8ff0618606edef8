"""The critic's two moving parts: the target that follows, and the returns it is fitted to."""

from collections.abc import Iterable

import torch
from torch import Tensor

from dreamer_core import returns
from dreamer_core.agent import Dreamer
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import filled, specimen
from dreamer_core.clinic.subject import Subject
from dreamer_core.replay import Window
from dreamer_core.rssm import Beliefs
from dreamer_core.trajectories import Replayed, Trajectories

TARGET_SAYS = {
    "share of the way": "how far the target critic goes after the fast one in an update, over what the settings say",
    "aside": "how far it goes in any other direction, over the whole way",
}
TARGET_HEALTHY: dict[str, Range] = {"share of the way": exactly(1, 0.02), "aside": exactly(0, 0.01)}


def critics(agent: Dreamer) -> tuple[torch.nn.Module, torch.nn.Module, float]:
    """The fast critic, the one that follows, and the share of the way that it should go in an update."""
    sac = agent.sac
    if agent.config.actor_critic == "dreamerv3":
        return sac.v, sac.v_slow, agent.config.dreamerv3.slow_rate
    return sac.q, sac.q_target, 1 - agent.config.sac.polyak


def flat(parts: Iterable[Tensor]) -> Tensor:
    """All numbers of some parameters in one vector."""
    return torch.cat([part.detach().flatten() for part in parts])


def measure_target(subject: Subject) -> Reading:
    """One update of the actor-critic; both critics before and after it."""
    with apart(subject):
        agent = specimen(subject)
        filled(agent, 128, 32)
        fast, slow, rate = critics(agent)
        before = flat(slow.parameters())
        window, beliefs = seen = agent.look_back()
        rows = slice(-agent.config.imagination.last, None)
        replayed = replayed_rows(window, beliefs, rows)
        agent.sac.learn(agent.dream(seen), replayed, agent.optimizers["sac"], 1)
        way, gone = (flat(part.parameters()) - before for part in (fast, slow))
    share = float((gone @ way) / (way @ way))
    if rate == 0:
        return numbers_reading(TARGET_SAYS, TARGET_HEALTHY, {}, ("The settings let the target critic stand still.",))
    numbers = {"share of the way": share / rate, "aside": float((gone - share * way).norm() / way.norm())}
    return numbers_reading(TARGET_SAYS, TARGET_HEALTHY, numbers)


def replayed_rows(window: Window, beliefs: Beliefs, rows: slice) -> Replayed:
    """The real rows from which dreams start, as the actor-critic reads them."""
    return Replayed(beliefs.features[:, rows], window.reward[:, rows], window.first[:, rows], window.terminal[:, rows])


RETURNS_SAYS = {
    "worth after an end": "weight of what follows an end, where going on has 1",
    "discount": "weight of the next value, over what the settings say",
    "by hand": "largest distance of a return from the same one added up by hand",
    "bootstrap after an end": "the same as the first, in the actor-critic's own returns",
    "critic loss": "the critic's loss, over the one by hand",
    "weights off": "how far the weight of a dream's step is from the probability that the dream gets there",
}
RETURNS_HEALTHY: dict[str, Range] = {
    "worth after an end": exactly(0),
    "discount": exactly(1),
    "by hand": exactly(0, 1e-3),
    "bootstrap after an end": exactly(0),
    "critic loss": exactly(1),
    "weights off": exactly(0, 1e-4),
}


def measure_returns(subject: Subject) -> Reading:
    """Returns of random dreams beside the same returns added up by hand."""
    config, unknown, numbers = subject.config, (), {}
    gamma, lam = (
        (config.sac.gamma, config.sac.lam) if config.actor_critic == "sac" else (1 - 1 / config.dreamerv3.horizon, config.dreamerv3.lam)
    )
    with apart(subject):
        reward, value, bonus = (torch.randn(5, 4) for _ in range(3))
        cont = torch.rand(5, 4)
        one, zero = torch.ones(5, 4), torch.zeros(5, 4)
        last = {
            name: returns.lambda_return(reward, c, value, bonus, gamma, lam)[:, -1] - reward[:, -1]
            for name, c in (("on", one), ("over", zero))
        }
        numbers["worth after an end"] = float((last["over"] * last["on"]).sum() / last["on"].square().sum())
        numbers["discount"] = float((last["on"] * value[:, -1]).sum() / value[:, -1].square().sum() / gamma) if gamma else 1.0
        found = returns.lambda_return(reward, cont, value, bonus, gamma, lam)
        numbers["by hand"] = float((found - added_up(reward, cont, value, bonus, gamma, lam)).abs().max())
        dream = Trajectories(torch.randn(5, 5, 2), torch.randn(5, 4, 1), reward, cont, torch.rand(5))
        reached = torch.stack([dream.weight * cont[:, :t].prod(1) for t in range(4)], 1)  # (N, H), the product of no factor is 1
        numbers["weights off"] = float((dream.steps().weight - reached.flatten()).abs().max())
        if config.actor_critic == "sac" and gamma > 0:
            agent = specimen(subject)
            numbers["bootstrap after an end"] = own_returns(agent)
            numbers["critic loss"] = own_loss(agent)
        else:
            unknown = ("The returns of DreamerV3's actor-critic are looked at in their function alone.",)
    return numbers_reading(RETURNS_SAYS, RETURNS_HEALTHY, numbers, unknown)


def added_up(reward: Tensor, cont: Tensor, value: Tensor, bonus: Tensor, gamma: float, lam: float) -> Tensor:
    """The lambda-return in plain numbers, from its definition: all (N, H) -> (N, H)."""
    rows, steps = reward.shape
    found = torch.zeros(rows, steps)
    for n in range(rows):
        ahead = 0.0
        for t in range(steps - 1, -1, -1):
            v = float(value[n, t])
            follows = v if t == steps - 1 else (1 - lam) * v + lam * (float(bonus[n, t]) + ahead)
            ahead = float(reward[n, t]) + gamma * float(cont[n, t]) * follows
            found[n, t] = ahead
    return found


def own_returns(agent: Dreamer) -> float:
    """What SAC's returns of one-step dreams make of a next state after an end, where one that goes on counts 1."""
    n, features = 64, agent.model.rssm.features
    state, drawn, reward = torch.randn(n, 2, features), torch.randn(n, 1, agent.action), torch.randn(n, 1)
    found = []
    for cont in (torch.ones(n, 1), torch.zeros(n, 1)):
        torch.manual_seed(1)  # the same sampled actions
        found.append(agent.sac.returns(Trajectories(state, drawn, reward, cont, torch.ones(n))) - reward)
    on, over = found
    return float((on * over).sum() / on.square().sum())


def own_loss(agent: Dreamer) -> float:
    """SAC's critic loss on random dreams over the weighted squared errors of both critics, added up by hand."""
    state, drawn = torch.randn(7, 3, agent.model.rssm.features), torch.randn(7, 2, agent.action)
    goal, weight = torch.randn(7, 2), torch.rand(7, 2)
    batch = Trajectories(state, drawn, goal, torch.ones(7, 2), torch.ones(7))
    with torch.no_grad():
        loss, _ = agent.sac.critic_loss(batch, goal, weight)
        one, other = agent.sac.q(state[:, :-1], torch.tanh(drawn))
        by_hand = (weight * ((one - goal) ** 2 + (other - goal) ** 2)).sum() / 14
    return float(loss / by_hand)


TARGET = Instrument(
    name="target",
    quick=True,
    sentence="One update of the actor-critic: how far the target critic follows the fast one.",
    excludes="a target that stands still, is a copy, or follows at another rate than the settings say",
    cannot="what the critics are fitted to, and who reads which of them",
    measure=measure_target,
)
RETURNS = Instrument(
    name="returns",
    quick=True,
    sentence="Returns of random dreams beside the same returns added up by hand.",
    excludes="a bootstrap past the end, a wrong discount, returns that are off by a row",
    cannot="whether the value that is bootstrapped from is right",
    measure=measure_returns,
)

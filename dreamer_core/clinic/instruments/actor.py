"""The actor's two parts: the density of its actions, and what it climbs."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from dreamer_core import sac
from dreamer_core.agent import Dreamer
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.recurrence import reach
from dreamer_core.clinic.instruments.specimen import ACTION, specimen
from dreamer_core.clinic.subject import Subject
from dreamer_core.paper import actor_critic
from dreamer_core.trajectories import Trajectories
from dreamer_core.viz.show import BLUE, describe

DENSITY_SAYS = {
    "whole": "probability of all actions together",
    "two ways": "how far the log-probability of a sample is from that of the same action given",
}
DENSITY_HEALTHY: dict[str, Range] = {"whole": exactly(1, 0.02), "two ways": exactly(0, 1e-3)}


def measure_density(subject: Subject) -> Reading:
    """Add up the probability of every action there is, on a fine grid."""
    with apart(subject), torch.no_grad():
        agent = specimen(subject)
        actor, state = agent.sac.actor, torch.randn(agent.model.rssm.features)
        numbers, drawn = {}, None
        if agent.config.actor_critic == "sac":
            line = torch.linspace(-10, 10, 181)
            drawn = torch.cartesian_prod(line, line)  # (G, 2), u before tanh
            log_prob = actor.log_prob(state.expand(len(drawn), -1), drawn)
            width = (1 - torch.tanh(drawn).square()).prod(-1) * (line[1] - line[0]) ** 2  # of each cell, in actions
            numbers["whole"] = float((log_prob.exp() * width).sum())
            many = torch.randn(64, len(state))
            action = actor.sample(many)
            numbers["two ways"] = float((action.log_prob - actor.log_prob(many, action.pre_tanh)).abs().max())
        elif isinstance(actor, actor_critic.CategoricalActor):
            log_prob, _ = actor.log_prob_and_entropy(state.expand(ACTION, -1), torch.eye(ACTION))
            numbers["whole"] = float(log_prob.exp().sum())
        else:
            line = torch.linspace(-8, 8, 181)
            grid = torch.cartesian_prod(line, line)
            log_prob, _ = actor.log_prob_and_entropy(state.expand(len(grid), -1), grid)
            numbers["whole"] = float(log_prob.exp().sum() * (line[1] - line[0]) ** 2)
    reading = numbers_reading(DENSITY_SAYS, DENSITY_HEALTHY, numbers)
    if drawn is None:
        return reading
    return reading._replace(figure=lambda: density_figure(line, log_prob.view(len(line), -1), numbers["whole"]))


def density_figure(line: Tensor, log_prob: Tensor, whole: float) -> Figure:
    """The density of the first action's entry, which the second was added out of."""
    slope = 1 - torch.tanh(line).square()
    density = (log_prob.exp() * slope).sum(1) * (line[1] - line[0])
    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    axis.fill_between(torch.tanh(line), 0, density, color=BLUE, alpha=0.4)
    axis.set(xlabel="action, first entry", ylabel="probability per unit", xlim=(-1, 1), ylim=(0, None), title=f"All actions: {whole:.3f}")
    axis.grid(alpha=0.25)
    return describe(
        figure,
        alt=f"Density of an action between -1 and 1; its area, the probability of all actions together, is {whole:.3f}.",
        caption="The log-probability is right only if the area is 1. A density of u in the place of one of tanh(u) has too little.",
    )


OBJECTIVE_SAYS = {
    "gradient off": "distance of the actor's gradient from the one by hand, over its size",
    "weight of the entropy": "how often the entropy counts in the actor's gradient",
    "through the advantage": "gradient of the advantage in the log-probability",
}
OBJECTIVE_HEALTHY: dict[str, Range] = {
    "gradient off": exactly(0, 0.01),
    "weight of the entropy": exactly(1, 0.03),
    "through the advantage": exactly(0, 1e-6),
}


def gradient(loss: Tensor, params: Iterable[Tensor]) -> Tensor:
    """d loss / d params as one vector, 0 where there is no path."""
    params = list(params)
    found = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
    return torch.cat([(torch.zeros_like(param) if grad is None else grad).flatten() for param, grad in zip(params, found)])


def measure_objective(subject: Subject) -> Reading:
    """The actor's gradient on random states beside the one of its definition, term by term."""
    with apart(subject):
        agent = specimen(subject)
        if agent.config.actor_critic == "dreamerv3":
            numbers = of_policy_loss(agent)
        elif agent.config.sac.actor_grad == "pathwise":
            numbers = of_pathwise(agent)
        else:
            numbers = of_score(agent)
    unknown = () if "weight of the entropy" in numbers else ("With alpha = 0 the entropy has no weight that could be measured.",)
    return numbers_reading(OBJECTIVE_SAYS, OBJECTIVE_HEALTHY, numbers, unknown)


def compared(found: Tensor, values: Tensor, entropy: Tensor) -> dict[str, float]:
    """A gradient beside those of the value's part and of the entropy's part, which it is the sum of."""
    right = values + entropy
    numbers = {"gradient off": float((found - right).norm() / right.norm())}
    if entropy.norm() > 0:
        numbers["weight of the entropy"] = float((found - values) @ entropy / (entropy @ entropy))
    return numbers


def of_pathwise(agent: Dreamer) -> dict[str, float]:
    """-mean[w (min Q - alpha log pi)], through the action."""
    parts, alpha = agent.sac, agent.sac.alpha
    state, weight, params = torch.randn(64, agent.model.rssm.features), torch.rand(64), list(agent.sac.actor.parameters())
    torch.manual_seed(1)  # the same sampled actions
    found = gradient(parts.pathwise_loss(state, weight)[0], params)
    torch.manual_seed(1)
    action = parts.actor.sample(state)
    q = parts.q_target(state, torch.tanh(action.pre_tanh)).amin(0)
    return compared(found, gradient(-(weight * q).mean(), params), gradient(alpha * (weight * action.log_prob).mean(), params))


def of_score(agent: Dreamer) -> dict[str, float]:
    """-mean[w A log pi] with the advantage as a number."""
    parts, alpha = agent.sac, agent.sac.alpha
    n, steps, params = 32, 3, list(agent.sac.actor.parameters())
    state, drawn = torch.randn(n, steps + 1, agent.model.rssm.features), torch.randn(n, steps, agent.action)
    returns, weight = torch.randn(n, steps), torch.rand(n, steps)
    batch = Trajectories(state, drawn, returns, torch.ones(n, steps), torch.ones(n))
    torch.manual_seed(1)
    found = gradient(parts.score_loss(batch, returns, weight)[0], params)
    torch.manual_seed(1)
    log_prob = parts.actor.log_prob(state[:, :-1], drawn)
    with torch.no_grad():
        many = state[:, :-1].expand(parts.config.baseline_samples, *state[:, :-1].shape)
        action = parts.actor.sample(many)
        values = returns - parts.q_target(many, torch.tanh(action.pre_tanh)).amin(0).mean(0)
        entropy = -alpha * (log_prob - action.log_prob.mean(0))
        if parts.config.normalize_advantage:
            size = (values + entropy).std(unbiased=False).clamp(min=1e-3)
            values, entropy = values / size, entropy / size
    pulls = [gradient(-(part * log_prob * weight).mean(), params) for part in (values, entropy)]
    leaf = torch.randn(9, requires_grad=True)
    through = reach(sac.soft_advantage(torch.randn(9), leaf, torch.randn(9), max(alpha, 0.1)), leaf)
    return compared(found, *pulls) | {"through the advantage": through}


def of_policy_loss(agent: Dreamer) -> dict[str, float]:
    """DreamerV3's: -w [log pi sg((R - v) / S) + entropy_scale H]."""
    log_prob, entropy, returns, value = (torch.randn(5, 3, requires_grad=True) for _ in range(4))
    scale, weight, eta = torch.tensor(2.5), torch.rand(5, 3), agent.config.dreamerv3.entropy_scale
    loss = actor_critic.policy_loss(log_prob, entropy, returns, value, scale, weight, eta).sum()
    zero = torch.zeros(30)  # the advantage is a number: nothing reaches returns and value
    values = torch.cat([(-weight * (returns - value) / scale).detach().flatten(), torch.zeros(15), zero])
    entropies = torch.cat([torch.zeros(15), (-weight * eta).flatten(), zero])
    inputs = (log_prob, entropy, returns, value)
    found = compared(gradient(loss, inputs), values, entropies)
    return found | {"through the advantage": float(gradient(loss, inputs)[30:].norm())}


DENSITY = Instrument(
    name="density",
    quick=True,
    sentence="The actor's log-probability, added up over all actions there are.",
    excludes="a log-probability without the term for tanh, or of another distribution than the one that is sampled",
    cannot="whether the entropy is wanted as much as it should be: that is what the instrument objective is for",
    measure=measure_density,
)
OBJECTIVE = Instrument(
    name="objective",
    quick=True,
    sentence="The actor's gradient beside the one of its definition, the value's part and the entropy's part apart.",
    excludes="a wrong sign, an entropy that counts twice or not at all, an advantage that carries a gradient",
    cannot="whether the critics that it reads are right",
    measure=measure_objective,
)

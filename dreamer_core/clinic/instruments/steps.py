"""The optimisers: how far a first step goes, whether old gradients are forgotten, and whether long ones are clipped."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from dreamer_core.agent import Dreamer
from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import specimen
from dreamer_core.clinic.subject import Subject
from dreamer_core.optimize import descend

SAYS = {
    **{f"{part} step": f"first step of the {part}, over the rate that the settings name" for part in ("model", "actor", "critic")},
    **{
        f"{part} rate": f"rate that this agent's {part} began with, over the one that the settings name"
        for part in ("model", "actor", "critic")
    },
    "old gradient kept": "share of a step's gradient that is still there in the next step",
    "broken weights": "weights of this agent that are no finite number",
    "clipped to": "norm of a very long gradient after clipping, over the longest that the settings allow",
}
HEALTHY: dict[str, Range] = {name: exactly(1, 0.05) for name in SAYS} | {
    name: exactly(0, 1e-6) for name in ("old gradient kept", "broken weights")
}


def halves(agent: Dreamer) -> dict[str, tuple[nn.Module, str, float]]:
    """The parts that are trained: module, name of the optimiser, and the rate that the settings name."""
    config, sac = agent.config, agent.sac
    if config.actor_critic == "dreamerv3":
        actor_rate = critic_rate = config.dreamerv3.lr
        critic = sac.v
    else:
        actor_rate, critic_rate, critic = config.sac.actor_lr, config.sac.critic_lr, sac.q
    return {
        "model": (agent.model, "model", config.model.lr),
        "actor": (sac.actor, "sac", actor_rate),
        "critic": (critic, "sac", critic_rate),
    }


def measure(subject: Subject) -> Reading:
    """Two steps on losses whose gradients are known, then one on a gradient that is far too long.

    Whatever a gradient's size, the first step of Adam and of LaProp has the size of the learning rate in every entry.
    """
    config = subject.config
    clip = config.model.clip_norm
    with apart(subject):
        agent = specimen(subject)
        parts, numbers, kept = halves(agent), {}, []
        for name, optimizer in agent.optimizers.items():
            trained = {part: list(module.parameters()) for part, (module, held_by, _) in parts.items() if held_by == name}
            before = {part: [param.detach().clone() for param in params] for part, params in trained.items()}
            descend(slope(param for params in trained.values() for param in params), optimizer, clip)
            for part, params in trained.items():
                moved = torch.cat([(param.detach() - old).abs().flatten() for param, old in zip(params, before[part])])
                numbers[f"{part} step"] = float(moved.median()) / parts[part][2]
            sizes = [norm(params[0]) for params in trained.values()]
            descend(slope(param for params in trained.values() for param in params[1:]), optimizer, clip)  # without each part's first
            kept += [norm(params[0]) / size for params, size in zip(trained.values(), sizes)]
        numbers["old gradient kept"] = max(kept)
        if config.optimizer.clip == "norm":
            params = list(agent.model.parameters())
            descend(1e6 * clip * slope(params), agent.optimizers["model"], clip)
            numbers["clipped to"] = torch.tensor([norm(param) for param in params]).norm().item() / clip
    if subject.given is not None:
        weights = [value for module in subject.given.modules.values() for value in module.parameters()]
        numbers["broken weights"] = float(sum((~value.detach().isfinite()).sum() for value in weights))
        for name, (module, optimizer, rate) in halves(subject.given).items():
            numbers[f"{name} rate"] = began_with(subject.given, module, optimizer) / rate
    return numbers_reading(SAYS, HEALTHY, numbers)


def slope(params: Iterable[Tensor]) -> Tensor:
    """A loss whose gradient is 1 in every entry."""
    return sum(param.sum() for param in params)


def norm(param: Tensor) -> float:
    """Of the gradient that a parameter holds."""
    return 0.0 if param.grad is None else float(param.grad.norm())


def began_with(agent: Dreamer, module: nn.Module, optimizer: str) -> float:
    """The learning rate of a part before any schedule lowered it; NaN if its optimiser does not hold it."""
    own = {id(param) for param in module.parameters()}
    for group in agent.optimizers[optimizer].param_groups:
        if own & {id(param) for param in group["params"]}:
            return group.get("initial_lr", group["lr"])
    return float("nan")


STEPS = Instrument(
    name="steps",
    quick=True,
    sentence="Two optimiser steps on losses with known gradients: how far each part goes, and what is left of the first gradient.",
    excludes="learning rates that are not those of the settings, gradients that pile up, clipping that does nothing",
    cannot="whether the rates of the settings are good ones",
    measure=measure,
)

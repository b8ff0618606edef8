"""Acting: does the agent see as in training, and does it draw only while it explores?"""

from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dreamer_core import envs
from dreamer_core.agent import Carry, Dreamer
from dreamer_core.clinic.instruments.reading import POSITIVE, Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import OBSERVATION, scripted_window, specimen, specimen_config
from dreamer_core.clinic.subject import Subject
from dreamer_core.errors import EnvError
from dreamer_core.trainer import evaluate

SEEN_SAYS = {
    "unit of observations": "measured unit of observations, over their standard deviation",
    "other units": "largest distance between what the encoder reads while acting and while learning",
    "h off": "how far h is from one step of the recurrence, or from 0 at an episode's start",
    "drawn while exploring": "how far two explorations from one state differ",
    "beyond the bounds": "how far an action goes beyond 1",
}
SEEN_HEALTHY: dict[str, Range] = {
    "unit of observations": exactly(1, 0.01),
    "other units": exactly(0),
    "h off": exactly(0, 1e-4),
    "drawn while exploring": POSITIVE,
    "beyond the bounds": exactly(0, 1e-6),
}


def read_by(module: nn.Module, call) -> Tensor:
    """What a module was given the last time while `call` ran."""
    given: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0].detach()))
    try:
        call()
    finally:
        hook.remove()
    return given[-1] if given else torch.full((), torch.nan)


def measure_seen(subject: Subject) -> Reading:
    """The same observations while acting and while learning, in units that are not 1."""
    with apart(subject), torch.no_grad():
        agent, numbers = specimen(subject), {}
        model = agent.model
        window = scripted_window(agent, batch=16, rows=2)
        window = window._replace(observation=3 + 5 * window.observation)
        if model.measures:
            model.set_units(window.observation.flatten(0, 1))
            numbers["unit of observations"] = float((model.scale / window.observation.flatten(0, 1).std(0)).mean())
        shown, first = window.observation[:, 0], (torch.arange(16) < 8).float()
        carry = Carry(torch.randn(16, model.rssm.deter), torch.randn(16, model.rssm.latent.size), window.action[:, 0])
        found: list[Carry] = []
        acting = read_by(model.encoder, lambda: found.append(agent.policy(carry, shown, first, explore=False)))
        learning = read_by(model.encoder, lambda: model.observe(window))
        h = model.rssm.step(*carry) * (1 - first[:, None])
        explored = [agent.policy(carry, shown, first, explore=True) for _ in range(2)]
        numbers |= {
            "other units": float((acting - learning.reshape(16, 2, -1)[:, 0].view_as(acting)).abs().max()),
            "h off": float((found[0].h - h).abs().max()),
            "drawn while exploring": apart_by(*explored),
            "beyond the bounds": max(0.0, *(float(each.action.abs().max()) - 1 for each in (*found, *explored))),
        }
    return numbers_reading(SEEN_SAYS, SEEN_HEALTHY, numbers)


def apart_by(one: Carry, other: Carry) -> float:
    """The largest distance between two carries."""
    return max(float((a - b).abs().max()) for a, b in zip(one, other))


REPEATED_SAYS = {
    "beliefs and actions": "how far two evaluations from one state differ",
    "returns": "how far the returns of two evaluations from the same seeds differ, over their size",
}
REPEATED_HEALTHY: dict[str, Range] = {"beliefs and actions": exactly(0, 1e-6), "returns": exactly(0, 1e-3)}
EPISODES = 2


def measure_repeated(subject: Subject) -> Reading:
    """Evaluate twice: one step from random states, and whole episodes from the same seeds."""
    with apart(subject):
        agent = specimen(subject)
        rssm = agent.model.rssm
        carry = Carry(torch.randn(16, rssm.deter), torch.randn(16, rssm.latent.size), scripted_window(agent, 16, 1).action[:, 0])
        shown, first = torch.randn(16, OBSERVATION), torch.zeros(16)
        numbers = {"beliefs and actions": apart_by(*(agent.policy(carry, shown, first, explore=False) for _ in range(2)))}
        try:
            one, other = twice(subject)
        except EnvError as error:
            return numbers_reading(REPEATED_SAYS, REPEATED_HEALTHY, numbers, (f"No episode could be played: {error}.",))
        numbers["returns"] = float(np.abs(one - other).max() / (1 + np.abs(one).max()))
    return numbers_reading(REPEATED_SAYS, REPEATED_HEALTHY, numbers)


def twice(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """The returns of the same episodes, played twice in the subject's world: (EPISODES,) each.

    Raises:
        EnvError: that world cannot be made here.
    """
    with ExitStack() as opened:
        worlds = [envs.make_for(subject.config) for _ in range(EPISODES)]
        opened.callback(envs.close, worlds, lambda sentence: None)
        player = subject.given or in_its_world(subject, worlds[0])
        seed = subject.config.evaluation.seed
        return evaluate(player, worlds, seed).returns, evaluate(player, worlds, seed).returns


def in_its_world(subject: Subject, env) -> Dreamer:
    """An untrained agent for the subject's own world."""
    config = replace(specimen_config(subject), wrappers=subject.config.wrappers)
    if envs.is_discrete(env):
        config = replace(config, dreamerv3=replace(config.dreamerv3, actor="categorical"))
    return specimen(subject, config, env.observation_space.shape, env.action_space.shape[0])


SEEN = Instrument(
    name="seen",
    quick=True,
    sentence="The same observations given while acting and while learning: what the encoder reads, and what becomes of h.",
    excludes="other units at acting than at learning, a memory that is not carried over, exploration that draws nothing",
    cannot="whether the units are good ones",
    measure=measure_seen,
)
REPEATED = Instrument(
    name="repeated",
    quick=True,
    sentence="Two evaluations from the same seeds: they must be the same.",
    excludes="an evaluation that samples",
    cannot="whether the most likely action is a good one",
    measure=measure_repeated,
)

"""A small untrained agent of a subject's kind, and scripted data for it: exact questions need no training.

Its observations have three entries and its actions two, whatever the subject's world: the settings choose the
same pieces of the core at every size. Its weights are drawn, so what must be exactly 0 is so by construction,
and what must not be is not.
"""

from dataclasses import replace

import torch
from torch import Tensor

from dreamer_core.agent import Dreamer
from dreamer_core.clinic.subject import Subject
from dreamer_core.config import Config, WrapperConfig
from dreamer_core.replay import Window

OBSERVATION, ACTION = 3, 2


def specimen_config(subject: Subject, **replay: object) -> Config:
    """The subject's settings with a small buffer, in a world without wrappers."""
    config = subject.config
    return replace(config, device="cpu", wrappers=WrapperConfig(), replay=replace(config.replay, **{"capacity": 2048} | replay))


def specimen(subject: Subject, config: Config | None = None, observation: int = OBSERVATION, action: int = ACTION) -> Dreamer:
    """An untrained agent of the subject's kind and settings. To be called at work."""
    kind = Dreamer if subject.given is None else type(subject.given)
    return kind(config or specimen_config(subject), observation, action, "cpu")


def scripted_window(agent: Dreamer, batch: int = 4, rows: int = 6) -> Window:
    """Random rows, (B, T), in the middle of an episode."""
    return Window(
        observation=torch.randn(batch, rows, OBSERVATION),
        action=taken(agent, batch, rows),
        reward=torch.randn(batch, rows),
        first=torch.zeros(batch, rows),
        terminal=torch.zeros(batch, rows),
        h=torch.randn(batch, agent.model.rssm.deter),
        index=torch.arange(batch * rows).view(batch, rows),
    )


def taken(agent: Dreamer, *shape: int) -> Tensor:
    """Random actions (*shape, A), as the actor of this agent would take them: its own kind of sample of random states."""
    actor = agent.sac.actor
    return actor.squash(actor.draw(torch.randn(*shape, agent.model.rssm.features))).detach()


def filled(agent: Dreamer, rows: int, episode: int) -> None:
    """Add `rows` rows to the agent's buffer, in episodes of so many; row number n shows n in its first entry and brings the reward n."""
    rssm = agent.model.rssm
    for number in range(rows):
        shown = torch.tensor([float(number), float(number % episode), 1.0])
        first = number % episode == 0
        h, z = torch.full((rssm.deter,), float(number)), torch.zeros(rssm.latent.size)
        agent.replay.add(observation=shown, reward=0.0 if first else float(number), first=first, terminal=False, h=h, z=z)
        agent.replay.set_action(taken(agent))

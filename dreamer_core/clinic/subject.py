"""What an instrument examines: a configuration, an agent trained with it, and perhaps a fault that nobody sees.

An instrument is a function of a `Subject`. Whatever it asks of the agent, it asks within `at_work`, since there
alone the core runs as this subject runs it:

    with subject.at_work():
        losses, beliefs = subject.agent().model.loss(window)
"""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from dreamer_core.agent import Dreamer
from dreamer_core.classroom.transplant import aside
from dreamer_core.clinic.faults import Fault, suffering
from dreamer_core.config import Config, from_dict
from dreamer_core.trainer import Trainer

STEPS = 600  # of the short run that trains an agent

# What each subject suffers from, kept apart from it: whoever holds a patient does not hold the answer.
_faults: "WeakKeyDictionary[Subject, Fault]" = WeakKeyDictionary()


class Run(NamedTuple):
    """A short training run."""

    rows: list[dict[str, Any]]
    """What `Trainer.run` yields: the metrics of each evaluation."""
    updates: list[dict[str, float]]
    """The metrics of each update, in order: names that start with "model/" or, for the actor-critic, with "agent/"."""
    trainer: Trainer
    """Closed, with its configuration and its agent."""
    agent: Dreamer


class Subject:
    """A configuration at work, healthy or not.

    Attributes:
        config: of its agent and of its runs.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self._runs: dict[int, Run] = {}
        self._given: Dreamer | None = None

    @classmethod
    def of(cls, agent: Dreamer) -> "Subject":
        """The process as it is, with this agent; its runs train new agents of the same configuration."""
        subject = cls(agent.config)
        subject._given = agent
        return subject

    @classmethod
    def healthy(cls, config: Config) -> "Subject":
        """Without a fault."""
        return cls(config)

    @classmethod
    def with_fault(cls, fault: Fault, config: Config) -> "Subject":
        """With this one."""
        subject = cls(config)
        change_fault(subject, fault)
        return subject

    @property
    def given(self) -> Dreamer | None:
        """The agent that it was made of; None if its agents come out of runs."""
        return self._given

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.config.preset} on {self.config.env}, seed {self.config.seed}>"

    def at_work(self) -> AbstractContextManager[None]:
        """A block in which the core runs as it does in this subject."""
        return contextlib.nullcontext() if self._given is not None else as_in_a_patient(fault_of(self))

    def agent(self) -> Dreamer:
        """A trained agent, made at work: the one it was given, or that of a run of `STEPS` steps, trained once."""
        return self._given if self._given is not None else self.run(STEPS).agent

    def run(self, steps: int) -> Run:
        """A training run of so many environment steps, at work and from the seed of the configuration; made once.

        torch's generator is left as it was found.

        Raises:
            Diverged: a loss is no longer a number.
        """
        if steps not in self._runs:
            with self.at_work(), torch.random.fork_rng(devices=[]), Trainer(replace(self.config, env_steps=steps), warn=_unsaid) as trainer:
                updates = recorded(trainer.agent)
                self._runs[steps] = Run(list(trainer.run()), updates, trainer, trainer.agent)
        return self._runs[steps]


def fault_of(subject: Subject) -> Fault | None:
    """What a subject suffers from; None if it is healthy."""
    return _faults.get(subject)


def change_fault(subject: Subject, fault: Fault | None) -> None:
    """Let a subject suffer from this, or from nothing; what it did before is forgotten."""
    _faults.pop(subject, None)
    if fault is not None:
        _faults[subject] = fault
    subject._runs.clear()


def _unsaid(sentence: str) -> None:
    """A warning of a run that nobody started by hand."""


def recorded(agent: Dreamer) -> list[dict[str, float]]:
    """A list that grows by the metrics of every update that this agent makes."""
    updates: list[dict[str, float]] = []

    def kept(learn):
        def learn_and_keep():
            metrics = learn()
            updates.append({name: float(value) for name, value in metrics.items()})
            return metrics

        return learn_and_keep

    agent.learn_model, agent.learn_policy = kept(agent.learn_model), kept(agent.learn_policy)
    return updates


@contextlib.contextmanager
def as_in_a_patient(fault: Fault | None) -> Iterator[None]:
    """For this block the core runs the fault. What a learner has built is put aside: a class of theirs may go around the sick function."""
    with aside(), suffering(fault):
        yield


def small(env: str = "Pendulum-v1", preset: str = "dropin", seed: int = 0, **settings: dict[str, Any]) -> Config:
    """A configuration whose short run takes seconds: v1 in small sizes, with few updates.

    Args:
        settings: sections of the configuration, such as `model=dict(deter=48)`, on top of the small sizes.
    """
    sizes = {
        "model": dict(deter=32, stoch=8, units=48, lr=4e-3, decoder_layers=1, overshoot=0),
        "replay": dict(length=8, capacity=20_000),
        "imagination": dict(starts=96, start_rows=4),
        "sac": dict(units=48),
        "schedule": dict(
            pretrain_model=120, pretrain_both=60, model_updates=8, agent_updates=8, sac_updates=3 if preset == "dropin" else 1
        ),
        "evaluation": dict(every=200, episodes=8),
    }
    sections = {name: sizes.get(name, {}) | settings.get(name, {}) for name in {*sizes, *settings}}
    return from_dict({"preset": preset, "env": env, "seed": seed, "device": "cpu", "env_steps": STEPS} | sections)

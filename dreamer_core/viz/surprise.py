"""Surprise: what the model expected of a row, beside what it believes once it has seen that row.

    prior        p(z | h_t)         from the past alone: what is expected
    posterior    q(z | h_t, o_t)    with the observation: what is believed
    surprise     KL[q || p]         in nats: how far the observation moved the belief

It is the same KL that trains the model. Here it is a measurement, row by row along an episode.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import Config
from dreamer_core.viz.dream import BAND, Episode, believe
from dreamer_core.viz.show import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, beside, check_names, describe, stack
from dreamer_core.worlds.drawing import seen_by_agent, whole
from dreamer_core.worlds.plane import NoPlane


class Surprise(NamedTuple):
    """K filterings of an episode of T + 1 rows."""

    seen: np.ndarray  # (T + 1, O), what was observed
    expected: np.ndarray  # (K, T + 1, O), draws from the prior of each row, decoded
    believed: np.ndarray  # (K, T + 1, O), draws from the posterior, decoded
    z_expected: np.ndarray  # (K, T + 1, Z), the draws themselves
    z_believed: np.ndarray  # (K, T + 1, Z)
    kl: np.ndarray  # (T + 1,), nats, mean over the filterings

    @property
    def moment(self) -> int:
        """The row of greatest surprise. Row 0 does not count: before it there is no past to expect anything from."""
        return 1 + int(self.kl[1:].argmax())

    @property
    def entry(self) -> int:
        """The entry of z that moved furthest at that moment, counted in spreads of its prior."""
        row = self.moment
        moved = np.abs(self.z_believed[:, row].mean(0) - self.z_expected[:, row].mean(0))
        return int((moved / (self.z_expected[:, row].std(0) + 1e-3)).argmax())


@torch.no_grad()
def surprise(agent: Dreamer, episode: Episode, count: int = 32) -> Surprise:
    """Filter an episode `count` times; before each row ask the prior, after it the posterior."""
    model, latent = agent.model, agent.model.rssm.latent
    beliefs = believe(agent, episode, count)
    prior = model.rssm.prior(beliefs.h)  # (K, T + 1, P)
    z = latent.sample(prior, latent.noise(*prior.shape[:2]))  # (K, T + 1, Z)
    return Surprise(
        seen=episode.observation,
        expected=model.decode(torch.cat([beliefs.h, z], -1)).numpy(),
        believed=model.decode(beliefs.features).numpy(),
        z_expected=z.numpy(),
        z_believed=beliefs.z.numpy(),
        kl=latent.kl(beliefs.posterior, prior).mean(0).numpy(),
    )


def meddled(env: gym.Env, config: Config, seed: int, action: np.ndarray, row: int, place: Sequence[float], age: int = 0) -> Episode:
    """The episode that given actions (T, A) lead to, in which a hand moves the world to a `place` (2,) of its plane at a `row`.

    Args:
        env: as the agent sees it (`envs.make_for(config)`).

    Raises:
        NoPlane: the world has no plane, or its simulator cannot be put anywhere on it. ValueError: the row is not one of the episode's.
    """
    plane = whole(config).plane
    if plane is None or plane.state is None:
        raise NoPlane(f"the simulator of {config.env} cannot be put at a place: give the world a plane() with a `state`")
    if not 0 < row < len(action):
        raise ValueError(f"a hand cannot move the world at row {row} of an episode of {len(action)} steps: choose a row in between")
    observations, rewards = [envs.reset(env, seed, age)], []
    for number, step in enumerate(action, 1):
        observation, reward, terminated, truncated, _ = env.step(step)
        if number == row:
            observation = seen_by_agent(plane.state(env, np.asarray(place, float)), config.wrappers)
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            break
    return Episode(np.stack(observations), action[: len(rewards)], np.array(rewards, np.float32))


def surprise_figure(found: Surprise, names: Sequence[str], title: str = "") -> Figure:
    """Prior and posterior of each observation, those of the entry of z that moved furthest, and the surprise; its greatest is marked.

    Args:
        names: O axis labels, such as `drawing(config).labels`.

    Raises:
        DreamerError: the names are not as many as the observations.
    """
    check_names(names, found.seen.shape[-1])
    figure, axes = stack(len(names) + 2, 1.4, "step")
    z = found.z_expected[..., found.entry, None], found.z_believed[..., found.entry, None]
    panels = [(name, found.expected[..., [n]], found.believed[..., [n]], found.seen[:, n]) for n, name in enumerate(names)]
    panels.append((f"z, entry {found.entry}", *z, None))
    for axis, (name, expected, believed, seen) in zip(axes, panels):
        for draws, colour, label in ((expected, ORANGE, "expected (prior)"), (believed, GREEN, "believed (posterior)")):
            low, _, high = np.quantile(draws[..., 0], BAND, axis=0)
            axis.fill_between(np.arange(len(low)), low, high, color=colour, alpha=0.3, linewidth=0)
            axis.plot(draws[..., 0].mean(0), color=colour, linewidth=1.6, label=label)
        if seen is not None:
            axis.plot(seen, color=BLUE, linewidth=1.2, linestyle=(0, (1, 1.5)), label="seen")
        axis.set_ylabel(beside(name))
    rows = np.arange(1, len(found.kl))
    axes[-1].plot(rows, found.kl[1:], color=PURPLE, linewidth=1.8, label="surprise, KL[q || p]")
    axes[-1].set(ylabel="surprise (nats)", yscale="log")
    for axis in axes:
        axis.axvline(found.moment, color=RED, linestyle="--", linewidth=1.3, label=f"most surprised at step {found.moment}")
        axis.grid(alpha=0.25)
    axes[-1].set_xlim(0, len(found.kl) - 1)
    handles = {label: handle for axis in (axes[-1], axes[0]) for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=9, ncols=3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    most, usual = found.kl[found.moment], float(np.median(found.kl[1:]))
    return describe(
        figure,
        alt=f"{', '.join(names)}, one entry of z and the surprise against the step. Surprise is greatest at step {found.moment}, "
        f"{most:.2g} nats; its median is {usual:.2g} nats.",
        caption=f"Orange: what the model expected of each row before it saw it. Green: what it believes once it has. Bands hold 90 % of "
        f"{len(found.expected)} draws. Where the two lie apart, the observation was news, and the KL between them is large (its axis is "
        f"logarithmic). Step 0 is left out of the curve: nothing was expected there.",
    )


def covered_figure(curves: Mapping[str, np.ndarray], covered: tuple[int, int], title: str = "") -> Figure:
    """Surprise over time, one line for each way of seeing the same episode; the grey rows were covered.

    Args:
        curves: by name (T + 1,), in nats. covered: first row, and the one after the last.
    """
    figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
    axis.axvspan(covered[0] - 0.5, covered[1] - 0.5, color=GREY, alpha=0.15, linewidth=0)
    for (name, curve), ink, style in zip(curves.items(), (GREY, PURPLE, ORANGE), ("-", "-", "--")):
        axis.plot(np.arange(1, len(curve)), curve[1:], color=ink, linestyle=style, linewidth=1.6, label=name)
    axis.set(xlabel="step (grey: a part is covered)", ylabel="surprise: KL[q || p] (nats)", xlim=(0, len(curve) - 1), yscale="log")
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", fontsize=9, ncols=len(curves))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    highest = "; ".join(
        f"{name}: {curve[1:].max():.1f} nats at most, at step {1 + int(curve[1:].argmax())}" for name, curve in curves.items()
    )
    return describe(
        figure,
        alt=f"Surprise over {len(curve) - 1} steps, covered from step {covered[0]} to {covered[1] - 1}. {highest}.",
        caption="How far the posterior, which has seen the picture, lies from the prior, which has not. On a logarithmic axis. Step 0 is "
        "left out: nothing was expected there.",
    )

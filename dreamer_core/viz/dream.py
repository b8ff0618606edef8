"""A real episode beside dreams that start from the same state."""

from collections.abc import Sequence
from typing import NamedTuple

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.viz.show import BLUE, GREY, ORANGE


class Episode(NamedTuple):
    """One episode; row t holds o_t and the action that leaves it."""

    observation: np.ndarray  # (T + 1, O)
    action: np.ndarray  # (T, A)
    reward: np.ndarray  # (T,), arriving with row t + 1


def play(agent: Dreamer, env: gym.Env, seed: int) -> Episode:
    """One real episode with the agent's deterministic actions, from a reset with `seed`."""
    observation, _ = env.reset(seed=seed)
    carry, first = agent.initial(1), torch.ones(1)
    observations, actions, rewards, done = [observation], [], [], False
    while not done:
        carry = agent.policy(carry, torch.from_numpy(observation)[None], first, explore=False)
        first = torch.zeros(1)
        observation, reward, terminated, truncated, _ = env.step(carry.action[0].numpy())
        done = terminated or truncated
        observations.append(observation)
        actions.append(carry.action[0].numpy())
        rewards.append(reward)
    return Episode(np.stack(observations), np.stack(actions), np.array(rewards, np.float32))


@torch.no_grad()
def dream(agent: Dreamer, episode: Episode, start: int, steps: int, count: int, act: bool) -> np.ndarray:
    """`count` dreams of what follows row `start`: (count, steps + 1, O), decoded observations.

    The model is shown rows 0..start and nothing after. With `act` the agent acts in the dream;
    without, the dream is given the actions of the real episode.
    """
    model, actor = agent.model, agent.sac.actor
    shown = torch.from_numpy(episode.observation[None, : start + 1]).expand(count, -1, -1)  # (K, start + 1, O)
    actions = torch.from_numpy(episode.action[None]).expand(count, -1, -1)  # (K, T, A)
    h, _ = model.rssm.initial(count)
    beliefs = model.rssm.observe(h, model.encode(shown), actions[:, : start + 1], torch.zeros(shown.shape[:2]))
    h, z = beliefs.h[:, -1], beliefs.z[:, -1]
    states = [torch.cat([h, z], -1)]
    for t in range(start, start + steps):
        action = actor.mode(states[-1]) if act else actions[:, t]
        h, z = model.rssm.dream_step(h, z, action, model.rssm.latent.noise(count))
        states.append(torch.cat([h, z], -1))
    return model.decode(torch.stack(states, 1)).numpy()


def dream_figure(real: np.ndarray, dreams: np.ndarray, start: int, names: Sequence[str], title: str = "") -> Figure:
    """Real observations and a band of many dreams, one panel for each observation.

    Args:
        real: (T, O), what happened.
        dreams: (K, L, O), dreams of rows start .. start + L - 1.
        start: the last row the model was shown.
        names: O axis labels.
    """
    end = start + dreams.shape[1]
    real = real[:end]
    figure, axes = plt.subplots(len(names), 1, figsize=(8, 1.5 * len(names) + 0.8), sharex=True, layout="constrained", squeeze=False)
    dreamt = np.arange(start, end)
    low, middle, high = np.quantile(dreams, [0.05, 0.5, 0.95], axis=0)
    for number, (axis, name) in enumerate(zip(axes[:, 0], names)):
        axis.axvspan(0, start, color=GREY, alpha=0.15, linewidth=0)
        axis.fill_between(dreamt, low[:, number], high[:, number], color=ORANGE, alpha=0.3, linewidth=0, label="90 % of dreams")
        axis.plot(dreamt, middle[:, number], color=ORANGE, linewidth=2, label="median dream")
        axis.plot(real[:, number], color=BLUE, linewidth=1.6, label="real")
        axis.set_ylabel(name)
        axis.grid(alpha=0.25)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes[-1, 0].set(xlabel="step (grey: what the model was shown)", xlim=(0, end - 1))
    return figure

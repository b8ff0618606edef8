"""A real episode beside dreams that start from the same state.

Three ways to predict row t of an episode:

    real         what happened
    posterior    the belief that has seen o_0 .. o_t, decoded: what the model makes of what it sees
    prior        the dream: it saw rows 0 .. start, and after that only the actions
"""

from collections.abc import Sequence
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.rssm import Beliefs
from dreamer_core.viz.show import BLUE, GREEN, GREY, ORANGE, RED, beside, check_names, describe, stack

BAND = [0.05, 0.5, 0.95]  # a dream's band holds 90 % of the dreams
PATIENCE = 3  # rows in a row outside the band, before we say that the dream has departed
MARGIN = 0.02  # a miss this small, as a share of the range of what really happened, cannot be seen and does not count


class Episode(NamedTuple):
    """One episode; row t holds o_t and the action that leaves it."""

    observation: np.ndarray  # (T + 1, O)
    action: np.ndarray  # (T, A)
    reward: np.ndarray  # (T,), arriving with row t + 1
    seed: int | None = None  # of the reset that it began with, where that is known: the way back to any of its rows
    age: int = 0  # that the world was told then


def play(agent: Dreamer, env: gym.Env, seed: int, age: int = 0) -> Episode:
    """One real episode with the agent's deterministic actions, from a reset with `seed`; `age` is told to a world that changes with it."""
    observation = envs.reset(env, seed, age)
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
    return Episode(np.stack(observations), np.stack(actions), np.array(rewards, np.float32), seed, age)


def act_out(env: gym.Env, seed: int, action: np.ndarray, age: int = 0) -> Episode:
    """The real episode that given actions (T, A) lead to, from a reset with `seed` at an `age`; shorter than T if it ends earlier."""
    observations, rewards = [envs.reset(env, seed, age)], []
    for step in action:
        observation, reward, terminated, truncated, _ = env.step(step)
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            break
    return Episode(np.stack(observations), action[: len(rewards)], np.array(rewards, np.float32), seed, age)


def true_states(env: gym.Env, seed: int, episode: Episode) -> np.ndarray:
    """The simulator's own `state` at each row of an episode that was reset with `seed`: (T + 1, S). A picture does not show all of it."""
    envs.reset(env, seed, 0)
    states = [np.array(env.unwrapped.state)]
    for action in episode.action:
        env.step(action)
        states.append(np.array(env.unwrapped.state))
    return np.stack(states)


def held_actions(steps: int, size: int, hold: float, seed: int, discrete: bool = False) -> np.ndarray:
    """Random actions (steps, size) in [-1, 1], each kept for `hold` steps on average: they visit more of the world than an agent does.

    `discrete` makes each of them one of `size` choices, a one-hot vector.
    """
    random = np.random.default_rng(seed)
    number = np.cumsum(random.random(steps) < 1 / hold)  # the number of the action that is held at each step
    drawn = random.uniform(-1, 1, (number[-1] + 1, size)).astype(np.float32)
    return (np.eye(size, dtype=np.float32)[drawn.argmax(-1)] if discrete else drawn)[number]


@torch.no_grad()
def believe(agent: Dreamer, episode: Episode, count: int = 1, noise: torch.Tensor | None = None) -> Beliefs:
    """`count` filterings of an episode, each with its own samples of z: beliefs (count, T + 1, ...). Row t has seen o_0 .. o_t.

    Args:
        noise: (count, T + 1, ...), the luck in z; drawn here if None.
    """
    observation = torch.from_numpy(episode.observation).expand(count, *episode.observation.shape)  # (K, T + 1, O)
    action = torch.from_numpy(np.pad(episode.action, [(0, 1), (0, 0)])).expand(count, -1, -1)  # (K, T + 1, A): none leaves the last row
    h, _ = agent.model.rssm.initial(count)
    return agent.model.rssm.observe(h, agent.model.encode(observation), action, torch.zeros(observation.shape[:2]), noise)


@torch.no_grad()
def reconstruct(agent: Dreamer, episode: Episode) -> np.ndarray:
    """What the model makes of what it sees: the posterior of every row, decoded (T + 1, O)."""
    return agent.model.decode(believe(agent, episode).features)[0].numpy()


@torch.no_grad()
def dream_on(agent: Dreamer, beliefs: Beliefs, starts: Sequence[int], steps: int, action: np.ndarray | None = None) -> torch.Tensor:
    """Dream from S rows of an episode at once, as states s = (h, z): (K, S, steps + 1, F).

    Args:
        beliefs: K filterings of the episode, from `believe`.
        starts: S row numbers; what the episode holds after a start is not used.
        action: (S, steps, A), what is done in the dream; None lets the actor act, deterministically.

    Raises:
        ValueError: a start is not a row of the episode, or there are fewer actions than steps.
    """
    count, rows, _ = beliefs.h.shape
    if min(starts) < 0 or max(starts) >= rows:
        raise ValueError(f"a dream cannot start at row {max(starts)}: the episode has the rows 0 to {rows - 1}")
    if action is not None and action.shape[1] < steps:
        raise ValueError(f"a dream of {steps} steps needs as many actions, but only {action.shape[1]} are given: dream less far")
    rssm, actor = agent.model.rssm, agent.sac.actor
    given = None if action is None else torch.from_numpy(action).expand(count, -1, -1, -1).flatten(0, 1)  # (K * S, steps, A)
    h, z = (part[:, list(starts)].flatten(0, 1) for part in (beliefs.h, beliefs.z))  # (K * S, D), (K * S, Z)
    states = [torch.cat([h, z], -1)]
    for t in range(steps):
        chosen = actor.mode(states[-1]) if given is None else given[:, t]
        h, z = rssm.dream_step(h, z, chosen, rssm.latent.noise(len(h)))
        states.append(torch.cat([h, z], -1))
    return torch.stack(states, 1).unflatten(0, (count, len(starts)))


def following(episode: Episode, starts: Sequence[int], steps: int) -> np.ndarray:
    """The actions really taken in the `steps` steps after each of S rows: (S, steps, A).

    Raises:
        ValueError: the episode ends before that.
    """
    if max(starts) + steps > len(episode.action):
        raise ValueError(
            f"the episode has {len(episode.action)} steps, so {steps} steps from row {max(starts)} go past its end: dream less far, "
            f"or start earlier"
        )
    return np.stack([episode.action[start : start + steps] for start in starts])


@torch.no_grad()
def dream(agent: Dreamer, episode: Episode, start: int, steps: int, count: int, act: bool) -> np.ndarray:
    """`count` dreams of what follows row `start`: (count, steps + 1, O), decoded observations.

    With `act` the agent acts in the dream; without, the dream is given the actions of the real
    episode. What is decoded is the mean of o_t given s_t: the spread of the dreams is what the
    model does not know about the state, without the noise of a sensor.

    Raises:
        ValueError: the dream would start outside the episode, or need actions from beyond its end.
    """
    action = None if act else following(episode, [start], steps)
    return agent.model.decode(dream_on(agent, believe(agent, episode, count), [start], steps, action)[:, 0]).numpy()


def departure(
    real: np.ndarray, low: np.ndarray, high: np.ndarray, margin: np.ndarray | float = 0.0, patience: int = PATIENCE
) -> int | None:
    """The first row from which one entry of the observation stays outside its band for `patience` rows; None if there is none.

    A hint that the model is wrong there, not only unsure. No proof: rows hang together, and even the band
    of a perfect model is left for several rows in some tests of many steps.

    Args:
        real, low, high: (L, O), what happened and the band of the dreams.
        margin: (O,) or a number: how far outside still counts as inside.
    """
    outside = (real < low - margin) | (real > high + margin)  # (L, O)
    if len(outside) < patience:
        return None
    stays = np.lib.stride_tricks.sliding_window_view(outside, patience, axis=0).all(-1).any(-1)  # (L - patience + 1,)
    return int(stays.argmax()) if stays.any() else None


def dream_figure(
    real: np.ndarray, dreams: np.ndarray, start: int, names: Sequence[str], title: str = "", posterior: np.ndarray | None = None
) -> Figure:
    """Real observations and a band of many dreams, one panel for each observation; the step of departure is marked.

    Args:
        real: (T, O), what happened.
        dreams: (K, L, O), dreams of rows start .. start + L - 1.
        start: the last row the model was shown.
        names: O axis labels, such as those of the world's drawing (`drawing(config).labels`).
        posterior: (T, O), the model's reconstruction from what it sees.

    Raises:
        DreamerError: the names are not as many as the observations.
    """
    check_names(names, real.shape[-1])
    end = start + dreams.shape[1]
    real = real[:end]
    figure, axes = stack(len(names), 1.5, "step (grey: what the model was shown)")
    low, middle, high = np.quantile(dreams, BAND, axis=0)
    both = len(real) - start  # rows of the dream that also happened
    gone = departure(real[start:], low[:both], high[:both], MARGIN * np.ptp(real, 0))
    dreamt = np.arange(start, end)
    for number, (axis, name) in enumerate(zip(axes, names)):
        axis.axvspan(0, start, color=GREY, alpha=0.15, linewidth=0)
        axis.fill_between(dreamt, low[:, number], high[:, number], color=ORANGE, alpha=0.3, linewidth=0, label="90 % of dreams")
        for single, label in zip(dreams[:4, :, number], ["single dreams", "_", "_", "_"]):
            axis.plot(dreamt, single, color=ORANGE, linewidth=0.7, alpha=0.8, label=label)
        axis.plot(dreamt, middle[:, number], color=ORANGE, linewidth=2.2, label="median dream (prior)")
        axis.plot(real[:, number], color=BLUE, linewidth=1.6, label="real")
        if posterior is not None:
            axis.plot(posterior[:end, number], color=GREEN, linewidth=1.4, linestyle=(0, (1, 2)), label="filtered (posterior)")
        if gone is not None:
            axis.axvline(start + gone, color=RED, linestyle="--", linewidth=1.3, label=f"departs after {gone} steps")
        axis.set_ylabel(beside(name))
        axis.grid(alpha=0.25)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", fontsize=9, ncols=3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    axes[-1].set(xlim=(0, end - 1))
    leaves = "does not depart from the band" if gone is None else f"departs from the band {gone} steps later"
    return describe(
        figure,
        alt=f"{', '.join(names)} against the step: the model is shown rows 0 to {start}, then dreams {end - 1 - start} steps "
        f"{len(dreams)} times. The real episode {leaves}.",
        caption=f"Orange holds 90 % of {len(dreams)} dreams. A dream departs where one observation stays outside for {PATIENCE} steps, by "
        f"more than {MARGIN:.0%} of the range of what happened: a hint that the model is wrong there, not only unsure.",
    )

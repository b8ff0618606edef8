"""The agent's belief along an episode, dreams that branch off it, and what really follows from the same actions.

Rewards are in the environment's units here; inside the agent they have a unit of its own (`Agent.in_world_units`).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import Config
from dreamer_core.errors import DreamerError, EnvError
from dreamer_core.viz.dream import Episode, act_out, believe, play
from dreamer_core.worlds.drawing import Drawing, drawing


class States(NamedTuple):
    """Latent states and what the model reads from them; leading axes are those of the caller."""

    h: np.ndarray  # (..., D)
    z: np.ndarray  # (..., Z)
    observation: np.ndarray  # (..., O), decoded, in the environment's units
    reward: np.ndarray  # (...), predicted, arriving with this row


def nothing() -> None:
    """No pictures."""


class World(NamedTuple):
    """One thing that really happened, and the posterior that watched it. Rows begin .. begin + R - 1 of an episode."""

    begin: int
    observation: np.ndarray  # (R, O)
    reward: np.ndarray  # (R,), arriving with its row; NaN in an episode's first row
    action: np.ndarray  # (R, A), leaving its row; NaN in the last row
    posterior: States  # (R, ...)
    drawing: Drawing  # how it looks
    scale: np.ndarray  # (O,), the model's unit of each entry: about one standard deviation of what the first random steps saw
    surprise: np.ndarray  # (R,), KL of the posterior from the prior, nats: how far the row's observation moved the belief
    pictures: Callable[[], np.ndarray | None] = nothing  # its own pictures of these rows, (R, height, width, 3), made when asked for


class Branch(NamedTuple):
    """Dreams of what follows row `start` under one choice of actions, and what really followed."""

    actions: str  # the choice, in words
    start: int  # the last row the model was shown
    world: World
    dreams: States  # (K, L + 1, ...), rows start .. start + L
    action: np.ndarray  # (K, L, A), in the dreams


def read(agent: Dreamer, h: Tensor, z: Tensor) -> States:
    """What the model makes of states h (..., D), z (..., Z)."""
    features = torch.cat([h, z], -1)
    reward = agent.in_world_units(agent.model.predict_reward(features)[0])
    return States(h.numpy(), z.numpy(), agent.model.decode(features).numpy(), reward.numpy())


@torch.no_grad()
def posterior(agent: Dreamer, episode: Episode) -> tuple[States, np.ndarray]:
    """The belief in every row of an episode, as the agent holds it when it acts without exploring, and how much each row surprised it.

    z is the most likely one in each row, so nothing here is random.

    Returns:
        States (T + 1, ...), and KL[q || p] in nats (T + 1,).
    """
    rssm = agent.model.rssm
    quiet = torch.zeros_like(rssm.latent.noise(1, len(episode.observation)))
    beliefs = believe(agent, episode, noise=quiet)
    surprise = rssm.latent.kl(beliefs.posterior, rssm.prior(beliefs.h))[0]
    return read(agent, beliefs.h[0], beliefs.z[0]), surprise.numpy()


@torch.no_grad()
def dreams_from(
    agent: Dreamer, h: np.ndarray, observation: np.ndarray, steps: int, count: int, actions: np.ndarray | None
) -> tuple[States, np.ndarray]:
    """`count` dreams of what follows a row: states (K, steps + 1, ...) and actions (K, steps, A).

    The row's belief h (D,) is shared. z is drawn from the posterior of the row's observation (O,),
    and from the prior in each dreamt row. With actions (steps, A) the dreams are given those; with
    None the agent acts in each of them.
    """
    rssm, actor = agent.model.rssm, agent.sac.actor
    h = torch.from_numpy(h).expand(count, -1)
    embed = agent.model.encode(torch.from_numpy(observation)).expand(count, -1)
    z = rssm.latent.sample(rssm.posterior(h, embed), rssm.latent.noise(count))
    hs, zs, taken = [h], [z], []
    for t in range(steps):
        action = actor.mode(torch.cat([h, z], -1)) if actions is None else torch.from_numpy(actions[t]).expand(count, -1)
        h, z = rssm.dream_step(h, z, action, rssm.latent.noise(count))
        hs.append(h)
        zs.append(z)
        taken.append(action)
    return read(agent, torch.stack(hs, 1), torch.stack(zs, 1)), torch.stack(taken, 1).numpy()


def watched(agent: Dreamer, episode: Episode, begin: int, end: int, pictures: Callable[[], np.ndarray | None] = nothing) -> World:
    """Rows begin .. end of an episode (fewer if it is shorter) and the posterior of them, which has seen the rows before too.

    Args:
        pictures: what gives the world's own pictures of the whole episode (T + 1, height, width, 3), or None.
    """
    rows = slice(begin, end + 1)
    unknown = np.full_like(episode.action[:1], np.nan)
    reward = np.concatenate([np.full_like(episode.reward[:1], np.nan), episode.reward])

    def shown() -> np.ndarray | None:
        found = pictures()
        return None if found is None else found[rows]

    states, surprise = posterior(agent, episode)
    return World(
        begin=begin,
        observation=episode.observation[rows],
        reward=reward[rows],
        action=np.concatenate([episode.action, unknown])[rows],
        posterior=States(*(part[rows] for part in states)),
        drawing=drawing(agent.config),
        scale=agent.model.scale.cpu().numpy(),
        surprise=surprise[rows],
        pictures=shown,
    )


def rendered(config: Config, seed: int, action: np.ndarray, age: int = 0) -> np.ndarray | None:
    """The world's own pictures of the episode that actions (T, A) lead to: (T + 1, height, width, 3) bytes; None where it makes none.

    A world that needs a package for that, which is not installed, makes none either.
    """
    try:
        env = envs.make(config.env, config.wrappers, discrete=True, render_mode="rgb_array")
    except EnvError:
        return None
    try:
        envs.reset(env, seed, age)
        found = [env.render()]
        for chosen in action:
            env.step(chosen)
            found.append(env.render())
        found = np.asarray(found)
    except (gym.error.Error, ImportError, NotImplementedError):
        return None
    finally:
        envs.close([env], warn=lambda sentence: None)
    return found.astype(np.uint8) if found.ndim == 4 and found.shape[-1] == 3 else None


def check_rows(episode: Episode, starts: Sequence[int], steps: int) -> None:
    """Raises:
    DreamerError: a dream would begin before the episode or go on after it.
    """
    end = len(episode.observation) - 1
    if steps < 1 or not starts or min(starts) < 0 or max(starts) + steps > end:
        raise DreamerError(
            f"dreams of {steps} steps begun at {list(starts)} do not fit into an episode of {end} steps: "
            f"choose at least one start >= 0, and starts + steps <= {end}"
        )


def recorded(agent: Dreamer, episode: Episode, start: int, steps: int, count: int) -> Branch:
    """`count` dreams of rows start .. start + steps that are given the actions of the real episode.

    Raises:
        DreamerError: the rows do not fit into the episode.
    """
    check_rows(episode, [start], steps)
    world = watched(agent, episode, 0, start + steps)
    here = world.posterior.h[start], world.observation[start], steps, count
    return Branch("recorded actions", start, world, *dreams_from(agent, *here, episode.action[start : start + steps]))


def extremes(env: gym.Env, taken: np.ndarray) -> dict[str, np.ndarray]:
    """Two courses of action that never change, by name, as many steps as `taken` (L, A)."""
    if envs.is_discrete(env):
        return {f"always action {n}": np.eye(taken.shape[-1], dtype=np.float32)[np.full(len(taken), n)] for n in (0, taken.shape[-1] - 1)}
    return {"every action +1": np.ones_like(taken), "every action −1": -np.ones_like(taken)}


def branch_out(agent: Dreamer, env: gym.Env, seed: int, starts: Sequence[int], steps: int, count: int = 64, age: int = 0) -> list[Branch]:
    """The agent plays one real episode from a reset with `seed`; four branches leave it at each start.

    The branches: the recorded actions; the agent acting in its dream; and two extremes, every action 1 and every action -1, or
    where actions are discrete, the first of them always and the last.
    For the first two the real world is the recorded episode. For the others it is what the
    environment really does then, found by resetting to the same seed and acting alike up to the branch.

    Args:
        starts: rows where dreams begin. steps: their length L. count: dreams K of each branch.
        age: told to a world that changes with it.

    Raises:
        DreamerError: a dream would not fit into the episode.
    """
    episode = play(agent, env, seed, age)
    check_rows(episode, starts, steps)

    def pictures(action: np.ndarray) -> Callable[[], np.ndarray | None]:
        return lambda: rendered(agent.config, seed, action, age)

    past = watched(agent, episode, 0, max(starts) + steps, pictures(episode.action))
    branches = []
    for start in starts:
        taken = episode.action[start : start + steps]
        here = past.posterior.h[start], past.observation[start], steps, count
        for name, actions in {"recorded actions": taken, "the agent acts in its dream": None}.items():
            branches.append(Branch(name, start, past, *dreams_from(agent, *here, actions)))
        for name, actions in extremes(env, taken).items():
            other = act_out(env, seed, np.concatenate([episode.action[:start], actions]), age)
            world = watched(agent, other, start, start + steps, pictures(other.action))
            branches.append(Branch(name, start, world, *dreams_from(agent, *here, actions)))
    return branches

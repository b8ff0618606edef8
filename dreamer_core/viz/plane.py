"""Value and policy over Pendulum's state plane, beside the exact ones.

The critic estimates a discounted *soft* value: rewards, plus an entropy bonus for every action.
Dynamic programming for the undiscounted return (`ceiling.py`) answers another question. So here
the soft Bellman equation itself is solved on a grid, with the agent's own discount and entropy
weight (Haarnoja et al., Soft Q-learning, arXiv 1702.08165v2, theorem 1):

    V(s) = tau log  integral_{-1}^{1} exp([r(s, a) + gamma V(f(s, a))] / tau) da

in the environment's units of reward, with tau = alpha in these units (`Agent.in_world_units`). tau = 0 is the maximum: no bonus.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.paper.actor_critic import DreamerV3ActorCritic
from dreamer_core.sac import Action
from dreamer_core.viz.pendulum import NAME, AnotherWorld, check_agent
from dreamer_core.viz.show import describe
from dreamer_core.yardsticks.ceiling import DT, GRAVITY, LENGTH, MAX_SPEED, MAX_TORQUE, Corners, best_torque, dynamics, grid

SHAPE = (180, 121)


class Plane(NamedTuple):
    """Value and policy on the grid of `ceiling.grid`."""

    value: np.ndarray  # (A, V), in the environment's units of reward
    torque: np.ndarray  # (A, V), of the deterministic policy, in newton metres


def soft_bellman(gamma: float, tau: float, shape: tuple[int, int] = SHAPE, torques: int = 21, steps: int = 250) -> np.ndarray:
    """The best soft value (A, V) with `steps` steps to go; some three seconds on one core.

    Args:
        gamma: discount; with .97 what lies beyond 250 steps counts one part in two thousand.
        tau: entropy weight in the environment's units; 0 for the plain maximum.
        torques: points of the trapezoidal rule over the action.
    """
    angle, velocity = grid(shape)
    moves = []
    for torque in np.linspace(-MAX_TORQUE, MAX_TORQUE, torques):
        next_angle, next_velocity, reward = dynamics(angle, velocity, torque)
        moves.append((reward, Corners(next_angle, next_velocity, shape)))
    weights = np.full(torques, 2 / (torques - 1))  # the integral runs over a in [-1, 1]
    weights[[0, -1]] /= 2
    value = np.zeros(shape)
    for _ in range(steps):
        best = np.full(shape, -np.inf)
        for (reward, corners), weight in zip(moves, weights):
            q = reward + gamma * corners(value)
            best = np.maximum(best, q) if tau == 0 else np.logaddexp(best, q / tau + np.log(weight))
        value = best if tau == 0 else tau * best
    return value


def check_world(agent: Dreamer) -> None:
    """Raises:
    AnotherWorld: the agent does not live in the single steps of Pendulum that are solved here, or has no soft value.
    """
    check_agent(agent, "the state plane")
    if isinstance(agent.sac, DreamerV3ActorCritic):
        raise AnotherWorld(
            "the state plane shows a soft value, made of Q and of the entropy's weight, but this agent has DreamerV3's critic v(s): "
            "give one trained with actor_critic sac"
        )
    if agent.config.wrappers.action_repeat > 1:
        raise AnotherWorld(
            f"the state plane is {NAME}'s with a new action at each step, but each action of this agent lasts "
            f"{agent.config.wrappers.action_repeat} steps: give one trained with wrappers.action_repeat 1"
        )


def exact_plane(agent: Dreamer, shape: tuple[int, int] = SHAPE) -> Plane:
    """What a perfect critic with the agent's discount and entropy weight would say, and the torque it would find best.

    Raises:
        AnotherWorld: the agent was not made for Pendulum, or repeats its actions.
    """
    check_world(agent)
    config = agent.config.sac
    value = soft_bellman(config.gamma, agent.in_world_units(agent.sac.alpha) if config.soft else 0.0, shape)
    angle, velocity = np.broadcast_arrays(*grid(shape))
    return Plane(value, best_torque(config.gamma * value, angle.ravel(), velocity.ravel()).reshape(shape))


def rewind(angle: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the pendulum was one step earlier, had no torque been applied: the inverse of `ceiling.dynamics` within the speed limit."""
    before = angle - velocity * DT
    return before, velocity - 3 * GRAVITY / (2 * LENGTH) * np.sin(before) * DT


@torch.no_grad()
def agent_plane(agent: Dreamer, shape: tuple[int, int] = SHAPE, samples: int = 8) -> Plane:
    """The agent's soft value and its deterministic torque, in every state of the grid.

    A Dreamer's value belongs to a belief, not to a state of the world. So each state is reached
    by observed rows of free fall that end in it, as many as the agent's own dreams filter before they
    start; the value is averaged over `samples` draws of z and of the action.

    Raises:
        AnotherWorld: the agent was not made for Pendulum, or repeats its actions.
    """
    check_world(agent)
    keep = np.setdiff1d(np.arange(3), agent.config.wrappers.hide)
    model, actor, rows = agent.model, agent.sac.actor, agent.config.imagination.start_rows
    angle, velocity = (part.ravel() for part in np.broadcast_arrays(*grid(shape)))
    seen = []
    for _ in range(rows):
        seen.append(np.stack([np.cos(angle), np.sin(angle), velocity], -1)[:, keep])
        angle, velocity = rewind(angle, velocity)
    observation = torch.tensor(np.stack(seen[::-1], 1), dtype=torch.float32)  # (A * V, rows, O)
    h, _ = model.rssm.initial(len(observation))
    embed, idle, flags = model.encode(observation), torch.zeros(*observation.shape[:2], 1), torch.zeros(observation.shape[:2])
    value, torque = 0.0, 0.0
    for _ in range(samples):
        # One draw of noise for all states, so that neighbours differ by what they are and not by chance.
        noise = model.rssm.latent.noise(1, rows)
        noise = noise.expand(len(h), *noise.shape[1:])
        state = model.rssm.observe(h, embed, idle, flags, noise).features[:, -1]
        mean, log_std = actor(state)
        pre_tanh = mean + torch.exp(log_std) * torch.randn(1)
        value = value + agent.sac.target_value(state, Action(pre_tanh, actor.log_prob(state, pre_tanh))) / samples
        torque = torque + MAX_TORQUE * actor.mode(state)[:, 0] / samples
    return Plane(agent.in_world_units(value).numpy().reshape(shape), torque.numpy().reshape(shape))


def plane_figure(agent: Plane, exact: Plane, visited: np.ndarray | None = None, title: str = "") -> Figure:
    """Two rows, value and torque; three columns, the agent's, the exact ones, and their difference.

    Args:
        visited: (N, 2), angles and velocities of real experience, drawn as dots over the difference.
    """
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 5.6), sharex=True, sharey=True, layout="constrained")
    both = np.concatenate([agent.value, exact.value])
    rows = [
        ("value (reward)", agent.value, exact.value, ("cividis", both.min(), both.max())),
        ("torque (N m)", agent.torque, exact.torque, ("PuOr", -MAX_TORQUE, MAX_TORQUE)),
    ]
    for line, (label, ours, best, (colours, low, high)) in zip(axes, rows):
        reach = np.abs(ours - best).max()
        panels = [("agent", ours, colours, low, high), ("exact", best, colours, low, high)]
        panels.append(("agent - exact", ours - best, "RdBu", -reach, reach))
        for axis, (name, values, colours, low, high) in zip(line, panels):
            image = axis.imshow(
                values.T, origin="lower", aspect="auto", extent=(-np.pi, np.pi, -MAX_SPEED, MAX_SPEED), cmap=colours, vmin=low, vmax=high
            )
            axis.set_title(f"{label.split(' (')[0]}: {name}", fontsize=10)
            if name != "agent":
                figure.colorbar(image, ax=axis, label=label if name == "exact" else f"difference, {label}")
        if visited is not None:
            line[2].plot(*visited.T, ".", color="black", markersize=1.2, alpha=0.5)
    axes[0, 0].set(xticks=[-np.pi, 0, np.pi], xticklabels=["-π", "0", "π"], xlim=(-np.pi, np.pi), ylim=(-MAX_SPEED, MAX_SPEED))
    for axis in axes[1]:
        axis.set_xlabel("angle (rad), 0 is up")
    for axis in axes[:, 0]:
        axis.set_ylabel("velocity (rad/s)")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    everywhere = agreement(agent.value.ravel(), exact.value.ravel())
    told = f"Over the whole plane, {everywhere}"
    if visited is not None:
        at = Corners(*visited.T.astype(float), exact.value.shape)
        told += f"; where the agent has been, {agreement(at(agent.value), at(exact.value))}"
    return describe(
        figure,
        alt=f"Value and torque over angle and velocity, the agent's beside the exact ones. {told}. Torques have the same sign in "
        f"{100 * (np.sign(agent.torque) == np.sign(exact.torque)).mean():.0f} % of the plane.",
        caption="Exact: the soft Bellman equation solved on a grid with the agent's discount and entropy weight."
        + (" Dots: where the agent has been; far from them its critic is guessing." if visited is not None else ""),
    )


def agreement(ours: np.ndarray, exact: np.ndarray) -> str:
    """Words for how well values (N,) agree."""
    difference = ours - exact
    return (
        f"values correlate {np.corrcoef(ours, exact)[0, 1]:.2f} and the agent's differ by {difference.mean():+.0f} on average "
        f"(standard deviation {difference.std():.0f})"
    )

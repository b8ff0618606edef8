"""Value and policy over a world's plane (`worlds/plane.py`), beside the exact ones where these are known.

The critic estimates a discounted *soft* value: rewards, plus an entropy bonus for every action. What
a perfect one would say is computed in `yardsticks/soft_ceiling.py`, for the worlds where it can be.
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.paper.actor_critic import DreamerV3ActorCritic
from dreamer_core.sac import Action
from dreamer_core.viz.show import describe
from dreamer_core.worlds.drawing import seen_by_agent, whole
from dreamer_core.worlds.plane import NoPlane, Plane
from dreamer_core.yardsticks.soft_ceiling import EXACT, SHAPE, best_action, soft_bellman


class OnPlane(NamedTuple):
    """Value and policy on the grid of a world's plane, `plane.grid((A, B))`."""

    plane: Plane
    value: np.ndarray  # (A, B), in the environment's units of reward
    action: np.ndarray  # (A, B), of the deterministic policy, in [-1, 1]; the first entry where an action has several


def plane_of(agent: Dreamer) -> Plane:
    """The plane of an agent's world.

    Raises:
        NoPlane: it has none that says all there is, or the agent has no soft value there, or one in other units.
    """
    config = agent.config
    plane, wrappers = whole(config).plane, config.wrappers
    if plane is None or plane.observation is None:
        what = "no plane" if plane is None else f"a plane of {' and '.join(plane.names)}, which does not say all that it shows"
        raise NoPlane(
            f"{config.env} has {what}, so value and policy cannot be drawn over it: choose a world whose plane says all (Plane.observation)"
        )
    if isinstance(agent.sac, DreamerV3ActorCritic):
        raise NoPlane(
            "the plane shows a soft value, made of Q and of the entropy's weight, but this agent has DreamerV3's critic v(s): "
            "give one trained with actor_critic sac"
        )
    if wrappers.action_repeat > 1:
        raise NoPlane(
            f"the plane is that of {config.env} with a new action at each step, but each action of this agent lasts "
            f"{wrappers.action_repeat} steps: give one trained with wrappers.action_repeat 1"
        )
    if (wrappers.reward_scale, wrappers.reward_offset) != (1, 0):
        raise NoPlane(
            f"the plane shows the rewards of {config.env} in its own units, but this agent gets others: give one trained with "
            f"wrappers.reward_scale 1 and wrappers.reward_offset 0"
        )
    return plane


def exact_plane(agent: Dreamer, shape: tuple[int, int] = SHAPE) -> OnPlane:
    """What a perfect critic with the agent's discount and entropy weight would say, and the action it would find best.

    Raises:
        NoPlane: as `plane_of`, or the exact values of the agent's world are not known.
    """
    plane, config = plane_of(agent), agent.config
    if config.env not in EXACT:
        raise NoPlane(
            f"the exact values of {config.env} are not known (they are of {', '.join(EXACT)}): draw the agent's alone, "
            f"plane_figure(agent_plane(agent))"
        )
    tau = agent.in_world_units(agent.sac.alpha) if config.sac.soft else 0.0
    value = soft_bellman(config.sac.gamma, tau, shape, step=EXACT[config.env])
    return OnPlane(plane, value, best_action(value, config.sac.gamma, EXACT[config.env]))


def leading_rows(agent: Dreamer, plane: Plane, places: np.ndarray) -> np.ndarray:
    """What an agent would have seen on its way to N places (N, 2), had nothing been done: (N, rows, O), the place itself last.

    As many rows as its own dreams filter before they start; one where the world cannot be run backwards.
    """
    rows, seen = agent.config.imagination.start_rows if plane.before and agent.config.wrappers.action_repeat == 1 else 1, []
    for row in range(rows):
        places = plane.before(places) if row else places
        seen.append(seen_by_agent(plane.observation(places), agent.config.wrappers))
    return np.stack(seen[::-1], 1)


@torch.no_grad()
def agent_plane(agent: Dreamer, shape: tuple[int, int] = SHAPE, samples: int = 8) -> OnPlane:
    """The agent's soft value and its deterministic action, in every place of the grid.

    A Dreamer's value belongs to a belief, not to a state of the world. So each place is reached by
    observed rows in which nothing is done and that end in it, as many as the agent's own dreams filter
    before they start; a world that cannot be run backwards shows one row only. The value is averaged
    over `samples` draws of z and of the action.

    Raises:
        NoPlane: as `plane_of`.
    """
    plane = plane_of(agent)
    model, actor = agent.model, agent.sac.actor
    observation = torch.from_numpy(leading_rows(agent, plane, plane.grid(shape).reshape(-1, 2)))  # (A * B, rows, O)
    rows = observation.shape[1]
    h, _ = model.rssm.initial(len(observation))
    idle, flags = torch.zeros(*observation.shape[:2], agent.action), torch.zeros(observation.shape[:2])
    embed = model.encode(observation)
    value, action = 0.0, 0.0
    for _ in range(samples):
        # One draw of noise for all states, so that neighbours differ by what they are and not by chance.
        noise = model.rssm.latent.noise(1, rows)
        noise = noise.expand(len(h), *noise.shape[1:])
        state = model.rssm.observe(h, embed, idle, flags, noise).features[:, -1]
        mean, log_std = actor(state)
        pre_tanh = mean + torch.exp(log_std) * torch.randn(1)
        value = value + agent.sac.target_value(state, Action(pre_tanh, actor.log_prob(state, pre_tanh))) / samples
        action = action + actor.mode(state)[:, 0] / samples
    return OnPlane(plane, agent.in_world_units(value).numpy().reshape(shape), action.numpy().reshape(shape))


def plane_figure(agent: OnPlane, exact: OnPlane | None = None, visited: np.ndarray | None = None, title: str = "") -> Figure:
    """Two rows, value and action; three columns, the agent's, the exact ones, and their difference. Without exact ones, the first alone.

    Args:
        visited: (N, 2), places of real experience, drawn as dots over the last column.
    """
    plane = agent.plane
    columns = 1 if exact is None else 3
    size = (5.2, 5.6) if exact is None else (10.5, 5.6)
    figure, axes = plt.subplots(2, columns, figsize=size, sharex=True, sharey=True, layout="constrained", squeeze=False)
    both = agent.value if exact is None else np.concatenate([agent.value, exact.value])
    rows = [("value (reward)", "value", "cividis", both.min(), both.max()), ("action (-1 to 1)", "action", "PuOr", -1, 1)]
    for line, (label, name, colours, low, high) in zip(axes, rows):
        ours = getattr(agent, name)
        panels = [("agent", ours, colours, low, high, label)]
        if exact is not None:
            best = getattr(exact, name)
            reach = np.abs(ours - best).max()
            panels[0] = ("agent", ours, colours, low, high, None)  # the next one's colour bar is for both
            panels += [("exact", best, colours, low, high, label)]
            panels += [("agent - exact", ours - best, "RdBu", -reach, reach, f"difference, {label}")]
        for axis, (whose, values, colours, low, high, bar) in zip(line, panels):
            extent = (plane.low[0], plane.high[0], plane.low[1], plane.high[1])
            image = axis.imshow(values.T, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high)
            axis.set_title(f"{name}: {whose}", fontsize=10)
            if bar is not None:
                figure.colorbar(image, ax=axis, label=bar)
        if visited is not None:
            line[-1].plot(*visited.T, ".", color="black", markersize=1.2, alpha=0.5)
    set_axes(axes, plane)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    dots = " Dots: where the agent has been; far from them its critic is guessing." if visited is not None else ""
    over = f"Value and action over {' and '.join(plane.names)}"
    if exact is None:
        told = f"values lie between {agent.value.min():.3g} and {agent.value.max():.3g}, actions between {agent.action.min():.2f} and"
        return describe(
            figure,
            alt=f"{over}, as the agent sees them: {told} {agent.action.max():.2f}.",
            caption=f"What the agent thinks each state is worth, and what it would do there.{dots}",
        )
    told = f"Over the whole plane, {agreement(agent.value.ravel(), exact.value.ravel())}"
    if visited is not None:
        told += f"; where the agent has been, {agreement(plane.read(agent.value, visited), plane.read(exact.value, visited))}"
    return describe(
        figure,
        alt=f"{over}, the agent's beside the exact ones. {told}. Actions have the same sign in "
        f"{100 * (np.sign(agent.action) == np.sign(exact.action)).mean():.0f} % of the plane.",
        caption=f"Exact: the soft Bellman equation solved on a grid with the agent's discount and entropy weight.{dots}",
    )


def set_axes(axes: np.ndarray, plane: Plane) -> None:
    """Limits, labels and ticks of panels (R, C) that share their axes, for a world's plane."""
    first: Axes = axes[0, 0]
    first.set(xlim=(plane.low[0], plane.high[0]), ylim=(plane.low[1], plane.high[1]))
    if plane.periodic[0] and plane.units[0] == "rad":
        first.set(xticks=[-np.pi, 0, np.pi], xticklabels=["-π", "0", "π"])
    for axis in axes[-1]:
        axis.set_xlabel(plane.labels[0])
    for axis in axes[:, 0]:
        axis.set_ylabel(plane.labels[1])


def agreement(ours: np.ndarray, exact: np.ndarray) -> str:
    """Words for how well values (N,) agree."""
    difference = ours - exact
    return (
        f"values correlate {np.corrcoef(ours, exact)[0, 1]:.2f} and the agent's differ by {difference.mean():+.0f} on average "
        f"(standard deviation {difference.std():.0f})"
    )

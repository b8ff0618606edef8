"""Whose fault is it that a dream goes wrong? Over a world's plane: how long a dream holds, how long the world itself does, and the data.

A dream can leave what happens for two reasons. The world may be unstable there: then two real copies
that begin very close together part as well. Or the model may be wrong there: then the copies stay together.
All is counted alike: in steps until the distance (`viz/measure.py`) exceeds one tolerance.
"""

from typing import NamedTuple

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import Config
from dreamer_core.viz.dream import held_actions
from dreamer_core.viz.measure import Measure, measure
from dreamer_core.viz.plane import leading_rows, set_axes
from dreamer_core.viz.show import describe
from dreamer_core.worlds.drawing import drawing, seen_by_agent, whole
from dreamer_core.worlds.plane import NoPlane, Plane


class FaultMap(NamedTuple):
    """Steps on the grid `plane.grid((A, B))`, medians over all courses of action; at most `steps`."""

    plane: Plane
    dream: np.ndarray  # (A, B), until a dream is off by more than the tolerance
    world: np.ndarray  # (A, B), until two real copies are that far apart
    steps: int  # how long was looked
    tolerance: float
    hair: float  # how far apart the copies began, as a share of what is shown of each coordinate
    measure: Measure  # the unit of the tolerance


def holds(error: np.ndarray, tolerance: float) -> np.ndarray:
    """How many steps pass before the error first exceeds the tolerance: errors (..., L) of the steps 1 to L -> (...), from 0 to L.

    An error that is NaN exceeds it.
    """
    missed = ~(error <= tolerance)
    return np.where(missed.any(-1), missed.argmax(-1), error.shape[-1])


def real_runs(env: gym.Env, plane: Plane, places: np.ndarray, plans: np.ndarray, config: Config, age: int = 0) -> np.ndarray:
    """What really follows from N places under P plans (P, L, A): observations (N, P, L + 1, O); NaN after an episode's end.

    Args:
        env: as the agent sees it. plane: of the world itself (`whole(config).plane`), with a `state`.
    """
    size, (count, length, _) = env.observation_space.shape[0], plans.shape
    found = np.full((len(places), count, length + 1, size), np.nan, np.float32)
    for here, place in zip(found, places):
        for rows, plan in zip(here, plans):
            envs.reset(env, 0, age)
            rows[0] = seen_by_agent(plane.state(env, place), config.wrappers)
            for number, action in enumerate(plan, 1):
                rows[number], _, terminated, truncated, _ = env.step(action)
                if terminated or truncated:
                    break
    return found


@torch.no_grad()
def dreams_from(agent: Dreamer, observation: torch.Tensor, plans: np.ndarray, count: int) -> np.ndarray:
    """Dreams of P plans (P, L, A) from what was seen, N histories (N, rows, O) in which nothing was done: (N, P, K, L + 1, O), decoded."""
    rssm, (many, rows, _), (kinds, length, _) = agent.model.rssm, observation.shape, plans.shape
    idle, flags = torch.zeros(many * count, rows, agent.action), torch.zeros(many * count, rows)
    embed = agent.model.encode(observation).repeat_interleave(count, 0)
    beliefs = rssm.observe(rssm.initial(many * count)[0], embed, idle, flags)
    h, z = (part[:, -1].repeat(kinds, 1) for part in (beliefs.h, beliefs.z))  # (P * N * K, ...)
    given = torch.from_numpy(plans).repeat_interleave(many * count, 0)  # (P * N * K, L, A)
    states = [torch.cat([h, z], -1)]
    for step in range(length):
        h, z = rssm.dream_step(h, z, given[:, step], rssm.latent.noise(len(h)))
        states.append(torch.cat([h, z], -1))
    decoded = agent.model.decode(torch.stack(states, 1))  # (P * N * K, L + 1, O)
    return decoded.unflatten(0, (kinds, many, count)).transpose(0, 1).numpy()


def fault_map(
    agent: Dreamer,
    env: gym.Env,
    shape: tuple[int, int] = (15, 15),
    steps: int = 30,
    plans: int = 2,
    count: int = 8,
    tolerance: float | None = None,
    hair: float = 0.01,
    age: int = 0,
    seed: int = 0,
) -> FaultMap:
    """How many steps `count` dreams hold from every place of the grid, and how many the world itself.

    The actions are random and held, the same from every place. The belief before a dream has seen as
    many rows as the agent's own dreams filter before they start, in which nothing was done and which
    end at the place; one row where a world cannot be run backwards. From each place start two copies
    besides, one a little further along each coordinate. Where an episode ends first, all that held until then has held.

    Args:
        env: as the agent sees it (`envs.make_for`).
        steps: how far is looked. plans: courses of action from each place.
        tolerance: in the unit of `measure`; by default 20 degrees, a tenth of what the plane shows, or half a standard deviation.
        hair: as a share of what the plane shows of each coordinate.

    Raises:
        NoPlane: the world has no plane, or its simulator cannot be put anywhere on it.
    """
    config = agent.config
    plane = whole(config).plane
    if plane is None or plane.state is None:
        what = "no plane" if plane is None else f"a plane of {' and '.join(plane.names)}, but its simulator cannot be put at a place of it"
        raise NoPlane(f"{config.env} has {what}, so there is no map of faults: give the world a plane() with a `state`")
    unit = measure(drawing(config), agent.model.scale.numpy())
    tolerance = usual_tolerance(unit, plane) if tolerance is None else tolerance
    courses = np.stack([held_actions(steps, agent.action, 8, seed + number, envs.is_discrete(env)) for number in range(plans)])
    places = plane.grid(shape).reshape(-1, 2)
    real = real_runs(env, plane, places, courses, config, age)  # (N, P, L + 1, O)
    ended = np.isnan(real).any(-1)
    seen = leading_rows(agent, plane, places) if plane.observation is not None else real[:, 0, :1]
    with torch.random.fork_rng([]):  # the same map each time, and nothing that is drawn afterwards is changed by it
        torch.manual_seed(seed)
        dreams = dreams_from(agent, torch.from_numpy(seen), courses, count)  # (N, P, K, L + 1, O)
    dreamt = unit.of(real[:, :, None], dreams)  # (N, P, K, L + 1)
    dreamt = np.where(ended[:, :, None], 0, dreamt)
    apart = []
    for number in range(2):
        step = np.zeros(2)
        step[number] = hair * (plane.high[number] - plane.low[number])
        beside = real_runs(env, plane, places + np.where(places + step > plane.high, -step, step), courses, config, age)
        apart.append(np.where(ended | np.isnan(beside).any(-1), 0, unit.of(real, beside)))  # (N, P, L + 1)
    return FaultMap(
        plane=plane,
        dream=np.median(holds(dreamt[..., 1:], tolerance), (1, 2)).reshape(shape),
        world=np.median(holds(np.stack(apart, 2)[..., 1:], tolerance), (1, 2)).reshape(shape),
        steps=steps,
        tolerance=tolerance,
        hair=hair,
        measure=unit,
    )


def usual_tolerance(unit: Measure, plane: Plane) -> float:
    """20 degrees; a tenth of the plane's first coordinate, where distances have its unit; half a standard deviation elsewhere."""
    match unit.unit.strip():
        case "°":
            return 20.0
        case "sd":
            return 0.5
        case _:
            return 0.1 * (plane.high[0] - plane.low[0])


def density(plane: Plane, visited: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """How many of the places (N, 2) lie nearest to each point of `plane.grid(shape)`: (A, B). Those beyond what is shown are left out."""
    inside = (visited >= plane.low).all(-1) & (visited <= plane.high).all(-1)
    grid, numbers = plane.grid(shape), []
    for axis, around in enumerate(plane.periodic):
        line = grid[:, 0, 0] if axis == 0 else grid[0, :, 1]
        step = line[1] - line[0]
        index = np.rint((visited[inside, axis] - line[0]) / step).astype(int)
        numbers.append(index % len(line) if around else np.clip(index, 0, len(line) - 1))
    counts = np.zeros(shape)
    np.add.at(counts, tuple(numbers), 1)
    return counts


def fault_figure(found: FaultMap, visited: np.ndarray, title: str = "") -> Figure:
    """Four maps over the plane: how long a dream holds, how long the world itself, the difference, and the data.

    Args:
        visited: (N, 2), the places of the experience that the model was trained on.
    """
    plane, counts = found.plane, density(found.plane, visited, found.dream.shape)
    lost = found.world - found.dream
    figure, axes = plt.subplots(2, 2, figsize=(9.6, 7.4), sharex=True, sharey=True, layout="constrained")
    extent = (plane.low[0], plane.high[0], plane.low[1], plane.high[1])
    panels = [
        ("a dream holds", found.dream, "cividis", 0, found.steps, "steps"),
        ("two real copies hold", found.world, "cividis", 0, found.steps, "steps"),
        ("the model's fault: copies - dream", lost, "RdBu_r", -found.steps, found.steps, "steps"),
        ("the data", np.log10(1 + counts), "Greys", 0, max(1.0, float(np.log10(1 + counts).max())), "rows here, log10(1 + n)"),
    ]
    for axis, (name, values, colours, low, high, bar) in zip(axes.flat, panels):
        image = axis.imshow(values.T, origin="lower", aspect="auto", extent=extent, cmap=colours, vmin=low, vmax=high)
        axis.set_title(name, fontsize=10)
        figure.colorbar(image, ax=axis, label=bar)
    set_axes(axes, plane)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    known = counts > 0
    told = [
        f"{where} a dream holds {np.median(found.dream[mask]):.0f} steps and two real copies {np.median(found.world[mask]):.0f}"
        for where, mask in (("where there are data", known), ("where there are none", ~known))
        if mask.any()
    ]
    limit = f"{found.tolerance:{found.measure.digits}}{found.measure.unit}"
    return describe(
        figure,
        alt=f"Four maps over {' and '.join(plane.names)}. In the median of {found.steps} steps at most, {'; '.join(told)}.",
        caption=f"Steps until a dream is off by more than {limit}, beside steps until two real copies are, which began {found.hair:.1%} of "
        f"a side apart. Dark in both upper maps: the world is unstable there, and no model could do much better. Red below: the copies "
        f"stay together and the dream does not, so the model is wrong there. See whether the red lies where the data are thin.",
    )

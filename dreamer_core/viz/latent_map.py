"""What the latent state knows: maps of h and z coloured by the truth, and the code of a categorical z."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.errors import DreamerError
from dreamer_core.viz.dream import Episode, believe
from dreamer_core.viz.show import check_names, describe
from dreamer_core.worlds.drawing import drawing, whole
from dreamer_core.worlds.plane import NoPlane, Plane


class Rows(NamedTuple):
    """The rows of some episodes, one after the other; rows that have no place on the world's plane are left out."""

    h: np.ndarray  # (N, D)
    z: np.ndarray  # (N, Z), posterior samples
    truth: np.ndarray  # (N, 2): their places on the plane, such as angle and velocity
    plane: Plane


class LatentMap(NamedTuple):
    """h or z of held-out rows seen along two directions, and what a linear probe reads from all of it."""

    points: np.ndarray  # (N, 2)
    share: np.ndarray  # (2,), of the variance along each direction
    r2: tuple[float, float]  # of each coordinate of the plane; of an angle's cosine and sine together


def read_latents(agent: Dreamer, episodes: Sequence[Episode], truth: Sequence[np.ndarray] | None = None) -> Rows:
    """Filter episodes and collect their latent states.

    Args:
        truth: for each episode (T + 1, W), what the world itself showed, where the agent sees only part of it.

    Raises:
        NoPlane: the world has no plane, or none that can be told from what the agent sees. DreamerError: the truth has other entries.
    """
    config = agent.config
    known = drawing(config) if truth is None else whole(config)
    if known.plane is None:
        needs = "truth=, each episode's whole observations" if truth is None and whole(config).plane else "plane() to the world"
        raise NoPlane(
            f"there is no plane of {config.env} that could be told from what the agent sees, so there is nothing to colour a map by: "
            f"give {needs}, or look at its latents with principal_axes, probe and r_squared"
        )
    shown = [episode.observation for episode in episodes] if truth is None else truth
    for seen, episode in zip(shown, episodes, strict=True):
        if seen.shape != (len(episode.observation), len(known.names)):
            raise DreamerError(
                f"this truth has the shape {seen.shape}, but the episode has {len(episode.observation)} rows and {config.env} shows "
                f"{', '.join(known.names)}: give a row for each, with all of these"
            )
    beliefs = [believe(agent, episode) for episode in episodes]
    h, z = (np.concatenate([part[0].numpy() for part in parts]) for parts in zip(*((b.h, b.z) for b in beliefs)))
    places = known.plane.place(np.concatenate(shown))
    has_place = np.isfinite(places).all(-1)
    return Rows(h[has_place], z[has_place], places[has_place], known.plane)


def principal_axes(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two directions of largest variance of x (N, F): the directions (F, 2), and the share of the variance along each (2,)."""
    _, spread, directions = np.linalg.svd(x - x.mean(0), full_matrices=False)
    return directions[:2].T, spread[:2] ** 2 / (spread**2).sum()


def probe(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, ridge: float = 1e-3) -> np.ndarray:
    """A linear readout fitted on x (N, F), y (N, Y), applied to x_test (M, F): predictions (M, Y).

    Ridge regression with an intercept; the penalty is relative to the variance of x, and only
    there to keep directions that never vary from exploding.
    """
    centre, mean = x.mean(0), y.mean(0)
    x = x - centre
    gram = x.T @ x / len(x)
    penalty = ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    weights = np.linalg.solve(gram + penalty, x.T @ (y - mean) / len(x))
    return (x_test - centre) @ weights + mean


def r_squared(prediction: np.ndarray, truth: np.ndarray) -> float:
    """1 - squared error / variance, over all entries of (M,) or (M, Y): 1 is perfect, 0 no better than the mean, below 0 worse.

    Raises:
        ValueError: the truth never changes.
    """
    variance = np.square(truth - truth.mean(0)).sum()
    if variance == 0:
        raise ValueError("R^2 is not defined for a truth that never changes: test the probe on episodes that move")
    return float(1 - np.square(truth - prediction).sum() / variance)


def readable(truth: np.ndarray, plane: Plane, number: int) -> np.ndarray:
    """A coordinate of places (N, 2) as a linear probe can read it: as it is (N, 1), or cosine and sine (N, 2) where it wraps around."""
    values = truth[:, number]
    if not plane.periodic[number]:
        return values[:, None]
    turn = 2 * np.pi * values / (plane.high[number] - plane.low[number])
    return np.stack([np.cos(turn), np.sin(turn)], 1)


def latent_map(train: Rows, test: Rows, part: str) -> LatentMap:
    """Fit directions and probes on the `train` rows; map and score the `test` rows, which must come from other episodes.

    Args:
        part: "h" or "z".
    """
    x, x_test = getattr(train, part), getattr(test, part)
    directions, share = principal_axes(x)
    scores = []
    for number in range(2):
        y, y_test = (readable(rows.truth, rows.plane, number) for rows in (train, test))
        scores.append(r_squared(probe(x, y, x_test), y_test))
    return LatentMap((x_test - x.mean(0)) @ directions, share, tuple(scores))


def latent_figure(maps: Mapping[str, LatentMap], test: Rows, title: str = "") -> Figure:
    """One row for each latent, coloured by the true coordinates of the world's plane, such as angle (left) and velocity (right).

    Args:
        maps: "h" or "z" -> its map of N rows.
        test: the same rows.
    """
    plane = test.plane
    figure, axes = plt.subplots(len(maps), 2, figsize=(8.5, 3.4 * len(maps) + 0.3), layout="constrained", squeeze=False)
    for line, (name, found) in zip(axes, maps.items()):
        for number, axis in enumerate(line):
            scale, page, low, high = colouring(test.truth[:, number], plane, number)
            dots = axis.scatter(*found.points.T, c=test.truth[:, number], cmap=scale, vmin=low, vmax=high, s=7, linewidth=0)
            figure.colorbar(dots, ax=axis, label=plane.labels[number])
            axis.set(xlabel=f"{name}, direction 1 ({found.share[0]:.0%})", ylabel=f"{name}, direction 2 ({found.share[1]:.0%})")
            axis.set_title(f"linear probe from all of {name}: $R^2$ = {found.r2[number]:.2f}", fontsize=10)
            axis.set_facecolor(page)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    scores = "; ".join(
        f"{name}: " + ", ".join(f"{what} {r2:.2f}" for what, r2 in zip(plane.names, found.r2)) for name, found in maps.items()
    )
    return describe(
        figure,
        alt=f"Latent states along their two directions of largest variance, coloured by the true {' and '.join(plane.names)}. R squared of "
        f"a linear probe on held-out episodes: {scores}.",
        caption="Each dot is a row of an episode that neither the directions nor the probe were fitted on. Percentages: share of the "
        "variance. Neighbours of one colour: the latent keeps that quantity."
        + (" The lone dot among those of h is h = 0, where every episode starts." if "h" in maps else ""),
    )


def colouring(values: np.ndarray, plane: Plane, number: int) -> tuple[str, str, float, float]:
    """Colour scale, page and range for a coordinate: a scale without ends where it wraps around; no colour of it vanishes in the page."""
    if plane.periodic[number]:
        return "twilight_shifted", "#b0b0b0", plane.low[number], plane.high[number]
    reach = np.abs(values).max()
    low = -reach if plane.low[number] == -plane.high[number] else values.min()
    return "cividis", "white", float(low), float(reach if low == -reach else values.max())


def codes(agent: Dreamer, episode: Episode) -> np.ndarray:
    """The posterior probabilities of a categorical z along an episode: (T + 1, S, K).

    Raises:
        ValueError: z is Gaussian.
    """
    latent = agent.model.rssm.latent
    if agent.config.model.latent != "categorical":
        raise ValueError("this agent's z is Gaussian and has no classes to draw: train one with the setting model.latent = categorical")
    with torch.no_grad():
        return latent.probs(believe(agent, episode).posterior)[0].numpy()


def code_figure(probs: np.ndarray, observation: np.ndarray, names: Sequence[str], title: str = "") -> Figure:
    """The episode above, and below the probability of every class of every group, darker for more.

    Args:
        probs: (T, S, K). observation: (T, O). names: O names for the legend.

    Raises:
        DreamerError: the names are not as many as the observations.
    """
    check_names(names, observation.shape[-1])
    rows, groups, classes = probs.shape
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(9, 2.2 + 0.06 * groups * classes), height_ratios=[1, 3], sharex=True, layout="constrained"
    )
    for values, name, style in zip(observation.T, names, ["-", "--", ":", "-."] * len(names)):
        above.plot(values, linewidth=1.5, linestyle=style, color="black", label=name)
    above.set_ylabel("observation")
    above.legend(fontsize=9, ncols=len(names), loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    image = below.imshow(
        probs.reshape(rows, -1).T,
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=1,
        interpolation="nearest",
        extent=(-0.5, rows - 0.5, groups, 0),
    )
    below.set(xlabel="step", ylabel=f"group (each {classes} classes)", yticks=np.arange(groups) + 0.5, yticklabels=range(1, groups + 1))
    below.hlines(np.arange(1, groups), -0.5, rows - 0.5, color="black", linewidth=0.5)
    below.tick_params(axis="y", length=0)
    figure.colorbar(image, ax=below, label="posterior probability")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    used = (probs.max(0) > 0.5).sum()
    changes = (np.diff(probs.argmax(-1), axis=0) != 0).mean()
    return describe(
        figure,
        alt=f"Heat map of z over {rows} steps: {groups} groups of {classes} classes. {used} of {groups * classes} classes are ever the "
        f"likely one; a group changes its likely class in {changes:.0%} of the steps.",
        caption="One dark cell per group and step means a sure code; a pale column means doubt. Groups that never change carry "
        "nothing about this episode.",
    )

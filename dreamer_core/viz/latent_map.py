"""What the latent state knows: maps of h and z coloured by the truth, and the code of a categorical z."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure

from dreamer_core.agent import Dreamer
from dreamer_core.viz.dream import Episode, believe
from dreamer_core.viz.pendulum import AnotherWorld, angle_and_velocity, check_agent, is_pendulum
from dreamer_core.viz.show import check_names, describe


class Rows(NamedTuple):
    """The rows of some episodes, one after the other."""

    h: np.ndarray  # (N, D)
    z: np.ndarray  # (N, Z), posterior samples
    truth: np.ndarray  # (N, 3): cosine and sine of the angle, velocity


class LatentMap(NamedTuple):
    """h or z of held-out rows seen along two directions, and what a linear probe reads from all of it."""

    points: np.ndarray  # (N, 2)
    share: np.ndarray  # (2,), of the variance along each direction
    r2_angle: float  # of the angle's cosine and sine together
    r2_velocity: float


def check_truth(truth: np.ndarray) -> None:
    """Raises:
    AnotherWorld: truth (N, F) does not hold cosine, sine and velocity, which the colours and scores are named after.
    """
    if truth.shape[-1] != 3 or not is_pendulum(truth):
        raise AnotherWorld(
            "the map is coloured by a pendulum's angle and velocity, and this truth does not hold cosine, sine and velocity: "
            "give Pendulum's whole observation, or look at another world with principal_axes, probe and r_squared"
        )


def read_latents(agent: Dreamer, episodes: Sequence[Episode], truth: Sequence[np.ndarray] | None = None) -> Rows:
    """Filter episodes of Pendulum and collect their latent states.

    Args:
        truth: for each episode (T + 1, 3), the full observation, where the agent sees only part of it.

    Raises:
        AnotherWorld: the agent was not made for Pendulum, or the truth is not the whole of what it shows.
    """
    check_agent(agent, "the map of angle and velocity")
    beliefs = [believe(agent, episode) for episode in episodes]
    truth = [episode.observation for episode in episodes] if truth is None else truth
    check_truth(np.concatenate(truth))
    h, z = (np.concatenate([part[0].numpy() for part in parts]) for parts in zip(*((b.h, b.z) for b in beliefs)))
    return Rows(h, z, np.concatenate(truth))


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


def latent_map(train: np.ndarray, train_truth: np.ndarray, test: np.ndarray, test_truth: np.ndarray) -> LatentMap:
    """Fit directions and probe on the `train` rows; map and score the `test` rows, which must come from other episodes.

    Args:
        train, test: (N, F), h or z. train_truth, test_truth: (N, 3), as in `Rows`.
    """
    directions, share = principal_axes(train)
    read = probe(train, train_truth, test)
    return LatentMap(
        points=(test - train.mean(0)) @ directions,
        share=share,
        r2_angle=r_squared(read[:, :2], test_truth[:, :2]),
        r2_velocity=r_squared(read[:, 2], test_truth[:, 2]),
    )


def latent_figure(maps: Mapping[str, LatentMap], truth: np.ndarray, title: str = "") -> Figure:
    """One row for each latent, coloured by the true angle (left) and velocity (right).

    Args:
        maps: name, such as "h" -> its map of N rows.
        truth: (N, 3) of the same rows.

    Raises:
        AnotherWorld: the truth is no pendulum's.
    """
    check_truth(truth)
    angle, velocity = angle_and_velocity(truth)
    figure, axes = plt.subplots(len(maps), 2, figsize=(8.5, 3.4 * len(maps) + 0.3), layout="constrained", squeeze=False)
    fast = np.abs(velocity).max()
    for line, (name, found) in zip(axes, maps.items()):
        colours = [
            ("angle (rad), upright 0", angle, found.r2_angle, "twilight_shifted", np.pi, "#b0b0b0"),
            ("velocity (rad/s)", velocity, found.r2_velocity, "cividis", fast, "white"),
        ]
        for axis, (label, values, r2, scale, reach, page) in zip(line, colours):
            dots = axis.scatter(*found.points.T, c=values, cmap=scale, vmin=-reach, vmax=reach, s=7, linewidth=0)
            figure.colorbar(dots, ax=axis, label=label)
            axis.set(xlabel=f"{name}, direction 1 ({found.share[0]:.0%})", ylabel=f"{name}, direction 2 ({found.share[1]:.0%})")
            axis.set_title(f"linear probe from all of {name}: $R^2$ = {r2:.2f}", fontsize=10)
            axis.set_facecolor(page)  # no colour of the scale may vanish in it
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    scores = "; ".join(f"{name}: angle {found.r2_angle:.2f}, velocity {found.r2_velocity:.2f}" for name, found in maps.items())
    return describe(
        figure,
        alt=f"Latent states along their two directions of largest variance, coloured by the true angle and velocity. R squared of a linear "
        f"probe on held-out episodes: {scores}.",
        caption="Each dot is a row of an episode that neither the directions nor the probe were fitted on. Percentages: share of the "
        "variance. Neighbours of one colour: the latent keeps that quantity."
        + (" The lone dot among those of h is h = 0, where every episode starts." if "h" in maps else ""),
    )


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

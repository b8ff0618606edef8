"""Dreams as paths over a world's plane: many dreams of each plan, one colour a plan."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dreamer_core.errors import DreamerError
from dreamer_core.viz.fan import COLOURS
from dreamer_core.viz.show import describe
from dreamer_core.worlds.plane import NoPlane, Plane
from dreamer_core.worlds.scene import Scene, draw_parts, wordless

PALE = {"fixed": "#d0d0d0", "mark": "#e9cfe0"}  # inks of what stands still, so that every path is seen over it


def unbroken(places: np.ndarray, plane: Plane) -> np.ndarray:
    """A path (L, 2) with a gap (a row of NaN) wherever a coordinate wraps around, so that no line crosses the plane there."""
    around = np.array(plane.periodic) & (np.abs(np.diff(places, axis=0)) > (np.array(plane.high) - plane.low) / 2)  # (L - 1, 2)
    return np.insert(places.astype(float), 1 + np.flatnonzero(around.any(1)), np.nan, axis=0)


def paths_figure(
    dreams: Mapping[str, np.ndarray],
    plane: Plane | None,
    real: Mapping[str, np.ndarray] | None = None,
    scene: Scene | None = None,
    title: str = "",
) -> Figure:
    """Where the dreams of each plan go, over the two coordinates of the world's plane.

    Args:
        dreams: plan -> (K, L + 1, O), as from `fan`.
        plane: of what the agent sees, `drawing(config).plane`.
        real: plan -> (L + 1, O), what truly follows, as from `real_futures`; drawn dashed.
        scene: what stands still in it is drawn underneath, for a world whose scene lies in the plane's own coordinates.

    Raises:
        NoPlane: the world has none. DreamerError: no plan, or more than there are colours.
    """
    if plane is None:
        raise NoPlane("there is no plane that could be told from what the agent sees, so there are no paths over it: see fan_figure")
    if not 1 <= len(dreams) <= len(COLOURS):
        raise DreamerError(f"{len(dreams)} plans cannot be told apart in one figure: give 1 to {len(COLOURS)}")
    real, told = real or {}, []
    alike = plane.units[0] == plane.units[1] and not any(plane.periodic)  # so that there are distances
    figure, axis = plt.subplots(figsize=(6.4, 6.2), layout="constrained")
    if scene is not None:
        draw_parts(axis, [part for part in wordless(scene).parts if part.ink != "body"], PALE)
    for (name, dreamt), colour in zip(dreams.items(), COLOURS):
        places = plane.place(dreamt)  # (K, L + 1, 2)
        for single in places:
            axis.plot(*unbroken(single, plane).T, color=colour, linewidth=0.8, alpha=0.35)
        axis.plot(*places[:, -1].T, ".", color=colour, markersize=5)
        ends = f"{name}: half of the dreams end within {spread(places[:, -1]):.2g} of their middle"
        path = plane.place(real[name]) if name in real else np.empty((0, 2))
        seen = np.flatnonzero(np.isfinite(path).all(-1))  # rows without a place, as of a blank observation, are left out
        if len(seen):
            axis.plot(*unbroken(path, plane).T, color=colour, linewidth=2.6, linestyle=(0, (2, 1)))
            axis.plot(*path[seen[-1]], "X", color=colour, markeredgecolor="white", markersize=12, zorder=5)
            off = np.nanmedian(places[:, seen[-1]], 0) - path[seen[-1]]
            ends += f", and {np.hypot(*off):.2g} from where the world leads"
        told.append(ends)
    axis.plot(*plane.place(next(iter(dreams.values()))).mean(0)[0], "s", color="black", markersize=9, zorder=6)
    axis.set(xlabel=plane.labels[0], ylabel=plane.labels[1], aspect="equal" if alike else "auto")
    axis.set_xlim(plane.low[0], plane.high[0])
    axis.set_ylim(plane.low[1], plane.high[1])
    handles = [Line2D([], [], color=colour, linewidth=2, label=name) for name, colour in zip(dreams, COLOURS)]
    handles.append(Line2D([], [], color="black", marker="s", linestyle="", label="start"))
    if real:
        handles.append(Line2D([], [], color="black", linestyle=(0, (2, 1)), marker="X", linewidth=2.4, label="what truly follows"))
    figure.legend(handles=handles, loc="outside lower center", fontsize=9, ncols=3)
    distances = f" {'; '.join(told)}." if alike else ""
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    count, length, _ = next(iter(dreams.values())).shape
    return describe(
        figure,
        alt=f"Paths over {plane.names[0]} and {plane.names[1]}: {count} dreams of {length - 1} steps of each of {len(dreams)} plans, from "
        f"one state: {', '.join(dreams)}.{distances}",
        caption=f"One colour a plan, {count} dreams of each; a dot is where a dream ends."
        + (" Dashed: what the world does under the same plan, up to the cross." if real else ""),
    )


def spread(ends: np.ndarray) -> float:
    """Half of the places (K, 2) lie within this distance of their median."""
    return float(np.nanmedian(np.hypot(*(ends - np.nanmedian(ends, 0)).T)))

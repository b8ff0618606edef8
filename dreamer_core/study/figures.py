"""The figures of a study: scores with intervals, differences arm by arm and world by world, learning curves, performance profiles."""

import math
from collections import Counter
from collections.abc import Sequence
from itertools import product
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dreamer_core.study.plan import count
from dreamer_core.study.results import Cell, Pair, Results
from dreamer_core.study.statistics import Estimate, estimate, interquartile_mean, profile, told
from dreamer_core.viz.curves import COLOURS
from dreamer_core.viz.show import BLUE, ORANGE, SMALLEST, describe

LOOKS = [(colour, style) for style, colour in product(["-", "--", ":"], COLOURS)]  # all of these returns are real
WIDEST = 3  # panels in a row
EDGE = 1.0  # a difference of scores beyond it, from random to the best known, is drawn as an arrow at the edge
VERDICTS = {"better": BLUE, "worse": ORANGE, "no difference shown": "0.55", "one pair, which shows nothing": "0.55"}


def looks(results: Results) -> dict[str, tuple[str, str]]:
    """Colour and line style of each reading."""
    return {reading.label: look for reading, look in zip(results.readings, LOOKS)}


def plain_axes(axis: Axes) -> None:
    """No box, a light grid."""
    axis.grid(color="0.9", linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=SMALLEST)


def scores(results: Results) -> Figure:
    """A panel for each world and one for all: interquartile mean with its interval, and every seed as a dot."""
    worlds, looked = list(results.plan.worlds), looks(results)
    panels = [*worlds, None] if len(worlds) > 1 else worlds
    labels = [reading.label for reading in results.readings]
    columns = min(WIDEST, len(panels))
    rows = math.ceil(len(panels) / columns)
    size = (max(6.5, 3.4 * columns + 1.4), rows * (1.1 + 0.42 * len(labels)))
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axis, world in zip(axes.flat, panels):
        for place, label in enumerate(labels):
            strata = results.strata(label) if world is None else [results.cells[world, label].scores]
            values = np.concatenate(strata)
            if not len(values):
                axis.text(0.5, place, "no run", ha="center", va="center", fontsize=SMALLEST, color="0.35")
                continue
            found, colour = estimate(strata, interquartile_mean), looked[label][0]
            axis.plot(values, np.full(len(values), place + 0.22), "|", color=colour, markersize=7, alpha=0.6)
            if not math.isnan(found.low):
                axis.plot([found.low, found.high], [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
            axis.plot(found.value, place, "o", color=colour, markersize=6)
            axis.annotate(f"n = {found.runs}", (1.0, place), xycoords=("axes fraction", "data"), va="center", ha="left", fontsize=SMALLEST)
        for edge in (0, 1):
            axis.axvline(edge, color="0.5", linewidth=0.8, linestyle=":")
        axis.set_yticks(range(len(labels)), labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.set_title("all worlds" if world is None else world, fontsize=10)
        axis.set_xlabel("score: 0 random, 1 best known", fontsize=SMALLEST)
        plain_axes(axis)
    hide_rest(axes, len(panels))
    told = "; ".join(
        f"{label} {estimate(results.strata(label), interquartile_mean).value:.2f}"
        for label in labels
        if sum(map(len, results.strata(label)))
    )
    return describe(
        figure,
        alt=f"Scores by world and arm with intervals. Interquartile means over all runs: {told}.",
        caption="Dot: interquartile mean. Band: its bootstrap interval of 95 %. Ticks: single runs. n: how many there are.",
    )


def differences(pairs: Sequence[Pair], first: str) -> Figure:
    """A row for each arm and a column for each world: how much better it is than the first arm, seed by seed, with its interval.

    Args:
        pairs: at least one (`Results.pairs`, or `stored.pairs` of a report that is kept). first: the arm they are held against.
    """
    labels = list(dict.fromkeys(pair.label for pair in pairs))
    worlds = list(dict.fromkeys(pair.world for pair in sorted(pairs, key=lambda pair: pair.world == "")))  # all together at the end
    found = {(pair.world, pair.label): pair for pair in pairs}
    size = (2.6 + 1.75 * len(worlds), 1.5 + 0.36 * len(labels))
    figure, axes = plt.subplots(1, len(worlds), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axis, world in zip(axes.flat, worlds):
        for place, label in enumerate(labels):
            if (world, label) in found:
                difference(axis, place, found[world, label].difference)
            else:
                axis.text(0, place, "no pair", ha="center", va="center", fontsize=SMALLEST, color="0.35")
        axis.axvline(0, color="0.3", linewidth=0.9, zorder=0)
        axis.set_yticks(range(len(labels)), labels)
        axis.set(ylim=(len(labels) - 0.5, -0.6), xlim=(-1.08 * EDGE, 1.08 * EDGE))
        axis.set_xticks([-EDGE, 0, EDGE])
        axis.set_title(fill(world.removeprefix("dreamer/") or "all worlds", 18), fontsize=9)
        plain_axes(axis)
    handles = [plt.Line2D([], [], color=colour, marker="o", markerfacecolor="white" if "one pair" in word else colour, label=word)
               for word, colour in VERDICTS.items() if word in {verdict(pair.difference) for pair in pairs}]  # fmt: skip
    title = f"score less that of {first}, same seed"
    columns = len(handles) if len(worlds) > 2 else 1
    figure.legend(handles=handles, title=title, title_fontsize=SMALLEST, loc="outside lower center", ncols=columns, frameon=False,
                  fontsize=SMALLEST)  # fmt: skip
    few = " With fewer than five seeds in a world it is too narrow." if min(pair.fewest for pair in pairs) < 5 else ""
    words = "; ".join(f"{pair.label} in {pair.world or 'all worlds'}: {told(pair.difference.value, 2):+.2f}, {verdict(pair.difference)}"
                      for pair in pairs)  # fmt: skip
    return describe(
        figure,
        alt=f"Differences of scores from {first}, arms down, worlds across. {words}.",
        caption="Dot and number: the mean difference over pairs of runs with the same seed. Line: its bootstrap interval of 95 %. An arrow "
        f"leads beyond the edge.{few}",
    )


def verdict(found: Estimate) -> str:
    """What a difference shows, in words: one of `VERDICTS`."""
    if math.isnan(found.low):
        return "one pair, which shows nothing"
    low, high = told(found.low), told(found.high)
    return "better" if low > 0 else "worse" if high < 0 else "no difference shown"


def difference(axis: Axes, place: int, found: Estimate) -> None:
    """One cell: a dot with its interval and its number, kept inside the panel."""
    word = verdict(found)
    colour, inside = VERDICTS[word], float(np.clip(found.value, -EDGE, EDGE))
    if word != "one pair, which shows nothing":
        axis.plot(np.clip([found.low, found.high], -EDGE, EDGE), [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
        for end in (found.low, found.high):
            if abs(end) > EDGE:
                axis.plot(math.copysign(EDGE, end), place, ">" if end > 0 else "<", color=colour, markersize=5, clip_on=False)
    face = "white" if word == "one pair, which shows nothing" else colour
    axis.plot(inside, place, "o", color=colour, markerfacecolor=face, markersize=5)
    number = f"{told(found.value, 2):+.2f}".replace("-", "−")
    axis.text(np.clip(inside, -0.7 * EDGE, 0.7 * EDGE), place - 0.2, number, ha="center", va="bottom", fontsize=SMALLEST, color="0.2")


def curves(results: Results) -> Figure:
    """A panel for each world: every seed as a thin line, the interquartile mean as a thick one, its interval as a band."""
    worlds, looked = list(results.plan.worlds), looks(results)
    columns = min(WIDEST, len(worlds))
    rows = math.ceil(len(worlds) / columns)
    size = (max(7.0, 4.2 * columns), 3.4 * rows + 0.6)
    figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, world in zip(axes.flat, worlds):
        for order, reading in enumerate(longest(results)):
            cell, (colour, style) = results.cells[world, reading.label], looked[reading.label]
            label = f"{reading.arm} ({len(cell.seeds)})" if len(worlds) == 1 else reading.arm
            draw(axis, cell, colour, style, label, 3 - order / 100)  # the first arm lies on top
        place = results.plan.worlds[world]
        for value, name, side in ((place.best, "best", "bottom"), (place.random, "random", "center"), (place.solved, "solved", "top")):
            if value is not None:  # best and solved may be close together
                axis.axhline(value, color="0.35", linewidth=0.9, linestyle="--" if name == "best" else ":", zorder=1)
                axis.annotate(name, (1.01, value), xycoords=("axes fraction", "data"), va=side, fontsize=SMALLEST, color="0.25")
        axis.set_title(f"{world}\n{fill(seed_counts(results, world), 48)}", fontsize=10)
        axis.set_xlim(left=0)
        axis.set_xlabel("environment steps", fontsize=SMALLEST)
        axis.set_ylabel("mean return of an evaluation", fontsize=SMALLEST)
        plain_axes(axis)
    hide_rest(axes, len(worlds))
    legend(figure, axes)
    return describe(
        figure,
        alt=f"Learning curves, return against environment steps, of {len(results.runs)} runs in {len(worlds)} world(s).",
        caption="Thin lines: single seeds. Thick lines: their interquartile mean, with its bootstrap interval of 95 % as a band.",
    )


def seed_counts(results: Results, world: str) -> str:
    """How many seeds the arms have in a world: the usual number, and the arms that have another one."""
    found = {reading.arm: len(results.cells[world, reading.label].seeds) for reading in longest(results)}
    usual = Counter(found.values()).most_common(1)[0][0]
    return ", ".join([f"{count(usual, 'seed')} each", *(f"{arm} {number}" for arm, number in found.items() if number != usual)])


def longest(results: Results) -> list:
    """The reading of each arm at its own length, whose curves hold the shorter one's."""
    return list({reading.arm: reading for reading in results.readings}.values())


def draw(axis: Axes, cell: Cell, colour: str, style: str, label: str, zorder: float) -> None:
    """The curves of one arm in one world."""
    if not cell.seeds:
        axis.plot([], [], color=colour, linestyle=style, linewidth=2.2, label=label)
        return
    for one in cell.curves:
        axis.plot(*one[:, :2].T, color=colour, linewidth=0.7, alpha=0.4)
    steps = sorted(set.intersection(*({*one[:, 0]} for one in cell.curves)))
    returns = np.array([[one[one[:, 0] == step, 1][0] for one in cell.curves] for step in steps])  # (M, S)
    points = [estimate([row], interquartile_mean, repeats=2000) for row in returns]
    axis.plot(steps, [point.value for point in points], color=colour, linestyle=style, linewidth=2.2, label=label, zorder=zorder)
    axis.fill_between(steps, [point.low for point in points], [point.high for point in points], color=colour, alpha=0.15, linewidth=0)


def profiles(results: Results) -> Figure:
    """The share of runs above each score, over all worlds; the higher curve is the better one, and where curves cross, neither is."""
    looked = looks(results)
    every = np.concatenate([values for reading in results.readings for values in results.strata(reading.label)])
    thresholds = np.linspace(min(0.0, every.min()) - 0.02, max(1.0, every.max()) + 0.02, 121)
    figure, axis = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for order, reading in enumerate(results.readings):
        strata, (colour, style) = results.strata(reading.label), looked[reading.label]
        if sum(map(len, strata)):
            share, low, high = profile(strata, thresholds)
            axis.step(
                thresholds,
                share,
                color=colour,
                linestyle=style,
                linewidth=1.8 + 1.3 * min(order, 3),  # where lines coincide, those below show at both sides
                zorder=3 - order / 100,  # the first arm lies on top
                where="post",
                label=f"{reading.label} ({sum(map(len, strata))} runs)",
            )
            axis.fill_between(thresholds, low, high, color=colour, alpha=0.15, linewidth=0, step="post")
    axis.set_xlabel("score: 0 random, 1 best known", fontsize=SMALLEST)
    axis.set_ylabel("share of runs above it", fontsize=SMALLEST)
    axis.set_ylim(-0.02, 1.02)
    plain_axes(axis)
    legend(figure, np.array([axis]))
    return describe(
        figure,
        alt=f"Performance profiles: the share of runs above each score, for {len(results.readings)} arms.",
        caption="The higher curve is the better one; where two cross, neither is. Bands: pointwise bootstrap intervals of 95 %.",
    )


def hide_rest(axes: np.ndarray, used: int) -> None:
    """Take away the panels that are not needed."""
    for axis in list(axes.flat)[used:]:
        axis.set_visible(False)


def legend(figure: Figure, axes: np.ndarray) -> None:
    """One legend for all panels, below them, in the arms' order."""
    entries: dict = {}
    for axis in axes.flat:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=SMALLEST)

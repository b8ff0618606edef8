"""The course's convention of time, drawn: which number of a step belongs to which row.

Row t holds the observation o_t, the reward r_t that arrived *with* it, the flags first_t and
terminal_t, and the action a_t that *leaves* it. An episode of T steps has T + 1 rows: no action
led to the first, and none leaves the last. The current official code of DreamerV3 stores rows of
the same kind (github.com/danijar/dreamerv3).
"""

from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import Tensor

from dreamer_core.viz.show import BLUE, GREEN, GREY, ORANGE, describe

WIDE, HIGH = 1.25, 0.42  # of a cell; rows stand 2 apart
LANES = ("first", "terminal", "observation", "reward", "action")  # from the top
COLOURS = {"first": GREY, "terminal": GREY, "observation": BLUE, "reward": GREEN, "action": ORANGE}
SYMBOLS = {"first": "first", "terminal": "terminal", "observation": "o", "reward": "r", "action": "a"}
WORLD = -1.05  # how low the world's boxes stand


class Rows(NamedTuple):
    """The T + 1 rows of one episode, as the replay buffer stores them."""

    observation: Tensor  # (T + 1, O)
    reward: Tensor  # (T + 1,), arriving with the row; 0 in row 0
    first: Tensor  # (T + 1,), 1 where the episode begins
    terminal: Tensor  # (T + 1,), 1 where it truly ended (never for a time limit)
    action: Tensor  # (T + 1, A), leaving the row; 0 in the last


def as_rows(observation: Tensor, action: Tensor, reward: Tensor, terminated: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What goes with the observations into the T + 1 rows of an episode of T steps.

    Args:
        observation: (T + 1, O), what reset() returned, then what each step() returned.
        action: (T, A), given to the steps, in their order. reward: (T,), returned by them.
        terminated: the flag of that name from the last step.

    Returns:
        reward (T + 1,), first (T + 1,), terminal (T + 1,), action (T + 1, A), as in `Rows`.
    """
    nothing = torch.zeros(1)
    flags = torch.zeros(2, len(observation))
    flags[0, 0], flags[1, -1] = 1.0, float(terminated)
    return torch.cat([nothing, reward]), flags[0], flags[1], torch.cat([action, torch.zeros_like(action[:1])])


def timeline_figure(rows: Rows | None = None, count: int = 4, title: str = "") -> Figure:
    """Rows of an episode as columns of cells, with the world's steps between them.

    Args:
        rows: their numbers are written into the cells, so they should be few and short; None
            writes the symbols o_t, r_t, ... of `count` rows, after which the episode goes on.
        count: rows to draw if there are no numbers.
    """
    count = count if rows is None else len(rows.reward)
    figure, axis = plt.subplots(figsize=(1.75 * count + 1.3, 3.9), layout="constrained")
    axis.set(xlim=(-1.7, 2 * count - 0.1), ylim=(WORLD - 0.4, 3.0))
    axis.set_title(title, loc="left", fontsize=11)
    axis.axis("off")
    box(axis, -1, WORLD, "reset()", GREY)
    arrow(axis, (-1, WORLD + HIGH / 2), (-WIDE / 2, height("observation")), BLUE)
    for t in range(count):
        axis.text(2 * t, height("first") + 0.5, f"row {t}", ha="center", fontsize=11, weight="bold")
        for lane in LANES:
            faint = (lane == "reward" and t == 0) or (
                lane == "action" and rows is not None and t == count - 1
            )  # a 0 that only fills the row
            box(axis, 2 * t, height(lane), written(rows, lane, t), COLOURS[lane], faint)
        if rows is None or t < count - 1:
            step(axis, t, last=t == count - 1)
    told = "symbols only" if rows is None else f"rewards {plain(rows.reward)}, actions {plain(rows.action[:-1])}"
    return describe(
        figure,
        alt=f"Time line of {count} rows ({told}). Each row is a column of cells: first, terminal, observation, reward, action. An arrow "
        "leads from a row's action down to the world's step, and from there up to the observation and the reward of the next row.",
        caption="Read along the arrows: the action leaves its row, the world takes a step, and observation and reward arrive together in "
        "the next row. White: nothing arrived or left, a 0 fills the place.",
    )


def height(lane: str) -> float:
    """Where a lane's cells stand."""
    return 0.5 * (len(LANES) - 1 - LANES.index(lane))


def written(rows: Rows | None, lane: str, t: int) -> str:
    """What stands in a cell."""
    if rows is None:
        return rf"${SYMBOLS[lane]}_{t}$" if len(SYMBOLS[lane]) == 1 else rf"$\mathrm{{{SYMBOLS[lane]}}}_{t}$"
    if lane == "action" and t == len(rows.reward) - 1:
        return "no action"
    value = plain(getattr(rows, lane)[t])
    return rf"${SYMBOLS[lane]}_{{{t}}}$ = {value}" if len(SYMBOLS[lane]) == 1 else f"{SYMBOLS[lane]} {value}"


def plain(values: Tensor) -> str:
    """Numbers, written short."""
    return ", ".join(f"{value:.3g}".replace("-", "−") for value in values.flatten().tolist())


def box(axis: Axes, x: float, y: float, text: str, colour: str, faint: bool = False) -> None:
    """A cell with a text in it."""
    corner = (x - WIDE / 2, y - HIGH / 2)
    face = "white" if faint else colour
    axis.add_patch(
        FancyBboxPatch(
            corner, WIDE, HIGH, boxstyle="round,pad=0,rounding_size=0.08", facecolor=face, edgecolor=colour, alpha=0.25, linewidth=1.5
        )
    )
    axis.text(x, y, text, ha="center", va="center", fontsize=10, color=GREY if faint else "black")


def step(axis: Axes, t: int, last: bool) -> None:
    """The world's step from row t to the next row; after the last row drawn only the way there."""
    x = 2 * t + 1
    box(axis, x, WORLD, rf"step($a_{{{t}}}$)", GREY)
    arrow(axis, (2 * t, height("action") - HIGH / 2), (x - 0.3, WORLD + HIGH / 2), ORANGE)
    if last:
        return
    for lane, start in (("observation", x), ("reward", x + 0.2)):
        arrow(axis, (start, WORLD + HIGH / 2), (x + 1 - WIDE / 2, height(lane)), COLOURS[lane])


def arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """An arrow between two cells."""
    axis.annotate("", end, start, arrowprops=dict(arrowstyle="-|>", color=colour, linewidth=1.6, shrinkA=0, shrinkB=1))

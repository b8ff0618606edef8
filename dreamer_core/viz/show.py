"""Putting a figure or a line of progress into a notebook so that everyone can read it."""

import base64
import html
import io
import textwrap
import time
from collections.abc import Sequence

import matplotlib.pyplot as plt
from IPython.display import HTML, DisplayHandle, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from dreamer_core.errors import DreamerError

# One colour code for the course: what really happens, what the model makes of it while it watches, what it dreams.
# The palette is Okabe and Ito's, some of it darkened: each colour has a contrast of 3 : 1 at least on a white page and on a dark
# one, and any two are told apart by every kind of colour vision (tests/test_viz_show.py computes both).
BLUE, GREEN, ORANGE = "#0072B2", "#009E73", "#CC7A00"
COLOURS = {"real": BLUE, "posterior": GREEN, "dream": ORANGE}
# For what is none of the three.
RED, PURPLE, GREY = "#B8322B", "#C46BA0", "#666666"
SMALLEST = 9  # points: no text in a figure is smaller


def png(figure: Figure, dpi: int = 90) -> bytes:
    """The figure as a PNG with an opaque white background, so that it reads on dark pages too."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    # 256 colours are enough for a drawing, and a third of the size: notebooks are read over slow lines too.
    small = io.BytesIO()
    Image.open(buffer).convert("RGB").quantize(256).save(small, format="png", optimize=True)
    return small.getvalue()


def check_names(names: Sequence[str], size: int) -> None:
    """Raises:
    DreamerError: the names are not one for each of `size` observations, so that a wrong one would stand beside a curve.
    """
    if len(names) != size:
        raise DreamerError(f"{len(names)} labels were given for {size} observations: give one for each")


def stack(count: int, height: float, label: str) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels below one another, in several columns where they are many; all share their x axis.

    Args:
        height: of a panel, inches. label: of the x axis, written below each column.
    """
    columns = 1 if count <= 6 else 2 if count <= 16 else 4
    rows = -(-count // columns)
    size = (8 if columns == 1 else 12, height * rows + 0.8)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, layout="constrained", squeeze=False)
    panels = list(axes.T.flat)  # down the first column, then down the next
    for axis in panels[count:]:
        axis.remove()
    for axis in {*panels[rows - 1 : count : rows], panels[count - 1]}:  # the last of each column
        axis.tick_params(labelbottom=True)
        axis.set_xlabel(label)
    return figure, panels[:count]


def beside(label: str) -> str:
    """An axis label for the side of a low panel: a long one goes over several lines, so that it does not reach into the next panel."""
    return textwrap.fill(label, 20, break_long_words=False)


def describe(figure: Figure, alt: str, caption: str) -> Figure:
    """Give a figure its words: `alt` tells what it shows to someone who cannot see it, `caption` what to look for."""
    figure.alt, figure.caption = alt, caption
    return figure


def picture(figure: Figure, alt: str = "", caption: str = "") -> HTML:
    """The figure as an HTML image with alternative text and a caption under it.

    Where no words are given, the figure's own are taken (`describe`).

    Raises:
        ValueError: there is no alternative text from either.
    """
    alt, caption = alt or getattr(figure, "alt", ""), caption or getattr(figure, "caption", "")
    if not alt:
        raise ValueError("a figure needs alternative text for readers who cannot see it: pass alt=...")
    data = base64.b64encode(png(figure)).decode()
    image = f'<img alt="{html.escape(alt, quote=True)}" style="max-width:100%" src="data:image/png;base64,{data}">'
    # A line of its own: of an output that is folded, JupyterLab shows the first line, and that must not tell the result.
    return HTML(f"<figure>\n{image}<figcaption><i>{html.escape(caption)}</i></figcaption></figure>")


def show(figure: Figure, alt: str = "", caption: str = "", handle: DisplayHandle | None = None) -> DisplayHandle | None:
    """Display a figure with its own words or with these; with `handle` from an earlier call, draw over that one instead."""
    content = picture(figure, alt, caption)
    if handle is None:
        return display(content, display_id=True)
    handle.update(content)
    return handle


class Progress:
    """A bar that redraws one line and leaves one clean line behind; outside a notebook there is none.

    Args:
        total: steps to go. label: what is being done.
    """

    def __init__(self, total: int, label: str) -> None:
        self.total, self.label, self.done, self.note = total, label, 0, ""
        self.started = self.drawn = time.perf_counter()
        self.handle = display(HTML(""), display_id=True)

    def update(self, steps: int = 1, note: str | None = None) -> None:
        """Advance by `steps`; redraws at most five times a second."""
        self.done += steps
        self.note = self.note if note is None else note
        if self.done >= self.total or time.perf_counter() - self.drawn > 0.2:
            self.draw()

    def draw(self) -> None:
        """Show the line as it stands."""
        self.drawn = time.perf_counter()
        if self.handle is None:  # no notebook to draw in
            return
        share = min(1.0, self.done / self.total)
        bar = "█" * round(24 * share) + "░" * (24 - round(24 * share))
        line = f"{self.label} {bar} {self.done}/{self.total}  {self.drawn - self.started:.0f} s  {self.note}"
        self.handle.update(HTML(f"<pre style='margin:0'>\n{html.escape(line)}</pre>"))

"""What an observation looks like: a few lines, circles, rectangles and words in a world's own coordinates.

A world says only what there is to see (`scene` of each world); who draws it chooses the place, the
size and the colours. `draw` does so on axes of matplotlib.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

INKS = {"body": "#0072B2", "fixed": "#666666", "mark": "#C46BA0"}
"""A colour for each kind of thing: what moves, what stands still, what matters (a goal, a cue)."""


class Line(NamedTuple):
    """A straight line from (x0, y0) to (x1, y1), `width` points thick."""

    x0: float
    y0: float
    x1: float
    y1: float
    ink: str = "body"
    width: float = 6.0


class Circle(NamedTuple):
    """A disc around (x, y), or its edge alone."""

    x: float
    y: float
    radius: float
    ink: str = "body"
    filled: bool = True


class Rectangle(NamedTuple):
    """A filled rectangle from (left, bottom) to (right, top)."""

    left: float
    bottom: float
    right: float
    top: float
    ink: str = "fixed"


class Text(NamedTuple):
    """Words centred at (x, y)."""

    x: float
    y: float
    words: str
    ink: str = "fixed"


class Picture(NamedTuple):
    """Pixels from (left, bottom) to (right, top), in rows from the top down; a pixel is (grey,) or (red, green, blue), 0 to 255."""

    left: float
    bottom: float
    right: float
    top: float
    pixels: tuple[tuple[tuple[int, ...], ...], ...]
    ink: str = "body"  # of no use: it has its own colours


Part = Line | Circle | Rectangle | Text | Picture


class Scene(NamedTuple):
    """What is seen: the part of the world that is in view (left, bottom, right, top), and the parts, hindmost first."""

    view: tuple[float, float, float, float]
    parts: tuple[Part, ...]


def picture_scene(frame: np.ndarray) -> Scene:
    """A frame (H, W, C) as a scene of nothing else; what a decoder writes between two bytes, or beyond them, is the nearest byte."""
    rows = np.clip(np.rint(frame), 0, 255).astype(int).tolist()
    height, width = len(rows), len(rows[0])
    return Scene((0.0, 0.0, width, height), (Picture(0.0, 0.0, width, height, tuple(tuple(map(tuple, row)) for row in rows)),))


def outline(scene: Scene, width: float = 1.5) -> Scene:
    """What moves in a scene as thin lines, to lie over another one: its body without fillings, words and all that stands still."""
    parts: list[Line | Circle] = []
    for part in scene.parts:
        match part:
            case Line(ink="body"):
                parts.append(part._replace(width=width))
            case Circle(ink="body"):
                parts.append(part._replace(filled=False))
            case Rectangle(left, bottom, right, top, "body"):
                corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
                parts += [Line(*one, *other, width=width) for one, other in zip(corners, corners[1:])]
    return Scene(scene.view, tuple(parts))


def wordless(scene: Scene) -> Scene:
    """A scene without its words, for a picture too small for them."""
    return Scene(scene.view, tuple(part for part in scene.parts if not isinstance(part, Text)))


def stage(axis, view: tuple[float, float, float, float]) -> None:
    """Make axes of matplotlib a stage with this view: equal scales and no ticks."""
    left, bottom, right, top = view
    axis.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[], aspect="equal")


def draw(axis, scene: Scene, inks: dict[str, str] | None = None, thickness: float = 1.0) -> list:
    """Draw a scene on axes of matplotlib, which become its stage; returns what was drawn, one entry a part.

    Args:
        inks: other colours than `INKS`, for instance {"body": ...} for a dream.
        thickness: of every line, as a multiple of its width: less than 1 in a small picture.
    """
    stage(axis, scene.view)
    return draw_parts(axis, scene.parts, inks, thickness)


def draw_parts(axis, parts: Sequence[Part], inks: dict[str, str] | None = None, thickness: float = 1.0) -> list:
    """The same for some parts of a scene, on axes that are its stage already."""
    inks, drawn = INKS | (inks or {}), []
    for part in parts:
        colour = inks[part.ink]
        match part:
            case Picture():
                place = (part.left, part.right, part.bottom, part.top)
                found = [axis.imshow(np.uint8(part.pixels), "gray", vmin=0, vmax=255, extent=place, interpolation="nearest")]
            case Line():
                found = axis.plot(
                    [part.x0, part.x1], [part.y0, part.y1], color=colour, linewidth=thickness * part.width, solid_capstyle="round"
                )
            case Circle():
                turn = np.linspace(0, 2 * np.pi, 61)
                x, y = part.x + part.radius * np.cos(turn), part.y + part.radius * np.sin(turn)
                found = axis.fill(x, y, color=colour) if part.filled else axis.plot(x, y, color=colour, linewidth=0.8)
            case Rectangle():
                found = axis.fill([part.left, part.right, part.right, part.left], [part.bottom] * 2 + [part.top] * 2, color=colour)
            case Text():
                found = [axis.text(part.x, part.y, part.words, color=colour, ha="center", va="center", fontsize=10)]
        drawn += found
    return drawn

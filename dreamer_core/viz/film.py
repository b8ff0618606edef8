"""A film: a real episode, what the model makes of it while it watches, and what it dreams with its eyes closed."""

import base64
import html
import tempfile
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from dreamer_core.errors import DreamerError
from dreamer_core.viz.branches import Branch
from dreamer_core.viz.measure import Measure, measure
from dreamer_core.viz.show import COLOURS, GREY, png
from dreamer_core.worlds.drawing import Drawing
from dreamer_core.worlds.scene import Part, Scene, draw, draw_parts, outline, stage, wordless

LEAD = 8  # rows shown before the eyes close
MOMENTS = 7  # pictures in a strip


class Three(NamedTuple):
    """Three tellings of rows begin .. begin + R - 1. Up to row `start` the dream is the posterior."""

    begin: int
    start: int
    real: np.ndarray  # (R, O)
    posterior: np.ndarray  # (R, O)
    dream: np.ndarray  # (R, O)
    drawing: Drawing
    measure: Measure
    pictures: np.ndarray | None  # (R, height, width, 3), the world's own, where it has no drawing but makes pictures


def tell(branch: Branch) -> Three:
    """What happens, its posterior reconstruction, and the first of the branch's dreams, from a few rows before the dream."""
    world, start = branch.world, branch.start
    first = max(0, start - world.begin - LEAD)  # counted from the world's first row
    real, belief = world.observation[first:], world.posterior.observation[first:]
    awake = start - world.begin - first + 1
    dream = np.concatenate([belief[:awake], branch.dreams.observation[0, 1:]])[: len(real)]
    rows = slice(first, first + len(dream))
    pictures = None if world.drawing.real or not world.drawing.renders else world.pictures()
    return Three(
        begin=world.begin + first,
        start=start,
        real=world.observation[rows],
        posterior=world.posterior.observation[rows],
        dream=dream,
        drawing=world.drawing,
        measure=measure(world.drawing, world.scale),
        pictures=None if pictures is None else pictures[rows],
    )


def errors(told: Three) -> dict[str, np.ndarray]:
    """How far the two others are off in each row, in the unit of `told.measure`: (R,) each; NaN where there is nothing to compare."""
    return {name: told.measure.of(told.real, getattr(told, name)) for name in ("posterior", "dream")}


def standing(scenes: list[Scene]) -> int:
    """How many parts, from the hindmost on, are the same in all scenes: they need to be drawn only once."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*(scene.parts for scene in scenes))))


def frames(told: Three) -> Iterator[np.ndarray]:
    """The pictures of the film, one for each row: (height, width, 3) bytes."""
    wrong = errors(told)
    row = np.arange(told.begin, told.begin + len(told.real))
    figure = plt.figure(figsize=(7.2, 4.4), dpi=100, facecolor="white")
    panels = figure.subplot_mosaic([list(COLOURS), ["error"] * 3], height_ratios=[2, 1])
    figure.subplots_adjust(left=0.09, right=0.98, top=0.89, bottom=0.11, wspace=0.05, hspace=0.12)
    scenes = {name: [told.drawing.scene(seen) for seen in getattr(told, name)] for name in COLOURS}
    still = {name: standing(of_all) for name, of_all in scenes.items()}
    for name, of_all in scenes.items():
        stage(panels[name], of_all[0].view)
    if told.pictures is None:
        image = None
    else:
        panels["real"].set(xlim=(-0.5, told.pictures.shape[2] - 0.5), ylim=(told.pictures.shape[1] - 0.5, -0.5))
        image = panels["real"].imshow(told.pictures[0], animated=True)
        scenes.pop("real")
    for name, of_all in scenes.items():
        draw_parts(panels[name], of_all[0].parts[: still[name]], {"body": COLOURS[name]})
    titles = {name: panels[name].set_title("", fontsize=10, animated=True) for name in wrong}
    panels["real"].set_title("real\n", fontsize=10)
    axis = panels["error"]
    highest = told.measure.most or max(np.nanmax([*of_one, 0.0]) for of_one in wrong.values()) or 1.0
    axis.set(xlim=(row[0], max(row[-1], row[0] + 1)), ylim=(-0.03 * highest, 1.08 * highest), xlabel="step", ylabel=told.measure.label)
    if told.measure.most:
        axis.set_yticks([0, told.measure.most / 2, told.measure.most])
    axis.axvspan(row[0], told.start, color=GREY, alpha=0.15, linewidth=0)
    axis.grid(alpha=0.25)
    lines = {name: axis.plot([], [], color=COLOURS[name], linewidth=2, label=name, animated=True)[0] for name in wrong}
    axis.legend(
        loc="upper right", bbox_to_anchor=(1.01, -0.12), fontsize=9, ncols=2, frameon=False, borderpad=0
    )  # below: it hides no curve
    # Everything that stands still is drawn once; each frame adds only what moves.
    figure.canvas.draw()
    background = figure.canvas.copy_from_bbox(figure.bbox)
    for number, t in enumerate(row):
        passing: list[tuple[str, tuple[Part, ...], str]] = [
            (name, of_all[number].parts[still[name] :], COLOURS[name]) for name, of_all in scenes.items()
        ]
        passing.append(("dream", outline(told.drawing.scene(told.real[number])).parts, COLOURS["real"]))  # where the dream should be
        for name, line in lines.items():
            line.set_data(row[: number + 1], wrong[name][: number + 1])
        off = {name: f"off by {told.measure.told(of_one[number])}" for name, of_one in wrong.items()}
        titles["posterior"].set_text(f"posterior: eyes open\n{off['posterior']}")
        eyes = f"eyes closed at {told.start}" if t > told.start else "eyes still open"
        titles["dream"].set_text(f"dream: {eyes}\n{off['dream']}")
        figure.canvas.restore_region(background)
        if image is not None:
            image.set_data(told.pictures[number])
            figure.draw_artist(image)
        for name, parts, colour in passing:
            for artist in draw_parts(panels[name], parts, {"body": colour}):
                figure.draw_artist(artist)
                artist.remove()
        for artist in [*lines.values(), *titles.values()]:
            figure.draw_artist(artist)
        yield np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)


def mp4(pictures: Iterable[np.ndarray], fps: int) -> bytes:
    """H.264 in an MP4 that every browser plays, from pictures (height, width, 3) of even height and width.

    Raises:
        DreamerError: there is no picture.
    """
    pictures = iter(pictures)
    first = next(pictures, None)
    if first is None:
        raise DreamerError("a film needs at least one picture")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        # Drawings have flat colours and sharp edges: tune for animation; faststart lets a page play while it loads.
        options = ["-crf", "26", "-preset", "slow", "-tune", "animation", "-movflags", "+faststart"]
        size = (first.shape[1], first.shape[0])
        writer = imageio_ffmpeg.write_frames(
            str(path), size, fps=fps, codec="libx264", pix_fmt_out="yuv420p", quality=None, macro_block_size=2, output_params=options
        )
        writer.send(None)
        writer.send(first)
        for picture in pictures:
            writer.send(picture)
        writer.close()
        return path.read_bytes()


def filmstrip(told: Three, moments: int = MOMENTS) -> Figure:
    """The film on paper: evenly spaced rows from left to right, the three tellings below one another."""
    chosen = np.unique(np.linspace(0, len(told.real) - 1, moments).round().astype(int))
    wrong = errors(told)
    left, bottom, right, top = told.drawing.scene(told.real[0]).view
    size = 0.88 * len(chosen), 3 * (0.86 * max((top - bottom) / (right - left), 0.75) + 0.16)  # a row has room for its name
    figure, axes = plt.subplots(3, len(chosen), figsize=size, squeeze=False, layout="constrained")
    for row, (name, colour) in zip(axes, COLOURS.items()):
        row[0].set_ylabel(name, fontsize=10)
        for number, axis in zip(chosen, row):
            if name == "real" and told.pictures is not None:
                axis.imshow(told.pictures[number])
                axis.set(xticks=[], yticks=[])
            else:
                scene = told.drawing.scene(getattr(told, name)[number])
                draw(axis, scene if told.drawing.real else wordless(scene), {"body": colour}, thickness=0.5)
            if name in wrong:
                axis.set_xlabel(f"off {told.measure.told(wrong[name][number])}", fontsize=9)
    for number, axis in zip(chosen, axes[0]):
        axis.set_title(f"step {told.begin + number}", fontsize=9)
    for number, axis in zip(chosen, axes[2]):
        if told.begin + number <= told.start:
            axis.set_facecolor("#e8e8e8")
    return figure


def describe(told: Three) -> str:
    """What there is to see, in words."""
    off = errors(told)
    words = (
        f"{told.drawing.world}: what really happens, the posterior that sees every step, and a dream whose eyes are closed after step "
        f"{told.start}. "
    )
    both = np.flatnonzero(np.isfinite(off["posterior"]) & np.isfinite(off["dream"]))
    if len(both):
        last, say = both[-1], told.measure.told
        words += (
            f"At step {told.begin + last} the posterior is off by {say(off['posterior'][last])}, the dream by {say(off['dream'][last])} "
            f"(at most {say(np.nanmax(off['dream']))}). "
        )
    if len(both) < len(told.real):
        words += "A question mark stands where there is nothing to compare. "
    if not told.drawing.real:
        words += f"This world has no drawing of its own: bars stand for its entries, from the top {', '.join(told.drawing.names)}. "
        words += "What really happens is shown in its own pictures. " * (told.pictures is not None)
    return (words + told.measure.words).strip()


def pace(told: Three, fps: int) -> str:
    """How fast a film of `fps` steps a second runs."""
    if told.drawing.seconds is None:
        return f"The film shows {fps} steps a second."
    speed = fps * told.drawing.seconds
    return f"The film shows {fps} steps a second: " + (f"{speed:.0%} of" if speed < 2 else f"{speed:.3g} times") + " the world's own speed."


def film(branch: Branch, fps: int = 10) -> HTML:
    """The film with controls, and its strip below for pages that cannot play it.

    Args:
        branch: its first dream is shown. fps: rows a second; the caption says how fast that is in the world's own time, where it has one.
    """
    told = tell(branch)
    video = base64.b64encode(mp4(frames(told), fps)).decode()
    strip = base64.b64encode(png(filmstrip(told))).decode()
    words = html.escape(describe(told), quote=True)
    return HTML(
        f'<figure style="margin:0"><video controls loop muted playsinline aria-label="{words}" style="max-width:100%;background:white" '
        f'src="data:video/mp4;base64,{video}"></video><br>'
        f'<img alt="{words}" style="max-width:100%" src="data:image/png;base64,{strip}">'
        f"<figcaption><i>{words} {pace(told, fps)} The strip shows the same (grey: eyes still open).</i></figcaption></figure>"
    )

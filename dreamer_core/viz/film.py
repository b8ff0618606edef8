"""A film: a real episode, what the model makes of it while it watches, and what it dreams with its eyes closed."""

import base64
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.figure import Figure

from dreamer_core.errors import DreamerError
from dreamer_core.viz.branches import Branch
from dreamer_core.viz.pendulum import REACH, Rod, angle_error, check_pendulum, stage
from dreamer_core.viz.show import COLOURS, GREY, png
from dreamer_core.yardsticks.ceiling import DT

LEAD = 8  # rows shown before the eyes close
MOMENTS = 7  # pictures in a strip


class Three(NamedTuple):
    """Three tellings of rows begin .. begin + R - 1. Up to row `start` the dream is the posterior."""

    begin: int
    start: int
    real: np.ndarray  # (R, O)
    posterior: np.ndarray  # (R, O)
    dream: np.ndarray  # (R, O)


def tell(branch: Branch) -> Three:
    """What happens, its posterior reconstruction, and the first of the branch's dreams, from a few rows before the dream.

    Raises:
        DreamerError: the observations are no pendulum's.
    """
    world, start = branch.world, branch.start
    check_pendulum("a film", world.observation, world.env)
    first = max(0, start - world.begin - LEAD)  # counted from the world's first row
    real, belief = world.observation[first:], world.posterior.observation[first:]
    awake = start - world.begin - first + 1
    dream = np.concatenate([belief[:awake], branch.dreams.observation[0, 1:]])[: len(real)]
    return Three(world.begin + first, start, real[: len(dream)], belief[: len(dream)], dream)


def errors(told: Three) -> dict[str, np.ndarray]:
    """Degrees between the real pendulum and the two others in each row: (R,) each."""
    return {name: angle_error(told.real, getattr(told, name)) for name in ("posterior", "dream")}


def frames(told: Three) -> Iterator[np.ndarray]:
    """The pictures of the film, one for each row: (height, width, 3) bytes."""
    wrong = errors(told)
    row = np.arange(told.begin, told.begin + len(told.real))
    figure = plt.figure(figsize=(7.2, 4.2), dpi=100, facecolor="white")
    panels = figure.subplot_mosaic([list(COLOURS), ["error"] * 3], height_ratios=[2, 1])
    figure.subplots_adjust(left=0.09, right=0.98, top=0.93, bottom=0.115, wspace=0.05, hspace=0.12)
    rods = {}
    for name, colour in COLOURS.items():
        stage(panels[name])
        rods[name] = Rod(panels[name], colour)
    shadow = Rod(panels["dream"], COLOURS["real"], width=1.5, alpha=0.7)
    panels["real"].set_title("real", fontsize=10)
    panels["posterior"].set_title("posterior: eyes open", fontsize=10)
    title = panels["dream"].set_title("", fontsize=10)
    off = {name: panels[name].text(0, -REACH + 0.08, "", ha="center", fontsize=10) for name in wrong}
    axis = panels["error"]
    axis.set(xlim=(row[0], row[-1]), ylim=(-4, 190), yticks=[0, 90, 180], xlabel="step", ylabel="error (degrees)")
    axis.axvspan(row[0], told.start, color=GREY, alpha=0.15, linewidth=0)
    axis.grid(alpha=0.25)
    lines = {name: axis.plot([], [], color=COLOURS[name], linewidth=2, label=name)[0] for name in wrong}
    axis.legend(loc="upper left", fontsize=9)
    moving = [shadow.line, *(rod.line for rod in rods.values()), *lines.values(), *off.values(), title]
    for artist in moving:
        artist.set_animated(True)
    # Everything that stands still is drawn once; each frame adds only what moves.
    figure.canvas.draw()
    still = figure.canvas.copy_from_bbox(figure.bbox)
    for number, t in enumerate(row):
        for name, rod in rods.items():
            rod.move(getattr(told, name)[number])
        shadow.move(told.real[number])
        for name, line in lines.items():
            line.set_data(row[: number + 1], wrong[name][: number + 1])
            off[name].set_text(f"off by {wrong[name][number]:.0f}°")
        title.set_text(f"dream: eyes closed at {told.start}" if t > told.start else "dream: eyes still open")
        figure.canvas.restore_region(still)
        for artist in moving:
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
    figure, axes = plt.subplots(3, len(chosen), figsize=(0.88 * len(chosen), 3.05), squeeze=False, layout="constrained")
    for row, (name, colour) in zip(axes, COLOURS.items()):
        row[0].set_ylabel(name, fontsize=10)
        for number, axis in zip(chosen, row):
            stage(axis)
            Rod(axis, colour, width=3).move(getattr(told, name)[number])
            if name in wrong:
                axis.set_xlabel(f"off {wrong[name][number]:.0f}°", fontsize=9)
    for number, axis in zip(chosen, axes[0]):
        axis.set_title(f"step {told.begin + number}", fontsize=9)
    for number, axis in zip(chosen, axes[2]):
        if told.begin + number <= told.start:
            axis.set_facecolor("#e8e8e8")
    return figure


def describe(told: Three) -> str:
    """What there is to see, in words."""
    off = errors(told)
    last = told.begin + len(told.real) - 1
    return (
        f"A real pendulum, the posterior that sees every step, and a dream whose eyes are closed after step {told.start}. "
        f"At step {last} the posterior is off by {off['posterior'][-1]:.0f}°, the dream by {off['dream'][-1]:.0f}° "
        f"(at most {off['dream'].max():.0f}°)."
    )


def film(branch: Branch, fps: int = 10) -> HTML:
    """The film with controls, and its strip below for pages that cannot play it.

    Args:
        branch: its first dream is shown. fps: 10 shows Pendulum-v1 at half its speed; the caption says which speed it is.

    Raises:
        DreamerError: the branch is no pendulum's.
    """
    told = tell(branch)
    video = base64.b64encode(mp4(frames(told), fps)).decode()
    strip = base64.b64encode(png(filmstrip(told))).decode()
    words = describe(told)
    return HTML(
        f'<figure style="margin:0"><video controls loop muted playsinline aria-label="{words}" style="max-width:100%;background:white" '
        f'src="data:video/mp4;base64,{video}"></video><br>'
        f'<img alt="{words}" style="max-width:100%" src="data:image/png;base64,{strip}">'
        f"<figcaption><i>{words} The film shows {fps} steps a second: {fps * DT:.0%} of the pendulum's own speed. The strip shows the "
        f"same (grey: eyes still open).</i></figcaption></figure>"
    )

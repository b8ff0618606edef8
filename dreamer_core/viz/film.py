"""A film: a real episode, what the model makes of it while it watches, and what it dreams with its eyes closed.

Any world can be filmed. One with a drawing is drawn, one that is seen in pictures is shown as it is, and so is what a decoder writes of
it: then a fourth panel says where the dream is wrong. `strip` is the same on paper, for any tellings of the same steps.
"""

import base64
import html
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dreamer_core.errors import DreamerError
from dreamer_core.viz.branches import Branch
from dreamer_core.viz.frames import as_seen, error_picture
from dreamer_core.viz.measure import Measure, measure
from dreamer_core.viz.show import BLUE, COLOURS, GREY, RED, describe, png
from dreamer_core.worlds.drawing import Drawing
from dreamer_core.worlds.scene import Part, Scene, draw, draw_parts, outline, stage, wordless

LEAD = 8  # rows shown before the eyes close
MOMENTS = 7  # pictures in a strip
LINGER = 5  # frames for which the mark of the greatest surprise stays
WIDE = 2.0  # a view so many times as wide as high: its pictures lie below one another, not side by side
REAL, WRONG = "real", "wrong"  # names of rows: what others are held against, and where they are wrong
SHADED = "#e8e8e8"  # behind what was dreamt with open eyes
LIGHT = "Orange is light that is not there, purple light that is missing."

Looks = list[Scene] | np.ndarray  # of T observations: a scene for each, or pictures (T, H, W, 3) of bytes


class Three(NamedTuple):
    """Three tellings of rows begin .. begin + R - 1. Up to row `start` the dream is the posterior."""

    begin: int
    start: int
    real: np.ndarray  # (R, O)
    posterior: np.ndarray  # (R, O)
    dream: np.ndarray  # (R, O)
    drawing: Drawing
    measure: Measure
    surprise: np.ndarray  # (R,), nats
    pictures: np.ndarray | None  # (R, height, width, 3), the world's own, where it has no drawing but makes pictures

    @property
    def moment(self) -> int:
        """The row of greatest surprise. An episode's first row does not count: before it there is no past to expect anything from."""
        first = max(self.begin, 1)
        return first + int(self.surprise[first - self.begin :].argmax())


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
        surprise=world.surprise[rows],
        pictures=None if pictures is None else pictures[rows],
    )


def errors(told: Three) -> dict[str, np.ndarray]:
    """How far the two others are off in each row, in the unit of `told.measure`: (R,) each; NaN where there is nothing to compare."""
    return {name: told.measure.of(told.real, getattr(told, name)) for name in ("posterior", "dream")}


# --- how observations look --------------------------------------------------------------------------


def looks(drawing: Drawing, observations: np.ndarray) -> Looks:
    """Observations (T, O) as scenes; (T, H, W, C) as the pictures that they are."""
    return as_seen(observations) if observations.ndim == 4 else [drawing.scene(seen) for seen in observations]


def panels_of(told: Three) -> dict[str, Looks]:
    """What each panel of the film shows, by name: the three tellings; where they are pictures, also where the dream is wrong."""
    found = {name: looks(told.drawing, getattr(told, name)) for name in COLOURS}
    if told.pictures is not None:
        found[REAL] = told.pictures
    return found | ({WRONG: error_picture(told.dream, told.real)} if told.real.ndim == 4 else {})


def view_of(shown: Looks) -> tuple[float, float, float, float]:
    """The part of a world that is in view: left, bottom, right, top."""
    return (0.0, 0.0, float(shown.shape[2]), float(shown.shape[1])) if isinstance(shown, np.ndarray) else shown[0].view


def proportion(shown: Looks) -> float:
    """How many times as high as wide it is."""
    left, bottom, right, top = view_of(shown)
    return (top - bottom) / (right - left)


def is_wide(shown: Looks) -> bool:
    """Whether such pictures are best laid below one another."""
    return proportion(shown) * WIDE < 1


def standing(scenes: list[Scene]) -> int:
    """How many parts, from the hindmost on, are the same in all scenes: they need to be drawn only once."""
    return sum(1 for _ in takewhile(lambda same: len(set(same)) == 1, zip(*(scene.parts for scene in scenes))))


# --- the film ---------------------------------------------------------------------------------------


def layout(shown: dict[str, Looks]) -> tuple[Figure, dict[str, Axes]]:
    """A figure of even size with a panel for each of `shown`, and one below for the error."""
    if is_wide(shown["dream"]):
        figure = plt.figure(figsize=(7.2, 6.0), dpi=100, facecolor="white")
        panels = figure.subplot_mosaic([[name] for name in [*shown, "error"]], height_ratios=[*[1] * len(shown), 1.4])
        figure.subplots_adjust(left=0.09, right=0.98, top=0.94, bottom=0.08, hspace=0.35)
    else:
        figure = plt.figure(figsize=(2.4 * len(shown), 4.4), dpi=100, facecolor="white")
        panels = figure.subplot_mosaic([list(shown), ["error"] * len(shown)], height_ratios=[2, 1])
        figure.subplots_adjust(left=0.27 / len(shown), right=1 - 0.06 / len(shown), top=0.89, bottom=0.11, wspace=0.05, hspace=0.12)
    return figure, panels


def time_axis(axis: Axes, told: Three, wrong: dict[str, np.ndarray]) -> dict:
    """Prepare the panel of the error over time, in which the moment of surprise is marked; returns its lines, empty as yet, by name."""
    row = np.arange(told.begin, told.begin + len(told.real))
    highest = told.measure.most or max(np.nanmax([*of_one, 0.0]) for of_one in wrong.values()) or 1.0
    axis.set(xlim=(row[0], max(row[-1], row[0] + 1)), ylim=(-0.03 * highest, 1.08 * highest), ylabel=told.measure.label)
    axis.set_xlabel("step", loc="left")
    if told.measure.most:
        axis.set_yticks([0, told.measure.most / 2, told.measure.most])
    axis.axvspan(row[0], told.start, color=GREY, alpha=0.15, linewidth=0)
    axis.grid(alpha=0.25)
    lines = {name: axis.plot([], [], color=COLOURS[name], linewidth=2, label=name, animated=True)[0] for name in wrong}
    axis.axvline(told.moment, color=RED, linestyle="--", linewidth=1.3, label="most surprised")
    axis.legend(
        loc="upper right", bbox_to_anchor=(1.01, -0.12), fontsize=9, ncols=3, frameon=False, borderpad=0
    )  # below: it hides no curve
    return lines


def frames(told: Three) -> Iterator[np.ndarray]:
    """The pictures of the film, one for each row: (height, width, 3) bytes.

    Around the posterior there is a red frame from the moment of greatest surprise on, for `LINGER` pictures.
    """
    wrong, shown = errors(told), panels_of(told)
    figure, panels = layout(shown)
    lines = time_axis(panels["error"], told, wrong)
    images, still = {}, {}
    for name, of_all in shown.items():
        if isinstance(of_all, np.ndarray):
            left, bottom, right, top = view_of(of_all)
            images[name] = panels[name].imshow(of_all[0], extent=(left, right, bottom, top), interpolation="nearest", animated=True)
            stage(panels[name], view_of(of_all))
        else:
            stage(panels[name], of_all[0].view)
            still[name] = standing(of_all)
            draw_parts(panels[name], of_all[0].parts[: still[name]], {"body": COLOURS[name]})
    between = ", " if is_wide(shown["dream"]) else "\n"
    titles = {name: panels[name].set_title("", fontsize=10, animated=True) for name in wrong}
    panels[REAL].set_title(f"real{between}".rstrip(", "), fontsize=10)
    if WRONG in panels:
        panels[WRONG].set_title("where the dream is wrong\n", fontsize=10)
    alarm = Rectangle((0, 0), 1, 1, transform=panels["posterior"].transAxes, fill=False, edgecolor=RED, linewidth=5, animated=True)
    panels["posterior"].add_patch(alarm)
    # Everything that stands still is drawn once; each frame adds only what moves.
    figure.canvas.draw()
    background = figure.canvas.copy_from_bbox(figure.bbox)
    row = np.arange(told.begin, told.begin + len(told.real))
    for number, t in enumerate(row):
        passing: list[tuple[str, tuple[Part, ...], str]] = [
            (name, shown[name][number].parts[count:], COLOURS[name]) for name, count in still.items()
        ]
        if "dream" in still:  # where the dream should be
            passing.append(("dream", outline(told.drawing.scene(told.real[number])).parts, COLOURS[REAL]))
        for name, line in lines.items():
            line.set_data(row[: number + 1], wrong[name][: number + 1])
        off = {name: f"off by {told.measure.told(of_one[number])}" for name, of_one in wrong.items()}
        alarmed = 0 <= t - told.moment < LINGER
        eyes = f"most surprised at {told.moment}" if alarmed else "eyes open"
        titles["posterior"].set(text=f"posterior: {eyes}{between}{off['posterior']}", color=RED if alarmed else "black")
        eyes = f"eyes closed at {told.start}" if t > told.start else "eyes still open"
        titles["dream"].set_text(f"dream: {eyes}{between}{off['dream']}")
        figure.canvas.restore_region(background)
        for name, image in images.items():
            image.set_data(shown[name][number])
            figure.draw_artist(image)
        for name, parts, colour in passing:
            for artist in draw_parts(panels[name], parts, {"body": colour}):
                figure.draw_artist(artist)
                artist.remove()
        for artist in [*lines.values(), *titles.values(), *([alarm] if alarmed else [])]:
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


# --- on paper ---------------------------------------------------------------------------------------


def grid(shown: Mapping[str, Looks], heads: Mapping[int, tuple[str, str]], real: bool) -> tuple[Figure, np.ndarray]:
    """Pictures of some steps: the figure, and its axes (names, steps). Time runs to the right; down where the world is wide.

    Args:
        heads: for each step, what stands above its pictures, and in which colour.
        real: whether the scenes are drawings; bars lose their words here, for which there is no room.
    """
    tall, steps, down = max(map(proportion, shown.values())), list(heads), all(map(is_wide, shown.values()))
    if down:
        size = (max(3.4 * len(shown), 5.0), len(steps) * (3.4 * tall + 0.3) + 0.4)
        figure, axes = plt.subplots(len(steps), len(shown), figsize=size, squeeze=False, layout="constrained")
        axes = axes.T
    else:
        size = (0.95 * len(steps) + 0.5, len(shown) * (0.95 * max(tall, 0.75) + 0.16) + 0.4)  # a row has room for its name
        figure, axes = plt.subplots(len(shown), len(steps), figsize=size, squeeze=False, layout="constrained")
    for line, (name, of_all) in zip(axes, shown.items()):
        line[0].set_title(name, fontsize=10) if down else line[0].set_ylabel(name, fontsize=10)
        for axis, step in zip(line, steps):
            face = of_all[step]
            if isinstance(face, Scene):
                draw(axis, face if real else wordless(face), {"body": COLOURS.get(name, BLUE)}, thickness=3 * 0.5 if down else 0.5)
            else:
                axis.imshow(face, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
    for axis, (said, colour) in zip(axes[0], heads.values()):
        if down:
            axis.set_ylabel(said, fontsize=9, color=colour, rotation=0, ha="right", va="center")
        else:
            axis.set_title(said, fontsize=9, color=colour)
    return figure, axes


def strip(
    drawing: Drawing,
    rows: Mapping[str, np.ndarray],
    steps: Sequence[int],
    start: int | None = None,
    title: str = "",
    judged: Sequence[str] = (),
    first: int = 0,
) -> Figure:
    """Chosen steps from left to right, one row for each telling; below those that are judged, where their pictures are wrong.

    Args:
        drawing: of the world. rows: by name, observations of the same steps: (T, O), or pictures (T, H, W, C).
        steps: numbers of rows. start: the last that was shown; from there on the columns are counted from the closing of the eyes.
        judged: names of tellings in pictures that are held against the one called "real". first: the step of row 0.
    """
    shown: dict[str, Looks] = {}
    for name, observations in rows.items():
        shown[name] = looks(drawing, observations)
        if name in judged:
            shown[f"{name},\n{WRONG}"] = error_picture(observations, rows[REAL])
    heads = {step: (f"step {first + step}", "black") for step in steps}
    if start is not None:
        heads |= {step: (f"+{step - start}", GREY) for step in steps if step > start}
    figure, _ = grid(shown, heads, drawing.real)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    last = steps[-1]
    off = "; ".join(f"{name} is off by {drawing.gap.between(rows[name][last], rows[REAL][last]):.2g} %" for name in judged)
    return describe(
        figure,
        alt=f"{drawing.world} at {len(steps)} steps, in rows: {', '.join(rows)}. "
        + (f"At the last of them {off} (root mean square)." if judged else f"They are steps {first + steps[0]} to {first + last}."),
        caption=f"{f'In the rows called {WRONG}, {LIGHT[0].lower()}{LIGHT[1:]}' if judged else ''} "
        f"{'' if start is None else f'The eyes are closed after step {first + start}: +1 is the first that is dreamt.'}".strip()
        or "Look at what moves from one picture to the next.",
    )


def instants(rows: int, count: int, moment: int) -> list[int]:
    """About `count` of `rows` rows, evenly spaced; the nearest of them makes room for the moment, but not the first or the last one."""
    chosen = np.unique(np.linspace(0, rows - 1, count).round().astype(int)).tolist()
    inner = chosen[1:-1]
    if moment not in chosen and inner:
        chosen.remove(min(inner, key=lambda row: abs(row - moment)))
    return sorted({*chosen, moment})


def filmstrip(told: Three, moments: int = MOMENTS) -> Figure:
    """The film on paper: evenly spaced rows from left to right, the tellings below one another; the moment of surprise is among them."""
    chosen, moment = instants(len(told.real), moments, told.moment - told.begin), told.moment - told.begin
    wrong = errors(told)
    heads = {number: (f"step {told.begin + number}", RED if number == moment else "black") for number in chosen}
    figure, axes = grid(panels_of(told), heads, told.drawing.real)
    for column, number in enumerate(chosen):
        for line, name in zip(axes, COLOURS):
            if name in wrong:
                line[column].set_xlabel(f"off {told.measure.told(wrong[name][number])}", fontsize=9)
        if told.begin + number <= told.start:
            axes[2, column].set_facecolor(SHADED)
            axes[2, column].spines[:].set(edgecolor=GREY, linewidth=3 if told.real.ndim == 4 else 0.8)
        if number == moment:
            axes[1, column].spines[:].set(edgecolor=RED, linewidth=2.5)
    return figure


def words(told: Three) -> str:
    """What there is to see, in words."""
    off = errors(told)
    said = (
        f"{told.drawing.world}: what really happens, the posterior that sees every step, and a dream whose eyes are closed after step "
        f"{told.start}. "
    )
    both = np.flatnonzero(np.isfinite(off["posterior"]) & np.isfinite(off["dream"]))
    if len(both):
        last, say = both[-1], told.measure.told
        said += (
            f"At step {told.begin + last} the posterior is off by {say(off['posterior'][last])}, the dream by {say(off['dream'][last])} "
            f"(at most {say(np.nanmax(off['dream']))}). "
        )
    if len(both) < len(told.real):
        said += "A question mark stands where there is nothing to compare. "
    said += (
        f"Red marks step {told.moment}, at which what it sees surprises the posterior most "
        f"({told.surprise[told.moment - told.begin]:.2g} nats). "
    )
    if not told.drawing.real:
        said += f"This world has no drawing of its own: bars stand for its entries, from the top {', '.join(told.drawing.names)}. "
        said += "What really happens is shown in its own pictures. " * (told.pictures is not None)
    if told.real.ndim == 4:
        said += f"Last, where the dream is wrong. {LIGHT} "
    return (said + told.measure.words).strip()


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
    still = base64.b64encode(png(filmstrip(told))).decode()
    said = html.escape(words(told), quote=True)
    return HTML(
        f'<figure style="margin:0"><video controls loop muted playsinline aria-label="{said}" style="max-width:100%;background:white" '
        f'src="data:video/mp4;base64,{video}"></video><br>'
        f'<img alt="{said}" style="max-width:100%" src="data:image/png;base64,{still}">'
        f"<figcaption><i>{said} {pace(told, fps)} The strip shows the same (grey: eyes still open).</i></figcaption></figure>"
    )

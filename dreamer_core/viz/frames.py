"""Pictures that an agent sees, beside those it makes: a strip, a film, and what they leave out.

For worlds whose observations are pictures (H, W, C) of bytes. What a decoder makes is between the bytes, and is drawn as the nearest.
"""

import base64
import html
from collections.abc import Iterator, Mapping, Sequence

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from IPython.display import HTML
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.viz.dream import Episode, believe
from dreamer_core.viz.film import mp4
from dreamer_core.viz.show import GREY, ORANGE, PURPLE, describe, png

ZOOM, GAP, HEAD = 6, 10, 22  # of a film: screen pixels for each pixel, between two pictures, and above them for the words
REAL, WRONG = "real", "wrong"  # names of rows: what others are held against, and their errors


def as_seen(frames: np.ndarray) -> np.ndarray:
    """Frames (..., H, W, C) as bytes in colours (..., H, W, 3)."""
    frames = np.clip(np.rint(frames), 0, 255).astype(np.uint8)
    return np.broadcast_to(frames, (*frames.shape[:-1], 3)) if frames.shape[-1] == 1 else frames


def error_picture(told: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Where told frames (..., H, W, C) are wrong: white where they are right, orange where there is too much light, purple where light is
    missing. Bytes (..., H, W, 3)."""
    wrong = np.clip((told.astype(float) - real).mean(-1, keepdims=True) / 255, -1, 1)
    inks = [np.array([int(ink[place : place + 2], 16) for place in (1, 3, 5)]) for ink in (ORANGE, PURPLE)]
    return np.rint(255 + abs(wrong) * (np.where(wrong > 0, *inks) - 255)).astype(np.uint8)


def occlude(frames: np.ndarray, start: int, stop: int, part: np.ndarray) -> np.ndarray:
    """Frames in which a part is black for a while.

    Args:
        frames: (T, H, W, C), which stay as they are. start, stop: rows start .. stop - 1 are covered.
        part: (H, W), True where nothing is seen then.

    Returns:
        (T, H, W, C), of the same type.
    """
    covered = frames.copy()
    covered[start:stop, part] = 0
    return covered


def share_of_error(told: np.ndarray, real: np.ndarray, part: np.ndarray) -> float:
    """How much of the squared error lies within a part of the picture.

    Args:
        told, real: (T, H, W, C), of any type; bytes are taken as numbers that may be negative.
        part: (T, H, W), True for the pixels that belong to it.

    Returns:
        Between 0 and 1; 0 where there is no error at all.
    """
    squared = np.square(told.astype(float) - real.astype(float)).sum(-1)
    total = squared.sum()
    return float(squared[part].sum() / total) if total > 0 else 0.0


@torch.no_grad()
def surprise(agent: Dreamer, episode: Episode, count: int = 16) -> np.ndarray:
    """By how much each row changed the agent's mind: KL of posterior from prior, in nats, a mean over `count` filterings (T + 1,)."""
    beliefs = believe(agent, episode, count)
    rssm = agent.model.rssm
    return rssm.latent.both_kl(beliefs.posterior, rssm.prior(beliefs.h))[0].mean(0).numpy()


def true_states(env: gym.Env, seed: int, episode: Episode) -> np.ndarray:
    """The simulator's own `state` at each row of an episode that was reset with `seed`: (T + 1, S). No picture shows all of it."""
    envs.reset(env, seed, 0)
    states = [np.array(env.unwrapped.state)]
    for action in episode.action:
        env.step(action)
        states.append(np.array(env.unwrapped.state))
    return np.stack(states)


def strip(
    rows: Mapping[str, np.ndarray],
    steps: Sequence[int],
    start: int | None = None,
    title: str = "",
    judged: Sequence[str] | None = None,
    first: int = 0,
) -> Figure:
    """Frames at chosen steps from left to right, one row for each telling; below those that are judged, where they are wrong.

    Args:
        rows: by name (T, H, W, C), of the same steps; the one called "real" is what the others are held against.
        steps: numbers of frames. start: the last that was shown; from there on the columns are counted from the closing of the eyes.
        judged: names of the rows that are held against the real one; None: all others. first: the step of frame 0.
    """
    told = [name for name in rows if name != REAL] if judged is None else list(judged)
    panels: dict[str, np.ndarray] = {}
    for name, frames in rows.items():
        panels[name] = as_seen(frames[list(steps)])
        if name in told:
            panels[f"{name},\n{WRONG}"] = error_picture(frames[list(steps)], rows[REAL][list(steps)])
    figure, axes = plt.subplots(
        len(panels), len(steps), figsize=(0.95 * len(steps) + 0.5, 0.98 * len(panels) + 0.5), squeeze=False, layout="constrained"
    )
    for row, (name, frames) in zip(axes, panels.items()):
        row[0].set_ylabel(name, fontsize=9)
        for axis, frame in zip(row, frames):
            axis.imshow(frame, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
    for step, axis in zip(steps, axes[0]):
        closed = start is not None and step > start
        axis.set_title(f"+{step - start}" if closed else f"step {first + step}", fontsize=9, color=GREY if closed else "black")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    last = steps[-1]
    off = "; ".join(f"{name} is off by {rms(rows[name][last], rows[REAL][last]):.1f} grey levels" for name in told)
    colours = f"In the rows called {WRONG}, orange is light that is not there, purple light that is missing. " if told else ""
    eyes = "" if start is None else f"The eyes are closed after step {first + start}: +1 is the first frame that is dreamt."
    return describe(
        figure,
        alt=f"Frames at {len(steps)} steps, in rows: {', '.join(rows)}. "
        + (f"At the last of them {off} (root mean square)." if told else f"They are steps {first + steps[0]} to {first + last}."),
        caption=(colours + eyes).strip(),
    )


def rms(told: np.ndarray, real: np.ndarray) -> float:
    """Root mean square error, in grey levels of 255."""
    return float(np.sqrt(np.square(told.astype(float) - real).mean()))


def screens(rows: Mapping[str, np.ndarray], start: int) -> Iterator[np.ndarray]:
    """The pictures of a film, (height, width, 3) bytes: the tellings beside one another, and last where the last one is wrong."""
    *_, last = rows
    panels = {name: as_seen(frames) for name, frames in rows.items()} | {WRONG: error_picture(rows[last], rows[REAL])}
    count, side = len(panels[REAL]), panels[REAL].shape[1] * ZOOM
    font = ImageFont.load_default(14)
    for number in range(count):
        canvas = Image.new("RGB", (len(panels) * (side + GAP) + GAP, side + HEAD + GAP), "white")
        pen = ImageDraw.Draw(canvas)
        for place, (name, frames) in enumerate(panels.items()):
            left = GAP + place * (side + GAP)
            told = f"{name}, +{number - start}" if name == last and number > start else name
            pen.text((left, 2), told, fill="black", font=font)
            canvas.paste(Image.fromarray(frames[number]).resize((side, side), Image.Resampling.NEAREST), (left, HEAD))
            pen.rectangle((left, HEAD, left + side - 1, HEAD + side - 1), outline=GREY)
        width, height = (length // 2 * 2 for length in canvas.size)  # as a film needs them
        yield np.asarray(canvas.crop((0, 0, width, height)))


def film(rows: Mapping[str, np.ndarray], start: int, steps: Sequence[int], fps: int = 10) -> HTML:
    """A film with controls, and a strip of it below for pages that cannot play it.

    Args:
        rows: by name (T, H, W, C). start: the last frame that was shown; up to there a dream is what was filtered.
        steps: the frames of the strip. fps: steps a second.
    """
    figure = strip(rows, steps, start)
    video, still = (base64.b64encode(data).decode() for data in (mp4(screens(rows, start), fps), png(figure)))
    words = html.escape(figure.alt, quote=True)
    return HTML(
        f'<figure style="margin:0"><video controls loop muted playsinline aria-label="{words}" style="max-width:100%;background:white" '
        f'src="data:video/mp4;base64,{video}"></video><br>'
        f'<img alt="{words}" style="max-width:100%" src="data:image/png;base64,{still}">'
        f"<figcaption><i>{html.escape(figure.caption)} The film shows {fps} steps a second, and at the right where its last picture is "
        f"wrong.</i></figcaption></figure>"
    )


def surprise_figure(curves: Mapping[str, np.ndarray], covered: tuple[int, int], title: str = "") -> Figure:
    """Surprise over time, one line for each way of seeing the same episode; the grey rows were covered.

    Args:
        curves: by name (T + 1,), in nats. covered: first row, and the one after the last.
    """
    figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
    axis.axvspan(covered[0] - 0.5, covered[1] - 0.5, color=GREY, alpha=0.15, linewidth=0)
    for (name, curve), ink, style in zip(curves.items(), (GREY, PURPLE, ORANGE), ("-", "-", "--")):
        axis.plot(curve, color=ink, linestyle=style, linewidth=1.6, label=name)
    axis.set(xlabel="step (grey: a part is covered)", ylabel="surprise: KL[q, p] (nats)", xlim=(0, len(curve) - 1), yscale="log")
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", fontsize=9, ncols=len(curves))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    highest = "; ".join(f"{name}: {curve.max():.1f} nats at most, at step {int(curve.argmax())}" for name, curve in curves.items())
    return describe(
        figure,
        alt=f"Surprise over {len(curve)} steps, covered from step {covered[0]} to {covered[1] - 1}. {highest}.",
        caption="How far the posterior, which has seen the frame, lies from the prior, which has not. On a logarithmic axis.",
    )

"""The widget that lets you drive a dream: a thin shell around `DreamGame`.

The dynamics run in the kernel, where the agent is: what you drive is the model the agent dreams
in, not a copy of it. The browser (play.js) draws, and asks for a step when it has drawn the one
before, so that requests never pile up.

Where there is no kernel (exported pages, runs without a browser) a filmstrip is left in its place.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import anywidget
import matplotlib.pyplot as plt
import numpy as np
import traitlets
from IPython.display import HTML, display
from matplotlib.figure import Figure

from dreamer_core.agent import Agent
from dreamer_core.errors import DreamerError
from dreamer_core.viz.canvas import inks, plain, plain_levers, script
from dreamer_core.viz.dream import Episode
from dreamer_core.viz.game import DreamGame, Frame
from dreamer_core.viz.show import BLUE, ORANGE, PURPLE, RED, picture
from dreamer_core.worlds.scene import draw, draw_parts, outline, wordless

WINDOW = 200  # steps that the charts show
FILM = 70  # steps of the filmstrip
SLOWEST, FASTEST = 5, 25  # steps a second: a world with a shorter or longer step does not run in its own time
HERE = Path(__file__).parent
# The unit of drift and uncertainty: in a chart's title, in a sentence, and what is much of it, which the chart always shows.
ENTRIES = {
    "short": "in standard deviations",
    "words": "The unit is the standard deviation of what the model has seen, averaged over all that the agent sees.",
    "much": 0.5,
}
PIXELS = {
    "short": "as a share of white",
    "words": "The unit is the way from black to white, averaged over all pixels (root mean square).",
    "much": 0.1,
}
CAPTION = "The actor acts on what it dreams; the world gets the same actions. Run this cell in JupyterLab to drive the dream yourself."


class Play(anywidget.AnyWidget):
    """Drive a dream by hand. The last line of a cell: `Play(agent, episode)`.

    In any world, also one that is seen in pictures. Each entry of an action has a slider, the first two have keys besides.

    Keys: the arrows act, space freezes, B branches from there, A hands over to the actor and
    back, R starts again.

    Args:
        agent, episode, dreams, seed: as in `DreamGame`, which is `play.game`.
        row: of the episode, to start from.

    Raises:
        EnvError, ConfigError: see `DreamGame`.
    """

    _esm = script("play.js")
    _css = HERE / "play.css"
    facts = traitlets.Dict().tag(sync=True)  # what the browser has to know once

    def __init__(self, agent: Agent, episode: Episode, row: int = 0, dreams: int = 16, seed: int = 0) -> None:
        self.game = DreamGame(agent, episode, dreams, seed)
        self.game.reset(row)
        super().__init__(facts=facts_of(self.game))
        self.on_msg(lambda _, message, buffers: self.send(answer(self.game, message)))

    def _ipython_display_(self) -> None:
        """First the filmstrip, which every page can show; play.js hides it once the widget is alive."""
        frames = film(self.game)
        strip = picture(filmstrip(self.game, frames), filmstrip_alt(self.game, frames), CAPTION)
        display(HTML(f'<div id="{self.facts["still"]}">{strip.data}</div>'))
        data, metadata = self._repr_mimebundle_()
        display(data | {"text/html": "", "text/plain": "a dream to drive, in JupyterLab"}, metadata=metadata, raw=True)


def facts_of(game: DreamGame) -> dict[str, Any]:
    """What the browser has to know of a game, once."""
    seconds, pictures = game.drawing.seconds, game.episode.observation.ndim == 4
    return {
        "world": game.drawing.world,
        "rows": game.rows,
        "dreams": len(game.frame.dreams),
        "seconds": seconds,  # of a step in the world's own time, or null
        "pace": min(max(seconds or 1 / 20, 1 / FASTEST), 1 / SLOWEST),  # of a step on the page
        "levers": plain_levers(game.levers),
        "charts": charts(game),
        "pictures": pictures,
        "unit": PIXELS if pictures else ENTRIES,
        "rewards": [float(game.episode.reward.min()), float(game.episode.reward.max())],
        "window": WINDOW,
        "still": f"dream-play-{uuid4().hex}",
        "colours": {"world": BLUE, "dream": ORANGE, "drift": RED, "uncertainty": PURPLE},
        "inks": inks(BLUE),
    }


def charts(game: DreamGame) -> list[dict[str, Any]]:
    """What is drawn against the step: the coordinates of the world's plane, or where it has none, the first two entries of what is seen.

    "turn" is how much further an angle is the same again. Of pictures there is nothing to draw: they have no entries with names.
    """
    plane, seen = game.drawing.plane, game.episode.observation
    if plane is None:
        low, high = seen.min(0), seen.max(0)
        labels = game.drawing.labels[:2]
        return [{"label": label, "low": float(low[n]), "high": float(high[n]), "turn": None} for n, label in enumerate(labels)]
    found = []
    for name, unit, low, high, around in zip(plane.names, plane.units, plane.low, plane.high, plane.periodic):
        size, unit = (180 / math.pi, "°") if unit == "rad" else (1, unit)
        label = f"{name} ({unit})" if unit else name
        found.append({"label": label, "low": size * low, "high": size * high, "turn": size * (high - low) if around else None})
    return found


def charted(game: DreamGame, observation: np.ndarray) -> list[float | None]:
    """An observation (O,) on these charts: a number for each, None where it has no place."""
    plane = game.drawing.plane
    if plane is None:
        place = observation[: len(game.drawing.labels[:2])]
    else:
        place = plane.place(observation) * [180 / math.pi if unit == "rad" else 1 for unit in plane.units]
    return [number(value) for value in place]


def answer(game: DreamGame, message: dict[str, Any]) -> dict[str, Any]:
    """Do what the browser asks, and say what it has to draw.

    A message {"kind": "step", "action": a} is answered with one frame; all others ("look",
    "freeze", "resume", "branch", "actor" with "on", "reset" with "row") with the whole game; a
    mistake with {"kind": "error", "text": ...}.
    """
    try:
        match message["kind"]:
            case "step":
                return {"kind": "frame", "frame": to_wire(game, game.step(message["action"]), whole=True)}
            case "freeze":
                game.freeze()
            case "resume":
                game.resume()
            case "branch":
                game.branch()
            case "actor":
                game.actor = message["on"]
            case "reset":
                game.reset(message["row"])
        trail = [to_wire(game, frame) for frame in list(game.trail)[-WINDOW - 1 : -1]] + [to_wire(game, game.frame, whole=True)]
        ghost = [to_wire(game, frame) | {"scenes": ghostly(game, frame)} for frame in game.ghost[: WINDOW + 1]]
    except DreamerError as error:
        return {"kind": "error", "text": str(error)}
    return {
        "kind": "game",
        "trail": trail,
        "ghost": ghost,
        "mark": game.mark.frame.step,
        "row": game.row,
        "frozen": game.frozen,
        "actor": game.actor,
    }


def to_wire(game: DreamGame, frame: Frame, whole: bool = False) -> dict[str, Any]:
    """A frame as plain numbers, with null where there is none, as the charts need it; and as a `whole`, with what the stage shows."""
    wire = {name: number(getattr(frame, name)) for name in ("reward", "dreamt_reward", "drift", "uncertainty")}
    wire |= {"step": frame.step, "action": np.round(frame.action, 3).tolist(), "over": frame.over}
    wire |= {"world": charted(game, frame.world), "dream": charted(game, frame.dreams[0])}
    if not whole:
        return wire
    off = game.measure.told(float(game.measure.of(frame.world, frame.dreams[0])))
    return wire | {"off": "" if math.isnan(frame.drift) or game.drawing.gap is None else off, "scenes": scenes(game, frame)}


def scenes(game: DreamGame, frame: Frame) -> dict[str, Any]:
    """What the stage shows: world and dream whole, and as thin lines where the world is and what the other dreams are."""
    scene = game.drawing.scene
    world = scene(frame.world)
    return {
        "world": plain(world),
        "real": plain(outline(world)),
        "dream": plain(scene(frame.dreams[0])),
        "others": [plain(outline(scene(dream))) for dream in frame.dreams[1:]],
    }


def ghostly(game: DreamGame, frame: Frame) -> dict[str, Any]:
    """The same of a frame of the other branch, as thin lines."""
    return {name: plain(outline(game.drawing.scene(seen))) for name, seen in {"world": frame.world, "dream": frame.dreams[0]}.items()}


def number(value: float) -> float | None:
    """A number as the wire takes it: four digits, and None where there is none."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


# --- without a kernel -----------------------------------------------------------------------------


def film(game: DreamGame) -> list[Frame]:
    """The trained actor drives from the row where the game starts; then the game is as it was after its reset."""
    game.reset(game.row)
    game.actor = True
    game.resume()
    idle = 0 if game.levers.choices else np.zeros(len(game.levers.entries))  # nobody listens while the actor drives
    frames = [game.frame] + [game.step(idle) for _ in range(FILM)]
    game.actor = False
    game.reset(game.row)
    return frames


def filmstrip(game: DreamGame, frames: Sequence[Frame], pictures: int = 8) -> Figure:
    """The world above the dream at evenly spaced moments; thin lines are the other dreams."""
    chosen = [frames[n] for n in np.linspace(0, len(frames) - 1, pictures).round().astype(int)]
    scene = game.drawing.scene
    left, bottom, right, top = scene(frames[0].world).view
    tall = 1.15 * max(0.6, (top - bottom) / (right - left))
    figure, axes = plt.subplots(2, pictures, figsize=(1.15 * pictures + 0.6, 2 * tall + 0.5), layout="constrained")
    for (above, below), frame in zip(axes.T, chosen):
        world, dream = scene(frame.world), scene(frame.dreams[0])
        draw(above, world if game.drawing.real else wordless(world), {"body": BLUE}, thickness=0.7)
        draw(below, dream if game.drawing.real else wordless(dream), {"body": ORANGE}, thickness=0.7)
        for other in frame.dreams[1:]:
            for artist in draw_parts(below, outline(scene(other), 1).parts, {"body": ORANGE}):
                artist.set_alpha(0.35)
        above.set_title(when(game, frame), fontsize=10)
        below.set_xlabel("over" if math.isnan(frame.drift) else f"drift {frame.drift:.2f}", fontsize=9)
    axes[0, 0].set_ylabel("the world", color=BLUE, fontsize=11)
    axes[1, 0].set_ylabel("the dream", color=ORANGE, fontsize=11)
    return figure


def when(game: DreamGame, frame: Frame) -> str:
    """A frame's moment in seconds of the world, or in steps where it has no seconds."""
    seconds = game.drawing.seconds
    return f"step {frame.step}" if seconds is None else f"{frame.step * seconds:.1f} s"


def filmstrip_alt(game: DreamGame, frames: Sequence[Frame]) -> str:
    """What the filmstrip shows, in words and numbers."""
    drifts = [frame.drift for frame in frames if math.isfinite(frame.drift)]
    ends = "" if math.isfinite(frames[-1].drift) else f" The world is over after {when(game, frames[len(drifts) - 1])}."
    return (
        f"Filmstrip of {game.drawing.world} up to {when(game, frames[-1])}: the true world above, the dreamt one below, both given the "
        f"actor's actions. The drift between them is {drifts[0]:.2f} at the start, {drifts[-1]:.2f} at the end and at most "
        f"{max(drifts):.2f}.{ends}"
    )

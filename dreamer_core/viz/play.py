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
from dreamer_core.viz.dream import Episode
from dreamer_core.viz.game import DreamGame, Frame
from dreamer_core.viz.pendulum import Rod, stage
from dreamer_core.viz.show import BLUE, ORANGE, PURPLE, RED, picture
from dreamer_core.yardsticks.ceiling import DT, MAX_TORQUE

WINDOW = 200  # steps that the charts show
FILM = 70  # steps of the filmstrip
HERE = Path(__file__).parent
CAPTION = "The actor acts on what it dreams; the world gets the same pushes. Run this cell in JupyterLab to drive the dream yourself."


class Play(anywidget.AnyWidget):
    """Drive a dream by hand. The last line of a cell: `Play(agent, episode)`.

    Keys: left and right push, space freezes, B branches from there, A hands over to the actor and
    back, R starts again.

    Args:
        agent, episode, dreams, seed: as in `DreamGame`, which is `play.game`.
        row: of the episode, to start from.

    Raises:
        EnvError, ConfigError: see `DreamGame`.
    """

    _esm = HERE / "play.js"
    _css = HERE / "play.css"
    facts = traitlets.Dict().tag(sync=True)  # what the browser has to know once

    def __init__(self, agent: Agent, episode: Episode, row: int = 0, dreams: int = 16, seed: int = 0) -> None:
        self.game = DreamGame(agent, episode, dreams, seed)
        self.game.reset(row)
        facts = {
            "rows": self.game.rows,
            "dreams": dreams,
            "dt": DT,
            "torque": MAX_TORQUE,
            "window": WINDOW,
            "still": f"dream-play-{uuid4().hex}",
            "colours": {"world": BLUE, "dream": ORANGE, "drift": RED, "uncertainty": PURPLE},
        }
        super().__init__(facts=facts)
        self.on_msg(lambda _, message, buffers: self.send(answer(self.game, message)))

    def _ipython_display_(self) -> None:
        """First the filmstrip, which every page can show; play.js hides it once the widget is alive."""
        frames = film(self.game)
        strip = picture(filmstrip(frames), filmstrip_alt(frames), CAPTION)
        display(HTML(f'<div id="{self.facts["still"]}">{strip.data}</div>'))
        data, metadata = self._repr_mimebundle_()
        display(data | {"text/html": "", "text/plain": "a dream to drive, in JupyterLab"}, metadata=metadata, raw=True)


def answer(game: DreamGame, message: dict[str, Any]) -> dict[str, Any]:
    """Do what the browser asks, and say what it has to draw.

    A message {"kind": "step", "action": a} is answered with one frame; all others ("look",
    "freeze", "resume", "branch", "actor" with "on", "reset" with "row") with the whole scene; a
    mistake with {"kind": "error", "text": ...}.
    """
    try:
        match message["kind"]:
            case "step":
                return {"kind": "frame", "frame": to_wire(game.step(message["action"]))}
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
    except DreamerError as error:
        return {"kind": "error", "text": str(error)}
    return {
        "kind": "scene",
        "trail": [to_wire(frame, 1) for frame in list(game.trail)[-WINDOW:-1]] + [to_wire(game.frame)],
        "ghost": [to_wire(frame, 1) for frame in game.ghost],
        "mark": game.mark.frame.step,
        "row": game.row,
        "frozen": game.frozen,
        "actor": game.actor,
    }


def to_wire(frame: Frame, dreams: int | None = None) -> dict[str, Any]:
    """A frame as plain numbers, with null where there is none; only the first few dreams, if asked."""
    wire = frame._asdict() | {"world": np.round(frame.world, 4).tolist(), "dreams": np.round(frame.dreams[:dreams], 3).tolist()}
    return wire | {name: None if math.isnan(value) else round(value, 4) for name, value in wire.items() if isinstance(value, float)}


# --- without a kernel -----------------------------------------------------------------------------


def film(game: DreamGame) -> list[Frame]:
    """The trained actor drives from the row where the game starts; then the game is as it was after its reset."""
    game.reset(game.row)
    game.actor = True
    game.resume()
    frames = [game.frame] + [game.step(0.0) for _ in range(FILM)]
    game.actor = False
    game.reset(game.row)
    return frames


def filmstrip(frames: Sequence[Frame], pictures: int = 8) -> Figure:
    """The world above the dream at evenly spaced moments; thin rods are the other dreams."""
    chosen = [frames[n] for n in np.linspace(0, len(frames) - 1, pictures).round().astype(int)]
    figure, axes = plt.subplots(2, pictures, figsize=(1.15 * pictures + 0.6, 2.75), layout="constrained")
    for (above, below), frame in zip(axes.T, chosen):
        stage(above)
        stage(below)
        Rod(above, BLUE, 5).move(direction(frame.world[0]))
        for angle in frame.dreams[1:, 0]:
            Rod(below, ORANGE, 1, alpha=0.35).move(direction(angle))
        Rod(below, ORANGE, 5).move(direction(frame.dreams[0, 0]))
        above.set_title(f"{frame.step * DT:.1f} s", fontsize=10)
        below.set_xlabel(f"drift {frame.drift:.2f}", fontsize=9)
    axes[0, 0].set_ylabel("the world", color=BLUE, fontsize=11)
    axes[1, 0].set_ylabel("the dream", color=ORANGE, fontsize=11)
    return figure


def direction(angle: float) -> np.ndarray:
    """The observation of a pendulum at this angle: its cosine and sine (2,)."""
    return np.array([math.cos(angle), math.sin(angle)])


def filmstrip_alt(frames: Sequence[Frame]) -> str:
    """What the filmstrip shows, in words and numbers."""
    return (
        f"Filmstrip of {frames[-1].step * DT:.1f} seconds: the true pendulum above, the dreamt one below, both pushed by the actor. "
        f"The drift between them is {frames[0].drift:.2f} at the start, {frames[-1].drift:.2f} at the end and at most "
        f"{max(frame.drift for frame in frames):.2f}."
    )

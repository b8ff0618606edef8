"""A dream to scrub through: self-contained HTML that needs no kernel and no network.

The page holds a picture. A script, where scripts may run, puts the explorer in its place. So a page
that runs none (an untrusted notebook, a code-hosting site, paper) still shows what the dream did.
The explorer lives in a shadow root: several fit on one page and no style leaks in or out.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from IPython.display import HTML

from dreamer_core.errors import DreamerError
from dreamer_core.viz.branches import Branch, States, World
from dreamer_core.viz.canvas import inks, packed_scenes, plain_levers, script
from dreamer_core.viz.dream import dream_figure
from dreamer_core.viz.film import filmstrip, tell, words
from dreamer_core.viz.measure import measure
from dreamer_core.viz.show import COLOURS, ORANGE, PURPLE, check_names, picture
from dreamer_core.worlds.scene import outline

GHOSTS = 8  # other dreams drawn as thin lines
BAND = (0.05, 0.95)


def rounded(array: np.ndarray) -> Any:
    """Nested lists with four significant digits; what is not a number becomes null."""
    if array.ndim:
        return [rounded(part) for part in array]
    return float(f"{array:.4g}") if np.isfinite(array) else None


def packed(array: np.ndarray, reach: float) -> dict[str, Any]:
    """One byte a number, -reach .. reach in 254 equal steps (clipped): for pictures, where more cannot be seen."""
    steps = np.round(np.clip(array / reach, -1, 1) * 127).astype(np.int8)
    return {"shape": array.shape, "reach": rounded(np.float64(reach)), "data": base64.b64encode(steps.tobytes()).decode()}


def states(part: States, entries: np.ndarray, reach: float) -> dict[str, Any]:
    """States of a single telling, (R, ...), whose lines show `entries` (R, N)."""
    return {
        "observation": rounded(entries),
        "reward": rounded(part.reward),
        "h": packed(part.h, 1.0),  # a GRU's state lies between -1 and 1
        "z": packed(part.z, reach),
    }


def contents(branches: Sequence[Branch], names: Sequence[str]) -> dict[str, Any]:
    """What the script reads, as plain data.

    Worlds that several branches share are stored once. Of all dreams, the first is stored whole,
    the rest as a band between two quantiles, and a few of them as thin lines of what moves, where the
    world has a drawing of its own. Of pictures, which have no entries for lines, the line is how far each is off.
    """
    worlds = list({id(branch.world): branch.world for branch in branches}.values())
    drawing, off = worlds[0].drawing, measure(worlds[0].drawing, worlds[0].scale)
    reach = max(float(np.abs(part.z).max()) for part in [*(w.posterior for w in worlds), *(b.dreams for b in branches)])
    pictures = is_picture(worlds[0])

    def scenes(observations: np.ndarray, thin: bool = False) -> dict[str, Any]:
        """Rows (R, O) as they look, or what moves in them as thin lines."""
        found = [drawing.scene(seen) for seen in observations]
        return packed_scenes([outline(scene) for scene in found] if thin else found)

    def errors(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        """How far rows (..., R, O) are off (..., R); NaN where what really happened has ended."""
        rows = min(len(real), other.shape[-real.ndim])
        shape = other.shape[: other.ndim - real.ndim + 1]
        found = np.full(shape, np.nan)
        found[..., :rows] = off.of(real[:rows], other[..., :rows, *(slice(None),) * (real.ndim - 1)])
        return found

    def entries(real: np.ndarray, other: np.ndarray) -> np.ndarray:
        """What the lines show of rows (..., R, O)."""
        return errors(real, other)[..., None] if pictures else other

    def apart(real: np.ndarray, other: np.ndarray) -> list[str]:
        """How far rows (R, O) are off, in words, as many as both have."""
        return [off.told(value) for value in errors(real, other)[: len(real)]]

    def world(this: World) -> dict[str, Any]:
        real, told = this.observation, this.posterior
        fields = {name: rounded(getattr(this, name)) for name in ("reward", "action")}
        drawn = {"scenes": scenes(real), "thin": scenes(real, thin=True)}
        posterior = states(told, entries(real, told.observation), reach) | {"scenes": scenes(told.observation)}
        own = np.full((len(real), 1), np.nan) if pictures else real  # what happens is not off
        return {
            "begin": this.begin,
            "observation": rounded(own),
            **fields,
            **drawn,
            "posterior": posterior,
            "off": apart(real, told.observation),
        }

    def branch(this: Branch) -> dict[str, Any]:
        first = States(*(part[0] for part in this.dreams))
        real = this.world.observation[this.start - this.world.begin :]
        lines = {"observation": entries(real, this.dreams.observation), "reward": this.dreams.reward}
        return {
            "actions": this.actions,
            "start": this.start,
            "world": next(number for number, other in enumerate(worlds) if other is this.world),
            "dream": states(first, lines["observation"][0], reach) | {"scenes": scenes(first.observation)},
            "off": apart(real, first.observation),
            "action": rounded(this.action[0]),
            "band": {name: rounded(np.quantile(numbers, BAND, axis=0)) for name, numbers in lines.items()},
            "ghosts": [scenes(dream, thin=True) for dream in this.dreams.observation[1 : GHOSTS + 1]]
            if drawing.real and not pictures
            else [],
        }

    return {
        "names": [off.label] if pictures else list(names),
        "pictures": pictures,
        "wrong": {"much": ORANGE, "missing": PURPLE},  # as `frames.error_picture`
        "count": len(branches[0].dreams.reward),
        "colours": COLOURS,
        "inks": inks(COLOURS["real"]),
        "levers": plain_levers(drawing.levers),
        "worlds": [world(this) for this in worlds],
        "branches": [branch(this) for this in branches],
    }


def is_picture(world: World) -> bool:
    """Whether the observations of a world are pictures (R, H, W, C), and not entries with names (R, O)."""
    return world.observation.ndim == 4


def still(branch: Branch, names: Sequence[str]) -> HTML:
    """The picture for pages that run no script."""
    world = branch.world
    if world.drawing.real:
        told = tell(branch)
        return picture(filmstrip(told), words(told), "Where scripts may run, this is an explorer to scrub through.")
    caption = "Where scripts may run, this is an explorer to scrub through."
    alt = f"Lines of a real episode and a band of dreams that begin after step {branch.start}, one panel for each observation."
    return picture(dream_figure(world.observation, branch.dreams.observation, branch.start, names), alt, caption)


def explorer(branches: Sequence[Branch], names: Sequence[str]) -> HTML:
    """The explorer of some branches, as `branches.branch_out` makes them.

    Args:
        branches: the first is shown first; it must begin with the episode (world.begin == 0).
        names: O labels with units; none where observations are pictures, which have no named entries.

    Raises:
        DreamerError: there is no branch, its world begins late, or the labels are not as many as the entries of an observation.
    """
    if not branches or branches[0].world.begin != 0:
        raise DreamerError("the explorer needs at least one branch, and the first one's world must be the whole episode from row 0")
    check_names(names, 0 if is_picture(branches[0].world) else branches[0].world.observation.shape[-1])
    # A "<" inside a script could close it.
    data = json.dumps(contents(branches, names), separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    return HTML(
        f'<div class="dream-explorer" data-lm-suppress-shortcuts="true">{still(branches[0], names).data}'
        f'<script type="application/json">{data}</script></div><script>(() => {{{script("explorer.js")}}})();</script>'
    )

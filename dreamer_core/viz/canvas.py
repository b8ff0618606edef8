"""Scenes and actions as plain data, which scene.js draws in a browser as `worlds.scene.draw` does with matplotlib.

One scene is `plain`. Where a page holds many of them, `packed_scenes` stores what they share once, and
what changes in two bytes a number.
"""

import base64
import math
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from dreamer_core.worlds.levers import Levers
from dreamer_core.worlds.scene import INKS, Part, Scene

FAR = 3.0  # views away from the middle: what lies beyond, in a dream gone astray, is drawn there
STEPS = 32767  # of a signed number of two bytes


def script(name: str) -> str:
    """The text of a script of this folder behind that of scene.js, which it draws with."""
    return "".join(files(__package__).joinpath(file).read_text(encoding="utf-8") for file in ("scene.js", name))


def reach(scene: Scene) -> float:
    """How far from the origin a number of a scene may be; a part beyond is cut there."""
    left, bottom, right, top = scene.view
    return FAR * max(right - left, top - bottom) + max(map(abs, scene.view))


def placed(part: Part, most: float) -> list[Any]:
    """A part as a list that begins with its kind; its numbers are floats no larger than `most`, and 0 for what is none."""
    found: list[Any] = [type(part).__name__.lower()]
    for value in part:
        if isinstance(value, tuple):
            found.append(packed_pixels(value))
        elif isinstance(value, (str, bool)):
            found.append(value)
        else:
            found.append(0.0 if math.isnan(value) else float(min(max(value, -most), most)))
    return found


def packed_pixels(pixels: Sequence) -> dict[str, Any]:
    """The pixels of a `Picture`: how many rows, columns and channels, and all bytes in this order."""
    array = np.array(pixels, np.uint8)
    return {"shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def plain(scene: Scene) -> dict[str, Any]:
    """A scene as plain data: its view, and a list for each part: its kind and its fields in order. Numbers have four digits or so."""
    most = reach(scene)
    return {"view": list(scene.view), "parts": [rounded_part(placed(part, most), most) for part in scene.parts]}


def packed_scenes(scenes: Sequence[Scene]) -> dict[str, Any]:
    """Scenes that are much alike, small: each is one of a few `templates` whose holes are filled in order.

    A hole is null. One in the place of a number takes the next number of `numbers` (signed, two bytes,
    little-endian, times `reach` / 32767), one in the place of words the next of `words`, one in the place of pixels the next of `pictures`.
    """
    kinds: dict[tuple, list[list[list[Any]]]] = {}
    order = []
    for scene in scenes:
        parts = [placed(part, reach(scene)) for part in scene.parts]
        kind = scene.view, tuple(tuple(None if hollow(part, n) else field for n, field in enumerate(part)) for part in parts)
        kinds.setdefault(kind, []).append(parts)
        order.append(list(kinds).index(kind))
    most = max((reach(scene) for scene in scenes), default=1.0)
    templates = []
    for (view, _), rows in kinds.items():
        same = [[all(row[n][m] == field for row in rows) for m, field in enumerate(part)] for n, part in enumerate(rows[0])]
        parts = [[field if same[n][m] else None for m, field in enumerate(part)] for n, part in enumerate(rows[0])]
        templates.append({"view": list(view), "parts": parts})
    numbers, words, pictures, left = [], [], [], [iter(rows) for rows in kinds.values()]
    for kind in order:
        for hole, part in zip(templates[kind]["parts"], next(left[kind])):
            for empty, field in zip(hole, part):
                if empty is None:
                    (words if isinstance(field, str) else pictures if isinstance(field, dict) else numbers).append(field)
    steps = np.round(np.array(numbers) / most * STEPS).astype("<i2")
    return {
        "templates": [template | {"parts": [rounded_part(part, most) for part in template["parts"]]} for template in templates],
        "order": order,
        "reach": most,
        "numbers": base64.b64encode(steps.tobytes()).decode(),
        "words": words,
        "pictures": pictures,
    }


def hollow(part: list[Any], place: int) -> bool:
    """Whether this place of a part may change without making it another kind of part: numbers, pixels and a text's words."""
    return isinstance(part[place], (float, dict)) or (part[0] == "text" and place == 3)


def rounded_part(part: list[Any], most: float) -> list[Any]:
    """A part with numbers of four digits or so."""
    digits = 4 - math.floor(math.log10(most))
    return [round(field, digits) if isinstance(field, float) else field for field in part]


def plain_levers(levers: Levers | None) -> dict[str, Any] | None:
    """What can be done, for scene.js."""
    return None if levers is None else {"entries": [lever._asdict() for lever in levers.entries], "choices": list(levers.choices)}


def inks(body: str) -> dict[str, str]:
    """The colours of a scene whose moving things are drawn in `body`."""
    return INKS | {"body": body}

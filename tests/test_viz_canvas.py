"""Scenes as plain data for the browser."""

import base64
import json

import numpy as np

from dreamer_core.viz.canvas import FAR, packed_scenes, plain, plain_levers, script
from dreamer_core.worlds.levers import Lever, Levers
from dreamer_core.worlds.scene import Circle, Line, Rectangle, Scene, Text

VIEW = (-1.0, -2.0, 3.0, 2.0)


def unpacked_scenes(stored):
    """The scenes behind `packed_scenes`, read as the browser reads them."""
    numbers = iter(np.frombuffer(base64.b64decode(stored["numbers"]), "<i2") / 32767 * stored["reach"])
    words, pictures = iter(stored["words"]), iter(stored["pictures"])
    others = {("text", 3): lambda: next(words), ("picture", 5): lambda: next(pictures)}

    def filled(part):
        holes = [others.get((part[0], n), lambda: float(next(numbers))) for n in range(len(part))]
        return [hole() if field is None else field for field, hole in zip(part, holes)]

    found = []
    for number in stored["order"]:
        template = stored["templates"][number]
        found.append({"view": template["view"], "parts": [filled(part) for part in template["parts"]]})
    assert all(next(kept, None) is None for kept in (numbers, words, pictures)), "something is left over"
    return found


def one(x, words="here"):
    return Scene(VIEW, (Rectangle(-1, -2, 3, -1.5), Line(0, 0, x, 1, width=3), Circle(x, 0.5, 0.2, "mark", False), Text(0, 1, words)))


def test_a_scene_by_hand():
    """Its view, and each part as its kind and its fields in order."""
    assert plain(one(0.123456789)) == {
        "view": [-1, -2, 3, 2],
        "parts": [
            ["rectangle", -1, -2, 3, -1.5, "fixed"],
            ["line", 0, 0, 0.123, 1, "body", 3],
            ["circle", 0.123, 0.5, 0.2, "mark", False],
            ["text", 0, 1, "here", "fixed"],
        ],
    }


def test_what_no_browser_could_read_is_never_sent():
    """A dream gone astray may be anything; numpy's own numbers are no numbers to JSON."""
    for x in (np.nan, np.inf, -np.inf, 1e30, np.float32(0.5), np.int64(1)):
        text = json.dumps([plain(one(x)), packed_scenes([one(x), one(0.0)])], allow_nan=False)
        assert "NaN" not in text
    far = plain(one(1e30))["parts"][1][3]
    assert FAR * 4 <= far < 100, "a part far away must stay out of view, and drawable"


def test_many_scenes_come_back_as_they_were():
    """Also those with other words, or another number of parts."""
    scenes = [one(x, f"at {x:.1f}") for x in np.linspace(-0.9, 2.9, 7)]
    scenes.insert(3, Scene(VIEW, (Text(0, 0, "blank"),)))
    scenes.insert(5, Scene(VIEW, ()))
    stored = json.loads(json.dumps(packed_scenes(scenes), allow_nan=False))
    for found, scene in zip(unpacked_scenes(stored), scenes, strict=True):
        expected = plain(scene)
        assert found["view"] == expected["view"] and [part[0] for part in found["parts"]] == [part[0] for part in expected["parts"]]
        for mine, part in zip(found["parts"], expected["parts"]):
            for value, given in zip(mine, part, strict=True):
                assert value == given if isinstance(given, (str, bool)) else abs(value - given) < 1e-3, f"{mine} for {part}"


def test_what_stands_still_is_stored_once():
    scenes = [one(x) for x in np.linspace(0, 1, 50)]
    stored = packed_scenes(scenes)
    assert len(stored["templates"]) == 1 and stored["words"] == []
    assert len(base64.b64decode(stored["numbers"])) == 50 * 2 * 2, "two numbers change, in two bytes each"


def test_no_scenes_are_no_scenes():
    assert unpacked_scenes(packed_scenes([])) == []


def test_levers_as_the_browser_reads_them():
    assert plain_levers(Levers((Lever("push", "N", False, -3.0, 3.0),), ())) == {
        "entries": [{"name": "push", "unit": "N", "turns": False, "low": -3.0, "high": 3.0}],
        "choices": [],
    }
    assert plain_levers(None) is None


def test_both_scripts_draw_with_the_same_one():
    for name in ("play.js", "explorer.js"):
        text = script(name)
        assert text.count("const SceneCanvas = ") == 1 and text.index("const SceneCanvas = ") < text.index("SceneCanvas.draw")

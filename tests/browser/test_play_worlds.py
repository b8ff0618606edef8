"""The play widget in a browser without JupyterLab: frames come straight from a game, so any world can be driven in seconds."""

import json
import re

import numpy as np
import pytest
from test_play import DISCRETE, anywhere
from toy_branches import branches

from dreamer_core.viz.canvas import packed_scenes, plain, script
from dreamer_core.viz.play import Play, answer, facts_of
from dreamer_core.viz.show import BLUE, ORANGE

PAGE = """<!doctype html><meta charset="utf-8"><title>Play</title><style>%s</style><body><script type="module">%s;
const heard = new Set();
const model = {
    get: () => (%s),
    on: (_, one) => heard.add(one),
    off: (_, one) => heard.delete(one),
    send: async (message) => { const reply = await window.ask(message); for (const one of heard) one(reply); },
};
render({ model, el: document.body });
</script>"""


def drive(page, game):
    """A page on which this game is driven; `page.asked` has all that it was asked."""
    page.asked = []

    def ask(message):
        page.asked.append(message)
        return answer(game, message)

    page.expose_function("ask", ask)
    page.set_content(PAGE % (Play._css, script("play.js").replace("export default { render };", ""), json.dumps(facts_of(game))))
    page.locator(".dream-play").wait_for(state="visible")
    page.wait_for_function("document.querySelector('.dream-play').dataset.step === '0'")
    return page.locator(".dream-play")


def wait_for_step(page, step):
    page.wait_for_function(f"Number(document.querySelector('.dream-play').dataset.step) >= {step}")


def pushes(page):
    """The actions that the page chose, newest last."""
    return [message["action"] for message in page.asked if message["kind"] == "step"]


def hold(page, key):
    """Hold a key down until it shows in a step and return what that step did."""
    page.keyboard.down(key)
    before = len(pushes(page))
    step = int(page.locator(".dream-play").get_attribute("data-step"))
    wait_for_step(page, step + 3)
    page.keyboard.up(key)
    return pushes(page)[before + 1]


def pixel(page, x, y):
    """The colour of the stage at a share (x, y) of its width and height, y downwards: "#rrggbb", or None where nothing is drawn."""
    look = """(canvas, [x, y]) => {
        const [across, down] = [Math.round(x * canvas.width), Math.round(y * canvas.height)];
        return [...canvas.getContext("2d").getImageData(across, down, 1, 1).data];
    }"""
    red, green, blue, alpha = page.locator(".stage canvas").evaluate(look, [x, y])
    return f"#{red:02X}{green:02X}{blue:02X}" if alpha == 255 else None


def test_two_levers_have_four_keys_and_two_sliders(page):
    """A point: each arrow pushes it where it points; both at once; and a slider holds what was set."""
    game, _ = anywhere("dreamer/PointMass-v0", {})
    widget = drive(page, game)
    widget.locator(".stage").focus()
    assert hold(page, "ArrowRight") == [1, 0]
    assert hold(page, "ArrowLeft") == [-1, 0]
    assert hold(page, "ArrowUp") == [0, 1]
    assert hold(page, "ArrowDown") == [0, -1]
    page.keyboard.down("ArrowUp")
    assert hold(page, "ArrowRight") == [1, 1]
    page.keyboard.up("ArrowUp")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.status').textContent.startsWith('Frozen')")
    assert re.search(r"Frozen at \d+\.\d\d s: the dream is off by \S+ m, drift", widget.get_by_role("status").inner_text())
    widget.get_by_label("Push along y").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert widget.get_by_label("Push along y").get_attribute("aria-valuetext") == "+0.4 m/s²"
    widget.get_by_role("button", name="Go on").click()
    step = int(widget.get_attribute("data-step"))
    wait_for_step(page, step + 2)
    assert pushes(page)[-1] == [0, pytest.approx(0.2)]
    assert "push along y\n+0.4 m/s²" in widget.locator(".numbers").inner_text()
    assert page.errors == []


def test_a_torque_pushes_where_the_key_points(page):
    """Anticlockwise counts as positive, and that is the key to the left."""
    game, _ = anywhere("Pendulum-v1", {})
    widget = drive(page, game)
    widget.locator(".stage").focus()
    assert hold(page, "ArrowLeft") == [1] and hold(page, "ArrowRight") == [-1]
    before = len(page.asked)
    page.keyboard.press("ArrowUp")  # no lever of this world: the page may scroll
    assert [message["kind"] for message in page.asked[before:] if message["kind"] != "step"] == []
    assert page.errors == []


def test_a_choice_stays_until_another_is_made(page):
    game, _ = anywhere("CartPole-v1", DISCRETE)
    widget = drive(page, game)
    widget.locator(".stage").focus()
    assert hold(page, "ArrowRight") == 1
    wait_for_step(page, int(widget.get_attribute("data-step")) + 2)
    assert pushes(page)[-1] == 1, "the choice was not kept"
    assert hold(page, "ArrowLeft") == 0
    widget.get_by_label("Choice").select_option("push right")
    wait_for_step(page, int(widget.get_attribute("data-step")) + 3)
    assert pushes(page)[-1] == 1
    assert page.errors == []


def test_a_branch_leaves_a_ghost_and_the_actor_takes_over(page):
    game, _ = anywhere("dreamer/PointMass-v0", {})
    widget = drive(page, game)
    widget.locator(".stage").focus()
    hold(page, "ArrowRight")
    page.keyboard.press("b")
    page.wait_for_function("document.querySelector('.dream-play').dataset.step === '0'")
    assert widget.get_by_text("the other branch", exact=True).is_visible()
    page.keyboard.press("a")
    wait_for_step(page, 3)
    assert "Reward of the first" in widget.locator(".compare").inner_text() and game.actor
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('.status').textContent.startsWith('You drive')")
    page.keyboard.press("r")
    page.wait_for_function("document.querySelector('.dream-play').dataset.step === '0'")
    assert page.errors == []


def test_the_stage_shows_the_world_on_the_left_and_the_dream_on_the_right(page):
    """A point at a place known by hand; the room fills the height between title and action."""
    game, _ = anywhere("dreamer/PointMass-v0", {})
    widget = drive(page, game)
    width, height = widget.locator(".stage canvas").evaluate("canvas => [canvas.clientWidth, canvas.clientHeight]")
    side = height - 92  # CSS pixels of the room, 2.2 m
    for seen, middle, colour in ((game.frame.world, width / 4, BLUE), (game.frame.dreams[0], 3 * width / 4, ORANGE)):
        x, y = middle + float(seen[0]) / 2.2 * side, 30 + side / 2 - float(seen[1]) / 2.2 * side
        assert pixel(page, x / width, y / height) == colour, "the point is not where it is said to be"
    assert pixel(page, (width / 4 + 0.6 / 2.2 * side) / width, (30 + side / 2 + 0.6 / 2.2 * side) / height) == "#C46BA0", "the goal"
    assert page.errors == []


def test_a_world_in_pictures_is_driven_and_shown_pixel_for_pixel(page):
    """Two pixels of the world and two of the dream, found by hand: 32 pixels fill the height between title and action."""
    game, _ = anywhere("dreamer/PixelPendulum-v0", {})
    widget = drive(page, game)
    widget.locator(".stage").focus()
    assert hold(page, "ArrowLeft") == [1]
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.status').textContent.startsWith('Frozen')")
    width, height = widget.locator(".stage canvas").evaluate("canvas => [canvas.clientWidth, canvas.clientHeight]")
    side = height - 92  # CSS pixels of a picture
    brightest = np.unravel_index(game.frame.world[..., 0].argmax(), (32, 32))
    for seen, middle in ((game.frame.world, width / 4), (np.clip(np.rint(game.frame.dreams[0]), 0, 255), 3 * width / 4)):
        for row, column in (brightest, (1, 1)):
            x, y = middle + ((column + 0.5) / 32 - 0.5) * side, 30 + (row + 0.5) / 32 * side
            grey = int(seen[row, column, 0])
            assert pixel(page, x / width, y / height) == f"#{grey:02X}{grey:02X}{grey:02X}", f"row {row}, column {column} is not {grey}"
    assert "in standard deviations" not in widget.inner_text() and "from black to white" in widget.inner_text()
    assert not widget.get_by_text("other dreams, same actions").is_visible()
    assert page.errors == []


def test_six_levers_have_a_slider_each_and_the_first_two_have_keys(page):
    game, _ = anywhere("Six-v0", {})
    widget = drive(page, game)
    widget.locator(".stage").focus()
    assert hold(page, "ArrowRight") == [1, 0, 0, 0, 0, 0] and hold(page, "ArrowUp") == [0, 1, 0, 0, 0, 0]
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.status').textContent.startsWith('Frozen')")
    widget.get_by_label("Action 6").focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    widget.get_by_role("button", name="Go on").click()
    wait_for_step(page, int(widget.get_attribute("data-step")) + 2)
    assert pushes(page)[-1] == [0, 0, 0, 0, 0, pytest.approx(0.2)]
    assert "a slider for each of the others" in widget.inner_text()
    assert page.errors == []


@pytest.mark.parametrize(("name", "changes", "controls"), [("dreamer/PointMass-v0", {}, 8), ("CartPole-v1", DISCRETE, 7)])
def test_every_control_has_a_name(page, name, changes, controls):
    widget = drive(page, anywhere(name, changes)[0])
    names = widget.locator("button, input, select, [tabindex]").evaluate_all(
        "all => all.map(one => one.ariaLabel || one.labels?.[0]?.innerText || one.innerText)"
    )
    assert len(names) == controls and all(names), names


def test_stored_scenes_are_read_as_they_were_written(page):
    """What `packed_scenes` makes of a world's dreams, unpacked by scene.js."""
    page.set_content(f"<script>{script('explorer.js').partition('// Puts')[0]}; window.unpack = SceneCanvas.unpack</script>")
    for env in ("dreamer/FlickerPendulum-v0", "MountainCarContinuous-v0", "Acrobot-v1"):
        (branch, *_) = branches(starts=(2,), steps=6, env=env)
        scenes = [branch.world.drawing.scene(seen) for seen in branch.dreams.observation[0]]
        found = page.evaluate("packed => unpack(packed)", packed_scenes(scenes))
        for one, expected in zip(found, map(plain, scenes), strict=True):
            for part, given in zip(one["parts"], expected["parts"], strict=True):
                for value, said in zip(part, given, strict=True):
                    exact = isinstance(said, (str, bool))
                    assert value == said if exact else abs(value - said) < 5e-3, f"{env}: {part} was read, and written {given}"

"""The page on which a dream is driven, from disk, in a real browser."""

import base64
import math

import pytest

from browser.axe import axe_script, faults
from dreamer_core.viz import drive
from dreamer_core.viz.engine import script

GAME = "\n".join(map(script, drive.SCRIPTS[:-1]))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("drive") / "index.html"
    path.write_text(drive.page(drive.kept(), "index.html", {"Notebooks": "index.html"}), encoding="utf-8")
    return path


@pytest.fixture
def opened(page, written):
    page.goto(written.as_uri())
    reach(page, 3)
    return page


def data(page, name):
    return page.evaluate("name => document.body.dataset[name]", name)


def reach(page, step):
    page.wait_for_function("step => Number(document.body.dataset.step) >= step", arg=step)


def test_a_stranger_drives_it_with_one_key(opened):
    """The agent shows what it can do; a push takes over at once, and both pendulums feel it."""
    page, status = opened, opened.get_by_role("status")
    assert "The agent shows you" in status.inner_text()
    assert page.get_by_text("to push both").is_visible()
    page.keyboard.down("ArrowLeft")
    page.wait_for_function("document.body.dataset.actor === 'false'")
    pushed = int(data(page, "step"))
    reach(page, pushed + 2)
    assert "2.0 N·m" in page.locator(".numbers").inner_text(), "a held arrow is not a full push"
    page.keyboard.up("ArrowLeft")
    reach(page, pushed + 6)
    assert "0.0 N·m" in page.locator(".numbers").inner_text(), "the push goes on after the key was let go"
    assert "You drive. Its eyes are shut" in status.inner_text() and not page.get_by_text("to push both").is_visible()
    assert page.errors == []


def test_open_eyes_bring_surprise_and_the_truth(opened):
    page = opened
    page.keyboard.press("r")
    page.keyboard.down("ArrowRight")
    reach(page, 90)
    page.keyboard.up("ArrowRight")
    assert data(page, "surprise") == "" and "eyes shut" in page.locator(".numbers").inner_text()
    page.keyboard.press("e")
    page.wait_for_function("document.body.dataset.surprise !== ''")
    reach(page, int(data(page, "step")) + 15)
    assert "Its eyes are open" in page.get_by_role("status").inner_text()
    assert float(data(page, "drift")) < 0.5, "the dream does not come back to the world although it sees it"
    page.keyboard.press("e")
    page.wait_for_function("document.body.dataset.surprise === ''")


def test_the_agent_drives_and_time_goes_back(opened):
    """The buttons: the agent, pause, back, and the slider of time; then a push begins another branch."""
    page, status = opened, opened.get_by_role("status")
    page.get_by_role("button", name="Start again").click()
    page.get_by_role("button", name="Let the agent drive").click()
    page.get_by_role("button", name="Open its eyes").click()
    reach(page, 110)
    assert "The agent drives" in status.inner_text()
    assert abs(math.remainder(float(data(page, "world")), 2 * math.pi)) < 0.5, "the trained agent does not hold the pendulum up"
    page.get_by_role("button", name="Back 3 s").click()
    page.wait_for_function("document.body.dataset.running === 'false'")
    back = int(data(page, "step"))
    assert "Back at" in status.inner_text()
    page.get_by_label("Go back in time").fill(str(back - 10))
    page.wait_for_function("step => Number(document.body.dataset.step) === step", arg=back - 10)
    page.keyboard.press("Tab")
    page.locator("h1").click()
    page.keyboard.press("ArrowLeft")
    reach(page, back + 10)
    assert "after the branch" in page.locator(".compare").inner_text()
    assert page.errors == []


def test_a_younger_mind_gets_the_same_pushes(opened):
    page = opened
    page.get_by_role("button", name="Start again").click()
    reach(page, 30)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("document.body.dataset.running === 'false'")
    step, world, dream = (data(page, name) for name in ("step", "world", "dream"))
    page.get_by_label("10 s").check()
    page.wait_for_function("dream => document.body.dataset.dream !== dream", arg=dream)
    assert (data(page, "step"), data(page, "world")) == (step, world), "another mind has changed the world"
    page.get_by_label("100 s").check()
    page.wait_for_function("dream => document.body.dataset.dream === dream", arg=dream)


def test_fingers_push_on_a_telephone(browser, written):
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    try:
        page = context.new_page()
        page.goto(written.as_uri())
        reach(page, 3)
        assert page.evaluate("document.documentElement.scrollWidth") == 390, "the page is wider than a telephone"
        box = page.locator(".stage").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] * 0.8, box["y"] + 60)
        page.wait_for_function("document.body.dataset.actor === 'false'")
        page.get_by_role("button", name="Push anticlockwise").tap()
        assert "You drive" in page.get_by_role("status").inner_text()
    finally:
        context.close()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_everyone_can_use_it(opened, colours):
    """Names for all controls, contrast, and no serious fault by axe-core."""
    page = opened
    page.emulate_media(color_scheme=colours)
    page.wait_for_function("colours => document.documentElement.dataset.theme === colours", arg=colours)
    named = "all => all.map((one) => one.ariaLabel || one.labels?.[0]?.innerText || one.innerText)"
    names = page.locator("button, input").evaluate_all(named)
    assert len(names) == 13 and all(names)
    found = faults(page, axe_script())
    assert not found, "\n".join(found)


def test_less_motion_where_it_is_asked_for(page, written):
    page.emulate_media(reduced_motion="reduce")
    page.goto(written.as_uri())
    page.wait_for_function("document.body.dataset.step === '0'")
    page.wait_for_timeout(300)
    assert data(page, "running") == "false", "something moves although the visitor asked for less motion"
    page.keyboard.press("ArrowLeft")
    reach(page, 2)


def test_the_rules_of_a_branch(page):
    """Without a picture: the same pushes from the same moment are the same dream, other pushes are another, and nothing is lost."""
    page.add_script_tag(content=f"(() => {{{GAME}\nObject.assign(window, {{Game, readMinds, KEPT}});}})();")
    told = page.evaluate(
        """packed => {
            const minds = readMinds(Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0)).buffer);
            const game = new Game(minds);
            const push = (count, push) => { for (let n = 0; n < count; n++) game.step(push); return game.now; };
            const last = ({step, angles, world}) => JSON.stringify([step, angles, world]);
            push(20, 1);
            const first = last(push(10, 0.5));
            game.goTo(20);
            const again = last(push(10, 0.5));
            const kept = game.other.map(({step}) => step);
            game.goTo(20);
            const differently = last(push(10, -1));
            const before = game.trail.slice(0, 31).map(({step}) => step);
            game.grow(minds[0]);
            const young = last(game.now);
            game.grow(minds.at(-1));
            const grown = last(game.now);
            push(KEPT, 0);
            return {first, again, differently, young, grown, kept, before, trail: game.trail.length, now: game.now.step};
        }""",
        base64.b64encode(drive.kept()).decode(),
    )
    assert told["first"] == told["again"], "the same pushes from the same moment gave another dream"
    assert told["first"] != told["differently"], "other pushes gave the same dream"
    assert told["kept"] == list(range(20, 31)) and told["before"] == list(range(31)), "a moment was lost at the branch"
    assert told["young"] != told["differently"] == told["grown"], "the same mind does not dream the same when it is given the pushes again"
    assert told["trail"] == 1200 and told["now"] == 30 + 1200

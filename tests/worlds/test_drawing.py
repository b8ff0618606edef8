"""How the world of a run is drawn: names, scenes, planes and units of what its agent sees, for any environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box

from dreamer_core import envs, worlds
from dreamer_core.config import Config, from_dict
from dreamer_core.errors import EnvError
from dreamer_core.worlds.bars import bars_scene
from dreamer_core.worlds.drawing import apart, drawing, whole
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import INKS, Circle, Line, Rectangle, Scene, Text, outline, wordless

SUITE = [f"dreamer/{name}-v0" for name in worlds.WORLDS if not name.startswith("Pixel")]  # pictures have a test of their own
GYMNASIUMS = ["Pendulum-v1", "MountainCarContinuous-v0", "MountainCar-v0", "CartPole-v1", "InvertedPendulum-v5", "Reacher-v5"]


class Bare(gym.Env):
    """A world made up here, which says nothing of its look: a cabin that is pulled up and down. Observation (2,): height, velocity."""

    metadata = {"render_modes": []}
    observation_space, action_space = Box(np.float32([0, -2]), np.float32([10, 2])), Box(-1.0, 1.0, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array([self.np_random.uniform(2, 8), 0.0])
        return self.state.astype(np.float32), {}

    def step(self, action):
        height, velocity = self.state
        velocity = np.clip(velocity + 0.2 * float(action[0]), -2, 2)
        self.state = np.array([np.clip(height + 0.1 * velocity, 0, 10), velocity])
        return self.state.astype(np.float32), -abs(height - 5), False, False, {}


class Lift(Bare):
    """The same, which says how it looks."""

    names, units, seconds = ("height", "velocity"), ("m", "m/s"), 0.1

    def scene(self, observation):
        height = float(observation[0])
        return Scene((-6, -1, 6, 13), (Line(-1, 0, -1, 12, "fixed"), Rectangle(-1, height, 1, height + 2, "body")))


@pytest.fixture
def made():
    """Register classes under the id Made-v0, and forget them after the test."""

    def register(world):
        gym.register("Made-v0", world, max_episode_steps=40)

    yield register
    gym.registry.pop("Made-v0", None)


def drawn(env, **wrappers):
    return drawing(from_dict({"env": env, "wrappers": wrappers}))


# --- every world ------------------------------------------------------------------------------------


@pytest.mark.parametrize("env", SUITE + GYMNASIUMS)
def test_every_world_that_is_known_has_a_drawing_of_its_own(env):
    found = drawn(env)
    assert found.real and found.world == env, f"{env} is drawn as bars"
    assert len(found.names) == len(found.units) == len(set(found.names)), f"{env} has the names {found.names}"
    random = np.random.default_rng(0)
    for seen in 3 * random.normal(size=(10, len(found.names))):
        scene = found.scene(seen)
        assert scene.parts and all(part.ink in INKS for part in scene.parts), f"{env} draws nothing, or in no known colour"
        assert all(type(number) in (float, int, str, bool) for part in scene.parts for number in part), "numbers that JSON cannot write"


@pytest.mark.parametrize("env", [env for env in SUITE + GYMNASIUMS if "Recall" not in env])
def test_every_world_with_a_plane_tells_where_on_it_an_episode_is(env):
    found = drawn(env)
    try:
        world = envs.make(env, from_dict({}).wrappers, discrete=True)
    except EnvError:  # MuJoCo is an extra
        return
    seen = [world.reset(seed=0)[0]] + [world.step(world.action_space.high)[0] for _ in range(8)]
    places = found.plane.place(np.array(seen))
    inside = np.isfinite(places).all(-1)
    assert places.shape == (9, 2) and inside.any(), f"no observation of {env} has a place on its plane"
    assert (places[inside] >= np.float32(found.plane.low)).all() and (places[inside] <= np.float32(found.plane.high)).all() or "Pole" in env
    assert found.seconds > 0, f"{env} does not say how long a step lasts"


def test_recall_has_no_plane_and_no_time():
    found = drawn("dreamer/Recall-v0")
    assert found.plane is None and found.seconds is None and found.gap is None


PLACES = {"dreamer/PointMass-v0": (0.5, -0.25), "dreamer/WaterTanks-v0": (3.0, 7.0), "MountainCarContinuous-v0": (0.1, 0.02)}
PLACES |= {"Pendulum-v1": (0.5, -2.0), "dreamer/Distractors-v0": (0.5, -2.0), "CartPole-v1": (0.1, -0.5), "MountainCar-v0": (0.1, 0.02)}


@pytest.mark.parametrize("env", PLACES)
def test_a_simulator_can_be_put_at_a_place(env):
    """Where it says it is, and where it goes on from: two simulators put there go the same way."""
    found, ends = drawn(env), []
    for seed in (0, 0):
        world = envs.make(env, from_dict({}).wrappers, discrete=True)
        world.reset(seed=seed)
        shown = found.plane.state(world, np.array(PLACES[env]))
        assert shown.dtype == np.float32 and shown.shape == (len(found.names),), f"{env}: an observation of another shape"
        assert np.allclose(found.plane.place(shown), PLACES[env], atol=1e-6), f"{env} was put elsewhere"
        ends.append(world.step(0 * world.action_space.high)[0])
        assert np.abs(found.plane.place(ends[-1]) - PLACES[env]).max() < 2, f"{env} went on from another place"
    assert np.array_equal(*ends), f"{env}: two from one place part"


@pytest.mark.parametrize("env", ["Pendulum-v1", "MountainCarContinuous-v0", "dreamer/SparsePendulum-v0"])
def test_one_step_back_and_one_step_on_is_where_one_was(env):
    plane, world = drawn(env).plane, envs.make(env, from_dict({}).wrappers)
    world.reset(seed=0)
    place = np.array([0.2, 0.03])
    plane.state(world, plane.before(place))
    assert np.allclose(plane.place(world.step(np.zeros(1, np.float32))[0]), place, atol=1e-5)


# --- by hand ----------------------------------------------------------------------------------------


def test_a_car_on_the_hill_by_hand():
    """At the bottom, where the slope is zero, it stands level; its flag stands where the goal is."""
    scene = drawn("MountainCarContinuous-v0").scene(np.array([-np.pi / 6, 0.0]))
    (car,) = (part for part in scene.parts if isinstance(part, Line) and part.ink == "body")
    assert car.y0 == pytest.approx(car.y1) and (car.x0 + car.x1) / 2 == pytest.approx(-np.pi / 6)
    (pole,) = (part for part in scene.parts if isinstance(part, Line) and part.ink == "mark")
    assert pole.x0 == pole.x1 == 0.45 and pole.y0 == pytest.approx(0.45 * np.sin(3 * 0.45) + 0.55)


@pytest.mark.parametrize(("env", "seen", "pole"), [("CartPole-v1", [1, 0, 0.5, 0], 1.0), ("InvertedPendulum-v5", [0.3, 0.5, 0, 0], 0.6)])
def test_a_pole_leans_to_the_right_for_a_positive_angle(env, seen, pole):
    rod = drawn(env).scene(np.array(seen, float)).parts[-1]
    x = seen[0]
    assert rod[:4] == pytest.approx((x, 0, x + pole * np.sin(0.5), pole * np.cos(0.5)))


def test_an_arm_by_hand():
    """Shoulder at 90 degrees, elbow at -90: up, then to the right. The fingertip of the observation is where the arm ends."""
    seen = np.array([0, 0, 1, -1, 0.1, -0.05, 0, 0, 0.11 - 0.1, 0.1 + 0.05])
    found = drawn("Reacher-v5")
    upper, fore, tip = (part for part in found.scene(seen).parts if part.ink == "body")
    assert upper[:4] == pytest.approx((0, 0, 0, 0.1)) and fore[:4] == pytest.approx((0, 0.1, 0.11, 0.1))
    assert found.plane.place(seen) == pytest.approx((tip.x, tip.y))
    (target,) = (part for part in found.scene(seen).parts if part.ink == "mark")
    assert (target.x, target.y) == (0.1, -0.05)


def test_a_blank_has_no_place():
    places = drawn("dreamer/FlickerPendulum-v0").plane.place(np.array([[0.0, 0, 0], [0, 1, 3]]))
    assert np.isnan(places[0]).all() and places[1] == pytest.approx((np.pi / 2, 3))


@pytest.mark.parametrize("one, other, degrees", [(10, 30, 20), (30, 10, 20), (170, -170, 20), (-10, 350, 0), (0, 180, 180), (725, 0, 5)])
def test_the_short_way_round(one, other, degrees):
    assert apart(one, other) == degrees
    assert apart(np.array([one, other]), other).tolist() == [degrees, 0]


def test_gaps_are_degrees_metres_or_none():
    """Between an angle of 170 and one of -170 degrees; between two corners of a triangle; where a plane has two units, nothing."""
    turn = drawn("Pendulum-v1").gap
    at = np.stack([np.cos(np.radians([170, -170])), np.sin(np.radians([170, -170])), [0, 9]], -1)
    assert (turn.unit, turn.most) == ("°", 180) and turn.between(at[0], at[1]) == pytest.approx(20)
    assert turn.between(at[0], 0.1 * at[1]) == pytest.approx(20), "a short rod has an angle too"
    way = drawn("dreamer/PointMass-v0").gap
    assert way.unit == "m" and way.between(np.zeros(4), np.array([3.0, 4.0, 9, 9])) == 5
    assert drawn("MountainCarContinuous-v0").gap is None and drawn("CartPole-v1").gap is None


# --- what the agent sees ----------------------------------------------------------------------------


def test_other_units_and_repeated_actions_are_undone():
    plain, other = drawn("Pendulum-v1"), drawn("Pendulum-v1", observation_scale=10.0, action_repeat=3)
    seen = np.array([0.6, 0.8, 3.0])
    assert [part[:4] for part in other.scene(10 * seen).parts if isinstance(part, Line)] == [
        pytest.approx(part[:4]) for part in plain.scene(seen).parts if isinstance(part, Line)
    ]
    assert other.seconds == pytest.approx(0.15) and other.plane.place(10 * seen) == pytest.approx(plain.plane.place(seen))
    assert other.plane.observation(np.array([0.5, 2.0])) == pytest.approx(10 * plain.plane.observation(np.array([0.5, 2.0])))


def test_a_hidden_velocity_leaves_the_rod_and_its_angle():
    found = drawn("Pendulum-v1", hide=(2,))
    assert found.real and found.names == ("cos θ", "sin θ") and found.plane is None and found.gap.unit == "°"
    rod, *_ = (part for part in found.scene(np.array([0.0, 1.0])).parts if isinstance(part, Line))
    assert rod[:4] == (0, 0, -1, 0)
    assert whole(from_dict({"env": "Pendulum-v1", "wrappers": {"hide": (2,)}})).plane is not None


@pytest.mark.parametrize(
    ("env", "hide", "names"),
    [
        ("Pendulum-v1", (0,), ("sin θ", "velocity")),
        ("dreamer/FlickerPendulum-v0", (1,), ("cos θ", "velocity")),
        ("dreamer/Recall-v0", (0,), ("question",)),
        ("dreamer/Recall-v0", (1,), ("cue",)),
        ("dreamer/WaterTanks-v0", (0,), ("lower level", "wanted level")),
        ("dreamer/PointMass-v0", (1,), ("x", "x velocity", "y velocity")),
    ],
)
def test_what_cannot_be_drawn_without_a_hidden_entry_is_drawn_as_bars(env, hide, names):
    found = drawn(env, hide=hide)
    words = [part.words.split(":")[0] for part in found.scene(np.full(len(names), 0.5)).parts if isinstance(part, Text)]
    assert not found.real and found.names == names and tuple(words) == names, f"{env} without entries {hide} is drawn as {words}"


@pytest.mark.parametrize(
    ("env", "hide"), [("dreamer/WaterTanks-v0", (2,)), ("dreamer/Distractors-v0", (2, 5)), ("dreamer/PointMass-v0", (2, 3))]
)
def test_what_does_not_need_a_hidden_entry_is_drawn_without_it(env, hide):
    full, found = drawn(env), drawn(env, hide=hide)
    missing = len(full.scene(np.ones(len(full.names))).parts) - len(found.scene(np.ones(len(found.names))).parts)
    assert found.real and missing == (0 if "Point" in env else len(hide)), f"{env} without entries {hide} lacks {missing} parts"


# --- a learner's own --------------------------------------------------------------------------------


def test_a_world_of_ones_own_is_drawn_as_it_says(made):
    made(Lift)
    found = drawn("Made-v0")
    assert (found.real, found.names, found.labels, found.seconds) == (True, ("height", "velocity"), ("height (m)", "velocity (m/s)"), 0.1)
    assert found.scene(np.array([3.0, 0.0])).parts[-1] == Rectangle(-1, 3, 1, 5, "body") and found.plane is None


def test_a_world_that_says_nothing_is_drawn_as_bars(made):
    made(Bare)
    found = drawn("Made-v0", hide=(0,))
    assert (found.real, found.names, found.units, found.plane, found.seconds) == (False, ("entry 1",), ("",), None, None)
    bar = next(part for part in found.scene(np.array([1.0])).parts if part.ink == "body")
    assert (bar.x0, bar.x1) == (0, 0.5), "1 of a track from -2 to 2"


def test_names_alone_are_the_names_of_bars(made):
    made(type("Named", (Bare,), {"names": ("up", "fast")}))
    assert drawn("Made-v0").names == ("up", "fast") and drawn("Made-v0").units == ("", "") and not drawn("Made-v0").real


def test_a_wrapper_that_changes_observations_hides_what_lies_below(made):
    """Reversed, the first entry is the velocity: the world's own words would be wrong."""
    made(lambda: gym.wrappers.TransformObservation(Lift(), lambda seen: seen[::-1].copy(), Box(-10, 10, (2,))))
    assert drawn("Made-v0").names == ("entry 0", "entry 1") and not drawn("Made-v0").real
    gym.registry.pop("Made-v0")
    made(lambda: gym.wrappers.TransformReward(Lift(), lambda reward: 2 * reward))
    assert drawn("Made-v0").names == ("height", "velocity"), "a wrapper of rewards leaves the observation alone"


def own(**changes):
    return type("Own", (Lift,), changes)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (dict(names=("height",)), "has the names .'height',. for 2 entries of its observation: give one text for each"),
        (dict(units=("m", 1)), "has the units .'m', 1. for 2 entries of its observation: give one text for each"),
        (dict(scene=lambda self, seen: None), "has a scene that returns None"),
        (dict(scene=lambda self, seen: Scene((0, 0, 1, 1), ((0, 1),))), r"has a scene with the part \(0, 1\): parts are a Line"),
        (
            dict(scene=lambda self, seen: Scene((0, 0, 1, 1), (Circle(0, 0, 1, "blue"),))),
            "has a scene with the ink 'blue': choose one of body",
        ),
        (dict(scene=lambda self, seen: Scene((1, 0, 0, 1), ())), r"has a scene with the view \(1, 0, 0, 1\): give left, bottom"),
        (dict(scene=lambda self, seen: seen[7]), "raised IndexError .* in its scene: mend it, or take it away to see bars"),
        (dict(plane=lambda self: "the plane"), "has the plane 'the plane': let it be a dreamer_core.worlds.plane.Plane"),
        (
            dict(plane=lambda self: Plane(("a", "b"), ("", ""), (0, 0), (1, 1), (False, False), lambda seen: seen["a"])),
            "raised IndexError .* in its plane: mend it",
        ),
    ],
)
def test_a_mistake_in_ones_own_world_is_told_in_one_sentence(made, changes, sentence):
    made(own(**changes))
    with pytest.raises(EnvError, match=f"^Made-v0 {sentence}"):
        drawn("Made-v0")


def test_a_world_that_is_not_there_is_told_so():
    with pytest.raises(EnvError, match="there is no environment 'Nowhere-v0'"):
        drawn("Nowhere-v0")


def test_a_world_whose_package_is_missing_is_drawn_all_the_same(monkeypatch):
    """MuJoCo is an extra, and an observation needs none to be drawn; where nothing is known, it cannot be helped."""

    def missing(name, *rest, **others):
        raise EnvError(f"{name} needs an optional package that is not installed")

    monkeypatch.setattr(envs, "make", missing)
    assert drawn("Reacher-v5").real and drawn("InvertedPendulum-v5").seconds == 0.04
    with pytest.raises(EnvError, match="Hopper-v5 needs an optional package"):
        drawn("Hopper-v5")


# --- bars, outlines ---------------------------------------------------------------------------------


def test_bars_by_hand():
    """From 0 to a value on its track; without bounds 1 lies in the middle, 3 at three quarters; what is beyond a bound a little beyond."""
    low, high = np.array([-2.0, 0.0, -np.inf, 5.0]), np.array([2.0, 10.0, np.inf, 7.0])

    def ends(*seen):
        return [(part.x0, part.x1) for part in bars_scene(np.array(seen), list("abcd"), low, high).parts if part.ink == "body"]

    assert ends(1.0, 2.5, 1.0, 6.0) == [(0, 0.5), (-1, -0.5), (0, 0.5), (-1, 0)]
    assert ends(-9.0, 10.0, -3.0, 7.0) == [(0, -1.08), (-1, 1), (0, -0.75), (-1, 1)]
    words = [
        part.words for part in bars_scene(np.array([-1.234, 2, 0, 6]), ["an entry with a very long name", *"bcd"], low, high).parts[-4:]
    ]
    assert words == ["an entry with a very …: −1.2", "b: 2", "c: 0", "d: 6"]


def test_many_bars_have_no_names_but_a_count():
    scene = bars_scene(np.zeros(27), [f"entry {n}" for n in range(27)], np.full(27, -np.inf), np.full(27, np.inf))
    assert [part.words for part in scene.parts if isinstance(part, Text)] == ["27 entries, from the top"]
    heights = [part.y0 for part in scene.parts if part.ink == "body"]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == 27 and min(heights) > -1.15


def test_an_outline_keeps_what_moves_and_nothing_else():
    parts = Line(0, 0, 1, 1), Line(0, 0, 2, 2, "fixed"), Circle(1, 1, 2), Rectangle(0, 0, 2, 1, "body"), Text(0, 0, "word", "body")
    scene = Scene((0, 0, 3, 3), parts)
    line, circle, *sides = outline(scene).parts
    assert line == Line(0, 0, 1, 1, width=1.5) and circle == Circle(1, 1, 2, filled=False)
    assert {side[:4] for side in sides} == {(0, 0, 2, 0), (2, 0, 2, 1), (2, 1, 0, 1), (0, 1, 0, 0)}
    assert wordless(scene).parts == parts[:-1] and outline(scene).view == scene.view


def test_a_world_of_pictures_is_drawn_as_what_is_seen_and_errors_are_shares_of_white():
    drawn = drawing(Config(env="dreamer/PixelPendulum-v0"))
    assert drawn.real and drawn.names == () and drawn.plane is None and drawn.seconds is not None
    black, white = np.zeros((32, 32, 1)), np.full((32, 32, 1), 255.0)
    (picture,) = drawn.scene(white).parts
    assert picture.pixels[0][0] == (255,)
    half = np.concatenate([black[:16], white[16:]])
    assert drawn.gap.between(black, white) == pytest.approx(100)
    assert drawn.gap.between(black, half) == pytest.approx(100 * np.sqrt(0.5)), "half of the pixels are off by everything"
    assert drawn.gap.between(np.stack([black, half]), np.stack([black, half])).tolist() == [0, 0]

"""Worlds in pixels: what is painted, by hand; and worlds that differ from their vector twins in nothing else."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box

from dreamer_core.errors import EnvError
from dreamer_core.worlds.pixels import Shrunk, paint
from dreamer_core.worlds.scene import Circle, Line, Picture, Rectangle, Scene, Text

VIEW = (0.0, 0.0, 8.0, 8.0)  # on 8 pixels: a pixel is 1 x 1, and a point 0.08 wide


def painted(*parts):
    return paint(Scene(VIEW, parts), 8)[..., 0].astype(int)


def test_a_rectangle_covers_the_share_of_each_pixel_that_it_lies_on():
    """From (1, 2) to (3.5, 4.25), y from below: rows 3 and 4 of 8 are whole, row 2 is a quarter; column 3 is half."""
    found = painted(Rectangle(1, 2, 3.5, 4.25, "body"))
    wanted = np.zeros((8, 8))
    wanted[4:6, 1:3], wanted[4:6, 3], wanted[3, 1:3], wanted[3, 3] = 1, 0.5, 0.25, 0.125
    assert np.array_equal(found, np.rint(255 * wanted)), f"painted\n{found}"


@pytest.mark.parametrize(
    "part, area, within",
    [
        (Circle(4.3, 3.8, 2.2), np.pi * 2.2**2, 0.03),
        (Circle(4.1, 4.4, 0.9), np.pi * 0.9**2, 0.15),  # small and round: its edge is wider than it should be
        (Line(1.5, 2.0, 6.0, 5.5, width=20.0), 1.6 * np.hypot(4.5, 3.5) + np.pi * 0.8**2, 0.03),
    ],
)
def test_the_light_of_a_part_is_its_area(part, area, within):
    """Soft edges: what is lost on one side is won on the other. The ends of a line are round; 20 points are 1.6 pixels."""
    light = painted(part).sum() / 255
    assert light == pytest.approx(area, rel=within), f"{part} has an area of {area:.2f} and shines like {light:.2f} pixels"


def test_light_moves_with_a_part_by_less_than_a_pixel():
    x = np.arange(8) + 0.5
    middles = [(painted(Circle(place, 4, 1.5)) * x).sum() / painted(Circle(place, 4, 1.5)).sum() for place in (3.0, 3.1, 3.2, 3.7)]
    assert middles == pytest.approx([3.0, 3.1, 3.2, 3.7], abs=0.05), f"discs at 3, 3.1, 3.2 and 3.7 are seen at {middles}"


def test_what_comes_later_lies_above():
    found = painted(Rectangle(0, 0, 8, 8, "fixed"), Rectangle(2, 2, 4, 4, "body"))
    assert found[5, 2] == 255 and found[0, 0] == round(255 * 0.35), "the later part does not hide the earlier one"


def test_the_edge_of_a_circle_is_thin():
    found = painted(Circle(4, 4, 3, "fixed", filled=False))
    assert found[4, 4] == 0 and 0 < found[4, 6] < 90, "a circle that is not filled is dark inside and has a faint edge"


def test_words_are_refused():
    with pytest.raises(EnvError, match=r"^Text\(.*\) cannot be painted into pixels: make the scene of lines, circles and rectangles$"):
        painted(Text(4, 4, "blank"))


# --- the worlds ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "twin, pixels", [("Pendulum-v1", "dreamer/PixelPendulum-v0"), ("dreamer/PointMass-v0", "dreamer/PixelPointMass-v0")]
)
def test_a_pixel_world_is_its_twin_seen_otherwise(twin, pixels):
    one, other = gym.make(twin), gym.make(pixels)
    one.reset(seed=3)
    other.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(40):
        action = rng.uniform(one.action_space.low, one.action_space.high).astype(np.float32)
        _, reward, *flags, _ = one.step(action)
        picture, again, *same, _ = other.step(action)
        assert np.array_equal(one.unwrapped.state, other.unwrapped.state) and reward == again and flags == same
        assert picture.shape == (32, 32, 1) and picture.dtype == np.uint8


def test_the_rod_is_where_the_angle_says():
    """The light's centre lies on the rod: the circle and the hub add none to either side."""
    env = gym.make("dreamer/PixelPendulum-v0").unwrapped
    env.reset(seed=0)
    place = np.arange(32) - 15.5
    for angle in np.linspace(-3, 3, 13):
        env.state = np.array([angle, 0.0])
        light = env.step(np.zeros(1, np.float32))[0][..., 0].astype(float)
        x, y = (light * place).sum(), -(light * place[:, None]).sum()
        seen = np.arctan2(-x, y)
        off = abs(np.angle(np.exp(1j * (seen - env.state[0]))))
        assert np.degrees(off) < 2, f"at {env.state[0]:.2f} rad the light lies at {seen:.2f}"


def test_nothing_in_a_picture_tells_the_velocity():
    env = gym.make("dreamer/PixelPendulum-v0").unwrapped
    env.reset(seed=0)
    pictures = []
    for velocity in (-4.0, 0.0, 4.0):
        env.state = np.array([1.0 - 0.05 * velocity, velocity])  # gravity's share is the same for all three
        env.step(np.zeros(1, np.float32))
        env.state[0] = 1.0
        pictures.append(paint(env.picture(env._get_obs())))
    assert np.array_equal(pictures[0], pictures[1]) and np.array_equal(pictures[1], pictures[2]), "the same angle looks different"


def test_a_picture_is_drawn_as_itself():
    env = gym.make("dreamer/PixelPointMass-v0").unwrapped
    observation, _ = env.reset(seed=1)
    (part,) = env.scene(observation).parts
    assert isinstance(part, Picture) and np.array_equal(np.uint8(part.pixels), observation), "the scene of a picture is another picture"
    (dreamt,) = env.scene(np.full((32, 32, 1), 300.4)).parts
    assert dreamt.pixels[0][0] == (255,), "a decoder's number beyond the bytes is not drawn as the nearest byte"


# --- pictures made small ------------------------------------------------------------------------


class Large(gym.Env):
    """Some picture of 66 x 97 pixels."""

    action_space, observation_space = Box(-1, 1, (1,)), Box(0, 255, (66, 97, 3), np.uint8)
    picture = np.random.default_rng(0).integers(0, 256, (66, 97, 3), np.uint8)

    def reset(self, *, seed=None, options=None):
        return self.picture, {}


def test_a_shrunk_pixel_is_the_mean_of_its_patch():
    small, _ = Shrunk(Large(), 32).reset()
    assert small.shape == (32, 32, 3) and small.dtype == np.uint8
    rows, columns = np.linspace(0, 66, 33).astype(int), np.linspace(0, 97, 33).astype(int)
    for y, x in [(0, 0), (5, 20), (31, 31)]:
        patch = Large.picture[rows[y] : rows[y + 1], columns[x] : columns[x + 1]]
        assert np.abs(small[y, x] - patch.mean((0, 1))).max() <= 0.5, f"pixel {y, x}"


def test_what_cannot_be_shrunk_is_refused():
    with pytest.raises(EnvError, match="cannot be shrunk to 64 x 64 pixels: it takes larger pictures"):
        Shrunk(Shrunk(Large(), 32), 64)
    with pytest.raises(EnvError, match="cannot be shrunk"):
        Shrunk(gym.make("dreamer/PointMass-v0"))

"""Worlds seen as pictures: a scene painted into pixels, and what turns a world with a scene into one that shows pictures.

    class PixelRoom(PixelWorld, MyRoom): ...        # any world whose `scene` has no words

One frame a step and nothing stacked: how fast something moves is in no picture, so memory must find it.

Painting is numpy alone, with soft edges: a pixel is lit by the share of it that a part covers, to a good approximation. So a motion
of a tenth of a pixel shows. It makes some thousands of frames a second on one core; gymnasium's own pictures of a pendulum
(pygame, 500 x 500) take a millisecond each at best.
"""

import functools

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from dreamer_core.errors import EnvError
from dreamer_core.worlds.scene import Circle, Line, Rectangle, Scene, picture_scene

SIDE = 32  # pixels
GREYS = {"body": 1.0, "fixed": 0.35, "mark": 0.65}  # on black, 0
POINTS = 100  # a scene's lines are as thick in points as if it was drawn 100 points wide
THIN = 0.8  # points, the edge of a circle that is not filled


@functools.lru_cache(maxsize=16)
def centres(view: tuple[float, float, float, float], side: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Where the pixels of a square picture lie in the world: x (1, side), y (side, 1) from the top down, and how wide one is."""
    left, bottom, right, top = view
    middle = (np.arange(side) + 0.5) / side
    return (left + middle * (right - left))[None], (top - middle * (top - bottom))[:, None], (right - left) / side


def covered(part, x: np.ndarray, y: np.ndarray, pixel: float, point: float) -> np.ndarray:
    """The share of each pixel that a part of a scene covers, (side, side).

    Args:
        x, y, pixel: of `centres`. point: the width of a point in the world.

    Raises:
        EnvError: the part is words, which pixels of this size cannot hold, or is no part of a scene.
    """
    match part:
        case Line():
            along = np.array([part.x1 - part.x0, part.y1 - part.y0])
            share = ((x - part.x0) * along[0] + (y - part.y0) * along[1]) / max(along @ along, 1e-12)
            share = np.clip(share, 0, 1)  # the nearest place of the line
            outside = np.hypot(x - part.x0 - share * along[0], y - part.y0 - share * along[1]) - part.width * point / 2
        case Circle():
            outside = np.hypot(x - part.x, y - part.y) - part.radius
            outside = outside if part.filled else abs(outside) - THIN * point / 2
        case Rectangle():
            wide = np.minimum(x + pixel / 2, part.right) - np.maximum(x - pixel / 2, part.left)
            high = np.minimum(y + pixel / 2, part.top) - np.maximum(y - pixel / 2, part.bottom)
            return np.maximum(wide, 0) * np.maximum(high, 0) / pixel**2
        case _:
            raise EnvError(f"{part} cannot be painted into pixels: make the scene of lines, circles and rectangles")
    return np.clip(0.5 - outside / pixel, 0, 1)


def paint(scene: Scene, side: int = SIDE) -> np.ndarray:
    """A scene as a square grey picture: (side, side, 1) of bytes. Its view is square.

    Raises:
        EnvError: a part cannot be painted (`covered`).
    """
    x, y, pixel = centres(scene.view, side)
    canvas = np.zeros((side, side))
    for part in scene.parts:
        canvas += covered(part, x, y, pixel, pixel * side / POINTS) * (GREYS[part.ink] - canvas)
    return np.rint(255 * canvas).astype(np.uint8)[..., None]


class PixelWorld(gym.Env):
    """Put before a world with a `scene`, in a class of both: observations (32, 32, 1) are pictures of what the world observes.

    Everything else is the world's own. An observation's `names` and `units` are those of no entry: a pixel has none.
    """

    names, units = (), ()

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.observation_space = Box(0, 255, (SIDE, SIDE, 1), np.uint8)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        observation, info = super().reset(seed=seed, options=options)
        return paint(self.picture(observation)), info

    def step(self, action: np.ndarray):
        observation, *rest = super().step(action)
        return paint(self.picture(observation)), *rest

    def picture(self, observation: np.ndarray) -> Scene:
        """What is painted of the world's own observation (O,)."""
        return super().scene(observation)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (H, W, C) looks like: itself."""
        return picture_scene(observation)


class Shrunk(gym.ObservationWrapper):
    """Large pictures, as of `gymnasium.wrappers.AddRenderObservation`, made small: each pixel is the mean of a patch.

    Args:
        env: with pictures (H, W, C) of bytes. side: pixels of a side of what comes out, (side, side, C).

    Raises:
        EnvError: the pictures are smaller than that, or are no pictures.
    """

    def __init__(self, env: gym.Env, side: int = SIDE) -> None:
        super().__init__(env)
        space = env.observation_space
        if not (isinstance(space, Box) and len(space.shape) == 3 and space.dtype == np.uint8 and min(space.shape[:2]) >= side):
            raise EnvError(f"{space} cannot be shrunk to {side} x {side} pixels: it takes larger pictures (H, W, C) of bytes (uint8)")
        self.edges = [np.linspace(0, length, side + 1).astype(int) for length in space.shape[:2]]  # of the patches
        self.observation_space = Box(0, 255, (side, side, space.shape[2]), np.uint8)

    def observation(self, observation: np.ndarray) -> np.ndarray:
        rows, columns = self.edges
        total = np.add.reduceat(np.add.reduceat(observation.astype(np.uint32), rows[:-1], 0), columns[:-1], 1)
        return np.rint(total / np.multiply.outer(np.diff(rows), np.diff(columns))[..., None]).astype(np.uint8)

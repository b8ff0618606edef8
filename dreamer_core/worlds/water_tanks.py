"""Two tanks, one above the other: a pump fills the upper one, and the level of the lower one is to be as wanted.

What it demands: to foresee what comes much later. The water runs from the upper tank into the lower
one, so a change of the pump shows in the lower level two steps later at the earliest, and two
thirds of it only after 20 to 40. Who pumps until the lower level is as wanted has filled the upper
tank far too high, and cannot undo it: no action takes water out. It leaves by itself, and the more
slowly the lower it stands.

In one step of 1 s, by Torricelli's law (water leaves a hole as fast as it would fall from the level),

    upper' = upper + (pump - 8 √upper) / 16,     lower' = lower + (8 √upper - 8 √lower) / 16
    reward' = -(cm from lower' to the wanted level)

with levels in cm, the pump in cm³/s, 16 cm² the area of either tank, and 8 √level cm³/s what leaves a
hole of 0.18 cm². No more leaves than is there, and what rises above the rim, at 25 cm, spills. Under
a pump of 8 √wanted both tanks come to rest at the wanted level.

Source of the equations: Johansson, The Quadruple-Tank Process, IEEE Transactions on Control Systems Technology 8 (2000), 456-465.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from dreamer_core.worlds.levers import Lever
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Line, Rectangle, Scene

STEP, AREA, HOLE = 1.0, 16.0, 8.0  # s, cm², cm³/s under 1 cm of water
MAX_PUMP = 64.0  # cm³/s, twice what holds 16 cm
RIM = 25.0  # cm
START, WANTED = (0.0, 20.0), (5.0, 20.0)  # cm, from where to where they are drawn
WIDE, ABOVE = 14.0, 32.0  # of the drawing, cm: half a tank's width, and how high the upper one hangs over the lower one


def move(levels: np.ndarray, wanted: float, pump: np.ndarray, seconds: float = STEP) -> tuple[np.ndarray, np.ndarray]:
    """One step of any number of pairs of tanks: levels (..., 2) = (upper, lower), pumps (..., 1) -> next levels, rewards (...).

    Args:
        wanted: cm, of the lower level. seconds: how long the step is; the shorter, the nearer to water that runs all the time.
    """
    gone = np.minimum(HOLE * np.sqrt(levels) * seconds / AREA, levels)  # (..., 2) cm, no more than is there
    came = np.stack(np.broadcast_arrays(pump[..., 0] * seconds / AREA, gone[..., 0]), -1)
    levels = np.minimum(levels - gone + came, RIM)
    return levels, -abs(levels[..., 1] - wanted)


def put(env: gym.Env, place: np.ndarray) -> np.ndarray:
    """Fill both tanks to (upper, lower), the wanted level staying as it is; returns the observation (3,) from there."""
    own = env.unwrapped
    own.state = np.array(place, float)
    return np.append(own.state, own.wanted).astype(np.float32)


class WaterTanks(gym.Env):
    """100 steps. Observation (3,): upper and lower level, and the wanted lower level, in cm. Action (1,): the pump in cm³/s, [0, 64].

    Nothing is hidden, nothing is random but the start and the wanted level, which stays as it is, and
    no episode ends before its time limit.
    """

    metadata = {"render_modes": []}
    names, units = ("upper level", "lower level", "wanted level"), ("cm", "cm", "cm")
    seconds = STEP
    levers = (Lever("pump", "cm³/s"),)
    action_space = Box(0.0, MAX_PUMP, (1,))
    observation_space = Box(np.float32([0, 0, WANTED[0]]), np.float32([RIM, RIM, WANTED[1]]))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.state = self.np_random.uniform(*START, 2)
        self.wanted = self.np_random.uniform(*WANTED)
        return self._look(), {}

    def step(self, action: np.ndarray):
        self.state, reward = move(self.state, self.wanted, np.clip(action, 0, MAX_PUMP))
        return self._look(), float(reward), False, False, {}

    def _look(self) -> np.ndarray:
        return np.append(self.state, self.wanted).astype(np.float32)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (3,) looks like: the water in both tanks, and a mark across the lower one where it should stand."""
        upper, lower, wanted = map(float, observation)
        water = Rectangle(-WIDE, ABOVE, WIDE, ABOVE + upper, "body"), Rectangle(-WIDE, 0, WIDE, lower, "body")
        walls = []
        for bottom in (0.0, ABOVE):
            walls += [Line(side, bottom, side, bottom + RIM, "fixed", 2) for side in (-WIDE, WIDE)]
            walls += [Line(side, bottom, side / 5, bottom, "fixed", 2) for side in (-WIDE, WIDE)]  # a hole in the middle
        marks = [Line(-WIDE - 3, wanted, WIDE + 3, wanted, "mark", 3)] * (not np.isnan(wanted))
        return Scene((-31, -2, 31, 60), (*water, *walls, *marks))

    def plane(self) -> Plane:
        """Both levels; of the wanted one the plane says nothing."""
        return Plane(
            names=self.names[:2],
            units=self.units[:2],
            low=(0.0, 0.0),
            high=(RIM, RIM),
            periodic=(False, False),
            place=lambda observation: observation[..., :2],
            state=put,
        )

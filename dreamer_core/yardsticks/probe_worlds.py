"""Seven tiny worlds whose answers can be worked out on paper; `ladder.py` climbs them.

Each is a gymnasium environment with an action in [-1, 1] and a handful of rows per episode. Time is
counted as everywhere in this package: row t holds the observation, the reward that arrives *with*
it, and the action that leaves it. Row 0 is the reset and brings no reward. Importing this module
registers them, so that `--env dreamer_core.yardsticks.probe_worlds:ProbeMemory-v0` works wherever an
environment is named.

The idea of probe environments is Andy Jones's ("Debugging RL, Without the Agonizing Pain", 2021);
his probe a model-free agent, these probe the parts of a world model.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box


class World(gym.Env):
    """A world that keeps count of its rows. Subclasses say what is seen (`look`) and what an action does (`move`)."""

    action_space = Box(-1, 1, (1,))
    size = 1  # numbers in an observation
    rows = 8  # steps of an episode
    terminates = False  # whether the last row is a true end or only a time limit

    def __init__(self) -> None:
        self.observation_space = Box(-1, 1, (self.size,))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.row = 0
        self.begin()
        return np.asarray(self.look(), np.float32), {}

    def step(self, action: np.ndarray):
        self.row += 1
        reward = self.move(float(action[0]))
        over = self.row == self.rows
        return np.asarray(self.look(), np.float32), reward, over and self.terminates, over and not self.terminates, {}

    def begin(self) -> None:
        """Draw what an episode starts with."""

    def look(self) -> list[float]:
        """The observation of this row."""
        return [0.0] * self.size

    def move(self, action: float) -> float:
        """Go on to this row; returns the reward that arrives with it."""
        raise NotImplementedError


class Constant(World):
    """Nothing to see, and every step brings a reward of 1."""

    def move(self, action: float) -> float:
        return 1.0


class Mirror(World):
    """Each row shows a fresh number in [-1, 1], and the reward that arrives with it is that number."""

    def begin(self) -> None:
        self.shown = self.np_random.uniform(-1, 1)

    def look(self) -> list[float]:
        return [self.shown]

    def move(self, action: float) -> float:
        self.begin()
        return self.shown


class Memory(World):
    """Row 0 shows a cue, +1 or -1, and only row 4 pays it back. The second number is a clock."""

    size, rows = 2, 4

    def begin(self) -> None:
        self.cue = self.np_random.choice([-1.0, 1.0])

    def look(self) -> list[float]:
        return [self.cue if self.row == 0 else 0.0, self.row / self.rows]

    def move(self, action: float) -> float:
        return self.cue if self.row == self.rows else 0.0


class Coin(World):
    """Every row shows a fresh toss of a fair coin, 1 or 0, and pays it."""

    def begin(self) -> None:
        self.toss = float(self.np_random.integers(2))

    def look(self) -> list[float]:
        return [self.toss]

    def move(self, action: float) -> float:
        self.begin()
        return self.toss


class Lever(World):
    """Each row shows a sign, +1 or -1; the next row pays 1 - (a - sign / 2)^2 for the action: half the sign is the best."""

    def begin(self) -> None:
        self.sign = self.np_random.choice([-1.0, 1.0])

    def look(self) -> list[float]:
        return [self.sign]

    def move(self, action: float) -> float:
        reward = 1 - (action - self.sign / 2) ** 2
        self.begin()
        return reward


class Delay(World):
    """Every action is paid three rows later, doubled and cut off at -1 and 1; the two on their way are shown, newest first.

    An episode stops after 6 steps by a time limit: not an end, so what would follow still counts.
    """

    size, rows = 2, 6

    def begin(self) -> None:
        self.line = [0.0, 0.0]

    def look(self) -> list[float]:
        return self.line

    def move(self, action: float) -> float:
        newest, oldest = self.line
        self.line = [float(np.clip(2 * action, -1, 1)), newest]
        return oldest


class Ending(World):
    """Every step brings a reward of 1, and the third is the last. The observation is a clock."""

    rows, terminates = 3, True

    def look(self) -> list[float]:
        return [self.row / self.rows]

    def move(self, action: float) -> float:
        return 1.0


for world in (Constant, Mirror, Memory, Coin, Lever, Delay, Ending):
    gym.register(f"Probe{world.__name__}-v0", world)

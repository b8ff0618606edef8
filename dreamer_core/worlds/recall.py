"""A cue, a long wait, and a question that only the cue answers.

What it demands: memory. The cue is shown in the first three rows; 20 to 40 rows after its last
showing a signal asks for the answer. Between the two nothing is seen, so the cue must be carried
by h through every step, and its worth is learned through all of them.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from dreamer_core.worlds.levers import Lever
from dreamer_core.worlds.scene import Circle, Line, Scene, Text

SHOWN = 3  # rows with the cue
WAIT = (20, 40)  # rows from the cue's last to the question's first, both ends included
ASKED = 5  # rows with the question


class Recall(gym.Env):
    """Observation (2,): the cue, -1 or 1 while it is shown, else 0; and the question, 1 while it is asked, else 0. Action (1,): [-1, 1].

    An action that leaves a row in which the question is asked is paid cue * action, and no other is
    paid. After the fifth the episode terminates: it has 27 to 47 steps. Nothing has a unit.
    """

    metadata = {"render_modes": []}
    names, units = ("cue", "question"), ("", "")
    levers = (Lever("answer"),)
    action_space = Box(-1.0, 1.0, (1,))
    observation_space = Box(np.float32([-1, 0]), np.float32([1, 1]))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.row = 0
        self.cue = float(self.np_random.choice([-1, 1]))
        self.due = SHOWN - 1 + int(self.np_random.integers(*WAIT, endpoint=True))  # the first row with the question
        return self._look(), {}

    def step(self, action: np.ndarray):
        reward = self.cue * float(np.clip(action[0], -1, 1)) if self.row >= self.due else 0.0
        self.row += 1
        return self._look(), reward, self.row == self.due + ASKED, False, {}

    def _look(self) -> np.ndarray:
        shown, asked = self.row < SHOWN, self.due <= self.row < self.due + ASKED
        return np.array([self.cue * shown, asked], np.float32)

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (2,) looks like: two lamps, of which the cue lights one, and over them the question."""
        cue, question = map(float, np.clip(observation, -1, 1))
        lamps = [Circle(side, 0, 0.35, "fixed", filled=False) for side in (-0.6, 0.6)]
        lit = [] if abs(cue) <= 0.05 else [Circle(0.6 * float(np.sign(cue)), 0, 0.35 * abs(cue))]  # also what is hidden, which has no place
        line = Line(-0.6 * question, 0.6, 0.6 * question, 0.6, "mark")
        asked = [] if question <= 0.05 else [line, Text(0, 1.0, "which?", "mark")]
        return Scene((-1.1, -0.9, 1.1, 1.3), (*lamps, *lit, *asked))

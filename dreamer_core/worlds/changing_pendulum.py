"""A pendulum that becomes another one: from one step of its life on it is twice as long and half as heavy.

What it demands: to unlearn. What was experienced before the change is wrong after it, and stays in
the replay buffer. With length 2 and mass 1/2 both accelerations, gravity's and the torque's, are
half of what they were: everything goes more slowly, and the swing up takes as many swings.

The world's age is a matter between episodes, and every episode is still decided by its reset: the
age in environment steps is told with `reset(seed=..., options={"age": age})`, as the training loop
does for every world with `ages = True`, and 0 if it is not told. So evaluation and a resumed run
meet the pendulum of that very step. Who tells no age meets the young pendulum in every episode, for
each is shorter than its youth.
"""

import numpy as np

from dreamer_core.worlds.pendulum import Pendulum

LENGTH, MASS = 2.0, 0.5  # m, kg, after the change; both are 1 before
AFTER = 1500  # steps of its life before the change


class ChangingPendulum(Pendulum):
    """Pendulum-v1 that changes once `after` steps of its life are over, in the middle of an episode too. 200 steps."""

    ages = True

    def __init__(self, after: int = AFTER) -> None:
        super().__init__()
        self.after = after

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        self.age = (options or {}).get("age", 0)
        self._grow()
        return super().reset(seed=seed)

    def step(self, action: np.ndarray):
        answer = super().step(action)
        self.age += 1
        self._grow()
        return answer

    def _grow(self) -> None:
        self.l, self.m = (LENGTH, MASS) if self.age >= self.after else (1.0, 1.0)

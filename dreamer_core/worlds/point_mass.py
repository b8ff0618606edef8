"""A point that is pushed about in a room, around a wall, to a goal.

What it demands: to go away from the goal for a while. The goal lies behind a wall, so the straight
way ends at the wall, and the way round begins with a detour. It is the first world that is
understood at a glance, and what a model gets wrong is seen at a glance too: in a dream the point
slides through the wall.

In one step of 0.1 s, with the wall and the sides of the room in the way,

    velocity' = velocity + 0.1 (push - 1.25 velocity),     position' = position + 0.1 velocity'
    reward'   = -(metres from position' to the goal)

What runs into a wall loses its velocity across the wall and keeps the rest.
"""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box

from dreamer_core.worlds.levers import Lever
from dreamer_core.worlds.plane import Plane
from dreamer_core.worlds.scene import Circle, Rectangle, Scene

DT, DRAG, MAX_PUSH = 0.1, 1.25, 2.0  # s, 1/s, m/s²
FASTEST = MAX_PUSH / DRAG  # m/s, reached under a push for ever; so a step is never longer than the wall is thick
ROOM = 1.0  # m from the middle to each side
WALL, WALL_TOP = 0.15, 0.3  # m: the wall stands where |x| < WALL, from the floor to y = WALL_TOP
GOAL = np.array([0.6, -0.6])  # m


def move(state: np.ndarray, push: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of any number of points: states (..., 4) = (x, y, velocities), pushes (..., 2) in m/s² -> next states, rewards (...)."""
    state, push = np.broadcast_arrays(*(np.asarray(part, float) for part in (state, np.concatenate([push, push], -1))))
    (x, y), velocity = (state[..., 0], state[..., 1]), state[..., 2:]
    velocity = velocity + DT * (push[..., :2] - DRAG * velocity)
    new_x = np.clip(x + DT * velocity[..., 0], -ROOM, ROOM)
    new_x = np.where((abs(new_x) < WALL) & (y < WALL_TOP), np.copysign(WALL, x), new_x)  # the faces of the wall
    new_y = np.clip(y + DT * velocity[..., 1], -ROOM, ROOM)
    new_y = np.where((abs(new_x) < WALL) & (new_y < WALL_TOP), WALL_TOP, new_y)  # its top
    position = np.stack([new_x, new_y], -1)
    free = position == np.stack([x, y], -1) + DT * velocity
    return np.concatenate([position, np.where(free, velocity, 0.0)], -1), -np.hypot(*(position - GOAL).T).T


def put(env: gym.Env, place: np.ndarray) -> np.ndarray:
    """Put a point at rest at (x, y); returns the observation (4,) from there."""
    env.unwrapped.state = np.array([*place, 0.0, 0.0])
    return env.unwrapped.state.astype(np.float32)


class PointMass(gym.Env):
    """100 steps from a place left of the wall, at rest. Observation (4,): x, y in m, velocities in m/s. Action (2,): push in m/s², [-2, 2].

    Nothing is hidden, nothing is random but the start, and no episode ends before its time limit.
    """

    metadata = {"render_modes": []}
    names, units = ("x", "y", "x velocity", "y velocity"), ("m", "m", "m/s", "m/s")
    seconds = DT
    levers = (Lever("push along x", "m/s²"), Lever("push along y", "m/s²"))
    action_space = Box(-MAX_PUSH, MAX_PUSH, (2,))
    observation_space = Box(np.float32([-ROOM, -ROOM, -FASTEST, -FASTEST]), np.float32([ROOM, ROOM, FASTEST, FASTEST]))

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.state = np.array([*self.np_random.uniform([-0.9, -0.9], [-0.3, 0.9]), 0.0, 0.0])
        return self.state.astype(np.float32), {}

    def step(self, action: np.ndarray):
        self.state, reward = move(self.state, np.clip(action, -MAX_PUSH, MAX_PUSH))
        return self.state.astype(np.float32), float(reward), False, False, {}

    def scene(self, observation: np.ndarray) -> Scene:
        """What an observation (4,) looks like: the room, its wall, the goal and the point."""
        x, y = map(float, observation[:2])
        wall, goal = Rectangle(-WALL, -ROOM, WALL, WALL_TOP), Circle(*map(float, GOAL), 0.1, "mark")
        sides = Rectangle(-ROOM, ROOM, ROOM, 1.1), Rectangle(-ROOM, -1.1, ROOM, -ROOM)
        sides += Rectangle(-1.1, -1.1, -ROOM, 1.1), Rectangle(ROOM, -1.1, 1.1, 1.1)
        return Scene((-1.1, -1.1, 1.1, 1.1), (*sides, wall, goal, Circle(x, y, 0.06)))

    def plane(self) -> Plane:
        """The room; of the velocities the plane says nothing."""
        return Plane(
            names=("x", "y"),
            units=("m", "m"),
            low=(-ROOM, -ROOM),
            high=(ROOM, ROOM),
            periodic=(False, False),
            place=lambda observation: observation[..., :2],
            state=put,
        )

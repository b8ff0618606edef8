"""Branches of noise, in the sizes of a real agent."""

import numpy as np

from dreamer_core.config import from_dict
from dreamer_core.viz.branches import Branch, States, World
from dreamer_core.worlds.drawing import drawing

NAMES = ["cos θ", "sin θ", "velocity (rad/s)"]


def states(random, *lead, observation=3, deter=64, stoch=8):
    """Noise, except that the first two observations are the cosine and the sine of an angle."""
    seen = random.normal(size=(*lead, observation)) * 3
    angle = random.uniform(-np.pi, np.pi, lead)
    seen[..., 0], seen[..., 1] = np.cos(angle), np.sin(angle)
    return States(np.tanh(random.normal(size=(*lead, deter))), random.normal(size=(*lead, stoch)), seen, random.normal(size=lead) * 8)


def world(random, begin, rows, env="Pendulum-v1", **sizes):
    reward, action = random.normal(size=rows), random.uniform(-1, 1, (rows, 1))
    action[-1] = np.nan
    if begin == 0:
        reward[0] = np.nan
    seen = states(random, rows, **sizes).observation
    looks = drawing(from_dict({"env": env}))
    return World(begin, seen, reward, action, states(random, rows, **sizes), looks, np.ones(seen.shape[-1]))


def branches(starts=(5, 25, 45), steps=40, count=12, **sizes):
    random = np.random.default_rng(0)
    past = world(random, 0, max(starts) + steps + 1, **sizes)
    made = []
    for start in starts:
        for name in ("recorded actions", "the agent acts in its dream", "every action +1", "every action −1"):
            here = world(random, start, steps + 1, **sizes) if name.startswith("every") else past
            dreams = states(random, count, steps + 1, **sizes)
            made.append(Branch(name, start, here, dreams, random.uniform(-1, 1, (count, steps, 1))))
    return made

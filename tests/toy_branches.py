"""Branches of noise, in the sizes of a real agent."""

import numpy as np

from dreamer_core.config import from_dict
from dreamer_core.viz.branches import Branch, States, World
from dreamer_core.worlds.drawing import drawing

NAMES = ["cos θ", "sin θ", "velocity (rad/s)"]


def states(random, *lead, observation, deter=64, stoch=8):
    """Noise, except that the first two observations are the cosine and the sine of an angle."""
    seen = random.normal(size=(*lead, observation)) * 3
    angle = random.uniform(-np.pi, np.pi, lead)
    seen[..., 0], seen[..., 1] = np.cos(angle), np.sin(angle)
    return States(np.tanh(random.normal(size=(*lead, deter))), random.normal(size=(*lead, stoch)), seen, random.normal(size=lead) * 8)


def world(random, begin, rows, looks, actions):
    reward, action = random.normal(size=rows), random.uniform(-1, 1, (rows, actions))
    action[-1] = np.nan
    if begin == 0:
        reward[0] = np.nan
    size = len(looks.names)
    seen = states(random, rows, observation=size).observation
    return World(begin, seen, reward, action, states(random, rows, observation=size), looks, np.ones(size), random.random(rows))


def branches(starts=(5, 25, 45), steps=40, count=12, env="Pendulum-v1", **changes):
    random, looks = np.random.default_rng(0), drawing(from_dict({"env": env, **changes}))
    actions = len(looks.levers.entries or looks.levers.choices)
    past = world(random, 0, max(starts) + steps + 1, looks, actions)
    made = []
    for start in starts:
        for name in ("recorded actions", "the agent acts in its dream", "every action +1", "every action −1"):
            here = world(random, start, steps + 1, looks, actions) if name.startswith("every") else past
            dreams = states(random, count, steps + 1, observation=len(looks.names))
            made.append(Branch(name, start, here, dreams, random.uniform(-1, 1, (count, steps, actions))))
    return made

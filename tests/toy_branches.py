"""Branches of noise, in the sizes of a real agent."""

import numpy as np

from dreamer_core.config import from_dict
from dreamer_core.viz.branches import Branch, States, World
from dreamer_core.worlds.drawing import drawing

NAMES = ["cos θ", "sin θ", "velocity (rad/s)"]


def states(random, *lead, observation, deter=64, stoch=8):
    """Noise, except that the first two observations are the cosine and the sine of an angle; pictures are noise about a grey."""
    if isinstance(observation, int):
        seen = random.normal(size=(*lead, observation)) * 3
        angle = random.uniform(-np.pi, np.pi, lead)
        seen[..., 0], seen[..., 1] = np.cos(angle), np.sin(angle)
    else:
        seen = random.normal(size=(*lead, *observation)) * 60 + 120  # a decoder too leaves the bytes
    return States(np.tanh(random.normal(size=(*lead, deter))), random.normal(size=(*lead, stoch)), seen, random.normal(size=lead) * 8)


def sizes(looks):
    """How many entries an observation has; the shape of one that is a picture."""
    return len(looks.names) or (32, 32, 1)


def world(random, begin, rows, looks, actions):
    reward, action = random.normal(size=rows), random.uniform(-1, 1, (rows, actions))
    action[-1] = np.nan
    if begin == 0:
        reward[0] = np.nan
    size = sizes(looks)
    seen = states(random, rows, observation=size).observation
    if not looks.names:
        seen = np.clip(seen, 0, 255).astype(np.uint8)
    return World(begin, seen, reward, action, states(random, rows, observation=size), looks, np.ones(size), random.random(rows))


def branches(starts=(5, 25, 45), steps=40, count=12, env="Pendulum-v1", **changes):
    random, looks = np.random.default_rng(0), drawing(from_dict({"env": env, **changes}))
    actions = len(looks.levers.entries or looks.levers.choices)
    past = world(random, 0, max(starts) + steps + 1, looks, actions)
    made = []
    for start in starts:
        for name in ("recorded actions", "the agent acts in its dream", "every action +1", "every action −1"):
            here = world(random, start, steps + 1, looks, actions) if name.startswith("every") else past
            dreams = states(random, count, steps + 1, observation=sizes(looks))
            made.append(Branch(name, start, here, dreams, random.uniform(-1, 1, (count, steps, actions))))
    return made

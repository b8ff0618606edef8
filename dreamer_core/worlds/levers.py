"""What there is to push: the entries of a world's actions, for somebody who acts by hand.

A world says so in a line, if it wants keys that point where its things go:

    levers = (Lever("push", "m/s²"), Lever("lift", "m/s²"))     # one for each entry of a Box action
    levers = ("to the left", "to the right")                    # one word for each of a Discrete one's choices

Any other gets "action 1", "action 2", ..., and the arrow key to the right means more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core import envs
from dreamer_core.errors import EnvError


class Lever(NamedTuple):
    """One entry of an action."""

    name: str
    unit: str = ""
    turns: bool = False  # a torque, anticlockwise where it is positive; other things are pushed to the right (the second entry: up)
    low: float = -1.0  # the ends, in the world's own unit: what the agent's -1 and 1 mean
    high: float = 1.0


class Levers(NamedTuple):
    """All that can be done in one step: either levers, each set to a number in [-1, 1], or one of several choices."""

    entries: tuple[Lever, ...]  # of a Box action; empty where it is discrete
    choices: tuple[str, ...]  # of a discrete action; empty where it is a Box


OWN: dict[str, tuple[Lever, ...] | tuple[str, ...]] = {  # gymnasium's own, by their classes
    "gymnasium.envs.classic_control.pendulum:PendulumEnv": (Lever("torque", "N·m", turns=True),),
    "gymnasium.envs.classic_control.mountain_car:MountainCarEnv": ("push left", "coast", "push right"),
    "gymnasium.envs.classic_control.continuous_mountain_car:Continuous_MountainCarEnv": (Lever("push"),),
    "gymnasium.envs.classic_control.cartpole:CartPoleEnv": ("push left", "push right"),
    "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv": (Lever("push", "N"),),
    "gymnasium.envs.mujoco.reacher_v5:ReacherEnv": (
        Lever("shoulder torque", "N·m", turns=True),
        Lever("elbow torque", "N·m", turns=True),
    ),
}


def levers(env: gym.Env) -> Levers:
    """What can be done in an environment made by `envs.make`.

    Raises:
        EnvError: the world's own `levers` are not one for each entry of its actions, or for each of its choices.
    """
    size, discrete = env.action_space.shape[0], envs.is_discrete(env)
    blank = tuple(f"action {number}" for number in range(1, size + 1)) if size > 1 or discrete else ("action",)
    said: Sequence[Lever | str] = blank if discrete else tuple(Lever(name) for name in blank)
    if env.has_wrapper_attr("levers"):
        said = env.get_wrapper_attr("levers")
    elif env.spec is not None and isinstance(env.spec.entry_point, str):
        said = OWN.get(env.spec.entry_point, said)
    kind, word = (str, "one text for each choice") if discrete else (Lever, "one Lever for each entry")
    if not isinstance(said, Sequence) or len(said) != size or not all(isinstance(one, kind) for one in said):
        name = env.spec.id if env.spec else env
        raise EnvError(f"{name} has the levers {envs.short(said)} for actions of {size} entries: give {word}")
    if discrete:
        return Levers((), tuple(said))
    low, high = (np.broadcast_to(env.get_wrapper_attr(end), size) for end in ("low", "high"))
    return Levers(tuple(one._replace(low=float(a), high=float(b)) for one, a, b in zip(said, low, high)), ())

"""How the world of a run is drawn: from what its agent sees, whatever was done to that.

    drawn = drawing(config)
    draw(axis, drawn.scene(observation))        # scene.py

Three kinds of worlds are met here. One of the suite, or a learner's own, says itself how it looks
(`names`, `units`, `scene`; see `dreamer_core/worlds/__init__.py`). For some of gymnasium's own it is said in
`gymnasium_worlds.py`. Any other is drawn as bars with names, and `real` is False then.

What the agent sees need not be what the world gives: entries may be hidden, or in other units
(`config.wrappers`). A `Drawing` undoes that. Hidden entries are told to the world's `scene` as NaN;
if a part cannot be drawn without them, bars of what is seen are drawn instead.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core import envs
from dreamer_core.config import Config, WrapperConfig
from dreamer_core.errors import EnvError
from dreamer_core.worlds.bars import bars_scene
from dreamer_core.worlds.gymnasium_worlds import OWN, Portrait
from dreamer_core.worlds.levers import Levers, levers
from dreamer_core.worlds.plane import Plane, labelled
from dreamer_core.worlds.scene import INKS, Part, Scene, picture_scene

ADVICE = "mend it, or take it away to see bars"


class Gap(NamedTuple):
    """How far two observations lie apart, in a unit that everyone knows."""

    unit: str  # "°" between two angles, the one unit of both coordinates of the plane, such as "m", or of pictures a share of white
    most: float | None  # 180 between two angles
    between: Callable[[np.ndarray, np.ndarray], np.ndarray]  # observations (..., O), (..., O) -> (...)


class Drawing(NamedTuple):
    """A world as its agent sees it; all observations here are the agent's own, (O,) or (..., O)."""

    world: str  # its id
    names: tuple[str, ...]  # O of them
    units: tuple[str, ...]  # O of them, of the world: "" where there is none
    scene: Callable[[np.ndarray], Scene]  # of one observation (O,)
    real: bool  # False: bars with names, for want of a drawing of the world's own
    plane: Plane | None  # None too where a coordinate is hidden
    seconds: float | None  # of one step of the agent; None where the world does not say
    gap: Gap | None  # None where the plane gives none: then errors are best told in the model's unit
    renders: bool  # whether the world renders pictures of its own too ("rgb_array")
    levers: Levers | None  # what can be done in it; None where the world cannot be made here, for want of a package

    @property
    def labels(self) -> tuple[str, ...]:
        """The names with their units, for the axes of a figure: "velocity (rad/s)"."""
        return labelled(self.names, self.units)


def drawing(config: Config) -> Drawing:
    """How the world of a run is drawn.

    Raises:
        EnvError: the world cannot be made, or what it says about its look is wrong (a name too few, a scene that is none).
    """
    entry = OWN.get(getattr(gym.registry.get(config.env.rpartition(":")[2]), "entry_point", None))
    try:
        env = envs.make(config.env, WrapperConfig(), discrete=True)
    except EnvError:
        if entry is None:
            raise
        size = len(entry.names)  # a package is missing; how the world looks is known all the same
        low, high, sample, renders, found = np.full(size, -np.inf), np.full(size, np.inf), np.zeros(size), False, None
    else:
        try:
            if len(env.observation_space.shape) == 3:
                return of_pictures(config, env)
            entry = portrait(env) if entry is None else entry
            low, high = env.observation_space.low, env.observation_space.high
            sample, renders = envs.reset(env, seed=0, age=0), "rgb_array" in (env.metadata.get("render_modes") or ())
            found = levers(env)
        finally:
            envs.close([env], warn=lambda sentence: None)
    check_words(config.env, entry, len(low))
    return as_seen(config, entry, sample, low, high)._replace(renders=renders, levers=found)


def of_pictures(config: Config, env: gym.Env) -> Drawing:
    """A world whose observations are pictures (H, W, C): they are drawn as they are, and have no named entries."""
    seconds = seconds_of(env)
    return Drawing(
        world=config.env,
        names=(),
        units=(),
        scene=picture_scene,
        real=True,
        plane=None,
        seconds=None if seconds is None else seconds * config.wrappers.action_repeat,
        gap=Gap("%", None, lambda one, other: np.sqrt(np.square((one - other) / 2.55).mean((-3, -2, -1)))),
        renders=False,
        levers=levers(env),
    )


def whole(config: Config) -> Drawing:
    """The same with nothing hidden and in the world's own units: for observations as the world gives them.

    Raises:
        EnvError: as `drawing`.
    """
    return drawing(dataclasses.replace(config, wrappers=WrapperConfig()))


def seen_by_agent(observation: np.ndarray, wrappers: WrapperConfig) -> np.ndarray:
    """What an agent sees (..., O) of a world's observations (..., W): without what is hidden, in its own units."""
    keep = np.setdiff1d(np.arange(np.shape(observation)[-1]), wrappers.hide)
    return (np.asarray(observation)[..., keep] * wrappers.observation_scale).astype(np.float32)


def portrait(env: gym.Env) -> Portrait:
    """What an environment says about its look: the outermost layer with a `names` or a `scene` speaks.

    A wrapper that changes observations makes another world of it, for which what lies below does not speak.
    """
    while isinstance(env, gym.Wrapper) and not hasattr(env, "names") and not hasattr(env, "scene"):
        if isinstance(env, gym.ObservationWrapper):
            return unknown(env)
        env = env.env
    if not hasattr(env, "names") and not hasattr(env, "scene"):
        return unknown(env)
    blank = unknown(env)
    names = tuple(getattr(env, "names", blank.names))
    plane = getattr(env, "plane", None)
    return Portrait(
        names=names,
        units=tuple(getattr(env, "units", ("",) * len(names))),
        scene=getattr(env, "scene", None),
        plane=plane if plane is None or isinstance(plane, Plane) else plane(),
        seconds=blank.seconds,
    )


def unknown(env: gym.Env) -> Portrait:
    """What can be said about an environment that says nothing of its look."""
    names = tuple(f"entry {number}" for number in range(env.observation_space.shape[0]))
    return Portrait(names, ("",) * len(names), None, None, seconds_of(env))


def seconds_of(env: gym.Env) -> float | None:
    """How long a step lasts, where the environment says so: `seconds`, `dt`, or the frames it renders in a second."""
    own, frames = env.unwrapped, env.metadata.get("render_fps")
    said = getattr(own, "seconds", None) or getattr(own, "dt", None) or (1 / frames if frames else None)
    return float(said) if isinstance(said, (int, float, np.number)) and np.isfinite(said) and said > 0 else None


def check_words(world: str, told: Portrait, size: int) -> None:
    """Raises:
    EnvError: names or units are not one for each of `size` entries, or the plane is none.
    """
    for what, words in {"names": told.names, "units": told.units}.items():
        if len(words) != size or not all(isinstance(word, str) for word in words):
            raise EnvError(f"{world} has the {what} {envs.short(words)} for {size} entries of its observation: give one text for each")
    if told.plane is not None and not isinstance(told.plane, Plane):
        raise EnvError(f"{world} has the plane {envs.short(told.plane)}: let it be a dreamer_core.worlds.plane.Plane")


def as_seen(config: Config, told: Portrait, sample: np.ndarray, low: np.ndarray, high: np.ndarray) -> Drawing:
    """A world's own words about observations (W,), turned into a drawing of what its agent sees, (O,).

    Args:
        sample: (W,), an observation to try the drawing with. low, high: (W,), bounds.
    """
    world, wrappers, size = config.env, dataclasses.replace(config.wrappers), len(told.names)  # a copy: a drawing stays as it is
    keep = np.setdiff1d(np.arange(size), wrappers.hide)
    names, units = (tuple(words[entry] for entry in keep) for words in (told.names, told.units))

    def unfold(seen: np.ndarray) -> np.ndarray:
        """What the agent sees (..., O) -> what the world gave (..., W), NaN where it is hidden."""
        whole = np.full((*np.shape(seen)[:-1], size), np.nan)
        whole[..., keep] = np.asarray(seen, float) / wrappers.observation_scale
        return whole

    def fold(whole: np.ndarray) -> np.ndarray:
        """The way back."""
        return seen_by_agent(whole, wrappers)

    def bars(seen: np.ndarray) -> Scene:
        return bars_scene(unfold(seen)[keep], names, low[keep], high[keep])

    def own(seen: np.ndarray) -> Scene:
        return ask(world, "scene", lambda: check_scene(world, told.scene(unfold(seen))))

    real = told.scene is not None and drawable(own(fold(sample)))
    plane = None if told.plane is None else seen_plane(told.plane, unfold, fold)
    seconds = None if told.seconds is None else told.seconds * wrappers.action_repeat
    known = (False, False) if plane is None else ask(world, "plane", lambda: known_coordinates(plane, fold(sample)))
    return Drawing(
        world=world,
        names=names,
        units=units,
        scene=own if real else bars,
        real=real,
        plane=plane if all(known) else None,
        seconds=seconds,
        gap=gap_of(plane, known),
        renders=False,
        levers=None,
    )


def seen_plane(plane: Plane, unfold: Callable[[np.ndarray], np.ndarray], fold: Callable[[np.ndarray], np.ndarray]) -> Plane:
    """A world's plane for what its agent sees."""
    return plane._replace(
        place=lambda seen: plane.place(unfold(seen)),
        observation=None if plane.observation is None else lambda place: fold(plane.observation(np.asarray(place, float))),
        state=None if plane.state is None else lambda env, place: fold(plane.state(env, np.asarray(place, float))),
    )


def known_coordinates(plane: Plane, sample: np.ndarray) -> tuple[bool, ...]:
    """Which coordinates can be told from what the agent sees: those of a sample (O,), or of ones, as a single sample may have no place."""
    places = np.asarray(plane.place(np.stack([sample, np.ones_like(sample)])))
    return tuple(np.isfinite(places).any(0).tolist())


def gap_of(plane: Plane | None, known: tuple[bool, ...]) -> Gap | None:
    """Degrees, where the plane's first coordinate is an angle that wraps around; else the way between two places that share a unit."""
    if plane is None:
        return None
    if known[0] and plane.periodic[0] and plane.units[0] == "rad":
        return Gap("°", 180.0, lambda one, other: apart(*(np.degrees(plane.place(seen)[..., 0]) for seen in (one, other))))
    if all(known) and not any(plane.periodic) and plane.units[0] and plane.units[0] == plane.units[1]:
        return Gap(plane.units[0], None, lambda one, other: np.sqrt(np.square(plane.place(one) - plane.place(other)).sum(-1)))
    return None


def apart(one: np.ndarray | float, other: np.ndarray | float) -> np.ndarray | float:
    """Degrees between two directions given in degrees, the short way round: 0 to 180. Elementwise; full turns do not count."""
    return np.abs((one - other + 180) % 360 - 180)


def ask(world: str, method: str, question: Callable[[], Any]) -> Any:
    """What a world says, or one sentence about the error it raises."""
    try:
        return question()
    except EnvError:
        raise
    except Exception as error:
        raise EnvError(f"{world} raised {envs.told(error)} in its {method}: {ADVICE}") from error


def check_scene(world: str, scene: Any) -> Scene:
    """A world's scene, if it is one.

    Raises:
        EnvError: it is something else, has a part of another kind, a colour that is none, or no view.
    """
    if not isinstance(scene, Scene):
        raise EnvError(
            f"{world} has a scene that returns {envs.short(scene)}: let it return a dreamer_core.worlds.scene.Scene, or {ADVICE}"
        )
    for part in scene.parts:
        if not isinstance(part, Part):
            raise EnvError(f"{world} has a scene with the part {envs.short(part)}: parts are a Line, Circle, Rectangle or Text")
        if part.ink not in INKS:
            raise EnvError(f"{world} has a scene with the ink {envs.short(part.ink)}: choose one of {', '.join(INKS)}")
    left, bottom, right, top = scene.view
    if not (left < right and bottom < top):
        raise EnvError(f"{world} has a scene with the view {envs.short(scene.view)}: give left, bottom, right and top, in this order")
    return scene


def drawable(scene: Scene) -> bool:
    """Whether every part has a place: none of its numbers is NaN."""
    return all(np.isfinite(number) for part in scene.parts for number in part if isinstance(number, float))

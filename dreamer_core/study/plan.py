"""What a study compares, as a YAML file says it: arms, worlds and seeds, and how all of them are measured.

    name: quick
    arms:                                       # the first one is what the others are held against
      dropin: {}                                # the defaults
      uncut: {model.detach-z: false}            # settings by the names of the command's flags
      sb3_sac: {agent: sb3_sac, times: 3, seeds: [0..4]}    # stable-baselines3's SAC, for three times the steps, with fewer seeds
    worlds:
      - env: Pendulum-v1
        env_steps: 3000
        random: -1213                           # the mean return of random actions: score 0
        best: -134.8                            # the best known: score 1
        solved: -150                            # a run solves the world with its first evaluation at or above this
      - {name: hidden, env: Pendulum-v1, wrappers: {hide: [2]}, env_steps: 2400, seeds: [0..4]}
    seeds: [0..9]                               # 0 to 9; numbers may be listed too
    evaluation: {every: 200, episodes: 50, seed: 20000, last: 5}    # a run's result is the mean of its last evaluations

Worlds whose `random` and `best` are known (`yardsticks/scales.py`) need not say them; where they are not quite those of the world as it
is set up here, as with hidden entries, the report says so.
An arm that names `seeds` is run only with those of a world's seeds that are among them; arms are compared at the seeds that both have.
`name`, `wrappers`, `solved`, `times`, `evaluation`, an arm's own `seeds` and a world's own `seeds` and `evaluation` may be left out.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from dreamer_core import config as configs
from dreamer_core.config import STRICT, Config, Count, EvaluationConfig, Seed
from dreamer_core.envs import short
from dreamer_core.errors import ConfigError, NotEnoughData
from dreamer_core.study.peer import AGENT, PeerConfig
from dreamer_core.trainer import check_windows
from dreamer_core.yardsticks import scales
from dreamer_core.yardsticks.scales import Scale

OF_THE_STUDY = ("env", "env_steps", "seed", "threads", "wrappers", "evaluation")  # settings that are the same for every arm
SCALE = {"random": "the mean return of random actions", "best": "the best mean return that is known"}
MOST = 15  # arms that a figure can tell apart
TIMES = "times"  # of an arm: how many times a world's steps it runs
SEEDS = "seeds"  # of an arm: those that it is run with, of a world's
AGENTS = (*get_args(Config.__annotations__["agent"]), AGENT)
NAME = r"[^\W_][^|`*$<>[\]\\]{0,79}"  # of an arm or a world: what tables and figures show as it is, and a folder can be called after


@dataclass(config=STRICT)
class World:
    """A world of a study, and what is known about it."""

    env: str
    """A gymnasium environment."""
    env_steps: Count
    """Steps that every arm may take."""
    random: float | None = None
    """Mean return of random actions: the score 0. None takes that of `yardsticks/scales.py`."""
    best: float | None = None
    """The best mean return that is known: the score 1. None takes that of `yardsticks/scales.py`."""
    solved: float | None = None
    """A run solves the world with its first evaluation at or above this; None where there is no such mark."""
    name: str = ""
    """What the report calls it; the environment's name if empty."""
    wrappers: dict[str, Any] = field(default_factory=dict)
    """Settings of WrapperConfig."""
    seeds: tuple[Seed, ...] = ()
    """Seeds of this world instead of the study's."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """What differs here from the study's `evaluation`."""

    @property
    def scale(self) -> Scale:
        """What turns returns into scores: 0 for random actions, 1 for the best known."""
        return Scale(self.random, 0.0, self.best, None, "the study says so")


@dataclass(config=STRICT)
class Measure(EvaluationConfig):
    """How every run is measured: the settings of its evaluations, and what its result is."""

    last: Count = 5
    """A run's result is the mean over so many of its last evaluations."""


class Arm(NamedTuple):
    """One way to learn."""

    settings: dict[str, Any]  # the tree of what differs from the defaults
    times: int  # steps, as a multiple of the world's
    seeds: tuple[int, ...] | None  # run with those of a world's seeds that are among these; None takes all of them


class Reading(NamedTuple):
    """An arm, read off after so many times a world's steps."""

    label: str
    arm: str
    times: int


class Plan(NamedTuple):
    """A whole study."""

    name: str
    arms: dict[str, Arm]
    worlds: dict[str, World]
    seeds: dict[str, tuple[int, ...]]  # of each world
    measures: dict[str, Measure]  # of each world

    def readings(self) -> list[Reading]:
        """The arms in order; one that runs longer than the others is read off at the others' length, and at its own."""
        found = []
        for name, arm in self.arms.items():
            found.append(Reading(name, name, 1))
            if arm.times > 1:
                found.append(Reading(f"{name}, {arm.times} x the steps", name, arm.times))
        return found

    def seeds_of(self, world: str, arm: str) -> tuple[int, ...]:
        """The seeds of an arm in a world."""
        own = self.arms[arm].seeds
        return tuple(seed for seed in self.seeds[world] if own is None or seed in own)

    def config(self, world: str, arm: str, seed: int) -> "Config | PeerConfig":
        """The complete settings of one run.

        Raises:
            ConfigError: the arm has a setting of a wrong type or out of range, or settings with which nothing can be learned.
        """
        place, (settings, times, _), measure = self.worlds[world], self.arms[arm], self.measures[world]
        fixed = {
            "env": place.env,
            "env_steps": place.env_steps * times,
            "seed": seed,
            "threads": 1,
            "wrappers": place.wrappers,
            "evaluation": {"every": measure.every, "episodes": measure.episodes, "seed": measure.seed},
        }
        make = PeerConfig.from_dict if settings.get("agent") == AGENT else configs.from_dict
        try:
            found = make({**settings, **fixed})
            if isinstance(found, Config):
                check_windows(found)
            return found
        except (ConfigError, NotEnoughData) as error:
            raise ConfigError(f"the arm {arm} in the world {world}: {error}") from None


# --- reading -----------------------------------------------------------------------------------


class Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is a mistake; the second would replace the first without a word.

    A value that looks like a date or a number and is none is a mistake with a line too, and no error of Python's.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{short(node.value)} is read as {kind} and is none: correct it or put it in quotes", node.start_mark
            ) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen: list = []
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            value = self.construct_object(key, deep=True)
            if value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {value} stands there twice", key.start_mark)
            seen.append(value)
        return super().construct_mapping(node, deep)


def read(path: Path) -> Plan:
    """The plan in a YAML file.

    Raises:
        ConfigError: it is no such file, or asks for what does not exist or does not go together.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise ConfigError(f"the study {path} cannot be read ({error.strerror}): check the path") from None
    except RecursionError:
        raise ConfigError(f"the study {path} is nested too deeply to be read: arms and worlds hold settings, and nothing below") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        raise ConfigError(f"the study {path} is not YAML{line}: {getattr(error, 'problem', None) or 'it is not text'}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"the study {path} holds no plan: it needs the keys arms, worlds and seeds")
    return from_dict({**data, "name": data.get("name") or path.stem})


def from_dict(data: Mapping[str, Any]) -> Plan:
    """A plan from what YAML holds.

    Raises:
        ConfigError: naming the first thing that is wrong, and the nearest name that exists.
    """
    check_names("the study", data, ("name", "arms", "worlds", "seeds", "evaluation"))
    for key, kind, example in (("arms", Mapping, "arms: {default: {}}"), ("worlds", (list, tuple), "worlds: [{env: Pendulum-v1, ...}]")):
        if not data.get(key):
            raise ConfigError(f"the study names no {key}: write for example `{example}`")
        if not isinstance(data[key], kind):
            raise ConfigError(f"the study has {key}: {data[key]!r}: write for example `{example}`")
    listed_arms = [(called("arms", name), settings) for name, settings in data["arms"].items()]
    listed = [world(entry) for entry in data["worlds"]]
    for kind, names in (("arms", [name for name, _ in listed_arms]), ("worlds", [place.name for place in listed])):
        check_folders(kind, names)
    arms = {name: arm(name, settings) for name, settings in listed_arms}
    worlds = {place.name: place for place in listed}
    default = seeds("the study", data.get("seeds", ()))
    common = evaluation(data)
    measure("the study", common)
    measures = {name: measure(f"the world {name}", {**common, **place.evaluation}) for name, place in worlds.items()}
    title = "study" if data.get("name") is None else " ".join(str(data["name"]).split())
    plan = Plan(title, arms, worlds, {name: place.seeds or default for name, place in worlds.items()}, measures)
    check(plan)
    return plan


def evaluation(data: Mapping[str, Any]) -> dict[str, Any]:
    """The study's own `evaluation`."""
    given = data.get("evaluation") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"the study's evaluation is {given!r}: write for example `evaluation: {{every: 200, episodes: 50}}`")
    return given


def arm(name: str, settings: Any) -> Arm:
    """An arm from its settings by dotted names, as the command's flags have them."""
    settings = {} if settings is None else settings
    if not isinstance(settings, Mapping):
        raise ConfigError(
            f"the arm {name} is {settings!r}: write its settings as `{name}: {{model.detach-z: false}}`, or {{}} for the defaults"
        )
    twice = repeated(str(key).replace("-", "_") for key in settings)
    if twice:
        raise ConfigError(f"the arm {name} sets {twice} twice, once with - and once with _: keep one of the two")
    settings = {str(key).replace("-", "_"): value for key, value in settings.items()}
    times = settings.pop(TIMES, 1)
    if type(times) is not int or times < 1:
        raise ConfigError(f"the arm {name} has times: {times!r}, how many times a world's steps it runs: it must be 1, 2, ...")
    own = seeds(f"the arm {name}", settings.pop(SEEDS)) if SEEDS in settings else None
    check_names(f"the arm {name}", [settings.get("agent", AGENTS[0])], AGENTS, "agent")
    known = PeerConfig() if settings.get("agent") == AGENT else Config()
    choices = [key for key in flat(configs.to_dict(known)) if key.partition(".")[0] not in OF_THE_STUDY]
    sections = [key for key, value in configs.to_dict(known).items() if isinstance(value, dict)]
    tree: dict[str, Any] = {}
    for key, value in settings.items():
        section, _, field = key.rpartition(".")
        if (section or key) in OF_THE_STUDY:
            raise ConfigError(f"the arm {name} sets {key}, which is the same for every arm: set it for the study or for a world")
        if key in sections:
            raise ConfigError(f"the arm {name} sets {key} as a whole: write its settings one by one, as `{key}.NAME: VALUE`")
        check_names(f"the arm {name}", [key], [*choices, TIMES, SEEDS], "setting")
        (tree.setdefault(section, {}) if section else tree)[field] = value
    if times > 1 and tree.get("schedule", {}).get("anneal"):
        raise ConfigError(
            f"the arm {name} has times: {times} and schedule.anneal: its rates fall over all its steps, so half-way it is no shorter run"
        )
    return Arm(tree, times, own)


def world(entry: Any) -> World:
    """A world from its mapping."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("env"), str):
        raise ConfigError(f"a world of the study is {entry!r}: write it as `{{env: Pendulum-v1, env_steps: 3000}}`")
    name = called("worlds", entry["env"] if entry.get("name") is None else entry["name"])
    check_names(f"the world {name}", entry, World.__dataclass_fields__)
    entry = {**entry, "name": name, "seeds": seeds(f"the world {name}", entry.get("seeds", ()))}
    for key, known in (("wrappers", configs.WrapperConfig), ("evaluation", Measure)):
        if isinstance(entry.get(key), dict):
            entry[key] = {str(field).replace("-", "_"): value for field, value in entry[key].items()}
            check_names(f"the world {name} in its {key}", entry[key], known.__dataclass_fields__)
    stored = scales.read()
    known = stored.get(entry["env"])
    for key in ("random", "best"):
        if entry.get(key) is None and (value := getattr(known, key, None)) is None:
            near = difflib.get_close_matches(entry["env"], stored, 1, 0.8)
            other = f", or did you mean {near[0]}?" if near and known is None else ""
            raise ConfigError(
                f"the world {name} lacks {key}, {SCALE[key]}, and none is known for {entry['env']}: write `{key}: NUMBER`{other}"
            )
        elif entry.get(key) is None:
            entry[key] = value
    place = validated(World, f"the world {name}", entry)
    if place.best <= place.random:
        raise ConfigError(f"the world {name} has best {place.best:g} and random {place.random:g}: the best return must be the larger one")
    return place


def measure(where: str, given: dict[str, Any]) -> Measure:
    """How runs are measured."""
    check_names(f"{where} in its evaluation", given, Measure.__dataclass_fields__)
    return validated(Measure, f"{where} in its evaluation", given)


def seeds(where: str, given: Any) -> tuple[int, ...]:
    """Seeds from a list of numbers and of ranges such as "0..9", which holds both ends."""
    found: list[int] = []
    for part in given if isinstance(given, Iterable) and not isinstance(given, (str, Mapping)) else [given]:
        ends = re.fullmatch(r"(\d+)\.\.(\d+)", part) if isinstance(part, str) else None
        if ends and int(ends[1]) > int(ends[2]):
            raise ConfigError(f"{where} has {part} among its seeds: write the smaller end of a range first")
        elif ends:
            found += range(int(ends[1]), int(ends[2]) + 1)
        elif isinstance(part, Integral) and not isinstance(part, bool) and part >= 0:
            found.append(int(part))
        else:
            raise ConfigError(f"{where} has {part!r} among its seeds: write whole numbers from 0 on, or a range such as 0..9")
    twice = repeated(found)
    if twice is not None:
        raise ConfigError(f"{where} names the seed {twice} twice: a run that is counted twice makes intervals too narrow")
    return tuple(found)


def check(plan: Plan) -> None:
    """What several parts of a plan must agree on.

    Raises:
        ConfigError: they do not.
    """
    lines = len(plan.readings())
    if lines > MOST:
        raise ConfigError(f"the study has {lines} arms, one with `times` counted twice: figures tell {MOST} apart, so make two studies")
    for name, place in plan.worlds.items():
        if not plan.seeds[name]:
            raise ConfigError("the study names no seeds: write for example `seeds: [0..9]`")
        every = plan.measures[name].every
        if place.env_steps % every:
            raise ConfigError(
                f"the world {name} has {place.env_steps} steps and an evaluation every {every}: the first must be a multiple of the second"
            )
        number, last = place.env_steps // every, plan.measures[name].last
        if number < last:
            raise ConfigError(
                f"the world {name} has {count(number, 'evaluation')} ({place.env_steps} steps, one every {every}), of which a run's result "
                f"would be the mean of the last {last}: set evaluation.every or evaluation.last lower"
            )
        check_arms(plan, name)


def check_arms(plan: Plan, world: str) -> None:
    """Raises:
    ConfigError: an arm has no seed, a wrong setting, or the same ones as another, with which the same seeds make the same runs.
    """
    taken: list[tuple[str, Any]] = []
    for name in plan.arms:
        if not plan.seeds_of(world, name):
            known = ", ".join(map(str, plan.seeds[world]))
            raise ConfigError(
                f"the arm {name} names none of the seeds of the world {world} ({known}): give it some of these, or no `seeds`"
            )
        found = plan.config(world, name, plan.seeds[world][0])
        twin = next((other for other, config in taken if config == found), None)
        if twin is not None:
            raise ConfigError(
                f"the arms {twin} and {name} have the same settings, and so the same run for each seed: take one of them away"
            )
        taken.append((name, found))


# --- words -------------------------------------------------------------------------------------


def flat(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of all settings in a tree."""
    return [name for key, value in tree.items() for name in (flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key])]


def check_names(where: str, given: Iterable[Any], known: Iterable[str], kind: str = "key") -> None:
    """Raises:
    ConfigError: one of the names that are given is not known; it says which known name is nearest.
    """
    known = list(known)
    for name in map(str, given):
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.5) or [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]]
        advice = f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"
        raise ConfigError(f"{where} has the {kind} {name}, which does not exist: {advice}")


def repeated(things: Iterable[Any]) -> Any:
    """The first thing that comes more than once; None if there is none."""
    return next((thing for thing, number in Counter(things).items() if number > 1), None)


def count(number: int, name: str) -> str:
    """ "1 run", "2 runs"."""
    return f"{number} {name}{'s' * (number != 1)}"


def validated(kind: type, where: str, data: dict[str, Any]) -> Any:
    """A dataclass from plain data, or one sentence."""
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        if first["type"].startswith("missing"):
            raise ConfigError(f"{where} lacks {name}: its keys are {', '.join(kind.__dataclass_fields__)}") from None
        raise ConfigError(f"{where} has {name}: {first['input']!r}: {first['msg'][0].lower() + first['msg'][1:]}") from None


def called(kind: str, given: Any) -> str:
    """The name of an arm or a world.

    Raises:
        ConfigError: it is none that every part of a report can show.
    """
    if isinstance(given, bool) or not isinstance(given, (str, int, float)):  # as YAML reads null, on, off, yes and no without quotes
        raise ConfigError(f"the study has {given!r} among its {kind}: write a name, in quotes if YAML takes it for something else")
    if not (re.fullmatch(NAME, str(given)) and str(given).isprintable()):
        raise ConfigError(
            f"the study has {str(given)[:80]!r} among its {kind}: give it a name of at most 80 characters in one line, which begins with a "
            f"letter or a digit and has none of | ` * $ < > [ ] \\"
        )
    return str(given)


def folder(name: str) -> str:
    """A name as part of a path."""
    return re.sub(r"[^\w.-]+", "-", name)


def check_folders(kind: str, names: list[str]) -> None:
    """Raises:
    ConfigError: two names are the same, or would share a folder.
    """
    taken: dict[str, str] = {}
    for name in names:
        place = folder(name).lower()
        if place in taken:
            raise ConfigError(f"the study has {name!r} and {taken[place]!r} among its {kind}: give each a name of its own")
        taken[place] = name

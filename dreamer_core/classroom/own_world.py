"""Checks for a world of a learner's own: does it keep what it promises, to gymnasium and to this course?

    from dreamer_core.classroom import own_world

    own_world.register("Ferry-v0", Ferry, steps=40)      # may be run again and again
    own_world.check("Ferry-v0")                          # a line for each check, and a sentence where something is wrong
    own_world.by_hand("Ferry-v0", actions, rewards, options={"position": 0.0, ...})

Each check plays a few short episodes and raises `EnvError` with one sentence: what is wrong, where it came up, and what to do.
They look at any registered environment with a flat Box observation and a bounded Box action. What they cannot know is whether a
world is the one that was *meant*; for that a few steps must be worked out by hand (`by_hand`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core import envs
from dreamer_core.classroom.answer import attempted
from dreamer_core.config import WrapperConfig
from dreamer_core.envs import THEIR_OWN, Guard, first_line, short, told
from dreamer_core.errors import EnvError
from dreamer_core.viz.dream import held_actions
from dreamer_core.worlds.scene import INKS, Circle, Line, Rectangle, Scene, Text

SEEDS = range(5)  # reset seeds of the episodes that are played
LONGEST = 2_000  # steps after which an episode counts as one without an end
SHORT = 60  # steps of an episode where its end does not matter
UNSEEDED = "draw every random number from self.np_random, which super().reset(seed=seed) makes"
LEFT_OVER = "something is left of the episode before, so set everything anew in reset, counters too"
PARTS = (Line, Circle, Rectangle, Text)  # what a scene may be made of
NEAR = 1e-4  # how far a number worked out by hand may lie beside the world's, as a share of the largest one

Choose = Callable[[int], np.ndarray]  # the number of a step -> an action (A,) in [-1, 1]


class Played(NamedTuple):
    """One episode as the world gave it."""

    seed: int
    given: list[Any]  # T + 1 observations, the very objects that came
    observation: list[np.ndarray]  # T + 1 copies of them, made as they came
    reward: list[float]  # T
    terminated: bool
    truncated: bool


class Notes(gym.Wrapper):
    """Keeps what the world returns, before anything is made of it."""

    def reset(self, **how):
        returned = self.env.reset(**how)
        self.given, self.copies = [], []
        self._note(returned)
        return returned

    def step(self, action):
        returned = self.env.step(action)
        self._note(returned)
        return returned

    def _note(self, returned: Any) -> None:
        if isinstance(returned, tuple) and returned:
            self.given.append(returned[0])
            self.copies.append(np.array(returned[0]))


def made(world: str) -> gym.Env:
    """A new environment of that id, without gymnasium's warnings.

    Raises:
        EnvError: it is not registered, or cannot be made, or its spaces are not what the agent can handle.
    """
    seen = envs.make(world, WrapperConfig())  # says what is wrong with it
    envs.close([seen], warn=lambda sentence: None)
    if len(seen.observation_space.shape) != 1:
        raise EnvError(f"{world} shows pictures of shape {seen.observation_space.shape}: these checks look at worlds that show a vector")
    return gym.make(f"{envs.SUITE}:{world}" if world.startswith("dreamer/") else world, disable_env_checker=True)


def play(world: str, seed: int, choose: Choose, steps: int = SHORT, env: gym.Env | None = None) -> Played:
    """An episode of at most `steps` steps, in a new environment or in `env`, one of `made`.

    Raises:
        EnvError: the world breaks the interface of gymnasium, or returns what is no number.
    """
    notes = Notes(made(world) if env is None else env)
    guard = Guard(notes, world)
    envs.reset(guard, seed, 0)
    rewards, terminated, truncated = [], False, False
    while len(rewards) < steps and not (terminated or truncated):
        _, reward, terminated, truncated, _ = guard.step(choose(len(rewards)))
        rewards.append(reward)
    return Played(seed, notes.given, notes.copies, rewards, terminated, truncated)


def at_random(world: str, seed: int, steps: int) -> Choose:
    """Random actions, each held for a few steps, the same for the same seed."""
    actions = held_actions(steps, sizes(world)[1], 4, seed)
    return lambda step: actions[step]


def sizes(world: str) -> tuple[int, int]:
    """O and A of a world."""
    env = made(world)
    return env.observation_space.shape[0], env.action_space.shape[0]


def entry(world: str, number: int) -> str:
    """An entry of the observation, with its name where the world tells one: "entry 1 (velocity)"."""
    names = getattr(made(world).unwrapped, "names", ())
    return f"entry {number}" + (f" ({names[number]})" if isinstance(names, Sequence) and number < len(names) else "")


# --- checks ---------------------------------------------------------------------------------------


def spaces(world: str) -> None:
    """Is it registered, can it be made, and does it say what it shows and what it takes?

    Raises:
        EnvError: it is not, or v1 cannot handle its spaces.
    """
    made(world)


def interface(world: str) -> None:
    """Do reset and step return what gymnasium asks for: shapes, types, numbers?

    Raises:
        EnvError: they do not.
    """
    space = made(world).observation_space
    for seed in SEEDS:
        played = play(world, seed, at_random(world, seed, SHORT))
        for step, observation in enumerate(played.observation):
            if observation.dtype != space.dtype:
                raise EnvError(
                    f"the observation at step {step} of the episode with reset seed {seed} is made of {observation.dtype}, but the "
                    f"observation space says {space.dtype}: end with .astype(np.{space.dtype})"
                )


def bounds(world: str) -> None:
    """Does every observation lie within the bounds that the space tells?

    Raises:
        EnvError: one does not.
    """
    space = made(world).observation_space
    for seed in SEEDS:
        for choose in (at_random(world, seed, SHORT), lambda step: 1.0, lambda step: -1.0):
            played = play(world, seed, whole(world, choose))
            for step, observation in enumerate(played.observation):
                outside = np.flatnonzero((observation < space.low) | (observation > space.high))
                if len(outside):
                    number = outside[0]
                    raise EnvError(
                        f"{entry(world, number)} of the observation is {observation[number]:.4g} at step {step} of the episode with reset "
                        f"seed {seed}, but its space goes from {space.low[number]:.4g} to {space.high[number]:.4g}: widen the Box, or let "
                        f"the world stop there"
                    )


def whole(world: str, choose: Callable[[int], Any]) -> Choose:
    """The same choice for every entry of the action, as an array (A,)."""
    size = sizes(world)[1]
    return lambda step: np.broadcast_to(np.float32(choose(step)), (size,))


def copies(world: str) -> None:
    """Does an observation stay as it was when the world moves on?

    Raises:
        EnvError: it is an array that the world goes on writing into.
    """
    played = play(world, 0, at_random(world, 0, SHORT))
    for step, (given, copy) in enumerate(zip(played.given, played.observation)):
        if not np.array_equal(given, copy):
            raise EnvError(
                f"the observation of step {step} changed after it had been returned, since it is the array that the world goes on "
                f"writing into, and every recording would hold the last one alone: return a copy, as np.array(...) makes"
            )


def seeds(world: str) -> None:
    """Do the same seed and the same actions lead to the same episode?

    Raises:
        EnvError: they do not.
    """
    for seed in SEEDS:
        choose = at_random(world, seed, SHORT)
        differ(world, play(world, seed, choose), play(world, seed, choose), "in two new environments", UNSEEDED)


def fresh(world: str) -> None:
    """Does reset put everything back, so that nothing is left of the episode before?

    Raises:
        EnvError: something is.
    """
    env = made(world)
    for seed in SEEDS[:2]:
        choose = at_random(world, seed, SHORT)
        play(world, seed + 100, at_random(world, seed + 100, SHORT), env=env)
        first, again = play(world, seed, choose), play(world, seed, choose, env=env)
        differ(world, first, again, "in a new environment and in one that was used before", LEFT_OVER)


def differ(world: str, one: Played, other: Played, where: str, cure: str) -> None:
    """Raises:
    EnvError: two episodes that should be one and the same are not, with the place at which they part.
    """
    for step, (a, b) in enumerate(zip(one.observation, other.observation)):
        if not np.array_equal(a, b):
            number = int(np.flatnonzero(a != b)[0])
            raise EnvError(
                f"reset seed {one.seed} and the same actions gave {a[number]:.6g} and {b[number]:.6g} as {entry(world, number)} of the "
                f"observation at step {step}, {where}: {cure}"
            )
    if one.reward != other.reward or len(one.observation) != len(other.observation):
        found = [step for step, (a, b) in enumerate(zip(one.reward, other.reward), 1) if a != b]
        what = f"another reward at step {found[0]}" if found else "another length of the episode"
        raise EnvError(f"reset seed {one.seed} and the same actions gave {what}, {where}: {cure}")


def actions(world: str) -> None:
    """Does each entry of the action change anything: what is seen, what is paid, or when it ends?

    Raises:
        EnvError: one does not.
    """
    size = sizes(world)[1]
    for number in range(size):
        push = np.eye(size, dtype=np.float32)[number]
        if all(alike(play(world, seed, always(-push)), play(world, seed, always(push))) for seed in SEEDS):
            raise EnvError(
                f"entry {number} of the action changes nothing: at its lowest and at its highest value, {len(SEEDS)} episodes with the "
                f"same seeds are the same for {SHORT} steps, so use it in step, or take it out of the action space"
            )


def always(action: np.ndarray) -> Choose:
    """The same action at every step."""
    return lambda step: action


def alike(one: Played, other: Played) -> bool:
    """Whether two episodes are the same."""
    return one.reward == other.reward and all(map(np.array_equal, one.observation, other.observation))


def ends(world: str) -> None:
    """Does every episode end, and is a time limit told as truncation, not as termination?

    Raises:
        EnvError: an episode goes on for ever, or all of them terminate after the same number of steps, whatever is done.
    """
    lengths = set()
    for seed in SEEDS:
        for choose in (at_random(world, seed, LONGEST), lambda step: 1.0, lambda step: -1.0):
            played = play(world, seed, whole(world, choose), LONGEST)
            if not (played.terminated or played.truncated):
                raise EnvError(
                    f"the episode with reset seed {seed} has not ended after {LONGEST:,} steps: give gym.register a time limit, "
                    f"max_episode_steps=..., which truncates it"
                )
            lengths.add(len(played.reward) if played.terminated else 0)
    if len(lengths) == 1 and lengths != {0}:
        raise EnvError(
            f"all episodes terminate at step {lengths.pop()}, whatever is done: that is a time limit, after which the world would have "
            f"gone on, so return terminated=False and leave the limit to gym.register(..., max_episode_steps=...)"
        )


def time(world: str) -> None:
    """Does step return the observation that the action led to, not the one it was chosen at?

    Raises:
        EnvError: the first step of every episode brings what reset returned once more, and only the second something new.
    """
    played = [play(world, seed, at_random(world, seed, SHORT), 3).observation for seed in SEEDS]
    played = [observation for observation in played if len(observation) > 2]
    stands = [np.array_equal(observation[0], observation[1]) for observation in played]
    moves = [not np.array_equal(observation[1], observation[2]) for observation in played]
    if played and all(stands) and np.mean(moves) > 0.5:
        raise EnvError(
            "the first step of every episode returns the observation that reset had returned, and the second one something new: step "
            "must return what is seen after the move, so look at the world at the end of step"
        )


def drawing(world: str) -> None:
    """Does it say what its entries are called, and what they look like?

    Raises:
        EnvError: names, units or scene are missing, or do not fit the observations.
    """
    own = made(world).unwrapped
    size = sizes(world)[0]
    for what in ("names", "units"):
        told_ones = getattr(own, what, None)
        if told_ones is None:
            raise EnvError(f"the world has no {what}: add {what} = (...), one for each of the {size} entries of the observation")
        if isinstance(told_ones, str) or len(told_ones) != size:
            raise EnvError(f"{what} is {short(told_ones)}, but the observation has {size} entries: give one for each, as a tuple")
    if not callable(getattr(own, "scene", None)):
        raise EnvError("the world has no scene: add a method scene(self, observation) that returns a Scene (dreamer_core/worlds/scene.py)")
    scenes = []
    for seed in SEEDS:
        played = play(world, seed, at_random(world, seed, SHORT))
        scenes += [scene_of(own, observation, step, seed) for step, observation in enumerate(played.observation)]
        if len(scenes) > 1 and not np.array_equal(played.observation[0], played.observation[-1]) and len({s.parts for s in scenes}) == 1:
            raise EnvError("scene draws the same picture for every observation: let a place or a size depend on it")


def scene_of(own: gym.Env, observation: np.ndarray, step: int, seed: int) -> Scene:
    """What a world draws of an observation.

    Raises:
        EnvError: nothing that could be drawn.
    """
    place = f"at step {step} of the episode with reset seed {seed}"
    before = observation.copy()
    try:
        scene = own.scene(observation)
    except THEIR_OWN as error:
        alone = ", and let it draw from the observation alone, since dreams are drawn too" if isinstance(error, AttributeError) else ""
        raise EnvError(f"scene raised {told(error)} {place}: mend it{alone}") from error
    if not np.array_equal(before, observation):
        raise EnvError(f"scene changed the observation that it was given {place}: work on a copy")
    if not isinstance(scene, Scene):
        raise EnvError(f"scene returned {short(scene)} {place}: return a Scene(view, parts)")
    try:
        left, bottom, right, top = scene.view
        sound = left < right and bottom < top and np.isfinite(scene.view).all()
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise EnvError(
            f"the view of the scene is {short(scene.view)} {place}: it must be (left, bottom, right, top), left < right and bottom < top"
        )
    if isinstance(scene.parts, PARTS):
        raise EnvError(
            f"the parts of the scene are a single {type(scene.parts).__name__} {place}: put a comma behind it, Scene(view, (part,))"
        )
    for part in scene.parts:
        if not isinstance(part, PARTS):
            raise EnvError(f"{short(part)} in the scene {place} cannot be drawn: a part is a Line, a Circle, a Rectangle or a Text")
        if part.ink not in INKS:
            raise EnvError(f"the ink {part.ink!r} of a {type(part).__name__} does not exist: choose {', '.join(INKS)}")
        across, up = corners(part)
        if not np.isfinite([*across, *up]).all():
            raise EnvError(f"a {type(part).__name__} of the scene has a place that is no number {place}: look at how it is computed")
        if max(across) < left or min(across) > right or max(up) < bottom or min(up) > top:
            raise EnvError(f"a {type(part).__name__} of the scene lies outside its view {place}, so nobody sees it: widen the view")
    return scene._replace(parts=tuple(scene.parts))


def corners(part: Line | Circle | Rectangle | Text) -> tuple[list[float], list[float]]:
    """Where a part of a scene lies: from where to where across, and up."""
    match part:
        case Line():
            return [part.x0, part.x1], [part.y0, part.y1]
        case Circle():
            return [part.x - part.radius, part.x + part.radius], [part.y - part.radius, part.y + part.radius]
        case Rectangle():
            return [part.left, part.right], [part.bottom, part.top]
        case Text():
            return [part.x], [part.y]


CHECKS: dict[str, tuple[str, Callable[[str], None]]] = {
    "spaces": ("it is registered, and its spaces can be handled", spaces),
    "interface": ("reset and step return the shapes and types they promise", interface),
    "bounds": ("what is seen stays within the bounds that are told", bounds),
    "copies": ("an observation stays as it was", copies),
    "seeds": ("a seed and the actions decide everything", seeds),
    "fresh": ("reset leaves nothing of the episode before", fresh),
    "actions": ("every entry of the action does something", actions),
    "ends": ("episodes end, and a time limit is no termination", ends),
    "time": ("step returns what is seen after the move", time),
    "drawing": ("names, units and a picture of what is seen", drawing),
}
"""The checks in their order: name -> what it asks, and who asks it. The later ones need what the first two promise."""


def examine(world: str) -> dict[str, str | None]:
    """What every check says of a world: name -> a sentence, "" where nothing is wrong, None where it could not be asked.

    Args:
        world: the id of a registered environment.
    """
    found: dict[str, str | None] = {}
    for name, (_, ask) in CHECKS.items():
        if any(found.get(first) for first in ("spaces", "interface")):
            found[name] = None
            continue
        try:
            ask(world)
            found[name] = ""
        except EnvError as error:
            found[name] = str(error)
        except THEIR_OWN as error:
            found[name] = f"the check {name} could not look at it, {told(error)}: compare the world with the template"
    return found


def check(world: str) -> bool:
    """Print a line for each check, and the sentence where something is wrong; returns whether all is well."""
    found = examine(world)
    for name, sentence in found.items():
        mark = "·" if sentence is None else "✗" if sentence else "✓"
        print(f"{mark} {name:<10} {CHECKS[name][0]}" + (": not asked, mend the first fault before" if sentence is None else ""))
        if sentence:
            print(f"             {stopped(sentence)}")
    return not any(sentence is None or sentence for sentence in found.values())


# --- by hand --------------------------------------------------------------------------------------


def compare(expected: Sequence[float], came: Sequence[float]) -> str:
    """One sentence on how the rewards that came differ from those worked out by hand; "" where they do not.

    Args:
        expected: (T,), by hand. came: (T,), or fewer where the episode ended before.
    """
    hand, found = np.asarray(expected, float), np.asarray(came, float)
    size = NEAR * max(1e-12, np.abs(hand).max(), np.abs(found).max(initial=0.0))

    def same(a: np.ndarray, b: np.ndarray) -> bool:
        return len(a) == len(b) and len(a) > 0 and bool((np.abs(a - b) <= size).all())

    def told_apart(a: np.ndarray) -> bool:
        return len(a) > 1 and np.ptp(a) > size

    if len(found) < len(hand):
        return f"the episode ended after {len(found)} of your {len(hand)} steps: shorten the script, or look at what ends it"
    if same(hand, found):
        return ""
    ratio = found[np.abs(hand) > size] / hand[np.abs(hand) > size]
    match True:
        case _ if told_apart(hand[:-1]) and same(hand[:-1], found[1:]):
            return (
                "your rewards come one step late, so the world pays for the state that the action left: work the reward out after the move"
            )
        case _ if told_apart(hand[1:]) and same(hand[1:], found[:-1]):
            return "your rewards come one step early: does step move the world twice, or reset once?"
        case _ if same(-hand, found):
            return "the rewards have the other sign: what should be sought is punished, so turn it round"
        case _ if told_apart(hand) and same(np.cumsum(hand), found):
            return "the world returns the sum of all rewards so far, where each step should bring its own alone"
        case _ if len(ratio) > 1 and same(hand * ratio[0], found):
            return f"every reward is {ratio[0]:.4g} times yours: is it in another unit, or multiplied by the length of a step?"
        case _ if told_apart(hand) and same(hand + (found - hand)[0], found):
            return f"every reward differs by {(found - hand)[0]:+.4g}: is a constant missing on one side?"
    step = int(np.flatnonzero(np.abs(hand - found) > size)[0])
    return f"the first reward that differs is that of step {step + 1}: {found[step]:.6g} came, and {hand[step]:.6g} is yours"


def by_hand(world: str, actions: Sequence[Any], rewards: Sequence[float], options: Mapping[str, Any] | None = None, seed: int = 0) -> bool:
    """Play a short script of actions and hold its rewards against those worked out by hand; prints a table, returns whether they agree.

    Args:
        actions: T actions in the world's own units, lists or arrays (A,), or plain numbers where A is 1. rewards: T numbers, by hand.
        options: handed to reset, so that the episode starts where your sheet of paper does.

    Raises:
        EnvError: there are not as many rewards as actions, an action does not fit, or the world raises an error of its own.
    """
    if len(actions) != len(rewards) or not len(actions):
        raise EnvError(f"{len(actions)} actions and {len(rewards)} rewards were given: work out one reward for each action")
    env = made(world)
    space = env.action_space
    came = []
    try:
        observation, _ = env.reset(seed=seed, options=dict(options) if options else None)
        start = listed(observation)
        for number, action in enumerate(actions, 1):
            given = fitted(action, space, f"action {number} of the script").astype(space.dtype)
            if not space.contains(given):
                raise EnvError(f"action {number} of the script is {short(action)}, outside {short(space)}: choose one that can be taken")
            observation, reward, terminated, truncated, _ = env.step(given)
            came.append(float(reward))
            hand = rewards[number - 1]
            print(f"step {number}: action {short(action)}, seen {listed(observation)}, reward {reward:.5g}, by hand {hand:.5g}")
            if terminated or truncated:
                break
    except EnvError:
        raise
    except THEIR_OWN as error:
        raise EnvError(f"{world} raised {told(error)} in the script played by hand: mend the world, or the script") from error
    sentence = compare(rewards, came)
    begun = f"The episode began at {start}: is that where your sheet of paper begins?"
    print(f"✗ {stopped(sentence)} {begun}" if sentence else f"✓ the return is {sum(came):.5g}, step by step as worked out by hand.")
    return not sentence


def fitted(action: Any, space: gym.spaces.Box, who: str) -> np.ndarray:
    """An action (A,) of what was given: an array, a list, or a plain number where there is only one entry.

    Raises:
        EnvError: there are more entries, or fewer.
    """
    given = np.asarray(action, float)
    if given.size != space.shape[0] or given.ndim > 1:
        raise EnvError(f"{who} is {short(action)}, but an action here has shape {space.shape}: give a list with one number for each entry")
    return given.reshape(space.shape)


def stopped(sentence: str) -> str:
    """A sentence with its full stop, where it is no question."""
    return sentence if sentence.endswith("?") else f"{sentence}."


def listed(observation: np.ndarray) -> str:
    """An observation in a few digits: [0.32, 0.8]."""
    return f"[{', '.join(f'{value:.4g}' for value in np.ravel(observation))}]"


# --- what is asked of a world that keeps its promises ----------------------------------------------


def explained(observation: np.ndarray, reward: np.ndarray, episode: np.ndarray) -> float:
    """How much of the reward what is seen tells: R squared of a guess that takes the reward of the most similar row elsewhere.

    Rows of the same episode are left out: they share whatever is hidden in it, and neighbours in time look alike anyway.

    Args:
        observation: (N, O), one row for each reward, entries in comparable units.
        reward: (N,), the reward that arrived with the row. episode: (N,), the number of the episode it belongs to.

    Returns:
        1 if what is seen decides the reward; 0 or below if it says nothing.
    """
    apart = ((observation[:, None] - observation[None]) ** 2).sum(-1)  # (N, N)
    apart[episode[:, None] == episode[None]] = np.inf
    guess = reward[apart.argmin(1)]
    return float(1 - ((reward - guess) ** 2).sum() / ((reward - reward.mean()) ** 2).sum())


def random_rows(world: str, steps: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random play: observations (N, O) in standard deviations of each entry, the rewards (N,) that arrived with them, episodes (N,).

    Raises:
        EnvError: the world breaks its promises.
    """
    observations, rewards, episodes = [], [], []
    for seed in range(steps):
        if len(rewards) >= steps:
            break
        played = play(world, seed, at_random(world, seed, SHORT))
        observations += played.observation[1:]
        rewards += played.reward
        episodes += [seed] * len(played.reward)
    rows = np.stack(observations)[:steps].astype(float)
    spread = rows.std(0)
    return (rows - rows.mean(0)) / np.where(spread > 0, spread, 1), np.array(rewards[:steps]), np.array(episodes[:steps])


def returns(world: str, policy: Callable[[np.ndarray, np.random.Generator], Any], episodes: int = 50, seed: int = 20_000) -> np.ndarray:
    """Returns (episodes,) of a policy of your own, from the reset seeds that an agent is measured at.

    Args:
        policy: called with the newest observation (O,) and a random generator; returns an action in the world's own units, a list or
            an array (A,), or a plain number where A is 1.

    Raises:
        EnvError: an episode does not end, an action does not fit, or the world or the policy raises an error.
    """
    env, found = made(world), []
    space = env.action_space
    for number in range(episodes):
        random, total, over, steps = np.random.default_rng(seed + number), 0.0, False, 0
        try:
            observation, _ = env.reset(seed=seed + number)
            while not over:
                chosen = fitted(policy(observation, random), space, "what the policy returns")
                action = np.clip(chosen, space.low, space.high).astype(space.dtype)
                observation, reward, terminated, truncated, _ = env.step(action)
                total, over, steps = total + float(reward), terminated or truncated, steps + 1
                if steps > 10 * LONGEST:
                    raise EnvError(f"an episode of {world} has not ended after {steps:,} steps: give gym.register a max_episode_steps")
        except EnvError:
            raise
        except THEIR_OWN as error:
            raise EnvError(f"{world} or the policy raised {told(error)} at step {steps + 1} of reset seed {seed + number}") from error
        found.append(total)
    return np.array(found)


def register(name: str, world: type[gym.Env], steps: int, stand_in: type[gym.Env] | None = None) -> None:
    """Make a world known to `gym.make` under `name`, in place of what was registered under it before.

    Args:
        name: as "Ferry-v0". steps: its time limit, after which an episode is truncated.
        stand_in: registered instead as long as `world` is a template whose step is still `...`; it is said so.

    Raises:
        EnvError: the name is not one that gymnasium takes, or is that of a world that comes with gymnasium or the course.
    """
    known = gym.registry.get(name)
    if known is not None and isinstance(known.entry_point, str):
        raise EnvError(f"{name} is the name of a world that is there already: choose another one, as MyWorld-v0")
    open_still = stand_in is not None and not attempted(world.step)
    gym.registry.pop(name, None)
    try:
        gym.register(name, stand_in if open_still else world, max_episode_steps=steps)
    except gym.error.Error as error:
        raise EnvError(f"{name!r} cannot be the name of a world, {first_line(error)}: choose one like MyWorld-v0") from None
    if open_still:
        print(f"{world.__name__} is not written yet: for now {stand_in.__name__} stands in under the name {name}.")

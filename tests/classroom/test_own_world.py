"""The checks for a learner's own world: a sound one passes, and each kind of broken one gets its own sentence."""

import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from dreamer_core import worlds
from dreamer_core.classroom import own_world
from dreamer_core.errors import EnvError
from dreamer_core.worlds.scene import Circle, Line, Scene

NAME = "OwnTestWorld-v0"


class Cart(gym.Env):
    """A cart on a rail that is pushed; sound in everything. Position (m), velocity (m/s); one push."""

    metadata = {"render_modes": []}
    names, units = ("position", "velocity"), ("m", "m/s")
    observation_space = Box(-90.0, 90.0, (2,))
    action_space = Box(-1.0, 1.0, (1,))
    limit = 50

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.velocity = (options or {}).get("start", self.np_random.uniform(-1, 1, 2))
        return self.look(), {}

    def step(self, action):
        self.velocity = 0.9 * self.velocity + 0.2 * float(action[0])
        self.position += 0.2 * self.velocity
        return self.look(), -abs(self.position), False, False, {}

    def look(self):
        return np.array([self.position, self.velocity], np.float32)

    def scene(self, observation):
        return Scene((-90, -1, 90, 1), (Line(-90, 0, 90, 0, "fixed", 1), Circle(float(observation[0]), 0, 0.5)))


@pytest.fixture
def registered():
    """Registers a world for one test."""

    def register(world):
        own_world.register(NAME, world, steps=world.limit)
        return NAME

    yield register
    gym.registry.pop(NAME, None)


def worlds_of_the_suite():
    names = [f"dreamer/{world}-v0" for world in worlds.WORLDS]
    return [name for name in names if len(gym.make(name).observation_space.shape) == 1]  # those that show a vector


@pytest.mark.parametrize("name", worlds_of_the_suite())
def test_every_world_of_the_suite_passes(name):
    found = own_world.examine(name)
    assert set(found) == set(own_world.CHECKS) and not any(found.values()), f"{name}: {[s for s in found.values() if s]}"


def test_a_sound_world_passes(registered, capsys):
    assert own_world.check(registered(Cart)), "a sound world does not pass"
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(own_world.CHECKS) and all(line.startswith("✓") for line in printed), printed


def test_a_world_without_a_drawing_of_its_own_fails_there_alone():
    found = own_world.examine("Pendulum-v1")
    assert [name for name, sentence in found.items() if sentence] == ["drawing"] and "add names = (...)" in found["drawing"]


# --- broken worlds: the check that must notice, and its sentence ---


class Choices(Cart):
    action_space = Discrete(3)


class Doubles(Cart):
    def look(self):
        return np.array([self.position, self.velocity])


class OneEntryMore(Cart):
    def look(self):
        return np.zeros(3, np.float32)


class OldInterface(Cart):
    def step(self, action):
        return super().step(action)[:4]


class NotANumber(Cart):
    def step(self, action):
        return self.look(), np.nan, False, False, {}


class Rewards(Cart):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, np.array([reward]), *rest


class TooNarrow(Cart):
    observation_space = Box(np.float32([-90, -0.5]), np.float32([90, 0.5]))


class Aliased(Cart):
    def reset(self, *, seed=None, options=None):
        self.shown = np.zeros(2, np.float32)
        return super().reset(seed=seed, options=options)

    def look(self):
        self.shown[:] = self.position, self.velocity
        return self.shown


class Unseeded(Cart):
    def step(self, action):
        self.position += np.random.normal()
        return super().step(action)


class UnseededReward(Cart):
    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(np.random.normal()), *rest


class LeftOver(Cart):
    velocity = 0.0

    def reset(self, *, seed=None, options=None):
        kept = self.velocity
        super().reset(seed=seed, options=options)
        self.velocity = kept
        return self.look(), {}


class CounterLeftOver(Cart):
    age = 0

    def step(self, action):
        self.age += 1
        observation, reward, *rest = super().step(action)
        return observation, reward - self.age, *rest


class Deaf(Cart):
    def step(self, action):
        return super().step([0.5])


class HalfDeaf(Cart):
    action_space = Box(-1.0, 1.0, (2,))


class Endless(Cart):
    limit = None


class LimitAsEnd(Cart):
    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.steps += 1
        observation, reward, *rest = super().step(action)
        return observation, reward, self.steps >= 30, False, {}


class LooksBefore(Cart):
    def step(self, action):
        before = self.look()
        return before, *super().step(action)[1:]


class NoNames(Cart):
    names = None


class UnitMissing(Cart):
    units = ("m",)


class NoScene(Cart):
    scene = None


class SamePicture(Cart):
    def scene(self, observation):
        return super().scene(np.zeros(2))


class OutOfView(Cart):
    def scene(self, observation):
        return Scene((-1, -1, 1, 1), (Circle(50.0, 0, 0.5),))


class WrongInk(Cart):
    def scene(self, observation):
        return Scene((-90, -1, 90, 1), (Circle(float(observation[0]), 0, 0.5, "red"),))


class SceneStops(Cart):
    def scene(self, observation):
        return observation[2]


class SceneWrites(Cart):
    def scene(self, observation):
        observation[0] = 0
        return Scene((-90, -1, 90, 1), ())


class SceneOfTheSimulator(Cart):
    def scene(self, observation):
        return Scene((-90, -1, 90, 1), (Circle(self.position, 0, 0.5),))


class UpsideDown(Cart):
    def scene(self, observation):
        return super().scene(observation)._replace(view=(-90, 1, 90, -1))


class NoComma(Cart):
    def scene(self, observation):
        return Scene((-90, -1, 90, 1), (Circle(float(observation[0]), 0, 0.5)))


class NoReturn(Cart):
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)


class NoBounds(Cart):
    action_space = Box(-np.inf, np.inf, (1,))


class NoScenery(Cart):
    def scene(self, observation):
        return "a cart"


BROKEN = [
    (Choices, "spaces", "has discrete actions"),
    (NoBounds, "spaces", "infinite action bounds: .*, so give its Box a lowest and a highest value, or wrap it"),
    (NoReturn, "interface", "returned nothing from reset at step 0 .*: end it with return observation, info"),
    (Doubles, "interface", r"at step 0 .* is made of float64, but the observation space says float32: end with .astype\(np.float32\)"),
    (OneEntryMore, "interface", r"an observation of shape \(3,\) where its space says \(2,\)"),
    (OldInterface, "interface", "in its step at step 1 .*: in gymnasium reset"),
    (NotANumber, "interface", "returned nan as the reward at step 1"),
    (Rewards, "interface", "it must be one real number"),
    (TooNarrow, "bounds", r"entry 1 \(velocity\) .* is -?\d.*, but its space goes from -0.5 to 0.5: widen the Box"),
    (Aliased, "copies", "the observation of step 0 changed after it had been returned"),
    (Unseeded, "seeds", r"entry 0 \(position\) of the observation at step 1, in two new environments: draw .* from self.np_random"),
    (UnseededReward, "seeds", "another reward at step 1, in two new environments"),
    (LeftOver, "fresh", r"entry 1 \(velocity\) .* step 0, in a new environment and in one that was used before: something is left"),
    (CounterLeftOver, "fresh", "another reward at step 1, in a new environment and in one that was used before"),
    (Deaf, "actions", "entry 0 of the action changes nothing"),
    (HalfDeaf, "actions", "entry 1 of the action changes nothing"),
    (Endless, "ends", "has not ended after 2,000 steps: give gym.register a time limit"),
    (LimitAsEnd, "ends", "all episodes terminate at step 30, whatever is done: that is a time limit"),
    (LooksBefore, "time", "the first step of every episode returns the observation that reset had returned"),
    (NoNames, "drawing", "the world has no names: add names"),
    (UnitMissing, "drawing", r"units is \('m',\), but the observation has 2 entries"),
    (NoScene, "drawing", "the world has no scene: add a method"),
    (SamePicture, "drawing", "scene draws the same picture for every observation"),
    (OutOfView, "drawing", "a Circle of the scene lies outside its view at step 0"),
    (WrongInk, "drawing", "the ink 'red' of a Circle does not exist: choose body, fixed, mark"),
    (SceneStops, "drawing", "scene raised IndexError"),
    (SceneOfTheSimulator, "drawing", "scene raised AttributeError .*: mend it, and let it draw from the observation alone"),
    (UpsideDown, "drawing", r"the view of the scene is \(-90, 1, 90, -1\) .*, left < right and bottom < top"),
    (NoComma, "drawing", "the parts of the scene are a single Circle at step 0 .*: put a comma behind it"),
    (SceneWrites, "drawing", "scene changed the observation that it was given"),
    (NoScenery, "drawing", r"scene returned 'a cart' .*: return a Scene\(view, parts\)"),
]


@pytest.mark.parametrize("world, check, sentence", BROKEN, ids=[world.__name__ for world, *_ in BROKEN])
def test_a_broken_world_gets_its_own_sentence(world, check, sentence, registered, capsys):
    name = registered(world)
    with pytest.raises(EnvError, match=sentence):
        own_world.CHECKS[check][1](name)
    found = own_world.examine(name)
    assert next(one for one, said in found.items() if said) == check, f"another check spoke first: {found}"
    assert not own_world.check(name), "a broken world passes"
    printed = capsys.readouterr().out
    assert f"✗ {check}" in printed and re.search(sentence, printed), "its sentence is not shown"


def test_what_stands_on_a_broken_interface_is_not_asked(registered):
    found = own_world.examine(registered(OldInterface))
    assert [name for name, said in found.items() if said is None] == list(own_world.CHECKS)[2:], found


def test_a_world_that_is_not_there():
    assert "there is no environment 'Nowhere-v0'" in own_world.examine("Nowhere-v0")["spaces"]


def test_a_question_keeps_its_mark(registered, capsys):
    registered(Cart)
    own_world.check(NAME.replace("Own", "Onw"))
    assert f"Did you mean: {NAME.partition('-')[0]}?\n" in capsys.readouterr().out


class Ends(Cart):
    """Ends for good where it is driven away from the middle, which takes longer from some places than from others."""

    def step(self, action):
        observation, reward, *_ = super().step(action)
        return observation, reward, abs(self.position) > 1.5, False, {}


def test_an_end_of_its_own_is_no_time_limit(registered):
    assert not any(own_world.examine(registered(Ends)).values()), own_world.examine(NAME)


# --- by hand ---


HAND = [-1.0, -0.9, -0.5, -0.3]


@pytest.mark.parametrize(
    "came, sentence",
    [
        (HAND, ""),
        ([-1.00001, -0.90001, -0.5, -0.3], ""),
        ([-2.0, -1.0, -0.9, -0.5], "one step late"),
        ([-0.9, -0.5, -0.3, 0.0], "one step early"),
        ([1.0, 0.9, 0.5, 0.3], "the other sign"),
        ([-1.0, -1.9, -2.4, -2.7], "sum of all rewards so far"),
        ([-0.2, -0.18, -0.1, -0.06], "every reward is 0.2 times yours"),
        ([0.0, 0.1, 0.5, 0.7], r"every reward differs by \+1:"),
        ([-1.0, -0.9], "ended after 2 of your 4 steps"),
        ([-1.0, -0.9, -0.4, -0.3], "that of step 3: -0.4 came, and -0.5 is yours"),
    ],
)
def test_what_differs_from_the_sheet_of_paper_is_named(came, sentence):
    said = own_world.compare(HAND, came)
    assert (said == "") == (sentence == "")
    assert not sentence or re.search(sentence, said), said


def test_equal_rewards_say_nothing_about_their_place():
    """A constant reward of the wrong size is no shift."""
    assert "2 times yours" in own_world.compare([1.0, 1.0, 1.0], [2.0, 2.0, 2.0])


def test_a_script_is_held_against_the_world(registered, capsys):
    """velocity 0.9 * 1 + 0.2 * 0.5 = 1, so position 0 + 0.2; then 0.9 - 0.2 = 0.7, and 0.34."""
    name, start = registered(Cart), {"start": (0.0, 1.0)}
    assert own_world.by_hand(name, [0.5, -1.0], [-0.2, -0.34], options=start)
    assert "the return is -0.54" in capsys.readouterr().out
    assert not own_world.by_hand(name, [0.5, -1.0], [0.0, -0.2], options=start)
    printed = capsys.readouterr().out
    assert "0, the first" not in printed and "The episode began at [0, 1]: is that" in printed, printed


@pytest.mark.parametrize(
    "actions, rewards, sentence",
    [
        ([0.5], [1.0, 2.0], "1 actions and 2 rewards"),
        ([], [], "0 actions and 0 rewards"),
        ([3.0], [1.0], "action 1 of the script is 3.0, outside"),
        ([[0.1, 0.2]], [1.0], r"action 1 of the script is \[0.1, 0.2\], but an action here has shape \(1,\)"),
    ],
)
def test_a_script_that_cannot_be_played(actions, rewards, sentence, registered):
    with pytest.raises(EnvError, match=sentence):
        own_world.by_hand(registered(Cart), actions, rewards)


class Boat(Cart):
    """Two entries of action, which count differently."""

    action_space = Box(-1.0, 1.0, (2,))

    def step(self, action):
        return super().step([action[0] - 0.5 * action[1]])


def test_one_number_is_no_action_of_two_entries(registered):
    name = registered(Boat)
    start = {"start": (0.0, 1.0)}
    assert own_world.by_hand(name, [[0.5, 0.0], [-0.5, 1.0]], [-0.2, -0.34], options=start)
    with pytest.raises(EnvError, match=r"^action 1 of the script is 0.5, but an action here has shape \(2,\): give a list"):
        own_world.by_hand(name, [0.5], [-0.2], options=start)
    with pytest.raises(EnvError, match=r"^what the policy returns is 0.5, but an action here has shape \(2,\): give a list"):
        own_world.returns(name, lambda seen, random: 0.5)
    as_list, as_array = (lambda seen, random: [0.5, 0.0]), (lambda seen, random: np.array([0.5, 0.0]))
    assert np.array_equal(own_world.returns(name, as_list, episodes=2), own_world.returns(name, as_array, episodes=2))


# --- what is asked of a sound world ---


def test_what_is_seen_explains_the_reward_or_does_not():
    rng = np.random.default_rng(0)
    seen, episode = rng.normal(size=(500, 2)), np.arange(500) // 20
    assert own_world.explained(seen, seen[:, 0] - seen[:, 1], episode) > 0.95, "a reward that is seen"
    assert own_world.explained(seen, rng.normal(size=500), episode) < -0.4, "a reward that is not seen"


def test_rows_of_the_same_episode_give_nothing_away():
    """Each episode has a reward of its own, which is not seen: within an episode the nearest row would tell it."""
    rng = np.random.default_rng(0)
    episode = np.arange(400) // 20
    seen = np.stack([episode * 0.01 + 0.001 * rng.normal(size=400), rng.normal(size=400)], -1)
    assert own_world.explained(seen, rng.normal(size=20)[episode], episode) < 0.3, "rows of the same episode were asked"


def test_a_hidden_goal_shows_in_random_play(registered):
    class Hidden(Cart):
        def reset(self, *, seed=None, options=None):
            self.goal = 0.0
            observation, info = super().reset(seed=seed, options=options)
            self.goal = self.np_random.uniform(-5, 5)
            return observation, info

        def step(self, action):
            observation, *_ = super().step(action)
            return observation, -abs(self.position - self.goal), False, False, {}

    plain, hidden = (own_world.explained(*own_world.random_rows(registered(world))) for world in (Cart, Hidden))
    assert plain > 0.8 > 0.3 > hidden, f"{plain} and {hidden}"


def test_returns_are_those_of_the_policy_from_the_seeds_of_an_evaluation(registered):
    """A cart that is not pushed rolls out: position + 0.2 v (0.9 + 0.81 + ...)."""
    found = own_world.returns(registered(Cart), lambda seen, random: 0.0, episodes=3)
    by_hand = []
    for seed in (20_000, 20_001, 20_002):
        position, velocity = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed))).uniform(-1, 1, 2)
        places = position + 0.2 * velocity * np.cumsum(0.9 ** np.arange(1, 51))
        by_hand.append(-np.abs(places).sum())
    assert found == pytest.approx(by_hand), f"{found}, by hand {by_hand}"
    drawn = [own_world.returns(NAME, lambda seen, random: random.uniform(-1, 1), episodes=2) for _ in range(2)]
    assert np.array_equal(*drawn), "the same seeds draw another policy"


def test_a_policy_that_stops_is_named(registered):
    with pytest.raises(EnvError, match="or the policy raised IndexError .* at step 1 of reset seed 20000"):
        own_world.returns(registered(Cart), lambda seen, random: seen[7])


# --- registering ---


class Template(gym.Env):
    def step(self, action): ...  # your code


def test_a_template_is_stood_in_for_until_it_is_written(registered, capsys):
    own_world.register(NAME, Template, steps=50, stand_in=Cart)
    assert isinstance(gym.make(NAME).unwrapped, Cart) and "Template is not written yet" in capsys.readouterr().out
    own_world.register(NAME, Doubles, steps=20, stand_in=Cart)
    assert isinstance(gym.make(NAME).unwrapped, Doubles) and capsys.readouterr().out == "", "the newest one does not count"
    assert gym.spec(NAME).max_episode_steps == 20
    gym.registry.pop(NAME)


def test_a_name_that_is_taken_or_cannot_be_one():
    with pytest.raises(EnvError, match="Pendulum-v1 is the name of a world that is there already"):
        own_world.register("Pendulum-v1", Cart, steps=50)
    assert isinstance(gym.spec("Pendulum-v1").entry_point, str), "Pendulum was replaced"
    with pytest.raises(EnvError, match="cannot be the name of a world"):
        own_world.register("my world!", Cart, steps=50)

"""Playing in the dream: the rules of the game, and what the kernel answers to the browser."""

import base64
import json
import math

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from toys import small

from dreamer_core import envs, worlds
from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.errors import ConfigError, DreamerError, EnvError
from dreamer_core.viz.canvas import plain
from dreamer_core.viz.dream import Episode, act_out
from dreamer_core.viz.error_growth import rms_error
from dreamer_core.viz.game import DreamGame
from dreamer_core.viz.play import Play, answer, facts_of, film, filmstrip, filmstrip_alt
from dreamer_core.worlds.scene import Line, Scene, outline

ROWS = 12


def simulator(state=None):
    """gymnasium's own Pendulum, without any of our wrappers."""
    env = gym.make("Pendulum-v1")
    observation, _ = env.reset(seed=3)
    if state is not None:
        env.unwrapped.state = np.array(state)
    return env, observation


def recorded(rows=ROWS):
    """A real episode under random pushes in [-1, 1]."""
    env, observation = simulator()
    observations, actions, rewards = [observation], [], []
    for push in np.random.default_rng(0).uniform(-1, 1, rows - 1).astype(np.float32):
        observation, reward, *_ = env.step([2 * push])
        observations.append(observation)
        actions.append([push])
        rewards.append(reward)
    return Episode(np.stack(observations), np.array(actions, np.float32), np.array(rewards, np.float32), seed=3)


def dreamer(**changes):
    agent = Dreamer(small(env="Pendulum-v1", **changes), 3, 1)
    agent.model.centre.copy_(torch.tensor([0.1, -0.2, 0.5]))
    agent.model.scale.copy_(torch.tensor([0.5, 2.0, 4.0]))
    return agent


def game(**kwargs):
    return DreamGame(dreamer(), recorded(), dreams=4, **kwargs)


def same(left, right):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(left, right, strict=True))


class Shaft(gym.Env):
    """A lift, made up here: height and velocity; pushed up or down, with a fair wind of its own luck; over at the top."""

    names, units, seconds = ("height", "velocity"), ("m", "m/s"), 0.1
    observation_space, action_space = Box(-20, 20, (2,)), Box(-3, 3, (1,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = np.array([self.np_random.uniform(1, 2), 0.0])
        return self.state.astype(np.float32), {}

    def step(self, action):
        self.state[1] += 0.1 * float(action[0]) + self.np_random.normal(0, 0.02)
        self.state[0] += 0.1 * self.state[1]
        return self.state.astype(np.float32), -abs(self.state[0] - 5), bool(self.state[0] > 6), False, {}

    def scene(self, observation):
        height = float(observation[0])
        return Scene((-2, -1, 2, 8), (Line(-1, 0, -1, 7, "fixed"), Line(-1, height, 1, height)))


class Sealed(Shaft):
    """The same, and it cannot be copied."""

    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle a window")


class Shared(Shaft):
    """The same, with a copy that is no copy: both change one state."""

    def __deepcopy__(self, memo):
        return self


gym.register("Shaft-v0", Shaft, max_episode_steps=40)
gym.register("Sealed-v0", Sealed, max_episode_steps=40)
gym.register("Shared-v0", Shared, max_episode_steps=40)
DISCRETE = dict(actor_critic="dreamerv3", dreamerv3=dict(actor="categorical"))
EVERY = [
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    *(f"dreamer/{name}-v0" for name in worlds.WORLDS),
    "Shaft-v0",
    "Sealed-v0",
]
EVERY = [(name, {}) for name in EVERY]
EVERY += [("Pendulum-v1", dict(wrappers=dict(hide=(2,)))), ("Pendulum-v1", dict(wrappers=dict(action_repeat=2, observation_scale=10.0)))]
EVERY += [(name, DISCRETE) for name in ("CartPole-v1", "MountainCar-v0", "Acrobot-v1")]


def anywhere(name, changes, rows=ROWS, **kwargs):
    """A game in any world, after a few random steps in it."""
    config = small(env=name, **changes)
    env = envs.make_for(config)
    size = env.action_space.shape[0]
    random = np.random.default_rng(0).uniform(-1, 1, (rows - 1, size)).astype(np.float32)
    actions = np.eye(size, dtype=np.float32)[random.argmax(-1)] if envs.is_discrete(env) else random
    agent = Dreamer(config, env.observation_space.shape, size)
    return DreamGame(agent, act_out(env, 3, actions), dreams=4, **kwargs), env


def chosen(game, value):
    """An action of this game, far to one side or the other, as it is given by hand; and as the world's wrapper takes it."""
    if game.levers.choices:
        number = len(game.levers.choices) - 1 if value > 0 else 0
        return number, np.eye(len(game.levers.choices), dtype=np.float32)[number]
    return [value] * len(game.levers.entries), np.full(len(game.levers.entries), value, np.float32)


# --- the world ------------------------------------------------------------------------------------


def test_the_world_is_gymnasiums_pendulum_step_for_step():
    one = game()
    frame = one.reset(5)
    cosine, sine, velocity = frame.world.astype(float)
    env, _ = simulator((math.atan2(sine, cosine), velocity))
    one.resume()
    for push in (1.0, 1.0, -0.3, 0.0, -1.0):
        frame = one.step(push)
        observation, reward, *_ = env.step(np.array([2 * push]))
        assert frame.world == pytest.approx(observation, abs=1e-5)
        assert frame.reward == pytest.approx(reward, abs=1e-5)


@pytest.mark.parametrize(("name", "changes"), EVERY)
def test_any_world_goes_on_from_a_recorded_row_and_comes_back(name, changes):
    """Step for step what the environment does that was reset alike, and the same again after a branch; the other branch is the ghost."""
    one, env = anywhere(name, changes)
    row = min(6, one.rows - 2)
    frame = one.reset(row)
    found = env.reset(seed=3)[0]
    for action in one.episode.action[:row]:
        found = env.step(action)[0]
    np.testing.assert_array_equal(frame.world, found)
    by_hand, action = chosen(one, 1.0)
    one.resume()
    first = [one.step(by_hand) for _ in range(3)]
    real = [env.step(action) for _ in range(3)]
    for frame, (observation, reward, terminated, _, _) in zip(first, real):
        np.testing.assert_array_equal(frame.world, observation)
        np.testing.assert_array_equal(frame.action, action)
        assert (frame.reward, frame.over) == (reward, terminated)
    one.freeze()
    kept = one.frame
    past = [one.resume(), *(one.step(by_hand) for _ in range(4))][1:]
    assert same(one.branch(), kept)
    again = [one.resume(), *(one.step(by_hand) for _ in range(4))][1:]
    assert all(same(a, b) for a, b in zip(past, again, strict=True)), "the same actions from the same state led elsewhere"
    one.branch()
    assert [frame.step for frame in one.ghost] == [3, 4, 5, 6, 7]
    one.resume()
    other = [one.step(chosen(one, -1.0)[0]) for _ in range(4)]
    assert not np.array_equal(other[-1].dreams, again[-1].dreams)


@pytest.mark.parametrize(("name", "copies"), [("Shaft-v0", True), ("Sealed-v0", False), ("Shared-v0", False)])
def test_a_world_that_cannot_be_copied_is_played_again(name, copies):
    """Also one whose copies are none. The way back is the same, luck and all."""
    one, _ = anywhere(name, {})
    assert one.simulator.copies is copies
    first = drive(one, [0.5] * 20)
    for _ in range(2):
        one.branch()
        assert all(same(a, b) for a, b in zip(first, drive(one, [0.5] * 20), strict=True))


def test_a_world_that_is_over_stays_so_and_the_dream_goes_on():
    one, _ = anywhere("Shaft-v0", {})
    frames = drive(one, [1.0] * 60)
    end = next(frame.step for frame in frames if frame.over)
    assert 5 < end < 50
    last, after = frames[end - 1], frames[end]
    assert math.isfinite(last.reward) and math.isfinite(last.drift), "the last reward came with its row"
    assert np.array_equal(after.world, last.world) and math.isnan(after.reward) and math.isnan(after.drift) and after.over
    assert not np.array_equal(after.dreams, last.dreams) and math.isfinite(after.dreamt_reward)
    wire = answer(one, {"kind": "step", "action": [1.0]})["frame"]
    assert wire["over"] and wire["drift"] is wire["reward"] is None and wire["off"] == ""
    assert not one.branch().over


def test_the_age_of_the_world_is_that_of_the_episode():
    """After 1,500 steps the pendulum is another one."""
    config = small(env="dreamer/ChangingPendulum-v0")
    env, agent = envs.make_for(config), Dreamer(config, 3, 1)
    actions = np.full((ROWS, 1), 1.0, np.float32)
    for age in (0, 1500):
        one = DreamGame(agent, act_out(env, 3, actions, age), dreams=2)
        found = drive(one, [1.0] * 5)[-1]
        np.testing.assert_array_equal(found.world, one.episode.observation[5])
    assert not np.array_equal(found.world, act_out(env, 3, actions, 0).observation[5])


def test_an_episode_that_cannot_be_found_again_cannot_be_played():
    """Of another world, of another seed, of no seed at all, or of a world whose luck hangs on no seed."""
    words = refused(EnvError, lambda: DreamGame(dreamer(), recorded()._replace(seed=None)))
    assert "which reset" in words and "viz.dream.play" in words
    assert "seed 4" in refused(EnvError, lambda: DreamGame(dreamer(), recorded()._replace(seed=4)))
    hidden = recorded()._replace(observation=recorded().observation[:, :2])
    assert "sees 3 numbers" in refused(EnvError, lambda: DreamGame(dreamer(), hidden))
    changed = recorded().observation.copy()
    changed[7] += 1
    one = DreamGame(dreamer(), recorded()._replace(observation=changed))
    assert "row 7" in refused(EnvError, lambda: one.reset(7))


@pytest.mark.parametrize("row", [0, 1, 7, ROWS - 1])
def test_a_reset_puts_the_world_into_the_recorded_state(row):
    one = game()
    frame = one.reset(row)
    assert frame.world == pytest.approx(one.episode.observation[row], abs=1e-6)
    assert (frame.step, float(frame.action[0]), one.row, one.frozen, one.ghost, len(one.trail)) == (0, 0, row, True, [], 1)
    assert math.isnan(frame.reward) if row == 0 else frame.reward == pytest.approx(one.episode.reward[row - 1])


def test_recorded_pushes_lead_along_the_recorded_episode():
    one = game()
    one.reset(2)
    one.resume()
    for row in range(2, ROWS - 1):
        assert one.step(float(one.episode.action[row, 0])).world == pytest.approx(one.episode.observation[row + 1], abs=1e-5)


def test_time_goes_on_past_the_end_of_an_episode():
    one = game()
    one.resume()
    for _ in range(230):
        frame = one.step(0.5)
    assert frame.step == 230 and np.isfinite(frame.world).all()


# --- the dream ------------------------------------------------------------------------------------


@pytest.mark.parametrize("latent", ["gaussian", "categorical"])
def test_the_dream_is_the_models_own_step(latent):
    """h by the GRU from the z that was drawn, z from the prior at the new h; everything seen is decoded from (h, z)."""
    agent = dreamer(model=dict(latent=latent))
    one = DreamGame(agent, recorded(), dreams=4)
    rssm = agent.model.rssm
    one.reset(3)
    one.resume()
    for push in (0.7, -0.2):
        h, z = one.now.h, one.now.z
        frame = one.step(push)
        with torch.no_grad():
            torch.testing.assert_close(one.now.h, rssm.step(h, z, torch.full((4, 1), push)))
            features = torch.cat([one.now.h, one.now.z], -1)
            decoded = agent.model.decode(features)
            mean, _ = agent.model.predict_reward(features)
        np.testing.assert_allclose(frame.dreams, decoded, rtol=1e-5)
        assert frame.dreamt_reward == pytest.approx(float(mean[0]), rel=1e-5)


def test_dreamt_z_is_a_draw_from_the_prior():
    """Standardised by the prior's mean and std, the z of many dreams is noise of mean 0 and spread 1."""
    agent = dreamer()
    one = DreamGame(agent, recorded(), dreams=4000)
    one.resume()
    noises = []
    for push in (0.3, 0.3):
        one.step(push)
        with torch.no_grad():
            mean, raw = agent.model.rssm.prior(one.now.h).chunk(2, -1)
        noises.append((one.now.z - mean) / (torch.log1p(torch.exp(raw)) + 0.1))
    noise = torch.cat(noises)
    torch.testing.assert_close(noise.mean(0), torch.zeros(3), atol=0.07, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.ones(3), atol=0.07, rtol=0)
    assert abs((noises[0] * noises[1]).mean()) < 0.05  # each step has luck of its own


def test_the_belief_at_a_row_knows_the_past_and_only_the_past():
    """Another future changes nothing; another past changes it; and h follows from the row before."""
    episode, agent = recorded(), dreamer()
    later, earlier = episode.observation.copy(), episode.observation.copy()
    later[7:] += 1.0
    earlier[2] += 1.0
    plain, other_future, other_past = (DreamGame(agent, episode._replace(observation=o), 4) for o in (episode.observation, later, earlier))
    for one in (plain, other_future, other_past):
        one.reset(6)
    assert torch.equal(plain.now.h, other_future.now.h) and torch.equal(plain.now.z, other_future.now.z)
    assert not torch.allclose(plain.now.h, other_past.now.h)
    h, z = plain.beliefs
    with torch.no_grad():
        torch.testing.assert_close(h[:, 6], agent.model.rssm.step(h[:, 5], z[:, 5], torch.from_numpy(episode.action[5]).expand(4, 1)))


def test_predicted_reward_is_in_the_units_of_the_world():
    """The model is trained on scaled rewards."""
    frames = []
    for scale in (1.0, 0.1):
        torch.manual_seed(1)
        frames.append(DreamGame(dreamer(sac=dict(reward_scale=scale)), recorded(), 2).reset(4))
    assert frames[1].dreamt_reward == pytest.approx(10 * frames[0].dreamt_reward, rel=1e-5)


def test_drift_and_uncertainty_by_hand():
    """In units of the model's scale, here 0.5, 2 and 4: entries off by 0.5, 4 and 4 are 1, 2 and 1 of them apart."""
    assert rms_error(np.array([0.5, -4.0, 4.0]), np.zeros(3), np.array([0.5, 2.0, 4.0])) == pytest.approx(math.sqrt((1 + 4 + 1) / 3))
    one = game()
    frame = one.reset(6)
    with torch.no_grad():
        dreamt = one.agent.model.decode(torch.cat([one.now.h, one.now.z], -1)).numpy()
    scale = np.array([0.5, 2.0, 4.0])
    off = (dreamt[0] - one.episode.observation[6]) / scale
    spread = (dreamt - dreamt.mean(0)) / scale
    assert frame.drift == pytest.approx(math.sqrt((off**2).sum() / 3), rel=1e-4)
    assert frame.uncertainty == pytest.approx(math.sqrt((spread**2).sum() / 3 / 3), rel=1e-4)  # 4 dreams: divided by 3


def test_a_dream_in_pictures_is_decoded_and_its_drift_is_a_share_of_white():
    """The bytes of the world, the decoder's numbers for the dream; the drift by hand over all pixels, 255 to the unit."""
    one, _ = anywhere("dreamer/PixelPendulum-v0", {})
    frame = drive(one, [1.0] * 3)[-1]
    with torch.no_grad():
        decoded = one.agent.model.decode(torch.cat([one.now.h, one.now.z], -1)).numpy()
    assert frame.world.shape == (32, 32, 1) and frame.world.dtype == np.uint8
    np.testing.assert_allclose(frame.dreams, decoded, rtol=1e-5)
    assert frame.drift == pytest.approx(np.sqrt(np.square((decoded[0] - frame.world.astype(float)) / 255).mean()), rel=1e-4)
    spread = (decoded - decoded.mean(0)) / 255
    assert frame.uncertainty == pytest.approx(math.sqrt((spread**2).sum() / 1024 / 3), rel=1e-4)  # 4 dreams: divided by 3
    assert "share of white" in facts_of(one)["unit"]["short"] and "standard deviation" in facts_of(game())["unit"]["words"]
    sent = answer(one, {"kind": "look"})["trail"][-1]["scenes"]["world"]["parts"]
    ((kind, *place, pixels, _),) = sent
    assert (kind, place, pixels["shape"]) == ("picture", [0, 0, 32, 32], [32, 32, 1])
    assert base64.b64decode(pixels["data"]) == frame.world.tobytes(), "other pixels were sent than seen"


# --- freezing, branching, handing over ------------------------------------------------------------


def test_frozen_time_stands_still():
    one = game()
    before = one.frame
    assert one.step(1.0) is before  # as after every reset
    one.resume()
    one.step(1.0)
    one.freeze()
    frame, now, state = one.frame, one.now, tuple(one.simulator.env.unwrapped.state)
    one.step(-1.0)
    assert one.frame is frame and one.now is now and tuple(one.simulator.env.unwrapped.state) == state and len(one.trail) == 2


def drive(one, pushes):
    one.resume()
    return [one.step(push) for push in pushes]


def test_a_branch_starts_from_the_marked_state_and_differs_by_its_pushes_alone():
    one = game()
    drive(one, [0.5, 0.5, -0.5])
    one.freeze()
    marked, past = one.now, list(one.trail)
    first = drive(one, [1.0, 1.0, 1.0, 1.0])
    torch.randn(5)  # luck does not hang on the global generator
    assert same(one.branch(), marked.frame) and one.frozen
    assert torch.equal(one.now.h, marked.h) and torch.equal(one.now.z, marked.z)
    assert all(same(a, b) for a, b in zip(one.trail, past, strict=True))
    assert [frame.step for frame in one.ghost] == [3, 4, 5, 6, 7]
    again = drive(one, [1.0, 1.0, 1.0, 1.0])
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    one.branch()
    other = drive(one, [-1.0, -1.0])
    assert not np.array_equal(other[-1].world, first[1].world) and not np.array_equal(other[-1].dreams, first[1].dreams)
    assert same(one.ghost[1], first[0])


def test_a_branch_before_anything_was_played_keeps_the_ghost():
    one = game()
    drive(one, [1.0, 1.0])
    one.branch()
    one.branch()
    assert len(one.ghost) == 3 and one.frame.step == 0


def test_luck_depends_on_the_seed_and_leaves_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    agent, episode = dreamer(), recorded()
    torch.manual_seed(5)
    games = [DreamGame(agent, episode, 4, seed=seed) for seed in (1, 1, 2)]
    a, b, c = [drive(one, [0.1, 0.1])[-1] for one in games]
    assert torch.equal(torch.randn(3), expected)
    assert np.array_equal(a.dreams, b.dreams) and not np.array_equal(a.dreams, c.dreams)
    assert np.array_equal(a.world, c.world)


def test_the_actor_drives_on_what_is_dreamt():
    """Its action is tanh of its mean at the dreamt (h, z), for both; what is given by hand counts for nothing until it is taken back."""
    one = game()
    one.reset(4)
    one.actor = True
    with torch.no_grad():
        expected = float(torch.tanh(one.agent.sac.actor(torch.cat([one.now.h[0], one.now.z[0]]))[0]))
    cosine, sine, velocity = one.frame.world.astype(float)
    env, _ = simulator((math.atan2(sine, cosine), velocity))
    observation, *_ = env.step(np.array([2 * expected]))
    (frame,) = drive(one, [1.0])
    assert frame.action == pytest.approx([expected], abs=1e-6)
    assert frame.world == pytest.approx(observation, abs=1e-5)
    one.actor = False
    assert one.step(1.0).action == 1.0


# --- refusals -------------------------------------------------------------------------------------


def refused(kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert issubclass(kind, DreamerError) and len(str(caught.value)) > 30
    return str(caught.value)


def test_what_cannot_be_played_is_refused_in_a_sentence():
    free = ModelFree(small(env="Pendulum-v1", agent="sac"), 3, 1)
    assert "world model" in refused(ConfigError, lambda: DreamGame(free, recorded()))
    assert "2 dreams" in refused(ConfigError, lambda: DreamGame(dreamer(), recorded(), dreams=1))
    one = game()
    for row in (-1, ROWS):
        assert f"0 to {ROWS - 1}" in refused(ConfigError, lambda row=row: one.reset(row))
    for push in (1.5, -2.0, math.nan, "left", [0.1, 0.2], None):
        assert str(push) in refused(ConfigError, lambda push=push: one.step(push))
    two, _ = anywhere("dreamer/PointMass-v0", {})
    for push in (0.5, [0.5], [0.5, 1.5]):
        assert "2 numbers" in refused(ConfigError, lambda push=push: two.step(push))
    cart, _ = anywhere("CartPole-v1", DISCRETE)
    for choice in (2, -1, 0.5, [1, 0]):
        assert "0 to 1 (push left, push right)" in refused(ConfigError, lambda choice=choice: cart.step(choice))


class Six(gym.Env):
    """Six entries to choose: more than there are keys for."""

    observation_space, action_space = Box(-1, 1, (2,)), Box(-1, 1, (6,))

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


gym.register("Six-v0", Six, max_episode_steps=20)


def test_six_levers_are_played_with_sliders():
    one, _ = anywhere("Six-v0", {})
    assert len(Play(one.agent, one.episode).facts["levers"]["entries"]) == 6
    one.resume()
    assert one.step(np.zeros(6)).step == 1


# --- what the browser hears -----------------------------------------------------------------------


def test_every_message_has_its_answer():
    one = game()
    scene = answer(one, {"kind": "look"})
    assert scene["kind"] == "game" and scene["frozen"] and not scene["actor"] and scene["trail"][0]["reward"] is None
    assert not answer(one, {"kind": "resume"})["frozen"]
    for step in (1, 2, 3):
        reply = answer(one, {"kind": "step", "action": 1})
        assert reply["kind"] == "frame" and reply["frame"]["step"] == step and len(reply["frame"]["scenes"]["others"]) == 3
    scene = answer(one, {"kind": "branch"})
    assert [frame["step"] for frame in scene["ghost"]] == [0, 1, 2, 3] and scene["mark"] == 0
    assert answer(one, {"kind": "actor", "on": True})["actor"]
    scene = answer(one, {"kind": "reset", "row": 5})
    assert scene["row"] == 5 and len(scene["trail"]) == 1 and scene["ghost"] == []
    assert "rows 0 to" in answer(one, {"kind": "reset", "row": 500})["text"]
    assert one.row == 5
    json.dumps(scene, allow_nan=False)  # the browser knows no nan


@pytest.mark.parametrize(("name", "changes"), EVERY)
def test_what_is_sent_is_drawn_as_the_world_says(name, changes):
    """World and dream whole, the other dreams and the ghosts as thin lines; whatever the world, JSON can write it."""
    one, _ = anywhere(name, changes)
    by_hand, action = chosen(one, 1.0)
    one.resume()
    for _ in range(3):
        frame = answer(one, {"kind": "step", "action": by_hand})["frame"]
    look, seen = one.drawing.scene, one.frame
    assert frame["scenes"]["world"] == plain(look(seen.world)) and frame["scenes"]["dream"] == plain(look(seen.dreams[0]))
    assert frame["scenes"]["real"] == plain(outline(look(seen.world)))
    assert frame["scenes"]["others"] == [plain(outline(look(dream))) for dream in seen.dreams[1:]]
    assert frame["action"] == action.tolist()
    back = answer(one, {"kind": "branch"})
    assert back["ghost"][3]["scenes"] == {"world": frame["scenes"]["real"], "dream": plain(outline(look(seen.dreams[0])))}
    assert "scenes" not in answer(one, {"kind": "freeze"})["trail"][:-1], "old frames are drawn in the charts alone"
    facts = facts_of(one)
    assert len(frame["world"]) == len(frame["dream"]) == len(facts["charts"])
    assert len(facts["charts"]) in ((0,) if "Pixel" in name else (1, 2)), "a pixel is no entry with a name"
    json.dumps([frame, back, facts], allow_nan=False)


def test_charts_of_a_pendulum_by_hand():
    """Its angle in degrees, which jumps where it goes round; its velocity as it is."""
    one = game()
    frame = answer(one, {"kind": "look"})["trail"][-1]
    cosine, sine, velocity = one.frame.world.astype(float)
    assert frame["world"] == pytest.approx([math.degrees(math.atan2(sine, cosine)), velocity], rel=1e-3)
    angle, speed = facts_of(one)["charts"]
    assert (angle["label"], angle["low"], angle["high"], angle["turn"]) == ("angle (°)", -180, 180, 360) and speed["turn"] is None


def test_a_page_runs_in_the_worlds_own_time_where_that_can_be_watched():
    facts = {name: facts_of(anywhere(name, changes)[0]) for name, changes in EVERY if "wrappers" not in changes}
    assert (facts["Pendulum-v1"]["seconds"], facts["Pendulum-v1"]["pace"]) == (0.05, 0.05)
    assert (facts["CartPole-v1"]["seconds"], facts["CartPole-v1"]["pace"]) == (0.02, 0.04), "50 steps a second are too fast for hands"
    assert (facts["dreamer/WaterTanks-v0"]["seconds"], facts["dreamer/WaterTanks-v0"]["pace"]) == (1.0, 0.2), "a step a second is too slow"
    assert (facts["dreamer/Recall-v0"]["seconds"], facts["dreamer/Recall-v0"]["pace"]) == (None, 0.05), "a world without seconds"


def test_the_widget_answers_what_it_is_sent():
    widget = Play(dreamer(), recorded(), row=3)
    sent = []
    widget.send = sent.append
    widget._handle_custom_msg({"kind": "look"}, [])
    assert sent[0]["row"] == 3 and widget.facts["rows"] == ROWS
    assert "export default" in widget._esm and ".dream-play" in widget._css
    assert not {"http:", "https:"} & set(widget._esm.replace("/", " ").split())  # nothing comes from a network


# --- the filmstrip --------------------------------------------------------------------------------


def test_the_film_leaves_the_game_at_its_start():
    one = game()
    one.reset(3)
    before = one.frame
    frames = film(one)
    assert [frame.step for frame in frames] == list(range(len(frames))) and same(frames[0], before)
    assert same(one.frame, before) and one.frozen and not one.actor and one.ghost == []


def test_the_filmstrip_draws_what_it_is_given():
    one = game()
    frames = film(one)
    figure = filmstrip(one, frames, pictures=3)
    for column, frame in enumerate([frames[0], frames[len(frames) // 2], frames[-1]]):
        for row, (cosine, sine, _) in enumerate([frame.world, frame.dreams[0]]):
            lines = [line for line in figure.axes[3 * row + column].lines if len(line.get_xdata()) == 2]
            np.testing.assert_allclose(lines[0].get_xydata(), [[0, 0], [-sine, cosine]], atol=1e-6)
            others = [line for line in lines if line.get_alpha() == 0.35]
            assert len(others) == (0 if row == 0 else 3)
    assert f"{frames[-1].drift:.2f}" in filmstrip_alt(one, frames)


@pytest.mark.parametrize(("name", "changes"), EVERY)
def test_there_is_a_filmstrip_of_every_world(name, changes):
    one, _ = anywhere(name, changes)
    frames = film(one)
    figure = filmstrip(one, frames, pictures=3)
    words = filmstrip_alt(one, frames)
    assert one.drawing.world in words and "nan" not in words
    assert all(axis.lines or axis.patches or axis.images for axis in figure.axes), "an empty picture"
    plt.close(figure)


def test_what_is_shown_is_the_filmstrip_and_then_the_widget(monkeypatch):
    """So a page without a kernel, which can show HTML only, has the picture and its text."""
    shown = []
    monkeypatch.setattr("dreamer_core.viz.play.display", lambda content, **_: shown.append(content))
    widget = Play(dreamer(), recorded())
    widget._ipython_display_()
    still, live = shown
    assert '<img alt="Filmstrip of' in still.data and widget.facts["still"] in still.data
    assert live["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert live["text/html"] == ""

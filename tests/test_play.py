"""Playing in the dream: the rules of the game, and what the kernel answers to the browser."""

import json
import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from toys import small

from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.errors import ConfigError, DreamerError, EnvError
from dreamer_core.viz.dream import Episode
from dreamer_core.viz.error_growth import rms_error
from dreamer_core.viz.game import DreamGame
from dreamer_core.viz.play import Play, answer, film, filmstrip, filmstrip_alt

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
    return Episode(np.stack(observations), np.array(actions, np.float32), np.array(rewards, np.float32))


def dreamer(**changes):
    agent = Dreamer(small(env="Pendulum-v1", **changes), 3, 1)
    agent.model.centre.copy_(torch.tensor([0.1, -0.2, 0.5]))
    agent.model.scale.copy_(torch.tensor([0.5, 2.0, 4.0]))
    return agent


def game(**kwargs):
    return DreamGame(dreamer(), recorded(), dreams=4, **kwargs)


def same(left, right):
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(left, right, strict=True))


# --- the world ------------------------------------------------------------------------------------


def test_the_world_is_gymnasiums_pendulum_step_for_step():
    one = game()
    frame = one.reset(5)
    env, _ = simulator(frame.world)
    one.resume()
    for push in (1.0, 1.0, -0.3, 0.0, -1.0):
        frame = one.step(push)
        observation, reward, *_ = env.step(np.array([2 * push]))
        assert frame.world == pytest.approx(env.unwrapped.state, abs=1e-6)
        assert (math.cos(frame.world[0]), math.sin(frame.world[0]), frame.world[1]) == pytest.approx(observation, abs=1e-6)
        assert frame.reward == pytest.approx(reward, abs=1e-6)


def test_an_episode_of_another_world_cannot_be_played():
    for observation in (np.ones((ROWS, 3), np.float32), recorded().observation[:, :2]):
        with pytest.raises(DreamerError, match="the game draws a pendulum|record the whole observation"):
            DreamGame(dreamer(), recorded()._replace(observation=observation), dreams=4)


@pytest.mark.parametrize("row", [0, 1, 7, ROWS - 1])
def test_a_reset_puts_the_world_into_the_recorded_state(row):
    one = game()
    frame = one.reset(row)
    angle, velocity = frame.world
    assert (math.cos(angle), math.sin(angle), velocity) == pytest.approx(one.episode.observation[row], abs=1e-6)
    assert (frame.step, frame.action, one.row, one.frozen, one.ghost, len(one.trail)) == (0, 0, row, True, [], 1)
    assert math.isnan(frame.reward) if row == 0 else frame.reward == pytest.approx(one.episode.reward[row - 1])


def test_recorded_pushes_lead_along_the_recorded_episode():
    one = game()
    one.reset(2)
    one.resume()
    for row in range(2, ROWS - 1):
        angle, velocity = one.step(float(one.episode.action[row, 0])).world
        assert (math.cos(angle), math.sin(angle), velocity) == pytest.approx(one.episode.observation[row + 1], abs=1e-5)


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
            cos, sin, velocity = agent.model.decode(features).unbind(-1)
            mean, _ = agent.model.predict_reward(features)
        np.testing.assert_allclose(frame.dreams[:, 0], torch.atan2(sin, cos), rtol=1e-5)
        np.testing.assert_allclose(frame.dreams[:, 1], velocity, rtol=1e-5)
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


# --- freezing, branching, handing over ------------------------------------------------------------


def test_frozen_time_stands_still():
    one = game()
    before = one.frame
    assert one.step(1.0) is before  # as after every reset
    one.resume()
    one.step(1.0)
    one.freeze()
    before = one.frame, tuple(one.env.unwrapped.state), one.now
    one.step(-1.0)
    assert (one.frame, tuple(one.env.unwrapped.state), one.now) == before and len(one.trail) == 2


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
    assert other[-1].world != first[1].world and not np.array_equal(other[-1].dreams, first[1].dreams)
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
    assert a.world == c.world


def test_the_actor_drives_on_what_is_dreamt():
    """Its action is tanh of its mean at the dreamt (h, z), for both; what is given by hand counts for nothing until it is taken back."""
    one = game()
    one.reset(4)
    one.actor = True
    with torch.no_grad():
        expected = float(torch.tanh(one.agent.sac.actor(torch.cat([one.now.h[0], one.now.z[0]]))[0]))
    env, _ = simulator(one.frame.world)
    env.step(np.array([2 * expected]))
    (frame,) = drive(one, [1.0])
    assert frame.action == pytest.approx(expected, abs=1e-6)
    assert frame.world == pytest.approx(env.unwrapped.state, abs=1e-6)
    one.actor = False
    assert one.step(1.0).action == 1.0


# --- refusals -------------------------------------------------------------------------------------


def refused(kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert issubclass(kind, DreamerError) and len(str(caught.value)) > 30
    return str(caught.value)


def test_what_cannot_be_played_is_refused_in_a_sentence():
    hidden = Dreamer(small(env="Pendulum-v1", wrappers=dict(hide=(2,))), 2, 1)
    assert "hide" in refused(EnvError, lambda: DreamGame(hidden, recorded()))
    cart = Dreamer(small(env="InvertedPendulum-v5"), 4, 1)
    assert "InvertedPendulum-v5" in refused(EnvError, lambda: DreamGame(cart, recorded()))
    free = ModelFree(small(env="Pendulum-v1", agent="sac"), 3, 1)
    assert "world model" in refused(ConfigError, lambda: DreamGame(free, recorded()))
    assert "2 dreams" in refused(ConfigError, lambda: DreamGame(dreamer(), recorded(), dreams=1))
    one = game()
    for row in (-1, ROWS):
        assert f"0 to {ROWS - 1}" in refused(ConfigError, lambda row=row: one.reset(row))
    for push in (1.5, -2.0, math.nan):
        assert str(push) in refused(ConfigError, lambda push=push: one.step(push))


# --- what the browser hears -----------------------------------------------------------------------


def test_every_message_has_its_answer():
    one = game()
    scene = answer(one, {"kind": "look"})
    assert scene["kind"] == "scene" and scene["frozen"] and not scene["actor"] and scene["trail"][0]["reward"] is None
    assert not answer(one, {"kind": "resume"})["frozen"]
    for step in (1, 2, 3):
        reply = answer(one, {"kind": "step", "action": 1})
        assert reply["kind"] == "frame" and reply["frame"]["step"] == step and len(reply["frame"]["dreams"]) == 4
    scene = answer(one, {"kind": "branch"})
    assert [frame["step"] for frame in scene["ghost"]] == [0, 1, 2, 3] and scene["mark"] == 0
    assert answer(one, {"kind": "actor", "on": True})["actor"]
    scene = answer(one, {"kind": "reset", "row": 5})
    assert scene["row"] == 5 and len(scene["trail"]) == 1 and scene["ghost"] == []
    assert "rows 0 to" in answer(one, {"kind": "reset", "row": 500})["text"]
    assert one.row == 5
    json.dumps(scene, allow_nan=False)  # the browser knows no nan


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


def test_the_filmstrip_draws_the_angles_it_is_given():
    frames = film(game())
    figure = filmstrip(frames, pictures=3)
    for column, frame in enumerate([frames[0], frames[len(frames) // 2], frames[-1]]):
        for row, angle in enumerate([frame.world[0], frame.dreams[0, 0]]):
            rods = [line for line in figure.axes[3 * row + column].lines if len(line.get_xdata()) == 2]
            tip = rods[-1].get_xydata()[1]
            np.testing.assert_allclose(tip, [-math.sin(angle), math.cos(angle)], atol=1e-6)
            assert len(rods) == (1 if row == 0 else 4)
    assert f"{frames[-1].drift:.2f}" in filmstrip_alt(frames)


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

"""The dream as an environment: what its steps are, whose luck they hold, and who can learn in it."""

import importlib.util
import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from minds import pendulum_agent, without_chance
from runs import paper, tiny
from toys import numbers, same

from dreamer_core import envs
from dreamer_core.agent import ModelFree
from dreamer_core.dream_env import DreamEnv, DreamVectorEnv, FilteredEnv, Starts, collect, first_starts, prior_starts, replay_starts
from dreamer_core.errors import ConfigError, DreamerError, NotEnoughData
from dreamer_core.imagine import imagine
from dreamer_core.trainer import Trainer, evaluate

needed = pytest.mark.skipif(not importlib.util.find_spec("stable_baselines3"), reason="needs stable-baselines3: pip install -e '.[bench]'")
KINDS = {"gaussian": {}, "categorical": {"model": dict(latent="categorical")}}
LOUD = dict(reward_scale=0.4, reward_unit="returns")


def chooser():
    """An agent whose actor chooses among two actions."""
    with Trainer(tiny(**paper(env="CartPole-v1")), warn=lambda sentence: None) as trainer:
        return trainer.agent


def remembering(agent, rows=9, terminal=(), first=()):
    """The agent, with rows of noise in its replay buffer."""
    for number in range(rows):
        agent.remember(agent.initial(1), torch.randn(len(agent.model.centre)), 0.0, number in (0, *first), number in terminal)
        agent.replay.set_action(torch.rand(agent.action) * 2 - 1)
    return agent


def ends(agent, logit):
    """The agent, whose dreams go on with the probability sigmoid(logit) whatever happens."""
    with torch.no_grad():
        agent.model.cont[-1].weight.zero_()
        agent.model.cont[-1].bias.fill_(logit)
    return agent


def lasting(**changes):
    """A small agent for Pendulum whose dreams last to their horizon."""
    return ends(pendulum_agent(**changes), 100)


def play(env, actions, seed=3):
    """What a dream shows under given actions, as arrays: observations with the first, rewards, and both flags."""
    seen, rewards, flags = [env.reset(seed=seed)[0]], [], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        seen.append(observation)
        rewards.append(reward)
        flags.append((terminated, truncated))
    return np.array(seen), np.array(rewards), np.array(flags)


# --- what a step is --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_dream_is_what_imagine_makes_of_the_same_luck_and_actions(kind, monkeypatch):
    agent = lasting(sac=LOUD, **KINDS[kind])
    agent.replay.reward_unit = 0.05
    env, steps = DreamEnv(agent, starts="prior", horizon=9), 6
    env.reset(seed=5)
    h, z, noise = env.dreams.h.clone(), env.dreams.z.clone(), env.dreams.noise[0, :steps, None].clone()
    with monkeypatch.context() as patched:
        patched.setattr(agent.model.rssm.latent, "noise", lambda *shape, **_: noise)
        told = imagine(agent.model, agent.sac.actor, h, z, torch.ones(1), steps)
    seen, rewards, flags = play(env, torch.tanh(told.pre_tanh[0]).numpy(), seed=5)
    assert np.allclose(seen, told.state[0], atol=1e-6), "the states of the dream are not those of `imagine`"
    assert np.allclose(rewards, told.reward[0] * 0.05 / 0.4, atol=1e-6), "the rewards are not those of `imagine` in the world's units"
    assert len(rewards) == steps and not flags[:, 1].any(), "the dream is shorter than asked, or was cut off"


def test_the_reward_arrives_with_the_next_state():
    """A model whose reward is the first entry of s, whatever is done: each reward is read in the observation that comes with it."""
    agent = lasting()
    agent.model.predict_reward = lambda state: (state[..., 0], None)
    seen, rewards, _ = play(DreamEnv(agent), np.linspace(-1, 1, 8, dtype=np.float32)[:, None])
    assert np.array_equal(rewards.astype(np.float32), seen[1:, 0]), "a reward is not that of the state which arrives with it"
    assert not np.array_equal(seen[1:, 0], seen[:-1, 0]), "a state that does not move would not tell the two apart"


def test_rewards_are_in_the_worlds_own_units():
    """Rewards are read times 10 plus 3, in a unit of 5, times 0.4. The head says 2, so the world paid (2 * 5 / 0.4 - 3) / 10."""
    agent = lasting(sac=LOUD, wrappers=dict(reward_scale=10, reward_offset=3))
    agent.replay.reward_unit = 5.0
    agent.model.predict_reward = lambda state: (2 * torch.ones(len(state)), None)
    _, rewards, _ = play(DreamEnv(agent), np.zeros((3, 1)))
    assert rewards == pytest.approx((2 * 5 / 0.4 - 3) / 10), "a reward is not in the world's own units"


def test_a_dream_ends_as_often_as_the_continue_head_says():
    agent = ends(lasting(), np.log(4))  # goes on with 0.8
    world = DreamVectorEnv(agent, 500, horizon=3)
    world.reset(seed=0)
    _, _, terminated, truncated, _ = world.step(np.zeros((500, 1)))
    assert terminated.mean() == pytest.approx(0.2, abs=0.05), "dreams end with another probability than the continue head's"
    assert not truncated.any(), "a dream that ends was cut off, too"


@pytest.mark.parametrize("logit, flag", [(100, (False, True)), (-100, (True, False))])
def test_the_horizon_truncates_and_the_model_terminates(logit, flag):
    env = DreamEnv(ends(lasting(), logit), horizon=1)
    env.reset(seed=0)
    assert env.step(np.zeros(1))[2:4] == flag, "the flags (terminated, truncated) of the only step"


def test_a_dream_lasts_as_long_as_its_horizon():
    _, _, flags = play(DreamEnv(lasting(), horizon=4), np.zeros((4, 1)))
    assert flags.tolist() == [[False, False]] * 3 + [[False, True]], "a dream of four steps is truncated at the fourth"


def test_a_folded_discount_is_no_end():
    """The paper's continue head learns 1 - 1/10 where an episode surely goes on: no dream may end there."""
    agent = ends(lasting(model=dict(discount_horizon=10)), np.log(9))
    _, _, flags = play(DreamEnv(agent, horizon=300), np.zeros((200, 1)))
    assert not flags.any(), "the discount that the head has learned ended a dream"


def test_decoded_observations_are_the_decoders_mean():
    agent = lasting()
    actions = np.random.default_rng(0).uniform(-1, 1, (5, 1))
    latent, _, _ = play(DreamEnv(agent), actions)
    decoded, _, _ = play(DreamEnv(agent, "decoded"), actions)
    with torch.no_grad():
        expected = agent.model.decode(torch.from_numpy(latent))
    assert np.allclose(decoded, expected, atol=1e-6), "what is seen is not what the decoder makes of the same states"


def test_discrete_actions_are_numbers_and_the_model_reads_one_hot_vectors():
    agent, read = chooser(), []
    env = DreamEnv(agent)
    assert env.action_space == gym.spaces.Discrete(2)
    step = agent.model.rssm.dream_step
    agent.model.rssm.dream_step = lambda h, z, action, noise: read.append(action.tolist()) or step(h, z, action, noise)
    env.reset(seed=0)
    env.step(1)
    world = DreamVectorEnv(agent, 2)
    world.reset(seed=0)
    world.step(np.array([0, 1]))
    assert read == [[[0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]], "the model did not read the choice as a one-hot vector"
    with pytest.raises(ConfigError, match="choose among 0 to 1"):
        env.step(2)


def test_actions_beyond_the_bounds_count_as_the_bounds():
    env = DreamEnv(lasting())
    (one, *_), (other, *_) = (play(env, [[action]]) for action in (1.0, 7.0))
    assert np.array_equal(one, other), "an action of 7 is not taken as 1"


# --- luck --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_is_the_same_dream(kind):
    env = DreamEnv(remembering(lasting(**KINDS[kind])))
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 1))
    first, again, other = (play(env, actions, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again), "the same seed and actions gave another dream"
    assert not np.array_equal(first[0], other[0]) and not np.array_equal(first[-1], other[-1]), "another seed gave the same dream"


def test_dreams_without_a_seed_differ():
    env = DreamEnv(lasting())
    assert not np.array_equal(play(env, [[0.0]], seed=1)[0], play(env, [[0.0]], seed=None)[0]), "a second reset repeated the dream"


def test_the_callers_own_randomness_is_left_alone_and_does_not_matter():
    agent = remembering(lasting())
    starts = replay_starts(agent)
    before = torch.get_rng_state()
    env = DreamEnv(agent)
    assert torch.equal(env.dreams.starts.h, starts.h), "the states to start from are others each time"
    play(env, np.zeros((5, 1)))
    assert torch.equal(torch.get_rng_state(), before), "dreaming drew from torch's own generator"


def test_noise_is_new_at_each_step_and_in_each_dream():
    world = DreamVectorEnv(lasting(), 40, horizon=25)
    world.reset(seed=0)
    noise = world.dreams.noise.flatten(0, 1)
    assert len(noise.unique(dim=0)) == 1000, "noise that is used twice"
    assert abs(noise.mean()) < 0.1 and noise.std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_is_as_many_single_dreams(kind):
    """Also after an end: who begins anew goes on with the same generator, whatever its neighbours do."""
    agent = ends(remembering(lasting(**KINDS[kind])), 1.5)
    actions = np.random.default_rng(0).uniform(-1, 1, (12, 3, 1)).astype(np.float32)
    world, singles = DreamVectorEnv(agent, 3, horizon=5), [DreamEnv(agent, horizon=5) for _ in range(3)]
    seen = world.reset(seed=11)[0]
    alone = [env.reset(seed=11 + number)[0] for number, env in enumerate(singles)]
    assert np.allclose(seen, alone, atol=1e-6), "the dreams begin elsewhere"
    ended, over = 0, [False] * 3
    for step in actions:
        seen, rewards, terminated, truncated, _ = world.step(step)
        for number, env in enumerate(singles):
            if over[number]:
                expected = env.reset()[0], 0.0, False, False
            else:
                expected = env.step(step[number])[:4]
            assert np.allclose(seen[number], expected[0], atol=1e-5), "a dream of the vector is not that of the single environment"
            assert rewards[number] == pytest.approx(expected[1], abs=1e-5), "nor its reward"
            assert (terminated[number], truncated[number]) == expected[2:], "nor its end"
            over[number] = expected[2] or expected[3]
            ended += over[number]
    assert ended > 3, "hardly a dream ended, so beginning anew was not seen"


# --- beginnings ----------------------------------------------------------------------------------------


def test_dreams_start_where_the_agents_own_dreams_do():
    """At the last row of each window of `start_rows` = 3, filtered by hand, but for the row at which an episode ended."""
    agent = remembering(without_chance(lasting()), rows=9, terminal=(4,), first=(5,))
    starts = replay_starts(agent)
    expected = []
    for last in (2, 3, 5, 6, 7, 8):  # row 4 is an end
        rows = agent.replay.window(torch.tensor([last - 2]), 3)
        with torch.no_grad():
            beliefs = agent.model.observe(rows, torch.zeros(1, 3, 3))
        expected.append((beliefs.h[0, -1], beliefs.posterior[0, -1]))
    assert torch.allclose(starts.h, torch.stack([h for h, _ in expected]), atol=1e-6), "other beliefs to start from"
    assert torch.allclose(starts.params, torch.stack([params for _, params in expected]), atol=1e-6), (
        "the starts are not the beliefs of the filtered rows"
    )
    found = {tuple(env.dreams.h[0].tolist()) for env in [DreamEnv(agent)] for seed in range(60) if env.reset(seed=seed)}
    assert found == {tuple(h.tolist()) for h in starts.h}, "sixty dreams did not start at each of the six rows and at no other"


def test_a_model_that_never_read_a_stored_h_starts_from_zero_too():
    agent = remembering(lasting(replay=dict(start="zero")))
    before = replay_starts(agent)
    agent.replay.data["h"].fill_(9.0)
    assert torch.equal(replay_starts(agent).h, before.h), "a stored h was read"


def test_without_rows_dreams_begin_with_the_prior():
    agent = lasting()
    h, params = prior_starts(agent)
    assert not h.any() and torch.equal(params, agent.model.rssm.prior(h)), "the prior's own start"
    assert torch.equal(DreamEnv(agent).dreams.starts.params, params), "an empty buffer must lead to the prior"
    with pytest.raises(NotEnoughData, match="Dreamer.load"):
        DreamEnv(agent, starts="replay")


def test_first_observations_are_believed_as_the_agent_believes_them():
    agent, observation = lasting(), torch.randn(4, 3)
    h, params = first_starts(agent, observation)
    carry = agent.policy(agent.initial(4), observation, torch.ones(4), explore=False)
    assert torch.equal(h, carry.h) and torch.equal(agent.model.rssm.latent.mode(params), carry.z), "another belief than the agent's own"
    env = DreamEnv(agent, starts=Starts(h, params))
    assert torch.equal(env.dreams.starts.h, h), "starts of one's own are not used"


def test_collecting_fills_the_buffer_and_teaches_nothing():
    agent = lasting()
    before, luck = numbers(agent.model) | numbers(agent.sac), torch.get_rng_state()
    collect(agent, 25, seed=4, episode=10)
    data = agent.replay.data
    assert len(agent.replay) == 25 + 2, "each finished episode has a last row that no step leaves"
    assert data["first"][:27].nonzero().flatten().tolist() == [0, 11, 22], "episodes of ten steps"
    assert not data["terminal"].any(), "to be cut off is no end"
    assert same(before, numbers(agent.model) | numbers(agent.sac)), "collecting changed a weight"
    assert torch.equal(torch.get_rng_state(), luck), "collecting drew from the caller's generator"
    again = lasting()
    again.load_state_dict(agent.state_dict())
    again.replay.count = 0
    collect(again, 25, seed=4, episode=10)
    assert torch.equal(again.replay.data["observation"][:27], data["observation"][:27]), "the same seed lived another life"
    world = gym.make("Pendulum-v1")
    first = world.reset(seed=5)[0]
    assert np.array_equal(data["observation"][11], first), "the second episode is not the one of the next reset seed"


# --- gymnasium's promises ---------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["latent", "decoded"])
@pytest.mark.parametrize("agent", [lasting, chooser])
def test_gymnasiums_own_checker_has_nothing_to_say(agent, observation):
    made = ends(agent(), 100)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_env(DreamEnv(made, observation))
    unbounded = "A Box observation space"  # of s and of a decoder there are no bounds
    other = [
        str(warning.message) for warning in said if unbounded not in str(warning.message) and "having a spec" not in str(warning.message)
    ]
    assert not other, other


def test_it_can_be_registered_and_made_like_any_other():
    agent = lasting()
    gym.register("Dreamt-v0", entry_point=lambda **kwargs: DreamEnv(agent, **kwargs), max_episode_steps=3)
    env = gym.make("Dreamt-v0", horizon=7)
    assert [flags[1] for flags in play(env, np.zeros((3, 1)))[2].tolist()] == [False, False, True]
    real = envs.make("Dreamt-v0", agent.config.wrappers)
    assert real.action_space.shape == (1,), "the course's own door lets it in, so that its agents can learn there"


def test_the_vectors_spaces_and_modes_are_gymnasiums():
    world = DreamVectorEnv(lasting(), 4, "decoded")
    assert world.single_observation_space.shape == (3,) and world.observation_space.shape == (4, 3)
    assert world.action_space.shape == (4, 1) and world.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    seen, infos = world.reset(seed=0)
    assert seen in world.observation_space and infos == {}
    seen, reward, terminated, truncated, _ = world.step(world.action_space.sample())
    assert seen in world.observation_space and reward.dtype == np.float64 and terminated.dtype == truncated.dtype == bool


def test_same_step_begins_at_once_and_keeps_what_was_seen_last():
    agent = lasting()
    later, now = (DreamVectorEnv(agent, 2, horizon=3, autoreset_mode=mode) for mode in ("NextStep", "SameStep"))
    zeros = np.zeros((2, 1))
    for world in (later, now):
        world.reset(seed=1)
        for _ in range(2):
            world.step(zeros)
    last, _, _, over, infos = later.step(zeros)
    assert over.all() and infos == {}, "not every dream is over, or something is told of it already"
    anew, reward, _, over_then, _ = later.step(zeros)
    assert not over_then.any() and not reward.any(), "the step that begins a dream pays nothing and ends nothing"
    seen, reward, _, over, infos = now.step(zeros)
    assert over.all() and reward.all() and infos["_final_obs"].all(), "a dream that is over has no reward or no last observation"
    assert np.array_equal(np.stack(infos["final_obs"]), last), "what was seen last is lost"
    assert np.array_equal(seen, anew), "the next dream does not begin at once"


def test_disabled_waits_for_a_reset_of_those_that_ended():
    world = DreamVectorEnv(lasting(), 2, horizon=2, autoreset_mode=AutoresetMode.DISABLED)
    seen, _ = world.reset(seed=[1, 2])
    world.step(np.zeros((2, 1)))
    again, _ = world.reset(seed=[1, None], options={"reset_mask": np.array([True, False])})
    assert np.array_equal(again[0], seen[0]) and not np.array_equal(again[1], seen[1]), "only the masked dream begins anew"
    _, _, _, truncated, _ = world.step(np.zeros((2, 1)))
    assert truncated.tolist() == [False, True]
    with pytest.raises(DreamerError, match="call reset"):
        world.step(np.zeros((2, 1)))


def test_gymnasiums_statistics_of_episodes_can_be_kept():
    """As CleanRL keeps them: a constant reward of 2 over three steps is a return of 6."""
    agent = lasting()
    agent.model.predict_reward = lambda state: (2 * torch.ones(len(state)), None)
    world = RecordEpisodeStatistics(DreamVectorEnv(agent, 2, horizon=3, autoreset_mode="SameStep"))
    world.reset(seed=0)
    for _ in range(3):
        *_, infos = world.step(np.zeros((2, 1)))
    assert infos["episode"]["r"].tolist() == [6, 6] and infos["episode"]["l"].tolist() == [3, 3]


def test_what_comes_out_is_a_copy():
    agent = lasting()
    for env, action in ((DreamEnv(agent), np.zeros(1)), (DreamVectorEnv(agent, 2), np.zeros((2, 1)))):
        seen, _ = env.reset(seed=0)
        kept = seen.copy()
        env.step(action)
        assert np.array_equal(seen, kept), "a step wrote into an observation that was handed out"


@pytest.mark.parametrize("observation", ["latent", "decoded"])
def test_it_is_drawn_as_its_world_is(observation):
    pytest.importorskip("dreamer_core.worlds.drawing")
    agent = lasting()
    env = DreamEnv(agent, observation, render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    assert first.shape == (256, 256, 3) and first.dtype == np.uint8 and len(np.unique(first)) > 1, "an empty picture"
    agent.model.decode = lambda state: torch.tensor([[1.0, 0.0, 0.0]]).expand(len(state), -1)
    upright = env.render()
    agent.model.decode = lambda state: torch.tensor([[-1.0, 0.0, 0.0]]).expand(len(state), -1)
    hanging = env.render()
    inked = [np.flatnonzero((picture < 128).any((1, 2))).mean() for picture in (upright, hanging)]
    assert inked[0] < 128 < inked[1], "upright lies above the middle, hanging below"
    world = DreamVectorEnv(agent, 2, render_mode="rgb_array")
    world.reset(seed=0)
    assert len(world.render()) == 2 and np.array_equal(world.render()[0], hanging), "the pictures are not those of the dreams"
    assert world.metadata["render_fps"] == env.metadata["render_fps"] == 20, "a pendulum's step lasts 0.05 s"


def test_without_a_render_mode_nothing_is_drawn():
    env = DreamEnv(lasting())
    env.reset()
    assert env.render() is None


def test_the_agent_does_not_know_of_it_and_it_loads_no_drawing():
    code = (
        "import sys, dreamer_core.train; loaded = ['dreamer_core.dream_env' in sys.modules]; import dreamer_core.dream_env;"
        "print(loaded + [name in sys.modules for name in ('matplotlib', 'dreamer_core.worlds')])"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8").stdout
    assert said == "[False, False, False]\n", "whether the command loads it, and whether it loads matplotlib and the worlds' drawings"


# --- wrong use -----------------------------------------------------------------------------------------------


def test_wrong_use_gets_a_sentence():
    agent = lasting()
    wrong = {
        "has no world model": lambda: DreamEnv(ModelFree(agent.config, 3, 1)),
        "num_envs is 0": lambda: DreamVectorEnv(agent, 0),
        "num_envs is 2.5": lambda: DreamVectorEnv(agent, 2.5),
        "horizon is -1": lambda: DreamEnv(agent, horizon=-1),
        "observation is 'pixels': choose 'latent' or 'decoded'": lambda: DreamEnv(agent, "pixels"),
        "starts is 'nowhere': choose": lambda: DreamEnv(agent, starts="nowhere"),
        "render_mode is 'human'": lambda: DreamEnv(agent, render_mode="human"),
        "autoreset_mode is 'never': choose 'NextStep'": lambda: DreamVectorEnv(agent, 2, autoreset_mode="never"),
        "give one seed or 2": lambda: DreamVectorEnv(agent, 2).reset(seed=[1, 2, 3]),
        "a first reset begins all": lambda: DreamVectorEnv(agent, 2).reset(options={"reset_mask": np.array([True, False])}),
    }
    for sentence, use in wrong.items():
        with pytest.raises(ConfigError, match=sentence):
            use()


@pytest.mark.parametrize("action, sentence", [([0.0, 0.0], r"shape \(1, 2\)"), ("left", "'left'"), ([np.nan], "diverged")])
def test_an_action_that_is_none_gets_a_sentence(action, sentence):
    env = DreamEnv(lasting())
    env.reset()
    with pytest.raises(ConfigError, match=sentence):
        env.step(action)


def test_a_step_outside_a_dream_gets_a_sentence():
    env = DreamEnv(ends(lasting(), -100))
    with pytest.raises(DreamerError, match="call reset"):
        env.step(np.zeros(1))
    env.reset()
    env.step(np.zeros(1))
    with pytest.raises(DreamerError, match="call reset"):
        env.step(np.zeros(1))
    with pytest.raises(DreamerError, match="call reset"):
        DreamVectorEnv(lasting(), 2).step(np.zeros((2, 1)))


# --- back in the real world ---------------------------------------------------------------------------------------


def test_the_filter_believes_what_the_agent_believes():
    """A policy that reads s and does what the agent's actor does lives the agent's own episode."""
    agent = lasting()
    env = FilteredEnv(agent)
    assert env.observation_space == DreamEnv(agent).observation_space and env.action_space == DreamEnv(agent).action_space
    (seen, _), total, over = env.reset(seed=20), 0.0, False
    while not over:
        with torch.no_grad():
            action = agent.sac.actor.mode(torch.from_numpy(seen)).numpy()
        seen, reward, terminated, truncated, _ = env.step(action)
        total, over = total + reward, terminated or truncated
    expected = evaluate(agent, [envs.make_for(agent.config)], 20).returns[0]
    assert total == pytest.approx(expected, rel=1e-6), "another episode than the agent's own"


def test_the_filter_believes_in_what_was_done_and_not_in_what_the_agent_would_have_done():
    agent = pendulum_agent()
    env, rssm = FilteredEnv(agent), agent.model.rssm
    seen, _ = env.reset(seed=20)
    world = envs.make_for(agent.config)
    world.reset(seed=20)
    for action in (0.9, -0.4, 0.1):
        h, z = torch.from_numpy(seen[None, : rssm.deter]), torch.from_numpy(seen[None, rssm.deter :])
        seen, *_ = env.step(np.array([action]))
        observation = torch.from_numpy(world.step(np.array([action]))[0])[None]
        with torch.no_grad():
            expected = rssm.step(h, z, torch.tensor([[action]]))
            z = rssm.latent.mode(rssm.posterior(expected, agent.model.encode(observation)))
        assert np.allclose(seen, torch.cat([expected, z], -1)[0], atol=1e-6), "the belief does not follow the action that was taken"


def test_the_filter_hands_choices_on():
    agent = chooser()
    env = FilteredEnv(agent)
    env.reset(seed=3)
    real = gym.make("CartPole-v1")
    real.reset(seed=3)
    for action in (1, 1, 0, 1):
        _, reward, *_ = env.step(action)
        real.step(action)
    assert reward == 1.0 and np.allclose(env.unwrapped.state, real.unwrapped.state), "the world was given other choices"


@needed
@pytest.mark.parametrize("observation", ["latent", "decoded"])
def test_stable_baselines3_learns_in_the_dream_and_acts_in_the_world(observation):
    from stable_baselines3 import SAC
    from stable_baselines3.common.env_checker import check_env as check_theirs

    agent = remembering(lasting())
    before = numbers(agent.model)
    check_theirs(DreamEnv(agent, observation))
    student = SAC("MlpPolicy", DreamEnv(agent, observation, horizon=10), learning_starts=20, policy_kwargs=dict(net_arch=[8]), seed=0)
    student.learn(40)
    assert student._n_updates == 20, "an update for each step after the first twenty"
    assert same(before, numbers(agent.model)), "a student changed the model"
    world = FilteredEnv(agent) if observation == "latent" else envs.make_for(agent.config)
    seen, _ = world.reset(seed=0)
    for _ in range(3):
        action, _ = student.predict(seen, deterministic=True)
        seen, reward, *_ = world.step(action)
    assert np.isfinite(reward), "the reward is no number"

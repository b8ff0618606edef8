"""Dreams that branch off an episode, and what really follows from the same actions."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from minds import pendulum_agent
from toys import small

from dreamer_core.agent import Dreamer
from dreamer_core.config import WrapperConfig
from dreamer_core.envs import make, make_for
from dreamer_core.errors import DreamerError
from dreamer_core.latents import gaussian_stats
from dreamer_core.viz.branches import branch_out, dreams_from, posterior, recorded, rendered, watched
from dreamer_core.viz.dream import act_out, play
from dreamer_core.viz.film import tell


def setting(**changes):
    torch.manual_seed(1)
    return Dreamer(small(**changes), 3, 1), make("Pendulum-v1", WrapperConfig())


def lived(agent, episode):
    """The agent's own beliefs (h, z) along an episode, row by row, acting as recorded."""
    carry, first, beliefs = agent.initial(1), torch.ones(1), []
    for t, observation in enumerate(episode.observation):
        carry = agent.policy(carry, torch.from_numpy(observation)[None], first, explore=False)
        beliefs.append((carry.h[0], carry.z[0]))
        if t < len(episode.action):
            carry = carry._replace(action=torch.from_numpy(episode.action[t])[None])
        first = torch.zeros(1)
    return [torch.stack(part).numpy() for part in zip(*beliefs)]


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_the_posterior_is_the_belief_the_agent_acts_on(kind):
    agent, env = setting(model=dict(latent=kind))
    episode = act_out(env, 3, np.random.default_rng(0).uniform(-1, 1, (12, 1)).astype(np.float32))
    (found, _), (h, z) = posterior(agent, episode), lived(agent, episode)
    np.testing.assert_allclose(found.h, h, atol=1e-6)
    np.testing.assert_allclose(found.z, z, atol=1e-6)
    assert found.observation.shape == (13, 3) and found.reward.shape == (13,)


def test_a_rows_surprise_is_the_kl_of_posterior_from_prior():
    """With torch's own divergence of Normals, at the h that the agent itself arrives at; a branch keeps that of its own rows."""
    agent, env = setting()
    episode = act_out(env, 3, np.random.default_rng(0).uniform(-1, 1, (12, 1)).astype(np.float32))
    h, rssm = torch.from_numpy(lived(agent, episode)[0]), agent.model.rssm
    with torch.no_grad():
        pair = rssm.posterior(h, agent.model.encode(torch.from_numpy(episode.observation))), rssm.prior(h)
        normals = [torch.distributions.Normal(*gaussian_stats(params, rssm.latent.min_std)) for params in pair]
    wanted = torch.distributions.kl_divergence(*normals).sum(-1).numpy()
    np.testing.assert_allclose(posterior(agent, episode)[1], wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(watched(agent, episode, 4, 9).surprise, wanted[4:10], rtol=1e-4, atol=1e-5)


def test_rewards_are_in_the_environments_units():
    """The agent learns rewards times 0.1, so what its head says counts ten times."""
    agent, env = setting(sac=dict(reward_scale=0.1))
    episode = play(agent, env, seed=3)
    found, _ = posterior(agent, episode)
    features = torch.from_numpy(np.concatenate([found.h, found.z], -1))
    np.testing.assert_allclose(found.reward, 10 * agent.model.predict_reward(features)[0].detach(), rtol=1e-5)


def test_the_same_actions_lead_to_the_same_episode():
    agent, env = setting()
    episode = play(agent, env, seed=3)
    again = act_out(env, 3, episode.action)
    np.testing.assert_array_equal(again.observation, episode.observation)
    np.testing.assert_array_equal(again.reward, episode.reward)


def test_simulation_stops_with_the_episode():
    _, env = setting()
    assert len(act_out(env, 3, np.zeros((250, 1), np.float32)).reward) == 200


def test_dreams_given_actions_follow_the_model_step_by_step():
    agent, env = setting()
    episode = play(agent, env, seed=3)
    belief, _ = posterior(agent, episode)
    actions = np.array([[0.5], [-1.0]], np.float32)
    torch.manual_seed(5)
    dreams, taken = dreams_from(agent, belief.h[7], episode.observation[7], 2, 4, actions)
    assert dreams.h.shape == (4, 3, 6) and dreams.z.shape == (4, 3, 3) and dreams.observation.shape == (4, 3, 3)
    np.testing.assert_array_equal(taken, np.broadcast_to(actions, (4, 2, 1)))
    for t in range(2):
        h, z = torch.from_numpy(dreams.h[:, t]), torch.from_numpy(dreams.z[:, t])
        expected = agent.model.rssm.step(h, z, torch.full((4, 1), float(actions[t, 0]))).detach()
        np.testing.assert_allclose(dreams.h[:, t + 1], expected, atol=1e-6)
    np.testing.assert_array_equal(dreams.h[:, 0], np.broadcast_to(belief.h[7], (4, 6)))


def test_a_dream_begins_with_a_draw_from_the_posterior_and_goes_on_with_draws_from_the_prior():
    """Standardised by mean and std of the right distribution, z is noise of mean 0 and spread 1."""
    agent, env = setting()
    episode = play(agent, env, seed=3)
    belief, _ = posterior(agent, episode)
    dreams, _ = dreams_from(agent, belief.h[7], episode.observation[7], 1, 4000, np.zeros((1, 1), np.float32))
    rssm = agent.model.rssm
    with torch.no_grad():
        h = torch.from_numpy(dreams.h)
        params = rssm.posterior(h[:1, 0], agent.model.encode(torch.from_numpy(episode.observation[7:8]))), rssm.prior(h[:, 1])
    for t, (mean, raw) in enumerate(part.chunk(2, -1) for part in params):
        noise = (dreams.z[:, t] - mean.numpy()) / (np.log1p(np.exp(raw.numpy())) + 0.1)
        np.testing.assert_allclose(noise.mean(0), 0, atol=0.07)
        np.testing.assert_allclose(noise.std(0), 1, atol=0.07)


def test_without_given_actions_the_agent_acts_in_each_dream():
    agent, env = setting()
    episode = play(agent, env, seed=3)
    dreams, taken = dreams_from(agent, posterior(agent, episode)[0].h[7], episode.observation[7], 3, 4, None)
    features = torch.from_numpy(np.concatenate([dreams.h, dreams.z], -1)[:, :3])
    np.testing.assert_allclose(taken, agent.sac.actor.mode(features).detach(), atol=1e-6)


def test_the_real_world_of_a_full_action_is_pendulums_own_equation():
    """theta'' = 3 g / (2 l) sin theta + 3 u / (m l^2), u = 2 at full action, dt = 0.05, speed first."""
    agent, env = setting()
    branches = {branch.actions: branch for branch in branch_out(agent, env, 3, [4], 5, count=2)}
    for name, torque in {"every action +1": 2.0, "every action −1": -2.0}.items():
        world = branches[name].world
        cosine, sine, speed = world.observation[0].astype(float)
        angle = math.atan2(sine, cosine)
        for row in range(1, 6):
            speed = float(np.clip(speed + (15 * math.sin(angle) + 3 * torque) * 0.05, -8, 8))
            angle += speed * 0.05
            np.testing.assert_allclose(world.observation[row], [math.cos(angle), math.sin(angle), speed], atol=1e-4)
        assert world.begin == 4 and set(world.action[:-1].ravel()) == {torque / 2}


def test_branches_share_the_recorded_world_and_their_posterior_knows_the_past():
    agent, env = setting()
    branches = branch_out(agent, env, 3, [4, 9], 5, count=2)
    assert [branch.start for branch in branches] == [4] * 4 + [9] * 4
    episode = play(agent, env, seed=3)
    for branch in branches:
        assert branch.dreams.reward.shape == (2, 6) and branch.action.shape == (2, 5, 1)
        if branch.actions.startswith("every"):
            acted = np.concatenate([episode.action[: branch.start], branch.action[0]])
            h, _ = lived(agent, act_out(env, 3, acted))
            np.testing.assert_allclose(branch.world.posterior.h, h[branch.start :], atol=1e-6)
        else:
            assert branch.world is branches[0].world
    world = branches[0].world
    np.testing.assert_array_equal(world.observation, episode.observation[:15])  # rows 0 to 9 + 5
    assert np.isnan(world.reward[0])
    np.testing.assert_array_equal(world.reward[1:], episode.reward[:14])
    assert {branch.world.drawing.world for branch in branches} == {agent.config.env}, "a figure cannot tell whose world this is"
    np.testing.assert_array_equal(world.scale, agent.model.scale)


def test_where_actions_are_discrete_the_extremes_are_the_first_and_the_last():
    """CartPole pushed to the left and to the right in every step; dreams and the real world are given the same choices."""
    config = small(env="CartPole-v1", actor_critic="dreamerv3", dreamerv3=dict(actor="categorical"))
    branches = branch_out(Dreamer(config, 4, 2), make_for(config), 0, [1], 4, 2)
    left, right = branches[2:]
    assert (left.actions, right.actions) == ("always action 0", "always action 1")
    for branch, choice in ((left, [1, 0]), (right, [0, 1])):
        assert branch.action.tolist() == [[choice] * 4] * 2, f"what is done in the dreams of {branch.actions}"
        assert branch.world.action[:4].tolist() == [choice] * 4, f"what is done in the world of {branch.actions}"
    assert left.world.observation[-1, 1] < right.world.observation[-1, 1], "the cart is faster to the right where it is pushed to the left"


def test_branches_leave_an_episode_in_the_world_of_its_age():
    """What really follows every action +1 is what the changed pendulum does."""
    agent, env = setting()[0], make("dreamer/ChangingPendulum-v0", WrapperConfig())
    branches = branch_out(agent, env, 3, [4], 5, count=2, age=1500)
    past = play(agent, env, 3, age=1500)
    pushed = act_out(env, 3, np.concatenate([past.action[:4], np.ones((5, 1), np.float32)]), 1500)
    found = {branch.actions: branch.world.observation for branch in branches}
    np.testing.assert_array_equal(found["recorded actions"], past.observation[:10])
    np.testing.assert_array_equal(found["every action +1"], pushed.observation[4:])


def test_a_branch_knows_how_its_world_looks_to_the_agent():
    """Repeated actions make longer steps, and what is in other units is drawn alike."""
    agent, env = setting()
    plain = recorded(agent, play(agent, env, seed=3), 4, 5, count=1).world.drawing
    agent.config.wrappers.action_repeat, agent.config.wrappers.observation_scale = 2, 0.001
    other = recorded(agent, play(agent, env, seed=3), 4, 5, count=1).world.drawing
    assert (plain.world, plain.seconds, other.seconds) == ("Pendulum-v1", 0.05, 0.1)
    seen = np.array([0.6, 0.8, 2.0])
    assert np.allclose(other.scene(0.001 * seen).parts[1][:4], plain.scene(seen).parts[1][:4])


class Camera(PendulumEnv):
    """A pendulum whose own pictures are grey, lighter from step to step; `broken` makes none."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    broken = False

    def reset(self, **settings):
        self.steps = 0
        return super().reset(**settings)

    def step(self, action):
        self.steps += 1
        return super().step(action)

    def render(self):
        if self.broken:
            raise gym.error.DependencyNotInstalled("pygame is not installed")
        return np.full((4, 6, 3), 5 * self.steps, np.uint8)


@pytest.fixture
def camera(monkeypatch):
    gym.register("Camera-v0", Camera, max_episode_steps=30)
    yield lambda broken: monkeypatch.setattr(Camera, "broken", broken)
    gym.registry.pop("Camera-v0")


def test_a_worlds_own_pictures_are_those_of_the_rows(camera):
    agent = pendulum_agent()
    agent.config.env = "Camera-v0"
    branches = branch_out(agent, make_for(agent.config), 3, [4], 5, count=2)
    told = {branch.actions: branch.world.pictures()[:, 0, 0, 0].tolist() for branch in branches}
    assert told["recorded actions"] == [5 * row for row in range(10)], "the recorded world begins with row 0"
    assert told["every action +1"] == [5 * row for row in range(4, 10)], "another world begins where it branches off"
    assert not branches[0].world.drawing.real and tell(branches[0]).pictures.shape == (10, 4, 6, 3)
    camera(True)
    assert branches[0].world.pictures() is None and tell(branches[0]).pictures is None, "a renderer that is not installed"
    assert rendered(small(env="dreamer/Recall-v0"), 0, np.zeros((3, 1), np.float32)) is None, "a world that renders nothing"


def test_a_world_may_end_early():
    agent, env = setting()
    world = watched(agent, play(agent, env, seed=3), 195, 230)
    assert len(world.observation) == len(world.reward) == len(world.action) == len(world.posterior.h) == 6
    assert np.isnan(world.action[-1]).all()


def test_recorded_dreams_get_the_recorded_actions():
    agent, env = setting()
    episode = play(agent, env, seed=3)
    branch = recorded(agent, episode, 6, 5, 3)
    np.testing.assert_array_equal(branch.action, np.broadcast_to(episode.action[6:11], (3, 5, 1)))
    assert branch.start == 6 and len(branch.world.observation) == 12


@pytest.mark.parametrize(("starts", "steps"), [([], 5), ([-1], 5), ([3, 196], 5), ([0], 0), ([0], 201)])
def test_dreams_that_do_not_fit_are_refused(starts, steps):
    agent, env = setting()
    with pytest.raises(DreamerError, match="do not fit into an episode of 200 steps"):
        branch_out(agent, env, 3, starts, steps)


def test_dreams_touch_nothing():
    agent, env = setting()
    before = {name: value.clone() for name, value in agent.state_dict().items()}
    branches = branch_out(agent, env, 3, [4], 5, count=2)
    assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())
    assert all(isinstance(part, np.ndarray) for part in branches[0].dreams)

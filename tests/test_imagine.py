"""Dreams: what is in them, in which order, and that they are plain data."""

import math

import pytest
import torch
from runs import tiny
from toys import model_config, numbers, sac_config, same

from dreamer_core.imagine import imagine, imagined_return
from dreamer_core.sac import SAC, Actor
from dreamer_core.trainer import Trainer, evaluate
from dreamer_core.world_model import WorldModel

HORIZON = 4


def make(**changes):
    model = WorldModel(model_config(**changes), 3, 2)
    return model, Actor(sac_config(), model.rssm.features, 2)


def dream(model, actor, horizon=HORIZON):
    h, z = torch.randn(5, 6), torch.randn(5, model.rssm.latent.size)
    return h, z, imagine(model, actor, h, z, torch.tensor([1.0, 1, 0, 1, 0]), horizon)


def assert_independent(noise):
    """Noise (N, H, Z) of one step says nothing about that of another, nor one entry about another, nor one dream about the next."""
    correlation = torch.corrcoef(noise.flatten(1).T) - torch.eye(noise[0].numel())
    assert correlation.abs().max() < 0.08, "the noise of different steps or entries is correlated: it is not drawn anew"
    neighbours = (noise[1:] * noise[:-1]).mean().abs()
    assert neighbours < 0.08, "dreams that lie side by side share their noise"


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_shapes(kind):
    model, actor = make(latent=kind)
    _, _, data = dream(model, actor)
    assert data.state.shape == (5, HORIZON + 1, model.rssm.features)
    assert data.pre_tanh.shape == (5, HORIZON, 2)
    assert data.reward.shape == data.cont.shape == (5, HORIZON)
    assert data.weight.tolist() == [1, 1, 0, 1, 0]


def test_a_dream_starts_where_it_was_told():
    model, actor = make()
    h, z, data = dream(model, actor)
    assert torch.equal(data.state[:, 0], torch.cat([h, z], -1)), "the first state is not the start that was given"


def test_each_state_follows_from_the_one_before():
    """h_{t+1} = f(h_t, z_t, tanh(u_t)), with the z and the u that the trajectory itself holds."""
    model, actor = make()
    _, _, data = dream(model, actor)
    for t in range(HORIZON):
        h, z = data.state[:, t, :6], data.state[:, t, 6:]
        expected = model.rssm.step(h, z, torch.tanh(data.pre_tanh[:, t]))
        torch.testing.assert_close(data.state[:, t + 1, :6], expected)


def test_z_comes_from_the_prior_at_the_new_h():
    """Standardised by the prior's mean and std, dreamt z is noise of mean 0 and spread 1."""
    model, actor = make()
    h, z = torch.randn(1, 6).expand(4000, 6), torch.randn(1, 3).expand(4000, 3)
    data = imagine(model, actor, h, z, torch.ones(4000), 3)
    mean, raw = model.rssm.prior(data.state[:, 1:, :6]).chunk(2, -1)
    noise = (data.state[:, 1:, 6:] - mean) / (torch.log1p(torch.exp(raw)) + 0.1)
    torch.testing.assert_close(noise.mean(0), torch.zeros(3, 3), atol=0.07, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.ones(3, 3), atol=0.07, rtol=0)
    assert_independent(noise)


def test_actions_are_the_actors_own_samples():
    """Standardised by the actor's mean and std at s_t, u_t is noise of mean 0 and spread 1."""
    model, actor = make()
    h, z = torch.randn(1, 6).expand(4000, 6), torch.randn(1, 3).expand(4000, 3)
    data = imagine(model, actor, h, z, torch.ones(4000), 3)
    mean, log_std = actor(data.state[:, :-1])
    noise = (data.pre_tanh - mean) / torch.exp(log_std)
    torch.testing.assert_close(noise.mean(0), torch.zeros(3, 2), atol=0.07, rtol=0)
    torch.testing.assert_close(noise.std(0), torch.ones(3, 2), atol=0.07, rtol=0)
    assert_independent(noise)


def test_rewards_and_continues_are_read_from_the_state_reached():
    """Index t is the consequence of a_t: the mean reward and the probability to go on, at s_{t+1}."""
    model, actor = make()
    _, _, data = dream(model, actor)
    for t in range(HORIZON):
        reached = data.state[:, t + 1]
        torch.testing.assert_close(data.reward[:, t], model.reward(reached)[:, 0])
        torch.testing.assert_close(data.cont[:, t], 1 / (1 + torch.exp(-model.cont(reached)[:, 0])))


def test_dreams_differ_and_repeat_with_the_seed():
    model, actor = make()
    h, z = torch.zeros(2, 6), torch.zeros(2, 3)
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(imagine(model, actor, h, z, torch.ones(2), 3).state)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2]), "dreams do not follow the seed"
    assert not torch.equal(seen[0][0], seen[0][1]), "two dreams from one start are the same"  # same start, different fate


def test_dreams_are_plain_data():
    """No gradient, even when the start states carry one."""
    model, actor = make()
    h, z = torch.randn(5, 6, requires_grad=True), torch.randn(5, 3, requires_grad=True)
    data = imagine(model, actor, h, z, torch.ones(5), HORIZON)
    assert not any(part.requires_grad for part in data), "a dream carries a gradient"


def test_sac_can_train_on_a_dream():
    """And dreaming and training change nothing in the model."""
    model, _ = make()
    sac = SAC(sac_config(lam=1.0), model.rssm.features, 2)
    before = numbers(model)
    sac.update(dream(model, sac.actor)[2], sac.make_optimizer())
    assert same(numbers(model), before), "training on a dream changed the world model"
    assert all(p.grad is None for p in model.parameters()), "training on a dream left a gradient in the world model"


def test_imagined_return_by_hand():
    """A loop over one episode at a time: predicted rewards, weighted by how likely the episode is still running."""
    model, actor = make(latent="gaussian", min_std=1e-9)
    rssm = model.rssm
    with torch.no_grad():  # no chance in z: its scale is softplus(-50) + 1e-9
        rssm.prior[-1].weight[3:], rssm.prior[-1].bias[3:] = 0, -50
    starts = torch.randn(4, 3)
    got = imagined_return(model, actor, starts, 5)
    for number, start in enumerate(starts):
        h = torch.zeros(1, 6)
        z = rssm.posterior(h, model.encode(start[None]))[:, :3]
        total, alive = 0.0, 1.0
        for _ in range(5):
            h = rssm.step(h, z, actor.mode(torch.cat([h, z], -1)))
            z = rssm.prior(h)[:, :3]
            state = torch.cat([h, z], -1)
            total += alive * model.predict_reward(state)[0].item()
            alive *= torch.sigmoid(model.predict_continue(state)).item()
        assert got[number].item() == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_an_imagined_return_draws_new_noise_at_each_step_and_for_each_episode(kind):
    model, actor = make(latent=kind)
    used, real = [], model.rssm.dream_step
    model.rssm.dream_step = lambda h, z, action, noise: used.append(noise) or real(h, z, action, noise)
    imagined_return(model, actor, torch.randn(4, 3), 5)
    noise = torch.stack(used)  # (steps, E, ...)
    assert noise.shape[:2] == (5, 4), "one noise for each step and episode"
    assert len(noise.flatten(0, 1).flatten(1).unique(dim=0)) == 20, "noise that was used twice"


def test_an_imagined_return_is_that_of_the_most_likely_actions():
    """An actor that is as wide as can be dreams of the same return as a narrow one with the same mean."""
    model, actor = make()
    seen = []
    for log_std in (-5.0, 2.0):
        with torch.no_grad():
            actor.net[-1].bias[2:] = log_std
            actor.net[-1].weight[2:] = 0
        torch.manual_seed(1)
        seen.append(imagined_return(model, actor, torch.ones(3, 3), 4))
    torch.testing.assert_close(*seen)


def test_evaluating_draws_nothing_from_the_runs_own_randomness():
    trainer = Trainer(tiny())
    before = torch.get_rng_state()
    metrics = trainer.evaluate()
    assert torch.equal(torch.get_rng_state(), before), "evaluating drew from the run's own random numbers"
    assert math.isfinite(metrics["imagined_return_mean"]), "the imagined return is not a number"
    assert "imagined_return_mean" not in Trainer(tiny(agent="sac")).evaluate(), "SAC without a model imagines nothing"


def test_the_imagined_return_is_reported_in_the_environments_units():
    """The model knows rewards scaled by sac.reward_scale. Two agents alike but for that scale expect what differs by it."""
    expected = [Trainer(tiny(sac=dict(reward_scale=scale))).evaluate()["imagined_return_mean"] for scale in (1.0, 0.1)]
    assert expected[1] == pytest.approx(10 * expected[0], rel=1e-4), "the imagined return in scaled units"
    trainer = Trainer(tiny(sac=dict(reward_scale=0.1)))
    start = torch.from_numpy(evaluate(trainer.agent, trainer.evaluation_envs, trainer.config.evaluation.seed).start)
    with torch.random.fork_rng([]):
        by_hand = imagined_return(trainer.agent.model, trainer.agent.sac.actor, start, 20).mean().item() / 0.1
    assert trainer.evaluate()["imagined_return_mean"] == pytest.approx(by_hand, rel=1e-5), "over as many steps as the real episodes last"


def test_the_imagined_return_is_reported_in_the_worlds_own_units():
    """Two agents alike, one of whom reads rewards times 10 plus 3: what it expects is less 3 for each step it expects, and a tenth."""
    plain, scaled = (Trainer(tiny(sac=dict(reward_scale=0.5), wrappers=units)) for units in ({}, dict(reward_scale=10, reward_offset=3)))
    expected = plain.evaluate()["imagined_return_mean"]
    plain.agent.model.predict_reward = lambda state: (0.5 * torch.ones(len(state)), None)  # 1 in the world's own units
    steps = plain.evaluate()["imagined_return_mean"]
    assert steps < 19, "episodes that may end early make this test more than a subtraction of 60"
    got = scaled.evaluate()["imagined_return_mean"]
    assert got == pytest.approx((expected - 3 * steps) / 10, rel=1e-5), "not the imagined return in the world's own units"

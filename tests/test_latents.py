"""z: samples, KL, entropy, and the balanced KL, for both kinds."""

import math

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence
from toys import gradients

from dreamer_core import latents
from dreamer_core.latents import CategoricalLatent, GaussianLatent

DOUBLE = torch.float64


# --- diagonal Gaussian -----------------------------------------------------------------------


def test_gaussian_stats_by_hand():
    """The first half is the mean; softplus of the second half plus the floor is the std."""
    mean, std = latents.gaussian_stats(torch.tensor([1.0, -2.0, 0.0, -100.0]), 0.1)
    assert mean.tolist() == [1, -2]
    assert std.tolist() == pytest.approx([math.log(2) + 0.1, 0.1])


def test_gaussian_sample_and_its_gradient():
    """z = mean + std * noise: dz/dmean = 1, dz/dstd = noise."""
    mean, std = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([0.5, 3.0], requires_grad=True)
    z = latents.gaussian_sample(mean, std, torch.tensor([2.0, -1.0]))
    assert z.tolist() == [2.0, -1.0]
    to_mean, to_std = gradients(z.sum(), (mean, std))
    assert (to_mean.tolist(), to_std.tolist()) == ([1, 1], [2, -1]), "dz/dmean, dz/dstd"


def test_gaussian_kl_by_hand():
    """One dimension: KL[N(1, 2) || N(0, 1)] = (4 + 1 - 1 - log 4) / 2."""
    one, two, zero = (torch.tensor([x], dtype=DOUBLE) for x in (1.0, 2.0, 0.0))
    assert latents.gaussian_kl(one, two, zero, one).item() == pytest.approx((4 - math.log(4)) / 2)
    assert latents.gaussian_kl(one, two, one, two).item() == 0


def test_gaussian_kl_matches_torch():
    mean_q, mean_p = torch.randn(2, 20, 5, dtype=DOUBLE)
    std_q, std_p = torch.rand(2, 20, 5, dtype=DOUBLE) + 0.1
    expected = kl_divergence(Normal(mean_q, std_q), Normal(mean_p, std_p)).sum(-1)
    torch.testing.assert_close(latents.gaussian_kl(mean_q, std_q, mean_p, std_p), expected)


def test_gaussian_kl_is_the_mean_log_ratio():
    """A hundred thousand samples from q: the average of log q - log p."""
    q, p = Normal(torch.tensor([0.3, -1.0]), torch.tensor([0.5, 1.5])), Normal(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0]))
    x = q.sample((100_000,))
    estimate = (q.log_prob(x) - p.log_prob(x)).sum(-1)
    exact = latents.gaussian_kl(q.mean, q.stddev, p.mean, p.stddev).item()
    assert exact == pytest.approx(estimate.mean().item(), abs=4 * estimate.std().item() / math.sqrt(len(x)))


def test_gaussian_latent_puts_the_pieces_together():
    """Sample, mode, KL and entropy of a Gaussian z, from raw parameters."""
    latent = GaussianLatent(3, min_std=0.2)
    assert (latent.size, latent.params) == (3, 6)
    q, p = torch.randn(2, 4, 6, dtype=DOUBLE)
    normal = [Normal(x[:, :3], torch.log1p(torch.exp(x[:, 3:])) + 0.2) for x in (q, p)]
    noise = torch.randn(4, 3, dtype=DOUBLE)
    torch.testing.assert_close(latent.sample(q, noise), normal[0].mean + normal[0].stddev * noise)
    torch.testing.assert_close(latent.mode(q), normal[0].mean)
    torch.testing.assert_close(latent.kl(q, p), kl_divergence(*normal).sum(-1))
    torch.testing.assert_close(latent.entropy(q), normal[0].entropy().sum(-1))


def test_gaussian_noise_is_standard_normal():
    noise = GaussianLatent(50, 0.1).noise(100, 20)
    assert noise.shape == (100, 20, 50)
    assert noise.mean().item() == pytest.approx(0, abs=0.02) and noise.std().item() == pytest.approx(1, abs=0.02)


# --- categorical -----------------------------------------------------------------------------


def test_unimix_by_hand():
    """Logits (0, log 3) are probabilities (1/4, 3/4); a tenth uniform makes (0.275, 0.725). Three groups, each by itself."""
    probs = latents.unimix_probs(torch.tensor([[0.0, math.log(3)], [0.0, 0.0], [99.0, 99 + math.log(3)]]), 0.1)
    expected = torch.tensor([[0.275, 0.725], [0.5, 0.5], [0.275, 0.725]])
    torch.testing.assert_close(probs, expected, rtol=1e-4, atol=0)


def test_a_group_of_huge_logits_leaves_the_others_alone():
    """In float32 the exponential of 1000 is infinite and that of -1000 is 0; each group counts from its own largest logit."""
    probs = latents.unimix_probs(torch.tensor([[1000.0, 1000.0], [-1000.0, -1000.0 + math.log(3)]]), 0.0)
    torch.testing.assert_close(probs, torch.tensor([[0.5, 0.5], [0.25, 0.75]]), rtol=1e-3, atol=0)


def test_unimix_leaves_no_class_impossible():
    probs = latents.unimix_probs(torch.tensor([[1000.0, 0.0, 0.0, -1000.0]], dtype=DOUBLE), 0.01)
    assert probs.min().item() == pytest.approx(0.01 / 4)
    assert probs.sum().item() == pytest.approx(1)


def test_straight_through_value_and_gradient():
    """Forward it is the one-hot sample; backward it is the probabilities."""
    logits = torch.randn(5, 2, 4, dtype=DOUBLE, requires_grad=True)
    one_hot = torch.eye(4, dtype=DOUBLE)[torch.randint(4, (5, 2))]
    weight = torch.randn(5, 2, 4, dtype=DOUBLE)
    out = latents.straight_through(torch.softmax(logits, -1), one_hot)
    torch.testing.assert_close(out.detach(), one_hot)
    (through,) = gradients((out * weight).sum(), logits)
    (of_probs,) = gradients((torch.softmax(logits, -1) * weight).sum(), logits)
    torch.testing.assert_close(through, of_probs)
    assert through.abs().min() > 0


def test_categorical_samples_are_one_hot_with_the_right_frequencies():
    """The Gumbel-max trick draws class k with probability p_k."""
    probs = torch.tensor([0.05, 0.15, 0.3, 0.5])
    latent = CategoricalLatent(1, 4, 0.0)
    z = latent.sample(torch.log(probs).expand(40_000, 4), latent.noise(40_000))
    assert z.shape == (40_000, 4)
    torch.testing.assert_close(z.sum(-1), torch.ones(40_000))
    torch.testing.assert_close(z.amax(-1), torch.ones(40_000))
    for k, p in enumerate(probs.tolist()):
        assert z[:, k].mean().item() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 40_000))


def test_categorical_sample_has_the_gradient_of_the_mixed_probabilities():
    latent = CategoricalLatent(2, 3, 0.1)
    logits = torch.randn(6, dtype=DOUBLE, requires_grad=True)
    weight = torch.randn(6, dtype=DOUBLE)
    (got,) = gradients((latent.sample(logits, latent.noise().double()) * weight).sum(), logits)
    mixed = 0.9 * torch.softmax(logits.reshape(2, 3), -1) + 0.1 / 3
    (expected,) = gradients((mixed.flatten() * weight).sum(), logits)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("latent", [GaussianLatent(3, 0.1), CategoricalLatent(3, 4, 0.0)], ids=["gaussian", "categorical"])
def test_every_number_of_the_noise_is_drawn_by_itself(latent):
    """Rows, groups and classes do not share any: each of them shows another number everywhere."""
    noise = latent.noise(5, 2)
    assert len(noise.unique()) == noise.numel(), "a number that stands in the noise twice"


def test_noise_stays_finite_where_the_uniform_number_does_not_help(monkeypatch):
    """torch.rand may give exactly 0, whose logarithm is infinite, or the largest float below 1."""
    for number in (0.0, 1 - 2**-24):
        monkeypatch.setattr(torch, "rand", lambda *shape, device, number=number: torch.full(shape, number))
        assert CategoricalLatent(2, 3, 0.0).noise(4).isfinite().all(), f"the uniform number {number} makes noise that is no number"


def test_gumbel_noise_has_the_gumbel_mean_and_spread():
    noise = CategoricalLatent(10, 10, 0.0).noise(50, 20)
    assert noise.shape == (50, 20, 10, 10)
    assert noise.isfinite().all(), "Gumbel noise that is not a number"
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)
    assert noise.std().item() == pytest.approx(math.pi / math.sqrt(6), abs=0.02)


def test_categorical_kl_matches_torch():
    """Summed over the groups."""
    q, p = torch.softmax(torch.randn(2, 20, 3, 4, dtype=DOUBLE), -1)
    expected = kl_divergence(Categorical(q), Categorical(p)).sum(-1)
    torch.testing.assert_close(latents.categorical_kl(q, p), expected)
    assert latents.categorical_kl(q, q).abs().max() < 1e-12


def test_categorical_kl_is_the_mean_log_ratio():
    q, p = torch.softmax(torch.randn(2, 1, 5, dtype=DOUBLE), -1)
    x = Categorical(q[0]).sample((100_000,))
    estimate = (torch.log(q[0]) - torch.log(p[0]))[x]
    exact = latents.categorical_kl(q, p).item()
    assert exact == pytest.approx(estimate.mean().item(), abs=4 * estimate.std().item() / math.sqrt(len(x)))


def test_categorical_latent_puts_the_pieces_together():
    """Mode, KL and entropy of a categorical z, from raw logits, with the uniform share mixed in."""
    latent = CategoricalLatent(2, 3, 0.01)
    assert (latent.size, latent.params) == (6, 6)
    q, p = torch.randn(2, 5, 6, dtype=DOUBLE)
    mixed = [Categorical(0.99 * torch.softmax(x.reshape(5, 2, 3), -1) + 0.01 / 3) for x in (q, p)]
    torch.testing.assert_close(latent.kl(q, p), kl_divergence(*mixed).sum(-1))
    torch.testing.assert_close(latent.entropy(q), mixed[0].entropy().sum(-1))
    likeliest = torch.eye(3, dtype=DOUBLE)[q.reshape(5, 2, 3).argmax(-1)].reshape(5, 6)
    torch.testing.assert_close(latent.mode(q), likeliest)


# --- balanced KL -----------------------------------------------------------------------------


@pytest.mark.parametrize("latent", [GaussianLatent(3, 0.1), CategoricalLatent(2, 3, 0.01)], ids=["gaussian", "categorical"])
def test_balance_splits_the_gradient_between_prior_and_posterior(latent):
    """The value is the KL; the prior gets 0.8 of its gradient, the posterior 0.2."""
    q, p = (torch.randn(7, latent.params, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    plain = latent.kl(q, p)
    balanced = latents.balanced_kl(latent.kl(q.detach(), p), latent.kl(q, p.detach()), 0.8, 0.0)
    torch.testing.assert_close(balanced, plain)
    full_q, full_p = gradients(plain.sum(), (q, p))
    got_q, got_p = gradients(balanced.sum(), (q, p))
    torch.testing.assert_close(got_p, 0.8 * full_p)
    torch.testing.assert_close(got_q, 0.2 * full_q)


def test_free_nats_are_counted_per_row():
    """Rows below 1 nat count as 1 and give no gradient; the others are untouched by them."""
    kl = torch.tensor([[0.2, 3.0], [0.9, 1.5]], requires_grad=True)
    out = latents.balanced_kl(kl, kl, 0.8, 1.0)
    torch.testing.assert_close(out.detach(), torch.tensor([[1.0, 3.0], [1.0, 1.5]]))
    (grad,) = gradients(out.sum(), kl)
    assert grad.tolist() == [[0.0, 1.0], [0.0, 1.0]], "which rows train anything"


def test_free_nats_treat_the_two_halves_alike():
    dyn, rep = torch.tensor([0.5, 2.0]), torch.tensor([4.0, 0.5])
    torch.testing.assert_close(latents.balanced_kl(dyn, rep, 0.75, 1.0), torch.tensor([0.75 + 1.0, 1.5 + 0.25]))


def test_an_attached_code_is_the_code_itself_with_the_gradient_of_its_probabilities():
    """Even where rounding would now draw another class: the code was used to unroll, so it stays."""
    latent = CategoricalLatent(1, 3, 0.0)
    logits = torch.tensor([[0.3, 0.2, 0.1]], dtype=DOUBLE, requires_grad=True)
    code = torch.tensor([[0.0, 1.0, 0.0]], dtype=DOUBLE)  # not what noise 0 would draw
    z = latent.attach(logits, torch.zeros(1, 1, 3, dtype=DOUBLE), code)
    torch.testing.assert_close(z, code)
    weight = torch.randn(1, 3, dtype=DOUBLE)
    (got,) = gradients((z * weight).sum(), logits)
    (expected,) = gradients((torch.softmax(logits, -1) * weight).sum(), logits)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("latent", [GaussianLatent(3, 0.1), CategoricalLatent(2, 3, 0.01)], ids=["gaussian", "categorical"])
def test_both_kl_are_one_kl_with_either_side_held_still(latent):
    q, p = torch.randn(2, 5, latent.params, dtype=DOUBLE, requires_grad=True)
    dyn, rep = latent.both_kl(q, p)
    expected = latent.kl(q, p)
    torch.testing.assert_close(dyn, expected)
    torch.testing.assert_close(rep, expected)
    for kl, follows, still in ((dyn, p, q), (rep, q, p)):
        got, none = gradients(kl.sum(), (follows, still))
        (true,) = gradients(expected.sum(), follows)
        torch.testing.assert_close(got, true)
        assert (none == 0).all(), "the side that should hold still gets a gradient"

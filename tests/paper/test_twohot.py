"""Two-hot: bins, targets, loss and mean by brute force, and the reward head made of them."""

import math

import pytest
import torch
from toys import gradients, model_config, random_window

from dreamer_core.paper.twohot import TwoHotReward, symexp_bins, twohot, twohot_loss, twohot_mean
from dreamer_core.world_model import WorldModel

DOUBLE = torch.float64
BINS = symexp_bins()


def spread(number):
    """Numbers of both signs and of every size between 1e-3 and 1e8."""
    return (2 * torch.randint(0, 2, (number,)) - 1) * 10 ** (11 * torch.rand(number) - 3)


# --- bins and targets -----------------------------------------------------------------------------


def test_the_bins_are_symmetric_and_reach_far():
    assert len(BINS) == 255 and BINS[127] == 0, "there is no bin at 0 in the middle"
    assert torch.equal(BINS, -BINS.flip(0)), "the upper half is not the lower one mirrored"
    assert (BINS[1:] > BINS[:-1]).all(), "bins that do not rise"
    assert BINS[-1].item() == pytest.approx(math.exp(20) - 1, rel=1e-6), "the last bin is not symexp(20)"
    step = torch.log1p(BINS[128:]).diff()
    torch.testing.assert_close(step, torch.full_like(step, 20 / 127), rtol=1e-4, atol=0, msg=lambda told: f"uneven in symlog: {told}")


def test_a_target_by_hand():
    """3 lies between 2 and 6, a quarter of the way up; 0 is a bin; 9 and -9 lie beyond the ends."""
    bins = torch.tensor([-6.0, -2, 0, 2, 6])
    weights = twohot(torch.tensor([3.0, 0, 9, -9, -2.5]), bins)
    assert weights.tolist() == [[0, 0, 0, 0.75, 0.25], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0.125, 0.875, 0, 0, 0]]


def test_the_two_bins_are_those_around_the_target():
    """Found by looking at each of the 254 gaps."""
    target = spread(300)
    for x, weights in zip(target.tolist(), twohot(target, BINS)):
        gap = next(gap for gap in range(len(BINS) - 1) if x <= BINS[gap + 1].item())
        elsewhere = weights.clone()
        elsewhere[gap : gap + 2] = 0
        assert not elsewhere.any(), f"{x} has weights outside its bins {BINS[gap].item()} and {BINS[gap + 1].item()}"
        assert 0 <= weights.min() and weights.max() <= 1, f"weights of {x} below 0 or above 1"


def test_the_mean_of_a_target_is_the_target():
    target = spread(1000).reshape(10, 100)
    weights = twohot(target, BINS)
    assert weights.shape == (10, 100, 255) and (weights >= 0).all(), "weights below 0, or of another shape"
    assert ((weights > 0).sum(-1) <= 2).all(), "a target spreads over more than two bins"
    torch.testing.assert_close(weights.sum(-1), torch.ones(10, 100), msg=lambda told: f"weights that do not add up to 1: {told}")
    mean = (weights.double() * BINS.double()).sum(-1)
    torch.testing.assert_close(mean, target.double(), rtol=1e-5, atol=0, msg=lambda told: f"the mean of a target is not the target: {told}")


# --- loss and mean --------------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_to_the_target():
    logits, target = torch.randn(6, 255), spread(6)
    by_hand = -(twohot(target, BINS) * torch.log_softmax(logits, -1)).sum(-1)
    torch.testing.assert_close(twohot_loss(logits, target, BINS), by_hand, msg=lambda told: f"the loss is no cross-entropy: {told}")


def test_no_distribution_costs_less_than_the_target_itself():
    """There the loss is the entropy of the two weights."""
    target, bins = torch.tensor([0.7]), torch.linspace(-2, 2, 5)
    weights = twohot(target, bins)
    least = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3))
    assert twohot_loss(weights.clamp(min=1e-30).log(), target, bins).item() == pytest.approx(least, rel=1e-5)
    assert (twohot_loss(torch.randn(500, 5), target.expand(500), bins) > least).all(), "a distribution that costs less than the target"


def test_the_gradient_is_that_of_differences():
    bins, target = symexp_bins(11).double(), torch.tensor([0.3, -55.0], dtype=DOUBLE)
    logits = torch.randn(2, 11, dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: twohot_loss(x, target, bins), logits), "the gradient of the loss"
    assert torch.autograd.gradcheck(lambda x: twohot_mean(x, bins) / bins[-1], logits), "the gradient of the mean"


def test_how_hard_the_loss_pulls_does_not_depend_on_the_size_of_the_number():
    """A squared error would pull a million times harder at a million than at 1."""
    target = BINS[[150, 200, 250]]
    logits = torch.zeros(3, 255, requires_grad=True)
    (pull,) = gradients(twohot_loss(logits, target, BINS).sum(), logits)
    assert pull.norm(dim=-1).tolist() == pytest.approx([pull[0].norm().item()] * 3, rel=1e-4), f"pulls on {target.tolist()}"


@pytest.mark.parametrize("logits", [torch.zeros(255), torch.full((255,), 3.7), -0.01 * torch.arange(-127.0, 128).abs()])
def test_a_symmetric_distribution_means_exactly_zero(logits):
    """Bins of 4.9e8 cancel to the last bit."""
    assert twohot_mean(logits, BINS).item() == 0, "equal weights on both sides do not cancel"


def test_the_mean_is_the_weighted_sum():
    """Against a sum without rounding, of bins that do not reach too far for one."""
    logits, bins = torch.randn(20, 41), symexp_bins(41)
    probs = torch.softmax(logits, -1)
    for row, found in zip(probs.tolist(), twohot_mean(logits, bins).tolist()):
        parts = [p * b for p, b in zip(row, bins.tolist())]
        assert found == pytest.approx(math.fsum(parts), abs=1e-6 * sum(map(abs, parts))), "the mean of a distribution"


def test_fitting_it_to_two_outcomes_finds_their_odds_and_their_mean():
    """A quarter of the rewards is 100, the others are 0. A Normal could only say 25, more or less."""
    target = (torch.arange(400) % 4 == 0).float() * 100
    logits = torch.zeros(255, requires_grad=True)
    optimizer = torch.optim.Adam([logits], 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        twohot_loss(logits.expand(400, -1), target, BINS).mean().backward()
        optimizer.step()
    probs = torch.softmax(logits.detach(), -1)
    assert twohot_mean(logits.detach(), BINS).item() == pytest.approx(25, rel=0.02), "the mean of the fitted distribution"
    assert probs[127].item() == pytest.approx(0.75, abs=0.01), "the odds of a reward of 0"
    assert probs[(BINS > 80) & (BINS < 120)].sum().item() == pytest.approx(0.25, abs=0.01), "the odds of a reward of 100"


# --- the reward head ------------------------------------------------------------------------------


def head(**changes):
    return TwoHotReward(model_config(**changes), 9)


def test_the_head_starts_at_exactly_zero_whatever_it_reads():
    found, state = head(), 100 * torch.randn(50, 9)
    raw = found(state)
    assert (found.stats(raw)[0] == 0).all(), "a head that has learned nothing predicts a reward"
    assert found.nll(raw, spread(50)).tolist() == pytest.approx([math.log(255)] * 50), "it does not start from equal odds"


def test_the_head_has_the_layers_that_are_asked_for():
    plain, normed = head(units=7, head_layers=2), head(units=7, head_layers=2, norm="rms")
    assert [layer.weight.shape for layer in plain if isinstance(layer, torch.nn.Linear)] == [(7, 9), (7, 7), (255, 7)]
    assert sum(isinstance(layer, torch.nn.RMSNorm) for layer in normed) == 2, "model.norm does not reach the head"


def test_mean_and_spread_of_a_prediction_by_hand():
    """Half on the bin at 0, half on another one b: mean b / 2, standard deviation b / 2."""
    found, raw = head(), torch.full((255,), -100.0)
    raw[[127, 160]] = 0.0
    mean, std = found.stats(raw)
    assert (mean.item(), std.item()) == pytest.approx((BINS[160].item() / 2,) * 2)


def test_another_unit_of_rewards_leaves_the_head_as_it_is():
    """The bins hold every unit; a Normal's mean would be stretched."""
    found, state = head(), torch.randn(4, 9)
    torch.nn.init.normal_(found[-1].weight)
    before = found(state).tolist()
    found.restate(0.5, 1.0)
    assert found(state).tolist() == before, "another unit of rewards has moved the odds"


def test_a_window_is_charged_for_every_row_but_the_first_of_an_episode():
    """The mean over all rows, as v1's reward loss takes it: rows without a reward count as 0."""
    found, first = head(), torch.tensor([[1.0, 0, 0], [0, 1, 0]])
    raw, reward = torch.randn(2, 3, 255), torch.randn(2, 3)
    by_hand = sum(found.nll(raw[b, t], reward[b, t]) for b, t in ((0, 1), (0, 2), (1, 0), (1, 2))) / 6
    torch.testing.assert_close(found.loss(raw, reward, first), by_hand, msg=lambda told: f"what a window's rewards cost: {told}")


def test_the_world_model_reads_rewards_off_this_head():
    """Its loss, and the mean that dreams take; the scale weighs it."""
    model, window = WorldModel(model_config(reward_head="twohot", reward_scale=3.0), 3, 2), random_window()
    torch.nn.init.normal_(model.reward[-1].weight, std=0.1)
    losses, beliefs = model.loss(window)
    raw = model.reward(beliefs.features)
    expected = 3 * twohot_loss(raw, window.reward, BINS).mean()
    torch.testing.assert_close(losses["reward"], expected, msg=lambda told: f"the reward's part of the loss: {told}")
    mean = (torch.softmax(raw, -1) * BINS).sum(-1)
    assert model.predict_reward(beliefs.features)[0].flatten().tolist() == pytest.approx(mean.flatten().tolist(), rel=1e-3, abs=100)


def test_dreams_inside_a_window_are_charged_for_rewards_by_it_too():
    """No episode ends in these windows, so each dreamt row is charged for the equal odds of 255 bins, once."""
    window, charged = random_window(), {}
    for scale in (0.0, 1.0):
        torch.manual_seed(1)
        model = WorldModel(model_config(reward_head="twohot", overshoot=2, reward_scale=scale), 3, 2)
        charged[scale] = model.loss(window)[0]["overshoot"].item()
    assert charged[1.0] - charged[0.0] == pytest.approx(math.log(255), rel=1e-4), "what dreamt rewards cost"

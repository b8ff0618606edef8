"""The building blocks: layers and log-likelihoods."""

import math

import pytest
import torch
from torch import nn

from dreamer_core import nets


def silu(x):
    return x / (1 + torch.exp(-x))


def test_mlp_is_linear_layers_with_silu_between_them():
    """Two hidden layers: W3 silu(W2 silu(W1 x)), and nothing after the last."""
    net = nets.mlp(3, 5, 2, 4).double()
    shapes = [tuple(p.shape) for p in net.parameters()]
    assert shapes == [(5, 3), (5,), (5, 5), (5,), (4, 5), (4,)], "weights and biases of two hidden layers and the last"
    w1, b1, w2, b2, w3, b3 = net.parameters()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    by_hand = silu(silu(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
    assert by_hand.shape == (7, 2, 4)
    torch.testing.assert_close(net(x), by_hand)


def test_mlp_without_hidden_layers_is_linear():
    net = nets.mlp(3, 5, 0, 4)
    assert len(list(net.parameters())) == 2, "weight and bias of one layer"
    weight, bias = net.parameters()
    x = torch.randn(6, 3)
    torch.testing.assert_close(net(x), x @ weight.T + bias)


def test_twin_linear_is_two_separate_layers():
    """Each half maps its own input with its own weights, and neither half feels the other."""
    twin = nets.TwinLinear(3, 4)
    x = torch.randn(2, 5, 3)
    out = twin(x)
    for half in range(2):
        torch.testing.assert_close(out[half], x[half] @ twin.weight[half] + twin.bias[half])
    out[0].sum().backward()
    assert twin.weight.grad[0].abs().min() > 0
    assert (twin.weight.grad[1] == 0).all() and (twin.bias.grad[1] == 0).all(), "the second half feels the loss of the first"


def test_twin_linear_starts_like_two_default_layers():
    """Uniform within 1 / sqrt(inputs), different in each half, never zero."""
    twin = nets.TwinLinear(400, 300)
    bound = 1 / math.sqrt(400)
    assert not torch.equal(twin.weight[0], twin.weight[1]), "both halves start with the same weights"
    for half in range(2):
        weight = twin.weight[half].detach()
        assert weight.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)  # sd of a uniform
        assert twin.bias[half].detach().std().item() == pytest.approx(bound / math.sqrt(3), rel=0.2)


def test_squared_error_by_hand():
    """0.5 * ((1 - 3)^2 + (2 - 5)^2) = 6.5: a sum over the entries, not a mean."""
    error = nets.squared_error(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[3.0, 5.0], [0.0, 1.0]]))
    assert error.tolist() == [6.5, 0.5]


def test_squared_error_is_a_unit_normal_up_to_a_constant():
    prediction, target = torch.randn(2, 10, 4, dtype=torch.float64)
    nll = -torch.distributions.Normal(prediction, 1.0).log_prob(target).sum(-1)
    constant = 4 * 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(nets.squared_error(prediction, target) + constant, nll)


def test_positive_is_above_its_floor_and_smooth():
    """log(1 + e^raw) + floor: the floor far below, raw itself far above, slope sigmoid(raw) between."""
    raw = torch.tensor([-200.0, -1.0, 0.0, 2.0, 200.0], dtype=torch.float64, requires_grad=True)
    std = nets.positive(raw, 0.05)
    by_hand = [0.05, math.log1p(math.exp(-1)) + 0.05, math.log(2) + 0.05, math.log1p(math.exp(2)) + 0.05, 200.05]
    torch.testing.assert_close(std, torch.tensor(by_hand, dtype=torch.float64))
    std.sum().backward()
    torch.testing.assert_close(raw.grad, 1 / (1 + torch.exp(-raw.detach())))


def test_gaussian_nll_matches_torch():
    mean, target = torch.randn(2, 50, dtype=torch.float64)
    std = torch.rand(50, dtype=torch.float64) + 0.1
    torch.testing.assert_close(nets.gaussian_nll(mean, std, target), -torch.distributions.Normal(mean, std).log_prob(target))


def test_gaussian_nll_is_a_density():
    """exp(-nll) integrates to 1."""
    x = torch.linspace(-20, 20, 20001, dtype=torch.float64)
    density = torch.exp(-nets.gaussian_nll(torch.tensor(0.7), torch.tensor(1.3), x))
    assert torch.trapezoid(density, x).item() == pytest.approx(1, abs=1e-6)


def test_bernoulli_nll_matches_torch_and_survives_certainty():
    logit = torch.randn(50)
    target = (torch.rand(50) > 0.5).float()
    expected = -torch.distributions.Bernoulli(logits=logit).log_prob(target)
    torch.testing.assert_close(nets.bernoulli_nll(logit, target), expected)
    assert nets.bernoulli_nll(torch.zeros(()), torch.ones(())).item() == pytest.approx(math.log(2))
    assert nets.bernoulli_nll(torch.tensor([200.0, -200.0]), torch.tensor([0.0, 0.0])).tolist() == [200.0, 0.0]


def test_heads_are_ordinary_modules():
    """Every layer of an mlp and of a twin layer is seen by an optimiser."""
    assert len(list(nets.mlp(3, 5, 2, 4).parameters())) == 6
    assert all(isinstance(p, nn.Parameter) for p in nets.TwinLinear(2, 2).parameters()), "a weight of the twin layer that no optimiser sees"
    assert len(list(nets.TwinLinear(2, 2).parameters())) == 2

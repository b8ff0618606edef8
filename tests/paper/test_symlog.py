"""Symlog: the function by hand, and where `model.symlog` puts it."""

import math

import pytest
import torch
from toys import gradients, model_config, random_window

from dreamer_core.paper.symlog import symexp, symlog
from dreamer_core.world_model import WorldModel

DOUBLE = torch.float64


def test_by_hand():
    """symlog(e - 1) = log e = 1, symlog(1 - e^2) = -2; symexp goes back."""
    x = torch.tensor([0.0, math.e - 1, 1 - math.e**2], dtype=DOUBLE)
    assert symlog(x).tolist() == pytest.approx([0, 1, -2]), "symlog of 0, e - 1 and 1 - e^2"
    assert symexp(torch.tensor([0.0, 1, -2], dtype=DOUBLE)).tolist() == pytest.approx(x.tolist()), "symexp of 0, 1 and -2"


def test_each_is_the_others_inverse_in_both_directions():
    x = torch.cat([torch.linspace(-20, 20, 81, dtype=DOUBLE), torch.tensor([1e-12, -1e12], dtype=DOUBLE)])
    torch.testing.assert_close(symexp(symlog(x)), x, rtol=1e-12, atol=0, msg=lambda told: f"symexp(symlog(x)) is not x: {told}")
    near = x[:81]
    torch.testing.assert_close(symlog(symexp(near)), near, rtol=1e-12, atol=0, msg=lambda told: f"symlog(symexp(x)) is not x: {told}")


def test_both_are_odd_to_the_last_bit():
    x = torch.randn(200) * 5
    for name, function in (("symlog", symlog), ("symexp", symexp)):
        assert torch.equal(function(-x), -function(x)), f"{name} treats the two signs differently"


def test_small_numbers_keep_all_their_digits():
    """log(1 + x) computed as it is written would return 0 for 1e-10 in float32."""
    x = torch.tensor([1e-10, -3e-9])
    for name, function in (("symlog", symlog), ("symexp", symexp)):
        torch.testing.assert_close(function(x), x, rtol=1e-6, atol=0, msg=lambda told, name=name: f"{name} of tiny numbers: {told}")


def test_the_slope_is_that_of_a_difference():
    """1 / (1 + |x|): 1 at small numbers, and a thousandth at a thousand."""
    x = torch.tensor([-1000.0, -2, -0.1, 0.1, 2, 1000], dtype=DOUBLE, requires_grad=True)
    (slope,) = gradients(symlog(x).sum(), x)
    step = 1e-6
    numeric = (symlog(x.detach() + step) - symlog(x.detach() - step)) / (2 * step)
    torch.testing.assert_close(slope, numeric, rtol=1e-6, atol=1e-9, msg=lambda told: f"the gradient of symlog: {told}")
    torch.testing.assert_close(slope, 1 / (1 + x.detach().abs()), msg=lambda told: f"the slope of symlog: {told}")


# --- in the world model ---------------------------------------------------------------------------


def world():
    return WorldModel(model_config(symlog=True), 3, 2).double()


def test_the_encoder_reads_compressed_observations():
    model = world()
    observation = torch.tensor([[math.e - 1, 0.0, 1 - math.e**2]], dtype=DOUBLE)
    expected = model.encoder(torch.tensor([[1.0, 0, -2]], dtype=DOUBLE))
    torch.testing.assert_close(model.encode(observation), expected, msg=lambda told: f"the encoder reads something else: {told}")


def test_the_decoder_answers_in_the_environments_units():
    """It writes symlog; what is handed out is symexp of that."""
    model, features = world(), torch.randn(5, 9, dtype=DOUBLE)
    written = model.decoder(features)
    expected = torch.sign(written) * (torch.exp(written.abs()) - 1)
    torch.testing.assert_close(model.decode(features), expected, msg=lambda told: f"what is decoded is not symexp of it: {told}")


@pytest.mark.parametrize("scale, each", [(1.0, 0.5), (2.0, 1.0)])
def test_the_decoder_is_trained_towards_symlog_of_what_was_seen(scale, each):
    """Half the summed squared error, and with observation_scale = 2 the whole one, as in the paper."""
    model, window = world(), random_window(dtype=DOUBLE)
    window = window._replace(observation=1000 * window.observation)
    model.config.observation_scale = scale
    losses, beliefs = model.loss(window)
    losses, beliefs = model.loss(window)
    target = torch.sign(window.observation) * torch.log(1 + window.observation.abs())
    by_hand = each * (model.decoder(beliefs.features) - target).square().sum(-1).mean()
    torch.testing.assert_close(losses["observation"], by_hand, msg=lambda told: f"the observation's part of the loss: {told}")
    total = sum(losses[name] for name in ("observation", "reward", "continue", "kl"))
    torch.testing.assert_close(losses["total"], total, msg=lambda told: f"the whole loss does not hold it as it is: {told}")


def test_it_is_symlog_of_what_the_measured_units_leave():
    """Seen (e - 1) standard deviations above the mean, an entry reads 1; and what is written is taken back in the other order."""
    model, one = world(), torch.ones(1, 3, dtype=DOUBLE)
    model.centre.fill_(7.0)
    model.scale.fill_(3.0)
    torch.testing.assert_close(model.standardized(7 + 3 * (math.e - 1) * one), one, msg=lambda told: f"what is read: {told}")
    model.decoder = torch.nn.Identity()  # writes what it is given
    torch.testing.assert_close(model.decode(one), 7 + 3 * (math.e - 1) * one, msg=lambda told: f"what is handed out: {told}")


def test_without_it_observations_are_as_they_are():
    model, observation = WorldModel(model_config(), 3, 2), 100 * torch.randn(4, 3)
    assert torch.equal(model.standardized(observation), observation), "observations are compressed although model.symlog is off"

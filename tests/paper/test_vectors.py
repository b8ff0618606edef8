"""The paper's pieces against numbers of the official implementation, in float32 (vectors.json).

Both sides round on their own, so results agree to about 1e-6 of themselves. `close` allows 1e-5; where
a test allows more, it says why.
"""

import pytest
import torch
from toys import gradients

from dreamer_core.config import DreamerV3Config
from dreamer_core.latents import CategoricalLatent, categorical_kl, straight_through, unimix_probs
from dreamer_core.nets import mlp
from dreamer_core.paper.actor_critic import (
    CategoricalActor,
    bounded_normal,
    normal_entropy,
    normal_log_prob,
    policy_loss,
    replay_returns,
    value_loss,
)
from dreamer_core.paper.agc import clip_by_agc
from dreamer_core.paper.block_gru import BlockGRU
from dreamer_core.paper.kl import paper_kl
from dreamer_core.paper.laprop import LaProp
from dreamer_core.paper.return_range import ReturnRange
from dreamer_core.paper.symlog import symexp, symlog
from dreamer_core.paper.twohot import symexp_bins, twohot, twohot_loss, twohot_mean
from dreamer_core.returns import lambda_return
from paper.official import vectors


def close(found, expected, words, rtol=1e-5, atol=1e-6):
    """Fail in words where two tensors differ by more than atol + rtol |expected|."""
    expected = torch.as_tensor(expected, dtype=found.dtype)
    torch.testing.assert_close(found.detach(), expected, rtol=rtol, atol=atol, msg=lambda details: f"{words}\n{details}")


def test_the_file_says_where_its_numbers_come_from():
    source = vectors("source")
    assert source["repository"] == "danijar/dreamerv3" and len(source["commit"]) == 40, "vectors.json names no commit of the official code"
    assert source["dtype"] == "float32", "the official functions were asked in another precision than these tests compare in"


# --- symlog and two-hot --------------------------------------------------------------------------


def test_symlog_and_symexp():
    official = vectors("symlog")
    close(symlog(official["x"]), official["symlog"], "the official symlog gives other numbers", atol=0)
    close(symexp(official["y"]), official["symexp"], "the official symexp gives other numbers", atol=0)


def wave_logits(rows, bins):
    """As in vectors.py: logits[i, k] = 3 sin(0.37 i k + k) - 0.05 i |k - (bins - 1) / 2|, computed in double precision."""
    i, k = torch.arange(rows, dtype=torch.float64)[:, None], torch.arange(bins, dtype=torch.float64)
    return (3 * torch.sin(0.37 * i * k + k) - 0.05 * i * (k - (bins - 1) / 2).abs()).float()


def mean_is_close(logits, bins, expected, words):
    """Bins reach 4.9e8 and cancel: the mean is as exact as the largest terms of its sum allow."""
    allowed = 2e-6 * (torch.softmax(logits, -1) * bins.abs()).sum(-1)
    off = (twohot_mean(logits, bins) - expected).abs()
    assert (off <= allowed).all(), f"{words}: off by {off.tolist()} where rounding explains {allowed.tolist()}"


def test_the_bins():
    official = vectors("twohot_large")
    close(symexp_bins(255)[official["index"]], official["bins"], "the official 255 bins lie elsewhere", atol=0)
    close(symexp_bins(11), vectors("twohot_small")["bins"], "the official bins, were they 11, lie elsewhere", atol=0)


def test_the_mean_and_the_loss_over_255_bins():
    official, bins = vectors("twohot_large"), symexp_bins(255)
    logits = wave_logits(official["rows"], 255)
    mean_is_close(logits, bins, official["mean"], "the official mean of a two-hot distribution over 255 bins")
    close(twohot_loss(logits, official["target"], bins), official["loss"], "the official two-hot loss over 255 bins gives other numbers")


def test_logits_of_zero_mean_exactly_zero():
    found = twohot_mean(torch.zeros(255), symexp_bins(255)).item()
    assert found == vectors("start")["mean_of_zero_logits"] == 0, f"a head that starts at zero predicts {found}, the official one 0"


def test_the_mean_the_loss_and_its_gradient_over_11_bins():
    """Targets inside, on a bin, at 0, at the last bin and beyond both ends."""
    official = vectors("twohot_small")
    bins, logits = official["bins"], official["logits"].requires_grad_()
    mean_is_close(logits, bins, official["mean"], "the official mean of a two-hot distribution over 11 bins")
    loss = twohot_loss(logits, official["target"], bins)
    close(loss, official["loss"], "the official two-hot loss gives other numbers")
    close(gradients(loss.sum(), logits)[0], official["gradient"], "the official two-hot loss pulls the logits elsewhere")


def test_the_two_hot_weights():
    """The gradient of the loss in the logits is probabilities - weights."""
    official = vectors("twohot_small")
    expected = torch.softmax(official["logits"], -1) - official["gradient"]
    close(twohot(official["target"], official["bins"]), expected, "the official two-hot target has other weights")


# --- latents -------------------------------------------------------------------------------------


def test_unimix_entropy_and_kl():
    official = vectors("unimix")
    logits, other = official["logits"], official["other"]
    probs = unimix_probs(logits, official["unimix"])
    close(probs, official["probs"], "the official mix with 1% of the uniform distribution gives other probabilities")
    latent = CategoricalLatent(3, 4, official["unimix"])
    close(latent.entropy(logits.flatten(-2)), official["entropy"], "the official entropy, summed over groups, is another")
    close(categorical_kl(probs, unimix_probs(other, official["unimix"])), official["kl"], "the official KL, summed over groups, is another")
    close(latent.kl(logits.flatten(-2), other.flatten(-2)), official["kl"], "the official KL, asked of the latent, is another")


def test_the_straight_through_sample():
    official = vectors("unimix")
    logits = official["logits"].requires_grad_()
    one_hot = torch.nn.functional.one_hot(official["index"], 4).float()
    sample = straight_through(unimix_probs(logits, official["unimix"]), one_hot)
    close(sample, official["sample"], "the official straight-through sample is another")
    found = gradients((official["weights"] * sample).sum(), logits)[0]
    close(found, official["sample_gradient"], "the official straight-through gradient, through the mix with the uniform share, is another")


def test_the_two_kl_terms_and_their_gradients():
    """Three rows lie below the free nat, one just above it."""
    official = vectors("kl")
    posterior, prior = official["posterior"].flatten(-2).requires_grad_(), official["prior"].flatten(-2).requires_grad_()
    dyn, rep = CategoricalLatent(3, 4, official["unimix"]).both_kl(posterior, prior)
    close(dyn, official["kl"], "the official KL before clipping is another")
    free = official["free_nats"]
    close(paper_kl(dyn, rep, free, 1.0, 0.0), official["dyn"], "the official term that trains the prior is another")
    close(paper_kl(dyn, rep, free, 0.0, 1.0), official["rep"], "the official term that trains the posterior is another")
    found = gradients(paper_kl(dyn, rep, free, official["dyn_scale"], official["rep_scale"]).mean(), [posterior, prior])
    close(found[0], official["posterior_gradient"].flatten(-2), "the official KL pulls the posterior elsewhere")
    close(found[1], official["prior_gradient"].flatten(-2), "the official KL pulls the prior elsewhere")


def test_the_kl_weights_when_left_out_are_the_official_ones():
    official = vectors("kl")
    expected = official["dyn_scale"] * official["dyn"] + official["rep_scale"] * official["rep"]
    close(paper_kl(official["kl"], official["kl"]), expected, "paper_kl, given no weights, is not the official 1.0 dyn + 0.1 rep")


# --- layers --------------------------------------------------------------------------------------


def fill(module, values):
    """Set the parameters of a layer to official values: kernels (..., in, out), biases and scales."""
    with torch.no_grad():
        for name, value in values.items():
            parameter = getattr(module, name)
            parameter.copy_(value.T if isinstance(module, torch.nn.Linear) and value.ndim == 2 else value)


def fill_layer(layer, parameters, linear, norm):
    """Linear (or block-linear) layer and RMS norm from official parameters of these two names."""
    fill(layer[0], {"weight": parameters[f"{linear}/kernel"], "bias": parameters[f"{linear}/bias"]})
    fill(layer[1], {"weight": parameters[f"{norm}/scale"]})


def test_the_rms_norm():
    """With a scale, on a row so small that eps counts, and on zeros. There the gradient is in the hundreds: 1e-5 of that."""
    official = vectors("rms_norm")
    norm, x = mlp(6, 6, 1, 1, norm="rms")[1], official["x"].requires_grad_()
    fill(norm, {"weight": official["scale"]})
    close(norm(x), official["out"], f"the official RMS norm, with eps {official['eps']}, gives other numbers")
    found = gradients((official["weights"] * norm(x)).sum(), x)[0]
    close(found, official["gradient"], "the official RMS norm passes another gradient on", atol=1e-5)


def test_a_whole_layer():
    official = vectors("layer")
    layer, x = mlp(5, 4, 1, 1, norm="rms")[:3], official["x"].requires_grad_()
    fill_layer(layer, official["parameters"], "linear0", "norm0")
    close(layer(x), official["out"], "the official layer (linear, RMS norm, SiLU) gives other numbers")
    found = gradients((official["weights"] * layer(x)).sum(), x)[0]
    close(found, official["gradient"], "the official layer passes another gradient on")


@pytest.mark.parametrize("name", ["block_gru", "block_gru_two_layers"])
def test_the_block_gru(name):
    """One action is larger than 1 in size."""
    official = vectors(name)
    parameters, h = official["parameters"], official["h"].requires_grad_()
    sizes = [official[key] for key in ("deter", "stoch", "action_size", "units", "blocks", "layers")]
    gru = BlockGRU(*sizes)
    for i, layer in enumerate((gru.from_h, gru.from_z, gru.from_a)):
        fill_layer(layer, parameters, f"dynin{i}", f"dynin{i}norm")
    for i, layer in enumerate(gru.hidden):
        fill_layer(layer, parameters, f"dynhid{i}", f"dynhid{i}norm")
    fill(gru.gates, {"weight": parameters["dyngru/kernel"], "bias": parameters["dyngru/bias"]})
    assert sum(p.numel() for p in gru.parameters()) == sum(p.numel() for p in parameters.values()), "the official GRU has other parameters"
    out = gru(h, official["z"], official["action"])
    close(out, official["out"], "the official block GRU leads to another h")
    found = gradients((official["weights"] * out).sum(), h)[0]
    close(found, official["h_gradient"], "the official block GRU passes another gradient back to h")


# --- optimiser -----------------------------------------------------------------------------------


def leaves(values):
    """Official parameters by name, ready for gradients."""
    return {name: torch.nn.Parameter(value) for name, value in values.items()}


def test_adaptive_gradient_clipping():
    """A gradient too long, one that is not, one of weights next to zero, and one that is zero."""
    official = vectors("agc")
    params = leaves(official["params"])
    for name, param in params.items():
        param.grad = official["grads"][name]
    norm = clip_by_agc(params.values(), official["clip"], official["floor"])
    close(norm, official["global_norm"], "the official norm of all gradients before clipping is another")
    for name, param in params.items():
        close(param.grad, official["clipped"][name], f"the official clipping leaves another gradient of '{name}'", atol=1e-9)


def parameters_after(official, clip, ramp):
    """Step through the official gradients and compare where the official run was written down.

    Official code takes 1 - 0.999^t in float32, which is off by 5e-5 of itself at t = 1; each step can
    differ by half of that, 2.4e-7 at a learning rate of 0.01.
    """
    params = leaves(official["params"])
    optimizer = LaProp(params.values(), official["lr"], official["beta2"], official["momentum"], official["eps"])
    for step in range(max(int(step) for step in official["after"])):
        for name, param in params.items():
            param.grad = official["grads"][name][step].clone()
        optimizer.param_groups[0]["lr"] = official["lr"] * ramp(step)
        clip(params.values())
        optimizer.step()
        for name, expected in official["after"].get(str(step + 1), {}).items():
            words = f"after {step + 1} steps the official optimiser has another '{name}'"
            close(params[name], expected, words, rtol=1e-6, atol=3e-7 * (step + 1))


def test_laprop():
    """One weight never has a gradient, one has none at first, one meets an outlier."""
    parameters_after(vectors("laprop"), clip=lambda params: None, ramp=lambda step: 1.0)


def test_the_optimisers_settings_when_left_out_are_the_official_ones():
    laprop, agc, weight = vectors("laprop"), vectors("agc"), torch.nn.Parameter(torch.zeros(3))
    for name in ("beta2", "momentum", "eps"):
        assert LaProp([weight]).defaults[name] == laprop[name], f"the official optimiser has another {name}"
    weight.grad = torch.ones(3)
    clip_by_agc([weight])
    limit = agc["clip"] * agc["floor"]
    close(weight.grad.norm(), limit, "clip_by_agc, given no settings, clips the gradient of weights at 0 to another norm", atol=0)


def test_the_whole_optimiser():
    """Clipping, LaProp and a ramp of the learning rate that starts at 0: the first step changes nothing."""
    official = vectors("optimiser")
    parameters_after(
        official,
        clip=lambda params: clip_by_agc(params, official["clip"], official["floor"]),
        ramp=lambda step: min(1.0, step / official["warmup"]),
    )


# --- returns -------------------------------------------------------------------------------------


def test_the_lambda_return_of_a_dream():
    official = vectors("returns")["imagined"]
    reward, cont, value = official["rew"][:, 1:], 1 - official["term"][:, 1:], official["val"][:, 1:]
    found = lambda_return(reward, cont, value, torch.zeros_like(reward), official["disc"], official["lam"])
    close(found, official["ret"], "the official lambda-return of a dream is another")


def test_the_lambda_return_of_replayed_rows():
    official = vectors("returns")["replayed"]
    last, terminal = official["last"].float(), official["term"].float()
    found = replay_returns(official["rew"], last, terminal, official["boot"], official["disc"], official["lam"])
    close(found, official["ret"], "the official lambda-return along replayed rows is another")


def test_the_range_of_returns():
    """The first three updates leave the range below the limit of 1."""
    official = vectors("return_range")
    spread = ReturnRange(official["rate"], official["perclo"] / 100, official["perchi"] / 100, official["limit"])
    for step, returns in enumerate(official["returns"]):
        spread.update(returns)
        close(spread.percentiles[0], official["low"][step], f"after {step + 1} updates the official 5th percentile is another")
        close(spread.percentiles[1], official["high"][step], f"after {step + 1} updates the official 95th percentile is another")
        close(spread.scale(), official["scale"][step], f"after {step + 1} updates the official scale is another")


# --- actor and critic ----------------------------------------------------------------------------


def dreamt():
    """What the official imagination loss was given and gave, our weight w of each step, and our R.

    The weight starts with the continue probability of the *first* row: w_t = c_0 c_1 ... c_t.
    """
    official = vectors("imagined")
    assert official["contdisc"] and not official["slowtar"], "these numbers were made with other settings than the official ones"
    reward, cont, value = official["reward"], official["cont"], official["value"]
    returns = lambda_return(reward[:, 1:], cont[:, 1:], value[:, 1:], torch.zeros_like(reward[:, 1:]), 1.0, official["lam"])
    return official, torch.cumprod(cont, 1)[:, :-1], returns


def test_the_values_and_returns_of_a_dream():
    official, _, returns = dreamt()
    mean_is_close(official["value_logits"], official["bins"], official["value"], "the official values of a dream")
    mean_is_close(official["slow_logits"], official["bins"], official["slow_value"], "the official values of the slow critic")
    close(returns, official["returns"], "the official returns of a dream, which read the fast critic, are others")


def test_the_limit_of_the_range_when_left_out_is_the_official_one():
    close(ReturnRange().scale(), vectors("return_range")["limit"], "the official range of nothing is another")


def test_the_range_at_a_dream():
    """It is moved by the returns of this very dream before it is read."""
    official, _, returns = dreamt()
    spread = ReturnRange()
    spread.percentiles.copy_(torch.tensor([official["low_before"], official["high_before"]]))
    spread.update(returns)
    close(spread.scale(), official["scale"], "the official range of returns, moved by those of this dream, is another")


def test_the_value_loss_of_a_dream():
    """Bins far apart have gradients of 1e-11, so the absolute tolerance is near 0."""
    official, weight, returns = dreamt()
    logits = official["value_logits"].requires_grad_()
    slow = official["slow_value"][:, :-1]
    loss = value_loss(logits[:, :-1], returns, slow, weight, official["bins"], official["slowreg"])
    close(loss, official["value_loss"], "the official value loss of a dream is another")
    found = gradients(loss.mean(), logits)[0]
    close(found, official["value_gradient"], "the official value loss pulls the critic elsewhere", atol=1e-8)


def official_policy_loss(log_prob, entropy):
    official, weight, returns = dreamt()
    value, scale = official["value"][:, :-1], torch.tensor(official["scale"])
    return policy_loss(log_prob[:, :-1], entropy[:, :-1], returns, value, scale, weight, official["actent"])


def test_the_policy_loss_with_continuous_actions():
    official = vectors("imagined")["continuous"]
    mean_raw, std_raw = official["mean_raw"].requires_grad_(), official["std_raw"].requires_grad_()
    mean, std = bounded_normal(mean_raw, std_raw)
    close(mean, official["mean"], "the official policy has another mean")
    close(std, official["std"], "the official policy has another standard deviation")
    log_prob, entropy = normal_log_prob(mean, std, official["action"]), normal_entropy(std)
    close(log_prob, official["log_prob"], "the official log-probability of continuous actions is another")
    close(entropy, official["entropy"], "the official entropy of a Normal policy is another")
    loss = official_policy_loss(log_prob, entropy)
    close(loss, official["policy_loss"], "the official policy loss with continuous actions is another")
    found = gradients(loss.mean(), [mean_raw, std_raw])
    close(found[0], official["mean_gradient"], "the official policy loss pulls the mean elsewhere")
    close(found[1], official["std_gradient"], "the official policy loss pulls the standard deviation elsewhere")


def test_the_policy_loss_with_discrete_actions():
    """The official categorical policy mixes in no uniform share."""

    official = vectors("imagined")["categorical"]
    logits, drawn = official["logits"].requires_grad_(), torch.nn.functional.one_hot(official["action"], 3).float()
    actor = CategoricalActor(DreamerV3Config(), features=3, action=3)
    actor.net = torch.nn.Identity()  # hands the logits on
    log_prob, entropy = actor.log_prob_and_entropy(logits, drawn)
    close(log_prob, official["log_prob"], "the official log-probability of discrete actions is another")
    close(entropy, official["entropy"], "the official entropy of a categorical policy is another")
    loss = official_policy_loss(log_prob, entropy)
    close(loss, official["policy_loss"], "the official policy loss with discrete actions is another")
    close(gradients(loss.mean(), logits)[0], official["gradient"], "the official policy loss pulls the logits elsewhere")


def test_the_value_loss_on_replayed_rows():
    """A row in which an episode ended has no loss; the next episode's rewards do not reach back over it."""
    official = vectors("replayed")
    logits, last, terminal = official["value_logits"].requires_grad_(), official["last"].float(), official["terminal"].float()
    returns = replay_returns(official["reward"], last, terminal, official["boot"], 1 - 1 / official["horizon"], official["lam"])
    close(returns, official["returns"], "the official returns along replayed rows are others")
    slow, weight = official["slow_value"][:, :-1], 1 - last[:, :-1]
    loss = value_loss(logits[:, :-1], returns, slow, weight, official["bins"], official["slowreg"])
    close(loss, official["loss"], "the official value loss on replayed rows is another")
    found = gradients(loss.mean(), logits)[0]
    close(found, official["gradient"], "the official value loss on replayed rows pulls the critic elsewhere", atol=1e-8)


# --- the start -----------------------------------------------------------------------------------


def test_the_policy_starts_as_wide_as_the_official_one():
    official = vectors("start")
    std = bounded_normal(torch.zeros(1), torch.zeros(1))[1]
    close(std, [official["std"]], "a policy that writes zeros starts with another standard deviation than the official one")

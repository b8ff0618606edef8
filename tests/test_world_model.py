"""The world model's one loss, its heads, and the warm-up of h."""

import math

import pytest
import torch
from toys import gradients, model_config, random_window

from dreamer_core.replay import Window
from dreamer_core.world_model import WorldModel, one_loss, reward_loss

DOUBLE = torch.float64


def make(dtype=DOUBLE, **changes):
    return WorldModel(model_config(**changes), 3, 2).to(dtype)


def window(**changes):
    return random_window(firsts=[(1, 3), (2, 0)], terminals=[(1, 2), (3, 5)], dtype=DOUBLE, **changes)


def softplus(x):
    return torch.log1p(torch.exp(x))


@pytest.mark.parametrize("reward_std", [0.7, 0.0], ids=["fixed reward std", "learned reward std"])
def test_loss_row_by_row(reward_std):
    """Every term against torch.distributions, one row at a time, averaged over all rows."""
    model = make(reward_std=reward_std, reward_scale=0.5, kl_scale=0.3)
    data = window()
    noise = torch.randn(4, 6, 3, dtype=DOUBLE)
    free = model.config.free_nats = model.loss(data, noise)[0]["stat_kl"].item()  # their mean: some rows are clipped, others not
    losses, beliefs = model.loss(data, noise)
    expected = {"observation": 0.0, "reward": 0.0, "continue": 0.0, "kl": 0.0}
    clipped = 0
    for b in range(4):
        for t in range(6):
            h, z = beliefs.h[b, t], beliefs.z[b, t]
            s = torch.cat([h, z])
            expected["observation"] += 0.5 * sum((model.decoder(s)[i] - data.observation[b, t, i]) ** 2 for i in range(3))
            mean, raw = model.reward(s)
            std = torch.tensor(reward_std, dtype=DOUBLE) if reward_std else softplus(raw) + 0.05
            if not data.first[b, t]:
                expected["reward"] -= 0.5 * torch.distributions.Normal(mean, std).log_prob(data.reward[b, t])
            goes_on = torch.distributions.Bernoulli(logits=model.cont(s)[0])
            expected["continue"] -= goes_on.log_prob(1 - data.terminal[b, t])
            q, p = (torch.distributions.Normal(x[:3], softplus(x[3:]) + 0.1) for x in (beliefs.posterior[b, t], model.rssm.prior(h)))
            kl = torch.distributions.kl_divergence(q, p).sum()
            clipped += bool(kl < free)
            expected["kl"] += 0.3 * max(kl, torch.tensor(free, dtype=DOUBLE))
    assert 0 < clipped < 24  # both sides of the free nats were met
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value / 24)
    torch.testing.assert_close(losses["total"], sum(expected.values()) / 24)


def test_beliefs_of_the_loss_are_those_of_observe():
    model, data = make(), window()
    noise = torch.randn(4, 6, 3, dtype=DOUBLE)
    _, from_loss = model.loss(data, noise)
    embed = model.encoder(data.observation)
    direct = model.rssm.observe_plain(data.h, embed, data.action, data.first, noise)
    for left, right in zip(from_loss, direct):
        torch.testing.assert_close(left, right)


def test_statistics_are_reported_not_trained_on():
    losses, _ = make().loss(window())
    assert all(not losses[name].requires_grad for name in losses if name.startswith("stat_")), "a statistic carries a gradient"
    trained = [value for name, value in losses.items() if name != "total" and not name.startswith("stat_")]
    assert len(trained) == 4
    torch.testing.assert_close(losses["total"], sum(trained))


def test_the_statistics_by_hand():
    """The KL as it is, not clipped at the free nats, and the entropies of prior and posterior, each averaged over all rows.

    The reward's error is that of its mean, over the rows that bring a reward.
    """
    model, data = make(free_nats=1000.0, reward_std=0.0, reward_scale=10.0), window()
    losses, beliefs = model.loss(data, torch.randn(4, 6, 3, dtype=DOUBLE))
    q, p = (torch.distributions.Normal(x[..., :3], softplus(x[..., 3:]) + 0.1) for x in (beliefs.posterior, model.rssm.prior(beliefs.h)))
    misses = model.predict_reward(beliefs.features)[0][data.first == 0] - data.reward[data.first == 0]
    assert 0 < data.first.sum(), "no row without a reward"
    expected = {
        "stat_reward_error": 0.5 * misses.square().mean(),
        "stat_kl": torch.distributions.kl_divergence(q, p).sum(-1).mean(),
        "stat_prior_entropy": p.entropy().sum(-1).mean(),
        "stat_posterior_entropy": q.entropy().sum(-1).mean(),
    }
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item()), name


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_every_parameter_learns(kind):
    """With a learned reward std, each weight gets a gradient from the total."""
    model = make(latent=kind, reward_std=0.0)
    model.loss(window())[0]["total"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_the_first_row_of_an_episode_brings_no_reward():
    model, data = make(), window()
    noise = torch.randn(4, 6, 3, dtype=DOUBLE)
    before = model.loss(data, noise)[0]["reward"]
    data.reward[1, 3] += 100
    data.reward[2, 0] -= 100
    assert torch.equal(model.loss(data, noise)[0]["reward"], before), "the reward stored in an episode's first row is trained on"
    data.reward[1, 4] += 100
    assert model.loss(data, noise)[0]["reward"] > before + 10


def test_reward_loss_by_hand():
    """Four rows, one of them first: the other three have misses of 0, 1 and 2 std; the mean is over all four."""
    reward = torch.tensor([[99.0, 1.0], [2.0, 3.0]], dtype=DOUBLE)
    first = torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=DOUBLE)
    std = torch.full((2, 2), 0.5, dtype=DOUBLE)
    mean = reward - torch.tensor([[7.0, 0.0], [0.5, 1.0]], dtype=DOUBLE)
    each = math.log(0.5) + 0.5 * math.log(2 * math.pi)
    assert reward_loss(mean, std, reward, first).item() == pytest.approx((3 * each + 0.5 + 2) / 4)


def test_only_a_terminal_ends_an_episode():
    """A time limit leaves terminal = 0 and is followed by first = 1: the continue head is asked for 1 there."""
    model = make()
    data = random_window(dtype=DOUBLE)
    noise = torch.randn(4, 6, 3, dtype=DOUBLE)
    losses, beliefs = model.loss(data, noise)
    logits = model.predict_continue(beliefs.features)
    torch.testing.assert_close(losses["continue"], softplus(-logits).mean())
    data.terminal[0, 2] = 1
    moved = model.loss(data, noise)[0]["continue"] - losses["continue"]
    torch.testing.assert_close(moved, logits[0, 2] / 24)  # -log(1 - p) + log p


def test_balance_decides_who_follows_whom():
    """All on the prior: the posterior gets no gradient from the KL. None on it: the prior gets none."""
    for balance, idle, busy in [(1.0, "posterior_out", "prior"), (0.0, "prior", "posterior_out")]:
        model = make(kl_balance=balance)
        model.loss(window())[0]["kl"].backward()
        grads = {name: sum(p.grad.abs().sum() for p in getattr(model.rssm, name).parameters()) for name in (idle, busy)}
        assert grads[idle] == 0 and grads[busy] > 0


def test_learned_reward_std_has_a_floor():
    """However sure the head is, the std stays at 0.05, so the loss of a perfect guess stays above log 0.05 + log(2 pi) / 2."""
    model = make(reward_std=0.0, reward_min_std=0.05)
    with torch.no_grad():
        model.reward[-1].weight.zero_()
        model.reward[-1].bias.copy_(torch.tensor([0.25, -1000.0]))
    data = window()
    data.reward.fill_(0.25)
    mean, std = model.predict_reward(torch.randn(5, 9, dtype=DOUBLE))
    assert (mean == 0.25).all(), "the head's mean is not its bias"
    torch.testing.assert_close(std, torch.full_like(std, 0.05))
    bound = math.log(0.05) + 0.5 * math.log(2 * math.pi)
    rewarded = 22 / 24  # two first rows are not counted
    assert model.loss(data)[0]["reward"].item() == pytest.approx(bound * rewarded)


def test_fixed_reward_std_is_not_trained():
    model = make(reward_std=0.3)
    _, std = model.predict_reward(torch.randn(5, 9, dtype=DOUBLE))
    torch.testing.assert_close(std, torch.full_like(std, 0.3))
    model.loss(window())[0]["reward"].backward()
    mean_row, std_row = model.reward[-1].weight.grad
    assert (std_row == 0).all() and (mean_row != 0).any(), "the std is trained though it is fixed, or the mean is not"


def test_encoder_sees_one_row_at_a_time():
    model = make()
    x = torch.randn(4, 6, 3, dtype=DOUBLE)
    layers = [m for m in model.encoder.modules() if isinstance(m, torch.nn.Linear)]
    y = x[2, 5]
    for layer in layers:
        y = torch.nn.functional.silu(layer.weight @ y + layer.bias)
    torch.testing.assert_close(model.encoder(x)[2, 5], y)
    assert len(layers) == 2


def test_one_loss_by_hand():
    """Means over all rows, the weight on its own part alone, and the sum of what is weighted; gradients reach every part."""
    a, b = torch.tensor([[1.0, 3.0]], requires_grad=True), torch.tensor([[10.0, 30.0]], requires_grad=True)
    losses = one_loss({"a": a, "b": b}, {"b": 0.5})
    assert {name: value.item() for name, value in losses.items()} == {"a": 2.0, "b": 10.0, "total": 12.0}
    to_a, to_b = gradients(losses["total"], (a, b))
    assert (to_a.tolist(), to_b.tolist()) == ([[0.5, 0.5]], [[0.25, 0.25]]), "the gradient of the total"
    without = one_loss({"a": a, "b": b}, {"b": 0.0})
    assert (without["b"].item(), without["total"].item()) == (0.0, 2.0), "a part of weight 0, and the total"


@pytest.mark.parametrize("norm", ["none", "rms"])
def test_a_norm_stands_before_every_silu_or_before_none(norm):
    model = WorldModel(model_config(norm=norm, encoder_layers=2), 3, 2)
    before = {
        f"{name} layer {place}": isinstance(part[place - 1], torch.nn.RMSNorm)
        for name, part in model.named_modules()
        if isinstance(part, torch.nn.Sequential)
        for place, layer in enumerate(part)
        if isinstance(layer, torch.nn.SiLU)
    }
    assert len(before) >= 7, f"layers of encoder, f, prior, posterior, decoder and both heads: {sorted(before)}"
    wrong = sorted(place for place, found in before.items() if found != (norm == "rms"))
    assert not wrong, f"with model.norm = {norm}: {wrong}"


# --- dreams inside the window ----------------------------------------------------------------


def test_overshooting_dream_by_dream():
    """Length-2 dreams from rows 0 and 2 of six rows against a plain loop: what they decode, and nothing past an episode's end."""
    model, data = make(overshoot=2, reward_scale=0.5), window()
    beliefs = model.observe(data)
    found = model.overshoot_loss(beliefs, data)
    expected = torch.zeros(4, 2, 2, dtype=DOUBLE)
    for b in range(4):
        for number, start in enumerate((0, 2)):
            h, z, same = beliefs.h[b, start], beliefs.z[b, start], 1.0
            for k in range(2):
                h = model.rssm.step(h[None], z[None], data.action[b, start + k][None])[0]
                z, _ = model.rssm.prior(h).chunk(2)  # its most likely value: without noise
                s, row = torch.cat([h, z]), start + k + 1
                same *= 1 - data.first[b, row]
                error = 0.5 * (model.decoder(s) - data.observation[b, row]).square().sum()
                reward = -torch.distributions.Normal(model.reward(s)[0], 1.0).log_prob(data.reward[b, row])
                expected[b, k, number] = same * (error + 0.5 * reward)
    torch.testing.assert_close(found, expected)
    assert (found == 0).sum() == 2, "the second dream of window 1 reaches over an end with its first step: neither row counts"


def test_overshooting_counts_with_its_weight_and_where_a_dream_fits():
    model, data = make(overshoot=3, overshoot_scale=0.25), window()
    losses, beliefs = model.loss(data)
    torch.testing.assert_close(losses["overshoot"], 0.25 * model.overshoot_loss(beliefs, data).mean())
    torch.testing.assert_close(losses["total"], sum(losses[name] for name in ("observation", "reward", "continue", "kl", "overshoot")))
    assert "overshoot" not in model.loss(data.rows(0, 3))[0], "three rows hold no dream of three steps"
    assert "overshoot" not in make().loss(data)[0], "without the setting there is no such loss"


def test_overshooting_trains_h_and_never_through_z():
    """v1's cut holds here too: the encoder, which reaches the future through z alone, gets no gradient; h's own parts do."""
    model, data = make(overshoot=2), window()
    model.overshoot_loss(model.observe(data), data).mean().backward()
    moved = {name for name, weight in model.named_parameters() if weight.grad is not None and (weight.grad != 0).any()}
    assert not any(name.startswith(("encoder", "rssm.posterior")) for name in moved), "z is cut where it enters h"
    assert {"rssm.cell.weight_hh", "rssm.input.0.weight", "rssm.prior.0.weight", "decoder.0.weight", "reward.0.weight"} <= moved
    uncut = make(overshoot=2, detach_z=False)
    uncut.overshoot_loss(uncut.observe(data), data).mean().backward()
    assert (uncut.encoder[0][0].weight.grad != 0).any(), "with detach_z off the gradient goes on to the encoder"


# --- units -----------------------------------------------------------------------------------


def test_units_are_the_mean_and_std_of_the_rows_given():
    """Afterwards those rows have mean 0 and std 1; an entry that never changes keeps its unit."""
    model = make()
    rows = torch.randn(500, 3, dtype=DOUBLE) * torch.tensor([0.01, 100.0, 0.0]) + torch.tensor([5.0, -3.0, 2.0])
    torch.testing.assert_close(model.standardized(rows), rows)  # until then, as they are
    model.set_units(rows)
    got = model.standardized(rows)
    torch.testing.assert_close(got.mean(0), torch.zeros(3, dtype=DOUBLE), atol=1e-9, rtol=0)
    torch.testing.assert_close(got[:, :2].std(0), torch.ones(2, dtype=DOUBLE))
    assert (got[:, 2] == 0).all(), "an entry that never changes is not 0 in its own unit"
    torch.testing.assert_close(model.standardized(rows + 1)[:, 2], torch.ones(500, dtype=DOUBLE))


def test_decode_speaks_the_environments_units():
    """What the decoder says in the model's units, taken back by hand; the loss is 0 where decode is right."""
    model, data = make(), window()
    model.set_units(torch.tensor([[0.0, 0, 0], [2, 20, 200]], dtype=DOUBLE))
    centre, std = torch.tensor([1.0, 10, 100], dtype=DOUBLE), torch.tensor([1.0, 10, 100], dtype=DOUBLE) * 2**0.5
    s = torch.randn(4, 9, dtype=DOUBLE)
    torch.testing.assert_close(model.decode(s), model.decoder(s) * std + centre)
    noise = torch.randn(4, 6, 3, dtype=DOUBLE)
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.zero_()  # decode says the centre, always
    assert model.loss(data._replace(observation=centre.expand(4, 6, 3)), noise)[0]["observation"] == 0
    assert model.loss(data._replace(observation=(centre + std).expand(4, 6, 3)), noise)[0]["observation"].item() == pytest.approx(1.5)


def test_with_units_set_the_scale_of_observations_does_not_matter():
    """Degrees or radians, metres or miles: after set_units on the same rows the losses are the same."""
    model, data, losses = make(), window(), []
    noise = torch.randn(4, 6, 3, dtype=DOUBLE)
    stretch, shift = torch.tensor([57.3, 0.001, -4.0], dtype=DOUBLE), torch.tensor([10.0, -2.0, 0.5], dtype=DOUBLE)
    signs = torch.sign(stretch)  # turning an axis round is not a change of units
    for observation in (data.observation * signs, data.observation * stretch + shift):
        model.measured.zero_()
        model.set_units(observation.flatten(0, 1))
        losses.append(model.loss(data._replace(observation=observation), noise)[0]["total"])
    torch.testing.assert_close(*losses)


def test_units_grow_when_the_world_grows_and_never_shrink():
    """First entry: later rows spread wider, the unit follows. Second: narrower, the unit stays. The centre stays in both."""
    model = make()
    rows = torch.tensor([[-1.0, -1, 0], [1, 1, 0]], dtype=DOUBLE)
    model.set_units(rows)
    centre, scale = model.centre.clone(), model.scale.clone()
    model.set_units(rows * torch.tensor([10.0, 0.1, 1], dtype=DOUBLE))
    assert torch.equal(model.centre, centre), "the centre moved with later rows"
    assert model.scale[0] == 10 and model.scale[1] == scale[1] and model.scale[2] == 1


def test_units_are_saved_with_the_weights():
    one, other = make(), make()
    one.set_units(torch.randn(50, 3, dtype=DOUBLE) * 7)
    other.load_state_dict(one.state_dict())
    s, o = torch.randn(4, 9, dtype=DOUBLE), torch.randn(4, 3, dtype=DOUBLE)
    assert torch.equal(one.decode(s), other.decode(s)) and torch.equal(one.encode(o), other.encode(o)), (
        "the units did not come along with the weights"
    )
    other.set_units(torch.randn(50, 3, dtype=DOUBLE))
    assert torch.equal(other.centre, one.centre), "the loaded model does not know that its units were measured: they are chosen anew"


# --- warm-up ---------------------------------------------------------------------------------


def test_warm_up_filters_the_first_rows():
    """Two rows of warm-up: the rest starts at row 2 with the h that filtering from row 0 gives."""
    model, data = make(torch.float32), random_window(firsts=[(1, 1)])
    torch.manual_seed(5)
    noise = model.rssm.latent.noise(4, 3)
    torch.manual_seed(5)
    rest = model.warm_up(data, 2)
    embed = model.encoder(data.observation)
    h = data.h
    for t in range(2):
        z = model.rssm.latent.sample(model.rssm.posterior(h, embed[:, t]), noise[:, t])
        h = model.rssm.step(h, z, data.action[:, t]) * (1 - data.first[:, t + 1, None])
    torch.testing.assert_close(rest.h, h)
    assert not rest.h.requires_grad, "the warmed-up h carries a gradient into the rows before"
    for got, whole in zip(rest[:5], data[:5]):
        assert torch.equal(got, whole[:, 2:]), "the rest is not the rows after the warm-up"
    assert torch.equal(rest.index, data.index[:, 2:]), "the row numbers are not those of the rows after the warm-up"


def test_no_warm_up_changes_nothing():
    data = random_window()
    assert make(torch.float32).warm_up(data, 0) is data


def test_a_wrong_first_h_matters_less_after_warm_up():
    """Two windows alike but for the h they start from: warm-up brings them together."""
    model, data = make(torch.float32), random_window(batch=16, length=12)
    other = data._replace(h=data.h + 1)
    gaps = []
    for rows in (0, 3, 9):
        hs = []
        for start in (data, other):
            torch.manual_seed(1)
            hs.append(model.warm_up(start, rows).h)
        gaps.append((hs[0] - hs[1]).norm().item())
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2]


# --- what it can learn -----------------------------------------------------------------------


def test_reward_of_the_last_action_is_learned():
    """In a world where r_t = a_{t-1}, the reward head finds it; one row off, it could not: a_t is not in s_t yet."""
    model = make(torch.float32, reward_std=0.5, units=16, deter=8)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)

    def experience(batch):
        action = torch.rand(batch, 6, 2) * 2 - 1
        reward = torch.zeros(batch, 6)
        reward[:, 1:] = action[:, :-1, 0]
        first = torch.zeros(batch, 6)
        first[:, 0] = 1
        index = torch.arange(batch * 6).reshape(batch, 6)
        return Window(torch.zeros(batch, 6, 3), action, reward, first, torch.zeros(batch, 6), torch.zeros(batch, 8), index)

    for _ in range(120):
        optimizer.zero_grad()
        model.loss(experience(32))[0]["total"].backward()
        optimizer.step()
    test = experience(64)
    with torch.no_grad():
        mean, _ = model.predict_reward(model.observe(test).features)
    error = (mean - test.reward)[:, 1:].square().mean()
    assert error < 0.1 * test.reward[:, 1:].square().mean()

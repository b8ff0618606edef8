"""h and z: one step, a whole window, and where gradients go."""

import pytest
import torch
from toys import gradients, model_config, random_window

from dreamer_core import rssm as rssm_module
from dreamer_core.rssm import RSSM

DOUBLE = torch.float64
KINDS = ["gaussian", "categorical"]
EMBED, ACTION = 4, 2


def make(dtype=DOUBLE, **changes):
    return RSSM(model_config(**changes), EMBED, ACTION).to(dtype)


def inputs(rssm, batch=3, length=6, firsts=((1, 3), (2, 0)), dtype=DOUBLE):
    """h1, embed, action, first, noise for `observe`."""
    window = random_window(batch, length, action=ACTION, firsts=firsts, dtype=dtype)
    embed = torch.randn(batch, length, EMBED, dtype=dtype)
    return window.h, embed, window.action, window.first, rssm.latent.noise(batch, length).to(dtype)


# --- one step --------------------------------------------------------------------------------


def test_step_is_one_layer_and_one_gru_cell():
    """h' = GRU(silu(W [z, a] + b), h), written out with the weights."""
    rssm = make()
    h, z, a = torch.randn(4, 6, dtype=DOUBLE), torch.randn(4, 3, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE)
    layer, cell = rssm.input[0], rssm.cell
    x = torch.cat([z, a], -1) @ layer.weight.T + layer.bias
    x = x * torch.sigmoid(x)
    (ri, ui, ni), (rh, uh, nh) = (x @ cell.weight_ih.T + cell.bias_ih).chunk(3, -1), (h @ cell.weight_hh.T + cell.bias_hh).chunk(3, -1)
    update = torch.sigmoid(ui + uh)
    by_hand = (1 - update) * torch.tanh(ni + torch.sigmoid(ri + rh) * nh) + update * h
    torch.testing.assert_close(rssm.step(h, z, a), by_hand)


def test_posterior_is_one_hidden_layer_on_h_and_e():
    rssm = make()
    h, e = torch.randn(4, 6, dtype=DOUBLE), torch.randn(4, EMBED, dtype=DOUBLE)
    weight = torch.cat([rssm.posterior_h.weight, rssm.posterior_e.weight], 1)
    hidden = torch.cat([h, e], 1) @ weight.T + rssm.posterior_h.bias
    by_hand = (hidden * torch.sigmoid(hidden)) @ rssm.posterior_out.weight.T + rssm.posterior_out.bias
    torch.testing.assert_close(rssm.posterior(h, e), by_hand)


def test_dream_step_uses_the_prior_of_the_new_h():
    """First h moves, then z is drawn from the prior at the new h."""
    rssm = make()
    h, z, a = torch.randn(4, 6, dtype=DOUBLE), torch.randn(4, 3, dtype=DOUBLE), torch.randn(4, 2, dtype=DOUBLE)
    noise = torch.randn(4, 3, dtype=DOUBLE)
    new_h, new_z = rssm.dream_step(h, z, a, noise)
    torch.testing.assert_close(new_h, rssm.step(h, z, a))
    mean, raw = rssm.prior(new_h).chunk(2, -1)
    torch.testing.assert_close(new_z, mean + (torch.log1p(torch.exp(raw)) + 0.1) * noise)


@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind):
    """s = (h, z): 6 + 3 Normals, or 6 + 3 groups of 4 classes."""
    rssm = make(latent=kind)
    h, z = rssm.initial(5)
    assert h.shape == (5, 6) and z.shape == (5, {"gaussian": 3, "categorical": 12}[kind])
    assert (h == 0).all() and (z == 0).all(), "the state before anything was seen is not 0"
    assert rssm.features == 6 + z.shape[1]
    beliefs = rssm.observe(*inputs(rssm))
    assert beliefs.h.shape == (3, 6, 6) and beliefs.z.shape == (3, 6, z.shape[1])
    assert beliefs.posterior.shape == (3, 6, rssm.latent.params)
    torch.testing.assert_close(beliefs.features, torch.cat([beliefs.h, beliefs.z], -1))


# --- a window --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batched", [True, False])
def test_observe_by_hand(kind, batched):
    """A plain loop of `step`, `posterior` and `sample`, with h put to zero where an episode starts."""
    rssm = make(latent=kind, batched_unroll=batched)
    h1, embed, action, first, noise = inputs(rssm)
    beliefs = rssm.observe(h1, embed, action, first, noise)
    for b in range(3):
        h = h1[b]
        for t in range(6):
            if t > 0:
                h = rssm.step(h[None], z[None], action[b, t - 1][None])[0]  # noqa: F821 (z is from the row before)
            if first[b, t]:
                h = torch.zeros(6, dtype=DOUBLE)
            z = rssm.latent.sample(rssm.posterior(h, embed[b, t]), noise[b, t])
            torch.testing.assert_close(beliefs.h[b, t], h)
            torch.testing.assert_close(beliefs.z[b, t], z)


def changed_rows(before, after):
    """Rows t at which two (B, T, ...) tensors differ."""
    return [t for t in range(before.shape[1]) if not torch.equal(before[:, t], after[:, t])]


def test_an_action_moves_only_later_states():
    """a_t leaves row t: it changes h from row t + 1 on. The window's last action changes nothing."""
    rssm = make(batched_unroll=False)
    h1, embed, action, first, noise = inputs(rssm, firsts=())
    before = rssm.observe(h1, embed, action, first, noise)
    for t in range(6):
        other = action.clone()
        other[:, t] += 1
        after = rssm.observe(h1, embed, other, first, noise)
        assert changed_rows(before.h, after.h) == list(range(t + 1, 6))
        assert changed_rows(before.z, after.z) == list(range(t + 1, 6))


def test_an_observation_moves_its_own_z_and_later_h():
    """o_t is seen by z_t at once, and by h from row t + 1 on."""
    rssm = make(batched_unroll=False)
    h1, embed, action, first, noise = inputs(rssm, firsts=())
    before = rssm.observe(h1, embed, action, first, noise)
    for t in range(6):
        other = embed.clone()
        other[:, t] += 1
        after = rssm.observe(h1, other, action, first, noise)
        assert changed_rows(before.z, after.z) == list(range(t, 6))
        assert changed_rows(before.h, after.h) == list(range(t + 1, 6))


@pytest.mark.parametrize("batched", [True, False])
def test_an_episode_start_forgets_everything(batched):
    """Where first = 1, h is exactly 0, whatever h, z and a came before; the past gets no gradient from there on."""
    rssm = make(batched_unroll=batched)
    h1, embed, action, first, noise = inputs(rssm, firsts=[(0, 3), (1, 3), (2, 3)])
    h1.requires_grad_()
    beliefs = rssm.observe(h1, embed, action, first, noise)
    assert (beliefs.h[:, 3] == 0).all() and (beliefs.h[:, 4] != 0).all(), "h is not 0 exactly where the episode starts"
    (later,) = gradients(beliefs.h[:, 4:].sum(), h1)
    (earlier,) = gradients(beliefs.h[:, 2].sum(), h1)
    assert (later == 0).all() and (earlier != 0).all(), "the gradient of h does not end where the episode starts"


def test_a_window_that_opens_an_episode_ignores_the_given_h():
    rssm = make()
    h1, embed, action, first, noise = inputs(rssm, firsts=[(0, 0)])
    beliefs = rssm.observe(h1, embed, action, first, noise)
    assert (beliefs.h[0, 0] == 0).all(), "the window that opens an episode reads the given h"
    assert torch.equal(beliefs.h[1, 0], h1[1]), "the other window does not start from the given h"


def test_observe_draws_its_own_noise():
    """Without noise given, the samples are random, and repeat with the seed."""
    rssm = make(torch.float32)
    args = inputs(rssm, dtype=torch.float32)[:4]
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(rssm.observe(*args).z)
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2]), "samples of z do not follow the seed"


@pytest.mark.parametrize("batched", [True, False])
def test_a_window_of_one_row(batched):
    rssm = make(batched_unroll=batched)
    h1, embed, action, first, noise = inputs(rssm, length=1, firsts=())
    beliefs = rssm.observe(h1, embed, action, first, noise)
    torch.testing.assert_close(beliefs.h[:, 0], h1)
    torch.testing.assert_close(beliefs.z[:, 0], rssm.latent.sample(rssm.posterior(h1, embed[:, 0]), noise[:, 0]))


# --- the fast unroll -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("firsts", [(), ((1, 3), (2, 0), (0, 1), (0, 5))], ids=["one episode", "episode starts"])
@pytest.mark.parametrize("length", [2, 7])
def test_batched_unroll_equals_the_plain_loop(kind, firsts, length):
    """Same h, z and posterior, and same gradient of every parameter and every input."""
    rssm = make(latent=kind)
    h1, embed, action, first, noise = inputs(rssm, 3, length, [at for at in firsts if at[1] < length])
    given = [h1.requires_grad_(), embed.requires_grad_(), action.requires_grad_()]
    wanted = given + [p for name, p in rssm.named_parameters() if not name.startswith("prior")]
    weights = None
    results = []
    for unroll in (rssm.observe_plain, rssm._observe_batched):
        beliefs = unroll(h1, embed, action, first, noise)
        if weights is None:
            weights = [torch.randn_like(part) for part in beliefs]
        loss = sum((torch.sin(part) * weight).sum() for part, weight in zip(beliefs, weights))
        results.append((beliefs, gradients(loss, wanted)))
    (plain, plain_grads), (batched, batched_grads) = results
    for left, right in zip(plain, batched):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)
    for left, right in zip(plain_grads, batched_grads):
        torch.testing.assert_close(left, right, rtol=1e-10, atol=1e-10)
    assert all(grad.abs().max() > 0 for grad in batched_grads), (
        "an input or a parameter that gets no gradient: the comparison says nothing about it"
    )


def test_with_norms_the_plain_loop_runs():
    """The fast unroll is written for layers without norms."""
    rssm = make(norm="rms")
    args = inputs(rssm)
    for left, right in zip(rssm.observe(*args), rssm.observe_plain(*args)):
        torch.testing.assert_close(left, right, msg=lambda told: f"with norms, observing is not the plain loop: {told}")


def test_one_switch_sends_every_rssm_through_the_plain_loop(monkeypatch):
    """So that a `step`, `posterior` or `observe_plain` put in its place is the one that runs; the numbers stay."""
    rssm, calls = make(), []
    args = inputs(rssm)
    before, plain = rssm.observe(*args), RSSM.observe_plain
    monkeypatch.setattr(RSSM, "observe_plain", lambda self, *args: calls.append(1) or plain(self, *args))
    rssm.observe(*args)
    assert not calls, "the plain loop runs where the fast unroll should"
    monkeypatch.setattr(RSSM, "batched", False)
    for left, right in zip(before, rssm.observe(*args)):
        torch.testing.assert_close(left, right)
    assert calls == [1]


def test_h_chain_gradient_matches_finite_differences():
    """The hand-written backward pass of the h recurrence against numeric derivatives."""
    length, batch, inputs, size = 4, 2, 5, 3
    keep = torch.ones(length - 1, batch, 1, dtype=DOUBLE)
    keep[1, 0] = 0  # an episode starts inside

    def chain(x, h0, w_i, w_h, b_i, b_h):
        with torch.no_grad():
            h, gates = [h0], []
            for t in range(length - 1):
                from_x, from_h = (x[t] @ w_i.T + b_i).split(size, -1), (h[-1] @ w_h.T + b_h).split(size, -1)
                r, u = torch.sigmoid(from_x[0] + from_h[0]), torch.sigmoid(from_x[1] + from_h[1])
                n = torch.tanh(from_x[2] + r * from_h[2])
                h.append(((1 - u) * n + u * h[-1]) * keep[t])
                gates.append((torch.cat([r, u], -1), n, from_h[2]))
            kept = (torch.stack(h), *(torch.stack(part) for part in zip(*gates)), keep)
        return rssm_module._HChain.apply(x, h0, w_i, w_h, b_i, b_h, kept)

    shapes = [(length - 1, batch, inputs), (batch, size), (3 * size, inputs), (3 * size, size), (3 * size,), (3 * size,)]
    args = [torch.randn(shape, dtype=DOUBLE, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(chain, args, raise_exception=False), "the gradient of the h chain is not the derivative"


def test_undetached_z_has_the_true_gradient():
    """With z not cut, the plain loop's gradient is the derivative itself: finite differences agree."""
    rssm = make(detach_z=False)
    h1, embed, action, first, noise = inputs(rssm, 2, 3, ((1, 1),))

    def last(h1, embed, action):
        return rssm.observe(h1, embed, action, first, noise).h[:, -1]

    assert torch.autograd.gradcheck(last, [x.requires_grad_() for x in (h1, embed, action)], raise_exception=False), (
        "the gradient of the last h is not the derivative"
    )


def test_undetached_z_never_takes_the_fast_path():
    """The fast unroll cuts z; asking for z's gradient must give it, whatever `batched_unroll` says."""
    rssm = make(detach_z=False, batched_unroll=True)
    h1, embed, action, first, noise = inputs(rssm, firsts=())
    embed.requires_grad_()
    (grad,) = gradients(rssm.observe(h1, embed, action, first, noise).h[:, -1].sum(), embed)
    assert (grad[:, :-1].abs().amax(-1) > 0).all() and (grad[:, -1] == 0).all(), (
        "z is cut although detach_z is off, or the last h sees its own row"
    )


def test_no_gradient_mode_gives_the_same_numbers():
    rssm = make()
    args = inputs(rssm)
    with_graph = rssm.observe(*args)
    with torch.no_grad():
        without = rssm.observe(*args)
    for left, right in zip(with_graph, without):
        torch.testing.assert_close(left, right)
        assert not right.requires_grad, "beliefs carry a graph though gradients are off"

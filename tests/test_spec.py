"""What v1 is, line by line: each property of the agent as one named test.

First what v1 does differently from DreamerV3, then the concern about stored states, then how
gradients and data flow, then the switches.
"""

import math

import pytest
import torch
from torch import nn
from toys import fill, gradients, numbered_replay, numbers, random_trajectories, random_window, sac_config, same, small

from dreamer_core import nets
from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.config import Config, preset
from dreamer_core.imagine import imagine
from dreamer_core.sac import SAC, Actor, ema_update, tanh_normal_log_prob
from dreamer_core.trajectories import Trajectories
from dreamer_core.world_model import WorldModel

DOUBLE = torch.float64


def world(dtype=DOUBLE, **changes):
    return WorldModel(small(model=changes).model, 3, 2).to(dtype)


def soft_actor_critic(features=9, action=2, dtype=torch.float32, **changes):
    return SAC(sac_config(**changes), features, action).to(dtype)


def dreamer(**changes):
    return fill(Dreamer(small(**changes), 3, 2))


def shake(module):
    """Move every parameter a long way."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter))


def quieten(agent):
    """Make z's posterior almost certain, so that filtering twice gives the same states."""
    with torch.no_grad():
        agent.model.rssm.posterior_out.bias[3:] = -15.0
        agent.model.rssm.posterior_out.weight[3:] = 0.0


class KnownQ(nn.Module):
    """Twin critics with a formula instead of weights; remembers the actions it was asked about."""

    def __init__(self, formula):
        super().__init__()
        self.formula, self.asked = formula, []

    def forward(self, state, action):
        self.asked.append(action)
        q = self.formula(state, action)
        return torch.stack([q, q + 1])


# === Differences from the paper ==============================================================


def test_replay_serves_uniform_windows_and_no_queue():
    """Fresh rows are not served first: right after they were added, old windows are as likely as new ones."""
    replay = numbered_replay(100)
    starts = replay.sample(40_000, 5).index[:, 0]
    counts = torch.bincount(starts, minlength=96)[:95].double()  # starts that fit without being moved back
    expected = 40_000 / 100
    chi_square = ((counts - expected) ** 2 / expected).sum().item()
    assert chi_square < 95 + 5 * math.sqrt(2 * 95)
    old, new = (((starts >= low) & (starts < low + 20)).float().mean().item() for low in (0, 75))
    assert old == pytest.approx(new, abs=0.015)


def test_no_batch_holds_a_fresh_row_for_sure():
    """Right after a row was added, small batches hold the newest window no more often than its share: five of a hundred starts."""
    replay = numbered_replay(80, capacity=100)
    newest = []
    for n in range(80, 2080):
        row = torch.tensor([float(n)])
        replay.add(observation=row, reward=0.0, first=False, terminal=False, h=torch.zeros(2), z=row)
        newest.append((replay.sample(2, 5).index[:, -1] == n).tolist())
    share = torch.tensor(newest[100:], dtype=DOUBLE)  # by then, 100 rows are stored
    for place in (0, 1):
        assert share[:, place].mean().item() == pytest.approx(0.05, abs=0.025), f"how often window {place} of a batch is the newest"
    assert share.amax(1).mean().item() == pytest.approx(1 - 0.95**2, abs=0.035), "how often a batch holds the newest window"


def test_recurrence_is_one_embedding_layer_and_one_gru_cell():
    """f is Linear, SiLU, GRUCell, and nothing else."""
    rssm = world().rssm
    assert [type(part) for part in rssm.input] == [nn.Linear, nn.SiLU]
    assert type(rssm.cell) is nn.GRUCell
    h, z, a = torch.randn(2, 6, dtype=DOUBLE), torch.randn(2, 3, dtype=DOUBLE), torch.randn(2, 2, dtype=DOUBLE)
    torch.testing.assert_close(rssm.step(h, z, a), rssm.cell(rssm.input(torch.cat([z, a], -1)), h))
    wanted = {id(p) for p in (*rssm.input.parameters(), *rssm.cell.parameters())}
    used = gradients(rssm.step(h, z, a).sum(), rssm.parameters())
    assert {id(p) for p, grad in zip(rssm.parameters(), used) if grad.any()} == wanted, "the weights that f reads"


def test_optimiser_is_adam_with_norm_clipping():
    """Two updates of the world model, redone by hand: g clipped to norm 0.5, then Adam's formula."""
    agent = dreamer(model=dict(clip_norm=0.5, lr=0.01), replay=dict(write_back=False))
    assert all(type(optimizer) is torch.optim.Adam for optimizer in agent.optimizers.values()), "an optimiser that is not Adam"
    twin = WorldModel(agent.config.model, 3, 2)
    twin.load_state_dict(agent.model.state_dict())
    m, v = ([torch.zeros_like(p) for p in twin.parameters()] for _ in range(2))
    for step in (1, 2):
        torch.manual_seed(step)
        metrics = agent.learn_model()
        torch.manual_seed(step)
        loss = twin.loss(agent.replay.sample(4, 5))[0]["total"]
        grads = gradients(loss, twin.parameters())
        norm = math.sqrt(sum(g.square().sum().item() for g in grads))
        assert norm > 0.5 and metrics["model/grad_norm"].item() == pytest.approx(norm, rel=1e-4)
        with torch.no_grad():
            for i, p in enumerate(twin.parameters()):
                g = grads[i] * 0.5 / norm
                m[i] = 0.9 * m[i] + 0.1 * g
                v[i] = 0.999 * v[i] + 0.001 * g * g
                p -= 0.01 * (m[i] / (1 - 0.9**step)) / ((v[i] / (1 - 0.999**step)).sqrt() + 1e-8)
        for ours, theirs in zip(twin.parameters(), agent.model.parameters()):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=2e-5)


def test_observation_loss_is_summed_squared_error_in_the_units_handed_over():
    """A decoder that says 0 pays half the sum of squares; ten times the units, a hundred times the loss. No symlog."""
    model = world()
    with torch.no_grad():
        for p in model.decoder.parameters():
            p.zero_()
    window = random_window(dtype=DOUBLE)
    for scale in (1.0, 10.0, 1000.0):
        scaled = window._replace(observation=scale * window.observation)
        by_hand = sum(0.5 * x.item() ** 2 for x in scaled.observation.flatten()) / 24
        assert model.loss(scaled)[0]["observation"].item() == pytest.approx(by_hand)


def test_encoder_reads_observations_as_they_are():
    """What enters the first layer is o itself, not symlog(o)."""
    model, seen = world(), []
    next(m for m in model.encoder.modules() if isinstance(m, nn.Linear)).register_forward_hook(lambda m, args, out: seen.append(args[0]))
    window = random_window(dtype=DOUBLE)
    model.observe(window._replace(observation=1000 * window.observation))
    torch.testing.assert_close(seen[0], 1000 * window.observation)


def test_reward_head_is_a_gaussian_trained_by_nll():
    """The reward loss is -log Normal(r; mean, std), in plain reward units."""
    model = world(reward_std=0.0)
    window = random_window(dtype=DOUBLE)
    losses, beliefs = model.loss(window)
    mean, std = model.predict_reward(beliefs.features)
    nll = -torch.distributions.Normal(mean, std).log_prob(window.reward)
    torch.testing.assert_close(losses["reward"], nll.mean())


def test_dreams_use_the_mean_of_the_reward():
    """Whatever the std, the dreamt reward is the mean, without noise."""
    model = world(torch.float32, reward_std=0.0)
    with torch.no_grad():
        model.reward[-1].bias[1] = 50.0
    data = imagine(model, Actor(sac_config(), 9, 2), torch.zeros(4, 6), torch.zeros(4, 3), torch.ones(4), 3)
    mean, std = model.predict_reward(data.state[:, 1:])
    assert std.min() > 40
    torch.testing.assert_close(data.reward, mean)


def test_the_same_sac_trains_on_real_and_on_imagined_data():
    """Drop-in: one class, one update method; Dreamer feeds it dreams, ModelFree feeds it the buffer."""
    agents = [dreamer(), fill(ModelFree(small(), 3, 2))]
    for agent in agents:
        assert type(agent.sac) is SAC
        before = numbers(agent.sac)
        agent.learn()
        after = numbers(agent.sac)
        parts = ("actor.net.0.weight", "q.layers.0.weight", "q_target.layers.0.weight")
        assert all(not torch.equal(before[part], after[part]) for part in parts), "a part of SAC that did not learn"
    sac = soft_actor_critic()
    imagined, real = random_trajectories(horizon=1), random_trajectories(horizon=1)._replace(weight=torch.ones(5))
    for data in (imagined, real):  # one and the same object can take both
        sac.update(data, sac.make_optimizer())
    assert int(sac.updates) == 2


def test_critics_start_random_not_zero():
    """Default torch initialisation up to the last layer: Q differs between states and between the twins."""
    torch.manual_seed(3)
    sac = soft_actor_critic(units=64)
    q = sac.q(torch.randn(100, 9), torch.rand(100, 2))
    assert q.std(1).min() > 1e-3 and not torch.equal(q[0], q[1]), "the critics start constant, or as one"
    last = sac.q.layers[-1].weight
    assert (last != 0).all() and last.abs().max() <= 1 / math.sqrt(64), "the critics' last layer does not start as torch's default does"
    assert last.std().item() == pytest.approx(1 / math.sqrt(64) / math.sqrt(3), rel=0.2)


def test_critics_are_q_of_state_and_action():
    """Q(s, a), two of them: both the state and the action matter."""
    sac = soft_actor_critic()
    state, action = torch.randn(5, 9), torch.rand(5, 2)
    q = sac.q(state, action)
    assert q.shape == (2, 5)
    assert (sac.q(state + 1, action) != q).all() and (sac.q(state, action - 1) != q).all(), (
        "Q does not depend on the state, or not on the action"
    )


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_bootstrap_is_one_sampled_action(lam):
    """Qbar(s, a) - alpha log pi(a | s) at a single a ~ pi: one action per bootstrap, another one at every call."""
    sac = soft_actor_critic(1, 1, lam=lam, gamma=0.5)
    sac.q_target = KnownQ(lambda state, action: action.squeeze(-1))
    state = torch.zeros(3, 3, 1)
    batch = Trajectories(state, torch.zeros(3, 2, 1), torch.zeros(3, 2), torch.ones(3, 2), torch.ones(3))
    torch.manual_seed(1)
    returns = sac.returns(batch)
    (asked,) = sac.q_target.asked
    assert asked.shape == (3, 1 if lam == 1 else 2, 1)  # no axis of many samples
    mean, log_std = sac.actor(torch.zeros(1, 1))
    log_pi = tanh_normal_log_prob(mean, log_std, torch.atanh(asked[:, -1]))
    torch.testing.assert_close(returns[:, -1], 0.5 * (asked[:, -1, 0] - 0.1 * log_pi), rtol=1e-3, atol=1e-4)
    assert not torch.equal(sac.returns(batch), returns), "the next bootstrap uses the same action again"


def test_targets_follow_the_fast_q_slowly():
    """EMA: after n updates with a fixed fast Q, the target has gone 1 - polyak^n of the way."""
    sac = soft_actor_critic()
    shake(sac.q)
    start = [p.clone() for p in sac.q_target.parameters()]
    for _ in range(10):
        ema_update(sac.q_target, sac.q, 0.9)
    for old, target, fast in zip(start, sac.q_target.parameters(), sac.q.parameters()):
        torch.testing.assert_close(target, old + (1 - 0.9**10) * (fast - old))


def test_returns_are_not_normalised_by_a_running_range():
    """Where the paper keeps an EMA of the return range, v1 has none: twice the reward, twice the return, whatever came before."""
    sac = soft_actor_critic(lam=1.0, gamma=1.0, soft=False)
    sac.q_target = KnownQ(lambda state, action: torch.zeros(state.shape[:-1]))
    batch = random_trajectories()
    returns = [sac.returns(batch._replace(reward=scale * batch.reward)) for scale in (1.0, 2.0, 1.0)]
    torch.testing.assert_close(returns[1], 2 * returns[0])
    assert torch.equal(returns[2], returns[0]), "a return depends on returns that came before"


def test_baseline_is_the_soft_value():
    """b(s) = E_a[Qbar] + alpha H: the advantage is R - alpha log pi(a) - b, with b from a numeric integral."""
    sac = soft_actor_critic(1, 1, actor_grad="score", baseline_samples=40_000, alpha=0.3, alpha_final=0.3)
    sac.q_target = KnownQ(lambda state, action: 2 * action.squeeze(-1) ** 2 + action.squeeze(-1))
    mean, log_std = (x.detach().double() for x in sac.actor(torch.ones(1, 1)))
    u = torch.linspace(-12, 12, 20_001, dtype=DOUBLE)[:, None]
    log_pi = tanh_normal_log_prob(mean, log_std, u)
    normal = torch.distributions.Normal(mean, log_std.exp()).log_prob(u).exp().squeeze(-1)
    a = torch.tanh(u).squeeze(-1)
    soft_value = torch.trapezoid(normal * (2 * a**2 + a - 0.3 * log_pi), u.squeeze(-1)).item()
    taken, reward = torch.full((1, 1, 1), 0.5), torch.full((1, 1), 4.0)
    batch = Trajectories(torch.ones(1, 2, 1), taken, reward, torch.zeros(1, 1), torch.ones(1))
    loss, log_prob = sac.score_loss(batch, reward, torch.ones(1, 1))
    advantage = -loss.item() / log_prob.item()
    assert advantage == pytest.approx(4.0 - 0.3 * log_prob.item() - soft_value, abs=0.03)


# === Concern: the stored h of a window's first row ===========================================


def many_updates(updates=40, **replay):
    """An agent that learned on a buffer of 40 rows in episodes of 8; write-back after every update."""
    agent = dreamer(replay=dict(batch=8, length=5) | replay, model=dict(lr=1e-2))
    for _ in range(updates):
        agent.learn_model()
    return agent


def test_chunk_starts_are_never_refreshed():
    """Fixed chunks: rows 0, 5, 10, ... keep the age they were born with; every other row is fresh."""
    agent = many_updates(layout="chunks")
    ages = agent.replay.age(agent.grad_steps).tolist()
    assert [n for n in range(40) if ages[n] == 40] == list(range(0, 40, 5))
    assert max(age for n, age in enumerate(ages) if n % 5) < 20


def test_a_chunk_start_stays_stale_until_it_is_overwritten():
    """The number stored in a chunk's first row is the first one ever written, to the last bit."""
    agent = dreamer(replay=dict(layout="chunks", batch=8, length=5), model=dict(lr=1e-2))
    born = agent.replay.data["h"].clone()
    for _ in range(40):
        agent.learn_model()
    now = agent.replay.data["h"]
    starts = [n for n in range(40) if n % 5 == 0]
    others = [n for n in range(40) if n % 5 and n % 8]  # an episode's first h is 0 for ever
    assert torch.equal(now[starts], born[starts]), "the h of a chunk's first row was refreshed"
    assert (now[others] != born[others]).any(1).all(), "a row inside a chunk was never refreshed"


def test_free_windows_refresh_every_row_but_the_streams_first():
    """Free windows: only row 0, which no window reaches from before, is never refreshed."""
    agent = many_updates(layout="free")
    ages = agent.replay.age(agent.grad_steps).tolist()
    assert ages[0] == 40 and max(ages[1:]) < 40
    assert agent.replay.data["first"][0] == 1 and (agent.replay.data["h"][0] == 0).all(), (
        "the stream's first row opens no episode, or its h is not 0"
    )  # and there h is 0 anyway


def errors_of_stored_h(agent):
    """Distance of each stored h to filtering its episode again from the start, for all 40 rows."""
    window = agent.replay.window(torch.arange(0, 40, 8), 8)
    with torch.no_grad():
        again = agent.model.observe(window).h.flatten(0, 1)
    return (agent.replay.data["h"][:40] - again).norm(dim=-1)


def test_stale_states_are_wrong_and_fresh_ones_are_not():
    """Measured against a re-run from the episode's start: chunk starts are far off, free windows are everywhere close."""
    errors = {}
    for layout in ("chunks", "free"):
        torch.manual_seed(2)
        agent = dreamer(replay=dict(layout=layout, batch=8, length=5), model=dict(lr=1e-2, kl_scale=0.0))
        quieten(agent)
        for _ in range(60):
            agent.learn_model()
        errors[layout] = errors_of_stored_h(agent)
    stale = [n for n in range(40) if n % 5 == 0 and n % 8]
    assert errors["chunks"][stale].mean() > 2 * errors["free"][stale].mean()


def test_an_episode_start_is_recomputed_as_zero():
    """Whatever is stored in a row that opens an episode, its h is 0."""
    agent = dreamer()
    agent.replay.data["h"].fill_(7.0)
    window = agent.replay.window(torch.tensor([8, 9]), 3)
    assert (window.h == 7).all() and window.first[:, 0].tolist() == [1, 0], "the windows do not start from what is stored"
    beliefs = agent.model.observe(window)
    assert (beliefs.h[0, 0] == 0).all() and (beliefs.h[1, 0] == 7).all(), "h is not 0 where the episode starts and the stored one elsewhere"


def test_burn_in_repairs_the_first_h():
    """With wrong h stored everywhere, training starts nearer to the true h after burn-in than without."""
    errors = {}
    for burn_in in (0, 6):
        torch.manual_seed(4)
        agent = fill(Dreamer(small(replay=dict(length=3, burn_in=burn_in, batch=40)), 3, 2), episode=40)
        quieten(agent)
        true = agent.model.observe(agent.replay.window(torch.tensor([0]), 40)).h[0].detach()
        agent.replay.data["h"] += 1.0
        seen, real = [], agent.model.loss
        agent.model.loss = lambda window, seen=seen, real=real: seen.append(window) or real(window)
        agent.learn_model()
        inside = seen[0].index[:, 0] > 0
        errors[burn_in] = (seen[0].h - true[seen[0].index[:, 0]])[inside].norm(dim=-1).mean().item()
    assert errors[6] < 0.3 * errors[0]


def test_starting_from_zero_never_reads_a_stored_h():
    """start = "zero": the loss is the same whatever h the buffer holds."""
    losses = []
    for stored in (0.0, 5.0):
        torch.manual_seed(0)
        agent = dreamer(replay=dict(start="zero"))
        agent.replay.data["h"].fill_(stored)
        torch.manual_seed(1)
        losses.append(agent.learn_model()["model/total"])
    assert torch.equal(*losses), "the stored h moves the loss though windows start from zero"


# === Notes: how gradients and data flow ======================================================

PATHS = pytest.mark.parametrize("batched", [True, False], ids=["batched", "plain"])
KINDS = pytest.mark.parametrize("kind", ["gaussian", "categorical"])


def row_losses(model, embed, window, noise):
    """The loss of each row on its own, (T,) summed over the batch; e is given, so that it can be differentiated."""
    rssm = model.rssm
    beliefs = rssm.observe(window.h, embed, window.action, window.first, noise)
    s = beliefs.features
    mean, std = model.predict_reward(s)
    rows = nets.squared_error(model.decoder(s), window.observation)
    rows = rows + nets.gaussian_nll(mean, std, window.reward)
    rows = rows + nets.bernoulli_nll(model.predict_continue(s), 1 - window.terminal)
    q, p = beliefs.posterior, rssm.prior(beliefs.h)
    rows = rows + 0.1 * (0.8 * rssm.latent.kl(q.detach(), p) + 0.2 * rssm.latent.kl(q, p.detach()))
    return rows.sum(0)


def row_problem(kind, batched, detach=True):
    model = world(latent=kind, batched_unroll=batched, detach_z=detach)
    window = random_window(dtype=DOUBLE)
    noise = model.rssm.latent.noise(4, 6).double()
    return model, window, noise, model.encoder(window.observation).detach().requires_grad_()


@PATHS
@KINDS
def test_the_row_losses_add_up_to_the_loss(kind, batched):
    """The pieces differentiated below are those that training uses: the same number, and the same gradient of every weight."""
    model, window, noise, _ = row_problem(kind, batched)
    ours, theirs = row_losses(model, model.encoder(window.observation), window, noise).sum() / 24, model.loss(window, noise)[0]["total"]
    torch.testing.assert_close(ours, theirs)
    for name, weight in model.named_parameters():
        grads = [gradients(loss, weight)[0] for loss in (ours, theirs)]
        assert torch.allclose(*grads, rtol=1e-9, atol=1e-12), f"{name} gets another gradient than the row losses give"


@PATHS
@KINDS
def test_z_gradient_is_cut_between_steps(kind, batched):
    """d loss_{t+k} / d enc_t is exactly 0 for k >= 1, and d loss_t / d enc_t is not."""
    model, window, noise, embed = row_problem(kind, batched)
    rows = row_losses(model, embed, window, noise)
    for t in range(6):
        (grad,) = gradients(rows[t], embed)
        assert (grad[:, t].abs().sum(-1) > 0).all(), f"the loss of row {t} does not reach its own encoder output"
        assert (grad[:, :t] == 0).all() and (grad[:, t + 1 :] == 0).all(), (
            f"the loss of row {t} reaches the encoder output of another row: z is not cut"
        )


@KINDS
def test_without_the_cut_z_carries_gradient(kind):
    """detach_z = False: d loss_{t+k} / d enc_t is not 0, so the zero above is the cut's doing."""
    model, window, noise, embed = row_problem(kind, batched=True, detach=False)
    rows = row_losses(model, embed, window, noise)
    for t in range(6):
        (grad,) = gradients(rows[t], embed)
        assert (grad[:, : t + 1].abs().sum(-1) > 0).all() and (grad[:, t + 1 :] == 0).all(), (
            f"without the cut, the loss of row {t} does not reach all rows up to its own and no later one"
        )


@PATHS
@KINDS
def test_full_bptt_through_h(kind, batched):
    """d loss_{t+k} / d h_t is nonzero for every t and every k, up to d loss_T / d h_1."""
    model, window, noise, embed = row_problem(kind, batched)
    for t in range(6):
        rest = window.rows(t, None)._replace(h=window.h.clone().requires_grad_())
        rows = row_losses(model, embed[:, t:], rest, noise[:, t:])
        for k in range(6 - t):
            (grad,) = gradients(rows[k], rest.h)
            assert (grad.abs().sum(-1) > 0).all(), f"the loss of row {t + k} does not reach h of row {t}"


@PATHS
def test_gradient_through_h_is_the_true_one_with_z_held_fixed(batched):
    """d loss_T / d h_1 equals finite differences of a loop in which every earlier z is a constant."""
    model, window, noise, embed = row_problem("gaussian", batched)
    rssm = model.rssm
    h1 = window.h.clone().requires_grad_()
    beliefs = rssm.observe(h1, embed, window.action, window.first, noise)
    (grad,) = gradients(model.decoder(beliefs.features[:, -1]).sum(), h1)

    @torch.no_grad()
    def last(h):
        for t in range(1, 6):
            h = rssm.step(h, beliefs.z[:, t - 1], window.action[:, t - 1])
        z = rssm.latent.sample(rssm.posterior(h, embed[:, -1]), noise[:, -1])
        return model.decoder(torch.cat([h, z], -1)).sum()

    for i in range(6):
        nudge = torch.zeros(4, 6, dtype=DOUBLE)
        nudge[2, i] = 1e-5
        slope = (last(window.h + nudge) - last(window.h - nudge)) / 2e-5
        assert slope.item() == pytest.approx(grad[2, i].item(), rel=1e-4, abs=1e-10)


@PATHS
@KINDS
def test_full_bptt_over_windows_much_longer_than_the_default(kind, batched):
    """37 rows, more than two default windows: d h_t / d h_1 is that of a plain loop of `step` with every z a constant, for every t."""
    length = 37
    assert length > 2 * preset("dropin").replay.length, "the default window has grown: take a longer one here"
    model = world(latent=kind, batched_unroll=batched)
    rssm, window = model.rssm, random_window(length=length, dtype=DOUBLE)
    with torch.no_grad():
        rssm.cell.bias_ih[6:12] += 2.0  # h keeps most of itself, so that it is felt over many rows
    h1, h = window.h.clone().requires_grad_(), window.h.clone().requires_grad_()
    embed, noise = model.encoder(window.observation).detach(), rssm.latent.noise(4, length).double()
    beliefs = rssm.observe(h1, embed, window.action, window.first, noise)
    chain = [h]
    for t in range(1, length):
        chain.append(rssm.step(chain[-1], beliefs.z[:, t - 1].detach(), window.action[:, t - 1]))
    for t in range(length):
        (got,) = gradients(beliefs.h[:, t].sum(), h1)
        (true,) = gradients(chain[t].sum(), h)
        assert (got != 0).all(), f"h of row {t} does not reach h of row 0: the chain is cut"
        assert torch.allclose(got, true, rtol=1e-8), f"the gradient from h of row {t} to h of row 0 is not the derivative"


@PATHS
def test_z_is_cut_between_all_rows_of_a_long_window(batched):
    """With z cut, the encoder output of row t hears of the loss of row t alone, also across the rows of a default window."""
    model = world(batched_unroll=batched)
    window = random_window(batch=1, length=37, dtype=DOUBLE)
    embed, noise = model.encoder(window.observation).detach().requires_grad_(), model.rssm.latent.noise(1, 37).double()
    rows = row_losses(model, embed, window, noise)
    for t in (0, 7, 8, 15, 16, 17, 36):
        (grad,) = gradients(rows[t], embed)
        heard = grad[0].abs().sum(-1).nonzero().flatten().tolist()
        assert heard == [t], f"the rows whose encoder output hears of the loss of row {t}"


def test_agent_step_leaves_world_model_unchanged():
    """Dreaming and updating the agent: no world-model weight moves and none has a gradient."""
    for changes in (dict(), dict(lam=1.0, actor_grad="score")):
        agent = dreamer(sac=changes)
        before, sac_before = numbers(agent.model), numbers(agent.sac)
        agent.learn_policy()
        assert same(numbers(agent.model), before) and not same(numbers(agent.sac), sac_before), (
            "the agent's update moved the world model, or not the agent"
        )
        assert all(p.grad is None for p in agent.model.parameters()), "the agent's update left a gradient in the world model"


def test_model_step_leaves_agent_unchanged():
    """Updating the world model: no weight of actor or critics moves and none has a gradient."""
    agent = dreamer()
    before, model_before = numbers(agent.sac), numbers(agent.model)
    agent.learn_model()
    assert same(numbers(agent.sac), before) and not same(numbers(agent.model), model_before), (
        "the model's update moved the agent, or not the model"
    )
    assert all(p.grad is None for p in agent.sac.parameters()), "the model's update left a gradient in actor or critics"


def test_optimisers_share_no_parameter():
    """The world model's optimiser holds all of its weights and none of the agent's; the reverse as well."""
    agent = dreamer()
    held = {name: {id(p) for group in o.param_groups for p in group["params"]} for name, o in agent.optimizers.items()}
    model = held.pop("model")
    assert model == {id(p) for p in agent.model.parameters()}
    for ours in held.values():
        assert not ours & model, "an optimiser of the agent holds weights of the world model"


def test_imagined_data_carries_no_gradient():
    """States, actions, rewards, continues and weights of a dream are plain data."""
    data = dreamer().dream()
    assert all(not part.requires_grad and part.grad_fn is None for part in data), "a dream carries a gradient"


def test_learning_does_not_depend_on_how_the_data_was_made():
    """The same numbers copied from elsewhere give the same update, to the last bit."""
    agent = dreamer(sac=dict(lam=1.0))
    data = agent.dream()
    results = []
    for batch in (data, Trajectories(*(torch.tensor(part.tolist()) for part in data))):
        torch.manual_seed(1)
        sac = soft_actor_critic(lam=1.0)
        sac.update(batch, sac.make_optimizer())
        results.append(numbers(sac))
    assert same(*results), "the update depends on how the data was made"


def test_model_and_agent_draw_independent_batches():
    """What the loss is given and what SAC is given come from draws of their own: rows agree no more often than chance has it.

    Every stored h is another one and no row opens an episode, so the h that a window or a dream starts from tells its row.
    """
    agent = dreamer(
        replay=dict(batch=20, length=2, write_back=False),
        imagination=dict(starts=20, start_rows=1, horizon=1),
        sac=dict(lam=1.0, batch=0),
        schedule=dict(sac_updates=1),
    )
    stored = agent.replay.data["h"][:40]
    stored.copy_(torch.randn(40, 6))
    agent.replay.data["first"].zero_()
    used, loss, update = [], agent.model.loss, agent.sac.update
    agent.model.loss = lambda window: used.append(window.h) or loss(window)
    agent.sac.update = lambda data, optimizer: used.append(data.state[:, 0, :6]) or update(data, optimizer)
    for _ in range(40):
        agent.learn_model()
        agent.learn_policy()
    found = [[(stored == h).all(1).nonzero().flatten().tolist() for h in batch] for batch in used]
    assert all(len(rows) == 1 for batch in found for rows in batch), "something else than a stored row was learned from"
    rows = torch.tensor(found).reshape(40, 2, 20)
    same_rows = [bool((pair[0].sort().values == pair[1].sort().values).all()) for pair in rows]
    assert not any(same_rows), "world model and agent learned from the same rows"
    agree, chance = (rows[:, 0] == rows[:, 1]).float().mean().item(), 1 / 40
    assert agree == pytest.approx(chance, abs=4 * math.sqrt(chance / 800)), "how often the rows of a pair agree"
    for part, name in enumerate(("world model", "agent")):
        assert len(rows[:, part].unique()) >= 39, f"rows that the {name} learned from"


def test_policy():
    """Squashed diagonal Gaussian: the log-prob integrates to 1 over the square, and is a sum over dimensions."""
    torch.manual_seed(1)
    actor = Actor(sac_config(), 4, 2).double()
    state = torch.randn(1, 4, dtype=DOUBLE)
    mean, log_std = actor(state)
    assert mean.shape == log_std.shape == (1, 2)  # one mean and one scale for each dimension: no covariance
    edge = 1 - 1e-6
    a = torch.tanh(torch.linspace(-math.atanh(edge), math.atanh(edge), 401, dtype=DOUBLE))
    grid = torch.stack(torch.meshgrid(a, a, indexing="ij"), -1)  # (401, 401, 2)
    with torch.no_grad():
        pi = torch.exp(actor.log_prob(state.expand(401, 401, 4), torch.atanh(grid)))
    assert torch.trapezoid(torch.trapezoid(pi, a), a).item() == pytest.approx(1, abs=1e-3)
    margins = torch.trapezoid(pi, a, dim=1), torch.trapezoid(pi, a, dim=0)
    torch.testing.assert_close(pi, margins[0][:, None] * margins[1][None], rtol=5e-3, atol=1e-5)  # independent


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_fast_q_is_never_read(lam):
    """Changing only the fast Q leaves returns, baseline and both actor losses bit-identical; changing the target does not."""
    sac = soft_actor_critic(lam=lam)
    batch, weight = random_trajectories(), torch.rand(5, 4)

    def everything():
        torch.manual_seed(1)
        returns = sac.returns(batch)
        losses = sac.pathwise_loss(batch.state[:, :-1], weight)[0], sac.score_loss(batch, returns, weight)[0]
        grads = [torch.cat([g.flatten() for g in gradients(loss, list(sac.actor.parameters()))]) for loss in losses]
        return [returns, *losses, *grads]

    before = everything()
    shake(sac.q)
    assert all(torch.equal(left, right) for left, right in zip(before, everything())), (
        "the fast Q is read by the returns or by an actor's loss"
    )
    shake(sac.q_target)
    assert not any(torch.equal(left, right) for left, right in zip(before, everything())), (
        "the target Q is not read by the returns or by an actor's loss"
    )


@pytest.mark.parametrize("grad", ["pathwise", "score"])
def test_an_update_of_the_actor_does_not_feel_the_fast_q(grad):
    """One whole update with another fast Q: the actor comes out the same, to the last bit."""
    actors = []
    for other in (False, True):
        torch.manual_seed(1)
        sac = soft_actor_critic(actor_grad=grad, clip_norm=0.01)
        if other:
            shake(sac.q)
        torch.manual_seed(2)
        sac.update(random_trajectories(), sac.make_optimizer())
        actors.append(numbers(sac.actor))
    assert same(*actors), "the actor's update feels the fast Q"


# === Time, and ends of episodes ==============================================================


def test_time_convention():
    """Three steps by hand: reward and first come with o_t, the action leaves it, h_t = f(h_{t-1}, z_{t-1}, a_{t-1}).

    In this world the reward is the action just taken: actions 1, 0.5, -0.5 bring rewards 1, 0.5, -0.5,
    each stored one row further down.
    """
    agent = Dreamer(small(), 3, 2)
    actions = [torch.tensor([1.0, 0]), torch.tensor([0.5, 0]), torch.tensor([-0.5, 0])]
    carry, reward, hs, zs = agent.initial(1), 0.0, [], []
    for t in range(4):
        observation = torch.full((3,), float(t))
        carry = agent.policy(carry, observation[None], torch.tensor([float(t == 0)]), explore=True)
        agent.remember(carry, observation, reward, t == 0, t == 3)
        hs.append(carry.h)
        zs.append(carry.z)
        if t < 3:
            carry = carry._replace(action=actions[t][None])
            agent.replay.set_action(actions[t])
            reward = actions[t][0].item()
    row = agent.replay.window(torch.tensor([0]), 4)
    assert row.observation[0, :, 0].tolist() == [0, 1, 2, 3]
    assert row.action[0, :, 0].tolist() == [1, 0.5, -0.5, 0]
    assert row.reward[0].tolist() == [0, 1, 0.5, -0.5]
    assert row.first[0].tolist() == [1, 0, 0, 0] and row.terminal[0].tolist() == [0, 0, 0, 1]
    assert (hs[0] == 0).all(), "the first h of an episode is not 0"
    for t in (1, 2, 3):
        torch.testing.assert_close(hs[t], agent.model.rssm.step(hs[t - 1], zs[t - 1], actions[t - 1][None]))
    # One real transition is (o_t, a_t) with the reward of row t + 1; discounted, the return from o_0 is 1 + 0.25 - 0.125.
    pairs = agent.replay.transitions(50)
    assert all((window_action[0] == window_reward[1]).all() for window_action, window_reward in zip(pairs.action[..., 0], pairs.reward)), (
        "a transition whose reward is not that of its action"
    )
    sac = soft_actor_critic(3, 2, lam=1.0, gamma=0.5, soft=False)
    batch = Trajectories(row.observation, torch.zeros(1, 3, 2), row.reward[:, 1:], 1 - row.terminal[:, 1:], torch.ones(1))
    torch.testing.assert_close(sac.returns(batch), torch.tensor([[1.125, 0.25, -0.5]]))


def test_a_time_limit_is_not_an_end():
    """Terminated: the target is the reward alone. Truncated: it bootstraps as ever."""
    for terminal in (True, False):
        agent = fill(ModelFree(small(sac=dict(gamma=0.5, soft=False)), 3, 2), rows=2, episode=2, terminal=terminal)
        agent.sac.q_target = KnownQ(lambda state, action: torch.full(state.shape[:-1], 10.0))
        seen = []
        agent.sac.update = lambda data, optimizer, seen=seen: seen.append(data) or {}
        agent.learn()
        reward = agent.replay.data["reward"][1]
        torch.testing.assert_close(agent.sac.returns(seen[0])[0, 0], reward + (0.0 if terminal else 5.0))


def test_the_continue_head_learns_ends_but_not_time_limits():
    """Its target is 0 where the episode terminated and 1 everywhere else, also in the last row before a new episode."""
    targets = {}
    for terminal in (True, False):
        agent = fill(Dreamer(small(), 3, 2), rows=16, terminal=terminal)
        window = agent.replay.window(torch.tensor([0]), 16)
        logit = torch.zeros(1, 16, requires_grad=True)
        agent.model.predict_continue = lambda features, logit=logit: logit
        agent.model.loss(window)[0]["continue"].backward()
        targets[terminal] = (0.5 - 16 * logit.grad[0]).tolist()  # d loss / d logit = (1/2 - target) / 16
    assert targets[True] == pytest.approx([1.0] * 7 + [0.0] + [1.0] * 7 + [0.0])
    assert targets[False] == pytest.approx([1.0] * 16)


def test_no_dream_leaves_a_terminal_state():
    """A start where the episode ended has weight 0; one where time ran out has weight 1."""
    for terminal in (True, False):
        agent = fill(Dreamer(small(imagination=dict(starts=200, start_rows=2)), 3, 2), terminal=terminal)
        weight = agent.dream().weight
        assert ((weight == 0).any().item(), (weight == 1).any().item()) == (terminal, True)


# === Where the notes leave room: the switches ================================================


def test_lambda_zero_is_spinning_ups_backup():
    """r + gamma (1 - d) [min_i Qbar_i(s', a') - alpha log pi(a' | s')], at every step of a dream."""
    sac = soft_actor_critic(lam=0.0, gamma=0.9, alpha=0.2, alpha_final=0.2)
    shake(sac.q_target)
    batch = random_trajectories()
    done = (torch.rand(5, 4) < 0.3).float()
    torch.manual_seed(1)
    got = sac.returns(batch._replace(cont=1 - done))
    torch.manual_seed(1)
    next_state = batch.state[:, 1:]
    mean, log_std = sac.actor(next_state)
    policy = torch.distributions.Normal(mean, log_std.exp())
    u = mean + log_std.exp() * torch.randn_like(mean)
    log_pi = policy.log_prob(u).sum(-1) - torch.log(1 - torch.tanh(u) ** 2).sum(-1)
    q1, q2 = sac.q_target(next_state, torch.tanh(u))
    torch.testing.assert_close(got, batch.reward + 0.9 * (1 - done) * (torch.min(q1, q2) - 0.2 * log_pi))


def test_lambda_one_is_the_imagined_return():
    """Rewards and entropies along the dream, discounted, and Qbar(s_H, a_H) with its entropy at the end."""
    sac = soft_actor_critic(dtype=DOUBLE, lam=1.0, gamma=0.9, alpha=0.2, alpha_final=0.2)
    batch = random_trajectories(dtype=DOUBLE)
    torch.manual_seed(1)
    got = sac.returns(batch)
    torch.manual_seed(1)
    last = sac.actor.sample(batch.state[:, 4:])
    end = sac.q_target(batch.state[:, 4], torch.tanh(last.pre_tanh[:, 0])).amin(0) - 0.2 * last.log_prob[:, 0]
    for n in range(5):
        for start in range(4):
            total, scale = 0.0, 1.0
            for t in range(start, 4):
                if t > start:
                    total -= scale * 0.2 * sac.actor.log_prob(batch.state[n, t], batch.pre_tanh[n, t])
                total += scale * batch.reward[n, t]
                scale *= 0.9 * batch.cont[n, t]
            torch.testing.assert_close(got[n, start], total + scale * end[n])


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_entropy_is_counted_once_per_step(lam):
    """No rewards, Q = 0, one fixed policy of entropy E: a return holds alpha E once for each step it looks at."""
    sac = soft_actor_critic(1, 1, dtype=DOUBLE, lam=lam, gamma=0.9, alpha=0.2, alpha_final=0.2)
    sac.q_target = KnownQ(lambda state, action: torch.zeros(state.shape[:-1], dtype=DOUBLE))
    with torch.no_grad():
        for p in sac.actor.parameters():
            p.zero_()  # u ~ N(0, 1), whatever the state
    u = torch.linspace(-9, 9, 20_001, dtype=DOUBLE)
    log_pi = tanh_normal_log_prob(torch.zeros(1, dtype=DOUBLE), torch.zeros(1, dtype=DOUBLE), u[:, None])
    entropy = -torch.trapezoid(torch.distributions.Normal(0.0, 1.0).log_prob(u).exp() * log_pi, u).item()
    number, horizon = 40_000, 3
    zeros = torch.zeros(number, horizon, dtype=DOUBLE)
    batch = Trajectories(torch.zeros(number, 4, 1, dtype=DOUBLE), torch.randn(number, 3, 1, dtype=DOUBLE), zeros, zeros + 1, zeros[:, 0])
    got = sac.returns(batch).mean(0).tolist()
    # Steps ahead are reached with weight lam each; the entropy of the step itself is in the actor's loss, not here.
    expected = [0.2 * entropy * sum(0.9**k * lam ** (k - 1) for k in range(1, horizon - t + 1)) for t in range(horizon)]
    assert got == pytest.approx(expected, abs=0.006)
    assert abs(expected[-1]) > 0.03


def test_the_steps_own_entropy_is_in_the_actors_loss_once():
    """With R = 0 and Q = 0 the advantage is -alpha log pi(a) - alpha H: one term for the action taken, none for later ones."""
    sac = soft_actor_critic(1, 1, alpha=0.2, alpha_final=0.2, baseline_samples=40_000)
    sac.q_target = KnownQ(lambda state, action: torch.zeros(state.shape[:-1]))
    samples = sac.actor.sample(torch.ones(40_000, 1))
    entropy = -samples.log_prob.mean().item()
    batch = Trajectories(torch.ones(1, 2, 1), torch.full((1, 1, 1), 0.3), torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1))
    loss, log_prob = sac.score_loss(batch, torch.zeros(1, 1), torch.ones(1, 1))
    assert -loss.item() / log_prob.item() == pytest.approx(-0.2 * log_prob.item() - 0.2 * entropy, abs=0.01)


@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_soft_off_counts_no_entropy(lam):
    """soft = False: the returns do not depend on alpha; soft = True: they do."""
    for soft in (False, True):
        seen = []
        for alpha in (0.0, 5.0):
            torch.manual_seed(1)
            sac = soft_actor_critic(lam=lam, soft=soft, alpha=alpha, alpha_final=alpha)
            batch = random_trajectories()
            torch.manual_seed(2)
            seen.append(sac.returns(batch))
        assert torch.equal(*seen) != soft, f"whether the returns depend on alpha where soft is {soft}"


def test_lambda_moves_smoothly_from_one_end_to_the_other():
    """The mix is a switch of the core: at H = 2 the first return is linear in lambda between its two ends."""
    sac = soft_actor_critic(dtype=DOUBLE)
    sac.q_target = KnownQ(lambda state, action: state.sum(-1))
    batch = random_trajectories(horizon=2, dtype=DOUBLE)
    seen = {}
    sac.config.soft = False
    for lam in (0.0, 0.25, 1.0):
        sac.config.lam = lam
        seen[lam] = sac.returns(batch)[:, 0]
    torch.testing.assert_close(seen[0.25], 0.75 * seen[0.0] + 0.25 * seen[1.0])
    assert not torch.allclose(seen[0.0], seen[1.0]), "lambda changes nothing"


def test_pathwise_actor_climbs_the_target_q():
    """actor_grad = "pathwise": the gradient comes through dQ/da; a Q that is flat in a moves nothing but the entropy."""
    grads = {}
    for slope in (0.0, 3.0, 6.0):
        torch.manual_seed(1)
        sac = soft_actor_critic(1, 1, alpha=0.0, alpha_final=0.0)
        sac.q_target = KnownQ(lambda state, action, slope=slope: slope * action.squeeze(-1))
        loss, _ = sac.pathwise_loss(torch.ones(64, 1, 1), torch.ones(64, 1))
        loss.backward()
        grads[slope] = sac.actor.net[-1].bias.grad.clone()
    assert (grads[0.0] == 0).all() and grads[3.0][0] < 0, (
        "the actor does not climb dQ/da"
    )  # a larger mean is better: descend makes it larger
    torch.testing.assert_close(grads[6.0], 2 * grads[3.0])


def test_score_actor_climbs_the_return():
    """actor_grad = "score": only the return and log pi matter; dQ/da is never used."""
    sac = soft_actor_critic(1, 1, alpha=0.0, alpha_final=0.0, actor_grad="score")
    sac.q_target = KnownQ(lambda state, action: torch.zeros(state.shape[:-1]))
    u = torch.randn(20_000, 1, 1)
    batch = Trajectories(torch.ones(20_000, 2, 1), u, torch.zeros(20_000, 1), torch.zeros(20_000, 1), torch.ones(20_000))
    slopes = []
    for sign in (1.0, -1.0):
        sac.zero_grad()
        loss, _ = sac.score_loss(batch, sign * u.squeeze(-1), torch.ones(20_000, 1))
        loss.backward()
        slopes.append(sac.actor.net[-1].bias.grad[0].item())
    assert slopes[0] < 0 < slopes[1]  # large actions pay: the mean rises; they cost: it falls
    assert not sac.q_target.asked[0].requires_grad, "the score function differentiates through Q"


def test_actor_grad_switch_is_obeyed():
    """Each setting calls its own loss, and only that."""
    for grad, other in (("pathwise", "score"), ("score", "pathwise")):
        sac = soft_actor_critic(actor_grad=grad)
        setattr(sac, f"{other}_loss", None)  # calling it would crash
        sac.update(random_trajectories(), sac.make_optimizer())


def test_the_defaults_are_v1():
    """What a run is without a flag: the cuts of v1, its replay alone, soft values, the drop-in SAC."""
    config = Config()
    model, replay, sac = config.model, config.replay, config.sac
    assert model.detach_z, "z is not cut by default"
    assert model.latent == "gaussian", "z is of the other kind by default"
    assert (replay.layout, replay.burn_in) == ("free", 0), "by default windows are not free, or rows are burnt in"
    assert replay.write_back, "by default nothing is written back"
    assert sac.soft, "by default returns hold no entropy"
    assert (sac.lam, sac.actor_grad) == (0.0, "pathwise"), "the default is not the drop-in SAC"
    assert not sac.normalize_advantage, "by default advantages are normalised"


def test_the_two_presets():
    """dropin: one-step target, pathwise through the target Q. advantage: H-step return, score function."""
    dropin, advantage = preset("dropin").sac, preset("advantage").sac
    assert (dropin.lam, dropin.actor_grad) == (0.0, "pathwise")
    assert (advantage.lam, advantage.actor_grad) == (1.0, "score")


@KINDS
def test_both_kinds_of_z_learn(kind):
    """Gaussian or categorical, with or without the cut: one round of learning, all numbers finite."""
    for detach in (True, False):
        agent = dreamer(model=dict(latent=kind, detach_z=detach))
        metrics = agent.learn()
        assert all(value.isfinite() for value in metrics.values()), "a metric that is not a number"

"""Notebook 03: the dream step, the sample of z, the KL between posterior and prior, what balances it, and the bound it comes from."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from dreamer_core import latents
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations, gradient
from dreamer_core.config import WorldModelConfig
from dreamer_core.rssm import RSSM

# --- 3.1 one step of a dream -----------------------------------------------------------------

DREAM_H, DREAM_A = torch.tensor([[0.2, -0.4, 0.6], [0.0, 0.5, -0.1]]), torch.tensor([[1.0], [-0.5]])
DREAM_Z = {"gaussian": torch.tensor([[0.3, -0.7], [1.1, 0.4]]), "categorical": torch.tensor([[0.0, 1, 1, 0], [1, 0, 1, 0]])}
DREAM_NOISE = {
    "gaussian": torch.tensor([[0.5, -1.5], [2.0, 0.25]]),
    "categorical": torch.tensor([[[0.0, 4.0], [4.0, 0.0]], [[4.0, 0.0], [0.0, 4.0]]]),
}


def small_rssm(kind: str) -> RSSM:
    """An RSSM with D = 3 and Z = 2 (or two groups of two classes), whose weights are the same for everyone."""
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and replaced at once
        rssm = RSSM(WorldModelConfig(deter=3, units=4, latent=kind, stoch=2, classes=2), embed=2, action=1)
    with torch.no_grad():
        for number, parameter in enumerate(rssm.parameters()):
            parameter.copy_(torch.sin(1.7 * torch.arange(parameter.numel()) + number).view_as(parameter))
    return rssm


def observe_dream_step(f: Callable) -> Observations:
    """Two dreams side by side, with either kind of z."""
    found = {}
    for kind in ("gaussian", "categorical"):
        with torch.no_grad():
            h, z = f(small_rssm(kind), DREAM_H.clone(), DREAM_Z[kind].clone(), DREAM_A.clone(), DREAM_NOISE[kind].clone())
        found |= {f"the new h, {kind} z": h, f"the new z, {kind} z": z}
    return found


def expected_dream_step() -> Observations:
    """The same, written out with the weights: one layer, a GRU cell, the prior's two layers, a sample."""
    found = {}
    for kind in ("gaussian", "categorical"):
        w = dict(small_rssm(kind).named_parameters())
        x = F.silu(torch.cat([DREAM_Z[kind], DREAM_A], 1) @ w["input.0.weight"].T + w["input.0.bias"])
        r_x, u_x, n_x = (x @ w["cell.weight_ih"].T + w["cell.bias_ih"]).chunk(3, 1)
        r_h, u_h, n_h = (DREAM_H @ w["cell.weight_hh"].T + w["cell.bias_hh"]).chunk(3, 1)
        update = torch.sigmoid(u_x + u_h)
        h = (1 - update) * torch.tanh(n_x + torch.sigmoid(r_x + r_h) * n_h) + update * DREAM_H
        out = F.silu(h @ w["prior.0.weight"].T + w["prior.0.bias"]) @ w["prior.2.weight"].T + w["prior.2.bias"]
        if kind == "gaussian":
            z = out[:, :2] + (torch.log1p(torch.exp(out[:, 2:])) + 0.1) * DREAM_NOISE[kind]
        else:
            probs = 0.99 * torch.softmax(out.view(2, 2, 2), -1) + 0.005
            z = F.one_hot((torch.log(probs) + DREAM_NOISE[kind]).argmax(-1), 2).flatten(1).float()
        found |= {f"the new h, {kind} z": h.detach(), f"the new z, {kind} z": z.detach()}
    return found


def old_prior(rssm, h, z, action, noise):
    return rssm.step(h, z, action), rssm.latent.sample(rssm.prior(h), noise)


def draw_then_step(rssm, h, z, action, noise):
    z = rssm.latent.sample(rssm.prior(h), noise)
    return rssm.step(h, z, action), z


def keep_old_h(rssm, h, z, action, noise):
    return h, rssm.latent.sample(rssm.prior(rssm.step(h, z, action)), noise)


def keep_old_z(rssm, h, z, action, noise):
    return rssm.step(h, z, action), z


def by_posterior(rssm, h, z, action, noise):
    h = rssm.step(h, z, action)
    return h, rssm.latent.sample(rssm.posterior(h, h.new_zeros(len(h), rssm.posterior_e.in_features)), noise)


def most_likely(rssm, h, z, action, noise):
    h = rssm.step(h, z, action)
    return h, rssm.latent.mode(rssm.prior(h))


def own_dream_noise(rssm, h, z, action, noise):
    h = rssm.step(h, z, action)
    return h, rssm.latent.sample(rssm.prior(h), rssm.latent.noise(len(h)))


def normal_by_hand(rssm, h, z, action, noise):
    h = rssm.step(h, z, action)
    mean, raw = rssm.prior(h).chunk(2, -1)
    return h, mean + (F.softplus(raw) + 0.1) * noise


def dream_inputs(d: Draw, batch: int, kind: str) -> tuple:
    """Arguments with D = 6, Z = 4 (or 3 groups of 2), A = 2."""
    stoch = 3 if kind == "categorical" else 4
    with torch.random.fork_rng(devices=[]):
        rssm = RSSM(WorldModelConfig(deter=6, stoch=stoch, classes=2, units=5, latent=kind), embed=7, action=2)
    with torch.no_grad():
        for parameter in rssm.parameters():
            parameter.copy_(d.normal(*parameter.shape, std=0.7))
    z = d.one_hot(batch, 3, 2).flatten(1) if kind == "categorical" else d.normal(batch, 4)
    noise = d.normal(batch, 3, 2) if kind == "categorical" else d.normal(batch, 4)
    return rssm, d.normal(batch, 6), z, d.uniform(-1, 1, batch, 2), d.data(noise)


DREAM_STEP = Exercise(
    id="3.1",
    title="One step of a dream",
    minutes=5,
    difficulty=1,
    importance=3,
    reference=RSSM.dream_step,
    target="dreamer_core.rssm:RSSM.dream_step",
    observe=observe_dream_step,
    expected=expected_dream_step,
    gradients=False,
    looks=(
        Look("4 dreams, Gaussian z", lambda d: dream_inputs(d, 4, "gaussian")),
        Look("4 dreams, z in groups of classes", lambda d: dream_inputs(d, 4, "categorical")),
        Look("a single dream", lambda d: dream_inputs(d, 1, "gaussian")),
    ),
    mistakes=(
        Mistake(
            "old_prior",
            old_prior,
            "Your z comes from the prior of the *old* h. z_t belongs to h_t: move h first, then ask the prior at the h you have just made.",
        ),
        Mistake(
            "draw_then_step",
            draw_then_step,
            "You drew the new z first and gave it to the step. The step takes what was there before, h, z and the action; "
            "the new z is drawn afterwards, from the new h.",
        ),
        Mistake("keep_old_h", keep_old_h, "Your z is right, but you return the h you were given. The dream has to go on from the new one."),
        Mistake("keep_old_z", keep_old_z, "Your h is right, but you return the z you were given. A dream draws a new z at every step."),
        Mistake(
            "by_posterior",
            by_posterior,
            "You asked the posterior, with zeros for what was seen. A row of zeros is not the same as seeing nothing: "
            "with closed eyes the question goes to the prior, which reads h alone.",
        ),
        Mistake(
            "most_likely",
            most_likely,
            "You take the prior's most likely z, so every dream would be the same. Chance has to stay chance: draw a "
            "sample with the noise.",
        ),
        Mistake(
            "own_dream_noise",
            own_dream_noise,
            "You draw noise of your own and leave the given one aside. The caller hands the noise in, so that a dream "
            "can be repeated exactly.",
        ),
        Mistake(
            "normal_by_hand",
            normal_by_hand,
            "You write the Normal out by hand, which fits one of the two kinds of z. The check also uses the other kind, groups of "
            "classes: `rssm.latent.sample(parameters, noise)` draws from either.",
        ),
    ),
    hints=(
        "Two lines: first h moves on, then z is drawn. Nothing is observed anywhere.",
        "`rssm.step` gives the new h. `rssm.prior(h)` gives the parameters of p(z | h), and "
        "`rssm.latent.sample(parameters, noise)` draws from them.",
        "h = rssm.step(h, z, action); the new z is rssm.latent.sample(rssm.prior(h), noise). Return both, h first.",
    ),
)

# --- 3.2 a sample that a gradient can pass ---------------------------------------------------


def observe_gaussian_sample(f: Callable) -> Observations:
    """One window of two rows with three numbers in z, and where the gradient of 1 z_1 + 2 z_2 + ... goes."""
    mean = torch.tensor([[[1.0, 2.0, -1.0], [0.0, 0.5, 4.0]]], requires_grad=True)  # (B, T, Z) = (1, 2, 3)
    std = torch.tensor([[[0.5, 3.0, 0.1], [1.0, 2.0, 0.3]]], requires_grad=True)
    z = f(mean, std, torch.tensor([[[2.0, -1.0, 0.0], [-0.5, 1.5, -2.0]]]))
    to_mean, to_std = gradient((z * torch.arange(1.0, 7.0).view(1, 2, 3)).sum(), mean, std)
    return {"z": z.detach(), "the gradient that reaches the mean": to_mean, "the gradient that reaches the std": to_std}


def expected_gaussian_sample() -> Observations:
    """By hand: mean + std * noise, and its derivatives 1 and noise times the weights 1 to 6."""
    return {
        "z": torch.tensor([[[2.0, -1.0, -1.0], [-0.5, 3.5, 3.4]]]),
        "the gradient that reaches the mean": torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]),
        "the gradient that reaches the std": torch.tensor([[[2.0, -2.0, 0.0], [-2.0, 7.5, -12.0]]]),
    }


GAUSSIAN_SAMPLE = Exercise(
    id="3.2",
    title="A sample that a gradient can pass",
    minutes=3,
    difficulty=1,
    importance=3,
    reference=latents.gaussian_sample,
    target="dreamer_core.latents:gaussian_sample",
    observe=observe_gaussian_sample,
    expected=expected_gaussian_sample,
    looks=(
        Look("4 x 5 samples of 3 numbers", lambda d: (d.normal(4, 5, 3), d.uniform(0.1, 3, 4, 5, 3), d.normal(4, 5, 3))),
        Look("a single sample", lambda d: (d.normal(4), d.uniform(0.1, 3, 4), d.normal(4))),
        Look("samples of one number", lambda d: (d.normal(6, 1), d.uniform(0.1, 3, 6, 1), d.normal(6, 1))),
        Look("no noise", lambda d: (d.normal(3, 2), d.uniform(0.1, 3, 3, 2), torch.zeros(3, 2))),
        Look(
            "a std far below and far above 1",
            lambda d: (d.normal(2, 3), torch.tensor([[0.01, 1.0, 50.0], [20.0, 0.1, 3.0]]), d.normal(2, 3)),
        ),
    ),
    mistakes=(
        Mistake(
            "std_forgotten",
            lambda mean, std, noise: mean + noise,
            "The noise enters at full size whatever std says. Stretch it by std first.",
        ),
        Mistake(
            "variance",
            lambda mean, std, noise: mean + std.square() * noise,
            "You stretch the noise by the variance. A Normal's width is its standard deviation, std, not its square.",
        ),
        Mistake(
            "undone",
            lambda mean, std, noise: (noise - mean) / std,
            "That is the way back: it turns a sample of N(mean, std^2) into standard noise. You have the noise and want the sample.",
        ),
        Mistake(
            "roles_swapped",
            lambda mean, std, noise: mean * noise + std,
            "You stretch by the mean and shift by std. It is the other way round: std stretches the noise, mean shifts it.",
        ),
        Mistake(
            "exp",
            lambda mean, std, noise: mean + torch.exp(std) * noise,
            "You take the exponential of std, as if it were a log. What arrives here is the standard deviation itself, already positive.",
        ),
        Mistake(
            "own_noise",
            lambda mean, std, noise: mean + std * torch.randn_like(std),
            "You draw noise of your own. The noise is handed in, so that the sample is a pure function of its inputs.",
        ),
        Mistake(
            "torch_sample",
            lambda mean, std, noise: torch.normal(mean.detach(), std.detach()),
            "You let torch draw. That sets the given noise aside, and no gradient gets through a draw: compute z from "
            "mean, std and noise instead.",
        ),
        Mistake(
            "no_gradient",
            lambda mean, std, noise: (mean + std * noise).detach(),
            "The sample is right, but no gradient gets through it: look for `detach` or `no_grad`. Plain arithmetic on "
            "mean and std keeps it.",
        ),
    ),
    hints=(
        "Where does the chance sit? In `noise`, which no parameter touches. The rest is arithmetic.",
        "Shift and stretch: a standard Normal, stretched by std and moved to mean, is the Normal you want.",
        "mean + std * noise",
    ),
)

# --- 3.3 the KL of two Gaussians -------------------------------------------------------------

KL_INPUTS = (
    torch.tensor([[0.3, -1.0, 0.0], [2.0, 0.5, -0.4]]),  # mean of q
    torch.tensor([[0.5, 1.5, 1.0], [0.8, 0.3, 2.0]]),  # std of q
    torch.tensor([[0.0, 0.5, 0.0], [1.0, 0.7, 0.9]]),  # mean of p
    torch.tensor([[1.0, 0.7, 1.0], [2.5, 0.4, 1.2]]),  # std of p
)


def observe_gaussian_kl(f: Callable) -> Observations:
    """Two rows of three Normals, the same once more with another leading axis, and two of the gradients."""
    inputs = [x.clone().requires_grad_() for x in KL_INPUTS]
    kl = f(*inputs)
    to_std_q, to_mean_p = gradient(kl.sum(), inputs[1], inputs[2])
    deeper = f(*(x.unsqueeze(0).expand(2, -1, -1) for x in KL_INPUTS))  # (2, 2, 3) -> (2, 2)
    return {
        "the KL": kl.detach(),
        "the KL of a (B, T, Z) batch": deeper,
        "the gradient that reaches the std of q": to_std_q,
        "the gradient that reaches the mean of p": to_mean_p,
    }


def integrated_kl(mean_q: Tensor, std_q: Tensor, mean_p: Tensor, std_p: Tensor) -> Tensor:
    """The integral of q (log q - log p) on a fine grid, for each Normal: (..., Z) -> (..., Z)."""
    mean_q, std_q, mean_p, std_p = (x.double().unsqueeze(-1) for x in (mean_q, std_q, mean_p, std_p))
    x = mean_q + std_q * torch.linspace(-9, 9, 4001, dtype=torch.float64)

    def log_density(mean: Tensor, std: Tensor) -> Tensor:
        return -0.5 * ((x - mean) / std) ** 2 - torch.log(std) - 0.5 * math.log(2 * math.pi)

    log_q = log_density(mean_q, std_q)
    return torch.trapezoid(log_q.exp() * (log_q - log_density(mean_p, std_p)), x, dim=-1)


def expected_gaussian_kl() -> Observations:
    """By numeric integration, and its gradients by finite differences."""
    kl = integrated_kl(*KL_INPUTS).sum(-1).float()

    def slope(number: int, step: float = 1e-4) -> Tensor:
        up, down = ([x.double() + sign * step * (n == number) for n, x in enumerate(KL_INPUTS)] for sign in (1, -1))
        return ((integrated_kl(*up) - integrated_kl(*down)) / (2 * step)).float()

    return {
        "the KL": kl,
        "the KL of a (B, T, Z) batch": torch.stack([kl, kl]),
        "the gradient that reaches the std of q": slope(1),
        "the gradient that reaches the mean of p": slope(2),
    }


def kl_of_stds(mean_q, std_q, mean_p, std_p):
    ratio = std_q / std_p
    return 0.5 * (ratio + (mean_q - mean_p).square() / std_p - 1 - torch.log(ratio)).sum(-1)


def kl_half_log(mean_q, std_q, mean_p, std_p):
    ratio = std_q / std_p
    return 0.5 * (ratio.square() + ((mean_q - mean_p) / std_p).square() - 1 - torch.log(ratio)).sum(-1)


def kl_without_one(mean_q, std_q, mean_p, std_p):
    return latents.gaussian_kl(mean_q, std_q, mean_p, std_p) + 0.5 * mean_q.shape[-1]


def kl_not_summed(mean_q, std_q, mean_p, std_p):
    return 0.5 * ((std_q / std_p).square() + ((mean_q - mean_p) / std_p).square() - 1) - torch.log(std_q / std_p)


def gaussians(d: Draw, *shape: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Means and standard deviations of q, then of p."""
    return d.normal(*shape), d.uniform(0.3, 3, *shape), d.normal(*shape), d.uniform(0.3, 3, *shape)


GAUSSIAN_KL = Exercise(
    id="3.3",
    title="How far is the posterior from the prior?",
    minutes=8,
    difficulty=2,
    importance=3,
    reference=latents.gaussian_kl,
    target="dreamer_core.latents:gaussian_kl",
    observe=observe_gaussian_kl,
    expected=expected_gaussian_kl,
    looks=(
        Look("4 x 5 rows of 3 numbers", lambda d: gaussians(d, 4, 5, 3)),
        Look("a single row", lambda d: gaussians(d, 6)),
        Look("rows of one number", lambda d: gaussians(d, 7, 1)),
        Look("as many rows as numbers", lambda d: gaussians(d, 3, 3)),
        Look(
            "equal means",
            lambda d: (lambda m, s, t: (m, s, m.clone(), t))(d.normal(4, 2), d.uniform(0.3, 2, 4, 2), d.uniform(0.3, 2, 4, 2)),
        ),
        Look("equal spreads", lambda d: (lambda m, s, n: (m, s, n, s.clone()))(d.normal(4, 2), d.uniform(0.3, 2, 4, 2), d.normal(4, 2))),
        Look("very different spreads", lambda d: (d.normal(3, 2), d.uniform(0.05, 0.1, 3, 2), d.normal(3, 2), d.uniform(3, 6, 3, 2))),
    ),
    mistakes=(
        Mistake(
            "reversed",
            lambda mean_q, std_q, mean_p, std_p: latents.gaussian_kl(mean_p, std_p, mean_q, std_q),
            "This is KL[p || q], the wrong way round. In KL[q || p] the average runs over q, so it is p's variance "
            "that stands below the line.",
        ),
        Mistake(
            "mean_not_sum",
            lambda *inputs: latents.gaussian_kl(*inputs) / inputs[0].shape[-1],
            "You average over the last axis. The numbers of z are independent, so their KLs add up: a sum, or the KL "
            "would shrink as z grows.",
        ),
        Mistake(
            "std_for_variance",
            kl_of_stds,
            "Your formula has standard deviations where variances belong. The core works with std, so both ratios need a square.",
        ),
        Mistake("no_half", lambda *inputs: 2 * latents.gaussian_kl(*inputs), "Exactly twice the KL: the factor 1/2 in front is missing."),
        Mistake(
            "half_log",
            kl_half_log,
            "The log term is only half there. Inside the bracket it is the log of the ratio of *variances*: "
            "log(std_q^2 / std_p^2), or 2 log(std_q / std_p).",
        ),
        Mistake(
            "minus_one_forgotten",
            kl_without_one,
            "Too much by 1/2 for each number of z: the -1 is missing. Check: two equal Normals must give exactly 0.",
        ),
        Mistake(
            "minus_one_once",
            lambda *inputs: latents.gaussian_kl(*inputs) + 0.5 * inputs[0].shape[-1] - 1,
            "You subtract the 1 after the sum, and without its 1/2. It belongs inside the bracket: once for each number of z, and halved.",
        ),
        Mistake(
            "not_summed",
            kl_not_summed,
            "You return one number for each number of z. The KL of the whole z is their sum over the last axis.",
        ),
    ),
    hints=(
        "The formula stands above, with a square on every sigma. You are given std: what needs a square? Then sum over the last axis.",
        "ratio = (std_q / std_p) squared; shift = ((mean_q - mean_p) / std_p) squared. What is missing?",
        "0.5 * (ratio + shift - 1 - torch.log(ratio)), summed with .sum(-1)",
    ),
)

# --- 3.4 balance and free nats ---------------------------------------------------------------


def observe_balanced_kl(f: Callable) -> Observations:
    """Six rows with two different KLs each, some below the free nats; and the gradient each KL gets."""
    dyn = torch.tensor([[0.2, 3.0, 0.9], [2.0, 0.4, 1.5]], requires_grad=True)  # (B, T)
    rep = torch.tensor([[4.0, 0.5, 0.7], [2.5, 0.1, 0.3]], requires_grad=True)
    out = f(dyn, rep, 0.75, 1.0)
    to_dyn, to_rep = gradient(out.sum(), dyn, rep)
    return {"the value": out.detach(), "the gradient that reaches kl_dyn": to_dyn, "the gradient that reaches kl_rep": to_rep}


def expected_balanced_kl() -> Observations:
    """By hand: 3/4 of the larger of dyn and 1, plus 1/4 of the larger of rep and 1."""
    return {
        "the value": torch.tensor([[0.75 * 1 + 0.25 * 4, 0.75 * 3 + 0.25 * 1, 1.0], [0.75 * 2 + 0.25 * 2.5, 1.0, 0.75 * 1.5 + 0.25 * 1]]),
        "the gradient that reaches kl_dyn": torch.tensor([[0.0, 0.75, 0.0], [0.75, 0.0, 0.75]]),
        "the gradient that reaches kl_rep": torch.tensor([[0.25, 0.0, 0.0], [0.25, 0.0, 0.0]]),
    }


def clip_the_batch(dyn, rep, balance, free):
    return balance * dyn.mean().clamp(min=free) + (1 - balance) * rep.mean().clamp(min=free)


BALANCED_KL = Exercise(
    id="3.4",
    title="Balance and free nats",
    minutes=5,
    difficulty=2,
    importance=2,
    reference=latents.balanced_kl,
    target="dreamer_core.latents:balanced_kl",
    observe=observe_balanced_kl,
    expected=expected_balanced_kl,
    looks=(
        Look("3 windows of 5 rows, some below the free nats", lambda d: (d.uniform(0, 3, 3, 5), d.uniform(0, 3, 3, 5), 0.8, 1.0)),
        Look("7 windows of 4 rows", lambda d: (d.uniform(0, 3, 7, 4), d.uniform(0, 3, 7, 4), 0.7, 1.2)),
        Look("2 windows of 21 rows", lambda d: (d.uniform(0, 3, 2, 21), d.uniform(0, 3, 2, 21), 0.6, 1.1), draws=1),
        Look("free nats of 0.3", lambda d: (d.uniform(0, 1, 4, 6), d.uniform(0, 1, 4, 6), 0.7, 0.3)),
        Look("free nats of 2", lambda d: (d.uniform(0, 5, 2, 7), d.uniform(0, 5, 2, 7), 0.5, 2.0)),
        Look("no free nats", lambda d: (d.uniform(0, 2, 4, 3), d.uniform(0, 2, 4, 3), 0.6, 0.0)),
        Look("a single row", lambda d: (d.uniform(1, 2, 1, 1), d.uniform(0, 1, 1, 1), 0.9, 1.0)),
        Look("all rows below the free nats", lambda d: (d.uniform(0, 1, 3, 4), d.uniform(0, 1, 3, 4), 0.8, 1.5)),
        Look("all rows above the free nats", lambda d: (d.uniform(2, 3, 3, 4), d.uniform(2, 3, 3, 4), 0.8, 1.5)),
        Look("balance = 0", lambda d: (d.uniform(0, 3, 2, 5), d.uniform(0, 3, 2, 5), 0.0, 1.0)),
        Look("balance = 1", lambda d: (d.uniform(0, 3, 2, 5), d.uniform(0, 3, 2, 5), 1.0, 1.0)),
    ),
    mistakes=(
        Mistake(
            "balance_swapped",
            lambda dyn, rep, balance, free: latents.balanced_kl(dyn, rep, 1 - balance, free),
            "The shares are swapped: `balance` belongs to kl_dyn, which trains the prior, and 1 - balance to kl_rep.",
        ),
        Mistake(
            "min_for_max",
            lambda dyn, rep, balance, free: balance * dyn.clamp(max=free) + (1 - balance) * rep.clamp(max=free),
            "You keep the *smaller* of KL and free nats, so large KLs are the ones without a gradient. It is max(free, KL): "
            "in torch, clamp(min=free).",
        ),
        Mistake(
            "clipped_after_mixing",
            lambda dyn, rep, balance, free: (balance * dyn + (1 - balance) * rep).clamp(min=free),
            "You mix first and clip the mixture. Each of the two KLs is clipped by itself, then they are mixed.",
        ),
        Mistake(
            "clipped_after_mean",
            clip_the_batch,
            "You return one number for the whole batch. The free nats are counted row by row, so each row is clipped by itself; "
            "the mean is taken later, by the caller.",
        ),
        Mistake(
            "free_subtracted",
            lambda dyn, rep, balance, free: balance * F.relu(dyn - free) + (1 - balance) * F.relu(rep - free),
            "You subtract the free nats. The gradients come out right, but the value does not: a row below them counts "
            "as `free`, not as 0.",
        ),
        Mistake(
            "no_free_nats",
            lambda dyn, rep, balance, free: balance * dyn + (1 - balance) * rep,
            "The balance is right, but nothing is clipped: rows below the free nats must count as `free` and give no gradient.",
        ),
        Mistake(
            "not_weighted",
            lambda dyn, rep, balance, free: dyn.clamp(min=free) + rep.clamp(min=free),
            "Both KLs are clipped as they should be, but they are added at full weight. Their weights are balance and 1 - balance.",
        ),
        Mistake(
            "python_max",
            lambda dyn, rep, balance, free: balance * max(free, dyn) + (1 - balance) * max(free, rep),
            "Python's own `max` wants one answer, and a tensor of rows gives many. Row by row it is `clamp(min=...)`.",
        ),
    ),
    hints=(
        "Two terms of the same form, one for each KL. In each: first the clip, then the weight.",
        "max(free, KL), row by row, is `kl.clamp(min=free_nats)`.",
        "balance * kl_dyn.clamp(min=free_nats) + (1 - balance) * kl_rep.clamp(min=free_nats)",
    ),
)

# --- 3.5 one per cent of everything ----------------------------------------------------------

ODDS = torch.tensor([[[1.0, 3.0, 4.0], [2.0, 2.0, 1.0]], [[5.0, 1.0, 4.0], [1.0, 1.0, 6.0]]])  # (B, S, K)
WEIGHTS = torch.tensor([[[1.0, 0.0, -2.0], [3.0, 1.0, 0.5]], [[0.0, 2.0, 1.0], [-1.0, 4.0, 2.0]]])


def observe_unimix(f: Callable) -> Observations:
    """Logits whose softmax is known by hand, a deeper batch of them, and logits so large that their exponential overflows."""
    logits = torch.log(ODDS).requires_grad_()
    probs = f(logits, 0.1)
    return {
        "the probabilities": probs.detach(),
        "the probabilities of a (B, T, S, K) batch": f(torch.log(ODDS).unsqueeze(1), 0.1),
        "the gradient that reaches the logits": gradient((probs * WEIGHTS).sum(), logits),
        "the probabilities of logits 1000, 0 and -1000": f(torch.tensor([[1000.0, 0.0, -1000.0]]), 0.03),
    }


def expected_unimix() -> Observations:
    """By hand from the odds: 0.9 of odds / sum, plus 0.1 / 3."""
    softmax = ODDS / ODDS.sum(-1, keepdim=True)
    mixed = 0.9 * softmax + 0.1 / 3
    return {
        "the probabilities": mixed,
        "the probabilities of a (B, T, S, K) batch": mixed.unsqueeze(1),
        "the gradient that reaches the logits": 0.9 * softmax * (WEIGHTS - (softmax * WEIGHTS).sum(-1, keepdim=True)),
        "the probabilities of logits 1000, 0 and -1000": torch.tensor([[0.98, 0.01, 0.01]]),
    }


def overflowing(logits, unimix):
    odds = torch.exp(logits)
    return (1 - unimix) * odds / odds.sum(-1, keepdim=True) + unimix / logits.shape[-1]


UNIMIX = Exercise(
    id="3.5",
    title="One per cent of everything",
    minutes=4,
    difficulty=1,
    importance=2,
    reference=latents.unimix_probs,
    target="dreamer_core.latents:unimix_probs",
    runs_with='model.latent = "categorical"',
    observe=observe_unimix,
    expected=expected_unimix,
    looks=(
        Look("4 x 2 groups of 3 classes", lambda d: (d.normal(4, 2, 3), 0.01)),
        Look("a share of 0.4", lambda d: (2 * d.normal(5, 3, 4), 0.4)),
        Look("no share", lambda d: (d.normal(3, 2, 5), 0.0)),
        Look("a share of 1", lambda d: (d.normal(3, 2, 5), 1.0)),
        Look("one group", lambda d: (d.normal(6, 1, 4), 0.1)),
        Look("windows of groups", lambda d: (d.normal(2, 3, 4, 5), 0.05)),
        Look("very large logits", lambda d: (100 * d.normal(3, 2, 4), 0.02)),
        Look("as many groups as classes", lambda d: (d.normal(5, 3, 3), 0.1)),
    ),
    mistakes=(
        Mistake(
            "not_mixed",
            lambda logits, unimix: torch.softmax(logits, -1),
            "This is the plain softmax: a class can still get a probability of 0, and a KL with a 0 in it is infinite. "
            "Mix in the uniform share.",
        ),
        Mistake(
            "share_not_divided",
            lambda logits, unimix: (1 - unimix) * torch.softmax(logits, -1) + unimix,
            "Each class gets the whole uniform share, so the sum is above 1. The share is divided among the K classes: unimix / K.",
        ),
        Mistake(
            "not_made_room",
            lambda logits, unimix: torch.softmax(logits, -1) + unimix / logits.shape[-1],
            "The uniform share comes on top, so the sum is above 1. Make room for it first: the softmax keeps only 1 - unimix.",
        ),
        Mistake(
            "shares_swapped",
            lambda logits, unimix: unimix * torch.softmax(logits, -1) + (1 - unimix) / logits.shape[-1],
            "The shares are swapped: nearly all of yours is uniform. `unimix` is the *small* share, that of the uniform distribution.",
        ),
        Mistake(
            "always_one_per_cent",
            lambda logits, unimix: 0.99 * torch.softmax(logits, -1) + 0.01 / logits.shape[-1],
            "You mix in 1 % whatever is asked for. The share arrives as `unimix`, and the softmax keeps 1 - unimix.",
        ),
        Mistake(
            "wrong_axis",
            lambda logits, unimix: (1 - unimix) * torch.softmax(logits, -2) + unimix / logits.shape[-1],
            "Your softmax runs over the groups. Each group is a choice of its own among K classes: the softmax runs over the last axis.",
        ),
        Mistake(
            "clamped",
            lambda logits, unimix: torch.softmax(logits, -1).clamp(min=unimix / logits.shape[-1]),
            "You lift only the small probabilities. Then they do not sum to 1, and a lifted class gets no gradient; a "
            "mixture has neither fault.",
        ),
        Mistake(
            "overflow",
            overflowing,
            "exp(1000) is infinite, and infinite over infinite is not a number. torch.softmax subtracts the largest logit first; "
            "do the same, or use it.",
        ),
    ),
    hints=(
        "With K = 4 classes and unimix = 0.1, a softmax of 0.5 becomes 0.9 * 0.5 + 0.1 * 0.25. In general?",
        "The one is torch.softmax(logits, -1). The other is 1 / K for every class, with K = logits.shape[-1].",
        "(1 - unimix) * torch.softmax(logits, -1) + unimix / logits.shape[-1]",
    ),
)

# --- 3.6 straight through --------------------------------------------------------------------


def observe_straight_through(f: Callable) -> Observations:
    """A batch of two, with two groups of three classes each, and the gradient of a weighted sum of what comes out."""
    probs = (ODDS / ODDS.sum(-1, keepdim=True)).requires_grad_()
    one_hot = torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    out = f(probs, one_hot)
    return {"the value": out.detach(), "the gradient that reaches probs": gradient((out * WEIGHTS).sum(), probs)}


def expected_straight_through() -> Observations:
    """By definition: the code forward, the weights backward."""
    return {
        "the value": torch.tensor([[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]),
        "the gradient that reaches probs": WEIGHTS.clone(),
    }


STRAIGHT_THROUGH = Exercise(
    id="3.6",
    title="A choice with a gradient",
    minutes=5,
    difficulty=3,
    importance=3,
    reference=latents.straight_through,
    target="dreamer_core.latents:straight_through",
    runs_with='model.latent = "categorical"',
    observe=observe_straight_through,
    expected=expected_straight_through,
    looks=(
        Look("4 x 2 groups of 3 classes", lambda d: (d.normal(4, 2, 3).softmax(-1).detach(), d.data(d.one_hot(4, 2, 3)))),
        Look("a single group", lambda d: (d.normal(1, 1, 5).softmax(-1).detach(), d.data(d.one_hot(1, 1, 5)))),
        Look("windows of groups", lambda d: (d.normal(2, 3, 4, 5).softmax(-1).detach(), d.data(d.one_hot(2, 3, 4, 5)))),
        Look("probabilities of 0 and 1", lambda d: (d.one_hot(3, 2, 4), d.data(d.one_hot(3, 2, 4)))),
    ),
    mistakes=(
        Mistake(
            "no_gradient",
            lambda probs, one_hot: one_hot + (probs - probs),
            "The value is right, but no gradient reaches probs: either they do not enter, or they cancel in the gradient too. "
            "Exactly one of the two probs has to be detached.",
        ),
        Mistake(
            "probabilities",
            lambda probs, one_hot: probs + 0 * one_hot,
            "The gradient is right, but the value is the probabilities themselves. Forward, z must be the drawn code, "
            "with a single 1 in each group.",
        ),
        Mistake(
            "detached_wrong_side",
            lambda probs, one_hot: one_hot + probs.detach() - probs,
            "The value is right and the gradient has the wrong sign: you detached the probs that are added. Detach the "
            "ones that are subtracted.",
        ),
        Mistake(
            "not_subtracted",
            lambda probs, one_hot: one_hot + probs,
            "The gradient is right, but the value is code plus probabilities. Take the probabilities away again, in a "
            "way the gradient does not see.",
        ),
        Mistake(
            "drawn_class_only",
            lambda probs, one_hot: one_hot * probs / probs.detach(),
            "Only the drawn class gets a gradient. Straight-through sends it to *all* classes, drawn or not, as if z had been probs.",
        ),
        Mistake(
            "masked",
            lambda probs, one_hot: one_hot * probs,
            "You multiply code and probabilities: the value is the drawn class's probability, not 1. Add and subtract instead.",
        ),
    ),
    hints=(
        "Begin with one_hot + probs. Its gradient is right, but where one_hot is 1 and probs 0.2, its value is 1.2. Take the 0.2 "
        "away again, so that the gradient does not notice.",
        "x - x.detach() has the value 0 and the gradient of x.",
        "one_hot + probs - probs.detach()",
    ),
)

# --- 3.7 the bound, every z counted ----------------------------------------------------------

WITNESS_PRIOR = torch.tensor([0.5, 0.5])  # a fair coin: heads, tails
WITNESS = torch.log(torch.tensor([0.9, 0.1]))  # how likely the report "heads" is under each
WITNESS_Q = torch.tensor([[0.9, 0.1], [0.5, 0.5]])  # Bayes' answer, and someone who did not listen
URN_Q = torch.tensor([[[0.2, 0.3, 0.5], [0.6, 0.1, 0.3]]])  # (B, T, K) = (1, 2, 3)
URN_PRIOR = torch.tensor([[[0.5, 0.3, 0.2], [0.1, 0.7, 0.2]]])
URN = torch.tensor([[[-1.0, -0.2, -2.5], [0.7, -3.0, -0.4]]])  # of a density: it may lie above 0


def evidence_bound(q: Tensor, prior: Tensor, log_likelihood: Tensor) -> Tensor:
    """The evidence lower bound of each row, every class of z counted: reconstruction minus KL[q || prior].

    Args:
        q, prior: (..., K), probabilities of the classes, all above 0 (unimix sees to that).
        log_likelihood: (..., K), log p(o | z) of what was seen, for each class.

    Returns:
        (...), in nats.
    """
    return (q * (log_likelihood - torch.log(q / prior))).sum(-1)


def observe_evidence_bound(f: Callable) -> Observations:
    """The coin and its witness, and a batch of three classes."""
    return {
        "the bound of q = (0.9, 0.1) and (0.5, 0.5), prior 1/2, likelihood (0.9, 0.1)": f(
            WITNESS_Q, WITNESS_PRIOR.expand(2, -1), WITNESS.expand(2, -1)
        ),
        "the bound of a (B, T, K) batch": f(URN_Q.clone(), URN_PRIOR.clone(), URN.clone()),
    }


def expected_evidence_bound() -> Observations:
    """By another way: the exact log evidence minus KL[q || Bayes' posterior], both with every class counted, in double precision."""
    bounds = [[], []]
    for row in range(2):
        q, prior, likelihood = URN_Q[0, row].tolist(), URN_PRIOR[0, row].tolist(), URN[0, row].exp().tolist()
        evidence = sum(p * seen for p, seen in zip(prior, likelihood))
        bayes = [p * seen / evidence for p, seen in zip(prior, likelihood)]
        bounds[row] = math.log(evidence) - sum(a * math.log(a / b) for a, b in zip(q, bayes))
    return {
        "the bound of q = (0.9, 0.1) and (0.5, 0.5), prior 1/2, likelihood (0.9, 0.1)": torch.tensor([math.log(0.5), math.log(0.3)]),
        "the bound of a (B, T, K) batch": torch.tensor([bounds]),
    }


def beliefs_and_likelihoods(d: Draw, *shape: int) -> tuple[Tensor, Tensor, Tensor]:
    """q and prior, every class above 0, and the log of a density, which may lie on either side of 0."""
    return d.normal(*shape).softmax(-1).detach(), d.normal(*shape).softmax(-1).detach(), 2 * d.normal(*shape)


def bound_by_reversed_kl(q, prior, log_likelihood):
    return (q * log_likelihood - prior * torch.log(prior / q)).sum(-1)


EVIDENCE_BOUND = Exercise(
    id="3.7",
    title="The bound, every z counted",
    minutes=6,
    difficulty=2,
    importance=2,
    reference=evidence_bound,
    target=None,
    observe=observe_evidence_bound,
    expected=expected_evidence_bound,
    mistakes=(
        Mistake(
            "kl_added",
            lambda q, prior, log_likelihood: (q * (log_likelihood + torch.log(q / prior))).sum(-1),
            "You add the KL. It is a price: the bound is the reconstruction *minus* KL[q || prior].",
        ),
        Mistake(
            "kl_reversed",
            bound_by_reversed_kl,
            "Your KL is the wrong way round: in KL[q || prior] the average runs over q, and log q comes first.",
        ),
        Mistake(
            "drawn_from_the_prior",
            lambda q, prior, log_likelihood: (prior * log_likelihood - q * torch.log(q / prior)).sum(-1),
            "You average the reconstruction over the prior. While watching, z is drawn from the posterior: each class counts q times.",
        ),
        Mistake(
            "reconstruction_alone",
            lambda q, prior, log_likelihood: (q * log_likelihood).sum(-1),
            "That is the reconstruction alone. Without the KL it costs nothing to claim a z that the prior never draws.",
        ),
        Mistake(
            "evidence_itself",
            lambda q, prior, log_likelihood: torch.logsumexp(torch.log(prior) + log_likelihood, -1) + 0 * q.sum(-1),
            "That is the evidence itself, log p(o): exact, and blind to q. The bound is lower, by how far q is from Bayes' answer.",
        ),
        Mistake(
            "log_of_the_mean",
            lambda q, prior, log_likelihood: torch.log((q * log_likelihood.exp()).sum(-1)) - (q * torch.log(q / prior)).sum(-1),
            "You average the likelihoods and take the logarithm afterwards. The bound has the average of the *logarithms*.",
        ),
        Mistake(
            "entropy_forgotten",
            lambda q, prior, log_likelihood: (q * (log_likelihood + torch.log(prior))).sum(-1),
            "Half of the KL is missing: log q - log prior has two parts, and you took the prior's alone.",
        ),
        Mistake(
            "mean_over_classes",
            lambda q, prior, log_likelihood: evidence_bound(q, prior, log_likelihood) / q.shape[-1],
            "You take the mean over the classes. The weights q are the average already, as they sum to 1: add up.",
        ),
    ),
    hints=(
        "The formula stands above. With K classes, an average over z drawn from q is a sum over the last axis, each class times q.",
        "The reconstruction is (q * log_likelihood).sum(-1). The KL is (q * torch.log(q / prior)).sum(-1).",
        "(q * (log_likelihood - torch.log(q / prior))).sum(-1)",
    ),
    gradients=False,
    looks=(
        Look("4 x 5 rows of 3 classes", lambda d: beliefs_and_likelihoods(d, 4, 5, 3)),
        Look("a single row", lambda d: beliefs_and_likelihoods(d, 6)),
        Look("two classes", lambda d: beliefs_and_likelihoods(d, 7, 2)),
        Look("as many rows as classes", lambda d: beliefs_and_likelihoods(d, 3, 3)),
        Look("a very sure posterior", lambda d: (torch.tensor([[0.998, 0.001, 0.001]]), *beliefs_and_likelihoods(d, 1, 3)[1:])),
        Look("a posterior equal to the prior", lambda d: (lambda q, p, x: (q, q.clone(), x))(*beliefs_and_likelihoods(d, 4, 3))),
    ),
)

EXERCISES = [DREAM_STEP, GAUSSIAN_SAMPLE, GAUSSIAN_KL, BALANCED_KL, UNIMIX, STRAIGHT_THROUGH, EVIDENCE_BOUND]

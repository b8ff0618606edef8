"""Notebook 03: the RSSM whole."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import WorldModelConfig
from dreamer_core.latents import CategoricalLatent, GaussianLatent
from dreamer_core.rssm import RSSM, Beliefs

EMBED, ACTION, BATCH, ROWS = 7, 2, 3, 5
KINDS = ("gaussian", "categorical")


def small(made: type, kind: str = "gaussian") -> Any:
    """An RSSM of the learner's class, D = 6, Z = 4 (or 3 groups of 2), whose weights are large enough that everything shows."""
    stoch = 3 if kind == "categorical" else 4
    rssm = made(WorldModelConfig(deter=6, stoch=stoch, classes=2, units=5, latent=kind), EMBED, ACTION)
    with torch.no_grad():
        for parameter in rssm.parameters():
            parameter.normal_(std=0.7)
    return rssm


def window(rssm: Any, kind: str = "gaussian") -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """h0, embed, action, first (an episode starts in row 3 of window 1) and noise, of B = 3 windows of T = 5 rows."""
    first = torch.zeros(BATCH, ROWS)
    first[1, 3] = 1
    return (
        torch.randn(BATCH, 6),
        torch.randn(BATCH, ROWS, EMBED),
        2 * torch.rand(BATCH, ROWS, ACTION) - 1,
        first,
        GaussianLatent(4, 0.1).noise(BATCH, ROWS) if kind == "gaussian" else CategoricalLatent(3, 2, 0.01).noise(BATCH, ROWS),
    )


def sizes(kind: str) -> tuple[int, int]:
    """Z and P."""
    return (6, 6) if kind == "categorical" else (4, 8)


def check_parts(made: type) -> None:
    """Each method by itself has the right shapes, also for one row."""
    for kind in KINDS:
        rssm, (z_size, parameters) = small(made, kind), sizes(kind)
        hold(
            isinstance(rssm, nn.Module),
            "no module",
            "Your RSSM is no nn.Module: write `class RSSM(nn.Module)` and call super().__init__() first.",
        )
        hold(any(True for _ in rssm.parameters()), "no parameters", "Your RSSM has no parameters: make the layers in __init__.")
        hold(
            rssm.features == 6 + z_size,
            "features",
            f"`features` is the size D + Z of a state, here {6 + z_size}; yours is {rssm.features}.",
        )
        hold(rssm.deter == 6, "deter", "`deter` is the size D, as the configuration says: the replay buffer asks for it.")
        h, z = rssm.initial(BATCH)
        hold(not h.any() and not z.any(), "initial", "`initial` gives the state before anything was seen: zeros.")
        shaped(h, (BATCH, 6), "The h of `initial(3)`")
        shaped(z, (BATCH, z_size), "The z of `initial(3)`")
        for batch in (BATCH, 1):
            h, action = torch.randn(batch, 6), torch.rand(batch, ACTION)
            z = torch.randn(batch, z_size)
            shaped(rssm.step(h, z, action), (batch, 6), f"`step` of {batch} row(s)")
            shaped(rssm.prior(h), (batch, parameters), f"`prior` of {batch} row(s)")
            shaped(rssm.posterior(h, torch.randn(batch, EMBED)), (batch, parameters), f"`posterior` of {batch} row(s)")
        shaped(rssm.prior(torch.randn(BATCH, ROWS, 6)), (BATCH, ROWS, parameters), "`prior` of a window (B, T, D)")


def check_inputs_matter(made: type) -> None:
    """Every input of every method changes what comes out, and nothing else is random."""
    rssm = small(made)
    h, z, action, embed = torch.randn(2, 6), torch.randn(2, 4), torch.rand(2, ACTION), torch.randn(2, EMBED)
    hold(
        torch.equal(rssm.step(h, z, action), rssm.step(h, z, action)),
        "random",
        "`step` gives something else when it is called again: nothing in it is random.",
    )
    for name, changed in {"h": (h + 1, z, action), "z": (h, z + 1, action), "action": (h, z, action + 1)}.items():
        same = torch.allclose(rssm.step(h, z, action), rssm.step(*changed))
        hold(not same, f"step ignores {name}", f"`step` gives the same whatever its `{name}` is.")
    hold(
        not torch.allclose(rssm.posterior(h, embed), rssm.posterior(h + 1, embed)),
        "posterior ignores h",
        "`posterior` does not look at h: then it knows this observation alone, and no past.",
    )
    hold(
        not torch.allclose(rssm.posterior(h, embed), rssm.posterior(h, embed + 1)),
        "posterior ignores e",
        "`posterior` does not look at the embedding: then it has seen nothing, like the prior.",
    )
    hold(not torch.allclose(rssm.prior(h), rssm.prior(h + 1)), "prior ignores h", "`prior` gives the same whatever h is.")
    rows = rssm.step(h, z, action)
    agrees(rssm.step(h[:1], z[:1], action[:1]), rows[:1], "rows mix", "`step` of a row depends on the other rows of the batch.")


def check_bounded(made: type) -> None:
    """A recurrence that lives on for a thousand steps: h stays bounded."""
    rssm = small(made)
    h, _ = rssm.initial(2)
    with torch.no_grad():
        for _ in range(1000):
            h = rssm.step(h, torch.randn(2, 4), torch.rand(2, ACTION))
    hold(
        bool(h.isfinite().all()) and float(h.abs().max()) <= 1.0001,
        "unbounded",
        (
            f"After 1,000 steps h has reached {float(h.abs().max()):.3g}. A GRU cell keeps it within -1 and 1: h is a mixture "
            f"of the old h and a tanh."
        ),
    )


def check_dream(made: type) -> None:
    """A dreamed step moves h first and draws z from the prior there."""
    for kind in KINDS:
        rssm, z_size = small(made, kind), sizes(kind)[0]
        h, action = torch.randn(BATCH, 6), torch.rand(BATCH, ACTION)
        z, noise = torch.randn(BATCH, z_size), window(rssm, kind)[4][:, 0]
        gives = rssm.dream_step(h, z, action, noise)
        hold(isinstance(gives, tuple) and len(gives) == 2, "pair", "`dream_step` gives two things: the new h and the new z.")
        new_h, new_z = gives
        agrees(new_h, rssm.step(h, z, action), "dream h", "The h of `dream_step` is that of your `step`.")
        old, right = rssm.latent.sample(rssm.prior(h), noise), rssm.latent.sample(rssm.prior(new_h), noise)
        from_old = torch.equal(new_z, old) and not torch.equal(old, right)  # two classes may be the same by chance
        hold(not from_old, "old prior", "The z of `dream_step` comes from the prior of the *old* h: z_t belongs to h_t.")
        agrees(
            new_z,
            right,
            "dream z",
            "The z of `dream_step` is a sample of your prior at the new h, made with the noise that is handed in.",
        )


def unrolled(rssm: Any, h0: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor, shift: int = 1) -> Beliefs:
    """What `observe` says by definition, with the learner's own step and posterior; `shift`: how many rows ago the action left."""
    h, hs, zs, posteriors = h0 * (1 - first[:, :1]), [], [], []
    for t in range(ROWS):
        if t:
            h = rssm.step(h, zs[-1].detach(), action[:, t - shift]) * (1 - first[:, t : t + 1])
        posterior = rssm.posterior(h, embed[:, t])
        hs, zs, posteriors = [*hs, h], [*zs, rssm.latent.sample(posterior, noise[:, t])], [*posteriors, posterior]
    return Beliefs(torch.stack(hs, 1), torch.stack(zs, 1), torch.stack(posteriors, 1))


def observed(rssm: Any, *inputs: Tensor) -> Any:
    """What the learner's `observe` gives, if it has the form of beliefs."""
    beliefs = rssm.observe(*inputs)
    whole = all(hasattr(beliefs, name) for name in ("h", "z", "posterior", "features"))
    hold(whole, "no beliefs", "`observe` gives Beliefs(h, z, posterior): import it from dreamer_core.rssm.")
    return beliefs


def check_window(made: type) -> None:
    """A window of T rows gives T beliefs."""
    for kind in KINDS:
        rssm, (z_size, parameters) = small(made, kind), sizes(kind)
        inputs = window(rssm, kind)
        beliefs = observed(rssm, *inputs)
        shaped(beliefs.h, (BATCH, ROWS, 6), "The h of `observe`")
        shaped(beliefs.z, (BATCH, ROWS, z_size), "The z of `observe`")
        shaped(beliefs.posterior, (BATCH, ROWS, parameters), "The posterior of `observe`")
        one = observed(rssm, inputs[0], *(each[:, :1] for each in inputs[1:]))
        shaped(one.h, (BATCH, 1, 6), "The h of `observe` for a window of one row")


def check_time(made: type) -> None:
    """h_t comes from h, z and a of row t - 1, and z_t sees e_t."""
    for kind in KINDS:
        rssm = small(made, kind)
        h0, embed, action, first, noise = window(rssm, kind)
        first = torch.zeros_like(first)
        beliefs, wanted = observed(rssm, h0, embed, action, first, noise), unrolled(rssm, h0, embed, action, first, noise)
        late = unrolled(rssm, h0, embed, action, first, noise, shift=0)
        agrees(beliefs.h[:, 0], h0, "row 0", "Row 0 keeps the h that is handed in: nothing moves before the first observation.")
        hold(
            not torch.allclose(beliefs.h, late.h, atol=1e-5),
            "action late",
            "h_t is made with the action of row t. The action that leaves row t - 1 makes it: action[:, t - 1].",
        )
        agrees(
            beliefs.h, wanted.h, "h", "The h of `observe` is not what your own `step` gives, row by row, from h, z and a of the row before."
        )
        agrees(
            beliefs.posterior,
            wanted.posterior,
            "posterior",
            "The posterior of row t is not your own `posterior` of that row's h and embedding.",
        )
        agrees(beliefs.z, wanted.z, "z", "The z of row t is not a sample of that row's posterior, made with noise[:, t].")


def check_seam(made: type) -> None:
    """Where an episode starts, h is 0, in row 0 and in the middle."""
    rssm = small(made)
    h0, embed, action, first, noise = window(rssm)
    at_once = torch.zeros_like(first)
    at_once[2, 0] = 1
    here = observed(rssm, h0, embed, action, at_once, noise).h
    hold(not here[2, 0].any(), "seam in row 0", "An episode starts in row 0 of window 2, and the h that was handed in is still used there.")
    h = observed(rssm, h0, embed, action, first, noise).h
    hold(
        not h[1, 3].any(),
        "seam",
        "An episode starts in row 3 of window 1 (`first` is 1 there), and h is not 0: the old episode leaks into the new one.",
    )
    hold(
        bool(h[0, 3].any()) and bool(h[2, 3].any()),
        "seam of all",
        "An episode starts in one window, and h is 0 in the other windows too: `first` speaks for its own window.",
    )
    agrees(h[1, 4], unrolled(rssm, h0, embed, action, first, noise).h[1, 4], "after the seam", "After an episode's start h goes on from 0.")


def check_gradients(made: type) -> None:
    """A loss in the last row reaches row 0 through the h chain, and not through z."""
    rssm = small(made)
    h0, embed, action, _, noise = window(rssm)
    embed, h0 = embed.requires_grad_(), h0.requires_grad_()
    beliefs = observed(rssm, h0, embed, action, torch.zeros(BATCH, ROWS), noise)
    to_h0, to_embed = slope(beliefs.h[:, -1].square().sum(), h0, embed)
    hold(
        bool(to_h0.any()),
        "h cut",
        "The last row's h gives h0 no gradient: the chain of h is cut somewhere. v1 backpropagates through all of it.",
    )
    hold(
        not to_embed[:, :-1].any(),
        "z not cut",
        (
            "The last row's h gives earlier observations a gradient, and that can only come through z. v1 cuts z where it "
            "enters `step`: z.detach()."
        ),
    )
    (to_own,) = slope(beliefs.z[:, -1].square().sum(), embed)
    hold(
        bool(to_own[:, -1].any()),
        "z cut at the heads",
        "z itself carries no gradient to its own observation. Cut z only where it enters `step`: the heads train the encoder through it.",
    )


def check_noise(made: type) -> None:
    """Without noise handed in, `observe` draws its own; with it, nothing is random."""
    rssm = small(made)
    inputs = window(rssm)
    once, again = observed(rssm, *inputs), observed(rssm, *inputs)
    agrees(once.z, again.z, "own noise", "Called twice with the same noise, `observe` gives two different z.")
    torch.manual_seed(1)
    free, other = observed(rssm, *inputs[:4]), observed(rssm, *inputs[:4])
    hold(
        not torch.equal(free.z, other.z),
        "no noise",
        "Called twice without noise, `observe` gives the same z: draw it anew (`self.latent.noise(B, T)`).",
    )


def check_learns(made: type) -> None:
    """It can be trained: after 80 steps of Adam the posterior's z names what was seen two rows ago."""
    torch.manual_seed(3)
    rssm = made(WorldModelConfig(deter=16, stoch=4, units=16, latent="gaussian"), 1, 1)
    read = nn.Linear(rssm.features, 1)
    optimizer = torch.optim.Adam([*rssm.parameters(), *read.parameters()], lr=2e-2)
    error = torch.ones(())
    for _ in range(80):
        seen = torch.randn(32, 5, 1)
        beliefs = observed(rssm, torch.zeros(32, 16), seen, seen, torch.zeros(32, 5))  # the action tells what was seen, so h can know
        error = F.mse_loss(read(beliefs.features)[:, 2:], seen[:, :-2])
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    hold(
        error < 0.5,
        "does not learn",
        (
            f"Trained to remember what it was told two rows ago, its error stays at {float(error):.2f} (1 is knowing nothing). "
            f"Does `step` use what it is given?"
        ),
    )


# --- wrong on purpose ---------------------------------------------------------------------------------


class Plain(nn.Module):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, embed, action):
        super().__init__()
        gaussian = config.latent == "gaussian"
        self.latent = (
            GaussianLatent(config.stoch, config.min_std) if gaussian else CategoricalLatent(config.stoch, config.classes, config.unimix)
        )
        self.deter, units = config.deter, config.units
        self.features = config.deter + self.latent.size
        self.inwards = nn.Linear(self.latent.size + action, units)
        self.gru = nn.GRUCell(units, config.deter)
        self.before = nn.Sequential(nn.Linear(config.deter, units), nn.SiLU(), nn.Linear(units, self.latent.params))
        self.after = nn.Sequential(nn.Linear(config.deter + embed, units), nn.SiLU(), nn.Linear(units, self.latent.params))

    def initial(self, batch):
        return torch.zeros(batch, self.deter), torch.zeros(batch, self.latent.size)

    def step(self, h, z, action):
        return self.gru(F.silu(self.inwards(torch.cat([z, action], -1))), h)

    def prior(self, h):
        return self.before(h)

    def posterior(self, h, embed):
        return self.after(torch.cat([h, embed], -1))

    def dream_step(self, h, z, action, noise):
        h = self.step(h, z, action)
        return h, self.latent.sample(self.prior(h), noise)

    def cut(self, z):
        return z.detach()

    def given(self, z):
        return z

    def leaving(self, action, t):
        return action[:, t - 1]

    def forget(self, h, first, t):
        return h * (1 - first[:, t, None])

    def observe(self, h0, embed, action, first, noise=None):
        if noise is None:
            noise = self.latent.noise(*embed.shape[:2])
        h, hs, zs, posteriors = self.forget(h0, first, 0), [], [], []
        for t in range(embed.shape[1]):
            if t > 0:
                h = self.forget(self.step(h, self.cut(zs[-1]), self.leaving(action, t)), first, t)
            posteriors.append(self.posterior(h, embed[:, t]))
            zs.append(self.latent.sample(posteriors[-1], noise[:, t]))
            hs.append(h)
        return Beliefs(torch.stack(hs, 1), self.given(torch.stack(zs, 1)), torch.stack(posteriors, 1))


class GradientThroughZ(Plain):
    def cut(self, z):
        return z


class ZCutAtTheHeads(Plain):
    def given(self, z):
        return z.detach()


class ActionOfThisRow(Plain):
    def leaving(self, action, t):
        return action[:, t]


class FirstIgnored(Plain):
    def forget(self, h, first, t):
        return h


class FirstOfTheWindowAlone(Plain):
    def forget(self, h, first, t):
        return h * (1 - first[:, t, None]) if t == 0 else h


class HCut(Plain):
    def forget(self, h, first, t):
        return (h * (1 - first[:, t, None])).detach()


class OldPrior(Plain):
    def dream_step(self, h, z, action, noise):
        return self.step(h, z, action), self.latent.sample(self.prior(h), noise)


class BlindPosterior(Plain):
    def posterior(self, h, embed):
        return self.after(torch.cat([h, 0 * embed], -1))


class NoPast(Plain):
    def posterior(self, h, embed):
        return self.after(torch.cat([0 * h, embed], -1))


RSSM_WHOLE = Build(
    id="3.A",
    title="The RSSM",
    minutes=60,
    difficulty=2,
    importance=3,
    reference=RSSM,
    target="dreamer_core.rssm:RSSM",
    suits=lambda config, embed, action: config.norm == "none" and config.recurrence == "gru" and config.detach_z,
    properties=(
        Property(
            "shapes",
            "Each method gives what the table says, for both kinds of z.",
            check_parts,
            ("initial", "step", "prior", "posterior", "features", "latent", "deter"),
        ),
        Property("inputs", "Every input counts, and no row looks at another.", check_inputs_matter, ("step", "prior", "posterior")),
        Property("bounds", "h stays within -1 and 1.", check_bounded, ("initial", "step")),
        Property("dream", "A dreamed step moves h first and asks the prior there.", check_dream, ("step", "prior", "dream_step")),
        Property("window", "A window of T rows gives T beliefs.", check_window, ("observe",)),
        Property(
            "time",
            "Row t is made of row t - 1's h, z and action, and of its own observation.",
            check_time,
            ("step", "posterior", "observe"),
        ),
        Property("seam", "Where an episode starts, h is 0.", check_seam, ("step", "posterior", "observe")),
        Property("gradients", "They run along h and not through z.", check_gradients, ("observe",)),
        Property("noise", "It is drawn where none is given, and used where one is.", check_noise, ("observe",)),
        Property("learning", "It learns to remember.", check_learns, ("observe", "features")),
    ),
    hints=(
        (
            "Begin with __init__ and the three methods without time: `step`, `prior`, `posterior`. Each is one or two layers. "
            "Run the cell: the list says which properties hold, and the others wait."
        ),
        (
            "`step` is a linear layer with SiLU on (z, a), then nn.GRUCell. `prior` reads h, `posterior` reads (h, e); both "
            "end in a linear layer with `self.latent.params` outputs. `self.latent` is GaussianLatent(config.stoch, "
            "config.min_std) or CategoricalLatent(config.stoch, config.classes, config.unimix)."
        ),
        (
            "`observe`: h = h0 * (1 - first of row 0). In each row: if it is not row 0, h = step(h, z of the row before, "
            "detached; action of the row before) * (1 - first of this row). Then the posterior, then z = "
            "self.latent.sample(posterior, noise of this row). Keep all three in lists and stack them along axis 1."
        ),
    ),
    mistakes=(
        Mistake(
            "gradient_through_z",
            GradientThroughZ,
            "z carries a gradient into `step`. v1 cuts it there (z.detach()), so that a later loss reaches an earlier row through h alone.",
        ),
        Mistake(
            "z_cut_at_the_heads",
            ZCutAtTheHeads,
            (
                "z is cut for everybody. Cut it only where it enters `step`; in the beliefs it keeps its gradient, since the "
                "heads train the encoder through it."
            ),
        ),
        Mistake(
            "action_of_this_row",
            ActionOfThisRow,
            "h_t is made with the action that leaves row t. It is the action that left row t - 1 that has led here.",
        ),
        Mistake(
            "first_ignored", FirstIgnored, "`first` plays no part. Where it is 1, an episode starts: h is 0 there, whatever came before."
        ),
        Mistake(
            "first_of_the_window_alone",
            FirstOfTheWindowAlone,
            "`first` counts in row 0 alone. A window may cross into the next episode: look at it in every row.",
        ),
        Mistake("h_cut", HCut, "h is cut between rows. It is z that v1 cuts; along h the gradient runs through the whole window."),
        Mistake("old_prior", OldPrior, "The dream's z comes from the prior of the old h. Move h first, then ask the prior there."),
        Mistake("blind_posterior", BlindPosterior, "Your posterior does not see the observation, so it is another prior."),
        Mistake("no_past", NoPast, "Your posterior does not see h, so it knows nothing of the past."),
    ),
)

BUILDS = [RSSM_WHOLE]

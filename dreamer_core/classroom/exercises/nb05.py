"""Exercises of notebook 05: the loss, its units, the unroll, the optimiser, the probe."""

import math

import numpy as np
import torch
from torch import Tensor

from dreamer_core import nets, world_model
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, gradient
from dreamer_core.config import WorldModelConfig
from dreamer_core.rssm import RSSM, Beliefs
from dreamer_core.viz import latent_map

# --- 5.1 half the squared error ---------------------------------------------------------------


def observe_squared_error(f):
    """One row by hand, a batch of windows, and the gradient."""
    prediction, target = torch.tensor([1.0, 2.0, 7.0], requires_grad=True), torch.tensor([1.0, 4.0, 3.0])
    one = f(prediction, target)
    many = f(torch.arange(12.0).reshape(2, 2, 3), torch.zeros(2, 2, 3))
    return {
        "the error of (1, 2, 7) against (1, 4, 3)": one.detach(),
        "the gradient at that prediction": gradient(one, prediction),
        "the errors of 2 windows of 2 rows": many,
    }


def expect_squared_error():
    """0.5 (0 + 4 + 16) = 10; prediction - target; 0.5 (0 + 1 + 4) and so on."""
    return {
        "the error of (1, 2, 7) against (1, 4, 3)": torch.tensor(10.0),
        "the gradient at that prediction": torch.tensor([0.0, -2.0, 4.0]),
        "the errors of 2 windows of 2 rows": torch.tensor([[2.5, 25.0], [74.5, 151.0]]),
    }


SQUARED_ERROR = Exercise(
    id="5.1",
    title="Half the squared error, summed",
    minutes=3,
    difficulty=1,
    importance=3,
    reference=nets.squared_error,
    target="dreamer_core.nets:squared_error",
    observe=observe_squared_error,
    expected=expect_squared_error,
    looks=(
        Look("4 x 5 rows of 3 numbers", lambda d: (d.normal(4, 5, 3), d.normal(4, 5, 3))),
        Look("6 rows of 2 numbers", lambda d: (d.normal(6, 2), d.normal(6, 2))),
        Look("a single observation of 7 numbers", lambda d: (d.normal(7), d.normal(7))),
        Look("observations of one number", lambda d: (d.normal(5, 1), d.normal(5, 1))),
        Look("large misses", lambda d: (50 * d.normal(3, 4), d.normal(3, 4))),
    ),
    mistakes=(
        Mistake("mean", lambda p, t: 0.5 * (p - t).square().mean(-1), "You took the mean over the entries, where the sum is asked for."),
        Mistake("no_half", lambda p, t: (p - t).square().sum(-1), "The factor one half is missing: everything is twice too large."),
        Mistake(
            "over_the_batch",
            lambda p, t: 0.5 * (p - t).square().sum(),
            "You summed over all axes. Only the last one, the entries of one observation, is summed: every row keeps a loss of its own.",
        ),
        Mistake("half_squared", lambda p, t: (0.5 * (p - t)).square().sum(-1), "The half is squared too: take it after the square."),
        Mistake("absolute", lambda p, t: 0.5 * (p - t).abs().sum(-1), "The differences are not squared: this is an absolute error."),
        Mistake("root", lambda p, t: 0.5 * (p - t).norm(dim=-1), "You took the length of the difference: there is a square root too much."),
    ),
    hints=(
        "(1, 2, 7) against (1, 4, 3): the differences are 0, -2, 4, their squares 0, 4, 16, and half the sum is 10.",
        "`.square()`, then `.sum(...)` over one axis only. Leading axes (batch, time) stay.",
        "0.5 * (prediction - target).square().sum(-1)",
    ),
)

# --- 5.2 one loss -----------------------------------------------------------------------------


def with_a_mean(d: Draw) -> tuple:
    """Rows of which one part, any, is a mean already."""
    rows = rows_of(d, 4, 3)
    return rows | {list(rows)[int(d.integers(0, len(rows), 1))]: d.normal()}, {"reward": 0.4}


def observe_one_loss(f):
    """Three parts of 2 x 2 rows, two of them weighted, and a part that is a mean already."""
    error = torch.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    reward, kl = torch.tensor([[0.0, 4.0], [4.0, 0.0]]), torch.tensor([[10.0, 30.0], [20.0, 20.0]], requires_grad=True)
    losses = f({"observation": error, "reward": reward, "kl": kl, "continue": torch.tensor(0.5)}, {"kl": 0.1, "reward": 3.0})
    to_error, to_kl = gradient(losses["total"], error, kl)
    return {f"losses[{name!r}]": value.detach() for name, value in losses.items()} | {
        "the gradient of the total at the observation's part": to_error,
        "the gradient of the total at the KL": to_kl,
    }


def expect_one_loss():
    """Means 3, 2, 20, 0.5; weights 1, 3, 0.1, 1; their sum 3 + 6 + 2 + 0.5."""
    return {
        "losses['observation']": torch.tensor(3.0),
        "losses['reward']": torch.tensor(6.0),
        "losses['kl']": torch.tensor(2.0),
        "losses['continue']": torch.tensor(0.5),
        "losses['total']": torch.tensor(11.5),
        "the gradient of the total at the observation's part": torch.full((2, 2), 0.25),
        "the gradient of the total at the KL": torch.full((2, 2), 0.025),
    }


def combine(mean=Tensor.mean, weigh=lambda weight, value: weight * value, total=sum):
    """A maker of wrong answers: each differs from the right one in one of three places."""

    def wrong(rows, weights):
        losses = {name: weigh(weights.get(name, 1.0), mean(values)) for name, values in rows.items()}
        return losses | {"total": total(losses.values())}

    return wrong


def total_unweighted(rows, weights):
    """The parts are weighted, their sum is not."""
    means = {name: values.mean() for name, values in rows.items()}
    return {name: weights.get(name, 1.0) * value for name, value in means.items()} | {"total": sum(means.values())}


def parts_unweighted(rows, weights):
    """The sum is weighted, its parts are not."""
    means = {name: values.mean() for name, values in rows.items()}
    return means | {"total": sum(weights.get(name, 1.0) * value for name, value in means.items())}


def weights_missing_are_zero(rows, weights):
    """A part without a weight is dropped."""
    losses = {name: weights.get(name, 0.0) * values.mean() for name, values in rows.items()}
    return losses | {"total": sum(losses.values())}


def rows_of(d: Draw, batch: int, length: int) -> dict[str, Tensor]:
    """Three named parts of a loss, a number for each row."""
    return {name: d.normal(batch, length) for name in ("kl", "reward", "cont")}


ONE_LOSS = Exercise(
    id="5.2",
    title="One loss that shows its parts",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=world_model.one_loss,
    target="dreamer_core.world_model:one_loss",
    observe=observe_one_loss,
    expected=expect_one_loss,
    looks=(
        Look("three parts, two of them weighted", lambda d: (rows_of(d, 4, 5), {"kl": 0.3, "reward": 2.5})),
        Look("no weights", lambda d: (rows_of(d, 3, 7), {})),
        Look("a weight of 0", lambda d: (rows_of(d, 2, 6), {"kl": 0.0, "cont": 1.5})),
        Look("weights for names that are not there", lambda d: (rows_of(d, 5, 3), {"kl": 0.7, "other": 9.0})),
        Look("negative and whole-number weights", lambda d: (rows_of(d, 3, 4), {"kl": -2, "cont": 3})),
        Look("a part that is a mean already", with_a_mean, draws=3),
        Look("a single part", lambda d: ({"kl": d.normal(3, 5)}, {"kl": 0.6})),
    ),
    mistakes=(
        Mistake("sum_over_rows", combine(mean=Tensor.sum), "You summed over the rows: a larger batch would then mean larger steps."),
        Mistake("no_weights", combine(weigh=lambda weight, value: value), "The weights are not used at all."),
        Mistake("total_unweighted", total_unweighted, "The parts are weighted, but the total adds up the parts before their weights."),
        Mistake("parts_unweighted", parts_unweighted, "The total is right, but the parts stand there without their weights."),
        Mistake(
            "no_default",
            lambda rows, weights: {name: weights[name] * values.mean() for name, values in rows.items()},
            "`weights[name]` fails where `weights` does not hold the name. Such a part has the weight 1: `weights.get(name, 1.0)`.",
        ),
        Mistake(
            "missing_is_zero",
            weights_missing_are_zero,
            "A part that `weights` does not name is lost. It counts as it is, with the weight 1.",
        ),
        Mistake(
            "mean_of_parts",
            combine(total=lambda values: torch.stack(list(values)).mean()),
            "The total is the mean of the parts, where their sum is asked for.",
        ),
        Mistake(
            "detached",
            combine(mean=lambda values: values.detach().mean()),
            "The numbers are right, but no gradient reaches the parts (a `.detach()`, `.item()` or `float()`?): nothing would be trained.",
        ),
    ),
    hints=(
        "A part with a mean of 2 and a weight of 3 becomes 6; with no weight it stays 2. When all parts are there, add them up.",
        "`weights.get(name, 1.0)` is the weight, or 1 where none is given. `.mean()` without an axis averages over all rows.",
        'losses = {name: weights.get(name, 1.0) * values.mean() for name, values in rows.items()}; then add "total": sum(losses.values())',
    ),
)

# --- 5.3 units --------------------------------------------------------------------------------


def observe_units(f):
    """Four rows with a large and a small entry and a constant one, and an entry that only changes by rounding."""
    rows = torch.tensor([[0.0, 0.0, 2.0], [1.0, 0.1, 2.0], [2.0, 0.2, 2.0], [5.0, 0.5, 2.0]])
    centre, unit = f(rows)
    _, still = f(torch.tensor([[1.0, 0.0], [1.0 + 1.2e-7, 1.0]] * 50))
    return {
        "the centre of 4 rows": centre,
        "the first two units of 4 rows": unit[:2],
        "what a step of 0.001 of a constant entry counts": 0.001 / unit[2],
        "the unit of an entry that changes by rounding alone": still[0],
    }


def expect_units():
    """(0, 1, 2, 5): mean 2, squares 4 + 1 + 0 + 9 = 14 over 4 - 1; a tenth of that; and two entries that never change."""
    return {
        "the centre of 4 rows": torch.tensor([2.0, 0.2, 2.0]),
        "the first two units of 4 rows": torch.tensor([math.sqrt(14 / 3), math.sqrt(14 / 3) / 10]),
        "what a step of 0.001 of a constant entry counts": torch.tensor(0.001),
        "the unit of an entry that changes by rounding alone": torch.tensor(1.0),
    }


def keep_still(rows, unit):
    """The centre, and the unit with 1 where it is 0 up to rounding."""
    return rows.mean(0), torch.where(rows.std(0) > 1e-6, unit, torch.ones_like(unit))


UNITS = Exercise(
    id="5.3",
    title="The units of an observation",
    minutes=5,
    difficulty=2,
    importance=2,
    reference=world_model.observation_units,
    target="dreamer_core.world_model:observation_units",
    observe=observe_units,
    expected=expect_units,
    gradients=False,
    looks=(
        Look("40 rows of 3 entries", lambda d: (d.normal(40, 3) * torch.tensor([0.05, 1.0, 30.0]) + torch.tensor([2.0, 0.0, -7.0]),)),
        Look("two rows", lambda d: (d.normal(2, 4),)),
        Look("one entry", lambda d: (d.normal(9, 1, std=5.0),)),
        Look(
            "an entry that never changes",
            lambda d: (d.normal(12, 4) * torch.tensor([1.0, 0.0, 3.0, 0.0]) + torch.tensor([0.0, 4.0, 1.0, 0.0]),),
        ),
        Look("only entries that never change", lambda d: (torch.ones(8, 3) * d.normal(3),)),
        Look("an entry that moves by little, far from 0", lambda d: (0.3 * d.normal(30, 2) + torch.tensor([300.0, 0.0]),)),
        Look("an entry that moves by a ten-thousandth", lambda d: (d.normal(15, 2) * torch.tensor([1e-4, 1.0]),)),
    ),
    mistakes=(
        Mistake(
            "zero_unit",
            lambda rows: (rows.mean(0), rows.std(0)),
            "An entry that never changes gets the unit 0 or a rounding error, and dividing by that gives infinity. Its unit is 1.",
        ),
        Mistake(
            "small_unit",
            lambda rows: (rows.mean(0), rows.std(0) + 1e-6),
            "A small number added to the unit, or as its lower bound, avoids the division by 0, but an entry that never changed is then "
            "blown up a million times on the day it does change. Its unit is 1.",
        ),
        Mistake(
            "never_below_1",
            lambda rows: (rows.mean(0), rows.std(0).clamp(min=1.0)),
            "Every unit below 1 became 1, so an entry that moves little is lost beside the others. Only an entry that never moves gets 1.",
        ),
        Mistake(
            "exactly_zero",
            lambda rows: (rows.mean(0), torch.where(rows.std(0) == 0, 1.0, rows.std(0))),
            "You compare with 0 exactly. The standard deviation of a constant is often not 0 but a rounding error: compare with 1e-6.",
        ),
        Mistake("variance", lambda rows: keep_still(rows, rows.var(0)), "This is the variance: a unit is its square root."),
        Mistake(
            "one_unit_for_all",
            lambda rows: keep_still(rows, rows.std().expand(rows.shape[1])),
            "All entries share one unit. The point is that each entry gets its own: reduce over the rows, axis 0, alone.",
        ),
        Mistake(
            "turned_round",
            lambda rows: (rows.mean(0), torch.where(rows.std(0) < 1e-6, rows.std(0), 1.0)),
            "Turned round: entries that move get 1, still ones their rounding error. It is `torch.where(condition, if_true, if_not)`.",
        ),
        Mistake(
            "population",
            lambda rows: keep_still(rows, rows.std(0, correction=0)),
            "You divide by the number of rows R. Over hundreds of rows it is all the same, but here torch's default, R - 1, is asked for.",
        ),
    ),
    hints=(
        "Reduce over the rows (axis 0), so that both results have the shape (O,).",
        "`rows.std(0)` for the unit. Then: where is it too small to be anything but rounding?",
        "std = rows.std(0); return rows.mean(0), torch.where(std > 1e-6, std, 1.0)",
    ),
)

# --- 5.4 the unroll ---------------------------------------------------------------------------


class Adding:
    """A latent whose parameters are the number itself: z = parameter + noise."""

    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        return params + noise


class CountingRSSM(RSSM):
    """An RSSM of single numbers that can be unrolled on paper: h' = h / 2 + z + 10 a, posterior = h + e, z = posterior + noise."""

    def __init__(self, detach_z: bool) -> None:
        super().__init__(WorldModelConfig(deter=1, stoch=1, units=1, detach_z=detach_z), embed=1, action=1)
        self.latent = Adding()

    def step(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        return h / 2 + z + 10 * action

    def posterior(self, h: Tensor, embed: Tensor) -> Tensor:
        return h + embed


def counting_inputs():
    """h1, embed, action, first, noise for three windows of three rows: plain, opening an episode, with a seam at row 2."""
    h1 = torch.tensor([[2.0], [7.0], [4.0]], requires_grad=True)
    embed = torch.tensor([1.0, 2.0, 3.0]).expand(3, 3)[..., None].clone().requires_grad_()
    action, noise = (
        torch.tensor([1.0, 2.0, 9.0]).expand(3, 3)[..., None].clone(),
        torch.tensor([0.1, 0.2, 0.3]).expand(3, 3)[..., None].clone(),
    )
    first = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return h1, embed, action, first, noise


def observe_unroll(f):
    """All states of the three windows, and which gradients arrive, with z cut and not cut."""
    seen = {}
    for cut in (True, False):
        h1, embed, action, first, noise = counting_inputs()
        beliefs = f(CountingRSSM(cut), h1, embed, action, first, noise)
        if cut:
            windows = (
                "a plain window",
                "a window that opens an episode (first_0 = 1)",
                "a window with an episode's start at row 2 (first_2 = 1)",
            )
            for number, name in enumerate(windows):
                seen |= {f"{part} of {name}": getattr(beliefs, part)[number, :, 0].detach() for part in ("h", "posterior", "z")}
        to_h1, to_embed = gradient(beliefs.z[0, 2].sum(), h1, embed)
        name = "z cut" if cut else "detach_z off"
        seen |= {
            f"d z_2 / d e_2, within one row, with {name}": to_embed[0, 2, 0],
            f"d z_2 / d h_0 with {name}": to_h1[0, 0],
            f"d z_2 / d (e_0, e_1) with {name}": to_embed[0, :2, 0],
        }
    h1, embed, action, first, noise = (part[:, :1] if part.shape[1:2] == (3,) else part for part in counting_inputs())
    seen["z of a window of one row"] = f(CountingRSSM(True), h1, embed, action, first, noise).z[:, 0, 0].detach()
    return seen


def expect_unroll():
    """On paper. Plain: h 2, z 2 + 1 + .1; h 1 + 3.1 + 10 = 14.1, z 14.1 + 2 + .2; h 7.05 + 16.3 + 20 = 43.35, z 43.35 + 3 + .3.

    Gradients of z_2 = h_2 + e_2 + n: with z cut, h_2 knows h_0 through two halves. Not cut, h_1 = h_0 / 2 + z_0
    has slope 1.5 in h_0, and z_1 = h_1 + e_1, so h_2 = h_1 / 2 + z_1 = 1.5 h_1 + e_1: 1.5 * 1.5, 1.5 for e_0, 1 for e_1.
    """
    values = {
        "a plain window": ([2.0, 14.1, 43.35], [3.0, 16.1, 46.35], [3.1, 16.3, 46.65]),
        "a window that opens an episode (first_0 = 1)": ([0.0, 11.1, 38.85], [1.0, 13.1, 41.85], [1.1, 13.3, 42.15]),
        "a window with an episode's start at row 2 (first_2 = 1)": ([4.0, 17.1, 0.0], [5.0, 19.1, 3.0], [5.1, 19.3, 3.3]),
    }
    truth = {f"{part} of {name}": torch.tensor(row) for name, rows in values.items() for part, row in zip(("h", "posterior", "z"), rows)}
    return truth | {
        "d z_2 / d e_2, within one row, with z cut": torch.tensor(1.0),
        "d z_2 / d h_0 with z cut": torch.tensor(0.25),
        "d z_2 / d (e_0, e_1) with z cut": torch.tensor([0.0, 0.0]),
        "d z_2 / d e_2, within one row, with detach_z off": torch.tensor(1.0),
        "d z_2 / d h_0 with detach_z off": torch.tensor(2.25),
        "d z_2 / d (e_0, e_1) with detach_z off": torch.tensor([1.5, 1.0]),
        "z of a window of one row": torch.tensor([3.1, 1.1, 5.1]),
    }


def unroll(
    enter=lambda rssm, z: z.detach() if rssm.config.detach_z else z,
    carry=lambda h: h,
    lag=1,
    reset=lambda h, keep: h * keep,
    before=lambda h, keep: h,
    late=False,
    kept=lambda rssm, z: z,
):
    """A maker of wrong answers: the plain loop with one of its places changed."""

    def wrong(rssm, h1, embed, action, first, noise):
        keep = 1 - first.unsqueeze(-1)
        h = before(reset(h1, keep[:, 0]), keep[:, 0])
        hs, zs, posteriors = [], [], []
        for t in range(embed.shape[1]):
            old = h
            if t > 0:
                h = reset(rssm.step(before(carry(h), keep[:, t]), enter(rssm, zs[-1]), action[:, t - lag]), keep[:, t])
            posteriors.append(rssm.posterior(old if late else h, embed[:, t]))
            hs.append(h)
            zs.append(kept(rssm, rssm.latent.sample(posteriors[-1], noise[:, t])))
        return Beliefs(torch.stack(hs, 1), torch.stack(zs, 1), torch.stack(posteriors, 1))

    return wrong


def unrolling(
    d: Draw, batch: int, length: int, detach_z: bool = True, kind: str = "gaussian", first: tuple[int, ...] | None = None
) -> tuple:
    """Arguments with D = 6, Z = 4 (or two groups of two), A = 2 and an embedding of 5; episodes start in the rows named, or anywhere."""
    with torch.random.fork_rng(devices=[]):
        stoch = 2 if kind == "categorical" else 4
        rssm = RSSM(WorldModelConfig(deter=6, stoch=stoch, classes=2, units=5, latent=kind, detach_z=detach_z), embed=5, action=2)
    with torch.no_grad():
        for parameter in rssm.parameters():
            parameter.copy_(d.normal(*parameter.shape, std=0.7))
    starts = d.mask(batch, length)
    if first is not None:
        starts = torch.zeros(batch, length)
        starts[:, list(first)] = 1.0
    noise = d.normal(batch, length, 2, 2) if kind == "categorical" else d.normal(batch, length, 4)
    return rssm, d.normal(batch, 6), d.normal(batch, length, 5), d.uniform(-1, 1, batch, length, 2), d.data(starts), d.data(noise)


UNROLL = Exercise(
    id="5.4",
    title="The unroll: full BPTT, z cut",
    minutes=15,
    difficulty=3,
    importance=3,
    reference=RSSM.observe_plain,
    target="dreamer_core.rssm:RSSM.observe_plain",
    observe=observe_unroll,
    expected=expect_unroll,
    looks=(
        Look("3 windows of 5 rows", lambda d: unrolling(d, 3, 5)),
        Look("7 windows of 4 rows", lambda d: unrolling(d, 7, 4)),
        Look("z that is not cut", lambda d: unrolling(d, 2, 4, detach_z=False)),
        Look("z in groups of classes", lambda d: unrolling(d, 2, 4, kind="categorical")),
        Look("a single window of one row", lambda d: unrolling(d, 1, 1)),
        Look("an episode that starts in the first row", lambda d: unrolling(d, 2, 3, first=(0,))),
        Look("an episode that starts in the last row", lambda d: unrolling(d, 2, 3, first=(2,))),
        Look("episodes that start in every row", lambda d: unrolling(d, 2, 3, first=(0, 1, 2))),
        Look("no start of an episode", lambda d: unrolling(d, 2, 3, first=())),
        Look("a window of 19 rows", lambda d: unrolling(d, 2, 19, first=(6,)), draws=1),
    ),
    mistakes=(
        Mistake(
            "z_not_cut",
            unroll(enter=lambda rssm, z: z),
            "The gradient still passes through z into earlier rows. v1 detaches z where it enters `rssm.step`, "
            "if `rssm.config.detach_z` is on.",
        ),
        Mistake(
            "always_cut",
            unroll(enter=lambda rssm, z: z.detach()),
            "z is cut even where `rssm.config.detach_z` is off. Look at the switch, so that your loop serves both agents.",
        ),
        Mistake(
            "h_cut",
            unroll(carry=lambda h: h.detach()),
            "h is detached between rows: this is backpropagation through one step. In v1 the h chain keeps its graph from the last row "
            "back to the first.",
        ),
        Mistake(
            "z_cut_at_birth",
            unroll(kept=lambda rssm, z: z.detach() if rssm.config.detach_z else z),
            "z is detached where it is made, so not even its own row's heads can train the encoder. "
            "Detach it only where it enters the next row.",
        ),
        Mistake(
            "own_action",
            unroll(lag=0),
            "h_t was made with a_t. The action that leads into row t left row t - 1: `action[:, t - 1]`.",
        ),
        Mistake(
            "first_ignored",
            unroll(reset=lambda h, keep: h),
            "`first` is not used: h is to be 0 where an episode starts, also in the first row of the window.",
        ),
        Mistake(
            "reset_too_early",
            unroll(reset=lambda h, keep: h, before=lambda h, keep: h * keep),
            "h is put to 0 before the step, so z and a of the old episode leak into the new one. Multiply after the step.",
        ),
        Mistake(
            "posterior_of_the_old_h",
            unroll(late=True),
            "The posterior was asked about the h of the row before. First make h_t, then ask `rssm.posterior(h_t, e_t)`.",
        ),
    ),
    hints=(
        "On paper, with no noise and no `first`: h_0 = 2 and e_0 = 1 give the posterior 3, so z_0 = 3. With a_0 = 0.5, "
        "h_1 = 2 / 2 + 3 + 10 * 0.5 = 9; with e_1 = 2, z_1 = 11. Write the loop that does this, then `first`, then the cut.",
        "The z that you return keeps its gradient: detach only what goes into `rssm.step`. And `1 - first[:, t]` has the shape (B,): "
        "with `[:, None]` behind it, it fits h (B, D).",
        "Keep three lists. In the loop: if t > 0: z_in = zs[-1].detach() if rssm.config.detach_z else zs[-1]; "
        "h = rssm.step(h, z_in, action[:, t - 1]) * keep[:, t], with keep = 1 - first.unsqueeze(-1). "
        "At the end Beliefs(torch.stack(hs, 1), ...).",
    ),
    plain_loop=True,
)

# --- 5.5 clipping -----------------------------------------------------------------------------


def clip_by_norm(gradients: list[Tensor], limit: float) -> list[Tensor]:
    """Gradients of all tensors, scaled together so that the length of the whole is at most `limit`; shorter ones stay."""
    norm = torch.sqrt(sum(gradient.square().sum() for gradient in gradients))
    return [gradient * torch.clamp(limit / norm, max=1.0) for gradient in gradients]


def observe_clip(f):
    """(3, 4) and 12 have the length 13 together."""
    long = f([torch.tensor([3.0, 4.0]), torch.tensor([[12.0]])], 3.25)
    short = f([torch.tensor([3.0, 4.0]), torch.tensor([[12.0]])], 20.0)
    return {
        "the first tensor of (3, 4), (12) with limit 3.25": long[0],
        "the second tensor of (3, 4), (12) with limit 3.25": long[1],
        "the first tensor of (3, 4), (12) with limit 20": short[0],
        "the second tensor of (3, 4), (12) with limit 20": short[1],
    }


def expect_clip():
    """A quarter of everything; and nothing changed."""
    return {
        "the first tensor of (3, 4), (12) with limit 3.25": torch.tensor([0.75, 1.0]),
        "the second tensor of (3, 4), (12) with limit 3.25": torch.tensor([[3.0]]),
        "the first tensor of (3, 4), (12) with limit 20": torch.tensor([3.0, 4.0]),
        "the second tensor of (3, 4), (12) with limit 20": torch.tensor([[12.0]]),
    }


def whole(gradients: list[Tensor]) -> Tensor:
    """All entries in one row."""
    return torch.cat([gradient.flatten() for gradient in gradients])


CLIP = Exercise(
    id="5.5",
    title="Clipping by the global norm",
    minutes=5,
    difficulty=2,
    importance=2,
    reference=clip_by_norm,
    target=None,
    observe=observe_clip,
    expected=expect_clip,
    gradients=False,
    looks=(
        Look("three gradients, longer than the limit", lambda d: ([d.normal(4, 3), d.normal(5), d.normal(2, 2, 2)], 1.3)),
        Look("three gradients, shorter than the limit", lambda d: ([d.normal(4, 3), d.normal(5), d.normal(2, 2, 2)], 90.0)),
        Look("a single gradient", lambda d: ([d.normal(6)], 0.5)),
        Look(
            "gradients of which each is shorter than the limit, and all together longer", lambda d: ([d.normal(2) for _ in range(9)], 2.9)
        ),
        Look("a limit of 0", lambda d: ([d.normal(3), d.normal(2, 4)], 0.0)),
        Look("gradients of very different size", lambda d: ([100 * d.normal(3), 0.01 * d.normal(4)], 5.0)),
        Look("gradients of 0", lambda d: ([torch.zeros(3), torch.zeros(2, 2)], 0.7), draws=1),
        Look("gradients exactly as long as the limit", lambda d: ([torch.tensor([3.0]), torch.tensor([0.0, 4.0])], 5.0), draws=1),
    ),
    mistakes=(
        Mistake(
            "each_tensor",
            lambda gradients, limit: [clip_by_norm([gradient], limit)[0] for gradient in gradients],
            "Each tensor was clipped by its own length, which turns the direction of the step. One length, over all tensors together.",
        ),
        Mistake(
            "each_entry",
            lambda gradients, limit: [gradient.clamp(-limit, limit) for gradient in gradients],
            "Single entries were cut off (clipping by value), which turns the direction of the step. Scale everything by one factor.",
        ),
        Mistake(
            "always_scaled",
            lambda gradients, limit: [gradient * (limit / whole(gradients).norm()) for gradient in gradients],
            "Short gradients were stretched to the limit. The factor is at most 1: what is short enough stays as it is.",
        ),
        Mistake(
            "sum_of_lengths",
            lambda gradients, limit: [gradient * min(1.0, limit / float(sum(g.norm() for g in gradients))) for gradient in gradients],
            "You added up the lengths of the tensors. Add up their squares, and take the root at the end.",
        ),
        Mistake(
            "no_root",
            lambda gradients, limit: [gradient * min(1.0, limit / float(whole(gradients).square().sum())) for gradient in gradients],
            "A square root is missing: the length is the root of the sum of all squares.",
        ),
        Mistake(
            "upside_down",
            lambda gradients, limit: [gradient * max(1.0, float(whole(gradients).norm()) / limit) for gradient in gradients],
            "The factor is upside down: long gradients got longer.",
        ),
    ),
    hints=(
        "The length of all gradients together: that of (3, 4) and (12) is 13, the root of 9 + 16 + 144.",
        "One factor for all tensors: limit / length, but never more than 1.",
        "norm = torch.sqrt(sum(g.square().sum() for g in gradients)); then g * torch.clamp(limit / norm, max=1.0) for each g",
    ),
)

# --- 5.6 R squared ----------------------------------------------------------------------------


def observe_r_squared(f):
    """Small cases whose answer is a fraction."""
    truth = np.array([0.0, 1.0, 2.0])
    pair = np.stack([truth, 10 * truth], 1)
    return {
        "R^2 of (0, 1, 3) against (0, 1, 2)": f(np.array([0.0, 1.0, 3.0]), truth),
        "R^2 of the truth turned round": f(2 - truth, truth),
        "R^2 of the truth plus 1": f(truth + 1, truth),
        "R^2 of two columns, one number wrong by 1": f(pair + np.array([[0, 0], [0, 0], [0, 1.0]]), pair),
    }


def expect_r_squared():
    """The variance of (0, 1, 2) adds up to 2, of ten times that to 200."""
    return {
        "R^2 of (0, 1, 3) against (0, 1, 2)": 1 - 1 / 2,
        "R^2 of the truth turned round": 1 - 8 / 2,
        "R^2 of the truth plus 1": 1 - 3 / 2,
        "R^2 of two columns, one number wrong by 1": 1 - 1 / 202,
    }


def squares(x) -> float:
    return float(np.square(x).sum())


def probed(d: Draw, rows: int, entries: int) -> tuple[np.ndarray, np.ndarray]:
    """A prediction that is near the truth, and the truth."""
    truth = d.normal(rows, entries)
    return (0.8 * truth + 0.3 * d.normal(rows, entries) + 0.1).double().numpy(), truth.double().numpy()


R_SQUARED = Exercise(
    id="5.6",
    title="What a probe explains: R squared",
    minutes=4,
    difficulty=1,
    importance=2,
    reference=latent_map.r_squared,
    target=None,
    observe=observe_r_squared,
    expected=expect_r_squared,
    gradients=False,
    looks=(
        Look("12 rows of 3 entries", lambda d: probed(d, 12, 3)),
        Look("9 numbers", lambda d: tuple(part[:, 0] for part in probed(d, 9, 1))),
        Look("entries of very different means", lambda d: tuple(part + np.array([0.0, 50.0]) for part in probed(d, 10, 2))),
        Look("entries of very different spread", lambda d: tuple(part * np.array([0.1, 20.0]) for part in probed(d, 10, 2))),
        Look("a prediction that is worse than the mean", lambda d: (5 * d.normal(8, 2).double().numpy(), d.normal(8, 2).double().numpy())),
        Look("a perfect prediction", lambda d: (lambda x: (x.copy(), x))(d.normal(7, 2).double().numpy()), draws=1),
        Look(
            "one entry that never changes beside one that does", lambda d: tuple(part * np.array([0.0, 1.0]) for part in probed(d, 10, 2))
        ),
    ),
    mistakes=(
        Mistake(
            "correlation",
            lambda p, y: float(np.corrcoef(np.ravel(p), np.ravel(y))[0, 1] ** 2),
            "This is the squared correlation. It calls a prediction that is off by a constant, or upside down, perfect. "
            "Use the error: 1 - squared error / variance.",
        ),
        Mistake(
            "share_of_error",
            lambda p, y: squares(y - p) / squares(y - y.mean(0)),
            "You return the share that is *not* explained: 1 - is missing.",
        ),
        Mistake(
            "spread_of_the_guess",
            lambda p, y: 1 - squares(y - p) / squares(p - p.mean(0)),
            "You compare with the variance of the prediction. The yardstick is the variance of the truth.",
        ),
        Mistake(
            "not_centred",
            lambda p, y: 1 - squares(y - p) / squares(y),
            "The mean of the truth was not taken off: the yardstick is the error of always guessing the mean.",
        ),
        Mistake(
            "one_mean_for_all",
            lambda p, y: 1 - squares(y - p) / squares(y - y.mean()),
            "With several columns each has a mean of its own: `truth.mean(0)`.",
        ),
        Mistake(
            "mean_over_columns",
            lambda p, y: float(np.mean(1 - np.square(y - p).sum(0) / np.square(y - y.mean(0)).sum(0))),
            "You took the mean of one R^2 for each column. Here both sums run over all columns, and one quotient is left.",
        ),
        Mistake(
            "absolute",
            lambda p, y: float(1 - np.abs(y - p).sum() / np.abs(y - y.mean(0)).sum()),
            "The differences are not squared.",
        ),
    ),
    hints=(
        "Two sums of squares: of the error, and of the distance of the truth from its own mean.",
        "The mean of each column: `truth.mean(0)`. Return a plain number: `float(...)`.",
        "float(1 - np.square(truth - prediction).sum() / np.square(truth - truth.mean(0)).sum())",
    ),
)

EXERCISES = [SQUARED_ERROR, ONE_LOSS, UNITS, UNROLL, CLIP, R_SQUARED]

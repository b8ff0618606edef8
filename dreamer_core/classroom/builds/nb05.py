"""Notebook 05: the world model's whole loss, and one step of its training."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from dreamer_core.agent import Dreamer
from dreamer_core.classroom.build import Build, Property, agrees, hold, shaped, slope
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import Config, WorldModelConfig, from_dict
from dreamer_core.latents import balanced_kl, gaussian_stats
from dreamer_core.nets import squared_error
from dreamer_core.replay import Window
from dreamer_core.rssm import Beliefs
from dreamer_core.world_model import WorldModel

# --- 5.A the whole loss -------------------------------------------------------------------------------

BATCH, ROWS = 4, 6
PARTS = ("observation", "reward", "continue", "kl", "overshoot")
STATS = ("stat_reward_error", "stat_kl", "stat_prior_entropy", "stat_posterior_entropy")
CENTRE, UNIT = torch.tensor([5.0, -1.0, 0.5]), torch.tensor([3.0, 0.2, 1.5])


def small(kind: str = "gaussian", **changes: Any) -> WorldModel:
    """A world model of a few units, in which no two weights, sizes or units of observations are alike."""
    settings = dict(
        deter=6,
        latent=kind,
        stoch=3,
        classes=2,
        units=8,
        overshoot=2,
        overshoot_scale=0.4,
        observation_scale=1.5,
        reward_scale=7.0,
        reward_std=0.8,
        kl_scale=0.3,
        kl_balance=0.7,
        free_nats=1.0,
    )
    model = WorldModel(WorldModelConfig(**settings | changes), 3, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
        model.centre.copy_(CENTRE)
        model.scale.copy_(UNIT)
    return model


def windows(rows: int = ROWS) -> Window:
    """Four windows: an episode ends in row 2 of window 1, another begins in row 3, and one begins in row 0 of window 2."""
    first, terminal = torch.zeros(BATCH, rows), torch.zeros(BATCH, rows)
    first[2, 0] = 1
    if rows > 3:
        terminal[1, 2] = first[1, 3] = 1
    return Window(
        CENTRE + UNIT * torch.randn(BATCH, rows, 3),
        2 * torch.rand(BATCH, rows, 2) - 1,
        torch.randn(BATCH, rows),
        first,
        terminal,
        torch.tanh(torch.randn(BATCH, 6)),
        torch.arange(BATCH * rows).view(BATCH, rows),
    )


def noise_for(model: WorldModel, window: Window) -> Tensor:
    """Noise for every row."""
    return model.rssm.latent.noise(*window.first.shape)


def given(made: Callable, model: WorldModel, window: Window, *noise: Tensor) -> tuple[dict[str, Tensor], Beliefs]:
    """What the learner's loss returns, if it has the form of it."""
    gives = made(model, window, *noise)
    hold(gives is not None, "nothing", "`loss` gives None. Is there a `return` at its end?")
    pair = isinstance(gives, tuple) and len(gives) == 2 and isinstance(gives[0], dict)
    hold(pair, "pair", "`loss` returns two things: a dict of losses, and the beliefs.")
    return gives


def entry(losses: dict[str, Tensor], name: str) -> Tensor:
    """One entry of the dict, a scalar."""
    hold(name in losses, f"no {name}", f'The dict has no entry "{name}". It has: {", ".join(map(str, losses)) or "none"}.')
    return shaped(losses[name], (), f'The entry "{name}"')


def asked(made: Callable, name: str, kind: str = "gaussian", **changes: Any) -> tuple[Tensor, WorldModel, Window, Beliefs]:
    """One entry for a window and its noise, with what is needed to compute it by hand."""
    model, window = small(kind, **changes), windows()
    noise = noise_for(model, window)
    losses, _ = given(made, model, window, noise)
    return entry(losses, name), model, window, model.observe(window, noise)


def is_near(value: Tensor, wrong: Tensor) -> bool:
    """Whether a number is this one, up to rounding."""
    return torch.allclose(value, wrong, rtol=1e-4, atol=1e-5)


def kls(model: WorldModel, beliefs: Beliefs) -> tuple[Tensor, Tensor, Tensor]:
    """By torch's own distributions, (B, T) each: KL[sg(q) || p], KL[q || sg(p)], and KL[p || q], which is turned round."""
    p, q, config = model.rssm.prior(beliefs.h), beliefs.posterior, model.config

    def law(parameters: Tensor) -> torch.distributions.Distribution:
        if config.latent == "gaussian":
            return Normal(*gaussian_stats(parameters, config.min_std))
        return Categorical(probs=model.rssm.latent.probs(parameters))

    def apart(one: Tensor, other: Tensor) -> Tensor:
        return kl_divergence(law(one), law(other)).sum(-1)

    return apart(q.detach(), p), apart(q, p.detach()), apart(p, q)


def by_hand(model: WorldModel, window: Window, beliefs: Beliefs) -> dict[str, Tensor]:
    """The parts, weighted, each with its gradient."""
    config, s = model.config, beliefs.features
    target, seen = (window.observation - CENTRE) / UNIT, (model.decode(s) - CENTRE) / UNIT
    dyn, rep, _ = kls(model, beliefs)
    shared = config.kl_balance * dyn.clamp(min=config.free_nats) + (1 - config.kl_balance) * rep.clamp(min=config.free_nats)
    brought = (1 - window.first) * -Normal(*model.predict_reward(s)).log_prob(window.reward)
    goes_on = Bernoulli(logits=model.predict_continue(s), validate_args=False)
    return {
        "observation": config.observation_scale * 0.5 * (seen - target).square().sum(-1).mean(),
        "reward": config.reward_scale * brought.mean(),
        "continue": -goes_on.log_prob(1 - window.terminal).mean(),
        "kl": config.kl_scale * shared.mean(),
        "overshoot": config.overshoot_scale * model.overshoot_loss(beliefs, window).mean(),
    }


def check_names(made: Callable) -> None:
    """Every name is there, as a scalar, and nothing else; the beliefs come second, and the noise makes them."""
    model, window = small(), windows()
    noise = noise_for(model, window)
    losses, beliefs = given(made, model, window, noise)
    for name in (*PARTS, "total", *STATS):
        entry(losses, name)
    more = [str(name) for name in losses if name not in (*PARTS, "total", *STATS)]
    hold(not more, "more names", f"The dict has an entry that nobody asked for: {', '.join(more)}.")
    whole = all(hasattr(beliefs, name) for name in ("h", "z", "posterior"))
    hold(whole, "no beliefs", "The second thing that `loss` returns is what self.observe(window, noise) gives.")
    _, again = given(made, model, window, noise)
    hold(torch.equal(beliefs.z, again.z), "own noise", "Called twice with the same noise, `loss` believes two things: hand `noise` on.")
    for name, mine, right in zip(Beliefs._fields, beliefs, model.observe(window, noise)):
        agrees(mine, right, "beliefs", f"The {name} of the beliefs is not that of self.observe(window, noise).")
    torch.manual_seed(1)
    (losses, one), (_, other) = given(made, model, window), given(made, model, window)
    hold(not torch.equal(one.z, other.z), "no noise", "Called twice without noise, `loss` believes the same: hand `noise` on as it is.")
    entropy = model.rssm.latent.entropy(one.posterior).mean()
    twice = not is_near(losses["stat_posterior_entropy"], entropy)
    hold(not twice, "filtered twice", "The beliefs that you return are not the ones that the losses were computed from: filter once.")


def check_observation(made: Callable) -> None:
    """Half the squared error in the model's units, summed over entries, averaged over rows, weighted."""
    value, model, window, beliefs = asked(made, "observation")
    wanted = by_hand(model, window, beliefs)["observation"]
    raw = 1.5 * 0.5 * (model.decode(beliefs.features) - window.observation).square().sum(-1).mean()
    mixed = 1.5 * squared_error(model.decoder(beliefs.features), window.observation).mean()
    hold(not is_near(value, wanted / 3), "mean over entries", "Each row's error is averaged over the entries of the observation. Sum it.")
    hold(not is_near(value, 2 * wanted), "no half", "The squared error is not halved.")
    hold(not is_near(value, wanted / 1.5), "no weight", "The weight config.observation_scale is missing.")
    hold(
        not is_near(value, raw) and not is_near(value, mixed),
        "raw units",
        "The observation is compared in the environment's units. self.decoder(features) is to meet self.standardized(window.observation).",
    )
    agrees(value, wanted, "observation", "The observation's part is not config.observation_scale times the mean of half the squared error.")


def check_heads(made: Callable) -> None:
    """What the two heads charge."""
    value, model, window, beliefs = asked(made, "reward")
    wanted = by_hand(model, window, beliefs)["reward"]
    nll = -Normal(*model.predict_reward(beliefs.features)).log_prob(window.reward)
    hold(not is_near(value, 7 * nll.mean()), "first counted", "Rows in which an episode starts pay for a reward. `first` is to mask them.")
    hold(not is_near(value, wanted / 7), "reward weight", "The weight config.reward_scale is missing.")
    agrees(value, wanted, "reward", "The reward's part is not config.reward_scale times self.reward.loss(...).")
    value, model, window, beliefs = asked(made, "continue")
    goes_on = Bernoulli(logits=model.predict_continue(beliefs.features), validate_args=False)
    hold(not is_near(value, -goes_on.log_prob(window.terminal).mean()), "ends are one", "The continue head is asked for the ends.")
    limit = -goes_on.log_prob(1 - window.first).mean()
    hold(not is_near(value, limit), "starts are ends", "The continue head is told that an episode ends where one starts. Use `terminal`.")
    wanted = by_hand(model, window, beliefs)["continue"]
    agrees(
        value, wanted, "continue", "The continue head's part is not the mean of self.cont.loss(logit, window.terminal). Its weight is 1."
    )


def check_kl(made: Callable) -> None:
    """The balanced KL, clipped row by row, for both kinds of z."""
    for kind in ("gaussian", "categorical"):
        model, window = small(kind), windows()
        noise = noise_for(model, window)
        beliefs = model.observe(window, noise)
        dyn, _, turned = kls(model, beliefs)
        free = model.config.free_nats = 1.05 * float(dyn.detach().mean())  # some rows lie above it, and their mean does not
        value = entry(given(made, model, window, noise)[0], "kl")
        wanted = by_hand(model, window, beliefs)["kl"]
        hold(not is_near(value, wanted / 0.3), "kl weight", "The weight config.kl_scale is missing.")
        hold(
            not is_near(value, 0.3 * dyn.mean()), "no free nats", "Rows below config.free_nats pay what they have. They pay the free nats."
        )
        whole = 0.3 * dyn.mean().clamp(min=free)
        hold(
            not is_near(value, whole), "free nats of the mean", "The free nats are taken of the mean. Clip row by row, then take the mean."
        )
        for wrong in (turned, turned.clamp(min=free)):
            hold(not is_near(value, 0.3 * wrong.mean()), "turned round", "The KL is the wrong way round: it is KL[posterior || prior].")
        old = model.rssm.prior(torch.cat([window.h[:, None], beliefs.h[:, :-1]], 1))
        late = 0.3 * model.rssm.latent.kl(beliefs.posterior, old).clamp(min=free).mean()
        hold(not is_near(value, late), "old prior", "The prior of row t is asked at the h of row t - 1. It belongs to the row's own h.")
        agrees(value, wanted, "kl", "The KL's part is not config.kl_scale times the mean of the balanced KL.")


def check_balance(made: Callable) -> None:
    """The gradient of the KL: most of it trains the prior, the rest the posterior."""
    value, model, window, beliefs = asked(made, "kl")
    config, parameters = model.config, list(model.rssm.parameters())
    dyn, rep, _ = kls(model, beliefs)
    dyn, rep = dyn.clamp(min=config.free_nats).mean(), rep.clamp(min=config.free_nats).mean()

    def share(balance: float) -> Tensor:
        return joined(slope(config.kl_scale * (balance * dyn + (1 - balance) * rep), *parameters))

    mine = joined(slope(value, *parameters))
    hold(bool(mine.any()), "kl cut", "The KL's part has no gradient: neither prior nor posterior learns from it.")
    hold(
        not is_near(mine, share(0.3)),
        "balance turned",
        "The balance is turned round: kl_balance is the share of KL[sg(q) || p], which trains the prior.",
    )
    hold(
        not is_near(mine, 2 * share(0.5)),
        "not balanced",
        "Prior and posterior both get the whole gradient. Each of the two KLs of `both_kl` has its share: kl_balance and 1 - kl_balance.",
    )
    agrees(mine, share(config.kl_balance), "balance", "The gradient of the KL is not shared between prior and posterior by kl_balance.")


def joined(gradients: tuple[Tensor, ...]) -> Tensor:
    """All entries in one row."""
    return torch.cat([gradient.flatten() for gradient in gradients])


def check_dreams(made: Callable) -> None:
    """The dreams inside the window count with their weight, where there are any."""
    value, model, window, beliefs = asked(made, "overshoot")
    wanted = by_hand(model, window, beliefs)["overshoot"]
    hold(not is_near(value, wanted / 0.4), "dream weight", "The weight config.overshoot_scale is missing.")
    agrees(
        value, wanted, "overshoot", "The dreams' part is not config.overshoot_scale times the mean of self.overshoot_loss(beliefs, window)."
    )
    for told, model, window in (
        ("With config.overshoot = 0", small(overshoot=0), windows()),
        ("In a window of one row", small(), windows(1)),
        ("In a window of two rows, with config.overshoot = 2,", small(), windows(2)),
    ):
        losses, _ = given(made, model, window, noise_for(model, window))
        hold("overshoot" not in losses, "dreams of none", f'{told} there is no dream, so the dict has no entry "overshoot".')
        total = sum(entry(losses, name) for name in PARTS[:-1])
        agrees(entry(losses, "total"), total, "total without dreams", f'{told} "total" is not the sum of the other four parts.')


def check_total(made: Callable) -> None:
    """The sum of the parts and of nothing else, and what each part trains."""
    model, window = small(), windows()
    noise = noise_for(model, window)
    losses, _ = given(made, model, window, noise)
    total, parts = entry(losses, "total"), sum(entry(losses, name) for name in PARTS)
    stats = sum(entry(losses, name) for name in STATS)
    hold(
        not is_near(total, parts + stats),
        "stats in the total",
        'The entries "stat_..." are in the total. They are reported, not trained on.',
    )
    agrees(total, parts, "total", '"total" is not the sum of the five parts.')
    parameters = list(model.parameters())
    right = by_hand(model, window, model.observe(window, noise))
    for name in (*PARTS[:3], "overshoot"):
        if is_near(losses[name], right[name]):  # if not, its own line says so
            mine, wanted = joined(slope(losses[name], *parameters)), joined(slope(right[name], *parameters))
            same = torch.allclose(mine, wanted, rtol=1e-3, atol=1e-4)
            hold(same, f"cut {name}", f'The entry "{name}" has the right value and another gradient: is something detached on its way?')
    mine = joined(slope(total, *parameters))
    wanted = sum(joined(slope(losses[name], *parameters)) for name in PARTS)
    hold(bool(mine.any()), "total cut", '"total" carries no gradient, so nothing would be trained.')
    agrees(mine, wanted, "total's gradient", 'The gradient of "total" is not that of the five parts together.', within=1e-4)


def check_stats(made: Callable) -> None:
    """What is reported and not trained on."""
    for kind in ("gaussian", "categorical"):
        model, window = small(kind), windows()
        noise = noise_for(model, window)
        beliefs = model.observe(window, noise)
        rows = kls(model, beliefs)[0].detach()
        kl = rows.mean()
        free = model.config.free_nats = float(kl)  # some rows lie below it
        clipped = rows.clamp(min=free).mean()
        losses, _ = given(made, model, window, noise)
        for name in STATS:
            quiet = not entry(losses, name).requires_grad
            hold(quiet, "stat with gradient", f'"{name}" carries a gradient. It is a report: put it under torch.no_grad().')
        hold(not is_near(losses["stat_kl"], 0.3 * kl), "stat weighted", '"stat_kl" has been weighted. It is the KL in nats.')
        hold(
            not is_near(losses["stat_kl"], clipped), "stat clipped", '"stat_kl" has been clipped. It is the KL as it is, without free nats.'
        )
        agrees(losses["stat_kl"], kl, "stat_kl", '"stat_kl" is not the mean KL of all rows in nats.')
        laws = {"stat_prior_entropy": model.rssm.prior(beliefs.h), "stat_posterior_entropy": beliefs.posterior}
        for name, parameters in laws.items():
            right = model.rssm.latent.entropy(parameters).mean()
            agrees(losses[name], right, name, f'"{name}" is not the mean over all rows of self.rssm.latent.entropy(...).')
        miss = 0.5 * (model.predict_reward(beliefs.features)[0] - window.reward).square()
        brought = 1 - window.first
        others = (brought * miss).sum() / brought.sum()
        over_all = is_near(losses["stat_reward_error"], (brought * miss).mean())
        hold(not over_all, "error over all", '"stat_reward_error" is divided by all rows. Divide by those that brought a reward.')
        agrees(losses["stat_reward_error"], others, "stat_reward_error", '"stat_reward_error" is not half the squared miss of a mean.')
    model, window = small(), windows(1)
    window = window._replace(first=torch.ones(BATCH, 1))
    losses, _ = given(made, model, window, noise_for(model, window))
    agrees(entry(losses, "stat_reward_error"), torch.zeros(()), "no reward", "Where no row brought a reward, the reward's error is 0.")


def plain_loss(
    error: Callable[[WorldModel, Tensor, Window], Tensor] = lambda model, s, window: (
        0.5 * (model.decoder(s) - model.standardized(window.observation)).square().sum(-1)
    ),
    kl: Callable[[Tensor, Tensor, WorldModelConfig], Tensor] = lambda dyn, rep, config: balanced_kl(
        dyn, rep, config.kl_balance, config.free_nats
    ),
    believed: Callable[[Tensor, Window], Tensor] = lambda h, window: h,
    weight: Callable[[str, float], float] = lambda name, weight: weight,
    state: Callable[[Tensor], Tensor] = lambda s: s,
    dreams: bool = True,
    trained: tuple[str, ...] = PARTS,
    masked: bool = True,
    observe: Callable[[WorldModel, Window, Tensor | None], Beliefs] = lambda model, window, noise: model.observe(window, noise),
) -> Callable:
    """A right answer; each argument changes one thing in it."""

    def loss(self, window, noise=None):
        beliefs, config = observe(self, window, noise), self.config
        s = state(beliefs.features)
        prior = self.rssm.prior(believed(beliefs.h, window))
        dyn, rep = self.rssm.latent.both_kl(beliefs.posterior, prior)
        raw = self.reward(s)
        first = window.first if masked else torch.zeros_like(window.first)
        losses = {
            "observation": weight("observation", config.observation_scale) * error(self, s, window).mean(),
            "reward": weight("reward", config.reward_scale) * self.reward.loss(raw, window.reward, first),
            "continue": self.cont.loss(self.cont.logit(s), window.terminal).mean(),
            "kl": weight("kl", config.kl_scale) * kl(dyn, rep, config).mean(),
        }
        if dreams and 0 < config.overshoot < window.first.shape[1]:
            losses["overshoot"] = weight("overshoot", config.overshoot_scale) * self.overshoot_loss(beliefs, window).mean()
        with torch.no_grad():
            brought = 1 - window.first
            miss = 0.5 * (self.reward.stats(raw)[0] - window.reward).square()
            stats = {
                "stat_reward_error": (brought * miss).sum() / brought.sum().clamp(min=1),
                "stat_kl": dyn.mean(),
                "stat_prior_entropy": self.rssm.latent.entropy(prior).mean(),
                "stat_posterior_entropy": self.rssm.latent.entropy(beliefs.posterior).mean(),
            }
        total = sum(value for name, value in (losses | stats).items() if name in trained)
        return losses | stats | {"total": total}, beliefs

    return loss


def mean_over_entries(model: WorldModel, s: Tensor, window: Window) -> Tensor:
    return 0.5 * (model.decoder(s) - model.standardized(window.observation)).square().mean(-1)


def in_raw_units(model: WorldModel, s: Tensor, window: Window) -> Tensor:
    return squared_error(model.decode(s), window.observation)


def row_before(h: Tensor, window: Window) -> Tensor:
    return torch.cat([window.h[:, None], h[:, :-1]], 1)


WHOLE_LOSS = Build(
    id="5.A",
    title="The world model's whole loss",
    minutes=60,
    difficulty=2,
    importance=3,
    reference=WorldModel.loss,
    target="dreamer_core.world_model:WorldModel.loss",
    suits=lambda self, window, noise=None, beliefs=None: (
        beliefs is None
        and self.config.kl == "balanced"
        and self.config.reward_head == "gaussian"
        and not self.config.symlog
        and not self.config.discount_horizon
    ),
    properties=(
        Property("names", "Every entry is there, a scalar each, with the beliefs beside them.", check_names),
        Property("observation", "Half the squared error, summed over entries, in the model's units.", check_observation),
        Property("heads", "Reward and continue head pay for what came.", check_heads),
        Property("kl", "The KL is clipped row by row and weighted.", check_kl),
        Property("balance", "Prior and posterior get their shares of the KL's gradient.", check_balance),
        Property("dreams", "The dreams inside the window count, where there are any.", check_dreams),
        Property("total", "The sum of the parts alone, and nothing is cut on its way.", check_total),
        Property("reports", "What is only reported is right, and carries no gradient.", check_stats),
    ),
    hints=(
        (
            "Begin with the beliefs and with one part, the observation's. Return ({'observation': ...}, beliefs) and run the cell: "
            "each property names what it misses. Then add one part after the other."
        ),
        (
            "features = beliefs.features; prior = self.rssm.prior(beliefs.h); dyn, rep = self.rssm.latent.both_kl(beliefs.posterior, "
            "prior). The KL of the rows is balanced_kl(dyn, rep, config.kl_balance, config.free_nats), exercise 3.4. self.reward.loss is a "
            "mean already; self.cont.loss has a number for each row."
        ),
        (
            "Keep two dicts, one of parts and one of reports, the second made under torch.no_grad(). total = sum(parts.values()). "
            'parts["overshoot"] is there only if 0 < config.overshoot < T. The reward\'s error: '
            "(brought * miss).sum() / brought.sum().clamp(min=1), with brought = 1 - window.first."
        ),
    ),
    mistakes=(
        Mistake(
            "mean_over_entries",
            plain_loss(error=mean_over_entries),
            "Your reconstruction is a mean over the entries of an observation. Sum over them: a mean multiplies every other weight by O.",
        ),
        Mistake(
            "raw_units",
            plain_loss(error=in_raw_units),
            "You compare observations in the environment's units. The decoder speaks the model's: self.standardized(window.observation).",
        ),
        Mistake(
            "no_free_nats",
            plain_loss(kl=lambda dyn, rep, config: balanced_kl(dyn, rep, config.kl_balance, 0.0)),
            "The free nats are missing: a row whose KL lies below config.free_nats is not to be pushed further down.",
        ),
        Mistake(
            "free_nats_of_the_mean",
            plain_loss(kl=lambda dyn, rep, config: balanced_kl(dyn.mean(), rep.mean(), config.kl_balance, config.free_nats)),
            "You clip the mean of the KL. Each row has its own free nats: clip the rows, then take the mean.",
        ),
        Mistake(
            "balance_turned",
            plain_loss(kl=lambda dyn, rep, config: balanced_kl(rep, dyn, config.kl_balance, config.free_nats)),
            "The two KLs have changed places. The first that `both_kl` gives trains the prior, and gets the share kl_balance.",
        ),
        Mistake(
            "not_balanced",
            plain_loss(
                kl=lambda dyn, rep, config: (
                    dyn.clamp(min=config.free_nats) + rep.clamp(min=config.free_nats) - rep.clamp(min=config.free_nats).detach()
                )
            ),
            "Your KL is not balanced: prior and posterior each get the whole of its gradient, not their shares.",
        ),
        Mistake(
            "old_prior",
            plain_loss(believed=row_before),
            "Your prior is asked at the h of the row before. h_t has heard of row t - 1 already: the prior of z_t reads h_t.",
        ),
        Mistake("no_weights", plain_loss(weight=lambda name, weight: 1.0), "The weights are missing, all four of them."),
        Mistake("no_dreams", plain_loss(dreams=False), 'The dreams inside the window are missing: the entry "overshoot".'),
        Mistake(
            "reports_trained",
            plain_loss(trained=(*PARTS, *STATS)),
            'Your "total" adds up the whole dict, reports included. Only the five parts are trained on.',
        ),
        Mistake(
            "states_cut",
            plain_loss(state=lambda s: s.detach()),
            "The features are detached, so decoder and heads learn, and encoder and RSSM do not. Leave them attached.",
        ),
        Mistake(
            "own_noise",
            plain_loss(observe=lambda model, window, noise: model.observe(window)),
            "`noise` is not handed on: self.observe(window, noise). With the same noise the same z must come.",
        ),
        Mistake("first_counted", plain_loss(masked=False), "`first` does not reach self.reward.loss, so an episode's first row pays."),
    ),
)

# --- 5.B one step of training -------------------------------------------------------------------------

LENGTH, STARTS, MARK = 4, (2, 10, 24), 7.0


def agent_of(**changes: dict[str, Any]) -> Dreamer:
    """A small agent with 40 rows in its buffer. Every stored h holds sevens, which no GRU can give, and z holds nines."""
    settings: dict[str, dict[str, Any]] = {
        "model": dict(deter=6, stoch=3, units=8, overshoot=0),
        "replay": dict(capacity=64, batch=len(STARTS), length=LENGTH),
        "sac": dict(units=4),
    }
    config: Config = from_dict({name: fields | changes.get(name, {}) for name, fields in settings.items()})
    agent = Dreamer(config, 3, 2)
    for number in range(40):
        first = number % 20 == 0
        agent.replay.add(
            observation=torch.randn(3),
            reward=0.0 if first else float(torch.randn(())),
            first=first,
            terminal=number == 19,
            h=torch.full((6,), MARK),
            z=torch.full((3,), 9.0),
            update=0,
        )
        agent.replay.set_action(2 * torch.rand(2) - 1)
    agent.grad_steps = 5
    return agent


class Seen(NamedTuple):
    """What a step was seen to do."""

    metrics: dict[str, Tensor]
    drawn: tuple[int, int]
    """Windows and rows that were asked of the buffer."""
    window: Window
    """What the loss was given."""
    losses: dict[str, Tensor]
    beliefs: Beliefs
    gradient: Tensor
    """That of the total, all parameters in one row."""
    moved: Tensor
    """By how much the parameters went down."""


def flat(agent: Dreamer) -> Tensor:
    """All parameters of the world model in one row."""
    return torch.cat([parameter.detach().flatten() for parameter in agent.model.parameters()])


def step(made: Callable, agent: Dreamer) -> Seen:
    """Let the learner's step run on an agent whose optimiser is plain descent of rate 1, and see what it does.

    The windows it draws begin at rows 2, 10 and 24. z is drawn without chance. Old gradients lie about.
    """
    parameters = list(agent.model.parameters())
    agent.optimizers["model"] = torch.optim.SGD([{"params": parameters, "lr": 1.0}])
    agent.model.rssm.latent.noise = lambda *shape, device="cpu": torch.zeros(*shape, 3)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    real, draws, calls = agent.model.loss, [], []

    def sample(batch: int, length: int, fresh: bool = False) -> Window:
        draws.append((batch, length))
        return agent.replay.window(torch.tensor(STARTS[:batch]), length)

    def loss(window: Window, noise: Tensor | None = None) -> tuple[dict[str, Tensor], Beliefs]:
        losses, beliefs = real(window, noise)
        gradient = joined(slope(losses["total"], *parameters))
        calls.append((window, {name: value.detach().clone() for name, value in losses.items()}, beliefs, gradient))
        return losses, beliefs

    agent.replay.sample, agent.model.loss = sample, loss
    before = flat(agent)
    metrics = made(agent)
    del agent.replay.sample, agent.model.loss
    hold(len(draws) > 0, "not drawn", "`self.replay.sample` is not called: each update draws its own windows.")
    hold(len(draws) == 1, "draws", f"One update draws one batch, and `self.replay.sample` was called {len(draws)} times.")
    hold(len(calls) > 0, "no loss", "`self.model.loss` is not called: it filters the windows and says what they cost.")
    hold(len(calls) == 1, "losses", f"One update asks for the loss once, and `self.model.loss` was called {len(calls)} times.")
    return Seen(metrics, draws[0], *calls[0], before - flat(agent))


def check_draw(made: Callable) -> None:
    """As many windows, of as many rows, as the settings say; and they reach the loss."""
    seen = step(made, agent_of())
    hold(seen.drawn[0] == 3, "batch", f"With replay.batch = 3, {seen.drawn[0]} windows were drawn.")
    hold(seen.drawn[1] == LENGTH, "length", f"With replay.length = 4 and no burn-in, windows of {seen.drawn[1]} rows were drawn.")
    agrees(
        seen.window.index, torch.tensor(STARTS)[:, None] + torch.arange(LENGTH), "window", "The loss is given other rows than were drawn."
    )
    hold(bool((seen.window.h == MARK).all()), "h lost", "Without burn-in a window starts from its stored h, and the loss is given another.")


def check_burn_in(made: Callable) -> None:
    """Rows before the window warm up h; they are not trained on."""
    agent = agent_of(replay=dict(capacity=64, batch=3, length=LENGTH, burn_in=3))
    agent.model.rssm.latent.noise = lambda *shape, device="cpu": torch.zeros(*shape, 3)
    with torch.no_grad():
        whole = agent.model.observe(agent.replay.window(torch.tensor(STARTS), LENGTH + 3))
    seen = step(made, agent)
    wanted = LENGTH + 3
    hold(seen.drawn[1] == wanted, "drawn short", f"With burn_in = 3 and length = 4, draw windows of 7 rows. Yours have {seen.drawn[1]}.")
    rows = seen.window.first.shape[1]
    hold(rows == LENGTH, "burn-in trained", f"Of 7 rows the first 3 only warm up h, so the loss is given 4 rows. Yours is given {rows}.")
    agrees(seen.window.index[:, 0], torch.tensor(STARTS) + 3, "burn-in rows", "The loss is to be given the *last* 4 of the 7 rows.")
    cold = bool((seen.window.h == MARK).all())
    hold(
        not cold,
        "cold",
        "The shorter window still starts from the h that was stored for the first of the 7 rows. self.model.warm_up has it.",
    )
    agrees(seen.window.h, whole.h[:, 3], "warm h", "The shorter window does not start from the h that filtering the first 3 rows leads to.")


def check_descent(made: Callable) -> None:
    """One step down the gradient of this loss, by the agent's own optimiser."""
    agent = agent_of(model=dict(deter=6, stoch=3, units=8, overshoot=0, clip_norm=1e6))
    actor = [parameter.detach().clone() for parameter in agent.sac.parameters()]
    seen = step(made, agent)
    hold(bool(seen.moved.any()), "no step", 'Nothing has moved: backward(), then self.optimizers["model"].step().')
    hold(
        not is_near(seen.moved, seen.gradient + 1), "stale", "Gradients of an earlier step are still in it: zero_grad() before backward()."
    )
    hold(not is_near(seen.moved, -seen.gradient), "uphill", "The step goes uphill.")
    agrees(
        seen.moved,
        seen.gradient,
        "step",
        'The step is not what self.optimizers["model"] makes of the gradient of losses["total"]. (The check puts plain descent with a '
        "rate of 1 in its place, so a parameter should fall by its gradient.)",
        within=1e-4,
    )
    same = all(torch.equal(a, b) for a, b in zip(actor, agent.sac.parameters()))
    hold(same, "agent moved", "Actor or critics have moved. This step trains the world model alone.")


def check_clipping(made: Callable) -> None:
    """A gradient that is too long is scaled down as a whole; what is reported is its length before."""
    agent = agent_of(model=dict(deter=6, stoch=3, units=8, overshoot=0, clip_norm=0.05))
    parameters = list(agent.model.parameters())
    seen = step(made, agent)
    norm = seen.gradient.norm()
    hold(
        not torch.allclose(seen.moved, seen.gradient, rtol=1e-3, atol=1e-5),
        "not clipped",
        f"The gradient has the length {float(norm):.3g}, config.model.clip_norm is 0.05, and the step is not shortened. "
        "Clip between backward() and step().",
    )
    length = float(seen.moved.norm())
    each = torch.cat(
        [part * min(1.0, 0.05 / max(float(part.norm()), 1e-12)) for part in seen.gradient.split([p.numel() for p in parameters])]
    )
    single = torch.allclose(seen.moved, each, rtol=1e-2, atol=1e-5)
    hold(not single, "each tensor", "Each tensor is clipped by its own length. There is one length, that of all gradients together.")
    agrees(length, 0.05, "limit", "After clipping the step is not as long as config.model.clip_norm allows.", within=5e-4)
    turned = not torch.allclose(seen.moved, seen.gradient * (0.05 / norm), rtol=1e-2, atol=1e-5)
    hold(not turned, "turned", "Clipping has turned the step: scale all gradients by one factor.")
    said = (seen.metrics or {}).get("model/grad_norm")
    hold(said is not None, "no norm", 'The metrics have no "model/grad_norm".')
    after = abs(float(said) - 0.05) < 1e-3
    hold(not after, "norm after", '"model/grad_norm" is the length after clipping. Report the one before: it says how much was cut.')
    agrees(
        float(said),
        float(norm),
        "norm",
        '"model/grad_norm" is not the length of the whole gradient before clipping.',
        within=1e-2 * float(norm),
    )


def check_counter(made: Callable) -> None:
    """One update more."""
    agent = agent_of()
    for wanted in (6, 7):
        step(made, agent)
        agrees(int(agent.grad_steps), wanted, "counter", "self.grad_steps counts updates: it is to grow by 1 with each.")


def check_write_back(made: Callable) -> None:
    """The states just found replace the stored ones, with the number of this update."""
    for burn_in in (0, 3):
        agent = agent_of(replay=dict(capacity=64, batch=3, length=LENGTH, burn_in=burn_in))
        seen = step(made, agent)
        index = torch.tensor(STARTS)[:, None] + burn_in + torch.arange(LENGTH)
        data = {name: agent.replay.read(name, torch.arange(40)) for name in ("h", "z", "written")}
        rest = torch.ones(64, dtype=torch.bool)
        rest[index[:, 1:].flatten()] = False
        untouched = bool((data["h"] == MARK).all())
        hold(
            not untouched, "not written", "The buffer still holds the old states. self.replay.write_back stores those that were just found."
        )
        hold(bool((data["h"][rest[:40]] == MARK).all()), "other rows", "States were stored in rows that the loss was not given.")
        told = "is not what the loss believed there: hand the whole window's index, h and z to write_back."
        agrees(data["h"][index[:, 1:]], seen.beliefs.h[:, 1:], "h stored", f"The stored h {told}")
        agrees(data["z"][index[:, 1:]], seen.beliefs.z[:, 1:], "z stored", f"The stored z {told}")
        hold(not data["h"].requires_grad, "graph stored", "The buffer's h carries a gradient.")
        number = float(data["written"][index[0, 1]])
        agrees(
            number, float(agent.grad_steps), "number", "States are stored with the number of the update that made them, counted already."
        )
    agent = agent_of(replay=dict(capacity=64, batch=3, length=LENGTH, write_back=False))
    step(made, agent)
    hold(
        bool((agent.replay.read("h", torch.arange(40)) == MARK).all()),
        "switch",
        "With replay.write_back = False the stored states stay as they are.",
    )


def check_metrics(made: Callable) -> None:
    """Everything the loss said, under "model/", without its graph."""
    agent = agent_of()
    seen = step(made, agent)
    hold(isinstance(seen.metrics, dict), "no metrics", "The step returns a dict of metrics.")
    wanted = {f"model/{name}" for name in seen.losses} | {"model/grad_norm"}
    missing, more = sorted(wanted - seen.metrics.keys()), sorted(seen.metrics.keys() - wanted)
    hold(not missing, "missing", f"The metrics lack {', '.join(missing)}.")
    hold(not more, "more", f"The metrics have an entry that nobody asked for: {', '.join(map(str, more))}.")
    for name, value in seen.metrics.items():
        shaped(value, (), f'"{name}"')
        hold(not value.requires_grad, "graph", f'"{name}" still carries its graph, and whoever keeps it keeps the graph: detach it.')
    for name, value in seen.losses.items():
        agrees(seen.metrics[f"model/{name}"], value, "values", f'"model/{name}" is not what the loss said.')


def check_trains(made: Callable) -> None:
    """Sixty steps with the agent's own optimiser and draws."""
    agent = agent_of(model=dict(deter=6, stoch=3, units=8, overshoot=0, lr=1e-2))
    fresh = [agent.replay.sample(12, LENGTH) for _ in range(4)]

    def cost() -> float:
        torch.manual_seed(2)
        with torch.no_grad():
            return sum(float(agent.model.loss(window)[0]["total"]) for window in fresh) / len(fresh)

    before = cost()
    for _ in range(40):
        made(agent)
    after = cost()
    hold(after < 0.97 * before, "does not learn", f"After 40 updates the loss has gone from {before:.2f} to {after:.2f}: it should fall.")


def plain_step(
    clear: bool = True,
    clip: Callable[[Dreamer], Tensor] = lambda agent: nn.utils.clip_grad_norm_(agent.model.parameters(), agent.config.model.clip_norm),
    warm: Callable[[Dreamer, Window, int], Window] = lambda agent, window, rows: agent.model.warm_up(window, rows),
    counts: int = 1,
    late: bool = False,
    switch: bool = True,
    seal: Callable[[Tensor], Tensor] = lambda value: value.detach(),
    move: bool = True,
    draw: Callable[[Any], int] = lambda config: config.burn_in + config.length,
    stores: bool = True,
    part: str = "total",
) -> Callable:
    """A right answer; each argument changes one thing in it."""

    def learn_model(self):
        config, optimizer = self.config.replay, self.optimizers["model"]
        window = warm(self, self.replay.sample(config.batch, draw(config)), config.burn_in)
        losses, beliefs = self.model.loss(window)
        if clear:
            optimizer.zero_grad()
        losses[part].backward()
        norm = clip(self)
        if move:
            optimizer.step()
        number = self.grad_steps
        self.grad_steps += counts
        if stores and (config.write_back or not switch):
            self.replay.write_back(window.index, beliefs.h, beliefs.z, number if late else self.grad_steps)
        return {f"model/{name}": seal(value) for name, value in losses.items()} | {"model/grad_norm": norm}

    return learn_model


def length_of(agent: Dreamer) -> Tensor:
    """The length of the gradient, nothing clipped."""
    return torch.stack([p.grad.norm() for p in agent.model.parameters() if p.grad is not None]).norm()


def clipped_each(agent: Dreamer) -> Tensor:
    norm = length_of(agent)
    for parameter in agent.model.parameters():
        nn.utils.clip_grad_norm_([parameter], agent.config.model.clip_norm)
    return norm


def clipped_then_measured(agent: Dreamer) -> Tensor:
    nn.utils.clip_grad_norm_(agent.model.parameters(), agent.config.model.clip_norm)
    return length_of(agent)


ONE_STEP = Build(
    id="5.B",
    title="One training step",
    minutes=40,
    difficulty=2,
    importance=3,
    reference=Dreamer.learn_model,
    target="dreamer_core.agent:Dreamer.learn_model",
    suits=lambda self: self.config.optimizer.kind == "adam" and self.config.optimizer.clip == "norm" and not self.config.replay.online,
    properties=(
        Property("draw", "It draws the windows that the settings ask for.", check_draw),
        Property("descent", "It goes one step down the gradient, by the agent's optimiser.", check_descent),
        Property("clipping", "A long gradient is scaled down as a whole, and its length reported.", check_clipping),
        Property("counter", "It counts the update.", check_counter),
        Property("metrics", "It reports all that the loss said, without graphs.", check_metrics),
        Property("burn-in", "Rows before the window warm up h and are not trained on.", check_burn_in),
        Property("write-back", "The new states go into the buffer, if the setting says so.", check_write_back),
        Property("learning", "Repeated, it makes the loss fall.", check_trains),
    ),
    hints=(
        (
            "Seven things in this order: draw, warm up, loss, gradient and step, count, store, report. Begin without burn-in and "
            "storing: the list says what stands."
        ),
        (
            "optimizer = self.optimizers['model']; zero_grad(), losses['total'].backward(), "
            "norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.model.clip_norm), step(). The norm it returns is "
            "the one before clipping."
        ),
        (
            "window = self.model.warm_up(self.replay.sample(config.batch, config.burn_in + config.length), config.burn_in), with "
            "config = self.config.replay. After the step: self.grad_steps += 1; if config.write_back: "
            "self.replay.write_back(window.index, beliefs.h, beliefs.z, self.grad_steps). Metrics: {f'model/{name}': value.detach() ...}."
        ),
    ),
    mistakes=(
        Mistake(
            "stale_gradients",
            plain_step(clear=False),
            "The gradients of the update before are still there, and backward() adds to them. Call zero_grad() first.",
        ),
        Mistake(
            "not_clipped",
            plain_step(clip=length_of),
            "You measure the gradient's length and do not clip it. Scale it down to config.model.clip_norm before step().",
        ),
        Mistake(
            "clipped_each",
            plain_step(clip=clipped_each),
            "You clip tensor by tensor, which turns the step. Exercise 5.5: one length, one factor for all.",
        ),
        Mistake(
            "norm_after_clipping",
            plain_step(clip=clipped_then_measured),
            "You report the gradient's length after clipping, which does not say what was cut. clip_grad_norm_ returns the one before.",
        ),
        Mistake(
            "no_burn_in",
            plain_step(warm=lambda agent, window, rows: window, draw=lambda config: config.length),
            "Burn-in plays no part: draw burn_in + length rows, and spend the first of them on self.model.warm_up.",
        ),
        Mistake(
            "cold_start",
            plain_step(warm=lambda agent, window, rows: window.rows(rows, None)),
            "You drop the burn-in rows unused, and the h at hand still belongs to the first of them. self.model.warm_up filters them.",
        ),
        Mistake("not_counted", plain_step(counts=0), "The update is not counted: self.grad_steps += 1."),
        Mistake(
            "number_of_the_update_before",
            plain_step(late=True),
            "You store the states with the number of the update before. Count first, then write back.",
        ),
        Mistake("always_written", plain_step(switch=False), "You write back always. config.replay.write_back is a switch."),
        Mistake(
            "never_written",
            plain_step(stores=False),
            "The new states are thrown away. self.replay.write_back stores them, so that later windows start from fresher h.",
        ),
        Mistake("graphs_kept", plain_step(seal=lambda value: value * 1.0), "Your metrics keep their graphs in memory. Detach each value."),
    ),
)

BUILDS = [WHOLE_LOSS, ONE_STEP]

"""The world model: encoder, RSSM, decoder, reward head, continue head, and one loss.

v1 cuts: the decoder is trained on plain squared error (no symlog); the reward head is a Normal
(no bins); the optimiser is Adam with gradient-norm clipping (in `optimize.py`). Each of the tables
below names the paper's piece beside v1's.

Squared error depends on units: an angle of 0.1 rad beside a velocity of 8 rad/s would not be
seen at all. So the units are measured from the random steps, and enlarged if need be whenever the
rows ever stored have doubled (`set_units`); with `standardize=False` they are the environment's own.
A picture's unit is known beforehand. What reads and writes it is chosen in `senses.py`, by the observation's shape.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dreamer_core import latents, nets, senses
from dreamer_core.config import WorldModelConfig
from dreamer_core.paper.block_gru import BlockRSSM
from dreamer_core.paper.kl import paper_kl
from dreamer_core.paper.twohot import TwoHotReward
from dreamer_core.replay import Window
from dreamer_core.rssm import RSSM, Beliefs


def reward_loss(mean: Tensor, std: Tensor, reward: Tensor, first: Tensor) -> Tensor:
    """-log N(r_t; mean, std), averaged over *all* rows; the first row of an episode brings no reward and counts 0. (B, T) -> ()."""
    return ((1 - first) * nets.gaussian_nll(mean, std, reward)).mean()


def observation_units(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (O,) and standard deviation (O,) of rows (R, O); an entry that never changes keeps its own unit, 1."""
    std = rows.std(0)
    return rows.mean(0), torch.where(std > 1e-6, std, 1.0)


def one_loss(rows: dict[str, Tensor], weights: dict[str, float]) -> dict[str, Tensor]:
    """What is trained, by name, with the sum under "total".

    Args:
        rows: the loss of every row, (B, T) each, or its mean already, ().
        weights: for some of the names a factor; the others count as they are.

    Returns:
        For each name the mean over all rows times its weight, and "total": scalars.
    """
    losses = {name: weights.get(name, 1.0) * values.mean() for name, values in rows.items()}
    return losses | {"total": sum(losses.values())}


class GaussianReward(nn.Sequential):
    """The reward head: a network that writes a Normal, (..., F) -> raw (..., 2).

    Args:
        config: widths and layers. features: size F of a state.
    """

    def __init__(self, config: WorldModelConfig, features: int) -> None:
        super().__init__(*nets.mlp(features, config.units, config.head_layers, 2, config.norm))
        self.config = config

    def stats(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (...) and standard deviation (...) of the Normal in raw (..., 2)."""
        mean, raw = raw.unbind(-1)
        if self.config.reward_std > 0:
            return mean, torch.full_like(mean, self.config.reward_std)
        # A learned std on a nearly noiseless reward runs to 0 and its NLL to -inf: keep a floor.
        return mean, nets.positive(raw, self.config.reward_min_std)

    def nll(self, raw: Tensor, reward: Tensor) -> Tensor:
        """-log of the probability of rewards (...) under raw (..., 2), elementwise."""
        return nets.gaussian_nll(*self.stats(raw), reward)

    def loss(self, raw: Tensor, reward: Tensor, first: Tensor) -> Tensor:
        """What a window's rewards cost: (B, T, 2), (B, T), (B, T) -> ()."""
        return reward_loss(*self.stats(raw), reward, first)

    @torch.no_grad()
    def restate(self, factor: float, shift: float) -> None:
        """Every predicted reward becomes factor * reward + shift, as `SAC.restate_values` does with values."""
        self[-1].weight[0].mul_(factor)
        self[-1].bias[0].mul_(factor).add_(shift)


class ContinueHead(nn.Sequential):
    """The continue head: a network that writes the logit that the episode goes on, (..., F) -> (..., 1).

    Args:
        config: widths and layers. features: size F of a state.
    """

    def __init__(self, config: WorldModelConfig, features: int) -> None:
        super().__init__(*nets.mlp(features, config.units, config.head_layers, 1, config.norm))

    def logit(self, features: Tensor) -> Tensor:
        """(..., F) -> (...)."""
        return self(features).squeeze(-1)

    def loss(self, logit: Tensor, terminal: Tensor, folded: float = 1.0) -> Tensor:
        """What each row costs: the target is 0 where the episode truly ended, and `folded` elsewhere. (...), (...) -> (...)."""
        return nets.bernoulli_nll(logit, (1 - terminal) * folded)


def balanced(dyn: Tensor, rep: Tensor, config: WorldModelConfig) -> tuple[Tensor, float]:
    """v1's KL, and its weight."""
    return latents.balanced_kl(dyn, rep, config.kl_balance, config.free_nats), config.kl_scale


def two_terms(dyn: Tensor, rep: Tensor, config: WorldModelConfig) -> tuple[Tensor, float]:
    """The paper's KL, whose terms have weights of their own."""
    return paper_kl(dyn, rep, config.kl_free, config.kl_dyn, config.kl_rep), 1.0


# v1's piece and the paper's, by the value of the setting that chooses between them.
RECURRENCES: dict[str, type[RSSM]] = {"gru": RSSM, "block_gru": BlockRSSM}
REWARD_HEADS: dict[str, type[nn.Sequential]] = {"gaussian": GaussianReward, "twohot": TwoHotReward}
KLS: dict[str, Callable[[Tensor, Tensor, WorldModelConfig], tuple[Tensor, float]]] = {"balanced": balanced, "paper": two_terms}


class WorldModel(nn.Module):
    """Everything that is trained on experience.

    Args:
        config: sizes and loss weights.
        observation: size O of a vector, or the shape (H, W, C) of a picture.
        action: size A.

    Shape comments write (..., O) for observations as the environment gives them, and in the model's units for a
    row of numbers: of a picture, its O = H * W * C pixels.
    """

    def __init__(self, config: WorldModelConfig, observation: int | senses.Shape, action: int) -> None:
        super().__init__()
        self.config, self.shape = config, senses.shape_of(observation)
        sense, entries = senses.sense(self.shape), senses.entries(self.shape)
        self.encoder = sense.encoder(config, self.shape)
        self.rssm = RECURRENCES[config.recurrence](config, config.units, action)
        self.decoder = sense.decoder(config, self.rssm.features, self.shape)
        self.reward = REWARD_HEADS[config.reward_head](config, self.rssm.features)
        self.cont = ContinueHead(config, self.rssm.features)
        self.squash, self.unsquash = sense.squash(config)
        self.measures = config.standardize and sense.measured  # whether `set_units` is to be called
        self.stored = sense.stored  # the type of number in which observations are kept
        centre, scale = sense.unit
        self.register_buffer("centre", torch.full((entries,), centre))
        self.register_buffer("scale", torch.full((entries,), scale))
        self.register_buffer("measured", torch.zeros((), dtype=torch.long))  # rows ever stored when the units were last measured

    @torch.no_grad()
    def set_units(self, observation: Tensor, added: int | None = None) -> None:
        """Choose units from rows (R, O): the first time their mean and standard deviation (constant entries keep their unit).

        Later calls only enlarge a unit that has become too small, as for a cart that now travels
        further. They never shrink one: a good agent visits few states, and units that followed it
        would blow up what is left of the error. The weights stay, so for a moment the predictions
        in that entry stretch with the unit. (Scaling the weights against it, so that no prediction
        moves, was measured too: InvertedPendulum was held by fewer seeds.)

        Args:
            observation: (R, O). added: rows ever added to the buffer that holds these; R if None.
        """
        if self.measured == 0:
            centre, scale = observation_units(observation)
            self.centre.copy_(centre)
            self.scale.copy_(scale)
        else:
            self.scale.copy_(torch.maximum(self.scale, (observation - self.centre).square().mean(0).sqrt()))
        self.measured.fill_(len(observation) if added is None else added)

    def standardized(self, observation: Tensor) -> Tensor:
        """(..., O) in the environment's units -> (..., O) in the model's: a row of numbers, of a picture too."""
        return self.squash((observation.flatten(-len(self.shape)) - self.centre) / self.scale)

    def encode(self, observation: Tensor) -> Tensor:
        """o_t -> e_t: (..., O) -> (..., E)."""
        return self.encoder(self.standardized(observation))

    def decode(self, features: Tensor) -> Tensor:
        """s_t -> the predicted o_t in the environment's units: (..., F) -> (..., O)."""
        return (self.unsquash(self.decoder(features)) * self.scale + self.centre).unflatten(-1, self.shape)

    def observe(self, window: Window, noise: Tensor | None = None) -> Beliefs:
        """Filter a window: see `RSSM.observe`."""
        return self.rssm.observe(window.h, self.encode(window.observation), window.action, window.first, noise)

    def predict_reward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What r_t is, read from s_t: (..., F) -> mean (...), standard deviation (...)."""
        return self.reward.stats(self.reward(features))

    def predict_continue(self, features: Tensor) -> Tensor:
        """The logit that the episode goes on after s_t: (..., F) -> (...). With a folded discount, that both do."""
        return self.cont.logit(features)

    @property
    def folded(self) -> float:
        """The discount that the continue head learns as well: 1 if none."""
        return 1 - 1 / self.config.discount_horizon if self.config.discount_horizon else 1.0

    def loss(self, window: Window, noise: Tensor | None = None, beliefs: Beliefs | None = None) -> tuple[dict[str, Tensor], Beliefs]:
        """Filter a window, and the whole objective on all of its rows, as a dict of scalars with the sum under "total".

        total = observation_scale * observation + reward_scale * reward + continue + kl_scale * balanced KL + overshoot_scale * overshoot

        Each term is a mean over all rows (B, T), the last one over the rows of its dreams; without
        overshooting (config.overshoot = 0, or windows of no more rows) it is not there. Entries that
        start with "stat_" are reported, not trained on: what a Normal of fixed width pays for its
        height is no error, so the reward has one of its own there.

        Args:
            window: B windows of T rows. noise: for the samples of z, drawn here if None.
            beliefs: those of the window, where they are known already.

        Returns:
            The losses by name, and the beliefs.
        """
        beliefs = self.observe(window, noise) if beliefs is None else beliefs
        config, rssm = self.config, self.rssm
        features = beliefs.features  # (B, T, F)
        prior = rssm.prior(beliefs.h)  # (B, T, P)

        kl_dyn, kl_rep = rssm.latent.both_kl(beliefs.posterior, prior)  # (B, T)
        kl, kl_scale = KLS[config.kl](kl_dyn, kl_rep, config)
        reward = self.reward(features)
        rows = {
            "observation": nets.squared_error(self.decoder(features), self.standardized(window.observation)),
            # Its mean already: first rows are left out there.
            "reward": self.reward.loss(reward, window.reward, window.first),
            "continue": self.cont.loss(self.predict_continue(features), window.terminal, self.folded),
            "kl": kl,
        }  # (B, T)
        weights = {"observation": config.observation_scale, "reward": config.reward_scale, "kl": kl_scale}
        if 0 < config.overshoot < window.first.shape[1]:
            rows["overshoot"], weights["overshoot"] = self.overshoot_loss(beliefs, window), config.overshoot_scale
        losses = one_loss(rows, weights)
        with torch.no_grad():
            brought = 1 - window.first
            miss = nets.squared_error(self.reward.stats(reward)[0].unsqueeze(-1), window.reward.unsqueeze(-1))
            losses["stat_reward_error"] = (brought * miss).sum() / brought.sum().clamp(min=1)
            losses["stat_kl"] = kl_dyn.mean()
            losses["stat_prior_entropy"] = rssm.latent.entropy(prior).mean()
            losses["stat_posterior_entropy"] = rssm.latent.entropy(beliefs.posterior).mean()
        return losses, beliefs

    def overshoot_loss(self, beliefs: Beliefs, window: Window) -> Tensor:
        """What dreams of K = config.overshoot rows say about the observations and rewards that came (no row after an episode's end).

        A departure from the paper: observation overshooting (Amos et al., "Learning Awareness Models",
        ICLR 2018; PlaNet, arXiv 1811.04551, section 4). Dreams leave rows 0, K, 2K, ... of the
        window, without noise: each z is the most likely one of its prior. Each of their rows is read
        by decoder and reward head. Between rows z is cut as everywhere, so this is a learning signal
        for h alone, several steps ahead: where the observation hides something, h must carry it.

        Args:
            beliefs: of the window, T rows.
            window: (B, T) with T > K.

        Returns:
            (B, K, dreams), half the squared error plus config.reward_scale times the reward's loss.
        """
        config, rssm, steps = self.config, self.rssm, self.config.overshoot
        starts = torch.arange(0, window.first.shape[1] - steps, steps)
        rows = starts + torch.arange(1, steps + 1)[:, None]  # (K, dreams)
        h, z, features = beliefs.h[:, starts].flatten(0, 1), beliefs.z[:, starts].flatten(0, 1), []
        still = h.new_zeros(())  # noise would be paid for in squared error, and the prior would learn to be sure of everything
        for at in rows:
            z_in = z.detach() if config.detach_z else z
            h, z = rssm.dream_step(h, z_in, window.action[:, at - 1].flatten(0, 1), still)
            features.append(torch.cat([h, z], -1).unflatten(0, (-1, len(starts))))
        dreamt = torch.stack(features, 1)  # (B, K, dreams, F)
        same_episode = (1 - window.first[:, rows]).cumprod(1)
        reward = self.reward.nll(self.reward(dreamt), window.reward[:, rows])
        observation = nets.squared_error(self.decoder(dreamt), self.standardized(window.observation[:, rows]))
        return same_episode * (config.observation_scale * observation + config.reward_scale * reward)

    @torch.no_grad()
    def warm_up(self, window: Window, rows: int) -> Window:
        """Spend the first `rows` rows on making h accurate; return the rest, starting from that h."""
        if rows == 0:
            return window
        head = self.observe(window.rows(0, rows + 1))  # one row more: its h is where the rest starts
        return window.rows(rows, None)._replace(h=head.h[:, rows])

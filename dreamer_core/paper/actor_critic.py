"""DreamerV3's actor-critic: v(s) over bins, lambda-returns, REINFORCE with an advantage in units of the returns' range.

v1 stands SAC in its place. The pieces, and what v1 has instead:

    v(s), a distribution over bins            two q(s, a), mean squared error
    lambda-return with the critic itself      one step or H steps, with the target critics and one sampled action
    slow critic: a second target              target critics: the only ones read
    replayed rewards train v too              imagined ones alone
    advantage over the range of returns       E[Q] + H as the baseline, rewards scaled by a constant
    score function for every kind of action   pathwise through the target critics (preset `dropin`)

Sources: DreamerV3 (arXiv 2301.04104v2), "Critic learning" and "Actor learning"; official code, dreamerv3/agent.py
(imag_loss, repl_loss), embodied/jax/heads.py and configs.yaml. In the code of 2023 the actor followed the
gradient through the dynamics where actions are continuous. The returns read the fast critic in every version;
a switch for the slow one, `slowtar`, is off.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dreamer_core import nets
from dreamer_core.config import DreamerV3Config, OptimizerConfig
from dreamer_core.nets import normal_entropy
from dreamer_core.optimize import descend, make_optimizer
from dreamer_core.paper.return_range import ReturnRange
from dreamer_core.paper.twohot import symexp_bins, twohot_loss, twohot_mean, zero_
from dreamer_core.returns import alive_weight, backup, lambda_return
from dreamer_core.sac import ema_update
from dreamer_core.trajectories import Replayed, Trajectories

# --- policies ------------------------------------------------------------------------------------


def bounded_normal(mean_raw: Tensor, std_raw: Tensor, low: float = 0.1, high: float = 1.0) -> tuple[Tensor, Tensor]:
    """Mean tanh(mean_raw) and standard deviation between `low` and `high`, all (..., A). A raw 0 gives 0.89 of the way up."""
    return torch.tanh(mean_raw), low + (high - low) * torch.sigmoid(std_raw + 2)


def normal_log_prob(mean: Tensor, std: Tensor, action: Tensor) -> Tensor:
    """log N(action; mean, std) of a diagonal Normal: all (..., A) -> (...)."""
    return -nets.gaussian_nll(mean, std, action).sum(-1)


class NormalActor(nn.Module):
    """pi(a | s) = N(tanh(mu), sigma), with no tanh around the sample: the world clips what lies beyond [-1, 1].

    Args:
        config: sizes, and bounds of sigma. features: size F of a state. action: size A.
    """

    def __init__(self, config: DreamerV3Config, features: int, action: int) -> None:
        super().__init__()
        self.config = config
        self.net = small_output(nets.mlp(features, config.units, config.layers, 2 * action, "rms"), config.out_scale)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """(..., F) -> mean and standard deviation, each (..., A)."""
        return bounded_normal(*self.net(state).chunk(2, -1), self.config.std_min, self.config.std_max)

    def draw(self, state: Tensor) -> Tensor:
        """A sample, for acting and dreaming: (..., F) -> (..., A)."""
        mean, std = self(state)
        return mean + std * torch.randn_like(mean)

    def mode(self, state: Tensor) -> Tensor:
        """The action for evaluation: (..., F) -> (..., A)."""
        return self(state)[0]

    def log_prob_and_entropy(self, state: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """log pi of what was drawn, and the policy's entropy there: (..., F), (..., A) -> (...), (...)."""
        mean, std = self(state)
        return normal_log_prob(mean, std, drawn), normal_entropy(std)

    @staticmethod
    def squash(drawn: Tensor) -> Tensor:
        """The action that a sample stands for, in [-1, 1]: (..., A)."""
        return drawn.clamp(-1, 1)


class CategoricalActor(nn.Module):
    """pi(a | s) over A discrete actions, each a one-hot vector. (No uniform share is mixed in. v2 of the paper has 1%, as the code of
    2023 and of April 2024 did; the current code still sets it, and its categorical head does not read it.)

    Args:
        config: sizes. features: size F of a state. action: number A of actions.
    """

    def __init__(self, config: DreamerV3Config, features: int, action: int) -> None:
        super().__init__()
        self.net = small_output(nets.mlp(features, config.units, config.layers, action, "rms"), config.out_scale)

    def draw(self, state: Tensor) -> Tensor:
        """A sample, one-hot: (..., F) -> (..., A)."""
        logits = self.net(state)
        return F.one_hot((logits - torch.empty_like(logits).exponential_().log()).argmax(-1), logits.shape[-1]).to(logits)

    def mode(self, state: Tensor) -> Tensor:
        """The most likely action, one-hot: (..., F) -> (..., A)."""
        logits = self.net(state)
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits)

    def log_prob_and_entropy(self, state: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """log pi of what was drawn, and the policy's entropy there: (..., F), (..., A) -> (...), (...)."""
        log_prob = F.log_softmax(self.net(state), -1)
        return (log_prob * drawn).sum(-1), -(log_prob.exp() * log_prob).sum(-1)

    @staticmethod
    def squash(drawn: Tensor) -> Tensor:
        """A one-hot vector is an action as it is."""
        return drawn


ACTORS: dict[str, type[NormalActor | CategoricalActor]] = {"auto": NormalActor, "normal": NormalActor, "categorical": CategoricalActor}


def small_output(net: nn.Sequential, scale: float) -> nn.Sequential:
    """The last layer's weights made smaller and its bias 0, so that a policy starts nearly the same everywhere."""
    with torch.no_grad():
        net[-1].weight.mul_(scale)
        net[-1].bias.zero_()
    return net


# --- losses --------------------------------------------------------------------------------------


def policy_loss(
    log_prob: Tensor, entropy: Tensor, returns: Tensor, value: Tensor, scale: Tensor, weight: Tensor, entropy_scale: float
) -> Tensor:
    """-w [log pi(a | s) sg((R - v(s)) / S) + entropy_scale H], elementwise (N, H).

    Args:
        log_prob, entropy: of the action taken, and of the policy, with the actor's gradient.
        returns, value: R and v(s) of the step. scale: S, the range of returns. weight: w.
    """
    advantage = ((returns - value) / scale).detach()
    return -weight.detach() * (log_prob * advantage + entropy_scale * entropy)


def value_loss(logits: Tensor, returns: Tensor, slow_mean: Tensor, weight: Tensor, bins: Tensor, slow_scale: float = 1.0) -> Tensor:
    """w times the critic's cross-entropy to R, plus `slow_scale` times that to the slow critic's mean: elementwise (...).

    Args:
        logits: (..., K), v's distribution. returns, slow_mean, weight: (...), as data.
    """
    towards = twohot_loss(logits, returns.detach(), bins) + slow_scale * twohot_loss(logits, slow_mean.detach(), bins)
    return weight.detach() * towards


def replay_returns(reward: Tensor, last: Tensor, terminal: Tensor, dreamt: Tensor, discount: float, lam: float) -> Tensor:
    """Lambda-returns along K replayed rows, from each of which a dream started: all (N, K) -> (N, K - 1).

        R_k = r_{k+1} + discount (1 - terminal_{k+1}) [(1 - m) d_{k+1} + m R_{k+1}],    m = lam (1 - last_{k+1}),    R_{K-1} = d_{K-1}

    Args:
        reward: arriving with each row. last: 1 where the episode ended in any way. terminal: 1 where it truly ended.
        dreamt: d, the return of the dream that started at each row.
    """
    returns = [dreamt[:, -1]]
    for k in reversed(range(1, reward.shape[1])):
        mix = lam * (1 - last[:, k])
        ahead = (1 - mix) * dreamt[:, k] + mix * returns[-1]
        returns.append(backup(reward[:, k], 1 - terminal[:, k], ahead, discount))
    return torch.stack(returns[:0:-1], 1)


def last_rows(first: Tensor, terminal: Tensor) -> Tensor:
    """Where episodes ended in any way: (N, K), (N, K) -> (N, K). A window's last row counts as no end where it is no true end."""
    followed = torch.cat([first[:, 1:], torch.zeros_like(first[:, :1])], 1)
    return torch.maximum(terminal, followed)


# --- the critic ----------------------------------------------------------------------------------


class Critic(nn.Sequential):
    """v(s) as a distribution over bins: a network that writes logits, (..., F) -> (..., K).

    Its last layer starts at 0: so does every value, since equal weights of all bins cancel.

    Args:
        config: widths and layers, and the weight of the second target. features: size F of a state.
    """

    def __init__(self, config: DreamerV3Config, features: int) -> None:
        bins = symexp_bins()
        super().__init__(*nets.mlp(features, config.units, config.layers, len(bins), "rms"))
        zero_(self[-1])
        self.slow_scale = config.slow_scale
        self.register_buffer("bins", bins, persistent=False)

    def value(self, logits: Tensor) -> Tensor:
        """v(s), the mean of the distribution with these logits: (..., K) -> (...)."""
        return twohot_mean(logits, self.bins)

    def loss(self, logits: Tensor, returns: Tensor, slow_mean: Tensor, weight: Tensor) -> Tensor:
        """What each state costs (`value_loss`): (..., K), then three (...) as data -> (...)."""
        return value_loss(logits, returns, slow_mean, weight, self.bins, self.slow_scale)


# --- the whole -----------------------------------------------------------------------------------


class DreamerV3ActorCritic(nn.Module):
    """What takes SAC's place: an actor, a critic v(s), its slow copy, and the range of returns.

    Args:
        config: sizes, rates and weights.
        features: size F of a state. action: size A, or the number of discrete actions.
        folded: whether the continue probabilities of dreams hold the discount already.
    """

    RATES = "dreamerv3.lr"  # the setting of its learning rate

    def __init__(self, config: DreamerV3Config, features: int, action: int, folded: bool = False) -> None:
        super().__init__()
        self.config = config
        self.actor = ACTORS[config.actor](config, features, action)
        self.v = Critic(config, features)
        self.v_slow = copy.deepcopy(self.v).requires_grad_(False)
        self.range = ReturnRange(config.range_rate, floor=config.range_floor)
        self.discount = 1 - 1 / config.horizon
        self.dream_discount = 1.0 if folded else self.discount
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))

    def make_optimizer(self, config: OptimizerConfig | None = None) -> torch.optim.Optimizer:
        """One optimiser with a group for the actor and one for the critic; it holds no world-model parameter."""
        parts = (self.actor, self.v)
        return make_optimizer([{"params": list(part.parameters()), "lr": self.config.lr} for part in parts], config)

    def restate_values(self, factor: float, shift: float) -> None:
        """The range of returns in another unit. The bins hold every unit of values, and which of them are likely is learned again."""
        self.range.restate(factor, shift)

    def value(self, state: Tensor) -> Tensor:
        """v(s): (..., F) -> (...)."""
        return self.v.value(self.v(state))

    def learn(self, dream: Trajectories, replayed: Replayed, optimizer: torch.optim.Optimizer, updates: int) -> dict[str, Tensor]:
        """Several updates on the whole of one dream and on the rows it started from; metrics of the last."""
        metrics = {}
        for _ in range(updates):
            metrics = self.update(dream, replayed, optimizer)
        return metrics

    def update(self, dream: Trajectories, replayed: Replayed, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
        """One step of actor and critic on N dreams of H steps, then one of the slow critic.

        One backward pass serves both: neither loss reaches the other's parameters.

        Returns metrics as scalars: "critic_loss", "replay_loss", "actor_loss", "value_mean", "return_mean",
        "return_range", "entropy", "actor_grad_norm" and "critic_grad_norm".
        """
        config = self.config
        logits = self.v(dream.state)  # (N, H + 1, K)
        value = self.v.value(logits).detach()
        with torch.no_grad():
            slow = self.v_slow.value(self.v_slow(dream.state))
        returns = lambda_return(dream.reward, dream.cont, value[:, 1:], torch.zeros_like(dream.reward), self.dream_discount, config.lam)
        self.range.update(returns)
        weight = dream.weight[:, None] * alive_weight(self.dream_discount * dream.cont)
        log_prob, entropy = self.actor.log_prob_and_entropy(dream.state[:, :-1], dream.pre_tanh)
        actor = policy_loss(log_prob, entropy, returns, value[:, :-1], self.range.scale(), weight, config.entropy_scale).mean()
        critic = self.v.loss(logits[:, :-1], returns, slow[:, :-1], weight).mean()
        replay = self.replay_loss(replayed, returns[:, 0].view_as(replayed.reward))
        actor_norm, critic_norm = descend(actor + critic + config.replay_scale * replay, optimizer, config.clip_norm)
        ema_update(self.v_slow, self.v, 1 - config.slow_rate)
        self.updates += 1
        return {
            "critic_loss": critic.detach(),
            "replay_loss": replay.detach(),
            "actor_loss": actor.detach(),
            "value_mean": value.mean(),
            "return_mean": returns.mean(),
            "return_range": self.range.scale(),
            "entropy": entropy.detach().mean(),
            "actor_grad_norm": actor_norm,
            "critic_grad_norm": critic_norm,
        }

    def replay_loss(self, replayed: Replayed, dreamt: Tensor) -> Tensor:
        """The critic's loss on real rewards, along the rows that dreams left; `dreamt` (N, K) is what each of these returned. -> ()."""
        if replayed.reward.shape[1] == 1:  # a single row has no reward after it
            return replayed.reward.new_zeros(())
        last = last_rows(replayed.first, replayed.terminal)
        returns = replay_returns(replayed.reward, last, replayed.terminal, dreamt, self.discount, self.config.lam)
        state = replayed.state[:, :-1]
        with torch.no_grad():
            slow = self.v_slow.value(self.v_slow(state))
        return self.v.loss(self.v(state), returns, slow, 1 - last[:, :-1]).mean()

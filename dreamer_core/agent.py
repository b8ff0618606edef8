"""The agents: Dreamer = world model + SAC + latent replay; and the same SAC without a model.

Both offer what the training loop calls: `live` and `learn_after`.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dreamer_core import checkpoint
from dreamer_core.config import Config, from_dict, to_dict
from dreamer_core.errors import CheckpointError
from dreamer_core.imagine import imagine
from dreamer_core.optimize import descend, make_optimizer
from dreamer_core.paper.actor_critic import DreamerV3ActorCritic
from dreamer_core.replay import LatentReplay, Replay, Window
from dreamer_core.returns import hoped_value, one_step_spread
from dreamer_core.rssm import Beliefs
from dreamer_core.sac import SAC, Actor
from dreamer_core.senses import Shape, entries, shape_of, size_of
from dreamer_core.trajectories import Replayed, Trajectories
from dreamer_core.world_model import WorldModel


class Carry(NamedTuple):
    """What a policy remembers between two steps of B environments."""

    h: Tensor  # (B, D)
    z: Tensor  # (B, Z)
    action: Tensor  # (B, A)


class Agent:
    """What both agents share: modules, optimisers and replay, saved and restored together.

    Attributes:
        modules: everything with parameters, by name. optimizers: Adam, by name.
        replay: the buffer. grad_steps: gradient steps taken, of any part.
    """

    config: Config
    sac: SAC
    modules: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]
    replay: Replay
    device: torch.device
    grad_steps = 0

    def live(self, carry: Carry, observation: Tensor, reward: float, first: bool, terminal: bool) -> Carry:
        """Take in the next row (O,) of an episode: believe what it shows, choose an action, and store the row with that belief.

        The action is stored by whoever takes it, or another in its place (`replay.set_action`).
        """
        observation = observation.to(self.device)
        carry = self.policy(carry, observation[None], torch.full((1,), float(first), device=self.device), explore=True)
        self.remember(carry, observation, reward, first, terminal)
        return carry

    def learn_after(self, step: int, report: Callable[[float], None] = lambda share: None) -> dict[str, Tensor]:
        """What is learned after the step of this number: `pretrain` after the random steps, then `learn` every few steps. Metrics."""
        schedule = self.config.schedule
        if step == schedule.prefill:
            return self.pretrain(report)
        return self.learn() if step > schedule.prefill and step % schedule.every == 0 else {}

    def measure_rewards(self) -> None:
        """With `sac.reward_unit="returns"`: choose the unit of rewards, and enlarge it whenever returns spread further.

        The agent then learns from rewards whose one-step returns are spread by `sac.reward_scale`
        (`one_step_spread`). Before the first learning, predictions start at the best reward in the
        buffer and at the value of getting it for ever (`hoped_value`). What was learned stays what it
        is in the world's units. A unit never shrinks, as those of observations do not: a good agent
        meets few returns.
        """
        replay, config = self.replay, self.config.sac
        if config.reward_unit == "fixed":
            return
        reward, cont = replay.arrivals()
        unit = one_step_spread(reward, cont, config.gamma) / config.reward_scale
        first = replay.reward_rows == 0
        if unit <= (0 if first else replay.reward_unit):
            return
        if first and self.grad_steps == 0:
            self.restate(1.0, float(reward.max()) / unit, hoped_value(reward, cont, config.gamma) / unit)
        else:
            self.restate(replay.reward_unit / unit, 0.0, 0.0)
        replay.reward_unit, replay.reward_rows = unit, replay.count

    def restate(self, factor: float, reward: float, value: float) -> None:
        """Multiply every prediction of rewards and values by `factor`, and add to each its own number."""
        self.sac.restate_values(factor, value)

    def in_world_units(self, value: "Tensor | float") -> "Tensor | float":
        """Rewards, returns or values in the units that the agent learns from -> in those that the environment gave."""
        return value * self.replay.reward_unit / self.config.sac.reward_scale

    def in_own_units(self, value: "Tensor | float") -> "Tensor | float":
        """The inverse of `in_world_units`."""
        return value * self.config.sac.reward_scale / self.replay.reward_unit

    def taken(self) -> dict[str, int]:
        """How many updates each optimiser has made, by name."""
        actor_critic = int(self.sac.updates)
        made = {"model": self.grad_steps - actor_critic, "sac": actor_critic}
        return {name: made[name] for name in self.optimizers}

    def planned(self) -> dict[str, int]:
        """How many updates each optimiser makes in a run of `config.env_steps`, by name."""
        raise NotImplementedError

    def rounds(self) -> int:
        """How many rounds of learning there are in a run of `config.env_steps`."""
        config = self.config
        return max(0, config.env_steps // config.schedule.every - config.schedule.prefill // config.schedule.every)

    def anneal(self) -> None:
        """Lower all learning rates as `rate_factor` or `cosine_factor` says, so that late small steps keep what was learned.

        With `optimizer.warmup` each part's rate rises from 0 first, so that the first steps, of gradients whose size is not known
        yet, are small.
        """
        schedule, warmup = self.config.schedule, self.config.optimizer.warmup
        taken, planned = self.taken(), self.planned()
        for name, optimizer in self.optimizers.items():
            falls = cosine_factor(taken[name], planned[name]) if schedule.anneal else rate_factor(self.grad_steps, schedule.halving)
            rises = min(1.0, taken[name] / warmup) if warmup else 1.0
            for group in optimizer.param_groups:
                group["lr"] = rises * falls * group.setdefault("initial_lr", group["lr"])

    @property
    def warming_up(self) -> bool:
        """Whether a learning rate still rises."""
        return min(self.taken().values()) <= self.config.optimizer.warmup > 0

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that decides what the agent does next, as named tensors (copies: training on does not change them)."""
        state = {"grad_steps": torch.tensor(self.grad_steps)}
        for name, module in self.modules.items():
            state |= {f"module.{name}.{key}": value.clone() for key, value in module.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            for number, slots in optimizer.state_dict()["state"].items():
                state |= {f"optimizer.{name}.{number}.{key}": value.clone() for key, value in slots.items()}
        return state | {f"replay.{key}": value for key, value in self.replay.state_dict().items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`."""
        self.grad_steps = int(state["grad_steps"])
        for name, module in self.modules.items():
            module.load_state_dict(under(state, f"module.{name}."))
        for name, optimizer in self.optimizers.items():
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in under(state, f"optimizer.{name}.").items():
                number, slot = key.split(".")
                slots.setdefault(int(number), {})[slot] = value
            optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})
        self.replay.load_state_dict(under(state, "replay."))


def under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def rate_factor(grad_steps: int, halving: int) -> float:
    """What is left of a learning rate: 1 / (1 + grad_steps / halving), so a half after `halving` steps; all of it if `halving` is 0."""
    return 1 / (1 + grad_steps / halving) if halving else 1.0


def cosine_factor(taken: int, planned: int) -> float:
    """The same along half a cosine: 1 before the first of the planned updates, a half in the middle, 0 after the last.

    Source: Loshchilov and Hutter (arXiv 1608.03983), equation 5, without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * min(1.0, taken / max(1, planned))))


def turns(models: int, agents: int) -> list[str]:
    """The order of a round of learning: "model" and "agent" take turns, the model first; what one has left over follows at the end."""
    order = []
    for number in range(max(models, agents)):
        if number < models:
            order.append("model")
        if number < agents:
            order.append("agent")
    return order


def see_and_act(model: WorldModel, actor: Actor, carry: Carry, observation: Tensor, first: Tensor, explore: bool) -> Carry:
    """One filtering step and a choice: the belief (h, z) follows the observation, and the actor reads it.

    Args:
        carry: what was believed and done one step ago, each (B, ...).
        observation: (B, O), or pictures (B, H, W, C): what is seen now. first: (B,), 1 where an episode starts: there h is 0.
        explore: sample z and the action; otherwise both are the most likely ones.
    """
    rssm = model.rssm
    h = rssm.step(carry.h, carry.z, carry.action) * (1 - first.unsqueeze(-1))
    posterior = rssm.posterior(h, model.encode(observation))
    z = rssm.latent.sample(posterior, rssm.latent.noise(len(h), device=h.device)) if explore else rssm.latent.mode(posterior)
    state = torch.cat([h, z], -1)
    action = actor.squash(actor.draw(state)) if explore else actor.mode(state)
    return Carry(h, z, action)


def dream_starts(h: Tensor, z: Tensor, terminal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where dreams begin: at the last row of N windows that were just filtered.

    Args:
        h, z: (N, T, D), (N, T, Z), beliefs. terminal: (N, T), 1 where the episode truly ended.

    Returns:
        h (N, D), z (N, Z) and a weight (N,): 0 where the episode is over at that row, since nothing follows.
    """
    return h[:, -1], z[:, -1], 1 - terminal[:, -1]


# Who acts and judges in dreams, by the value of `actor_critic`; each made for states of F entries and actions of A.
ACTOR_CRITICS: dict[str, Callable[[Config, int, int], SAC | DreamerV3ActorCritic]] = {
    "sac": lambda config, features, action: SAC(config.sac, features, action),
    "dreamerv3": lambda config, features, action: DreamerV3ActorCritic(
        config.dreamerv3, features, action, folded=config.model.discount_horizon > 0
    ),
}


class Dreamer(Agent):
    """Learns a world model from experience, and to act from dreams alone.

    Args:
        config: the whole tree. observation: size O, or the shape (H, W, C) of a picture. action: size A. device: where tensors live.
    """

    def __init__(self, config: Config, observation: int | Shape, action: int, device: torch.device | str = "cpu") -> None:
        self.config, self.device, self.action = config, torch.device(device), action
        self.model = WorldModel(config.model, observation, action).to(device)
        rssm = self.model.rssm
        self.sac = ACTOR_CRITICS[config.actor_critic](config, rssm.features, action).to(device)
        self.replay = LatentReplay(config.replay, size_of(observation), action, rssm.deter, rssm.latent.size, device, self.model.stored)
        self.optimizers = {
            "model": make_optimizer([{"params": list(self.model.parameters()), "lr": config.model.lr}], config.optimizer),
            "sac": self.sac.make_optimizer(config.optimizer),
        }
        self.modules = {"model": self.model, "sac": self.sac}

    def save(self, path: Path | str, half: bool = False) -> None:
        """Write the trained parts (no optimiser, no replay) and the configuration to one small file.

        Args:
            half: numbers of 16 bits: half the size, and three digits.

        Raises:
            OSError: the disk is full or read-only.
        """
        sizes = {"observation": self.model.shape, "action": self.action}
        tensors = {f"{name}.{key}": value for name, module in self.modules.items() for key, value in module.state_dict().items()}
        if half:
            tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
        tensors |= self.replay.unit()
        checkpoint.save_one(Path(path), tensors, {"config": to_dict(self.config)} | sizes)

    @classmethod
    def load(cls, path: Path | str, warn: Callable[[str], None] = print, replay: bool = False) -> "Dreamer":
        """The agent that a run has trained, or that `save` wrote, ready to act and to dream; its replay buffer is empty.

        Args:
            path: a run's folder, of which the newest whole checkpoint counts; one of its checkpoints; or a file of `save`.
            warn: called with a sentence for each damaged checkpoint that is passed over.
            replay: load the run's replay buffer, too.

        Raises:
            CheckpointError: nothing is there, it is damaged, of another version, or was trained without a world model; or a
                replay buffer was asked for, and a file of `save` has none.
        """
        path = Path(path)
        if path.is_dir() or checkpoint.is_of_a_run(path):
            tensors, state = checkpoint.load_of_a_run(path, warn)
            weights, sizes = under(tensors, "agent.module."), (tuple(tensors["observation"].shape), tensors["held"].numel())
            unit = under(tensors, "agent.replay.")
        else:
            weights, state = checkpoint.load_one(path)
            sizes, unit = (state["observation"], state["action"]), weights
        config = from_dict(state["config"])
        if config.agent != "dreamer":
            raise CheckpointError(f"the run in {path} has no world model (it was trained with --agent {config.agent}), so it cannot dream")
        agent = cls(config, *sizes)
        for name, module in agent.modules.items():
            module.load_state_dict(under(weights, f"{name}."))
        agent.replay.load_unit(unit)
        if replay:
            if "count" not in unit:
                raise CheckpointError(f"{path} holds an agent without its replay buffer: name the folder of a run, or leave replay out")
            agent.replay.load_state_dict(unit)
        return agent

    def initial(self, batch: int) -> Carry:
        """The carry before a first observation."""
        h, z = self.model.rssm.initial(batch)
        return Carry(h, z, h.new_zeros(batch, self.action))

    @torch.no_grad()
    def policy(self, carry: Carry, observation: Tensor, first: Tensor, explore: bool) -> Carry:
        """Update the belief with observations (B, O) and choose actions (B, A): `see_and_act`, without gradient."""
        return see_and_act(self.model, self.sac.actor, carry, observation, first, explore)

    def remember(self, carry: Carry, observation: Tensor, reward: float, first: bool, terminal: bool) -> None:
        """Store a row and the belief held there (carry of batch 1)."""
        scaled = reward * self.config.sac.reward_scale
        self.replay.add(
            observation=observation, reward=scaled, first=first, terminal=terminal, h=carry.h[0], z=carry.z[0], update=self.grad_steps
        )

    def pretrain(self, report: Callable[[float], None] = lambda share: None) -> dict[str, Tensor]:
        """The learning that follows the random steps; it takes seconds, so `report` is told the share done."""
        self.measure_units()
        alone, both = self.config.schedule.pretrain_model, self.config.schedule.pretrain_both
        metrics = {}
        for number in range(alone + both):
            if self.config.schedule.anneal or self.warming_up:  # `halving` counts these steps too, but takes effect with the first round
                self.anneal()
            metrics |= self.learn_model()
            if number >= alone:
                metrics |= self.learn_policy()
            report((number + 1) / (alone + both))
        return metrics

    def learn(self) -> dict[str, Tensor]:
        """One round of learning: world model and agent in turn, on independent draws."""
        self.measure_units()
        self.anneal()
        metrics = {}
        for part in turns(self.config.schedule.model_updates, self.config.schedule.agent_updates):
            if self.warming_up:
                self.anneal()
            metrics |= self.learn_model() if part == "model" else self.learn_policy()
        return metrics

    def planned(self) -> dict[str, int]:
        """How many updates each optimiser makes in a run of `config.env_steps`, by name."""
        schedule, rounds = self.config.schedule, self.rounds()
        model = schedule.pretrain_model + schedule.pretrain_both + rounds * schedule.model_updates
        dreams = schedule.pretrain_both + rounds * schedule.agent_updates
        return {"model": model, "sac": dreams * schedule.sac_updates}

    def restate(self, factor: float, reward: float, value: float) -> None:
        """Multiply every prediction of rewards and values by `factor`, and add to each its own number."""
        super().restate(factor, reward, value)
        self.model.reward.restate(factor, reward)

    def measure_units(self) -> None:
        """Choose the units of rewards, and of observations again whenever the rows ever added have doubled (a full buffer stays full)."""
        self.measure_rewards()
        if self.model.measures and self.replay.count >= 2 * int(self.model.measured):
            self.model.set_units(self.replay.read("observation", self.replay.kept()), self.replay.count)

    def learn_model(self) -> dict[str, Tensor]:
        """One update of the world model; refreshed states go back into the buffer."""
        config = self.config.replay
        window = self.model.warm_up(self.replay.sample(config.batch, config.burn_in + config.length, fresh=True), config.burn_in)
        losses, beliefs = self.model.loss(window)
        (norm,) = descend(losses["total"], self.optimizers["model"], self.config.model.clip_norm)
        self.grad_steps += 1
        if config.write_back:
            self.replay.write_back(window.index, beliefs.h, beliefs.z, self.grad_steps)
        return {f"model/{name}": value.detach() for name, value in losses.items()} | {"model/grad_norm": norm}

    @torch.no_grad()
    def look_back(self) -> tuple[Window, Beliefs]:
        """Freshly drawn windows of experience, for the agent alone, and what the model believes in them."""
        config = self.config.imagination
        window = self.replay.sample(config.starts, min(config.start_rows, len(self.replay)))
        return window, self.model.observe(window)

    def dream(self, seen: tuple[Window, Beliefs] | None = None) -> Trajectories:
        """Imagined trajectories from the last `imagination.last` rows of windows: those of `look_back`, or drawn here."""
        window, beliefs = seen or self.look_back()
        rows = window.first.shape[1]
        stops = range(rows - min(self.config.imagination.last, rows) + 1, rows + 1)
        starts = [dream_starts(beliefs.h[:, :stop], beliefs.z[:, :stop], window.terminal[:, :stop]) for stop in stops]
        h, z, weight = (torch.stack(parts, 1).flatten(0, 1) for parts in zip(*starts))  # all rows of one window, then of the next
        return imagine(self.model, self.sac.actor, h, z, weight, self.config.imagination.horizon)

    def learn_policy(self) -> dict[str, Tensor]:
        """Dream once, then update actor and critics on it. The world model is only read."""
        updates = self.config.schedule.sac_updates
        window, beliefs = seen = self.look_back()
        rows = slice(-self.config.imagination.last, None)
        replayed = Replayed(beliefs.features[:, rows], window.reward[:, rows], window.first[:, rows], window.terminal[:, rows])
        metrics = self.sac.learn(self.dream(seen), replayed, self.optimizers["sac"], updates)
        self.grad_steps += updates
        return {f"agent/{name}": value for name, value in metrics.items()}


class ModelFree(Agent):
    """The same SAC class on real transitions: what "drop-in" means, and an honest baseline."""

    def __init__(self, config: Config, observation: int | Shape, action: int, device: torch.device | str = "cpu") -> None:
        self.config, self.device = config, torch.device(device)
        self.action = action
        self.sac = SAC(config.sac, entries(shape_of(observation)), action).to(device)
        self.replay = LatentReplay(config.replay, size_of(observation), action, 0, 0, device)
        self.optimizers = {"sac": self.sac.make_optimizer(config.optimizer)}
        self.modules = {"sac": self.sac}

    def initial(self, batch: int) -> Carry:
        """An empty memory: this policy reads the observation alone."""
        empty = torch.zeros(batch, 0, device=self.device)
        return Carry(empty, empty, torch.zeros(batch, self.action, device=self.device))

    @torch.no_grad()
    def policy(self, carry: Carry, observation: Tensor, first: Tensor, explore: bool) -> Carry:
        """Choose actions (B, A) from observations (B, O)."""
        actor = self.sac.actor
        action = torch.tanh(actor.draw(observation)) if explore else actor.mode(observation)
        return carry._replace(action=action)

    def remember(self, carry: Carry, observation: Tensor, reward: float, first: bool, terminal: bool) -> None:
        """Store a row."""
        scaled = reward * self.config.sac.reward_scale
        self.replay.add(observation=observation, reward=scaled, first=first, terminal=terminal, h=carry.h[0], z=carry.z[0])

    def pretrain(self, report: Callable[[float], None] = lambda share: None) -> dict[str, Tensor]:
        """Nothing to learn ahead: there is no model."""
        return {}

    def planned(self) -> dict[str, int]:
        """How many updates the optimiser makes in a run of `config.env_steps`, by name."""
        return {"sac": self.rounds() * self.config.schedule.real_updates}

    def learn(self) -> dict[str, Tensor]:
        """One round of updates on real transitions."""
        self.measure_rewards()
        self.anneal()
        metrics = {}
        for _ in range(self.config.schedule.real_updates):
            if self.warming_up:
                self.anneal()
            rows = self.replay.transitions(self.config.sac.batch or 256)
            batch = Trajectories(
                state=rows.observation,
                pre_tanh=torch.atanh(rows.action[:, :1].clamp(-0.999999, 0.999999)),
                reward=rows.reward[:, 1:],
                cont=1 - rows.terminal[:, 1:],
                weight=torch.ones(len(rows.reward), device=self.device),
            )
            metrics = self.sac.update(batch, self.optimizers["sac"])
            self.grad_steps += 1
        return {f"agent/{name}": value for name, value in metrics.items()}

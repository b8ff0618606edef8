"""For each fault one number by hand: what a healthy core gives, and what the sick one gives."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from toys import model_config, random_window, small

from dreamer_core import agent as agents
from dreamer_core import imagine as dreams
from dreamer_core import latents, nets, optimize, replay, returns, sac, trainer
from dreamer_core.agent import Dreamer
from dreamer_core.config import ReplayConfig
from dreamer_core.rssm import RSSM
from dreamer_core.world_model import WorldModel


class Probe(NamedTuple):
    """One question to the core, asked through the names by which the core itself calls."""

    ask: Callable[[], Any]
    healthy: Any
    sick: Any


def rewards_of_a_window():
    """Row n of this buffer holds the reward n."""
    buffer = replay.LatentReplay(ReplayConfig(capacity=10), 1, 1, 1, 1)
    for number in range(8):
        nothing = torch.zeros(1)
        buffer.add(observation=nothing, reward=number, first=number == 0, terminal=False, h=nothing, z=nothing)
    return buffer.window(torch.tensor([2]), 3).reward[0].tolist()


def rows_stored():
    return replay.recomputed(torch.tensor([[5, 6, 7]]), torch.zeros(1, 3, 2), torch.zeros(1, 3, 2))[0].tolist()


def h_where_an_episode_starts():
    torch.manual_seed(0)
    rssm = RSSM(model_config(), 8, 2)
    first = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    beliefs = rssm.observe(torch.zeros(1, 6), torch.randn(1, 4, 8), torch.randn(1, 4, 2), first)
    return bool((beliefs.h[0, 2] == 0).all())


def first_row_that_hears_of_an_action():
    """The action that leaves row 3 is changed: h changes from which row on?"""
    torch.manual_seed(0)
    rssm = RSSM(model_config(), 8, 2)
    embed, action, noise = torch.randn(1, 6, 8), torch.zeros(1, 6, 2), torch.zeros(1, 6, 3)
    other = action.clone()
    other[0, 3] = 1
    one, two = (rssm.observe(torch.zeros(1, 6), embed, each, torch.zeros(1, 6), noise).h for each in (action, other))
    return int((one != two).any(-1)[0].nonzero()[0])


def z_carries_a_gradient():
    return WorldModel(model_config(), 3, 2).observe(random_window()).z.requires_grad


def kl_of_narrow_and_wide():
    zero, one = torch.zeros(1), torch.ones(1)
    return round(float(latents.gaussian_kl(zero, one, zero, 2 * one)), 4)


def slope_of_the_kl():
    kl = torch.tensor([3.0], requires_grad=True)
    latents.balanced_kl(kl, kl.detach(), 0.8, 0.05).sum().backward()
    return round(float(kl.grad), 4)


def noises_of_a_dream():
    """How many different noises a dream of four steps was given."""
    torch.manual_seed(0)
    model, actor, seen = WorldModel(model_config(), 3, 2), sac.Actor(small().sac, 9, 2), []
    step = model.rssm.dream_step
    model.rssm.dream_step = lambda h, z, action, noise: seen.append(noise.clone()) or step(h, z, action, noise)
    dreams.imagine(model, actor, torch.zeros(1, 6), torch.zeros(1, 3), torch.ones(1), 4)
    return len({tuple(noise.flatten().tolist()) for noise in seen})


def weight_of_a_start_at_an_end():
    return float(agents.dream_starts(torch.zeros(1, 2, 1), torch.zeros(1, 2, 1), torch.tensor([[0.0, 1.0]]))[2])


def noise_matters_in_a_dream_step():
    torch.manual_seed(0)
    rssm = RSSM(model_config(), 8, 2)
    h, z, action = torch.zeros(1, 6), torch.zeros(1, 3), torch.zeros(1, 2)
    one, two = (rssm.dream_step(h, z, action, torch.full((1, 3), noise))[1] for noise in (0.5, -0.5))
    return bool((one != two).any())


def target_after_an_update():
    target, source = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    target.weight.data.fill_(0.0)
    source.weight.data.fill_(1.0)
    sac.ema_update(target, source, 0.9)
    return round(target.weight.item(), 4)


def return_of_a_step_that_ends():
    """A reward of 1, then an end, where the value of the state reached would be 10: gamma is 1/2."""
    one, ends = torch.ones(1, 2), torch.tensor([[0.0, 1.0]])
    return float(returns.lambda_return(one, ends, 10 * one, 0 * one, 0.5, 0.0)[0, 0])


def mass_of_a_policy():
    """The integral of pi(a) over all actions, by a sum over small steps: 1 if it is a density of a."""
    u = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    density = torch.exp(sac.squashed_log_prob(u, torch.zeros_like(u), u))
    steps = torch.tanh(u[1:, 0]) - torch.tanh(u[:-1, 0])
    return round(float(((density[1:] + density[:-1]) / 2 * steps).sum()), 3)


def mass_of_u():
    """What the density of u gives in its place: the mean of 1 - tanh(u)^2 under a standard Normal, summed up."""
    u = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    return round(float((torch.exp(-u.square() / 2) / math.sqrt(2 * math.pi) * (1 - torch.tanh(u) ** 2)).sum() * 18 / 20_000), 3)


def slope_of_the_actors_loss():
    """d loss / d log pi of one action, with alpha = 0.1."""
    log_prob = torch.tensor([-1.0], requires_grad=True)
    action = sac.Action(torch.zeros(1, 1), log_prob)
    sac.pathwise_actor_loss(lambda state, act: torch.zeros(2, 1), torch.zeros(1, 1), action, 0.1, torch.ones(1)).backward()
    return round(float(log_prob.grad), 4)


def advantage_carries_a_gradient():
    log_prob = torch.tensor([-1.0], requires_grad=True)
    return sac.soft_advantage(torch.ones(1), log_prob, torch.zeros(1), 0.1).requires_grad


def what_the_encoder_is_given():
    """An observation of 5, where the middle is 3 and the unit 2."""
    torch.manual_seed(0)
    agent, seen = Dreamer(small(), 1, 1), []
    agent.model.centre.fill_(3.0)
    agent.model.scale.fill_(2.0)
    agent.model.encoder.register_forward_pre_hook(lambda module, args: seen.append(float(args[0])))
    agent.policy(agent.initial(1), torch.tensor([[5.0]]), torch.ones(1), explore=False)
    return round(seen[0], 4)


def evaluated_twice_alike():
    torch.manual_seed(0)
    agent = Dreamer(small(), 1, 1)
    one, two = (agent.policy(agent.initial(1), torch.ones(1, 1), torch.ones(1), explore=False).action for _ in range(2))
    return torch.equal(one, two)


def rate(optimizer: str, group: int):
    return lambda: round(Dreamer(small(), 1, 1).optimizers[optimizer].param_groups[group]["lr"], 7)


def second_step():
    """Two steps down the slope 1, each of size 0.1: how long is the second?"""
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer, places = torch.optim.SGD([param], lr=0.1), []
    for _ in range(2):
        optimize.descend(param.sum(), optimizer, 100.0)
        places.append(param.item())
    return round(places[0] - places[1], 4)


KL_WIDE = round(math.log(2) + 1 / 8 - 1 / 2, 4)
KL_NARROW = round(-math.log(2) + 4 / 2 - 1 / 2, 4)

PROBES: dict[str, Probe] = {
    "reward_row_early": Probe(rewards_of_a_window, [2, 3, 4], [3, 4, 5]),
    "limit_is_end": Probe(lambda: trainer.ending(False, True), (True, False), (True, True)),
    "few_rows": Probe(lambda: int(replay.free_starts(torch.arange(160), 160, 4).max()), 156, 19),
    "written_one_row_early": Probe(rows_stored, [[6, 7]], [[5, 6]]),
    "seam_ignored": Probe(h_where_an_episode_starts, True, False),
    "action_of_its_own_row": Probe(first_row_that_hears_of_an_action, 4, 3),
    "mean_over_entries": Probe(lambda: float(nets.squared_error(torch.ones(4), torch.zeros(4))), 2.0, 0.5),
    "heads_read_data": Probe(z_carries_a_gradient, True, False),
    "kl_reversed": Probe(kl_of_narrow_and_wide, KL_WIDE, KL_NARROW),
    "all_is_free": Probe(slope_of_the_kl, 0.8, 0.0),
    "same_noise": Probe(noises_of_a_dream, 4, 1),
    "also_after_the_end": Probe(weight_of_a_start_at_an_end, 0.0, 1.0),
    "no_chance": Probe(noise_matters_in_a_dream_step, True, False),
    "target_never_moves": Probe(target_after_an_update, 0.1, 0.0),
    "target_copied": Probe(target_after_an_update, 0.1, 1.0),
    "past_the_end": Probe(return_of_a_step_that_ends, 1.0, 6.0),
    "of_u_alone": Probe(mass_of_a_policy, 1.0, mass_of_u()),
    "entropy_twice": Probe(slope_of_the_actors_loss, 0.1, 0.2),
    "advantage_with_gradient": Probe(advantage_carries_a_gradient, False, True),
    "raw_units": Probe(what_the_encoder_is_given, 1.0, 5.0),
    "always_drawn": Probe(evaluated_twice_alike, True, False),
    "actor_rate_small": Probe(rate("sac", 0), 0.001, 0.00001),
    "model_rate_large": Probe(rate("model", 0), 0.001, 0.1),
    "gradients_pile_up": Probe(second_step, 0.1, 0.2),
}

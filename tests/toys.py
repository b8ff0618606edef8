"""Tiny settings and hand-made data that several test files share."""

import torch

from dreamer_core.config import from_dict
from dreamer_core.replay import LatentReplay, Window
from dreamer_core.trajectories import Trajectories

# Every number a test relies on is written here, so that new defaults change no test.
SMALL = {
    "model": dict(
        deter=6, latent="gaussian", stoch=3, classes=4, recurrence="gru", blocks=2, recurrence_layers=1, min_std=0.1, unimix=0.01, units=8,
        channels=3, encoder_layers=2, decoder_layers=1, head_layers=1, norm="none", standardize=False, symlog=False, detach_z=True,
        batched_unroll=True,
        observation_scale=1.0, kl="balanced", kl_scale=0.1, kl_balance=0.8, free_nats=0.0, kl_dyn=1.0, kl_rep=0.1, kl_free=0.0,
        reward_scale=1.0, reward_head="gaussian", reward_std=1.0, reward_min_std=0.05, overshoot=0, overshoot_scale=1.0, discount_horizon=0,
        lr=1e-3, clip_norm=100.0,
    ),
    "replay": dict(capacity=100, layout="free", start="stored", write_back=True, batch=4, length=5, burn_in=0, online=False),
    "imagination": dict(starts=6, start_rows=3, last=1, horizon=4),
    "sac": dict(
        units=8, layers=2, lam=0.0, soft=True, actor_grad="pathwise", gamma=0.9, alpha=0.1, alpha_final=0.1, alpha_updates=0,
        reward_scale=1.0, reward_unit="fixed", polyak=0.9, actor_lr=1e-3, critic_lr=1e-3, clip_norm=100.0, batch=16, baseline_samples=4,
        normalize_advantage=False, actor_out_scale=1.0, mean_limit=0.0, log_std_min=-20.0, log_std_max=2.0, zero_init=False,
        return_range=False,
    ),
    "dreamerv3": dict(
        actor="normal", units=8, layers=1, lam=0.9, horizon=10, entropy_scale=0.01, slow_rate=0.1, slow_scale=1.0, replay_scale=0.3,
        range_rate=0.1, range_floor=1.0, std_min=0.1, std_max=1.0, out_scale=0.5, lr=1e-3, clip_norm=100.0,
    ),
    "optimizer": dict(kind="adam", clip="norm", agc=0.3, warmup=0),
    "schedule": dict(
        prefill=10, hold=2, pretrain_model=2, pretrain_both=1, every=5, model_updates=2, agent_updates=2, sac_updates=2, real_updates=3,
        halving=0,
    ),
}  # fmt: skip


def small(**changes):
    """The small configuration; small(sac=dict(lam=1.0)) changes fields of a section."""
    sections = {name: fields | changes.pop(name, {}) for name, fields in SMALL.items()}
    return from_dict(sections | changes)


def model_config(**changes):
    return small(model=changes).model


def sac_config(**changes):
    return small(sac=changes).sac


def random_window(batch=4, length=6, observation=3, action=2, deter=6, firsts=(), terminals=(), dtype=torch.float32):
    """A window of noise; `firsts` and `terminals` list (row of the batch, time)."""
    first, terminal = torch.zeros(batch, length, dtype=dtype), torch.zeros(batch, length, dtype=dtype)
    for at in firsts:
        first[at] = 1
    for at in terminals:
        terminal[at] = 1
    return Window(
        observation=torch.randn(batch, length, observation, dtype=dtype),
        action=torch.rand(batch, length, action, dtype=dtype) * 2 - 1,
        reward=torch.randn(batch, length, dtype=dtype),
        first=first,
        terminal=terminal,
        h=torch.randn(batch, deter, dtype=dtype) * 0.5,
        index=torch.arange(batch * length).reshape(batch, length),
    )


def random_trajectories(number=5, horizon=4, features=9, action=2, dtype=torch.float32):
    return Trajectories(
        state=torch.randn(number, horizon + 1, features, dtype=dtype),
        pre_tanh=torch.randn(number, horizon, action, dtype=dtype),
        reward=torch.randn(number, horizon, dtype=dtype),
        cont=torch.rand(number, horizon, dtype=dtype),
        weight=torch.rand(number, dtype=dtype),
    )


def numbered_replay(rows, episode=0, **config):
    """A buffer whose row n holds n in every field, so that each number says where it came from.

    The action that leaves row n is n + 0.5. With `episode`, a new episode starts every so many
    rows, and the row before it is terminal.
    """
    replay = LatentReplay(small(replay=config).replay, observation=1, action=1, deter=2, stoch=1)
    for n in range(rows):
        value = torch.tensor([float(n)])
        replay.add(
            observation=value,
            reward=float(n),
            first=n == 0 or bool(episode and n % episode == 0),
            terminal=bool(episode and n % episode == episode - 1),
            h=torch.tensor([float(n), -float(n)]),
            z=value,
        )
        replay.set_action(value + 0.5)
    return replay


def fill(agent, rows=40, episode=8, observation=3, terminal=True):
    """Let an agent act on noise and remember it, in episodes of `episode` rows."""
    carry = agent.initial(1)
    for n in range(rows):
        first, last = n % episode == 0, n % episode == episode - 1
        seen = torch.randn(observation)
        carry = agent.policy(carry, seen[None], torch.tensor([float(first)]), explore=True)
        reward = 0.0 if first else float(torch.randn(()))
        agent.remember(carry, seen, reward, first, terminal and last)
        if not last:
            agent.replay.set_action(carry.action[0])
    return agent


def gradients(value, inputs):
    """d value / d input for one input or several, 0 where no path leads there; the graph stays."""
    inputs = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
    assert value.requires_grad, "there is no graph: no gradient leads from here to anything"
    found = torch.autograd.grad(value, inputs, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if grad is None else grad for x, grad in zip(inputs, found)]


def numbers(module):
    """A copy of every parameter and buffer."""
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(left, right):
    """Whether two such copies agree to the last bit."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)

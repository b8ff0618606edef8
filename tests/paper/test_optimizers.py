"""LaProp, adaptive clipping and warm-up: by hand, by their bounds, and as the agent applies them."""

import math
import pickle

import pytest
import torch
from toys import fill, numbers, same, small

from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.paper.agc import clip_by_agc
from dreamer_core.paper.laprop import LaProp
from dreamer_core.trajectories import Replayed

DOUBLE = torch.float64


def walk(grads, optimizer=LaProp, **settings):
    """The steps (T, ...) that a weight takes when it meets these gradients (T, ...), in float64."""
    weight = torch.zeros_like(torch.as_tensor(grads[0], dtype=DOUBLE)).requires_grad_()
    made, places = optimizer([weight], **settings), [weight.detach().clone()]
    for grad in grads:
        weight.grad = torch.as_tensor(grad, dtype=DOUBLE)
        made.step()
        places.append(weight.detach().clone())
    return torch.stack(places).diff(dim=0)


# --- LaProp ---------------------------------------------------------------------------------------


def test_three_steps_by_hand():
    """Divide first, average then; both averages freed of their start at 0."""
    grads, square, mean, expected = [2.0, -1.0, 0.5], 0.0, 0.0, []
    for step, g in enumerate(grads, 1):
        square = 0.9 * square + 0.1 * g * g
        mean = 0.8 * mean + 0.2 * g / math.sqrt(square / (1 - 0.9**step))
        expected.append(-0.01 * mean / (1 - 0.8**step))
    found = walk(grads, lr=0.01, beta2=0.9, momentum=0.8)
    assert found.tolist() == pytest.approx(expected, rel=1e-6), "the first three steps"


@pytest.mark.parametrize("size", [1e-12, 1.0, 1e12])
def test_the_first_step_is_the_learning_rate_whatever_the_gradient(size):
    assert walk([[size, -3 * size]], lr=0.01)[0].tolist() == pytest.approx([-0.01, 0.01])


def test_the_units_of_the_loss_do_not_matter():
    grads = torch.randn(50, 3, dtype=DOUBLE)
    for factor in (1e-9, 1e9):
        torch.testing.assert_close(
            walk(factor * grads, lr=0.01), walk(grads, lr=0.01), msg=lambda told, f=factor: f"gradients times {f}: {told}"
        )


def test_while_gradients_keep_their_size_a_step_is_about_as_long_as_the_rate():
    grads = 5 + torch.randn(300, 4, dtype=DOUBLE)
    steps = walk(grads, lr=0.01).abs()
    assert 0.008 < steps.min() and steps.max() < 0.0125, f"steps between {steps.min()} and {steps.max()} at a rate of 0.01"


@pytest.mark.parametrize("momentum", [0.0, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["an outlier after a calm", "growing without end", "of every size"])
def test_no_step_is_longer_than_the_bound(kind, momentum):
    """lr / sqrt(1 - beta2), which is 32 lr for 0.999."""
    t = torch.arange(1500, dtype=DOUBLE)
    grads = {
        "an outlier after a calm": torch.where(t == 1200, 1e6, 1e-3 * torch.randn(1500, dtype=DOUBLE)),
        "growing without end": torch.exp(t / 5),
        "of every size": torch.randn(1500, dtype=DOUBLE) * torch.exp(10 * torch.randn(1500, dtype=DOUBLE)),
    }[kind]
    longest = walk(grads, lr=0.01, momentum=momentum).abs().max().item()
    assert longest <= 0.01 / math.sqrt(0.001) * 1.001, f"a step of {longest} at a rate of 0.01, with gradients {kind}"


def test_a_long_momentum_over_a_short_divisor_has_a_bound_where_adam_has_none():
    """One gradient and then none: Adam forgets what it divides by before it forgets what it divides."""
    grads = [1.0] + [0.0] * 250
    adam = walk(grads, torch.optim.Adam, lr=0.01, betas=(0.99, 0.9), eps=1e-20).abs().max().item()
    ours = walk(grads, lr=0.01, momentum=0.99, beta2=0.9).abs().max().item()
    assert adam > 10 and ours == pytest.approx(0.01), f"Adam's longest step {adam}, LaProp's {ours}"


def test_a_weight_without_a_gradient_stays_and_one_of_zero_too():
    idle, still, moved = (torch.nn.Parameter(torch.ones(2)) for _ in range(3))
    optimizer = LaProp([idle, still, moved], lr=0.1)
    still.grad, moved.grad = torch.zeros(2), torch.ones(2)
    optimizer.step()
    assert idle.tolist() == [1, 1] and still.tolist() == [1, 1], "a weight that hears of no loss moved"
    assert idle not in optimizer.state and moved.tolist() == pytest.approx([0.9, 0.9])


def test_each_group_has_its_own_rate():
    slow, fast = (torch.nn.Parameter(torch.zeros(1)) for _ in range(2))
    optimizer = LaProp([{"params": [slow], "lr": 0.01}, {"params": [fast], "lr": 0.5}])
    slow.grad = fast.grad = torch.ones(1)
    optimizer.step()
    assert [slow.item(), fast.item()] == pytest.approx([-0.01, -0.5])


def test_it_finds_the_bottom_of_valleys_of_very_different_steepness():
    steep, weight = torch.tensor([1e-6, 1.0, 1e6]), torch.nn.Parameter(torch.ones(3))
    optimizer = LaProp([weight], lr=0.02)
    for step in range(400):
        optimizer.zero_grad()
        (steep * weight.square()).sum().backward()
        optimizer.param_groups[0]["lr"] = 0.02 * (1 - step / 400)
        optimizer.step()
    assert weight.abs().max() < 0.01, f"ends at {weight.tolist()} instead of 0"


# --- adaptive clipping ----------------------------------------------------------------------------


def with_grad(weight, grad):
    param = torch.nn.Parameter(torch.tensor(weight))
    param.grad = None if grad is None else torch.tensor(grad)
    return param


def test_clipping_by_hand():
    """A weight of norm 5 allows 0.3 of that; a gradient of norm 10 becomes 1.5 long, and one of norm 1 is left alone."""
    long, short, near_zero, idle = (
        with_grad([3.0, 4], [6.0, 8]),
        with_grad([3.0, 4], [0.6, 0.8]),
        with_grad([0.0], [2.0]),
        with_grad([1.0], None),
    )
    norm = clip_by_agc([long, short, near_zero, idle], 0.3, 1e-3)
    assert long.grad.tolist() == pytest.approx([0.9, 1.2]), "too long a gradient"
    assert torch.equal(short.grad, torch.tensor([0.6, 0.8])), "a gradient short enough was changed"
    assert near_zero.grad.tolist() == pytest.approx([3e-4]), "weights next to 0 count as 0.001"
    assert idle.grad is None and norm.item() == pytest.approx(math.sqrt(100 + 1 + 4)), "the norm of all gradients before"


def test_what_one_tensor_does_does_not_change_another():
    """Where the norm of all is clipped, an outlier in one layer stops every layer."""
    calm, wild = with_grad([3.0, 4], [0.6, 0.8]), with_grad([1.0], [1e9])
    clip_by_agc([calm, wild])
    assert torch.equal(calm.grad, torch.tensor([0.6, 0.8])), "another tensor's outlier shortened this gradient"


def test_a_gradient_of_zero_stays_zero():
    still = with_grad([0.0, 0.0], [0.0, 0.0])
    assert clip_by_agc([still]).item() == 0 and still.grad.tolist() == [0, 0], "a gradient of 0 became something else"


@pytest.mark.parametrize("part", ["model", "sac"])
@pytest.mark.parametrize("kind", ["sac", "dreamerv3"])
def test_the_setting_clips_every_tensor_of_both_parts(part, kind):
    """With `agc`, by its own weights and not at all by `clip_norm`; the metric is the norm before."""
    tight = dict(clip_norm=1e-12)
    agent = fill(Dreamer(small(actor_critic=kind, optimizer=dict(clip="agc", agc=1e-3), model=tight, sac=tight, dreamerv3=tight), 3, 2))
    before = {name: value.norm().item() for name, value in agent.modules[part].named_parameters()}
    metrics = agent.learn_model() if part == "model" else agent.sac.update(*batch_of(agent), agent.optimizers["sac"])
    after = {name: value.grad.norm().item() for name, value in agent.modules[part].named_parameters() if value.grad is not None}
    shares = {name: norm / (1e-3 * max(1e-3, before[name])) for name, norm in after.items()}
    assert max(shares.values()) == pytest.approx(1, rel=1e-4), f"the longest gradient as a share of what is allowed: {shares}"
    assert all(value > 0 for name, value in metrics.items() if name.endswith("grad_norm")), "no norm before clipping is told"


def batch_of(agent):
    """What `sac.update` takes before its optimiser."""
    if agent.config.actor_critic == "sac":
        return (agent.dream(),)
    window, beliefs = seen = agent.look_back()
    return agent.dream(seen), Replayed(*(part[:, -1:] for part in (beliefs.features, window.reward, window.first, window.terminal)))


# --- as the agent applies them --------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sac", "dreamerv3"])
def test_the_setting_reaches_every_optimiser(kind):
    for name, made in {"adam": torch.optim.Adam, "laprop": LaProp}.items():
        agent = Dreamer(small(actor_critic=kind, optimizer=dict(kind=name)), 3, 2)
        assert [type(part) for part in agent.optimizers.values()] == [made] * 2, f"optimisers with optimizer.kind = {name}"
    assert type(ModelFree(small(agent="sac", optimizer=dict(kind="laprop")), 3, 2).optimizers["sac"]) is LaProp


def spied(agent):
    """The learning rates of every step that each optimiser makes from now on."""
    seen = {}
    for name, optimizer in agent.optimizers.items():

        def step(name=name, optimizer=optimizer, real=optimizer.step):
            seen.setdefault(name, []).append(optimizer.param_groups[-1]["lr"])
            return real()

        optimizer.step = step
    return seen


@pytest.mark.parametrize("kind", ["sac", "dreamerv3"])
def test_rates_rise_from_zero_over_the_first_updates_of_each_part(kind):
    """Three updates of the model alone, then both in turn; each part counts its own."""
    schedule = dict(pretrain_model=3, pretrain_both=2, model_updates=2, agent_updates=2, sac_updates=1)
    agent = fill(
        Dreamer(
            small(actor_critic=kind, optimizer=dict(warmup=4), schedule=schedule, sac=dict(critic_lr=1e-2), dreamerv3=dict(lr=1e-2)), 3, 2
        )
    )
    seen = spied(agent)
    assert agent.warming_up, "an agent that has learned nothing is not warming up"
    agent.pretrain()
    assert seen["model"] == pytest.approx([0, 0.25e-3, 0.5e-3, 0.75e-3, 1e-3]) and seen["sac"] == pytest.approx([0, 0.25e-2]), (
        f"rates so far: {seen}"
    )
    agent.learn()
    agent.learn()
    assert seen["model"][5:] == pytest.approx([1e-3] * 4) and seen["sac"][2:] == pytest.approx([0.5e-2, 0.75e-2, 1e-2, 1e-2]), (
        f"rates so far: {seen}"
    )
    agent.learn()
    assert not agent.warming_up, "it still warms up after all updates of the ramp"


def test_without_a_model_each_update_on_real_data_has_its_own_rate():
    """Five updates in a round, of a ramp of 4: 0, 1/4, 1/2, 3/4, 1."""
    agent = fill(ModelFree(small(agent="sac", optimizer=dict(warmup=4), schedule=dict(real_updates=5), sac=dict(critic_lr=1e-2)), 3, 2))
    seen = spied(agent)
    agent.learn()
    assert seen["sac"] == pytest.approx([0, 0.25e-2, 0.5e-2, 0.75e-2, 1e-2]), "rates of the first round"
    agent.learn()
    assert seen["sac"][5:] == pytest.approx([1e-2] * 5) and not agent.warming_up, "rates of the second round"


def test_updates_on_one_dream_share_a_rate():
    """Each dream serves `sac_updates` = 3 steps of actor and critics."""
    agent = fill(Dreamer(small(optimizer=dict(warmup=6), schedule=dict(pretrain_model=0, pretrain_both=3, sac_updates=3)), 3, 2))
    seen = spied(agent)
    agent.pretrain()
    assert seen["sac"] == pytest.approx([0] * 3 + [0.5e-3] * 3 + [1e-3] * 3), "rates of actor and critics"


def test_the_ramp_and_the_fall_of_rates_multiply():
    agent = fill(Dreamer(small(optimizer=dict(warmup=10), schedule=dict(halving=100)), 3, 2))
    agent.grad_steps, agent.sac.updates = 30, torch.tensor(5)
    agent.anneal()
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in agent.optimizers.items()}
    assert rates == pytest.approx({"model": 1e-3 / 1.3, "sac": 1e-3 * 0.5 / 1.3})


def test_without_warm_up_the_first_update_has_the_whole_rate():
    agent = fill(Dreamer(small(), 3, 2))
    seen = spied(agent)
    agent.pretrain()
    assert not agent.warming_up and seen["model"] == [1e-3] * 3, "rates of an agent without warm-up"


def test_the_first_update_at_a_rate_of_zero_moves_no_weight_and_is_counted():
    """But LaProp has seen its gradient: it will be divided by."""
    agent = fill(
        Dreamer(small(optimizer=dict(kind="laprop", clip="agc", warmup=5), schedule=dict(pretrain_model=1, pretrain_both=0)), 3, 2)
    )
    before = numbers(agent.model)
    agent.pretrain()
    assert same(numbers(agent.model), before) and agent.grad_steps == 1, "the first update moved a weight, or did not count"
    assert any(slots["square"].any() for slots in agent.optimizers["model"].state.values()), "the first gradient was not looked at"
    agent.learn()
    assert not same(numbers(agent.model), before), "later updates move nothing either"


@pytest.mark.parametrize("kind", ["sac", "dreamerv3"])
def test_an_agent_goes_on_from_a_checkpoint_as_if_nothing_had_happened(kind):
    """To the last bit, in the middle of the ramp: weights, both averages of LaProp, rates, replay."""
    settings = small(
        actor_critic=kind, optimizer=dict(kind="laprop", clip="agc", warmup=20), schedule=dict(pretrain_model=2, pretrain_both=2),
        sac=dict(return_range=True), replay=dict(online=True),
    )  # fmt: skip
    agent = fill(Dreamer(settings, 3, 2))
    agent.pretrain()
    agent.learn()
    again = Dreamer(settings, 3, 2)
    again.load_state_dict(agent.state_dict())
    for one in (agent, again):
        torch.manual_seed(5)
        one.learn()
    assert agent.warming_up, "the ramp is over, and this shows nothing"
    assert same(agent.state_dict(), again.state_dict()), "a restored agent learns something else"


def test_an_optimisers_state_can_be_pickled():
    """As torch.save does it, whatever it holds beside numbers."""
    for clip in ("norm", "agc"):
        state = fill(Dreamer(small(optimizer=dict(clip=clip)), 3, 2)).optimizers["sac"].state_dict()
        assert pickle.loads(pickle.dumps(state)).keys() == state.keys(), f"the state with clip = {clip} cannot be written"

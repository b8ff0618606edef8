"""The agents: acting, remembering, learning, saving."""

import math
import shutil

import pytest
import torch
from runs import tiny, train
from toys import fill, numbers, random_trajectories, same, small

from dreamer_core import agent as agents
from dreamer_core import checkpoint
from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.errors import CheckpointError
from dreamer_core.replay import Window
from dreamer_core.trainer import Trainer
from dreamer_core.trajectories import minibatch


def make(kind=Dreamer, **changes):
    return kind(small(**changes), 3, 2)


ADVANTAGE = dict(sac=dict(lam=1.0, actor_grad="score", normalize_advantage=True, batch=0, alpha=0.3, alpha_updates=50))
RETURNS = dict(sac=dict(reward_unit="returns"))
VARIANTS = [
    (Dreamer, dict(schedule=dict(halving=10), model=dict(standardize=True), replay=dict(start="mixed"))),
    (Dreamer, ADVANTAGE),
    (Dreamer, dict(model=dict(latent="categorical"))),
    (Dreamer, dict(schedule=dict(anneal=True), env_steps=100)),
    (ModelFree, {}),
    (Dreamer, RETURNS),
    (ModelFree, RETURNS),
]
NAMES = ["dropin", "advantage", "categorical", "annealed", "model-free", "measured rewards", "model-free, measured rewards"]


# --- acting ----------------------------------------------------------------------------------


def test_policy_filters_as_training_does():
    """Acting one step at a time and filtering the stored window give the same h and z."""
    agent = make()
    observation, first = torch.randn(1, 7, 3), torch.tensor([[1.0, 0, 0, 0, 1, 0, 0]])
    agent.model.set_units(5 + 3 * torch.randn(100, 3))
    carry, hs, zs, actions = agent.initial(1), [], [], []
    for t in range(7):
        carry = agent.policy(carry, observation[:, t], first[:, t], explore=False)
        hs.append(carry.h)
        zs.append(carry.z)
        actions.append(carry.action)
    blank = torch.zeros(1, 7)
    window = Window(observation, torch.stack(actions, 1), blank, first, blank, torch.zeros(1, 6), blank)
    beliefs = agent.model.observe(window, noise=torch.zeros(1, 7, 3))  # without exploring, z is the posterior's mean
    torch.testing.assert_close(torch.stack(hs, 1), beliefs.h)
    torch.testing.assert_close(torch.stack(zs, 1), beliefs.z)
    torch.testing.assert_close(torch.stack(actions, 1), torch.tanh(agent.sac.actor(beliefs.features)[0]))


def test_a_new_episode_forgets_the_old_one():
    """With first = 1 the carry has no influence; each environment of a batch has its own flag."""
    agent = make()
    observation = torch.randn(2, 3)
    carries = [agent.initial(2), agents.Carry(torch.randn(2, 6), torch.randn(2, 3), torch.randn(2, 2))]
    new, old = (agent.policy(carry, observation, torch.tensor([1.0, 0.0]), explore=False) for carry in carries)
    assert torch.equal(new.h[0], old.h[0]) and torch.equal(new.action[0], old.action[0]), (
        "an episode's first state depends on the episode before"
    )
    assert not torch.equal(new.h[1], old.h[1]), "inside an episode the past has no influence: it is forgotten at every step"


@pytest.mark.parametrize("kind", [Dreamer, ModelFree])
def test_exploring_is_random_and_evaluation_is_not(kind):
    """Evaluating draws no random number at all."""
    agent = make(kind)
    args = agent.initial(1), torch.randn(1, 3), torch.ones(1)
    state = torch.get_rng_state()
    plain = [agent.policy(*args, explore=False).action for _ in range(2)]
    assert torch.equal(plain[0], plain[1]) and torch.equal(torch.get_rng_state(), state), "evaluation is random, or draws random numbers"
    explored = [agent.policy(*args, explore=True).action for _ in range(2)]
    assert not torch.equal(explored[0], explored[1]), "exploring chooses the same action twice"
    assert all((action.abs() <= 1).all() and action.shape == (1, 2) for action in plain + explored), (
        "an action beyond [-1, 1], or of another shape"
    )


@pytest.mark.parametrize("kind", ["gaussian", "categorical"])
def test_exploring_samples_z_from_the_posterior_and_acting_for_evaluation_does_not(kind):
    """4000 environments that see the same: z has the posterior's own law, another in each; otherwise it is the most likely one."""
    agent = make(model=dict(latent=kind, stoch=3))
    latent = agent.model.rssm.latent
    observation, first = torch.randn(1, 3).expand(4000, 3), torch.ones(4000)
    likely, explored = (agent.policy(agent.initial(4000), observation, first, explore=explore).z for explore in (False, True))
    params = agent.model.rssm.posterior(torch.zeros(1, 6), agent.model.encode(observation[:1])).detach()
    torch.testing.assert_close(likely, latent.mode(params).expand_as(likely), msg=lambda told: f"z is not the most likely one: {told}")
    if kind == "gaussian":
        mean, std = params[:, :3], torch.log1p(torch.exp(params[:, 3:])) + 0.1
        noise = (explored - mean) / std
        torch.testing.assert_close(noise.mean(0), torch.zeros(3), atol=0.07, rtol=0, msg=lambda told: f"the mean of z: {told}")
        torch.testing.assert_close(noise.std(0), torch.ones(3), atol=0.07, rtol=0, msg=lambda told: f"the spread of z: {told}")
    else:
        share = explored.unflatten(-1, (3, 4)).mean(0)
        expected = 0.99 * torch.softmax(params.reshape(3, 4), -1) + 0.01 / 4
        torch.testing.assert_close(share, expected, atol=0.035, rtol=0, msg=lambda told: f"how often each class is drawn: {told}")


def test_exploring_draws_the_action_too():
    """4000 environments that believe the same: their actions are draws of the actor's own law, not its most likely action."""
    agent = make(sac=dict(log_std_min=-1.0))
    model = agent.model
    model.rssm.latent.noise = lambda count, **_: torch.zeros(count, 3)  # chance leaves z alone
    carry = agent.policy(agent.initial(4000), torch.randn(1, 3).expand(4000, 3), torch.ones(4000), explore=True)
    state = torch.cat([carry.h, carry.z], -1)[:1]
    mean, log_std = agent.sac.actor(state)
    drawn = torch.atanh(carry.action.clamp(-1 + 1e-6, 1 - 1e-6))
    noise = ((drawn - mean) / log_std.exp()).detach()
    torch.testing.assert_close(noise.mean(0), torch.zeros(2), atol=0.07, rtol=0, msg=lambda told: f"the mean of the action: {told}")
    torch.testing.assert_close(noise.std(0), torch.ones(2), atol=0.07, rtol=0, msg=lambda told: f"the spread of the action: {told}")


def test_the_actor_reads_the_belief_of_this_step():
    """Not that of the step before, nor h without z: the action is the actor's answer to the (h, z) that is handed on."""
    agent = make()
    carry = agent.policy(agent.initial(1), torch.randn(1, 3), torch.ones(1), explore=True)
    carry = agent.policy(carry, torch.randn(1, 3), torch.zeros(1), explore=False)
    torch.testing.assert_close(carry.action, agent.sac.actor.mode(torch.cat([carry.h, carry.z], -1)))


# --- remembering -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Dreamer, ModelFree])
def test_remember_stores_a_row_with_its_scaled_reward(kind):
    agent = make(kind, sac=dict(reward_scale=0.5))
    agent.grad_steps = 7
    carry = agent.policy(agent.initial(1), torch.ones(1, 3), torch.ones(1), explore=True)
    agent.remember(carry, torch.ones(3), 0.0, True, False)
    agent.replay.set_action(carry.action[0])
    agent.remember(carry, torch.full((3,), 2.0), 3.0, False, True)
    window = agent.replay.window(torch.tensor([0]), 2)
    assert window.observation[0].tolist() == [[1, 1, 1], [2, 2, 2]]
    assert window.reward.tolist() == [[0, 1.5]]
    assert window.first.tolist() == [[1, 0]] and window.terminal.tolist() == [[0, 1]]
    assert torch.equal(window.action[0, 0], carry.action[0]), "the stored action is not the one that was taken"
    if kind is Dreamer:
        assert torch.equal(window.h, carry.h) and torch.equal(agent.replay.data["z"][0], carry.z[0]), (
            "the stored h or z is not what was believed"
        )
        assert agent.replay.data["written"][0] == 7, "a row is stored without the update after which it was believed"


@pytest.mark.parametrize("kind", [Dreamer, ModelFree])
def test_living_through_a_row_believes_it_and_stores_that_belief(kind):
    """What `policy` says of the row, exploring, from the carry of the row before; the row is stored with it, and no action yet."""
    agent = make(kind)
    carry = agent.policy(agent.initial(1), torch.ones(1, 3), torch.ones(1), explore=True)
    for first, terminal in [(False, False), (True, False), (False, True)]:
        seen = torch.randn(3)
        torch.manual_seed(5)
        expected = agent.policy(carry, seen[None], torch.tensor([float(first)]), explore=True)
        torch.manual_seed(5)
        got = agent.live(carry, seen, 2.0, first, terminal)
        assert all(torch.equal(a, b) for a, b in zip(got, expected)), f"not what the policy believes and does where first is {first}"
        row = {name: value[agent.replay.count - 1].tolist() for name, value in agent.replay.data.items()}
        assert (row["observation"], row["reward"], row["first"], row["terminal"]) == (seen.tolist(), 2.0, first, terminal), "the row"
        assert (row["h"], row["z"], row["action"]) == (got.h[0].tolist(), got.z[0].tolist(), [0, 0]), "the belief stored with the row"


# --- learning --------------------------------------------------------------------------------


def test_when_an_agent_learns():
    """After the random steps 1 .. 12 the first learning; then a round at every step whose number five divides, and at no other."""
    agent, learned, told = make(schedule=dict(prefill=12, every=5)), {}, []
    agent.pretrain = lambda report: report(0.5) or {"first": 1}
    agent.learn = lambda: {"round": 2}
    for step in range(1, 27):
        learned[step] = agent.learn_after(step, told.append)
    expected = {step: {"round": 2} if step in (15, 20, 25) else {} for step in range(1, 27)} | {12: {"first": 1}}
    assert learned == expected, "step: what is learned after it"
    assert told == [0.5], "whoever asks is not told how far the first learning is"


def test_learning_the_model_refreshes_stored_states():
    """Rows 2..T of the drawn windows get a new h and the number of this update; other rows keep theirs."""
    agent = fill(make(replay=dict(batch=1, length=5)))
    before = agent.replay.data["h"].clone()
    seen = spy(agent.replay, "sample")
    agent.learn_model()
    (index,) = seen[0].index
    ages = agent.replay.age(1)
    fresh = [n for n in range(40) if ages[n] == 0]
    assert fresh == index[1:].tolist()
    moved = [n for n in range(40) if not torch.equal(agent.replay.data["h"][n], before[n])]
    assert set(moved) <= set(fresh) and len(moved) >= 2  # an episode start stays at 0


def spy(owner, name):
    """Record what a method returns, and let it work."""
    seen, real = [], getattr(owner, name)

    def wrapped(*args, **kwargs):
        seen.append(real(*args, **kwargs))
        return seen[-1]

    setattr(owner, name, wrapped)
    return seen


def test_without_write_back_stored_states_stay():
    agent = fill(make(replay=dict(write_back=False)))
    before = agent.replay.data["h"].clone()
    agent.learn_model()
    assert torch.equal(agent.replay.data["h"], before), "stored states were refreshed though write_back is off"
    assert (agent.replay.age(1) == 1).all(), "states count as refreshed though write_back is off"


def test_burn_in_rows_are_not_trained_on():
    """Windows of 3 + 4 rows are drawn; the loss sees the last 4, starting from a warmed-up h."""
    agent = fill(make(replay=dict(length=4, burn_in=3)))
    drawn, seen = spy(agent.replay, "sample"), []
    real = agent.model.loss
    agent.model.loss = lambda window: seen.append(window) or real(window)
    agent.learn_model()
    assert drawn[0].index.shape == (4, 7)
    assert torch.equal(seen[0].index, drawn[0].index[:, 3:]), "the loss does not see the rows after the burn-in"
    assert torch.equal(seen[0].observation, drawn[0].observation[:, 3:]), "the loss sees other observations than those after the burn-in"
    assert not torch.equal(seen[0].h, drawn[0].h), "the loss starts from the stored h, not from the warmed-up one"


def test_learning_the_model_lowers_its_loss():
    agent = fill(make(model=dict(lr=5e-3), replay=dict(batch=8)))
    losses = [agent.learn_model()["model/total"].item() for _ in range(80)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


@pytest.mark.parametrize("models, dreams", [(3, 2), (1, 3)])
def test_a_round_learns_as_often_as_it_should(models, dreams):
    """For example 3 model updates and 2 dreams of 4 SAC updates each: 3 + 2 * 4 gradient steps."""
    agent = fill(make(schedule=dict(model_updates=models, agent_updates=dreams, sac_updates=4)))
    model, policy = spy(agent, "learn_model"), spy(agent, "learn_policy")
    metrics = agent.learn()
    assert (len(model), len(policy)) == (models, dreams)
    assert agent.grad_steps == models + dreams * 4 and int(agent.sac.updates) == dreams * 4
    assert {name.split("/")[0] for name in metrics} == {"model", "agent"}


def test_turns_by_hand():
    assert "".join(part[0] for part in agents.turns(2, 2)) == "mama"
    assert "".join(part[0] for part in agents.turns(3, 1)) == "mamm"
    assert "".join(part[0] for part in agents.turns(0, 2)) == "aa"


def test_pretraining_learns_the_model_first():
    agent = fill(make(schedule=dict(pretrain_model=3, pretrain_both=2, sac_updates=1)))
    order = []
    model, policy = agent.learn_model, agent.learn_policy
    agent.learn_model = lambda: order.append("m") or model()
    agent.learn_policy = lambda: order.append("p") or policy()
    agent.pretrain()
    assert "".join(order) == "mmmmpmp"


def test_units_are_measured_when_learning_starts_and_again_when_the_buffer_doubles():
    """On 30 rows; still those at 59, though the new rows lie far out; enlarged at 60."""
    agent = make(model=dict(standardize=True))
    scales = []
    for rows, factor in ((30, 1), (29, 50), (1, 50)):
        fill(agent, rows)
        stored = agent.replay.data["observation"]
        stored[len(agent.replay) - rows : len(agent.replay)] *= factor
        agent.learn() if scales else agent.pretrain()
        scales.append(agent.model.scale.clone())
    torch.testing.assert_close(scales[0], agent.replay.data["observation"][:30].std(0))
    assert torch.equal(scales[1], scales[0]), "the units were measured again before the rows had doubled"
    assert (scales[2] > 10 * scales[0]).all(), "the units were not enlarged when the rows had doubled"


def test_a_full_buffer_goes_on_being_measured():
    """A ring of 30 rows, full from the start: what counts is rows ever added, 30 at first and 60 the next time."""
    agent = make(model=dict(standardize=True), replay=dict(capacity=30))
    measured = []
    for rows in (30, 10, 10, 10):
        fill(agent, rows)
        agent.replay.data["observation"] *= 3  # the world grows
        agent.learn() if measured else agent.pretrain()
        measured.append(int(agent.model.measured))
    assert measured == [30, 30, 30, 60], "rows ever added when the units were last measured"
    seen = (agent.replay.data["observation"] - agent.model.centre).square().mean(0).sqrt()
    torch.testing.assert_close(agent.model.scale, seen)


@pytest.mark.parametrize("kind", [Dreamer, ModelFree])
def test_learning_rates_fall_with_gradient_steps(kind):
    """halving = 100: half the rate after 100 steps, a quarter after 300. halving = 0: the same rate for ever."""
    for halving, expected in [(100, [1, 1 / 2, 1 / 4, 1 / 2]), (0, [1, 1, 1, 1])]:
        agent = fill(make(kind, model=dict(lr=0.004), sac=dict(actor_lr=0.001, critic_lr=0.002), schedule=dict(halving=halving)))
        start = {"model": [0.004], "sac": [0.001, 0.002]}
        for steps, factor in zip((0, 100, 300, 100), expected):
            agent.grad_steps = steps
            agent.learn()
            for name, optimizer in agent.optimizers.items():
                assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([factor * lr for lr in start[name]])


@pytest.mark.parametrize("kind", [Dreamer, ModelFree])
def test_annealed_rates_reach_zero_with_the_last_update_of_a_run(kind):
    """Each part's rate follows half a cosine over its own updates, as many as the run really makes; the model's are front-loaded here."""
    schedule = dict(prefill=14, every=5, pretrain_model=30, pretrain_both=10, model_updates=1, agent_updates=3, anneal=True, halving=7)
    agent = fill(make(kind, model=dict(lr=0.004), sac=dict(actor_lr=0.001, critic_lr=0.002), schedule=schedule, env_steps=63))
    rates = {name: [] for name in agent.optimizers}

    def note(name, optimizer):
        optimizer.register_step_pre_hook(lambda *_: rates[name].append([group["lr"] for group in optimizer.param_groups]))

    for name, optimizer in agent.optimizers.items():
        note(name, optimizer)
    agent.pretrain()
    for _ in range(10):  # steps 15, 20, ... 60
        agent.learn()
    expected = {"model": (50, 1, [0.004]), "sac": (80, 6, [0.001, 0.002])} if kind is Dreamer else {"sac": (30, 3, [0.001, 0.002])}
    for name, (updates, per_round, start) in expected.items():
        assert len(rates[name]) == updates
        early = [15, 35] if kind is Dreamer and name == "model" else []  # in the first learning, which takes 40 of the model's updates
        for at in (0, *early, updates - 2 * per_round, updates - per_round):  # the first of all, and the first of the last rounds
            left = 0.5 + 0.5 * math.cos(math.pi * at / updates)
            assert rates[name][at] == pytest.approx([left * lr for lr in start]), (name, at)
        assert rates[name] == sorted(rates[name], reverse=True)
    agent.anneal()
    assert all(group["lr"] == 0 for optimizer in agent.optimizers.values() for group in optimizer.param_groups), (
        "a rate that is not 0 after the last update"
    )


def test_a_halving_rate_falls_with_the_first_round():
    """Not in the first learning, though its updates are counted."""
    agent = fill(
        make(model=dict(lr=0.004), schedule=dict(pretrain_model=30, pretrain_both=0, model_updates=1, agent_updates=0, halving=30))
    )
    rates = []
    agent.optimizers["model"].register_step_pre_hook(lambda optimizer, *_: rates.append(optimizer.param_groups[0]["lr"]))
    agent.pretrain()
    agent.learn()
    assert rates == pytest.approx([0.004] * 30 + [0.002]), f"the rates of the first learning and of the round after it are {rates}"


def test_an_annealed_rate_stays_at_zero_after_the_planned_updates():
    assert [agents.cosine_factor(taken, 100) for taken in (0, 100, 101, 150, 200, 1000)] == pytest.approx([1, 0, 0, 0, 0, 0])


def test_without_standardize_observations_stay_as_they_are():
    agent = fill(make(model=dict(standardize=False)))
    agent.pretrain()
    agent.learn()
    probe = torch.randn(5, 3)
    assert torch.equal(agent.model.standardized(probe), probe), "observations are in other units than the environment's"


def test_dreams_start_at_the_last_row_of_fresh_windows():
    """6 windows of 3 rows; each dream starts from the belief at the third, with weight 0 where the episode ended there."""
    agent = fill(make(imagination=dict(starts=200, start_rows=3)))
    drawn, beliefs = spy(agent.replay, "sample"), spy(agent.model, "observe")
    data = agent.dream()
    assert drawn[0].index.shape == (200, 3)
    assert torch.equal(data.state[:, 0], beliefs[0].features[:, -1]), "dreams do not start from the belief at the last row"
    assert torch.equal(data.weight, 1 - drawn[0].terminal[:, -1]), "the weight is not 0 exactly where the episode ended at that row"
    assert {0.0, 1.0} == set(data.weight.tolist())
    assert data.reward.shape == (200, 4)


def test_dreaming_leaves_the_buffer_alone():
    agent = fill(make())
    before = {name: value.clone() for name, value in agent.replay.data.items()}
    agent.learn_policy()
    assert all(torch.equal(agent.replay.data[name], before[name]) for name in before), "dreaming changed the buffer"


def test_one_step_targets_train_on_shuffled_steps():
    """lam = 0: minibatches of single steps from the 6 * 4 dreamt ones. Otherwise whole trajectories."""
    for lam, batch, shape in [(0.0, 16, (16, 2, 9)), (0.0, 0, (6, 5, 9)), (1.0, 4, (4, 5, 9)), (0.5, 0, (6, 5, 9))]:
        agent = fill(make(sac=dict(lam=lam, batch=batch)))
        seen = []
        real = agent.sac.update
        agent.sac.update = lambda data, optimizer, seen=seen, real=real: seen.append(data) or real(data, optimizer)
        agent.learn_policy()
        assert len(seen) == 2 and all(data.state.shape == shape for data in seen), "not two updates on data of that shape"


@pytest.mark.parametrize("lam", [0.0, 1.0], ids=["single steps", "whole dreams"])
def test_the_updates_of_a_dream_take_minibatches_of_their_own(lam):
    """All of one dream, but not the same rows twice: over many updates every one comes up, about equally often."""
    agent = fill(make(sac=dict(lam=lam, batch=4), schedule=dict(sac_updates=400), imagination=dict(starts=10, horizon=3)))
    dreamt, seen, update = spy(agent, "dream"), [], agent.sac.update
    agent.sac.update = lambda data, optimizer: seen.append(data) or update(data, optimizer)
    agent.learn_policy()
    assert len(dreamt) == 1 and len(seen) == 400, "one dream and 400 updates"
    whole = dreamt[0].steps().state if lam == 0 else dreamt[0].state
    number = {tuple(state.flatten().tolist()): n for n, state in enumerate(whole)}
    drawn = [[number[tuple(state.flatten().tolist())] for state in data.state] for data in seen]
    assert drawn[0] != drawn[1] and len({tuple(rows) for rows in drawn}) > 300, "updates of one dream share their minibatch"
    counts = torch.bincount(torch.tensor(drawn).flatten(), minlength=len(whole))
    chance = 1600 / len(whole)
    assert (counts - chance).abs().max() < 6 * math.sqrt(chance), f"rows that come up too often or too rarely: {counts.tolist()}"
    kept = [data.weight for data in seen]
    torch.testing.assert_close(kept[0], (dreamt[0].steps() if lam == 0 else dreamt[0]).weight[drawn[0]])


def test_every_dream_of_a_round_starts_anew():
    """Two dreams of a round start from draws of their own."""
    agent = fill(make(imagination=dict(starts=20), schedule=dict(agent_updates=3)))
    dreamt = spy(agent, "dream")
    agent.learn()
    assert len(dreamt) == 3, "dreams in a round"
    assert len({tuple(data.state[:, 0].flatten().tolist()) for data in dreamt}) == 3, "dreams that start from the same states"


def test_minibatch_takes_whole_trajectories_or_all():
    data = random_trajectories(5)
    assert minibatch(data, 0) is data and minibatch(data, 5) is data
    part = minibatch(data, 3)
    assert part.reward.shape == (3, 4)
    for n in range(3):
        (at,) = [m for m in range(5) if torch.equal(data.reward[m], part.reward[n])]
        assert torch.equal(part.state[n], data.state[at]) and part.weight[n] == data.weight[at], (
            "parts of different trajectories were put together"
        )


def test_model_free_learns_from_real_transitions():
    """State o_t, action a_t, the reward and the end that came with o_{t+1}."""
    agent = fill(make(ModelFree))
    drawn, seen = spy(agent.replay, "transitions"), []
    real = agent.sac.update
    agent.sac.update = lambda data, optimizer: seen.append(data) or real(data, optimizer)
    agent.learn()
    assert len(seen) == len(drawn) == 3 and agent.grad_steps == 3
    stored = agent.replay.data
    for window, data in zip(drawn, seen):
        for n, (start, end) in enumerate(window.index.tolist()):
            assert end == start + 1 and stored["first"][end] == 0
            assert torch.equal(data.state[n], stored["observation"][[start, end]]), "the states are not o_t and o_{t+1}"
            torch.testing.assert_close(torch.tanh(data.pre_tanh[n, 0]), stored["action"][start], atol=1e-5, rtol=0)
            assert data.reward[n, 0] == stored["reward"][end]
            assert data.cont[n, 0] == 1 - stored["terminal"][end]
        assert torch.equal(data.weight, torch.ones(len(data.weight))), "a real transition does not count as much as any other"
    assert any((data.cont == 0).any() for data in seen), "no end of an episode was met, so ends are not tested"


@pytest.mark.parametrize("asked, drawn", [(5, 5), (0, 256)])
def test_model_free_draws_as_many_transitions_as_asked_or_256(asked, drawn):
    agent = fill(make(ModelFree, sac=dict(batch=asked)))
    seen = spy(agent.replay, "transitions")
    agent.learn()
    assert {len(window.reward) for window in seen} == {drawn}, "another number of real transitions"


def test_model_free_survives_saturated_actions():
    """A stored action of exactly 1 has no finite atanh, and the score function asks for its log-probability."""
    agent = fill(make(ModelFree, sac=dict(actor_grad="score")))
    agent.replay.data["action"].fill_(1.0)
    metrics = agent.learn()
    assert all(value.isfinite() for value in metrics.values()), "a metric that is not a number"
    assert all(p.isfinite().all() for p in agent.sac.parameters()), "a weight that is not a number"


# --- the unit of rewards ----------------------------------------------------------------------


def paid(agent, *rewards):
    """Let an agent remember an episode without an end, whose rows after the first bring these rewards."""
    for number, reward in enumerate((0.0, *rewards)):
        agent.remember(agent.initial(1), torch.randn(3), reward, number == 0, False)


def opinions(agent, state):
    """What an agent predicts in N states, in the world's units: values by the fast and by the target critics, rewards if it has a model."""
    with torch.no_grad():
        found = {name: q(state, torch.zeros(len(state), 2)) for name, q in (("fast", agent.sac.q), ("target", agent.sac.q_target))}
        if isinstance(agent, Dreamer):
            found["reward"] = agent.model.predict_reward(state)[0]
        return {name: agent.in_world_units(value) for name, value in found.items()}


@pytest.mark.parametrize("kind, features", [(Dreamer, 9), (ModelFree, 3)])
def test_the_first_unit_by_hand(kind, features):
    """Rewards 1 and 5 are spread by 2, as `reward_scale` wants it: the unit is theirs. The best is 5, for ever 5 / (1 - 0.5)."""
    agent = make(kind, sac=dict(reward_unit="returns", reward_scale=2.0, gamma=0.5))
    paid(agent, 1.0, 5.0)
    state = torch.randn(20, features)
    before = opinions(agent, state)
    agent.measure_rewards()
    assert agent.replay.reward_unit == 2, "stored as 2 and 10, with a spread of 4, of which the agent is to see 2"
    assert agent.in_world_units(1.0) == 1 and agent.in_own_units(2.0) == 2
    after = opinions(agent, state)
    for name, start in (("fast", 10.0), ("target", 10.0), ("reward", 5.0)):
        if name in after:  # a new network's opinion counts in the new unit, twice the old one
            torch.testing.assert_close(after[name], 2 * before[name] + start, msg=lambda told, name=name: f"{name}: {told}")


def test_only_the_mean_of_a_reward_is_restated():
    """A learned standard deviation is in the new unit, whatever it was."""
    agent = fill(make(sac=dict(reward_unit="returns"), model=dict(reward_std=0.0)))
    state = torch.randn(20, 9)
    before = agent.model.predict_reward(state)[1]
    agent.measure_rewards()
    assert torch.equal(agent.model.predict_reward(state)[1], before), "a new unit changed how sure the reward head is"


@pytest.mark.parametrize("kind, features", [(Dreamer, 9), (ModelFree, 3)])
def test_a_unit_grows_without_changing_an_opinion_and_never_shrinks(kind, features):
    agent = fill(make(kind, sac=dict(reward_unit="returns")))
    agent.learn()
    small_unit, state = agent.replay.reward_unit, torch.randn(20, features)
    agent.replay.data["reward"][:40] *= 3
    before = opinions(agent, state)
    agent.measure_rewards()
    assert agent.replay.reward_unit == pytest.approx(3 * small_unit), "rewards three times as large"
    after = opinions(agent, state)
    for name in before:
        torch.testing.assert_close(
            after[name], before[name], msg=lambda told, name=name: f"the {name} prediction is another in the world's units: {told}"
        )
    large_unit = agent.replay.reward_unit
    agent.replay.data["reward"][:40] /= 9
    agent.measure_rewards()
    assert agent.replay.reward_unit == large_unit, "the unit shrank"


def test_a_unit_waits_for_rewards_that_differ():
    """As long as all are alike there is no spread to count in; then it is the first unit."""
    agent = make(sac=dict(reward_unit="returns", gamma=0.5))
    paid(agent, 1.0, 1.0, 1.0)
    agent.measure_rewards()
    assert (agent.replay.reward_unit, agent.replay.reward_rows) == (1, 0), "a unit of rewards that are all alike"
    agent.remember(agent.initial(1), torch.randn(3), 1.2, False, False)
    agent.measure_rewards()
    assert agent.replay.reward_unit == pytest.approx(0.2 * math.sqrt(3) / 4) and agent.replay.reward_rows == 5, (
        "smaller than 1, but the first"
    )


@pytest.mark.parametrize("kind, features", [(Dreamer, 9), (ModelFree, 3)])
def test_a_first_unit_that_comes_late_changes_no_opinion(kind, features):
    """Rewards were all alike while the agent learned, or its run was begun with a fixed unit."""
    agent = fill(make(kind))
    agent.learn()
    state = torch.randn(20, features)
    before = opinions(agent, state)
    agent.config.sac.reward_unit = "returns"
    agent.measure_rewards()
    assert agent.replay.reward_rows == 40 and agent.replay.reward_unit != 1, "no unit was measured"
    after = opinions(agent, state)
    for name in before:
        torch.testing.assert_close(after[name], before[name], msg=lambda told, name=name: f"the {name} prediction is another: {told}")


@pytest.mark.parametrize("kind", [Dreamer, ModelFree])
def test_a_fixed_unit_is_left_alone(kind):
    agent = fill(make(kind))
    before = numbers(agent.sac)
    agent.measure_rewards()
    assert agent.replay.reward_unit == 1 and same(numbers(agent.sac), before), "a fixed unit was measured, or predictions were restated"


def test_the_unit_is_measured_before_the_first_learning_and_in_each_round():
    for kind, first in ((Dreamer, "pretrain"), (ModelFree, "learn")):
        agent = fill(make(kind, **RETURNS))
        getattr(agent, first)()
        assert agent.replay.reward_rows == 40, f"{kind.__name__}: not before the first learning"
        agent.replay.data["reward"][:40] *= 2
        fill(agent, rows=8)
        agent.learn()
        assert agent.replay.reward_rows == 48, f"{kind.__name__}: not in a later round"


# --- saving ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind, changes", VARIANTS, ids=NAMES)
def test_a_restored_agent_goes_on_bit_for_bit(kind, changes):
    """Saved after some updates and loaded into a new agent: the next updates agree to the last bit."""
    agent = fill(make(kind, **changes))
    agent.learn()
    saved = {name: value.clone() for name, value in agent.state_dict().items()}
    torch.manual_seed(99)
    other = make(kind, **changes)
    other.load_state_dict(saved)
    assert other.grad_steps == agent.grad_steps
    for one in (agent, other):
        torch.manual_seed(7)
        one.metrics = [one.learn() for _ in range(2)][-1]
        fill(one, rows=5)
    left, right = agent.state_dict(), other.state_dict()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left), (
        f"restored differently: {[name for name in left if not torch.equal(left[name], right[name])]}"
    )
    assert all(torch.equal(agent.metrics[name], other.metrics[name]) for name in agent.metrics), "the restored agent reports other metrics"


def test_an_agent_can_be_saved_before_it_learned():
    agent = fill(make())
    other = make()
    other.load_state_dict({name: value.clone() for name, value in agent.state_dict().items()})
    assert all(same(numbers(agent.modules[name]), numbers(other.modules[name])) for name in agent.modules), "weights that did not come back"
    other.learn()


@pytest.mark.parametrize("kind, changes", VARIANTS, ids=NAMES)
def test_same_seed_same_agent(kind, changes):
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        agent = fill(make(kind, **changes))
        agent.learn()
        results.append(numbers(agent.sac))
    assert same(results[0], results[1]) and not same(results[0], results[2]), "learning does not follow the seed"


def test_a_saved_state_is_a_copy():
    """Training on must not change what was saved."""
    agent = fill(make())
    agent.learn()
    saved = agent.state_dict()
    before = {name: value.clone() for name, value in saved.items()}
    agent.learn()
    assert all(torch.equal(saved[name], before[name]) for name in saved), "training on changed what was saved"


@pytest.mark.parametrize("changes", [{}, dict(model=dict(latent="categorical", standardize=True)), RETURNS])
def test_a_trained_agent_is_handed_on_in_one_file(tmp_path, changes):
    """The loaded agent has the same configuration and acts alike."""
    agent = fill(make(**changes))
    agent.pretrain()
    agent.save(tmp_path / "agent.safetensors")
    again = Dreamer.load(tmp_path / "agent.safetensors")
    assert again.config == agent.config
    observation, first = torch.randn(4, 3), torch.ones(4)
    ours = agent.policy(agent.initial(4), observation, first, explore=False)
    assert all(torch.equal(a, b) for a, b in zip(ours, again.policy(again.initial(4), observation, first, explore=False))), (
        "the loaded agent believes or does something else"
    )
    assert len(again.replay) == 0 and again.in_world_units(1.0) == agent.in_world_units(1.0), "the loaded agent's rewards have another unit"


@pytest.mark.parametrize("of_a_run", [True, False])
def test_a_loaded_agent_that_learns_on_keeps_its_unit_and_its_opinions(tmp_path, of_a_run):
    """Rewards a quarter as large as those it was trained on are counted in the unit that it knows."""
    path = tmp_path / "agent"
    if of_a_run:
        with Trainer(tiny(**RETURNS, env_steps=120), path) as trainer:
            list(trainer.run())
            agent = trainer.agent
    else:
        agent = fill(make(**RETURNS))
        agent.pretrain()
        agent.save(path)
    again = Dreamer.load(path)
    observation = torch.randn(20, again.model.rssm.features)
    size = len(again.model.centre)
    for number in range(40):
        again.remember(again.initial(1), torch.randn(size), 0.01 * number, number == 0, False)
    with torch.no_grad():
        before = again.model.predict_reward(observation)[0]
        again.measure_rewards()
        after = again.model.predict_reward(observation)[0]
    assert again.replay.reward_unit == agent.replay.reward_unit, "rewards that spread less have chosen a new unit"
    assert torch.equal(before, after), "predictions were moved to the mean of the new rewards"


def test_a_damaged_agent_file_is_refused_with_one_sentence(tmp_path):
    """Missing, cut short, a bit turned anywhere, or not such a file at all."""
    path = tmp_path / "agent.safetensors"
    with pytest.raises(CheckpointError, match="there is no trained agent at"):
        Dreamer.load(path)
    make().save(path)
    good = path.read_bytes()
    bad = [good[:-1], good[: len(good) // 2], b"", b"not a checkpoint"]
    for at in (3, 30, len(good) // 3, len(good) - 1):
        bad.append(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    for data in bad:
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match="is damaged: fetch it again"):
            Dreamer.load(path)


# --- loaded from a run ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run whose newest two checkpoints are of the steps 90 and 100."""
    return train(tiny(), tmp_path_factory.mktemp("runs") / "first").out


def test_an_agent_is_loaded_from_the_folder_of_its_run(run):
    """What it does is what the trained agent did; and from either file of a checkpoint it is that checkpoint's."""
    trainer = Trainer.resume(run)
    observation, first = torch.randn(4, 2), torch.ones(4)
    expected = trainer.agent.policy(trainer.agent.initial(4), observation, first, explore=False)
    trainer.close()
    newest = run / "checkpoint" / "00000100"
    for path in (run, str(run), run / "checkpoint", newest.with_suffix(".json"), newest.with_suffix(".safetensors")):
        agent = Dreamer.load(path)
        got = agent.policy(agent.initial(4), observation, first, explore=False)
        assert all(torch.equal(a, b) for a, b in zip(expected, got)), f"another agent is in {path}"
        assert agent.config == tiny() and len(agent.replay) == 0 and agent.sac.alpha == trainer.agent.sac.alpha
        assert agent.in_world_units(1.0) == 1
    older = Dreamer.load(run / "checkpoint" / "00000090.json")
    assert not same(numbers(older.model), numbers(agent.model)), "the older checkpoint holds the newer agent"


def test_a_run_is_loaded_with_its_replay_buffer_if_asked(run, tmp_path):
    trainer = Trainer.resume(run)
    expected = trainer.agent.replay.state_dict()
    trainer.close()
    agent = Dreamer.load(run, replay=True)
    assert len(agent.replay) > 0 and same(agent.replay.state_dict(), expected), "other rows than the run's"
    agent.save(tmp_path / "agent.safetensors")
    with pytest.raises(CheckpointError, match="without its replay buffer: name the folder of a run"):
        Dreamer.load(tmp_path / "agent.safetensors", replay=True)


def test_a_damaged_newest_checkpoint_is_passed_over_and_a_named_one_is_not(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    newest = tmp_path / "run/checkpoint/00000100.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    said = []
    loaded, before = Dreamer.load(tmp_path / "run", said.append), Dreamer.load(run / "checkpoint/00000090.json")
    assert same(numbers(loaded.model), numbers(before.model)), "not the agent of the checkpoint before the damaged one"
    assert len(said) == 1 and said[0].endswith("trying the one before it"), f"not one sentence about the damaged checkpoint: {said}"
    for path in (newest, newest.with_suffix(".json")):
        with pytest.raises(CheckpointError, match="^the checkpoint .*00000100.json is damaged: [^\n]*$") as caught:
            Dreamer.load(path)
        assert "fetch it again" not in str(caught.value)


def test_what_holds_no_agent_is_refused_with_one_sentence(run, tmp_path):
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", run.parent):
        with pytest.raises(CheckpointError, match=f"^{folder} holds no trained agent: name the folder of a run, one of its"):
            Dreamer.load(folder)
    for path in (run / "checkpoint/00000123.json", run / "checkpoint/00000123.safetensors", tmp_path / "none"):
        with pytest.raises(CheckpointError, match=f"^there is no trained agent at {path}: check the path"):
            Dreamer.load(path)
    without = train(tiny(agent="sac"), tmp_path / "sac").out
    for path in (without, without / "checkpoint/00000100.json"):
        with pytest.raises(
            CheckpointError, match=r"^the run in .* has no world model \(it was trained with --agent sac\), so it cannot dream$"
        ):
            Dreamer.load(path)


def test_a_run_written_before_a_setting_existed_is_loaded_with_its_default(run, tmp_path):
    tensors, state = checkpoint.load(run / "checkpoint/00000100.json")
    del state["config"]["schedule"]["anneal"], state["config"]["threads"]
    checkpoint.save(tmp_path / "checkpoint", 100, tensors, {"config": state["config"]})
    assert Dreamer.load(tmp_path).config == tiny()

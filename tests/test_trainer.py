"""The training loop: what it measures, what it remembers, and that killing it changes no number."""

import gc
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from runs import Buoy, assert_same_run, final_state, finish, live, metrics, paper, start_life, tiny, train

from dreamer_core import checkpoint, replay
from dreamer_core import trainer as training
from dreamer_core.agent import Dreamer
from dreamer_core.errors import CheckpointError, ConfigError, Diverged, DreamerError, EnvError, NotEnoughData
from dreamer_core.trainer import Trainer, check_threads, check_windows, differences, pick_device
from dreamer_core.worlds import WORLDS
from dreamer_core.worlds.changing_pendulum import ChangingPendulum


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The folder of a run that was never killed."""
    out = tmp_path_factory.mktemp("never-killed") / "run"
    train(tiny(), out)
    return out


# --- what is measured -----------------------------------------------------------------------------


def test_metrics_are_one_object_per_line_at_every_evaluation(reference):
    lines = [json.loads(line) for line in (reference / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["env_steps"] for line in lines] == [20, 40, 60, 80, 100]
    for line in lines:
        assert line.keys() >= {"env_steps", "grad_steps", "wall_s", "eval_return_mean", "eval_return_std", "eval_episodes"}
        assert line["eval_episodes"] == 2 and line["eval_return_std"] >= 0
    # 2 + 1 * (1 + 2) updates at step 40, then 2 * (1 + 2) in each round: at 50, 60, ... 100.
    assert [line["grad_steps"] for line in lines] == [0, 5, 5 + 12, 5 + 24, 5 + 36]
    assert all(a["wall_s"] < b["wall_s"] for a, b in zip(lines, lines[1:])), "wall time that does not grow"


def test_the_last_step_is_evaluated_even_off_the_grid():
    assert [line["env_steps"] for line in finish(Trainer(tiny(env_steps=25)))] == [20, 25]


def test_the_last_step_has_a_checkpoint_even_off_the_grid(reference):
    assert final_state(reference)[1]["step"] == 100


def test_the_same_seed_gives_the_same_run_and_another_seed_another(reference, tmp_path):
    train(tiny(), tmp_path / "same")
    assert_same_run(reference, tmp_path / "same")
    train(tiny(seed=1), tmp_path / "other")
    assert metrics(reference) != metrics(tmp_path / "other")


def test_the_seed_decides_the_first_weights():
    one, again, other = (Trainer(tiny(seed=seed)).agent.model.state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in one), "the same seed begins with other weights"
    drawn = [name for name in one if name.endswith("weight") and bool(one[name].std() > 0)]
    assert drawn and not any(torch.equal(one[name], other[name]) for name in drawn), "another seed begins with the same weights"


def test_evaluating_takes_no_wall_time(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    evaluate, act = training.evaluate, Trainer._act

    def slow_evaluation(*args):
        clock.now += 1000
        return evaluate(*args)

    def one_second_act(trainer):
        clock.now += 1
        act(trainer)

    monkeypatch.setattr(training, "evaluate", slow_evaluation)
    monkeypatch.setattr(Trainer, "_act", one_second_act)
    assert [line["wall_s"] for line in finish(Trainer(tiny()))] == [20, 40, 60, 80, 100]


@pytest.mark.parametrize("agent", ["dreamer", "sac"])
def test_evaluating_more_or_less_often_changes_nothing_else(agent, tmp_path):
    train(tiny(agent=agent, evaluation=dict(every=7, episodes=3)), tmp_path / "often")
    train(tiny(agent=agent, evaluation=dict(every=100, episodes=1)), tmp_path / "once")
    (often, _), (once, _) = final_state(tmp_path / "often"), final_state(tmp_path / "once")
    assert all(torch.equal(often[name], once[name]) for name in often), (
        f"evaluating changed {[name for name in often if not torch.equal(often[name], once[name])]}"
    )


def test_episodes_by_turns_report_the_longest(monkeypatch):
    lengths = iter([3, 9, 4])
    one = np.zeros(1)
    monkeypatch.setattr(training, "side_by_side", lambda *_: training.Evaluation(one, one[:, None], next(lengths)))
    assert training.evaluate(None, [None], seed=0, episodes=3).steps == 9, "the length is not that of the longest episode"


def test_as_many_steps_are_imagined_as_were_played(monkeypatch):
    """Buoy's episodes last 20."""
    asked = []
    monkeypatch.setattr(training, "imagined_return", lambda model, actor, start, steps: asked.append(steps) or torch.zeros(len(start)))
    Trainer(tiny()).evaluate()
    assert asked == [20], "the dreamt episode is not as long as the real ones"


def test_evaluation_episodes_are_the_fixed_reset_seeds():
    trainer = Trainer(tiny(evaluation=dict(episodes=3)))
    together = training.evaluate(trainer.agent, trainer.evaluation_envs, seed=7).returns
    alone = [training.evaluate(trainer.agent, trainer.evaluation_envs[:1], seed=seed).returns[0] for seed in (7, 8, 9)]
    assert together == pytest.approx(alone, rel=1e-5)
    assert len(set(together)) == 3


class Recorded(gym.Wrapper):
    """Keeps what an environment was told and what it said in its last episode, and every action it was ever told."""

    def __init__(self, env):
        super().__init__(env)
        self.told = []

    def reset(self, **kwargs):
        observation, info = self.env.reset(**kwargs)
        self.seeds, self.observations, self.actions, self.rewards = [kwargs["seed"]], [observation], [], []
        return observation, info

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.observations.append(observation)
        self.actions.append(action.copy())
        self.told.append(action.tolist())
        self.rewards.append(reward)
        return observation, reward, terminated, truncated, info


def test_an_evaluated_agent_remembers_its_whole_episode():
    """The actions that reach each environment are those of a belief filtered over its episode, `first` in its first row alone."""
    trainer = Trainer(tiny(evaluation=dict(episodes=2)))
    environments = [Recorded(env) for env in trainer.evaluation_envs]
    found = training.evaluate(trainer.agent, environments, seed=5)
    model, actor = trainer.agent.model, trainer.agent.sac.actor
    for number, env in enumerate(environments):
        assert env.seeds == [5 + number], "the reset seed"
        observation, action = torch.tensor(np.stack(env.observations[:-1]))[None], torch.tensor(np.stack(env.actions))[None]
        first = torch.zeros(1, len(env.actions))
        first[0, 0] = 1
        noise = torch.zeros(1, len(env.actions), 3)  # the most likely z
        with torch.no_grad():
            beliefs = model.rssm.observe(torch.zeros(1, 6), model.encode(observation), action, first, noise)
            expected = torch.tanh(actor(beliefs.features)[0])
        torch.testing.assert_close(action, expected, msg=lambda told: f"the agent acts as if it had seen or done something else: {told}")
        assert found.returns[number] == pytest.approx(sum(env.rewards)), "the return of an episode"
        assert found.start[number].tolist() == env.observations[0].tolist(), "the first observation of an episode"
    assert found.steps == 20, "the length of an episode"


def test_a_return_is_reported_in_the_worlds_own_units():
    """Before any learning an agent that reads rewards times 100, less 3, has played the same episodes."""
    plain, scaled = Trainer(tiny()), Trainer(tiny(wrappers=dict(reward_scale=100, reward_offset=-3)))
    assert scaled.evaluate()["eval_return_mean"] == plain.evaluate()["eval_return_mean"], "the real return in other units"
    finish(scaled)
    _, stored = scaled.agent.replay.newest(20)
    assert len(stored) == 20 and stored.max() <= -3, "what is stored is not what the agent is to learn from"


@pytest.mark.parametrize("chance", [1.0, 0.5])
def test_an_imagined_return_is_not_discounted_where_the_model_has_learned_a_discount(chance):
    """A reward of 1 in each of 20 steps is 20, as real returns count it; half of that chance at each step sums to 2."""
    trainer = Trainer(tiny(model=dict(discount_horizon=10)))
    with torch.no_grad():
        for head, value in (
            (trainer.agent.model.reward, [1.0, 0.0]),
            (trainer.agent.model.cont, [math.log(0.9 * chance / (1 - 0.9 * chance))]),
        ):
            head[-1].weight.zero_()
            head[-1].bias.copy_(torch.tensor(value))
    expected = 20 if chance == 1 else 2 - 0.5**19
    assert trainer.evaluate()["imagined_return_mean"] == pytest.approx(expected, rel=1e-4), "the return imagined with a folded discount"


LEARNED = dict(env_steps=160, sac=dict(reward_unit="returns"))


def told(**changes):
    """The metrics of a run after its first learning, the time apart."""
    lines = [line for line in Trainer(tiny(**LEARNED | changes)).run() if line["grad_steps"]]
    return [{name: value for name, value in line.items() if name != "wall_s"} for line in lines]


@pytest.mark.parametrize("agent", ["dreamer", "sac"])
@pytest.mark.parametrize("scale", [2**-7, 2**7])
def test_with_a_learned_unit_rewards_in_other_units_make_the_same_run(agent, scale):
    """To the last bit for a power of two, which changes no digit of a float: every loss and return, and the return that is imagined."""
    assert told(agent=agent, wrappers=dict(reward_scale=scale)) == told(agent=agent), f"rewards times {scale} teach something else"


@pytest.mark.parametrize("agent", ["dreamer", "sac"])
def test_with_a_learned_unit_the_reward_scale_says_nothing(agent):
    """Rewards times 0.01 are rounded otherwise, so a short run is the same but for its last digits."""
    ours, theirs = told(agent=agent), told(agent=agent, wrappers=dict(reward_scale=0.01))
    for left, right in zip(ours, theirs, strict=True):
        assert left == pytest.approx(right, rel=1e-3, abs=1e-5), "rewards times 0.01 teach something else"


def test_with_a_learned_unit_an_added_reward_teaches_nothing_where_nothing_ends():
    """3 for every step is worth 3 / (1 - gamma) in every state: the critics start from there, and learn the same differences."""
    plain, richer = (told(agent="sac", wrappers=dict(reward_offset=offset)) for offset in (0, 3))
    for left, right in zip(plain, richer, strict=True):
        for name in ("eval_return_mean", "agent/critic_loss", "agent/entropy"):
            assert left[name] == pytest.approx(right[name], rel=1e-2), f"{name} at step {left['env_steps']}"


def test_a_world_is_told_how_old_it_is(monkeypatch):
    """At the start of each training episode of 20 steps, and of an evaluation every 25."""
    ages, real = [], ChangingPendulum.reset
    monkeypatch.setattr(ChangingPendulum, "reset", lambda self, **how: ages.append((how["options"] or {}).get("age")) or real(self, **how))
    trainer = Trainer(tiny(env="Changing-v0", env_steps=50, evaluation=dict(every=25, episodes=1)))
    assert ages == [0, None], "the first episode, and the copy for evaluation as it is opened"
    finish(trainer)
    assert ages[2:] == [20, 25, 40, 50], f"ages told: {ages}"


def test_evaluation_reports_mean_and_spread_of_the_returns(monkeypatch):
    start = np.zeros((3, 2), np.float32)
    monkeypatch.setattr(training, "evaluate", lambda *_: training.Evaluation(np.array([1.0, 2.0, 6.0]), start, 4))
    metrics = Trainer(tiny(agent="sac")).evaluate()
    assert metrics["eval_return_mean"] == 3 and metrics["eval_return_std"] == pytest.approx((14 / 3) ** 0.5)


def test_an_evaluation_episode_that_never_ends_is_noticed(monkeypatch):
    gym.register("Endless-v0", "runs:Buoy", kwargs={})
    monkeypatch.setattr("runs.Buoy.step", lambda self, action: (np.zeros(2), 0.0, False, False, {}))
    monkeypatch.setattr(training, "LONGEST", 30)
    with pytest.raises(EnvError, match="still running after 30 steps: register the environment with max_episode_steps"):
        finish(Trainer(tiny(env="Endless-v0", env_steps=20)))


def test_exactly_the_first_steps_are_random(monkeypatch):
    steps, real = [], Trainer._random_action
    monkeypatch.setattr(Trainer, "_random_action", lambda trainer: (steps.append(trainer.step), real(trainer))[1])
    finish(Trainer(tiny(env_steps=60)))
    assert steps == [*range(40)]


def test_random_actions_are_uniform_and_held_for_a_geometric_time():
    """With hold = 4 a quarter of the steps draw anew, in any step as likely; entries come from the whole of [-1, 1]."""
    trainer = Trainer(tiny(schedule=dict(hold=4)))
    first, trainer.step = trainer._random_action().clone(), 1
    actions = [first] + [trainer._random_action().clone() for _ in range(20_000)]
    renewed = [not torch.equal(a, b) for a, b in zip(actions, actions[1:])]
    assert np.mean(renewed) == pytest.approx(1 / 4, abs=0.015), "how often a new action is drawn"
    again = np.mean([b for a, b in zip(renewed, renewed[1:]) if a])
    assert again == pytest.approx(1 / 4, abs=0.03), "how often a new action is drawn right after another"
    values = torch.stack([action for action, new in zip(actions[1:], renewed) if new])
    assert values.mean().item() == pytest.approx(0, abs=0.04), "the mean of the random actions"
    assert values.std().item() == pytest.approx(1 / 3**0.5, abs=0.02), "the spread of the random actions"
    assert -1 <= values.min() < -0.99 and 0.99 < values.max() <= 1, "the range of the random actions"


def test_each_entry_of_a_random_action_is_drawn_for_itself():
    trainer = Trainer(tiny(schedule=dict(hold=1)))
    trainer.held = torch.zeros(2)
    actions = torch.stack([trainer._random_action().clone() for _ in range(4000)])
    assert torch.corrcoef(actions.T)[0, 1].abs() < 0.06, "the entries of a random action go together"


class Lanes(gym.Env):
    """Three actions, which are remembered."""

    observation_space = Box(-1, 1, (1,))
    action_space = Discrete(3, start=4)
    taken: list[int] = []

    def reset(self, *, seed=None, options=None):
        return np.zeros(1), {}

    def step(self, action):
        Lanes.taken.append(int(action))
        return np.zeros(1), 0.0, False, False, {}


gym.register("Lanes-v0", Lanes, max_episode_steps=20)


def test_random_choices_are_uniform_and_held_for_a_geometric_time():
    """With hold = 4 a quarter of the steps draw anew, and two thirds of these choose another of the three actions."""
    trainer = Trainer(tiny(**paper(env="Lanes-v0", schedule=dict(hold=4))))
    first, trainer.step = trainer._random_action().clone(), 1
    actions = torch.stack([first] + [trainer._random_action().clone() for _ in range(20_000)])
    assert torch.equal(actions.sort(-1).values, torch.tensor([0.0, 0, 1]).expand(20_001, 3)), "a random choice that is not one-hot"
    assert actions.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03), "how often each action is chosen"
    changed = (actions[1:] != actions[:-1]).any(-1).float().mean().item()
    assert changed == pytest.approx(1 / 4 * 2 / 3, abs=0.015), "how often another action is chosen"


def test_choices_are_stored_as_they_reached_the_environment():
    """Random and the policy's own, in the environment's own numbers 4, 5 and 6."""
    Lanes.taken.clear()
    trainer = Trainer(tiny(**paper(env="Lanes-v0", env_steps=60, evaluation=dict(every=500, episodes=1))))
    finish(trainer)
    data = {name: value[: len(trainer.agent.replay)] for name, value in trainer.agent.replay.data.items()}
    left = data["action"][data["action"].sum(-1) > 0]  # no action leaves the last row of an episode
    assert [4 + int(action.argmax()) for action in left] == Lanes.taken[:60], "actions stored, and actions taken"
    assert len(left) == 60 and set(left[:40].argmax(-1).tolist()) == {0, 1, 2}, "the random steps do not choose among all actions"


def test_a_runs_seed_and_the_episodes_number_decide_how_an_episode_starts(monkeypatch):
    """Other reset seeds for other episodes, and for other runs; the same for the same."""
    seeds, reset = [], Buoy.reset
    monkeypatch.setattr(Buoy, "reset", lambda self, seed=None, options=None: seeds.append(seed) or reset(self, seed=seed))
    told = {}
    for name, seed in [("one", 0), ("again", 0), ("other", 1)]:
        seeds.clear()
        finish(Trainer(tiny(seed=seed, env_steps=38, evaluation=dict(every=500, episodes=1))))
        told[name] = [seed for seed in seeds if seed != 7]  # 7 is the evaluation's
    assert len(set(told["one"])) == 2, f"the two episodes of a run do not start from seeds of their own: {told['one']}"
    assert told["again"] == told["one"], "the same run starts its episodes from other seeds"
    assert not set(told["other"]) & set(told["one"]), "the run's seed is not in the seeds of its episodes"


# --- what is remembered ---------------------------------------------------------------------------


def test_what_is_stored_while_acting_is_what_was_believed_and_done():
    """Three random episodes, no learning: h is 0 where an episode starts, and else follows from the row before and its action."""
    trainer = Trainer(tiny(env_steps=39, schedule=dict(prefill=40, prefill_episode=13)))
    finish(trainer)
    data, rssm = {name: value[: len(trainer.agent.replay)] for name, value in trainer.agent.replay.data.items()}, trainer.agent.model.rssm
    assert data["first"].nonzero().flatten().tolist() == [0, 14, 28], "the rows that open an episode"
    with torch.no_grad():
        for t in range(len(data["h"])):
            expected = torch.zeros(6)
            if not data["first"][t]:
                expected = rssm.step(data["h"][t - 1 : t], data["z"][t - 1 : t], data["action"][t - 1 : t])[0]
            torch.testing.assert_close(data["h"][t], expected, msg=lambda told, t=t: f"h stored in row {t}: {told}")


def test_the_action_that_is_stored_is_the_one_that_reached_the_environment():
    """Random ones during the first 40 steps, the policy's own from then on; none leaves an episode's last row."""
    trainer = Trainer(tiny(env_steps=70))
    trainer.env, chosen, policy = Recorded(trainer.env), [], trainer.agent.policy
    trainer.env.reset(seed=trainer._episode_seed())

    def spied(carry, observation, first, explore):
        carry = policy(carry, observation, first, explore)
        if explore:
            chosen.append(carry.action[0].tolist())
        return carry

    trainer.agent.policy = spied
    finish(trainer)
    first = trainer.agent.replay.data["first"][: len(trainer.agent.replay)]
    last = torch.cat([first[1:] == 1, torch.tensor([False])]).tolist()  # rows that end an episode
    rows = trainer.agent.replay.data["action"][: len(first)].tolist()
    assert sum(last) == 3 and all(row == [0] for row, end in zip(rows, last) if end), "an action leaves an episode's last row"
    assert [row for row, end in zip(rows, last) if not end] == trainer.env.told, "actions stored, and actions that reached the environment"
    own = [row == wanted for row, wanted, end in zip(rows, chosen, last) if not end]
    assert own == [False] * 40 + [True] * 30, "whether the action of a step is the policy's own"


class Counter(gym.Env):
    """Counts its steps: observation t, reward 100 + t; truly ends after `length` steps."""

    observation_space = Box(-np.inf, np.inf, (1,))
    action_space = Box(-1, 1, (1,))

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.t = 0
        return np.zeros(1), {}

    def step(self, action):
        self.t += 1
        return np.full(1, self.t), 100.0 + self.t, self.t == self.length, False, {}


@pytest.mark.parametrize(
    "flags, over, terminal",
    [((False, False), False, False), ((True, False), True, True), ((False, True), True, False), ((True, True), True, True)],
)
def test_what_the_two_flags_of_a_step_mean(flags, over, terminal):
    assert training.ending(*flags) == (over, terminal)


@pytest.mark.parametrize("ending", ["terminated", "time limit", "cut short"])
def test_termination_is_stored_and_a_time_limit_is_not(ending):
    gym.register(f"{ending.title().replace(' ', '')}-v0", Counter, max_episode_steps=3 if ending == "time limit" else 50,
                 kwargs=dict(length=3 if ending == "terminated" else 99))  # fmt: skip
    config = tiny(env=f"{ending.title().replace(' ', '')}-v0", env_steps=6)
    if ending == "cut short":
        config.schedule.prefill_episode = 3
    trainer = Trainer(config)
    finish(trainer)
    rows = {name: value[:8].squeeze(-1).tolist() for name, value in trainer.agent.replay.data.items() if name not in ("h", "z")}
    # Four rows for three steps: the last one brings the last reward, and no action leaves it.
    assert rows["observation"] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert rows["reward"] == [0, 101, 102, 103, 0, 101, 102, 103]
    assert rows["first"] == [1, 0, 0, 0, 1, 0, 0, 0]
    assert rows["terminal"] == ([0, 0, 0, 1] * 2 if ending == "terminated" else [0] * 8)
    assert rows["action"][3] == rows["action"][7] == 0
    assert 0 not in rows["action"][:3] + rows["action"][4:7]


def test_windows_may_be_longer_than_any_episode():
    trainer = Trainer(tiny(env_steps=60, replay=dict(length=30)))  # episodes of the toy end after 20 steps
    finish(trainer)
    assert trainer.agent.grad_steps > 0


ENDING = ("InvertedPendulum-v5", "InvertedDoublePendulum-v5", "Hopper-v5", "dreamer/Recall-v0")  # within 60 steps, truly


@pytest.fixture(scope="module")
def cartpole(tmp_path_factory):
    """The folder and the trainer of a run with discrete actions."""
    out = tmp_path_factory.mktemp("cartpole") / "run"
    return out, train(tiny(**paper(env="CartPole-v1", env_steps=60)), out)


def test_a_run_with_discrete_actions_trains_and_is_measured(cartpole):
    out, trainer = cartpole
    lines = metrics(out)
    assert [line["env_steps"] for line in lines] == [20, 40, 60]
    assert min(line["eval_return_mean"] for line in lines) >= 1, "an episode of CartPole has at least one step, which brings 1"
    assert lines[-1]["grad_steps"] == 2 + 1 + 1 + 2 * (2 + 2), "updates of model and agent"
    assert {"agent/critic_loss", "agent/replay_loss", "agent/actor_loss", "agent/return_range", "model/kl"} <= lines[-1].keys()
    assert all(math.isfinite(value) for line in lines for value in line.values()), "a metric that is no number"
    assert type(trainer.agent.sac.actor).__name__ == "CategoricalActor"


@pytest.mark.parametrize("env, actor", [("CartPole-v1", "categorical"), ("Buoy-v0", "normal")])
def test_a_run_writes_down_which_actor_it_has(env, actor, tmp_path):
    """What "auto" was is known to whoever loads the run, without the environment."""
    Trainer(tiny(**paper(env=env)), tmp_path / "run").close()
    written = json.loads((tmp_path / "run/config.json").read_text(encoding="utf-8"))
    assert written["dreamerv3"]["actor"] == actor and written["actor_critic"] == "dreamerv3"
    assert final_state(tmp_path / "run")[1]["config"] == written, "the checkpoint says something else than config.json"


def test_an_agent_with_discrete_actions_is_loaded_and_acts(cartpole):
    out, trainer = cartpole
    agent, observation = Dreamer.load(out), torch.randn(5, 4)
    ours, theirs = (one.policy(one.initial(5), observation, torch.ones(5), explore=False) for one in (agent, trainer.agent))
    assert torch.equal(ours.action, theirs.action), "the loaded agent acts otherwise"
    assert torch.equal(ours.action.sort(-1).values, torch.tensor([0.0, 1]).expand(5, 2)), "an action that is not one-hot"
    drawn = agent.policy(agent.initial(200), observation[:1].expand(200, 4), torch.ones(200), explore=True).action
    assert 0 < drawn[:, 0].mean() < 1 and ((drawn == 0) | (drawn == 1)).all(), "exploring, it does not choose among both actions"


@pytest.mark.parametrize(
    "env",
    ["Pendulum-v1", "MountainCarContinuous-v0", "Reacher-v5", "HalfCheetah-v5", *ENDING]
    + [f"dreamer/{world}-v0" for world in WORLDS if world != "Recall"],
)
def test_real_environments_train_from_end_to_end(env):
    if env.endswith("-v5"):
        pytest.importorskip("mujoco")
    trainer = Trainer(tiny(env=env, env_steps=60, evaluation=dict(every=60, episodes=1)))
    lines = finish(trainer)
    assert np.isfinite(lines[-1]["eval_return_mean"]) and lines[-1]["grad_steps"] == 5 + 12, (
        "the return is not a number, or there were not 17 updates"
    )
    ended = trainer.agent.replay.data["terminal"].sum()
    assert ended > 0 if env in ENDING else ended == 0, "ends are stored where only time ran out, or not stored where the pole fell"


# --- killed and resumed ---------------------------------------------------------------------------


def test_killed_before_every_single_write(reference, tmp_path):
    """A run that dies before its first write, resumes and dies before its second, and so on until a life reaches the end."""
    lives = 0
    while live(tmp_path / "run", tiny(), write=lives + 1):
        lives += 1
        shutil.copytree(tmp_path / "run", tmp_path / f"{lives}")
    assert lives > 8
    assert_same_run(reference, tmp_path / "run")
    for corpse in range(3, lives, 4):  # and from some of these deaths in one go
        assert not live(tmp_path / f"{corpse}", tiny()), "the resumed run was killed again"
        assert_same_run(reference, tmp_path / f"{corpse}")


def test_a_resumed_run_knows_the_metrics_of_its_last_updates(tmp_path):
    """An evaluation that comes before the next update reports them."""
    trainer = train(tiny(env_steps=60), tmp_path / "run")
    assert trainer.metrics, "no update was made"
    resumed = Trainer.resume(tmp_path / "run", 100)
    told = {name: float(value) for name, value in trainer.metrics.items()}
    assert {name: float(value) for name, value in resumed.metrics.items()} == told, "metrics of the last updates are lost"


def test_killed_at_random_moments(tmp_path):
    """Wherever it happens to be: acting, learning, evaluating, writing. The run is too long to end before its first death."""
    moments = random.Random(0)
    config = tiny(env_steps=900)
    train(config, tmp_path / "never-killed")
    deaths = 0
    for _ in range(8):
        process = start_life(tmp_path / "run", config)
        for _ in range(100):  # a life is counted from its first checkpoint on
            if (tmp_path / "run/config.json").exists() or not process.is_alive():
                break
            time.sleep(0.02)
        time.sleep(moments.uniform(0.02, 0.3))
        process.kill()
        process.join()
        deaths += process.exitcode != 0
    assert deaths > 0
    live(tmp_path / "run", config)
    assert_same_run(tmp_path / "never-killed", tmp_path / "run")


@pytest.mark.parametrize(
    "changes",
    [
        dict(agent="sac"),
        dict(sac=dict(reward_unit="returns")),
        dict(
            preset="advantage", sac=dict(lam=1.0, actor_grad="score", batch=0, normalize_advantage=True, alpha_final=0.01, alpha_updates=9)
        ),
        dict(model=dict(latent="categorical")),
        dict(env="Pendulum-v1", wrappers=dict(hide=[2], observation_scale=30, reward_scale=0.01, reward_offset=3)),
        dict(env="Changing-v0"),
        dict(replay=dict(capacity=37, layout="chunks", burn_in=2)),
        dict(sac=dict(return_range=True, zero_init=True, reward_unit="returns"), optimizer=dict(kind="laprop", clip="agc", warmup=9)),
        paper(replay=dict(capacity=37)),
        paper(env="CartPole-v1"),
    ],
    ids=["sac", "measured rewards", "advantage", "categorical", "hidden velocity in other units", "a world that changes", "full buffer",
         "pieces of the paper", "dreamerv3", "dreamerv3 with discrete actions"],
)  # fmt: skip
def test_every_kind_of_run_survives_being_killed(changes, tmp_path):
    """During the random steps, in the middle of an episode, after learning, and at its very end."""
    config = tiny(**changes)
    train(config, tmp_path / "whole")
    for step in (34, 37, 68, 100):
        assert live(tmp_path / "killed", config, step=step), f"the run came to its end instead of dying at step {step}"
    assert not live(tmp_path / "killed", config), "the resumed run was killed again"
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_two_threads_repeat_themselves_also_when_resumed(tmp_path):
    """With enough numbers in a batch for two threads to share the writing of overlapping windows."""
    changes = dict(threads=2, env_steps=60, checkpoint_every=45, model=dict(deter=100), replay=dict(batch=24, length=20))
    train(tiny(**changes, evaluation=dict(every=50)), tmp_path / "whole")
    finish(Trainer.resume(copy_at(50, tmp_path / "stopped", **changes, evaluation=dict(every=50))))
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_the_agents_that_are_kept_act_as_the_run_did_then_also_after_it_was_killed(tmp_path):
    """Each file is the agent of its step, to the last bit, whether the run was killed or not; what lay ahead of a checkpoint is gone."""
    config, lived = tiny(keep_agents=20), {}
    trainer = Trainer(config, tmp_path / "whole")
    for _ in trainer.run(on_step=lambda _: None):
        if trainer.step in (40, 60, 80, 100):
            lived[trainer.step] = {name: value.clone() for name, value in trainer.agent.model.state_dict().items()}
    kept = checkpoint.kept_agents(tmp_path / "whole")
    assert list(kept) == [40, 60, 80, 100], "from the first learning on, an agent each 20 steps, youngest first"
    for step, path in kept.items():
        weights = Dreamer.load(path).model.state_dict()
        assert all(torch.equal(weights[name], value) for name, value in lived[step].items()), f"the agent of step {step} is another one"
    assert live(tmp_path / "killed", config, step=85), "this life was to be killed"
    (tmp_path / "killed" / "agents" / "step_00000100.safetensors").write_bytes(b"from a future that will not come")
    resumed = Trainer.resume(tmp_path / "killed")
    assert list(checkpoint.kept_agents(tmp_path / "killed")) == [40, 60], "agents later than the checkpoint must go"
    finish(resumed)
    again = checkpoint.kept_agents(tmp_path / "killed")
    assert list(again) == list(kept)
    for step, path in again.items():
        (tensors, state), (others, theirs) = checkpoint.load_one(path), checkpoint.load_one(kept[step])
        same = state == theirs and tensors.keys() == others.keys() and all(torch.equal(tensors[name], others[name]) for name in tensors)
        assert same, f"the agent of step {step} differs after a resume"


def test_no_agents_are_kept_unless_asked_and_none_that_cannot_dream(tmp_path):
    train(tiny(), tmp_path / "plain")
    assert checkpoint.kept_agents(tmp_path / "plain") == {}
    assert not (tmp_path / "plain" / "agents").exists(), "a run that keeps no agents needs no folder for them"
    with pytest.raises(ConfigError, match="^keep_agents keeps agents that can dream, and --agent sac has no world model"):
        Trainer(tiny(keep_agents=20, agent="sac"), tmp_path / "sac")


def test_killed_twice_in_one_episode(tmp_path):
    """The second time, the environment is brought back through actions from before the first."""
    config = tiny(checkpoint_every=5)
    train(config, tmp_path / "whole")
    assert live(tmp_path / "killed", config, step=27) and live(tmp_path / "killed", config, step=33), (
        "the run came to its end instead of dying"
    )
    assert not live(tmp_path / "killed", config), "the resumed run was killed again"
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


def test_a_run_killed_at_its_very_start_can_be_started_again(tmp_path, reference):
    assert live(tmp_path / "run", tiny(), write=5), "the run came to its end instead of dying"  # checkpoint 0 is there, config.json is not
    assert (tmp_path / "run/checkpoint/00000000.json").exists() and not (tmp_path / "run/config.json").exists(), (
        "the configuration was written before the first checkpoint"
    )
    with pytest.raises(CheckpointError, match="holds no run to resume .* start a new one$"):
        Trainer.resume(tmp_path / "run")
    train(tiny(), tmp_path / "run")
    assert_same_run(reference, tmp_path / "run")


def copy_at(step, out, **changes):
    """The folder of a run that stopped at `step`, with nothing after it."""
    trainer = Trainer(tiny(**changes), out)
    for _ in trainer.run():
        if trainer.step == step:
            return out


def test_lines_after_the_checkpoint_and_half_a_line_are_written_again(reference, tmp_path):
    out = copy_at(80, tmp_path / "run")  # checkpoint 60, metrics up to 80
    with open(out / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"env_steps": 99, "gra')
    finish(Trainer.resume(out))
    assert_same_run(reference, out)


def test_a_shortened_metrics_file_is_refused(tmp_path):
    out = copy_at(80, tmp_path / "run")
    os.truncate(out / "metrics.jsonl", 100)
    with pytest.raises(CheckpointError, match="metrics.jsonl is shorter than when the checkpoint was made"):
        Trainer.resume(out)


def test_wall_time_goes_on_from_the_checkpoint(tmp_path):
    out = copy_at(60, tmp_path / "run")
    before = json.loads((out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])["wall_s"]
    trainer = Trainer.resume(out)
    assert trainer.wall_s == pytest.approx(before, abs=1e-3)
    assert all(line["wall_s"] > before for line in finish(trainer)), "wall time that starts anew"


def test_a_finished_run_goes_on_to_more_steps(reference, tmp_path):
    train(tiny(env_steps=60), tmp_path / "run")
    assert finish(Trainer.resume(tmp_path / "run")) == []
    finish(Trainer.resume(tmp_path / "run", env_steps=80))
    assert live(tmp_path / "run", tiny(), step=None) is False  # config.json now says 80: there is nothing left to do
    finish(Trainer.resume(tmp_path / "run", env_steps=100))
    assert_same_run(reference, tmp_path / "run")
    with pytest.raises(ConfigError, match="already at step 100: ask for more than that"):
        Trainer.resume(tmp_path / "run", env_steps=90)


def test_a_damaged_checkpoint_is_passed_over_and_nothing_is_lost(reference, tmp_path):
    out = copy_at(60, tmp_path / "run")
    newest = out / "checkpoint/00000060.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    said = []
    finish(Trainer.resume(out, warn=said.append))
    assert len(said) == 1 and "00000060.json is damaged" in said[0] and said[0].endswith("trying the one before it"), (
        f"not one sentence about the damaged checkpoint: {said}"
    )
    assert_same_run(reference, out)


def test_an_edited_configuration_is_refused(tmp_path):
    out = copy_at(40, tmp_path / "run")
    config = json.loads((out / "config.json").read_text(encoding="utf-8"))
    config["sac"]["gamma"] = 0.5
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CheckpointError, match="was made with another sac.gamma than .*config.json says"):
        Trainer.resume(out)
    config["sac"]["gama"] = 0.5
    (out / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ConfigError, match="the setting sac.gama does not exist"):
        Trainer.resume(out)
    for content in ("{", "[" * 10**5 + "]" * 10**5):
        (out / "config.json").write_text(content, encoding="utf-8")
        with pytest.raises(CheckpointError, match="config.json cannot be read"):
            Trainer.resume(out)


class Moody(Counter):
    """An environment that draws on something no seed controls: what `change` names differs in its second life."""

    lives, change = 0, ""

    def step(self, action):
        observation, reward, terminated, truncated, info = super().step(action)
        later = Moody.lives == 1
        observation += (later and self.change == "observation") or (later and self.change == "one observation" and self.t == 3)
        reward += (later and self.change == "reward") or (later and (self.change, self.t) in [("one reward", 3), ("last reward", 10)])
        return observation, reward, terminated or (later and self.change == "end" and self.t == 5), truncated, info


gym.register("Moody-v0", Moody, max_episode_steps=50, kwargs=dict(length=99))


@pytest.mark.parametrize("capacity", [100, 6], ids=["", "rows of the episode are overwritten"])
@pytest.mark.parametrize("change", ["observation", "one observation", "reward", "one reward", "last reward", "end", "nothing"])
def test_an_environment_that_does_not_repeat_itself_is_noticed(change, capacity, tmp_path, monkeypatch):
    """Step 3 of an episode of which ten steps are taken: nothing but its row in the buffer remembers it."""
    monkeypatch.setattr(Moody, "change", change)
    monkeypatch.setattr(Moody, "lives", 0)
    config = tiny(env="Moody-v0", env_steps=100, schedule=dict(prefill_episode=10, prefill=20), replay=dict(capacity=capacity, length=4))
    trainer = Trainer(config, tmp_path / "run")
    for _ in trainer.run(on_step=lambda trainer: trainer.step == 30 and trainer.save()):
        if trainer.step == 40:
            break
    trainer.close()
    for path in (tmp_path / "run/checkpoint").glob("*"):
        if int(path.stem) != 30:
            path.unlink()
    monkeypatch.setattr(Moody, "lives", 1)
    if change == "nothing" or (capacity == 6 and change.startswith("one")):  # no longer to be seen
        return Trainer.resume(tmp_path / "run").close()
    with pytest.raises(
        CheckpointError, match="Moody-v0 did not repeat itself from the same seed and actions, so this run cannot be continued"
    ):
        Trainer.resume(tmp_path / "run")


class School(Counter):
    """A curriculum: the reward of a step is the number of episodes that this object has begun."""

    begun = 0

    def reset(self, *, seed=None, options=None):
        self.begun += 1
        return super().reset(seed=seed)

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(self.begun), *rest


def test_an_environment_that_remembers_earlier_episodes_is_refused_where_it_shows(tmp_path):
    """In its third episode it cannot be resumed; in its first it can, since nothing came before."""
    gym.register("School-v0", School, max_episode_steps=20, kwargs=dict(length=99))
    with pytest.raises(CheckpointError, match="School-v0 did not repeat itself"):
        Trainer.resume(copy_at(60, tmp_path / "late", env="School-v0", checkpoint_every=50))
    trainer = Trainer(tiny(env="School-v0", checkpoint_every=15), tmp_path / "early")
    next(trainer.run())  # step 20; the checkpoint is of step 15
    trainer.close()
    Trainer.resume(tmp_path / "early").close()


# --- written elsewhere, or earlier ----------------------------------------------------------------


def edit(out, change):
    """Change the newest checkpoint's tensors and state, and config.json as its configuration."""
    path = max((out / "checkpoint").glob("*.json"))
    tensors, state = checkpoint.load(path)
    change(tensors, state)
    checkpoint.save(
        out / "checkpoint", int(path.stem), tensors, {name: state[name] for name in state if name not in ("version", "tensors")}
    )
    (out / "config.json").write_text(json.dumps(state["config"]), encoding="utf-8")


@pytest.mark.parametrize("named", ["cuda", "auto"])
def test_a_run_made_on_a_gpu_goes_on_without_one(named, tmp_path, monkeypatch):
    """Its checkpoint holds the GPU's random numbers. `auto` takes what there is; a named device has to be renamed."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out, said = copy_at(60, tmp_path / "run"), []

    def as_on_a_gpu(tensors, state):
        state["config"]["device"] = named
        tensors["rng_device"] = torch.zeros(16, dtype=torch.uint8)

    edit(out, as_on_a_gpu)
    if named == "cuda":
        with pytest.raises(ConfigError, match="the setting device is 'cuda', but torch finds no such device here: set device to cpu"):
            Trainer.resume(out)
        trainer = Trainer.resume(out, device="cpu", warn=said.append)
    else:
        trainer = Trainer.resume(out, warn=said.append)
    assert len(said) == 1 and "was made on cuda with 1 thread(s): on cpu with 1 its numbers will differ" in said[0]
    trainer.close()
    said.clear()
    trainer = Trainer.resume(out, warn=said.append)  # the new device is in config.json, though in no checkpoint yet
    assert len(said) == 1 and [line["env_steps"] for line in finish(trainer)] == [80, 100]
    said.clear()
    Trainer.resume(out, env_steps=120, warn=said.append).close()
    assert said == [], "from its next checkpoint on it is a run like any other"


def test_a_run_can_go_on_with_more_threads(tmp_path):
    out, said = copy_at(60, tmp_path / "run"), []
    trainer = Trainer.resume(out, threads=2, warn=said.append)
    assert torch.get_num_threads() == 2 and len(finish(trainer)) == 2
    assert len(said) == 1 and "was made on cpu with 1 thread(s): on cpu with 2 its numbers will differ" in said[0]


def test_an_unknown_device_or_fewer_than_one_step_is_one_sentence(tmp_path):
    out = copy_at(40, tmp_path / "run")
    for wrong in (dict(device="tpu"), dict(threads=0), dict(env_steps=-1)):
        with pytest.raises(ConfigError, match=f"^the setting {next(iter(wrong))} is "):
            Trainer.resume(out, **wrong)


def test_a_run_written_before_a_setting_existed_takes_its_default(tmp_path, reference):
    out, said = copy_at(60, tmp_path / "run"), []

    def older(tensors, state):
        del state["config"]["threads"], state["config"]["schedule"]["anneal"]

    edit(out, older)
    finish(Trainer.resume(out, warn=said.append))
    assert said == [f"the run in {out} was written before there were the settings schedule.anneal, threads: they take their defaults"]
    assert_same_run(reference, out)  # config.json and the next checkpoints have them


def test_a_setting_that_only_the_checkpoint_lacks_takes_its_default_too(tmp_path, reference):
    out, said = copy_at(60, tmp_path / "run"), []
    whole = (out / "config.json").read_bytes()
    edit(out, lambda tensors, state: state["config"].pop("seed"))
    (out / "config.json").write_bytes(whole)
    finish(Trainer.resume(out, warn=said.append))
    assert said == []
    assert_same_run(reference, out)


# --- one run in a folder --------------------------------------------------------------------------


def test_two_runs_cannot_work_in_one_folder(tmp_path, reference):
    out = tmp_path / "run"
    first = Trainer(tiny(), out)
    for other in (lambda: Trainer.resume(out), lambda: Trainer(tiny(), out)):
        with pytest.raises(CheckpointError, match=f"^another run is at work in {out}: wait until it ends or close it, or choose another"):
            other()
    steps = first.run()
    next(steps)
    with pytest.raises(CheckpointError, match="another run is at work"):
        Trainer.resume(out)
    list(steps)
    second = Trainer.resume(out, env_steps=120)  # the first is at its end, though it is still there
    first.config.env_steps = 110
    with pytest.raises(CheckpointError, match="another run is at work"):
        list(first.run())
    finish(second)
    assert_same_run(train(tiny(env_steps=120), tmp_path / "whole").out, out)


def test_a_run_that_was_overtaken_does_not_go_on(tmp_path):
    first = Trainer(tiny(env_steps=60), tmp_path / "run")
    finish(first)
    finish(Trainer.resume(tmp_path / "run", env_steps=80))
    first.config.env_steps = 100
    with pytest.raises(CheckpointError, match="another run has gone on in .*: continue it with Trainer.resume"):
        finish(first)
    assert metrics(tmp_path / "run")[-1]["env_steps"] == 80


def test_a_run_can_go_on_after_its_end(tmp_path, reference):
    trainer = Trainer(tiny(env_steps=60), tmp_path / "run")
    finish(trainer)
    trainer.config.env_steps = 100
    finish(trainer)
    assert metrics(tmp_path / "run") == metrics(reference)


@pytest.mark.parametrize("ending", ["close", "drop", "error", "kill"])
def test_a_folder_is_free_again_however_a_run_ends(ending, tmp_path):
    out = tmp_path / "run"
    if ending == "kill":
        assert live(out, tiny(), step=50), "the run came to its end instead of dying"
    else:
        trainer = Trainer(tiny(), out)
        if ending == "close":
            trainer.close()
        elif ending == "error":
            with pytest.raises(ZeroDivisionError):
                list(trainer.run(on_step=lambda trainer: 1 / 0))
        del trainer
    Trainer.resume(out).close()


def test_another_process_is_kept_out_and_let_in_when_this_one_is_done(tmp_path):
    def other():
        process = start_life(tmp_path / "run", tiny())
        process.join(300)
        return process.exitcode

    trainer = Trainer(tiny(), tmp_path / "run")
    assert other() == 1, "another process was let into the folder"
    trainer.close()
    assert other() == 0, "another process is kept out of a folder that is free"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_simulator_that_outlives_a_run_does_not_keep_its_folder(tmp_path):
    trainer = Trainer(tiny(), tmp_path / "run")
    listen, speak = os.pipe()
    orphan = os.fork()
    if orphan == 0:
        os.write(speak, b"!")
        time.sleep(30)
        os._exit(0)
    try:
        os.read(listen, 1)  # it lives: what a fork does in the child is done
        trainer.lock.close()  # as the system does where a process is killed: its own end of the file, and nothing else
        trainer.close()
        Trainer.resume(tmp_path / "run").close()
    finally:
        os.kill(orphan, signal.SIGKILL)
        os.waitpid(orphan, 0)


# --- environments are closed ----------------------------------------------------------------------


class Simulator(Buoy):
    """Counts which of its kind are open; may be allowed to exist `limit` times only, from its making or its first reset on."""

    living: set = set()
    made: set = set()  # and not closed

    def __init__(self, limit=99, late=False):
        self.limit, self.late = limit, late
        if not late:
            self._start()
        self.made.add(self)

    def _start(self):
        if len(self.living - {self}) >= self.limit:
            raise OSError(98, "Address already in use")
        self.living.add(self)

    def reset(self, *, seed=None, options=None):
        if self.late:
            self._start()
        return super().reset(seed=seed)

    def close(self):
        self.living.discard(self)
        self.made.discard(self)


gym.register("Simulator-v0", Simulator, max_episode_steps=20)


@pytest.fixture
def living():
    """The simulators that are open."""
    Simulator.living.clear()
    Simulator.made.clear()
    gym.registry["Simulator-v0"].kwargs = {}
    gc.collect()
    yield Simulator.living
    Simulator.living.clear()


def test_a_run_makes_one_environment_and_one_for_each_evaluation_episode(living):
    trainer = Trainer(tiny(env="Simulator-v0", evaluation=dict(episodes=5)))
    assert len(living) == 6
    trainer.close()
    assert not living, "simulators were left open"
    trainer.close()  # again: nothing happens


def interrupt(trainer):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    "ending",
    [
        lambda config: Trainer(config).close(),
        lambda config: Trainer(config).__enter__().__exit__(None, None, None),
        lambda config: finish(Trainer(config)),
        lambda config: next(Trainer(config).run()),
        lambda config: pytest.raises(KeyboardInterrupt, list, Trainer(config).run(on_step=interrupt)),
        lambda config: pytest.raises(ZeroDivisionError, list, Trainer(config).run(on_step=lambda trainer: 1 / 0)),
        lambda config: pytest.raises(ConfigError, Trainer, config, os.path.dirname(__file__) + "/../tests/runs.py"),
    ],
    ids=["closed", "with", "finished and dropped", "broken off and dropped", "interrupted", "an error", "a folder that cannot be"],
)
def test_environments_are_closed_on_every_way_out(living, ending):
    try:
        ending(tiny(env="Simulator-v0", env_steps=40))
    except DreamerError:
        pass
    assert not living, f"{len(living)} environments are still open"


@pytest.mark.parametrize("where", ["reset", "step"])
def test_environments_are_closed_when_one_of_them_fails(living, where, monkeypatch):
    calls, real = [], getattr(Simulator, where)

    def fail(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 4:
            raise RuntimeError("the gear box is broken")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Simulator, where, fail)
    with pytest.raises(EnvError, match=rf"^Simulator-v0 raised RuntimeError \(the gear box is broken\) in its {where} at step") as caught:
        finish(Trainer(tiny(env="Simulator-v0")))
    assert isinstance(caught.value.__cause__, RuntimeError), "the environment's own error is hidden"
    assert not living, "simulators were left open"


def test_a_resumed_run_that_is_refused_closes_what_it_made(living, tmp_path):
    out = copy_at(40, tmp_path / "run", env="Simulator-v0")
    gc.collect()
    os.truncate(out / "metrics.jsonl", 10)
    with pytest.raises(CheckpointError, match="shorter"):
        Trainer.resume(out)
    assert not living, "simulators were left open"


def test_python_itself_closes_what_a_script_left_open(tmp_path):
    """A script that ends by an error with its trainer alive: its simulators are processes, and none may stay."""
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, gymnasium as gym, runs\n"
        "from dreamer_core.trainer import Trainer\n"
        "class Program(runs.Buoy):\n"
        "    def __init__(self):\n"
        "        self.child = subprocess.Popen(['sleep', '300'])\n"
        "        print(self.child.pid)\n"
        "    def close(self):\n"
        "        self.child.kill()\n"
        "        self.child.wait()\n"
        "gym.register('Program-v0', Program, max_episode_steps=20)\n"
        "trainer = Trainer(runs.tiny(env='Program-v0', env_steps=40))\n"
        "list(trainer.run())\n"
        "1 / 0\n",
        encoding="utf-8",
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, script], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, encoding="utf-8")
    pids = [int(line) for line in done.stdout.split()]
    left = [pid for pid in pids if psutil.pid_exists(pid)]
    assert len(pids) == 3 and not left, f"{len(left)} of {len(pids)} programs are left behind\n{done.stderr}"


def test_a_closed_trainer_says_so_and_keeps_its_agent(tmp_path):
    trainer = Trainer(tiny(), tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        list(trainer.run(on_step=lambda trainer: 1 / 0))
    for use in (lambda: list(trainer.run()), trainer.evaluate):
        with pytest.raises(DreamerError, match="^this trainer is closed, by .*: continue its run with Trainer.resume"):
            use()
    assert trainer.agent.initial(1), "the agent is gone"
    finish(Trainer.resume(tmp_path / "run"))


def test_a_loop_that_is_broken_off_can_be_taken_up_again(reference):
    trainer = Trainer(tiny())
    for _ in trainer.run():
        break
    assert [line["env_steps"] for line in finish(trainer)] == [40, 60, 80, 100]


# --- an environment that can exist only once ------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["made", "reset"])
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_where_too_few_copies_can_exist_episodes_are_played_by_turns(limit, late, living, tmp_path):
    """The same numbers as with a copy for each episode: also where the only one trains as well, which is led back each time."""
    config, said = tiny(env="Simulator-v0", evaluation=dict(every=7, episodes=3)), []
    train(config, tmp_path / "many")
    gym.registry["Simulator-v0"].kwargs = dict(limit=limit, late=late)
    trainer = Trainer(config, tmp_path / "few", warn=said.append)
    lines = finish(trainer)
    assert len(Simulator.made) == limit, "a copy that cannot start is left open"
    how = {1: "one after the other in the one that trains", 2: "1 at a time", 3: "2 at a time"}[limit]
    assert len(said) == 1 and how in said[0] and "Address already in use" in said[0]
    for one, other in zip(lines, metrics(tmp_path / "many"), strict=True):
        assert {name: one[name] for name in other} == pytest.approx(other, rel=1e-4)
    (few, _), (many, _) = final_state(tmp_path / "few"), final_state(tmp_path / "many")
    assert all(torch.equal(few[name], many[name]) for name in many), "evaluating by turns changed the run"
    trainer.close()
    assert not living, "simulators were left open"


def test_a_single_environment_survives_being_killed(tmp_path):
    gym.register("Single-v0", "test_trainer:Simulator", max_episode_steps=20, kwargs=dict(limit=1))
    out = tmp_path / "run"
    trainer = Trainer(tiny(env="Single-v0"), out, warn=lambda sentence: None)
    for _ in trainer.run():
        if trainer.step == 80:
            break
    trainer.close()
    del trainer
    said = []
    finish(Trainer.resume(out, warn=said.append))
    assert len(said) == 1 and "one after the other" in said[0]
    train(tiny(env="Buoy-v0"), tmp_path / "whole")
    assert metrics(out)[-1]["grad_steps"] == metrics(tmp_path / "whole")[-1]["grad_steps"]


def test_a_single_environment_that_does_not_repeat_itself_says_how_to_be_measured(living):
    class Alone(School):
        def __init__(self, length):
            super().__init__(length)
            Simulator._start(self)

        limit, living = 1, Simulator.living

        def close(self):
            self.living.discard(self)

    gym.register("Alone-v0", Alone, max_episode_steps=30, kwargs=dict(length=99))
    with pytest.raises(
        EnvError, match="Alone-v0 did not repeat itself .*, so it cannot be evaluated in the middle of one: set evaluation.every"
    ):
        finish(Trainer(tiny(env="Alone-v0"), warn=lambda sentence: None))
    assert not living, "simulators were left open"
    assert len(finish(Trainer(tiny(env="Alone-v0", evaluation=dict(every=100)), warn=lambda sentence: None))) == 1


def test_evaluating_by_turns_is_evaluating_side_by_side():
    trainer = Trainer(tiny(evaluation=dict(episodes=5)))
    together = training.evaluate(trainer.agent, trainer.evaluation_envs, seed=7)
    for many in (1, 2, 4):
        turns = training.evaluate(trainer.agent, trainer.evaluation_envs[:many], seed=7, episodes=5)
        assert turns.returns == pytest.approx(together.returns, rel=1e-5)
        assert np.array_equal(turns.start, together.start) and turns.steps == together.steps, f"other starts or lengths by turns of {many}"


# --- refused before it starts ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes, setting", [(dict(schedule=dict(prefill=9)), "schedule.prefill"), (dict(replay=dict(capacity=9)), "replay.capacity")]
)
def test_learning_before_enough_data_is_refused_at_once(changes, setting, tmp_path):
    changes = changes | {"replay": dict(length=8, burn_in=2) | changes.get("replay", {})}
    with pytest.raises(NotEnoughData, match=f"windows of 10 rows .*, but {setting} provides only 9: raise {setting}"):
        Trainer(tiny(**changes), tmp_path / "run")
    assert not (tmp_path / "run").exists(), "a folder was made for a run that was refused"
    check_windows(tiny(**changes, agent="sac"))  # which learns from single transitions
    changes = {section: {name: 10 if value == 9 else value for name, value in fields.items()} for section, fields in changes.items()}
    check_windows(tiny(**changes))


def test_a_ring_too_small_for_whole_chunks_is_refused_at_once():
    """Chunks of 5 rows: a ring of 8 rows may hold none of them whole (rows 1..8), one of 9 always holds one."""
    with pytest.raises(NotEnoughData, match="replay.capacity provides only 8: raise replay.capacity to 9"):
        check_windows(tiny(replay=dict(layout="chunks", length=5, capacity=8)))
    check_windows(tiny(replay=dict(layout="chunks", length=5, capacity=9)))


def test_more_threads_than_cores_are_refused(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    check_threads(tiny(threads=4))
    for threads in (5, 100_000, 2**40):
        with pytest.raises(
            ConfigError, match=f"^the setting threads is {threads}, but this machine has cores for 4: set threads to 4 or fewer$"
        ):
            Trainer(tiny(threads=threads))


def test_a_buffer_beyond_the_memory_is_refused_with_numbers(monkeypatch):
    """A row of the toy: 2 + 1 + 6 + 3 numbers and 4 single ones, 64 bytes."""
    monkeypatch.setattr(replay, "free_memory", lambda device: 64 * 1000)
    Trainer(tiny(replay=dict(capacity=1000)))
    with pytest.raises(
        ConfigError, match="^a replay buffer of 1,001 rows needs 0.0 GiB of memory, and 0.0 GiB are free: set .* to 1,000 at most"
    ):
        Trainer(tiny(replay=dict(capacity=1001)))
    monkeypatch.undo()
    for capacity in (10**11, 10**30):
        with pytest.raises(
            ConfigError, match=r"of 10+(,0+)* rows needs [0-9,.]+ GiB of memory, and [0-9,.]+ GiB are free".replace("10+", "[0-9]+")
        ):
            Trainer(tiny(replay=dict(capacity=capacity)))


@pytest.mark.parametrize(
    "changes",
    [
        dict(model=dict(deter=10**9)), dict(model=dict(units=10**16)), dict(model=dict(stoch=10**20)), dict(sac=dict(units=10**16)),
        dict(sac=dict(units=10**20)), dict(replay=dict(batch=10**16)), dict(imagination=dict(starts=10**16)), dict(sac=dict(batch=10**16)),
        dict(imagination=dict(starts=10**20)), dict(sac=dict(baseline_samples=10**17, actor_grad="score")),
    ],
    ids=str,
)  # fmt: skip
def test_sizes_beyond_the_memory_are_one_sentence(changes):
    with pytest.raises(ConfigError, match="^(the memory here does not hold .*: lower them|a replay buffer of .* GiB are free)[^\n]*$"):
        finish(Trainer(tiny(**changes)))


@pytest.mark.parametrize(
    "changes, first",
    [
        (dict(), 40), (dict(agent="sac"), 50), (dict(schedule=dict(pretrain_model=0, pretrain_both=0)), 50),
        (dict(schedule=dict(prefill=45)), 45), (dict(agent="sac", schedule=dict(prefill=45)), 50),
    ],
    ids=str,
)  # fmt: skip
def test_a_run_too_short_to_learn_says_so(changes, first):
    said = []
    finish(Trainer(tiny(**changes, env_steps=first - 1), warn=said.append))
    assert said == [f"learning starts at step {first}, so {first - 1} steps teach nothing: raise env_steps or lower schedule.prefill"]
    said.clear()
    trainer = Trainer(tiny(**changes, env_steps=first), warn=said.append)
    finish(trainer)
    assert said == [] and trainer.agent.grad_steps > 0


@pytest.mark.parametrize("seed", [0, 2**63, 2**64 - 1])
def test_every_seed_of_64_bits_can_be_used(seed):
    finish(Trainer(tiny(seed=seed, env_steps=40)))


def test_a_diverged_run_stops_with_one_sentence(tmp_path):
    """A loss that is not a number is not written down: metrics.jsonl stays JSON, and the checkpoint before it stays."""
    trainer = Trainer(tiny(model=dict(lr=1e30, clip_norm=1e30), sac=dict(actor_lr=1e30, critic_lr=1e30)), tmp_path / "run")
    with pytest.raises(Diverged, match="learning diverged: .* is (nan|inf|-inf) at step .* lower learning rate"):
        finish(trainer)
    for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)
    Trainer.resume(tmp_path / "run")


def test_a_diverged_run_names_the_rates_that_it_has():
    rates = {"sac": "model.lr, sac.actor_lr, sac.critic_lr", "dreamerv3": "model.lr, dreamerv3.lr"}
    for kind, names in rates.items():
        trainer = Trainer(tiny(actor_critic=kind))
        trainer.metrics = {"agent/actor_loss": float("nan")}
        with pytest.raises(Diverged, match=rf"agent/actor_loss is nan at step 0; [^\n]* \({names}\)"):
            trainer.evaluate()


def test_the_first_learning_reports_its_progress():
    """Two updates of the model alone, one of both: a third of the way each."""
    shares = []
    for _ in Trainer(tiny(env_steps=40)).run(on_pretrain=shares.append):
        pass
    assert shares == pytest.approx([1 / 3, 2 / 3, 1])


def test_learning_without_data_says_so():
    for agent in ("dreamer", "sac"):
        with pytest.raises(NotEnoughData, match="(window of 5 rows was asked for|no transition is stored)"):
            trainer = Trainer(tiny(agent=agent, env_steps=1))
            finish(trainer)
            trainer.agent.learn()


def test_a_folder_that_holds_a_run_is_left_alone(reference):
    before = {path: path.read_bytes() for path in reference.rglob("*") if path.is_file()}
    with pytest.raises(ConfigError, match="already holds a run: choose another folder \\(out\\), or continue it with --resume"):
        Trainer(tiny(), reference)
    assert before == {path: path.read_bytes() for path in reference.rglob("*") if path.is_file()}


def test_devices(monkeypatch):
    assert pick_device(tiny(device="cpu")).type == "cpu"
    for cuda in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        assert pick_device(tiny(device="auto")).type == "cpu"  # faster for small networks, whatever there is
        assert pick_device(tiny(device="auto", model=dict(units=512))).type == ("cuda" if cuda else "cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(ConfigError, match=f"the setting device is '{name}', but torch finds no such device here"):
            pick_device(tiny(device=name))


def test_differences_name_settings_by_their_path():
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 4}}) == ["b.c", "b.d"]


# --- disks that fail ------------------------------------------------------------------------------


def test_a_metrics_file_that_cannot_grow_ends_the_run_in_one_sentence(reference, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full, a disk that is always full")
    out = copy_at(60, tmp_path / "run")
    shutil.copy(out / "metrics.jsonl", tmp_path / "kept")
    trainer = Trainer.resume(out)
    (out / "metrics.jsonl").unlink()
    (out / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(DreamerError, match="No space left on device.*: the last good checkpoint is kept, so make room there and continue"):
        finish(trainer)
    (out / "metrics.jsonl").unlink()
    shutil.copy(tmp_path / "kept", out / "metrics.jsonl")
    finish(Trainer.resume(out))
    assert_same_run(reference, out)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.name != "posix" or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_real_disk_that_fails(trouble, small_disk, reference):
    out = small_disk / "run"
    trainer = Trainer(tiny(), out)

    def fail_at_50(trainer):
        if trainer.step == 50 and trouble == "full":
            with pytest.raises(OSError), open(small_disk / "filler", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        elif trainer.step == 50:
            subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(DreamerError, match=f"could not write to {out} .*: the last good checkpoint is kept"):
        list(trainer.run(on_step=fail_at_50))
    if trouble == "full":
        (small_disk / "filler").unlink()
    else:
        with pytest.raises(DreamerError, match="Read-only file system"):
            Trainer(tiny(), small_disk / "another")
        with pytest.raises(DreamerError, match="Read-only file system"):
            Trainer.resume(out)
        subprocess.run(["mount", "-o", "remount,rw", small_disk], check=True)
    finish(Trainer.resume(out))
    assert_same_run(reference, out)

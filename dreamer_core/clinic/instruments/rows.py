"""What stands in which row: a scripted world, run by the real training loop, and the buffer read afterwards.

Every row of the script shows its own number, and its reward is that number too. So each number in a window
proves where it came from. Episodes end by turns: truly after 5 steps, by a time limit after 7, by both after 6,
which is an end.
"""

from dataclasses import replace
from typing import NamedTuple

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from matplotlib.figure import Figure

from dreamer_core.clinic.instruments.reading import Instrument, Range, Reading, apart, exactly, numbers_reading
from dreamer_core.clinic.instruments.specimen import ACTION, specimen, specimen_config
from dreamer_core.clinic.subject import Subject
from dreamer_core.trainer import Trainer
from dreamer_core.viz.show import BLUE, GREY, RED, describe

STEPS = 60
SHIFTS = (-2, -1, 0, 1, 2)  # rows that a reward or an action may be off by


LOW, HIGH = np.float32([-1, 0]), np.float32([3, 0.5])  # bounds of the script's actions: no two alike, and 0 not in the middle


class Row(NamedTuple):
    """What really happened on one row."""

    reward: float  # that arrived with it
    first: bool
    terminated: bool
    truncated: bool


class Script(gym.Env):
    """The scripted world; `rows` and `actions` keep what happened: the action in place n left row n (None: none did)."""

    observation_space = Box(0.0, 10_000.0, (3,))

    def __init__(self, discrete: bool = False) -> None:
        self.action_space = Discrete(ACTION) if discrete else Box(LOW, HIGH)
        self.rows: list[Row] = []
        self.actions: list[np.ndarray | int | None] = []
        self.episode = -1

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.episode, self.step_number = self.episode + 1, 0
        return self._next(Row(0.0, True, False, False)), {}

    def step(self, action: np.ndarray):
        self.actions[-1] = np.array(action)
        self.step_number += 1
        turn = self.episode % 3
        terminated = self.step_number == {0: 5, 1: 0, 2: 6}[turn]
        truncated = self.step_number == {0: 0, 1: 7, 2: 6}[turn]
        reward = float(len(self.rows))
        return self._next(Row(reward, False, terminated, truncated)), reward, terminated, truncated, {}

    def _next(self, row: Row) -> np.ndarray:
        """Begin a row, and show its number."""
        self.rows.append(row)
        self.actions.append(None)
        return np.array([len(self.rows) - 1, self.step_number, 1.0], np.float32)


gym.register("ClinicScript-v0", Script)
gym.register("ClinicScriptChoices-v0", Script, kwargs={"discrete": True})

SAYS = {
    "reward rows late": "rows between a reward's own row and the row it stands in",
    "reward size": "reward, times what it should be",
    "action rows late": "rows between an action's own row and the row it stands in",
    "time limits stored as ends": "share of time limits that are stored as ends",
    "ends stored as ends": "share of ends that are stored as ends",
    "other rows stored as ends": "share of other rows that are stored as ends",
    "starts marked": "share of rows whose start mark is right",
    "episodes that go on": "share of episodes that are not reset after their last row",
}
HEALTHY: dict[str, Range] = {
    "reward rows late": exactly(0),
    "reward size": exactly(1),
    "action rows late": exactly(0),
    "time limits stored as ends": exactly(0),
    "ends stored as ends": exactly(1),
    "other rows stored as ends": exactly(0),
    "starts marked": exactly(1),
    "episodes that go on": exactly(0),
}


def rows_late(held: np.ndarray, number: np.ndarray, true: np.ndarray, known: np.ndarray) -> float:
    """By how many rows values stand too late, -2 to 2: NaN if no such shift explains nearly all of them.

    Args:
        held: (R, ...), what stands in the rows with these numbers (R,). true: (N, ...), what belongs to row 0, 1, ...
        known: (N,), False for rows that have no such value.
    """
    for late in sorted(SHIFTS, key=abs):
        own = (number - late).clip(0, len(true) - 1)
        asked = known[number] & known[own] & (own == number - late)
        same = np.isclose(held[asked], true[own[asked]], atol=1e-3).reshape(asked.sum(), -1).all(1)
        if len(same) and same.mean() > 0.95:
            return float(late)
    return float("nan")


def in_bounds(action: np.ndarray | int | None, discrete: bool) -> np.ndarray:
    """An action of the script as the agent counts it, in [-1, 1] or one-hot; zeros for none."""
    if action is None:
        return np.zeros(ACTION)
    return np.eye(ACTION)[int(action)] if discrete else 2 * (action - LOW) / (HIGH - LOW) - 1


def mean(values: np.ndarray) -> float:
    """NaN for none."""
    return float(np.mean(values)) if len(values) else float("nan")


def measure(subject: Subject) -> Reading:
    """Run the script, then read every row out of windows of three, in the middle of each."""
    config = specimen_config(subject, layout="free", start="stored", length=8, burn_in=0)
    discrete = config.actor_critic == "dreamerv3" and config.dreamerv3.actor == "categorical"
    config = replace(
        config,
        env="ClinicScriptChoices-v0" if discrete else "ClinicScript-v0",
        env_steps=STEPS,
        schedule=replace(config.schedule, prefill=STEPS + 1, prefill_episode=STEPS, hold=1),
        evaluation=replace(config.evaluation, every=STEPS, episodes=1),
    )
    with apart(subject), Trainer(config, warn=lambda sentence: None) as trainer:
        trainer.agent = specimen(subject, config)
        trainer.carry = trainer.agent.initial(1)
        for _ in trainer.run():
            pass
        script: Script = trainer.env.unwrapped
        replay = trainer.agent.replay
        count = len(replay)
        middle = torch.arange(1, count - 1)
        window = replay.window(middle - 1, 3)
        number = window.observation[:, 1, 0].round().long().numpy()  # which row of the script each one is
        unit = replay.reward_unit / config.sac.reward_scale
        reward = (window.reward[:, 1] * unit).numpy()
        action, terminal, first = window.action[:, 1].numpy(), window.terminal[:, 1].numpy(), window.first[:, 1].numpy()
    true = script.rows
    rewards = np.array([row.reward for row in true])
    limits, ends, starts = (np.array([getattr(row, name) for row in true]) for name in ("truncated", "terminated", "first"))
    limits &= ~ends
    late = rows_late(reward, number, rewards, ~starts)
    acted = np.array([action is not None for action in script.actions])
    left = np.array([in_bounds(action, discrete) for action in script.actions])
    brought = ~starts[number]
    numbers = {
        "reward rows late": late,
        "reward size": float(np.median(reward[brought] / rewards[number[brought]])) if late == 0 else 1.0,
        "action rows late": rows_late(action, number, left, acted),
        "time limits stored as ends": mean(terminal[limits[number]]),
        "ends stored as ends": mean(terminal[ends[number]]),
        "other rows stored as ends": mean(terminal[~(limits | ends)[number]]),
        "starts marked": mean(first == starts[number]),
        "episodes that go on": mean(~starts[1:][(limits | ends)[:-1]]),
    }
    reading = numbers_reading(SAYS, HEALTHY, numbers)
    return reading._replace(figure=lambda: figure(true, number, reward, terminal))


def figure(true: list[Row], number: np.ndarray, reward: np.ndarray, terminal: np.ndarray) -> Figure:
    """The rewards of the first 30 rows beside those that really came, and where ends are stored."""
    shown = slice(0, 30)
    place, come = number[shown], np.array([true[n].reward for n in number[shown]])
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for n in place:
        if true[n].terminated or true[n].truncated:
            axis.axvline(n, color=GREY, linewidth=1, linestyle="-" if true[n].terminated else ":")
    axis.plot(place, come, "o", color=BLUE, markersize=8, fillstyle="none", label="reward that came with this row")
    axis.plot(place, reward[shown], ".", color=RED, markersize=6, label="reward that a window holds there")
    axis.plot(place[terminal[shown] == 1], np.zeros(int(terminal[shown].sum())), "^", color="black", label="stored as an end")
    axis.set(xlabel="row", ylabel="reward")
    axis.grid(alpha=0.25)
    figure.legend(loc="outside lower center", fontsize=9, ncols=3)
    wrong = int((np.abs(come - reward[shown]) > 1e-3).sum())
    return describe(
        figure,
        alt=f"Rewards of {len(place)} rows: {wrong} differ from those that came. {int(terminal[shown].sum())} rows are stored as ends, "
        f"{sum(true[n].terminated for n in place)} were.",
        caption="Each row's reward is its own number, so a red dot belongs into its blue circle. Solid lines: ends; dotted lines: time "
        "limits, where no triangle may stand. A start brings no reward.",
    )


ROWS = Instrument(
    name="rows",
    quick=True,
    sentence="A scripted world whose rewards name their rows, run by the training loop: what stands in which row of a window.",
    excludes="rewards, actions, starts or ends in a wrong row, rewards scaled twice, and time limits that are stored as ends",
    cannot="whether the rows are used well afterwards, and which of them are served",
    measure=measure,
)

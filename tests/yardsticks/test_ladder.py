"""The probe ladder: its answers are those of its worlds, a sound agent passes, and each fault fails at its own rung."""

import math
import re

import gymnasium as gym
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from dreamer_core.agent import Dreamer
from dreamer_core.errors import ConfigError
from dreamer_core.yardsticks import ladder
from dreamer_core.yardsticks.ladder import GAMMA, RUNGS, Answer, Question, Result, attempt, climb, lines, load, main, settings

NAMES = [rung.name for rung in RUNGS]


def rungs(*names):
    """These rungs, in order."""
    return [rung for rung in RUNGS if rung.name in names]


def question(rung, start):
    """The question of a rung that starts with these words."""
    (found,) = [q for q in rungs(rung)[0].questions if q.what.startswith(start)]
    return found


# --- the worlds and their answers -----------------------------------------------------------------


def play(name, actions, seed=0):
    """Rows of a world: (observation, reward, terminated, truncated); it is played on past a time limit."""
    env = gym.make(f"Probe{name}-v0", disable_env_checker=True).unwrapped
    observation, _ = env.reset(seed=seed)
    return [(observation.tolist(), 0.0, False, False)] + [
        (observation.tolist(), *rest) for observation, *rest, _ in (env.step([action]) for action in actions)
    ]


def discounted(rows, start):
    """The value of row `start`: what the later rows bring, up to an end."""
    total, weight = 0.0, 1.0
    for _, reward, terminated, _ in rows[start + 1 :]:
        total += weight * reward
        weight *= GAMMA * (not terminated)
    return total


@pytest.mark.parametrize("rung", RUNGS, ids=NAMES)
def test_worlds_are_sound_environments(rung):
    env = gym.make(f"Probe{rung.world.__name__}-v0")
    check_env(env.unwrapped, skip_render_check=True)
    rows = play(rung.world.__name__, [0.3] * rung.world.rows)
    assert [terminated or truncated for _, _, terminated, truncated in rows] == [False] * rung.world.rows + [True]
    assert rows[-1][2] == (rung.name == "ending")


def test_what_the_worlds_pay():
    assert [row[1] for row in play("Constant", [0.5, -1])] == [0, 1, 1]
    for name in ("Mirror", "Coin"):
        rows = play(name, [0.0] * 200)
        assert all(shown == [pytest.approx(reward)] for shown, reward, *_ in rows[1:])
        rewards = torch.tensor([row[1] for row in rows[1:]])
        average = 0.5 if name == "Coin" else 0.0
        assert abs(rewards.mean() - average) < 0.15 and rewards.std() > 0.4
    for seed in range(4):
        rows = play("Memory", [0.0] * 4, seed)
        cue = rows[0][0][0]
        assert abs(cue) == 1 and [row[1] for row in rows] == [0, 0, 0, 0, cue]
        assert [row[0] for row in rows[1:]] == [[0, 0.25], [0, 0.5], [0, 0.75], [0, 1]]
        (sign,) = play("Lever", [])[0][0]
        assert [play("Lever", [action * sign])[1][1] for action in (0.5, -0.5, 1)] == [1, 0, 0.75]
    assert play("Delay", [1, -1, 0.25, 0])[1:] == [
        ([1, 0], 0, False, False),
        ([-1, 1], 0, False, False),
        ([0.5, -1], 1, False, False),
        ([0, 0.5], -1, False, False),
    ]


def test_right_answers_are_what_playing_the_world_brings():
    long = play("Delay", [1.0] * 60)
    assert [row[0] for row in long[:3]] == ladder.DELAY_ROWS[:3]
    for row in (1, 2):
        q = question("horizon", f"value on row {row}")
        assert q.right == pytest.approx(discounted(long, row)) and q.wrong == pytest.approx(GAMMA * q.right)
        q = question("ending", f"value on row {row}")
        assert q.right == pytest.approx(discounted(play("Ending", [0.0] * 3), row))
        assert q.wrong == pytest.approx(discounted(play("Constant", [0.0] * 60), row))
    random = [play("Lever", [action], seed=1) for action in torch.linspace(-1, 1, 2001).tolist()]
    average = sum(rows[1][1] for rows in random) / len(random)
    assert question("action", "reward dreamt, sign +1, action +0.5").wrong == pytest.approx(average, abs=1e-3)


def test_the_tolerance_is_a_third_of_the_way_to_the_wrong_answer():
    q = Question("a number", 2.0, 0.5, "nowhere", lambda agent: torch.zeros(1))
    assert q.tolerance == 0.5
    assert [Answer(q, measured).passed for measured in (1.49, 1.51, 2.49, 2.51, math.nan, math.inf)] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]


# --- a sound agent --------------------------------------------------------------------------------


def assert_all_hold(results):
    assert not [line for result in results for line in lines(result).splitlines() if "FAIL" in line]
    assert all(result.passed for result in results)


def test_the_agent_climbs_the_whole_ladder():
    before = torch.get_rng_state()
    results = list(climb())
    assert [result.rung.name for result in results] == NAMES
    assert_all_hold(results)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_other_preset_too():
    """Rungs that train no actor do not depend on the preset."""
    names = [rung.name for rung in RUNGS if rung.both_updates]
    assert names == ["action", "horizon", "ending"]
    assert_all_hold(list(climb(preset="advantage", rungs=rungs(*names))))


def test_categorical_z_too():
    assert_all_hold(list(climb(latent="categorical", rungs=rungs("memory", "chance"))))


def test_settings_say_what_the_answers_assume():
    for preset in ("dropin", "advantage"):
        config = settings(RUNGS[0], preset, "categorical", seed=7).sac
        assert (config.gamma, config.alpha, config.alpha_final, config.reward_scale) == (GAMMA, 0, 0, 2)
    with pytest.raises(ConfigError):
        settings(RUNGS[0], latent="binary")
    with pytest.raises(ConfigError):
        settings(RUNGS[0], preset="best")
    with pytest.raises(ConfigError, match=r"^the ladder asks v1's critics q\(s, a\), and the preset dreamerv3 has v\(s\): climb it with"):
        settings(RUNGS[0], preset="dreamerv3")


# --- faults, each at its own rung -----------------------------------------------------------------


def untrained_reward(config, *sizes):
    config.model.reward_scale = 0.0
    return Dreamer(config, *sizes)


def late_reward(config, *sizes):
    """The reward head is taught the reward of the row after."""
    agent = Dreamer(config, *sizes)
    loss = agent.model.loss
    agent.model.loss = lambda window: loss(window._replace(reward=window.reward.roll(-1, 1)))
    return agent


def blind(config, *sizes):
    agent = Dreamer(config, *sizes)
    agent.model.standardized = torch.zeros_like
    return agent


def altered_step(change):
    """An agent whose f is given something else."""

    def build(config, *sizes):
        config.model.batched_unroll = False  # the plain loop calls `step`
        agent = Dreamer(config, *sizes)
        step = agent.model.rssm.step
        agent.model.rssm.step = lambda h, z, action: step(*change(h, z, action))
        return agent

    return build


forgetful = altered_step(lambda h, z, action: (torch.zeros_like(h), z, action))
numb = altered_step(lambda h, z, action: (h, z, torch.zeros_like(action)))


def sleepwalker(config, *sizes):
    """The dream takes the prior's most likely z."""
    agent = Dreamer(config, *sizes)
    dream_step = agent.model.rssm.dream_step
    agent.model.rssm.dream_step = lambda h, z, action, noise: dream_step(h, z, action, torch.zeros_like(noise))
    return agent


def wrong_sign(config, *sizes):
    agent = Dreamer(config, *sizes)
    loss = agent.sac.pathwise_loss
    agent.sac.pathwise_loss = lambda state, weight: (-loss(state, weight)[0], loss(state, weight)[1])
    return agent


def wrong_discount(config, *sizes):
    config.sac.gamma = GAMMA**2  # applied twice per step
    return Dreamer(config, *sizes)


class TimeLimitIsDeath(Dreamer):
    """Takes the sixth row after the start, where a time limit strikes, for an end."""

    def remember(self, carry, observation, reward, first, terminal):
        self.row = 0 if first else self.row + 1
        super().remember(carry, observation, reward, first, terminal or self.row == 6)


class Immortal(Dreamer):
    """Knows when an episode ends, but dreams on."""

    def dream(self, seen=None):
        data = super().dream(seen)
        return data._replace(cont=torch.ones_like(data.cont))


def no_end(config, *sizes):
    """A continue head that was never taught an end."""
    agent = Dreamer(config, *sizes)
    loss = agent.model.loss
    agent.model.loss = lambda window: loss(window._replace(terminal=torch.zeros_like(window.terminal)))
    return agent


# Rungs below "action" train neither actor nor critic, so a fault in those cannot show there.
@pytest.mark.parametrize(
    "build, start, fails, look",
    [
        (untrained_reward, "constant", "constant", "the reward head"),
        (late_reward, "constant", "observation", "what the reward head reads"),
        (blind, "constant", "observation", "what the reward head reads"),
        (forgetful, "constant", "memory", "the h chain"),
        (sleepwalker, "constant", "chance", "how the dream draws z"),
        (numb, "chance", "action", "what enters f"),
        (wrong_sign, "action", "action", "the actor"),
        (wrong_discount, "action", "horizon", "the critic's target"),
        (TimeLimitIsDeath, "horizon", "horizon", "the continue target"),
        (no_end, "ending", "ending", "the continue head"),
        (Immortal, "horizon", "ending", "the critic's target: gamma must be multiplied by the continue"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_fault_fails_at_its_own_rung(build, start, fails, look):
    some = RUNGS[NAMES.index(start) : NAMES.index(fails) + 1]
    results = [attempt(rung, settings(rung), build) for rung in some]
    assert [result.rung.name for result in results if not result.passed] == [fails], "\n".join(map(lines, results))
    assert results[-1].look.startswith(look)


# --- the command ----------------------------------------------------------------------------------


def outcome(name, measured):
    """A result whose every answer is off by `measured`, without training anything."""
    (rung,) = rungs(name)
    return Result(rung, tuple(Answer(q, q.right + measured) for q in rung.questions))


def test_lines_name_each_answer_and_where_to_look():
    text = lines(outcome("chance", 0.2)).splitlines()
    assert text[0].startswith("chance: z") and len(text) == 4
    assert text[1].split()[-5:] == ["0.50", "0.17", "0.00", "0.70", "FAIL"]
    assert text[2].split()[-5:] == ["0.50", "0.17", "1.00", "0.70", "FAIL"]
    assert text[3].startswith("  Look at how the dream draws z")
    assert "Look" not in lines(outcome("chance", 0.1)) and lines(outcome("chance", 0.1)).count("pass") == 2
    assert all(len(row) <= 80 for rung in RUNGS for row in lines(outcome(rung.name, 0.0)).splitlines())


@pytest.mark.parametrize("line, reached", [([], 4), (["--all"], 7)])
def test_the_command_stops_at_the_lowest_failed_rung(line, reached, capsys, monkeypatch):
    asked = []

    def fake(*arguments):
        asked.append(arguments)
        yield from (outcome(name, 0.2 if name == "chance" else 0.0) for name in NAMES)

    monkeypatch.setattr(ladder, "climb", fake)
    with pytest.raises(SystemExit) as stop:
        main([*line, "--preset", "advantage", "--latent", "categorical", "--seed", "3"])
    out = capsys.readouterr().out
    assert stop.value.code == 1 and asked == [(Dreamer, "advantage", "categorical", 3)]
    assert [name for name in NAMES if f"\n{name}: " in out] == NAMES[:reached]
    assert "The lowest failed rung is chance: start there" in out and "\n  Look at how the dream draws z" in out


def test_the_command_says_when_all_hold(capsys, monkeypatch):
    monkeypatch.setattr(ladder, "climb", lambda *arguments: (outcome(name, 0.0) for name in NAMES))
    main([])
    assert capsys.readouterr().out.endswith("All 7 rungs hold.\n")


def test_a_learners_own_agent_is_found_by_name(tmp_path, monkeypatch):
    (tmp_path / "my_own_file.py").write_text("class Mine: pass\nnumber = 3\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert load("my_own_file:Mine").__name__ == "Mine"
    for name in ("my_own_file:Yours", "no_such_file:Mine", "my_own_file", "", ":Mine", "my_own_file:number"):
        with pytest.raises(ConfigError):
            load(name)


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("--preset best", "invalid choice 'best' for argument '--preset'"),
        ("--speed 3", "unrecognized options: --speed"),
        ("--agent nowhere:Mine", "there is no agent 'nowhere:Mine'"),
        ("--seed -1", "the setting seed is -1"),
    ],
)
def test_mistakes_on_the_line(line, sentence, capsys):
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    err = capsys.readouterr().err
    assert stop.value.code == 2 and len(err.splitlines()) == 1
    assert err.startswith("error: ") and sentence in re.sub(r"\s+", " ", err)

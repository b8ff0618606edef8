"""What a study's file may hold, and what is said about everything else."""

import re
from pathlib import Path

import numpy as np
import pytest
from small_studies import BUOY, SETTINGS, small

from dreamer_core import config as configs
from dreamer_core import worlds
from dreamer_core.errors import ConfigError
from dreamer_core.study.peer import PeerConfig
from dreamer_core.study.plan import from_dict, read, seeds
from dreamer_core.yardsticks import scales


def test_the_example_in_the_docstring_is_a_study(tmp_path):
    from dreamer_core.study import plan

    file = tmp_path / "example.yaml"
    file.write_text(re.search(r"\n\n(    name: .*?)\n\nWorlds", plan.__doc__, re.DOTALL)[1], encoding="utf-8")
    found = read(file)
    assert list(found.arms) == ["dropin", "uncut", "sb3_sac"] and list(found.worlds) == ["Pendulum-v1", "hidden"]
    assert found.seeds == {"Pendulum-v1": tuple(range(10)), "hidden": (0, 1, 2, 3, 4)}
    assert found.seeds_of("Pendulum-v1", "sb3_sac") == (0, 1, 2, 3, 4) and found.seeds_of("Pendulum-v1", "uncut") == tuple(range(10))
    assert found.arms["uncut"].settings == {"model": {"detach_z": False}}
    assert [(one.label, one.times) for one in found.readings()][-2:] == [("sb3_sac", 1), ("sb3_sac, 3 x the steps", 3)]


def test_a_run_has_the_arms_settings_in_the_worlds_place():
    found = from_dict(small(worlds=[BUOY | {"wrappers": {"hide": [1]}, "evaluation": {"episodes": 3}}]))
    config = found.config("buoy", "uncut", 4)
    assert (config.env, config.env_steps, config.seed, config.threads) == ("runs:Buoy-v0", 80, 4, 1)
    assert config.wrappers.hide == (1,) and not config.model.detach_z and found.config("buoy", "cut", 4).model.detach_z
    assert (config.evaluation.every, config.evaluation.episodes, config.evaluation.seed) == (20, 3, 7)


def test_an_arm_may_name_a_preset_and_differ_from_it():
    found = from_dict(small(arms={"advantage": {"preset": "advantage", "sac.lam": 0.5}}))
    config = found.config("buoy", "advantage", 3)
    assert (config.sac.lam, config.sac.actor_grad) == (0.5, "score")


def test_the_other_librarys_sac_is_an_arm_with_its_own_settings():
    found = from_dict(small(arms={"sb3": {"agent": "sb3_sac", "learning-rate": "1e-3", "times": 3}}))
    assert found.config("buoy", "sb3", 3) == PeerConfig(
        env="runs:Buoy-v0", env_steps=240, seed=3, evaluation=configs.EvaluationConfig(every=20, episodes=2, seed=7), learning_rate=1e-3
    )


@pytest.mark.parametrize(
    "given, found",
    [([0, 5], (0, 5)), (["0..3"], (0, 1, 2, 3)), ("2..3", (2, 3)), ([7, "1..2"], (7, 1, 2)), (4, (4,)), ([], ()), (np.arange(2), (0, 1))],
)
def test_seeds_are_numbers_and_ranges_with_both_ends(given, found):
    assert seeds("the study", given) == found


def test_an_arm_may_have_fewer_seeds_than_its_world_and_never_others():
    worlds = [BUOY, BUOY | {"name": "sea", "seeds": [9, "2..4"]}]
    plan = from_dict(small(arms={"all": SETTINGS, "few": SETTINGS | {"agent": "sac", "seeds": ["4..9"]}}, worlds=worlds, seeds=["0..4"]))
    assert plan.seeds == {"buoy": (0, 1, 2, 3, 4), "sea": (9, 2, 3, 4)}
    assert [plan.seeds_of(world, arm) for world in plan.worlds for arm in plan.arms] == [(0, 1, 2, 3, 4), (4,), (9, 2, 3, 4), (9, 4)]
    assert plan.config("sea", "few", 9).agent == "sac", "the seeds of an arm spoiled its settings"


PENDULUM = dict(env="Pendulum-v1", env_steps=400, random=-1230, best=-135)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        (dict(arm={}), "the study has the key arm, which does not exist: did you mean arms?"),
        (dict(worlds=None), "the study names no worlds: write for example `worlds: "),
        (dict(worlds=[]), "the study names no worlds: "),
        (dict(arms={}), "the study names no arms: "),
        (dict(seeds=[]), "the study names no seeds: write for example `seeds: "),
        (dict(seeds=[1, "0..3"]), "the study names the seed 1 twice: "),
        (dict(seeds=["a"]), "the study has 'a' among its seeds: write whole numbers"),
        (dict(seeds=[-1]), "the study has -1 among its seeds: "),
        (dict(seeds=[True]), "the study has True among its seeds: "),
        (dict(worlds=["Pendulum-v1"]), "a world of the study is 'Pendulum-v1': write it as `{env: Pendulum-v1, "),
        (dict(worlds=[PENDULUM | {"solvd": 1}]), "the world Pendulum-v1 has the key solvd, which does not exist: did you mean solved?"),
        (dict(worlds=[{"env": "x", "env_steps": 4, "random": 0}]), "the world x lacks best, the best mean return that is known, and none"),
        (dict(worlds=[{"env": "Pendulum-v2", "env_steps": 4}]), "the world Pendulum-v2 lacks random, the mean return of random "
         "actions, and none is known for Pendulum-v2: write `random: NUMBER`, or did you mean Pendulum-v1?"),
        (dict(worlds=[{"env": "Pendulum-v1"}]), "the world Pendulum-v1 lacks env_steps: its keys are env, env_steps, random, b"),
        (dict(worlds=[PENDULUM | {"env_steps": 0}]), "the world Pendulum-v1 has env_steps: 0: input should be greater than"),
        (dict(worlds=[PENDULUM | {"best": -2000}]), "the world Pendulum-v1 has best -2000 and random -1230: the best return must be the"),
        (dict(worlds=[PENDULUM | {"env_steps": 390}]), "the world Pendulum-v1 has 390 steps and an evaluation every 20: the first"),
        (dict(worlds=[PENDULUM | {"wrappers": {"hid": [1]}}]), "the world Pendulum-v1 in its wrappers has the key hid, which does"),
        (dict(worlds=[PENDULUM | {"evaluation": {"evry": 1}}]), "the world Pendulum-v1 in its evaluation has the key evry, which does"),
        (dict(worlds=[PENDULUM, PENDULUM]), "the study has 'Pendulum-v1' and 'Pendulum-v1' among its worlds: give each a name of its own"),
        (dict(arms={"a b": {}, "A-b": {}}), "the study has 'A-b' and 'a b' among its arms: give each a name of its own"),
        *((dict(arms={name: {}}), f"the study has {name!r} among its arms: give it a name of at most 80 characters in one line, which")
          for name in ("..", "_cut", "a|b", "a\nb", "$x", "*x*", "")),
        (dict(arms={"a" * 81: {}}), f"the study has {'a' * 80!r} among its arms: give it a name of at most 80 characters"),
        (dict(arms={None: {}}), "the study has None among its arms: write a name, in quotes if YAML takes it for something else"),
        (dict(arms={False: {}}), "the study has False among its arms: write a name, in quotes"),
        (dict(arms=["default"]), "the study has arms: ['default']: write for example `arms: {"),
        (dict(worlds=PENDULUM), "the study has worlds: {'env': 'Pendulum-v1', "),
        (dict(worlds=[PENDULUM | {"env": None}]), "a world of the study is {'env': None, "),
        (dict(worlds=[PENDULUM | {"name": ["a"]}]), "the study has ['a'] among its worlds: write a name"),
        (dict(seeds=["9..0"]), "the study has 9..0 among its seeds: write the smaller end of a range first"),
        (dict(arms={"x": {"model.detach-z": False, "model.detach_z": True}}), "the arm x sets model.detach_z twice, once with - and once"),
        (dict(arms={"x": {}, "y": {"preset": "dropin"}}), "the arms x and y have the same settings, and so the same run for each seed"),
        (dict(evaluation=dict(every=20, last=5)), "the world buoy has 4 evaluations (80 steps, one every 20), of which a run's result"),
        (dict(evaluation={"last": 0}), "the study in its evaluation has last: 0: input should be greater"),
        (dict(evaluation=5), "the study's evaluation is 5: write for example"),
        (dict(arms={f"a{n}": {} for n in range(16)}), "the study has 16 arms, one with `times` counted twice: figures tell 15 apart"),
        (dict(arms={"x": 5}), "the arm x is 5: write its settings as `x: "),
        (dict(arms={"x": {"model.detatch-z": 1}}), "the arm x has the setting model.detatch_z, which does not exist: did you mean model."),
        (dict(arms={"x": {"detach_z": 1}}), "the arm x has the setting detach_z, which does not exist: did you mean model.detach_z?"),
        (dict(arms={"x": {"model": {"units": 8}}}), "the arm x sets model as a whole: write its settings one by one, as `model."),
        (dict(arms={"x": {"model.units": "wide"}}), "the arm x in the world buoy: the setting model.units is 'wide': input should be"),
        (dict(arms={"x": {"replay.length": 500}}), "the arm x in the world buoy: the world model learns from windows of 500 rows (replay."),
        (dict(arms={"x": {"seed": 3}}), "the arm x sets seed, which is the same for every arm: set it for the study or for a world"),
        (dict(arms={"x": {"evaluation.every": 3}}), "the arm x sets evaluation.every, which is the same for every arm"),
        (dict(arms={"x": {"times": 0}}), "the arm x has times: 0, how many times a world's steps it runs: it must be 1, 2, ..."),
        (dict(arms={"x": {"times": 2, "schedule.anneal": True}}), "the arm x has times: 2 and schedule.anneal: its rates"),
        (dict(arms={"x": {"seeds": [3, 5]}, "y": {"agent": "sac", "seeds": [5, 6]}}),
         "the arm y names none of the seeds of the world buoy (3, 4): give it some of these, or no `seeds`"),
        (dict(arms={"x": {"seeds": [3]}}, worlds=[BUOY, BUOY | {"name": "sea", "seeds": [1]}]),
         "the arm x names none of the seeds of the world sea (1): "),
        (dict(arms={"x": {"seeds": []}}), "the arm x names none of the seeds of the world buoy (3, 4): give it some"),
        (dict(arms={"x": {"seeds": None}}), "the arm x has None among its seeds: write whole numbers from 0 on, or a range such as 0..9"),
        (dict(arms={"x": {"seeds": ["4..3"]}}), "the arm x has 4..3 among its seeds: write the smaller end of a range first"),
        (dict(arms={"x": {"seeds": [3, "3..4"]}}), "the arm x names the seed 3 twice: "),
        (dict(arms={"x": {"sead": [3]}}), "the arm x has the setting sead, which does not exist: did you mean seeds?"),
        (dict(arms={"x": {"seeds": [3]}, "y": {"seeds": [4]}}), "the arms x and y have the same settings, and so the same run for each"),
        (dict(arms={"x": {"agent": "sb3_sac", "gama": 1}}), "the arm x has the setting gama, which does not exist: did you mean gamma?"),
        (dict(arms={"x": {"agent": "ppo"}}), "the arm x has the agent ppo, which does not exist: choose from dreamer, sac, sb3_sac"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_study_is_said_in_one_sentence(changes, sentence):
    with pytest.raises(ConfigError) as error:
        from_dict(small(**changes))
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, sentence",
    [
        (None, "cannot be read (No such file or directory): check the path"),
        ("arms: {", "is not YAML in line 1: "),
        ("arms:\n  a: {}\n  a: {agent: sac}", "is not YAML in line 3: the key a stands there twice"),
        ("- 1", "holds no plan: it needs the keys arms, worlds and seeds"),
        ("[" * 3000 + "]" * 3000, "is nested too deeply to be read: arms and worlds hold settings, and nothing below"),
        ("{a: " * 3000 + "1" + "}" * 3000, "is nested too deeply to be read: "),
        ("arms: &all {default: {}}\n? &key [*key]\n: 1", "is not YAML in line 2: found unconstructable recursive node"),
        (
            "arms: {}\nname: 2001-99-99",
            "is not YAML in line 2: '2001-99-99' is read as timestamp and is none: correct it or put it in quotes",
        ),
        ("seeds: !!bool maybe", "is not YAML in line 1: 'maybe' is read as bool and is none: "),
        ("seeds: !!timestamp soon", "is not YAML in line 1: 'soon' is read as timestamp and is none: "),
        ("seeds: 0b_", "is not YAML in line 1: '0b_' is read as int and is none: "),
        ("seeds: " + "9" * 5000, "is not YAML in line 1: '999999999999...9999999999999' is read as int and is none: "),
    ],
)
def test_a_file_that_is_no_study(tmp_path, text, sentence):
    file = tmp_path / "study.yaml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(f"the study {file} {sentence}")):
        read(file)


def test_scores_are_0_for_random_actions_and_1_for_the_best():
    place = from_dict(small(worlds=[PENDULUM])).worlds["Pendulum-v1"]
    assert [place.scale.score(value) for value in (-1230, -135, -682.5)] == [0, 1, 0.5]


def test_what_is_known_of_a_world_need_not_be_said():
    plan = from_dict(small(worlds=[dict(env="Pendulum-v1", env_steps=400), dict(env="Reacher-v5", env_steps=400, best=-3.6)]))
    known = scales.read()
    assert plan.worlds["Pendulum-v1"].scale.score(known["Pendulum-v1"].best) == 1
    assert plan.worlds["Reacher-v5"].scale.score(known["Reacher-v5"].random) == 0 and plan.worlds["Reacher-v5"].best == -3.6


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[2] / "studies").glob("*.yaml")), ids=lambda file: file.name)
def test_the_studies_of_the_project_can_be_read(file):
    assert read(file).name == file.stem


def test_the_suite_holds_every_world_of_the_course():
    studies = [read(Path(__file__).parents[2] / "studies" / f"{name}.yaml") for name in ("suite", "suite_long", "pixels", "pixels_less")]
    assert {place.env for study in studies for place in study.worlds.values()} >= {
        f"dreamer/{world}-v0" for world in worlds.WORLDS
    } | scales.read().keys()


def test_the_suites_expensive_baseline_has_one_seed_in_every_world_and_a_third_of_all_steps():
    suite = read(Path(__file__).parents[2] / "studies" / "suite.yaml")
    steps = {
        arm: [suite.config(world, arm, seed).env_steps for world in suite.worlds for seed in suite.seeds_of(world, arm)]
        for arm in suite.arms
    }
    assert {len(suite.seeds_of(world, "sb3_sac")) for world in suite.worlds} == {1}
    assert sum(steps["sb3_sac"]) / sum(map(sum, steps.values())) == pytest.approx(1 / 3, abs=0.02), "studies/suite.yaml says a third"


def test_the_settings_that_arms_may_choose_are_all_of_the_commands_but_those_of_the_study():
    chosen = {name.partition(".")[0] for name in SETTINGS}
    sections = {"model", "replay", "imagination", "sac", "dreamerv3", "optimizer", "schedule"}
    assert chosen == {"agent", "actor_critic", "preset", "device", "checkpoint_every", "keep_agents"} | sections


WITHIN = {  # where a plan may hold what holds itself, and what is said of it
    "arms: &it {x: *it}": "the arm x has the setting x, which does not exist",
    "worlds: &it [*it]": "a world of the study is [[...]]: write it as",
    "seeds: &it [*it]": "the study has [[...]] among its seeds",
    "evaluation: &it {every: *it}": "the study in its evaluation has every: {'every': {...}}: input should be a valid integer",
    "arms: {x: &it {model.units: *it}}": "the arm x in the world Pendulum-v1: the setting model.units is {'model.units': {...}}: input",
}


@pytest.mark.parametrize("part", WITHIN)
def test_a_part_of_a_plan_that_holds_itself_is_refused_in_a_sentence(tmp_path, part):
    parts = {"arms": "arms: {x: {}}", "worlds": "worlds: [{env: Pendulum-v1, env_steps: 3000}]", "seeds": "seeds: [0]"}
    (tmp_path / "study.yaml").write_text("\n".join((parts | {part.partition(":")[0]: part}).values()), encoding="utf-8")
    with pytest.raises(ConfigError, match="^" + re.escape(WITHIN[part])):
        read(tmp_path / "study.yaml")

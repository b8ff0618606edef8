"""Build exercises: each property can hold and can fail, and what is built runs inside the agent."""

import ast
import importlib
import subprocess
import sys
import textwrap

import pytest
import torch

from dreamer_core.agent import Dreamer
from dreamer_core.classroom import lesson, transplant
from dreamer_core.classroom.answer import revive, source_of
from dreamer_core.classroom.build import Build
from dreamer_core.classroom.build_judge import judge_build, judge_text, told
from dreamer_core.classroom.lesson import BUILDS, EXERCISES, begin, build, hint, progress, solution
from dreamer_core.classroom.lines import RUN, code_lines, functions, lines_of_the_agent, run_lines
from dreamer_core.config import Config, from_dict
from dreamer_core.rssm import RSSM
from dreamer_core.trainer import Trainer
from dreamer_core.viz.assets import ASSETS

RIGHT = {
    number: answer
    for notebook in sorted({lesson.notebook_of(number) for number in BUILDS})
    for number, answers in importlib.import_module(f"dreamer_core.classroom.right_answers.build{notebook}").RIGHT.items()
    for answer in answers[:1]
}
MISTAKES = [(each, mistake) for each in BUILDS.values() for mistake in each.mistakes]


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """A ledger of its own, and nothing of a learner's left in the agent."""
    monkeypatch.setenv("DREAMER_LEDGER", str(tmp_path / "answers.json"))
    monkeypatch.setenv("DREAMER_KEY", str(tmp_path / "key"))
    lesson.states.clear()
    yield
    for number in list(transplant.built):
        transplant.remove_build(BUILDS[number])
    lesson.states.clear()


@pytest.mark.parametrize("asked", BUILDS.values(), ids=list(BUILDS))
def test_the_courses_own_has_every_property(asked: Build):
    finding = judge_build(asked, asked.reference)
    assert finding.right, told(asked, finding)


@pytest.mark.parametrize("number", BUILDS)
def test_a_differently_written_answer_has_every_property_from_its_text_alone(number: str):
    asked = BUILDS[number]
    source = source_of(RIGHT[number])
    finding = judge_text(asked, lambda: revive(asked, source))
    assert finding.right, f"{source}\n{told(asked, finding)}"


@pytest.mark.parametrize(("asked", "mistake"), MISTAKES, ids=[f"{each.id} {mistake.name}" for each, mistake in MISTAKES])
def test_each_named_mistake_is_named(asked: Build, mistake):
    finding = judge_build(asked, mistake.wrong)
    assert finding.mistake == mistake.name and finding.message == mistake.message, told(asked, finding)


@pytest.mark.parametrize("asked", BUILDS.values(), ids=list(BUILDS))
def test_a_build_says_what_it_must(asked: Build):
    names = [each.name for each in asked.properties]
    assert len(set(names)) == len(names) >= 4, f"{asked.id} has the properties {names}"
    assert 20 <= asked.minutes <= 90 and len(asked.hints) >= 3 and len(asked.mistakes) >= 4
    assert all(each.asks.endswith(".") and "\n" not in each.asks for each in asked.properties)
    assert asked.target is None or asked.target not in {each.target for each in EXERCISES.values()}, (
        "an exercise has the same target, so one would undo the other"
    )
    if asked.target:
        owner, name = transplant.place(asked)
        assert getattr(owner, name) is asked.reference
    if asked.is_class:
        known = {name for each in asked.properties for name in each.needs}
        assert known, "no property says which methods it needs, so a half-built class sees no line that waits"


def test_a_stub_is_quiet_and_the_courses_own_goes_on(capsys):
    @build("3.A")
    class Stub:
        """Not begun."""

        def step(self, h, z, action): ...

    assert Stub is RSSM
    said = capsys.readouterr().out
    assert said.startswith("· 3.A") and "Without it the notebook goes on" in said and len(said.splitlines()) == 1


def test_a_half_built_class_sees_what_stands_and_what_waits(capsys):
    @build("3.A")
    class Half(torch.nn.Module):
        def __init__(self, config, embed, action):
            super().__init__()
            self.deter = config.deter
            self.latent = transplant.RSSM(config, embed, action).latent
            self.features = config.deter + self.latent.size
            self.cell = torch.nn.GRUCell(self.latent.size + action, config.deter)

        def initial(self, batch):
            return torch.zeros(batch, self.deter), torch.zeros(batch, self.latent.size)

        def step(self, h, z, action):
            return self.cell(torch.cat([z, action], -1), h)

        def observe(self, h0, embed, action, first, noise=None): ...

    assert Half is RSSM
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[1:-1]}
    assert lines["bounds"].startswith("  ✓") and "`observe` is still `...`" in lines["window"] and "there is no `prior`" in lines["dream"]


def test_a_function_in_the_place_of_a_class_gets_a_sentence(capsys):
    assert build("3.A")(lambda config: config) is RSSM
    assert "a class is asked for" in capsys.readouterr().out

    class Heir(RSSM):
        """Inherits."""

    assert build("3.A")(Heir) is RSSM
    assert "inherits from the course's own" in capsys.readouterr().out


def test_a_crash_shows_the_learners_own_line(capsys):
    @build("3.A")
    class Crash(torch.nn.Module):
        def __init__(self, config, embed, action):
            super().__init__()
            self.layer = torch.nn.Linear(config.no_such_setting, 3)

        def initial(self, batch):
            return torch.zeros(batch, 6), torch.zeros(batch, 4)

        def step(self, h, z, action):
            return h

    said = capsys.readouterr().out
    assert "no_such_setting" in said and "in `self.layer = torch.nn.Linear(config.no_such_setting, 3)`" in said and "Traceback" not in said


def test_a_right_class_becomes_the_agent_survives_a_restart_and_is_undone(capsys):
    mine = build("3.A")(RIGHT["3.A"])
    said = capsys.readouterr().out
    assert "✓ 3.A" in said and mine is RIGHT["3.A"], said
    config = Config()
    assert type(Dreamer(config, 3, 1).model.rssm) is mine, "the agent was made with another RSSM"
    before = lines_of_the_agent(EXERCISES, BUILDS)
    assert 0 < before.replaced < before.all

    transplant.remove_build(BUILDS["3.A"])
    lesson.states.clear()
    assert type(Dreamer(config, 3, 1).model.rssm) is RSSM
    begin("04")
    said = capsys.readouterr().out
    assert "3.A" in transplant.built and "does not pass" not in said and f"stand: 1 of {len(BUILDS)}." in said
    assert type(Dreamer(config, 3, 1).model.rssm).__name__ == mine.__name__

    progress()
    assert f"1 of {len(BUILDS)} builds stand" in capsys.readouterr().out
    progress(reset=True)
    assert not transplant.built and type(Dreamer(config, 3, 1).model.rssm) is RSSM
    assert lines_of_the_agent(EXERCISES, BUILDS).replaced == 0


def test_a_stored_agent_of_the_courses_still_loads(capsys):
    build("3.A")(RIGHT["3.A"])
    capsys.readouterr()
    agent = Dreamer.load(ASSETS / "pendulum.safetensors")
    assert type(agent.model.rssm) is RSSM and "trained with the course's classes" in capsys.readouterr().out
    assert type(Dreamer(Config(), 3, 1).model.rssm) is RIGHT["3.A"], "loading has put the learner's class away"


def test_an_agent_of_the_learners_own_is_saved_and_loaded(tmp_path, capsys):
    build("3.A")(RIGHT["3.A"])
    capsys.readouterr()
    own = Dreamer(Config(), 3, 1)
    own.save(tmp_path / "own.safetensors")
    again = Dreamer.load(tmp_path / "own.safetensors")
    assert type(again.model.rssm) is RIGHT["3.A"] and capsys.readouterr().out == ""
    assert all(torch.equal(a, b) for a, b in zip(own.model.rssm.parameters(), again.model.rssm.parameters()))


@pytest.mark.parametrize("kind", ["dreamer", "sac"])
def test_the_trainers_agent_runs_what_was_built(kind: str):
    """The trainer gives the shape of an observation, (3,), and a class that was built expects its size, 3."""
    own = {number: RIGHT[number] for number in ("2.A", "2.B", "3.A", "4.A", "4.B", "6.A")}
    for number, made in own.items():
        transplant.install_build(BUILDS[number], made)
    config = Config()
    config.agent = kind
    with Trainer(config, warn=lambda sentence: None) as trainer:
        agent = trainer.agent
        made = [agent.sac.actor, agent.sac.q, agent.replay]
        if kind == "dreamer":
            made += [agent.model.rssm, agent.model.reward, agent.model.cont]
        assert all(type(each) in own.values() for each in made), [type(each) for each in made]


def test_a_piece_of_the_paper_keeps_the_courses_own(capsys):
    """What a build does not serve, the course's own goes on serving."""
    build("3.A")(RIGHT["3.A"])
    config = Config()
    config.model.norm = "rms"
    assert type(Dreamer(config, 3, 1).model.rssm).__mro__[1] is RSSM


def test_wrong_after_right_keeps_the_earlier_one(capsys):
    mine = build("3.A")(RIGHT["3.A"])
    again = build("3.A")(BUILDS["3.A"].mistakes[0].wrong)
    assert again is mine and "your earlier version stays" in capsys.readouterr().out


def test_strict_mode_stops_at_a_wrong_build_and_not_at_one_left_out(monkeypatch, capsys):
    monkeypatch.setenv("DREAMER_STRICT", "1")

    class Stub:
        def step(self, h, z, action): ...

    assert build("3.A")(Stub) is RSSM
    with pytest.raises(lesson.Unsolved, match="properties hold"):
        build("3.A")(BUILDS["3.A"].mistakes[0].wrong)


@pytest.mark.parametrize("number", BUILDS)
def test_hints_and_the_solutions_cell(number: str, capsys):
    for each in BUILDS[number].hints:
        hint(number)
        assert each in capsys.readouterr().out
    solution(number)
    cell = capsys.readouterr().out
    assert f'@build("{number}")' in cell
    compile(cell, "cell", "exec")


def test_lines_of_code_are_counted_without_words():
    text = '"""Words."""\n\n# a remark\ndef f(x):\n    """More\n    words."""\n    return (\n        x\n    )\n'
    assert code_lines(text) == {4, 7, 8, 9}
    inside = "class A:\n    def f(self):\n        return 1\n\ndef g():\n    return 2\n"
    assert dict(functions(ast.parse(inside))) == {"A.f": {2, 3}, "g": {5, 6}}


def test_the_lines_that_are_counted_are_those_that_a_run_of_v1_calls():
    """Seen from outside: every function of the core that Python enters while v1 acts, learns and is evaluated."""
    files = {importlib.import_module(f"dreamer_core.{module}").__file__: module for module in RUN}
    called = {module: set() for module in RUN}

    def entered(frame, event, value):
        module, name = files.get(frame.f_code.co_filename), frame.f_code.co_qualname
        if module and "<" not in name:
            called[module].add(name)

    schedule = {"pretrain_model": 4, "pretrain_both": 4}
    config = from_dict({"env_steps": 440, "schedule": schedule, "evaluation": {"every": 440, "episodes": 2}})
    before = sys.gettrace()
    sys.settrace(entered)
    try:
        list(Trainer(config).run())
    finally:
        sys.settrace(before)
    for module, names in RUN.items():
        missing, idle = called[module] - set(names.split()), set(names.split()) - called[module]
        assert not missing and not idle, f"{module}: v1 also calls {sorted(missing)}, and never {sorted(idle)}: mend lines.RUN"
    assert lines_of_the_agent(EXERCISES, BUILDS).all == sum(len(run_lines(module)) for module in RUN) > 500


def test_a_loop_that_does_not_end_fails_its_property(monkeypatch):
    monkeypatch.setattr("dreamer_core.classroom.build_judge.SECONDS", 1)

    class Endless(RIGHT["3.A"]):
        def step(self, h, z, action):
            while True:
                pass

    finding = judge_build(BUILDS["3.A"], Endless)
    assert not finding.right and "still running" in finding.lines[0].sentence


def test_a_slip_that_stops_every_check_is_told_once(capsys):
    @build("9.B")
    def train(agent, env, evaluate, random_action, steps, prefill, every, evaluate_every, seed):
        env.step(agent.initial(1).action)

    said = capsys.readouterr().out
    assert said.count("before `env.reset`") == 1 and said.count("the same again.") == len(BUILDS["9.B"].properties) - 1, said


def test_a_buffer_that_cannot_be_saved_before_its_first_row_is_not_accepted():
    """A run saves its buffer then; a list of rows has nothing to stack."""

    class Rows(RIGHT["6.A"]):
        def read(self, name, index):
            return torch.stack([self.number(n)[name] for n in index.flatten().tolist()]).unflatten(0, index.shape)

    failed = [line for line in judge_build(BUILDS["6.A"], Rows).lines if line.state == "fails"]
    assert [line.name for line in failed] == ["books"] and "before its first row" in failed[0].sentence


def test_what_torch_imports_late_is_imported_before_a_check():
    """In a process that has made no optimiser yet: after `prepare` the first one brings no further module."""
    script = """
        import sys, torch
        from dreamer_core.classroom.build_judge import prepare
        prepare()
        before = set(sys.modules)
        torch.optim.Adam([torch.zeros(1, requires_grad=True)])
        print(*sorted(set(sys.modules) - before))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stdout.split(), f"each check would import these anew: {done.stdout}"

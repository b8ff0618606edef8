"""The command line as a user meets it: flags, help, and one sentence for every mistake."""

import dataclasses
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import psutil
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from runs import Buoy, assert_same_run, metrics, tiny, train, words

from dreamer_core import checkpoint
from dreamer_core.config import Config, from_dict, preset
from dreamer_core.train import Arguments, main, parse

COMMAND = [sys.executable, "-m", "dreamer_core.train"]


def as_from_a_shell() -> None:
    """For a child: signals that end it are heard. Tests run in the background, or by nohup, hand on that these are ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def refused(capsys, *line):
    """Run a command line that must fail; what it said, which must be one sentence."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in line])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    said = [text for text in re.split(r"[\r\n]+", err) if text.strip() and "step/s" not in text]  # without the bar
    assert out == "" and len(said) == 1, err
    assert said[0].startswith("error: ") and "Traceback" not in err and "│" not in err, f"not one plain sentence: {err}"
    return said[0].removeprefix("error: ")


# --- flags and help -------------------------------------------------------------------------------


def test_a_whole_configuration_can_be_said_in_flags():
    for config in (tiny(), preset("advantage"), tiny(wrappers=dict(hide=[1]), sac=dict(soft=False))):
        assert parse(words(config)).config == config


def test_a_preset_can_be_changed_flag_by_flag():
    for line in (["--preset", "advantage", "--sac.lam", "0.5"], ["--sac.lam=0.5", "--preset=advantage"]):
        config = parse(line).config
        assert config.sac.lam == 0.5
        config.sac.lam = preset("advantage").sac.lam
        assert config == preset("advantage")
    assert parse([]).config == Config()


def test_help_says_every_sentence(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert not stop.value.code, "help ends as an error does"
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    sections = [("", Arguments), ("", Config)] + [
        (f.name + ".", f.type) for f in dataclasses.fields(Config) if dataclasses.is_dataclass(f.type)
    ]
    count = 0
    for prefix, kind in sections:
        source = Path(sys.modules[kind.__module__].__file__).read_text(encoding="utf-8").split(f"class {kind.__name__}:")[1]
        for field in dataclasses.fields(kind):
            if field.name in ("config", *(name[:-1] for name, _ in sections)):
                continue
            sentence = " ".join(re.search(rf'\n    {field.name}: .*\n    """([^"]*)"""', source)[1].split())
            flag = f"--{prefix}{field.name.replace('_', '-')} "
            assert flag in text and sentence.replace("`", "") in text.replace("`", ""), f"{flag} {sentence}"
            count += 1
    assert count > 60


def test_help_shows_a_presets_own_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["--preset", "advantage", "--help"])
    assert "(default: score)" in capsys.readouterr().out


# --- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("--speed 3", "unrecognized options: --speed, 3"),
        ("--model.dter 3", "unrecognized options: --model.dter, 3 (did you mean --model.deter?)"),
        ("pendulum", "unrecognized options: pendulum"),
        ("--env", "missing value for argument '--env'"),
        ("--model.deter big", "error parsing --model.deter: invalid literal for int() with base 10: 'big'"),
        ("--model.deter 1.5", "error parsing --model.deter: invalid literal"),
        ("--model.deter -3", "the setting model.deter is -3: input should be greater than or equal to 1"),
        ("--env-steps 0", "the setting env_steps is 0: input should be greater than or equal to 1"),
        ("--sac.gamma 1.5", "the setting sac.gamma is 1.5: input should be less than or equal to 1"),
        ("--model.lr nan", "the setting model.lr is nan: input should be a finite number"),
        ("--sac.soft perhaps", "invalid choice 'perhaps' for argument '--sac.soft'"),
        ("--agent ppo", "invalid choice 'ppo' for argument '--agent': expected one of ('dreamer', 'sac')"),
        ("--device tpu", "invalid choice 'tpu' for argument '--device'"),
        ("--preset best", "there is no preset 'best': choose dropin, advantage, dreamerv3 or pixels"),
        ("--wrappers.hide 0 x", "error parsing --wrappers.hide"),
        ("--wrappers.hide -1", "the setting wrappers.hide.0 is -1"),
        ("--wrappers.hide 7", "wrappers.hide names entry 7, but the observation has entries 0 to 2"),
        ("--replay.length 9000", "the world model learns from windows of 9000 rows"),
        ("--schedule.prefill 3", "but schedule.prefill provides only 3: raise schedule.prefill to 16 or shorten the windows"),
        ("--env Nowhere-v0", "there is no environment 'Nowhere-v0'"),
        ("--env CartPole-v1", "CartPole-v1 has discrete actions (Discrete(2)), but v1's SAC is continuous"),
        ("--env CartPole-v1 --sac.lam 1", "or --preset dreamerv3, whose actor can choose, or wrap it"),
        (
            "--preset dreamerv3 --dreamerv3.actor categorical",
            "dreamerv3.actor is categorical, but the actions of Pendulum-v1 are continuous",
        ),
        (
            "--preset dreamerv3 --model.blocks 7",
            "model.deter is 128, which 7 blocks cannot share equally: choose a multiple of model.blocks",
        ),
        ("--threads 100000", "the setting threads is 100000, but this machine has cores for"),
        ("--threads 0", "the setting threads is 0: input should be greater than or equal to 1"),
        ("--seed 18446744073709551616", "the setting seed is 18446744073709551616: input should be less than 18446744073709551616"),
        ("--seed -1", "the setting seed is -1: input should be greater than or equal to 0"),
        ("--evaluation.seed 99999999999999999999999", "the setting evaluation.seed is 99999999999999999999999: input should be less than"),
        ("--replay.capacity 1000000000000", "a replay buffer of 1,000,000,000,000 rows needs 357,627.9 GiB of memory, and"),
        ("--model.units 10000000000000000", "the memory here does not hold an agent of these sizes"),
        ("--resume /nowhere", "/nowhere holds no run to resume"),
        ("--out /dev/null/run", "could not write to /dev/null/run (Not a directory): choose another folder (out)"),
        ("--out /dev/null", "could not write to /dev/null (File exists): choose another folder (out)"),
    ],
)
def test_mistakes_on_the_line(line, sentence, capsys):
    assert sentence in refused(capsys, *line.split())


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_missing_device(device, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert f"the setting device is '{device}', but torch finds no such device here" in refused(capsys, "--device", device)


def fail(*_, **__):
    raise RuntimeError("the motor is hot")


class Broken(Buoy):
    """The toy environment with something wrong with it."""

    def __init__(self, observation_space=Buoy.observation_space, action_space=Buoy.action_space, reward=None, error=None, **answers):
        self.observation_space, self.action_space, self.reward, self.answers = observation_space, action_space, reward, answers
        if error:
            raise error

    def reset(self, *, seed=None, options=None):
        return self.answers.get("reset", lambda *answer: answer)(*super().reset(seed=seed))

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return self.answers.get("step", lambda *answer: answer)(observation, reward if self.reward is None else self.reward, *rest)


@pytest.mark.parametrize(
    "trouble, sentence",
    [
        (dict(error=ImportError("boxes are missing")), "Broken-v0 needs an optional package that is not installed: boxes"),
        (dict(action_space=Discrete(3)), "Broken-v0 has discrete actions"),
        (dict(action_space=Box(-np.inf, 1, (1,))), "Broken-v0 has infinite action bounds"),
        (dict(observation_space=Box(0, 1, (8, 8, 3))), "Broken-v0 has image observations of shape (8, 8, 3), float32: v1 reads"),
        (dict(observation_space=Dict(a=Discrete(2))), "Broken-v0 has dict observations, which are not supported yet"),
        (dict(reward=float("nan")), "Broken-v0 returned nan as the reward at step 1 of the episode with reset seed"),
        (dict(reward="-1.0"), "Broken-v0 returned '-1.0' as the reward (it must be one real number) at step 1 of"),
        (dict(reward=np.array([-1.0])), "Broken-v0 returned array([-1.]) as the reward (it must be one real number) at step 1 of"),
        (dict(action_space=Box(-1, 1, (0,))), "without a single entry: v1 needs at least one action to choose"),
        (dict(error=RuntimeError("the motor is hot")), "Broken-v0 could not be made, it raised RuntimeError (the motor is hot)"),
        (dict(reset=fail), "Broken-v0 raised RuntimeError (the motor is hot) in its reset at step 0 of the episode with reset seed"),
        (dict(step=fail), "Broken-v0 raised RuntimeError (the motor is hot) in its step at step 1 of the episode with reset seed"),
        (dict(reset=lambda observation, info: observation), "from reset at step 0 of the episode with reset seed"),
        (dict(step=lambda observation, reward, *rest: (observation, reward, rest[0], rest[2])), "in its step at step 1"),
        (dict(step=lambda observation, *rest: (observation * 1j, *rest)), "as the observation (it must be an array of real numbers)"),
        (dict(step=lambda observation, *rest: (observation * 1e39, *rest)), "e+3"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_environments_that_cannot_be_used(trouble, sentence, capsys):
    gym.register("Broken-v0", Broken, max_episode_steps=15, kwargs=trouble)
    try:
        assert sentence in refused(capsys, *words(tiny(env="Broken-v0")))
    finally:
        del gym.registry["Broken-v0"]


def test_learning_that_diverges(capsys):
    assert "learning diverged: agent/critic_loss is nan at step 40; start again with a lower learning rate" in refused(
        capsys, *words(tiny(sac=dict(actor_lr=1e38)))
    )


def test_a_folder_that_holds_a_run(capsys, tmp_path):
    train(tiny(env_steps=20), tmp_path)
    assert f"{tmp_path} already holds a run: choose another folder (out), or continue it with --resume" in refused(
        capsys, *words(tiny()), "--out", tmp_path
    )


def test_a_run_too_short_to_learn_says_so_and_runs(capsys, tmp_path):
    main([*words(tiny(), env_steps=20), "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert "learning starts at step 40, so 20 steps teach nothing: raise env_steps or lower schedule.prefill" in said
    assert len(metrics(tmp_path / "run")) == 1


class Program(Buoy):
    """A toy with a program of its own, which notes its number in the file that `pids` names."""

    def __init__(self, pids=None):
        self.child = subprocess.Popen(["sleep", "300"])
        if pids:
            with open(pids, "a", encoding="utf-8") as file:
                file.write(f"{self.child.pid}\n")

    def step(self, action):
        if self.fails and self.np_random.random() < 0.1:
            raise RuntimeError("the motor is hot")
        return super().step(action)

    fails = False

    def close(self):
        self.child.kill()
        self.child.wait()


class Failing(Program):
    fails = True


class Counted(Buoy):
    """A toy that knows which of its kind are open."""

    open: set = set()

    def __init__(self):
        self.open.add(self)

    def close(self):
        self.open.discard(self)


def interrupt(*_, **__):
    raise KeyboardInterrupt


gym.register("Counted-v0", Counted, max_episode_steps=20)


@pytest.mark.parametrize(
    "place, change, code",
    [
        ("", None, None),
        ("test_train.Counted.step", fail, 2),
        ("test_train.Counted.reset", fail, 2),
        ("test_train.Counted.step", interrupt, 130),
        ("dreamer_core.train.tqdm", interrupt, 130),
    ],
    ids=["at its end", "a step fails", "a reset fails", "interrupted in a step", "interrupted before it runs"],
)
def test_the_command_closes_its_environments_before_it_ends(place, change, code, monkeypatch):
    """Not only when Python clears up: whoever looks at the error still holds the trainer."""
    if place:
        monkeypatch.setattr(place, change)
    if code is None:
        main(words(tiny(env="Counted-v0", env_steps=40)))
    else:
        with pytest.raises(SystemExit) as stop:
            main(words(tiny(env="Counted-v0")))
        assert stop.value.code == code
    assert not Counted.open, f"{len(Counted.open)} environments are still open"


@pytest.mark.parametrize("ending", ["finished", "error", "TERM", "HUP"])
def test_no_program_of_an_environment_outlives_the_command(ending, tmp_path):
    """However it ends, but for a SIGKILL. A run makes one environment and one for each of two evaluation episodes."""
    kind = "Failing" if ending == "error" else "Program"
    (tmp_path / "own.py").write_text(
        "import gymnasium, test_train\n"
        f"gymnasium.register('Own-v0', test_train.{kind}, max_episode_steps=20, kwargs=dict(pids={str(tmp_path / 'pids')!r}))\n",
        encoding="utf-8",
    )
    config = tiny(env_steps=60 if ending == "finished" else 50_000, checkpoint_every=10)
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    line = [*COMMAND, *words(config, env="own:Own-v0"), "--out", tmp_path / "run"]
    process = subprocess.Popen(
        line, stderr=subprocess.PIPE, text=True, encoding="utf-8", preexec_fn=as_from_a_shell, env=os.environ | {"PYTHONPATH": path}
    )
    if ending.isupper():
        while process.poll() is None and not (tmp_path / "run/checkpoint/00000010.json").exists():
            time.sleep(0.02)
        process.send_signal(getattr(signal, f"SIG{ending}"))
    said = process.communicate(timeout=120)[1]
    assert process.returncode == {"finished": 0, "error": 2}.get(ending, 130), said
    if ending.isupper():
        assert said.strip().splitlines()[-1] == f"stopped; continue with --resume {tmp_path / 'run'}"
    assert ending != "error" or "own:Own-v0 raised RuntimeError (the motor is hot) in its step at step" in said
    pids = [int(line) for line in (tmp_path / "pids").read_text(encoding="utf-8").split()]
    left = [pid for pid in pids if psutil.pid_exists(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert len(pids) == 3 and not left, f"{len(left)} of {len(pids)} programs are left behind"


def test_the_help_says_how_many_copies_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", capsys.readouterr().out).split())
    assert "each in a copy of the environment: a run makes 1 + this many, or plays by turns where fewer can exist" in text


# --- resuming -------------------------------------------------------------------------------------


def test_device_and_threads_may_be_changed_along_with_resume(capsys, tmp_path, monkeypatch):
    main([*words(tiny(), env_steps=60), "--out", str(tmp_path)])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "torch finds no such device here: set device to cpu" in refused(capsys, "--resume", tmp_path, "--device", "cuda")
    main(["--resume", str(tmp_path), "--threads=2", "--device", "cpu", "--env-steps", "80"])
    assert "on cpu with 2 its numbers will differ" in capsys.readouterr().err
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["threads"], config["device"], config["env_steps"]) == (2, "cpu", 80)


def test_a_run_is_resumed_with_its_own_settings(capsys, tmp_path):
    main([*words(tiny(), env_steps=60), "--out", str(tmp_path / "a")])
    main(["--resume", str(tmp_path / "a")])
    assert "this run has finished its 60 steps: ask for more with --env-steps" in capsys.readouterr().err
    main(["--env_steps=100", "--resume", str(tmp_path / "a"), "--seed", "0"])  # saying again what holds anyway is no change
    assert from_dict(json.loads((tmp_path / "a/config.json").read_text(encoding="utf-8"))) == tiny()
    main([*words(tiny()), "--out", str(tmp_path / "b")])
    assert_same_run(tmp_path / "a", tmp_path / "b")


@pytest.mark.parametrize(
    "change, name",
    [("--seed 3", "seed"), ("--sac.gamma=0.5", "sac.gamma"), ("--preset advantage", "preset"), ("--out /tmp/elsewhere", "folder")],
)
def test_resuming_with_other_settings_is_refused(change, name, capsys, tmp_path):
    train(tiny(env_steps=20), tmp_path)
    sentence = (
        f"a resumed run keeps its {name}: of all settings only --env-steps, --device and --threads can be changed along with --resume"
    )
    assert refused(capsys, "--resume", tmp_path, *change.split()) == sentence


def test_resuming_what_cannot_be_resumed(capsys, tmp_path, monkeypatch):
    train(tiny(env_steps=40), tmp_path)
    assert "already at step 40" in refused(capsys, "--resume", tmp_path, "--env-steps", 30)
    monkeypatch.setattr(checkpoint, "VERSION", 2)
    assert "has format version 1, this program reads version 2" in refused(capsys, "--resume", tmp_path)
    monkeypatch.undo()
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    (tmp_path / "config.json").write_text(config.replace('"seed": 0', '"seed": 1'), encoding="utf-8")
    assert "was made with another seed than" in refused(capsys, "--resume", tmp_path)
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    for path in (tmp_path / "checkpoint").glob("*.safetensors"):
        path.unlink()
    with pytest.raises(SystemExit):
        main(["--resume", str(tmp_path)])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all("is damaged" in line for line in lines), f"not a sentence for each damaged checkpoint: {lines}"
    assert "every checkpoint there is damaged, so start a new run" in lines[-1]


def test_a_disk_that_fills_up(capsys, tmp_path, monkeypatch):
    real = checkpoint.write_atomic

    def full(path, data):
        if path.name == "00000060.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(path, data)

    monkeypatch.setattr(checkpoint, "write_atomic", full)
    out = tmp_path / "a"
    said = refused(capsys, *words(tiny()), "--out", out)
    assert said.startswith(f"could not write to {out} (No space left on device): the last good checkpoint is kept, so make room there"), (
        f"said instead: {said}"
    )
    assert said.endswith(f"continue with --resume {out} (in Python: Trainer.resume({str(out)!r}))"), f"said instead: {said}"
    monkeypatch.undo()
    main(["--resume", str(tmp_path / "a")])
    train(tiny(), tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")


# --- the real thing -------------------------------------------------------------------------------


def test_the_bar_is_one_line_and_nothing_else_is_printed(tmp_path):
    line = words(tiny(env="Pendulum-v1", env_steps=60))
    done = subprocess.run([*COMMAND, *line, "--out", tmp_path / "run"], capture_output=True)
    bar = done.stderr.decode()
    assert done.returncode == 0 and done.stdout == b""
    assert bar.count("\n") == 1 and bar.endswith("\n"), f"the bar leaves other than one line behind: {bar!r}"
    assert all("step/s" in state for state in bar.strip().split("\r")), f"a state of the bar without its speed: {bar!r}"
    assert re.search(r"60/60 .* return -\d+ \+- \d+\]$", bar.strip()), f"the last state of the bar is {bar!r}"
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["checkpoint", "config.json", "metrics.jsonl"]


def test_interrupted_and_resumed_from_the_shell(tmp_path):
    """Ctrl-C ends it in one line that says how to go on; a SIGKILL ends it without one; the numbers are the same."""
    config = tiny(env="Pendulum-v1", env_steps=2000)
    out = tmp_path / "run"
    for number, stop in enumerate([signal.SIGINT, signal.SIGKILL]):
        line = ["--resume", out] if number else [*words(config), "--out", out]
        process = subprocess.Popen([*COMMAND, *line], stderr=subprocess.PIPE, text=True, preexec_fn=as_from_a_shell, encoding="utf-8")
        goal = 60 * (number + 1)
        while process.poll() is None and not any(int(path.stem) >= goal for path in out.glob("checkpoint/*.json")):
            time.sleep(0.02)
        process.send_signal(stop)
        said = process.communicate()[1].strip().splitlines()[-1]
        assert process.returncode == (130 if stop == signal.SIGINT else -signal.SIGKILL)
        assert stop != signal.SIGINT or said == f"stopped; continue with --resume {out}"
    done = max(int(path.stem) for path in out.glob("checkpoint/*.json"))
    steps = 20 * (done // 20 + 2)  # a little further, and then the same steps in one go
    main(["--resume", str(out), "--env-steps", str(steps)])
    train(tiny(env="Pendulum-v1", env_steps=steps), tmp_path / "whole")
    assert_same_run(out, tmp_path / "whole")

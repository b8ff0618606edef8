"""The command line as a user meets it: flags, help, and one sentence for every mistake."""

import dataclasses
import errno
import functools
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
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from runs import Buoy, assert_same_run, tiny, train, words

from dreamer_core import checkpoint
from dreamer_core.config import Config, from_dict, preset
from dreamer_core.train import Arguments, main, parse


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
        ("--preset best", "there is no preset 'best': choose dropin or advantage"),
        ("--wrappers.hide 0 x", "error parsing --wrappers.hide"),
        ("--wrappers.hide -1", "the setting wrappers.hide.0 is -1"),
        ("--wrappers.hide 7", "wrappers.hide names entry 7, but the observation has entries 0 to 2"),
        ("--replay.length 9000", "the world model learns from windows of 9000 rows"),
        ("--schedule.prefill 3", "but schedule.prefill provides only 3: raise schedule.prefill to 16 or shorten the windows"),
        ("--env Nowhere-v0", "there is no environment 'Nowhere-v0'"),
        ("--env CartPole-v1", "CartPole-v1 has discrete actions (Discrete(2)), but v1's SAC is continuous"),
        ("--resume /nowhere", "/nowhere holds no run to resume"),
        ("--out /dev/null/run", "could not write to /dev/null/run (Not a directory): choose another --out"),
        ("--out /dev/null", "could not write to /dev/null (File exists): choose another --out"),
    ],
)
def test_mistakes_on_the_line(line, sentence, capsys):
    assert sentence in refused(capsys, *line.split())


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_missing_device(device, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert f"the setting device is '{device}', but torch finds no such device here" in refused(capsys, "--device", device)


class Broken(Buoy):
    """The toy environment with something wrong with it."""

    def __init__(self, observation_space=Buoy.observation_space, action_space=Buoy.action_space, reward=None, error=None):
        self.observation_space, self.action_space, self.reward = observation_space, action_space, reward
        if error:
            raise error

    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward if self.reward is None else self.reward, *rest


@pytest.mark.parametrize(
    "trouble, sentence",
    [
        (dict(error=ImportError("boxes are missing")), "Broken-v0 needs an optional package that is not installed: boxes"),
        (dict(action_space=Discrete(3)), "Broken-v0 has discrete actions"),
        (dict(action_space=Box(-np.inf, 1, (1,))), "Broken-v0 has infinite action bounds"),
        (dict(observation_space=Box(0, 1, (8, 8, 3))), "Broken-v0 has image observations of shape (8, 8, 3), which are not supported yet"),
        (dict(observation_space=Dict(a=Discrete(2))), "Broken-v0 has dict observations, which are not supported yet"),
        (dict(reward=float("nan")), "Broken-v0 returned nan as the reward at step 1 of the episode with reset seed"),
    ],
    ids=["package", "discrete", "infinite", "image", "dict", "nan"],
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
    assert f"{tmp_path} already holds a run: choose another --out, or continue it with --resume" in refused(
        capsys, *words(tiny()), "--out", tmp_path
    )


# --- resuming -------------------------------------------------------------------------------------


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
    assert said.endswith(f"continue with --resume {out}"), f"said instead: {said}"
    monkeypatch.undo()
    main(["--resume", str(tmp_path / "a")])
    train(tiny(), tmp_path / "b")
    assert_same_run(tmp_path / "a", tmp_path / "b")


# --- the real thing -------------------------------------------------------------------------------

COMMAND = [sys.executable, "-m", "dreamer_core.train"]


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
        # Started by a job in the background, tests inherit an ignored SIGINT; a learner's shell does not ignore it.
        awake = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen([*COMMAND, *line], stderr=subprocess.PIPE, text=True, preexec_fn=awake, encoding="utf-8")
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

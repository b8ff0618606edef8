"""The command: every configuration field is a flag, documented by its own sentence.

python -m dreamer_core.train --env Pendulum-v1 --env-steps 3000 --seed 0 --out runs/first
python -m dreamer_core.train --resume runs/first
"""

import contextlib
import dataclasses
import io
import itertools
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import ValidationError
from tqdm import tqdm

from dreamer_core import config as configs
from dreamer_core.board import Board
from dreamer_core.config import Config
from dreamer_core.errors import ConfigError, DreamerError
from dreamer_core.trainer import CHANGEABLE, Trainer, differences, read_config


@dataclasses.dataclass
class Arguments:
    """Train v1, a deliberately simple Dreamer, or the same SAC on real transitions (--agent sac)."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """New folder for metrics.jsonl, config.json and checkpoint/; without it nothing is kept."""
    resume: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder of a run to continue; its own configuration is used, and only --env-steps, --device and --threads may be changed.
    An environment that remembers earlier episodes (a curriculum) does not come back as it was, which is noticed only where it shows."""
    tensorboard: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Folder for the same numbers as events that TensorBoard draws while the run goes on; needs the extra `tensorboard`."""


def flag(name: str, words: list[str]) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE`, read before the rest is parsed."""
    for number, word in enumerate(words):
        if word == f"--{name}" and number + 1 < len(words):
            return words[number + 1]
        if word.startswith(f"--{name}="):
            return word.split("=", 1)[1]
    return None


def parse(words: list[str]) -> Arguments:
    """Arguments from the command line; a preset, or the run to resume, supplies the defaults.

    Raises:
        DreamerError: a flag does not exist, or its value has a wrong type or range.
        SystemExit: after printing --help.
    """
    folder = flag("resume", words)
    base = configs.preset(flag("preset", words) or "dropin") if folder is None else read_config(Path(folder))
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                Arguments, prog="python -m dreamer_core.train", args=words, default=Arguments(base), config=(tyro.conf.FlagConversionOff,)
            )
    except (SystemExit, ValidationError) as error:
        if isinstance(error, SystemExit) and not error.code:
            raise
        raise ConfigError(one_sentence(error, complaint.getvalue())) from None


def one_sentence(error: BaseException | None, box: str) -> str:
    """What is wrong with a command line: what the settings' own checks said, or else what tyro drew a box around."""
    while error is not None:
        if isinstance(error, ValidationError):
            return configs.explain(error)
        error = error.__context__
    below_title = re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()[1:]  # without colours
    rows = [row.strip("│ ") for row in below_title]
    ruled = itertools.dropwhile(lambda row: not row.strip("─-"), rows)
    reason = " ".join(itertools.takewhile(lambda row: row.strip("─-"), ruled)).replace(". Expected", ": expected").rstrip(".")
    similar = [row.split()[0] for row in rows if row.startswith("--") and row.strip("-")]
    if reason.startswith("Unrecognized") and similar:
        reason += f" (did you mean {similar[0]}?)"
    return f"{reason[:1].lower()}{reason[1:]}; run with --help to see all settings"


def start(arguments: Arguments) -> Trainer:
    """The run that a command line asks for.

    Raises:
        DreamerError: it asks for something that does not exist or does not go together.
    """
    if arguments.resume is None:
        return Trainer(arguments.config, arguments.out, warn=say)
    own = configs.to_dict(read_config(arguments.resume))
    changed = [name for name in differences(configs.to_dict(arguments.config), own) if name not in CHANGEABLE]
    if changed or arguments.out:
        name = changed[0] if changed else "folder"
        raise ConfigError(
            f"a resumed run keeps its {name}: of all settings only --env-steps, --device and --threads can be changed along with --resume"
        )
    asked = arguments.config
    return Trainer.resume(arguments.resume, asked.env_steps, warn=say, device=asked.device, threads=asked.threads)


def say(sentence: str) -> None:
    """Print a sentence without breaking the bar."""
    tqdm.write(sentence, file=sys.stderr)


@contextlib.contextmanager
def stopped_like_ctrl_c() -> Iterator[None]:
    """Let a request to end, from a system or a closed terminal, stop a run as Ctrl-C does, so that nothing is left behind."""
    asked = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    free = [number for number in asked if signal.getsignal(number) == signal.SIG_DFL]  # as nohup asks not to be
    if threading.current_thread() is not threading.main_thread():
        free = []  # signals are the main thread's
    try:
        for number in free:
            signal.signal(number, signal.default_int_handler)
        yield
    finally:
        for number in free:
            signal.signal(number, signal.SIG_DFL)


def main(words: list[str] | None = None) -> None:
    """Run the command line; exits with 2 and one sentence for anything a user can mend."""
    with stopped_like_ctrl_c():
        train(sys.argv[1:] if words is None else words)


def train(words: list[str]) -> None:
    """Start or resume a run, train, and close it however it ends."""
    trainer = None
    try:
        asked = parse(words)
        trainer = start(asked)
        if trainer.step == trainer.config.env_steps:
            return say(f"this run has finished its {trainer.step} steps: ask for more with --env-steps")
        board = contextlib.nullcontext() if asked.tensorboard is None else contextlib.closing(Board(asked.tensorboard, trainer))
        with board as events, tqdm(total=trainer.config.env_steps, initial=trainer.step, unit="step", dynamic_ncols=True) as bar:
            run = trainer.run(
                on_step=lambda _: bar.update(), on_pretrain=lambda share: bar.set_postfix_str(f"learning from random steps {share:.0%}")
            )
            for metrics in run:
                if events is not None:
                    events.write(metrics)
                bar.set_postfix_str(f"return {metrics['eval_return_mean']:.0f} +- {metrics['eval_return_std']:.0f}")
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        kept = trainer is not None and trainer.out is not None
        print(f"stopped; continue with --resume {trainer.out}" if kept else "stopped; nothing was kept, for want of --out", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        if trainer is not None:
            trainer.close()


if __name__ == "__main__":
    main()

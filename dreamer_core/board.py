"""A run's numbers for TensorBoard: `--tensorboard DIR`. They are those of metrics.jsonl, by the same names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dreamer_core import config as configs
from dreamer_core.errors import ConfigError, DreamerError
from dreamer_core.trainer import Trainer

STEP = "env_steps"  # what everything is drawn against


class Board:
    """Writes event files into a folder, one curve for each metric; the settings stand under "text".

    A resumed run writes its earlier evaluations anew: what is drawn is what metrics.jsonl holds.

    Args:
        folder: made if missing. trainer: the run.

    Raises:
        ConfigError: the package tensorboard is not installed. DreamerError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # an extra, and slow to import
        except ImportError:
            raise ConfigError(
                "--tensorboard needs the package tensorboard, which is not installed: install it with pip install -e '.[tensorboard]', "
                "or leave the option out"
            ) from None
        self.folder = folder
        try:
            self.writer = SummaryWriter(str(folder), purge_step=0)  # the events of an earlier life of this run no longer count
        except OSError as error:
            raise DreamerError(f"could not write to {folder} ({error.strerror or error}): choose another folder (tensorboard)") from None
        self.writer.add_text("config", f"```\n{json.dumps(configs.to_dict(trainer.config), indent=1)}\n```", 0)
        if trainer.out is not None:
            for line in (trainer.out / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
                self.write(json.loads(line))

    def write(self, metrics: Mapping[str, Any]) -> None:
        """Add the metrics of one evaluation, and put them on disk.

        Raises:
            DreamerError: the disk is full.
        """
        try:
            for name, value in metrics.items():
                if name != STEP:
                    self.writer.add_scalar(name, value, metrics[STEP])
            self.writer.flush()
        except OSError as error:
            raise DreamerError(f"could not write to {self.folder} ({error.strerror or error}): make room there") from None

    def close(self) -> None:
        """Close the event file."""
        self.writer.close()

"""A run for TensorBoard: its numbers at every evaluation, and the film of one episode.

    python -m dreamer_core.look runs/first --tensorboard       writes runs/first/tensorboard
    tensorboard --logdir runs                                  shows it, beside other runs

It may be written again while the run goes on. It needs the extra `tensorboard`.
"""

import io
import shutil
from pathlib import Path

from PIL import Image

from dreamer_core.errors import DreamerError
from dreamer_core.look.page import SEED, fitted, looked
from dreamer_core.trainer import read_config
from dreamer_core.viz.branches import recorded
from dreamer_core.viz.dashboard import STEP, read_metrics
from dreamer_core.viz.dream import play
from dreamer_core.viz.film import frames, tell

FOLDER = "tensorboard"  # in a run's folder
FPS = 10


def write(run: Path, out: Path) -> list[str]:
    """Write event files anew; returns sentences about what could not be written.

    Args:
        run: folder of a run. out: folder of the event files; what TensorBoard files it holds are replaced.

    Raises:
        CheckpointError: there is no run. DreamerError: the extra is not installed.
    """
    try:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise DreamerError("TensorBoard is not installed: pip install -e '.[tensorboard]'") from None
    rows, config, missing = read_metrics(run), read_config(run), []
    shutil.rmtree(out, ignore_errors=True)
    with SummaryWriter(str(out)) as writer:
        for row in rows:
            for name, value in row.items():
                if name != STEP:
                    writer.add_scalar(name if "/" in name else f"run/{name}", value, row[STEP])
        with looked(run, config) as found:
            if isinstance(found, str):
                missing.append(found)
            else:
                episode = play(found.agent, found.env, SEED, config.env_steps)
                start, steps = fitted(len(episode.action))
                picture = film(list(frames(tell(recorded(found.agent, episode, start, steps, count=1)))))
                value = Summary.Value(tag="film of one episode", image=picture_of(picture, Summary))
                writer.file_writer.add_summary(Summary(value=[value]), rows[-1][STEP] if rows else 0)
    return missing


def film(pictures: list) -> bytes:
    """An animated GIF, which TensorBoard plays, of pictures (height, width, 3)."""
    first, *rest = [Image.fromarray(picture).quantize(64) for picture in pictures]
    file = io.BytesIO()
    first.save(file, format="gif", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return file.getvalue()


def picture_of(gif: bytes, summary: type) -> object:
    """An encoded picture as TensorBoard's files hold it."""
    width, height = Image.open(io.BytesIO(gif)).size
    return summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)

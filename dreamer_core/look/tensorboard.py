"""The film of a run for TensorBoard, beside the numbers that `python -m dreamer_core.train --tensorboard DIR` writes while it trains.

    python -m dreamer_core.look runs/first --tensorboard runs/events

Each call adds the film of the agent as it is, at the step that it has reached. It needs the extra `tensorboard`.
"""

import io
from pathlib import Path

from PIL import Image

from dreamer_core.errors import DreamerError
from dreamer_core.look.page import SEED, fitted, looked
from dreamer_core.trainer import read_config
from dreamer_core.viz.branches import recorded
from dreamer_core.viz.dashboard import STEP, read_metrics
from dreamer_core.viz.dream import play
from dreamer_core.viz.film import frames, tell

TAG = "film of one episode"
FPS = 10


def write(run: Path, out: Path) -> None:
    """Add the film to the event files in a folder.

    Raises:
        DreamerError: the extra is not installed, there is no run, or none whose agent dreams.
    """
    try:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise DreamerError("TensorBoard is not installed: pip install -e '.[tensorboard]'") from None
    rows, config = read_metrics(run), read_config(run)
    with looked(run, config) as found:
        if isinstance(found, str):
            raise DreamerError(found)
        episode = play(found.agent, found.env, SEED, config.env_steps)
        start, steps = fitted(len(episode.action))
        gif = film(list(frames(tell(recorded(found.agent, episode, start, steps, count=1)))))
    width, height = Image.open(io.BytesIO(gif)).size
    picture = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=gif)
    with SummaryWriter(str(out)) as writer:
        writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=TAG, image=picture)]), int(rows[-1][STEP]))


def film(pictures: list) -> bytes:
    """An animated GIF, which TensorBoard plays, of pictures (height, width, 3)."""
    first, *rest = [Image.fromarray(picture).quantize(64) for picture in pictures]
    file = io.BytesIO()
    first.save(file, format="gif", save_all=True, append_images=rest, duration=1000 // FPS, loop=0)
    return file.getvalue()

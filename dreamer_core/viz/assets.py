"""Makes what the notebooks and the site load instead of training it: `make assets`.

Trains v1 with its default settings and seed 0, and with the preset `pixels` and seed 0, and writes six small files:

* WORLD.safetensors, the trained agent;
* WORLD.jsonl, the metrics of its training, a line per evaluation;
* WORLD_seen.npy, all that it has seen while it trained, (R, O) as float16;
* ages.bin, the same agent at several ages, packed for the page on which a dream is driven (`drive.py`);
* dream.png, the README's figure: a real episode beside dreams of it;
* pixel_pendulum.safetensors, the agent that sees pictures, in numbers of 16 bits.
"""

import copy
import json
from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from dreamer_core.assets import ASSETS
from dreamer_core.config import Config, preset
from dreamer_core.trainer import Trainer
from dreamer_core.viz.dream import dream, dream_figure, play
from dreamer_core.viz.engine import Mind, pack
from dreamer_core.viz.show import png
from dreamer_core.worlds.drawing import drawing

NAME = Config().env.partition("-")[0].lower()  # of the files: the world's
ENV_STEPS = 2000
AGES = (200, 400, ENV_STEPS)  # before its first learning, which comes at step 400; just after it; grown up
PIXEL_STEPS = 4000


def trained(config: Config, watch: Callable[[Trainer, dict], None] = lambda trainer, metrics: None) -> tuple[Trainer, list[dict]]:
    """A run to its end, and its metrics; `watch` is called at each evaluation."""
    trainer, rows = Trainer(config), []
    with tqdm(total=config.env_steps, unit="step", desc=config.env) as bar:
        for metrics in trainer.run(on_step=lambda _: bar.update()):
            rows.append({name: round(value, 4) for name, value in metrics.items()})
            bar.set_postfix_str(f"return {metrics['eval_return_mean']:.0f}")
            watch(trainer, metrics)
    return trainer, rows


def pixels() -> None:
    """The agent that sees pictures."""
    config = preset("pixels")
    config.env, config.env_steps = "dreamer/PixelPendulum-v0", PIXEL_STEPS
    trained(config)[0].agent.save(ASSETS / "pixel_pendulum.safetensors", half=True)


def main() -> None:
    """Train, save, play, dream, draw."""
    config = preset("dropin")
    config.env_steps = ENV_STEPS
    minds = []

    def watch(trainer: Trainer, metrics: dict) -> None:
        if metrics["env_steps"] in AGES:
            minds.append(Mind(copy.deepcopy(trainer.agent), metrics["env_steps"], metrics["eval_return_mean"]))

    trainer, rows = trained(config, watch)
    trainer.agent.save(ASSETS / f"{NAME}.safetensors")
    (ASSETS / f"{NAME}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    seen = trainer.agent.replay.read("observation", trainer.agent.replay.kept())
    np.save(ASSETS / f"{NAME}_seen.npy", seen.numpy().astype(np.float16))
    (ASSETS / "ages.bin").write_bytes(pack(minds))
    episode = play(trainer.agent, trainer.evaluation_envs[0], seed=20_003)
    dreams = dream(trainer.agent, episode, start=5, steps=75, count=64, act=True)
    title = f"Swing-up after {config.env_steps} environment steps: what happened, and what the agent imagined"
    (ASSETS / "dream.png").write_bytes(png(dream_figure(episode.observation, dreams, 5, drawing(config).labels, title)))
    pixels()
    print(f"written to {ASSETS}: {NAME}.safetensors, {NAME}.jsonl, {NAME}_seen.npy, ages.bin, dream.png, pixel_pendulum.safetensors")


if __name__ == "__main__":
    main()

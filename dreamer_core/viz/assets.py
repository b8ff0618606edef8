"""Makes what the notebooks load instead of training it: `make assets`.

Trains v1 with its default settings and seed 0, and with the preset `pixels` and seed 0, and writes four small files:

* pendulum.safetensors, the trained agent;
* pendulum.jsonl, the metrics of its training, a line per evaluation;
* dream.png, the README's figure: a real episode beside dreams of it;
* pixel_pendulum.safetensors, the agent that sees pictures, in numbers of 16 bits.
"""

import json
from pathlib import Path

from tqdm import tqdm

from dreamer_core.config import Config, preset
from dreamer_core.trainer import Trainer
from dreamer_core.viz.dream import dream, dream_figure, play
from dreamer_core.viz.show import png

ASSETS = Path(__file__).parents[2] / "notebooks" / "assets"
PENDULUM = ["cos θ", "sin θ", "velocity (rad/s)"]
ENV_STEPS = 2000
PIXEL_STEPS = 4000


def trained(config: Config) -> tuple[Trainer, list[dict]]:
    """A run to its end, and its metrics."""
    trainer, rows = Trainer(config), []
    with tqdm(total=config.env_steps, unit="step", desc=config.env) as bar:
        for metrics in trainer.run(on_step=lambda _: bar.update()):
            rows.append({name: round(value, 4) for name, value in metrics.items()})
            bar.set_postfix_str(f"return {metrics['eval_return_mean']:.0f}")
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
    trainer, rows = trained(config)
    trainer.agent.save(ASSETS / "pendulum.safetensors")
    (ASSETS / "pendulum.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    episode = play(trainer.agent, trainer.evaluation_envs[0], seed=20_003)
    dreams = dream(trainer.agent, episode, start=5, steps=75, count=64, act=True)
    title = f"Swing-up after {config.env_steps} environment steps: what happened, and what the agent imagined"
    (ASSETS / "dream.png").write_bytes(png(dream_figure(episode.observation, dreams, 5, PENDULUM, title)))
    pixels()
    print(f"written to {ASSETS}: pendulum.safetensors, pendulum.jsonl, dream.png, pixel_pendulum.safetensors")


if __name__ == "__main__":
    main()

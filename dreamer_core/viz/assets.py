"""Makes the README's figure: `make assets`.

Trains v1 with its default settings and seed 0, then draws a real episode beside dreams of it.
"""

from pathlib import Path

from tqdm import tqdm

from dreamer_core.config import preset
from dreamer_core.train import Trainer
from dreamer_core.viz.dream import dream, dream_figure, play
from dreamer_core.viz.show import png

ASSETS = Path(__file__).parents[2] / "notebooks" / "assets"
PENDULUM = ["cos θ", "sin θ", "velocity (rad/s)"]


def main() -> None:
    """Train, play, dream, draw."""
    config = preset("dropin")
    config.env_steps = 1400
    trainer = Trainer(config)
    with tqdm(total=config.env_steps, unit="step") as bar:
        for metrics in trainer.run(on_step=lambda _: bar.update()):
            bar.set_postfix_str(f"return {metrics['eval_return_mean']:.0f}")
    episode = play(trainer.agent, trainer.evaluation_envs[0], seed=20_003)
    dreams = dream(trainer.agent, episode, start=5, steps=75, count=64, act=True)
    title = f"Swing-up after {config.env_steps} environment steps: what happened, and what the agent imagined"
    (ASSETS / "dream.png").write_bytes(png(dream_figure(episode.observation, dreams, 5, PENDULUM, title)))
    print(f"written: {ASSETS / 'dream.png'}")


if __name__ == "__main__":
    main()

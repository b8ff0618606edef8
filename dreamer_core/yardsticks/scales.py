"""The scale on which a return is read in each world: what acting at random brings, and what the best controller does.

    python -m dreamer_core.yardsticks.scales                            all worlds (some minutes); writes scales.json
    python -m dreamer_core.yardsticks.scales dreamer/Recall-v0          this one alone

    score = (return - random) / (best - random)            0 is a random agent, 1 the best there is

Random: the mean of 1,000 episodes with a fresh uniform action at each step, 20 from each of the 50
starts on which agents are evaluated (reset seeds 20000 to 20049).

Best: the mean over the same 50 starts, reached by a controller that knows the world (`ceiling.py`,
`box_grid.py`), or worked out by hand. What was reached can be beaten but is no less; `slack` says by how
much it may be beaten. It is the distance from what the controller's own grid foretold, which errs to
either side, so it tells the size of the error and is no proof. Where nothing is known, `best` is None.

All this is of the plain world. `doubts` says what hidden entries, repeated actions, other starts and
evaluations before a world's change make of it.
"""

import functools
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import numpy as np

from dreamer_core import worlds  # noqa: F401 (registers the suite)
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import ConfigError
from dreamer_core.worlds import changing_pendulum, recall
from dreamer_core.worlds.sparse_pendulum import upright
from dreamer_core.yardsticks import box_grid, ceiling

FILE = Path(__file__).with_suffix(".json")
SEEDS = range(20_000, 20_050)  # reset seeds of evaluation (`EvaluationConfig`)
REPEATS = 20  # random episodes from each start


class Scale(NamedTuple):
    """What is known about the returns in a world, in the world's own units."""

    random: float
    """Mean return of uniform random actions."""
    random_error: float
    """Its standard error."""
    best: float | None
    """The best mean return that is known to be reached, or by hand the most that is paid; None if none is known."""
    slack: float | None
    """How far the best possible may lie above it."""
    how: str
    """Where `best` comes from."""

    def score(self, returns: float | np.ndarray) -> float | np.ndarray:
        """Returns as shares of the way from random to best.

        Raises:
            ConfigError: the best return of this world is not known.
        """
        if self.best is None:
            raise ConfigError(f"no best return is known for this world ({self.how}): give a best return of your own")
        return (returns - self.random) / (self.best - self.random)


class Best(NamedTuple):
    """The best return of a world, as far as it is known."""

    best: float | None
    slack: float | None
    how: str


def read() -> dict[str, Scale]:
    """The stored scale of each world, by its id."""
    return {name: Scale(**scale) for name, scale in json.loads(FILE.read_text(encoding="utf-8")).items()}


def random_returns(name: str, seeds: Iterable[int] = SEEDS, repeats: int = REPEATS, options: dict | None = None) -> np.ndarray:
    """Returns (seeds, repeats) of uniform random actions, the same whenever they are asked for."""
    env, seeds = gym.make(name), list(seeds)
    returns = np.zeros((len(seeds), repeats))
    for place in np.ndindex(returns.shape):
        env.reset(seed=seeds[place[0]], options=options)
        rng, over = np.random.default_rng(place), False
        while not over:
            action = rng.uniform(env.action_space.low, env.action_space.high).astype(env.action_space.dtype)
            _, reward, terminated, truncated, _ = env.step(action)
            returns[place] += reward
            over = terminated or truncated
    env.close()
    return returns


def sparse(angle: np.ndarray, velocity: np.ndarray, torque: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """SparsePendulum's own step for arrays that broadcast."""
    angle, velocity, _ = ceiling.dynamics(angle, velocity, torque)
    return angle, velocity, upright(angle).astype(float)


changed = functools.partial(ceiling.dynamics, mass=changing_pendulum.MASS, length=changing_pendulum.LENGTH)
AFTER = {"age": 10**6}  # the changed pendulum, which agents are evaluated on in the end
CHANGES = {"dreamer/ChangingPendulum-v0": changing_pendulum.AFTER}  # worlds that are measured after their change: the steps before it


def by_grid(
    name: str = "Pendulum-v1", step: ceiling.Step = ceiling.dynamics, options: dict | None = None, seeds: Iterable[int] = SEEDS, **grid: int
) -> Best:
    """The best of a pendulum that is seen."""
    values = ceiling.solve(step=step, **grid)
    found = ceiling.best_returns(seeds, values, name, step, options)
    env = gym.make(name)
    starts = []
    for seed in seeds:
        env.reset(seed=seed, options=options)
        starts.append(env.unwrapped.state)
    angle, velocity = np.array(starts).T
    promised = ceiling.Corners(angle, velocity, values.shape[1:])(values[0])
    return reached(found, promised)


def reached(found: np.ndarray, promised: np.ndarray) -> Best:
    """What a controller collected (N,), and what its grid promised (N,)."""
    slack = abs(float(promised.mean() - found.mean()))
    return Best(float(found.mean()), slack, "reached by dynamic programming; the slack is its distance from what the grid promised")


def flickering(seeds: Iterable[int] = SEEDS, **grid: int) -> Best:
    """FlickerPendulum's: one sight of the state is enough to know it for ever; the slack is what seeing always would bring."""
    values = ceiling.solve(**grid)
    blind, seeing = (ceiling.best_returns(seeds, values, name).mean() for name in ("dreamer/FlickerPendulum-v0", "Pendulum-v1"))
    how = "reached by dynamic programming from the first sight on, without torque before; the slack is what seeing always would bring"
    return Best(float(blind), float(seeing - blind), how)


def on_box(task: box_grid.Task, seeds: Iterable[int] = SEEDS) -> Best:
    """The best of a world whose states fill a box."""
    return reached(*box_grid.best_returns(task, box_grid.solve(task), seeds))


def water_tanks(seeds: Iterable[int] = SEEDS, **grid: int) -> Best:
    """WaterTanks', on a grid of its own for the wanted level of each start."""
    env, pairs = gym.make("dreamer/WaterTanks-v0"), []
    for seed in seeds:
        env.reset(seed=seed)
        task = box_grid.water_tanks_task(env.unwrapped.wanted, **grid)
        pairs.append(box_grid.best_returns(task, box_grid.solve(task), [seed]))
    return reached(*np.concatenate(pairs, 1))


def by_hand(best: float, how: str) -> Callable[[], Best]:
    """A best return that needs no computation."""
    return lambda: Best(best, 0.0, f"by hand: {how}")


def unknown() -> Best:
    """No best return."""
    return Best(None, None, "not known")


BEST: dict[str, Callable[[], Best]] = {
    "Pendulum-v1": by_grid,
    "dreamer/PointMass-v0": lambda: on_box(box_grid.point_mass_task()),
    "dreamer/SparsePendulum-v0": lambda: by_grid("dreamer/SparsePendulum-v0", sparse),
    "dreamer/FlickerPendulum-v0": flickering,
    "dreamer/Recall-v0": by_hand(float(recall.ASKED), "the cue at every question"),
    "dreamer/ChangingPendulum-v0": lambda: by_grid("dreamer/ChangingPendulum-v0", changed, AFTER),
    "dreamer/Distractors-v0": lambda: by_grid("dreamer/Distractors-v0"),
    "dreamer/WaterTanks-v0": water_tanks,
    "dreamer/PixelPendulum-v0": by_grid,  # their twins', which move and pay alike
    "dreamer/PixelPointMass-v0": lambda: on_box(box_grid.point_mass_task()),
    "MountainCarContinuous-v0": lambda: on_box(box_grid.mountain_car_task()),
    "InvertedPendulum-v5": by_hand(1000.0, "1 at each of 1,000 steps"),
    "InvertedDoublePendulum-v5": by_hand(9360.0, "10 - (1.2 - 2)^2 at each of 1,000 steps, upright at rest, which no episode begins at"),
    "Reacher-v5": unknown,
    "Hopper-v5": unknown,
    "HalfCheetah-v5": unknown,
}


def measure(name: str) -> Scale:
    """The scale of a world, computed anew."""
    options = AFTER if name in CHANGES else None
    means = random_returns(name, options=options).mean(0)  # (repeats,), each over all starts
    return Scale(float(means.mean()), float(means.std(ddof=1) / len(means) ** 0.5), *BEST[name]())


def doubts(name: str, scale: Scale, wrappers: WrapperConfig, starts: range, age: int) -> list[str]:
    """What makes the stored numbers in a scale only nearly those of a world as it is set up, a sentence each; numbers of one's own stand.

    Other units of observations and rewards change nothing: returns are reported in the world's own.

    Args:
        starts: reset seeds of the evaluations. age: the steps that the world has lived at the first evaluation that counts.
    """
    known = read().get(name)
    random, best = (known is not None and getattr(scale, key) == getattr(known, key) for key in ("random", "best"))
    if (random or best) and age < CHANGES.get(name, 0):  # then it bounds nothing
        return [
            f"its random and best returns are those after the change at step {CHANGES[name]}, and evaluations before it count too: "
            f"scores may lie below 0 and above 1"
        ]
    plain = [*["nothing hidden"] * bool(wrappers.hide), *["an action chosen at each step"] * (wrappers.action_repeat > 1)]
    found = []
    if best and plain:
        found.append(f"its best return is that of {name} with {' and '.join(plain)}: an upper bound, so that 1 may be out of reach")
    if random and wrappers.action_repeat > 1:
        found.append(f"its random return is that of {name} with a random action at each step, not one for {wrappers.action_repeat} steps")
    if best and known.slack and starts != SEEDS:
        found.append(
            f"its best return is the mean over the reset seeds {SEEDS[0]} to {SEEDS[-1]}; over those of this study, {starts[0]} to "
            f"{starts[-1]}, it may be another"
        )
    return found


def main(names: list[str]) -> None:
    """Compute scales and store them; a world whose package is missing keeps what is stored.

    Raises:
        ConfigError: no scale is known for a name, or the file cannot be written.
    """
    for name in names:
        if name not in BEST:
            raise ConfigError(f"no scale is computed for {name!r}: name worlds among {', '.join(BEST)}, or none for all of them")
    scales = read() if FILE.exists() else {}
    for name in names or BEST:
        try:
            scales[name] = measure(name)
        except (gym.error.DependencyNotInstalled, ImportError) as error:
            print(f"{name} is left as it is: {error}")
            continue
        print(name, scales[name])
    kept = {name: scales[name]._asdict() for name in BEST if name in scales}
    rounded = {name: {key: round(v, 3) if isinstance(v, float) else v for key, v in scale.items()} for name, scale in kept.items()}
    try:
        FILE.write_text(json.dumps(rounded, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{FILE} cannot be written ({error.strerror}), so nothing was stored: the numbers are those above") from None


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ConfigError as error:
        sys.exit(f"error: {error}")

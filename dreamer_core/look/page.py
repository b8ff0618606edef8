"""What a run's page shows, section by section."""

import html
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import gymnasium as gym
import torch

from dreamer_core import config as configs
from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.config import Config
from dreamer_core.errors import DreamerError
from dreamer_core.trainer import differences, lookup, read_config
from dreamer_core.viz.branches import branch_out
from dreamer_core.viz.curves import learning_curve
from dreamer_core.viz.dashboard import Row, dashboard, read_metrics
from dreamer_core.viz.dream import Episode, play
from dreamer_core.viz.explorer import explorer
from dreamer_core.viz.fault_map import fault_figure, fault_map
from dreamer_core.viz.film import film
from dreamer_core.viz.latent_map import latent_figure, latent_map, read_latents
from dreamer_core.viz.plane import agent_plane, plane_figure
from dreamer_core.viz.show import picture
from dreamer_core.worlds.drawing import Drawing, drawing, whole
from dreamer_core.worlds.plane import NoPlane
from dreamer_core.yardsticks import scales

PAGE = "look.html"  # in a run's folder
SEED = 30_000  # of the page's own episodes, which no training and no evaluation has
FIT, TEST = 6, 4  # episodes that probes are fitted on, and held-out ones
LEAD, STEPS, DREAMS = 8, 60, 32  # rows before the eyes close, steps of dreams, dreams of each kind
PLACES, FAR = 15, 30  # of the fault map: places along each coordinate, and steps that are looked ahead
LATER = 3  # the explorer's dreams begin at so many rows of the episode
STYLE = """
:root { color-scheme: light dark } body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
table { border-collapse: collapse } td { padding: 0.1rem 0.8rem 0.1rem 0 }
figure { margin: 0 } img, video { max-width: 100%; background: white } pre { overflow-x: auto } .missing { font-style: italic }
"""


class Looked(NamedTuple):
    """An agent beside its world."""

    agent: Dreamer
    env: gym.Env
    drawn: Drawing


def page(folder: Path) -> str:
    """The page of a run, as HTML that needs nothing else.

    Raises:
        CheckpointError: the folder holds no run.
    """
    rows, config = read_metrics(folder), read_config(folder)
    done = int(rows[-1]["env_steps"]) if rows else 0
    last = f", at {rows[-1]['eval_return_mean']:,.1f}" if rows else ""
    parts = [
        f"<p>{html.escape(config.env)}, {config.agent}, seed {config.seed}: {done:,} of {config.env_steps:,} steps{last}.</p>",
        section("Settings", lambda: settings(config)),
        section("What it reached", lambda: curve(config, rows)),
        section("Every part", lambda: picture(dashboard(needed(rows), free_nats(config))).data),
    ]
    with looked(folder, config) as found:
        if isinstance(found, str):
            parts.append(section("Its dreams", lambda: missing(found)))
        else:
            parts += dreams(found)
    title = html.escape(f"{folder.absolute().name}: a run in {config.env}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def section(title: str, body: Callable[[], str]) -> str:
    """A heading and what stands under it; where that cannot be made, the sentence that says why."""
    try:
        text = body()
    except DreamerError as error:
        text = missing(f"{str(error)[:1].upper()}{str(error)[1:]}.")
    return f"<h2>{html.escape(title)}</h2>\n{text}"


def missing(sentence: str) -> str:
    """What stands in the place of a picture."""
    return f'<p class="missing">{html.escape(sentence)}</p>'


def needed(rows: list[Row]) -> list[Row]:
    """The rows, if there are any.

    Raises:
        DreamerError: there are none yet.
    """
    if not rows:
        raise DreamerError("the run has not been evaluated yet: look again after its first evaluation")
    return rows


def settings(config: Config) -> str:
    """What differs from the defaults as a table, and everything in a fold."""
    every = configs.to_dict(config)
    names = differences(every, configs.to_dict(Config()))
    rows = "".join(f"<tr><td><code>{name}</code></td><td>{html.escape(str(lookup(every, name)))}</td></tr>" for name in names)
    table = f"<table>{rows}</table>" if rows else "<p>All as by default.</p>"
    return f"{table}<details><summary>Every setting</summary><pre>{html.escape(json.dumps(every, indent=1))}</pre></details>"


def curve(config: Config, rows: list[Row]) -> str:
    """Return against steps, with the best that is known of the world as it is set up here."""
    live = [(row["env_steps"], row["eval_return_mean"]) for row in needed(rows)]
    known = scales.read().get(config.env)
    best = known.best if known is not None and not config.wrappers.hide else None
    return picture(learning_curve({}, live, best, config.env_steps)).data


def free_nats(config: Config) -> float | None:
    """The line in the dashboard's panel of the KL; none without a world model."""
    return config.model.free_nats if config.agent == "dreamer" else None


@contextmanager
def looked(folder: Path, config: Config) -> Iterator[Looked | str]:
    """The run's newest agent and its world, or the sentence that says why there is none."""
    try:
        agent = Dreamer.load(folder, replay=True)  # with all that it has seen
        drawn, env = drawing(config), envs.make_for(config)
    except DreamerError as error:
        yield f"Nothing is dreamt here: {error}."
        return
    try:
        yield Looked(agent, env, drawn)
    finally:
        envs.close([env], warn=lambda sentence: None)


def dreams(found: Looked) -> list[str]:
    """The sections that an agent with a world model has; the same at each look."""
    agent, env, drawn = found
    torch.manual_seed(0)
    age = agent.config.env_steps  # a world that changes is shown as it is at the end
    episode = play(agent, env, SEED, age)
    length = len(episode.action)
    lead, steps = fitted(length)
    starts = sorted({min(lead + number * steps // LATER, length - steps) for number in range(LATER)})
    branches: list = []

    def forked() -> list:
        if not branches:
            branches.extend(branch_out(agent, env, SEED, starts, steps, DREAMS, age))
        return branches

    return [
        section("A film of one episode", lambda: film(forked()[0]).data),
        section("Look around in it", lambda: explorer(forked(), drawn.labels).data),
        section("What the latent state knows", lambda: known_by_latents(agent, env, age)),
        section("What it thinks of each place", lambda: thoughts(agent, episode, drawn)),
        section("Where its dreams hold, and whose fault it is", lambda: faults(agent, env, drawn, age)),
    ]


def fitted(length: int) -> tuple[int, int]:
    """The row in which the eyes close, and for how many steps, in an episode of so many steps."""
    lead = min(LEAD, max(0, length - 2))
    return lead, min(STEPS, length - lead)


def known_by_latents(agent: Dreamer, env: gym.Env, age: int) -> str:
    """Linear probes of h and z, on episodes that they were not fitted on."""
    episodes = [play(agent, env, SEED + 1 + number, age) for number in range(FIT + TEST)]
    fit, test = read_latents(agent, episodes[:FIT]), read_latents(agent, episodes[FIT:])
    return picture(latent_figure({name: latent_map(fit, test, name) for name in ("h", "z")}, test)).data


def thoughts(agent: Dreamer, episode: Episode, drawn: Drawing) -> str:
    """Values and actions over the world's state plane, with the path of an episode."""
    visited = None if drawn.plane is None else drawn.plane.place(episode.observation)
    return picture(plane_figure(agent_plane(agent), visited=visited)).data


def faults(agent: Dreamer, env: gym.Env, drawn: Drawing, age: int) -> str:
    """How long dreams hold over the world's state plane, beside the world's own instability and all the rows in the replay buffer.

    Raises:
        NoPlane: the world has no plane, or what the agent sees does not tell its place there.
    """
    if drawn.plane is None and whole(agent.config).plane is not None:
        raise NoPlane("what this agent sees does not tell where on the plane it has been, so there is no map of faults")
    found = fault_map(agent, env, (PLACES, PLACES), FAR, age=age)
    seen, _ = agent.replay.newest(len(agent.replay))
    return picture(fault_figure(found, drawn.plane.place(seen))).data

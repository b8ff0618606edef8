"""Every figure and every film for each world of the suite, for a hidden velocity, and for worlds made up here: with no silent default."""

from pathlib import Path

import gymnasium as gym
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from figures import assert_readable
from gymnasium.spaces import Box
from toys import small

import dreamer_core.viz
from dreamer_core import envs, worlds
from dreamer_core.agent import Dreamer
from dreamer_core.errors import DreamerError
from dreamer_core.viz.ages import ages_figure, dreams_by_age
from dreamer_core.viz.branches import branch_out, recorded
from dreamer_core.viz.dream import act_out, dream, dream_figure, held_actions, play, reconstruct
from dreamer_core.viz.error_growth import error_growth, error_growth_figure
from dreamer_core.viz.explorer import contents, explorer
from dreamer_core.viz.fan import fan, fan_figure, real_futures
from dreamer_core.viz.film import film, filmstrip, tell
from dreamer_core.viz.latent_map import latent_figure, latent_map, read_latents
from dreamer_core.viz.latent_path import latent_path, latent_path_figure
from dreamer_core.viz.paths import paths_figure
from dreamer_core.viz.plane import agent_plane, plane_figure
from dreamer_core.viz.surprise import surprise, surprise_figure
from dreamer_core.worlds.drawing import drawing
from dreamer_core.worlds.plane import NoPlane
from dreamer_core.worlds.scene import Circle, Scene

SEED, STEPS = 1, 24
ALL = [(f"dreamer/{name}-v0", {}) for name in worlds.WORLDS if not name.startswith("Pixel")]  # pictures have a test of their own
ALL += [("Pendulum-v1", {}), ("Pendulum-v1", {"hide": (2,)}), ("Pendulum-v1", {"hide": (0,)}), ("MountainCarContinuous-v0", {})]
ALL += [("Drift-v0", {}), ("Mute-v0", {})]


class Mute(gym.Env):
    """Two balls that drift apart, with an action for each; it says nothing of its look."""

    metadata = {"render_modes": []}
    observation_space, action_space = Box(-np.inf, np.inf, (2,)), Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = self.np_random.normal(size=2).astype(np.float32)
        return self.state, {}

    def step(self, action):
        self.state = (self.state + 0.1 * np.asarray(action)).astype(np.float32)
        return self.state, float(-np.abs(self.state).sum()), False, False, {}


class Drift(Mute):
    """The same, which says how it looks."""

    names, units, seconds = ("left", "right"), ("m", "m"), 0.5

    def scene(self, observation):
        return Scene((-3, -1, 3, 1), tuple(Circle(float(x), 0, 0.2) for x in observation))


@pytest.fixture(scope="module", autouse=True)
def made_up():
    for world in (Mute, Drift):
        gym.register(f"{world.__name__}-v0", world, max_episode_steps=40)
    yield
    for world in (Mute, Drift):
        gym.registry.pop(f"{world.__name__}-v0")


def untrained(env, wrappers):
    """A small agent for this world that has seen a few observations' size, and nothing else."""
    torch.manual_seed(0)
    config = small(env=env, wrappers=wrappers)
    world = envs.make_for(config)
    agent = Dreamer(config, *(space.shape[0] for space in (world.observation_space, world.action_space)))
    seen = np.concatenate([act_out(world, seed, held_actions(STEPS, agent.action, 4, seed)).observation for seed in range(3)])
    agent.model.centre.copy_(torch.from_numpy(seen.mean(0)))
    agent.model.scale.copy_(torch.from_numpy(np.maximum(seen.std(0), 0.1)))
    return agent, world


@pytest.mark.parametrize(("env", "wrappers"), ALL, ids=lambda part: str(part))
def test_every_figure_of_every_world_is_readable_and_names_what_it_shows(env, wrappers):
    agent, world = untrained(env, wrappers)
    drawn = drawing(agent.config)
    episodes = [act_out(world, seed, held_actions(STEPS, agent.action, 4, seed)) for seed in (1, 2)]
    episode = play(agent, world, SEED)
    dreams = dream(agent, episode, 4, 12, 3, act=True)
    figure = dream_figure(episode.observation, dreams, 4, drawn.labels, "a dream", reconstruct(agent, episode))
    assert {axis.get_ylabel() for axis in figure.axes} == set(drawn.labels), f"the panels of {env} are labelled otherwise"
    assert_readable(figure)
    plans = {"one way": np.ones((8, agent.action), np.float32), "the other": -np.ones((8, agent.action), np.float32)}
    truth = real_futures(world, SEED, episode, 4, plans)
    figure = fan_figure(fan(agent, episode, 4, plans, 3), drawn.labels, truth, "a fan")
    assert {axis.get_ylabel() for axis in figure.axes} == set(drawn.labels), f"the fan's panels of {env} are labelled otherwise"
    assert ", ".join(drawn.labels) in figure.alt
    figure = surprise_figure(surprise(agent, episode, 3), drawn.labels, "surprise")
    assert {*drawn.labels, "surprise (nats)"} <= {axis.get_ylabel() for axis in figure.axes}, (
        f"the panels of surprise in {env} are labelled otherwise"
    )
    assert_readable(figure)
    assert_readable(latent_path_figure({"h": latent_path(agent, episodes, episodes[0], 4, 8, 3)}, "a path"))
    aged = dreams_by_age({1: agent, 2: agent}, episodes[0], 4, 8, 3)
    assert_readable(ages_figure(episodes[0].observation, aged, 4, drawn.labels, "ages"))
    if drawn.plane is None:
        with pytest.raises(NoPlane):
            paths_figure(fan(agent, episode, 4, plans, 3), drawn.plane, truth)
    else:
        figure = paths_figure(fan(agent, episode, 4, plans, 3), drawn.plane, truth)
        assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == drawn.plane.labels
        assert_readable(figure)
    figure = error_growth_figure(error_growth(agent, episodes, [2, 5], 8, 2))
    assert "standard deviations" in figure.alt and "nan" not in figure.alt
    if drawn.plane is None:
        with pytest.raises(NoPlane, match=f"^there is no plane of {env} that could be told from what the agent sees"):
            read_latents(agent, episodes)
    else:
        rows = read_latents(agent, episodes)
        figure = latent_figure({"h": latent_map(rows, rows, "h")}, rows)
        assert [axis.get_ylabel() for axis in figure.axes[2:]] == list(drawn.plane.labels), f"the colours of {env} mean something else"
        assert_readable(figure)
    if drawn.plane is not None and drawn.plane.observation is not None:
        figure = plane_figure(agent_plane(agent, (5, 4), samples=1))
        assert (figure.axes[1].get_xlabel(), figure.axes[1].get_ylabel()) == drawn.plane.labels
        assert_readable(figure)
    elif not (env == "Pendulum-v1" and wrappers):  # a hidden velocity is told by free fall
        with pytest.raises(NoPlane, match=f"^{env} has .* so value and policy cannot be drawn over it"):
            agent_plane(agent, (5, 4))
    plt.close("all")


@pytest.mark.parametrize(("env", "wrappers"), ALL, ids=lambda part: str(part))
def test_every_world_has_a_film_that_says_what_it_shows(env, wrappers):
    agent, world = untrained(env, wrappers)
    drawn, branches = drawing(agent.config), branch_out(agent, world, SEED, [3], 5, 2)
    strip = filmstrip(tell(branches[-1]), moments=3)
    assert len(strip.axes) == 9 and all(axis.has_data() for axis in strip.axes), f"a picture of {env} is empty"
    plt.close(strip)
    page = film(branches[0]).data
    assert f"{env}: what really happens" in page and "video/mp4;base64" in page and "nan" not in page.partition("base64")[0]
    assert ("This world has no drawing of its own: bars stand for its entries" in page) == (not drawn.real)
    assert drawn.real or f"from the top {', '.join(drawn.names)}." in page, "nobody can tell which bar is which"
    assert ("speed" in page) == (drawn.seconds is not None), f"how fast does the film of {env} run?"


def test_which_worlds_are_drawn_as_bars_here():
    """So that none falls back to bars unseen."""
    bars = [(env, wrappers) for env, wrappers in ALL if not drawing(small(env=env, wrappers=wrappers)).real]
    assert bars == [("Pendulum-v1", {"hide": (0,)}), ("Mute-v0", {})]


def test_no_figure_names_a_world():
    """What draws any world knows none; the page on which the stored agent's dream is driven is about its world, as is what stores that."""
    page = {"drive.py", "drive.html", "drive.js", "drive_game.js", "pendulum.js", "engine.js", "assets.py"}
    files = [path for path in Path(dreamer_core.viz.__file__).parent.iterdir() if path.suffix in (".py", ".js", ".css")]
    named = {path.name for path in files if "pendulum" in path.read_text(encoding="utf-8").lower()}
    assert named <= page, f"{sorted(named - page)} name a pendulum"


def test_a_world_seen_in_pixels_has_a_film_and_an_explorer():
    torch.manual_seed(0)
    config = small(env="dreamer/PixelPendulum-v0")
    world = envs.make_for(config)
    agent = Dreamer(config, world.observation_space.shape, 1)
    episode = play(agent, world, SEED)
    branch = recorded(agent, episode, start=4, steps=6, count=2)
    shown = film(branch).data
    assert "<video" in shown and "way from black to white" in shown and "dreamer/PixelPendulum-v0" in shown
    with pytest.raises(DreamerError, match="1 labels were given for 0 observations"):
        explorer([branch._replace(world=branch.world._replace(begin=0))], ("brightness",))
    data = contents(branch_out(agent, world, SEED, starts=(4,), steps=6, count=3), ())
    assert data["pictures"] and data["names"] == ["error (%)"] and len(data["branches"]) == 4

"""Driving a dream: the learned world model and the true world get the same actions.

The rules of the game, without a picture: `dreamer_core.viz.play` puts a widget around them.
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core import envs
from dreamer_core.agent import Agent, Dreamer
from dreamer_core.errors import ConfigError, EnvError
from dreamer_core.viz.dream import Episode, believe
from dreamer_core.viz.error_growth import rms_error
from dreamer_core.viz.measure import measure
from dreamer_core.viz.simulator import Bookmark, Sight, Simulator
from dreamer_core.worlds.drawing import drawing
from dreamer_core.worlds.levers import Levers

KEPT = 1200  # frames that are remembered: a minute at 20 steps a second


class Frame(NamedTuple):
    """What there is to see after one step."""

    step: int  # steps since the reset
    action: np.ndarray  # (A,), that led here, as the agent counts it: in [-1, 1], or one-hot where actions are discrete; 0 at the reset
    world: np.ndarray  # (O,), or a picture (H, W, C): what the true world shows
    dreams: np.ndarray  # (K, O), or (K, H, W, C): what K dreams show; the first is *the* dream, the others show how sure the model is
    reward: float  # of the world; nan where none arrived
    dreamt_reward: float  # the mean that the model predicts in the dream
    drift: float  # from the world to the dream: RMS over the entries, each in the model's unit; nan once the world is over
    uncertainty: float  # spread of the K dreams, in the same unit
    over: bool  # whether the true world has truly ended; the dream goes on


class Moment(NamedTuple):
    """All it takes to go on from a frame."""

    frame: Frame
    h: Tensor  # (K, D)
    z: Tensor  # (K, Z)


class DreamGame:
    """A dream and the true world, side by side.

    K dreams start from the same recorded past and get the same actions, each with its own luck in
    drawing z. That luck depends on `seed` and on the number of the step alone: the same actions
    from the same start give the same dreams, so two branches differ by their actions and by
    nothing else. The same holds for the world.

    Args:
        agent: a Dreamer, of any world.
        episode: an episode of that world, recorded by `viz.dream.play`; each of its rows can be a start.
        dreams: K, at least 2.
        seed: of the dreams' luck.

    Attributes:
        actor: True while the trained actor drives. It acts on the dream; the world only follows.
        frozen: True while time stands still, as it does after a reset.
        trail: frames up to now. ghost: frames of the other branch, from the point where it left.
        drawing: how the world looks. levers: what can be done in it. measure: a unit in which dream and world are apart.

    Raises:
        EnvError: the episode is of another world than the agent, or cannot be found again (see `Simulator`).
        ConfigError: the agent has no world model, or `dreams` is too small.
    """

    def __init__(self, agent: Agent, episode: Episode, dreams: int = 16, seed: int = 0) -> None:
        if not isinstance(agent, Dreamer):
            raise ConfigError('this agent has no world model to play in: train one with agent = "dreamer"')
        if dreams < 2:
            raise ConfigError(f"a spread needs at least 2 dreams, and dreams is {dreams}")
        self.agent, self.episode, self.seed = agent, episode, seed
        env = envs.make_for(agent.config)
        shapes = episode.observation.shape[1:], episode.action.shape[1:]
        if shapes != (env.observation_space.shape, env.action_space.shape):
            seen, has = (" x ".join(map(str, shape)) for shape in (env.observation_space.shape, shapes[0]))
            raise EnvError(
                f"this agent lives in {agent.config.env}, where it sees {seen} numbers and chooses {env.action_space.shape[0]}, "
                f"and the episode has {has} and {shapes[1][0]}: record one with this agent"
            )
        self.drawing = drawing(agent.config)
        self.levers: Levers = self.drawing.levers
        self.simulator = Simulator(env, episode)
        self.scale = agent.model.scale.cpu().numpy()
        self.measure = measure(self.drawing, self.scale)
        self.beliefs = self._observe(dreams)
        self.actor = False
        self.reset(0)

    @property
    def rows(self) -> int:
        """How many rows there are to start from."""
        return len(self.episode.observation)

    @property
    def frame(self) -> Frame:
        """The newest frame."""
        return self.now.frame

    def reset(self, row: int) -> Frame:
        """Both start from a recorded row: the world is led there again, the model has seen the episode up to it. Time stands still.

        Raises:
            ConfigError: there is no such row.
            EnvError: the world does not come back to it.
        """
        if not 0 <= row < self.rows:
            raise ConfigError(f"the episode has rows 0 to {self.rows - 1}: it cannot start from row {row}")
        self.row = row
        h, z = (part[:, row] for part in self.beliefs)
        self.ghost: list[Frame] = []
        still = np.zeros_like(self.episode.action[0])
        self._go_to(Moment(self._frame(0, still, self.simulator.start(row), h, z), h, z))
        return self.frame

    @torch.no_grad()
    def step(self, action: float | np.ndarray) -> Frame:
        """One step for both; the actor chooses instead if it drives. While frozen, nothing moves.

        Args:
            action: (A,) in [-1, 1], or a number where A is 1; where actions are discrete, the number of the choice.

        Raises:
            ConfigError: the action is something else.
        """
        chosen = self._action(action)
        if self.frozen:
            return self.frame
        h, z = self.now.h, self.now.z
        if self.actor:
            chosen = self.agent.sac.actor.mode(torch.cat([h[:1], z[:1]], -1))[0].cpu().numpy()
        step = self.frame.step + 1
        sight = self.simulator.step(chosen)
        given = torch.from_numpy(chosen).to(h).expand(len(h), -1)
        h, z = self.agent.model.rssm.dream_step(h, z, given, self._luck(step, len(h)))
        self.now = Moment(self._frame(step, chosen, sight, h, z), h, z)
        self.trail.append(self.frame)
        return self.frame

    def freeze(self) -> None:
        """Stop time and mark this moment: `branch` comes back to it."""
        self.frozen, self.mark = True, self.now
        self.bookmark: Bookmark = self.simulator.bookmark()

    def resume(self) -> None:
        """Let time run."""
        self.frozen = False

    def branch(self) -> Frame:
        """Back to the marked moment, to try other actions. What was played since becomes the ghost. Time stands still."""
        start = self.mark.frame.step
        played = [frame for frame in self.trail if frame.step >= start]
        if len(played) > 1:
            self.ghost = played
        past = [frame for frame in self.trail if frame.step < start]
        self.simulator.back(self.bookmark)
        self._go_to(self.mark)
        self.trail.extendleft(reversed(past))
        return self.frame

    def _go_to(self, moment: Moment) -> None:
        """Put the dreams there, frozen; the simulator is there already."""
        self.now = moment
        self.trail = deque([moment.frame], maxlen=KEPT)
        self.freeze()

    def _action(self, action: float | np.ndarray) -> np.ndarray:
        """What the caller chose, as the agent would say it: (A,) float32."""
        size, choices = self.episode.action.shape[-1], self.levers.choices
        found = envs.numbers(action)
        if choices:
            if found is None or found.shape != () or found not in range(size):
                raise ConfigError(f"an action is the number of a choice here, 0 to {size - 1} ({', '.join(choices)}), and {action} is none")
            return np.eye(size, dtype=np.float32)[int(found)]
        if found is None or found.shape not in ([(), (1,)] if size == 1 else [(size,)]) or not (np.abs(found) <= 1).all():  # nan too
            what = "a number" if size == 1 else f"{size} numbers"
            names = ", ".join(lever.name for lever in self.levers.entries)
            raise ConfigError(f"an action is {what} from -1 to 1 here ({names}), and {action} is not")
        return found.astype(np.float32).reshape(size)

    @torch.no_grad()
    def _observe(self, dreams: int) -> tuple[Tensor, Tensor]:
        """h (K, T + 1, D) and z (K, T + 1, Z) after each row of the episode, K draws of them."""
        beliefs = believe(self.agent, self.episode, dreams, self._luck(0, dreams, self.rows))
        return beliefs.h, beliefs.z

    def _luck(self, step: int, *shape: int) -> Tensor:
        """Noise for z, a function of the seed and the step; torch's global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence((self.seed, step)).generate_state(1)[0]))
            return self.agent.model.rssm.latent.noise(*shape).to(self.agent.device)

    @torch.no_grad()
    def _frame(self, step: int, action: np.ndarray, sight: Sight, h: Tensor, z: Tensor) -> Frame:
        model = self.agent.model
        features = torch.cat([h, z], -1)  # (K, F)
        dreamt = model.decode(features).cpu().numpy()  # (K, O)
        mean, _ = model.predict_reward(features[0])
        gone = sight.over and math.isnan(sight.reward)  # what it showed last is past
        return Frame(
            step=step,
            action=action,
            world=sight.observation,
            dreams=dreamt,
            reward=sight.reward,
            dreamt_reward=self.agent.in_world_units(float(mean)),
            drift=math.nan if gone else float(rms_error(dreamt[0].ravel(), sight.observation.ravel(), self.scale)),
            uncertainty=float(rms_error(dreamt.std(0, ddof=1).ravel(), 0.0, self.scale)),
            over=sight.over,
        )

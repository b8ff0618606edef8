"""Driving a dream: the learned world model and the true Pendulum get the same pushes.

The rules of the game, without a picture: `dreamer_core.viz.play` puts a widget around them.

Angles are gymnasium's: 0 is upright, anticlockwise is positive, and so is an anticlockwise torque.
"""

import math
from collections import deque
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core import envs
from dreamer_core.agent import Agent, Dreamer
from dreamer_core.config import WrapperConfig
from dreamer_core.errors import ConfigError, EnvError
from dreamer_core.viz.dream import Episode, believe
from dreamer_core.viz.error_growth import rms_error
from dreamer_core.viz.pendulum import NAME, angle_and_velocity, check_pendulum

KEPT = 1200  # frames that are remembered: a minute


class Frame(NamedTuple):
    """What there is to see after one step."""

    step: int  # steps since the reset
    action: float  # that led here, in [-1, 1]; 0 at the reset
    world: tuple[float, float]  # the simulator's angle (rad) and velocity (rad/s)
    dreams: np.ndarray  # (K, 2), the same of K dreams; the first is *the* dream, the others show how sure the model is
    reward: float  # of the world; nan where none arrived
    dreamt_reward: float  # the mean that the model predicts in the dream
    drift: float  # from the world to the dream: RMS over the entries, each in the model's unit (two random states: about 1.4)
    uncertainty: float  # spread of the K dreams, in the same unit


class Moment(NamedTuple):
    """All it takes to go on from a frame."""

    frame: Frame
    h: Tensor  # (K, D)
    z: Tensor  # (K, Z)


class DreamGame:
    """A dream and the true simulator, side by side.

    K dreams start from the same recorded past and get the same pushes, each with its own luck in
    drawing z. That luck depends on `seed` and on the number of the step alone: the same pushes
    from the same start give the same dreams, so two branches differ by their pushes and by
    nothing else.

    Args:
        agent: a Dreamer for Pendulum-v1 that sees the whole observation.
        episode: a recorded episode; each of its rows can be a start.
        dreams: K, at least 2.
        seed: of the dreams' luck.

    Attributes:
        actor: True while the trained actor drives. It acts on the dream; the world only follows.
        frozen: True while time stands still, as it does after a reset.
        trail: frames up to now. ghost: frames of the other branch, from the point where it left.

    Raises:
        EnvError: the agent lives in another environment or in a wrapped one (hidden entries, repeated actions), or the episode does.
        ConfigError: the agent has no world model, or `dreams` is too small.
    """

    def __init__(self, agent: Agent, episode: Episode, dreams: int = 16, seed: int = 0) -> None:
        if not isinstance(agent, Dreamer):
            raise ConfigError('this agent has no world model to play in: train one with agent = "dreamer"')
        config = agent.config
        if config.env != NAME or config.wrappers != WrapperConfig():
            raise EnvError(
                f"only {NAME} without wrappers can be played, and this agent lives in {config.env} with {config.wrappers}: "
                f"give one trained on plain Pendulum-v1"
            )
        if dreams < 2:
            raise ConfigError(f"a spread needs at least 2 dreams, and dreams is {dreams}")
        check_pendulum("the game", episode.observation[0])
        if episode.observation.shape[-1] != 3:
            raise EnvError(f"the game starts from states of {NAME}, and this episode hides its velocity: record the whole observation")
        self.agent, self.episode, self.seed = agent, episode, seed
        self.env = envs.make_for(config)
        self.env.reset(seed=0)  # gymnasium wants it before the first step; the state is set below
        self.scale = agent.model.scale.cpu().numpy()
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
        """Both start from a recorded state: the simulator is set to it, the model has seen the episode up to it. Time stands still.

        Raises:
            ConfigError: there is no such row.
        """
        if not 0 <= row < self.rows:
            raise ConfigError(f"the episode has rows 0 to {self.rows - 1}: it cannot start from row {row}")
        self.row = row
        h, z = (part[:, row] for part in self.beliefs)
        world = np.stack(angle_and_velocity(self.episode.observation[row].astype(np.float64)))
        reward = float(self.episode.reward[row - 1]) if row else math.nan
        self.ghost: list[Frame] = []
        self._go_to(Moment(self._frame(0, 0.0, world, reward, h, z), h, z))
        return self.frame

    @torch.no_grad()
    def step(self, action: float) -> Frame:
        """Push both for one step, 1/20 s; the actor chooses instead if it drives. While frozen, nothing moves.

        Raises:
            ConfigError: the action is not a number in [-1, 1].
        """
        if not -1 <= action <= 1:  # also turns nan away
            raise ConfigError(f"a push is a number from -1 (clockwise) to 1 (anticlockwise), and {action} is not")
        if self.frozen:
            return self.frame
        h, z = self.now.h, self.now.z
        if self.actor:
            action = float(self.agent.sac.actor.mode(torch.cat([h[:1], z[:1]], -1)))
        step = self.frame.step + 1
        _, reward, _, _, _ = self.env.step(np.array([action], np.float32))
        h, z = self.agent.model.rssm.dream_step(h, z, h.new_full((len(h), 1), action), self._luck(step, len(h)))
        self.now = Moment(self._frame(step, action, self.env.unwrapped.state, reward, h, z), h, z)
        self.trail.append(self.frame)
        return self.frame

    def freeze(self) -> None:
        """Stop time and mark this moment: `branch` comes back to it."""
        self.frozen, self.mark = True, self.now

    def resume(self) -> None:
        """Let time run."""
        self.frozen = False

    def branch(self) -> Frame:
        """Back to the marked moment, to try other pushes. What was played since becomes the ghost. Time stands still."""
        start = self.mark.frame.step
        played = [frame for frame in self.trail if frame.step >= start]
        if len(played) > 1:
            self.ghost = played
        past = [frame for frame in self.trail if frame.step < start]
        self._go_to(self.mark)
        self.trail.extendleft(reversed(past))
        return self.frame

    def _go_to(self, moment: Moment) -> None:
        """Put the simulator and the dreams there, frozen."""
        self.env.unwrapped.state = np.array(moment.frame.world)
        self.now = moment
        self.trail = deque([moment.frame], maxlen=KEPT)
        self.freeze()

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
    def _frame(self, step: int, action: float, world: np.ndarray, reward: float, h: Tensor, z: Tensor) -> Frame:
        model = self.agent.model
        features = torch.cat([h, z], -1)  # (K, F)
        dreamt = model.decode(features).cpu().numpy()  # (K, 3)
        mean, _ = model.predict_reward(features[0])
        angle, velocity = map(float, world)
        true = np.array([np.cos(angle), np.sin(angle), velocity])
        return Frame(
            step=step,
            action=action,
            world=(angle, velocity),
            dreams=np.stack(angle_and_velocity(dreamt), -1),
            reward=reward,
            dreamt_reward=self.agent.in_world_units(float(mean)),
            drift=float(rms_error(dreamt[0], true, self.scale)),
            uncertainty=float(rms_error(dreamt.std(0, ddof=1), np.zeros(3), self.scale)),
        )

"""A world with a known answer: a mass on a spring, whose best belief and best controller are known exactly.

A mass on a spring is pushed by chance and by the agent. A noisy sensor reads its position, never
its velocity, and now and then goes blind for a while. In one step of dt seconds

    v' = v + dt (-stiffness y - damping v + gain a) + process_std w,     w ~ N(0, 1)
    y' = y + dt v'                                                       (semi-implicit Euler)
    reading = y + sensor_std e,                                          e ~ N(0, 1)
    reward' = -(y'^2 + v'^2 + action_cost a^2)

Everything is linear and Gaussian, so the exact belief is a Kalman filter's and the best return is
LQG's (`known_answer.py`): what an agent learns here can be held against the truth.

Row t holds the reading o_t, the reward that arrives with it, and the action a_t that leaves it.

    gym.make("dreamer_core.yardsticks.known_world:KnownWorld-v0")     also as --env on the command line
"""

from collections.abc import Callable
from typing import NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from dreamer_core.config import STRICT, Count, Fraction, NonNegative, Positive

ENV = "dreamer_core.yardsticks.known_world:KnownWorld-v0"


@dataclass(config=ConfigDict(**STRICT), frozen=True)
class World:
    """The world's constants. The defaults make memory matter: a fifth of all steps is blind.

    Raises:
        ValueError: a constant is out of range.
    """

    dt: Positive = 0.2
    """Seconds per step."""
    stiffness: NonNegative = 1.0
    """Pull of the spring, per unit of position."""
    damping: NonNegative = 0.05
    """Friction, per unit of velocity."""
    gain: NonNegative = 1.5
    """Acceleration by the largest action."""
    process_std: NonNegative = 0.2
    """Standard deviation of the chance push on the velocity, per step."""
    sensor_std: Positive = 0.25
    """Standard deviation of a reading around the position."""
    start_std: NonNegative = 1.0
    """Standard deviation of the first position and of the first velocity."""
    blind_start: Fraction = 0.04
    """Chance that a seeing sensor is blind at the next step. The first reading is always seen."""
    blind_end: Fraction = 0.12
    """Chance that a blind sensor sees again at the next step."""
    action_cost: Positive = 3.0
    """Cost of an action against that of position and velocity; so high that the best controller hardly ever meets the bound of 1."""
    steps: Count = 60
    """Actions in an episode."""

    @property
    def transition(self) -> np.ndarray:
        """F (2, 2) of x' = F x + B a + G w, with x = (y, v)."""
        velocity = np.array([-self.dt * self.stiffness, 1 - self.dt * self.damping])
        return np.stack([np.array([1.0, 0.0]) + self.dt * velocity, velocity])

    @property
    def push(self) -> np.ndarray:
        """B (2,): what an action of 1 adds to (y, v)."""
        return self.dt * self.gain * np.array([self.dt, 1.0])

    @property
    def disturbance(self) -> np.ndarray:
        """G (2,): what a chance push of one standard deviation adds to (y, v)."""
        return self.process_std * np.array([self.dt, 1.0])


class Noise(NamedTuple):
    """Everything random in N episodes of T steps, drawn ahead: two controllers can meet the very same chances."""

    start: np.ndarray  # (N, 2), the first state
    process: np.ndarray  # (N, T), w
    sensor: np.ndarray  # (N, T + 1), e
    visible: np.ndarray  # (N, T + 1), 1 where the sensor sees, else 0


class Episodes(NamedTuple):
    """N whole episodes of T + 1 rows. What the agent may not see is `state` and the blind readings."""

    state: np.ndarray  # (N, T + 1, 2), position and velocity
    reading: np.ndarray  # (N, T + 1), what the sensor shows, or would show if it were not blind
    visible: np.ndarray  # (N, T + 1), 1 or 0
    action: np.ndarray  # (N, T), in [-1, 1]
    reward: np.ndarray  # (N, T + 1), arriving with each row; 0 in the first

    @property
    def observation(self) -> np.ndarray:
        """(N, T + 1, 2): the reading where there is one, else 0; and whether there is one."""
        return np.stack([self.visible * self.reading, self.visible], -1)

    @property
    def cost(self) -> np.ndarray:
        """(N,): minus the return."""
        return -self.reward.sum(1)


def draw(world: World, rng: np.random.Generator, episodes: int) -> Noise:
    """The chances of `episodes` episodes. Blackouts are a Markov chain, so their lengths are geometric."""
    start = world.start_std * rng.standard_normal((episodes, 2))
    process = rng.standard_normal((episodes, world.steps))
    sensor = rng.standard_normal((episodes, world.steps + 1))
    switch = rng.random((episodes, world.steps))
    visible = np.ones((episodes, world.steps + 1))
    for t in range(world.steps):
        chance = np.where(visible[:, t] == 1, 1 - world.blind_start, world.blind_end)
        visible[:, t + 1] = switch[:, t] < chance
    return Noise(start, process, sensor, visible)


def move(world: World, state: np.ndarray, action: np.ndarray, process: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One step of N worlds: states (N, 2), actions (N,) and chance pushes (N,) -> next states (N, 2), rewards (N,)."""
    state = state @ world.transition.T + action[:, None] * world.push + process[:, None] * world.disturbance
    return state, -((state**2).sum(-1) + world.action_cost * action**2)


def read(world: World, state: np.ndarray, sensor: np.ndarray) -> np.ndarray:
    """What the sensor shows where it sees: states (..., 2), sensor noise (...) -> readings (...)."""
    return state[..., 0] + world.sensor_std * sensor


def simulate(world: World, noise: Noise, act: Callable[[int, np.ndarray], np.ndarray]) -> Episodes:
    """All episodes at once. `act` is called with the step t and the observations (N, 2), and returns actions (N,).

    Actions are clipped to [-1, 1], as the environment does.
    """
    states, actions, rewards = [noise.start], [], [np.zeros(len(noise.start))]
    for t in range(noise.process.shape[1]):
        visible = noise.visible[:, t]
        observation = np.stack([visible * read(world, states[-1], noise.sensor[:, t]), visible], -1)
        actions.append(np.clip(act(t, observation), -1.0, 1.0))
        state, reward = move(world, states[-1], actions[-1], noise.process[:, t])
        states.append(state)
        rewards.append(reward)
    state = np.stack(states, 1)
    return Episodes(state, read(world, state, noise.sensor), noise.visible, np.stack(actions, 1), np.stack(rewards, 1))


def random_episodes(world: World, rng: np.random.Generator, episodes: int, hold: int = 4) -> Episodes:
    """Episodes under uniform random actions, each held for `hold` steps so that they push far."""
    noise = draw(world, rng, episodes)
    actions = rng.uniform(-1, 1, (episodes, -(-world.steps // hold))).repeat(hold, 1)
    return simulate(world, noise, lambda t, _: actions[:, t])


class KnownWorld(gym.Env):
    """The world as an environment: observation (reading or 0, whether there is a reading), one action in [-1, 1].

    An episode is cut off (truncated) after `world.steps` steps. `info` carries what the agent may
    not see: "state" (2,) and "reading".
    """

    metadata = {"render_modes": []}
    observation_space = Box(np.array([-np.inf, 0], np.float32), np.array([np.inf, 1], np.float32))
    action_space = Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, world: World | None = None) -> None:
        self.world = World() if world is None else world

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.noise = draw(self.world, self.np_random, 1)
        self.state, self.t = self.noise.start, 0
        return self._see()

    def step(self, action):
        action = np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        self.state, reward = move(self.world, self.state, action, self.noise.process[:, self.t])
        self.t += 1
        observation, info = self._see()
        return observation, float(reward[0]), False, self.t == self.world.steps, info

    def _see(self) -> tuple[np.ndarray, dict]:
        reading, visible = read(self.world, self.state, self.noise.sensor[:, self.t])[0], self.noise.visible[0, self.t]
        return np.array([visible * reading, visible], np.float32), {"state": self.state[0], "reading": float(reading)}


def noise_of(world: World, seeds: range) -> Noise:
    """The chances that `KnownWorld` meets after a reset with each of these seeds, stacked."""
    drawn = [draw(world, gym.utils.seeding.np_random(seed)[0], 1) for seed in seeds]
    return Noise(*(np.concatenate(part) for part in zip(*drawn)))


gym.register("KnownWorld-v0", entry_point=KnownWorld)

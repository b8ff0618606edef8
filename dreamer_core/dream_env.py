"""The dream as an environment: a trained world model behind gymnasium's interface.

    agent = Dreamer.load("runs/first", replay=True)
    env = DreamEnv(agent)                         # one dream at a time, as any gymnasium.Env
    envs = DreamVectorEnv(agent, num_envs=64)     # many side by side, as any gymnasium.vector.VectorEnv

Whatever learns in an environment can learn in these, and nobody's real step is spent:

    stable-baselines3    env = DreamEnv(agent, observation="decoded")
                         student = SAC("MlpPolicy", env).learn(5000)
                         student.predict(observation)  # of the real world: `envs.make_for(agent.config)`

    CleanRL              envs = DreamVectorEnv(agent, num_envs=8, autoreset_mode="SameStep")
                         envs = gymnasium.wrappers.vector.RecordEpisodeStatistics(envs)
                         # in the place of its gym.vector.SyncVectorEnv([...])

    TorchRL              from torchrl.envs import GymWrapper
                         env = GymWrapper(DreamEnv(agent))
                         env.rollout(10)

A step is one of the model: h follows from state and action, z is drawn from the prior. The reward
is the mean of the reward head and arrives with the next state, in the world's own units
(`wrappers.reward_scale`, `reward_offset` and the agent's own unit are undone). The dream ends
(`terminated`) with the probability that the continue head gives, and stops (`truncated`) after
`horizon` steps. Actions lie in [-1, 1], as in `envs.make_for(agent.config)`; an actor that
chooses has numbers 0 .. n - 1.

The model is read, never trained. If its agent learns on, dreams follow, but the states that they
start from are those of the moment the environment was made.

Nothing of the agent imports this module.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from dreamer_core import envs
from dreamer_core.agent import Dreamer
from dreamer_core.errors import ConfigError, DreamerError, NotEnoughData
from dreamer_core.trainer import ending

OBSERVATIONS = ("latent", "decoded")
HORIZON = 50  # steps of a dream: half a swing-up of Pendulum, and about as far as a dream can be trusted (notebook 07)
AT_ONCE = 4096  # windows filtered in one go
PIXELS = 256  # height and width of a rendered picture


@contextmanager
def same_luck(agent: Dreamer, seed: int) -> Iterator[None]:
    """Torch's generators seeded for a while, and afterwards as they were for whoever called."""
    kind = agent.device.type
    with torch.random.fork_rng([] if kind == "cpu" else None, device_type=kind):
        torch.manual_seed(seed)
        yield


# --- where dreams begin --------------------------------------------------------------------------


class Starts(NamedTuple):
    """R beliefs from which a dream may begin; z is drawn anew at each beginning."""

    h: Tensor  # (R, D)
    params: Tensor  # (R, P), of the distribution of z


@torch.no_grad()
def replay_starts(agent: Dreamer) -> Starts:
    """The beliefs from which the agent's own dreams begin: at the last rows of all windows of its replay buffer, but for an episode's end.

    Each window is filtered here, with the model as it is now (`imagination.start_rows` rows) and always with the same luck.

    Raises:
        NotEnoughData: the buffer holds no row that can be left.
    """
    replay, model = agent.replay, agent.model
    length = min(agent.config.imagination.start_rows, len(replay))
    oldest = replay.count - len(replay)
    found = []
    with same_luck(agent, 0):
        for first in torch.arange(oldest, replay.count - length + 1).split(AT_ONCE) if length else ():
            window = replay.window(first, length)
            read = 0.0 if agent.config.replay.start == "zero" else 1.0
            beliefs = model.observe(window._replace(h=read * window.h))
            goes_on = window.terminal[:, -1] == 0
            found.append(Starts(beliefs.h[goes_on, -1], beliefs.posterior[goes_on, -1]))
    if not sum(len(part.h) for part in found):
        raise NotEnoughData(
            "the agent's replay buffer holds no row to start a dream from: load a run with Dreamer.load(folder, replay=True), "
            'let the agent collect() some, or start from the prior (starts="prior")'
        )
    return Starts(*(torch.cat(parts) for parts in zip(*found)))


@torch.no_grad()
def prior_starts(agent: Dreamer) -> Starts:
    """The model's own idea of how an episode begins: h = 0, and z from the prior. No real row is needed.

    A Gaussian prior is one blur over all beginnings: where these differ much, as Pendulum's angles do, a dream may begin between
    two of them, at a place that does not exist. It finds its way after some steps.
    """
    h, _ = agent.model.rssm.initial(1)
    return Starts(h, agent.model.rssm.prior(h))


@torch.no_grad()
def first_starts(agent: Dreamer, observation: Tensor) -> Starts:
    """Beliefs of episodes of which the first observation alone is known: (R, O), in the units that the agent sees."""
    h, _ = agent.model.rssm.initial(len(observation))
    return Starts(h, agent.model.rssm.posterior(h, agent.model.encode(observation.to(agent.device))))


def collect(agent: Dreamer, steps: int, seed: int = 0, episode: int | None = None) -> None:
    """Let the agent live `steps` real steps in its own world and remember them, so that dreams can start there. Nothing is learned.

    It explores as in training. The torch generator of the caller is left as it was.

    Args:
        steps: real steps. seed: of the actions and, with the numbers after it, of the episodes.
        episode: episodes are cut off after so many steps, as by a time limit; None: never.

    Raises:
        EnvError: the world cannot be made, or broke a promise.
    """
    env = envs.make_for(agent.config)
    try:
        with same_luck(agent, seed):
            number, over = seed, True
            for _ in range(steps):
                if over:
                    observation, reward, age = envs.reset(env, number, 0), 0.0, 0
                    carry, first, number = agent.initial(1), True, number + 1
                carry = agent.live(carry, torch.from_numpy(observation), reward, first, False)
                agent.replay.set_action(carry.action[0])
                observation, reward, terminated, truncated, _ = env.step(carry.action[0].cpu().numpy())
                age, first = age + 1, False
                over, terminal = ending(terminated, truncated or age == episode)
                if over:
                    agent.live(carry, torch.from_numpy(observation), reward, False, terminal)
    finally:
        envs.close([env], warn=lambda sentence: None)


def find_starts(agent: Dreamer, starts: str | Starts | None) -> Starts:
    """What `starts` stands for.

    Raises:
        ConfigError: nothing that is known. NotEnoughData: as `replay_starts`.
    """
    match starts:
        case Starts():
            return starts
        case "replay":
            return replay_starts(agent)
        case "prior":
            return prior_starts(agent)
        case None:
            return replay_starts(agent) if len(agent.replay) else prior_starts(agent)
    raise ConfigError(f"starts is {envs.short(starts)}: choose 'replay' or 'prior', or give Starts of your own")


# --- dreams side by side ---------------------------------------------------------------------------


class Dreams:
    """B dreams of one agent: what both environments are made of.

    All the luck of a dream (its start, the noise of each z, when it ends) is drawn when it begins, from a generator of its own. So
    it does not depend on what its neighbours do, and a dream of a vector is that of a single environment with the same seed.

    Args:
        agent: with a trained world model. observation: "latent", s = (h, z) as the actor reads it, or "decoded", the decoder's mean.
        starts: "replay", "prior", beliefs of one's own, or None: the agent's replay if it holds rows, otherwise the prior.
        horizon: steps after which a dream is truncated. size: B.

    Raises:
        ConfigError: an argument that cannot be used. NotEnoughData: as `replay_starts`.
    """

    def __init__(self, agent: Dreamer, observation: str, starts: str | Starts | None, horizon: int, size: int) -> None:
        if not isinstance(agent, Dreamer):
            raise ConfigError(f"{type(agent).__name__} has no world model to dream with: give a Dreamer, for instance Dreamer.load(folder)")
        if observation not in OBSERVATIONS:
            raise ConfigError(f"observation is {observation!r}: choose {' or '.join(map(repr, OBSERVATIONS))}")
        for name, value in (("horizon", horizon), ("num_envs", size)):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{name} is {value!r}: give a whole number from 1 on")
        self.agent, self.observation, self.horizon, self.size = agent, observation, int(horizon), int(size)
        rssm = agent.model.rssm
        self.starts = find_starts(agent, starts)
        self.h, self.z = rssm.initial(self.size)  # (B, D), (B, Z)
        with same_luck(agent, 0):
            self.noise = rssm.latent.noise(self.size, self.horizon, device=agent.device)  # (B, horizon, ...), of each z to come
        self.fate = torch.zeros(self.size, self.horizon, device=agent.device)  # in [0, 1): a dream ends where it lies above "goes on"
        self.age = np.zeros(self.size, int)  # steps taken
        self.discrete = agent.config.actor_critic == "dreamerv3" and agent.config.dreamerv3.actor == "categorical"
        with torch.no_grad():
            seen = agent.model.decode(torch.cat([self.h, self.z], -1)[:1])[0] if observation == "decoded" else torch.zeros(rssm.features)
        self.observation_space = Box(-np.inf, np.inf, tuple(seen.shape), np.float32)
        self.action_space = Discrete(agent.action) if self.discrete else Box(-1, 1, (agent.action,), np.float32)

    @torch.no_grad()
    def begin(self, which: Sequence[int], randoms: Sequence[np.random.Generator]) -> None:
        """Begin the dreams numbered `which` anew, each with a generator of its own."""
        if not len(which):
            return
        latent, device = self.agent.model.rssm.latent, self.agent.device
        rows, noise = [], []
        for number, random in zip(which, randoms):
            rows.append(int(random.integers(len(self.starts.h))))
            with same_luck(self.agent, int(random.integers(2**63))):
                drawn, fate = latent.noise(self.horizon + 1), torch.rand(self.horizon)
            noise.append(drawn[0])
            self.noise[number], self.fate[number] = drawn[1:].to(device), fate.to(device)
            self.age[number] = 0
        which = torch.as_tensor(which)
        self.h[which] = self.starts.h[rows]
        self.z[which] = latent.sample(self.starts.params[rows], torch.stack(noise).to(device))

    @torch.no_grad()
    def step(self, action: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of all dreams: actions (B, A) -> rewards in the world's own units, terminated, truncated, (B,) each."""
        agent, model = self.agent, self.agent.model
        at = torch.arange(self.size), torch.from_numpy(self.age.clip(max=self.horizon - 1))  # who is over steps along, and is not looked at
        self.h, self.z = model.rssm.dream_step(self.h, self.z, action, self.noise[at])
        state = self.state
        reward = envs.own_reward(agent.in_world_units(model.predict_reward(state)[0]), agent.config.wrappers)
        goes_on = torch.sigmoid(model.predict_continue(state)) / model.folded  # a discount that is folded in is no end
        terminated = (self.fate[at] >= goes_on).cpu().numpy()
        self.age += 1
        return reward.cpu().numpy().astype(np.float64), terminated, (self.age >= self.horizon) & ~terminated

    @property
    def state(self) -> Tensor:
        """s = (h, z) now, (B, F)."""
        return torch.cat([self.h, self.z], -1)

    @torch.no_grad()
    def decoded(self) -> np.ndarray:
        """What the decoder makes of the states: its mean, in the units the agent sees (B, O)."""
        return self.agent.model.decode(self.state).cpu().numpy()

    def seen(self) -> np.ndarray:
        """What the environment shows of the states: (B, F) or (B, O), a new array."""
        return self.state.cpu().numpy() if self.observation == "latent" else self.decoded()

    def actions(self, actions: Any) -> Tensor:
        """Actions as the model reads them, (B, A): numbers become one-hot vectors, others are clipped to [-1, 1].

        Raises:
            ConfigError: they have another shape, or are not among the actions there are.
        """
        given = envs.numbers(actions)
        shape = (self.size, *self.action_space.shape)
        if given is None or given.shape != shape:
            found = envs.short(actions) if given is None else f"an array of shape {given.shape}"
            raise ConfigError(f"the dream was given {found} as its actions: give numbers of shape {shape}")
        if self.discrete:
            if not np.isin(given, np.arange(self.agent.action)).all():
                raise ConfigError(f"the dream was given the actions {envs.short(given)}: choose among 0 to {self.agent.action - 1}")
            given = np.eye(self.agent.action)[given.astype(int)]
        if not np.isfinite(given).all():
            raise ConfigError(f"the dream was given the actions {envs.short(given)}: whoever chose them has diverged")
        return torch.from_numpy(given.clip(-1, 1).astype(np.float32)).to(self.agent.device)


class Painter:
    """Draws what the decoder sees as the world is drawn."""

    def __init__(self, agent: Dreamer) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # only who renders needs a drawing
        from matplotlib.figure import Figure

        from dreamer_core.worlds.drawing import drawing
        from dreamer_core.worlds.scene import draw

        self.drawing, self.draw = drawing(agent.config), draw
        self.figure = Figure(figsize=(1, 1), dpi=PIXELS)
        self.canvas = FigureCanvasAgg(self.figure)
        self.fps = round(1 / self.drawing.seconds) if self.drawing.seconds else 30

    def picture(self, observation: np.ndarray) -> np.ndarray:
        """An observation (O,) as a picture (PIXELS, PIXELS, 3), uint8."""
        self.figure.clear()
        axis = self.figure.add_axes((0, 0, 1, 1))
        self.draw(axis, self.drawing.scene(observation), thickness=0.5)
        axis.axis("off")
        self.canvas.draw()
        return np.array(self.canvas.buffer_rgba())[..., :3]


def painter(agent: Dreamer, render_mode: str | None) -> Painter | None:
    """Who draws, if anybody asks.

    Raises:
        ConfigError: there is no such mode.
    """
    if render_mode not in (None, "rgb_array"):
        raise ConfigError(f"render_mode is {render_mode!r}: a dream renders 'rgb_array' alone")
    return Painter(agent) if render_mode else None


# --- the two environments --------------------------------------------------------------------------


class DreamEnv(gym.Env):
    """One dream at a time; see the module for what a step is.

    Args:
        agent: with a trained world model.
        observation: "latent", the state s = (h, z) as the actor reads it, (F,); or "decoded", the decoder's mean, (O,), in the units
            that the agent sees. Who learned from "decoded" can act in the real world at once, but reads one moment alone. Who
            learned from "latent" acts there through `FilteredEnv`, and has the model's memory.
        starts: "replay": real rows of the agent's buffer, as its own dreams do; "prior": the model's idea of a beginning; or `Starts`
            of one's own, for instance `first_starts`. None: the buffer if it holds rows, otherwise the prior.
        horizon: steps after which a dream is truncated.
        render_mode: None, or "rgb_array": `render` draws what the decoder sees as the world is drawn.

    Raises:
        ConfigError: an argument that cannot be used. NotEnoughData: starts is "replay", and no row is there.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(
        self,
        agent: Dreamer,
        observation: str = "latent",
        starts: str | Starts | None = None,
        horizon: int = HORIZON,
        render_mode: str | None = None,
    ) -> None:
        self.dreams = Dreams(agent, observation, starts, horizon, 1)
        self.observation_space, self.action_space = self.dreams.observation_space, self.dreams.action_space
        self.render_mode, self.painter = render_mode, painter(agent, render_mode)
        if self.painter:
            self.metadata = self.metadata | {"render_fps": self.painter.fps}
        self.over = True

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin a dream; the same seed begins the same one, and leads on in the same way under the same actions."""
        super().reset(seed=seed)
        self.dreams.begin([0], [self.np_random])
        self.over = False
        return self.dreams.seen()[0], {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One step of the dream.

        Raises:
            DreamerError: no dream is running. ConfigError: no such action.
        """
        if self.over:
            raise DreamerError("no dream is running: call reset() first, and again after each end")
        given = envs.numbers(action)
        reward, terminated, truncated = self.dreams.step(self.dreams.actions(action if given is None else given[None]))
        self.over = bool(terminated[0] or truncated[0])
        return self.dreams.seen()[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

    def render(self) -> np.ndarray | None:
        """What the decoder sees now, as a picture (PIXELS, PIXELS, 3); None without a render_mode."""
        return self.painter.picture(self.dreams.decoded()[0]) if self.painter else None


class DreamVectorEnv(VectorEnv):
    """`num_envs` dreams side by side, in one batch: dream i is that of a `DreamEnv` that was reset with `seed + i`.

    Args:
        agent, observation, starts, horizon, render_mode: as `DreamEnv`.
        num_envs: dreams side by side.
        autoreset_mode: what happens after an end, as gymnasium's vector environments: "NextStep" begins anew in the next step, which
            counts no action and pays 0; "SameStep" at once, and info["final_obs"] holds what was seen last; "Disabled" waits for
            reset(options={"reset_mask": ...}).

    Raises:
        ConfigError: an argument that cannot be used. NotEnoughData: starts is "replay", and no row is there.
    """

    def __init__(
        self,
        agent: Dreamer,
        num_envs: int,
        observation: str = "latent",
        starts: str | Starts | None = None,
        horizon: int = HORIZON,
        render_mode: str | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
    ) -> None:
        self.dreams = Dreams(agent, observation, starts, horizon, num_envs)
        if autoreset_mode not in list(AutoresetMode) + [mode.value for mode in AutoresetMode]:
            raise ConfigError(f"autoreset_mode is {autoreset_mode!r}: choose {', '.join(repr(mode.value) for mode in AutoresetMode)}")
        self.num_envs, self.autoreset_mode = self.dreams.size, AutoresetMode(autoreset_mode)
        self.single_observation_space, self.single_action_space = self.dreams.observation_space, self.dreams.action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.render_mode, self.painter = render_mode, painter(agent, render_mode)
        self.metadata = {"render_modes": ["rgb_array"], "autoreset_mode": self.autoreset_mode}
        if self.painter:
            self.metadata["render_fps"] = self.painter.fps
        self.randoms: list[np.random.Generator | None] = [None] * self.num_envs
        self.over = np.ones(self.num_envs, bool)
        self.begun = False

    def reset(self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin all dreams, or those of options["reset_mask"] (B,): seeded seed, seed + 1, ..., or by a list of seeds.

        Raises:
            ConfigError: as many seeds, or as long a mask, as there are dreams were expected.
        """
        seeds = [None] * self.num_envs if seed is None else seed
        if isinstance(seeds, (int, np.integer)):
            seeds = [int(seeds) + number for number in range(self.num_envs)]
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs, bool)))
        if len(seeds) != self.num_envs or mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ConfigError(f"there are {self.num_envs} dreams: give one seed or {self.num_envs}, and a reset_mask of as many flags")
        if not (self.begun or mask.all()):
            raise ConfigError("a first reset begins all dreams: leave the reset_mask out")
        which = np.flatnonzero(mask)
        for number in which:
            if seeds[number] is not None or self.randoms[number] is None:
                self.randoms[number], _ = np_random(seeds[number])
        self._begin(which)
        self.begun = True
        return self.dreams.seen(), {}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """One step of each: observations (B, ...), rewards (B,), terminated (B,), truncated (B,), infos.

        Raises:
            DreamerError: a dream has not begun. ConfigError: no such actions.
        """
        anew = self.over.copy()
        if not self.begun or (anew.any() and self.autoreset_mode != AutoresetMode.NEXT_STEP):
            raise DreamerError("a dream has not begun: call reset() first")
        reward, terminated, truncated = self.dreams.step(self.dreams.actions(actions))
        reward[anew], terminated[anew], truncated[anew] = 0.0, False, False
        self._begin(np.flatnonzero(anew))
        self.over = terminated | truncated
        infos: dict[str, Any] = {}
        if self.autoreset_mode == AutoresetMode.SAME_STEP and self.over.any():
            seen = self.dreams.seen()
            for number in np.flatnonzero(self.over):
                infos = self._add_info(infos, {"final_obs": seen[number], "final_info": {}}, int(number))
            self._begin(np.flatnonzero(self.over))
        return self.dreams.seen(), reward, terminated, truncated, infos

    def _begin(self, which: np.ndarray) -> None:
        self.dreams.begin(which, [self.randoms[number] for number in which])
        self.over[which] = False

    def render(self) -> tuple[np.ndarray, ...] | None:
        """What the decoder sees now in each dream, B pictures; None without a render_mode."""
        return tuple(self.painter.picture(seen) for seen in self.dreams.decoded()) if self.painter else None


# --- back in the real world ------------------------------------------------------------------------


class FilteredEnv(gym.Wrapper):
    """The real world as the agent believes it: observations are s = (h, z), (F,), so that who learned from "latent" dreams can act in it.

    Belief follows what is seen and done: h by the model, z the most likely one of its posterior. Actions
    are those of `DreamEnv`. Rewards and ends are the real ones, as `env` gives them.

    Args:
        agent: whose dream it was. env: `envs.make_for(agent.config)` if None.

    Raises:
        EnvError: the environment cannot be made.
    """

    def __init__(self, agent: Dreamer, env: gym.Env | None = None) -> None:
        super().__init__(envs.make_for(agent.config) if env is None else env)
        self.agent, self.one = agent, Dreams(agent, "latent", "prior", 1, 1)  # one dream, for its spaces and actions alone
        self.observation_space, self.action_space = self.one.observation_space, self.one.action_space
        self.carry = agent.initial(1)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict]:
        """Begin an episode, and believe what its first observation shows."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.carry = self.agent.initial(1)
        return self._believe(observation, True), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict]:
        """One real step, and what is believed after it."""
        given = self.one.actions(np.asarray(action)[None])
        self.carry = self.carry._replace(action=given)
        observation, reward, terminated, truncated, info = self.env.step(given[0].cpu().numpy())
        return self._believe(observation, False), reward, terminated, truncated, info

    def _believe(self, observation: np.ndarray, first: bool) -> np.ndarray:
        seen, device = torch.from_numpy(observation)[None], self.agent.device
        self.carry = self.agent.policy(self.carry, seen.to(device), torch.full((1,), float(first), device=device), explore=False)
        return torch.cat([self.carry.h, self.carry.z], -1)[0].cpu().numpy()

"""Notebook 07: the dream whole, and how fast it goes wrong."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dreamer_core.agent import Dreamer
from dreamer_core.classroom.build import Build, Property, Wrong, agrees, hold, shaped
from dreamer_core.classroom.spec import Mistake
from dreamer_core.classroom.toy import POSTERIOR_STD, PRIOR_STD, ToyActor, ToyLatent, ToyModel, reading_by_hand, step_by_hand
from dreamer_core.config import Config, ImaginationConfig
from dreamer_core.replay import Window
from dreamer_core.rssm import Beliefs
from dreamer_core.trajectories import Trajectories
from dreamer_core.viz.dream import Episode
from dreamer_core.viz.error_growth import Growth, error_growth

State = tuple[tuple[float, float], float]  # h and z of the toy world, as plain numbers


# --- 7.A the dream ------------------------------------------------------------------------------------


class CountedLatent(ToyLatent):
    """Chance is still 1 where it is used, but each draw has a number, so that one which is used twice can be told."""

    def __init__(self) -> None:
        self.drawn, self.used = 0, []

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """Numbers never given before: (*shape, 1)."""
        first = self.drawn
        self.drawn += math.prod(shape)
        return torch.arange(first, self.drawn, dtype=torch.float32).view(*shape, 1)

    def sample(self, params: Tensor, noise: Tensor) -> Tensor:
        """As its parent, whatever the number."""
        self.used += noise.flatten().tolist()
        return super().sample(params, torch.ones_like(noise))


class ToyBuffer:
    """A replay buffer that always gives the same windows, and remembers what it was asked for."""

    def __init__(self, rows: int) -> None:
        self.rows, self.asked = rows, []

    def __len__(self) -> int:
        return self.rows

    def sample(self, batch: int, length: int, fresh: bool = False) -> Window:
        """`toy_window`, cut to what is asked for."""
        self.asked.append((batch, length, fresh))
        return toy_window(batch, length)


class Sleeper(Dreamer):
    """An agent in the toy world: N = 4 windows of 3 rows, H = 3 steps."""

    def __init__(self, rows: int = 50, **imagination: int) -> None:
        settings = dict(starts=4, start_rows=3, horizon=3) | imagination
        self.config, self.device, self.action = Config(imagination=ImaginationConfig(**settings)), torch.device("cpu"), 1
        self.model, self.sac, self.replay = ToyModel(), SimpleNamespace(actor=ToyActor()), ToyBuffer(rows)
        self.model.rssm.latent = CountedLatent()

    def dream(self, *args: Any) -> Trajectories:
        """What the learner writes must not call itself.

        Raises:
            Wrong: always.
        """
        raise Wrong("calls itself", "`dream` calls self.dream, which is the very method that you write.")


def toy_window(batch: int, length: int) -> Window:
    """Windows in which every number is another; episodes start in row 0 of window 1 and row 1 of window 2; window 3 truly ends."""
    rows = torch.arange(batch * length).view(batch, length)
    first, terminal = torch.zeros(batch, length), torch.zeros(batch, length)
    first[1 % batch, 0] = first[2 % batch, 1 % length] = 1
    terminal[3 % batch, -1] = terminal[0, length - 2] = 1
    return Window(
        observation=torch.sin(1.0 + rows)[..., None],
        action=torch.cos(2.0 * rows)[..., None],
        reward=0.25 * rows,
        first=first,
        terminal=terminal,
        h=torch.stack([torch.sin(3.0 + torch.arange(batch)), torch.cos(4.0 + torch.arange(batch))], 1),
        index=rows,
    )


def toy_beliefs(window: Window) -> Beliefs:
    """Beliefs that no filter would give, of these windows, with a gradient."""
    batch, length = window.first.shape
    value = torch.arange(3.0 * batch * length).view(batch, length, 3).requires_grad_()
    return Beliefs(torch.sin(value[..., :2]), torch.cos(value[..., 2:]), torch.cos(2 * value[..., :2]))


def filtered_by_hand(window: Window) -> list[list[State]]:
    """The state in every row of every window, in plain arithmetic."""
    found = []
    for b in range(len(window.h)):
        h, states = tuple(window.h[b].tolist()), []
        for t in range(window.first.shape[1]):
            h = step_by_hand(*states[-1], float(window.action[b, t - 1, 0])) if t else h
            h = (0.0, 0.0) if window.first[b, t] else h
            states.append((h, h[0] / 2 + 2 * float(window.observation[b, t, 0]) + POSTERIOR_STD))
        found.append(states)
    return found


def flat(state: State) -> list[float]:
    """h and z in one row."""
    return [*state[0], state[1]]


def dreamt(made: Any, agent: Sleeper, *seen: Any) -> Trajectories:
    """What the learner's function gives, if it has the form of trajectories."""
    data = made(agent, *seen)
    hold(data is not None, "nothing", "`dream` gives None. Is there a `return` at its end?")
    hold(
        all(hasattr(data, name) for name in Trajectories._fields),
        "no trajectories",
        "`dream` gives Trajectories(state, pre_tanh, reward, cont, weight): import it from dreamer_core.trajectories.",
    )
    return data


def handed(agent: Sleeper, length: int = 3) -> tuple[Window, Beliefs]:
    """Windows and beliefs to dream from."""
    window = toy_window(agent.config.imagination.starts, length)
    return window, toy_beliefs(window)


def check_form(made: Any) -> None:
    """Every field has its shape, with beliefs handed over and without, from one row of each window or from two."""
    for last in (1, 2):
        for given in (False, True):
            agent = Sleeper(last=last)
            data = dreamt(made, agent, *([handed(agent)] if given else []))
            told = f"with `seen` and last = {last}" if given else f"without `seen` and last = {last}"
            number = 4 * last
            shaped(data.state, (number, 4, 3), f"`state` {told}")
            shaped(data.pre_tanh, (number, 3, 1), f"`pre_tanh` {told}")
            shaped(data.reward, (number, 3), f"`reward` {told}")
            shaped(data.cont, (number, 3), f"`cont` {told}")
            shaped(data.weight, (number,), f"`weight` {told}")


def check_draw(made: Any) -> None:
    """Windows are drawn once, as many and as long as the configuration says, and only where none are handed over."""
    for rows, length in ((50, 3), (2, 2)):
        agent = Sleeper(rows)
        dreamt(made, agent)
        asked = agent.replay.asked
        hold(len(asked) > 0, "no draw", "Without `seen`, windows are drawn: self.replay.sample(starts, rows). You drew none.")
        hold(len(asked) == 1, "many draws", f"Windows are drawn once for all dreams; you called self.replay.sample {len(asked)} times.")
        hold(
            asked[0][:2] == (4, length),
            "other windows",
            f"imagination.starts is 4, imagination.start_rows 3, and {rows} rows are stored: 4 windows of {length} rows are wanted. You "
            "asked "
            f"for {asked[0][0]} of {asked[0][1]}.",
        )
        hold(not asked[0][2], "fresh", "`fresh=True` is for the world model alone: it uses the online queue up.")
    agent = Sleeper()
    dreamt(made, agent, handed(agent))
    hold(not agent.replay.asked, "seen ignored", "`seen` is handed over, and you draw other windows all the same.")


def check_beliefs(made: Any) -> None:
    """Without `seen`, a dream starts from the state that filtering its window ends with."""
    agent = Sleeper()
    window = toy_window(4, 3)
    start = dreamt(made, agent).state[:, 0]
    ends = [states[-1] for states in filtered_by_hand(window)]
    hold(
        not torch.allclose(start[:, :2], window.h),
        "not filtered",
        "Dreams start from the h that the windows start from. Filter them first: self.model.observe(window).",
    )
    agrees(start, torch.tensor([flat(state) for state in ends]), "beliefs", "A dream does not start from the last belief of its window.")


def check_starts(made: Any) -> None:
    """With `seen`, they start from the last `last` rows of those beliefs, all rows of one window after another."""
    for last, length in ((1, 3), (2, 3), (5, 3)):
        agent = Sleeper(last=last)
        seen = handed(agent, length)
        rows = min(last, length)
        start = dreamt(made, agent, seen).state[:, 0]
        state = torch.cat([seen[1].h, seen[1].z], -1)[:, length - rows :]
        told = f"With last = {last} and windows of {length} rows"
        shaped(start, (4 * rows, 3), f"The first state of each dream ({told.lower()})")
        hold(
            last == 1 or not torch.equal(start, state.transpose(0, 1).flatten(0, 1)),
            "order",
            f"{told}, the dreams are in the wrong order: all rows of one window first, then those of the next.",
        )
        agrees(
            start,
            state.flatten(0, 1),
            "starts",
            f"{told}, dreams start from the last {rows} row(s) of `seen`'s beliefs, h and z side by side.",
        )


def check_weight(made: Any) -> None:
    """A start at which the episode has truly ended weighs 0, any other 1."""
    for last in (1, 2):
        agent = Sleeper(last=last)
        window, beliefs = handed(agent)
        weight = dreamt(made, agent, (window, beliefs)).weight
        hold(bool((weight != 1).any()), "every start", "Every start weighs 1, though an episode has truly ended at one of them.")
        agrees(
            weight,
            1 - window.terminal[:, 3 - last :].flatten(),
            "weight",
            "`weight` is 0 where `terminal` is 1 in the row of the start, else 1.",
        )


def check_rollout(made: Any) -> None:
    """Each step: the actor's sample, then h, then z from the prior at the new h."""
    agent = Sleeper()
    data = dreamt(made, agent, handed(agent))
    for n in range(4):
        for t in range(3):
            h, z = (data.state[n, t, 0].item(), data.state[n, t, 1].item()), data.state[n, t, 2].item()
            mean, u = reading_by_hand(h, z).mean, data.pre_tanh[n, t, 0].item()
            where = f"Dream {n}, step {t}:"
            hold(
                not math.isclose(u, mean, abs_tol=1e-4),
                "mode",
                f"{where} u is the actor's mean. In the agent's dreams it is a sample: actor.draw.",
            )
            hold(
                not math.isclose(u, math.tanh(mean + 0.5), abs_tol=1e-4),
                "squashed",
                f"{where} `pre_tanh` holds tanh(u). It is u itself that is kept.",
            )
            agrees(u, mean + 0.5, "u", f"{where} `pre_tanh` is not the actor's draw at that state.")
            new, raw = step_by_hand(h, z, math.tanh(u)), step_by_hand(h, z, u)
            got = data.state[n, t + 1].tolist()
            hold(
                not math.isclose(got[0], raw[0], abs_tol=1e-4),
                "u as action",
                f"{where} the model is given u. The action is tanh(u): actor.squash(u).",
            )
            agrees(tuple(got[:2]), new, "h", f"{where} the next h is not `step` of h, z and the action there.")
            hold(
                not math.isclose(got[2], h[0] - h[1] + PRIOR_STD, abs_tol=1e-4),
                "old prior",
                f"{where} z comes from the prior at the old h. Move h first: model.rssm.dream_step does both.",
            )
            hold(
                not math.isclose(got[2], new[0] - new[1], abs_tol=1e-4),
                "mode of z",
                f"{where} z is the prior's mean. A dream takes a sample.",
            )
            agrees(got[2], new[0] - new[1] + PRIOR_STD, "z", f"{where} the next z is not a sample of the prior at the new h.")


def check_readings(made: Any) -> None:
    """Reward and continue probability are read from the state that was reached."""
    agent = Sleeper()
    data = dreamt(made, agent, handed(agent))
    state = data.state.detach()
    reward, logit = agent.model.predict_reward(state)[0].detach(), agent.model.predict_continue(state).detach()
    hold(
        not torch.allclose(data.reward, reward[:, :-1]),
        "reward early",
        "reward[:, t] is read from s_t. It arrives with s_{t+1}: read that state.",
    )
    agrees(data.reward, reward[:, 1:], "reward", "reward[:, t] is the mean that the reward head gives at state[:, t + 1].")
    hold(not torch.allclose(data.cont, logit[:, 1:]), "logit", "`cont` holds logits. It is a probability: take the sigmoid.")
    hold(
        not torch.allclose(data.cont, torch.sigmoid(logit[:, :-1])),
        "cont early",
        "cont[:, t] is read from s_t, not from the state that was reached.",
    )
    agrees(data.cont, torch.sigmoid(logit[:, 1:]), "cont", "cont[:, t] is the probability that the episode goes on after state[:, t + 1].")


def check_chance(made: Any) -> None:
    """Every step of every dream has luck of its own."""
    agent = Sleeper(last=2)
    seen = handed(agent)
    dreamt(made, agent, seen)
    used = agent.model.rssm.latent.used
    hold(
        len(set(used)) == len(used),
        "shared noise",
        f"In 8 dreams of 3 steps, {len(used)} samples of z were made from {len(set(used))} draws of noise. Draw anew "
        "for every step and dream.",
    )
    hold(len(used) == 24, "samples", f"8 dreams of 3 steps make 24 samples of z. You made {len(used)}.")


def check_plain(made: Any) -> None:
    """Nothing carries a gradient, and neither windows nor beliefs are changed."""
    for given in (True, False):
        agent = Sleeper()
        window, beliefs = handed(agent)
        before = [part.detach().clone() for part in (*window, *beliefs)]
        data = dreamt(made, agent, *([(window, beliefs)] if given else []))
        carries = [name for name in Trajectories._fields if getattr(data, name).requires_grad]
        hold(
            not carries, "gradient", f"`{', '.join(carries)}` carries a gradient. Trajectories are plain data: dream under torch.no_grad()."
        )
        same = all(torch.equal(now, then) for now, then in zip((*window, *beliefs), before))
        hold(same, "changed", "`dream` changes the windows or beliefs that it is given. Others still need them.")


def dream_with(
    draw=lambda self, seen: seen,
    begin=lambda part, last: part[:, -last:].flatten(0, 1),
    weigh=lambda terminal: 1 - terminal,
    act=lambda actor, state: actor.draw(state),
    read=slice(1, None),
    cont=torch.sigmoid,
    once=False,
    context=torch.no_grad,
):
    """A right one, written plainly, with one place changed."""

    def wrong(self, seen=None):
        config, rssm, actor = self.config.imagination, self.model.rssm, self.sac.actor
        with context():
            seen = draw(self, seen)
            if seen is None:
                window = self.replay.sample(config.starts, min(config.start_rows, len(self.replay)))
                seen = window, self.model.observe(window)
            window, beliefs = seen
            h, z, weight = (begin(part, config.last) for part in (beliefs.h, beliefs.z, weigh(window.terminal)))
            states, actions, luck = [torch.cat([h, z], -1)], [], rssm.latent.noise(len(h))
            for _ in range(config.horizon):
                actions.append(act(actor, states[-1]))
                h, z = rssm.dream_step(h, z, torch.tanh(actions[-1]), luck if once else rssm.latent.noise(len(h)))
                states.append(torch.cat([h, z], -1))
            state = torch.stack(states, 1)
            reward, _ = self.model.predict_reward(state)
            return Trajectories(state, torch.stack(actions, 1), reward[:, read], cont(self.model.predict_continue(state[:, 1:])), weight)

    return wrong


def training_windows(self, seen):
    """Windows of the world model's shape."""
    if seen is not None:
        return seen
    window = self.replay.sample(self.config.replay.batch, self.config.replay.length)
    return window, self.model.observe(window)


DREAM = Build(
    id="7.A",
    title="The dream whole",
    minutes=45,
    difficulty=2,
    importance=3,
    reference=Dreamer.dream,
    target="dreamer_core.agent:Dreamer.dream",
    suits=lambda self, seen=None: self.config.actor_critic == "sac",
    properties=(
        Property("form", "Five fields of the right shapes.", check_form),
        Property("windows", "They are drawn once, as the configuration says, where none are handed over.", check_draw),
        Property("beliefs", "Windows are filtered before a dream begins.", check_beliefs),
        Property("starts", "Dreams begin at the last rows, window after window.", check_starts),
        Property("weight", "What is over weighs nothing.", check_weight),
        Property("rollout", "A sampled action, then h, then z from the prior there.", check_rollout),
        Property("readings", "Reward and end are read from the state that was reached.", check_readings),
        Property("chance", "Every step of every dream has luck of its own.", check_chance),
        Property("plain data", "Nothing carries a gradient, nothing given is changed.", check_plain),
    ),
    hints=(
        (
            "Four parts, one after the other: windows and beliefs; the starts h, z and weight; the loop; the readings. Get the shapes "
            "right "
            "first: N = starts * last dreams. Everything happens under torch.no_grad()."
        ),
        (
            "Windows: self.replay.sample(config.starts, min(config.start_rows, len(self.replay))) with config = "
            "self.config.imagination, then "
            "self.model.observe(window). Starts: part[:, -config.last:].flatten(0, 1) of beliefs.h, beliefs.z and 1 - window.terminal."
        ),
        (
            "Loop, with state = torch.cat([h, z], -1): u = self.sac.actor.draw(state); h, z = rssm.dream_step(h, z, "
            "self.sac.actor.squash(u), "
            "rssm.latent.noise(len(h))). Keep states (H + 1 of them) and u. Stack along axis 1. Rewards and ends come from state[:, 1:]."
        ),
    ),
    mistakes=(
        Mistake(
            "seen_ignored",
            dream_with(draw=lambda self, seen: None),
            "Windows that were already filtered are handed over as `seen`. Draw and filter only where it is None.",
        ),
        Mistake(
            "training_windows",
            dream_with(draw=training_windows),
            "Those are the windows of the world model. A dream starts from `imagination.starts` windows of `imagination.start_rows` rows.",
        ),
        Mistake(
            "from_the_first_rows",
            dream_with(begin=lambda part, last: part[:, :last].flatten(0, 1)),
            "Dreams start at the first rows of the windows. Those rows have seen least: start at the last ones.",
        ),
        Mistake(
            "from_one_row_alone",
            dream_with(begin=lambda part, last: part[:, -1]),
            "You start from the last row alone. `imagination.last` says from how many of the last rows dreams start.",
        ),
        Mistake(
            "time_first",
            dream_with(begin=lambda part, last: part[:, -last:].transpose(0, 1).flatten(0, 1)),
            "The dreams come in the wrong order: dream n * last + k starts from row k of window n.",
        ),
        Mistake(
            "every_start_weighs",
            dream_with(weigh=torch.ones_like),
            "Every start weighs 1. Where `terminal` is 1, the episode is over, and nothing follows: weight 0.",
        ),
        Mistake(
            "most_likely_actions",
            dream_with(act=lambda actor, state: actor(state)[0]),
            "The most likely action is taken at every step. An agent that learns must try others: sample (actor.draw).",
        ),
        Mistake(
            "rewards_a_step_early", dream_with(read=slice(None, -1)), "The reward of step t is read from s_t. It arrives with s_{t+1}."
        ),
        Mistake("logits", dream_with(cont=lambda logit: logit), "`cont` holds logits. It is a probability: take the sigmoid."),
        Mistake(
            "the_same_luck_each_step",
            dream_with(once=True),
            "The noise of z is drawn once and used at every step. Then good luck lasts a whole dream: draw anew for each step.",
        ),
        Mistake(
            "gradient_kept",
            dream_with(context=torch.enable_grad),
            "The trajectories carry a gradient, so the agent could train the model. They are plain data: torch.no_grad().",
        ),
    ),
)


# --- 7.B the error of open-loop dreams ----------------------------------------------------------------


class TwoReadings(ToyModel):
    """The toy model with observations of two entries, which are counted in different units."""

    scale = torch.tensor([0.5, 4.0])

    def encode(self, observation: Tensor) -> Tensor:
        """(..., 2) -> (..., 1)."""
        return 2 * observation[..., :1] - 0.5 * observation[..., 1:]

    def decode(self, features: Tensor) -> Tensor:
        """(..., 3) -> (..., 2)."""
        return torch.cat([features[..., :1] / 4 + features[..., 2:], 8 * features[..., 1:2]], -1)


class LuckyLatent(ToyLatent):
    """Real chance: standard normal."""

    def noise(self, *shape: int, device: torch.device | str = "cpu") -> Tensor:
        """(*shape, 1)."""
        return torch.randn(*shape, 1)


def watcher(lucky: bool = False) -> Any:
    """An agent whose model is `TwoReadings`; chance is 1, or real."""
    agent = Sleeper()
    agent.model = TwoReadings()
    agent.model.rssm.latent = LuckyLatent() if lucky else ToyLatent()
    return agent


def toy_episodes() -> list[Episode]:
    """Two episodes, of 9 and of 10 steps, in which every number is another."""
    found = []
    for number, steps in enumerate((9, 10)):
        t = np.arange(steps + 1, dtype=np.float32) + 10 * number
        seen = np.stack([np.sin(t), 5 * np.cos(2 * t)], 1)
        found.append(Episode(seen, 0.9 * np.sin(3 * t[:-1, None]), np.zeros(steps, np.float32)))
    return found


def decoded_by_hand(state: State) -> np.ndarray:
    """What the model makes of a state: (2,)."""
    (h0, h1), z = state
    return np.array([h0 / 4 + z, 8 * h1])


def watched_by_hand(episode: Episode, chance: float = 1.0) -> list[State]:
    """The belief in every row of an episode."""
    h, states = (0.0, 0.0), []
    for t, (first, second) in enumerate(episode.observation):
        h = step_by_hand(*states[-1], float(episode.action[t - 1, 0])) if t else h
        states.append((h, h[0] / 2 + 2 * float(first) - 0.5 * float(second) + POSTERIOR_STD * chance))
    return states


def dream_by_hand(episode: Episode, start: int, steps: int, chance: float = 1.0, late: int = 0) -> list[State]:
    """States from row `start` on, along the recorded actions; `late`: rows by which these are read too late."""
    states = [watched_by_hand(episode, chance)[start]]
    for t in range(start, start + steps):
        h = step_by_hand(*states[-1], float(episode.action[t + late, 0]))
        states.append((h, h[0] - h[1] + PRIOR_STD * chance))
    return states


def errors_by_hand(predicted: list[np.ndarray], real: np.ndarray) -> np.ndarray:
    """The error of each row in the model's units."""
    scale = TwoReadings.scale.numpy()
    return np.array([math.sqrt(np.mean(((a - b) / scale) ** 2)) for a, b in zip(predicted, real)])


STARTS, STEPS = (1, 4), 4


def measured(made: Any, agent: Any, count: int = 3) -> Any:
    """What the learner's function gives for the toy episodes, if it has the form of a Growth."""
    growth = made(agent, toy_episodes(), STARTS, STEPS, count)
    hold(growth is not None, "nothing", "`error_growth` gives None. Is there a `return` at its end?")
    whole = all(hasattr(growth, name) for name in Growth._fields)
    hold(whole, "no growth", "`error_growth` gives Growth(dream, persistence, posterior): import it from dreamer_core.viz.error_growth.")
    for name in Growth._fields:
        value = getattr(growth, name)
        hold(isinstance(value, np.ndarray), "type", f"`{name}` is no numpy array: `.numpy()` makes one of a tensor without gradient.")
        hold(
            value.shape == (4, STEPS + 1),
            "shape",
            f"Of 2 episodes, 2 starts and {STEPS} steps, `{name}` has the shape {value.shape}; it should be (4, {STEPS + 1}): one line "
            "for each "
            f"start, steps 0 to {STEPS}.",
        )
        hold(bool(np.isfinite(value).all()), "finite", f"`{name}` holds NaN or an infinite number.")
    return growth


def cases() -> list[tuple[Episode, int]]:
    """Episode and start of each line of the result."""
    return [(episode, start) for episode in toy_episodes() for start in STARTS]


def check_growth_form(made: Any) -> None:
    """Three arrays, one line for each start of each episode."""
    measured(made, watcher())
    growth = made(watcher(), toy_episodes()[:1], [2], 1, 1)
    hold(growth.dream.shape == (1, 2), "one", f"One start and one step make a line of 2 errors; the shape is {growth.dream.shape}.")


def check_persistence(made: Any) -> None:
    """The first yardstick: what was seen last goes on for ever, in the model's units."""
    found = measured(made, watcher()).persistence
    wanted = np.stack([errors_by_hand([e.observation[s]] * (STEPS + 1), e.observation[s : s + STEPS + 1]) for e, s in cases()])
    hold(
        not np.allclose(found, wanted[[0, 2, 1, 3]], atol=1e-4),
        "order",
        "The lines are in the wrong order: all starts of one episode, then of the next.",
    )
    hold(bool((np.abs(found[:, 0]) < 1e-5).all()), "step 0", "At step 0 *nothing changes* is the observation itself: its error is 0.")
    bare = np.stack([np.sqrt(np.square(e.observation[s] - e.observation[s : s + STEPS + 1]).mean(-1)) for e, s in cases()])
    hold(
        not np.allclose(found, bare, atol=1e-4),
        "no scale",
        "Errors are in the environment's units. Divide each entry by its entry of agent.model.scale.",
    )
    agrees(
        torch.tensor(found),
        torch.tensor(wanted, dtype=torch.float32),
        "persistence",
        "The error of *nothing changes* is wrong (7.4 says which error).",
    )


def check_posterior(made: Any) -> None:
    """The second yardstick: the model that goes on seeing, decoded."""
    found = measured(made, watcher()).posterior
    wanted = []
    for episode, start in cases():
        rows = slice(start, start + STEPS + 1)
        wanted.append(errors_by_hand([decoded_by_hand(s) for s in watched_by_hand(episode)[rows]], episode.observation[rows]))
    agrees(
        torch.tensor(found),
        torch.tensor(np.stack(wanted), dtype=torch.float32),
        "posterior",
        "`posterior` is the error of the belief that has seen each row, decoded. The episode starts in row 0, from h = 0.",
    )


def check_dream_errors(made: Any) -> None:
    """The dream: filter rows 0 .. start, then follow the recorded actions with closed eyes."""
    growth = measured(made, watcher())
    found, wanted, late, awake = growth.dream, [], [], []
    for episode, start in cases():
        real = episode.observation[start : start + STEPS + 1]
        wanted.append(errors_by_hand([decoded_by_hand(s) for s in dream_by_hand(episode, start, STEPS)], real))
        states = [watched_by_hand(episode)[start]]
        for _ in range(STEPS):
            h = step_by_hand(*states[-1], math.tanh(reading_by_hand(*states[-1]).mean))
            states.append((h, h[0] - h[1] + PRIOR_STD))
        awake.append(errors_by_hand([decoded_by_hand(s) for s in states], real))
        late.append(
            errors_by_hand([decoded_by_hand(s) for s in dream_by_hand(episode, start, STEPS, late=1)], real) if start == 1 else None
        )
    hold(
        not np.allclose(found, growth.posterior, atol=1e-4),
        "open eyes",
        "The dream's errors are those of the posterior: it goes on seeing. Close its eyes.",
    )
    hold(
        not np.allclose(found, np.stack(awake), atol=1e-4),
        "acts",
        "The actor acts in this dream. A fair test follows the actions that were really taken.",
    )
    hold(
        not np.allclose(found[[0, 2]], np.stack([e for e in late if e is not None]), atol=1e-4),
        "late",
        "The actions are a row late: the one that leaves row `start` makes the first step of the dream.",
    )
    hold(
        np.allclose(found[:, 0], growth.posterior[:, 0], atol=1e-4),
        "start",
        "At step 0 nothing is dreamt yet: the dream's error is that of the posterior.",
    )
    agrees(
        torch.tensor(found),
        torch.tensor(np.stack(wanted), dtype=torch.float32),
        "dream",
        "The dream's error is wrong: from the belief in row `start`, one `dream_step` for each recorded action, then decode.",
    )


def check_mean(made: Any) -> None:
    """It is the error of the mean of many dreams, not the mean of their errors; and each dream has luck of its own."""
    torch.manual_seed(4)
    once, again = (measured(made, watcher(lucky=True), count=1).dream for _ in range(2))
    hold(not np.allclose(once, again), "no luck", "Two calls with count = 1 give the same dream: draw z from the prior, with fresh noise.")
    found, other = (measured(made, watcher(lucky=True), count=6000) for _ in range(2))
    steady = np.allclose(found.dream, other.dream, atol=0.12)
    hold(steady, "one run", "Two calls with count = 6000 differ as much as single dreams do. Are all `count` runs in the mean?")
    for episode, start, dream, seen in zip(*zip(*cases()), found.dream, found.posterior):
        real = episode.observation[start : start + STEPS + 1]
        # The world is linear, so the mean of many dreams is the dream without chance.
        calm = errors_by_hand([decoded_by_hand(s) for s in dream_by_hand(episode, start, STEPS, chance=0.0)], real)
        open_eyes = [decoded_by_hand(s) for s in watched_by_hand(episode, 0.0)[start : start + STEPS + 1]]
        told = "With `count` runs, the prediction is their mean: average the decoded observations, then take the error."
        agrees(torch.tensor(dream), torch.tensor(calm, dtype=torch.float32), "mean", told, within=0.08)
        calm_eyes = errors_by_hand(open_eyes, real)
        agrees(torch.tensor(seen), torch.tensor(calm_eyes, dtype=torch.float32), "mean of posterior", told, within=0.08)


def check_ends(made: Any) -> None:
    """A dream that would go past the end of its episode is refused."""
    try:
        made(watcher(), toy_episodes()[:1], [2, 6], 4, 2)
    except ValueError:
        pass
    else:
        raise Wrong(
            "past the end", "An episode of 9 steps has nothing to compare with after 4 steps from row 6: raise ValueError with a sentence."
        )
    growth = made(watcher(), toy_episodes()[:1], [5], 4, 2)
    hold(growth.dream.shape == (1, 5), "last step", "4 steps from row 5 of an episode of 9 steps just fit; the last row can be compared.")


def growth_with(
    act=lambda agent, state, action: action,
    combine=lambda guess, real, scale: np.sqrt(np.square((guess.mean(0) - real) / scale).mean(-1)),
    shift=0,
    refuse=True,
    base=lambda episode, start: episode.observation[start : start + 1],
    scale=lambda model: model.scale.numpy(),
    eyes=False,
):
    """A right one, written plainly, with one place changed."""

    @torch.no_grad()
    def wrong(agent, episodes, starts, steps, count):
        model, rssm, lines = agent.model, agent.model.rssm, []
        for episode in episodes:
            if refuse and max(starts) + steps > len(episode.action):
                raise ValueError("a dream would go past the end of its episode")
            action = np.concatenate([episode.action, 0 * episode.action[:1]])
            window = (torch.from_numpy(part).expand(count, *part.shape) for part in (episode.observation, action))
            seen, acted = window
            beliefs = rssm.observe(rssm.initial(count)[0], model.encode(seen), acted, torch.zeros(seen.shape[:2]))
            open_eyes = model.decode(beliefs.features).numpy()
            for start in starts:
                h, z = beliefs.h[:, start], beliefs.z[:, start]
                states = [torch.cat([h, z], -1)]
                for t in range(start, start + steps):
                    given = act(agent, states[-1], acted[:, min(t + shift, acted.shape[1] - 1)])
                    h, z = rssm.dream_step(h, z, given, rssm.latent.noise(count))
                    states.append(torch.cat([h, z], -1))
                rows = np.minimum(np.arange(start, start + steps + 1), len(episode.action))
                real, unit = episode.observation[rows], scale(model)
                dreamt = open_eyes[:, rows] if eyes else model.decode(torch.stack(states, 1)).numpy()
                lazy = np.sqrt(np.square((base(episode, start) - real) / unit).mean(-1))
                lines.append([combine(dreamt, real, unit), lazy, combine(open_eyes[:, rows], real, unit)])
        return Growth(*np.stack(lines, 1))

    return wrong


GROWTH = Build(
    id="7.B",
    title="How fast a dream goes wrong",
    minutes=45,
    difficulty=2,
    importance=2,
    reference=error_growth,
    target="dreamer_core.viz.error_growth:error_growth",
    suits=lambda agent, *rest, **named: len(agent.model.shape) == 1,
    properties=(
        Property("form", "Three arrays, a line for each start of each episode.", check_growth_form),
        Property("persistence", "The first yardstick: nothing changes.", check_persistence),
        Property("posterior", "The second yardstick: the model goes on seeing.", check_posterior),
        Property("dream", "It filters up to the start, then follows the recorded actions with closed eyes.", check_dream_errors),
        Property("mean", "Many runs make one prediction, their mean.", check_mean),
        Property("ends", "Past the end of an episode there is nothing to compare with.", check_ends),
    ),
    hints=(
        (
            "Begin with `persistence`: it needs no model. For each episode and each start, rows start .. start + steps are what "
            "happened, and "
            "row `start` is the prediction for all of them. Return it three times and look at the list."
        ),
        (
            "Filter the whole episode once, `count` times side by side: observation.expand(count, ...), agent.model.encode, then "
            "rssm.observe(h0, embed, action, first) with h0 = rssm.initial(count)[0] and zeros for first. No action leaves the last "
            "row: add a "
            "row of zeros. `posterior` decodes beliefs.features, rows start .. start + steps, and takes the mean over the runs."
        ),
        (
            "The dream: h, z = beliefs.h[:, start], beliefs.z[:, start]; then for t from start to start + steps - 1: h, z = "
            "rssm.dream_step(h, "
            "z, action[:, t], rssm.latent.noise(count)). Keep all states, the first as well. Decode, average over the runs, then rms_error."
        ),
    ),
    mistakes=(
        Mistake(
            "the_actor_acts",
            growth_with(act=lambda agent, state, action: agent.sac.actor.mode(state)),
            "The actor acts in the dream. Then dream and episode part because they do different things: follow the recorded actions.",
        ),
        Mistake(
            "actions_a_row_late",
            growth_with(shift=1),
            "The recorded actions are a row late. The action that leaves row `start` leads to the first dreamt row.",
        ),
        Mistake("open_eyes", growth_with(eyes=True), "This dream goes on seeing: its errors are those of the posterior."),
        Mistake(
            "mean_of_errors",
            growth_with(combine=lambda guess, real, scale: np.sqrt(np.square((guess - real) / scale).mean(-1)).mean(0)),
            "You average the errors of the runs. The prediction is the mean of the runs: average first, then take its error.",
        ),
        Mistake(
            "in_the_worlds_units",
            growth_with(scale=lambda model: np.ones(1, np.float32)),
            "Errors are in the environment's units, so large entries drown small ones. Divide by agent.model.scale (7.4).",
        ),
        Mistake(
            "persistence_of_row_0",
            growth_with(base=lambda episode, start: episode.observation[:1]),
            "*Nothing changes* predicts the episode's first row. It is the last row seen, row `start`, that goes on.",
        ),
        Mistake(
            "past_the_end",
            growth_with(refuse=False),
            "Near the end of an episode you compare with its last row again and again. Raise ValueError if start + steps goes past it.",
        ),
    ),
)

BUILDS = [DREAM, GROWTH]

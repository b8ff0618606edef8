"""The probe ladder: seven tiny worlds that say which part of a Dreamer is broken.

    python -m dreamer_core.yardsticks.ladder
    python -m dreamer_core.yardsticks.ladder --agent my_file:MyDreamer --preset advantage

A Dreamer with a fault still learns *something*, and its loss still falls. So give it worlds so small
that the right answer is known on paper, each needing one part more than the ones below:

    rung         tests                                     must come out
    constant     reward head                               1
    observation  encoder, posterior, row of the reward     the number shown
    memory       h, from row to row and in the dream       the cue of four rows ago
    chance       z, sampled from the prior                 mean 1/2, deviation 1/2: a fair coin
    action       a on its way into f; actor                1 for half the sign, 0 for the opposite
    horizon      critic, bootstrap, discount; time limit   g / (1 - g) = 1 and 1 / (1 - g) = 2
    ending       continue head, and its use in the target  1 and 1 + g = 1.5, where no end would give 2

A rung stands on those below it: the *lowest* failed one says where to look.

**How exact.** Each question names the right answer and a wrong one, which the fault it looks for
would give. The tolerance is a third of their distance, so whatever passes is at least twice as close
to right as to wrong. A sound agent misses by less, for known reasons: squared error trades noise in
z against its KL, so an answer shrinks by about kl_scale at most (a hundredth; more for the coin, but
neither its mean nor its deviation shrinks); the mean of 400 tosses learned from misses 1/2 by 0.025,
that of 512 tosses dreamt by 0.022 (one standard deviation each); and a small net trained for a
second or two is off by some hundredths per dreamt reward, which a value adds up to at most
1 / (1 - g) = 2 times as much.

**Entropy.** alpha is 0 here, so soft values are plain ones and no answer needs an entropy term. The
price: an actor without entropy may run to the edge before its critic knows the curve, so where two
actions compete, the question is on which side of 0 it chose.
**Reward scale.** Rewards are doubled before learning (`sac.reward_scale`), and readings divided by
that again: they are in the world's own units.
"""

import contextlib
import dataclasses
import importlib
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal, NamedTuple

import torch
import tyro
from torch import Tensor

from dreamer_core.agent import Carry, Dreamer
from dreamer_core.config import Config, from_dict
from dreamer_core.errors import ConfigError, DreamerError
from dreamer_core.train import one_sentence
from dreamer_core.trainer import Trainer
from dreamer_core.yardsticks import probe_worlds as worlds

COPIES = 512  # beliefs and dreams that each reading averages
GAMMA = 0.5
AVERAGE = 1 - 1 / 3 - 1 / 4  # what a random action pays in the world of the lever
STEPS = 400  # random steps an agent learns from

# Builds an agent from a configuration and the sizes O and A; `Dreamer` itself is one.
Build = Callable[[Config, int, int], Dreamer]


# --- looking into an agent ------------------------------------------------------------------------


def random_action() -> Tensor:
    """Uniform in [-1, 1], one for each copy: (N, 1)."""
    return 2 * torch.rand(COPIES, 1) - 1


def same_action(value: float) -> Tensor:
    """The same action for each copy: (N, 1)."""
    return torch.full((COPIES, 1), value)


def watch(agent: Dreamer, rows: list[list[float]], action: float | None = None) -> Carry:
    """What N copies of the agent believe after seeing `rows`, from the start of an episode; `action` left each row (None: random)."""
    carry = agent.initial(COPIES)
    for number, row in enumerate(rows):
        first = torch.full((COPIES,), float(number == 0))
        carry = agent.policy(carry, torch.tensor(row).expand(COPIES, -1), first, explore=True)
        carry = carry._replace(action=random_action() if action is None else same_action(action))
    return carry


def dream(agent: Dreamer, carry: Carry, steps: int, action: float | None = None) -> Carry:
    """Go on for `steps` without looking, each copy with its own chance; all actions are `action`, or random."""
    rssm = agent.model.rssm
    for _ in range(steps):
        taken = random_action() if action is None else same_action(action)
        h, z = rssm.dream_step(carry.h, carry.z, taken, rssm.latent.noise(COPIES))
        carry = Carry(h, z, taken)
    return carry


def state(carry: Carry) -> Tensor:
    """s = (h, z): (N, F)."""
    return torch.cat([carry.h, carry.z], -1)


def reward(agent: Dreamer, carry: Carry) -> Tensor:
    """The reward that arrives with this row, in the world's units: (N,)."""
    return agent.in_world_units(agent.model.predict_reward(state(carry))[0])


def goes_on(agent: Dreamer, carry: Carry) -> Tensor:
    """The probability that the episode goes on after this row: (N,)."""
    return torch.sigmoid(agent.model.predict_continue(state(carry)))


def choice(agent: Dreamer, carry: Carry) -> Tensor:
    """The actor's action without noise: (N, 1)."""
    return agent.sac.actor.mode(state(carry))


def value(agent: Dreamer, carry: Carry) -> Tensor:
    """The target critics' value of the actor's action, in the world's units: (N,)."""
    return agent.in_world_units(agent.sac.q_target(state(carry), choice(agent, carry)).amin(0))


# --- rungs ----------------------------------------------------------------------------------------


class Question(NamedTuple):
    """One number to read off a trained agent, and what it must be."""

    what: str
    right: float
    wrong: float  # what the fault that is looked for would give, or the nearest such answer
    look: str  # where to look if it fails
    read: Callable[[Dreamer], Tensor]

    @property
    def tolerance(self) -> float:
        """A third of the distance between right and wrong."""
        return abs(self.right - self.wrong) / 3


class Rung(NamedTuple):
    """A world, what it tests, how much training it takes, and the questions."""

    name: str
    world: type[worlds.World]
    tests: str
    model_updates: int
    both_updates: int
    questions: tuple[Question, ...]
    stoch: int = 2  # numbers, or groups of classes, in z
    kl_scale: float = 0.01


REWARD_HEAD = "the reward head: is its loss part of the total, with a weight above 0, and is the reward scaled exactly once?"
WHICH_ROW = (
    "what the reward head reads: r_t belongs to s_t, the state of the row it arrives with, and s_t must hold o_t (encoder and posterior)"
)
H_CHAIN = "the h chain: h_t = f(h_{t-1}, z_{t-1}, a_{t-1}) must be given the old h, start at 0 only on first rows, and keep its gradient"
DREAM_STEP = "the dream step: watching remembers but dreaming forgets, so does it use the same f, and does the KL train the prior?"
PRIOR = "the prior: the KL must train it to cover every outcome, each as often as it happens"
SAMPLE = "how the dream draws z: a sample of the prior, with fresh noise at every step, never its mean or mode"
ACTION = "what enters f: the action that left the row before, in training and in the dream alike"
ACTOR = (
    "the actor: the model knows what the lever does, so look at the sign of the actor's loss, at what its optimiser holds, "
    "and whether the target critics it reads follow the others"
)
LIMIT = "the continue target: it is 0 only where the episode was terminated, never for a time limit"
CREDIT = "the way from a late reward to an early action: the critic's bootstrap and what the actor climbs"
TARGET = "the critic's target: r + gamma c Q(s', a') with s' the next state, this gamma, once per step, and target critics that follow"
ENDING = "the continue head: is its loss part of the total, and does it read the row on which the episode ended?"
CONT = "the critic's target: gamma must be multiplied by the continue probability of the state reached"


def mirror(number: float) -> Question:
    """What reward is read off a row that shows `number`, after another row."""
    return Question(
        f"reward of a row that shows {number:+.1f}", number, 0.0, WHICH_ROW, lambda agent: reward(agent, watch(agent, [[0.0], [number]]))
    )


def memory(cue: float) -> tuple[Question, Question]:
    """What reward is expected of row 4 after `cue` on row 0: with all rows seen, and dreamt from row 0 on."""
    rows = [[cue, 0.0], [0.0, 0.25], [0.0, 0.5], [0.0, 0.75], [0.0, 1.0]]
    return (
        Question(f"reward on row 4, cue {cue:+.0f}, rows watched", cue, 0.0, H_CHAIN, lambda agent: reward(agent, watch(agent, rows))),
        Question(
            f"reward on row 4, cue {cue:+.0f}, rows dreamt",
            cue,
            0.0,
            DREAM_STEP,
            lambda agent: reward(agent, dream(agent, watch(agent, rows[:1]), 4)),
        ),
    )


def toss(agent: Dreamer) -> Tensor:
    """Rewards of a toss that nobody has seen yet."""
    return reward(agent, dream(agent, watch(agent, [[0.0], [1.0]]), 2))


def lever(sign: float) -> tuple[Question, Question, Question]:
    """What the model expects of the best action and of its opposite, and what the actor does."""

    def seen(agent: Dreamer) -> Carry:
        return watch(agent, [[-sign], [sign]])

    def dreamt(action: float, right: float) -> Question:
        return Question(
            f"reward dreamt, sign {sign:+.0f}, action {action:+.1f}",
            right,
            AVERAGE,
            ACTION,
            lambda agent: reward(agent, dream(agent, seen(agent), 1, action)),
        )

    return (
        dreamt(sign / 2, 1.0),
        dreamt(-sign / 2, 0.0),
        Question(
            f"share of actions on its side, sign {sign:+.0f}",
            1.0,
            0.5,
            ACTOR,
            lambda agent: (sign * choice(agent, seen(agent)) > 0).float(),
        ),
    )


DELAY_ROWS = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]


def delay(row: int) -> Question:
    """The value of row 1 or 2 when every action is 1; wrong is one discount too many."""
    right = GAMMA ** (2 - row) / (1 - GAMMA)
    return Question(
        f"value on row {row}", right, GAMMA * right, TARGET, lambda agent: value(agent, watch(agent, DELAY_ROWS[: row + 1], 1.0))
    )


def ending(row: int) -> Question:
    """The value of a row before the end on row 3; wrong is what it would be if there were no end."""
    right = sum(GAMMA**step for step in range(3 - row))
    return Question(f"value on row {row}", right, 1 / (1 - GAMMA), CONT, lambda agent: value(agent, clock(agent, row)))


def clock(agent: Dreamer, row: int) -> Carry:
    """What is believed on a row of the world that ends."""
    return watch(agent, [[number / 3] for number in range(row + 1)])


RUNGS = (
    Rung(
        "constant",
        worlds.Constant,
        "reward head",
        60,
        0,
        (
            Question(
                "reward dreamt 3 steps ahead", 1.0, 0.0, REWARD_HEAD, lambda agent: reward(agent, dream(agent, watch(agent, [[0.0]]), 3))
            ),
        ),
    ),
    Rung("observation", worlds.Mirror, "encoder, posterior, and the row the reward head reads", 120, 0, (mirror(0.5), mirror(-0.5))),
    Rung("memory", worlds.Memory, "h, from row to row and in the dream", 320, 0, (*memory(1.0), *memory(-1.0))),
    # z is one number: two that both tell heads from tails would be torn apart by a prior that draws them independently. And the KL
    # weighs more: a light one puts heads and tails fifty standard deviations apart, and the tails of a Normal prior over both reach
    # where the reward head was never trained.
    Rung(
        "chance",
        worlds.Coin,
        "z, sampled from the prior",
        200,
        0,
        (
            Question("standard deviation of a coming toss", 0.5, 0.0, SAMPLE, lambda agent: toss(agent).std(correction=0)),
            Question("its mean", 0.5, 1.0, PRIOR, toss),
        ),
        stoch=1,
        kl_scale=0.3,
    ),
    Rung("action", worlds.Lever, "action on its way into f; actor", 100, 120, (*lever(1.0), *lever(-1.0))),
    Rung(
        "horizon",
        worlds.Delay,
        "critic, bootstrap, discount; time limit",
        160,
        120,
        (
            Question("chance to go on at the time limit", 1.0, 0.5, LIMIT, lambda agent: goes_on(agent, watch(agent, DELAY_ROWS, 1.0))),
            Question("action chosen on row 0", 1.0, 0.0, CREDIT, lambda agent: choice(agent, watch(agent, DELAY_ROWS[:1]))),
            delay(2),
            delay(1),
        ),
    ),
    Rung(
        "ending",
        worlds.Ending,
        "continue head, and its use in the target",
        60,
        90,
        (
            Question("chance to go on, dreamt, on row 2", 1.0, 0.0, ENDING, lambda agent: goes_on(agent, dream(agent, clock(agent, 1), 1))),
            Question("chance to go on, dreamt, on row 3", 0.0, 1.0, ENDING, lambda agent: goes_on(agent, dream(agent, clock(agent, 2), 1))),
            ending(2),
            ending(1),
        ),
    ),
)


# --- climbing -------------------------------------------------------------------------------------


class Answer(NamedTuple):
    """A question and what an agent made of it."""

    question: Question
    measured: float

    @property
    def passed(self) -> bool:
        return abs(self.measured - self.question.right) <= self.question.tolerance  # not so for nan


class Result(NamedTuple):
    """A rung and its answers."""

    rung: Rung
    answers: tuple[Answer, ...]

    @property
    def passed(self) -> bool:
        return all(answer.passed for answer in self.answers)

    @property
    def look(self) -> str | None:
        """Where to look: what the first failed question says; None if all passed."""
        return next((answer.question.look for answer in self.answers if not answer.passed), None)


def settings(rung: Rung, preset: str = "dropin", latent: str = "gaussian", seed: int = 0) -> Config:
    """The configuration for a rung: small sizes and fast rates; what is not named stays as in the preset.

    Raises:
        ConfigError: there is no such preset or kind of z, or the preset's critic is no q(s, a), which the rungs ask.
    """
    if preset == "dreamerv3":
        raise ConfigError("the ladder asks v1's critics q(s, a), and the preset dreamerv3 has v(s): climb it with dropin or advantage")
    score = preset == "advantage"
    return from_dict(
        {
            "preset": preset,
            "env": f"Probe{rung.world.__name__}-v0",
            "env_steps": STEPS,
            "seed": seed,
            "device": "cpu",
            "model": dict(
                latent=latent, stoch=rung.stoch, kl_scale=rung.kl_scale, classes=8, deter=32, units=48, lr=6e-3, reward_scale=1.0,
                overshoot=0,
            ),
            "replay": dict(batch=32, length=8, start="mixed"),
            "imagination": dict(starts=128, start_rows=4, horizon=4),
            "sac": dict(
                gamma=GAMMA, alpha=0.0, alpha_final=0.0, reward_scale=2.0, reward_unit="fixed", units=48, polyak=0.9, critic_lr=5e-3,
                actor_lr=1e-3, batch=0 if score else 256, actor_out_scale=0.01, mean_limit=3.0,
            ),
            "schedule": dict(
                prefill=STEPS, hold=3, pretrain_model=rung.model_updates, pretrain_both=rung.both_updates, sac_updates=1 if score else 2
            ),
            "evaluation": dict(episodes=1),
        }
    )  # fmt: skip


def attempt(rung: Rung, config: Config, build: Build = Dreamer) -> Result:
    """Train a new agent on random steps in the rung's world, then ask. torch's generator is left as it was found."""
    with torch.random.fork_rng(devices=[]), Trainer(config) as trainer:
        space, actions = trainer.env.observation_space, trainer.env.action_space
        trainer.agent = build(config, space.shape[0], actions.shape[0])
        trainer.carry = trainer.agent.initial(1)
        for _ in trainer.run():
            pass
        with torch.no_grad():
            return Result(rung, tuple(Answer(question, float(question.read(trainer.agent).mean())) for question in rung.questions))


def climb(
    build: Build = Dreamer, preset: str = "dropin", latent: str = "gaussian", seed: int = 0, rungs: Iterable[Rung] = RUNGS
) -> Iterator[Result]:
    """Try one rung after the other, each with a new agent; stop listening after the first failure, if you like.

    Args:
        build: called as build(config, O, A) for each rung; returns an agent with the parts and methods of `Dreamer`.
        preset: "dropin" or "advantage". latent: "gaussian" or "categorical".

    Raises:
        ConfigError: there is no such preset or kind of z. EnvError: the agent's numbers are no longer finite.
    """
    for rung in rungs:
        yield attempt(rung, settings(rung, preset, latent, seed), build)


# --- saying it ------------------------------------------------------------------------------------

ROW = "{:<40} {:>7} {:>7} {:>7} {:>9}  {}"


def header() -> str:
    """The names of the columns of `lines`."""
    return ROW.format("", "right", "+-", "wrong", "measured", "").rstrip()


def lines(result: Result) -> str:
    """A rung as a few lines of text: what it tests, each answer, and where to look if one is wrong."""
    rows = [f"{result.rung.name}: {result.rung.tests}"]
    for question, measured in result.answers:
        numbers = (f"{number:.2f}" for number in (question.right, question.tolerance, question.wrong, measured))
        rows.append(ROW.format(f"  {question.what}", *numbers, "pass" if Answer(question, measured).passed else "FAIL"))
    if result.look:
        rows.append(f"  Look at {result.look}")
    return "\n".join(rows)


# --- the command ----------------------------------------------------------------------------------


@dataclasses.dataclass
class Arguments:
    """Find out which part of a Dreamer is broken, on seven worlds with known answers. Exit status 1 if a rung failed."""

    agent: Annotated[str, tyro.conf.arg(metavar="FILE:NAME")] = "dreamer_core.agent:Dreamer"
    """The agent to test: a module in this folder and a class or function in it, called with the configuration, O and A."""
    preset: Literal["dropin", "advantage"] = "dropin"
    """The reading of v1 whose actor and critic are trained."""
    latent: Literal["gaussian", "categorical"] = "gaussian"
    """The kind of z."""
    seed: int = 0
    """Seed of every random choice."""
    all: bool = False
    """Go on after a failed rung; what stands on it may fail for the same reason."""


def load(name: str) -> Build:
    """The class or function that "module:name" means.

    Raises:
        ConfigError: there is none.
    """
    module, _, attribute = name.partition(":")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"there is no agent {name!r} ({error}): name a module of this folder and a class in it, as in my_file:MyDreamer"
        ) from None
    if not callable(found):
        raise ConfigError(f"{name} is not an agent: name a class, or a function that returns one")
    return found


def parse(words: list[str]) -> Arguments:
    """Arguments from the command line.

    Raises:
        ConfigError: a flag does not exist, or its value is wrong. SystemExit: after printing --help.
    """
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(Arguments, prog="python -m dreamer_core.yardsticks.ladder", args=words)
    except SystemExit as error:
        if not error.code:
            raise
        raise ConfigError(one_sentence(error, complaint.getvalue())) from None


def main(words: list[str] | None = None) -> None:
    """Run the command line; exits with 1 if a rung failed, with 2 and one sentence for a mistake on the line."""
    failed = []
    try:
        arguments = parse(sys.argv[1:] if words is None else words)
        build = load(arguments.agent)
        print(header())
        for result in climb(build, arguments.preset, arguments.latent, arguments.seed):
            print(lines(result), flush=True)
            if not result.passed:
                failed.append(result)
                if not arguments.all:
                    break
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if failed:
        print(f"\nThe lowest failed rung is {failed[0].rung.name}: start there, what stands on it may fail for the same reason.")
        raise SystemExit(1)
    print(f"\nAll {len(RUNGS)} rungs hold.")


if __name__ == "__main__":
    main()

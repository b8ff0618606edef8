"""Is this function a cure? A learner's function in the place of the sick one, judged as any exercise of the course is.

Where an exercise asks for the same function, that exercise judges it. For the few functions that no exercise
asks for there is a `Trial`: it calls the function on tensors, so that the second look of the classroom compares
it with the core's on seeded inputs.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dreamer_core.classroom.judge import Verdict, judge
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake
from dreamer_core.clinic.faults import Fault, right_function
from dreamer_core.config import ReplayConfig, WorldModelConfig
from dreamer_core.replay import LatentReplay, Window
from dreamer_core.rssm import RSSM
from dreamer_core.world_model import WorldModel

ROWS, BATCH, LENGTH, SEEN, DONE = 24, 3, 5, 4, 2  # rows of a buffer; windows, their rows; entries of observation and action
SIZES = WorldModelConfig(deter=6, stoch=3, units=8, overshoot=0)


class Trial(NamedTuple):
    """How a function of the core is called on tensors alone."""

    call: Callable[..., Any]
    """Given the function and tensors: what came of it, as tensors."""
    inputs: Callable[[Draw], tuple]
    """The tensors."""
    gradients: bool = True
    """Whether the result has a gradient that counts."""


def cut_windows(window: Callable, observation: Tensor, action: Tensor, reward: Tensor, first: Tensor) -> dict[str, Tensor]:
    """What `LatentReplay.window` cuts from a buffer of these rows."""
    replay = LatentReplay(ReplayConfig(capacity=ROWS - 4), SEEN, DONE, SIZES.deter, SIZES.stoch)
    for number, row in enumerate(observation):
        h, z = torch.full((SIZES.deter,), float(number)), torch.zeros(SIZES.stoch)
        replay.add(observation=row, reward=float(reward[number]), first=bool(first[number]), terminal=number % 7 == 6, h=h, z=z)
        replay.set_action(action[number])
    replay.reward_unit = 2.0
    return Window(*window(replay, torch.tensor([4, 9, 15]), LENGTH))._asdict()


def seeded(make: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """A network whose first weights are always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def believe(observe: Callable, h0: Tensor, embed: Tensor, action: Tensor, first: Tensor, noise: Tensor) -> tuple:
    """What `RSSM.observe` makes of a window."""
    return tuple(observe(seeded(lambda: RSSM(SIZES, SIZES.units, DONE)), h0, embed, action, first, noise))


def believe_what_is_seen(
    observe: Callable, observation: Tensor, action: Tensor, first: Tensor, h: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What `WorldModel.observe` makes of a window."""
    nothing, index = torch.zeros(BATCH, LENGTH), torch.arange(BATCH * LENGTH).unflatten(0, (BATCH, LENGTH))
    window = Window(observation, action, nothing, first, nothing, h, index)
    return tuple(observe(seeded(lambda: WorldModel(SIZES, SEEN, DONE)), window, noise))


def rates_and_step(make: Callable, rates: Tensor) -> list[Tensor]:
    """The rates of the optimisers that `make_optimizer` makes, and a step of each."""
    found = []
    for count in (1, 2):
        params = [torch.nn.Parameter(torch.ones(3)) for _ in range(count)]
        optimizer = make([{"params": [param], "lr": float(rate)} for param, rate in zip(params, rates)])
        found.append(torch.tensor([group["lr"] for group in optimizer.param_groups]))
        sum((number * param).sum() for number, param in enumerate(params, 1)).backward()
        optimizer.step()
        found += [param.detach() for param in params]
    return found


def two_steps(descend: Callable, wanted: Tensor, other: Tensor) -> list[Tensor]:
    """Where two steps of `descend` lead, on a loss of its own each, and the norms that they report."""
    param, found = torch.nn.Parameter(torch.zeros(3)), []
    optimizer = torch.optim.SGD([param], lr=0.1)
    for target in (wanted, other):
        found += [torch.as_tensor(norm) for norm in descend((param - target).square().sum(), optimizer, 1.5)]
        found.append(param.detach().clone())
    return found


def window_inputs(draw: Draw) -> tuple:
    """Rows of a buffer, as data."""
    return tuple(map(draw.data, (draw.normal(ROWS, SEEN), draw.uniform(-1, 1, ROWS, DONE), draw.normal(ROWS), draw.mask(ROWS, share=0.2))))


def belief_inputs(draw: Draw) -> tuple:
    """A window for the RSSM, with episodes that start inside."""
    first, noise = draw.data(draw.mask(BATCH, LENGTH, share=0.3)), draw.data(draw.normal(BATCH, LENGTH, SIZES.stoch))
    embed, action = draw.normal(BATCH, LENGTH, SIZES.units), draw.uniform(-1, 1, BATCH, LENGTH, DONE)
    return draw.normal(BATCH, SIZES.deter), embed, action, first, noise


def seen_inputs(draw: Draw) -> tuple:
    """The same for the world model, which encodes by itself."""
    h, _, action, first, noise = belief_inputs(draw)
    return draw.normal(BATCH, LENGTH, SEEN), action, first, h, noise


TRIALS: dict[str, Trial] = {
    "dreamer_core.replay:LatentReplay.window": Trial(cut_windows, window_inputs, gradients=False),
    "dreamer_core.rssm:RSSM.observe": Trial(believe, belief_inputs),
    "dreamer_core.world_model:WorldModel.observe": Trial(believe_what_is_seen, seen_inputs),
    "dreamer_core.optimize:make_optimizer": Trial(rates_and_step, lambda draw: (draw.data(draw.uniform(1e-3, 1e-2, 2)),), gradients=False),
    "dreamer_core.optimize:descend": Trial(two_steps, lambda draw: (draw.data(draw.normal(3)), draw.data(draw.normal(3))), gradients=False),
}


def judge_cure(fault: Fault, function: Callable) -> Verdict:
    """Whether the function does what the core's own does at the fault's target, and if not, what it does wrong."""
    exercise = next((exercise for exercise in EXERCISES.values() if exercise.target == fault.target), None)
    if exercise is not None:
        return judge(exercise, function)
    trial = TRIALS[fault.target]

    @functools.wraps(function)  # so that a crash is told with the learner's own line
    def on_tensors(*tensors):
        return trial.call(function, *tensors)

    return judge(as_exercise(fault, trial), on_tensors)


def as_exercise(fault: Fault, trial: Trial) -> Exercise:
    """What the judge asks: the trial, with the fault itself as the mistake that has a name."""
    right = right_function(fault.target)
    return Exercise(
        id="cure",
        title=fault.target.split(":")[1],
        minutes=10,
        difficulty=2,
        importance=2,
        reference=functools.partial(trial.call, right),
        target=None,
        observe=lambda function: {},
        expected=dict,
        mistakes=(Mistake(fault.name, functools.partial(trial.call, fault.wrong(right)), f"This is still the fault: {fault.sentence}"),),
        hints=(fault.cure_hint,),
        looks=(Look("seeded inputs", trial.inputs),),
        gradients=trial.gradients,
    )

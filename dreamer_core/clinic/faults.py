"""Single faults, each of a kind that public code really had, as small wrong functions in the place of one of the core's.

    with suffering(FAULTS["kl_reversed"]):
        ...     # here the core computes KL[p || q] where it should compute KL[q || p]

A fault is put in place as a learner's own function is (`classroom/transplant.py`): no file changes, and
afterwards everything is as it was. The wrong function is given the right one, and most only change what goes
into it or what comes out, so that a fault stays a fault when the core is written anew.

Three grades: a *visible* fault spoils a curve that one looks at anyway; a *misleading* one spoils a curve of
another part than its own; an *invisible* one leaves the return as good as before, or nearly, and the world or
the seed gets the blame for the rest.
"""

import functools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch

from dreamer_core.classroom import transplant
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.rssm import RSSM
from dreamer_core.trajectories import Trajectories

ORGANS = (
    "replay",
    "recurrence",
    "heads and loss",
    "latent",
    "dream",
    "critic",
    "actor",
    "acting and evaluating",
    "optimiser",
)
GRADES = ("visible", "misleading", "invisible")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an agent."""

    name: str
    """A short identifier, which a diagnosis gives."""
    organ: str
    """The part of the agent that is sick, one of `ORGANS`."""
    grade: str
    """How it shows, one of `GRADES`."""
    target: str
    """The function of the core that is wrong, "module:function" or "module:Class.method"."""
    wrong: Callable[[Callable], Callable]
    """Given the right function, the wrong one."""
    sentence: str
    """What is wrong."""
    symptom: str
    """What it looks like in a plot."""
    cure_hint: str
    """Which function to write, and what it promises."""
    seen: str
    """Where faults of this kind were met."""
    plain_loop: bool = False
    """The batched unroll of the RSSM goes around this fault: with it the agent runs the plain loop."""
    presets: tuple[str, ...] = ("dropin", "advantage")
    """The presets that run the wrong function."""
    ends: bool = False
    """Nothing is wrong in a world whose episodes never truly end."""


class Applied(NamedTuple):
    """A fault that is in place, and what is to be put back."""

    fault: Fault
    before: Callable
    batched: bool


applied: list[Applied] = []  # one at most


@contextmanager
def suffering(fault: Fault | None) -> Iterator[None]:
    """For this block the core runs the fault, everywhere and under every name; None: no fault.

    Inside another such block, the inner one counts, and afterwards the outer one again.
    """
    before = applied[0].fault if applied else None
    if fault is before:
        yield
        return
    put_in_place(fault)
    try:
        yield
    finally:
        put_in_place(before)


def put_in_place(fault: Fault | None) -> None:
    """Take out the fault that is in place, and put in this one."""
    if applied:
        last = applied.pop()
        transplant.swap(last.fault, last.before)
        RSSM.batched = last.batched
    if fault is not None:
        right = right_function(fault.target)
        applied.append(Applied(fault, transplant.current(fault), RSSM.batched))
        transplant.swap(fault, functools.wraps(right)(fault.wrong(right)))
        RSSM.batched = RSSM.batched and not fault.plain_loop


def right_function(target: str) -> Callable:
    """The course's own function at a target, also where a learner's runs now."""
    for exercise in EXERCISES.values():
        if exercise.target == target:
            return exercise.reference
    return transplant.current(Place(target))


class Place(NamedTuple):
    """A function of the core, by where it stands."""

    target: str


# --- replay -----------------------------------------------------------------------------------------


def next_rows_reward(right: Callable) -> Callable:
    """Each row comes with the reward that arrives one row later."""

    def part(replay, start, length):
        window = right(replay, start, length)
        index = (window.index + 1).clamp(max=replay.count - 1)
        return window._replace(reward=replay.read("reward", index) / replay.reward_unit)

    return part


def limit_is_end(right: Callable) -> Callable:
    """A time limit is stored as an end."""

    def part(terminated, truncated):
        over, _ = right(terminated, truncated)
        return over, over

    return part


def few_rows(right: Callable) -> Callable:
    """Only the oldest rows of the buffer are ever drawn."""

    def part(draw, rows, length):
        return right(draw % max(1, rows // 8), rows, length)

    return part


def one_row_early(right: Callable) -> Callable:
    """Refreshed states are stored one row before the row that they belong to."""

    def part(index, h, z):
        index, h, z = right(index, h, z)
        return index - 1, h, z

    return part


# --- recurrence -------------------------------------------------------------------------------------


def seam_ignored(right: Callable) -> Callable:
    """Only a window's first row may start an episode."""

    def part(rssm, h0, embed, action, first, noise):
        only_there = torch.zeros_like(first)
        only_there[:, 0] = first[:, 0]
        return right(rssm, h0, embed, action, only_there, noise)

    return part


def action_of_its_own_row(right: Callable) -> Callable:
    """h of a row hears the action that leaves the row, not the one that led to it."""

    def part(rssm, h0, embed, action, first, noise=None):
        return right(rssm, h0, embed, torch.cat([action[:, 1:], action[:, -1:]], 1), first, noise)

    return part


# --- heads and loss ---------------------------------------------------------------------------------


def mean_over_entries(right: Callable) -> Callable:
    """The mean over the last axis in the place of the sum."""

    def part(prediction, target):
        return right(prediction, target) / target.shape[-1]

    return part


# --- latent -----------------------------------------------------------------------------------------


def heads_read_data(right: Callable) -> Callable:
    """z reaches the heads without its gradient."""

    def part(model, window, noise=None):
        beliefs = right(model, window, noise)
        return beliefs._replace(z=beliefs.z.detach())

    return part


def other_way_round(right: Callable) -> Callable:
    """KL[p || q]."""

    def part(mean_q, std_q, mean_p, std_p):
        return right(mean_p, std_p, mean_q, std_q)

    return part


def all_is_free(right: Callable) -> Callable:
    """Free nats above everything that the KL reaches."""

    def part(kl_dyn, kl_rep, balance, free_nats):
        return right(kl_dyn, kl_rep, balance, 1000 * free_nats)

    return part


# --- dream ------------------------------------------------------------------------------------------


def same_noise(right: Callable) -> Callable:
    """Each dream draws its noise once, for all of its steps."""

    @torch.no_grad()
    def part(model, actor, h, z, weight, horizon):
        states, actions = [torch.cat([h, z], -1)], []
        noise = model.rssm.latent.noise(len(h), device=h.device)
        for _ in range(horizon):
            pre_tanh = actor.draw(states[-1])
            h, z = model.rssm.dream_step(h, z, actor.squash(pre_tanh), noise)
            states.append(torch.cat([h, z], -1))
            actions.append(pre_tanh)
        state = torch.stack(states, 1)  # (N, H + 1, F)
        reward, _ = model.predict_reward(state[:, 1:])
        cont = torch.sigmoid(model.predict_continue(state[:, 1:]))
        return Trajectories(state, torch.stack(actions, 1), reward, cont, weight)

    return part


def also_after_the_end(right: Callable) -> Callable:
    """Dreams that leave a last row count like all others."""

    def part(h, z, terminal):
        return right(h, z, torch.zeros_like(terminal))

    return part


def no_chance(right: Callable) -> Callable:
    """z is the most likely one of its prior."""

    def part(rssm, h, z, action, noise):
        return right(rssm, h, z, action, torch.zeros_like(noise))

    return part


# --- critic -----------------------------------------------------------------------------------------


def never(right: Callable) -> Callable:
    """The target critics stay what they were."""

    def part(target, source, polyak):
        return right(target, source, 1.0)

    return part


def at_once(right: Callable) -> Callable:
    """The target critics are a copy of the fast ones."""

    def part(target, source, polyak):
        return right(target, source, 0.0)

    return part


def past_the_end(right: Callable) -> Callable:
    """What follows an end is worth as much as anywhere."""

    def part(reward, cont, value, bonus, gamma, lam):
        return right(reward, torch.ones_like(cont), value, bonus, gamma, lam)

    return part


# --- actor ------------------------------------------------------------------------------------------


def of_u_alone(right: Callable) -> Callable:
    """log N(u), as if u were the action."""

    def part(noise, log_std, pre_tanh):
        return (-0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    return part


def bonus_besides(right: Callable) -> Callable:
    """An entropy bonus beside the soft value, which holds one."""

    def part(q, state, action, alpha, weight):
        return right(q, state, action, alpha, weight) + alpha * (action.log_prob * weight).mean()

    return part


def with_its_gradient(right: Callable) -> Callable:
    """The advantage as a function of the actor."""

    def part(returns, log_prob, baseline, alpha):
        return right(returns, log_prob, baseline, alpha) - alpha * (log_prob - log_prob.detach())

    return part


# --- acting and evaluating --------------------------------------------------------------------------


def raw_units(right: Callable) -> Callable:
    """The encoder is given the environment's units, which it never learned to read."""

    def part(model, actor, carry, observation, first, explore):
        return right(model, actor, carry, observation * model.scale + model.centre, first, explore)

    return part


def always_drawn(right: Callable) -> Callable:
    """z and action are drawn, also where the most likely ones are asked for."""

    def part(model, actor, carry, observation, first, explore):
        return right(model, actor, carry, observation, first, True)

    return part


# --- optimiser --------------------------------------------------------------------------------------


def times_rate(number: int, factor: float, groups_of: int) -> Callable[[Callable], Callable]:
    """The rate of one group of parameters times a factor, in optimisers of so many groups: 2 are the actor-critic's, 1 the model's."""

    def wrong(right: Callable) -> Callable:
        def part(groups, config=None):
            if len(groups) == groups_of:
                groups = [group | {"lr": factor * group["lr"]} if at == number else group for at, group in enumerate(groups)]
            return right(groups, config)

        return part

    return wrong


def gradients_pile_up(right: Callable) -> Callable:
    """No step forgets the gradients of the steps before it."""

    def part(loss, optimizer, clip_norm):
        params = [param for group in optimizer.param_groups for param in group["params"]]
        kept = [None if param.grad is None else param.grad.clone() for param in params]
        past = sum(((grad * param).sum() for grad, param in zip(kept, params) if grad is not None), torch.zeros((), device=loss.device))
        return right(loss + past, optimizer, clip_norm)

    return part


ALL = (
    Fault(
        name="reward_row_early",
        organ="replay",
        grade="invisible",
        target="dreamer_core.replay:LatentReplay.window",
        wrong=next_rows_reward,
        sentence="Each row comes with the reward that arrives one row later.",
        symptom="The reward loss stays above its floor while the observation loss falls: the model is asked for what it cannot know yet.",
        cure_hint="LatentReplay.window(replay, start, length): windows whose row t holds the reward that came with o_t, over reward_unit.",
        seen="One row off: github.com/yusukeurakami/dreamer-pytorch, issue 5; asked in github.com/ray-project/ray, issue 31009.",
    ),
    Fault(
        name="limit_is_end",
        organ="replay",
        grade="misleading",
        target="dreamer_core.trainer:ending",
        wrong=limit_is_end,
        sentence="The row at which a time limit stops an episode is stored as an end.",
        symptom="The continue loss never reaches 0, and values are nearer to 0 than the rewards say.",
        cure_hint="ending(terminated, truncated): whether the episode is over, and whether nothing can follow.",
        seen="github.com/rail-berkeley/hil-serl, issue 20, and many others since gymnasium gave the two flags names of their own.",
    ),
    Fault(
        name="few_rows",
        organ="replay",
        grade="visible",
        target="dreamer_core.replay:free_starts",
        wrong=few_rows,
        sentence="The buffer only ever hands out windows that start in its oldest eighth.",
        symptom="All losses fall very low, and the return does not move: the model knows few rows by heart.",
        cure_hint="free_starts(draw, rows, length): where windows start, for numbers drawn from 0 .. rows - 1; none sticks out at the end.",
        seen="Another slip of the same kind, a buffer called full too early: github.com/assume-framework/assume, pull request 855.",
    ),
    Fault(
        name="written_one_row_early",
        organ="replay",
        grade="invisible",
        target="dreamer_core.replay:recomputed",
        wrong=one_row_early,
        sentence="Refreshed states are written to the row before their own.",
        symptom="The first rows of a window fit worse than the later ones, and nothing else looks wrong.",
        cure_hint="recomputed(index, h, z): rows and states of a window that may be stored, all but its first, without gradient.",
        seen="A recurrent state read one row off: github.com/google-deepmind/acme, issue 259 (R2D2).",
    ),
    Fault(
        name="seam_ignored",
        organ="recurrence",
        grade="invisible",
        target="dreamer_core.rssm:RSSM.observe_plain",
        wrong=seam_ignored,
        sentence="Where an episode starts in the middle of a window, h is carried over from the episode before.",
        symptom="The KL has peaks at episode starts, where the prior foretells the old episode and the new one comes.",
        cure_hint="RSSM.observe_plain(rssm, h0, embed, action, first, noise): beliefs row by row, h zeroed wherever `first` is 1.",
        seen="Found and mended in github.com/epignatelli/navix, pull request 152.",
        plain_loop=True,
    ),
    Fault(
        name="action_of_its_own_row",
        organ="recurrence",
        grade="misleading",
        target="dreamer_core.rssm:RSSM.observe",
        wrong=action_of_its_own_row,
        sentence="h_t is computed with a_t, the action that leaves row t, in the place of a_{t-1}.",
        symptom="Losses fall, dreams leave reality within a step or two whenever the action changes.",
        cure_hint="RSSM.observe(rssm, h0, embed, action, first, noise): beliefs of a window, h_t from h_{t-1}, z_{t-1} and a_{t-1}.",
        seen="Found and mended in github.com/epignatelli/navix, pull request 152: losses fell all the same.",
    ),
    Fault(
        name="mean_over_entries",
        organ="heads and loss",
        grade="invisible",
        target="dreamer_core.nets:squared_error",
        wrong=mean_over_entries,
        sentence="The observation's error is averaged over its entries, where it should be summed.",
        symptom="The observation loss looks better than it is, and the KL is lower than it should be: z says less.",
        cure_hint="squared_error(prediction, target): half the squared error, summed over the last axis.",
        seen="github.com/AppliedDataSciencePartners/WorldModels, issue 12: means for sums, and z said nothing.",
    ),
    Fault(
        name="heads_read_data",
        organ="latent",
        grade="visible",
        target="dreamer_core.world_model:WorldModel.observe",
        wrong=heads_read_data,
        sentence="z is cut from its gradient for the heads too, so only the KL trains the encoder.",
        symptom="The KL falls towards 0 and the observation loss stays where it was: z says nothing.",
        cure_hint="WorldModel.observe(model, window, noise): beliefs of a window whose z carries its gradient.",
        seen="A gradient cut before it reaches an encoder: github.com/lucidrains/CoCa-pytorch, issue 6.",
    ),
    Fault(
        name="kl_reversed",
        organ="latent",
        grade="invisible",
        target="dreamer_core.latents:gaussian_kl",
        wrong=other_way_round,
        sentence="The KL is taken the wrong way round, KL[p || q].",
        symptom="The prior is surer than it may be: its entropy lies too low against the posterior's.",
        cure_hint="gaussian_kl(mean_q, std_q, mean_p, std_p): KL[q || p] in nats, summed over the last axis.",
        seen="Prior and posterior exchanged: github.com/juliusfrost/dreamer-pytorch, pull request 78.",
    ),
    Fault(
        name="all_is_free",
        organ="latent",
        grade="visible",
        target="dreamer_core.latents:balanced_kl",
        wrong=all_is_free,
        sentence="So many nats are free that the KL never trains the prior.",
        symptom="The measured KL stays high and the prior's entropy does not fall, while every loss looks good; the return lags.",
        cure_hint="balanced_kl(kl_dyn, kl_rep, balance, free_nats): both terms clipped below at free_nats, mixed by balance.",
        seen="What exactly is free is asked again and again: github.com/danijar/dreamer, issues 44, 53 and 56 (no fault there).",
    ),
    Fault(
        name="same_noise",
        organ="dream",
        grade="invisible",
        target="dreamer_core.imagine:imagine",
        wrong=same_noise,
        sentence="Every dream uses one and the same noise in all of its steps.",
        symptom="Dreams from one start spread too far: each is lucky, or unlucky, at every step.",
        cure_hint="imagine(model, actor, h, z, weight, horizon): dreams with fresh noise at every step.",
        seen="No public report of exactly this was found; it stands here because it is easily written.",
    ),
    Fault(
        name="also_after_the_end",
        organ="dream",
        grade="invisible",
        target="dreamer_core.agent:dream_starts",
        wrong=also_after_the_end,
        sentence="Dreams that start on an episode's last row count like all others.",
        symptom="Values at an episode's end wander, since the critic learns from dreams of what cannot happen.",
        cure_hint="dream_starts(h, z, terminal): states of the last row, and a weight that is 0 where the episode is over.",
        seen="What prevents it is asked about in github.com/danijar/dreamer, issue 46 (no fault there).",
        ends=True,
    ),
    Fault(
        name="no_chance",
        organ="dream",
        grade="invisible",
        target="dreamer_core.rssm:RSSM.dream_step",
        wrong=no_chance,
        sentence="Dreams take the most likely z at each step, and never a sample.",
        symptom="All dreams from one start with the same actions are the same dream.",
        cure_hint="RSSM.dream_step(rssm, h, z, action, noise): the next h, and z sampled from its prior with this noise.",
        seen="A dream that does not go on with a fresh sample: github.com/Eclectic-Sheep/sheeprl, issue 272 (in a notebook).",
    ),
    Fault(
        name="target_never_moves",
        organ="critic",
        grade="visible",
        target="dreamer_core.sac:ema_update",
        wrong=never,
        sentence="The target critics are never updated.",
        symptom="The critic's loss falls quickly to its floor, the value stands still, and the return does not rise.",
        cure_hint="ema_update(target, source, polyak): target <- polyak * target + (1 - polyak) * source, in place.",
        seen="github.com/thesouther/MARL, issue 8 (the target was loaded with itself); github.com/higgsfield-ai/higgsfield, issue 14.",
    ),
    Fault(
        name="target_copied",
        organ="critic",
        grade="misleading",
        target="dreamer_core.sac:ema_update",
        wrong=at_once,
        sentence="The target critics are a fresh copy of the fast ones after every update.",
        symptom="The critic's loss and value are rough, and the return stumbles after it was good.",
        cure_hint="ema_update(target, source, polyak): target <- polyak * target + (1 - polyak) * source, in place.",
        seen="One network under both names: github.com/andri27-ts/Reinforcement-Learning, issue 14.",
    ),
    Fault(
        name="past_the_end",
        organ="critic",
        grade="visible",
        target="dreamer_core.returns:lambda_return",
        wrong=past_the_end,
        sentence="The critic's target ignores the continue probability, so what follows an end still counts.",
        symptom="The value is high where an end is near, and the agent runs into ends: the return stays low.",
        cure_hint="lambda_return(reward, cont, value, bonus, gamma, lam): returns in which the future is weighted by gamma * cont.",
        seen="Continue flags of the wrong rows: github.com/kc-ml2/SimpleDreamer, issue 6.",
        ends=True,
    ),
    Fault(
        name="of_u_alone",
        organ="actor",
        grade="misleading",
        target="dreamer_core.sac:squashed_log_prob",
        wrong=of_u_alone,
        sentence="The log-probability is that of u before tanh, without the term for tanh.",
        symptom="The entropy grows without a bound, and actions saturate at both ends.",
        cure_hint="squashed_log_prob(noise, log_std, pre_tanh): log pi of a = tanh(u), with the log-determinant of tanh.",
        seen="github.com/automl/Mighty, pull requests 117 and 118: a typing error switched the term off.",
    ),
    Fault(
        name="entropy_twice",
        organ="actor",
        grade="invisible",
        target="dreamer_core.sac:pathwise_actor_loss",
        wrong=bonus_besides,
        sentence="The actor's loss has an entropy bonus beside the soft value, which holds one already.",
        symptom="The policy stays more random than alpha says.",
        cure_hint="pathwise_actor_loss(q, state, action, alpha, weight): -mean[w (min Q - alpha log pi)], through the action.",
        seen="No public report of exactly this was found; it stands here because it is easily written.",
        presets=("dropin",),
    ),
    Fault(
        name="advantage_with_gradient",
        organ="actor",
        grade="invisible",
        target="dreamer_core.sac:soft_advantage",
        wrong=with_its_gradient,
        sentence="The advantage carries a gradient to the actor.",
        symptom="The policy's entropy drifts away from what alpha asks for.",
        cure_hint="soft_advantage(returns, log_prob, baseline, alpha): R - alpha log pi - b as a number, without gradient.",
        seen="github.com/jingw2/neural-combinatorial-optimization-rl, issue 1.",
        presets=("advantage",),
    ),
    Fault(
        name="raw_units",
        organ="acting and evaluating",
        grade="misleading",
        target="dreamer_core.agent:see_and_act",
        wrong=raw_units,
        sentence="While acting the encoder is given other units than while learning.",
        symptom="Losses fall and dreams look right, but the real return stays far below the imagined one.",
        cure_hint="see_and_act(model, actor, carry, observation, first, explore): the next belief and action, seen as in training.",
        seen="github.com/google-deepmind/mujoco_playground, issue 267: units were left out when the agent was tried.",
    ),
    Fault(
        name="always_drawn",
        organ="acting and evaluating",
        grade="misleading",
        target="dreamer_core.agent:see_and_act",
        wrong=always_drawn,
        sentence="Evaluation draws z and the action, where it should take the most likely ones.",
        symptom="The same agent, evaluated twice, has two returns.",
        cure_hint="see_and_act(model, actor, carry, observation, first, explore): drawn if explore, else the most likely z and action.",
        seen="github.com/rlworkgroup/garage, pull request 1617; github.com/Denys88/rl_games, issue 289.",
    ),
    Fault(
        name="actor_rate_small",
        organ="optimiser",
        grade="misleading",
        target="dreamer_core.optimize:make_optimizer",
        wrong=times_rate(number=0, factor=0.01, groups_of=2),
        sentence="The actor's learning rate is a hundred times too small.",
        symptom="Everything is learned but the policy: good dreams, a critic that fits, and a return that hardly moves.",
        cure_hint="make_optimizer(groups, config): the optimiser, each group with the rate it asks for.",
        seen="No public report of exactly this was found; it stands here because it is easily written.",
    ),
    Fault(
        name="model_rate_large",
        organ="optimiser",
        grade="visible",
        target="dreamer_core.optimize:make_optimizer",
        wrong=times_rate(number=0, factor=100, groups_of=1),
        sentence="The world model's learning rate is a hundred times too large.",
        symptom="The world model's losses jump up and stay there.",
        cure_hint="make_optimizer(groups, config): the optimiser, each group with the rate it asks for.",
        seen="No public report of exactly this was found; it stands here because it is easily written.",
    ),
    Fault(
        name="gradients_pile_up",
        organ="optimiser",
        grade="misleading",
        target="dreamer_core.optimize:descend",
        wrong=gradients_pile_up,
        sentence="The gradients of earlier steps are never set back to zero.",
        symptom="The norm of every gradient grows from update to update, and losses swing.",
        cure_hint="descend(loss, optimizer, clip_norm): one step along this loss's own gradient, clipped.",
        seen="github.com/meta-pytorch/torchforge, pull request 71; github.com/tenstorrent/tt-blacksmith, pull request 711.",
    ),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in ALL}

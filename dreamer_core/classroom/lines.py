"""How many of the lines that the agent runs are the learner's?

Counted are the lines of code (no comment, no docstring, no blank) of the functions that v1, by its defaults, calls
while it acts, learns and is evaluated. A line is replaced where the function or class it stands in is one that the
learner wrote. Configuration, environments and what keeps a run on disk are not counted: they are nobody's exercise.
Nor are other agents and the pieces behind settings that v1 leaves off.
"""

import ast
import importlib
import inspect
import io
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from dreamer_core.classroom import transplant
from dreamer_core.classroom.build import Build
from dreamer_core.classroom.spec import Exercise

RUN = {
    "nets": "TwinLinear.__init__ TwinLinear.forward bernoulli_nll gaussian_nll layer mlp normal_entropy squared_error",
    "latents": "GaussianLatent.__init__ GaussianLatent.attach GaussianLatent.both_kl GaussianLatent.entropy GaussianLatent.mode "
    "GaussianLatent.noise GaussianLatent.sample balanced_kl gaussian_kl gaussian_sample gaussian_stats",
    "rssm": "Beliefs.features RSSM.__init__ RSSM._observe_batched RSSM._unroll RSSM.dream_step RSSM.features RSSM.initial "
    "RSSM.make_recurrence RSSM.observe RSSM.observe_plain RSSM.posterior RSSM.step _HChain.backward _HChain.forward",
    "world_model": "ContinueHead.__init__ ContinueHead.logit ContinueHead.loss GaussianReward.__init__ GaussianReward.loss "
    "GaussianReward.nll GaussianReward.restate GaussianReward.stats WorldModel.__init__ WorldModel.encode WorldModel.folded "
    "WorldModel.loss WorldModel.observe WorldModel.overshoot_loss WorldModel.predict_continue WorldModel.predict_reward "
    "WorldModel.set_units WorldModel.standardized WorldModel.warm_up balanced observation_units one_loss reward_loss",
    "replay": "LatentReplay.__init__ LatentReplay.__len__ LatentReplay.add LatentReplay.read LatentReplay.sample "
    "LatentReplay.set_action LatentReplay.window LatentReplay.write_back Replay.arrivals Replay.kept free_memory free_starts "
    "recomputed writers",
    "trajectories": "Trajectories.split Trajectories.steps",
    "imagine": "imagine imagined_return",
    "returns": "alive_weight backup for_ever hoped_value lambda_return one_step_spread soft_value",
    "sac": "Actor.__init__ Actor.draw Actor.forward Actor.mode Actor.sample Actor.squash SAC.__init__ SAC.alpha SAC.critic_loss "
    "SAC.learn SAC.make_optimizer SAC.pathwise_loss SAC.restate_values SAC.returns SAC.target_value SAC.update TwinQ.__init__ "
    "TwinQ.forward TwinQ.restate both ema_update pathwise_actor_loss squashed_log_prob squashed_sample twin_critic_loss",
    "optimize": "clip_to_norm descend make_optimizer",
    "agent": "Agent.anneal Agent.in_own_units Agent.in_world_units Agent.learn_after Agent.live Agent.measure_rewards Agent.restate "
    "Agent.rounds Agent.taken Agent.warming_up Dreamer.__init__ Dreamer.dream Dreamer.initial Dreamer.learn Dreamer.learn_model "
    "Dreamer.learn_policy Dreamer.look_back Dreamer.measure_units Dreamer.planned Dreamer.policy Dreamer.pretrain "
    "Dreamer.remember Dreamer.restate dream_starts rate_factor see_and_act turns",
}
"""The functions that v1 calls by its defaults, by module; a test holds this against what a run calls."""


class Lines(NamedTuple):
    """Counted lines of code."""

    replaced: int
    """Lines in whose place the learner's code runs."""
    all: int
    """Lines that v1 runs."""


def code_lines(text: str) -> set[int]:
    """The numbers of the lines (from 1) that hold code; docstrings and comments do not."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", [])
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False) is not None:
            told |= set(range(body[0].lineno, body[0].end_lineno + 1))
    silent = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            found |= set(range(token.start[0], token.end[0] + 1))
    return found - told


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, set[int]]]:
    """The functions and methods of a module by their qualified names, each with the numbers of all its lines."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            if isinstance(node, ast.FunctionDef):
                yield prefix + node.name, set(range(node.lineno, node.end_lineno + 1))
            yield from functions(node, f"{prefix}{node.name}.")


@cache
def run_lines(module: str) -> frozenset[int]:
    """The code lines of a module of the core that v1 runs."""
    text = inspect.getsource(importlib.import_module(f"dreamer_core.{module}"))
    spans, run = dict(functions(ast.parse(text))), RUN[module].split()
    return frozenset(code_lines(text) & set().union(*(spans[name] for name in run)))


def lines_of(reference: Callable) -> set[int]:
    """The code lines of its module that a class or function of the core takes."""
    lines, start = inspect.getsourcelines(inspect.unwrap(reference))
    return set(range(start, start + len(lines)))


def lines_of_the_agent(exercises: dict[str, Exercise], builds: dict[str, Build]) -> Lines:
    """Count, as things stand in this kernel."""
    answered = [exercises[number] for number in transplant.installed] + [builds[number] for number in transplant.built]
    replaced: dict[str, set[int]] = {module: set() for module in RUN}
    for reference in (each.reference for each in answered):
        module = inspect.unwrap(reference).__module__.removeprefix("dreamer_core.")
        if module in replaced:
            replaced[module] |= lines_of(reference) & run_lines(module)
    return Lines(sum(map(len, replaced.values())), sum(len(run_lines(module)) for module in RUN))

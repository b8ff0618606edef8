"""An agent's world model and actor, packed for engine.js, which runs them in a browser: no kernel, no network.

The packed bytes: the length of the header (4 bytes, little-endian), the header (JSON, UTF-8, filled up with spaces so that what
follows begins at an even place), and all weights as half floats, agent by agent, layer by layer: each layer its weight
(outputs x inputs), then its bias, if it has one.
"""

import copy
import json
import struct
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from dreamer_core.agent import Agent, Dreamer
from dreamer_core.errors import ConfigError

V1 = {"recurrence": "gru", "norm": "none", "symlog": False, "reward_head": "gaussian"}
"""What engine.js computes, by setting of `model`; the paper's pieces are not among it."""


class Mind(NamedTuple):
    """An agent at one age."""

    agent: Dreamer
    steps: int  # environment steps it has lived
    returns: float  # the mean return of its evaluation at that age


def check_engine(agent: Agent) -> None:
    """Raises:
    ConfigError: the agent has no world model, or one of pieces that engine.js does not know.
    """
    if not isinstance(agent, Dreamer):
        raise ConfigError('this agent has no world model to run in a browser: train one with agent = "dreamer"')
    model = agent.config.model
    other = [f"model.{name} = {getattr(model, name)!r}" for name, usual in V1.items() if getattr(model, name) != usual]
    if agent.config.actor_critic != "sac":
        other.append(f"actor_critic = {agent.config.actor_critic!r}")
    if other:
        raise ConfigError(f"engine.js runs v1's pieces only, and this agent has {', '.join(other)}: give one trained without")


def layers(agent: Dreamer) -> dict[str, list[tuple[torch.Tensor, torch.Tensor | None]]]:
    """Weight (outputs, inputs) and bias (outputs,) of every layer that acting and dreaming need, by the part it belongs to."""
    model, rssm = agent.model, agent.model.rssm
    cell = rssm.cell
    parts = {
        "encoder": model.encoder,
        "input": rssm.input,
        "prior": rssm.prior,
        "posteriorH": rssm.posterior_h,
        "posteriorE": rssm.posterior_e,
        "posteriorOut": rssm.posterior_out,
        "decoder": model.decoder,
        "reward": model.reward,
        "cont": model.cont,
        "actor": agent.sac.actor.net,
    }
    found = {name: [(one.weight, one.bias) for one in part.modules() if isinstance(one, nn.Linear)] for name, part in parts.items()}
    return found | {"cellX": [(cell.weight_ih, cell.bias_ih)], "cellH": [(cell.weight_hh, cell.bias_hh)]}


def facts(agent: Dreamer) -> dict[str, Any]:
    """What engine.js has to know beside the weights: sizes, the kind of z, floors, limits and units."""
    model, sac, rssm = agent.config.model, agent.config.sac, agent.model.rssm
    return {
        "observation": len(agent.model.centre),
        "action": agent.action,
        "deter": rssm.deter,
        "size": rssm.latent.size,
        "latent": model.latent,
        "stoch": model.stoch,
        "classes": model.classes,
        "minStd": model.min_std,
        "unimix": model.unimix,
        "rewardStd": model.reward_std,
        "rewardMinStd": model.reward_min_std,
        "rewardUnit": agent.in_world_units(1.0),
        "meanLimit": sac.mean_limit,
        "logStdMin": sac.log_std_min,
        "logStdMax": sac.log_std_max,
        "centre": agent.model.centre.tolist(),
        "scale": agent.model.scale.tolist(),
    }


def halved(weight: torch.Tensor) -> np.ndarray:
    """The nearest half floats.

    Raises:
        ConfigError: a weight is too large for one, or no number.
    """
    with np.errstate(over="ignore"):
        half = weight.detach().cpu().numpy().astype("<f2")
    if not np.isfinite(half).all():
        raise ConfigError("a weight of this agent lies beyond 65,504, the largest half float: it cannot be packed for a browser")
    return half


def pack(minds: Sequence[Mind]) -> bytes:
    """Agents, youngest first, as the bytes that `readMinds` of engine.js reads.

    Raises:
        ConfigError: engine.js cannot run one of them (`check_engine`), or there is none.
    """
    if not minds:
        raise ConfigError("there is no agent to pack: give one at least")
    told, weights = [], []
    for mind in minds:
        check_engine(mind.agent)
        shapes = {}
        for name, part in layers(mind.agent).items():
            shapes[name] = [[*weight.shape, int(bias is not None)] for weight, bias in part]
            weights += [halved(tensor).tobytes() for pair in part for tensor in pair if tensor is not None]
        told.append({"steps": mind.steps, "returns": round(mind.returns, 1), "facts": facts(mind.agent), "layers": shapes})
    header = json.dumps(told, separators=(",", ":")).encode()
    header += b" " * (len(header) % 2)
    return struct.pack("<I", len(header)) + header + b"".join(weights)


def rounded(agent: Dreamer) -> Dreamer:
    """The agent that is packed: a copy whose weights are those half floats. For comparing numbers."""
    check_engine(agent)
    twin = copy.deepcopy(agent)
    with torch.no_grad():
        for part in layers(twin).values():
            for tensor in (one for pair in part for one in pair if one is not None):
                tensor.copy_(torch.from_numpy(halved(tensor).astype(np.float32)))
    return twin


def script(name: str) -> str:
    """The text of a script beside this file, as a page may hold it inside: what it exports is simply there."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    return "\n".join(line.removeprefix("export ") for line in text.splitlines() if not line.startswith("import "))

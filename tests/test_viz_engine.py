"""What is packed for the browser; the browser's numbers are compared with torch's in tests/browser/test_engine.py."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from minds import pendulum_agent
from toys import small

from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.errors import ConfigError, DreamerError
from dreamer_core.viz import drive
from dreamer_core.viz.assets import AGES
from dreamer_core.viz.engine import Mind, halved, layers, pack, rounded, script

ASSETS = Path(__file__).parents[1] / "notebooks" / "assets"


def unpacked(packed):
    """The header, and all weights in their order, read by hand."""
    (length,) = struct.unpack_from("<I", packed)
    return json.loads(packed[4 : 4 + length]), np.frombuffer(packed, "<f2", offset=4 + length)


@pytest.mark.parametrize("latent", ["gaussian", "categorical"])
def test_every_weight_of_dreaming_and_acting_is_packed_once(latent):
    agent = pendulum_agent(model={"latent": latent})
    (header,), weights = unpacked(pack([Mind(agent, 12, -3.14)]))
    model, actor = agent.model, agent.sac.actor
    assert len(weights) == sum(weight.numel() for weight in [*model.parameters(), *actor.parameters()])
    assert (header["steps"], header["returns"], header["facts"]["latent"]) == (12, -3.1, latent)
    first = weights[: model.encoder[0][0].weight.numel()].astype(float)
    assert np.allclose(first, model.encoder[0][0].weight.detach().flatten(), rtol=1e-3), "the encoder's first weight does not come first"
    sizes = [outputs * inputs + biased * outputs for part in header["layers"].values() for outputs, inputs, biased in part]
    assert sum(sizes) == len(weights), "the header's shapes do not add up to the weights"


def test_the_rounded_twin_is_near_and_the_agent_untouched():
    agent = pendulum_agent()
    before = {name: weight.clone() for name, weight in agent.model.named_parameters()}
    twin = rounded(agent)
    moved = [(weight - before[name]).detach().abs().max().item() for name, weight in twin.model.named_parameters()]
    assert 0 < max(moved) < 1e-3
    assert all(torch.equal(weight, before[name]) for name, weight in agent.model.named_parameters()), "rounding changed the agent itself"
    assert pack([Mind(twin, 0, 0.0)]) == pack([Mind(agent, 0, 0.0)]), "the twin's weights are not those that are packed"


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"model": {"norm": "rms"}}, "model.norm"),
        ({"model": {"recurrence": "block_gru"}}, "model.recurrence"),
        ({"model": {"symlog": True}}, "model.symlog"),
        ({"model": {"reward_head": "twohot"}}, "model.reward_head"),
        ({"actor_critic": "dreamerv3"}, "actor_critic"),
    ],
)
def test_pieces_that_the_engine_does_not_know_are_refused(changes, named):
    with pytest.raises(ConfigError, match=named):
        pack([Mind(pendulum_agent(**changes), 0, 0.0)])


def test_no_agent_none_with_a_model_and_too_large_a_weight_are_refused():
    with pytest.raises(ConfigError, match="no agent to pack"):
        pack([])
    with pytest.raises(ConfigError, match="no world model"):
        pack([Mind(ModelFree(small(env="Pendulum-v1", agent="sac"), 3, 1), 0, 0.0)])
    agent = pendulum_agent()
    with torch.no_grad():
        agent.model.decoder[-1].bias[0] = 1e5
    with pytest.raises(ConfigError, match="65,504"):
        pack([Mind(agent, 0, 0.0)])


def test_the_kept_minds_are_the_stored_agent_at_its_ages():
    header, weights = unpacked(drive.kept())
    returns = {row["env_steps"]: row["eval_return_mean"] for row in map(json.loads, (ASSETS / "pendulum.jsonl").open(encoding="utf-8"))}
    assert [mind["steps"] for mind in header] == list(AGES)
    assert [mind["returns"] for mind in header] == [round(returns[age], 1) for age in AGES]
    stored = Dreamer.load(ASSETS / "pendulum.safetensors")
    tensors = [one for part in layers(stored).values() for pair in part for one in pair if one is not None]
    newest = np.concatenate([halved(tensor).ravel() for tensor in tensors])
    assert np.array_equal(weights[-len(newest) :], newest), "the oldest mind is not the stored agent: run `make assets`"


def test_a_page_needs_no_network_and_is_small():
    page = drive.page(drive.kept(), "contents.html", {"Notebooks": "notebooks/00.html"})
    assert len(page.encode()) <= 1.5e6, f"the page has {len(page.encode()):,} bytes"
    assert 'href="contents.html"' in page and 'href="notebooks/00.html"' in page
    for word in ("import ", "export ", "src=", "@import", "fetch("):
        lines = [line.strip()[:60] for line in page.splitlines() if line.strip().startswith(word) or f" {word}" in line and word == "src="]
        assert not lines, f"the page would ask for something else, or is no plain script: {lines}"
    assert "$" not in "".join(line for line in page.split("<script")[0].splitlines()), "a place of the template was left unfilled"
    assert "Build one yourself" not in drive.page(b""), "without a course there is nothing to lead to"


def test_missing_minds_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(drive, "AGES", tmp_path / "ages.bin")
    with pytest.raises(DreamerError, match="make assets"):
        drive.kept()


def test_a_script_inside_a_page_exports_nothing():
    for name in drive.SCRIPTS:
        assert not [line for line in script(name).splitlines() if line.startswith(("export", "import"))], name

"""Every setting reaches what it sets: sizes and rates one by one, and no setting that changes nothing."""

import dataclasses

import pytest
import torch
from runs import tiny
from torch import nn
from toys import fill, small

from dreamer_core.agent import Dreamer, ModelFree
from dreamer_core.config import Config
from dreamer_core.latents import CategoricalLatent, GaussianLatent
from dreamer_core.trainer import Trainer

OBSERVATION, ACTION = 3, 2

# Numbers that are all different, so that each tells which setting it came from.
TELLING = dict(
    model=dict(
        deter=5, stoch=4, classes=6, min_std=0.21, unimix=0.07, units=9, encoder_layers=3, decoder_layers=4, head_layers=2, lr=0.011,
        clip_norm=1.1, blocks=5, recurrence_layers=3,
    ),
    replay=dict(capacity=83, batch=7, length=8, burn_in=1),
    imagination=dict(starts=13, start_rows=2, horizon=3),
    sac=dict(units=10, layers=4, actor_lr=0.012, critic_lr=0.013, log_std_min=-1.5, log_std_max=0.25, lam=1.0, batch=0),
)  # fmt: skip


def layers(module):
    """The shapes (outputs, inputs) of a module's linear layers."""
    return [tuple(layer.weight.shape) for layer in module.modules() if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("kind, z, params", [("gaussian", 4, 8), ("categorical", 24, 24)])
def test_the_world_models_sizes(kind, z, params):
    model = Dreamer(small(**TELLING | {"model": TELLING["model"] | {"latent": kind}}), OBSERVATION, ACTION).model
    rssm, s = model.rssm, 5 + z
    found = {
        "encoder": layers(model.encoder),
        "decoder": layers(model.decoder),
        "reward": layers(model.reward),
        "cont": layers(model.cont),
        "prior": layers(rssm.prior),
        "input": layers(rssm.input),
        "posterior": [tuple(part.weight.shape) for part in (rssm.posterior_h, rssm.posterior_e, rssm.posterior_out)],
        "cell": (rssm.cell.input_size, rssm.cell.hidden_size),
        "features": rssm.features,
    }
    assert found == {
        "encoder": [(9, OBSERVATION), (9, 9), (9, 9)],
        "decoder": [(9, s), (9, 9), (9, 9), (9, 9), (OBSERVATION, 9)],
        "reward": [(9, s), (9, 9), (2, 9)],
        "cont": [(9, s), (9, 9), (1, 9)],
        "prior": [(9, 5), (9, 9), (params, 9)],
        "input": [(9, z + ACTION)],
        "posterior": [(9, 5), (9, 9), (params, 9)],
        "cell": (9, 5),
        "features": s,
    }, "shapes of layers"


def test_the_sizes_of_the_papers_pieces():
    """h 5 in 5 blocks of one, each reading its own entry and three embeddings of 9; 255 bins; a norm of 9 before every SiLU."""
    pieces = dict(recurrence="block_gru", reward_head="twohot", norm="rms")
    agent = Dreamer(small(**TELLING | {"model": TELLING["model"] | pieces, "actor_critic": "dreamerv3"}), OBSERVATION, ACTION)
    model, core, s = agent.model, agent.model.rssm.core, 5 + 4
    blocks = [(len(layer[0].weight), *layer[0].weight.shape[1:]) for layer in core.hidden]
    found = {
        "embeddings": [layers(part)[0] for part in (core.from_h, core.from_z, core.from_a)],
        "blocks": blocks,
        "gates": tuple(core.gates.weight.shape),
        "reward": layers(model.reward),
        "norms": [
            sum(isinstance(part, nn.RMSNorm) for part in net.modules()) for net in (model.encoder, model.decoder, model.reward, model.cont)
        ],
        "norms of the RSSM": [
            sum(isinstance(part, nn.RMSNorm) for part in net.modules()) for net in (model.rssm.prior, model.rssm.posterior_act)
        ],
    }
    assert found == {
        "embeddings": [(9, 5), (9, 4), (9, ACTION)],
        "blocks": [(5, 1 + 3 * 9, 1), (5, 1, 1), (5, 1, 1)],
        "gates": (5, 1, 3),
        "reward": [(9, s), (9, 9), (255, 9)],
        "norms": [3, 4, 2, 2],
        "norms of the RSSM": [2, 1],
    }, "shapes of layers"
    plain = Dreamer(small(**TELLING), OBSERVATION, ACTION)
    assert not any(isinstance(part, nn.RMSNorm) for part in plain.model.modules()), "norms that nobody asked for"


def test_the_kind_of_z_and_its_settings():
    gaussian, categorical = (
        Dreamer(small(model=TELLING["model"] | {"latent": kind}), OBSERVATION, ACTION) for kind in ("gaussian", "categorical")
    )
    normal, code = gaussian.model.rssm.latent, categorical.model.rssm.latent
    assert type(normal) is GaussianLatent and (normal.size, normal.min_std) == (4, 0.21), "stoch and min_std of a Gaussian z"
    assert type(code) is CategoricalLatent, "the kind of z"
    assert (code.groups, code.classes, code.unimix) == (4, 6, 0.07), "stoch, classes and unimix of a categorical z"
    assert code.probs(torch.full((24,), -1e9).index_fill(0, torch.arange(0, 24, 6), 0.0)).min().item() == pytest.approx(0.07 / 6)


def test_the_agents_sizes():
    sac = Dreamer(small(**TELLING), OBSERVATION, ACTION).sac
    assert layers(sac.actor) == [(10, 9), (10, 10), (10, 10), (10, 10), (2 * ACTION, 10)], "the actor's layers (outputs, inputs)"
    shapes = [tuple(layer.weight.shape) for layer in sac.q.layers]
    assert shapes == [(2, 9 + ACTION, 10), (2, 10, 10), (2, 10, 10), (2, 10, 10), (2, 10, 1)], "the critics' layers (2, inputs, outputs)"


def test_each_optimiser_has_its_own_rate():
    for kind, expected in ((Dreamer, {"model": [0.011], "sac": [0.012, 0.013]}), (ModelFree, {"sac": [0.012, 0.013]})):
        agent = kind(small(**TELLING), OBSERVATION, ACTION)
        rates = {name: [group["lr"] for group in optimizer.param_groups] for name, optimizer in agent.optimizers.items()}
        assert rates == expected, f"rates of {kind.__name__}, actor before critics"
        actor, critics = (group["params"] for group in agent.optimizers["sac"].param_groups)
        for part, params in ((agent.sac.actor, actor), (agent.sac.q, critics)):
            assert {id(p) for p in part.parameters()} == {id(p) for p in params}, "actor and critics have each other's rates"


def test_what_is_drawn_and_dreamt_has_the_sizes_that_were_set():
    agent = fill(Dreamer(small(**TELLING), OBSERVATION, ACTION))
    assert {len(value) for value in agent.replay.data.values()} == {83}, "rows of the buffer"
    trained, observed, learned = [], [], []
    loss, observe, update = agent.model.loss, agent.model.observe, agent.sac.update
    agent.model.loss = lambda window: trained.append(tuple(window.first.shape)) or loss(window)
    agent.model.observe = lambda window, *rest: observed.append(tuple(window.first.shape)) or observe(window, *rest)
    agent.sac.update = lambda data, optimizer: learned.append(tuple(data.reward.shape)) or update(data, optimizer)
    agent.learn_model()
    assert trained == [(7, 8)], "windows and rows that the world model learns from"
    assert observed == [(7, 2), (7, 8)], "windows and rows that are filtered: the burn-in and one row more, then the window"
    observed.clear()
    agent.learn_policy()
    assert observed == [(13, 2)], "windows and rows filtered before a dream"
    assert learned == [(13, 3)] * 2, "dreams and steps that SAC learns from"


def test_a_short_buffer_is_filtered_whole_before_a_dream():
    """Where fewer rows are stored than start_rows asks for, all of them are."""
    agent = fill(Dreamer(small(imagination=dict(start_rows=50)), OBSERVATION, ACTION), rows=12)
    assert agent.dream().state.shape == (6, 5, 9)


# --- no setting that changes nothing --------------------------------------------------------------

CATEGORICAL, SCORE = {"model.latent": "categorical"}, {"sac.actor_grad": "score"}
SOLO = {"agent": "sac"}
BLOCKS, PAPER_KL, LAPROP = {"model.recurrence": "block_gru"}, {"model.kl": "paper"}, {"optimizer.kind": "laprop"}
V3, LARGE = {"actor_critic": "dreamerv3"}, {"sac.reward_scale": 50.0}  # returns whose range is above its floor
# For each setting a value that must change the run, and other settings without which it has no say.
CHANGES = {
    "wrappers.hide": ([1], {}), "wrappers.action_repeat": (2, {}), "wrappers.observation_scale": (2.0, {}),
    "wrappers.reward_scale": (2.0, {}), "wrappers.reward_offset": (1.0, {}),
    "model.deter": (7, {}), "model.latent": ("categorical", {}), "model.stoch": (4, {}), "model.classes": (5, CATEGORICAL),
    "model.min_std": (0.2, {}), "model.unimix": (0.1, CATEGORICAL), "model.units": (9, {}), "model.encoder_layers": (1, {}),
    "model.channels": (5, {"env": "dreamer/PixelPendulum-v0"}),
    "model.decoder_layers": (2, {}), "model.head_layers": (2, {}), "model.standardize": (True, {}), "model.detach_z": (False, {}),
    "model.kl_scale": (0.5, {}), "model.kl_balance": (0.3, {}), "model.free_nats": (3.0, {}), "model.reward_scale": (2.0, {}),
    "model.recurrence": ("block_gru", {}), "model.blocks": (3, BLOCKS), "model.recurrence_layers": (2, BLOCKS),
    "model.norm": ("rms", {}), "model.symlog": (True, {}), "model.observation_scale": (2.0, {}), "model.reward_head": ("twohot", {}),
    "model.kl": ("paper", {}), "model.kl_dyn": (0.5, PAPER_KL), "model.kl_rep": (0.5, PAPER_KL), "model.kl_free": (0.7, PAPER_KL),
    "model.discount_horizon": (20, {}),
    "model.reward_std": (2.0, {}), "model.reward_min_std": (0.5, {"model.reward_std": 0.0}), "model.overshoot": (2, {}),
    "model.overshoot_scale": (0.5, {"model.overshoot": 2}), "model.lr": (2e-3, {}), "model.clip_norm": (1e-5, {}),
    "replay.capacity": (30, {}), "replay.layout": ("chunks", {}), "replay.start": ("zero", {}), "replay.write_back": (False, {}),
    "replay.write_back_zero": (False, {"replay.start": "zero"}), "replay.batch": (5, {}), "replay.length": (6, {}),
    "replay.burn_in": (2, {}), "replay.online": (True, {}),
    "imagination.last": (2, {}), "imagination.starts": (7, {}), "imagination.start_rows": (2, {}), "imagination.horizon": (3, {}),
    "sac.units": (9, {}), "sac.layers": (1, {}), "sac.lam": (0.5, {}), "sac.soft": (False, {}), "sac.actor_grad": ("score", {}),
    "sac.gamma": (0.5, {}), "sac.alpha": (0.3, {}), "sac.alpha_final": (0.3, {"sac.alpha_updates": 10}),
    "sac.alpha_updates": (10, {"sac.alpha_final": 0.3}), "sac.reward_scale": (0.5, {}), "sac.reward_unit": ("returns", {}),
    "sac.polyak": (0.5, {}),
    "sac.actor_lr": (2e-3, {}), "sac.critic_lr": (2e-3, {}), "sac.clip_norm": (1e-5, {}), "sac.batch": (8, {}),
    "sac.baseline_samples": (3, SCORE), "sac.normalize_advantage": (True, SCORE), "sac.actor_out_scale": (0.5, {}),
    "sac.zero_init": (True, {}), "sac.return_range": (True, LARGE),
    "sac.mean_limit": (0.1, {}), "sac.log_std_min": (0.0, {}), "sac.log_std_max": (-1.0, {}),
    "dreamerv3.units": (9, V3), "dreamerv3.layers": (2, V3),
    "dreamerv3.lam": (0.5, V3), "dreamerv3.horizon": (5, V3), "dreamerv3.entropy_scale": (0.5, V3), "dreamerv3.slow_rate": (0.5, V3),
    "dreamerv3.slow_scale": (0.5, V3), "dreamerv3.replay_scale": (0.6, V3 | {"imagination.last": 3}),
    "dreamerv3.range_rate": (0.9, V3 | LARGE),
    "dreamerv3.range_floor": (0.1, V3), "dreamerv3.std_min": (0.3, V3), "dreamerv3.std_max": (0.9, V3), "dreamerv3.out_scale": (0.1, V3),
    "dreamerv3.lr": (2e-3, V3), "dreamerv3.clip_norm": (1e-5, V3),
    "optimizer.kind": ("laprop", {}), "optimizer.clip": ("agc", LAPROP), "optimizer.agc": (1e-4, {"optimizer.clip": "agc"}),
    "optimizer.warmup": (9, {}),
    "schedule.prefill": (42, {}), "schedule.hold": (9, {}), "schedule.prefill_episode": (11, {}), "schedule.pretrain_model": (3, {}),
    "schedule.pretrain_both": (2, {}), "schedule.every": (5, {}), "schedule.model_updates": (3, {}), "schedule.agent_updates": (3, {}),
    "schedule.sac_updates": (3, {}), "schedule.halving": (10, {}), "schedule.anneal": (True, {}), "schedule.real_updates": (4, SOLO),
    "evaluation.every": (15, {}), "evaluation.episodes": (3, {}), "evaluation.seed": (8, {}),
    "env": ("Pendulum-v1", {}), "agent": ("sac", {}), "actor_critic": ("dreamerv3", {}), "env_steps": (55, {}), "seed": (1, {}),
}  # fmt: skip
# Held elsewhere: a preset only names values, the fast unroll must change nothing, an actor that does not fit the actions is refused
# (test_envs.py), and the others decide where and when, not what.
NOT_HERE = {"preset", "model.batched_unroll", "dreamerv3.actor", "device", "threads", "checkpoint_every", "keep_agents"}


def names():
    """Every setting by its path."""
    for field in dataclasses.fields(Config):
        inner = dataclasses.fields(field.type) if dataclasses.is_dataclass(field.type) else None
        yield from [f"{field.name}.{part.name}" for part in inner] if inner else [field.name]


def outcome(settings):
    """Everything that a short run leaves behind: its metrics and the agent's whole state."""
    tree = {"env_steps": 52}
    for path, value in settings.items():
        section, _, name = path.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    trainer = Trainer(tiny(**tree))
    lines = [{name: value for name, value in line.items() if name != "wall_s"} for line in trainer.run()]
    return lines, {name: value.tolist() for name, value in trainer.agent.state_dict().items()}


@pytest.fixture(scope="module")
def before():
    """The outcome for each set of other settings, found once."""
    found = {}
    return lambda settings: found.setdefault(str(settings), outcome(settings))


def test_every_setting_is_tried_here_or_named_as_held_elsewhere():
    assert sorted(CHANGES.keys() | NOT_HERE) == sorted(names()), "settings without a value here that must change something"


@pytest.mark.parametrize("setting", CHANGES)
def test_no_setting_changes_nothing(setting, before):
    value, others = CHANGES[setting]
    assert outcome(others | {setting: value}) != before(others), f"{setting} = {value!r} changes nothing in a run"


def test_a_run_that_is_repeated_has_the_same_outcome(before):
    """So a difference above is the setting's doing."""
    assert outcome({}) == before({}), "the same settings give another outcome"

"""The configuration: complete sentences, both presets, and nothing accepted that makes no sense."""

import dataclasses
import inspect
import json
import re

import pytest

from dreamer_core import config as configs
from dreamer_core.config import PRESETS, Config, from_dict, preset, to_dict
from dreamer_core.errors import ConfigError


def tree():
    """Every dataclass of the tree, with the path of its section."""
    return [("", Config)] + [(field.name + ".", field.type) for field in dataclasses.fields(Config) if dataclasses.is_dataclass(field.type)]


def test_every_field_has_a_sentence_under_it():
    for _, kind in tree():
        source = inspect.getsource(kind)
        for field in dataclasses.fields(kind):
            if not dataclasses.is_dataclass(field.type):
                assert re.search(rf'\n    {field.name}: [^\n]*\n    """[A-Z][^"]+\."""\n', source), f"{kind.__name__}.{field.name}"


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    config = preset(name)
    assert config.preset == name
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


def test_presets_differ_where_they_say_so():
    assert preset("dropin") == Config()
    dropin, advantage = to_dict(preset("dropin")), to_dict(preset("advantage"))
    for section, changes in PRESETS["advantage"].items():
        assert advantage[section] == dropin[section] | changes
    assert advantage["sac"]["actor_grad"] == "score" and dropin["sac"]["actor_grad"] == "pathwise"
    with pytest.raises(ConfigError, match="there is no preset 'best': choose dropin, advantage, dreamerv3 or pixels"):
        preset("best")


# What makes an agent DreamerV3's (arXiv 2301.04104v2, and the official configs.yaml); sizes and rates are this course's.
OF_THE_PAPER = {
    "actor_critic": "dreamerv3",
    "model": dict(
        latent="categorical", unimix=0.01, recurrence="block_gru", blocks=8, recurrence_layers=1, norm="rms", standardize=False,
        symlog=True, detach_z=False, observation_scale=2.0, kl="paper", kl_dyn=1.0, kl_rep=0.1, kl_free=1.0, reward_head="twohot",
        reward_scale=1.0, overshoot=0, discount_horizon=333,
    ),
    "replay": dict(start="stored", write_back=True, burn_in=0, online=True),
    "imagination": dict(start_rows=16, last=16, horizon=15),
    "dreamerv3": dict(
        actor="auto", lam=0.95, horizon=333, entropy_scale=3e-4, slow_rate=0.02, slow_scale=1.0, replay_scale=0.3, range_rate=0.01,
        range_floor=1.0, std_min=0.1, std_max=1.0, out_scale=0.01,
    ),
    "sac": dict(reward_scale=1.0, reward_unit="fixed"),
    "optimizer": dict(kind="laprop", clip="agc", agc=0.3),
}  # fmt: skip


def test_the_preset_dreamerv3_has_every_piece_of_the_paper():
    found = to_dict(preset("dreamerv3"))
    for section, values in OF_THE_PAPER.items():
        here = {name: found[section][name] for name in values} if isinstance(values, dict) else found[section]
        assert here == values, f"{section} in the preset dreamerv3"
    assert found["optimizer"]["warmup"] > 0, "learning rates do not rise first"


def test_a_plain_value_of_a_preset_gives_way_to_a_given_one():
    assert from_dict({"preset": "dreamerv3", "actor_critic": "sac"}).actor_critic == "sac"


@pytest.mark.parametrize(
    "data, sentence",
    [
        (dict(speed=1), "the setting speed does not exist"),
        (dict(model=dict(depth=1)), "the setting model.depth does not exist"),
        (dict(sections=dict()), "the setting sections does not exist"),
        (dict(model=dict(deter="big")), "the setting model.deter is 'big': input should be a valid integer"),
        (dict(model=dict(deter=1.5)), "the setting model.deter is 1.5: input should be a valid integer"),
        (dict(model=dict(deter=0)), "the setting model.deter is 0: input should be greater than or equal to 1"),
        (dict(model=3), "the setting model is 3: input should be a dictionary"),
        (dict(model=dict(latent="beta")), "the setting model.latent is 'beta': input should be 'gaussian' or 'categorical'"),
        (dict(model=dict(lr=0)), "the setting model.lr is 0: input should be greater than 0"),
        (dict(model=dict(lr=float("inf"))), "the setting model.lr is inf: input should be a finite number"),
        (dict(sac=dict(log_std_min=float("nan"))), "the setting sac.log_std_min is nan: input should be a finite number"),
        (dict(sac=dict(gamma=1.01)), "the setting sac.gamma is 1.01: input should be less than or equal to 1"),
        (dict(sac=dict(soft="perhaps")), "the setting sac.soft is 'perhaps': input should be a valid boolean"),
        (dict(replay=dict(length=1)), "the setting replay.length is 1: input should be greater than or equal to 2"),
        (dict(wrappers=dict(hide=[0, -1])), "the setting wrappers.hide.1 is -1: input should be greater than or equal to 0"),
        (dict(wrappers=dict(reward_scale=0)), "the setting wrappers.reward_scale is 0: input should be greater than or equal to 0.000001"),
        (dict(wrappers=dict(observation_scale=1e9)), "the setting wrappers.observation_scale is 1000000000.0: input should be less than"),
        (dict(wrappers=dict(reward_offset=-1e9)), "the setting wrappers.reward_offset is -1000000000.0: input should be greater than"),
        (dict(env=None), "the setting env is None: input should be a valid string"),
        (dict(agent="ppo"), "the setting agent is 'ppo': input should be 'dreamer' or 'sac'"),
        (["model"], "the setting config is ['model']: input should be a dictionary"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(data, sentence):
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}[^\n]*$"):
        from_dict(data)


def test_assigning_nonsense_later_is_refused_too():
    config = Config()
    with pytest.raises(ValueError):
        config.model.deter = -1
    assert configs.Config().model.deter == config.model.deter


def test_a_preset_named_in_plain_data_sets_its_values_and_yields_to_what_is_given():
    named = from_dict({"preset": "advantage", "sac": {"alpha": 0.5}})
    whole = preset("advantage")
    assert named.sac.alpha == 0.5
    assert named.sac.lam == whole.sac.lam == 1.0 and named.sac.actor_grad == "score"
    assert from_dict(to_dict(whole)) == whole

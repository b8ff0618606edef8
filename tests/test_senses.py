"""What reads and writes observations: vectors as ever, pictures by nets of their own, and nothing else that knows the difference."""

from dataclasses import replace

import pytest
import torch
from runs import assert_same_run, tiny, train
from torch import nn
from toys import small

from dreamer_core import nets, senses
from dreamer_core.agent import Dreamer
from dreamer_core.errors import ConfigError
from dreamer_core.replay import LatentReplay
from dreamer_core.trainer import Trainer
from dreamer_core.world_model import WorldModel

SHAPES = [(32, 32, 1), (32, 32, 3), (64, 64, 1), (64, 64, 3)]
PIXELS = dict(env="dreamer/PixelPendulum-v0", model=dict(channels=3))


def pictures(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


class Written(nn.Module):
    """A decoder that always says the same."""

    def __init__(self, row):
        super().__init__()
        self.row = row

    def forward(self, features):
        return self.row


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_pictures_are_read_and_written_in_their_own_shape(shape):
    model = WorldModel(small().model, shape, 2)
    seen = pictures(2, 5, *shape)
    embed = model.encode(seen)
    assert embed.shape == (2, 5, small().model.units)
    told = model.decode(torch.randn(2, 5, model.rssm.features))
    assert told.shape == seen.shape and told.dtype == torch.float32, "decoded pictures have another shape than those that were seen"


def test_a_byte_counts_as_a_number_from_minus_a_half_to_a_half():
    """And a number of the model as a byte: 0 is grey."""
    model = WorldModel(small().model, (32, 32, 1), 1)
    seen = torch.zeros(32, 32, 1, dtype=torch.uint8)
    seen[0, 1], seen[1, 0] = 255, 51
    row = model.standardized(seen)
    assert row.shape == (1024,)
    assert row[0] == -0.5 and row[1] == 0.5 and row[32] == pytest.approx(0.2 - 0.5), "the units of bytes, row by row"
    model.decoder = Written(row)
    torch.testing.assert_close(model.decode(torch.zeros(1)), seen.float())


def test_the_error_of_a_picture_is_half_the_summed_square_in_those_units():
    """A picture that is wrong by 51 in two pixels and by 102 in one: half of 2 * 0.04 + 0.16."""
    model = WorldModel(small().model, (32, 32, 1), 1)
    seen = pictures(32, 32, 1).clamp(min=102)
    told = seen.clone()
    told[3, 4], told[5, 6], told[7, 8] = told[3, 4] - 51, told[5, 6] - 51, told[7, 8] - 102
    assert nets.squared_error(model.standardized(told), model.standardized(seen)) == pytest.approx(0.12, abs=1e-5)


def test_a_pictures_unit_is_never_measured_nor_compressed():
    """Not even where `standardize` and `symlog` ask for it: a pixel that the random steps never lit would count a thousand times."""
    for settings in (dict(standardize=True), dict(symlog=True)):
        agent = Dreamer(small(model=settings), (32, 32, 1), 1)
        dark = dict(observation=torch.zeros(32, 32, 1), reward=0.0, terminal=False, h=torch.zeros(agent.model.rssm.deter))
        for number in range(9):
            agent.replay.add(**dark, first=number == 0, z=torch.zeros(agent.model.rssm.latent.size))
        agent.measure_units()
        assert agent.model.centre.unique().tolist() == [127.5] and agent.model.scale.unique().tolist() == [255.0], settings
        assert agent.model.standardized(torch.full((32, 32, 1), 255, dtype=torch.uint8)).unique().tolist() == [0.5], settings


def test_what_is_left_of_a_patch_moves_to_its_left():
    """The encoder sees where something is: the same disc elsewhere is read otherwise, with the very weights that it starts with."""
    model = WorldModel(small(model=dict(units=32, channels=8)).model, (32, 32, 1), 1)
    one, other = torch.zeros(2, 32, 32, 1, dtype=torch.uint8)
    one[4:8, 4:8], other[24:28, 24:28] = 255, 255
    assert not torch.allclose(model.encode(one), model.encode(other), atol=1e-4), "two different pictures look the same to the encoder"


def test_every_pixel_reaches_the_encoder_and_is_written_by_the_decoder():
    """No pixel falls between the strides."""
    for shape in SHAPES:
        model = WorldModel(small(model=dict(units=32, channels=8)).model, shape, 1)
        row = torch.rand(senses.entries(shape), requires_grad=True)
        (seen,) = torch.autograd.grad(model.encoder(row).sum(), row)
        assert (seen != 0).all(), f"{(seen == 0).sum()} pixels of {shape} are never read"
        features = torch.randn(1, model.rssm.features)
        assert model.decoder(features).unique().numel() > 0.9 * senses.entries(shape), f"pixels of {shape} are written alike"


def test_patches_are_assembled_as_torch_does_it():
    patches = torch.randn(3, 2 * 16, 5, 4)
    assert torch.equal(senses.assemble(patches, 4), torch.nn.functional.pixel_shuffle(patches, 4)), "patches do not lie where they belong"


# --- vectors, as ever ---------------------------------------------------------------------------


def test_a_vectors_nets_are_made_as_before_there_were_pictures():
    """The same layers in the same order, of the same luck: what v1's encoder and decoder are, written out."""
    config = small(model=dict(encoder_layers=2, norm="rms")).model
    torch.manual_seed(7)
    model = WorldModel(config, 3, 2)
    torch.manual_seed(7)
    encoder = nn.Sequential(nets.mlp(3, config.units, 1, config.units, "rms"), *nets.NORMS["rms"](config.units), nn.SiLU())
    assert encoder.state_dict().keys() == model.encoder.state_dict().keys()
    assert all(torch.equal(weight, model.encoder.state_dict()[name]) for name, weight in encoder.state_dict().items()), (
        "the encoder of vectors is another one"
    )
    rows = torch.randn(4, 5, 3)
    assert torch.equal(model.encode(rows), encoder(rows)), "a vector is read otherwise than by its multilayer perceptron"
    decoder = nets.mlp(model.rssm.features, config.units, config.decoder_layers, 3, "rms")
    assert decoder.state_dict().keys() == model.decoder.state_dict().keys()


def test_a_size_and_a_shape_of_one_axis_are_the_same():
    models = []
    for observation in (3, (3,)):
        torch.manual_seed(1)
        models.append(WorldModel(small().model, observation, 2).state_dict())
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0] | models[1]), "the same seed made two models"


# --- an agent that sees pictures ----------------------------------------------------------------


def test_pictures_are_kept_as_bytes():
    """A quarter of the memory: 1,000 rows of 32 x 32 pixels are a megabyte."""
    agent = Dreamer(small(replay=dict(capacity=1000)), (32, 32, 1), 1)
    kept = agent.replay.data["observation"]
    assert kept.dtype == torch.uint8 and kept.nbytes == 1000 * 32 * 32, f"{kept.nbytes:,} bytes of {kept.dtype}"
    seen = pictures(32, 32, 1)
    agent.replay.add(
        observation=seen,
        reward=0.0,
        first=True,
        terminal=False,
        h=torch.zeros(agent.model.rssm.deter),
        z=torch.zeros(agent.model.rssm.latent.size),
    )
    assert torch.equal(agent.replay.window(torch.tensor([0]), 1).observation[0, 0], seen), (
        "a picture comes back otherwise than it was stored"
    )


def test_what_a_buffer_of_pictures_needs_is_told_in_their_bytes():
    rows, config = 10**9, small(replay=dict(capacity=10**9)).replay
    with pytest.raises(ConfigError) as told:
        LatentReplay(config, (64, 64, 3), 1, 5, 3, stored=torch.uint8)
    needed = rows * (64 * 64 * 3 + 4 * (1 + 5 + 3 + 4))  # bytes: a picture; an action, h and z; reward, two flags and an update
    assert f"needs {needed / 2**30:,.1f} GiB" in str(told.value), told.value


def test_a_run_on_pictures_goes_on_as_if_never_stopped(tmp_path):
    config = tiny(**PIXELS)
    train(config, tmp_path / "whole")
    train(replace(config, env_steps=60), tmp_path / "parts")
    trainer = Trainer.resume(tmp_path / "parts", env_steps=100)
    list(trainer.run())
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("half", [False, True])
def test_a_stored_agent_of_pictures_comes_back(tmp_path, half):
    trainer = Trainer(tiny(**PIXELS, env_steps=60))
    list(trainer.run())
    trainer.agent.save(tmp_path / "agent.safetensors", half)
    agent = Dreamer.load(tmp_path / "agent.safetensors")
    assert agent.model.shape == (32, 32, 1) and agent.model.centre[0] == 127.5
    seen = pictures(3, 32, 32, 1)
    torch.testing.assert_close(
        agent.model.encode(seen), trainer.agent.model.encode(seen), atol=1e-2 if half else 0, rtol=1e-2 if half else 0
    )
    assert all(weight.dtype == torch.float32 for weight in agent.model.parameters()), "a loaded agent computes with half of its digits"


def test_half_is_half_the_size(tmp_path):
    agent = Dreamer(small(**{"model": dict(units=64)}), (32, 32, 1), 1)
    agent.save(tmp_path / "whole")
    agent.save(tmp_path / "half", half=True)
    sizes = [(tmp_path / name).stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0], f"{sizes[1]:,} bytes of {sizes[0]:,}"

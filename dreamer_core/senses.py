"""How an observation is read and written: vectors by multilayer perceptrons, pictures by small convolutional nets.

This is the one place that asks what an observation looks like. It answers with a `Sense`: two nets
and a unit. Everything after that (belief, dream, reward, actor, critics) meets numbers in a row and
does not know what they were.

A picture is of bytes, H x W x C, 0 to 255. In the model it is a vector of H * W * C numbers in [-0.5, 0.5], so that its
error is the same half summed squared error as a vector's. Its unit is known, so nothing is measured: a pixel that the random steps
never lit would otherwise count a thousand times. Nor is it compressed by symlog, as in the paper.

Sources: an encoder with strides in place of pooling, as in Dreamer; the decoder's last step is the sub-pixel convolution of
Shi et al., arXiv 1609.05158, which computes an 8 x 8 grid only and costs a third of transposed convolutions here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dreamer_core import nets
from dreamer_core.config import WorldModelConfig
from dreamer_core.paper.symlog import symexp, symlog

Shape = tuple[int, ...]  # of an observation: (O,), or (H, W, C)
Elementwise = Callable[[Tensor], Tensor]

GRID = 8  # places along a side of a picture, in the nets: each has side / 8 pixels
SIDES = (32, 64)  # pixels
CHANNELS = (1, 3)  # grey, or red, green and blue


class Sense(NamedTuple):
    """What the model needs to know about one kind of observation."""

    encoder: Callable[[WorldModelConfig, Shape], nn.Module]  # (..., O) in the model's units -> e (..., E)
    decoder: Callable[[WorldModelConfig, int, Shape], nn.Module]  # s (..., F) -> (..., O) in the model's units
    unit: tuple[float, float]  # what is subtracted from each entry, and what the rest is divided by, before anything is measured
    measured: bool  # whether the unit is measured (`WorldModel.set_units`) where `standardize` asks for it
    squash: Callable[[WorldModelConfig], tuple[Elementwise, Elementwise]]  # what compresses an entry, and its inverse
    stored: torch.dtype  # in the replay buffer


def vector_encoder(config: WorldModelConfig, shape: Shape) -> nn.Sequential:
    """Layers of `config.units` with SiLU, `config.encoder_layers` of them: (..., O) -> (..., E)."""
    return nn.Sequential(
        nets.mlp(shape[0], config.units, config.encoder_layers - 1, config.units, config.norm),
        *nets.NORMS[config.norm](config.units),
        nn.SiLU(),
    )


def vector_decoder(config: WorldModelConfig, features: int, shape: Shape) -> nn.Sequential:
    """A multilayer perceptron: (..., F) -> (..., O)."""
    return nets.mlp(features, config.units, config.decoder_layers, shape[0], config.norm)


class PictureEncoder(nn.Module):
    """Two strided convolutions and a linear layer: (..., H * W * C) -> (..., E).

    The first looks at patches, each overlapping half of its neighbours, and makes a grid of 8 x 8 places
    of them whatever the size of the picture; the second halves that grid.
    """

    def __init__(self, config: WorldModelConfig, shape: Shape) -> None:
        super().__init__()
        patch, channels = shape[0] // GRID, config.channels
        self.shape = shape
        self.grids = nn.Sequential(
            nn.Conv2d(shape[2], channels, 2 * patch, stride=patch, padding=patch // 2),
            nn.SiLU(),
            nn.Conv2d(channels, 2 * channels, 4, stride=2, padding=1),
            nn.SiLU(),
        )
        self.out = nets.layer(2 * channels * (GRID // 2) ** 2, config.units, config.norm)

    def forward(self, rows: Tensor) -> Tensor:
        picture = rows.reshape(-1, *self.shape).permute(0, 3, 1, 2)  # (N, C, H, W)
        return self.out(self.grids(picture).flatten(1)).reshape(*rows.shape[:-1], -1)


def assemble(patches: Tensor, patch: int) -> Tensor:
    """A picture of what each place of a grid says about its patch of pixels: (N, C * patch², G, G) -> (N, C, G * patch, G * patch).

    The numbers of a place are those of its patch's pixels: the first patch² of the first channel, row by row, then the next channel's.
    """
    pixels = patches.unflatten(1, (-1, patch, patch))  # (N, C, row in the patch, column in it, row of the grid, column of it)
    return pixels.permute(0, 1, 4, 2, 5, 3).flatten(4, 5).flatten(2, 3)


class PictureDecoder(nn.Module):
    """A linear layer to a grid of 8 x 8 places, and a convolution in which each place and its neighbours write a patch of pixels.

    (..., F) -> (..., H * W * C).
    """

    def __init__(self, config: WorldModelConfig, features: int, shape: Shape) -> None:
        super().__init__()
        patch, channels = shape[0] // GRID, config.channels
        self.places = nn.Sequential(nn.Linear(features, channels * GRID**2), nn.SiLU())
        self.pixels = nn.Sequential(
            nn.Unflatten(-1, (channels, GRID, GRID)),
            nn.Conv2d(channels, shape[2] * patch**2, 3, padding=1),
        )
        self.patch = patch

    def forward(self, features: Tensor) -> Tensor:
        picture = assemble(self.pixels(self.places(features.reshape(-1, features.shape[-1]))), self.patch)  # (N, C, H, W)
        return picture.permute(0, 2, 3, 1).reshape(*features.shape[:-1], -1)


# What compresses the entries of a vector, and its inverse, by `config.symlog`.
SQUASH: dict[bool, tuple[Elementwise, Elementwise]] = {
    False: (lambda x: x, lambda x: x),
    True: (lambda x: symlog(x), lambda x: symexp(x)),
}

VECTOR = Sense(vector_encoder, vector_decoder, (0.0, 1.0), True, lambda config: SQUASH[config.symlog], torch.float32)
PICTURE = Sense(PictureEncoder, PictureDecoder, (127.5, 255.0), False, lambda config: SQUASH[False], torch.uint8)
SENSES = {1: VECTOR, 3: PICTURE}  # by the number of an observation's axes


def shape_of(observation: int | Shape) -> Shape:
    """The shape of an observation, of which a vector's may be given as its size O."""
    return (observation,) if isinstance(observation, int) else tuple(observation)


def size_of(observation: int | Shape) -> int | Shape:
    """A vector's size O, whichever way it is given; a picture's shape."""
    shape = shape_of(observation)
    return shape[0] if len(shape) == 1 else shape


def sense(shape: Shape) -> Sense:
    """How observations of this shape are read and written."""
    return SENSES[len(shape)]


def entries(shape: Shape) -> int:
    """How many numbers an observation is: O, or H * W * C."""
    return math.prod(shape)

"""The block-diagonal recurrence: against dense matrices with zeros off the blocks, and inside the RSSM."""

import pytest
import torch
from torch import nn
from toys import gradients, model_config, random_window, small

from dreamer_core.agent import Dreamer
from dreamer_core.errors import ConfigError
from dreamer_core.paper.block_gru import BlockGRU, BlockLinear
from dreamer_core.world_model import WorldModel

DOUBLE = torch.float64
SIZES = dict(deter=6, stoch=4, action=2, units=5)


def gru(blocks, layers=1):
    """In float64, with norms that are no identity."""
    made = BlockGRU(**SIZES, blocks=blocks, layers=layers).double()
    for module in made.modules():
        if isinstance(module, nn.RMSNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return made


def inputs(number=7):
    h = torch.rand(number, 6, dtype=DOUBLE) * 2 - 1
    return h, torch.randn(number, 4, dtype=DOUBLE), 2 * torch.randn(number, 2, dtype=DOUBLE)


def normed(x, norm):
    """x / sqrt(mean of x^2 + 1e-4) times the scale, then SiLU."""
    x = x / (x.square().mean(-1, keepdim=True) + 1e-4).sqrt() * norm.weight
    return x * torch.sigmoid(x)


def dense(layer):
    """A block-linear layer as one matrix (inputs, outputs), with zeros off the blocks."""
    return torch.block_diag(*layer.weight)


def dense_step(cell, h, z, a):
    """One step with whole matrices, as a GRU without blocks would make it: the first one reads (h, embeddings) whole."""
    groups, width = cell.blocks, h.shape[-1] // cell.blocks
    a = a / a.abs().clamp(min=1)
    seen = torch.cat([normed(part(x), norm) for (part, norm, _), x in zip((cell.from_h, cell.from_z, cell.from_a), (h, z, a))], -1)
    first = cell.hidden[0]
    matrix = torch.zeros(h.shape[-1] + seen.shape[-1], h.shape[-1], dtype=DOUBLE)
    for g in range(groups):
        own = slice(g * width, (g + 1) * width)
        matrix[own, own] = first[0].weight[g, :width]  # its own slice of h
        matrix[h.shape[-1] :, own] = first[0].weight[g, width:]  # and all of the embeddings
    x = normed(torch.cat([h, seen], -1) @ matrix + first[0].bias, first[1])
    for layer in cell.hidden[1:]:
        x = normed(x @ dense(layer[0]) + layer[0].bias, layer[1])
    gates = x @ dense(cell.gates) + cell.gates.bias  # (N, 3D): three gates of block 0, then of block 1, ...
    out = torch.zeros_like(h)
    for g in range(groups):
        reset, candidate, update = (gates[:, (3 * g + n) * width : (3 * g + n + 1) * width] for n in range(3))
        update = torch.sigmoid(update - 1)
        old = h[:, g * width : (g + 1) * width]
        out[:, g * width : (g + 1) * width] = update * torch.tanh(torch.sigmoid(reset) * candidate) + (1 - update) * old
    return out


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("blocks", [1, 2, 3, 6])
def test_it_is_a_dense_gru_with_zeros_off_the_blocks(blocks, layers):
    cell, given = gru(blocks, layers), inputs()
    torch.testing.assert_close(cell(*given), dense_step(cell, *given), msg=lambda told: f"{blocks} blocks, {layers} layers: {told}")


@pytest.mark.parametrize("lead", [(), (5,), (5, 4)])
def test_a_block_linear_layer_is_a_block_diagonal_matrix(lead):
    layer, x = BlockLinear(6, 9, 3).double(), torch.randn(*lead, 6, dtype=DOUBLE)
    torch.testing.assert_close(layer(x), x @ dense(layer) + layer.bias, msg=lambda told: f"a block-linear layer: {told}")


def test_each_block_starts_as_a_linear_layer_of_its_own():
    torch.manual_seed(1)
    found = BlockLinear(12, 6, 3)
    torch.manual_seed(1)
    alone = [nn.Linear(4, 2) for _ in range(3)]
    assert found.weight.tolist() == [layer.weight.T.tolist() for layer in alone], "the weights of the blocks"
    assert found.bias.tolist() == [number for layer in alone for number in layer.bias.tolist()], "the biases of the blocks"


def test_blocks_of_a_layer_do_not_touch_one_another():
    """Block g of the outputs has a gradient in block g of the inputs and of the weights, and exactly 0 in the others."""
    layer, x = BlockLinear(6, 9, 3), torch.randn(4, 6, requires_grad=True)
    for g in range(3):
        pull, weight = gradients(layer(x)[:, 3 * g : 3 * g + 3].sum(), [x, layer.weight])
        touched = [bool(pull[:, 2 * k : 2 * k + 2].any()) for k in range(3)], [bool(weight[k].any()) for k in range(3)]
        assert touched == ([k == g for k in range(3)],) * 2, f"what block {g} of the outputs hears of"


def test_blocks_tell_each_other_through_the_embedding_and_the_norm_alone():
    """Without the first (no weight on h) and with a norm that cannot see them, another block's h does not matter at all."""
    cell = gru(3)
    h, z, a = inputs()
    other = h.clone()
    other[:, 2:] = torch.rand(7, 4, dtype=DOUBLE)
    assert not torch.equal(cell(h, z, a)[:, :2], cell(other, z, a)[:, :2]), "block 0 hears nothing of the others' h"
    nn.init.zeros_(cell.from_h[0].weight)
    cell.hidden[0][1] = nn.Identity()
    assert torch.equal(cell(h, z, a)[:, :2], cell(other, z, a)[:, :2]), "block 0 hears of the others' h past the embedding"


def test_at_first_most_of_h_is_kept():
    """Gates of 0: a share sigmoid(-1) = 0.27 of the way to tanh(0) = 0."""
    cell, (h, z, a) = gru(2), inputs()
    for part in cell.gates.parameters():
        nn.init.zeros_(part)
    torch.testing.assert_close(cell(h, z, a), h * (1 - 0.26894142137), msg=lambda told: f"a step with gates of 0: {told}")


def test_h_stays_within_one():
    cell, (h, _, a) = gru(2), inputs(50)
    for _ in range(30):
        h = cell(h, 30 * torch.randn(50, 4, dtype=DOUBLE), a)
    assert h.abs().max() <= 1, "a mean of numbers within [-1, 1] left it"


def test_a_large_action_keeps_a_gradient():
    """Its size is taken as a number, so an action of 4 has a quarter of the gradient of 1. Clipped, it would have none."""
    cell, (h, z, _), pulls = gru(2), inputs(1), {}
    for size in (1.0, 4.0):
        action = torch.tensor([[size, -0.3]], dtype=DOUBLE, requires_grad=True)
        pulls[size] = gradients(cell(h, z, action).sum(), [action])[0][0, 0].item()
    assert pulls[4.0] == pytest.approx(pulls[1.0] / 4) and pulls[1.0] != 0


def test_an_action_larger_than_one_counts_as_one():
    cell, (h, z, _) = gru(2), inputs(1)
    ways = [cell(h, z, torch.tensor([action], dtype=DOUBLE)) for action in ([5.0, -0.3], [1.0, -0.3], [0.9, -0.3])]
    assert torch.equal(ways[0], ways[1]) and not torch.equal(ways[1], ways[2]), "an action of 5 is not read as 1, or no action is read"


def test_the_gradient_is_that_of_differences():
    cell = gru(3, 2)
    h, z, a = inputs(2)
    given = (h.requires_grad_(), z.requires_grad_(), (a.detach() / 9).requires_grad_())
    assert torch.autograd.gradcheck(cell, given), "the gradient of a step"


# --- in the RSSM ----------------------------------------------------------------------------------


def model(**changes):
    return WorldModel(model_config(**dict(recurrence="block_gru", blocks=3) | changes), 3, 2)


def test_every_size_is_the_one_that_was_set():
    """D 12 in 4 blocks of 3, embeddings of 8: a block reads its 3 of h and 24 of embeddings."""
    core = model(deter=12, blocks=4, recurrence_layers=3).rssm.core
    assert [tuple(part[0].weight.shape) for part in (core.from_h, core.from_z, core.from_a)] == [(8, 12), (8, 3), (8, 2)]
    assert [tuple(layer[0].weight.shape) for layer in core.hidden] == [(4, 3 + 24, 3), (4, 3, 3), (4, 3, 3)], "(blocks, inputs, outputs)"
    assert tuple(core.gates.weight.shape) == (4, 3, 9), "the gates' layer"


def test_more_blocks_have_fewer_weights():
    """The matrices that grow with D^2 shrink by the number of blocks."""
    square = {blocks: 64 * 3 * 64 // blocks for blocks in (1, 2, 8)}
    found = {blocks: model(deter=64, blocks=blocks).rssm.core.gates.weight.numel() for blocks in square}
    assert found == square, "weights of the gates by number of blocks"


@pytest.mark.parametrize("deter, blocks, advice", [(10, 4, 8), (3, 8, 8), (20, 8, 16)])
def test_blocks_that_cannot_share_h_are_refused_with_a_size_that_fits(deter, blocks, advice):
    with pytest.raises(ConfigError, match=f"^model.deter is {deter}, which {blocks} blocks cannot share equally: [^\n]* such as {advice}$"):
        model(deter=deter, blocks=blocks)
    model(deter=advice, blocks=blocks)


@pytest.mark.parametrize("cut", [True, False])
def test_a_window_is_filtered_step_by_step(cut):
    """h by hand along the rows: 0 where an episode starts, and else from the row before."""
    world, window = model(detach_z=cut), random_window(firsts=[(1, 3)])
    beliefs, cell = world.observe(window), world.rssm.core
    h = window.h
    for t in range(6):
        if t > 0:
            h = cell(beliefs.h[:, t - 1], beliefs.z[:, t - 1], window.action[:, t - 1]) * (1 - window.first[:, t : t + 1])
        torch.testing.assert_close(beliefs.h[:, t], h, msg=lambda told, t=t: f"h in row {t}: {told}")


def test_the_cut_of_z_holds_here_too():
    """The last h has a gradient in the first row's encoder output through z alone, so with the cut it has none."""
    heard = {}
    for cut in (True, False):
        torch.manual_seed(3)
        world, window = model(detach_z=cut), random_window()
        embed = world.encode(window.observation).detach().requires_grad_()
        h = world.rssm.observe(window.h, embed, window.action, window.first).h[:, -1]
        heard[cut] = bool(gradients(h.sum(), embed)[0][:, 0].any())
    assert heard == {True: False, False: True}, "whether h hears of the encoder of the first row, with and without the cut"


def test_a_step_of_the_dream_is_the_same_recurrence():
    rssm = model().rssm
    h, z, a = torch.randn(5, 6), torch.randn(5, 3), torch.rand(5, 2)
    noise = rssm.latent.noise(5)
    assert torch.equal(rssm.dream_step(h, z, a, noise)[0], rssm.core(h, z, a)), "a dream moves h by another recurrence"


def test_an_agent_with_it_learns_all_of_its_weights():
    agent = Dreamer(small(model=dict(recurrence="block_gru", blocks=2, norm="rms")), 3, 2)
    losses, _ = agent.model.loss(random_window())
    pulls = dict(zip(dict(agent.model.rssm.named_parameters()), gradients(losses["total"], agent.model.rssm.parameters())))
    idle = [name for name, pull in pulls.items() if not pull.any()]
    assert idle == [], "weights of the RSSM that no loss reaches"

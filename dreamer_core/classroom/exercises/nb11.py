"""The exercises of notebook 11: the paper's pieces of replay, recurrence, optimiser, observation loss and reward head."""

import math

import torch
from torch import Tensor

from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations
from dreamer_core.paper import agc, block_gru, laprop, online_queue, symlog, twohot

PAPER = 'the preset "dreamerv3"'

# --- 11.1 the online queue -----------------------------------------------------------------------

QUEUES = {
    "14 rows, chunks of 4, none served": (0, 0, 14, 4, 5),
    "14 rows, chunks of 4, 8 rows served": (8, 0, 14, 4, 5),
    "14 rows, chunks of 4, none served, 2 wanted": (0, 0, 14, 4, 2),
    "rows 9 to 29 stored, chunks of 4, 4 rows served, 2 wanted": (4, 9, 30, 4, 2),
    "rows 12 to 29 stored, chunks of 4, 4 rows served": (4, 12, 30, 4, 9),
    "14 rows, chunks of 4, 12 rows served": (12, 0, 14, 4, 5),
    "rows 9 to 10 stored, chunks of 4, none served": (0, 9, 11, 4, 5),
}


def observe_fresh_chunks(f) -> Observations:
    seen = {}
    for name, asked in QUEUES.items():
        starts, served = f(*asked)
        seen[f"the starts with {name}"] = starts
        seen[f"what is served after that, with {name}"] = served
    return seen


def walk(served: int, oldest: int, count: int, length: int, most: int) -> tuple[Tensor, int]:
    """Chunk after chunk, each looked at by itself."""
    starts = []
    while served < oldest:
        served += length
    while len(starts) < most and served + length <= count:
        starts.append(served)
        served += length
    return torch.tensor(starts, dtype=torch.long), served


def served_from(served: int, count: int, length: int, most: int) -> tuple[Tensor, int]:
    """The queue from a row on, with nothing overwritten; for the mistakes."""
    chunks = max(0, min(most, (count - served) // length))
    return served + length * torch.arange(chunks), served + length * chunks


def past_the_oldest(served: int, oldest: int, length: int) -> int:
    """Where the first chunk starts that is still stored from its first row on."""
    return served + max(0, -(-(oldest - served) // length)) * length


def queued(served, oldest, count, length, most, starts=lambda starts, length: starts, after=lambda after, before: after):
    """The right answer with its starts, or what is served after it, changed; for the mistakes."""
    begin = past_the_oldest(served, oldest, length)
    found, end = served_from(begin, count, length, most)
    return starts(found, length), after(end, begin)


def unfinished(served, oldest, count, length, most):
    begin = past_the_oldest(served, oldest, length)
    chunks = max(0, min(most, -(-(count - begin) // length)))
    return begin + length * torch.arange(chunks), begin + length * chunks


FRESH_CHUNKS = Exercise(
    id="11.1",
    title="The online queue",
    minutes=10,
    difficulty=2,
    importance=2,
    reference=online_queue.fresh_chunks,
    target="dreamer_core.paper.online_queue:fresh_chunks",
    runs_with=PAPER,
    observe=observe_fresh_chunks,
    expected=lambda: observe_fresh_chunks(walk),
    gradients=False,
    looks=tuple(
        Look(
            f"rows {oldest} to {count - 1} stored, {served} served, chunks of {length}, {most} wanted",
            lambda d, asked=(served, oldest, count, length, most): asked,
            draws=1,
        )
        for served, oldest, count, length, most in (
            *((0, 0, 12, 4, 8), (0, 0, 15, 4, 8), (3, 0, 15, 4, 8), (6, 2, 27, 5, 2), (5, 5, 20, 5, 1), (0, 0, 3, 4, 2), (0, 0, 7, 1, 3)),
            *((2, 9, 40, 3, 4), (2, 8, 40, 3, 4), (0, 1, 9, 4, 7), (0, 20, 33, 7, 16), (0, 21, 33, 7, 16), (7, 100, 131, 6, 3)),
            *((0, 30, 34, 16, 16), (10, 0, 17, 8, 4), (10, 0, 18, 8, 4), (4, 0, 40, 6, 0), (12, 3, 14, 3, 5)),
            *((14, 5, 40, 4, 3), (30, 9, 50, 3, 2)),
        )
    ),
    mistakes=(
        Mistake(
            "not_moved_on",
            lambda *asked: queued(*asked, after=lambda after, before: before),
            "`served` does not move on, so the same chunks would come again with the next batch. Each is served once: return where the "
            "last one ended.",
        ),
        Mistake(
            "unfinished",
            unfinished,
            "Your last chunk has begun, but not all of its rows are there yet. A chunk is served when it is whole.",
        ),
        Mistake(
            "overlapping",
            lambda *asked: queued(*asked, starts=lambda starts, length: starts[:1] + torch.arange(len(starts))),
            "Your chunks start one row apart and overlap. Each begins where the one before it ended, `length` rows later.",
        ),
        Mistake(
            "all_at_once",
            lambda served, oldest, count, length, most: queued(served, oldest, count, length, count),
            "`most` plays no part yet: a batch has room for that many chunks, and the others wait for the next one.",
        ),
        Mistake(
            "newest_first",
            lambda *asked: queued(*asked, starts=lambda starts, length: starts.flip(0)),
            "The chunks come newest first. A queue serves the oldest first.",
        ),
        Mistake(
            "overwritten",
            lambda served, oldest, count, length, most: served_from(served, count, length, most),
            "`oldest` plays no part yet: a chunk whose first rows were overwritten before its turn cannot be served any more.",
        ),
        Mistake(
            "off_the_grid",
            lambda served, oldest, count, length, most: served_from(max(served, oldest), count, length, most),
            "After rows were overwritten your chunks begin at the oldest row, which cuts the stream anew. Whole chunks are passed over: "
            "`served` moves on in steps of `length`.",
        ),
        Mistake(
            "half_overwritten",
            lambda served, oldest, count, length, most: served_from(
                served + max(0, (oldest - served) // length) * length, count, length, most
            ),
            "Your first chunk begins before the oldest row: part of it was overwritten. Round up, not down.",
        ),
        Mistake(
            "one_too_many_passed",
            lambda served, oldest, count, length, most: served_from(
                served + (0 if served >= oldest else (oldest - served) // length + 1) * length, count, length, most
            ),
            "A chunk that starts exactly at the oldest row is whole, and yours passes it over.",
        ),
    ),
    hints=(
        "First ask what is lost: while `served` lies before `oldest`, a whole chunk is passed over. Then ask how many whole chunks lie "
        "between `served` and `count`.",
        "There are `(count - served) // length` whole chunks, and a batch takes `most` of them. They start `length` rows apart.",
        "while served < oldest: served += length. Then chunks = max(0, min(most, (count - served) // length)); return "
        "served + length * torch.arange(chunks), served + length * chunks",
    ),
)


# --- 11.2 a block-diagonal product ---------------------------------------------------------------

TWO_BLOCKS = [[[1.0, 10.0, 100.0], [2.0, 20.0, 200.0]], [[3.0, 30.0, 300.0], [4.0, 40.0, 400.0]]]  # 2 blocks, 2 numbers in, 3 out


def observe_block_product(f) -> Observations:
    weight = torch.tensor(TWO_BLOCKS)
    grid = torch.arange(24.0).reshape(2, 3, 4).sin()
    return {
        "the product of (1, 0, 0, 1)": f(torch.tensor([[1.0, 0.0, 0.0, 1.0]]), weight),
        "the products of two rows": f(torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, -1.0, 0.0]]), weight),
        "the products of rows (B, T, 4)": f(grid, weight.clone()),
        "the product with a single block": f(torch.tensor([[1.0, 2.0]]), weight[:1]),
    }


def expected_block_product() -> Observations:
    grid = torch.zeros(2, 3, 6)
    for b in range(2):
        for t in range(3):
            for o in range(6):
                block = o // 3
                grid[b, t, o] = sum(math.sin(b * 12 + t * 4 + block * 2 + i) * TWO_BLOCKS[block][i][o % 3] for i in range(2))
    return {
        "the product of (1, 0, 0, 1)": torch.tensor([[1.0, 10.0, 100.0, 4.0, 40.0, 400.0]]),
        "the products of two rows": torch.tensor([[5.0, 50.0, 500.0, 25.0, 250.0, 2500.0], [2.0, 20.0, 200.0, -3.0, -30.0, -300.0]]),
        "the products of rows (B, T, 4)": grid,
        "the product with a single block": torch.tensor([[5.0, 50.0, 500.0]]),
    }


def by_blocks(x, weight, cut=None, join=None):
    """The product with its two rearrangements free, for the mistakes: (..., I) -> (G, M, I / G), and (G, M, O / G) -> (M, O)."""
    cut = cut or (lambda x: x.reshape(-1, len(weight), weight.shape[1]).transpose(0, 1))
    join = join or (lambda y: y.transpose(0, 1))
    return join(torch.bmm(cut(x), weight)).reshape(*x.shape[:-1], -1)


BLOCK_PRODUCT = Exercise(
    id="11.2",
    title="A block-diagonal product",
    minutes=12,
    difficulty=3,
    importance=2,
    reference=block_gru.block_product,
    target="dreamer_core.paper.block_gru:block_product",
    runs_with=PAPER,
    observe=observe_block_product,
    expected=expected_block_product,
    looks=(
        Look("5 rows and 3 blocks", lambda d: (d.normal(5, 12), d.normal(3, 4, 2))),
        Look("rows (B, T) and 2 blocks", lambda d: (d.normal(3, 4, 10), d.normal(2, 5, 3))),
        Look("as many numbers out as in", lambda d: (d.normal(7, 6), d.normal(2, 3, 3))),
        Look("as many blocks as rows", lambda d: (d.normal(4, 8), d.normal(4, 2, 5))),
        Look("a single row", lambda d: (d.normal(1, 6), d.normal(3, 2, 4))),
        Look("a single block", lambda d: (d.normal(4, 3), d.normal(1, 3, 5))),
        Look("blocks of one number", lambda d: (d.normal(4, 5), d.normal(5, 1, 1))),
        Look("a row without a batch", lambda d: (d.normal(6), d.normal(2, 3, 4))),
    ),
    mistakes=(
        Mistake(
            "blocks_added",
            lambda x, weight: x @ weight.flatten(0, 1),
            "The blocks' results were added up. Each block makes outputs of its own: they stand side by side.",
        ),
        Mistake(
            "first_block_everywhere",
            lambda x, weight: by_blocks(x, weight[:1].expand_as(weight)),
            "Every block of the inputs meets weight[0]. Block g has its own matrix, weight[g].",
        ),
        Mistake(
            "next_block",
            lambda x, weight: by_blocks(x, weight.roll(1, 0)),
            "Block g of the inputs meets the matrix of another block. It belongs to weight[g].",
        ),
        Mistake(
            "inputs_dealt_out",
            lambda x, weight: by_blocks(x, weight, cut=lambda x: x.reshape(-1, weight.shape[1], len(weight)).permute(2, 0, 1)),
            "The inputs were dealt out in turn, one to each block. A block is a *slice*: the first I / G numbers are block 0.",
        ),
        Mistake(
            "outputs_dealt_out",
            lambda x, weight: by_blocks(x, weight, join=lambda y: y.permute(1, 2, 0)),
            "The outputs are shuffled: the first number of every block comes first. All of block 0 comes first, then all of block 1.",
        ),
        Mistake(
            "rows_for_blocks",
            lambda x, weight: by_blocks(x, weight, cut=lambda x: x.reshape(len(weight), -1, weight.shape[1])),
            "Rows and blocks were mixed on the way in: `reshape` cannot move an axis. Split the last axis first, (M, G, I / G), then "
            "`transpose(0, 1)`.",
        ),
        Mistake(
            "rows_for_blocks_on_the_way_out",
            lambda x, weight: by_blocks(x, weight, join=lambda y: y),
            "Rows and blocks were mixed on the way out: `reshape` cannot move an axis. Bring the blocks back beside the outputs, "
            "`transpose(0, 1)`, before they are joined.",
        ),
    ),
    hints=(
        "Cut the last axis of x into G slices. What does slice g meet, and where does its result go?",
        "x.unflatten(-1, (G, -1)) has the shape (..., G, I / G). A loop over g and a torch.cat at the end is a right answer.",
        "return torch.cat([part @ matrix for part, matrix in zip(x.chunk(len(weight), -1), weight)], -1)",
    ),
)


# --- 11.3 a step of LaProp -----------------------------------------------------------------------

GRADS = ([4.0, -0.5], [4.0, 0.0], [400.0, 0.25], [-2.0, 0.1])  # four steps of two numbers; the third brings a spike


def observe_laprop_step(f) -> Observations:
    def steps(*settings: float) -> Tensor:
        square, mean, directions = torch.zeros(2), torch.zeros(2), []
        for step, grad in enumerate(GRADS, 1):
            direction, square, mean = f(torch.tensor(grad), square, mean, step, *settings)
            directions.append(direction)
        return torch.stack(directions)

    _, square, mean = f(torch.tensor([3.0]), torch.tensor([1.0]), torch.tensor([0.5]), 2, 0.5, 0.75, 0.0)
    return {
        "the direction of the very first step": f(torch.tensor([7.0, -0.01]), torch.zeros(2), torch.zeros(2), 1)[0],
        "the directions of four steps": steps(0.9, 0.8, 0.01),
        "the directions of four steps, with the official settings": steps(),
        "the square that is remembered": square,
        "the mean that is remembered": mean,
    }


def expected_laprop_step() -> Observations:
    def steps(beta2: float, momentum: float, eps: float) -> Tensor:
        rows = []
        for entry in range(2):
            square = mean = 0.0
            for step, grad in enumerate((pair[entry] for pair in GRADS), 1):
                square = beta2 * square + (1 - beta2) * grad**2
                mean = momentum * mean + (1 - momentum) * grad / (math.sqrt(square / (1 - beta2**step)) + eps)
                rows.append(mean / (1 - momentum**step))
        return torch.tensor(rows).reshape(2, 4).T

    return {
        "the direction of the very first step": torch.tensor([1.0, -1.0]),  # g / |g|
        "the directions of four steps": steps(0.9, 0.8, 0.01),
        "the directions of four steps, with the official settings": steps(0.999, 0.9, 1e-20),
        "the square that is remembered": torch.tensor([5.0]),  # 1 / 2 + 9 / 2
        "the mean that is remembered": torch.tensor([0.375 + 0.75 / math.sqrt(5 / 0.75)]),
    }


def laprop_parts(grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20, **free):
    """A step with its free places, for the mistakes."""
    old = square
    square = beta2 * square + (1 - beta2) * grad.square()
    size = free.get("size", lambda square, old, right: (square / right).sqrt() + eps)(square, old, 1 - beta2**step)
    mean = momentum * mean + (1 - momentum) * grad / size
    return mean / (1 - momentum**step), square, mean


def adam(grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20):
    square = beta2 * square + (1 - beta2) * grad.square()
    mean = momentum * mean + (1 - momentum) * grad
    return mean / (1 - momentum**step) / ((square / (1 - beta2**step)).sqrt() + eps), square, mean


def mean_uncorrected(grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20):
    _, square, mean = laprop_parts(grad, square, mean, step, beta2, momentum, eps)
    return mean, square, mean


def corrected_square_kept(grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20):
    direction, square, mean = laprop_parts(grad, square, mean, step, beta2, momentum, eps)
    return direction, square / (1 - beta2**step), mean


def corrected_mean_kept(grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20):
    direction, square, _ = laprop_parts(grad, square, mean, step, beta2, momentum, eps)
    return direction, square, direction


def remembered(d: Draw, *shape: int) -> tuple[Tensor, Tensor]:
    """A square and a mean as earlier steps may have left them."""
    return d.uniform(0.2, 3, *shape), d.normal(*shape, std=0.5)


LAPROP_STEP = Exercise(
    id="11.3",
    title="A step of LaProp",
    minutes=10,
    difficulty=2,
    importance=2,
    reference=laprop.laprop_step,
    target="dreamer_core.paper.laprop:laprop_step",
    runs_with=PAPER,
    observe=observe_laprop_step,
    expected=expected_laprop_step,
    gradients=False,
    looks=(
        Look("a vector, at the 3rd step", lambda d: (d.normal(5), *remembered(d, 5), 3, 0.9, 0.7, 0.0)),
        Look(
            "a matrix, at the 7th step", lambda d: (d.normal(2, 3), *remembered(d, 2, 3), 7, d.number(0.9, 0.99), d.number(0.3, 0.8), 0.2)
        ),
        Look("nothing remembered, at the 1st step", lambda d: (d.normal(4), torch.zeros(4), torch.zeros(4), 1, 0.99, 0.6, 1e-8)),
        Look("the official settings, at the 1000th step", lambda d: (d.normal(6), *remembered(d, 6), 1000)),
        Look("gradients of 0", lambda d: (torch.zeros(3), *remembered(d, 3), 4, 0.8, 0.9, 0.1)),
        Look("gradients that were always 0", lambda d: (torch.zeros(3), torch.zeros(3), torch.zeros(3), 2)),
        Look("large gradients", lambda d: (1000 * d.normal(4), *remembered(d, 4), 5, 0.95, 0.8, 0.0)),
        Look("no momentum", lambda d: (d.normal(4), *remembered(d, 4), 2, 0.95, 0.0, 0.0)),
        Look("a single number", lambda d: (d.normal(), *remembered(d), 2, 0.6, 0.4, 0.3)),
    ),
    mistakes=(
        Mistake(
            "adam",
            adam,
            "This is Adam: the gradients are averaged first and divided then. LaProp divides each gradient by its size, and averages the "
            "results.",
        ),
        Mistake(
            "size_uncorrected",
            lambda grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20: laprop_parts(
                grad, square, mean, step, beta2, momentum, eps, size=lambda square, old, right: square.sqrt() + eps
            ),
            "The average of squares starts at 0 and is too small at first: divide it by 1 - beta2 ** step before the root.",
        ),
        Mistake(
            "mean_uncorrected",
            mean_uncorrected,
            "The mean starts at 0 and is too small at first: the direction is mean / (1 - momentum ** step).",
        ),
        Mistake(
            "size_of_before",
            lambda grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20: laprop_parts(
                grad, square, mean, step, beta2, momentum, eps, size=lambda square, old, right: (old / right).sqrt() + eps
            ),
            "The gradient is divided by the size as the step before left it. Count the present gradient into the square first: that is "
            "what holds a spike down.",
        ),
        Mistake(
            "eps_under_the_root",
            lambda grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20: laprop_parts(
                grad, square, mean, step, beta2, momentum, eps, size=lambda square, old, right: (square / right + eps).sqrt()
            ),
            "eps stands under the root. It is added to the root.",
        ),
        Mistake(
            "rates_swapped",
            lambda grad, square, mean, step, beta2=0.999, momentum=0.9, eps=1e-20: laprop_parts(
                grad, square, mean, step, momentum, beta2, eps
            ),
            "beta2 and momentum are swapped: beta2 keeps the squares, momentum the mean.",
        ),
        Mistake(
            "corrected_square_kept",
            corrected_square_kept,
            "The square that is returned was divided by 1 - beta2 ** step. Remember it as it is, or it is divided again at every step.",
        ),
        Mistake(
            "corrected_mean_kept",
            corrected_mean_kept,
            "The mean that is returned was divided by 1 - momentum ** step. Remember it as it is, or it is divided again at every step.",
        ),
    ),
    hints=(
        "Three lines of the formula, in this order: the square, the mean of what is left after dividing, the direction.",
        "size = (square / (1 - beta2**step)).sqrt() + eps, with the square that already holds this gradient.",
        "square = beta2 * square + (1 - beta2) * grad**2; mean = momentum * mean + (1 - momentum) * grad / size; return "
        "mean / (1 - momentum**step), square, mean",
    ),
)


# --- 11.4 adaptive gradient clipping -------------------------------------------------------------


def observe_agc_factor(f) -> Observations:
    tensors = torch.tensor([1.0, 10.0, 0.01, 0.0, 0.6]), torch.tensor([2.0, 2.0, 0.0, 0.0, 2.0])
    return {
        "the factors of five tensors": f(*tensors),
        "the factors of five tensors with clip = 1": f(*tensors, 1.0),
        "the factors of five tensors with floor = 5": f(*tensors, 0.3, 5.0),
        "the factor of a single tensor": f(torch.tensor(9.0), torch.tensor(1.0)),
    }


def expected_agc_factor() -> Observations:
    return {
        "the factors of five tensors": torch.tensor([0.6, 0.06, 0.03, 1.0, 1.0]),  # the longest allowed: 0.6, 0.6, 0.0003, 0.0003, 0.6
        "the factors of five tensors with clip = 1": torch.tensor([1.0, 0.2, 0.1, 1.0, 1.0]),
        "the factors of five tensors with floor = 5": torch.tensor([1.0, 0.15, 1.0, 1.0, 1.0]),
        "the factor of a single tensor": torch.tensor(1 / 30),
    }


AGC_FACTOR = Exercise(
    id="11.4",
    title="How far a gradient is cut",
    minutes=6,
    difficulty=1,
    importance=2,
    reference=agc.agc_factor,
    target="dreamer_core.paper.agc:agc_factor",
    runs_with=PAPER,
    observe=observe_agc_factor,
    expected=expected_agc_factor,
    gradients=False,
    looks=(
        Look("7 tensors", lambda d: (d.uniform(0, 4, 7), d.uniform(0, 4, 7), d.number(0.2, 0.5), 1e-3), draws=4),
        Look("tensors near 0", lambda d: (d.uniform(0, 0.1, 6), d.uniform(0, 0.02, 6), d.number(0.5, 2), 0.01), draws=4),
        Look("a high floor", lambda d: (d.uniform(0, 4, 6), d.uniform(0, 4, 6), 0.5, d.number(1, 3))),
        Look("no gradient", lambda d: (torch.zeros(3), d.uniform(0, 1, 3))),
        Look("short gradients", lambda d: (d.uniform(0, 0.1, 5), d.uniform(1, 2, 5))),
        Look("long gradients", lambda d: (d.uniform(100, 1e5, 5), d.uniform(0, 2, 5))),
        Look("a single tensor", lambda d: (d.uniform(2, 3), d.uniform(1, 2))),
    ),
    mistakes=(
        Mistake(
            "stretched",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: clip * weight_norm.clamp(min=floor) / grad_norm.clamp(min=1e-6),
            "Short gradients are stretched: the factor is above 1. A gradient that is short enough stays as it is.",
        ),
        Mistake(
            "nan_without_gradient",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: torch.minimum(grad_norm, clip * weight_norm.clamp(min=floor)) / grad_norm,
            "A tensor whose gradient is 0 gets 0 / 0, which is not a number and would spoil its weights. Its factor is 1.",
        ),
        Mistake(
            "no_floor",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: (clip * weight_norm / grad_norm).nan_to_num(1.0).clamp(max=1),
            "floor plays no part yet: a tensor that is 0, as many are at first, could never move.",
        ),
        Mistake(
            "floor_of_the_product",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: ((clip * weight_norm).clamp(min=floor) / grad_norm).clamp(max=1),
            "The floor was put under clip * weight_norm. It belongs under the norm of the weights alone, before clip.",
        ),
        Mistake(
            "floor_added",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: (clip * (weight_norm + floor) / grad_norm).clamp(max=1),
            "The floor was added to the norm. It is the *larger* of the two that counts.",
        ),
        Mistake(
            "no_clip",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: (weight_norm.clamp(min=floor) / grad_norm).clamp(max=1),
            "clip plays no part yet: a gradient may have that share of the weights' norm, not all of it.",
        ),
        Mistake(
            "the_limit",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: clip * weight_norm.clamp(min=floor),
            "This is the longest norm allowed. What is asked for is the factor that brings a gradient down to it: at most 1.",
        ),
        Mistake(
            "one_for_all",
            lambda grad_norm, weight_norm, clip=0.3, floor=1e-3: (
                (clip * weight_norm.clamp(min=floor) / grad_norm).clamp(max=1).amin().expand_as(grad_norm).clone()
            ),
            "All tensors got the factor of the worst one. Each is held against its own weights.",
        ),
    ),
    hints=(
        "How long may a gradient be, beside weights of norm 2? And beside weights that are 0?",
        "The longest norm allowed is clip * max(floor, weight_norm). Divided by the gradient's norm it is the factor, unless above 1.",
        "(clip * weight_norm.clamp(min=floor) / grad_norm).clamp(max=1)",
    ),
)


# --- 11.5 symlog ---------------------------------------------------------------------------------


def observe_symlog(f) -> Observations:
    return {
        "the symlog of 0, 1 and -1": f(torch.tensor([0.0, 1.0, -1.0])),
        "the symlog of e - 1 and of 1 - e": f(torch.tensor([math.e - 1, 1 - math.e])),
        "the symlog of large numbers": f(torch.tensor([[1000.0, -1000.0], [1e8, -1e8]])),
        "the symlog of small numbers": f(torch.tensor([0.01, -0.01, 0.001])),
    }


def expected_symlog() -> Observations:
    thousand, large = math.log(1001), math.log(1e8 + 1)
    return {
        "the symlog of 0, 1 and -1": torch.tensor([0.0, math.log(2), -math.log(2)]),
        "the symlog of e - 1 and of 1 - e": torch.tensor([1.0, -1.0]),
        "the symlog of large numbers": torch.tensor([[thousand, -thousand], [large, -large]]),
        "the symlog of small numbers": torch.tensor([0.01 - 0.01**2 / 2, -0.01 + 0.01**2 / 2, 0.001]),  # x itself, but for half its square
    }


SYMLOG = Exercise(
    id="11.5",
    title="Symlog",
    minutes=5,
    difficulty=1,
    importance=3,
    reference=symlog.symlog,
    target="dreamer_core.paper.symlog:symlog",
    runs_with=PAPER,
    observe=observe_symlog,
    expected=expected_symlog,
    gradients=False,
    looks=(
        Look("a vector", lambda d: (d.normal(7, std=3),)),
        Look("rows (B, T, O)", lambda d: (d.normal(2, 3, 4, std=10),)),
        Look("large numbers of both signs", lambda d: (1e6 * d.normal(5),)),
        Look("small numbers of both signs", lambda d: (0.1 * d.normal(5),)),
        Look("zeros among others", lambda d: (d.normal(8) * d.mask(8, share=0.5),), draws=4),
        Look("a single number", lambda d: (d.normal(),)),
    ),
    mistakes=(
        Mistake(
            "sign_lost",
            lambda x: torch.log1p(x.abs()),
            "The sign is lost: -3 and 3 become the same number. Put sign(x) in front.",
        ),
        Mistake(
            "plain_log",
            lambda x: torch.sign(x) * torch.log(x.abs().clamp(min=1e-8)),
            "The 1 is missing: log|x| runs to minus infinity near 0. It is log(1 + |x|), which is 0 at 0.",
        ),
        Mistake(
            "not_a_number_below",
            lambda x: torch.log1p(x),
            "Below -1 there is no logarithm of 1 + x. Take the logarithm of 1 + |x|, and give it the sign of x.",
        ),
        Mistake(
            "not_a_number_at_0",
            lambda x: x / x.abs() * torch.log1p(x.abs()),
            "At 0 the sign was made by 0 / 0, which is not a number. torch.sign(0) is 0.",
        ),
        Mistake(
            "log10",
            lambda x: torch.sign(x) * torch.log10(1 + x.abs()),
            "This counts in powers of 10. With the natural logarithm, symlog(x) is x itself near 0.",
        ),
        Mistake(
            "symexp",
            lambda x: torch.sign(x) * torch.expm1(x.abs().clamp(max=80)),
            "This is the inverse, symexp: it pulls large numbers apart. Symlog presses them together.",
        ),
    ),
    hints=(
        "What should become of 0? Of a million? And of minus a million?",
        "A logarithm of 1 + |x| for the size, and the sign of x in front of it. `torch.log1p(y)` is log(1 + y).",
        "torch.sign(x) * torch.log1p(torch.abs(x))",
    ),
)


# --- 11.6 twohot ---------------------------------------------------------------------------------

FIVE = [-10.0, -1.0, 0.0, 1.0, 10.0]


def observe_twohot(f) -> Observations:
    bins = torch.tensor(FIVE)
    return {
        "the weights of 0.25": f(torch.tensor(0.25), bins),
        "the weights of 4 and of -1.9": f(torch.tensor([4.0, -1.9]), bins),
        "the weights of 1, a bin itself": f(torch.tensor([1.0]), bins),
        "the weights of both ends, and of what lies beyond": f(torch.tensor([[-10.0, 10.0], [-12.0, 1e6]]), bins),
        "the weights among the paper's bins, of 2": f(torch.tensor([2.0]), twohot.symexp_bins()),
    }


def expected_twohot() -> Observations:
    bins = [math.copysign(math.expm1(abs(20 * (k - 127) / 127)), k - 127) for k in range(255)]
    high = next(k for k, value in enumerate(bins) if value > 2)
    fine = torch.zeros(1, 255)
    fine[0, high] = (2 - bins[high - 1]) / (bins[high] - bins[high - 1])
    fine[0, high - 1] = 1 - fine[0, high]
    first, last = [1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0]
    return {
        "the weights of 0.25": torch.tensor([0, 0, 0.75, 0.25, 0]),
        "the weights of 4 and of -1.9": torch.tensor([[0, 0, 0, 2 / 3, 1 / 3], [0.1, 0.9, 0, 0, 0]]),
        "the weights of 1, a bin itself": torch.tensor([[0, 0, 0, 1.0, 0]]),
        "the weights of both ends, and of what lies beyond": torch.tensor([[first, last], [first, last]]),
        "the weights among the paper's bins, of 2": fine,
    }


def two_bins(target, bins, share=None, first=0, kept=(True, True)):
    """The two weights with their free places, for the mistakes: the upper one's share, which bins, and which of both are written."""
    above = torch.searchsorted(bins, target.contiguous(), right=True).clamp(1, len(bins) - 1)
    inside = target.clamp(bins[0], bins[-1])
    low, high = bins[above - 1], bins[above]
    part = (share or (lambda x, low, high: (x - low) / (high - low)))(inside, low, high)
    weights = torch.zeros(*target.shape, len(bins))
    if kept[0]:
        weights.scatter_(-1, (above - 1 + first).clamp(max=len(bins) - 1).unsqueeze(-1), (1 - part).unsqueeze(-1))
    if kept[1]:
        weights.scatter_(-1, (above + first).clamp(max=len(bins) - 1).unsqueeze(-1), part.unsqueeze(-1))
    return weights


def unclamped(target, bins):
    above = torch.searchsorted(bins, target.contiguous(), right=True).clamp(1, len(bins) - 1)
    share = (target - bins[above - 1]) / (bins[above] - bins[above - 1])
    weights = torch.zeros(*target.shape, len(bins)).scatter_(-1, above.unsqueeze(-1) - 1, 1 - share.unsqueeze(-1))
    return weights.scatter_(-1, above.unsqueeze(-1), share.unsqueeze(-1))


def nearest(target, bins):
    return torch.nn.functional.one_hot((target.unsqueeze(-1) - bins).abs().argmin(-1), len(bins)).float()


def even_bins(target, bins):
    """As if the bins lay evenly between the first and the last."""
    where = ((target - bins[0]) / (bins[-1] - bins[0])).clamp(0, 1) * (len(bins) - 1)
    low = where.floor().long().clamp(max=len(bins) - 2)
    weights = torch.zeros(*target.shape, len(bins)).scatter_(-1, low.unsqueeze(-1), 1 - (where - low).unsqueeze(-1))
    return weights.scatter_(-1, low.unsqueeze(-1) + 1, (where - low).unsqueeze(-1))


def some_bins(d: Draw, count: int) -> Tensor:
    """Bins at uneven distances, some of them below 0."""
    return d.uniform(0.2, 3, count).cumsum(0) - count / 2


TWOHOT = Exercise(
    id="11.6",
    title="Two-hot: a number as two weights",
    minutes=15,
    difficulty=3,
    importance=3,
    reference=twohot.twohot,
    target="dreamer_core.paper.twohot:twohot",
    runs_with=PAPER,
    observe=observe_twohot,
    expected=expected_twohot,
    gradients=False,
    looks=(
        Look("4 targets and 6 bins", lambda d: (d.normal(4, std=2), some_bins(d, 6)), draws=4),
        Look("targets (B, T) and 5 bins", lambda d: (d.normal(2, 3, std=2), some_bins(d, 5)), draws=4),
        Look("a single target", lambda d: (d.normal(), some_bins(d, 7))),
        Look("two bins", lambda d: (d.normal(5), some_bins(d, 2))),
        Look("the paper's bins", lambda d: (d.normal(6, std=30), twohot.symexp_bins()), draws=3),
        Look("targets that are bins", lambda d: ((bins := some_bins(d, 6))[d.integers(0, 6, 5)], bins), draws=3),
        Look("targets beyond the ends", lambda d: (100 * d.normal(8), some_bins(d, 6))),
        Look("bins that all lie below 0", lambda d: (d.normal(8, mean=-50, std=30), some_bins(d, 6) - 50)),
    ),
    mistakes=(
        Mistake(
            "nearest",
            nearest,
            "All the weight went to the nearest bin, which rounds the number. Two bins share it, so that their mean is the number itself.",
        ),
        Mistake(
            "swapped",
            lambda target, bins: two_bins(target, bins, lambda x, low, high: 1 - (x - low) / (high - low)),
            "The two weights are swapped: the *nearer* bin weighs more.",
        ),
        Mistake(
            "halves",
            lambda target, bins: two_bins(target, bins, lambda x, low, high: torch.full_like(x, 0.5)),
            "Both bins got a half. How much each gets depends on how near it is.",
        ),
        Mistake(
            "shares_in_symlog",
            lambda target, bins: two_bins(
                target,
                bins,
                lambda x, low, high: (symlog.symlog(x) - symlog.symlog(low)) / (symlog.symlog(high) - symlog.symlog(low)),
            ),
            "The shares were taken in symlog units, as in the code of 2023. Since v2 they are taken in the units of the number itself: "
            "only then is the mean of the two bins the number.",
        ),
        Mistake(
            "beyond_the_ends",
            unclamped,
            "A number beyond the last bin got a weight above 1 and another below 0. It is cut off at the end first: "
            "`target.clamp(bins[0], bins[-1])`.",
        ),
        Mistake(
            "one_bin_up",
            lambda target, bins: two_bins(target, bins, first=1),
            "Both weights stand one bin too high: searchsorted with right=True finds the first *larger* bin, the upper of the two.",
        ),
        Mistake(
            "lower_alone",
            lambda target, bins: two_bins(target, bins, kept=(True, False)),
            "The upper bin's weight is missing: the two must sum to 1.",
        ),
        Mistake(
            "even_bins",
            even_bins,
            "Your place among the bins is right only if they lie at even distances. These lie close together near 0: search for the two "
            "around the number, with torch.searchsorted.",
        ),
    ),
    hints=(
        "Which two bins lie around the number, and how far is it from each, as a share of the distance between the two?",
        "above = torch.searchsorted(bins, target, right=True).clamp(1, K - 1) is the upper bin's number. The upper weight is "
        "(target - low) / (high - low), with the target cut off at the ends.",
        "Begin with weights = torch.zeros(*target.shape, K); weights.scatter_(-1, above.unsqueeze(-1) - 1, 1 - share.unsqueeze(-1)) writes "
        "the lower ones, and the same with above and share the upper ones.",
    ),
)


# --- 11.7 the mean of a distribution over bins ---------------------------------------------------


def observe_twohot_mean(f) -> Observations:
    bins = torch.tensor(FIVE)
    rows = torch.tensor([[0.25, 0.25, 0.0, 0.25, 0.25], [0.0, 0.0, 0.9, 0.0, 0.1], [0.0, 0.5, 0.0, 0.5, 0.0]])
    return {
        "the mean of a number's two bins": f(torch.tensor([0.0, 0.0, 0.75, 0.25, 0.0]).clamp(min=1e-30).log(), bins),
        "the means of three distributions": f(rows.clamp(min=1e-30).log() + 3, bins),
        "the mean where all logits are 1": f(torch.ones(5), bins + 2),
        "the means where all logits are equal, with the paper's bins": f(torch.zeros(3, 255), twohot.symexp_bins()),
        "the same with fewer bins": f(torch.full((2, 201), -1.5), twohot.symexp_bins(201)),
    }


def expected_twohot_mean() -> Observations:
    return {
        "the mean of a number's two bins": torch.tensor(0.25),
        "the means of three distributions": torch.tensor([0.0, 1.0, 0.0]),  # (-10 - 1 + 1 + 10) / 4; 10 / 10; (-1 + 1) / 2
        "the mean where all logits are 1": torch.tensor(2.0),
        "the means where all logits are equal, with the paper's bins": torch.zeros(3),  # every bin has its mirror image
        "the same with fewer bins": torch.zeros(2),
    }


def middle_counted(logits, bins, times):
    """The paired sum with the middle bin counted this often."""
    parts = torch.softmax(logits, -1) * bins
    middle = len(bins) // 2
    return times * parts[..., middle] + (parts[..., :middle].flip(-1) + parts[..., middle + 1 :]).sum(-1)


TWOHOT_MEAN = Exercise(
    id="11.7",
    title="The mean over the bins",
    minutes=8,
    difficulty=2,
    importance=3,
    reference=twohot.twohot_mean,
    target="dreamer_core.paper.twohot:twohot_mean",
    runs_with=PAPER,
    observe=observe_twohot_mean,
    expected=expected_twohot_mean,
    looks=(
        Look("4 rows and 7 bins", lambda d: (d.normal(4, 7), d.data(some_bins(d, 7)))),
        Look("rows (B, T) and 5 bins", lambda d: (d.normal(2, 3, 5, std=2), d.data(some_bins(d, 5)))),
        Look("a single row", lambda d: (d.normal(9), d.data(some_bins(d, 9)))),
        Look("as many rows as bins", lambda d: (d.normal(5, 5), d.data(some_bins(d, 5)))),
        Look("three bins", lambda d: (d.normal(6, 3), d.data(some_bins(d, 3)))),
        Look("one bin that is nearly sure", lambda d: (d.normal(3, 7) + 12 * d.one_hot(3, 7), d.data(some_bins(d, 7)))),
    ),
    mistakes=(
        Mistake(
            "likeliest",
            lambda logits, bins: bins[logits.argmax(-1)] + 0 * logits.sum(-1),
            "This is the likeliest bin. The mean weighs every bin with its probability.",
        ),
        Mistake(
            "no_softmax",
            lambda logits, bins: (logits * bins).sum(-1),
            "The logits were taken as weights. They become probabilities by a softmax over the bins.",
        ),
        Mistake(
            "wrong_axis",
            lambda logits, bins: (
                ((parts := torch.softmax(logits, 0) * bins)[..., : len(bins) // 2].flip(-1) + parts[..., len(bins) // 2 + 1 :]).sum(-1)
                + parts[..., len(bins) // 2]
            ),
            "The softmax runs over the first axis. The probabilities of one distribution stand along the last.",
        ),
        Mistake(
            "mean_in_symlog",
            lambda logits, bins: symlog.symexp((torch.softmax(logits, -1) * symlog.symlog(bins)).sum(-1)),
            "The mean was taken in symlog units and stretched afterwards, as in the code of 2023. For rewards of 0 and 100 in turn that is "
            "far below 50. Take the mean of the bins themselves.",
        ),
        Mistake(
            "in_a_row",
            lambda logits, bins: (torch.softmax(logits, -1) * bins).sum(-1),
            "The sum is right on paper, but from one end to the other the rounding of numbers like 4.9e8 is left over. Add each bin to its "
            "mirror image first, then add these small numbers up.",
        ),
        Mistake(
            "middle_left_out",
            lambda logits, bins: middle_counted(logits, bins, 0),
            "The middle bin is left out: with K odd it has no mirror image. Here it is 0, but bins may be others.",
        ),
        Mistake(
            "middle_twice",
            lambda logits, bins: middle_counted(logits, bins, 2),
            "The middle bin is counted twice: with K odd it is its own mirror image.",
        ),
    ),
    hints=(
        "Probabilities times bins, added up: a plain mean. Then try it with 255 equal logits: is it 0?",
        "parts = torch.softmax(logits, -1) * bins. Fold the upper half onto the lower one, so that mirror images meet, and sum up.",
        "m = len(bins) // 2; return parts[..., m] + (parts[..., :m].flip(-1) + parts[..., m + 1:]).sum(-1)",
    ),
)

EXERCISES = [FRESH_CHUNKS, BLOCK_PRODUCT, LAPROP_STEP, AGC_FACTOR, SYMLOG, TWOHOT, TWOHOT_MEAN]

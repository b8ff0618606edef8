"""Exercises of notebook 06: which rows a window takes, what is stored again, how old and how wrong it is."""

import torch
from torch import Tensor, nn

from dreamer_core import replay
from dreamer_core.classroom.spec import Draw, Exercise, Look, Mistake, Observations
from dreamer_core.classroom.toy import small_model
from dreamer_core.config import WorldModelConfig
from dreamer_core.replay import Window
from dreamer_core.rssm import RSSM, Beliefs
from dreamer_core.viz import staleness
from dreamer_core.world_model import WorldModel

# --- 6.1 free windows --------------------------------------------------------------------------


def observe_free_starts(f) -> Observations:
    """All draws there are, with many rows and with as many as one window needs."""
    return {
        "the starts for draws 0 to 9 (10 rows, windows of 4)": f(torch.arange(10), 10, 4),
        "the starts for draws 0 to 3 (4 rows, windows of 4)": f(torch.arange(4), 4, 4),
    }


def expected_free_starts() -> Observations:
    """By hand: a window of 4 out of rows 0 to 9 starts at row 6 at the latest."""
    return {
        "the starts for draws 0 to 9 (10 rows, windows of 4)": torch.tensor([0, 1, 2, 3, 4, 5, 6, 6, 6, 6]),
        "the starts for draws 0 to 3 (4 rows, windows of 4)": torch.tensor([0, 0, 0, 0]),
    }


FREE_STARTS = Exercise(
    id="6.1",
    title="Where a free window may start",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=replay.free_starts,
    target="dreamer_core.replay:free_starts",
    observe=observe_free_starts,
    expected=expected_free_starts,
    gradients=False,
    looks=(
        Look("20 draws from 13 rows, windows of 5", lambda d: (d.integers(0, 13, 20), 13, 5)),
        Look("every row drawn once", lambda d: (d.order(11), 11, 4), draws=1),
        Look("fewer rows than two windows need", lambda d: (d.order(8), 8, 6)),
        Look("windows of 1 row", lambda d: (d.integers(0, 9, 15), 9, 1)),
        Look("a window as long as what is stored", lambda d: (d.integers(0, 6, 8), 6, 6)),
        Look("a single draw, the last row", lambda d: (torch.tensor([6]), 7, 3), draws=1),
        Look("a single draw, the first row", lambda d: (torch.tensor([0]), 7, 3), draws=1),
    ),
    mistakes=(
        Mistake(
            "past_the_end",
            lambda draw, rows, length: draw.clone(),
            "A window that starts at the last row needs `length - 1` rows that are not there yet; in a ring it would go on with the oldest "
            "ones. Move late starts back.",
        ),
        Mistake(
            "never_the_newest",
            lambda draw, rows, length: draw.clamp(max=rows - length - 1),
            "One row too early: no window ever holds the newest row. The last start leaves exactly `length` rows.",
        ),
        Mistake(
            "one_too_late",
            lambda draw, rows, length: draw.clamp(max=rows - length + 1),
            "One row too late: the last window ends one row past the newest. Count the rows from `rows - length` on.",
        ),
        Mistake(
            "wrapped_around",
            lambda draw, rows, length: draw % (rows - length + 1),
            "Every window fits, but late draws now go to the *oldest* rows, and the newest row is in a single window: it would hardly be "
            "seen. Move them to the last start that fits.",
        ),
        Mistake(
            "squeezed",
            lambda draw, rows, length: draw * (rows - length + 1) // rows,
            "Every window fits and each start is about equally likely. But then the newest row lies in one window only and is hardly ever "
            "seen. Leave early draws as they are and move only the late ones.",
        ),
        Mistake(
            "shifted",
            lambda draw, rows, length: (draw - length + 1).clamp(min=0),
            "You count each draw as the *last* row of its window. Then the oldest window is favoured instead of the newest.",
        ),
        Mistake(
            "dropped",
            lambda draw, rows, length: draw[draw <= rows - length],
            "You drop the late draws: fewer windows than were asked for, and the newest row is hardly ever in one. Keep every draw and "
            "move the late ones.",
        ),
        Mistake(
            "moved_by_a_window",
            lambda draw, rows, length: torch.where(draw > rows - length, draw - length, draw),
            "You move late draws back by a whole window. Then the newest row is in a single window and hardly ever seen. Move them only as "
            "far as they must go.",
        ),
    ),
    hints=(
        "Write down the last start that fits, for 10 rows and windows of 4. Then say what happens to a later draw.",
        "Starts up to `rows - length` stay as they are; every later one becomes `rows - length`.",
        "`Tensor.clamp(max=...)` is all it takes.",
    ),
)

# --- 6.2 fixed chunks --------------------------------------------------------------------------


def observe_chunk_starts(f) -> Observations:
    """A buffer that fills up, and rings that have overwritten their oldest rows."""
    return {
        "the starts of chunks of 4 in rows 0 to 13": f(0, 14, 4),
        "the starts of chunks of 4 in rows 3 to 21": f(3, 22, 4),
        "the starts of chunks of 4 in rows 8 to 23": f(8, 24, 4),
        "the starts of chunks of 5 in rows 11 to 29": f(11, 30, 5),
    }


def expected_chunk_starts() -> Observations:
    """By brute force: every row, if it is a multiple of the length and its chunk is stored whole."""

    def search(oldest: int, count: int, length: int) -> Tensor:
        stored = set(range(oldest, count))
        return torch.tensor([n for n in range(count) if n % length == 0 and set(range(n, n + length)) <= stored])

    return {
        "the starts of chunks of 4 in rows 0 to 13": search(0, 14, 4),
        "the starts of chunks of 4 in rows 3 to 21": search(3, 22, 4),
        "the starts of chunks of 4 in rows 8 to 23": search(8, 24, 4),
        "the starts of chunks of 5 in rows 11 to 29": search(11, 30, 5),
    }


CHUNK_STARTS = Exercise(
    id="6.2",
    title="A fixed grid of chunks",
    minutes=8,
    difficulty=2,
    importance=1,
    reference=replay.chunk_starts,
    target="dreamer_core.replay:chunk_starts",
    runs_with='replay.layout = "chunks"',
    observe=observe_chunk_starts,
    expected=expected_chunk_starts,
    gradients=False,
    looks=tuple(
        Look(f"rows {oldest} to {count - 1} and chunks of {length}", lambda d, a=oldest, b=count, c=length: (a, b, c), draws=1)
        for oldest, count, length in (
            *((0, 12, 4), (0, 13, 4), (0, 15, 4), (1, 12, 4), (4, 12, 4), (3, 12, 4), (5, 16, 4), (7, 23, 5), (10, 21, 5)),
            *((11, 20, 5), (0, 3, 3), (2, 5, 3), (0, 5, 1), (6, 9, 1), (100, 131, 7), (98, 131, 7), (99, 112, 7)),
        )
    ),
    mistakes=(
        Mistake(
            "grid_moves",
            lambda oldest, count, length: torch.arange(oldest, count - length + 1, length),
            "Your grid begins at the oldest row, so it moves whenever a row is overwritten. Chunks start at multiples of `length`, always "
            "at the same rows.",
        ),
        Mistake(
            "first_is_broken",
            lambda oldest, count, length: length * torch.arange(oldest // length, count // length),
            "Your first chunk begins before the oldest row: part of it was overwritten. Round up, not down.",
        ),
        Mistake(
            "last_is_unfinished",
            lambda oldest, count, length: torch.arange(-(-oldest // length) * length, count, length),
            "Your last chunk has begun, but not all of its rows are there yet.",
        ),
        Mistake(
            "last_is_missing",
            lambda oldest, count, length: torch.arange(-(-oldest // length) * length, count - length, length),
            "A chunk that ends with the newest row is whole, and yours leaves it out.",
        ),
        Mistake(
            "first_is_missing",
            lambda oldest, count, length: length * torch.arange(oldest // length + 1, count // length),
            "A chunk that starts exactly at the oldest row is whole, and yours leaves it out.",
        ),
        Mistake(
            "chunk_numbers",
            lambda oldest, count, length: torch.arange(-(-oldest // length), count // length),
            "These are the numbers of the chunks, not the numbers of the rows at which they start.",
        ),
        Mistake(
            "every_row",
            lambda oldest, count, length: torch.arange(oldest, count - length + 1),
            "These are the starts of *free* windows. Chunks do not overlap: they start at multiples of `length` only.",
        ),
    ),
    hints=(
        "Which multiples of `length` are at least `oldest`? And which of those leave room for a whole chunk?",
        "The first start is `oldest` rounded *up* to a multiple of `length`: `-(-oldest // length) * length`. The last one is at most "
        "`count - length`.",
        "`torch.arange(first, last + 1, length)`; the end of `arange` is not included.",
    ),
)

# --- 6.3 write-back ----------------------------------------------------------------------------


def observe_recomputed(f) -> Observations:
    """Two windows of three rows, with states that carry a gradient."""
    h = torch.tensor([[[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]], [[4.0, -4.0], [5.0, -5.0], [6.0, -6.0]]], requires_grad=True)
    z = torch.tensor([[[0.1], [0.2], [0.3]], [[0.4], [0.5], [0.6]]], requires_grad=True)
    index, h, z = f(torch.tensor([[7, 8, 9], [2, 3, 4]]), h, z)
    return {
        "the rows to be stored": index,
        "the h for them": h.detach(),
        "the z for them": z.detach(),
        "whether h still carries a gradient": h.requires_grad,
        "whether z still carries a gradient": z.requires_grad,
    }


def expected_recomputed() -> Observations:
    """Read off the input by hand."""
    return {
        "the rows to be stored": torch.tensor([[8, 9], [3, 4]]),
        "the h for them": torch.tensor([[[2.0, -2.0], [3.0, -3.0]], [[5.0, -5.0], [6.0, -6.0]]]),
        "the z for them": torch.tensor([[[0.2], [0.3]], [[0.5], [0.6]]]),
        "whether h still carries a gradient": False,
        "whether z still carries a gradient": False,
    }


RECOMPUTED = Exercise(
    id="6.3",
    title="What may be written back",
    minutes=5,
    difficulty=1,
    importance=3,
    reference=replay.recomputed,
    target="dreamer_core.replay:recomputed",
    observe=observe_recomputed,
    expected=expected_recomputed,
    looks=(
        Look("3 windows of 5 rows", lambda d: (d.integers(0, 90, 3, 5), d.normal(3, 5, 4), d.normal(3, 5, 2))),
        Look("7 windows of 4 rows", lambda d: (d.integers(0, 90, 7, 4), d.normal(7, 4, 3), d.normal(7, 4, 2))),
        Look("a single window", lambda d: (d.integers(0, 90, 1, 6), d.normal(1, 6, 3), d.normal(1, 6, 2))),
        Look("windows of 21 rows", lambda d: (d.integers(0, 90, 2, 21), d.normal(2, 21, 3), d.normal(2, 21, 4)), draws=1),
        Look("windows of two rows", lambda d: (d.integers(0, 90, 4, 2), d.normal(4, 2, 3), d.normal(4, 2, 5))),
        Look("as many windows as rows", lambda d: (d.integers(0, 90, 3, 3), d.normal(3, 3, 3), d.normal(3, 3, 3))),
    ),
    mistakes=(
        Mistake(
            "all_rows",
            lambda index, h, z: (index, h.detach(), z.detach()),
            "Row 1 is still among the rows to be stored. Its h was not computed, it was read from the buffer: writing it back "
            "changes nothing but its age, and a stale number then looks fresh.",
        ),
        Mistake(
            "last_row_dropped",
            lambda index, h, z: (index[:, :-1], h[:, :-1].detach(), z[:, :-1].detach()),
            "You leave out the last row, which is the best one: it has seen the most. It is row 0 that must not be stored.",
        ),
        Mistake(
            "both_ends",
            lambda index, h, z: (index[:, 1:-1], h[:, 1:-1].detach(), z[:, 1:-1].detach()),
            "You leave out the last row too. It was recomputed like the others.",
        ),
        Mistake(
            "first_window_dropped",
            lambda index, h, z: (index[1:], h[1:].detach(), z[1:].detach()),
            "You leave out the first *window* of the batch. Axis 0 is the batch, axis 1 is time.",
        ),
        Mistake(
            "shifted",
            lambda index, h, z: (index[:, 1:], h[:, :-1].detach(), z[:, :-1].detach()),
            "Row numbers and states do not belong together: every row would get the state of the row before it.",
        ),
        Mistake(
            "shifted_back",
            lambda index, h, z: (index[:, :-1], h[:, 1:].detach(), z[:, 1:].detach()),
            "Row numbers and states do not belong together: every row would get the state of the row after it, which has seen the future. "
            "Leave out the same row in all three.",
        ),
        Mistake(
            "gradient_kept",
            lambda index, h, z: (index[:, 1:], h[:, 1:], z[:, 1:]),
            "The numbers are right, but they keep their gradient: the buffer would hold on to the graph of every update. `detach` them. "
            "`torch.no_grad()` around a slice is not enough: it is a view of a tensor that already has a graph.",
        ),
        Mistake(
            "z_gradient_kept",
            lambda index, h, z: (index[:, 1:], h[:, 1:].detach(), z[:, 1:]),
            "h is detached, z is not. Both go into the buffer.",
        ),
    ),
    hints=(
        "Row 1 is special: where does its h come from?",
        "Axis 1 of all three tensors is time. Leave its first entry out, in all three alike.",
        "`h[:, 1:].detach()`, and so on for the others.",
    ),
)

# --- 6.4 age in a ring -------------------------------------------------------------------------


def observe_ages(f) -> Observations:
    """A ring that is half full, one that is just full, and two that have gone round."""
    return {
        "the ages in a ring of 4 that holds 2 rows": f(torch.tensor([5.0, 3.0, 0.0, 0.0]), 2, 7),
        "the ages in a ring of 4 after 4 rows": f(torch.tensor([5.0, 3.0, 6.0, 2.0]), 4, 7),
        "the ages in a ring of 4 after 6 rows": f(torch.tensor([8.0, 9.0, 3.0, 4.0]), 6, 10),
        "the ages in a ring of 3 after 7 rows": f(torch.tensor([6.0, 1.0, 4.0]), 7, 6),
    }


def expected_ages() -> Observations:
    """By hand. After 6 rows a ring of 4 holds rows 2, 3, 4, 5 in slots 2, 3, 0, 1."""
    return {
        "the ages in a ring of 4 that holds 2 rows": torch.tensor([2.0, 4.0]),
        "the ages in a ring of 4 after 4 rows": torch.tensor([2.0, 4.0, 1.0, 5.0]),
        "the ages in a ring of 4 after 6 rows": torch.tensor([7.0, 6.0, 2.0, 1.0]),
        "the ages in a ring of 3 after 7 rows": torch.tensor([5.0, 2.0, 0.0]),
    }


def stored(written: Tensor, count: int) -> Tensor:
    """The filled slots, in the order in which they lie in memory."""
    return written[: min(count, len(written))]


AGES = Exercise(
    id="6.4",
    title="Age, in a ring that has gone round",
    minutes=8,
    difficulty=3,
    importance=2,
    reference=replay.ages,
    target=None,  # the agent does not read the age; the figures do
    observe=observe_ages,
    expected=expected_ages,
    gradients=False,
    looks=(
        Look("a ring of 7 slots that has gone round", lambda d: (d.integers(0, 50, 7).float(), 17, 60)),
        Look("rows that were written at update 0", lambda d: (d.integers(0, 3, 8).float(), 8, 3)),
        Look("a ring that is not full", lambda d: (d.integers(0, 50, 9).float(), 5, 60)),
        Look("a ring that is just full", lambda d: (d.integers(0, 50, 6).float(), 6, 51)),
        Look("a ring that has gone round exactly twice", lambda d: (d.integers(0, 50, 5).float(), 10, 55)),
        Look("one row more than slots", lambda d: (d.integers(0, 50, 8).float(), 9, 49)),
        Look("a single row", lambda d: (d.integers(0, 50, 4).float(), 1, 70)),
        Look("a single slot", lambda d: (d.integers(0, 50, 1).float(), 12, 70)),
    ),
    mistakes=(
        Mistake(
            "order_of_slots",
            lambda written, count, update: update - stored(written, count),
            "The classic mistake with a ring: this is the order of the *slots*. It agrees with the order of the rows until the ring has "
            "gone round once; after that the oldest row lies in the middle.",
        ),
        Mistake(
            "newest_first",
            lambda written, count, update: (update - written[torch.arange(max(0, count - len(written)), count) % len(written)]).flip(0),
            "The right ages, but newest first. The oldest row comes first.",
        ),
        Mistake(
            "rolled_the_wrong_way",
            lambda written, count, update: update - stored(written, count).roll(count % len(written) if count > len(written) else 0),
            "You turn the ring the wrong way round. The oldest row lies in slot `count % capacity`, which is written next.",
        ),
        Mistake(
            "off_by_one",
            lambda written, count, update: update - written[torch.arange(max(0, count - len(written)) + 1, count + 1) % len(written)],
            "You are one slot too far: the first row stored is number `count - rows`, the last one is `count - 1`.",
        ),
        Mistake(
            "empty_slots",
            lambda written, count, update: update - written.roll(-(count % len(written)) if count > len(written) else 0),
            "As long as the ring is not full, its other slots hold no row: they have no age.",
        ),
        Mistake(
            "moment",
            lambda written, count, update: written[torch.arange(max(0, count - len(written)), count) % len(written)],
            "These are the moments of writing. The age is how long ago that was.",
        ),
        Mistake(
            "turned_too_early",
            lambda written, count, update: update - written.roll(-(count % len(written)))[: min(count, len(written))],
            "Right for a ring that is full. Before that, slot `count % capacity` is still empty: the oldest row lies in slot 0.",
        ),
        Mistake(
            "sorted_by_age",
            lambda written, count, update: (update - stored(written, count)).sort(descending=True).values,
            "You sort by age. But the oldest *row* may have been refreshed a moment ago. Sort by row number instead.",
        ),
    ),
    hints=(
        "In the table, the oldest row left is number 2. Which numbers are left in general, for any `count`? And in which slot is each?",
        "The rows that are left are numbers `max(0, count - capacity)` to `count - 1`. Row n lies in slot `n % capacity`.",
        "Make these slot numbers with `torch.arange(...) % len(written)`, and read `written` at them.",
    ),
)

# --- 6.5 staleness -----------------------------------------------------------------------------


def observe_relative_l2(f) -> Observations:
    """Rows that are easy to do by hand, one of them an episode's start; and vectors of other sizes."""
    return {
        "the error": f(
            torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0], [0.0, 5.0]]), torch.tensor([[0.0, 4.0], [1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
        ),
        "the error of h with three entries": f(
            torch.tensor([[1.0, 2.0, 2.0], [4.0, 6.0, 12.0]]), torch.tensor([[1.0, 0.0, 0.0], [2.0, 3.0, 6.0]])
        ),
    }


def expected_relative_l2() -> Observations:
    """By hand: 3/4, 0/1, an episode's start, 3/2; sqrt(8)/1, 7/7."""
    return {"the error": torch.tensor([0.75, 0.0, 0.0, 1.5]), "the error of h with three entries": torch.tensor([8**0.5, 1.0])}


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """above / below, 0 where `above` is 0."""
    return torch.where(above > 0, above / below, 0.0)


def zero_rows(d: Draw, rows: int, size: int) -> tuple[Tensor, Tensor]:
    """Stored and fresh, with rows in which both are 0."""
    keep = 1 - d.mask(rows, 1)
    return d.normal(rows, size) * keep, d.normal(rows, size) * keep


RELATIVE_L2 = Exercise(
    id="6.5",
    title="How wrong is a stored h?",
    minutes=5,
    difficulty=1,
    importance=2,
    reference=staleness.relative_l2,
    target="dreamer_core.viz.staleness:relative_l2",
    observe=observe_relative_l2,
    expected=expected_relative_l2,
    gradients=False,
    looks=(
        Look("6 rows of 4 numbers", lambda d: (d.normal(6, 4), d.normal(6, 4))),
        Look("one row", lambda d: (d.normal(1, 5), d.normal(1, 5))),
        Look("rows of one number", lambda d: (d.normal(7, 1), d.normal(7, 1))),
        Look("rows where both are 0", lambda d: zero_rows(d, 6, 3)),
        Look("rows whose entries add up to 0", lambda d: (d.normal(4, 2), d.normal(4, 1) * torch.tensor([1.0, -1.0]))),
        Look("rows where stored is 0", lambda d: (d.normal(5, 3) * d.mask(5, 1), d.normal(5, 3))),
        Look("rows where both are equal", lambda d: (lambda x: (x, x.clone()))(d.normal(4, 3)), draws=1),
        Look("small numbers", lambda d: (1e-3 * d.normal(5, 3), 1e-3 * d.normal(5, 3))),
        Look("large numbers", lambda d: (1e3 * d.normal(5, 3), 1e3 * d.normal(5, 3))),
    ),
    mistakes=(
        Mistake(
            "nothing_by_nothing",
            lambda stored, fresh: (stored - fresh).norm(dim=-1) / fresh.norm(dim=-1),
            "0 / 0 is not a number. Where an episode starts, the stored and the fresh h are both zero: nothing is wrong there.",
        ),
        Mistake(
            "not_relative",
            lambda stored, fresh: (stored - fresh).norm(dim=-1),
            "This is the distance itself. Divide it by the length of the fresh h, so that it can be compared between models.",
        ),
        Mistake(
            "relative_to_the_stored",
            lambda stored, fresh: ratio((stored - fresh).norm(dim=-1), stored.norm(dim=-1).clamp(min=1e-9)),
            "You divide by the length of the *stored* h. The fresh one is the measure: a stored h of nearly zero length would otherwise "
            "count as wrong without limit.",
        ),
        Mistake(
            "squared",
            lambda stored, fresh: ratio((stored - fresh).square().sum(-1), fresh.square().sum(-1)),
            "These are squared lengths: the root is missing. Squares make small errors look smaller than they are.",
        ),
        Mistake(
            "sum_of_entries",
            lambda stored, fresh: ratio((stored - fresh).abs().sum(-1), fresh.abs().sum(-1)),
            "This is the sum of the absolute entries (L1). L2 is the root of the sum of squares.",
        ),
        Mistake(
            "difference_of_lengths",
            lambda stored, fresh: ratio((stored.norm(dim=-1) - fresh.norm(dim=-1)).abs(), fresh.norm(dim=-1)),
            "You compare the two lengths. Two h of the same length may point in different directions: take the length of the difference.",
        ),
        Mistake(
            "over_the_rows",
            lambda stored, fresh: ratio((stored - fresh).norm(dim=0), fresh.norm(dim=0)),
            "One number for each entry of h, over all rows. Axis 0 holds the rows: take the length along the last axis.",
        ),
        Mistake(
            "one_number",
            lambda stored, fresh: (stored - fresh).norm() / fresh.norm(),
            "That is one number for all rows together. Take the length along the last axis only.",
        ),
    ),
    hints=(
        "`x.norm(dim=-1)` is the length of every row's vector.",
        "What is 0 / 0 in torch? `torch.where` can put a 0 there.",
        "`torch.where(distance > 0, distance / size, 0.0)` with the two lengths.",
    ),
)

# --- 6.6 burn-in -------------------------------------------------------------------------------


class DigitRSSM(RSSM):
    """h = 10 h + a, so that h spells out which actions it has seen; z does nothing."""

    batched = False

    def __init__(self) -> None:
        super().__init__(WorldModelConfig(deter=1, stoch=1, units=1), embed=1, action=1)
        self.ten = nn.Parameter(torch.tensor(10.0))
        self.calls = 0

    def step(self, h: Tensor, z: Tensor, action: Tensor) -> Tensor:
        """(B, 1), (B, 1), (B, 1) -> (B, 1), with a gradient towards `ten`."""
        return self.ten * h + action

    def observe(self, *window: Tensor) -> Beliefs:
        """As its parent's, counted."""
        self.calls += 1
        return super().observe(*window)


def digits() -> WorldModel:
    """A small world model whose h is known by hand; all that a world model offers can be used."""
    with torch.random.fork_rng(devices=[]):
        model = WorldModel(WorldModelConfig(deter=1, stoch=1, units=1), 1, 1)
        model.rssm = DigitRSSM()
    return model


def observe_warm_up(f) -> Observations:
    """Two windows of nine rows, more than a window has parts; in the second one an episode starts at its second row."""
    number = torch.arange(9).expand(2, 9)
    window = Window(
        observation=torch.tensor([[[10.0]], [[20.0]]]) + number.unsqueeze(-1),
        action=2.0 + number.unsqueeze(-1),
        reward=torch.zeros(2, 9),
        first=torch.tensor([[0.0] * 9, [0.0, 1.0] + [0.0] * 7]),
        terminal=torch.zeros(2, 9),
        h=torch.tensor([[1.0], [1.0]]),
        index=torch.tensor([[10], [20]]) + number,
    )
    rest = f(digits(), window, 2)
    idle = digits()
    same = f(idle, window, 0)
    return {
        "the h handed over after 2 rows": rest.h.detach(),
        "the observations that are left": rest.observation,
        "the row numbers that are left": rest.index,
        "whether the h handed over carries a gradient": rest.h.requires_grad,
        "the h handed over after 0 rows": same.h.detach(),
        "how often a warm-up of 0 rows filters": idle.rssm.calls,
    }


def expected_warm_up() -> Observations:
    """Spelt out: 1, then actions 2 and 3. In the second window the episode's start forgets 1 and 2."""
    return {
        "the h handed over after 2 rows": torch.tensor([[123.0], [3.0]]),
        "the observations that are left": torch.stack([torch.arange(12.0, 19.0), torch.arange(22.0, 29.0)]).unsqueeze(-1),
        "the row numbers that are left": torch.stack([torch.arange(12, 19), torch.arange(22, 29)]),
        "whether the h handed over carries a gradient": False,
        "the h handed over after 0 rows": torch.tensor([[1.0], [1.0]]),
        "how often a warm-up of 0 rows filters": 0,
    }


@torch.no_grad()
def burn(model, window: Window, rows: int, filtered: int, taken: int, cut: int) -> Window:
    """Filter `filtered` rows, hand over h of row `taken`, leave rows `cut` and on; nothing for 0 rows."""
    if rows == 0:
        return window
    return window.rows(cut, None)._replace(h=model.observe(window.rows(0, filtered)).h[:, taken])


def burn_with_gradient(model, window: Window, rows: int) -> Window:
    """The right numbers, and the graph of the warm-up with them."""
    return window if rows == 0 else window.rows(rows, None)._replace(h=model.observe(window.rows(0, rows + 1)).h[:, rows])


@torch.no_grad()
def burn_nothing(model, window: Window, rows: int) -> Window:
    """Right, but it filters a row where nothing is asked for."""
    return window.rows(rows, None)._replace(h=model.observe(window.rows(0, rows + 1)).h[:, rows])


def warming(d: Draw, batch: int, length: int, rows: int) -> tuple:
    """Arguments with O = 3, A = 2, D = 6, Z = 4, and episodes that start anywhere."""
    model, _ = small_model(d, 3, 2, 6, 4)
    recorded = d.normal(batch, length, 3), d.uniform(-1, 1, batch, length, 2), d.normal(batch, length), d.mask(batch, length, share=0.2)
    window = Window(*recorded, d.mask(batch, length, share=0.1), d.normal(batch, 6), d.integers(0, 90, batch, length))
    return model, Window(*map(d.data, window)), rows


def starting(d: Draw, args: tuple, row: int) -> tuple:
    """The same arguments, with an episode that starts in this row of the first window, and no other start."""
    model, window, rows = args
    first = torch.zeros_like(window.first)
    first[0, row] = 1
    return model, window._replace(first=d.data(first)), rows


WARM_UP = Exercise(
    id="6.6",
    title="Burn-in: hand over a warm h",
    minutes=10,
    difficulty=3,
    importance=2,
    reference=WorldModel.warm_up,
    target="dreamer_core.world_model:WorldModel.warm_up",
    observe=observe_warm_up,
    expected=expected_warm_up,
    looks=(
        Look("3 windows of 7 rows, 4 of them for burn-in", lambda d: warming(d, 3, 7, 4)),
        Look("no burn-in", lambda d: warming(d, 3, 5, 0)),
        Look("a burn-in of one row", lambda d: warming(d, 4, 5, 1)),
        Look("an episode that starts where the burn-in ends", lambda d: starting(d, warming(d, 3, 6, 2), 2)),
        Look("an episode that starts in the first row", lambda d: starting(d, warming(d, 3, 6, 2), 0)),
        Look("a single window", lambda d: starting(d, warming(d, 1, 6, 3), 5)),
        Look("one row left", lambda d: warming(d, 2, 5, 4)),
        Look("a long window", lambda d: warming(d, 2, 22, 3), draws=1),
    ),
    mistakes=(
        Mistake(
            "one_row_short",
            lambda model, window, rows: burn(model, window, rows, rows, -1, rows) if rows else window,
            "You hand over the h of the last *filtered* row. The rest starts one row later: its h has seen one action more.",
        ),
        Mistake(
            "one_row_far",
            lambda model, window, rows: burn(model, window, rows, rows + 2, rows + 1, rows),
            "The h you hand over belongs to the second row of what is left, not to the first.",
        ),
        Mistake(
            "old_h",
            lambda model, window, rows: window.rows(rows, None) if rows else window,
            "The first rows are cut off, but the rest still starts from the h of the *old* first row.",
        ),
        Mistake(
            "nothing_cut",
            lambda model, window, rows: burn(model, window, rows, rows + 1, rows, 0),
            "The first rows are still there: they would be trained on, from an h that belongs to a later row.",
        ),
        Mistake(
            "one_row_lost",
            lambda model, window, rows: burn(model, window, rows, rows + 1, rows, rows + 1),
            "You cut off one row too many: the rest goes from the row whose h you hand over to the last row of the window.",
        ),
        Mistake(
            "cut_at_the_number_of_parts",
            lambda model, window, rows: burn(model, window, rows, rows + 1, rows, rows).rows(0, len(window) - rows if rows else None),
            "`len(window)` is the number of its parts, 7, not of its rows: the rest is cut short. T is `window.first.shape[1]`.",
        ),
        Mistake(
            "gradient_kept",
            burn_with_gradient,
            "The numbers are right, but the h handed over keeps its graph: the warm-up rows would be trained on after all. Use "
            "`torch.no_grad()` or `detach`.",
        ),
        Mistake(
            "works_for_nothing",
            burn_nothing,
            "For 0 rows you filter a row all the same. The agent's default is 0 rows: return the window as it is, which costs nothing and "
            "draws no random number.",
        ),
    ),
    hints=(
        "The rest begins with row `rows`, counted from 0. What is the shortest window whose `observe(...).h` has an entry for that row?",
        "It has rows 0 to `rows`, which is `rows + 1` of them. Its last h is the one to hand over.",
        "0 rows first. Then, under `torch.no_grad()`, `h = model.observe(window.rows(0, rows + 1)).h[:, rows]`. Cut the window with "
        "`window.rows(rows, T)` and put h in with `_replace`.",
    ),
)

EXERCISES = [FREE_STARTS, CHUNK_STARTS, RECOMPUTED, AGES, RELATIVE_L2, WARM_UP]

"""Notebook 06: the latent replay buffer whole."""

from typing import Any

import torch
from torch import Tensor

from dreamer_core.classroom.build import Build, Property, Wrong, agrees, hold, shaped
from dreamer_core.classroom.call import one_line
from dreamer_core.classroom.spec import Mistake
from dreamer_core.config import ReplayConfig
from dreamer_core.errors import NotEnoughData
from dreamer_core.replay import LatentReplay, Replay, Window, ages, free_starts, recomputed, writers

SIZES = {"observation": (3,), "action": (2,), "reward": (), "first": (), "terminal": (), "h": (4,), "z": (5,), "written": ()}


def row_of(n: int, episode: int = 0) -> dict[str, Any]:
    """What row n is told: every number says which row it belongs to, and every field is another."""
    return {
        "observation": n + torch.tensor([0.0, 0.125, 0.25]),
        "reward": n + 0.375,
        "first": n == 0 or bool(episode and n % episode == 0),
        "terminal": bool(episode and n % episode == episode - 1),
        "h": -n - torch.arange(4) / 8 - 1,
        "z": 100.0 + n + torch.arange(5) / 8,
        "update": 2 * n,
    }


def action_of(n: int) -> Tensor:
    """The action that leaves row n."""
    return n + torch.tensor([0.5, 0.75])


def filled(made: type, rows: int, capacity: int = 30, episode: int = 0) -> Any:
    """A buffer of the learner's class that was told so many rows, one after the other, and the action of each."""
    replay = made(ReplayConfig(capacity=capacity), 3, 2, 4, 5)
    for n in range(rows):
        replay.add(**row_of(n, episode))
        replay.set_action(action_of(n))
    return replay


def wanted(name: str, index: Tensor, episode: int = 0) -> Tensor:
    """What `read` gives for the rows of these numbers."""
    values = []
    numbers, places = index.unique(return_inverse=True)
    for n in numbers.tolist():
        row = row_of(n, episode) | {"action": action_of(n)}
        row["written"] = row.pop("update")
        values.append(torch.as_tensor(row[name], dtype=torch.float32))
    return torch.stack(values)[places]


def reads(replay: Any, index: Tensor, episode: int, kind: str, told: str) -> None:
    """Nothing if `read` gives what was stored in these rows, field by field.

    Raises:
        Wrong: it does not.
    """
    for name, size in SIZES.items():
        found = shaped(replay.read(name, index), (*index.shape, *size), f'`read("{name}", index)` of {tuple(index.shape)} rows')
        agrees(
            found.float(), wanted(name, index, episode), f"{kind} {name}", f"{told}, `read` does not give the `{name}` that `add` was told."
        )


def counted(replay: Any, rows: int, stored: int) -> None:
    """Nothing if the buffer knows how many rows it was told and how many it keeps.

    Raises:
        Wrong: it does not.
    """
    hold(replay.count == rows, "count", f"After {rows} rows were added, `count` is {replay.count}: add 1 in each `add`.")
    hold(len(replay) == stored, "len", f"After {rows} rows, {stored} of which are kept, len() is {len(replay)}.")


# --- the properties -----------------------------------------------------------------------------------


def check_rows(made: type) -> None:
    """A row comes back as it was added, whatever shape the index has, and as a copy."""
    replay = filled(made, 0)
    hold(isinstance(replay, Replay), "no heir", "Your class is not made of Replay: write `class LatentReplay(Replay)`.")
    counted(replay, 0, 0)
    replay = filled(made, 7, episode=4)
    counted(replay, 7, 7)
    reads(replay, torch.arange(7), 4, "read", "After 7 rows")
    reads(replay, torch.tensor([[5, 0, 3], [2, 2, 6]]), 4, "order", "Asked for the rows 5, 0, 3 and 2, 2, 6")
    row = row_of(7)
    replay.add(**row)
    agrees(
        replay.read("action", torch.tensor([7]))[0], torch.zeros(2), "action unset", "Until `set_action` is called, a row's action is 0."
    )
    for name in ("observation", "h", "z"):
        row[name].fill_(-99)
    for name in ("observation", "h", "z"):
        kept = wanted(name, torch.tensor([7]))
        agrees(
            replay.read(name, torch.tensor([7])),
            kept,
            "kept the caller's",
            f"The {name} changed when the caller's tensor did: store a copy.",
        )
        replay.read(name, torch.tensor([7])).fill_(-99)
        agrees(
            replay.read(name, torch.tensor([7])),
            kept,
            "gave its own",
            f"Whoever writes to what `read` gave changes the stored {name}: give a copy.",
        )
    bare = made(ReplayConfig(capacity=5), 3, 2, 0, 0)  # an agent without a world model has no h and no z
    bare.add(**row_of(0) | {"h": torch.zeros(0), "z": torch.zeros(0)})
    shaped(bare.read("h", torch.tensor([0])), (1, 0), "The h of a buffer with D = 0")


def check_ring(made: type) -> None:
    """Only the newest rows are kept, and their numbers go on counting."""
    replay = filled(made, 9, capacity=10, episode=4)
    for rows in range(10, 24):
        replay.add(**row_of(rows - 1, 4))
        replay.set_action(action_of(rows - 1))
        if rows in (10, 11, 20, 23):  # just full, and wherever else its seam may lie
            counted(replay, rows, 10)
            reads(replay, torch.arange(rows - 10, rows), 4, "ring", f"After {rows} rows in a ring of 10")
    replay.add(**row_of(23, 4))
    agrees(
        replay.read("action", torch.tensor([23]))[0],
        torch.zeros(2),
        "old action",
        "A new row has the action of the row whose place it takes. Its own is not known yet: set 0.",
    )
    replay.set_action(action_of(23))
    reads(replay, torch.arange(14, 24), 4, "ring", "After 24 rows in a ring of 10")


def check_windows(made: type) -> None:
    """A window holds its rows, their numbers, and the h of its first row; rewards in their unit; also across the ring's seam."""
    replay = filled(made, 14, capacity=10, episode=4)
    before = torch.get_rng_state()
    window = replay.window(torch.tensor([5, 8, 10]), 4)  # slot 9 is followed by slot 0
    hold(torch.equal(torch.get_rng_state(), before), "draws", "`window` draws random numbers. It only looks; `sample` draws.")
    hold(isinstance(window, Window), "no window", "`window` gives Window(observation, action, reward, first, terminal, h, index).")
    index = torch.tensor([[5, 6, 7, 8], [8, 9, 10, 11], [10, 11, 12, 13]])
    agrees(shaped(window.index, (3, 4), "`index` of a window"), index, "index", "`index` holds the numbers of the window's rows.")
    for name in ("observation", "action", "reward", "first", "terminal"):
        found = shaped(getattr(window, name), (3, 4, *SIZES[name]), f"`{name}` of 3 windows of 4 rows")
        agrees(found, wanted(name, index, 4), f"window {name}", f"`{name}` of a window is not that of the rows in its index.")
    found = shaped(window.h, (3, 4), "`h` of 3 windows (D = 4)")
    agrees(found, wanted("h", index[:, 0], 4), "window h", "`h` of a window is the stored h of its first row.")
    replay.reward_unit = 4.0
    agrees(
        replay.window(torch.tensor([5]), 2).reward,
        wanted("reward", index[:1, :2]) / 4,
        "unit",
        "With `self.reward_unit` 4, a window's rewards are a quarter of what was added.",
    )
    agrees(
        replay.read("reward", index), wanted("reward", index), "unit in read", "`read` gives rewards as they were added, whatever the unit."
    )


def check_seam(made: type) -> None:
    """However full the ring is, what is drawn are consecutive rows that are all still stored."""
    replay = filled(made, 7, capacity=8)
    for rows in range(8, 25):
        replay.add(**row_of(rows - 1))
        window = replay.sample(40, 3)
        index = shaped(window.index, (40, 3), "`index` of `sample(40, 3)`")
        stored = f"After {rows} rows in a ring of 8, which keeps the rows {rows - 8} to {rows - 1}, `sample`"
        hold(bool((index[:, 1:] - index[:, :-1] == 1).all()), "no neighbours", f"{stored} gives rows that do not follow one another.")
        hold(
            int(index.min()) >= rows - 8,
            "before the oldest",
            f"{stored} gives row {int(index.min())}. A start is a row number: count from the oldest row that is stored.",
        )
        hold(int(index.max()) < rows, "past the newest", f"{stored} gives row {int(index.max())}: a window ran past the newest row.")
        agrees(window.observation, wanted("observation", index), "seam", f"{stored} gives observations that are not those of its index.")
        agrees(window.h, wanted("h", index[:, 0]), "seam h", f"{stored} gives an h that is not the one stored in the window's first row.")


def check_draws(made: type) -> None:
    """Every start is equally likely, late ones are moved back; with too few rows it says so."""
    replay = filled(made, 12)
    for fresh in (False, True):
        shaped(replay.sample(2, 5, fresh=fresh).index, (2, 5), f"`index` of `sample(2, 5, fresh={fresh})`")
    starts = replay.sample(6000, 4).index[:, 0]
    share = torch.bincount(starts, minlength=9)[:9] / 6000
    hold(
        not abs(float(share[8]) - 1 / 9) < 0.02,
        "tail neglected",
        (
            "You draw among the starts that fit, so the newest rows are hardly seen. Draw among all rows, and move a start that does not "
            "fit back to the last one that does (6.1)."
        ),
    )
    likely = torch.tensor([1 / 12] * 8 + [4 / 12])
    agrees(share, likely, "uneven", "12 rows, windows of 4: the shares of the starts 0 to 8 are not those of a uniform draw.", within=0.025)
    hold(
        not torch.equal(replay.sample(20, 4).index, replay.sample(20, 4).index),
        "not random",
        "Called twice, `sample` gives the same windows.",
    )
    torch.manual_seed(5)
    once = replay.sample(20, 4).index
    torch.manual_seed(5)
    agrees(replay.sample(20, 4).index, once, "other chance", "With the same torch seed, `sample` gives other windows: draw by torch.")
    hold(filled(made, 4).sample(3, 4).index.tolist() == [[0, 1, 2, 3]] * 3, "just enough", "4 rows are enough for windows of 4 rows.")
    try:
        filled(made, 3).sample(2, 4)
    except NotEnoughData:
        return
    hold(False, "too few", "3 rows are stored and a window of 4 is asked for: raise NotEnoughData with a sentence.")


def refresh(replay: Any, starts: list[int], length: int, update: int) -> None:
    """Write states back as after an update: entry (b, t) of h is 1000 b + t, of z the same and 500 more."""
    index = torch.tensor(starts)[:, None] + torch.arange(length)
    value = 1000.0 * torch.arange(len(starts))[:, None, None] + torch.arange(length)[None, :, None]
    h = value.expand(-1, -1, 4).clone().requires_grad_()
    replay.write_back(index, 1.0 * h, 500 + value.expand(-1, -1, 5), update)


def check_write_back(made: type) -> None:
    """Rows 1 .. T - 1 take the new h, z and update; row 0 and all others keep theirs."""
    for rows, capacity in ((12, 30), (13, 9)):
        replay, every = filled(made, rows, capacity), torch.arange(rows - min(rows, capacity), rows)
        refresh(replay, [7], 4, update=70)
        told = f"After 4 rows from row 7 on were written back ({rows} rows in a ring of {capacity})"
        h, z, written = replay.read("h", every), replay.read("z", every), replay.read("written", every)
        hold(not (h.requires_grad or z.requires_grad), "graph", "What is stored carries a graph, so the buffer keeps every unroll: detach.")
        hold(float(h[every == 7, 0]) != 0.0, "row 0", f"{told}, row 7 is changed. Its h was read, not recomputed: leave row 0 of a window.")
        inside = (every > 7) & (every < 11)
        new = torch.tensor([1.0, 2.0, 3.0])
        agrees(h[inside][:, 0], new, "h", f"{told}, the rows 8, 9 and 10 do not hold their new h.")
        agrees(z[inside][:, 0], 500 + new, "z", f"{told}, the rows 8, 9 and 10 do not hold their new z.")
        agrees(written[inside].float(), torch.full((3,), 70.0), "update", f"{told} at update 70, `written` of these rows is not 70.")
        for name in ("h", "z", "written"):
            agrees(
                replay.read(name, every)[~inside].float(),
                wanted(name, every)[~inside],
                f"other {name}",
                f"{told}, other rows have changed.",
            )
        for name in ("observation", "action", "reward", "first"):
            agrees(replay.read(name, every), wanted(name, every), "other fields", f"{told}, a row's {name} has changed.")


def check_overlap(made: type) -> None:
    """A row in several windows takes h and z of one of them: of one that had seen most rows before it."""
    starts = [2, 5, 3, 4, 3]
    replay = filled(made, 12)
    refresh(replay, starts, 4, update=70)
    for n in range(3, 9):
        places = {b: n - start for b, start in enumerate(starts) if 0 < n - start < 4}
        best = [1000.0 * b + t for b, t in places.items() if t == max(places.values())]
        h, z = float(replay.read("h", torch.tensor([n]))[0, 0]), float(replay.read("z", torch.tensor([n]))[0, 0])
        hold(h + 500 == z, "two windows", f"The h and the z of row {n} do not come from one and the same window.")
        hold(
            h in [1000.0 * b + t for b, t in places.items()],
            "another row",
            f"Row {n} does not hold a state that some window computed for it: row numbers and states are in a different order.",
        )
        hold(
            h in best,
            "another window",
            f"Row {n} lies in {len(places)} windows and has the state of one that began later than another. The one that had seen "
            f"most rows before it is the most accurate: `writers(index)` names its entries.",
        )


def check_age(made: type) -> None:
    """How many updates ago each state was computed, oldest row first."""
    replay = filled(made, 6)
    agrees(
        shaped(replay.age(20), (6,), "`age` of 6 rows").float(),
        20.0 - 2 * torch.arange(6),
        "age",
        "Row n was added at update 2 n; now it is 20.",
    )
    refresh(replay, [1], 4, update=15)
    agrees(
        replay.age(20).float(),
        torch.tensor([20.0, 18.0, 5.0, 5.0, 5.0, 10.0]),
        "age written back",
        "Rows 2, 3 and 4 were written back at update 15, and now it is 20.",
    )
    old = filled(made, 13, capacity=8)
    agrees(
        shaped(old.age(30), (8,), "`age` of a ring of 8").float(),
        30.0 - 2 * torch.arange(5, 13),
        "age in the ring",
        "The ring of 8 has gone round: row 5 is the oldest, and its age comes first.",
    )


def kept_when_empty(made: type) -> dict[str, Tensor]:
    """What a buffer without a row saves.

    Raises:
        Wrong: it cannot be saved.
    """
    try:
        return filled(made, 0, capacity=8).state_dict()
    except Exception as error:
        raise Wrong(
            "saved empty", f"A run is saved before its first row, so `read` is asked for no rows, and it stopped: {one_line(error)}."
        ) from None


def check_books(made: type) -> None:
    """What Replay does for the agent works on it: it is saved, also before its first row, restored and read transition by transition."""
    saved = kept_when_empty(made)
    hold(
        int(saved["count"]) == 0 and all(len(saved[name]) == 0 for name in SIZES),
        "saved empty",
        "A run is saved before its first row, and what your `read` gives for an `index` of no rows has some.",
    )
    for rows in (5, 8, 13):
        replay = filled(made, rows, capacity=8, episode=4)
        refresh(replay, [rows - 5], 4, update=70)
        other = filled(made, 0, capacity=8)
        other.load_state_dict({name: value.clone() for name, value in replay.state_dict().items()})
        told = f"A buffer of {rows} rows in a ring of 8 was saved and restored"
        hold(
            other.count == rows and len(other) == min(8, rows),
            "restored count",
            f"{told}: it now has {len(other)} rows, and count {other.count}.",
        )
        for buffer in (replay, other):
            buffer.add(**row_of(rows, 4))
        every = torch.arange(rows + 1 - len(replay), rows + 1)
        for name in SIZES:
            agrees(
                other.read(name, every).float(),
                replay.read(name, every).float(),
                "restored",
                f"{told}, and the {name} of a row is another.",
            )
        pairs = replay.transitions(60)
        hold(
            bool((pairs.index[:, 1] - pairs.index[:, 0] == 1).all()) and not pairs.first[:, 1].any(),
            "transitions",
            "`transitions`, which asks your `read` and `window`, gives pairs of rows that are no transition.",
        )


# --- wrong on purpose ---------------------------------------------------------------------------------


class Plain(Replay):
    """A right one, from which the wrong ones differ in one place each."""

    def __init__(self, config, observation, action, deter, stoch, device="cpu", stored=torch.float32):
        self.capacity = config.capacity
        sizes = {"observation": (observation,), "action": (action,), "h": (deter,), "z": (stoch,)}
        self.columns = {name: torch.zeros(config.capacity, *sizes.get(name, ())) for name in self.FIELDS}

    def __len__(self):
        return min(self.count, self.capacity)

    def add(self, observation, reward, first, terminal, h, z, update=0):
        slot = self.count % self.capacity
        row = dict(observation=observation, reward=reward, first=first, terminal=terminal, h=h, z=z, written=update)
        for name, value in (row | self.unknown()).items():
            self.columns[name][slot] = torch.as_tensor(value)
        self.count += 1

    def unknown(self):
        return {"action": 0.0}

    def set_action(self, action):
        self.columns["action"][(self.count - 1) % self.capacity] = action

    def read(self, name, index):
        return self.columns[name][index % self.capacity]

    def window(self, start, length):
        index = start[:, None] + torch.arange(length)
        parts = [self.read(name, index) for name in ("observation", "action", "reward", "first", "terminal")]
        parts[2] = self.in_unit(parts[2])
        return Window(*parts, self.read("h", index[:, 0]), index)

    def in_unit(self, reward):
        return reward / self.reward_unit

    def starts(self, batch, length):
        return self.count - len(self) + free_starts(torch.randint(len(self), (batch,)), len(self), length)

    def sample(self, batch, length, fresh=False):
        if len(self) < length:
            raise NotEnoughData(f"a window of {length} rows was asked for, but the replay buffer holds {len(self)}")
        return self.window(self.starts(batch, length), length)

    def new(self, index, h, z):
        return recomputed(index, h, z)

    def chosen(self, index):
        return writers(index)

    def write_back(self, index, h, z, update):
        index, h, z = self.new(index, h, z)
        places = self.chosen(index)
        slots = index.T.flatten()[places] % self.capacity
        self.columns["h"][slots] = h.transpose(0, 1).flatten(0, 1)[places]
        self.columns["z"][slots] = z.transpose(0, 1).flatten(0, 1)[places]
        self.mark(slots, update)

    def mark(self, slots, update):
        self.columns["written"][slots] = float(update)

    def age(self, update):
        return ages(self.columns["written"], self.count, update)


class ActionOfTheRowBefore(Plain):
    def unknown(self):
        return {}


class RewardsAsTheyCame(Plain):
    def in_unit(self, reward):
        return reward


class StartsAreSlots(Plain):
    def starts(self, batch, length):
        return free_starts(torch.randint(len(self), (batch,)), len(self), length)


class StartsThatFit(Plain):
    def starts(self, batch, length):
        return self.count - len(self) + torch.randint(len(self) - length + 1, (batch,))


class RowZeroWritten(Plain):
    def new(self, index, h, z):
        return index, h.detach(), z.detach()


class WrittenARowLate(Plain):
    def new(self, index, h, z):
        return index[:, 1:], h[:, :-1].detach(), z[:, :-1].detach()


class KeepsTheGraph(Plain):
    def new(self, index, h, z):
        return index[:, 1:], h[:, 1:], z[:, 1:]


class LastWindowWins(Plain):
    def chosen(self, index):
        windows, rows = index.shape
        last = {row: (place % rows) * windows + place // rows for place, row in enumerate(index.flatten().tolist())}
        return torch.tensor(list(last.values()))


class AgeNotReset(Plain):
    def mark(self, slots, update):
        return slots, update


class AgesBySlot(Plain):
    def age(self, update):
        return update - self.columns["written"][: len(self)]


def plain_buffer(
    config: ReplayConfig, observation: Any, action: int, deter: int, stoch: int, device: Any = "cpu", stored: Any = torch.float32
):
    """Whether a buffer with these arguments is the one that is asked for: v1's, of rows that are numbers, in main memory."""
    v1 = config.layout == "free" and config.start == "stored" and config.write_back_zero and not config.online
    return v1 and isinstance(observation, int) and torch.device(device).type == "cpu" and stored == torch.float32


BUFFER = Build(
    id="6.A",
    title="The latent replay buffer",
    minutes=60,
    difficulty=2,
    importance=2,
    reference=LatentReplay,
    target="dreamer_core.replay:LatentReplay",
    suits=plain_buffer,
    properties=(
        Property("rows", "A row comes back as it was added.", check_rows, ("add", "set_action", "read")),
        Property("ring", "The newest rows are kept, under numbers that go on counting.", check_ring, ("add", "set_action", "read")),
        Property(
            "windows",
            "A window holds its rows, rewards in their unit, and the h of its first row.",
            check_windows,
            ("add", "read", "window"),
        ),
        Property("the ring's seam", "What is drawn are neighbours in time, all still stored.", check_seam, ("add", "window", "sample")),
        Property("draws", "All starts are equally likely, and late ones are moved back.", check_draws, ("add", "window", "sample")),
        Property("write-back", "Rows 1 to T - 1 are refreshed, and nothing else.", check_write_back, ("add", "read", "write_back")),
        Property("overlap", "A row in several windows takes h and z of the best one.", check_overlap, ("add", "read", "write_back")),
        Property("age", "It counts the updates since a state was computed, oldest row first.", check_age, ("add", "write_back", "age")),
        Property(
            "books",
            "Saving, restoring and real transitions, which Replay does, work on it.",
            check_books,
            ("add", "set_action", "read", "window", "write_back"),
        ),
    ),
    hints=(
        (
            "Begin with `__init__`, `__len__`, `add`, `set_action` and `read`: one tensor of `config.capacity` rows for each name in "
            "self.FIELDS, and row n lives in slot n % capacity. Run the cell: the first two properties should hold, and the others wait."
        ),
        (
            "Everything else speaks of row *numbers* and leaves slots to `read`. `window`: index = start[:, None] + torch.arange(length), "
            "then one `read` for each part. `sample`: the oldest row stored is count - len(self); add free_starts(torch.randint(len(self), "
            "(batch,)), len(self), length) to it. `age`: as in 6.4."
        ),
        (
            "`write_back`: index, h, z = recomputed(index, h, z). Then chosen = writers(index): positions in index.T.flatten(), one for "
            "each row. Take the same positions of h.transpose(0, 1).flatten(0, 1) and of z, and store them, and the update, at the slots "
            "of those rows."
        ),
    ),
    mistakes=(
        Mistake(
            "action_of_the_row_before",
            ActionOfTheRowBefore,
            "A new row keeps the action of the old row in whose slot it lives. Set it to 0 in `add`, until `set_action` is called.",
        ),
        Mistake(
            "rewards_as_they_came",
            RewardsAsTheyCame,
            "Windows give rewards as they were added. Divide them by `self.reward_unit` in `window` (and nowhere else).",
        ),
        Mistake(
            "starts_are_slots",
            StartsAreSlots,
            "Your starts count from 0. That is right until the ring is full; then the oldest row has the number count - len(self).",
        ),
        Mistake(
            "starts_that_fit",
            StartsThatFit,
            "You draw among the starts that fit, so the newest rows are hardly seen. Draw among all rows and move late starts back (6.1).",
        ),
        Mistake(
            "row_zero_written", RowZeroWritten, "Row 0 of each window is written back. Its h was read, so nothing about it is new (6.3)."
        ),
        Mistake("written_a_row_late", WrittenARowLate, "States go back a row late: what was computed for row t is stored in row t + 1."),
        Mistake("keeps_the_graph", KeepsTheGraph, "The stored states carry their graph, so the memory of every update is kept: detach."),
        Mistake(
            "last_window_wins",
            LastWindowWins,
            "Where windows overlap, the last of the batch wins. Let the one win that had seen most rows before: `writers(index)`.",
        ),
        Mistake("age_not_reset", AgeNotReset, "States are written back and keep their old age: store the update in `written`, too."),
        Mistake("ages_by_slot", AgesBySlot, "Ages are listed by slot. Once the ring has gone round, slot 0 is not the oldest row (6.4)."),
    ),
)

BUILDS = [BUFFER]

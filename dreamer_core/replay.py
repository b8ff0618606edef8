"""The latent replay buffer: experience, and what the world model believed when it saw it.

Row t holds o_t, the reward r_t that arrived with it, first_t, terminal_t, the action a_t that
left it, and the state (h_t, z_t) last computed there with the update at which that happened.

The concern this buffer makes visible: a window of T rows recomputes h for its rows 1..T-1, so
those can be written back fresh. Row 0's h is *read*. Whoever always starts at the same row
(`layout="chunks"`) never refreshes it; whoever starts anywhere (`layout="free"`) refreshes it
by other windows. `start="zero"` never reads it at all, and `"mixed"` reads it half of the time.
"""

from typing import NamedTuple

import numpy as np
import psutil
import torch
from torch import Tensor

from dreamer_core.config import ReplayConfig
from dreamer_core.errors import ConfigError, NotEnoughData
from dreamer_core.paper.online_queue import fresh_chunks
from dreamer_core.senses import Shape, entries, shape_of

# The share of windows that start from their stored h; the others start from zero.
READ = {"stored": 1.0, "zero": 0.0, "mixed": 0.5}


# --- which rows: pure functions of row numbers -------------------------------------------------


def free_starts(draw: Tensor, rows: int, length: int) -> Tensor:
    """Where free windows start: numbers (B,) drawn from 0 .. rows - 1 -> starts (B,) in 0 .. rows - length.

    A start within the last `length - 1` rows is moved back to the last one that fits. So the newest
    window comes up `length` times as often as another, and the newest row as often as one in the middle.
    """
    return draw.clamp(max=rows - length)


def chunk_starts(oldest: int, count: int, length: int) -> Tensor:
    """The row numbers at which whole chunks start, (C,): multiples of `length` whose chunk lies within rows oldest .. count - 1.

    The grid is fixed to row numbers, not to what is stored, so that a chunk always starts at the same row.
    At least `length` rows are stored.
    """
    return length * torch.arange(-(-oldest // length), count // length)


def recomputed(index: Tensor, h: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The part of a filtered window that may be stored, without gradient: (B, T), (B, T, D), (B, T, Z) -> the same with T - 1 rows.

    Row 1 is left out, since its h was read, not recomputed.
    """
    return index[:, 1:], h[:, 1:].detach(), z[:, 1:].detach()


def writers(index: Tensor) -> Tensor:
    """Which entries of overlapping windows are stored, one for each row: index (B, T) -> places (R,) in index.T.flatten().

    The window that had seen most rows before this one wins: its h was recomputed over the longest
    stretch. Among equals the last of the batch wins. So what is stored depends on neither the
    number of threads nor the layout of the tensors, and the h and z of a row belong together.
    """
    return torch.tensor(list({row: place for place, row in enumerate(index.T.flatten().tolist())}.values()), dtype=torch.long)


def ages(written: Tensor, count: int, update: int) -> Tensor:
    """How many updates ago each stored state was computed, oldest row first: (capacity,) -> (rows,).

    Args:
        written: the update at which each *slot* of the ring was last written; row n lives in slot n % capacity.
        count: rows ever added. update: the present update.
    """
    capacity = len(written)
    index = torch.arange(max(0, count - capacity), count) % capacity
    return update - written[index]


# --- the buffer --------------------------------------------------------------------------------


def free_memory(device: torch.device) -> int:
    """Bytes of memory that are free on a device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


class Window(NamedTuple):
    """A batch of B windows of T consecutive rows."""

    observation: Tensor  # (B, T, O), or pictures (B, T, H, W, C)
    action: Tensor  # (B, T, A), the action leaving each row
    reward: Tensor  # (B, T), the reward arriving with each row
    first: Tensor  # (B, T), 1 where an episode starts
    terminal: Tensor  # (B, T), 1 where the episode truly ended (never for a time limit)
    h: Tensor  # (B, D), the recurrent state the window starts from
    index: Tensor  # (B, T), row numbers, for `write_back`

    def rows(self, start: int, stop: int | None) -> "Window":
        """Rows start..stop of every window; h still belongs to the old first row."""
        return Window(*(part[:, start:stop] for part in self[:5]), self.h, self.index[:, start:stop])


class Replay:
    """What a buffer of rows can do for the agent, whatever it keeps them in: units of rewards, real transitions, checkpoints.

    A class made of this one stores the rows. It has `__len__`, `add`, `set_action`, `read` and `window`, as `LatentReplay` has
    them, and counts rows in `add`. How they lie in memory is its own affair.
    """

    FIELDS = ("observation", "action", "reward", "first", "terminal", "h", "z", "written")

    count = 0  # rows ever added, which is the number of the next row
    served = 0  # rows that went through the online queue
    reward_unit = 1.0  # rewards are handed out in this unit
    reward_rows = 0  # rows ever added when it was last chosen; 0: never yet

    def kept(self) -> Tensor:
        """The numbers of all rows that are stored, (rows,), in the order of a full ring's slots: row n stands at n % rows."""
        rows = len(self)
        return torch.arange(self.count - rows, self.count).roll(self.count % max(1, rows))

    def arrivals(self) -> tuple[Tensor, Tensor]:
        """The rewards (R,) of all rows that brought one, as they came, and whether the episode went on there: 1, or 0 at an end."""
        rows = self.kept()
        arrived = self.read("first", rows) == 0
        return self.read("reward", rows)[arrived], 1 - self.read("terminal", rows)[arrived]

    def newest(self, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Observations (rows, O) and rewards (rows,) of the newest rows, oldest first, as they came."""
        index = torch.arange(self.count - rows, self.count)
        return self.read("observation", index).cpu().numpy(), self.read("reward", index).cpu().numpy()

    def transitions(self, batch: int) -> Window:
        """`batch` windows of two rows that do not cross an episode's start: one real transition each.

        Raises:
            NotEnoughData: no transition is stored.
        """
        index = torch.arange(self.count - len(self), self.count)
        inside = self.read("first", index).cpu() == 0
        inside[:1] = False  # its predecessor was overwritten
        ends = index[inside]
        if len(ends) == 0:
            raise NotEnoughData("no transition is stored yet: take at least one step in the environment first")
        return self.window(ends[torch.randint(len(ends), (batch,))] - 1, 2)

    def state_dict(self) -> dict[str, Tensor]:
        """Filled rows (copies, as `read` gives them), the row count and the unit of rewards, for a checkpoint."""
        rows = self.kept()
        state = {"count": torch.tensor(self.count), "served": torch.tensor(self.served)} | self.unit()
        return {name: self.read(name, rows) for name in self.FIELDS} | state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`, for an empty buffer."""
        self.served = int(state.get("served", 0))
        self.load_unit(state)
        self.refill({name: state[name] for name in self.FIELDS}, int(state["count"]))

    def refill(self, rows: dict[str, Tensor], count: int) -> None:
        """Put the newest of `count` rows back, whatever the layout: one after the other. `rows` holds row n at n % rows."""
        stored = len(rows["first"])
        self.count = count - stored
        for n in range(self.count, count):
            row = {name: values[n % stored] for name, values in rows.items()}
            action, written = row.pop("action"), row.pop("written")
            flags = {name: bool(row.pop(name)) for name in ("first", "terminal")}
            self.add(reward=float(row.pop("reward")), update=int(written), **flags, **row)
            self.set_action(action)

    def unit(self) -> dict[str, Tensor]:
        """The unit of rewards, and how many rows it was chosen from."""
        return {"reward_unit": torch.tensor(self.reward_unit, dtype=torch.float64), "reward_rows": torch.tensor(self.reward_rows)}

    def load_unit(self, state: dict[str, Tensor]) -> None:
        """The inverse of `unit`; what was stored before there was one has the unit 1."""
        self.reward_unit, self.reward_rows = float(state.get("reward_unit", 1)), int(state.get("reward_rows", 0))


class LatentReplay(Replay):
    """A ring of rows, with the newest `capacity` kept.

    Rewards are stored as they come and handed out in units of `reward_unit`.

    Args:
        config: layout, window length, what windows start from.
        observation, action, deter, stoch: sizes O, A, D, Z; or the shape (H, W, C) of a picture in place of O.
        stored: the type in which observations are kept and handed out: bytes for pictures, a quarter of the memory.

    Raises:
        ConfigError: the memory does not hold so many rows.
    """

    def __init__(
        self,
        config: ReplayConfig,
        observation: int | Shape,
        action: int,
        deter: int,
        stoch: int,
        device: torch.device | str = "cpu",
        stored: torch.dtype = torch.float32,
    ) -> None:
        self.config = config
        shapes = {"observation": shape_of(observation), "action": (action,), "h": (deter,), "z": (stoch,)}
        types = {"observation": stored}
        row = sum(entries(shapes.get(name, ())) * types.get(name, torch.float32).itemsize for name in self.FIELDS)  # bytes
        free = free_memory(torch.device(device))
        if config.capacity * row > free:
            raise ConfigError(
                f"a replay buffer of {config.capacity:,} rows needs {config.capacity * row / 2**30:,.1f} GiB of memory, and "
                f"{free / 2**30:,.1f} GiB are free: set replay.capacity to {free // row:,} at most"
            )
        self.data = {
            name: torch.zeros(config.capacity, *shapes.get(name, ()), dtype=types.get(name, torch.float32), device=device)
            for name in self.FIELDS
        }

    def __len__(self) -> int:
        return min(self.count, self.config.capacity)

    def refill(self, rows: dict[str, Tensor], count: int) -> None:
        """The same in one go: this ring lies as a saved buffer does."""
        self.count = count
        for name, value in self.data.items():
            value[: len(self)] = rows[name]

    def add(self, *, observation: Tensor, reward: float, first: bool, terminal: bool, h: Tensor, z: Tensor, update: int = 0) -> None:
        """Append a row; `set_action` fills in the action once it is known."""
        at = self.count % self.config.capacity
        row = dict(observation=observation, action=0.0, reward=reward, first=float(first), terminal=float(terminal), h=h, z=z)
        for name, value in row.items():
            self.data[name][at] = value
        self.data["written"][at] = update
        self.count += 1

    def set_action(self, action: Tensor) -> None:
        """The action (A,) that left the newest row."""
        self.data["action"][(self.count - 1) % self.config.capacity] = action

    def read(self, name: str, index: Tensor) -> Tensor:
        """A copy of one of the FIELDS in the rows of these numbers: index (...) -> (..., size of that field)."""
        return self.data[name][(index % self.config.capacity).to(self.data[name].device)]

    def sample(self, batch: int, length: int, fresh: bool = False) -> Window:
        """`batch` windows of `length` rows, which start from their stored h or from zero as `start` says.

        Free windows start at a row drawn uniformly (`free_starts` keeps them inside); they may cross
        into the next episode, and `first` marks the seam. Chunks: one of the whole chunks stored, uniformly.
        With `fresh`, and if `online` asks for it, chunks that were never served come first (`fresh_chunks`).

        Raises:
            NotEnoughData: fewer than `length` rows are stored.
        """
        if len(self) < length:
            raise NotEnoughData(
                f"a window of {length} rows was asked for, but the replay buffer holds {len(self)}: "
                f"collect more experience first or use shorter windows"
            )
        oldest = self.count - len(self)
        if self.config.layout == "free":
            start = oldest + free_starts(torch.randint(len(self), (batch,)), len(self), length)
        else:
            starts = chunk_starts(oldest, self.count, length)
            if len(starts) == 0:
                raise NotEnoughData(f"no whole chunk of {length} rows is stored yet: collect more experience first")
            start = starts[torch.randint(len(starts), (batch,))]
        if fresh and self.config.online:
            queued, self.served = fresh_chunks(self.served, oldest, self.count, length, batch)
            start[: len(queued)] = queued
        window = self.window(start, length)
        if self.config.start == "stored":
            return window
        keep = (torch.rand(batch, 1) < READ[self.config.start]).to(window.h)
        return window._replace(h=window.h * keep)

    def window(self, start: Tensor, length: int) -> Window:
        """The windows that begin at the given row numbers (B,), each with the stored h of its first row."""
        index = start[:, None] + torch.arange(length)  # (B, T)
        rows = {name: self.read(name, index) for name in self.FIELDS[:5]}
        rows["reward"] = rows["reward"] / self.reward_unit
        return Window(**rows, h=self.read("h", index[:, 0]), index=index)

    def write_back(self, index: Tensor, h: Tensor, z: Tensor, update: int) -> None:
        """Store refreshed states: index (B, T), h (B, T, D), z (B, T, Z).

        Row 0 of every window is left alone, since its h was read, not recomputed. Where an episode
        starts at row 0, that costs nothing: whatever is stored there, `first` makes its h 0. With
        `write_back_zero` off, windows that started from zero in the middle of an episode are left out.
        A row in several windows takes the states of one of them (`writers`).
        """
        if not self.config.write_back_zero:
            starts_episode = self.read("first", index[:, 0]) == 1  # where zero is the right h
            exact = starts_episode | (h[:, 0] != 0).any(-1)  # (B,)
            index, h, z = index[exact.to(index.device)], h[exact], z[exact]
        index, h, z = recomputed(index, h, z)
        chosen = writers(index)
        at = (index.T.flatten()[chosen] % self.config.capacity).to(h.device)
        self.data["h"][at] = h.transpose(0, 1).flatten(0, 1)[chosen.to(h.device)]
        self.data["z"][at] = z.transpose(0, 1).flatten(0, 1)[chosen.to(h.device)]
        self.data["written"][at] = float(update)

    def age(self, update: int) -> Tensor:
        """How many updates ago each stored state was computed, oldest row first (rows,)."""
        return ages(self.data["written"], self.count, update)

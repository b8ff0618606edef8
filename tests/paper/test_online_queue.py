"""The online queue, against a row-by-row simulation of the official one."""

from collections import Counter, deque

import pytest
import torch
from toys import fill, numbered_replay, small

from dreamer_core.agent import Dreamer
from dreamer_core.paper.online_queue import fresh_chunks

LENGTH = 4


class Official:
    """embodied/core/replay.py, `add` and `_sample`, with row numbers in the place of rows.

    There a counter is asked before it counts the row, so that the first chunk starts at row 1. Here it has
    counted: the first chunk starts at row 0. That is the only difference.
    """

    def __init__(self, capacity):
        self.stream, self.queue, self.lengths, self.rows, self.capacity = deque(), deque(), 1, 0, capacity

    def add(self):
        self.stream.append(self.rows)
        self.rows += 1
        if len(self.stream) >= LENGTH:
            start = self.stream.popleft()
            if self.lengths % LENGTH == 0:
                self.queue.append(start)
        self.lengths += 1

    def sample(self, batch):
        """The starts that come from the queue; a chunk that is gone is passed over, and the next one takes its turn."""
        served = []
        while len(served) < batch and self.queue:
            start = self.queue.popleft()
            if start >= self.rows - self.capacity:
                served.append(start)
        return served


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("capacity", [9, 50, 10_000])
def test_what_is_served_is_what_the_official_queue_serves(capacity, seed):
    """Rows come and batches are drawn in a random order: chunks wait, and some are overwritten before their turn."""
    torch.manual_seed(seed)
    official, served, count, lost = Official(capacity), 0, 0, 0
    for _ in range(300):
        for _ in range(int(torch.randint(24, ()))):
            official.add()
            count += 1
        batch = int(torch.randint(1, 4, ()))
        expected = official.sample(batch)
        before = served
        starts, served = fresh_chunks(served, max(0, count - capacity), count, LENGTH, batch)
        assert starts.tolist() == expected, f"with {count} rows and {before} of them served"
        lost += served > before + LENGTH * len(starts)
    assert lost > 20 or capacity > 100, "no chunk was overwritten, so this shows nothing about it"


def test_by_hand():
    """10 rows are two chunks of 4. With rows 0 to 4 overwritten, 4 .. 7 is gone too, and 8 .. 11 comes when it is whole."""
    starts, served = fresh_chunks(0, 0, 10, 4, 3)
    assert (starts.tolist(), served) == ([0, 4], 8)
    assert fresh_chunks(served, 0, 10, 4, 3)[0].tolist() == []
    starts, served = fresh_chunks(0, 5, 11, 4, 3)
    assert (starts.tolist(), served) == ([], 8)
    assert fresh_chunks(served, 5, 12, 4, 3)[0].tolist() == [8]


def test_a_chunk_that_goes_on_past_the_newest_row_is_passed_over_ahead():
    """Of rows 0 .. 5 the first two are gone, and so is the chunk 0 .. 7; the next one starts at row 8, which is not there yet."""
    starts, served = fresh_chunks(0, 2, 6, 8, 3)
    assert (starts.tolist(), served) == ([], 8)


# --- in the buffer --------------------------------------------------------------------------------


def add(replay, rows):
    """Rows that hold their own number, as `numbered_replay` fills a buffer."""
    for n in range(replay.count, replay.count + rows):
        value = torch.tensor([float(n)])
        replay.add(observation=value, reward=float(n), first=n == 0, terminal=False, h=torch.tensor([float(n), -float(n)]), z=value)


def starts(replay, batch=3, fresh=True):
    window = replay.sample(batch, LENGTH, fresh)
    assert torch.equal(window.observation[..., 0], window.index.float()), "rows that are not those of the index"
    assert torch.equal(window.h[:, 0], window.index[:, 0].float()), "h is not that of the window's first row"
    return window.index[:, 0].tolist()


def test_fresh_chunks_come_first_in_their_order_and_once():
    """Rows 0 .. 21 are five chunks, for batches of 3: three, then two and a drawn window, then drawn windows alone."""
    replay = numbered_replay(22, online=True)
    assert starts(replay) == [0, 4, 8] and starts(replay)[:2] == [12, 16], "the chunks in their order"
    assert replay.served == 20 and starts(replay) != [20, 24, 28], "a chunk was served that is not whole"
    add(replay, 2)
    assert starts(replay)[0] == 20, "a chunk that has become whole"


def test_every_row_is_served_once_over_a_long_run():
    """The ring of 30 rows is crossed many times; three rows come for each batch of two, so nothing waits long."""
    replay, seen = numbered_replay(LENGTH, online=True, capacity=30), Counter()
    for _ in range(100):
        add(replay, 3)
        before = replay.served
        chosen = starts(replay, 2)[: (replay.served - before) // LENGTH]
        seen.update(row for start in chosen for row in range(start, start + LENGTH))
    assert sorted(seen) == list(range(replay.served)) and set(seen.values()) == {1}, "rows left out, or served more than once"
    assert replay.served > replay.count - 2 * LENGTH, "fresh rows wait although there is room for them"


def test_the_rest_of_a_batch_is_what_it_would_have_been_without_the_queue():
    """The same numbers are drawn, so the windows behind the chunks are the same."""
    batches = []
    for online in (False, True):
        torch.manual_seed(3)
        batches.append(starts(numbered_replay(10, online=online), 6))
    assert batches[1][:2] == [0, 4] and batches[0][2:] == batches[1][2:], f"without and with the queue: {batches}"


@pytest.mark.parametrize("online, fresh", [(False, True), (True, False)])
def test_nothing_is_queued_unless_both_ask_for_it(online, fresh):
    replay = numbered_replay(30, online=online)
    torch.manual_seed(3)
    found = starts(replay, 50, fresh)
    torch.manual_seed(3)
    assert found == starts(numbered_replay(30), 50, False) and replay.served == 0, "the queue was asked although it is off"


def test_chunks_of_the_grid_are_queued_too():
    replay = numbered_replay(14, online=True, layout="chunks")
    assert starts(replay) == [0, 4, 8], "the queue with layout = chunks"


def test_a_checkpoint_keeps_what_was_served():
    replay, again = numbered_replay(22, online=True), numbered_replay(1, online=True)
    starts(replay)
    state = replay.state_dict()
    again.load_state_dict(state)
    assert starts(again)[:2] == [12, 16], "a restored queue serves something else"
    state.pop("served")
    again.load_state_dict(state)
    assert starts(again) == [0, 4, 8], "a buffer that was stored before there was a queue begins with its oldest rows"


# --- in the agent ---------------------------------------------------------------------------------


@pytest.mark.parametrize("burn_in", [0, 2])
def test_only_the_world_models_batches_drain_it(burn_in):
    """Batches of 4 windows of 5 rows, and those of the burn-in before them."""
    agent = fill(Dreamer(small(replay=dict(online=True, burn_in=burn_in)), 3, 2))
    rows, trained, loss = 5 + burn_in, [], agent.model.loss
    agent.model.loss = lambda window: trained.append(window.index) or loss(window)
    agent.dream()
    agent.learn_policy()
    assert agent.replay.served == 0, "a dream or the agent's update took chunks out of the queue"
    agent.learn_model()
    assert agent.replay.served == 4 * rows, "rows served after one batch of the world model"
    expected = [[rows * n + burn_in + t for t in range(5)] for n in range(4)]
    assert trained[0].tolist() == expected, "rows that the world model learned from"

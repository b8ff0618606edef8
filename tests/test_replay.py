"""The replay buffer: a ring of rows, windows over it, refreshed states and their age."""

import math

import pytest
import torch
from toys import model_config, numbered_replay, random_window

from dreamer_core.errors import NotEnoughData
from dreamer_core.replay import Replay, writers
from dreamer_core.world_model import WorldModel


def test_a_row_keeps_what_it_was_given():
    """Row n: observation, reward, first, terminal, h, z of row n, and the action that left it."""
    replay = numbered_replay(10, episode=4)
    window = replay.window(torch.tensor([2, 5]), 3)
    assert window.observation[..., 0].tolist() == [[2, 3, 4], [5, 6, 7]]
    assert window.action[..., 0].tolist() == [[2.5, 3.5, 4.5], [5.5, 6.5, 7.5]]
    assert window.reward.tolist() == [[2, 3, 4], [5, 6, 7]]
    assert window.first.tolist() == [[0, 0, 1], [0, 0, 0]]
    assert window.terminal.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert window.h.tolist() == [[2, -2], [5, -5]]  # of the first row
    assert window.index.tolist() == [[2, 3, 4], [5, 6, 7]]


def test_rows_cuts_every_part_of_a_window_but_the_h_it_starts_from():
    """Rows 1 and 2 of five, and all from row 3 on."""
    window = numbered_replay(12, episode=4).window(torch.tensor([2, 5]), 5)
    for start, stop, kept in ((1, 3, [1, 2]), (3, None, [3, 4])):
        part = window.rows(start, stop)
        for name in ("observation", "action", "reward", "first", "terminal", "index"):
            assert torch.equal(getattr(part, name), getattr(window, name)[:, kept]), f"{name} of the rows {kept}"
        assert torch.equal(part.h, window.h), "h is no longer that of the whole window"


def test_a_row_without_an_action_yet_has_a_zero_one():
    """Also where an older row with an action was overwritten."""
    replay = numbered_replay(5, capacity=5)
    replay.add(observation=torch.ones(1), reward=0.0, first=False, terminal=False, h=torch.zeros(2), z=torch.zeros(1))
    assert replay.window(torch.tensor([4]), 2).action.flatten().tolist() == [4.5, 0.0]


def test_the_ring_keeps_the_newest_rows():
    replay = numbered_replay(23, capacity=10)
    assert len(replay) == 10
    seen = replay.sample(500, 3)
    assert set(seen.observation.flatten().tolist()) == set(range(13, 23))


@pytest.mark.parametrize("layout", ["free", "chunks"])
@pytest.mark.parametrize("rows", range(10, 31))
def test_windows_never_straddle_the_write_head(layout, rows):
    """Wherever the ring stands, a window is consecutive rows that are all still stored."""
    replay = numbered_replay(rows, capacity=10, layout=layout)
    window = replay.sample(100, 4)
    seen = window.observation[..., 0]
    assert torch.equal(seen, window.index.float()), "rows that are not those of the index"
    assert torch.equal(seen[:, 1:] - seen[:, :-1], torch.ones(100, 3)), "rows of a window that do not follow one another"
    assert seen.min() >= rows - 10 and seen.max() <= rows - 1
    assert torch.equal(window.h[:, 0], seen[:, 0]), "h is not that of the window's first row"


def test_chunks_start_on_a_fixed_grid():
    """Starts are multiples of the length, whatever was overwritten; every whole chunk comes up."""
    for rows, expected in [(12, {0, 4, 8}), (14, {0, 4, 8}), (23, {4, 8, 12, 16}), (27, {8, 12, 16, 20})]:
        replay = numbered_replay(rows, capacity=20, layout="chunks")
        starts = replay.sample(200, 4).index[:, 0].tolist()
        assert set(starts) == expected


def test_chunk_starts_are_equally_likely():
    replay = numbered_replay(20, layout="chunks")
    starts = replay.sample(20_000, 4).index[:, 0]
    for chunk in range(5):
        assert (starts == 4 * chunk).float().mean().item() == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / 20_000))


def test_free_starts_are_uniform_and_the_tail_is_not_neglected():
    """Each start is drawn equally often; those that do not fit are moved back, onto the last full window."""
    rows, length, draws = 20, 5, 60_000
    starts = numbered_replay(rows).sample(draws, length).index[:, 0]
    expected = [1 / rows] * 15 + [length / rows]
    for start, p in enumerate(expected):
        assert (starts == start).float().mean().item() == pytest.approx(p, abs=4.5 * math.sqrt(p * (1 - p) / draws))


def test_the_newest_row_is_seen_as_often_as_one_in_the_middle():
    """The last row of a running episode is in one window of length / rows, as a middle row is."""
    seen = numbered_replay(20).sample(20_000, 5).index.flatten()
    middle, newest = ((seen == row).float().mean().item() for row in (10, 19))
    assert newest == pytest.approx(middle, rel=0.1)


def test_draws_follow_the_seed():
    replay = numbered_replay(50)
    torch.manual_seed(3)
    first = replay.sample(10, 4).index
    torch.manual_seed(3)
    assert torch.equal(replay.sample(10, 4).index, first), "the same seed draws other windows"
    assert not torch.equal(replay.sample(10, 4).index, first), "a second draw is the first again"


def test_too_few_rows_are_refused():
    for layout in ("free", "chunks"):
        replay = numbered_replay(3, layout=layout)
        with pytest.raises(NotEnoughData, match="collect more experience"):
            replay.sample(2, 4)
        replay = numbered_replay(4, layout=layout)
        assert replay.sample(2, 4).index.tolist() == [[0, 1, 2, 3]] * 2


def test_a_ring_that_holds_no_whole_chunk_says_so():
    """Rows 2..6 are stored; the chunks of four begin at 0, 4 and 8. One row more, and 4..7 is whole."""
    with pytest.raises(NotEnoughData, match="no whole chunk"):
        numbered_replay(7, capacity=5, layout="chunks").sample(2, 4)
    assert numbered_replay(8, capacity=5, layout="chunks").sample(1, 4).index.tolist() == [[4, 5, 6, 7]]


def test_start_from_zero_does_not_read_h():
    window = numbered_replay(10, start="zero").sample(20, 3)
    assert (window.h == 0).all(), "start = zero reads a stored h"
    assert (numbered_replay(10).window(torch.tensor([4]), 3).h != 0).all(), "start = stored does not read h"


def test_mixed_starts_read_h_for_half_of_the_windows():
    """Each window starts from its own stored h or from zero, with equal chance and nothing between."""
    window = numbered_replay(50, start="mixed").sample(10_000, 3)
    stored = torch.stack([window.index[:, 0], -window.index[:, 0]], 1).float()
    from_zero = (window.h == 0).all(1)
    assert torch.equal(window.h[~from_zero], stored[~from_zero]), "a start that is neither zero nor the h of the window's own first row"
    assert from_zero.float().mean().item() == pytest.approx(0.5 + 0.5 / 50, abs=0.025)  # row 0 holds zeros itself


def test_looking_at_a_window_draws_no_random_number():
    """Whoever inspects the buffer must not change the run; only `sample` draws, and only what it needs."""
    replay = numbered_replay(10, start="mixed")
    before = torch.get_rng_state()
    assert (replay.window(torch.tensor([4, 5]), 3).h != 0).all(), "a window that was only looked at starts from zero"
    assert torch.equal(torch.get_rng_state(), before), "looking at a window drew a random number"


# --- refreshed states ------------------------------------------------------------------------


def refresh(replay, start, length, update):
    """Pretend a window was filtered: every refreshed state holds 1000 + update."""
    window = replay.window(torch.tensor([start]), length)
    value = 1000.0 + update
    replay.write_back(window.index, torch.full((1, length, 2), value), torch.full((1, length, 1), value), update)


def test_write_back_refreshes_all_rows_but_the_first():
    """The first row's h was read, not computed."""
    replay = numbered_replay(10)
    refresh(replay, 3, 4, update=7)
    h = [replay.window(torch.tensor([n]), 1).h[0, 0].item() for n in range(10)]
    assert h == [0, 1, 2, 3, 1007, 1007, 1007, 7, 8, 9]
    assert replay.data["z"][:10, 0].tolist() == h
    assert replay.window(torch.tensor([0]), 10).observation.flatten().tolist() == list(range(10))


def test_write_back_finds_its_rows_in_the_ring():
    """Row 10 of a ring of 8 lives where row 2 was."""
    replay = numbered_replay(12, capacity=8)
    refresh(replay, 5, 6, update=1)
    h = [replay.window(torch.tensor([n]), 1).h[0, 0].item() for n in range(4, 12)]
    assert h == [4, 5, 1001, 1001, 1001, 1001, 1001, 11]


# Window by window: row numbers. Row 5 is the third row of the first window and the first of the last but one.
OVERLAPPING = torch.tensor([[3, 4, 5], [4, 5, 6], [5, 6, 7], [4, 5, 6]])


def test_one_window_writes_each_row_the_one_that_had_seen_most_rows_before_it():
    """By hand: 3, 4 and 5 from the first window; 6 from a window that begins at 4, of which the last counts; 7 from the third."""
    place = {
        row: divmod(found, 4) for row, found in zip(OVERLAPPING.T.flatten()[writers(OVERLAPPING)].tolist(), writers(OVERLAPPING).tolist())
    }
    assert place == {3: (0, 0), 4: (1, 0), 5: (2, 0), 6: (2, 3), 7: (2, 2)}, "row: (time, window)"
    assert writers(torch.zeros(0, 3, dtype=torch.long)).tolist() == []


@pytest.mark.parametrize("time_first", [False, True], ids=["batch first in memory", "time first in memory"])
def test_the_stored_h_and_z_of_a_row_come_from_one_window_whatever_their_layout(time_first):
    """Each window's states hold its number. The batched unroll makes h time first, and z may lie otherwise."""
    replay = numbered_replay(10)
    index = torch.cat([OVERLAPPING[:, :1] - 1, OVERLAPPING], 1)  # one row more, which is read and not written
    number = torch.arange(4.0)[:, None, None].expand(4, 4, 1)
    h = number.expand(4, 4, 2).contiguous()
    h = h.transpose(0, 1).contiguous().transpose(0, 1) if time_first else h
    replay.write_back(index, 100 + h, 100 + number.contiguous(), update=3)
    assert replay.data["h"][3:8, 0].tolist() == [100, 100, 100, 103, 102], "the window that wrote h of the rows 3 to 7"
    assert replay.data["z"][3:8, 0].tolist() == [100, 100, 100, 103, 102], "the window that wrote z of the rows 3 to 7"


@pytest.mark.parametrize("latent", ["gaussian", "categorical"])
def test_both_unrolls_and_any_number_of_threads_store_the_same_states(latent):
    """So many numbers that torch shares the writing among its threads: half of the rows are in several windows."""
    index = torch.randint(300, (40, 1)) + torch.arange(20)
    window = random_window(40, 20, deter=100)._replace(index=index)
    torch.manual_seed(1)
    model = WorldModel(model_config(deter=100, latent=latent, batched_unroll=True), 3, 2)
    noise = model.rssm.latent.noise(40, 20)
    stored = []
    for batched, threads in [(True, 1), (True, 2), (True, 2), (False, 2), (False, 1)]:
        torch.set_num_threads(threads)
        model.rssm.config.batched_unroll = batched
        beliefs = model.observe(window, noise)
        replay = numbered_replay(0, capacity=400)
        replay.data["h"], replay.data["z"] = torch.zeros(400, 100), torch.zeros(400, model.rssm.latent.size)
        replay.write_back(index, beliefs.h, beliefs.z, update=1)
        stored.append(replay.data)
    for other, told in zip(stored[1:], ["two threads", "two threads again", "the plain loop on two threads", "the plain loop"]):
        for name in ("h", "z"):
            assert torch.allclose(other[name], stored[0][name], atol=1e-5), f"{told}: another {name} is stored"
    assert torch.equal(stored[1]["h"], stored[2]["h"]), "two threads do not repeat themselves"


def test_write_back_takes_no_graph_along():
    replay = numbered_replay(6)
    h = torch.ones(1, 3, 2, requires_grad=True) * 2
    replay.write_back(torch.tensor([[1, 2, 3]]), h, h[..., :1], 1)
    assert not replay.data["h"].requires_grad and not replay.data["z"].requires_grad, "the stored states carry a graph"


def test_windows_that_started_from_zero_can_be_kept_out_of_the_buffer():
    """Three windows: from a stored h, from zero inside an episode, from zero where an episode starts (which is right)."""
    for switch, kept in ((True, [True, True, True]), (False, [True, False, True])):
        replay = numbered_replay(12, episode=4, write_back_zero=switch)
        h = torch.full((3, 2, 2), 50.0)
        h[1:, 0] = 0
        replay.write_back(torch.tensor([[1, 2], [5, 6], [8, 9]]), h, torch.full((3, 2, 1), 60.0), update=3)
        assert (replay.data["h"][[2, 6, 9], 0] == 50).tolist() == kept
        assert (replay.data["z"][[2, 6, 9], 0] == 60).tolist() == kept
        assert (replay.data["written"][[2, 6, 9]] == 3).tolist() == kept
        assert replay.data["h"][[1, 5, 8], 0].tolist() == [1, 5, 8]  # a first row never changes


def test_age_counts_updates_since_a_state_was_computed():
    replay = numbered_replay(6)
    assert replay.age(5).tolist() == [5] * 6
    refresh(replay, 1, 3, update=4)
    assert replay.age(5).tolist() == [5, 5, 1, 1, 5, 5]
    replay.add(observation=torch.ones(1), reward=0.0, first=False, terminal=False, h=torch.zeros(2), z=torch.zeros(1), update=5)
    assert replay.age(6).tolist() == [6, 6, 2, 2, 6, 6, 1]


def test_age_is_listed_from_the_oldest_row():
    replay = numbered_replay(12, capacity=8)  # rows 4..11
    refresh(replay, 4, 3, update=2)
    assert replay.age(2).tolist() == [2, 0, 0, 2, 2, 2, 2, 2]


# --- single transitions ----------------------------------------------------------------------


def test_transitions_never_cross_an_episode():
    """Episodes of four rows: every pair of neighbours inside one comes up, and no other."""
    replay = numbered_replay(13, episode=4)
    pairs = {tuple(row) for row in replay.transitions(2000).index.tolist()}
    assert pairs == {(n, n + 1) for n in range(12) if n % 4 != 3}


def test_transitions_are_equally_likely():
    replay = numbered_replay(12, episode=4)
    starts = replay.transitions(18_000).index[:, 0]
    for start in (0, 1, 2, 4, 5, 6, 8, 9, 10):
        assert (starts == start).float().mean().item() == pytest.approx(1 / 9, abs=4.5 * math.sqrt(8 / 81 / 18_000))


@pytest.mark.parametrize("rows", range(8, 25))
def test_transitions_need_both_rows_in_the_ring(rows):
    replay = numbered_replay(rows, capacity=8, episode=5)
    window = replay.transitions(200)
    seen = window.observation[..., 0]
    assert torch.equal(seen[:, 1], seen[:, 0] + 1), "two rows that are no neighbours"
    assert seen.min() >= rows - 8
    assert (window.first[:, 1] == 0).all(), "a transition that crosses an episode's start"


def test_no_transition_is_refused():
    with pytest.raises(NotEnoughData, match="no transition"):
        numbered_replay(1).transitions(4)


# --- checkpoints -----------------------------------------------------------------------------


def test_rewards_are_handed_out_in_their_unit_and_kept_as_they_came():
    replay = numbered_replay(8, episode=4)
    replay.reward_unit = 4.0
    assert replay.window(torch.tensor([2]), 3).reward.tolist() == [[0.5, 0.75, 1.0]], "in a window"
    assert set(replay.transitions(50).reward[:, 1].tolist()) == {0.25, 0.5, 0.75, 1.25, 1.5, 1.75}, "in real transitions"
    assert replay.newest(3)[1].tolist() == [5, 6, 7], "as they came"


def test_arrivals_are_the_rows_that_brought_a_reward():
    """Rows 0 and 4 start episodes, rows 3 and 7 are true ends; once the ring went round, only what it still holds."""
    reward, cont = numbered_replay(9, episode=4).arrivals()
    assert reward.tolist() == [1, 2, 3, 5, 6, 7] and cont.tolist() == [1, 1, 0, 1, 1, 0]
    assert sorted(numbered_replay(9, episode=4, capacity=5).arrivals()[0].tolist()) == [5, 6, 7], "after the ring went round"


def test_a_buffer_that_was_saved_before_there_was_a_unit_has_the_unit_1():
    state = numbered_replay(5).state_dict()
    del state["reward_unit"], state["reward_rows"]
    other = numbered_replay(0)
    other.load_state_dict(state)
    assert (other.reward_unit, other.reward_rows) == (1, 0) and other.data["reward"][:5].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rows", [5, 8, 13])
def test_a_restored_buffer_is_the_same(rows):
    """Before the ring is full, when it just is, and after it went round."""
    replay = numbered_replay(rows, capacity=8, episode=4)
    replay.reward_unit, replay.reward_rows = 1 / 3, 4
    refresh(replay, rows - 4, 3, update=7)
    state = {name: value.clone() for name, value in replay.state_dict().items()}
    other = numbered_replay(0, capacity=8)
    other.load_state_dict(state)
    assert len(other) == len(replay) and other.count == replay.count
    assert (other.reward_unit, other.reward_rows) == (1 / 3, 4), "the unit of rewards, to the last bit"
    for name in replay.FIELDS:
        assert torch.equal(other.data[name], replay.data[name]), f"the {name} of the rows"
    for buffer in (replay, other):
        buffer.add(observation=torch.ones(1), reward=0.0, first=False, terminal=False, h=torch.zeros(2), z=torch.zeros(1))
    draws = []
    for buffer in (replay, other):
        torch.manual_seed(1)
        draws.append(buffer.sample(20, 3))
    assert all(torch.equal(left, right) for left, right in zip(*draws)), "the restored buffer draws something else"


@pytest.mark.parametrize("rows", [5, 8, 13])
def test_a_buffer_of_another_layout_is_refilled_row_by_row(rows):
    replay = numbered_replay(rows, capacity=8, episode=4)
    refresh(replay, rows - 4, 3, update=7)
    state = replay.state_dict()
    other = numbered_replay(0, capacity=8)
    Replay.refill(other, {name: state[name] for name in replay.FIELDS}, int(state["count"]))
    assert other.count == replay.count
    for name in replay.FIELDS:
        assert torch.equal(other.data[name], replay.data[name]), f"the {name} of the rows"


def test_a_saved_buffer_does_not_change_afterwards():
    replay = numbered_replay(5)
    state = replay.state_dict()
    replay.data["observation"].fill_(-1)
    assert state["observation"].flatten().tolist() == [0, 1, 2, 3, 4]

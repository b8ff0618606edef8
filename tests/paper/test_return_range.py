"""The running range of returns: percentiles by sorting, and the two averages by hand."""

import pytest
import torch

from dreamer_core.paper.return_range import ReturnRange


def percentile(numbers, share):
    """By hand: sort, and go that share of the way from the first to the last, between two neighbours in a straight line."""
    ranked = sorted(numbers)
    place = share * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return ranked[below] + (place - below) * (ranked[above] - ranked[below])


def test_it_moves_a_share_of_the_way_to_the_percentiles():
    """Numbers 0 .. 100: percentiles 5 and 95; a tenth of the way from 0, then another tenth."""
    spread = ReturnRange(rate=0.1)
    spread.update(torch.arange(101.0))
    assert spread.percentiles.tolist() == pytest.approx([0.5, 9.5])
    spread.update(torch.arange(101.0))
    assert spread.percentiles.tolist() == pytest.approx([0.95, 18.05])
    assert spread.scale().item() == pytest.approx(17.1)


@pytest.mark.parametrize("shape", [(40,), (8, 5), (2, 4, 5)])
def test_percentiles_are_those_of_all_numbers_whatever_their_shape(shape):
    numbers, spread = torch.randn(shape) * 10, ReturnRange(rate=1.0, low=0.1, high=0.75)
    spread.update(numbers)
    expected = [percentile(numbers.flatten().tolist(), share) for share in (0.1, 0.75)]
    assert spread.percentiles.tolist() == pytest.approx(expected, rel=1e-5), "percentiles of the numbers"


def test_both_start_at_zero_and_are_not_freed_of_that():
    """A hundred updates of a hundredth leave 0.99^100 = 37 % of the start."""
    spread = ReturnRange(floor=1e-6)
    for _ in range(100):
        spread.update(torch.tensor([10.0, 30.0]))
    assert spread.scale().item() == pytest.approx((1 - 0.99**100) * 18, rel=1e-4)


def test_small_ranges_count_as_the_floor_and_large_ones_as_they_are():
    spread = ReturnRange(rate=1.0, floor=3.0)
    assert spread.scale().item() == 3, "before any update"
    for top, expected in ((2.0, 3.0), (100.0, 90.0)):
        spread.update(torch.linspace(0, top, 101))
        assert spread.scale().item() == pytest.approx(expected), f"the range of returns from 0 to {top}"


def test_outliers_beyond_the_percentiles_do_not_count():
    calm, wild = torch.linspace(0, 1, 101), torch.linspace(0, 1, 101)
    wild[-1], wild[0] = 1e9, -1e9
    ranges = [ReturnRange(rate=1.0), ReturnRange(rate=1.0)]
    for spread, numbers in zip(ranges, (calm, wild)):
        spread.update(numbers)
    assert torch.equal(ranges[0].percentiles, ranges[1].percentiles), "one return in a hundred moves the range"


def test_in_another_unit_both_percentiles_are_what_they_were():
    """Every return becomes 0.5 R + 3."""
    numbers, one, other = torch.randn(50) * 20, ReturnRange(rate=1.0), ReturnRange(rate=1.0)
    one.update(numbers)
    one.restate(0.5, 3.0)
    other.update(0.5 * numbers + 3)
    torch.testing.assert_close(one.percentiles, other.percentiles, msg=lambda told: f"percentiles in another unit: {told}")


def test_it_carries_no_gradient_and_is_saved():
    spread = ReturnRange(rate=1.0)
    spread.update(torch.randn(20, requires_grad=True) * 9)
    assert not spread.scale().requires_grad, "the range carries a gradient"
    again = ReturnRange()
    again.load_state_dict(spread.state_dict())
    assert torch.equal(again.percentiles, spread.percentiles), "the range is not in a checkpoint"

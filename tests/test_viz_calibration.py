"""Coverage and PIT, against promises that are kept or broken on purpose."""

import pytest
import torch

from dreamer_core.viz.calibration import ONE, calibration_figure, coverage, pit


def test_coverage_by_hand():
    """Misses of 0.5, 1, 1.5 and 3 of their own standard deviations, on both sides."""
    std = torch.tensor([1.0, 2.0, 2.0, 0.5])
    mean = torch.tensor([0.0, 5.0, -1.0, 2.0])
    reward = mean + std * torch.tensor([0.5, -1.0, 1.5, -3.0])
    assert coverage(mean, std, reward, torch.tensor([0.4, 1.0, 2.0, 3.0])).tolist() == [0, 0.5, 0.75, 1]


def test_a_kept_promise():
    """Rewards drawn from the predicted Normals: the shares are those of a Normal, and the PIT is uniform."""
    mean, std = torch.randn(20_000), torch.rand(20_000) + 0.2
    reward = mean + std * torch.randn(20_000)
    within = coverage(mean, std, reward, torch.tensor([1.0, 2.0]))
    assert within[0].item() == pytest.approx(0.6827, abs=0.01) and within[1].item() == pytest.approx(0.9545, abs=0.01)
    assert ONE == pytest.approx(0.6827, abs=1e-4)
    shares = torch.histc(pit(mean, std, reward), 10, 0, 1) / 20_000
    torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.01, rtol=0)


def test_a_broken_promise_shows_in_the_figure():
    """Three times too wide: nearly everything lies within one standard deviation, and the PIT heaps up in the middle."""
    mean, reward = torch.zeros(5_000), torch.randn(5_000)
    figure = calibration_figure({"honest": (mean, torch.ones(5_000)), "too wide": (mean, 3 * torch.ones(5_000))}, reward, "Two heads")
    assert "honest: 68%" in figure.alt or "honest: 69%" in figure.alt or "honest: 67%" in figure.alt
    assert "too wide: 100%" in figure.alt
    left, honest, wide = figure.axes
    heights = [[patch.get_height() for patch in axis.patches] for axis in (honest, wide)]
    assert max(heights[0]) < 1.3 and heights[1][0] < 0.1 and max(heights[1]) > 1.5
    assert figure.caption


def test_too_many_heads_are_refused():
    one = (torch.zeros(3), torch.ones(3))
    with pytest.raises(ValueError, match="at most 4"):
        calibration_figure({str(n): one for n in range(5)}, torch.zeros(3))

"""What every figure owes its reader."""

import numpy as np
from matplotlib.text import Text

from dreamer_core.viz.show import SMALLEST, picture


def complaints(figure):
    """Sentences on what a reader of this figure cannot read: text that is too small, curves under a legend."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    small = {text.get_text() for text in texts if text.get_size() < SMALLEST}
    hidden = [
        f"the legend lies over the curve {line.get_label()!r}"
        for axis in figure.get_axes()
        if axis.get_legend() is not None
        for line in axis.lines
        if line.get_visible() and not line.get_label().startswith("_") and crosses(line, axis.get_legend().get_window_extent(), axis.bbox)
    ]
    return [f"text smaller than {SMALLEST} points: {text!r}" for text in sorted(small)] + hidden


def crosses(line, legend, panel):
    """Whether a line, as drawn within its panel, runs through a legend's box."""
    corners = line.get_transform().transform(line.get_xydata())
    corners = corners[np.isfinite(corners).all(1)]
    if len(corners) < 2 or len(corners) == 2 and np.allclose(*corners.T[1]):  # a level or a mark across the whole panel hides nothing
        return False
    steps = np.linspace(0, 1, 50)[:, None, None]
    x, y = ((1 - steps) * corners[:-1] + steps * corners[1:]).reshape(-1, 2).T
    seen = (panel.x0 <= x) & (x <= panel.x1) & (panel.y0 <= y) & (y <= panel.y1)
    return bool((seen & (legend.x0 < x) & (x < legend.x1) & (legend.y0 < y) & (y < legend.y1)).any())


def assert_readable(figure):
    """Every panel holds something and every axis is labelled (a shared one at its edge); the figure has words of its own."""
    panels = figure.get_axes()
    assert panels
    for axis in panels:
        assert axis.has_data(), "an empty panel"
        own = [axis.get_xlabel(), axis.get_ylabel()]
        if "colorbar" in axis.get_label():
            assert any(own), "a colour bar without a label"
            continue
        shares_x = [other.get_xlabel() for other in panels if other is axis or axis.get_shared_x_axes().joined(axis, other)]
        shares_y = [other.get_ylabel() for other in panels if other is axis or axis.get_shared_y_axes().joined(axis, other)]
        assert any(shares_x), "an x axis without a label"
        assert any(shares_y), "a y axis without a label"
    assert len(figure.alt) >= 40 and len(figure.caption) >= 40
    assert figure.alt.endswith(".") and figure.caption.strip().endswith(".")
    assert "nan" not in figure.alt.lower()
    assert complaints(figure) == []
    assert "<img alt=" in picture(figure).data  # it can be drawn


def lines(axis):
    """The labelled lines of a panel: label -> (x, y)."""
    return {line.get_label(): line.get_data() for line in axis.lines if not line.get_label().startswith("_")}

"""What every figure owes its reader."""

from dreamer_core.viz.show import picture


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
    assert "<img alt=" in picture(figure).data  # it can be drawn


def lines(axis):
    """The labelled lines of a panel: label -> (x, y)."""
    return {line.get_label(): line.get_data() for line in axis.lines if not line.get_label().startswith("_")}

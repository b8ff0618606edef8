"""Figures: their words, and the colours that all of them share."""

from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from figures import complaints
from matplotlib.colors import to_rgb

from dreamer_core.viz import show
from dreamer_core.viz.show import Progress, describe, picture

PALETTE = {name: getattr(show, name) for name in ("BLUE", "GREEN", "ORANGE", "RED", "PURPLE", "GREY")}
PAGES = {"white": "#ffffff", "JupyterLab's dark": "#111111"}
# What a dichromat sees, in linear RGB: Machado, Oliveira and Fernandes, A physiologically-based model for simulation of color vision
# deficiency (2009), severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])  # of linear sRGB


def linear(colour):
    """Linear RGB (3,) of a colour."""
    c = np.array(to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    """The contrast ratio of WCAG 2.2: 1 to 21."""
    darker, lighter = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(rgb):
    """CIE L*a*b* (3,) of linear RGB."""
    x, y, z = np.cbrt(np.maximum(XYZ @ np.clip(rgb, 0, 1) / XYZ.sum(1), 0.008856))  # none is darker than where the root ends
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_is_what_the_standard_says():
    assert contrast("black", "white") == pytest.approx(21) and contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", PALETTE)
def test_a_colour_stands_out_on_a_white_page_and_on_a_dark_one(name):
    for page, ground in PAGES.items():
        found = contrast(PALETTE[name], ground)
        assert found >= 3, f"{name} {PALETTE[name]} has a contrast of {found:.2f} on {page}: 3 is the least"


@pytest.mark.parametrize("eye", EYES)
def test_any_two_colours_can_be_told_apart_by_every_kind_of_eye(eye):
    for (one, first), (other, second) in combinations(PALETTE.items(), 2):
        apart = np.linalg.norm(lab(np.array(EYES[eye]) @ linear(first)) - lab(np.array(EYES[eye]) @ linear(second)))
        assert apart >= 15, f"with {eye}, {one} and {other} are {apart:.0f} apart in L*a*b*: 15 is the least"


def test_real_posterior_and_dream_have_a_colour_each_and_nobody_else_does():
    assert show.COLOURS == {"real": show.BLUE, "posterior": show.GREEN, "dream": show.ORANGE}
    assert len(set(PALETTE.values())) == len(PALETTE)


def test_complaints_name_small_text_and_a_curve_under_a_legend():
    figure, axis = plt.subplots()
    axis.plot([0, 1], [0, 1], label="rises")
    axis.legend(loc="upper left")
    assert complaints(figure) == []
    axis.legend(loc="upper right")
    axis.set_title("a whisper", fontsize=8)
    assert complaints(figure) == ["text smaller than 9 points: 'a whisper'", "the legend lies over the curve 'rises'"]


def test_a_figure_shows_its_own_words():
    html = picture(describe(plt.figure(), "a <line> rises", "watch the end")).data
    assert 'alt="a &lt;line&gt; rises"' in html and "watch the end" in html


def test_words_that_are_given_come_first():
    html = picture(describe(plt.figure(), "one", "two"), "three", "four").data
    assert 'alt="three"' in html and "four" in html
    assert "one" not in html and "two" not in html


def test_a_figure_without_alternative_text_is_turned_away():
    with pytest.raises(ValueError, match="alternative text"):
        picture(plt.figure())


def test_outside_a_notebook_a_bar_counts_and_draws_nothing(capsys):
    bar = Progress(2, "learning")
    capsys.readouterr()  # what `display` says of an empty page
    bar.update()
    bar.update()
    bar.draw()
    assert bar.done == 2 and capsys.readouterr().out == ""

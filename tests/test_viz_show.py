"""Figures and their words."""

import matplotlib.pyplot as plt
import pytest

from dreamer_core.viz.show import Progress, describe, picture


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

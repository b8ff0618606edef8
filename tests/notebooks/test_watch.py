"""The watch over notebooks can fail: what reaches for another machine, a cell that raises and a figure nobody can read are noticed."""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from notebooks.books import run

REACH = """
import socket
with socket.socket() as one:
    one.settimeout(0.2)
    try:
        one.connect(("127.0.0.1", 9))
    except OSError:
        pass
"""


def book(source):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel})


def test_a_socket_that_is_opened_is_seen(tmp_path):
    with pytest.raises(AssertionError, match="127.0.0.1"):
        run(book(REACH), tmp_path / "answers.json")
    assert len(run(book("print(1)"), tmp_path / "answers.json")) == 1


def test_a_cell_that_raises_is_seen(tmp_path):
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run(book("1 / 0"), tmp_path / "answers.json")


DRAW = """
import matplotlib.pyplot as plt
from dreamer_core.viz.show import show
figure, axis = plt.subplots()
axis.plot([0, 1], [0, 1], label="rises")
axis.legend(loc="upper right", fontsize=8)
_ = show(figure, "a line that rises")
"""


def test_a_figure_that_nobody_can_read_is_seen(tmp_path):
    with pytest.raises(AssertionError, match="text smaller than 9 points: 'rises'.*the legend lies over the curve 'rises'"):
        run(book(DRAW), tmp_path / "answers.json")

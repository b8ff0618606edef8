"""The running times that notebooks state, and the script that measures them. No clock is read here: that would hang on the machine."""

import json

import nbformat
import pytest
from scripts import script

from notebooks.books import PATHS, read

HEADER = "# Title\n\n**Time** 10 min reading · 30 s running · 14 min exercises"


@pytest.fixture
def minutes(tmp_path, monkeypatch):
    """The script, which writes into this test's own folder."""
    module = script("minutes")
    monkeypatch.setattr(module, "OUT", tmp_path / "minutes.json")
    for name in ("DREAMER_LEDGER", "DREAMER_QUICK", "DREAMER_STRICT"):
        monkeypatch.setenv(name, "somebody's own")
    return module


def book(*sources, header=HEADER):
    cells = [nbformat.v4.new_markdown_cell(header), *map(nbformat.v4.new_code_cell, sources)]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})


def clock(second):
    return f"2030-01-02T03:{second // 60:02d}:{second % 60:02d}.500000Z"


def executed(*seconds):
    """A notebook whose cells took these seconds, with ten seconds between them."""
    notebook, now = book(*["pass"] * len(seconds)), 0
    for cell, spent in zip(notebook.cells[1:], seconds):
        cell.metadata["execution"] = {"iopub.execute_input": clock(now), "shell.execute_reply": clock(now + spent)}
        now += spent + 10
    return notebook


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stated_seconds_are_those_that_were_measured(path):
    module = script("minutes")
    measured = module.stored().get(path.name[:2])
    if measured is None:
        pytest.skip("not measured yet: python tests/benchmarks/minutes.py")
    found = module.complaints(module.stated(read(path)), measured)
    assert not found, f"{path.name} {' and '.join(found)} (measured by tests/benchmarks/minutes.py)"


def test_the_promise_is_read_from_the_first_cell(minutes):
    assert minutes.stated(book()) == 30
    with pytest.raises(ValueError, match="states no running time"):
        minutes.stated(book(header="# Title\n\n**Time** 10 min reading"))


def test_only_the_cells_own_time_counts(minutes):
    assert minutes.times(executed(4, 31, 1)) == (36.0, 31.0)


@pytest.mark.parametrize(
    "promised, spent, expected",
    [
        (30, (30, 20), []),
        (30, (15, 15), []),
        (30, (60, 20), []),
        (30, (14, 14), ["states 30 s, runs 14 s"]),
        (30, (61, 20), ["states 30 s, runs 61 s"]),
        (100, (181, 20), ["runs 181 s, more than 180 s"]),
        (100, (100, 61), ["has a cell that runs 61 s, more than 60 s"]),
    ],
)
def test_what_is_complained_about(minutes, promised, spent, expected):
    assert minutes.complaints(promised, minutes.Times(*spent)) == expected


def test_a_notebook_is_run_where_it_lies_and_left_as_it_was(minutes, tmp_path):
    path = tmp_path / "one.ipynb"
    nbformat.write(book("import pathlib, time\ntime.sleep(0.2)", "assert pathlib.Path('one.ipynb').exists()"), path)
    before = path.read_bytes()
    measured = minutes.measure(path)
    assert measured.all >= measured.longest >= 0.2, measured
    assert path.read_bytes() == before


@pytest.fixture
def quiet(minutes, monkeypatch):
    """A quiet machine on which every notebook takes 30 s; the numbers of those that ran."""
    ran = []
    monkeypatch.setattr(minutes.os, "getloadavg", lambda: (0.1, 4.0, 4.0))

    def measure(path):
        ran.append(path.name[:2])
        own = {name: value for name, value in minutes.os.environ.items() if name.startswith("DREAMER_")}
        assert list(own) == ["DREAMER_LEDGER"] and own["DREAMER_LEDGER"].endswith("answers.json"), f"the notebooks ran with {own}"
        return minutes.Times(30.0, 9.0)

    monkeypatch.setattr(minutes, "measure", measure)
    monkeypatch.setattr(minutes, "stated", lambda notebook: 30)
    return ran


def run(module, monkeypatch, *arguments):
    """The script's exit status."""
    monkeypatch.setattr("sys.argv", ["minutes.py", *arguments])
    with pytest.raises(SystemExit) as end:
        module.main()
    return end.value.code


def test_all_are_measured_and_stored(minutes, quiet, monkeypatch, capsys):
    assert run(minutes, monkeypatch) == 0
    assert quiet == [path.name[:2] for path in PATHS]
    assert minutes.stored() == {number: (30.0, 9.0) for number in quiet}
    assert json.loads(minutes.OUT.read_text(encoding="utf-8"))["load"] == 0.1
    assert "03: 30 s, longest cell 9 s; as stated" in capsys.readouterr().out


def test_one_is_measured_and_the_others_kept(minutes, quiet, monkeypatch):
    run(minutes, monkeypatch)
    monkeypatch.setattr(minutes, "measure", lambda path: minutes.Times(100.0, 9.0))
    assert run(minutes, monkeypatch, "--only", "03") == 1, "a notebook that runs three times as long as it states passes"
    assert {number: times.all for number, times in minutes.stored().items()} == {number: 30.0 for number in quiet} | {"03": 100.0}


def test_nothing_is_measured_on_a_busy_machine(minutes, quiet, monkeypatch):
    monkeypatch.setattr(minutes.os, "getloadavg", lambda: (1.7, 0.0, 0.0))
    assert "the machine is busy (load 1.7)" in str(run(minutes, monkeypatch))
    assert not quiet and not minutes.stored()
    assert run(minutes, monkeypatch, "--anyway", "--only", "00") == 0
    assert quiet == ["00"]

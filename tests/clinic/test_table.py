"""The stored table: every fault is seen by an instrument, and no two look alike under all of them."""

import pytest

from dreamer_core.clinic import table
from dreamer_core.clinic.faults import FAULTS
from dreamer_core.clinic.instruments import EXACT
from dreamer_core.clinic.symptoms import Case, cases
from dreamer_core.errors import Diverged


@pytest.fixture(scope="module")
def found():
    return table.table()


def test_every_case_is_stored_with_every_exact_instrument():
    stored = table.stored()
    missing = {case.name: sorted(EXACT.keys() - stored.get(case.name, {}).keys()) for case in cases()}
    missing = {name: names for name, names in missing.items() if names}
    assert not missing, f"python -m dreamer_core.clinic.table measures what is missing: {missing}"


def test_every_fault_is_seen_and_no_two_look_alike(found):
    assert set(found) == set(FAULTS)
    assert [name for name, readings in found.items() if not any(readings.values())] == [], "no instrument sees these"
    assert table.look_alike(found) == []


def test_no_healthy_agent_is_called_sick():
    for case in cases():
        if case.fault is None:
            off = {name: reading["off"] for name, reading in table.stored()[case.name].items() if reading["off"]}
            assert not off, f"{case.name}: {off}"


@pytest.mark.parametrize(
    "value, healthy, side",
    [(1.0, [1.0, 1.0], 0), (1.001, [1.0, 1.0], 1), (3.9, [1.0, 2.0, 3.0], 0), (5.1, [1.0, 2.0, 3.0], 1), (-1.1, [1.0, 2.0, 3.0], -1)],
)
def test_how_far_is_apart(value, healthy, side):
    """Healthy ones lie up to 2 apart: whoever is further than that from the nearest of them is apart."""
    assert table.apart(value, healthy) == side
    assert table.apart(float("nan"), healthy) == 1


def reading(off=(), **numbers):
    return {"scale": {"numbers": numbers, "off": list(off)}}


def test_what_counts_as_seen():
    healthy = [reading(a=1.0, b=0.0), reading(a=1.2, b=0.0)]
    assert table.seen(reading(a=2.0, b=0.0), healthy) == {"scale": {}}, "a number counts that the instrument itself calls healthy"
    assert table.seen(reading(["a"], a=2.0, b=0.0), healthy) == {"scale": {"a": 1}}
    assert table.seen(reading(["a", "b"], a=1.3, b=-1.0), healthy) == {"scale": {"b": -1}}, "a number counts that healthy agents reach"
    assert table.seen(reading([table.BROKE], **{table.BROKE: 1.0}), healthy) == {"scale": {table.BROKE: 1}}


def test_pairs_that_look_alike_are_found():
    one, two, three = {"x": {"a": 1}}, {"x": {"a": 1}}, {"x": {"a": -1}}
    assert table.look_alike({"one": one, "two": two, "three": three}) == [("one", "two")]


def test_what_was_measured_is_kept_and_a_break_down_is_a_reading(monkeypatch):
    class Tool:
        def __init__(self, measure):
            self.measure = measure

    class Reading:
        numbers, off = {"a": 1 / 3}, {"a": "high"}

    def breaks(subject):
        raise Diverged("the loss is nan")

    monkeypatch.setattr(table, "INSTRUMENTS", {"old": Tool(breaks), "new": Tool(lambda subject: Reading()), "run": Tool(breaks)})
    found = table.measured(Case(None, "dropin", 0), {"old": {"numbers": {"b": 2.0}, "off": []}}, ["old", "new", "run"])
    assert found["old"] == {"numbers": {"b": 2.0}, "off": []}, "an instrument was used again"
    assert found["new"] == {"numbers": {"a": 0.333333}, "off": ["a"]}
    assert found["run"] == {"numbers": {table.BROKE: 1.0}, "off": [table.BROKE]}


def test_the_figure_fills_the_cells_of_what_is_seen(found):
    figure = table.table_figure(found)
    image = figure.axes[0].images[0].get_array()
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert set(names) >= set(EXACT) and image.shape == (len(FAULTS), len(names))
    for row, name in enumerate(FAULTS):
        for column, instrument in enumerate(names):
            assert (image[row, column] > 0) == bool(found[name][instrument]), (name, instrument)
    assert "kl_reversed by divergence" in figure.alt


def test_the_command_refuses_what_does_not_exist(capsys):
    with pytest.raises(SystemExit) as end:
        table.main(["scale"])
    assert end.value.code == 2 and "there is no instrument 'scale'" in capsys.readouterr().err

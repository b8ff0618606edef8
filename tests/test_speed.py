"""tests/benchmarks/speed.py calls what the agent has; how long it takes is not asked here."""

import pytest
from scripts import script

from dreamer_core import agent

speed = script("speed")


@pytest.mark.parametrize("size", speed.SIZES)
def test_every_part_can_be_called_and_names_what_it_measures(size):
    parts = speed.parts(size)
    assert list(parts) == list(speed.PARTS_OF.get(size, speed.PARTS))
    for part in parts.values():
        part()


def test_the_agents_part_dreams_no_more(monkeypatch):
    """Its update is measured on a dream made once, and on windows filtered once."""
    work = speed.parts("course")["agent"]
    monkeypatch.setattr(agent, "imagine", lambda *_: pytest.fail("a dream was made while the agent's update was measured"))
    monkeypatch.setattr(agent.WorldModel, "observe", lambda *_: pytest.fail("windows were filtered while the agent's update was measured"))
    work()

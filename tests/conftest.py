import re

import gymnasium as gym
import pytest
import torch


def pytest_collection_modifyitems(items):
    """`make test` collects in several processes, which must find tests of the same names."""
    for item in items:
        if re.search(r"\bat 0x[0-9a-f]+", item.nodeid):
            raise pytest.UsageError(f"{item.nodeid}: this name holds an address, which every process has its own; give the test ids")


@pytest.fixture(autouse=True)
def seeded():
    """Every test starts from the same random numbers, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def registered():
    """What was registered before a test is so after it: a module that is imported once registers its environments once."""
    before = dict(gym.registry)
    yield
    gym.registry.update({name: spec for name, spec in before.items() if gym.registry.get(name) is not spec})

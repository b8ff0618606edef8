"""How much a notebook computes, chosen in one place."""

import os
from typing import TypeVar

Number = TypeVar("Number", int, float)


def budget(full: Number, quick: Number) -> Number:
    """`full`, or `quick` where the environment variable DREAMER_QUICK is 1: the same code on less data, for a fast look and for tests."""
    return quick if os.environ.get("DREAMER_QUICK") == "1" else full

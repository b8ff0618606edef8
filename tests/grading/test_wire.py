"""Messages: what is packed comes back equal, and what is no message is refused, whatever it says of itself."""

import io
import json

import numpy as np
import pytest
import torch

from dreamer_core.grading import wire
from dreamer_core.grading.wire import Broken, Message, Packer, Unpacker
from dreamer_core.sac import Action

VALUES = [
    None,
    True,
    3,
    -2.5,
    float("inf"),
    "é",
    (1, [2, {"a": 3}], ()),
    torch.arange(6).reshape(2, 3),
    torch.tensor(2.5),
    torch.zeros(0, 3),
    torch.tensor([1 + 2j]),
    torch.tensor([True, False]),
    torch.ones(2, dtype=torch.bfloat16),
    torch.ones(1, 6)[:, -1],
    torch.ones(3, 4).T,
    np.arange(4.0).reshape(2, 2),
    np.float64(1.5),
    np.array([], np.int64),
    Action(torch.ones(2), torch.zeros(2)),
]


def there_and_back(value):
    """A value through JSON and bytes."""
    packer = Packer([], [])
    body = {"v": packer.pack(value)}
    found = wire.receive(io.BytesIO(wire.framed(Message(body, packer.buffers))))
    unpack = Unpacker(found.buffers, [], [], lambda part: wire.tensor_of(part, found.buffers), lambda module, name: Action)
    return unpack.unpack(found.body["v"])


def same(a, b):
    if isinstance(a, (torch.Tensor, np.ndarray)):
        return type(a) is type(b) and a.dtype == b.dtype and a.shape == b.shape and bool((a == b).all())
    if isinstance(a, (tuple, list)):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{type(value).__name__} {getattr(value, 'dtype', '')}")
def test_values_come_back_equal(value):
    assert same(there_and_back(value), value), f"{value!r} came back as {there_and_back(value)!r}"


def test_what_cannot_be_sent_comes_as_a_thing_of_that_name():
    class Secret:
        pass

    assert type(there_and_back(Secret())).__name__ == "Secret"
    assert callable(there_and_back(lambda: 1)), "a function comes back as some function"
    assert there_and_back([[[[[[[[[[[[[[1]]]]]]]]]]]]]]), "what is too deep is cut off, and not refused"


TENSOR = {"t": "tensor", "dtype": "float32", "shape": [2], "b": 0}


@pytest.mark.parametrize(
    "packed",
    [
        TENSOR | {"shape": [3]},
        TENSOR | {"shape": [-2]},
        TENSOR | {"shape": [2**41]},
        TENSOR | {"shape": "ab"},
        TENSOR | {"shape": [True]},
        TENSOR | {"dtype": "object"},
        TENSOR | {"b": 7},
        TENSOR | {"b": -1},
        TENSOR | {"b": "0"},
        {"t": "array", "dtype": "O", "shape": [1], "b": 0},
        {"t": "array", "dtype": "V8", "shape": [1], "b": 0},
        {"t": "input", "i": 0},
        {"t": "input", "i": -1},
        {"t": "what"},
        {"v": 1},
        {"t": []},
        {"t": "dict", "v": [[{"t": "list", "v": []}, 1]]},
        {"t": "dict", "v": 3},
        {"t": "tuple", "v": 3},
        [1],
    ],
)
def test_a_value_that_is_none_is_refused(packed):
    unpack = Unpacker([b"12345678"], [], [], lambda part: wire.tensor_of(part, [b"12345678"]), lambda module, name: None)
    with pytest.raises(Broken):
        unpack.unpack(packed)


def frame(head, rest=b"", size=None):
    return wire.START.pack(len(head), len(rest) if size is None else size) + head + rest


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 40,
        frame(b"{}"),
        frame(b"[]"),
        frame(b'{"sizes": 3}'),
        frame(b'{"sizes": [4]}', b"abc"),
        frame(b'{"sizes": [-1, 4]}', b"abc"),
        frame(b'{"sizes": []}', b"", 2**62),
        frame(b'{"sizes": []}', b"", 10),
        frame(b"[" * 50_000),
        frame(b'{"sizes": [], "a": ' + b"9" * 9_999 + b"}"),
    ],
)
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(Broken):
        wire.receive(io.BytesIO(data))


def test_the_end_is_the_end():
    assert wire.receive(io.BytesIO(b"")) is None
    assert wire.receive(io.BytesIO(wire.framed(Message({"a": 1}))[:5])) is None


def test_holders_are_found_on_the_same_way_by_both_sides():
    class Box:
        def __init__(self):
            self.row, self.seen = [1, {"a": [2]}], {3, 4}

    box = Box()
    box.again = box
    found = dict(wire.holders((box, "x"), ()))
    assert list(found) == [(0,), (0, "row"), (0, "row", 1), (0, "row", 1, "a"), (0, "seen")], json.dumps([list(path) for path in found])

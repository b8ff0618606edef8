"""What passes between a judge and the process of an answer: numbers, words and tensors, and nothing that could run.

A message is a JSON object and some raw buffers. The judge believes nothing of what comes in: sizes are checked against
shapes, types are looked up in a list, classes are never made from what the other side says.
"""

import collections
import json
import math
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

LARGEST = 64 * 2**20  # bytes of a message
DEEPEST = 12  # objects inside of objects that are looked through
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
        torch.complex64,
        torch.complex128,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
        torch.int64,
        torch.bool,
    )
}
START = struct.Struct("<QQ")  # bytes of the JSON, bytes of all buffers


class Broken(Exception):
    """What came in is no message."""


class Message(NamedTuple):
    """One word of the conversation."""

    body: dict[str, Any]
    buffers: list[bytes] = []


def send(file: BinaryIO, message: Message) -> None:
    """Write a message.

    Raises:
        OSError: nobody listens any more.
    """
    file.write(framed(message))
    file.flush()


def framed(message: Message) -> bytes:
    """A message as bytes."""
    head = json.dumps(message.body | {"sizes": [len(buffer) for buffer in message.buffers]}).encode()
    return b"".join([START.pack(len(head), sum(map(len, message.buffers))), head, *message.buffers])


def receive(file: BinaryIO) -> Message | None:
    """The next message; None at the end.

    Raises:
        Broken: it is none, or too large.
    """
    start = exactly(file, START.size)
    if start is None:
        return None
    head_size, size = START.unpack(start)
    if head_size + size > LARGEST:
        raise Broken("too large")
    head, rest = exactly(file, head_size), exactly(file, size)
    if head is None or rest is None:
        raise Broken("cut off")
    try:
        body = json.loads(head)
        sizes = body.pop("sizes")
        if min(sizes, default=0) < 0 or sum(sizes) != size:
            raise Broken("sizes")
        ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
        return Message(dict(body), [rest[end - length : end] for end, length in zip(ends, sizes)])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Broken("not JSON") from None


def exactly(file: BinaryIO, size: int) -> bytes | None:
    """So many bytes; None if the end comes first."""
    found = bytearray()
    while len(found) < size:
        part = file.read(size - len(found))
        if not part:
            return None
        found += part
    return bytes(found)


# --- packing: done by the side that is not believed ---------------------------------------------------


class Packer:
    """Values as JSON and buffers.

    Attributes:
        buffers: the raw numbers.
        outputs: tensors that carry a graph, in the order in which they are numbered.
    """

    def __init__(self, inputs: list[Tensor], arrays: list[np.ndarray]) -> None:
        self.inputs = {id(tensor): number for number, tensor in enumerate(inputs)}
        self.arrays = {id(array): number for number, array in enumerate(arrays)}
        self.buffers: list[bytes] = []
        self.outputs: list[Tensor] = []

    def pack(self, value: Any, depth: int = 0) -> Any:
        """One value. What cannot be sent is named by its type alone."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, Tensor):
            return self.tensor(value)
        if isinstance(value, (np.ndarray, np.generic)):
            return self.array(value)
        if depth < DEEPEST and isinstance(value, (tuple, list)):
            fields = getattr(value, "_fields", None)
            kind = {"t": "list"} if isinstance(value, list) else {"t": "tuple"}
            if isinstance(value, tuple) and fields is not None:
                kind = {"t": "named", "module": type(value).__module__, "name": type(value).__qualname__, "fields": list(map(str, fields))}
            return kind | {"v": [self.pack(part, depth + 1) for part in value]}
        if depth < DEEPEST and isinstance(value, dict):
            return {"t": "dict", "v": [[self.pack(key, depth + 1), self.pack(part, depth + 1)] for key, part in value.items()]}
        name = type.__getattribute__(type(value), "__name__")
        return {"t": "object", "name": "function" if name in ("function", "builtin_function_or_method") else str(name)[:80]}

    def tensor(self, value: Tensor) -> Any:
        """A tensor: which input it is, or its numbers."""
        if id(value) in self.inputs:
            return {"t": "input", "i": self.inputs[id(value)]}
        name = str(value.dtype).removeprefix("torch.")
        if name not in DTYPES or value.layout is not torch.strided or value.device.type != "cpu":
            return {"t": "object", "name": f"Tensor ({name}, {value.layout}, {value.device})".replace("torch.", "")}
        packed = {"t": "tensor", "dtype": name, "shape": list(value.shape), "b": len(self.buffers)}
        self.buffers.append(raw(value))
        if value.requires_grad:
            packed |= {"out": len(self.outputs), "parameter": isinstance(value, torch.nn.Parameter)}
            self.outputs.append(value)
        return packed

    def array(self, value: np.ndarray | np.generic) -> Any:
        """An array or a number of numpy's."""
        if id(value) in self.arrays:
            return {"t": "array input", "i": self.arrays[id(value)]}
        if value.dtype.kind not in "biufc":
            return {"t": "object", "name": f"{type(value).__name__} of {value.dtype}"}
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        self.buffers.append(np.ascontiguousarray(value).tobytes())
        return {"t": kind, "dtype": value.dtype.str, "shape": list(value.shape), "b": len(self.buffers) - 1}


def raw(tensor: Tensor) -> bytes:
    """A tensor's numbers, in the order of its entries however it lies in memory."""
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.detach().reshape(-1))
    return flat.view(torch.uint8).numpy().tobytes()


# --- unpacking ------------------------------------------------------------------------------------------


def tensor_of(packed: dict[str, Any], buffers: list[bytes]) -> Tensor:
    """The numbers of a packed tensor, without a graph.

    Raises:
        Broken: shape and numbers do not fit.
    """
    try:
        dtype, shape, data = DTYPES[packed["dtype"]], sizes(packed["shape"]), buffers[index(packed["b"])]
    except (KeyError, IndexError, TypeError):
        raise Broken("a tensor") from None
    if math.prod(shape) * dtype.itemsize != len(data):
        raise Broken("a tensor's size")
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape) if data else torch.zeros(shape, dtype=dtype)


def array_of(packed: dict[str, Any], buffers: list[bytes]) -> np.ndarray:
    """The numbers of a packed array.

    Raises:
        Broken: shape and numbers do not fit.
    """
    try:
        dtype, shape, data = np.dtype(str(packed["dtype"])), sizes(packed["shape"]), buffers[index(packed["b"])]
    except (KeyError, IndexError, TypeError):
        raise Broken("an array") from None
    if dtype.kind not in "biufc" or math.prod(shape) * dtype.itemsize != len(data):
        raise Broken("an array's size")
    return np.frombuffer(bytearray(data), dtype=dtype).reshape(shape)


def sizes(shape: Any) -> tuple[int, ...]:
    """A shape that is one.

    Raises:
        Broken: it is none.
    """
    if not isinstance(shape, list) or len(shape) > 32 or not all(type(size) is int and 0 <= size < 2**40 for size in shape):
        raise Broken("a shape")
    return tuple(shape)


def index(number: Any) -> int:
    """A place in a list, counted from its start.

    Raises:
        Broken: it is none.
    """
    if type(number) is not int or number < 0:
        raise Broken("a number of a place")
    return number


class Unpacker:
    """Values out of what the other side packed.

    Args:
        tensor: makes a tensor of its packed form.
        known: a named tuple's class by module and name, or None.
    """

    def __init__(
        self,
        buffers: list[bytes],
        inputs: list[Tensor],
        arrays: list[np.ndarray],
        tensor: Callable[[dict[str, Any]], Tensor],
        known: Callable[[str, str], type | None],
    ) -> None:
        self.buffers, self.inputs, self.arrays, self.tensor, self.known = buffers, inputs, arrays, tensor, known

    def unpack(self, packed: Any) -> Any:
        """One value.

        Raises:
            Broken: it is none.
        """
        if packed is None or type(packed) in (bool, int, float, str):
            return packed
        try:
            match packed["t"]:
                case "input":
                    return self.inputs[index(packed["i"])]
                case "array input":
                    return self.arrays[index(packed["i"])]
                case "tensor":
                    return self.tensor(packed)
                case "array":
                    return array_of(packed, self.buffers)
                case "scalar":
                    return array_of(packed, self.buffers)[()]
                case "list":
                    return [self.unpack(part) for part in packed["v"]]
                case "tuple":
                    return tuple(self.unpack(part) for part in packed["v"])
                case "named":
                    return self.named(packed)
                case "dict":
                    return {self.unpack(key): self.unpack(part) for key, part in packed["v"]}
                case "object":
                    return stand_in(str(packed["name"]))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError):
            pass
        raise Broken("a value")

    def named(self, packed: dict[str, Any]) -> tuple:
        """A named tuple: of a class that is known here, or of one with the same fields."""
        parts = [self.unpack(part) for part in packed["v"]]
        fields = list(map(str, packed["fields"]))
        kind = self.known(str(packed["module"]), str(packed["name"]))
        if kind is None or list(kind._fields) != fields:
            kind = collections.namedtuple("Named", fields, rename=True)
            kind.__name__ = str(packed["name"]).split(".")[-1][:80]
        return kind._make(parts)


def stand_in(name: str) -> Any:
    """In place of what cannot be sent: a thing whose type has that name."""
    return (lambda: None) if name == "function" else type(name[:80] or "object", (), {})()


# --- what inputs consist of ------------------------------------------------------------------------------


def holders(value: Any, path: tuple = (), found: set[int] | None = None) -> Iterator[tuple[tuple, Any]]:
    """Every list, set, dict and plain object inside a value, with the way to it: the same on both sides, before anything is changed."""
    found = set() if found is None else found
    own = inside(value)
    if own is None or id(value) in found or len(path) > 2 * DEEPEST:
        return
    found.add(id(value))
    if not isinstance(value, tuple):
        yield path, value
    for key, part in own.items():
        if isinstance(key, (str, int)):
            yield from holders(part, (*path, key), found)


def inside(value: Any) -> dict[Any, Any] | None:
    """The parts of a container or an object by their names; None for what has none of interest."""
    if isinstance(value, (tuple, list)):
        return dict(enumerate(value))
    if isinstance(value, dict):
        return dict(value)
    if isinstance(value, set):
        return dict(enumerate(sorted(value, key=repr)))
    if isinstance(value, (Tensor, np.ndarray, type)) or type(value).__name__ in ("function", "module", "method"):
        return None
    return dict(vars(value)) if hasattr(value, "__dict__") else None

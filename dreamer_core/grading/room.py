"""The process in which an answer lives. It knows the agent, and neither the exercises nor their right answers.

Nothing of `dreamer_core.classroom` is ever imported here, but for the file of fences (`contain`), which is read by its
path. On Linux one warm process is forked for each answer; elsewhere each answer gets a new interpreter. Before a
line of the answer is read,

* the function that is asked for is emptied: whoever calls it, under whatever name, ends the process;
* a hook that cannot be taken off ends the process when it reads the course's files, imports its exercises, starts
  another process or opens a connection, and says so first;
* the process gives up the right to open files at all, where the system has such rights.

What goes out is numbers. They are right or not, and nothing here knows which.
"""

import builtins
import contextlib
import importlib
import importlib.util
import inspect
import io
import json
import linecache
import os
import pickle
import random
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NoReturn

import numpy as np
import torch
from torch import Tensor

from dreamer_core.grading import wire
from dreamer_core.grading.wire import Message, Packer
from dreamer_core.rssm import RSSM

PACKAGE = Path(__file__).resolve().parents[1]
OWN_ANSWER = "dreamer.own_answer"  # the audit event of an emptied function
ENDED = 77  # how a process ends that did what it must not
FORBIDDEN = {  # beginnings of audit events (https://docs.python.org/3/library/audit_events.html), and what they are called
    OWN_ANSWER: "reference",
    "ctypes.": "reaches past Python (`ctypes`)",
    "os.exec": "starts another program",
    "os.fork": "starts another process",
    "os.kill": "sends signals to processes",
    "os.posix_spawn": "starts another program",
    "os.spawn": "starts another program",
    "os.startfile": "starts another program",
    "os.system": "starts another program",
    "os.remove": "removes files",
    "os.rename": "renames files",
    "os.chmod": "changes files",
    "os.truncate": "changes files",
    "pty.": "starts another program",
    "resource.setrlimit": "changes the limits of its process",
    "resource.prlimit": "changes the limits of its process",
    "shutil.": "changes files",
    "signal.pthread_kill": "sends signals to processes",
    "socket.": "opens a connection",
    "subprocess.": "starts another program",
    "webbrowser.": "starts another program",
    "winreg.": "reads the system's settings",
}


def main(words: list[str]) -> NoReturn:
    """Run a room: `words` are a JSON object with the modules to know, and the number of the socket to be told on, if there is one."""
    asked = json.loads(words[0])
    for name in asked["modules"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    rehearse()
    if asked["socket"] is None:
        reading, writing = (os.fdopen(os.dup(number), mode, buffering=0) for number, mode in ((0, "rb"), (1, "wb")))
        serve(reading, writing)
    take_orders(socket.socket(fileno=asked["socket"]))


def rehearse() -> None:
    """Use what torch loads late, so that it is here when no file can be opened any more."""
    layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.GRUCell(2, 2))
    optimizer = torch.optim.Adam(layer.parameters())
    loss = layer(torch.ones(1, 2)).square().sum() + torch.einsum("ij,jk->ik", torch.ones(2, 2), torch.ones(2, 2)).sum()
    torch.autograd.grad(loss, list(layer.parameters()), retain_graph=True)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    normal = torch.distributions.Independent(torch.distributions.Normal(torch.zeros(2), torch.ones(2)), 1)
    torch.distributions.kl_divergence(normal, normal)
    normal.log_prob(normal.rsample())
    torch.func.vmap(torch.func.grad(lambda x: x.square().sum()))(torch.ones(2, 2))
    torch.linalg.solve(torch.eye(2), torch.ones(2))
    np.random.default_rng(0).normal(size=2)
    np.linalg.solve(np.eye(2), np.ones(2))
    repr(torch.ones(2)), repr(np.ones(2))


def take_orders(control: socket.socket) -> NoReturn:
    """The warm process: one child for each answer, until the judge is gone."""
    children: set[int] = set()
    while True:
        order, files, _, _ = socket.recv_fds(control, 1024, 1)
        if not order:
            break
        asked = json.loads(order)
        if "reap" in asked:
            child = asked["reap"]
            with contextlib.suppress(OSError):
                os.kill(child, 9)
            status = os.waitpid(child, 0)[1] if child in children else 0
            children.discard(child)
            control.sendall(json.dumps({"status": status}).encode())
            continue
        child = os.fork()
        if child == 0:
            control.close()
            both = os.fdopen(files[0], "r+b", buffering=0)
            serve(both, both)
        os.close(files[0])
        children.add(child)
        control.sendall(json.dumps({"child": child}).encode())
    for child in children:
        with contextlib.suppress(OSError):
            os.kill(child, 9)
    os._exit(0)


# --- before the answer is read --------------------------------------------------------------------------


def fences() -> ModuleType:
    """The classroom's fences, by their path: the package around them holds the answers."""
    spec = importlib.util.spec_from_file_location("fences", PACKAGE / "classroom" / "contain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def empty(target: str) -> None:
    """Take the code out of the function that the answer is to replace, so that nobody who knows it, under whatever name, can use it.

    Args:
        target: "module:function" or "module:Class.method".
    """
    module, path = target.split(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    function = inspect.unwrap(found)
    code = compile(f"def answer(*args, **kwargs):\n import sys\n sys.audit({OWN_ANSWER!r}, {target!r})", "<taken out>", "exec")
    function.__code__ = next(part for part in code.co_consts if inspect.iscode(part))
    function.__defaults__ = function.__kwdefaults__ = None


def close_doors(seconds: float) -> None:
    """No file can be opened from here on, where the system has such limits; those that are open stay open."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = int(2 * seconds) + 30  # should the judge be gone, and nothing else end it
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def watch(writing: int) -> None:
    """End the process when it does what it must not; the judge is told first. Nothing in Python takes this hook off."""
    package, skipped, classroom = str(PACKAGE), len(str(PACKAGE.parent)) + 1, "dreamer_core.classroom"
    forbidden, leave, write, framed = tuple(FORBIDDEN.items()), os._exit, os.write, wire.framed
    begins, absolute, plain, say = str.startswith, os.path.abspath, os.fsdecode, Message
    writes, is_a, word, number, words = os.O_WRONLY | os.O_RDWR, isinstance, str, int, (str, bytes)

    def end(what: str, detail: object) -> None:
        write(writing, framed(say({"kind": "forbidden", "what": what, "detail": detail[:200] if is_a(detail, word) else ""})))
        leave(ENDED)

    def hook(event: str, args: tuple) -> None:
        if event == "open":
            path, mode, flags = args
            if is_a(path, words) and begins(absolute(plain(path)), package):
                end("reads the course's own files", absolute(plain(path))[skipped:])
            if (is_a(mode, word) and ("w" in mode or "a" in mode or "x" in mode or "+" in mode)) or (
                is_a(flags, number) and flags & writes
            ):
                end("writes to a file", plain(path) if is_a(path, words) else "")
        elif event == "import":
            if begins(args[0], classroom):
                end("imports the course's own exercises", args[0])
        else:
            for beginning, what in forbidden:
                if begins(event, beginning):
                    end(what, args[0] if args else "")

    sys.addaudithook(hook)


def serve(reading: BinaryIO, writing: BinaryIO) -> NoReturn:
    """One answer, from its text to the last question about it."""
    try:
        order = wire.receive(reading)
        if order is not None:
            answer(order.body, reading, writing)
    except (OSError, wire.Broken):
        pass  # the judge is gone
    finally:
        os._exit(0)


def answer(asked: dict[str, Any], reading: BinaryIO, writing: BinaryIO) -> None:
    """Read an answer's text, and give what its function gives."""
    warnings.simplefilter("ignore")  # to show one, Python reads the file that it comes from
    contain = fences()
    contain.MEMORY = asked["memory"]
    contain.settle(asked["seconds"])
    for name in asked["imports"]:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for target in asked["empty"]:
        empty(target)
    if asked["plain_loop"]:
        RSSM.batched = False  # the batched way around a part is another way to the same numbers
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    file, source = asked["file"], asked["source"]
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    close_doors(asked["seconds"])
    watch(writing.fileno())
    wire.send(writing, Message({"kind": "ready"}))
    names = {"__name__": "__main__", "__builtins__": builtins}
    with contain.quiet() as printed:
        try:
            exec(compile(source, file, "exec"), names)
            function = names[asked["name"]]
        except BaseException as error:
            wire.send(writing, Message({"kind": "unread"} | what_happened(error, file)))
            return
    wire.send(writing, Message({"kind": "read", "printed": printed.getvalue()}))
    room = Room(contain, contain.contained(function), file)
    while (order := wire.receive(reading)) is not None:
        wire.send(writing, room.call(order) if order.body["do"] == "call" else room.slopes(order))


def what_happened(error: BaseException, file: str) -> dict[str, Any]:
    """An error as plain words, with the line of the answer's own text in which it arose."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError):
        line = error.lineno or 0
    try:
        words = str(error)[:1000]
    except BaseException:
        words = ""
    return {"error": type.__getattribute__(type(error), "__name__")[:80], "words": words, "line": line}


# --- one call ---------------------------------------------------------------------------------------------


class Loader(pickle.Unpickler):
    """The inputs of a call, whose tensors and arrays came beside them."""

    def __init__(self, blob: bytes, tensors: list[Tensor], arrays: list[np.ndarray]) -> None:
        super().__init__(io.BytesIO(blob))
        self.parts = {"tensor": tensors, "array": arrays}

    def persistent_load(self, pid: tuple[str, int]) -> Any:
        kind, number = pid
        return self.parts[kind][number]


class Room:
    """Calls of the answer's function, and the graphs they left."""

    def __init__(self, contain: ModuleType, function: Callable, file: str) -> None:
        self.contain, self.function, self.file = contain, function, file
        self.graphs: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
        self.calls = 0

    def call(self, order: Message) -> Message:
        """The function's result for these inputs, what became of the inputs, and what was printed."""
        body, buffers = order
        for number in body["drop"]:
            self.graphs.pop(number, None)
        leaves, tensors = [], []
        for packed in body["tensors"]:
            leaf = wire.tensor_of(packed, buffers).clone()
            if packed["parameter"]:
                leaf = torch.nn.Parameter(leaf, requires_grad=packed["grad"])
            leaf.requires_grad_(packed["grad"])
            leaves.append(leaf)
            with torch.enable_grad():
                tensors.append(leaf if packed["leaf"] or not packed["grad"] else leaf * 1)
        arrays = [wire.array_of(packed, buffers).copy() for packed in body["arrays"]]
        args, kwargs = Loader(buffers[body["blob"]], tensors, arrays).load()
        held = [(path, holder, wire.inside(holder)) for path, holder in wire.holders((args, kwargs))]
        before = [(tensor.detach().clone(), tensor._version, tensor.requires_grad) for tensor in tensors]
        kept = [array.copy() for array in arrays]
        packer = Packer(tensors, arrays)
        torch.set_rng_state(wire.tensor_of(body["chance"], buffers))
        said: dict[str, Any] = {"kind": "result", "call": self.calls}
        with self.contain.quiet() as printed, torch.set_grad_enabled(body["grad"]):
            try:
                result = self.function(*args, **kwargs)
                said["value"] = packer.pack(result)
            except BaseException as error:
                said |= {"kind": "raised"} | what_happened(error, self.file)
        chance = packer.tensor(torch.get_rng_state())
        changes = []
        for number, (tensor, (value, version, grad)) in enumerate(zip(tensors, before)):
            changed = value.shape != tensor.shape or value.dtype != tensor.dtype or wire.raw(tensor) != wire.raw(value)
            if changed or tensor._version != version or tensor.requires_grad != grad:
                how = {"written": tensor._version != version, "grad": tensor.requires_grad, "leaf": tensor.is_leaf}
                new = packer.tensor(tensor.detach().clone()) if changed or not tensor.is_leaf else None
                changes.append({"i": number, "new": new, "of": owner(tensor, tensors) if changed else None} | how)
        rows = [
            {"i": number, "new": packer.array(array.copy())}
            for number, (array, old) in enumerate(zip(arrays, kept))
            if array.tobytes() != old.tobytes()
        ]
        inner = [refilled(packer, path, holder, old) for path, holder, old in held if differs(holder, old)]
        self.graphs[self.calls] = (packer.outputs, leaves)
        self.calls += 1
        said |= {"printed": printed.getvalue(), "chance": chance, "changes": changes, "arrays": rows, "holders": inner}
        return Message(said, packer.buffers)

    def slopes(self, order: Message) -> Message:
        """Gradients of a call's results, in a mixture, to the inputs."""
        body, buffers = order
        outputs, leaves = self.graphs[body["call"]]
        given = [(output, wire.tensor_of(packed, buffers)) for output, packed in zip(outputs, body["slopes"]) if packed is not None]
        pairs = [(output, slope) for output, slope in given if output.grad_fn is not None]  # a view made without gradients has none
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        packer = Packer([], [])
        try:
            ends, weights = [end for end, _ in pairs], [weight for _, weight in pairs]
            found = torch.autograd.grad(ends, wanted, weights, allow_unused=True, retain_graph=True) if pairs and wanted else []
            back = iter(found)
            slopes = [packer.pack(next(back, None)) if leaf.requires_grad else None for leaf in leaves]
        except BaseException as error:
            return Message({"kind": "raised"} | what_happened(error, self.file))
        return Message({"kind": "slopes", "slopes": slopes}, packer.buffers)


def owner(tensor: Tensor, tensors: list[Tensor]) -> int | None:
    """Which other input's memory a tensor has now, if it is the whole of it."""
    place, shape = tensor.data_ptr(), tensor.shape
    return next((i for i, each in enumerate(tensors) if each is not tensor and each.data_ptr() == place and each.shape == shape), None)


def differs(holder: Any, old: dict[Any, Any]) -> bool:
    """Whether a list, dict or object holds other things than before."""
    now = wire.inside(holder)
    return now is None or list(now) != list(old) or any(now[key] is not old[key] and not same_word(now[key], old[key]) for key in now)


def same_word(a: Any, b: Any) -> bool:
    """Whether two plain values are equal."""
    return type(a) is type(b) and type(a) in (bool, int, float, str) and a == b


def refilled(packer: Packer, path: tuple, holder: Any, old: dict[Any, Any]) -> dict[str, Any]:
    """What a holder holds now; what it held before, and cannot be sent, is named as the same."""
    now = wire.inside(holder) or {}
    parts = [
        [key, {"t": "same"} if key in old and old[key] is part and not isinstance(part, Tensor) else packer.pack(part)]
        for key, part in now.items()
        if isinstance(key, (str, int))
    ]
    return {"path": list(path), "parts": parts}

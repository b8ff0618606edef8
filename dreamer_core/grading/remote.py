"""An answer in its room, as a function that the judge can call like any other.

A call sends the inputs and brings back the result, what became of the inputs, and the state of chance. Gradients go the
same way: the graph stays in the room, and each backward pass asks it once. Limits of time and memory are kept from
here, where the answer cannot reach them.
"""

import contextlib
import io
import json
import linecache
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cloudpickle
import numpy as np
import psutil
import torch
from torch import Tensor

from dreamer_core import classroom
from dreamer_core.classroom.contain import OutOfTime, cause
from dreamer_core.classroom.lesson import EXERCISES
from dreamer_core.classroom.spec import Exercise
from dreamer_core.grading import wire
from dreamer_core.grading.room import ENDED, FORBIDDEN, OWN_ANSWER
from dreamer_core.grading.wire import Broken, Message, Unpacker

ROOT = Path(classroom.__file__).resolve().parents[2]
LOOK = 0.25  # seconds between two looks at how much an answer has computed and holds
STARTING = 120  # seconds that a room may take to open on a busy machine
LONGER = 6  # times its seconds of computing may pass on the clock, on a machine that does other things as well
KNOWN = (  # what a room knows from its start; other modules are imported for the answers that ask for them
    "math",
    "functools",
    "itertools",
    "cloudpickle",
    "numpy",
    "torch",
    "torch.nn.functional",
    "dreamer_core.agent",
    "dreamer_core.imagine",
    "dreamer_core.world_model",
)
KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "HOME", "USERPROFILE")
TAMPERED = "It wrote to the files that belong to its check."
START = "import sys; sys.path[:] = {path!r}; from dreamer_core.grading.room import main; main({words!r})"


class Limits(NamedTuple):
    """What one answer may take."""

    seconds: float = 10.0
    """Of computing, over all calls together."""
    memory: int = 2**30
    """Bytes beyond what the process begins with."""


class Weight(NamedTuple):
    """What a process has computed and holds."""

    seconds: float
    memory: int
    """Bytes."""


class Ended(OutOfTime):
    """The process of an answer is gone, or had to go. `sentence` says why; `unfair` where it did what it must not."""

    def __init__(self, sentence: str, unfair: bool = False) -> None:
        super().__init__(sentence)
        self.sentence, self.unfair = sentence, unfair


class Unread(Exception):
    """The text of an answer could not be run. Its text is one sentence."""


# --- processes ---------------------------------------------------------------------------------------------


class Rooms:
    """Where answers are taken in: a warm process to fork from, or a new interpreter for each. Use as a context manager.

    Args:
        modules: what a room knows beside `KNOWN`; of itself, where the exercises' functions stand.
        warm: fork from a warm process; where there is no fork that torch survives (all systems but Linux), never.
    """

    def __init__(self, modules: tuple[str, ...] | None = None, warm: bool = True) -> None:
        places = {each.target.split(":")[0] for each in EXERCISES.values() if each.target}
        self.modules = [*KNOWN, *(sorted(places) if modules is None else modules)]
        self.control: socket.socket | None = None
        self.process: subprocess.Popen | None = None
        if warm and sys.platform == "linux":
            self.control, theirs = socket.socketpair()
            self.process = self.interpreter(theirs.fileno())
            theirs.close()

    def __enter__(self) -> "Rooms":
        return self

    def __exit__(self, *_: object) -> None:
        if self.control is not None and self.process is not None:
            self.control.close()
            self.process.kill()
            self.process.wait()

    def interpreter(self, number: int | None) -> subprocess.Popen:
        """A new python that knows the agent, told on the socket of this number, or on its standard input."""
        path = [str(ROOT), *(entry for entry in sys.path if entry and Path(entry).is_absolute())]
        words = [json.dumps({"modules": self.modules, "socket": number})]
        environment = {name: os.environ[name] for name in KEPT if name in os.environ} | {"OMP_NUM_THREADS": "1"}
        stream = subprocess.DEVNULL if number is not None else subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", START.format(path=path, words=words)],
            stdin=stream,
            stdout=stream,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            cwd=tempfile.gettempdir(),
            pass_fds=() if number is None else (number,),
        )

    @contextlib.contextmanager
    def started(self) -> Iterator["Process"]:
        """A process for one answer, gone at the end of the block.

        Raises:
            Ended: the warm process does not answer.
        """
        process = Forked(self) if self.control is not None else Started(self.interpreter(None))
        try:
            yield process
        finally:
            process.end()


class Process:
    """One answer's process, as the judge talks to it.

    Attributes:
        pid: its number.
        used: seconds of computing before this answer's.
    """

    pid: int

    def __init__(self, reading: BinaryIO, writing: BinaryIO) -> None:
        self.reading, self.writing = reading, writing
        self.heard: queue.SimpleQueue[Message | Broken | None] = queue.SimpleQueue()
        self.ended = False
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        """Take in what it says, until it says no more."""
        try:
            while (message := wire.receive(self.reading)) is not None:
                self.heard.put(message)
            self.heard.put(None)
        except Broken as broken:
            self.heard.put(broken)
        except (OSError, ValueError, MemoryError):
            self.heard.put(None)

    def say(self, message: Message) -> None:
        """Send it a message; if it is gone, what it said last tells why."""
        with contextlib.suppress(OSError, ValueError):
            wire.send(self.writing, message)

    def end(self) -> int | None:
        """End it; how it had ended if it had, as `os.wait` says it."""
        raise NotImplementedError

    def close(self) -> None:
        """Close what leads to it."""
        for file in {self.reading, self.writing}:
            with contextlib.suppress(OSError):
                file.close()


class Forked(Process):
    """A child of the warm process."""

    def __init__(self, rooms: Rooms) -> None:
        self.control = rooms.control
        ours, theirs = socket.socketpair()
        try:
            socket.send_fds(self.control, [b'{"fork": true}'], [theirs.fileno()])
            self.control.settimeout(STARTING)
            self.pid = json.loads(self.control.recv(1024))["child"]
        except (OSError, ValueError):
            raise Ended("no process could be made for it") from None
        finally:
            theirs.close()
        self.socket = ours
        super().__init__(ours.makefile("rb", buffering=0), ours.makefile("wb", buffering=0))

    def end(self) -> int | None:
        """Kill it, if it has not ended by itself."""
        if self.ended:
            return None
        self.ended = True
        gone = waits(lambda: psutil.Process(self.pid).status() == psutil.STATUS_ZOMBIE, 0.0)
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        try:
            self.control.sendall(json.dumps({"reap": self.pid}).encode())
            status = json.loads(self.control.recv(1024))["status"]
        except (OSError, ValueError):
            status = 0
        self.close()
        self.socket.close()
        return status if gone else None


class Started(Process):
    """A new interpreter."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.pid = process, process.pid
        super().__init__(process.stdout, process.stdin)

    def end(self) -> int | None:
        """Kill it, if it has not ended by itself."""
        if self.ended:
            return None
        self.ended = True
        code = self.process.poll()
        self.process.kill()
        self.process.wait()
        self.close()
        return None if code is None else -code if code < 0 else code << 8  # as os.wait puts it


def waits(what: Callable[[], bool], seconds: float) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + seconds
    while True:
        with contextlib.suppress(psutil.Error):
            if what():
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.01)


# --- an answer ---------------------------------------------------------------------------------------------


class Pickler(cloudpickle.Pickler):
    """Inputs without their tensors and arrays, which go beside them. What the exercises define goes with its code."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.tensors: list[Tensor] = []
        self.arrays: list[np.ndarray] = []
        self.numbers: dict[int, tuple[str, int]] = {}

    def persistent_id(self, obj: Any) -> tuple[str, int] | None:
        """Where a tensor or an array stands in its list."""
        if not isinstance(obj, (Tensor, np.ndarray)) or (isinstance(obj, np.ndarray) and obj.dtype.hasobject):
            return None
        kind, row = ("tensor", self.tensors) if isinstance(obj, Tensor) else ("array", self.arrays)
        if id(obj) not in self.numbers:
            self.numbers[id(obj)] = (kind, len(row))
            row.append(obj)
        return self.numbers[id(obj)]


class Slopes(torch.autograd.Function):
    """Ties the tensors that a call gave to those that it was given: the room knows what lies between."""

    @staticmethod
    def forward(ctx: Any, answer: "Answer", call: int, values: list[Tensor], smooth: list[bool], *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.answer, ctx.call, ctx.smooth = answer, call, smooth
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*(value for value, differentiable in zip(values, smooth) if not differentiable))
        weakref.finalize(ctx, answer.dropped.append, call)
        return tuple(values)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor | None) -> tuple[Tensor | None, ...]:
        found = ctx.answer.slopes(ctx.call, [slope for slope, smooth in zip(slopes, ctx.smooth) if smooth])
        return None, None, None, None, *found


class Answer:
    """A student's function, called in its room.

    Args:
        process: where it lives.
        exercise: which one it answers.
        source: the text that makes it.
        name: the function in it.
        imports: the modules it asks for.

    Attributes:
        printed: the first of what it printed.
        ended: why its process is gone, if it had to go.

    Raises:
        Unread: the text cannot be run.
        Ended: it did not end, or did what it must not, when it was run.
    """

    def __init__(self, process: Process, exercise: Exercise, source: str, name: str, limits: Limits, imports: tuple[str, ...] = ()) -> None:
        self.process, self.limits = process, limits
        self.file = f"<the answer to {exercise.id}>"
        self.source = source
        self.printed = ""
        self.dropped: list[int] = []
        self.undo: list[Callable[[], object]] = []
        self.start, self.waited = Weight(0.0, 0), 0.0
        self.ended: Ended | None = None
        linecache.cache[self.file] = (len(source), None, source.splitlines(keepends=True), self.file)
        order = {
            "source": source,
            "name": name,
            "file": self.file,
            "imports": list(imports),
            "empty": own_answers(exercise),
            "plain_loop": exercise.plain_loop,
            "memory": limits.memory,
            "seconds": limits.seconds,
        }
        process.say(Message(order))
        self.hear(STARTING)
        self.start = self.weight()
        said = self.hear().body
        if said.get("kind") == "unread":
            raise Unread(f"Its text stopped with {words_of(said)}{self.place(said)}.")
        self.note(said)
        self.function = self.as_function(name)

    def as_function(self, name: str) -> Callable:
        """The function to judge. Its code can be read, as a learner's own can, and is never run here."""

        def answer(*args: Any, **kwargs: Any) -> Any:
            return self.call(args, kwargs)

        with contextlib.suppress(SyntaxError, StopIteration, ValueError):
            code = compile(self.source, self.file, "exec")
            own = next(part for part in reversed(code.co_consts) if isinstance(part, types.CodeType) and part.co_name == name)
            answer.__wrapped__ = types.FunctionType(own, {}, name, closure=tuple(types.CellType() for _ in own.co_freevars))
        return answer

    def call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """One call.

        Raises:
            Ended: the process is gone, or had to go.
            Exception: of the kind, and with the words, that the function's own had.
        """
        file = io.BytesIO()
        with by_value():
            pickler = Pickler(file)
            pickler.dump((args, kwargs))
        tensors, arrays, buffers = pickler.tensors, pickler.arrays, [file.getvalue()]
        places = list(wire.holders((args, kwargs)))
        order = {
            "do": "call",
            "blob": 0,
            "grad": torch.is_grad_enabled(),
            "drop": [self.dropped.pop() for _ in list(self.dropped)],
            "tensors": [packed(tensor, buffers) for tensor in tensors],
            "arrays": [packed(array, buffers) for array in arrays],
            "chance": packed(torch.get_rng_state(), buffers),
        }
        self.process.say(Message(order, buffers))
        said = self.hear()
        try:
            return self.taken(said, tensors, arrays, dict(places))
        except (Broken, KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError):
            self.stop(TAMPERED, unfair=True)

    def taken(self, said: Message, tensors: list[Tensor], arrays: list[np.ndarray], places: dict[tuple, Any]) -> Any:
        """What a call gave, after its inputs were made what the function made of them.

        Raises:
            Broken: it is no answer to a call.
        """
        body, buffers = said
        self.note(body)
        if body["kind"] not in ("result", "raised"):
            raise Broken("another word")
        torch.set_rng_state(wire.tensor_of(body["chance"], buffers))
        values: list[Tensor] = []
        smooth: list[bool] = []

        def collected(part: dict[str, Any]) -> Tensor:
            """A tensor, whose graph is put before it in a second round."""
            if part.get("again") is None:
                values.append(wire.tensor_of(part, buffers))
                smooth.append("out" in part and values[-1].is_floating_point() and torch.is_grad_enabled())
                part["again"] = len(values) - 1
                return values[-1]
            return tied[part["again"]]

        first = Unpacker(buffers, tensors, arrays, collected, known)
        result = first.unpack(body.get("value"))
        if any(smooth) and any(tensor.requires_grad for tensor in tensors):
            tied = Slopes.apply(self, int(body["call"]), values, smooth, *tensors)
            result = first.unpack(body["value"])
        self.applied(body, buffers, tensors, arrays, places)
        if body["kind"] == "raised":
            self.throw(body)
        return result

    def applied(
        self, body: dict[str, Any], buffers: list[bytes], tensors: list[Tensor], arrays: list[np.ndarray], places: dict[tuple, Any]
    ) -> None:
        """Make of the inputs what the function made of its own; `restore` takes it back.

        Raises:
            Broken: it names what was no input.
        """
        plain = Unpacker(buffers, tensors, arrays, lambda part: new_tensor(part, buffers), known)
        for change in body["changes"]:
            tensor = tensors[wire.index(change["i"])]
            value, grad = tensor.detach().clone(), tensor.requires_grad
            self.undo.append(lambda tensor=tensor, value=value, grad=grad: put_back(tensor, value, grad))
            new = None if change["new"] is None else wire.tensor_of(change["new"], buffers)
            with torch.no_grad():
                if change["of"] is not None:
                    tensor.data = tensors[wire.index(change["of"])].data
                elif new is not None and (new.shape != tensor.shape or new.dtype != tensor.dtype):
                    tensor.data = new
                elif new is not None or change["written"]:
                    tensor.copy_(value if new is None else new)
            if new is not None and change["grad"] and not change["leaf"] and not tensor.requires_grad:
                with torch.enable_grad():
                    tensor.copy_(new.requires_grad_())  # it hangs on a graph now, and is no leaf any more
            if tensor.is_leaf and tensor.requires_grad != bool(change["grad"]):
                tensor.requires_grad_(bool(change["grad"]))
        for change in body["arrays"]:
            array, new = arrays[wire.index(change["i"])], wire.array_of(change["new"], buffers)
            if new.shape != array.shape:
                raise Broken("an array's shape")
            old = array.copy()
            self.undo.append(lambda array=array, old=old: array.__setitem__(..., old))
            array[...] = new
        for change in body["holders"]:
            holder = places[tuple(change["path"])]
            old = wire.inside(holder)
            now = {key: old[key] if part == {"t": "same"} else plain.unpack(part) for key, part in change["parts"]}
            self.undo.append(lambda holder=holder, old=old: refill(holder, old))
            refill(holder, now)

    def restore(self) -> None:
        """Make the inputs of all calls what they were: some belong to the exercise, and the next answer gets them too."""
        while self.undo:
            self.undo.pop()()

    def slopes(self, call: int, slopes: list[Tensor | None]) -> list[Tensor | None]:
        """Gradients to the inputs of a call.

        Raises:
            RuntimeError: there are none to be had.
            Ended: the process is gone, or had to go.
        """
        buffers: list[bytes] = []
        row = [None if slope is None else packed(slope, buffers) for slope in slopes]
        self.process.say(Message({"do": "slopes", "call": call, "slopes": row}, buffers))
        said = self.hear()
        if said.body["kind"] == "raised":
            raise RuntimeError(words_of(said.body))
        try:
            return [None if part is None else wire.tensor_of(part, said.buffers) for part in said.body["slopes"]]
        except (Broken, KeyError, TypeError):
            self.stop(TAMPERED, unfair=True)

    # --- what it takes, and how it ends

    def hear(self, patience: float = 0.0) -> Message:
        """Its next word.

        Args:
            patience: seconds it may take whatever it computes, before its text is read.

        Raises:
            Ended: it is gone, took too much, or did what it must not.
        """
        began = time.monotonic()
        while True:
            try:
                said = self.process.heard.get(timeout=LOOK)
                break
            except queue.Empty:
                waited = time.monotonic() - began
                if patience and waited > patience:
                    self.stop("Its process did not start in time: grade again when the machine has less to do.")
                if not patience:
                    self.weigh(self.waited + waited)
        self.waited += 0.0 if patience else time.monotonic() - began
        if isinstance(said, Message):
            if said.body.get("kind") == "forbidden":
                self.stop(forbidden(said.body), unfair=True)
            if self.waited > self.limits.seconds:
                self.weigh(self.waited)
            return said
        if isinstance(said, Broken):
            self.stop(TAMPERED, unfair=True)
        waits(lambda: psutil.Process(self.process.pid).status() == psutil.STATUS_ZOMBIE, 2.0)
        self.stop(*how_it_ended(self.process.end()))

    def weight(self) -> "Weight":
        """What its process has computed and holds; nothing where it is gone: the pipe will say so."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            times = process.cpu_times()
            return Weight(times.user + times.system, process.memory_info().rss)
        return Weight(0.0, 0)

    def weigh(self, waited: float) -> None:
        """Look at what it has computed and holds.

        Args:
            waited: seconds on the clock, over all calls.

        Raises:
            Ended: too much.
        """
        now, seconds = self.weight(), self.limits.seconds
        if now.seconds - self.start.seconds > seconds or waited > LONGER * seconds:
            self.stop(f"It was still running after {seconds:g} seconds, on a few small numbers: is there a loop that does not end?")
        if now.memory - self.start.memory > self.limits.memory:
            self.stop("It needed too much memory, on a few small numbers.")

    def stop(self, sentence: str, unfair: bool = False) -> None:
        """End the process.

        Raises:
            Ended: always.
        """
        self.process.end()
        self.ended = self.ended or Ended(sentence, unfair)
        raise self.ended

    def note(self, said: dict[str, Any]) -> None:
        """Keep the first of what it printed."""
        self.printed = (self.printed + str(said.get("printed", "")))[:1_000]

    def place(self, said: dict[str, Any]) -> str:
        """The line of its text in which an error arose, as a sentence goes on."""
        line = said.get("line")
        text = linecache.getline(self.file, line).strip() if type(line) is int and line > 0 else ""
        return f", in `{text[:120]}`" if text else ""

    def throw(self, said: dict[str, Any]) -> None:
        """Raise an error of the same name and words, from the line of the answer's text where it arose.

        Raises:
            Exception: always.
        """
        words = str(said["words"])
        if "Too many open files" in words:
            words = "no file can be opened while an answer is judged, and a module that comes late is a file too: import it at the top"
        error = type(str(said["error"])[:80], (Exception,), {})(words)
        line = said["line"] if type(said["line"]) is int and 0 < said["line"] <= self.source.count("\n") + 1 else 0
        exec(compile("\n" * (line - 1) + "raise error", self.file if line else "<elsewhere>", "exec"), {"error": error})


def own_answers(exercise: Exercise) -> list[str]:
    """Where the course's own answer stands in the agent, as "module:Class.method"."""
    reference = exercise.reference
    while hasattr(reference, "__wrapped__"):
        reference = reference.__wrapped__
    own = [] if reference.__module__.startswith(classroom.__name__) else [f"{reference.__module__}:{reference.__qualname__}"]
    return list(dict.fromkeys([*own, *([exercise.target] if exercise.target else [])]))


@contextlib.contextmanager
def by_value() -> Iterator[None]:
    """Inside, what modules of the classroom define is sent with its code: a room does not have them."""
    ours = [module for name, module in list(sys.modules.items()) if name.startswith(f"{classroom.__name__}.") and module is not None]
    for module in ours:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in ours:
            cloudpickle.unregister_pickle_by_value(module)


def packed(value: Tensor | np.ndarray, buffers: list[bytes]) -> dict[str, Any]:
    """A tensor or an array as the judge sends it."""
    if isinstance(value, np.ndarray):
        buffers.append(np.ascontiguousarray(value).tobytes())
        return {"dtype": value.dtype.str, "shape": list(value.shape), "b": len(buffers) - 1}
    buffers.append(wire.raw(value))
    kind = {"grad": value.requires_grad, "leaf": value.is_leaf, "parameter": isinstance(value, torch.nn.Parameter)}
    return {"dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape), "b": len(buffers) - 1} | kind


def known(module: str, name: str) -> type | None:
    """A named tuple of the course, by its name."""
    found: Any = sys.modules.get(module) if module.startswith("dreamer_core.") else None
    for part in name.split("."):
        found = vars(found).get(part) if isinstance(found, (types.ModuleType, type)) else None
    return found if isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields") else None


def new_tensor(part: dict[str, Any], buffers: list[bytes]) -> Tensor:
    """A tensor that a function put into one of its inputs."""
    value = wire.tensor_of(part, buffers)
    return torch.nn.Parameter(value) if part.get("parameter") and value.is_floating_point() else value


def put_back(tensor: Tensor, value: Tensor, grad: bool) -> None:
    """Give a tensor its numbers back."""
    if not tensor.is_leaf and not grad:
        tensor.detach_()
    tensor.data = value
    if tensor.is_leaf and tensor.is_floating_point():
        tensor.requires_grad_(grad)


def refill(holder: Any, parts: dict[Any, Any]) -> None:
    """Let a list, a set, a dict or an object hold this, and nothing else."""
    if isinstance(holder, list):
        holder[:] = list(parts.values())
        return
    if isinstance(holder, set):
        holder.clear()
        holder.update(parts.values())
        return
    own = holder if isinstance(holder, dict) else vars(holder)
    own.clear()
    own.update(parts)


def words_of(said: dict[str, Any]) -> str:
    """An error in one line."""
    lines = str(said.get("words", "")).strip().splitlines()
    name = str(said.get("error", "an error"))[:80]
    return f"{name}: {lines[0].rstrip('.')[:200]}" if lines else name


def forbidden(said: dict[str, Any]) -> str:
    """What an answer did that it must not, in a sentence."""
    what, detail = str(said.get("what", "")), str(said.get("detail", ""))
    if what == FORBIDDEN[OWN_ANSWER]:
        return f"It calls the course's own `{detail.replace(':', '.')}`, which is the answer itself."
    allowed = {*FORBIDDEN.values(), "reads the course's own files", "writes to a file", "imports the course's own exercises"}
    about = f" ({detail})" if "file" in what and detail else f" (`{detail}`)" if "imports" in what else ""
    return f"It {what if what in allowed else 'does what it must not'}{about}: an answer computes from its inputs, and nothing else."


def how_it_ended(status: int | None) -> tuple[str, bool]:
    """Why a process is gone, in a sentence about the answer, and whether it did what it must not."""
    if status is None or not hasattr(os, "WIFSIGNALED"):
        return "It ended the whole process in which it was checked.", False
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == getattr(signal, "SIGXCPU", None):
        return "It was still running when its time was up: is there a loop that does not end?", False
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) == ENDED:
        return "It did what it must not: an answer computes from its inputs, and nothing else.", True
    return cause(status), False

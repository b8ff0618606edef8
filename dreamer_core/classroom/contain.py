"""A learner's function may do anything to the process it runs in. Here it is kept from doing harm.

Three fences. After each call, whatever it may have changed in the process is put back (`kept`). A clock
ends what does not end by itself (`time_limit`). And where the system can, all of it runs in a child
process (`apart`), which a call that nothing else stops, `os._exit` or a crash in C ends alone.
"""

import builtins
import contextlib
import faulthandler
import gc
import io
import itertools
import locale
import math
import operator
import os
import pickle
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, Pipe
from types import FrameType
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np
import torch

Result = TypeVar("Result")

GRACE = 2.0  # seconds that a child may take to say that its time is up, before it is killed
MEMORY = 4 * 2**30  # bytes that a child may take beyond what it begins with
PRINTED = 1_000  # characters of the learner's own prints that are kept
SMALLEST = 5e-324  # below the smallest ordinary float: a processor that flushes such numbers makes 0 of it
CAUGHT = [getattr(signal, f"SIG{name}") for name in ("INT", "TERM", "ALRM", "HUP", "USR1", "USR2", "CHLD") if hasattr(signal, f"SIG{name}")]
AGAIN, SOONEST = 0.05, 0.0002  # seconds until the clock rings for the second time, and when it has rung many times
ROOM = os.path.dirname(__file__)


class OutOfTime(BaseException):
    """Not an Exception, so that a learner's `except Exception` lets it through."""


class Lost(Exception):
    """The child process ended without a word. `late` is true where it was killed because its time was up."""

    def __init__(self, sentence: str, late: bool = False) -> None:
        super().__init__(sentence)
        self.late = late


# --- what is put back -------------------------------------------------------------------------------


class Setting(NamedTuple):
    """Something of the process that a function can change."""

    name: str
    """In words, as it follows "changes"."""
    get: Callable[[], Any]
    put: Callable[[Any], object]


def handlers() -> dict[int, Any]:
    """What the signals do that a program may want to catch."""
    return {number: signal.getsignal(number) for number in CAUGHT}


def put_handlers(before: dict[int, Any]) -> None:
    """Only the main thread may, and only what was set from Python can be set again."""
    if threading.current_thread() is threading.main_thread():
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def put_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def put_builtins(before: dict[str, Any]) -> None:
    for name in vars(builtins).keys() - before.keys():
        delattr(builtins, name)
    vars(builtins).update(before)


SETTINGS = (
    Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Setting(
        "torch's default device",
        torch.get_default_device,
        lambda before: torch.set_default_device(None if before.type == "cpu" else before),
    ),
    Setting(
        "torch's anomaly mode",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda before: torch.autograd.set_detect_anomaly(*before),
    ),
    Setting("torch's deterministic mode", torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    Setting("how many threads torch uses", torch.get_num_threads, torch.set_num_threads),
    Setting("torch's precision of products", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    Setting("torch's autocast mode", lambda: torch.is_autocast_enabled("cpu"), lambda before: torch.set_autocast_enabled("cpu", before)),
    Setting("how the smallest floats are handled", lambda: SMALLEST * 1.0 == 0.0, torch.set_flush_denormal),
    Setting("numpy's handling of floating-point errors", np.geterr, lambda before: np.seterr(**before)),
    Setting("numpy's print options", np.get_printoptions, lambda before: np.set_printoptions(**before)),
    Setting("the working directory", os.getcwd, os.chdir),
    Setting("the environment variables", lambda: dict(os.environ), put_environment),
    Setting("the search path of modules", lambda: list(sys.path), lambda before: sys.path.__setitem__(slice(None), before)),
    Setting("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda before: locale.setlocale(locale.LC_ALL, before)),
    Setting("the signal handlers", handlers, put_handlers),
    Setting("the garbage collector", gc.isenabled, lambda before: gc.enable() if before else gc.disable()),
    Setting("the standard streams", lambda: (sys.stdin, sys.stdout, sys.stderr), lambda before: put_streams(*before)),
    Setting("python's own functions", lambda: dict(vars(builtins)), put_builtins),
    Setting("python's tracing", lambda: (sys.gettrace(), sys.getprofile()), lambda before: put_tracing(*before)),
)
CHANCE = (  # drawing a number changes these, as it may: they are put back after a whole check, not after each call
    Setting("python's random numbers", random.getstate, random.setstate),
    Setting("numpy's random numbers", np.random.get_state, np.random.set_state),
    Setting("torch's random numbers", torch.get_rng_state, torch.set_rng_state),
)


def put_streams(*before: Any) -> None:
    sys.stdin, sys.stdout, sys.stderr = before


def put_tracing(trace: Any, profile: Any) -> None:
    sys.settrace(trace)
    sys.setprofile(profile)


def same(one: Any, other: Any) -> bool:
    """Whether a setting is as it was. Its parts are compared by what they are, since some may be the learner's own objects."""
    if one is other:
        return True
    if type(one) is dict and type(other) is dict:
        if one.keys() == other.keys() and all(map(operator.is_, one.values(), other.values())):
            return True
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if type(one) in (tuple, list) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) in (str, int, float, bool, torch.device) and type(one) is type(other) and one == other


@contextlib.contextmanager
def kept(chance: bool = False) -> Iterator[list[str]]:
    """Puts back what the block changes in the process; gives a list of what that was, filled at the end.

    Args:
        chance: also put the random states back. Not after each call: whoever draws at random must draw other numbers next time.
    """
    limit, grad = sys.getrecursionlimit(), torch.is_grad_enabled()
    before = [(setting, setting.get()) for setting in SETTINGS]
    states = [(setting, setting.get()) for setting in CHANCE] if chance else []
    found: list[str] = []
    try:
        # Leaving the inference mode also ends what the block began and did not end.
        with warnings.catch_warnings(), torch.inference_mode(torch.is_inference_mode_enabled()), torch.set_grad_enabled(grad):
            try:
                yield found
            finally:
                sys.setrecursionlimit(limit)  # first, and without a call of ours: there may be no room for one
    finally:
        for setting, value in states:
            setting.put(value)
        for setting, value in before:
            with contextlib.suppress(Exception):  # a working directory that is gone, say: then the rest at least
                if not same(value, setting.get()):
                    setting.put(value)
                    found.append(setting.name)


def contained(function: Callable) -> Callable:
    """The function, after each call of which the process is as it was."""

    def call(*args: Any, **kwargs: Any) -> Any:
        with kept():
            return function(*args, **kwargs)

    call.__wrapped__ = function
    return call


# --- time -------------------------------------------------------------------------------------------


class Watch:
    """Seconds since it was made, less those for which a process was ready to run and the system gave it no core.

    So a machine that is busy with something else does not make an answer late, and one that sleeps for ever is late all the same.
    Where the system does not tell (it does on Linux), it is an ordinary watch.

    Args:
        process: the number of a process of this user; "self" is this one.
    """

    def __init__(self, process: int | str = "self") -> None:
        self.process = process
        self.begun, self.before = time.monotonic(), self.waited()

    def waited(self) -> float:
        """For how many seconds the process has waited for a core so far; 0 where that is not told."""
        try:
            with open(f"/proc/{self.process}/schedstat", encoding="ascii") as file:
                return int(file.read().split()[1]) / 1e9
        except (OSError, ValueError, IndexError):
            return 0.0

    def read(self) -> float:
        return time.monotonic() - self.begun - max(0.0, self.waited() - self.before)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime inside the block when its time is up (that of a `Watch`), and again until the block is left.

    Where the system cannot (on Windows, or outside the main thread), it does nothing: the learner interrupts the kernel.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    outside, trace = sys._getframe(2), sys.gettrace()  # the frame with the `with` in it
    rings, own = itertools.count(), Watch()
    up = False

    def ring(_: int, frame: FrameType | None) -> None:
        nonlocal up
        if not up and (left := seconds - own.read()) > SOONEST:
            signal.setitimer(signal.ITIMER_REAL, left, AGAIN)
            return
        up = True
        number = next(rings)
        if number and frame is not None and frame.f_code.co_filename.startswith(ROOM):
            return  # on its way out, through lines of ours that put things back
        while frame is not None and frame is not outside:
            frame.f_trace = stop
            frame = frame.f_back
        sys.settrace(watch)
        signal.setitimer(signal.ITIMER_REAL, pause := max(AGAIN / 2**number, SOONEST), pause)
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.settrace(trace)
        signal.signal(signal.SIGALRM, before)


def stop(frame: FrameType, event: str, arg: Any) -> None:
    """Traces a frame that is out of time: its next line raises, also the one inside a bare `except:` that has just swallowed a ring."""
    raise OutOfTime


def watch(frame: FrameType, event: str, arg: Any) -> None:
    """Traces no new frame; while it is set, frames with a trace of their own are traced."""


# --- a process of its own ---------------------------------------------------------------------------


def apart(steps: Callable[[], Iterator[Result]], seconds: float) -> Result:
    """The last thing that `steps` yields, all of it computed in a child process where there can be one.

    Elsewhere (Windows; macOS, whose libraries do not survive a fork; a thread that is not the main one; a machine
    whose accelerator torch has used) it is computed here.

    Args:
        seconds: how long each next thing may take by the child's own `Watch`; then the child is killed.

    Raises:
        Lost: the child ended before it yielded anything.
        Exception: whatever `steps` raises.
        KeyboardInterrupt: the learner stopped it.
    """
    if not hasattr(os, "fork") or sys.platform == "darwin" or threading.current_thread() is not threading.main_thread():
        return here(steps)
    reading, writing = Pipe(duplex=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a kernel has other threads: the child uses nothing of theirs
        child = os.fork()
    if child == 0:
        reading.close()
        serve(steps, writing, seconds)
    writing.close()
    said: list[Result] = []
    kind, value, status = "late", None, 0
    try:
        while (heard := hear(reading, seconds, child))[0] == "said":
            said.append(heard[1])
        kind, value = heard
    finally:
        reading.close()
        status = end(child, patience=GRACE if kind == "gone" else 0.0)
    if kind == "unable":
        return here(steps)
    if kind == "raised":
        raise value
    if not said:
        raise Lost(cause(status), kind == "late")
    return said[-1]


def here(steps: Callable[[], Iterator[Result]]) -> Result:
    """The same in this process."""
    with kept(chance=True):
        *_, last = steps()
    return last


def hear(reading: Connection, seconds: float, child: int) -> tuple[str, Any]:
    """The next word of a child: its kind and what comes with it; "late" if none comes in its time, "gone" if none can come any more."""
    own, left = Watch(child), seconds
    try:
        while left > 0:
            if reading.poll(max(left, AGAIN)):
                return reading.recv()
            left = seconds - own.read()
        return "late", None
    except Exception:  # it has closed the pipe, or written to it what is no word of ours
        return "gone", None


def end(child: int, patience: float) -> int:
    """How a child ended; it is killed if it has not after so many seconds."""
    until = time.monotonic() + patience
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        return os.waitpid(child, 0)[1]
    return 0


def cause(status: int) -> str:
    """Why a process ended that should not have, in a sentence about the learner's function."""
    if not os.WIFSIGNALED(status):
        return "Your function ended the whole process in which it was checked (`os._exit`?), or closed the files that belong to it."
    number = os.WTERMSIG(status)
    if number == signal.SIGKILL:
        return "The process in which your function was checked was killed: did it need too much memory?"
    return f"Your function crashed the process in which it was checked ({signal.Signals(number).name}): no Python code does that by itself."


def serve(steps: Callable[[], Iterator[Any]], writing: Connection, seconds: float) -> NoReturn:
    """The child: say what `steps` yields, then end, whatever happens."""
    own = os.getpid()

    def say(kind: str, value: Any = None) -> None:
        if os.getpid() == own:  # a process that the learner's function forked is not to answer as well
            writing.send((kind, value))

    try:
        settle(seconds)
        if not gradients_work():
            say("unable")
        else:
            for value in steps():
                say("said", value)
            say("end")
    except BaseException as error:
        with contextlib.suppress(BaseException):
            say("raised", portable(error))
    finally:
        os._exit(0)


def gradients_work() -> bool:
    """Whether torch can differentiate here: once it has used an accelerator, it cannot in a child."""
    try:
        torch.ones(1, requires_grad=True).sum().backward()
    except RuntimeError:
        return False
    return True


def portable(error: BaseException) -> BaseException:
    """The error, or one that says the same if it cannot be sent to another process."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(type(error).__name__)


def settle(seconds: float) -> None:
    """Make a process that was just forked a quiet and bounded one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # its parent is interrupted as well, and ends it
    torch.set_num_threads(1)  # the parent's other threads are not here
    gc.freeze()  # what the parent made is the parent's to clean up
    faulthandler.disable()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        limit = math.ceil(10 * seconds) + 60  # should the parent be gone, and nothing else end it
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        with open("/proc/self/statm", encoding="ascii") as file:
            size = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")  # if memory runs out all the same, this process goes, not the notebook


class Printed(io.StringIO):
    """Keeps the first characters that are printed and drops the rest; cannot be closed."""

    def write(self, text: str) -> int:
        room = PRINTED - self.tell()
        super().write(str(text)[: max(room, 0)])
        return len(text)

    def close(self) -> None:
        """It is nobody's to close."""


def no_input(*_: Any) -> str:
    """In place of `input`.

    Raises:
        EOFError: always.
    """
    raise EOFError("input() has nobody to ask while a function is checked")


@contextlib.contextmanager
def quiet() -> Iterator[Printed]:
    """Keeps what the block prints, and answers no `input`."""
    printed, asks = Printed(), builtins.input
    builtins.input = no_input
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield printed
    finally:
        builtins.input = asks

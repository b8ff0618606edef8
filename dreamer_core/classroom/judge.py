"""Is this function right, and if not, what is the mistake?

The learner's function may return nothing or garbage, change its inputs, print, crash or never
come back. None of this may reach the learner as a traceback of ours: every call goes through
`guarded`, and what was wrong comes out as one sentence.
"""

import contextlib
import copy
import inspect
import io
import linecache
import numbers
import signal
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core.classroom.spec import Exercise, Observations

SECONDS = 20  # a check takes a fifth of a second: whatever runs for this long will not end
ROUNDING = dict(rtol=1e-4, atol=1e-5, equal_nan=True)  # how far apart two equal numbers may be
PRINTED = 1_000  # characters of the learner's own prints that are shown


class Verdict(NamedTuple):
    """What came of an attempt."""

    right: bool
    message: str = ""
    """One or two sentences on what is wrong; empty if nothing is."""
    mistake: str = ""
    """The name of the mistake, if it has one."""
    printed: str = ""
    """What the function printed while it was checked."""
    stopped: str = ""
    """The error it stopped with and the line, if it stopped with one."""


class Complaint(Exception):
    """What a call did wrong. `kind` tells two complaints apart without their wording; `stopped` is as in `Verdict`."""

    def __init__(self, sentence: str, *kind: Any, stopped: str = "") -> None:
        super().__init__(sentence)
        self.kind, self.stopped = kind, stopped


class OutOfTime(BaseException):
    """Not an Exception, so that a learner's `except Exception` lets it through."""


class CourseFault(Exception):
    """The check itself is broken. Never the learner's fault."""


def judge(exercise: Exercise, function: Callable) -> Verdict:
    """Observe the function, compare with the truth, and name the mistake if there is one.

    Raises:
        CourseFault: not even the reference gets through the check.
        KeyboardInterrupt: the learner stopped it.
    """
    printed = Printed()
    try:
        with contextlib.redirect_stdout(printed), time_limit(SECONDS):
            seen = outcome(exercise, function)
    except OutOfTime:
        message = f"Your function was still running after {SECONDS} seconds, on a few small numbers: is there a loop that does not end?"
        return Verdict(False, message, printed=printed.getvalue())
    try:
        with torch.random.fork_rng(devices=[]):
            truth = exercise.expected()
        difference = str(seen) if isinstance(seen, Complaint) else first_difference(seen, truth)
        if not difference:
            return Verdict(True, printed=printed.getvalue())
        reference = outcome(exercise, exercise.reference)
        if isinstance(reference, Complaint) or first_difference(reference, truth):
            raise CourseFault(f"the check of {exercise.id} does not accept the course's own answer")
        stopped, shown = (seen.stopped, "") if isinstance(seen, Complaint) else ("", f" {difference}")
        for mistake in exercise.mistakes:
            if alike(seen, outcome(exercise, mistake.wrong)):
                return Verdict(False, f"{mistake.message}{shown}", mistake.name, printed.getvalue(), stopped)
    except CourseFault:
        raise
    except Exception as error:
        raise CourseFault(f"the check of {exercise.id} broke: {type(error).__name__}: {error}") from None
    return Verdict(False, difference, printed=printed.getvalue(), stopped=stopped)


def outcome(exercise: Exercise, function: Callable) -> Observations | Complaint:
    """What the exercise observes of this function, always with the same random numbers; or what a call did wrong."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        try:
            return exercise.observe(guarded(exercise, function))
        except Complaint as complaint:
            return complaint
        except Exception as error:  # its result passed the guard, and yet could not be used
            return Complaint(f"What your function returned could not be used further: {one_line(error)}.", "unusable", one_line(error))


def guarded(exercise: Exercise, function: Callable) -> Callable:
    """The function, with each call held against the form (not the values) of the reference's result."""

    def call(*args, **kwargs):
        before, scratch = fresh((args, kwargs)), fresh((args, kwargs))
        try:
            result = function(*args, **kwargs)
        except (KeyboardInterrupt, OutOfTime):
            raise
        except BaseException as error:  # SystemExit too
            stopped = crash(error, function)
            sentence = f"Your function stopped with {stopped}. It was given {given(exercise, function, args)}."
            raise Complaint(sentence, "crash", type(error), str(error), stopped=stopped) from None
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(io.StringIO()):
            wanted = exercise.reference(*scratch[0], **scratch[1])
        wrong = misfit(result, wanted, "Your function returned")
        if wrong:
            raise Complaint(f"{wrong} It was given {given(exercise, function, args)}.", "form", wrong)
        if not exercise.inplace:
            names = [*argument_names(exercise, args), *kwargs]
            for name, now, then in zip(names, [*args, *kwargs.values()], [*before[0], *before[1].values()]):
                if changed(now, then):
                    raise Complaint(
                        f"Your function changed its input `{name}` in place. Others still need it: make a new one instead "
                        f"(`x = x + 1`, not `x += 1` or `x[0] = 1`).",
                        "changed",
                        name,
                    )
        return result

    return call


def changed(now: Any, then: Any) -> bool:
    """Whether tensors or arrays were changed, also inside lists, tuples and dicts."""
    if isinstance(now, dict):
        return now.keys() != then.keys() or any(changed(now[key], then[key]) for key in now)
    if isinstance(now, (list, tuple)):
        return len(now) != len(then) or any(map(changed, now, then))
    if isinstance(now, (Tensor, np.ndarray)) or isinstance(then, (Tensor, np.ndarray)):
        return not equal(now, then)
    return False


def fresh(value: Any) -> Any:
    """A copy that shares nothing with the original: tensors become leaves, containers and modules are copied."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, tuple):
        parts = [fresh(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, list):
        return [fresh(part) for part in value]
    if isinstance(value, dict):
        return {key: fresh(part) for key, part in value.items()}
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


# --- form: types and shapes -------------------------------------------------------------------


def misfit(result: Any, wanted: Any, subject: str) -> str:
    """One sentence on how the form of a result differs from the wanted one, or nothing."""
    if wanted is None:  # a number in its place is compared as a value: "yours is -1, it should be None" says more
        return "" if result is None or isinstance(result, numbers.Real) else f"{subject} {form(result)}, where nothing is to be returned."
    if result is None:
        return f"{subject} None, where {form(wanted)} is expected. Is there a `return` at its end?"
    if isinstance(wanted, Tensor):
        return misfit_tensor(result, wanted, subject)
    if isinstance(wanted, np.ndarray):
        if not isinstance(result, np.ndarray) or result.shape != wanted.shape:
            return f"{subject} {form(result)}, where {form(wanted)} is expected."
        return ""
    if isinstance(wanted, (bool, np.bool_)):
        return "" if isinstance(result, (bool, np.bool_)) else f"{subject} {form(result)}, where True or False is expected."
    if isinstance(wanted, numbers.Real):
        if not isinstance(result, numbers.Real) or isinstance(result, bool):
            return f"{subject} {form(result)}, where a number is expected."
        return "" if np.isfinite(result) or not np.isfinite(wanted) else f"{subject} {result}, which is not a number one can go on with."
    if isinstance(wanted, (tuple, list)):
        if hasattr(wanted, "_fields") and not hasattr(result, "_fields"):
            return f"{subject} {form(result)}, where {type(wanted).__name__}({', '.join(wanted._fields)}) is expected."
        if not isinstance(result, (tuple, list)) or len(result) != len(wanted):
            return f"{subject} {form(result)}, where {form(wanted)} is expected."
        names = getattr(wanted, "_fields", [f"{number} of {len(wanted)}" for number in range(1, len(wanted) + 1)])
        found = (misfit(a, b, f"{subject}, as part {name},") for name, a, b in zip(names, result, wanted))
        return next(filter(None, found), "")
    if isinstance(wanted, dict):
        if not isinstance(result, dict) or result.keys() != wanted.keys():
            found = f"a dict with {', '.join(map(str, result)) or 'nothing in it'}" if isinstance(result, dict) else form(result)
            return f"{subject} {found}, where a dict with {', '.join(map(str, wanted))} is expected."
        return next(filter(None, (misfit(result[key], wanted[key], f"{subject}, under {key!r},") for key in wanted)), "")
    return "" if isinstance(result, type(wanted)) else f"{subject} {form(result)}, where {form(wanted)} is expected."


def misfit_tensor(result: Any, wanted: Tensor, subject: str) -> str:
    """The same for a tensor."""
    if not isinstance(result, Tensor) or result.shape != wanted.shape:
        return f"{subject} {form(result)}, where {form(wanted)} is expected."
    if result.dtype != wanted.dtype:
        return f"{subject} numbers of type {short(result.dtype)}, where {short(wanted.dtype)} is expected."
    if wanted.is_floating_point() and not bool(result.isfinite().all()) and bool(wanted.isfinite().all()):
        bad = "NaN" if bool(result.isnan().any()) else "an infinite number"
        return f"{subject} {bad} where the answer is finite. A logarithm of 0 or less, or a division by 0?"
    return ""


def form(value: Any) -> str:
    """What kind of thing a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, types.FunctionType):
        return "a function"
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"


def short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# --- values -----------------------------------------------------------------------------------


def equal(a: Any, b: Any) -> bool:
    """Equal up to rounding, all the way down."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape:
            return False
        return bool(torch.allclose(a.detach().double(), b.detach().double(), **ROUNDING))
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, (bool, np.bool_, str)) or isinstance(b, (bool, np.bool_, str)):
        return type(a) is type(b) and bool(a == b)
    if isinstance(a, (numbers.Real, np.ndarray, Tensor)) and isinstance(b, (numbers.Real, np.ndarray, Tensor)):
        a, b = (np.asarray(x.detach() if isinstance(x, Tensor) else x, float) for x in (a, b))
        return a.shape == b.shape and bool(np.allclose(a, b, **ROUNDING))
    return a is b or bool(a == b)


def alike(a: Observations | Complaint, b: Observations | Complaint) -> bool:
    """Whether two functions behaved in the same way."""
    if isinstance(a, Complaint) or isinstance(b, Complaint):
        return isinstance(a, Complaint) and isinstance(b, Complaint) and a.kind == b.kind
    return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)


def first_difference(seen: Observations, truth: Observations) -> str:
    """One sentence with the first number that is not as it should be, or nothing.

    Raises:
        CourseFault: what was observed and what is known do not go by the same names.
    """
    if seen.keys() != truth.keys():
        raise CourseFault(f"observed {list(seen)}, but the truth names {list(truth)}")
    for name, value in seen.items():
        wanted = truth[name]
        if equal(value, wanted):
            continue
        where = ""
        if isinstance(value, Tensor) and isinstance(wanted, Tensor) and value.shape == wanted.shape and value.dim():
            wrong = ~torch.isclose(value.detach().double(), wanted.detach().double(), **ROUNDING)
            index = tuple(wrong.nonzero()[0].tolist())
            where = f", entry {index[0] if len(index) == 1 else index}"
            value, wanted = value[index], wanted[index]
        return f"Look at {name}{where}: yours is {plain(value)}, it should be {plain(wanted)}."
    return ""


def plain(value: Any) -> str:
    """A value as one reads it aloud."""
    if isinstance(value, Tensor):
        value = value.detach().tolist()
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(plain, value))})"
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


# --- words about a call -----------------------------------------------------------------------


def argument_names(exercise: Exercise, args: tuple) -> list[str]:
    """The reference's names for these positional arguments."""
    names = list(inspect.signature(exercise.reference).parameters)
    return (names + [f"argument {number}" for number in range(len(names), len(args))])[: len(args)]


def given(exercise: Exercise, function: Callable, args: tuple) -> str:
    """The inputs of a call, with shapes. Where the reference says `self`, the learner's own name for it."""
    told, own = [], getattr(getattr(function, "__code__", None), "co_varnames", ())
    for name, value in zip(argument_names(exercise, args), args):
        name = own[0] if name == "self" and own else name
        if isinstance(value, Tensor):
            told.append(f"{name} {tuple(value.shape)}")
        elif isinstance(value, (bool, int, float, str)):
            told.append(f"{name} = {value!r}")
        else:
            told.append(f"{name}, {form(value)}")
    return "; ".join(told) or "nothing"


def crash(error: BaseException, function: Callable) -> str:
    """The error, and where it happened in the learner's own frame."""
    line, code = "", getattr(function, "__code__", None)
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if code is not None and frame.f_code.co_filename == code.co_filename:
            text = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            line = f", in `{text}`" if text else f", in line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{one_line(error)}{line}"


def one_line(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = str(error).strip().splitlines()
    except Exception:
        text = []
    return f"{type(error).__name__}: {text[0].rstrip('.')[:200]}" if text else type(error).__name__


class Printed(io.StringIO):
    """Keeps the first characters that are printed and drops the rest."""

    def write(self, text: str) -> int:
        room = PRINTED - self.tell()
        super().write(str(text)[: max(room, 0)])
        return len(text)


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OutOfTime inside the block when time is up, where the system can (on Windows the learner interrupts the kernel)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(*_):
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

"""One call of a learner's function: what was wrong with it, and the words to say so.

The function may return nothing or garbage, change its inputs, or crash. Whatever it does becomes a
`Complaint` with one sentence, never a traceback of ours.
"""

import contextlib
import copy
import functools
import inspect
import io
import itertools
import linecache
import numbers
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dreamer_core.classroom.contain import OutOfTime
from dreamer_core.classroom.spec import Exercise, argument_names

ROUNDING = dict(rtol=1e-4, atol=1e-5, equal_nan=True)  # how far apart two equal numbers may be


class Complaint(Exception):
    """What a call did wrong. `kind` tells two complaints apart without their wording; `stopped` is as in `Verdict`."""

    def __init__(self, sentence: str, *kind: Any, stopped: str = "") -> None:
        super().__init__(sentence)
        self.kind, self.stopped = kind, stopped
        self.shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # of the result and of the right one, where these differ


def guarded(exercise: Exercise, function: Callable, finite: bool = True) -> Callable:
    """The function, with each call held against the form (not the values) of the reference's result.

    A call raises a `Complaint` if it stops, returns something of another form, or changes what it was given.

    Args:
        finite: whether NaN and infinity, where the reference is finite, are a matter of form; if not, they are wrong values.
    """
    number = itertools.count(1)  # so that the same slip at the first call and at the fourth are told apart

    def call(*args, **kwargs):
        this = next(number)
        values = [*args, *kwargs.values()]
        scratch, before = fresh((args, kwargs)), [state(value) for value in values]
        try:
            result = function(*args, **kwargs)
        except (KeyboardInterrupt, OutOfTime):
            raise
        except BaseException as error:  # SystemExit too
            stopped = crash(error, function)
            sentence = f"{reading(error) or f'Your function stopped with {stopped}.'} It was given {given(exercise, function, args)}."
            raise Complaint(sentence, this, "crash", type(error).__name__, str(error), stopped=stopped) from None
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(io.StringIO()):
            try:
                wanted = exercise.reference(*scratch[0], **scratch[1])
            except ValueError as error:
                sentence = f"Your function returned {form(result)}, where a {type(error).__name__} is to be raised: {one_line(error)}."
                raise Complaint(sentence, this, "not raised") from None
        # Where None is an answer as good as another, a wrong None is a wrong value, not a forgotten `return`.
        may_be_none = "None" in str(inspect.signature(exercise.reference).return_annotation) and wanted is not None
        wrong = "" if result is None and may_be_none else misfit(result, wanted, "Your function returned", finite)
        if wrong:
            complaint = Complaint(f"{wrong} It was given {given(exercise, function, args)}.", this, "form", wrong)
            complaint.shapes = other_shapes(result, wanted)
            raise complaint
        if not exercise.inplace:
            names = [*argument_names(exercise, args), *kwargs]
            for name, value, then in zip(names, values, before):
                if what := changed(state(value), then):
                    raise Complaint(CHANGES[what].format(name), this, what, name)
        return result

    return call


CHANGES = {
    "changed": "Your function changed its input `{}` in place. Others still need it: make a new one instead "
    "(`x = x + 1`, not `x += 1` or `x[0] = 1`).",
    "written": "Your function wrote to its input `{}` in place, even if the numbers came back the same. Others still need it: "
    "make a new one instead.",
    "requires_grad": "Your function changed whether its input `{}` carries a gradient (`detach_`, `requires_grad_`), so whoever uses it "
    "next learns nothing, or too much. Make a new tensor instead: `x.detach()`, without the underscore.",
    "mode": "Your function switched its input `{}` between training and evaluation (`train()`, `eval()`). Leave it as it was.",
}


class Snapshot(NamedTuple):
    """What a tensor was at a moment."""

    value: Tensor
    version: int
    """Rises with every change in place, also with one that keeps the numbers."""
    requires_grad: bool


def state(value: Any, depth: int = 4) -> Any:
    """What must not change of a value: its tensors and arrays, also inside containers, modules and plain objects."""
    if isinstance(value, Tensor):
        return Snapshot(value.detach().clone(), -1 if value.is_inference() else value._version, value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, nn.Module):
        tensors = {name: state(part) for name, part in value.state_dict(keep_vars=True).items()}
        return tensors | {"mode": [module.training for module in value.modules()]}
    if depth == 0 or isinstance(value, (str, bytes, type, types.FunctionType, types.ModuleType)):
        return None
    if isinstance(value, dict):
        return {key: state(part, depth - 1) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [state(part, depth - 1) for part in value]
    own = vars(value) if hasattr(value, "__dict__") else {}  # its lists and counters are its own affair: it may keep a record of the calls
    return {key: state(part, depth - 1) for key, part in own.items() if not isinstance(part, (dict, list, tuple))}


def changed(now: Any, then: Any) -> str:
    """Which kind of change lies between two states, a key of CHANGES, or nothing."""
    if isinstance(now, Snapshot) and isinstance(then, Snapshot):
        if not equal(now.value, then.value):
            return "changed"
        return "written" if now.version != then.version else "requires_grad" if now.requires_grad != then.requires_grad else ""
    if isinstance(now, dict) and isinstance(then, dict):
        if now.keys() != then.keys():
            return "changed"
        return next(filter(None, ("mode" if key == "mode" and now[key] != then[key] else changed(now[key], then[key]) for key in now)), "")
    if isinstance(now, list) and isinstance(then, list):
        return "changed" if len(now) != len(then) else next(filter(None, map(changed, now, then)), "")
    if isinstance(now, np.ndarray) or isinstance(then, np.ndarray):
        return "" if equal(now, then) else "changed"
    return "changed" if type(now) is not type(then) else ""


def other_shapes(result: Any, wanted: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The first shape of a result that is not the wanted one, with the wanted one."""
    if isinstance(result, (Tensor, np.ndarray)) and isinstance(wanted, (Tensor, np.ndarray)):
        return (tuple(result.shape), tuple(wanted.shape)) if result.shape != wanted.shape else None
    if isinstance(result, (list, tuple)) and isinstance(wanted, (list, tuple)):
        return next(filter(None, map(other_shapes, result, wanted)), None)
    if isinstance(result, dict) and isinstance(wanted, dict):
        return next(filter(None, (other_shapes(result[key], wanted[key]) for key in result.keys() & wanted.keys())), None)
    return None


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


def reading(error: BaseException) -> str:
    """What an error of torch means here, if that is not what it says."""
    text = str(error)
    if "a leaf Variable that requires grad is being used in an in-place operation" in text:
        return CHANGES["changed"].format("x").replace("its input `x`", "an input")
    if "modified by an inplace operation" in text:
        return "Your function changes a tensor in place that the gradient still needs: make a new one instead."
    return ""


# --- form: types and shapes -------------------------------------------------------------------


def misfit(result: Any, wanted: Any, subject: str, finite: bool = True) -> str:
    """One sentence on how the form of a result differs from the wanted one, or nothing."""
    if wanted is None:  # a number in its place is compared as a value: "yours is -1, it should be None" says more
        return "" if result is None or isinstance(result, numbers.Real) else f"{subject} {form(result)}, where nothing is to be returned."
    if result is None:
        return f"{subject} None, where {form(wanted)} is expected. Is there a `return` at its end?"
    if isinstance(wanted, Tensor):
        return misfit_tensor(result, wanted, subject, finite)
    if isinstance(wanted, np.ndarray):
        fits = isinstance(result, np.ndarray) or (wanted.ndim == 0 and isinstance(result, numbers.Real))
        if not fits or np.shape(result) != wanted.shape:
            return f"{subject} {form(result)}, where {form(wanted)} is expected."
        if finite and np.issubdtype(wanted.dtype, np.floating) and np.isfinite(wanted).all() and not np.isfinite(result).all():
            return f"{subject} {'NaN' if np.isnan(result).any() else 'an infinite number'} where the answer is finite."
        return ""
    if isinstance(result, (np.ndarray, Tensor)) and result.ndim == 0:  # np.where of two numbers, say
        result = result.item()
    if isinstance(wanted, (bool, np.bool_)):
        return "" if isinstance(result, (bool, np.bool_)) else f"{subject} {form(result)}, where True or False is expected."
    if isinstance(wanted, numbers.Real):
        if not isinstance(result, numbers.Real) or isinstance(result, bool):
            return f"{subject} {form(result)}, where a number is expected."
        fine = not finite or np.isfinite(result) or not np.isfinite(wanted)
        return "" if fine else f"{subject} {result}, which is not a number one can go on with."
    if isinstance(wanted, (tuple, list)):
        if hasattr(wanted, "_fields") and not hasattr(result, "_fields"):
            return f"{subject} {form(result)}, where {type(wanted).__name__}({', '.join(wanted._fields)}) is expected."
        if not isinstance(result, (tuple, list)) or len(result) != len(wanted):
            return f"{subject} {form(result)}, where {form(wanted)} is expected."
        names = getattr(wanted, "_fields", [f"{number} of {len(wanted)}" for number in range(1, len(wanted) + 1)])
        found = (misfit(a, b, f"{subject}, as part {name},", finite) for name, a, b in zip(names, result, wanted))
        return next(filter(None, found), "")
    if isinstance(wanted, dict):
        if not isinstance(result, dict) or result.keys() != wanted.keys():
            found = f"a dict with {', '.join(map(str, result)) or 'nothing in it'}" if isinstance(result, dict) else form(result)
            return f"{subject} {found}, where a dict with {', '.join(map(str, wanted))} is expected."
        return next(filter(None, (misfit(result[key], wanted[key], f"{subject}, under {key!r},", finite) for key in wanted)), "")
    return "" if isinstance(result, type(wanted)) else f"{subject} {form(result)}, where {form(wanted)} is expected."


def misfit_tensor(result: Any, wanted: Tensor, subject: str, finite: bool = True) -> str:
    """The same for a tensor."""
    if not isinstance(result, Tensor) or result.shape != wanted.shape:
        return f"{subject} {form(result)}, where {form(wanted)} is expected."
    if result.dtype != wanted.dtype:
        return f"{subject} numbers of type {short(result.dtype)}, where {short(wanted.dtype)} is expected."
    if finite and wanted.is_floating_point() and not bool(result.isfinite().all()) and bool(wanted.isfinite().all()):
        bad = "NaN" if bool(result.isnan().any()) else "an infinite number"
        causes = "A root or a logarithm of a negative number, an exponential of a large one, or a division by 0?"
        return f"{subject} {bad} where the answer is finite. {causes}"
    return ""


def form(value: Any) -> str:
    """What kind of thing a value is, in words."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, np.ndarray):
        return f"a numpy array of shape {value.shape}"
    if isinstance(value, tuple) and hasattr(value, "_fields") and isinstance(value[0], Tensor):
        return f"{kind_of(value)} whose `{value._fields[0]}` is {form(value[0])}"  # its length counts parts, and would be read as rows
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, types.FunctionType):
        return "a function"
    return kind_of(value)


def kind_of(value: Any) -> str:
    """The name of its type, with its article; asks neither the value nor its class, which may answer with an error."""
    kind = type.__getattribute__(type(value), "__name__")
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


def plain(value: Any) -> str:
    """A value as one reads it aloud."""
    if isinstance(value, Tensor):
        value = value.detach().tolist()
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(plain, value))})"
    return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)


# --- words about a call -----------------------------------------------------------------------


def given(exercise: Exercise, function: Callable, args: tuple) -> str:
    """The inputs of a call, with shapes. Where the reference says `self`, the learner's own name for it."""
    told, own = [], getattr(code_of(function), "co_varnames", ())
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
    line, code = "", code_of(function)
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if code is not None and frame.f_code.co_filename == code.co_filename:
            text = linecache.getline(code.co_filename, trace.tb_lineno).strip()
            line = f", in `{text}`" if text else f", in line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{one_line(error)}{line}"


def code_of(function: Callable) -> types.CodeType | None:
    """The code that a learner wrote, below decorators, partials, methods and objects that can be called; None where none is to be seen.

    Of a class it is that of its first method.
    """
    with contextlib.suppress(Exception):  # it may answer any question with an error
        for _ in range(20):
            kind = type(function)
            if kind is types.FunctionType and not hasattr(function, "__wrapped__"):
                return function.__code__
            if isinstance(function, type):
                function = next(each for each in vars(function).values() if type(each) is types.FunctionType)
                continue
            if kind is types.FunctionType:
                function = function.__wrapped__
            elif kind in (types.MethodType, functools.partial):
                function = function.__func__ if kind is types.MethodType else function.func
            else:
                function = kind.forward if issubclass(kind, nn.Module) else kind.__call__
    return None


def one_line(error: BaseException) -> str:
    """An error in one line."""
    try:
        text = str(error).strip().splitlines()
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException:
        text = []
    return f"{type(error).__name__}: {text[0].rstrip('.')[:200]}" if text else type(error).__name__

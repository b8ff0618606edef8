"""Which entries of an input reach which entries of a result, and which should?

Found by changing the entries of an input one by one, for a learner's function and for the reference.
"""

import collections
import itertools
import math
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core.classroom.call import Complaint
from dreamer_core.classroom.second_look import Case, Sight, sight
from dreamer_core.classroom.spec import Exercise, argument_names

CASES = 4  # at most so many are looked at
LARGEST = 60  # entries of an input that are changed one by one


def reads(exercise: Exercise, function: Callable, wrong: list[tuple[Case, Sight | Complaint, Sight]]) -> str:
    """One sentence on what a result depends on and should not, or does not and should; or nothing.

    Args:
        wrong: the cases in which the function is wrong, with what it shows there and what it should show.
    """
    fitting = [each for each in wrong if isinstance(each[1], Sight) and 0 < max(sizes(each[0]), default=0) <= LARGEST]
    if not fitting:
        return ""
    largest: list[tuple[Case, Sight | Complaint, Sight]] = []
    for each in sorted(fitting, key=lambda each: -sum(sizes(each[0]))):
        if len(largest) < CASES and sum(other[0].look is each[0].look for other in largest) < CASES // 2:  # of several looks, if there are
            largest.append(each)
    tables = [list(tables_of(exercise, function, case, wanted)) for case, _, wanted in largest]
    usual: dict[tuple[str, str], tuple[Steps, Steps]] = collections.defaultdict(lambda: (set(), set()))
    for table in (each for each in itertools.chain(*tables) if math.prod(each.out) > 1):
        for whose, steps in zip((table.mine, table.right), usual[table.name, table.part]):
            steps |= set(map(tuple, signs(whose.nonzero(), table.into, table.out).tolist()))
    told = [{general(what): what for what in sentences(each, usual)} for each in tables]
    often = collections.Counter(what for said in told for what in said)
    looks = {what: {each[0].look.name for each, said in zip(largest, told) if what in said} for what in often}
    # A row that is left out in two draws of the same look may be left out by chance: by what else stands there.
    sure = [
        what for what, count in often.items() if count > 1 and ("left out" not in what or (len(looks[what]) > 1 and count > len(told) / 2))
    ]
    twice = sorted(sure, key=lambda what: ("left out" in what, -often[what]))
    if not twice:
        return ""
    same = [said[twice[0]] for said in told if twice[0] in said]
    return same[0] if len(set(same)) == 1 or "(as " in same[0] else twice[0]


Steps = set[tuple[int, ...]]  # from an entry of a result to the entries of an input that reach it: the sign along each axis


class Table(NamedTuple):
    """Which entries of an argument reach which entries of a part of the result, in one case."""

    name: str
    """The argument."""
    part: str
    whole: str
    """The part, in words."""
    into: tuple[int, ...]
    out: tuple[int, ...]
    """Shapes of the argument and of the part."""
    mine: Tensor
    right: Tensor
    """(entries of the part, entries of the argument), booleans: of the function and of the reference."""
    masks: dict[str, Tensor]
    """What may say which entries of the argument count, flat, by name."""


def tables_of(exercise: Exercise, function: Callable, case: Case, wanted: Sight) -> Iterator[Table]:
    """The tables of one case, for every argument of numbers and every part of the result."""
    args, _ = case.inputs()
    for number, (name, value) in enumerate(zip(argument_names(exercise, args), args)):
        if not is_numbers(value):
            continue
        mine, right = influence(exercise, function, case, number), influence(exercise, exercise.reference, case, number)
        for part in right:
            slope = part.startswith(GRADIENT)
            if slope and not exercise.value_is_free:
                continue  # where there are values, they say it more plainly
            if part in mine and mine[part].shape == right[part].shape:
                whole = f"the gradient that reaches `{part.removeprefix(GRADIENT)}`" if slope else "your result"
                if not slope and len(wanted.values) > 1:
                    whole = f"{part} of your result" if part.startswith("part ") else f"`{part}` of your result"
                masks = masks_beside(exercise, args, value.shape)
                yield Table(name, part, whole, tuple(value.shape), shape_of(wanted, part), mine[part], right[part], masks)


def sentences(tables: list[Table], usual: dict[tuple[str, str], tuple[Steps, Steps]]) -> Iterator[str]:
    """Everything that can be said of one case.

    Args:
        usual: of an argument and a part, the steps along which entries are reached in any case: the function's, and the reference's.
    """
    for table in tables:
        if math.prod(table.out) > 1:
            what = misread(table, *usual[table.name, table.part])
        else:
            what = miscounted(table.whole, table.name, table.masks, table.into, table.mine[0], table.right[0])
        if what:
            yield what


def general(sentence: str) -> str:
    """The sentence without what may differ from case to case: an example, or on which side other rows lie."""
    return re.sub(r" \(as [^()]*(\([^()]*\))?[^()]*\)", "", re.sub(r"\b(later|earlier) ", "other ", sentence))


def sizes(case: Case) -> list[int]:
    """How many entries each tensor or array among the inputs has."""
    return [math.prod(value.shape) for value in case.inputs()[0] if isinstance(value, (Tensor, np.ndarray))]


def is_numbers(value: object) -> bool:
    """Whether a value is a tensor or array of real numbers with at least one axis."""
    if isinstance(value, Tensor):
        return value.dim() > 0 and value.is_floating_point()
    return isinstance(value, np.ndarray) and value.ndim > 0 and np.issubdtype(value.dtype, np.floating)


def influence(exercise: Exercise, function: Callable, case: Case, number: int) -> dict[str, Tensor]:
    """For each part that is shown, whether its entries (rows) change with the entries of an argument (columns)."""
    base = sight(exercise, function, case)
    columns: dict[str, list[Tensor]] = {}
    for place in range(math.prod(case.inputs()[0][number].shape)):
        moved: dict[str, Tensor] = {}
        for change in (a_little, turned):  # the sign alone may count
            if not any(bool(each.any()) for each in moved.values()):
                now = sight(exercise, function, case, lambda args, at=place, by=change: with_another_entry(args, number, at, by))
                if isinstance(now, Complaint) or isinstance(base, Complaint):
                    return {}
                moved = moves(base, now)
        for key, each in moved.items():
            columns.setdefault(key, []).append(each)
    return {key: torch.stack(each, 1) for key, each in sorted(columns.items()) if each[0].numel()}


def moves(before: Sight, after: Sight) -> dict[str, Tensor]:
    """For each part, flat, which of its entries differ."""
    found = {}
    for kind, old, new in (("", before.values, after.values), (GRADIENT, before.gradients, after.gradients)):
        for key in old.keys() & new.keys():
            if not isinstance(old[key], str) and not isinstance(new[key], str) and old[key].shape == new[key].shape:
                found[kind + key] = ((new[key] - old[key]).abs() > 1e-5 * (1 + old[key].abs())).reshape(-1)
    return found


GRADIENT = "gradient "


def a_little(x: float) -> float:
    """Another number near by; from 0 to 1 and back in a mask."""
    return 1 - x if x in (0.0, 1.0) else x * 1.02 + 0.01


def turned(x: float) -> float:
    """A number of the other sign."""
    return 1 - x if x in (0.0, 1.0) else -x


def with_another_entry(args: tuple, number: int, place: int, change: Callable[[float], float]) -> tuple:
    """The arguments with one entry of one changed."""
    entries = args[number].detach().clone().reshape(-1) if isinstance(args[number], Tensor) else args[number].copy().reshape(-1)
    entries[place] = change(float(entries[place]))
    return (*args[:number], entries.reshape(args[number].shape), *args[number + 1 :])


def shape_of(wanted: Sight, part: str) -> tuple[int, ...]:
    """The shape of a part that is shown."""
    return tuple((wanted.gradients if part.startswith(GRADIENT) else wanted.values)[part.removeprefix(GRADIENT)].shape)


def misread(table: Table, usual_mine: Steps, usual_right: Steps) -> str:
    """In words, what the entries of an input reach that they should not, or fail to reach.

    A step that is right elsewhere is not said to be wrong here: a return has to read later columns, and where it should not
    another mistake is the reason.

    Args:
        usual_mine, usual_right: the steps along which entries are reached in any case, by the function and by the reference.
    """
    name, _, whole, into, out, mine, right, _ = table
    extra, missing = (mine & ~right).nonzero(), (right & ~mine).nonzero()
    if len(extra):
        axis, which = apart(unusual(extra, into, out, usual_right), into, out)
        if which:
            lines = line_of(axis, into, many=True)
            rest = f"{line_of(axis, out, index='t')} of {whole} also depends on {which} {lines} of `{name}`"
            return f"{lines[:1].upper()}{lines[1:]} are mixed that have nothing to do with each other: {rest}."
        if into == out and bool((right.sum(1) <= 1).all()) and bool((extra[:, 0] != extra[:, 1]).any()) and bool(mine.all()):
            whole = "is it reduced to one number on the way (a mean, a maximum, a norm)?"
            return f"Entries are mixed that have nothing to do with each other: every entry of `{name}` counts everywhere: {whole}"
        return ""
    if row := left_out(into, mine, right):
        return f"Something is left out: the {row} of `{name}` plays no part in {whole}."
    axis, which = apart(unusual(missing, into, out, usual_mine), into, out)
    if which:
        lines = line_of(axis, into, many=True)
        return f"Something is left out: {line_of(axis, out, index='t')} of {whole} should also depend on {which} {lines} of `{name}`."
    return ""


def signs(pairs: Tensor, into: tuple[int, ...], out: tuple[int, ...]) -> Tensor:
    """The steps of pairs (entry of the part, entry of the input): the sign along each axis that both have."""
    outs, ins = places(pairs[:, 0], out), places(pairs[:, 1], into)
    along = [(other - one).sign() * (size == other_size) for one, other, size, other_size in zip(outs, ins, out, into)]
    return torch.stack(along, 1) if along else torch.zeros(len(pairs), 0, dtype=torch.long)


def unusual(pairs: Tensor, into: tuple[int, ...], out: tuple[int, ...], usual: Steps) -> Tensor:
    """The pairs whose step is none of the usual ones."""
    return pairs[[tuple(step) not in usual for step in signs(pairs, into, out).tolist()]]


def masks_beside(exercise: Exercise, args: tuple, shape: tuple[int, ...]) -> dict[str, Tensor]:
    """The arguments of this shape that hold nothing but zeros and ones, by name."""
    named = zip(argument_names(exercise, args), args)
    fitting = {name: value.flatten() for name, value in named if isinstance(value, Tensor) and value.shape == shape}
    return {name: value for name, value in fitting.items() if bool(((value == 0) | (value == 1)).all())}


def miscounted(whole: str, name: str, masks: dict[str, Tensor], into: tuple[int, ...], mine: Tensor, right: Tensor) -> str:
    """In words, which entries of an input count in a single number and should not, or do not and should.

    Args:
        whole: what depends on the input, in words. masks: what may say which entries count, flat, by name.
        into: shape of the input. mine, right: (entries of the input,), booleans.
    """
    if name in masks or not bool((mine != right).any()) or not bool(mine.any()) or not bool(right.any()):
        return ""

    def told(entries: Tensor) -> tuple[str, str]:
        """What these entries have in common, and one of them."""
        first = int(entries.nonzero()[0, 0])
        index = tuple(int(i) for i in np.unravel_index(first, into))
        common = [
            f"`{mask}` is {int(values[first])}"
            for mask, values in masks.items()
            if bool((values[entries] == values[first]).all()) and bool((values != values[first]).any())
        ]
        return f"entries of `{name}` where {' and '.join(common)}" if common else "", f"(as entry {index[0] if len(index) == 1 else index})"

    parts = []
    for entries, what in ((mine & ~right, "count in {}, and should not"), (right & ~mine, "do not count in {}, and should")):
        if bool(entries.any()):
            which, example = told(entries)
            if not which:
                return ""  # nothing says why these
            parts.append(f"{which} {what.format(whole if not parts else 'it')} {example}")
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def apart(pairs: Tensor, into: tuple[int, ...], out: tuple[int, ...]) -> tuple[int, str]:
    """The first axis along which all pairs (entry of the part, entry of the input) lie in different rows, and where the input's lie."""
    if not len(pairs):
        return 0, ""
    outs, ins = places(pairs[:, 0], out), places(pairs[:, 1], into)
    for axis, (one, other) in enumerate(zip(outs, ins)):
        if out[axis] == into[axis] and bool((one != other).all()):
            return axis, "later" if bool((other > one).all()) else "earlier" if bool((other < one).all()) else "other"
    return 0, ""


def left_out(into: tuple[int, ...], mine: Tensor, right: Tensor) -> str:
    """The one row of an input that should count and does not, in words."""
    counts = places(right.any(0).nonzero()[:, 0], into)
    dead = places((right.any(0) & ~mine.any(0)).nonzero()[:, 0], into)
    for axis, size in enumerate(into):
        rows = dead[axis].unique().tolist()
        if size > 1 and len(rows) == 1 and int((counts[axis] == rows[0]).sum()) == len(dead[axis]):
            line = line_of(axis, into)
            return {0: f"first {line}", size - 1: f"last {line}"}.get(rows[0], line_of(axis, into, index=str(rows[0])))
    return ""


def line_of(axis: int, shape: tuple[int, ...], many: bool = False, index: str = "") -> str:
    """What the entries with one index along an axis are called, with that index if one is given; or several of these."""
    noun = "entry" if len(shape) == 1 else ("row", "column")[axis] if len(shape) == 2 else "slice"
    noun = {"entry": "entries"}.get(noun, f"{noun}s") if many else noun
    return f"{noun} {index}".strip() + (f" along axis {axis}" if len(shape) > 2 else "")


def places(numbers: Tensor, shape: tuple[int, ...]) -> list[Tensor]:
    """Entry numbers as indices, one tensor an axis."""
    return [torch.as_tensor(index) for index in np.unravel_index(numbers.numpy(), shape)]

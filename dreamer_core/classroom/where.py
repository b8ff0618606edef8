"""Where does a function go wrong, and where not?

All entries of all cases are laid side by side, each with the inputs that belong to it, and one asks
which condition tells the wrong ones from the right ones: a mask, a sign, a size, a row.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core.classroom.call import ROUNDING
from dreamer_core.classroom.influence import line_of
from dreamer_core.classroom.second_look import Case, Sight, room_around
from dreamer_core.classroom.spec import Exercise, argument_names

MOST = 0.7  # share of wrong entries beyond which a condition on the right result says nothing
LEAST = 3  # right entries that must lie outside a condition, before it is believed


class Entries(NamedTuple):
    """One part of one case, flat."""

    look: str
    part: str
    wrong: Tensor  # (n,), booleans
    seen: Tensor  # (n,)
    beside: dict[str, Tensor]  # (n,) each: inputs of the same place, and the right result, by the words for them


def somewhere(exercise: Exercise, cases: list[tuple[Case, Sight, Sight]]) -> str:
    """One sentence on where it goes wrong, or nothing.

    Args:
        cases: every case with what was seen and what was wanted, right ones too.
    """
    tables = [table for case, seen, wanted in cases for table in entries(exercise, case, seen, wanted)]
    parts = list(dict.fromkeys(table.part for table in tables if bool(table.wrong.any())))
    for part in parts:
        if what := of_part([table for table in tables if table.part == part]):
            whole = len({table.part for table in tables}) == 1
            name = part if part.startswith("part ") else f"part `{part}`"
            return f"{what[:1].upper()}{what[1:]}, and nowhere else in what was tried." if whole else f"In {name} {what}."
    return by_row(cases) or overflow(tables)


def overflow(tables: list[Entries]) -> str:
    """Is it wrong only together with NaN or infinity, in places that no single condition tells?"""
    wrong = [table for table in tables if bool(table.wrong.any())]
    if not wrong or any(bool(table.seen.isfinite().all()) for table in wrong):
        return ""
    word = "NaN" if any(bool(table.seen.isnan().any()) for table in wrong) else "Infinity"
    return (
        f"{word} comes out in some cases, and only in these it is wrong: is something divided by a number that may be 0, or that "
        f"shrinks to 0 on the way, or does one grow beyond what a float can hold?"
    )


def of_part(tables: list[Entries]) -> str:
    """Where one part of the result goes wrong, in words, if one condition tells."""
    subject = "it goes wrong"
    overflown = [table._replace(wrong=table.wrong & ~table.seen.isfinite()) for table in tables]
    if any(bool(table.wrong.any()) for table in overflown):
        subject = "NaN comes out" if any(bool(table.seen.isnan().any()) for table in tables) else "infinity comes out"
        tables = [table._replace(beside={name: x for name, x in table.beside.items() if name != "your result"}) for table in overflown]
    bad = [table for table in tables if bool(table.wrong.any())]
    for name in bad[0].beside:
        if all(name in table.beside for table in bad):
            inside = [table for table in tables if name in table.beside]
            values, wrong = (torch.cat(parts) for parts in zip(*((table.beside[name], table.wrong) for table in inside)))
            of_result = name in ("the right result", "your result")
            if name == "the right result" and float(wrong.double().mean()) > MOST:
                continue  # it goes wrong nearly everywhere: where it does not, it could hardly go wrong
            if of_result and all(table.wrong.numel() == 1 for table in inside):
                continue  # a single number each time: whatever its size, the reason lies in the inputs
            scalar = all(bool((table.beside[name] == table.beside[name][0]).all()) for table in inside)
            looks = len({table.look for table in inside if bool(table.wrong.any())})
            what = condition(values, wrong, own=name == "your result", scalar=scalar, right=name == "the right result", looks=looks)
            if what:
                return f"{subject} {what.format(name)}"
    return ""


def entries(exercise: Exercise, case: Case, seen: Sight, wanted: Sight) -> Iterator[Entries]:
    """The numeric parts of a case."""
    args, _ = case.inputs()
    named = list(zip(argument_names(exercise, args), args))
    for part, right in wanted.values.items():
        mine = seen.values.get(part)
        if isinstance(right, str) or isinstance(mine, str) or mine is None or mine.shape != right.shape or not right.numel():
            continue
        room = room_around(right, case.look.within)
        wrong = ~torch.isclose(mine, right, rtol=ROUNDING["rtol"], atol=room, equal_nan=True)
        beside = {f"`{name}`": spread for name, value in named if (spread := spread_over(value, right.shape)) is not None}
        beside |= {"the right result": right.flatten(), "your result": mine.nan_to_num(nan=0.0).flatten()}
        yield Entries(case.look.name, part, wrong.flatten(), mine.flatten(), beside)


def spread_over(value: object, shape: torch.Size) -> Tensor | None:
    """An input's numbers beside the entries of a result of this shape (n,), if there is a plain way to lay them there."""
    if isinstance(value, (bool, int, float)):
        return torch.full((shape.numel(),), float(value), dtype=torch.float64)
    if not isinstance(value, (Tensor, np.ndarray)) or value.ndim > len(shape):
        return None
    tensor = torch.as_tensor(value).detach().double()
    if tensor.shape == shape[: tensor.dim()]:
        return tensor.reshape(*tensor.shape, *[1] * (len(shape) - tensor.dim())).expand(shape).flatten()
    return tensor.expand(shape).flatten() if tensor.shape == shape[len(shape) - tensor.dim() :] else None


CONDITIONS = {
    "where {} is 0": lambda x: x == 0,
    "where {} is 1": lambda x: x == 1,
    "where {} is negative": lambda x: x < 0,
    "where {} is positive": lambda x: x > 0,
    "where {} is not 0": lambda x: x != 0,
    "where {} is not 1": lambda x: x != 1,
    "where {} is larger than 1 in size": lambda x: x.abs() > 1,
}


def condition(values: Tensor, wrong: Tensor, own: bool = False, scalar: bool = False, right: bool = False, looks: int = 2) -> str:
    """The condition on these values that holds of every wrong entry, and of hardly a right one, in words with a place for their name.

    Args:
        own: these are what the function returned itself: whether it is 0 or 1 there says little.
        scalar: these are the same in all of a case, so that a single wrong case proves nothing.
        right: these are what it should return.
        looks: how many kinds of input hold wrong entries: in one kind alone any number may stand beside them by chance.
    """
    if not bool(wrong.any()) or int((~wrong).sum()) < LEAST:
        return ""
    for words, test in CONDITIONS.items():
        if (own and "negative" not in words) or (scalar and not words.endswith(("is 0", "is 1", "is negative"))):
            continue  # of a scalar the others say no more than: everywhere but at an edge
        if right and " not " in words:
            continue  # nor does this of the right result
        holds = test(values)
        if bool(holds[wrong].all()) and int((~holds).sum()) >= LEAST and float(wrong[holds].double().mean()) >= 0.8:
            return words
    high, low = values[wrong], values[~wrong]
    least, most = float(high.min()), float(high.max())
    if scalar:
        return ""  # a few values that were tried are no range
    if least == most and looks < 2:
        return ""
    if least == most and not bool((low == least).any()):
        return "where {} is " + f"{least:.4g}"
    below, above = low[low < least], low[low > most]
    if len(below) + len(above) < len(low) or any(0 < len(side.unique()) < LEAST for side in (below, above)):
        return ""  # right ones lie among them, or those beyond are a few edges that were tried
    if not len(above):
        return "where {} is large" + f" (right up to {float(below.max()):.3g}, wrong from {least:.3g} on)"
    if not len(below):
        return "where {} is small" + f" (right from {float(above.min()):.3g} on, wrong up to {most:.3g})"
    return "where {} lies " + f"between {least:.3g} and {most:.3g}" if min(len(below), len(above)) >= LEAST and len(high) >= LEAST else ""


def by_row(cases: list[tuple[Case, Sight, Sight]]) -> str:
    """Only the first or the last row along an axis is wrong."""
    off = [
        ~torch.isclose(seen.values[part], right, rtol=1e-3, atol=1e-4, equal_nan=True)
        for _, seen, wanted in cases
        for part, right in wanted.values.items()
        if not isinstance(right, str) and not isinstance(seen.values.get(part), str) and seen.values[part].shape == right.shape
    ]
    off = [wrong for wrong in off if bool(wrong.any())]
    axes = range(min((wrong.dim() for wrong in off), default=0))
    for axis in axes:
        if any(wrong.shape[axis] < 2 for wrong in off):
            continue
        for row, words in ((0, "the first"), (-1, "the last")):
            others = [wrong.index_fill(axis, torch.tensor(row % wrong.shape[axis]), False) for wrong in off]
            if not any(bool(wrong.any()) for wrong in others):
                return f"All is right but for {words} {line_of(axis, off[0].shape)}."
    return ""

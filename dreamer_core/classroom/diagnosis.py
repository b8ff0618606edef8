"""What kind of difference is it, when no named mistake fits?

Asked in this order: does the function give the same twice, is it the gradient alone, is the result a
simple function of the right one (a factor, a sign, a row late, the axes exchanged), does an argument
play no part, does it behave as a right answer with one thing changed, does one argument alone act
wrongly, what depends on what, does it behave as a right answer with two things changed, and where does
it go wrong and where not. A sentence is only given if what it says holds in every case of the second look.
"""

import ast
import collections
import contextlib
import dataclasses
import inspect
import itertools
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core.classroom import right_answers
from dreamer_core.classroom.call import Complaint, code_of, form, plain
from dreamer_core.classroom.influence import reads
from dreamer_core.classroom.mutants import Mutant, mutants
from dreamer_core.classroom.relation import relation
from dreamer_core.classroom.second_look import OWN, Case, Sight, alike, as_it_should, cases, close, leaves, sight, truth
from dreamer_core.classroom.spec import Exercise, Mistake, argument_names
from dreamer_core.classroom.where import somewhere

TRIED = 10  # cases in which an argument is given other values
LAST = 3e-6  # the last digits of 32-bit numbers after a few sums
AGAIN = 4  # further draws of a look
FEW = 12  # wrong numbers; with fewer, too many pairs of changes would explain them
TRIES = 300  # right answers in which one thing or two were changed that are tried: a number, so that every machine says the same
SEARCH = 8  # seconds of computing after which a slow function is not tried further


class Found(NamedTuple):
    """What one case showed, beside what it should show."""

    case: Case
    seen: Sight | Complaint
    wanted: Sight

    @property
    def right(self) -> bool:
        return as_it_should(self.seen, self.wanted, self.case.look.within)


@dataclasses.dataclass
class Budget:
    """How much one diagnosis may try: so many changed answers in all its searches together, for so long."""

    tries: int
    end: float
    """By `time.process_time()`."""

    def of(self, made: Iterable[Mutant]) -> Iterator[Mutant]:
        """As many of them as are left to try."""
        for mutant in made:
            if self.tries <= 0 or time.process_time() > self.end:
                return
            self.tries -= 1
            yield mutant


def diagnose(exercise: Exercise, function: Callable, found: list[Found]) -> str:
    """One sentence on the kind of difference, or nothing. `found`: every case of the second look; at least one is wrong."""
    wrong = [each for each in found if not each.right]
    sights = [each for each in found if isinstance(each.seen, Sight)]
    complaints = [each.seen for each in wrong if isinstance(each.seen, Complaint)]
    if len(complaints) == len(wrong) and not any("form" in each.kind for each in complaints):
        return ""  # the complaint itself says what kind of mistake it is
    exact = [each for each in sights if isinstance(each.wanted, Sight) and not each.case.look.within]
    numbers = [(each.case, each.seen, each.wanted) for each in exact]
    overflown = any(not value.isfinite().all() for _, seen, _ in numbers for value in seen.values.values() if isinstance(value, Tensor))
    sober = [each for each in found if not broken(each.seen)]
    if overflown and any(not each.right for each in sober) and len(sober) < len(found):
        return diagnose(exercise, function, sober)  # what is wrong without NaN is the reason for it too, or the graver mistake
    budget = Budget(TRIES, time.process_time() + SEARCH)
    asked = (
        lambda: fickle(exercise, function, wrong),
        lambda: of_shapes(wrong),
        lambda: of_other_objects(sights),
        lambda: of_gradients(sights) if len(sights) == len(found) else "",
        lambda: of_values(exercise, sights) if len(sights) == len(found) else "",
        lambda: somewhere(exercise, more(exercise, function, numbers)) if overflown else "",
        lambda: always_the_same(found),
        lambda: ignored(exercise, function, found),
        lambda: like_a_mutant(exercise, function, found, budget),
        lambda: of_slopes(exercise, function, found, by_a_rule=True),
        lambda: reads(exercise, function, [(each.case, each.seen, each.wanted) for each in wrong]),
        lambda: of_slopes(exercise, function, found, by_a_rule=False),
        lambda: like_two_mistakes(exercise, found),
        lambda: somewhere(exercise, more(exercise, function, numbers)),
        lambda: like_one_change_at_two_places(exercise, function, found, budget),
        lambda: like_two_changes(exercise, function, found, budget),
        lambda: at_one_number(exercise, [*found, *drawn_again(exercise, function)]),
    )
    return next(filter(None, (ask() for ask in asked)), "")


def more(exercise: Exercise, function: Callable, numbers: list[tuple[Case, Sight, Sight]]) -> list[tuple[Case, Sight, Sight]]:
    """The same with further draws of every look: what is said of places has to hold there too."""
    further = [each for each in drawn_again(exercise, function) if isinstance(each.seen, Sight) and isinstance(each.wanted, Sight)]
    if not any(broken(seen) for _, seen, _ in numbers):
        further = [each for each in further if not broken(each.seen)]
    return numbers + [(each.case, each.seen, each.wanted) for each in further]


@lru_cache(maxsize=1)
def drawn_again(exercise: Exercise, function: Callable) -> list[Found]:
    """Further draws of every look: whoever says where a function is right should have seen more than two."""
    further = [case for case in cases(exercise, again=AGAIN) if not case.look.within]
    return [Found(case, sight(exercise, function, case), truth(exercise, case)) for case in further]


def fickle(exercise: Exercise, function: Callable, wrong: list[Found]) -> str:
    """Does the same call show the same again?"""
    first = wrong[0]
    if alike(sight(exercise, function, first.case), first.seen):
        return ""
    return (
        "Your function gives something else when it is called again with the same numbers: does it remember something, or draw at random?"
    )


# --- shapes --------------------------------------------------------------------------------------


def of_shapes(wrong: list[Found]) -> str:
    """A result of another shape: how does it differ from the right one?"""
    complaints = [each.seen for each in wrong if isinstance(each.seen, Complaint)]
    shapes = [each.shapes for each in complaints if each.shapes]
    if not shapes or len(shapes) != len(complaints):
        return ""
    readings = {
        "The axes of the result are in another order.": lambda s, w: s != w and sorted(s) == sorted(w),
        "An axis is kept with size 1 (`keepdim=True`?) that should be gone.": lambda s, w: tuple(n for n in s if n != 1) == w,
        "Everything is reduced to one number, where some axes should stay.": lambda s, w: s == () and w != (),
        "An axis too many is reduced.": lambda s, w: len(s) < len(w) and subsequence(s, w),
        "An axis is left that should be reduced.": lambda s, w: len(s) > len(w) and subsequence(w, s),
        "There is one row too few along an axis.": lambda s, w: off_by(s, w) == -1,
        "There is one row too many along an axis.": lambda s, w: off_by(s, w) == 1,
    }
    return next((words for words, fits in readings.items() if all(fits(*pair) for pair in shapes)), "")


def subsequence(short: tuple, long: tuple) -> bool:
    rest = iter(long)
    return all(size in rest for size in short)


def off_by(one: tuple, other: tuple) -> int:
    """The difference along the one axis in which two shapes differ, or 0."""
    gaps = [a - b for a, b in zip(one, other) if a != b]
    return gaps[0] if len(one) == len(other) and len(gaps) == 1 else 0


def of_other_objects(sights: list[Found]) -> str:
    """Did the function replace parameters where it should have changed them?"""
    names = [
        name
        for each in sights
        for name, value in each.seen.values.items()
        if name.startswith(OWN) and not close(value, each.wanted.values[name])
    ]
    if not names:
        return ""
    return (
        f"Your function put new parameters into {names[0].removeprefix(OWN)}. The optimiser and everyone else still hold the old ones: "
        f"change those in place (`copy_`, `mul_`, `add_`, `lerp_`)."
    )


# --- gradients -----------------------------------------------------------------------------------


def of_gradients(sights: list[Found]) -> str:
    """Is the value right, and the gradient alone not?"""
    if not all(values_right(each) for each in sights):
        return ""
    value = "" if not any(each.seen.values for each in sights) else "The numbers are right, but "
    names = list(dict.fromkeys(name for each in sights for name in each.wanted.gradients))
    bad = [name for name in names if not all(close(*slopes(each, name)) for each in sights if name in each.wanted.gradients)]
    if not bad:
        return ""
    cut = [part for part in sights[0].wanted.smooth if all(part in each.wanted.smooth and part not in each.seen.smooth for each in sights)]
    if cut and len(sights[0].wanted.smooth) > 1:
        return f"{value or 'But '}no gradient leaves through {some(cut)} of your result: it is detached, or made of plain numbers."
    pairs = {name: [slopes(each, name) for each in sights if name in each.wanted.gradients] for name in bad}
    missing = [name for name, each in pairs.items() if all(not s.any() for s, _ in each)]
    extra = [name for name, each in pairs.items() if all(not w.any() for _, w in each)]
    if missing and len(missing) == len(bad):
        start = f"{value}no gradient reaches {some(missing)}" if value else f"No gradient reaches {some(missing)}"
        return f"{start}: it is cut off on the way (`.detach()`, `.data`, `.item()`, `no_grad`, a new tensor made of numbers?)."
    if extra and len(extra) == len(bad):
        start = f"{value}a gradient reaches {some(extra)}" if value else f"A gradient reaches {some(extra)}"
        return f"{start}, where none should: a `.detach()` is missing."
    if missing or extra:
        rest = [f"none reaches {some(missing)}"] * bool(missing) + [f"one reaches {some(extra)}, where none should"] * bool(extra)
        return f"{value or 'The value is free here, but '}the gradient is not: {', and '.join(rest)}."
    flat = [([each[0] for each in p], [each[1] for each in p]) for p in pairs.values()]
    words = {of_slope(relation(s, w, [{}] * len(s))) for s, w in flat}
    if len(words) == 1 and (what := words.pop()):
        start = f"{value}the gradient that reaches {some(bad)} is not" if value else f"The gradient that reaches {some(bad)} is wrong"
        return f"{start}: it {what}{'' if what.endswith('?') else '.'}"
    return f"{value}the gradient that reaches {some(bad)} is another." if value else ""


def of_slope(words: str) -> str:
    """What is said of a gradient's numbers: its sign hangs on the mixture of the result that is looked at."""
    return re.sub("cut off (above|below)", "cut off at", words).replace("without its negative part", "cut off at 0")


def values_right(each: Found) -> bool:
    return all(close(each.seen.values[key], each.wanted.values[key], each.case.look.within) for key in each.wanted.values)


def slopes(each: Found, name: str) -> tuple[Tensor, Tensor]:
    return each.seen.gradients.get(name, torch.zeros_like(each.wanted.gradients[name])), each.wanted.gradients[name]


def some(names: list[str]) -> str:
    """ "`a`, `b` and `c`"; many parameters of one module count as the module, and the members of a list as the list."""
    short = list(dict.fromkeys(re.sub(r"\[\d+\]", "", name.split("'s ")[0]) for name in names))
    *most, last = [f"`{name}`" for name in short]
    return f"{', '.join(most)} and {last}" if most else last


# --- the result as a function of the right one ----------------------------------------------------


def of_values(exercise: Exercise, sights: list[Found]) -> str:
    """Is the result the right one times a number, plus a number, a row late, ...?"""
    names = list(dict.fromkeys(name for each in sights for name in each.wanted.values))
    bad = [name for name in names if not all(agrees(each, name) for each in sights)]
    shown_as = [part.get(name) for each in sights for part in (each.seen.values, each.wanted.values) for name in bad]
    if not bad or any(isinstance(part, str) for part in shown_as):
        return ""
    swapped = exchanged(sights, names) if len(names) > 1 else ""
    if swapped:
        return swapped
    quantities = [numbers_of(exercise, each.case) for each in sights]
    words = set()
    for name in bad:
        inside = [(each, known) for each, known in zip(sights, quantities) if name in each.wanted.values]
        pairs = [(each.seen.values[name], each.wanted.values[name]) for each, _ in inside]
        words.add(relation([s for s, _ in pairs], [w for _, w in pairs], [known for _, known in inside]))
    if len(words) > 1 or not (what := words.pop()):
        return ""
    subject = "Your result" if len(names) == 1 else f"Of the parts, {some(bad)} {'is' if len(bad) == 1 else 'are'} wrong: each"
    return f"{subject} {what}{'' if what.endswith('?') else '.'}"


def agrees(each: Found, name: str) -> bool:
    return name not in each.wanted.values or close(each.seen.values[name], each.wanted.values[name], each.case.look.within)


def exchanged(sights: list[Found], names: list[str]) -> str:
    """Are two parts of the result the other way round?"""
    for one, other in itertools.combinations(names, 2):
        pairs = [(each.seen.values, each.wanted.values) for each in sights if {one, other} <= each.wanted.values.keys()]
        numbers = [(s, w) for s, w in pairs if not any(isinstance(v[n], str) for v in (s, w) for n in (one, other))]
        told_apart = any(not close(w[one], w[other]) for _, w in numbers)
        if told_apart and all(close(s[one], w[other]) and close(s[other], w[one]) for s, w in numbers):
            return f"`{one}` and `{other}` of your result are the other way round."
    return ""


def numbers_of(exercise: Exercise, case: Case) -> dict[str, float]:
    """The sizes and scalars of a case, by the words for them."""
    args, _ = case.inputs()
    found: dict[str, float] = {}
    for name, value in zip(argument_names(exercise, args), args):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            found[f"`{name}`"] = float(value)
        elif isinstance(value, (Tensor, np.ndarray)):
            for axis, size in enumerate(value.shape):
                found.setdefault(f"the size of `{name}` along axis {axis}", float(size))
            if value.ndim > 0:
                found.setdefault(f"the size of the last axis of `{name}`", float(value.shape[-1]))
            if value.ndim > 1:
                found[f"the number of entries of `{name}`"] = float(math.prod(value.shape))
            if is_mask(value):
                found[f"the number of zeros in `{name}`"] = float((torch.as_tensor(value) == 0).sum())
                found[f"the number of ones in `{name}`"] = float((torch.as_tensor(value) == 1).sum())
        elif isinstance(value, (dict, list, tuple)):
            found[f"the length of `{name}`"] = float(len(value))
            for part, tensor in leaves([name], [value]).items():
                for axis, size in enumerate(tensor.shape):
                    found.setdefault(f"the size of `{part}` along axis {axis}", float(size))
    return found


def is_mask(value: object) -> bool:
    """Whether it is a tensor or array with an axis that holds nothing but zeros and ones."""
    if not isinstance(value, (Tensor, np.ndarray)) or value.ndim == 0:
        return False
    numbers = torch.as_tensor(value)
    return numbers.numel() > 0 and bool(((numbers == 0) | (numbers == 1)).all())


# --- how the result changes with each input -----------------------------------------------------------


def of_slopes(exercise: Exercise, function: Callable, found: list[Found], by_a_rule: bool) -> str:
    """Does the result change with some inputs in the right way, and not with others?

    Args:
        by_a_rule: only where the wrong slope is a simple function of the right one.
    """
    with_slopes = found
    if not exercise.gradients:
        asked = dataclasses.replace(exercise, gradients=True)
        with_slopes = [Found(each.case, sight(asked, function, each.case), sight(asked, exercise.reference, each.case)) for each in found]
    if not all(isinstance(part, Sight) for each in with_slopes for part in (each.seen, each.wanted)):
        return ""
    pairs: dict[str, list[tuple[Tensor, Tensor, dict[str, float]]]] = {}
    for each in with_slopes:
        known = numbers_of(exercise, each.case)
        for name in each.wanted.gradients:
            pairs.setdefault(name, []).append((*slopes(each, name), known))
    good = [name for name, each in pairs.items() if all(close(s, w) for s, w, _ in each) and any(bool(w.any()) for _, w, _ in each)]
    bad = [name for name, each in pairs.items() if not all(close(s, w) for s, w, _ in each)]
    if not good or not bad or {some([name]) for name in good} & {some([name]) for name in bad}:
        return ""
    rules = {name: of_slope(relation(*map(list, zip(*pairs[name])))) for name in bad}
    name, words = next(((name, words) for name, words in rules.items() if words), ("", ""))
    if not words and (by_a_rule or len(bad) > 2 or "self" in bad):
        return ""  # so much is wrong that it says nothing
    whose = "that slope" if len(bad) == 1 else f"the slope of {some([name])}"
    ending = f": {whose} {words}{'' if words.endswith('?') else '.'}" if words else "."
    return f"How your result changes with {some(good)} is right; how it changes with {some(bad)} is not{ending}"


# --- what the function does not look at -----------------------------------------------------------


def always_the_same(found: list[Found]) -> str:
    """Is every number of every result one and the same?"""
    if not all(isinstance(each.seen, Sight) and each.seen.values for each in found):
        return ""
    shown_as = [value for each in found for value in each.seen.values.values()]
    words = {value for value in shown_as if isinstance(value, str)}
    numbers = torch.cat([value.flatten() for value in shown_as if isinstance(value, Tensor)] or [torch.empty(0)])
    alone = (len(words) == 1 and not len(numbers)) or (not words and len(numbers) > 0 and bool((numbers == numbers[0]).all()))
    return "Your result is always the same, whatever the function is given." if alone and len(found) > 1 else ""


def ignored(exercise: Exercise, function: Callable, found: list[Found]) -> str:
    """Does an argument play no part, in no case?"""
    without_effect: dict[str, list[bool]] = {}
    for each in sorted((each for each in found if not each.case.look.within), key=lambda each: each.right)[:TRIED]:
        args, _ = each.case.inputs()
        for number, name in enumerate(argument_names(exercise, args)):
            for turn in range(
                0 if not all(without_effect.get(name, [True])) else 3
            ):  # several: a function may look at the first row alone, or ask whether there is any 1

                def with_another(own: tuple, at: int = number, each: Found = each, turn: int = turn) -> tuple:
                    fresh, _ = Case(each.case.look, each.case.seed + 1 + turn).inputs()
                    return (*own[:at], other_value(own[at], fresh[at], turn), *own[at + 1 :])

                if with_another(args)[number] is args[number]:
                    continue
                if alike(sight(exercise, exercise.reference, each.case, with_another), each.wanted):
                    continue  # here it should not matter either
                again = sight(exercise, function, each.case, with_another)
                without_effect.setdefault(name, []).append(same_values(again, each.seen))
    nothing = [name for name, flags in without_effect.items() if all(flags)]
    if len(nothing) == 1:
        return f"`{nothing[0]}` plays no part in your answer: with another value the result is the same, and it should not be."
    return ""


def other_value(one: object, fresh: object, turn: int) -> object:
    """Another draw's argument, if it fits in the place of this one and is another, or else `one`. Of a mask: its opposite, no 1, no 0."""
    if isinstance(one, Tensor) and is_mask(one):
        return (1 - one, torch.zeros_like(one), torch.ones_like(one))[turn]
    if isinstance(one, bool):
        return not one
    if isinstance(one, (int, float)):
        others = (fresh, one + 1, 1.25 * one + 0.05 if isinstance(one, float) else one + 2)  # of a scalar that a look fixes, another one
        return others[turn] if type(one) is type(others[turn]) and one != others[turn] else one
    if isinstance(one, (Tensor, np.ndarray)):
        return fresh if type(one) is type(fresh) and one.shape == fresh.shape and not bool((one == fresh).all()) else one
    return one


def same_values(a: Sight | Complaint, b: Sight | Complaint) -> bool:
    if isinstance(a, Complaint) or isinstance(b, Complaint):
        return False
    if not a.values:  # only gradients count
        return alike(a, b)
    return all(close(a.values[key], b.values[key]) for key in a.values if key in b.values)


# --- right answers with one thing changed, or two ---------------------------------------------------

COMMON = frozenset("torch np math F nets len range sum min max abs float int list reversed zip enumerate".split()) | frozenset(
    word
    for word in dir(torch)
    if word.islower()  # `sum` stands where `mean` belongs
)


def behaves_like(exercise: Exercise, other: Callable, found: list[Found]) -> bool:
    """Whether another function shows in every case what the learner's shows."""
    order = sorted(found, key=lambda each: each.right)  # the wrong ones first: most others differ there at once
    return all(alike(sight(exercise, other, each.case), each.seen, each.case.look.within) for each in order)


def is_mistake(exercise: Exercise, mistake: Mistake, found: list[Found]) -> bool:
    """Whether the function does what a named mistake does.

    Where the mistake's own code breaks down (a division by 0, an empty loop), another way to make it may not.
    """
    same = all(each.right for each in found)  # then the hand-made inputs alone tell
    for each in sorted(found, key=lambda each: each.right):  # the wrong ones first: most others differ there at once
        other = sight(exercise, mistake.wrong, each.case)
        if alike(other, each.seen, each.case.look.within):
            same = same or not each.right
        elif not broken(other) or broken(each.seen) or broken(each.wanted):
            return False
    return same


def broken(shown: Sight | Complaint) -> bool:
    """Whether a call gave an error, NaN or infinity."""
    return isinstance(shown, Complaint) or not all(value.isfinite().all() for value in shown.values.values() if isinstance(value, Tensor))


def changed_answers(exercise: Exercise) -> Iterator[Mutant]:
    """The mutants of the reference, and of right answers in other styles."""
    for answer in (exercise.reference, *right_answers.of(exercise.id)):
        with contextlib.suppress(OSError, TypeError, SyntaxError, ValueError):
            yield from mutants(answer, gradients=exercise.gradients)


def like_a_mutant(exercise: Exercise, function: Callable, found: list[Found], budget: Budget) -> str:
    """Does it behave as a right answer does in which one thing was changed? Tried as far as the budget reaches."""
    of_type = all(isinstance(each.seen, Complaint) and "numbers of type" in str(each.seen) for each in found if not each.right)
    enough = of_type or any(isinstance(value, Tensor) and value.numel() for each in found for value in each.wanted.values.values())
    for mutant in budget.of(changed_answers(exercise)):
        if of_type and "is missing" not in mutant.what:
            continue  # many changes end in that type
        if "stands where" in mutant.what and not enough:
            continue  # one name in the place of another explains a few words too easily
        if (what := in_known_words(exercise, function, mutant)) and behaves_like(exercise, mutant.function, found):
            return f"It does exactly what a right answer does in which {what}."
    return ""


def in_known_words(exercise: Exercise, function: Callable, mutant: Mutant) -> str:
    """What was changed, if every name in its code is the exercise's, or one that the learner uses too; or nothing.

    What a loop counts is the answer's own affair: `x[t]` of one is `x[t - 1]` of another. There the number of places is told.
    """
    code = code_of(function)
    parts = [code] if code is not None else []
    parts += [part for part in getattr(code, "co_consts", ()) if inspect.iscode(part)]
    used = {name for part in parts for name in (*part.co_names, *part.co_varnames, *part.co_freevars)}
    arguments = set(inspect.signature(exercise.reference).parameters)
    counted = {name.id for node in ast.walk(mutant.tree) if isinstance(node, (ast.For, ast.comprehension)) for name in names(node.target)}
    told = []
    for what in mutant.what.split(", and "):
        quoted = [code for code in map(parsed, what.split("`")[1::2]) if code is not None]
        if "counts for nothing" in what and not any(name.id in arguments for code in quoted for name in names(code)):
            what = what.replace("counts for nothing", "is missing at one place")
        if any(name.id in counted for code in quoted for name in names(code)):
            what = in_places(quoted, arguments) if "stands where" in what and len(quoted) == 2 else ""
        elif any(name.id not in used | arguments | COMMON for code in quoted for name in names(code)):
            what = ""
        if not what:
            return ""
        told.append(what)
    return ", and ".join(told)


def names(node: ast.AST) -> list[ast.Name]:
    """Every name in a piece of code."""
    return [part for part in ast.walk(node) if isinstance(part, ast.Name)]


def parsed(code: str) -> ast.expr | None:
    """The code of an expression; None for what is none: a sign, a decorator."""
    with contextlib.suppress(SyntaxError):
        return ast.parse(code, mode="eval").body
    return None


def in_places(now_and_was: list[ast.expr], arguments: set[str]) -> str:
    """An argument that is read at other places than it should be, by how many; nothing if that is not the whole change.

    Args:
        now_and_was: the code that stands there, and the code that belongs there.
    """
    now, was = now_and_was
    if not all(isinstance(code, ast.Subscript) and isinstance(code.value, ast.Name) for code in now_and_was):
        return ""
    if now.value.id != was.value.id or now.value.id not in arguments:
        return ""
    parts = [code.slice.elts if isinstance(code.slice, ast.Tuple) else [code.slice] for code in now_and_was]
    apart = [pair for pair in zip(*parts) if ast.dump(pair[0]) != ast.dump(pair[1])]
    if len(parts[0]) != len(parts[1]) or len(apart) != 1 or any(isinstance(each, ast.Slice) for each in apart[0]):
        return ""
    gaps = {distance(*apart[0], at) for at in (1000.0, 3000.0)}
    gap = gaps.pop()
    if gaps or gap is None or gap != int(gap):
        return ""
    places = "one place" if abs(gap) == 1 else f"{abs(gap):.0f} places"
    return f"`{now.value.id}` is read {places} {'later' if gap > 0 else 'earlier'} than it should be"


def distance(one: ast.expr, other: ast.expr, at: float) -> float | None:
    """one - other, where every name stands for a number; None where they hold more than names, numbers and signs."""
    whole = ast.Expression(ast.BinOp(one, ast.Sub(), other))
    plain = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Name, ast.Load, ast.Constant)
    if not all(isinstance(node, plain) for node in ast.walk(whole)):
        return None
    return eval(compile(ast.fix_missing_locations(whole), "<places>", "eval"), {name.id: at for name in names(whole)})


def telling(found: list[Found]) -> bool:
    """Whether enough numbers are wrong that two changes which give just these are no chance."""
    wrong = [each for each in found if not each.right]
    if any(isinstance(each.seen, Complaint) for each in found):
        return False
    off = [int((~torch.isclose(s, w, rtol=1e-3, atol=1e-4)).sum()) for each in wrong for s, w in numbers_in(each)]
    return sum(off) >= FEW


def numbers_in(each: Found) -> list[tuple[Tensor, Tensor]]:
    """Every part of numbers that is seen where one of its shape is wanted, values and gradients, beside that."""
    pairs = [
        (seen[name], wanted[name])
        for seen, wanted in ((each.seen.values, each.wanted.values), (each.seen.gradients, each.wanted.gradients))
        for name in seen.keys() & wanted.keys()
    ]
    return [(s, w) for s, w in pairs if isinstance(s, Tensor) and isinstance(w, Tensor) and s.shape == w.shape]


def like_two_mistakes(exercise: Exercise, found: list[Found]) -> str:
    """Is the difference that of two named mistakes together, added or multiplied?"""
    if not telling(found) or any(isinstance(value, str) for each in found for value in each.wanted.values.values()):
        return ""
    order = sorted(found, key=lambda each: (each.right, size_of(each.case)))  # the smallest wrong case leaves few pairs
    pairs = list(itertools.combinations(exercise.mistakes, 2))
    for each in order:
        shown = {mistake.name: sight(exercise, mistake.wrong, each.case) for mistake in {one for pair in pairs for one in pair}}
        pairs = [(one, other) for one, other in pairs if both(each, shown[one.name], shown[other.name])]
        if not pairs:
            return ""
    return f"Two things at once. {pairs[0][0].message} And: {pairs[0][1].message}"


def both(each: Found, one: Sight | Complaint, other: Sight | Complaint) -> bool:
    """Whether a case shows what two mistakes together would, by their sum or by their product."""
    if isinstance(one, Complaint) or isinstance(other, Complaint):
        return False
    quads = [(each.seen.values[key], one.values.get(key), other.values.get(key), w) for key, w in each.wanted.values.items()]
    if any(not isinstance(part, Tensor) or part.shape != quad[3].shape for quad in quads for part in quad):
        return False
    added = all(close(s, a + b - w) for s, a, b, w in quads)
    multiplied = all(close(s * w, a * b) for s, a, b, w in quads)
    return bool(quads) and (added or multiplied) and not any(cancelled(*quad) for quad in quads)


def cancelled(seen: Tensor, one: Tensor, other: Tensor, wanted: Tensor) -> bool:
    """Whether a number is right that a mistake would make wrong: then that mistake was not made."""
    right = torch.isclose(seen, wanted, rtol=1e-3, atol=1e-4)
    return any(bool((right & ~torch.isclose(mistaken, wanted, rtol=1e-3, atol=1e-4)).any()) for mistaken in (one, other))


def like_one_change_at_two_places(exercise: Exercise, function: Callable, found: list[Found], budget: Budget) -> str:
    """Does it behave as a right answer does in which the same thing was changed twice?"""
    if not telling(found):
        return ""
    made = list(mutants(exercise.reference, gradients=exercise.gradients))
    places = collections.Counter(mutant.what for mutant in made)
    for first in budget.of(made):
        if places[first.what] > 1:
            for second in mutants(exercise.reference, first, exercise.gradients):
                what = in_known_words(exercise, function, first) if second.last == first.last else ""
                if what and behaves_like(exercise, second.function, found):
                    return f"It does exactly what a right answer does in which, at two places, {what}."
    return ""


def like_two_changes(exercise: Exercise, function: Callable, found: list[Found], budget: Budget) -> str:
    """The same with two different changes."""
    if not telling(found):
        return ""
    for first in budget.of(mutants(exercise.reference, gradients=exercise.gradients)):
        for second in budget.of(mutants(exercise.reference, first, exercise.gradients)):
            if (what := in_known_words(exercise, function, second)) and behaves_like(exercise, second.function, found):
                return f"Two things at once: it does exactly what a right answer does in which {what}."
    return ""


# --- where it goes wrong ----------------------------------------------------------------------------


def at_one_number(exercise: Exercise, found: list[Found]) -> str:
    """Is it right at one size alone?"""
    good = [numbers_of(exercise, each.case) for each in found if each.right]
    bad = [numbers_of(exercise, each.case) for each in found if not each.right]
    looks = {each.case.look.name for each in found if each.right}
    if not good or len(bad) < 2:
        return ""
    for name in (name for name in good[0] if name.startswith("the size")):
        values = {quantities.get(name) for quantities in good}
        value = values.pop()
        if values or value is None or any(quantities.get(name, value) == value for quantities in bad):
            continue
        if len(looks) > 1 or value in (0, 1):  # of a single look with sizes of its own, any of these could be the reason
            hint = ": is a size written as a number?" if value > 1 else "."
            return f"Of all that was tried, it is right only where {name} is {value:g}{hint}"
    return ""


def in_some_cases(exercise: Exercise, found: list[Found]) -> str:
    """Right with some inputs, wrong with others. Speaks of the case that `shown` shows.

    What is drawn by chance and compared in law is not spoken of: a small mistake hides in it.
    """
    exact = [each for each in found if not each.case.look.within]
    if any(each.right and not is_exact(each) for each in exact):
        return ""  # it is wrong there too, by less than is asked for
    bad = {each.case.look.name for each in exact if not each.right}
    good = [look.name for look in exercise.looks if look.name not in bad and not look.within]
    if len(bad) == 1 and len(good) > 1:
        *most, last = [f"with {name}" for name in good[:3]]
        return f"It is right {', '.join(most)} and {last}, but not with {bad.pop()}."
    if len(good) == 1 and len(bad) > 1:
        return f"It is right with {good[0].removesuffix(' alone')} alone, and wrong with {len(bad)} other kinds of input."
    return ""  # then it is right here and there by chance


def is_exact(each: Found) -> bool:
    """Whether every number is right to the last digits."""
    if isinstance(each.seen, Complaint) or isinstance(each.wanted, Complaint):
        return True
    return all(
        torch.allclose(s, w, rtol=LAST, atol=LAST * max(1.0, float(w.nan_to_num().abs().max())), equal_nan=True)
        for s, w in numbers_in(each)
        if w.numel()
    )


# --- the smallest numbers that show it ----------------------------------------------------------------


def shown(exercise: Exercise, found: list[Found]) -> str:
    """The smallest case that is wrong, with a number of it, or what is to be complained of there.

    What is special about a case is only named where no other kind of input comes out wrong: else it is not the reason. The first
    look is the ordinary one, and may be named.
    """
    wrong = [each for each in found if not each.right]
    each = smallest(wrong)
    named = each.case.look is exercise.looks[0] or len({other.case.look.name for other in wrong}) == 1
    where = f"With {each.case.look.name}" if named else "For example"
    if isinstance(each.seen, Complaint):
        return f"{where}: {each.seen}"
    given = told(exercise, each.case)
    for name, value in each.seen.values.items():
        wanted = each.wanted.values[name]
        if not close(value, wanted, each.case.look.within):
            return f"{where} ({given}), look at {name}{entry(value, wanted)}."
    for name, value in each.seen.gradients.items():
        wanted = each.wanted.gradients[name]
        if not close(value, wanted, each.case.look.within):
            mixture = f"the gradient that reaches `{name}` (of a fixed mixture of the result)"
            return f"{where} ({given}), look at {mixture}{entry(value, wanted)}."
    return ""


def smallest(wrong: list[Found]) -> Found:
    """The case with the fewest numbers."""
    return min(wrong, key=lambda each: size_of(each.case))


def size_of(case: Case) -> int:
    """How many numbers a case holds."""
    return sum(math.prod(value.shape) if isinstance(value, (Tensor, np.ndarray)) else 1 for value in case.inputs()[0])


def entry(value: Tensor | str, wanted: Tensor | str) -> str:
    """The first number that differs, in words."""
    if isinstance(value, str) or isinstance(wanted, str) or value.shape != wanted.shape or not value.dim():
        return f": yours is {plain(value)}, it should be {plain(wanted)}"
    gap = (value - wanted).abs().nan_to_num(nan=math.inf)
    index = tuple(int(i) for i in np.unravel_index(int(gap.argmax()), value.shape))
    return f", entry {index[0] if len(index) == 1 else index}: yours is {plain(value[index])}, it should be {plain(wanted[index])}"


def told(exercise: Exercise, case: Case) -> str:
    """The inputs of a case: small ones as numbers, others by their shape."""
    args, _ = case.inputs()
    parts = []
    for name, value in zip(argument_names(exercise, args), args):
        if isinstance(value, (bool, int, float, str)):
            parts.append(f"{name} = {plain(value)}")
        elif isinstance(value, (Tensor, np.ndarray)) and math.prod(value.shape) <= 4:
            parts.append(f"{name} = {plain(torch.as_tensor(value))}")
        elif isinstance(value, (Tensor, np.ndarray)):
            parts.append(f"{name} {tuple(value.shape)}")
        elif not inspect.isfunction(value) and name != "self":
            parts.append(f"{name}, {form(value)}")
    return "; ".join(parts)

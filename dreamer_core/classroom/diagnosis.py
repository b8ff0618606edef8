"""What kind of difference is it, when no named mistake fits?

Asked in this order: does the function give the same twice, is it the gradient alone, is the result a
simple function of the right one (a factor, a sign, a row late, the axes exchanged), does an argument
play no part, does it behave as a right answer with one thing changed, or two, and where does it go
wrong and where not. A sentence is only given if what it says holds in every case of the second look.
"""

import collections
import contextlib
import inspect
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dreamer_core.classroom import right_answers
from dreamer_core.classroom.call import Complaint, form, plain
from dreamer_core.classroom.influence import reads
from dreamer_core.classroom.mutants import Mutant, mutants
from dreamer_core.classroom.second_look import OWN, Case, Sight, alike, as_it_should, close, sight
from dreamer_core.classroom.spec import Exercise, argument_names
from dreamer_core.classroom.where import somewhere

SEARCH = 3  # seconds for trying right answers in which one thing or two were changed


class Found(NamedTuple):
    """What one case showed, beside what it should show."""

    case: Case
    seen: Sight | Complaint
    wanted: Sight

    @property
    def right(self) -> bool:
        return as_it_should(self.seen, self.wanted, self.case.look.within)


def diagnose(exercise: Exercise, function: Callable, found: list[Found]) -> str:
    """One sentence on the kind of difference, or nothing. `found`: every case of the second look; at least one is wrong."""
    wrong = [each for each in found if not each.right]
    sights = [each for each in found if isinstance(each.seen, Sight)]
    complaints = [each.seen for each in wrong if isinstance(each.seen, Complaint)]
    if len(complaints) == len(wrong) and not any("form" in each.kind for each in complaints):
        return in_some_cases(found, wrong)  # the complaint itself says what kind of mistake it is
    numbers = [(each.case, each.seen, each.wanted) for each in sights if isinstance(each.wanted, Sight)]
    overflown = any(not value.isfinite().all() for _, seen, _ in numbers for value in seen.values.values() if isinstance(value, Tensor))
    end = time.monotonic() + SEARCH
    asked = (
        lambda: fickle(exercise, function, wrong),
        lambda: of_shapes(wrong),
        lambda: of_other_objects(sights),
        lambda: of_gradients(sights) if len(sights) == len(found) else "",
        lambda: of_values(exercise, sights) if len(sights) == len(found) else "",
        lambda: somewhere(exercise, numbers) if overflown else "",
        lambda: ignored(exercise, function, wrong),
        lambda: like_a_mutant(exercise, found, end),
        lambda: reads(exercise, function, [(each.case, each.seen, each.wanted) for each in wrong]),
        lambda: like_two_mistakes(exercise, found),
        lambda: somewhere(exercise, numbers),
        lambda: like_one_change_at_two_places(exercise, found, end),
        lambda: like_two_changes(exercise, found, end),
        lambda: in_some_cases(found, wrong),
    )
    return next(filter(None, (ask() for ask in asked)), "")


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
    words = {relation(s, w, [{}] * len(s)) for s, w in flat}
    if len(words) == 1 and (what := words.pop()):
        start = f"{value}the gradient that reaches {some(bad)} is not" if value else f"The gradient that reaches {some(bad)} is wrong"
        return f"{start}: it {what}{'' if what.endswith('?') else '.'}"
    return f"{value}the gradient that reaches {some(bad)} is another." if value else ""


def values_right(each: Found) -> bool:
    return all(close(each.seen.values[key], each.wanted.values[key], each.case.look.within) for key in each.wanted.values)


def slopes(each: Found, name: str) -> tuple[Tensor, Tensor]:
    return each.seen.gradients.get(name, torch.zeros_like(each.wanted.gradients[name])), each.wanted.gradients[name]


def some(names: list[str]) -> str:
    """ "`a`, `b` and `c`"; many parameters of one module count as the module."""
    short = list(dict.fromkeys(name.split("'s ")[0] for name in names))
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
        if numbers and all(close(s[one], w[other]) and close(s[other], w[one]) for s, w in numbers):
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
            if value.ndim > 1:
                found[f"the number of entries of `{name}`"] = float(math.prod(value.shape))
        elif isinstance(value, (dict, list, tuple)):
            found[f"the length of `{name}`"] = float(len(value))
    return found


FACTORS = {
    -1.0: "has the wrong sign",
    2.0: "is exactly twice the right one: is something counted twice, or a factor 1/2 missing?",
    0.5: "is exactly half the right one: is there a factor 1/2 too many, or a mean of two where a sum is asked for?",
    math.pi / 180: "is in radians, where degrees are right",
    180 / math.pi: "is in degrees, where radians are right",
    1 / math.log(2): "is in bits (log2), where nats are right",
    1 / math.log(10): "is counted in powers of 10 (log10), where the natural logarithm is right",
    2 * math.pi: "is 2 pi times the right one",
    1 / (2 * math.pi): "is the right one divided by 2 pi",
}
OFFSETS = {
    0.5 * math.log(2 * math.pi): "log(2 pi) / 2",
    -0.5 * math.log(2 * math.pi): "-log(2 pi) / 2",
    math.log(2): "log 2",
    -math.log(2): "-log 2",
    2 * math.pi: "2 pi",
    -2 * math.pi: "-2 pi",
}
MAPS = {
    "is the absolute value of the right one": torch.abs,
    "is the square of the right one: a square root is missing": torch.square,
    "is the square root of the right one": lambda x: torch.sqrt(x) if bool((x >= 0).all()) else None,
    "is the exponential of the right one: a logarithm is missing": torch.exp,
    "is the logarithm of the right one": lambda x: torch.log(x) if bool((x > 0).all()) else None,
    "is 1 minus the right one": lambda x: 1 - x,
    "is 1 divided by the right one": lambda x: 1 / x if bool((x != 0).all()) else None,
    "is the right one rounded down": torch.floor,
    "is the tanh of the right one": torch.tanh,
    "is the right one without its negative part": lambda x: x.clamp(min=0),
    "is the right one, cut off at 1": lambda x: x.clamp(max=1),
}


def relation(seen: list[Tensor], wanted: list[Tensor], known: list[dict[str, float]]) -> str:
    """How the seen numbers come from the wanted ones, in words that follow "your result"; nothing if no simple rule holds everywhere."""
    if any(s.shape != w.shape or not s.isfinite().all() or not w.isfinite().all() for s, w in zip(seen, wanted)):
        return ""
    if sum(int((w != 0).sum()) for w in wanted) < 2:
        return ""
    return (
        by_a_factor(seen, wanted, known)
        or by_an_offset(seen, wanted, known)
        or next((words for words, rule in MAPS.items() if follows(rule, seen, wanted)), "")
        or by_moving(seen, wanted)
    )


def follows(rule: Callable[[Tensor], Tensor | None], seen: list[Tensor], wanted: list[Tensor]) -> bool:
    """Whether the rule makes what is seen of what is wanted, in every case."""
    made = [rule(w) for w in wanted]
    return all(m is not None and m.shape == s.shape and close(s, m) for s, m in zip(seen, made))


def by_a_factor(seen: list[Tensor], wanted: list[Tensor], known: list[dict[str, float]]) -> str:
    """A constant factor, and which one."""
    inside: list[tuple[float, dict[str, float]]] = []  # the factor of each case that tells one, and what is known of the case
    for s, w, quantities in zip(seen, wanted, known):
        large = w.abs() > 1e-3 * max(1e-6, float(w.abs().max()) if w.numel() else 0)
        if not large.any():
            continue
        factor = float((s[large] / w[large]).median())
        if not close(s, factor * w):
            return ""
        inside.append((factor, quantities))
    if not inside or all(same(factor, 1.0) for factor, _ in inside):
        return ""
    first = inside[0][0]
    constant = all(same(factor, first) for factor, _ in inside)
    if constant and (words := next((words for value, words in FACTORS.items() if same(first, value)), "")):
        return words
    for words, factor_of in possible_factors(inside[0][1]):
        if all(same(factor, factor_of(quantities)) for factor, quantities in inside):
            return words
    if constant and len(inside) > 1:
        return "is 0 everywhere" if first == 0 else f"is exactly {first:.4g} times the right one"
    return ""


def possible_factors(quantities: dict[str, float]) -> Iterator[tuple[str, Callable[[dict[str, float]], float]]]:
    """Factors that could be made of a case's sizes and scalars, each in words and as a rule; a rule gives NaN where it makes none."""
    counts = [name for name in quantities if name.startswith("the ")]
    for name in quantities:
        more, less = (": a sum for a mean?", ": a mean for a sum?") if name in counts else ("", "")
        yield f"is multiplied by {name} once too often{more}", lambda q, n=name: q.get(n, math.nan)
        yield f"is divided by {name}, which it should not be{less}", lambda q, n=name: 1 / q[n] if q.get(n) else math.nan
        if name not in counts:
            yield f"is multiplied by 1 - {name}, which it should not be", lambda q, n=name: 1 - q.get(n, math.nan)
            yield f"lacks the factor 1 - {name}", lambda q, n=name: 1 / (1 - q[n]) if q.get(n, 1) != 1 else math.nan
    for one, other in itertools.permutations(counts, 2):
        words = f"is multiplied by {one} and divided by {other}: a mean, or a sum, over the wrong axis?"
        yield words, lambda q, a=one, b=other: q[a] / q[b] if q.get(b) and a in q else math.nan
        words = f"is off by the root of {one} over {other}: a mean over the wrong axis?"
        yield words, lambda q, a=one, b=other: math.sqrt(q[a] / q[b]) if q.get(b) and a in q else math.nan


def by_an_offset(seen: list[Tensor], wanted: list[Tensor], known: list[dict[str, float]]) -> str:
    """A constant that is added everywhere, and which one."""
    gaps = []
    for s, w in zip(seen, wanted):
        if not s.numel():
            return ""
        gap = float((s - w).median())
        if not close(s, w + gap):
            return ""
        gaps.append(gap)
    if all(same(gap, gaps[0]) for gap in gaps):
        name = next((words for value, words in OFFSETS.items() if same(value, gaps[0])), f"{gaps[0]:.4g}")
        return f"differs from the right one by a constant, {name}: a constant term is wrong or missing"
    for name in known[0]:
        for sign, words in ((1, f"is larger than the right one by {name}"), (-1, f"is smaller than the right one by {name}")):
            if all(name in k and same(gap, sign * k[name]) for gap, k in zip(gaps, known)):
                return f"{words}, everywhere"
    return ""


def by_moving(seen: list[Tensor], wanted: list[Tensor]) -> str:
    """The right numbers in other places."""
    axes = range(min((w.dim() for w in wanted), default=0))
    for axis in axes:
        where = "" if len(axes) == 1 else f" along axis {axis}"
        long = [(s, w) for s, w in zip(seen, wanted) if w.shape[axis] > 2]
        if not long:
            continue
        if all(close(s.narrow(axis, 1, s.shape[axis] - 1), w.narrow(axis, 0, w.shape[axis] - 1)) for s, w in long):
            return f"is one row late{where}: what belongs in row t stands in row t + 1"
        if all(close(s.narrow(axis, 0, s.shape[axis] - 1), w.narrow(axis, 1, w.shape[axis] - 1)) for s, w in long):
            return f"is one row early{where}: what belongs in row t stands in row t - 1"
        if follows(lambda w, a=axis: w.flip(a), seen, wanted):
            return f"is in the reverse order{where}"
        if follows(lambda w, a=axis: w.sort(a).values, seen, wanted):
            return f"is sorted{where}, which the right one is not"
        if follows(lambda w, a=axis: w.cumsum(a), seen, wanted):
            return f"is added up{where}: each row holds the sum of those before it"
        if follows(lambda w, a=axis: w.mean(a, keepdim=True).expand_as(w), seen, wanted):
            return f"is the same everywhere{where}: the mean of what should be told apart"
    if any(w.dim() == 2 and w.shape[0] > 1 for w in wanted) and follows(lambda w: w.mT if w.dim() == 2 else w, seen, wanted):
        return "is transposed"
    return ""


def same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=2e-4, abs_tol=1e-6)


# --- what the function does not look at -----------------------------------------------------------


def ignored(exercise: Exercise, function: Callable, wrong: list[Found]) -> str:
    """Does an argument play no part?"""
    without_effect: dict[str, list[bool]] = {}
    for each in wrong[:4]:
        args, _ = each.case.inputs()
        others, _ = Case(each.case.look, each.case.seed + 1).inputs()
        for number, name in enumerate(argument_names(exercise, args)):
            if not exchangeable(args[number], others[number]):
                continue

            def exchanged_argument(own: tuple, at: int = number, each: Found = each) -> tuple:
                fresh, _ = Case(each.case.look, each.case.seed + 1).inputs()
                return (*own[:at], fresh[at], *own[at + 1 :])

            if alike(sight(exercise, exercise.reference, each.case, exchanged_argument), each.wanted):
                continue  # here it should not matter either
            again = sight(exercise, function, each.case, exchanged_argument)
            without_effect.setdefault(name, []).append(same_values(again, each.seen))
    nothing = [name for name, flags in without_effect.items() if all(flags)]
    if len(nothing) == len(without_effect) > 1:
        return "Your result is always the same, whatever the function is given."
    if len(nothing) == 1:
        return f"`{nothing[0]}` plays no part in your answer: with another value the result is the same, and it should not be."
    return ""


def exchangeable(one: object, other: object) -> bool:
    """Whether another draw's argument fits in the place of this one, and is another."""
    if isinstance(one, bool) or isinstance(one, (int, float)):
        return type(one) is type(other) and one != other
    if isinstance(one, (Tensor, np.ndarray)):
        return type(one) is type(other) and one.shape == other.shape and not bool((one == other).all())
    return False


def same_values(a: Sight | Complaint, b: Sight | Complaint) -> bool:
    if isinstance(a, Complaint) or isinstance(b, Complaint):
        return False
    if not a.values:  # only gradients count
        return alike(a, b)
    return all(close(a.values[key], b.values[key]) for key in a.values if key in b.values)


# --- right answers with one thing changed, or two ---------------------------------------------------


def behaves_like(exercise: Exercise, other: Callable, found: list[Found]) -> bool:
    """Whether another function shows in every case what the learner's shows."""
    order = sorted(found, key=lambda each: each.right)  # the wrong ones first: most others differ there at once
    return all(alike(sight(exercise, other, each.case), each.seen, each.case.look.within) for each in order)


def changed_answers(exercise: Exercise) -> Iterator[Mutant]:
    """The mutants of the reference, and of right answers in other styles."""
    for answer in (exercise.reference, *right_answers.of(exercise.id)):
        with contextlib.suppress(OSError, TypeError, SyntaxError, ValueError):
            yield from mutants(answer, gradients=exercise.gradients)


def like_a_mutant(exercise: Exercise, found: list[Found], end: float) -> str:
    """Does it behave as a right answer does in which one thing was changed? Tried until the clock shows `end`."""
    for mutant in in_time(changed_answers(exercise), end):
        if behaves_like(exercise, mutant.function, found):
            return f"It does exactly what a right answer does in which {mutant.what}."
    return ""


def in_time(made: Iterable[Mutant], end: float) -> Iterator[Mutant]:
    """As many of them as there is time for."""
    return itertools.takewhile(lambda _: time.monotonic() < end, made)


def like_two_mistakes(exercise: Exercise, found: list[Found]) -> str:
    """Is the difference that of two named mistakes together, added or multiplied?"""
    if any(isinstance(each.seen, Complaint) for each in found):
        return ""
    shown = {mistake.name: [sight(exercise, mistake.wrong, each.case) for each in found] for mistake in exercise.mistakes}
    whole = {name: sights for name, sights in shown.items() if not any(isinstance(each, Complaint) for each in sights)}
    for one, other in itertools.combinations(whole, 2):
        triples = [
            (each.seen.values[key], a.values[key], b.values[key], each.wanted.values[key])
            for each, a, b in zip(found, whole[one], whole[other])
            for key in each.wanted.values
            if key in a.values and key in b.values and not isinstance(each.wanted.values[key], str)
        ]
        if not triples or any(isinstance(part, str) or part.shape != parts[3].shape for parts in triples for part in parts):
            continue
        if all(close(s, a + b - w) for s, a, b, w in triples) or all(close(s * w, a * b) for s, a, b, w in triples):
            messages = {mistake.name: mistake.message for mistake in exercise.mistakes}
            return f"Two things at once. {messages[one]} And: {messages[other]}"
    return ""


def like_one_change_at_two_places(exercise: Exercise, found: list[Found], end: float) -> str:
    """Does it behave as a right answer does in which the same thing was changed twice?"""
    made = list(mutants(exercise.reference, gradients=exercise.gradients))
    places = collections.Counter(mutant.what for mutant in made)
    for first in in_time(made, end):
        if places[first.what] > 1:
            for second in mutants(exercise.reference, first, exercise.gradients):
                if second.last == first.last and behaves_like(exercise, second.function, found):
                    return f"It does exactly what a right answer does in which, at two places, {first.what}."
    return ""


def like_two_changes(exercise: Exercise, found: list[Found], end: float) -> str:
    """The same with two different changes."""
    for first in in_time(mutants(exercise.reference, gradients=exercise.gradients), end):
        for second in in_time(mutants(exercise.reference, first, exercise.gradients), end):
            if behaves_like(exercise, second.function, found):
                return f"Two things at once: it does exactly what a right answer does in which {second.what}."
    return ""


# --- where it goes wrong ----------------------------------------------------------------------------


def in_some_cases(found: list[Found], wrong: list[Found]) -> str:
    """Right with some inputs, wrong with others."""
    bad = list(dict.fromkeys(each.case.look.name for each in wrong))
    good = [name for name in dict.fromkeys(each.case.look.name for each in found) if name not in bad]
    if not good or not bad:
        return ""
    *most, last = [f"with {name}" for name in good[:3]]
    fine = f"{', '.join(most)} and {last}" if most else last
    return f"It is right {fine}, but not with {bad[0]}."


# --- the smallest numbers that show it ----------------------------------------------------------------


def shown(exercise: Exercise, found: list[Found]) -> str:
    """The smallest case that is wrong, with a number of it, or what is to be complained of there."""
    wrong = [each for each in found if not each.right]
    each = min(wrong, key=lambda each: size_of(each.case))
    where = f"With {each.case.look.name}"
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

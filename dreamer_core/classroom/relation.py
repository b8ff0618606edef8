"""How do the seen numbers come from the right ones: by a factor, an offset, a simple function, or by being moved?"""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from dreamer_core.classroom.second_look import close

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

MEASURES = {
    "is divided by its own standard deviation, which it should not be": lambda w: w / w.std(),
    "is divided by its own standard deviation (of the whole population), which it should not be": lambda w: w / w.std(unbiased=False),
    "is divided by its own largest size, which it should not be": lambda w: w / w.abs().max(),
    "is divided by its own norm, which it should not be": lambda w: w / w.norm(),
    "is divided by its own sum, which it should not be": lambda w: w / w.sum(),
    "has its own mean taken away, which it should not have": lambda w: w - w.mean(),
    "has its own largest number taken away, which it should not have": lambda w: w - w.max(),
    "is normalised to mean 0 and standard deviation 1, which it should not be": lambda w: (w - w.mean()) / w.std(),
    "is normalised to mean 0 and standard deviation 1 (of the whole population), which it should not be": (
        lambda w: (w - w.mean()) / w.std(unbiased=False)
    ),
}


def relation(seen: list[Tensor], wanted: list[Tensor], known: list[dict[str, float]]) -> str:
    """How the seen numbers come from the wanted ones, in words that follow "your result"; nothing if no simple rule holds everywhere."""
    if any(s.shape != w.shape for s, w in zip(seen, wanted)):
        return ""
    if not all(bool(part.isfinite().all()) for part in (*seen, *wanted)):
        return by_its_own_measure(seen, wanted)  # the spread of a single number is NaN
    if sum(int((w != 0).sum()) for w in wanted) < 2:
        return ""
    return (
        by_a_factor(seen, wanted, known)
        or by_an_offset(seen, wanted, known)
        or by_its_own_measure(seen, wanted)
        or by_cutting(seen, wanted)
        or next((words for words, rule in MAPS.items() if follows(rule, seen, wanted)), "")
        or by_moving(seen, wanted)
        or of_the_rest(seen, wanted, known)
    )


def of_the_rest(seen: list[Tensor], wanted: list[Tensor], known: list[dict[str, float]]) -> str:
    """A factor on what is missing to 1, as in a share that is explained."""
    words = by_a_factor([1 - s for s in seen], [1 - w for w in wanted], known)
    return f"is 1 minus something, and that something {words}" if words and "0 everywhere" not in words else ""


def by_cutting(seen: list[Tensor], wanted: list[Tensor]) -> str:
    """The right one, held below or above a number of its own."""
    numbers = [s for s in seen if s.numel()]
    if not numbers:
        return ""
    highest, lowest = max(float(s.max()) for s in numbers), min(float(s.min()) for s in numbers)
    for edge, words, rule in (
        (highest, "is the right one, cut off above", lambda w: w.clamp(max=highest)),
        (lowest, "is the right one, cut off below", lambda w: w.clamp(min=lowest)),
    ):
        off = sum(int((~torch.isclose(s, w, rtol=1e-4, atol=1e-5)).sum()) for s, w in zip(seen, wanted) if s.shape == w.shape)
        if off >= 2 and follows(rule, seen, wanted):
            return f"{words} {edge:.4g}"
    return ""


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
            if not close(s, w):
                return ""
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
    if not constant and (words := by_a_fixed_size(inside)):
        return words
    if constant and len(inside) > 1:
        return "is 0 everywhere" if first == 0 else f"is exactly {first:.4g} times the right one"
    return ""


def by_a_fixed_size(inside: list[tuple[float, dict[str, float]]]) -> str:
    """A number in the place of a size: factors that are a size divided by one and the same number, or the reverse."""
    for name in (name for name in inside[0][1] if name.startswith("the ")):
        sizes = [quantities.get(name, 0.0) for _, quantities in inside]
        if len(set(sizes)) < 2 or not all(sizes) or not all(factor for factor, _ in inside):
            continue
        for verb, fixed in (
            ("divided", [size / factor for size, (factor, _) in zip(sizes, inside)]),
            ("multiplied", [size * factor for size, (factor, _) in zip(sizes, inside)]),
        ):
            if all(same(each, fixed[0]) for each in fixed) and same(fixed[0], round(fixed[0])):
                return f"is always {verb} by {fixed[0]:.0f}, where {name} belongs: is a size written as a number?"
    return ""


def by_its_own_measure(seen: list[Tensor], wanted: list[Tensor]) -> str:
    """The right numbers, divided by their own spread, or without their own mean."""
    pairs = [(s, w) for s, w in zip(seen, wanted) if w.numel() > 2 and bool(w.isfinite().all()) and float(w.std()) > 1e-3]
    if len(pairs) < 2 or not all(bool(s.isfinite().all()) for s, _ in pairs) or all(close(s, w) for s, w in pairs):
        return ""
    others = [(s, w) for s, w in zip(seen, wanted) if w.numel() > 1 and not any(w is each for _, each in pairs)]  # one number has no spread
    if any(bool(s.isfinite().all()) and not close(s, w) for s, w in others):
        return ""  # something else is wrong too
    return next((words for words, rule in MEASURES.items() if follows(rule, *map(list, zip(*pairs)))), "")


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
    for name in counts:
        less, more = (
            (lambda q, n=name: (q[n] - 1) / q[n] if q.get(n) else math.nan),
            (lambda q, n=name: q[n] / (q[n] - 1) if q.get(n, 1) != 1 else math.nan),
        )
        for rule, words in (
            (less, f"is divided by {name}, where that minus 1 is right"),
            (more, f"is divided by {name} minus 1, where no 1 is to be taken off"),
        ):
            yield words, rule
            yield f"{words} (under a root)", lambda q, r=rule: math.sqrt(r(q)) if r(q) >= 0 else math.nan
    for one, other in itertools.permutations(counts, 2):
        why = "a mean over fewer entries?" if " in `" in other else "a mean, or a sum, over the wrong axis?"
        words = f"is multiplied by {one} and divided by {other}: {why}"
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
        pairs = [(s, w) for s, w in zip(seen, wanted) if w.shape[axis] > 0]
        # Where all rows are alike, a shift changes nothing, and says nothing.
        if not any(
            w.shape[axis] > 2 and not close(w.narrow(axis, 1, w.shape[axis] - 1), w.narrow(axis, 0, w.shape[axis] - 1)) for _, w in pairs
        ):
            continue
        if all(close(s.narrow(axis, 1, s.shape[axis] - 1), w.narrow(axis, 0, w.shape[axis] - 1)) for s, w in pairs):
            return f"is one row late{where}: what belongs in row t stands in row t + 1"
        if all(close(s.narrow(axis, 0, s.shape[axis] - 1), w.narrow(axis, 1, w.shape[axis] - 1)) for s, w in pairs):
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

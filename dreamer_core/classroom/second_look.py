"""The second look: does a function behave as the reference does, on inputs that tell everything apart?

Values, gradients to every input, and what became of the inputs themselves. What a function shows
at one call is a `Sight`; two functions are alike if all their sights are.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dreamer_core.classroom.call import ROUNDING, Complaint, guarded, one_line
from dreamer_core.classroom.spec import Draw, Exercise, Look, argument_names, gradient


class Sight(NamedTuple):
    """What one call showed."""

    values: dict[str, Tensor | str]
    """The numbers of the result as float64, by name; empty where the value is free. A word for what is not a number."""
    gradients: dict[str, Tensor]
    """Of a fixed random mixture of the result, to every input that may carry one, by name."""
    smooth: tuple[str, ...] = ()
    """The parts of the result through which a gradient leaves."""


class Case(NamedTuple):
    """One look with one seed."""

    look: Look
    seed: int

    def inputs(self) -> tuple[tuple, Draw]:
        """Fresh arguments, always the same."""
        draw = Draw(self.seed)
        return self.look.inputs(draw), draw


def cases(exercise: Exercise, again: int = 0, salt: str = "") -> Iterator[Case]:
    """Every look with each of its seeds.

    Args:
        again: how many other seeds each look has instead.
        salt: makes the seeds others, as for grading: whoever reads the course could know its own. Not those of what is compared in law:
            how far apart two right answers lie there was measured with these seeds.
    """
    for look in exercise.looks:
        for number in range(100, 100 + again) if again else range(look.draws):
            yield Case(look, zlib.crc32(f"{exercise.id} {look.name} {number}{'' if look.within else salt}".encode()))


def as_drawn(args: tuple) -> tuple:
    """The arguments as they are."""
    return args


def sight(exercise: Exercise, function: Callable, case: Case, alter: Callable[[tuple], tuple] = as_drawn) -> Sight | Complaint:
    """What the function shows in a case, always with the same random numbers; or what it did wrong.

    Args:
        alter: makes other arguments of the case's own.
    """
    own, draw = case.inputs()
    names = argument_names(exercise, own)
    data = {id(tensor) for tensor in draw.recorded}
    recorded = {name for name, tensor in leaves(names, own).items() if id(tensor) in data}
    args = alter(own)
    found = leaves(names, args) if exercise.gradients else {}
    inputs = {name: tensor for name, tensor in found.items() if name not in recorded} | draw.leaves
    for tensor in [*inputs.values(), *(found[name] for name in found)]:  # recorded data too, so that cutting it off in place is noticed
        tensor.requires_grad_()
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(case.seed)
        try:
            owned = own_parameters(names, args)
            result = guarded(exercise, function, finite=False)(*args)
            if exercise.inplace:
                result = aftermath(names, args) | {
                    name: float(own_parameters(names, args)[name] == before) for name, before in owned.items()
                }
            parts = flat(case.look.read(result))
            mixture = sum((mixed(name, part) for name, part in parts.items() if is_smooth(part)), torch.zeros(()))
            found = gradient(mixture, *inputs.values()) if inputs else ()
        except Complaint as complaint:
            return complaint
        except Exception as error:  # its result passed the guard, and yet could not be used
            return Complaint(f"What your function returned could not be used further: {one_line(error)}.", "unusable", one_line(error))
    slopes = dict(zip(inputs, found if isinstance(found, tuple) else (found,)))
    values = {} if exercise.value_is_free else {name: numeric(part) for name, part in parts.items()}
    smooth = tuple(name for name, part in parts.items() if is_smooth(part))
    return Sight(values, {name: slope.detach().double() for name, slope in slopes.items()}, smooth)


def leaves(names: list[str], values: tuple | list) -> dict[str, Tensor]:
    """The float tensors in these values, by name, also inside containers and modules."""
    found: dict[str, Tensor] = {}
    for name, value in zip(names, values):
        if isinstance(value, Tensor):
            if value.is_floating_point() and value.is_leaf:
                found[name] = value
        elif isinstance(value, nn.Module):
            found |= {f"{name}'s {key}": parameter for key, parameter in value.named_parameters()}
        elif isinstance(value, dict):
            found |= leaves([f"{name}[{key!r}]" for key in value], list(value.values()))
        elif isinstance(value, tuple) and hasattr(value, "_fields"):
            found |= leaves([f"{name}.{field}" for field in value._fields], value)
        elif isinstance(value, (list, tuple)):
            found |= leaves([f"{name}[{number}]" for number in range(len(value))], value)
    return found


def aftermath(names: list[str], args: tuple) -> dict[str, Any]:
    """What a function that changes its inputs has made of them: the numbers, and whether they are still learned."""
    found = {}
    for name, value in zip(names, args):
        parts = dict(value.named_parameters()) if isinstance(value, nn.Module) else leaves([name], [value])
        found |= {f"`{name}`'s {key}": part.detach() for key, part in parts.items()}
        found |= {f"whether `{name}`'s {key} still learns": float(part.requires_grad) for key, part in parts.items()}
    return found


OWN = "whether the same parameters are still in "


def own_parameters(names: list[str], args: tuple) -> dict[str, list[int]]:
    """Which parameter objects each module among the inputs holds."""
    return {f"{OWN}`{name}`": [id(part) for part in value.parameters()] for name, value in zip(names, args) if isinstance(value, nn.Module)}


def flat(result: Any, name: str = "") -> dict[str, Any]:
    """The parts of a result by name, in order."""
    if isinstance(result, dict):
        named = {str(key): part for key, part in result.items()}
    elif isinstance(result, tuple) and hasattr(result, "_fields"):
        named = dict(zip(result._fields, result))
    elif isinstance(result, (list, tuple)) and not all(isinstance(part, (str, int, float)) for part in result):
        named = {f"part {number} of {len(result)}": part for number, part in enumerate(result, 1)}
    else:
        return {name or "the result": result}
    inside = (flat(part, f"{name}, {part_name}" if name else part_name) for part_name, part in named.items())
    return {key: value for part in inside for key, value in part.items()}


def is_smooth(part: Any) -> bool:
    """Whether a part can carry a gradient."""
    return isinstance(part, Tensor) and part.is_floating_point() and part.requires_grad


def mixed(name: str, part: Tensor) -> Tensor:
    """A weighted sum of a part's entries; the weights are random, and the same for everyone."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{name} {tuple(part.shape)}".encode()))
    return (part * torch.randn(part.shape, generator=generator)).sum()


def numeric(part: Any) -> Tensor | str:
    """A part as float64 numbers, or as a word."""
    if isinstance(part, Tensor):
        return part.detach().double()
    if part is None or isinstance(part, str):
        return str(part)
    try:
        return torch.as_tensor(np.asarray(part, float))
    except (ValueError, TypeError):
        return repr(part)


def close(a: Tensor | str, b: Tensor | str, within: float = 0.0) -> bool:
    """Equal up to rounding; the larger the largest number, the larger that is."""
    if isinstance(a, str) or isinstance(b, str):
        return isinstance(a, str) and isinstance(b, str) and a == b
    if a.shape != b.shape:
        return False
    room = room_around(b, within)
    return bool(torch.allclose(a, b, rtol=0.0 if within else ROUNDING["rtol"], atol=room, equal_nan=True))


def room_around(wanted: Tensor, within: float = 0.0) -> float:
    """How far a number may lie from the wanted one: the larger the largest of these, the more."""
    finite = wanted[wanted.isfinite()]
    return max(within, ROUNDING["atol"] * max(1.0, float(finite.abs().max()) if finite.numel() else 0.0))


def alike(a: Sight | Complaint, b: Sight | Complaint, within: float = 0.0) -> bool:
    """Whether two calls showed the same."""
    if isinstance(a, Complaint) or isinstance(b, Complaint):
        return isinstance(a, Complaint) and isinstance(b, Complaint) and a.kind == b.kind
    pairs = ((a.values, b.values), (a.gradients, b.gradients))
    return all(one.keys() == other.keys() and all(close(one[key], other[key], within) for key in one) for one, other in pairs)


def as_it_should(seen: Sight | Complaint, wanted: Sight | Complaint, within: float = 0.0) -> bool:
    """Whether a call showed what the reference shows. Where an error is to be raised, its wording is free."""
    if isinstance(seen, Complaint) and isinstance(wanted, Complaint):
        return "crash" in wanted.kind and seen.kind[:3] == wanted.kind[:3]
    return alike(seen, wanted, within)


@cache
def truth(exercise: Exercise, case: Case) -> Sight | Complaint:
    """What the reference shows."""
    return sight(exercise, exercise.reference, case)


def differing(exercise: Exercise, function: Callable) -> Iterator[tuple[Case, Sight | Complaint]]:
    """The cases in which the function does not behave as the reference does, with what it shows there."""
    for case in cases(exercise):
        seen = sight(exercise, function, case)
        if not as_it_should(seen, truth(exercise, case), case.look.within):
            yield case, seen

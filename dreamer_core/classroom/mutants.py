"""Wrong answers made by machine: a right one in which one thing was changed, and what was changed, in words.

They serve twice. A check is tested by them: whatever it lets pass is a hole in it. And a learner's
wrong answer that behaves exactly as one of them does has been diagnosed.
"""

import ast
import collections
import contextlib
import copy
import inspect
import itertools
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch


class Edit(NamedTuple):
    """One change of a function's text."""

    what: str
    """The change in words, as in "`sum` stands where `mean` belongs"."""
    at: int
    """Which node is replaced, in the order of `ast.walk`."""
    make: Callable[[Any], ast.AST | list[ast.stmt]]
    """The new node, from (a copy of) the old one."""


class Mutant(NamedTuple):
    """A function that differs from a right one by one edit or more."""

    what: str
    """What was changed, in words."""
    name: str
    """The same, with a number where the same was done at several places."""
    last: str
    """The last change alone, where there are two."""
    function: Callable
    tree: ast.FunctionDef


NAMES = {  # what takes the place of what, both ways
    "mean": ("sum", "amax"),
    "sum": ("mean", "prod"),
    "amin": ("amax", "mean"),
    "amax": ("amin",),
    "min": ("max",),
    "max": ("min",),
    "minimum": ("maximum",),
    "maximum": ("minimum",),
    "argmax": ("argmin",),
    "argmin": ("argmax",),
    "std": ("var",),
    "any": ("all",),
    "all": ("any",),
    "cumprod": ("cumsum",),
    "cumsum": ("cumprod",),
    "zeros": ("ones",),
    "ones": ("zeros",),
    "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",),
    "softplus": ("relu", "elu"),
    "log": ("log2", "log10"),
    "atan2": ("hypot",),
    "sample": ("mode",),
    "draw": ("mode",),
    "mode": ("draw",),
}
UNWRAPPED = (  # calls that can be forgotten
    *("detach", "abs", "square", "sqrt", "exp", "log", "tanh", "sigmoid", "softplus", "float", "norm", "softmax"),
    *("log_softmax", "clone", "transpose", "flip", "clamp", "isfinite"),
)
SIGNS = {ast.Add: "plus", ast.Sub: "minus", ast.Mult: "times", ast.Div: "division", ast.Pow: "power", ast.Mod: "remainder"}
OTHER_SIGN = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Mod: ast.FloorDiv}
COMPARED = {
    ast.Lt: ("<", (ast.LtE, ast.Gt)),
    ast.LtE: ("<=", (ast.Lt, ast.GtE)),
    ast.Gt: (">", (ast.GtE, ast.Lt)),
    ast.GtE: (">=", (ast.Gt, ast.LtE)),
    ast.Eq: ("==", (ast.NotEq,)),
    ast.NotEq: ("!=", (ast.Eq,)),
}


def source_tree(function: Callable) -> ast.FunctionDef:
    """The function as a syntax tree, without its docstring.

    Raises:
        OSError, TypeError, SyntaxError, ValueError: there is no text of a `def` to be had.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(tree, ast.FunctionDef):
        raise ValueError("not a def")
    if ast.get_docstring(tree) is not None:
        tree.body = tree.body[1:]
    return tree


def mutants(function: Callable, first: Mutant | None = None, gradients: bool = True) -> Iterator[Mutant]:
    """Every mutant of a function by one edit.

    Args:
        first: one of its mutants, which these differ from by one edit more. gradients: whether it matters where a gradient is cut.

    Raises:
        OSError, TypeError, SyntaxError, ValueError: the function's text is not to be had.
    """
    tree = source_tree(function) if first is None else first.tree
    seen = {ast.dump(tree)}
    told: collections.Counter[str] = collections.Counter()
    for edit in edits(tree):
        if not gradients and "detach" in edit.what:
            continue
        changed = apply(tree, edit)
        if changed is None or ast.dump(changed) in seen:
            continue
        seen.add(ast.dump(changed))
        made = compiled(function, changed)
        if made is not None:
            told[edit.what] += 1
            what = edit.what if first is None else f"{first.what}, and {edit.what}"
            yield Mutant(what, f"{what} ({told[edit.what]})" if told[edit.what] > 1 else what, edit.what, made, changed)


def apply(tree: ast.FunctionDef, edit: Edit) -> ast.FunctionDef | None:
    """A copy of the tree with one edit, or None where it makes no sense."""
    tree = copy.deepcopy(tree)
    old = next(itertools.islice(ast.walk(tree), edit.at, None))
    new = edit.make(old)
    if new is old:
        return tree
    tree = Replace(old, new).visit(tree)
    return tree if isinstance(tree, ast.FunctionDef) and tree.body else None


class Replace(ast.NodeTransformer):
    """Puts one node (or several statements) in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST | list[ast.stmt]) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def compiled(function: Callable, tree: ast.FunctionDef) -> Callable | None:
    """The function that a tree makes, among the names the original knows; None if it cannot be compiled."""
    module = ast.fix_missing_locations(ast.Module([tree], []))
    inner = inspect.unwrap(function)
    names = dict(getattr(inner, "__globals__", {})) | {"torch": torch, "_first_value": first_value()}
    closure = getattr(inner, "__closure__", None) or ()
    names |= dict(zip(getattr(inner, "__code__", empty.__code__).co_freevars, (cell.cell_contents for cell in closure)))
    try:
        exec(compile(module, "<mutant>", "exec"), names)
    except Exception:
        return None
    return names[tree.name]


def empty() -> None:
    """A function that knows no names."""


def first_value() -> Callable[[int, Any], Any]:
    """A memory for sizes: the value that comes first under a key is given back ever after."""
    known: dict[int, Any] = {}
    return lambda key, value: known.setdefault(key, value)


# --- the edits ---------------------------------------------------------------------------------


def edits(tree: ast.FunctionDef) -> Iterator[Edit]:
    """Every edit of a function."""
    arguments = [argument.arg for argument in tree.args.args]
    kinds = {argument.arg: ast.unparse(argument.annotation) if argument.annotation else "" for argument in tree.args.args}
    own = {name for name in arguments if name not in ("self", "model", "rssm", "actor", "q", "f")}
    yield from edits_of_arguments(tree, arguments, kinds)
    skipped = set()  # annotations, defaults and decorators are not the answer
    for part in [tree.args, *tree.decorator_list, *([tree.returns] if tree.returns else [])]:
        skipped |= {id(node) for node in ast.walk(part)}
    skipped |= {id(node) for part in ast.walk(tree) for node in only_a_size(part)}
    above = {id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for at, node in enumerate(ast.walk(tree)):
        if id(node) in skipped or node is tree:
            continue
        for what, make in edits_of_node(node, own, kinds):
            yield Edit(what or side_by_side(node, make, above, own), at, make)


SHORT = 48  # characters of code that one reads at a glance


def side_by_side(node: ast.expr, make: Callable[[Any], ast.AST], above: dict[int, ast.AST], own: set[str]) -> str:
    """An edit in words by the smallest piece of code that says what is read, before and after; one with an argument if it is short."""
    told: list[tuple[bool, str]] = []  # whether it holds an argument, and the words
    while isinstance(above[id(node)], (ast.expr, ast.Slice, ast.keyword)):
        inner, node = node, above[id(node)]
        make = inside(node, inner, make)
        if not isinstance(node, (ast.Subscript, ast.Call, ast.BinOp, ast.Compare)) or not names_in(node):
            continue
        was, now = ast.unparse(node), ast.unparse(ast.fix_missing_locations(Folded().visit(make(copy.deepcopy(node)))))
        if told and max(len(was), len(now)) > SHORT:
            break
        words = f"`{was}` counts for nothing" if now.startswith("0 * ") else f"`{now}` stands where `{was}` belongs"
        told.append((bool(own & names_in(node)), words))
    if not told:
        return f"`{ast.unparse(Folded().visit(make(copy.deepcopy(node))))}` stands where `{ast.unparse(node)}` belongs"
    return next((words for holds, words in told if holds), told[0][1])


class Folded(ast.NodeTransformer):
    """Code with its numbers written as one would: no minus before a minus, and `-1 + 1` as 0."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        node = super().generic_visit(node)
        if isinstance(node, (ast.UnaryOp, ast.BinOp)) and not names_in(node):
            with contextlib.suppress(ValueError, TypeError, SyntaxError, ZeroDivisionError):
                return number(eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<sum>", "eval"), {}))
        return node


def inside(outer: ast.AST, inner: ast.AST, make: Callable[[Any], ast.AST]) -> Callable[[Any], ast.AST]:
    """The edit of a node, as an edit of one that holds it."""
    at = next(number for number, node in enumerate(ast.walk(outer)) if node is inner)

    def whole(old: ast.AST) -> ast.AST:
        part = next(itertools.islice(ast.walk(old), at, None))
        return Replace(part, make(part)).visit(old)

    return whole


def only_a_size(node: ast.AST) -> list[ast.AST]:
    """The nodes of a part whose shape alone matters, and axes that have edits of their own."""
    match node:
        case ast.Call(func=ast.Attribute(attr="zeros_like" | "ones_like" | "full_like" | "empty_like"), args=[first, *_]):
            return list(ast.walk(first))
        case ast.Call(func=ast.Name(id="len"), args=[first]):
            return list(ast.walk(first))
        case ast.Attribute(value=value, attr="shape" | "device" | "dtype" | "ndim"):
            return list(ast.walk(value))
        case ast.Subscript(value=ast.Attribute(attr="shape"), slice=where):
            return list(ast.walk(where))
        case ast.Call(func=ast.Attribute(attr=name), args=arguments, keywords=keywords) if name in AXES:
            axes = [each for each in arguments if is_axis(each)]
            axes += [each.value for each in keywords if each.arg in ("dim", "axis") and is_axis(each.value)]
            return [part for axis in axes for part in ast.walk(axis)]
    return []


def edits_of_arguments(tree: ast.FunctionDef, arguments: list[str], kinds: dict[str, str]) -> Iterator[Edit]:
    """Two arguments swapped, one without effect, one changed behind the caller's back; decorators dropped."""
    free = [name for name in arguments if name != "self"]
    for one, other in itertools.combinations(free, 2):
        yield Edit(f"`{one}` and `{other}` are swapped", 0, lambda old, a=one, b=other: swapped(old, a, b))
    for name in free:
        if "Tensor" in kinds[name] or "ndarray" in kinds[name]:
            room = "np" if "ndarray" in kinds[name] else "torch"
            for value in ("zeros", "ones"):
                number = {"zeros": 0, "ones": 1}[value]
                line = f"{name} = {room}.{value}_like({name})"
                yield Edit(f"`{name}` plays no part: {number} stands in its place", 0, before(line))
        else:
            for value in ("0", "1", "2", "True", "False"):
                fits = ("bool" in kinds[name]) == (value in ("True", "False"))
                if fits and ("float" in kinds[name] or "int" in kinds[name] or "bool" in kinds[name]):
                    yield Edit(f"`{name}` plays no part: it is always {value}", 0, before(f"{name} = {value}"))
        if kinds[name] == "Tensor":
            yield Edit(f"`{name}` is cut off in place (`detach_`)", 0, before(f"{name}.detach_()"))
            yield Edit(f"`{name}` is detached", 0, before(f"{name} = {name}.detach()"))
            yield Edit(f"`{name}` is written to in place, with its own values", 0, before(f"{name}.detach().add_(0)"))
            yield Edit(f"`{name}` is read in the reverse order", 0, before(f"{name} = {name}.flip(0) if {name}.dim() else {name}"))
    for mark in tree.decorator_list:
        yield Edit(f"`@{ast.unparse(mark)}` is missing", 0, lambda old: without_marks(old))


def swapped(tree: ast.FunctionDef, one: str, other: str) -> ast.FunctionDef:
    """The same tree with two argument names exchanged in its head."""
    names = {one: other, other: one}
    for argument in tree.args.args:
        argument.arg = names.get(argument.arg, argument.arg)
    return tree


def before(lines: str) -> Callable[[ast.FunctionDef], ast.FunctionDef]:
    """An edit that puts a line at the start."""

    def make(tree: ast.FunctionDef) -> ast.FunctionDef:
        tree.body = ast.parse(lines).body + tree.body
        return tree

    return make


def without_marks(tree: ast.FunctionDef) -> ast.FunctionDef:
    """The same tree without decorators."""
    tree.decorator_list = []
    return tree


Change = tuple[str, Callable[[Any], ast.AST | list[ast.stmt]]]


def edits_of_node(node: ast.AST, own: set[str], kinds: dict[str, str]) -> Iterator[Change]:
    """The edits at one node: words, and what makes the new node of the old. No words: the code before and after says it."""
    match node:
        case ast.BinOp():
            yield from edits_of_sign(node, own)
        case ast.UnaryOp(op=ast.USub(), operand=operand) if not isinstance(operand, ast.Constant):
            yield "a minus is missing", lambda old: old.operand
        case ast.UnaryOp(op=ast.Not() | ast.Invert()):
            yield "a condition is turned round", lambda old: old.operand
        case ast.Compare(ops=[sign]) if type(sign) in COMPARED:
            word, others = COMPARED[type(sign)]
            for other in others:
                yield f"`{COMPARED[other][0]}` stands where `{word}` belongs", lambda old, new=other: compared(old, new)
        case ast.BoolOp(op=sign, values=values):
            new, word = (ast.Or, "or") if isinstance(sign, ast.And) else (ast.And, "and")
            yield f"`{word}` joins two conditions wrongly", lambda old: ast.BoolOp(new(), old.values)
            for number, value in enumerate(values):
                yield f"the condition on {mention(value, own)} is missing", lambda old, n=number: without_value(old, n)
        case ast.IfExp():
            case_ = mention(node.test, own)
            yield f"the case distinction on {case_} is missing", lambda old: old.body
            yield f"the case distinction on {case_} is missing", lambda old: old.orelse
        case ast.If():
            case_ = mention(node.test, own)
            for value in (True, False):
                yield f"the case distinction on {case_} is missing", lambda old, v=value: tested(old, v)
        case ast.With():
            yield f"`with {ast.unparse(node.items[0])}` is missing", lambda old: old.body
        case ast.AugAssign():
            yield f"the line `{ast.unparse(node)}` has no effect", lambda old: ast.Pass()
            for new in {OTHER_SIGN.get(type(node.op))} - {None}:
                yield f"a {SIGNS.get(new, 'sign')} stands in the wrong place", lambda old, n=new: ast.AugAssign(old.target, n(), old.value)
            done = {ast.Add: "added to", ast.Sub: "taken from", ast.Mult: "multiplied", ast.Div: "divided"}.get(type(node.op), "changed")
            yield f"something is overwritten that should be {done}", lambda old: ast.Assign([old.target], old.value)
        case ast.Constant(value=value) if isinstance(value, (int, float)):
            yield from edits_of_number(value)
        case ast.Slice():
            yield from edits_of_slice(node)
        case ast.Call():
            yield from edits_of_call(node, own)
        case ast.Name(id=name, ctx=ast.Load()) if name in own:
            yield from edits_of_use(node, own, kinds)
        case ast.Subscript(value=ast.Attribute(attr="shape")):
            yield "a size is fixed at the one of the first call", frozen
        case ast.Subscript(slice=ast.Constant() | ast.UnaryOp()):
            yield "no entry is picked, the whole is used", lambda old: old.value
        case ast.Return(value=ast.Tuple(elts=parts)) if len(parts) > 1:
            for one in range(len(parts) - 1):
                yield f"parts {one + 1} and {one + 2} of the result are swapped", lambda old, n=one: swapped_parts(old, n)
            for one in range(len(parts)):
                yield f"part {one + 1} of the result is detached", lambda old, n=one: cut_part(old, n)
        case ast.Return(value=value) if value is not None:
            yield "the sign of the result is turned round", lambda old: ast.Return(ast.UnaryOp(ast.USub(), old.value))
            yield "the result is detached", lambda old: ast.Return(method(old.value, "detach"))
            yield "the result is half of what it should be", lambda old: ast.Return(ast.BinOp(ast.Constant(0.5), ast.Mult(), old.value))
            yield "the result is twice what it should be", lambda old: ast.Return(ast.BinOp(ast.Constant(2), ast.Mult(), old.value))
            yield "the result is an absolute value", lambda old: ast.Return(ast.Call(ast.Name("abs", ast.Load()), [old.value], []))


def mention(node: ast.AST, own: set[str]) -> str:
    """The arguments that stand in a part of the text, or else the part itself."""
    found = list(dict.fromkeys(part.id for part in ast.walk(node) if isinstance(part, ast.Name) and part.id in own))
    *most, last = [f"`{name}`" for name in found] or [f"`{ast.unparse(node)}`"]
    return f"{', '.join(most)} and {last}" if most else last


def method(value: ast.expr, name: str) -> ast.Call:
    """value.name()"""
    return ast.Call(ast.Attribute(value, name, ast.Load()), [], [])


def compared(node: ast.Compare, sign: type[ast.cmpop]) -> ast.Compare:
    return ast.Compare(node.left, [sign()], node.comparators)


def without_value(node: ast.BoolOp, number: int) -> ast.expr:
    rest = node.values[:number] + node.values[number + 1 :]
    return rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def tested(node: ast.If, value: bool) -> ast.stmt | list[ast.stmt]:
    return node.body if value else node.orelse or ast.Pass()


def frozen(node: ast.expr) -> ast.expr:
    """The value that this expression had at the first call."""
    key = ast.Constant(hash(ast.dump(node)))
    return ast.Call(ast.Name("_first_value", ast.Load()), [key, node], [])


def swapped_parts(node: ast.Return, number: int) -> ast.Return:
    parts = list(node.value.elts)
    parts[number], parts[number + 1] = parts[number + 1], parts[number]
    return ast.Return(ast.Tuple(parts, ast.Load()))


def cut_part(node: ast.Return, number: int) -> ast.Return:
    parts = list(node.value.elts)
    parts[number] = method(parts[number], "detach")
    return ast.Return(ast.Tuple(parts, ast.Load()))


def edits_of_sign(node: ast.BinOp, own: set[str]) -> Iterator[Change]:
    """Another sign, sides swapped, a side missing."""
    kind, left, right = type(node.op), mention(node.left, own), mention(node.right, own)
    if kind in OTHER_SIGN:
        new = OTHER_SIGN[kind]
        where = f"between {left} and {right}" if left != right else f"at {left}"
        words = f"a {SIGNS.get(new, 'whole division')} stands {where}, where a {SIGNS.get(kind, 'whole division')} belongs"
        yield words, lambda old: ast.BinOp(old.left, new(), old.right)
    part = "term" if kind in (ast.Add, ast.Sub) else "factor" if kind in (ast.Mult, ast.Div) else "part"
    yield f"the {part} with {right} is missing" if names_in(node.right) & own else "", lambda old: old.left
    if kind is not ast.Pow:
        missing = f"the {part} with {left} is missing" if names_in(node.left) & own else ""
        yield missing, lambda old: ast.UnaryOp(ast.USub(), old.right) if kind is ast.Sub else old.right
    if kind in (ast.Sub, ast.Div, ast.Mod, ast.FloorDiv):
        yield f"{left} and {right} are the wrong way round", lambda old: ast.BinOp(old.right, old.op, old.left)
    if kind is ast.Mod:
        yield f"the remainder by {right} is missing", lambda old: old.left


def edits_of_number(value: int | float | bool) -> Iterator[Change]:
    """Another constant."""
    if isinstance(value, bool):
        yield f"{not value} stands where {value} belongs", lambda old: ast.Constant(not value)
        return
    others = [value + 1, value - 1, 0, -value] if isinstance(value, int) else [2 * value, value / 2, -value, value + 1, 0.0]
    if isinstance(value, int) and value > 1:
        others += [2 * value]
    for other in others:
        if other != value:
            yield "", lambda old, new=other: number(new)


def number(value: int | float) -> ast.expr:
    """A constant; a negative one as Python itself writes it."""
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def edits_of_slice(node: ast.Slice) -> Iterator[Change]:
    """A slice that begins or ends elsewhere."""
    if node.step is not None:
        yield "the order is not reversed", lambda old: ast.Slice(old.lower, old.upper)
        return
    if node.lower is None and node.upper is None:
        yield "", lambda old: ast.Slice(ast.Constant(1))
        yield "", lambda old: ast.Slice(None, number(-1))
        return
    yield "", lambda old: ast.Slice()
    if node.lower is not None and node.upper is None:
        yield "", lambda old: ast.Slice(None, negative(old.lower))
        yield "", lambda old: ast.Slice(plus_one(old.lower))
    if node.upper is not None and node.lower is None:
        yield "", lambda old: ast.Slice(negative(old.upper))
        yield "", lambda old: ast.Slice(None, plus_one(old.upper))
    if node.upper is not None and node.lower is not None:
        yield "", lambda old: ast.Slice(plus_one(old.lower), old.upper)
        yield "", lambda old: ast.Slice(old.lower, plus_one(old.upper))


def negative(node: ast.expr) -> ast.expr:
    return node.operand if isinstance(node, ast.UnaryOp) else ast.UnaryOp(ast.USub(), node)


def plus_one(node: ast.expr) -> ast.expr:
    return ast.BinOp(node, ast.Add(), ast.Constant(1))


def edits_of_call(node: ast.Call, own: set[str]) -> Iterator[Change]:
    """Another function, another axis, arguments swapped or dropped, the call left out."""
    name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
    of_room = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) in ROOMS
    receiver = None if of_room or not isinstance(node.func, ast.Attribute) else node.func.value
    subject = receiver if receiver is not None else node.args[0] if node.args else None
    for other in NAMES.get(name, ()):
        if isinstance(node.func, ast.Attribute):
            yield f"`{other}` stands where `{name}` belongs", lambda old, new=other: renamed(old, new)
    if name == "mode" and receiver is not None and ast.unparse(receiver).endswith("latent"):
        yield "a random sample of z stands where its mode belongs", sampled
    if name == "sample" and len(node.args) == 2:
        yield "the mode of z stands where a random sample belongs", lambda old: renamed(with_argument(old, 1, None), "mode")
    if name in UNWRAPPED and subject is not None:
        missing = f"`{name}` is missing" + (f" at {mention(subject, own)}" if own & names_in(subject) else "")
        yield missing, (lambda old: old.func.value) if receiver is not None else (lambda old: old.args[0])
    if name in ("atan2", "arctan2") and len(node.args) == 2:
        yield f"`{name.replace('2', '')}` of a quotient stands where `{name}` belongs", lambda old: of_quotient(old, name.replace("2", ""))
    if name == "reversed":
        yield "the order is not reversed", lambda old: old.args[0]
    if name == "len":
        yield "a size is fixed at the one of the first call", frozen
    if name == "range":
        yield "a loop ends one round early", lambda old: ranged(old, -1)
        yield "a loop goes one round too far", lambda old: ranged(old, 1)
    if isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Attribute) and ast.unparse(receiver.func.value) not in ROOMS:
        inner = receiver.func.attr
        if {name, inner} <= IN_ORDER and name != inner:
            yield f"`{name}` comes before `{inner}`, where it belongs after it", exchanged
    plain = node.args if receiver is not None or not of_room else node.args[1:]
    for position, argument in enumerate(node.args):
        if name in AXES and argument in plain and is_axis(argument):
            yield from edits_of_axis(name, argument, lambda old, new, p=position: with_argument(old, p, new))
    for position, keyword in enumerate(node.keywords):
        if keyword.arg in ("dim", "axis"):
            yield from edits_of_axis(name, keyword.value, lambda old, new, p=position: with_keyword(old, p, new))
        elif keyword.arg == "keepdim":
            pass  # without it the shapes rarely fit, and where they do the number of axes differs
        elif keyword.arg in ("min", "max"):
            other = {"min": "max", "max": "min"}[keyword.arg]
            words = f"the bound holds on the wrong side (`{other}=` for `{keyword.arg}=`)"
            yield words, lambda old, p=position, o=other: rekeyed(old, p, o)
        elif keyword.arg is not None:
            yield f"`{keyword.arg}` is left at its default", lambda old, p=position: without_keyword(old, p)
    if len(node.args) >= 2 and name not in ("range",):
        for one in range(len(node.args) - 1):
            a, b = mention(node.args[one], own), mention(node.args[one + 1], own)
            if a != b and not (name in AXES and is_axis(node.args[one + 1])):
                yield f"{a} and {b} are swapped in a call of `{name}`", lambda old, n=one: swapped_arguments(old, n)
    sized = {id(part) for part in only_a_size(node)}
    for position, argument in enumerate(node.args):
        if own & names_in(argument) and id(argument) not in sized and name not in ("range", "reversed", "enumerate"):
            yield f"{mention(argument, own)} is detached on its way into `{name}`", lambda old, p=position: cut_argument(old, p)


def sampled(node: ast.Call) -> ast.Call:
    """latent.mode(params) as latent.sample(params, latent.noise(...)), with a noise for each row."""
    latent, params = node.func.value, node.args[0]
    shape = ast.parse(f"({ast.unparse(params)}).shape[:-1]", mode="eval").body
    noise = ast.Call(ast.Attribute(latent, "noise", ast.Load()), [ast.Starred(shape, ast.Load())], [])
    return ast.Call(ast.Attribute(latent, "sample", ast.Load()), [params, noise], [])


IN_ORDER = set("mean sum amin amax min max std prod cumsum cumprod abs square sqrt exp log tanh sigmoid softplus clamp diff norm".split())


def exchanged(node: ast.Call) -> ast.Call:
    """x.a().b() as x.b().a()"""
    inner = node.func.value
    early = ast.Call(ast.Attribute(inner.func.value, node.func.attr, ast.Load()), node.args, node.keywords)
    return ast.Call(ast.Attribute(early, inner.func.attr, ast.Load()), inner.args, inner.keywords)


AXES = set("mean sum amin amax min max std var argmax argmin any all norm softmax cumsum cumprod unbind stack cat flip".split())
ROOMS = ("torch", "np", "math", "F", "nets", "torch.nn.functional")  # modules, whose functions take all they need as arguments


def is_axis(node: ast.expr) -> bool:
    """Whether an argument is a number, or numbers, known from the text alone."""
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return False
    return isinstance(value, int) or (isinstance(value, tuple) and all(isinstance(each, int) for each in value))


def edits_of_axis(name: str, axis: ast.expr, put: Callable[[Any, ast.expr | None], ast.AST]) -> Iterator[Change]:
    """Another axis, or all of them."""
    value = ast.literal_eval(axis)
    others = [other for other in (0, 1, -1, -2) if other != value] if isinstance(value, int) else list(value)
    for other in others:
        yield f"`{name}` runs over axis {other}, where {value} is right", lambda old, new=other: put(old, number(new))
    if name not in ("softmax", "cumsum", "cumprod", "stack", "cat", "flip", "select", "unbind", "chunk"):
        yield f"`{name}` runs over all axes at once", lambda old: put(old, None)


def names_in(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def of_quotient(node: ast.Call, name: str) -> ast.Call:
    """name(a / b) in the place of a function of a and b."""
    return ast.Call(ast.Attribute(node.func.value, name, ast.Load()), [ast.BinOp(node.args[0], ast.Div(), node.args[1])], [])


def renamed(node: ast.Call, name: str) -> ast.Call:
    return ast.Call(ast.Attribute(node.func.value, name, ast.Load()), node.args, node.keywords)


def ranged(node: ast.Call, more: int) -> ast.Call:
    where = 0 if len(node.args) == 1 else 1
    return with_argument(node, where, ast.BinOp(node.args[where], ast.Add(), number(more)))


def with_argument(node: ast.Call, position: int, new: ast.expr | None) -> ast.Call:
    rest = [new] if new is not None else []
    return ast.Call(node.func, node.args[:position] + rest + node.args[position + 1 :], node.keywords)


def with_keyword(node: ast.Call, position: int, new: ast.expr | None) -> ast.Call:
    rest = [ast.keyword(node.keywords[position].arg, new)] if new is not None else []
    return ast.Call(node.func, node.args, node.keywords[:position] + rest + node.keywords[position + 1 :])


def without_keyword(node: ast.Call, position: int) -> ast.Call:
    return with_keyword(node, position, None)


def rekeyed(node: ast.Call, position: int, name: str) -> ast.Call:
    new = ast.keyword(name, node.keywords[position].value)
    return ast.Call(node.func, node.args, node.keywords[:position] + [new] + node.keywords[position + 1 :])


def swapped_arguments(node: ast.Call, one: int) -> ast.Call:
    parts = list(node.args)
    parts[one], parts[one + 1] = parts[one + 1], parts[one]
    return ast.Call(node.func, parts, node.keywords)


def cut_argument(node: ast.Call, position: int) -> ast.Call:
    return with_argument(node, position, method(node.args[position], "detach"))


def edits_of_use(node: ast.Name, own: set[str], kinds: dict[str, str]) -> Iterator[Change]:
    """Another argument in the place of one, at one place; the argument cut off or left out there."""
    for other in sorted(own):
        if other != node.id and kinds.get(other) == kinds.get(node.id):
            yield f"`{other}` stands where `{node.id}` belongs", lambda old, new=other: ast.Name(new, ast.Load())
    if kinds.get(node.id) == "Tensor":
        yield f"`{node.id}` is detached where it should not be", lambda old: method(old, "detach")
        yield f"an absolute value is taken of `{node.id}`", lambda old: method(old, "abs")
        yield f"`{node.id}` is squared", lambda old: method(old, "square")
        yield f"half of `{node.id}` stands where the whole belongs", lambda old: ast.BinOp(ast.Constant(0.5), ast.Mult(), old)
        yield f"twice `{node.id}` stands where `{node.id}` belongs", lambda old: ast.BinOp(ast.Constant(2), ast.Mult(), old)
    if kinds.get(node.id) in ("float", "float | Tensor", "int"):
        yield f"`1 - {node.id}` stands where `{node.id}` belongs", lambda old: ast.BinOp(ast.Constant(1), ast.Sub(), old)
        yield f"`{node.id}` is one too large at one place", lambda old: ast.BinOp(old, ast.Add(), ast.Constant(1))
        yield f"`{node.id}` is one too small at one place", lambda old: ast.BinOp(old, ast.Sub(), ast.Constant(1))
        yield f"`{node.id}` is squared", lambda old: ast.BinOp(old, ast.Pow(), ast.Constant(2))

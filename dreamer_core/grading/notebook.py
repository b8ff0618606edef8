"""What a student hands in: the answers in a notebook, each with the imports and helpers it needs, as a text of its own.

Nothing of a notebook is run here. Its cells are read as Python; magics and shell lines count for nothing.
"""

import ast
import builtins
import json
import re
import symtable
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dreamer_core.classroom.answer import gap, whole_value
from dreamer_core.classroom.lesson import EXERCISES, notebook_of
from dreamer_core.classroom.spec import Exercise

LARGEST = 50 * 2**20  # bytes of a notebook
CLASSROOM = "dreamer_core.classroom"
ANSWERS = {"solution", "EXERCISES", "right_answers"}  # names of the classroom that lead to right answers
EVERYDAY = {"begin", "budget", "exercise", "glossary", "hint", "parts", "pieces", "progress", "solution"}  # what every notebook imports
NUMBERED = re.compile(r"(?<!\d)(\d\d)_[a-z]")


class NoNotebook(Exception):
    """A file that cannot be graded. Its text is one sentence."""


class Statement(NamedTuple):
    """One statement at the top level of a cell."""

    node: ast.stmt
    text: str
    """Without its @exercise line."""
    exercise: str
    """The number it answers, or nothing."""
    binds: frozenset[str]
    """The names it makes."""


class Taken(NamedTuple):
    """One answer as it was found."""

    exercise: str
    state: str
    """"answer", "blank" (nothing of one's own), "begun" (a `...` is left), "missing", "unreadable" or "unfair"."""
    sentence: str = ""
    """What there is to say of it, if it is not simply an answer."""
    own: str = ""
    """The student's function."""
    source: str = ""
    """The function after everything that it needs: a text that can be run by itself."""
    name: str = ""
    imports: tuple[str, ...] = ()
    """The modules that the text asks for."""


class Book(NamedTuple):
    """One notebook as it was read."""

    number: str
    """As "03"; empty if it cannot be told."""
    answers: dict[str, Taken]
    remarks: list[str]
    """What a teacher should know, one sentence each."""


# --- reading ------------------------------------------------------------------------------------------------


def cells_of(path: Path) -> list[str]:
    """The text of every code cell.

    Raises:
        NoNotebook: there are none to be read.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise NoNotebook(f"{path.name} is a link or no file")
        if path.stat().st_size > LARGEST:
            raise NoNotebook(f"{path.name} is larger than {LARGEST // 2**20} MB")
        cells = json.loads(path.read_bytes().decode("utf-8-sig"))["cells"]
        return [joined(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except OSError as error:
        raise NoNotebook(f"{path.name} could not be read ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise NoNotebook(f"{path.name} is not a notebook (format 4) that can be read") from None


def joined(source: Any) -> str:
    """A cell's source, which may be a list of lines.

    Raises:
        TypeError: it is neither.
    """
    return source if isinstance(source, str) else "".join(source)


def parsed(text: str) -> tuple[str, ast.Module | None]:
    """A cell as Python: its text, with IPython's own lines empty, and its tree; None where it is not Python."""
    plain = "\n".join("" if is_magic(line) else line for line in text.splitlines())
    for attempt in (text, "" if text.lstrip().startswith("%%") else plain):
        try:
            return attempt, ast.parse(attempt)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return plain, None


def is_magic(line: str) -> bool:
    """Whether a line is IPython's and not Python's."""
    bare = line.strip()
    return bare.startswith(("%", "!", "?")) or bare.endswith("?")


def read(path: Path, exercises: dict[str, Exercise] = EXERCISES) -> Book:
    """The answers of a notebook.

    Raises:
        NoNotebook: the file is none.
    """
    return book_of(cells_of(path), path.name, exercises)


def book_of(cells: list[str], name: str = "", exercises: dict[str, Exercise] = EXERCISES) -> Book:
    """The answers in the texts of code cells.

    Args:
        name: of the file.
    """
    statements, broken = [], []
    for cell in cells:
        text, tree = parsed(cell)
        if tree is None:
            broken.append(cell)
        else:
            statements += [statement_of(node, text) for node in tree.body]
    number = number_of(name, cells, exercises)
    asked = [each for each in exercises.values() if notebook_of(each.id) == number]
    extra = [exercises[each.exercise] for each in statements if each.exercise in exercises and notebook_of(each.exercise) != number]
    found = {each.id: take(each, statements, broken, exercises) for each in [*asked, *extra]}
    return Book(number, found, remarks(cells, statements, exercises))


def number_of(name: str, cells: list[str], exercises: dict[str, Exercise]) -> str:
    """Which notebook of the course it is: by its begin("03"), its name, or its exercises."""
    known = {notebook_of(number) for number in exercises}
    begun = [number for cell in cells for number in re.findall(r'^begin\(\s*["\'](\d\d)["\']', cell, re.MULTILINE)]
    named = NUMBERED.findall(name)
    answered = [number.zfill(2) for cell in cells for number in re.findall(r'^@exercise\(\s*["\'](\d+)\.\d+["\']', cell, re.MULTILINE)]
    return next((number for number in [*begun, *named, *answered] if number in known), "")


def statement_of(node: ast.stmt, cell: str) -> Statement:
    """A statement of a cell, with what it binds."""
    number, lines = "", cell.splitlines()
    text = "\n".join(lines[node.lineno - 1 : node.end_lineno])
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        others = [f"@{ast.get_source_segment(cell, mark)}" for mark in node.decorator_list if not answers(mark)]
        number = next((answers(mark) for mark in node.decorator_list if answers(mark)), "")
        text = "\n".join([*others, text])
    elif ";" in text:
        text = ast.get_source_segment(cell, node) or text
    return Statement(node, text, number, frozenset(bound(node)))


def answers(mark: ast.expr) -> str:
    """The number in @exercise("3.2"), or nothing."""
    called = mark.func if isinstance(mark, ast.Call) else None
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    given = [*mark.args, *(word.value for word in mark.keywords)] if name == "exercise" else []
    return str(given[0].value) if len(given) == 1 and isinstance(given[0], ast.Constant) else ""


def bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement makes where it stands."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        yield from ((alias.asname or alias.name).split(".")[0] for alias in node.names)
        return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    if not isinstance(node, ast.Lambda):
        for part in ast.iter_child_nodes(node):
            yield from bound(part)


# --- an answer and what it needs --------------------------------------------------------------------------


def take(asked: Exercise, statements: list[Statement], broken: list[str], exercises: dict[str, Exercise]) -> Taken:
    """One answer: the last one in the notebook that is not blank."""
    places = [place for place, each in enumerate(statements) if each.exercise == asked.id]
    if not places:
        return not_found(asked, statements, broken)
    kinds = {place: kind_of(statements[place].node) for place in places}
    place = next((place for place in reversed(places) if kinds[place] == "answer"), places[-1])
    own = statements[place]
    match kinds[place]:
        case "no function":
            return Taken(asked.id, "unreadable", '@exercise("…") stands above something that is no function.', own.text)
        case "blank":
            return Taken(asked.id, "blank", "Not attempted.", own.text)
        case "begun":
            return Taken(asked.id, "begun", "A `...` is left in the function: take it out, or put code in its place.", own.text)
    needed = gathered(place, statements, exercises)
    unfair = unfair_means([*needed, own.text])
    if unfair:
        return Taken(asked.id, "unfair", unfair, own.text)
    late = [text for text in needed if text.startswith("from __future__")]
    source = "\n\n".join([*late, *(text for text in needed if text not in late), own.text]) + "\n"
    return Taken(asked.id, "answer", "", own.text, source, own.node.name, tuple(modules(source)))


def kind_of(node: ast.stmt) -> str:
    """ "answer", "blank", "begun" or "no function"."""
    if not isinstance(node, ast.FunctionDef):
        return "no function"
    if all(gap(line) or gives_up(line) for line in node.body):
        return "blank"
    left = any(isinstance(value, ast.Constant) and value.value is ... for value in map(whole_value, ast.walk(ast.Module(node.body, []))))
    return "begun" if left else "answer"


def gives_up(line: ast.stmt) -> bool:
    """`raise NotImplementedError`, with which nbgrader fills a gap."""
    return (
        isinstance(line, ast.Raise) and line.exc is not None and ast.unparse(line.exc) in ("NotImplementedError", "NotImplementedError()")
    )


def not_found(asked: Exercise, statements: list[Statement], broken: list[str]) -> Taken:
    """Why there is no answer."""
    name = asked.reference.__name__
    line = f'@exercise("{asked.id}")'
    for cell in broken:
        if re.search(rf"@exercise\(\s*[\"']{re.escape(asked.id)}[\"']", cell):
            return Taken(asked.id, "unreadable", f"Its cell is not Python: {syntax(cell)}.", cell)
    bare = next(
        (each for each in statements if isinstance(each.node, ast.FunctionDef) and each.node.name == name and not each.exercise), None
    )
    if bare is not None:
        sentence = f"The line `{line}` is gone from above `{name}`, so the function is not an answer: put the line back."
        return Taken(asked.id, "missing", sentence, bare.text)
    return Taken(asked.id, "missing", f"There is no function below a line `{line}`.")


def syntax(cell: str) -> str:
    """What is wrong with a text that is not Python."""
    try:
        ast.parse(cell)
    except SyntaxError as error:
        lines = cell.splitlines()
        where = f", in `{lines[error.lineno - 1].strip()[:80]}`" if error.lineno and error.lineno <= len(lines) else ""
        return f"{error.msg}{where}"
    except (ValueError, RecursionError, MemoryError) as error:
        return type(error).__name__
    return "it holds IPython's own commands"


def gathered(place: int, statements: list[Statement], exercises: dict[str, Exercise]) -> list[str]:
    """The texts of all that a statement needs, in the notebook's order.

    Another exercise's function is the course's own, if that is in the agent.
    """
    own = statements[place].binds
    wanted: dict[int, str] = {}
    ask = [(name, place) for name in free_names(statements[place].text)]
    seen = set()
    while ask:
        name, before = ask.pop()
        if (name, before) in seen or name in own:
            continue
        seen.add((name, before))
        earlier = [number for number in range(before) if name in statements[number].binds]
        later = [number for number in range(before + 1, len(statements)) if name in statements[number].binds]
        found = earlier[-1] if earlier else later[0] if later else None
        if found is None:
            continue
        each = statements[found]
        other = exercises.get(each.exercise)
        if other is not None and other.target:
            wanted[found] = course_version(other, name)
            continue
        if is_everyday(each.node) and name not in ANSWERS:
            continue
        wanted[found] = each.text
        late = isinstance(each.node, (ast.FunctionDef, ast.AsyncFunctionDef))  # its names are looked up when it is called
        ask += [(further, place if late else found) for further in free_names(each.text)]
    stars = {number: each.text for number, each in enumerate(statements[:place]) if "*" in each.binds and not is_everyday(each.node)}
    return [text for _, text in sorted((stars | wanted).items())]


def is_everyday(node: ast.stmt) -> bool:
    """Whether a statement is the notebooks' own import of the classroom's commands."""
    return isinstance(node, ast.ImportFrom) and node.module == CLASSROOM and {alias.name for alias in node.names} <= EVERYDAY


def course_version(other: Exercise, name: str) -> str:
    """The line that binds a name to the agent's own function: a mistake in one exercise is not counted again in the next."""
    module, path = other.target.split(":")
    first, *rest = path.split(".")
    return f"from {module} import {first} as {name}" if not rest else f"import {module}\n{name} = {module}.{path}"


def free_names(text: str) -> set[str]:
    """The names that a statement reads and does not make itself."""
    try:
        table = symtable.symtable(text, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError):
        return set()
    return {name for name in read_in(table) if not hasattr(builtins, name)}


def read_in(table: symtable.SymbolTable) -> Iterator[str]:
    """The globals that a scope and those inside it read."""
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from read_in(inner)


def modules(source: str) -> Iterator[str]:
    """The modules that a text may import, anywhere in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name != "*")


# --- means that are not fair ----------------------------------------------------------------------------


def unfair_means(texts: Iterable[str]) -> str:
    """A sentence, if an answer, or what it needs, asks the classroom for right answers."""
    for node in (node for text in texts for node in ast.walk(ast.parse(text))):
        for name in imported(node):
            if name == CLASSROOM or name.startswith(f"{CLASSROOM}."):
                return f"It asks the course for the answer (`{name}`)."
        if isinstance(node, ast.Name) and node.id in ANSWERS:
            return f"It asks the course for the answer (`{node.id}`)."
    return ""


def imported(node: ast.AST) -> list[str]:
    """The modules that an import names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module] if isinstance(node, ast.ImportFrom) and node.module else []


def remarks(cells: list[str], statements: list[Statement], exercises: dict[str, Exercise]) -> list[str]:
    """What else the notebook does that would make a check in the notebook itself worthless; here it has no effect."""
    nodes = [node for each in statements for node in ast.walk(each.node)]
    found = []
    settings = sorted({name for cell in cells for name in re.findall(r"\bDREAMER_(?:STRICT|LEDGER|KEY)\b", cell)})
    if settings:
        found.append(f"The notebook mentions {', '.join(settings)}.")
    inside = sorted({name for node in nodes for name in imported(node) if name.startswith(f"{CLASSROOM}.")})
    if inside:
        found.append(f"The notebook imports what checks the exercises ({', '.join(inside)}).")
    if any("exercise" in each.binds and not is_everyday(each.node) for each in statements):
        found.append("The notebook gives `exercise` another meaning.")
    unknown = sorted({each.exercise for each in statements if each.exercise and each.exercise not in exercises})
    if unknown:
        found.append(f"There is no exercise {', '.join(unknown)}.")
    return [sentence if "no exercise" in sentence else f"{sentence} This has no effect on the marks." for sentence in found]


# --- a folder of submissions -------------------------------------------------------------------------------


class Submission(NamedTuple):
    """What one student handed in."""

    student: str
    books: list[Path]
    strange: list[str]
    """Files that are no notebooks, where there is no notebook at all."""


def submissions(folder: Path) -> list[Submission]:
    """Every student's files: one file each, or one folder each (with other folders inside, as learning platforms make them)."""
    found = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name.lower()):
        if entry.name.startswith((".", "__")):
            continue
        if entry.is_dir() and not entry.is_symlink():
            files = sorted(file for file in entry.rglob("*") if file.is_file() and not hidden(file, entry))
            books = [file for file in files if file.suffix.lower() == ".ipynb"]
            found.append(Submission(entry.name, books, [] if books else [file.name for file in files]))
        elif entry.suffix.lower() == ".ipynb":
            found.append(Submission(student_of(entry), [entry], []))
        else:
            found.append(Submission(entry.stem, [], [entry.name]))
    return merged(found, lambda each: each.student)


def hidden(file: Path, folder: Path) -> bool:
    """Whether a file is one of a tool's own."""
    return any(part.startswith((".", "__")) for part in file.relative_to(folder).parts)


def student_of(path: Path) -> str:
    """The name before the notebook's own: "anna_03_rssm.ipynb" is Anna's, and so is "anna.ipynb"."""
    return NUMBERED.split(path.stem)[0].strip(" _-.") or path.stem


def merged(found: list[Submission], key: Callable[[Submission], str]) -> list[Submission]:
    """Files of the same student are one submission."""
    rows: dict[str, Submission] = {}
    for each in found:
        before = rows.get(key(each), Submission(each.student, [], []))
        books = before.books + each.books
        rows[key(each)] = Submission(each.student, books, [] if books else before.strange + each.strange)
    return list(rows.values())

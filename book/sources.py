"""Writes what Sphinx makes pages of: notebooks, glossary, exercises, results, teaching and the package, each from where it is kept.

    python book/sources.py build/book/source

Nothing is executed, and nothing is written twice: a page that is not up to date cannot be in the site.
"""

import argparse
import html
import inspect
import posixpath
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from dreamer_core.classroom.build import Build
from dreamer_core.classroom.glossary import ENTRIES, SIZES
from dreamer_core.classroom.lesson import BUILDS, EXERCISES, notebook_of
from dreamer_core.classroom.paste import cell_of, pasteable
from dreamer_core.classroom.spec import DIFFICULTY, IMPORTANCE, Exercise
from dreamer_core.study import stored

ROOT = Path(__file__).resolve().parents[1]
LINKS = {
    "The course": "contents.html",
    "Exercises": "exercises.html",
    "Glossary": "glossary.html",
    "Results": "results/index.html",
    "Teaching": "teaching/index.html",
    "The code": "api/index.html",
}
ROOMS = {
    "": "The agent",
    "paper": "Pieces of the paper",
    "worlds": "Worlds",
    "yardsticks": "Yardsticks",
    "study": "Studies",
    "viz": "Pictures",
    "clinic": "The clinic",
    "classroom": "The classroom",
    "grading": "Marks",
    "look": "A page of a run",
}
"""What the folders of the package are called, in the order of the site."""


# --- notebooks ---------------------------------------------------------------------------------------


def notebooks() -> list[Path]:
    """The course's notebooks in reading order."""
    return sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def title(notebook: Path) -> str:
    """What a notebook's first line says."""
    first = nbformat.read(notebook, 4).cells[0].source
    return first.splitlines()[0].removeprefix("# ")


def details(summary: str, *inside: str, kind: str = "") -> str:
    """A part of a page that opens when its summary is clicked; `inside` is Markdown."""
    return "\n\n".join([f'<details class="{kind}"><summary>{html.escape(summary)}</summary>', *inside, "</details>"])


def help_for(exercise: Exercise) -> str:
    """Hints, mildest first and one inside the other's reach, and the solution: all shut."""
    place = f"exercise-{exercise.id.replace('.', '-')}"
    anchor = f'<p class="exercise" id="{place}"><b>Help with exercise {exercise.id}</b> ({levels(exercise)})</p>'
    count = len(exercise.hints)
    hints = [details(f"Hint {number} of {count}", hint, kind="hint") for number, hint in enumerate(exercise.hints, 1)]
    answer = cell_of(exercise, {}) if isinstance(exercise, Build) else pasteable(exercise, {})
    return "\n\n".join([anchor, *hints, details("Solution", f"```python\n{answer}\n```", kind="solution")])


def levels(exercise: Exercise | Build) -> str:
    """Difficulty, importance and minutes, in words."""
    return f"{DIFFICULTY[exercise.difficulty]}, {IMPORTANCE[exercise.importance]}, about {exercise.minutes} minutes"


def asked_in(cell: NotebookNode) -> list[Exercise | Build]:
    """The exercises and builds that a cell asks for."""
    known = EXERCISES | BUILDS
    return [known[number] for number in re.findall(r'^@(?:exercise|build)\("([\dA-Z.]+)"\)', cell.source, re.MULTILINE) if number in known]


def folded(cell: NotebookNode) -> None:
    """What JupyterLab folds, a page folds too: results are guessed first."""
    seen = cell.metadata.get("jupyter", {})
    tags = [f"hide-{part}" for part, key in (("input", "source_hidden"), ("output", "outputs_hidden")) if seen.get(key)]
    if len(tags) == 2:
        tags = ["hide-cell"]
    if tags and cell.outputs:
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), *tags]


def still(cell: NotebookNode) -> None:
    """Leave out of the outputs what needs a kernel; where the widget was, lead to the page that needs none."""
    for output in cell.outputs:
        data = output.get("data", {})
        if data.pop("application/vnd.jupyter.widget-view+json", None):
            data["text/html"] = '<p><a href="../index.html"><b>Drive this dream here, in your browser.</b></a></p>'


def course_page(notebook: Path) -> NotebookNode:
    """A notebook as a page: its stored outputs, links that lead inside the site, and help under each exercise."""
    book, cells = nbformat.read(notebook, 4), []
    for cell in book.cells:
        cells.append(cell)
        if cell.cell_type == "markdown":
            cell.source = re.sub(r"\[[^\]]*\]\(\.\./[^)\s]+\)", lambda found: linked(rooted(found[0], "notebooks"), 1), cell.source)
            continue
        folded(cell)
        still(cell)
        cells += [nbformat.v4.new_markdown_cell(help_for(exercise)) for exercise in asked_in(cell)]
    book.cells = cells
    book.metadata.pop("widgets", None)
    return book


# --- texts -------------------------------------------------------------------------------------------


def sections(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a Markdown text that begin with "## ": title and whole text; what stands before them has the title ""."""
    for number, part in enumerate(re.split(r"^## ", text, flags=re.MULTILINE)):
        yield ("", part) if number == 0 else (part.splitlines()[0], f"## {part}")


def linked(text: str, depth: int) -> str:
    """A text of the project's first folder as a page `depth` folders down: links lead to pages or to pictures, else only the words stay."""
    up = "../" * depth

    def link(found: re.Match) -> str:
        words, target = found[2], found[3]
        path, _, anchor = target.partition("#")
        if found[1]:
            return f"![{words}]({up}{target})"
        if re.match(r"https?:", target):
            return found[0]
        if path.startswith("notebooks/") and path.endswith(".ipynb"):
            return f"[{words}]({up}{target})"
        if path == "README.md":
            return f"[{words}]({up}contents.md)"
        if path == "RESULTS.md":
            return f"[{words}]({up}results/index.md)"
        if path == "TEACHING.md":
            return f"[{words}]({up}teaching/index.md)"
        if path.startswith("teaching/") and path in teachers():
            return f"[{words}]({up}{target})"
        folder = path.rstrip("/").removeprefix("dreamer_core").strip("/")
        if path.startswith("dreamer_core") and (ROOT / path).is_dir():
            return f"[{words}]({up}api/index.md)" if not folder else f"[{words}]({up}api/{folder}.md)"
        if path.startswith("dreamer_core/") and path.endswith(".py") and "__" not in path:
            return f"[{words}]({up}api/{path.removeprefix('dreamer_core/').removesuffix('.py').replace('/', '.')}.rst)"
        return words

    return re.sub(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def toctree(entries: list[str], caption: str = "", hidden: bool = True, depth: int = 1) -> str:
    """Sphinx's list of pages."""
    options = [f":caption: {caption}"] * bool(caption) + [":hidden:"] * hidden + [f":maxdepth: {depth}"]
    return "\n".join(["```{toctree}", *options, "", *entries, "```"])


def contents() -> dict[str, str]:
    """The course's first page and the project's, both out of README.md."""
    parts = dict(sections((ROOT / "README.md").read_text(encoding="utf-8")))
    trees = [
        toctree(["The dream in your browser <first>"], "Begin"),
        toctree([f"notebooks/{path.stem}" for path in notebooks()], "The course"),
        toctree(["exercises", "glossary"], "Beside it"),
        toctree(["results/index", "project", "api/index"], "Behind it"),
        toctree(["teaching/index"], "For teachers"),
    ]
    drive = '<p><a class="drive-link" href="index.html">Drive the dream in your browser: no installation, no network</a></p>'
    head = re.sub(r"^!\[", f"{drive}\n\n![", parts.pop(""), count=1, flags=re.MULTILINE)
    course = parts.pop("The course")
    rest = "\n\n".join(parts.values())
    return {
        "contents.md": linked("\n\n".join([head, course]), 0) + "\n\n" + "\n\n".join(trees) + "\n",
        "project.md": "# The project\n\n" + linked(rest, 0),
        "first.md": f"# The dream in your browser\n\n{drive}\n\n" + FIRST,
    }


FIRST = """A pendulum on the left, and on the right what a learned world model imagines of it. Both get your pushes. The model
computes in the page itself: the encoder, the recurrent cell, the prior and the posterior, the decoder, the reward head and the actor
of the agent that the notebooks load.

* `engine.js` is the model in plain JavaScript. A test compares its numbers with torch's over 200 steps, for both kinds of z.
* The page is one file. Save it, and it works without a network.
* To make one of your own: `python -m dreamer_core.viz.drive dream.html`.
"""


def glossary_page() -> str:
    """All symbols, with the notebooks that use them."""
    table = ["| symbol | meaning | in the code | shape | notebooks |", "|---|---|---|---|---|"]
    pages = {path.stem[:2]: path.stem for path in notebooks()}
    for entry in ENTRIES:
        where = ", ".join(f"[{number}](notebooks/{pages[number]}.ipynb)" for number in entry.notebooks if number in pages)
        table.append(f"| ${entry.symbol}$ | {entry.meaning} | `{entry.name}` | {entry.shape} | {where} |")
    sizes = ["| size | of what |", "|---|---|", *(f"| {size} | {meaning} |" for size, meaning in SIZES.items())]
    return "\n".join(
        [
            "# Glossary",
            "",
            "Every symbol of the course, what it is called in the code, and its shape.",
            "",
            *table,
            "",
            "## Sizes",
            "",
            *sizes,
        ]
    )


def exercises_page() -> str:
    """All exercises, each with a link to its place."""
    parts = [
        "# Exercises",
        "",
        "Each is a function that you write in a notebook. If it is right, the agent runs yours from then on. Those with a letter are "
        "*builds*: a whole class or loop, for who wants to take the long path.",
    ]
    for path in notebooks():
        own = [exercise for exercise in (EXERCISES | BUILDS).values() if notebook_of(exercise.id) == path.stem[:2]]
        if not own:
            continue
        parts += ["", f"## {title(path)}", "", "| exercise | difficulty | importance | minutes |", "|---|---|---|---|"]
        for exercise in own:
            place = f"notebooks/{path.stem}.html#exercise-{exercise.id.replace('.', '-')}"
            level = f"{DIFFICULTY[exercise.difficulty]} | {IMPORTANCE[exercise.importance]} | {exercise.minutes}"
            parts.append(f'| <a href="{place}">{exercise.id} {html.escape(exercise.title)}</a> | {level} |')
    return "\n".join(parts)


def results() -> dict[str, str]:
    """RESULTS.md, a page for each of its parts."""
    text = (ROOT / "RESULTS.md").read_text(encoding="utf-8")
    pages, order = {}, []
    for name, part in sections(text):
        if not name:
            head = part
            continue
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        pages[f"results/{stem}.md"] = linked(re.sub(r"^##", "#", part, flags=re.MULTILINE), 1)
        order.append(stem)
    pages["results/index.md"] = linked(head, 1) + "\n\n" + toctree(order, hidden=False) + "\n"
    return pages


# --- teaching ----------------------------------------------------------------------------------------


def teachers() -> list[str]:
    """The teacher's pages by their paths; the answers to the quizzes stay out, for students read the site."""
    kept = sorted(path for path in (ROOT / "teaching").glob("*.md") if path.stem != "answers")
    return [path.relative_to(ROOT).as_posix() for path in kept]


def rooted(text: str, folder: str) -> str:
    """A text of a folder with links as they would be in the project's first folder."""

    def link(found: re.Match) -> str:
        outside = re.match(r"https?:|#", found[2])
        return found[0] if outside else f"{found[1]}({posixpath.normpath(posixpath.join(folder, found[2]))})"

    return re.sub(r"(\[[^\]]*\])\(([^)\s]+)\)", link, text)


def teaching() -> dict[str, str]:
    """TEACHING.md and the pages beside it."""
    pages = {name: linked(rooted((ROOT / name).read_text(encoding="utf-8"), "teaching"), 1) for name in teachers()}
    titles = {name: text.splitlines()[0].removeprefix("# ").removeprefix("For the teacher: ") for name, text in pages.items()}
    tree = toctree([f"{title} <{Path(name).stem}>" for name, title in titles.items()])
    pages["teaching/index.md"] = linked((ROOT / "TEACHING.md").read_text(encoding="utf-8"), 1) + "\n\n" + tree + "\n"
    return pages


# --- the package -------------------------------------------------------------------------------------


def modules() -> dict[str, list[str]]:
    """The package's modules by room, as "agent" or "viz.fan"; without those of each exercise, which would tell the solutions."""
    found: dict[str, list[str]] = {room: [] for room in ROOMS}
    for path in sorted((ROOT / "dreamer_core").rglob("*.py")):
        *room, name = path.relative_to(ROOT / "dreamer_core").with_suffix("").parts
        if name.startswith("__") or len(room) > 1:
            continue
        found["".join(room)].append(".".join([*room, name]))
    return {room: names for room, names in found.items() if names}


def api() -> dict[str, str]:
    """A page for each module, one for each room, and one for all of them."""
    pages = {}
    rooms = modules()
    for room, names in rooms.items():
        for name in names:
            heading = f"``dreamer_core.{name}``"
            pages[f"api/{name}.rst"] = f"{heading}\n{'=' * len(heading)}\n\n.. automodule:: dreamer_core.{name}\n"
        if room:
            pages[f"api/{room}.md"] = f"# {ROOMS[room]}\n\n" + toctree(names_in(names), hidden=False) + "\n"
    listed = [*names_in(rooms[""]), *(room for room in rooms if room)]
    pages["api/index.md"] = (
        f"# The code\n\n{ROOMS['']} first: these modules are meant to be read.\n\n" + toctree(listed, hidden=False) + "\n"
    )
    return pages


def names_in(names: list[str]) -> list[str]:
    """Entries for modules in a list of pages, without the package's name."""
    return [f"{name.split('.')[-1]} <{name}>" for name in names]


# --- all of it ---------------------------------------------------------------------------------------


def write(place: Path) -> None:
    """Write every source into an empty folder."""
    shutil.rmtree(place, ignore_errors=True)
    texts = contents() | results() | teaching() | api() | {"glossary.md": glossary_page(), "exercises.md": exercises_page()}
    for name, text in texts.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, encoding="utf-8")
    (place / "notebooks").mkdir(exist_ok=True)
    for path in notebooks():
        nbformat.write(course_page(path), place / "notebooks" / path.name)
    for path in [*stored.FOLDER.parent.glob("*.png"), *stored.FOLDER.glob("*.png")]:
        copy = place / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=inspect.getdoc(write))
    parser.add_argument("place", type=Path, help="the folder to write; what is in it is lost")
    write(parser.parse_args().place)

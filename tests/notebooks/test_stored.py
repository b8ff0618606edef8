"""The notebooks as they are stored: what a reader on a page sees without running anything."""

import json
import re
import subprocess
import sys

import pytest

from dreamer_core.classroom.elsewhere import OLD_GUARD
from dreamer_core.classroom.lesson import EXERCISES, notebook_of
from dreamer_core.classroom.spec import DIFFICULTY, IMPORTANCE
from dreamer_core.clinic.patient import MINUTES
from notebooks.books import PATHS, READING, ROOT, code_cells, prose, read, reading_minutes, stubs

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
PATIENT = re.compile(r"^[a-e] = patient\(", re.MULTILINE)  # one that is left to the learner
TIME = re.compile(r"\*\*Time\*\* (\d+) min reading · (\d+) s running · (\d+) min exercises")


def test_they_are_numbered_in_reading_order():
    """The first ten build v1, then comes the clinic, then the course goes back to the paper; no number is left out."""
    numbers = [path.name[:2] for path in PATHS]
    assert numbers == [f"{number:02d}" for number in range(len(numbers))]
    assert all(number in numbers for number in {notebook_of(one) for one in EXERCISES})


@each
def test_it_is_stored_as_it_ran(path):
    code = code_cells(path)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    told = [output.text for cell in code for output in cell.outputs if output.get("name") == "stderr"]
    assert not told, f"a warning is stored, with a path of the machine that ran it: {told}"
    assert max(len(OLD_GUARD.sub("", cell.source).splitlines()) for cell in code) <= 25
    assert path.stat().st_size < 1_500_000


@each
def test_every_figure_has_alternative_text(path):
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    html = "".join("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    images = re.findall(r"<img[^>]*>", html)
    assert images and all(re.search(r'alt="[^"]{20,}"', image) for image in images)
    assert not [output for output in outputs if "image/png" in output.get("data", {})]


@each
def test_links_resolve(path):
    for target in re.findall(r"\]\(([^)#]+)\)", prose(path)):
        assert target.startswith("http") or (path.parent / target).exists(), target


@each
def test_it_links_to_its_neighbours_and_to_the_overview(path):
    text, number = prose(path), PATHS.index(path)
    assert "(../README.md)" in text
    for neighbour in PATHS[max(number - 1, 0) : number + 2]:
        assert neighbour == path or f"({neighbour.name})" in text, neighbour.name


@each
def test_it_has_the_parts_every_notebook_has(path):
    text = prose(path)
    for heading in ("## Recap", "## What can go wrong", "## Further reading"):
        assert heading in text, heading
    assert "**After this notebook you can**" in text and "**Needs**" in text
    first = code_cells(path)[0].source
    assert "from dreamer_core.classroom import" in first or "from dreamer_core.classroom import" in code_cells(path)[1].source
    number = path.name[:2]
    calls = "\n".join(cell.source for cell in code_cells(path))
    assert f'begin("{number}")' in calls and f'glossary("{number}")' in calls


@each
def test_stated_minutes_of_exercises_are_true_within_a_factor_of_two(path):
    """Against the minutes each exercise states, and each patient. The seconds of running are held in test_minutes.py, by a measurement."""
    _, _, exercises = map(int, TIME.search(prose(path)).groups())
    own = sum(exercise.minutes for exercise in EXERCISES.values() if notebook_of(exercise.id) == path.name[:2])
    own += MINUTES * sum(bool(PATIENT.search(cell.source)) for cell in code_cells(path))
    assert own / 2 <= exercises <= 2 * own, f"stated {exercises} min, exercises say {own}"


@each
def test_stated_minutes_of_reading_are_a_newcomers(path):
    stated, _, _ = map(int, TIME.search(prose(path)).groups())
    measured = reading_minutes(path)
    assert abs(stated - measured) <= 5, f"stated {stated} min, words, equations and cells say {measured:.0f}"


def test_how_reading_is_measured_is_said():
    cell = f"{60 * READING['cell']:.0f} seconds for each cell"
    told = f"{READING['words']} words a minute, a minute and a half for each displayed equation, {cell}"
    assert (
        READING["equation"] == 1.5
        and told in prose(PATHS[0])
        and told in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    )


def test_the_readme_adds_the_minutes_up():
    reading, running, exercises = zip(*(map(int, TIME.search(prose(path)).groups()) for path in PATHS))
    hours = round(sum(reading) / 60), round(sum(exercises) / 60)
    told = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert hours == (18, 10) and "eighteen hours of reading" in told and "and ten of exercises" in told, (
        f"the notebooks state {hours} hours"
    )
    assert max(running) <= 140 and "no notebook takes much more than two minutes to run" in told, f"one states {max(running)} s"


def is_hidden(cell) -> bool:
    """Whether JupyterLab shows the stored output of a cell only when asked to."""
    return cell.cell_type == "code" and cell.metadata.get("jupyter", {}).get("outputs_hidden", False)


@each
def test_every_prediction_has_a_hidden_result_below_it(path):
    """Predict, commit, reveal: a page that is opened must not show the answer beside the question."""
    cells = read(path).cells
    asks = [n for n, cell in enumerate(cells) if cell.cell_type == "markdown" and "*Predict" in cell.source]
    hidden = [n for n, cell in enumerate(cells) if is_hidden(cell)]
    for n, end in zip(asks, [*asks[1:], len(cells)]):
        told = re.search(r"\*Predict[^\n]*", cells[n].source)[0]
        assert any(n < below < end for below in hidden), f"no hidden output (jupyter.outputs_hidden) follows on: {told}"
    code = [cell for cell in cells if cell.cell_type == "code"]
    for name in {name for cell in code for name in re.findall(r"\bmy_guess\w*", cell.source)}:
        asked = rf"^(?:my_\w+, )*{name}\b[\w, ]* = "  # alone or among others
        answers = [cell for cell in code if re.search(rf"\b{name}\b", cell.source) and not re.search(asked, cell.source, re.MULTILINE)]
        assert answers, f"no cell holds {name} against the result"
        for cell in answers:
            assert is_hidden(cell), f"the cell that holds {name} against the result shows its output: {cell.source.splitlines()[0]}"


@each
def test_every_hidden_result_is_announced(path):
    """Whoever finds a closed output must know how to open it."""
    announced = False
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            announced = "**Reveal.**" in cell.source or (announced and "*Predict" not in cell.source)
        assert announced or not is_hidden(cell), f"no '**Reveal.**' in the words above: {cell.source.splitlines()[0]}"


def first_line(cell) -> str:
    """What JupyterLab shows of an output that is folded: the first line of the first output that is not empty, tags and all."""
    first = next(iter(cell.outputs), {})
    text = first.get("text") or first.get("data", {}).get("text/html") or first.get("data", {}).get("text/plain") or ""
    return next(filter(None, text.split("\n")), "")


@each
def test_the_first_line_of_a_hidden_result_tells_nothing(path):
    """It stands in the place of the folded output."""
    for cell in filter(is_hidden, read(path).cells):
        told = re.sub("<[^>]*>", "", first_line(cell)) if "alt=" not in first_line(cell) else first_line(cell)
        assert told.endswith(":") or not re.search(r"\d", told), f"a folded output shows its result: {told[:100]}"


def test_an_exported_page_shows_what_is_hidden():
    """HTML has no bar to click."""
    import nbformat
    from nbconvert import HTMLExporter

    said = nbformat.v4.new_output("stream", name="stdout", text="the result of it all")
    cell = nbformat.v4.new_code_cell("1 + 1", metadata={"jupyter": {"outputs_hidden": True}}, outputs=[said])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    assert "the result of it all" in page, "an exported page keeps the output of a cell with outputs_hidden to itself"


@each
def test_its_exercises_are_the_ones_the_course_defines(path):
    own = [number for number in EXERCISES if notebook_of(number) == path.name[:2]]
    assert list(stubs(path)) == own
    for number in own:
        asked = EXERCISES[number]
        said = f"{DIFFICULTY[asked.difficulty]}, {IMPORTANCE[asked.importance]}, {asked.minutes} min"
        heading = rf"^### Exercise {re.escape(number)} · .*\S \({re.escape(said)}\)$"
        assert re.search(heading, prose(path), re.MULTILINE), f"no heading for {number} that ends with ({said})"


def test_nothing_is_misspelt():
    """British and American forms both pass."""
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", "--ignore-words-list", "te,nd,sac,hist", "-"],
        input="\n\n".join(prose(path) for path in PATHS) + "\n".join(cell.source for path in PATHS for cell in code_cells(path)),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.stdout == "", done.stdout


@each
def test_it_is_valid_and_carries_no_widget_state(path):
    import nbformat

    notebook = read(path)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    assert json.loads(path.read_text(encoding="utf-8"))["metadata"]["kernelspec"]["name"] == "python3"
    assert str(ROOT) not in path.read_text(encoding="utf-8")

"""The sources of the site, without Sphinx; the pages made of them are visited in tests/browser/test_book.py."""

import re
import sys
from pathlib import Path

import nbformat
import pytest

from dreamer_core.classroom.glossary import ENTRIES
from dreamer_core.classroom.lesson import BUILDS, EXERCISES

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book"))
import sources  # noqa: E402


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("sources") / "source"
    place.mkdir()
    (place / "old.md").write_text("# A page that is no more", encoding="utf-8")
    sources.write(place)
    return place


def test_every_notebook_module_and_study_has_a_page_and_nothing_else_stays(written):
    names = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.suffix in (".md", ".rst", ".ipynb")}
    books = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    core = {f"api/{path.stem}.rst" for path in (ROOT / "dreamer_core").glob("*.py") if not path.stem.startswith("_")}
    studies = re.findall(r"^## ", (ROOT / "RESULTS.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert books | core | {"contents.md", "project.md", "glossary.md", "exercises.md", "api/viz.drive.rst"} <= names
    assert sum(name.startswith("results/") for name in names) == len(studies) + 1
    assert "old.md" not in names, "a page of an earlier build is still there"
    assert not [name for name in names if "exercises." in name and name.startswith("api/")], "the code pages tell the exercises' mistakes"


def test_every_page_is_in_a_list_of_pages(written):
    """Otherwise nobody finds it, and Sphinx complains."""
    listed = {"contents"}
    for path in written.rglob("*.md"):
        for block in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            folder = path.relative_to(written).parent
            listed |= {(folder / re.sub(r".*<(.*)>", r"\1", entry)).as_posix() for entry in entries}
    pages = {path.relative_to(written).with_suffix("").as_posix() if path.suffix != ".rst" else path.relative_to(written).as_posix()[:-4]
             for path in written.rglob("*") if path.suffix in (".md", ".rst", ".ipynb")}  # fmt: skip
    assert pages == listed, f"not listed: {sorted(pages - listed)}; listed and not there: {sorted(listed - pages)}"


def test_notebooks_come_as_they_are_stored_with_help_under_each_exercise(written):
    helped = []
    for path in sources.notebooks():
        before, after = nbformat.read(path, 4), nbformat.read(written / "notebooks" / path.name, 4)
        kept = [cell for cell in after.cells if 'class="exercise"' not in cell.source]
        assert [cell.cell_type for cell in kept] == [cell.cell_type for cell in before.cells]
        for old, new in zip(before.cells, kept):
            if old.cell_type == "code":
                assert old.source == new.source and old.execution_count == new.execution_count
                assert len(old.outputs) == len(new.outputs), f"{path.name}: an output of a cell is lost"
        helped += re.findall(r'id="exercise-([\dA-Z-]+)"', "\n".join(cell.source for cell in after.cells))
        text = "\n".join(cell.source for cell in after.cells if cell.cell_type == "markdown")
        assert "](../README.md)" not in text and "](../RESULTS.md)" not in text
        assert "widget-view" not in str(after)
    short = [each for each in helped if each.split("-")[1].isdigit()]
    assert short == [number.replace(".", "-") for number in EXERCISES], "not each exercise has its help, once and in its order"
    larger = [each for each in helped if each not in short]
    assert larger == [number.replace(".", "-") for number in BUILDS], "not each build has its help, once and in its order"


def test_what_a_notebook_folds_a_page_folds():
    cells = [cell for path in sources.notebooks() for cell in sources.course_page(path).cells if cell.cell_type == "code"]
    for cell in cells:
        folds = cell.metadata.get("jupyter", {})
        tags = set(cell.metadata.get("tags", []))
        both = folds.get("outputs_hidden") and folds.get("source_hidden")
        if cell.outputs and folds.get("outputs_hidden"):
            assert ("hide-cell" if both else "hide-output") in tags, f"a result is told before it is guessed:\n{cell.source}"


def test_help_holds_all_hints_and_the_solution_shut():
    for exercise in (EXERCISES | BUILDS).values():
        text = sources.help_for(exercise)
        assert text.count("<details") == text.count("</details>") == len(exercise.hints) + 1
        assert "<details open" not in text and re.search(r"```python\n(.*\n)*(def|class) ", text), exercise.id
        assert all(hint in text for hint in exercise.hints)


def test_the_glossary_holds_every_symbol(written):
    text = (written / "glossary.md").read_text(encoding="utf-8")
    assert all(f"| ${entry.symbol}$ | {entry.meaning} |" in text for entry in ENTRIES)
    assert (written / "notebooks" / "03_rssm.ipynb").exists() and "(notebooks/03_rssm.ipynb)" in text


@pytest.mark.parametrize(
    "text, depth, expected",
    [
        ("[03](notebooks/03_rssm.ipynb)", 0, "[03](notebooks/03_rssm.ipynb)"),
        ("[03](notebooks/03_rssm.ipynb)", 1, "[03](../notebooks/03_rssm.ipynb)"),
        ("![alt](notebooks/assets/dream.png)", 1, "![alt](../notebooks/assets/dream.png)"),
        ("[all](RESULTS.md)", 0, "[all](results/index.md)"),
        ("[`dreamer_core`](dreamer_core)", 0, "[`dreamer_core`](api/index.md)"),
        ("[viz](dreamer_core/viz)", 0, "[viz](api/viz.md)"),
        ("[plan](dreamer_core/study/plan.py)", 1, "[plan](../api/study.plan.rst)"),
        ("[main](dreamer_core/study/__main__.py)", 0, "main"),
        ("[suite](studies/suite.yaml)", 0, "suite"),
        ("[web](https://example.org/a)", 2, "[web](https://example.org/a)"),
    ],
)
def test_links_lead_inside_the_site_or_nowhere(text, depth, expected):
    assert sources.linked(text, depth) == expected


def test_parts_of_a_text():
    assert list(sources.sections("a\n\n## One\nb\n### x\n## Two\nc\n")) == [
        ("", "a\n\n"),
        ("One", "## One\nb\n### x\n"),
        ("Two", "## Two\nc\n"),
    ]

"""One address, and all that is written from it: the lines for Colab, and the links."""

import json
import re

import pytest

import dreamer_core
from dreamer_core.classroom import elsewhere
from dreamer_core.errors import ConfigError

KNOWN = "https://github.com/OWNER/NAME"
RELEASE = f"v{dreamer_core.__version__}"
README = f"# Title\n\n{elsewhere.BEGIN}\nold\n{elsewhere.END}\n\nrest\n"


def book(source):
    cell = {"cell_type": "code", "source": source, "outputs": [{"text": "kept"}], "execution_count": 1, "metadata": {}}
    return {"cells": [{"cell_type": "markdown", "source": ["# Title"], "metadata": {}}, cell, dict(cell)], "metadata": {}}


@pytest.fixture
def course(tmp_path):
    """A small course; its function sets the address."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_one.ipynb").write_text(json.dumps(book(["x = 1\n", "x"])), encoding="utf-8")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")

    def publish(address):
        urls = f'[project.urls]\nRepository = "{address}"\n' if address else ""
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "dreamer-core"\n{urls}', encoding="utf-8")
        return tmp_path

    return publish


def test_the_files_agree_with_the_address_in_pyproject():
    stale = [path.name for path, text in elsewhere.written().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, f"{stale} do not name the address and the release of pyproject.toml: run `make links`"


def test_no_other_file_names_an_address_of_its_own():
    """Colab, Binder and Codespaces are linked from README.md alone, between the marks."""
    text = (elsewhere.ROOT / "README.md").read_text(encoding="utf-8")
    outside = text.split(elsewhere.BEGIN)[0] + text.split(elsewhere.END)[1]
    for place in ("colab.research", "mybinder.org/", "codespaces.new"):
        assert place not in outside, f"README.md links to {place} outside of the marks"


@pytest.mark.parametrize("source", [["x = 1\n", "x"], "x = 1\nx"])
def test_the_lines_for_colab_come_first_and_once(source):
    """Written twice, and for another address the third time; a cell's text stays what it was, a list of lines or a string."""
    made = book(source)
    for repository in ("", "", KNOWN):
        made = elsewhere.guarded(made, repository)
        first, second = made["cells"][1:]
        text = "".join(first["source"])
        assert isinstance(first["source"], type(source)) and text.endswith("\n\nx = 1\nx")
        assert text.count("google.colab") == 1 and elsewhere.source(repository) in text
        assert second["source"] == source and first["outputs"] == [{"text": "kept"}]


def test_with_an_address_all_names_the_release(course):
    root = course(KNOWN + ".git")
    texts = {path.name: text for path, text in elsewhere.written(root).items()}
    assert f"{KNOWN}/archive/refs/tags/{RELEASE}.zip" in texts["00_one.ipynb"]
    readme = texts["README.md"]
    assert f"(https://colab.research.google.com/github/OWNER/NAME/blob/{RELEASE}/notebooks/00_one.ipynb)" in readme
    assert f"(https://mybinder.org/v2/gh/OWNER/NAME/{RELEASE}?urlpath=lab/tree/notebooks/00_one.ipynb)" in readme
    assert readme.startswith("# Title\n") and readme.endswith("\n\nrest\n") and "old" not in readme


def test_without_an_address_a_sentence_says_what_to_do(course):
    readme = elsewhere.written(course(""))[course("") / "README.md"]
    assert "`make links`" in readme and "https://" not in readme
    assert re.search(r"whl", elsewhere.written(course(""))[course("") / "notebooks" / "00_one.ipynb"])


@pytest.mark.parametrize("address", ["git@github.com:OWNER/NAME", "https://github.com/OWNER", "https://example.org/OWNER/NAME"])
def test_an_address_that_colab_cannot_open_is_refused(course, address):
    with pytest.raises(ConfigError, match="https://github.com/OWNER/NAME"):
        elsewhere.written(course(address))


def test_a_readme_without_its_marks_is_refused(course):
    root = course(KNOWN)
    (root / "README.md").write_text("# Title\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="README.md lacks"):
        elsewhere.written(root)

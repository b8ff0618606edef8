"""The package as a wheel: it holds what notebooks load, so that a single notebook runs in an empty folder."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest

from dreamer_core import assets
from dreamer_core.classroom import elsewhere

pytest.importorskip("setuptools", reason="setuptools is not installed, and a wheel is built without a network")

ROOT = Path(__file__).parents[1]
PROJECT = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
COLAB = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')"


def build(folder, kind, out):
    """The file that setuptools makes of a folder: an "sdist" or a "wheel"."""
    script = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, f"no {kind} of {folder}:\n{done.stderr[-3000:]}"
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """By way of a source distribution, as `python -m build` and a release do it."""
    place = tmp_path_factory.mktemp("wheel")
    for name in PROJECT:
        shutil.copy(ROOT / name, place)
    own = shutil.ignore_patterns("__pycache__", "my_answers*")
    shutil.copytree(ROOT / "dreamer_core", place / "dreamer_core", ignore=own)
    shutil.copytree(ROOT / "notebooks" / "assets", place / "notebooks" / "assets", ignore=own)
    source = build(place, "sdist", place)
    with tarfile.open(source) as packed:
        packed.extractall(place / "unpacked", filter="data")
    return build(place / "unpacked" / source.name.removesuffix(".tar.gz"), "wheel", place)


def test_it_holds_every_file_that_the_repository_keeps(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    kept = {f"dreamer_core/assets/{path.relative_to(assets.REPOSITORY).as_posix()}" for path in assets.REPOSITORY.rglob("*.*")}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "dreamer_core").rglob("*.*") if path.suffix != ".pyc"}
    assert kept and not kept - names, f"left out of the wheel: {sorted(kept - names)}"
    assert not code - names, f"left out of the wheel: {sorted(code - names)}"
    more = {name for name in names - kept - code if ".dist-info/" not in name}
    assert not more, f"the wheel holds what is nowhere kept: {sorted(more)}"


def test_its_name_is_the_one_that_the_notebooks_ask_for(wheel):
    assert elsewhere.source("") == f"./{wheel.name}"


@pytest.fixture
def fresh(tmp_path):
    """The python of a new environment with all that the course needs, and without the course."""
    if sys.platform == "win32":
        pytest.skip("the environment is made of links, which Windows gives to administrators alone")
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, capture_output=True, text=True, encoding="utf-8", check=True).stdout.strip())
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for path in Path(place).iterdir():
            if "dreamer_core" not in path.name:
                (site / path.name).symlink_to(path)
    return python


def alone(python, notebook, folder, **settings):
    """Run a notebook in a folder with a python of its own; everything that it printed, then where its package lies."""
    notebook.cells.append(nbformat.v4.new_code_cell("import dreamer_core\nprint(dreamer_core.__file__)"))
    nbformat.write(notebook, folder / "one.ipynb")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DREAMER_", "JUPYTER", "PYTHON"))}
    own = {"DREAMER_LEDGER": str(folder / "answers.json"), "DREAMER_QUICK": "1", "JUPYTER_DATA_DIR": str(folder.parent / "data")}
    words = ["--to", "notebook", "--execute", "--ExecutePreprocessor.timeout=600", "--ExecutePreprocessor.startup_timeout=600"]
    done = subprocess.run(
        [python, "-m", "nbconvert", *words, "--output", "done.ipynb", "one.ipynb"],
        cwd=folder, env=kept | own | settings, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, f"the notebook does not run alone:\n{done.stderr[-3000:]}"
    cells = [cell for cell in nbformat.read(folder / "done.ipynb", 4).cells if cell.cell_type == "code"]
    said = ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]
    return "\n".join(said[:-1]), Path(said[-1].strip())


def empty(tmp_path):
    folder = tmp_path / "an empty folder"
    folder.mkdir()
    return folder


def test_one_notebook_in_an_empty_folder_runs_from_end_to_end(wheel, fresh, tmp_path):
    subprocess.run([fresh, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True)
    book = nbformat.read(ROOT / "notebooks" / "00_play_in_a_dream.ipynb", 4)
    said, package = alone(fresh, book, empty(tmp_path))
    assert (tmp_path / "venv") in package.parents, f"it ran with another package than the wheel's: {package}"
    assert "trained agent: found" in said


def test_on_colab_the_first_cell_installs_the_course_and_only_there(wheel, fresh, tmp_path):
    """Colab as far as a notebook can tell, and the wheel beside it; without Colab nothing is installed."""
    book = nbformat.read(ROOT / "notebooks" / "03_rssm.ipynb", 4)
    first = next(cell for cell in book.cells if cell.cell_type == "code")
    assert re.search(r"find_spec\(.dreamer_core.\)", first.source)
    folder = empty(tmp_path)
    shutil.copy(wheel, folder)
    book.cells = [nbformat.v4.new_code_cell("import sys"), first]
    with pytest.raises(AssertionError, match="No module named 'dreamer_core'"):
        alone(fresh, book, folder, PIP_NO_INDEX="1")
    book.cells = [nbformat.v4.new_code_cell(COLAB), first]
    said, package = alone(fresh, book, folder, PIP_NO_INDEX="1")
    assert (tmp_path / "venv") in package.parents and "Exercises here: 3.1 to" in said


def test_a_file_beside_the_notebook_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert assets.asset("pendulum.safetensors") == assets.ASSETS / "pendulum.safetensors" and assets.ASSETS == assets.REPOSITORY
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "pendulum.safetensors").touch()
    assert assets.asset("pendulum.safetensors").resolve() == tmp_path / "assets" / "pendulum.safetensors"
    assert assets.asset("studies/suite.json").exists(), "what is not beside the notebook is taken from the package"

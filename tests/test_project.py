"""The project around the code: pins that agree, commands that exist, numbers that were measured."""

import importlib.util
import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch-cpu": "torch"}


def pins() -> dict[str, Version]:
    """requirements.txt: every line is an exact pin."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    found = {}
    for line in filter(None, lines):
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{line} is not an exact pin"
        found[requirement.name.lower()] = Version(specifier.version)
    return found


def test_conda_and_pip_install_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert environment["name"] == "dreamer"
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    plain = [
        entry for entry in environment["dependencies"] if isinstance(entry, str) and entry != "pip" and not entry.startswith("python>")
    ]
    conda = {}
    for entry in plain:
        name, version = re.fullmatch(r"([a-z0-9._-]+)=([0-9][0-9a-z.]*)", entry).groups()
        conda[CONDA_NAMES.get(name, name)] = Version(version)
    assert len(conda) == len(plain) > 10
    assert conda == {name: version for name, version in pins().items() if name in conda}


def test_every_dependency_is_pinned_within_its_declared_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + project["optional-dependencies"]["notebooks"] + project["optional-dependencies"]["test"]
    pinned = pins()
    for requirement in map(Requirement, wanted):
        assert pinned[requirement.name.lower()] in requirement.specifier, requirement
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    names = {entry.split("=")[0] for entry in conda if isinstance(entry, str)}
    assert {CONDA_NAMES.get(name, name) for name in names} >= {requirement.name.lower() for requirement in map(Requirement, wanted)}


def test_the_two_commands_are_in_the_readmes_first_screen_and_in_the_makefile():
    head = "\n".join((ROOT / "README.md").read_text().splitlines()[:24])
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in ("lab", "test"):
        assert f"make {command}" in head
        assert command in targets
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_links_and_pictures_in_the_readme_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target


def test_every_number_in_the_readmes_tables_was_measured():
    """The tables are written from the stored benchmark, so they cannot be typed by hand or left behind by it."""
    spec = importlib.util.spec_from_file_location("readme", ROOT / "tests" / "benchmarks" / "readme.py")
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    text = (ROOT / "README.md").read_text()
    assert text == readme.filled(text, *readme.kept())

"""The project around the code: pins that agree, commands that exist, numbers that were measured."""

import ast
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from runs import tiny, words

import dreamer_core
from dreamer_core.config import Config
from dreamer_core.study import plan
from dreamer_core.train import main

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"pytorch-cpu": "torch"}


def pins() -> dict[str, Version]:
    """requirements.txt: every line is an exact pin."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
    found = {}
    for line in filter(None, lines):
        requirement = Requirement(line)
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", f"{line} is not an exact pin"
        found[requirement.name.lower()] = Version(specifier.version)
    return found


def test_conda_and_pip_install_the_same_versions():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
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


def test_pip_can_read_what_conda_hands_it(tmp_path):
    """conda writes the pip section into a file beside environment.yml and gives it to pip, one entry a line."""
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    (section,) = (entry["pip"] for entry in dependencies if isinstance(entry, dict))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "dreamer_core", tmp_path / "dreamer_core", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pip-section.txt").write_text("\n".join(section) + "\n", encoding="utf-8")
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", *offline, "--requirement", "pip-section.txt"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"pip refuses the pip section {section} of environment.yml:\n{done.stderr}"
    assert "dreamer-core" in done.stdout, f"the pip section {section} of environment.yml does not install this package:\n{done.stdout}"


def test_every_pin_installs_on_the_oldest_python_that_is_promised():
    """What a release asks of Python is read from the releases that are installed here."""
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    oldest = promised.removeprefix(">=") + ".0"
    installed = {found.metadata["Name"].lower(): found for found in importlib.metadata.distributions()}
    here = {name: installed[name] for name, version in pins().items() if name in installed and Version(installed[name].version) == version}
    asked = {name: SpecifierSet(found.metadata.get("Requires-Python") or "") for name, found in here.items()}
    assert len(asked) > 10, "hardly any pinned release is installed here"
    refusing = {name: str(asks) for name, asks in asked.items() if oldest not in asks}
    assert not refusing, f"pinned releases that Python {oldest} cannot install: {refusing}"


def test_every_dependency_is_pinned_within_its_declared_range():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + extras["notebooks"] + extras["study"] + extras["test"]
    pinned = pins()
    for requirement in map(Requirement, wanted):
        assert pinned[requirement.name.lower()] in requirement.specifier, requirement
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    names = {entry.split("=")[0] for entry in conda if isinstance(entry, str)}
    assert {CONDA_NAMES.get(name, name) for name in names} >= {requirement.name.lower() for requirement in map(Requirement, wanted)}


def test_binder_installs_the_pinned_torch_and_then_all_pins():
    """Without CUDA, from conda, as environment.yml does; pip must find it good enough."""
    found = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text(encoding="utf-8"))
    own = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert found["channels"] == own["channels"]
    torch = [entry for entry in found["dependencies"] if "torch" in entry]
    assert torch == [f"pytorch-cpu={pins()['torch']}"] and torch[0] in own["dependencies"]
    (python,) = (Version(entry.split("=")[1]) for entry in found["dependencies"] if entry.startswith("python="))
    assert Version("3.11") <= python < Version("3.14")
    script = ROOT / ".binder" / "postBuild"
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!") and "--requirement requirements.txt" in text and text.rstrip().endswith("--no-deps --editable .")
    assert sys.platform == "win32" or script.stat().st_mode & 0o100, ".binder/postBuild cannot be executed"


def test_a_container_for_editors_is_set_up_by_the_makefile():
    found = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert found["postCreateCommand"] == "make .venv/.ready", "the container is set up by another command than everybody's machine"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "VENV := .venv\n" in makefile and "READY := $(VENV)/.ready\n" in makefile and "\n$(READY):" in makefile
    assert found["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"].endswith("/.venv/bin/python")


def test_workflows_run_the_projects_own_commands():
    """On Linux, macOS and Windows, with the oldest and the newest Python, and with the oldest and the newest dependencies."""
    tests, site = (yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8")) for name in ("test.yml", "site.yml"))
    jobs = tests["jobs"]
    pinned = jobs["pinned"]["strategy"]["matrix"]
    assert pinned["os"] == ["ubuntu-latest", "macos-latest"] and jobs["windows"]["runs-on"] == "windows-latest"
    assert pinned["python"] == ["3.11", "3.12", "3.13"]
    assert {one["versions"] for one in jobs["ranges"]["strategy"]["matrix"]["include"]} == {"lowest-direct", "highest"}
    said = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in (jobs | site["jobs"]).items()}
    assert said["pinned"] == [".ci/run"] and said["book"] == ["make book"]
    for name in ("windows", "ranges"):
        paths = [word for command in said[name] for word in command.split() if (ROOT / word).exists() and word != "."]
        assert "tests" in paths, f"the job {name} runs no tests"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    (asked,) = re.findall(r"\[([\w,]+)\]", " ".join(said["ranges"]))
    assert set(asked.split(",")) <= extras.keys()


def test_the_two_commands_are_in_the_readmes_first_screen_and_in_the_makefile():
    head = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:24])
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for command in ("lab", "test"):
        assert f"make {command}" in head
        assert command in targets
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "RESULTS.md", "TEACHING.md", "teaching/hub.md"])
def test_links_and_pictures_exist(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / page).parent.joinpath(target).exists(), (
            f"{page} links to {target}, which does not exist"
        )


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "dreamer_core.__version__"
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
    newest = re.search(r"^## (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)[1]
    assert {cited, newest} == {dreamer_core.__version__}, "CITATION.cff and the top of CHANGELOG.md name the package's version"
    Version(dreamer_core.__version__)


def test_the_citation_holds_what_the_format_demands():
    """The required keys of cff-version 1.2.0."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["title"]
    assert all("name" in author or {"family-names", "given-names"} <= author.keys() for author in cited["authors"])
    assert set(cited["license"]) == {"MIT", "CC-BY-4.0"}
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert (ROOT / "LICENSE-TEXT").read_text(encoding="utf-8").startswith("Creative Commons Attribution 4.0 International")


def test_contributing_names_what_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    paths = [path for path in re.findall(r"`([\w./]+/[\w./]*)`", text) if "NN" not in path]
    missing = [
        path for path in paths if not any((ROOT / folder / path).exists() for folder in (".", "dreamer_core", "dreamer_core/classroom"))
    ]
    assert len(paths) > 10 and not missing, f"CONTRIBUTING.md names {missing}, which do not exist"
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"make ([a-z]+)", text)) <= set(targets), "CONTRIBUTING.md names a target that the Makefile lacks"


def test_issue_forms_ask_for_something():
    forms = [path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml"]
    assert len(forms) >= 3
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"] and form["description"] and any(part.get("validations", {}).get("required") for part in form["body"]), path.name


def test_the_readmes_lines_train_load_and_draw(tmp_path, monkeypatch):
    """Its first command, with a tiny configuration added, and then its Python as it stands there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = re.search(r"^python -m dreamer_core.train (--env .*)$", readme, re.MULTILINE)[1].split()
    script, dreamt = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, name: Path(name).write_text(figure.alt, encoding="utf-8"))
    asked = dict(zip(command[::2], command[1::2]))
    main([*words(tiny(), env=asked["--env"], seed=asked["--seed"]), "--out", asked["--out"]])
    found = {}
    exec(compile(script, "README.md", "exec"), found)
    assert found["agent"].config.env == "Pendulum-v1" and found["dreams"].shape == (64, 76, 3)
    assert "the model is shown rows 0 to 5, then dreams 75 steps 64 times" in Path("dream.png").read_text(encoding="utf-8")
    exec(compile(dreamt, "README.md", "exec"), found)
    assert found["env"].reset(seed=0)[0].shape == (3,) and len(found["many"].reset(seed=0)[0]) == 64


def test_the_readme_tells_each_departure_with_the_setting_that_undoes_it():
    """In its table, and the study departures has an arm for each."""
    readme, usual = (ROOT / "README.md").read_text(encoding="utf-8"), Config()
    rows = [row.split(" | ") for row in readme.splitlines() if row.startswith("|") and row.count("|") == 4 and "`" in row]
    told = {name: what for what, name in (row[:2] for row in rows) if re.fullmatch(r"`\w+\.\w+`", name)}
    arms = plan.read(ROOT / "studies" / "departures.yaml").arms.values()
    for setting in told:
        section, name = setting.strip("`").split(".")
        undone = [arm.settings[section][name] for arm in arms if name in arm.settings.get(section, {})]
        assert undone and getattr(getattr(usual, section), name) not in undone, f"no arm of studies/departures.yaml undoes {setting}"
    assert f"are spread by {usual.sac.reward_scale} (" in told["`sac.reward_unit`"]
    assert usual.model.reward_scale == 10 and "counts as ten entries" in told["`model.reward_scale`"]
    assert f"after {usual.schedule.prefill_episode} steps" in told["`schedule.prefill_episode`"]
    assert f"after {usual.schedule.halving:,} gradient steps" in told["`schedule.halving`"]
    assert usual.model.overshoot > 0 and "`model.overshoot`" in told and usual.model.standardize and "`model.standardize`" in told


def test_the_readmes_table_of_cuts_names_tests_and_settings_that_exist():
    """Eleven cuts of v1, each with its test and the setting of the paper's piece (the links have a test of their own)."""
    readme, usual = (ROOT / "README.md").read_text(encoding="utf-8"), Config()
    table = readme.split("## Back to the paper, piece by piece")[1].split("\n## ")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines() if row.startswith("| ") and "`test_" in row][1:]
    assert len(rows) == 11
    spec = (ROOT / "tests" / "test_spec.py").read_text(encoding="utf-8")
    for _, test, _, setting, _, _ in rows:
        assert f"def {test.strip('`')}(" in spec, f"tests/test_spec.py has no {test}"
        *section, name = setting.strip("`").split(".")
        assert hasattr(getattr(usual, section[0]) if section else usual, name), f"there is no setting {setting}"


# --- text files -----------------------------------------------------------------------------------


def sources():
    """Every Python text of the project by name: files, and the code cells of notebooks without their magics."""
    hidden = {".git", ".venv", "build", "__pycache__", ".ipynb_checkpoints"}
    for path in sorted([*ROOT.rglob("*.py"), *ROOT.rglob("*.ipynb")]):
        name = path.relative_to(ROOT)
        if hidden & set(name.parts):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            cells = ["".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
            text = "\n".join(re.sub(r"^[%!].*", "", cell, flags=re.MULTILINE) for cell in cells)
        yield str(name), text


def opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text whose encoding it may say."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    words = {word.arg: word.value for word in call.keywords}
    if name in ("read_text", "write_text"):
        return True
    if name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
        place = 1 if name == "fdopen" or isinstance(call.func, ast.Name) and name == "open" else 0
        mode = words.get("mode", call.args[place] if len(call.args) > place else None)
        if mode is None:  # the function's own, which for open(path) is text
            return name == "fdopen" or (name == "open" and (isinstance(call.func, ast.Name) or not call.args))
        return isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) <= set("rwaxt+")
    return any(isinstance(words.get(word), ast.Constant) and words[word].value is True for word in ("text", "universal_newlines"))


def without_encoding(text: str) -> list[int]:
    """The lines that open text without saying that it is UTF-8: another system would read it as something else."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and opens_text(node)]
    return [call.lineno for call in calls if not any(word.arg == "encoding" for word in call.keywords)]


def test_text_files_are_opened_as_utf8_everywhere():
    forgotten = {name: lines for name, text in sources() if (lines := without_encoding(text))}
    assert not forgotten, f"say encoding='utf-8' in these lines: {forgotten}"


@pytest.mark.parametrize(
    "line, forgets",
    [
        ("open(p)", True), ("open(p, 'a')", True), ("open(p, 'rb')", False), ("open(p, mode='w')", True),
        ("open(p, encoding='utf-8')", False),
        ("p.open()", True), ("p.open('w')", True), ("p.open('wb')", False), ("Image.open(buffer)", False), ("p.read_text()", True),
        ("p.write_text(t)", True), ("p.write_text(t, encoding='utf-8')", False), ("run(c, text=True)", True),
        ("run(c, text=True, encoding='utf-8')", False), ("figure.text(0, 0, s)", False), ("NamedTemporaryFile('w')", True),
        ("NamedTemporaryFile()", False),
    ],
)  # fmt: skip
def test_who_forgets_the_encoding(line, forgets):
    assert bool(without_encoding(line)) == forgets

"""The ways to open the course in a browser, written from one address: `make links`.

    python -m dreamer_core.classroom.elsewhere

The address of the repository stands in pyproject.toml, as `Repository` under [project.urls], and nowhere else. From it this command writes

* the first lines of each notebook, which install the course on Colab, where it is missing, and do nothing anywhere else,
* the links in README.md, between two marks.

Both name the release of this version. Without an address Colab installs a wheel that lies beside the notebook, and README.md says so.
"""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import dreamer_core
from dreamer_core.errors import ConfigError, DreamerError

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- links: written by python -m dreamer_core.classroom.elsewhere from pyproject.toml -->", "<!-- end of links -->"
GUARD = """import subprocess
import sys
from importlib.util import find_spec

if "google.colab" in sys.modules and not find_spec("dreamer_core"):  # Colab lacks the course's package; elsewhere this does nothing
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "{source}"], check=True)

"""
UNKNOWN = """This course has no public address yet, so there are no links to Colab and Binder here. Whoever publishes it writes the
address into `pyproject.toml` (`Repository`, under `[project.urls]`) and runs `make links`: the links appear here, and the first cell of
each notebook installs that release on Colab. Until then, on Colab: `make wheel`, upload the wheel from `build/wheel` beside the notebook,
and run the notebook."""
OLD_GUARD = re.compile(re.escape(GUARD).replace(re.escape("{source}"), ".*"))


def address(root: Path = ROOT) -> str:
    """The repository's address without a slash at its end, or "" while it is not known.

    Raises:
        ConfigError: it is none of the kind that Colab and Binder open.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = project.get("urls", {}).get("Repository", "").rstrip("/").removesuffix(".git")
    if found and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", found):
        raise ConfigError(f"Repository in pyproject.toml is {found!r}: write it as https://github.com/OWNER/NAME")
    return found


def tag() -> str:
    """The release of this version."""
    return f"v{dreamer_core.__version__}"


def source(repository: str) -> str:
    """What pip installs on Colab: the release, or a wheel beside the notebook."""
    if repository:
        return f"{repository}/archive/refs/tags/{tag()}.zip"
    return f"./dreamer_core-{dreamer_core.__version__}-py3-none-any.whl"


def guarded(notebook: dict[str, Any], repository: str) -> dict[str, Any]:
    """A notebook whose first cell of code begins with the lines for Colab; outputs stay, since the lines print nothing elsewhere."""
    first = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    own = OLD_GUARD.sub("", "".join(first["source"]), count=1)
    text = GUARD.format(source=source(repository)) + own
    first["source"] = text if isinstance(first["source"], str) else text.splitlines(keepends=True)
    return notebook


def links(names: list[str], repository: str) -> str:
    """The lines of README.md.

    Args:
        names: of the notebooks, as "00_play_in_a_dream.ipynb".
    """
    if not repository:
        return UNKNOWN
    place = repository.removeprefix("https://github.com/")
    colab = [f"[{name[:2]}](https://colab.research.google.com/github/{place}/blob/{tag()}/notebooks/{name})" for name in names]
    return (
        f"* Colab: {' · '.join(colab)}. The first cell installs the package.\n"
        f"* Binder: [JupyterLab with notebook 00](https://mybinder.org/v2/gh/{place}/{tag()}?urlpath=lab/tree/notebooks/{names[0]}). "
        "The first start takes some minutes.\n"
        f"* Codespaces: [a workspace with everything installed](https://codespaces.new/{place})."
    )


def readme(text: str, names: list[str], repository: str) -> str:
    """README.md with the links between its two marks.

    Raises:
        ConfigError: it lacks the marks.
    """
    if BEGIN not in text or END not in text:
        raise ConfigError(f"README.md lacks the lines {BEGIN} and {END}: put them where the links belong")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{links(names, repository)}\n{END}{rest.split(END)[1]}"


def written(root: Path = ROOT) -> dict[Path, str]:
    """Every file that names the address, with its text.

    Raises:
        ConfigError: the address or README.md cannot be used.
    """
    repository = address(root)
    paths = sorted((root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    books = {path: guarded(json.loads(path.read_text(encoding="utf-8")), repository) for path in paths}
    made = {path: json.dumps(book, ensure_ascii=False, indent=1) + "\n" for path, book in books.items()}
    whole = (root / "README.md").read_text(encoding="utf-8")
    return made | {root / "README.md": readme(whole, [path.name for path in paths], repository)}


def main() -> None:
    """Write them."""
    try:
        made = written()
    except DreamerError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")
    print(f"written: {len(made)} files, for {address() or 'a wheel beside the notebook, since pyproject.toml names no Repository'}")


if __name__ == "__main__":
    main()

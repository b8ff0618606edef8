"""Where the small files lie that the notebooks load: trained agents, curves, and what was measured.

In the repository they are in notebooks/assets, for readers of the notebooks and for those who make them anew (`make assets`). A wheel holds
a copy of them in this package (setup.py), so that a notebook runs alone wherever the package is installed.
"""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2] / "notebooks" / "assets"
ASSETS = REPOSITORY if REPOSITORY.is_dir() else Path(__file__).parent


def asset(name: str) -> Path:
    """The file of that name, as "pendulum.safetensors" or "studies/suite.json": beside the notebook in `assets`, else the package's own.

    The file need not exist: whoever reads it says what is missing.
    """
    beside = Path("assets") / name
    return beside if beside.exists() else ASSETS / name

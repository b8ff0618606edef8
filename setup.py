"""Lays the notebooks' assets into the wheel, as files of the package dreamer_core.assets. All else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ASSETS = Path(__file__).parent / "notebooks" / "assets"


class WithAssets(build_py):
    """An ordinary build, and the assets; an editable install reads those of the repository."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copytree(ASSETS, Path(self.build_lib) / "dreamer_core" / "assets", dirs_exist_ok=True)


setup(cmdclass={"build_py": WithAssets})

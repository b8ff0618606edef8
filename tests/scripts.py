"""The scripts of tests/benchmarks, which are run and not imported, as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent / "benchmarks"


def script(name: str) -> ModuleType:
    """The module of tests/benchmarks/{name}.py, fresh at each call; it finds its neighbours as when it is run."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

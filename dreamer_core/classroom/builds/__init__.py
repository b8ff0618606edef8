"""The builds of each notebook, one module a notebook."""

import importlib
import pkgutil

from dreamer_core.classroom.build import Build


def collect_builds() -> dict[str, Build]:
    """All builds by number, in reading order."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {build.id: build for module in modules for build in module.BUILDS}

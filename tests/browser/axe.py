"""axe-core, which finds faults of accessibility in a page: from npm into a cache, once."""

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

VERSION = "4.14.1"
CACHE = Path(__file__).parents[2] / "build" / "cache"


def axe_script() -> str:
    """The text of axe.min.js; without npm or a network the test is skipped."""
    package = CACHE / f"axe-core-{VERSION}.tgz"
    if not package.exists():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("axe-core is not in build/cache, and there is no npm to fetch it with")
        CACHE.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run([npm, "pack", f"axe-core@{VERSION}"], cwd=CACHE, check=True, capture_output=True, timeout=60)
        except subprocess.SubprocessError:
            pytest.skip("axe-core is not in build/cache, and npm could not fetch it")
    with tarfile.open(package) as packed:
        return packed.extractfile("package/axe.min.js").read().decode()


def faults(page, script: str, root: str = "html") -> list[str]:
    """What axe calls serious or critical in a page that is open, one line for each rule: its name, and the first elements."""
    page.evaluate(script)
    found = page.evaluate("root => axe.run(root, {resultTypes: ['violations']})", root)["violations"]
    return [
        f"{rule['id']} ({rule['impact']}, {len(rule['nodes'])} times): " + "; ".join(node["html"][:150] for node in rule["nodes"][:3])
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]

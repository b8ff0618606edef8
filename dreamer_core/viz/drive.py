"""The page on which a visitor drives a dream: one file, no kernel, no network.

    python -m dreamer_core.viz.drive dream.html

The minds inside are those of notebooks/assets/ages.bin, one agent at several ages, which `make assets` trains.
"""

import argparse
import base64
import html
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from string import Template

from dreamer_core.assets import ASSETS
from dreamer_core.errors import DreamerError
from dreamer_core.viz.engine import script

AGES = ASSETS / "ages.bin"
SCRIPTS = ("engine.js", "pendulum.js", "drive_game.js", "drive.js")


def page(minds: bytes, course: str = "", links: Mapping[str, str] | None = None) -> str:
    """The whole page as HTML.

    Args:
        minds: agents for Pendulum-v1 at several ages, youngest first, as `engine.pack` packs them.
        course: address of the course's first page; without it, nothing is linked.
        links: what else the head of the page leads to, address by name.
    """
    shown = "".join(f'<a href="{html.escape(address, quote=True)}">{html.escape(name)}</a>' for name, address in (links or {}).items())
    begin = f'<p><a class="start" href="{html.escape(course, quote=True)}">Build one yourself</a></p>' if course else ""
    text = files(__package__)
    filled = Template(text.joinpath("drive.html").read_text(encoding="utf-8")).substitute(
        css=text.joinpath("drive.css").read_text(encoding="utf-8"),
        course=html.escape(course, quote=True),
        links=shown,
        next=begin,
        minds=base64.b64encode(minds).decode(),
        script="\n".join(map(script, SCRIPTS)),
    )
    linked, plain = '<a class="name" href="">Dreamer, step by step</a>', '<span class="name">Dreamer, step by step</span>'
    return filled.replace(linked, plain)  # a link to nowhere is none


def kept() -> bytes:
    """The packed minds that are kept with the course.

    Raises:
        DreamerError: they are not there.
    """
    try:
        return AGES.read_bytes()
    except FileNotFoundError:
        raise DreamerError(f"{AGES} is missing, the minds that the page runs: make it with `make assets`") from None


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m dreamer_core.viz.drive", description="Write the page on which a dream is driven.")
    parser.add_argument("file", nargs="?", type=Path, default=Path("dream.html"), help="the file to write")
    out = parser.parse_args().file
    try:
        out.write_text(page(kept()), encoding="utf-8")
    except DreamerError as error:
        raise SystemExit(str(error)) from None
    except OSError as error:
        raise SystemExit(f"{out} could not be written ({error.strerror}): name another place with --out") from None
    print(f"written: {out}, {out.stat().st_size / 1e6:.1f} MB; open it in a browser")


if __name__ == "__main__":
    main()

"""The site that `make book` writes, every page of it, opened from disk. Where its packages are not installed, skipped with the reason."""

import html.parser
import importlib.metadata
import os
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

import nbformat
import pytest

from browser.axe import axe_script, faults
from dreamer_core.classroom.lesson import BUILDS, EXERCISES

ROOT = Path(__file__).parents[2]
PACKAGES = ("sphinx", "myst-nb", "sphinx-book-theme", "sphinx-mathjax-offline")
KINDS = (
    "contents",
    "notebooks/03_rssm",
    "exercises",
    "glossary",
    "results/index",
    "results/speed",
    "api/rssm",
    "api/index",
    "project",
    "search",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built by the commands of the Makefile."""
    for package in PACKAGES:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not installed (`make book` installs it)")
    place = tmp_path_factory.mktemp("book")
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nbook:")[1].split("\n\n")[0].splitlines()
    wanted = [line.strip() for line in lines if "sources.py" in line or " sphinx " in line]
    assert len(wanted) == 2, "the Makefile makes the book by other commands than this test knows"
    for line in wanted:
        line = line.replace("$(VENV)/bin/python", "python").replace("$(RUN)", "python -m").replace("build/book", str(place))
        done = subprocess.run(
            [sys.executable, *line.split()[1:]], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return place / "site"


class Page(html.parser.HTMLParser):
    """What a page leads to, and the places in it that others may lead to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.places = [], {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.places |= {found[name] for name in ("id", "name") if found.get(name)}
        self.links += [found[name] for name in ("href", "src") if found.get(name)]


def pages(site, folder=None):
    """All pages, or those of a folder without its folders; the theme's own files are none."""
    found = sorted(path for path in site.rglob("*.html") if "_static" not in path.parts)
    return [path for path in found if folder is None or path.relative_to(site).parts[0] == (folder or path.name)]


def test_all_links_resolve(site):
    read = {path: Page(path.read_text(encoding="utf-8")) for path in pages(site)}
    assert {path.relative_to(site).parts[0] for path in read if path.parent != site} == {"notebooks", "results", "api", "_modules"}
    broken = []
    for path, page in read.items():
        for link in page.links:
            target = urllib.parse.urlsplit(link)
            if target.scheme or target.netloc:
                continue
            place = (path.parent / urllib.parse.unquote(target.path)).resolve() if target.path else path
            if not place.exists():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif place in read and urllib.parse.unquote(target.fragment) not in read[place].places:
                broken.append(f"{path.relative_to(site)}: {link} (no such place in the page)")
    assert not broken, f"{len(broken)} links lead nowhere: {broken[:20]}"


@pytest.mark.parametrize("folder", ["", "notebooks", "results", "api", "_modules"])
def test_every_page_opens_without_errors_or_raw_formulas(page, site, folder):
    """No failed request, none to the network, nothing in the console, every formula drawn. (The first folder's pages are under "".)"""
    failed, visited = [], pages(site, folder)
    assert visited, f"there is no page in {folder}"
    aborted = "net::ERR_ABORTED"  # the page was left while it loaded its icon; a file that is missing is not found

    def fails(request):
        if request.failure != aborted:
            page.errors.append(f"failed: {request.url} ({request.failure})")

    page.on("requestfailed", fails)
    for path in visited:
        page.goto(path.as_uri(), wait_until="load")
        page.evaluate("() => window.MathJax?.startup?.promise")
        text = page.evaluate(
            """() => {
                const body = document.body.cloneNode(true);
                for (const other of body.querySelectorAll('pre, code, script, style, mjx-assistive-mml')) other.remove();
                return body.textContent;
            }"""
        )
        raw = [text[max(0, at.start() - 40) : at.end() + 40] for at in re.finditer(r"\$|\\\(|\\\[|\\begin", text)]
        wrong = page.locator("mjx-merror, [data-mjx-error]").count()
        if raw or wrong or page.errors:
            failed.append(f"{path.relative_to(site)}: {raw[:2]}, {wrong} formulas that MathJax cannot read, {page.errors[:3]}")
        page.errors.clear()
    assert not failed, f"{len(failed)} pages: " + "\n".join(failed[:15])


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_everyone_can_read_it(page, site, colours):
    """No serious fault by axe-core on a page of each kind, and none is wider than a telephone."""
    script, found = axe_script(), []
    page.emulate_media(color_scheme=colours)
    for kind in KINDS:
        page.set_viewport_size({"width": 1100, "height": 1000})
        page.goto((site / f"{kind}.html").as_uri())
        page.wait_for_function("colours => document.documentElement.dataset.theme === colours", arg=colours)
        page.evaluate("() => window.MathJax?.startup?.promise")
        found += [f"{kind}: {fault}" for fault in faults(page, script)]
        page.set_viewport_size({"width": 390, "height": 844})
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > 390:
            found.append(f"{kind}: {wide} pixels wide on a telephone of 390")
    assert not found, "\n".join(found)


def test_the_first_page_is_the_dream_and_leads_into_the_course(page, site):
    page.goto((site / "index.html").as_uri())
    page.wait_for_function("Number(document.body.dataset.step) >= 3")
    page.get_by_role("link", name="Build one yourself").click()
    page.wait_for_url("**/contents.html")
    page.get_by_role("link", name="Drive the dream in your browser").click()
    page.wait_for_url("**/index.html")


def test_notebooks_keep_their_outputs_and_their_help_is_shut(page, site):
    """As many pictures as are stored; hints and solutions for every exercise, all closed."""
    helped = 0
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        stored = sum(
            output.get("data", {}).get("text/html", "").count("<img ")
            for cell in nbformat.read(path, 4).cells
            for output in cell.get("outputs", [])
        )
        page.goto((site / "notebooks" / f"{path.stem}.html").as_uri())
        shown = page.locator("article img").count()
        assert shown >= stored - 1, f"{path.stem} shows {shown} pictures of {stored}"
        assert page.locator("article details.solution[open], article details.hint[open]").count() == 0, f"{path.stem} shows help unasked"
        helped += page.locator("article details.solution").count()
    asked = len(EXERCISES) + len(BUILDS)
    assert helped == asked, f"{helped} solutions for {asked} exercises and builds"


def test_the_search_finds_from_disk(page, site):
    page.goto((site / "search.html").as_uri() + "?q=straight")
    page.locator("#search-results li").first.wait_for()
    assert page.errors == []

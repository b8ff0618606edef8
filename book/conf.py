"""How Sphinx makes the site: `make book`. The pages are written by sources.py; nothing here asks the network for anything."""

import importlib
import importlib.metadata
import inspect
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "book")]

import sources  # noqa: E402

import dreamer_core  # noqa: E402
from dreamer_core.viz import drive  # noqa: E402

project = "Dreamer, step by step"
author = "the course's authors"
copyright = "texts and figures CC BY 4.0, code MIT"
release = version = dreamer_core.__version__
root_doc = "contents"  # index.html is the page on which a dream is driven
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]

# --- notebooks: shown as they are stored -------------------------------------------------------------
nb_execution_mode = "off"
nb_render_markdown_format = "myst"  # so that stored Markdown may hold formulas
nb_ipywidgets_js: dict = {}
nb_merge_streams = True
nb_number_source_lines = False
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
highlight_language = "none"  # notebooks and fenced code say what they are
suppress_warnings = ["mystnb.unknown_mime_type", "ref.python"]  # several classes may have a field `observation`

# --- pages from docstrings ---------------------------------------------------------------------------
autodoc_default_options = {"members": True, "undoc-members": False, "show-inheritance": True, "member-order": "bysource"}
autodoc_mock_imports = ["nbgrader"]  # an extra, which `make book` does not install; grading.autograde imports it
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True

# --- formulas: MathJax out of a package, beside the pages --------------------------------------------
mathjax_path = "mathjax/tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}

# --- looks --------------------------------------------------------------------------------------------
html_theme = "sphinx_book_theme"
html_title = project
html_static_path = [str(ROOT / "book" / "static")]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_show_search_summary = False  # it would be fetched, which pages from disk may not
html_favicon = str(ROOT / "book" / "static" / "favicon.svg")
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "home_page_in_toc": True,
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": False,
    "logo": {"text": project},
    "search_bar_text": "Search the course",
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}


def as_rst(app, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Read docstrings as they are written, not as reStructuredText: `code`, indented blocks as they stand, and no sign with a meaning."""
    if lines and lines[0].startswith("Alias for field number"):
        lines[:] = [field_comment(name)]
    read, verbatim, in_section, before = [], None, False, ""
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if verbatim is not None and line.strip() and indent < verbatim:
            verbatim = None
        if line.strip() and indent == 0:
            in_section = bool(SECTION.fullmatch(line))
        fresh = number > 0 and not lines[number - 1].strip() and line.strip()
        if fresh and verbatim is None and not in_section and indent > len(before) - len(before.lstrip()):
            verbatim = indent
            read += [" " * (len(before) - len(before.lstrip())) + "::", ""]
        read.append(line if verbatim is not None else plain(line))
        before = line if line.strip() else before
    lines[:] = read


def field_comment(name: str) -> str:
    """What stands behind a field of a NamedTuple in its class: "(B, T, D)"; the name is whole, as dreamer_core.rssm.Beliefs.h."""
    place, kind, field = name.rsplit(".", 2)
    source = inspect.getsource(getattr(importlib.import_module(place), kind))
    found = re.search(rf"^    {field}:.*?  # (.*)$", source, re.MULTILINE)
    return found[1] if found else ""


SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Warns|Note|Example|Examples):")


def plain(line: str) -> str:
    """A line of prose with its code marked, and with what would mean something to reStructuredText made harmless."""
    start = re.match(r"\s*(\* )?", line)[0]
    parts = re.split(r"(`+[^`]*`+)", line[len(start) :])
    return start + "".join(f"``{part.strip('`')}``" if part.startswith("`") else harmless(part) for part in parts)


def harmless(text: str) -> str:
    """Stars, bars and underscores that end a word, as they stand."""
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", re.sub(r"([*|])", r"\\\1", text))


def mathjax(app) -> None:
    """Lay MathJax beside the pages."""
    (found,) = (path for path in importlib.metadata.files("sphinx-mathjax-offline") if path.name == "tex-svg.js")
    place = Path(app.outdir) / "_static" / "mathjax"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(found.locate(), place / "tex-svg.js")


def home(app, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    """The course's name, on every page, leads to the first page."""
    context["theme_logo"] = context["theme_logo"] | {"link": context["pathto"]("index.html", 1)}


def first_page(app, error: Exception | None) -> None:
    """Write index.html, which Sphinx leaves free."""
    if error is None:
        (Path(app.outdir) / "index.html").write_text(drive.page(drive.kept(), "contents.html", sources.LINKS), encoding="utf-8")


def setup(app) -> None:
    """What Sphinx calls."""
    app.connect("autodoc-process-docstring", as_rst, priority=100)  # before napoleon reads the sections
    app.connect("builder-inited", mathjax)
    app.connect("html-page-context", home)
    app.connect("build-finished", first_page)

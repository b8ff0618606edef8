"""Slides of a notebook, from its stored figures: one page of HTML that opens without a network.

    python -m dreamer_core.classroom.slides notebooks/07_imagination.ipynb --out build/slides      (or no notebook: all of them)

Shown are the title with the aims, the question, each figure with the heading it stands under, the recap and the next question. Before a
figure that answers a prediction its question has a slide of its own, to vote on. What the text says of a figure is a speaker's note: press
S for the speaker's view, F for the whole screen. Nothing is run, and no code is shown.

The slides are reveal.js (by Hakim El Hattab, MIT licence), which the extra `slides` brings; formulas become MathML, which browsers draw
themselves.
"""

import argparse
import html
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

from dreamer_core.classroom.teaching import ROOT, book
from dreamer_core.errors import DreamerError

INSTALL = "slides need packages that are not installed: pip install -e '.[slides]'"
STYLE = """
.reveal { font-size: 30px } .reveal h1 { font-size: 1.7em } .reveal h2 { font-size: 1.15em }
.reveal h1, .reveal h2 { text-transform: none; letter-spacing: 0 }
.reveal img, .reveal video { height: 58vh; width: auto; max-width: 94%; object-fit: contain }
.reveal img, .reveal video { background: white; margin: 0 auto; display: block } .reveal .long { font-size: 0.72em }
.reveal figure { margin: 0 } .reveal figcaption { font-size: 0.62em; margin-top: 0.4em }
.reveal ul, .reveal ol, .reveal p { text-align: left } .reveal table { font-size: 0.7em } .reveal .vote { color: #0072B2 }
"""
NOTE = re.compile(r"^\*\*What to notice\.?\*\*,?\s*", re.MULTILINE)
WHOLE = ("A question first", "The question from last time", "Recap", "The next question")  # sections that are shown as they stand
LONG = 600  # characters; a text beyond it is written smaller
PREDICT = re.compile(r"^\*(?:Predict|Before you run|Say first)[^*]*\*:?.*$|^\*[^*\n]+\?\*\s*$", re.MULTILINE)


class Slide(NamedTuple):
    """One slide: its content and what the speaker may say, both HTML."""

    body: str
    note: str = ""


def renderer() -> Any:
    """Markdown with formulas to HTML.

    Raises:
        DreamerError: the extra is not installed.
    """
    try:
        import latex2mathml.converter
        import mistune
    except ImportError:
        raise DreamerError(INSTALL) from None

    def formula(_: Any, text: str, display: str = "inline") -> str:
        return latex2mathml.converter.convert(text, display=display)

    markdown = mistune.create_markdown(escape=False, plugins=["table", "math"])
    markdown.renderer.register("inline_math", formula)
    markdown.renderer.register("block_math", lambda _, text: f"<p>{formula(_, text, 'block')}</p>")
    return markdown


def reveal(name: str) -> str:
    """A file of reveal.js.

    Raises:
        DreamerError: the extra is not installed.
    """
    found = importlib.util.find_spec("sphinx_revealjs")  # looked for and not imported: only its files are wanted
    if found is None:
        raise DreamerError(INSTALL)
    return (Path(found.origin).parent / "_static" / "revealjs" / "dist" / name).read_text(encoding="utf-8")


def figures(cell: dict[str, Any]) -> list[str]:
    """The pictures and films that a cell left behind, as HTML."""
    found = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        markup = "".join(data.get("text/html", ""))
        if "<figure" in markup and ("<img" in markup or "<video" in markup):
            found.append(markup)
        elif "image/png" in data:
            found.append(f'<img alt="A figure of the notebook" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">')
    return found


def slides(path: Path) -> list[Slide]:
    """The slides of one notebook.

    Raises:
        DreamerError: the notebook has no header of the course's kind, or the extra is not installed.
    """
    one, draw = book(path), renderer()
    rest = pieces(json.loads(path.read_text(encoding="utf-8"))["cells"][1:])
    made = [Slide(draw(f"# {one.number} · {one.title}\n\n" + "\n".join(f"* {aim}" for aim in one.aims)))]
    heading, vote = "", ""
    for number, (kind, content) in enumerate(rest):
        if kind == "heading":
            heading, vote = content, ""
        elif kind == "text" and heading in WHOLE:
            size = ' class="long"' if len(content) > LONG else ""
            made.append(Slide(f"{draw(f'## {heading}')}<div{size}>{draw(unlinked(content))}</div>"))
        elif kind == "text":
            asked = PREDICT.search(content)
            vote = asked[0] if asked else vote
        elif kind == "next":
            made.append(Slide(draw(unlinked(content))))
        else:
            if vote:
                made.append(Slide(f'<h2>{html.escape(heading)}</h2><div class="vote">{draw(vote)}</div>'))
                vote = ""
            made.append(Slide(f"<h2>{html.escape(heading)}</h2>{content}", draw(said(rest[number + 1 :]))))
    return made


def unlinked(text: str) -> str:
    """Without links to other notebooks, which slides are not beside."""
    return re.sub(r"\[([^\]]+)\]\([^)\s]+\.ipynb\)", r"\1", text)


def pieces(cells: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """A notebook as one stream of ("heading" or "text" or "next" or "figure", content); headings of exercises are not among them."""
    found = []
    for cell in cells:
        if cell["cell_type"] != "markdown":
            found += [("figure", markup) for markup in figures(cell)]
            continue
        text, mark, last = "".join(cell["source"]).partition("**The next question.**")
        for part in re.split(r"^(?=#{2,3} )", text, flags=re.MULTILINE):
            heading = re.match(r"#{2,3} (.+)\n*", part)
            if heading and not heading[1].startswith("Exercise"):
                found.append(("heading", heading[1].strip()))
            body = part[heading.end() :].strip() if heading else part.strip()
            found += [("text", body)] if body else []
        found += [("next", mark + last)] if mark else []
    return found


def said(rest: list[tuple[str, str]]) -> str:
    """What the text says of a figure: the next "What to notice", if it comes before another figure and another heading."""
    for kind, content in rest:
        if kind == "text" and NOTE.search(content):
            return NOTE.sub("", content)
        if kind != "text":
            return ""
    return ""


def page(path: Path) -> str:
    """The slides of one notebook as a page that needs nothing else.

    Raises:
        DreamerError: as `slides`.
    """
    sections = "".join(map(section, slides(path)))
    sheets = reveal("reset.css"), reveal("reveal.css"), without_imports(reveal("theme/white.css")), STYLE
    styles = "\n".join(f"<style>{css}</style>" for css in sheets)
    one = book(path)
    title = html.escape(f"{one.number} · {one.title}")
    script = re.sub(r"//# sourceMappingURL=\S+", "", reveal("reveal.js"))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>\n{styles}</head>\n"
        f'<body><div class="reveal"><div class="slides">\n{sections}</div></div>\n'
        f"<script>{script}</script>\n<script>Reveal.initialize({{hash: true, slideNumber: 'c/t', width: 1280, height: 800}})</script>"
        f"</body></html>\n"
    )


def section(one: Slide) -> str:
    """A slide as reveal.js wants it."""
    note = f'<aside class="notes">{one.note}</aside>' if one.note else ""
    return f"<section>{one.body}{note}</section>\n"


def without_imports(css: str) -> str:
    """A style sheet that asks for no other file, such as fonts."""
    return re.sub(r"@import\s*(?:url\()?[^;]+;", "", css)


def main(words: list[str] | None = None) -> None:
    """Write a page for each notebook; exits with 2 and one sentence for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="python -m dreamer_core.classroom.slides", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebooks", type=Path, nargs="*", metavar="NOTEBOOK", help="default: all of the course")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "slides", metavar="DIR", help="folder of the pages (build/slides)")
    asked = parser.parse_args(words)
    chosen = asked.notebooks or sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    try:
        for path in chosen:
            if not path.is_file():
                raise DreamerError(f"there is no notebook {path}: give the path of one, or none for the whole course")
            text = page(path)
            asked.out.mkdir(parents=True, exist_ok=True)
            (asked.out / f"{path.stem}.html").write_text(text, encoding="utf-8")
    except (DreamerError, ValueError, KeyError, IndexError) as error:
        sentence = error if isinstance(error, DreamerError) else f"{path} is no notebook of the course ({type(error).__name__})"
        print(f"error: {sentence}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"written: {len(chosen)} page{'s' * (len(chosen) != 1)} in {asked.out}")


if __name__ == "__main__":
    main()

"""Slides: which pieces of a notebook they show, and a page that needs no network."""

import importlib.util
import json
import re

import pytest

from dreamer_core.classroom import slides
from dreamer_core.errors import DreamerError

MISSING = [name for name in ("latex2mathml", "mistune", "sphinx_revealjs") if importlib.util.find_spec(name) is None]
with_extra = pytest.mark.skipif(bool(MISSING), reason=f"the extra slides is not installed: {', '.join(MISSING)}")
PICTURE = '<figure>\n<img alt="Two hills" src="data:image/png;base64,iVBORw0KGgo="><figcaption><i>Look left.</i></figcaption></figure>'


def markdown(text):
    return {"cell_type": "markdown", "source": text}


def code(*outputs):
    return {"cell_type": "code", "source": "draw()", "outputs": [{"output_type": "display_data", "data": data} for data in outputs]}


CELLS = [
    markdown("# 07 · Hills: which one?\n\n**After this notebook you can**\n* *see* a hill,\n* *name* it.\n\n**Time** 5 min reading"),
    markdown("## A question first\n\nTwo hills. *Which is higher?* See [08](08_more.ipynb)."),
    markdown("## The hills\n\nWith $a^2$.\n\n*Predict:* left or right?"),
    code({"text/plain": "<figure> of speech"}, {"text/html": "<pre>a bar</pre>"}),
    code({"text/html": PICTURE}),
    markdown("**What to notice.** The left one, $h < 2$."),
    markdown("### Exercise 7.1 · A hill\n\nWrite it."),
    code({"image/png": "iVBORw0KGgo="}),
    markdown("## Recap\n\n* Hills differ.\n\n## Further reading\n\nA book.\n\n**The next question.** And valleys?"),
]


@pytest.fixture
def notebook(tmp_path):
    path = tmp_path / "07_hills.ipynb"
    path.write_text(json.dumps({"cells": CELLS}), encoding="utf-8")
    return path


def test_a_notebook_is_taken_apart_in_order():
    found = slides.pieces(CELLS[1:])
    assert [kind for kind, _ in found] == ["heading", "text", "heading", "text", "figure", "text", "text", "figure", "heading", "text",
                                           "heading", "text", "next"]  # fmt: skip
    assert [content for kind, content in found if kind == "heading"] == ["A question first", "The hills", "Recap", "Further reading"]
    assert found[4] == ("figure", PICTURE), "text that only looks like a figure, and bars of progress, are no figures"


def test_a_note_belongs_to_the_figure_before_it():
    assert slides.said([("text", "**What to notice.** Left."), ("figure", "")]) == "Left."
    assert slides.said([("text", "So it goes."), ("text", "**What to notice**, panel by panel.")]) == "panel by panel."
    assert slides.said([("figure", ""), ("text", "**What to notice.** Of the second.")]) == "", "a note went to the wrong figure"
    assert slides.said([("heading", "Later"), ("text", "**What to notice.** Of something else.")]) == ""


@with_extra
def test_the_question_comes_before_the_figure_that_answers_it(notebook):
    made = slides.slides(notebook)
    texts = [re.sub(r"<math.*?</math>|<[^>]+>", " ", one.body).split() for one in made]
    assert [" ".join(words)[:40] for words in texts] == [
        "07 · Hills: which one? see a hill name i",
        "A question first Two hills. Which is hig",
        "The hills Predict: left or right?",
        "The hills Look left.",
        "The hills",
        "Recap Hills differ.",
        "The next question. And valleys?",
    ]
    assert [bool(one.note) for one in made] == [False, False, False, True, False, False, False]
    assert "The left one" in made[3].note and "<math" in made[3].note and "$" not in made[3].note, "a formula must not stay LaTeX"
    assert "ipynb" not in made[1].body, "slides do not lie beside the notebooks"


@with_extra
def test_a_page_asks_for_nothing_from_outside(notebook):
    text = slides.page(notebook)
    assert text.count("<section>") == 7 and "<title>07 · Hills: which one?</title>" in text
    assert text.count("<script>") == 2, "the library and its start"
    text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)  # what the library may ask for is seen in tests/browser
    asked = re.findall(r"""(?:src|href)=["'](?!data:)[^"'#]+|@import[^;]+;|url\((?!["']?data:)[^)]+\)""", text)
    assert not asked, f"the page asks for {asked}"


def test_what_cannot_be_shown_is_told_in_a_sentence(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        slides.main([str(tmp_path / "none.ipynb")])
    assert ended.value.code == 2 and "there is no notebook" in capsys.readouterr().err
    (tmp_path / "text.ipynb").write_text("no JSON", encoding="utf-8")
    with pytest.raises(SystemExit):
        slides.main([str(tmp_path / "text.ipynb")])
    assert "is no notebook of the course" in capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DreamerError, match=r"pip install -e '\.\[slides\]'"):
        slides.reveal("reveal.js")

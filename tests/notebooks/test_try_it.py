"""What a notebook proposes to try has an answer, and the answer's code runs.

An answer is collapsed: `<details><summary>Answer</summary>` ... `</details>`. Its ```python blocks are
pasted below the notebook, in order, and run after it in the quick profile.
"""

import re

import nbformat
import pytest

from notebooks.books import PATHS, prose, read, run

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
ANSWER = re.compile(r"<details><summary>Answer</summary>\n(.*?)\n</details>", re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PROPOSALS = re.compile(r"^#+ Try\b[^\n]*$(.*?)(?=^#+ |\Z)", re.DOTALL | re.MULTILINE)
ITEM = re.compile(r"^\d+\. .*?(?=^\d+\. |\Z)", re.DOTALL | re.MULTILINE)


def proposals(text: str) -> list[str]:
    """The numbered items of every "Try it", each with what stands between it and the next."""
    return [item for section in PROPOSALS.findall(text) for item in ITEM.findall(section)]


def answers(text: str) -> list[str]:
    """The code of every answer, in order."""
    return [code for answer in ANSWER.findall(text) for code in CODE.findall(answer)]


@each
def test_every_proposal_has_an_answer(path):
    text = prose(path)
    bare = [item.splitlines()[0] for item in proposals(text) if not ANSWER.search(item)]
    assert not bare, f"{path.name} proposes something to try without an answer: {bare}"
    assert all(ITEM.search(section) for section in PROPOSALS.findall(text)), f"{path.name}: what is to be tried is a list with numbers"
    written = text.count("<summary>Answer"), sum(answer.count("```python") for answer in ANSWER.findall(text))
    assert written == (len(ANSWER.findall(text)), len(answers(text))), f"{path.name}: an answer, or its code, is not written as it must be"


@each
def test_the_code_of_every_answer_runs(path, tmp_path):
    codes = answers(prose(path))
    if not codes:
        pytest.skip("no answer here holds code")
    notebook = read(path)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in codes]
    run(notebook, tmp_path / "answers.json")


def test_items_and_answers_are_told_apart():
    text = """## Try it

1. First.

<details><summary>Answer</summary>

```python
x = 1
```

So it is.

</details>

2. Second, with nothing below.

## Recap

1. No proposal.
"""
    first, second = proposals(text)
    assert ANSWER.search(first) and not ANSWER.search(second) and answers(text) == ["x = 1\n"]

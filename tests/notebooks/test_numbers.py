"""No number in the words of a notebook is just believed.

It is held by a test of test_quoted.py (seen by changing the number: then such a test must fail), or it
stands in given.py with a reason, or it claims nothing (numbers.py says what that is). Functions of
test_quoted.py that take arguments are not asked.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch

from notebooks import test_quoted
from notebooks.books import PATHS, prose
from notebooks.given import GIVEN
from notebooks.numbers import Number, numbers

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def spans(text: str, phrases: dict[str, str]) -> Iterator[range]:
    """Where these phrases stand in a text."""
    for phrase in phrases:
        start = text.find(phrase)
        while start >= 0:
            yield range(start, start + len(phrase))
            start = text.find(phrase, start + 1)


@contextmanager
def words(path: Path, text: str) -> Iterator[set[Path]]:
    """test_quoted.py reads this text in place of one notebook's; gives the notebooks whose words it asks for."""
    asked = set()

    def told(one: Path) -> str:
        asked.add(one)
        return text if one == path else prose(one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_quoted, "prose", told)
        yield asked


def passes(test: Callable[[], None]) -> bool:
    """Whether a test of test_quoted.py holds, from the random numbers that pytest would start it with."""
    torch.manual_seed(0)
    try:
        test()
    except AssertionError:
        return False
    return True


@cache
def asked_by(test: Callable[[], None]) -> frozenset[Path]:
    """The notebooks whose words a test of test_quoted.py reads."""
    with words(Path(), "") as asked:
        passes(test)
    return frozenset(asked)


def readers(path: Path, text: str) -> list[Callable[[], None]]:
    """The tests of test_quoted.py that read a notebook's words and find them right."""
    tests = [test for name, test in vars(test_quoted).items() if name.startswith("test_") and not inspect.signature(test).parameters]
    with words(path, text):
        return [test for test in tests if path in asked_by(test) and passes(test)]


def changed(text: str, number: Number) -> str:
    """The text with another number in this place."""
    last = number.text[-1]
    other = str((int(last) + 1) % 10) if last.isdigit() else "_"
    return text[: number.end - 1] + other + text[number.end :]


def held(path: Path, text: str, number: Number, tests: list[Callable[[], None]]) -> bool:
    """Whether some test notices that the number has changed."""
    with words(path, changed(text, number)):
        return not all(map(passes, tests))


def unheld(path: Path, text: str, given: dict[str, str]) -> list[str]:
    """The numbers in a notebook's words that nothing holds, with the words around them."""
    known = list(spans(text, given))
    left = [n for n in numbers(text) if not any(n.start in span and n.end - 1 in span for span in known)]
    tests = readers(path, text) if left else []
    return [f"{n.text!r} in '... {n.around(text)} ...'" for n in left if not held(path, text, n, tests)]


@each
def test_every_number_in_the_words_is_held_or_given(path):
    loose = unheld(path, prose(path), GIVEN.get(path.name[:2], {}))
    assert not loose, (
        f"notebook {path.name[:2]} says {len(loose)} numbers that nothing holds. Hold each with a test in test_quoted.py, "
        "let its cell print it, or write into given.py why it may stand:\n" + "\n".join(loose)
    )


@each
def test_what_is_given_stands_in_the_words(path):
    text = prose(path)
    gone = [phrase for phrase in GIVEN.get(path.name[:2], {}) if phrase not in text or not numbers(phrase)]
    assert not gone, f"given.py lists what notebook {path.name[:2]} does not say any more, or what has no number in it: {gone}"


def test_a_number_that_nothing_holds_is_found():
    """The watch can fail: a wrong result, and a number that is neither held nor given."""
    path, text = PATHS[5], prose(PATHS[5])
    quoted = next(number for number in numbers(text) if text[: number.start].endswith("the probe of $h$ found "))
    loose = unheld(path, text, {})
    assert not any(quoted.around(text) in told for told in loose)
    assert any("0.3 of the norm of that" in told for told in loose)
    wrong = changed(text, quoted)
    assert any(quoted.around(wrong) in told for told in unheld(path, wrong, {}))


def test_which_numbers_claim_something():
    claims = """## 03 · A heading of 9 words

1. In [notebook 07](07_imagination.ipynb), row 8 and rows 2, 3 of `h[5]` (arXiv 2301.04104v2, section 4.1; DreamerV3, 2023) are 0 or 1.
2. A gap of 0.012 nats, −135 in 2,500 steps: nine in ten of the seeds. With $\\tfrac12 x^{3} = 0.69$ it is ten times as long."""
    assert [number.text for number in numbers(claims)] == ["0.012", "−135", "2,500", "nine in ten", "0.69", "ten times as"]

"""The numbers in a notebook's words, without those that only name a place: a row, a section, a paper."""

import re
from typing import NamedTuple

SPELLED = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|fifty|a hundred|hundred"
NUMBER = re.compile(
    r"[−-]?\d+(?:,\d{3})*(?:\.\d+)?"
    rf"|\b(?:one|{SPELLED}) (?:of|in|out of) (?:(?:the|its|our|these) )?(?:\w+ )?(?:{SPELLED})\b"  # nine in ten
    rf"|\b(?:{SPELLED}|hundreds of|thousands of) times (?:as|larger|smaller|longer|shorter)\b",
    re.IGNORECASE,
)

# What is no claim about the world.
MORE = r"(?:, | and | to | or )"
PLACES = [
    # the contract of a build: what it asks for is held by the checks of classroom/builds
    r"^## Build it: .*?(?=^## )",
    # code, which is run or looked up, not believed
    r"```.*?```|`[^`\n]*`|<code>.*?</code>|^ {4}[^\n]*",
    # addresses
    r"\]\([^)\s]*\)|\bgithub\.com/\S+",
    # papers, editions, parts of a book
    r"\barXiv:? ?\d{4}\.\d{4,5}(?:v\d)?(?: and \d{4}\.\d{4,5})?|\b(?:19|20)\d\d\b|\b\d(?:st|nd|rd|th) edition",
    r"\b(?:sections?|versions?|chapters?|appendix|figures?|tables?|v) ?[A-Z]?\d+(?:\.\d+)*",
    # names
    r"\bDreamerV\d(?: (?:and|to) V\d)?|\b[Vv]\d\b|\bTD3\b|\bR2D2\b|baselines3\b|\bsize1m\b|\bL2\b|\bh_\w\b|-v1\b",
    r"\bfloat\d\d\b|\b\d\d bits\b",
    # parts of the course
    r"\[\d\d\b(?=[^\]\n]*\]\()",  # a link that begins with a notebook's number
    rf"\b[Nn]otebooks? \d\d(?:{MORE}\d\d)*|(?<![\d.,])0\d(?: and 0\d| to 0\d)?\b(?!\.)",
    rf"\b[Ee]xercises? \d\.\d(?:{MORE}\d\.\d)*|\b(?:as in|that of|if) \d\.\d\b",
    r"\b[Bb]uilds? \d+\.[A-Z]\b",
    # places in a list or a recording
    r"^(?:\s*|\*\*)\d+\. ",
    rf"\b(?:[Rr]ows?|[Ss]lots?|[Ss]tairs?|[Nn]umbers?|[Ss]eeds?) \d+(?:{MORE}\d+)*\b(?![.,]\d)",
    # minutes and headings, which test_stored.py looks after
    r"^\*\*Time\*\*[^\n]*|^#+ [^\n]*",
]
PLACE = re.compile("|".join(f"(?:{pattern})" for pattern in PLACES), re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
WHOLE = re.compile(r"(?<![\d.,])\d+(?![\d.,]*\d)")
BARE = {"0", "1", "−1", "-1"}  # no, all, off, on, the other sign


class Number(NamedTuple):
    """A number that says something, and where it stands in the text."""

    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def around(self, text: str) -> str:
        """The words to either side, on one line."""
        return " ".join(text[max(0, self.start - 40) : self.end + 30].split())


def blank(found: re.Match) -> str:
    return " " * len(found[0])


def numbers(text: str) -> list[Number]:
    """The numbers in a notebook's Markdown that claim something.

    Left out: places and names (`PLACES`), bare 0, 1 and −1, and whole numbers in formulas. Decimal
    fractions in formulas count: they are results or settings.
    """
    seen = PLACE.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    seen = FORMULA.sub(lambda found: WHOLE.sub(blank, found[0]), seen)
    return [Number(found[0], found.start()) for found in NUMBER.finditer(seen) if found[0] not in BARE]

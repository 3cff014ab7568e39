"""The pages of the documentation, and the examples in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.support.isolation import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")


class Example(NamedTuple):
    """A fenced block of a page."""

    page: Path
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}: {self.text.splitlines()[0][:60]}"


def examples(*languages: str) -> list[Example]:
    """The fenced blocks of all pages in these languages; none given: all."""
    found = [Example(page, *fence) for page in PAGES for fence in _FENCE.findall(page.read_text())]
    return [each for each in found if each.language in languages] if languages else found


def inline(page: Path) -> list[str]:
    """The page's `code` outside its blocks, a line each; a table's \\| is |."""
    return [" ".join(code.split()).replace("\\|", "|") for code in _CODE.findall(_FENCE.sub("", page.read_text()))]


def anchors(page: Path) -> set[str]:
    """What a link may name behind #, as GitHub makes it of the titles."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}

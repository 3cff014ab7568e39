"""The columns of a sample of rows, each with its values and their form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.sources.recorded.convert import MISSING, is_missing, missing_words
from pipeline.sources.recorded.markup import joined
from pipeline.sources.recorded.numbers import number, scaled
from pipeline.sources.recorded.reasons import as_text
from pipeline.sources.recorded.suggest.time_formats import TimeFormat, time_format

DEEPEST = 6
_WORDS = missing_words(MISSING)
_URL = re.compile(r"https?://\S+|www\.\S+")
_ID = re.compile(r"'?[\w.:@/+=~#-]{1,200}'?")
_SPACE = re.compile(r"\s")
_WIDE = re.compile(r"[぀-ヿ一-鿿가-힯฀-๿]")


@dataclass
class Column:
    """A column, or a path in a JSON row: the values that are there, in the order of the rows."""

    path: str
    rows: int
    values: list[object] = field(default_factory=list)
    base: str = ""
    """The path of the object that holds the text: names are seen from there."""

    @property
    def label(self) -> str:
        """The path as seen from the text."""
        return self.path.removeprefix(self.base)

    @cached_property
    def texts(self) -> list[str]:
        """The values as texts, without those that stand for a missing one."""
        found = (_text(value) for value in self.values if not isinstance(value, dict))
        return [text for text in found if text and not is_missing(text, _WORDS)]

    @property
    def fill(self) -> float:
        return len(self.texts) / self.rows if self.rows else 0.0

    @cached_property
    def distinct(self) -> float:
        """The share of values that are the first of their kind."""
        return len(set(self.texts)) / len(self.texts) if self.texts else 0.0

    def share(self, fits: re.Pattern[str]) -> float:
        """The share of values that the pattern matches whole."""
        return sum(fits.fullmatch(text) is not None for text in self.texts) / len(self.texts) if self.texts else 0.0

    @cached_property
    def words(self) -> float:
        """The share of values of several words, or of a script without spaces."""
        several = sum(bool(_SPACE.search(text)) or len(_WIDE.findall(text)) > 3 for text in self.texts)
        return several / len(self.texts) if self.texts else 0.0

    @cached_property
    def length(self) -> float:
        return sum(map(len, self.texts)) / len(self.texts) if self.texts else 0.0

    @cached_property
    def numeric(self) -> float:
        """The share of values that are numbers."""
        return sum(_reads(number, text) for text in self.texts) / len(self.texts) if self.texts else 0.0

    @cached_property
    def scored(self) -> float:
        """The share of values that are scores out of something, as 4/5 or stars."""
        return sum(_reads(lambda t: scaled(t, 5), text) for text in self.texts) / len(self.texts) if self.texts else 0.0

    @cached_property
    def time(self) -> TimeFormat | None:
        """The format of the column's times; None if it holds none."""
        return time_format(self.texts)

    @property
    def is_time(self) -> bool:
        """Whether the texts are times, and no plain numbers."""
        return self.numeric < 0.5 and self.time is not None

    @property
    def is_url(self) -> bool:
        return self.share(_URL) > 0.8

    @property
    def is_id(self) -> bool:
        return self.share(_ID) > 0.95 and not self.is_url

    def examples(self) -> list[str]:
        """Three values, each another one."""
        return list(dict.fromkeys(self.texts))[:3]


def _text(value: object) -> str:
    return " ".join(map(as_text, value)) if isinstance(value, list) else as_text(value).strip()


def _reads(read: object, text: str) -> bool:
    assert callable(read)
    try:
        read(text)
    except ValueError:
        return False
    return True


class Columns(dict[str, Column]):
    """The columns by their path, in the order of the file."""


def columns_of(rows: Iterable[dict[str, object]], prefix: str = "") -> Columns:
    """The columns of some rows; of nested objects by paths, of lists of plain values as one column."""
    listed = list(rows)
    found = Columns()
    for row in listed:
        for path, value in _leaves(row, prefix):
            found.setdefault(path, Column(path, len(listed))).values.append(value)
    return found


def _leaves(node: dict[str, object], prefix: str, depth: int = 0) -> Iterator[tuple[str, object]]:
    for name, value in node.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict):
            if depth < DEEPEST:
                yield from _leaves(value, f"{path}.", depth + 1)
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            text = joined(value)
            if text:
                yield path, text
            for key in dict.fromkeys(key for each in value for key in each):
                inner = [each[key] for each in value if isinstance(each.get(key), str | int)]
                if inner:
                    yield f"{path}.*.{key}", " ".join(map(str, inner))
        elif isinstance(value, list):
            mixed = any(isinstance(each, dict | list) for each in value)
            given = joined(value) if mixed else value
            if given:
                yield path, given
        elif value is not None:
            yield path, value


def lists_in(rows: Iterable[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    """The lists of objects in some rows, by their path: all their elements."""
    found: dict[str, list[dict[str, object]]] = {}
    for row in rows:
        for path, elements in _lists(row, ""):
            found.setdefault(path, []).extend(elements)
    return found


def _lists(node: dict[str, object], prefix: str, depth: int = 0) -> Iterator[tuple[str, list[dict[str, object]]]]:
    for name, value in node.items():
        if isinstance(value, dict) and depth < DEEPEST:
            yield from _lists(value, f"{prefix}{name}.", depth + 1)
        elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
            yield f"{prefix}{name}", value

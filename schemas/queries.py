"""The named queries: the files schemas/clickhouse/queries/NAME.sql, each a comment and one SELECT.

    -- Mentions of brands by day. What else is to be known.
    --
    -- parameter brand = []: of these brands; none named: of all
    -- parameter from = -30d: from then on
    -- column day: when it begins
    -- column mentions: how many, without
    --   the brand's own
    -- plot line: day, mentions, brand
    -- operators: why user analyst may not read it

The first sentence is what a list shows. A line goes on in the next one that begins with three blanks. A parameter stands in the
SELECT as {name:Type}; without ` = DEFAULT` it must be given. A plot is a line or bars: x, y, and what tells the series apart.
Each is also a view `q_NAME`, with parameters where the query has them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "clickhouse" / "queries"
VIEW = "q_"
"""How the names of their views begin."""
_PLACE = re.compile(r"\{(\w+):([^{}]+)\}")
_ITEM = re.compile(r"(parameter|column|plot|operators)\b ?([^:]*): (.+)", re.DOTALL)
_ENUM = re.compile(r"(?:Array\()?Enum\((.+?)\)")


class Parameter(NamedTuple):
    """A parameter of a named query."""

    name: str
    type: str
    """ClickHouse's."""
    default: str | None
    """As people write it; None: it must be given."""
    meaning: str

    @property
    def choices(self) -> list[str]:
        """All values that it takes; none: any."""
        found = _ENUM.fullmatch(self.type.removesuffix(")") if self.many else self.type)
        return re.findall(r"'([^']+)'", found[1]) if found else []

    @property
    def many(self) -> bool:
        """Whether it is a list."""
        return self.type.startswith("Array(")


class Plot(NamedTuple):
    """What a picture of the result shows: columns."""

    kind: str
    """line or bar."""
    x: str
    y: str
    series: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """One file."""

    name: str
    meaning: str
    parameters: tuple[Parameter, ...]
    columns: Mapping[str, str]
    """Name -> meaning."""
    plot: Plot | None
    operators: str
    """Why user analyst may not run it; blank: it may."""
    text: str
    """The file."""
    sql: str
    """The SELECT."""

    @property
    def view(self) -> str:
        """The name of its view."""
        return VIEW + self.name

    @property
    def first(self) -> str:
        """The first sentence of the meaning."""
        return re.split(r"(?<=\.)\s", self.meaning, maxsplit=1)[0].rstrip(".")


def parse(name: str, text: str) -> NamedQuery:
    """The query in a file's text. Raises ValueError if its comment is not as above, or has other parameters than its SELECT."""
    lines = text.splitlines()
    head = [line for line in lines if line.startswith("--")]
    meaning, *items = _items(line.removeprefix("--") for line in head)
    sql = "\n".join(lines[len(head) :]).strip().rstrip(";")
    types = dict(_PLACE.findall(sql))
    found: dict[str, dict[str, str]] = {"parameter": {}, "column": {}, "plot": {}, "operators": {}}
    for item in items:
        if not (match := _ITEM.fullmatch(item)):
            raise ValueError(f"query {name}: {item!r} is none of {', '.join(found)}")
        found[match[1]][match[2]] = match[3]
    given = dict(_parameter(key, says, types) for key, says in found["parameter"].items())
    if given.keys() != types.keys() or len({*_PLACE.findall(sql)}) != len(types):
        raise ValueError(f"query {name}: its comment has parameters {', '.join(given)}, its SELECT {', '.join(types)}")
    plot = next((_plot(kind, says) for kind, says in found["plot"].items()), None)
    operators = found["operators"].get("", "")
    return NamedQuery(name, meaning, tuple(given.values()), found["column"], plot, operators, text, sql)


def _items(lines: Iterator[str]) -> list[str]:
    """The meaning, whose paragraphs are joined, and the items, each in one line."""
    meaning, items = list[str](), list[str]()
    for line in filter(str.strip, lines):
        if line.startswith("   ") and items:
            items[-1] += " " + line.strip()
        elif _ITEM.match(line.strip()):
            items.append(line.strip())
        else:
            (items if items else meaning).append(line.strip())
    return [" ".join(meaning), *items]


def _parameter(key: str, meaning: str, types: Mapping[str, str]) -> tuple[str, Parameter]:
    name, equals, default = key.partition(" = ")
    return name, Parameter(name, types.get(name, ""), default if equals else None, meaning)


def _plot(kind: str, says: str) -> Plot:
    x, y, *series = says.split(", ")
    return Plot(kind, x, y, tuple(series))


@cache
def named_queries() -> Mapping[str, NamedQuery]:
    """All, by name, in the order of their names."""
    return {path.stem: parse(path.stem, path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.sql"))}

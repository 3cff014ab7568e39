"""Dead letters for page Operations: the filter that people type, and bytes as they came."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, cast
from urllib.parse import urlencode

from pipeline.console.part import Part
from pipeline.console.reads import Answer, Reads
from pipeline.console.shown import counted as counted_of
from pipeline.maintenance.dead_letters import Counted, Filter, count_question
from pipeline.monitoring.reject_reasons import reason_class
from pipeline.queries.letters import DeadLetter

FIELDS = ("reason", "topic", "partition", "from_offset", "to_offset")
_ROW = 16
_PLACE = re.compile(r"\W*\b(in |at )?(byte|position|line|column|character) \d.*$", re.DOTALL)
_LABELS = {"partition": "partition", "from_offset": "first offset", "to_offset": "last offset"}
_LONGEST = {"reason": 500, "topic": 249}
_LARGEST = {"partition": 2**31 - 1, "from_offset": 2**63 - 1, "to_offset": 2**63 - 1}


class Typed(NamedTuple):
    """What was typed: the filter, what is wrong with it (that part is left out), and the texts themselves."""

    which: Filter
    problems: list[str]
    texts: dict[str, str]

    @property
    def query(self) -> str:
        """As the query of an address."""
        return urlencode({name: text for name, text in self.texts.items() if text})


def typed(given: Mapping[str, str]) -> Typed:
    """`partition` and offsets are whole numbers."""
    texts = {name: given.get(name, "").strip() for name in FIELDS}
    numbers, problems = dict[str, int | None](), list[str]()
    for name, most in _LARGEST.items():
        text = texts[name]
        whole = text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= most
        numbers[name] = int(text) if whole else None
        if text and not whole:
            problems.append(f"{_LABELS[name]} {text[:40]!r}: it is a whole number from 0 to {most:,}")
    problems += [f"{name}: it has {most:,} characters at most" for name, most in _LONGEST.items() if len(texts[name]) > most]
    which = Filter(
        texts["reason"] or None, texts["topic"] or None, numbers["partition"], numbers["from_offset"], numbers["to_offset"]
    )
    return Typed(which, problems, texts)


def one(letter: DeadLetter) -> str:
    """The query of an address that selects this letter alone."""
    given = {"topic": letter.topic, "partition": letter.partition, "from_offset": letter.offset, "to_offset": letter.offset}
    return urlencode(given)


async def counted(reads: Reads, which: Filter, keep_s: float = 0.0) -> Counted:
    """How many the filter selects. Raises ReadFailed."""
    sql, values = count_question(which)
    (row,) = (await reads.ask(sql, values, keep_s)).rows
    return Counted(**cast(dict[str, int], row))


def numbers(of: Counted) -> str:
    """The same words wherever they are counted."""
    said = f"{counted_of(of.letters, 'dead letter')}, {of.records:,} to be sent again"
    said += f"; {of.repeats:,} repeat one of these" if of.repeats else ""
    return said + (f"; of {of.without_bytes:,} Kafka's client could not unpack the bytes" if of.without_bytes else "")


def alike(rejects: Part[Answer]) -> Part[Answer]:
    """Rows of query `rejects` for those who may look: reasons that differ in their place alone are one row, with theirs in
    `exact`. The row's reason is what all of them begin with, so that a filter selects them."""
    return _grouped(rejects, lambda _, reason: _PLACE.sub("", reason) or reason)


def kinds(rejects: Part[Answer]) -> Part[Answer]:
    """Rows of query `rejects` for those who may not look at dead letters: ClickHouse quotes rows in its reasons, so of a reason
    they read the kind."""
    return _grouped(rejects, reason_class)


def _grouped(rejects: Part[Answer], kind_of: Callable[[str, str], str]) -> Part[Answer]:
    if rejects.value is None:
        return rejects
    found: dict[tuple[str, str], dict[str, object]] = {}
    for row in rejects.value.rows:
        step, kind = str(row["step"]), kind_of(str(row["step"]), str(row["reason"]))
        blank = {"step": step, "reason": kind, "records": 0, "newest": row["newest"], "exact": []}
        one = found.setdefault((step, kind), blank)
        one["records"] = cast(int, one["records"]) + cast(int, row["records"])
        one["newest"] = max(cast(datetime, one["newest"]), cast(datetime, row["newest"]))
        cast(list[object], one["exact"]).append(row)
    rows = sorted(found.values(), key=lambda row: -cast(int, row["records"]))
    return replace(rejects, value=replace(rejects.value, rows=rows))


def dump(raw: bytes) -> Iterator[str]:
    """Lines of 16 bytes: where, in hexadecimal, and what of them is ASCII."""
    for at in range(0, len(raw), _ROW):
        row = raw[at : at + _ROW]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        yield f"{at:06x}  {row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}  {text}"

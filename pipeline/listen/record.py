"""Records of topic cursors: how far a source is. Key: its name. Key `pause NAME`: whether a person paused it.

Of a source's records the newest counts: by epoch, then by number. Each owner of a source takes the next epoch, so what an owner
writes that does not know that it was replaced is ignored.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

import orjson

from schemas.untyped import JsonObject

PAUSE = b"pause "
COPY_BYTES = 1 << 20
TRUSTED_S, LATEST_S = 5.0, 20.0
"""Clocks may differ by so much; a record is written so long after what it holds was sent, at the latest."""


@dataclass(frozen=True)
class Record:
    """How far a source is."""

    source: str
    what: str
    """What the cursor is a place in (Source.what)."""
    epoch: int = 0
    number: int = 0
    cursor: JsonObject = field(default_factory=dict)
    """The driver's own; empty: it has not begun."""
    items: bytes = b""
    """What was sent of the newest items (changes.Known.dump)."""
    at: int = 0
    """The newest time that changes were given, in ms since 1970: the next owner's clock may be behind."""

    @property
    def order(self) -> tuple[int, int]:
        """The record with the greatest one counts."""
        return self.epoch, self.number

    def next(self, cursor: JsonObject, items: bytes, at: int) -> Record:
        """The one that follows it, of the same owner."""
        return replace(self, number=self.number + 1, cursor=cursor, items=items, at=at)

    def taken(self, what: str) -> Record:
        """The first one of another owner. Of another thing than before it begins anew, but for what the month has cost."""
        if what != self.what:
            return Record(self.source, what, self.epoch + 1, cursor=_only_spent(self.cursor))
        return replace(self, epoch=self.epoch + 1, number=0)

    def ahead(self, now: float, every: float) -> float:
        """By so many seconds the next owner dates its changes later than `now`. Where `at` is later than that, the last owner's
        clock was ahead, and what it sent after this record, within one poll, has times beyond `at`."""
        behind = self.at / 1000 - now
        return behind + min(every, 3_600.0) + LATEST_S if behind > TRUSTED_S else 0.0

    def dump(self) -> bytes:
        """The record's value."""
        fields = {name: getattr(self, name) for name in ("what", "epoch", "number", "cursor", "at")}
        return orjson.dumps({**fields, "items": base64.b64encode(self.items).decode()})


def _only_spent(cursor: JsonObject) -> JsonObject:
    return {key: value for key, value in cursor.items() if key == "spent"}


class Pause(NamedTuple):
    """Whether a person paused the source."""

    source: str
    paused: bool

    def dump(self) -> tuple[bytes, bytes]:
        """Key and value."""
        return PAUSE + self.source.encode(), orjson.dumps({"paused": self.paused})


def read(key: bytes | None, value: bytes | None) -> Record | Pause | None:
    """The record; None if it is none that this program knows."""
    try:
        name, fields = (key or b"").decode(), orjson.loads(value or b"")
        if key and key.startswith(PAUSE):
            return Pause(name[len(PAUSE) :], fields["paused"] is True)
        return Record(
            name, str(fields["what"]), int(fields["epoch"]), int(fields["number"]), dict(fields["cursor"]),
            base64.b64decode(fields["items"]), int(fields["at"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError):
        return None


class Newest:
    """The newest record of each source, and which are paused. For several threads."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self._paused: dict[tuple[int, str], bool] = {}
        self._lock = threading.Lock()

    def add(self, record: Record) -> bool:
        """Takes it in, unless a newer one is there. Whether it is the first one of an owner."""
        with self._lock:
            known = self.records.get(record.source)
            if known is None or record.order > known.order:
                self.records[record.source] = record
        return known is None or record.epoch > known.epoch

    def wrote(self, record: Record) -> None:
        """Takes in a record of our own, in place of the same one as it was read: it is in memory once."""
        with self._lock:
            if (known := self.records.get(record.source)) is None or record.order >= known.order:
                self.records[record.source] = record

    def pause(self, entry: Pause, partition: int) -> None:
        """Takes it in; the last one of a partition counts."""
        self._paused[partition, entry.source] = entry.paused

    def is_paused(self, source: str, partition: int) -> bool:
        """Whether the source is, by this partition: each has all pauses, as credentials change, and partitions with them."""
        return self._paused.get((partition, source), False)


def copies_of(records: Iterable[Record], now: datetime) -> Iterator[list[tuple[str, int, str, datetime]]]:
    """Rows of table source_cursors, about COPY_BYTES together."""
    rows, size = [], 0
    for record in records:
        rows.append((record.source, version(record), record.dump().decode(), now))
        size += len(rows[-1][2])
        if size > COPY_BYTES:
            yield rows
            rows, size = [], 0
    yield rows


def version(record: Record) -> int:
    """Its order as one number: of the rows of a source the highest counts."""
    return record.epoch << 32 | record.number

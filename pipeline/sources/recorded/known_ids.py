"""Which events of a file are in table interactions under another created_at, before the file is sent (docs/one-row.md).

Only creates are looked at: they alone name a created_at that could become the event's. The first MOST of a file are, so that a
look at a large one ends: each 100,000 of them scan two columns of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import polars as pl
import xxhash
from rich.progress import Progress

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import LONG_SQL, frame, one_line
from pipeline.clickhouse.row_versions import numbers
from pipeline.config.settings import ClickHouseSettings
from pipeline.errors import UnreachableError
from pipeline.kafka.event_producer import key_of, parse
from pipeline.sources.recorded.open_files import How, Line, read_files
from pipeline.sources.recorded.report import ReplayReport
from schemas.times import TIME, to_ms

MOST, AT_ONCE, LISTED = 1_000_000, 100_000, 1_000
_STORED = """
SELECT event_key, groupUniqArray(10)(created_at) AS stored FROM interactions WHERE event_key IN {keys} AND moved_to = 0
GROUP BY event_key"""


class OtherTime(NamedTuple):
    """An event of a file that is stored under another created_at."""

    key: str
    """platform:id"""
    created_at: datetime | None
    """In the file; None: the moment at which it will be sent."""
    stored: datetime


@dataclass
class KnownIds:
    """What was found."""

    creates: int = 0
    """Of the file, that were looked at."""
    cut: bool = False
    """The file has more."""
    other: int = 0
    """Creates whose event is stored under another created_at."""
    listed: list[OtherTime] = field(default_factory=list)
    """The first LISTED."""


def known_ids(
    clickhouse: ClickHouseSettings, files: Sequence[Path], mapping: How, as_now: bool, progress: Progress | None = None
) -> KnownIds:
    """Looks at the creates of the files, which are read for that. `as_now`: their times become those of their sending.

    Raises UnreachableError without ClickHouse, or if it refuses the query (Kafka alone is needed to send), and as `replay` for
    a file.
    """
    found = KnownIds()
    events = read_files(files, mapping, ReplayReport(), as_now, progress)  # first: a mistake of a mapping is its error
    creates = _creates(events, as_now)
    with closing(clickhouse_client(clickhouse)) as client, one_line(client, error=UnreachableError):
        while part := list(islice(creates, min(AT_ONCE, MOST - found.creates))):
            found.creates += len(part)
            asked = pl.DataFrame(part, schema={"key": pl.String, "event_key": pl.UInt64, "created_at": TIME}, orient="row")
            sql = _STORED.format(keys=numbers(asked.get_column("event_key").unique()))
            stored = frame(client, sql, {}, LONG_SQL).with_columns(pl.col("stored").cast(pl.List(TIME)))
            both = asked.join(stored, on="event_key", maintain_order="left")
            both = both.filter(pl.col("created_at").is_null() | ~pl.col("stored").list.contains(pl.col("created_at")))
            found.other += both.height
            rows = both.head(LISTED - len(found.listed)).select("key", "created_at", pl.col("stored").list.min())
            found.listed += [OtherTime(*row) for row in rows.iter_rows()]
        found.cut = next(creates, None) is not None
    return found


def _creates(events: Iterable[Line], as_now: bool) -> Iterator[tuple[str, int, datetime | None]]:
    for event in events:
        fields = event if isinstance(event, dict) else parse(event)
        key = key_of(fields)
        if fields is None or key is None or fields.get("operation", "create") != "create":
            continue
        at = None if as_now else _time(fields.get("created_at"))
        if as_now or at is not None:
            yield key.decode(), xxhash.xxh3_64_intdigest(key), at


def _time(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if at is None or at.tzinfo is None else datetime.fromtimestamp(to_ms(at) / 1000, UTC)

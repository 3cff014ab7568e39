"""What a faultless pipeline writes, so that the oracle can be tested without one."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import xxhash

from schemas.events import OFFSET_MASK, OFFSET_SHIFT, RANK_SHIFT, RANKS, TIME_SHIFT
from tests.support.load import Message
from tests.support.oracle import AT, Found, Truth
from tests.support.topics import Position


def faultless(topic: Mapping[Position, Message]) -> Found:
    """What a faultless pipeline writes that sees each event's records in the order of their times."""
    truth = Truth.of(topic)
    first: dict[int, tuple[Position, Message]] = {}
    for at, message in topic.items():
        first.setdefault(message.record, (at, message))
    created = {m.event for m in topic.values() if m.operation == "create"}
    state: dict[int, tuple[str | None, int | None]] = {}
    rows: list[tuple[object, ...]] = []
    for at, m in sorted(first.values(), key=lambda pair: pair[1].occurred_ms):
        if m.event in created:
            text, likes = state.get(m.event, (None, None))
            state[m.event] = (m.text if m.text is not None else text, m.likes if m.likes is not None else likes)
            version = m.occurred_ms << TIME_SHIFT | RANKS[m.operation] << RANK_SHIFT | (at[2] & OFFSET_MASK) << OFFSET_SHIFT
            gone = m.operation == "delete"
            content = ("", None) if gone else state[m.event]
            rows.append((*at, m.event_key, xxhash.xxh3_64_intdigest(m.value), version, int(gone), *content))
    schema = {name: truth.deliveries.schema[name] for name in (*AT, "event_key")}
    written = pl.DataFrame(
        rows,
        {
            **schema,
            "revision": pl.UInt64,
            "version": pl.UInt64,
            "is_deleted": pl.UInt8,
            "row_text": pl.String,
            "row_likes": pl.Int64,
        },
        orient="row",
    )
    newest = written.sort("version").group_by("event_key").last().filter(pl.col("is_deleted") == 0)
    waiting = truth.deliveries.filter(pl.col("fate") == "waits").unique("record", keep="first").select(*AT, "event_key")
    dead = truth.deliveries.filter(pl.col("fate") == "dead").select(AT)
    return Found(written, newest.select("event_key"), waiting, dead, dead, newest.height, merged=False)

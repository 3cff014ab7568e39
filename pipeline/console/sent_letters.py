"""Which dead letters were sent again already, and by whom: of two pages with the same form the second is told."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple, cast

from pipeline.console.reads import Reads

REPLAY = "replay dead letters"
_SENT = """SELECT actor, at FROM acts
WHERE at >= fromUnixTimestamp64Milli({until:Int64}, 'UTC') - INTERVAL 1 HOUR AND act = {act:String} AND outcome = 'done'
    AND JSONExtractString(after, 'selection') = {selection:String}
ORDER BY at DESC LIMIT 1"""
"""Not before the newest of them was rejected, but for clocks that differ."""


class Sent(NamedTuple):
    """Who sent them, and when; or began to."""

    actor: str
    at: datetime

    def __str__(self) -> str:
        return f"{self.actor} sent these again on {self.at:%Y-%m-%d} at {self.at:%H:%M:%S} UTC"


def selection(query: str, until: int) -> str:
    """Names what was counted. A filter may quote a record, which the record of acts does not: it is hashed."""
    return hashlib.sha256(f"{until} {query}".encode()).hexdigest()[:16]


async def sent(reads: Reads, name: str, until: int) -> Sent | None:
    """The last time that these were sent; None: they were not, or not all. Raises ReadFailed."""
    found = await reads.ask(_SENT, {"until": until, "act": REPLAY, "selection": name})
    return Sent(str(found.rows[0]["actor"]), cast(datetime, found.rows[0]["at"])) if found.rows else None

"""The alerts of page Now: which are firing, which somebody looks after, and which ended within a day."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.console.reads import Reads
from pipeline.queries.alerts import LISTED, OPEN, Filter, count_sql, listed, newest_sql
from schemas.alerts import COLUMNS, Alert, State, alert_of

MOST = 200
"""Alerts of a list."""
ENDED_WITHIN = timedelta(days=1)
KEEP_S = 1.0
"""Three hundred pages that load at once are one question."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Some alerts, the query that gave them, and how many more it would give."""

    alerts: list[Alert]
    sql: str
    left_out: int
    at: datetime
    """When it was asked."""
    place: str
    """Where the stream of changes was before that."""


@dataclass(frozen=True, slots=True)
class Board:
    """The three lists. Firing and acknowledged ones are from one query."""

    open: Listed
    over: Listed

    @property
    def place(self) -> str:
        """From here on the stream tells what the lists lack."""
        return min(self.open, self.over, key=lambda listed: listed.at).place

    @property
    def firing(self) -> list[Alert]:
        """The worst first, then the newest."""
        return self._of(State.FIRING)

    @property
    def acknowledged(self) -> list[Alert]:
        return self._of(State.ACKNOWLEDGED)

    def _of(self, state: State) -> list[Alert]:
        found = [alert for alert in self.open.alerts if alert.state is state]
        return sorted(found, key=lambda alert: (-alert.severity, -alert.since.timestamp(), alert.key))


def filter_of(typed: Mapping[str, str]) -> tuple[Filter, str]:
    """The filter that was typed (brand, rule, severity), and what is wrong with it; blank: nothing."""
    brand, rule, severity = (typed.get(name, "").strip() for name in ("brand", "rule", "severity"))
    least = int(severity) if severity.isascii() and severity.isdigit() and len(severity) < 3 else 0
    problem = f"severity {severity[:40]!r}: it is a whole number from 1 to 10" if severity and not 1 <= least <= 10 else ""
    return Filter(brand, rule, (), least if 1 <= least <= 10 else 1, historical=False), problem


async def board(reads: Reads, which: Filter, now: datetime, keep_s: float = KEEP_S) -> Board:
    """All alerts that pass, as they were `keep_s` ago or later. Raises ReadFailed."""
    since = now.replace(second=0, microsecond=0) - ENDED_WITHIN  # within a minute the question is the same
    ended = replace(which, states=(State.RESOLVED,), since=since)
    lists = (_listed(reads, each, keep_s) for each in (replace(which, states=OPEN), ended))
    return Board(*await asyncio.gather(*lists))


async def _listed(reads: Reads, which: Filter, keep_s: float) -> Listed:
    answer = await reads.ask(*newest_sql(which, MOST + 1, LISTED), keep_s, MOST, first=True)
    left_out = 0
    if answer.cut:
        counted = await reads.ask(*count_sql(which), keep_s, first=True)
        left_out = max(int(str(counted.rows[0]["alerts"])) - MOST, 1)
    return Listed([listed(row) for row in answer.rows], answer.sql, left_out, answer.at, answer.mark)


async def one(reads: Reads, key: str) -> Alert | None:
    """The alert of this key, as it is now; None: there is none. Raises ReadFailed."""
    if not re.fullmatch("[0-9a-f]{16}", key):
        return None
    columns = ", ".join(COLUMNS)
    sql = f"SELECT {columns} FROM alerts WHERE alert_key = {{key:UInt64}} ORDER BY term DESC, version DESC LIMIT 1"
    answer = await reads.ask(sql, {"key": int(key, 16)})
    return alert_of(answer.rows[0]) if answer.rows else None

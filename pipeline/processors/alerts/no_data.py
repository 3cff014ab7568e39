"""Rules of type no_data: platforms, sources and brands that nothing has come from for too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pipeline.clickhouse.query import Query
from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, floor, time_of
from pipeline.processors.alerts.rule_types import NoDataRule
from schemas.alerts import Alert, Scope

WEEK = timedelta(days=7)
OVERLAP = timedelta(minutes=2)
"""How long before the last look an event may have been created that has landed since."""
SOURCES = {"platform": "toString(platform)", "source": "toString(source_name)", "brand": "toString(arrayJoin(brands))"}
Named = tuple[str, str]
"""Platform, source or brand (a key of SOURCES), and its name."""


class LastEvents:
    """When the newest event of each platform, source and brand was created. Restart: `reset`, then `read`."""

    def __init__(self) -> None:
        self.at: dict[Named, datetime] = {}
        self._read_at = time_of(0)

    def reset(self, watermark: datetime) -> None:
        """Forgets all; `read` asks for a week before the watermark."""
        self.at.clear()
        self._read_at = watermark - WEEK

    def read(self, query: Query, rules: Sequence[NoDataRule], watermark: datetime) -> None:
        """Asks for the events since the last look, of the kinds of sources that the rules are about."""
        for of in {rule.of for rule in rules}:
            since = f"toStartOfMinute(created_at) >= '{self._read_at - OVERLAP:%Y-%m-%d %H:%M:00}'"
            rows = query(
                f"SELECT {SOURCES[of]} AS name, max(created_at) AS last FROM interactions WHERE {since} "
                "AND is_deleted = 0 GROUP BY name"
            )
            for name, last in rows.iter_rows():
                self.at[of, name] = max(last, self.at.get((of, name), last))
        self._read_at = watermark
        # No rule asks for longer: a source without an event since is not missed any more.
        self.at = {named: at for named, at in self.at.items() if watermark - at <= 2 * WEEK}


def judge_sources(
    lifecycle: Lifecycle, rules: Sequence[NoDataRule], last: Mapping[Named, datetime], at: datetime, now: datetime
) -> list[Alert]:
    """Compares the times of the newest events with the rules. A source without an event for a week is not missed any more."""
    changes = []
    for rule in rules:
        for (of, name), created in last.items():
            if of != rule.of or not name or at - created > WEEK + rule.after or (rule.names and name not in rule.names):
                continue
            scope = Scope(**{of: name})
            if at - created >= rule.after:
                missing = (at - created).total_seconds() / MINUTE_S
                condition = Condition(rule, scope, floor(created), floor(at), rule.severity, missing, "minutes")
                changes += lifecycle.met(condition, now)
            else:
                changes += lifecycle.not_met(rule.name, scope, now)
    return changes

"""Rules of type no_data: platforms, sources and brands that nothing has come from for too long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from pipeline.processors.alerts.condition import Condition
from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import MINUTE_S, floor
from pipeline.processors.alerts.rules import NoDataRule
from schemas.alerts import Alert, Scope

WEEK = timedelta(days=7)
SOURCES = {"platform": "toString(platform)", "source": "toString(source_name)", "brand": "toString(arrayJoin(brands))"}


def judge_sources(
    lifecycle: Lifecycle, rules: Sequence[NoDataRule], last: dict[tuple[str, str], datetime], at: datetime, now: datetime
) -> list[Alert]:
    """Holds what talked last against the silence rules. Who has not talked for a week is not missed any more."""
    changes = []
    for rule in rules:
        for (of, name), talked in last.items():
            if of != rule.of or not name or at - talked > WEEK + rule.after or (rule.names and name not in rule.names):
                continue
            scope = Scope(**{of: name})
            if at - talked >= rule.after:
                missing = (at - talked).total_seconds() / MINUTE_S
                start = floor(talked)
                changes += lifecycle.met(Condition(rule, scope, start, floor(at), rule.severity, missing, "minutes"), now)
            else:
                changes += lifecycle.not_met(rule.name, scope, now)
    return changes

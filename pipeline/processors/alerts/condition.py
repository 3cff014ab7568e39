"""A condition: a rule is true of a scope, for a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.processors.alerts.rule_types import ConditionRule, NoDataRule
from schemas.alerts import Alert, Scope, alert_key

NO_ANSWER, NO_EVENT = "minutes without an answer", "minutes without an event"
"""The measures of a no_data rule about a source that a listener runs."""


class Condition(NamedTuple):
    """The rule is true of the scope from `start` on, and still at `end`."""

    rule: ConditionRule
    scope: Scope
    start: datetime
    end: datetime
    severity: int
    observed: float
    measure: str = ""
    expected: float | None = None
    lower: float | None = None
    upper: float | None = None
    samples: tuple[int, ...] = ()
    split: tuple[int, int, int] = (0, 0, 0)
    platforms: tuple[str, ...] = ()
    """Where it is true; blank: on any platform."""
    span_s: int = 0
    """Of a spike that only a longer window than the shortest has: that window."""

    @property
    def key(self) -> int:
        """Of the alert that the condition begins: the same after a restart."""
        return alert_key(self.rule.name, self.scope, int(self.start.timestamp()))

    def belongs_to(self, ended: Alert, open_: Alert | None) -> bool:
        """Whether it belongs to an alert of its rule and scope that has ended. `open_` is the open one, if that began after it:
        the last hour is judged again, and the minutes of an earlier burst are not those of the open alert."""
        # A source that sends nothing once more, soon after it sent something, is missed again: nothing else would say so.
        if isinstance(self.rule, NoDataRule) and ended.key != self.key:
            return False
        if open_ is not None and open_.since - self.end <= max(self.start - ended.last_at, timedelta()):
            return False
        return ended.since - self.rule.resolve <= self.start <= ended.last_at + self.rule.resolve

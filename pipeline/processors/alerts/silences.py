"""Silences: who is told nothing, of what, until when. An alert that falls under one goes on, and is on record as muted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pipeline.processors.alerts.alert import Alert


@dataclass(frozen=True, slots=True)
class Silence:
    """One row of table alert_silences. Blank: any. All times are aware, UTC. One that was lifted ends when it was lifted."""

    silence_id: int
    version: int
    rule: str
    brand: str
    platform: str
    starts_at: datetime
    ends_at: datetime
    actor: str
    comment: str
    changed_at: datetime

    def covers(self, alert: Alert, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at and all(
            wanted in ("", has)
            for wanted, has in (
                (self.rule, alert.rule),
                (self.brand, alert.scope.brand),
                (self.platform, alert.scope.platform),
            )
        )


def covering(silences: Iterable[Silence], alert: Alert, now: datetime) -> Silence | None:
    """The silence that an alert falls under and that lasts longest."""
    found = [silence for silence in silences if silence.covers(alert, now)]
    return max(found, key=lambda silence: silence.ends_at, default=None)

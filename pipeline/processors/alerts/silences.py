"""Silences: who is told nothing, of what, until when. An alert that falls under one goes on, and is on record as muted."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from schemas.alerts import Alert


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

    def covers(self, alert: Alert, platform: str, now: datetime) -> bool:
        """Whether it is for what the alert has on this platform."""
        wanted = (self.rule, alert.rule), (self.brand, alert.scope.brand), (self.platform, platform)
        return self.starts_at <= now < self.ends_at and all(want in ("", has) for want, has in wanted)


def covering(silences: Collection[Silence], alert: Alert, now: datetime) -> Silence | None:
    """The silence that an alert falls under, and that lasts longest. Of one on several platforms each has to be silenced; the
    silence that ends first counts, for with it the alert is told."""
    found = []
    for platform in alert.platforms or (alert.scope.platform,):
        under = [silence for silence in silences if silence.covers(alert, platform, now)]
        if not under:
            return None
        found.append(max(under, key=_end))
    return min(found, key=_end)


def _end(silence: Silence) -> datetime:
    return silence.ends_at

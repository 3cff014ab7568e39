"""Mutes: alerts that nobody is notified of. A muted alert goes on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.alerts import Alert, Scope, State


@dataclass(frozen=True, slots=True)
class Silence:
    """One row of table alert_silences. Blank: any. All times are aware, UTC. A silence that was lifted ends at that time."""

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
        """Whether it mutes the alert on this platform."""
        wanted = (self.rule, alert.rule), (self.brand, alert.scope.brand), (self.platform, platform)
        return self.starts_at <= now < self.ends_at and all(want in ("", has) for want, has in wanted)


def covering(silences: Collection[Silence], alert: Alert, now: datetime) -> Silence | None:
    """The silence that mutes the alert, and that lasts longest. An alert on several platforms needs a silence of each; the one
    that ends first counts, because the alert is notified from then on."""
    of_platforms = []
    for platform in alert.platforms or (alert.scope.platform,):
        under = [silence for silence in silences if silence.covers(alert, platform, now)]
        if not under:
            return None
        of_platforms.append(max(under, key=_end))
    return min(of_platforms, key=_end)


def muted_by(silences: Collection[Silence], open_: Iterable[Alert], alert: Alert, now: datetime) -> str:
    """Alert.muted: a silence, or a spike of the whole brand among open alerts, which inhibits its parts; blank: none."""
    if alert.test:
        return ""
    if silence := covering(silences, alert, now):
        return f"silence {silence.silence_id:016x}"
    whole = Scope(alert.scope.brand)
    if alert.type == "spike" and alert.scope != whole:
        for other in open_:
            same = (other.type, other.scope, other.measure) == ("spike", whole, alert.measure)
            if same and other.state in (State.FIRING, State.ACKNOWLEDGED) and _is_rise(other) == _is_rise(alert):
                return f"inhibited by {other.hex}"
    return ""


def _is_rise(alert: Alert) -> bool:
    """Whether more was observed than expected."""
    return alert.expected is None or alert.observed >= alert.expected


def _end(silence: Silence) -> datetime:
    return silence.ends_at

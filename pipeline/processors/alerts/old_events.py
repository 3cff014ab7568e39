"""Alerts of single events that came to match their rule more than an hour ago: stored, one an hour, and nobody is notified."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from pipeline.processors.alerts.changes import event_alert, event_change, historical_key
from pipeline.processors.alerts.rule_types import EventRule
from schemas.alerts import Alert, State
from schemas.signals import Candidate


class OldEvents:
    """Restart: `recall`, before each `record`."""

    def __init__(self) -> None:
        self._alerts: dict[int, Alert] = {}

    def recall(self, alerts: Iterable[Alert]) -> None:
        """The historical alerts that are stored under the keys of `historical_key`; all others are forgotten."""
        self._alerts = {alert.key: alert for alert in alerts}

    def record(self, rule: EventRule, candidate: Candidate, now: datetime) -> Alert:
        """The alert of the event's hour, with the event."""
        key = historical_key(candidate)
        alert = self._alerts.get(key)
        if alert is None:
            alert = event_alert(rule, candidate, key, State.RESOLVED, now)
            alert = replace(alert, historical=True, ended_at=candidate.at)
        else:
            change = event_change(alert, rule, candidate)
            change["ended_at"] = change["last_at"]
            alert = alert.change(now, **change)
        self._alerts[key] = alert
        return alert

    def of(self, keys: Collection[int]) -> list[Alert]:
        """The alerts of these keys, those of new events last."""
        return [alert for key, alert in self._alerts.items() if key in keys]

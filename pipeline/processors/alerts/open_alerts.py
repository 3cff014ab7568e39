"""Open alerts, and the changes that people and explanations make to them: what the evaluator and its callers share."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pipeline.processors.alerts.lifecycle import Lifecycle
from pipeline.processors.alerts.minutes import minute_of, time_of
from pipeline.processors.alerts.rule_types import AnyRule, OverTimeRule, WindowedRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.store import AlertStore
from pipeline.processors.alerts.window_rules import slice_of
from pipeline.processors.alerts.windows import Windows
from schemas.alerts import Alert, Member, State


class OpenAlerts:
    """Every method that reads or writes blocks while ClickHouse is away, and raises GivenUp when another process leads."""

    def __init__(self, tables: AlertStore, config: Alerts) -> None:
        self._tables, self.config = tables, config
        self.lifecycle = Lifecycle(config)
        self.watermark = time_of(0)
        self._generation = 0

    # --- explanations -------------------------------------------------------------------------------------------------
    def unexplained(self, alert: Alert) -> OverTimeRule | None:
        """The rule of an alert that begins to fire and needs an explanation before it is published; None: no explanation."""
        begins = alert.state == State.FIRING and alert.raised_at == alert.changed_at and not alert.muted and not alert.test
        rule = self.config.rule(alert.rule)
        return rule if begins and isinstance(rule, OverTimeRule) else None

    def explained(self, key: int, terms: tuple[str, ...], samples: tuple[int, ...], now: datetime) -> list[Alert]:
        """Stores an explanation, unless the alert has ended already."""
        alert = self.lifecycle.by_key(key)
        return [] if alert is None else self._write([self.lifecycle.explained(alert, now, terms, samples)], [])

    # --- people -------------------------------------------------------------------------------------------------------
    def acknowledge(self, alert: Alert, actor: str, comment: str, now: datetime) -> list[Alert]:
        """Stores that `actor` works on the alert."""
        return self._write([self.lifecycle.acknowledge(alert, actor, comment, now)], [])

    def silence(self, silence: Silence, now: datetime) -> list[Alert]:
        """Begins or ends a silence; returns the alerts that it changes."""
        self._tables.write_silence(silence, self._generation)
        self.lifecycle.silences[silence.silence_id] = silence
        return self._write(self.lifecycle.sweep(self.watermark, now, settled=False), [])

    def test(self, rule: AnyRule, brand: str, actor: str, now: datetime) -> list[Alert]:
        """Stores a test of the rule's receivers."""
        return self._write([self.lifecycle.test(rule, brand, actor, now)], [])

    def _take_in_open(self, windows: Windows) -> None:
        """The scopes of open alerts have rows before all others, while there is room."""
        windows.watched = {alert.scope for alert in self.lifecycle.open}
        for alert in self.lifecycle.open:
            rule = self.config.rule(alert.rule)
            if isinstance(rule, WindowedRule) and rule.is_about(alert.scope) and not alert.test:
                heard = minute_of(alert.since) - windows.longest  # it may have no mention since
                windows.rings[slice_of(rule)].table.take_in([alert.scope], heard)

    def _write(self, changes: list[Alert], members: Sequence[Member]) -> list[Alert]:
        self._tables.write(changes, members, self._generation)
        return changes

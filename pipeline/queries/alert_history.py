"""What became of an alert, for people: which of its changes are news, and what came of each delivery."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.notify.delivery_log import OUT_OF_HOURS, Delivery
from pipeline.queries.alerts import Shown
from schemas.alerts import Alert, State


class News:
    """Which changes are news to people: a change of numbers alone is not."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, ...]] = {}

    def is_new(self, alert: Alert) -> bool:
        now = (alert.state, alert.severity, alert.muted, alert.actor, alert.comment, alert.escalated_at)
        if self._seen.get(alert.key) == now:
            return False
        if alert.state is State.RESOLVED:
            self._seen.pop(alert.key, None)
        else:
            self._seen[alert.key] = now
        return True


def told(shown: Shown) -> list[tuple[Alert, str]]:
    """The changes that are news, oldest first, each with its state in words."""
    news = News()
    return [
        (alert, state_text(alert, before, shown.silenced_by))
        for before, alert in zip((None, *shown.history), shown.history, strict=False)
        if news.is_new(alert)
    ]


def state_text(alert: Alert, before: Alert | None, silenced_by: Mapping[str, str]) -> str:
    """`firing, escalated, mute ended`; `before` is the change before it."""
    parts = [str(alert.state)]
    if alert.state is State.FIRING and alert.escalated_at:
        parts.append("escalated")
    if alert.muted:
        who = silenced_by.get(alert.muted)
        parts.append(f"muted: {alert.muted}" + (f" ({who})" if who else ""))
    elif before is not None and before.muted and alert.state is not State.RESOLVED:
        parts.append("mute ended")
    return ", ".join(parts)


def delivery_state(each: Delivery, shown: Shown) -> str:
    """`sent`, `failed`, or of a receiver out of its hours what became of the change."""
    if each.sent or not each.reason.startswith(OUT_OF_HOURS):
        return "sent" if each.sent else "failed"
    if shown.alert.test:
        return "not sent: a test does not wait"
    sent = [other.version for other in shown.deliveries if other.sent and other.receiver == each.receiver]
    if any(version >= each.version for version in sent):
        return "waited"
    missed = shown.alert.state is State.RESOLVED and not sent  # of an alert that it knows, the end is still sent
    return "missed: it ended out of hours" if missed else "waits"

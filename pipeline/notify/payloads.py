"""Bodies of requests to receivers: JSON, text for Slack, a template of the receiver's own, and Alertmanager's API v2.

A webhook's request carries X-Earshot-Timestamp (s since 1970), X-Earshot-Delivery and, if there is a secret,
X-Earshot-Signature: `v1=` and the hexadecimal HMAC-SHA256 of `<timestamp>.<body>`. Delivery names each change in the message as
`<key>-<version>`, the same at each try, so that a receiver can recognise a repetition; a reminder of an alert that still fires
adds the time when it was due, and an escalation has its time instead of the version: `<key>-escalated-<s since 1970>`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import assert_never

import orjson

from pipeline.processors.alerts.receiver import Template
from schemas.alerts import Alert, State, to_record
from schemas.times import rfc3339
from schemas.untyped import JsonObject

Escape = Callable[[str], str]
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Message:
    """The alerts of one request: of one group; two changes of one alert stand in their order."""

    receiver: str
    alerts: Sequence[Alert]
    group: Mapping[str, str]
    """The values that the alerts have in common: {"brand": "Acme"}."""
    runbooks: Mapping[str, str]
    """Rule -> URL."""

    @property
    def status(self) -> str:
        """resolved if all of them are, else firing."""
        newest = {alert.key: alert for alert in self.alerts}.values()
        return "resolved" if all(alert.state is State.RESOLVED for alert in newest) else "firing"

    def runbook(self, alert: Alert) -> str:
        """The URL of its rule's runbook; blank: none."""
        return self.runbooks.get(alert.rule, "")


def body(message: Message, template: Template | dict[str, object]) -> bytes:
    """The body of a webhook's request, by the receiver's template."""
    if isinstance(template, dict):
        return orjson.dumps(_filled(template, message))
    if template == "json":
        return orjson.dumps(as_json(message))
    if template == "slack":
        return orjson.dumps({"text": text(message, slack_escape)})
    assert_never(template)


def as_json(message: Message) -> JsonObject:
    """The body of template `json`: a contract, see docs/ops.md."""
    return {
        "version": 1,
        "receiver": message.receiver,
        "status": message.status,
        "group": dict(message.group),
        "alerts": [{**to_record(alert), "runbook": message.runbook(alert)} for alert in message.alerts],
    }


# --- for people -------------------------------------------------------------------------------------------------------
def slack_escape(text: str) -> str:
    """Slack reads <...> as links and mentions: text from outside must not make any."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def text(message: Message, escape: Escape = str) -> str:
    """The whole message for people, a few lines an alert."""
    return "\n\n".join(_lines(alert, message.runbook(alert), escape) for alert in message.alerts)


def _lines(alert: Alert, runbook: str, escape: Escape) -> str:
    state = alert.state.upper() + (f" by {escape(alert.actor)}" if alert.actor and alert.state is State.ACKNOWLEDGED else "")
    escalated = alert.escalated_at if alert.state is State.FIRING else None
    state += ", ESCALATED" if escalated else ""
    lines = [
        f"{_mark(alert)}[{state}] severity {alert.severity}/10: {escape(str(alert.scope))} ({alert.rule})",
        escape(alert.summary),
        f"{escape(alert.measure) or 'observed'} {_seen(alert)}, {_span(alert)}",
    ]
    if escalated:
        lines.append(f"escalated {_time(escalated)} UTC: nobody had acknowledged it")
    if alert.terms:
        lines.append(f"terms: {escape(', '.join(alert.terms))}")
    if alert.comment:
        lines.append(f"comment: {escape(alert.comment)}")
    lines.append(f"{len(alert.samples)} sample posts: earshot alerts show {alert.hex}")
    if runbook:
        lines.append(f"runbook: {escape(runbook)}")
    return "\n".join(line for line in lines if line)


def _mark(alert: Alert) -> str:
    return "[TEST] " if alert.test else ""


def _seen(alert: Alert) -> str:
    if alert.expected is None:
        return _number(alert.observed)
    band = f" ({_number(alert.lower)} to {_number(alert.upper)})" if alert.lower is not None and alert.upper is not None else ""
    return f"{_number(alert.observed)}, expected {_number(alert.expected)}{band}"


def _number(value: float | None) -> str:
    """Four digits, or all before the point; blank for None."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _span(alert: Alert) -> str:
    until = f" until {_time(alert.ended_at)}" if alert.ended_at else ""
    return f"since {_time(alert.since)}{until} UTC"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


# --- templates --------------------------------------------------------------------------------------------------------
FIELDS: dict[str, Callable[[Message, Alert], str]] = {
    "text": lambda message, alert: text(message),
    "status": lambda message, alert: message.status,
    "receiver": lambda message, alert: message.receiver,
    "runbook": lambda message, alert: message.runbook(alert),
    "key": lambda message, alert: alert.hex,
    "version": lambda message, alert: str(alert.version),
    "rule": lambda message, alert: alert.rule,
    "type": lambda message, alert: alert.type,
    "brand": lambda message, alert: alert.scope.brand,
    "platform": lambda message, alert: alert.scope.platform,
    "language": lambda message, alert: alert.scope.language,
    "source": lambda message, alert: alert.scope.source,
    "scope": lambda message, alert: str(alert.scope),
    "state": lambda message, alert: alert.state.value,
    "severity": lambda message, alert: str(alert.severity),
    "summary": lambda message, alert: _mark(alert) + alert.summary,
    "measure": lambda message, alert: alert.measure,
    "observed": lambda message, alert: _number(alert.observed),
    "expected": lambda message, alert: _number(alert.expected),
    "since": lambda message, alert: _time(alert.since),
    "terms": lambda message, alert: ", ".join(alert.terms),
    "samples": lambda message, alert: str(len(alert.samples)),
    "query": lambda message, alert: alert.query,
    "actor": lambda message, alert: alert.actor,
    "comment": lambda message, alert: alert.comment,
    "escalated_at": lambda message, alert: _time(alert.escalated_at) if alert.escalated_at else "",
}
"""The names of a template, of the first alert; `text` and `status` are of the whole message."""


def placeholders(template: object) -> set[str]:
    """The names in braces in all texts of a template."""
    if isinstance(template, str):
        return set(_PLACEHOLDER.findall(template))
    parts = template.values() if isinstance(template, dict) else template if isinstance(template, list) else ()
    return {name for part in parts for name in placeholders(part)}


def _filled(template: object, message: Message) -> object:
    # Not str.format: {alert.__class__} and its like reach into the program.
    if isinstance(template, str):
        return _PLACEHOLDER.sub(lambda match: FIELDS[match[1]](message, message.alerts[0]), template)
    if isinstance(template, dict):
        return {key: _filled(part, message) for key, part in template.items()}
    if isinstance(template, list):
        return [_filled(part, message) for part in template]
    return template


def sign(secret: str, timestamp: str, content: bytes) -> str:
    """The value of X-Earshot-Signature."""
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + content, hashlib.sha256)
    return f"v1={digest.hexdigest()}"


# --- Alertmanager -----------------------------------------------------------------------------------------------------
def alertmanager_body(message: Message, now: datetime, hold: timedelta) -> bytes:
    """The body of POST /api/v2/alerts. An open alert ends `hold` after now, and has to be sent again before that."""
    newest = {alert.key: alert for alert in message.alerts}
    return orjson.dumps([_posted(alert, message.runbook(alert), now, hold) for alert in newest.values()])


def _posted(alert: Alert, runbook: str, now: datetime, hold: timedelta) -> dict[str, object]:
    starts = min(alert.raised_at or alert.since, now)
    ends = min(alert.ended_at or alert.changed_at, now) if alert.state is State.RESOLVED else now + hold
    # Labels identify an alert: values that change while it is open are annotations, else there would be two alerts.
    labels = {
        "alertname": alert.rule,
        "type": alert.type,
        **alert.scope._asdict(),
        "alert_key": alert.hex,
        "test": "true" if alert.test else "",
    }
    annotations = {
        "summary": _mark(alert) + alert.summary,
        "state": alert.state.value,
        "severity": str(alert.severity),
        "measure": alert.measure,
        "observed": _number(alert.observed),
        "expected": _number(alert.expected),
        "terms": ", ".join(alert.terms),
        "query": alert.query,
        "runbook_url": runbook,
        "actor": alert.actor,
        "comment": alert.comment,
        "escalated_at": rfc3339(alert.escalated_at) if alert.escalated_at else "",
    }
    return {
        "labels": _filled_in(labels),
        "annotations": _filled_in(annotations),
        "startsAt": rfc3339(starts),
        # It refuses an alert that ends before it starts, and clocks may differ.
        "endsAt": rfc3339(max(starts, ends)),
        "generatorURL": "",
    }


def _filled_in(texts: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in texts.items() if value}

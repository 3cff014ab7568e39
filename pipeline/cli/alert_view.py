"""Alerts on a terminal: a line, a list, and one with everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from pipeline.cli.terminal import moment, printable, table
from pipeline.queries.alert_history import delivery_state, told
from pipeline.queries.alerts import Shown
from schemas.alerts import Alert, State

SHORT = 8
"""Digits of a key that tell alerts apart; commands take them for the key."""
_STATES = {
    State.PENDING: "dim",
    State.FIRING: "bold red",
    State.ACKNOWLEDGED: "yellow",
    State.RESOLVED: "green",
}


def line(alert: Alert) -> Text:
    """A change on one line."""
    marks = [mark for mark, on in (("test", alert.test), ("historical", alert.historical)) if on]
    notes = [f"muted: {alert.muted}"] if alert.muted else []
    if alert.state is State.FIRING and alert.escalated_at:
        notes.append("escalated")
    if alert.state is State.ACKNOWLEDGED:
        notes.append(f"{alert.actor}: {alert.comment}" if alert.comment else f"by {alert.actor}")
    return Text(" ").join(
        [
            Text(f"{alert.changed_at:%H:%M:%S}", "dim"),
            Text(f"{alert.state.upper():<12}", _STATES[alert.state]),
            Text(f"{alert.severity:>2}", severity_style(alert.severity)),
            Text(_one_line(alert.scope), "bold"),
            Text(_one_line(alert.rule), "cyan"),
            *(Text(mark.upper(), "magenta") for mark in marks),
            Text(_one_line(alert.summary)),
            *(Text(f"({_one_line(note)})", "dim") for note in notes),
            Text(alert.hex[:SHORT], "dim"),
        ]
    )


def listing(alerts: Iterable[Alert]) -> Table:
    shown = Table()
    for column in ("key", "state", "severity", "about", "rule", "since", "observed", "expected", "summary"):
        shown.add_column(column, justify="right" if column in ("severity", "observed", "expected") else "left", overflow="fold")
    for alert in alerts:
        marks = "".join(f" ({mark})" for mark, on in (("test", alert.test), ("historical", alert.historical)) if on)
        shown.add_row(
            alert.hex[:SHORT],
            Text(alert.state + marks, _STATES[alert.state]),
            Text(str(alert.severity), severity_style(alert.severity)),
            Text(_one_line(alert.scope)),
            Text(_one_line(alert.rule)),
            moment(alert.since),
            number(alert.observed),
            number(alert.expected),
            Text(_one_line(alert.summary + (f" (muted: {alert.muted})" if alert.muted else ""))),
        )
    return shown


def details(shown: Shown) -> Group:
    """Everything about one alert."""
    alert = shown.alert
    return Group(
        Text.assemble(
            (alert.hex, "bold"),
            f"  {_one_line(f'{alert.rule} ({alert.type})')}  ",
            (alert.state.upper(), _STATES[alert.state]),
            "  severity ",
            (str(alert.severity), severity_style(alert.severity)),
        ),
        Text(printable(alert.summary)),
        Text(""),
        *(Text.assemble((f"{name:<12}", "dim"), printable(value)) for name, value in _facts(alert)),
        *_section("history", _history(shown)),
        *_section("deliveries", _deliveries(shown)),
        *_section("posts, as they are now", _posts(shown)),
    )


def severity_style(severity: int) -> str:
    return "bold red" if severity >= 7 else "yellow" if severity >= 4 else "cyan"


def number(value: float | None) -> str:
    """With significant digits: 1,234 or 0.913."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= 1_000 else f"{value:,.3g}"


def _facts(alert: Alert) -> Iterator[tuple[str, str]]:
    yield "about", str(alert.scope)
    band = f" ({number(alert.lower)} to {number(alert.upper)})" if alert.lower is not None and alert.upper is not None else ""
    expected = f", expected {number(alert.expected)}{band}" if alert.expected is not None else ""
    yield "observed", f"{alert.measure} {number(alert.observed)}{expected}".strip()
    yield "since", f"{moment(alert.since)}, still at {moment(alert.last_at)} (UTC, by the events' time)"
    if alert.raised_at:
        yield "raised", moment(alert.raised_at)
    if alert.ended_at:
        yield "ended", moment(alert.ended_at)
    if alert.historical:
        yield "historical", "its events came an hour or more late: nobody was notified"
    if alert.test:
        yield "test", "a test of the receivers; nothing happened"
    if alert.escalated_at:
        yield "escalated", f"{moment(alert.escalated_at)}: nobody had acknowledged it"
    if alert.actor:
        yield "acknowledged", f"by {alert.actor}{': ' if alert.comment else ''}{alert.comment}"
    if alert.muted:
        yield "muted", alert.muted
    if labelled := alert.negative + alert.neutral + alert.positive:
        share = f"{100 * alert.negative / labelled:.0f} % negative"
        yield "tone", f"negative {alert.negative:,}  neutral {alert.neutral:,}  positive {alert.positive:,}  ({share})"
    if alert.terms:
        yield "terms", ", ".join(alert.terms)
    if alert.query:
        yield "query", alert.query


def _section(title: str, body: RenderableType | None) -> list[RenderableType]:
    return [Text(""), Text(title, "bold"), body] if body is not None else []


def _history(shown: Shown) -> Table:
    rows = [
        (moment(alert.changed_at), alert.version, state, alert.severity, number(alert.observed), alert.actor, alert.comment)
        for alert, state in told(shown)
    ]
    return table(("at", "version", "state", "severity", "observed", "who", "comment"), rows)


def _deliveries(shown: Shown) -> RenderableType:
    if not shown.deliveries:
        return Text("none")
    rows = [
        (
            moment(each.tried_at),
            each.receiver,
            each.version,
            each.attempt,
            delivery_state(each, shown),
            each.reason,
            each.took_ms,
        )
        for each in shown.deliveries
    ]
    return table(("at", "receiver", "version", "attempt", "", "reason", "ms"), rows)


def _posts(shown: Shown) -> RenderableType | None:
    if not shown.alert.samples:
        return None
    if not shown.posts:
        return Text("all deleted")
    rows = [(moment(p.created_at), f"{p.platform} {p.kind}", p.author, p.sentiment, p.text) for p in shown.posts]
    return table(("at", "where", "who", "tone", "text"), rows)


def _one_line(value: object) -> str:
    return " ".join(printable(str(value)).split())

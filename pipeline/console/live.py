"""What open pages are told of alerts: the row of each change, the same for everybody, and whether Kafka answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import jinja2
from markupsafe import Markup

from pipeline.console.changes import State as Kafka
from pipeline.console.shown import when
from pipeline.console.sse import Said
from pipeline.console.stream import Show
from schemas.alerts import Alert, State

EVENT = "alert"
ROWS = 2_000
"""That are kept: of all that a page lists, and of what changes. They hold no post's text."""


def rows(templates: jinja2.Environment) -> Callable[[Alert], Markup]:
    """What makes the row of an alert in a list, once for all pages and streams. Threads may call it."""

    @lru_cache(ROWS)
    def row(alert: Alert) -> Markup:
        made: Markup = templates.get_template("alert_row.html").module.row(alert)  # type: ignore[attr-defined]  # a macro of it
        return made

    return row


def shower(row: Callable[[Alert], Markup], templates: jinja2.Environment) -> Show:
    """What makes the row of a change, or of one of numbers alone what is new in it. One thread may call it."""
    told: dict[int, object] = {}

    def show(alert: Alert) -> Sequence[Said]:
        if alert.state is State.PENDING or alert.historical:
            return ()
        looks = (alert.state, alert.severity, alert.since, alert.muted, alert.actor, alert.comment, alert.escalated_at)
        if told.get(alert.key) == looks:
            return (Said(EVENT, str(templates.get_template("alert_row.html").module.numbers(alert))),)  # type: ignore[attr-defined]
        if alert.state is State.RESOLVED:
            told.pop(alert.key, None)
        else:
            told[alert.key] = looks
        return (Said(EVENT, str(row(alert))),)

    return show


def tell(state: Kafka) -> str:
    """A line for the page."""
    if state.away_since is None:
        return '<span class="badge good">live</span>'
    line = '<span class="away" title="{}">not live since {}: Kafka does not answer</span>'
    return str(Markup(line).format(state.reason, when(state.away_since)))

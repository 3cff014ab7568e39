"""The page of an alert, made of its data: the chart of observed against expected, and the facts. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from pipeline.console.alert_data import Counted
from pipeline.console.brand_data import brand_url, posts_url
from pipeline.console.charts import Chart, Line, Mark, Value
from pipeline.console.shown import number
from pipeline.notify.delivery_log import Delivery
from pipeline.queries.alert_history import delivery_state
from pipeline.queries.alerts import Shown
from schemas.alerts import Alert

UNITS = {"negative_share": "%"}
AROUND = timedelta(hours=3)
"""How long after an alert a link to its brand's time ends."""


class Step(NamedTuple):
    """A line of the table beside the chart."""

    begins: datetime
    value: Value
    expected: Value
    lower: Value
    upper: Value
    observed: Value
    """As the rule saw it; None: no change of the alert is of this step."""
    href: str


def steps(shown: Shown, counted: Counted) -> list[Step]:
    """Each step with what was expected in it: known while the alert was true."""
    alert, scale = shown.alert, 100.0 if UNITS.get(counted.measure) == "%" else 1.0
    comparable = counted.measure == alert.measure or alert.measure in ("volume", "count")
    changes = sorted(shown.history, key=lambda change: (change.last_at, change.version)) if comparable else []
    times = [change.last_at for change in changes]
    found = list[Step]()
    for begins, value in zip(counted.steps, counted.values, strict=True):
        ends = begins + counted.step
        during = _at(changes, times, ends) if alert.since - counted.step <= begins <= alert.last_at else None
        seen = during.observed if during and begins <= during.last_at < ends else None
        levels = (during.expected, during.lower, during.upper, seen) if during else (None, None, None, None)
        expected, lower, upper, observed = (_times(level, scale) for level in levels)
        href = _href(alert, begins, ends)
        found.append(Step(begins, _times(value, scale), expected, lower, upper, observed, href))
    return found


def chart(shown: Shown, counted: Counted) -> Chart:
    """Observed against expected."""
    rows, alert = steps(shown, counted), shown.alert
    unit = UNITS.get(counted.measure, counted.measure.replace("_", " "))
    lines = [Line(counted.measure.replace("_", " "), [row.value for row in rows], "main")]
    levels: list[tuple[str, Sequence[Value], str]] = [
        ("expected", [row.expected for row in rows], "before"),
        *_band([row.lower for row in rows], [row.upper for row in rows]),
        ("as the rule saw it", [row.observed for row in rows], "dots"),
    ]
    lines += [Line(*level) for level in levels if any(value is not None for value in level[1])]
    marks = [Mark(alert.since, "since", "", alert.severity)]
    digits = 0 if counted.measure in ("mentions", "authors") else 2
    return Chart(counted.steps, lines, unit, marks, [row.href for row in rows], 1 if unit == "%" else digits)


def amount(value: float | None, alert: Alert) -> str:
    """A number of the alert's measure: whole ones in full, others rounded, shares in percent."""
    if value is not None and UNITS.get(alert.measure) == "%":
        return number(100 * value, "%", 0 if value in (0, 1) else 1)
    if value is None or value == round(value):
        return number(None if value is None else int(value))
    return number(value, "", 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2)


def _band(lower: Sequence[Value], upper: Sequence[Value]) -> list[tuple[str, Sequence[Value], str]]:
    """The edges of what is usual; one edge alone is a limit."""
    edges = [(name, values) for name, values in (("lower", lower), ("upper", upper)) if any(v is not None for v in values)]
    if len(edges) == 2:
        return [("usually at least", lower, "low"), ("usually at most", upper, "high")]
    return [("limit", values, "limit") for _, values in edges]


def _at(changes: Sequence[Alert], times: Sequence[datetime], end: datetime) -> Alert | None:
    """The last change before `end`, else the first one."""
    return changes[max(bisect_right(times, end - timedelta(milliseconds=1)) - 1, 0)] if changes else None


def _times(value: Value, scale: float) -> Value:
    if value is None:
        return None
    return int(value) if scale == 1 and value == round(value) else value * scale


def _href(alert: Alert, begin: datetime, end: datetime) -> str:
    scope = alert.scope
    return posts_url(scope.brand, begin, end, platform=scope.platform, language=scope.language) if scope.brand else ""


def around(alert: Alert, now: datetime) -> str:
    """The page of its brand, at its time, and not beyond now; blank: it is about none."""
    if not alert.scope.brand:
        return ""
    to = alert.last_at + AROUND
    return brand_url(alert.scope.brand, span="24h", to=f"{to:%Y-%m-%dT%H:%M:00Z}" if to < now else "")


def deliveries(shown: Shown) -> list[tuple[Delivery, str]]:
    """Each try to tell a receiver, the newest first, and what came of it."""
    return [(each, delivery_state(each, shown)) for each in reversed(shown.deliveries)]

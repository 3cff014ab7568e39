"""Reads for a backtest: the span of the stored events, and the counts of scopes for pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from pipeline.clickhouse.query import Ask
from pipeline.errors import EarshotError
from pipeline.processors.alerts import counts
from pipeline.processors.alerts.backtest.series import Raised, Replayed, Series, replay_series
from pipeline.processors.alerts.counts import Slice
from pipeline.processors.alerts.minutes import STEP_S, floor
from pipeline.processors.alerts.spike_parameters import Spike
from pipeline.processors.alerts.study import DAYS
from schemas.alerts import Alert, Scope

Span = tuple[datetime, datetime]
"""From, to: aware."""
ZoneOf = Callable[[str, Sequence[Alert]], str]
"""(brand, its alerts) -> whose hours of the week are expected."""


def stored_span(ask: Ask) -> Span:
    """From the first stored event about a brand to a minute after the last. Raises EarshotError when there is none."""
    sql = "SELECT count() AS n, min(created_at) AS first, max(created_at) AS last FROM interactions WHERE notEmpty(brands)"
    count, first, last = ask(sql, {}).row(0)
    if not count:
        raise EarshotError("no stored event is about a brand: there is nothing to backtest")
    return floor(first), floor(last) + timedelta(minutes=1)


def draw_scopes(
    ask: Ask, folder: Path, span: Span, alerts: Sequence[Alert], zone_of: ZoneOf, most: int
) -> Iterator[Path]:  # fmt: skip
    """A picture for each scope with alerts, those with most alerts first, `most` at most: its counts, the spike detector's
    expectation by the hours of its zone, and the alerts of all rules."""
    by_scope: dict[Scope, list[Alert]] = {}
    for alert in alerts:
        by_scope.setdefault(alert.scope._replace(source=""), []).append(alert)
    for scope, theirs in sorted(by_scope.items(), key=lambda pair: -len(pair[1]))[:most]:
        if scope.brand:
            yield _draw(ask, folder, span, theirs, zone_of(scope.brand, theirs))


def _draw(ask: Ask, folder: Path, span: Span, alerts: Sequence[Alert], zone: str) -> Path:
    from pipeline.processors.alerts.backtest.plot import draw  # takes a second to import

    scope = alerts[0].scope._replace(source="")
    series = _counts(ask, scope, span[0] - timedelta(days=DAYS), span[1])
    replayed = replay_series(series.times, series.values, Spike(), zone=zone)
    first = next(index for index, time in enumerate(series.times) if time >= span[0])
    shown = Series(series.times[first:], series.values[first:])
    raised = [
        Raised(a.hex, a.since, a.ended_at, a.severity, a.observed, a.expected if a.expected is not None else float("nan"))
        for a in alerts
    ]
    replayed = Replayed(raised, replayed.expected[first:], replayed.lower[first:], replayed.upper[first:])
    name = "-".join(part for part in scope if part).replace("/", "-").replace(" ", "-").lower()
    rules = ", ".join(sorted({alert.rule for alert in alerts}))
    return draw(folder / f"{name}.png", shown, replayed, title=f"{scope}: {rules}")


def _counts(ask: Ask, scope: Scope, start: datetime, end: datetime) -> Series:
    """Mentions in steps of STEP_S, from the first one on."""
    slice_ = Slice(by=tuple(name for name in ("platform", "language") if getattr(scope, name)))
    first, last = int(start.timestamp()) // STEP_S, int(end.timestamp()) // STEP_S
    frame = slice_.of(ask(counts.history_sql(slice_.dimensions, STEP_S, first, last), {}))
    mine = frame.filter(
        pl.col("brand") == scope.brand, pl.col("platform") == scope.platform, pl.col("language") == scope.language
    )
    sums = dict(mine.group_by("minute").agg(pl.col("count").sum()).iter_rows())
    begin = min([*sums, last])
    steps = range(begin, last + 1)
    times = [datetime.fromtimestamp(step * STEP_S, UTC) for step in steps]
    return Series(times, np.array([float(sums.get(step, 0)) for step in steps]))

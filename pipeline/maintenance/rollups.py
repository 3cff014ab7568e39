"""The rollups as an operator sees them: made anew by control, compared here, and put right."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta

from pipeline.api.client import ask as ask_api
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import check_tables
from pipeline.clickhouse.query import Ask, asker, settings_for
from pipeline.config.settings import Settings
from pipeline.errors import EarshotError
from pipeline.maintenance.scan import Progress
from pipeline.rollups.check import PATIENCE_S, Check, Difference, Range
from pipeline.rollups.kept import ALL, Kept
from pipeline.rollups.marks import oldest_quarter, read_marks
from pipeline.rollups.rollup import Span, quarter_of, start_of
from pipeline.rollups.tables import load_rollups
from schemas.times import rfc3339, utc_now

EARLIEST = datetime(1995, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
"""No event is created before, or further ahead of now."""
POLL_S = 0.5


def rebuild(settings: Settings, since: datetime | None, until: datetime | None, progress: Progress) -> None:
    """Makes all rollups anew for rows created from `since` on, before `until`. Returns when it is done; `progress` counts
    quarter-hours. Raises as `pipeline.api.client.ask`, UnreachableError without ClickHouse, EarshotError when it fails."""
    if since is None:
        with _asking(settings) as ask:
            since = start_of(oldest_quarter(ask) or quarter_of(utc_now()))
    body = {"since": rfc3339(since), "until": rfc3339(until or utc_now() + AHEAD)}
    state = ask_api(settings, "control", "POST", "/rollups", body)
    while state["left"]:
        progress(state["of"] - state["left"], state["of"])
        time.sleep(POLL_S)
        state = ask_api(settings, "control", "GET", "/rollups")
    if failed := state["failed"] or ("" if state["of"] else "control was restarted, or another one answers"):
        raise EarshotError(f"the rebuild has ended before its end: {failed}")
    progress(state["of"], state["of"])


def check(
    settings: Settings,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Difference]:
    """Where the rollups differ from the rows created from `since` on, before `until`; the running quarter-hour is left out, and
    what is not filled yet, or may be gone by setting retention. Raises SettingsError for roles.yaml and brands.yaml,
    UnreachableError without ClickHouse, EarshotError if it refuses."""
    kept = Kept(settings.retention.tables.get("interactions"), settings.retention.platforms)
    rollups = load_rollups(settings.roles, settings.brands, kept)
    with _asking(settings, kept) as ask:
        whole = Span(quarter_of(since or EARLIEST), quarter_of((until or utc_now() + AHEAD) - timedelta(seconds=1)))
        oldest, running = oldest_quarter(ask) or whole.last + 1, quarter_of(utc_now())
        marks = read_marks(ask, rollups)
        filled = [(rollup, max(whole.first, marks.get(rollup.name, whole.last + 1))) for rollup in rollups]
        parts = ((oldest, running - 1), (max(oldest, running + 1), whole.last))
        ranges = [(rollup, Span(max(first, begin), min(end, whole.last))) for rollup, first in filled for begin, end in parts]
        bare = [(rollup, Span(first, min(oldest - 1, whole.last))) for rollup, first in filled]
        return Check(ask, progress, PATIENCE_S).run(_real(ranges), _real(bare))


@contextmanager
def _asking(settings: Settings, kept: Kept = ALL) -> Iterator[Ask]:
    with closing(clickhouse_client(settings.clickhouse)) as client:
        check_tables(client)
        plain, read = asker(client), settings_for(client) | {"max_threads": 1}
        yield lambda sql, more: plain(sql, {**read, **kept.settings(), **more})


def _real(ranges: Sequence[Range]) -> list[Range]:
    return [(rollup, span) for rollup, span in ranges if span.first <= span.last]


def repair(settings: Settings, differences: Sequence[Difference], progress: Progress) -> list[Difference]:
    """Makes the days of the differences anew; returns those that are there all the same."""
    left: list[Difference] = []
    for first, last in _runs(sorted({each.day for each in differences})):
        since = datetime(first.year, first.month, first.day, tzinfo=UTC)
        until = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
        rebuild(settings, since, until, progress)
        left += check(settings, since, until)
    return left


def _runs(days: Sequence[date]) -> list[tuple[date, date]]:
    """Days that follow each other, as first and last."""
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and runs[-1][1] == day - timedelta(days=1):
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return runs

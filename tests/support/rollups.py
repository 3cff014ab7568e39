"""The oracle of rollups: once nothing lands any more, each equals what is computed anew."""

from __future__ import annotations

from pipeline.clickhouse.query import asker, settings_for
from pipeline.config.settings import Settings
from pipeline.rollups.check import Check, Difference
from pipeline.rollups.marks import oldest_quarter
from pipeline.rollups.rollup import Span, quarter_of
from pipeline.rollups.tables import load_rollups
from schemas.times import utc_now
from tests.support.oracle import connect


def differences(settings: Settings, patience_s: float = 0.0) -> list[Difference]:
    """Those that are still there after `patience_s`; unlike `earshot rollups check` of the running quarter-hour, too."""
    rollups = load_rollups(settings.roles, settings.brands)
    with connect(settings) as client:
        ask, read = asker(client), settings_for(client)
        check = Check(lambda sql, more: ask(sql, {**read, **more}), patience_s=patience_s, pause_s=0.3)
        first, last = oldest_quarter(ask) or 0, quarter_of(utc_now()) + 200
        rest = [(rollup, Span(0, first - 1)) for rollup in rollups if first]
        return check.run([(rollup, Span(first, last)) for rollup in rollups], rest)

"""Fills table quarters, for tests without control."""

from __future__ import annotations

from datetime import datetime

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ
from pipeline.config.settings import Settings
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.rollup import Span, quarter_of


def rebuild_quarters(settings: Settings, first: datetime, last: datetime) -> None:
    """Of the quarter-hours from `first` to `last`."""
    with clickhouse_client(settings.clickhouse) as client:
        sql = Quarters().rebuild([Span(quarter_of(first), quarter_of(last))], 1)
        client.command(sql, settings={name: value for name, value in READ.items() if name != "readonly"})

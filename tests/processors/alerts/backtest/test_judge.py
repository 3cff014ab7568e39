"""How much of the history a backtest holds at a time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import polars as pl

from pipeline.processors.alerts.backtest.judge import Backtest
from pipeline.processors.alerts.counts import MEASURES
from pipeline.processors.alerts.minutes import minute_of
from pipeline.processors.alerts.rules import Alerts

DAY = datetime(2026, 11, 20, 0, 7, tzinfo=UTC)
RULES = [
    {"name": "many", "type": "threshold", "measure": "count", "above": 20, "window": "5m"},
    {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}},
]


def test_a_day_is_read_in_blocks_of_minutes_each_minute_once() -> None:
    """A day of 1,500 brands with all their minutes is 900 MB."""
    read: dict[str, list[range]] = {"counts": [], "events": []}

    def ask(sql: str, settings: object) -> pl.DataFrame:
        first, end = (int(second) // 60 for second in re.findall(r"toDateTime\((\d+)", sql))
        if "SELECT brand" in sql:
            read["counts"].append(range(first, end))
        else:
            read["events"].append(range(first, end + 1))
        return pl.DataFrame(
            schema={"brand": pl.String, "platform": pl.String, "language": pl.String, "minute": pl.Int64}
            | dict.fromkeys(MEASURES, pl.Float64)
        )

    list(Backtest(ask, Alerts.model_validate({"rules": RULES}), DAY, DAY + timedelta(days=1)).steps())
    minutes = list(range(minute_of(DAY), minute_of(DAY) + 1440))
    for spans in read.values():
        assert max(map(len, spans)) <= 15
        assert [minute for span in spans for minute in span if minute in set(minutes)] == minutes

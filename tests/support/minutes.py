"""Counts of minutes as ClickHouse would give them, and times, for tests of the rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl

from pipeline.processors.alerts.counts import MEASURES

MINUTE = 29_500_000
"""The minute (since 1970) at which tests begin: in 2026."""


def at(minute: int, second: float = 0) -> datetime:
    return datetime.fromtimestamp(minute * 60 + second, UTC)


def said(
    minute: int, count: int, brand: str = "Acme", platform: str = "", language: str = "", **measures: Any
) -> dict[str, Any]:
    return {
        **dict.fromkeys(MEASURES, 0.0),
        "brand": brand,
        "platform": platform,
        "language": language,
        "minute": minute,
        "count": count,
        **measures,
    }


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    types = {"brand": pl.String, "platform": pl.String, "language": pl.String, "minute": pl.Int64}
    return pl.DataFrame(list(rows), schema={**types, **dict.fromkeys(MEASURES, pl.Float64)})

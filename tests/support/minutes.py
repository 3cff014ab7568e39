"""Counts of minutes as ClickHouse would give them, and times, for tests of the rules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from pipeline.processors.alerts.counts import MEASURES
from pipeline.processors.alerts.history import HISTORY_STEPS, STEP_MINUTES, History
from pipeline.processors.alerts.minutes import STEP_S
from pipeline.processors.alerts.past import CHUNK_STEPS

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


def history(per_step: int, days: int = 7) -> pl.DataFrame:
    """Steps of the days before MINUTE, as `counts.history_sql` gives them: mentions of Acme, a fifth of them negative."""
    step = (MINUTE - 1) // STEP_MINUTES
    rng = np.random.default_rng(1)
    counts = rng.poisson(per_step, days * 86400 // STEP_S)
    steps = range(step - len(counts), step)
    rows = [{**said(at, int(n)), "labelled": n, "negative": n // 5} for at, n in zip(steps, counts, strict=True)]
    columns = frame(*rows).select("brand", "platform", "language", "minute", "count", "negative", "labelled")
    return columns.with_columns(live=pl.col("count"))


def load(history: History, past: pl.DataFrame, step: int, steps: int = CHUNK_STEPS) -> None:
    """Takes over the counts before `step`, as `counts.history_sql` gives them; so many steps at a time."""
    history.begin(step)
    for first in range(step - steps, step - HISTORY_STEPS - 1, -steps):
        if not history.is_full:
            end = first + steps
            history.add(past.filter(pl.col("minute").is_between(first, end - 1)), first, end)
    history.finish()

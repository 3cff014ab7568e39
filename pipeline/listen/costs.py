"""What sources cost this month, for `earshot source` and the console: by their records, of which ClickHouse has copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import orjson

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.listen.sources_file import AnySource
from pipeline.listen.spending import Figures, Spending
from pipeline.listen.timer import Timer

COSTS = """
SELECT source, JSONExtractRaw(record, 'cursor', 'spent') AS spent FROM source_cursors FINAL
WHERE JSONHas(record, 'cursor', 'spent')"""


def costs(settings: Settings, sources: Sequence[AnySource]) -> dict[str, Figures]:
    """By source, of those whose platform bills what it delivers. Raises UnreachableError."""
    if not any(source.cost for source in sources):
        return {}
    with closing(clickhouse_client(settings.clickhouse)) as client:
        return costs_of(sources, {str(name): str(spent) for name, spent in client.query(COSTS).result_rows})


def costs_of(sources: Sequence[AnySource], stored: Mapping[str, str], timer: Timer | None = None) -> dict[str, Figures]:
    """The same, of rows of COSTS."""
    found = ((each, orjson.loads(stored[each.name]) if each.name in stored else None) for each in sources if each.cost)
    spendings = ((each.name, Spending(timer or Timer(), each.cost, spent)) for each, spent in found)
    return {name: figures for name, spending in spendings if (figures := spending.figures()) is not None}


def line_of(figures: Figures) -> str:
    """`3.20 of 10.00 USD, 6.80 left until 2026-12-01; 12.40 a month at this pace`."""
    whole = "" if figures.sum is None else f" of {figures.sum:,.2f}"
    left = "" if figures.left is None else f", {figures.left:,.2f} left until {figures.until:%Y-%m-%d}"
    return f"{figures.spent:,.2f}{whole} {figures.currency}{left}; {figures.pace:,.2f} a month at this pace"

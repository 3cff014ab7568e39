"""schemas/inbound.py: the expressions and the SQL agree on every example, and on what no example has."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from schemas import inbound

VALID = sorted((Path(inbound.__file__).parent / "examples" / "valid").glob("*.json"))
COLUMNS: dict[str, type[pl.DataType] | pl.DataType] = {
    "direction": pl.String,
    "is_deleted": pl.UInt8,
    "brands": pl.List(pl.String),
    "text": pl.String,
}
ODD = pl.DataFrame(
    list(
        product(
            ("inbound", "outbound", "", None, "Outbound", "OUTBOUND", " outbound", "outbound ", "both", "\0"),
            (0, 1),
            (["Acme"], ["Acme", "Bolt"], [""], [], None),
            ("hello", " ", "", None),
        )
    ),
    COLUMNS,
    orient="row",
)
PAIRS = [name for name in vars(inbound) if f"{name}_SQL" in vars(inbound)]


def examples() -> pl.DataFrame:
    """Every example, matched with brands that some of them mention."""
    known = Brands.model_validate({"brands": [{"name": "Acme", "keywords": ["acme", "the", "a"]}]})
    events = Mentions(known).process(Decode().process(batch_of([path.read_bytes() for path in VALID]))).events
    rows = events.with_columns(is_deleted=pl.col("operation") == "delete")
    return rows.select(pl.col(name).cast(type_) for name, type_ in COLUMNS.items())


def by_sql(settings: Settings, rows: pl.DataFrame, condition: str) -> list[int]:
    """Numbers of the rows that the condition holds for, as table interactions stores them."""
    at = pl.lit(datetime(2026, 9, 1, tzinfo=UTC)).cast(pl.Datetime("ms", "UTC"))
    numbered = rows.with_columns(
        pl.col("brands").fill_null([]), pl.int_range(pl.len(), dtype=pl.UInt64).alias("event_key"),
        revision=pl.lit(1, pl.UInt64), version=pl.lit(1, pl.UInt64), created_at=at,
    )  # fmt: skip
    with clickhouse_client(settings.clickhouse) as client:
        fence = Fence(lambda: 0.0)
        fence.polled()
        Inserter(client, fence, Vitals(), "rows").insert_all("interactions", numbered, fence.generation)
        return [key for (key,) in client.query(f"SELECT event_key FROM interactions WHERE {condition} ORDER BY 1").result_rows]


@pytest.mark.parametrize("name", PAIRS)
def test_the_expression_and_the_sql_agree(emptied: Settings, name: str) -> None:
    rows = pl.concat([examples(), ODD])
    holds = rows.select(getattr(inbound, name)).to_series()
    assert holds.null_count() == 0 and 0 < holds.sum() < rows.height
    assert by_sql(emptied, rows, getattr(inbound, f"{name}_SQL")) == holds.arg_true().to_list()


def test_every_example_is_there_and_some_are_about_a_brand() -> None:
    rows = examples()
    assert PAIRS == ["INBOUND", "ABOUT_A_BRAND", "TO_LABEL"]
    assert rows.height == len(VALID) and rows.select(inbound.ABOUT_A_BRAND).to_series().any()
    assert {"outbound", None} <= set(rows.get_column("direction")) and rows.get_column("is_deleted").sum()

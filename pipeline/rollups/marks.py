"""Table rollup_marks: from which quarter on a rollup has all rows. A rollup without a mark has nothing of before."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.row_versions import quoted
from pipeline.rollups.rollup import QUARTER_S

MARKS_SQL = "SELECT rollup, toUInt32(filled_from) AS filled_from FROM rollup_marks FINAL"
OLDEST_SQL = (
    "SELECT toInt64(toUnixTimestamp(created_at)) AS oldest FROM interactions ORDER BY toStartOfMinute(created_at) LIMIT 1"
)


def read_marks(ask: Ask) -> dict[str, int]:
    """By name: the quarter from which on it has all; 0: it has all there is."""
    rows = ask(MARKS_SQL, {})
    return {name: seconds // QUARTER_S for name, seconds in rows.iter_rows()}


def write_mark(write: Callable[[str], object], name: str, quarter: int, version: int) -> None:
    """From now on `name` has all from this quarter on; 0: all there is."""
    write(
        f"INSERT INTO rollup_marks (rollup, filled_from, version) SELECT {quoted(name)}, "
        f"toDateTime({quarter * QUARTER_S}, 'UTC'), toUInt64({version})"
    )


def oldest_quarter(ask: Ask) -> int | None:
    """The quarter of the oldest row; None: there is none."""
    rows = ask(OLDEST_SQL, {})
    return None if rows.is_empty() else int(rows["oldest"][0]) // QUARTER_S

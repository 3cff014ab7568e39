"""Table rollup_marks: from which quarter on a rollup has all rows, by the rules that it follows. Without a mark of these it has
nothing of before."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pipeline.clickhouse.query import Ask
from pipeline.clickhouse.row_versions import quoted
from pipeline.rollups.rollup import QUARTER_S, Rollup

MARKS_SQL = "SELECT rollup, rules, toUInt32(filled_from) AS filled_from FROM rollup_marks FINAL"
OLDEST_SQL = (
    "SELECT toInt64(toUnixTimestamp(created_at)) AS oldest FROM interactions ORDER BY toStartOfMinute(created_at) LIMIT 1"
)


def read_marks(ask: Ask, rollups: Iterable[Rollup]) -> dict[str, int]:
    """By name: the quarter from which on it has all; 0: it has all there is."""
    rules = {rollup.name: rollup.rules for rollup in rollups}
    rows = ask(MARKS_SQL, {})
    return {name: seconds // QUARTER_S for name, by, seconds in rows.iter_rows() if rules.get(name) == by}


def write_mark(write: Callable[[str], object], rollup: Rollup, quarter: int, version: int) -> None:
    """From now on the rollup has all from this quarter on; 0: all there is."""
    write(
        f"INSERT INTO rollup_marks (rollup, rules, filled_from, version) SELECT {quoted(rollup.name)}, {quoted(rollup.rules)}, "
        f"toDateTime({quarter * QUARTER_S}, 'UTC'), toUInt64({version})"
    )


def oldest_quarter(ask: Ask) -> int | None:
    """The quarter of the oldest row; None: there is none."""
    rows = ask(OLDEST_SQL, {})
    return None if rows.is_empty() else int(rows["oldest"][0]) // QUARTER_S

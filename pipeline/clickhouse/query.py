"""Reads ClickHouse for people and for commands: nothing is written, each row counts once, an error is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

import polars as pl
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from pipeline.errors import EarshotError, reason

READ = {"readonly": 2, "final": 1, "do_not_merge_across_partitions_select_final": 1}
"""Nothing is written, and each row counts once: its newest version, and never a deleted one, whatever is still to be merged."""
FORMATS = {"json": "JSONEachRow", "csv": "CSVWithNames", "parquet": "Parquet"}
LONG_SQL: dict[str, object] = {"max_query_size": 64 << 20}
"""For statements with many keys or values."""
_PLAIN_STRINGS = {"output_format_arrow_low_cardinality_as_dictionary": 0, "output_format_arrow_string_as_string": 1}

Query = Callable[[str], pl.DataFrame]
"""Runs SQL of some MiB; low-cardinality columns come as plain strings, times aware, UTC."""
Ask = Callable[[str, Mapping[str, object]], pl.DataFrame]
"""(SQL, settings) -> the rows."""


class Rows(NamedTuple):
    """The first rows of a query's result."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    cut: bool
    """True if the result has more rows."""


@contextmanager
def one_line(client: Client, advice: str = "", error: type[EarshotError] = EarshotError, what: str = "") -> Iterator[None]:
    """A ClickHouseError inside becomes an `error` of one line: `what` failed (blank: the server), the reason, the advice."""
    try:
        yield
    except ClickHouseError as failure:
        raise error(f"{what or f'ClickHouse at {client.uri}'}: {reason(failure)}{advice and f'; {advice}'}") from None


def settings_for(client: Client) -> dict[str, object]:
    """`READ` without the settings that this user may not change: a read-only user can't send them."""
    return {name: value for name, value in READ.items() if not client.server_settings[name].readonly}


def conditions(given: Mapping[str, tuple[str, object]]) -> tuple[str, dict[str, object]]:
    """A WHERE clause and its parameters, from name -> (condition, value): every condition whose value is not None."""
    used = {name: pair for name, pair in given.items() if pair[1] is not None}
    return " AND ".join(sql for sql, _ in used.values()) or "1", {name: value for name, (_, value) in used.items()}


def rows(client: Client, sql: str, most: int, values: Mapping[str, object] | None = None) -> Rows:
    """The first `most` rows; no more are fetched. `values` of the statement's parameters. Raises EarshotError with the server's
    reason."""
    given = dict(values or {})
    with one_line(client), client.query_rows_stream(sql, given, settings_for(client), query_tz="UTC") as stream:
        first = list(islice(stream, most + 1))
        return Rows(stream.source.column_names, first[:most], len(first) > most)


def text(client: Client, sql: str, form: str, values: Mapping[str, object] | None = None) -> Iterator[bytes]:
    """All rows as blocks of bytes, in one of `FORMATS`. `values` of the statement's parameters. Raises EarshotError with the
    server's reason."""
    with one_line(client), client.raw_stream(sql, dict(values or {}), settings_for(client), FORMATS[form]) as stream:
        while block := stream.read(1 << 16):
            yield block


def frame(client: Client, sql: str, values: Mapping[str, object], settings: Mapping[str, object]) -> pl.DataFrame:
    """The rows as a frame, with low-cardinality columns as plain strings. Raises ClickHouseError."""
    answer = client.query_arrow(sql, dict(values), settings={**_PLAIN_STRINGS, **settings}, use_strings=True)
    result = pl.from_arrow(answer)
    assert isinstance(result, pl.DataFrame)
    return result


def asker(client: Client) -> Ask:
    """A function that runs SQL of some MiB with settings; it raises EarshotError with the server's reason."""

    def ask(sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        with one_line(client):
            return frame(client, sql, {}, {**LONG_SQL, **settings})

    return ask

"""Reading ClickHouse for people and for commands: nothing is written, each row counts once, an error is one line."""

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
"""Nothing is written, and each row counts once: in its newest version, deleted ones never, whatever is still to be merged."""
FORMATS = {"json": "JSONEachRow", "csv": "CSVWithNames"}
_PLAIN_STRINGS = {"output_format_arrow_low_cardinality_as_dictionary": 0, "output_format_arrow_string_as_string": 1}

Ask = Callable[[str, Mapping[str, object]], pl.DataFrame]
"""(SQL, settings) -> the answer."""


class Rows(NamedTuple):
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    cut: bool
    """There are more rows than were asked for."""


@contextmanager
def one_line(client: Client, advice: str = "", error: type[EarshotError] = EarshotError) -> Iterator[None]:
    """A ClickHouseError inside becomes an `error` of one line: the server, its reason, and the advice."""
    try:
        yield
    except ClickHouseError as failure:
        raise error(f"ClickHouse at {client.uri}: {reason(failure)}{advice and f'; {advice}'}") from None


def settings_for(client: Client) -> dict[str, object]:
    """`READ`, less what this user may not set: one who is read-only already can't ask for it."""
    return {name: value for name, value in READ.items() if not client.server_settings[name].readonly}


def rows(client: Client, sql: str, most: int) -> Rows:
    """At most `most` rows; the rest is not fetched. Raises EarshotError with the server's reason."""
    with one_line(client), client.query_rows_stream(sql, settings=settings_for(client), query_tz="UTC") as stream:
        found = list(islice(stream, most + 1))
        return Rows(stream.source.column_names, found[:most], len(found) > most)


def text(client: Client, sql: str, form: str) -> Iterator[bytes]:
    """All rows, in blocks of bytes, as `FORMATS` names them. Raises EarshotError with the server's reason."""
    with one_line(client), client.raw_stream(sql, fmt=FORMATS[form], settings=settings_for(client)) as stream:
        while block := stream.read(1 << 16):
            yield block


def frame(client: Client, sql: str, values: Mapping[str, object], settings: Mapping[str, object]) -> pl.DataFrame:
    """The answer as a frame, with low-cardinality columns as plain strings. Raises ClickHouseError."""
    answer = client.query_arrow(sql, dict(values), settings={**_PLAIN_STRINGS, **settings}, use_strings=True)
    found = pl.from_arrow(answer)
    assert isinstance(found, pl.DataFrame)
    return found


def asker(client: Client) -> Ask:
    """Runs SQL of some MiB with settings; raises EarshotError with the server's reason."""

    def ask(sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        with one_line(client):
            return frame(client, sql, {}, {"max_query_size": 64 << 20, **settings})

    return ask

"""Inserts of a leader: ClickHouse itself refuses them once there is a newer term.

The rows travel inside the statement, which reads the newest term on the server, when it begins to run: whatever delays it on
its way (a frozen process, a network that delivers late), a write that comes after the next leader's term writes nothing.
"""

from __future__ import annotations

import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.exceptions import DatabaseError

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.terms import newest_sql
from pipeline.fence import INSERT_MAX_S, GivenUp

_THROWN = 395
_STATEMENT_BYTES = 256 << 20
"""The largest statement. It holds a byte of a row as two digits; rows of more than a quarter of it are written in halves."""


class FencedInserter(Inserter):
    """An Inserter in a term. Raises GivenUp, and ends the fence's generation, when there is a newer term."""

    name = ""
    """The leader's name in table `leaders`."""
    term = 0
    unsettled = 0
    """Inserts of this term that run now, or whose end is unknown: they may still run."""

    def begin(self, name: str, term: int) -> None:
        """From now on inserts belong to this term."""
        self.name, self.term, self.unsettled = name, term, 0

    def _insert(self, table: str, rows: pl.DataFrame, whole: pl.DataFrame, generation: int) -> list[tuple[pl.DataFrame, str]]:
        if rows.height > 1 and rows.estimated_size() > _STATEMENT_BYTES // 4:
            return self._insert_halves(table, rows, whole, generation)
        return super()._insert(table, rows, whole, generation)

    def _send(self, table: str, columns: list[str], body: pa.Buffer, token: str, generation: int) -> None:
        names = ", ".join(f"`{name}`" for name in columns)
        statement = (
            f"INSERT INTO {table} ({names}) SELECT {names} FROM format(ArrowStream, unhex('{memoryview(body).hex()}')) "
            f"WHERE throwIf(({newest_sql(self.name)}) > {self.term}, 'there is a newer leader') = 0"
        )
        settings = {
            "insert_deduplication_token": token,
            # Without it, ClickHouse ignores the token of an INSERT ... SELECT.
            "deduplicate_insert_select": "force_enable",
            "max_execution_time": f"{INSERT_MAX_S:g}",
            "max_query_size": _STATEMENT_BYTES,
        }
        with self._writing():
            # Counted before the check: the release of the term reads the count.
            self.unsettled += 1
            try:
                self.fence.pass_through(generation)
            except GivenUp:
                self.unsettled -= 1
                raise
            try:
                self._client.command(statement, settings=settings)
            except DatabaseError as error:
                if error.code != _THROWN:
                    raise
                self.fence.end_generation()
                raise GivenUp from None
            self.unsettled -= 1

"""Inserts into ClickHouse by the rules of the delivery contract, and reads with the same retries.

Every insert has a token, a hash of the table and the bytes written. If its result is unknown (timeout, reset, 5xx, overload),
it is repeated whole with the same token until it is known. A server that is killed may know a token and not have its rows: it
notes the token a moment before it keeps them. So after a repetition the rows are looked for in table interactions, and missing
ones are written under another token; every other table replaces a repeated row by its key, and is written once more.

An insert is halved on a data error, to isolate the bad rows, and after the server stopped it a few times for using too much
time or memory; halves have tokens of their own. For table interactions, halves leave out the revisions that the table has. The
contract depends on ClickHouse's settings, which clickhouse/pins.py fixes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import polars as pl
import pyarrow as pa
import xxhash
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from pipeline.clickhouse import missing_rows
from pipeline.clickhouse.arrow import Bodies
from pipeline.clickhouse.query import LONG_SQL, frame
from pipeline.clock import worth_logging
from pipeline.errors import MigrationError, reason
from pipeline.fence import INSERT_MAX_S, Fence
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals

log = logging.getLogger("earshot.clickhouse")
T = TypeVar("T")
Call = Callable[[], None]

# Errors of the data itself: parsing, types, ranges, constraints (ClickHouse's ErrorCodes.cpp).
DATA_ERRORS = {6, 26, 27, 32, 33, 38, 41, 53, 69, 70, 72, 117, 131, 321, 349, 441, 469}
# Too much time or memory: repeated whole, it would take as much.
_TOO_MUCH = {159, 241}
_WHOLE_TRIES = 3
_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)
MONTHS_AN_INSERT = 50
"""An insert that touches more than 100 partitions fails whole."""


class TooMuchError(Exception):
    """Every try took more time or memory than the server allows; a smaller request may pass."""


class Inserter:
    """Writes and reads frames over one client. Failed requests are repeated, logged now and then, and shown by /ready.

    Blocks while the database is down, with signs of life. Raises GivenUp if the batch's generation ends meanwhile.
    """

    def __init__(self, client: Client, fence: Fence, vitals: Vitals, name: str) -> None:
        self._client, self._name, self._bodies = client, name, Bodies()
        self.fence, self.vitals = fence, vitals
        self._quiet, self._unknown_until = threading.Event(), 0.0
        self._quiet.set()

    def insert(self, table: str, rows: pl.DataFrame, generation: int) -> list[tuple[pl.DataFrame, str]]:
        """Inserts the rows; columns without any value get their defaults.

        Returns the rows that ClickHouse refuses, each as a frame of one row with the reason. The table has all others on
        return.
        """
        if not rows.height:
            return []
        columns = [c.name for c in rows if c.null_count() < rows.height]
        started = time.monotonic()
        refused = self._insert(table, rows.select(columns), rows, generation)
        metrics.INSERT_SECONDS.labels(table).observe(time.monotonic() - started)
        metrics.INSERT_ROWS.labels(table).inc(rows.height - len(refused))
        return refused

    def insert_all(self, table: str, rows: pl.DataFrame, generation: int) -> None:
        """Inserts rows that Earshot made. Raises MigrationError if the table refuses one: a migration must have changed it."""
        if refused := self.insert(table, rows, generation):
            raise MigrationError(f"table {table} refuses a row: {refused[0][1]}")

    def _insert(self, table: str, rows: pl.DataFrame, whole: pl.DataFrame, generation: int) -> list[tuple[pl.DataFrame, str]]:
        try:
            self._insert_whole(table, rows, generation)
        except TooMuchError:
            log.warning("insert into %s: its %d rows are written in halves", table, rows.height)
        except DatabaseError as error:
            if rows.height == 1:
                return [(whole, reason(error))]
        else:
            return []
        return self._insert_halves(table, rows, whole, generation)

    def _insert_whole(self, table: str, rows: pl.DataFrame, generation: int) -> None:
        """Raises as `retry`."""
        again = 0
        while rows.height and self._repeated(table, rows, generation, again):
            rows, again = self._unconfirmed(table, rows, generation), again + 1

    def _repeated(self, table: str, rows: pl.DataFrame, generation: int, again: int) -> bool:
        """Inserts the rows; whether it took more than one try. `again` tells the tokens of the same rows apart."""
        tries = 0
        with self._bodies.of(rows) as body:
            token = f"{table}-{xxhash.xxh3_128_hexdigest(body)}" + f"+{again}" * bool(again)

            def send() -> None:
                nonlocal tries
                tries += 1
                self._send(table, rows.columns, body, token, generation)

            self.retry(f"insert into {table}", send, whole=rows.height == 1)
        return tries > 1

    def _unconfirmed(self, table: str, rows: pl.DataFrame, generation: int) -> pl.DataFrame:
        """The rows of an acknowledged repetition that have to be written once more."""
        if table != missing_rows.TABLE:
            return rows
        missing = missing_rows.missing_rows(self.query, rows, or_newer=True)
        if not missing.height:
            return rows.clear()
        # The try before may keep its rows at this moment.
        for _ in range(round((INSERT_MAX_S + 0.5) / 0.1)):
            self.vitals.busy(self._name)
            self.fence.check(generation)
            time.sleep(0.1)
        missing = missing_rows.missing_rows(self.query, missing, or_newer=True)
        if missing.height:
            log.warning("insert into %s: ClickHouse had acknowledged %d rows that it does not have", table, missing.height)
        return missing

    def _insert_halves(
        self, table: str, rows: pl.DataFrame, whole: pl.DataFrame, generation: int
    ) -> list[tuple[pl.DataFrame, str]]:
        # A try without an answer may still be writing rows that a query does not see yet.
        while not self.quiet(0.1):
            self.vitals.busy(self._name)
            self.fence.check(generation)
        if table == missing_rows.TABLE:
            missing = missing_rows.missing_rows(self.query, rows).get_column("revision").implode()
            rows, whole = (each.filter(pl.col("revision").is_in(missing)) for each in (rows, whole))
        half = (rows.height + 1) // 2
        refused = []
        for part, whole_part in ((rows[:half], whole[:half]), (rows[half:], whole[half:])):
            if part.height:
                refused += self._insert(table, part, whole_part, generation)
        return refused

    def _send(self, table: str, columns: list[str], body: pa.Buffer, token: str, generation: int) -> None:
        with self._writing():
            self.fence.pass_through(generation)
            self._client.raw_insert(
                table,
                column_names=columns,
                # Not as bytes: the driver would copy them to join them with the statement.
                insert_block=memoryview(body),  # type: ignore[arg-type]  # urllib3 takes it
                fmt="ArrowStream",
                settings={"insert_deduplication_token": token, "max_execution_time": f"{INSERT_MAX_S:g}"},
            )

    def insert_versions(self, sql: str, generation: int, check_ownership: Call, whole: bool, tell: Call = lambda: None) -> None:
        """Runs an INSERT ... SELECT (clickhouse/row_versions.py) that inserts nothing if it has run already. Before each try
        `tell` is called, which may block, then `check_ownership`, which raises GivenUp if it must not start any more.
        Raises TooMuchError, unless the statement can only run `whole`."""
        self.retry("insert of versions", lambda: self._make_versions(sql, generation, check_ownership, tell), whole)

    def _make_versions(self, statement: str, generation: int, check_ownership: Call, tell: Call) -> None:
        # A try with an unknown result may still run; a second beside it would write its rows twice.
        while not self.quiet(0.1):
            self.fence.check(generation)
        tell()
        self.fence.pass_through(generation)
        with self._writing():
            check_ownership()
            self._client.command(statement, settings={**LONG_SQL, "max_execution_time": f"{INSERT_MAX_S:g}"})

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._quiet.clear()
        try:
            yield
            self._unknown_until = 0.0
        except (ClickHouseError, OSError) as error:
            known = isinstance(error, DatabaseError) and error.code in DATA_ERRORS
            self._unknown_until = 0.0 if known else time.monotonic() + INSERT_MAX_S + 0.5
            raise
        finally:
            self._quiet.set()

    def quiet(self, timeout_s: float) -> bool:
        """Waits until no insert of ours can run on the server; False if `timeout_s` was too short."""
        end = time.monotonic() + timeout_s
        if not self._quiet.wait(timeout_s):
            return False
        while (now := time.monotonic()) < self._unknown_until:
            if now >= end:
                return False
            time.sleep(0.05)
        return True

    def query(self, sql: str, more: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The rows as a frame; low-cardinality columns as plain strings. `more`: settings of ClickHouse for this query."""
        return self.retry("query", lambda: frame(self._client, sql, {}, {**LONG_SQL, **(more or {})}))

    def command(self, sql: str) -> None:
        """A statement of some MiB that may run twice."""
        self.retry("command", lambda: self._client.command(sql, settings=LONG_SQL))

    def retry(self, what: str, request: Callable[[], T], whole: bool = True) -> T:
        """Repeats the request until it is answered. Raises DatabaseError for a data error, and GivenUp.

        Raises TooMuchError after a few tries that took too much, unless the request can only run `whole`.
        """
        try:
            return self._retry(what, request, whole)
        finally:  # also when given up: nobody waits for this answer any more
            self.vitals.clear(f"clickhouse ({self._name})")

    def _retry(self, what: str, request: Callable[[], T], whole: bool) -> T:
        generation = self.fence.generation
        attempt = too_much = 0
        while True:
            self.vitals.busy(self._name)
            try:
                answer = request()
            except (ClickHouseError, OSError, pa.ArrowInvalid) as error:
                code = error.code if isinstance(error, DatabaseError) else None
                if code in DATA_ERRORS:
                    raise
                self._report(what, attempt, reason(error))
                too_much += code in _TOO_MUCH
                if too_much == _WHOLE_TRIES and not whole:
                    raise TooMuchError from error
            else:
                if attempt:
                    log.info("%s: answered after %d tries", what, attempt + 1)
                return answer
            metrics.RETRIES.labels(what.split()[0]).inc()
            time.sleep(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)])
            self.fence.check(generation)
            attempt += 1

    def _report(self, what: str, attempt: int, why: str) -> None:
        self.vitals.hold(f"clickhouse ({self._name})", why)
        if worth_logging(attempt + 1):
            log.warning("%s: %s; try %d, will be retried", what, why, attempt + 1)

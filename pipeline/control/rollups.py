"""The job that fills the rollups (pipeline/rollups/job.py), on a thread of its own while this process leads."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence

import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import LONG_SQL, asker, one_line
from pipeline.clock import steady
from pipeline.config.settings import KafkaSettings
from pipeline.errors import EarshotError, reason
from pipeline.fence import GivenUp
from pipeline.leader import Leader
from pipeline.monitoring import metrics
from pipeline.rollups.asked import Asked, Progress
from pipeline.rollups.job import Job, Statements
from pipeline.rollups.kept import Kept
from pipeline.rollups.reader import SignalReader
from pipeline.rollups.rollup import Rollup, Span
from pipeline.rollups.versions import Versions

STATEMENT_S = 60
"""The longest that one statement may run."""
SETTINGS: dict[str, object] = {
    **LONG_SQL,
    "max_threads": 1,
    "max_execution_time": STATEMENT_S,
    "do_not_merge_across_partitions_select_final": 1,
    "max_memory_usage": 1_000_000_000,
    "max_bytes_before_external_group_by": 300_000_000,
    # Words of one quarter-hour may be in conversations that were opened in any month since 1995.
    "max_partitions_per_insert_block": 0,
}
AGAIN_S = 5.0
WELL_S = 60.0
"""A job that fails after less has not stood up since it failed before."""
JOIN_S = 2.0
log = logging.getLogger("earshot.rollups")


class OtherRules(Exception):
    """The job begins again, with other rollups."""


class RollupsJob:
    """Runs the job, and again some seconds after it failed: no failure of it ends control.

    `connect` makes a client whose answers may take STATEMENT_S. Restart: see the job.
    """

    def __init__(
        self,
        leader: Leader,
        kafka: KafkaSettings,
        connect: Callable[[], Client],
        rollups: Sequence[Rollup],
        kept: Kept,
    ) -> None:  # fmt: skip
        self._leader, self._kafka, self._connect, self._rollups, self._kept = leader, kafka, connect, rollups, kept
        self._asked = Asked()
        self._thread: threading.Thread | None = None
        _show(0)

    async def run(self) -> None:
        """Until it is cancelled: the thread ends soon after that."""
        stop, check = threading.Event(), self._leader.bound_check()
        term = self._leader.inserter.term
        self._thread = threading.Thread(target=self._work, args=(term, stop, check), name="rollups", daemon=True)
        self._thread.start()
        try:
            await asyncio.Event().wait()
        finally:
            stop.set()

    def close(self) -> None:
        """Waits a moment until the thread has left its group."""
        if self._thread is not None:
            self._thread.join(JOIN_S)

    def ask(self, span: Span) -> Progress:
        """Makes all rollups anew in these quarters. Raises ConflictError while that is done for somebody else, EarshotError
        while another process leads."""
        try:
            self._leader.check()
        except GivenUp:
            raise EarshotError("this control does not lead: it is starting, or another control leads") from None
        return self._asked.ask(span)

    def use(self, rollups: Sequence[Rollup]) -> None:
        """Takes these from now on, if their rules are others: what the table has of other rules is filled anew."""
        if [rollup.rules for rollup in rollups] != [rollup.rules for rollup in self._rollups]:
            self._rollups = rollups

    def progress(self) -> Progress:
        """Of the last rebuild that was asked for."""
        return self._asked.progress()

    def _work(self, term: int, stop: threading.Event, check: Callable[[], None]) -> None:
        versions, stands_since = Versions(term), float("inf")
        try:
            while not stop.is_set():
                begun = steady()
                try:
                    self._run(versions, stop, check)
                except GivenUp:
                    return
                except OtherRules:
                    self._asked.fail("the rules of a table have changed: ask again")
                    log.info("tables that follow rules are filled anew")
                except Exception as error:  # the alerts must not end for it
                    stands_since = min(stands_since, begun) if (now := steady()) < begun + WELL_S else now
                    _show(now - stands_since)  # the job, which would say it, does not run
                    log.warning("the rollups stand still: %s; will be retried", reason(error), exc_info=_unexpected(error))
                    self._asked.fail(reason(error))
                    stop.wait(AGAIN_S)
        finally:
            self._asked.fail("this control does not lead any more")
            _show(0)

    def _run(self, versions: Versions, stop: threading.Event, check: Callable[[], None]) -> None:
        with self._connect() as client, self._connect() as other:
            reader, rollups = SignalReader(self._kafka), self._rollups

            def go_on() -> None:
                check()
                if self._rollups is not rollups:
                    raise OtherRules

            try:
                job = Job(
                    rollups, reader, self._statements(client, check), self._statements(other, check), versions, self._asked
                )
                job.run(stop, go_on)
            finally:
                reader.close()

    def _statements(self, client: Client, check: Callable[[], None]) -> Statements:
        plain = asker(client)

        def write(statement: str) -> None:
            check()
            with one_line(client):
                client.command(statement, settings={**SETTINGS, **self._kept.settings()})

        def ask(sql: str, more: Mapping[str, object]) -> pl.DataFrame:
            return plain(sql, {**SETTINGS, **more})

        return Statements(write, ask)


def _show(lag_s: float) -> None:
    for name in ("running", "older"):
        metrics.ROLLUP_LAG.labels(name).set(lag_s)


def _unexpected(error: Exception) -> bool:
    return not isinstance(error, (EarshotError, OSError))

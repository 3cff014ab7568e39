"""Stores alerts: the tables in ClickHouse, and topic `alerts`.

A change is in table alerts before it is published, so the next process publishes the changes that a crash kept back. All writes
are idempotent: the same change twice is one row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from confluent_kafka import KafkaError, Message

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.row_versions import quoted
from pipeline.clock import worth_logging
from pipeline.config.settings import KafkaConfig
from pipeline.kafka.asking import why_silent
from pipeline.kafka.producer import Record, RenewedProducer
from pipeline.monitoring import metrics
from pipeline.processors.alerts.silences import Silence
from pipeline.processors.alerts.store import LateDay
from pipeline.processors.alerts.usual_gaps import Row
from schemas.alerts import COLUMNS, Alert, Member, State, alert_of, alert_rows, dump
from schemas.signals import Candidate, Signal, once, parse_signal
from schemas.signals import dump as dump_signal
from schemas.times import TIME

log = logging.getLogger("earshot.kafka")
WATERMARK, RECONCILED = "windows", "reconciled"
_NEWEST = "ORDER BY term DESC, version DESC LIMIT 1 BY alert_key"
BEHIND = 20_000
_BEHIND = f"""
SELECT {", ".join(COLUMNS)}, term, bitShiftLeft(term, 32) + version AS newest FROM alerts WHERE alert_key IN
(
    SELECT alert_key FROM alerts GROUP BY alert_key
    HAVING (alert_key, max(bitShiftLeft(term, 32) + version)) NOT IN (SELECT alert_key, newest FROM alerts_now)
)
{_NEWEST} LIMIT {BEHIND}"""
CLOSE_S = 2.0


class AlertTables:
    """Blocks while ClickHouse is away. Raises GivenUp when the fence's generation is over: another process leads."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter
        self.term = 0
        """Of the leader that writes; if two leaders wrote the same version, the newer term counts."""
        self._late_at: datetime | None = None
        """The newest change of table alert_late_days."""

    # --- alerts -------------------------------------------------------------------------------------------------------
    def write(self, alerts: Sequence[Alert], members: Sequence[Member], generation: int) -> None:
        """Alerts first: a member without its alert would be an event that notifies nobody."""
        if alerts:
            rows = alert_rows(alerts).with_columns(term=pl.lit(self.term, pl.UInt64))
            self._inserter.insert_all("alerts", rows, generation)
        if members:
            types: dict[str, Any] = {"event_key": pl.UInt64, "alert_key": pl.UInt64, "created_at": TIME}
            self._inserter.insert_all(
                "alert_events", pl.DataFrame(members, Member._fields, schema_overrides=types, orient="row"), generation
            )

    def level(self, generation: int) -> None:
        """Writes what table alerts_now lacks, the last changes first, BEHIND at most: a server that was killed between the two
        tables, or a backup of them, leaves it behind, and an alert that has ended would be listed as firing for ever."""
        rows = self._inserter.query(_BEHIND)
        if rows.height:
            log.warning("table alerts_now lacked the newest change of %d alerts", rows.height)
            self._inserter.insert_all("alerts_now", rows, generation)

    def standing(self, since: datetime) -> list[Alert]:
        """The newest change of each alert that is not resolved, or that changed after `since`; none is historical."""
        keys = (
            "SELECT alert_key FROM alerts GROUP BY alert_key "
            f"HAVING argMax(state, (term, version)) != '{State.RESOLVED}' OR max(changed_at) >= {_sql_time(since)}"
        )
        return self._read(f"historical = 0 AND alert_key IN ({keys}) {_NEWEST}")

    def between(self, first: datetime, last: datetime) -> list[Alert]:
        """The newest change of each alert that was true in between, by the events' time."""
        where = f"last_at >= {_sql_time(first)} AND since <= {_sql_time(last)} AND test = 0"
        return self._read(f"{where} {_NEWEST}")

    def by_keys(self, keys: Iterable[int]) -> list[Alert]:
        """The newest change of each."""
        listed = ",".join(map(str, keys))
        return self._read(f"alert_key IN ({listed}) {_NEWEST}") if listed else []

    def _read(self, where: str) -> list[Alert]:
        rows = self._inserter.query(f"SELECT {', '.join(COLUMNS)} FROM alerts FINAL WHERE {where}")
        return [alert_of(row) for row in rows.iter_rows(named=True)]

    def new(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates that no alert holds yet, each once."""
        new = {(c.rule, c.brand, c.event_key): c for c in once(candidates)}
        if not new:
            return []
        listed = ",".join(f"({quoted(rule)},{quoted(brand)},{key})" for rule, brand, key in new)
        known = self._inserter.query(
            f"SELECT rule, brand, event_key FROM alert_events WHERE (rule, brand, event_key) IN ({listed})"
        )
        for key in known.iter_rows():
            new.pop(key, None)
        return list(new.values())

    # --- silences, the watermark --------------------------------------------------------------------------------------
    def write_silence(self, silence: Silence, generation: int) -> None:
        """Writes a silence, or a newer version of one."""
        row = {name: getattr(silence, name) for name in Silence.__slots__}
        times = {name: TIME for name in ("starts_at", "ends_at", "changed_at")}
        types: dict[str, Any] = {"silence_id": pl.UInt64, "version": pl.UInt32, **times}
        self._inserter.insert_all("alert_silences", pl.DataFrame([row], schema_overrides=types), generation)

    def silences(self, now: datetime) -> list[Silence]:
        """The silences that have not ended."""
        columns = ", ".join(Silence.__slots__)
        rows = self._inserter.query(f"SELECT {columns} FROM alert_silences FINAL WHERE ends_at > {_sql_time(now)}")
        return [Silence(**row) for row in rows.iter_rows(named=True)]

    # --- candidates of unknown rules, late days -----------------------------------------------------------------------
    def waiting_candidates(self, since: datetime) -> list[tuple[Candidate, datetime]]:
        """The candidates that wait for their rule, and since when: after `since`. Skips and counts unreadable rows."""
        rows = self._inserter.query(
            f"SELECT signal, heard_at FROM alert_candidates FINAL WHERE done = 0 AND heard_at > {_sql_time(since)} "
            "ORDER BY heard_at"
        )
        waiting = list[tuple[Candidate, datetime]]()
        for signal, heard in rows.iter_rows():
            try:
                waiting += [(each, heard) for each in parse_signal(signal.encode()).candidates]
            except ValueError as error:
                metrics.SIGNALS_UNREADABLE.inc()
                log.error("a row of table alert_candidates is skipped: %s", error)
        return waiting

    def write_candidates(self, candidates: Sequence[tuple[Candidate, datetime]], done: bool, generation: int) -> None:
        """Stores that candidates wait since a time, or that they are done."""
        rows = [
            (each.rule, each.brand, each.event_key, "" if done else dump_signal(Signal(candidates=(each,)))[0].decode(), heard)
            for each, heard in candidates
        ]
        types: dict[str, Any] = {
            "rule": pl.String, "brand": pl.String, "event_key": pl.UInt64, "signal": pl.String, "heard_at": TIME
        }  # fmt: skip
        frame = pl.DataFrame(rows, schema=types, orient="row").with_columns(done=pl.lit(int(done), pl.UInt8))
        self._inserter.insert_all("alert_candidates", frame, generation)

    def late_days(self) -> list[LateDay]:
        """The days that are not done."""
        newest = self._inserter.query("SELECT maxOrNull(changed_at) AS newest FROM alert_late_days")
        self._late_at = newest.get_column("newest")[0]
        rows = self._inserter.query(
            "SELECT toInt64(toRelativeDayNum(day)), intDiv(toInt64(toUnixTimestamp(first)), 60), "
            "intDiv(toInt64(toUnixTimestamp(last)), 60) FROM alert_late_days FINAL WHERE done = 0"
        )
        return [LateDay(*row) for row in rows.iter_rows()]

    def write_late_days(self, days: Sequence[LateDay], now: datetime, generation: int) -> None:
        """Stores the newest state of these days: it replaces the one of before, even if the clock was set back since."""
        self._late_at = now if self._late_at is None else max(now, self._late_at + timedelta(milliseconds=1))
        frame = pl.DataFrame(days, schema=list(LateDay._fields), orient="row").select(
            pl.col("day").cast(pl.UInt16),
            *((pl.col(name) * 60).cast(pl.UInt32) for name in ("first", "last")),
            pl.col("done").cast(pl.UInt8),
            pl.lit(self._late_at).cast(TIME).alias("changed_at"),
        )
        self._inserter.insert_all("alert_late_days", frame, generation)

    def write_arrivals(self, rows: Sequence[Row], generation: int) -> None:
        """Stores in which minutes something came of sources: a row with more minutes replaces the one of before."""
        types: dict[str, Any] = {"source": pl.String, "hour": pl.UInt32, "excused": pl.UInt8, "minutes": pl.UInt64}
        self._inserter.insert_all("source_arrivals", pl.DataFrame(rows, schema=types, orient="row"), generation)

    def keep_watermark(self, at: datetime, now: datetime, generation: int, name: str = WATERMARK) -> None:
        """Stores how far windows were judged, by the events' time; RECONCILED: how far rows are reconciled, by when they
        landed."""
        row = pl.DataFrame({"name": [name], "at": [at], "changed_at": [now]}, schema_overrides={"at": TIME, "changed_at": TIME})
        self._inserter.insert_all("alert_watermarks", row, generation)

    def watermark(self, name: str = WATERMARK) -> datetime | None:
        """How far windows were judged, or rows reconciled; None: nothing was kept."""
        rows = self._inserter.query(f"SELECT at FROM alert_watermarks FINAL WHERE name = '{name}'").get_column("at")
        return None if rows.is_empty() else rows[0]

    # --- queries ------------------------------------------------------------------------------------------------------
    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The answer; times are aware, UTC."""
        return self._inserter.query(sql, settings)


class AlertTopic:
    """Topic `alerts`: every change, by the alert's key. The table is the record; the topic is for watchers.

    Never blocks and never raises: it counts and logs the changes that the topic misses.
    """

    def __init__(self, client: KafkaConfig, topic: str) -> None:
        self._producer = RenewedProducer({**client, "linger.ms": 0, "message.timeout.ms": 30_000}, "alerts")
        self._topic = topic
        self._missed = 0

    def send(self, alerts: Iterable[Alert]) -> None:
        """Queues the changes for Kafka."""
        for alert in alerts:
            try:
                self._producer.produce(self._topic, Record(dump(alert), alert.hex.encode()), self._delivered)
            except BufferError:
                self._miss("its queue is full")
        self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: Message | None) -> None:
        if error is None:
            self._missed = 0
        else:
            self._miss(error.str())

    def _miss(self, why: str) -> None:
        self._missed += 1
        metrics.ALERTS_MISSED.inc()
        if worth_logging(self._missed):
            log.warning("topic %s misses %d changes: %s; table alerts has them", self._topic, self._missed, why)

    def ask(self) -> str:
        """The reason why Kafka does not answer; blank: it answers."""
        return why_silent(self._producer, self._topic)

    def forget(self) -> None:
        """Drops the changes that wait for Kafka: another process leads by the time that Kafka answers."""
        self._producer.purge()
        self._producer.poll(0)

    def close(self) -> None:
        """Waits for CLOSE_S at most: changes that Kafka has not acknowledged by then count as missed."""
        if left := self._producer.flush(CLOSE_S):
            metrics.ALERTS_MISSED.inc(left)


def _sql_time(at: datetime) -> str:
    return f"fromUnixTimestamp64Milli({int(at.timestamp() * 1000)})"

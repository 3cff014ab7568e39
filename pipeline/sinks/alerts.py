"""Where alerts are kept: ClickHouse, and topic `alerts`.

A change is in table alerts before anybody is told of it, so what a crash kept from being told is found again. All writes are
idempotent: the same change twice is one row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl
from confluent_kafka import KafkaError, KafkaException, Message

from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.row_versions import quoted
from pipeline.clock import worth_logging
from pipeline.kafka.client import kafka_reason
from pipeline.kafka.producer import Record, RenewedProducer
from pipeline.monitoring import metrics
from pipeline.processors.alerts.silences import Silence
from schemas.alerts import COLUMNS, Alert, Member, State, alert_of, alert_rows, dump
from schemas.signals import Candidate
from schemas.times import TIME

log = logging.getLogger("earshot.kafka")
WATERMARK = "windows"
_NEWEST = "ORDER BY term DESC, version DESC LIMIT 1 BY alert_key"
CLOSE_S = 2.0


class AlertTables:
    """Blocks while ClickHouse is away. Raises GivenUp when the fence's generation is over: another process leads."""

    def __init__(self, inserter: Inserter) -> None:
        self._inserter = inserter
        self.term = 0
        """Of the leader who writes; where two wrote the same version, the newer term counts."""

    # --- alerts -------------------------------------------------------------------------------------------------------
    def write(self, alerts: Sequence[Alert], members: Sequence[Member], generation: int) -> None:
        """The alerts first: a member whose alert is not there would be an event that nobody was told of."""
        if alerts:
            rows = alert_rows(alerts).with_columns(term=pl.lit(self.term, pl.UInt64))
            self._inserter.insert_all("alerts", rows, generation)
        if members:
            types: dict[str, Any] = {"event_key": pl.UInt64, "alert_key": pl.UInt64, "created_at": TIME}
            self._inserter.insert_all(
                "alert_events", pl.DataFrame(members, Member._fields, schema_overrides=types, orient="row"), generation
            )

    def standing(self, since: datetime) -> list[Alert]:
        """The newest change of what is not resolved, and of what changed after `since`; none is historical."""
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
        """Those that no alert holds yet, each once."""
        places = {(c.rule, c.brand, c.event_key): c for c in candidates}
        if not places:
            return []
        listed = ",".join(f"({quoted(rule)},{quoted(brand)},{key})" for rule, brand, key in places)
        known = self._inserter.query(
            f"SELECT rule, brand, event_key FROM alert_events WHERE (rule, brand, event_key) IN ({listed})"
        )
        for place in known.iter_rows():
            places.pop(place, None)
        return list(places.values())

    # --- silences, the watermark --------------------------------------------------------------------------------------
    def write_silence(self, silence: Silence, generation: int) -> None:
        row = {name: getattr(silence, name) for name in Silence.__slots__}
        times = {name: TIME for name in ("starts_at", "ends_at", "changed_at")}
        types: dict[str, Any] = {"silence_id": pl.UInt64, "version": pl.UInt32, **times}
        self._inserter.insert_all("alert_silences", pl.DataFrame([row], schema_overrides=types), generation)

    def silences(self, now: datetime) -> list[Silence]:
        """Those that have not ended."""
        columns = ", ".join(Silence.__slots__)
        rows = self._inserter.query(f"SELECT {columns} FROM alert_silences FINAL WHERE ends_at > {_sql_time(now)}")
        return [Silence(**row) for row in rows.iter_rows(named=True)]

    def keep_watermark(self, at: datetime, now: datetime, generation: int) -> None:
        row = pl.DataFrame(
            {"name": [WATERMARK], "at": [at], "changed_at": [now]}, schema_overrides={"at": TIME, "changed_at": TIME}
        )
        self._inserter.insert_all("alert_watermarks", row, generation)

    def watermark(self) -> datetime | None:
        rows = self._inserter.query(f"SELECT at FROM alert_watermarks FINAL WHERE name = '{WATERMARK}'").get_column("at")
        return None if rows.is_empty() else rows[0]

    # --- what the rules ask -------------------------------------------------------------------------------------------
    def ask(self, sql: str, settings: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The answer; times are aware, UTC."""
        return self._inserter.query(sql, settings)


class AlertTopic:
    """Topic `alerts`: every change, by the alert's key. The table is what counts; the topic is for those who watch.

    Never blocks and never raises: what the topic does not get is counted, and said in the log.
    """

    def __init__(self, client: Mapping[str, Any], topic: str) -> None:
        self._producer = RenewedProducer({**client, "linger.ms": 0, "message.timeout.ms": 30_000}, "alerts")
        self._topic = topic
        self._missed = 0

    def send(self, alerts: Iterable[Alert]) -> None:
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
        """Why Kafka does not answer; blank: it does."""
        self._producer.poll(0)
        try:
            self._producer.list_topics(self._topic, 2.0)
        except KafkaException as error:
            self._producer.poll(0)  # it delivers the reason, where librdkafka knows more than "no answer"
            return self._producer.trouble or kafka_reason(error)
        self._producer.trouble = ""
        return ""

    def forget(self) -> None:
        """What waits for Kafka is not sent any more: another one leads by the time that Kafka is back."""
        self._producer.purge()
        self._producer.poll(0)

    def close(self) -> None:
        """Waits for CLOSE_S at most: what is on its way then counts as missed."""
        if left := self._producer.flush(CLOSE_S):
            metrics.ALERTS_MISSED.inc(left)


def _sql_time(at: datetime) -> str:
    return f"fromUnixTimestamp64Milli({int(at.timestamp() * 1000)})"

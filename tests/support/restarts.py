"""Controls that live through a generated day: one that never stops, and others that are killed and started again.

All read one table, which a worker's steps fill, and one topic; each has tables of alerts of its own. A killed control loses its
memory, and reads signals again that it had not committed. The time is the day's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

import numpy as np
import orjson
import polars as pl
from clickhouse_connect.driver.client import Client

from pipeline.batch import EventBatch
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.config.settings import ClickHouseSettings
from pipeline.fence import Fence
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.backtest.judge import backtest
from pipeline.processors.alerts.campaign_search import CampaignFinder
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rule_types import OverTimeRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import SingleEvent, words_of
from pipeline.processors.completion import Completion
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.sentiment.deferred_rows import DeferredRows
from pipeline.processors.sentiment.step import Sentiment
from pipeline.sinks.alerts import AlertTables
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sinks.signals import LabelSignals, SignalPublisher
from pipeline.step import Step
from schemas.alerts import Alert
from schemas.labels import LABELLED
from schemas.signals import Signal, dump, parse_signal
from schemas.times import to_ms
from tests.support.day import BEGIN, HISTORY, Event
from tests.support.hot_path import PathRun
from tests.support.word_labels import WordLabeller

TIMES = re.compile(r"toDateTime\((\d+)")
HISTORY_HOURS = 6


class Killed(Exception):
    """The process ends here."""


@dataclass
class Topic:
    """Topic signals; each record is read as it would come from Kafka."""

    records: list[Signal] = field(default_factory=list)

    def send(self, signal: Signal, generation: int) -> None:
        self.records += [parse_signal(record) for record in dump(signal)]


class NoLetters:
    """Every record of the day is good."""

    def write(self, rejected: Sequence[object], generation: int) -> None:
        assert not rejected, rejected


def still() -> Fence:
    """A fence that never runs out."""
    return Fence(lambda: 0.0)


class _Path(PathRun):
    """Kafka's time of a record is the time of its batch."""

    now: Callable[[], datetime]

    def stamp(self, batch: EventBatch) -> None:
        batch.timestamps = np.full(batch.read, to_ms(self.now()), np.int64)


class Ground:
    """A worker and the tables that it fills. `now` is the time."""

    def __init__(self, clickhouse: ClickHouseSettings, config: Alerts) -> None:
        self.now, self.topic = BEGIN, Topic()
        self._clickhouse = clickhouse
        self.client = clickhouse_client(clickhouse)
        migrate_tables(self.client)
        inserter = Inserter(self.client, still(), Vitals(), "landing")
        table, self._labeller = InteractionsTable(inserter), WordLabeller(self._clock)
        self._mentions = Mentions(Brands(brands=()), words_of(config))
        self.rules = SingleEvent(config, self._mentions.words_in, table)
        publisher = SignalPublisher(self.topic, self.rules, table)  # type: ignore[arg-type]  # all of Signals that it uses
        landing = Landing(inserter, NoLetters(), str, publisher.publish, clock=self._clock)
        steps: list[Step] = [Sentiment(self._labeller, 0.05), self.rules]
        self._path = _Path(landing, Completion(table, 7 * 86_400, clock=self._clock), self._mentions, steps, clock=self._clock)
        self._path.now = self._now
        self._deferred = DeferredRows(inserter, "events")
        self._labels = LabelSignals(self.topic, self.rules)  # type: ignore[arg-type]
        self._answers: dict[str, pl.DataFrame] = {}
        self._empty: dict[str, pl.DataFrame] = {}
        self._first = int((BEGIN - timedelta(hours=HISTORY_HOURS)).timestamp())

    def _now(self) -> datetime:
        return self.now

    def _clock(self) -> float:
        return self.now.timestamp()

    # --- rows ---------------------------------------------------------------------------------------------------------
    def begin(self, worlds: int) -> None:
        """Hours of usual mentions before the day, of the brands whose rules learn."""
        for kind, mentions in HISTORY.items():
            self.client.command(
                "INSERT INTO interactions (event_key, revision, version, id, platform, kind, direction, created_at, "
                "ingested_at, text, brands, sentiment_status, sentiment_label) "
                f"SELECT cityHash64('{kind}', number), number, 1, toString(number), 'x', 'post', 'inbound', "
                f"toDateTime64({BEGIN.timestamp()}, 3, 'UTC') - INTERVAL (1 + sipHash64(number) % 299 "
                f"+ intDiv(intDiv(number, {worlds}), {mentions}) * 300) SECOND AS at, at, 'what was said ever since', "
                f"[concat('{kind}', toString(number % {worlds}))], "
                "'labelled', if(intDiv(number, 100) % 10 = 0, 'negative', 'neutral') "
                f"FROM numbers({HISTORY_HOURS * 12 * mentions * worlds})"
            )

    def land(self, events: Sequence[Event]) -> None:
        """The events as one batch: through the steps, into the tables, into the topic."""
        if events:
            batch = self._path.landed(*(orjson.dumps(event) for event in events))
            assert not batch.rejected
            self._answers.clear()

    def label(self) -> None:
        """Rows get the labels that they can have by now."""
        rows = self._deferred.read(self._deferred.keys([0], 10_000))
        labels = self._labeller.label(rows.get_column("read"), rows.get_column("language"))
        done = labels.get_column("sentiment_status") == LABELLED
        rows, labels = rows.filter(done), labels.filter(done)
        if rows.height:
            labelled = rows.with_columns(labels.get_columns())
            self._labels.before_write(labelled, 0)
            self._deferred.write(rows, labels, 0, lambda: None)
            self._labels.after_write(labelled, 0)
            self._answers.clear()

    def use(self, config: Alerts) -> None:
        """The worker has other rules from the next batch on."""
        self._mentions.look_for(words_of(config))
        self.rules.use(config)

    # --- what controls ask --------------------------------------------------------------------------------------------
    def ask(self, sql: str, settings: Mapping[str, object], query: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        """The answer of `query`, which asks for rows of interactions. What several controls ask of the same rows, or of a time
        before all rows, is asked once."""
        times = [int(time) for time in TIMES.findall(sql)]
        if times and max(times) <= self._first:
            return self._once(self._empty, TIMES.sub("", sql), query)
        return self._once(self._answers, f"{sql}{settings}", query)

    @staticmethod
    def _once(known: dict[str, pl.DataFrame], key: str, query: Callable[[], pl.DataFrame]) -> pl.DataFrame:
        if key not in known:
            known[key] = query()
        return known[key]

    @contextmanager
    def own_tables(self, name: str) -> Iterator[Client]:
        """A client of a database with all tables but interactions."""
        database = f"{self._clickhouse.database}_{name}"
        tables = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        self.client.command(f"CREATE DATABASE {database}")
        for (table,) in self.client.query(f"{tables} AND name != 'interactions'").result_rows:
            self.client.command(f"CREATE TABLE {database}.{table} AS {table}")
        try:
            with clickhouse_client(self._clickhouse.model_copy(update={"database": database})) as client:
                yield client
        finally:
            self.client.command(f"DROP DATABASE {database}")


class _Reads(Inserter):
    """Reads interactions of `ground`, and all else of its own. `left`: the process dies at this write; 0: it lives."""

    left = 0

    def __init__(self, client: Client, ground: Ground) -> None:
        super().__init__(client, still(), Vitals(), "alerts")
        self._ground = ground

    def query(self, sql: str, more: Mapping[str, object] | None = None) -> pl.DataFrame:
        if "FROM interactions" not in sql:
            return super().query(sql, more)
        return self._ground.ask(sql, more or {}, lambda: self._of_ground(sql, more))

    def _of_ground(self, sql: str, more: Mapping[str, object] | None) -> pl.DataFrame:
        return Inserter(self._ground.client, self.fence, self.vitals, "ground").query(sql, more)

    def insert_all(self, table: str, rows: pl.DataFrame, generation: int) -> None:
        if self.left:
            self.left -= 1
            if not self.left:
                raise Killed
        super().insert_all(table, rows, generation)


@dataclass
class Stop:
    """A kill in minute `at`, and the start in minute `back`. `write`: it dies at this write of its turn, if it has so many;
    else, if `committed`, after the turn, if not, before it commits."""

    at: int
    back: int
    write: int
    committed: bool


def stops(rng: Random, first: int, minutes: int, step: int) -> list[Stop]:
    """Some kills. The next process comes with the next turn (one each `step` minutes), or up to 20 minutes later."""
    found, minute = list[Stop](), first + rng.randrange(1, 60)
    while minute < minutes - 25:
        kill = minute - minute % step
        away = rng.choice([step, rng.randrange(1, 4), rng.randrange(1, 21), rng.randrange(10, 21)])
        back = kill + max(step, away - away % step)
        found.append(Stop(kill, back, rng.choice([0, 0, 1, 2, 3]), rng.random() < 0.5))
        minute = back + rng.choice([step, rng.randrange(step, 10), rng.randrange(10, 120)])
    return found


class Control:
    """A control that is stopped and started; `up` says whether it runs."""

    def __init__(self, ground: Ground, client: Client) -> None:
        self._ground, self._reads = ground, _Reads(client, ground)
        self._tables = AlertTables(self._reads)
        self._evaluator: Evaluator | None = None
        self._finder = CampaignFinder()
        self._read = self._committed = 0

    @property
    def up(self) -> bool:
        return self._evaluator is not None

    def begin(self) -> None:
        """All before now was judged, and nothing of it is on record."""
        self._tables.keep_watermark(self._ground.now, self._ground.now, 0)

    def start(self, config: Alerts) -> None:
        """A new process, with these rules."""
        self._reads.left, self._read, self._finder = 0, self._committed, CampaignFinder()
        self._evaluator = Evaluator(self._tables, config)
        self._evaluator.start(self._ground.now, 0)

    def turn(self, stop: Stop | None = None) -> None:
        """One turn as control has it once a second; it may be the last one."""
        self._reads.left = stop.write if stop else 0
        with suppress(Killed):
            self._turn(stop is None or stop.committed)
        if stop:
            self._evaluator = None

    def use(self, config: Alerts) -> None:
        """Its alerts.yaml has changed."""
        if self._evaluator:
            self._evaluator.use(config)

    def _turn(self, commits: bool) -> None:
        evaluator, now, topic = self._evaluator, self._ground.now, self._ground.topic.records
        assert evaluator
        evaluator.ingest(topic[self._read :], now)
        self._read = len(topic)
        evaluator.tick(now)
        if commits:
            self._committed = self._read
            self._search(evaluator, now)
            self._look_back(evaluator, now)

    def _search(self, evaluator: Evaluator, now: datetime) -> None:
        """As `Campaigns.search`."""
        while (due := evaluator.campaigns_due()) is not None:
            evaluator.raise_campaigns(self._finder.search(self._reads.query, due), now)

    def _look_back(self, evaluator: Evaluator, now: datetime) -> None:
        """As `LateWindows.evaluate`."""
        while (span := evaluator.late_span(now)) is not None:
            rules = tuple(rule for rule in evaluator.config.rules if isinstance(rule, OverTimeRule))
            config = evaluator.config.model_copy(update={"rules": rules})
            evaluator.record(backtest(self._reads.query, config, *span, zones=evaluator.zones), now)

    def alerts(self) -> list[Alert]:
        """All that are on record."""
        return self._tables.between(BEGIN - timedelta(days=1), self._ground.now + timedelta(days=1))

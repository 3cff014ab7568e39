"""The worker, top to bottom: what happens to a batch of social events on its way from Kafka to ClickHouse.

    topic events -> decode -> privacy -> dedup -> mentions -> completion -> sentiment -> alerts -> dead letters -> interactions
        -> signals -> commit

Every step is a Faust agent. Rejected rows travel inside the batch; the offset is committed last, by one owner.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from pipeline import migrate
from pipeline.batch import Assigned, EventBatch, Partition
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import SentimentSettings, Settings
from pipeline.config.watched_file import WatchedFile
from pipeline.errors import SettingsError
from pipeline.fence import Fence
from pipeline.kafka.client import kafka_admin
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals, memory_limit, serve
from pipeline.monitoring.process import run_process
from pipeline.monitoring.table_metrics import keep_asking
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, parse_rules
from pipeline.processors.alerts.single import SingleEvent, words_of
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import UNTOLD_KEYS, Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, parse_brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.processors.relevance import Relevance
from pipeline.processors.sentiment.deferred import DeferredLabeller
from pipeline.processors.sentiment.labels import Labeller
from pipeline.processors.sentiment.step import Sentiment
from pipeline.sinks.dead_letter import DeadLetters
from pipeline.sinks.interactions import InteractionsTable, Landing
from pipeline.sinks.pending import PendingTable
from pipeline.sinks.signals import LabelSignals, SignalPublisher, Signals
from pipeline.sources.decode import Decode
from pipeline.sources.kafka import KafkaSource, Limits, consumer_config
from pipeline.step import Step
from pipeline.worker.allocator import collect_seldom
from pipeline.worker.flow import Flow
from pipeline.worker.in_flight import InFlightLimit
from pipeline.worker.lag import keep_asking_ends
from pipeline.worker.offsets import Offsets

BATCHES_ON_THEIR_WAY = 4


class Worker:
    """One worker process: it owns some partitions of topic events, and lands what is in them.

    Without a labeller nothing is labelled. Restart, kill, a second worker: see the delivery contract in README.md. Raises
    EarshotError when it can't start.
    """

    def __init__(self, settings: Settings, labeller: Labeller | None) -> None:
        key = settings.privacy.hash_key.get_secret_value()
        if not key:
            raise SettingsError("setting privacy.hash_key is missing: the key that hashes e-mail addresses and phone numbers")
        migrate.check(settings)
        self._settings = settings
        work = settings.worker
        self.vitals, self.fence, self.room = Vitals(), Fence(), InFlightLimit(BATCHES_ON_THEIR_WAY)
        self.landing_inserts, self._reads, self._seed_reads = (
            Inserter(clickhouse_client(settings.clickhouse, timeout_s=seconds), self.fence, self.vitals, name)
            # Seeding reads all that a partition's window holds.
            for name, seconds in (("landing", 20), ("completion", 20), ("seeding", 300))
        )
        topic = settings.kafka.topic("dead-letter")
        dead_letters = DeadLetters(settings.kafka.client(), topic, self.landing_inserts, self.fence, self.vitals)
        self.seen = RevisionIndex(KeySet(work.dedup_keys, work.dedup_hours * 3600))
        self.brands = WatchedFile(settings.brands or SAMPLE_BRANDS, parse_brands, metrics.BRANDS)
        self.rules = WatchedFile(settings.alerts or DEFAULT_RULES, parse_rules, metrics.RULES)
        self.mentions = Mentions(self.brands.value, words_of(self.rules.value))
        self.single = SingleEvent(self.rules.value, self.mentions.words_in)
        self.dropped = None if work.keep_irrelevant else KeySet(work.dedup_keys, work.dedup_hours * 3600, dated=True)
        self.relevance = Relevance(self.dropped) if self.dropped else None
        self.completion = Completion(
            InteractionsTable(self._reads), work.waiting_days * 86400, pending=PendingTable(self._reads),
            in_memory=work.waiting_changes, dropped=self.dropped,
        )  # fmt: skip
        tell = SignalPublisher(self._signals("landing"), self.single, InteractionsTable(self.landing_inserts))
        privacy = Pseudonymise(key.encode())
        landing = Landing(self.landing_inserts, dead_letters, privacy.seal, tell.landed)
        self.offsets = Offsets(
            self.fence, self.vitals, self._seed, self._forget_partitions, self.room.wait_empty, self.landing_inserts.quiet,
            waiting=lambda: self.completion.waiting > 0,
        )  # fmt: skip

        steps: list[Step] = [
            Decode(),
            # Before anything else sees them: a hash of an address in clear, as a revision, gives it away to who tries them all.
            privacy,
            Dedup(self.seen),
            self.mentions,
            self.completion,
        ]
        sentiment = Sentiment(labeller, settings.sentiment.budget_ms / 1000) if labeller else None
        if sentiment:
            steps.append(sentiment)
        if self.relevance:
            steps.append(self.relevance)
        steps.append(self.single)
        self.flow = Flow(
            steps, self._landed(landing), self.offsets.landed, self._forget_batch, self.fence, self.vitals, self.room
        )
        self.later = self._later(labeller, sentiment) if labeller and sentiment else None
        self.source = KafkaSource(
            consumer_config(settings.kafka.client(), settings.kafka.group, settings.kafka.session_timeout_ms),
            settings.kafka.topic("events"),
            Limits(work.batch_rows, work.batch_bytes, work.linger_ms / 1000),
            self.offsets, self.fence, self.vitals, self.room, self.flow.put, self.flow.fail,
        )  # fmt: skip

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises EarshotError, or whatever made it stop."""
        work = self._settings.worker
        keep_asking(clickhouse_client(self._settings.clickhouse, timeout_s=5), self.vitals)
        keep_asking_ends(kafka_admin(self._settings.kafka), self._settings.kafka.topic("events"), self.offsets.lag)
        self.brands.keep_checking(self.mentions.use)
        self.rules.keep_checking(self._use_rules)
        metrics.MEMORY_LIMIT.set(memory_limit())
        stop_health = serve(self.vitals, work.health_host, work.health_port)
        if self.later:
            self.later.start()
        try:
            asyncio.run(self._run())
        finally:
            if self.later:
                self.later.stop()
            stop_health()
        if self.flow.failure is not None:
            raise self.flow.failure

    async def _run(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, self.flow.stop)
        await self.flow.run(self.source.start, self.source.stop)

    def _use_rules(self, rules: Alerts) -> None:
        self.mentions.look_for(words_of(rules))
        self.single.use(rules)

    def _signals(self, name: str) -> Signals:
        kafka = self._settings.kafka
        return Signals(kafka.client(), kafka.topic("signals"), self.fence, self.vitals, name)

    def _later(self, labeller: Labeller, sentiment: Sentiment) -> DeferredLabeller:
        client = clickhouse_client(self._settings.clickhouse, timeout_s=20)
        inserter, topic = Inserter(client, self.fence, self.vitals, "labels"), self._settings.kafka.topic("events")
        told = LabelSignals(self._signals("labels"), self.single)
        return DeferredLabeller(labeller, inserter, told, self.fence, self.vitals, topic, sentiment.spare, self.flow.fail)

    def _landed(self, landing: Landing) -> Callable[[Sequence[EventBatch]], None]:
        def land(batches: Sequence[EventBatch]) -> None:
            refused = np.array(landing.land(batches), dtype=np.uint64)
            for batch in batches:
                self.seen.finish(batch.id, refused)
                if self.relevance:
                    self.relevance.finish(batch.id)
                self.completion.finish(batch.id, refused)
                if self.later:
                    self.later.landed(batch.events)
            metrics.WAITING.labels("memory").set(self.completion.held.in_memory)
            metrics.WAITING.labels("table").set(self.completion.held.beyond)
            metrics.DEDUP_BYTES.set(self.seen.landed.nbytes())
            metrics.DROPPED_BYTES.set(self.dropped.nbytes() if self.dropped else 0)

        return land

    def _seed(self, assigned: Sequence[Assigned]) -> Callable[[set[Partition]], None]:
        """What ClickHouse knows of partitions that were just assigned: known revisions, and changes that wait."""
        table, work = InteractionsTable(self._seed_reads), self._settings.worker
        started = time.monotonic()
        try:
            known = table.known_revisions(assigned, work.dedup_hours, work.dedup_keys)
            untold = table.untold(assigned, work.dedup_hours, UNTOLD_KEYS)
            waiting = PendingTable(self._seed_reads).waiting(assigned, work.waiting_changes)
        finally:
            self.vitals.idle("seeding")
        revisions = pl.concat([known, waiting.keys.get_column("revision")])
        self.seen.suspect(untold.to_numpy())
        self.seen.landed.add(revisions.to_numpy())
        metrics.SEEDED.inc(len(revisions))
        metrics.SEED_SECONDS.observe(time.monotonic() - started)

        def take_over(places: set[Partition]) -> None:
            self.completion.held.load(waiting.of(places), places)
            if self.later:
                self.later.own(places)

        return take_over

    def _forget_batch(self, batch: EventBatch) -> None:
        self.seen.forget(batch.id)
        if self.relevance:
            self.relevance.forget(batch.id)
        self.completion.forget(batch.id)

    def _forget_partitions(self, places: set[Partition] | None) -> None:
        if self.later:
            self.later.forget(places)
        if places is None:
            self.seen.give_up_all()
            self.completion.give_up_all()
        elif places:
            self.completion.held.forget(places)


def _load(settings: SentimentSettings) -> Labeller | None:
    if settings.model == "off":
        return None
    from pipeline.processors.sentiment.load import load_labeller  # a second, for who has a model

    return load_labeller(settings)


LOG_LEVELS = {
    "mode": logging.WARNING,
    "faust": logging.WARNING,
    "pipeline.worker.flow": logging.WARNING,
    # Whoever asked for it says what failed.
    "aiokafka": logging.CRITICAL,
}


def run_worker(settings: Settings, load: Callable[[SentimentSettings], Labeller | None] = _load) -> None:
    """Runs a worker until SIGTERM or SIGINT. Raises EarshotError with one clear line."""
    collect_seldom()
    run_process("the worker", lambda: Worker(settings, load(settings.sentiment)).run(), LOG_LEVELS)

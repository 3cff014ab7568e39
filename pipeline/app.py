"""The worker, top to bottom: the way of a batch of social events from Kafka to ClickHouse.

    topic events -> decode -> privacy -> dedup -> mentions -> completion -> sentiment -> relevance -> identity
        -> alerts -> dead letters -> interactions -> signals -> evidence -> commit

Every step is a Faust agent. Rejected rows travel inside the batch; one owner commits the offset, last.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from functools import partial

from pipeline import migrate
from pipeline.clickhouse import fingerprints
from pipeline.config.settings import SentimentSettings, Settings
from pipeline.kafka.consumer import consumer_config
from pipeline.monitoring.process import run_process
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import KeySet
from pipeline.processors.privacy import Pseudonymise
from pipeline.processors.relevance import Relevance
from pipeline.processors.sentiment.labels import Labeller
from pipeline.processors.waiting_table import Bounds
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from pipeline.sinks.pending import PendingTable
from pipeline.sinks.signals import SignalPublisher
from pipeline.sources.decode import Decode
from pipeline.sources.kafka import KafkaSource, Limits, Subscription
from pipeline.sources.memory import batch_of
from pipeline.worker import labelling
from pipeline.worker.allocator import collect_seldom
from pipeline.worker.connections import SEEDING_S, Connections
from pipeline.worker.customers import Following
from pipeline.worker.flow import LOG_LEVELS, Flow
from pipeline.worker.hot_path import HotPath
from pipeline.worker.in_flight import InFlightLimit
from pipeline.worker.matching import Matching
from pipeline.worker.offsets import Offsets
from pipeline.worker.seeding import Seeding
from pipeline.worker.services import Services, show_memory
from pipeline.worker.warm_up import made_up_records, warm_up
from schemas.contacts import DEFAULT


class Worker:
    """One worker process: it owns some partitions of topic events, and writes their events to ClickHouse.

    Without a labeller nothing is labelled. Restart, kill, a second worker: see the delivery contract in README.md. Raises
    EarshotError when it can't start.
    """

    def __init__(self, settings: Settings, labeller: Labeller | None) -> None:
        hash_keys, data_keys, work = settings.privacy.hash_keys, settings.privacy.data_keys, settings.worker
        privacy = Pseudonymise(hash_keys, settings.privacy.region, DEFAULT)
        letters = LetterRows(LetterEncryption(data_keys), privacy)
        migrate.check(settings)
        fingerprints.check_keys(settings.clickhouse, hash_keys, data_keys)
        connections, in_flight = Connections(settings), InFlightLimit()
        writes, reads = connections.inserter("landing"), connections.inserter("completion")
        landed, stored = InteractionsTable(writes), InteractionsTable(reads)
        matching = Matching(settings, InteractionsTable(connections.inserter("alerts")))

        index = RevisionIndex(KeySet(work.dedup_keys, work.dedup_hours * 3600))
        dropped = None if work.keep_irrelevant else KeySet(work.dedup_keys, work.dedup_hours * 3600, dated=True)
        bounds = Bounds(work.waiting_changes)
        completion = Completion(stored, work.waiting_days * 86400, PendingTable(reads), bounds, dropped, raised=privacy.raised)
        labels = labelling.Labelling(labeller, settings.sentiment.budget_ms / 1000, connections, matching.alerts)
        relevance, identity = Relevance(dropped) if dropped else None, Identity(KeyMap())
        signals = SignalPublisher(connections.signals("landing"), matching.alerts, landed)
        evidence = connections.evidence(identity, landed)
        hot_path = HotPath(
            # Privacy comes before dedup: a revision made of an address in clear would prove a guess of the address.
            [Decode(), privacy, Dedup(index), matching.mentions, completion, labels.step, relevance, identity, matching.alerts],
            Landing(writes, connections.dead_letters(writes, letters), privacy.seal, signals.publish, evidence.publish),
            [index, relevance, completion, identity, labels.deferred],
        )

        fence, vitals = connections.fence, connections.vitals
        made_up = batch_of(made_up_records(), batch_id=0, topic="made up")  # records' own are numbered from 1
        reads_seed, warm = connections.inserter("seeding", SEEDING_S), partial(warm_up, hot_path, made_up)
        seeding = Seeding(reads_seed, work, index, completion.held, labels.deferred, warm)
        offsets = Offsets(fence, vitals, seeding.read, hot_path.leave, in_flight.wait_empty, writes.quiet)
        self._flow = Flow(hot_path, offsets.landed, fence, vitals, in_flight)
        limits = Limits(work.batch_rows, work.batch_bytes, work.linger_ms / 1000)
        events = Subscription(consumer_config(settings.kafka), connections.events_topic, limits)
        self._source = KafkaSource(events, offsets, fence, vitals, in_flight, self._flow, lambda: completion.waiting > 0)
        following = Following(connections.client(), vitals, identity, privacy)
        self._services = Services(settings, vitals, offsets.lag, matching, following, labels.deferred)
        show_memory(index, completion, dropped)

    async def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises EarshotError, or the error that stopped it."""
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, self._flow.stop)
        with self._services.running(self._flow.fail):
            await self._flow.run(self._source.start, self._source.stop)
        self._flow.check()  # the services end last


def run_worker(settings: Settings, load: Callable[[SentimentSettings], Labeller | None] = labelling.load) -> None:
    """Runs a worker until SIGTERM or SIGINT. Raises EarshotError with one clear line."""
    collect_seldom()
    run_process("the worker", lambda: asyncio.run(Worker(settings, load(settings.sentiment)).run()), LOG_LEVELS)

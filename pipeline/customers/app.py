"""`earshot customers`, the third Faust app: it keeps which profiles are one customer.

    topic identity -> intake -> state -> assignment_changes, assignments, identity_queue -> publisher: topic customers -> commit
              lookups, api (HTTP) -^ |-> identity_edges, identity_commands, identity_rules

Topic identity has one partition: its owner leads, for as long as its lease lasts (pipeline/leader.py); another process stands
by and takes over. All state is in ClickHouse. A record is committed after all that follows from it is there.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

import faust
from faust.types import TP

from pipeline import migrate
from pipeline.api.server import Door
from pipeline.clickhouse import fingerprints
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.dictionary import Reloads
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.query import asker
from pipeline.clickhouse.terms import newest_sql
from pipeline.clock import steady
from pipeline.config.settings import Settings
from pipeline.customers.api import CustomersApi
from pipeline.customers.commands import IdentityCommands
from pipeline.customers.dictionary import keep_loaded
from pipeline.customers.erasing import Erasing
from pipeline.customers.figures import measure
from pipeline.customers.intake import TAKING, Intake
from pipeline.customers.lookups import Lookups
from pipeline.customers.publisher import PUBLISHING, Publisher
from pipeline.customers.rekeying import needed, rekey
from pipeline.customers.state import State
from pipeline.kafka.asking import why_silent
from pipeline.kafka.group import LOGGERS, make_app
from pipeline.kafka.producer import RenewedProducer
from pipeline.leader import Leader
from pipeline.leading import run_leading
from pipeline.monitoring import identity_metrics, metrics
from pipeline.monitoring.health import Vitals, memory_limit
from pipeline.monitoring.process import run_process
from pipeline.monitoring.table_metrics import keep_asking
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.acts import record
from pipeline.sinks.customers import CustomerTables
from pipeline.sinks.raised_hashes import REKEYED
from schemas.contacts import DEFAULT

NAME = "customers"
STREAM_RECORDS = 64
"""Records that Faust holds for the intake at most."""
log = logging.getLogger("earshot.customers")


class CustomersProcess:
    """One process. Raises EarshotError when it can't start. Restart, kill, a second process: see above."""

    def __init__(self, settings: Settings) -> None:
        keys = settings.privacy.hash_keys
        privacy = Pseudonymise(keys, settings.privacy.region, DEFAULT)
        migrate.check(settings)
        fingerprints.check_keys(settings.clickhouse, keys)
        self._settings, self._chain = settings, privacy.chain
        metrics.MEMORY_LIMIT.set(memory_limit())
        identity_metrics.start()
        self._vitals = Vitals()
        self._asking = RenewedProducer(settings.kafka.client(), NAME)
        self._client = clickhouse_client(settings.clickhouse, timeout_s=60)
        self._leader = leader = Leader(NAME, TAKING, self._client, self._vitals)
        self._tables = CustomerTables(leader.inserter)
        self._state = state = State(self._tables, privacy.hashes)
        self._intake = Intake(leader, state, self._vitals)
        moves = Inserter(clickhouse_client(settings.clickhouse, timeout_s=60), leader.lease, self._vitals, PUBLISHING)
        self._publisher = Publisher(settings.kafka, moves.query, leader.lease, self._vitals)
        look = asker(clickhouse_client(settings.clickhouse, timeout_s=90))
        self._lookups = Lookups(leader, state, look, self._intake.take_all)
        self._erasing = Erasing(leader, state, asker(clickhouse_client(settings.clickhouse, timeout_s=10)))
        self._reloads = Reloads(clickhouse_client(settings.clickhouse, timeout_s=60), steady)
        ask = asker(clickhouse_client(settings.clickhouse, timeout_s=10))
        commands = IdentityCommands(leader, state, lambda sql: ask(sql, {}), privacy.hashes)
        keep = partial(record, clickhouse_client(settings.clickhouse, timeout_s=10))
        self._api = CustomersApi(commands, self._vitals, Door.of(NAME, settings.customers, keep))
        self._app = self._make_app()

    def _make_app(self) -> faust.App:
        kafka = self._settings.kafka
        app = make_app(kafka, NAME, self._leader.lease)
        app.conf.stream_buffer_maxsize = STREAM_RECORDS
        topic = app.topic(kafka.topic("identity"), value_type=bytes, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="evidence")(self._intake.read)
        self._leader.follow(app, kafka.topic("identity"), self._intake.clear)
        return app

    # --- process life -------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises EarshotError, or the error that made it stop."""
        self._vitals.hold("partitions", "not assigned yet")
        # A process that stands by asks for the newest term: it would need it first.
        keep_asking(clickhouse_client(self._settings.clickhouse, timeout_s=10), self._vitals, newest_sql(NAME))
        asyncio.run(run_leading(self._leader, self._app, self._api, self._ask_kafka, self._lead))

    async def _lead(self, generation: int) -> None:
        """Takes evidence and commands until the generation ends. Raises GivenUp."""
        self._vitals.hold("partitions", "reading edges, commands and rules")
        term = self._leader.inserter.term
        told = await asyncio.to_thread(self._publisher.told)
        await self._leader.on_thread(lambda: self._start(term, generation, told))
        with self._leader.serving(generation):
            self._vitals.clear("partitions")
            log.info("%d profiles share a customer", self._state.graph.linked)
            self._leader.start(self._publisher.run(self._newest, generation))
            self._leader.start(keep_loaded(self._reloads, self._newest))
            self._leader.start(self._lookups.run())
            self._leader.start(self._erasing.run())
            self._leader.start(measure(self._leader, self._state, self._intake, self._end))
            try:
                await self._intake.run()
            finally:
                identity_metrics.rest()

    def _start(self, term: int, generation: int, told: int) -> None:
        """The edges are by the newest hash key before anything is read. Raises as `needed`."""
        newest = self._chain.generation
        if anew := needed(newest, self._tables.mark(REKEYED)):
            rekey(self._leader.inserter, self._chain)
        self._state.start(term, generation, told)
        if anew:
            self._state.keep_mark(REKEYED, newest)

    def _newest(self) -> int:
        return self._state.last_move

    def _end(self) -> int | None:
        """The offset after the last record of topic identity, as the consumer knows it."""
        end: int | None = self._app.consumer.highwater(TP(self._settings.kafka.topic("identity"), 0))
        return end

    def _ask_kafka(self) -> str:
        """The reason why Kafka does not answer; blank: it answers."""
        return why_silent(self._asking, self._settings.kafka.topic("identity"))


def run_customers(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises EarshotError with one clear line."""
    # aiokafka logs ten times a second that the broker is away; /ready says so, too.
    levels = {**dict.fromkeys(LOGGERS, logging.ERROR), "aiokafka": logging.CRITICAL}
    run_process(NAME, lambda: CustomersProcess(settings).run(), levels)

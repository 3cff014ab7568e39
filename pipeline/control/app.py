"""`earshot control`, the second Faust app: it evaluates the rules on the workers' signals, and notifies receivers.

    topic signals -> evaluation -> tables alerts, alert_events -> notifier: topic alerts, receivers -> commit
                        ^ ClickHouse, once a second       api (HTTP): ack, silence, lift, test, rebuild
                  -> rollups -> tables computed from interactions -> commit, in a group of its own

Topic signals has one partition: its owner leads, for as long as its lease lasts (pipeline/leader.py); another process stands by
and takes over. All state is in ClickHouse. A signal is committed after the changes that it raised, and the windows that it
touched, are there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import faust
import pyarrow as pa

from pipeline import migrate
from pipeline.api.server import Door
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import asker
from pipeline.clickhouse.terms import newest_sql
from pipeline.config.settings import Settings
from pipeline.config.watched_file import WatchedFile
from pipeline.control.api import ApiServer
from pipeline.control.background import CAMPAIGN_SHARE, LATE_SHARE, Background, Campaigns, LateWindows
from pipeline.control.calendars import Calendars
from pipeline.control.cases import CaseCommands
from pipeline.control.commands import AlertCommands
from pipeline.control.erasing import Erasures
from pipeline.control.evaluation import EVALUATING, Evaluation
from pipeline.control.in_force import InForce
from pipeline.control.notifier import Notifier
from pipeline.control.rates import Rates
from pipeline.control.reconciling import RECONCILE_SHARE, Reconciling
from pipeline.control.rollups import STATEMENT_S, RollupsJob
from pipeline.errors import SettingsError
from pipeline.fence import GivenUp
from pipeline.http.route import Route
from pipeline.kafka.group import LOGGERS, make_app
from pipeline.leader import Leader
from pipeline.leading import run_leading
from pipeline.monitoring import erasing_metrics, metrics
from pipeline.monitoring.health import Vitals, memory_limit
from pipeline.monitoring.process import run_process
from pipeline.monitoring.table_metrics import keep_asking
from pipeline.privacy.parts import erasing_of
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, parse_rules
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, BrandNames, parse_names
from pipeline.rollups.counted import counted
from pipeline.rollups.kept import Kept
from pipeline.rollups.roles import DEFAULT_ROLES, Roles, parse_roles
from pipeline.rollups.tables import rollups
from pipeline.sinks.acts import record
from pipeline.sinks.alerts import AlertTables, AlertTopic
from pipeline.sinks.cases import CaseTable
from pipeline.sinks.changes import Changes
from schemas.times import utc_now

NAME = "control"
T = TypeVar("T")
Use = Callable[[T], Coroutine[Any, Any, bool]]
"""Takes a new version of a file over, and says whether it did."""
log = logging.getLogger("earshot.control")


class Control:
    """One process. Raises EarshotError when it can't start. Restart, kill, a second process: see above."""

    def __init__(self, settings: Settings) -> None:
        route = Route.of(settings.outgoing.proxy.get_secret_value(), settings.outgoing.ca_file)
        migrate.check(settings)
        self._settings = settings
        self._rules = WatchedFile(settings.alerts or DEFAULT_RULES, parse_rules, metrics.RULES)
        self._brands = WatchedFile(settings.brands or SAMPLE_BRANDS, parse_names, metrics.BRANDS)
        self._roles = WatchedFile(settings.roles or DEFAULT_ROLES, parse_roles, metrics.ROLES)
        metrics.MEMORY_LIMIT.set(memory_limit())
        self._vitals = Vitals()
        self._client = clickhouse_client(settings.clickhouse, timeout_s=60)
        soon = clickhouse_client(settings.clickhouse, timeout_s=10)
        ask_soon = asker(soon)
        self._topic = topic = AlertTopic(settings.kafka.client(), settings.kafka.topic("alerts"))
        self._leader = leader = Leader(NAME, EVALUATING, self._client, self._vitals)
        self._tables = AlertTables(leader.inserter)
        self._evaluator = evaluator = Evaluator(self._tables, self._rules.value, self._brands.value.zones)
        self._notifier = notifier = Notifier(
            leader, evaluator, topic, ask_soon, partial(clickhouse_client, settings.clickhouse, 20), route
        )
        self._evaluation = Evaluation(leader, evaluator, notifier, self._vitals)
        ask = asker(self._client)
        self._campaigns = Campaigns(leader, evaluator, notifier, ask, Background(CAMPAIGN_SHARE))
        self._late_windows = LateWindows(leader, evaluator, notifier, ask, Background(LATE_SHARE))
        changes = Changes(settings.kafka, "reconciling", leader.lease)
        self._reconciling = Reconciling(leader, self._tables, ask, Background(RECONCILE_SHARE), changes.changing)
        kept = Kept(settings.retention.tables.get("interactions"), settings.retention.platforms)
        connect = partial(clickhouse_client, settings.clickhouse, STATEMENT_S + 10)
        self._made = partial(rollups, kept=kept)
        self._rollups = RollupsJob(leader, settings.kafka, connect, self._made(self._roles.value, self._brands.value), kept)
        self._calendars = Calendars(leader, self._client, lambda: self._brands.value)
        self._rates = Rates(leader, self._client, settings.analytics.currency)
        self._in_force = InForce(leader, self._client, lambda: self._brands.value)
        self._erasures = self._make_erasures()
        for name, digest in (("alerts", self._rules.digest), ("brands", self._brands.digest), ("roles", self._roles.digest)):
            self._in_force.note(f"{name}.yaml", digest)
        commands = AlertCommands(leader, evaluator, notifier, self._tables, ask_soon, lambda: self._brands.value.brands)
        door = Door.of(NAME, settings.control, partial(record, soon))
        self._api = ApiServer(commands, CaseCommands(leader, CaseTable(leader.inserter)), self._rollups, self._vitals, door)
        self._app = self._make_app()
        self._reloads: set[asyncio.Task[None]] = set()

    def _make_erasures(self) -> Erasures:
        erasing_metrics.start()
        client = clickhouse_client(self._settings.clickhouse, timeout_s=60)  # the end of the process waits for a query
        erasing = erasing_of(self._settings, client, self._vitals, self._leader.lease)
        after, has = timedelta(hours=self._settings.privacy.purge_hours), partial(counted, self._settings.kafka, asker(client))
        return Erasures(self._leader, client, erasing, after, counted=has)

    def _make_app(self) -> faust.App:
        kafka = self._settings.kafka
        app = make_app(kafka, NAME, self._leader.lease)
        topic = app.topic(kafka.topic("signals"), value_type=bytes, value_serializer="raw", key_serializer="raw")
        app.agent(topic, name="signals")(self._evaluation.read)
        self._leader.follow(app, kafka.topic("signals"), self._evaluation.clear)
        return app

    # --- process life -------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises EarshotError, or the error that made it stop."""
        asyncio.run(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        self._vitals.hold("partitions", "not assigned yet")
        # A process that stands by asks for the newest term: it would need it first.
        keep_asking(clickhouse_client(self._settings.clickhouse, timeout_s=10), self._vitals, newest_sql(NAME))

        def reload(name: str, file: WatchedFile[T], work: Use[T], value: T) -> None:
            loop.call_soon_threadsafe(self._reload, name, file.digest, work, value)

        self._rules.keep_checking(partial(reload, "alerts.yaml", self._rules, self.use))
        self._brands.keep_checking(partial(reload, "brands.yaml", self._brands, self.use_brands))
        self._roles.keep_checking(partial(reload, "roles.yaml", self._roles, self.use_roles))
        await run_leading(self._leader, self._app, self._api, self._topic.ask, self._lead, self._close)

    def _close(self) -> None:
        self._notifier.close()
        self._rollups.close()

    async def _lead(self, generation: int) -> None:
        """Evaluates and notifies until the generation ends. Raises GivenUp."""
        self._vitals.hold("partitions", "reading alerts and history")
        self._tables.term = self._leader.inserter.term
        try:
            await self._leader.on_thread(lambda: self._tables.level(generation))
            standing = await self._leader.on_thread(lambda: self._evaluator.start(utc_now(), generation))
            async with self._notifier.notifying(standing, generation, self._client):
                with self._leader.serving(generation):
                    self._vitals.clear("partitions")
                    log.info("%d alerts are open", len(self._evaluator.lifecycle.open))
                    self._leader.start(self._late_windows.run())
                    self._leader.start(self._campaigns.run())
                    self._leader.start(self._reconciling.run(generation))
                    self._leader.start(self._rollups.run())
                    self._leader.start(self._erasures.run())
                    self._leader.start(self._calendars.run(generation))
                    self._leader.start(self._rates.run(generation))
                    self._leader.start(self._in_force.run(generation))
                    await self._evaluation.run()
        finally:
            self._evaluator.stop()

    # --- other rules, other brands ------------------------------------------------------------------------------------
    def _reload(self, name: str, digest: str, use: Use[T], value: T) -> None:
        async def take_over() -> None:
            if await use(value):
                self._in_force.note(name, digest)

        task = asyncio.create_task(take_over())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def use(self, config: Alerts) -> bool:
        """Takes these rules and receivers over: at once where this process leads, else when it will. Rules that lack a variable
        of the environment are refused: then it returns False, and the rules before stay in force."""
        try:
            self._notifier.use(config)
        except SettingsError as error:
            self._rules.refuse(error)
            return False
        try:
            await self._leader.on_thread(lambda: self._evaluator.use(config))
        except GivenUp:
            log.info("the rules take effect when this process leads again")
        return True

    async def use_brands(self, brands: BrandNames) -> bool:
        """Takes the brands' zones and own accounts over: at once where this process leads, else when it will. Always True."""
        self._rollups.use(self._made(self._roles.value, brands))
        await self._leader.on_thread(lambda: self._evaluator.use_zones(brands.zones))
        return True

    async def use_roles(self, roles: Roles) -> bool:
        """Takes these rules of roles.yaml over: the table that follows them is filled anew. Always True."""
        self._rollups.use(self._made(roles, self._brands.value))
        return True


def run_control(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises EarshotError with one clear line."""
    # Arrow's own pool keeps what the queries of the history took: 40 MB with 30,000 names.
    pa.set_memory_pool(pa.system_memory_pool())
    # aiokafka logs ten times a second that the broker is away; /ready says so, too.
    levels = {**dict.fromkeys(LOGGERS, logging.ERROR), "aiokafka": logging.CRITICAL}
    run_process(NAME, lambda: Control(settings).run(), levels)

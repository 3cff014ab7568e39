"""`earshot control`: the second Faust app. It hears the workers' signals, evaluates the rules, and tells the receivers.

    topic signals -> evaluator -> tables alerts, alert_events -> topic alerts, receivers -> commit
                        ^ ClickHouse, once a second       desk (HTTP): ack, silence, test

Topic signals has one partition: who owns it is in charge, for as long as its lease lasts (pipeline/leader.py); another process
stands by and takes over. All state is in ClickHouse. A signal is committed after what it raised, and the windows it touched,
are on record.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal as signals
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import faust
import polars as pl

from pipeline import migrate
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import Ask, asker
from pipeline.clickhouse.terms import newest_sql
from pipeline.config.settings import Settings
from pipeline.config.watched_file import WatchedFile
from pipeline.control.api import ApiServer, Refused
from pipeline.errors import EarshotError, SettingsError, UnknownName
from pipeline.fence import INSERT_MAX_S, GivenUp
from pipeline.kafka.group import REBALANCE_S, make_app
from pipeline.leader import Leader, Office
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals, memory_limit
from pipeline.monitoring.table_metrics import keep_asking
from pipeline.notify.delivery_log import ClickHouseLog, last_sent
from pipeline.notify.dispatcher import Dispatcher
from pipeline.notify.receiver_queue import Context
from pipeline.notify.receivers import Outcome, check
from pipeline.processors.alerts.backtest.judge import backtest
from pipeline.processors.alerts.campaign_search import due_searches, search
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.explain import explain
from pipeline.processors.alerts.rules import (
    DEFAULT_RULES,
    Alerts,
    CampaignRule,
    KeywordRule,
    ReachRule,
    SpikeRule,
    ThresholdRule,
    parse_rules,
)
from pipeline.processors.alerts.silences import Silence
from pipeline.queries.names import Names, brand_names
from pipeline.sinks.alerts import AlertTables, AlertTopic
from schemas.alerts import Alert, State
from schemas.signals import Signal, parse_signal
from schemas.times import utc_now

EVALUATING, OFFICE = "evaluating", "control"
TICK_S = 1.0
BEAT_S = 0.5
STOP_S = 5.0
ASK_BEATS = 10
HAND_OVER_S = 5.0
"""What is being written and told when the partition goes to another has so long to end."""
EXPLAIN_S = 0.8
CAMPAIGN_EVERY_S, CAMPAIGN_SHARE, SEARCH_S = 2.0, 0.05, 5
"""Campaigns are looked for every 2 s, and for a twentieth of the time at most; no query of that runs longer than SEARCH_S."""
PAST_EVERY_S, PAST_SHARE = 5.0, 0.1
"""What is past takes a tenth of a core at most, or less where ClickHouse is slow."""
T = TypeVar("T")
log = logging.getLogger("earshot.control")


class Control:
    """One process. Raises EarshotError when it can't start. Restart, kill, a second one: see above."""

    def __init__(self, settings: Settings) -> None:
        migrate.check(settings)
        self._settings = settings
        self._file = WatchedFile(settings.alerts or DEFAULT_RULES, parse_rules, metrics.RULES)
        check(self._file.value, os.environ)
        metrics.start_control(receiver.name for receiver in self._file.value.receivers)
        metrics.MEMORY_LIMIT.set(memory_limit())
        self.vitals, self._leader = Vitals(), Leader()
        self._client = clickhouse_client(settings.clickhouse, timeout_s=60)
        # All that reads or changes alerts runs on one thread, one thing after the other.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="alerts")
        self._office = Office(self._leader, self._client, self.vitals, OFFICE, EVALUATING, self._thread)
        self._tables = AlertTables(self._office.inserter)
        self._evaluator = Evaluator(self._tables, self._file.value)
        self._topic = AlertTopic(settings.kafka.client(), settings.kafka.topic("alerts"))
        self._aside = ThreadPoolExecutor(2, thread_name_prefix="explaining")
        self._ask_aside = asker(clickhouse_client(settings.clickhouse, timeout_s=10))
        self._explaining: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self._signals: list[Signal] = []
        self._uncommitted: list[Any] = []
        self._deliveries: Dispatcher | None = None
        self._stop = asyncio.Event()
        self._ends = False
        self._failure: BaseException | None = None
        self.app = self._make_app()
        tokens = {actor: token.get_secret_value() for actor, token in settings.control.tokens.items()}
        self.desk = ApiServer(self, self.vitals, settings.control.host, settings.control.port, tokens)

    # --- Faust --------------------------------------------------------------------------------------------------------
    def _make_app(self) -> faust.App:
        kafka = self._settings.kafka
        app = make_app(kafka, OFFICE, self._leader)
        topic = app.topic(kafka.topic("signals"), value_type=bytes, value_serializer="raw", key_serializer="raw")

        async def hear(stream: Any) -> None:
            async for event in stream.noack().events():
                try:
                    self._signals.append(parse_signal(event.value))
                except ValueError as error:
                    metrics.SIGNALS_UNREADABLE.inc()
                    log.error("topic %s, offset %d is passed over: %s", topic, event.message.offset, error)
                self._uncommitted.append(event)
                self._heard.set()

        app.agent(topic, name="signals")(hear)
        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        return app

    async def _assigned(self, app: Any, /, *assigned: Any, signal: Any = None, **kwargs: Any) -> None:
        topic = self._settings.kafka.topic("signals")
        ours = any(place.topic == topic for places in assigned for place in places)
        self._leader.assigned(ours)
        if not ours:
            self.vitals.clear("partitions")  # standing by is as it should be
        log.info("in charge" if ours else "standing by: another control is in charge")

    async def _revoked(self, app: Any, /, *revoked: Any, signal: Any = None, **kwargs: Any) -> None:
        """Nothing more is written or told by now; the next one in charge has to find what is under way."""
        self._signals.clear()
        self._uncommitted.clear()
        await self._office.handed_over(HAND_OVER_S)

    # --- the loop -----------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Runs until SIGTERM or SIGINT. Raises EarshotError, or whatever made it stop."""
        asyncio.run(self._run())
        if self._failure is not None:
            raise self._failure

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for signum in (signals.SIGTERM, signals.SIGINT):
            loop.add_signal_handler(signum, self._stop.set)
        self.vitals.hold("partitions", "not assigned yet")
        # Who stands by asks for what it would need first.
        keep_asking(clickhouse_client(self._settings.clickhouse, timeout_s=10), self.vitals, newest_sql(OFFICE))
        await self.desk.start()

        def use(config: Alerts) -> None:
            loop.call_soon_threadsafe(self._use_later, config)

        self._file.keep_looking(use)
        beat = asyncio.create_task(self._beat())
        await self.app.start()
        work = asyncio.create_task(self._office.hold(self._lead))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((work, beat, stop), return_when=asyncio.FIRST_COMPLETED)
        self._failure = self._failure or next((task.exception() for task in (work, beat) if task.done()), None)
        self._ends = True  # Python 3.11's wait_for swallows a cancellation that meets what it waited for
        self._leader.stop()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        # What still waits to be explained has been told, or is by the next one in charge: the process does not wait for it.
        self._aside.shutdown(wait=False, cancel_futures=True)
        await self.desk.stop()
        beat.cancel()
        self._topic.close()
        stopping = asyncio.create_task(self.app.stop())
        await asyncio.wait((stopping,), timeout=STOP_S)
        if not stopping.done():
            # Under load Faust's consumer now and then does not end. All is on record; its group learns of it by the session.
            logging.shutdown()
            os._exit(1 if self._failure else 0)

    async def _beat(self) -> None:
        beats = 0
        while self.app.crash_reason is None:
            if beats % ASK_BEATS == 0:
                why = await asyncio.to_thread(self._topic.ask)
                if not why and REBALANCE_S < self._leader.unanswered_s() < float("inf"):
                    why = f"the group's coordinator has not answered for {self._leader.unanswered_s():.0f} s"
                if why:
                    self.vitals.hold("kafka", why)
                else:
                    self.vitals.clear("kafka")
            beats += 1
            await asyncio.sleep(BEAT_S)
        # Faust would go on without its consumer.
        raise self.app.crash_reason

    async def _lead(self, generation: int) -> None:
        """In charge until the generation ends. Raises GivenUp."""
        self.vitals.hold("partitions", "reading alerts and history")
        self._tables.term = self._office.inserter.term
        standing = await self._do(lambda: self._evaluator.start(utc_now(), generation))
        log_ = ClickHouseLog(partial(clickhouse_client, self._settings.clickhouse, 20))
        leads = partial(self._leader.leads, generation)
        context = Context(log_, os.environ, on_try=_count, on_accepted=self._accepted, leads=leads, term=self._tables.term)
        deliveries = Dispatcher(self._evaluator.config, context)
        try:
            told = partial(last_sent, self._client, [alert.key for alert in standing])
            deliveries.resume(standing, await self._do(lambda: self._office.inserter.retry("query", told)))
            self._deliveries = deliveries
            self.vitals.clear("partitions")
            log.info("%d alerts are open", len(self._evaluator.lifecycle.open))
            ask = asker(self._client)
            beside = [asyncio.create_task(self._go_through_past(ask)), asyncio.create_task(self._look_for_campaigns(ask))]
            for task in beside:
                task.add_done_callback(self._beside_ended)
            try:
                await self._evaluate(generation)
            finally:
                for task in (*beside, *self._explaining):
                    task.cancel()
        finally:
            self._deliveries = None
            # Past the lease nothing new is sent; what is on its way is answered before another one tells, or is cut off.
            if not leads():
                self._topic.forget()
            await deliveries.close(1.0 if leads() else INSERT_MAX_S)
            await log_.close(2.0)
            self.vitals.idle(EVALUATING)
            metrics.start_control(())  # what the next one in charge says counts

    def _beside_ended(self, task: asyncio.Task[None]) -> None:
        """An error in what runs beside stops the process, as one in the evaluation does."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = error
            self._stop.set()

    async def _evaluate(self, generation: int) -> None:
        next_tick = time.monotonic()
        while True:
            self._leader.check(generation)
            pending, committed = list(self._signals), list(self._uncommitted)
            if pending:
                self._tell(await self._do(partial(self._evaluator.ingest, pending, utc_now())))
                self._leader.check(generation)
                del self._signals[: len(pending)]
            if time.monotonic() >= next_tick:
                next_tick = max(next_tick + TICK_S, time.monotonic())
                self.vitals.busy(EVALUATING)
                started = time.perf_counter()
                self._tell(await self._do(lambda: self._evaluator.tick(utc_now())))
                metrics.TICK_SECONDS.observe(time.perf_counter() - started)
                self._show()
                self._leader.check(generation)
                for event in committed:
                    event.ack()
                del self._uncommitted[: len(committed)]
            self.vitals.idle(EVALUATING)
            self._heard.clear()
            if not self._signals:
                await _wait(self._heard, next_tick - time.monotonic())

    async def _look_for_campaigns(self, ask: Ask) -> None:
        """On a thread of its own, and brand by brand: a search among many texts takes longer than others may wait."""

        def query(sql: str) -> pl.DataFrame:
            return self._ask_beside(ask, sql, {"max_execution_time": SEARCH_S})

        while True:
            await asyncio.sleep(CAMPAIGN_EVERY_S)
            try:
                due = await self._do(self._evaluator.campaigns_due)
                for rule, brand in await asyncio.to_thread(due_searches, query, due) if due else ():
                    started = time.monotonic()
                    found = await asyncio.to_thread(search, query, rule, brand, self._evaluator.watermark)
                    self._tell(await self._do(partial(self._evaluator.raise_campaigns, found, utc_now())))
                    await asyncio.sleep((time.monotonic() - started) * (1 / CAMPAIGN_SHARE - 1))
            except (EarshotError, GivenUp) as error:
                log.warning("campaigns were not looked for: %s", error)

    def _ask_beside(self, ask: Ask, sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        self._check_charge()
        return ask(sql, {"max_threads": 1, **settings})

    def _check_charge(self) -> None:
        """What runs beside must not keep the process from its end. Raises GivenUp."""
        if self._ends or self._deliveries is None:
            raise GivenUp

    def _ask_seldom(self, ask: Ask, sql: str, settings: Mapping[str, object]) -> pl.DataFrame:
        """For what is in no hurry: the others get the core and ClickHouse in between."""
        started = time.monotonic()
        answer = self._ask_beside(ask, sql, settings)
        time.sleep(min(1.0, (time.monotonic() - started) * (1 / PAST_SHARE - 1)))
        return answer

    def _rest(self, share: float) -> None:
        """An hour of history was gone through, in some tenths of a second."""
        self._check_charge()
        time.sleep(0.5)

    async def _go_through_past(self, ask: Ask) -> None:
        """Windows that were touched an hour late or more are gone through by a backtest, a day at a time, and put on record."""
        while True:
            await asyncio.sleep(PAST_EVERY_S)
            try:
                span = await self._do(lambda: self._evaluator.late_span(utc_now()))
                if span is None:
                    continue
                config = self._evaluator.config
                windowed = tuple(rule for rule in config.rules if isinstance(rule, (SpikeRule, ThresholdRule, CampaignRule)))
                started = time.monotonic()
                config = config.model_copy(update={"rules": windowed})
                found = await asyncio.to_thread(backtest, partial(self._ask_seldom, ask), config, *span, self._rest)
                self._topic.send(await self._do(partial(self._evaluator.record, found, utc_now())))
                await asyncio.sleep((time.monotonic() - started) / PAST_SHARE)
            except (EarshotError, GivenUp) as error:
                log.warning("old windows were not gone through: %s", error)

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _tell(self, alerts: list[Alert]) -> None:
        self._topic.send(alerts)
        for alert in alerts:
            metrics.ALERT_CHANGES.labels(alert.state).inc()
            if self._deliveries is None:
                continue
            if (window := self._evaluator.unexplained(alert)) is not None:
                task = asyncio.create_task(self._explain_and_tell(alert, window, self._deliveries))
                self._explaining.add(task)
                task.add_done_callback(self._explaining.discard)
                # An alert that was not told because of an error is told by the next process, from the table.
                task.add_done_callback(self._beside_ended)
            else:
                self._deliveries.tell(alert)

    async def _explain_and_tell(self, alert: Alert, window: timedelta, deliveries: Dispatcher) -> None:
        """It is told with its explanation, or without when that takes longer than EXPLAIN_S."""
        work = asyncio.get_running_loop().run_in_executor(self._aside, explain, self._ask_aside, alert, window)
        await asyncio.wait((work,), timeout=EXPLAIN_S)
        if not work.done():
            deliveries.tell(alert)
        try:
            explained = await self._do(partial(self._evaluator.explained, alert.key, *await work, utc_now()))
        except (EarshotError, GivenUp) as error:
            log.warning("alert %s is not explained: %s", alert.hex, error)
            explained = []
        self._topic.send(explained)
        for change in explained or [alert]:
            deliveries.tell(change)

    def _accepted(self, alert: Alert, receiver: str, seconds: float) -> None:
        if alert.state != State.FIRING or (kafka_ms := self._evaluator.news_ms.pop(alert.key, None)) is None:
            return
        rule = self._evaluator.config.rule(alert.rule)
        path = "single" if isinstance(rule, (KeywordRule, ReachRule)) else "windowed"
        metrics.ALERT_SECONDS.labels(path).observe(max(0.0, time.time() - kafka_ms / 1000))

    def _show(self) -> None:
        for receiver in self._deliveries.dead if self._deliveries else ():
            self.vitals.hold(f"receiver {receiver}", "its deliveries have ended by an error: see the log")
        states = [alert.state for alert in self._evaluator.lifecycle.open]
        for state in (State.PENDING, State.FIRING, State.ACKNOWLEDGED):
            metrics.ALERTS_OPEN.labels(state).set(states.count(state))
        metrics.WATERMARK_AGE.set((utc_now() - self._evaluator.watermark).total_seconds())
        windows = self._evaluator.windows
        metrics.ALERT_SCOPES.set(windows.room.taken)
        metrics.ALERT_SCOPES_LEFT_OUT.inc(windows.room.left_out)
        windows.room.left_out = 0
        metrics.ALERT_HISTORY_DAYS.set(windows.days)

    def _use_later(self, config: Alerts) -> None:
        self._using = asyncio.create_task(self._use(config))

    async def _use(self, config: Alerts) -> None:
        try:
            if self._deliveries is not None:
                self._deliveries.use(config)
            else:
                check(config, os.environ)
        except SettingsError as error:
            self._file.refuse(error)
            return
        metrics.start_control(receiver.name for receiver in config.receivers)
        if self._deliveries is None:
            self._evaluator.config = config
            return
        with suppress(GivenUp):
            await self._do(lambda: self._evaluator.use(config))

    # --- the desk -----------------------------------------------------------------------------------------------------
    async def acknowledge(self, key: int, actor: str, comment: str) -> Alert:
        self._check_in_charge()

        def work() -> list[Alert]:
            alert = self._evaluator.lifecycle.by_key(key)
            if alert is None:
                known = self._tables.by_keys([key])
                raise Refused(f"alert {key:016x} is resolved") if known else UnknownName(f"there is no alert {key:016x}")
            if alert.state == State.PENDING:
                raise Refused(f"alert {key:016x} is pending: it does not fire yet")
            return self._evaluator.acknowledge(alert, actor, comment, utc_now())

        return (await self._command(work))[0]

    async def silence(self, rule: str, brand: str, platform: str, ends_at: datetime, actor: str, comment: str) -> Silence:
        self._check_in_charge()
        await asyncio.to_thread(self._check_names, rule, brand, platform)
        now = utc_now()
        silence = Silence(secrets.randbits(64), 1, rule, brand, platform, now, _ms(ends_at), actor, comment, now)
        await self._command(lambda: self._evaluator.silence(silence, now))
        return silence

    async def lift(self, silence_id: int, actor: str) -> Silence:
        self._check_in_charge()
        now = utc_now()
        known = self._evaluator.lifecycle.silences.get(silence_id)
        if known is None or known.ends_at <= now:
            raise UnknownName(f"there is no silence {silence_id:016x}, or it has ended")
        fields = {name: getattr(known, name) for name in Silence.__slots__}
        fields |= {"version": known.version + 1, "ends_at": now, "changed_at": now, "actor": actor}
        silence = Silence(**fields)
        await self._command(lambda: self._evaluator.silence(silence, now))
        return silence

    async def test(self, rule: str, brand: str, actor: str) -> Alert:
        self._check_in_charge()
        await asyncio.to_thread(self._check_names, rule, brand)
        found = self._evaluator.config.rule(rule)
        assert found is not None
        return (await self._command(lambda: self._evaluator.test(found, brand, actor, utc_now())))[0]

    def _check_names(self, rule: str, brand: str, platform: str = "") -> None:
        """Raises UnknownName for one that does not exist; blank: none is named."""
        names = Names(lambda sql: self._ask_aside(sql, {}).to_series(), self._evaluator.config, brand_names(self._settings))
        if rule:
            names.check_rule(rule)
        if brand:
            names.check_brand(brand)
        if platform:
            names.check_platform(platform)

    def silences(self) -> list[Silence]:
        now = utc_now()
        return [silence for silence in self._evaluator.lifecycle.silences.values() if silence.ends_at > now]

    async def _command(self, work: Callable[[], list[Alert]]) -> list[Alert]:
        """Does it, and tells what it changes. Raises EarshotError when another one has taken over meanwhile."""
        try:
            changes = await self._do(work)
        except GivenUp:
            raise EarshotError("this control is not in charge any more; ask again, for it may be done all the same") from None
        self._tell(changes)
        return changes

    def _check_in_charge(self) -> None:
        if self._deliveries is None:
            raise EarshotError("this control is not in charge: it is starting, or another one is")


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, seconds))


def _count(receiver: str, outcome: Outcome) -> None:
    metrics.ALERT_DELIVERIES.labels(receiver, "sent" if outcome.sent else "refused" if outcome.permanent else "failed").inc()


def _ms(at: datetime) -> datetime:
    return at - timedelta(microseconds=at.microsecond % 1000)


def run_control(settings: Settings) -> None:
    """Runs until it is told to stop. Raises EarshotError with one clear line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("mode", "faust", "pipeline.kafka.group"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    # It says ten times a second that the broker is away; /ready says so, too.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        Control(settings).run()
    except EarshotError:
        raise
    except Exception as error:
        log.exception("control stops: %s", error)
        raise EarshotError(f"control stopped: {type(error).__name__}: {error}") from error

"""Notifier: passes each change of an alert to topic `alerts` and to the receivers, explained where that is quick."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.query import Ask
from pipeline.errors import EarshotError
from pipeline.fence import INSERT_MAX_S, GivenUp
from pipeline.http.route import Route
from pipeline.leader import Leader
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.notify.context import Context
from pipeline.notify.delivery_log import ClickHouseLog, last_held, last_sent
from pipeline.notify.dispatcher import Dispatcher
from pipeline.notify.receivers import Outcome, check
from pipeline.processors.alerts.evaluator import Evaluator
from pipeline.processors.alerts.explain import explain
from pipeline.processors.alerts.rule_types import EventRule, OverTimeRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.sinks.alerts import AlertTopic
from schemas.alerts import Alert, State
from schemas.times import utc_now

EXPLAIN_S = 0.8
"""So long a notification waits for its explanation; an explanation that comes later is a change of its own."""
CLOSE_S, CLOSE_LOG_S = 1.0, 2.0
log = logging.getLogger("earshot.control")


class Notifier:
    """Publishes always, notifies receivers inside `notifying`.

    An alert that is written and not notified, by an error or the end of the process, is notified by the next leader: the tables
    say which. `connect` makes a client of ClickHouse for the delivery log, `ask` is for explanations, on threads of their own.
    `route`: by which requests to receivers leave this network.
    """

    def __init__(
        self, leader: Leader, evaluator: Evaluator, topic: AlertTopic, ask: Ask, connect: Callable[[], Client], route: Route
    ) -> None:  # fmt: skip
        self._leader, self._evaluator, self._topic = leader, evaluator, topic
        self._ask, self._connect, self._route = ask, connect, route
        self._config = evaluator.config
        self._explaining = ThreadPoolExecutor(2, thread_name_prefix="explaining")
        self._dispatcher: Dispatcher | None = None
        check(self._config, os.environ)
        self._use_metrics()

    # --- receivers ----------------------------------------------------------------------------------------------------
    @asynccontextmanager
    async def notifying(self, standing: Sequence[Alert], generation: int, client: Client) -> AsyncIterator[None]:
        """Inside it receivers are notified, from where an earlier leader stopped on.

        `standing` comes from Evaluator.start, `client` reads the delivery log. At the end, running messages are finished; past
        the lease none begins.
        """
        leads = partial(self._leader.lease.leads, generation)
        term = self._leader.inserter.term
        store = ClickHouseLog(self._connect)
        context = Context(
            store, os.environ, on_try=_count, on_accepted=self._measure, leads=leads, term=term, route=self._route
        )
        config = self._config
        dispatcher = Dispatcher(config, context)
        try:
            keys = [alert.key for alert in standing]
            retry = partial(self._leader.inserter.retry, "query")
            sent = await self._leader.on_thread(lambda: retry(partial(last_sent, client, keys)))
            held = await self._leader.on_thread(lambda: retry(partial(last_held, client, keys)))
            if self._config is not config:
                dispatcher.use(config := self._config)  # others came while it read
            await dispatcher.resume(standing, sent, held)
            if self._config is not config:
                dispatcher.use(self._config)
            self._dispatcher = dispatcher
            yield
        finally:
            self._dispatcher = None
            if not leads():
                self._topic.forget()
            # Past the lease a running message is finished, or cut off, before the next leader notifies.
            await dispatcher.close(CLOSE_S if leads() else INSERT_MAX_S)
            await store.close(CLOSE_LOG_S)
            metrics.start_control(())  # from now on the next leader's figures count

    def use(self, config: Alerts) -> None:
        """Other rules and receivers, from now on. Raises SettingsError, and changes nothing then."""
        if self._dispatcher is not None:
            self._dispatcher.use(config)
        else:
            check(config, os.environ)
        self._config = config
        self._use_metrics()

    def show(self, vitals: Vitals) -> None:
        """Not ready while a receiver's task has ended by an error of ours."""
        for receiver in self._dispatcher.dead if self._dispatcher else ():
            vitals.hold(f"receiver {receiver}", "its deliveries have ended by an error: see the log")

    def close(self) -> None:
        """Explanations that still run are not waited for: their alerts are notified, or will be by the next leader."""
        self._explaining.shutdown(wait=False, cancel_futures=True)
        self._topic.close()

    def _use_metrics(self) -> None:
        metrics.start_control(receiver.name for receiver in self._config.receivers)

    # --- changes ------------------------------------------------------------------------------------------------------
    def record(self, alerts: Sequence[Alert]) -> None:
        """Publishes changes of which nobody is notified."""
        self._topic.send(alerts)

    def publish(self, alerts: Sequence[Alert]) -> None:
        """Publishes changes that are in ClickHouse, and notifies the receivers. Returns at once."""
        self._topic.send(alerts)
        over = {alert.key for alert in alerts if alert.state is State.RESOLVED}
        for alert in alerts:
            metrics.ALERT_CHANGES.labels(alert.state).inc()
            if self._dispatcher is None:
                continue
            # The beginning goes before the end, so an alert that is over already is not explained first.
            if alert.key not in over and (rule := self._evaluator.unexplained(alert)) is not None:
                self._leader.start(self._explain(alert, rule, self._dispatcher))
            else:
                self._dispatcher.notify(alert)

    async def _explain(self, alert: Alert, rule: OverTimeRule, dispatcher: Dispatcher) -> None:
        """Notifies with the explanation, or without it when it takes longer than EXPLAIN_S."""
        work = asyncio.get_running_loop().run_in_executor(self._explaining, explain, self._ask, alert, rule)
        await asyncio.wait((work,), timeout=EXPLAIN_S)
        late = not work.done()
        if late:
            dispatcher.notify(alert)
        try:
            explanation = await work
            changes = await self._leader.on_thread(
                lambda: self._evaluator.explained(alert.key, *explanation, utc_now())
            )  # fmt: skip
        except (EarshotError, GivenUp) as error:
            log.warning("alert %s is not explained: %s", alert.hex, error)
            changes = []
        self._topic.send(changes)
        for change in changes if changes or late else [alert]:
            dispatcher.notify(change)

    def _measure(self, alert: Alert, receiver: str, seconds: float) -> None:
        """The seconds from Kafka's time of the event that raised the alert until the first receiver accepted it."""
        if alert.state != State.FIRING or (kafka_ms := self._evaluator.news.alerts.pop(alert.key, None)) is None:
            return
        rule = self._evaluator.config.rule(alert.rule)
        path = "single" if isinstance(rule, EventRule) else "windowed"
        metrics.ALERT_SECONDS.labels(path).observe(max(0.0, time.time() - kafka_ms / 1000))


def _count(receiver: str, outcome: Outcome) -> None:
    metrics.ALERT_DELIVERIES.labels(receiver, "sent" if outcome.sent else "refused" if outcome.permanent else "failed").inc()

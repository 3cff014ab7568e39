"""ReceiverQueue: one receiver, its outbox, and the one task that sends from it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime

from pipeline.clock import worth_logging
from pipeline.fence import GivenUp
from pipeline.notify.context import Context
from pipeline.notify.delivery_log import OUT_OF_HOURS, Delivery, Sent
from pipeline.notify.outbox import MOST_ALERTS, MOST_KEPT, Change, Incident, Outbox
from pipeline.notify.receivers import Outcome, Outside, Sender, make_sender
from pipeline.processors.alerts.hours import in_hours, text_of
from pipeline.processors.alerts.receiver import Receiver
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State

log = logging.getLogger("earshot.delivery")


class ReceiverQueue:
    """Notifies one receiver, one message at a time, while `resumed` is set. To be made and used in a running event loop."""

    def __init__(self, receiver: Receiver, config: Alerts, context: Context, resumed: asyncio.Event) -> None:
        self._context, self._resumed = context, resumed
        self._outbox = Outbox(receiver, config)
        self._held: dict[int, tuple[Alert, bool, bool]] = {}
        """News that wait for the receiver's hours, by the alert's key, as `offer` got them."""
        self._on_record: dict[int, int] = {}
        """By key, the version of which the delivery log says already that it waits for the receiver's hours."""
        self._old_senders: list[Sender] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._rest_until = self._remind_at = 0.0
        self._resend_at = self._now() + context.timing.resend
        self._set(receiver, config)
        self._task = asyncio.create_task(self._run(), name=f"notify {receiver.name}")

    def _set(self, receiver: Receiver, config: Alerts) -> None:
        outside = Outside(self._context.environ, self._context.clock, self._context.lookup, self._context.route)
        self._sender: Sender = make_sender(receiver, config, outside)
        self._receiver, self._name = receiver, receiver.name
        self._off = Outcome(False, f"{OUT_OF_HOURS}: {text_of(receiver.when)}")
        self._reminds = receiver.type != "alertmanager"

    def use(self, receiver: Receiver, config: Alerts) -> None:
        """From the next message on. A refused message, or a receiver that failed, is tried at once: it may have been mended."""
        self._old_senders.append(self._sender)
        self._set(receiver, config)
        self._outbox.use(receiver, config)
        self._rest_until = 0.0
        for incident in self._outbox.waiting:
            if incident.refusals:
                incident.due = 0.0
        self._wake.set()

    @property
    def dead(self) -> bool:
        """Its task has ended by an error of ours."""
        return self._task.done() and not self._task.cancelled() and self._task.exception() is not None

    def restore(self, alert: Alert, sent: Sent) -> None:
        """The delivery log's state of the alert; to be called before the first `offer`."""
        self._outbox.restore(alert, sent)
        self._resend_at = 0.0  # so long may have passed that Alertmanager takes it for resolved

    def restore_held(self, alert: Alert, version: int) -> None:
        """By the delivery log, this version of the alert waits for the receiver's hours."""
        self._on_record[alert.key] = version

    def offer(self, alert: Alert, named: bool, escalated: bool = False) -> None:
        """Takes the change over if it is news for this receiver; `named`: the alert's rule names it, `escalated`: the alert was
        escalated to it."""
        held = self._held.get(alert.key)
        if held is not None and held[0].version > alert.version:
            return
        self._held.pop(alert.key, None)
        if not self._outbox.is_news(alert, named, escalated):
            return
        at = datetime.fromtimestamp(self._context.clock(), UTC)
        if self._receiver.hears(alert, at):
            self._take(
                Change(alert, self._now(), escalation=self._outbox.is_escalation(alert, escalated), held=held is not None)
            )
            return
        if alert.state is State.RESOLVED or not alert.test:  # a test is never sent later
            self._held[alert.key] = alert, named, escalated
        if held is None and self._on_record.pop(alert.key, None) != alert.version:
            self._record(self._outbox.incident(alert), [Change(alert, 0.0)], self._off, 0.0)
        self._wake.set()

    def _take(self, change: Change) -> None:
        alert = change.alert
        if (dropped := self._outbox.make_room(alert.key)) is not None:
            log.warning("receiver %s: more than %d alerts: %s is dropped", self._name, MOST_KEPT, dropped.alert.hex)
            self._record(dropped, dropped.waiting, Outcome(False, f"let go: more than {MOST_KEPT} alerts wait"), 0.0)
        incident = self._outbox.add(change)
        if self._now() < self._rest_until:
            # The log has to know that it is owed, should the process end before the first try.
            self._record(incident, [change], Outcome(False, "waits: the receiver is unwell"), 0.0)
        self._wake.set()

    async def close(self, timeout_s: float) -> None:
        """Sends waiting changes, held back or not, while the receiver answers and `timeout_s` lasts."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        self._task.cancel()
        await asyncio.wait([self._task])
        if left := len(list(self._outbox.waiting)):
            log.warning("receiver %s: %d alerts still wait", self._name, left)
        for sender in (*self._old_senders, self._sender):
            await sender.close()

    # --- the task ---------------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        with suppress(GivenUp):
            await self._work()

    async def _work(self) -> None:
        """Raises GivenUp when this process leads no more: the next leader reads from the tables which changes are left."""
        while True:
            await self._resumed.wait()
            while self._old_senders:
                await self._old_senders.pop().close()
            now = self._now()
            if self._reminds and now >= self._remind_at and not self._closing:
                self._let_go()
                self._outbox.remind(now, self._context.clock())
                self._remind_at = now + self._context.timing.remind
            if now >= self._rest_until:
                if batch := self._outbox.batch(now, self._context.clock(), self._closing):
                    await self._deliver(batch)
                    continue
                if not self._reminds and len(self._outbox) and now >= self._resend_at and not self._closing:
                    await self._resend()
                    continue
            if self._closing:
                return
            self._wake.clear()
            await self._context.time.wait(self._wake, self._pause(now))

    def _pause(self, now: float) -> float | None:
        """Seconds until something is due, if no change comes; None: nothing is."""
        times = [max(incident.due, self._rest_until) for incident in self._outbox.sendable(self._context.clock())]
        if len(self._outbox) or self._held:
            times.append(self._remind_at if self._reminds else max(self._resend_at, self._rest_until))
        return max(min(times) - now, 0.0) if times else None

    def _let_go(self) -> None:
        """Takes over what waited for the hours of the receiver, once they have begun."""
        if self._held and in_hours(self._receiver.when, datetime.fromtimestamp(self._context.clock(), UTC)):
            for held in list(self._held.values()):
                self.offer(*held)

    async def _deliver(self, batch: list[Incident]) -> None:
        # Newer changes may come to wait while the message is on its way.
        sending = [(incident, incident.waiting) for incident in batch]
        changes = [change for _, waiting in sending for change in waiting]
        outcome, took = await self._send([change.alert for change in changes], ",".join(change.id for change in changes))
        for incident, waiting in sending:
            incident.attempts += 1
            self._record(incident, waiting, outcome, took)
            if outcome.sent:
                self._outbox.accepted(incident, waiting[-1].alert, self._context.clock())
            elif outcome.permanent:
                # Of several that were refused together one may be the cause: they are tried one by one, at once.
                if len(batch) == 1:
                    incident.due = self._now() + self._backoff(self._context.timing.refused, incident.refusals)
                    incident.refusals += 1
                incident.alone = True
        if not outcome.sent:
            self._outbox.postpone(batch)
        else:
            for change in changes:
                if not (change.reminder or change.escalation or change.held):  # they say nothing about how fast it is
                    self._context.on_accepted(change.alert, self._name, self._now() - change.queued_at)

    async def _resend(self) -> None:
        """Sends Alertmanager all that it has accepted. The log gets no rows for it: nothing has changed."""
        standing = self._outbox.standing()
        for start in range(0, len(standing), MOST_ALERTS):
            alerts = [incident.alert for incident in standing[start : start + MOST_ALERTS]]
            outcome, _ = await self._send(alerts, "again")
            if not (outcome.sent or outcome.permanent):
                return
        for incident in standing:
            ended = incident.alert.state is State.RESOLVED and not incident.waiting
            if ended and incident.accepted_at + self._context.timing.resend_resolved < self._context.clock():
                self._outbox.drop(incident)
        self._resend_at = self._now() + self._context.timing.resend

    async def _send(self, alerts: list[Alert], delivery: str) -> tuple[Outcome, float]:
        started = self._now()
        if not self._context.leads():
            raise GivenUp
        try:
            outcome = await self._sender.send(alerts, delivery)
        except Exception as error:  # an error of ours must not end the task; its text may hold the URL
            outcome = Outcome(False, f"error: {type(error).__name__}", permanent=True)
        self._context.on_try(self._name, outcome)
        answers = outcome.sent or outcome.permanent
        if not answers:
            pause = max(self._backoff(self._context.timing.rest, self._failures), outcome.retry_after)
            self._rest_until = self._now() + pause
            self._failures += 1
        if outcome.permanent or (not answers and worth_logging(self._failures)):
            log.warning("receiver %s: %s; will be retried", self._name, outcome.reason)
        if answers and self._failures:
            log.info("receiver %s answers again, after %d tries", self._name, self._failures + 1)
            self._failures = 0
        return outcome, self._now() - started

    def _record(self, incident: Incident, changes: list[Change], outcome: Outcome, took_s: float) -> None:
        at = datetime.fromtimestamp(self._context.clock() - took_s, UTC)
        row = (self._name, incident.attempts, outcome.sent, outcome.reason, round(took_s * 1000), at, self._context.term)
        self._context.store.record([Delivery(change.alert.key, change.alert.version, *row) for change in changes])

    def _backoff(self, bounds: tuple[float, float], failures: int) -> float:
        first, most = bounds
        wait: float = min(first * 2.0 ** min(failures, 30), most)
        return wait * (0.5 + 0.5 * self._context.jitter())

    def _now(self) -> float:
        return self._context.time.now()

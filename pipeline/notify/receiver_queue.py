"""ReceiverQueue: one receiver, its book, and the one task that tells it what is in there."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.clock import Clock, wall, worth_logging
from pipeline.fence import GivenUp
from pipeline.notify.delivery_log import Delivery, DeliveryStore, Sent
from pipeline.notify.outbox import MOST_ALERTS, MOST_KEPT, Change, Incident, Outbox
from pipeline.notify.receivers import Outcome, Outside, Sender, make_sender
from pipeline.notify.safe_http import Resolver
from pipeline.processors.alerts.rules import Alerts, Receiver
from schemas.alerts import Alert, State

log = logging.getLogger("earshot.delivery")


@dataclass(frozen=True)
class Timing:
    """In seconds."""

    rest: tuple[float, float] = (1.0, 300.0)
    """How long an unwell receiver is left alone: at first, and at most."""
    refused: tuple[float, float] = (300.0, 3600.0)
    """How long a change that was refused waits."""
    beat: float = 60.0
    """How often Alertmanager is sent all that is open."""
    echo: float = 900.0
    """For how long it is sent what is resolved, too: it forgets when it is started anew."""
    look: float = 1.0
    """How often reminders are looked for."""


@dataclass(frozen=True)
class Context:
    """What lines share."""

    store: DeliveryStore
    environ: Mapping[str, str]
    on_try: Callable[[str, Outcome], None] = lambda receiver, outcome: None
    """Called with each request's receiver and outcome, Alertmanager's repetitions too."""
    on_accepted: Callable[[Alert, str, float], None] = lambda alert, receiver, seconds: None
    """Called once for each change and receiver, with the seconds from `tell` until it was accepted; not for reminders."""
    leads: Callable[[], bool] = lambda: True
    """Whether this process may still tell anybody: no request begins once it may not."""
    term: int = 0
    clock: Clock = wall
    lookup: Resolver | None = None
    """None: the system's resolver."""
    timing: Timing = Timing()
    jitter: Callable[[], float] = random.random


class ReceiverQueue:
    """Tells one receiver, one message at a time. To be made and used in a running event loop."""

    def __init__(self, receiver: Receiver, config: Alerts, context: Context) -> None:
        self._context = context
        self._book = Outbox(receiver, config)
        self._stale: list[Sender] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._failures = 0
        self._rest_until = self._look_at = 0.0
        self._beat_at = self._now() + context.timing.beat
        self._set(receiver, config)
        self._task = asyncio.create_task(self._run(), name=f"tell {receiver.name}")

    def _set(self, receiver: Receiver, config: Alerts) -> None:
        outside = Outside(self._context.environ, self._context.clock, self._context.lookup)
        self._sender: Sender = make_sender(receiver, config, outside)
        self._name = receiver.name
        self._repeats = receiver.type != "alertmanager"

    def use(self, receiver: Receiver, config: Alerts) -> None:
        """From the next message on. What was refused or unwell is tried at once: it may have been mended."""
        self._stale.append(self._sender)
        self._set(receiver, config)
        self._book.use(receiver, config)
        self._rest_until = 0.0
        for incident in self._book.waiting:
            if incident.refusals:
                incident.due = 0.0
        self._wake.set()

    @property
    def dead(self) -> bool:
        """Its task has ended by a fault of ours."""
        return self._task.done() and not self._task.cancelled() and self._task.exception() is not None

    def know(self, alert: Alert, sent: Sent) -> None:
        """What the delivery log says of the alert, before anything is told."""
        self._book.know(alert, sent)
        self._beat_at = 0.0  # it may have been so long that Alertmanager takes it for resolved

    def tell(self, alert: Alert, listed: bool) -> None:
        """Puts the change in where it is news to this receiver; `listed`: the alert's rule names it."""
        if not self._book.note(alert, listed):
            return
        if (gone := self._book.make_room(alert.key)) is not None:
            log.warning("receiver %s: more than %d alerts: %s is let go", self._name, MOST_KEPT, gone.alert.hex)
            self._record(gone, gone.waiting, Outcome(False, f"let go: more than {MOST_KEPT} alerts wait"), 0.0)
        change = Change(alert, self._now())
        incident = self._book.put(change)
        if self._now() < self._rest_until:
            # So that it is known to be owed, should the process end before the first try.
            self._record(incident, [change], Outcome(False, "waits: the receiver is unwell"), 0.0)
        self._wake.set()

    async def close(self, timeout_s: float) -> None:
        """Tells what waits, held back or not, while the receiver answers and `timeout_s` lasts."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=timeout_s)
        self._task.cancel()
        await asyncio.wait([self._task])
        if left := len(list(self._book.waiting)):
            log.warning("receiver %s: %d alerts are still to be told", self._name, left)
        for sender in (*self._stale, self._sender):
            await sender.close()

    # --- the task ---------------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        with suppress(GivenUp):
            await self._work()

    async def _work(self) -> None:
        """Raises GivenUp when this process leads no more: whoever does finds in the tables what is left to tell."""
        while True:
            while self._stale:
                await self._stale.pop().close()
            now = self._now()
            if self._repeats and now >= self._look_at and not self._closing:
                self._book.remind(now, self._context.clock())
                self._look_at = now + self._context.timing.look
            if now >= self._rest_until:
                if batch := self._book.batch(now, self._closing):
                    await self._tell(batch)
                    continue
                if not self._repeats and len(self._book) and now >= self._beat_at and not self._closing:
                    await self._beat()
                    continue
            if self._closing:
                return
            self._wake.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), self._pause(now))

    def _pause(self, now: float) -> float | None:
        """How long there is nothing to do, if nothing comes; None: for ever."""
        times = [max(incident.due, self._rest_until) for incident in self._book.waiting]
        if len(self._book):
            times.append(self._look_at if self._repeats else max(self._beat_at, self._rest_until))
        return max(min(times) - now, 0.0) if times else None

    async def _tell(self, batch: list[Incident]) -> None:
        # By now: while it is on its way, newer changes may come to wait.
        told = [(incident, incident.waiting) for incident in batch]
        changes = [change for _, waiting in told for change in waiting]
        outcome, took = await self._send([change.alert for change in changes], ",".join(change.id for change in changes))
        for incident, waiting in told:
            incident.attempts += 1
            self._record(incident, waiting, outcome, took)
            if outcome.sent:
                self._book.accepted(incident, waiting[-1].alert, self._context.clock())
            elif outcome.permanent:
                # Several that were refused together are tried one by one, at once: it may be for one of them.
                if len(batch) == 1:
                    incident.due = self._now() + self._backoff(self._context.timing.refused, incident.refusals)
                    incident.refusals += 1
                incident.alone = True
        if not outcome.sent:
            self._book.postpone(batch)
        else:
            for change in changes:
                if not change.reminder:
                    self._context.on_accepted(change.alert, self._name, self._now() - change.asked)

    async def _beat(self) -> None:
        """Alertmanager is sent all that it has been told. The log has no rows of this: nothing has changed."""
        standing = self._book.standing()
        for start in range(0, len(standing), MOST_ALERTS):
            alerts = [incident.alert for incident in standing[start : start + MOST_ALERTS]]
            outcome, _ = await self._send(alerts, "again")
            if not (outcome.sent or outcome.permanent):
                return
        for incident in standing:
            ended = incident.alert.state is State.RESOLVED and not incident.waiting
            if ended and incident.accepted_at + self._context.timing.echo < self._context.clock():
                self._book.forget(incident)
        self._beat_at = self._now() + self._context.timing.beat

    async def _send(self, alerts: list[Alert], delivery: str) -> tuple[Outcome, float]:
        started = self._now()
        if not self._context.leads():
            raise GivenUp
        try:
            outcome = await self._sender.send(alerts, delivery)
        except Exception as error:  # of ours: it must not end the task; its text may hold the URL
            outcome = Outcome(False, f"error: {type(error).__name__}", permanent=True)
        self._context.on_try(self._name, outcome)
        well = outcome.sent or outcome.permanent
        if not well:
            pause = max(self._backoff(self._context.timing.rest, self._failures), outcome.retry_after)
            self._rest_until = self._now() + pause
            self._failures += 1
        if outcome.permanent or (not well and worth_logging(self._failures)):
            log.warning("receiver %s: %s; will be repeated", self._name, outcome.reason)
        if well and self._failures:
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
        return asyncio.get_running_loop().time()

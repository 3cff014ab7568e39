"""Evaluation: the loop that passes signals and the clock to the evaluator, and commits the signals after that."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from pipeline.control.notifier import Notifier
from pipeline.leader import Leader
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.evaluator import Evaluator
from schemas.alerts import State
from schemas.signals import Signal, parse_signal
from schemas.times import utc_now

EVALUATING = "evaluating"
TICK_S = 1.0
log = logging.getLogger("earshot.control")


class Evaluation:
    """Signals come in by `read`, as they arrive; `run` evaluates them, and ticks once a second.

    A signal is committed after the changes that it raised, and the windows that it touched, are in ClickHouse. Restart: the
    next leader reads the other signals again. `clock` counts seconds, from any start.
    """

    def __init__(
        self,
        leader: Leader,
        evaluator: Evaluator,
        notifier: Notifier,
        vitals: Vitals,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leader, self._evaluator, self._notifier = leader, evaluator, notifier
        self._vitals, self._clock = vitals, clock
        self._signals: list[Signal] = []
        self._uncommitted: list[Any] = []
        """Faust's events: those of `_signals`, those that wait for a tick, and those that hold no signal."""
        self._arrived = asyncio.Event()
        self._unknown_rules: list[str] = []

    async def read(self, stream: Any) -> None:
        """The Faust agent of topic signals."""
        async for event in stream.noack().events():
            self.receive(event)

    def receive(self, event: Any) -> None:
        """Takes over one record; a record that holds no signal is counted, logged, and committed with the next ones."""
        try:
            self._signals.append(parse_signal(event.value))
        except ValueError as error:
            metrics.SIGNALS_UNREADABLE.inc()
            log.error("topic %s, offset %d is skipped: %s", event.message.topic, event.message.offset, error)
        self._uncommitted.append(event)
        self._arrived.set()

    def clear(self) -> None:
        """The partition is another process's: it reads uncommitted signals again."""
        self._signals.clear()
        self._uncommitted.clear()

    async def run(self) -> None:
        """Evaluates for as long as this process leads. Raises GivenUp."""
        try:
            await self._run()
        finally:
            self._vitals.idle(EVALUATING)

    async def _run(self) -> None:
        next_tick = self._clock()
        while True:
            self._leader.check()
            signals, events = list(self._signals), list(self._uncommitted)
            if signals:
                self._notifier.publish(
                    await self._leader.on_thread(partial(self._evaluator.ingest, signals, utc_now()))
                )  # fmt: skip
                self._leader.check()
                del self._signals[: len(signals)]
            if self._clock() >= next_tick:
                next_tick = max(next_tick + TICK_S, self._clock())
                await self._tick()
                for event in events:
                    event.ack()
                del self._uncommitted[: len(events)]
            self._vitals.idle(EVALUATING)
            self._arrived.clear()
            if not self._signals:
                await _wait(self._arrived, next_tick - self._clock())

    async def _tick(self) -> None:
        self._vitals.busy(EVALUATING)
        started = time.perf_counter()
        self._notifier.publish(await self._leader.on_thread(lambda: self._evaluator.tick(utc_now())))
        metrics.EVALUATION_SECONDS.observe(time.perf_counter() - started)
        self._notifier.show(self._vitals)
        self._measure()
        self._leader.check()

    def _measure(self) -> None:
        states = [alert.state for alert in self._evaluator.lifecycle.open]
        for state in (State.PENDING, State.FIRING, State.ACKNOWLEDGED):
            metrics.ALERTS_OPEN.labels(state).set(states.count(state))
        metrics.WATERMARK_AGE.set((utc_now() - self._evaluator.watermark).total_seconds())
        metrics.CAMPAIGN_WAIT.set(self._evaluator.campaigns.waited(utc_now()).total_seconds())
        windows = self._evaluator.windows
        metrics.ALERT_SCOPES.set(windows.room.taken)
        metrics.ALERT_SCOPES_LEFT_OUT.inc(windows.room.left_out)
        windows.room.left_out = 0
        metrics.ALERT_HISTORY_DAYS.set(windows.days)
        metrics.NO_DATA_LEFT_OUT.inc(self._evaluator.arrivals.left_out)
        self._evaluator.arrivals.left_out = 0
        self._measure_unknown()

    def _measure_unknown(self) -> None:
        unknown = self._evaluator.unknown
        metrics.ALERT_CANDIDATES_WAITING.set(len(unknown))
        metrics.ALERT_CANDIDATES_DROPPED.inc(unknown.dropped)
        unknown.dropped = 0
        if unknown.rules and unknown.rules != self._unknown_rules:
            log.warning("events wait for rules that this alerts.yaml does not have: %s", ", ".join(unknown.rules))
        self._unknown_rules = unknown.rules


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, seconds))

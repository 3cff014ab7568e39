"""Signals: what a worker tells the alert evaluator, to topic `signals`, acknowledged.

They follow the insert and precede the commit, so that each landing is told once or more; a signal that comes twice changes
nothing (pipeline/processors/alerts/signal.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from pipeline import metrics
from pipeline.fence import Fence
from pipeline.health import Vitals
from pipeline.processors.alerts.signal import Signal, dump

log = logging.getLogger("earshot.kafka")
QUIET_S = 1.0
"""While events land that name no brand, a signal goes this often all the same: it moves the evaluator's watermark."""


class Signals:
    """Blocks until the topic has them; raises GivenUp when their generation is over. For one thread, `name`d as its signs of
    life are."""

    def __init__(
        self,
        client: Mapping[str, Any],
        topic: str,
        fence: Fence,
        vitals: Vitals,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # What is sent is waited for: lingering would only make an alert late.
        self._config = {
            **client, "enable.idempotence": True, "acks": "all", "linger.ms": 0, "compression.type": "lz4", "log_level": 0,
            "error_cb": lambda error: None,
        }  # fmt: skip
        self._producer: Producer | None = None
        self._topic, self._name = topic, name
        self._fence, self._vitals, self._clock = fence, vitals, clock
        self._why = ""
        self._quiet_until = 0.0

    def send(self, signal: Signal, generation: int) -> None:
        """On return it is in the topic; one that says nothing but that time goes on is left out more than once a second."""
        if not signal.touched and not signal.candidates and (signal.newest is None or self._clock() < self._quiet_until):
            return
        self._fence.check(generation)
        started, left, tries = time.monotonic(), dump(signal), 0
        metrics.SIGNALS.inc(len(left))
        while left := self._produce(left, generation):
            tries += 1
            if tries in (1, 5) or tries % 30 == 0:
                log.warning("topic %s takes no signals: %s; try %d, will be repeated", self._topic, self._why, tries)
            self._vitals.hold("signals", self._why)
            self._vitals.busy(self._name)
            time.sleep(min(2.0, 0.1 * 2**tries))
            self._fence.check(generation)
        self._vitals.clear("signals")
        self._quiet_until = self._clock() + QUIET_S
        metrics.SIGNAL_SECONDS.observe(time.monotonic() - started)

    def _produce(self, records: list[bytes], generation: int) -> list[bytes]:
        """Produces the records; returns those that were not acknowledged."""
        failed: list[bytes] = []
        if self._producer is None:
            self._producer = Producer(self._config)
        producer = self._producer
        for record in records:

            def delivered(error: KafkaError | None, _: Message | None, record: bytes = record) -> None:
                if error is not None:
                    self._why = error.str()
                    failed.append(record)

            try:
                producer.produce(self._topic, record, on_delivery=delivered)
            except (BufferError, KafkaException) as error:
                self._why = str(error)
                failed.append(record)
        while len(producer):
            self._vitals.busy(self._name)
            self._fence.check(generation)
            producer.flush(0.2)
        if failed:
            # One that has met a fatal error takes nothing any more.
            self._producer = None
        return failed

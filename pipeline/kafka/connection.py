"""Whether a broker answers a consumer, for /ready and the log."""

from __future__ import annotations

import logging
from collections import defaultdict

from confluent_kafka import KafkaError

from pipeline.clock import Seldom
from pipeline.kafka.client import error_text
from pipeline.monitoring.health import Vitals

log = logging.getLogger("earshot.delivery")


class Connection:
    """Holds "kafka" in `vitals` while no broker answers, with the last error. For the thread that polls."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals
        self._error = ""
        self._warnings: defaultdict[int, Seldom] = defaultdict(Seldom)

    def failed(self, error: KafkaError) -> None:
        """Takes an error after which librdkafka tries again. A refused login comes several times a second: one error of a kind
        is logged a minute."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self.lost()
            return
        self._error = error_text(error)
        if self._warnings[error.code()].due():
            log.warning("Kafka: %s", self._error)

    def lost(self) -> None:
        """No broker answers."""
        self._vitals.hold("kafka", f"no broker answers: {self._error}" if self._error else "no broker answers")

    def answered(self) -> None:
        """A broker answers."""
        self._error = ""
        self._vitals.clear("kafka")

"""The worker's consumer: its settings, and when its group's coordinator answered last."""

from __future__ import annotations

import time

from pipeline.config.settings import KafkaConfig, KafkaSettings
from schemas.untyped import Row


def consumer_config(kafka: KafkaSettings) -> KafkaConfig:
    """librdkafka's settings for the consumer of a worker."""
    return {
        **kafka.client(),
        "group.id": kafka.group,
        "client.id": "earshot-worker",
        "enable.auto.commit": False,
        # A committed offset that Kafka has no longer is never a silent jump: worker/read_errors.py holds the partition.
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": kafka.session_timeout_ms,
        # Those who live hear of a death with their next heartbeat.
        "heartbeat.interval.ms": kafka.session_timeout_ms // 10,
        # Compressed bytes of a request; a record that is larger still comes, alone (KIP-74).
        "fetch.max.bytes": 4 << 20,
        # It bounds a batch that zstd unpacks, too: one above it can't be read (worker/read_errors.py).
        "receive.message.max.bytes": 256 << 20,
        # Asks a slow topic 20 times a second, not after each record: less than the linger of a batch.
        "fetch.min.bytes": 128 << 10,
        "fetch.wait.max.ms": 50,
        # A sixth of a second at full rate; what a fetch brings comes on top.
        "queued.max.messages.kbytes": 8 << 10,
        # The default of 1 s leaves the poll thread without input whenever the queue was full for a moment.
        "fetch.queue.backoff.ms": 10,
        "statistics.interval.ms": 1000,
    }


def confirmed_ago(stats: Row) -> float | None:
    """Age in seconds of the last request that the group's coordinator has answered; None: an answer is still to come."""
    coordinator = stats["brokers"].get("GroupCoordinator", {"rxidle": -1})
    if not 0 <= coordinator["rxidle"] <= coordinator["txidle"]:
        return None
    # The statistics waited for this thread. Outside Linux librdkafka has another clock.
    waited = time.monotonic() - stats["ts"] / 1e6
    return float(coordinator["txidle"] / 1e6) + (waited if 0 < waited < 60 else 0.0)

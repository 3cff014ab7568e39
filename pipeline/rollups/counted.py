"""What the rollups have, as others see it: by what the job has committed of topic signals, and by its marks."""

from __future__ import annotations

from datetime import datetime

from confluent_kafka import TopicPartition

from pipeline.clickhouse.query import Ask
from pipeline.config.settings import KafkaSettings
from pipeline.kafka.outside import committed, kafka_errors, outside
from pipeline.rollups.marks import read_marks
from pipeline.rollups.quarters import Quarters
from pipeline.rollups.reader import ASK_S
from schemas.times import to_ms


def counted(kafka: KafkaSettings, ask: Ask, at: datetime) -> bool:
    """Whether all that topic signals told before `at` is made anew, and table quarters is filled. Raises EarshotError, also
    without a broker."""
    return dealt_with(kafka, at) and not read_marks(ask, [Quarters()]).get(Quarters.name, 1)


def dealt_with(kafka: KafkaSettings, at: datetime) -> bool:
    """Whether the job has committed all that was told before `at`, and is there still. Raises EarshotError."""
    signals = TopicPartition(kafka.topic("signals"), 0)
    with kafka_errors(kafka), outside(kafka, f"{kafka.group}-rollups") as consumer:
        [later] = consumer.offsets_for_times([TopicPartition(signals.topic, 0, to_ms(at))], timeout=ASK_S)
        first, end = consumer.get_watermark_offsets(signals, timeout=ASK_S)
        [done] = committed(consumer, [signals])
    return max(done.offset, first) >= (later.offset if later.offset >= 0 else end)

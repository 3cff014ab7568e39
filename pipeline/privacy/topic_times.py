"""Until when topics may hold what was sent to them: by the brokers' own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from confluent_kafka import KafkaException
from confluent_kafka.admin import ConfigEntry, ConfigResource, ResourceType

from pipeline.config.settings import KafkaSettings
from pipeline.kafka.client import check_kafka, kafka_admin, kafka_reason
from pipeline.privacy.register import TOPICS
from schemas.times import utc_now

NO_DATE = "no date"
"""It goes by size alone, or not at all."""
NOT_KNOWN = "not known"
"""The broker does not say, as to a user who may not describe configs: an erasure does not wait for that."""
_ASK_S = 10.0


def held_until(kafka: KafkaSettings) -> dict[str, str]:
    """Topic -> the time by which what is in it now has gone, NO_DATE, or NOT_KNOWN with the reason. Raises UnreachableError.

    A broker deletes whole segments, `retention.ms` after the newest record of one, which may be `segment.ms` younger than ours.
    """
    check_kafka(kafka)
    names = [kafka.topic(place.name) for place in TOPICS.values() if place.erase == "retention"]
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    admin, held, now = kafka_admin(kafka), {}, utc_now()
    for resource, asked in admin.describe_configs(resources, request_timeout=_ASK_S).items():
        try:
            held[resource.name] = _until(asked.result(2 * _ASK_S), now)
        except (KafkaException, TimeoutError) as error:
            held[resource.name] = f"{NOT_KNOWN} ({kafka_reason(error) if isinstance(error, KafkaException) else 'no answer'})"
    return held


def _until(config: Mapping[str, ConfigEntry], now: datetime) -> str:
    kept, segment = (_ms(config.get(name)) for name in ("retention.ms", "segment.ms"))
    return NO_DATE if kept < 0 else f"{now + timedelta(milliseconds=kept + max(segment, 0)):%Y-%m-%d %H:%M} UTC"


def _ms(entry: ConfigEntry | None) -> int:
    return int(entry.value) if entry is not None and entry.value else -1

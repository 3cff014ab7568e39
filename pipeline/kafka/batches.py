"""Where a batch of records ends, for one that librdkafka can't unpack: it names the first offset and no other.

The header of a batch is never compressed. So the batch is fetched once more, by aiokafka, and only its header is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatch

from pipeline.errors import EarshotError
from pipeline.kafka.tls import tls_context

WAIT_S = 2.0
"""For all of it: who polls would take a longer time for one in which the process did not run (pipeline/sources/kafka.py)."""
_HEADER_BYTES, _BEFORE_LENGTH, _MAGIC = 61, 12, 16


def last_offset(client: Mapping[str, Any], topic: str, partition: int, offset: int) -> int:
    """The last offset of the batch that holds `offset`, asked with librdkafka's settings `client`.

    Raises EarshotError when Kafka does not say, or what it says is not certain: the batch is damaged.
    """
    try:
        return _last(asyncio.run(asyncio.wait_for(_fetch(client, topic, partition, offset), WAIT_S)), offset)
    except (KafkaError, OSError, TimeoutError) as error:
        raise EarshotError(f"its batch could not be fetched: {str(error) or type(error).__name__}") from None


async def _fetch(config: Mapping[str, Any], topic: str, partition: int, offset: int) -> bytes:
    client = AIOKafkaClient(
        bootstrap_servers=config["bootstrap.servers"],
        client_id="earshot-batches",
        security_protocol=config["security.protocol"],
        ssl_context=tls_context(config),
        sasl_mechanism=config.get("sasl.mechanism", "PLAIN"),
        sasl_plain_username=config.get("sasl.username"),
        sasl_plain_password=config.get("sasl.password"),
    )
    try:
        await client.bootstrap()
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        if leader is None or leader < 0:
            raise LeaderNotAvailableError
        # A byte at most: so one batch comes, whole (KIP-74).
        request = FetchRequest(500, 1, 1, 0, [(topic, [(partition, offset, 1)])])
        answer = await client.send(leader, request)
    finally:
        await client.close()
    ((_, ((_, code, *_, found),)),) = answer.topics
    if code:
        raise for_code(code)(f"partition {partition}")
    return bytes(found)


def _last(found: bytes, offset: int) -> int:
    if len(found) < _HEADER_BYTES or found[_MAGIC] != 2:
        raise EarshotError("Kafka does not return its batch, or one of a format older than Kafka 0.11")
    size = _BEFORE_LENGTH + int.from_bytes(found[8:_BEFORE_LENGTH], "big")
    batch = DefaultRecordBatch(found[:size])
    last = int(batch.next_offset) - 1
    if size > len(found) or not batch.validate_crc() or not batch.base_offset <= offset <= last:
        raise EarshotError("its batch is damaged in Kafka: the checksum is wrong")
    return last

"""The last offset of a batch that librdkafka can't unpack: its error names only the first one.

The header of a batch is never compressed. So aiokafka fetches the batch once more, and we read only its header.
"""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, LeaderNotAvailableError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatch

from pipeline.config.settings import KafkaConfig
from pipeline.errors import EarshotError
from pipeline.kafka.tls import tls_context

WAIT_S = 2.0
"""The limit for all of it: the poll loop takes a longer gap for a time in which the process did not run (sources/kafka.py)."""
_HEADER_BYTES, _BEFORE_LENGTH, _MAGIC = 61, 12, 16


def last_offset(client: KafkaConfig, topic: str, partition: int, offset: int) -> int:
    """The last offset of the batch that holds `offset`; `client` are librdkafka's settings.

    Raises EarshotError if Kafka does not answer, or the batch is damaged.
    """
    try:
        return _last_offset(asyncio.run(asyncio.wait_for(_fetch(client, topic, partition, offset), WAIT_S)), offset)
    except (KafkaError, OSError, TimeoutError) as error:
        raise EarshotError(f"its batch could not be fetched: {str(error) or type(error).__name__}") from None


async def _fetch(config: KafkaConfig, topic: str, partition: int, offset: int) -> bytes:
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
        # At most one byte: Kafka then returns one whole batch (KIP-74).
        request = FetchRequest(500, 1, 1, 0, [(topic, [(partition, offset, 1)])])
        answer = await client.send(leader, request)
    finally:
        await client.close()
    ((_, ((_, code, *_, batch),)),) = answer.topics
    if code:
        raise for_code(code)(f"partition {partition}")
    return bytes(batch)


def _last_offset(raw: bytes, offset: int) -> int:
    if len(raw) < _HEADER_BYTES or raw[_MAGIC] != 2:
        raise EarshotError("Kafka does not return its batch, or one of a format older than Kafka 0.11")
    size = _BEFORE_LENGTH + int.from_bytes(raw[8:_BEFORE_LENGTH], "big")
    batch = DefaultRecordBatch(raw[:size])
    last = int(batch.next_offset) - 1
    if size > len(raw) or not batch.validate_crc() or not batch.base_offset <= offset <= last:
        raise EarshotError("its batch is damaged in Kafka: the checksum is wrong")
    return last

"""The three kinds of a producer's errors, which decide what follows:

PASSES    transport, moving leaders, and faults that people repair: authorisation, a missing topic, too few replicas. Repeated
          without end, logged, and named by /ready. Unlisted errors are of this kind: repeating loses nothing.
RECORD    the topic never takes this record: it is too large or invalid. It is not repeated; the caller handles it.
PRODUCER  the producer takes no more records: its sequence is lost, or it was fenced. A new one takes over; if that fails too,
          before Kafka acknowledged anything, the process ends.
"""

from __future__ import annotations

from enum import Enum

from confluent_kafka import KafkaError


class Kind(Enum):
    """See above."""

    PASSES = "passes"
    RECORD = "record"
    PRODUCER = "producer"


TOO_LARGE = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE, KafkaError.RECORD_LIST_TOO_LARGE}
_RECORD = {*TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD, KafkaError._BAD_MSG}
_PRODUCER = {
    KafkaError._FATAL, KafkaError._FENCED, KafkaError._GAPLESS_GUARANTEE, KafkaError._INCONSISTENT,
    KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, KafkaError.UNKNOWN_PRODUCER_ID, KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.INVALID_PRODUCER_ID_MAPPING, KafkaError.PRODUCER_FENCED,
}  # fmt: skip
_REPAIRABLE = {
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._AUTHENTICATION,
}  # fmt: skip
"""They end an idempotent producer, but people can repair them: new producers are tried without end."""


def kind_of(error: KafkaError) -> Kind:
    """The kind of this error."""
    if error.code() in _RECORD:
        return Kind.RECORD
    if error.code() in _PRODUCER or (error.fatal() and error.code() not in _REPAIRABLE):
        return Kind.PRODUCER
    return Kind.PASSES

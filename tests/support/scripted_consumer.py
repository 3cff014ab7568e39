"""Kafka's consumer without Kafka: the test says what the group does and which records come; each call is written down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

TOPIC = "social.events"


def message(offset: int, partition: int = 0, value: bytes = b"{}", error: int | None = None) -> Message:
    """A record, or the error that stands in its place."""
    problem = None if error is None else KafkaError(error)
    return Message(topic=TOPIC, partition=partition, offset=offset, value=value, timestamp=(1, 1_000 + offset), error=problem)


class ScriptedConsumer:
    """The calls of confluent_kafka.Consumer that a worker makes. `committed_offsets` is the group's state, and outlives a
    consumer."""

    def __init__(self, committed_offsets: dict[int, int] | None = None) -> None:
        self.committed_offsets = {} if committed_offsets is None else committed_offsets
        self.config: dict[str, Any] = {}
        self.calls: list[tuple[str, Any]] = []
        self.polls: deque[Sequence[Message] | BaseException | Callable[[], Sequence[Message]]] = deque()
        self.wanted: list[int] = []
        self.waits: list[float] = []
        self.failing: dict[str, KafkaException] = {}
        self.closed = False

    # --- what the worker calls
    def subscribe(self, topics: list[str], on_assign: Any, on_revoke: Any, on_lost: Any) -> None:
        self._on_assign, self._on_revoke, self._on_lost = on_assign, on_revoke, on_lost
        self._note("subscribe", topics)

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._note("committed", _numbers(partitions))
        return [TopicPartition(p.topic, p.partition, self.committed_offsets.get(p.partition, -1001)) for p in partitions]

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._note("assign", {p.partition: p.offset for p in partitions})

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        self._note("unassign", _numbers(partitions))

    def pause(self, partitions: list[TopicPartition]) -> None:
        self._note("pause", _numbers(partitions))

    def resume(self, partitions: list[TopicPartition]) -> None:
        self._note("resume", _numbers(partitions))

    def seek(self, partition: TopicPartition) -> None:
        self._note("seek", (partition.partition, partition.offset))

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self._note("commit" if asynchronous else "commit and wait", {p.partition: p.offset for p in offsets})
        self.committed_offsets |= {p.partition: p.offset for p in offsets}

    def consume(self, count: int, timeout: float) -> list[Message]:
        self.wanted.append(count)
        self.waits.append(timeout)
        if not self.polls:
            time.sleep(0.005)
            return []
        due = self.polls.popleft()
        if isinstance(due, BaseException):
            raise due
        return list(due() if callable(due) else due)

    def close(self) -> None:
        self._note("close", None)
        self.closed = True

    # --- what the test says
    def assign(self, *numbers: int) -> None:
        self._on_assign(self, _partitions(numbers))

    def revoke(self, *numbers: int) -> None:
        self._on_revoke(self, _partitions(numbers))

    def lose(self, *numbers: int) -> None:
        self._on_lost(self, _partitions(numbers))

    def called(self, *names: str) -> list[tuple[str, Any]]:
        """The calls of these names so far, in their order."""
        return [call for call in self.calls if call[0] in names]

    def _note(self, name: str, argument: Any) -> None:
        self.calls.append((name, argument))
        if name in self.failing:
            raise self.failing[name]


def _partitions(numbers: Iterable[int]) -> list[TopicPartition]:
    return [TopicPartition(TOPIC, number) for number in numbers]


def _numbers(partitions: Iterable[TopicPartition]) -> set[int]:
    return {partition.partition for partition in partitions}

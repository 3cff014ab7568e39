"""Dead letters that the topic refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.batch import Rejected
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.fence import Fence
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.sinks.dead_letter import DeadLetters
from tests.support.letters import ROWS
from tests.support.topics import read_topic, set_topic


@pytest.fixture
def letters(kafka: Stack, settings: Settings) -> Iterator[DeadLetters]:
    migrate(settings)
    fence, vitals = Fence(), Vitals()
    with clickhouse_client(settings.clickhouse) as client:
        inserter = Inserter(client, fence, vitals, "landing")
        yield DeadLetters(settings.kafka.client(), settings.kafka.topic("dead-letter"), inserter, vitals, ROWS)


def rejected(offset: int, raw: bytes, key: bytes | None = b"k") -> Rejected:
    return Rejected(topic="t", partition=0, offset=offset, key=key, raw=raw, step="decode", reason="no")


def test_what_is_too_large_is_said_once_a_minute(
    settings: Settings, letters: DeadLetters, caplog: pytest.LogCaptureFixture
) -> None:
    for offset in range(3):
        letters.write([rejected(offset, b"x" * 14_000_000), rejected(offset + 10, b"small")], 0)
    assert len(list(read_topic(settings.kafka, settings.kafka.topic("dead-letter")))) == 6
    said = [each for each in caplog.messages if "dead letters cut" in each]
    assert len(said) == 1 and "1 dead letters cut, 0 not at all, the first of 14000000 bytes" in said[0]


def test_what_is_refused_for_another_reason_than_its_size_is_not_tried_cut(
    settings: Settings, letters: DeadLetters, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compacted topic takes no record without a key."""
    topic = settings.kafka.topic("dead-letter")
    set_topic(settings.kafka, topic, "cleanup.policy", "compact")
    sent: list[int] = []
    send = letters._producer.send

    def counted(records: Any, at: Any) -> Any:
        sent.append(len(records))
        return send(records, at)

    monkeypatch.setattr(letters._producer, "send", counted)
    letters.write([rejected(1, b"x" * 100_000, None), rejected(2, b"small")], 0)
    assert sent == [2]
    assert [record.value() for record in read_topic(settings.kafka, topic)] == [b"small"]
    assert any("0 dead letters cut, 1 not at all" in each for each in caplog.messages)

"""Replay: the pace, times moved to now, and every event of a file in Kafka or in the report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.settings import KafkaSettings, Settings
from pipeline.errors import SettingsError, UnreachableError
from pipeline.generate.targets import feed_sample
from pipeline.kafka.event_producer import record_of
from pipeline.kafka.topics import migrate_topics
from pipeline.sources.recorded.open_files import Line
from pipeline.sources.recorded.replay import AsNow, _by_time, replay
from schemas.times import rfc3339
from tests.support.worker import wait_for

MAPPING = """
events:
  - fields:
      id: {from: id}
      platform: test
      kind: post
      created_at: {from: at, time: epoch_s}
      text: {from: text}
"""


def write(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, "utf-8")
    return path


def jsonl(folder: Path, events: list[dict[str, Any]]) -> Path:
    return write(folder, "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))


def post(number: int, seconds: float = 0, **rest: Any) -> dict[str, Any]:
    at = rfc3339(datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds), short=True)
    return {"id": str(number), "platform": "test", "kind": "post", "created_at": at, **rest}


# --- without a broker -----------------------------------------------------------------------------------------------
def test_keys_are_platform_and_id() -> None:
    assert record_of({"platform": "a", "id": "1"}) == (b"a:1", b'{"platform":"a","id":"1"}')
    assert record_of(b' {"id":"1", "platform":"a"}') == (b"a:1", b' {"id":"1", "platform":"a"}')
    for broken in (b"", b"{", b"[1]", b'{"id":1,"platform":"a"}', b'{"id":"1"}', b"\xff", b'{"id":"","platform":"a"}'):
        assert record_of(broken) == (None, broken)


class Ticks:
    """A clock that goes on by a second each time it is asked."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def test_as_now_keeps_an_event_its_changes_and_its_redeliveries_together() -> None:
    shift = AsNow(Ticks())
    create = shift(post(1, text="a"))
    again = shift(post(1, text="a"))
    edit = shift(orjson.dumps(post(1, operation="update", occurred_at="2020-01-02T00:00:00Z", text="b")))
    stranger = shift(post(2, operation="delete", occurred_at="2020-01-02T00:00:00Z"))
    assert isinstance(create, dict)
    assert isinstance(edit, bytes)
    assert isinstance(stranger, dict)
    assert create["created_at"] == create["occurred_at"] == "2026-01-01T00:00:01Z"
    assert again == create
    assert orjson.loads(edit)["created_at"] == create["created_at"]
    assert orjson.loads(edit)["occurred_at"] > create["occurred_at"]
    assert "created_at" not in stranger
    assert stranger["occurred_at"] == "2026-01-01T00:00:04Z"
    assert shift(b"{broken") == b"{broken"


@given(st.lists(st.one_of(st.integers(0, 10), st.none())))
def test_by_time_sorts_and_keeps_the_order_of_equal_times(seconds: list[int | None]) -> None:
    events: list[Line] = [b"no time" if s is None else orjson.dumps(post(n, s)) for n, s in enumerate(seconds)]
    timed = _by_time(iter(events))
    assert [moment for moment, _ in timed] == sorted(moment for moment, _ in timed)
    assert Counter(event for _, event in timed) == Counter(events)
    by_second: dict[str, list[int]] = {}
    for _, event in timed:
        if isinstance(event, bytes) and event != b"no time":
            fields = orjson.loads(event)
            by_second.setdefault(fields["created_at"], []).append(int(fields["id"]))
    assert all(ids == sorted(ids) for ids in by_second.values())


def test_what_is_wrong_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    nowhere = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"))
    good = jsonl(tmp_path, [post(1)])
    with pytest.raises(SettingsError, match=r"rows\.csv: .*needs a mapping"):
        replay(nowhere, [good, write(tmp_path, "rows.csv", "id,at,text\n")])
    with pytest.raises(SettingsError, match="column 'text'"):
        replay(nowhere, [good, write(tmp_path, "other.csv", "id,at\n")], mapping=write(tmp_path, "m.yaml", MAPPING))
    with pytest.raises(SettingsError, match="rate or by speed"):
        replay(nowhere, [good], rate=1, speed=1)
    with pytest.raises(UnreachableError, match=r"Kafka at 127\.0\.0\.1:1: "):
        replay(nowhere, [good])


# --- with a broker --------------------------------------------------------------------------------------------------
def read_topic(kafka: KafkaSettings) -> list[Message]:
    """All records of the events topic, partition by partition."""
    consumer = Consumer({**kafka.client(), "group.id": "reader", "enable.partition.eof": True})
    topic = kafka.topic("events")
    partitions = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    records: list[Message] = []
    ended: set[int | None] = set()
    while len(ended) < len(partitions):
        message = consumer.poll(10)
        assert message is not None, "no answer in ten seconds"
        if message.error():
            ended.add(message.partition())
        else:
            records.append(message)
    consumer.close()
    return records


@pytest.fixture
def settings(bare: Settings) -> Settings:
    return bare  # no test here needs Earshot's tables


@pytest.fixture
def topics(settings: Settings) -> KafkaSettings:
    migrate_topics(settings.kafka)
    return settings.kafka


def test_every_event_is_in_kafka_or_in_the_report(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    rows = write(tmp_path, "rows.csv", 'id,at,text\n1,1500000000,"a\nb"\n2,soon,c\n3\n4,1500000001,d\n')
    write(tmp_path, "rows.mapping.yaml", MAPPING)
    lines = jsonl(tmp_path, [post(5), post(6)])
    with lines.open("ab") as file:
        file.write(b"{broken\n\n")
    before = time.time()
    report = replay(settings, [rows, lines])
    assert (report.rows, report.events, report.produced, report.complete) == (8, 8, 6, True)
    assert [(row.file.name, row.line) for row in report.unmapped] == [("rows.csv", 4), ("rows.csv", 5)]
    assert str(report.unmapped[1]) == f"{rows}:5: 1 columns, the header has 3"
    records = read_topic(topics)
    assert sorted((record.key() or b"", record.value() or b"")[0] for record in records) == [
        b"", b"", b"test:1", b"test:4", b"test:5", b"test:6",
    ]  # fmt: skip
    assert {record.value() for record in records if record.key() is None} == {b"{broken", b""}
    assert all(before - 1 <= record.timestamp()[1] / 1000 <= time.time() + 1 for record in records), "the time of producing"


def test_a_second_replay_sends_the_same_bytes(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    write(tmp_path, "rows.mapping.yaml", MAPPING.replace("{from: id}", "{hash: [id, at, text]}"))
    rows = write(tmp_path, "rows.csv", "id,at,text\n" + "".join(f"{n},{1_500_000_000 + n},text {n}\n" for n in range(500)))
    assert replay(settings, [rows]).produced == replay(settings, [rows]).produced == 500
    places: dict[bytes | None, list[tuple[int | None, bytes | None]]] = {}
    for record in read_topic(topics):
        places.setdefault(record.key(), []).append((record.partition(), record.value()))
    assert len(places) == 500
    assert all(len(found) == 2 and found[0] == found[1] for found in places.values())


def test_speed_follows_the_events_time_and_rate_their_number(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    path = jsonl(tmp_path, [post(2, 60), post(1, 0), post(3, 120)])
    start = time.monotonic()
    assert replay(settings, [path], speed=120).produced == 3
    assert time.monotonic() - start >= 1
    sent = sorted((record.timestamp()[1], record.key()) for record in read_topic(topics))
    assert [key for _, key in sent] == [b"test:1", b"test:2", b"test:3"]
    start = time.monotonic()
    assert replay(settings, [path], rate=4).produced == 3
    assert time.monotonic() - start >= 0.5


def test_as_now_lands_at_the_moment_of_sending(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    assert replay(settings, [jsonl(tmp_path, [post(1), post(2)])], as_now=True, rate=2).produced == 2
    for record in read_topic(topics):
        fields = orjson.loads(record.value() or b"")
        sent = datetime.fromtimestamp(record.timestamp()[1] / 1000, UTC)
        assert abs(datetime.fromisoformat(fields["created_at"]) - sent) < timedelta(seconds=1)


def test_eleven_megabytes_pass_and_thirteen_are_reported(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    report = replay(settings, [jsonl(tmp_path, [post(1, text="x" * (11 << 20)), post(2, text="x" * (13 << 20)), post(3)])])
    assert (report.events, report.produced, report.failed.total(), report.complete) == (3, 2, 1, False)
    assert "too large" in next(iter(report.failed))
    assert sorted(record.key() or b"" for record in read_topic(topics)) == [b"test:1", b"test:3"]


def test_ctrl_c_ends_with_a_report_that_adds_up(settings: Settings, topics: KafkaSettings, tmp_path: Path) -> None:
    path = jsonl(tmp_path, [post(number) for number in range(1000)])
    script = (
        "import sys; from pathlib import Path; from pipeline.sources.recorded.replay import replay;"
        "from pipeline.config.settings import *;"
        "kafka = KafkaSettings.model_validate_json(sys.argv[1]);"
        "report = replay(Settings(kafka=kafka), [Path(sys.argv[2])], rate=100);"
        "print(report.interrupted, report.events, report.produced, report.failed.total(), len(report.unmapped))"
    )
    child = subprocess.Popen([sys.executable, "-c", script, topics.model_dump_json(), str(path)], stdout=subprocess.PIPE)
    try:
        while not read_topic(topics):
            time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=30)
    finally:
        child.kill()
        child.wait()
    interrupted, *numbers = out.decode().split()
    events, produced, failed, unmapped = map(int, numbers)
    assert interrupted == "True"
    assert events == produced + failed + unmapped
    assert 0 < produced == len(read_topic(topics)) < 1000


def test_a_missing_topic_is_one_line(settings: Settings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"topic_prefix": "absent"})})
    with pytest.raises(UnreachableError, match=r"no topic absent\.events \(earshot migrate creates it\)"):
        replay(elsewhere, [jsonl(tmp_path, [post(1)])])


def test_the_sample_feeds_new_events_at_each_start(settings: Settings, topics: KafkaSettings) -> None:
    def keys_after_feeding() -> set[bytes | None]:
        stop, before = threading.Event(), len(read_topic(topics))
        feeding = threading.Thread(target=feed_sample, args=(settings, stop))
        feeding.start()
        wait_for("some are there", lambda: len(read_topic(topics)) > before + 20, every=0.5)
        stop.set()
        feeding.join()
        return {record.key() for record in read_topic(topics) if record.key()}

    first = keys_after_feeding()
    second = keys_after_feeding()
    assert 20 < len(first) < 2000
    assert first < second

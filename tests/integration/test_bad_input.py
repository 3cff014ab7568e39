"""What bad input gets, through a real worker: dead letters with reason and origin for the bad ones, and all the others land."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Message, Producer
from prometheus_client.parser import text_string_to_metric_families

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.maintenance import dead_letters
from pipeline.migrate import migrate
from pipeline.sinks.dead_letter import CUT_BYTES
from tests.support.bad_records import BAD, GOOD, ODD, event
from tests.support.letters import DATA_KEYS, read_letters
from tests.support.topics import delete_topic, lag, read_topic, set_topic
from tests.support.worker import Worker, wait_for


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    with clickhouse_client(settings.clickhouse) as client:
        yield client


@pytest.fixture
def worker(client: Client, settings: Settings, tmp_path: Path) -> Iterator[Worker]:
    worker = Worker(settings, tmp_path / "worker.log")
    try:
        worker.wait_ready()
        yield worker
    finally:
        worker.close()


def produce(settings: Settings, records: list[tuple[bytes | None, bytes | None]], partition: int = 0, **more: Any) -> None:
    """As a source that compresses and has no limit of its own: the broker's is one of compressed bytes."""
    limits = {"message.max.bytes": 400_000_000, "compression.type": "zstd", "linger.ms": 100}
    producer = Producer({**settings.kafka.client(), **limits, **more})
    for key, value in records:
        producer.produce(settings.kafka.topic("events"), value, key, partition)
    assert producer.flush(60) == 0


def rows(client: Client, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in client.query(sql).result_rows]


def count(client: Client, table: str) -> int:
    return int(rows(client, f"SELECT count() FROM {table} FINAL")[0][0])


def test_each_bad_record_among_good_ones(settings: Settings, client: Client, worker: Worker) -> None:
    """Good and bad in turn on one partition: each bad one's dead letter has its own offset, each good one its own row."""
    bad = list(BAD.items())
    records: list[tuple[bytes | None, bytes | None]] = []
    for place, (_, (raw, _)) in enumerate(bad):
        records += [(None, event(id=f"good-{place}")), (b"some key", raw)]
    records += [(b"k", raw) for raw in ODD.values()]
    produce(settings, records)
    wait_for("dead letters", lambda: count(client, "dead_letters") == len(bad))
    wait_for("rows", lambda: count(client, "interactions") >= len(bad))

    landed = {offset: name for offset, name in rows(client, "SELECT offset, id FROM interactions WHERE id LIKE 'good%'")}
    assert landed == {2 * place: f"good-{place}" for place in range(len(bad))}
    letters = {letter.offset: letter for letter in read_letters(client)}
    for place, (name, (raw, reason)) in enumerate(bad):
        letter = letters[2 * place + 1]
        assert letter.reason and reason in letter.reason, name
        assert letter[6:] == (b"some key", raw or b"", len(raw or b"")) and letter.step == "decode", name
    assert _dead_letter_topic(settings, len(bad)) == {
        (str(2 * place + 1), raw or b"") for place, (_, (raw, _)) in enumerate(bad)
    }
    assert worker.status("/live") == 200
    _assert_metrics_tell_nothing_of_events(worker, len(bad))


def _assert_metrics_tell_nothing_of_events(worker: Worker, rejected: int) -> None:
    families = text_string_to_metric_families(worker.ask("/metrics")[1])
    samples = [sample for family in families for sample in family.samples]
    values = {value for sample in samples for value in sample.labels.values()}
    assert not [value for value in values if not re.fullmatch(r"[a-z_ ]+|[\d.]+(e\+\d+)?|\+Inf", value)]
    refused = {s.labels["reason"]: s.value for s in samples if s.name == "earshot_events_rejected_total"}
    assert sum(refused.values()) == rejected and refused["other"] == 0


def _dead_letter_topic(settings: Settings, expected: int) -> set[tuple[str, bytes]]:
    consumer = Consumer({**settings.kafka.client(), "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.subscribe([settings.kafka.topic("dead-letter")])
    found: set[tuple[str, bytes]] = set()

    def complete() -> bool:
        for message in consumer.consume(1_000, 0.2):
            assert message.error() is None
            headers = dict(message.headers() or [])
            assert headers.keys() == {"reason", "step", "topic", "partition", "offset"}
            assert headers["topic"] == settings.kafka.topic("events").encode()
            offset = headers["offset"]
            assert isinstance(offset, bytes)
            found.add((offset.decode(), message.value() or b""))
        return len(found) == expected

    wait_for("the dead letters of the topic", complete)
    consumer.close()
    return found


def test_eleven_megabytes_land_and_are_dead_letters(settings: Settings, client: Client, worker: Worker) -> None:
    big = "x" * 11_000_000
    produce(settings, [(b"1", event(id="big", text=big)), (b"2", b"[" + big.encode()), (b"3", GOOD)])
    wait_for("two rows", lambda: count(client, "interactions") == 2)
    wait_for("a dead letter", lambda: count(client, "dead_letters") == 1)
    assert rows(client, "SELECT id, length(text) FROM interactions ORDER BY offset") == [("big", 11_000_000), ("g", 2)]
    assert [(letter.offset, letter.raw) for letter in read_letters(client)] == [(1, b"[" + big.encode())]


def test_a_brand_name_of_a_megabyte_stops_nothing(settings: Settings, client: Client, worker: Worker) -> None:
    produce(settings, [(b"1", event(id="poison", brands=["x" * 1_100_000]))])
    produce(settings, [(None, event(id=str(place))) for place in range(60)])
    wait_for("60 rows", lambda: count(client, "interactions") == 60)
    assert rows(client, "SELECT offset, step, reason FROM dead_letters") == [
        (0, "decode", "brands has a name of more than 500 bytes")
    ]
    wait_for("all is committed", lambda: not lag(settings.kafka))
    assert worker.status("/ready") == 200


def test_what_is_larger_than_the_topic_takes_goes_there_cut_and_to_the_table_whole(
    settings: Settings, client: Client, worker: Worker
) -> None:
    huge = [b"[" + b"x" * 14_000_000, b"[" + b"y" * 90_000_000]
    produce(settings, [(b"k" * 100_000, huge[0]), (b"2", GOOD), (b"3", huge[1]), (b"4", b"no event")])
    wait_for("dead letters", lambda: count(client, "dead_letters") == 3)
    wait_for("all is committed", lambda: not lag(settings.kafka))
    assert [(letter.offset, len(letter.key or b""), letter.size) for letter in read_letters(client)] == [
        (0, 100_000, len(huge[0])), (2, 1, len(huge[1])), (3, 1, 8),
    ]  # fmt: skip
    assert count(client, "interactions") == 1
    letters = {headers(m)["offset"]: m for m in read_topic(settings.kafka, settings.kafka.topic("dead-letter"))}
    assert [headers(letters[place]).get("truncated") for place in ("0", "2", "3")] == ["14000001", "90000001", None]
    assert letters["0"].value() == huge[0][:CUT_BYTES] and letters["0"].key() == b"k" * CUT_BYTES
    assert letters["2"].value() == huge[1][:CUT_BYTES] and letters["2"].key() == b"3"
    assert worker.status("/ready") == 200
    assert 'earshot_records_refused_total{topic="dead_letters"} 2.0' in worker.ask("/metrics")[1]


def headers(message: Message) -> dict[str, str]:
    found = cast(list[tuple[str, bytes]], message.headers())
    return {name: value.decode() for name, value in found}


def test_a_hundred_and_one_months_in_a_batch(settings: Settings, client: Client, worker: Worker) -> None:
    months = [f"{1996 + place // 12}-{place % 12 + 1:02d}-15T00:00:00Z" for place in range(101)]
    produce(settings, [(None, event(id=str(place), created_at=month)) for place, month in enumerate(months)])
    wait_for("101 rows", lambda: count(client, "interactions") == 101)
    assert rows(client, "SELECT uniqExact(toYYYYMM(created_at)), uniqExact(offset) FROM interactions") == [(101, 101)]
    assert count(client, "dead_letters") == 0


def test_a_row_that_clickhouse_refuses_costs_no_other(settings: Settings, client: Client, worker: Worker) -> None:
    client.command("ALTER TABLE interactions ADD CONSTRAINT no_x CHECK text != 'refuse me'")
    produce(settings, [(None, event(id=str(place), text="refuse me" if place == 777 else "fine")) for place in range(2_000)])
    wait_for("1,999 rows", lambda: count(client, "interactions") == 1_999)
    wait_for("a dead letter", lambda: count(client, "dead_letters") == 1)
    (letter,) = read_letters(client)
    assert (letter.offset, letter.step) == (777, "clickhouse")
    assert "no_x" in letter.reason
    assert orjson.loads(letter.raw)["id"] == "777"
    assert rows(client, "SELECT count(), uniqExact(revision) FROM interactions") == [(1_999, 1_999)]
    client.command("ALTER TABLE interactions DROP CONSTRAINT no_x")
    assert dead_letters.replay(client, settings.kafka, dead_letters.Filter(), DATA_KEYS).produced == 1
    wait_for("the row that was refused", lambda: count(client, "interactions") == 2_000)


def test_a_change_that_may_not_wait_is_a_dead_letter(settings: Settings, client: Client, worker: Worker) -> None:
    client.command("ALTER TABLE pending_changes ADD CONSTRAINT none CHECK operation != 'delete'")
    produce(settings, [(None, event(operation="delete", occurred_at="2026-09-03T00:00:00Z")), (None, event(id="2"))])
    wait_for("a dead letter", lambda: count(client, "dead_letters") == 1)
    wait_for("a row", lambda: count(client, "interactions") == 1)
    assert count(client, "pending_changes") == 0
    assert rows(client, "SELECT offset, step FROM dead_letters") == [(0, "clickhouse")]


def test_a_change_that_waited_and_is_refused_later_keeps_its_content(
    settings: Settings, client: Client, worker: Worker
) -> None:
    client.command("ALTER TABLE interactions ADD CONSTRAINT no_x CHECK text != 'refuse me'")
    person = {"handle": "ann", "email": "Ann@example.org", "followers": 7}
    said = {"text": "refuse me", "hashtags": ["a", "b"], "metrics": {"likes": 5}, "author": person}
    edit = event(operation="update", occurred_at="2026-09-03T00:00:00.250Z", created_at=None, brands=["Mine"], **said)
    produce(settings, [(b"k", edit)])
    wait_for("it waits", lambda: count(client, "pending_changes") == 1)
    produce(settings, [(None, event(author={"email": "ann@example.org"}))])
    wait_for("a dead letter", lambda: count(client, "dead_letters") == 1)
    (letter,) = read_letters(client)
    assert (letter.offset, letter.step, letter.key) == (0, "clickhouse", b"x:g")
    kept = orjson.loads(letter.raw)
    assert (kept["text"], kept["hashtags"], kept["brands"]) == ("refuse me", ["a", "b"], ["Mine"])
    assert b"example.org" not in letter.raw
    wait_for("it does not wait any more", lambda: rows(client, "SELECT done FROM pending_changes FINAL") == [(1,)])

    hashed = rows(client, "SELECT author_email FROM interactions FINAL")
    client.command("ALTER TABLE interactions DROP CONSTRAINT no_x")
    assert dead_letters.replay(client, settings.kafka, dead_letters.Filter(), DATA_KEYS).produced == 1
    columns = "text, hashtags, metrics_likes, author_handle, author_followers, brands, occurred_at"
    wait_for("the edit", lambda: rows(client, "SELECT text FROM interactions FINAL") == [("refuse me",)])
    assert [row[:-1] for row in rows(client, f"SELECT {columns} FROM interactions FINAL")] == [
        ("refuse me", ["a", "b"], 5, "ann", 7, ["Mine"])
    ]
    assert rows(client, "SELECT author_email FROM interactions FINAL") == hashed, "a sealed hash is not hashed again"


def test_a_change_finds_its_event_whatever_minute_it_says(settings: Settings, client: Client, worker: Worker) -> None:
    produce(settings, [(None, event(created_at="2026-09-01T10:00:30Z"))])
    wait_for("a row", lambda: count(client, "interactions") == 1)
    gone = event(operation="delete", occurred_at="2026-09-03T00:00:00Z", created_at="2026-09-01T10:02:00Z")
    produce(settings, [(None, gone)])
    wait_for("a tombstone", lambda: count(client, "interactions") == 0)


def test_a_topic_for_dead_letters_that_is_gone_holds_the_worker(settings: Settings, client: Client, worker: Worker) -> None:
    delete_topic(settings.kafka, settings.kafka.topic("dead-letter"))
    produce(settings, [(None, b"no event"), (None, GOOD)])
    worker.wait_ready(False)
    assert "dead letters" in worker.ask("/ready")[1]
    assert worker.status("/live") == 200
    migrate(settings)
    worker.wait_ready()
    wait_for("a dead letter", lambda: count(client, "dead_letters") == 1)
    wait_for("a row", lambda: count(client, "interactions") == 1)


def test_a_topic_with_a_small_limit_holds_nobody(settings: Settings, client: Client, worker: Worker) -> None:
    """A letter that it takes not even cut is in the table alone."""
    set_topic(settings.kafka, settings.kafka.topic("dead-letter"), "max.message.bytes", 1_000)
    produce(settings, [(None, random.Random(1).randbytes(4_000)), (None, b"no event"), (None, GOOD)])
    wait_for("dead letters", lambda: count(client, "dead_letters") == 2)
    wait_for("a row", lambda: count(client, "interactions") == 1)
    assert [m.value() for m in read_topic(settings.kafka, settings.kafka.topic("dead-letter"))] == [b"no event"]
    assert worker.said("1 not at all, the first of 4000 bytes")
    assert worker.status("/ready") == 200


def test_an_idle_worker_notices_that_clickhouse_is_away(kafka: Stack, client: Client, worker: Worker) -> None:
    with kafka.paused("clickhouse"):
        worker.wait_ready(False)
    worker.wait_ready()


def test_a_table_that_is_away_holds_the_worker_and_loses_nothing(settings: Settings, client: Client, worker: Worker) -> None:
    client.command("RENAME TABLE interactions TO elsewhere")
    produce(settings, [(None, event(id=str(place))) for place in range(50)])
    worker.wait_ready(False)
    assert "clickhouse" in worker.ask("/ready")[1]
    assert worker.status("/live") == 200
    client.command("RENAME TABLE elsewhere TO interactions")
    worker.wait_ready()
    wait_for("50 rows", lambda: count(client, "interactions") == 50)
    assert "will be retried" in worker.log.read_text()

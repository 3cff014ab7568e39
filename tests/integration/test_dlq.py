"""Dead letters: read from the real engine, sent again to the real broker."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

import polars as pl
import pytest
import xxhash
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition

from pipeline.batch import Rejected, Unreadable
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.keys import DataKeys
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.errors import EarshotError
from pipeline.maintenance import dead_letters
from pipeline.maintenance.dead_letters import Filter
from pipeline.migrate import migrate
from tests.support.letters import DATA_KEYS, ROWS
from tests.support.link import Link

NOW = datetime.now(UTC).replace(microsecond=0)  # the table keeps them for 400 days


class Letter(NamedTuple):
    partition: int
    offset: int
    reason: str
    key: bytes | None
    raw: bytes


LETTERS = [
    Letter(0, 5, "kind is not one of post, comment", b"x:1", b'{"id":"1","kind":"tweet"}'),
    Letter(0, 6, "the record is empty", None, b""),
    Letter(0, 9, "kind is not one of post, comment", b"x:1", b'{"id":"1","kind":"retweet"}'),
    Letter(1, 5, "invalid UTF-8", b"\xff\x00", b"caf\xe9 \x1b[31m\x00"),
    Letter(1, 7, "kind is not one of post, comment", b"x:1", b'{"id":"1","kind":"tweet"}'),  # the first, delivered twice
]


OLD = {LETTERS[1].raw, LETTERS[3].raw}


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    migrate(settings)
    client = clickhouse_client(settings.clickhouse)
    write(client, "social.events", LETTERS)
    yield client
    client.close()


def write(client: Client, topic: str, letters: Sequence[Letter]) -> None:
    """The sink may write a letter again; it is still one. Two are as they came, from before letters were encrypted."""
    ats = [NOW + timedelta(seconds=n) for n in range(len(letters))]
    rejected = [Rejected("decode", x.reason, topic, x.partition, x.offset, x.key, x.raw) for x in letters]
    old = [[*x, xxhash.xxh3_64_intdigest(x.raw), at] for x, at in zip(rejected, ats, strict=True) if x.raw in OLD]
    for _ in range(2):
        if old:
            client.insert("dead_letters", old, column_names=[*Rejected._fields, "content", "rejected_at"])
        new = ROWS.of(rejected).with_columns(rejected_at=pl.Series(ats)).filter([x.raw not in OLD for x in rejected])
        client.insert_arrow("dead_letters", new.to_arrow())


def produced(settings: Settings, expected: int) -> list[tuple[bytes | None, bytes | None]]:
    """What lies in the events topic, in the order of each partition."""
    consumer = Consumer({**settings.kafka.client(), "group.id": "reader", "enable.auto.commit": False, "log_level": 0})
    topic = settings.kafka.topic("events")
    consumer.assign([TopicPartition(topic, n, 0) for n in range(settings.kafka.partitions)])
    found: list[tuple[bytes | None, bytes | None]] = []
    while (message := consumer.poll(20 if len(found) < expected else 0.5)) is not None:  # one without a value is falsy
        assert message.error() is None
        found.append((message.key(), message.value()))
    consumer.close()
    return found


def places(client: Client, which: Filter, most: int = 100) -> list[tuple[int, int]]:
    return [(letter.partition, letter.offset) for letter in dead_letters.newest(client, which, most, DATA_KEYS)]


def test_letters_come_newest_first_with_their_bytes(client: Client) -> None:
    letters = dead_letters.newest(client, Filter(), 100, DATA_KEYS)
    assert [Letter(x.partition, x.offset, x.reason, x.key, x.raw) for x in letters] == LETTERS[::-1]
    assert [x.rejected_at.replace(tzinfo=UTC) for x in letters] == [NOW + timedelta(seconds=n) for n in (4, 3, 2, 1, 0)]
    assert [x.size for x in letters] == [len(x.raw) for x in LETTERS[::-1]]
    assert places(client, Filter(), 2) == [(1, 7), (1, 5)]


def test_a_letter_larger_than_an_event_is_shown_by_its_beginning_and_not_sent(settings: Settings, client: Client) -> None:
    write(client, "t", [Letter(3, 1, "no", b"k", b"x" * 14_000_000)])
    (letter,) = dead_letters.newest(client, Filter(topic="t"), 10, DATA_KEYS)
    assert (letter.raw, letter.size) == (b"x" * dead_letters.SHOWN_BYTES, 14_000_000)
    done = dead_letters.replay(client, settings.kafka, Filter(topic="t"), DATA_KEYS)
    ((why, times),) = done.failed.items()
    assert (done.produced, times) == (0, 1) and "Message size too large" in why


def test_a_filter_meets_all_that_is_set(client: Client) -> None:
    assert places(client, Filter(reason="KIND is not")) == [(1, 7), (0, 9), (0, 5)]
    assert places(client, Filter(reason="decode: invalid")) == [(1, 5)]
    assert places(client, Filter(reason="kind", partition=0)) == [(0, 9), (0, 5)]
    assert places(client, Filter(first=6, last=7)) == [(1, 7), (0, 6)]
    assert places(client, Filter(topic="another.events")) == []
    assert places(client, Filter(reason="' OR 1 --")) == []


def test_replay_sends_key_and_bytes_as_they_came_and_equal_records_once(settings: Settings, client: Client) -> None:
    expected = [(x.key, x.raw) for x in LETTERS[:4]]
    assert dead_letters.count(client, Filter())[:3] == (len(expected), 0, 5)
    done = dead_letters.replay(client, settings.kafka, Filter(), DATA_KEYS)
    assert (done.produced, sum(done.failed.values())) == (len(expected), 0)
    found = produced(settings, len(expected))
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert [raw for key, raw in found if key == b"x:1"] == [LETTERS[0].raw, LETTERS[2].raw]


def test_replay_sends_what_the_filter_names(settings: Settings, client: Client) -> None:
    which = Filter(partition=1, first=6)
    assert dead_letters.count(client, which)[:2] == (1, 0)
    assert dead_letters.replay(client, settings.kafka, which, DATA_KEYS).produced == 1
    assert produced(settings, 1) == [(b"x:1", LETTERS[4].raw)]


def test_what_nobody_could_read_is_left_out_and_counted(settings: Settings, client: Client) -> None:
    """It has no bytes; an empty record has none either, but came so, and goes so."""
    client.insert_arrow("dead_letters", ROWS.of([Unreadable("t", 3, 10, 19, "Decompression failed").letter()]).to_arrow())
    empty = Filter(reason="empty")
    assert (dead_letters.count(client, Filter(topic="t"))[:2], dead_letters.count(client, empty)[:2]) == ((0, 1), (1, 0))
    counted = dead_letters.count(client, Filter())
    assert counted[:3] == (4, 1, 6) and counted.repeats == 1
    assert dead_letters.count(client, Filter(until=counted.until - 1)).letters < 6
    assert dead_letters.replay(client, settings.kafka, Filter(topic="t"), DATA_KEYS).produced == 0
    assert dead_letters.replay(client, settings.kafka, empty, DATA_KEYS).produced == 1
    assert produced(settings, 1) == [(None, b"")]


def test_a_letter_of_eleven_megabytes_is_sent_again(settings: Settings, client: Client) -> None:
    raw = b'{"text": "' + b"x" * 11_000_000
    write(client, "t", [Letter(3, 1, "cut off", b"k", raw)])
    done = dead_letters.replay(client, settings.kafka, Filter(topic="t"), DATA_KEYS)
    assert (done.produced, dict(done.failed)) == (1, {})
    assert produced(settings, 1) == [(b"k", raw)]


def test_another_key_reads_nothing_and_sends_nothing(settings: Settings, client: Client) -> None:
    """Letters of before need none."""
    kept = [letter.raw for letter in dead_letters.newest(client, Filter(reason="empty"), 1, DataKeys())]
    assert kept == [b""]
    for keys, said in (
        (DataKeys(), "privacy.data_key is missing"),
        (DataKeys(("f" * 64,)), "offset 5 can't be decrypted: privacy.data_key is"),
    ):
        with pytest.raises(EarshotError, match=said):
            dead_letters.replay(client, settings.kafka, Filter(partition=0, first=5, last=5), keys)
    client.command("ALTER TABLE dead_letters UPDATE form = 9 WHERE offset = 9", settings={"mutations_sync": 1})
    with pytest.raises(EarshotError, match="by a later program"):
        dead_letters.newest(client, Filter(), 10, DATA_KEYS)


def test_what_was_sent_before_a_failure_is_counted(settings: Settings, client: Client) -> None:
    """ClickHouse goes away in the midst of 8 MB."""
    write(client, "many", [Letter(0, n, "no", b"k%d" % n, random.Random(n).randbytes(10_000)) for n in range(800)])
    port = urlsplit(settings.clickhouse.url).port
    assert port
    with Link(free_port(), port) as link:
        there = settings.clickhouse.model_copy(update={"url": f"http://127.0.0.1:{link.port}"})
        with clickhouse_client(there) as far:
            far.set_client_setting("max_block_size", 50)
            link.end_after(4_000_000)
            done = dead_letters.replay(far, settings.kafka, Filter(topic="many"), DATA_KEYS)
            assert 0 < done.produced < 800 and "ClickHouse at" in done.broken_off
            assert done.outcome.startswith(f"broken off after {done.produced} were sent: ")
            assert len(produced(settings, done.produced)) == done.produced
            link.end_after(1_000)
            with pytest.raises(EarshotError, match="ClickHouse at"):
                dead_letters.replay(far, settings.kafka, Filter(topic="many"), DATA_KEYS)

"""The dead letters of a person go, and are taken along; those of others stay."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import xxhash
from clickhouse_connect.driver.client import Client

from pipeline.batch import Rejected
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.migrations import read_migrations
from pipeline.config.settings import Settings
from pipeline.migrate import migrate
from pipeline.privacy.letters import hide_letters, letters_of
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from pipeline.sinks.letter_subject import subject_of
from schemas.contacts import DEFAULT
from schemas.erasures import Keys
from schemas.identity import account_key
from tests.support.letters import DATA_KEYS, PRIVACY, ROWS, read_letters
from tests.support.worker import wait_for

HANDLE = account_key("x", None, "anna")
ANN = Keys(
    [account_key("x", "ann"), account_key("x", None, "annie"), HANDLE],
    PRIVACY.hashes("author_email", ["ann@example.org"]),
    [account_key("x", "post of ann")],
    frozenset([HANDLE]),
)
THEIRS = [
    {"platform": "x", "id": "1", "author": {"id": "ann"}},
    {"platform": "x", "id": "2", "author": {"id": 77, "handle": "@Annie"}},
    {"platform": "y", "id": "3", "author": {"id": "other", "accounts": ["x:ann"]}},
    {"platform": "y", "id": "4", "author": {"email": " Ann@example.org"}},
    {"platform": "x", "id": "post of ann", "operation": "update"},
    {"platform": "x", "id": "5", "author": {"handle": "Anna"}},
]
OTHERS = [
    {"platform": "x", "id": "9", "author": {"id": "bob"}, "text": "I know x:ann"},
    {"platform": "y", "id": "10", "author": {"id": "ann", "email": "bob@example.org"}},
    {"platform": "y", "id": "post of ann"},
    {"platform": "x", "id": "11", "author": {"id": "the next owner", "handle": "anna"}},
]


def letters(topic: str) -> list[Rejected]:
    records = [orjson.dumps(each) for each in (*THEIRS, *OTHERS)] + [b"ann, but no JSON"]
    return [Rejected("decode", "no", topic, 0, offset, b"k", raw) for offset, raw in enumerate(records)]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    """Letters of this release in topic new, of before in topic old."""
    migrate(emptied)
    with clickhouse_client(emptied.clickhouse) as client:
        client.insert_arrow("dead_letters", ROWS.of(letters("new")).to_arrow())
        old = [[*each, xxhash.xxh3_64_intdigest(each.raw), datetime.now(UTC)] for each in letters("old")]
        client.insert("dead_letters", old, column_names=[*Rejected._fields, "content", "rejected_at"])
        yield client


def test_the_letters_of_a_person_are_taken_along_and_hidden(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [(topic, offset) for topic in ("new", "old") for offset in range(len(THEIRS))]
    taken = list(letters_of(client, ANN, PRIVACY.hashes, DATA_KEYS))
    assert sorted((each.topic, each.offset) for each in taken) == mine
    assert [each.rejected_at for each in taken] == sorted(each.rejected_at for each in taken), "whatever finds them"
    asked: list[str] = []
    stream = client.query_rows_stream

    def counted(sql: str, *more: Any, **named: Any) -> object:
        asked.append(sql)
        return stream(sql, *more, **named)

    monkeypatch.setattr(client, "query_rows_stream", counted)
    many = Keys(ANN.accounts, ANN.values, [*ANN.events, *range(1, 50_000)], ANN.handles)
    assert list(letters_of(client, many, PRIVACY.hashes, DATA_KEYS)) == taken
    assert len(asked) == 1, "a machine's account has a million events, and hardly any has letters"
    assert all(orjson.loads(each.raw) == THEIRS[each.offset] for each in taken)
    assert hide_letters(client, ANN, PRIVACY.hashes) >= len(mine)
    stay = [(topic, offset) for topic in ("new", "old") for offset in range(len(THEIRS), len(THEIRS) + len(OTHERS) + 1)]
    assert [(each.topic, each.offset) for each in read_letters(client)] == stay
    assert hide_letters(client, ANN, PRIVACY.hashes) == 0, "it may be done again"
    assert hide_letters(client, Keys()) == 0


def test_a_topic_that_is_read_again_brings_none_of_them_back() -> None:
    privacy = Pseudonymise(b"the key of the tests", "", DEFAULT)
    rows = LetterRows(LetterEncryption(DATA_KEYS), privacy)
    assert rows.kept(letters("new")) == letters("new") and list(rows.kept([])) == []
    privacy.suppressed.put(ANN)
    assert [each.offset for each in rows.kept(letters("new"))] == list(range(len(THEIRS), len(letters("new"))))


SAYS = [
    {}, {"text": "ann"}, {"platform": "x", "id": "1", "author": "ann"}, {"platform": "x", "id": "1", "author": ["ann"]},
    {"platform": "x", "id": "1", "author": {"id": {"of": "ann"}}}, {"platform": "x", "author": {"accounts": "x:ann"}},
    {"platform": ["x"], "id": "1", "author": {"id": "ann"}}, {"platform": "x", "id": True}, {"platform": "x", "id": 1.5},
    {"id": "1", "author": {"id": "ann"}}, {"id": "1", "author": {"handle": "ann", "email": "ann@example.org"}},
    {"author": {"accounts": ["X:ann", "ann", "x:", "x:a b"]}}, {"platform": "", "id": "1"}, {"platform": "x", "id": ""},
    {"platform": "x", "id": None, "author": {"name": "ann"}}, {"platform": "x", "author": {"email": 5.5}},
    {"platform": "x", "id": 0}, {"platform": "x", "id": 2**64 - 1}, {"platform": 5, "author": {"id": -7}},
    {"author": {"accounts": [5, "x:@ann"]}}, {"author": {"phone": 15550147}}, {"author": {"email": "ann@example.org"}},
    {"platform": "x", "id": "1", "author": None}, {"platform": "x", "author": {"handle": "ann"}, "id": ""},
]  # fmt: skip
"""Whose they are, or not: records of all shapes."""


def test_letters_of_before_say_whose_they_are_or_go_after_90_days(client: Client) -> None:
    records = [
        *(orjson.dumps(each) for each in SAYS),
        b"[1]",
        b"5",
        b"null",
        b'"x:ann"',
        b'{"platform": "x", "id": "1"',
        b"\xff",
    ]
    rows = [
        [topic, 0, offset, offset, raw, datetime.now(UTC)] for topic in ("read", "merged") for offset, raw in enumerate(records)
    ]
    names = ("topic", "partition", "offset", "content", "raw", "rejected_at")
    client.insert("dead_letters", rows[: len(records)], column_names=names)
    written = [[*row, 0] for row in rows[len(records) :]]  # as merges before migration 035 have it in the files
    client.insert("dead_letters", written, column_names=(*names, "unreadable"))
    for statement in next(each for each in read_migrations() if each.name == "035_unreadable_letters").statements:
        client.command(statement)

    def found(topic: str) -> list[int]:
        sql = f"SELECT unreadable FROM dead_letters WHERE topic = '{topic}' ORDER BY offset"
        return [row[0] for row in client.query(sql).result_rows]

    expected = [int(not subject_of(raw).told) for raw in records]
    assert found("read") == expected and 0 < sum(expected) < len(records)
    wait_for("the column is written anew", lambda: found("merged") == expected)
    assert {row[0] for row in client.query("SELECT unreadable FROM dead_letters WHERE form = 1").result_rows} == {0, 1}

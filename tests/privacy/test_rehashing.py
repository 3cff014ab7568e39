"""The hash key is changed: what tables have by the earlier key becomes what they would have by the newest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.keys import HashKeys
from pipeline.config.settings import Settings
from pipeline.fence import OpenFence
from pipeline.monitoring.health import Vitals
from pipeline.privacy.register import TABLES as REGISTER
from pipeline.privacy.rehashing import PLACES, RAISING, Rehashing
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks import raised_hashes
from pipeline.sinks.erasures import suppress, suppression_rows
from schemas.contacts import DEFAULT
from schemas.erasures import Keys
from schemas.hashes import Chain
from schemas.times import utc_now

KEYS = ("key", "later", "newest")
STEPS = [Pseudonymise(HashKeys(KEYS[:count]), "DE", DEFAULT) for count in (1, 2, 3)]
MAILS = [f"person{number}@example.org" for number in range(40)]
NUMBERS = [f"+4930901{number:03d}" for number in range(40)]
NOT_OURS = {
    "conversation_quarters": "names of conversations: XXH3",
    "console_sessions": "cookies and links",
    "console_names": "the account at the provider",
    "source_cursors": "parts of posts",
}
"""Tables with hashes that setting privacy.hash_key does not make."""


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def rehashing(client: Client, count: int, type_: type[Rehashing] = Rehashing) -> Rehashing:
    inserter = Inserter(client, OpenFence(), Vitals(), "test")
    return type_(client, inserter, Chain([key.encode() for key in KEYS[:count]]))


class Killed(Rehashing):
    """A process that is killed at its statement of this number."""

    statements = 0

    def _command(self, sql: str) -> None:
        self.statements -= 1
        if not self.statements:
            raise KeyboardInterrupt
        super()._command(sql)


def hashes(step: Pseudonymise, begin: int, count: int) -> tuple[list[str], list[str]]:
    some = slice(begin, begin + count)
    return step.hashes("author_email", MAILS[some]), step.hashes("author_phone", NUMBERS[some])


def write(client: Client, step: Pseudonymise, begin: int = 0, count: int = 10) -> None:
    """Rows of some people, by a process with these keys. Every third has no number."""
    mails, numbers = hashes(step, begin, count)
    people = [(begin + n, mail, "" if n % 3 == 0 else numbers[n]) for n, mail in enumerate(mails)]
    now = utc_now()
    rows = [(n, 1, f"2026-{1 + n % 3:02d}-02 00:00:00", "x", mail, number) for n, mail, number in people]
    values = ", ".join(map(str, rows))
    client.command(
        f"INSERT INTO interactions (event_key, version, created_at, platform, author_email, author_phone) VALUES {values}"
    )
    quoting = [f'"author_email":"{mail}"' for mail in hashes(STEPS[0], begin, count)[0]]  # it is what they wrote
    changes = (
        pl.DataFrame({"author_email": mails, "author_phone": [number or None for _, _, number in people], "text": quoting})
        .select(pl.struct(pl.all()).struct.json_encode())
        .to_series()
    )
    client.insert(
        "pending_changes",
        [(n, 7, now, change, 0) for (n, _, _), change in zip(people, changes, strict=True)],
        column_names=("event_key", "revision", "arrived_at", "change", "done"),
    )
    letters = [("events", 0, n, n, now, 1, [mail, *([number] if number else [])]) for n, mail, number in people]
    names = ("topic", "partition", "offset", "content", "rejected_at", "form", "contacts")
    client.insert("dead_letters", letters, column_names=names)
    records = [(n, f"C-{n}", mail, number, now) for n, mail, number in people]
    client.insert("customers", records, column_names=("profile", "id", "email_hash", "phone_hash", "imported_at"))
    rules = orjson.dumps({"blocked": {"emails": mails[:2], "phones": numbers[:1], "pages": ["https://acme.example"]}})
    client.insert(
        "identity_rules", [(begin + 1, rules.decode(), "ines", now)], column_names=("version", "rules", "by", "applied_at")
    )
    erased = Keys([1], [*mails[:3], numbers[3]], [2])
    suppress(Inserter(client, OpenFence(), Vitals(), "test"), suppression_rows(erased, 5, now))


READS = (
    "SELECT event_key, version, created_at, author_email, author_phone FROM interactions ORDER BY ALL",
    "SELECT event_key, revision, change, done FROM pending_changes ORDER BY ALL",
    "SELECT offset, content, contacts FROM dead_letters ORDER BY ALL",
    "SELECT profile, id, email_hash, phone_hash FROM customers ORDER BY ALL",
    "SELECT version, rules FROM identity_rules FINAL ORDER BY ALL",
)
SUPPRESSED = "SELECT kind, key, value, erasure FROM suppressions FINAL ORDER BY ALL"


def stored(client: Client, *more: str) -> list[list[Any]]:
    return [list(client.query(sql).result_rows) for sql in (*READS, *more)]


def empty(client: Client) -> None:
    for table in {*PLACES, "identity_marks"}:
        client.command(f"TRUNCATE TABLE {table}")


def test_it_knows_each_table_whose_hashes_the_key_makes() -> None:
    hashed = {place.name for place in REGISTER.values() if place.hashed}
    assert hashed - set(NOT_OURS) == set(PLACES), "rehashing.py has to raise what a new table has"


def test_what_is_by_the_earlier_key_becomes_what_is_by_the_newest(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    write(client, STEPS[1])
    wanted, suppressed = stored(client), client.query(SUPPRESSED).result_rows
    empty(client)
    write(client, STEPS[0])
    monkeypatch.setattr(raised_hashes, "PIECE", 5)  # parts: by the first digit of a hash
    rotation, said = rehashing(client, 2), []
    assert {table: rotation.left()[table] for table in ("interactions", "identity_rules", "suppressions")} == {
        "interactions": 10, "identity_rules": 1, "suppressions": 4,
    }  # fmt: skip
    assert rotation.run(lambda done, rows: said.append((done, rows))) == 0
    found = stored(client)
    assert said[-1] == (40, 40)
    assert found == wanted
    both = set(client.query(SUPPRESSED).result_rows)
    assert set(suppressed) < both and len(both) == len(suppressed) + 4, "workers of before are still there"
    assert rotation.left() == {**dict.fromkeys(rotation.left(), 0), "suppressions": 4}
    assert client.query(f"SELECT count() FROM {raised_hashes.TABLE}").result_rows != [(0,)]
    assert rotation.run() == 0 and client.query(SUPPRESSED).result_rows == suppressed
    assert not any(rotation.left().values())
    assert client.query(f"SELECT count() FROM {raised_hashes.TABLE}").result_rows == [(0,)]
    assert client.query(f"EXISTS TABLE {RAISING}").result_rows == [(0,)]


def test_killed_at_each_statement_it_ends_as_if_it_never_was_and_earlier_changes_need_not_be_whole(client: Client) -> None:
    write(client, STEPS[2], 0, 8)
    write(client, STEPS[2], 8, 8)
    wanted, suppressed = stored(client), client.query(SUPPRESSED).result_rows
    empty(client)
    write(client, STEPS[0], 0, 8)
    raised_hashes.note(Inserter(client, OpenFence(), Vitals(), "test"), Chain([b"key", b"later"]))  # and no more of it
    write(client, STEPS[1], 8, 8)
    for statement in range(1, 1_000):
        Killed.statements, rotation = statement, rehashing(client, 3, Killed)
        try:
            assert rotation.run() == 0
            break
        except KeyboardInterrupt:
            continue
    assert stored(client) == wanted and statement > 5
    assert rehashing(client, 3).run() == 0
    assert client.query(SUPPRESSED).result_rows == suppressed and not any(rehashing(client, 3).left().values())

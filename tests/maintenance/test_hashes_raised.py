"""The hash key is changed: what tables have by the earlier key becomes what they would have by the newest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse import rotating
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.keys import HashKeys
from pipeline.config.settings import Settings
from pipeline.fence import OpenFence
from pipeline.maintenance.rotation.hashed_rows import RAISING, Database
from pipeline.maintenance.rotation.hashes import works
from pipeline.maintenance.rotation.work import Advance
from pipeline.monitoring.health import Vitals
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks import raised_hashes
from pipeline.sinks.erasures import suppress as write_suppressed
from pipeline.sinks.erasures import suppression_rows
from schemas.contacts import DEFAULT
from schemas.erasures import Keys
from schemas.hashes import Chain
from schemas.times import utc_now

KEYS = ("key", "later", "newest")
STEPS = [Pseudonymise(HashKeys(KEYS[:count]), "DE", DEFAULT) for count in (1, 2, 3)]
MAILS = [f"person{number}@example.org" for number in range(40)]
NUMBERS = [f"+4930901{number:03d}" for number in range(40)]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def raised(client: Client, count: int, advance: Advance = lambda rows: None) -> dict[str, int]:
    """What is left of older keys by table, after a run with so many keys."""
    each = works(client, HashKeys(KEYS[:count]))
    for _ in range(2):
        for work in each:
            work.run(advance)
    return {work.table: work.left() for work in each}


def hashes(step: Pseudonymise, begin: int, count: int) -> tuple[list[str], list[str]]:
    some = slice(begin, begin + count)
    return step.hashes("author_email", MAILS[some]), step.hashes("author_phone", NUMBERS[some])


def write(client: Client, step: Pseudonymise, begin: int = 0, count: int = 10) -> None:
    """Rows of some people, by a process with these keys. Every third has no number."""
    mails, numbers = hashes(step, begin, count)
    people = [(begin + n, mail, "" if n % 3 == 0 else numbers[n]) for n, mail in enumerate(mails)]
    now = utc_now()
    rows = [(n, 1, f"2026-{1 + n % 2:02d}-02 00:00:00", "x", mail, number) for n, mail, number in people]
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
    write_suppressed(Inserter(client, OpenFence(), Vitals(), "test"), suppression_rows(erased, 5, now))


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
    for work in works(client, HashKeys(KEYS)):
        client.command(f"TRUNCATE TABLE {work.table}")


def test_what_is_by_the_earlier_key_becomes_what_is_by_the_newest(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    write(client, STEPS[1])
    wanted, suppressed = stored(client), client.query(SUPPRESSED).result_rows
    empty(client)
    write(client, STEPS[0])
    monkeypatch.setattr(raised_hashes, "PIECE", 5)  # parts: by the first digit of a hash
    done: list[int] = []
    left = raised(client, 2, done.append)
    assert stored(client) == wanted and sum(done) == 41
    both = set(client.query(SUPPRESSED).result_rows)
    assert set(suppressed) < both and len(both) == len(suppressed) + 4, "workers of before are still there"
    assert left == {**dict.fromkeys(left, 0), "suppressions": 4} and noted(client)
    rotating.begin(client)
    assert raised(client, 2)["suppressions"] == 4, "it goes on with one that was stopped"
    rotating.end(client)
    assert not any(raised(client, 2).values())
    assert client.query(SUPPRESSED).result_rows == suppressed and not noted(client)
    assert client.query(f"EXISTS TABLE {RAISING}").result_rows == [(0,)]


def test_killed_at_each_statement_it_goes_on_and_a_change_of_before_need_not_be_whole(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for begin in (0, 8):
        write(client, STEPS[2], begin, 8)
    wanted, suppressed = stored(client), client.query(SUPPRESSED).result_rows
    empty(client)
    write(client, STEPS[0], 0, 8)
    raised_hashes.note(Inserter(client, OpenFence(), Vitals(), "test"), Chain([b"key", b"later"]))  # and no more of it
    write(client, STEPS[1], 8, 8)
    left, command = [0], Database.command

    def killed(self: Database, sql: str, *settings: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        command(self, sql, *settings)

    monkeypatch.setattr(Database, "command", killed)
    for statement in range(1, 1_000):
        left[0] = statement
        with suppress(KeyboardInterrupt):
            assert raised(client, 3)["interactions"] == 0
            break
    monkeypatch.undo()
    assert stored(client) == wanted and statement > 5
    assert not any(raised(client, 3).values())
    assert client.query(SUPPRESSED).result_rows == suppressed


def test_who_has_not_the_newest_key_takes_nothing_of_it_away(client: Client) -> None:
    """Two changes at once: the one with fewer keys is at its end when the other begins."""
    write(client, STEPS[2])
    write(client, STEPS[1], 10)
    client.insert("raised_hashes", [["2-" + "a" * 64, "3-" + "b" * 64, 3]], column_names=["old", "new", "generation"])
    before = stored(client, SUPPRESSED)
    assert noted(client) == 1
    assert not any(raised(client, 2).values())
    assert stored(client, SUPPRESSED) == before and noted(client) == 1


def noted(client: Client) -> int:
    [(count,)] = client.query(f"SELECT count() FROM {raised_hashes.TABLE}").result_rows
    return int(count)

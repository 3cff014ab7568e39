"""Rows from before revisions were made of hashed addresses: once migrated no revision proves a guess, and nothing doubles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.batch import EventBatch
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.generate.history import TableLetters
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.privacy import Pseudonymise
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.step import Step
from pipeline.worker.hot_path import HotPath
from schemas.contacts import DEFAULT
from tests.support.bad_records import event
from tests.support.letters import ROWS
from tests.support.upgrades import migrations_before
from tests.support.worker import wait_for

ANN = {"id": "1", "phone": "+1 555 0147", "email": "ann@example.org"}
LATER: dict[str, Any] = {"operation": "update", "occurred_at": "2026-09-02T00:00:00Z"}
RECORDS = [
    event(id="1", author=ANN),
    event(id="2"),
    event(id="3", author=ANN),
    event(id="3", operation="delete", occurred_at="2026-09-03T00:00:00Z"),
    event(id="4"),
    event(id="4", author=ANN, metrics={"likes": 5}, **LATER),
    event(id="5", author=ANN, text="waits", **LATER),
    event(id="6", text="waits", **LATER),
]
NO_KEYS = np.zeros(0, np.uint64)


@pytest.fixture
def settings(bare: Settings) -> Settings:
    """Without tables: these tests make them."""
    return bare


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """The migrations from before that of revisions."""
    return migrations_before(7, tmp_path)


LATER_COLUMNS = [
    ("create_revisions", "Array(UInt64)"),
    ("author_accounts", "Array(String)"),
    ("customer_key", "UInt64"),
    ("brands_linked", "Array(LowCardinality(String))"),
    *((name, "DateTime64(3, 'UTC')") for name in ("other_created_at", "landed_at", "moved_to")),
]


class Lander:
    """Lands batches with these steps, and remembers their revisions in `index`."""

    def __init__(self, client: Client, *taking_in: Step, index: RevisionIndex) -> None:
        self._fence = Fence(lambda: 0.0)
        inserter = Inserter(client, self._fence, Vitals(), "landing")
        completion = Completion(InteractionsTable(inserter), 1e9)
        steps = [Decode(), *taking_in, Mentions(Brands(brands=())), completion]
        self._path = HotPath(steps, Landing(inserter, TableLetters(inserter, ROWS), str), [index, completion])

    def land(self, raw: list[bytes], number: int = 1) -> EventBatch:
        self._fence.polled()
        batch = self._path.process(batch_of(raw, batch_id=number))
        self._path.land([batch])
        return batch


def column(client: Client, sql: str) -> list[Any]:
    return [row[0] for row in client.query(sql).result_rows]


def revisions_of(client: Client) -> dict[str, set[int]]:
    """By id, whichever table they stand in; of a tombstone without an id under ''."""
    found: dict[str, set[int]] = {}
    for table in ("interactions", "pending_changes"):
        for name, revision in client.query(f"SELECT id, revision FROM {table}").result_rows:
            found.setdefault(name, set()).add(revision)
    return found


def test_no_stored_revision_proves_a_guess_after_the_migration_and_nothing_is_counted_twice(
    client: Client, before: Path
) -> None:
    migrate_tables(client, before)
    # Today's code lands the rows of then: only for it the table has these columns already.
    client.command(f"ALTER TABLE interactions {', '.join(f'ADD COLUMN {name} {type_}' for name, type_ in LATER_COLUMNS)}")
    old = RevisionIndex(KeySet(1_000, 1e9))
    waited = [event(id="7", author=ANN, text="done", **LATER)]
    lander = Lander(client, Dedup(old), Pseudonymise(b"key", "", DEFAULT), index=old)
    lander.land(waited)
    lander.land([event(id="7")], 2)
    lander.land(RECORDS, 3)
    in_clear = revisions_of(client)
    final = "SELECT id, text, metrics_likes, author_phone FROM interactions FINAL ORDER BY id"
    rows = client.query(final).result_rows
    assert len(rows) == 4
    client.command(f"ALTER TABLE interactions {', '.join(f'DROP COLUMN {name}' for name, _ in LATER_COLUMNS)}")

    migrate_tables(client)
    wait_for(
        "the rows are rewritten",
        lambda: column(client, "SELECT min(is_done) FROM system.mutations WHERE database = currentDatabase()") == [1],
    )
    now = revisions_of(client)
    for name in ("1", "3", "5", ""):
        assert not now.get(name, set()) & in_clear.get(name, set()), f"event {name!r}"
    assert now["2"] == in_clear["2"], "who has no address keeps what dedup knows"
    for name in ("4", "7"):
        assert len(now[name] - in_clear[name]) == len(now[name] & in_clear[name]) == 1, "the create had no address"
    assert column(client, "SELECT id FROM pending_changes FINAL ORDER BY id") == ["5", "6"]
    assert client.query(final).result_rows == rows

    # A worker of now reads all of it once more: nothing is there twice for who reads with FINAL.
    new = RevisionIndex(KeySet(1_000, 1e9))
    new.stored.add(np.array(column(client, "SELECT revision FROM interactions"), np.uint64))
    again = Lander(client, Pseudonymise(b"key", "", DEFAULT), Dedup(new), index=new).land([*waited, event(id="7"), *RECORDS])
    assert again.dropped["duplicate"] >= 2
    assert client.query(final).result_rows == rows

"""Landing: a record has one fate, whatever ClickHouse refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import polars as pl
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
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from schemas.identity import account_key, bare
from tests.support.bad_records import event
from tests.support.hot_path import PathRun, new_index
from tests.support.letters import ROWS, read_letters


class Lander(PathRun):
    """A worker's steps and its landing, over one database."""

    def __init__(self, client: Client) -> None:
        self.client, self._fence = client, Fence(lambda: 0.0)
        inserter = Inserter(client, self._fence, Vitals(), "landing")
        super().__init__(Landing(inserter, TableLetters(inserter, ROWS), str), Completion(InteractionsTable(inserter), 1e9))

    def land(self, *batches: EventBatch) -> None:
        self._fence.polled()
        super().land(*batches)

    def fates(self) -> tuple[list[str], list[str]]:
        """What landed, and the records that are dead letters."""
        landed = self.client.query("SELECT id || ' ' || operation FROM interactions ORDER BY 1").result_rows
        return [row[0] for row in landed], [orjson.loads(letter.raw)["id"] for letter in read_letters(self.client)]


@pytest.fixture
def lander(settings: Settings) -> Iterator[Lander]:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command("SYSTEM STOP MERGES interactions")
        yield Lander(client)


def like(name: str) -> bytes:
    return event(id=name, operation="update", occurred_at="2026-09-02T10:00:00Z", metrics={"likes": 5})


@pytest.mark.parametrize("create_comes", ["with it", "before it landed", "after it landed"])
def test_a_change_that_clickhouse_lets_not_wait_is_a_dead_letter_alone(lander: Lander, create_comes: str) -> None:
    lander.client.command("ALTER TABLE pending_changes ADD CONSTRAINT no_1 CHECK id != '1'")
    changes = lander.feed(like("1"), like("2"))
    if create_comes == "with it":
        lander.land(changes, lander.feed(event(id="1"), event(id="2")))
    elif create_comes == "before it landed":
        creates = lander.feed(event(id="1"), event(id="2"))
        lander.land(changes)
        lander.land(creates)
    else:
        lander.land(changes)
        lander.land(lander.feed(event(id="1"), event(id="2")))
    assert lander.fates() == (["1 create", "2 create", "2 update"], ["1"])
    assert lander.client.query("SELECT id, done FROM pending_changes FINAL ORDER BY id").result_rows == [("", 1)]


def test_a_change_that_may_wait_when_it_comes_again_lands_with_its_event(lander: Lander) -> None:
    lander.client.command("ALTER TABLE pending_changes ADD CONSTRAINT no_1 CHECK id != '1'")
    lander.land(lander.feed(like("1")))
    lander.client.command("ALTER TABLE pending_changes DROP CONSTRAINT no_1")
    lander.land(lander.feed(like("1")))
    lander.land(lander.feed(event(id="1")))
    assert lander.fates() == (["1 create", "1 update"], ["1"])


def test_a_replay_after_a_merge_brings_no_older_change_of_the_same_time_back(lander: Lander) -> None:
    count = [event(id="1", operation="update", occurred_at="2026-09-02T10:00:00Z", metrics={"likes": n}) for n in (5, 6)]
    lander.landed(event(id="1"))
    lander.landed(count[0])
    lander.landed(count[1])
    lander.client.command("SYSTEM START MERGES interactions")
    lander.client.command("OPTIMIZE TABLE interactions FINAL")
    known = lander.client.query("SELECT revision FROM interactions").result_columns[0]
    assert len(known) == 1, "the merge left the newest version"
    lander.use(new_index())
    lander.index.stored.add(np.array(known, np.uint64))
    lander.offset = 1
    batch = lander.landed(count[0])
    assert batch.dropped == {"duplicate": 1}
    assert lander.client.command("SELECT metrics_likes FROM interactions FINAL") == 6


def final(lander: Lander, columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in lander.client.query(f"SELECT {columns} FROM interactions FINAL").result_rows]


@pytest.mark.parametrize("restart", [True, False])
def test_a_create_that_comes_again_under_another_time_is_an_edit_of_the_one_row(lander: Lander, restart: bool) -> None:
    """The records of a review, of which each version has another created_at, and its delete."""
    review = {"id": "r1", "platform": "t.rev", "kind": "review"}
    first = review | {"created_at": "2026-09-20T10:00:00Z", "text": "Acme is slow", "rating": 2}
    lander.landed(first)
    lander.landed(review | {"created_at": "2026-09-21T09:00:00Z", "text": "Acme is slow, edited", "rating": 1})
    if restart:
        lander.client.command("SYSTEM START MERGES interactions")
        lander.client.command("OPTIMIZE TABLE interactions FINAL")
        known = lander.client.query("SELECT revision, event_key FROM interactions").result_columns
        lander.use(new_index())
        lander.index.seed(*(np.array(column, np.uint64) for column in known))
    again = lander.landed(first | {"created_at": "2026-09-20T09:00:00Z"}, first)
    assert again.dropped == {"duplicate": 2}, "what the first create said already, whatever time it names now"
    columns = "text, rating, toDayOfMonth(created_at), toDayOfMonth(other_created_at), length(create_revisions)"
    assert final(lander, columns) == [("Acme is slow, edited", 1.0, 20, 21, 2)]
    lander.landed({"id": "r1", "platform": "t.rev", "operation": "delete", "occurred_at": "2026-09-22T10:00:00Z"})
    assert final(lander, "text") == []
    assert lander.landed(first | {"rating": 3}).dropped == {"deleted": 1}
    assert final(lander, "text") == []


def test_other_accounts_change_with_the_author_and_come_back_from_a_dead_letter(lander: Lander) -> None:
    known = ["vk:15", "twitter:@Ann"]
    author = {"author": {"id": "7", "accounts": [*known, "no account"]}}
    update = {"id": "1", "platform": "x", "operation": "update"}
    lander.client.command("ALTER TABLE pending_changes ADD CONSTRAINT no_1 CHECK id != '1'")
    lander.landed(update | {"occurred_at": "2026-09-02T10:00:00Z"} | author)
    [letter] = read_letters(lander.client)
    lander.landed(event(id="1", author={"id": "7", "accounts": ["vk:14"]}))
    assert final(lander, "author_accounts") == [(["vk:14"],)]
    lander.landed(letter.raw)
    assert final(lander, "author_accounts") == [(known,)]
    lander.landed(update | {"occurred_at": "2026-09-03T10:00:00Z", "metrics": {"likes": 2}})
    assert final(lander, "author_accounts, metrics_likes") == [(known, 2)]
    lander.landed(update | {"occurred_at": "2026-09-04T10:00:00Z", "author": {"id": "7"}})
    assert final(lander, "author_accounts") == [([],)]


HANDLES = [
    "ann",
    "Ann",
    "@ANN",
    "@",
    "@@Ann",
    "a@B",
    "ÄÖ",
    "Äö",
    "İI",
    "ſK",
    "名",
    "@Ann Lee",
    "a\u0301N",
    "\u202aAnn",
    "😀A",
    "'A\\",
]


def test_a_handle_has_one_form_and_one_key_in_python_and_in_clickhouse(lander: Lander) -> None:
    lander.landed(*(event(id=str(n), author={"handle": handle}) for n, handle in enumerate(HANDLES)))
    lander.landed(event(id="by id", author={"id": "Ä:@1", "handle": "Ann"}), event(id="none", author={"name": "Ann"}))
    [index] = lander.client.query(
        "SELECT expr FROM system.data_skipping_indices WHERE database = currentDatabase() AND name = 'handles'"
    ).result_columns[0]
    rows = final(lander, f"id, author_id, author_handle, account_key, {index}")
    assert {row[0]: row[3] for row in rows} == {row[0]: account_key("x", *row[1:3]) for row in rows}
    forms = pl.DataFrame(rows, ["id", "author_id", "handle", "key", "form"], orient="row").select(
        bare(pl.col("handle")), "form"
    )
    assert forms.get_column("handle").to_list() == forms.get_column("form").to_list()
    assert len(rows) == len(HANDLES) + 2

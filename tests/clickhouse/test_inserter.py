"""How the rules of the delivery contract meet a ClickHouse that is away, refuses or is slow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.batch import Rejected
from pipeline.clickhouse import inserter as inserter_module
from pipeline.clickhouse.arrow import arrow_stream
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter, TooMuchError
from pipeline.clickhouse.migrations import migrate_tables
from pipeline.clickhouse.missing_rows import missing_rows
from pipeline.config.settings import Settings
from pipeline.fence import Fence, GivenUp
from pipeline.monitoring.health import Vitals
from tests.support.letters import ROWS
from tests.support.worker import wait_for


class PolledFence(Fence):
    """Of a poll loop that runs."""

    def pass_through(self, generation: int) -> None:
        self.check(generation)


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        migrate_tables(client)
        client.command("SYSTEM STOP MERGES interactions")
        yield client


def rows(count: int) -> pl.DataFrame:
    at = [datetime(2026, 9, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(count)]
    numbers = pl.Series(range(1, count + 1), dtype=pl.UInt64)
    return pl.DataFrame({"event_key": numbers, "revision": numbers + 1_000, "version": numbers, "created_at": at})


def count(client: Client) -> tuple[int, int]:
    """Rows, and revisions, of the raw table."""
    return client.query("SELECT count(), uniqExact(revision) FROM interactions").result_rows[0]  # type: ignore[return-value]


def test_what_was_held_is_cleared_when_the_batch_is_given_up(client: Client) -> None:
    fence, vitals = PolledFence(), Vitals()
    inserter = Inserter(client, fence, vitals, "completion")
    raised: list[BaseException] = []

    def look_up() -> None:
        try:
            inserter.query("SELECT nothing FROM nowhere")
        except GivenUp as error:
            raised.append(error)

    thread = threading.Thread(target=look_up)
    thread.start()
    wait_for("/ready names it", lambda: [why.split(":")[0] for why in vitals.unready()] == ["clickhouse (completion)"])
    fence.end_generation()
    thread.join(10)
    assert raised and not vitals.unready()


class Forgetful:
    """A client of a server that was killed during the first insert: it kept the insert's token, and not its rows."""

    def __init__(self, client: Client, other: pl.DataFrame) -> None:
        self._client, self._other = client, other
        self.tokens: list[str] = []

    def raw_insert(self, table: str, **options: Any) -> Any:
        self.tokens.append(options["settings"]["insert_deduplication_token"])
        if len(self.tokens) == 1:
            options["insert_block"] = memoryview(arrow_stream(self._other.select(options["column_names"])))
            self._client.raw_insert(table, **options)
            raise ConnectionResetError
        return self._client.raw_insert(table, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


def test_rows_that_a_killed_server_only_knows_by_their_token_are_written_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inserter_module, "INSERT_MAX_S", 1.0)
    forgetful = Forgetful(client, rows(1).with_columns(event_key=pl.lit(99, pl.UInt64), revision=pl.lit(98, pl.UInt64)))
    inserter = Inserter(cast(Client, forgetful), PolledFence(), Vitals(), "landing")
    assert inserter.insert("interactions", rows(3), 0) == []
    assert count(client) == (4, 4)
    first, again, other = forgetful.tokens
    assert first == again != other


def test_rows_that_landed_without_an_answer_are_not_written_twice(client: Client) -> None:
    """Nor those that a newer version of their event has replaced since."""
    whole = rows(3)
    forgetful = Forgetful(client, whole)
    inserter = Inserter(cast(Client, forgetful), PolledFence(), Vitals(), "landing")
    assert inserter.insert("interactions", whole, 0) == []
    assert count(client) == (3, 3) and len(forgetful.tokens) == 2
    newer = whole.with_columns(version=pl.col("version") + 1)
    older = whole.with_columns(revision=pl.col("revision") + 500)
    assert missing_rows(inserter.query, older).height == 3
    assert missing_rows(inserter.query, older.with_columns(version=pl.lit(0, pl.UInt64)), or_newer=True).height == 0
    assert missing_rows(inserter.query, newer.with_columns(revision=pl.col("revision") + 500), or_newer=True).height == 3


def test_a_dead_letter_that_a_killed_server_only_knows_by_its_token_is_written_again(client: Client) -> None:
    def letter(offset: int) -> pl.DataFrame:
        return ROWS.of([Rejected("decode", "no JSON", "t", 0, offset, None, b"x")])

    forgetful = Forgetful(client, letter(1))
    Inserter(cast(Client, forgetful), PolledFence(), Vitals(), "landing").insert_all("dead_letters", letter(2), 0)
    assert client.query("SELECT offset FROM dead_letters FINAL ORDER BY offset").result_rows == [(1,), (2,)]


class Unanswering:
    """A server that never answers the first try of a token, for the first `many` tokens."""

    def __init__(self, many: int) -> None:
        self.many, self.tries = many, 0
        self.tokens: set[str] = set()

    def raw_insert(self, table: str, *, settings: dict[str, str], **_: object) -> None:
        self.tries += 1
        token = settings["insert_deduplication_token"]
        if token not in self.tokens and len(self.tokens) < self.many:
            self.tokens.add(token)
            raise ConnectionResetError


def test_confirmations_that_get_no_answer_either_are_repeated_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserter_module, "_BACKOFF_S", (0.0,))
    server = Unanswering(2_000)
    Inserter(cast(Client, server), PolledFence(), Vitals(), "landing").insert_all("pending_changes", rows(1), 0)
    assert len(server.tokens) == 2_000 and server.tries == 4_001


def test_an_insert_that_always_takes_too_long_is_halved(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserter_module, "INSERT_MAX_S", 0.2)
    client.command("ALTER TABLE interactions ADD CONSTRAINT slow CHECK sleepEachRow(0.001) = 0")
    vitals = Vitals()
    assert Inserter(client, PolledFence(), vitals, "landing").insert("interactions", rows(300), 0) == []
    assert count(client) == (300, 300)
    assert not vitals.unready()


def test_halves_leave_out_what_the_whole_has_written(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of it landed before its time was over."""
    monkeypatch.setattr(inserter_module, "INSERT_MAX_S", 0.2)
    Inserter(client, PolledFence(), Vitals(), "landing").insert("interactions", rows(300)[:100], 0)
    client.command("ALTER TABLE interactions ADD CONSTRAINT slow CHECK sleepEachRow(0.001) = 0")
    assert Inserter(client, PolledFence(), Vitals(), "landing").insert("interactions", rows(300), 0) == []
    assert count(client) == (300, 300)


def test_halves_replace_rows_that_their_table_has(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Done marks carry the revisions of the rows that they replace."""
    monkeypatch.setattr(inserter_module, "INSERT_MAX_S", 0.2)
    changes = rows(300).select("event_key", "revision", arrived_at=pl.lit(datetime.now(UTC)))
    inserter = Inserter(client, PolledFence(), Vitals(), "landing")
    inserter.insert_all("pending_changes", changes, 0)
    client.command("ALTER TABLE pending_changes ADD CONSTRAINT slow CHECK sleepEachRow(0.001) = 0")
    inserter.insert_all("pending_changes", changes.with_columns(done=pl.lit(1, pl.UInt8)), 0)
    assert client.query("SELECT count(), sum(done) FROM pending_changes FINAL").result_rows == [(300, 300)]


def test_a_row_that_takes_too_long_alone_is_repeated_and_never_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserter_module, "INSERT_MAX_S", 0.1)
    client.command("ALTER TABLE interactions ADD CONSTRAINT slow CHECK sleepEachRow(0.2) = 0")
    fence, refused = PolledFence(), list[object]()
    inserter = Inserter(client, fence, Vitals(), "landing")
    thread = threading.Thread(target=lambda: refused.extend(inserter.insert("interactions", rows(1), 0)))
    thread.start()
    thread.join(2.5)
    assert thread.is_alive()
    client.command("ALTER TABLE interactions DROP CONSTRAINT slow")
    thread.join(10)
    assert not thread.is_alive() and not refused
    assert count(client) == (1, 1)


def test_versions_that_always_take_too_long_are_left_to_be_halved(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inserter_module, "INSERT_MAX_S", 0.1)
    inserter = Inserter(client, PolledFence(), Vitals(), "labels")
    statement = "INSERT INTO interactions (event_key) SELECT number FROM numbers(100) WHERE sleepEachRow(0.003) = 0"
    calls = list[str]()
    with pytest.raises(TooMuchError):
        inserter.insert_versions(statement, 0, lambda: calls.append("check"), False, lambda: calls.append("tell"))
    assert count(client)[0] == 0
    assert calls == ["tell", "check"] * (len(calls) // 2) and len(calls) > 2, "who hears of it hears of each try"

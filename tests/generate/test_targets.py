"""Where a stream goes: a file, Kafka and a worker, ClickHouse; what is there afterwards is what the truth says."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import PrivacySettings, Settings
from pipeline.errors import SettingsError
from pipeline.generate.history import to_clickhouse
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import live, new_file, sample_brands, to_jsonl, to_kafka
from pipeline.migrate import migrate
from pipeline.processors.dedup import revisions
from pipeline.processors.mentions.brands import Brands
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from tests.support.topics import lag
from tests.support.worker import Worker, wait_for

pytestmark = pytest.mark.slow

COUNT = 6_000
PLAN = Plan(COUNT, sample_brands(), days=45.0)
FINAL = " FINAL SETTINGS do_not_merge_across_partitions_select_final = 1"


class Told(NamedTuple):
    """What a stream's truth says will be in ClickHouse."""

    events: int
    deleted: int
    texts: Counter[str]
    """Of those that are not deleted, by tone."""
    broken: int
    answered: list[tuple[str, str, float]]

    @classmethod
    def by(cls, path: Path) -> Told:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        gone = {line["event"] for line in lines if line["kind"] == "delete"}
        return cls(
            lines[-1]["events"],
            len(gone),
            Counter(line["tone"] for line in lines if line["kind"] == "text" and line["event"] not in gone),
            lines[-1]["lines"]["broken"],
            sorted(
                (line["question"], line["response"], line["seconds"])
                for line in lines
                if line["kind"] == "thread" and line["response"] is not None
            ),
        )


def check(client: Client, told: Told) -> None:
    """The tables hold what was told, each event once."""

    def one(sql: str) -> Any:
        return client.query(sql).result_rows[0][0]

    assert one(f"SELECT count() FROM interactions{FINAL}") == told.events - told.deleted
    assert one("SELECT uniqExact(event_key) FROM interactions") == told.events
    assert one("SELECT count() - uniqExact(event_key, revision) FROM interactions") == 0, "nothing lands twice"
    assert one(f"SELECT countIf(text != '') FROM interactions{FINAL}") == told.texts.total()
    assert one("SELECT uniqExact(partition, offset) FROM dead_letters") == told.broken
    assert one("SELECT count() FROM pending_changes") == 0
    assert one(f"SELECT countIf(author_email LIKE '%@%' OR author_phone LIKE '+%') FROM interactions{FINAL}") == 0
    assert one("SELECT uniqExact(author_email) FROM interactions WHERE author_email != ''") > 50
    stored = {row[0] for row in client.query("SELECT revision FROM interactions").result_rows}
    assert not stored & revisions_in_clear(), "a revision is made after addresses are hashed: who guesses one finds no proof"
    answers = client.query(
        "SELECT concat(q.platform, ':', q.id), concat(a.platform, ':', a.id),"
        " (toUnixTimestamp64Milli(a.created_at) - toUnixTimestamp64Milli(q.created_at)) / 1000"
        " FROM (SELECT * FROM interactions FINAL WHERE direction = 'outbound') AS a"
        " JOIN (SELECT * FROM interactions FINAL) AS q ON a.platform = q.platform AND a.in_reply_to = q.id"
    )
    assert sorted(map(tuple, answers.result_rows)) == told.answered


def revisions_in_clear() -> set[int]:
    """The revisions that the records of people with an address would have if it were in them in clear."""
    values = [value for block in Stream(PLAN).blocks() for value in block.values]
    frame = Decode().process(batch_of(values)).events
    address = pl.col("author_email").is_not_null() | pl.col("author_phone").is_not_null()
    return set(revisions(frame.filter(address)))


def with_truth(path: Path, run: Any) -> Any:
    with new_file(path, False) as truth:
        return run(truth)


def test_a_file_is_one_that_replay_reads(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    done: list[int] = []
    with new_file(path, False) as file, new_file(tmp_path / "truth.jsonl", False) as truth:
        to_jsonl(PLAN, file, truth, done.append)
    block = [block for block in Stream(PLAN).blocks()]
    values = [value for each in block for value in each.values]
    items = list(read_events(path))
    assert [item.event for item in items if isinstance(item, Mapped)] == values
    assert sum(done) == len(values) == COUNT
    assert (tmp_path / "truth.jsonl").read_text("utf-8").split("\n")[:-1] == [line for each in block for line in each.truth]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("precious")
    with pytest.raises(SettingsError, match="is there already"), new_file(path, False):
        pass
    assert path.read_text() == "precious"
    with new_file(path, True) as file:
        file.write(b"new")
    assert path.read_text() == "new"


def test_a_file_to_which_nothing_was_written_goes_again(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="stop"), new_file(tmp_path / "x", False):
        raise SettingsError("stop")
    assert not (tmp_path / "x").exists()


def test_history_lands_as_the_truth_says_and_once(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    client = clickhouse_client(settings.clickhouse)
    client.command("SYSTEM STOP MERGES")
    small = settings.model_copy(update={"worker": settings.worker.model_copy(update={"batch_rows": 2_000})})
    path = tmp_path / "truth.jsonl"
    report = with_truth(path, lambda truth: to_clickhouse(PLAN, small, truth, lambda n: None))
    told = Told.by(path)
    check(client, told)
    assert report.read == COUNT
    assert report.rejected == told.broken
    assert report.landed + report.rejected + report.dropped["duplicate"] == COUNT
    months = client.query("SELECT toYYYYMM(created_at) AS m, count() FROM interactions GROUP BY m ORDER BY m").result_rows
    assert [month for month, _ in months][-2:] == [202601, 202602]
    assert client.query("SELECT DISTINCT topic FROM interactions").result_rows == [(f"generated-{PLAN.id}",)]

    again = with_truth(tmp_path / "again.jsonl", lambda truth: to_clickhouse(PLAN, settings, truth, lambda n: None))
    assert again.landed == 0
    assert path.read_bytes() == (tmp_path / "again.jsonl").read_bytes()
    check(client, told)

    client.command("SYSTEM START MERGES")
    client.command("OPTIMIZE TABLE interactions FINAL")
    with_truth(tmp_path / "merged.jsonl", lambda truth: to_clickhouse(PLAN, settings, truth, lambda n: None))
    check(client, told)


def test_history_needs_the_key_that_hashes_addresses(settings: Settings, tmp_path: Path) -> None:
    bare = settings.model_copy(update={"privacy": PrivacySettings()})
    with pytest.raises(SettingsError, match="privacy.hash_key"):
        with_truth(tmp_path / "t", lambda truth: to_clickhouse(PLAN, bare, truth, lambda n: None))


def test_kafka_and_a_worker_land_what_the_truth_says(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    client = clickhouse_client(settings.clickhouse)
    client.command("SYSTEM STOP MERGES")
    path = tmp_path / "truth.jsonl"
    sent = with_truth(path, lambda truth: to_kafka(PLAN, settings.kafka, truth, lambda n: None))
    assert (sent.acknowledged, sent.failed.total(), sent.interrupted) == (COUNT, 0, False)
    worker = Worker(settings, tmp_path / "worker.log")
    try:
        worker.wait_ready()
        wait_for("the worker reads all", lambda: not lag(settings.kafka))
    finally:
        worker.close()
    check(client, Told.by(path))


def test_a_live_stream_is_of_now(settings: Settings, tmp_path: Path) -> None:
    migrate(settings)
    begun = time.time()
    plan = live(300, sample_brands(), 1, 150.0)
    sent = with_truth(tmp_path / "t", lambda truth: to_kafka(plan, settings.kafka, truth, lambda n: None, is_live=True))
    assert sent.acknowledged == 300
    assert plan.span_ms == 2_000
    assert begun - 1 < plan.start_ms / 1000 < time.time() - 1.9, "each record waited for its moment"


@pytest.mark.parametrize("brands", [[], [{"name": "Nobody Knows"}]])
def test_brands_that_nothing_can_mention_are_refused(brands: list[dict[str, str]]) -> None:
    with pytest.raises(SettingsError, match="brand"):
        Stream(Plan(10, Brands.model_validate({"brands": brands})))


def test_a_brand_with_exclusions_and_support_accounts_is_found_and_outbound() -> None:
    brand = {
        "name": "Acme",
        "handles": ["@acme"],
        "keywords": ["acme"],
        "exclude": ["refund"],
        "support": [{"platform": "twitter", "handle": "@acmehelps"}],
    }
    values = b"".join(
        v for block in Stream(Plan(3_000, Brands.model_validate({"brands": [brand]}))).blocks() for v in block.values
    )
    assert b'"handle":"acmehelps"' in values
    assert b"@acme" in values

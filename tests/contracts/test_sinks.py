"""The contract of a sink, for every sink: what was written is there on return, twice is once, nothing is fine too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.batch import Assigned, EventBatch
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence, GivenUp
from pipeline.migrate import migrate
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import SingleEvent
from pipeline.processors.completion import Completion
from pipeline.processors.dedup import Dedup, RevisionIndex
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.processors.keys import KeySet
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.processors.waiting import Loaded
from pipeline.sinks.dead_letter import DeadLetters
from pipeline.sinks.evidence import EvidencePublisher
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sinks.memory import MemoryTable
from pipeline.sinks.pending import PendingTable
from pipeline.sinks.signals import SignalPublisher, Signals
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from pipeline.step import Step
from schemas.evidence import parse as parse_evidence
from schemas.signals import parse_signal
from tests.support.bad_records import BAD, event
from tests.support.letters import ROWS
from tests.support.topics import read_topic

WRITTEN = [
    pytest.param(name, marks=pytest.mark.stack)
    for name in ("interactions", "pending_changes", "dead_letters", "signals", "evidence")
]
SINKS = ["memory", *WRITTEN]
RULES = Alerts.model_validate({"rules": [{"name": "all", "type": "reach", "followers": 1, "negative": False}]})


@dataclass
class Sink:
    write: Callable[[EventBatch], object]
    count: Callable[[], int]
    fence: Fence


def make_batch(batch_id: int) -> EventBatch:
    """Three rows, two changes that wait, two dead letters: the same whenever it is made."""
    changes = [event(operation="delete", id=f"unknown {n}", occurred_at="2026-09-03T00:00:00Z") for n in range(2)]
    author = {"id": "1", "followers": 5, "email": "ann@example.org"}
    named = [event(id=str(n), brands=["A"], created_at=f"2026-09-01T10:0{n}:00Z", author=author) for n in (1, 2, 3)]
    raw = [*named[:2], BAD["not JSON"][0], *changes, named[2], BAD["no id"][0]]
    return whole_batch(batch_id, *raw)


def whole_batch(batch_id: int, *raw: bytes | None) -> EventBatch:
    batch = batch_of(list(raw), batch_id=batch_id)
    steps: list[Step] = [
        Decode(),
        Dedup(RevisionIndex(KeySet(10, 1e9))),
        Mentions(Brands(brands=())),
        Completion(MemoryTable(), 1e9),
        Identity(KeyMap()),
    ]
    for step in (*steps, SingleEvent(RULES, lambda texts: texts)):
        batch = step.process(batch)
    return batch


def empty_batch() -> EventBatch:
    return whole_batch(1)


@pytest.fixture(params=SINKS)
def sink(request: pytest.FixtureRequest) -> Iterator[Sink]:
    if request.param == "memory":
        table = MemoryTable()
        yield Sink(lambda batch: table.insert(batch.events), lambda: table.final().height, Fence())
        return
    settings: Settings = request.getfixturevalue("emptied")
    migrate(settings)
    fence, vitals = Fence(), Vitals()
    with clickhouse_client(settings.clickhouse) as client:
        inserter = Inserter(client, fence, vitals, "landing")
        letters = DeadLetters(settings.kafka.client(), settings.kafka.topic("dead-letter"), inserter, vitals, ROWS)
        topic = settings.kafka.topic("signals")
        signals = Signals(settings.kafka.client(), topic, fence, vitals, "landing")
        tell = SignalPublisher(signals, SingleEvent(RULES, lambda texts: texts), InteractionsTable(inserter))
        identity, landed = settings.kafka.topic("identity"), InteractionsTable(inserter)
        evidence = EvidencePublisher(settings.kafka.client(), identity, fence, vitals, Identity(KeyMap()), landed)
        landing = Landing(inserter, letters, str, tell.publish, evidence.publish)

        def count() -> int:
            fence.polled()
            if request.param == "signals":  # they may come again: what they name counts once
                heard = [parse_signal(record.value()) for record in read_topic(settings.kafka, topic)]
                pairs = {(minute, brand) for each in heard for minute, brands in each.touched.items() for brand in brands}
                return len(pairs) + len({c.event_key for each in heard for c in each.candidates})
            if request.param == "evidence":
                edges = [parse_evidence(record.value() or b"")[0] for record in read_topic(settings.kafka, identity)]
                return len({edge for each in edges for edge in each.get_column("edge")})
            return int(client.query(f"SELECT count() FROM {request.param} FINAL").result_rows[0][0])

        yield Sink(lambda batch: landing.land([batch]), count, fence)


EXPECTED = {"memory": 3, "interactions": 3, "pending_changes": 2, "dead_letters": 2, "signals": 3 + 3, "evidence": 1}


@pytest.fixture
def expected(request: pytest.FixtureRequest) -> int:
    return EXPECTED[request.node.callspec.params["sink"]]


def test_what_was_written_is_there_on_return(sink: Sink, expected: int) -> None:
    sink.write(make_batch(1))
    assert sink.count() == expected


def test_the_same_again_changes_nothing(sink: Sink, expected: int) -> None:
    for batch_id in (1, 2, 3):
        sink.write(make_batch(batch_id))
        assert sink.count() == expected


@pytest.mark.parametrize("sink", WRITTEN, indirect=True)
def test_nothing_is_fine_too(sink: Sink) -> None:
    sink.write(empty_batch())
    assert sink.count() == 0


@pytest.mark.parametrize("sink", WRITTEN, indirect=True)
def test_a_batch_of_an_ended_generation_is_never_written(sink: Sink) -> None:
    batch = make_batch(1)
    sink.fence.end_generation()
    with pytest.raises(GivenUp):
        sink.write(batch)
    assert sink.count() == 0


@pytest.mark.parametrize(("together_bytes", "inserts"), [(64 << 20, 1), (1, 3)])
def test_batches_land_together_and_keep_their_own_dead_letters(together_bytes: int, inserts: int, settings: Settings) -> None:
    migrate(settings)
    fence, vitals = Fence(), Vitals()
    with clickhouse_client(settings.clickhouse) as client:
        client.command("ALTER TABLE interactions ADD CONSTRAINT no_x CHECK text != 'refuse me'")
        inserter = Inserter(client, fence, vitals, "landing")
        letters = DeadLetters(settings.kafka.client(), settings.kafka.topic("dead-letter"), inserter, vitals, ROWS)
        batches = [
            whole_batch(1, event(id="a"), event(id="b", text="refuse me")),
            whole_batch(2, event(id="c")),
            whole_batch(3, event(id="d", text="refuse me"), b"no event", event(id="e")),
        ]
        refused = [b.events.filter(pl.col("text") == "refuse me").get_column("revision").to_list() for b in batches]
        landing = Landing(inserter, letters, str, together_bytes=together_bytes)
        before = _inserts()
        assert sorted(landing.land(batches)) == sorted(sum(refused, []))
        assert _inserts() - before == inserts
        assert [b.events.get_column("id").to_list() for b in batches] == [["a"], ["c"], ["e"]]
        assert [[(letter.step, letter.offset) for letter in b.rejected] for b in batches] == [
            [("clickhouse", 1)],
            [],
            [("decode", 1), ("clickhouse", 0)],
        ]
        assert client.query("SELECT id FROM interactions ORDER BY id").result_columns == [["a", "c", "e"]]
        assert client.command("SELECT count() FROM dead_letters") == 3


def _inserts() -> float:
    (metric,) = metrics.INSERT_SECONDS.labels("interactions").collect()
    return next(sample.value for sample in metric.samples if sample.name.endswith("_count"))


class Landed(NamedTuple):
    """Batch 1 of `make_batch`, in ClickHouse, and the tables that seed a worker and complete changes."""

    batch: EventBatch
    client: Client
    fence: Fence
    landing: Landing
    table: InteractionsTable
    pending: PendingTable


ASSIGNED = [Assigned("events", 0, 2)]


@pytest.fixture
def landed(emptied: Settings) -> Iterator[Landed]:
    settings = emptied
    migrate(settings)
    fence, vitals = Fence(lambda: 0.0), Vitals()  # the poll loop never rests too long, however slow the machine
    with clickhouse_client(settings.clickhouse) as client:
        inserter = Inserter(client, fence, vitals, "landing")
        letters = DeadLetters(settings.kafka.client(), settings.kafka.topic("dead-letter"), inserter, vitals, ROWS)
        batch, landing = make_batch(1), Landing(inserter, letters, str)
        landing.land([batch])
        yield Landed(batch, client, fence, landing, InteractionsTable(inserter), PendingTable(inserter))


def revisions_from(batch: EventBatch, offset: int) -> set[int]:
    return set(batch.events.filter(pl.col("offset") >= offset).get_column("revision"))


def test_what_the_tables_say_of_a_partition(landed: Landed) -> None:
    """The seeds of an assignment: the revisions that are there, and those whose signal may be missing."""
    batch, table = landed.batch, landed.table
    past = table.known_revisions(ASSIGNED, hours=-1, limit=10).get_column("revision")
    assert set(past) == revisions_from(batch, 2)
    recent = table.known_revisions(ASSIGNED, hours=24, limit=10).get_column("revision")
    assert set(recent) == revisions_from(batch, 0)
    known = table.known_revisions(ASSIGNED, hours=24, limit=10)
    assert known.select("revision", "event_key").sort("revision").rows() == sorted(
        batch.events.select("revision", "event_key").iter_rows()
    )
    capped = table.known_revisions(ASSIGNED, hours=24, limit=1).get_column("revision")
    assert set(past) <= set(capped), "what is at or past the committed offset is known whatever the limit"
    assert table.known_revisions([Assigned("events", 1, 0)], hours=24, limit=10).is_empty()

    # Rows whose signal may be missing: at or past the committed offset; without one, all.
    assert set(table.unpublished(ASSIGNED, hours=-1, limit=10)) == set(past)
    assert set(table.unpublished([Assigned("events", 0, None)], hours=24, limit=10)) == set(recent)
    assert not len(table.unpublished([Assigned("events", 0, None), Assigned("events", 1, 0)], hours=-1, limit=10))
    assert len(table.unpublished([Assigned("events", 0, 0)], hours=24, limit=2)) == 2


def test_the_changes_that_wait_are_read_back_as_they_were_written(landed: Landed) -> None:
    batch, pending = landed.batch, landed.pending
    assert batch.waiting is not None
    waiting, keys = pending.waiting(ASSIGNED, limit=10)
    assert waiting.height == 2
    same = [c for c in waiting.columns if c not in ("row", "check_at", "arrived_at", "batch")]
    assert waiting.select(same).sort("offset").equals(batch.waiting.select(same).sort("offset"))
    in_order = waiting.sort("event_key", "revision")
    assert keys.sort("event_key").equals(in_order.select(keys.columns))
    assert pending.waiting(ASSIGNED, limit=1).newest.height == 1
    assert pending.of(in_order.get_column("event_key")[:1], (0, 0), 5).equals(in_order[:1])
    assert pending.after((0, 0), {("events", 0)}, 1).equals(in_order[:1])
    assert pending.after(in_order.select("event_key", "revision").row(0), {("events", 0)}, 5).equals(in_order[1:])
    assert not pending.after((0, 0), {("events", 1)}, 5).height and not pending.after((0, 0), set(), 5).height


def test_a_change_that_landed_before_a_kill_lands_not_again_and_is_published(landed: Landed) -> None:
    """Killed after its row landed and before the table marked it as done."""
    table, pending = landed.table, landed.pending
    waiting, keys = pending.waiting(ASSIGNED, limit=10)
    revision, key = waiting.select("revision", "event_key").row(0)
    landed.client.command(
        "INSERT INTO interactions (event_key, revision, version, created_at) "
        f"VALUES ({key}, {revision}, 1, '2026-09-01 10:00:00')"
    )
    completion = Completion(table, 1e9)
    completion.held.load(Loaded(waiting, keys), {("events", 0)})
    assert completion.waiting == 1, "a batch is due although nothing comes"
    following = batch_of([])
    for step in (Decode(), Dedup(RevisionIndex(KeySet(10, 1e9))), Mentions(Brands(brands=())), completion):
        following = step.process(following)
    assert following.replayed is not None and not following.events.height
    assert following.replayed.get_column("revision").to_list() == [revision]
    again = table.as_landed(following.replayed)
    assert again.select("event_key", "text").row(0) == (key, "")
    elsewhere = following.replayed.with_columns(created_at=pl.lit(datetime(2026, 1, 1, tzinfo=UTC)))
    assert table.as_landed(elsewhere).equals(again), "a change may say another created_at than its event"
    landed.fence.polled()
    landed.landing.land([following])
    assert pending.waiting(ASSIGNED, limit=10).newest.get_column("revision").to_list() == [waiting.get_column("revision")[1]]


def test_the_newest_row_of_an_event_is_read_with_and_without_its_time(landed: Landed) -> None:
    keys = landed.batch.events.select("event_key", "created_at")
    for asked in (keys, keys.with_columns(created_at=pl.lit(None, keys.schema["created_at"]))):
        newest = landed.table.newest(asked)
        assert set(newest.get_column("event_key")) == set(keys.get_column("event_key"))
    assert set(newest.get_column("version")) == set(landed.batch.events.get_column("version"))

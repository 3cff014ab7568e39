"""Evidence in the topic: that of the rows that landed, all of it and no other, also when a worker died before it was sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from pipeline.batch import Assigned, EventBatch
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence, GivenUp
from pipeline.generate.history import TableLetters
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.processors.completion import Completion
from pipeline.processors.identity import Identity
from pipeline.processors.key_map import KeyMap
from pipeline.sinks.evidence import EvidencePublisher
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from schemas.evidence import EVIDENCE_COLUMNS, LARGEST, parse
from schemas.identity import account_key
from tests.support.hot_path import PathRun, new_index
from tests.support.letters import ROWS
from tests.support.topics import read_topic, set_topic

LATER = "2026-09-02T00:00:00Z"


class Landings(PathRun):
    """The steps of workers over one database, and the topic that they fill."""

    def __init__(self, settings: Settings) -> None:
        self.kafka, self.fence = settings.kafka, Fence(lambda: 0.0)
        self.client = clickhouse_client(settings.clickhouse)
        inserter = Inserter(self.client, self.fence, Vitals(), "landing")
        self.table, self.identity = InteractionsTable(inserter), Identity(KeyMap())
        topic = settings.kafka.topic("identity")
        self.evidence = EvidencePublisher(
            settings.kafka.client(), topic, self.fence, inserter.vitals, self.identity, self.table
        )
        landing = Landing(inserter, TableLetters(inserter, ROWS), str, self.evidence.publish)
        super().__init__(landing, Completion(self.table, 1e9), after=[self.identity])
        self._memories.append(self.identity)
        self.use(self.index)

    def there(self) -> pl.DataFrame:
        """All edges in the topic, each and basis once, with its oldest time."""
        records = [parse(record.value() or b"")[0] for record in read_topic(self.kafka, self.kafka.topic("identity"))]
        edges = pl.concat([pl.DataFrame(schema=EVIDENCE_COLUMNS), *records])
        return edges.sort("at", "event").unique(["edge", "basis"], keep="first", maintain_order=True).sort("edge", "basis")

    def records(self) -> int:
        return sum(1 for _ in read_topic(self.kafka, self.kafka.topic("identity")))

    def of(self, *batches: EventBatch) -> pl.DataFrame:
        """What these batches give, as `there`."""
        edges = pl.concat([self.identity.evidence_of(batch.events) for batch in batches])
        return edges.sort("at", "event").unique(["edge", "basis"], keep="first", maintain_order=True).sort("edge", "basis")

    def restart(self) -> None:
        """Another worker, before anything was committed."""
        known = self.table.unpublished([Assigned("events", 0, None)], 24, 100_000)
        self.identity.left(None)
        self.identity._sent = type(self.identity._sent)()
        self.use(new_index())
        self.index.stored.add(known.to_numpy())
        self.index.mark_unpublished(known.to_numpy())


@pytest.fixture
def landings(emptied: Settings) -> Iterator[Landings]:
    migrate(emptied)
    landings = Landings(emptied)
    yield landings
    landings.client.close()


def post(number: int, author: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    at = f"2026-09-01T10:{number % 60:02d}:00Z"
    return {"id": str(number), "platform": "forum", "kind": "post", "text": "hi", "created_at": at, "author": author, **more}


def mail(name: str) -> dict[str, Any]:
    return {"id": name, "handle": name.title(), "email": f"{name}@example.org"}


def change(number: int, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "platform": "forum", "operation": "update", "occurred_at": LATER, **more}


def test_what_landed_is_there_on_return_and_what_was_refused_is_not(landings: Landings) -> None:
    many = landings.landed(*(post(n, mail(f"u{n}")) for n in range(LARGEST + 500)))
    assert landings.there().equals(landings.of(many)) and landings.records() == 2
    landings.landed(*(post(10_000 + n, mail(f"u{n}"), created_at=LATER) for n in range(LARGEST)))
    assert landings.records() == 2, "nothing new"
    landings.client.command("ALTER TABLE interactions ADD CONSTRAINT no_x CHECK text != 'refuse'")
    try:
        one = landings.feed(post(20_000, mail("ann"), text="refuse"), post(20_001, mail("bob"), text="refuse"))
        two = landings.feed(post(20_002, mail("bob"), text="good"))
        landings.land(one, two)
    finally:
        landings.client.command("ALTER TABLE interactions DROP CONSTRAINT no_x")
    new = landings.there().join(landings.of(many), on="edge", how="anti")
    assert new.select("a", "event").rows() == [(account_key("forum", "bob"), two.events.get_column("event_key")[0])]


@pytest.mark.logs_errors
def test_what_is_too_large_for_the_topic_goes_in_halves(landings: Landings) -> None:
    set_topic(landings.kafka, landings.kafka.topic("identity"), "max.message.bytes", 2_000)
    name = "x" * 480
    claims = [post(n, {"id": f"u{n}", "bio": f"https://hachyderm.io/@{name}{n}"}) for n in range(9)]
    batch = landings.landed(*claims, post(100, {"id": "long", "bio": f"https://{name}.io/@{name}"}))
    assert landings.there().equals(landings.of(batch)) and landings.records() > 2
    set_topic(landings.kafka, landings.kafka.topic("identity"), "max.message.bytes", 300)
    landings.landed(post(200, mail("ann")))
    assert landings.there().equals(landings.of(batch)), "an edge that is too large alone is left out"


def test_a_batch_of_an_ended_generation_sends_nothing_and_what_it_would_have_sent_goes_later(landings: Landings) -> None:
    batch = landings.feed(post(1, mail("ann")))
    landings.fence.end_generation()
    with pytest.raises(GivenUp):
        landings.land(batch)
    landings.give_up()
    assert not landings.there().height
    landings.restart()
    again = landings.feed(post(1, mail("ann")))
    again.generation = landings.fence.generation
    landings.land(again)
    assert landings.there().equals(landings.of(again)) and again.events.height == 1


def test_after_a_kill_between_insert_and_evidence_the_rest_goes(landings: Landings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creates, edits, deletes, own accounts, pages and addresses: as they were when they landed."""
    raw = [
        post(1, mail("ann")), post(2, {"id": "bob", "url": "https://x.com/bob"}), post(3, {"id": "kim"}),
        post(4, {**mail("shop"), "kind": "staff"}), post(5, mail("desk"), direction="outbound"), post(6, mail("eve")),
        post(7, None),
    ]  # fmt: skip
    changes = [change(3, author={**mail("kim"), "bio": "also vk.com/id15"}), change(6, operation="delete")]
    with monkeypatch.context() as patch:
        patch.setattr(landings.evidence, "_send", lambda *_: None)  # killed before it, twice
        first = landings.landed(*raw)
        second = landings.landed(*changes)
    assert not landings.there().height
    landings.restart()
    again = landings.landed(*raw, *changes)
    assert again.events.height == 0
    expected = landings.of(first, second)
    assert {"email", "url", "bio", "bears", "own"} <= set(expected.get_column("rule"))
    columns = [column for column in EVIDENCE_COLUMNS if column != "event"]
    assert landings.there().select(columns).equals(expected.select(columns))
    before = landings.records()
    landings.landed(*raw, *changes)
    assert landings.records() == before, "once"


def test_a_row_that_was_replaced_meanwhile_gives_what_it_says_now(landings: Landings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(landings.evidence, "_send", lambda *_: None)
        landings.landed(post(1, mail("ann")))
        edited = landings.landed(change(1, text="edited"))
    landings.restart()
    landings.client.command("OPTIMIZE TABLE interactions FINAL")
    landings.landed(post(1, mail("ann")))
    assert landings.there().equals(landings.of(edited))


def test_account_events_lack_nothing_after_an_assignment(landings: Landings) -> None:
    """As if each worker had died between its rows and those that the view makes of them."""
    landings.landed(*(post(n, mail(f"u{n}")) for n in range(50)), post(50, None))
    landings.landed(change(3, operation="delete"), change(4, text="edited"))
    keys = "SELECT account_key, created_at, event_key FROM account_events FINAL ORDER BY ALL"
    before = landings.client.query(keys).result_rows
    assert len(before) == 50
    for committed, left in ((20, 19), (None, 0)):
        landings.client.command("TRUNCATE TABLE account_events SYNC")
        landings.table.complete_account_events([Assigned("events", 0, committed), Assigned("events", 1, 5)], 24)
        rows = landings.client.query(keys).result_rows
        assert len(rows) == 50 - left or committed is None and rows == before
        assert set(rows) <= set(before)

"""Signals in the topic: what landings are told as; there on return, once a second when they say nothing, not lost while the
broker is away."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import orjson
import polars as pl
import pytest

from pipeline.batch import Assigned, EventBatch
from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.embedded.stack import Stack
from pipeline.errors import UnreachableError
from pipeline.fence import Fence, GivenUp
from pipeline.generate.history import TableLetters
from pipeline.migrate import migrate
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import SingleEvent, words_of
from pipeline.processors.completion import Completion
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Mentions
from pipeline.sinks.changes import Changes
from pipeline.sinks.interactions import InteractionsTable
from pipeline.sinks.landing import Landing
from pipeline.sinks.pending import PendingTable
from pipeline.sinks.signals import LabelSignals, SignalPublisher, Signals
from schemas import signals
from schemas.signals import Candidate, Signal, parse_signal
from tests.support.bad_records import event
from tests.support.hot_path import PathRun, new_index
from tests.support.letters import ROWS
from tests.support.topics import read_topic, set_topic

START = datetime(2026, 9, 1, 10, tzinfo=UTC)
TOUCHED = {START: ("Acme",)}


class Bench:
    """Signals of one worker, a clock that the test moves, and what the topic holds."""

    def __init__(self, settings: Settings) -> None:
        self._kafka, self.fence, self.vitals, self.now = settings.kafka, Fence(), Vitals(), 100.0
        topic = settings.kafka.topic("signals")
        self.signals = Signals(settings.kafka.client(), topic, self.fence, self.vitals, "landing", lambda: self.now)

    def send(self, signal: Signal) -> None:
        self.signals.send(signal, self.fence.generation)

    def there(self) -> list[Signal]:
        return [parse_signal(record.value()) for record in read_topic(self._kafka, self._kafka.topic("signals"))]


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def bench(settings: Settings) -> Bench:
    migrate(settings)
    return Bench(settings)


def test_what_was_sent_is_there_on_return_in_order(bench: Bench) -> None:
    sent = [Signal(START, number, TOUCHED) for number in range(5)]
    for each in sent:
        bench.send(each)
    assert bench.there() == sent


def test_one_that_touches_nothing_goes_once_a_second(bench: Bench) -> None:
    for moment, number in ((100.0, 1), (100.5, 2), (100.99, 3), (101.1, 4), (101.2, 5)):
        bench.now = moment
        bench.send(Signal(START, number))
    bench.send(Signal(None, 6))
    bench.send(Signal(None, 7, TOUCHED))
    assert [each.kafka_ms for each in bench.there()] == [1, 4, 7]


def test_a_large_one_is_several_records(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "LARGEST", 200)
    brands = tuple(f"Brand {n:03d}" for n in range(100))
    bench.send(Signal(START, 1, {START: brands}))
    there = bench.there()
    assert len(there) > 5
    assert tuple(brand for each in there for brand in each.touched[START]) == brands


@pytest.mark.logs_errors
def test_a_pair_that_no_topic_takes_is_left_out_and_what_came_with_it_is_told(bench: Bench) -> None:
    candidate = Candidate("word", "Acme", "x", "en", 1, START, START, 1.0)
    bench.send(Signal(START, 1, {START: ("Acme", "x" * 1_100_000), at(3): ("Bolt",)}, (candidate,)))
    there = bench.there()
    assert {(minute, brand) for each in there for minute, brands in each.touched.items() for brand in brands} == {
        (START, "Acme"),
        (at(3), "Bolt"),
    }
    assert [each for signal in there for each in signal.candidates] == [candidate]
    assert not bench.vitals.unready()


def test_a_signal_that_is_too_large_for_its_topic_goes_in_halves(settings: Settings, bench: Bench) -> None:
    brands = tuple(f"{n:03d}{random.Random(n).randbytes(400).hex()}" for n in range(300))
    set_topic(settings.kafka, settings.kafka.topic("signals"), "max.message.bytes", 50_000)
    bench.send(Signal(START, 1, {START: brands}))
    there = bench.there()
    assert len(there) >= 5 and {brand for each in there for brand in each.touched[START]} == set(brands)


def test_an_ended_generation_sends_nothing(bench: Bench) -> None:
    bench.fence.end_generation()
    with pytest.raises(GivenUp):
        bench.signals.send(Signal(START, 1, TOUCHED), bench.fence.generation - 1)
    assert not bench.there()


def test_a_broker_that_is_away_loses_nothing(kafka: Stack, bench: Bench) -> None:
    bench.send(Signal(START, 1, TOUCHED))
    kafka.kill("kafka")
    sending = threading.Thread(target=bench.send, args=(Signal(START, 2, TOUCHED),))
    sending.start()
    sending.join(3)
    assert sending.is_alive(), "it waits for the broker"
    assert not bench.vitals.silent()
    kafka.restart("kafka")
    sending.join(60)
    assert not sending.is_alive()
    assert [each.kafka_ms for each in bench.there()] == [1, 2]


def test_who_waits_for_the_broker_gives_up_with_its_generation(kafka: Stack, bench: Bench) -> None:
    bench.send(Signal(START, 1, TOUCHED))
    ended: list[BaseException] = []

    def send() -> None:
        try:
            bench.send(Signal(START, 2, TOUCHED))
        except GivenUp as error:
            ended.append(error)

    with kafka.paused("kafka"):
        sending = threading.Thread(target=send)
        sending.start()
        sending.join(1)
        assert sending.is_alive()
        bench.fence.end_generation()
        sending.join(60)
        assert ended


# --- what landings are told as ----------------------------------------------------------------------------------------
RULES = Alerts.model_validate(
    {
        "rules": [
            {"name": "word", "type": "keyword", "words": {"any": ["recall"]}},
            {"name": "reach", "type": "reach", "followers": 100, "negative": False},
        ]
    }
)
BRANDS = Brands.model_validate({"brands": [{"name": "Acme", "keywords": ["acme"]}, {"name": "Bolt", "keywords": ["bolt"]}]})


class Landings(PathRun):
    """The steps of workers over one database: `feed` gives a batch, `publish` lands batches together."""

    def __init__(self, settings: Settings, bench: Bench) -> None:
        client = clickhouse_client(settings.clickhouse)
        inserter = Inserter(client, bench.fence, Vitals(), "landing")
        self.client, self.table, self.bench = client, InteractionsTable(inserter), bench
        mentions = Mentions(BRANDS, words_of(RULES))
        single = SingleEvent(RULES, mentions.words_in)
        self.publisher = SignalPublisher(bench.signals, single, self.table)
        landing = Landing(inserter, TableLetters(inserter, ROWS), str, self.publisher.publish)
        super().__init__(landing, Completion(self.table, 1e9), mentions, [single])

    def stamp(self, batch: EventBatch) -> None:
        batch.timestamps = np.full(batch.read, 1_000 * batch.id)
        batch.origins = tuple(origin._replace(last_ms=1_000 * batch.id) for origin in batch.origins)

    def publish(self, *batches: EventBatch) -> list[Signal]:
        """Lands them and returns the signals since the last time."""
        self.bench.fence.polled()
        before = len(self.bench.there())
        self.land(*batches)
        return self.bench.there()[before:]

    def restart(self) -> None:
        """Another worker, before anything was committed."""
        known = self.table.unpublished([Assigned("events", 0, None)], 24, 1_000)
        self.use(new_index())
        self.index.stored.add(known.to_numpy())
        self.index.mark_unpublished(known.to_numpy())


@pytest.fixture
def landings(settings: Settings, bench: Bench) -> Iterator[Landings]:
    landings = Landings(settings, bench)
    yield landings
    landings.client.close()


def post(minute: int, text: str, **more: object) -> bytes:
    return event(**{"id": str(minute), "created_at": f"2026-09-01T10:{minute:02d}:07Z", "text": text} | more)


def change(minute: int, **more: object) -> bytes:
    value = {"id": str(minute), "platform": "x", "operation": "update", "occurred_at": f"2026-09-01T11:{minute:02d}:00Z"}
    return orjson.dumps(value | more)


def at(minute: int, hour: int = 10) -> datetime:
    return datetime(2026, 9, 1, hour, minute, tzinfo=UTC)


def raised(signals: list[Signal]) -> list[tuple[str, str, int | None]]:
    return sorted((each.rule, each.brand, each.kafka_ms) for signal in signals for each in signal.candidates)


def test_batches_that_land_together_are_one_signal(landings: Landings) -> None:
    one = landings.feed(post(1, "acme recall"), post(2, "bolt"))
    (signal,) = landings.publish(one, landings.feed(post(1, "acme", id="other"), post(3, "none")))
    assert signal.touched == {at(1): ("Acme",), at(2): ("Bolt",)} and signal.others == (at(3),)
    assert signal.newest == at(3) + timedelta(seconds=7) and signal.kafka_ms == 2_000
    assert raised([signal]) == [("word", "Acme", 1_000)]


def test_deletes_and_edits_are_told_by_the_minute_of_their_event(landings: Landings) -> None:
    landings.publish(landings.feed(post(1, "acme"), post(2, "bolt")))
    (signal,) = landings.publish(landings.feed(change(1, text="acme recall"), change(2, operation="delete")))
    assert signal.touched == {at(1): ("Acme",), at(2): ("Bolt",)} and signal.newest == at(1, hour=11)
    assert raised([signal]) == [("word", "Acme", 2_000)]
    (signal,) = landings.publish(landings.feed(change(1, operation="delete")))
    assert signal == Signal(None, 3_000, {at(1): ("Acme",)})


def test_what_takes_an_event_from_a_brand_names_that_brand_too(landings: Landings) -> None:
    landings.publish(landings.feed(post(1, "acme"), post(2, "acme"), post(3, "bolt")))
    flying = landings.feed(change(1, text="bolt"), change(2, text="no brand"), change(3, metrics={"likes": 1}))
    later = landings.feed(change(1, occurred_at="2026-09-01T11:09:00Z", text="no brand either"))
    (signal,) = landings.publish(flying)
    assert signal.touched == {at(1): ("Acme", "Bolt"), at(2): ("Acme",), at(3): ("Bolt",)}
    (signal,) = landings.publish(later)
    assert "Bolt" in signal.touched[at(1)], "the brand of a batch that was on its way"
    (signal,) = landings.publish(landings.feed(post(4, "bolt"), change(4, text="acme")))
    assert signal.touched == {at(4): ("Acme", "Bolt")}


def test_events_without_a_brand_are_told_by_their_minutes(landings: Landings) -> None:
    (signal,) = landings.publish(landings.feed(post(1, "none"), post(2, "acme"), post(2, "nor this", id="other")))
    assert signal.touched == {at(2): ("Acme",)} and signal.others == (at(1),)
    assert [each.others for each in landings.publish(landings.feed(post(4, "none")))] == [(at(4),)], "at once, each time"
    assert [each.others for each in landings.publish(landings.feed(change(4, operation="delete")))] == [(at(4),)]


def test_rows_that_change_without_a_landing_are_told_before_and_after(settings: Settings, bench: Bench) -> None:
    rows = pl.DataFrame({"created_at": [at(5), at(3) + timedelta(seconds=9), at(5) + timedelta(seconds=1)]})
    changes = Changes(settings.kafka, "rematch")
    with changes.changing(rows):
        assert bench.there() == [Signal(upcoming=(at(3), at(5)))]
    assert bench.there()[1:] == [Signal(others=(at(3), at(5)))]
    with pytest.raises(KeyboardInterrupt), changes.changing(rows):
        raise KeyboardInterrupt  # ClickHouse writes the rows all the same
    assert bench.there()[2:] == [Signal(upcoming=(at(3), at(5)))] * 2, "they change later than was told"
    with pytest.raises(UnreachableError, match=r"no topic nowhere.signals \(earshot migrate creates it\)"):
        Changes(settings.kafka.model_copy(update={"topic_prefix": "nowhere"}), "rematch")


def test_nothing_that_landed_is_no_signal(landings: Landings) -> None:
    assert landings.publish(landings.feed()) == []
    assert landings.publish(landings.feed(b"no event")) == []


def test_what_clickhouse_refuses_raises_nothing(landings: Landings) -> None:
    landings.client.command("ALTER TABLE interactions ADD CONSTRAINT no_x CHECK text NOT LIKE '%refuse%'")
    try:
        (signal,) = landings.publish(landings.feed(post(1, "acme recall, refuse"), post(2, "bolt recall")))
    finally:
        landings.client.command("ALTER TABLE interactions DROP CONSTRAINT no_x")
    assert signal.touched == {at(2): ("Bolt",)} and raised([signal]) == [("word", "Bolt", 1_000)]


def test_a_change_that_clickhouse_lets_not_wait_raises_nothing(landings: Landings) -> None:
    landings.client.command("ALTER TABLE pending_changes ADD CONSTRAINT no_1 CHECK id != '1'")
    try:
        changes = landings.feed(change(1, text="acme recall"), change(2, text="acme recall"))
        (signal,) = landings.publish(changes, landings.feed(post(1, "bolt"), post(2, "bolt")))
    finally:
        landings.client.command("ALTER TABLE pending_changes DROP CONSTRAINT no_1")
    assert signal.touched == {at(1): ("Bolt",), at(2): ("Acme", "Bolt")}
    assert [each.occurred_at for each in signal.candidates] == [at(2, hour=11)]


def test_what_may_not_have_been_told_is_told_again(landings: Landings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Creates, edits that carry when their event was created and edits that do not, deletes: as they were when they landed."""
    raw = [
        post(1, "acme recall"), post(2, "bolt"), post(3, "acme", author={"followers": 100}), post(4, "acme recall"),
        post(5, "acme recall", direction="outbound"), post(6, "acme"), post(7, "none"),
    ]  # fmt: skip
    changes = [
        change(2, text="bolt recall"), change(3, author={"followers": 1}), change(4, operation="delete"),
        change(6, created_at="2026-09-01T10:06:07Z", text="acme recall"), change(7, text="bolt"),
    ]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(landings.bench.signals, "send", lambda *_: None)  # killed before it, twice
        landings.publish(landings.feed(*raw))
        landings.publish(landings.feed(*changes))
    landings.restart()
    again = landings.feed(*raw, *changes)
    assert again.events.height == 0 and again.dropped == {"duplicate": len(raw) + len(changes)}
    (signal,) = landings.publish(again)
    assert signal.touched == {**{at(n): ("Acme",) for n in (1, 3, 4, 5, 6)}, at(2): ("Bolt",), at(7): ("Bolt",)}
    keyword = [("word", brand, 3_000) for brand in ("Acme", "Acme", "Acme", "Bolt")]
    assert raised([signal]) == [("reach", "Acme", 3_000), *keyword]
    assert signal.newest == at(7, hour=11) and signal.kafka_ms == 3_000
    assert landings.publish(landings.feed(*raw, *changes)) == [], "told once"


def test_a_row_that_was_replaced_meanwhile_is_told_as_it_is_now(landings: Landings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(landings.bench.signals, "send", lambda *_: None)
        landings.publish(landings.feed(post(1, "acme recall"), post(2, "acme recall")))
        landings.publish(landings.feed(change(1, metrics={"likes": 5}), change(2, text="bolt")))
    landings.restart()
    landings.client.command("OPTIMIZE TABLE interactions FINAL")
    (signal,) = landings.publish(landings.feed(post(1, "acme recall"), post(2, "acme recall")))
    assert signal.touched == {at(1): ("Acme",), at(2): ("Bolt",)}
    assert raised([signal]) == [("word", "Acme", 3_000)], "the text of the first is still what its create said"


def test_a_change_that_waited_and_was_not_told_is_told_after_a_restart(
    landings: Landings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own record was committed long ago, so no replay brings it: only that it is not marked done says so."""
    assigned = [Assigned("events", 0, 1)]
    pending = PendingTable(Inserter(landings.client, landings.bench.fence, Vitals(), "seeding"))
    landings.publish(landings.feed(change(1, text="acme recall")))
    batch = landings.feed(post(1, "acme"))
    assert batch.events.height == 2

    def killed(*_: object) -> None:
        raise GivenUp

    with monkeypatch.context() as patch:
        patch.setattr(landings.bench.signals, "send", killed)
        with pytest.raises(GivenUp):
            landings.publish(batch)
    waiting = pending.waiting(assigned, limit=10)
    assert waiting.newest.height == 1
    landings.restart()
    landings.path.leave(None)
    landings.completion.held.load(waiting, {("events", 0)})
    assert landings.completion.waiting
    (signal,) = landings.publish(landings.feed())
    assert signal.touched == {at(1): ("Acme",)} and raised([signal]) == [("word", "Acme", None)]
    assert not pending.waiting(assigned, limit=10).keys.height
    assert landings.client.command("SELECT uniqExact(revision) = count() FROM interactions"), "it did not land once more"


def test_labels_that_come_later_are_told_in_two_parts(bench: Bench, landings: Landings) -> None:
    batch = landings.feed(post(1, "acme", author={"followers": 500}), post(2, "bolt"))
    labelled = batch.events.with_columns(sentiment_label=pl.lit("negative"))
    tell = LabelSignals(bench.signals, SingleEvent(RULES, lambda texts: texts))
    tell.before_write(labelled, bench.fence.generation)
    tell.before_write(labelled.filter(id="2"), bench.fence.generation)
    tell.after_write(labelled, bench.fence.generation)
    found, other, touched = bench.there()
    assert other == Signal(upcoming=(at(2),)) and found.upcoming == (at(1), at(2))
    assert found.candidates[0].matched_at is None
    assert raised([found]) == [("reach", "Acme", None)] and not found.touched and found.newest is None
    assert found.candidates[0].sentiment == "negative"
    assert touched == Signal(touched={at(1): ("Acme",), at(2): ("Bolt",)})

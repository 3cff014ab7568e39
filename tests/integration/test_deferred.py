"""Labels for what landed without one, against the real engine: which rows, in which order, and what happens meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.inserter import Inserter
from pipeline.config.settings import Settings
from pipeline.fence import Fence
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.processors.alerts.single import JUDGED
from pipeline.processors.sentiment.backlog import SCHEMA, Backlog
from pipeline.processors.sentiment.deferred import PACE, DeferredLabeller, Pace
from pipeline.processors.sentiment.memory import MemoryLabeller, label_of
from pipeline.sources.memory import batch_of
from schemas import events
from tests.support.worker import wait_for

QUICK_SWEEP = pytest.mark.parametrize("pace", [Pace(sweep_s=0.5)], ids=["quick sweep"])
NONE = np.zeros(0, np.uint64)
START = datetime(2026, 9, 1, 10, tzinfo=UTC)
VERSION = 1_790_000_000_000 << events.TIME_SHIFT
PLACES = {("t", n) for n in range(4)}
Ask = Callable[[pl.Series, pl.Series], None]


class Asked(MemoryLabeller):
    """Remembers the texts in the order in which it was asked; `meddle` runs while the model reads."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.texts: list[str] = []
        self.meddle: Callable[[], None] = lambda: None

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        self.texts += texts.to_list()
        self.meddle()
        return super().label(texts, languages, until)


@pytest.fixture
def settings(emptied: Settings) -> Settings:
    return emptied


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        yield client


class Heard:
    """Remembers the notifications in order: the event keys and labels, before and after each write."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, str]] = []

    def before_write(self, rows: pl.DataFrame, generation: int) -> None:
        self._hear("found", rows)

    def after_write(self, rows: pl.DataFrame, generation: int) -> None:
        self._hear("touched", rows)

    def _hear(self, what: str, rows: pl.DataFrame) -> None:
        rows.select(JUDGED)
        self.heard += [(what, *row) for row in rows.select("event_key", "sentiment_label").iter_rows()]


class Bench:
    """`later` over the tables of a test, with a poll loop that polls."""

    def __init__(self, settings: Settings, labeller: MemoryLabeller, pace: Pace = PACE) -> None:
        self.fence, self.spare, self.errors = Fence(), True, list[BaseException]()
        self._client = clickhouse_client(settings.clickhouse)
        inserter = Inserter(self._client, self.fence, Vitals(), "labels")
        self.told, self.urgent = Heard(), list[bool]()
        self.later = DeferredLabeller(labeller, inserter, self.told, "t", self.has_time, pace)
        self._ended = threading.Event()
        self._poll = threading.Thread(target=self._keep_polling)

    def has_time(self, urgent: bool) -> bool:
        self.urgent.append(urgent)
        return self.spare

    def _keep_polling(self) -> None:
        while not self._ended.wait(0.2):
            self.fence.polled()

    def __enter__(self) -> Bench:
        self._poll.start()
        self.later.start(self.errors.append)
        return self

    def __exit__(self, *_: object) -> None:
        self.later.stop()
        self._ended.set()
        self._poll.join()
        self._client.close()
        assert not self.errors


@pytest.fixture
def labeller() -> Asked:
    return Asked()


@pytest.fixture
def pace() -> Pace:
    return PACE


@pytest.fixture
def bench(settings: Settings, client: Client, labeller: Asked, pace: Pace) -> Iterator[Bench]:
    with Bench(settings, labeller, pace) as bench:
        yield bench


def insert(client: Client, *numbers: int, **more: Any) -> None:
    """Rows that wait for their label; `more` is different."""
    rows = [
        {
            "event_key": n, "revision": n + 1_000_000, "version": VERSION, "is_deleted": 0, "id": str(n), "platform": "x",
            "created_at": START + timedelta(minutes=n), "ingested_at": START, "text": f"text {n}", "language": "en",
            "brands": ["A"], "topic": "t", "partition": n % 4, "sentiment_status": "deferred", "metrics_likes": n,
        }
        | more
        for n in numbers
    ]  # fmt: skip
    client.insert("interactions", [list(row.values()) for row in rows], list(rows[0]))


def final(client: Client, what: str = "sentiment_label, sentiment_status, version - {v:UInt64}") -> dict[int, tuple[Any, ...]]:
    rows = client.query(f"SELECT event_key, {what} FROM interactions FINAL ORDER BY event_key", {"v": VERSION}).result_rows
    return {key: tuple(values) for key, *values in rows}


def waiting(client: Client) -> int:
    return int(str(client.command("SELECT count() FROM interactions FINAL WHERE sentiment_status = 'deferred'")))


def test_what_waits_is_found_on_assignment_and_labelled_newest_first(client: Client, bench: Bench, labeller: Asked) -> None:
    insert(client, *range(40))
    insert(client, 100, topic="other")
    others = "* EXCEPT (event_key, version, sentiment_label, sentiment_negative, sentiment_neutral, sentiment_positive, "
    others += "sentiment_model, sentiment_language, sentiment_status)"
    before = final(client, others)
    bench.later.own({("t", 0), ("t", 1)})
    wait_for("all of two partitions are labelled", lambda: waiting(client) == 21)
    assert labeller.texts == [f"text {n}" for n in reversed(range(40)) if n % 4 < 2]
    assert bench.told.heard[:20] == [("found", n, label_of(f"text {n}")) for n in reversed(range(40)) if n % 4 < 2]
    wait_for("what was labelled is told", lambda: len(bench.told.heard) == 40)
    assert bench.told.heard[20:] == [("touched", n, label) for _, n, label in bench.told.heard[:20]]
    rows = final(client)
    mine = [n for n in range(40) if n % 4 < 2]
    assert {n: rows[n] for n in mine} == {n: (label_of(f"text {n}"), "labelled", 1) for n in mine}
    assert final(client, others) == before
    found = client.query(
        "SELECT DISTINCT sentiment_model, sentiment_language, round(sentiment_negative + sentiment_neutral + "
        "sentiment_positive, 5), abs(sentiment_score - sentiment_positive + sentiment_negative) < 1e-6 "
        "FROM interactions FINAL WHERE sentiment_status = 'labelled'"
    )
    assert found.result_rows == [("memory@1", "en", 1.0, 1)]
    assert metrics.REGISTRY.get_sample_value("earshot_sentiment_deferred_rows") == 0


def test_what_the_model_can_not_read_is_unknown_for_good(client: Client, bench: Bench) -> None:
    insert(client, 1, language="xx")
    bench.later.own(PLACES)
    wait_for("it is unknown", lambda: not waiting(client))
    what = "sentiment_label, sentiment_status, sentiment_reason, sentiment_negative"
    assert final(client, what) == {1: ("", "unknown", "language", None)}


def test_what_landed_is_remembered_and_nothing_is_done_without_time(client: Client, bench: Bench, labeller: Asked) -> None:
    bench.spare = False
    bench.later.own(PLACES)
    time.sleep(0.5)
    insert(client, 1, 2)
    created = pl.Series([START, START + timedelta(minutes=2)], dtype=SCHEMA["created_at"])
    rows = pl.DataFrame({"event_key": [1, 2], "created_at": created, "partition": [1, 2]}, schema_overrides=SCHEMA)
    batch = batch_of([])
    batch.events = rows.with_columns(sentiment_status=pl.Series(["labelled", "deferred"]))
    bench.later.landed(batch, NONE)
    assert metrics.REGISTRY.get_sample_value("earshot_sentiment_deferred_rows") == 1
    assert metrics.REGISTRY.get_sample_value("earshot_sentiment_deferred_age_seconds") == pytest.approx(0, abs=5)
    time.sleep(0.5)
    assert not labeller.texts
    bench.spare = True
    wait_for("the second is labelled", lambda: waiting(client) == 1)
    assert labeller.texts == ["text 2"]


@QUICK_SWEEP
def test_an_edit_while_the_model_reads_is_never_overwritten(client: Client, bench: Bench, labeller: Asked) -> None:
    insert(client, 0, 1, 2, 3, created_at=START)
    metrics_only = {"version": VERSION + 32, "revision": 5, "created_at": START, "metrics_likes": 99}

    def meddle() -> None:
        labeller.meddle = lambda: None
        insert(client, 0, created_at=START, version=VERSION + 32, revision=6, text="edited", sentiment_status="labelled")
        insert(client, 1, **metrics_only)
        insert(client, 2, created_at=START, version=VERSION + 64, is_deleted=1, revision=7, text="", sentiment_status="")
        # A rematch, from the same version.
        insert(client, 3, created_at=START, version=VERSION + 2, brands=["A", "B"])

    labeller.meddle = meddle
    bench.later.own(PLACES)
    wait_for("all is labelled", lambda: not waiting(client), timeout=30)
    assert final(client, "text, sentiment_status, metrics_likes, brands, version - {v:UInt64}") == {
        0: ("edited", "labelled", 0, ["A"], 32),
        1: ("text 1", "labelled", 99, ["A"], 33),
        3: ("text 3", "labelled", 3, ["A", "B"], 3),
    }
    ((rows,),) = client.query("SELECT count() FROM interactions WHERE event_key = 2").result_rows
    assert rows <= 2


@QUICK_SWEEP
def test_a_label_that_lost_against_other_brands_is_made_again(client: Client, bench: Bench, labeller: Asked) -> None:
    insert(client, 1)
    bench.later.own(PLACES)
    wait_for("it is labelled", lambda: not waiting(client))
    insert(client, 1, version=VERSION + 2, brands=["A", "B"])
    wait_for("it is labelled once more", lambda: not waiting(client))
    assert final(client, "brands, sentiment_status, version - {v:UInt64}") == {1: (["A", "B"], "labelled", 3)}


def test_a_partition_that_left_is_left_alone(client: Client, bench: Bench, labeller: Asked) -> None:
    insert(client, *range(8))
    labeller.meddle = lambda: bench.later.left({("t", 1)})
    bench.later.own(PLACES)
    wait_for("the others are labelled", lambda: waiting(client) == 2)
    assert {n for n, (_, status, _) in final(client).items() if status == "deferred"} == {1, 5}
    labeller.meddle = lambda: None
    bench.later.own({("t", 1)})
    wait_for("it came back", lambda: not waiting(client))


def test_an_ended_generation_writes_nothing_and_the_next_does(client: Client, bench: Bench, labeller: Asked) -> None:
    insert(client, 1)
    ended = threading.Event()

    def meddle() -> None:
        labeller.meddle = lambda: None
        bench.later.left(None)
        bench.fence.end_generation()
        ended.set()

    labeller.meddle = meddle
    bench.later.own(PLACES)
    assert ended.wait(30)
    time.sleep(0.5)
    assert waiting(client) == 1
    bench.later.own(PLACES)
    wait_for("it is labelled", lambda: not waiting(client))
    assert final(client)[1][1:] == ("labelled", 1)


def test_more_than_is_remembered_is_labelled_all_the_same(settings: Settings, client: Client) -> None:
    insert(client, *range(100))
    with Bench(settings, MemoryLabeller(delay_s=0.001), Pace(chunk_rows=20, kept=30)) as bench:
        bench.later.own(PLACES)
        wait_for("all is labelled", lambda: not waiting(client))
    assert {values[1:] for values in final(client).values()} == {("labelled", 1)}
    assert client.command("SELECT count() FROM interactions WHERE sentiment_status = 'labelled'") == 100


@pytest.mark.parametrize("pace", [Pace(urgent_s=2.0)], ids=["soon urgent"])
def test_what_has_waited_for_long_is_urgent(client: Client, bench: Bench) -> None:
    bench.spare, asked = False, bench.urgent
    asked.clear()
    insert(client, 1, ingested_at=datetime.now(UTC) - timedelta(days=60))
    bench.later.own(PLACES)
    wait_for("it was asked", lambda: len(asked) > 3)
    assert not asked[0]
    wait_for("it is urgent", lambda: asked[-1])


def test_a_stop_is_quick_and_another_goes_on(settings: Settings, client: Client) -> None:
    insert(client, *range(1_000))
    with Bench(settings, MemoryLabeller(delay_s=0.02)) as bench:
        bench.later.own(PLACES)
        wait_for("some are labelled", lambda: waiting(client) < 1_000)
        bench.later.stop()
        assert waiting(client) > 500, "all would take twenty seconds"
    with Bench(settings, MemoryLabeller()) as bench:
        bench.later.own(PLACES)
        wait_for("all are labelled", lambda: not waiting(client))
    assert {values[1:] for values in final(client).values()} == {("labelled", 1)}
    assert client.command("SELECT count() FROM interactions WHERE sentiment_status = 'labelled'") == 1_000


def test_the_backlog_gives_the_newest_and_knows_that_there_are_more() -> None:
    rows = Backlog(kept=5)

    def frame(*numbers: int) -> pl.DataFrame:
        times = pl.Series([START + timedelta(minutes=n) for n in numbers], dtype=SCHEMA["created_at"])
        return pl.DataFrame(
            {"event_key": numbers, "created_at": times, "partition": [n % 2 for n in numbers]}, schema_overrides=SCHEMA
        )

    rows.add(frame(1, 4, 2))
    rows.add(frame(3, 4))
    assert rows.take(2).get_column("event_key").to_list() == [4, 3]
    assert (len(rows), rows.cut) == (2, False)
    rows.add(frame(5, 6, 7, 8, 9, 10))
    rows.forget({1})
    assert rows.take(9).get_column("event_key").to_list() == [10, 8, 6]
    assert rows.cut

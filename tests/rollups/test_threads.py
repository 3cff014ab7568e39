"""Table threads: conversations told by hand, those of recorded data, and the truth of a generated stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from xxhash import xxh3_64_intdigest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clickhouse.query import READ, Ask, asker
from pipeline.config.settings import Settings
from pipeline.control.rollups import SETTINGS as OF_JOB
from pipeline.errors import EarshotError
from pipeline.generate.plan import Plan
from pipeline.generate.stream import Stream
from pipeline.generate.targets import sample_brands
from pipeline.rollups import threads as module
from pipeline.rollups.check import Check
from pipeline.rollups.kept import Kept
from pipeline.rollups.rollup import Span, quarter_of, statements
from pipeline.rollups.threads import Threads
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import find_mapping
from tests.support.landed import land
from tests.support.platform_events import RECORDED, needs_recorded
from tests.support.walked import walked

SETTINGS = {name: value for name, value in READ.items() if name != "readonly"}
START = datetime(2026, 9, 30, 22, 0, tzinfo=UTC)
ALWAYS = [Span(quarter_of(datetime(1995, 1, 1, tzinfo=UTC)), quarter_of(datetime(2100, 1, 1, tzinfo=UTC)))]
Row = dict[str, Any]


@pytest.fixture
def client(emptied: Settings) -> Iterator[Client]:
    with clickhouse_client(emptied.clickhouse) as client:
        yield client


def asking(client: Client) -> Ask:
    ask = asker(client)
    return lambda sql, more: ask(sql, SETTINGS)


def rebuild(client: Client, version: int = 1, spans: list[Span] = ALWAYS) -> None:
    for statement in statements(Threads(), spans, version, asking(client)):
        client.command(statement, settings=SETTINGS)


def differences(client: Client, spans: list[Span] = ALWAYS) -> int:
    check = Check(asking(client), patience_s=0)
    return sum(each.rows for each in check.run([], [(Threads(), span) for span in spans]))


def threads(client: Client) -> dict[tuple[str, str], Row]:
    """By brand and the platform's name of the conversation."""
    columns = "*, answer_seconds, answer_business_seconds"
    rows = client.query(f"SELECT {columns} FROM threads FINAL", settings=SETTINGS, query_tz="UTC", tz_mode="aware")
    return {(row["brand"], row["conversation_id"]): row for row in rows.named_results()}


def key(name: str) -> int:
    return xxh3_64_intdigest(f"forum:{name}".encode())


def said(name: str, minute: float, by: str = "ann", **more: Any) -> bytes:
    """A reply in conversation `c`, a minute of START; `by` "us" is the brand's own."""
    at = (START + timedelta(minutes=minute)).isoformat()
    event: Row = {"id": name, "platform": "forum", "kind": "reply", "created_at": at, "text": name, "conversation_id": "c"}
    event |= {"direction": "outbound" if by == "us" else "inbound", "author": {"id": by, "kind": "person"}}
    return orjson.dumps(event | ({"brands": ["Acme"]} if by == "us" else {}) | more)


ACME: Row = {"brands": ["Acme"]}


def test_a_conversation_is_told_and_told_anew(client: Client) -> None:
    answer: Row = {"in_reply_to": "q2"}
    land(
        client,
        [
            said("before", 0, by="bob"),
            said("q1", 1, **ACME),
            said("bot", 2, by="us", author={"id": "robot", "kind": "bot"}),
            said("q2", 3, by="cid", **ACME),
            said("a2", 4.5, by="us", **answer),
            said("a2 again", 5, by="us", **answer),
            said("more", 6),
            said("a1", 8, by="us", in_reply_to="more"),
            said("thanks", 30, by="cid"),
            said("a repost", 31, by="dan", kind="repost", **ACME),
            said("stranger", 32, by="dan"),
            said("of another", 33, by="us", brands=["Bolt"]),
        ],
    )
    rebuild(client)
    found = threads(client)
    assert found.keys() == {("Acme", "c")}, "nobody said a word about Bolt"
    (thread,) = found.values()
    minutes = {name: START + timedelta(minutes=at) for name, at in (("q1", 1), ("q2", 3), ("thanks", 30))}
    assert thread["opened"] == minutes["q1"] and thread["customer"] == key("ann") and thread["platform"] == "forum"
    assert (thread["customers"], thread["words"], thread["ours"], thread["early"]) == (2, 4, 3, 0)
    assert thread["answers"] == [key("a2"), key("a1")], "a second word of ours answers nothing, nor does a bot"
    assert thread["answer_seconds"] == [90.0, 420.0] == thread["answer_business_seconds"]
    assert thread["asked_at"] == [minutes["q2"], minutes["q1"]]
    assert (thread["waiting"], thread["waiting_since"], thread["reopened"]) == (1, minutes["thanks"], 1)
    assert (thread["last_customer"], thread["last_ours"]) == (minutes["thanks"], START + timedelta(minutes=8))
    assert thread["resolved_at"] is None and thread["statuses"] == []
    assert differences(client) == 0

    later = START + timedelta(hours=9)
    change: Row = {"operation": "update", "occurred_at": later.isoformat()}
    land(client, [said("q1", 1, thread={"status": "Closed", "team": "care"}, **change)])
    assert differences(client) == 1
    rebuild(client, 2, [Span(quarter_of(START), quarter_of(START))])
    (thread,) = threads(client).values()
    assert (thread["statuses"], thread["status_at"], thread["team"]) == (["Closed"], [later], "care")
    assert (thread["closed_at"], thread["resolved_at"], thread["waiting"]) == (later, later, 0)
    assert differences(client) == 0


def test_what_is_gone_is_gone_whatever_quarter_tells_it(client: Client) -> None:
    """The row of a deleted event names its conversation no more: the table knows in which quarters it had rows."""
    days = 60 * 24
    land(client, [said("q", 0, **ACME), said("a", 40 * days, by="us"), said("other", 1, conversation_id="d", **ACME)])
    rebuild(client)
    assert threads(client)["Acme", "c"]["answer_seconds"] == [40 * days * 60.0]
    gone: Row = {"operation": "delete", "occurred_at": (START + timedelta(days=50)).isoformat()}
    land(client, [said("a", 40 * days, by="us", **gone)])
    quarter = quarter_of(START + timedelta(days=40))
    assert differences(client) == 1
    rebuild(client, 2, [Span(quarter, quarter)])
    assert threads(client)["Acme", "c"]["waiting"] == 1 and differences(client) == 0
    land(client, [said("q", 0, **gone)])
    rebuild(client, 3, [Span(quarter_of(START), quarter_of(START))])
    assert threads(client).keys() == {("Acme", "d")} and differences(client) == 0


def test_a_conversation_that_has_lost_its_first_word_by_its_age_stays_as_it_is(client: Client) -> None:
    """Nine days on, words go after five: an answer that comes to what is left would be the answer to something else."""
    days = 24 * 60
    land(
        client,
        [
            said("q", 0, **ACME),
            said("a", 5 * days, by="us"),
            said("whole", 6 * days, conversation_id="d", **ACME),
            said("short", 1, platform="short", conversation_id="e", **ACME),
            said("short answer", 7 * days, by="us", platform="short", conversation_id="e"),
        ],
    )
    rebuild(client)
    before = threads(client)
    kept = Kept(None, {"forum": 5, "short": 60}, lambda: (START + timedelta(days=9)).timestamp())
    client.command("ALTER TABLE interactions DELETE WHERE id = 'q' SETTINGS mutations_sync = 1")
    land(client, [said("again", 8 * days, **ACME), said("more", 8 * days, conversation_id="d", **ACME)])
    land(client, [said("thanks", 8 * days, platform="short", conversation_id="e", **ACME)])
    own = Threads(kept)
    settings = SETTINGS | kept.settings()
    for version in (2, 3):
        for statement in (own.prepare(ALWAYS), own.rebuild(ALWAYS, version)):
            client.command(statement, settings=settings)
        found = threads(client)
        assert found["Acme", "c"] == before["Acme", "c"]
        assert (found["Acme", "d"]["words"], found["Acme", "e"]["words"], len(found)) == (2, 2, 3)
    assert not client.query(own.differences(ALWAYS), settings=settings).result_rows
    assert differences(client) > 0, "as they are if nothing is gone"


def test_conversations_of_any_month_may_go_on_in_one_quarter(client: Client) -> None:
    """Each month is a partition: with a hundred and one of them ClickHouse refused the statement, and that for ever."""
    months = [datetime(2010, month, 1, tzinfo=UTC).isoformat() for month in (1, 2, 3)]
    asked = [said(f"q{n}", 0, conversation_id=f"c{n}", created_at=at, **ACME) for n, at in enumerate(months)]
    land(client, asked + [said(f"more{n}", 1, conversation_id=f"c{n}") for n in range(3)])
    client.set_client_setting("max_partitions_per_insert_block", "2")  # as the pin, 100, in small
    for version, spans in ((1, ALWAYS), (2, [Span(quarter_of(START), quarter_of(START))])):
        for statement in statements(Threads(), spans, version, asking(client)):
            client.command(statement, settings=OF_JOB)
    assert [(thread["words"], thread["version"]) for thread in threads(client).values()] == [(2, 2)] * 3


def test_a_conversation_too_large_for_a_statement_has_no_row_and_many_have_several(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 150,000 words about 200 brands, or a million words in a quarter-hour, took a statement past its limits, and that
    again and again."""
    monkeypatch.setattr(module, "LARGEST", 20)
    monkeypatch.setattr(module, "PART", 20)
    both: Row = {"brands": ["Acme", "Bolt"]}
    quarter, left_out = [Span(quarter_of(START), quarter_of(START))], list[int]()
    land(client, [said(f"b{n}", 0, conversation_id="big", **both) for n in range(10)])
    land(client, [said(f"s{n}", 1, conversation_id=f"s{n}", **ACME) for n in range(30)])
    rebuild(client)
    assert len(threads(client)) == 32 and threads(client)["Bolt", "big"]["words"] == 10

    land(client, [said("b10", 2, conversation_id="big", **both), said("more", 1, conversation_id="s0", **ACME)])
    assert differences(client, [Span(quarter[0].first - 1, quarter[0].last)]) == 3
    ran = []
    for statement in statements(Threads(), quarter, 2, asking(client), left_out.append):
        ran.append(statement)
        client.command(statement, settings=SETTINGS)
    assert len(ran) == 3 and left_out == [1] and differences(client, quarter) == 0
    assert len(threads(client)) == 30 and threads(client)["Acme", "s0"]["words"] == 2

    gone: Row = {"operation": "delete", "occurred_at": (START + timedelta(hours=1)).isoformat()}
    land(client, [said("b10", 2, conversation_id="big", **gone)])
    rebuild(client, 3, quarter)
    assert len(threads(client)) == 32 and differences(client, quarter) == 0
    monkeypatch.setattr("pipeline.rollups.rollup.MOST_PARTS", 1)
    with pytest.raises(EarshotError, match="so many quarter-hours take 3 statements"):
        rebuild(client, 4)


def test_a_conversation_that_never_ends_has_no_row(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel in which something is said all the time: for each word all rows of all its time were read."""
    monkeypatch.setattr(module, "LONGEST", 3)
    land(client, [said(f"q{n}", 15 * n, **ACME) for n in range(3)] + [said("d", 0, conversation_id="d", **ACME)])
    rebuild(client)
    assert threads(client)["Acme", "c"]["words"] == 3 and differences(client) == 0
    land(client, [said("q3", 45, **ACME)])
    rebuild(client, 2, [Span(quarter_of(START) + 3, quarter_of(START) + 3)])
    assert threads(client).keys() == {("Acme", "d")} and differences(client) == 0
    gone: Row = {"operation": "delete", "occurred_at": (START + timedelta(hours=1)).isoformat()}
    land(client, [said("q3", 45, **gone)])
    rebuild(client, 3)
    assert threads(client).keys() == {("Acme", "d")} and differences(client) == 0, "what is noted stays"


def test_quarters_that_nobody_noted_are_a_difference(client: Client) -> None:
    """Rows of a conversation are looked for where conversation_quarters says, by the check, too: else each piece of it reads
    all rows."""
    land(client, [said("q", 0, **ACME), said("a", 40 * 24 * 60, by="us")])
    rebuild(client)
    client.command("TRUNCATE TABLE conversation_quarters")
    client.command("TRUNCATE TABLE threads")
    assert differences(client) == 3, "the conversation, and both quarters"
    rebuild(client, 2)
    assert differences(client) == 0


def test_quarters_may_be_told_one_by_one_and_in_any_order(client: Client) -> None:
    """A word that names no brand is there before, and after, the brand is named: in a quarter that has no thread of its own."""
    hours = (0, 30, 31, 90)
    first, asked, answer, later = (60 * hour for hour in hours)
    rows = [said("first", first), said("q", asked, **ACME), said("a", answer, by="us"), said("more", later)]
    land(client, [*rows, said("other", first, by="bob", conversation_id="d")])
    for version, hour in enumerate((30, 90, 0, 31), 1):
        quarter = quarter_of(START) + 4 * hour
        rebuild(client, version, [Span(quarter, quarter)])
    assert differences(client) == 0
    (thread,) = threads(client).values()
    assert (thread["opened"], thread["words"], thread["waiting"]) == (START, 3, 1)
    assert thread["answer_seconds"] == [31 * 3600.0]


def test_without_a_conversation_and_dated_before(client: Client) -> None:
    bare: Row = {"conversation_id": None}
    land(
        client,
        [
            said("q", 10, kind="review", author={"name": "Ann"}, **ACME, **bare),
            said("a", 5, by="us", in_reply_to="q", **bare),
            said("p", 20, visibility="private", **bare, brands=["Acme", "Bolt"]),
            said("b", 21, by="us", in_reply_to="p", **bare, brands=["Bolt"]),
        ],
    )
    rebuild(client)
    found = threads(client)
    assert found.keys() == {("Acme", "q"), ("Acme", "p"), ("Bolt", "p")}
    review = found["Acme", "q"]
    assert (review["early"], review["answers"], review["waiting"], review["resolved_at"]) == (1, [], 0, None)
    assert (review["kind"], review["customer"], review["customers"]) == ("review", 0, 1)
    assert (found["Bolt", "p"]["answer_seconds"], found["Acme", "p"]["waiting"]) == ([60.0], 1)
    assert found["Bolt", "p"]["private"] and found["Bolt", "p"]["resolved_at"] == START + timedelta(minutes=21)
    assert differences(client) == 0


# --- recorded ---------------------------------------------------------------------------------------------------------
HOURS = (1, 4, 8, 24, 1e9)


def within(seconds: list[float]) -> list[int]:
    """How many within 1 hour, 4, 8, 24, and later."""
    counts = Counter(next(index for index, hours in enumerate(HOURS) if each <= hours * 3600) for each in seconds)
    return [counts[index] for index in range(len(HOURS))]


@needs_recorded
@pytest.mark.slow
def test_recorded_conversations_and_reviews(client: Client) -> None:
    records: list[bytes] = []
    for name in ("customer_care_conversations.json", "fampay_app_reviews_2.csv"):
        path = RECORDED / "stream" / name
        mapping = find_mapping(path)
        assert mapping is not None
        records += (orjson.dumps(item.event) for item in read_events(path, mapping) if isinstance(item, Mapped))
    land(client, records)
    rebuild(client)
    found = list(threads(client).values())
    care, reviews = ([row for row in found if (row["kind"] == "review") == is_review] for is_review in (False, True))
    first = [(row["answered_at"][0] - row["opened"]).total_seconds() for row in care]
    assert (len(care), within(first)) == (523, [229, 76, 39, 82, 97])
    assert sum(len(row["answers"]) - 1 for row in care) == 60 == sum(row["reopened"] for row in care)
    assert (len(reviews), sum(bool(row["answers"]) or row["early"] > 0 for row in reviews)) == (6_219, 4_973)
    assert sum(row["early"] for row in reviews) == 200
    assert within([each for row in reviews for each in row["answer_seconds"]]) == [552, 404, 292, 857, 2_668]
    assert min(chain.from_iterable(row["answer_seconds"] for row in found)) >= 0
    assert differences(client) == 0


# --- generated ----------------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_it_equals_the_truth_and_a_walk_through_each_conversation(client: Client) -> None:
    blocks = list(Stream(Plan(20_000, sample_brands())).blocks())
    land(client, list(chain.from_iterable(block.values for block in blocks)), sample_brands())
    truth = [orjson.loads(line) for line in chain.from_iterable(block.truth for block in blocks)]
    rebuild(client)
    found = threads(client)
    assert differences(client) == 0

    answered = {
        (brand, key): seconds
        for (brand, _), row in found.items()
        for key, seconds in zip(row["answers"], row["answer_seconds"], strict=True)
    }
    told = {
        (line["brand"], xxh3_64_intdigest(line["response"].encode())): line["seconds"]
        for line in truth
        if line["kind"] == "thread" and line["response"]
    }
    assert len(told) > 1_000 and answered == told
    told_by_loops = walked(client, SETTINGS)
    names = next(iter(told_by_loops.values())).keys() - {"quarters"}
    plain = {place: {name: row[name] for name in names} | {"quarters": len(row["quarters"])} for place, row in found.items()}
    assert plain == told_by_loops

"""The truth of a stream, line by line against its records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.generate.phrases import LANGUAGES
from pipeline.generate.plan import Plan
from pipeline.generate.stream import SILENT, Stream
from pipeline.generate.targets import sample_brands
from pipeline.kafka.event_producer import key_of, parse
from pipeline.processors.mentions.step import Mentions
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of

pytestmark = pytest.mark.slow

COUNT, DAYS = 40_000, 14.0
Event = dict[str, Any]


class Whole:
    """A stream and its truth, read once."""

    def __init__(self, plan: Plan) -> None:
        blocks = list(Stream(plan).blocks())
        self.plan = plan
        self.values = list(chain.from_iterable(block.values for block in blocks))
        self.keys = list(chain.from_iterable(block.keys for block in blocks))
        self.times = list(chain.from_iterable(block.times for block in blocks))
        self.truth: dict[str, list[Event]] = defaultdict(list)
        for line in chain.from_iterable(block.truth for block in blocks):
            told = orjson.loads(line)
            self.truth[told["kind"]].append(told)
        self.broken = {told["record"] for told in self.truth["broken"]}
        self.events = [None if n in self.broken else orjson.loads(value) for n, value in enumerate(self.values)]
        self.created: dict[str, tuple[int, Event]] = {}
        for number, event in enumerate(self.events):
            if event and "operation" not in event:
                self.created.setdefault(name(event), (number, event))

    def valid(self) -> Iterator[tuple[int, Event]]:
        return ((number, event) for number, event in enumerate(self.events) if event is not None)


def name(event: Event) -> str:
    return f"{event['platform']}:{event['id']}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def seconds(later: str, earlier: str) -> float:
    return (at(later) - at(earlier)).total_seconds()


@pytest.fixture(scope="module")
def whole() -> Whole:
    return Whole(Plan(COUNT, sample_brands(), days=DAYS))


@pytest.fixture(scope="module")
def decoded(whole: Whole) -> EventBatch:
    return Mentions(sample_brands()).process(Decode().process(batch_of(whole.values)))


# --- the stream -----------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_equal_arguments_give_equal_bytes_and_truth(whole: Whole) -> None:
    def blocks(**changes: Any) -> list[Any]:
        arguments: dict[str, Any] = {"count": 3_000, "brands": sample_brands(), "days": 3.0} | changes
        return list(Stream(Plan(**arguments)).blocks(500))

    first = blocks()
    assert first == blocks()
    for other in (blocks(seed=2), blocks(days=4.0), blocks(count=3_001), blocks(start=datetime(2026, 2, 1, tzinfo=UTC))):
        keys = set(chain.from_iterable(block.keys for block in first)) - {None}
        assert keys.isdisjoint(chain.from_iterable(block.keys for block in other))
    assert Stream(whole.plan).blocks(7_000).__next__().values == whole.values[:7_000], "block sizes change nothing"


def test_the_count_is_exact_and_times_rise_within_the_stream(whole: Whole) -> None:
    assert len(whole.values) == len(whole.keys) == COUNT
    assert whole.times == sorted(whole.times)
    assert whole.plan.start_ms <= whole.times[0]
    assert whole.times[-1] < whole.plan.end_ms
    for number, event in whole.valid():
        happened = event.get("occurred_at") or event["created_at"]
        assert at(happened).timestamp() * 1000 <= whole.times[number] + 0.5


def test_the_key_is_that_of_a_replay(whole: Whole) -> None:
    for key, value in zip(whole.keys, whole.values, strict=True):
        assert key == key_of(parse(value))
        assert b"\n" not in value


def test_the_mix_is_rich(whole: Whole) -> None:
    events = [event for _, event in whole.valid()]
    assert len({event["platform"] for event in events}) >= 9
    assert len({event["kind"] for event in events}) >= 18
    assert {event.get("language") for event in events} >= LANGUAGES.keys()
    assert {event.get("direction") for event in events} >= {"inbound", "outbound"}
    assert whole.truth.keys() >= {
        "stream", "text", "person", "burst", "duplicate", "repost", "edit", "delete", "thread", "late", "broken", "order_after",
        "follow", "like", "end",
    }  # fmt: skip


def test_days_and_weeks_have_their_rhythm(whole: Whole) -> None:
    made = [at(event["created_at"]) for _, event in whole.created.values()]
    hours = Counter(moment.hour for moment in made)
    assert sum(hours[h] for h in range(11, 17)) > 3 * sum(hours[h] for h in range(6))
    office = [at(event["created_at"]) for _, event in whole.created.values() if "Halvorsen Rail" in (event.get("brands") or ())]
    days = Counter(moment.weekday() for moment in office)
    assert days[5] + days[6] < (days[1] + days[2]) * 0.75


def test_authors_follow_zipf(whole: Whole) -> None:
    posts = Counter(event["author"]["id"] for _, event in whole.created.values() if event["platform"] == "twitter"
                    and event.get("author") and event["author"]["kind"] == "person")  # fmt: skip
    ranked = [count for _, count in posts.most_common(300)]
    slope = np.polyfit(np.log(np.arange(10, 301)), np.log(ranked[9:]), 1)[0]
    assert -1.3 < slope < -0.7
    assert len(posts) > 2_000


# --- what decode says -----------------------------------------------------------------------------------------------
def test_exactly_the_broken_records_are_rejected_for_the_reason_told(whole: Whole, decoded: EventBatch) -> None:
    reasons = {letter.offset: letter.reason for letter in decoded.rejected}
    assert reasons.keys() == whole.broken
    for told in whole.truth["broken"]:
        assert told["reason"] in reasons[told["record"]]
        assert told.get("event", "").encode() == (whole.keys[told["record"]] or b"")
    assert len({told["reason"] for told in whole.truth["broken"]}) >= 8


def test_mentions_finds_the_brands_of_every_text(whole: Whole, decoded: EventBatch) -> None:
    found = dict(
        decoded.events.filter(pl.col("operation") == "create")
        .select(pl.concat_str("platform", pl.lit(":"), "id"), "brands")
        .iter_rows()
    )
    for told in whole.truth["text"]:
        assert found[told["event"]] == sorted(told["brands"]), whole.created[told["event"]]


def test_no_field_is_unknown(whole: Whole) -> None:
    assert not Decode().process(batch_of([whole.values[number] for number, _ in whole.valid()])).notes


# --- the truth ------------------------------------------------------------------------------------------------------
def test_the_last_line_counts_the_others(whole: Whole) -> None:
    (end,) = whole.truth["end"]
    assert end["records"] == COUNT
    assert end["events"] == len(whole.created)
    assert end["lines"] == {kind: len(lines) for kind, lines in whole.truth.items() if kind != "end"}
    (stream,) = whole.truth["stream"]
    assert stream["id"] == whole.plan.id


def test_duplicates_are_byte_equal_and_all_told(whole: Whole) -> None:
    told = {line["record"]: line["of"] for line in whole.truth["duplicate"]}
    for record, of in told.items():
        assert of < record
        assert whole.values[record] == whole.values[of]
    first: dict[bytes, int] = {}
    again = {number for number, value in enumerate(whole.values) if first.setdefault(value, number) != number}
    assert again - whole.broken == told.keys()
    gaps = [record - of for record, of in told.items()]
    assert sum(gap <= 1_100 for gap in gaps) > 300
    assert sum(gap > 5_000 for gap in gaps) > 200


def test_edits_and_deletes_come_after_their_create_and_are_all_told(whole: Whole) -> None:
    told = Counter((line["event"], line["at"]) for kind in ("edit", "delete") for line in whole.truth[kind])
    repeated = {line["record"] for line in whole.truth["duplicate"]}
    found: Counter[tuple[str, str]] = Counter()
    deleted: set[str] = set()
    for number, event in whole.valid():
        if "operation" in event and number not in repeated:
            found[name(event), event["occurred_at"]] += 1
            first, create = whole.created[name(event)]
            assert first < number
            assert name(event) not in deleted
            assert event["created_at"] == create["created_at"]
            assert seconds(event["occurred_at"], create["created_at"]) > 0
            if event["operation"] == "delete":
                deleted.add(name(event))
    assert found == told
    assert deleted == {line["event"] for line in whole.truth["delete"]}


def test_threads_are_answered_when_told(whole: Whole) -> None:
    answered = 0
    answers: defaultdict[str, list[Event]] = defaultdict(list)
    for _, event in whole.created.values():
        if event["direction"] == "outbound":
            answers[event["in_reply_to"]].append(event)
    for line in whole.truth["thread"]:
        _, question = whole.created[line["question"]]
        assert question["direction"] == "inbound"
        assert question["thread"]["status"] == "open"
        given = answers.get(question["id"], [])
        if line["response"] is None:
            assert not given
            continue
        (answer,) = given
        answered += 1
        assert name(answer) == line["response"]
        assert answer["brands"] == [line["brand"]]
        assert answer["conversation_id"] == question["conversation_id"] == line["conversation"]
        assert seconds(answer["created_at"], question["created_at"]) == pytest.approx(line["seconds"], abs=1e-6)
    asked = {name(event) for _, event in whole.created.values() if event.get("thread")}
    assert asked == {line["question"] for line in whole.truth["thread"]}
    assert 0.6 < answered / len(whole.truth["thread"]) < 0.9


def test_bursts_are_visible_in_counts(whole: Whole, decoded: EventBatch) -> None:
    assert len(whole.truth["burst"]) >= 5
    texts = decoded.events.filter(
        pl.col("text").is_not_null(), pl.col("direction") == "inbound", pl.col("operation") == "create"
    )
    texts = texts.unique("event_key").select("created_at", pl.col("brands").alias("brand")).explode("brand")
    for burst in whole.truth["burst"]:
        start, end = at(burst["start"]), at(burst["end"])
        of_brand = texts.filter(pl.col("brand") == burst["brand"])

        def inside(begin: datetime, end: datetime, of_brand: pl.DataFrame = of_brand) -> int:
            return of_brand.filter(pl.col("created_at").is_between(begin, end, closed="left")).height

        normal = burst["normal_per_minute"] * (end - start).total_seconds() / 60
        count = inside(start, end)
        assert count >= burst["texts"] >= 3 * normal
        assert count <= burst["texts"] + 3 * normal + 8
        day_before = inside(start - timedelta(hours=3), start) / 3 * ((end - start).total_seconds() / 3600)
        assert day_before < burst["texts"] / 2


def test_normal_rates_fit_what_is_counted(whole: Whole, decoded: EventBatch) -> None:
    """Over all bursts: what would have been normal, against the same hour of the other week."""
    texts = decoded.events.filter(
        pl.col("text").is_not_null(), pl.col("direction") == "inbound", pl.col("operation") == "create"
    )
    texts = texts.unique("event_key").select("created_at", pl.col("brands").alias("brand")).explode("brand")
    expected = counted = 0.0
    for burst in whole.truth["burst"]:
        start, end = at(burst["start"]), at(burst["end"])
        week = timedelta(days=7 if start < at(whole.truth["stream"][0]["start"]) + timedelta(days=7) else -7)
        expected += burst["normal_per_minute"] * (end - start).total_seconds() / 60
        counted += texts.filter(
            pl.col("brand") == burst["brand"], pl.col("created_at").is_between(start + week, end + week, closed="left")
        ).height
    assert counted == pytest.approx(expected, rel=0.35)


def test_people_have_the_accounts_told(whole: Whole) -> None:
    emails: dict[str, set[str]] = defaultdict(set)
    seen = set()
    for _, event in whole.created.values():
        author = event.get("author")
        if author and author["kind"] == "person":
            account = f"{event['platform']}:{author['id']}"
            seen.add(account)
            if "email" in author:
                emails[author["email"].lower()].add(account)
    owner = {account: line["person"] for line in whole.truth["person"] for account in line["accounts"]}
    assert seen == owner.keys()
    assert sum(len(line["accounts"]) for line in whole.truth["person"]) == len(owner)
    assert sum(len(line["accounts"]) > 1 for line in whole.truth["person"]) > 500
    for line in whole.truth["person"]:
        assert emails[line["email"]] <= set(line["accounts"]) if "email" in line else True
    assert sum(len(accounts) > 1 for accounts in emails.values()) > 100, "people that an address links"
    phones = Counter(line["phone"] for line in whole.truth["person"] if "phone" in line)
    assert max(phones.values()) > 1, "a family shares a phone"


def test_orders_follow_their_interaction(whole: Whole) -> None:
    owner = {account: line["person"] for line in whole.truth["person"] for account in line["accounts"]}
    assert whole.truth["order_after"]
    for line in whole.truth["order_after"]:
        (_, order), (_, before) = whole.created[line["event"]], whole.created[line["after"]]
        assert order["kind"] == "order"
        assert order["brands"] == [line["brand"]]
        assert seconds(order["created_at"], before["created_at"]) == pytest.approx(line["seconds"], abs=1e-6)
        for event in (order, before):
            assert owner[f"{event['platform']}:{event['author']['id']}"] == line["person"]


def test_likes_follows_reposts_and_late_ones_are_told(whole: Whole) -> None:
    for line in whole.truth["like"]:
        (_, like), (_, liked) = whole.created[line["event"]], whole.created[line["of"]]
        assert like["target"] == liked["id"]
        assert line["account"] == f"{like['platform']}:{like['author']['id']}"
    for line in whole.truth["follow"]:
        _, follow = whole.created[line["event"]]
        assert (follow["kind"], follow["target"], follow["brands"]) == ("follow", line["target"], [line["brand"]])
    for line in whole.truth["repost"]:
        (_, repost), (_, original) = whole.created[line["event"]], whole.created[line["of"]]
        assert repost["in_reply_to"] == original["id"]
        assert original["text"].split(" ")[0] in repost["text"]
    for line in whole.truth["late"]:
        number, event = whole.created[line["event"]]
        assert whole.times[number] / 1000 - at(event["created_at"]).timestamp() == pytest.approx(line["seconds"], abs=1e-3)
    told = {line["event"] for kind in ("like", "follow") for line in whole.truth[kind]}
    assert told == {key for key, (_, event) in whole.created.items() if event["kind"] in ("like", "reaction", "vote", "follow")}


def test_every_text_has_a_tone(whole: Whole) -> None:
    told = {line["event"]: line for line in whole.truth["text"]}
    assert told.keys() == {key for key, (_, event) in whole.created.items() if event["kind"] not in SILENT}
    assert {line["tone"] for line in told.values()} == {"negative", "positive", "neutral"}
    hostile = [key for key, line in told.items() if line.get("hostile")]
    assert 0.005 < len(hostile) / len(told) < 0.05
    assert all(told[key]["tone"] == "negative" for key in hostile)
    languages = Counter(whole.created[key][1]["language"] for key in hostile)
    assert len(languages) >= 6
    ratings = {
        (line["tone"], whole.created[key][1]["rating"]) for key, line in told.items() if "rating" in whole.created[key][1]
    }
    assert ratings == {("negative", 1), ("negative", 2), ("positive", 4), ("positive", 5), ("neutral", 3), ("neutral", 4)}

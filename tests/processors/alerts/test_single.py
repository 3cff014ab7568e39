"""Single-event rules: what must raise a candidate and what must not, in whatever order the changes of an event come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.batch import EventBatch
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.alerts.single import SingleEvent, touched, words_of
from pipeline.processors.completion import Completion
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import WORDS, Mentions
from pipeline.processors.sentiment.step import Sentiment
from pipeline.processors.waiting import Loaded
from pipeline.sinks.memory import MemoryLanding, MemoryTable
from pipeline.step import Step
from schemas.labels import COLUMNS, LABELLED
from schemas.signals import Candidate
from tests.support.bad_records import event
from tests.support.hot_path import PathRun, Record, new_index

NONE = np.zeros(0, np.uint64)
KAFKA_MS = 1_790_000_000_000
BRANDS = Brands.model_validate(
    {
        "brands": [
            {"name": "Acme", "keywords": ["acme"], "support": [{"platform": "x", "handle": "acme_help"}]},
            {"name": "Bolt", "keywords": ["bolt"]},
            {"name": "Fire", "keywords": ["fire"]},
        ]
    }
)


class Mood:
    """What says "bad" is negative."""

    models = frozenset({"mood@1"})

    def label(self, texts: pl.Series, languages: pl.Series, until: float | None = None) -> pl.DataFrame:
        rows = [("negative" if "bad" in text else "neutral", LABELLED, "mood@1") for text in texts]
        given = pl.DataFrame(rows, ["sentiment_label", "sentiment_status", "sentiment_model"], orient="row")
        return given.with_columns(pl.lit(None, t).alias(c) for c, t in COLUMNS.items() if c not in given.columns)


class Run(PathRun):
    """The steps of a worker over a table in memory; each batch lands at once."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        alerts = Alerts.model_validate({"rules": list(rules)})
        self.table, self.mentions = MemoryTable(), Mentions(BRANDS, words_of(alerts))
        self.single = SingleEvent(alerts, self.mentions.words_in, self.table)
        after: list[Step] = [Sentiment(Mood(), 10.0), self.single]
        super().__init__(MemoryLanding(self.table), Completion(self.table, 1e9), self.mentions, after)

    def stamp(self, batch: EventBatch) -> None:
        batch.timestamps = KAFKA_MS + np.arange(batch.read)

    def feed(self, *records: Record) -> EventBatch:
        batch = super().feed(*records)
        assert not batch.rejected and WORDS not in batch.events.columns
        self.land()
        return batch

    def use_rules(self, *rules: dict[str, Any]) -> None:
        alerts = Alerts.model_validate({"rules": list(rules)})
        self.mentions.look_for(words_of(alerts))
        self.single.use(alerts)

    def matched(self, *raw: bytes) -> list[datetime | None]:
        """When the events of these records, as one batch, came to match."""
        return [each.matched_at for each in self.feed(*raw).candidates]

    def found(self, *raw: bytes) -> set[tuple[str, str]]:
        """(rule, brand) of what these records, as one batch, raise."""
        return {(each.rule, each.brand) for each in self.feed(*raw).candidates}


def post(text: str, **more: Any) -> bytes:
    return event(**{"text": text, "language": "en", "author": {"id": "1"}} | more)


def change(second: int, **more: Any) -> bytes:
    return orjson.dumps(
        {"id": "g", "platform": "x", "operation": "update", "occurred_at": f"2026-09-01T11:00:{second:02d}Z"} | more
    )


def keyword(**more: Any) -> dict[str, Any]:
    return {"name": "crisis", "type": "keyword", "words": {"en": ["recall", "data breach"], "de": ["Rückruf"]}} | more


def reach(**more: Any) -> dict[str, Any]:
    return {"name": "reach", "type": "reach", "followers": 1_000, "engagement": 100} | more


CRISIS = {("crisis", "Acme")}
REACH = {("reach", "Acme")}


@pytest.mark.parametrize(
    ("rule", "raw", "expected"),
    [
        (keyword(), post("acme recall now"), CRISIS),
        (keyword(), post("ACME: RECALL!"), CRISIS),
        (keyword(), post("acme, a Data\n Breach"), CRISIS),
        (keyword(), post("acme recall of bolt"), CRISIS | {("crisis", "Bolt")}),
        (keyword(), post("a recall"), set()),
        (keyword(), post("acme recalls nothing"), set()),
        (keyword(), post("acme data and breach"), set()),
        (keyword(), post("acme rückruf"), set()),
        (keyword(), post("acme RUCKRUF", language="de"), CRISIS),
        (keyword(), post("acme RUCKRUF", language="de-AT"), CRISIS),
        (keyword(), post("acme recall", language="de"), set()),
        (keyword(), post("acme recall", language="und"), CRISIS),
        (keyword(), post("acme recall", language=None), CRISIS),
        (keyword(words={"any": ["recall"]}), post("acme recall", language="ja"), CRISIS),
        (keyword(words={"any": ["リコール"]}), post("acmeのリコールだ", language="ja"), CRISIS),
        (keyword(), post("acme recall", direction="outbound"), set()),
        (keyword(), post("acme recall", author={"handle": "@acme_help"}), set()),
        (keyword(), post("acme recall", visibility="private"), CRISIS),
        (keyword(brands=["Bolt"]), post("acme recall"), set()),
        (keyword(brands=["Bolt"]), post("acme recall, bolt"), {("crisis", "Bolt")}),
        (keyword(platforms=["reddit"]), post("acme recall"), set()),
        (keyword(platforms=["reddit", "x"]), post("acme recall"), CRISIS),
        (keyword(words={"en": ["fire"]}), post("acme: fire"), CRISIS | {("crisis", "Fire")}),
        (keyword(words={"en": ["acme"]}), post("acme"), CRISIS),
        (reach(), post("bad acme", author={"followers": 1_000}), REACH),
        (reach(), post("bad acme", author={"followers": 999}), set()),
        (reach(), post("good acme", author={"followers": 1_000}), set()),
        (reach(negative=False), post("good acme", author={"followers": 1_000}), REACH),
        (reach(), post("bad acme", metrics={"likes": 98, "shares": 1, "replies": 1}), REACH),
        (reach(), post("bad acme", metrics={"likes": 98, "shares": 1}), set()),
        (reach(), post("bad acme", metrics={"views": 1_000}), set()),
        (reach(followers=None), post("bad acme", author={"followers": 1_000_000}), set()),
        (reach(), post("bad", author={"followers": 1_000}), set()),
        (reach(), post("bad acme", author={"followers": 1_000}, direction="outbound"), set()),
        (reach(negative=False), post("acme", author={"followers": 1_000}, direction="outbound"), set()),
        (reach(brands=["Bolt"]), post("bad acme and bolt", author={"followers": 1_000}), {("reach", "Bolt")}),
        (reach(platforms=["reddit"]), post("bad acme", author={"followers": 1_000}), set()),
    ],
)
def test_what_one_record_raises(rule: dict[str, Any], raw: bytes, expected: set[tuple[str, str]]) -> None:
    assert Run(rule).found(raw) == expected


def test_a_candidate_says_what_it_is() -> None:
    rules = keyword(words={"en": ["Data Breach", "recall"], "any": ["RECALL"]}), reach()
    run = Run(*rules)
    raw = post("bad acme recall, data  breach", language="en-GB", visibility="private", author={"followers": 5_000})
    found = run.feed(post("nothing", id="0"), raw).candidates
    (key,) = run.table.rows.filter(id="g").get_column("event_key")
    created = run.table.rows.filter(id="g").get_column("created_at")[0]
    common = {
        "brand": "Acme", "platform": "x", "language": "en", "event_key": key, "created_at": created, "occurred_at": created,
        "sentiment": "negative", "public": False, "kafka_ms": KAFKA_MS + 1,
    }  # fmt: skip
    assert found == [
        Candidate(rule="crisis", observed=1.0, words=("Data Breach", "RECALL", "recall"), **common),
        Candidate(rule="reach", observed=5_000.0, words=(), **common),
    ]


def test_an_edit_that_brings_the_word_raises_and_one_that_brings_none_does_not() -> None:
    run = Run(keyword())
    assert run.found(post("acme is fine")) == set()
    assert run.found(change(1, text="acme recall")) == CRISIS
    assert run.found(change(2, metrics={"likes": 5})) == set(), "counts say nothing new"
    assert run.found(change(3, text="acme is fine after all")) == set()


def test_counts_that_cross_the_limit_raise_what_was_said_before() -> None:
    run = Run(reach(), keyword())
    assert run.found(post("bad acme", metrics={"likes": 5})) == set()
    batch = run.feed(change(1, metrics={"likes": 99}), change(2, metrics={"likes": 100}))
    assert {(each.rule, each.observed) for each in batch.candidates} == {("reach", 100.0)}
    assert all(each.sentiment == "negative" and each.kafka_ms for each in batch.candidates)


def test_a_deleted_event_raises_nothing() -> None:
    run = Run(keyword(), reach(negative=False))
    gone = change(5, operation="delete")
    assert run.found(post("acme recall", author={"followers": 5_000}), gone) == set()
    assert run.found(change(6, text="acme recall")) == set()


def test_an_older_text_that_comes_late_says_nothing() -> None:
    run = Run(keyword())
    run.feed(post("acme is fine"), change(9, text="acme is fine still"))
    assert run.found(change(3, text="acme recall")) == set()


@pytest.mark.parametrize("restart", [False, True], ids=["in memory", "from pending_changes"])
def test_a_change_that_waited_raises_once_its_event_is_there(restart: bool) -> None:
    run = Run(keyword(), reach())
    waiting = run.feed(change(1, text="bad acme recall", metrics={"likes": 500})).waiting
    assert waiting is not None
    if restart:  # what a table gives back knows no words
        run.path.leave(None)
        rows = waiting.drop(WORDS).with_columns(row=pl.lit(None, pl.UInt32), batch=pl.lit(None, pl.Int64), check_at=pl.lit(0.0))
        run.completion.held.load(Loaded(rows, rows.select("event_key", "revision", "topic", "partition")), {("events", 0)})
    batch = run.feed(post("acme is fine"))
    assert {(each.rule, each.brand, each.kafka_ms) for each in batch.candidates} == {
        ("crisis", "Acme", None),
        ("reach", "Acme", None),
    }


def test_other_rules_are_in_force_from_the_next_batch_on() -> None:
    run = Run(keyword())
    other = Alerts.model_validate({"rules": [keyword(name="other", words={"en": ["fine"]})]})
    run.mentions.look_for(words_of(other))
    run.single.use(other)
    assert run.found(post("acme recall, fine")) == {("other", "Acme")}
    run.mentions.use(Brands.model_validate({"brands": [{"name": "Zeta", "keywords": ["zeta"]}]}))
    assert run.found(post("zeta is fine", id="2")) == {("other", "Zeta")}, "other brands keep the words"
    none = Alerts()
    run.mentions.look_for(words_of(none))
    run.single.use(none)
    assert run.found(post("zeta is fine, recall", id="3")) == set()


def test_words_are_no_brands() -> None:
    run = Run(keyword(words={"en": ["acme", "recall"]}))
    batch = run.feed(post("acme recall", brands=["Given"]), post("recall", id="2"))
    assert batch.events.get_column("brands").to_list() == [["Acme", "Given"], []]


def test_touched_are_the_minutes_of_the_brands_deleted_or_not() -> None:
    run = Run()
    raw = [
        post("acme", id="1"),
        post("acme bolt", id="2"),
        post("none", id="3"),
        post("acme", created_at="2026-09-01T10:01:59Z"),
    ]
    batch = run.feed(*raw, change(1, operation="delete"))
    pairs = touched(batch.events).sort("minute", "brand").rows()
    assert [(f"{minute:%H:%M}", brand) for minute, brand in pairs] == [("10:00", "Acme"), ("10:00", "Bolt"), ("10:01", "Acme")]


# --- when an event came to match ----------------------------------------------------------------------------------------
ANY = {"name": "any", "type": "keyword", "words": {"any": ["acme"]}}


def at(second: int) -> datetime:
    """The time of `change(second)`."""
    return datetime(2026, 9, 1, 11, 0, second, tzinfo=UTC)


def test_an_edit_counts_from_the_edit_and_a_create_from_its_event() -> None:
    run = Run(keyword())
    assert run.matched(post("acme is fine"), post("acme recall", id="2")) == [None]
    assert run.matched(change(1, text="acme recall")) == [at(1)]


def test_counts_count_from_their_change_if_they_reach_the_limit_first() -> None:
    run = Run(reach())
    run.feed(post("bad acme", metrics={"likes": 5}))
    assert run.matched(change(1, metrics={"likes": 100})) == [at(1)]
    assert run.matched(change(2, metrics={"likes": 101})) == [None], "the limit was reached before"
    assert run.matched(change(3, author={"followers": 1_000})) == [None], "whichever number reached it"


def test_the_last_of_the_conditions_counts() -> None:
    run = Run(reach())
    run.feed(post("acme", metrics={"likes": 100}), post("bad day", id="2", author={"followers": 1_000}))
    assert run.matched(change(1, text="bad acme")) == [at(1)], "the tone came last"
    assert run.matched(change(2, id="2", text="bad day, acme")) == [at(2)], "the brand came last"


@pytest.mark.parametrize("flying", [False, True], ids=["landed", "on its way"])
def test_a_whole_post_that_comes_again_says_nothing_new(flying: bool) -> None:
    """As pollers send it: also to a rule, a word or a brand that is newer than the post."""
    text, counts = "bad acme recall", {"likes": 500}
    run = Run(keyword(words={"en": ["fire"]}))
    (PathRun if flying else Run).feed(run, post(text, metrics=counts))
    run.use_rules(keyword(), reach(), ANY)
    again = change(1, text=text, language="en", metrics={"likes": 501}, author={"id": "1"})
    assert run.matched(again) == [None, None, None]
    run.mentions.use(Brands.model_validate({"brands": [{"name": "Zeta", "keywords": ["recall"]}]}))
    again = change(2, text=text, language="en", metrics={"likes": 502}, author={"id": "1"})
    assert run.matched(again) == [None, None, None]
    assert run.matched(change(3, text=f"{text} again", language="en")) == [None] * 3, "the words were there"
    run.use_rules(keyword(words={"en": ["fire"]}), reach(), ANY | {"words": {"any": ["smoke"]}})
    assert run.matched(change(4, text=f"{text}: smoke, fire", language="en")) == [at(4), at(4), None], (
        "the words, not the reach"
    )


def test_a_post_and_its_changes_in_one_batch() -> None:
    run = Run(keyword(), reach())
    raw = (
        post("bad acme recall", metrics={"likes": 500}),
        change(1, text="bad acme recall", language="en", metrics={"likes": 501}),
    )
    assert run.matched(*raw) == [None] * 4
    counts = change(1, id="2", metrics={"likes": 99}), change(2, id="2", metrics={"likes": 100})
    assert [each for each in run.matched(post("bad acme", id="2"), *counts) if each] == [at(2), at(2)]


def test_an_archive_that_comes_again_is_as_old_as_its_events() -> None:
    run = Run(keyword(), reach())
    raw = post("bad acme recall", metrics={"likes": 500}), post("bad acme", id="2")
    assert run.matched(*raw) == [None, None]
    run.use(new_index())  # the window of dedup is over
    assert run.matched(*raw) == [None, None]
    run.use_rules(keyword(words={"en": ["bad"]}), reach(engagement=50))
    run.use(new_index())
    assert run.matched(*raw) == [None] * 3, "rules that are newer than the events"


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "poller"])
@pytest.mark.parametrize(
    "other",
    [{"text": "acme  recall "}, {"language": "en"}, {"mentions": ["someone"]}, {"text": "acme: the recall is over"}],
    ids=str,
)
def test_words_that_were_there_before_are_no_news(other: dict[str, Any], archive: bool) -> None:
    """Also for a rule that is newer than the post, which comes again with something more filled in."""
    run = Run(keyword(words={"en": ["fire"]}))
    before: dict[str, Any] = {"text": "acme recall", "language": None}
    run.feed(post(**before))
    run.use_rules(keyword())
    assert run.matched(post(**before | other) if archive else change(1, **before | other)) == [None]


def test_words_that_were_there_for_another_brand_or_in_another_language_are_news() -> None:
    run = Run(keyword())
    run.feed(post("acme recall"), post("acme recall", id="2", language="de"))
    assert run.matched(change(1, text="acme recall, bolt", language="en")) == [None, at(1)]
    assert run.matched(change(2, id="2", text="acme recall", language="en")) == [at(2)]


def test_a_second_create_counts_from_its_record_if_it_is_the_first_to_match() -> None:
    run = Run(keyword(), reach())
    run.feed(post("bad acme", metrics={"likes": 5}))
    came = datetime.fromtimestamp(KAFKA_MS / 1000, UTC)
    assert run.matched(post("bad acme", metrics={"likes": 100})) == [came]
    assert run.matched(post("bad acme", metrics={"likes": 101})) == [None]
    assert run.matched(post("bad acme recall", metrics={"likes": 102})) == [came, None]


def test_a_second_create_is_an_update_at_the_time_of_its_record() -> None:
    run = Run(keyword(), reach())
    run.feed(post("bad acme"), change(1, text="sold"))
    came = datetime.fromtimestamp(KAFKA_MS / 1000, UTC)
    assert run.matched(post("bad acme recall", metrics={"likes": 100})) == [came, came]
    run.feed(change(2, operation="delete"))
    assert run.matched(post("bad acme recall", metrics={"likes": 102})) == [], "a delete is final"


def test_a_label_that_comes_later_is_as_old_as_the_text_and_number() -> None:
    run = Run(reach())
    run.feed(post("acme", metrics={"likes": 100}), post("acme", id="2"), post("acme", id="3", author={"followers": 1_000}))
    run.feed(change(1, id="2", metrics={"likes": 100}), change(2, id="3", text="acme, well"))
    rows = run.table.final().with_columns(sentiment_label=pl.lit("negative")).sort("id")
    assert [each.matched_at for each in run.single.judge_labelled(rows)] == [at(1), at(2), None]  # 2, 3, g


def test_a_row_that_is_read_back_counts_from_its_newest_text_or_number() -> None:
    run = Run(keyword(), reach())
    batch = run.feed(post("bad acme recall"), change(1, metrics={"likes": 100}), post("acme recall", id="2"))
    rows = batch.events.with_columns(said_at="occurred_at", kafka_ms=pl.lit(None, pl.Int64)).drop("operation")
    found = {(each.rule, each.occurred_at, each.matched_at) for each in run.single.judge(rows)}
    created = datetime(2026, 9, 1, 10, tzinfo=UTC)
    assert found == {("crisis", created, None), ("reach", at(1), at(1))}


# --- against a reference that goes row by row, and against what is read back --------------------------------------------
TEXTS = st.lists(st.sampled_from(["acme", "bolt", "bad", "recall", "rückruf", "recalls", "fine"]), max_size=4).map(" ".join)
COUNTS = st.sampled_from([None, 0, 40, 99, 100, 101, 5_000])
EVENTS = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "language": st.sampled_from([None, "", "en", "de", "ja"]),
        "direction": st.sampled_from([None, "inbound", "outbound"]),
        "platform": st.sampled_from(["x", "reddit"]),
        "author": st.fixed_dictionaries({"followers": COUNTS}),
        "metrics": st.fixed_dictionaries({"likes": COUNTS, "shares": COUNTS}),
    }
)
RULES = st.lists(
    st.one_of(
        st.builds(
            keyword,
            brands=st.sampled_from([[], ["Acme"]]),
            platforms=st.sampled_from([[], ["reddit"]]),
            words=st.sampled_from([{"en": ["recall"]}, {"any": ["recall"], "de": ["rückruf"]}]),
        ),
        st.builds(
            reach,
            followers=st.sampled_from([100, 1_000]),
            engagement=st.sampled_from([None, 100]),
            negative=st.booleans(),
            brands=st.sampled_from([[], ["Bolt"]]),
        ),
    ),
    max_size=4,
).map(lambda rules: [rule | {"name": f"rule-{n}"} for n, rule in enumerate(rules)])


def expected(rules: list[dict[str, Any]], record: dict[str, Any]) -> set[tuple[str, str]]:
    said = record["text"].split(" ")
    brands = {"Acme", "Bolt"} & {word.title() for word in said}
    followers, engagement = record["author"]["followers"] or 0, sum(count or 0 for count in record["metrics"].values())
    found: set[tuple[str, str]] = set()
    for rule in rules:
        if record["direction"] == "outbound" or record["platform"] not in (rule.get("platforms") or [record["platform"]]):
            continue
        if rule["type"] == "keyword":
            heard = [w for of, ws in rule["words"].items() for w in ws if of in ("any", record["language"] or of)]
            true = bool(set(heard) & set(said))
        else:
            far = followers >= rule["followers"] or engagement >= (rule["engagement"] or 10**9)
            true = far and ("bad" in said or not rule["negative"])
        found |= {(rule["name"], brand) for brand in brands & set(rule["brands"] or brands)} if true else set()
    return found


@hypothesis_settings(max_examples=150, deadline=None)
@given(RULES, st.lists(EVENTS, max_size=6))
@pytest.mark.slow
def test_the_columns_say_what_a_row_by_row_reference_says(rules: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    run = Run(*rules)
    batch = run.feed(*(event(id=str(n), **record) for n, record in enumerate(records)))
    ids = dict(run.table.rows.select("event_key", "id").iter_rows()) if records else {}
    found = {(ids[each.event_key], each.rule, each.brand) for each in batch.candidates}
    assert found == {(str(n), *pair) for n, record in enumerate(records) for pair in expected(rules, record)}
    assert len(found) == len(batch.candidates)


CHANGES = st.fixed_dictionaries(
    {"id": st.sampled_from("ab"), "occurred_at": st.integers(0, 9).map("2026-09-01T11:00:0{}Z".format)},
    optional={
        "text": TEXTS,
        "metrics": st.fixed_dictionaries({"likes": COUNTS}),
        "author": st.fixed_dictionaries({"followers": COUNTS}),
    },
).map(lambda fields: orjson.dumps({"platform": "x", "operation": "update"} | fields))  # fmt: skip
CREATES = st.builds(lambda id, text: post(text, id=id), st.sampled_from("ab"), TEXTS)


@hypothesis_settings(max_examples=100, deadline=None)
@given(RULES, st.lists(st.lists(CREATES | CHANGES, max_size=5), max_size=4))
@pytest.mark.slow
def test_a_row_that_is_read_back_is_judged_as_on_its_way(rules: list[dict[str, Any]], batches: list[list[bytes]]) -> None:
    """Whatever happened to its event before and since: as long as the row of the change is there."""
    run = Run(*rules)
    for raw in batches:
        batch = run.feed(*raw)
        again = run.single.judge(batch.events.with_columns(said_at="occurred_at", kafka_ms=pl.lit(None, pl.Int64)))
        assert {(c.rule, c.brand, c.event_key, c.occurred_at, c.words, c.observed) for c in again} == {
            (c.rule, c.brand, c.event_key, c.occurred_at, c.words, c.observed) for c in batch.candidates
        }

"""When an event came to match a single-event rule: the age of that, not of the event, decides whether somebody is notified.

- A change counts from the time of the text or number that meets the rule. If the event met the rule before the change, it
  counts from its creation: a poller that sends a whole post again, with new counts or none, says nothing new. Of a keyword rule
  the text before had one of its words, for this brand: another space, a language that was blank or another sentence is no news.
- A create counts from the creation of its event. A second create that dedup knows as one is a change. Of an older event it has
  no time of its own: if it is the first to meet the rule, it counts from Kafka's time of its record. So an archive that comes
  again is as old as its events.
- A label that comes later says something of a text that is there already: the event counts from its newest text or number that
  meets the rule, not from the time of the label.
- Of a row that is read back, the state before is not known: it counts from its newest text or number that meets the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, Protocol

import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.alerts.rule_types import EventRule, KeywordRule, ReachRule
from pipeline.processors.completion import BEFORE
from pipeline.processors.language import primary
from pipeline.processors.mentions.step import WORDS
from pipeline.processors.mentions.terms import term_text
from schemas import events
from schemas.times import to_ms
from schemas.untyped import Row

NEEDED = ("operation", "text", "language", "mentions", "brands_given", "text_at", "metrics_at", "author_at")
"""The columns that `matched_at` needs, besides those of the rules."""
YOUNG = timedelta(minutes=30)
"""A create that reaches Kafka so soon after its event is not looked up: it is young enough either way."""
NEGATIVE = "negative"
_SAID = ("text", "language", "mentions", "brands_given")
"""The columns that words and brands are found in."""
Find = Callable[[pl.Series], pl.Series]
"""Column WORDS of these texts."""


class Stored(Protocol):
    """The query to the database."""

    def newest(self, keys: pl.DataFrame) -> pl.DataFrame:
        """The newest row of each stored event, as completion.Stored says."""
        ...


class Before(NamedTuple):
    """Events as they stood before a batch, by key; with column WORDS, of those whose row has some."""

    changes: Mapping[int, Row]
    creates: Mapping[int, Row]
    """Only those of late creates, whose event was known."""

    def of(self, row: Row) -> Row | None:
        """The event of this row; None: it was not known, or was not looked up."""
        return (self.creates if row.get("operation") == "create" else self.changes).get(row["event_key"])


UNKNOWN = Before({}, {})


def read_before(batch: EventBatch, rows: pl.DataFrame, stored: Stored | None, find: Find) -> Before:
    """The events of these rows of the batch. Cost: for a batch with late creates that may match a rule,
    a query by the table's key: a ms of ClickHouse's CPU for each, and 9 for one alone."""
    changes = pl.DataFrame() if batch.before is None else batch.before.join(rows, on="event_key", how="semi")
    late = pl.col("kafka_ms") - pl.col("created_at").dt.epoch("ms") > YOUNG // timedelta(milliseconds=1)
    keys = rows.filter((pl.col("operation") == "create") & late).select("event_key", "created_at").unique("event_key")
    known = stored.newest(keys) if stored is not None and keys.height else pl.DataFrame()
    speaking = rows.filter(pl.col(WORDS).list.len() > 0).get_column("event_key")
    return Before(_by_key(changes, speaking, find), _by_key(known, speaking, find))


def _by_key(rows: pl.DataFrame, speaking: pl.Series, find: Find) -> dict[int, Row]:
    if not rows.height:
        return {}
    newest = rows.select(BEFORE).sort("version", maintain_order=True).unique("event_key", keep="last", maintain_order=True)
    texts = newest.select(pl.when(pl.col("event_key").is_in(speaking.implode())).then("text").alias("text")).to_series()
    newest = newest.with_columns(find(texts).alias(WORDS))
    return {row["event_key"]: row for row in newest.iter_rows(named=True)}


def matched_at(rule: EventRule, brand: str, row: Row, before: Row | None) -> datetime | None:
    """When the event of this row, which matches, came to match; None: as it was created."""
    if before is not None and _matched(rule, brand, row, before):
        return None
    if row.get("operation") == "create":
        # Without a time of its own, it loses against any later change.
        effective = before is not None and before["version"] >> events.TIME_SHIFT <= to_ms(row["created_at"])
        return datetime.fromtimestamp(row["kafka_ms"] / 1000, UTC) if effective else None
    times = [row["text_at"]]
    if isinstance(rule, ReachRule):
        times.append(row["author_at" if _by_followers(rule, row) else "metrics_at"])
    at: datetime = max(times)
    return at if at > row["created_at"] else None


def reach_of(rule: ReachRule, row: Row) -> float:
    """The number of the row that reaches the rule's limit; 0: none does."""
    if _by_followers(rule, row):
        return float(row["author_followers"])
    engagement = (row["metrics_likes"] or 0) + (row["metrics_shares"] or 0) + (row["metrics_replies"] or 0)
    return float(engagement) if rule.engagement and engagement >= rule.engagement else 0.0


def _by_followers(rule: ReachRule, row: Row) -> bool:
    return bool(rule.followers and (row["author_followers"] or 0) >= rule.followers)


def _matched(rule: EventRule, brand: str, row: Row, before: Row) -> bool:
    """Whether the event matched the rule for this brand before. An equal text has an equal label and equal brands, by the rules
    and brands of today."""
    same = all((before[column] or None) == (row[column] or None) for column in _SAID)
    if before["is_deleted"] or not (same or brand in (before["brands"] or ())):
        return False
    if isinstance(rule, KeywordRule):
        return same or _spoke(rule, before)
    label = row["sentiment_label"] if same else before["sentiment_label"]
    return bool(reach_of(rule, before)) and (not rule.negative or label == NEGATIVE)


def _spoke(rule: KeywordRule, row: Row) -> bool:
    """Whether the row's text has one of the rule's words, in its language."""
    language, said = language_of(row), set(row[WORDS] or ())
    lists = [words for of, words in rule.words.items() if of in ("any", language) or not language]
    return any(term_text(word) in said for words in lists for word in words)


def language_of(row: Row) -> str:
    """The language that a row's text is in, ISO 639; blank: not known."""
    return _primary(row["sentiment_language"] or row["language"] or "")


@lru_cache(1_000)
def _primary(code: str) -> str:
    return str(primary(pl.Series([code]))[0])

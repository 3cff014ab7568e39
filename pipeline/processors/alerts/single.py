"""Single-event rules: events that raise an alert by themselves, in the hot path.

A rule judges an inbound event about a brand, as its row lands: `keyword` the words of the text that this change brought (an
edit without a text brings none), `reach` the author's followers and the sum of likes, shares and replies, whichever change
brought them. A candidate is one (rule, brand, event).

Step mentions matches the words in its one pass over the texts (column WORDS). The candidates of a row depend only on the row
and on when its change happened, so a row that is read back from the table has the same candidates as on its way; the time when
its event came to match (match_time.py) may differ.

Cost: some comparisons a row, by columns. The few rows that pass go row by row: for 30 of them joins cost 3 ms a batch, this a
tenth.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import polars as pl

from pipeline.batch import EventBatch
from pipeline.processors.alerts import match_time
from pipeline.processors.alerts.match_time import (
    NEGATIVE,
    UNKNOWN,
    Before,
    Find,
    Stored,
    language_of,
    matched_at,
    reach_of,
    read_before,
)
from pipeline.processors.alerts.rule_types import EventRule, KeywordRule, ReachRule
from pipeline.processors.alerts.rules import Alerts
from pipeline.processors.mentions.step import WORDS
from pipeline.processors.mentions.terms import term_text
from schemas.inbound import ABOUT_A_BRAND
from schemas.signals import Candidate
from schemas.untyped import Row

JUDGED = (
    "event_key", "created_at", "occurred_at", "platform", "language", "direction", "visibility", "is_deleted", "brands",
    "author_followers", "metrics_likes", "metrics_shares", "metrics_replies", "sentiment_label", "sentiment_language",
    "metrics_at", "author_at",
)  # fmt: skip
"""The columns of interactions that rules look at, but for `text` and `text_at`."""
_NEEDED = {*JUDGED, *match_time.NEEDED, WORDS, "said_at", "row", "kafka_ms"}
_ENGAGEMENT = pl.sum_horizontal("metrics_likes", "metrics_shares", "metrics_replies")


class SingleEvent:
    """The step. Sets `batch.candidates`, takes column WORDS away, keeps every row.

    `find` matches `words_of(rules)` in texts: Mentions.words_in. `stored` knows the events of creates that come late; without
    it all of them count as new. Restart: it remembers nothing. `use` puts other rules in force, from the next batch on.
    """

    name = "alerts"

    def __init__(self, rules: Alerts, find: Find, stored: Stored | None = None) -> None:
        self._rules = _Compiled(rules)
        self._find, self._stored = find, stored

    def use(self, rules: Alerts) -> None:
        """Puts these rules in force from the next batch on. From any thread."""
        self._rules = _Compiled(rules)

    def process(self, batch: EventBatch) -> EventBatch:
        rows = frame = batch.events
        if frame.get_column("row").null_count():
            # Changes that waited may come from pending_changes, which has no column WORDS.
            late = pl.col("row").is_null()
            texts = frame.select(pl.when(late).then("text").alias("text")).to_series()
            rows = frame.with_columns(pl.when(late).then(self._find(texts)).otherwise(WORDS).alias(WORDS))
        matches = self._rules.may_match(rows, pl.col("text_at") == pl.col("occurred_at"))
        if matches.height:
            matches = matches.with_columns(batch.kafka_ms(matches.get_column("row")))
            batch.candidates = self._rules.candidates(matches, read_before(batch, matches, self._stored, self._find))
        batch.events = frame.drop(WORDS)
        return batch

    def judge(self, rows: pl.DataFrame) -> list[Candidate]:
        """The candidates among landed rows: JUDGED, `text`, `text_at`, `kafka_ms`, `said_at` (the time of the judged change).
        The words count if the text is of that time."""
        rows = rows.with_columns(self._find(rows.get_column("text")).alias(WORDS))
        return self._rules.candidates(self._rules.may_match(rows, pl.col("text_at") == pl.col("said_at")))

    def judge_labelled(self, rows: pl.DataFrame) -> list[Candidate]:
        """The candidates among landed rows (JUDGED, `text_at`) that only got their label. Their Kafka time is not stored: it is
        null."""
        nothing = {WORDS: pl.lit(None, pl.List(pl.String)), "kafka_ms": pl.lit(None, pl.Int64)}
        return self._rules.candidates(self._rules.may_match(rows.with_columns(**nothing), pl.lit(False)))


_Match = tuple[EventRule, float, tuple[str, ...]]
"""A rule that a row matches, the observed number, the words."""


def words_of(rules: Alerts) -> list[str]:
    """The words of all keyword rules, folded as texts are, each once."""
    every = (rule.words.values() for rule in rules.rules if isinstance(rule, KeywordRule))
    return sorted({term_text(word) for lists in every for words in lists for word in words})


def touched(rows: pl.DataFrame) -> pl.DataFrame:
    """The distinct (minute, brand) of the rows: minute of created_at."""
    pairs = rows.select(pl.col("created_at").dt.truncate("1m").alias("minute"), brand="brands")
    return pairs.explode("brand").drop_nulls().unique()


class _Compiled:
    """The single-event rules of alerts.yaml; immutable."""

    def __init__(self, rules: Alerts) -> None:
        self._words: defaultdict[str, list[tuple[KeywordRule, str, str]]] = defaultdict(list)
        for rule in rules.rules:
            if isinstance(rule, KeywordRule):
                for language, words in rule.words.items():
                    for word in words:
                        self._words[term_text(word)].append((rule, language, word))
        self._reach = [rule for rule in rules.rules if isinstance(rule, ReachRule)]
        self._may_reach = _least(self._reach)

    def may_match(self, rows: pl.DataFrame, said: pl.Expr) -> pl.DataFrame:
        """The rows that may match a rule. WORDS that were not `said` by the judged change are null."""
        speaks = ((pl.col(WORDS).list.len() > 0) & said).fill_null(False) if self._words else pl.lit(False)
        matches = rows.select(column for column in rows.columns if column in _NEEDED).filter(speaks | self._may_reach)
        if not matches.height:
            return matches
        return matches.filter(ABOUT_A_BRAND).with_columns(pl.when(said).then(WORDS).alias(WORDS))

    def candidates(self, rows: pl.DataFrame, before: Before = UNKNOWN) -> list[Candidate]:
        """The candidates of these rows: JUDGED, WORDS, kafka_ms, text_at; with `before` also match_time.NEEDED."""
        return [candidate for row in rows.iter_rows(named=True) for candidate in self._of(row, before.of(row))]

    def _of(self, row: Row, before: Row | None) -> Iterator[Candidate]:
        language = language_of(row)
        matches: list[_Match] = [*self._spoken(row, language), *self._reached(row)]
        for rule, observed, words in matches:
            if rule.platforms and row["platform"] not in rule.platforms:
                continue
            for brand in row["brands"]:
                if not rule.brands or brand in rule.brands:
                    yield Candidate(
                        rule=rule.name, brand=brand, platform=row["platform"], language=language, event_key=row["event_key"],
                        created_at=row["created_at"], occurred_at=row["occurred_at"], observed=observed, words=words,
                        sentiment=row["sentiment_label"] or "", public=row["visibility"] != "private",
                        kafka_ms=row["kafka_ms"], matched_at=matched_at(rule, brand, row, before),
                    )  # fmt: skip

    def _spoken(self, row: Row, language: str) -> Iterator[tuple[KeywordRule, float, tuple[str, ...]]]:
        said: dict[str, tuple[KeywordRule, set[str]]] = {}
        for term in row[WORDS] or ():
            for rule, of, word in self._words.get(term, ()):
                if of in ("any", language) or not language:
                    said.setdefault(rule.name, (rule, set()))[1].add(word)
        for rule, words in said.values():
            yield rule, 1.0, tuple(sorted(words))

    def _reached(self, row: Row) -> Iterator[tuple[ReachRule, float, tuple[str, ...]]]:
        for rule in self._reach:
            if rule.negative and row["sentiment_label"] != NEGATIVE:
                continue
            if observed := reach_of(rule, row):
                yield rule, observed, ()


def _least(rules: Sequence[ReachRule]) -> pl.Expr:
    """The condition of rows that may match one of the rules."""
    followers = min((rule.followers for rule in rules if rule.followers), default=None)
    engagement = min((rule.engagement for rule in rules if rule.engagement), default=None)
    limits = [pl.col("author_followers").ge(followers)] if followers else []
    limits += [_ENGAGEMENT.ge(engagement)] if engagement else []
    if not limits:
        return pl.lit(False)
    reaches = pl.any_horizontal(limits).fill_null(False)
    negative = (pl.col("sentiment_label") == NEGATIVE).fill_null(False)
    return reaches & negative if all(rule.negative for rule in rules) else reaches

"""Which minutes a search for campaigns is about, and how long they have waited; which texts of a brand it compares."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import pytest

from pipeline.processors.alerts import campaign_search, campaign_texts
from pipeline.processors.alerts.campaign_queue import CampaignQueue
from pipeline.processors.alerts.campaign_search import STRETCH, CampaignFinder, Search
from pipeline.processors.alerts.campaign_sql import minute_sql
from pipeline.processors.alerts.minutes import minute_of
from pipeline.processors.alerts.rule_types import CampaignRule
from pipeline.processors.alerts.text_groups import BITS, LINKED, LOWEST, Texts, alike, bits_of, signatures

NOON = datetime.fromisoformat("2026-09-01T12:00:00Z")
FIRST = minute_of(NOON)
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def rule(**values: Any) -> CampaignRule:
    return CampaignRule(name="copies", type="campaign", **values)


RULES = [rule()]


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def started(rules: list[CampaignRule] = RULES) -> CampaignQueue:
    """A queue whose first searches are done."""
    queue = CampaignQueue()
    queue.recall(rules, after(-60), after(-60))
    assert searched(queue, rules, NOON)
    return queue


def searched(queue: CampaignQueue, rules: list[CampaignRule], watermark: datetime) -> list[Search]:
    """All searches that are due; each ends well."""
    found = list[Search]()
    while due := queue.take(rules, watermark):
        found.append(due)
        queue.done()
    return found


def test_a_search_is_about_all_minutes_that_were_touched_since_the_one_before() -> None:
    queue = started()
    assert queue.take(RULES, after(30)) is None
    queue.add(RULES, {FIRST: {"Acme"}, FIRST - 20: {"Bolt"}}, after(10))
    queue.add(RULES, {FIRST: {"Bolt"}, FIRST + 1: {"Acme"}}, after(70))
    assert queue.waited(after(100)).total_seconds() == 90
    late, whole = searched(queue, RULES, after(100))
    assert (late.touched, whole.touched) == ([FIRST - 20], [FIRST, FIRST + 1])
    assert late.recent > late.touched[-1] and whole.recent == FIRST
    assert (late.last, late.since) == (whole.last, whole.since) == (FIRST + 1, after(10))


def test_the_present_waits_for_no_hour_of_recalled_minutes_and_they_not_for_the_present() -> None:
    queue = CampaignQueue()
    queue.recall(RULES, after(-3600), NOON)
    first, newest = list[int](), list[int]()
    for minute in range(1, 30):  # a search takes a minute, as on a loaded machine
        queue.add(RULES, {FIRST + minute: {"Acme"}}, after(60 * minute))
        due = queue.take(RULES, after(60 * minute))
        assert due is not None
        queue.done()
        first.append(due.touched[0])
        newest.append(due.touched[-1])
    assert newest[1::2] == [FIRST + minute for minute in range(2, 30, 2)]
    assert first[0] == min(first)
    assert not [minute for minute in queue._waiting if minute < FIRST]


def test_the_wait_ends_with_the_end_of_the_search() -> None:
    queue = started()
    queue.add(RULES, {FIRST: {"Acme"}}, after(10))
    assert queue.take(RULES, after(20))
    queue.add(RULES, {FIRST: {"Acme"}}, after(30))
    assert queue.waited(after(40)).total_seconds() == 30
    queue.done()
    assert queue.waited(after(40)).total_seconds() == 10
    assert queue.take(RULES, after(41))
    queue.done()
    assert queue.waited(after(50)).total_seconds() == 0


def test_a_search_that_failed_is_part_of_the_next_one() -> None:
    queue = started()
    queue.add(RULES, {FIRST: {"Acme"}}, after(10))
    assert queue.take(RULES, after(20))
    queue.add(RULES, {FIRST + 15: {"Acme"}}, after(900))
    first, second = searched(queue, RULES, after(901))
    assert (first.touched, second.touched) == ([FIRST], [FIRST + 15])
    assert (first.recent, first.since) == (FIRST, after(10)), "it was not searched as a whole"


def test_minutes_of_more_than_an_hour_ago_are_history() -> None:
    queue = started()
    queue.add(RULES, {FIRST - 5: {"Acme"}}, NOON)
    assert queue.take(RULES, after(56 * 60)) is None
    assert queue.waited(after(56 * 60)).total_seconds() == 0


def test_a_new_leader_searches_the_last_hour_once_the_time_moves_on() -> None:
    queue = CampaignQueue()
    queue.recall(RULES, NOON, after(150))
    assert queue.take(RULES, NOON) is None
    assert queue.waited(after(160)).total_seconds() == 160
    late, *whole = searched(queue, RULES, after(61))
    assert late.touched == [*range(FIRST - 58, FIRST - 10)] and late.recent > FIRST - 10
    assert [minute for due in whole for minute in due.touched] == [*range(FIRST - 10, FIRST + 2)]
    assert all(due.recent == due.touched[0] and len(due.touched) <= STRETCH for due in whole)
    due = queue.take(RULES, after(150))
    assert due is not None and due.touched == [FIRST + 2]


def test_brands_that_no_rule_is_about_touch_nothing() -> None:
    rules = [rule(brands=("Acme",)), rule(brands=("Bolt", "Core"))]
    queue = started(rules)
    queue.add(rules, {FIRST: {"Dune"}, FIRST + 1: {"Core"}}, NOON)
    due = queue.take(rules, after(100))
    assert due is not None and due.touched == [FIRST + 1]
    queue.recall([], NOON, NOON)
    queue.add([], {FIRST: {"Acme"}}, NOON)
    assert queue.take([], after(100)) is None and queue.waited(after(100)) == timedelta(0)


def test_minutes_of_rules_that_were_taken_out_wait_no_more() -> None:
    queue = started()
    queue.add(RULES, {FIRST: {"Acme"}, FIRST + 1: {"Acme"}}, NOON)
    assert queue.take(RULES, after(1))
    assert queue.take([], after(2)) is None and queue.waited(after(100)) == timedelta(0)


def test_a_minute_that_fails_waits_alone_and_keeps_no_others_waiting() -> None:
    queue, tries, well = started(), list[int](), set[int]()
    for second in range(0, 50 * 60, 2):
        queue.add(RULES, {FIRST + second // 60: {"Acme"}}, after(second))
        if due := queue.take(RULES, after(second)):
            if FIRST in due.touched:
                tries.append(second)
                queue.failed()
                assert due.touched == [FIRST]
            else:
                queue.done()
                well.update(due.touched)
    assert well == {*range(FIRST + 1, FIRST + 50)} and 5 <= len(tries) <= 8
    assert queue.waited(after(3_000)).total_seconds() == 3_000


def test_minutes_of_a_failed_stretch_come_again_one_by_one_between_the_others() -> None:
    queue = started()
    queue.add(RULES, {FIRST: {"Acme"}, FIRST + 1: {"Acme"}, FIRST + 2: {"Acme"}}, NOON)
    assert queue.take(RULES, after(120))
    queue.failed()
    assert queue.take(RULES, after(130)) is None
    queue.add(RULES, {FIRST + 3: {"Acme"}}, after(190))
    assert [due.touched for due in searched(queue, RULES, after(190))] == [[FIRST], [FIRST + 3], [FIRST + 1], [FIRST + 2]]
    assert queue.waited(after(200)) == timedelta(0)


# --- texts ------------------------------------------------------------------------------------------------------------
def text(random: Random, length: int = 100) -> str:
    return "".join(random.choices(LETTERS, k=length))


def edited(random: Random, words: str, edits: int = 5) -> str:
    letters = list(words)
    for place in random.sample(range(len(words)), edits):
        letters[place] = random.choice(LETTERS)
    return "".join(letters)


def texts_of(words: list[str], fresh: int = 1) -> Texts:
    """Each by its own account; the last ones are fresh. The sketch is made as the table's: the lowest hashes of pieces."""
    sketches = np.zeros((len(words), LOWEST), np.uint32)
    for row, each in enumerate(words):
        hashes = {crc32(each[n : n + 5].encode()) & 0x7FFFFFFF for n in range(len(each) - 4)}
        sketches[row, : min(LOWEST, len(hashes))] = sorted(hashes)[:LOWEST]
    signs = signatures(pl.Series(words, dtype=pl.String))
    accounts, news = np.arange(len(words), dtype=np.uint64), np.arange(len(words)) >= len(words) - fresh
    return Texts(sketches, signs, bits_of(signs), accounts, news)


@pytest.mark.parametrize("length", [30, 100, 400])
def test_signatures_estimate_the_similarity_of_pieces(length: int) -> None:
    random = Random(length)
    words = [text(random, length) for _ in range(100)]
    words += [edited(random, each, length // 20) for each in words]
    similarity = texts_of(words).similarity(np.arange(100), np.arange(100, 200))
    pieces = [{each[n : n + 3] for n in range(len(each) - 2)} for each in words]
    exact = np.array([len(one & other) / len(one | other) for one, other in zip(pieces[:100], pieces[100:], strict=True)])
    assert np.abs(similarity - exact).mean() < 0.03 and np.abs(similarity - exact).max() < 0.15


def test_a_text_may_be_longer_than_a_signature() -> None:
    texts = texts_of([text(Random(n), 400) * 8 for n in range(2)] + [""])
    assert texts.sizes.max() <= BITS and texts.sizes[2] == 0
    assert np.isfinite(texts.similarity(np.array([0, 2]), np.array([1, 2]))).all()
    assert signatures(pl.Series([], dtype=pl.String)).shape == (0, BITS // 64)


def test_texts_of_a_campaign_are_found_among_others_and_no_others() -> None:
    random, found = Random(4), 0
    for _ in range(50):
        base = text(random)
        words = [text(random) for _ in range(200)] + [edited(random, base) for _ in range(10)]
        rows = alike(texts_of(words), 10)
        assert not rows.size or rows.min() >= 200
        found += len(rows) == 10
    assert found >= 48
    assert not alike(texts_of([text(random) for _ in range(500)], 500), 3).size


def test_a_group_needs_accounts_and_a_fresh_row() -> None:
    random = Random(5)
    base = text(random)
    texts = texts_of([edited(random, base, 2) for _ in range(12)])
    assert alike(texts, 12).tolist() == list(range(12))
    assert not alike(texts, 20).size
    assert not alike(texts._replace(fresh=np.zeros(12, np.bool_)), 10).size
    assert not alike(texts._replace(accounts=np.zeros(12, np.uint64)), 3).size
    assert not alike(texts_of([base]), 1).size and not alike(texts_of([]), 1).size


def test_a_sentence_in_common_is_no_likeness() -> None:
    random = Random(6)
    half = text(random, 40)
    texts = texts_of([half + text(random, 60) for _ in range(300)], 300)
    assert texts.similarity(0, slice(1, None)).max() < LINKED
    assert not alike(texts, 10).size


@pytest.mark.parametrize("shared", [0, 2])
def test_many_small_groups_cost_no_pairs_of_groups_and_texts(monkeypatch: pytest.MonkeyPatch, shared: int) -> None:
    """4,000 groups of three accounts, each about something else; in the second case two values are in all their sketches."""
    compared, similarity, numbers = [0], Texts.similarity, np.random.default_rng(1)

    def counted(texts: Texts, ones: Any, others: Any) -> Any:
        result = similarity(texts, ones, others)
        compared[0] += len(result)
        return result

    monkeypatch.setattr(Texts, "similarity", counted)
    sketches = np.sort(numbers.integers(1_000, 1 << 31, (4_000, LOWEST), dtype=np.uint32), axis=1)
    sketches[:, :shared] = np.arange(1, shared + 1)
    signs = numbers.integers(0, 1 << 63, (4_000, BITS // 64), dtype=np.uint64)
    order, accounts = np.tile(np.arange(4_000), 3), np.repeat(np.arange(3, dtype=np.uint64), 4_000)
    texts = Texts(sketches[order], signs[order], bits_of(signs[order]), accounts, np.ones(12_000, np.bool_))
    assert not alike(texts, 10).size and compared[0] < 200 * 12_000
    assert len(alike(texts, 3)) == 12_000


def test_texts_of_a_campaign_that_are_in_no_group_are_found_by_its_centre() -> None:
    """Links need two values in common; nine of these texts have one."""
    random = Random(8)
    base = text(random)
    texts = texts_of([base] * 3 + [edited(random, base, 3) for _ in range(9)], 12)
    sketches = texts.sketches.copy()
    sketches[3:, 0] = sketches[0, 0]
    sketches[3:, 1:] = np.arange(9 * (LOWEST - 1)).reshape(9, -1) + (1 << 31)
    assert len(alike(texts._replace(sketches=sketches), 12)) == 12


# --- what a search reads ----------------------------------------------------------------------------------------------
class Minutes:
    """Answers queries for minutes with `rows` rows each; notes them, and which minutes were compared."""

    def __init__(self, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows, self.asked, self.most_kept = rows, list[int](), 0
        self.compared: list[tuple[list[int], list[int]]] = []
        self.finder = CampaignFinder()
        monkeypatch.setattr(campaign_search, "_matches", self._match)

    def query(self, sql: str) -> pl.DataFrame:
        number = int(re.findall(r"toDateTime\((\d+)", sql)[0]) // 60
        self.asked.append(number)
        self.most_kept = max(self.most_kept, sum(len(minute.keys) for minute in self.finder._minutes.values()))
        keys = [number * self.rows + n for n in range(self.rows)]
        columns = {"event_key": keys, "brands": [["Acme"]] * self.rows, "sketch": [[*range(1, LOWEST + 1)]] * self.rows}
        columns |= {"text": [f"a text of some length, number {key}" for key in keys], "account": keys}
        return pl.DataFrame(columns, schema_overrides={"event_key": pl.UInt64, "account": pl.UInt64})

    def _match(self, query: object, rules: object, minutes: Any, touched: Any) -> list[Any]:
        self.compared.append((list(touched), [minute.number for minute in minutes]))
        return []

    def search(self, *touched: int, last: int = FIRST) -> None:
        self.finder.search(self.query, Search(RULES, touched, last, touched[0], NOON))


def test_touched_minutes_are_read_first_and_none_of_them_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_search, "MOST_ROWS", 40)
    minutes, touched = Minutes(5, monkeypatch), range(FIRST - 30, FIRST + 1)
    minutes.search(*touched)
    assert sorted(number for part, _ in minutes.compared for number in part) == [*touched]
    assert all(set(part) <= set(read) and len(read) == 8 for part, read in minutes.compared)
    assert minutes.finder.left_out > 0 and minutes.most_kept <= 40


def test_minutes_next_to_the_touched_ones_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_search, "MOST_ROWS", 25)
    minutes = Minutes(5, monkeypatch)
    minutes.search(FIRST - 8)
    assert minutes.compared == [([FIRST - 8], [*range(FIRST - 10, FIRST - 5)])]
    assert minutes.finder.left_out == 19 - 5


def test_memory_has_a_limit_over_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_search, "MOST_ROWS", 100)
    minutes = Minutes(5, monkeypatch)
    for number in range(40):
        minutes.search(FIRST + number, last=FIRST + number)
    assert minutes.most_kept <= 100 and minutes.finder.left_out == 0
    assert len(minutes.asked) == 11 + 39, "minutes in memory are not read again"


def test_a_minute_with_too_many_rows_is_cut_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(campaign_texts, "MOST_A_MINUTE", 4)
    minutes = Minutes(5, monkeypatch)
    minutes.search(FIRST)
    assert len(minutes.finder._minutes[FIRST].keys) == 4 and minutes.finder.left_out == 11
    assert "more than 4 texts" in caplog.text
    assert " LIMIT 5)\n" in minute_sql(FIRST, None, None, 5)


def test_brands_with_too_few_texts_cost_no_look_at_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_search, "about", None)
    finder, match = CampaignFinder(), campaign_search._matches
    minutes = Minutes(5, monkeypatch)
    read = [campaign_texts.read_minute(minutes.query, FIRST, None)]
    assert finder.left_out == 0 and match(minutes.query, RULES, read, [FIRST]) == []

"""Records of topic cursors."""

from __future__ import annotations

import pytest

from pipeline.listen.record import Newest, Pause, Record, read

MARK = Record("blog", "feed", 3, 7, {"live": {"etag": "a"}}, b"12345678", 99)


def test_a_record_outlives_the_topic() -> None:
    assert read(b"blog", MARK.dump()) == MARK
    assert read(*Pause("blog", True).dump()) == Pause("blog", True)


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}", b'{"what": 1, "epoch": "x"}', b"\xff"])
@pytest.mark.parametrize("key", [None, b"blog", b"\xff", b"pause blog"])
def test_other_records_are_none(key: bytes | None, value: bytes | None) -> None:
    assert read(key, value) is None


def test_the_newest_owner_counts_whatever_an_older_one_writes_after_it() -> None:
    newest, taken = Newest(), MARK.taken("feed")
    assert newest.add(MARK) and newest.add(taken)
    assert not newest.add(MARK.next({"live": {"etag": "late"}}, b"", 100))
    assert newest.records["blog"] is taken and taken.cursor == MARK.cursor and taken.at == 99
    assert not newest.add(taken.next({}, b"", 1)) and newest.records["blog"].number == 1


def test_a_record_of_our_own_is_in_memory_once_though_the_topic_brings_it_back() -> None:
    newest, same = Newest(), read(b"blog", MARK.dump())
    assert isinstance(same, Record) and newest.add(same)
    newest.wrote(MARK)
    assert newest.records["blog"] is MARK, "it was read before its writer heard that Kafka has it"
    newest.add(same)
    assert newest.records["blog"] is MARK
    newest.add(taken := MARK.taken("feed"))
    newest.wrote(MARK)
    assert newest.records["blog"] is taken, "another listener took the source over"


def test_after_an_owner_whose_clock_was_ahead_changes_count_from_later_than_its_own() -> None:
    assert MARK.ahead(MARK.at / 1000, 60.0) == 0.0 == MARK.ahead(MARK.at / 1000 - 1, 60.0), "clocks differ by a little"
    assert MARK.ahead(MARK.at / 1000 - 3_600, 60.0) >= 3_600 + 60, "it may have polled once more"
    assert MARK.ahead(MARK.at / 1000 - 3_600, 86_400.0) < 86_400, "a day ahead, the workers take nothing"


def test_a_pause_counts_in_its_partition() -> None:
    newest = Newest()
    newest.pause(Pause("blog", False), 2)
    newest.pause(Pause("blog", True), 1)
    assert newest.is_paused("blog", 1) and not newest.is_paused("blog", 2) and not newest.is_paused("blog", 3)
    assert not newest.is_paused("page", 1)


def test_of_another_feed_under_the_same_name_it_begins_anew() -> None:
    assert MARK.taken("another") == Record("blog", "another", 4)

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


def test_of_another_feed_under_the_same_name_it_begins_anew() -> None:
    assert MARK.taken("another") == Record("blog", "another", 4)

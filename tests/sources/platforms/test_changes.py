"""What is sent of the observations of an item."""

from __future__ import annotations

import pytest

from pipeline.sources.platforms import changes
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation
from schemas.untyped import JsonObject

NOW, LATER = "2026-11-28T12:00:00Z", "2026-11-28T12:05:00Z"


def post(text: str = "The kettle leaks", likes: int = 1, name: str = "Ines", **more: object) -> JsonObject:
    return {
        "platform": "x", "id": "1", "kind": "post", "created_at": "2026-11-28T11:00:00Z", "text": text,
        "metrics": {"likes": likes}, "author": {"id": "7", "name": name}, **more,
    }  # fmt: skip


def sent(known: Known, event: JsonObject, now: str = NOW, **more: object) -> list[JsonObject]:
    return [*known.changes([Observation(event, **more)], now)]  # type: ignore[arg-type]


def test_the_first_sight_is_a_create_and_the_same_again_is_nothing() -> None:
    known = Known()
    assert sent(known, post()) == [{**post(), "operation": "create"}]
    assert sent(known, post()) == []


def test_an_update_carries_the_groups_that_changed_as_a_whole() -> None:
    known = Known()
    sent(known, post(language="en"))
    named = {"platform": "x", "id": "1", "created_at": "2026-11-28T11:00:00Z", "operation": "update", "occurred_at": LATER}
    assert sent(known, post(language="en", likes=2), LATER) == [{**named, "metrics": {"likes": 2}}]
    assert sent(known, post("It leaks", language="en", likes=2), LATER) == [{**named, "text": "It leaks", "language": "en"}]
    both = {**named, "metrics": {"likes": 1}, "author": {"id": "7", "name": "Ines R."}}
    assert sent(known, post("It leaks", language="en", name="Ines R."), LATER) == [both]


def test_an_edit_counts_from_the_platforms_time_and_counts_from_ours() -> None:
    known, edited = Known(), "2026-11-28T11:30:00Z"
    sent(known, post())
    assert sent(known, post("edited"), LATER, at=edited)[0]["occurred_at"] == edited
    assert sent(known, post("edited", likes=5), LATER, at=edited)[0]["occurred_at"] == LATER
    both = sent(known, post("again", likes=6), LATER, at=edited)
    assert [(each["occurred_at"], "text" in each, "metrics" in each) for each in both] == [
        (edited, True, False),
        (LATER, False, True),
    ], "by our clock the text could be newer than the next edit by the platform's"


def test_nothing_counts_from_before_its_item_whatever_our_clock_says() -> None:
    known, early, begun = Known(), "2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z"
    sent(known, post(), early)
    assert [each["occurred_at"] for each in sent(known, post(likes=2), early)] == [begun], "earlier, it is ignored for ever"
    assert [each["occurred_at"] for each in sent(known, post("It leaks", likes=2), early, at=early)] == [begun]
    assert [each["occurred_at"] for each in sent(known, post("It leaks", likes=3), LATER)] == [LATER]


def test_an_edit_of_next_year_hides_nothing() -> None:
    known, next_year = Known(), "2027-11-28T11:30:00Z"
    sent(known, post())
    assert [each["occurred_at"] for each in sent(known, post("edited"), at=next_year)] == [NOW]
    assert [each["occurred_at"] for each in sent(known, post("corrected", likes=2), LATER, at=NOW)] == [NOW, LATER]


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:01Z"])
def test_a_change_of_before_all_events_counts_from_now_as_the_worker_takes_none_of_then(at: str) -> None:
    known, review = Known(), {"platform": "x", "id": "1", "kind": "review", "text": "The kettle leaks"}
    sent(known, review, at=NOW)
    assert [each["occurred_at"] for each in sent(known, {**review, "text": "It is fine"}, LATER, at=at)] == [LATER]
    assert [each["occurred_at"] for each in sent(known, review, LATER, at=at, deleted=True)] == [LATER]


def test_an_item_without_a_time_has_that_of_its_first_sight_and_no_other() -> None:
    known, undated = Known(), {"platform": "x", "id": "1", "kind": "post", "text": "The kettle leaks"}
    assert [each["created_at"] for each in sent(known, undated)] == [NOW]
    assert ["created_at" in each for each in sent(known, {**undated, "text": "It leaks"}, LATER)] == [False]


def test_a_copy_is_apart() -> None:
    known = Known()
    sent(known, post())
    copy = known.copy()
    assert sent(copy, post(likes=2)) and sent(known, post(likes=2)), "each has sent it by itself"


def test_an_older_version_that_comes_late_changes_nothing() -> None:
    known, first, second = Known(), "2026-11-28T11:30:00Z", "2026-11-28T11:40:00.250Z"
    assert sent(known, post("second", likes=3), at=second)[0]["operation"] == "create"
    assert sent(known, post("as written", likes=0)) == [] == sent(known, post("first", likes=1), at=first)
    known = Known(known.dump())
    assert sent(known, post("first", likes=1), at=first) == []
    assert [each["author"]["name"] for each in sent(known, post("as written", name="Ines R."))] == ["Ines R."]
    (third,) = sent(known, post("third", likes=3, name="Ines R."), at="2026-11-28T11:41:00Z")
    assert third["text"] == "third"
    assert sent(known, post("second", likes=3, name="Ines R."), at=second) == []


def test_without_a_platforms_time_the_last_one_seen_counts() -> None:
    known = Known()
    undated = {name: value for name, value in post("one").items() if name != "created_at"}
    sent(known, undated, at="2026-11-28T11:30:00Z")
    assert [each["text"] for each in sent(known, {**undated, "text": "two"})] == ["two"]
    known = Known()
    sent(known, post("one", created_at="2026-11-28T11:30:00Z"))
    assert [each["text"] for each in sent(known, post("two"))] == ["two"], "a feed that corrects its times"


def test_what_was_deleted_is_deleted_once_and_never_comes_back() -> None:
    known, gone = Known(), {"platform": "x", "id": "1"}
    sent(known, post())
    assert sent(known, gone, deleted=True) == [{**gone, "operation": "delete", "occurred_at": NOW}]
    assert sent(known, gone, deleted=True) == []
    assert sent(known, post("back")) == []
    unknown = sent(Known(), gone, deleted=True, at=LATER)
    assert unknown == [{**gone, "operation": "delete", "occurred_at": LATER}]


def test_a_part_of_a_group_never_replaces_it() -> None:
    known, partial = Known(), frozenset({"author"})
    few = {**post(), "author": {"id": "7"}}
    assert sent(known, few, partial=partial) == [{**few, "operation": "create"}]
    assert sent(known, few, partial=partial) == []
    assert [each["author"]["name"] for each in sent(known, post())] == ["Ines"], "the whole author, once it is there"
    assert sent(known, few, partial=partial) == [] == sent(known, post())


def test_an_item_of_which_the_last_change_is_known_was_created_then_and_keeps_that_time() -> None:
    known = Known()
    review = {name: value for name, value in post().items() if name != "created_at"}
    (event,) = sent(known, review, at="2026-11-27T09:00:00Z")
    assert event["created_at"] == "2026-11-27T09:00:00Z"
    (edit,) = sent(known, {**review, "text": "It leaks again"}, LATER, at="2026-11-28T12:01:00Z")
    assert edit["occurred_at"] == "2026-11-28T12:01:00Z" and "created_at" not in edit
    assert sent(known, review, LATER, at="2026-11-27T09:00:00Z") == [], "a page from before the edit"
    for at in ("2026-11-28T12:00:01Z", "1970-01-01T00:00:00Z", ""):
        (event,) = sent(Known(), review, at=at)
        assert event["created_at"] == NOW


def test_a_group_that_a_payload_lacks_stays_as_it_is() -> None:
    known = Known()
    sent(known, post())
    lacking = {name: value for name, value in post().items() if name != "metrics"}
    assert sent(known, lacking) == [] == sent(known, post())


def test_it_outlives_a_restart() -> None:
    known = Known()
    sent(known, post())
    sent(known, {"platform": "x", "id": "2"}, deleted=True)
    again = Known(known.dump())
    assert len(again) == 2 and again.dump() == known.dump()
    assert sent(again, post()) == [] and len(sent(again, post(likes=9))) == 1
    assert sent(again, {**post(), "id": "2"}) == []
    assert Known(b"broken").dump() == b""


def test_the_newest_items_are_known() -> None:
    known = Known()
    for number in range(changes.MOST_ITEMS + 1):
        sent(known, {**post(), "id": str(number)})
    assert len(known) == changes.MOST_ITEMS
    assert sent(known, {**post(), "id": "1"}) == [], "it was seen a moment ago"
    assert [each["operation"] for each in sent(known, {**post(), "id": "0"})] == ["create"], "the oldest is forgotten"
    assert not known.has("x", "2") and known.has("x", "1") and not known.has("x", None)


@pytest.mark.parametrize(
    "created", ["9999-12-31T23:59:59Z", "2026-11-30T12:00:00Z", "1994-12-31T00:00:00Z", "0001-01-01T00:00:00Z"]
)
def test_an_item_of_no_possible_time_gets_that_of_the_poll(created: str) -> None:
    known = Known()
    (event,) = sent(known, {**post(), "created_at": created})
    assert event["created_at"] == NOW, "the pipeline takes none of these"
    (change,) = sent(known, {**post(likes=2), "created_at": created}, LATER)
    assert change["occurred_at"] == LATER and "created_at" not in change, "its row has that of the first poll"

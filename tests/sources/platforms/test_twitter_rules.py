"""Single rules of X's mapper, edits, and bad payloads."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation, Unreadable
from schemas.untyped import JsonObject
from tests.sources.platforms.test_twitter import seen
from tests.sources.platforms.twitter_payloads import ACTIVITY, DM_LINE, NEW_EDIT, OLD_MESSAGE, POLL_PAGE, SEARCH, SHARE
from tests.support.platform_events import check, table


def one(payload: object) -> JsonObject:
    (found,) = seen(payload)
    assert isinstance(found, Observation)
    return found.event


def v2(**fields: Any) -> JsonObject:
    return {"data": {"id": "2029452097090486277", "text": "hi", "lang": "en", **fields}}


def v1(**fields: Any) -> JsonObject:
    return {"id_str": "995", "created_at": "Thu May 03 10:00:00 +0000 2018", "text": "hi", "user": {"id_str": "5"}, **fields}


# --- edits ----------------------------------------------------------------------------------------------------------
def test_an_edit_is_an_update_of_the_first_post_at_its_own_time() -> None:
    """Whatever version comes first: the id and the time of creation are those of the first version."""
    known = Known()
    first = {"data": {**NEW_EDIT["data"], "id": "2029436745937846273", "created_at": "2026-03-05T06:00:00.000Z", "text": "a"}}
    first["data"]["edit_history_tweet_ids"] = ["2029436745937846273"]
    now = "2026-03-05T09:00:00Z"
    (created,) = known.changes(seen(first), now)  # type: ignore[arg-type]
    assert (created["operation"], created["created_at"], created["text"]) == ("create", "2026-03-05T06:00:00Z", "a")
    assert list(known.changes(seen(NEW_EDIT), now)) == [  # type: ignore[arg-type]
        {
            "id": "2029436745937846273",
            "platform": "twitter",
            "created_at": "2026-03-05T06:00:00Z",
            "operation": "update",
            "occurred_at": "2026-03-05T06:20:00Z",
            "text": "b",
            "language": "en",
        }
    ]
    assert one(NEW_EDIT)["created_at"] == "2026-03-05T06:00:00Z"


def test_an_older_version_replaces_nothing() -> None:
    old = copy.deepcopy(NEW_EDIT)
    old["data"]["id"] = "2029436745937846273"
    (older,) = seen(old)
    assert isinstance(older, Observation)
    assert older.partial == {"text", "metrics", "author"}


def test_an_edited_status_of_api_v1() -> None:
    edit = v1(id_str="2029441779102646274", edit_history={"edit_tweet_ids": ["2029436745937846273", "2029441779102646274"]})
    edit["created_at"] = "Thu Mar 05 06:20:00 +0000 2026"
    (edited,) = seen(edit)
    assert isinstance(edited, Observation)
    assert (edited.event["id"], edited.event["created_at"]) == ("2029436745937846273", "2026-03-05T06:00:00Z")
    assert edited.at == "2026-03-05T06:20:00Z"


# --- single rules ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("payload", "event"),
    [
        (v2(text="&amp;amp; &lt;3 &amp;copy"), {"text": "&amp; <3 &copy"}),
        (v2(lang="zxx"), {"language": None}),
        (v2(lang="iw"), {"language": "he"}),
        (v2(text="@a @b hi", display_text_range=[6, 8]), {"text": "hi"}),
        (v2(text="@a @b hi", display_text_range=[-2, 8]), {"text": "@a @b hi"}),
        (
            v2(entities={"urls": [{"url": "https://t.co/a", "display_url": "pic.example"}]}, text="see https://t.co/a"),
            {"text": "see"},
        ),
        (v2(entities={"urls": [{"url": "https://t.co/a"}]}, text="https://t.co/a"), {"urls": ["https://t.co/a"]}),
        (v2(entities={"urls": [{"url": "a", "expanded_url": "b" * 99}]}, text="a a a"), {"text": "a a a", "urls": None}),
        (v2(public_metrics={"like_count": -1, "retweet_count": 2, "reply_count": True}), {"metrics": {"shares": 2}}),
        (v2(created_at="2026-03-05T07:01:00.000Z"), {"created_at": "2026-03-05T07:01:00Z"}),
        ({"data": {"id": "2029452097090486277", "text": "RT @lina_pours: hi"}}, {"kind": "repost", "target": None}),
        (v2(text="RT @lina_pours: hi"), {"kind": "post"}),
        (v1(truncated=True, extended_tweet={"full_text": "all of it"}), {"text": "all of it"}),
        (v1(full_text="full", text=None), {"text": "full"}),
        (v1(created_at="Thu May  3 10:00:00 +0000 2018"), {"created_at": "2018-05-03T10:00:00Z"}),
        (v1(in_reply_to_user_id=5), {"kind": "post", "in_reply_to": None}),
        (v1(quoted_status_id_str="77"), {"kind": "post", "target": "77"}),
        (v1(id_str=None, id=995), {"id": "995"}),
    ],
)
def test_a_rule(payload: JsonObject, event: JsonObject) -> None:
    found = one(payload)
    assert {name: found.get(name) for name in event} == event


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"delete": {"status": {"id": 42, "id_str": "42"}, "timestamp_ms": "1525341600000"}}, ("42", "2018-05-03T10:00:00Z")),
        (
            {"data": {"delete": {"tweet": {"id": "42"}, "event_at": "2018-05-03T10:00:00.5Z"}}},
            ("42", "2018-05-03T10:00:00.500Z"),
        ),
        ({"tweet_delete_events": [{"status": {"id": "42"}}]}, ("42", "")),
    ],
)
def test_deletes(payload: JsonObject, expected: tuple[str, str]) -> None:
    (gone,) = seen(payload)
    assert isinstance(gone, Observation)
    assert (gone.deleted, gone.event, gone.at) == (True, {"id": expected[0], "platform": "twitter"}, expected[1])


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"meta": {"result_count": 0}}, {}),
        ([], {}),
        ({"data": []}, {}),
        ({"errors": [{"title": "Not Found Error"}]}, {"-error": 1}),
        ({"title": "Unauthorized", "detail": "Unauthorized", "status": 401}, {"-error": 1}),
        ({"error": "Not authorized."}, {"-error": 1}),
        ({"data": {"tweet_edit": {"tweet": {"id": "1"}}}}, {"-tweet_edit": 1}),
        ({"data": {"user_suspend": {"user": {"id": "1"}}}}, {"-user_suspend": 1}),
        ({"limit": {"track": 5}}, {"-limit": 1}),
        ({"delete": {"direct_message": {"id": "5"}}}, {"-other delete": 1}),
        ({"data": [{"start": "a", "end": "b", "tweet_count": 1}]}, {"-count": 1}),
        ({"results": [{"timePeriod": "2018", "count": 1}]}, {"-count": 1}),
        ({"data": [{"id": "5", "username": "a", "name": "A"}]}, {"-user without a time": 1}),
        ({"data": [{"id": "5", "username": "a", "created_at": "2018-05-03T10:00:00Z"}]}, {"profile": 1}),
        ({"users": [{"id": 5, "screen_name": "a", "created_at": "Thu May 03 10:00:00 +0000 2018"}]}, {"profile": 1}),
        ({"data": [{"id": "5", "value": "a rule"}]}, {"-other object": 1}),
        ({"data": [{"id": "995", "text": "older than ids with a time"}]}, {"-no time": 1}),
        ([v1(), {}, 5, v1(id_str="x")], {"post": 1, "-other object": 2, "-no id": 1}),
        ({"for_user_id": "5", "tweet_create_events": [v1()], "block_events": [{}]}, {"post": 1, "-other event": 1}),
        (
            {"favorite_events": [{"id": "a", "timestamp_ms": "1525341600000", "favorited_status": v1(), "user": {}}]},
            {"post": 1, "like": 1},
        ),
    ],
)
def test_what_becomes_of_other_payloads(payload: object, expected: dict[str, int]) -> None:
    assert table(seen(payload)) == expected


@pytest.mark.parametrize("payload", [None, True, 5, "<html>", {}, {"a": 1}, [1], [{}], {"data": None}, {"user": {}}])
def test_another_shape_is_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable) as caught:
        seen(payload)
    assert "html" not in str(caught.value)


def test_a_status_inside_of_a_status_to_the_depth_that_json_has() -> None:
    nested: JsonObject = v1()
    for number in range(1_000):
        nested = v1(id_str=str(number), quoted_status=nested)
    assert table(seen(nested)) == {"post": 1_001}
    share: JsonObject = {"verb": "share", "objectType": "activity", "id": "tag:1", "postedTime": "2018-05-03T10:00:00Z"}
    for _ in range(1_000):
        share = {**SHARE, "object": share}
    assert seen(share)


# --- bad payloads ---------------------------------------------------------------------------------------------------
BAD: tuple[object, ...] = (
    None,
    True,
    -1,
    2**70,
    0.5,
    "",
    " ",
    "x",
    "y" * 1_001,
    "2026-0x-05T07:00:00Z",
    "Thu Xxx 03 10:00:00 +0000 2018",
    "&amp;" * 9,
    [],
    [None, 5, {}],
    {},
    {"id": []},
    {"urls": 5},
)


GARBLED = {
    "page": POLL_PAGE,
    "search": SEARCH,
    "messages": DM_LINE,
    "message": OLD_MESSAGE,
    "share": SHARE,
    "edit": NEW_EDIT,
    **ACTIVITY,
}


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Each object or list of the value, and each key or index in it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from places(inner)


@pytest.mark.parametrize("payload", GARBLED.values(), ids=GARBLED)
def test_a_garbled_payload_gives_valid_events_or_is_unreadable(payload: JsonObject) -> None:
    dice = random.Random(17)
    for number in range(len(list(places(payload)))):
        garbled = copy.deepcopy(payload)
        holder, key = list(places(garbled))[number]
        for bad in (*dice.sample(BAD, 5), ...):
            if bad is ...:
                del holder[key]
            else:
                holder[key] = bad
            try:
                found = seen(garbled)
            except Unreadable:
                continue
            for each in found:
                if isinstance(each, Observation):
                    check("twitter", each)
                    orjson.dumps(each.event)


def test_one_bad_item_does_not_lose_the_others() -> None:
    whole = len(seen(POLL_PAGE))
    for name in (
        "text",
        "entities",
        "public_metrics",
        "referenced_tweets",
        "created_at",
        "edit_history_tweet_ids",
        "author_id",
    ):
        for bad in BAD:
            garbled = copy.deepcopy(POLL_PAGE)
            garbled["data"][0][name] = bad
            assert len(seen(garbled)) == whole, name

"""Mastodon's mapper: statuses, pages, frames, notifications, and what bad payloads get."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.mastodon import observe
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from schemas.untyped import JsonObject
from tests.support.cassettes import bodies
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

ORIGIN = Origin("toot.example", frozenset(("northwind@toot.example",)))
MIRA: JsonObject = {
    "id": "71",
    "username": "mira",
    "acct": "mira",
    "display_name": "Mira L.",
    "bot": False,
    "group": False,
    "created_at": "2022-11-01T00:00:00.000Z",
    "note": '<p>Tea &amp; trains</p><p><a href="https://mira.example" rel="me">mira.example</a></p>',
    "fields": [
        {"name": "Pronouns", "value": "she/her", "verified_at": None},
        {"name": "Code", "value": '<a href="https://github.com/mira?a=1&amp;b=2" rel="me"><span>github.com/mi</span></a>'},
        {"name": "", "value": '<a href="https://x.com/mira">x</a> <a href="https://vk.com/mira">vk</a>', "verified_at": None},
        {"name": 7, "value": None},
        "broken",
    ],
    "url": "https://toot.example/@mira",
    "followers_count": 12,
    "following_count": 7,
}
MIRA_IS = {
    "id": "toot.example:71",
    "handle": "mira@toot.example",
    "name": "Mira L.",
    "followers": 12,
    "following": 7,
    "url": "https://toot.example/@mira",
    "bio": "Tea & trains\nmira.example\nCode: https://github.com/mira?a=1&b=2\nLink: https://x.com/mira\nLink: https://vk.com/mira",
}
NEWS: JsonObject = {
    "id": "808",
    "acct": "ticker@other.example",
    "display_name": "",
    "bot": True,
    "group": False,
    "note": "",
    "url": "https://other.example/@ticker",
    "followers_count": 3_000,
    "following_count": -1,
    "created_at": "2023-01-01T00:00:00.000Z",
}
NEWS_IS = {
    "id": "toot.example:808",
    "handle": "ticker@other.example",
    "kind": "bot",
    "followers": 3_000,
    "url": "https://other.example/@ticker",
}
ANSWER: JsonObject = {
    "id": "1002",
    "created_at": "2026-11-20T10:00:00.000Z",
    "edited_at": "2026-11-20T10:05:00.250Z",
    "in_reply_to_id": "1001",
    "spoiler_text": "kettles",
    "visibility": "unlisted",
    "language": "en",
    "uri": "https://toot.example/users/mira/statuses/1002",
    "url": "https://toot.example/@mira/1002",
    "replies_count": 1,
    "reblogs_count": 2,
    "favourites_count": 3,
    "content": (
        '<p><span class="h-card"><a href="https://toot.example/@northwind" class="u-url mention">@<span>northwind</span></a>'
        "</span> "
        'mine leaks<br />since Monday: <a href="https://shop.example/k?a=1&amp;b=2" rel="nofollow noopener" target="_blank">'
        '<span class="invisible">https://</span><span class="">shop.example/k?a=1&amp;b=2</span></a> '
        '<a href="https://toot.example/tags/Tea" class="mention hashtag" rel="tag">#<span>Tea</span></a></p>'
    ),
    "reblog": None,
    "account": MIRA,
    "media_attachments": [{"type": "image", "description": "A wet table"}],
    "mentions": [{"id": "5", "acct": "northwind", "url": "https://toot.example/@northwind"}],
    "tags": [{"name": "Tea", "url": "https://toot.example/tags/Tea"}],
    "card": {"url": "https://shop.example/kettle", "title": "Kettle"},
    "poll": {"options": [{"title": "return it", "votes_count": 1}, {"title": "keep it", "votes_count": None}]},
}
ANSWER_IS: JsonObject = {
    "id": "toot.example:1002",
    "platform": "mastodon",
    "kind": "reply",
    "created_at": "2026-11-20T10:00:00Z",
    "visibility": "public",
    "author": MIRA_IS,
    "in_reply_to": "toot.example:1001",
    "text": "kettles\n@northwind mine leaks\nsince Monday: https://shop.example/k?a=1&b=2 #Tea\nreturn it\nkeep it",
    "language": "en",
    "mentions": ["northwind@toot.example"],
    "hashtags": ["Tea"],
    "urls": ["https://shop.example/k?a=1&b=2", "https://shop.example/kettle"],
    "metrics": {"likes": 3, "shares": 2, "replies": 1},
}
REMOTE: JsonObject = {
    "id": "1000",
    "created_at": "2026-11-19T08:00:00.123Z",
    "in_reply_to_id": None,
    "visibility": "public",
    "uri": "https://other.example/users/ticker/statuses/5550",
    "url": "https://other.example/@ticker/5550",
    "replies_count": 0,
    "reblogs_count": 1,
    "favourites_count": 0,
    "content": "<p>Trains run again</p>",
    "account": NEWS,
    "mentions": [{"id": "71", "acct": "mira", "url": "https://toot.example/@mira"}],
}
REMOTE_IS: JsonObject = {
    "id": "toot.example:1000",
    "platform": "mastodon",
    "kind": "post",
    "created_at": "2026-11-19T08:00:00.123Z",
    "visibility": "public",
    "author": NEWS_IS,
    "text": "Trains run again",
    "mentions": ["mira@toot.example"],
    "metrics": {"likes": 0, "shares": 1, "replies": 0},
}
BOOST: JsonObject = {**REMOTE, "id": "1003", "created_at": "2026-11-20T11:00:00.000Z", "account": MIRA, "reblog": REMOTE}
BOOST_IS: JsonObject = {
    "id": "toot.example:1003",
    "platform": "mastodon",
    "kind": "repost",
    "created_at": "2026-11-20T11:00:00Z",
    "visibility": "public",
    "author": MIRA_IS,
    "in_reply_to": "toot.example:1000",
    "target": "toot.example:1000",
}
OWN: JsonObject = {
    "id": "1004",
    "created_at": "2026-11-20T12:00:00.000Z",
    "in_reply_to_id": "1002",
    "visibility": "direct",
    "content": "<p>We send another.</p>",
    "account": {"id": "5", "acct": "northwind", "display_name": "Northwind", "url": "https://toot.example/@northwind"},
}
OWN_IS: JsonObject = {
    "id": "toot.example:1004",
    "platform": "mastodon",
    "kind": "reply",
    "created_at": "2026-11-20T12:00:00Z",
    "direction": "outbound",
    "visibility": "private",
    "author": {
        "id": "toot.example:5",
        "handle": "northwind@toot.example",
        "name": "Northwind",
        "url": "https://toot.example/@northwind",
    },
    "in_reply_to": "toot.example:1002",
    "text": "We send another.",
}
PAGE: list[JsonObject] = [ANSWER, BOOST]
FRAME: JsonObject = {
    "stream": ["user"],
    "event": "status.update",
    "payload": json.dumps(OWN | {"edited_at": "2026-11-20T13:00:00.000Z"}),
}
NOTICES: list[JsonObject] = [
    {"id": "31", "type": "mention", "created_at": "2026-11-20T10:00:00.000Z", "account": MIRA, "status": ANSWER},
    {"id": "32", "type": "favourite", "created_at": "2026-11-20T14:00:00.000Z", "account": NEWS, "status": OWN},
    {"id": "33", "type": "follow", "created_at": "2026-11-20T15:00:00.500Z", "account": MIRA},
    {"id": "34", "type": "reblog", "created_at": "2026-11-20T16:00:00.000Z", "account": MIRA, "status": OWN},
    {"id": "35", "type": "admin.sign_up", "created_at": "2026-11-20T16:00:00.000Z", "account": MIRA},
    {"id": "36", "type": "a type of tomorrow", "created_at": "2026-11-20T16:00:00.000Z", "account": MIRA},
]
NOTICES_ARE: list[JsonObject | LeftOut] = [
    ANSWER_IS,
    {
        "id": "toot.example:notification:32",
        "platform": "mastodon",
        "kind": "like",
        "created_at": "2026-11-20T14:00:00Z",
        "author": NEWS_IS,
        "target": "toot.example:1004",
    },
    OWN_IS,
    {
        "id": "toot.example:notification:33",
        "platform": "mastodon",
        "kind": "follow",
        "created_at": "2026-11-20T15:00:00.500Z",
        "author": MIRA_IS,
    },
    {
        "id": "toot.example:notification:34",
        "platform": "mastodon",
        "kind": "repost",
        "created_at": "2026-11-20T16:00:00Z",
        "author": MIRA_IS,
        "in_reply_to": "toot.example:1004",
        "target": "toot.example:1004",
    },
    OWN_IS,
    LeftOut("admin.sign_up"),
    LeftOut("other"),
]


def seen(payload: object, origin: Origin = ORIGIN) -> list[JsonObject | LeftOut]:
    found = list(observe(payload, origin))
    for each in found:
        if isinstance(each, Observation):
            check("mastodon", each)
            assert each.original is not None
    return [each.event if isinstance(each, Observation) else each for each in found]


def ids(payload: object, origin: Origin = ORIGIN) -> list[str]:
    return [each["id"] if isinstance(each, dict) else f"-{each.kind}" for each in seen(payload, origin)]


def test_a_page_gives_its_statuses_and_those_inside() -> None:
    assert seen(PAGE) == [ANSWER_IS, BOOST_IS, REMOTE_IS]
    assert [each.at for each in observe(PAGE, ORIGIN) if isinstance(each, Observation)] == ["2026-11-20T10:05:00.250Z", "", ""]
    assert seen([]) == []


def test_a_frame_gives_its_status() -> None:
    assert seen(FRAME) == [OWN_IS]
    [only] = observe(FRAME, ORIGIN)
    assert isinstance(only, Observation)
    assert (only.at, only.deleted, only.partial) == ("2026-11-20T13:00:00Z", False, frozenset())


def test_notifications_give_reactions_and_their_statuses() -> None:
    assert seen(NOTICES) == NOTICES_ARE
    assert seen({"event": "notification", "payload": json.dumps(NOTICES[0])}) == [ANSWER_IS]
    assert seen({"id": "1", "type": "mention", "account": MIRA, "status": None}) == [LeftOut("mention")]


def test_a_delete_names_the_status_and_has_no_time() -> None:
    [only] = observe({"stream": ["public"], "event": "delete", "payload": "1002"}, ORIGIN)
    assert isinstance(only, Observation)
    assert (only.event, only.at, only.deleted) == ({"id": "toot.example:1002", "platform": "mastodon"}, "", True)
    with pytest.raises(Unreadable, match="delete without a server"):
        list(observe({"event": "delete", "payload": "1002"}, Origin()))


def test_a_list_of_accounts_gives_profiles() -> None:
    assert seen([MIRA]) == [
        {
            "id": "toot.example:account:71",
            "platform": "mastodon",
            "kind": "profile",
            "created_at": "2022-11-01T00:00:00Z",
            "author": MIRA_IS,
        }
    ]


def test_a_quote_names_its_target() -> None:
    plain = {"id": "9", "created_at": "2026-11-20T10:00:00Z", "content": "<p>so</p>", "account": MIRA}
    quoting = plain | {"quote": {"state": "accepted", "quoted_status": REMOTE}}
    post, quoted = seen(quoting)
    assert isinstance(post, dict)
    assert (post["kind"], post["target"], quoted) == ("post", "toot.example:1000", REMOTE_IS)
    assert "in_reply_to" not in post
    [shallow] = seen(plain | {"quote": {"state": "pending", "quoted_status_id": "77"}})
    assert isinstance(shallow, dict)
    assert shallow["target"] == "toot.example:77"
    nested: JsonObject = plain
    for _ in range(50):
        nested = plain | {"quote": {"quoted_status": nested}}
    assert len(seen(nested)) == 4


def test_without_an_origin_the_server_is_that_of_a_local_account_or_the_authors_own() -> None:
    nowhere = Origin()
    assert seen(ANSWER, nowhere) == [ANSWER_IS]
    assert ids(BOOST, nowhere) == ["toot.example:1003", "toot.example:1000"]
    assert ids([REMOTE, ANSWER], nowhere) == ["toot.example:1000", "toot.example:1002"]
    assert ids(REMOTE, nowhere) == ["other.example:5550"]
    [alone] = seen(REMOTE | {"in_reply_to_id": "1"}, nowhere)
    assert isinstance(alone, dict)
    assert (alone["kind"], "in_reply_to" in alone, alone["author"]) == (
        "reply",
        False,
        {k: v for k, v in NEWS_IS.items() if k != "id"},
    )


def test_a_poll_without_news_sends_nothing_and_an_edit_its_text() -> None:
    known, now = Known(), "2026-11-21T00:00:00Z"
    creates = list(known.changes((each for each in observe(PAGE, ORIGIN) if isinstance(each, Observation)), now))
    assert [(each["operation"], each["id"]) for each in creates] == [
        ("create", f"toot.example:{key}") for key in (1002, 1003, 1000)
    ]
    edited = ANSWER | {"edited_at": "2026-11-20T18:00:00.000Z", "spoiler_text": ""}
    again = [each for each in observe([edited, BOOST], ORIGIN) if isinstance(each, Observation)]
    [update] = known.changes(again, now)
    assert (update["operation"], update["occurred_at"]) == ("update", "2026-11-20T18:00:00Z")
    assert update["text"].startswith("@northwind") and "metrics" not in update and "author" not in update
    assert list(known.changes(again, now)) == []


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://Other.example/users/ticker/statuses/5550/activity", "other.example:5550"),
        ("https://other.example/ap/users/11/statuses/5550", "other.example:5550"),
        ("tag:other.example,2017-04-14:objectId=5550:objectType=Status", "other.example:5550"),
        ("https://other.example/notes/9x", "other.example:/notes/9x"),
        ("5550", "other.example:5550"),  # then it is the url
    ],
)
def test_ids_at_home(uri: str, name: str) -> None:
    assert ids(REMOTE | {"uri": uri}, Origin()) == [name]


@pytest.mark.parametrize(
    ("value", "shown"),
    [("public", "public"), ("unlisted", "public"), ("private", "private"), ("direct", "private"), ("x", "private")],
)
def test_visibility(value: str, shown: str) -> None:
    [only] = seen(ANSWER | {"visibility": value})
    assert isinstance(only, dict)
    assert only["visibility"] == shown


@pytest.mark.parametrize("own", ["mira", "mira@toot.example", "71", "toot.example:71"])
def test_ones_own_account_by_handle_or_id(own: str) -> None:
    [only] = seen(ANSWER, Origin("toot.example", frozenset((own,))))
    assert isinstance(only, dict)
    assert only["direction"] == "outbound"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        "<html>",
        17,
        {},
        {"error": "The access token is invalid"},
        [None],
        [{"id": "1"}],
        ANSWER | {"created_at": "yesterday"},
        ANSWER | {"created_at": "1970-01-01T00:00:00.000Z"},
        ANSWER | {"id": "9" * 2_000},
        {"event": "update", "payload": "{"},
        {"event": "update", "payload": json.dumps(FRAME)},
        {"event": None, "payload": "{}"},
    ],
)
def test_other_shapes_are_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        list(observe(payload, ORIGIN))


def test_frames_that_are_not_mapped_are_counted() -> None:
    assert seen({"event": "filters_changed", "stream": ["user"]}) == [LeftOut("filters_changed")]
    assert seen({"event": "of tomorrow", "payload": "{}"}) == [LeftOut("other")]
    assert ids({"event": "conversation", "payload": json.dumps({"id": "3", "accounts": [MIRA], "last_status": OWN})}) == [
        "toot.example:1004"
    ]


def test_bad_values_lose_only_themselves() -> None:
    bad: JsonObject = {
        **ANSWER,
        "language": 5,
        "tags": [None, {"name": None}, {"name": "Tea"}],
        "mentions": {"acct": "x"},
        "favourites_count": "3",
        "poll": [],
        "card": {"url": "javascript:x"},
        "edited_at": "soon",
    }
    [only] = seen(bad)
    left = {"language", "mentions"}
    expected: JsonObject = {name: value for name, value in ANSWER_IS.items() if name not in left}
    expected |= {
        "text": ANSWER_IS["text"].partition("\nreturn")[0],
        "urls": ANSWER_IS["urls"][:1],
        "metrics": {"shares": 2, "replies": 1},
    }
    assert only == expected
    assert seen(OWN | {"tags": 0, "mentions": "", "card": 0, "poll": 0}) == [OWN_IS]
    assert ids([{"id": "1"}, OWN, REMOTE | {"id": None, "uri": None, "url": None}]) == [
        "-unreadable",
        "toot.example:1004",
        "-unreadable",
    ]
    assert ids(BOOST | {"reblog": REMOTE | {"created_at": None}}) == ["toot.example:1003", "-unreadable"]


@pytest.mark.parametrize(
    "payload", [PAGE, NOTICES, FRAME | {"payload": OWN}, [MIRA], REMOTE | {"quote": {"quoted_status": REMOTE}}]
)
def test_garbled_payloads_are_unreadable_or_lose_values(payload: Any) -> None:
    read = 0
    for number, each in enumerate(garbled(payload, 1_500)):
        try:
            seen(each, (ORIGIN, Origin())[number % 2])
        except Unreadable:
            continue
        read += 1
    assert read > 500


def payloads(name: str) -> Iterator[object]:
    path = RECORDED / name
    for body in bodies(path) if path.suffix == ".yml" else [path.read_bytes()]:
        try:
            yield orjson.loads(body)
        except orjson.JSONDecodeError:  # a status a line
            yield from (parsed(line) for line in body.split(b"\n") if line)


def parsed(line: bytes) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return line


EXPECTED: dict[str, dict[str, int]] = {
    "platforms/mastodon/get_account_statuses_limit.yml": {"post": 33, "reply": 10, "repost": 4},
    "platforms/mastodon/get_reblogged_by_default.yml": {"profile": 40},
    "platforms/mastodon/get_timeline_public_default.yml": {"post": 17, "reply": 3},
    "platforms/mastodon/get_timeline_public_instance.yml": {"post": 18, "reply": 2},
    "platforms/mastodon/malformed.json": {"post": 41, "reply": 8, "!": 1},
    "platforms/mastodon/mastodonsocial.json": {"post": 43, "reply": 5},
    "platforms/mastodon/public_timeline.json": {"post": 20},
    "stream/mastodon_stream.jsonl": {"post": 43, "reply": 5},
    "stream/mastodon_stream_with_broken_line.jsonl": {"post": 41, "reply": 8, "!": 1},
}
"""Observations by kind; `!`: payloads that can't be read."""


@needs_recorded
@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_files(name: str) -> None:
    found: Counter[str] = Counter()
    for payload in payloads(name):
        try:
            observed = list(observe(payload, Origin()))
        except Unreadable:
            found["!"] += 1
            continue
        found += table(observed)
        for each in observed:
            if isinstance(each, Observation):
                check("mastodon", each)
    assert found == EXPECTED[name]


@needs_recorded
def test_every_recorded_file_is_expected() -> None:
    there = {f"platforms/mastodon/{path.name}" for path in (RECORDED / "platforms/mastodon").iterdir()}
    there |= {f"stream/{path.name}" for path in (RECORDED / "stream").glob("mastodon*")}
    assert there == EXPECTED.keys()

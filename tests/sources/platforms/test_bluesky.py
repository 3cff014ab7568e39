"""Bluesky's mapper: Jetstream in both versions, feeds and notifications, and what bad payloads get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import orjson
import pytest

from pipeline.sources.platforms.bluesky import observe
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import find_mapping
from schemas.untyped import JsonObject
from tests.support.cassettes import bodies
from tests.support.garbled import garbled
from tests.support.platform_events import RECORDED, check, needs_recorded, table

MIRA, NORTH, TOM = "did:plc:mira", "did:plc:northwind", "did:web:tom.example"
ORIGIN = Origin("jetstream.example", frozenset((NORTH,)))
ROOT = f"at://{NORTH}/app.bsky.feed.post/3aaa"
ABOVE = f"at://{TOM}/app.bsky.feed.post/3bbb"
QUOTED = f"at://{TOM}/app.bsky.feed.post/3ccc"
TIME_US = 1_795_176_000_123_456
SEEN, SEEN_IN_US = "2026-11-20T12:00:00.123Z", "2026-11-20T12:00:00.123456Z"
TEXT = "Grüße @northwind.example, my kettle leaks. #Tea shop.example/k"
START = len("Grüße ".encode())


def facet(start: int, length: int, kind: str, **feature: str) -> JsonObject:
    index = {"byteStart": start, "byteEnd": start + length}
    return {"index": index, "features": [{"$type": f"app.bsky.richtext.facet#{kind}", **feature}]}


POST: JsonObject = {
    "$type": "app.bsky.feed.post",
    "createdAt": "2026-11-20T11:59:59.000Z",
    "text": TEXT,
    "langs": ["en", "de"],
    "tags": ["kitchen", "Tea"],
    "facets": [
        facet(START, len("@northwind.example"), "mention", did=NORTH),
        facet(0, 3, "mention", did=TOM),
        facet(44, 4, "tag", tag="Tea"),
        facet(49, 14, "link", uri="https://shop.example/k"),
    ],
    "reply": {"root": {"uri": ROOT, "cid": "c1"}, "parent": {"uri": ABOVE, "cid": "c2"}},
    "embed": {
        "$type": "app.bsky.embed.recordWithMedia",
        "media": {"$type": "app.bsky.embed.external", "external": {"uri": "https://news.example/7", "title": "News"}},
        "record": {"$type": "app.bsky.embed.record", "record": {"uri": QUOTED, "cid": "c3"}},
    },
    "labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "graphic-media"}]},
}
SAID: JsonObject = {
    "visibility": "public",
    "text": TEXT,
    "language": "en",
    "in_reply_to": ABOVE,
    "conversation_id": ROOT,
    "mentions": ["northwind.example", TOM],
    "hashtags": ["Tea", "kitchen"],
    "urls": ["https://shop.example/k", "https://news.example/7"],
    "target": QUOTED,
}
URI = f"at://{MIRA}/app.bsky.feed.post/3ddd"
POST_IS: JsonObject = {
    "id": URI,
    "platform": "bluesky",
    "kind": "reply",
    "created_at": "2026-11-20T11:59:59Z",
    "author": {"id": MIRA},
    **SAID,
}


def commit(
    collection: str, operation: str = "create", record: JsonObject | None = None, key: str = "3ddd", did: str = MIRA
) -> JsonObject:
    """A frame of version 1."""
    part: JsonObject = {"rev": "3r", "operation": operation, "collection": collection, "rkey": key}
    if record is not None:
        part |= {"record": record, "cid": "bafy"}
    return {"did": did, "time_us": TIME_US, "kind": "commit", "commit": part}


def second(frame: JsonObject) -> JsonObject:
    """The same frame in version 2."""
    kind = frame["kind"]
    part = frame[kind] if kind == "commit" else {kind: frame[kind]}
    name = f"network.bsky.jetstream.subscribeEvents#{kind}"
    return {"$type": "message", "payload": {"$type": name, "seq": 5, "did": frame["did"], "time": SEEN_IN_US, **part}}


FRAME = commit("app.bsky.feed.post", record=POST)
AUTHOR: JsonObject = {
    "did": MIRA,
    "handle": "mira.example",
    "displayName": "Mira L.",
    "avatar": "https://cdn.example/a",
    "labels": [],
    "createdAt": "2024-01-01T00:00:00.000Z",
}
TOM_VIEW: JsonObject = {
    "did": TOM,
    "handle": "tom.example",
    "displayName": "",
    "description": "Kettles",
    "verification": {"verifications": [], "verifiedStatus": "valid", "trustedVerifierStatus": "none"},
}
TOM_IS = {"id": TOM, "handle": "tom.example", "verified": True, "bio": "Kettles"}
QUOTE_VIEW: JsonObject = {
    "$type": "app.bsky.embed.record#viewRecord",
    "uri": QUOTED,
    "author": TOM_VIEW,
    "value": {"$type": "app.bsky.feed.post", "createdAt": "2026-11-01T00:00:00.000Z", "text": "Old kettle"},
    "likeCount": 9,
    "indexedAt": "2026-11-01T00:00:01.000Z",
}
QUOTE_IS: JsonObject = {
    "id": QUOTED,
    "platform": "bluesky",
    "kind": "post",
    "created_at": "2026-11-01T00:00:00Z",
    "author": TOM_IS,
    "visibility": "public",
    "text": "Old kettle",
    "metrics": {"likes": 9},
}
POST_VIEW: JsonObject = {
    "uri": URI,
    "cid": "c9",
    "author": AUTHOR,
    "record": POST,
    "embed": {"$type": "app.bsky.embed.recordWithMedia#view", "record": {"record": QUOTE_VIEW}, "media": {}},
    "replyCount": 1,
    "repostCount": 2,
    "likeCount": 3,
    "quoteCount": 4,
    "indexedAt": SEEN,
    "viewer": {"repost": f"at://{NORTH}/app.bsky.feed.repost/3own"},
}
ROOT_VIEW: JsonObject = {
    "$type": "app.bsky.feed.defs#postView",
    "uri": ROOT,
    "author": {"did": NORTH, "handle": "northwind.example"},
    "record": {"text": "New kettle", "createdAt": "2026-11-19T00:00:00Z"},
    "indexedAt": "2026-11-19T00:00:00Z",
}
FEED: JsonObject = {
    "feed": [
        {
            "post": POST_VIEW,
            "reply": {
                "root": ROOT_VIEW,
                "parent": {"$type": "app.bsky.feed.defs#notFoundPost", "uri": ABOVE, "notFound": True},
            },
            "reason": {"$type": "app.bsky.feed.defs#reasonRepost", "by": TOM_VIEW, "indexedAt": "2026-11-20T13:00:00.000Z"},
        }
    ],
    "cursor": "2026-11-20T12:00:00.123Z",
}
FEED_IS: list[JsonObject | LeftOut] = [
    {
        **POST_IS,
        "author": {"id": MIRA, "handle": "mira.example", "name": "Mira L."},
        "metrics": {"likes": 3, "shares": 2, "replies": 1},
    },
    QUOTE_IS,
    {
        "id": ROOT,
        "platform": "bluesky",
        "kind": "post",
        "created_at": "2026-11-19T00:00:00Z",
        "direction": "outbound",
        "author": {"id": NORTH, "handle": "northwind.example"},
        "visibility": "public",
        "text": "New kettle",
    },
    LeftOut("notFoundPost"),
    {
        "id": f"{TOM}/repost/{URI}",
        "platform": "bluesky",
        "kind": "repost",
        "created_at": "2026-11-20T13:00:00Z",
        "author": TOM_IS,
        "in_reply_to": URI,
        "target": URI,
    },
]


def notice(collection: str, record: JsonObject) -> JsonObject:
    uri = f"at://{TOM}/{collection}/3eee"
    return {"uri": uri, "cid": "c", "author": TOM_VIEW, "reason": "any", "record": record, "isRead": False, "indexedAt": SEEN}


NOTICES: JsonObject = {
    "notifications": [
        notice("app.bsky.feed.like", {"subject": {"uri": ROOT, "cid": "c"}, "createdAt": "2026-11-20T12:00:00+01:00"}),
        notice("app.bsky.graph.follow", {"subject": NORTH, "createdAt": "1970-01-01T00:00:00.000Z"}),
        notice("app.bsky.graph.starterpack", {"name": "x"}),
        notice("app.bsky.feed.repost", {"subject": "no object"}),
    ],
    "seenAt": SEEN,
}
NOTICES_ARE: list[JsonObject | LeftOut] = [
    {
        "id": f"at://{TOM}/app.bsky.feed.like/3eee",
        "platform": "bluesky",
        "kind": "like",
        "created_at": "2026-11-20T11:00:00Z",
        "author": TOM_IS,
        "target": ROOT,
    },
    {
        "id": f"at://{TOM}/app.bsky.graph.follow/3eee",
        "platform": "bluesky",
        "kind": "follow",
        "created_at": SEEN,
        "author": TOM_IS,
        "target": NORTH,
    },
    LeftOut("app.bsky.graph.starterpack"),
    LeftOut("unreadable"),
]


def seen(payload: object, origin: Origin = ORIGIN) -> list[JsonObject | LeftOut]:
    found = list(observe(payload, origin))
    for each in found:
        if isinstance(each, Observation):
            check("bluesky", each)
            assert each.original is not None
    return [each.event if isinstance(each, Observation) else each for each in found]


def one(payload: object) -> Observation:
    [only] = observe(payload, ORIGIN)
    assert isinstance(only, Observation)
    return only


@pytest.mark.parametrize("frame", [FRAME, second(FRAME)])
def test_a_commit_of_a_post(frame: JsonObject) -> None:
    assert seen(frame) == [POST_IS]
    assert (one(frame).at, one(frame).partial) == ("", frozenset(("author",)))


def test_a_feed_gives_posts_those_above_quotes_and_reposts() -> None:
    assert seen(FEED) == FEED_IS
    assert seen({"posts": [POST_VIEW]}) == FEED_IS[:2]
    assert all(each.partial == {"author"} for each in observe(FEED, ORIGIN) if isinstance(each, Observation))


def test_notifications_give_their_records() -> None:
    assert seen(NOTICES) == NOTICES_ARE


@pytest.mark.parametrize("form", [lambda frame: frame, second])
@pytest.mark.parametrize(("kind", "collection"), [("like", "feed.like"), ("repost", "feed.repost"), ("follow", "graph.follow")])
def test_reactions(form: object, kind: str, collection: str) -> None:
    subject = NORTH if kind == "follow" else {"uri": ROOT, "cid": "c"}
    frame = commit(f"app.bsky.{collection}", record={"subject": subject, "createdAt": SEEN, "via": {"uri": URI}})
    target = NORTH if kind == "follow" else ROOT
    assert callable(form)
    assert seen(form(frame)) == [
        {
            "id": f"at://{MIRA}/app.bsky.{collection}/3ddd",
            "platform": "bluesky",
            "kind": kind,
            "created_at": SEEN,
            "author": {"id": MIRA},
            "target": target,
            **({"in_reply_to": target} if kind == "repost" else {}),
        }
    ]


@pytest.mark.parametrize("form", [lambda frame: frame, second])
def test_updates_and_deletes_have_the_frames_time(form: object) -> None:
    assert callable(form)
    edited = one(form(commit("app.bsky.feed.post", "update", POST)))
    assert (edited.event, edited.at, edited.deleted) == (POST_IS, SEEN, False)
    for collection in ("feed.post", "feed.like", "feed.repost", "graph.follow", "actor.profile"):
        gone = one(form(commit(f"app.bsky.{collection}", "delete")))
        assert gone.event == {"id": f"at://{MIRA}/app.bsky.{collection}/3ddd", "platform": "bluesky"}
        assert (gone.at, gone.deleted) == (SEEN, True)


@pytest.mark.parametrize("form", [lambda frame: frame, second])
def test_handles_and_profiles(form: object) -> None:
    assert callable(form)
    identity = {"did": MIRA, "handle": "mira.example", "seq": 7, "time": SEEN}
    frame: JsonObject = {"did": MIRA, "time_us": TIME_US, "kind": "identity", "identity": identity}
    named = {"id": MIRA, "platform": "bluesky", "kind": "profile", "created_at": SEEN}
    assert seen(form(frame)) == [{**named, "author": {"id": MIRA, "handle": "mira.example"}}]
    assert one(form(frame)).partial == frozenset()
    for handle in (None, "handle.invalid"):
        assert seen(form({**frame, "identity": {**identity, "handle": handle}})) == [LeftOut("identity")]
    profile = commit("app.bsky.actor.profile", record={"displayName": "Mira L.", "description": "Tea"}, key="self")
    uri = f"at://{MIRA}/app.bsky.actor.profile/self"
    assert seen(form(profile)) == [{**named, "id": uri, "author": {"id": MIRA, "name": "Mira L.", "bio": "Tea"}}]
    assert one(form(profile)).partial == frozenset()


@pytest.mark.parametrize("form", [lambda frame: frame, second])
def test_states_of_accounts_and_other_collections_are_left_out(form: object) -> None:
    assert callable(form)
    frame: JsonObject = {"did": MIRA, "time_us": TIME_US, "kind": "account"}
    for account, kind in (
        ({"active": True}, "account"),
        ({"active": False, "status": "takendown"}, "account takendown"),
        ({"active": False, "status": "of tomorrow"}, "account"),
    ):
        assert seen(form({**frame, "account": account})) == [LeftOut(kind)]
    assert seen(form(commit("app.bsky.graph.block", record={}))) == [LeftOut("app.bsky.graph.block")]
    assert seen(form(commit("com.example.song", record={}))) == [LeftOut("other")]
    assert seen(form({**frame, "kind": "of tomorrow", "of tomorrow": {}})) == [LeftOut("other")]


def test_second_version_alone() -> None:
    assert seen({"$type": "error", "error": "ConsumerTooSlow", "message": "slow"}) == [LeftOut("error")]
    name = "network.bsky.jetstream.subscribeEvents"
    assert seen({"$type": "message", "payload": {"$type": f"{name}#info", "name": "OutdatedCursor"}}) == [LeftOut("info")]
    sync: JsonObject = {"$type": f"{name}#sync", "seq": 1, "did": MIRA, "time": SEEN_IN_US, "sync": {}}
    assert seen({"$type": "message", "payload": sync}) == [LeftOut("sync")]


@pytest.mark.parametrize(
    ("written", "created"),
    [
        ("2026-11-20T11:00:00Z", "2026-11-20T11:00:00Z"),
        ("2026-11-20T11:00:00.123456789Z", "2026-11-20T11:00:00.123Z"),
        ("2026-11-20T11:00:00+01:00", "2026-11-20T10:00:00Z"),
        ("2026-11-21T12:00:00.000Z", "2026-11-21T12:00:00Z"),
        ("2026-11-21T12:00:01.000Z", SEEN),
        ("1970-01-01T00:00:00.000Z", SEEN),
        ("1994-12-31T23:59:59.000Z", SEEN),
        ("9999-12-31T23:59:59.999Z", SEEN),
        ("0001-01-01T00:00:00+14:00", SEEN),
        ("2026-11-20T11:00:00", SEEN),
        ("2026-13-45T99:00:00Z", SEEN),
        ("Fri Nov 20 2026", SEEN),
        (1_795_176_000, SEEN),
        (None, SEEN),
    ],
)
def test_created_at_is_the_authors_if_it_can_be(written: object, created: str) -> None:
    assert one(commit("app.bsky.feed.post", record={"text": "x", "createdAt": written})).event["created_at"] == created


def test_frames_that_come_again_send_nothing_and_authors_replace_no_fuller_one() -> None:
    known, now = Known(), "2026-11-21T00:00:00Z"
    views = [each for each in observe({"posts": [POST_VIEW]}, ORIGIN) if isinstance(each, Observation)]
    assert [each["operation"] for each in known.changes(views, now)] == ["create", "create"]
    assert list(known.changes([*views, one(FRAME), one(second(FRAME))], now)) == []
    edited = one(commit("app.bsky.feed.post", "update", POST | {"text": "mended"}))
    [update] = known.changes([edited], now)
    assert (update["operation"], update["occurred_at"], update["text"]) == ("update", SEEN, "mended")
    assert "author" not in update and "metrics" not in update
    [delete] = known.changes([one(commit("app.bsky.feed.post", "delete"))], now)
    assert delete == {"id": URI, "platform": "bluesky", "operation": "delete", "occurred_at": SEEN}


@pytest.mark.parametrize("own", [MIRA, "mira.example"])
def test_ones_own_account_by_did_or_handle(own: str) -> None:
    post, _ = seen({"posts": [POST_VIEW]}, Origin("", frozenset((own,))))
    assert isinstance(post, dict)
    assert post["direction"] == "outbound"


def test_reposts_in_a_feed_have_the_records_uri_where_the_server_gives_it() -> None:
    [item] = FEED["feed"]
    uri = f"at://{TOM}/app.bsky.feed.repost/3fff"
    for reason, viewer in (({"uri": uri}, {}), ({}, {"repost": uri})):
        given = {**item, "post": {**POST_VIEW, "viewer": viewer}, "reason": {**item["reason"], **reason}}
        last = seen({"feed": [given]})[-1]
        assert isinstance(last, dict)
        assert last["id"] == uri


def test_quotes_name_posts_alone() -> None:
    embed: JsonObject = {"$type": "app.bsky.embed.record", "record": {"uri": QUOTED}}
    assert one(commit("app.bsky.feed.post", record={"text": "x", "embed": embed})).event["target"] == QUOTED
    embed["record"] = {"uri": f"at://{TOM}/app.bsky.graph.list/3"}
    assert "target" not in one(commit("app.bsky.feed.post", record={"text": "x", "embed": embed})).event


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [],
        "<html>",
        {},
        {"error": "InvalidToken", "message": "Bad token"},
        {**FRAME, "did": None},
        {**FRAME, "time_us": None},
        {**FRAME, "time_us": 17},
        {**FRAME, "time_us": True},
        {**FRAME, "time_us": 1 << 62},
        {**FRAME, "time_us": 10**400},
        {**FRAME, "commit": None},
        commit("app.bsky.feed.post"),
        commit("app.bsky.feed.post", "of tomorrow", POST),
        commit("app.bsky.feed.post", record=POST, key=""),
        commit("app.bsky.feed.post", record=POST, key="é" * 500),
        commit("app.bsky.feed.post", "delete", key="é" * 500),
        commit("app.bsky.feed.post", record=POST, did="did:" + "é" * 250),
        commit("app.bsky.feed.like", record={"subject": None}),
        {"$type": "message", "payload": {**second(FRAME)["payload"], "time": "now"}},
        {"posts": [{"uri": URI}]},
        {"posts": [{**POST_VIEW, "indexedAt": "9999-12-31T23:59:59.999999Z"}]},
        {"feed": [None]},
    ],
)
def test_other_shapes_are_unreadable(payload: object) -> None:
    with pytest.raises(Unreadable):
        list(observe(payload, ORIGIN))


def test_bad_values_lose_only_themselves() -> None:
    bad = POST | {
        "langs": [5],
        "tags": 3,
        "facets": [None, {"features": [{"$type": 7}]}, *POST["facets"]],
        "embed": [],
        "reply": {"parent": 1},
    }
    [only] = seen(commit("app.bsky.feed.post", record=bad))
    left = {
        name: value for name, value in POST_IS.items() if name not in ("language", "in_reply_to", "conversation_id", "target")
    }
    assert only == left | {"kind": "post", "hashtags": ["Tea"], "urls": ["https://shop.example/k"]}


@pytest.mark.parametrize("payload", [FRAME, second(FRAME), FEED, NOTICES])
def test_garbled_payloads_are_unreadable_or_lose_values(payload: JsonObject) -> None:
    read = 0
    for each in garbled(payload, 1_500):
        try:
            seen(each)
        except Unreadable:
            continue
        read += 1
    assert read > 500


def payloads(name: str) -> Iterator[object]:
    path = RECORDED / name
    for body in bodies(path) if path.suffix == ".yml" else path.read_bytes().split(b"\n"):
        if body:
            yield orjson.loads(body)


JETSTREAM = {
    **{"post": 9, "reply": 8, "like": 105, "repost": 15, "follow": 6, "delete": 4, "-account": 1, "-identity": 1, "-other": 1},
    **{"-app.bsky.actor.status": 1, "-app.bsky.graph.block": 1},
}
EXPECTED: dict[str, dict[str, int]] = {
    "platforms/bluesky/bskyr_f_timeline.yml": {"post": 50, "reply": 5, "repost": 3},
    "platforms/bluesky/bskyr_n_notifications.yml": {"post": 4, "reply": 14, "like": 13, "repost": 2, "follow": 17},
    "platforms/bluesky/expected_v1.jsonl": JETSTREAM,
    "stream/bluesky_jetstream.jsonl": JETSTREAM,
}
MAPPED = {"nyc_bluesky_posts.json": (182, 91), "nyc_bluesky_posts.jsonl": (26, 26), "tmd_bluesky_posts.csv": (8_140, 8_140)}
"""Of files of another shape, which have a mapping: rows, and distinct ids."""
NO_EVENTS = {"jetstream_manifest.json"}
"""What a capture says of itself."""


@needs_recorded
@pytest.mark.parametrize("name", EXPECTED)
def test_recorded_files(name: str) -> None:
    found: Counter[str] = Counter()
    for payload in payloads(name):
        observed = list(observe(payload, Origin()))
        found += table(observed)
        for each in observed:
            if isinstance(each, Observation):
                check("bluesky", each)
    assert found == EXPECTED[name]


@needs_recorded
@pytest.mark.parametrize("name", MAPPED)
def test_recorded_tables(name: str) -> None:
    path = RECORDED / "platforms/bluesky" / name
    mapping = find_mapping(path)
    assert mapping is not None
    items = list(read_events(path, mapping))
    events = [item.event for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]
    assert (len(items), len(events), len({event["id"] for event in events})) == (MAPPED[name][0], *MAPPED[name])
    for event in events:
        check("bluesky", Observation(event))
        author = event["author"]
        assert isinstance(author, dict)
        assert author["id"] and author["handle"] and event["kind"] == "post"


@needs_recorded
def test_every_recorded_file_is_expected() -> None:
    folder = "platforms/bluesky"
    there = {f"{folder}/{path.name}" for path in (RECORDED / folder).iterdir() if path.name not in NO_EVENTS | MAPPED.keys()}
    there |= {f"stream/{path.name}" for path in (RECORDED / "stream").glob("bluesky*")}
    assert there == EXPECTED.keys()

"""Payloads as YouTube's Data API sends them, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

OURS = Origin("", frozenset({"ucacme", "acme_care"}))


def comment(ident: str, text: str = "It leaks.", **rest: object) -> JsonObject:
    snippet = {
        "channelId": "UCacme", "videoId": "v1", "textDisplay": text, "textOriginal": text, "authorDisplayName": "@vera.steam",
        "authorProfileImageUrl": "https://img.example/v", "authorChannelUrl": "http://www.youtube.com/@vera.steam",
        "authorChannelId": {"value": "UCvera"}, "canRate": True, "viewerRating": "none", "likeCount": 2,
        "publishedAt": "2026-03-01T10:00:00Z", "updatedAt": "2026-03-01T10:00:00Z",
    }  # fmt: skip
    return {"kind": "youtube#comment", "etag": "e", "id": ident, "snippet": snippet | rest}


def listed(*items: JsonObject) -> JsonObject:
    return {"kind": "youtube#commentListResponse", "items": list(items)}


def thread(ident: str, first: object, replies: int = 0, answers: object = None, **rest: object) -> JsonObject:
    snippet = {"channelId": "UCacme", "videoId": "v1", "topLevelComment": first, "canReply": True, "totalReplyCount": replies}
    found: JsonObject = {
        "kind": "youtube#commentThread",
        "etag": "e",
        "id": ident,
        "snippet": snippet | {"isPublic": True} | rest,
    }
    return found if answers is None else found | {"replies": {"comments": answers}}


VERA = {"id": "UCvera", "handle": "vera.steam", "url": "http://www.youtube.com/@vera.steam"}
PUBLIC = {"platform": "youtube", "direction": "inbound", "visibility": "public", "created_at": "2026-03-01T10:00:00Z"}

THREADS: JsonObject = {
    "kind": "youtube#commentThreadListResponse", "etag": "e", "nextPageToken": "n",
    "pageInfo": {"totalResults": 3, "resultsPerPage": 100},
    "items": [
        thread(
            "Ug1",
            comment("Ug1", "The #kettle of @acme leaks, see https://acme.example/k.\nTwice #2!", likeCount=6),
            7,
            [
                comment("Ug1.1", parentId="Ug1", authorChannelId={"value": "UCacme"}, authorDisplayName="@acme",
                        authorChannelUrl=None, likeCount=0, textOriginal="Sorry!", updatedAt="2026-03-02T09:30:00.000Z"),
                comment("Ug1.2", parentId="Ug1", authorDisplayName="Otto Tea", authorChannelUrl="", authorChannelId={}),
                "x",
            ],
        ),
        thread("Ug2", comment("Ug2", videoId=None), videoId=None, isPublic=False),
        thread("Ug3", comment("Ug3", moderationStatus="heldForReview")),
        thread("Ug4", None),
        thread("Ug5", comment("Ug5", publishedAt="yesterday")),
        None,
    ],
}  # fmt: skip
OF_THREADS: Seen = [
    Observation(
        PUBLIC | {
            "id": "Ug1", "kind": "comment", "author": VERA, "mentions": ["acme"], "hashtags": ["kettle"],
            "text": "The #kettle of @acme leaks, see https://acme.example/k.\nTwice #2!", "urls": ["https://acme.example/k"],
            "in_reply_to": "v1", "conversation_id": "Ug1", "metrics": {"likes": 6, "replies": 7},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "Ug1.1", "kind": "reply", "direction": "outbound", "author": {"id": "UCacme", "handle": "acme"},
            "text": "Sorry!", "in_reply_to": "Ug1", "conversation_id": "Ug1", "metrics": {"likes": 0},
        },
        "2026-03-02T09:30:00Z",
    ),
    Observation(
        PUBLIC | {
            "id": "Ug1.2", "kind": "reply", "author": {"name": "Otto Tea"}, "text": "It leaks.", "in_reply_to": "Ug1",
            "conversation_id": "Ug1", "metrics": {"likes": 2},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "Ug2", "kind": "comment", "visibility": "private", "author": VERA, "text": "It leaks.",
            "in_reply_to": "UCacme", "conversation_id": "Ug2", "metrics": {"likes": 2, "replies": 0},
        }
    ),
    LeftOut("comment that waits for a moderator"),
    LeftOut("thread without a comment"),
    LeftOut("comment without a time"),
]  # fmt: skip

ANSWERS: JsonObject = {
    "kind": "youtube#commentListResponse",
    "items": [
        comment("Ug1.3", "", parentId="Ug1", textOriginal=None, textDisplay="I&#39;d <b>buy</b> it<br>again", videoId=None),
        comment("Ug1.4", parentId="Ug1", moderationStatus="rejected"),
        comment("", parentId="Ug1"),
    ],
}  # fmt: skip
OF_ANSWERS: Seen = [
    Observation(
        PUBLIC | {
            "id": "Ug1.3", "kind": "reply", "author": VERA, "text": "I'd buy it\nagain", "in_reply_to": "Ug1",
            "conversation_id": "Ug1", "metrics": {"likes": 2},
        }
    ),
    Observation({"platform": "youtube", "id": "Ug1.4", "created_at": "2026-03-01T10:00:00Z"}, deleted=True),
    LeftOut("comment without an id"),
]  # fmt: skip

SINGLE: JsonObject = comment("Ug9", "Great kettle", likeCount="many", authorDisplayName="@Acme_Care", authorChannelId=None)
OF_SINGLE: Seen = [
    Observation(
        PUBLIC | {
            "id": "Ug9", "kind": "comment", "direction": "outbound", "text": "Great kettle", "in_reply_to": "v1",
            "author": {"handle": "Acme_Care", "url": "http://www.youtube.com/@vera.steam"}, "conversation_id": "Ug9",
        },
        partial=frozenset({"metrics"}),
    )
]  # fmt: skip


MAPPED = Mapped(
    "youtube",
    {
        "threads": (THREADS, OF_THREADS),
        "answers": (ANSWERS, OF_ANSWERS),
        "single": (SINGLE, OF_SINGLE),
        "no comments": (
            {"kind": "youtube#searchListResponse", "items": [{"kind": "youtube#searchResult", "id": {"videoId": "v1"}}]},
            [LeftOut("searchResult")],
        ),
        "none": ({"kind": "youtube#commentThreadListResponse", "items": []}, []),
    },
    [
        None,
        "<html>502</html>",
        17,
        {},
        [1],
        {"error": {"code": 403}},
        {"kind": "youtube#commentListResponse"},
        {"kind": "customsearch#search", "items": [{"kind": "customsearch#result"}]},
        {"kind": 1, "items": []},
    ],
    origin=OURS,
    folder="youtube",
    recorded={
        "comment_threads_by_video_paged_1.json": {"comment": 5},
        "comment_threads_by_video_paged_2.json": {"comment": 5},
    },
)

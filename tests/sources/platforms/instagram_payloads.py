"""Payloads as the Graph API sends them for Instagram, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

OURS = Origin("", frozenset({"200", "acme_kettles"}))
PUBLIC = {"platform": "instagram", "visibility": "public", "direction": "inbound"}

MEDIA: JsonObject = {
    "data": [
        {
            "id": "3001", "timestamp": "2026-03-01T10:00:00+0000", "username": "acme_kettles", "owner": {"id": "200"},
            "caption": "New with @ines.melt. and @otto! #Tee_kanne https://acme.example/x", "media_type": "CAROUSEL_ALBUM",
            "permalink": "https://www.instagram.com/p/CODE/", "like_count": 8, "comments_count": 3,
            "children": {"data": [{"id": "3002"}]},
            "comments": {
                "data": [
                    {
                        "id": "4001", "timestamp": "2026-03-01T11:00:00+0000", "text": "Mine leaks", "username": "ines.melt",
                        "from": {"id": "7001", "username": "ines.melt"}, "like_count": 1, "hidden": False,
                        "replies": {"data": [
                            {"id": "4002", "timestamp": "2026-03-01T12:00:00+0000", "text": "@ines.melt sorry!",
                             "username": "acme_kettles", "like_count": 0},
                        ]},
                    },
                    {"id": "4003", "timestamp": "2026-03-01T13:00:00+0000", "text": "Win!", "hidden": True},
                    {"id": "4004", "text": "late", "timestamp": "soon"},
                ],
                "paging": {"cursors": {"after": "a"}, "next": "https://graph.facebook.com/n"},
            },
        },
        {"id": "3003", "timestamp": "2026-03-01T10:00:00+0000", "media_type": "VIDEO", "like_count": 2},
    ]
}  # fmt: skip

OF_MEDIA: Seen = [
    Observation(
        PUBLIC | {
            "id": "3001", "kind": "post", "direction": "outbound", "created_at": "2026-03-01T10:00:00Z",
            "author": {"id": "200", "handle": "acme_kettles"}, "mentions": ["ines.melt", "otto"], "hashtags": ["Tee_kanne"],
            "text": "New with @ines.melt. and @otto! #Tee_kanne https://acme.example/x", "urls": ["https://acme.example/x"],
            "conversation_id": "3001", "metrics": {"likes": 8, "replies": 3},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "4001", "kind": "comment", "created_at": "2026-03-01T11:00:00Z", "text": "Mine leaks",
            "author": {"id": "7001", "handle": "ines.melt"}, "in_reply_to": "3001", "conversation_id": "3001",
            "metrics": {"likes": 1, "replies": 1},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "4002", "kind": "reply", "direction": "outbound", "created_at": "2026-03-01T12:00:00Z",
            "text": "@ines.melt sorry!", "mentions": ["ines.melt"], "author": {"handle": "acme_kettles"},
            "in_reply_to": "4001", "conversation_id": "3001", "metrics": {"likes": 0},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "4003", "kind": "comment", "visibility": "private", "created_at": "2026-03-01T13:00:00Z", "text": "Win!",
            "in_reply_to": "3001", "conversation_id": "3001",
        }
    ),
    LeftOut("comment without a time"),
    Observation(
        PUBLIC | {
            "id": "3003", "kind": "post", "created_at": "2026-03-01T10:00:00Z", "conversation_id": "3003",
            "metrics": {"likes": 2},
        },
        partial=frozenset({"metrics"}),
    ),
]  # fmt: skip

HASHTAG: JsonObject = {
    "data": [
        {
            "id": "3011", "caption": "#kettle", "media_type": "IMAGE", "permalink": "https://www.instagram.com/p/B0000000000/",
            "like_count": 5, "comments_count": 0,
        },
        {"id": "3012", "media_type": "IMAGE", "permalink": "https://www.instagram.com/stories/acme/1"},
        {"id": "x", "media_type": "IMAGE", "timestamp": "2026-03-01T10:00:00+0000"},
        {"id": "4005", "text": "Hot", "timestamp": "2026-03-01T10:00:00+0000", "media": {"id": "3001"}, "parent_id": "4001"},
        {"id": "4006", "text": "Beautiful!", "timestamp": "2026-03-01T10:00:00+0000"},
    ]
}  # fmt: skip

OF_HASHTAG: Seen = [
    Observation(
        PUBLIC | {
            "id": "3011", "kind": "post", "created_at": "2019-08-06T14:10:51.074Z", "text": "#kettle", "hashtags": ["kettle"],
            "conversation_id": "3011", "metrics": {"likes": 5, "replies": 0},
        }
    ),
    LeftOut("media without a time"),
    LeftOut("media without an id"),
    Observation(
        PUBLIC | {
            "id": "4005", "kind": "reply", "created_at": "2026-03-01T10:00:00Z", "text": "Hot", "in_reply_to": "4001",
            "conversation_id": "3001",
        }
    ),
    Observation(PUBLIC | {"id": "4006", "kind": "comment", "created_at": "2026-03-01T10:00:00Z", "text": "Beautiful!"}),
]  # fmt: skip

CONVERSATIONS: JsonObject = {
    "data": [
        {
            "id": "aWdf", "updated_time": "2026-03-02T10:00:00+0000",
            "messages": {"data": [
                {"id": "aWdB", "created_time": "2026-03-02T10:00:00+0000", "from": {"id": "200", "username": "acme_kettles"},
                 "message": "Sent anew"},
                {"id": "aWdA", "created_time": "2026-03-02T09:00:00+0000", "from": {"id": "7001", "username": "ines.melt"},
                 "message": "It leaks, @acme_kettles"},
                {"id": "aWdC", "message": "When?"},
            ]},
        },
        {"id": "aWdg", "updated_time": "2026-03-02T10:00:00+0000"},
    ]
}  # fmt: skip
PRIVATE = {"platform": "instagram", "visibility": "private", "kind": "message", "conversation_id": "aWdf"}

OF_CONVERSATIONS: Seen = [
    Observation(
        PRIVATE | {
            "id": "aWdB", "direction": "outbound", "created_at": "2026-03-02T10:00:00Z", "text": "Sent anew",
            "author": {"id": "200", "handle": "acme_kettles"},
        }
    ),
    Observation(
        PRIVATE | {
            "id": "aWdA", "direction": "inbound", "created_at": "2026-03-02T09:00:00Z", "text": "It leaks, @acme_kettles",
            "author": {"id": "7001", "handle": "ines.melt"}, "mentions": ["acme_kettles"],
        }
    ),
    LeftOut("message without an id or a time"),
    LeftOut("conversation"),
]  # fmt: skip


MAPPED = Mapped(
    "instagram",
    {
        "media": (MEDIA, OF_MEDIA),
        "hashtag": (HASHTAG, OF_HASHTAG),
        "conversations": (CONVERSATIONS, OF_CONVERSATIONS),
    },
    [None, 17, "<html>", {}, {"data": [{"x": 1}]}, [1], {"error": {"message": "No", "code": 190}}, {"x": {"id": "y"}}],
    origin=OURS,
    folder="instagram",
    recorded={
        "ig_comments_p1.json": {"comment": 2},
        "ig_hashtag_top_medias_p1.json": {"post": 25},
        "ig_hashtag_top_medias_p2.json": {"post": 25},
    },
)

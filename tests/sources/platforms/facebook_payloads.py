"""Payloads as the Graph API sends them for a page of Facebook, in words of our own, and all that the mapper observes."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

OURS = Origin("", frozenset({"100", "77"}))
INES, US = {"id": "7001", "name": "Ines Melt"}, {"id": "100", "name": "Acme Kettles"}
PUBLIC = {"platform": "facebook", "visibility": "public", "direction": "inbound"}


def post(number: int, **rest: object) -> JsonObject:
    return {
        "id": f"100_{number}", "created_time": "2026-03-01T10:00:00+0000", "updated_time": "2026-03-05T10:00:00+0000",
        "permalink_url": f"https://www.facebook.com/100/posts/{number}", "status_type": "mobile_status_update",
    } | rest  # fmt: skip


def comment(ident: str, **rest: object) -> JsonObject:
    whole = {
        "id": ident,
        "created_time": "2026-03-01T11:00:00+0000",
        "message": "Mine, too.",
        "like_count": 0,
        "comment_count": 0,
    }
    return whole | rest


FEED: JsonObject = {
    "data": [
        post(
            21,
            message="Spring sale! https://acme.example/sale, ask Otto Dry #Tea #2026",
            **{"from": US},
            message_tags=[
                {"id": "8001", "name": "Otto Dry", "type": "user", "offset": 45, "length": 8},
                {"id": "8002", "name": "#Tea", "offset": 54, "length": 4},
            ],
            attachments={
                "data": [
                    {"title": "Kettles", "media_type": "link", "unshimmed_url": "https://acme.example/k?a=1", "type": "share"},
                    {"media_type": "photo", "unshimmed_url": "https://www.facebook.com/photo/1", "type": "photo"},
                ]
            },
            shares={"count": 3},
            reactions={"data": [{"id": "7001", "name": "Ines Melt", "type": "LOVE"}], "summary": {"total_count": 12}},
            privacy={"value": "EVERYONE"},
            comments={
                "data": [
                    comment("21_31", **{"from": INES}, like_count=2, comment_count=1),
                    comment("21_32", parent={"id": "21_31"}, **{"from": US}, message="Sorry!"),
                    comment("21_33", is_hidden=True, message="Buy at https://spam.example."),
                    comment("21_34", created_time="soon"),
                ],
                "paging": {"cursors": {"before": "b", "after": "a"}, "next": "https://graph.facebook.com/n"},
                "summary": {"order": "chronological", "total_count": 9},
            },
        ),
        post(22, story="Ines Melt shared a link.", **{"from": INES}, reactions={"summary": {"total_count": 0}}),
        post(23, attachments={"data": [{"title": "A title alone", "media_type": "video"}]}, privacy={"value": "ALL_FRIENDS"}),
        post(24, created_time=None),
        {"id": "me", "created_time": "2026-03-01T10:00:00+0000"},
    ],
    "paging": {"cursors": {"before": "b", "after": "a"}},
}  # fmt: skip

OF_FEED: Seen = [
    Observation(
        PUBLIC | {
            "id": "100_21", "kind": "post", "direction": "outbound", "created_at": "2026-03-01T10:00:00Z", "author": US,
            "text": "Spring sale! https://acme.example/sale, ask Otto Dry #Tea #2026", "mentions": ["Otto Dry"],
            "hashtags": ["Tea"], "urls": ["https://acme.example/sale", "https://acme.example/k?a=1"],
            "conversation_id": "100_21", "metrics": {"likes": 12, "shares": 3, "replies": 9},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "21_31", "kind": "comment", "created_at": "2026-03-01T11:00:00Z", "author": INES, "text": "Mine, too.",
            "in_reply_to": "100_21", "conversation_id": "100_21", "metrics": {"likes": 2, "replies": 1},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "21_32", "kind": "reply", "direction": "outbound", "created_at": "2026-03-01T11:00:00Z", "author": US,
            "text": "Sorry!", "in_reply_to": "21_31", "conversation_id": "100_21", "metrics": {"likes": 0, "replies": 0},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "21_33", "kind": "comment", "visibility": "private", "created_at": "2026-03-01T11:00:00Z",
            "text": "Buy at https://spam.example.", "urls": ["https://spam.example"], "in_reply_to": "100_21",
            "conversation_id": "100_21", "metrics": {"likes": 0, "replies": 0},
        }
    ),
    LeftOut("comment without a time"),
    Observation(
        PUBLIC | {
            "id": "100_22", "kind": "post", "created_at": "2026-03-01T10:00:00Z", "author": INES,
            "text": "Ines Melt shared a link.", "conversation_id": "100_22", "metrics": {"likes": 0},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "100_23", "kind": "post", "visibility": "private", "created_at": "2026-03-01T10:00:00Z",
            "text": "A title alone", "conversation_id": "100_23",
        },
        partial=frozenset({"metrics"}),
    ),
    LeftOut("post without a time"),
    LeftOut("post without an id"),
]  # fmt: skip

LINK = "https://www.facebook.com/100/posts/21/?comment_id="
COMMENTS: JsonObject = {
    "data": [
        {"created_time": "2026-03-01T12:00:00+0000", "message": "Hot!", "permalink_url": f"{LINK}41", "comment_count": 1},
        {
            "created_time": "2026-03-01T14:00:00+0200", "message": "Very.", "like_count": 1, "comment_count": 0,
            "permalink_url": f"{LINK}41&reply_comment_id=42",
        },
        {"id": "100_21_43", "created_time": "2026-03-01T12:00:00+0000", "likes": 4, "parent": {"id": "100_21_41"}},
        {
            "id": "21_44", "created_time": "2026-03-01T12:00:00+0000", "message": "Nice", "comment_count": 2,
            "comments": {"data": [comment("21_45", created_time="2026-03-01T12:00:00+0000", message="Yes")]},
        },
    ],
    "summary": {"order": "chronological", "total_count": 4},
}  # fmt: skip

OF_COMMENTS: Seen = [
    Observation(
        PUBLIC | {
            "id": "21_41", "kind": "comment", "created_at": "2026-03-01T12:00:00Z", "text": "Hot!", "in_reply_to": "100_21",
            "conversation_id": "100_21", "metrics": {"replies": 1},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "21_42", "kind": "reply", "created_at": "2026-03-01T12:00:00Z", "text": "Very.", "in_reply_to": "21_41",
            "conversation_id": "100_21", "metrics": {"likes": 1, "replies": 0},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "21_43", "kind": "reply", "created_at": "2026-03-01T12:00:00Z", "in_reply_to": "21_41",
            "conversation_id": "100_21", "metrics": {"likes": 4},
        },
        partial=frozenset({"metrics"}),
    ),
    Observation(
        PUBLIC | {
            "id": "21_44", "kind": "comment", "created_at": "2026-03-01T12:00:00Z", "text": "Nice", "metrics": {"replies": 2},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "21_45", "kind": "reply", "created_at": "2026-03-01T12:00:00Z", "text": "Yes", "in_reply_to": "21_44",
            "metrics": {"likes": 0, "replies": 0},
        }
    ),
]  # fmt: skip

CONVERSATIONS: JsonObject = {
    "data": [
        {
            "id": "t_51", "updated_time": "2026-03-02T10:00:00+0000",
            "messages": {"data": [
                {"id": "m_b", "created_time": "2026-03-02T10:00:00+0000", "from": US | {"email": "100@facebook.com"},
                 "message": "See https://acme.example/help."},
                {"id": "m_a", "created_time": "2026-03-02T09:00:00+0000", "from": INES, "message": "It leaks",
                 "attachments": {"data": [{"id": "1", "mime_type": "image/jpeg"}]}},
                {"id": "m_c", "from": INES, "message": "When?"},
            ]},
        },
        {"id": "t_52", "updated_time": "2026-03-02T10:00:00+0000"},
    ],
}  # fmt: skip
PRIVATE = {"platform": "facebook", "visibility": "private", "kind": "message", "conversation_id": "t_51"}

OF_CONVERSATIONS: Seen = [
    Observation(
        PRIVATE | {
            "id": "m_b", "direction": "outbound", "created_at": "2026-03-02T10:00:00Z", "author": US,
            "text": "See https://acme.example/help.", "urls": ["https://acme.example/help"],
        }
    ),
    Observation(
        PRIVATE | {
            "id": "m_a", "direction": "inbound", "created_at": "2026-03-02T09:00:00Z", "author": INES, "text": "It leaks",
        }
    ),
    LeftOut("message without an id or a time"),
    LeftOut("conversation"),
]  # fmt: skip


MAPPED = Mapped(
    "facebook",
    {
        "feed": (FEED, OF_FEED),
        "comments": (COMMENTS, OF_COMMENTS),
        "conversations": (CONVERSATIONS, OF_CONVERSATIONS),
    },
    [None, 17, "<html>", {}, {"data": [{"x": 1}]}, [1], {"error": {"message": "No", "code": 190}}, {"x": {"id": "y"}}],
    origin=OURS,
    folder="facebook_graph",
    recorded={
        "comments_p1.json": {"comment": 6, "reply": 4},
        "comments_p2.json": {"comment": 4, "reply": 1},
        "feeds_default_fields_p1.json": {"post": 5},
        "feeds_default_fields_p2.json": {"post": 5},
        "messages_info.json": {"message": 2},
        "multi_posts_data.json": {"post": 2, "comment": 16},
    },
)

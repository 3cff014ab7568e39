"""Payloads as Reddit sends them, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject


def page(*children: object) -> JsonObject:
    return {"kind": "Listing", "data": {"after": "t3_next", "before": None, "dist": len(children), "children": list(children)}}


def submission(ident: str, **rest: object) -> JsonObject:
    data: JsonObject = {
        "id": ident, "name": f"t3_{ident}", "subreddit": "kettles", "subreddit_type": "public", "author": "Vera_Steam",
        "author_fullname": "t2_v1", "title": "A title", "selftext": "", "is_self": True,
        "url": f"https://www.reddit.com/r/kettles/comments/{ident}/a_title/",
        "permalink": f"/r/kettles/comments/{ident}/a_title/", "score": 12, "hide_score": False, "ups": 12, "num_comments": 3,
        "num_crossposts": 1, "view_count": None, "edited": False, "created": 1760000000.0, "created_utc": 1760000000.0,
        "distinguished": None, "stickied": False, "over_18": False, "removed_by_category": None,
    }  # fmt: skip
    return {"kind": "t3", "data": data | rest}


def comment(ident: str, parent: str, **rest: object) -> JsonObject:
    data: JsonObject = {
        "id": ident, "name": f"t1_{ident}", "subreddit": "kettles", "subreddit_type": "public", "author": "Otto",
        "author_fullname": "t2_o1", "body": "Mine, too.", "parent_id": parent, "link_id": "t3_k1", "score": 2,
        "score_hidden": False, "edited": False, "created_utc": 1760000060.0, "distinguished": None, "replies": "", "depth": 0,
    }  # fmt: skip
    return {"kind": "t1", "data": data | rest}


VERA = {"id": "t2_v1", "handle": "Vera_Steam"}
OTTO = {"id": "t2_o1", "handle": "Otto"}
PUBLIC = {"platform": "reddit", "direction": "inbound", "visibility": "public"}

NEW = page(
    submission(
        "k1", title="Acme &amp; Co: my kettle **leaks**", edited=1760000100.5, author_fullname="t2_v1",
        selftext="Bought it &gt;!yesterday!&lt;.\n\n&gt; It never leaks\n\n"
        "* says [the box](https://acme.example/box_(new)), u/acme_support.\n",
    ),
    submission(
        "k2", title="Look", is_self=False, url="https://shop.example/a?b=1&amp;copy=2", score=7, num_crossposts=0,
        hide_score=True,
    ),
    submission(
        "k3", title="Shared", subreddit="tea", author="AutoModerator", author_fullname="t2_am", distinguished="moderator",
        is_self=False, url="/r/kettles/comments/k4/first/", crosspost_parent="t3_k4", score=-3,
        crosspost_parent_list=[
            submission("k4", title="First", subreddit_type="private", num_comments="many", created_utc="1760000000")["data"],
        ],
    ),
    submission("k5", author="[deleted]", author_fullname=None, selftext="[removed]", removed_by_category="moderator"),
    submission("k6", removed_by_category="automod_filtered", selftext="[removed]"),
    {"kind": "t5", "data": {"id": "2qh", "display_name": "kettles"}},
    submission("k7", created_utc=None),
    {"kind": "t3", "data": {"title": "no id", "created_utc": 1}},
    17,
    {"kind": "somebody's words", "data": {}},
)  # fmt: skip

OF_NEW = [
    Observation(
        PUBLIC | {
            "id": "t3_k1", "kind": "post", "created_at": "2025-10-09T08:53:20Z", "author": VERA, "conversation_id": "t3_k1",
            "text": "Acme & Co: my kettle **leaks**\nBought it yesterday.\nIt never leaks\nsays the box, u/acme_support.",
            "mentions": ["acme_support"], "urls": ["https://acme.example/box_(new)"],
            "metrics": {"likes": 12, "replies": 3, "shares": 1},
        },
        "2025-10-09T08:55:00.500Z",
    ),
    Observation(
        PUBLIC | {
            "id": "t3_k2", "kind": "post", "created_at": "2025-10-09T08:53:20Z", "author": VERA, "conversation_id": "t3_k2",
            "text": "Look", "urls": ["https://shop.example/a?b=1&copy=2"], "metrics": {"replies": 3, "shares": 0},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "t3_k3", "kind": "repost", "created_at": "2025-10-09T08:53:20Z", "conversation_id": "t3_k3", "text": "Shared",
            "author": {"id": "t2_am", "handle": "AutoModerator", "kind": "bot"}, "in_reply_to": "t3_k4", "target": "t3_k4",
            "metrics": {"likes": -3, "replies": 3, "shares": 1},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "t3_k4", "kind": "post", "created_at": "2025-10-09T08:53:20Z", "author": VERA, "conversation_id": "t3_k4",
            "text": "First", "visibility": "private", "metrics": {"likes": 12, "shares": 1},
        }
    ),
    Observation({"platform": "reddit", "id": "t3_k5", "created_at": "2025-10-09T08:53:20Z"}, deleted=True),
    LeftOut("t3 that waits for a moderator"),
    LeftOut("t5"),
    LeftOut("t3 without a time"),
    LeftOut("t3 without an id"),
    LeftOut("unknown"),
    LeftOut("unknown"),
]  # fmt: skip

TREE = [
    page(submission("k1", title="Kettle")),
    page(
        comment(
            "a1", "t3_k1", body="> It leaks\nand drips\n\nNot mine.", edited=True,
            replies=page(
                comment("a2", "t1_a1", author="[deleted]", author_fullname=None, body="[deleted]", replies=page(
                    comment("a3", "t1_a2", author="[deleted]", author_fullname=None, body="> only a quote", score_hidden=True),
                )),
                {"kind": "more", "data": {"count": 4, "id": "b1", "name": "t1_b1", "parent_id": "t1_a1", "children": ["b1"]}},
            ),
        ),
        comment("a4", "t3_k1", author="Acme_Support", author_fullname="t2_ac", distinguished="admin", body=None, score=1.5),
        {"kind": "more", "data": {"count": 0, "id": "_", "name": "t1__", "parent_id": "t3_k1", "children": []}},
    ),
]  # fmt: skip

OF_TREE = [
    Observation(
        PUBLIC | {
            "id": "t3_k1", "kind": "post", "created_at": "2025-10-09T08:53:20Z", "author": VERA, "conversation_id": "t3_k1",
            "text": "Kettle", "metrics": {"likes": 12, "replies": 3, "shares": 1},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "t1_a1", "kind": "comment", "created_at": "2025-10-09T08:54:20Z", "author": OTTO, "conversation_id": "t3_k1",
            "in_reply_to": "t3_k1", "text": "Not mine.", "metrics": {"likes": 2},
        }
    ),
    Observation({"platform": "reddit", "id": "t1_a2", "created_at": "2025-10-09T08:54:20Z"}, deleted=True),
    Observation(
        PUBLIC | {
            "id": "t1_a3", "kind": "reply", "created_at": "2025-10-09T08:54:20Z", "author": {"name": "[deleted]"},
            "conversation_id": "t3_k1", "in_reply_to": "t1_a2", "text": "only a quote",
        }
    ),
    LeftOut("more"),
    Observation(
        PUBLIC | {
            "id": "t1_a4", "kind": "comment", "direction": "outbound", "created_at": "2025-10-09T08:54:20Z",
            "conversation_id": "t3_k1", "in_reply_to": "t3_k1",
            "author": {"id": "t2_ac", "handle": "Acme_Support", "kind": "staff"},
        }
    ),
    LeftOut("more"),
]  # fmt: skip

MESSAGE: JsonObject = {
    "id": "m1", "name": "t4_m1", "author": "Vera_Steam", "author_fullname": "t2_v1", "dest": "Acme_Support",
    "subject": "My kettle", "body": "Where is it? See https://track.example/1.", "parent_id": None, "first_message_name": None,
    "created_utc": 1760000000, "was_comment": False, "subreddit": None, "score": 0, "replies": "",
}  # fmt: skip
INBOX = page(
    {"kind": "t4", "data": MESSAGE | {"replies": page({"kind": "t4", "data": MESSAGE | {
        "id": "m2", "name": "t4_m2", "author": "Acme_Support", "author_fullname": "t2_ac", "subject": "re: My kettle",
        "body": "On its *way*.", "parent_id": "t4_m1", "first_message_name": "t4_m1", "created_utc": 1760000060,
    }})}},
    {"kind": "t1", "data": {
        "id": "a9", "name": "t1_a9", "author": "Otto", "author_fullname": "t2_o1", "body": "Thanks", "subject": "comment reply",
        "parent_id": "t1_a4", "context": "/r/kettles/comments/k1/a_title/a9/?context=3", "was_comment": True,
        "created_utc": 1760000120, "score": 1, "replies": "",
    }},
)  # fmt: skip

OF_INBOX = [
    Observation({
        "platform": "reddit", "id": "t4_m1", "kind": "message", "direction": "inbound", "visibility": "private", "author": VERA,
        "created_at": "2025-10-09T08:53:20Z", "conversation_id": "t4_m1", "urls": ["https://track.example/1"],
        "text": "My kettle\nWhere is it? See https://track.example/1.",
    }),
    Observation({
        "platform": "reddit", "id": "t4_m2", "kind": "message", "direction": "outbound", "visibility": "private",
        "author": {"id": "t2_ac", "handle": "Acme_Support"}, "created_at": "2025-10-09T08:54:20Z", "conversation_id": "t4_m1",
        "in_reply_to": "t4_m1", "text": "On its way.",
    }),
    Observation(
        PUBLIC | {
            "id": "t1_a9", "kind": "reply", "author": OTTO, "created_at": "2025-10-09T08:55:20Z", "conversation_id": "t3_k1",
            "in_reply_to": "t1_a4", "text": "Thanks", "metrics": {"likes": 1},
        }
    ),
]  # fmt: skip

OURS = Origin(own=frozenset({"acme_support"}))

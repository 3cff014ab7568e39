"""Payloads as Discourse sends them, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject

OURS = Origin("Forum.example", frozenset({"acme_care"}))


def post(ident: int, topic: int, number: int, **rest: object) -> JsonObject:
    return {
        "id": ident, "name": "Vera Steam", "username": "vera", "avatar_template": "/letter/v/{size}.png", "user_id": 7,
        "created_at": "2026-03-01T10:00:00.250Z", "updated_at": "2026-03-01T10:00:00.250Z", "cooked": "<p>It leaks.</p>",
        "post_number": number, "post_type": 1, "reply_count": 0, "reply_to_post_number": None, "quote_count": 0, "reads": 5,
        "score": 1.2, "topic_id": topic, "topic_slug": "a-kettle", "version": 1, "actions_summary": [], "moderator": False,
        "admin": False, "staff": False, "hidden": False, "trust_level": 1, "deleted_at": None, "user_deleted": False,
    } | rest  # fmt: skip


VERA = {"id": "forum.example:7", "handle": "vera", "name": "Vera Steam"}
PUBLIC = {"platform": "discourse", "direction": "inbound", "visibility": "public", "created_at": "2026-03-01T10:00:00.250Z"}
QUOTE = """
<aside class="quote no-group" data-username="vera" data-post="1" data-topic="11">
<div class="title"><div class="quote-controls"></div><img alt="" class="avatar" src="/v.png"> vera:</div>
<blockquote><p>Acme is great <a href="https://quoted.example/">there</a></p>
<aside class="onebox"><article>inside</article></aside></blockquote></aside>
<p>No, <a class="mention" href="/u/otto">@otto</a> and <a class="mention-group" href="/groups/care">@care</a> &amp; all:
 see <a href="https://acme.example/x" rel="noopener nofollow ugc">this page</a>, <a href="/t/a-kettle/11/2">post 2</a>
 <img src="/e/heart.png" title=":heart:" class="emoji" alt=":heart:"></p>
<aside class="onebox allowlistedgeneric" data-onebox-src="https://news.example/1"><article>A preview</article></aside>
<div class="lightbox-wrapper"><a class="lightbox" href="https://cdn.example/k.png"><img src="k.png">
<div class="meta"><span class="filename">kettle</span></div></a></div>
<p><a class="hashtag-cooked" href="/tag/tea" data-type="tag"><span class="hashtag-icon"></span><span>tea</span></a></p>
<details class="elided"><summary title="Show trimmed content">...</summary><p>On Monday Vera wrote</p></details>
"""

LATEST: JsonObject = {
    "latest_posts": [
        post(20, 11, 3, username="otto", name="", user_id=9, cooked=QUOTE, reply_to_post_number=2, reads=2, locale="pt_BR"),
        post(
            19, 12, 1, topic_title="A kettle & more", reply_count=4, version=3, updated_at="2026-03-01T12:00:00+01:00",
            staff=True,
            actions_summary=[{"id": 3, "count": 1}, {"id": 2, "count": 6, "acted": True}, "x"],
        ),
        post(18, 11, 2, deleted_at="2026-03-02T00:00:00.000Z"),
        post(17, 11, 4, hidden=True, created_at=None),
        post(16, 11, 5, user_deleted=True),
        post(15, 11, 6, post_type=3, cooked="", action_code="closed.enabled"),
        post(14, 11, 7, post_type=4),
        post(13, 11, 8, created_at="yesterday"),
        {"cooked": "<p>nobody</p>"},
        None,
    ]
}  # fmt: skip

OF_LATEST = [
    Observation(
        PUBLIC | {
            "id": "forum.example:20", "kind": "reply", "author": {"id": "forum.example:9", "handle": "otto"},
            "language": "pt-BR",
            "text": "No, @otto and @care & all: see this page, post 2 :heart:\ntea", "mentions": ["otto", "care"],
            "hashtags": ["tea"],
            "urls": ["https://news.example/1", "https://acme.example/x"], "in_reply_to": "forum.example:18",
            "conversation_id": "forum.example:t:11", "metrics": {"likes": 0, "replies": 0, "views": 2},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "forum.example:19", "kind": "post", "author": VERA | {"kind": "staff"}, "text": "A kettle & more\nIt leaks.",
            "conversation_id": "forum.example:t:12", "metrics": {"likes": 6, "replies": 4, "views": 5},
        },
        "2026-03-01T11:00:00Z",
    ),
    Observation(
        {"platform": "discourse", "id": "forum.example:18", "created_at": "2026-03-01T10:00:00.250Z"}, "2026-03-02T00:00:00Z",
        deleted=True,
    ),
    Observation({"platform": "discourse", "id": "forum.example:17"}, deleted=True),
    Observation({"platform": "discourse", "id": "forum.example:16", "created_at": "2026-03-01T10:00:00.250Z"}, deleted=True),
    LeftOut("small action"),
    LeftOut("whisper"),
    LeftOut("post without a time"),
    LeftOut("post without an id"),
]  # fmt: skip

TOPIC: JsonObject = {
    "post_stream": {
        "posts": [
            post(30, 11, 1, reply_count=1),
            post(31, 11, 2, user_id=-1, username="system", name="system", cooked="<p>Welcome</p>", moderator=True),
            post(32, 11, 5, username="Acme_Care", user_id=3, name=None, reply_to_post_number=4,
            cooked="<p>Sorry,<br>sent anew</p>"),
            post(33, 11, 6, reply_to_post_number=1, cooked=None, raw='[quote="otto, post:4"]bad[/quote]\n**Thanks**',
            reads=None),
        ],
        "stream": [30, 31, 32, 33, 34],
    },
    "id": 11, "title": "A kettle", "fancy_title": "A kettle", "posts_count": 5, "views": 90, "like_count": 2,
    "archetype": "regular",
    "details": {"created_by": {"id": 7, "username": "vera"}},
}  # fmt: skip

OF_TOPIC = [
    Observation(
        PUBLIC | {
            "id": "forum.example:30", "kind": "post", "author": VERA, "text": "A kettle\nIt leaks.",
            "conversation_id": "forum.example:t:11", "metrics": {"likes": 0, "replies": 1, "views": 5},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "forum.example:31", "kind": "reply", "text": "Welcome", "in_reply_to": "forum.example:30",
            "author": {"id": "forum.example:-1", "handle": "system", "name": "system", "kind": "bot"},
            "conversation_id": "forum.example:t:11", "metrics": {"likes": 0, "replies": 0, "views": 5},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "forum.example:32", "kind": "reply", "direction": "outbound", "text": "Sorry,\nsent anew",
            "author": {"id": "forum.example:3", "handle": "Acme_Care"}, "in_reply_to": "forum.example:t:11:4",
            "conversation_id": "forum.example:t:11", "metrics": {"likes": 0, "replies": 0, "views": 5},
        }
    ),
    Observation(
        PUBLIC | {
            "id": "forum.example:33", "kind": "reply", "author": VERA, "text": "Thanks", "in_reply_to": "forum.example:30",
            "conversation_id": "forum.example:t:11", "metrics": {"likes": 0, "replies": 0},
        }
    ),
]  # fmt: skip

WEBHOOK: JsonObject = {
    "post": {
        name: value
        for name, value in post(
            40, 13, 1, topic_title="For you alone", topic_archetype="private_message", raw="It leaks.", category_slug=None
        ).items()
        if name != "actions_summary"
    }
}

OF_WEBHOOK = [
    Observation(
        PUBLIC | {
            "id": "forum.example:40", "kind": "message", "visibility": "private", "author": VERA,
            "text": "For you alone\nIt leaks.",
            "conversation_id": "forum.example:t:13", "metrics": {"replies": 0, "views": 5},
        },
        partial=frozenset({"metrics"}),
    )
]  # fmt: skip

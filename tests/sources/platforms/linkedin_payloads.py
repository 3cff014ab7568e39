"""Payloads as LinkedIn's documentation has them, in words of our own, and all that the mapper observes in them."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from schemas.untyped import JsonObject
from tests.support.mapped import Mapped, Seen

OURS = Origin("12", frozenset({"person:otto"}))
AT = 1_772_359_200_000  # 2026-03-01T10:00:00Z
MINUTE = 60_000


def number(minutes: int, counter: int = 1) -> int:
    """One of LinkedIn's numbers, of so many minutes after AT."""
    return (AT + minutes * MINUTE << 22) + counter


POST = f"urn:li:activity:{number(-60)}"
THREAD = f"activity:{number(-60)}"


def notice(action: str, minutes: int, **rest: object) -> JsonObject:
    found: JsonObject = {
        "notificationId": 5_000 + minutes, "organizationalEntity": "urn:li:organization:12", "action": action,
        "sourcePost": POST, "lastModifiedAt": AT + minutes * MINUTE, "subscriber": "urn:li:person:otto",
    }  # fmt: skip
    return {name: value for name, value in (found | rest).items() if value is not None}


def comment(minutes: int, text: str = "It leaks.", owner: str = "urn:li:person:vera") -> JsonObject:
    entity = f"urn:li:comment:(urn:li:{THREAD},{number(minutes)})"
    return {"comment": {"owner": owner, "text": text, "entity": entity, "object": POST}}


def comments(*minutes: int) -> list[JsonObject]:
    return [notice("COMMENT", each, decoratedGeneratedActivity=comment(each)) for each in minutes]


_SOURCE = {"owner": "urn:li:organization:12", "mediaCategory": "NONE", "text": "Our new kettle", "entity": "urn:li:share:1"}
_SHARE, _MENTION = f"urn:li:share:{number(3)}", f"urn:li:ugcPost:{number(4)}"
ELEMENTS: JsonObject = {
    "paging": {"start": 0, "count": 100, "links": []},
    "elements": [
        notice("COMMENT", 1, decoratedSourcePost=_SOURCE, generatedActivity=f"urn:li:comment:({THREAD},{number(1)})",
               decoratedGeneratedActivity=comment(1, "The #kettle leaks: https://tea.example/x.")),
        notice("ADMIN_COMMENT", 2, decoratedGeneratedActivity=comment(2, "Sorry!", "urn:li:person:ada")),
        notice("SHARE", 3, generatedActivity=_SHARE, decoratedGeneratedActivity={"share": {
            "entity": _SHARE, "owner": "urn:li:organization:77", "text": "Look"}}),
        notice("SHARE_MENTION", 4, sourcePost=_MENTION, decoratedSourcePost={
            "owner": "urn:li:person:vera", "text": "I like Acme", "entity": _MENTION}),
        notice("LIKE", 5, generatedActivity=f"urn:li:like:(urn:li:person:vera,{POST})"),
        notice("LIKE", 6),
        notice("COMMENT_EDIT", 7, decoratedGeneratedActivity=comment(1, "It leaks no more.")),
        notice("COMMENT_DELETE", 8, generatedActivity=f"urn:li:comment:({THREAD},{number(2)})"),
        notice("REACTION_EDIT", 9),
        None,
    ],
}  # fmt: skip
FIXED = {"platform": "linkedin", "direction": "inbound", "visibility": "public"}
VERA = {"id": "person:vera"}
OF_ELEMENTS: Seen = [
    Observation(
        FIXED | {
            "id": POST, "kind": "post", "direction": "outbound", "created_at": "2026-03-01T09:00:00Z", "text": "Our new kettle",
            "author": {"id": "organization:12", "kind": "organisation"}, "conversation_id": POST,
        }
    ),
    Observation(
        FIXED | {
            "id": f"urn:li:comment:{number(1)}", "kind": "comment", "created_at": "2026-03-01T10:01:00Z", "author": VERA,
            "text": "The #kettle leaks: https://tea.example/x.", "hashtags": ["kettle"], "urls": ["https://tea.example/x"],
            "in_reply_to": POST, "conversation_id": POST,
        }
    ),
    Observation(
        FIXED | {
            "id": f"urn:li:comment:{number(2)}", "kind": "comment", "direction": "outbound", "text": "Sorry!",
            "created_at": "2026-03-01T10:02:00Z", "author": {"id": "person:ada"}, "in_reply_to": POST, "conversation_id": POST,
        }
    ),
    Observation(
        FIXED | {
            "id": _SHARE, "kind": "repost", "created_at": "2026-03-01T10:03:00Z", "text": "Look", "target": POST,
            "author": {"id": "organization:77", "kind": "organisation"}, "in_reply_to": POST,
        }
    ),
    Observation(
        FIXED | {
            "id": _MENTION, "kind": "post", "created_at": "2026-03-01T10:04:00Z", "text": "I like Acme", "author": VERA,
            "conversation_id": _MENTION,
        }
    ),
    Observation(
        FIXED | {
            "id": f"urn:li:like:(urn:li:person:vera,{POST})", "kind": "like", "created_at": "2026-03-01T10:05:00Z",
            "author": VERA, "target": POST, "in_reply_to": POST,
        }
    ),
    Observation(
        FIXED | {
            "id": "urn:li:notification:5006", "kind": "like", "created_at": "2026-03-01T10:06:00Z", "target": POST,
            "in_reply_to": POST,
        }
    ),
    Observation(
        FIXED | {
            "id": f"urn:li:comment:{number(1)}", "kind": "comment", "created_at": "2026-03-01T10:01:00Z", "author": VERA,
            "text": "It leaks no more.", "in_reply_to": POST, "conversation_id": POST,
        },
        "2026-03-01T10:07:00Z",
    ),
    Observation(
        {"platform": "linkedin", "id": f"urn:li:comment:{number(2)}", "created_at": "2026-03-01T10:02:00Z"},
        "2026-03-01T10:08:00Z",
        deleted=True,
    ),
    LeftOut("REACTION_EDIT"),
]  # fmt: skip

WEBHOOK: JsonObject = {
    "type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS",
    "notifications": [
        notice("COMMENT", 1, decoratedGeneratedActivity={"comment": {
            "entity": "urn:li:comment:(urn:li:share:9,17)", "actor": "urn:li:person:Otto", "message": {"text": "Ours"}}}),
        notice("COMMENT", 2),
        notice("COMMENT", 3, generatedActivity="urn:li:comment:(x,3)", lastModifiedAt="soon"),
        notice("SHARE", 4, generatedActivity="share 4", decoratedSourcePost={"text": "Old"}, sourcePost="urn:li:share:9"),
    ],
}  # fmt: skip
OF_WEBHOOK: Seen = [
    Observation(
        FIXED | {
            "id": "urn:li:comment:17", "kind": "comment", "direction": "outbound", "created_at": "2026-03-01T10:01:00Z",
            "author": {"id": "person:Otto"}, "text": "Ours", "in_reply_to": POST, "conversation_id": POST,
        }
    ),
    LeftOut("COMMENT without an id"),
    LeftOut("COMMENT without a time"),
    LeftOut("post without a time"),
    LeftOut("SHARE without an id"),
]  # fmt: skip

SINGLE: JsonObject = notice("COMMENT", 1, sourcePost=None, decoratedGeneratedActivity=comment(1))
OF_SINGLE: Seen = [
    Observation(
        FIXED | {
            "id": f"urn:li:comment:{number(1)}", "kind": "comment", "created_at": "2026-03-01T10:01:00Z", "author": VERA,
            "text": "It leaks.",
        }
    )
]  # fmt: skip


MAPPED = Mapped(
    "linkedin",
    {
        "elements": (ELEMENTS, OF_ELEMENTS),
        "webhook": (WEBHOOK, OF_WEBHOOK),
        "single": (SINGLE, OF_SINGLE),
        "none": ({"elements": [], "paging": {}}, []),
        "an empty list": ([], []),
    },
    [None, "<html>502</html>", 17, {}, [1, {}], {"elements": 1}, {"elements": [{"id": 1}]}, {"status": 403, "code": "NO"}],
    origin=OURS,
    longest=60,
)

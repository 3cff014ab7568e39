"""LinkedIn's notifications about a page: answers of organizationalEntityNotifications, and bodies of its webhooks.

Made from the documented shape: no recording of real notifications was at hand.

| `action` | observation |
|---|---|
| COMMENT, ADMIN_COMMENT, COMMENT_EDIT | `comment`; of an edit with its time |
| COMMENT_DELETE | a delete |
| SHARE | `repost`, whose `target` is the post |
| SHARE_MENTION | `post` |
| LIKE | `like`, whose `target` is the post |
| each of them with `decoratedSourcePost` | the post too, before it |

| field | comes from |
|---|---|
| `id` | the URN; of a comment `urn:li:comment:NUMBER`, as its thread is spelled in several ways |
| `created_at` | the time that LinkedIn's numbers hold, else `lastModifiedAt` |
| `text` | `text` of the comment or share; with links, #tags |
| `in_reply_to`, `conversation_id` | `sourcePost` |
| `author.id` | `owner`, as `person:abc`, `organization:12`; a person's name is in no notification |
| `direction` outbound | the page itself, ADMIN_COMMENT, one's own accounts |

Left out: other actions. Notifications are of public posts alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.plain_words import hashtags_in, links_in
from pipeline.sources.platforms.values import event, id_of, object_of, objects_of, text_of, time_of_milliseconds
from schemas.untyped import JsonObject

COMMENTS: Final = ("COMMENT", "ADMIN_COMMENT", "COMMENT_EDIT")
ASKED: Final = (*COMMENTS, "COMMENT_DELETE", "SHARE", "SHARE_MENTION", "LIKE")
"""The actions that have a mapping."""
_URN = re.compile(r"urn:li:[A-Za-z]{1,30}:[^\s|]{1,200}").fullmatch
_COMMENT = re.compile(r"urn:li:comment:\(.{1,200},(\d{1,20})\)").fullmatch
_ACTION = re.compile(r"[A-Z_]{1,38}").fullmatch
_ACTOR = re.compile(r"urn:li:[A-Za-z]{1,30}:\((urn:li:(?:person|organization):[\w-]{1,60}),").match
_NUMBER = re.compile(r"(\d{16,19})\)?$").search
TIME_BITS = 22
"""Of LinkedIn's numbers, behind the milliseconds since 1970."""


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """What the notifications tell, posts before what was done to them. Raises Unreadable for a payload of another shape."""
    found = payload
    if isinstance(payload, dict):
        found = next((payload[name] for name in ("elements", "notifications") if name in payload), [payload])
    if not isinstance(found, list) or (found and not any("action" in each for each in objects_of(found))):
        raise Unreadable("no notifications of LinkedIn")
    for each in objects_of(found):
        action = each.get("action")
        if action in ASKED and action != "SHARE_MENTION" and object_of(each.get("decoratedSourcePost")):
            yield alone(_source, each, origin)
        yield alone(_observation, each, origin)


def _observation(notice: JsonObject, origin: Origin) -> Observation | LeftOut:
    action, at = notice.get("action"), time_of_milliseconds(notice.get("lastModifiedAt"))
    if action not in ASKED:
        return LeftOut(action if isinstance(action, str) and _ACTION(action) else "unknown action")
    made = object_of(notice.get("decoratedGeneratedActivity"))
    body = object_of(made.get("comment")) or object_of(made.get("share"))
    ident, post = _id(body.get("entity")) or _id(notice.get("generatedActivity")), _urn(notice.get("sourcePost"))
    if action == "LIKE" and ident is None and (number := id_of(notice.get("notificationId"))):
        ident = f"urn:li:notification:{number[:30]}"
    if action == "SHARE_MENTION" and ident is None:
        ident, body = post, object_of(notice.get("decoratedSourcePost"))
    if ident is None or at is None:
        return LeftOut(f"{action} without {'an id' if ident is None else 'a time'}")
    created = _created(ident, at) if action != "LIKE" else at
    if action == "COMMENT_DELETE":
        return Observation(event(platform="linkedin", id=ident, created_at=created), at, deleted=True, original=notice)
    place: JsonObject = {"kind": "post", "conversation_id": ident}
    if action in COMMENTS:
        place = {"kind": "comment", "in_reply_to": post, "conversation_id": post}
    elif action in ("SHARE", "LIKE"):
        place = {"kind": "repost" if action == "SHARE" else "like", "in_reply_to": post, "target": post}
    by_page = action == "ADMIN_COMMENT"
    seen = _event(ident, created, body, notice, origin, by_page=by_page) | event(**place)
    return Observation(seen, at if action == "COMMENT_EDIT" else "", original=notice)


def _source(notice: JsonObject, origin: Origin) -> Observation | LeftOut:
    """The post to which something was done."""
    ident, at = _urn(notice.get("sourcePost")), time_of_milliseconds(notice.get("lastModifiedAt"))
    created = _created(ident, at) if ident and at else None
    if ident is None or created is None or created == at:
        return LeftOut("post without a time" if ident else "post without an id")
    body = object_of(notice.get("decoratedSourcePost"))
    seen = _event(ident, created, body, notice, origin) | {"kind": "post", "conversation_id": ident}
    return Observation(seen, original=body)


def _event(
    ident: str, created: str, body: JsonObject, notice: JsonObject, origin: Origin, *, by_page: bool = False
) -> JsonObject:
    spoken = body.get("text", body.get("message"))
    text = text_of(spoken) or text_of(object_of(spoken).get("text")) or ""
    page = _short(notice.get("organizationalEntity"))
    activity = _urn(notice.get("generatedActivity")) or ""
    actor = _ACTOR(activity)
    author = _short(body.get("owner")) or _short(body.get("actor")) or (_short(actor[1]) if actor else None)
    own = by_page or (author is not None and author in (page, f"organization:{origin.host}")) or origin.owns((author,), ())
    kind = "organisation" if author and author.startswith("organization:") else None
    return event(
        id=ident, platform="linkedin", direction="outbound" if own else "inbound", created_at=created, text=text_of(text),
        visibility="public", author=event(id=author, kind=kind), hashtags=hashtags_in(text), urls=links_in(text),
    )  # fmt: skip


def _created(ident: str, at: str) -> str:
    """When it was made: by its number, if that holds a time before `at`."""
    number = _NUMBER(ident)
    made = time_of_milliseconds(int(number[1]) >> TIME_BITS) if number else None
    return made if made and "2003" < made <= at else at


def _id(value: object) -> str | None:
    comment = _COMMENT(value) if isinstance(value, str) else None
    return f"urn:li:comment:{comment[1]}" if comment else _urn(value)


def _urn(value: object) -> str | None:
    return value if isinstance(value, str) and _URN(value) else None


def _short(value: object) -> str | None:
    urn = _urn(value)
    return urn.removeprefix("urn:li:") if urn else None

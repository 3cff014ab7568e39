"""Instagram, by the Graph API: media of one's own account, media that tag it or have a hashtag, comments, conversations.

| Graph API | event |
|---|---|
| media | post |
| a comment; one with `parent_id`, or among the `replies` of another | comment; reply |
| a message of a conversation | message, private |
| `id` | id |
| `timestamp`, `created_time`; of media without it, the time that the shortcode of its `permalink` spells | created_at |
| `caption`, `text`, `message` | text; its @names, #words and links: mentions, hashtags, urls |
| `parent_id`, else the media | in_reply_to |
| the media; the conversation | conversation_id |
| `from`, `owner`, `user`; `username` | author.id; author.handle |
| `like_count`; `comments_count` | metrics.likes; metrics.replies; of a comment, how many `replies` it shows |
| `hidden` of a comment | visibility private |

Neither edits nor hashtags' media have a time of their own. A comment that comes by itself names its media if `media` was asked
for. Left out: pictures, the media of an album, conversations without their messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress

from pipeline.sources.platforms.meta_text import handles_in, hashtags_in, inside, links_in, objects_in
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone, readable
from pipeline.sources.platforms.values import count_of, event, fits, id_of, name_of, object_of, objects_of, text_of, time_of
from pipeline.sources.recorded.times import shortcode
from schemas.times import rfc3339
from schemas.untyped import JsonObject

_NUMBER = re.compile(r"\d{1,30}").fullmatch
_CODE = re.compile(r"/(?:p|reel|tv)/([A-Za-z0-9_-]{1,40})").search
_LONGEST_ID, _CODE_LENGTH = 500, 11
"""Of the code of a private account's media, the rest is its key."""


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """In the order of the payload, what is said of media behind it. Raises Unreadable for a payload of another shape."""
    yield from readable(objects_in(payload), lambda item: list(_observed(item, origin)))


def _observed(item: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    ident = _id(item)
    if "messages" in item:
        for message in objects_of(inside(item, "messages")):
            yield alone(_message, message, id_of(item.get("id")), origin)
    elif "media_type" in item or "permalink" in item or "caption" in item:
        yield alone(_media, item, origin)
        yield from _comments(item, ident, origin)
    elif "text" in item and "timestamp" in item:
        yield from _thread(item, None, origin)
    elif "comments" in item:  # what else there is to say of the media, another answer did
        yield from _comments(item, ident, origin)
    elif "created_time" in item and ("from" in item or "message" in item):
        yield alone(_message, item, None, origin)
    elif "updated_time" in item:
        yield LeftOut("conversation")
    else:
        raise Unreadable("an object that is no media, comment or message of Instagram")


def _comments(item: JsonObject, media: str | None, origin: Origin) -> Iterator[Observation | LeftOut]:
    for comment in objects_of(inside(item, "comments")):
        yield from _thread(comment, media, origin)


def _thread(item: JsonObject, media: str | None, origin: Origin) -> Iterator[Observation | LeftOut]:
    media = media or _id(object_of(item.get("media")))
    yield alone(_comment, item, media, _id({"id": item.get("parent_id")}), origin)
    for answer in objects_of(inside(item, "replies")):
        yield alone(_comment, answer, media, _id(item), origin)


def _media(item: JsonObject, origin: Origin) -> Observation | LeftOut:
    ident, created = _id(item), time_of(item.get("timestamp")) or _spelt(item.get("permalink"))
    if ident is None or created is None:
        return LeftOut(f"media without {'an id' if ident is None else 'a time'}")
    author, own = _author(item, origin)
    seen = event(
        id=ident,
        platform="instagram",
        kind="post",
        direction="outbound" if own else "inbound",
        created_at=created,
        visibility="public",
        author=author,
        conversation_id=ident,
        metrics=event(likes=count_of(item.get("like_count")), replies=count_of(item.get("comments_count"))),
        **_words(text_of(item.get("caption"))),
    )
    without = frozenset({"metrics"}) if "comments_count" not in item else frozenset[str]()
    return Observation(seen, partial=without, original=_alone(item))


def _comment(item: JsonObject, media: str | None, parent: str | None, origin: Origin) -> Observation | LeftOut:
    ident, created = _id(item), time_of(item.get("timestamp"))
    if ident is None or created is None:
        return LeftOut(f"comment without {'an id' if ident is None else 'a time'}")
    author, own = _author(item, origin)
    answers = len(inside(item, "replies")) if "replies" in item else None
    seen = event(
        id=ident,
        platform="instagram",
        kind="reply" if parent else "comment",
        direction="outbound" if own else "inbound",
        created_at=created,
        visibility="private" if item.get("hidden") is True else "public",
        author=author,
        in_reply_to=parent or media,
        conversation_id=media,
        metrics=event(likes=count_of(item.get("like_count")), replies=answers),
        **_words(text_of(item.get("text"))),
    )
    return Observation(seen, original=_alone(item))


def _message(item: JsonObject, conversation: str | None, origin: Origin) -> Observation | LeftOut:
    ident, created = id_of(item.get("id")), time_of(item.get("created_time"))
    if ident is None or not fits(ident, _LONGEST_ID) or created is None:
        return LeftOut("message without an id or a time")
    author, own = _author(item, origin)
    seen = event(
        id=ident,
        platform="instagram",
        kind="message",
        direction="outbound" if own else "inbound",
        created_at=created,
        visibility="private",
        author=author,
        conversation_id=conversation if conversation is not None and fits(conversation, _LONGEST_ID) else None,
        **_words(text_of(item.get("message"))),
    )
    return Observation(seen, original=_alone(item))


def _words(text: str | None) -> JsonObject:
    said = text or ""
    return {"text": text, "mentions": handles_in(said), "hashtags": hashtags_in(said), "urls": links_in(said)}


def _author(item: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    who = [object_of(item.get(name)) for name in ("from", "owner", "user")]
    number = next((ident for each in who if (ident := _id(each)) is not None), None)
    handle = name_of(item.get("username")) or name_of(who[0].get("username"))
    return event(id=number, handle=handle), origin.owns((number,), (handle,))


def _spelt(permalink: object) -> str | None:
    """The time in the id that a link to media spells."""
    found = _CODE(permalink) if isinstance(permalink, str) else None
    if found is not None:
        with suppress(ValueError, OverflowError):
            return rfc3339(shortcode(found[1][:_CODE_LENGTH]), short=True)
    return None


def _id(item: JsonObject) -> str | None:
    ident = id_of(item.get("id"))
    return ident if ident is not None and _NUMBER(ident) else None


def _alone(item: JsonObject) -> JsonObject:
    """Without the objects inside, which are observations of their own."""
    return {name: value for name, value in item.items() if name not in ("comments", "replies", "messages")}

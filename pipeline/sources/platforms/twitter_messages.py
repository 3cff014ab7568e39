"""Direct messages, likes and profiles, of all of X's payloads."""

from __future__ import annotations

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from pipeline.sources.platforms.twitter_post import PLATFORM, WHOLE, is_own, post_id, time_of_id
from pipeline.sources.platforms.twitter_words import names, read
from pipeline.sources.platforms.values import event, name_of, object_of, time_of_milliseconds
from schemas.untyped import JsonObject

Author = tuple[JsonObject, bool]
"""Group author, and whether it is whole."""
PART_OF_AUTHOR = frozenset(("author",))


def message(
    dm: JsonObject, said: JsonObject, created: str | None, author: Author, conversation: str | None, origin: Origin
) -> Observation | LeftOut:
    """A direct message; `said`: the part of it with `text` and `entities`."""
    name = post_id(dm.get("id_str")) or post_id(dm.get("id"))
    if name is None:
        return LeftOut("no id")
    created = created or time_of_id(name)
    if created is None:
        return LeftOut("no time")
    entities = object_of(said.get("entities"))
    text, urls = read(said.get("text"), entities)
    seen = event(
        id=name,
        platform=PLATFORM,
        kind="message",
        direction="outbound" if is_own(author[0], origin) else None,
        created_at=created,
        text=text,
        visibility="private",
        author=author[0],
        mentions=names(entities, "user_mentions", "screen_name") or names(entities, "mentions", "username"),
        hashtags=names(entities, "hashtags", "text") or names(entities, "hashtags", "tag"),
        urls=urls,
        conversation_id=conversation,
    )
    return Observation(seen, partial=WHOLE if author[1] else PART_OF_AUTHOR, original=dm)


def like(payload: JsonObject, liked: object, author: Author, origin: Origin) -> Observation | LeftOut:
    """Somebody likes the post whose id is `liked`."""
    name, target, created = name_of(payload.get("id")), post_id(liked), time_of_text(payload.get("timestamp_ms"))
    if name is None or target is None:
        return LeftOut("no id")
    if created is None:
        return LeftOut("no time")
    seen = event(
        id=name,
        platform=PLATFORM,
        kind="like",
        direction="outbound" if is_own(author[0], origin) else None,
        created_at=created,
        author=author[0],
        target=target,
    )
    return Observation(seen, partial=WHOLE if author[1] else PART_OF_AUTHOR, original=payload)


def profile(account: JsonObject, created: str | None, author: Author, origin: Origin) -> Observation | LeftOut:
    """An account; its id is `account:ID`, as posts have numbers of the same kind."""
    name = post_id(author[0].get("id"))
    if name is None:
        return LeftOut("no id")
    if created is None:
        return LeftOut("user without a time")
    seen = event(
        id=f"account:{name}",
        platform=PLATFORM,
        kind="profile",
        direction="outbound" if is_own(author[0], origin) else None,
        created_at=created,
        author=author[0],
    )
    return Observation(seen, partial=WHOLE if author[1] else PART_OF_AUTHOR, original=account)


def conversation_of(one: object, other: object) -> str | None:
    """The id that API v2 gives to the conversation of two accounts."""
    if (first := post_id(one)) is None or (second := post_id(other)) is None:
        return None
    return "-".join(sorted((first, second), key=int))


def time_of_text(value: object) -> str | None:
    """A time in milliseconds since 1970, in a string of digits."""
    return time_of_milliseconds(int(value)) if isinstance(value, str) and len(value) < 15 and value.isdecimal() else None

"""Records of Bluesky's repositories as events: posts, likes, reposts, follows and profiles."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.values import fits, name_of, object_of, objects_of, text_of, time_of
from schemas.events import EARLIEST, ID_BYTES, NAME_BYTES
from schemas.times import rfc3339
from schemas.untyped import JsonObject

PLATFORM = "bluesky"
POST = "app.bsky.feed.post"
KINDS = {
    POST: "post",
    "app.bsky.feed.like": "like",
    "app.bsky.feed.repost": "repost",
    "app.bsky.graph.follow": "follow",
    "app.bsky.actor.profile": "profile",
}
_DAY_S = 86_400
EARLIEST_S, LATEST_S = datetime.fromisoformat(EARLIEST).timestamp(), 1e11
"""Times of the network lie between these."""
_HANDLE = re.compile(r"@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")


def event_of(uri: str, collection: str, record: JsonObject, author: JsonObject, seconds: float) -> JsonObject:
    """The record as an event; `seconds` since 1970: when the network saw it. Raises Unreadable."""
    kind = KINDS[collection]
    event = {"id": uri, "platform": PLATFORM, "kind": kind, "created_at": created(record, seconds), "author": author}
    if kind == "post":
        _say(event, record)
    elif kind == "profile":
        name, bio = text_of(record.get("displayName")), text_of(record.get("description"))
        event["author"] = author | ({"name": name} if name else {}) | ({"bio": bio} if bio else {})
    else:
        subject = record.get("subject")
        target = _id(subject if kind == "follow" else object_of(subject).get("uri"))
        if target is None:
            raise Unreadable(f"a {kind} without a subject")
        event["target"] = target
        if kind == "repost":
            event["in_reply_to"] = target
    return event


def created(record: JsonObject, seconds: float) -> str:
    """When the record was created: by its author's clock, if that is possible, else when the network saw it."""
    time = time_of(record.get("createdAt"))
    if time is not None and EARLIEST_S <= datetime.fromisoformat(time).timestamp() <= seconds + _DAY_S:
        return time
    return written(seconds)


def written(seconds: float) -> str:
    """Seconds since 1970, from EARLIEST_S to LATEST_S, as events have times."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC), short=True)


def seconds_of(value: object) -> float | None:
    """A time of the network in seconds since 1970."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    seconds = moment.timestamp() if moment is not None and moment.tzinfo is not None else 0.0
    return seconds if EARLIEST_S <= seconds < LATEST_S else None


def _say(event: JsonObject, record: JsonObject) -> None:
    event["visibility"] = "public"
    if text := text_of(record.get("text")):
        event["text"] = text
    languages = record.get("langs")
    if isinstance(languages, list) and languages and (language := name_of(languages[0])):
        event["language"] = language
    if reply := object_of(record.get("reply")):
        if parent := _id(object_of(reply.get("parent")).get("uri")):
            event["kind"], event["in_reply_to"] = "reply", parent
        if root := _id(object_of(reply.get("root")).get("uri")):
            event["conversation_id"] = root
    embed = object_of(record.get("embed"))
    if "facets" in record or "tags" in record or embed:
        _name(event, record, object_of(embed.get("external")) or object_of(object_of(embed.get("media")).get("external")))
    quoted = object_of(embed.get("record"))
    target = _id(quoted.get("uri")) or _id(object_of(quoted.get("record")).get("uri"))
    if target and f"/{POST}/" in target:
        event["target"] = target


def _name(event: JsonObject, record: JsonObject, card: JsonObject) -> None:
    """Sets the mentions, hashtags and urls of facets, and the link of the card below the post."""
    names: dict[str, list[str | None]] = {"mentions": [], "hashtags": [], "urls": []}
    said = event.get("text", "").encode(errors="replace")
    for facet in objects_of(record.get("facets")):
        for feature in objects_of(facet.get("features")):
            kind = str(feature.get("$type")).rpartition("#")[2]
            if kind == "mention":
                names["mentions"].append(_handle(said, object_of(facet.get("index"))) or _id(feature.get("did")))
            elif kind == "tag":
                names["hashtags"].append(text_of(feature.get("tag")))
            elif kind == "link":
                names["urls"].append(_url(feature.get("uri")))
    more = record.get("tags")
    names["hashtags"] += map(text_of, more) if isinstance(more, list) else ()
    names["urls"].append(_url(card.get("uri")))
    for field, values in names.items():
        if found := list(dict.fromkeys(filter(None, values))):
            event[field] = found


def _handle(text: bytes, index: JsonObject) -> str | None:
    """The handle in the words of a mention; it has no handle, only a DID. The index counts bytes of UTF-8, as `text` is."""
    start, end = index.get("byteStart"), index.get("byteEnd")
    if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end:
        return None
    found = _HANDLE.fullmatch(text[start:end].decode(errors="replace")) if end - start <= NAME_BYTES else None
    return found[1] if found else None


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and value and fits(value, ID_BYTES) else None


def _url(value: object) -> str | None:
    return value if isinstance(value, str) and value.startswith(("https://", "http://")) else None

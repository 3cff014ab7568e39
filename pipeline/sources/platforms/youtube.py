"""YouTube's Data API: pages of commentThreads.list and comments.list, single threads and comments.

| YouTube | event |
|---|---|
| the first comment of a thread; an answer to it (`parentId`) | comment; reply |
| `id` | id |
| `textOriginal`, else `textDisplay` without HTML | text; links, #tags and @handles in it: urls, hashtags, mentions |
| `authorChannelId` | author.id |
| `authorDisplayName` | author.handle, if it is one (`@ines`); else author.name |
| `authorChannelUrl` | author.url |
| `publishedAt` | created_at |
| `updatedAt`, where it is another time | time of the edit |
| `videoId`, else `channelId`; of an answer `parentId` | in_reply_to |
| the thread's id | conversation_id |
| `likeCount`; `totalReplyCount` of a thread | metrics.likes; metrics.replies |
| `isPublic` false | visibility private |
| `moderationStatus` rejected | a delete |

Left out: comments that wait for a moderator; videos, channels and results of a search, which are no comments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.plain_words import handles_in, hashtags_in, links_in
from pipeline.sources.platforms.values import count_of, event, fits, id_of, name_of, object_of, objects_of, text_of, time_of
from pipeline.sources.recorded.markup import without_html
from schemas.events import ID_BYTES
from schemas.untyped import JsonObject

THREAD, COMMENT = "commentThread", "comment"
OTHERS: Final = frozenset({"activity", "channel", "playlist", "playlistItem", "searchResult", "subscription", "video"})
_WAITING = ("heldForReview", "likelySpam")


class Thread(NamedTuple):
    """What a thread says of its first comment, and that of an answer's."""

    ident: str | None
    video: str | None = None
    replies: int | None = None
    """How many answers it has; None: the payload does not say."""
    public: bool = True


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The comments, each thread's first one before its answers. Raises Unreadable for a payload of another shape."""
    for kind, item in _items(payload):
        if kind == THREAD:
            yield from _of_thread(item, origin)
        elif kind == COMMENT:
            yield alone(_observation, item, Thread(_parent(item)), origin)
        else:
            yield LeftOut(kind)


def _items(payload: object) -> list[tuple[str, JsonObject]]:
    """Each with its kind, without what is before #."""
    if not isinstance(payload, dict) or not isinstance(payload.get("kind"), str):
        raise Unreadable("no answer of YouTube's Data API")
    found = payload.get("items") if payload["kind"].endswith("ListResponse") else [payload]
    items = [(str(each.get("kind")).rpartition("#")[2], each) for each in objects_of(found)]
    if not isinstance(found, list) or (items and not any(kind in (THREAD, COMMENT) or kind in OTHERS for kind, _ in items)):
        raise Unreadable("an answer of YouTube's Data API without comments")
    return [(kind if kind in (THREAD, COMMENT) or kind in OTHERS else "unknown", each) for kind, each in items]


def _of_thread(item: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    snippet = object_of(item.get("snippet"))
    video = _id(snippet.get("videoId")) or _id(snippet.get("channelId"))
    thread = Thread(_id(item.get("id")), video, count_of(snippet.get("totalReplyCount")), snippet.get("isPublic") is not False)
    if first := object_of(snippet.get("topLevelComment")):
        yield alone(_observation, first, thread, origin)
    else:
        yield LeftOut("thread without a comment")
    for each in objects_of(object_of(item.get("replies")).get("comments")):
        yield alone(_observation, each, thread, origin)


def _observation(item: JsonObject, thread: Thread, origin: Origin) -> Observation | LeftOut:
    ident, snippet = _id(item.get("id")), object_of(item.get("snippet"))
    if ident is None:
        return LeftOut("comment without an id")
    state, created = snippet.get("moderationStatus"), time_of(snippet.get("publishedAt"))
    if state in _WAITING:
        return LeftOut("comment that waits for a moderator")
    if state == "rejected":
        return Observation(event(platform="youtube", id=ident, created_at=created), deleted=True, original=item)
    if created is None:
        return LeftOut("comment without a time")
    parent, text = _parent(item), _text(snippet)
    author, own = _author(snippet, origin)
    above = thread.video or _id(snippet.get("videoId")) or _id(snippet.get("channelId"))
    seen = event(
        id=ident,
        platform="youtube",
        kind="reply" if parent else "comment",
        direction="outbound" if own else "inbound",
        created_at=created,
        text=text_of(text),
        visibility="public" if thread.public else "private",
        author=author,
        mentions=handles_in(text),
        hashtags=hashtags_in(text),
        urls=links_in(text),
        in_reply_to=parent or above,
        conversation_id=thread.ident or parent or ident,
        metrics=event(likes=count_of(snippet.get("likeCount")), replies=None if parent else thread.replies),
    )
    edited = time_of(snippet.get("updatedAt"))
    counts = frozenset[str]() if parent or thread.replies is not None else frozenset({"metrics"})
    return Observation(seen, edited if edited and edited != created else "", partial=counts, original=item)


def _text(snippet: JsonObject) -> str:
    original = snippet.get("textOriginal")
    return original if isinstance(original, str) else without_html(str(snippet.get("textDisplay") or ""))


def _author(snippet: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    ident, name = _id(object_of(snippet.get("authorChannelId")).get("value")), name_of(snippet.get("authorDisplayName"))
    handle = name[1:] if name and name[0] == "@" and len(name) > 1 and " " not in name else None
    url = text_of(snippet.get("authorChannelUrl"))
    author = event(id=ident, handle=handle, name=None if handle else name, url=url)
    return author, origin.owns((ident,), (handle,))


def _parent(item: JsonObject) -> str | None:
    return _id(object_of(item.get("snippet")).get("parentId"))


def _id(value: object) -> str | None:
    found = id_of(value)
    return found if found is not None and fits(found, ID_BYTES) else None

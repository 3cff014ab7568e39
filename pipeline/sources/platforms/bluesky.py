"""Bluesky: frames of Jetstream, versions 1 and 2, and the views of the REST API.

| payload | observation |
|---|---|
| commit of app.bsky.feed.post | `post`, or `reply`; an update's time is `at` |
| commit of app.bsky.feed.like, feed.repost, graph.follow | `like`, `repost`, `follow` with `target` |
| commit of app.bsky.actor.profile | `profile`: name and bio; its id is the record's |
| identity with a handle | `profile`: the handle; its id is the DID |
| commit delete of one of these | a delete, at the frame's time |
| `feed`, `posts` | each post, those that it answers or quotes, and who reposted it |
| `notifications` | the record of each |

| field | comes from |
|---|---|
| `id` | the at-uri |
| `created_at` | `createdAt`, by the author's clock, if between 1995 and a day after the frame or `indexedAt`; else that time |
| `mentions`, `hashtags`, `urls` | facets, `tags`, and the link of an external embed |
| `in_reply_to`, `conversation_id` | `reply.parent`, `reply.root` |
| `target` | the post that an embed quotes, the subject of a like, repost or follow |
| `language` | the first of `langs` |
| `metrics` | `likeCount`, `repostCount`, `replyCount` |

A frame has the author's DID alone, a view no numbers, so the author of a post never replaces one. Left out: labels,
descriptions of pictures and links, states of accounts (`account`, `account deleted` ...), and records of all other collections.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.sources.platforms.bluesky_records import EARLIEST_S, KINDS, LATEST_S, PLATFORM, event_of, seconds_of, written
from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, readable
from pipeline.sources.platforms.values import count_of, event, fits, name_of, object_of, text_of
from schemas.events import ID_BYTES, NAME_BYTES
from schemas.untyped import JsonObject

COLLECTIONS = frozenset(
    f"app.bsky.{name}"
    for name in (
        *("actor.status", "feed.generator", "feed.postgate", "feed.threadgate", "graph.block", "graph.list", "graph.listblock"),
        *("graph.listitem", "graph.starterpack", "graph.verification", "labeler.service", "notification.declaration"),
    )
)
"""Collections that are not mapped; those of other applications count as `other`."""
STATES = ("deactivated", "deleted", "desynchronized", "suspended", "takendown", "throttled")
UNSEEN = ("notFoundPost", "blockedPost", "viewNotFound", "viewBlocked", "viewDetached")
"""Views without a post."""
AUTHOR, NONE = frozenset(("author",)), frozenset[str]()
Found = list[Observation | LeftOut]


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The posts, reactions and profiles of a frame or a page. An item of a page that can't be read is left out as `unreadable`.
    Raises Unreadable where none can be read."""
    if not isinstance(payload, dict):
        raise Unreadable(f"no object, but {type(payload).__name__}")
    if "time_us" in payload:
        kind, microseconds = payload.get("kind"), count_of(payload["time_us"])
        part = object_of(payload.get(kind) if isinstance(kind, str) else None)
        return iter(_happened(kind, payload, part, (microseconds or 0) / 1_000_000, origin))
    if "payload" in payload:
        return iter(_second_version(object_of(payload["payload"]), origin))
    if isinstance(feed := payload.get("feed"), list):
        return iter(readable(feed, lambda item: _fed(item, origin)))
    for name in ("notifications", "posts"):
        if isinstance(views := payload.get(name), list):
            return iter(readable(views, lambda view: _viewed(view, origin)))
    if payload.get("$type") == "error":
        return iter([LeftOut("error")])
    raise Unreadable("an error of the server" if "error" in payload else "no frame of Jetstream, feed, posts or notifications")


def _second_version(message: JsonObject, origin: Origin) -> Found:
    kind = str(message.get("$type")).rpartition("#")[2]
    if kind == "info":
        return [LeftOut("info")]
    part = message if kind == "commit" else object_of(message.get(kind))
    return _happened(kind, message, part, seconds_of(message.get("time")), origin)


def _happened(kind: object, frame: JsonObject, part: JsonObject, seconds: float | None, origin: Origin) -> Found:
    """Of a frame of Jetstream, at these seconds since 1970: `part` is its commit, identity or account."""
    did = frame.get("did")
    if not isinstance(did, str) or not did.startswith("did:") or not fits(did, NAME_BYTES):
        raise Unreadable("a frame without a DID")
    if seconds is None or not EARLIEST_S <= seconds < LATEST_S:
        raise Unreadable("a frame without a time")
    if kind == "commit":
        return [_committed(frame, part, did, seconds, origin)]
    if kind == "identity":
        handle = name_of(part.get("handle"))
        if handle is None or handle == "handle.invalid":
            return [LeftOut("identity")]
        at = written(seconds)
        seen = {"id": did, "platform": PLATFORM, "kind": "profile", "created_at": at, "author": {"id": did, "handle": handle}}
        return [Observation(seen, at, original=frame)]
    if kind == "account":
        state = part.get("status")
        return [LeftOut(f"account {state}" if state in STATES else "account")]
    return [LeftOut("sync" if kind == "sync" else "other")]


def _committed(frame: JsonObject, commit: JsonObject, did: str, seconds: float, origin: Origin) -> Observation | LeftOut:
    collection, key, operation = commit.get("collection"), commit.get("rkey"), commit.get("operation")
    if not isinstance(collection, str) or not isinstance(key, str) or not key:
        raise Unreadable("a commit without a collection or a key")
    if collection not in KINDS:
        return LeftOut(collection if collection in COLLECTIONS else "other")
    uri = f"at://{did}/{collection}/{key}"
    if not fits(uri, ID_BYTES):
        raise Unreadable("an at-uri of over 1,000 bytes")
    if operation == "delete":
        return Observation({"id": uri, "platform": PLATFORM}, written(seconds), deleted=True, original=frame)
    record = commit.get("record")
    if operation not in ("create", "update") or not isinstance(record, dict):
        raise Unreadable("a commit without an operation or a record")
    seen = event_of(uri, collection, record, {"id": did}, seconds)
    if origin.owns((did,), ()):
        seen["direction"] = "outbound"
    partial = NONE if seen["kind"] == "profile" else AUTHOR
    return Observation(seen, written(seconds) if operation == "update" else "", partial=partial, original=frame)


def _fed(item: JsonObject, origin: Origin) -> Found:
    """Of an item of a feed: its post, the ones above it, and the repost by which it came."""
    post, reply, reason = object_of(item.get("post")), object_of(item.get("reply")), object_of(item.get("reason"))
    found = _viewed(post, origin)
    above = {str(view.get("uri")): view for view in (object_of(reply.get("root")), object_of(reply.get("parent"))) if view}
    for view in above.values():
        found += _inner(view, origin) if "record" in view else [_unseen(view)]
    if str(reason.get("$type")).endswith("#reasonRepost"):
        found.append(_reposted(reason, post, origin))
    return found


def _viewed(view: JsonObject, origin: Origin) -> Found:
    """Of a post, or of the record of a notification; behind it the post that it quotes."""
    uri, record = view.get("uri"), view.get("record", view.get("value"))
    parts = uri.split("/") if isinstance(uri, str) else []
    seconds = seconds_of(view.get("indexedAt"))
    author, own = _author(object_of(view.get("author")), origin)
    if (
        parts[:2] != ["at:", ""]
        or len(parts) != 5
        or not fits(str(uri), ID_BYTES)
        or not author
        or not isinstance(record, dict)
        or seconds is None
    ):
        raise Unreadable("a view without an at-uri, an author, a record or a time")
    if parts[3] not in KINDS:
        return [LeftOut(parts[3] if parts[3] in COLLECTIONS else "other")]
    seen = event_of(str(uri), parts[3], record, author, seconds)
    likes, shares, replies = (count_of(view.get(name)) for name in ("likeCount", "repostCount", "replyCount"))
    if metrics := event(likes=likes, shares=shares, replies=replies):
        seen["metrics"] = metrics
    if own:
        seen["direction"] = "outbound"
    quoted = object_of(object_of(view.get("embed")).get("record"))
    quoted = object_of(quoted.get("record")) or quoted  # beside media it lies a level deeper
    found: Found = [Observation(seen, partial=AUTHOR, original=view)]
    if quoted:
        found += _inner(quoted, origin) if "value" in quoted else [_unseen(quoted)]
    return found


def _inner(view: JsonObject, origin: Origin) -> Found:
    try:
        return _viewed(view, origin)
    except Unreadable:
        return [LeftOut("unreadable")]


def _unseen(view: JsonObject) -> LeftOut:
    kind = str(view.get("$type")).rpartition("#")[2]
    return LeftOut(kind if kind in UNSEEN else "other")


def _reposted(reason: JsonObject, post: JsonObject, origin: Origin) -> Observation | LeftOut:
    """The repost by which a post came into a feed. Older servers leave its at-uri out, except one's own."""
    author, own = _author(object_of(reason.get("by")), origin)
    seconds = seconds_of(reason.get("indexedAt"))
    if not author or seconds is None:
        return LeftOut("unreadable")
    target = post["uri"]
    ours = name_of(object_of(post.get("viewer")).get("repost")) or ""
    uri = name_of(reason.get("uri")) or (
        ours if ours.startswith(f"at://{author['id']}/") else f"{author['id']}/repost/{target}"
    )
    seen: JsonObject = {"id": uri, "platform": PLATFORM, "kind": "repost", "created_at": written(seconds), "author": author}
    seen |= {"in_reply_to": target, "target": target}
    if own:
        seen["direction"] = "outbound"
    return Observation(seen, partial=AUTHOR, original=reason)


def _author(view: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    """The author of a view, empty without a DID; and whether it is one of one's own accounts."""
    did, handle = name_of(view.get("did")), name_of(view.get("handle"))
    if did is None:
        return {}, False
    checked = object_of(view.get("verification"))
    author = event(
        id=did,
        handle=None if handle == "handle.invalid" else handle,
        name=text_of(view.get("displayName")),
        verified="valid" in (checked.get("verifiedStatus"), checked.get("trustedVerifierStatus")) if checked else None,
        bio=text_of(view.get("description")),
    )
    return author, origin.owns((did,), (handle,))

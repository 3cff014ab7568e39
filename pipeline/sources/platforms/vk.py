r"""VK: events of the Bots Long Poll and of callbacks, answers of the API about posts, comments and messages.

| payload | observation |
|---|---|
| `wall_post_new`, posts of wall.get and of searches | `post`; with `copy_history` a `repost`, and the original |
| `wall_reply_*`, comments on photos, videos, goods and in topics, wall.getComments | `comment`; `reply`, if it answers one |
| `*_delete` of comments | a delete |
| `message_new`, `message_reply`, `message_edit`, messages of the API | `message`, private |

| field | comes from |
|---|---|
| `id` | as VK's own links: `wall-1_2`, its comment `wall-1_2_r3`; of a message `imCOMMUNITY:PEER:NUMBER` |
| `text` | `text`; `[id1\|Ines]` is Ines; entities of older versions are resolved |
| `mentions`, `hashtags`, `urls` | `[id1\|Ines]`, #tags, links in the text and those attached |
| `in_reply_to`, `conversation_id` | `reply_to_comment`, `parents_stack`, else the post; the post, of a message the chat |
| `target` | the post that is reposted |
| `author` | `from_id` (communities are below 0, and organisations); handle and name from `profiles` and `groups` |
| `direction` outbound | one's own accounts, the community itself, messages with `out` |
| `metrics` | `likes`, `reposts`, `comments`, `views`; of a comment `likes`, and `thread` as replies |
| `location` | `geo.place.title` |

An event has the author's id alone, and never replaces an author. VK tells no edits and deletes of posts. What is restored
stays deleted. Left out: likes (they have no time), votes, members, photos, videos, donations, conversations without a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.values import object_of, objects_of
from pipeline.sources.platforms.vk_items import Accounts, Place, number, of_comment, of_message, of_post, post_id
from schemas.untyped import JsonObject

PLACES: Final = {
    "wall_reply": ("wall", "post_owner_id", "post_id"),
    "photo_comment": ("photo", "photo_owner_id", "photo_id"),
    "video_comment": ("video", "video_owner_id", "video_id"),
    "market_comment": ("market", "market_owner_id", "item_id"),
    "board_post": ("topic", "topic_owner_id", "topic_id"),
}
"""What comments are on: its name in links, and the keys of its owner and itself."""
_KIND = re.compile(r"[a-z_]{1,38}").fullmatch
_NOBODY = Accounts({})


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The items, in the order of the payload. Raises Unreadable for a payload of another shape."""
    if isinstance(payload, dict) and isinstance(payload.get("updates"), list):
        for each in objects_of(payload["updates"]):
            yield from _of_event(each, origin)
    elif isinstance(payload, dict) and isinstance(payload.get("type"), str) and isinstance(payload.get("object"), dict):
        yield from _of_event(payload, origin)
    else:
        yield from _of_answer(payload, origin)


def _of_event(update: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    kind, body = str(update.get("type")), object_of(update.get("object"))
    origin = origin if origin.host else Origin(number(update.get("group_id")) or "", origin.own)
    what, _, did = kind.rpartition("_")
    if kind in ("wall_post_new", "wall_repost"):
        yield from _posts(body, _NOBODY, origin)
    elif kind in ("message_new", "message_reply", "message_edit"):
        yield alone(of_message, object_of(body.get("message")) or body, _NOBODY, origin)
    elif what in PLACES and did in ("new", "edit", "restore", "delete"):
        name, owner, item = PLACES[what]
        place = _place(name, body.get(owner, body.get("owner_id")), body.get(item))
        comment = {"id": body.get("id"), "deleted": True} if did == "delete" else body
        yield alone(of_comment, comment, place, _NOBODY, origin)
    else:
        yield LeftOut(kind if _KIND(kind) else "unknown event")


def _of_answer(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    answer = payload.get("response", payload) if isinstance(payload, dict) else payload
    holder = object_of(answer)
    items = answer if isinstance(answer, list) else holder.get("items", holder.get("posts"))
    if not isinstance(items, list) or (items and not any(_kind(each) for each in objects_of(items))):
        raise Unreadable("no events and no answer of VK with posts, comments or messages")
    accounts, found = Accounts.of(holder), objects_of(items)
    walls = {_wall(each) for each in found} - {None}
    wall = walls.pop() if len(walls) == 1 else None
    for each in found:
        match _kind(each):
            case "post":
                yield from _posts(each, accounts, origin)
            case "comment":
                yield from _comments(each, wall, accounts, origin)
            case "message":
                message = object_of(each.get("last_message")) or object_of(each.get("message")) or each
                yield alone(of_message, message, accounts, origin)
            case kind:
                yield LeftOut(kind or "unknown item")


def _kind(item: JsonObject) -> str:
    """post, comment, message, or what is left out; blank: nothing of VK's."""
    if item.get("type") == "post" or item.get("post_type") or ("copy_history" in item and "id" in item):
        return "post"
    if isinstance(item.get("type"), str) and _KIND(item["type"]):
        return str(item["type"])
    if any(isinstance(item.get(name), dict) for name in ("last_message", "message")) or "out" in item or "peer_id" in item:
        return "message"
    if "conversation" in item or "peer" in item:
        return "conversation without a message"
    if "attachment" in item:
        return "attachment"
    return "comment" if "id" in item and ("from_id" in item or "parents_stack" in item) else ""


def _posts(post: JsonObject, accounts: Accounts, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The post, and before it those that it copies."""
    for each in reversed(objects_of(post.get("copy_history"))[:10]):
        if post_id(each):
            yield alone(of_post, each, accounts, origin)
    yield alone(of_post, post, accounts, origin)


def _comments(comment: JsonObject, wall: Place | None, accounts: Accounts, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The comment, and the answers that it shows."""
    place = _wall(comment) or wall
    yield alone(of_comment, comment, place, accounts, origin)
    for each in objects_of(object_of(comment.get("thread")).get("items")):
        yield alone(of_comment, each, _wall(each) or place, accounts, origin)


def _wall(comment: JsonObject) -> Place | None:
    return _place("wall", comment.get("owner_id"), comment.get("post_id"))


def _place(what: str, owner: object, item: object) -> Place | None:
    owned, named = number(owner), number(item)
    return Place(what, owned, named) if owned and named else None

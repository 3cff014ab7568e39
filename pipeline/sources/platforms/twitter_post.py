"""A post of X, read from any of X's payloads (twitter_v1.py, twitter_v2.py), and its observation."""

from __future__ import annotations

from typing import Final, NamedTuple

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from pipeline.sources.platforms.values import id_of, time_of_seconds
from schemas.untyped import JsonObject

PLATFORM: Final = "twitter"
EPOCH_MS = 1_288_834_974_657
"""From which the times inside of ids count, since November 2010."""
LONGEST_ID = 19
"""Digits of an id, a positive number of 63 bits."""
WHOLE: frozenset[str] = frozenset()


class Draft(NamedTuple):
    """The parts of a post, or of one version of it: an edit has an id of its own."""

    id: str
    versions: list[str]
    """The ids of the post's versions, oldest first; empty: the payload does not name them."""
    written_at: str | None
    """When this version was written; None: the payload does not say."""
    words: JsonObject
    """The fields of group text but location."""
    words_whole: bool
    author: JsonObject
    author_whole: bool
    metrics: JsonObject
    location: str | None
    answered: str | None
    quoted: str | None
    reposted: str | None
    """The id of the original; None: this is no repost; blank: it is one of an unknown post."""
    conversation: str | None
    payload: JsonObject


def observation(post: Draft, origin: Origin) -> Observation | LeftOut:
    """The observation of the post, whose id and time are those of its first version."""
    written = post.written_at or time_of_id(post.id)
    first = post.versions[0] if post.versions else post.id
    created = written if first == post.id else time_of_id(first) or written
    if created is None:
        return LeftOut("no time")
    seen: JsonObject = {"id": first, "platform": PLATFORM, "kind": "post", "created_at": created, **post.words}
    if is_own(post.author, origin):
        seen["direction"] = "outbound"
    if post.location:
        seen["location"] = post.location
    if post.author:
        seen["author"] = post.author
    if post.conversation:
        seen["conversation_id"] = post.conversation
    if post.reposted is not None:  # the metrics in a repost are those of the original
        seen["kind"] = "repost"
        if post.reposted:
            seen["target"] = seen["in_reply_to"] = post.reposted
    else:
        if post.metrics:
            seen["metrics"] = post.metrics
        if post.quoted:
            seen["target"] = post.quoted
        if post.answered:
            seen["kind"] = "reply"
            seen["in_reply_to"] = post.answered
    at = written if post.versions and written else ""
    return Observation(seen, at, partial=_partial(post), original=post.payload)


def _partial(post: Draft) -> frozenset[str]:
    newer = bool(post.versions) and post.id != post.versions[-1]  # there is a newer version
    edit = bool(post.versions) and post.id != post.versions[0]  # of which a part is better than the words before it
    text = newer or not (post.words_whole or edit)
    metrics = newer or (bool(post.metrics) and "shares" not in post.metrics)
    if post.author_whole and not text and not metrics:
        return WHOLE
    parts = (("text", text), ("metrics", metrics), ("author", not post.author_whole))
    return frozenset(group for group, is_part in parts if is_part)


def deleted(post: object, at: str | None) -> Observation | LeftOut:
    """The delete of the post with this id."""
    name = post_id(post)
    return Observation({"id": name, "platform": PLATFORM}, at or "", deleted=True) if name else LeftOut("no id")


def is_own(author: JsonObject, origin: Origin) -> bool:
    """Whether this is one of one's own accounts, by id or handle."""
    return origin.owns((author.get("id"),), (author.get("handle"),))


def post_id(value: object) -> str | None:
    """The id of a post, a message or an account: digits, in a string or as a number."""
    name = id_of(value)
    return name if name and len(name) <= LONGEST_ID and name.isascii() and name.isdigit() else None


def versions_of(name: str, history: object) -> list[str]:
    """The ids of a post's versions, oldest first; none where `history` is no list with the post's id in it."""
    if not isinstance(history, list):
        return []
    versions = [version for each in history if (version := post_id(each))]
    return versions if name in versions else []


def time_of_id(name: str) -> str | None:
    """The second that an id holds; None: the post is older than ids with a time."""
    number = int(name)
    return time_of_seconds(((number >> 22) + EPOCH_MS) // 1000) if number >> 40 else None

"""Posts, comments and messages of VK as observations."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin
from pipeline.sources.platforms.values import count_of, event, id_of, name_of, object_of, objects_of, text_of, time_of_seconds
from pipeline.sources.platforms.vk_words import said
from schemas.untyped import JsonObject

CHATS = 2_000_000_000
"""Above it a peer is a chat of several people."""


class Accounts(NamedTuple):
    """The accounts of an answer, by their id: communities below 0."""

    by_id: dict[int, JsonObject]

    @classmethod
    def of(cls, answer: JsonObject) -> Accounts:
        """Its `profiles` and `groups`."""
        people = {each["id"]: each for each in objects_of(answer.get("profiles")) if type(each.get("id")) is int}
        groups = {-each["id"]: each for each in objects_of(answer.get("groups")) if type(each.get("id")) is int}
        return cls(people | groups)

    def author(self, account: object, origin: Origin) -> tuple[JsonObject, bool, bool]:
        """The author, whether it is one of one's own accounts, and whether the answer says more than the id."""
        ident = number(account)
        if ident is None:
            return {}, False, False
        found = self.by_id.get(int(ident), {})
        parts = [text for each in ("first_name", "last_name") if (text := text_of(found.get(each)))]
        handle, name = name_of(found.get("screen_name")), name_of(found.get("name")) or name_of(" ".join(parts))
        own = origin.owns((ident,), (handle,)) or bool(origin.host and ident == f"-{origin.host}")
        kind = "organisation" if ident[0] == "-" else None
        return event(id=ident, handle=handle, name=name, kind=kind), own, bool(found)


class Place(NamedTuple):
    """Where a comment is."""

    what: str
    """wall, photo, video, market or topic."""
    owner: str
    item: str

    @property
    def name(self) -> str:
        """As VK's own links have it: wall-1_2."""
        return f"{self.what}{self.owner}_{self.item}"


def post_id(post: JsonObject) -> str | None:
    """wall-1_2."""
    owner = next(filter(None, (number(post.get(name)) for name in ("owner_id", "to_id", "source_id"))), None)
    own = number(post.get("id")) or number(post.get("post_id"))
    return f"wall{owner}_{own}" if owner and own else None


def of_post(post: JsonObject, accounts: Accounts, origin: Origin) -> Observation | LeftOut:
    ident, created = post_id(post), time_of_seconds(post.get("date"))
    if post.get("post_type") in ("postpone", "post_ads"):
        return LeftOut("post that waits")
    if ident is None:
        return LeftOut("post without an id")
    if post.get("deleted") or post.get("is_deleted"):
        return Observation(event(platform="vk", id=ident, created_at=created), deleted=True, original=post)
    if created is None:
        return LeftOut("post without a time")
    author, own, named = accounts.author(post.get("from_id") or post.get("source_id"), origin)
    words, copied = said(post), objects_of(post.get("copy_history"))
    original = post_id(copied[0]) if copied else None
    counts = {name: count_of(object_of(post.get(name)).get("count")) for name in ("likes", "reposts", "comments", "views")}
    seen = event(
        id=ident,
        platform="vk",
        kind="repost" if copied else "post",
        direction="outbound" if own else "inbound",
        created_at=created,
        text=text_of(words.text),
        visibility="private" if post.get("post_type") == "suggest" or post.get("friends_only") else "public",
        author=author,
        mentions=words.mentions,
        hashtags=words.hashtags,
        urls=words.urls,
        in_reply_to=original,
        target=original,
        conversation_id=ident,
        location=text_of(object_of(object_of(post.get("geo")).get("place")).get("title")),
        metrics=event(likes=counts["likes"], shares=counts["reposts"], replies=counts["comments"], views=counts["views"]),
    )
    partial = _partial(author=not named, metrics=counts["likes"] is None)
    return Observation(seen, time_of_seconds(post.get("edited")) or "", partial=partial, original=post)


def of_comment(comment: JsonObject, place: Place | None, accounts: Accounts, origin: Origin) -> Observation | LeftOut:
    own_id, created = number(comment.get("id")), time_of_seconds(comment.get("date"))
    if place is None or own_id is None:
        return LeftOut("comment without a place")
    ident = f"{place.name}_r{own_id}"
    if comment.get("deleted"):
        return Observation(event(platform="vk", id=ident, created_at=created), deleted=True, original=comment)
    if created is None:
        return LeftOut("comment without a time")
    author, own, named = accounts.author(comment.get("from_id"), origin)
    parents = comment.get("parents_stack")
    above = number(comment.get("reply_to_comment")) or number(parents[-1] if isinstance(parents, list) and parents else None)
    words, thread = said(comment), object_of(comment.get("thread"))
    likes = count_of(object_of(comment.get("likes")).get("count"))
    seen = event(
        id=ident,
        platform="vk",
        kind="reply" if above else "comment",
        direction="outbound" if own else "inbound",
        created_at=created,
        text=text_of(words.text),
        visibility="public",
        author=author,
        mentions=words.mentions,
        hashtags=words.hashtags,
        urls=words.urls,
        in_reply_to=f"{place.name}_r{above}" if above else place.name,
        conversation_id=place.name,
        metrics=event(likes=likes, replies=count_of(thread.get("count"))),
    )
    alone = {name: value for name, value in comment.items() if name != "thread"}
    return Observation(seen, partial=_partial(author=not named, metrics=likes is None), original=alone)


def of_message(message: JsonObject, accounts: Accounts, origin: Origin) -> Observation | LeftOut:
    user, chat = message.get("user_id"), message.get("chat_id")
    peer = number(message.get("peer_id")) or (str(CHATS + chat) if type(chat) is int else number(user))
    place_id, own_id = number(message.get("conversation_message_id")), number(message.get("id"))
    created, outbound = time_of_seconds(message.get("date")), message.get("out") == 1
    if peer is None or not (place_id or own_id) or created is None:
        return LeftOut("message without a time" if peer and (place_id or own_id) else "message without an id")
    if message.get("action") or message.get("action_mid"):
        return LeftOut("service message")
    place = f"im{origin.host}:{peer}"
    sender = message.get("from_id") or (None if outbound else user)
    author, own, named = accounts.author(sender, origin)
    words = said(message)
    seen = event(
        id=f"{place}:{place_id}" if place_id else f"{place}:m{own_id}",
        platform="vk",
        kind="message",
        direction="outbound" if outbound or own else "inbound",
        created_at=created,
        text=text_of(words.text),
        visibility="private",
        author=author,
        mentions=words.mentions,
        hashtags=words.hashtags,
        urls=words.urls,
        in_reply_to=_answered(message, place),
        conversation_id=place,
    )
    return Observation(
        seen, time_of_seconds(message.get("update_time")) or "", partial=_partial(author=not named), original=message
    )


def _answered(message: JsonObject, place: str) -> str | None:
    above = number(object_of(message.get("reply_message")).get("conversation_message_id"))
    return f"{place}:{above}" if above else None


def _partial(**missing: bool) -> frozenset[str]:
    return frozenset(name for name, is_missing in missing.items() if is_missing)


def number(value: object) -> str | None:
    """A whole number as text; None for 0, and for all that is none."""
    found = id_of(value)
    return found if found and len(found) <= 20 and found.removeprefix("-").isdecimal() and found.strip("-0") else None

"""Telegram: answers of getUpdates, single updates, exports of Telegram Desktop, dumps of a channel's messages.

| payload | observation |
|---|---|
| `channel_post` | `post`; one that is forwarded from a channel is a `repost` whose `target` is the original |
| `message` in a group | `message`; `reply`, if it answers one; `comment`, if it answers a channel's post |
| `message` in a private chat, `business_message` | `message`, private |
| `edited_*` | the same, with the time of the edit |
| `message_reaction` | a `reaction` for each emoji, with `target`; a delete for each that was taken back |
| `deleted_business_messages` | deletes |
| export of Telegram Desktop; dump of a channel | the same events, of channels under the same ids |

| field | comes from |
|---|---|
| `id` | chat and message: `-1001234567890:17`; of private chats and small groups `BOT:7:17` |
| `conversation_id` | of a post its own id; of a group the topic (`-1001234567890:t:5`), else the chat |
| `text` | text, caption, or a poll's question and options; `entities` give `urls`, `mentions`, `hashtags` |
| `author` | `sender_chat` (a channel is an organisation), else `from` (`is_bot`: bot) |
| `visibility` | public, if the group or channel has a name (`username`); of an export by its type |
| `direction` outbound | one's own accounts; in business chats all that the customer did not write |
| `metrics.likes` | of an export, its reactions |

Left out: service messages, a group's copies of its channel's posts, members, polls' answers, buttons, queries, counts of
anonymous reactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable, alone
from pipeline.sources.platforms.telegram_files import is_export, of_dump, of_export
from pipeline.sources.platforms.telegram_words import said
from pipeline.sources.platforms.values import event, id_of, name_of, object_of, objects_of, text_of, time_of_seconds
from schemas.untyped import JsonObject

MESSAGES: Final = (
    "message", "edited_message", "channel_post", "edited_channel_post", "business_message", "edited_business_message",
)  # fmt: skip
REACTION, DELETED = "message_reaction", "deleted_business_messages"
ASKED: Final = (*MESSAGES, REACTION, DELETED)
"""The kinds of updates that have a mapping."""
OTHERS: Final = frozenset(
    {
        "business_connection", "callback_query", "channel_boost", "chat_boost", "chat_join_request", "chat_member",
        "chosen_inline_result", "inline_query", "message_reaction_count", "my_chat_member", "poll", "poll_answer",
        "pre_checkout_query", "purchased_paid_media", "removed_chat_boost", "shipping_query",
    }
)  # fmt: skip
_SAYS = (
    "text", "caption", "animation", "audio", "checklist", "contact", "dice", "document", "game", "location", "paid_media",
    "photo", "poll", "sticker", "story", "venue", "video", "video_note", "voice",
)  # fmt: skip
"""A message without one of these is about the chat itself."""
_OPEN = ("channel", "supergroup")
"""Kinds of chats whose messages have one number for all."""


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The items, in the order of the payload. Raises Unreadable for a payload of another shape."""
    if is_export(payload):
        yield from of_export(payload, origin)
        return
    updates = payload.get("result") if isinstance(payload, dict) and "result" in payload else payload
    found = updates if isinstance(updates, list) else [updates]
    if found and not any(isinstance(each, dict) and ("update_id" in each or "message_id" in each) for each in found):
        raise Unreadable("no updates, export or messages of Telegram")
    for each in objects_of(found):
        if "update_id" in each:
            yield from _of_update(each, origin)
        else:
            yield alone(of_dump, each, origin)


def _of_update(update: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    kind = next((name for name in update if name in ASKED or name in OTHERS), "unknown update")
    body = object_of(update.get(kind))
    if kind in MESSAGES:
        yield alone(_message, kind, body, origin)
    elif kind == REACTION:
        yield from _reactions(body, origin)
    elif kind == DELETED:
        numbers = body.get("message_ids")
        for number in numbers if isinstance(numbers, list) else []:
            yield alone(_deleted, body, number, origin)
    else:
        yield LeftOut(kind)


def _message(kind: str, message: JsonObject, origin: Origin) -> Observation | LeftOut:
    chat, created = object_of(message.get("chat")), time_of_seconds(message.get("date"))
    ident = _id(message, message.get("message_id"), origin)
    if ident is None or created is None:
        return LeftOut("message without an id" if ident is None else "message without a time")
    if not any(name in message for name in _SAYS):
        return LeftOut("service message")
    if message.get("is_automatic_forward"):
        return LeftOut("copy of a channel's post")
    author, own = _author(message, origin)
    if message.get("business_connection_id"):
        own = own or object_of(message.get("from")).get("id") != chat.get("id")
    words = said(message)
    seen = event(
        id=ident,
        platform="telegram",
        direction="outbound" if own else "inbound",
        created_at=created,
        text=text_of(words.text),
        visibility="public" if chat.get("type") in _OPEN and chat.get("username") else "private",
        author=author,
        mentions=words.mentions,
        hashtags=words.hashtags,
        urls=words.urls,
        **_place(kind, ident, message, origin),
    )
    return Observation(seen, time_of_seconds(message.get("edit_date")) or "", original=message)


def _place(kind: str, ident: str, message: JsonObject, origin: Origin) -> JsonObject:
    chat, answered = object_of(message.get("chat")), object_of(message.get("reply_to_message"))
    forwarded = _forwarded(message)
    if kind.endswith("channel_post"):
        return {"kind": "repost" if forwarded else "post", "target": forwarded, "conversation_id": ident}
    above, post = _id(answered, answered.get("message_id"), origin), _forwarded(answered)
    is_comment = bool(answered.get("is_automatic_forward") and post)
    if "forum_topic_created" in answered:  # each message of a topic answers its beginning
        above = None
    topic = _number(message.get("message_thread_id"))
    thread = f"{_chat(chat, origin)}:t:{topic}" if topic else None
    place = {"in_reply_to": post if is_comment else above, "conversation_id": thread or _chat(chat, origin)}
    if chat.get("type") not in (*_OPEN, "group"):
        return {"kind": "message", **place}
    if forwarded and not above:
        return {"kind": "repost", "target": forwarded, **place}
    return {"kind": "comment" if is_comment else "reply" if above else "message", **place}


def _reactions(body: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    target, at = _id(body, body.get("message_id"), origin), time_of_seconds(body.get("date"))
    who = object_of(body.get("user")) or object_of(body.get("actor_chat"))
    number = _number(who.get("id"))
    if target is None or at is None or number is None:
        yield LeftOut("reaction without a place")
        return
    old, new = _emojis(body.get("old_reaction")), _emojis(body.get("new_reaction"))
    author, own = _author({"from" if "user" in body else "sender_chat": who}, origin)
    for emoji in dict.fromkeys((*old, *new)):
        named = {"platform": "telegram", "id": f"{target}:r:{number}:{emoji}"}
        if emoji in new and emoji not in old:
            more = event(
                kind="reaction", direction="outbound" if own else "inbound", created_at=at, author=author, target=target
            )
            public = object_of(body.get("chat")).get("username")
            yield Observation(
                {**named, **more, "reaction": emoji, "visibility": "public" if public else "private"}, original=body
            )
        elif emoji in old and emoji not in new:
            yield Observation(named, at, deleted=True, original=body)


def _emojis(value: object) -> list[str]:
    """A custom emoji is its id."""
    return [str(each.get("emoji") or each.get("custom_emoji_id") or each.get("type"))[:100] for each in objects_of(value)]


def _deleted(body: JsonObject, number: object, origin: Origin) -> Observation | LeftOut:
    ident = _id(body, number, origin)
    if ident is None:
        return LeftOut("message without an id")
    return Observation({"platform": "telegram", "id": ident}, deleted=True, original=body)


def _forwarded(message: JsonObject) -> str | None:
    """The post of a channel that the message forwards."""
    source = object_of(message.get("forward_origin"))
    chat, number = id_of(object_of(source.get("chat")).get("id")), id_of(source.get("message_id"))
    return f"{chat}:{number}" if chat and number and len(chat + number) < 60 else None


def _chat(chat: JsonObject, origin: Origin) -> str | None:
    number = _number(chat.get("id"))
    if number is None:
        return None
    return number if chat.get("type") in _OPEN or not origin.host else f"{origin.host}:{number}"


def _id(message: JsonObject, number: object, origin: Origin) -> str | None:
    chat, own = _chat(object_of(message.get("chat")), origin), _number(number)
    if chat is None or own is None:
        return None
    business = text_of(message.get("business_connection_id"))
    return f"{business[:100]}:{chat}:{own}" if business else f"{chat}:{own}"


def _number(value: object) -> str | None:
    """Of a message, a chat or an account."""
    number = id_of(value)
    return number if number and len(number) <= 30 else None


def _author(message: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    """The author, and whether it is one of one's own accounts."""
    if sender := object_of(message.get("sender_chat")):
        number, name, kind = _number(sender.get("id")), name_of(sender.get("title")), "organisation"
        kind = "organisation" if sender.get("type") == "channel" else ""
    else:
        sender = object_of(message.get("from"))
        parts = [text for each in ("first_name", "last_name") if (text := text_of(sender.get(each)))]
        number, name, kind = _number(sender.get("id")), name_of(" ".join(parts)), "bot" if sender.get("is_bot") else ""
    handle = name_of(sender.get("username"))
    author = event(id=number, handle=handle, name=name, kind=kind or None)
    return author, origin.owns((number,), (handle,)) or bool(origin.host and number == origin.host)

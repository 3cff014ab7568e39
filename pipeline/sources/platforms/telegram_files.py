"""Files of Telegram: exports of Telegram Desktop (a chat, or all of them), and dumps of a channel's messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeGuard

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, alone
from pipeline.sources.platforms.plain_words import hashtags_in, links_in
from pipeline.sources.platforms.telegram_words import MOST, Words, marked
from pipeline.sources.platforms.values import (
    count_of,
    event,
    id_of,
    name_of,
    object_of,
    objects_of,
    text_of,
    time_of,
    time_of_seconds,
)
from pipeline.sources.recorded.markup import without_markdown
from schemas.untyped import JsonObject

_LARGE: Final = ("public_channel", "private_channel", "public_supergroup", "private_supergroup")
"""Kinds of chats whose messages have one number for all; other clients write -100 before their id."""
_SENDER = re.compile(r"(user|channel|chat)(\d{1,20})").fullmatch


def is_export(payload: object) -> TypeGuard[JsonObject]:
    """Whether it is an export of Telegram Desktop."""
    if not isinstance(payload, dict):
        return False
    return isinstance(payload.get("messages"), list) or isinstance(object_of(payload.get("chats")).get("list"), list)


def of_export(payload: JsonObject, origin: Origin) -> Iterator[Observation | LeftOut]:
    """The messages of its chats."""
    chats = [payload] if "messages" in payload else objects_of(object_of(payload["chats"]).get("list"))
    for chat in chats:
        for message in objects_of(chat.get("messages")):
            yield alone(_exported, message, chat, origin)


def of_dump(message: JsonObject, origin: Origin) -> Observation | LeftOut:
    """A message of a channel, as its name, id and Markdown."""
    channel, number, created = id_of(message.get("sender_id")), id_of(message.get("message_id")), time_of(message.get("date"))
    if channel is None or number is None or created is None or len(channel + number) > 60:
        return LeftOut("message without an id" if channel is None or number is None else "message without a time")
    raw = text_of(message.get("text")) or ""
    ident = f"{channel}:{number}"
    seen = event(
        id=ident, platform="telegram", kind="post", direction="outbound" if origin.owns((channel,), ()) else "inbound",
        created_at=created, text=text_of(without_markdown(raw)), visibility="public", hashtags=hashtags_in(raw),
        urls=links_in(raw), conversation_id=ident,
        author=event(id=channel, name=name_of(message.get("channel")), kind="organisation"),
    )  # fmt: skip
    return Observation(seen, original=message)


def _exported(message: JsonObject, chat: JsonObject, origin: Origin) -> Observation | LeftOut:
    if message.get("type") != "message":
        return LeftOut("service message")
    place, number, created = _chat(chat, origin), id_of(message.get("id")), _seconds(message.get("date_unixtime"))
    if place is None or number is None or len(number) > 30 or created is None:
        return LeftOut("message without a time" if created is None else "message without an id")
    ident, kind = f"{place}:{number}", str(chat.get("type"))
    answered, is_post = id_of(message.get("reply_to_message_id")), kind.endswith("channel")
    author, own = _author(message, origin)
    words = _words(message)
    seen = event(
        id=ident, platform="telegram", direction="outbound" if own else "inbound", created_at=created,
        kind="post" if is_post else "reply" if answered and kind.endswith("group") else "message", text=text_of(words.text),
        visibility="public" if kind.startswith("public") else "private", author=author, mentions=words.mentions,
        hashtags=words.hashtags, urls=words.urls, in_reply_to=f"{place}:{answered[:30]}" if answered else None,
        conversation_id=ident if is_post else place, metrics=_metrics(message),
    )  # fmt: skip
    return Observation(seen, _seconds(message.get("edited_unixtime")) or "", original=message)


def _chat(chat: JsonObject, origin: Origin) -> str | None:
    number = id_of(chat.get("id"))
    if number is None or len(number) > 30:
        return None
    kind = str(chat.get("type"))
    if kind in _LARGE:
        return f"-100{number}"
    number = f"-{number}" if kind.endswith("group") else number
    return f"{origin.host}:{number}" if origin.host else number


def _author(message: JsonObject, origin: Origin) -> tuple[JsonObject, bool]:
    sender = _SENDER(str(message.get("from_id")))
    kind, number = sender.groups() if sender else ("", None)
    ident = f"-100{number}" if kind == "channel" else number
    name = name_of(message.get("from"))
    return event(id=ident, name=name, kind="organisation" if kind == "channel" else None), origin.owns((ident,), ())


def _words(message: JsonObject) -> Words:
    pieces = message.get("text_entities") or message.get("text")
    if isinstance(pieces, str):
        return Words(pieces, links_in(pieces), [], hashtags_in(pieces))
    found = [each if isinstance(each, dict) else {"type": "plain", "text": each} for each in pieces or []][: 2 * MOST]
    text = "".join(each["text"] for each in found if isinstance(each.get("text"), str))
    return marked(text, ((str(each.get("type")), str(each.get("text") or ""), each) for each in found))


def _metrics(message: JsonObject) -> JsonObject:
    counts = [count_of(each.get("count")) or 0 for each in objects_of(message.get("reactions"))]
    return {"likes": min(sum(counts), (1 << 63) - 1)} if counts else {}


def _seconds(value: object) -> str | None:
    return time_of_seconds(int(value)) if isinstance(value, str) and value.isdecimal() and len(value) < 12 else None

"""The words of a Telegram message: its text, and what its entities mark, whose places count halves of characters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.sources.platforms.values import object_of, objects_of, text_of
from schemas.untyped import JsonObject

MOST = 1_000
"""Entities of a message that are read; Telegram allows 100."""


class Words(NamedTuple):
    """What a message says."""

    text: str
    urls: list[str]
    mentions: list[str]
    hashtags: list[str]


def said(message: JsonObject) -> Words:
    """Of the message of an update."""
    name = "text" if isinstance(message.get("text"), str) else "caption"
    text = message.get(name)
    if isinstance(text, str):
        entities = objects_of(message.get("entities" if name == "text" else "caption_entities"))[:MOST]
        return marked(text, _pieces(text, entities))
    poll = object_of(message.get("poll"))
    lines = [poll.get("question"), *(each.get("text") for each in objects_of(poll.get("options")))]
    return Words("\n".join(filter(None, map(text_of, lines))), [], [], [])


def marked(text: str, pieces: Iterator[tuple[str, str, JsonObject]]) -> Words:
    """With what the pieces mark, each a kind, its words and the rest of it."""
    urls, mentions, hashtags = dict[str, None](), dict[str, None](), dict[str, None]()
    for kind, words, rest in pieces:
        if kind in ("url", "link") and words:
            urls[words if "://" in words else f"http://{words}"] = None
        elif kind == "text_link" and (link := text_of(rest.get("url")) or text_of(rest.get("href"))):
            urls[link] = None
        elif kind == "mention" and len(words) > 1:
            mentions[words.removeprefix("@")] = None
        elif kind == "text_mention" and (handle := text_of(object_of(rest.get("user")).get("username"))):
            mentions[handle] = None
        elif kind == "hashtag" and len(words) > 1:
            hashtags[words.removeprefix("#").partition("@")[0]] = None
    return Words(text, list(urls), list(mentions), list(hashtags))


def _pieces(text: str, entities: list[JsonObject]) -> Iterator[tuple[str, str, JsonObject]]:
    halves = text.encode("utf-16-le", "surrogatepass") if entities else b""
    for each in entities:
        start, length = each.get("offset"), each.get("length")
        if isinstance(start, int) and isinstance(length, int) and start >= 0 and 0 < length < 5_000:
            yield str(each.get("type")), halves[2 * start : 2 * (start + length)].decode("utf-16-le", "replace"), each

"""The words of VK: links to people and pages stand as [id1|Ines], and entities come of older versions."""

from __future__ import annotations

import re
from typing import NamedTuple

from pipeline.sources.platforms.plain_words import hashtags_in, links_in
from pipeline.sources.platforms.values import object_of, objects_of, text_of
from pipeline.sources.recorded.markup import unescaped
from schemas.untyped import JsonObject

_NAMED = re.compile(r"\[(https?://[^\s|\[\]]{1,1000}|[A-Za-z0-9_.:-]{1,100})\|([^\[\]|]{1,500})\]")
_BREAK = re.compile(r"[ \t]{0,100}<br ?/?>[ \t]{0,100}")
"""As older versions end a line."""
_ACCOUNT = re.compile(r"(?:id|club|public|event)\d{1,20}|[A-Za-z][\w.]{2,31}").fullmatch


class Words(NamedTuple):
    """What an item says."""

    text: str
    urls: list[str]
    mentions: list[str]
    hashtags: list[str]


def said(item: JsonObject) -> Words:
    """Of a post, comment or message; `urls` has the links that are attached, too."""
    raw = item.get("text") if "text" in item else item.get("body")
    text = raw if isinstance(raw, str) else ""
    text = unescaped(_BREAK.sub("\n", text))  # a < of anybody's is no tag: a parser would leave out what is behind it
    urls, mentions = dict[str, None](), dict[str, None]()

    def named(match: re.Match[str]) -> str:
        target, words = match[1], match[2].strip()
        if "://" in target:
            urls[target] = None
        elif _ACCOUNT(target):
            mentions[words[1:] if words[0] in "@*" and len(words) > 1 and " " not in words else target] = None
        return words

    shown = _NAMED.sub(lambda match: named(match) if match[2].strip() else match[0], text) if "|" in text else text
    urls |= dict.fromkeys(links_in(shown))
    for each in objects_of(item.get("attachments")):
        if each.get("type") == "link" and (link := text_of(object_of(each.get("link")).get("url"))):
            urls[link] = None
    tags = [tag.partition("@")[0] for tag in hashtags_in(shown)]
    return Words(shown, list(urls), list(mentions), tags)

"""The words of X's posts, messages and profiles as people read them: HTML entities and shortened links are resolved."""

from __future__ import annotations

from pipeline.sources.platforms.values import name_of, objects_of, text_of
from pipeline.sources.recorded.markup import unescaped
from schemas.untyped import JsonObject

NO_LANGUAGE = frozenset({"und", "zxx", "qam", "qct", "qht", "qme", "qst"})
"""Codes for a text of an unknown language, and for one of mentions, tags, media or links alone."""
OLD_CODES = {"in": "id", "iw": "he"}
HTTP = "http"


def language_of(value: object) -> str | None:
    """X's code of a language; None where it says that there is none."""
    code = name_of(value)
    return None if code is None or code in NO_LANGUAGE else OLD_CODES.get(code, code)


def plain(value: object) -> str | None:
    """A text without HTML entities, which X writes for &, < and >."""
    text = text_of(value)
    return unescaped(text) if text is not None and "&" in text else text


def read(text: object, entities: JsonObject, hidden: tuple[str, ...] = ()) -> tuple[str | None, list[str]]:
    """The text, and the targets of its links. Links to media and to the posts `hidden`, which people see as a picture or a
    box, are taken out."""
    if not isinstance(text, str):
        return None, []
    shown = unescaped(text) if "&" in text else text
    targets: list[str] = []
    for link in objects_of(entities.get("urls")):
        short, target = link.get("url"), _target(link)
        if not isinstance(short, str) or not short.startswith(HTTP):
            continue
        if _is_seen(link, target or short, hidden):
            shown = shown.replace(short, target or short, 1)
            targets.append(target or short)
        else:
            shown = shown.replace(short, "", 1)
    for medium in objects_of(entities.get("media")):
        short = medium.get("url")
        if isinstance(short, str) and short.startswith(HTTP):
            shown = shown.replace(short, "", 1)
    return shown.strip() or None, targets


def _target(link: JsonObject) -> str | None:
    unwound = link.get("unwound_url")
    if unwound is None and isinstance(resolved := link.get("unwound"), dict):
        unwound = resolved.get("url")
    return text_of(unwound) or text_of(link.get("expanded_url"))


def _is_seen(link: JsonObject, target: str, hidden: tuple[str, ...]) -> bool:
    if "media_key" in link or str(link.get("display_url", "")).startswith("pic."):
        return False
    return not hidden or not target.partition("?")[0].endswith(hidden)


def visible(text: object, shown: object) -> object:
    """The text from the start of the range `shown` on: before it are the handles of those whom a reply answers. (Its end is
    not taken: links are taken out one by one.)"""
    start = shown[0] if isinstance(shown, list) and shown else 0
    if isinstance(text, str) and isinstance(start, int) and start > 0:
        return text[start:]
    return text


def names(entities: JsonObject, group: str, key: str) -> list[str]:
    """The handles or hashtags in the entities."""
    found = entities.get(group)
    return [name for each in objects_of(found) if (name := text_of(each.get(key)))] if found else []


def bio_of(description: object, entities: JsonObject) -> str | None:
    """The description of a profile; `entities`: those of the description."""
    return read(description, entities)[0]

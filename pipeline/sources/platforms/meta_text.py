"""The Graph API's pages, and what the texts of Facebook and Instagram hold, whose payloads name it in part or not at all."""

from __future__ import annotations

import re

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.values import id_of
from schemas.untyped import JsonObject

_HASHTAG = re.compile(r"(?<![\w&/#])#(\w{1,200})").findall
_HANDLE = re.compile(r"(?<![\w@./])@([A-Za-z0-9_](?:[A-Za-z0-9_.]{0,28}[A-Za-z0-9_])?)").findall
_LINK = re.compile(r"https?://(?:[^\s()<>]|\([^\s()<>]*\))+").findall


def hashtags_in(text: str) -> list[str]:
    """Each once, without #; numbers are none."""
    return [tag for tag in dict.fromkeys(_HASHTAG(text)) if not tag.isdigit()] if "#" in text else []


def handles_in(text: str) -> list[str]:
    """Each once, without @."""
    return list(dict.fromkeys(_HANDLE(text))) if "@" in text else []


def links_in(text: str) -> list[str]:
    """Each once."""
    return list(dict.fromkeys(link.rstrip(".,;:!?'\"") for link in _LINK(text))) if "://" in text else []


def objects_in(payload: object) -> list[object]:
    """The objects of an answer of the Graph API: a page of them, one, or those that `ids` asked for. Raises Unreadable."""
    if isinstance(payload, list):
        found: list[object] = payload
        return found
    if not isinstance(payload, dict):
        raise Unreadable(f"a {type(payload).__name__}, where the Graph API sends an object")
    if isinstance(data := payload.get("data"), list):
        return data
    if "id" in payload or "error" in payload:
        return [payload]
    asked: list[object] = [each for key, each in payload.items() if isinstance(each, dict) and id_of(each.get("id")) == key]
    if not asked:
        raise Unreadable("an object without data or an id of the Graph API")
    return asked


def inside(item: JsonObject, name: str) -> list[object]:
    """The objects of a page that is inside of an object."""
    page = item.get(name)
    data = page.get("data") if isinstance(page, dict) else None
    return data if isinstance(data, list) else []


def total_of(item: JsonObject, name: str) -> object:
    """How many a page inside of an object says that there are, also beyond the page."""
    page = item.get(name)
    if not isinstance(page, dict):
        return None
    summary = page.get("summary")
    return summary.get("total_count") if isinstance(summary, dict) else page.get("count")

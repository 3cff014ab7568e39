"""JSON Feed, versions 1 and 1.1, as rss_document.py has feeds."""

from __future__ import annotations

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.rss_text import LONGEST_NAME, absolute, host_of, language_of, said, tags_of
from pipeline.sources.recorded.markup import without_html
from schemas.untyped import JsonObject


def is_json_feed(value: object) -> bool:
    """Whether it is the object of a JSON Feed."""
    return isinstance(value, dict) and isinstance(value.get("items"), list) and "jsonfeed.org" in str(value.get("version"))


def json_feed(feed: JsonObject, base: str = "") -> JsonObject:
    """The feed as rss_document.py has it. Raises Unreadable for another JSON object."""
    if not is_json_feed(feed):
        raise Unreadable("JSON without version and items of a JSON Feed")
    own, home = absolute(base, feed.get("feed_url")), absolute(base, feed.get("home_page_url"))
    base = base or own or home or ""
    entries = [_entry(item, feed, base) for item in feed["items"] if isinstance(item, dict)]
    return {"format": "json", "host": host_of(base), "entries": entries}


def _entry(item: JsonObject, feed: JsonObject, base: str) -> JsonObject:
    identity = item.get("id")
    link = absolute(base, item.get("url")) or absolute(base, item.get("external_url"))
    tags = item.get("tags")
    entry = {
        "id": str(identity).strip() if isinstance(identity, str | int) else None,
        "link": link,
        "address": absolute(base, item.get("external_url")),
        "text": said(_string(item.get("title")), _body(item)),
        "language": language_of(item.get("language"), feed.get("language")),
        "author": _author(item) or _author(feed),
        "tags": tags_of(tags) if isinstance(tags, list) else None,
        "published": item.get("date_published"),
        "updated": item.get("date_modified"),
        "left_out": ["attachment"] if item.get("attachments") else None,
    }
    return {name: value for name, value in entry.items() if value}


def _body(item: JsonObject) -> str:
    if text := _string(item.get("content_text")):
        return text
    if markup := _string(item.get("content_html")):
        return without_html(markup)
    return _string(item.get("summary"))


def _author(item: JsonObject) -> JsonObject:
    authors = item.get("authors")
    first = authors[0] if isinstance(authors, list) and authors else item.get("author")
    if not isinstance(first, dict):
        return {}
    author = {"name": _string(first.get("name")).strip()[:LONGEST_NAME], "url": absolute("", first.get("url"))}
    return {name: value for name, value in author.items() if value}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""

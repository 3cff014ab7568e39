"""Feeds: RSS, Atom, JSON Feed. A payload is a document, or a feed as `parse` (rss_document.py) and FeedParser (rss_child.py)
return it.

| of an entry | becomes |
|---|---|
| `guid`, `id`; else the link; else a hash of the text | `id`; before it the feed's host: `blog.example.org:17` |
| | `kind`: post; with `thr:in-reply-to`, which is `in_reply_to`, comment |
| published (`pubDate`, `date_published`), else updated | `created_at`; without both, the poll that sees it first (changes.py) |
| updated (`dc:date`, `date_modified`) | the time of an edit |
| title, and under it the longest of content and summary | `text`, without HTML, up to 100,000 characters |
| language, else that of the feed | `language` |
| first author; in Atom and JSON Feed, else that of the feed | `author.name`, `author.email`, `author.url` |
| categories, tags | `hashtags` |
| link; before it `feedburner:origLink`, `external_url` | `urls` |
| `slash:comments`, `thr:total`, `thr:count` | `metrics.replies` |
| enclosures, `media:content`, attachments | left out |

A URI of the feed's own host is an `id` as it is. One of another host gets the feed's (`planet.example.org:https:...`), or else
a feed could overwrite the entries of others.

Some programs give all entries one id: an id that entries with different links share in a document counts as none. Of several
entries with one id, the newest counts. `direction` is outbound if the feed's host or the author's e-mail is one's own. Feeds
have no deletes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from xxhash import xxh3_128_hexdigest

from pipeline.sources.platforms.observation import LeftOut, Observation, Origin, Unreadable
from pipeline.sources.platforms.rss_json import is_json_feed, json_feed
from pipeline.sources.platforms.rss_text import language_of
from pipeline.sources.platforms.values import count_of, event, object_of, objects_of, text_of, time_of
from schemas.events import EARLIEST, ID_BYTES
from schemas.untyped import JsonObject

PLATFORM = "rss"
_AT_HOST = re.compile(r"(?:https?://|tag:)(?:www\.)?([^/?#:,\s]+)(?::[0-9]+)?(?:[/?#,]\S*)?", re.IGNORECASE)


def observe(payload: object, origin: Origin) -> Iterator[Observation | LeftOut]:
    """Each entry of the feed. Raises Unreadable for a document that is no feed, HtmlPage (rss_document.py) for a page."""
    feed = _parsed(payload, origin)
    host = origin.host or text_of(feed.get("host")) or ""
    entries = objects_of(feed.get("entries"))
    shared = _shared(entries)
    if feed.get("older"):
        yield LeftOut("older entries")
    newest: dict[str, JsonObject] = {}
    for entry in entries:
        yield from (LeftOut(kind) for kind in _strings(entry.get("left_out")))
        identity = _identity(entry, host, shared)
        if identity is None:
            yield LeftOut("blank entry")
            continue
        before = newest.setdefault(identity, entry)
        if before is not entry:
            yield LeftOut("repeated entry")
            newest[identity] = max(before, entry, key=_changed)
    for identity, entry in newest.items():
        yield _observation(identity, entry, host, origin)


def _parsed(payload: object, origin: Origin) -> JsonObject:
    base = f"https://{origin.host}/" if origin.host else ""
    if isinstance(payload, bytes):
        from pipeline.sources.platforms.rss_document import parse

        return parse(payload, base)
    if isinstance(payload, dict) and isinstance(payload.get("entries"), list):
        return payload
    if isinstance(payload, dict) and is_json_feed(payload):
        return json_feed(payload, base)
    raise Unreadable("neither the document of a feed, nor a parsed one")


def _observation(identity: str, entry: JsonObject, host: str, origin: Origin) -> Observation:
    published, updated = _time(entry.get("published")), _time(entry.get("updated"))
    author = object_of(entry.get("author"))
    answered = text_of(entry.get("answers"))
    link = text_of(entry.get("address")) or text_of(entry.get("link"))
    made = event(
        id=identity,
        platform=PLATFORM,
        kind="comment" if answered else "post",
        direction="outbound" if {host, str(author.get("email")).lower()} & origin.own else None,
        created_at=published or updated,
        text=text_of(entry.get("text")),
        language=language_of(entry.get("language")),
        author=event(**{name: text_of(author.get(name)) for name in ("name", "email", "url")}),
        hashtags=_strings(entry.get("tags")),
        urls=[link] if link else None,
        in_reply_to=_whole(answered, host) if answered else None,
        metrics=event(replies=count_of(entry.get("replies"))),
    )
    edited = updated if updated and (not published or updated > published) else ""
    return Observation(made, at=edited, original=entry)


def _identity(entry: JsonObject, host: str, shared: set[str]) -> str | None:
    given, link, text = (text_of(entry.get(name)) for name in ("id", "link", "text"))
    if given and given not in shared:
        return _whole(given, host)
    if link:
        return _whole(link, host)
    return _whole(_hash(text), host) if text else None


def _whole(identity: str, host: str) -> str:
    """An id that no entry of another host's feed has."""
    home = _AT_HOST.fullmatch(identity)
    is_global = home is not None and home[1].lower() == host.lower().removeprefix("www.")
    whole = identity if is_global or not host else f"{host}:{identity}"
    return whole if len(whole.encode()) <= ID_BYTES else f"{host}:{_hash(whole)}"


def _hash(text: str) -> str:
    return str(xxh3_128_hexdigest(text.encode()))


def _shared(entries: list[JsonObject]) -> set[str]:
    links: defaultdict[str, set[str]] = defaultdict(set)
    for entry in entries:
        given, link = text_of(entry.get("id")), text_of(entry.get("link"))
        if given and link:
            links[given].add(link)
    return {given for given, each in links.items() if len(each) > 1}


def _changed(entry: JsonObject) -> str:
    return _time(entry.get("updated")) or _time(entry.get("published")) or ""


def _strings(value: object) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _time(value: object) -> str | None:
    moment = time_of(value)
    return moment if moment and moment >= EARLIEST else None
